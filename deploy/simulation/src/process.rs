//! What replicas and agents have in common: they are up or down, may be paused, and have a clock of their own.

use crate::Time;
use dray_model::Millis;

/// A process's clock: it starts anywhere and runs a little wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    pub(crate) starts_at: u64,
    pub(crate) ppm: i64,
}

impl Clock {
    pub(crate) fn at(self, now: Time) -> Millis {
        let now = i64::try_from(now).expect("a run is short");
        let shown = now + now * self.ppm / 1_000_000;
        Millis(self.starts_at + u64::try_from(shown).expect("clocks run forwards"))
    }

    /// How long so many milliseconds of this clock are.
    pub(crate) fn span(self, milliseconds: u64) -> Time {
        let rate = u64::try_from(1_000_000 + self.ppm).expect("clocks run forwards");
        milliseconds * 1_000_000 / rate
    }
}

/// A process, with what waits for it while it is paused.
pub(crate) struct Process<I> {
    pub(crate) up: bool,
    /// Counts its lives: what was meant for an earlier one is lost.
    pub(crate) life: u64,
    pub(crate) paused: bool,
    /// When its last pause ended.
    pub(crate) resumed_at: Time,
    pub(crate) inbox: Vec<I>,
    pub(crate) clock: Clock,
}

impl<I> Process<I> {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            up: true,
            life: 1,
            paused: false,
            resumed_at: 0,
            inbox: Vec::new(),
            clock,
        }
    }

    pub(crate) fn end(&mut self) {
        self.up = false;
        self.life += 1;
        self.paused = false;
        self.inbox.clear();
    }
}
