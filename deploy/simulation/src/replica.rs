//! A replica of the control plane as its process drives the machine: it watches, campaigns, beats, carries out transactions until their
//! outcome is known, and answers agents while it does not lead.

use crate::coverage::Seen;
use crate::mutation::Mutation;
use crate::network::{Payload, Way};
use crate::process::{Clock, Process};
use crate::store::{Cache, Failed, Logged, difference, snapshot};
use crate::world::{Item, Said, World};
use crate::{REPLICAS, Time};
use dray_machine::cluster::{
    Change, ConnectionId, Effect, Event, Machine, Outcome, Record, Revision, Shown, ShownStatus, Write, WriteId,
};
use dray_model::message::{FromAgent, NotLeader, Order, ToAgent};
use dray_model::{ConnectorName, ConnectorState, Millis, TaskState, Term};
use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::rc::Rc;

/// A transaction whose answer does not come is of unknown outcome after this time.
const ANSWER_MS: Time = 2_500;

/// What a replica asks of the store.
#[derive(Clone)]
pub(crate) enum StoreCall {
    Campaign {
        sent: Millis,
    },
    Beat {
        term: u64,
        sent: Millis,
    },
    Resign {
        term: u64,
    },
    Transact {
        term: u64,
        write: Rc<Write>,
        attempt: u32,
    },
    /// What became of a write: a read of its records.
    Look {
        term: u64,
        write: Rc<Write>,
        attempt: u32,
    },
}

/// What it hears.
pub(crate) enum StoreReply {
    Campaigned {
        term: Result<u64, Failed>,
        sent: Millis,
    },
    Beat {
        term: u64,
        result: Result<(), Failed>,
        sent: Millis,
    },
    Transacted {
        term: u64,
        write: WriteId,
        attempt: u32,
        result: Result<u64, Failed>,
        seen: usize,
    },
    Looked {
        term: u64,
        write: WriteId,
        attempt: u32,
        applied: Option<u64>,
        seen: usize,
    },
    /// Nothing came.
    Silence {
        term: u64,
        write: WriteId,
        attempt: u32,
    },
}

pub(crate) struct Replica {
    pub(crate) process: Process<Said>,
    pub(crate) role: Role,
    cache: Cache,
    /// How far in the log of the store it has watched.
    pub(crate) seen: usize,
    /// … and the revision there.
    revision: u64,
    watching: bool,
    watch_at: Time,
    relist_due: bool,
    known_leader: Option<(u64, usize)>,
    campaigned: Option<Time>,
    pub(crate) calls_blocked_until: Time,
    pub(crate) replies_blocked_until: Time,
    pub(crate) lossy_until: Time,
}

pub(crate) enum Role {
    Follower,
    /// Elected; waits until its watch has reached its term.
    Elected {
        term: u64,
        sent: Millis,
        beat_at: Millis,
    },
    Leader(Box<Leader>),
}

pub(crate) struct Leader {
    pub(crate) term: u64,
    pub(crate) machine: Machine,
    pub(crate) valid_until: Millis,
    /// After this time without a beat it gives up by itself.
    patience: u64,
    beat_at: Millis,
    writes: Vec<Pending>,
    /// Outcomes that are told when the watch has got there.
    outcomes: Vec<(usize, WriteId, Outcome)>,
    pub(crate) since: Time,
    /// What a mutation adds to the clock that the machine sees.
    skew: u64,
    pub(crate) tasks: BTreeMap<(ConnectorName, u32), ShownStatus<TaskState>>,
    pub(crate) connectors: BTreeMap<ConnectorName, ShownStatus<ConnectorState>>,
}

impl Leader {
    /// Something that it wants written is not decided.
    pub(crate) fn is_writing(&self) -> bool {
        !self.writes.is_empty()
    }
}

struct Pending {
    write: Rc<Write>,
    state: Doing,
    attempt: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Doing {
    Waits,
    Sent,
    Looks,
    /// The outcome is known and will be told.
    Ended,
}

impl Replica {
    pub(crate) fn new(clock: Clock) -> Self {
        let mut process = Process::new(clock);
        process.up = false;
        Self {
            process,
            role: Role::Follower,
            cache: Cache::new(),
            seen: 0,
            revision: 0,
            watching: false,
            watch_at: 0,
            relist_due: false,
            known_leader: None,
            campaigned: None,
            calls_blocked_until: 0,
            replies_blocked_until: 0,
            lossy_until: 0,
        }
    }

