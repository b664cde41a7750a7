//! Answers that are right but for what a script changed in them: an old state of the cluster, a throttled client.

use std::time::Duration;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::metadata_response::MetadataResponseBroker;
use kafka_protocol::messages::{BrokerId, MetadataResponse, ResponseKind};

use crate::broker::NODE;

/// Nothing listens on port 1, so that the leader that is gone refuses a connection at once.
const GONE: (BrokerId, i32) = (BrokerId(NODE.0 + 1), 1);

/// Another broker leads everything, and it is gone.
pub(crate) fn old_leader(metadata: &mut MetadataResponse) {
    let Some(host) = metadata.brokers.first().map(|broker| broker.host.clone()) else {
        return;
    };
    let (id, port) = GONE;
    let gone = MetadataResponseBroker::default()
        .with_node_id(id)
        .with_host(host)
        .with_port(port);
    metadata.brokers.push(gone);
    for partition in metadata.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
        partition.leader_id = id;
    }
}

/// The topics are not known yet.
pub(crate) fn missing_topics(metadata: &mut MetadataResponse) {
    for topic in &mut metadata.topics {
        topic.error_code = ResponseError::UnknownTopicOrPartition.code();
        topic.partitions.clear();
    }
}

/// Says how long the client is throttled. An answer in a version without room for it does not encode.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the codec knows 90 APIs; these are the ones a client at work waits for"
)]
pub(crate) fn throttle(answer: &mut ResponseKind, time: Duration) {
    let millis = i32::try_from(time.as_millis()).unwrap_or(i32::MAX);
    match answer {
        ResponseKind::Produce(answer) => answer.throttle_time_ms = millis,
        ResponseKind::Fetch(answer) => answer.throttle_time_ms = millis,
        ResponseKind::Metadata(answer) => answer.throttle_time_ms = millis,
        ResponseKind::FindCoordinator(answer) => answer.throttle_time_ms = millis,
        ResponseKind::JoinGroup(answer) => answer.throttle_time_ms = millis,
        ResponseKind::SyncGroup(answer) => answer.throttle_time_ms = millis,
        ResponseKind::Heartbeat(answer) => answer.throttle_time_ms = millis,
        ResponseKind::OffsetCommit(answer) => answer.throttle_time_ms = millis,
        ResponseKind::OffsetFetch(answer) => answer.throttle_time_ms = millis,
        other => tracing::warn!(?other, "a scripted throttle has no place in this answer"),
    }
}
