//! Reading all of a topic to its end, without a group: where its partitions end is asked first, one request a leader, and then only what
//! lies before that is fetched.

use super::answer::{self, Answer, Partition};
use super::backoff;
use super::offsets::{Asked, End, list_offsets};
use super::reading::unreadable;
use crate::codes::{self, local};
use crate::error::{Class, Error, Result};
use crate::port::{ClientConfig, TailRecord, TopicTail};
use crate::rd::client::translated;
use crate::rd::config::Role;
use crate::wire::batch::decode::{Malformed, Most, Records, next_position};
use crate::wire::cluster::{Cluster, Purpose};
use crate::wire::connection::answer_header;
use crate::wire::frame::Frame;
use crate::wire::metadata::{Metadata, TopicId};
use async_trait::async_trait;
use dray_connect::sink_batch::TopicPartition;
use futures::future::join_all;
use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::FetchRequest;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::protocol::StrBytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

const FETCH_BYTES: i32 = 8 << 20;
const PARTITION_BYTES: i32 = 1 << 20;
/// How long the broker waits for the end of a transaction before it says that there is nothing yet.
const WAIT_MS: i32 = 100;
/// An answer may take this much longer than the broker was told to wait.
const PATIENCE: Duration = Duration::from_secs(30);
const MOST: Most = Most {
    records: 2000,
    bytes: 1 << 20,
};

