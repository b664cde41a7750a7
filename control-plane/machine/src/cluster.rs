//! One cluster as its leader sees it: connectors, tasks, agents and their sessions, moves and recovery.
//!
//! The scheduler says where tasks go; this says what has to be true before they go there.
//!
//! Events only note what is true now and what has to be looked at again (`Work`); `settle` then compares what is wanted with
//! what is, and takes the next step of each. So an event that is lost, doubled or late changes when a step is taken, never which. `place`
//! has the steps of a task, `agents` and `hello` sessions, `silence` who is declared dead, `connectors` and `task_sets` what a connector has, `breaker` when it
//! is paused as a whole, `writes` the store.

mod agents;
mod altering;
mod breaker;
mod connectors;
mod deltas;
mod edits;
mod event;
mod fencing;
mod hello;
mod place;
mod records;
mod reports;
mod settings;
mod shown;
mod silence;
mod task_sets;
mod tasks;
#[cfg(test)]
mod tests;
mod writes;

pub use altering::altering;
pub use event::{
    Change, ConnectionId, Effect, Event, LinkState, Name, Outcome, Record, Revision, Shown, ShownAgent, ShownStatus,
    Snapshot, Stored, Timing, Write, WriteId,
};
pub use settings::check;

use crate::scheduler::{self, Scheduler};
use agents::{Agent, Newcomer};
use connectors::Connector;
use dray_model::message::{FromAgent, Order, ToAgent};
use dray_model::record::{ClusterMeta, Shard};
use dray_model::{
    AgentId, AgentNumber, AgentSession, ConnectorName, ConnectorUid, Generation, Millis, SessionId, TaskKey, Term,
};
use rustc_hash::FxHashMap;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use tasks::Task;
use writes::Writes;

/// Everything that a leader knows of its cluster, and decides.
pub struct Machine {
    term: Term,
    timing: Timing,
    now: Millis,
    elected: Millis,
    /// Until when we may answer agents.
    valid_until: Millis,
    /// So many generations, sessions, deltas and commands were given out.
    generations: u32,
    sessions: u32,
    nonces: u64,
    commands: u64,
    resigned: bool,
    /// Agents that were in a session at the election, how many of them are back, and whether that is enough.
    expected: usize,
    back: usize,
    settled: bool,
    /// The snapshot is being read: the scheduler is told of connectors when all of it is known.
    inheriting: bool,
    scheduler: Scheduler,
    meta: Option<ClusterMeta>,
    agents: BTreeMap<AgentNumber, Agent>,
    ids: BTreeMap<AgentId, AgentNumber>,
    newcomers: BTreeMap<AgentId, Newcomer>,
    streams: FxHashMap<ConnectionId, Stream>,
    connectors: FxHashMap<ConnectorUid, Connector>,
    names: BTreeMap<ConnectorName, ConnectorUid>,
    writes: Writes,
    timers: BTreeSet<(Millis, Timer)>,
    work: Work,
    /// Sessions that were dead at the election, and the tasks of which it is not known whether one of them had them.
    inherited: BTreeSet<AgentSession>,
    unproved: usize,
    /// Sessions that the next starts of so many tasks have to fence first.
    fenced_first: BTreeMap<AgentSession, u32>,
    /// Streams that broke lately.
    breaks: VecDeque<(Millis, AgentNumber)>,
    /// Agents to whom something waits to be said until we may.
    muted: BTreeSet<AgentNumber>,
    effects: Vec<Effect>,
}

/// Whose a stream is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Stream {
    /// An agent's, with or without a session yet.
    Agent(AgentNumber),
    /// That of one which has no number yet.
    Newcomer(AgentId),
}

/// What the time brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// Is it silent?
    Silence(AgentNumber),
    Task(TaskKey),
    Agent(AgentNumber),
    Connector(ConnectorUid),
    Shard(ConnectorUid, Shard),
    Command(u64),
    /// Did it answer the delta of this number?
    Delta(AgentNumber, u64),
    Newcomers,
}

