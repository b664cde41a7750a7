//! How long is waited for what, on the way to a cluster.

use crate::codes::local;
use crate::error::{Class, Result};
use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;
use tokio::time::Instant;

/// Where the moments of [`together`] are counted from.
static FIRST: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Waits and limits of connections.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    /// Until a connection has to stand, log-in included (`socket.connection.setup.timeout.ms`, 10 s).
    pub(crate) setup: Duration,
    /// Until a short question has to be answered (`socket.timeout.ms`, which is Java's `request.timeout.ms`; 30 s).
    pub(crate) request: Duration,
    /// `connections.max.idle.ms`, 9 minutes.
    pub(crate) idle: Duration,
    /// The longest answer (`receive.message.max.bytes`, 100 MB).
    pub(crate) max_frame: usize,
    /// `reconnect.backoff.ms`, 50 ms: before the second try.
    backoff: Duration,
    /// `reconnect.backoff.max.ms`, 1 s.
    backoff_max: Duration,
}

impl Timing {
    /// Reads them from settings in librdkafka's words.
    ///
    /// # Errors
    /// When a value is no number.
    pub(crate) fn read(settings: &BTreeMap<String, String>) -> Result<Self> {
        let millis = |key, default| number(settings, key, default).map(Duration::from_millis);
        Ok(Self {
            setup: millis("socket.connection.setup.timeout.ms", 10_000)?,
            request: millis("socket.timeout.ms", 30_000)?,
            idle: match number(settings, "connections.max.idle.ms", 540_000)? {
                // Never, which is a year.
                0 => Duration::from_secs(365 * 24 * 3600),
                millis => Duration::from_millis(millis),
            },
            max_frame: usize::try_from(number(settings, "receive.message.max.bytes", 100_000_000)?)
                .unwrap_or(usize::MAX),
            backoff: millis("reconnect.backoff.ms", 50)?,
            backoff_max: millis("reconnect.backoff.max.ms", 1000)?,
        })
    }

    /// How long to wait before another try, after so many failures before this one.
    pub(crate) fn reconnect(&self, failures: u32) -> Duration {
        exponential(self.backoff, self.backoff_max, failures)
    }
}

/// Doubles with each failure, up to a limit.
pub(crate) fn exponential(first: Duration, most: Duration, failures: u32) -> Duration {
    first.saturating_mul(1 << failures.min(20)).min(most.max(first))
}

/// The first of the moments, a `step` apart, that is not before `at`. They are the same for all of the process: of what thousands of idle
/// partitions and members do, being woken up for each costs most.
pub(crate) fn together(at: Instant, step: Duration) -> Instant {
    let behind = at.saturating_duration_since(*FIRST).as_nanos() % step.as_nanos();
    match u64::try_from(behind) {
        Ok(behind @ 1..) => at + step - Duration::from_nanos(behind),
        Ok(0) | Err(_) => at,
    }
}

/// A setting that is a number.
pub(crate) fn number(settings: &BTreeMap<String, String>, key: &str, default: u64) -> Result<u64> {
    let Some(value) = settings.get(key) else {
        return Ok(default);
    };
    // Java takes -1 as "no limit" here and there; 0 stands for it.
    let negative = value
        .trim()
        .strip_prefix('-')
        .is_some_and(|rest| rest.parse::<u64>().is_ok());
    if negative {
        return Ok(0);
    }
    value.trim().parse().map_err(|_| {
        local(
            format!("client setting `{key}`"),
            "INVALID_CONFIG",
            format!("`{value}` is not a whole number"),
            Class::Fatal,
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn back_off_doubles_up_to_its_limit() {
        let settings = BTreeMap::from([("reconnect.backoff.ms".to_owned(), "100".to_owned())]);
        let timing = Timing::read(&settings).expect("read");
        let waits: Vec<u128> = [0, 1, 3, 4, 40].map(|n| timing.reconnect(n).as_millis()).to_vec();
        assert_eq!(waits, [100, 200, 800, 1000, 1000]);
        let wrong = BTreeMap::from([("reconnect.backoff.ms".to_owned(), "soon".to_owned())]);
        assert!(Timing::read(&wrong).is_err());
    }
}
