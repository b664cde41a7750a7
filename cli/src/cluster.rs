//! A cluster as the commands see it, whichever way it is reached: Dray's control plane over gRPC ([`grpc`]), or the REST API of any Kafka
//! Connect ([`rest`]). Commands know this trait only; wire types and paths stop here.

pub(crate) mod contexts;
mod grpc;
mod http;
pub(crate) mod open;
mod rest;

use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::mpsc;

pub(crate) type Config = BTreeMap<String, String>;

/// What a cluster can be asked. Every call has a deadline of its own; a call that reads changes nothing.
#[async_trait::async_trait]
pub(crate) trait Cluster: Send + Sync {
    /// Where it is, for messages.
    fn at(&self) -> &str;
    /// What it says of itself.
    async fn about(&self) -> Result<About, Error>;
    /// All connectors with what is seen of them, by name.
    async fn connectors(&self) -> Result<Vec<Connector>, Error>;
    /// One connector with what is seen of it.
    async fn connector(&self, name: &str) -> Result<Connector, Error>;
    /// Creates one. `checked`: refused when validation finds errors; Kafka Connect cannot leave that out.
    async fn create(&self, new: &New, checked: bool) -> Result<(), Error>;
    /// Replaces a configuration; `revision`: only if the connector is at that one.
    async fn configure(&self, name: &str, config: &Config, revision: Option<u64>, checked: bool) -> Result<(), Error>;
    /// Deletes one.
    async fn delete(&self, name: &str) -> Result<(), Error>;
    /// Starts, pauses or stops one.
    async fn set_target(&self, name: &str, target: Target) -> Result<(), Error>;
    /// Restarts one; what of it.
    async fn restart(&self, name: &str, tasks: bool, only_failed: bool) -> Result<Restarted, Error>;
    /// The configurations of its tasks, by number.
    async fn task_configs(&self, name: &str) -> Result<Vec<Config>, Error>;
    /// Restarts a task.
    async fn restart_task(&self, name: &str, task: u32) -> Result<(), Error>;
    /// How far a connector is.
    async fn offsets(&self, name: &str) -> Result<Vec<Offset>, Error>;
    /// Sets offsets of a stopped connector; what is said about it.
    async fn set_offsets(&self, name: &str, offsets: &[Offset]) -> Result<String, Error>;
    /// Forgets the offsets of a stopped connector; what is said about it.
    async fn reset_offsets(&self, name: &str) -> Result<String, Error>;
    /// Letters of a connector's dead letter queue, from a place on or the newest.
    async fn letters(&self, name: &str, count: u32, from: Option<LetterPlace>) -> Result<Letters, Error>;
    /// Replays letters, and waits until they are stored.
    async fn replay_letters(&self, name: &str, replay: &Replay) -> Result<Replayed, Error>;
    /// Drops the letters before these places; what is left.
    async fn drop_letters(&self, name: &str, before: &[LetterPlace]) -> Result<Vec<LetterBounds>, Error>;
    /// The topics that it has written to or read from (KIP-558).
    async fn topics(&self, name: &str) -> Result<Vec<String>, Error>;
    /// Forgets these.
    async fn reset_topics(&self, name: &str) -> Result<(), Error>;
    /// All plugins.
    async fn plugins(&self) -> Result<Vec<Plugin>, Error>;
    /// The keys that a plugin defines.
    async fn plugin_keys(&self, plugin: &str) -> Result<Vec<Key>, Error>;
    /// What is wrong with a configuration.
    async fn validate(&self, config: &Config) -> Result<Validation, Error>;
    /// What would become of a connector's records.
    async fn preview(&self, ask: &Ask) -> Result<Preview, Error>;
    /// Loggers and their levels.
    async fn loggers(&self) -> Result<BTreeMap<String, Level>, Error>;
    /// One logger.
    async fn logger(&self, logger: &str) -> Result<Level, Error>;
    /// Sets a level; the loggers that it changed, where that is said.
    async fn set_level(&self, logger: &str, level: &str, scope: Scope) -> Result<Vec<String>, Error>;
    /// The processes that make it up.
    async fn members(&self) -> Result<Vec<Member>, Error>;
    /// Agents of a Dray cluster.
    async fn agents(&self) -> Result<Vec<Agent>, Error>;
    /// One agent.
    async fn agent(&self, id: &str) -> Result<Agent, Error>;
    /// Decides about an agent.
    async fn decide(&self, id: &str, policy: Policy) -> Result<(), Error>;
    /// Sends all that is seen, then every change of it, until the receiver is gone or the stream breaks.
    async fn watch(&self, events: mpsc::Sender<Event>) -> Result<(), Error>;
}

