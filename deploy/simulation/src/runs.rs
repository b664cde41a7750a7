//! The model runtime: a task from its start to its death. What it does in between is in `work`.

use crate::agent::{cluster_name, name_of};
use crate::coverage::Seen;
use crate::kafka::{Entry, Part, Producer};
use crate::mutation::Mutation;
use crate::requests::{Request, What};
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
    pub(crate) connector: Arc<AssignedConnector>,
    pub(crate) dead: Vec<SessionId>,
    pub(crate) session: SessionId,
    pub(crate) phase: Phase,
    pub(crate) paused: bool,
    pub(crate) stopping: bool,
    pub(crate) killed: bool,
    /// A mutation has said that it is dead.
    pub(crate) lied: bool,
    pub(crate) restarts: u32,
    /// It failed because its breaker tripped.
    pub(crate) tripped: bool,
    pub(crate) parts: Vec<Position>,
    pub(crate) producer: Option<Producer>,
    pub(crate) busy: Option<Vec<Entry>>,
    pub(crate) member: Option<u64>,
    pub(crate) beat_at: Millis,
    pub(crate) commit_at: Millis,
    pub(crate) asked: bool,
    pub(crate) asked_restarts: Option<u32>,
}

pub(crate) struct Position {
    pub(crate) part: Part,
    pub(crate) at: u64,
    pub(crate) committed: u64,
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
            tripped: false,
            parts: numbers.map(part).collect(),
            producer: None,
            busy: None,
            member: None,
            beat_at: Millis(0),
            commit_at: Millis(0),
            asked: false,
            asked_restarts: assignment.asked_restarts,
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
        let (cluster, kind, owned, session) = (run.cluster, run.kind, run.owned, run.session);
        match kind {
            Kind::Source => self.read_offsets(at, id),
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

    pub(crate) fn join(&mut self, at: usize, id: u64) {
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

    pub(crate) fn read_offsets(&mut self, at: usize, id: u64) {
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

    pub(crate) fn boot(&mut self, at: usize, id: u64) {
        let Some(run) = self.agents[at].runs.get_mut(&id) else {
            return;
        };
        run.phase = Phase::Booting;
        let slow = if self.random.permille(100) { 2_500 } else { 300 };
        let wait = self.random.range(10, slow);
        self.for_agent(at, wait, Input::Timer(id, Timer::Booted));
    }

    pub(crate) fn report(&mut self, at: usize, id: u64, state: RunState, trace: Option<&str>) {
        self.report_tripped(at, id, state, trace, false);
    }

    fn report_tripped(&mut self, at: usize, id: u64, state: RunState, trace: Option<&str>, tripped: bool) {
        let Some(run) = self.agents[at].runs.get(&id).filter(|run| !run.lied) else {
            return;
        };
        let report = TaskReport {
            owned: run.owned,
            state,
            trace: trace.map(str::to_owned),
            restarts: run.restarts,
            cost: None,
            tripped,
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

    pub(crate) fn booted(&mut self, at: usize, id: u64) {
        let healed = self.healed_at.is_some();
        if !healed && self.random.permille(30) {
            self.see(Seen::TaskFailed);
            if self.random.permille(500) {
                self.report(at, id, RunState::Restarting, Some("it tries again"));
                self.for_agent(at, 1_000, Input::Timer(id, Timer::Retry));
            } else {
                let mut tripped = self.random.permille(500);
                if let Some(run) = self.agents[at].runs.get_mut(&id) {
                    run.phase = Phase::Failed;
                    run.tripped = tripped && run.kind != Kind::Instance;
                    tripped = run.tripped;
                }
                self.report_tripped(at, id, RunState::Failed, Some("it does not work"), tripped);
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
    pub(crate) fn drain(&mut self, at: usize, id: u64) {
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

    pub(crate) fn kill_now(&mut self, at: usize, id: u64) {
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
    pub(crate) fn lie(&mut self, at: usize, id: u64) {
        let Some(run) = self.agents[at].runs.get_mut(&id) else {
            return;
        };
        if !std::mem::replace(&mut run.lied, true) {
            let owned = run.owned;
            self.tell(at, Event::Dead { owned, clean: true });
        }
    }

    /// It is dead: nothing of it can cause an effect any more.
    pub(crate) fn run_over(&mut self, at: usize, id: u64, clean: bool) {
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
}
