//! An agent as its process drives the session: it carries out effects, tells what became of them, `writers` has the session's
//! writers, `fencing` what it does to dead sessions, `runs` its tasks.

use crate::coverage::Seen;
use crate::kafka::{Entry, Producer};
use crate::mutation::Mutation;
use crate::network::{Payload, Way};
use crate::process::{Clock, Process};
use crate::requests::{Request, What};
use crate::runs::{Kind, Run};
use crate::world::{Input, Item, World};
use crate::{AGENTS, Time};
use dray_model::message::{CommandWhat, FromAgent, Order, Owned, Plugin, PluginKind};
use dray_model::{
    AgentId, AgentNumber, AgentSession, Capacity, Instance, KafkaCluster, LeasePolicy, Millis, SessionId, TargetState,
};
use dray_session::{self as session, Effect, Event, Gate, Identity, Session};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

pub(crate) struct Agent {
    pub(crate) process: Process<Input>,
    pub(crate) session: Option<Session>,
    pub(crate) instance: Instance,
    /// Which instance the data folder of this host names.
    pub(crate) folder: Option<Instance>,
    pub(crate) gate: Gate,
    pub(crate) current: Option<(SessionId, AgentNumber)>,
    pub(crate) lease: LeasePolicy,
    pub(crate) runs: BTreeMap<u64, Run>,
    pub(crate) writers: [Option<Writer>; 2],
    pub(crate) jobs: Vec<Job>,
    pub(crate) expels: Vec<Expel>,
    pub(crate) next_endpoint: usize,
    pub(crate) hung_up: BTreeSet<session::ConnectionId>,
    /// The stream in use.
    pub(crate) stream: Option<session::ConnectionId>,
    pub(crate) last_ack: Millis,
    pub(crate) events: VecDeque<Event>,
    pub(crate) telling: bool,
    /// It ends in good order, and comes back after this time.
    pub(crate) back_in: Time,
}

/// This session's writer on a cluster.
pub(crate) struct Writer {
    pub(crate) session: SessionId,
    pub(crate) producer: Option<Producer>,
    /// There is none, for want of a permission.
    pub(crate) refused: bool,
    pub(crate) usable: bool,
    pub(crate) fenced: bool,
    pub(crate) busy: Option<Busy>,
    pub(crate) begun: Millis,
    pub(crate) renewed: Millis,
}

/// A transaction under way.
pub(crate) struct Busy {
    pub(crate) entries: Vec<(u64, Entry)>,
    pub(crate) commit: bool,
    pub(crate) sent: Millis,
}

/// Sessions that are being fenced, and who waits for it.
pub(crate) struct Job {
    pub(crate) cluster: usize,
    pub(crate) left: Vec<AgentSession>,
    pub(crate) done: Event,
}

/// Dead sessions that are kept out of a group.
pub(crate) struct Expel {
    pub(crate) group: dray_model::ConnectorUid,
    pub(crate) cluster: usize,
    pub(crate) dead: Vec<SessionId>,
    pub(crate) clean_since: Millis,
    pub(crate) ask_at: Millis,
}

pub(crate) fn cluster_name(at: usize) -> KafkaCluster {
    KafkaCluster::try_from(["k0", "k1"][at]).expect("a name")
}

pub(crate) fn cluster_at(name: &KafkaCluster) -> usize {
    usize::from(name.as_str() == "k1")
}

pub(crate) fn agent_id(slot: usize) -> AgentId {
    AgentId::try_from(format!("a{}", slot % AGENTS)).expect("a name")
}

pub(crate) fn slot_name(slot: usize) -> String {
    if slot < AGENTS {
        format!("a{slot}")
    } else {
        format!("a{}'", slot % AGENTS)
    }
}

impl Agent {
    pub(crate) fn new(clock: Clock) -> Self {
        let mut process = Process::new(clock);
        process.up = false;
        Self {
            process,
            session: None,
            instance: Instance(0),
            folder: None,
            gate: Gate {
                strict_until: Millis(0),
                fenced_until: Millis(0),
                shut: true,
                suspect: true,
            },
            current: None,
            lease: LeasePolicy::default(),
            runs: BTreeMap::new(),
            writers: [None, None],
            jobs: Vec::new(),
            expels: Vec::new(),
            next_endpoint: 0,
            hung_up: BTreeSet::new(),
            stream: None,
            last_ack: Millis(0),
            events: VecDeque::new(),
            telling: false,
            back_in: 0,
        }
    }