/// A connector: what is wanted of it, and what is seen.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Connector {
    pub(crate) name: String,
    /// None: nobody says.
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    pub(crate) state: String,
    /// What the user wants; Kafka Connect does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) wanted: Option<Target>,
    /// Why its breaker has paused it, if that is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) breaker: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) deleting: bool,
    /// For `--if-revision`; Kafka Connect has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) revision: Option<u64>,
    #[serde(flatten)]
    pub(crate) seen: Seen,
    pub(crate) tasks: Vec<Task>,
    pub(crate) config: Config,
    /// Since when nobody has heard of its leader: what is seen is as old as that.
    #[serde(skip)]
    pub(crate) stale_s: Option<i64>,
}

/// A task, as it is seen.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Task {
    pub(crate) id: u32,
    pub(crate) state: String,
    #[serde(flatten)]
    pub(crate) seen: Seen,
}

/// Where something runs and how it fares.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Seen {
    /// host:port, as Connect shows it; empty: nobody runs it.
    pub(crate) worker_id: String,
    /// Only in a Dray cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) agent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) generation: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) restarts: Option<u32>,
    /// Why it is not as it should be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trace: Option<String>,
}

/// What the user wants of a connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Target {
    Running,
    Paused,
    Stopped,
}

impl Target {
    /// As in `initial_state`.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Paused => "PAUSED",
            Self::Stopped => "STOPPED",
        }
    }
}

/// A connector that is to be.
#[derive(Clone, Debug)]
pub(crate) struct New {
    pub(crate) name: String,
    pub(crate) config: Config,
    pub(crate) target: Target,
}

/// What a restart was for.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Restarted {
    /// None: it is not said.
    pub(crate) instance: Option<bool>,
    pub(crate) tasks: Vec<u32>,
}

/// How far a connector is in one partition, as the connector itself puts it.
#[derive(Clone, Debug, PartialEq, Serialize, serde::Deserialize)]
pub(crate) struct Offset {
    pub(crate) partition: Value,
    #[serde(default)]
    pub(crate) offset: Value,
}

/// A place in a dead letter queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LetterPlace {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
}

/// What a partition of a dead letter queue holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct LetterBounds {
    pub(crate) partition: i32,
    pub(crate) first: i64,
    /// The offset behind the last.
    pub(crate) end: i64,
}

/// A dead letter.
#[derive(Clone, Debug)]
pub(crate) struct Letter {
    pub(crate) place: LetterPlace,
    pub(crate) timestamp_ms: Option<i64>,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
}

/// A dead letter queue and some of its letters, oldest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Letters {
    pub(crate) topic: String,
    pub(crate) bounds: Vec<LetterBounds>,
    pub(crate) letters: Vec<Letter>,
}

impl Letters {
    /// How many there are in the queue, or were before some were compacted away.
    pub(crate) fn count(&self) -> i64 {
        self.bounds.iter().map(|bound| bound.end - bound.first).sum()
    }
}

