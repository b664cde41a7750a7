//! What one task is made of, made anew for each attempt to run it: its clients, converters, transforms and the connector's own object.

use crate::active_topics::{ActiveTopics, TaskTopics};
use crate::client_config;
use crate::config::{ConnectorConfig, DeadLetterConfig, PluginConfig, SinkConfig, SourceConfig, Topics, WorkerConfig};
use crate::dead_letter::DeadLetters;
use crate::encode::Converters;
use crate::gate::TaskGate;
use crate::guard::guarded_now;
use crate::offsets::OffsetStore;
use crate::policy::ErrorPolicy;
use crate::rejoin::MayRejoin;
use crate::sink_task::{self, SinkParts};
use crate::source_task::{self, SourceParts};
use crate::status::TaskSelf;
use crate::supervise::is_fenced;
use crate::topic_pattern::TopicPattern;
use crate::topics::TopicCreator;
use dray_connect::connector::{ConnectorPlugin, Make, SinkConnector, SourceConnector};
use dray_connect::context::Loan;
use dray_connect::{ConfigMap, Error, Result};
use dray_kafka::port::{Clients, KafkaPort};
use dray_model::{TargetState, TaskId};
use dray_transforms::Chain;
use futures::future::BoxFuture;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Bytes that one source task may have in flight. An eighth of the shared producer's default queue: enough to keep a
/// fast broker busy, and a task whose partition has no leader leaves room for the others.
const LANE_QUOTA: usize = 16 << 20;
/// Bytes that one sink task's consumer holds ahead.
const PREFETCH: usize = 16 << 20;

/// A run of the task, until it is stopped or fails.
pub(crate) type Attempt = BoxFuture<'static, Result<()>>;

/// The transactional id of a source task: who takes the task over takes it too, and so shuts its predecessor out of Kafka. Connect's own
/// form, with the Dray cluster for the group.
fn transactional_id(cluster: &str, task: &TaskId) -> String {
    format!("{cluster}-{}-{}", task.connector, task.number)
}

/// One task under one ownership.
pub(crate) struct TaskMaker {
    pub(crate) me: TaskSelf,
    pub(crate) plugin: &'static ConnectorPlugin,
    pub(crate) worker: Arc<WorkerConfig>,
    pub(crate) connector: ConfigMap,
    pub(crate) task: ConfigMap,
    pub(crate) port: Arc<dyn KafkaPort>,
    pub(crate) offsets: Arc<dyn OffsetStore>,
    pub(crate) gate: TaskGate,
    /// Where the topics that it uses are noted.
    pub(crate) active: ActiveTopics,
    /// Asked before a sink joins its group another time.
    pub(crate) may_rejoin: Option<MayRejoin>,
    /// Attempts so far.
    pub(crate) attempts: AtomicU32,
    /// Stands in the ids of its Kafka clients.
    pub(crate) marker: Option<String>,
    /// The Dray cluster that hands the task on when its owner is gone; none where nobody could.
    pub(crate) cluster: Option<Arc<str>>,
    pub(crate) target: watch::Receiver<TargetState>,
    pub(crate) stop: CancellationToken,
}

impl TaskMaker {
    /// The next attempt. Connector code first runs in it, never here.
    pub(crate) fn attempt(&self) -> Result<Attempt> {
        let again = self.attempts.fetch_add(1, Ordering::Relaxed) > 0;
        match self.plugin.make {
            Make::Source(make) => self.source(make),
            Make::Sink(make) => self.sink(make, again),
        }
    }

