//! `ClusterService`.

use super::Services;
use dray_wire::admin::v1;
use dray_wire::admin::v1::cluster_service_server::ClusterService;
use tonic::{Request, Response, Status};

#[tonic::async_trait]
impl ClusterService for Services {
    async fn get_cluster(
        &self,
        request: Request<v1::GetClusterRequest>,
    ) -> Result<Response<v1::GetClusterResponse>, Status> {
        let state = self.state(request.into_inner().consistency).await?;
        let meta = state.meta();
        let leader = state.leader.as_ref().map(|leader| v1::Leader {
            replica: leader.record.replica.clone(),
            term: leader.term.get(),
            endpoints: leader.record.endpoints.clone(),
            software_version: leader.record.software_version.clone(),
        });
        let replicas = state.replicas.iter().map(|(id, record)| v1::Replica {
            id: id.clone(),
            endpoints: record.endpoints.clone(),
            software_version: record.software_version.clone(),
        });
        Ok(Response::new(v1::GetClusterResponse {
            revision: state.revision.get(),
            cluster: meta
                .as_ref()
                .map(|meta| meta.record.cluster.clone())
                .unwrap_or_default(),
            epoch: meta.map_or(0, |meta| meta.record.epoch),
            software_version: env!("CARGO_PKG_VERSION").into(),
            leader,
            replicas: replicas.collect(),
            kafka_cluster_id: state
                .kafka
                .as_ref()
                .map(|kafka| kafka.1.cluster.as_str().into())
                .unwrap_or_default(),
        }))
    }
}
