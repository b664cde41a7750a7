//! What a source task fills: records that lie in the batch, with tables for what many of them share.

use crate::backing::{Backing, Span};
use crate::datum::ValueRef;
use crate::header::Headers;
use crate::offset::{SourceOffset, SourcePartition};
use crate::schema::SchemaRef;
use bytes::Bytes;
use std::sync::Arc;

pub use crate::backing::{SchemaId, TopicId};
pub use crate::datum::Field;

/// A source partition in the table of its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourcePartitionId(u32);

impl SourcePartitionId {
    /// The place in [`SourceBatch::source_partitions`].
    #[must_use]
    #[inline]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// What of a record goes to Kafka.
#[derive(Clone, Debug)]
pub enum Body {
    /// Goes through transforms and converters.
    Data {
        /// The key.
        key: Field,
        /// The value.
        value: Field,
        /// Headers; boxed because most records have none.
        headers: Option<Box<Headers>>,
    },
    /// Bytes as Kafka stores them; they skip transforms and converters (plugin hosts, mirror).
    Encoded {
        /// The key's bytes, if there is a key.
        key: Option<Span>,
        /// The value's bytes; none is a tombstone.
        value: Option<Span>,
        /// Header names and values.
        headers: Vec<(Span, Option<Span>)>,
    },
    /// Nothing goes to Kafka, as after a filter; the record's offset counts as if it had.
    Dropped,
    /// A whole batch of records that Kafka stores as it is: it stands for all of them, under the offset of its last one. Put in by
    /// [`SourceBatch::pass`], and only by a task whose context allows it ([`ShortCuts`]).
    Passed(WholeId),
}

/// A whole batch in the table of its [`SourceBatch`]: a record that owned it would make every record dearer to drop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WholeId(u32);

/// A record batch (format 2, KIP-98) in the bytes of the broker that it comes from. Its offsets have no gaps, it has one record at least,
/// and its checksum was found to be right.
#[derive(Clone, Debug)]
pub struct WholeBatch {
    /// All of it. Shared with what it was received with, which it keeps in memory.
    pub bytes: Bytes,
    /// Records in it.
    pub count: usize,
}

impl WholeBatch {
    /// The timestamp of its first record.
    #[must_use]
    pub fn first_timestamp(&self) -> Option<i64> {
        let bytes = self.bytes.get(27..)?.first_chunk()?;
        Some(i64::from_be_bytes(*bytes))
    }
}

/// How a task's records may go to Kafka without a difference to what arrives there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShortCuts {
    /// Neither transforms nor converters change anything: [`Body::Encoded`] stands for [`Body::Data`].
    pub encoded: bool,
    /// Whole batches within these limits, too: [`Body::Passed`].
    pub batches: Option<BatchLimits>,
}

/// Which whole batches a producer takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchLimits {
    /// By the number of their codec, where only one is wanted: 0 for none, as in the attributes of a batch.
    pub codec: Option<u8>,
    /// Bytes at most.
    pub bytes: usize,
}

/// One record on its way to Kafka.
#[derive(Clone, Debug)]
pub struct SourceRecord {
    /// Destination topic.
    pub topic: TopicId,
    /// Destination partition; none lets the partitioner choose by key.
    pub kafka_partition: Option<i32>,
    /// Milliseconds since the epoch; none lets the producer stamp it.
    pub timestamp: Option<i64>,
    /// The stream that the record comes from.
    pub source_partition: SourcePartitionId,
    /// Where reading goes on once this record is durable.
    pub source_offset: SourceOffset,
    /// Key, value and headers.
    pub body: Body,
}

/// The records of one `poll`. Owns their bytes; cleared and used again for the next one.
#[derive(Debug, Default)]
pub struct SourceBatch {
    backing: Backing,
    partitions: Vec<SourcePartition>,
    records: Vec<SourceRecord>,
    wholes: Vec<WholeBatch>,
}

