//! The end of the agent: tasks are handed over or stopped in good order, within a bound.

use crate::event::Effect;
use crate::session::Session;
use dray_model::Millis;
use dray_model::message::{FromAgent, LeaveIntent, RevokedWhy};

/// Longer than tasks take to stop by default, and than most process supervisors wait.
const LEAVE_MS: u64 = 30_000;

/// The agent ends.
#[derive(Debug)]
pub(crate) struct Leaving {
    pub(crate) back_in_ms: Option<u32>,
    /// Whoever is not dead by then is killed.
    until: Millis,
    /// Everything was told to stop.
    stopping: bool,
}

impl Session {
    pub(crate) fn leave(&mut self, back_in_ms: Option<u32>) {
        if self.leaving.is_some() {
            return;
        }
        self.leaving = Some(Leaving {
            back_in_ms,
            until: self.now.plus(LEAVE_MS),
            stopping: false,
        });
        self.say(FromAgent::LeaveIntent(LeaveIntent {
            expect_back_ms: back_in_ms,
        }));
    }

    /// With tasks to be held, or without a leader that takes them away, everything stops at once; else one after the other is revoked.
    pub(crate) fn finish_leaving(&mut self) {
        let up = self.is_up();
        let Some(leaving) = &mut self.leaving else { return };
        let late = self.now >= leaving.until;
        if !leaving.stopping && (leaving.back_in_ms.is_some() || !up) {
            leaving.stopping = true;
            self.stop_all(RevokedWhy::Moved);
        }
        if !self.holds_nothing() && !late {
            return;
        }
        self.own = None;
        self.tell_gate();
        for owned in self.all_running(|running| !running.killed) {
            self.kill(owned);
        }
        self.effect(Effect::Leave);
        self.left = true;
    }
}