/// Which letters to replay.
#[derive(Clone, Debug)]
pub(crate) struct Replay {
    pub(crate) from: LetterPlace,
    pub(crate) count: u32,
    pub(crate) to: Option<String>,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Replayed {
    pub(crate) replayed: u64,
    /// By offset, and why.
    pub(crate) refused: Vec<(i64, String)>,
    /// The offset to go on at.
    pub(crate) next: i64,
}

/// Which records a preview is of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ask {
    pub(crate) name: String,
    pub(crate) config: Config,
    /// 0: as many as the cluster thinks fit.
    pub(crate) records: u32,
    /// These, instead of real ones.
    pub(crate) lines: Vec<String>,
    pub(crate) from_beginning: bool,
    /// Topic, partition and the first offset there.
    pub(crate) offsets: Vec<(String, i32, i64)>,
    pub(crate) wait: Option<Duration>,
}

/// What would become of a connector's records: a JSON object each.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Preview {
    pub(crate) records: Vec<Value>,
    /// Why there are no more.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) note: String,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Plugin {
    pub(crate) class: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) version: String,
}

/// A key of a configuration, as its plugin defines it.
#[derive(Clone, Debug, Default, Serialize, serde::Deserialize)]
pub(crate) struct Key {
    pub(crate) name: String,
    #[serde(rename = "type", default)]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) required: bool,
    #[serde(default)]
    pub(crate) default_value: Option<String>,
    #[serde(default)]
    pub(crate) importance: String,
    #[serde(default)]
    pub(crate) documentation: String,
}

/// What validation found: only keys with errors, and those that nothing defines.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Validation {
    pub(crate) error_count: u32,
    pub(crate) errors: Vec<KeyErrors>,
    /// Keys of the configuration that no plugin defines: often a typing error.
    pub(crate) unknown: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct KeyErrors {
    pub(crate) key: String,
    pub(crate) value: Option<String>,
    pub(crate) errors: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) recommended: Vec<String>,
}

#[derive(Clone, Debug, Serialize, serde::Deserialize)]
pub(crate) struct Level {
    pub(crate) level: Option<String>,
    /// Milliseconds since 1970.
    #[serde(default)]
    pub(crate) last_modified: Option<u64>,
}

/// How far a change of a level goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Scope {
    /// Only the process that is asked
    Worker,
    /// All processes of the cluster
    Cluster,
}

/// What a cluster says of itself.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct About {
    /// `Dray` or `Kafka Connect`.
    pub(crate) product: &'static str,
    pub(crate) version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) commit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kafka_cluster_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cluster: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) revision: Option<u64>,
    /// None: there is none; not shown where there never is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) leader: Option<Leader>,
    #[serde(skip)]
    pub(crate) has_leader: bool,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Leader {
    pub(crate) replica: String,
    pub(crate) term: u64,
}

/// A process of a cluster.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Member {
    pub(crate) id: String,
    /// `control`, `agent` or `worker`.
    pub(crate) role: &'static str,
    pub(crate) state: String,
    pub(crate) address: String,
    pub(crate) version: String,
    /// None: it runs none, by its role.
    pub(crate) connectors: Option<usize>,
    pub(crate) tasks: Option<usize>,
}

#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Agent {
    pub(crate) id: String,
    pub(crate) number: u32,
    pub(crate) revision: u64,
    pub(crate) policy: String,
    pub(crate) link: String,
    pub(crate) worker_id: String,
    pub(crate) region: String,
    pub(crate) zone: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) slots: u32,
    pub(crate) cost: u32,
    pub(crate) software_version: String,
    pub(crate) session: u64,
    /// Tasks and instances that it owns.
    pub(crate) tasks: u32,
    pub(crate) drained: bool,
    pub(crate) unfenced: Vec<Unfenced>,
    pub(crate) problem: Option<String>,
    #[serde(skip)]
    pub(crate) stale_s: Option<i64>,
}

/// A session that was declared dead and may still act on these Kafka clusters.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Unfenced {
    pub(crate) session: u64,
    pub(crate) clusters: Vec<String>,
}

/// What an operator decides about an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    Active,
    Cordoned,
    Draining,
    Removed,
}

