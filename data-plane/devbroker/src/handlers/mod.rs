//! From a decoded request to its answer. Each handler changes state in one go and holds no lock over an await.

mod cluster;
mod commits;
mod configs;
mod fetch;
mod groups;
mod produce;
mod records;
#[cfg(test)]
mod tests;
mod topics;

use std::time::Duration;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId, RequestKind, ResponseKind};

use crate::broker::Broker;
use crate::server::Peer;
use crate::versions;

/// Answers a request. `None` is a produce whose client wants no answer.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the codec knows 90 APIs and `versions` lets 25 through"
)]
pub(crate) async fn handle(broker: &Broker, peer: &Peer, request: RequestKind) -> Option<ResponseKind> {
    let version = peer.version;
    let answer = match request {
        RequestKind::ApiVersions(_) => versions::api_versions(0).into(),
        RequestKind::Metadata(request) => cluster::metadata(broker, peer, &request).into(),
        RequestKind::DescribeCluster(_) => cluster::describe_cluster(broker, peer).into(),
        RequestKind::FindCoordinator(request) => cluster::find_coordinator(peer, &request).into(),
        RequestKind::CreateTopics(request) => topics::create(broker, version, &request).into(),
        RequestKind::DeleteTopics(request) => topics::delete(broker, &request).into(),
        RequestKind::CreatePartitions(request) => topics::create_partitions(broker, &request).into(),
        RequestKind::DescribeConfigs(request) => configs::describe(broker, version, &request).into(),
        RequestKind::AlterConfigs(request) => configs::alter(broker, &request).into(),
        RequestKind::IncrementalAlterConfigs(request) => configs::incremental_alter(broker, &request).into(),
        RequestKind::Produce(request) => return produce::produce(broker, request).map(Into::into),
        RequestKind::Fetch(request) => Box::pin(fetch::fetch(broker, &request)).await.into(),
        RequestKind::ListOffsets(request) => records::list_offsets(broker, version, &request).into(),
        RequestKind::DeleteRecords(request) => records::delete_records(broker, &request).into(),
        RequestKind::JoinGroup(request) => Box::pin(groups::join(broker, peer, request)).await.into(),
        RequestKind::SyncGroup(request) => Box::pin(groups::sync(broker, version, request)).await.into(),
        RequestKind::Heartbeat(request) => groups::heartbeat(broker, &request).into(),
        RequestKind::LeaveGroup(request) => groups::leave(broker, version, &request).into(),
        RequestKind::ListGroups(request) => groups::list(broker, version, &request).into(),
        RequestKind::DescribeGroups(request) => groups::describe(broker, &request).into(),
        RequestKind::DeleteGroups(request) => groups::delete(broker, &request).into(),
        RequestKind::OffsetCommit(request) => commits::commit(broker, &request).into(),
        RequestKind::OffsetFetch(request) => commits::fetch(broker, version, &request).into(),
        RequestKind::OffsetDelete(request) => commits::delete(broker, &request).into(),
        RequestKind::InitProducerId(request) => init_producer_id(broker, &request).into(),
        other => {
            tracing::error!(?other, "dev broker serves a version of an API that has no handler");
            return None;
        }
    };
    Some(answer)
}

/// The code on the wire; 0 is success.
pub(crate) fn code<T>(result: &Result<T, ResponseError>) -> i16 {
    result.as_ref().err().map_or(0, ResponseError::code)
}

/// A wire duration; negative ones mean none.
fn millis(value: i32) -> Duration {
    Duration::from_millis(u64::try_from(value).unwrap_or(0))
}

/// Ids only: a transactional producer is told at once that it cannot have what it needs.
fn init_producer_id(broker: &Broker, request: &InitProducerIdRequest) -> InitProducerIdResponse {
    if request.transactional_id.is_some() {
        return InitProducerIdResponse::default()
            .with_error_code(ResponseError::UnsupportedVersion.code())
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1);
    }
    InitProducerIdResponse::default()
        .with_producer_id(broker.new_producer_id())
        .with_producer_epoch(0)
}
