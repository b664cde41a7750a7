//! What an agent says of its tasks.

use super::Machine;
use super::tasks::{Fences, Report, Stage};
use crate::scheduler::{self, Refusal};
use dray_model::AgentNumber;
use dray_model::message::{
    AssignmentAck, Order, Owned, RefusedTask, RefusedWhy, RevokedWhy, RunState, StoppedTask, TaskReport, Verdict,
};

/// The longest trace that is kept of a task.
const TRACE_BYTES: usize = 8 * 1024;
/// A task that stopped without being asked is assigned again after this time, or two that disagree would fill the network.
const REST_MS: u64 = 1_000;

impl Machine {
    /// The owner tells the state of a task.
    pub(super) fn reported(&mut self, number: AgentNumber, mut report: TaskReport) {
        let key = report.owned.task;
        if !self.is_current(number, report.owned) {
            return; // an ownership of the past
        }
        if let Some(trace) = &mut report.trace {
            let end = (0..=TRACE_BYTES.min(trace.len()))
                .rev()
                .find(|at| trace.is_char_boundary(*at));
            trace.truncate(end.unwrap_or(0));
        }
        let paused = self
            .connectors
            .get(&key.connector)
            .is_some_and(super::Connector::is_paused);
        let Some(task) = self.task_mut(key) else { return };
        // Each of them comes after the fence, also when the start was too short to be heard of.
        let begun = !matches!(report.state, RunState::Fencing | RunState::Stopping);
        let fenced = begun && task.fences != Fences::default();
        let mut fences = Fences::default();
        if fenced {
            fences = std::mem::take(&mut task.fences); // it was fenced before it was started
        }
        if matches!(report.state, RunState::Running | RunState::Paused | RunState::Failed) {
            task.restarting = false;
        }
        let other_pause = task.stage() == Stage::Assigned
            && ((report.state == RunState::Running && paused) || (report.state == RunState::Paused && !paused));
        let tripped = report.tripped && report.state == RunState::Failed;
        task.report = Some(Report {
            state: report.state,
            trace: report.trace,
            restarts: report.restarts,
            tripped,
        });
        if tripped {
            self.work.connectors.insert(key.connector);
        }
        if fenced {
            self.fences_are_done(fences);
        }
        if other_pause {
            self.tell(number, key); // it missed the change, or a new leader does not know whether it did
        }
        let event = match report.state {
            RunState::Running | RunState::Paused => Some(scheduler::Event::Running {
                task: key,
                agent: number,
            }),
            RunState::Failed => Some(scheduler::Event::Failed(key)),
            RunState::Fencing | RunState::Starting | RunState::Restarting | RunState::Stopping => None,
        };
        let cost = report
            .cost
            .map(|cost| scheduler::Event::CostMeasured { task: key, cost });
        for event in event.into_iter().chain(cost) {
            let decisions = self.scheduler.on(self.now, event);
            self.decided(decisions);
        }
        self.seen(key);
    }

    /// Whether an agent's present session owns a task under this generation and was told so.
    pub(super) fn is_current(&self, number: AgentNumber, owned: Owned) -> bool {
        let (Some(agent), Some(task)) = (self.agents.get(&number), self.task(owned.task)) else {
            return false;
        };
        let owner = task.owner.filter(|owner| owner.agent == number);
        owner.is_some_and(|owner| agent.record.session == Some(owner.session))
            && task.generation == Some(owned.generation)
            && task.told == Some(owned.generation)
    }

    pub(super) fn acknowledged(&mut self, number: AgentNumber, ack: AssignmentAck) {
        let Some(agent) = self.agents.get_mut(&number) else {
            return;
        };
        if agent.unanswered != Some(ack.nonce) {
            return;
        }
        agent.unanswered = None;
        self.work.deltas.insert(number);
        for refused in ack.refused {
            self.refused(number, refused);
        }
    }

    /// An agent does not take an assignment. What ran there under an older generation may still run.
    fn refused(&mut self, number: AgentNumber, refused: RefusedTask) {
        let key = refused.owned.task;
        if !self.is_current(number, refused.owned) {
            return;
        }
        let rests_until = self.now.plus(REST_MS);
        let Some(task) = self.task_mut(key) else { return };
        if task.stage() == Stage::Assigned {
            if task.older {
                task.enter(Stage::Revoking);
                task.revoked = (RevokedWhy::Moved, false);
                self.tell(number, key);
            } else {
                task.stopped();
            }
        }
        if let Some(task) = self.task_mut(key) {
            task.rests_until = rests_until;
        }
        let id = self.agents.get(&number).map(|agent| agent.id.clone());
        if let (Some(id), Some(connector)) = (id, self.connectors.get_mut(&key.connector)) {
            connector
                .refusals
                .insert(key.number, format!("agent {id} refused it: {}", refused.message));
        }
        let refusal = match refused.why {
            RefusedWhy::NoPlugin => Some(Refusal::Needs),
            RefusedWhy::OverCapacity | RefusedWhy::Connector => Some(Refusal::Connector),
            RefusedWhy::Suspect => None, // it is asked again, or falls silent
        };
        if let Some(refusal) = refusal {
            let event = scheduler::Event::Refused {
                task: key,
                agent: number,
                refusal,
            };
            let decisions = self.scheduler.on(self.now, event);
            self.decided(decisions);
        }
        self.touch(key);
    }

    /// A task is dead at its owner, under this generation.
    pub(super) fn task_stopped(&mut self, number: AgentNumber, stopped: StoppedTask) {
        let key = stopped.owned.task;
        let rests_until = self.now.plus(REST_MS);
        let session = self.agents.get(&number).and_then(|agent| agent.record.session);
        let Some(task) = self.task_mut(key) else { return };
        let owned = task
            .owner
            .is_some_and(|owner| owner.agent == number && Some(owner.session) == session);
        match task.stage() {
            Stage::Assigned | Stage::Revoking if owned => {}
            Stage::Assigned | Stage::Revoking | Stage::Unowned | Stage::Stopped | Stage::Orphaned => return,
        }
        if Some(stopped.owned.generation) != task.told {
            // An older run of it is dead: the present one begins, or was never begun and is said to be dead as well.
            task.older &= Some(stopped.owned.generation) > task.told;
            return;
        }
        let asked = task.stage() == Stage::Revoking;
        let renewed = task.generation != task.told;
        task.stopped();
        if !asked && !renewed {
            task.rests_until = rests_until;
        }
        if let Some(agent) = self.agents.get_mut(&number) {
            agent.outbox.remove(&key);
        }
        self.touch(key);
    }

    /// An agent asks what is current. While we may not answer, the question waits: it is not asked again on this stream.
    pub(super) fn checked(&mut self, number: AgentNumber, asked: Vec<Owned>) {
        let valid = self.is_valid();
        let Some(agent) = self.agents.get_mut(&number) else {
            return;
        };
        let Some(connection) = agent.connection.filter(|_| valid) else {
            agent.asked.extend(asked);
            self.muted.insert(number);
            return;
        };
        let verdicts = asked.into_iter().map(|owned| Verdict {
            owned,
            keep: self.is_current(number, owned)
                && self
                    .task(owned.task)
                    .is_some_and(|task| task.stage() == Stage::Assigned),
        });
        let verdicts = verdicts.collect();
        self.send(connection, Order::Verdicts(verdicts));
    }
}