    fn source(&self, make: fn() -> Box<dyn SourceConnector>) -> Result<Attempt> {
        let config = SourceConfig::parse(&self.connector, self.worker.topic_creation)?;
        let producer = client_config::producer(self.worker.originals(), &self.connector);
        let owner = self
            .cluster
            .as_deref()
            .map(|cluster| transactional_id(cluster, &self.me.id));
        let lane = self.port.producer_lane(&producer, LANE_QUOTA, owner.as_deref());
        let lane = lane.map_err(client)?;
        let admin = || {
            let admin = client_config::admin(self.worker.originals(), &self.connector);
            self.port.admin(&admin).map_err(client)
        };
        let topics = TopicCreator::new(config.topic_groups, admin)?;
        let (converters, chain) = self.conversion(&config.connector)?;
        self.me.metrics.client(&producer, lane.metrics());
        let policy = self.counted(config.connector.errors);
        let (me, task_config, offsets) = (self.me.clone(), self.task.clone(), self.offsets.clone());
        let (gate, target, stop) = (self.gate.clone(), self.target.clone(), self.stop.clone());
        let (commit_interval, flush_timeout) = (self.worker.flush_interval, self.worker.flush_timeout);
        let (id, generation, may_go_on) = (self.me.id.clone(), self.me.generation, self.may_rejoin.clone());
        let stopped = self.stop.clone();
        let active = self.active();
        let loan = Some(lent(&self.port, &self.worker, &self.connector));
        Ok(Box::pin(async move {
            let task = guarded_now("task", || Ok(make().task()))?;
            let parts = SourceParts {
                me,
                task,
                config: task_config,
                lane,
                converters,
                chain,
                policy,
                topics,
                active,
                offsets,
                loan,
                gate,
                commit_interval,
                flush_timeout,
                target,
                stop,
            };
            let ended = source_task::run(parts).await;
            let (Err(error), Some(ask)) = (&ended, may_go_on) else {
                return ended;
            };
            if !is_fenced(error) {
                return ended;
            }
            if stopped.run_until_cancelled(ask.ask(&id, generation)).await != Some(true) {
                // Another has the task; whoever runs this one will hear it too, and stop it.
                stopped.cancelled().await;
                return ended;
            }
            // Who had the task before has woken up and taken the transactional id once more. The next attempt takes it back.
            ended.map_err(|error| {
                Error::retriable("a former owner of the task took its transactional id").with_source(error)
            })
        }))
    }

    fn sink(&self, make: fn() -> Box<dyn SinkConnector>, again: bool) -> Result<Attempt> {
        let config = SinkConfig::parse(&self.connector)?;
        let (converters, chain) = self.conversion(&config.connector)?;
        let policy = self.counted(config.connector.errors);
        let worker = self.worker.originals();
        let (list, pattern) = match config.topics {
            Topics::List(list) => (list, None),
            Topics::Pattern(regex) => {
                let admin = client_config::admin(worker, &self.connector);
                let admin = self.port.admin(&admin).map_err(client)?;
                (Vec::new(), Some(TopicPattern::new(regex, admin)))
            }
        };
        let letters = config.dead_letters.map(|letters| self.dead_letters(letters));
        let dead_letters = letters.transpose()?;
        let (name, number) = (self.me.id.connector.as_str(), self.me.id.number);
        let consumer = client_config::consumer(worker, &self.connector, name, number, self.marker.as_deref());
        let (port, metrics) = (self.port.clone(), self.me.metrics.clone());
        let join = move || {
            let joined = port.consumer(&consumer, &list, PREFETCH).map_err(client)?;
            metrics.client(&consumer, joined.metrics());
            Ok(joined)
        };
        let may_rejoin = self.may_rejoin.clone();
        // It may have failed because it was thrown out of the group.
        let ask = may_rejoin.clone().filter(|_| again);
        let joined = if ask.is_none() { Some(join()?) } else { None };
        let (me, task_config) = (self.me.clone(), self.task.clone());
        let (gate, target, stop) = (self.gate.clone(), self.target.clone(), self.stop.clone());
        let (commit_interval, flush_timeout) = (self.worker.flush_interval, self.worker.flush_timeout);
        let active = self.active();
        Ok(Box::pin(async move {
            if let Some(ask) = ask
                && stop.run_until_cancelled(ask.ask(&me.id, me.generation)).await != Some(true)
            {
                // Another has the task; whoever runs this one will hear it too, and stop it.
                stop.cancelled().await;
                return Ok(());
            }
            let consumer = match joined {
                Some(consumer) => consumer,
                None => join()?,
            };
            let task = guarded_now("task", || Ok(make().task()))?;
            let parts = SinkParts {
                me,
                task,
                config: task_config,
                consumer,
                converters,
                chain,
                policy,
                dead_letters,
                pattern,
                active,
                gate,
                may_rejoin,
                commit_interval,
                flush_timeout,
                target,
                stop,
            };
            sink_task::run(parts).await
        }))
    }

    fn active(&self) -> TaskTopics {
        match self.worker.topic_tracking {
            true => TaskTopics::of(self.active.clone(), self.me.id.connector.clone()),
            false => TaskTopics::default(),
        }
    }

