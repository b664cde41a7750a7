//! `dray.admin.v1` on what this replica knows: reads come from the cache and the board, changes go to the store as one compare-and-swap.
//! Any replica serves all of it; wire types stop here.

mod agents;
mod change;
mod cluster;
mod connectors;
mod operations;
mod read;
mod statuses;
#[cfg(test)]
mod tests;
mod watch;

use crate::board::Board;
use crate::cache::Cache;
use change::Writer;
use dray_store::MetadataStore;
use dray_wire::admin::v1::agent_service_server::AgentServiceServer;
use dray_wire::admin::v1::cluster_service_server::ClusterServiceServer;
use dray_wire::admin::v1::connector_service_server::ConnectorServiceServer;
use dray_wire::admin::v1::operation_service_server::OperationServiceServer;
use dray_wire::admin::v1::status_service_server::StatusServiceServer;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

/// What the services work on. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Services {
    cache: Arc<Cache>,
    board: Arc<Board>,
    writer: Arc<Writer>,
    /// Ends watches, so that the server can end.
    stop: CancellationToken,
}

impl Services {
    /// `replica` is what this replica calls itself in the records that it writes.
    pub(crate) fn new(
        store: Arc<dyn MetadataStore>,
        cache: Arc<Cache>,
        board: Arc<Board>,
        replica: &str,
        stop: CancellationToken,
    ) -> Self {
        let writer = Arc::new(Writer::new(store, cache.clone(), replica));
        Self {
            cache,
            board,
            writer,
            stop,
        }
    }

    /// The services that REST is made of.
    pub(crate) fn rest(&self) -> dray_rest::Services {
        let services = Arc::new(self.clone());
        dray_rest::Services {
            cluster: services.clone(),
            connectors: services.clone(),
            statuses: services,
        }
    }

    /// All services, beside others.
    pub(crate) fn add_to(self, routes: Routes) -> Routes {
        routes
            .add_service(ClusterServiceServer::new(self.clone()))
            .add_service(ConnectorServiceServer::new(self.clone()))
            .add_service(AgentServiceServer::new(self.clone()))
            .add_service(StatusServiceServer::new(self.clone()))
            .add_service(OperationServiceServer::new(self))
    }
}
