//! Whether and when a task that failed is started again within its ownership, by the class of its failure: `dray.restart.policy`.

use crate::identity::Jitter;
use dray_model::Millis;
use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;

/// What a failure means for another try.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureClass {
    /// A later try can cure it: a connection, a time-out, a server that is away.
    Transient,
    /// It cannot: data or configuration is wrong.
    Permanent,
    /// The connector's code ended abruptly: a panic, a host that died.
    Crashed,
}

/// Which failures are tried again: `dray.restart.policy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RestartPolicy {
    /// What a later try can cure, crashes included; anything else stays FAILED, as in Kafka Connect.
    #[default]
    Transient,
    /// Everything.
    Always,
    /// Nothing, as in Kafka Connect.
    None,
}

impl RestartPolicy {
    /// As they are written.
    pub const NAMES: [&str; 3] = ["transient", "always", "none"];

    fn covers(self, class: FailureClass) -> bool {
        match (self, class) {
            (Self::Always, _) | (Self::Transient, FailureClass::Transient | FailureClass::Crashed) => true,
            (Self::None, _) | (Self::Transient, FailureClass::Permanent) => false,
        }
    }
}

impl fmt::Display for RestartPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Transient => "transient",
            Self::Always => "always",
            Self::None => "none",
        })
    }
}

/// No policy has this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownPolicy;

impl FromStr for RestartPolicy {
    type Err = UnknownPolicy;

    fn from_str(name: &str) -> Result<Self, UnknownPolicy> {
        match name {
            "transient" => Ok(Self::Transient),
            "always" => Ok(Self::Always),
            "none" => Ok(Self::None),
            _ => Err(UnknownPolicy),
        }
    }
}

/// What becomes of a task that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Restart {
    /// It is started again at this moment, for this reason.
    At(Millis, String),
    /// It stays FAILED, for this reason. Empty: there is nothing to say beyond the failure.
    StayFailed(String),
}

/// The wait before a restart is drawn from half of this to all of it, doubled with each failure …
const FIRST_WAIT_MS: u64 = 1_000;
/// … up to this.
const LONGEST_WAIT_MS: u64 = 300_000;
/// So many restarts …
const RESTARTS: usize = 10;
/// … in this time: a task that fails again and again must not keep its source or the cluster busy. With more failures the next restart
/// waits until there is room, so that a long outage heals by itself.
const WINDOW_MS: u64 = 3_600_000;
/// A task that ran for so long was healthy: what failed before is forgotten.
const HEALTHY_MS: u64 = 600_000;

/// The restarts of one task under one ownership.
#[derive(Debug)]
pub struct Restarts {
    policy: RestartPolicy,
    jitter: Jitter,
    /// When it was, or will be, started again; the latest [`RESTARTS`], oldest first.
    times: VecDeque<Millis>,
    /// Failures since it was last healthy.
    failures: u32,
    /// Since when it runs.
    running: Option<Millis>,
    total: u32,
}

impl Restarts {
    /// Of a task that did not fail yet. Tasks with different seeds that fail together do not come back together.
    #[must_use]
    pub fn new(policy: RestartPolicy, seed: u64) -> Self {
        Self {
            policy,
            jitter: Jitter(seed),
            times: VecDeque::with_capacity(RESTARTS),
            failures: 0,
            running: None,
            total: 0,
        }
    }

    /// The task runs: it is started, and does its work.
    pub fn running(&mut self, now: Millis) {
        self.running.get_or_insert(now);
    }

    /// How often it was started again.
    #[must_use]
    pub fn total(&self) -> u32 {
        self.total
    }

    /// The task failed.
    pub fn failed(&mut self, now: Millis, class: FailureClass) -> Restart {
        let ran = self.running.take().map_or(0, |since| now.since(since));
        if ran >= HEALTHY_MS {
            self.failures = 0;
            self.times.clear();
        }
        if !self.policy.covers(class) {
            return Restart::StayFailed(match (self.policy, class) {
                (RestartPolicy::Transient, FailureClass::Permanent) => String::new(), // as anybody expects
                (policy, _) => format!("not started again: dray.restart.policy is {policy}"),
            });
        }
        let most = (FIRST_WAIT_MS << self.failures.min(20)).min(LONGEST_WAIT_MS);
        self.failures = self.failures.saturating_add(1);
        let mut at = now.plus(most / 2 + self.jitter.up_to(most / 2));
        while self.times.front().is_some_and(|oldest| at.since(*oldest) >= WINDOW_MS) {
            self.times.pop_front();
        }
        if self.times.len() >= RESTARTS
            && let Some(oldest) = self.times.pop_front()
        {
            at = at.max(oldest.plus(WINDOW_MS));
        }
        self.times.push_back(at);
        self.total = self.total.saturating_add(1);
        let number = self.times.len();
        let wait = words(at.since(now));
        Restart::At(at, format!("restart {number} of {RESTARTS} in an hour, in {wait}"))
    }
}

