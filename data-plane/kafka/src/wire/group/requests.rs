//! What a member asks its coordinator: heartbeats, what the group has committed, commits. They go over a few connections to that broker
//! that all members of the process share.

use super::by_id::{self, Asker, Committed};
use super::machine::{Answer, Heartbeat, Place, Refused};
use crate::codes;
use crate::error::{Class, Error, Result};
use crate::wire::cluster::{Cluster, Of, Purpose};
use crate::wire::connection::{Connection, answer_header};
use crate::wire::dial::unfit;
use crate::wire::frame::Frame;
use crate::wire::reader::{Reader, Short};
use bytes::BytesMut;
use dray_connect::sink_batch::TopicPartition;
use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::consumer_group_heartbeat_request::TopicPartitions;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use kafka_protocol::messages::{
    ConsumerGroupHeartbeatRequest, GroupId, OffsetCommitRequest, OffsetFetchRequest, TopicName,
};
use kafka_protocol::protocol::{Request, StrBytes};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash as _, Hasher as _};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// From this version on the client makes the member's id, so that a join that is asked for twice is one member.
const HEARTBEAT: RangeInclusive<i16> = 1..=1;
/// Commits and committed offsets, with member epochs: topics by name, and by id.
const BY_NAME: RangeInclusive<i16> = 9..=9;
const BY_ID: RangeInclusive<i16> = by_id::VERSION..=by_id::VERSION;
/// Connections to each coordinator. A broker has one request of a connection in hand at a time, and takes some milliseconds for a join or
/// a commit: on one connection a thousand sinks that commit every second would queue.
const SHARES: u64 = 16;
/// The epoch with which a member says that it leaves.
const LEAVE: i32 = -1;

/// A member, as its coordinator is told of it.
#[derive(Debug)]
pub(super) struct Coordinated {
    pub(super) cluster: Arc<Cluster>,
    pub(super) group: String,
    pub(super) member: String,
    pub(super) client: StrBytes,
    pub(super) rack: Option<String>,
    /// `group.remote.assignor`.
    pub(super) assignor: Option<String>,
    pub(super) rebalance_timeout: Duration,
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

impl Coordinated {
    fn what(&self, what: &str) -> String {
        format!("{what}, group `{}`", self.group)
    }

    async fn coordinator(&self) -> Result<Arc<Connection>> {
        let broker = self.cluster.coordinator(Of::Group, &self.group).await?;
        let mut hasher = std::hash::DefaultHasher::new();
        self.group.hash(&mut hasher);
        let share = (hasher.finish() % SHARES) as u32;
        let connection = self.cluster.connection(broker, Purpose::Group(share)).await;
        if connection.is_err() {
            self.cluster.forget_coordinator(Of::Group, &self.group);
        }
        connection
    }

    async fn ask<R: Request>(&self, request: &R, versions: RangeInclusive<i16>) -> Result<R::Response> {
        let connection = self.coordinator().await?;
        self.ask_there(&connection, request, versions).await
    }

    async fn ask_there<R: Request>(
        &self,
        coordinator: &Connection,
        request: &R,
        versions: RangeInclusive<i16>,
    ) -> Result<R::Response> {
        let timeout = self.cluster.timing().request;
        let answer = coordinator.ask(&self.client, request, versions, timeout).await;
        if answer.is_err() {
            // It may be another broker's by now.
            self.cluster.forget_coordinator(Of::Group, &self.group);
        }
        answer
    }

    /// What a code means for the request that it answers.
    fn check(&self, what: &str, code: i16, message: Option<&str>) -> Result<()> {
        if code == 0 {
            return Ok(());
        }
        if matches!(
            Code::try_from_code(code),
            Some(Code::NotCoordinator | Code::CoordinatorNotAvailable)
        ) {
            self.cluster.forget_coordinator(Of::Group, &self.group);
        }
        codes::check(self.what(what), code, message)
    }