/// Something seen by a watch.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Event {
    /// Forget everything: all of it comes again.
    pub(crate) reset: bool,
    /// From here on, nothing is missing.
    pub(crate) synced: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stale_s: Option<i64>,
    pub(crate) changes: Vec<Change>,
}

/// The latest word on something; no state: it is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Change {
    /// `connector`, `task` or `agent`.
    pub(crate) what: &'static str,
    pub(crate) name: String,
    pub(crate) state: Option<String>,
    /// Where, or for an agent what it carries.
    pub(crate) place: String,
    pub(crate) trace: Option<String>,
}

/// Why a cluster did not do it.
#[derive(Debug, thiserror::Error)]
#[error("{said}")]
pub(crate) struct Error {
    pub(crate) kind: ErrorKind,
    /// In the words of the cluster, or of what kept us from asking it.
    pub(crate) said: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorKind {
    /// There is no such thing.
    NotFound,
    /// There is one already.
    Exists,
    /// What was given is not legal.
    Invalid,
    /// Not as things are at the moment.
    Refused,
    /// Nobody answers, or not in time.
    Unavailable,
    /// This cluster has nothing of the kind.
    Unsupported,
    /// It needs to know who asks.
    Unauthorized,
    /// Anything else.
    Failed,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, said: impl Into<String>) -> Self {
        let said = said.into();
        Self { kind, said }
    }

    /// What to do next, if that is known.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        match self.kind {
            ErrorKind::NotFound => Some(
                "`dray connector list`, `dray task list`, `dray plugin list` and `dray agent list` show what there is",
            ),
            ErrorKind::Exists => {
                Some("`dray apply -f FILE` changes one that is there; `dray connector diff -f FILE` shows how")
            }
            ErrorKind::Unavailable => {
                Some("is it running, and the address right? `dray context list` shows the addresses that are known")
            }
            ErrorKind::Unsupported => None,
            ErrorKind::Unauthorized => Some("set DRAY_USER=name:password, or user and password of the context"),
            // Of a configuration, not of offsets.
            ErrorKind::Invalid if self.said.starts_with("Connector configuration is invalid") => Some(
                "`dray connector validate -f FILE` checks and changes nothing; `dray plugin describe CLASS` shows the keys",
            ),
            ErrorKind::Invalid | ErrorKind::Refused | ErrorKind::Failed
                if self
                    .said
                    .starts_with("Failed to find any class that implements Connector") =>
            {
                Some("`dray plugin list -t source,sink` shows what there is")
            }
            ErrorKind::Invalid | ErrorKind::Refused | ErrorKind::Failed => None,
        }
    }
}

/// A connector and its tasks as a watch shows them.
fn changes(connector: &Connector) -> Vec<Change> {
    let change = |what, name: String, state: &str, seen: &Seen| Change {
        what,
        name,
        state: Some(state.to_owned()),
        place: seen.agent.clone().unwrap_or_else(|| seen.worker_id.clone()),
        trace: seen.trace.clone(),
    };
    let own = change("connector", connector.name.clone(), &connector.state, &connector.seen);
    let tasks = connector.tasks.iter().map(|task| {
        let name = format!("{}-{}", connector.name, task.id);
        change("task", name, &task.state, &task.seen)
    });
    std::iter::once(own).chain(tasks).collect()
}

/// Keys that no definition has, but for those below prefixes that are open.
fn unknown_keys(config: &Config, defined: &std::collections::BTreeSet<String>) -> Vec<String> {
    /// What plugins and clients get passed on, or only Dray heeds.
    const OPEN: [&str; 8] = [
        "transforms.",
        "predicates.",
        "key.converter.",
        "value.converter.",
        "header.converter.",
        "producer.override.",
        "consumer.override.",
        "admin.override.",
    ];
    let open =
        |key: &str| OPEN.iter().any(|prefix| key.starts_with(prefix)) || key.starts_with("dray.") || key == "name";
    let unknown = config.keys().filter(|key| !defined.contains(*key) && !open(key));
    unknown.cloned().collect()
}