/// A wait as people say it.
fn words(ms: u64) -> String {
    match ms.div_ceil(1_000) {
        seconds @ ..120 => format!("{seconds} s"),
        seconds => format!("{} min", (seconds + 30) / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use FailureClass::{Crashed, Permanent, Transient};

    fn at(restart: &Restart) -> u64 {
        match restart {
            Restart::At(at, _) => at.0,
            Restart::StayFailed(reason) => panic!("stays failed: {reason}"),
        }
    }

    #[test]
    fn which_failures_are_tried_again() {
        for (policy, covered) in [
            (RestartPolicy::Transient, [true, false, true]),
            (RestartPolicy::Always, [true, true, true]),
            (RestartPolicy::None, [false, false, false]),
        ] {
            for (class, covered) in [Transient, Permanent, Crashed].into_iter().zip(covered) {
                let restart = Restarts::new(policy, 1).failed(Millis(5), class);
                assert_eq!(matches!(restart, Restart::At(..)), covered, "{policy} {class:?}");
            }
        }
        let none = Restarts::new(RestartPolicy::None, 1).failed(Millis(5), Transient);
        assert_eq!(
            none,
            Restart::StayFailed("not started again: dray.restart.policy is none".into())
        );
    }

    #[test]
    fn names_lead_back() {
        for name in RestartPolicy::NAMES {
            assert_eq!(
                name.parse::<RestartPolicy>().map(|policy| policy.to_string()),
                Ok(name.to_string())
            );
        }
        assert_eq!("never".parse::<RestartPolicy>(), Err(UnknownPolicy));
        assert_eq!(RestartPolicy::default(), RestartPolicy::Transient);
    }

    #[test]
    fn waits_double_up_to_five_minutes_and_are_spread() {
        let mut first = std::collections::BTreeSet::new();
        for seed in 0..100 {
            let mut restarts = Restarts::new(RestartPolicy::default(), seed);
            let mut now = 0;
            for failure in 0..RESTARTS {
                let next = at(&restarts.failed(Millis(now), Transient));
                let most = (1_000_u64 << failure).min(300_000);
                assert!((now + most / 2..=now + most).contains(&next), "{next} after {now}");
                if failure == 0 {
                    first.insert(next);
                }
                now = next;
            }
        }
        assert!(first.len() > 50, "{first:?}");
    }

    #[test]
    fn ten_in_an_hour_and_the_next_when_there_is_room() {
        let mut restarts = Restarts::new(RestartPolicy::default(), 7);
        let (mut now, mut times) = (0, Vec::new());
        for _ in 0..200 {
            now = at(&restarts.failed(Millis(now), Transient));
            times.push(now);
        }
        for window in times.windows(RESTARTS + 1) {
            assert!(window[RESTARTS] - window[0] >= WINDOW_MS, "{window:?}");
        }
        assert!(times[199] < 200 * WINDOW_MS / 9, "it goes on for ever: {}", times[199]);
        assert_eq!(restarts.total(), 200);
    }

    #[test]
    fn healthy_time_resets() {
        for (ran, reset) in [(HEALTHY_MS - 1, false), (HEALTHY_MS, true)] {
            let mut restarts = Restarts::new(RestartPolicy::default(), 7);
            let mut now = 0;
            for _ in 0..8 {
                now = at(&restarts.failed(Millis(now), Transient));
            }
            restarts.running(Millis(now));
            restarts.running(Millis(now + 1_000)); // again, which changes nothing
            let failed = now + ran;
            let Restart::At(at, reason) = restarts.failed(Millis(failed), Crashed) else {
                panic!("stays failed")
            };
            assert_eq!(at.0 - failed <= 1_000, reset);
            assert_eq!(
                reason.starts_with("restart 1 of 10 in an hour, in 1 s"),
                reset,
                "{reason}"
            );
            // A start that never ran is no healthy time.
            assert!(self::at(&restarts.failed(Millis(at.0 + HEALTHY_MS), Transient)) >= at.0 + HEALTHY_MS + 1_000);
        }
    }

    #[test]
    fn waits_are_said_in_words() {
        for (ms, text) in [
            (1, "1 s"),
            (12_000, "12 s"),
            (119_000, "119 s"),
            (121_000, "2 min"),
            (3_600_000, "60 min"),
        ] {
            assert_eq!(words(ms), text);
        }
    }
}
