//! The keys of the mirror source and what becomes of them. Those that MirrorMaker has mean the same.

use crate::policy::{Names, Policy, Selection};
use dray_connect::config::{
    ConfigDef, ConfigKey, ConfigMap, ConfigType, ConfigValue, Importance, NonEmptyString, Range, ValidString,
};
use dray_connect::sink_batch::TopicPartition;
use dray_connect::{Error, Result};
use std::sync::Arc;
use std::time::Duration;

const ENABLED: &str = "enabled";
const SOURCE: &str = "source.cluster.alias";
const TARGET: &str = "target.cluster.alias";
const TOPICS: &str = "topics";
const EXCLUDE: &str = "topics.exclude";
const POLICY: &str = "replication.policy.class";
const SEPARATOR: &str = "replication.policy.separator";
const INTERNAL_SEPARATOR: &str = "replication.policy.internal.topic.separator.enabled";
const FACTOR: &str = "replication.factor";
const REFRESH: &str = "refresh.topics.enabled";
const INTERVAL: &str = "refresh.topics.interval.seconds";
const HEARTBEATS: &str = "heartbeats.replication.enabled";
const POLL: &str = "consumer.poll.timeout.ms";
const ADMIN: &str = "admin.timeout.ms";
const PASS: &str = "dray.pass.through";
/// Set by the connector, for each task.
const ASSIGNED: &str = "task.assigned.partitions";
const INDEX: &str = "task.index";

/// MirrorMaker's policies, by both of their names.
const DEFAULT_POLICY: &str = "org.apache.kafka.connect.mirror.DefaultReplicationPolicy";
const IDENTITY_POLICY: &str = "org.apache.kafka.connect.mirror.IdentityReplicationPolicy";
const POLICIES: [&str; 4] = [
    DEFAULT_POLICY,
    IDENTITY_POLICY,
    "DefaultReplicationPolicy",
    "IdentityReplicationPolicy",
];

/// Keys of MirrorMaker that mean nothing here yet.
const WITHOUT_EFFECT: [&str; 9] = [
    "config.properties.exclude",
    "config.property.filter.class",
    "emit.offset-syncs.enabled",
    "forwarding.admin.class",
    "offset-syncs.",
    "offset.lag.max",
    "sync.topic.acls.",
    "sync.topic.configs.",
    "topic.filter.class",
];

/// The keys. Settings of clients (`source.cluster.*`, `source.consumer.*`, ...) are not among them: Kafka has too many.
pub(crate) fn definition() -> ConfigDef {
    let flag = |name, default: bool, doc: &str| {
        ConfigKey::new(name, ConfigType::Boolean)
            .default_value(default)
            .importance(Importance::Low)
            .doc(doc)
    };
    let list = |name, default: &[&str], doc: &str| {
        let default = default.iter().map(|name| (*name).to_owned()).collect();
        ConfigKey::new(name, ConfigType::List)
            .default_value(ConfigValue::List(default))
            .importance(Importance::High)
            .doc(doc)
    };
    let text = |name, default: &str, doc: &str| {
        ConfigKey::new(name, ConfigType::String)
            .default_value(default)
            .importance(Importance::Low)
            .doc(doc)
    };
    let positive = |name, default: i64, doc: &str| {
        ConfigKey::new(name, ConfigType::Long)
            .default_value(default)
            .validator(Range::at_least(ConfigValue::Long(1)))
            .importance(Importance::Low)
            .doc(doc)
    };
    ConfigDef::new()
        .define(flag(ENABLED, true, "Whether to replicate source->target"))
        .define(
            ConfigKey::new(SOURCE, ConfigType::String)
                .validator(NonEmptyString)
                .importance(Importance::High)
                .doc("Alias of source cluster"),
        )
        .define(
            text(TARGET, "target", "Alias of target cluster. Used in metrics reporting.")
                .importance(Importance::High)
                .doc("Alias of target cluster: topics that came from there are not copied back"),
        )
        .define(list(TOPICS, &[".*"], "Topics to replicate. Supports comma-separated topic names and regexes."))
        .define(list(
            EXCLUDE,
            &[".*[\\-\\.]internal", ".*\\.replica", "__.*"],
            "Excluded topics. Supports comma-separated topic names and regexes. Excludes take precedence over includes.",
        ))
        .define(
            text(POLICY, DEFAULT_POLICY, "Class which defines the remote topic naming convention")
                .validator(ValidString::of(POLICIES)),
        )
        .define(text(SEPARATOR, ".", "Separator used in remote topic naming convention").validator(NonEmptyString))
        .define(flag(
            INTERNAL_SEPARATOR,
            true,
            "Whether MirrorMaker's own topics, which are never copied, have replication.policy.separator in their names, where that is set",
        ))
        .define(
            ConfigKey::new(FACTOR, ConfigType::Int)
                .default_value(2)
                .importance(Importance::Low)
                .doc("Replication factor for newly created remote topics; -1 is the broker's default"),
        )
        .define(flag(REFRESH, true, "Whether to periodically check for new topics and partitions"))
        .define(positive(INTERVAL, 600, "Frequency of topic refresh"))
        .define(flag(
            HEARTBEATS,
            true,
            "Whether to replicate the heartbeats topics even when the topic filter does not include them",
        ))
        .define(positive(POLL, 1000, "Timeout when polling source cluster"))
        .define(positive(ADMIN, 60_000, "Timeout for administrative tasks, e.g. detecting new topics"))
        .define(flag(
            PASS,
            true,
            "Whether batches are handed on whole where that makes no difference to what is stored; false decodes every record",
        ))
}

