//! Where everything is kept: every key of a cluster, in one place. The values are `dray.store.v1`, one message each.
//!
//! | key | value | written by | lease | compared by |
//! |---|---|---|---|---|
//! | `/dray/{cluster}/meta` | `ClusterMeta` | any replica, rarely | | mod_revision |
//! | `/dray/{cluster}/leader` | `Leader` | candidates | 5 s | create_revision, the **term** |
//! | `/dray/{cluster}/loggers` | `LoggerLevels` | any replica | | mod_revision |
//! | `/dray/{cluster}/replica/{id}` | endpoints, version | that replica | 15 s | |
//! | `/dray/{cluster}/c/{name}/spec` | `Connector` | any replica | | mod_revision |
//! | `/dray/{cluster}/c/{name}/topics` | `ActiveTopics` | leader, and any replica that resets them | | mod_revision, and create_revision of the spec |
//! | `/dray/{cluster}/kafka` | `KafkaCluster` | leader | | mod_revision |
//! | `/dray/{cluster}/c/{name}/tasks` | `TaskSet`, whole or a manifest of parts | leader | | term |
//! | `/dray/{cluster}/c/{name}/part/{digest}` | one part of a task set | leader | | put if absent |
//! | `/dray/{cluster}/c/{name}/own/{shard}` | `Ownership` of 256 tasks, or of the connector instance | leader | | term |
//! | `/dray/{cluster}/a/{agent}` | `Agent` | leader | | mod_revision |
//! | `/dray/{cluster}/ops/{id}` | a long operation | leader, admin | | mod_revision |
//! | `/dray/{cluster}/idem/{key}` | outcome of an idempotent call | any replica | 1 h | put if absent |

use crate::key::{Key, KeyRange};
use dray_model::ConnectorName;
use dray_model::record::Shard;

/// The keys of one cluster.
#[derive(Clone, Debug)]
pub struct Keys {
    root: Key,
}

/// What a key of a cluster is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// The cluster itself.
    Meta,
    /// The Kafka cluster that the workers are at.
    Kafka,
    /// The leader.
    Leader,
    /// The levels of loggers.
    Loggers,
    /// A replica of the control plane, by its id.
    Replica(String),
    /// What is wanted of a connector.
    Spec(ConnectorName),
    /// The topics that it has used.
    Topics(ConnectorName),
    /// Its task configurations.
    Tasks(ConnectorName),
    /// A part of them, by its digest.
    Part(ConnectorName, Vec<u8>),
    /// Who owns them.
    Own(ConnectorName, Shard),
    /// An agent, by its id.
    Agent(String),
    /// A long operation, by its id.
    Operation(String),
    /// The outcome of a call, by its idempotency key.
    Idempotency(String),
}

impl Keys {
    /// The keys of the cluster with this id.
    #[must_use]
    pub fn new(cluster: &str) -> Self {
        Self {
            root: Key::root("dray").child(cluster),
        }
    }

    /// Everything of the cluster: what a replica watches.
    #[must_use]
    pub fn all(&self) -> KeyRange {
        self.root.below()
    }

    /// All replicas.
    #[must_use]
    pub fn replicas(&self) -> KeyRange {
        self.root.child("replica").below()
    }

    /// All that is kept of all connectors.
    #[must_use]
    pub fn connectors(&self) -> KeyRange {
        self.root.child("c").below()
    }

    /// All that is kept of a connector.
    #[must_use]
    pub fn connector(&self, name: &ConnectorName) -> KeyRange {
        self.root.child("c").child(name.as_str()).below()
    }

    /// All parts of a connector's task sets.
    #[must_use]
    pub fn parts(&self, name: &ConnectorName) -> KeyRange {
        self.root.child("c").child(name.as_str()).child("part").below()
    }

    /// All agents.
    #[must_use]
    pub fn agents(&self) -> KeyRange {
        self.root.child("a").below()
    }

    /// All long operations.
    #[must_use]
    pub fn operations(&self) -> KeyRange {
        self.root.child("ops").below()
    }

    /// The key of this name.
    #[must_use]
    pub fn key(&self, name: &Name) -> Key {
        let connector = |name: &ConnectorName, what: &str| self.root.child("c").child(name.as_str()).child(what);
        match name {
            Name::Meta => self.root.child("meta"),
            Name::Kafka => self.root.child("kafka"),
            Name::Leader => self.root.child("leader"),
            Name::Loggers => self.root.child("loggers"),
            Name::Replica(id) => self.root.child("replica").child(id),
            Name::Spec(name) => connector(name, "spec"),
            Name::Topics(name) => connector(name, "topics"),
            Name::Tasks(name) => connector(name, "tasks"),
            Name::Part(name, digest) => connector(name, "part").child(hex(digest)),
            Name::Own(name, Shard::Connector) => connector(name, "own").child("c"),
            Name::Own(name, Shard::Tasks(number)) => connector(name, "own").child(number.to_string()),
            Name::Agent(id) => self.root.child("a").child(id),
            Name::Operation(id) => self.root.child("ops").child(id),
            Name::Idempotency(key) => self.root.child("idem").child(key),
        }
    }

