//! Record batches (v2, KIP-98) as a broker sends them, for a reader. Pure. Records are places in the received buffer; only a
//! compressed batch gets a buffer of its own. Nothing here trusts a length: what does not add up is an error.

use super::checksum::crc32c;
use super::compression::{self, Codec};
use crate::port::{FetchBatch, FetchedRecord, Slice};
use bytes::Bytes;
use dray_connect::sink_batch::TimestampType;
use dray_connect::source_batch::{BatchLimits, WholeBatch};
use std::collections::HashSet;
use std::sync::Arc;

/// Bytes before the first record, and what of them stands before the batch's length ends.
const HEADER: usize = 61;
const LENGTH_ENDS: usize = 12;
const MAGIC: usize = 16;
const CRC: usize = 17;
const ATTRIBUTES: usize = 21;
const LAST_OFFSET_DELTA: usize = 23;
const BASE_TIMESTAMP: usize = 27;
const MAX_TIMESTAMP: usize = 35;
const PRODUCER_ID: usize = 43;
const COUNT: usize = 57;

const LOG_APPEND_TIME: i16 = 1 << 3;
const TRANSACTIONAL: i16 = 1 << 4;
const CONTROL: i16 = 1 << 5;
/// What of the attributes a batch may have that is stored elsewhere as it is: its codec, and that it was part of a transaction, which is
/// committed, or reads as if. Of the others the time of appending is the broker's word for all timestamps, a control batch is the
/// broker's own, and the rest has come, or may come, to mean something for the records.
const TO_PASS: i16 = 7 | TRANSACTIONAL;
/// A control record's type when it ends an aborted transaction.
const ABORT: i16 = 0;
/// A record takes seven bytes at least.
const SMALLEST: usize = 7;

/// Why bytes are not the record batches they should be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("the batch at offset {offset} is of format {magic}, and only 2 is read, which brokers have since 0.11")]
    Magic { offset: i64, magic: i8 },
    #[error("the batch at offset {offset} is compressed by codec {codec}, which is not known")]
    Codec { offset: i64, codec: i16 },
    #[error("the batch at offset {offset} is corrupt: {what}")]
    Corrupt { offset: i64, what: &'static str },
    #[error("the batch at offset {offset} does not decompress")]
    Compression {
        offset: i64,
        #[source]
        source: compression::Error,
    },
}

/// A transaction that was aborted, as a fetch answer names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Aborted {
    pub(crate) producer_id: i64,
    pub(crate) first_offset: i64,
}

/// How much is taken at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Most {
    /// Records, at least one.
    pub(crate) records: usize,
    /// Bytes of keys, values and headers; the record that reaches it is the last.
    pub(crate) bytes: usize,
}

/// Hands out the records of one partition's share of a fetch answer.
#[derive(Debug)]
pub(crate) struct Records {
    bytes: Bytes,
    at: usize,
    /// The next offset that is wanted; what lies before is left out.
    position: i64,
    /// By first offset, the next one last; none when what is not committed is read too.
    aborted: Option<Vec<Aborted>>,
    /// Producers in the middle of a transaction that was aborted.
    aborting: HashSet<i64>,
    open: Option<Open>,
    /// The batch at this place was checked.
    checked: Option<usize>,
    /// No batch shares a [`FetchBatch`] with another one.
    apart: bool,
}

/// The batch whose records are being handed out.
#[derive(Debug)]
struct Open {
    header: Header,
    /// Its records: all of the answer, or what one compressed batch held.
    data: Bytes,
    at: usize,
    end: usize,
    left: usize,
    /// The next record's offset is not before this.
    least: i64,
}

#[derive(Clone, Copy, Debug)]
struct Header {
    base: i64,
    next: i64,
    attributes: i16,
    base_timestamp: i64,
    max_timestamp: i64,
    producer_id: i64,
    count: usize,
}

/// The offset behind the last whole batch of an answer; `position` when there is none. No record is looked at.
pub(crate) fn next_position(bytes: &[u8], position: i64) -> i64 {
    let (mut at, mut next) = (0, position);
    while let Some((end, base)) = whole(bytes, at) {
        next = next.max(
            base.saturating_add(i64::from(be_i32(bytes, at + LAST_OFFSET_DELTA)))
                .saturating_add(1),
        );
        at = end;
    }
    next
}

/// Whether there are bytes and not one whole batch: an answer that was cut off within the first.
pub(crate) fn cut_off(bytes: &[u8]) -> bool {
    !bytes.is_empty() && whole(bytes, 0).is_none()
}

/// The end and the first offset of the batch at `at`, when all of it is there.
fn whole(bytes: &[u8], at: usize) -> Option<(usize, i64)> {
    if bytes.len() - at < HEADER {
        return None;
    }
    let length = usize::try_from(be_i32(bytes, at + 8)).ok()?;
    let end = at.checked_add(LENGTH_ENDS)?.checked_add(length)?;
    (end <= bytes.len() && end - at >= HEADER).then(|| (end, be_i64(bytes, at)))
}