    pub(super) async fn heartbeat(&self, beat: Heartbeat) -> Result<Answer, Refused> {
        let joining = beat.epoch == 0;
        let unsupported = |error: Error| {
            let message = "the broker has no groups of the new protocol (KIP-848)";
            let what = format!("joining the group `{}`", self.group);
            tracing::debug!(%error, "no KIP-848");
            Refused::Unsupported(codes::local(what, "UnsupportedFeature", message, Class::Fatal))
        };
        let coordinator = self.coordinator().await.map_err(|error| self.broken(error))?;
        if coordinator
            .version::<ConsumerGroupHeartbeatRequest>(&HEARTBEAT)
            .is_none()
        {
            let error = codes::local("joining", "UnsupportedVersion", "not served", Class::Fatal);
            return Err(unsupported(error));
        }
        let what = match &beat.topics {
            // With them what the broker refuses may be one of them; it does not say which.
            Some(topics) => format!("subscribing to `{}`", topics.join("`, `")),
            None => "sending a heartbeat".to_owned(),
        };
        let answer = self
            .ask_there(&coordinator, &self.beat(beat), HEARTBEAT)
            .await
            .map_err(|error| self.broken(error))?;
        if let Err(error) = self.check(&what, answer.error_code, answer.error_message.as_deref()) {
            return Err(match Code::try_from_code(answer.error_code) {
                Some(Code::FencedMemberEpoch | Code::UnknownMemberId) => Refused::Fenced(error),
                // The group has been deleted behind the member's back.
                Some(Code::GroupIdNotFound) if !joining => Refused::Fenced(error),
                Some(Code::UnsupportedVersion) => unsupported(error),
                // Kafka 4.3.1 answers so to some that join a group while a member of the classic protocol does.
                Some(Code::UnknownServerError) => Refused::Broken(error),
                _ if error.class == Class::Retriable => Refused::Quiet(error),
                _ => Refused::Failed(error),
            });
        }
        let places = |assignment: kafka_protocol::messages::consumer_group_heartbeat_response::Assignment| {
            let topics = assignment.topic_partitions.into_iter();
            let places = topics.flat_map(|topic| {
                let id = topic.topic_id;
                topic
                    .partitions
                    .into_iter()
                    .map(move |partition| Place { topic: id, partition })
            });
            places.collect::<BTreeSet<_>>()
        };
        Ok(Answer {
            epoch: answer.member_epoch,
            interval: Duration::from_millis(u64::try_from(answer.heartbeat_interval_ms).unwrap_or(0)),
            assignment: answer.assignment.map(places),
        })
    }

    /// No answer. It is asked again, and told when that lasts; what cannot get better is told at once.
    fn broken(&self, error: Error) -> Refused {
        let what = self.what(&format!("sending a heartbeat: {}", error.what));
        let error = Error { what, ..error };
        if error.class == Class::Retriable {
            Refused::Quiet(error)
        } else {
            Refused::Failed(error)
        }
    }

    fn beat(&self, beat: Heartbeat) -> ConsumerGroupHeartbeatRequest {
        let names = |topics: Vec<String>| {
            topics
                .into_iter()
                .map(|name| TopicName(StrBytes::from_string(name)))
                .collect()
        };
        let owned = |places: BTreeSet<Place>| {
            let mut topics: BTreeMap<Uuid, Vec<i32>> = BTreeMap::new();
            for place in places {
                topics.entry(place.topic).or_default().push(place.partition);
            }
            let topic = |(id, partitions)| TopicPartitions::default().with_topic_id(id).with_partitions(partitions);
            topics.into_iter().map(topic).collect()
        };
        let timeout = i32::try_from(self.rebalance_timeout.as_millis()).unwrap_or(i32::MAX);
        let when_full = |text: &Option<String>| text.clone().filter(|_| beat.full).map(StrBytes::from_string);
        ConsumerGroupHeartbeatRequest::default()
            .with_group_id(GroupId(text(&self.group)))
            .with_member_id(text(&self.member))
            .with_member_epoch(beat.epoch)
            .with_rack_id(when_full(&self.rack))
            .with_server_assignor(when_full(&self.assignor))
            .with_rebalance_timeout_ms(if beat.full { timeout } else { -1 })
            .with_subscribed_topic_names(beat.topics.map(names))
            .with_topic_partitions(beat.owned.map(owned))
    }

