//! Puts connectors and tasks together from their configuration, and stops them with a deadline.

use crate::client_config;
use crate::dead_letter::DeadLetters;
use crate::encode::Converters;
use crate::instance::{self, InstanceParts, TaskConfigs};
use crate::offsets::OffsetStore;
use crate::policy::{ErrorPolicy, flag, millis};
use crate::sink_task::{self, SinkParts, TopicPattern};
use crate::source_task::{self, SourceParts};
use crate::status::{StatusBoard, TaskSelf};
use crate::topics::TopicCreator;
use dray_connect::connector::{Connector, ConnectorPlugin};
use dray_connect::{ConfigMap, Error, Result};
use dray_kafka::port::KafkaPort;
use dray_model::{ConnectorName, ConnectorState, Generation, TargetState, TaskId, TaskState};
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
    config: ConfigMap,
    port: Arc<dyn KafkaPort>,
    offsets: Arc<dyn OffsetStore>,
    plugins: Vec<&'static ConnectorPlugin>,
    board: StatusBoard,
}

/// A running connector instance or task. Dropping it aborts the work; [`Running::stop`] ends it properly.
pub struct Running {
    stop: CancellationToken,
    target: watch::Sender<TargetState>,
    work: JoinSet<()>,
}

impl Running {
    fn start(
        work: impl Future<Output = ()> + Send + 'static,
        stop: CancellationToken,
        target: watch::Sender<TargetState>,
    ) -> Self {
        let mut set = JoinSet::new();
        set.spawn(work);
        Self {
            stop,
            target,
            work: set,
        }
    }

    /// Tells the work what the user wants of it; pausing keeps the task.
    pub fn set_target(&self, target: TargetState) {
        self.target.send_replace(target);
    }

    /// Signals the work to stop, without waiting.
    pub fn signal_stop(&self) {
        self.stop.cancel();
    }

    /// Waits until the work has ended; past the deadline it is aborted, and joined. Returns whether it ended by itself.
    /// Connector code that blocks its thread cannot be aborted: after a second it is left behind, and logged.
    pub async fn stop(mut self, deadline: Instant) -> bool {
        self.stop.cancel();
        let ended = tokio::time::timeout_at(deadline, self.work.join_next()).await.is_ok();
        if tokio::time::timeout(ABORT_TIMEOUT, self.work.shutdown()).await.is_err() {
            tracing::error!("connector code blocks its thread and cannot be ended; it goes on until the process ends");
        }
        ended
    }
}

