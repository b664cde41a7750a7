//! What a task does while it runs: sources move on and commit, sinks keep their membership and commit, both ask whether they are current.

use crate::coverage::Seen;
use crate::kafka::{Entry, Producer, TxnId};
use crate::mutation::Mutation;
use crate::requests::{Answer, Request, What};
use crate::runs::{Kind, Phase};
use crate::world::World;
use dray_model::Millis;
use dray_model::message::Owned;
use dray_session::Event;

impl World {
    pub(crate) fn runs_tick(&mut self, at: usize) {
        let now = self.agent_now(at);
        let ids: Vec<u64> = self.agents[at].runs.keys().copied().collect();
        for id in ids {
            let agent = &self.agents[at];
            let Some(run) = agent
                .runs
                .get(&id)
                .filter(|run| !run.killed && run.kind != Kind::Instance)
            else {
                continue;
            };
            let open = agent.open(run, now);
            let polls = !(run.strict && agent.gate.suspect);
            if run.is_running() && !open && !run.strict && !agent.gate.shut {
                self.coverage.see(Seen::QuietGate);
            }
            match run.kind {
                Kind::Source | Kind::Eos => self.source_tick(at, id, open, polls, now),
                Kind::Sink => self.sink_tick(at, id, open, now),
                Kind::Instance => {}
            }
        }
    }

    pub(crate) fn source_tick(&mut self, at: usize, id: u64, open: bool, polls: bool, now: Millis) {
        let moves = self.random.permille(150);
        let Some(run) = self.agents[at].runs.get_mut(&id) else {
            return;
        };
        let (cluster, owned) = (run.cluster, run.owned);
        if open && polls && moves && run.is_running() && !run.paused && !run.stopping {
            for position in &mut run.parts {
                position.at += 1;
            }
            self.request(
                at,
                Request {
                    cluster,
                    what: What::Records { by: owned },
                    run: Some(id),
                },
            );
        }
        let Some(run) = self.agents[at].runs.get_mut(&id).filter(|run| run.kind == Kind::Eos) else {
            return;
        };
        let due = now >= run.commit_at || run.phase == Phase::Draining;
        if open && due && run.may_commit() && run.busy.is_none() {
            let (entries, Some(by)) = (run.progress().collect::<Vec<_>>(), run.producer) else {
                return;
            };
            if !entries.is_empty() {
                run.commit_at = now.plus(1_000);
                run.busy = Some(entries.clone());
                let id_of = TxnId::Task(owned.task);
                self.request(
                    at,
                    Request {
                        cluster,
                        what: What::Add { id: id_of, by, entries },
                        run: Some(id),
                    },
                );
            }
        }
    }

    pub(crate) fn sink_tick(&mut self, at: usize, id: u64, open: bool, now: Millis) {
        let Some(run) = self.agents[at].runs.get_mut(&id) else {
            return;
        };
        let Some(member) = run.member else { return };
        let (cluster, group) = (run.cluster, run.connector.uid);
        // librdkafka sends heartbeats by itself, whatever the gate says.
        if now >= run.beat_at {
            run.beat_at = now.plus(3_000);
            self.request(
                at,
                Request {
                    cluster,
                    what: What::Heartbeat { group, member },
                    run: Some(id),
                },
            );
        }
        let Some(run) = self.agents[at].runs.get_mut(&id) else {
            return;
        };
        if open && now >= run.commit_at && run.is_running() && !run.paused && !run.stopping && run.busy.is_none() {
            self.group_commit(at, id);
        }
    }

    pub(crate) fn group_commit(&mut self, at: usize, id: u64) {
        let now = self.agent_now(at);
        let advance = self.random.range(1, 9);
        let open = self.agents[at]
            .runs
            .get(&id)
            .is_some_and(|run| self.agents[at].open(run, now));
        let Some(run) = self.agents[at].runs.get_mut(&id) else {
            return;
        };
        let Some(member) = run.member else { return };
        if !open {
            // Only a stopping one comes here: it ends without its last commit.
            return self.run_over(at, id, false);
        }
        run.commit_at = now.plus(1_500);
        run.busy = Some(Vec::new());
        let what = What::GroupCommit {
            group: run.connector.uid,
            member,
            advance,
        };
        let cluster = run.cluster;
        self.request(
            at,
            Request {
                cluster,
                what,
                run: Some(id),
            },
        );
    }

    /// A commit of the session's writer, or of the task itself, was taken.
    pub(crate) fn run_committed(&mut self, at: usize, id: u64, entry: Entry) {
        let Some(run) = self.agents[at].runs.get_mut(&id) else {
            return;
        };
        for position in &mut run.parts {
            if position.part == entry.part {
                position.committed = position.committed.max(entry.offset);
            }
        }
        let done = run.phase == Phase::Draining && run.progress().next().is_none();
        if done && !run.killed {
            self.run_over(at, id, true);
        }
    }

