//! What a sink task receives: converted records that lie in the batch of the fetch they came with.

use crate::backing::{Backing, TopicId};
use crate::datum::{Field, ValueRef};
use crate::header::Headers;
use crate::schema::SchemaRef;
use std::sync::Arc;

/// A partition of a Kafka topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition's number.
    pub partition: i32,
}

impl std::fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// What a record's timestamp means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampType {
    /// Set by the producer.
    CreateTime,
    /// Set by the broker.
    LogAppendTime,
    /// There is none.
    None,
}

/// One converted record; its bytes and names lie in the batch. Read it through [`SinkBatch::iter`].
#[derive(Clone, Debug)]
pub struct SinkRecordData {
    /// The topic after transforms, in the batch's table.
    pub topic: TopicId,
    /// The partition that it was consumed from.
    pub partition: i32,
    /// Its offset there.
    pub offset: i64,
    /// Milliseconds since the epoch.
    pub timestamp: Option<i64>,
    /// What the timestamp means.
    pub timestamp_type: TimestampType,
    /// The key and its schema.
    pub key: Field,
    /// The value and its schema.
    pub value: Field,
    /// Headers; boxed because most records have none.
    pub headers: Option<Box<Headers>>,
    /// Which record of the fetch this is; the runtime finds the original by it.
    pub fetched: u32,
}

/// Records for one `put`. The batch owns what they point to, so a sink that keeps a record copies what it needs.
#[derive(Debug, Default)]
pub struct SinkBatch {
    backing: Backing,
    records: Vec<SinkRecordData>,
}

impl SinkBatch {
    /// A batch over the bytes of a fetch.
    #[must_use]
    pub fn new(backing: Backing) -> Self {
        Self {
            backing,
            records: Vec::new(),
        }
    }

    /// Makes room for so many records more.
    pub fn reserve(&mut self, records: usize) {
        self.records.reserve(records);
    }

    /// Appends a record.
    #[inline]
    pub fn push(&mut self, record: SinkRecordData) {
        self.records.push(record);
    }

    /// Number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The bytes that the records point into.
    #[must_use]
    pub fn backing(&self) -> &Backing {
        &self.backing
    }

    /// The bytes, to add some.
    pub fn backing_mut(&mut self) -> &mut Backing {
        &mut self.backing
    }

    /// Forgets records, tables and bytes; allocations are kept for the next fetch.
    pub fn clear(&mut self) {
        self.records.clear();
        self.backing.clear();
    }

    /// Takes the records out; their bytes stay, so that they may come back with [`push`](Self::push), all or in parts.
    #[must_use]
    pub fn take_records(&mut self) -> Vec<SinkRecordData> {
        std::mem::take(&mut self.records)
    }

    /// Forgets the records, and neither tables nor bytes.
    pub fn forget_records(&mut self) {
        self.records.clear();
    }

    /// Keeps the records for which `keep` is true.
    pub fn retain(&mut self, mut keep: impl FnMut(SinkRecord<'_>) -> bool) {
        let backing = &self.backing;
        self.records.retain(|data| keep(SinkRecord { backing, data }));
    }

    /// The records in the order of their partitions.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = SinkRecord<'_>> {
        let backing = &self.backing;
        self.records.iter().map(move |data| SinkRecord { backing, data })
    }
}

/// A borrowed record of a [`SinkBatch`].
#[derive(Clone, Copy, Debug)]
pub struct SinkRecord<'a> {
    backing: &'a Backing,
    data: &'a SinkRecordData,
}

impl<'a> SinkRecord<'a> {
    /// The topic.
    #[must_use]
    pub fn topic(self) -> &'a Arc<str> {
        self.backing.topic_name(self.data.topic)
    }

    /// The partition that it was consumed from.
    #[must_use]
    pub fn partition(self) -> i32 {
        self.data.partition
    }

    /// Its offset there.
    #[must_use]
    pub fn offset(self) -> i64 {
        self.data.offset
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub fn timestamp(self) -> Option<i64> {
        self.data.timestamp
    }

    /// What the timestamp means.
    #[must_use]
    pub fn timestamp_type(self) -> TimestampType {
        self.data.timestamp_type
    }

    /// The key's schema; none means schemaless.
    #[must_use]
    pub fn key_schema(self) -> Option<&'a SchemaRef> {
        self.data.key.view(self.backing).0
    }

    /// The key.
    #[must_use]
    pub fn key(self) -> ValueRef<'a> {
        self.data.key.view(self.backing).1
    }

    /// The value's schema; none means schemaless.
    #[must_use]
    pub fn value_schema(self) -> Option<&'a SchemaRef> {
        self.data.value.view(self.backing).0
    }

    /// The value.
    #[must_use]
    pub fn value(self) -> ValueRef<'a> {
        self.data.value.view(self.backing).1
    }

    /// The headers.
    #[must_use]
    pub fn headers(self) -> Option<&'a Headers> {
        self.data.headers.as_deref()
    }

    /// Which record of the fetch this is.
    #[must_use]
    pub fn fetched(self) -> usize {
        self.data.fetched as usize
    }
}
