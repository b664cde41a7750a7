//! Puts connectors and tasks together from their configuration, and stops them with a deadline.

use crate::client_config;
use crate::config::{
    ConnectorConfig, DeadLetterConfig, PluginConfig, SinkConfig, SourceConfig, Topics, WorkerConfig, connector_config,
};
use crate::crew::{Crew, Job};
use crate::dead_letter::DeadLetters;
use crate::encode::Converters;
use crate::gate::{FenceGate, TaskGate};
use crate::guard::{guarded_now, trace};
use crate::instance::{self, InstanceParts, TaskConfigs};
use crate::offsets::OffsetStore;
use crate::sink_task::{self, SinkParts, TopicPattern};
use crate::source_task::{self, SourceParts};
use crate::status::{StatusBoard, TaskSelf};
use crate::topics::TopicCreator;
use dray_connect::connector::{ConnectorPlugin, Make};
use dray_connect::{ConfigMap, Error, Result};
use dray_kafka::port::KafkaPort;
use dray_model::{ConnectorName, ConnectorState, Generation, TargetState, TaskId, TaskState};
use dray_transforms::Chain;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Bytes that one source task may have in flight. An eighth of the shared producer's default queue: enough to keep a
/// fast broker busy, and a task whose partition has no leader leaves room for the others.
const LANE_QUOTA: usize = 16 << 20;
/// Bytes that one sink task's consumer holds ahead.
const PREFETCH: usize = 16 << 20;

/// How long aborted work may take to reach its next `await`, where it ends.
const ABORT_TIMEOUT: Duration = Duration::from_secs(1);

