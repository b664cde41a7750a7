//! Encodes records into a record batch (v2, KIP-98) as they come. Pure. What stands in front of the records is written when the batch is
//! sent, since who sends it, and under which sequence, is only known then; the records are never copied again.

use super::checksum::{self, crc32c, with_other_front};
use super::compression::Codec;
use crate::port::ProduceRecord;
use bytes::Bytes;
use dray_connect::source_batch::WholeBatch;

/// What stands in front of the records.
pub(crate) const HEAD: usize = 61;
/// Length and checksum do not count into themselves: offset, length, leader epoch, magic, checksum.
const LENGTH_COVERS_FROM: usize = 12;
const CHECKSUM_COVERS_FROM: usize = 21;
const MAGIC: u8 = 2;
/// The longest number of 64 bits.
const VARINT: usize = 10;
/// So much is summed up at once: three of the blocks that the processor sums up side by side, and less than its nearest cache holds.
const PIECE: usize = 3 * 8192;
/// A record's length and what stands in front of its key: four numbers and a byte.
const FRONT: usize = 4 * VARINT + 1;

/// A batch that still takes records.
#[derive(Debug)]
pub(crate) struct Open {
    records: Vec<u8>,
    count: i32,
    base_timestamp: i64,
    max_timestamp: i64,
    /// The checksum of the first so many bytes of `records`.
    summed: (u32, usize),
}

/// Who produced a batch, and the number of its first record among those that it produced to the partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) producer_id: i64,
    pub(crate) epoch: i16,
    pub(crate) sequence: i32,
}

impl Stamp {
    /// Of a producer that is not idempotent.
    pub(crate) const NONE: Self = Self {
        producer_id: -1,
        epoch: -1,
        sequence: -1,
    };
}

/// A batch that takes no more records.
#[derive(Clone, Debug)]
pub(crate) struct Sealed {
    records: Bytes,
    /// Of the records before they were compressed.
    plain: usize,
    count: i32,
    base_timestamp: i64,
    max_timestamp: i64,
    codec: Codec,
    /// The checksum that is known already, of all that it covers and of the head's part of that: as another producer made it, or of the
    /// records alone.
    made: Option<(u32, u32)>,
}

