//! The Kafka port: what the runtime needs of Kafka, batch-shaped, with borrowed records in both directions. Nothing of
//! a particular client library shows here, so that another implementation can stand behind it.

mod reader;
mod topic_id;

pub use self::reader::{Assignment, Clients, FetchedWhole, Reader, ReaderEvent, Start};
pub use self::topic_id::{NoTopicId, TopicId};
use crate::error::{Class, Error, Result};
use crate::metrics::ClientMetrics;
use async_trait::async_trait;
use dray_connect::sink_batch::{TimestampType, TopicPartition};
use dray_connect::source_batch::{BatchLimits, WholeBatch};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// Client settings under their Java names, already layered (worker, prefix, override).
pub type ClientConfig = BTreeMap<String, String>;

/// A header of a record to produce.
#[derive(Clone, Copy, Debug)]
pub struct HeaderRef<'a> {
    /// Name.
    pub key: &'a str,
    /// Value; none is a null value.
    pub value: Option<&'a [u8]>,
}

/// A record to produce. Borrowed: the lane copies or encodes it before `produce` returns.
#[derive(Clone, Copy, Debug)]
pub struct ProduceRecord<'a> {
    /// Destination topic.
    pub topic: &'a str,
    /// Destination partition; none lets the partitioner (murmur2, as Java's) choose by key.
    pub partition: Option<i32>,
    /// Milliseconds since the epoch; none lets the client stamp it.
    pub timestamp: Option<i64>,
    /// Key bytes.
    pub key: Option<&'a [u8]>,
    /// Value bytes; none is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Headers in order.
    pub headers: &'a [HeaderRef<'a>],
    /// Comes back in the [`Ack`].
    pub sequence: u64,
}

/// A whole batch to produce.
#[derive(Clone, Copy, Debug)]
pub struct ProduceWhole<'a> {
    /// Destination topic.
    pub topic: &'a str,
    /// Destination partition.
    pub partition: i32,
    /// The batch; its bytes are shared until they are acknowledged.
    pub batch: &'a WholeBatch,
    /// Comes back in the [`Ack`].
    pub sequence: u64,
}

/// The end of a run of produced records: most are stored as they were taken, and so many records cost as much as one.
#[derive(Debug)]
pub struct Ack {
    /// The first record's own number.
    pub sequence: u64,
    /// How many records this is about; those after the first have the sequences that follow.
    pub count: usize,
    /// Where the first is stored, and the others behind it; or why a record, which is then alone, is not. The error is boxed
    /// so that an acknowledgement stays small.
    pub outcome: Result<Delivered, Box<crate::Error>>,
}

impl Ack {
    /// The records' own numbers.
    #[must_use]
    pub fn sequences(&self) -> Range<u64> {
        self.sequence..self.sequence + self.count as u64
    }

    /// Appends the end of one record: to the last run, where it was stored behind it.
    #[inline]
    pub fn append(acks: &mut Vec<Self>, sequence: u64, outcome: Result<Delivered, Box<crate::Error>>) {
        if let (Some(last), Ok(stored)) = (acks.last_mut(), &outcome)
            && let Ok(first) = last.outcome
            && first.partition == stored.partition
            && first.offset + last.count as i64 == stored.offset
            && last.sequence + last.count as u64 == sequence
        {
            last.count += 1;
            return;
        }
        acks.push(Self {
            sequence,
            count: 1,
            outcome,
        });
    }
}

/// Where a produced record is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// Partition.
    pub partition: i32,
    /// Offset; -1 when the broker does not say (`acks=0`).
    pub offset: i64,
}

