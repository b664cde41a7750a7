//! What goes wrong with records: Connect's task-error-metrics. Counted where it happens, for failing records only.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// The counts of one task.
#[derive(Debug, Default)]
pub struct Failures {
    failures: AtomicU64,
    errors: AtomicU64,
    skipped: AtomicU64,
    retries: AtomicU64,
    logged: AtomicU64,
    letters: AtomicU64,
    letters_failed: AtomicU64,
    last_ms: AtomicU64,
}

/// The counts at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FailureCounts {
    /// Attempts that failed.
    pub failures: u64,
    /// Records that failed for good, tolerated or not.
    pub errors: u64,
    /// Of these, the tolerated ones.
    pub skipped: u64,
    /// Attempts after a failed one.
    pub retries: u64,
    /// Failures written to the log.
    pub logged: u64,
    /// Letters for the dead letter queue.
    pub letters: u64,
    /// Letters that could not be written.
    pub letters_failed: u64,
    /// When the last attempt failed, in milliseconds since 1970; 0: none did.
    pub last_ms: u64,
}

fn one(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}

impl Failures {
    /// An attempt failed.
    pub(crate) fn failed(&self) {
        one(&self.failures);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.last_ms
            .store(u64::try_from(now.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// A record failed for good.
    pub(crate) fn gave_up(&self) {
        one(&self.errors);
    }

    /// A record that failed for good is left out.
    pub(crate) fn skipped(&self) {
        one(&self.skipped);
    }

    /// It is tried again.
    pub(crate) fn retried(&self) {
        one(&self.retries);
    }

    /// It is in the log.
    pub(crate) fn logged(&self) {
        one(&self.logged);
    }

    /// A letter is sent.
    pub(crate) fn letter(&self) {
        one(&self.letters);
    }

    /// A letter could not be written.
    pub(crate) fn letter_failed(&self) {
        one(&self.letters_failed);
    }

    /// The counts now.
    #[must_use]
    pub fn counts(&self) -> FailureCounts {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        FailureCounts {
            failures: read(&self.failures),
            errors: read(&self.errors),
            skipped: read(&self.skipped),
            retries: read(&self.retries),
            logged: read(&self.logged),
            letters: read(&self.letters),
            letters_failed: read(&self.letters_failed),
            last_ms: read(&self.last_ms),
        }
    }
}
