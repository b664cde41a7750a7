//! The only clock of decisions: it goes on while the machine sleeps.

use dray_model::Millis;
use rustix::time::{ClockId, clock_gettime};

/// Now.
pub(crate) fn now() -> Millis {
    let time = clock_gettime(ClockId::Boottime);
    let millis = time.tv_sec.saturating_mul(1_000) + time.tv_nsec / 1_000_000;
    Millis(u64::try_from(millis).unwrap_or_default())
}
