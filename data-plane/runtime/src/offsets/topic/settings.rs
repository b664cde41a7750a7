//! The topic that holds offsets: its worker keys, the clients for it, and its creation and check.

use super::{FIRST_PAUSE, REQUEST_TIMEOUT, failed};
use crate::client_config::internal;
use crate::config::WorkerConfig;
use dray_connect::config::ParsedConfig;
use dray_connect::{Error, Result};
use dray_kafka::port::{Admin, ClientConfig, NewTopic, TopicCreation};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

const TOPIC: &str = "offset.storage.topic";
const PARTITIONS: &str = "offset.storage.partitions";
const REPLICATION_FACTOR: &str = "offset.storage.replication.factor";
const PREFIX: &str = "offset.storage.";
const CLEANUP_POLICY: &str = "cleanup.policy";
const COMPACT: &str = "compact";
/// How long a new topic's settings may not be seen yet.
const VISIBLE: Duration = Duration::from_secs(5);

/// `offset.storage.*` of a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetTopic(NewTopic);

impl OffsetTopic {
    /// The topic that a worker's keys describe; none when `offset.storage.topic` is not set.
    pub(crate) fn read(worker: &ParsedConfig) -> Result<Option<Self>> {
        let Some(name) = worker.string(TOPIC) else {
            return Ok(None);
        };
        let mut configs: BTreeMap<String, String> = worker
            .originals_with_prefix(PREFIX)
            .into_iter()
            .filter(|(key, _)| !["topic", "partitions", "replication.factor", "file.filename"].contains(&key.as_str()))
            .collect();
        if let Some(policy) = configs.insert(CLEANUP_POLICY.to_owned(), COMPACT.to_owned())
            && policy != COMPACT
        {
            tracing::warn!(
                policy,
                "offset.storage.cleanup.policy is ignored: the offsets topic is always compacted"
            );
        }
        Ok(Some(Self(NewTopic {
            name: name.to_owned(),
            partitions: worker.int(PARTITIONS)?,
            replication_factor: worker.short(REPLICATION_FACTOR)?,
            configs,
        })))
    }

    pub(super) fn into_new_topic(self) -> NewTopic {
        self.0
    }
}

pub(super) fn producer(worker: &WorkerConfig) -> ClientConfig {
    let mut config = internal(worker.originals(), "dray-offsets");
    config.insert("acks".into(), "all".into());
    config.insert("enable.idempotence".into(), "false".into());
    config.insert("max.in.flight.requests.per.connection".into(), "1".into());
    config.insert("delivery.timeout.ms".into(), "2147483647".into());
    config
}

pub(super) fn consumer(worker: &WorkerConfig) -> ClientConfig {
    let mut config = internal(worker.originals(), "dray-offsets");
    // Sessions, and Connect with exactly-once sources, write transactions.
    config.insert("isolation.level".into(), "read_committed".into());
    config
}

pub(super) fn admin(worker: &WorkerConfig) -> ClientConfig {
    internal(worker.originals(), "dray-offsets")
}

/// Creates the topic where it is missing; one that is there must be compacted, or offsets would be lost with time.
pub(super) async fn ensure(admin: &dyn Admin, topic: &NewTopic) -> Result<()> {
    let name = &topic.name;
    let found = admin
        .partitions(name, REQUEST_TIMEOUT)
        .await
        .map_err(|error| failed("describing", name, error))?;
    if found.is_none() {
        let created = admin.create_topic(topic, REQUEST_TIMEOUT).await.map_err(|error| {
            let hint = format!(
                "creating the offsets topic '{name}' with {} partitions and replication factor {} (see {PREFIX}*)",
                topic.partitions, topic.replication_factor
            );
            match error.is_retriable() {
                true => Error::retriable(hint).with_source(error),
                false => Error::connect(hint).with_source(error),
            }
        })?;
        if created == TopicCreation::Created {
            tracing::info!(topic = name, "offsets topic created");
            return Ok(());
        }
    }
    // A topic that another agent has just created is there before its settings are.
    let until = Instant::now() + VISIBLE;
    let policy = loop {
        let policy = match admin.topic_config(name, REQUEST_TIMEOUT).await {
            Ok(mut config) => config.remove(CLEANUP_POLICY).unwrap_or_default(),
            Err(error) if Instant::now() < until && error.code.starts_with("TopicAuthorization") => String::new(),
            Err(error) if error.is_retriable() => return Err(failed("describing", name, error)),
            Err(error) => {
                tracing::warn!(topic = name, %error, "whether the offsets topic is compacted cannot be checked");
                return Ok(());
            }
        };
        if policy == COMPACT {
            return Ok(());
        }
        if Instant::now() >= until {
            break policy;
        }
        tokio::time::sleep(FIRST_PAUSE).await;
    };
    Err(Error::config(format!(
        "Topic '{name}' supplied via the '{TOPIC}' property is required to have 'cleanup.policy=compact' to guarantee \
         consistency and durability of source connector offsets, but found the topic currently has \
         'cleanup.policy={policy}'. Continuing would likely result in eventually losing source connector offsets. \
         Change the '{TOPIC}' property to a topic with 'cleanup.policy=compact', or alter the topic"
    )))
}