    /// Says that the member leaves; that it is gone already is no error.
    pub(super) async fn leave(&self) {
        let request = ConsumerGroupHeartbeatRequest::default()
            .with_group_id(GroupId(text(&self.group)))
            .with_member_id(text(&self.member))
            .with_member_epoch(LEAVE)
            .with_rebalance_timeout_ms(-1)
            .with_subscribed_topic_names(None)
            .with_topic_partitions(None);
        if let Err(error) = self.ask(&request, HEARTBEAT).await {
            tracing::debug!(%error, group = self.group, "could not say that a member leaves");
        }
    }

    fn asker(&self, epoch: i32) -> Asker<'_> {
        let (group, member) = (&*self.group, &*self.member);
        Asker { group, member, epoch }
    }

    /// What the group has committed of these partitions, by topic id where the broker can.
    pub(super) async fn committed(
        &self,
        epoch: i32,
        partitions: &[(Place, TopicPartition)],
    ) -> Result<BTreeMap<Place, i64>, Refused> {
        let what = "reading committed offsets";
        let failed = |error: Error| {
            let what = self.what(&format!("{what}: {}", error.what));
            Refused::Failed(Error { what, ..error })
        };
        let coordinator = self.coordinator().await.map_err(failed)?;
        let committed = if let Some(version) = coordinator.version::<OffsetFetchRequest>(&BY_ID) {
            let write = |out: &mut BytesMut| {
                by_id::write_fetch(out, self.asker(epoch), partitions.iter().map(|(place, _)| *place));
            };
            self.ask_raw::<OffsetFetchRequest, _>(&coordinator, version, write, by_id::read_fetch)
                .await
        } else {
            self.committed_by_name(&coordinator, epoch, partitions).await
        };
        let committed = committed.map_err(failed)?;
        let refused = |code: i16, error: Error| match Code::try_from_code(code) {
            Some(Code::UnknownMemberId | Code::FencedMemberEpoch | Code::IllegalGeneration) => Refused::Fenced(error),
            Some(Code::StaleMemberEpoch) => Refused::Stale(error),
            // A transaction is being ended, the coordinator has just begun, or the topic has just come or gone.
            Some(Code::UnstableOffsetCommit | Code::CoordinatorLoadInProgress | Code::UnknownTopicId) => {
                Refused::Quiet(error)
            }
            _ => Refused::Failed(error),
        };
        self.check(what, committed.code, None)
            .map_err(|error| refused(committed.code, error))?;
        let offsets = committed.partitions.into_iter().map(|(place, offset)| match offset {
            Ok(offset) => Ok((place, offset)),
            // An answer can be whole and yet hold an error for one of the partitions.
            Err(code) => Err(refused(code, codes::error(self.what(what), code, None))),
        });
        offsets.collect()
    }

    async fn committed_by_name(
        &self,
        coordinator: &Connection,
        epoch: i32,
        partitions: &[(Place, TopicPartition)],
    ) -> Result<Committed> {
        let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
        for (_, partition) in partitions {
            topics.entry(&partition.topic).or_default().push(partition.partition);
        }
        let topic = |(name, partitions): (&str, _)| {
            OffsetFetchRequestTopics::default()
                .with_name(TopicName(text(name)))
                .with_partition_indexes(partitions)
        };
        let group = OffsetFetchRequestGroup::default()
            .with_group_id(GroupId(text(&self.group)))
            .with_member_id(Some(text(&self.member)))
            .with_member_epoch(epoch)
            .with_topics(Some(topics.into_iter().map(topic).collect()));
        let request = OffsetFetchRequest::default()
            .with_groups(vec![group])
            .with_require_stable(true);
        let answer = self.ask_there(coordinator, &request, BY_NAME).await?;
        let mut committed = Committed::default();
        for group in answer.groups {
            committed.code = group.error_code;
            for topic in group.topics {
                for partition in topic.partitions {
                    let of = |(_, at): &&(Place, TopicPartition)| {
                        *at.topic == *topic.name.as_str() && at.partition == partition.partition_index
                    };
                    let Some((place, _)) = partitions.iter().find(of) else {
                        continue;
                    };
                    match (partition.error_code, partition.committed_offset) {
                        (0, ..=-1) => {} // Nothing was committed.
                        (0, offset) => committed.partitions.push((*place, Ok(offset))),
                        (code, _) => committed.partitions.push((*place, Err(code))),
                    }
                }
            }
        }
        Ok(committed)
    }

