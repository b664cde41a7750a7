//! What the polling thread tells a lane about its records.

use rdkafka::error::RDKafkaErrorCode as Code;
use std::sync::Mutex;
use tokio::sync::Notify;

/// The delivery opaque is one word: the lane's number above, the record's number in its lane below.
pub(super) const COUNTER_BITS: u32 = 40;
pub(super) const COUNTER_MASK: u64 = (1 << COUNTER_BITS) - 1;

/// The delivery reports of a run of records, small and without allocation. The lane makes [`Ack`](crate::port::Ack)s of it.
#[derive(Clone)]
pub(super) struct Report {
    pub(super) counter: u64,
    /// More than one where all of them are stored, one after the other.
    pub(super) count: u64,
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) error: Option<Box<Failure>>,
}

impl Report {
    /// Takes in the report of the next record, if it is that.
    pub(super) fn extend(&mut self, next: &Self) -> bool {
        let follows = (self.counter + self.count) & COUNTER_MASK == next.counter
            && self.partition == next.partition
            && self.offset + self.count as i64 == next.offset
            && self.error.is_none()
            && next.error.is_none();
        self.count += u64::from(follows);
        follows
    }
}

/// Why a record is not stored.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) code: Code,
    pub(super) topic: String,
}

/// Where the polling thread leaves the reports of one lane. Bounded by the lane's quota.
#[derive(Default)]
pub(super) struct Mailbox {
    pub(super) reports: Mutex<Vec<Report>>,
    pub(super) wake: Notify,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_that_follow_each_other_are_one_run() {
        let report = |counter, partition, offset, error| Report {
            counter,
            count: 1,
            partition,
            offset,
            error,
        };
        let failure = || {
            Some(Box::new(Failure {
                code: Code::InvalidTopic,
                topic: "t".to_owned(),
            }))
        };
        let first = report(COUNTER_MASK - 1, 3, 7, None);
        for (next, follows) in [
            (report(COUNTER_MASK, 3, 8, None), true),
            (report(COUNTER_MASK - 1, 3, 8, None), false),
            (report(0, 3, 8, None), false),
            (report(COUNTER_MASK, 2, 8, None), false),
            (report(COUNTER_MASK, 3, 9, None), false),
            (report(COUNTER_MASK, 3, 8, failure()), false),
        ] {
            let mut run = first.clone();
            assert_eq!(run.extend(&next), follows);
            assert_eq!(run.count, if follows { 2 } else { 1 });
        }
        let mut run = first.clone();
        assert!(run.extend(&report(COUNTER_MASK, 3, 8, None)));
        assert!(run.extend(&report(0, 3, 9, None)), "counters begin again");
        let mut failed = report(1, 3, -1, failure());
        assert!(!failed.extend(&report(2, 3, 0, None)));
    }
}
