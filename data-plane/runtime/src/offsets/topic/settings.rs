//! The topic that holds offsets: its worker keys, the clients for it, and its creation and check.

use super::{REQUEST_TIMEOUT, failed};
use crate::client_config::internal;
use dray_connect::config::{ConfigDef, ConfigKey, ConfigType, Importance};
use dray_connect::{ConfigMap, Error, Result};
use dray_kafka::port::{Admin, ClientConfig, NewTopic, TopicCreation};
use std::collections::BTreeMap;

const TOPIC: &str = "offset.storage.topic";
const PARTITIONS: &str = "offset.storage.partitions";
const REPLICATION_FACTOR: &str = "offset.storage.replication.factor";
const PREFIX: &str = "offset.storage.";
const CLEANUP_POLICY: &str = "cleanup.policy";
const COMPACT: &str = "compact";

/// `offset.storage.*` of a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetTopic(NewTopic);

impl OffsetTopic {
    /// The topic that the worker's keys describe; none when `offset.storage.topic` is not set.
    ///
    /// # Errors
    /// With the key and what is allowed.
    pub fn from_worker(worker: &ConfigMap) -> Result<Option<Self>> {
        if !worker.contains_key(TOPIC) {
            return Ok(None);
        }
        let parsed = definition().parse(worker)?;
        let name = parsed.string(TOPIC).unwrap_or_default().to_owned();
        let one_or_more = |key: &str, value: i32| match value {
            -1 | 1.. => Ok(value),
            _ => Err(Error::invalid_config(
                key,
                Some(&value.to_string()),
                Some("Value must be greater than 0, or -1 to use the broker's default"),
            )),
        };
        let factor = parsed.short(REPLICATION_FACTOR)?;
        one_or_more(REPLICATION_FACTOR, factor.into())?;
        let mut configs: BTreeMap<String, String> = parsed
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
            name,
            partitions: one_or_more(PARTITIONS, parsed.int(PARTITIONS)?)?,
            replication_factor: factor,
            configs,
        })))
    }

    pub(super) fn into_new_topic(self) -> NewTopic {
        self.0
    }
}

fn definition() -> ConfigDef {
    ConfigDef::new()
        .define(
            ConfigKey::new(TOPIC, ConfigType::String)
                .importance(Importance::High)
                .doc("The name of the Kafka topic where source connector offsets are stored"),
        )
        .define(
            ConfigKey::new(PARTITIONS, ConfigType::Int)
                .default_value(25)
                .importance(Importance::Low)
                .doc("The number of partitions used when creating the offset storage topic"),
        )
        .define(
            ConfigKey::new(REPLICATION_FACTOR, ConfigType::Short)
                .default_value(3)
                .importance(Importance::Low)
                .doc("Replication factor used when creating the offset storage topic"),
        )
}

pub(super) fn producer(worker: &ConfigMap) -> ClientConfig {
    let mut config = internal(worker, "dray-offsets");
    config.insert("acks".into(), "all".into());
    config.insert("enable.idempotence".into(), "false".into());
    config.insert("max.in.flight.requests.per.connection".into(), "1".into());
    config.insert("delivery.timeout.ms".into(), "2147483647".into());
    config
}

pub(super) fn consumer(worker: &ConfigMap) -> ClientConfig {
    internal(worker, "dray-offsets")
}

pub(super) fn admin(worker: &ConfigMap) -> ClientConfig {
    internal(worker, "dray-offsets")
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
    let policy = match admin.topic_config(name, REQUEST_TIMEOUT).await {
        Ok(mut config) => config.remove(CLEANUP_POLICY).unwrap_or_default(),
        Err(error) if error.is_retriable() => return Err(failed("describing", name, error)),
        Err(error) => {
            tracing::warn!(topic = name, %error, "whether the offsets topic is compacted cannot be checked");
            return Ok(());
        }
    };
    if policy == COMPACT {
        return Ok(());
    }
    Err(Error::config(format!(
        "Topic '{name}' supplied via the '{TOPIC}' property is required to have 'cleanup.policy=compact' to guarantee \
         consistency and durability of source connector offsets, but found the topic currently has \
         'cleanup.policy={policy}'. Continuing would likely result in eventually losing source connector offsets. \
         Change the '{TOPIC}' property to a topic with 'cleanup.policy=compact', or alter the topic"
    )))
}