/// One task's share of a producer. Every record taken by `produce` comes back in exactly one [`Ack`], alone or in a run.
#[async_trait]
pub trait ProducerLane: Send {
    /// Takes records in order and returns how many it took: fewer than given when the queue or this lane's byte quota
    /// is full. Never blocks.
    ///
    /// # Errors
    /// When the first record not taken can never be taken (too large, no such partition, client is broken); the
    /// records before it were taken, and their number is in [`ProduceRefused::taken`].
    fn produce(&mut self, records: &[ProduceRecord<'_>]) -> std::result::Result<usize, ProduceRefused>;

    /// Which whole batches [`pass`](Self::pass) takes; none of a client that encodes every record itself (librdkafka).
    fn passes(&self) -> Option<BatchLimits> {
        None
    }

    /// Takes a whole batch as it is, behind all records taken before: only who produced it, and under which sequence, is written anew.
    /// It comes back as one record, stored at the offset of its first. Returns whether it was taken: not when the queue or the quota is
    /// full, or the topic is not known yet; [`ready`](Self::ready) waits for it. Never blocks.
    ///
    /// # Errors
    /// When it can never be taken.
    fn pass(&mut self, whole: ProduceWhole<'_>) -> Result<bool> {
        Err(Error {
            what: format!("producing a batch to `{}`", whole.topic),
            code: "UNSUPPORTED".to_owned(),
            message: "this client takes records only".to_owned(),
            class: Class::Fatal,
        })
    }

    /// Waits until `produce` or `pass` may take what they did not take. Cancel-safe.
    async fn ready(&mut self);

    /// Waits for at least one acknowledgement and appends all that are there. Waits for ever when nothing is in
    /// flight. Cancel-safe.
    async fn acks(&mut self, out: &mut Vec<Ack>);

    /// Appends the acknowledgements that are there.
    fn try_acks(&mut self, out: &mut Vec<Ack>);

    /// Records taken whose acknowledgement was not yet handed out.
    fn in_flight(&self) -> usize;

    /// What it measures; none of a client that does not tell (librdkafka).
    fn metrics(&self) -> Option<ClientMetrics> {
        None
    }
}

/// Why a record cannot be produced.
#[derive(Debug)]
pub struct ProduceRefused {
    /// Records taken before it.
    pub taken: usize,
    /// The reason.
    pub error: crate::Error,
}

/// A place in the data of a [`FetchBatch`].
pub type Slice = Range<u32>;

/// One fetched record; its bytes lie in [`FetchBatch::data`].
#[derive(Clone, Debug)]
pub struct FetchedRecord {
    /// Index into [`FetchBatch::topics`].
    pub topic: u32,
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
    /// Milliseconds since the epoch.
    pub timestamp: Option<i64>,
    /// What the timestamp means.
    pub timestamp_type: TimestampType,
    /// Key bytes.
    pub key: Option<Slice>,
    /// Value bytes; none is a tombstone.
    pub value: Option<Slice>,
    /// Index range into [`FetchBatch::headers`].
    pub headers: Slice,
}

/// Records of one fetch. Owns their bytes.
#[derive(Debug, Default)]
pub struct FetchBatch {
    /// The bytes of keys, values and headers.
    pub data: bytes::Bytes,
    /// Topic names.
    pub topics: Vec<Arc<str>>,
    /// Header names and values.
    pub headers: Vec<(Slice, Option<Slice>)>,
    /// Records; in offset order within a partition.
    pub records: Vec<FetchedRecord>,
}

impl FetchBatch {
    /// The bytes of a slice.
    #[must_use]
    pub fn bytes(&self, slice: &Slice) -> &[u8] {
        &self.data[slice.start as usize..slice.end as usize]
    }
}

/// What a consumer has to say.
#[derive(Debug)]
pub enum ConsumerEvent {
    /// Records of assigned partitions, none of them fetched before an earlier event took its partition away.
    Records(FetchBatch),
    /// These partitions are now also this member's; with the group's committed offset where there is one.
    Assigned(Vec<(TopicPartition, Option<i64>)>),
    /// These partitions go to another member once [`Consumer::revoked`] is called, or the deadline is over.
    Revoked(Vec<TopicPartition>),
    /// These partitions are already another member's: nothing of them may be committed.
    Lost(Vec<TopicPartition>),
    /// Something went wrong. Retriable ones are for the log and the status; the consumer goes on by itself.
    Error(crate::Error),
}

/// A group member. It keeps its membership by itself: a slow reader of events pauses the partitions, never the
/// heartbeat or the poll loop. Dropping it leaves the group.
#[async_trait]
pub trait Consumer: Send {
    /// The next event; waits for ever when nothing happens. Cancel-safe.
    async fn event(&mut self) -> ConsumerEvent;

    /// Answers a [`ConsumerEvent::Revoked`]: what had to be committed is committed.
    async fn revoked(&mut self);

    /// Commits these offsets (the next to read) for the group and waits for the broker's answer.
    ///
    /// # Errors
    /// As the broker answers; nothing is committed then, or it is unknown on a time-out.
    async fn commit(&mut self, offsets: &BTreeMap<TopicPartition, i64>) -> Result<()>;

    /// Reads a partition from `offset`; records of it that were fetched before are not delivered after this returns.
    ///
    /// # Errors
    /// When the partition is not assigned.
    async fn seek(&mut self, partition: &TopicPartition, offset: i64) -> Result<()>;

    /// Delivers nothing of these partitions until `resume`. Records already on their way may still arrive.
    async fn pause(&mut self, partitions: &[TopicPartition]) -> Result<()>;

    /// Goes on with delivery.
    async fn resume(&mut self, partitions: &[TopicPartition]) -> Result<()>;

    /// Changes the subscription to this list of topics.
    async fn subscribe(&mut self, topics: &[String]) -> Result<()>;

    /// From now on, whenever this member has lost its partitions it leaves the group, and stays out of it until
    /// [`rejoin`](Self::rejoin): it may have lost them because somebody else is to have them. Nothing else rejoins, a changed
    /// subscription neither.
    fn leave_when_lost(&mut self);

    /// Joins the group again after [`ConsumerEvent::Lost`]; nothing for a member that is in it.
    ///
    /// # Errors
    /// When its thread has ended, or the subscription is refused.
    async fn rejoin(&mut self) -> Result<()>;

    /// Where the partitions that it reads end, as the broker said with what was fetched last: high watermarks, or last stable offsets
    /// where only what is committed is read. Empty for a client that does not tell (librdkafka).
    fn ends(&self) -> BTreeMap<TopicPartition, i64> {
        BTreeMap::new()
    }

    /// What it measures; none of a client that does not tell (librdkafka).
    fn metrics(&self) -> Option<ClientMetrics> {
        None
    }

    /// Leaves the group and ends; waits for its thread. Revocation is not reported.
    async fn close(self: Box<Self>);
}

/// A topic to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTopic {
    /// Name.
    pub name: String,
    /// Partitions; -1 is the broker's default.
    pub partitions: i32,
    /// Replication factor; -1 is the broker's default.
    pub replication_factor: i16,
    /// Topic settings.
    pub configs: BTreeMap<String, String>,
}

/// What came of creating a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopicCreation {
    /// It was not there.
    Created,
    /// It was there already.
    Exists,
}

