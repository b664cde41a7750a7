//! An agent as its process drives the session: it carries out effects, tells what became of them, and has the session's writers. Its tasks
//! are in `runs`.

use crate::coverage::Seen;
use crate::kafka::{Entry, Producer, TxnId};
use crate::mutation::Mutation;
use crate::network::{Payload, Way};
use crate::process::{Clock, Process};
use crate::requests::{Answer, Request, What};
use crate::runs::{Kind, Phase, Run};
use crate::world::{Input, Item, World};
use crate::{AGENTS, Time};
use dray_model::message::{AssignedConnector, CommandWhat, DeadSession, FromAgent, Order, Owned, Plugin, PluginKind};
use dray_model::{
    AgentId, AgentNumber, AgentSession, Capacity, Instance, KafkaCluster, LeasePolicy, Millis, SessionId,
};
use dray_session::{self as session, Effect, Event, Gate, Identity, Session};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

pub(crate) struct Agent {
    pub(crate) process: Process<Input>,
    session: Option<Session>,
    instance: Instance,
    /// Which instance the data folder of this host names.
    folder: Option<Instance>,
    pub(crate) gate: Gate,
    pub(crate) current: Option<(SessionId, AgentNumber)>,
    pub(crate) lease: LeasePolicy,
    pub(crate) runs: BTreeMap<u64, Run>,
    pub(crate) writers: [Option<Writer>; 2],
    jobs: Vec<Job>,
    pub(crate) expels: Vec<Expel>,
    pub(crate) next_endpoint: usize,
    pub(crate) hung_up: BTreeSet<session::ConnectionId>,
    /// The stream in use.
    stream: Option<session::ConnectionId>,
    last_ack: Millis,
    events: VecDeque<Event>,
    telling: bool,
    /// It ends in good order, and comes back after this time.
    pub(crate) back_in: Time,
}

/// This session's writer on a cluster.
pub(crate) struct Writer {
    pub(crate) session: SessionId,
    pub(crate) producer: Option<Producer>,
    /// There is none, for want of a permission.
    refused: bool,
    pub(crate) usable: bool,
    fenced: bool,
    busy: Option<Busy>,
    begun: Millis,
    renewed: Millis,
}

/// A transaction under way.
struct Busy {
    entries: Vec<(u64, Entry)>,
    commit: bool,
    sent: Millis,
}

