//! The model runtime: what a task does from its start to its death, and what it sends to Kafka meanwhile.

use crate::agent::{cluster_name, name_of};
use crate::coverage::Seen;
use crate::kafka::{Entry, Part, Producer, TxnId};
use crate::mutation::Mutation;
use crate::requests::{Answer, Request, What};
use crate::world::{Input, World};
use dray_model::message::{AssignedConnector, Assignment, Owned, Recovery, RunState, TaskConfigs, TaskReport};
use dray_model::{Millis, SessionId};
use dray_session::Event;
use std::sync::Arc;

/// What a connector's tasks are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Instance,
    /// At least once: its offsets go through the session's writer.
    Source,
    /// Exactly once: a transactional id of its own.
    Eos,
    Sink,
}

impl Kind {
    pub(crate) fn of(connector: &AssignedConnector) -> Self {
        match connector.config.get("connector.class").map(String::as_str) {
            Some("sim.Sink") => Self::Sink,
            Some("sim.Eos") => Self::Eos,
            _ => Self::Source,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Waits for the session's writer.
    Writer,
    /// A sink joins its group, an exactly-once task initialises its producer.
    Opening,
    /// Asks whether its ownership is current.
    Checking,
    /// Reads its offsets.
    Reading,
    Booting,
    Running,
    Failed,
    /// Stops in good order: its last offsets are committed.
    Draining,
    /// Stops, and does not come to an end.
    Hanging,
    Dying,
}

/// What happens to a run by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    Booted,
    /// An instance says its task configurations.
    Configs,
    /// It has stopped working and commits what is left.
    Drain,
    /// It took too long to stop.
    Abort,
    Died,
    Retry,
}

/// A task or instance in a process, until it is dead.
pub(crate) struct Run {
    pub(crate) owned: Owned,
    pub(crate) kind: Kind,
    pub(crate) strict: bool,
    pub(crate) cluster: usize,
    connector: Arc<AssignedConnector>,
    dead: Vec<SessionId>,
    session: SessionId,
    pub(crate) phase: Phase,
    paused: bool,
    pub(crate) stopping: bool,
    pub(crate) killed: bool,
    /// A mutation has said that it is dead.
    pub(crate) lied: bool,
    restarts: u32,
    parts: Vec<Position>,
    producer: Option<Producer>,
    busy: Option<Vec<Entry>>,
    member: Option<u64>,
    beat_at: Millis,
    commit_at: Millis,
    asked: bool,
}

struct Position {
    part: Part,
    at: u64,
    committed: u64,
}

impl Run {
    pub(crate) fn may_commit(&self) -> bool {
        !self.killed && matches!(self.phase, Phase::Running | Phase::Draining)
    }

    /// Offsets that are not committed yet.
    pub(crate) fn progress(&self) -> impl Iterator<Item = Entry> {
        let by = self.owned;
        let open = self.parts.iter().filter(|position| position.at > position.committed);
        open.map(move |position| Entry {
            part: position.part,
            offset: position.at,
            by,
        })
    }

    pub(crate) fn is_running(&self) -> bool {
        self.phase == Phase::Running && !self.killed
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.paused
    }
}

impl World {
    pub(crate) fn start_run(&mut self, at: usize, assignment: Assignment, connector: Arc<AssignedConnector>) {
        let owned = assignment.owned;
        self.check_start(at, owned);
        self.see(Seen::Start);
        self.checks.runs += 1;
        let id = self.checks.runs;
        let instance = owned.task.is_instance();
        let kind = if instance { Kind::Instance } else { Kind::of(&connector) };
        let config = assignment.config.apply(&connector.config);
        let Some((session, _)) = self.agents[at].current else {
            return self.fail(format!("{} starts without a session", name_of(owned)));
        };
        let numbers = config
            .get("parts")
            .map_or("", String::as_str)
            .split(',')
            .filter_map(|n| n.parse().ok());
        let part = |number| Position {
            part: Part {
                connector: connector.uid,
                number,
            },
            at: 0,
            committed: 0,
        };
        let run = Run {
            owned,
            kind,
            strict: !instance && connector.recovery == Recovery::Strict,
            cluster: crate::users::cluster_of(&connector.config),
            dead: assignment.fence_first.iter().map(|dead| dead.session.session).collect(),
            session,
            phase: Phase::Writer,
            paused: assignment.paused,
            stopping: false,
            killed: false,
            lied: false,
            restarts: 0,
            parts: numbers.map(part).collect(),
            producer: None,
            busy: None,
            member: None,
            beat_at: Millis(0),
            commit_at: Millis(0),
            asked: false,
            connector,
        };
        let cluster = run.cluster;
        self.checks.run_began(at, id, &run);
        self.agents[at].runs.insert(id, run);
        self.check_overlap(at);
        if instance {
            return self.boot(at, id);
        }
        if self.agents[at].writers[cluster]
            .as_ref()
            .is_some_and(|writer| writer.usable)
        {
            self.run_has_writer(at, id);
        } else {
            self.tell(at, Event::WriterWanted(cluster_name(cluster)));
        }
    }