    pub(crate) fn leader(&self) -> Option<&Leader> {
        match &self.role {
            Role::Leader(leader) => Some(leader),
            Role::Follower | Role::Elected { .. } => None,
        }
    }
}

fn term_of(term: u64) -> Term {
    NonZeroU64::new(term).expect("a revision").into()
}

impl World {
    pub(crate) fn start_replica(&mut self, at: usize) {
        let process = &mut self.replicas[at].process;
        process.up = true;
        process.life += 1;
        let blocked = (
            self.replicas[at].calls_blocked_until,
            self.replicas[at].replies_blocked_until,
        );
        let life = self.replicas[at].process.life;
        let mut replica = Replica::new(self.replicas[at].process.clock);
        replica.process.up = true;
        replica.process.life = life;
        (replica.calls_blocked_until, replica.replies_blocked_until) = blocked;
        self.replicas[at] = replica;
        self.note_replica(at, || "starts".into());
        self.for_replica(at, 10, Said::Relist);
        self.for_replica(at, 20, Said::Tick);
    }

    pub(crate) fn replica_now(&self, at: usize) -> Millis {
        self.replicas[at].process.clock.at(self.now)
    }

    /// The replica that leads, as the store has it.
    pub(crate) fn leader(&self) -> Option<usize> {
        let key = self.store.leader?;
        let leads = self.replicas[key.replica]
            .leader()
            .is_some_and(|leader| leader.term == key.term);
        leads.then_some(key.replica)
    }

    pub(crate) fn replica_on(&mut self, at: usize, said: Said) {
        match said {
            Said::Tick => self.replica_tick(at),
            Said::Message(connection, message) => self.replica_hears(at, connection, message),
            Said::Closed(connection) => self.machine_step(at, Event::Closed(ConnectionId(connection as u64))),
            Said::Store(reply) => self.store_replies(at, reply),
            Said::Watch(upto) => self.watched(at, upto),
            Said::Relist => self.relist(at),
        }
    }

    fn replica_tick(&mut self, at: usize) {
        let wait = self.replicas[at].process.clock.span(100);
        self.for_replica(at, wait, Said::Tick);
        let now = self.replica_now(at);
        match &mut self.replicas[at].role {
            Role::Follower => {
                let replica = &mut self.replicas[at];
                let wait = replica.campaigned.is_some_and(|sent| self.now < sent + ANSWER_MS);
                if replica.known_leader.is_none() && replica.watching && !wait {
                    replica.campaigned = Some(self.now);
                    self.call(at, StoreCall::Campaign { sent: now });
                }
            }
            Role::Elected { term, sent, beat_at } => {
                let (term, sent, due) = (*term, *sent, now >= *beat_at);
                if due {
                    *beat_at = now.plus(1_000);
                    self.call(at, StoreCall::Beat { term, sent: now });
                }
                if now.since(sent) > 10_000 {
                    self.step_down(at, "its watch does not reach its term");
                } else if self.replicas[at].revision >= term {
                    self.lead(at, term);
                }
            }
            Role::Leader(leader) => {
                let (term, late) = (leader.term, now.since(leader.valid_until) > leader.patience);
                if now >= leader.beat_at {
                    leader.beat_at = now.plus(1_000);
                    self.call(at, StoreCall::Beat { term, sent: now });
                }
                if late {
                    return self.step_down(at, "it could not write its beat for too long");
                }
                self.machine_step(at, Event::Tick);
            }
        }
    }

