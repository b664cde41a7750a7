//! What agents ask of Kafka, on its way there and back. A request leaves its process, waits while the path is cut, and is carried out in
//! the order in which requests of one agent arrive.

use crate::Time;
use crate::coverage::Seen;
use crate::kafka::{Entry, Part, Producer, Refused, TxnId};
use crate::mutation::Mutation;
use crate::world::{Input, Item, World};
use dray_model::message::Owned;
use dray_model::{AgentSession, ConnectorUid, SessionId, TaskKey};

/// Something for one Kafka cluster.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) cluster: usize,
    pub(crate) what: What,
    /// The task whose own client sends it: killed with it.
    pub(crate) run: Option<u64>,
}

#[derive(Clone, Debug)]
pub(crate) enum What {
    /// InitProducerId of the session's own writer.
    OpenWriter(SessionId),
    Add {
        id: TxnId,
        by: Producer,
        entries: Vec<Entry>,
    },
    End {
        id: TxnId,
        by: Producer,
        commit: bool,
    },
    Renew {
        id: TxnId,
        by: Producer,
    },
    /// Offsets of a session that may have no writer.
    Plain(Vec<Entry>),
    /// InitProducerId on a dead session's writer, and on the ids of its exactly-once tasks.
    Fence(AgentSession),
    /// InitProducerId of an exactly-once task.
    OpenTask(TaskKey, SessionId),
    /// Where a source goes on. `upto`: the high watermark when it was first asked.
    Read {
        parts: Vec<Part>,
        upto: Option<u64>,
    },
    Records {
        by: Owned,
    },
    Join {
        group: ConnectorUid,
        session: SessionId,
        owned: Owned,
    },
    Heartbeat {
        group: ConnectorUid,
        member: u64,
    },
    GroupCommit {
        group: ConnectorUid,
        member: u64,
        advance: u64,
    },
    Leave {
        group: ConnectorUid,
        member: u64,
    },
    /// The members of dead sessions leave; asked again every second until there was none for 10 s.
    LeaveFor {
        group: ConnectorUid,
        dead: Vec<SessionId>,
    },
}

#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Done,
    Refused,
    Producer(Producer),
    Offsets(Vec<(Part, u64)>),
    Member(u64),
    /// So many members were made to leave.
    Left(u64),
}

impl World {
    /// Code of an agent wants this sent. It leaves the process a little later.
    pub(crate) fn request(&mut self, agent: usize, request: Request) {
        let wait = if self.random.permille(20) {
            self.random.range(20, 400)
        } else {
            self.random.range(1, 6)
        };
        self.for_agent(agent, wait, Input::Out(Box::new(request)));
    }

    /// It leaves the process. `late`: the process was paused in between. Later it may also mean that the path was cut.
    pub(crate) fn request_leaves(&mut self, agent: usize, request: Box<Request>, late: bool) {
        // A client that was closed sends nothing any more; one in a process that is just waking up has not noticed.
        if !late && request.run.is_some_and(|run| !self.agents[agent].may_send(run)) {
            return;
        }
        let wait = self.random.range(1, 6);
        let life = self.agents[agent].process.life;
        self.after(
            wait,
            Item::AtKafka {
                agent,
                life,
                request,
                late,
            },
        );
    }

    pub(crate) fn at_kafka(&mut self, agent: usize, life: u64, mut request: Box<Request>, late: bool) {
        let alive = self.agents[agent].process.up && self.agents[agent].process.life == life;
        if self.now < self.kafka_blocked_until[agent] {
            // It waits in the socket of its process, and dies with it or with its client.
            let closed = request.run.is_some_and(|run| !self.agents[agent].may_send(run));
            if alive && !closed {
                self.after(
                    150,
                    Item::AtKafka {
                        agent,
                        life,
                        request,
                        late: true,
                    },
                );
            }
            return;
        }
        let now = self.now;
        let by_time = self.mutation == Some(Mutation::ForgetF5);
        let name = crate::agent::slot_name(agent);
        let kafka = &mut self.kafka[request.cluster];
        let answer = |result: Result<(), Refused>| if result.is_ok() { Answer::Done } else { Answer::Refused };
        let answer = match &mut request.what {
            What::OpenWriter(_) if self.profile.forbidden[agent] => Answer::Refused,
            What::OpenWriter(session) => Answer::Producer(kafka.init(now, TxnId::Session(*session))),
            What::Add { id, by, entries } => answer(kafka.add(now, *id, *by, entries)),
            What::End { id, by, commit } => answer(kafka.end(now, *id, *by, *commit)),
            What::Renew { id, by } => answer(kafka.renew(now, *id, *by)),
            What::Plain(entries) => {
                kafka.plain(entries, late);
                Answer::Done
            }
            What::Fence(dead) => {
                kafka.fence(now, dead.session);
                Answer::Done
            }
            What::OpenTask(task, session) => Answer::Producer(kafka.open_task(now, *task, *session)),
            What::Read { parts, upto } => {
                let end = *upto.get_or_insert(kafka.high_watermark());
                if kafka.last_stable() < end && !by_time {
                    // F5: a transaction is open; its offsets may still be committed.
                    self.coverage.see(Seen::OffsetsWaited);
                    return self.after(
                        100,
                        Item::AtKafka {
                            agent,
                            life,
                            request,
                            late,
                        },
                    );
                }
                Answer::Offsets(parts.iter().map(|part| (*part, kafka.offset(*part))).collect())
            }
            What::Records { by } => {
                if kafka.committed_under(by.task).is_some_and(|last| last > by.generation) {
                    self.coverage.see(Seen::LateRecords);
                }
                return;
            }
            What::Join { group, session, owned } => {
                let (group, session, owned) = (*group, *session, *owned);
                let member = kafka.join(now, group, session, owned);
                self.check_join(group, session, late);
                Answer::Member(member)
            }
            What::Heartbeat { group, member } => answer(kafka.heartbeat(now, *group, *member)),
            What::GroupCommit { group, member, advance } => answer(kafka.commit(now, *group, *member, *advance)),
            What::Leave { group, member } => {
                kafka.leave(*group, *member);
                return;
            }
            What::LeaveFor { group, dead } => Answer::Left(kafka.leave_for(*group, dead)),
        };
        if matches!(answer, Answer::Refused) {
            if matches!(request.what, What::Add { .. } | What::End { .. }) {
                self.coverage.see(Seen::CommitRefused);
            }
            if matches!(request.what, What::Heartbeat { .. } | What::GroupCommit { .. }) {
                self.coverage.see(Seen::MemberLost);
            }
        }
        if let Answer::Left(left) = answer {
            (0..left).for_each(|_| self.coverage.see(Seen::LeftOnBehalf));
        }
        let dull = !matches!(
            request.what,
            What::OpenWriter(_)
                | What::Fence(_)
                | What::OpenTask(..)
                | What::Read { .. }
                | What::Join { .. }
                | What::LeaveFor { .. }
        );
        if !dull || matches!(answer, Answer::Refused) || late {
            self.trace.note(
                now,
                || "k".into(),
                || format!("{name}: {:?} -> {answer:?}", request.what),
            );
        }
        if let Some(breach) = self.kafka[request.cluster].breaches.first().cloned() {
            return self.fail(breach);
        }
        if alive {
            self.answer(agent, life, request, answer);
        }
    }

    fn answer(&mut self, agent: usize, life: u64, request: Box<Request>, answer: Answer) {
        let wait: Time = self.random.range(1, 6);
        self.after(
            wait,
            Item::Agent {
                agent,
                life,
                input: Input::Answer(request, answer),
            },
        );
    }
}
