//! The fake's group members. The newest member of a group has all partitions of its topics; its predecessor has lost them.

use super::{Cluster, FakeKafka, FakeRecord, Shared, scripted};
use crate::error::{Class, Error, Result};
use crate::port::{ClientConfig, Consumer, ConsumerEvent, FetchBatch, FetchedRecord, GroupMember, Slice};
use async_trait::async_trait;
use dray_connect::sink_batch::{TimestampType, TopicPartition};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// Records per batch where the configuration does not say.
const MAX_RECORDS: usize = 500;

/// A member as the cluster sees it.
#[derive(Debug, Default)]
pub(super) struct Membership {
    id: u64,
    client_id: String,
    /// It is not in the group: somebody made it leave, or it left when it lost its partitions. `assign` lets it join again.
    left: bool,
    leave_when_lost: bool,
    /// It waits for its reader's leave to join, whatever `assign` says.
    out: bool,
    topics: BTreeSet<String>,
    /// Next offset to deliver.
    positions: BTreeMap<TopicPartition, i64>,
    paused: BTreeSet<TopicPartition>,
    /// Being revoked: still this member's to commit, but nothing of them is delivered.
    revoking: BTreeSet<TopicPartition>,
    /// After a scripted revocation new partitions wait for `assign`.
    dormant: bool,
    events: VecDeque<ConsumerEvent>,
}

impl Cluster {
    /// Gives partitions that nobody has yet to the members that subscribed to their topics.
    pub(super) fn assign_new(&mut self) {
        for group in self.groups.values_mut() {
            let Some(member) = group.member.as_mut().filter(|member| !member.dormant && !member.out) else {
                continue;
            };
            let mut assigned = Vec::new();
            for (name, topic) in self.topics.iter().filter(|(name, _)| member.topics.contains(*name)) {
                let name: Arc<str> = Arc::from(name.as_str());
                for partition in 0..topic.partitions.len() as i32 {
                    let partition = TopicPartition {
                        topic: Arc::clone(&name),
                        partition,
                    };
                    if member.positions.contains_key(&partition) {
                        continue;
                    }
                    let committed = group.committed.get(&partition).copied();
                    member.positions.insert(partition.clone(), committed.unwrap_or(0));
                    assigned.push((partition, committed));
                }
            }
            if !assigned.is_empty() {
                member.events.push_back(ConsumerEvent::Assigned(assigned));
            }
        }
    }

    pub(super) fn members(&self, group: &str) -> Vec<GroupMember> {
        let member = self.groups.get(group).and_then(|group| group.member.as_ref());
        let member = member.filter(|member| !member.left).map(|member| GroupMember {
            id: member.id.to_string(),
            client_id: member.client_id.clone(),
            classic: false,
        });
        member.into_iter().collect()
    }

    pub(super) fn leave(&mut self, group: &str, members: &[GroupMember]) {
        let Some(member) = self.groups.get_mut(group).and_then(|group| group.member.as_mut()) else {
            return;
        };
        if members.iter().any(|gone| gone.id == member.id.to_string()) {
            member.left = true;
            member.lose();
        }
    }

    fn member(&mut self, group: &str, id: u64) -> Option<&mut Membership> {
        self.groups
            .get_mut(group)?
            .member
            .as_mut()
            .filter(|member| member.id == id)
    }
}

impl Membership {
    fn drop_partitions(&mut self, partitions: &BTreeSet<TopicPartition>) {
        self.positions.retain(|partition, _| !partitions.contains(partition));
        self.paused.retain(|partition| !partitions.contains(partition));
    }

    fn lose(&mut self) {
        self.dormant = true;
        self.left |= self.leave_when_lost;
        self.out = self.leave_when_lost;
        let partitions: BTreeSet<_> = self.positions.keys().cloned().collect();
        self.drop_partitions(&partitions);
        self.revoking.clear();
        self.events
            .push_back(ConsumerEvent::Lost(partitions.into_iter().collect()));
    }

    /// The next records of partitions that are neither paused nor being revoked.
    fn fetch(&mut self, topics: &BTreeMap<String, super::Topic>, limit: usize) -> Option<FetchBatch> {
        let (mut batch, mut data) = (FetchBatch::default(), Vec::new());
        for (partition, position) in &mut self.positions {
            if self.paused.contains(partition) || self.revoking.contains(partition) {
                continue;
            }
            let log = topics
                .get(&*partition.topic)
                .and_then(|t| t.partitions.get(partition.partition as usize));
            let records = log
                .and_then(|log| log.get(usize::try_from(*position).unwrap_or(0)..))
                .unwrap_or_default();
            for record in records.iter().take(limit - batch.records.len()) {
                let topic = match batch.topics.iter().position(|topic| *topic == partition.topic) {
                    Some(index) => index,
                    None => {
                        batch.topics.push(Arc::clone(&partition.topic));
                        batch.topics.len() - 1
                    }
                };
                push(&mut batch, &mut data, topic as u32, record);
                *position = record.offset + 1;
            }
        }
        batch.data = data.into();
        (!batch.records.is_empty()).then_some(batch)
    }
}