/// What the connector and its tasks do.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) enabled: bool,
    pub(crate) policy: Policy,
    pub(crate) selection: Selection,
    /// Of topics that it creates.
    pub(crate) replication_factor: i16,
    /// Between two looks for new topics and partitions; none without looking.
    pub(crate) refresh: Option<Duration>,
    /// How long an idle poll waits.
    pub(crate) poll: Duration,
    /// How long one administrative request may take.
    pub(crate) admin: Duration,
    pub(crate) pass_through: bool,
}

impl Plan {
    pub(crate) fn new(config: &ConfigMap) -> Result<Self> {
        let parsed = definition().parse(config)?;
        let text = |key: &str| parsed.string(key).unwrap_or_default().to_owned();
        let names = |key: &str| Names::of(key, parsed.list(key).unwrap_or_default());
        let millis = |key: &str| parsed.long(key).map(|ms| Duration::from_millis(ms.unsigned_abs()));
        let separator = text(SEPARATOR);
        // Only where the separator is set the flag is looked at, as MirrorMaker does it.
        let internal = if config.contains_key(SEPARATOR) && !parsed.boolean(INTERNAL_SEPARATOR)? {
            ".".to_owned()
        } else {
            separator.clone()
        };
        let factor = parsed.int(FACTOR)?;
        let replication_factor = i16::try_from(factor)
            .ok()
            .filter(|factor| *factor == -1 || *factor > 0)
            .ok_or_else(|| {
                let problem = "Value must be -1 or a number of brokers";
                Error::invalid_config(FACTOR, Some(&factor.to_string()), Some(problem))
            })?;
        Ok(Self {
            enabled: parsed.boolean(ENABLED)?,
            policy: Policy {
                identity: text(POLICY).ends_with("IdentityReplicationPolicy"),
                separator,
                internal_separator: internal,
                source: text(SOURCE),
            },
            selection: Selection {
                include: names(TOPICS)?,
                exclude: names(EXCLUDE)?,
                heartbeats: parsed.boolean(HEARTBEATS)?,
                target: text(TARGET),
            },
            replication_factor,
            refresh: parsed
                .boolean(REFRESH)?
                .then(|| parsed.long(INTERVAL))
                .transpose()?
                .map(|seconds| Duration::from_secs(seconds.unsigned_abs())),
            poll: millis(POLL)?,
            admin: millis(ADMIN)?,
            pass_through: parsed.boolean(PASS)?,
        })
    }
}

/// Keys of MirrorMaker in a configuration that have no effect here.
pub(crate) fn without_effect(config: &ConfigMap) -> Vec<&str> {
    let means_nothing = |key: &&str| {
        let named = |other: &&str| *key == *other || other.ends_with('.') && key.starts_with(*other);
        WITHOUT_EFFECT.iter().any(named)
    };
    config.keys().map(String::as_str).filter(means_nothing).collect()
}

/// The configurations of the tasks: partitions go round, in their order, which is stable, so that as few as possible change their task.
pub(crate) fn for_tasks(config: &ConfigMap, partitions: &[TopicPartition], most: usize) -> Vec<ConfigMap> {
    let count = most.min(partitions.len());
    (0..count)
        .map(|index| {
            let own = partitions.iter().skip(index).step_by(count);
            let own: Vec<String> = own.map(|at| format!("{}-{}", at.topic, at.partition)).collect();
            let mut config = config.clone();
            config.insert(ASSIGNED.to_owned(), own.join(","));
            config.insert(INDEX.to_owned(), index.to_string());
            config
        })
        .collect()
}

/// The partitions of a task.
pub(crate) fn assigned(config: &ConfigMap) -> Result<Vec<TopicPartition>> {
    let list = config.get(ASSIGNED).map_or("", String::as_str);
    let names = list.split(',').map(str::trim).filter(|name| !name.is_empty());
    let mut topics: Vec<Arc<str>> = Vec::new();
    names
        .map(|name| {
            let wrong = || Error::invalid_config(ASSIGNED, Some(name), Some("is no partition of a topic"));
            let (topic, partition) = name.rsplit_once('-').ok_or_else(wrong)?;
            let known = topics.iter().find(|known| ***known == *topic).cloned();
            let topic = known.unwrap_or_else(|| {
                let topic: Arc<str> = topic.into();
                topics.push(Arc::clone(&topic));
                topic
            });
            let partition = partition.parse().map_err(|_| wrong())?;
            Ok(TopicPartition { topic, partition })
        })
        .collect()
}

/// The number of a task, for its client's name.
pub(crate) fn index(config: &ConfigMap) -> &str {
    config.get(INDEX).map_or("?", String::as_str)
}