impl Open {
    /// An empty batch with room for so many bytes.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self {
            records: Vec::with_capacity(bytes),
            count: 0,
            base_timestamp: 0,
            max_timestamp: i64::MIN,
            summed: (0, 0),
        }
    }

    /// The size of the batch if it were sent now, without compression.
    pub(crate) fn len(&self) -> usize {
        HEAD + self.records.len()
    }

    /// What a record adds at most.
    #[inline]
    pub(crate) fn bound(record: &ProduceRecord<'_>) -> usize {
        let headers: usize = record
            .headers
            .iter()
            .map(|header| 2 * 5 + header.key.len() + header.value.map_or(0, <[u8]>::len))
            .sum();
        FRONT + 2 * 5 + record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len) + headers
    }

    /// Appends a record; `timestamp` is what it is stamped with.
    pub(crate) fn push(&mut self, record: &ProduceRecord<'_>, timestamp: i64) {
        if self.count == 0 {
            self.base_timestamp = timestamp;
        }
        self.max_timestamp = self.max_timestamp.max(timestamp);
        if record.key.is_none() && record.headers.is_empty() {
            self.push_value(record.value, timestamp);
        } else {
            self.push_any(record, timestamp);
        }
        self.count += 1;
    }

    /// A record that has nothing but a value, which is what most sources of lines and rows make.
    #[inline]
    fn push_value(&mut self, value: Option<&[u8]>, timestamp: i64) {
        let (behind, place) = (timestamp.wrapping_sub(self.base_timestamp), i64::from(self.count));
        let value_length = length_of(value);
        let value = value.unwrap_or_default();
        // Attributes (none), the two numbers, a key of length -1, the value, no headers.
        let length = 3 + varint_len(behind) + varint_len(place) + varint_len(value_length) + value.len();
        let out = &mut self.records;
        let begin = out.len();
        // Where they stay: bytes that were just written one by one are waited for by who copies them in larger pieces.
        out.extend_from_slice(&[0; FRONT + VARINT]);
        let front = out.last_chunk_mut().expect("it was just put there");
        let mut at = put::<{ FRONT + VARINT }>(front, 0, length as i64) + 1;
        at = put(front, at, behind);
        at = put(front, at, place);
        at = put(front, at, -1);
        at = put(front, at, value_length);
        out.truncate(begin + at);
        out.extend_from_slice(value);
        out.push(0);
    }

    fn push_any(&mut self, record: &ProduceRecord<'_>, timestamp: i64) {
        let (behind, place) = (timestamp.wrapping_sub(self.base_timestamp), i64::from(self.count));
        let headers = record.headers.iter();
        let headers: usize = headers
            .map(|header| field_len(Some(header.key.as_bytes())) + field_len(header.value))
            .sum();
        let count = record.headers.len() as i64;
        // Attributes (none), the two numbers, key, value, how many headers, and these.
        let length = 1 + varint_len(behind) + varint_len(place) + field_len(record.key) + field_len(record.value);
        let length = length + varint_len(count) + headers;
        let out = &mut self.records;
        put_number(out, length as i64);
        out.push(0);
        put_number(out, behind);
        put_number(out, place);
        put_field(out, record.key);
        put_field(out, record.value);
        put_number(out, count);
        for header in record.headers {
            put_field(out, Some(header.key.as_bytes()));
            put_field(out, header.value);
        }
    }

    /// Sums up the records since the last time, when it is time: a full batch is larger than the caches that its last records are in.
    #[inline]
    pub(crate) fn sum_up(&mut self) {
        if self.records.len() - self.summed.1 >= PIECE {
            self.summed = self.sum();
        }
    }

    fn sum(&self) -> (u32, usize) {
        let (sum, length) = self.summed;
        (checksum::append(sum, &self.records[length..]), self.records.len())
    }

    /// Ends the batch, compressed where that makes it smaller.
    pub(crate) fn seal(self, codec: Codec, level: Option<i32>) -> Sealed {
        let plain = self.records.len();
        let (records, codec, made) = match codec.compress(&self.records, level) {
            Some(compressed) if compressed.len() < self.records.len() => (compressed, codec, None),
            Some(_) | None => {
                let (sum, _) = self.sum();
                (self.records, Codec::None, Some((sum, 0)))
            }
        };
        Sealed {
            records: records.into(),
            plain,
            count: self.count,
            base_timestamp: self.base_timestamp,
            max_timestamp: self.max_timestamp,
            codec,
            made,
        }
    }
}

impl Sealed {
    /// A batch that another producer made: its records stay as they are, and its head is written anew. None when it is not what it
    /// should be: shorter than its head, of a codec that is not known, or of another number of records.
    pub(crate) fn whole(batch: &WholeBatch) -> Option<Self> {
        let head: &[u8; HEAD] = batch.bytes.first_chunk()?;
        let i64_at = |at: usize| Some(i64::from_be_bytes(*head[at..].first_chunk()?));
        let count = i32::from_be_bytes(*head[57..].first_chunk()?);
        if count < 1 || usize::try_from(count) != Ok(batch.count) {
            return None;
        }
        let records = batch.bytes.slice(HEAD..);
        Some(Self {
            // What it was before it was compressed nobody knows here.
            plain: records.len(),
            records,
            count,
            base_timestamp: i64_at(27)?,
            max_timestamp: i64_at(35)?,
            codec: Codec::of(i16::from_be_bytes([head[21], head[22]])).ok()?,
            made: Some((
                u32::from_be_bytes(*head[17..].first_chunk()?),
                crc32c(&head[CHECKSUM_COVERS_FROM..]),
            )),
        })
    }

    /// Records in it.
    pub(crate) fn count(&self) -> i32 {
        self.count
    }

    /// How its records are compressed.
    pub(super) fn codec(&self) -> Codec {
        self.codec
    }

    /// Its size on the wire.
    pub(crate) fn len(&self) -> usize {
        HEAD + self.records.len()
    }

    /// Its size over the size without compression.
    pub(crate) fn compression(&self) -> f64 {
        self.len() as f64 / (HEAD + self.plain) as f64
    }

