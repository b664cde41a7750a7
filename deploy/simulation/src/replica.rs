//! A replica of the control plane as its process drives the machine: it campaigns, beats, says what its machine
//! says, and answers agents while it does not lead. `writes` carries out its transactions, `watching` tells it of changes.

use crate::Time;
use crate::coverage::Seen;
use crate::mutation::Mutation;
use crate::network::{Payload, Way};
use crate::process::{Clock, Process};
use crate::store::{Cache, Failed, snapshot};
use crate::world::{Said, World};
use dray_machine::cluster::{
    ConnectionId, Effect, Event, Machine, Outcome, Record, Shown, ShownStatus, Write, WriteId,
};
use dray_model::message::{FromAgent, NotLeader, Order, ToAgent};
use dray_model::{ConnectorName, ConnectorState, Millis, TaskState, Term};
use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::rc::Rc;

/// A transaction whose answer does not come is of unknown outcome after this time.
pub(crate) const ANSWER_MS: Time = 2_500;

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
    pub(crate) cache: Cache,
    /// How far in the log of the store it has watched.
    pub(crate) seen: usize,
    /// … and the revision there.
    pub(crate) revision: u64,
    pub(crate) watching: bool,
    pub(crate) watch_at: Time,
    pub(crate) relist_due: bool,
    pub(crate) known_leader: Option<(u64, usize)>,
    pub(crate) campaigned: Option<Time>,
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
    pub(crate) patience: u64,
    pub(crate) beat_at: Millis,
    pub(crate) writes: Vec<Pending>,
    /// Outcomes that are told when the watch has got there.
    pub(crate) outcomes: Vec<(usize, WriteId, Outcome)>,
    pub(crate) since: Time,
    /// What a mutation adds to the clock that the machine sees.
    pub(crate) skew: u64,
    pub(crate) tasks: BTreeMap<(ConnectorName, u32), ShownStatus<TaskState>>,
    pub(crate) connectors: BTreeMap<ConnectorName, ShownStatus<ConnectorState>>,
}

impl Leader {
    /// Something that it wants written is not decided.
    pub(crate) fn is_writing(&self) -> bool {
        !self.writes.is_empty()
    }
}

pub(crate) struct Pending {
    pub(crate) write: Rc<Write>,
    pub(crate) state: Doing,
    pub(crate) attempt: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doing {
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

    pub(crate) fn replica_tick(&mut self, at: usize) {
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

    pub(crate) fn lead(&mut self, at: usize, term: u64) {
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

    pub(crate) fn machine_effect(&mut self, at: usize, effect: Effect) {
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

    pub(crate) fn machine_says(&mut self, at: usize, connection: ConnectionId, mut message: ToAgent) {
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

    pub(crate) fn replica_hears(&mut self, at: usize, connection: usize, mut message: FromAgent) {
        if self.mutation == Some(Mutation::AnyGenerationIsCurrent) {
            self.make_current(&mut message);
        }
        if let FromAgent::Hello(hello) = &message
            && hello.previous_instance.is_some()
            && hello.session.is_none()
        {
            self.see(Seen::HelloProof);
        }
        if let FromAgent::Hello(hello) = &message {
            let owed = hello.held.iter().any(|held| {
                let task = held.owned.task;
                let spec = self.store.specs().find(|(_, spec)| spec.uid == Some(task.connector));
                spec.is_some_and(|(_, spec)| {
                    let known = held.asked_restarts;
                    known.is_some_and(|known| known != spec.asked_restarts(task.number))
                })
            });
            if owed {
                self.see(Seen::RestartOwed);
            }
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

    pub(crate) fn show(&mut self, at: usize, shown: Shown) {
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
}