    /// What a key is for; `None` for one that this version does not know, a newer version's or somebody else's: leave it alone.
    #[must_use]
    pub fn parse(&self, key: &Key) -> Option<Name> {
        let segments: Vec<String> = key
            .segments()?
            .into_iter()
            .map(String::from_utf8)
            .collect::<Result<_, _>>()
            .ok()?;
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let connector = |name: &str| ConnectorName::try_from(name).ok();
        let name = match segments.get(2..)? {
            ["meta"] => Name::Meta,
            ["kafka"] => Name::Kafka,
            ["leader"] => Name::Leader,
            ["loggers"] => Name::Loggers,
            ["replica", id] => Name::Replica((*id).into()),
            ["c", name, "spec"] => Name::Spec(connector(name)?),
            ["c", name, "topics"] => Name::Topics(connector(name)?),
            ["c", name, "tasks"] => Name::Tasks(connector(name)?),
            ["c", name, "part", digest] => Name::Part(connector(name)?, unhex(digest)?),
            ["c", name, "own", "c"] => Name::Own(connector(name)?, Shard::Connector),
            ["c", name, "own", number] => Name::Own(connector(name)?, Shard::Tasks(number.parse().ok()?)),
            ["a", id] => Name::Agent((*id).into()),
            ["ops", id] => Name::Operation((*id).into()),
            ["idem", key] => Name::Idempotency((*key).into()),
            _ => return None,
        };
        // Another cluster's, and whatever is written differently ("own/007"), is none of ours.
        (self.key(&name) == *key).then_some(name)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .chars()
        .map(|digit| digit.to_digit(16).map(|digit| digit as u8))
        .collect::<Option<_>>()?;
    digits
        .chunks(2)
        .map(|pair| Some(pair.first()? << 4 | pair.get(1)?))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> ConnectorName {
        ConnectorName::try_from(name).unwrap()
    }

    #[test]
    fn every_name_has_its_key_and_comes_back() {
        let keys = Keys::new("c/1");
        let cases = [
            (Name::Meta, "/dray/c%2F1/meta"),
            (Name::Leader, "/dray/c%2F1/leader"),
            (Name::Loggers, "/dray/c%2F1/loggers"),
            (Name::Replica("r1".into()), "/dray/c%2F1/replica/r1"),
            (Name::Spec(name("a/b")), "/dray/c%2F1/c/a%2Fb/spec"),
            (Name::Kafka, "/dray/c%2F1/kafka"),
            (Name::Topics(name("x")), "/dray/c%2F1/c/x/topics"),
            (Name::Tasks(name("\u{e4}")), "/dray/c%2F1/c/%C3%A4/tasks"),
            (Name::Part(name("x"), vec![0, 0xab]), "/dray/c%2F1/c/x/part/00ab"),
            (Name::Own(name("x"), Shard::Connector), "/dray/c%2F1/c/x/own/c"),
            (Name::Own(name("x"), Shard::of(16_383)), "/dray/c%2F1/c/x/own/63"),
            (Name::Agent("host:8083".into()), "/dray/c%2F1/a/host%3A8083"),
            (Name::Operation("drain 1".into()), "/dray/c%2F1/ops/drain%201"),
            (Name::Idempotency("k".into()), "/dray/c%2F1/idem/k"),
        ];
        for (name, text) in cases {
            let key = keys.key(&name);
            assert_eq!(key.to_string(), text);
            assert!(keys.all().contains(&key), "{text}");
            assert_eq!(keys.parse(&key), Some(name), "{text}");
            assert_eq!(Keys::new("other").parse(&key), None, "{text}");
        }
    }

    #[test]
    fn what_is_not_known_has_no_name() {
        let keys = Keys::new("c");
        for text in [
            "/dray/c",
            "/dray/c/new",
            "/dray/c/c/x/own/07",
            "/dray/c/c/x/part/AB",
            "/dray/c/c/x/part/abc",
            "/dray/c/c//spec",
            "/x/c/meta",
        ] {
            assert_eq!(keys.parse(&Key::from_stored(text.as_bytes().to_vec())), None, "{text}");
        }
    }

    #[test]
    fn a_connector_holds_its_own_keys_only() {
        let keys = Keys::new("c");
        let range = keys.connector(&name("a"));
        assert!(range.contains(&keys.key(&Name::Own(name("a"), Shard::Connector))));
        assert!(!range.contains(&keys.key(&Name::Spec(name("ab")))));
        assert!(!range.contains(&keys.key(&Name::Spec(name("a/spec")))));
    }
}