    /// Commits in the name of the member in this epoch, by topic id where the broker can.
    pub(super) async fn commit(&self, epoch: i32, offsets: &[(Place, &TopicPartition, i64)]) -> Result<()> {
        let what = "committing offsets";
        let failed = |error: Error| {
            let what = self.what(&format!("{what}: {}", error.what));
            Error { what, ..error }
        };
        let coordinator = self.coordinator().await.map_err(failed)?;
        let codes = if let Some(version) = coordinator.version::<OffsetCommitRequest>(&BY_ID) {
            let offsets = offsets.iter().map(|(place, _, offset)| (*place, *offset)).collect();
            let write = |out: &mut BytesMut| by_id::write_commit(out, self.asker(epoch), &offsets);
            self.ask_raw::<OffsetCommitRequest, _>(&coordinator, version, write, by_id::read_commit)
                .await
                .map(|codes| codes.into_iter().map(|(_, code)| code).collect())
        } else {
            self.commit_by_name(&coordinator, epoch, offsets).await
        };
        codes
            .map_err(failed)?
            .into_iter()
            .try_for_each(|code| self.check(what, code, None))
    }

    async fn commit_by_name(
        &self,
        coordinator: &Connection,
        epoch: i32,
        offsets: &[(Place, &TopicPartition, i64)],
    ) -> Result<Vec<i16>> {
        let mut topics: BTreeMap<&str, Vec<OffsetCommitRequestPartition>> = BTreeMap::new();
        for (_, partition, offset) in offsets {
            let committed = OffsetCommitRequestPartition::default()
                .with_partition_index(partition.partition)
                .with_committed_offset(*offset)
                .with_committed_metadata(Some(StrBytes::default()));
            topics.entry(&partition.topic).or_default().push(committed);
        }
        let topic = |(name, partitions): (&str, _)| {
            OffsetCommitRequestTopic::default()
                .with_name(TopicName(text(name)))
                .with_partitions(partitions)
        };
        let request = OffsetCommitRequest::default()
            .with_group_id(GroupId(text(&self.group)))
            .with_member_id(text(&self.member))
            .with_generation_id_or_member_epoch(epoch)
            .with_topics(topics.into_iter().map(topic).collect());
        let answer = self.ask_there(coordinator, &request, BY_NAME).await?;
        let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
        Ok(partitions.map(|partition| partition.error_code).collect())
    }

    /// Asks in a version that is written and read here.
    async fn ask_raw<R: Request, T>(
        &self,
        coordinator: &Connection,
        version: i16,
        write: impl FnOnce(&mut BytesMut),
        read: impl FnOnce(Reader<'_>) -> std::result::Result<T, Short>,
    ) -> Result<T> {
        let mut frame = Frame::new::<R>(version, &self.client)?;
        write(&mut frame.body);
        let reply = coordinator.send(frame, self.cluster.timing().request);
        let answer = async {
            let mut answer = reply?.await?;
            answer_header::<R>(&mut answer, version)?;
            read(Reader::new(&answer)).map_err(|Short| unfit(R::KEY, version, &"an answer that does not parse"))
        }
        .await;
        if answer.is_err() {
            // It may be another broker's by now.
            self.cluster.forget_coordinator(Of::Group, &self.group);
        }
        answer
    }
}
