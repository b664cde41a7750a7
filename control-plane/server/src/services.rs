//! `dray.admin.v1` on what this replica knows: reads come from the cache and the board, changes go to the store as one compare-and-swap.
//! Any replica serves all of it; wire types stop here.

mod agents;
mod change;
mod cluster;
mod connectors;
mod leader;
mod letters;
mod loggers;
mod offsets;
mod operations;
mod plugins;
mod previews;
mod read;
mod statuses;
#[cfg(test)]
mod tests;
mod topics;
mod watch;

use crate::board::Board;
use crate::cache::Cache;
use crate::desk::Desk;
use crate::switchboard::Switchboard;
use change::Writer;
use dray_process::log::Levels;
use dray_store::MetadataStore;
use dray_wire::admin::v1::agent_service_server::AgentServiceServer;
use dray_wire::admin::v1::cluster_service_server::ClusterServiceServer;
use dray_wire::admin::v1::connector_service_server::ConnectorServiceServer;
use dray_wire::admin::v1::letter_service_server::LetterServiceServer;
use dray_wire::admin::v1::logger_service_server::LoggerServiceServer;
use dray_wire::admin::v1::offset_service_server::OffsetServiceServer;
use dray_wire::admin::v1::operation_service_server::OperationServiceServer;
use dray_wire::admin::v1::plugin_service_server::PluginServiceServer;
use dray_wire::admin::v1::preview_service_server::PreviewServiceServer;
use dray_wire::admin::v1::status_service_server::StatusServiceServer;
use leader::Leader;
use plugins::Definitions;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

/// How long a call waits for the first agent: after an election they come back within 2 s.
const AGENTS: Duration = Duration::from_secs(3);

/// What the services work on. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Services {
    cache: Arc<Cache>,
    board: Arc<Board>,
    writer: Arc<Writer>,
    leader: Arc<Leader>,
    switchboard: Arc<Switchboard>,
    definitions: Arc<Definitions>,
    levels: Levels,
    /// Ends watches, so that the server can end.
    stop: CancellationToken,
}

impl Services {
    /// `replica` is what this replica calls itself in the records that it writes.
    pub(crate) fn new(
        store: Arc<dyn MetadataStore>,
        cache: Arc<Cache>,
        board: Arc<Board>,
        (desk, switchboard): (Desk, Arc<Switchboard>),
        replica: &str,
        levels: Levels,
        stop: CancellationToken,
    ) -> Self {
        let writer = Arc::new(Writer::new(store, cache.clone(), replica));
        let leader = Arc::new(Leader {
            desk,
            cache: cache.clone(),
            replica: replica.into(),
        });
        Self {
            cache,
            board,
            writer,
            leader,
            switchboard,
            definitions: Arc::default(),
            levels,
            stop,
        }
    }

    /// The services that REST is made of.
    pub(crate) fn rest(&self) -> dray_rest::Services {
        let services = Arc::new(self.clone());
        dray_rest::Services {
            cluster: services.clone(),
            connectors: services.clone(),
            statuses: services.clone(),
            plugins: services.clone(),
            agents: services.clone(),
            loggers: services.clone(),
            offsets: services,
        }
    }

    /// Waits until an agent answers calls here, or it is clear that none will.
    async fn agents_are_there(&self) {
        drop(timeout(AGENTS, self.switchboard.somebody()).await);
    }

    /// All services, beside others.
    pub(crate) fn add_to(self, routes: Routes) -> Routes {
        routes
            .add_service(ClusterServiceServer::new(self.clone()))
            .add_service(ConnectorServiceServer::new(self.clone()))
            .add_service(AgentServiceServer::new(self.clone()))
            .add_service(StatusServiceServer::new(self.clone()))
            .add_service(PluginServiceServer::new(self.clone()))
            .add_service(PreviewServiceServer::new(self.clone()))
            .add_service(OffsetServiceServer::new(self.clone()))
            .add_service(LetterServiceServer::new(self.clone()))
            .add_service(LoggerServiceServer::new(self.clone()))
            .add_service(OperationServiceServer::new(self))
    }
}