    /// Whether the client of this task is still there.
    pub(crate) fn may_send(&self, run: u64) -> bool {
        self.runs.get(&run).is_some_and(|run| !run.killed)
    }

    /// Whether a task may cause effects.
    pub(crate) fn open(&self, run: &Run, now: Millis) -> bool {
        let until = if run.strict {
            self.gate.strict_until
        } else {
            self.gate.fenced_until
        };
        !self.gate.shut && now < until
    }
}

impl World {
    pub(crate) fn agent_now(&self, at: usize) -> Millis {
        self.agents[at].process.clock.at(self.now)
    }

    /// A process of an agent starts. `folder`: the data folder of its host is still there.
    pub(crate) fn start_agent(&mut self, at: usize, folder: bool) {
        let instance = Instance(u128::from(self.random.next()));
        let seed = self.random.next();
        let old = &mut self.agents[at];
        let previous = old.folder.filter(|_| folder);
        let life = old.process.life + 1;
        let mut agent = Agent::new(old.process.clock);
        agent.process.up = true;
        agent.process.life = life;
        agent.instance = instance;
        agent.folder = Some(instance);
        agent.next_endpoint = at;
        let identity = identity(at, instance, previous, seed);
        let now = agent.process.clock.at(self.now);
        let (session, effects) = Session::new(identity, now);
        agent.session = Some(session);
        agent.gate.shut = true;
        self.agents[at] = agent;
        self.note_agent(at, || format!("starts as {instance}, after {previous:?}"));
        self.agents[at].telling = true;
        for effect in effects {
            self.agent_effect(at, effect);
        }
        self.agents[at].telling = false;
        self.drain_events(at);
        let wait = self.random.range(1, 100);
        self.for_agent(at, wait, Input::Tick);
    }

    /// A process of an agent is gone, with all that it ran.
    pub(crate) fn end_agent(&mut self, at: usize, host_gone: bool) {
        self.agents[at].process.end();
        let runs = std::mem::take(&mut self.agents[at].runs);
        for run in runs.values() {
            self.checks.run_ended(at, run);
        }
        self.agents[at].session = None;
        self.ends_gone(|connection| connection.agent == at, host_gone);
    }

    pub(crate) fn agent_on(&mut self, at: usize, input: Input) {
        match input {
            Input::Tick => {
                let wait = self.agents[at].process.clock.span(100);
                self.for_agent(at, wait, Input::Tick);
                self.tell(at, Event::Tick);
                if self.agents[at].process.up {
                    self.agent_tick(at);
                }
            }
            Input::Connected(number) => {
                self.agents[at].stream = Some(number);
                self.tell(at, Event::Connected(number));
            }
            Input::Disconnected(number) => {
                self.agents[at].hung_up.insert(number);
                self.tell(at, Event::Disconnected(number));
            }
            Input::Message(number, message) => self.agent_hears(at, number, message),
            Input::Out(request) => self.request_leaves(at, request, false),
            Input::Answer(request, answer) => self.answered(at, *request, answer),
            Input::Timer(run, timer) => self.run_timer(at, run, timer),
            Input::KillLate(owned) => {
                if self.agents[at].runs.values().any(|run| run.owned == owned) {
                    // Held back again when another acknowledgement has come meanwhile.
                    self.agent_effect(at, Effect::Kill { owned });
                }
            }
            Input::Leave(back_in_ms) => self.tell(at, Event::Leave { back_in_ms }),
        }
    }

