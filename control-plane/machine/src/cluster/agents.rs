//! Agents: their sessions, streams and records, and what they say in a session.

use super::edits::Edit;
use super::event::{ConnectionId, Effect, LinkState, Name, Record, ShownAgent};
use super::tasks::Stage;
use super::writes::Purpose;
use super::{Machine, Timer};
use crate::scheduler::{self, AgentSpec};
use dray_model::message::{FromAgent, Heartbeat, HeartbeatAck, Hello, LeaveIntent, Order, Owned, WriterOpened};
use dray_model::record::AgentRecord;
use dray_model::{
    AgentId, AgentNumber, AgentSession, Instance, KafkaCluster, Millis, PluginClass, PluginVersion, SessionId, TaskKey,
};
use std::collections::{BTreeMap, BTreeSet};

/// The longest that tasks are held for an agent that means to be back; the scheduler has the same limit.
pub(super) const LONGEST_HOLD_MS: u64 = 300_000;

/// An agent.
pub(super) struct Agent {
    pub(super) id: AgentId,
    pub(super) record: AgentRecord,
    pub(super) link: LinkState,
    /// The stream on which its present session was welcomed.
    pub(super) connection: Option<ConnectionId>,
    /// The latest stream on which it said Hello to this leader: one that comes on an older stream was delayed.
    pub(super) latest: Option<ConnectionId>,
    pub(super) plugins: Vec<(PluginClass, PluginVersion)>,
    /// Whether it was in a session at the election, and whether it was welcomed since.
    pub(super) inherited: bool,
    pub(super) known: bool,
    /// When it was heard last, and when its lease may have been renewed last: its present session's strict tasks may live until then and
    /// a while.
    pub(super) heard: Millis,
    pub(super) acked: Millis,
    /// When its stream broke.
    pub(super) broke: Option<Millis>,
    /// It was silent for long enough: it is declared dead as soon as one of its tasks has to go.
    pub(super) lost: bool,
    /// It is stopping, and means to be back by then.
    pub(super) leaving: Option<Millis>,
    /// Clusters on which its session's writer is in the record, and that was not said yet.
    pub(super) confirming: BTreeSet<KafkaCluster>,
    /// Ownerships that it asked about while nobody could answer.
    pub(super) asked: BTreeSet<Owned>,
    /// A Hello that waits until the record is written.
    pub(super) hello: Option<(ConnectionId, Box<Hello>)>,
    /// A session that was written for it and not said to it yet.
    pub(super) granted: Option<SessionId>,
    /// Changes of the record that are wanted; those of a write under way come first.
    pub(super) edits: Vec<Edit>,
    /// Sessions of processes that are proved dead.
    pub(super) proved: BTreeSet<SessionId>,
    /// What is known of its dead sessions besides the record.
    pub(super) dead: BTreeMap<SessionId, Dead>,
    /// Since when nothing asks for the fences of a dead session any more.
    pub(super) idle: BTreeMap<SessionId, Millis>,
    /// Tasks that it owns, and tasks that are to be its.
    pub(super) owned: BTreeSet<TaskKey>,
    pub(super) targeted: BTreeSet<TaskKey>,
    /// Tasks of which something has to be said, and the delta that it did not answer yet.
    pub(super) outbox: BTreeSet<TaskKey>,
    pub(super) unanswered: Option<u64>,
    /// Commands that it did not answer yet.
    pub(super) commands: BTreeMap<u64, super::fencing::Asked>,
    pub(super) problem: Option<String>,
    pub(super) shown: Option<ShownAgent>,
}

/// What is known of a session that was declared dead under this leader.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dead {
    /// The process that had it.
    pub(super) instance: Instance,
    /// When everything of it is dead, whatever it can reach.
    pub(super) outwaited: Millis,
    /// It had no writer where it needed one.
    pub(super) unfenceable: bool,
}

/// One that has no number yet.
pub(super) struct Newcomer {
    pub(super) connection: ConnectionId,
    pub(super) hello: Box<Hello>,
    /// Its session, when its record is being written.
    pub(super) session: Option<SessionId>,
}

