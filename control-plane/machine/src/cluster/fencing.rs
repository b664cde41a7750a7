//! Dead sessions and who still has to fence them: before a successor starts, and before a connector is said to be stopped.

use super::edits::Edit;
use super::tasks::{Fences, Stage};
use super::{Machine, Timer};
use dray_model::message::{Command, CommandResult, CommandWhat, DeadSession, Order};
use dray_model::{AgentNumber, AgentSession, ConnectorUid, KafkaCluster, Millis, TaskKey};
use std::collections::BTreeMap;

use super::event::Effect;

/// Commands of our own have this bit; those of people do not.
const OURS: u64 = 1 << 63;
/// A command that is not answered within this time is given to another agent: it outlasts a fence with an open transaction.
const LATE_MS: u64 = 30_000;
/// After a failure it is given to the next agent after this time.
const AGAIN_MS: u64 = 1_000;
/// A dead session that nobody asks about is remembered for so long after that, where it is not fenced: an hour.
const IDLE_MS: u64 = 3_600_000;

/// The fencing of a dead session for a connector that ends.
#[derive(Debug, Default)]
pub(super) struct Fence {
    done: bool,
    /// Who was asked last, and under which number if the answer is still to come.
    agent: Option<AgentNumber>,
    command: Option<u64>,
    rests_until: Millis,
    pub(super) problem: Option<String>,
}

/// What a command is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    connector: ConnectorUid,
    dead: AgentSession,
}

impl Machine {
    /// What a task's next start has to fence first.
    pub(super) fn fence_first(&self, fences: &Fences) -> Vec<DeadSession> {
        let inherited = self.inherited.iter().filter(|_| fences.inherited);
        let mut sessions: Vec<_> = fences.known.iter().chain(inherited).copied().collect();
        sessions.sort_unstable();
        sessions.dedup();
        let dead = sessions.into_iter().filter_map(|dead| self.dead_session(dead));
        dead.collect()
    }

    /// A session that is dead by the record, and where it is not fenced. `None`: nobody has to know of it.
    fn dead_session(&self, session: AgentSession) -> Option<DeadSession> {
        let record = &self.agents.get(&session.agent)?.record;
        let clusters = record.dead_sessions.get(&session.session)?.iter().cloned().collect();
        Some(DeadSession { session, clusters })
    }

    /// A start has fenced these, or there will be none.
    pub(super) fn fences_are_done(&mut self, fences: Fences) {
        if fences.inherited {
            self.unproved = self.unproved.saturating_sub(1);
            if self.unproved == 0 {
                let agents = self.inherited.iter().map(|dead| dead.agent);
                self.work.agents.extend(agents);
            }
        }
        for dead in fences.known {
            if let Some(count) = self.fenced_first.get_mut(&dead) {
                *count -= 1;
                if *count == 0 {
                    self.fenced_first.remove(&dead);
                    self.work.agents.insert(dead.agent);
                }
            }
        }
    }

    /// Dead sessions that nobody has to know of any more: no task asks for their fences, and they are fenced everywhere. Where nobody
    /// that runs now has to do with a cluster, nobody fences it: such ones go after a while.
    pub(super) fn tidy(&mut self, number: AgentNumber) {
        let Some(agent) = self.agents.get(&number) else { return };
        let mut idle = BTreeMap::new();
        let mut forgotten = Vec::new();
        for (session, clusters) in &agent.record.dead_sessions {
            let dead = AgentSession {
                agent: number,
                session: *session,
            };
            let owns = |key: &TaskKey| {
                let owner = self.task(*key).and_then(|task| task.owner);
                owner.is_some_and(|owner| owner.session == *session)
            };
            let is_needed = (self.unproved > 0 && self.inherited.contains(&dead))
                || self.fenced_first.contains_key(&dead)
                || agent.owned.iter().any(owns);
            if is_needed {
                continue;
            }
            let since = agent.idle.get(session).copied().unwrap_or(self.now);
            idle.insert(*session, since);
            let said = |edit: &Edit| matches!(edit, Edit::Forget(of) if of == session);
            let forgets = clusters.is_empty() || self.now.since(since) >= IDLE_MS;
            if forgets && !agent.edits.iter().any(said) {
                forgotten.push(Edit::Forget(*session));
            } else if !forgets {
                self.timers.insert((since.plus(IDLE_MS), Timer::Agent(number)));
            }
        }
        if let Some(agent) = self.agents.get_mut(&number) {
            agent.idle = idle;
            agent.edits.extend(forgotten);
        }
    }

