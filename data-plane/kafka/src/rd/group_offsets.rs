//! What a consumer group has committed, read and changed from outside of it, as `kafka-consumer-groups` does.

use super::direct::{Ask, Connection, Direct, Of, check};
use super::errors::local;
use crate::error::{Class, Result};
use crate::port::{ClientConfig, GroupOffsets};
use async_trait::async_trait;
use dray_connect::sink_batch::TopicPartition;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use kafka_protocol::messages::{
    DeleteGroupsRequest, GroupId, OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use std::collections::BTreeMap;
use std::time::Duration;

pub(super) async fn read(config: &ClientConfig, group: &str, timeout: Duration) -> Result<GroupOffsets> {
    ask(config, group, timeout, "reading the offsets of", &Read(group)).await
}

pub(super) async fn alter(
    config: &ClientConfig,
    group: &str,
    offsets: &BTreeMap<TopicPartition, Option<i64>>,
    timeout: Duration,
) -> Result<()> {
    let alter = Alter { group, offsets };
    ask(config, group, timeout, "changing the offsets of", &alter).await
}

pub(super) async fn delete(config: &ClientConfig, group: &str, timeout: Duration) -> Result<()> {
    ask(config, group, timeout, "deleting", &Delete(group)).await
}

async fn ask<A: Ask>(config: &ClientConfig, group: &str, timeout: Duration, doing: &str, ask: &A) -> Result<A::Answer> {
    let what = format!("{doing} the group `{group}`");
    let direct = Direct::read(config)?.ok_or_else(|| {
        let message = "not possible over this `security.protocol`, `sasl.mechanism` or kind of key store";
        local(&*what, "UNSUPPORTED", message, Class::Fatal)
    })?;
    direct.ask(Of::Group, group, &what, timeout, ask).await
}

struct Read<'a>(&'a str);
struct Alter<'a> {
    group: &'a str,
    offsets: &'a BTreeMap<TopicPartition, Option<i64>>,
}
struct Delete<'a>(&'a str);

#[async_trait]
impl Ask for Read<'_> {
    type Answer = GroupOffsets;

    async fn ask(&self, coordinator: &mut Connection) -> Result<GroupOffsets> {
        let what = "reading a group's offsets";
        // No topics: all of them. Up to the version that asks for one group.
        let request = OffsetFetchRequest::default()
            .with_group_id(id(self.0))
            .with_topics(None);
        let answer = coordinator.ask(&request, 2..=7).await?;
        check(what, answer.error_code, None)?;
        let mut offsets = BTreeMap::new();
        for topic in answer.topics {
            for found in topic.partitions {
                check(what, found.error_code, None)?;
                // -1: nothing is committed.
                if found.committed_offset >= 0 {
                    let partition = TopicPartition {
                        topic: topic.name.as_str().into(),
                        partition: found.partition_index,
                    };
                    offsets.insert(partition, found.committed_offset);
                }
            }
        }
        Ok(offsets)
    }
}

#[async_trait]
impl Ask for Alter<'_> {
    type Answer = ();

    async fn ask(&self, coordinator: &mut Connection) -> Result<()> {
        let what = "changing a group's offsets";
        let mut commits: BTreeMap<&str, Vec<OffsetCommitRequestPartition>> = BTreeMap::new();
        let mut deletions: BTreeMap<&str, Vec<OffsetDeleteRequestPartition>> = BTreeMap::new();
        for (partition, offset) in self.offsets {
            let (topic, index) = (&*partition.topic, partition.partition);
            match offset {
                Some(offset) => commits.entry(topic).or_default().push(
                    OffsetCommitRequestPartition::default()
                        .with_partition_index(index)
                        .with_committed_offset(*offset)
                        .with_committed_leader_epoch(-1)
                        .with_committed_metadata(Some(StrBytes::default())),
                ),
                None => deletions
                    .entry(topic)
                    .or_default()
                    .push(OffsetDeleteRequestPartition::default().with_partition_index(index)),
            }
        }
        if !commits.is_empty() {
            let topics = commits.into_iter().map(|(topic, partitions)| {
                OffsetCommitRequestTopic::default()
                    .with_name(name(topic))
                    .with_partitions(partitions)
            });
            // Nobody's generation: only a group without members takes it.
            let request = OffsetCommitRequest::default()
                .with_group_id(id(self.group))
                .with_generation_id_or_member_epoch(-1)
                .with_topics(topics.collect());
            let answer = coordinator.ask(&request, 2..=8).await?;
            for partition in answer.topics.iter().flat_map(|topic| &topic.partitions) {
                check(what, partition.error_code, None)?;
            }
        }
        if !deletions.is_empty() {
            let topics = deletions.into_iter().map(|(topic, partitions)| {
                OffsetDeleteRequestTopic::default()
                    .with_name(name(topic))
                    .with_partitions(partitions)
            });
            let request = OffsetDeleteRequest::default()
                .with_group_id(id(self.group))
                .with_topics(topics.collect());
            let answer = coordinator.ask(&request, 0..=0).await?;
            // A group that is not there has nothing to delete.
            if !is_gone(answer.error_code) {
                check(what, answer.error_code, None)?;
            }
            for partition in answer.topics.iter().flat_map(|topic| &topic.partitions) {
                check(what, partition.error_code, None)?;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Ask for Delete<'_> {
    type Answer = ();

    async fn ask(&self, coordinator: &mut Connection) -> Result<()> {
        let request = DeleteGroupsRequest::default().with_groups_names(vec![id(self.0)]);
        let answer = coordinator.ask(&request, 0..=2).await?;
        for found in answer.results.iter().filter(|found| !is_gone(found.error_code)) {
            check("deleting a group", found.error_code, None)?;
        }
        Ok(())
    }
}

fn is_gone(code: i16) -> bool {
    ResponseError::try_from_code(code) == Some(ResponseError::GroupIdNotFound)
}

fn id(group: &str) -> GroupId {
    GroupId(StrBytes::from_string(group.to_owned()))
}

fn name(topic: &str) -> TopicName {
    TopicName(StrBytes::from_string(topic.to_owned()))
}