    pub(crate) fn agent_hears(
        &mut self,
        at: usize,
        number: session::ConnectionId,
        message: dray_model::message::ToAgent,
    ) {
        if self.agents[at].stream != Some(number) {
            self.see(Seen::OldConnection);
        }
        match &message.body {
            Order::HeartbeatAck(_) => {
                let now = self.agent_now(at);
                self.agents[at].last_ack = now;
                if self.mutation == Some(Mutation::LeaseFromReceipt) {
                    let agent = &mut self.agents[at];
                    let until = now.plus(agent.lease.lease_ms.into());
                    agent.gate.strict_until = agent.gate.strict_until.max(until);
                }
            }
            Order::Welcome(welcome) => {
                self.agents[at].lease = welcome.lease;
                for verdict in &welcome.verdicts {
                    if !verdict.keep {
                        self.see(Seen::VerdictStop);
                    }
                }
                let back = self.agents[at]
                    .current
                    .is_some_and(|current| current.0 == welcome.session);
                self.see(if back { Seen::WelcomeBack } else { Seen::Welcome });
            }
            Order::Assignments(_)
            | Order::TaskConfigsStored { .. }
            | Order::WriterConfirmed(_)
            | Order::Verdicts(_)
            | Order::Command(_)
            | Order::Fenced(_)
            | Order::NotLeader(_) => {}
        }
        self.tell(
            at,
            Event::Message {
                connection: number,
                message,
            },
        );
    }

    /// Tells the session, and carries out what it wants, one event after the other.
    pub(crate) fn tell(&mut self, at: usize, event: Event) {
        self.agents[at].events.push_back(event);
        self.drain_events(at);
    }

    pub(crate) fn drain_events(&mut self, at: usize) {
        if std::mem::replace(&mut self.agents[at].telling, true) {
            return;
        }
        while let Some(event) = self.agents[at].events.pop_front() {
            let now = self.agent_now(at);
            let quiet = matches!(&event, Event::Tick | Event::WriterCommitted { .. })
                || matches!(&event, Event::Message { message, .. } if matches!(message.body, Order::HeartbeatAck(_)));
            if !quiet {
                self.note_agent(at, || format!("< {event:?}"));
            }
            let Some(session) = &mut self.agents[at].session else {
                break;
            };
            for effect in session.step(now, event) {
                self.agent_effect(at, effect);
            }
        }
        self.agents[at].telling = false;
    }

    pub(crate) fn agent_effect(&mut self, at: usize, effect: Effect) {
        let now = self.agent_now(at);
        if self.mutation == Some(Mutation::LeaseFromReceipt)
            && let Effect::Kill { owned } = &effect
        {
            let agent = &self.agents[at];
            let strict = agent.runs.values().any(|run| run.owned == *owned && run.strict);
            if strict && !agent.gate.shut && now < agent.gate.strict_until {
                let wait = agent.process.clock.span(agent.gate.strict_until.since(now));
                return self.for_agent(at, wait + 1, Input::KillLate(*owned));
            }
        }
        self.carry_out(at, effect);
    }