/// What connectors and tasks run on.
pub struct Worker {
    config: WorkerConfig,
    port: Arc<dyn KafkaPort>,
    offsets: Arc<dyn OffsetStore>,
    plugins: Vec<&'static ConnectorPlugin>,
    board: StatusBoard,
    crew: Option<Arc<Crew>>,
    session: Option<(String, Arc<FenceGate>)>,
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
            config,
            port,
            offsets,
            plugins,
            board,
            crew: None,
            session: None,
        }
    }

    /// Has connectors and tasks run on a crew, so that those that block their threads harm only themselves. Without one they
    /// run on the current tokio runtime, which is for tests on paused time.
    #[must_use]
    pub fn with_crew(mut self, crew: Arc<Crew>) -> Self {
        self.crew = Some(crew);
        self
    }

    /// Has everything run under a session with the control plane: its gate stands in front of every effect, and the ids of Kafka clients
    /// carry its marker, by which a successor finds what a dead session has left behind. Without one the gate is open: nobody could
    /// take a task over.
    #[must_use]
    pub fn with_session(mut self, marker: String, gate: Arc<FenceGate>) -> Self {
        self.session = Some((marker, gate));
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
        work: impl Future<Output = ()> + Send + 'static,
        stop: CancellationToken,
        target: watch::Sender<TargetState>,
    ) -> Running {
        let work = match &self.crew {
            Some(crew) => Work::Crew(crew.spawn(name, work)),
            None => Work::Tokio(JoinSet::from_iter([work])),
        };
        Running { stop, target, work }
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

    fn plugin(&self, config: &ConfigMap) -> Result<&'static ConnectorPlugin> {
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

    /// Starts a connector instance; its task configurations go to `tasks`.
    ///
    /// # Errors
    /// When the configuration is wrong, before anything is started.
    pub fn start_connector(
        &self,
        name: &ConnectorName,
        config: &ConfigMap,
        tasks: mpsc::Sender<TaskConfigs>,
    ) -> Result<Running> {
        let plugin = self.plugin(config)?;
        let settings = match plugin.make {
            Make::Source(_) => SourceConfig::parse(config, self.config.topic_creation)?.connector,
            Make::Sink(_) => SinkConfig::parse(config)?.connector,
        };
        // Each task reads its own; what is wrong with it is better said before there are any.
        Chain::read(settings.originals())?;
        let stop = CancellationToken::new();
        let parts = InstanceParts {
            name: name.clone(),
            plugin,
            config: settings,
            offsets: self.offsets.clone(),
            board: self.board.clone(),
            tasks,
            stop: stop.clone(),
        };
        self.board.connector(name, ConnectorState::Unassigned, None);
        let target = watch::Sender::new(TargetState::Started);
        Ok(self.run(name.as_str(), instance::run(parts), stop, target))
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
        let me = TaskSelf {
            id: id.clone(),
            generation,
            board: self.board.clone(),
        };
        let stop = CancellationToken::new();
        let sender = watch::Sender::new(target);
        let target = sender.subscribe();
        match self.plugin(connector_config)?.make {
            Make::Source(make) => {
                let config = SourceConfig::parse(connector_config, self.config.topic_creation)?;
                me.report(TaskState::Unassigned, None);
                let gate = self.gate(connector_config);
                let producer = client_config::producer(self.config.originals(), connector_config);
                let admin = || {
                    self.port
                        .admin(&client_config::admin(self.config.originals(), connector_config))
                        .map_err(client)
                };
                let lane = self.port.producer_lane(&producer, LANE_QUOTA).map_err(client)?;
                let converters = self.converters(&config.connector)?;
                let chain = Chain::read(config.connector.originals())?;
                let topics = TopicCreator::new(config.topic_groups, admin)?;
                let (task_config, offsets) = (task_config.clone(), self.offsets.clone());
                let (commit_interval, flush_timeout) = (self.config.flush_interval, self.config.flush_timeout);
                let stopped = stop.clone();
                let work = async move {
                    let Some(task) = make_task(&me, || make().task()) else {
                        return;
                    };
                    let parts = SourceParts {
                        me,
                        task,
                        config: task_config,
                        lane,
                        converters,
                        chain,
                        policy: config.connector.errors,
                        topics,
                        offsets,
                        gate,
                        commit_interval,
                        flush_timeout,
                        target,
                        stop: stopped,
                    };
                    source_task::run(parts).await;
                };
                Ok(self.run(&id.to_string(), work, stop, sender))
            }
            Make::Sink(make) => {
                let config = SinkConfig::parse(connector_config)?;
                me.report(TaskState::Unassigned, None);
                let converters = self.converters(&config.connector)?;
                let chain = Chain::read(config.connector.originals())?;
                let worker = self.config.originals();
                let gate = self.gate(connector_config);
                let marker = self.session.as_ref().map(|(marker, _)| marker.as_str());
                let name = id.connector.as_str();
                let consumer = client_config::consumer(worker, connector_config, name, id.number, marker);
                let (list, pattern) = match config.topics {
                    Topics::List(list) => (list, None),
                    Topics::Pattern(regex) => {
                        let admin = client_config::admin(worker, connector_config);
                        let admin = self.port.admin(&admin).map_err(client)?;
                        (Vec::new(), Some(TopicPattern::new(regex, admin)))
                    }
                };
                let letters = config.dead_letters;
                let dead_letters = letters
                    .map(|letters| self.dead_letters(id, letters, connector_config))
                    .transpose()?;
                let consumer = self.port.consumer(&consumer, &list, PREFETCH).map_err(client)?;
                let task_config = task_config.clone();
                let (commit_interval, flush_timeout) = (self.config.flush_interval, self.config.flush_timeout);
                let stopped = stop.clone();
                let work = async move {
                    let Some(task) = make_task(&me, || make().task()) else {
                        return;
                    };
                    let parts = SinkParts {
                        me,
                        task,
                        config: task_config,
                        consumer,
                        converters,
                        chain,
                        policy: config.connector.errors,
                        dead_letters,
                        pattern,
                        gate,
                        commit_interval,
                        flush_timeout,
                        target,
                        stop: stopped,
                    };
                    sink_task::run(parts).await;
                };
                Ok(self.run(&id.to_string(), work, stop, sender))
            }
        }
    }

    fn dead_letters(&self, id: &TaskId, config: DeadLetterConfig, connector: &ConfigMap) -> Result<DeadLetters> {
        let producer = client_config::producer(self.config.originals(), connector);
        let admin = client_config::admin(self.config.originals(), connector);
        Ok(DeadLetters {
            lane: self.port.producer_lane(&producer, LANE_QUOTA).map_err(client)?,
            config,
            id: id.clone(),
            admin: self.port.admin(&admin).map_err(client)?,
        })
    }

    /// The connector's converters, and the worker's where it names none.
    fn converters(&self, connector: &ConnectorConfig) -> Result<Converters> {
        fn own<'a>(own: &'a Option<PluginConfig>, worker: &'a PluginConfig) -> &'a PluginConfig {
            own.as_ref().unwrap_or(worker)
        }
        let key = own(&connector.key_converter, &self.config.key_converter);
        let value = own(&connector.value_converter, &self.config.value_converter);
        let header = own(&connector.header_converter, &self.config.header_converter);
        Ok(Converters {
            key: dray_converters::converter(&key.class, &key.settings, true)?,
            value: dray_converters::converter(&value.class, &value.settings, false)?,
            header: dray_converters::header_converter(&header.class, &header.settings)?,
        })
    }
}

/// Makes a task's own object, which is connector code and therefore done where the task runs. None when it fails.
fn make_task<T>(me: &TaskSelf, make: impl FnOnce() -> T) -> Option<T> {
    match guarded_now("task", || Ok(make())) {
        Ok(task) => Some(task),
        Err(error) => {
            tracing::error!(connector = %me.id.connector, task = me.id.number, error = %trace(&error), "task failed");
            me.report(TaskState::Failed, Some(trace(&error)));
            None
        }
    }
}

fn client(error: dray_kafka::Error) -> Error {
    Error::connect("Kafka client cannot be made").with_source(error)
}
