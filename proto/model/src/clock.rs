//! Time as the machines of both planes see it.

/// A moment in milliseconds of one process's suspend-aware monotonic clock (`CLOCK_BOOTTIME`). Only differences count, and moments
/// of two processes are never compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub u64);

impl Millis {
    /// Never.
    pub const NEVER: Self = Self(u64::MAX);

    /// This moment and so many milliseconds.
    #[must_use]
    pub fn plus(self, milliseconds: u64) -> Self {
        Self(self.0.saturating_add(milliseconds))
    }

    /// The milliseconds from `earlier` until now; 0 when it is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}
