//! The number that fences one ownership of a task.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::num::NonZeroU64;

/// Fences one ownership of a task. A write that carries an older generation is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(NonZeroU64);

impl Generation {
    /// The generation of the first owner.
    pub const INITIAL: Self = Self(NonZeroU64::MIN);

    /// The generation of the next owner. Generations are never reused.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.checked_add(1).expect("2^64 reassignments cannot happen"))
    }

    /// The number, as it is stored and shown.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0.get()
    }
}

impl From<NonZeroU64> for Generation {
    fn from(number: NonZeroU64) -> Self {
        Self(number)
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_generation_is_newer() {
        assert!(Generation::INITIAL.next() > Generation::INITIAL);
        assert_eq!(Generation::INITIAL.next().to_string(), "2");
    }
}
