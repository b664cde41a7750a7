//! One partition: its batches in order, who waits for more of them, and the memory they hold.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

use bytes::{Bytes, BytesMut};
use kafka_protocol::ResponseError;
use tokio::sync::Notify;

use crate::batch::{Batch, Sequence};
use crate::sync::lock;

/// Kafka remembers this many batches of a producer, because a producer may have that many in flight.
const REMEMBERED_BATCHES: usize = 5;

/// The bytes that record batches may hold, over all partitions.
#[derive(Debug)]
pub(crate) struct Memory {
    used: AtomicUsize,
    max: usize,
}

impl Memory {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            used: AtomicUsize::new(0),
            max,
        }
    }

    fn take(&self, bytes: usize) -> Result<(), ResponseError> {
        let fits = |used: usize| used.checked_add(bytes).filter(|used| *used <= self.max);
        match self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits) {
            Ok(_) => Ok(()),
            Err(used) => {
                tracing::warn!(
                    used,
                    max = self.max,
                    "dev broker is full: delete topics or raise `max_bytes`"
                );
                Err(ResponseError::KafkaStorageError)
            }
        }
    }

    fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// A partition, shared by its topic and by the fetches that read it.
#[derive(Debug)]
pub(crate) struct Partition {
    log: Mutex<Log>,
    memory: Arc<Memory>,
}

#[derive(Debug, Default)]
struct Log {
    batches: VecDeque<Stored>,
    start: i64,
    end: i64,
    bytes: usize,
    producers: HashMap<i64, Producer>,
    /// Fetches that wait. Weak, so that one that timed out costs nothing more than its slot until the next one waits.
    waiters: Vec<Weak<Notify>>,
}

#[derive(Debug)]
struct Stored {
    base: i64,
    last: i64,
    max_timestamp: i64,
    bytes: Bytes,
}

/// What is remembered of an idempotent producer, so that a batch sent again after a cut is stored once.
#[derive(Debug)]
struct Producer {
    epoch: i16,
    /// First sequence, base offset, last offset delta; oldest first.
    batches: VecDeque<(i32, i64, i32)>,
}

/// The bounds of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) start: i64,
    pub(crate) end: i64,
}

impl Partition {
    pub(crate) fn new(memory: Arc<Memory>) -> Self {
        Self {
            log: Mutex::default(),
            memory,
        }
    }

    pub(crate) fn bounds(&self) -> Bounds {
        lock(&self.log).bounds()
    }

    /// Stores a batch and wakes the fetches that wait. Returns its base offset. A batch that an idempotent producer
    /// already had stored is not stored again.
    pub(crate) fn append(&self, batch: &Batch) -> Result<i64, ResponseError> {
        let mut log = lock(&self.log);
        if let Some(sequence) = batch.producer
            && let Some(base) = log.already_stored(sequence, batch.last_offset_delta)?
        {
            return Ok(base);
        }
        self.memory.take(batch.len())?;
        let base = log.end;
        let last = base + i64::from(batch.last_offset_delta);
        log.batches.push_back(Stored {
            base,
            last,
            max_timestamp: batch.max_timestamp,
            bytes: batch.at_offset(base),
        });
        log.end = last + 1;
        log.bytes += batch.len();
        if let Some(sequence) = batch.producer {
            log.remember(sequence, base, batch.last_offset_delta);
        }
        log.wake();
        Ok(base)
    }

    /// Whole batches from the one that holds `offset`, up to `max_bytes`; at least one if `at_least_one`, so that a
    /// batch larger than the limit still makes progress.
    pub(crate) fn read(
        &self,
        offset: i64,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Result<(Bounds, Bytes), (Bounds, ResponseError)> {
        let log = lock(&self.log);
        let bounds = log.bounds();
        if offset < bounds.start || offset > bounds.end {
            return Err((bounds, ResponseError::OffsetOutOfRange));
        }
        let first = log.batches.partition_point(|stored| stored.last < offset);
        let mut found: Vec<Bytes> = Vec::new();
        let mut size = 0;
        for stored in log.batches.range(first..) {
            let larger = size + stored.bytes.len();
            if larger > max_bytes && !(at_least_one && found.is_empty()) {
                break;
            }
            size = larger;
            found.push(stored.bytes.clone());
        }
        drop(log);
        if found.len() == 1 {
            return Ok((bounds, found.swap_remove(0)));
        }
        let mut joined = BytesMut::with_capacity(size);
        for bytes in &found {
            joined.extend_from_slice(bytes);
        }
        Ok((bounds, joined.freeze()))
    }

    /// The first batch that has a record at or after `timestamp`: its greatest timestamp and its first offset.
    pub(crate) fn offset_at(&self, timestamp: i64) -> Option<(i64, i64)> {
        let log = lock(&self.log);
        let start = log.start;
        let found = log.batches.iter().find(|stored| stored.max_timestamp >= timestamp)?;
        Some((found.max_timestamp, found.base.max(start)))
    }

    /// Forgets the records before `offset` (-1: all of them) and returns where the log starts now.
    pub(crate) fn delete_before(&self, offset: i64) -> Result<i64, ResponseError> {
        let mut log = lock(&self.log);
        let offset = if offset == -1 { log.end } else { offset };
        if offset < 0 || offset > log.end {
            return Err(ResponseError::OffsetOutOfRange);
        }
        log.start = log.start.max(offset);
        let start = log.start;
        while log.batches.front().is_some_and(|stored| stored.last < start) {
            if let Some(stored) = log.batches.pop_front() {
                log.bytes -= stored.bytes.len();
                self.memory.give_back(stored.bytes.len());
            }
        }
        Ok(start)
    }

    /// Notifies `waiter` once, at the next append or when the partition goes away.
    pub(crate) fn wake_on_change(&self, waiter: &Arc<Notify>) {
        let mut log = lock(&self.log);
        log.waiters.retain(|waiter| waiter.strong_count() > 0);
        if !log.waiters.iter().any(|known| known.as_ptr() == Arc::as_ptr(waiter)) {
            log.waiters.push(Arc::downgrade(waiter));
        }
    }

    /// Wakes the fetches that wait, so that they see that the topic is gone.
    pub(crate) fn wake(&self) {
        lock(&self.log).wake();
    }
}

impl Drop for Partition {
    fn drop(&mut self) {
        self.memory.give_back(lock(&self.log).bytes);
    }
}

impl Log {
    fn bounds(&self) -> Bounds {
        Bounds {
            start: self.start,
            end: self.end,
        }
    }