    /// The session's writer may be used: the task comes to its first effects.
    pub(crate) fn run_has_writer(&mut self, at: usize, id: u64) {
        let Some(run) = self.agents[at].runs.get_mut(&id).filter(|run| !run.killed) else {
            return;
        };
        let (cluster, kind, owned) = (run.cluster, run.kind, run.owned);
        match kind {
            Kind::Source => self.read_offsets(at, id),
            Kind::Eos => {
                run.phase = Phase::Opening;
                self.request(
                    at,
                    Request {
                        cluster,
                        what: What::OpenTask(TxnId::Task(owned.task)),
                        run: Some(id),
                    },
                );
            }
            Kind::Sink => {
                let (connector, dead) = (run.connector.clone(), run.dead.clone());
                if !dead.is_empty() {
                    self.expel(at, &connector, dead);
                }
                self.join(at, id);
            }
            Kind::Instance => {}
        }
    }

    fn join(&mut self, at: usize, id: u64) {
        let Some(run) = self.agents[at].runs.get_mut(&id) else {
            return;
        };
        run.phase = Phase::Opening;
        let what = What::Join {
            group: run.connector.uid,
            session: run.session,
            owned: run.owned,
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

    fn read_offsets(&mut self, at: usize, id: u64) {
        let Some(run) = self.agents[at].runs.get_mut(&id) else {
            return;
        };
        run.phase = Phase::Reading;
        let parts = run.parts.iter().map(|position| position.part).collect();
        let cluster = run.cluster;
        self.request(
            at,
            Request {
                cluster,
                what: What::Read { parts, upto: None },
                run: Some(id),
            },
        );
    }

    fn boot(&mut self, at: usize, id: u64) {
        let Some(run) = self.agents[at].runs.get_mut(&id) else {
            return;
        };
        run.phase = Phase::Booting;
        let slow = if self.random.permille(100) { 2_500 } else { 300 };
        let wait = self.random.range(10, slow);
        self.for_agent(at, wait, Input::Timer(id, Timer::Booted));
    }

    fn report(&mut self, at: usize, id: u64, state: RunState, trace: Option<&str>) {
        let Some(run) = self.agents[at].runs.get(&id).filter(|run| !run.lied) else {
            return;
        };
        let report = TaskReport {
            owned: run.owned,
            state,
            trace: trace.map(str::to_owned),
            restarts: run.restarts,
            cost: None,
        };
        self.tell(at, Event::Report(report));
    }

    pub(crate) fn run_timer(&mut self, at: usize, id: u64, timer: Timer) {
        let Some(run) = self.agents[at].runs.get_mut(&id) else {
            return;
        };
        match timer {
            Timer::Died => self.run_over(at, id, false),
            _ if run.killed => {}
            Timer::Booted if run.phase == Phase::Booting => self.booted(at, id),
            Timer::Retry if run.phase == Phase::Booting => {
                run.restarts += 1;
                self.report(at, id, RunState::Starting, None);
                self.boot(at, id);
            }
            Timer::Configs if run.is_running() => {
                let (instance, config_version) = (run.owned, run.connector.config_version);
                let tasks = self.users.tasks_of(run.connector.uid, &run.connector.config);
                let configs = TaskConfigs {
                    instance,
                    config_version,
                    tasks,
                };
                self.tell(at, Event::TaskConfigs(configs));
            }
            Timer::Drain if run.stopping => self.drain(at, id),
            Timer::Abort => self.kill_now(at, id),
            Timer::Booted | Timer::Retry | Timer::Configs | Timer::Drain => {}
        }
    }

    fn booted(&mut self, at: usize, id: u64) {
        let healed = self.healed_at.is_some();
        if !healed && self.random.permille(30) {
            self.see(Seen::TaskFailed);
            if self.random.permille(500) {
                self.report(at, id, RunState::Restarting, Some("it tries again"));
                self.for_agent(at, 1_000, Input::Timer(id, Timer::Retry));
            } else {
                if let Some(run) = self.agents[at].runs.get_mut(&id) {
                    run.phase = Phase::Failed;
                }
                self.report(at, id, RunState::Failed, Some("it does not work"));
            }
            return;
        }
        let Some(run) = self.agents[at].runs.get_mut(&id) else {
            return;
        };
        run.phase = Phase::Running;
        let (paused, instance) = (run.paused, run.kind == Kind::Instance);
        self.report(at, id, if paused { RunState::Paused } else { RunState::Running }, None);
        if instance {
            let wait = self.random.range(1, 300);
            self.for_agent(at, wait, Input::Timer(id, Timer::Configs));
        }
    }

    pub(crate) fn pause_run(&mut self, at: usize, owned: Owned, paused: bool) {
        let found = self.agents[at]
            .runs
            .iter_mut()
            .find(|(_, run)| run.owned == owned && !run.lied);
        let Some((id, run)) = found else { return };
        run.paused = paused;
        let (id, running) = (*id, run.is_running());
        if paused {
            self.see(Seen::Paused);
        }
        if running {
            self.report(at, id, if paused { RunState::Paused } else { RunState::Running }, None);
        }
    }

    pub(crate) fn stop_run(&mut self, at: usize, owned: Owned, graceful_ms: u32) {
        self.see(Seen::Stop);
        let found = self.agents[at]
            .runs
            .iter_mut()
            .find(|(_, run)| run.owned == owned && !run.lied);
        let Some((id, run)) = found else {
            return self.fail(format!("a stop of {}, which does not run", name_of(owned)));
        };
        let id = *id;
        run.stopping = true;
        if run.killed {
            return;
        }
        let hangs = self.random.permille(60);
        let wait = self.random.range(5, 900);
        let clock = self.agents[at].process.clock;
        if hangs {
            self.see(Seen::Hang);
            self.agents[at].runs.get_mut(&id).expect("it was found above").phase = Phase::Hanging;
        } else {
            self.for_agent(at, wait, Input::Timer(id, Timer::Drain));
        }
        self.for_agent(at, clock.span(graceful_ms.into()), Input::Timer(id, Timer::Abort));
        if self.mutation == Some(Mutation::StoppedEarly) {
            self.lie(at, id);
        }
    }

    /// It has stopped working; what is left is to be committed.
    fn drain(&mut self, at: usize, id: u64) {
        let Some(run) = self.agents[at].runs.get_mut(&id) else {
            return;
        };
        let ran = run.phase == Phase::Running;
        let open = run.progress().next().is_some() || run.busy.is_some();
        run.phase = Phase::Draining;
        match run.kind {
            Kind::Source | Kind::Eos if ran && open => {}
            Kind::Sink if run.member.is_some() && run.busy.is_none() => self.group_commit(at, id),
            Kind::Sink if run.busy.is_some() => {}
            Kind::Instance | Kind::Source | Kind::Eos | Kind::Sink => self.run_over(at, id, true),
        }
    }

    pub(crate) fn kill_run(&mut self, at: usize, owned: Owned) {
        self.see(Seen::Kill);
        let found = self.agents[at]
            .runs
            .iter()
            .find(|(_, run)| run.owned == owned && !run.lied);
        match found.map(|(id, run)| (*id, run.strict)) {
            Some((id, strict)) => {
                if strict && self.agent_now(at) >= self.agents[at].gate.strict_until {
                    self.see(Seen::StrictStopped);
                }
                self.kill_now(at, id);
                let over = self.agents[at].gate.shut;
                if over && self.mutation == Some(Mutation::SessionBeforeDead) {
                    self.lie(at, id);
                }
            }
            None => self.fail(format!("a kill of {}, which does not run", name_of(owned))),
        }
    }

    fn kill_now(&mut self, at: usize, id: u64) {
        let Some(run) = self.agents[at].runs.get_mut(&id).filter(|run| !run.killed) else {
            return;
        };
        run.killed = true;
        run.phase = Phase::Dying;
        // Nearly all die at once; the others within the time that the lease leaves them.
        let most = u64::from(self.agents[at].lease.stop_ms) * 8 / 10;
        let most = if self.random.permille(250) { most } else { 60 };
        let wait = self.random.range(20, most);
        let wait = self.agents[at].process.clock.span(wait);
        self.for_agent(at, wait, Input::Timer(id, Timer::Died));
    }

    /// A mutation: the session is told of a death that has not happened yet.
    fn lie(&mut self, at: usize, id: u64) {
        let Some(run) = self.agents[at].runs.get_mut(&id) else {
            return;
        };
        if !std::mem::replace(&mut run.lied, true) {
            let owned = run.owned;
            self.tell(at, Event::Dead { owned, clean: true });
        }
    }

    /// It is dead: nothing of it can cause an effect any more.
    fn run_over(&mut self, at: usize, id: u64, clean: bool) {
        let Some(run) = self.agents[at].runs.remove(&id) else {
            return;
        };
        self.checks.run_ended(at, &run);
        if let Some(member) = run.member {
            let what = What::Leave {
                group: run.connector.uid,
                member,
            };
            self.request(
                at,
                Request {
                    cluster: run.cluster,
                    what,
                    run: None,
                },
            );
        }
        if !run.lied {
            self.tell(
                at,
                Event::Dead {
                    owned: run.owned,
                    clean,
                },
            );
        }
    }

    // --- what a task does while it runs

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

    fn source_tick(&mut self, at: usize, id: u64, open: bool, polls: bool, now: Millis) {
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

    fn sink_tick(&mut self, at: usize, id: u64, open: bool, now: Millis) {
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

    fn group_commit(&mut self, at: usize, id: u64) {
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
            (What::OpenTask(_), Answer::Producer(producer)) if run.phase == Phase::Opening => {
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
    fn own_producer_fenced(&mut self, at: usize, id: u64, by: Producer) {
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
    fn thrown_out(&mut self, at: usize, id: u64) {
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
        let cluster = run.cluster;
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
                        what: What::OpenTask(TxnId::Task(owned.task)),
                        run: Some(id),
                    },
                );
            }
            Kind::Source | Kind::Instance => {}
        }
    }
}
