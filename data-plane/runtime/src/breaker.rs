//! Ends a task of whose records too many fail, whatever is tolerated: `errors.tolerance=all` is meant for the odd record, and a
//! source that has changed its format, or a transform that was mistyped, would send everything to the dead letter queue.
//!
//! Such a task is not started again, whatever `dray.restart.policy` says, and its agent reports why it failed: the leader then pauses the whole
//! connector, as what is wrong for one task is so for its siblings.

use dray_connect::config::ParsedConfig;
use dray_connect::{Error, Result};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// The share that may fail.
pub(crate) const PERCENT: &str = "dray.errors.breaker.percent";
/// Of how many records.
pub(crate) const RECORDS: &str = "dray.errors.breaker.records";

/// Counts the failed ones among the last records of one task. Pure but for its lock.
#[derive(Debug)]
pub struct Breaker {
    percent: f64,
    /// So many records are looked back at.
    window: u64,
    /// So many of them may fail.
    allowed: usize,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// Records so far.
    total: u64,
    /// How many there had been when one failed, for those within the window. One more than allowed at most.
    failed: VecDeque<u64>,
}

impl Breaker {
    /// Takes its keys of a connector; none when all may fail.
    pub(crate) fn read(config: &ParsedConfig) -> Result<Option<Arc<Self>>> {
        let percent = config.double(PERCENT)?;
        let window = u64::try_from(config.int(RECORDS)?).unwrap_or(1);
        Ok((percent < 100.0).then(|| Arc::new(Self::new(percent, window))))
    }

    fn new(percent: f64, window: u64) -> Self {
        Self {
            percent,
            window,
            // At most a window, which is an int.
            allowed: (window as f64 * percent / 100.0) as usize,
            seen: Mutex::default(),
        }
    }

    /// So many records are about to go through the pipeline.
    pub(crate) fn saw(&self, count: usize) {
        self.lock().total += count as u64;
    }

    /// One of them failed for good.
    ///
    /// # Errors
    /// When that is one more than may.
    pub(crate) fn failed(&self) -> Result<()> {
        let mut seen = self.lock();
        let total = seen.total;
        seen.failed.push_back(total);
        let gone = seen.failed.partition_point(|at| at + self.window <= total);
        seen.failed.drain(..gone);
        if seen.failed.len() <= self.allowed {
            return Ok(());
        }
        let (failed, window, percent) = (seen.failed.len(), self.window, self.percent);
        let text = format!("{failed} of the last {window} records failed, and {PERCENT} allows {percent} %");
        Err(Error::connect(text).with_source(Tripped { record: None }))
    }

    /// The task goes on after it was paused: a person has looked at what failed before.
    pub(crate) fn begin_anew(&self) {
        self.lock().failed.clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        // What it guards is whole whenever it is free.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Marks the error of a task whose breaker tripped, as its cause. The error itself says all there is to say, and the record's own error,
/// where it is known, is the cause of this one.
#[derive(Debug, thiserror::Error)]
#[error("too many records fail")]
pub(crate) struct Tripped {
    #[source]
    record: Option<Error>,
}

/// The error of a task that may skip no more records, with that of its last one.
pub(crate) fn because(verdict: Error, record: Error) -> Error {
    if is_trip(&verdict) {
        verdict.with_source(Tripped { record: Some(record) })
    } else {
        verdict.with_source(record)
    }
}

/// Whether a task failed because its breaker tripped.
pub(crate) fn is_trip(error: &Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if error.is::<Tripped>() {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::trace;

    /// After how many failures it ends the task, when every so-manieth record fails.
    fn ends(percent: f64, window: u64, every: usize) -> Option<usize> {
        let breaker = Breaker::new(percent, window);
        (1..=10_000).find(|_| {
            breaker.saw(every);
            breaker.failed().is_err()
        })
    }

    #[test]
    fn one_more_than_the_share_ends_the_task() {
        for (percent, window, every, expected) in [
            (10.0, 1000, 1, Some(101)),
            (10.0, 1000, 5, Some(101)),
            (10.0, 1000, 10, None),
            (10.0, 1000, 11, None),
            (0.0, 1000, 500, Some(1)),
            (50.0, 1, 1, Some(1)),
            (100.0, 100, 1, None),
        ] {
            assert_eq!(
                ends(percent, window, every),
                expected,
                "{percent} % of {window}, every {every}"
            );
        }
    }

    #[test]
    fn what_failed_long_ago_does_not_count() {
        let breaker = Breaker::new(1.0, 100);
        for _ in 0..1000 {
            breaker.saw(100);
            breaker.failed().unwrap();
        }
        assert_eq!(breaker.lock().failed.len(), 1);
        let text = "2 of the last 100 records failed, and dray.errors.breaker.percent allows 1 %";
        let verdict = breaker.failed().unwrap_err();
        assert!(is_trip(&verdict));
        assert_eq!(trace(&verdict), text);
        let error = because(verdict, Error::data("no number"));
        assert!(is_trip(&error));
        assert_eq!(trace(&error), format!("{text}\nCaused by: no number"));
        assert!(!is_trip(&because(
            Error::connect("not tolerated"),
            Error::data("no number")
        )));
    }

    #[test]
    fn after_a_pause_what_failed_before_does_not_count() {
        let breaker = Breaker::new(1.0, 100);
        breaker.saw(1);
        breaker.failed().unwrap();
        breaker.begin_anew();
        breaker.failed().unwrap();
        breaker.failed().unwrap_err();
    }
}