/// What has to be looked at again, in order, and what of it people should see.
#[derive(Debug, Default)]
struct Work {
    tasks: BTreeSet<TaskKey>,
    connectors: BTreeSet<ConnectorUid>,
    agents: BTreeSet<AgentNumber>,
    shards: BTreeSet<(ConnectorUid, Shard)>,
    newcomers: bool,
    deltas: BTreeSet<AgentNumber>,
    seen_tasks: BTreeSet<TaskKey>,
    seen_connectors: BTreeSet<ConnectorUid>,
    seen_agents: BTreeSet<AgentNumber>,
}

impl Machine {
    /// The machine of a leader that was elected in this term, just now, and what it wants done first. Nothing is answered before
    /// [`Event::Valid`].
    #[must_use]
    pub fn new(term: Term, now: Millis, snapshot: Snapshot, timing: Timing) -> (Self, Vec<Effect>) {
        let mut machine = Self {
            term,
            timing,
            now,
            elected: now,
            valid_until: Millis(0),
            generations: 0,
            sessions: 0,
            nonces: 0,
            commands: 0,
            resigned: false,
            expected: 0,
            back: 0,
            settled: false,
            inheriting: false,
            scheduler: Scheduler::new(scheduler::Limits::default(), now),
            meta: None,
            agents: BTreeMap::new(),
            ids: BTreeMap::new(),
            newcomers: BTreeMap::new(),
            streams: FxHashMap::default(),
            connectors: FxHashMap::default(),
            names: BTreeMap::new(),
            writes: Writes::new(term),
            timers: BTreeSet::new(),
            work: Work::default(),
            inherited: BTreeSet::new(),
            unproved: 0,
            fenced_first: BTreeMap::new(),
            breaks: VecDeque::new(),
            muted: BTreeSet::new(),
            effects: Vec::new(),
        };
        machine.inherit(snapshot);
        machine.settle();
        let effects = std::mem::take(&mut machine.effects);
        (machine, effects)
    }

    /// Takes note of what happened and says what shall be done. A leader that resigned does nothing any more.
    #[must_use]
    pub fn step(&mut self, now: Millis, event: Event) -> Vec<Effect> {
        self.now = self.now.max(now);
        if self.resigned {
            return Vec::new();
        }
        match event {
            Event::Changed(change) => self.changed(change),
            Event::Written { write, outcome } => self.written(write, outcome),
            Event::Message { connection, message } => self.message(connection, message),
            Event::Closed(connection) => _ = self.closed(connection),
            Event::Valid(until) => {
                self.valid_until = until;
                if self.is_valid() {
                    let muted = std::mem::take(&mut self.muted);
                    self.work.agents.extend(&muted);
                    self.work.deltas.extend(muted);
                }
            }
            Event::Tick => {
                let decisions = self.scheduler.on(self.now, scheduler::Event::Tick);
                self.decided(decisions);
            }
        }
        self.time();
        self.settle();
        std::mem::take(&mut self.effects)
    }

    /// Whether we may answer heartbeats and send assignments.
    fn is_valid(&self) -> bool {
        self.now < self.valid_until
    }

    fn message(&mut self, connection: ConnectionId, message: FromAgent) {
        let message = match message {
            FromAgent::Hello(hello) => return self.hello(connection, hello),
            FromAgent::Heartbeat(_)
            | FromAgent::AssignmentAck(_)
            | FromAgent::TasksStopped(_)
            | FromAgent::TaskEvents(_)
            | FromAgent::LeaveIntent(_)
            | FromAgent::TaskConfigs(_)
            | FromAgent::WriterOpened(_)
            | FromAgent::SessionFenced { .. }
            | FromAgent::GenerationCheck(_)
            | FromAgent::CommandResult(_) => message,
        };
        match self.streams.get(&connection) {
            None => self.close(connection), // the first message is Hello
            Some(Stream::Newcomer(_)) => {} // before its Welcome: nothing that it may say
            Some(Stream::Agent(agent)) => {
                let agent = *agent;
                if self
                    .agents
                    .get(&agent)
                    .is_some_and(|of| of.connection == Some(connection))
                {
                    self.said(agent, message);
                }
            }
        }
    }