    fn wake(&mut self) {
        for waiter in self.waiters.drain(..) {
            if let Some(waiter) = waiter.upgrade() {
                waiter.notify_one();
            }
        }
    }

    fn already_stored(&self, sequence: Sequence, last_delta: i32) -> Result<Option<i64>, ResponseError> {
        let Some(producer) = self.producers.get(&sequence.producer_id) else {
            return Ok(None);
        };
        if producer.epoch != sequence.epoch {
            return Ok(None);
        }
        let same = |(first, _, delta): &&(i32, i64, i32)| *first == sequence.base && *delta == last_delta;
        if let Some((_, base, _)) = producer.batches.iter().find(same) {
            return Ok(Some(*base));
        }
        // A gap means that an earlier batch was lost on the way; storing this one would change the order.
        match producer.batches.back() {
            Some((first, _, delta)) if sequence.base != next_sequence(*first, *delta) => {
                Err(ResponseError::OutOfOrderSequenceNumber)
            }
            Some(_) | None => Ok(None),
        }
    }

    fn remember(&mut self, sequence: Sequence, base: i64, last_delta: i32) {
        let fresh = || Producer {
            epoch: sequence.epoch,
            batches: VecDeque::new(),
        };
        let producer = self.producers.entry(sequence.producer_id).or_insert_with(fresh);
        if producer.epoch != sequence.epoch {
            *producer = fresh();
        }
        producer.batches.push_back((sequence.base, base, last_delta));
        if producer.batches.len() > REMEMBERED_BATCHES {
            producer.batches.pop_front();
        }
    }
}

/// Sequences run to the greatest `i32` and start again at 0.
fn next_sequence(first: i32, last_delta: i32) -> i32 {
    let next = (i64::from(first) + i64::from(last_delta) + 1) % (i64::from(i32::MAX) + 1);
    i32::try_from(next).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::tests::{batch_bytes, sequenced};

    fn partition(max: usize) -> Partition {
        Partition::new(Arc::new(Memory::new(max)))
    }

    fn batch(count: i32, timestamp: i64) -> Batch {
        Batch::parse(batch_bytes(count, timestamp, 39).freeze()).unwrap()
    }

    #[test]
    fn offsets_count_on_and_reads_start_at_the_batch_that_holds_the_offset() {
        let partition = partition(10_000);
        assert_eq!(partition.append(&batch(3, 10)), Ok(0));
        assert_eq!(partition.append(&batch(2, 20)), Ok(3));
        assert_eq!(partition.bounds(), Bounds { start: 0, end: 5 });
        assert_eq!(partition.read(2, 10_000, true).unwrap().1.len(), 200);
        assert_eq!(partition.read(3, 10_000, true).unwrap().1.len(), 100);
        assert_eq!(partition.read(0, 1, true).unwrap().1.len(), 100);
        assert_eq!(partition.read(0, 1, false).unwrap().1.len(), 0);
        assert_eq!(partition.read(5, 1, true).unwrap().1.len(), 0);
        assert_eq!(
            partition.read(6, 1, true).unwrap_err().1,
            ResponseError::OffsetOutOfRange
        );
        assert_eq!(partition.offset_at(11), Some((20, 3)));
        assert_eq!(partition.offset_at(21), None);
    }

    #[test]
    fn the_cap_refuses_and_deleting_frees() {
        let partition = partition(250);
        assert_eq!(partition.append(&batch(1, 0)), Ok(0));
        assert_eq!(partition.append(&batch(1, 0)), Ok(1));
        assert_eq!(partition.append(&batch(1, 0)), Err(ResponseError::KafkaStorageError));
        assert_eq!(partition.delete_before(1), Ok(1));
        assert_eq!(partition.append(&batch(1, 0)), Ok(2));
        assert_eq!(partition.bounds(), Bounds { start: 1, end: 3 });
        assert_eq!(partition.delete_before(9), Err(ResponseError::OffsetOutOfRange));
    }

    #[test]
    fn a_batch_sent_again_is_stored_once_and_a_gap_is_refused() {
        let partition = partition(10_000);
        let first = Batch::parse(sequenced(2, 7, 0).freeze()).unwrap();
        let second = Batch::parse(sequenced(2, 7, 2).freeze()).unwrap();
        let fourth = Batch::parse(sequenced(2, 7, 6).freeze()).unwrap();
        assert_eq!(partition.append(&first), Ok(0));
        assert_eq!(partition.append(&second), Ok(2));
        assert_eq!(partition.append(&first), Ok(0));
        assert_eq!(partition.append(&fourth), Err(ResponseError::OutOfOrderSequenceNumber));
        assert_eq!(partition.bounds().end, 4);
    }

    #[test]
    fn sequences_wrap() {
        assert_eq!(next_sequence(i32::MAX - 1, 0), i32::MAX);
        assert_eq!(next_sequence(i32::MAX, 0), 0);
    }
}