impl Records {
    /// Reads `bytes` from `position` on. `aborted` are the aborted transactions that the answer names, for a reader of committed
    /// records only.
    pub(crate) fn new(bytes: Bytes, position: i64, aborted: Option<Vec<Aborted>>) -> Self {
        let aborted = aborted.map(|mut aborted| {
            aborted.sort_by_key(|transaction| std::cmp::Reverse(transaction.first_offset));
            aborted
        });
        Self {
            bytes,
            at: 0,
            position,
            aborted,
            aborting: HashSet::new(),
            open: None,
            checked: None,
            apart: false,
        }
    }

    /// Reads batch by batch: what [`take`](Self::take) hands out ends with a batch, so that the next one may be taken whole.
    pub(crate) fn apart(self) -> Self {
        Self { apart: true, ..self }
    }

    /// The next batch as it is, with its last offset, when it is within these limits, all of it is wanted and it reads the same
    /// wherever it is stored. None when the next one is to be decoded, or there is none: [`take`](Self::take) says.
    ///
    /// # Errors
    /// When the next batch is malformed.
    pub(crate) fn take_whole(&mut self, limits: BatchLimits) -> Result<Option<(WholeBatch, i64)>, Malformed> {
        if self.open.is_some() {
            return Ok(None);
        }
        let Some((header, at, end)) = self.find_next()? else {
            return Ok(None);
        };
        let codec = Codec::of(header.attributes).ok().map(Codec::attributes);
        let in_limits = end - at <= limits.bytes
            && codec.is_some_and(|codec| limits.codec.is_none_or(|wanted| i16::from(wanted) == codec));
        let plain = header.attributes & !TO_PASS == 0 && header.base_timestamp >= 0;
        // Compaction leaves gaps, which a broker takes from nobody but its peers; its first records may have been read before.
        let all = header.base >= self.position && header.next - header.base == header.count as i64;
        let fits = header.count <= (end - at - HEADER) / SMALLEST || codec != Some(0);
        if !(in_limits && plain && all && fits) {
            return Ok(None);
        }
        self.at = end;
        self.position = header.next;
        let whole = WholeBatch {
            bytes: self.bytes.slice(at..end),
            count: header.count,
        };
        Ok(Some((whole, header.next - 1)))
    }

    /// The offset behind the last record that was handed out, or left out for good.
    pub(crate) fn position(&self) -> i64 {
        self.position
    }

    /// The next records, none at the end. A batch that is cut off at the end of the answer comes whole with the next one.
    ///
    /// # Errors
    /// When a batch is malformed; the records before it have been handed out, and `position` is its first offset or within it.
    pub(crate) fn take(
        &mut self,
        topic: &Arc<str>,
        partition: i32,
        most: Most,
    ) -> Result<Option<FetchBatch>, Malformed> {
        let mut batch = FetchBatch::default();
        let mut bytes = 0;
        while batch.records.len() < most.records.max(1) && bytes < most.bytes.max(1) {
            let Some(open) = self.open.as_mut() else {
                match self.open_next() {
                    Ok(true) => continue,
                    Ok(false) => break,
                    // What is there is handed out first; the next call fails at the same place.
                    Err(_) if !batch.records.is_empty() => break,
                    Err(malformed) => return Err(malformed),
                }
            };
            if batch.records.is_empty() {
                batch.data = open.data.clone();
                batch.records.reserve(open.left.min(most.records));
            } else if batch.data.as_ptr() != open.data.as_ptr() {
                break; // The next one has its own buffer.
            }
            let read = open.read(partition, self.position, most, &mut bytes, &mut batch);
            if let Err(what) = read {
                let offset = open.header.base;
                if batch.records.is_empty() {
                    return Err(Malformed::Corrupt { offset, what });
                }
                // The position stays at the last good record, so the next call finds it again.
                self.position = last_offset(&batch) + 1;
                break;
            }
            if open.left == 0 {
                self.position = self.position.max(open.header.next);
                self.open = None;
                if self.apart && !batch.records.is_empty() {
                    break;
                }
            } else if let Some(last) = batch.records.last() {
                self.position = self.position.max(last.offset + 1);
            }
        }
        if batch.records.is_empty() {
            return Ok(None);
        }
        batch.topics.push(Arc::clone(topic));
        Ok(Some(batch))
    }

