//! Creation of topics that a source writes to (KIP-158): groups of patterns with their settings.

use crate::policy::flag;
use dray_connect::source_batch::SourceBatch;
use dray_connect::{ConfigMap, Error, Result};
use dray_kafka::port::{Admin, NewTopic};
use fancy_regex::Regex;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long one describe or create request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug)]
struct Group {
    include: Regex,
    exclude: Regex,
    settings: NewTopic,
}

/// Creates the topics of one source task, if its connector has `topic.creation.` keys.
pub struct TopicCreator {
    admin: Option<Arc<dyn Admin>>,
    groups: Vec<Group>,
    known: HashSet<Arc<str>>,
}

impl TopicCreator {
    /// Reads the groups. `admin` is made only where topics are to be created: it costs threads.
    ///
    /// # Errors
    /// With the key and what is allowed, when a setting is wrong or the default group lacks one.
    pub fn from_config(
        config: &ConfigMap,
        worker: &ConfigMap,
        admin: impl FnOnce() -> Result<Arc<dyn Admin>>,
    ) -> Result<Self> {
        let wanted = config.keys().any(|key| key.starts_with("topic.creation."));
        if !wanted || !flag(worker, "topic.creation.enable", true)? {
            return Ok(Self {
                admin: None,
                groups: Vec::new(),
                known: HashSet::new(),
            });
        }
        let default = settings(config, "default", None)?;
        let mut groups = Vec::new();
        for name in list(config, "topic.creation.groups")
            .into_iter()
            .filter(|name| name != "default")
        {
            let pattern = |suffix: &str| {
                let key = format!("topic.creation.{name}.{suffix}");
                let joined = list(config, &key).join("|");
                Regex::new(&format!("^(?:{joined})$")).map_err(|error| {
                    Error::config(format!(
                        "Invalid value {joined} for configuration {key}: Syntax error in regular expression: {error}"
                    ))
                })
            };
            groups.push(Group {
                include: pattern("include")?,
                exclude: pattern("exclude")?,
                settings: settings(config, &name, Some(&default))?,
            });
        }
        let everything = Regex::new("").expect("the empty pattern is valid");
        let nothing = Regex::new("^$").expect("a constant pattern is valid");
        groups.push(Group {
            include: everything,
            exclude: nothing,
            settings: default,
        });
        Ok(Self {
            admin: Some(admin()?),
            groups,
            known: HashSet::new(),
        })
    }

    /// Makes sure that the topics of a batch exist. Waits while the broker is away.
    ///
    /// # Errors
    /// When a topic can never be created.
    pub async fn ensure(&mut self, batch: &SourceBatch, stop: &CancellationToken) -> Result<()> {
        let Some(admin) = &self.admin else { return Ok(()) };
        for record in batch.records() {
            let topic = batch.topic_name(record.topic);
            let name: &str = topic;
            if self.known.contains(topic) {
                continue;
            }
            let group = self.groups.iter().find(|group| {
                group.include.is_match(name).unwrap_or(false) && !group.exclude.is_match(name).unwrap_or(true)
            });
            let settings = group
                .map(|group| &group.settings)
                .expect("the default group takes every topic");
            let new = NewTopic {
                name: topic.to_string(),
                ..settings.clone()
            };
            while let Err(error) = create(admin.as_ref(), &new).await {
                if !error.is_retriable() {
                    let text = format!(
                        "Task failed to create new topic {}. Ensure that the task is authorized to create topics or that the topic exists and restart the task",
                        new.name
                    );
                    return Err(Error::connect(text).with_source(error));
                }
                tracing::warn!(topic = new.name, error = %error, "topic could not be created; tried again");
                if stop
                    .run_until_cancelled(tokio::time::sleep(Duration::from_secs(1)))
                    .await
                    .is_none()
                {
                    return Ok(());
                }
            }
            self.known.insert(topic.clone());
        }
        Ok(())
    }
}

/// Creates a topic unless it exists.
pub(crate) async fn create(admin: &dyn Admin, new: &NewTopic) -> dray_kafka::Result<()> {
    if admin.partitions(&new.name, REQUEST_TIMEOUT).await?.is_none() {
        let created = admin.create_topic(new, REQUEST_TIMEOUT).await?;
        tracing::info!(topic = new.name, partitions = new.partitions, outcome = ?created, "topic is there");
    }
    Ok(())
}

fn list(config: &ConfigMap, key: &str) -> Vec<String> {
    let text = config.get(key).map_or("", |value| value.trim());
    text.split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
        .map(str::to_owned)
        .collect()
}

fn settings(config: &ConfigMap, group: &str, default: Option<&NewTopic>) -> Result<NewTopic> {
    let prefix = format!("topic.creation.{group}.");
    let number = |name: &str, default: Option<i64>, problem: &str| {
        let key = format!("{prefix}{name}");
        let Some(text) = config.get(&key) else {
            return default.ok_or_else(|| {
                Error::config(format!(
                    "Missing required configuration \"{key}\" which has no default value."
                ))
            });
        };
        let number: Option<i64> = text.trim().parse().ok().filter(|n| *n == -1 || *n >= 1);
        number.ok_or_else(|| Error::config(format!("Invalid value {text} for configuration {key}: {problem}")))
    };
    let replication_factor = number(
        "replication.factor",
        default.map(|topic| i64::from(topic.replication_factor)),
        "Replication factor must be positive and not larger than the number of brokers in the Kafka cluster, or -1 to use the broker's default",
    )?;
    let partitions = number(
        "partitions",
        default.map(|topic| i64::from(topic.partitions)),
        "Number of partitions must be positive, or -1 to use the broker's default",
    )?;
    let own = ["include", "exclude", "replication.factor", "partitions"];
    let configs: BTreeMap<String, String> = config
        .iter()
        .filter_map(|(key, value)| Some((key.strip_prefix(&prefix)?, value)))
        .filter(|(suffix, _)| !own.contains(suffix))
        .map(|(suffix, value)| (suffix.to_owned(), value.clone()))
        .collect();
    Ok(NewTopic {
        name: String::new(),
        partitions: i32::try_from(partitions).map_err(|_| Error::config(format!("{prefix}partitions is too large")))?,
        replication_factor: i16::try_from(replication_factor)
            .map_err(|_| Error::config(format!("{prefix}replication.factor is too large")))?,
        configs,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(pairs: &[(&str, &str)]) -> ConfigMap {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn the_default_group_needs_partitions_and_factor() {
        let error = settings(&config(&[("topic.creation.default.partitions", "3")]), "default", None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "Missing required configuration \"topic.creation.default.replication.factor\" which has no default value."
        );
    }

    #[test]
    fn groups_inherit_and_override() {
        let config = config(&[
            ("topic.creation.default.partitions", "3"),
            ("topic.creation.default.replication.factor", "-1"),
            ("topic.creation.logs.partitions", "1"),
            ("topic.creation.logs.cleanup.policy", "compact"),
        ]);
        let default = settings(&config, "default", None).unwrap();
        let logs = settings(&config, "logs", Some(&default)).unwrap();
        assert_eq!((logs.partitions, logs.replication_factor), (1, -1));
        assert_eq!(logs.configs["cleanup.policy"], "compact");
    }
}