    /// An agent fenced a dead session's writer.
    pub(super) fn session_fenced(&mut self, dead: AgentSession, cluster: KafkaCluster) {
        let Some(agent) = self.agents.get_mut(&dead.agent) else {
            return;
        };
        let known = agent.record.dead_sessions.get(&dead.session);
        if known.is_some_and(|clusters| clusters.contains(&cluster)) {
            agent.edits.push(Edit::Fenced(dead.session, cluster));
            self.work.agents.insert(dead.agent);
            self.touch_all_of(dead.agent);
        }
    }

    /// Whether a dead session is fenced wherever a connector is. If not, somebody is asked to do it.
    pub(super) fn is_fenced_for(&mut self, uid: ConnectorUid, dead: AgentSession) -> bool {
        let Some(session) = self.dead_session(dead) else {
            return true;
        };
        if session.clusters.is_empty() {
            return true;
        }
        let (now, valid) = (self.now, self.is_valid());
        let Some(connector) = self.connectors.get_mut(&uid) else {
            return true;
        };
        let what = CommandWhat::FenceSessions {
            connector: connector.assigned.clone(),
            dead: vec![session],
        };
        let fence = connector.fences.entry(dead).or_default();
        if fence.done {
            return true;
        }
        if fence.command.is_some() {
            return false; // its end brings us back
        }
        if fence.rests_until > now {
            self.again_for(uid, dead); // also for a task that did not wait yet when it began to rest
            return false;
        }
        let can = |(_, agent): &(&AgentNumber, &super::Agent)| {
            agent.connection.is_some() && agent.leaving.is_none() && !agent.lost && agent.record.session.is_some()
        };
        let mut able = self.agents.iter().filter(can);
        let last = fence.agent;
        let next = self
            .agents
            .iter()
            .filter(can)
            .find(|(number, _)| last.is_none_or(|last| **number > last));
        let chosen = next
            .or_else(|| able.next())
            .map(|(number, agent)| (*number, agent.connection));
        let Some((number, Some(connection))) = chosen.filter(|_| valid) else {
            fence.problem = Some("no agent can be heard that could do it".into());
            fence.rests_until = now.plus(AGAIN_MS);
            self.again_for(uid, dead);
            return false;
        };
        let id = OURS | self.commands;
        self.commands += 1;
        fence.agent = Some(number);
        fence.command = Some(id);
        self.timers.insert((now.plus(LATE_MS), Timer::Command(id)));
        if let Some(agent) = self.agents.get_mut(&number) {
            let asked = Asked { connector: uid, dead };
            agent.commands.insert(id, asked);
        }
        self.send(connection, Order::Command(Command { id, what }));
        false
    }

    /// The tasks that wait for a fence are looked at again when it rested.
    fn again_for(&mut self, uid: ConnectorUid, dead: AgentSession) {
        let Some(connector) = self.connectors.get(&uid) else {
            return;
        };
        let at = connector.fences.get(&dead).map_or(self.now, |fence| fence.rests_until);
        for (number, task) in &connector.tasks {
            let owner = task.owner.map(|owner| AgentSession {
                agent: owner.agent,
                session: owner.session,
            });
            let orphaned = task.stage() == Stage::Orphaned && owner == Some(dead);
            let had_it = task.fences.known.contains(&dead) || (task.fences.inherited && self.inherited.contains(&dead));
            if orphaned || (had_it && matches!(task.stage(), Stage::Stopped | Stage::Orphaned)) {
                let key = TaskKey {
                    connector: uid,
                    number: *number,
                };
                self.timers.insert((at, Timer::Task(key)));
            }
        }
        self.work.seen_connectors.insert(uid);
    }

    /// An agent answered a command: one of ours, or one that somebody asked for.
    pub(super) fn command_ended(&mut self, number: AgentNumber, result: CommandResult) {
        let asked = self
            .agents
            .get_mut(&number)
            .and_then(|agent| agent.commands.remove(&result.id));
        match asked {
            Some(asked) => self.fence_ended(asked, result.error),
            None if result.id & OURS == 0 => self.effects.push(Effect::Answer(result)),
            None => {} // it came too late, and another was asked
        }
    }

    pub(super) fn command_is_late(&mut self, id: u64) {
        let late = self.agents.values_mut().find_map(|agent| agent.commands.remove(&id));
        if let Some(asked) = late {
            self.fence_ended(
                asked,
                Some("the agent that was asked to fence it does not answer".into()),
            );
        }
    }

    pub(super) fn fence_ended(&mut self, asked: Asked, error: Option<String>) {
        let rests_until = self.now.plus(AGAIN_MS);
        let Some(connector) = self.connectors.get_mut(&asked.connector) else {
            return;
        };
        let fence = connector.fences.entry(asked.dead).or_default();
        fence.command = None;
        match error {
            None => fence.done = true,
            Some(_) => fence.rests_until = rests_until,
        }
        fence.problem = error;
        self.again_for(asked.connector, asked.dead);
    }
}
