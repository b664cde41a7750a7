//! The clock of leases: the only place of the agent that reads one for a decision.

use dray_model::Millis;
use rustix::time::{ClockId, clock_gettime};

/// `CLOCK_BOOTTIME`: monotonic, and it goes on while the machine sleeps, which `std::time::Instant` does not. A lease that ran out
/// during a suspend has run out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock;

impl Clock {
    /// The moment.
    #[must_use]
    pub fn now(self) -> Millis {
        let time = clock_gettime(ClockId::Boottime);
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
        Millis(seconds * 1_000 + nanos / 1_000_000)
    }
}
