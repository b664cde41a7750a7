//! Dead letter queues: records that failed, with the reason in headers. A sink's is Connect's (KIP-298), a source's is Dray's own.
//! Unlike Connect's, both are part of the record's way: offsets wait until the letters are acknowledged.

mod sink;
mod source;

pub use self::sink::{DeadLetters, Letter};
pub use self::source::{SourceLetters, Why};

use crate::guard::trace;
use crate::policy::Failure;
use crate::topics::create;
use dray_connect::{ConfigMap, Error, Result};
use dray_kafka::port::{Admin, NewTopic};
use dray_model::{Generation, TaskId};
use dray_process::hidden::Hidden;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::time::Duration;

/// Which ownership of the task wrote a letter.
const GENERATION: &str = "__dray.errors.generation";
/// The [`pipeline_hash`] of the configuration that the record failed under.
const CONFIG_HASH: &str = "__dray.errors.config.hash";

/// How many bytes a record's value had before it was cut.
pub(crate) const CUT: &str = "__dray.value.bytes";

/// Whose letters these are.
#[derive(Clone)]
pub struct Writer {
    /// The task.
    pub id: TaskId,
    /// Its ownership.
    pub generation: Generation,
    /// What its records go through, in short.
    pub pipeline: String,
    /// What nobody is to read in a reason.
    pub hidden: Hidden,
}

impl Writer {
    /// What headers say besides where the record is: who had it, where it failed and why, in Connect's names and then in ours.
    fn reasons(&self, failure: &Failure) -> [(&'static str, String); 9] {
        let error = &failure.error;
        [
            ("__connect.errors.connector.name", self.id.connector.to_string()),
            ("__connect.errors.task.id", self.id.number.to_string()),
            ("__connect.errors.stage", failure.stage.name().to_owned()),
            ("__connect.errors.class.name", failure.class.to_string()),
            ("__connect.errors.exception.class.name", error.java_class().to_owned()),
            (
                "__connect.errors.exception.message",
                self.hidden.hide(&error.to_string()).into_owned(),
            ),
            (
                "__connect.errors.exception.stacktrace",
                self.hidden.hide(&trace(error)).into_owned(),
            ),
            (GENERATION, self.generation.to_string()),
            (CONFIG_HASH, self.pipeline.clone()),
        ]
    }
}

/// Tells pipelines apart: letters that one configuration has written from those of the next, which may be mended. Made of the converters and
/// of the keys of transforms and predicates; values that nobody is to read do not enter it.
#[must_use]
pub fn pipeline_hash<'a>(
    connector: &ConfigMap,
    converters: impl IntoIterator<Item = (&'a str, &'a ConfigMap)>,
    hidden: &Hidden,
) -> String {
    let mut hash = Sha256::new();
    let mut add = |text: &str| {
        hash.update(hidden.hide(text).as_bytes());
        hash.update([0]);
    };
    for (class, settings) in converters {
        add(class);
        for (key, value) in settings {
            add(key);
            add(value);
        }
    }
    let parts = ["transforms", "predicates"];
    let of_pipeline = |key: &str| {
        let rest = parts.iter().find_map(|part| key.strip_prefix(part));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    for (key, value) in connector.iter().filter(|(key, _)| of_pipeline(key)) {
        add(key);
        add(value);
    }
    hash.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Makes sure that the topic of a queue exists, with one partition as in Connect. Waits while the broker is away. Cancel-safe.
async fn prepare(admin: &dyn Admin, topic: &str, replication_factor: i16) -> Result<()> {
    let new = NewTopic {
        name: topic.to_owned(),
        partitions: 1,
        replication_factor,
        configs: BTreeMap::new(),
    };
    while let Err(error) = create(admin, &new).await {
        if !error.is_retriable() {
            let text = format!("Could not initialize dead letter queue with topic={topic}");
            return Err(Error::connect(text).with_source(error));
        }
        tracing::warn!(topic, error = %error, "dead letter queue could not be created; tried again");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Ok(())
}

/// The error of a task whose letter cannot be written: its record is then not finished, and nothing behind it is committed.
fn unwritable(topic: &str, error: dray_kafka::Error) -> Error {
    Error::connect(format!("dead letter queue {topic} cannot be written")).with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_of_the_pipeline_alone() {
        let map = |pairs: &[(&str, &str)]| -> ConfigMap {
            let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
            pairs.iter().map(own).collect()
        };
        let hidden = Hidden::default();
        let hash = |connector: &[(&str, &str)], class: &str| {
            let none = ConfigMap::new();
            pipeline_hash(&map(connector), [(class, &none)], &hidden)
        };
        let drop = [
            ("transforms", "drop"),
            ("transforms.drop.type", "Filter"),
            ("topics", "a"),
        ];
        let first = hash(&drop, "StringConverter");
        assert_eq!(first.len(), 16);
        let mut elsewhere = drop;
        elsewhere[2] = ("topics", "b");
        assert_eq!(hash(&elsewhere, "StringConverter"), first);
        assert_ne!(hash(&drop, "JsonConverter"), first);
        elsewhere[1] = ("transforms.drop.type", "Drop");
        assert_ne!(hash(&elsewhere, "StringConverter"), first);
        assert_eq!(hash(&[("transformsx", "1")], ""), hash(&[], ""));
    }
}