fn push(batch: &mut FetchBatch, data: &mut Vec<u8>, topic: u32, record: &FakeRecord) {
    let mut copy = |bytes: &[u8]| -> Slice {
        let start = data.len() as u32;
        data.extend_from_slice(bytes);
        start..data.len() as u32
    };
    let first = batch.headers.len() as u32;
    for (key, value) in &record.headers {
        let key = copy(key.as_bytes());
        batch.headers.push((key, value.as_deref().map(&mut copy)));
    }
    batch.records.push(FetchedRecord {
        topic,
        partition: record.partition,
        offset: record.offset,
        timestamp: Some(record.timestamp),
        timestamp_type: TimestampType::CreateTime,
        key: record.key.as_deref().map(&mut copy),
        value: record.value.as_deref().map(&mut copy),
        headers: first..batch.headers.len() as u32,
    });
}

impl FakeKafka {
    /// Takes all partitions from the group's member. It is asked first; `assign` gives them back.
    pub fn revoke(&self, group: &str) {
        self.shared.change(|cluster| {
            let Some(member) = cluster.groups.get_mut(group).and_then(|group| group.member.as_mut()) else {
                return;
            };
            member.dormant = true;
            member.revoking = member.positions.keys().cloned().collect();
            member
                .events
                .push_back(ConsumerEvent::Revoked(member.positions.keys().cloned().collect()));
        });
    }

    /// Takes all partitions from the group's member without asking; `assign` gives them back.
    pub fn lose(&self, group: &str) {
        self.shared.change(|cluster| {
            let Some(member) = cluster.groups.get_mut(group).and_then(|group| group.member.as_mut()) else {
                return;
            };
            member.lose();
        });
    }

    /// Gives the group's member all partitions again, from the committed offsets.
    pub fn assign(&self, group: &str) {
        self.shared.change(|cluster| {
            if let Some(member) = cluster.groups.get_mut(group).and_then(|group| group.member.as_mut()) {
                (member.dormant, member.left) = (false, false);
            }
            cluster.assign_new();
        });
    }

    /// Has the group's member report an error.
    pub fn consumer_error(&self, group: &str, class: Class) {
        self.shared.change(|cluster| {
            if let Some(member) = cluster.groups.get_mut(group).and_then(|group| group.member.as_mut()) {
                member
                    .events
                    .push_back(ConsumerEvent::Error(scripted("consuming", class)));
            }
        });
    }
}

/// A group member.
pub(super) struct FakeConsumer {
    shared: Arc<Shared>,
    group: String,
    id: u64,
    max_records: usize,
    /// What this member owned when a newer one took over is reported once.
    replaced: bool,
}

impl FakeConsumer {
    pub(super) fn join(shared: Arc<Shared>, config: &ClientConfig, topics: &[String]) -> Result<Self> {
        let Some(group) = config.get("group.id").cloned() else {
            return Err(scripted("joining a group without `group.id`", Class::Fatal));
        };
        let max_records = config
            .get("max.poll.records")
            .and_then(|n| n.parse().ok())
            .unwrap_or(MAX_RECORDS)
            .max(1);
        let id = shared.change(|cluster| {
            let id = cluster.id();
            let member = Membership {
                id,
                client_id: config.get("client.id").cloned().unwrap_or_default(),
                topics: topics.iter().cloned().collect(),
                ..Membership::default()
            };
            cluster.groups.entry(group.clone()).or_default().member = Some(member);
            cluster.assign_new();
            id
        });
        Ok(Self {
            shared,
            group,
            id,
            max_records,
            replaced: false,
        })
    }

    fn on_member(&self, what: &str, act: impl FnOnce(&mut Membership) -> Result<()>) -> Result<()> {
        let gone = || Err(not_assigned(what, "this member"));
        self.shared
            .change(|cluster| cluster.member(&self.group, self.id).map_or_else(gone, act))
    }
}

fn not_assigned(what: &str, partition: impl std::fmt::Display) -> Error {
    Error {
        what: what.to_owned(),
        code: "NOT_ASSIGNED".to_owned(),
        message: format!("{partition} is not assigned to this member"),
        class: Class::Fenced,
    }
}

fn all_assigned<'a>(
    what: &str,
    member: &Membership,
    partitions: impl IntoIterator<Item = &'a TopicPartition>,
) -> Result<()> {
    match partitions
        .into_iter()
        .find(|partition| !member.positions.contains_key(*partition))
    {
        Some(partition) => Err(not_assigned(what, partition)),
        None => Ok(()),
    }
}