impl SourceBatch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The bytes that the records point into.
    #[must_use]
    #[inline]
    pub fn backing(&self) -> &Backing {
        &self.backing
    }

    /// The bytes, to add some.
    pub fn backing_mut(&mut self) -> &mut Backing {
        &mut self.backing
    }

    /// The topic's place in the table.
    pub fn topic(&mut self, name: &Arc<str>) -> TopicId {
        self.backing.topic(name)
    }

    /// The schema's place in the table.
    pub fn schema(&mut self, schema: &SchemaRef) -> SchemaId {
        self.backing.schema(schema)
    }

    /// The source partition's place in the table.
    pub fn source_partition(&mut self, partition: &SourcePartition) -> SourcePartitionId {
        // From the back, where a batch's latest entries are.
        let known = |other: &SourcePartition| Arc::ptr_eq(other, partition) || other == partition;
        let place = self.partitions.iter().rposition(known).unwrap_or_else(|| {
            self.partitions.push(partition.clone());
            self.partitions.len() - 1
        });
        SourcePartitionId(place as u32)
    }

    /// Makes room for so many records more, in one go.
    pub fn reserve(&mut self, count: usize) {
        self.records.reserve(count);
    }

    /// Appends a record. Records of one source partition must come in the order of that partition.
    #[inline]
    pub fn push(&mut self, record: SourceRecord) {
        self.records.push(record);
    }

    /// Appends records, which are made one after the other and each where it stays: a record is large, and to move it costs as much as to
    /// make it.
    #[inline]
    pub fn extend<'a, I>(&'a mut self, records: impl FnOnce(&'a Backing) -> I)
    where
        I: Iterator<Item = SourceRecord>,
    {
        self.records.extend(records(&self.backing));
    }

    /// Appends a whole batch for a partition of a topic. `source_offset` is that of its last record.
    pub fn pass(
        &mut self,
        (topic, kafka_partition): (TopicId, i32),
        source_partition: SourcePartitionId,
        source_offset: SourceOffset,
        batch: WholeBatch,
    ) {
        self.records.push(SourceRecord {
            topic,
            kafka_partition: Some(kafka_partition),
            timestamp: batch.first_timestamp(),
            source_partition,
            source_offset,
            body: Body::Passed(WholeId(self.wholes.len() as u32)),
        });
        self.wholes.push(batch);
    }

    /// A whole batch of this batch.
    #[must_use]
    pub fn whole(&self, id: WholeId) -> &WholeBatch {
        &self.wholes[id.0 as usize]
    }

    /// How many records there are when those of whole batches are counted one by one.
    #[must_use]
    pub fn count(&self) -> usize {
        let within = self.wholes.iter().map(|batch| batch.count.saturating_sub(1));
        self.records.len() + within.sum::<usize>()
    }

    /// The records in order.
    #[must_use]
    pub fn records(&self) -> &[SourceRecord] {
        &self.records
    }

    /// The records, to change them, and what they point into.
    pub fn records_mut(&mut self) -> (&mut [SourceRecord], &mut Backing) {
        (&mut self.records, &mut self.backing)
    }

    /// Forgets all records but the first `count`.
    pub fn truncate(&mut self, count: usize) {
        self.records.truncate(count);
        // They are in the order of the records.
        let is_whole = |record: &&SourceRecord| matches!(record.body, Body::Passed(_));
        let left = self.records.iter().filter(is_whole).count();
        self.wholes.truncate(left);
    }

    /// The name of a topic of this batch.
    #[must_use]
    #[inline]
    pub fn topic_name(&self, id: TopicId) -> &Arc<str> {
        self.backing.topic_name(id)
    }

    /// A schema of this batch.
    #[must_use]
    pub fn schema_of(&self, id: SchemaId) -> &SchemaRef {
        self.backing.schema_of(id)
    }

    /// The source partitions of this batch, in the order of their ids.
    #[must_use]
    pub fn source_partitions(&self) -> &[SourcePartition] {
        &self.partitions
    }

    /// The schema and the view of a key or value of this batch.
    #[must_use]
    #[inline]
    pub fn view(&self, field: &Field) -> (Option<&SchemaRef>, ValueRef<'_>) {
        field.view(&self.backing)
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

    /// Forgets records, tables and bytes; allocations are kept for the next `poll`.
    pub fn clear(&mut self) {
        self.records.clear();
        self.partitions.clear();
        self.backing.clear();
        self.wholes.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offset::OffsetMap;

    #[test]
    fn records_within_whole_batches_count() {
        let mut batch = SourceBatch::new();
        let topic = batch.topic(&"t".into());
        let partition = batch.source_partition(&Arc::new(OffsetMap::new()));
        for count in [3, 1, 5] {
            let whole = WholeBatch {
                bytes: Bytes::new(),
                count,
            };
            let offset = SourceOffset::Long {
                field: "offset",
                value: 0,
            };
            batch.pass((topic, 0), partition, offset, whole);
        }
        assert_eq!((batch.len(), batch.count()), (3, 9));
        batch.truncate(5);
        assert_eq!(batch.count(), 9);
        batch.truncate(2);
        assert_eq!((batch.len(), batch.count()), (2, 4));
        batch.clear();
        assert_eq!((batch.len(), batch.count()), (0, 0));
    }
}
