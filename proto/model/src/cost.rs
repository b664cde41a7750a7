//! What a task costs and what an agent can carry.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::num::NonZeroU32;

/// What a task costs the agent that runs it, in units: 1,000 is an ordinary task. Never 0, or an agent could be given any
/// number of tasks for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cost(NonZeroU32);

/// A number that is no cost or capacity, because it is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a cost is at least 1 unit")]
pub struct ZeroCost;

impl Cost {
    /// The cost of a task that was not measured yet and whose connector names none.
    pub const DEFAULT: Self = Self(NonZeroU32::new(1_000).expect("1,000 is not 0"));

    /// The number of units.
    #[must_use]
    pub fn units(self) -> u32 {
        self.0.get()
    }

    /// The cost after `measured` was seen: unchanged while the two are at most a quarter apart, so that noise moves nothing;
    /// else the nearest step of a quarter up or down from [`DEFAULT`](Self::DEFAULT).
    #[must_use]
    pub fn follow(self, measured: Self) -> Self {
        let (now, seen) = (u64::from(self.units()), u64::from(measured.units()));
        if seen * 4 <= now * 5 && now * 4 <= seen * 5 {
            self
        } else {
            measured.quantised()
        }
    }

    /// The nearest step of a quarter, counted from [`DEFAULT`](Self::DEFAULT): 640, 800, 1,000, 1,250, 1,563 …
    #[must_use]
    pub fn quantised(self) -> Self {
        let units = u64::from(self.units());
        // Away from the default until `units` lies between two steps.
        let (mut near, mut far) = (u64::from(Self::DEFAULT.units()), u64::from(Self::DEFAULT.units()));
        while far < units {
            (near, far) = (far, (far * 5).div_ceil(4));
        }
        while far > units && near >= far {
            (near, far) = (far, far * 4 / 5);
        }
        let step = if near.abs_diff(units) <= far.abs_diff(units) {
            near
        } else {
            far
        };
        // The step above the largest cost is not a cost.
        let step = u32::try_from(step).unwrap_or(u32::MAX);
        Self(NonZeroU32::new(step).unwrap_or(NonZeroU32::MIN))
    }
}

impl TryFrom<u32> for Cost {
    type Error = ZeroCost;

    fn try_from(units: u32) -> Result<Self, Self::Error> {
        NonZeroU32::new(units).map(Self).ok_or(ZeroCost)
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What an agent can carry. Neither is 0: an agent that shall carry nothing is cordoned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capacity {
    /// How many tasks and connector instances at once.
    pub slots: NonZeroU32,
    /// How many units of [`Cost`] at once.
    pub cost: NonZeroU32,
}

impl Capacity {
    /// A capacity of this many slots and units.
    ///
    /// # Errors
    /// When one of them is 0.
    pub fn new(slots: u32, cost: u32) -> Result<Self, ZeroCost> {
        Ok(Self {
            slots: NonZeroU32::new(slots).ok_or(ZeroCost)?,
            cost: NonZeroU32::new(cost).ok_or(ZeroCost)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(units: u32) -> Cost {
        Cost::try_from(units).unwrap()
    }

    #[test]
    fn costs_go_in_steps_of_a_quarter() {
        let table = [
            (1, 1),
            (2, 2),
            (639, 640),
            (800, 800),
            (890, 800),
            (910, 1_000),
            (1_000, 1_000),
        ];
        for (units, step) in table.into_iter().chain([
            (1_120, 1_000),
            (1_130, 1_250),
            (1_600, 1_563),
            (u32::MAX, 3_894_430_310),
        ]) {
            assert_eq!(cost(units).quantised(), cost(step), "{units}");
            assert_eq!(cost(step).quantised(), cost(step), "a step stays: {step}");
        }
    }

    #[test]
    fn noise_within_a_quarter_changes_nothing() {
        for (now, measured, then) in [
            (1_000, 800, 1_000),
            (1_000, 1_250, 1_000),
            (1_000, 799, 800),
            (1_000, 1_251, 1_250),
            (1_100, 900, 1_100),
            (1_000, 10_000, 9_324),
        ] {
            assert_eq!(cost(now).follow(cost(measured)), cost(then), "{now} then {measured}");
        }
        assert!(Cost::try_from(0).is_err() && Capacity::new(0, 1).is_err() && Capacity::new(1, 0).is_err());
    }
}
