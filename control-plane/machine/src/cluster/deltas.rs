//! What agents are told to run: one unanswered delta for each, made from what holds when it is sent, so that changes that come
//! meanwhile merge by task.

use super::tasks::Stage;
use super::{Machine, Timer};
use dray_model::message::{AssignedConnector, Assignment, AssignmentDelta, Order, Owned, Recovery, Revocation};
use dray_model::{AgentNumber, ConfigDiff, Cost, TaskKey};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Assignments in one delta: some 500 KB at most, and a start for each at the agent.
const ASSIGNMENTS: usize = 500;
/// A stream on which a delta is not answered within this time is closed: on the next one both say again what holds.
const LATE_MS: u64 = 10_000;

impl Machine {
    /// Says what there is to say to those who answered the last.
    pub(super) fn send_deltas(&mut self) {
        for number in std::mem::take(&mut self.work.deltas) {
            if self.is_valid() {
                self.send_delta(number);
            } else {
                self.muted.insert(number);
            }
        }
    }

    fn send_delta(&mut self, number: AgentNumber) {
        let Some(agent) = self.agents.get_mut(&number) else {
            return;
        };
        let Some(connection) = agent.connection.filter(|_| agent.unanswered.is_none()) else {
            return; // the answer, or the next Welcome, brings us back
        };
        let mut delta = AssignmentDelta {
            nonce: self.nonces,
            revocations: Vec::new(),
            connectors: Vec::new(),
            assignments: Vec::new(),
        };
        let mut connectors = BTreeMap::new();
        for key in std::mem::take(&mut agent.outbox) {
            if let Some(revocation) = self.revocation(number, key) {
                delta.revocations.push(revocation);
            } else if delta.assignments.len() == ASSIGNMENTS {
                if let Some(agent) = self.agents.get_mut(&number) {
                    agent.outbox.insert(key);
                }
            } else if let Some(connector) = self.connectors.get(&key.connector) {
                let assigned = connector.assigned_to(key.number).clone();
                let other = |of: &Arc<AssignedConnector>| of.config_version != assigned.config_version;
                if connectors.get(&key.connector).is_some_and(other) {
                    // One configuration of a connector in a delta: those of the other go with the next.
                    if let Some(agent) = self.agents.get_mut(&number) {
                        agent.outbox.insert(key);
                    }
                } else if let Some(assignment) = self.assignment(number, key) {
                    connectors.insert(key.connector, assigned);
                    delta.assignments.push(assignment);
                }
            }
        }
        if delta.revocations.is_empty() && delta.assignments.is_empty() {
            return;
        }
        delta.connectors = connectors.into_values().collect();
        self.nonces += 1;
        if let Some(agent) = self.agents.get_mut(&number) {
            agent.unanswered = Some(delta.nonce);
        }
        let late_at = self.now.plus(LATE_MS);
        self.timers.insert((late_at, Timer::Delta(number, delta.nonce)));
        self.send(connection, Order::Assignments(Box::new(delta)));
    }

    pub(super) fn delta_is_late(&mut self, number: AgentNumber, nonce: u64) {
        let agent = self.agents.get(&number).filter(|agent| agent.unanswered == Some(nonce));
        if let Some(connection) = agent.and_then(|agent| agent.connection) {
            self.closed(connection);
            self.close(connection);
        }
    }

    /// The order to stop a task, if it is to stop and was not told so.
    fn revocation(&mut self, number: AgentNumber, key: TaskKey) -> Option<Revocation> {
        let graceful_ms = self.timing.graceful_ms;
        let task = self.task_mut(key)?;
        let told = task.told?;
        if task.stage() != Stage::Revoking || task.owner?.agent != number {
            return None;
        }
        task.revoked.1 = true;
        Some(Revocation {
            owned: Owned {
                task: key,
                generation: told,
            },
            graceful_ms,
            why: task.revoked.0,
        })
    }

    /// The order to run a task as it is wanted now, if this agent's present session is to run it.
    fn assignment(&mut self, number: AgentNumber, key: TaskKey) -> Option<Assignment> {
        let session = self.agents.get(&number)?.takes_tasks()?;
        let connector = self.connectors.get(&key.connector)?;
        let task = connector.tasks.get(&key.number)?;
        let owner = task.owner?;
        if task.stage() != Stage::Assigned || (owner.agent, owner.session) != (number, session) {
            return None;
        }
        let digest = connector.digest(key.number);
        let spec = connector
            .set
            .as_ref()
            .and_then(|set| set.tasks.get(key.number as usize));
        let (config, cost) = spec.map_or_else(
            || (Arc::<ConfigDiff>::default(), Cost::DEFAULT),
            |task| (task.config.clone(), task.cost),
        );
        let paused = connector.is_paused();
        let asked_restarts = Some(connector.spec.asked_restarts(key.number));
        let recovery = connector.assigned_to(key.number).recovery;
        let fence_first = self.fence_first(&task.fences);
        let generation = task.generation?;
        let task = self.task_mut(key)?;
        task.older |= task.told.is_some_and(|told| told < generation);
        task.told = Some(generation);
        task.digest = Some(digest);
        // What may still run of an older generation counts too.
        let strict = task.older && task.recovery == Some(Recovery::Strict);
        task.recovery = Some(if strict { Recovery::Strict } else { recovery });
        Some(Assignment {
            owned: Owned { task: key, generation },
            config,
            digest,
            paused,
            cost,
            fence_first,
            asked_restarts,
        })
    }
}