/// Topics: listing, describing, creating.
#[async_trait]
pub trait Admin: Send + Sync {
    /// Topics that exist, with their numbers of partitions.
    async fn topics(&self, timeout: Duration) -> Result<BTreeMap<String, usize>>;

    /// Number of partitions of a topic, none when it does not exist. Never creates it.
    async fn partitions(&self, topic: &str, timeout: Duration) -> Result<Option<usize>>;

    /// Creates a topic.
    async fn create_topic(&self, topic: &NewTopic, timeout: Duration) -> Result<TopicCreation>;

    /// Raises a topic's number of partitions to this one. One that has as many, or more, is an error.
    async fn create_partitions(&self, topic: &str, partitions: usize, timeout: Duration) -> Result<()>;

    /// Which offsets each of the first `partitions` partitions of a topic has: from the first that is kept to behind the last, whatever
    /// transactions have decided. Control records and what was compacted away count too.
    async fn spans(&self, topic: &str, partitions: usize, timeout: Duration) -> Result<Vec<Range<i64>>>;

    /// The settings in force for a topic.
    async fn topic_config(&self, topic: &str, timeout: Duration) -> Result<BTreeMap<String, String>>;

    /// Deletes the records of a topic's partitions that are before these offsets (KIP-107). Some may be deleted when it fails.
    async fn delete_records(&self, topic: &str, before: &BTreeMap<i32, i64>, timeout: Duration) -> Result<()>;

