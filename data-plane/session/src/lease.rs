//! Until when tasks may act, and the end of a session: everything dies before anything else is said.

use crate::event::{Effect, Gate};
use crate::session::{Own, Session};
use crate::writer::Writer;
use dray_model::Millis;
use dray_model::message::Welcome;
use std::collections::{BTreeMap, BTreeSet};

/// `task.shutdown.graceful.timeout.ms` when the worker configuration does not say: Connect's default.
const GRACEFUL_MS: u32 = 5_000;

impl Own {
    pub(crate) fn new(welcome: Welcome) -> Self {
        let graceful = welcome.worker.get("task.shutdown.graceful.timeout.ms");
        Self {
            id: welcome.session,
            number: welcome.number,
            lease: welcome.lease,
            graceful_ms: graceful
                .and_then(|text| text.trim().parse().ok())
                .unwrap_or(GRACEFUL_MS),
            over: false,
            acked: None,
            writers: BTreeMap::new(),
            unfenceable: false,
            fenced: BTreeSet::new(),
            checks: BTreeMap::new(),
            configs: BTreeMap::new(),
        }
    }

    /// No writer was fenced, as far as we know.
    fn trusted(&self) -> bool {
        self.writers.values().all(Writer::trusted)
    }

    /// Before the first acknowledgement nothing may be done; a Welcome alone is none.
    fn gate(&self, now: Millis, before: Gate) -> Gate {
        if self.over {
            return closed(before);
        }
        let policy = &self.lease;
        let until = |moment: Option<Millis>, ms: u32| moment.map_or(Millis(0), |moment| moment.plus(ms.into()));
        let strict_until = until(self.acked, policy.lease_ms);
        let committed = self.writers.values().filter_map(|writer| writer.committed).max();
        let mut fenced_until = until(self.acked.max(committed), policy.quiet_ms);
        if self.unfenceable {
            fenced_until = fenced_until.min(strict_until);
        }
        Gate {
            strict_until,
            fenced_until,
            shut: !self.trusted(),
            suspect: now >= until(self.acked, policy.suspect_ms),
        }
    }
}

/// The times stay as they were: `shut` says it all.
fn closed(before: Gate) -> Gate {
    Gate {
        shut: true,
        suspect: true,
        ..before
    }
}

impl Session {
    /// Says what tasks may do, when that changed.
    pub(crate) fn tell_gate(&mut self) {
        let gate = match &self.own {
            Some(own) => own.gate(self.now, self.gate),
            None => closed(self.gate),
        };
        if gate != self.gate {
            self.gate = gate;
            self.effect(Effect::Gate(gate));
        }
    }

    /// Kills what may not outlive the lease: `strict` tasks, and all of a session that nobody can fence.
    pub(crate) fn end_lease(&mut self) {
        let now = self.now;
        let Some(own) = self.live() else { return };
        let all = own.unfenceable;
        if own
            .acked
            .is_none_or(|acked| now >= acked.plus(own.lease.lease_ms.into()))
        {
            for owned in self.all_running(|running| !running.killed && (all || running.strict())) {
                self.kill(owned);
            }
        }
    }

    /// The session is over, or there is none: whatever runs is killed, and the next Hello waits until all of it is dead.
    pub(crate) fn end_session(&mut self, why: &str, retry_after_ms: u64) {
        if let Some(own) = &mut self.own {
            own.over = true;
            let text = format!("session {} is over: {why}; everything that it ran is killed", own.id);
            self.warn(text);
        } else {
            self.warn(format!("no session: {why}; trying again"));
        }
        self.tell_gate();
        for key in self.keys() {
            self.drop_waiting(key, &mut Vec::new());
        }
        for owned in self.all_running(|running| !running.killed) {
            self.kill(owned);
        }
        self.commands.clear();
        self.results.clear();
        self.hang_up(retry_after_ms);
    }

    pub(crate) fn finish_session(&mut self) {
        if self.own.as_ref().is_some_and(|own| own.over) && self.holds_nothing() {
            self.own = None;
        }
    }
}
