//! `/` and `/health`.

use crate::answer::{Answer, json, ok};
use crate::gateway::Rest;
use crate::shape::{ServerInfo, WorkerStatus};
use axum::http::StatusCode;
use dray_wire::admin::v1;
use std::time::Duration;
use tokio::time::timeout;
use tonic::{Request, Status};

/// Connect's own.
const HEALTHY_WITHIN: Duration = Duration::from_secs(10);

impl Rest {
    pub(crate) async fn root(&self) -> Answer {
        let request = Request::new(v1::GetClusterRequest { consistency: None });
        let cluster = self.services.cluster.get_cluster(request).await?.into_inner();
        ok(&ServerInfo {
            version: format!("{}-dray.{}", crate::API_LEVEL, env!("CARGO_PKG_VERSION")),
            commit: option_env!("DRAY_COMMIT").unwrap_or("unknown"),
            kafka_cluster_id: Some(cluster.kafka_cluster_id).filter(|id| !id.is_empty()),
        })
    }

    /// Healthy is: the metadata store answers, and this replica is as new as it.
    pub(crate) async fn health(&self) -> Answer {
        let consistency = Some(v1::Consistency {
            min_revision: 0,
            linearizable: true,
        });
        let request = Request::new(v1::GetClusterRequest { consistency });
        let asked = timeout(HEALTHY_WITHIN, self.services.cluster.get_cluster(request));
        let late = |_| Status::unavailable("the metadata store did not answer in time");
        match asked.await.map_err(late).and_then(|answer| answer) {
            Ok(_) => ok(&WorkerStatus {
                status: "healthy",
                message: "Worker has completed startup and is ready to handle requests.".into(),
            }),
            Err(status) => json(
                StatusCode::INTERNAL_SERVER_ERROR,
                &WorkerStatus {
                    status: "unhealthy",
                    message: format!(
                        "Worker was unable to handle this request and may be unable to handle other requests. {}",
                        status.message()
                    ),
                },
            ),
        }
    }
}