impl Agent {
    pub(super) fn new(id: AgentId, record: AgentRecord, now: Millis, acked: Millis) -> Self {
        Self {
            id,
            record,
            link: LinkState::Unknown,
            connection: None,
            latest: None,
            plugins: Vec::new(),
            inherited: false,
            known: false,
            heard: now,
            acked,
            broke: None,
            lost: false,
            leaving: None,
            confirming: BTreeSet::new(),
            asked: BTreeSet::new(),
            hello: None,
            granted: None,
            edits: Vec::new(),
            proved: BTreeSet::new(),
            dead: BTreeMap::new(),
            idle: BTreeMap::new(),
            owned: BTreeSet::new(),
            targeted: BTreeSet::new(),
            outbox: BTreeSet::new(),
            unanswered: None,
            commands: BTreeMap::new(),
            problem: None,
            shown: None,
        }
    }

    /// The only way from link to link.
    pub(super) fn enter(&mut self, link: LinkState) {
        debug_assert!(
            self.link.may_become(link),
            "an agent's link cannot go from {} to {link}",
            self.link
        );
        self.link = link;
    }

    /// What the scheduler has to know.
    pub(super) fn spec(&self) -> AgentSpec {
        let record = &self.record;
        AgentSpec {
            number: record.number,
            region: record.region.clone(),
            zone: record.zone.clone(),
            labels: record.labels.clone(),
            plugins: self.plugins.clone(),
            capacity: record.capacity,
            policy: record.policy,
        }
    }

    /// Whether it can be given tasks in its present session, and which that is.
    pub(super) fn takes_tasks(&self) -> Option<SessionId> {
        let changes = |edit: &Edit| matches!(edit, Edit::Begin { .. } | Edit::Declare(_));
        let free = self.connection.is_some() && self.leaving.is_none() && !self.edits.iter().any(changes);
        self.record.session.filter(|_| free)
    }

    /// Whether a session of it is going to be declared dead.
    pub(super) fn is_being_declared(&self, session: SessionId) -> bool {
        let declares = |edit: &Edit| matches!(edit, Edit::Declare(of) if *of == session);
        self.edits.iter().any(declares)
    }
}

impl Machine {
    /// Something that an agent said on its present stream.
    pub(super) fn said(&mut self, agent: AgentNumber, message: FromAgent) {
        match message {
            FromAgent::Hello(_) => {} // answered before
            FromAgent::Heartbeat(heartbeat) => self.heartbeat(agent, heartbeat),
            FromAgent::AssignmentAck(ack) => self.acknowledged(agent, ack),
            FromAgent::TasksStopped(tasks) => {
                for task in tasks {
                    self.task_stopped(agent, task);
                }
            }
            FromAgent::TaskEvents(reports) => {
                for report in reports {
                    self.reported(agent, report);
                }
            }
            FromAgent::LeaveIntent(intent) => self.leaves(agent, intent),
            FromAgent::TaskConfigs(configs) => self.task_configs(agent, configs),
            FromAgent::WriterOpened(opened) => self.writer_opened(agent, opened),
            FromAgent::SessionFenced { dead, cluster } => self.session_fenced(dead, cluster),
            FromAgent::GenerationCheck(owned) => self.checked(agent, owned),
            FromAgent::CommandResult(result) => self.command_ended(agent, result),
        }
    }

    fn heartbeat(&mut self, number: AgentNumber, heartbeat: Heartbeat) {
        let valid = self.is_valid();
        let now = self.now;
        let Some(agent) = self.agents.get_mut(&number) else {
            return;
        };
        agent.heard = now;
        if let Some(connection) = agent.connection.filter(|_| valid) {
            agent.acked = now;
            self.send(connection, Order::HeartbeatAck(HeartbeatAck { seq: heartbeat.seq }));
        }
        self.is_heard(number);
        for report in heartbeat.changed {
            self.reported(number, report);
        }
    }