    pub(crate) fn carry_out(&mut self, at: usize, effect: Effect) {
        let heartbeat = matches!(
            &effect,
            Effect::Send {
                message: FromAgent::Heartbeat(_),
                ..
            } | Effect::Gate(_)
        );
        if !heartbeat {
            self.note_agent(at, || format!("  > {effect:?}"));
        }
        match effect {
            Effect::Connect { connection, endpoints } => self.dial(at, connection, &endpoints),
            Effect::Disconnect(connection) => {
                self.agents[at].hung_up.insert(connection);
                self.agent_closes(at, connection);
            }
            Effect::Send { connection, message } => self.agent_says(at, connection, message),
            Effect::SessionBegan { session, number, .. } => {
                self.check_session_begins(at);
                let agent = &mut self.agents[at];
                agent.current = Some((session, number));
                agent.writers = [None, None];
                agent.jobs.clear();
                agent.expels.clear();
            }
            Effect::OpenWriter { cluster, session } => {
                let now = self.agent_now(at);
                let cluster = cluster_at(&cluster);
                self.agents[at].writers[cluster] = Some(Writer {
                    session,
                    producer: None,
                    refused: false,
                    usable: false,
                    fenced: false,
                    busy: None,
                    begun: now,
                    renewed: now,
                });
                self.request(
                    at,
                    Request {
                        cluster,
                        what: What::OpenWriter(session),
                        run: None,
                    },
                );
            }
            Effect::UseWriter { cluster, session } => self.use_writer(at, cluster_at(&cluster), session),
            Effect::Start { assignment, connector } => self.start_run(at, *assignment, connector),
            Effect::FenceFirst { owned, dead, connector } => {
                self.see(Seen::FenceFirst);
                self.fence(at, &dead, &connector, Event::FenceDone(owned));
            }
            Effect::SetPaused { owned, paused } => self.pause_run(at, owned, paused),
            Effect::Stop { owned, graceful_ms, .. } => self.stop_run(at, owned, graceful_ms),
            Effect::Kill { owned } => self.kill_run(at, owned),
            Effect::Checked { owned, keep } => self.checked(at, owned, keep),
            Effect::Gate(mut gate) => {
                if self.mutation == Some(Mutation::LeaseFromReceipt) {
                    gate.strict_until = gate.strict_until.max(self.agents[at].gate.strict_until);
                }
                self.agents[at].gate = gate;
                self.check_overlap(at);
            }
            Effect::Command { id, what } => {
                let CommandWhat::FenceSessions { connector, dead } = what;
                self.see(Seen::FenceCommand);
                let done = Event::CommandDone { id, error: None };
                let ends = self.store.spec(&connector.name).is_none_or(|spec| {
                    spec.uid != Some(connector.uid) || spec.deleting || spec.target == TargetState::Stopped
                });
                let forgotten = match self.mutation {
                    Some(Mutation::ForgetF6) => !ends,
                    Some(Mutation::ForgetF7) => ends,
                    _ => false,
                };
                if forgotten {
                    return self.tell(at, done);
                }
                self.fence(at, &dead, &connector, done);
                if Kind::of(&connector) == Kind::Sink {
                    let sessions = dead.iter().map(|dead| dead.session.session).collect();
                    self.expel(at, &connector, sessions);
                }
            }
            Effect::Leave => {
                self.see(Seen::AgentLeft);
                let back_in = self.agents[at].back_in;
                self.check_leaves(at);
                self.end_agent(at, false);
                let restart = Item::RestartAgent {
                    agent: at,
                    folder: true,
                };
                self.after(back_in, restart);
            }
            Effect::Warn(text) => {
                if text.contains("another process") || text.contains("DuplicateId") {
                    self.see(Seen::FencedDuplicate);
                }
            }
        }
    }

    /// What of a message is interesting.
    pub(crate) fn count(&mut self, message: &FromAgent) {
        if let FromAgent::AssignmentAck(ack) = message {
            for _ in &ack.refused {
                self.see(Seen::Refused);
            }
        }
    }

    pub(crate) fn agent_says(&mut self, at: usize, connection: session::ConnectionId, mut message: FromAgent) {
        self.count(&message);
        if self.mutation == Some(Mutation::ForgetRestarts)
            && let FromAgent::Hello(hello) = &mut message
        {
            for held in &mut hello.held {
                held.asked_restarts = None;
            }
        }
        if self.mutation == Some(Mutation::HeldForgotten) {
            if let FromAgent::Hello(hello) = &mut message {
                hello.held.retain(|held| !held.stopping);
            }
        } else {
            self.check_said(at, &message);
        }
        if let Some(index) = self.connection_of(at, connection) {
            self.send(index, Payload::Up(message), Way::Up);
        }
    }
}

fn identity(slot: usize, instance: Instance, previous_instance: Option<Instance>, seed: u64) -> Identity {
    let mut classes = vec!["sim.Source", "sim.Sink", "sim.Eos"];
    if slot % AGENTS < 2 {
        classes.push("sim.Rare");
    }
    let plugin = |class: &&str| Plugin {
        class: (*class).try_into().expect("a name"),
        version: "1.0".into(),
        kind: if *class == "sim.Sink" {
            PluginKind::Sink
        } else {
            PluginKind::Source
        },
    };
    Identity {
        cluster: "sim".into(),
        agent: agent_id(slot),
        instance,
        previous_instance,
        worker_id: slot_name(slot).as_str().into(),
        region: "r".try_into().expect("a name"),
        zone: ["z0", "z1"][slot % 2].try_into().expect("a name"),
        labels: dray_model::Labels::new(),
        capacity: Capacity::new(if slot % AGENTS == 3 { 3 } else { 50 }, 1_000_000).expect("not 0"),
        plugins: classes.iter().map(plugin).collect(),
        software_version: "1".into(),
        seed,
    }
}

/// What an agent holds, for messages.
pub(crate) fn name_of(owned: Owned) -> String {
    format!("{}@{}", owned.task, owned.generation)
}
