//! Committed offsets: written, read and deleted.

use bytes::{Buf, Bytes};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::consumer_protocol_subscription::ConsumerProtocolSubscription;
use kafka_protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use kafka_protocol::messages::offset_delete_response::{OffsetDeleteResponsePartition, OffsetDeleteResponseTopic};
use kafka_protocol::messages::offset_fetch_response::{OffsetFetchResponsePartition, OffsetFetchResponseTopic};
use kafka_protocol::messages::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest, OffsetDeleteResponse, OffsetFetchRequest,
    OffsetFetchResponse, TopicName,
};
use kafka_protocol::protocol::{Decodable, StrBytes};
use tokio::time::Instant;

use crate::broker::Broker;
use crate::group::{Group, State};
use crate::handlers::code;
use crate::offsets::{Committed, Offsets};
use crate::wire;

/// The fetch version from which an offset has the leader epoch it was committed with.
const TELLS_EPOCH: i16 = 5;
/// Kafka's `offset.metadata.max.bytes`.
const MAX_METADATA: usize = 4_096;

pub(crate) fn commit(broker: &Broker, request: &OffsetCommitRequest) -> OffsetCommitResponse {
    let generation = request.generation_id_or_member_epoch;
    let instance = request.group_instance_id.as_ref();
    let mut topics = Vec::with_capacity(request.topics.len());
    let work = |group: &mut Group| {
        group.may_commit(&request.member_id, instance, generation, Instant::now())?;
        for topic in &request.topics {
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for partition in &topic.partitions {
                let index = partition.partition_index;
                let metadata = partition.committed_metadata.clone();
                let known = broker.topics.partition(&topic.name, index).map(drop);
                let stored = known.and_then(|()| match &metadata {
                    Some(metadata) if metadata.len() > MAX_METADATA => Err(ResponseError::OffsetMetadataTooLarge),
                    Some(_) | None => Ok(()),
                });
                if stored.is_ok() {
                    let committed = Committed {
                        offset: partition.committed_offset,
                        leader_epoch: partition.committed_leader_epoch,
                        metadata,
                    };
                    group
                        .offsets
                        .entry(topic.name.clone())
                        .or_default()
                        .insert(index, committed);
                }
                partitions.push((index, code(&stored)));
            }
            topics.push((topic.name.clone(), partitions));
        }
        Ok(())
    };
    let done = if request.group_id.is_empty() {
        Err(ResponseError::InvalidGroupId)
    } else if generation >= 0 && !broker.coordinator.exists(&request.group_id) {
        Err(ResponseError::IllegalGeneration)
    } else {
        broker.coordinator.with_new(&request.group_id, work)
    };
    if let Err(error) = done {
        topics = refused(request, error);
    }
    let partition = |(index, error_code)| {
        OffsetCommitResponsePartition::default()
            .with_partition_index(index)
            .with_error_code(error_code)
    };
    let topic = |(name, partitions): (TopicName, Vec<(i32, i16)>)| {
        OffsetCommitResponseTopic::default()
            .with_name(name)
            .with_partitions(partitions.into_iter().map(partition).collect())
    };
    OffsetCommitResponse::default().with_topics(topics.into_iter().map(topic).collect())
}

fn refused(request: &OffsetCommitRequest, error: ResponseError) -> Vec<(TopicName, Vec<(i32, i16)>)> {
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let partitions = topic
            .partitions
            .iter()
            .map(|partition| (partition.partition_index, error.code()))
            .collect();
        topics.push((topic.name.clone(), partitions));
    }
    topics
}

