//! Puts connectors and tasks together from their configuration, and stops them with a deadline.

use crate::active_topics::ActiveTopics;
use crate::attempt::{TaskMaker, lent};
use crate::config::{ConnectorConfig, SinkConfig, SourceConfig, WorkerConfig, connector_config};
use crate::crew::{Crew, Job};
use crate::gate::{FenceGate, TaskGate};
use crate::instance::{self, InstanceParts, TaskConfigs};
use crate::metrics::ConnectorFacts;
use crate::offsets::OffsetStore;
use crate::rejoin::MayRejoin;
use crate::status::{StatusBoard, Subject, TaskSelf};
use crate::supervise;
use dray_connect::connector::{ConnectorPlugin, Make};
use dray_connect::{ConfigMap, Error, Result};
use dray_kafka::port::{ClientConfig, KafkaPort};
use dray_model::{ConnectorName, ConnectorState, Generation, TargetState, TaskId, TaskState};
use dray_providers::{Look, Resolved};
use dray_transforms::Chain;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span};

/// How long aborted work may take to reach its next `await`, where it ends.
const ABORT_TIMEOUT: Duration = Duration::from_secs(1);

/// What connectors and tasks run on.
pub struct Worker {
    config: Arc<WorkerConfig>,
    port: Arc<dyn KafkaPort>,
    offsets: Arc<dyn OffsetStore>,
    plugins: Vec<&'static ConnectorPlugin>,
    board: StatusBoard,
    crew: Option<Arc<Crew>>,
    session: Option<(String, Arc<FenceGate>)>,
    /// Stands in the transactional ids of source tasks.
    cluster: Option<Arc<str>>,
    may_rejoin: Option<MayRejoin>,
    active: ActiveTopics,
}

/// A running connector instance or task. Dropping it aborts the work; [`Running::stop`] ends it properly.
pub struct Running {
    stop: CancellationToken,
    target: watch::Sender<TargetState>,
    work: Work,
}

/// Where the work runs.
enum Work {
    Crew(Job),
    Tokio(JoinSet<()>),
}

impl Work {
    fn abort(&mut self) {
        match self {
            Self::Crew(job) => job.abort(),
            Self::Tokio(set) => set.abort_all(),
        }
    }

    async fn ended(&mut self) {
        match self {
            Self::Crew(job) => job.ended().await,
            Self::Tokio(set) => while set.join_next().await.is_some() {},
        }
    }
}

impl Running {
    /// Tells the work what the user wants of it; pausing keeps the task.
    pub fn set_target(&self, target: TargetState) {
        self.target.send_replace(target);
    }

    /// Signals the work to stop, without waiting.
    pub fn signal_stop(&self) {
        self.stop.cancel();
    }

    /// Has the work dropped at its next `await`; [`ended`](Self::ended) says when that is done.
    pub fn abort(&mut self) {
        self.work.abort();
    }

    /// Waits until the work has ended, by itself or aborted: nothing of it causes any effect from then on. Cancel-safe.
    pub async fn ended(&mut self) {
        self.work.ended().await;
    }

    /// Waits until the work has ended; past the deadline it is aborted, and joined. Returns whether it ended by itself.
    /// Connector code that blocks its thread cannot be aborted: after a second it is left behind, and logged.
    pub async fn stop(mut self, deadline: Instant) -> bool {
        self.stop.cancel();
        let ended = tokio::time::timeout_at(deadline, self.work.ended()).await.is_ok();
        if !ended {
            self.work.abort();
            if tokio::time::timeout(ABORT_TIMEOUT, self.work.ended()).await.is_err() {
                tracing::error!(
                    "connector code blocks its thread and cannot be ended; it goes on until the process ends"
                );
            }
        }
        ended
    }
}

impl Worker {
    /// A worker over a Kafka port, a store of offsets and the plugins that it has.
    #[must_use]
    pub fn new(
        config: WorkerConfig,
        port: Arc<dyn KafkaPort>,
        offsets: Arc<dyn OffsetStore>,
        plugins: Vec<&'static ConnectorPlugin>,
        board: StatusBoard,
    ) -> Self {
        Self {
            config: Arc::new(config),
            port,
            offsets,
            plugins,
            board,
            crew: None,
            session: None,
            cluster: None,
            may_rejoin: None,
            active: ActiveTopics::default(),
        }
    }