impl Worker {
    /// A worker over a Kafka port, a store of offsets and the plugins that it has.
    #[must_use]
    pub fn new(
        config: ConfigMap,
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
        }
    }

    /// Where states are shown.
    #[must_use]
    pub fn board(&self) -> &StatusBoard {
        &self.board
    }

    /// `task.shutdown.graceful.timeout.ms`.
    ///
    /// # Errors
    /// When it is not a number.
    pub fn graceful_timeout(&self) -> Result<Duration> {
        Ok(Duration::from_millis(
            u64::try_from(millis(&self.config, "task.shutdown.graceful.timeout.ms", 5_000)?).unwrap_or(0),
        ))
    }

    fn plugin(&self, config: &ConfigMap) -> Result<&'static ConnectorPlugin> {
        let class = config.get("connector.class").map(|class| class.trim()).ok_or_else(|| {
            Error::config("Missing required configuration \"connector.class\" which has no default value.")
        })?;
        self.plugins.iter().copied().find(|plugin| plugin.answers_to(class)).ok_or_else(|| {
            let known: Vec<&str> = self.plugins.iter().map(|plugin| plugin.class).collect();
            Error::config(format!(
                "Failed to find any class that implements Connector and which name matches {class}, available connectors are: {}",
                known.join(", ")
            ))
        })
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
        crate::unsupported::refuse(&self.config, config)?;
        let plugin = self.plugin(config)?;
        let tasks_max = millis(config, "tasks.max", 1)?;
        let tasks_max = usize::try_from(tasks_max).ok().filter(|max| *max >= 1).ok_or_else(|| {
            Error::config(format!(
                "Invalid value {tasks_max} for configuration tasks.max: Value must be at least 1"
            ))
        })?;
        let connector = (plugin.make)();
        if matches!(connector, Connector::Sink(_)) {
            topics(config)?;
        }
        let stop = CancellationToken::new();
        let parts = InstanceParts {
            name: name.clone(),
            connector,
            config: config.clone(),
            tasks_max,
            enforce: flag(config, "tasks.max.enforce", true)?,
            offsets: self.offsets.clone(),
            board: self.board.clone(),
            tasks,
            stop: stop.clone(),
        };
        self.board.connector(name, ConnectorState::Unassigned, None);
        Ok(Running::start(
            instance::run(parts),
            stop,
            watch::Sender::new(TargetState::Started),
        ))
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
        crate::unsupported::refuse(&self.config, connector_config)?;
        let policy = ErrorPolicy::from_config(connector_config)?;
        let converters = self.converters(connector_config)?;
        // Connect's default is 60 s, which makes a crash repeat a minute of work; a second costs one small write.
        let commit_interval = positive_millis(&self.config, "offset.flush.interval.ms", 1_000)?;
        let flush_timeout = positive_millis(&self.config, "offset.flush.timeout.ms", 5_000)?;
        me.report(TaskState::Unassigned, None);
        let instance = (self.plugin(connector_config)?.make)();
        match instance {
            Connector::Source(connector) => {
                let producer = client_config::producer(&self.config, connector_config);
                let admin = || {
                    self.port
                        .admin(&client_config::admin(&self.config, connector_config))
                        .map_err(client)
                };
                let parts = SourceParts {
                    me,
                    task: connector.task(),
                    config: task_config.clone(),
                    lane: self.port.producer_lane(&producer, LANE_QUOTA).map_err(client)?,
                    converters,
                    policy,
                    topics: TopicCreator::from_config(connector_config, &self.config, admin)?,
                    offsets: self.offsets.clone(),
                    commit_interval,
                    flush_timeout,
                    target,
                    stop: stop.clone(),
                };
                Ok(Running::start(source_task::run(parts), stop, sender))
            }
            Connector::Sink(connector) => {
                let selection = topics(connector_config)?;
                let consumer =
                    client_config::consumer(&self.config, connector_config, id.connector.as_str(), id.number);
                let (list, pattern) = match selection {
                    Topics::List(list) => (list, None),
                    Topics::Regex(regex) => {
                        let admin = client_config::admin(&self.config, connector_config);
                        (
                            Vec::new(),
                            Some(TopicPattern::new(&regex, self.port.admin(&admin).map_err(client)?)?),
                        )
                    }
                };
                let parts = SinkParts {
                    me,
                    task: connector.task(),
                    config: task_config.clone(),
                    consumer: self.port.consumer(&consumer, &list, PREFETCH).map_err(client)?,
                    converters,
                    policy,
                    dead_letters: self.dead_letters(id, connector_config)?,
                    pattern,
                    commit_interval,
                    flush_timeout,
                    target,
                    stop: stop.clone(),
                };
                Ok(Running::start(sink_task::run(parts), stop, sender))
            }
        }
    }

    fn dead_letters(&self, id: &TaskId, config: &ConfigMap) -> Result<Option<DeadLetters>> {
        let Some(topic) = config
            .get("errors.deadletterqueue.topic.name")
            .map(|topic| topic.trim())
            .filter(|topic| !topic.is_empty())
        else {
            return Ok(None);
        };
        let key = "errors.deadletterqueue.topic.replication.factor";
        let factor = millis(config, key, 3)?;
        let replication_factor = i16::try_from(factor).map_err(|_| {
            Error::config(format!(
                "Invalid value {factor} for configuration {key}: Not a number of type SHORT"
            ))
        })?;
        let producer = client_config::producer(&self.config, config);
        Ok(Some(DeadLetters {
            lane: self.port.producer_lane(&producer, LANE_QUOTA).map_err(client)?,
            topic: topic.to_owned(),
            context_headers: flag(config, "errors.deadletterqueue.context.headers.enable", false)?,
            id: id.clone(),
            admin: self
                .port
                .admin(&client_config::admin(&self.config, config))
                .map_err(client)?,
            replication_factor,
        }))
    }

    fn converters(&self, connector: &ConfigMap) -> Result<Converters> {
        let (class, config) = self.converter_config(connector, "key.converter")?;
        let key = dray_converters::converter(&class, &config, true)?;
        let (class, config) = self.converter_config(connector, "value.converter")?;
        let value = dray_converters::converter(&class, &config, false)?;
        let (class, config) = self
            .converter_config(connector, "header.converter")
            .unwrap_or_else(|_| {
                (
                    "org.apache.kafka.connect.storage.SimpleHeaderConverter".to_owned(),
                    ConfigMap::new(),
                )
            });
        let header = dray_converters::header_converter(&class, &config)?;
        Ok(Converters { key, value, header })
    }

    /// The class and its sub keys: both from the connector if it names a class, else both from the worker.
    fn converter_config(&self, connector: &ConfigMap, key: &str) -> Result<(String, ConfigMap)> {
        let from = if connector.contains_key(key) {
            connector
        } else {
            &self.config
        };
        let class = from.get(key).ok_or_else(|| {
            Error::config(format!(
                "Missing required configuration \"{key}\" which has no default value."
            ))
        })?;
        let prefix = format!("{key}.");
        let sub = from
            .iter()
            .filter_map(|(key, value)| Some((key.strip_prefix(&prefix)?.to_owned(), value.clone())));
        Ok((class.trim().to_owned(), sub.collect()))
    }
}

enum Topics {
    List(Vec<String>),
    Regex(String),
}

fn topics(config: &ConfigMap) -> Result<Topics> {
    let text = |key: &str| config.get(key).map_or("", |value| value.trim()).to_owned();
    let (list, regex) = (text("topics"), text("topics.regex"));
    match (list.is_empty(), regex.is_empty()) {
        (false, false) => Err(Error::config(
            "topics and topics.regex are mutually exclusive options, but both are set.",
        )),
        (true, true) => Err(Error::config("Must configure one of topics or topics.regex")),
        (true, false) => Ok(Topics::Regex(regex)),
        (false, true) => {
            let mut names: Vec<String> = list
                .split(',')
                .map(|topic| topic.trim().to_owned())
                .filter(|topic| !topic.is_empty())
                .collect();
            names.sort_unstable();
            names.dedup();
            let letters = text("errors.deadletterqueue.topic.name");
            if !letters.is_empty() && names.contains(&letters) {
                return Err(Error::config(format!(
                    "The DLQ topic '{letters}' may not be included in the list of topics ('topics=[{}]') consumed by the connector",
                    names.join(", ")
                )));
            }
            Ok(Topics::List(names))
        }
    }
}

fn positive_millis(config: &ConfigMap, key: &str, default: i64) -> Result<Duration> {
    let value = millis(config, key, default)?;
    u64::try_from(value)
        .ok()
        .filter(|value| *value > 0)
        .map(Duration::from_millis)
        .ok_or_else(|| {
            Error::config(format!(
                "Invalid value {value} for configuration {key}: Value must be at least 1"
            ))
        })
}

fn client(error: dray_kafka::Error) -> Error {
    Error::connect("Kafka client cannot be made").with_source(error)
}
