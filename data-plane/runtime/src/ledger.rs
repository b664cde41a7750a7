//! What was read but is not yet durable: decides which source offsets may be committed.
//!
//! Pure. A record is entered in the order of its source partition, and finished when it is durable, dropped by a
//! filter, or tolerated as failed. The committable offset of a partition is that of the last record of its longest
//! finished prefix, so a stuck record holds up its own source partition only.

use dray_connect::offset::{SourceOffset, SourcePartition};
use std::collections::{HashMap, VecDeque};

/// Names one entered record until it is finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sequence(u64);

/// Bits of a sequence that count within a source partition; the rest are the partition's number.
const LOCAL_BITS: u32 = 40;
const LOCAL_MASK: u64 = (1 << LOCAL_BITS) - 1;

impl Sequence {
    /// As the number that travels with the record through the producer.
    #[must_use]
    pub fn to_u64(self) -> u64 {
        self.0
    }

    /// Back from that number.
    #[must_use]
    pub fn from_u64(number: u64) -> Self {
        Self(number)
    }
}

/// A source partition's number in one ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionNumber(u32);

/// A record: the value of its offset. Two numbers, which travel in registers: what is written to memory in pieces and read back in one
/// is waited for, with every record.
#[derive(Clone, Copy, Debug)]
struct Entry {
    value: i64,
    finished: bool,
}

/// So many records behind each other whose offsets are this one but for its value.
#[derive(Debug)]
struct Run {
    offset: SourceOffset,
    count: usize,
}

#[derive(Debug)]
struct Partition {
    key: SourcePartition,
    entries: VecDeque<Entry>,
    /// Their offsets, as many as there are entries.
    runs: VecDeque<Run>,
    /// Local count of the front entry; wraps at 2^40, far more than can be unfinished at once.
    base: u64,
    committable: Option<SourceOffset>,
}

impl Partition {
    /// The first so many records leave; the offset of the last of them.
    fn leave(&mut self, count: usize) -> Option<SourceOffset> {
        let value = self.entries.drain(..count).next_back()?.value;
        let mut left = count;
        loop {
            let run = self.runs.front_mut()?;
            if left < run.count {
                run.count -= left;
                return Some(run.offset.with_value(value));
            }
            left -= run.count;
            let run = self.runs.pop_front()?;
            if left == 0 {
                return Some(run.offset.with_value(value));
            }
        }
    }
}

/// The ledger of one source task.
#[derive(Debug, Default)]
pub struct Ledger {
    partitions: Vec<Partition>,
    by_json: HashMap<String, u32>,
    unfinished: usize,
    /// Whether any partition has something committable.
    committable: bool,
}

impl Ledger {
    /// An empty ledger.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of a source partition; equal maps are one partition, whatever the order of their entries.
    ///
    /// # Panics
    /// Beyond 16 million source partitions in one task.
    pub fn partition(&mut self, key: &SourcePartition) -> PartitionNumber {
        let mut entries: Vec<_> = key.iter().map(|(name, value)| format!("{name:?}{value:?}")).collect();
        entries.sort_unstable();
        let next = u32::try_from(self.partitions.len()).expect("a task has fewer source partitions");
        assert!(
            next < 1 << (64 - LOCAL_BITS),
            "a task cannot have more than 16 million source partitions"
        );
        let number = *self.by_json.entry(entries.concat()).or_insert(next);
        if number == next {
            self.partitions.push(Partition {
                key: key.clone(),
                entries: VecDeque::new(),
                runs: VecDeque::new(),
                base: 0,
                committable: None,
            });
        }
        PartitionNumber(number)
    }

    /// Enters a record that is about to be produced.
    #[inline]
    pub fn enter(&mut self, number: PartitionNumber, offset: &SourceOffset) -> Sequence {
        let partition = &mut self.partitions[number.0 as usize];
        let local = (partition.base + partition.entries.len() as u64) & LOCAL_MASK;
        partition.entries.push_back(Entry {
            value: offset.value(),
            finished: false,
        });
        match partition.runs.back_mut() {
            Some(run) if run.offset.differs_in_value_only(offset) => run.count += 1,
            Some(_) | None => partition.runs.push_back(Run {
                offset: offset.clone(),
                count: 1,
            }),
        }
        self.unfinished += 1;
        Sequence((u64::from(number.0) << LOCAL_BITS) | local)
    }

