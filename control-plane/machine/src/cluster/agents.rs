//! Agents: their sessions, streams and records, and what they say in a session.

use super::event::{ConnectionId, Effect, LinkState, Name, Record, ShownAgent};
use super::tasks::{Report, Stage};
use super::writes::Purpose;
use super::{Machine, Timer};
use crate::scheduler::{self, AgentSpec, Refusal};
use dray_model::message::{
    AssignmentAck, FromAgent, Heartbeat, HeartbeatAck, Hello, LeaveIntent, Order, Owned, RefusedTask, RefusedWhy,
    RevokedWhy, RunState, StoppedTask, TaskReport, Verdict, WriterOpened,
};
use dray_model::record::{AgentRecord, Written};
use dray_model::{
    AgentId, AgentNumber, AgentSession, Instance, KafkaCluster, Millis, PluginClass, PluginVersion, SessionId, TaskKey,
};
use std::collections::{BTreeMap, BTreeSet};

/// The longest trace that is kept of a task.
const TRACE_BYTES: usize = 8 * 1024;
/// A task that stopped without being asked is assigned again after this time, or two that disagree would fill the network.
const REST_MS: u64 = 1_000;
/// The longest that tasks are held for an agent that means to be back; the scheduler has the same limit.
const LONGEST_HOLD_MS: u64 = 300_000;

