//! Who is in the cluster and which topics it has: one node, which leads and coordinates everything.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{
    DescribeClusterResponse, FindCoordinatorRequest, FindCoordinatorResponse, MetadataRequest, MetadataResponse,
    TopicName,
};
use kafka_protocol::protocol::StrBytes;

use crate::batch::LEADER_EPOCH;
use crate::broker::{Broker, NODE};
use crate::handlers::code;
use crate::server::Peer;
use crate::topic_config::TopicConfig;

/// The coordinator key type of consumer groups; the others belong to transactions and share groups.
const GROUP: i8 = 0;
/// The first metadata version in which "all topics" is null and an empty list means none.
const NULL_IS_ALL: i16 = 1;

pub(crate) fn metadata(broker: &Broker, peer: &Peer, request: &MetadataRequest) -> MetadataResponse {
    let topics = match &request.topics {
        None => all_topics(broker),
        Some(topics) if topics.is_empty() && peer.version < NULL_IS_ALL => all_topics(broker),
        Some(topics) => {
            let named = topics.iter().filter_map(|topic| topic.name.as_ref());
            named
                .map(|name| topic(name, find_or_create(broker, name, request.allow_auto_topic_creation)))
                .collect()
        }
    };
    let node = MetadataResponseBroker::default()
        .with_node_id(NODE)
        .with_host(host(peer))
        .with_port(port(peer));
    MetadataResponse::default()
        .with_brokers(vec![node])
        .with_cluster_id(Some(broker.cluster_id.clone()))
        .with_controller_id(NODE)
        .with_topics(topics)
}

fn all_topics(broker: &Broker) -> Vec<MetadataResponseTopic> {
    broker
        .topics
        .list()
        .into_iter()
        .map(|(name, count)| topic(&name, Ok(count)))
        .collect()
}

fn find_or_create(broker: &Broker, name: &TopicName, allowed: bool) -> Result<usize, ResponseError> {
    if let Some(count) = broker.topics.partition_count(name) {
        return Ok(count);
    }
    if !(allowed && broker.auto_create_topics) {
        return Err(ResponseError::UnknownTopicOrPartition);
    }
    match broker
        .topics
        .create(name, broker.default_partitions, TopicConfig::default(), false)
    {
        // Another connection may have been faster; either way it is there now.
        Ok(()) | Err(ResponseError::TopicAlreadyExists) => broker
            .topics
            .partition_count(name)
            .ok_or(ResponseError::UnknownTopicOrPartition),
        Err(error) => Err(error),
    }
}

fn topic(name: &TopicName, count: Result<usize, ResponseError>) -> MetadataResponseTopic {
    let count_or_none = i32::try_from(*count.as_ref().unwrap_or(&0)).unwrap_or(i32::MAX);
    let partition = |index| {
        MetadataResponsePartition::default()
            .with_partition_index(index)
            .with_leader_id(NODE)
            .with_leader_epoch(LEADER_EPOCH)
            .with_replica_nodes(vec![NODE])
            .with_isr_nodes(vec![NODE])
    };
    MetadataResponseTopic::default()
        .with_error_code(code(&count))
        .with_name(Some(name.clone()))
        .with_partitions((0..count_or_none).map(partition).collect())
}

pub(crate) fn describe_cluster(broker: &Broker, peer: &Peer) -> DescribeClusterResponse {
    let node = DescribeClusterBroker::default()
        .with_broker_id(NODE)
        .with_host(host(peer))
        .with_port(port(peer));
    DescribeClusterResponse::default()
        .with_cluster_id(broker.cluster_id.clone())
        .with_controller_id(NODE)
        .with_brokers(vec![node])
}

pub(crate) fn find_coordinator(peer: &Peer, request: &FindCoordinatorRequest) -> FindCoordinatorResponse {
    if request.key_type != GROUP {
        return FindCoordinatorResponse::default()
            .with_error_code(ResponseError::InvalidRequest.code())
            .with_error_message(Some(StrBytes::from_static_str(
                "the dev broker coordinates consumer groups only",
            )))
            .with_node_id((-1).into())
            .with_port(-1);
    }
    FindCoordinatorResponse::default()
        .with_node_id(NODE)
        .with_host(host(peer))
        .with_port(port(peer))
}

/// The address by which this client already reached us: right for loopback and for any other interface.
fn host(peer: &Peer) -> StrBytes {
    StrBytes::from_string(peer.local.ip().to_string())
}

fn port(peer: &Peer) -> i32 {
    i32::from(peer.local.port())
}