    /// Enters a record that is finished already: dropped, or failed and tolerated.
    pub fn enter_finished(&mut self, number: PartitionNumber, offset: &SourceOffset) {
        let sequence = self.enter(number, offset);
        self.finish(sequence, 1);
    }

    /// Where an unfinished record comes from, and where there.
    #[must_use]
    pub fn source(&self, sequence: Sequence) -> Option<(&SourcePartition, SourceOffset)> {
        let partition = self.partitions.get((sequence.0 >> LOCAL_BITS) as usize)?;
        let place = (sequence.0 & LOCAL_MASK).wrapping_sub(partition.base) & LOCAL_MASK;
        let entry = partition.entries.get(place as usize)?;
        let mut before = place as usize;
        let run = partition.runs.iter().find(|run| {
            let is_here = before < run.count;
            before = before.saturating_sub(run.count);
            is_here
        });
        Some((&partition.key, run?.offset.with_value(entry.value)))
    }

    /// As many records are durable, from this one on and as they were entered. Finishing one twice changes nothing.
    pub fn finish(&mut self, first: Sequence, count: usize) {
        let number = (first.0 >> LOCAL_BITS) as usize;
        let Some(partition) = self.partitions.get_mut(number) else {
            return;
        };
        let local = first.0 & LOCAL_MASK;
        let place = (local.wrapping_sub(partition.base) & LOCAL_MASK) as usize;
        // The number behind a partition's last is the next partition's first.
        let here = count.min((LOCAL_MASK - local + 1) as usize);
        // Those that left the prefix long ago were finished before.
        let gone = (partition.base.wrapping_sub(local) & LOCAL_MASK) as usize;
        let (place, unseen) = if gone < here { (0, here - gone) } else { (place, here) };
        let mut ahead = 0;
        if place == 0 {
            // The usual case: they leave at once, and are not marked first.
            ahead = unseen.min(partition.entries.len());
            let open = partition.entries.range(..ahead).filter(|entry| !entry.finished);
            self.unfinished -= open.count();
        } else {
            for entry in partition.entries.iter_mut().skip(place).take(unseen) {
                self.unfinished -= usize::from(!entry.finished);
                entry.finished = true;
            }
        }
        let finished = partition.entries.range(ahead..).take_while(|entry| entry.finished);
        let prefix = ahead + finished.count();
        partition.base = (partition.base + prefix as u64) & LOCAL_MASK;
        if let Some(last) = partition.leave(prefix) {
            partition.committable = Some(last);
            self.committable = true;
        }
        if here < count {
            self.finish(Sequence(first.0 + here as u64), count - here);
        }
    }

    /// Takes the offsets that may be committed and were not taken yet, one a source partition.
    pub fn take_committable(&mut self) -> Vec<(SourcePartition, SourceOffset)> {
        self.committable = false;
        self.partitions
            .iter_mut()
            .filter_map(|partition| Some((partition.key.clone(), partition.committable.take()?)))
            .collect()
    }

    /// Whether [`take_committable`](Self::take_committable) has something to give.
    #[must_use]
    pub fn is_committable(&self) -> bool {
        self.committable
    }

    /// Gives back offsets whose commit failed; newer ones that became committable meanwhile win.
    pub fn give_back(&mut self, offsets: Vec<(SourcePartition, SourceOffset)>) {
        self.committable |= !offsets.is_empty();
        for (key, offset) in offsets {
            let PartitionNumber(number) = self.partition(&key);
            self.partitions[number as usize].committable.get_or_insert(offset);
        }
    }

    /// Records entered and not finished.
    #[must_use]
    pub fn unfinished(&self) -> usize {
        self.unfinished
    }
}

#[cfg(test)]
mod tests;
