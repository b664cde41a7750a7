//! The machine's state, and who handles which event. The parts: [`connection`](crate::connection) has the stream and what is said on it,
//! [`orders`](crate::orders) the tasks, [`lease`](crate::lease) what may be done until when and the end of a session,
//! [`writer`](crate::writer) the writers and the checks, [`leave`](crate::leave) the agent's own end.

use crate::connection::Link;
use crate::event::{Effect, Event, Gate};
use crate::identity::{Identity, Jitter};
use crate::leave::Leaving;
use crate::task::{Seen, Task};
use crate::writer::Writer;
use dray_model::message::{CommandResult, Owned, StoppedTask, TaskConfigs};
use dray_model::{AgentNumber, AgentSession, KafkaCluster, LeasePolicy, Millis, SessionId, TaskKey, Term};
use std::collections::{BTreeMap, BTreeSet};

/// An agent's side of its session.
#[derive(Debug)]
pub struct Session {
    pub(crate) identity: Identity,
    pub(crate) jitter: Jitter,
    pub(crate) now: Millis,
    /// What this step wants done.
    pub(crate) effects: Vec<Effect>,

    pub(crate) link: Link,
    pub(crate) connections: u64,
    /// Attempts to connect since the last Welcome.
    pub(crate) attempts: u32,
    /// Where the leader is said to be, for the next attempt.
    pub(crate) endpoints: Vec<String>,
    pub(crate) max_term: Option<Term>,
    /// The last thing that people were warned of, so that it is said once.
    pub(crate) warned: Option<String>,

    pub(crate) own: Option<Own>,
    /// The newest session that this process had: later ones have larger numbers.
    pub(crate) last_session: Option<SessionId>,
    pub(crate) tasks: BTreeMap<TaskKey, Task>,
    /// Those that may be ready to start: whatever a waiting one waited for has just gone. Looking at all of them in each step would cost
    /// the square of their number.
    pub(crate) ready: BTreeSet<TaskKey>,
    /// No stop becomes a kill before this.
    pub(crate) first_kill: Option<Millis>,
    /// Those whose change of state the leader shall hear soon. The others ride on heartbeats.
    pub(crate) soon: BTreeSet<TaskKey>,
    pub(crate) seen: Seen,
    /// Dead since the Hello that is not answered yet listed them.
    pub(crate) stopped: Vec<StoppedTask>,
    /// Commands that this leader waits for.
    pub(crate) commands: BTreeSet<u64>,
    /// Their results that could not be said yet.
    pub(crate) results: Vec<CommandResult>,

    pub(crate) gate: Gate,
    pub(crate) cpu_millis: u32,
    pub(crate) memory_bytes: u64,
    pub(crate) leaving: Option<Leaving>,
    pub(crate) left: bool,
}

/// The present session.
#[derive(Debug)]
pub(crate) struct Own {
    pub(crate) id: SessionId,
    pub(crate) number: AgentNumber,
    pub(crate) lease: LeasePolicy,
    /// How long a task may take to end when the leader gives no time: `task.shutdown.graceful.timeout.ms` of the worker.
    pub(crate) graceful_ms: u32,
    /// It is over; its tasks are dying.
    pub(crate) over: bool,
    /// When the latest acknowledged heartbeat was sent.
    pub(crate) acked: Option<Millis>,
    pub(crate) writers: BTreeMap<KafkaCluster, Writer>,
    /// A writer was refused: the leader waits out the lease, so no task may outlive it.
    pub(crate) unfenceable: bool,
    /// Dead sessions that were fenced here; said again on every connection, as nobody acknowledges it.
    pub(crate) fenced: BTreeSet<(AgentSession, KafkaCluster)>,
    /// Asked by tasks, and when. At most one for each task.
    pub(crate) checks: BTreeMap<TaskKey, (Owned, Millis)>,
    /// What instances want, until it is stored. At most one for each instance.
    pub(crate) configs: BTreeMap<TaskKey, TaskConfigs>,
}