    /// What stands behind the head.
    pub(crate) fn records(&self) -> Bytes {
        self.records.clone()
    }

    /// What stands in front of the records, checksum included.
    pub(crate) fn head(&self, stamp: Stamp) -> [u8; HEAD] {
        let mut head = [0; HEAD];
        // The base offset is the broker's to give; no leader epoch is told here.
        head[8..12].copy_from_slice(&((self.len() - LENGTH_COVERS_FROM) as i32).to_be_bytes());
        head[12..16].copy_from_slice(&(-1_i32).to_be_bytes());
        head[16] = MAGIC;
        head[21..23].copy_from_slice(&self.codec.attributes().to_be_bytes());
        head[23..27].copy_from_slice(&(self.count - 1).to_be_bytes());
        head[27..35].copy_from_slice(&self.base_timestamp.to_be_bytes());
        head[35..43].copy_from_slice(&self.max_timestamp.to_be_bytes());
        head[43..51].copy_from_slice(&stamp.producer_id.to_be_bytes());
        head[51..53].copy_from_slice(&stamp.epoch.to_be_bytes());
        head[53..57].copy_from_slice(&stamp.sequence.to_be_bytes());
        head[57..61].copy_from_slice(&self.count.to_be_bytes());
        let front = crc32c(&head[CHECKSUM_COVERS_FROM..]);
        let checksum = match self.made {
            Some((whole, before)) => with_other_front(whole, (before, front), self.records.len()),
            None => checksum::append(front, &self.records),
        };
        head[17..21].copy_from_slice(&checksum.to_be_bytes());
        head
    }
}