    fn lead(&mut self, at: usize, term: u64) {
        let now = self.replica_now(at);
        let mut snapshot = snapshot(&self.replicas[at].cache);
        if self.mutation == Some(Mutation::ForgetF1) {
            for (_, stored) in &mut snapshot {
                if let Record::Agent(agent) = &mut stored.record {
                    agent.dead_sessions.clear();
                }
            }
        }
        let numbered = if self.mutation == Some(Mutation::ReuseGeneration) {
            2
        } else {
            term
        };
        let timing = self.profile.timing;
        let (machine, effects) = Machine::new(term_of(numbered), now, snapshot, timing);
        let skew = match self.mutation {
            Some(Mutation::ForgetGrants) => timing.leader_ms + timing.reassign_ms + timing.settle_ms,
            _ => 0,
        };
        self.note_replica(at, || format!("leads term {term}"));
        self.see(Seen::Election);
        let patience = self.random.range(0, 15_000);
        self.replicas[at].role = Role::Leader(Box::new(Leader {
            term,
            machine,
            valid_until: now,
            patience: 6_000 + patience,
            beat_at: now,
            writes: Vec::new(),
            outcomes: Vec::new(),
            since: self.now,
            skew,
            tasks: BTreeMap::new(),
            connectors: BTreeMap::new(),
        }));
        for effect in effects {
            self.machine_effect(at, effect);
        }
    }

    pub(crate) fn step_down(&mut self, at: usize, why: &str) {
        if matches!(self.replicas[at].role, Role::Follower) {
            return;
        }
        self.note_replica(at, || format!("leads no more: {why}"));
        self.see(Seen::SteppedDown);
        self.replicas[at].role = Role::Follower;
        for connection in self.open_connections() {
            if self.network.connections[connection].replica == at {
                self.replica_closes(connection);
            }
        }
    }

    // --- what the machine is told, and wants

    pub(crate) fn machine_step(&mut self, at: usize, event: Event) {
        let now = self.replica_now(at);
        let Role::Leader(leader) = &mut self.replicas[at].role else {
            return;
        };
        let event = if let Event::Valid(until) = event {
            Event::Valid(until.plus(leader.skew))
        } else {
            event
        };
        let dull = matches!(&event, Event::Tick | Event::Valid(_))
            || matches!(&event, Event::Message { message: FromAgent::Heartbeat(beat), .. } if beat.changed.is_empty());
        if !dull {
            let text = &event;
            self.trace.note(self.now, || format!("r{at}"), || format!("< {text:?}"));
        }
        let effects = leader.machine.step(now.plus(leader.skew), event);
        for effect in effects {
            self.machine_effect(at, effect);
        }
    }

    fn machine_effect(&mut self, at: usize, effect: Effect) {
        if !matches!(
            effect,
            Effect::Send {
                message: ToAgent {
                    body: Order::HeartbeatAck(_),
                    ..
                },
                ..
            }
        ) {
            self.trace
                .note(self.now, || format!("r{at}"), || format!("  > {effect:?}"));
        }
        match effect {
            Effect::Send { connection, message } => self.machine_says(at, connection, message),
            Effect::Close(ConnectionId(connection)) => {
                self.replica_closes(usize::try_from(connection).expect("an index"));
            }
            Effect::Write(write) => self.machine_writes(at, write),
            Effect::Show(shown) => self.show(at, shown),
            Effect::Answer(_) => {}
            Effect::Resign(why) => {
                self.see(Seen::LeaderResigned);
                self.resign(at, why);
            }
        }
    }

    pub(crate) fn resign(&mut self, at: usize, why: &str) {
        if let Some(term) = self.replicas[at].leader().map(|leader| leader.term) {
            self.step_down(at, why);
            self.call(at, StoreCall::Resign { term });
        }
    }

    fn machine_says(&mut self, at: usize, connection: ConnectionId, mut message: ToAgent) {
        let now = self.replica_now(at);
        let index = usize::try_from(connection.0).expect("an index");
        let Role::Leader(leader) = &self.replicas[at].role else {
            return;
        };
        let term = leader.term;
        if self.mutation == Some(Mutation::ReuseGeneration) {
            message.term = term_of(term);
        }
        if message.term.get() != term {
            return self.fail(format!("r{at} speaks for term {} and leads {term}", message.term));
        }
        let valid = now < leader.valid_until;
        let grants = match &message.body {
            Order::HeartbeatAck(_) | Order::Assignments(_) | Order::Verdicts(_) | Order::WriterConfirmed(_) => true,
            Order::Welcome(_)
            | Order::TaskConfigsStored { .. }
            | Order::Command(_)
            | Order::Fenced(_)
            | Order::NotLeader(_) => false,
        };
        if grants && !valid && self.mutation.is_none() {
            return self.fail(format!(
                "(3): r{at} grants something while it is not valid: {:?}",
                message.body
            ));
        }
        self.check_order(at, index, &mut message);
        if self.failure.is_none() && self.network.connections[index].replica_open {
            self.send(index, Payload::Down(message), Way::Down);
        }
    }

