//! Cuts blocks of bytes into lines and puts them into a batch, without copying a line.

use bytes::Bytes;
use dray_connect::backing::Backing;
use dray_connect::datum::{Datum, Utf8Span};
use dray_connect::offset::{OffsetMap, Primitive, SharedFields, SourceOffset, SourcePartition};
use dray_connect::schema::{Schema, SchemaRef};
use dray_connect::source_batch::{Body, Field, SourceBatch, SourceRecord};
use dray_connect::{Error, Result};
use memchr::{memchr, memchr_iter, memchr2_iter};
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Longer lines fail the task: a file without line ends must not fill the memory, and no broker takes such a record.
pub(crate) const MAX_LINE: usize = 64 << 20;

/// What all records of a task share.
#[derive(Debug)]
pub(crate) struct Stamp {
    topic: Arc<str>,
    partition: SourcePartition,
    schema: SchemaRef,
    /// The offset of every record of standard input, which has no positions.
    untracked: Option<Arc<SharedFields>>,
    /// For messages.
    name: Box<str>,
}

/// The field of the source offset: the byte after the line's terminator, where the next line starts.
pub(crate) const POSITION: &str = "position";

impl Stamp {
    /// Of a file, whose positions are stored.
    pub(crate) fn of_file(topic: Arc<str>, partition: SourcePartition, name: &str) -> Self {
        Self {
            topic,
            partition,
            schema: Schema::string(),
            untracked: None,
            name: name.into(),
        }
    }

    /// Of a stream that cannot be read twice.
    pub(crate) fn of_stream(topic: Arc<str>, partition: SourcePartition) -> Self {
        let untracked = Some(SharedFields::whole(OffsetMap::new().with(POSITION, Primitive::Null)));
        Self {
            topic,
            partition,
            schema: Schema::string(),
            untracked,
            name: "standard input".into(),
        }
    }
}

/// The block that is being cut. A line ends at `\n`, `\r\n` or a lone `\r`. Held back until more comes: a last line
/// without terminator, and a `\r` at the end of the block, because a `\n` that follows would belong to it.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    block: Bytes,
    /// Where the next line starts.
    at: usize,
    /// No terminator lies between `at` and here in what is held back.
    scanned: usize,
    /// Where the lines of the block end that are complete, before their terminators, and which of them is the next: found in one
    /// go, because a search costs more to begin than a line's length of it takes.
    ends: Vec<u32>,
    next_end: usize,
    /// The block is UTF-8 up to here; lines that end later are checked one by one.
    valid: usize,
    /// The position of `block[at]` in the file.
    position: u64,
}

impl Lines {
    /// Nothing yet; the first block starts at `position`.
    pub(crate) fn new(position: u64) -> Self {
        Self {
            position,
            ..Self::default()
        }
    }

    /// What is held back; the next block has to begin with it.
    pub(crate) fn held(&self) -> Bytes {
        self.block.slice(self.at..)
    }

    /// Takes over a block that begins with what [`Lines::held`] gave.
    pub(crate) fn feed(&mut self, block: Bytes) {
        // Lines that nobody has taken are found again.
        let untaken = self.next_end < self.ends.len();
        let from = if untaken { 0 } else { self.scanned - self.at };
        self.at = 0;
        // `valid` may end inside a character that the block cuts off; it comes again at the start of the next block.
        self.valid = match simdutf8::compat::from_utf8(&block) {
            Ok(_) => block.len(),
            Err(error) => error.valid_up_to(),
        };
        self.ends.clear();
        self.next_end = 0;
        let unseen = &block[from..];
        let place = |place: usize| (from + place) as u32; // blocks are shorter than 4 GiB
        self.scanned = block.len();
        // Files without `\r` are searched for one byte instead of two.
        if memchr(b'\r', unseen).is_none() {
            self.ends.extend(memchr_iter(b'\n', unseen).map(place));
        } else {
            let first = |place: &usize| unseen[*place] == b'\r' || *place == 0 || unseen[*place - 1] != b'\r';
            self.ends
                .extend(memchr2_iter(b'\n', b'\r', unseen).filter(first).map(place));
            if unseen.ends_with(b"\r") {
                self.ends.pop();
                self.scanned -= 1;
            }
        }
        self.block = block;
    }

    /// Appends up to `limit` lines to the batch; how many.
    pub(crate) fn fill(&mut self, batch: &mut SourceBatch, stamp: &Stamp, limit: usize) -> Result<usize> {
        let count = limit.min(self.ends.len() - self.next_end);
        if count == 0 {
            self.check_length(stamp, self.at, self.block.len())?;
            return Ok(0);
        }
        let ends = &self.ends[self.next_end..self.next_end + count];
        self.check_lengths(stamp, ends)?;
        let sender = Sender::new(batch, stamp, self.block.clone());
        let (block, mut at, mut position) = (&self.block, self.at, self.position);
        let mut next = |end: &u32| {
            let end = *end as usize;
            let line = at..end;
            at = behind(block, end);
            position += (at - line.start) as u64;
            (line, position)
        };
        let (valid, others) = ends.split_at(ends.partition_point(|end| *end as usize <= self.valid));
        batch.extend(|backing| {
            valid.iter().map(|end| {
                let (line, position) = next(end);
                sender.record(sender.text(backing, line), position)
            })
        });
        for end in others {
            let (line, position) = next(end);
            let text = sender.repaired(batch, line);
            batch.push(sender.record(text, position));
        }
        (self.at, self.position) = (at, position);
        self.next_end += count;
        Ok(count)
    }

