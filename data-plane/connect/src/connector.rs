//! The four traits that a connector's author implements. `Connector` checks the configuration and splits the work into
//! task configurations; `Task` moves records. Powers arrive through a context.

use crate::config::{ConfigDef, ConfigMap};
use crate::context::{ConnectorContext, SinkTaskContext, SourceTaskContext};
use crate::error::Result;
use crate::offset::{OffsetMap, SourcePartition};
use crate::sink_batch::{SinkBatch, TopicPartition};
use crate::source_batch::SourceBatch;
use async_trait::async_trait;
use std::collections::BTreeMap;

/// What a source promises about exactly-once delivery (KIP-618).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExactlyOnceSupport {
    /// Offsets are meaningful and a restarted task resumes exactly there.
    Supported,
    /// It does not.
    Unsupported,
}

/// Whether a source can say itself where transactions end (KIP-618).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionBoundaries {
    /// It can.
    Supported,
    /// It cannot.
    Unsupported,
}

/// Consumer offsets by partition: the offset of the next record to read.
pub type SinkOffsets = BTreeMap<TopicPartition, i64>;

/// What is to become of consumer offsets: set, or, with none, forgotten.
pub type SinkOffsetChanges = BTreeMap<TopicPartition, Option<i64>>;

/// Divides a source into tasks. One instance lives on one agent.
#[async_trait]
pub trait SourceConnector: Send + Sync {
    /// The configuration keys, beside the framework's own.
    fn config_def(&self) -> &ConfigDef;

    /// Begins to watch the external system, if it has to.
    async fn start(&mut self, context: ConnectorContext, config: &ConfigMap) -> Result<()>;

    /// One configuration for each task; at most `max_tasks`.
    fn task_configs(&self, max_tasks: usize) -> Result<Vec<ConfigMap>>;

    /// A task, not yet started.
    fn task(&self) -> Box<dyn SourceTask>;

    /// What is promised with this configuration.
    fn exactly_once_support(&self, _config: &ConfigMap) -> ExactlyOnceSupport {
        ExactlyOnceSupport::Unsupported
    }

    /// Whether tasks may set transaction boundaries with this configuration.
    fn can_define_transaction_boundaries(&self, _config: &ConfigMap) -> TransactionBoundaries {
        TransactionBoundaries::Unsupported
    }

    /// From which Kafka cluster, by its `bootstrap.servers`, it reads a topic of this name; `None`: it does not. Most sources read no Kafka. A
    /// dead letter queue that its own source reads would grow for ever.
    ///
    /// # Errors
    /// When the configuration does not say; what is wrong with its keys is said elsewhere.
    fn reads_topic(&self, _config: &ConfigMap, _topic: &str) -> Result<Option<String>> {
        Ok(None)
    }

    /// Checks offsets that a user wants to set (KIP-875); none erases an entry. `Ok(true)` means they were checked.
    fn alter_offsets(&self, _config: &ConfigMap, _offsets: &[(Option<OffsetMap>, Option<OffsetMap>)]) -> Result<bool> {
        Ok(false)
    }

    /// Ends what `start` began.
    async fn stop(&mut self) -> Result<()>;
}

/// Reads one share of an external system. `testkit::check_source` runs these obligations:
/// - `poll` is cancel-safe: dropping the future loses no record that it has not pushed.
/// - `poll` may wait for records as long as it likes, as it is dropped when something else is to be done; it never blocks its thread for
///   long: disk and network go through tokio.
/// - Within a source partition records come in order; across partitions nothing is promised.
/// - After `committed(offsets)` the source may forget all that they cover. Nothing is committed before it is durable.
/// - Stopping is not a call in the middle: the runtime stops polling, waits for acknowledgements, then calls `stop`.
#[async_trait]
pub trait SourceTask: Send {
    /// Opens the source at the stored offset.
    async fn start(&mut self, context: SourceTaskContext, config: &ConfigMap) -> Result<()>;

    /// Appends records to `batch`, which comes empty. An empty batch means that there was nothing to read.
    async fn poll(&mut self, batch: &mut SourceBatch) -> Result<()>;

    /// These offsets are stored: all up to them is durable in Kafka.
    async fn committed(&mut self, _offsets: &[(SourcePartition, OffsetMap)]) -> Result<()> {
        Ok(())
    }

