//! The dead letter queue of a connector, for people: read, replayed and emptied from outside of its tasks. Nothing here is in a group or
//! commits an offset. How letters are replayed is in `replay`.

mod replay;

pub use self::replay::{Replay, Replayed};

use crate::client_config;
use crate::config::{SinkConfig, SourceConfig};
use crate::validate::Refused;
use crate::worker::Worker;
use dray_connect::ConfigMap;
use dray_connect::sink_batch::TopicPartition;
use dray_kafka::port::{Admin, Assignment, ClientConfig, FetchBatch, FetchedRecord, ReaderEvent, Slice};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// How long one request to Kafka may take; all of a call has 90 s.
const REQUEST: Duration = Duration::from_secs(30);
/// What is not there after this time is not there any more: compacted, or the mark of a transaction.
const SILENCE: Duration = Duration::from_secs(3);
/// Bytes that a reader holds ahead.
const PREFETCH: usize = 4 << 20;
/// Bytes of letters that are read for one answer; one that goes beyond is still in it.
const ANSWER: usize = 4 << 20;
/// Letters in one answer.
pub const MOST: usize = 1_000;

/// What the partitions of a queue hold: the first offset, and the one behind the last.
pub type Bounds = BTreeMap<i32, Range<i64>>;

/// A letter as it lies in its queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredLetter {
    /// Partition of the queue.
    pub partition: i32,
    /// Offset in it.
    pub offset: i64,
    /// Milliseconds since the epoch.
    pub timestamp: Option<i64>,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value.
    pub value: Option<Vec<u8>>,
    /// The record's own headers, then those that say why it is here.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

impl StoredLetter {
    /// The text of a header; of several the last, which is the one that the queue's writer has added.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().rev().find(|(key, _)| key == name)?;
        std::str::from_utf8(found.1.as_deref()?).ok()
    }

    fn bytes(&self) -> usize {
        let of = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        let headers = self.headers.iter().map(|(name, value)| name.len() + of(value));
        of(&self.key) + of(&self.value) + headers.sum::<usize>()
    }
}

/// Which letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The newest ones.
    Newest(usize),
    /// Those of a partition from an offset on.
    From(i32, i64, usize),
}

/// A queue and some of its letters, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Letters {
    /// Its topic.
    pub topic: String,
    /// What it holds.
    pub bounds: Bounds,
    /// The letters.
    pub letters: Vec<StoredLetter>,
}

impl Worker {
    /// Letters of a connector's queue. One that nobody has written to yet is empty.
    ///
    /// # Errors
    /// When the connector has no queue, or Kafka does not answer.
    pub async fn letters(&self, config: &ConfigMap, wanted: Wanted) -> Result<Letters, Refused> {
        let topic = self.queue(config)?;
        let bounds = self.bounds(config, &topic).await?;
        let ranges: Bounds = match wanted {
            Wanted::Newest(count) => {
                let newest = |bound: &Range<i64>| bound.start.max(bound.end - count.min(MOST) as i64)..bound.end;
                bounds
                    .iter()
                    .map(|(partition, bound)| (*partition, newest(bound)))
                    .collect()
            }
            Wanted::From(partition, offset, count) => {
                let bound = bounds.get(&partition).cloned().unwrap_or_default();
                let start = offset.clamp(bound.start, bound.end);
                [(partition, start..bound.end.min(start + count.min(MOST) as i64))].into()
            }
        };
        let newest = matches!(wanted, Wanted::Newest(_));
        let mut letters = Vec::from(self.read(config, &topic, ranges, newest).await?);
        letters.sort_by_key(|letter| (letter.timestamp, letter.partition, letter.offset));
        if let Wanted::Newest(count) = wanted {
            letters.drain(..letters.len().saturating_sub(count));
        }
        Ok(Letters { topic, bounds, letters })
    }

    /// Deletes the letters of a queue's partitions before these offsets. Returns what is left.
    ///
    /// # Errors
    /// When the connector has no queue, it does not reach so far, or Kafka refuses.
    pub async fn drop_letters(&self, config: &ConfigMap, before: &BTreeMap<i32, i64>) -> Result<Bounds, Refused> {
        let topic = self.queue(config)?;
        let bounds = self.bounds(config, &topic).await?;
        for (partition, offset) in before {
            // Kafka takes -1 for the end.
            if *offset < 0 {
                return Err(Refused::BadRequest(format!(
                    "{offset} is no offset: nothing is dropped"
                )));
            }
            let end = bounds.get(partition).map(|bound| bound.end);
            if end.is_none_or(|end| *offset > end) {
                let end = end.map_or("is not there".to_owned(), |end| format!("ends at offset {end}"));
                return Err(Refused::BadRequest(format!(
                    "partition {partition} of dead letter queue {topic} {end}: nothing is dropped up to {offset}"
                )));
            }
        }
        let admin = self.letters_admin(config)?;
        admin.delete_records(&topic, before, REQUEST).await.map_err(failed)?;
        self.bounds(config, &topic).await
    }