    fn replica_hears(&mut self, at: usize, connection: usize, message: FromAgent) {
        if let FromAgent::Hello(hello) = &message
            && hello.previous_instance.is_some()
            && hello.session.is_none()
        {
            self.see(Seen::HelloProof);
        }
        if let Some(leader) = self.replicas[at].leader() {
            if self.replica_now(at) >= leader.valid_until {
                self.see(Seen::ActWhileInvalid);
            }
            let connection = ConnectionId(connection as u64);
            return self.machine_step(at, Event::Message { connection, message });
        }
        if matches!(message, FromAgent::Hello(_)) {
            self.see(Seen::NotLeader);
            let known = self.replicas[at].known_leader.filter(|(_, replica)| *replica != at);
            let not_leader = NotLeader {
                endpoints: known.iter().map(|(_, replica)| format!("r{replica}")).collect(),
                retry_after_ms: 200,
            };
            let term = term_of(known.map_or(1, |(term, _)| term));
            let message = ToAgent {
                term,
                body: Order::NotLeader(not_leader),
            };
            self.send(connection, Payload::Down(message), Way::Down);
        }
        self.replica_closes(connection);
    }

    fn show(&mut self, at: usize, shown: Shown) {
        let Role::Leader(leader) = &mut self.replicas[at].role else {
            return;
        };
        let unexplained = |state: &str| format!("I5: {state} UNASSIGNED is shown without a reason");
        match shown {
            Shown::Connector(name, Some(status)) => {
                let bare =
                    status.state == ConnectorState::Unassigned && status.trace.as_ref().is_none_or(String::is_empty);
                leader.connectors.insert(name.clone(), status);
                if bare {
                    self.fail(unexplained(name.as_str()));
                }
            }
            Shown::Connector(name, None) => {
                leader.connectors.remove(&name);
            }
            Shown::Task(name, number, Some(status)) => {
                let unassigned = status.state == TaskState::Unassigned;
                let bare = unassigned && status.trace.as_ref().is_none_or(String::is_empty);
                leader.tasks.insert((name.clone(), number), status);
                if unassigned {
                    self.see(Seen::Unassigned);
                }
                if bare {
                    self.fail(unexplained(&format!("{name}-{number}")));
                }
            }
            Shown::Task(name, number, None) => {
                leader.tasks.remove(&(name, number));
            }
            Shown::Agent(_, status) => {
                if status.is_some_and(|status| status.drained) {
                    self.see(Seen::Drained);
                }
            }
        }
    }

    // --- writes

    fn machine_writes(&mut self, at: usize, write: Write) {
        self.check_write(at, &write);
        let Role::Leader(leader) = &mut self.replicas[at].role else {
            return;
        };
        leader.writes.push(Pending {
            write: Rc::new(write),
            state: Doing::Waits,
            attempt: 0,
        });
        self.start_writes(at);
    }

    /// Starts what shares no name with a write before it.
    fn start_writes(&mut self, at: usize) {
        let Role::Leader(leader) = &mut self.replicas[at].role else {
            return;
        };
        let mut start = Vec::new();
        for index in 0..leader.writes.len() {
            let (before, rest) = leader.writes.split_at(index);
            let write = &rest[0].write;
            let changed =
                |write: &Write, name| write.puts.iter().any(|(put, _)| put == name) || write.deletes.contains(name);
            let names = write.puts.iter().map(|(name, _)| name).chain(&write.deletes);
            let mut free = true;
            for name in names {
                free &= !before.iter().any(|earlier| changed(&earlier.write, name));
            }
            if rest[0].state == Doing::Waits && free {
                start.push(write.clone());
                leader.writes[index].state = Doing::Sent;
            }
        }
        let term = leader.term;
        for write in start {
            self.transact(at, term, write, 0);
        }
    }

    fn transact(&mut self, at: usize, term: u64, write: Rc<Write>, attempt: u32) {
        let silence = StoreReply::Silence {
            term,
            write: write.id,
            attempt,
        };
        self.for_replica(at, ANSWER_MS, Said::Store(silence));
        self.call(at, StoreCall::Transact { term, write, attempt });
    }

