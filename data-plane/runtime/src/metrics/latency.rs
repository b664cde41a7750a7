//! How old records are when they have arrived: from their timestamp to the acknowledgement of Kafka, or to the sink's `put`.
//!
//! Looked at once a batch: all of its records count with the age of its first one, which is the oldest of them where timestamps grow.

use std::collections::VecDeque;
use std::time::{SystemTime, UNIX_EPOCH};

/// The upper ends of the buckets, in seconds.
pub(crate) const BUCKETS: [f64; 17] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1_800.0, 3_600.0, 86_400.0,
];

/// Milliseconds since 1970, as records have them.
pub(crate) fn wall_clock_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

/// Ages, by bucket.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ages {
    /// One for each of [`BUCKETS`], and those beyond.
    counts: [u64; BUCKETS.len() + 1],
    pub(crate) sum: f64,
}

impl Ages {
    pub(crate) fn observe(&mut self, count: usize, age_ms: i64) {
        let seconds = age_ms.max(0) as f64 / 1_000.0;
        let bucket = BUCKETS.iter().position(|end| seconds <= *end).unwrap_or(BUCKETS.len());
        self.counts[bucket] += count as u64;
        self.sum += seconds * count as f64;
    }

    pub(crate) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The end of each bucket, and how many are in it alone.
    pub(crate) fn buckets(&self) -> Vec<(f64, u64)> {
        let ends = BUCKETS.into_iter().chain([f64::INFINITY]);
        ends.zip(self.counts).collect()
    }
}

/// Batches that are not acknowledged yet, oldest first. Acknowledgements are taken for those of the oldest records: over partitions
/// they may come in another order, which moves an age by what the partitions differ.
#[derive(Debug, Default)]
pub(crate) struct Underway(VecDeque<(usize, i64)>);

impl Underway {
    /// So many records were sent, the first of them with this timestamp.
    pub(crate) fn sent(&mut self, count: usize, timestamp: i64) {
        if count > 0 {
            self.0.push_back((count, timestamp));
        }
    }

    /// So many came to their end at this moment; `seen` is told how many are how old.
    pub(crate) fn ended(&mut self, mut count: usize, now_ms: i64, mut seen: impl FnMut(usize, i64)) {
        while count > 0 {
            let Some((left, timestamp)) = self.0.front_mut() else {
                return;
            };
            let here = count.min(*left);
            seen(here, now_ms - *timestamp);
            *left -= here;
            count -= here;
            if *left == 0 {
                self.0.pop_front();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_end_first() {
        let mut underway = Underway::default();
        underway.sent(3, 1_000);
        underway.sent(0, 1_500);
        underway.sent(2, 2_000);
        let mut seen = Vec::new();
        for (count, now) in [(2, 3_000), (2, 4_000), (5, 5_000)] {
            underway.ended(count, now, |count, age| seen.push((count, age)));
        }
        assert_eq!(seen, [(2, 2_000), (1, 3_000), (1, 2_000), (1, 3_000)]);
    }

    #[test]
    fn ages_have_their_buckets() {
        let mut ages = Ages::default();
        for (count, age) in [(1, -7), (2, 5), (3, 6), (4, 86_400_001)] {
            ages.observe(count, age);
        }
        let full: Vec<_> = ages.buckets().into_iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(full, [(0.005, 3), (0.01, 3), (f64::INFINITY, 4)]);
        assert_eq!(ages.count(), 10);
    }
}