    /// Has connectors and tasks run on a crew, so that those that block their threads harm only themselves. Without one they
    /// run on the current tokio runtime, which is for tests on paused time.
    #[must_use]
    pub fn with_crew(mut self, crew: Arc<Crew>) -> Self {
        self.crew = Some(crew);
        self
    }

    /// Has everything run under a session with the control plane of the Dray cluster `cluster`: its gate stands in front of every effect,
    /// the ids of Kafka clients carry its marker, by which a successor finds what a dead session has left behind, and source tasks
    /// produce under a transactional id of their own, by which a successor shuts them out. Without one the gate is open: nobody could
    /// take a task over.
    #[must_use]
    pub fn with_session(mut self, cluster: &str, marker: String, gate: Arc<FenceGate>) -> Self {
        self.session = Some((marker, gate));
        self.cluster = Some(cluster.into());
        self
    }

    /// Has the topics that tasks use noted there.
    #[must_use]
    pub fn with_topics(mut self, active: ActiveTopics) -> Self {
        self.active = active;
        self
    }

    /// Has sink tasks that were thrown out of their group ask before they join it again.
    #[must_use]
    pub fn with_rejoin_check(mut self, check: MayRejoin) -> Self {
        self.may_rejoin = Some(check);
        self
    }

    fn gate(&self, connector: &ConfigMap) -> TaskGate {
        match &self.session {
            None => TaskGate::open(),
            Some((_, gate)) => TaskGate::new(gate.clone(), connector_config::recovery(connector)),
        }
    }

    fn run(
        &self,
        name: &str,
        span: Span,
        work: impl Future<Output = ()> + Send + 'static,
        stop: CancellationToken,
        target: watch::Sender<TargetState>,
    ) -> Running {
        // On whichever thread it is polled: also what connector code logs says whose it is.
        let work = work.instrument(span);
        let work = match &self.crew {
            Some(crew) => Work::Crew(crew.spawn(name, work)),
            None => Work::Tokio(JoinSet::from_iter([work])),
        };
        Running { stop, target, work }
    }

    /// Runs what is no task and no instance where connector code runs. Dropping what comes back ends it.
    pub(crate) fn beside(&self, name: &str, span: Span, work: impl Future<Output = ()> + Send + 'static) -> Running {
        let target = watch::Sender::new(TargetState::Started);
        self.run(name, span, work, CancellationToken::new(), target)
    }

    /// What connectors are made with.
    pub(crate) fn lends(&self) -> (Arc<WorkerConfig>, Arc<dyn KafkaPort>, Arc<dyn OffsetStore>) {
        (self.config.clone(), self.port.clone(), self.offsets.clone())
    }

    /// Where states are shown.
    #[must_use]
    pub fn board(&self) -> &StatusBoard {
        &self.board
    }

    /// The worker's settings.
    #[must_use]
    pub fn config(&self) -> &WorkerConfig {
        &self.config
    }

    /// The id of the Kafka cluster that these settings lead to.
    ///
    /// # Errors
    /// When no broker says it in time.
    pub async fn kafka_cluster(&self, settings: &ClientConfig, within: Duration) -> dray_kafka::Result<String> {
        self.port.cluster_id(settings, within).await
    }

    pub(crate) fn offsets(&self) -> &dyn OffsetStore {
        self.offsets.as_ref()
    }

    pub(crate) fn port(&self) -> &dyn KafkaPort {
        self.port.as_ref()
    }

    /// The connectors that it has.
    pub(crate) fn plugins(&self) -> &[&'static ConnectorPlugin] {
        &self.plugins
    }

