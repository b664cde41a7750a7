//! One agent: its session with the control plane, and the tasks that run under it.
//!
//! The pure machine (`dray-session`) decides; this carries out what it wants and tells it what happened. Nothing here waits for
//! anything else than the next event.

use crate::answers::{Answers, Around};
use crate::checks::Checks;
use crate::fence::Watchdog;
use crate::host::{Dead, Host};
use crate::kafka::Clusters;
use crate::keeper::Surroundings;
use crate::link::{Dial, Link};
use crate::metrics::{SessionCollector, SessionState};
use crate::status_topic::StatusTopic;
use crate::worker_config::WorkerConfigs;
use dray_connect::connector::ConnectorPlugin;
use dray_kafka::port::KafkaPort;
use dray_model::message::CommandWhat;
use dray_model::{AgentSession, ConfigMap, Millis};
use dray_process::Telemetry;
use dray_runtime::active_topics::ActiveTopics;
use dray_runtime::config::WorkerConfig;
use dray_runtime::crew::Crew;
use dray_runtime::expel::marker;
use dray_runtime::gate::{Allowed, FenceGate, boottime};
use dray_runtime::instance::TaskConfigs;
use dray_runtime::metrics::RuntimeCollector;
use dray_runtime::offsets::OffsetStore;
use dray_runtime::status::{StatusBoard, Statuses};
use dray_runtime::worker::Worker;
use dray_session::{Effect, Event, Gate, Identity, Session};
use std::future::Future;
use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

/// How often the machine is told the time: a tenth of its shortest period.
const TICK: Duration = Duration::from_millis(100);
/// Events on their way to the machine. It takes microseconds for each; whoever finds the queue full waits.
const EVENTS: usize = 256;
/// Strict tasks that are not dead so long after the end of their lease end the process: less than the 5 s that the control plane allows
/// them, by what the watchdog and the system need.
const OUTLIVED_MS: u64 = 4_000;

/// What an agent is made of.
pub struct Agent {
    /// Who it is.
    pub identity: Identity,
    /// The addresses of the control plane.
    pub endpoints: Vec<String>,
    /// How to reach them.
    pub dial: Dial,
    /// Kafka.
    pub port: Arc<dyn KafkaPort>,
    /// What it can run.
    pub plugins: Vec<&'static ConnectorPlugin>,
    /// Where source offsets are, when this is the only process that writes them (standalone); else they are in the topic that the
    /// worker configuration names, behind the session's writer.
    pub offsets: Option<Arc<dyn OffsetStore>>,
    /// Where states are shown, besides being reported.
    pub board: StatusBoard,
    /// Where what it measures is added, and the levels of its logs.
    pub telemetry: Telemetry,
}

