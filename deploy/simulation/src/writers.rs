//! The session's writers, one for each Kafka cluster: offsets of at-least-once sources go through them, and heartbeats while nobody leads.

use crate::agent::{Busy, Expel, Writer, cluster_name};
use crate::coverage::Seen;
use crate::kafka::{Entry, Producer, TxnId};
use crate::mutation::Mutation;
use crate::requests::{Answer, Request, What};
use crate::runs::{Kind, Phase};
use crate::world::World;
use dray_model::SessionId;
use dray_session::Event;

impl World {
    pub(crate) fn use_writer(&mut self, at: usize, cluster: usize, session: SessionId) {
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

    pub(crate) fn agent_tick(&mut self, at: usize) {
        self.check_death(at);
        self.check_overlap(at);
        for cluster in 0..2 {
            self.writer_tick(at, cluster);
        }
        self.expel_tick(at);
        self.runs_tick(at);
    }

    pub(crate) fn writer_tick(&mut self, at: usize, cluster: usize) {
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

    pub(crate) fn answered(&mut self, at: usize, request: Request, answer: Answer) {
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
            | What::OpenTask(..)
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

    pub(crate) fn writer(
        &mut self,
        at: usize,
        cluster: usize,
        session: SessionId,
        by: Producer,
    ) -> Option<&mut Writer> {
        let writer = self.agents[at].writers[cluster].as_mut()?;
        (writer.session == session && writer.producer == Some(by)).then_some(writer)
    }

    pub(crate) fn writer_opened(&mut self, at: usize, cluster: usize, session: SessionId, answer: &Answer) {
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

    pub(crate) fn writer_added(
        &mut self,
        at: usize,
        cluster: usize,
        session: SessionId,
        by: Producer,
        answer: &Answer,
    ) {
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

    pub(crate) fn writer_ended(
        &mut self,
        at: usize,
        cluster: usize,
        session: SessionId,
        by: Producer,
        answer: &Answer,
    ) {
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

    pub(crate) fn offsets_committed(&mut self, at: usize, entries: &[(u64, Entry)]) {
        for (run, entry) in entries {
            self.run_committed(at, *run, *entry);
        }
    }

    pub(crate) fn writer_refused(&mut self, at: usize, cluster: usize, session: SessionId, by: Producer) {
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