type Visit<'a> = dyn for<'b> FnMut(TailRecord<'b>) + Send + 'a;

/// A reader of a topic over our own connections.
pub(crate) struct WireTail {
    cluster: Arc<Cluster>,
    topic: Arc<str>,
    read_committed: bool,
    /// The topic that `next` is of: one that was created anew under its name is read from its beginning.
    id: TopicId,
    /// Where to go on, by partition. Moves only with what was visited.
    next: BTreeMap<i32, i64>,
}

/// One call.
#[derive(Default)]
struct Call {
    /// Where the partitions ended that are not read so far yet; none before that was asked.
    ends: Option<BTreeMap<i32, i64>>,
    /// Nothing is there but what transactions have not decided.
    waits: bool,
    /// What it met last.
    last: Option<Error>,
}

impl WireTail {
    /// # Errors
    /// When a setting is not what it should be.
    pub(crate) fn new(cluster: Arc<Cluster>, topic: &str, config: &ClientConfig) -> Result<Self> {
        let settings = translated(config, Role::Consumer)?.settings;
        Ok(Self {
            cluster,
            topic: Arc::from(topic),
            read_committed: settings
                .get("isolation.level")
                .is_some_and(|level| level == "read_committed"),
            id: TopicId::nil(),
            next: BTreeMap::new(),
        })
    }

    fn what(&self) -> String {
        format!("reading topic `{}`", self.topic)
    }

    /// Asks where it ends, if that was not said yet, and reads up to there.
    async fn turn(&mut self, call: &mut Call, visit: &mut Visit<'_>) -> Result<()> {
        let metadata = self.cluster.refresh(std::slice::from_ref(&self.topic)).await?;
        let Some(topic) = metadata.topics.get(&self.topic) else {
            let code = metadata.refused.get(&self.topic);
            let code = code.map_or(Code::UnknownTopicOrPartition.code(), |refusal| refusal.code);
            return Err(codes::error(self.what(), code, None));
        };
        if topic.id != self.id {
            self.id = topic.id;
            self.next.clear();
            call.ends = None;
        }
        if call.ends.is_none() {
            let partitions = 0..i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
            let mut ends = self.offsets(&metadata, End::Latest, partitions).await?;
            for (partition, end) in &ends {
                let next = self.next.entry(*partition).or_default();
                // What was read is not there any more: an election that lost records.
                if *next > *end {
                    *next = 0;
                }
            }
            ends.retain(|partition, end| self.next[partition] < *end);
            call.ends = Some(ends);
        }
        loop {
            let ends = call.ends.get_or_insert_default();
            if ends.is_empty() {
                return Ok(());
            }
            let leaders = self.by_leader(&metadata, ends.keys().copied())?;
            let wait_ms = if call.waits { WAIT_MS } else { 0 };
            let fetches = leaders
                .iter()
                .map(|(leader, partitions)| self.fetch(*leader, partitions, wait_ms));
            call.waits = true;
            for answer in join_all(fetches).await {
                self.take(answer?, &metadata, call, visit).await?;
            }
        }
    }

    /// The leaders of these partitions, with the epochs of each.
    fn by_leader(
        &self,
        metadata: &Metadata,
        partitions: impl Iterator<Item = i32>,
    ) -> Result<BTreeMap<i32, Vec<(i32, i32)>>> {
        let mut leaders: BTreeMap<i32, Vec<(i32, i32)>> = BTreeMap::new();
        for partition in partitions {
            let known = metadata.partition(&self.topic, partition);
            let leader = metadata.leader(&self.topic, partition);
            let (Some(known), Some(leader)) = (known, leader) else {
                let what = format!("reading {}-{partition}", self.topic);
                return Err(codes::error(what, Code::LeaderNotAvailable.code(), None));
            };
            leaders.entry(leader).or_default().push((partition, known.epoch));
        }
        Ok(leaders)
    }

    /// Where these partitions begin or end, whatever transactions have decided.
    async fn offsets(
        &self,
        metadata: &Metadata,
        end: End,
        partitions: impl Iterator<Item = i32>,
    ) -> Result<BTreeMap<i32, i64>> {
        let leaders = self.by_leader(metadata, partitions)?;
        let asks = leaders.iter().map(|(leader, partitions)| {
            let asked = partitions.iter().map(|(partition, leader_epoch)| Asked {
                topic: &self.topic,
                partition: *partition,
                leader_epoch: *leader_epoch,
            });
            list_offsets(&self.cluster, *leader, (end, false), asked)
        });
        let mut found = BTreeMap::new();
        for answer in join_all(asks).await {
            for ((_, partition), offset) in answer? {
                found.insert(partition, offset?);
            }
        }
        let asked: usize = leaders.values().map(Vec::len).sum();
        if found.len() != asked {
            let message = format!("of {asked} partitions the answer has {}", found.len());
            return Err(local(self.what(), "PROTOCOL", message, Class::Retriable));
        }
        Ok(found)
    }

    async fn fetch(&self, leader: i32, partitions: &[(i32, i32)], wait_ms: i32) -> Result<Answer> {
        let connection = self.cluster.connection(leader, Purpose::Tail).await?;
        let version = connection.version::<FetchRequest>(&(13..=17)).ok_or_else(|| {
            let message = "the broker does not serve Fetch in a version with topic ids (3.1 and later)";
            local(self.what(), "UnsupportedVersion", message, Class::Fatal)
        })?;
        let partition = |(partition, epoch): &(i32, i32)| {
            FetchPartition::default()
                .with_partition(*partition)
                .with_current_leader_epoch(*epoch)
                .with_fetch_offset(self.next.get(partition).copied().unwrap_or_default())
                .with_partition_max_bytes(PARTITION_BYTES)
        };
        let topic = FetchTopic::default()
            .with_topic_id(self.id)
            .with_partitions(partitions.iter().map(partition).collect());
        let request = FetchRequest::default()
            .with_max_wait_ms(wait_ms)
            .with_min_bytes(1)
            .with_max_bytes(FETCH_BYTES)
            .with_isolation_level(i8::from(self.read_committed))
            .with_session_epoch(-1) // Without a session.
            .with_topics(vec![topic]);
        let frame = Frame::of(&request, version, &StrBytes::from_static_str("dray-fetch"))?;
        let mut answer = connection.send(frame, PATIENCE)?.await?;
        answer_header::<FetchRequest>(&mut answer, version)?;
        let answer = answer::read(&answer)
            .map_err(|error| local(self.what(), "PROTOCOL", error.to_string(), Class::Retriable))?;
        codes::check(self.what(), answer.error, None)?;
        Ok(answer)
    }

    /// Visits what an answer brings.
    async fn take(
        &mut self,
        answer: Answer,
        metadata: &Metadata,
        call: &mut Call,
        visit: &mut Visit<'_>,
    ) -> Result<()> {
        // One partition's records may have left no room for another's.
        let is_empty = answer.partitions.iter().all(|share| share.records.is_empty());
        let mut gone = Vec::new();
        for share in answer.partitions {
            let partition = share.partition;
            let what = || format!("reading {}-{partition}", self.topic);
            match Code::try_from_code(share.error) {
                None => {}
                Some(Code::OffsetOutOfRange) => {
                    gone.push(partition);
                    continue;
                }
                Some(_) => return Err(codes::error(what(), share.error, None)),
            }
            let Some(end) = call.ends.as_ref().and_then(|ends| ends.get(&partition)).copied() else {
                continue;
            };
            if is_empty && share.last_stable >= end {
                // Compaction has left nothing there.
                self.reached(call, partition, end);
            } else if is_empty {
                let message = format!("a transaction is open in partition {partition}, which has records up to {end}");
                call.last = Some(local(self.what(), "OPEN_TRANSACTION", message, Class::Retriable));
            } else {
                let next = self.visit(share, visit)?;
                call.waits = false;
                self.reached(call, partition, next);
            }
        }
        if !gone.is_empty() {
            for (partition, first) in self.offsets(metadata, End::Earliest, gone.into_iter()).await? {
                self.reached(call, partition, first);
            }
            call.waits = false;
        }
        Ok(())
    }

    /// Visits one partition's records; the offset behind them.
    fn visit(&self, share: Partition, visit: &mut Visit<'_>) -> Result<i64> {
        let position = self.next.get(&share.partition).copied().unwrap_or_default();
        let next = next_position(&share.records, position);
        let aborted = self.read_committed.then_some(share.aborted);
        let mut records = Records::new(share.records, position, aborted);
        loop {
            let batch = records.take(&self.topic, share.partition, MOST);
            let Some(batch) = batch.map_err(|malformed| self.malformed(share.partition, &malformed))? else {
                return Ok(next);
            };
            for record in &batch.records {
                visit(TailRecord {
                    partition: record.partition,
                    offset: record.offset,
                    key: record.key.as_ref().map(|key| batch.bytes(key)),
                    value: record.value.as_ref().map(|value| batch.bytes(value)),
                });
            }
        }
    }

    fn malformed(&self, partition: i32, malformed: &Malformed) -> Error {
        let topic = Arc::clone(&self.topic);
        unreadable(&TopicPartition { topic, partition }, malformed)
    }

    fn reached(&mut self, call: &mut Call, partition: i32, next: i64) {
        self.next.insert(partition, next);
        if let Some(ends) = &mut call.ends
            && ends.get(&partition).is_some_and(|end| next >= *end)
        {
            ends.remove(&partition);
        }
    }
}

#[async_trait]
impl TopicTail for WireTail {
    async fn read_to_end(
        &mut self,
        timeout: Duration,
        visit: &mut (dyn for<'a> FnMut(TailRecord<'a>) + Send),
    ) -> Result<()> {
        let deadline = Instant::now() + timeout;
        let mut call = Call::default();
        let mut failures = 0;
        loop {
            let error = match timeout_at(deadline, self.turn(&mut call, visit)).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => error,
                Err(_) => {
                    let over = || codes::error(self.what(), Code::RequestTimedOut.code(), None);
                    return Err(call.last.take().unwrap_or_else(over));
                }
            };
            failures += 1;
            let is_missing = error.code == "UnknownTopicOrPartition";
            if !error.is_retriable() || is_missing || deadline <= Instant::now() + backoff(failures) {
                return Err(error);
            }
            tracing::debug!(%error, topic = %self.topic, "a topic could not be read to its end yet");
            call.last = Some(error);
            call.waits = false;
            sleep(backoff(failures)).await;
        }
    }
}