    /// Opens the next batch that has something to give. False at the end.
    fn open_next(&mut self) -> Result<bool, Malformed> {
        let Some((header, at, end)) = self.find_next()? else {
            return Ok(false);
        };
        let offset = header.base;
        let codec = Codec::of(header.attributes).map_err(|codec| Malformed::Codec { offset, codec })?;
        let (data, start, stop) = if codec == Codec::None {
            (self.bytes.clone(), at + HEADER, end)
        } else {
            let data = codec.decompress(&self.bytes.slice(at + HEADER..end));
            let data = data.map_err(|source| Malformed::Compression { offset, source })?;
            let stop = data.len();
            (data, 0, stop)
        };
        if header.count > (stop - start) / SMALLEST {
            let what = "it counts more records than it has room for";
            return Err(Malformed::Corrupt { offset, what });
        }
        self.at = end;
        self.open = Some(Open {
            header,
            data,
            at: start,
            end: stop,
            left: header.count,
            least: header.base,
        });
        Ok(true)
    }

    /// The next batch that has something to give, with its place, checked. It stays the next one.
    fn find_next(&mut self) -> Result<Option<(Header, usize, usize)>, Malformed> {
        loop {
            let bytes = &self.bytes;
            // The older formats have a shorter header, and this in the same place.
            if let Some(magic) = bytes
                .get(self.at + MAGIC)
                .map(|magic| *magic as i8)
                .filter(|magic| *magic != 2)
            {
                let offset = be_i64(bytes, self.at);
                return Err(Malformed::Magic { offset, magic });
            }
            if bytes.len() - self.at >= LENGTH_ENDS && be_i32(bytes, self.at + 8) < (HEADER - LENGTH_ENDS) as i32 {
                let (offset, what) = (be_i64(bytes, self.at), "it is shorter than its header");
                return Err(Malformed::Corrupt { offset, what });
            }
            let Some((end, offset)) = whole(bytes, self.at) else {
                return Ok(None);
            };
            let at = self.at;
            let header = Header::read(&bytes[at..end])?;
            if header.next <= self.position {
                self.at = end; // Compaction can leave a batch that ends before what is wanted.
                continue;
            }
            if self.checked != Some(at) && crc32c(&bytes[at + ATTRIBUTES..end]) != be_i32(bytes, at + CRC) as u32 {
                let what = "its checksum is not that of its bytes";
                return Err(Malformed::Corrupt { offset, what });
            }
            self.checked = Some(at);
            // Compaction keeps an empty batch for its producer's sake.
            if self.left_out(&header, at, end)? || header.count == 0 {
                self.position = header.next;
                self.at = end;
                continue;
            }
            return Ok(Some((header, at, end)));
        }
    }

    /// Whether a batch holds nothing for the reader: a control batch, or part of an aborted transaction.
    fn left_out(&mut self, header: &Header, at: usize, end: usize) -> Result<bool, Malformed> {
        let control = header.attributes & CONTROL != 0;
        let Some(aborted) = &mut self.aborted else {
            return Ok(control);
        };
        while let Some(next) = aborted.pop_if(|next| next.first_offset < header.next) {
            self.aborting.insert(next.producer_id);
        }
        if control {
            if abort_marker(&self.bytes[at + HEADER..end]).ok_or(Malformed::Corrupt {
                offset: header.base,
                what: "its control record does not parse",
            })? {
                self.aborting.remove(&header.producer_id);
            }
            return Ok(true);
        }
        Ok(header.attributes & TRANSACTIONAL != 0 && self.aborting.contains(&header.producer_id))
    }
}

fn last_offset(batch: &FetchBatch) -> i64 {
    batch.records.last().map_or(-1, |record| record.offset)
}

/// Whether a control record ends an aborted transaction; none when it does not parse. An empty batch ends none: its marker was
/// compacted away.
fn abort_marker(records: &[u8]) -> Option<bool> {
    if records.is_empty() {
        return Some(false);
    }
    let mut cursor = Cursor { bytes: records, at: 0 };
    cursor.varint()?;
    cursor.skip(1)?;
    cursor.varint()?;
    cursor.varint()?;
    let key = cursor.slice()??;
    let kind = records
        .get(key.start as usize + 2..key.end as usize)?
        .first_chunk::<2>()?;
    Some(i16::from_be_bytes(*kind) == ABORT)
}

impl Header {
    fn read(batch: &[u8]) -> Result<Self, Malformed> {
        let base = be_i64(batch, 0);
        let corrupt = |what| Malformed::Corrupt { offset: base, what };
        let last = be_i32(batch, LAST_OFFSET_DELTA);
        let count = be_i32(batch, COUNT);
        let next = base.checked_add(i64::from(last)).and_then(|last| last.checked_add(1));
        Ok(Self {
            base,
            next: next
                .filter(|_| last >= 0 && base >= 0)
                .ok_or_else(|| corrupt("its offsets are no offsets"))?,
            attributes: i16::from_be_bytes([batch[ATTRIBUTES], batch[ATTRIBUTES + 1]]),
            base_timestamp: be_i64(batch, BASE_TIMESTAMP),
            max_timestamp: be_i64(batch, MAX_TIMESTAMP),
            producer_id: be_i64(batch, PRODUCER_ID),
            count: usize::try_from(count).map_err(|_| corrupt("it counts less than no records"))?,
        })
    }
}

