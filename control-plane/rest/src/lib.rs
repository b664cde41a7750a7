//! Kafka Connect's REST API, as a translation of the admin services: what a request means is asked of them, and their answers are put into
//! Connect's words. Nothing is decided here, and nothing remembered but which plugin is a source, so every replica answers the same. It is served beside gRPC, on the same port.

mod agents;
mod answer;
mod body;
mod connectors;
mod error;
mod gateway;
mod loggers;
mod media;
mod offsets;
mod openapi;
mod options;
mod plugins;
mod query;
mod resource;
mod root;
mod shape;
mod status;
mod topics;
mod validation;
mod wait;

use dray_wire::admin::v1;
use dray_wire::admin::v1::agent_service_server::AgentService;
use dray_wire::admin::v1::cluster_service_server::ClusterService;
use dray_wire::admin::v1::connector_service_server::ConnectorService;
use dray_wire::admin::v1::logger_service_server::LoggerService;
use dray_wire::admin::v1::offset_service_server::OffsetService;
use dray_wire::admin::v1::plugin_service_server::PluginService;
use dray_wire::admin::v1::status_service_server::StatusService;
use futures::stream::BoxStream;
use std::sync::Arc;

pub use gateway::router;
pub use options::{Options, Part};

/// The release of Kafka Connect whose API this is.
pub const API_LEVEL: &str = "4.3.0";

/// Statuses, with the stream that this crate never asks for.
pub type Statuses =
    dyn StatusService<WatchStatusStream = BoxStream<'static, Result<v1::WatchStatusResponse, tonic::Status>>>;

/// Whom the gateway asks. Cheap to clone.
#[derive(Clone)]
pub struct Services {
    /// The cluster itself.
    pub cluster: Arc<dyn ClusterService>,
    /// What is wanted of connectors.
    pub connectors: Arc<dyn ConnectorService>,
    /// What is seen of them.
    pub statuses: Arc<Statuses>,
    /// What agents say of plugins.
    pub plugins: Arc<dyn PluginService>,
    /// Agents.
    pub agents: Arc<dyn AgentService>,
    /// What processes write to their logs.
    pub loggers: Arc<dyn LoggerService>,
    /// How far connectors are.
    pub offsets: Arc<dyn OffsetService>,
}
