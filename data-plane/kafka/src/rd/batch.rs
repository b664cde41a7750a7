//! Gathering fetched messages into batches, and the stamps by which records of an earlier ownership are told apart.

use super::client::lock;
use super::fetch::Fetched;
use crate::port::{FetchBatch, FetchedRecord, Slice};
use dray_connect::sink_batch::{TimestampType, TopicPartition};
use rdkafka::Timestamp;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// Which ownership, and which position within it, a record was fetched under. Taking a partition away, and seeking,
/// starts a new epoch; records of an older one are not delivered.
#[derive(Debug, Default)]
pub(super) struct Epochs {
    of: Mutex<HashMap<TopicPartition, u64>>,
    changes: AtomicU64,
}

impl Epochs {
    pub(super) fn next(&self, partition: &TopicPartition) {
        *lock(&self.of).entry(partition.clone()).or_default() += 1;
        self.changes.fetch_add(1, Ordering::Release);
    }

    pub(super) fn of(&self, partition: &TopicPartition) -> u64 {
        lock(&self.of).get(partition).copied().unwrap_or_default()
    }
}

/// Neighbouring records of one partition and epoch.
#[derive(Debug)]
struct Run {
    partition: TopicPartition,
    epoch: u64,
    records: usize,
}

/// A batch with its stamps.
#[derive(Debug)]
pub(super) struct Stamped {
    batch: FetchBatch,
    runs: Vec<Run>,
}

impl Stamped {
    /// The batch without what belongs to an older epoch; none when nothing is left.
    pub(super) fn current(self, epochs: &Epochs) -> Option<FetchBatch> {
        let Self { mut batch, runs } = self;
        let keep: Vec<bool> = runs.iter().map(|run| epochs.of(&run.partition) == run.epoch).collect();
        if keep.contains(&false) {
            let mut flags = runs
                .iter()
                .zip(keep)
                .flat_map(|(run, keep)| std::iter::repeat_n(keep, run.records));
            batch.records.retain(|_| flags.next().unwrap_or(false));
        }
        (!batch.records.is_empty()).then_some(batch)
    }
}

/// A batch in the making. Bytes are copied once, from librdkafka's buffers into one arena.
#[derive(Debug, Default)]
pub(super) struct Builder {
    data: Vec<u8>,
    topics: Vec<Arc<str>>,
    headers: Vec<(Slice, Option<Slice>)>,
    records: Vec<FetchedRecord>,
    runs: Vec<Run>,
    /// The state of the epochs when the last run began.
    changes: u64,
    names: HashMap<String, Arc<str>>,
}

impl Builder {
    pub(super) fn records(&self) -> usize {
        self.records.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.data.len()
    }

    fn same_run(&self, topic: &str, partition: i32) -> bool {
        self.runs
            .last()
            .is_some_and(|run| run.partition.partition == partition && *run.partition.topic == *topic)
    }

    /// Copies a message that came through rdkafka.
    pub(super) fn push_borrowed(&mut self, message: &BorrowedMessage<'_>, epochs: &Epochs) {
        let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
        let fetched = Fetched {
            topic: message.topic(),
            partition: message.partition(),
            offset: message.offset(),
            timestamp: message.timestamp(),
            key: message.key(),
            value: message.payload(),
            headers: headers.map(|header| (header.key.as_bytes(), header.value)).collect(),
        };
        self.push(&fetched, epochs);
    }

    /// Copies a message. A run ends where the partition changes or any epoch did.
    pub(super) fn push(&mut self, message: &Fetched<'_>, epochs: &Epochs) {
        let (topic, partition) = (message.topic, message.partition);
        let changes = epochs.changes.load(Ordering::Acquire);
        if changes != self.changes || !self.same_run(topic, partition) {
            self.changes = changes;
            let topic = match self.names.get(topic) {
                Some(name) => Arc::clone(name),
                None => Arc::clone(self.names.entry(topic.to_owned()).or_insert_with(|| Arc::from(topic))),
            };
            let partition = TopicPartition { topic, partition };
            let epoch = epochs.of(&partition);
            self.runs.push(Run {
                partition,
                epoch,
                records: 0,
            });
        }
        let Some(run) = self.runs.last_mut() else { return };
        run.records += 1;
        let name = Arc::clone(&run.partition.topic);
        // The newest topic is the likeliest; there are few per batch.
        let index = match self.topics.iter().rposition(|known| Arc::ptr_eq(known, &name)) {
            Some(index) => index,
            None => {
                self.topics.push(name);
                self.topics.len() - 1
            }
        };
        let first_header = self.headers.len();
        for (key, value) in &message.headers {
            let key = self.copy(key);
            let value = value.map(|value| self.copy(value));
            self.headers.push((key, value));
        }
        let (timestamp, timestamp_type) = match message.timestamp {
            Timestamp::NotAvailable => (None, TimestampType::None),
            Timestamp::CreateTime(at) => (Some(at), TimestampType::CreateTime),
            Timestamp::LogAppendTime(at) => (Some(at), TimestampType::LogAppendTime),
        };
        let key = message.key.map(|key| self.copy(key));
        let value = message.value.map(|value| self.copy(value));
        self.records.push(FetchedRecord {
            topic: index as u32,
            partition,
            offset: message.offset,
            timestamp,
            timestamp_type,
            key,
            value,
            headers: first_header as u32..self.headers.len() as u32,
        });
    }

    /// The arena stays far below 4 GiB: a batch ends at a MiB, and a record is bounded by the fetch size.
    fn copy(&mut self, bytes: &[u8]) -> Slice {
        let start = self.data.len() as u32;
        self.data.extend_from_slice(bytes);
        start..self.data.len() as u32
    }

    /// The batch; the builder is empty again and keeps the topic names.
    pub(super) fn take(&mut self) -> Stamped {
        let (records, bytes) = (self.records.len(), self.data.len());
        Stamped {
            batch: FetchBatch {
                data: std::mem::replace(&mut self.data, Vec::with_capacity(bytes)).into(),
                topics: std::mem::take(&mut self.topics),
                headers: std::mem::take(&mut self.headers),
                records: std::mem::replace(&mut self.records, Vec::with_capacity(records)),
            },
            runs: std::mem::take(&mut self.runs),
        }
    }
}
