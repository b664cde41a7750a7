//! The tasks and instances that an agent holds: one row for each, and the one table of legal changes of state.

use dray_model::message::{AssignedConnector, Assignment, Owned, Recovery, RunState, TaskReport};
use dray_model::{Cost, Generation, Millis, TaskKey};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// The longest trace that is kept of a task.
const TRACE_BYTES: usize = 8 << 10;

use RunState::{Failed, Fencing, Paused, Restarting, Running as Runs, Starting, Stopping};

/// Which states may follow. A task that left this table is dead. Staying is legal.
const NEXT: [(RunState, &[RunState]); 7] = [
    (Fencing, &[Starting]),
    (Starting, &[Runs, Paused, Restarting, Failed, Stopping]),
    (Runs, &[Paused, Restarting, Failed, Stopping]),
    (Paused, &[Runs, Restarting, Failed, Stopping]),
    (Restarting, &[Starting, Runs, Paused, Failed, Stopping]),
    (Failed, &[Stopping]),
    (Stopping, &[]),
];

/// Whether `to` may follow `from`.
pub(crate) fn may_become(from: RunState, to: RunState) -> bool {
    from == to || NEXT.iter().any(|(state, next)| *state == from && next.contains(&to))
}

/// What an agent holds of a task. Both at once: the successor waits until the running one is dead.
#[derive(Debug, Default)]
pub(crate) struct Task {
    pub(crate) running: Option<Running>,
    pub(crate) waiting: Option<Waiting>,
}

/// Started, and not dead.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) generation: Generation,
    pub(crate) connector: Arc<AssignedConnector>,
    /// As it was ordered last.
    pub(crate) paused: bool,
    pub(crate) state: RunState,
    trace: Option<String>,
    restarts: u32,
    cost: Option<Cost>,
    tripped: bool,
    /// It changed since it was last said.
    pub(crate) changed: bool,
    /// When a stop in good order becomes a kill.
    pub(crate) kill_at: Option<Millis>,
    pub(crate) killed: bool,
    /// A revocation named this later generation, which never came; it is reported with the task's death.
    pub(crate) revoked: Option<Generation>,
    /// Restarts that had been asked for when it was assigned.
    pub(crate) asked_restarts: Option<u32>,
}

impl Running {
    pub(crate) fn start(assignment: &Assignment, connector: Arc<AssignedConnector>) -> Self {
        Self {
            generation: assignment.owned.generation,
            connector,
            paused: assignment.paused,
            state: Starting,
            trace: None,
            restarts: 0,
            cost: None,
            tripped: false,
            changed: true,
            kill_at: None,
            killed: false,
            revoked: None,
            asked_restarts: assignment.asked_restarts,
        }
    }

    pub(crate) fn strict(&self) -> bool {
        self.connector.recovery == Recovery::Strict
    }

    pub(crate) fn report(&self, task: TaskKey) -> TaskReport {
        TaskReport {
            owned: Owned {
                task,
                generation: self.generation,
            },
            state: self.state,
            trace: self.trace.clone(),
            restarts: self.restarts,
            cost: self.cost,
            tripped: self.tripped,
        }
    }

    pub(crate) fn trace_bytes(&self) -> usize {
        self.trace.as_ref().map_or(0, String::len)
    }

    /// Takes what the task says of itself; `false`: it is late, and nothing changed.
    pub(crate) fn take(&mut self, report: TaskReport) -> bool {
        // Fencing and Stopping are said by this machine alone.
        if matches!(report.state, Fencing | Stopping) || !may_become(self.state, report.state) {
            return false;
        }
        self.state = report.state;
        self.trace = report.trace.map(shorten);
        self.restarts = report.restarts;
        self.cost = report.cost.or(self.cost);
        self.tripped = report.tripped;
        self.changed = true;
        true
    }
}