    /// The cluster's own id.
    async fn cluster_id(&self, timeout: Duration) -> Result<String>;
}

/// A record of a tailed topic.
#[derive(Clone, Copy, Debug)]
pub struct TailRecord<'a> {
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
    /// Key bytes.
    pub key: Option<&'a [u8]>,
    /// Value bytes; none is a tombstone.
    pub value: Option<&'a [u8]>,
}

/// Reads all partitions of a topic from the beginning, without a group.
#[async_trait]
pub trait TopicTail: Send {
    /// Delivers everything up to the high watermarks at the time of the call. Where only committed records are read
    /// (`isolation.level=read_committed`), transactions that are open below them are waited for.
    ///
    /// # Errors
    /// When the broker does not answer within `timeout`; what was delivered stays delivered, call again.
    async fn read_to_end(
        &mut self,
        timeout: Duration,
        visit: &mut (dyn for<'a> FnMut(TailRecord<'a>) + Send),
    ) -> Result<()>;
}

/// A record of a transaction. Owned: it waits for the transaction before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRecord {
    /// Destination topic; the partitioner chooses by key.
    pub topic: Arc<str>,
    /// Key bytes.
    pub key: Vec<u8>,
    /// Value bytes; none is a tombstone.
    pub value: Option<Vec<u8>>,
}

/// What came of a transaction.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// All of it is committed.
    Committed,
    /// Nothing of it is committed, surely, and nothing will be. A later try can succeed, unless the error is fatal.
    Aborted(Error),
    /// Whether it is committed is not known, and this producer is of no more use.
    Unknown(Error),
    /// A newer producer has the transactional id: this one will never commit again. Whether this transaction was committed
    /// before is not known; the newer one's owner sees it.
    Fenced(Error),
}

/// The one producer of a transactional id.
#[async_trait]
pub trait TransactionalProducer: Send {
    /// Opens a transaction, sends these records in it and commits it; returns when that has come to its end, however long
    /// the broker is away. Nothing is open while nothing is to be committed, so that nobody's reader waits for it.
    ///
    /// Dropping the future ends nothing: the transaction goes on, and the next call waits for its end.
    async fn commit(&mut self, records: Vec<SessionRecord>) -> Outcome;
}

/// A member of a consumer group, as the group's coordinator describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMember {
    /// The member's id.
    pub id: String,
    /// The `client.id` it joined with.
    pub client_id: String,
    /// It speaks the classic group protocol.
    pub classic: bool,
}

/// What a consumer group has committed.
pub type GroupOffsets = BTreeMap<TopicPartition, i64>;

/// Makes clients. Settings carry Java names; each implementation translates them.
#[async_trait]
pub trait KafkaPort: Send + Sync {
    /// A lane on the producer for these settings, shared with all other lanes of equal settings. `quota` bounds the
    /// bytes (keys, values, headers) that the lane may have in flight; one record is always allowed.
    ///
    /// `owner` is a transactional id that one producer at a time may have. With it, whoever had it before is fenced where that can be
    /// done: from this lane's first record to a partition on, that one's records are refused there, and come back to it with
    /// [`Class::Fenced`]. librdkafka cannot do this without transactions, and does not.
    fn producer_lane(&self, config: &ClientConfig, quota: usize, owner: Option<&str>) -> Result<Box<dyn ProducerLane>>;

    /// A group member, subscribed to `topics`. `prefetch` bounds the bytes that it holds ahead of its reader.
    fn consumer(&self, config: &ClientConfig, topics: &[String], prefetch: usize) -> Result<Box<dyn Consumer>>;

    /// An admin client, shared by equal settings.
    fn admin(&self, config: &ClientConfig) -> Result<Arc<dyn Admin>>;

    /// A reader of all of one topic.
    fn tail(&self, config: &ClientConfig, topic: &str) -> Result<Box<dyn TopicTail>>;

