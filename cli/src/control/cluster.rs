//! `dray cluster`.

use super::output;
use super::{Args, Output, call};
use crate::Failure;
use dray_wire::admin::v1;
use dray_wire::admin::v1::cluster_service_client::ClusterServiceClient;
use serde_json::json;

/// What there is under `dray cluster`.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Show the cluster, its leader and its replicas
    Get(Args),
}

pub(crate) async fn run(Command::Get(args): Command) -> Result<(), Failure> {
    let mut client = ClusterServiceClient::new(args.connect().await?);
    let request = v1::GetClusterRequest { consistency: None };
    let cluster = client.get_cluster(call(request)).await?.into_inner();
    if args.output == Output::Json {
        let leader = cluster.leader.as_ref().map(|leader| {
            json!({
                "replica": leader.replica,
                "term": leader.term,
                "endpoints": leader.endpoints,
                "software_version": leader.software_version,
            })
        });
        let replica = |replica: &v1::Replica| {
            json!({
                "id": replica.id,
                "endpoints": replica.endpoints,
                "software_version": replica.software_version,
            })
        };
        return output::json(&json!({
            "cluster": cluster.cluster,
            "epoch": cluster.epoch,
            "revision": cluster.revision,
            "software_version": cluster.software_version,
            "leader": leader,
            "replicas": cluster.replicas.iter().map(replica).collect::<Vec<_>>(),
        }));
    }
    output::line(&format!("cluster   {}", cluster.cluster))?;
    output::line(&format!("revision  {}", cluster.revision))?;
    let leader = cluster.leader.as_ref();
    let leader = leader.map(|leader| format!("{} (term {})", leader.replica, leader.term));
    output::line(&format!("leader    {}", leader.unwrap_or_else(|| "none".into())))?;
    let rows: Vec<_> = cluster
        .replicas
        .into_iter()
        .map(|replica| [replica.id, replica.endpoints.join(","), replica.software_version])
        .collect();
    output::table(["REPLICA", "ENDPOINTS", "VERSION"], &rows)
}
