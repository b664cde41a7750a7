//! Fetching for all consumers of the process together: one connection and one incremental session for each broker and kind of
//! settings, whoever reads.

pub(crate) mod answer;
pub(crate) mod feed;
mod following;
pub(crate) mod hub;
pub(crate) mod inbox;
mod lane;
pub(crate) mod offsets;
pub(crate) mod reader;
pub(crate) mod reading;
mod session;
pub(crate) mod tail;

use std::time::Duration;

/// Before something is asked again that has failed so many times.
fn backoff(failures: u32) -> Duration {
    const FIRST: Duration = Duration::from_millis(50);
    const MOST: Duration = Duration::from_secs(1);
    (FIRST * 2_u32.pow(failures.saturating_sub(1).min(5))).min(MOST)
}