/// Assigned and not started: the task before it is not dead, or a dead session not fenced, or the lease is not sure.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) assignment: Box<Assignment>,
    pub(crate) connector: Arc<AssignedConnector>,
    /// [`FenceDone`](crate::Event::FenceDone) is awaited.
    pub(crate) fencing: bool,
    pub(crate) changed: bool,
}

impl Waiting {
    pub(crate) fn report(&self) -> TaskReport {
        let dead = self.assignment.fence_first.first();
        let trace = dead.filter(|_| self.fencing).map(|dead| {
            let dead = dead.session;
            format!(
                "fences session {} of agent {}, which was declared dead",
                dead.session, dead.agent
            )
        });
        TaskReport {
            owned: self.assignment.owned,
            state: Fencing,
            trace,
            restarts: 0,
            cost: None,
            tripped: false,
        }
    }
}

fn shorten(mut trace: String) -> String {
    if trace.len() > TRACE_BYTES {
        let end = (0..=TRACE_BYTES).rev().find(|end| trace.is_char_boundary(*end));
        trace.truncate(end.unwrap_or(0));
    }
    trace
}

/// The largest generation seen of each task, also of tasks that are gone: a delayed assignment never starts again what was revoked.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    of: FxHashMap<TaskKey, Generation>,
    /// Of what was forgotten, nothing was larger.
    forgotten: Option<Generation>,
}

/// How many tasks are remembered: 64 times the tasks that one agent is expected to run; 3 MB.
const REMEMBERED: usize = 1 << 16;

impl Seen {
    pub(crate) fn is_new(&self, owned: Owned) -> bool {
        match self.of.get(&owned.task) {
            Some(seen) => owned.generation > *seen,
            None => self.forgotten.is_none_or(|forgotten| owned.generation > forgotten),
        }
    }

    pub(crate) fn see(&mut self, owned: Owned) {
        let seen = self.of.entry(owned.task).or_insert(owned.generation);
        *seen = (*seen).max(owned.generation);
        if self.of.len() > REMEMBERED {
            self.forget();
        }
    }

    /// Forgets the older half. Generations grow over all tasks, so whatever is new is larger than what was forgotten.
    fn forget(&mut self) {
        let mut all: Vec<_> = self.of.values().copied().collect();
        let middle = all.len() / 2;
        let (_, limit, _) = all.select_nth_unstable(middle);
        let limit = *limit;
        self.of.retain(|_, generation| *generation > limit);
        self.forgotten = self.forgotten.max(Some(limit));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU64;

    fn owned(number: u32, generation: u64) -> Owned {
        Owned {
            task: TaskKey {
                number,
                ..TaskKey::FIRST
            },
            generation: NonZeroU64::new(generation).unwrap().into(),
        }
    }

    #[test]
    fn a_generation_is_new_once_however_many_there_were() {
        let mut seen = Seen::default();
        for n in 0..200_000 {
            let now = owned(n, 10 + u64::from(n));
            assert!(seen.is_new(now), "{n}");
            seen.see(now);
            assert!(!seen.is_new(now) && !seen.is_new(owned(n, 9)), "{n}");
            assert!(
                !seen.is_new(owned(n / 2, 10 + u64::from(n / 2))),
                "{n}: forgotten is not new"
            );
            assert!(seen.of.len() <= REMEMBERED);
        }
    }

    #[test]
    fn what_is_stopping_never_runs_again_and_what_failed_only_stops() {
        let all = [Fencing, Starting, Runs, Paused, Restarting, Failed, Stopping];
        for to in all {
            assert_eq!(may_become(Stopping, to), to == Stopping);
            assert_eq!(may_become(Failed, to), matches!(to, Failed | Stopping));
            assert_eq!(may_become(to, Fencing), to == Fencing);
        }
    }

    #[test]
    fn a_trace_is_cut_between_characters() {
        let cut = shorten("é".repeat(5_000));
        assert_eq!((cut.len(), cut.chars().count()), (TRACE_BYTES, TRACE_BYTES / 2));
        assert_eq!(shorten(format!("x{}", "é".repeat(5_000))).len(), TRACE_BYTES - 1);
    }
}