/// The sequence behind a batch: they run to the greatest `i32` and begin again at 0.
pub(crate) fn next_sequence(sequence: i32, count: i32) -> i32 {
    ((i64::from(sequence) + i64::from(count)) % (i64::from(i32::MAX) + 1)) as i32
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

fn varint_len(value: i64) -> usize {
    let bits = 64 - (zigzag(value) | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// Writes a number and returns where the next thing goes.
#[inline]
fn put<const N: usize>(out: &mut [u8; N], mut at: usize, value: i64) -> usize {
    let mut rest = zigzag(value);
    while rest >= 0x80 {
        out[at] = rest as u8 | 0x80;
        rest >>= 7;
        at += 1;
    }
    out[at] = rest as u8;
    at + 1
}

/// Appends a number, written where it stays.
#[inline]
fn put_number(out: &mut Vec<u8>, value: i64) {
    let begin = out.len();
    out.extend_from_slice(&[0; VARINT]);
    let end = put::<VARINT>(out.last_chunk_mut().expect("it was just put there"), 0, value);
    out.truncate(begin + end);
}

/// Appends bytes with their length in front, which is -1 of none.
#[inline]
fn put_field(out: &mut Vec<u8>, field: Option<&[u8]>) {
    put_number(out, length_of(field));
    out.extend_from_slice(field.unwrap_or_default());
}

#[inline]
fn length_of(field: Option<&[u8]>) -> i64 {
    field.map_or(-1, |bytes| bytes.len() as i64)
}

/// What [`put_field`] appends.
#[inline]
fn field_len(field: Option<&[u8]>) -> usize {
    varint_len(length_of(field)) + field.map_or(0, <[u8]>::len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::HeaderRef;
    use kafka_protocol::records::{Compression, RecordBatchDecoder};
    use proptest::prelude::*;

    type Header = (String, Option<Vec<u8>>);
    type Record = (Option<Vec<u8>>, Option<Vec<u8>>, Vec<Header>, i64);

    fn bytes() -> impl Strategy<Value = Option<Vec<u8>>> {
        prop_oneof![Just(None), prop::collection::vec(any::<u8>(), 0..300).prop_map(Some)]
    }

    fn record() -> impl Strategy<Value = Record> {
        let header = ("[a-zé🔑]{0,9}", bytes());
        (bytes(), bytes(), prop::collection::vec(header, 0..4), any::<i32>())
            .prop_map(|(key, value, headers, at)| (key, value, headers, 1_700_000_000_000 + i64::from(at)))
    }

    /// The batch, with a bound on each record's size checked.
    fn batch(records: &[Record], codec: Codec, stamp: Stamp) -> Bytes {
        let mut open = Open::with_capacity(0);
        for (key, value, headers, timestamp) in records {
            let headers: Vec<_> = headers
                .iter()
                .map(|(key, value)| HeaderRef {
                    key,
                    value: value.as_deref(),
                })
                .collect();
            let record = ProduceRecord {
                topic: "t",
                partition: None,
                timestamp: None,
                key: key.as_deref(),
                value: value.as_deref(),
                headers: &headers,
                sequence: 0,
            };
            let before = open.len();
            open.push(&record, *timestamp);
            open.sum_up();
            assert!(open.len() - before <= Open::bound(&record));
        }
        let sealed = open.seal(codec, None);
        [&sealed.head(stamp)[..], &sealed.records()[..]].concat().into()
    }

    proptest! {
        /// Whatever is encoded, another decoder reads.
        #[test]
        fn another_decoder_reads_what_is_encoded(
            records in prop::collection::vec(record(), 1..40),
            codec in prop::sample::select(vec![Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd]),
            producer_id in -1_i64..i64::MAX, epoch in -1_i16..i16::MAX, sequence in 0_i32..i32::MAX,
        ) {
            let stamp = Stamp { producer_id, epoch, sequence };
            let mut encoded = batch(&records, codec, stamp);
            let read = |bytes: &mut Bytes, compression: Compression| {
                let codec = match compression {
                    Compression::None => Codec::None,
                    Compression::Gzip => Codec::Gzip,
                    Compression::Snappy => Codec::Snappy,
                    Compression::Lz4 => Codec::Lz4,
                    Compression::Zstd => Codec::Zstd,
                };
                let all = bytes.split_to(bytes.len());
                codec.decompress(&all).expect("compressed by us")
            };
            let set = RecordBatchDecoder::decode_with_custom_compression(
                &mut encoded,
                Some(|bytes: &mut Bytes, compression: Compression| Ok(read(bytes, compression))),
            );
            let set = set.expect("a batch");
            prop_assert_eq!(set.records.len(), records.len());
            for (place, (found, (key, value, headers, timestamp))) in set.records.iter().zip(&records).enumerate() {
                prop_assert_eq!(found.key.as_deref(), key.as_deref());
                prop_assert_eq!(found.value.as_deref(), value.as_deref());
                prop_assert_eq!(found.timestamp, *timestamp);
                prop_assert_eq!(found.offset, place as i64);
                prop_assert_eq!((found.producer_id, found.producer_epoch), (producer_id, epoch));
                // A map in the other decoder: of headers of one name it keeps the last.
                for (name, value) in &found.headers {
                    let last = headers.iter().rev().find(|(key, _)| key == name.as_str()).expect("a header");
                    prop_assert_eq!(value.as_deref(), last.1.as_deref());
                }
            }
        }
    }

    #[test]
    fn a_checksum_made_on_the_way_is_that_of_the_whole() {
        for (records, size) in [(1, 3), (1, PIECE), (1, 3 * PIECE), (2_000, 200)] {
            let records = vec![(None, Some(vec![7; size]), Vec::new(), 5); records];
            let bytes = batch(&records, Codec::None, Stamp::NONE);
            let checksum = crc32c(&bytes[CHECKSUM_COVERS_FROM..]);
            assert_eq!(
                bytes[17..21],
                checksum.to_be_bytes(),
                "{} records of {size}",
                records.len()
            );
        }
    }

    #[test]
    fn numbers_are_as_long_as_they_say() {
        for value in [
            0,
            -1,
            1,
            63,
            64,
            -64,
            -65,
            8191,
            8192,
            i64::from(i32::MAX),
            i64::MAX,
            i64::MIN,
        ] {
            let mut out = Vec::new();
            put_number(&mut out, value);
            assert_eq!(out.len(), varint_len(value), "{value}");
        }
    }

    #[test]
    fn sequences_begin_again() {
        assert_eq!(next_sequence(0, 3), 3);
        assert_eq!(next_sequence(i32::MAX - 2, 3), 0);
        assert_eq!(next_sequence(i32::MAX, 3), 2);
    }
}
