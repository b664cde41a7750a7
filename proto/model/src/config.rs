//! Configurations of connectors and tasks: as a whole, as the difference between the two, and by digest.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt;

/// A configuration: keys and values as Connect has them.
pub type ConfigMap = BTreeMap<String, String>;

/// The keys of a connector's configuration that its tasks never read: a change of them alone restarts no task.
pub const KEYS_OF_THE_CONNECTOR: [&str; 2] = ["tasks.max", "tasks.max.enforce"];

/// What makes a task's configuration out of its connector's. Java connectors repeat the whole configuration in each task, and this
/// is a tenth of that.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigDiff {
    /// Keys that the connector's configuration does not have, or has with another value.
    pub set: ConfigMap,
    /// Keys that only the connector's configuration has, in order.
    pub removed: Vec<String>,
}

impl ConfigDiff {
    /// The difference from `base` to `config`.
    #[must_use]
    pub fn between(base: &ConfigMap, config: &ConfigMap) -> Self {
        let set = config
            .iter()
            .filter(|(key, value)| base.get(*key) != Some(value))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        let removed = base.keys().filter(|key| !config.contains_key(*key)).cloned().collect();
        Self { set, removed }
    }

    /// The configuration that differs so from `base`.
    #[must_use]
    pub fn apply(&self, base: &ConfigMap) -> ConfigMap {
        let mut config = base.clone();
        for key in &self.removed {
            config.remove(key);
        }
        config.extend(self.set.iter().map(|(key, value)| (key.clone(), value.clone())));
        config
    }
}

/// The SHA-256 of all that a task is made of. Tasks with equal digests need not be restarted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ConfigDigest([u8; 32]);

impl ConfigDigest {
    /// The digest of a task's configuration and of what its connector's says about it: converters, transforms, error handling.
    #[must_use]
    pub fn of_task(connector: &ConfigMap, task: &ConfigMap) -> Self {
        let mut hash = Sha256::new();
        let own = connector
            .iter()
            .filter(|(key, _)| !KEYS_OF_THE_CONNECTOR.contains(&key.as_str()));
        Self::add(&mut hash, own);
        hash.update([0xFF]); // no text has this byte, so the two cannot run into each other
        Self::add(&mut hash, task.iter());
        Self(hash.finalize().into())
    }

    /// The digest of a connector's configuration: its instance is restarted when it changes.
    #[must_use]
    pub fn of_connector(config: &ConfigMap) -> Self {
        let mut hash = Sha256::new();
        Self::add(&mut hash, config.iter());
        Self(hash.finalize().into())
    }

    fn add<'a>(hash: &mut Sha256, pairs: impl Iterator<Item = (&'a String, &'a String)>) {
        for (key, value) in pairs {
            for text in [key, value] {
                hash.update((text.len() as u64).to_le_bytes());
                hash.update(text);
            }
        }
    }

    /// The bytes, as they are stored and sent.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for ConfigDigest {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for ConfigDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ConfigDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> ConfigMap {
        pairs
            .iter()
            .map(|(key, value)| ((*key).into(), (*value).into()))
            .collect()
    }

    #[test]
    fn a_difference_leads_back() {
        let base = map(&[("a", "1"), ("b", "2"), ("c", "3")]);
        for config in [map(&[]), base.clone(), map(&[("a", "1"), ("b", "x"), ("d", "4")])] {
            assert_eq!(ConfigDiff::between(&base, &config).apply(&base), config);
        }
        assert_eq!(ConfigDiff::between(&base, &base), ConfigDiff::default());
    }

    #[test]
    fn digests_differ_where_a_task_would() {
        let (connector, task) = (map(&[("x", "1"), ("tasks.max", "1")]), map(&[("t", "1")]));
        let digest = ConfigDigest::of_task(&connector, &task);
        assert_eq!(
            digest,
            ConfigDigest::of_task(&map(&[("x", "1"), ("tasks.max", "9")]), &task)
        );
        for (connector, task) in [
            (map(&[("x", "2")]), task.clone()),
            (map(&[("x1", "")]), task.clone()),
            (map(&[("x", "1"), ("t", "1")]), map(&[])),
            (map(&[]), map(&[("x", "1"), ("t", "1")])),
        ] {
            assert_ne!(digest, ConfigDigest::of_task(&connector, &task));
        }
    }
}
