//! A connector whose offsets are being set: nothing of it starts meanwhile, whatever else is wanted of it.
//!
//! Who sets them puts a mark into what is wanted of the connector, which is STOPPED; waits until the leader shows the mark; has an agent set
//! the offsets; and takes the mark away. A resume that comes between is stored, and carried out after that. One that dies with its work
//! undone takes nothing away, so a mark counts for a while only.

use super::Machine;
use super::Timer;
use super::connectors::Connector;
use dray_model::ConnectorUid;

/// So long a mark counts, from when a leader saw it first. An agent works on it for 90 s at most, and clocks may run 12 % wrong.
const COUNTS_MS: u64 = 120_000;

/// What is shown of a connector as soon as nothing of it can act until this change of its offsets is over.
#[must_use]
pub fn altering(operation: &str) -> String {
    format!("its offsets are being set (operation {operation})")
}

impl Connector {
    /// The change of its offsets that keeps it from starting.
    pub(super) fn altering(&self) -> Option<&str> {
        let mark = self.spec.altering.as_deref();
        mark.filter(|_| self.held_until.is_some())
    }
}

impl Machine {
    /// A mark is seen, if there is one.
    pub(super) fn hold(&mut self, uid: ConnectorUid) {
        let until = self.now.plus(COUNTS_MS);
        if let Some(connector) = self.connectors.get_mut(&uid)
            && connector.spec.altering.is_some()
        {
            connector.held_until = Some(until);
            self.timers.insert((until, Timer::Connector(uid)));
        }
    }

    /// The same for all connectors of a new leader. Where something runs, an earlier one has let a mark that was left behind run out.
    pub(super) fn hold_inherited(&mut self) {
        let may_be_altered =
            |connector: &Connector| connector.is_ending() || connector.tasks.values().all(|task| task.owner.is_none());
        let uids: Vec<_> = self
            .connectors
            .iter()
            .filter(|(_, connector)| may_be_altered(connector))
            .map(|(uid, _)| *uid)
            .collect();
        for uid in uids {
            self.hold(uid);
        }
    }

    /// A mark that nobody took away counts no more.
    pub(super) fn let_go(&mut self, uid: ConnectorUid) {
        let now = self.now;
        let Some(connector) = self.connectors.get_mut(&uid) else {
            return;
        };
        if connector.held_until.take_if(|until| *until <= now).is_some() {
            self.publish(uid);
            self.touch_tasks(uid);
        }
    }
}
