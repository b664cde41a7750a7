//! How long schemas are looked up.

use dray_converters::Lookup;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// For all records of a preview: a registry answers in milliseconds, and one that is away is not waited for with every record.
const LOOKUPS: Duration = Duration::from_secs(5);

/// What is left of it.
pub(super) struct Patience(Duration);

impl Default for Patience {
    fn default() -> Self {
        Self(LOOKUPS)
    }
}

impl Patience {
    /// Whether what is looked up was found, or not found, in time.
    pub(super) async fn waits_for(&mut self, lookup: Lookup) -> bool {
        let begun = Instant::now();
        let in_time = timeout(self.0, lookup).await.is_ok();
        self.0 = self.0.saturating_sub(begun.elapsed());
        in_time
    }
}