    fn dead_letters(&self, config: DeadLetterConfig) -> Result<DeadLetters> {
        let producer = client_config::producer(self.worker.originals(), &self.connector);
        let admin = client_config::admin(self.worker.originals(), &self.connector);
        let lane = self.port.producer_lane(&producer, LANE_QUOTA, None).map_err(client)?;
        self.me.metrics.client(&producer, lane.metrics());
        Ok(DeadLetters {
            lane,
            config,
            id: self.me.id.clone(),
            admin: self.port.admin(&admin).map_err(client)?,
            failures: self.me.metrics.failures().clone(),
            hidden: self.worker.providers().hidden().clone(),
        })
    }

    /// A policy that counts for this task.
    fn counted(&self, policy: ErrorPolicy) -> ErrorPolicy {
        let failures = self.me.metrics.failures().clone();
        ErrorPolicy { failures, ..policy }
    }

    /// What metrics say of its parts (KIP-891), and of its transforms and predicates: alias, class, whether it is a predicate.
    fn told(&self, classes: [&str; 3], connector: &ConfigMap) {
        let ours = || env!("CARGO_PKG_VERSION").to_owned();
        let text = |text: &str| text.to_owned();
        let kind = if matches!(self.plugin.make, Make::Source(_)) {
            "source"
        } else {
            "sink"
        };
        let [key, value, header] = classes;
        let parts = vec![
            ("connector_class", text(self.plugin.class)),
            ("connector_type", text(kind)),
            ("connector_version", text(self.plugin.version)),
            ("task_class", text(self.plugin.task_class)),
            ("task_version", text(self.plugin.version)),
            ("key_converter_class", text(key)),
            ("key_converter_version", ours()),
            ("value_converter_class", text(value)),
            ("value_converter_version", ours()),
            ("header_converter_class", text(header)),
            ("header_converter_version", ours()),
        ];
        let mut stages = Vec::new();
        for (list, predicate) in [("transforms", false), ("predicates", true)] {
            let aliases = connector.get(list).map_or("", String::as_str).split(',').map(str::trim);
            for alias in aliases.filter(|alias| !alias.is_empty()) {
                let class = connector.get(&format!("{list}.{alias}.type"));
                stages.push((
                    text(alias),
                    class.map_or_else(String::new, |class| class.trim().to_owned()),
                    predicate,
                ));
            }
        }
        self.me.metrics.begins(parts, stages);
    }

    /// The connector's converters and its transforms.
    fn conversion(&self, connector: &ConnectorConfig) -> Result<(Converters, Chain)> {
        let named = named_converters(&self.worker, connector);
        let converters = make_converters(named)?;
        self.told(named.map(|converter| converter.class.as_str()), connector.originals());
        Ok((converters, Chain::read(connector.originals())?))
    }
}

/// The connector's converters, and the worker's where it names none: for keys, values and headers.
pub(crate) fn named_converters<'a>(worker: &'a WorkerConfig, connector: &'a ConnectorConfig) -> [&'a PluginConfig; 3] {
    fn own<'a>(own: &'a Option<PluginConfig>, worker: &'a PluginConfig) -> &'a PluginConfig {
        own.as_ref().unwrap_or(worker)
    }
    [
        own(&connector.key_converter, &worker.key_converter),
        own(&connector.value_converter, &worker.value_converter),
        own(&connector.header_converter, &worker.header_converter),
    ]
}

/// Makes these.
pub(crate) fn make_converters([key, value, header]: [&PluginConfig; 3]) -> Result<Converters> {
    Ok(Converters {
        key: dray_converters::converter(&key.class, &key.settings, true)?,
        value: dray_converters::converter(&value.class, &value.settings, false)?,
        header: dray_converters::header_converter(&header.class, &header.settings)?,
    })
}

/// What source connectors and their tasks are lent.
pub(crate) fn lent(port: &Arc<dyn KafkaPort>, worker: &WorkerConfig, connector: &ConfigMap) -> Loan {
    Arc::new(Clients {
        port: port.clone(),
        admin: client_config::admin(worker.originals(), connector),
    })
}

fn client(error: dray_kafka::Error) -> Error {
    Error::connect("Kafka client cannot be made").with_source(error)
}