    fn look(&mut self, at: usize, term: u64, write: Rc<Write>, attempt: u32) {
        let silence = StoreReply::Silence {
            term,
            write: write.id,
            attempt,
        };
        self.for_replica(at, ANSWER_MS, Said::Store(silence));
        self.call(at, StoreCall::Look { term, write, attempt });
    }

    fn call(&mut self, at: usize, call: StoreCall) {
        let life = self.replicas[at].process.life;
        let delay = self.random.range(1, 8);
        self.after(
            delay,
            Item::AtStore {
                replica: at,
                life,
                call,
            },
        );
    }

    /// A call at the store's door. It is carried out even when its caller has died meanwhile.
    pub(crate) fn at_store(&mut self, at: usize, life: u64, call: StoreCall) {
        let replica = &self.replicas[at];
        let now = self.now;
        if now < self.store.down_until || now < replica.calls_blocked_until {
            // Lost, or late: what was given up may still be applied.
            if self.random.permille(500) {
                let late = self.random.range(300, 6_000);
                self.after(
                    late,
                    Item::AtStore {
                        replica: at,
                        life,
                        call,
                    },
                );
            }
            return;
        }
        let reply = match call {
            StoreCall::Campaign { sent } => {
                let term = self.store.campaign(now, at);
                StoreReply::Campaigned { term, sent }
            }
            StoreCall::Beat { term, sent } => {
                let result = self.store.beat(now, term);
                StoreReply::Beat { term, result, sent }
            }
            StoreCall::Resign { term } => {
                if self.store.leader.is_some_and(|leader| leader.term == term) {
                    self.store.remove_leader();
                    self.store_changed();
                }
                return;
            }
            StoreCall::Transact { term, write, attempt } => {
                let result = self.apply(at, term, &write);
                let seen = self.store.log.len();
                StoreReply::Transacted {
                    term,
                    write: write.id,
                    attempt,
                    result,
                    seen,
                }
            }
            StoreCall::Look { term, write, attempt } => {
                let applied = self.store.applied.get(&(term, write.id.0)).copied();
                let seen = self.store.log.len();
                StoreReply::Looked {
                    term,
                    write: write.id,
                    attempt,
                    applied,
                    seen,
                }
            }
        };
        self.store_changed();
        let replica = &self.replicas[at];
        let lost = now < replica.replies_blocked_until || (now < replica.lossy_until && self.random.permille(400));
        if !lost && self.replicas[at].process.life == life {
            let delay = self.random.range(1, 8);
            self.for_replica(at, delay, Said::Store(reply));
        }
    }

    fn apply(&mut self, at: usize, term: u64, write: &Write) -> Result<u64, Failed> {
        if let Some(revision) = self.store.applied.get(&(term, write.id.0)) {
            // An earlier attempt was: the driver reads that in the records after the conflict.
            return Ok(*revision);
        }
        let before = self.owners_before(write);
        let compared = (self.mutation != Some(Mutation::IgnoreTerm)).then_some(term);
        let revision = self.store.transact(self.now, compared, write)?;
        self.store.applied.insert((term, write.id.0), revision);
        self.check_applied(at, term, write, before);
        Ok(revision)
    }

