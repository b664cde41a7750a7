//! The keys of topic creation groups, `topic.creation.<group>.*` (KIP-158). They are not part of a connector's validation: a
//! wrong value fails the connector when it starts.

use super::key;
use super::worker_config::positive_or_minus_one;
use dray_connect::config::{ConfigDef, ConfigType, ConfigValue, Importance, Lambda, ParsedConfig};
use dray_connect::pattern::{self, Pattern};
use dray_connect::{ConfigMap, Error, Result};
use std::collections::BTreeMap;

const PREFIX: &str = "topic.creation.";
const DEFAULT: &str = "default";

/// Topics that are created alike.
#[derive(Clone, Debug)]
pub struct TopicGroup {
    /// Names that belong to it.
    pub include: Pattern,
    /// Names that do not, although they match.
    pub exclude: Pattern,
    /// Partitions of a new topic; -1 is the broker's default.
    pub partitions: i32,
    /// Replication factor of a new topic; -1 is the broker's default.
    pub replication_factor: i16,
    /// Settings of a new topic.
    pub configs: BTreeMap<String, String>,
}

impl TopicGroup {
    /// Whether a topic belongs to this group.
    ///
    /// # Errors
    /// When one of its patterns gives no answer for this name.
    pub fn takes(&self, topic: &str) -> Result<bool, pattern::Error> {
        Ok(self.include.matches(topic)? && !self.exclude.matches(topic)?)
    }
}

/// The groups of a configuration in the order to ask them, the default group last. None when no key asks for creation.
pub(super) fn groups(config: &ConfigMap, names: &[String]) -> Result<Vec<TopicGroup>> {
    if !config.keys().any(|key| key.starts_with(PREFIX)) {
        return Ok(Vec::new());
    }
    let default = read(config, DEFAULT, None)?;
    let mut groups = Vec::new();
    for name in names {
        if name == DEFAULT {
            tracing::warn!("topic.creation.groups names the group `default`, which is always there; it is ignored");
            continue;
        }
        groups.push(read(config, name, Some(&default))?);
    }
    groups.push(default);
    Ok(groups)
}

fn read(config: &ConfigMap, name: &str, default: Option<&TopicGroup>) -> Result<TopicGroup> {
    let prefix = format!("{PREFIX}{name}.");
    let parsed = ConfigDef::new()
        .embed(&prefix, name, 1, &definition(default))
        .parse(config)?;
    let own = ["include", "exclude", "replication.factor", "partitions"];
    let mut configs: BTreeMap<String, String> = parsed.originals_with_prefix(&prefix);
    configs.retain(|key, _| !own.contains(&key.as_str()));
    let number = |suffix: &str| format!("{prefix}{suffix}");
    Ok(TopicGroup {
        include: if default.is_none() {
            pattern(&[".*".to_owned()])?
        } else {
            patterns(&parsed, &number("include"))?
        },
        exclude: if default.is_none() {
            pattern(&[])?
        } else {
            patterns(&parsed, &number("exclude"))?
        },
        partitions: parsed.int(&number("partitions"))?,
        replication_factor: parsed.short(&number("replication.factor"))?,
        configs,
    })
}

fn patterns(parsed: &ParsedConfig, key: &str) -> Result<Pattern> {
    pattern(parsed.list(key).unwrap_or_default())
}

/// One pattern of a list of them; an empty list matches only the empty name.
fn pattern(list: &[String]) -> Result<Pattern> {
    Pattern::compile(&list.join("|"))
        .map_err(|error| Error::config(format!("Syntax error in regular expression: {error}")))
}

fn definition(default: Option<&TopicGroup>) -> ConfigDef {
    let regexes = || {
        Lambda::new("valid regex", |name, value| {
            let ConfigValue::List(list) = value else { return Ok(()) };
            pattern(list)
                .map(drop)
                .map_err(|error| Error::invalid_config(name, Some(&value.java_to_string()), Some(&error.to_string())))
        })
    };
    let low = Importance::Low;
    let def = ConfigDef::new();
    // The default group takes every topic that no other takes; what is written there for these two is ignored.
    let def = if default.is_some() {
        def.define(
            key(
                "include",
                ConfigType::List,
                low,
                "Patterns of the topics of this group.",
            )
            .default_value("")
            .validator(regexes()),
        )
        .define(
            key(
                "exclude",
                ConfigType::List,
                low,
                "Patterns of topics that are not of this group.",
            )
            .default_value("")
            .validator(regexes()),
        )
    } else {
        def
    };
    let factor = key("replication.factor", ConfigType::Short, low, "Replication factor of new topics; -1 is the broker's default.")
        .validator(positive_or_minus_one(
            "Positive number not larger than the number of brokers in the Kafka cluster, or -1 to use the broker's default",
            "Replication factor must be positive and not larger than the number of brokers in the Kafka cluster, or -1 to use the broker's default",
        ));
    let partitions = key(
        "partitions",
        ConfigType::Int,
        low,
        "Partitions of new topics; -1 is the broker's default.",
    )
    .validator(positive_or_minus_one(
        "Positive number, or -1 to use the broker's default",
        "Number of partitions must be positive, or -1 to use the broker's default",
    ));
    match default {
        None => def.define(factor).define(partitions),
        Some(group) => def
            .define(factor.default_value(group.replication_factor))
            .define(partitions.default_value(group.partitions)),
    }
}