    pub(crate) fn run_answered(&mut self, at: usize, id: u64, what: What, answer: Answer) {
        let now = self.agent_now(at);
        let Some(run) = self.agents[at].runs.get_mut(&id).filter(|run| !run.killed) else {
            if let (What::Join { group, .. }, Answer::Member(member)) = (what, answer) {
                // It joined while it was killed: it leaves again.
                self.request(
                    at,
                    Request {
                        cluster: 0,
                        what: What::Leave { group, member },
                        run: None,
                    },
                );
                self.request(
                    at,
                    Request {
                        cluster: 1,
                        what: What::Leave { group, member },
                        run: None,
                    },
                );
            }
            return;
        };
        let (cluster, owned) = (run.cluster, run.owned);
        match (what, answer) {
            (What::Read { .. }, Answer::Offsets(offsets)) if run.phase == Phase::Reading => {
                for (part, offset) in offsets {
                    for position in run.parts.iter_mut().filter(|position| position.part == part) {
                        (position.at, position.committed) = (offset, offset);
                    }
                }
                self.boot(at, id);
            }
            (What::OpenTask(..), Answer::Producer(producer)) if run.phase == Phase::Opening => {
                run.producer = Some(producer);
                run.phase = Phase::Checking;
                self.see(Seen::EosCheck);
                self.tell(at, Event::Check(owned));
            }
            (What::Join { .. }, Answer::Member(member)) => {
                run.member = Some(member);
                run.beat_at = now.plus(3_000);
                if run.stopping {
                    return;
                }
                if run.asked {
                    run.phase = Phase::Running;
                } else {
                    self.boot(at, id);
                }
            }
            (What::Add { id: txn, by, entries }, answer) => {
                if matches!(answer, Answer::Refused) {
                    return self.own_producer_fenced(at, id, by);
                }
                let commit = run.may_commit();
                let agent = &self.agents[at];
                let open = agent.runs.get(&id).is_some_and(|run| agent.open(run, now));
                let what = What::End {
                    id: txn,
                    by,
                    commit: commit && open,
                };
                if let Some(run) = self.agents[at].runs.get_mut(&id) {
                    run.busy = Some(entries);
                }
                self.request(
                    at,
                    Request {
                        cluster,
                        what,
                        run: Some(id),
                    },
                );
            }
            (What::End { by, commit, .. }, answer) => {
                if matches!(answer, Answer::Refused) {
                    return self.own_producer_fenced(at, id, by);
                }
                let entries = run.busy.take().unwrap_or_default();
                if commit {
                    for entry in entries {
                        self.run_committed(at, id, entry);
                    }
                }
            }
            (What::Heartbeat { member, .. } | What::GroupCommit { member, .. }, Answer::Refused) => {
                run.busy = None;
                if run.member == Some(member) {
                    self.thrown_out(at, id);
                }
            }
            (What::GroupCommit { .. }, Answer::Done) => {
                run.busy = None;
                if run.phase == Phase::Draining {
                    self.run_over(at, id, true);
                }
            }
            _ => {}
        }
    }

    /// Kafka refused the producer of an exactly-once task: whoever is current begins again.
    pub(crate) fn own_producer_fenced(&mut self, at: usize, id: u64, by: Producer) {
        let Some(run) = self.agents[at].runs.get_mut(&id).filter(|run| run.producer == Some(by)) else {
            return;
        };
        run.busy = None;
        run.producer = None;
        if run.stopping {
            return self.run_over(at, id, false);
        }
        // It asks before it fences anybody, and again after it.
        run.phase = Phase::Checking;
        let owned = run.owned;
        self.tell(at, Event::Check(owned));
    }

    /// F4: a member that was thrown out asks before it rejoins.
    pub(crate) fn thrown_out(&mut self, at: usize, id: u64) {
        let Some(run) = self.agents[at].runs.get_mut(&id) else {
            return;
        };
        run.member = None;
        if run.stopping {
            return self.run_over(at, id, false);
        }
        run.asked = run.phase == Phase::Running;
        if self.mutation == Some(Mutation::ForgetF4) {
            return self.join(at, id);
        }
        run.phase = Phase::Checking;
        let owned = run.owned;
        self.tell(at, Event::Check(owned));
    }

    pub(crate) fn checked(&mut self, at: usize, owned: Owned, keep: bool) {
        let found = self.agents[at]
            .runs
            .iter_mut()
            .find(|(_, run)| run.owned == owned && !run.killed);
        let Some((id, run)) = found.filter(|(_, run)| run.phase == Phase::Checking) else {
            return;
        };
        let (id, kind, has_producer) = (*id, run.kind, run.producer.is_some());
        let (cluster, session) = (run.cluster, run.session);
        if !keep {
            self.see(Seen::RejoinDenied);
            return self.kill_now(at, id);
        }
        match kind {
            Kind::Sink => {
                self.see(Seen::RejoinAllowed);
                self.join(at, id);
            }
            Kind::Eos if has_producer => self.read_offsets(at, id),
            Kind::Eos => {
                run.phase = Phase::Opening;
                self.request(
                    at,
                    Request {
                        cluster,
                        what: What::OpenTask(owned.task, session),
                        run: Some(id),
                    },
                );
            }
            Kind::Source | Kind::Instance => {}
        }
    }
}