    /// What the time brings: every timer that is due.
    fn time(&mut self) {
        while let Some((at, timer)) = self.timers.first().copied()
            && at <= self.now
        {
            self.timers.pop_first();
            match timer {
                Timer::Silence(agent) => self.listen(agent),
                Timer::Task(task) => _ = self.work.tasks.insert(task),
                Timer::Agent(agent) => _ = self.work.agents.insert(agent),
                Timer::Connector(connector) => {
                    self.refused_by_store(connector, None);
                    self.work.connectors.insert(connector);
                }
                Timer::Shard(connector, shard) => _ = self.work.shards.insert((connector, shard)),
                Timer::Command(id) => self.command_is_late(id),
                Timer::Delta(agent, nonce) => self.delta_is_late(agent, nonce),
                Timer::Newcomers => self.work.newcomers = true,
            }
        }
    }

    /// Takes the next step of all that changed, until nothing follows from it; then what is said and shown.
    fn settle(&mut self) {
        loop {
            if let Some(task) = self.work.tasks.pop_first() {
                self.drive_task(task);
            } else if let Some(agent) = self.work.agents.pop_first() {
                self.drive_agent(agent);
            } else if let Some(connector) = self.work.connectors.pop_first() {
                self.drive_connector(connector);
            } else if std::mem::take(&mut self.work.newcomers) {
                self.drive_newcomers();
            } else {
                break;
            }
        }
        self.write_owners();
        self.send_deltas();
        self.show();
    }

    fn send(&mut self, connection: ConnectionId, body: Order) {
        let message = ToAgent { term: self.term, body };
        self.effects.push(Effect::Send { connection, message });
    }

    /// Closes a stream, and forgets it.
    fn close(&mut self, connection: ConnectionId) {
        self.streams.remove(&connection);
        self.effects.push(Effect::Close(connection));
    }

    fn resign(&mut self, why: &'static str) {
        if !self.resigned {
            self.resigned = true;
            self.effects.push(Effect::Resign(why));
        }
    }

    /// A generation that nobody had yet. `None`: the term has no more, and we resign.
    fn generation(&mut self) -> Option<Generation> {
        let generation = self.term.generation(self.generations);
        self.generations = self.generations.saturating_add(1);
        if generation.is_none() {
            self.resign("the term has no more generations");
        }
        generation
    }

    fn session(&mut self) -> Option<SessionId> {
        let session = self.term.session(self.sessions);
        self.sessions = self.sessions.saturating_add(1);
        if session.is_none() {
            self.resign("the term has no more sessions");
        }
        session
    }

    fn task(&self, key: TaskKey) -> Option<&Task> {
        self.connectors.get(&key.connector)?.tasks.get(&key.number)
    }

    fn task_mut(&mut self, key: TaskKey) -> Option<&mut Task> {
        self.connectors.get_mut(&key.connector)?.tasks.get_mut(&key.number)
    }

    /// The task has to be looked at again, and what people see of it too.
    fn touch(&mut self, key: TaskKey) {
        if !self.inheriting {
            self.work.tasks.insert(key);
            self.seen(key);
        }
    }

    /// What people see of a task may have changed.
    fn seen(&mut self, key: TaskKey) {
        if key.is_instance() {
            self.work.seen_connectors.insert(key.connector);
        } else {
            self.work.seen_tasks.insert(key);
        }
    }

    fn touch_all_of(&mut self, agent: AgentNumber) {
        if let Some(agent) = self.agents.get(&agent) {
            let tasks: Vec<_> = agent.owned.union(&agent.targeted).copied().collect();
            for task in tasks {
                self.touch(task);
            }
        }
    }
}