    pub(crate) fn plugin(&self, config: &ConfigMap) -> Result<&'static ConnectorPlugin> {
        let class = connector_config::class(config)?;
        self.plugins.iter().copied().find(|plugin| plugin.answers_to(class)).ok_or_else(|| {
            let known: Vec<&str> = self.plugins.iter().map(|plugin| plugin.class).collect();
            Error::config(format!(
                "Failed to find any class that implements Connector and which name matches {class}, available connectors are: {}",
                known.join(", ")
            ))
        })
    }

    /// Whether a connector is a source; else it is a sink.
    ///
    /// # Errors
    /// When its class is not here.
    pub fn is_source(&self, config: &ConfigMap) -> Result<bool> {
        self.plugin(config).map(|plugin| matches!(plugin.make, Make::Source(_)))
    }

    /// Checks what can be said of a connector's configuration before it is started.
    ///
    /// # Errors
    /// For the first thing that is wrong with it.
    pub fn check_connector(&self, config: &ConfigMap) -> Result<()> {
        self.connector(config).map(|_| ())
    }

    fn connector(&self, config: &ConfigMap) -> Result<(&'static ConnectorPlugin, ConnectorConfig)> {
        let plugin = self.plugin(config)?;
        let settings = match plugin.make {
            Make::Source(_) => SourceConfig::parse(config, self.config.topic_creation)?.connector,
            Make::Sink(_) => SinkConfig::parse(config)?.connector,
        };
        // Each task reads its own; what is wrong with it is better said before there are any.
        Chain::read(settings.originals())?;
        Ok((plugin, settings))
    }

    /// A connector's or task's configuration with the values that it refers to. Cancel-safe.
    ///
    /// # Errors
    /// When a value cannot be had, or not in time.
    pub async fn resolve(&self, config: &ConfigMap) -> Result<Resolved> {
        self.config.resolve_connector(Look::Start, config).await
    }

    /// Starts a connector instance; its task configurations go to `tasks`, with references where it has values of config providers.
    ///
    /// # Errors
    /// When the configuration is wrong, before anything is started.
    pub fn start_connector(
        &self,
        name: &ConnectorName,
        resolved: &Resolved,
        tasks: mpsc::Sender<TaskConfigs>,
        target: TargetState,
    ) -> Result<Running> {
        let subject = Subject::Connector(name.clone());
        let config = resolved.config();
        let (plugin, settings) = self
            .connector(config)
            .inspect_err(|_| self.board.room().refused(&subject))?;
        let stop = CancellationToken::new();
        let target = watch::Sender::new(target);
        let parts = InstanceParts {
            name: name.clone(),
            plugin,
            loan: lent(&self.port, &self.config, config),
            config: settings,
            resolved: resolved.clone(),
            offsets: self.offsets.clone(),
            board: self.board.clone(),
            tasks,
            target: target.subscribe(),
            stop: stop.clone(),
        };
        self.board.room().connector(
            name,
            ConnectorFacts {
                class: plugin.class,
                version: plugin.version,
                is_source: matches!(plugin.make, Make::Source(_)),
            },
        );
        self.board.connector(name, ConnectorState::Unassigned, None);
        // At the highest level, so that it is there for every line that is written.
        let span = tracing::error_span!(parent: None, "connector", connector = %name);
        Ok(self.run(name.as_str(), span, instance::run(parts), stop, target))
    }

    /// Starts a task of a connector.
    ///
    /// # Errors
    /// When its configuration is wrong, before anything is started.
    pub fn start_task(
        &self,
        id: &TaskId,
        generation: Generation,
        connector_config: &ConfigMap,
        task_config: &ConfigMap,
        target: TargetState,
    ) -> Result<Running> {
        let subject = Subject::Task(id.clone());
        let refused = |_: &Error| self.board.room().refused(&subject);
        let plugin = self.plugin(connector_config).inspect_err(refused)?;
        let stop = CancellationToken::new();
        let sender = watch::Sender::new(target);
        let is_source = matches!(plugin.make, Make::Source(_));
        let maker = TaskMaker {
            me: TaskSelf {
                id: id.clone(),
                generation,
                board: self.board.clone(),
                metrics: self.board.room().of_task(id, is_source),
            },
            plugin,
            worker: self.config.clone(),
            connector: connector_config.clone(),
            task: task_config.clone(),
            port: self.port.clone(),
            offsets: self.offsets.clone(),
            gate: self.gate(connector_config),
            active: self.active.clone(),
            may_rejoin: self.may_rejoin.clone(),
            attempts: AtomicU32::new(0),
            marker: self.session.as_ref().map(|(marker, _)| marker.clone()),
            cluster: self.cluster.clone(),
            target: sender.subscribe(),
            stop: stop.clone(),
        };
        // The first is made here, so that a wrong configuration is said at once.
        let first = maker.attempt().inspect_err(refused)?;
        maker.me.report(TaskState::Unassigned, None);
        let policy = connector_config::restart_policy(connector_config);
        let work = supervise::task(maker, first, policy);
        let (connector, task) = (&id.connector, id.number);
        let span = tracing::error_span!(parent: None, "task", %connector, task, %generation);
        Ok(self.run(&id.to_string(), span, work, stop, sender))
    }
}