#[async_trait]
impl Consumer for FakeConsumer {
    async fn event(&mut self) -> ConsumerEvent {
        let Self {
            shared,
            group,
            id,
            max_records,
            replaced,
        } = self;
        shared
            .wait(|cluster| {
                let found = cluster.groups.get_mut(group).and_then(|group| group.member.as_mut())?;
                if found.id != *id {
                    // The newer member has the same topics, or the test would not ask.
                    let lost = found.positions.keys().cloned().collect();
                    return (!std::mem::replace(replaced, true)).then_some(ConsumerEvent::Lost(lost));
                }
                if let Some(event) = found.events.pop_front() {
                    return Some(event);
                }
                found.fetch(&cluster.topics, *max_records).map(ConsumerEvent::Records)
            })
            .await
    }

    async fn revoked(&mut self) {
        self.shared.change(|cluster| {
            if let Some(member) = cluster.member(&self.group, self.id) {
                let partitions = std::mem::take(&mut member.revoking);
                member.drop_partitions(&partitions);
            }
            // `assign` may have been called before the answer came.
            cluster.assign_new();
        });
    }

    async fn commit(&mut self, offsets: &BTreeMap<TopicPartition, i64>) -> Result<()> {
        let what = "committing offsets";
        self.shared.change(|cluster| {
            if let Some(class) = cluster.commit_failures.pop_front() {
                return Err(scripted(what, class));
            }
            let member = cluster
                .member(&self.group, self.id)
                .ok_or_else(|| not_assigned(what, "this member"))?;
            all_assigned(what, member, offsets.keys())?;
            if let Some(group) = cluster.groups.get_mut(&self.group) {
                group
                    .committed
                    .extend(offsets.iter().map(|(partition, offset)| (partition.clone(), *offset)));
            }
            Ok(())
        })
    }

    async fn seek(&mut self, partition: &TopicPartition, offset: i64) -> Result<()> {
        self.on_member("seeking", |member| {
            let position = member
                .positions
                .get_mut(partition)
                .ok_or_else(|| not_assigned("seeking", partition))?;
            *position = offset;
            Ok(())
        })
    }

    async fn pause(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        self.on_member("pausing", |member| {
            all_assigned("pausing", member, partitions)?;
            member.paused.extend(partitions.iter().cloned());
            Ok(())
        })
    }

    async fn resume(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        self.on_member("resuming", |member| {
            all_assigned("resuming", member, partitions)?;
            member.paused.retain(|partition| !partitions.contains(partition));
            Ok(())
        })
    }

    async fn subscribe(&mut self, topics: &[String]) -> Result<()> {
        self.on_member("subscribing", |member| {
            member.topics = topics.iter().cloned().collect();
            let gone = |partition: &&TopicPartition| !topics.iter().any(|topic| **topic == *partition.topic);
            let gone: BTreeSet<_> = member.positions.keys().filter(gone).cloned().collect();
            if !gone.is_empty() {
                member
                    .events
                    .push_back(ConsumerEvent::Revoked(gone.iter().cloned().collect()));
                member.revoking.extend(gone);
            }
            Ok(())
        })?;
        self.shared.change(Cluster::assign_new);
        Ok(())
    }

    fn ends(&self) -> BTreeMap<TopicPartition, i64> {
        self.shared.change(|cluster| {
            let member = cluster.groups.get(&self.group).and_then(|group| group.member.as_ref());
            let positions = member
                .filter(|member| member.id == self.id)
                .map(|member| &member.positions);
            let end = |partition: &TopicPartition| {
                let topic = cluster.topics.get(&*partition.topic)?;
                let records = topic.partitions.get(usize::try_from(partition.partition).ok()?)?;
                Some((partition.clone(), records.len() as i64))
            };
            positions.into_iter().flat_map(BTreeMap::keys).filter_map(end).collect()
        })
    }

    fn leave_when_lost(&mut self) {
        self.shared.change(|cluster| {
            if let Some(member) = cluster.member(&self.group, self.id) {
                member.leave_when_lost = true;
            }
        });
    }

    async fn rejoin(&mut self) -> Result<()> {
        self.shared.change(|cluster| {
            if let Some(member) = cluster.member(&self.group, self.id)
                && std::mem::take(&mut member.out)
            {
                (member.dormant, member.left) = (false, false);
            }
            cluster.assign_new();
        });
        Ok(())
    }

    async fn close(self: Box<Self>) {}
}

impl Drop for FakeConsumer {
    fn drop(&mut self) {
        self.shared.change(|cluster| {
            if let Some(group) = cluster.groups.get_mut(&self.group) {
                group.member.take_if(|member| member.id == self.id);
            }
        });
    }
}