impl Session {
    /// An agent that holds nothing and knows no leader.
    #[must_use]
    pub fn new(identity: Identity, now: Millis) -> (Self, Vec<Effect>) {
        let mut session = Self {
            jitter: Jitter(identity.seed),
            identity,
            now,
            effects: Vec::new(),
            link: Link::Down { until: now },
            connections: 0,
            attempts: 0,
            endpoints: Vec::new(),
            max_term: None,
            warned: None,
            own: None,
            last_session: None,
            tasks: BTreeMap::new(),
            ready: BTreeSet::new(),
            first_kill: None,
            soon: BTreeSet::new(),
            seen: Seen::default(),
            stopped: Vec::new(),
            commands: BTreeSet::new(),
            results: Vec::new(),
            gate: Gate {
                strict_until: Millis(0),
                fenced_until: Millis(0),
                shut: true,
                suspect: true,
            },
            cpu_millis: 0,
            memory_bytes: 0,
            leaving: None,
            left: false,
        };
        session.pass_time();
        let effects = std::mem::take(&mut session.effects);
        (session, effects)
    }

    /// Takes what happened and says what is to be done, in this order. The gate of a new agent is shut until an effect says otherwise.
    pub fn step(&mut self, now: Millis, event: Event) -> Vec<Effect> {
        if self.left {
            return Vec::new();
        }
        self.now = self.now.max(now);
        self.on(event);
        if !self.left {
            self.pass_time();
        }
        std::mem::take(&mut self.effects)
    }

    /// What it may do now, as [`Effect::Gate`] said it last.
    #[must_use]
    pub fn gate(&self) -> Gate {
        self.gate
    }

    fn on(&mut self, event: Event) {
        match event {
            Event::Connected(connection) => self.connected(connection),
            Event::Disconnected(connection) => self.disconnected(connection),
            Event::Message { connection, message } => self.message(connection, message),
            Event::Report(report) => self.report(report),
            Event::Dead { owned, clean } => self.dead(owned, clean),
            Event::TaskConfigs(configs) => self.task_configs(configs),
            Event::WriterOpened {
                session,
                cluster,
                refused,
            } => self.writer_opened(session, cluster, refused),
            Event::WriterWanted(cluster) => self.writer_wanted(cluster),
            Event::WriterCommitted { session, cluster, sent } => self.writer_committed(session, &cluster, sent),
            Event::WriterFenced { session, cluster } => self.writer_fenced(session, &cluster),
            Event::SessionFenced { dead, cluster } => self.session_fenced(dead, cluster),
            Event::FenceDone(owned) => self.fence_done(owned),
            Event::Check(owned) => self.check(owned),
            Event::CommandDone { id, error } => self.command_done(CommandResult { id, error }),
            Event::Load {
                cpu_millis,
                memory_bytes,
            } => (self.cpu_millis, self.memory_bytes) = (cpu_millis, memory_bytes),
            Event::Leave { back_in_ms } => self.leave(back_in_ms),
            Event::Tick => {}
        }
    }

    /// What time alone brings, and what waited for it. The gate first: a task that is started finds it open, one that is killed shut.
    fn pass_time(&mut self) {
        self.tell_gate();
        self.end_lease();
        self.kill_late();
        self.start_waiting();
        self.finish_session();
        self.pass_time_on_link();
        self.finish_leaving();
    }

    /// What is kept beside the tasks, so that a step need not look at all of them, says the same as the tasks.
    #[cfg(test)]
    pub(crate) fn proof(&self) {
        if self.left {
            return;
        }
        assert!(self.wake_at().is_none_or(|at| at > self.now), "changes are kept back");
        let may_start = !self.gate.shut && !self.gate.suspect && self.leaving.is_none();
        for (key, task) in &self.tasks {
            let startable = task.running.is_none() && task.waiting.as_ref().is_some_and(|waiting| !waiting.fencing);
            assert!(
                !startable || !may_start && self.ready.contains(key),
                "{key} does not start"
            );
            if let Some(running) = task.running.as_ref().filter(|running| !running.killed) {
                let known = running
                    .kill_at
                    .is_none_or(|at| at > self.now && self.first_kill.is_some_and(|first| first <= at));
                assert!(known, "{key} is not killed");
            }
        }
    }

    /// The session, unless it is over.
    pub(crate) fn live(&mut self) -> Option<&mut Own> {
        self.own.as_mut().filter(|own| !own.over)
    }

    pub(crate) fn effect(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// Says it to people, once.
    pub(crate) fn warn(&mut self, text: String) {
        if self.warned.as_ref() != Some(&text) {
            self.effect(Effect::Warn(text.clone()));
            self.warned = Some(text);
        }
    }

    pub(crate) fn holds_nothing(&self) -> bool {
        self.tasks.is_empty()
    }
}
