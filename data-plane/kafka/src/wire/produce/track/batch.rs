//! A batch that is ready to be sent, what is to be said of its records in the end, and how two are made of it. Pure.

use crate::port::{Ack, Delivered};
use crate::wire::batch::encode::{Sealed, Stamp, next_sequence};
use tokio::time::Instant;

/// A run of records by their own numbers.
pub(super) type Run = (u64, usize);

/// A batch that takes no more records.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) sealed: Sealed,
    pub(super) runs: Vec<Run>,
    /// What its records count in the lane's quota.
    pub(super) bytes: usize,
    pub(super) since: Instant,
    /// Under which it was sent before.
    pub(super) stamp: Option<Stamp>,
    pub(super) tries: u32,
    pub(super) part: Option<Part>,
}

/// Of which batch that was passed on whole a batch is a part, since that was too large.
#[derive(Debug)]
pub(super) struct Part {
    /// The whole's number. The last part has it in its runs, and is acknowledged for all; the others have no runs.
    pub(super) whole: u64,
    /// What became of those in front of the last: the first one's offset, or why one was not stored.
    pub(super) before: Option<crate::Result<i64>>,
}

/// What an answer, or the time, means for the lane.
#[derive(Debug, Default)]
pub(in crate::wire::produce) struct Done {
    pub(in crate::wire::produce) acks: Vec<Ack>,
    /// Given back to the quota.
    pub(in crate::wire::produce) bytes: usize,
    pub(in crate::wire::produce) records: usize,
    /// Batches that were made two.
    pub(in crate::wire::produce) splits: usize,
}

impl Done {
    pub(super) fn stored(&mut self, runs: &[Run], bytes: usize, partition: i32, offset: i64) {
        let mut at = offset;
        for (sequence, count) in runs {
            let first = Delivered { partition, offset: at };
            if offset >= 0 {
                self.acks.push(Ack {
                    sequence: *sequence,
                    count: *count,
                    outcome: Ok(first),
                });
                at += *count as i64;
            } else {
                // Offsets count on within a run; unknown ones do not.
                let each = (*sequence..).take(*count);
                self.acks.extend(each.map(|sequence| Ack {
                    sequence,
                    count: 1,
                    outcome: Ok(first),
                }));
            }
        }
        self.close(bytes, runs);
    }

    pub(super) fn failed(&mut self, runs: &[Run], bytes: usize, error: &crate::Error) {
        for (sequence, count) in runs {
            let each = (*sequence..).take(*count);
            self.acks.extend(each.map(|sequence| Ack {
                sequence,
                count: 1,
                outcome: Err(Box::new(error.clone())),
            }));
        }
        self.close(bytes, runs);
    }

    fn close(&mut self, bytes: usize, runs: &[Run]) {
        self.bytes += bytes;
        self.records += runs.iter().map(|(_, count)| count).sum::<usize>();
    }
}

impl Batch {
    /// Whether nothing may be sent before it is answered: it may be stored already, or the last part of the same whole, which says what
    /// became of all, is still to come.
    pub(super) fn goes_alone(&self) -> bool {
        self.tries > 1 || (self.part.is_some() && self.runs.is_empty())
    }

    /// Two batches instead of this one, under the sequences that it had: none of its records is stored under them.
    pub(super) fn split(self, (first, second): (Sealed, Sealed)) -> (Self, Self) {
        let after = |stamp: Stamp| Stamp {
            sequence: next_sequence(stamp.sequence, first.count()),
            ..stamp
        };
        let records = usize::try_from(first.count()).unwrap_or(0);
        let all = records + usize::try_from(second.count()).unwrap_or(0);
        let is_whole = self.part.is_some() || self.runs.iter().map(|(_, count)| count).sum::<usize>() != all;
        let (runs, bytes, part) = if is_whole {
            let of_runs = self.runs.first().map(|(whole, _)| *whole);
            let whole = self.part.as_ref().map(|part| part.whole).or(of_runs);
            (
                (Vec::new(), self.runs),
                0,
                whole.map(|whole| Part { whole, before: None }),
            )
        } else {
            (cut(self.runs, records), self.bytes * records / all.max(1), None)
        };
        let of_second = self.part.or(part.as_ref().map(|part| Part {
            whole: part.whole,
            before: None,
        }));
        let second = Self {
            stamp: self.stamp.map(after),
            sealed: second,
            runs: runs.1,
            bytes: self.bytes - bytes,
            since: self.since,
            tries: 0,
            part: of_second,
        };
        let first = Self {
            stamp: self.stamp,
            sealed: first,
            runs: runs.0,
            bytes,
            since: self.since,
            tries: 0,
            part,
        };
        (first, second)
    }
}

/// The runs of the first so many records, and the others.
fn cut(runs: Vec<Run>, mut records: usize) -> (Vec<Run>, Vec<Run>) {
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for (sequence, count) in runs {
        let taken = count.min(records);
        records -= taken;
        if taken > 0 {
            first.push((sequence, taken));
        }
        if taken < count {
            second.push((sequence + taken as u64, count - taken));
        }
    }
    (first, second)
}

/// What became of two that are one behind the other: where the first begins, if both are stored.
pub(super) fn both(before: Option<crate::Result<i64>>, outcome: crate::Result<i64>) -> crate::Result<i64> {
    match before {
        Some(before) => before.and_then(|offset| outcome.map(|_| offset)),
        None => outcome,
    }
}