/// Why an agent ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system gives no thread.
    #[error("no thread for {0}")]
    Thread(&'static str, #[source] std::io::Error),
    /// A defect of ours: nobody knows what still runs, so the process has to end.
    #[error("the keeper of a task panicked")]
    Keeper(#[source] tokio::task::JoinError),
}

/// A running agent.
struct Driver {
    agent: Agent,
    watchdog: Watchdog,
    gate: Arc<FenceGate>,
    crew: Arc<Crew>,
    link: Link,
    answers: Arc<Answers>,
    worker_configs: WorkerConfigs,
    active: ActiveTopics,
    events: mpsc::Sender<Event>,
    host: Option<Host>,
    clusters: Option<Arc<Clusters>>,
    /// What talks to Kafka for the session; ends with it.
    jobs: JoinSet<()>,
    configs: (mpsc::Sender<TaskConfigs>, mpsc::Receiver<TaskConfigs>),
    statuses: watch::Receiver<Statuses>,
    last_ack: Millis,
    state: Arc<SessionState>,
    load: crate::load::Load,
    leaving: bool,
}

impl Agent {
    /// Runs until `shutdown` resolves and everything is handed over. `shutdown` says in how many milliseconds the agent means to be back.
    ///
    /// # Errors
    /// When it cannot go on.
    pub async fn run(self, shutdown: impl Future<Output = Option<u32>>) -> Result<(), Error> {
        let (events, mut incoming) = mpsc::channel(EVENTS);
        let cores = std::thread::available_parallelism().map_or(2, NonZero::get);
        let (mut session, first) = Session::new(self.identity.clone(), boottime());
        let active = ActiveTopics::default();
        let answers = Answers::new(
            self.identity.agent.clone(),
            self.identity.plugins.clone(),
            active.clone(),
            &self.telemetry,
        );
        let worker_configs = WorkerConfigs::new(self.telemetry.hidden.clone());
        let (gate, state) = (Arc::new(FenceGate::default()), Arc::new(SessionState::default()));
        let collector = SessionCollector {
            state: state.clone(),
            gate: gate.clone(),
        };
        self.telemetry
            .metrics
            .add(Box::new(RuntimeCollector(self.board.clone())));
        self.telemetry.metrics.add(Box::new(collector));
        let mut driver = Driver {
            watchdog: Watchdog::start().map_err(|error| Error::Thread("the watchdog", error))?,
            gate,
            crew: Arc::new(Crew::start(cores).map_err(|error| Error::Thread("connectors", error))?),
            link: Link::new(
                self.dial.clone(),
                self.endpoints.clone(),
                events.clone(),
                answers.clone(),
                worker_configs.clone(),
            ),
            answers,
            worker_configs,
            active,
            events,
            host: None,
            clusters: None,
            jobs: JoinSet::new(),
            configs: mpsc::channel(16),
            statuses: self.board.watch(),
            last_ack: boottime(),
            state,
            load: crate::load::Load::default(),
            leaving: false,
            agent: self,
        };
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        tokio::pin!(shutdown);
        for effect in first {
            driver.carry_out(effect);
        }
        let mut left = false;
        while !left {
            let now = tokio::select! {
                Some(event) = incoming.recv() => vec![event],
                dead = dead(&mut driver.host) => vec![driver.bury(&dead.map_err(Error::Keeper)?)],
                Ok(()) = driver.statuses.changed() => driver.reports(),
                Some(configs) = driver.configs.1.recv() => driver.task_configs(&configs),
                () = driver.link.ended() => Vec::new(),
                Some(job) = driver.jobs.join_next() => {
                    if let Err(error) = job && !error.is_cancelled() {
                        tracing::error!(%error, "a job of the session panicked");
                    }
                    Vec::new()
                }
                _ = tick.tick() => driver.tick(),
                () = at(session.wake_at()) => vec![Event::Tick],
                back_in_ms = &mut shutdown, if !driver.leaving => {
                    driver.leaving = true;
                    vec![Event::Leave { back_in_ms }]
                }
            };
            for event in now {
                driver.note(&event);
                for effect in session.step(boottime(), event) {
                    left |= effect == Effect::Leave;
                    driver.carry_out(effect);
                }
            }
        }
        drop(incoming);
        driver.link.close().await;
        driver.jobs.shutdown().await;
        Ok(())
    }
}

async fn dead(host: &mut Option<Host>) -> Result<Dead, tokio::task::JoinError> {
    match host {
        Some(host) => host.dead().await,
        None => std::future::pending().await,
    }
}

/// Resolves at this moment; never, when there is none.
async fn at(moment: Option<Millis>) {
    match moment {
        Some(moment) => sleep(Duration::from_millis(moment.since(boottime()))).await,
        None => std::future::pending().await,
    }
}

impl Driver {
    /// What the driver itself has to know of an event.
    fn note(&mut self, event: &Event) {
        if let Event::Message { message, .. } = event
            && matches!(message.body, dray_model::message::Order::HeartbeatAck(_))
        {
            self.last_ack = boottime();
            self.state.acknowledged(self.last_ack);
        }
    }

    fn tick(&mut self) -> Vec<Event> {
        if let Some(clusters) = &self.clusters {
            let heartbeat = u64::from(dray_model::LeasePolicy::default().heartbeat_ms);
            clusters.keep_alive(boottime().since(self.last_ack) > 2 * heartbeat);
        }
        let mut events: Vec<Event> = self.load.measure(Instant::now()).into_iter().collect();
        events.push(Event::Tick);
        events
    }

    fn bury(&mut self, dead: &Dead) -> Event {
        if let Some(host) = &mut self.host {
            host.bury(dead);
        }
        Event::Dead {
            owned: dead.owned,
            clean: dead.clean,
        }
    }

    fn reports(&self) -> Vec<Event> {
        let reports = self.host.iter().flat_map(Host::reports);
        reports.map(Event::Report).collect()
    }

    fn task_configs(&self, configs: &TaskConfigs) -> Vec<Event> {
        let host = self.host.iter();
        let said = host.filter_map(|host| host.task_configs(&configs.connector, &configs.configs));
        said.map(Event::TaskConfigs).collect()
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Connect { connection, endpoints } => self.link.connect(connection, &endpoints),
            Effect::Disconnect(connection) => self.link.disconnect(connection),
            Effect::Send { connection, message } => self.link.send(connection, message),
            Effect::SessionBegan {
                session,
                number,
                worker,
            } => self.begin(AgentSession { agent: number, session }, &worker),
            Effect::OpenWriter { cluster, session: _ } => self.job(|clusters| async move {
                clusters.open_writer(cluster).await;
            }),
            Effect::UseWriter { cluster, session: _ } => self.job(|clusters| async move {
                if let Err(error) = clusters.use_writer(cluster.clone()).await {
                    tracing::error!(error = %dray_runtime::guard::trace(&error), "the topic of source offsets cannot be used");
                    return;
                }
                clusters.watch_writer(cluster).await;
            }),
            Effect::Start { assignment, connector } => {
                if let Some(host) = &mut self.host {
                    host.start(*assignment, connector);
                }
            }
            Effect::FenceFirst { owned, dead, connector } => {
                let source = self.is_source(&connector.config);
                self.job(move |clusters| async move {
                    let connector = clusters.resolved(connector).await;
                    clusters.fence_first(owned, dead, &connector, source).await;
                });
            }
            Effect::SetPaused { owned, paused } => self.with_host(|host| host.set_paused(owned, paused)),
            Effect::Stop {
                owned,
                graceful_ms,
                why,
            } => {
                if let Some(host) = &mut self.host {
                    host.stop(owned, Duration::from_millis(u64::from(graceful_ms)), why);
                }
            }
            Effect::Kill { owned } => self.with_host(|host| host.kill(owned)),
            Effect::Checked { owned, keep } => self.with_host(|host| host.checks().answered(owned, keep)),
            Effect::Gate(gate) => self.set_gate(gate),
            Effect::Command { id, what } => self.command(id, what),
            Effect::Leave => {}
            Effect::Warn(text) => tracing::warn!("{text}"),
        }
    }

    fn with_host(&self, then: impl FnOnce(&Host)) {
        if let Some(host) = &self.host {
            then(host);
        }
    }

    fn job<F: Future<Output = ()> + Send + 'static>(&mut self, job: impl FnOnce(Arc<Clusters>) -> F) {
        if let Some(clusters) = &self.clusters {
            self.jobs.spawn(job(clusters.clone()));
        }
    }

    /// Whether a connector is a source. One whose class is unknown is refused when it is started; it fences nothing.
    fn is_source(&self, config: &ConfigMap) -> bool {
        let kind = self.host.as_ref().map(|host| host.worker().is_source(config));
        matches!(kind, Some(Ok(true)))
    }

    /// Everything of the session before is dead.
    fn begin(&mut self, me: AgentSession, worker: &ConfigMap) {
        self.jobs.abort_all();
        self.answers.set(Around::Beginning);
        self.host = None;
        self.agent.board.clear();
        self.state.began(me.session.get());
        let prepared = self.worker_configs.take(me.session);
        let resolve = || WorkerConfig::resolve(worker, &self.agent.telemetry.hidden);
        let config = match prepared.unwrap_or_else(resolve) {
            Ok(config) => config,
            Err(error) => {
                tracing::error!(error = %dray_runtime::guard::trace(&error),
                    "the cluster's worker configuration cannot be used; no task is started until it is corrected and the agent restarted");
                self.answers.set(Around::Unusable);
                self.clusters = None;
                return;
            }
        };
        let port = self.agent.port.clone();
        let worker_id = self.agent.identity.worker_id.clone();
        let statuses = StatusTopic::open(&config, &port, worker_id).unwrap_or_else(|error| {
            tracing::error!(error = %dray_runtime::guard::trace(&error), "the topic of statuses cannot be used");
            None
        });
        let (clusters, offsets) = match &self.agent.offsets {
            Some(offsets) => (Arc::new(Clusters::alone(port.clone(), config.clone())), offsets.clone()),
            None => {
                let dray = self.agent.identity.cluster.clone();
                let clusters = Clusters::of_session(port.clone(), config.clone(), dray, me, self.events.clone());
                let clusters = Arc::new(clusters);
                let offsets = clusters.offsets();
                (clusters, offsets)
            }
        };
        let checks = Checks::new(self.events.clone());
        let mut worker = Worker::new(
            config,
            port,
            offsets,
            self.agent.plugins.clone(),
            self.agent.board.clone(),
        )
        .with_crew(self.crew.clone())
        .with_topics(self.active.clone());
        if self.agent.offsets.is_none() {
            worker = worker
                .with_session(&self.agent.identity.cluster, marker(me), self.gate.clone())
                .with_rejoin_check(checks.hook());
        }
        let around = Arc::new(Surroundings {
            worker,
            clusters: clusters.clone(),
            task_configs: self.configs.0.clone(),
        });
        self.answers.set(Around::Session(around.clone()));
        self.host = Some(Host::new(around, statuses, checks, self.active.clone()));
        self.clusters = Some(clusters);
        self.job(|clusters| async move { clusters.open_own().await });
    }

    fn set_gate(&self, gate: Gate) {
        self.gate.set(Allowed {
            strict_until: gate.strict_until,
            fenced_until: gate.fenced_until,
            shut: gate.shut,
            suspect: gate.suspect,
        });
        let strict = self.host.as_ref().is_some_and(Host::has_strict);
        let deadline = if strict {
            gate.strict_until.plus(OUTLIVED_MS)
        } else {
            Millis::NEVER
        };
        self.watchdog.expect_dead_by(deadline);
    }

    fn command(&mut self, id: u64, what: CommandWhat) {
        let events = self.events.clone();
        match what {
            CommandWhat::FenceSessions { connector, dead } => {
                let source = self.is_source(&connector.config);
                self.job(move |clusters| async move {
                    let connector = clusters.resolved(connector).await;
                    clusters.fence(&dead, &connector, source).await;
                    if !source {
                        clusters.expel(&dead, &connector).await;
                    }
                    let done = Event::CommandDone { id, error: None };
                    drop(events.send(done).await); // a closed queue is an agent that has ended
                });
            }
        }
    }
}