pub(crate) fn fetch(broker: &Broker, version: i16, request: &OffsetFetchRequest) -> OffsetFetchResponse {
    let offsets = broker
        .coordinator
        .with(&request.group_id, |group| group.offsets.clone())
        .unwrap_or_default();
    let topics = match &request.topics {
        None => {
            let all = offsets
                .iter()
                .map(|(name, partitions)| (name, partitions.keys().copied().collect()));
            all.map(|(name, partitions): (_, Vec<i32>)| fetched(version, &offsets, name, &partitions))
                .collect()
        }
        Some(topics) => topics
            .iter()
            .map(|topic| fetched(version, &offsets, &topic.name, &topic.partition_indexes))
            .collect(),
    };
    OffsetFetchResponse::default().with_topics(topics)
}

fn fetched(version: i16, offsets: &Offsets, topic: &TopicName, partitions: &[i32]) -> OffsetFetchResponseTopic {
    let one = |index: &i32| {
        let committed = offsets.get(topic).and_then(|partitions| partitions.get(index));
        // "Nothing committed" is offset -1 without an error.
        let response = OffsetFetchResponsePartition::default().with_partition_index(*index);
        let Some(committed) = committed else {
            return response.with_committed_offset(-1).with_metadata(Some(StrBytes::new()));
        };
        let epoch = if version >= TELLS_EPOCH {
            committed.leader_epoch
        } else {
            -1
        };
        response
            .with_committed_offset(committed.offset)
            .with_committed_leader_epoch(epoch)
            .with_metadata(Some(committed.metadata.clone().unwrap_or_default()))
    };
    OffsetFetchResponseTopic::default()
        .with_name(topic.clone())
        .with_partitions(partitions.iter().map(one).collect())
}

pub(crate) fn delete(broker: &Broker, request: &OffsetDeleteRequest) -> OffsetDeleteResponse {
    let work = |group: &mut Group| {
        let subscribed = subscribed_topics(group)?;
        let mut topics = Vec::with_capacity(request.topics.len());
        for topic in &request.topics {
            let in_use = subscribed.contains(&topic.name);
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for partition in &topic.partitions {
                let index = partition.partition_index;
                let response = OffsetDeleteResponsePartition::default().with_partition_index(index);
                if in_use {
                    partitions.push(response.with_error_code(ResponseError::GroupSubscribedToTopic.code()));
                    continue;
                }
                if let Some(offsets) = group.offsets.get_mut(&topic.name) {
                    offsets.remove(&index);
                }
                partitions.push(response);
            }
            topics.push(
                OffsetDeleteResponseTopic::default()
                    .with_name(topic.name.clone())
                    .with_partitions(partitions),
            );
        }
        Ok(topics)
    };
    match broker
        .coordinator
        .with(&request.group_id, work)
        .unwrap_or(Err(ResponseError::GroupIdNotFound))
    {
        Ok(topics) => OffsetDeleteResponse::default().with_topics(topics),
        Err(error) => OffsetDeleteResponse::default().with_error_code(error.code()),
    }
}

/// What the members of a consumer group subscribe to. A group of another kind with members in it cannot be asked.
fn subscribed_topics(group: &Group) -> Result<Vec<TopicName>, ResponseError> {
    if group.state() == State::Empty {
        return Ok(Vec::new());
    }
    if group.protocol_type().as_str() != "consumer" {
        return Err(ResponseError::NonEmptyGroup);
    }
    let protocol = group.protocol();
    let subscriptions = group.members().filter_map(|(_, member)| member.metadata(&protocol));
    Ok(subscriptions.flat_map(|metadata| topics_of(metadata.clone())).collect())
}

/// A subscription that does not decode names nothing: it is the clients' own format.
fn topics_of(mut metadata: Bytes) -> Vec<TopicName> {
    let Ok(version) = metadata.try_get_i16() else {
        return Vec::new();
    };
    let version = version.clamp(0, 3);
    if wire::check_subscription(version, &metadata).is_err() {
        return Vec::new();
    }
    let subscription = ConsumerProtocolSubscription::decode(&mut metadata, version);
    subscription
        .map(|decoded| decoded.topics.into_iter().map(TopicName).collect())
        .unwrap_or_default()
}