    fn leaves(&mut self, number: AgentNumber, intent: LeaveIntent) {
        let now = self.now;
        let Some(agent) = self.agents.get_mut(&number) else {
            return;
        };
        let back_by = intent
            .expect_back_ms
            .map(|ms| now.plus(u64::from(ms).min(LONGEST_HOLD_MS)));
        agent.leaving = Some(back_by.unwrap_or(Millis::NEVER));
        if agent.link == LinkState::Connected {
            agent.enter(LinkState::Returning);
        }
        let event = scheduler::Event::AgentLeaving { agent: number, back_by };
        let decisions = self.scheduler.on(now, event);
        self.decided(decisions);
        self.work.seen_agents.insert(number);
        self.touch_all_of(number);
    }

    fn writer_opened(&mut self, number: AgentNumber, opened: WriterOpened) {
        let Some(agent) = self.agents.get_mut(&number) else {
            return;
        };
        let Some(session) = agent.record.session else { return };
        match opened.refused {
            // Asked again: the confirmation was lost.
            None if agent.record.clusters.contains(&opened.cluster) => _ = agent.confirming.insert(opened.cluster),
            None => agent.edits.push(Edit::Opened(session, opened.cluster)),
            Some(why) => {
                agent.problem = Some(format!(
                    "no session writer on Kafka cluster {}: {why}; its tasks recover as strict",
                    opened.cluster
                ));
                agent.edits.push(Edit::Unfenceable(session, opened.cluster));
            }
        }
        self.work.agents.insert(number);
        self.work.seen_agents.insert(number);
    }

    /// Something about a task has to be said to an agent.
    pub(super) fn tell(&mut self, number: AgentNumber, key: TaskKey) {
        if let Some(agent) = self.agents.get_mut(&number) {
            agent.outbox.insert(key);
            self.work.deltas.insert(number);
        }
    }

    /// The next step of an agent: its record, and a Hello that waits for it.
    pub(super) fn drive_agent(&mut self, number: AgentNumber) {
        self.confirm(number);
        let Some(agent) = self.agents.get(&number) else { return };
        let name = Name::Agent(agent.id.clone());
        let Some(free_at) = self.writes.free_at(&name) else {
            return;
        };
        if free_at > self.now {
            self.timers.insert((free_at, Timer::Agent(number)));
            return;
        }
        self.greet(number);
        self.part(number);
        if let Some(agent) = self.agents.get_mut(&number)
            && agent.lost
            && agent.owned.is_empty()
        {
            agent.enter(LinkState::Gone);
            self.work.seen_agents.insert(number);
        }
        self.tidy(number);
        let Some(agent) = self.agents.get(&number) else { return };
        if agent.edits.is_empty() {
            return;
        }
        let mut record = agent.record.clone();
        for edit in &agent.edits {
            edit.apply(&mut record);
        }
        if record == agent.record {
            // Nothing is left of them: what they were about is over, or written already.
            let edits = std::mem::take(&mut self.agents.get_mut(&number).expect("found above").edits);
            self.edited(number, edits);
            return;
        }
        record.written = self.writes.written();
        let purpose = Purpose::Agent(number, agent.edits.len());
        let write = self
            .writes
            .begin(purpose, &[], vec![(name, Record::Agent(record))], Vec::new());
        self.effects.push(Effect::Write(write));
    }

    /// These edits are in the store.
    pub(super) fn edited(&mut self, number: AgentNumber, edits: Vec<Edit>) {
        for edit in edits {
            match edit {
                Edit::Opened(session, cluster) | Edit::Unfenceable(session, cluster) => {
                    if let Some(agent) = self.agents.get_mut(&number)
                        && agent.record.session == Some(session)
                    {
                        agent.confirming.insert(cluster);
                    }
                }
                Edit::Begin { .. } | Edit::Facts(_) | Edit::Declare(_) | Edit::Fenced(..) | Edit::Forget(_) => {}
            }
        }
        self.work.agents.insert(number);
    }