/// Sessions that are being fenced, and who waits for it.
struct Job {
    cluster: usize,
    left: Vec<AgentSession>,
    done: Event,
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

fn cluster_at(name: &KafkaCluster) -> usize {
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

    fn agent_hears(&mut self, at: usize, number: session::ConnectionId, message: dray_model::message::ToAgent) {
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

    fn drain_events(&mut self, at: usize) {
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

    fn agent_effect(&mut self, at: usize, effect: Effect) {
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

    fn carry_out(&mut self, at: usize, effect: Effect) {
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
                self.fence(at, &dead, &connector, Event::CommandDone { id, error: None });
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
    fn count(&mut self, message: &FromAgent) {
        if let FromAgent::AssignmentAck(ack) = message {
            for _ in &ack.refused {
                self.see(Seen::Refused);
            }
        }
    }

    fn agent_says(&mut self, at: usize, connection: session::ConnectionId, mut message: FromAgent) {
        self.count(&message);
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

    // --- fencing of others

    fn fence(&mut self, at: usize, dead: &[DeadSession], connector: &Arc<AssignedConnector>, done: Event) {
        let cluster = crate::users::cluster_of(&connector.config);
        let name = cluster_name(cluster);
        let left: Vec<_> = dead
            .iter()
            .filter(|dead| dead.clusters.contains(&name))
            .map(|dead| dead.session)
            .collect();
        if self.mutation == Some(Mutation::SkipFence) {
            for dead in left {
                self.tell(
                    at,
                    Event::SessionFenced {
                        dead,
                        cluster: name.clone(),
                    },
                );
            }
            return self.tell(at, done);
        }
        if left.is_empty() {
            return self.tell(at, done);
        }
        for dead in &left {
            self.request(
                at,
                Request {
                    cluster,
                    what: What::Fence(*dead),
                    run: None,
                },
            );
        }
        self.agents[at].jobs.push(Job { cluster, left, done });
    }

    fn fenced(&mut self, at: usize, cluster: usize, dead: AgentSession) {
        self.tell(
            at,
            Event::SessionFenced {
                dead,
                cluster: cluster_name(cluster),
            },
        );
        let mut done = Vec::new();
        self.agents[at].jobs.retain_mut(|job| {
            if job.cluster == cluster {
                job.left.retain(|left| *left != dead);
            }
            if job.left.is_empty() {
                done.push(job.done.clone());
            }
            !job.left.is_empty()
        });
        for event in done {
            self.tell(at, event);
        }
    }

    /// F4: members of dead sessions leave, and are watched until there was none for 10 s.
    pub(crate) fn expel(&mut self, at: usize, connector: &Arc<AssignedConnector>, dead: Vec<SessionId>) {
        if self.mutation == Some(Mutation::SkipFence) {
            return;
        }
        let now = self.agent_now(at);
        let cluster = crate::users::cluster_of(&connector.config);
        let what = What::LeaveFor {
            group: connector.uid,
            dead: dead.clone(),
        };
        self.request(
            at,
            Request {
                cluster,
                what,
                run: None,
            },
        );
        let expel = Expel {
            group: connector.uid,
            cluster,
            dead,
            clean_since: now,
            ask_at: now.plus(1_000),
        };
        self.agents[at].expels.push(expel);
    }

    fn expel_tick(&mut self, at: usize) {
        let now = self.agent_now(at);
        let mut ask = Vec::new();
        let mut over = Vec::new();
        self.agents[at].expels.retain_mut(|expel| {
            if now.since(expel.clean_since) >= 10_000 {
                over.push((expel.group, expel.dead.clone()));
                return false;
            }
            if now >= expel.ask_at {
                expel.ask_at = now.plus(1_000);
                ask.push((expel.cluster, expel.group, expel.dead.clone()));
            }
            true
        });
        for (group, dead) in over {
            self.checks.grace_over(group, &dead);
        }
        for (cluster, group, dead) in ask {
            let what = What::LeaveFor { group, dead };
            self.request(
                at,
                Request {
                    cluster,
                    what,
                    run: None,
                },
            );
        }
    }

    // --- the session's writers

    fn use_writer(&mut self, at: usize, cluster: usize, session: SessionId) {
        let Some(writer) = self.agents[at].writers[cluster]
            .as_mut()
            .filter(|writer| writer.session == session)
        else {
            return;
        };
        writer.usable = true;
        self.see(Seen::WriterConfirmed);
        let waiting: Vec<u64> = self.agents[at]
            .runs
            .iter()
            .filter(|(_, run)| run.cluster == cluster && run.phase == Phase::Writer)
            .map(|(id, _)| *id)
            .collect();
        for run in waiting {
            self.run_has_writer(at, run);
        }
    }

    fn agent_tick(&mut self, at: usize) {
        self.check_death(at);
        self.check_overlap(at);
        for cluster in 0..2 {
            self.writer_tick(at, cluster);
        }
        self.expel_tick(at);
        self.runs_tick(at);
    }

    fn writer_tick(&mut self, at: usize, cluster: usize) {
        let now = self.agent_now(at);
        let agent = &mut self.agents[at];
        let Some(writer) = &agent.writers[cluster] else { return };
        if !writer.usable || writer.fenced || writer.busy.is_some() || agent.gate.shut {
            return;
        }
        let mut entries = Vec::new();
        let mut drains = false;
        for (id, run) in &agent.runs {
            if run.cluster == cluster && run.kind == Kind::Source && agent.open(run, now) && run.may_commit() {
                drains |= run.phase == Phase::Draining;
                entries.extend(run.progress().map(|entry| (*id, entry)));
            }
        }
        let alone = now.since(agent.last_ack) > 2_000;
        let idle = now.since(writer.begun);
        let due = (!entries.is_empty() && (idle >= 1_000 || drains)) || (alone && idle >= 2_000);
        let renew = !due && now.since(writer.renewed) > 6_000;
        let (refused, producer, session) = (writer.refused, writer.producer, writer.session);
        let writer = agent.writers[cluster].as_mut().expect("it was looked at above");
        if due {
            writer.begun = now;
            writer.renewed = now;
        }
        let plain: Vec<Entry> = entries.iter().map(|(_, entry)| *entry).collect();
        match producer {
            Some(by) if due => {
                writer.busy = Some(Busy {
                    entries,
                    commit: true,
                    sent: now,
                });
                let id = TxnId::Session(session);
                self.request(
                    at,
                    Request {
                        cluster,
                        what: What::Add { id, by, entries: plain },
                        run: None,
                    },
                );
            }
            Some(by) if renew => {
                writer.renewed = now;
                let id = TxnId::Session(session);
                self.request(
                    at,
                    Request {
                        cluster,
                        what: What::Renew { id, by },
                        run: None,
                    },
                );
            }
            None if refused && due && !entries.is_empty() => {
                writer.busy = Some(Busy {
                    entries,
                    commit: true,
                    sent: now,
                });
                self.request(
                    at,
                    Request {
                        cluster,
                        what: What::Plain(plain),
                        run: None,
                    },
                );
            }
            _ => {}
        }
    }

    fn answered(&mut self, at: usize, request: Request, answer: Answer) {
        let cluster = request.cluster;
        match request.what.clone() {
            What::OpenWriter(session) => self.writer_opened(at, cluster, session, &answer),
            What::Add {
                id: TxnId::Session(session),
                by,
                ..
            } => self.writer_added(at, cluster, session, by, &answer),
            What::End {
                id: TxnId::Session(session),
                by,
                ..
            } => self.writer_ended(at, cluster, session, by, &answer),
            What::Renew {
                id: TxnId::Session(session),
                by,
            } => {
                if matches!(answer, Answer::Refused) {
                    self.writer_refused(at, cluster, session, by);
                }
            }
            What::Plain(_) => {
                let writer = self.agents[at].writers[cluster].as_mut();
                if let Some(busy) = writer.and_then(|writer| writer.busy.take()) {
                    self.offsets_committed(at, &busy.entries);
                }
            }
            What::Fence(dead) => self.fenced(at, cluster, dead),
            What::LeaveFor { group, dead } => {
                let Answer::Left(left) = answer else { return };
                let now = self.agent_now(at);
                let mine = |expel: &&mut Expel| expel.group == group && expel.dead == dead;
                if let Some(expel) = self.agents[at].expels.iter_mut().find(mine).filter(|_| left > 0) {
                    expel.clean_since = now;
                }
            }
            What::Add { .. }
            | What::End { .. }
            | What::Renew { .. }
            | What::OpenTask(_)
            | What::Read { .. }
            | What::Records { .. }
            | What::Join { .. }
            | What::Heartbeat { .. }
            | What::GroupCommit { .. }
            | What::Leave { .. } => {
                if let Some(run) = request.run {
                    self.run_answered(at, run, request.what, answer);
                }
            }
        }
    }

    fn writer(&mut self, at: usize, cluster: usize, session: SessionId, by: Producer) -> Option<&mut Writer> {
        let writer = self.agents[at].writers[cluster].as_mut()?;
        (writer.session == session && writer.producer == Some(by)).then_some(writer)
    }

    fn writer_opened(&mut self, at: usize, cluster: usize, session: SessionId, answer: &Answer) {
        let Some(writer) = self.agents[at].writers[cluster]
            .as_mut()
            .filter(|writer| writer.session == session)
        else {
            return;
        };
        writer.busy = None;
        let refused = if let Answer::Producer(producer) = answer {
            writer.producer = Some(*producer);
            writer.fenced = false;
            None
        } else {
            writer.refused = true;
            self.see(Seen::NoWriterAllowed);
            Some("not authorized".to_owned())
        };
        self.tell(
            at,
            Event::WriterOpened {
                session,
                cluster: cluster_name(cluster),
                refused,
            },
        );
        if self.mutation == Some(Mutation::ForgetF2) {
            self.use_writer(at, cluster, session);
        }
    }

    fn writer_added(&mut self, at: usize, cluster: usize, session: SessionId, by: Producer, answer: &Answer) {
        if matches!(answer, Answer::Refused) {
            return self.writer_refused(at, cluster, session, by);
        }
        let now = self.agent_now(at);
        let agent = &self.agents[at];
        let Some(busy) = agent.writers[cluster]
            .as_ref()
            .filter(|w| w.session == session)
            .and_then(|w| w.busy.as_ref())
        else {
            return;
        };
        // What was killed meanwhile commits nothing any more, nor does what the gate holds back.
        let allowed = |run: &u64| {
            agent
                .runs
                .get(run)
                .is_some_and(|run| run.may_commit() && agent.open(run, now))
        };
        let commit = !agent.gate.shut && busy.entries.iter().all(|(run, _)| allowed(run));
        let Some(writer) = self.writer(at, cluster, session, by) else {
            return;
        };
        let Some(busy) = &mut writer.busy else { return };
        busy.commit = commit;
        busy.sent = now;
        let id = TxnId::Session(session);
        self.request(
            at,
            Request {
                cluster,
                what: What::End { id, by, commit },
                run: None,
            },
        );
    }

    fn writer_ended(&mut self, at: usize, cluster: usize, session: SessionId, by: Producer, answer: &Answer) {
        if matches!(answer, Answer::Refused) {
            return self.writer_refused(at, cluster, session, by);
        }
        let now = self.agent_now(at);
        let alone = now.since(self.agents[at].last_ack) > 2_000;
        let Some(busy) = self
            .writer(at, cluster, session, by)
            .and_then(|writer| writer.busy.take())
        else {
            return;
        };
        if busy.commit {
            if alone {
                self.see(Seen::Orphan);
            }
            let sent = busy.sent;
            self.tell(
                at,
                Event::WriterCommitted {
                    session,
                    cluster: cluster_name(cluster),
                    sent,
                },
            );
            self.offsets_committed(at, &busy.entries);
        }
    }

    fn offsets_committed(&mut self, at: usize, entries: &[(u64, Entry)]) {
        for (run, entry) in entries {
            self.run_committed(at, *run, *entry);
        }
    }

    fn writer_refused(&mut self, at: usize, cluster: usize, session: SessionId, by: Producer) {
        let forget = self.mutation == Some(Mutation::ForgetF3);
        let Some(writer) = self.writer(at, cluster, session, by) else {
            return;
        };
        writer.busy = None;
        if forget {
            writer.producer = None;
            return self.request(
                at,
                Request {
                    cluster,
                    what: What::OpenWriter(session),
                    run: None,
                },
            );
        }
        if !std::mem::replace(&mut writer.fenced, true) {
            self.see(Seen::WriterFenced);
            self.tell(
                at,
                Event::WriterFenced {
                    session,
                    cluster: cluster_name(cluster),
                },
            );
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