    /// Closes the source. Called once, also after a failure of `start` or `poll`.
    async fn stop(&mut self) -> Result<()>;
}

/// Divides a sink into tasks. One instance lives on one agent.
#[async_trait]
pub trait SinkConnector: Send + Sync {
    /// The configuration keys, beside the framework's own.
    fn config_def(&self) -> &ConfigDef;

    /// Begins to watch the external system, if it has to.
    async fn start(&mut self, context: ConnectorContext, config: &ConfigMap) -> Result<()>;

    /// One configuration for each task; at most `max_tasks`.
    fn task_configs(&self, max_tasks: usize) -> Result<Vec<ConfigMap>>;

    /// A task, not yet started.
    fn task(&self) -> Box<dyn SinkTask>;

    /// Checks consumer offsets that a user wants to set (KIP-875); `Ok(true)` means that what it keeps elsewhere fits.
    fn alter_offsets(&self, _config: &ConfigMap, _offsets: &SinkOffsetChanges) -> Result<bool> {
        Ok(false)
    }

    /// Ends what `start` began.
    async fn stop(&mut self) -> Result<()>;
}

/// Writes one share of the topics to an external system. `testkit::check_sink` runs these obligations:
/// - `put` may keep nothing of the batch but copies; with [`crate::Error::Retriable`] it is called again with the same.
/// - What `pre_commit` returns is durable in the external system, and never beyond what was put.
/// - After `close(partitions)` nothing of them is written.
#[async_trait]
pub trait SinkTask: Send {
    /// Opens the sink.
    async fn start(&mut self, context: SinkTaskContext, config: &ConfigMap) -> Result<()>;

    /// These partitions were assigned.
    async fn open(&mut self, _partitions: &[TopicPartition]) -> Result<()> {
        Ok(())
    }

    /// Takes records over. Need not be durable before `pre_commit` says so. Also called with an empty batch.
    async fn put(&mut self, batch: &SinkBatch) -> Result<()>;

    /// Makes everything put so far durable.
    async fn flush(&mut self, _offsets: &SinkOffsets) -> Result<()> {
        Ok(())
    }

    /// What may be committed now: by default everything, after a `flush`. Called once each `offset.flush.interval.ms` while something that
    /// was put is not committed, or the task is held up; Connect calls it for idle tasks, too.
    async fn pre_commit(&mut self, offsets: &SinkOffsets) -> Result<SinkOffsets> {
        self.flush(offsets).await?;
        Ok(offsets.clone())
    }

    /// These partitions are no longer this task's.
    async fn close(&mut self, _partitions: &[TopicPartition]) -> Result<()> {
        Ok(())
    }

    /// Closes the sink. Called once, also after a failure.
    async fn stop(&mut self) -> Result<()>;
}

/// A connector of either kind.
pub enum Connector {
    /// External system to Kafka.
    Source(Box<dyn SourceConnector>),
    /// Kafka to external system.
    Sink(Box<dyn SinkConnector>),
}

/// A connector class that an agent has.
pub struct ConnectorPlugin {
    /// The class name that configurations and REST use; Java's where there is one.
    pub class: &'static str,
    /// Other names that it answers to.
    pub aliases: &'static [&'static str],
    /// The class name of its tasks, which task configurations show.
    pub task_class: &'static str,
    /// Its version.
    pub version: &'static str,
    /// Makes instances.
    pub make: Make,
}

/// Makes connectors of one kind, not yet started.
#[derive(Clone, Copy)]
pub enum Make {
    /// Sources.
    Source(fn() -> Box<dyn SourceConnector>),
    /// Sinks.
    Sink(fn() -> Box<dyn SinkConnector>),
}

impl ConnectorPlugin {
    /// An instance, not yet started.
    #[must_use]
    pub fn make(&self) -> Connector {
        match self.make {
            Make::Source(make) => Connector::Source(make()),
            Make::Sink(make) => Connector::Sink(make()),
        }
    }

    /// Whether a configuration that names `class` means this plugin.
    #[must_use]
    pub fn answers_to(&self, class: &str) -> bool {
        self.class == class || self.aliases.contains(&class)
    }
}