    /// The topic of a connector's queue.
    fn queue(&self, config: &ConfigMap) -> Result<String, Refused> {
        let (topic, key) = if self.is_source(config).map_err(failed)? {
            let parsed = SourceConfig::parse(config, false).map_err(|error| Refused::Config(error.to_string()))?;
            let topic = parsed.letters.map(|letters| letters.topic);
            (topic, "dray.errors.deadletterqueue.topic.name")
        } else {
            let parsed = SinkConfig::parse(config).map_err(|error| Refused::Config(error.to_string()))?;
            let topic = parsed.dead_letters.map(|letters| letters.topic);
            (topic, "errors.deadletterqueue.topic.name")
        };
        topic.ok_or_else(|| Refused::BadRequest(format!("the connector has no dead letter queue: {key} names none")))
    }

    async fn bounds(&self, config: &ConfigMap, topic: &str) -> Result<Bounds, Refused> {
        let admin = self.letters_admin(config)?;
        let Some(partitions) = admin.partitions(topic, REQUEST).await.map_err(failed)? else {
            return Ok(Bounds::new());
        };
        let spans = admin.spans(topic, partitions, REQUEST).await.map_err(failed)?;
        Ok((0..).zip(spans).collect())
    }

    fn letters_admin(&self, config: &ConfigMap) -> Result<Arc<dyn Admin>, Refused> {
        let admin = client_config::admin(self.config().originals(), config);
        self.port().admin(&admin).map_err(failed)
    }

    /// Reads these offsets, as far as they are there and an answer has room: for the newest of them, or for the first.
    async fn read(
        &self,
        config: &ConfigMap,
        topic: &str,
        ranges: Bounds,
        newest: bool,
    ) -> Result<VecDeque<StoredLetter>, Refused> {
        let mut open: BTreeMap<i32, i64> = BTreeMap::new();
        let mut partitions = Vec::new();
        for (partition, range) in ranges.into_iter().filter(|(_, range)| !range.is_empty()) {
            let place = TopicPartition {
                topic: topic.into(),
                partition,
            };
            partitions.push((place, Some(range.start.into())));
            open.insert(partition, range.end);
        }
        let assignment = Assignment {
            partitions,
            prefetch: PREFETCH,
            whole: None,
        };
        let (mut letters, mut bytes) = (VecDeque::new(), 0);
        if open.is_empty() {
            return Ok(letters);
        }
        let settings = self.letters_consumer(config);
        let mut reader = self.port().reader(&settings, assignment).map_err(failed)?;
        while !open.is_empty() {
            let Ok(event) = timeout(SILENCE, reader.next()).await else {
                break;
            };
            match event {
                ReaderEvent::Records(fetch) => {
                    for record in &fetch.records {
                        let Some(end) = open.get(&record.partition).copied() else {
                            continue;
                        };
                        if record.offset < end {
                            let letter = letter(&fetch, record);
                            bytes += letter.bytes();
                            letters.push_back(letter);
                        }
                        if record.offset + 1 >= end {
                            open.remove(&record.partition);
                        }
                        while newest && bytes > ANSWER && letters.len() > 1 {
                            bytes -= letters.pop_front().map_or(0, |letter| letter.bytes());
                        }
                        if bytes > ANSWER && !newest {
                            return Ok(letters);
                        }
                    }
                }
                // Nobody asked for whole ones.
                ReaderEvent::Batch(_) | ReaderEvent::Topic(..) => {}
                ReaderEvent::Error(error) if error.is_retriable() => {
                    tracing::warn!(topic, %error, "dead letters are read on after an error");
                }
                ReaderEvent::Error(error) => return Err(failed(error)),
            }
        }
        Ok(letters)
    }

    /// Settings of a client that reads the queue: those of the connector's consumer, without its group.
    fn letters_consumer(&self, config: &ConfigMap) -> ClientConfig {
        let mut settings = client_config::consumer(self.config().originals(), config, "", 0, None);
        settings.remove("group.id");
        settings.insert("client.id".into(), "dray-letters".into());
        settings
    }
}

fn letter(fetch: &FetchBatch, record: &FetchedRecord) -> StoredLetter {
    let owned = |slice: &Option<Slice>| slice.as_ref().map(|slice| fetch.bytes(slice).to_vec());
    let headers = &fetch.headers[record.headers.start as usize..record.headers.end as usize];
    let header = |(name, value): &(Slice, Option<Slice>)| {
        let name = String::from_utf8_lossy(fetch.bytes(name)).into_owned();
        (name, owned(value))
    };
    StoredLetter {
        partition: record.partition,
        offset: record.offset,
        timestamp: record.timestamp,
        key: owned(&record.key),
        value: owned(&record.value),
        headers: headers.iter().map(header).collect(),
    }
}

fn failed(error: impl std::fmt::Display) -> Refused {
    Refused::Failed(error.to_string())
}