/// An agent.
pub(super) struct Agent {
    pub(super) id: AgentId,
    pub(super) record: AgentRecord,
    pub(super) link: LinkState,
    /// The stream on which its present session was welcomed.
    pub(super) connection: Option<ConnectionId>,
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
    /// A Hello that waits until the record is written.
    pub(super) hello: Option<(ConnectionId, Box<Hello>)>,
    /// A session that was written for it and not said to it yet.
    pub(super) granted: Option<SessionId>,
    /// Changes of the record that are wanted; those of a write under way come first.
    pub(super) edits: Vec<Edit>,
    /// What is known of its dead sessions besides the record.
    pub(super) dead: BTreeMap<SessionId, Dead>,
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

/// A change of an agent's record. Made anew on top of whatever the record is when it is written.
#[derive(Clone, Debug)]
pub(super) enum Edit {
    /// A session begins. These dead ones were of a process that is proved dead.
    Begin {
        session: SessionId,
        hello: Box<Hello>,
        proved: Vec<SessionId>,
    },
    /// What it said of itself when its session went on.
    Facts(Box<Hello>),
    /// The session is over as far as we are concerned, and may still act.
    Declare(SessionId),
    /// It has a writer there.
    Opened(SessionId, KafkaCluster),
    /// It can have none there.
    Unfenceable(SessionId, KafkaCluster),
    /// Its writer was fenced there.
    Fenced(SessionId, KafkaCluster),
    /// Nobody has to know any more that it is dead.
    Forget(SessionId),
}

impl Edit {
    fn apply(&self, record: &mut AgentRecord) {
        match self {
            Self::Begin { session, hello, proved } => {
                record.session = Some(*session);
                record.instance = hello.instance;
                record.clusters.clear();
                record.unfenceable = false;
                for dead in proved {
                    record.dead_sessions.remove(dead);
                }
                describe(record, hello);
            }
            Self::Facts(hello) => describe(record, hello),
            Self::Declare(session) => {
                if record.session == Some(*session) {
                    record.session = None;
                    let clusters = std::mem::take(&mut record.clusters);
                    record.dead_sessions.insert(*session, clusters);
                }
            }
            Self::Opened(session, cluster) => {
                if record.session == Some(*session) {
                    record.clusters.insert(cluster.clone());
                }
            }
            Self::Unfenceable(session, _) => {
                if record.session == Some(*session) {
                    record.unfenceable = true;
                }
            }
            Self::Fenced(session, cluster) => {
                if let Some(clusters) = record.dead_sessions.get_mut(session) {
                    clusters.remove(cluster);
                }
            }
            Self::Forget(session) => {
                record.dead_sessions.remove(session);
            }
        }
    }
}

/// Writes down what an agent says of itself.
fn describe(record: &mut AgentRecord, hello: &Hello) {
    record.worker_id = hello.worker_id.clone();
    record.region = hello.region.clone();
    record.zone = hello.zone.clone();
    record.labels.clone_from(&hello.labels);
    record.capacity = hello.capacity;
    record.software_version.clone_from(&hello.software_version);
}

/// The record of an agent that is new, in its first session.
pub(super) fn first_record(number: AgentNumber, session: SessionId, hello: &Hello, written: Written) -> AgentRecord {
    AgentRecord {
        number,
        session: Some(session),
        instance: hello.instance,
        clusters: BTreeSet::new(),
        unfenceable: false,
        dead_sessions: BTreeMap::new(),
        policy: dray_model::AgentPolicy::default(),
        worker_id: hello.worker_id.clone(),
        region: hello.region.clone(),
        zone: hello.zone.clone(),
        labels: hello.labels.clone(),
        capacity: hello.capacity,
        software_version: hello.software_version.clone(),
        written,
    }
}

impl Agent {
    pub(super) fn new(id: AgentId, record: AgentRecord, now: Millis, acked: Millis) -> Self {
        Self {
            id,
            record,
            link: LinkState::Unknown,
            connection: None,
            plugins: Vec::new(),
            inherited: false,
            known: false,
            heard: now,
            acked,
            broke: None,
            lost: false,
            leaving: None,
            confirming: BTreeSet::new(),
            hello: None,
            granted: None,
            edits: Vec::new(),
            dead: BTreeMap::new(),
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
            FromAgent::GenerationCheck(owned) => self.checked(agent, &owned),
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

    /// The owner tells the state of a task.
    fn reported(&mut self, number: AgentNumber, mut report: TaskReport) {
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
        let begun = matches!(report.state, RunState::Starting | RunState::Running | RunState::Paused);
        let fenced = begun && task.fences != super::tasks::Fences::default();
        let mut fences = super::tasks::Fences::default();
        if fenced {
            fences = std::mem::take(&mut task.fences); // it was fenced before it was started
        }
        if matches!(report.state, RunState::Running | RunState::Paused | RunState::Failed) {
            task.restarting = false;
        }
        let other_pause = task.stage() == Stage::Assigned
            && ((report.state == RunState::Running && paused) || (report.state == RunState::Paused && !paused));
        task.report = Some(Report {
            state: report.state,
            trace: report.trace,
            restarts: report.restarts,
        });
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
        self.work.seen_connectors.insert(key.connector);
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

    fn acknowledged(&mut self, number: AgentNumber, ack: AssignmentAck) {
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
    fn task_stopped(&mut self, number: AgentNumber, stopped: StoppedTask) {
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

    fn checked(&mut self, number: AgentNumber, asked: &[Owned]) {
        let connection = self.agents.get(&number).and_then(|agent| agent.connection);
        let Some(connection) = connection.filter(|_| self.is_valid()) else {
            return;
        };
        let verdicts = asked.iter().map(|owned| Verdict {
            owned: *owned,
            keep: self.is_current(number, *owned)
                && self
                    .task(owned.task)
                    .is_some_and(|task| task.stage() == Stage::Assigned),
        });
        let verdicts = verdicts.collect();
        self.send(connection, Order::Verdicts(verdicts));
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

    /// The writers of the present session that are in its record may be used: whoever declares it dead will know of them.
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
        for cluster in std::mem::take(&mut agent.confirming) {
            self.send(connection, Order::WriterConfirmed(cluster));
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
        }
        if ended {
            self.session_ended(number);
        }
        self.sessions_changed(number);
        self.work.agents.insert(number);
        self.work.seen_agents.insert(number);
    }

    /// What an agent's record says of the sessions that own its tasks.
    pub(super) fn sessions_changed(&mut self, number: AgentNumber) {
        let Some(agent) = self.agents.get(&number) else { return };
        let record = agent.record.clone();
        for key in agent.owned.clone() {
            let Some(task) = self.task_mut(key) else { continue };
            let Some(owner) = task.owner else { continue };
            if record.session == Some(owner.session) {
                continue;
            }
            let declared = record.dead_sessions.contains_key(&owner.session);
            match task.stage() {
                Stage::Assigned | Stage::Revoking if declared && task.told.is_some() => task.enter(Stage::Orphaned),
                Stage::Assigned | Stage::Revoking => task.stopped(),
                Stage::Orphaned if !declared => task.stopped(),
                Stage::Orphaned | Stage::Stopped | Stage::Unowned => continue,
            }
            self.touch(key);
        }
    }

    /// Dead sessions that nobody has to know of any more: fenced everywhere, and nobody is to leave a group on their behalf.
    fn tidy(&mut self, number: AgentNumber) {
        let Some(agent) = self.agents.get(&number) else { return };
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
            let is_needed = !clusters.is_empty()
                || (self.unproved > 0 && self.inherited.contains(&dead))
                || self.fenced_first.contains_key(&dead)
                || agent.owned.iter().any(owns);
            let said = |edit: &Edit| matches!(edit, Edit::Forget(of) if of == session);
            if !is_needed && !agent.edits.iter().any(said) {
                forgotten.push(*session);
            }
        }
        if let Some(agent) = self.agents.get_mut(&number) {
            agent.edits.extend(forgotten.into_iter().map(Edit::Forget));
        }
    }
}