    /// What was held back is said: the writers of the present session that are in its record may be used, because whoever declares it
    /// dead will know of them; and what is current.
    fn confirm(&mut self, number: AgentNumber) {
        let valid = self.is_valid();
        let Some(agent) = self.agents.get_mut(&number) else {
            return;
        };
        let Some(connection) = agent.connection else { return };
        if !valid {
            self.muted.insert(number);
            return;
        }
        let asked = std::mem::take(&mut agent.asked);
        for cluster in std::mem::take(&mut agent.confirming) {
            self.send(connection, Order::WriterConfirmed(cluster));
        }
        if !asked.is_empty() {
            self.checked(number, asked.into_iter().collect());
        }
    }

    /// The record of an agent is this now. What its sessions say about its tasks may have changed.
    pub(super) fn agent_changed(&mut self, id: AgentId, record: AgentRecord) {
        let number = record.number;
        let acked = self.elected.plus(self.timing.leader_ms);
        let Some(agent) = self.agents.get_mut(&number) else {
            self.ids.insert(id.clone(), number);
            let agent = Agent::new(id, record, self.now, acked);
            let spec = agent.spec();
            self.agents.insert(number, agent);
            let decisions = self.scheduler.on(self.now, scheduler::Event::AgentKnown(spec));
            self.decided(decisions);
            self.timers.insert((self.now, Timer::Silence(number)));
            self.work.agents.insert(number);
            self.work.seen_agents.insert(number);
            return;
        };
        let before = std::mem::replace(&mut agent.record, record);
        let ended = agent.record.session != before.session && before.session.is_some();
        let fenced = agent.record.dead_sessions != before.dead_sessions;
        if agent.record.session != before.session {
            agent.confirming.clear();
        }
        let Agent {
            dead, record, edits, ..
        } = agent;
        dead.retain(|session, _| {
            let declared = |edit: &Edit| matches!(edit, Edit::Declare(of) if of == session);
            record.dead_sessions.contains_key(session) || edits.iter().any(declared)
        });
        let policy = agent.record.policy;
        if before.policy != policy {
            let event = scheduler::Event::PolicyChanged { agent: number, policy };
            let decisions = self.scheduler.on(self.now, event);
            self.decided(decisions);
            self.touch_all_of(number);
            // One whose tasks were held while somebody restarts it may be due now.
            self.timers.insert((self.now, Timer::Silence(number)));
        }
        if ended {
            self.session_ended(number);
        }
        self.sessions_changed(number);
        if fenced {
            self.touch_all_of(number); // what waits until its sessions are fenced
        }
        self.work.agents.insert(number);
        self.work.seen_agents.insert(number);
    }

    /// What an agent's record says of the sessions that own its tasks.
    pub(super) fn sessions_changed(&mut self, number: AgentNumber) {
        let Some(agent) = self.agents.get(&number) else { return };
        let (record, proved) = (agent.record.clone(), agent.proved.clone());
        for key in agent.owned.clone() {
            let Some(task) = self.task_mut(key) else { continue };
            let Some(owner) = task.owner else { continue };
            if record.session == Some(owner.session) {
                continue;
            }
            let declared = record.dead_sessions.contains_key(&owner.session);
            let dead = AgentSession {
                agent: number,
                session: owner.session,
            };
            match task.stage() {
                Stage::Assigned | Stage::Revoking | Stage::Orphaned if declared && proved.contains(&owner.session) => {
                    task.stopped();
                    if task.fences.known.insert(dead) {
                        *self.fenced_first.entry(dead).or_default() += 1;
                    }
                }
                Stage::Assigned | Stage::Revoking if declared && task.told.is_some() => task.enter(Stage::Orphaned),
                Stage::Assigned | Stage::Revoking => task.stopped(),
                Stage::Orphaned if !declared => task.stopped(),
                Stage::Orphaned | Stage::Stopped | Stage::Unowned => continue,
            }
            self.touch(key);
        }
    }
}