impl Open {
    /// Appends records until there are as many as wanted.
    fn read(
        &mut self,
        partition: i32,
        position: i64,
        most: Most,
        bytes: &mut usize,
        out: &mut FetchBatch,
    ) -> Result<(), &'static str> {
        let data = self.data.clone();
        let mut cursor = Cursor {
            bytes: &data[..self.end],
            at: self.at,
        };
        let header = self.header;
        let (append_time, kind) = if header.attributes & LOG_APPEND_TIME != 0 {
            (Some(header.max_timestamp), TimestampType::LogAppendTime)
        } else {
            (None, TimestampType::CreateTime)
        };
        while self.left > 0 && out.records.len() < most.records.max(1) && *bytes < most.bytes.max(1) {
            let record = cursor.record(&mut out.headers).ok_or("a record does not parse")?;
            if self.left == 1 && cursor.at != self.end {
                return Err("it has bytes behind its last record");
            }
            let offset = header
                .base
                .checked_add(record.offset_delta)
                .ok_or("a record's offset is no offset")?;
            if offset >= header.next || offset < self.least {
                return Err("a record's offset is beyond the batch's, or not behind the one before");
            }
            // Only now: one that is refused is found again by the next call.
            (self.at, self.least) = (cursor.at, offset + 1);
            self.left -= 1;
            if offset < position {
                out.headers.truncate(record.headers.start as usize);
                continue;
            }
            let at = append_time.unwrap_or_else(|| header.base_timestamp.wrapping_add(record.timestamp_delta));
            let (timestamp, timestamp_type) = if at == -1 {
                (None, TimestampType::None)
            } else {
                (Some(at), kind)
            };
            *bytes += record.bytes;
            out.records.push(FetchedRecord {
                topic: 0,
                partition,
                offset,
                timestamp,
                timestamp_type,
                key: record.key,
                value: record.value,
                headers: record.headers,
            });
        }
        Ok(())
    }
}

struct Record {
    timestamp_delta: i64,
    offset_delta: i64,
    key: Option<Slice>,
    value: Option<Slice>,
    headers: Slice,
    bytes: usize,
}

/// Reads varints and places behind each other.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    #[inline]
    fn record(&mut self, headers: &mut Vec<(Slice, Option<Slice>)>) -> Option<Record> {
        let length = usize::try_from(self.varint()?).ok()?;
        let start = self.at;
        let end = start.checked_add(length).filter(|end| *end <= self.bytes.len())?;
        self.skip(1)?;
        let timestamp_delta = self.varint()?;
        let offset_delta = self.varint()?;
        let key = self.slice()?;
        let value = self.slice()?;
        let first = headers.len() as u32;
        let count = self.varint()?;
        // A header takes two bytes at least.
        if count < 0 || count as u64 > (self.bytes.len() - self.at) as u64 / 2 {
            return None;
        }
        for _ in 0..count {
            let name = self.slice()??;
            headers.push((name, self.slice()?));
        }
        (self.at == end).then_some(Record {
            timestamp_delta,
            offset_delta,
            key,
            value,
            headers: first..headers.len() as u32,
            bytes: length,
        })
    }

    fn skip(&mut self, bytes: usize) -> Option<()> {
        self.at = self.at.checked_add(bytes).filter(|at| *at <= self.bytes.len())?;
        Some(())
    }

    /// A length and so many bytes; a length of -1 is null.
    #[inline]
    fn slice(&mut self) -> Option<Option<Slice>> {
        let length = self.varint()?;
        if length == -1 {
            return Some(None);
        }
        let start = self.at;
        self.skip(usize::try_from(length).ok()?)?;
        Some(Some(start as u32..self.at as u32))
    }

    #[inline(always)]
    fn varint(&mut self) -> Option<i64> {
        let first = *self.bytes.get(self.at)?;
        let value = if first < 0x80 {
            self.at += 1;
            u64::from(first)
        } else {
            self.longer()?
        };
        Some((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// A number of two bytes or more, before it is told whether it is negative.
    #[inline]
    fn longer(&mut self) -> Option<u64> {
        let mut value = 0;
        for (place, byte) in self.bytes[self.at..].iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * place);
            if *byte < 0x80 {
                self.at += place + 1;
                return Some(value);
            }
        }
        None
    }
}

/// The callers have seen that the bytes are there.
fn be_i32(bytes: &[u8], at: usize) -> i32 {
    i32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn be_i64(bytes: &[u8], at: usize) -> i64 {
    i64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod whole_tests;
