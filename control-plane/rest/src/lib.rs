//! Kafka Connect's REST API, as a translation of the admin services: what a request means is asked of them, and their answers are put into
//! Connect's words. Nothing is decided or remembered here, so every replica answers the same. It is served beside gRPC, on the same port.

mod answer;
mod body;
mod connectors;
mod error;
mod gateway;
mod media;
mod query;
mod resource;
mod root;
mod shape;
mod status;

use dray_wire::admin::v1;
use dray_wire::admin::v1::cluster_service_server::ClusterService;
use dray_wire::admin::v1::connector_service_server::ConnectorService;
use dray_wire::admin::v1::status_service_server::StatusService;
use futures::stream::BoxStream;
use std::sync::Arc;

pub use gateway::router;

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
}