    /// A reader of partitions, without a group: nothing is committed. Nothing is connected before its first event is waited for, and
    /// partitions that do not exist yet are waited for.
    ///
    /// # Errors
    /// When the settings are wrong.
    fn reader(&self, config: &ClientConfig, assignment: Assignment) -> Result<Box<dyn Reader>>;

    /// The id of the cluster that these settings lead to.
    async fn cluster_id(&self, config: &ClientConfig, timeout: Duration) -> Result<String> {
        self.admin(config)?.cluster_id(timeout).await
    }

    /// The producer of a transactional id (`init_transactions`): all earlier ones are fenced, and their open transactions
    /// aborted, when this returns.
    ///
    /// # Errors
    /// Retriable when a later try can succeed. Any other means that there is none to be had: no permission, for example.
    async fn transactional_producer(
        &self,
        config: &ClientConfig,
        transactional_id: &str,
        timeout: Duration,
    ) -> Result<Box<dyn TransactionalProducer>>;

    /// Fences all producers of a transactional id: their open transactions are aborted, and none of them can commit any
    /// more, when this returns.
    ///
    /// # Errors
    /// Retriable when a later try can succeed; whether they are fenced is not known then, and fencing again is safe.
    async fn fence(&self, config: &ClientConfig, transactional_id: &str, timeout: Duration) -> Result<()>;

    /// The members of a consumer group; none when there is no such group.
    async fn group_members(&self, config: &ClientConfig, group: &str, timeout: Duration) -> Result<Vec<GroupMember>>;

    /// Makes these members leave the group, as if they had said so themselves: their partitions go to others at once, and
    /// what they commit later is refused. A member that has left already is no error.
    async fn leave_on_behalf(
        &self,
        config: &ClientConfig,
        group: &str,
        members: &[GroupMember],
        timeout: Duration,
    ) -> Result<()>;

    /// What a consumer group has committed; nothing when there is no such group.
    async fn group_offsets(&self, config: &ClientConfig, group: &str, timeout: Duration) -> Result<GroupOffsets>;

    /// Sets what a group without members has committed; none forgets it. After an error some of it may be set.
    ///
    /// # Errors
    /// `UnknownMemberId`, `GroupSubscribedToTopic` or `NonEmptyGroup` while it has members.
    async fn alter_group_offsets(
        &self,
        config: &ClientConfig,
        group: &str,
        offsets: &BTreeMap<TopicPartition, Option<i64>>,
        timeout: Duration,
    ) -> Result<()>;

    /// Deletes a group without members, with all that it has committed. One that is not there is no error.
    ///
    /// # Errors
    /// `NonEmptyGroup` while it has members.
    async fn delete_group(&self, config: &ClientConfig, group: &str, timeout: Duration) -> Result<()>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(partition: i32, offset: i64) -> Result<Delivered, Box<crate::Error>> {
        Ok(Delivered { partition, offset })
    }

    #[test]
    fn records_that_follow_each_other_are_one_run() {
        let failed = || {
            Err(Box::new(crate::Error {
                what: "producing a record".to_owned(),
                code: "TEST".to_owned(),
                message: "the test asked for it".to_owned(),
                class: Class::Fatal,
            }))
        };
        let mut acks = Vec::new();
        for (sequence, outcome, run) in [
            (5, at(0, 50), 5..6),
            (6, at(0, 51), 5..7),
            (7, at(0, 52), 5..8),
            // Another partition, offset or sequence.
            (8, at(1, 53), 8..9),
            (9, at(1, 55), 9..10),
            (11, at(1, 56), 11..12),
            (12, failed(), 12..13),
            (13, failed(), 13..14),
            (14, at(1, 57), 14..15),
            // Numbers that do not count, and a broker that does not say the offset.
            (14, at(1, 58), 14..15),
            (15, at(0, -1), 15..16),
            (16, at(0, -1), 16..17),
        ] {
            Ack::append(&mut acks, sequence, outcome);
            assert_eq!(acks.last().map(Ack::sequences), Some(run), "{sequence}");
        }
        assert_eq!(acks.iter().map(|ack| ack.count).sum::<usize>(), 12);
    }
}