    /// Nothing will complete what is held back: sends it as a line and goes on at position 0 of something else. Its
    /// offset is 0 too, so that a restart after it begins there.
    pub(crate) fn restart(&mut self, batch: &mut SourceBatch, stamp: &Stamp) {
        let mut end = self.block.len();
        if end > self.at {
            if self.block[end - 1] == b'\r' {
                end -= 1;
            }
            let sender = Sender::new(batch, stamp, self.block.clone());
            let text = sender.repaired(batch, self.at..end);
            batch.push(sender.record(text, 0));
        }
        *self = Self::new(0);
    }

    /// No line of these, the first of which begins at `at`, is too long.
    fn check_lengths(&self, stamp: &Stamp, ends: &[u32]) -> Result<()> {
        let mut at = self.at;
        // Hardly any block is so large.
        if self.block.len() - at > MAX_LINE {
            for end in ends {
                self.check_length(stamp, at, *end as usize)?;
                at = behind(&self.block, *end as usize);
            }
        }
        Ok(())
    }

    /// A line from `at` to `end` is not too long.
    fn check_length(&self, stamp: &Stamp, at: usize, end: usize) -> Result<()> {
        if end - at <= MAX_LINE {
            return Ok(());
        }
        Err(Error::connect(format!(
            "a line of {} at position {} has {} bytes or more; lines may have up to {MAX_LINE} bytes",
            stamp.name,
            self.position + (at - self.at) as u64,
            end - at
        )))
    }
}

/// Where the line starts that follows one that ends here.
#[inline]
fn behind(block: &[u8], end: usize) -> usize {
    end + if block[end..].starts_with(b"\r\n") { 2 } else { 1 }
}

/// Puts lines of one block into one batch.
struct Sender {
    block: Bytes,
    span: dray_connect::backing::Span,
    template: SourceRecord,
    schema: dray_connect::source_batch::SchemaId,
    tracked: bool,
}

impl Sender {
    /// Adopts the block; the batch keeps it alive, so it counts in full even if only a part of it is sent.
    fn new(batch: &mut SourceBatch, stamp: &Stamp, block: Bytes) -> Self {
        let span = batch.backing_mut().adopt(block.clone());
        let schema = batch.schema(&stamp.schema);
        let template = SourceRecord {
            topic: batch.topic(&stamp.topic),
            kafka_partition: None,
            timestamp: Some(wall_clock_ms()),
            source_partition: batch.source_partition(&stamp.partition),
            source_offset: match &stamp.untracked {
                Some(fields) => SourceOffset::Shared {
                    fields: fields.clone(),
                    value: 0,
                },
                None => SourceOffset::Long {
                    field: POSITION,
                    value: 0,
                },
            },
            body: Body::Data {
                key: Field::default(),
                value: Field::default(),
                headers: None,
            },
        };
        Self {
            block,
            span,
            template,
            schema,
            tracked: stamp.untracked.is_none(),
        }
    }

    #[inline(always)]
    fn record(&self, text: Utf8Span, position: u64) -> SourceRecord {
        let source_offset = if self.tracked {
            // Files end below 2^63.
            SourceOffset::Long {
                field: POSITION,
                value: position as i64,
            }
        } else {
            self.template.source_offset.clone()
        };
        let value = Field {
            schema: Some(self.schema),
            datum: Datum::Str(text),
        };
        let body = Body::Data {
            key: Field::default(),
            value,
            headers: None,
        };
        let SourceRecord {
            topic,
            kafka_partition,
            timestamp,
            source_partition,
            ..
        } = self.template;
        SourceRecord {
            topic,
            kafka_partition,
            timestamp,
            source_partition,
            source_offset,
            body,
        }
    }

    /// A line that was checked.
    #[inline(always)]
    fn text(&self, backing: &Backing, line: Range<usize>) -> Utf8Span {
        Utf8Span::checked_by_caller(backing, self.span.slice(line.start, line.end))
    }

    /// A line of a block that is not UTF-8 throughout. Connect's decoder replaces malformed bytes with U+FFFD.
    #[cold]
    fn repaired(&self, batch: &mut SourceBatch, line: Range<usize>) -> Utf8Span {
        match String::from_utf8_lossy(&self.block[line.clone()]) {
            Cow::Borrowed(_) => self.text(batch.backing(), line),
            Cow::Owned(repaired) => {
                let span = batch.backing_mut().copy(repaired.as_bytes());
                Utf8Span::checked_by_caller(batch.backing(), span)
            }
        }
    }
}

/// Milliseconds since the epoch; a clock before 1970 counts as 1970.
fn wall_clock_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as i64)
}

#[cfg(test)]
mod tests;