    fn store_replies(&mut self, at: usize, reply: StoreReply) {
        match reply {
            StoreReply::Campaigned { term, sent } => {
                self.replicas[at].campaigned = None;
                if let (Ok(term), Role::Follower) = (term, &self.replicas[at].role) {
                    let now = self.replica_now(at);
                    self.replicas[at].role = Role::Elected {
                        term,
                        sent,
                        beat_at: now.plus(1_000),
                    };
                }
            }
            StoreReply::Beat { term, result, sent } => self.beat_answered(at, term, result, sent),
            StoreReply::Transacted {
                term,
                write,
                attempt,
                result,
                seen,
            } => {
                if self.doing(at, term, write, attempt) != Some(Doing::Sent) {
                    return;
                }
                match result {
                    Ok(applied) => self.ended(at, write, seen, Outcome::Applied(Revision(applied))),
                    Err(Failed::Conflict) => self.ended(at, write, seen, Outcome::Conflict),
                    Err(Failed::Full) => self.ended(at, write, 0, Outcome::Refused),
                    Err(Failed::NotLeader) => self.step_down(at, "its key is another's"),
                }
            }
            StoreReply::Looked {
                term,
                write,
                attempt,
                applied,
                seen,
            } => {
                if self.doing(at, term, write, attempt) != Some(Doing::Looks) {
                    return;
                }
                if let Some(applied) = applied {
                    self.see(Seen::UnknownApplied);
                    return self.ended(at, write, seen, Outcome::Applied(Revision(applied)));
                }
                self.see(Seen::UnknownAgain);
                let Some(pending) = self.pending(at, write) else { return };
                pending.attempt += 1;
                pending.state = Doing::Sent;
                let (write, attempt) = (pending.write.clone(), pending.attempt);
                self.transact(at, term, write, attempt);
            }
            StoreReply::Silence { term, write, attempt } => {
                let doing = self.doing(at, term, write, attempt);
                if !matches!(doing, Some(Doing::Sent | Doing::Looks)) {
                    return;
                }
                if doing == Some(Doing::Sent) {
                    self.see(Seen::Unknown);
                }
                let Some(pending) = self.pending(at, write) else { return };
                pending.attempt += 1;
                pending.state = Doing::Looks;
                let (write, attempt) = (pending.write.clone(), pending.attempt);
                self.look(at, term, write, attempt);
            }
        }
    }

    fn beat_answered(&mut self, at: usize, term: u64, result: Result<(), Failed>, sent: Millis) {
        let now = self.replica_now(at);
        let ours = match &self.replicas[at].role {
            Role::Leader(leader) => leader.term == term,
            Role::Elected { term: elected, .. } => *elected == term,
            Role::Follower => false,
        };
        match result {
            _ if !ours => {}
            Err(Failed::NotLeader | Failed::Conflict) => self.step_down(at, "its key is gone"),
            Err(Failed::Full) => {}
            Ok(()) => {
                self.see(Seen::Beat);
                let Role::Leader(leader) = &mut self.replicas[at].role else {
                    return;
                };
                let late = now >= leader.valid_until && leader.since + 3_000 < self.now;
                leader.valid_until = leader.valid_until.max(sent.plus(4_000));
                let until = leader.valid_until;
                if late {
                    self.see(Seen::BeatLate);
                }
                self.machine_step(at, Event::Valid(until));
            }
        }
    }

    fn pending(&mut self, at: usize, write: WriteId) -> Option<&mut Pending> {
        let Role::Leader(leader) = &mut self.replicas[at].role else {
            return None;
        };
        leader.writes.iter_mut().find(|pending| pending.write.id == write)
    }

    fn doing(&mut self, at: usize, term: u64, write: WriteId, attempt: u32) -> Option<Doing> {
        if self.replicas[at].leader().is_none_or(|leader| leader.term != term) {
            return None;
        }
        let pending = self.pending(at, write).filter(|pending| pending.attempt == attempt)?;
        Some(pending.state)
    }

    /// The outcome is known. What was in the way is told before a conflict is; an applied write may be told before or after its changes.
    fn ended(&mut self, at: usize, write: WriteId, seen: usize, outcome: Outcome) {
        match outcome {
            Outcome::Applied(_) => self.see(Seen::Applied),
            Outcome::Conflict => self.see(Seen::Conflict),
            Outcome::Refused => self.see(Seen::WriteRefused),
        }
        let after = match outcome {
            Outcome::Applied(_) if self.random.permille(500) => 0,
            Outcome::Refused => 0,
            Outcome::Applied(_) | Outcome::Conflict => seen,
        };
        let Some(pending) = self.pending(at, write) else { return };
        pending.state = Doing::Ended;
        let Role::Leader(leader) = &mut self.replicas[at].role else {
            return;
        };
        leader.outcomes.push((after, write, outcome));
        self.tell_outcomes(at);
    }

    fn tell_outcomes(&mut self, at: usize) {
        loop {
            let seen = self.replicas[at].seen;
            let Role::Leader(leader) = &mut self.replicas[at].role else {
                return;
            };
            let Some(index) = leader.outcomes.iter().position(|(after, _, _)| *after <= seen) else {
                return;
            };
            let (_, write, outcome) = leader.outcomes.remove(index);
            leader.writes.retain(|pending| pending.write.id != write);
            self.machine_step(at, Event::Written { write, outcome });
            self.start_writes(at);
        }
    }

    // --- watching

    /// The store has changed: its log is on its way to all who watch.
    pub(crate) fn store_changed(&mut self) {
        let upto = self.store.log.len();
        for at in 0..REPLICAS {
            if self.replicas[at].process.up && self.replicas[at].watching && self.replicas[at].seen < upto {
                let slow = if self.random.permille(20) { 700 } else { 20 };
                let arrives = (self.now + self.random.range(1, slow)).max(self.replicas[at].watch_at);
                self.replicas[at].watch_at = arrives;
                let life = self.replicas[at].process.life;
                self.after(
                    arrives - self.now,
                    Item::Watch {
                        replica: at,
                        life,
                        upto,
                    },
                );
            }
        }
    }

    pub(crate) fn watch_arrives(&mut self, at: usize, life: u64, upto: usize) {
        let replica = &mut self.replicas[at];
        if replica.process.life != life || !replica.watching {
            return;
        }
        if self.now < replica.replies_blocked_until {
            return self.drop_watch(at);
        }
        self.for_replica(at, 0, Said::Watch(upto));
    }

    /// The watch is lost, and listed again some time.
    pub(crate) fn drop_watch(&mut self, at: usize) {
        self.replicas[at].watching = false;
        if !std::mem::replace(&mut self.replicas[at].relist_due, true) {
            let wait = self.random.range(200, 3_000);
            let life = self.replicas[at].process.life;
            self.after(wait, Item::Relist { replica: at, life });
        }
    }

    fn relist(&mut self, at: usize) {
        let replica = &mut self.replicas[at];
        if self.now
            < replica
                .calls_blocked_until
                .max(replica.replies_blocked_until)
                .max(self.store.down_until)
        {
            let life = replica.process.life;
            return self.after(500, Item::Relist { replica: at, life });
        }
        replica.relist_due = false;
        replica.watching = true;
        replica.known_leader = self.store.leader.map(|leader| (leader.term, leader.replica));
        let (seen, revision) = (self.store.log.len(), self.store.revision);
        self.catch_up(at, seen, revision, self.store.list());
    }

    fn watched(&mut self, at: usize, upto: usize) {
        let seen = self.replicas[at].seen;
        if upto <= seen || !self.replicas[at].watching {
            return;
        }
        let mut cache = self.replicas[at].cache.clone();
        let mut revision = self.replicas[at].revision;
        let mut changes = Vec::new();
        for logged in &self.store.log[seen..upto] {
            match logged {
                Logged::Leader(leader) => {
                    self.replicas[at].known_leader = *leader;
                    if let Some((term, _)) = leader {
                        revision = revision.max(*term);
                    }
                }
                Logged::Record(name, modified, record) => {
                    revision = *modified;
                    match record {
                        Some(record) => cache.insert(name.clone(), (*modified, record.clone())),
                        None => cache.remove(name),
                    };
                    changes.push(Change {
                        name: name.clone(),
                        revision: Revision(*modified),
                        record: record.as_deref().cloned(),
                    });
                }
            }
        }
        if self.random.permille(300) {
            // Two snapshots of a cache are compared: what lies between is not told.
            return self.catch_up(at, upto, revision, cache);
        }
        self.replicas[at].cache = cache;
        self.replicas[at].seen = upto;
        self.replicas[at].revision = revision;
        for change in changes {
            self.machine_step(at, Event::Changed(change));
        }
        self.tell_outcomes(at);
    }

    fn catch_up(&mut self, at: usize, seen: usize, revision: u64, cache: Cache) {
        let changes = difference(&self.replicas[at].cache, &cache, revision);
        self.replicas[at].cache = cache;
        self.replicas[at].seen = seen;
        self.replicas[at].revision = revision;
        for change in changes {
            self.machine_step(at, Event::Changed(change));
        }
        self.tell_outcomes(at);
    }

    /// The store looks after leases: an expired one is noticed up to half a second late.
    pub(crate) fn lease(&mut self) {
        let wait = self.random.range(50, 500);
        self.after(wait, Item::Lease);
        // Without a quorum no lease ends either.
        if self.now >= self.store.down_until && self.store.leader.is_some_and(|leader| self.now > leader.expires) {
            self.note(|| "the leader's lease has ended".into());
            self.store.remove_leader();
            self.store_changed();
        }
    }
}
