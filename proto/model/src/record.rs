//! What the metadata store holds, in our words; `dray.store.v1` is its form there. [`Shard`] says how owners are cut into values.

use crate::agent::{AgentNumber, AgentPolicy};
use crate::config::{ConfigDiff, ConfigDigest, ConfigMap};
use crate::cost::{Capacity, Cost};
use crate::generation::Generation;
use crate::id::{ConnectorUid, TaskKey, WorkerId};
use crate::label::Labels;
use crate::names::{KafkaCluster, Region, Zone};
use crate::session::{Instance, SessionId, Term};
use crate::state::TargetState;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The most tasks that a connector may have: 64 shards.
pub const MAX_TASKS: u32 = 16_384;
/// Tasks in one shard: an ownership value stays near 5 KB, and one agent's loss touches few of them.
pub const SHARD_TASKS: u32 = 256;

/// What is wanted of a connector. Written by any replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectorSpec {
    /// This creation of it. `None` only in the write that creates it: the revision of that write is the uid.
    pub uid: Option<ConnectorUid>,
    /// Its configuration; secrets only as `${provider:path:key}`.
    pub config: ConfigMap,
    /// What is wanted.
    pub target: TargetState,
    /// Counts the changes of `config`, from 1.
    pub config_version: u64,
    /// Counts the restarts that were asked for of the connector instance.
    pub restarts: u32,
    /// The same for single tasks, by number.
    pub task_restarts: BTreeMap<u32, u32>,
    /// It is being deleted: it vanishes when nobody owns anything of it any more.
    pub deleting: bool,
    /// Its offsets are being set, by this operation: nothing of it starts before that is over.
    pub altering: Option<String>,
    /// Breakers of its tasks that tripped since a person last resumed it.
    pub breaker: Option<Breaker>,
    /// Who wrote it last, as it calls itself.
    pub writer: String,
    /// Tells attempts of one writer apart.
    pub operation: String,
}

impl ConnectorSpec {
    /// How many restarts were asked for of a task; of the instance, if the number is [`TaskKey::INSTANCE`].
    #[must_use]
    pub fn asked_restarts(&self, number: u32) -> u32 {
        if number == TaskKey::INSTANCE {
            self.restarts
        } else {
            self.task_restarts.get(&number).copied().unwrap_or_default()
        }
    }

    /// Asks for a restart of a task. Only that the count changes matters, so it may run over.
    pub fn restart_task(&mut self, number: u32) {
        let count = self.task_restarts.entry(number).or_default();
        *count = count.wrapping_add(1);
    }

    /// What its breaker says, if that is why it is paused.
    #[must_use]
    pub fn paused_by_breaker(&self) -> Option<&Breaker> {
        let breaker = self.breaker.as_ref().filter(|breaker| breaker.paused);
        breaker.filter(|_| self.target == TargetState::Paused)
    }

    /// A person brings it back: what tripped is forgotten and begins anew. The counts say so to every later leader, also when the report
    /// of a tripped task is repeated.
    pub fn lift_breaker(&mut self) {
        for number in self
            .breaker
            .take()
            .into_iter()
            .flat_map(|breaker| breaker.tasks.into_keys())
        {
            self.restart_task(number);
        }
    }
}

/// What breakers said that tripped: too many records of their tasks failed (`dray.errors.breaker.percent`). Written by the leader; whoever
/// resumes the connector removes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breaker {
    /// What the first of them said.
    pub reason: String,
    /// Whose they are: tasks by number, with the generation that tripped. One of these never pauses the connector a second time.
    pub tasks: BTreeMap<u32, Generation>,
    /// They paused the connector; it had not been paused before by a person, nor since.
    pub paused: bool,
}

/// The tasks of a connector. Written by the leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskSet {
    /// Whose.
    pub uid: ConnectorUid,
    /// The configuration that they were made from.
    pub config_version: u64,
    /// The tasks, by number from 0.
    pub tasks: Vec<TaskSpec>,
    /// Who wrote it.
    pub written: Written,
}

/// One task of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskSpec {
    /// Its configuration, as a difference from the connector's.
    pub config: Arc<ConfigDiff>,
    /// Of all that it is made of.
    pub digest: ConfigDigest,
    /// What it costs.
    pub cost: Cost,
}

/// The topics that the tasks of a connector have used (KIP-558). Written by the leader, and by any replica that resets it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActiveTopics {
    /// Their names.
    pub topics: BTreeSet<String>,
}

/// The Kafka cluster that the workers are at. Written by the leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaRecord {
    /// Its id.
    pub cluster: KafkaCluster,
}

/// Who wrote a value, so that a leader can learn the fate of a write whose answer it never got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Written {
    /// The leader.
    pub term: Term,
    /// Its write.
    pub operation: u64,
}

/// Which owners a value holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Shard {
    /// The owner of the connector instance.
    Connector,
    /// The owners of the tasks from [`SHARD_TASKS`] times this number.
    Tasks(u32),
}

impl Shard {
    /// The shard of a task; of the instance, if the number is [`TaskKey::INSTANCE`].
    #[must_use]
    pub fn of(task: u32) -> Self {
        if task == TaskKey::INSTANCE {
            Self::Connector
        } else {
            Self::Tasks(task / SHARD_TASKS)
        }
    }
}

/// Who owns the tasks of a shard. Written by the leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ownership {
    /// Whose tasks.
    pub uid: ConnectorUid,
    /// By number of the task; one without an owner is not in it.
    pub owners: BTreeMap<u32, Owner>,
    /// Who wrote it.
    pub written: Written,
}

/// The owner of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner {
    /// The agent.
    pub agent: AgentNumber,
    /// The session in which it was given the task: if that is declared dead, it must be fenced before anybody else begins.
    pub session: SessionId,
    /// The generation in force when this was written. Later ones under the same owner need no write.
    pub generation: Generation,
}

/// An agent. Written by the leader; `policy` and `drain_parallel` by any replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentRecord {
    /// Its number.
    pub number: AgentNumber,
    /// Its present or latest session. `None`: it is over and everything of it is dead.
    pub session: Option<SessionId>,
    /// The process that has it.
    pub instance: Instance,
    /// The Kafka clusters on which this session has, or had, a writer.
    pub clusters: BTreeSet<KafkaCluster>,
    /// This session has no writer where it would need one: its tasks recover as `strict`.
    pub unfenceable: bool,
    /// Sessions declared dead, with the clusters on which nobody has fenced them yet. An entry without clusters is removed.
    pub dead_sessions: BTreeMap<SessionId, BTreeSet<KafkaCluster>>,
    /// What the operator decided.
    pub policy: AgentPolicy,
    /// host:port.
    pub worker_id: WorkerId,
    /// Where it stands.
    pub region: Region,
    /// Where in the region.
    pub zone: Zone,
    /// Its labels.
    pub labels: Labels,
    /// What it can carry.
    pub capacity: Capacity,
    /// Its version.
    pub software_version: String,
    /// Who wrote it.
    pub written: Written,
}

/// The cluster itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterMeta {
    /// Its id (`group.id`).
    pub cluster: String,
    /// Raised when the store was restored from a backup.
    pub epoch: u32,
    /// The number of the next new agent.
    pub next_agent: AgentNumber,
    /// The worker configuration, for all agents.
    pub worker: Arc<ConfigMap>,
    /// Who wrote it; none before the first leader.
    pub written: Option<Written>,
}

/// The leader, as it announces itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaderRecord {
    /// The replica's id.
    pub replica: String,
    /// Where it serves agents and clients.
    pub endpoints: Vec<String>,
    /// Counts its beats.
    pub beats: u64,
    /// Its version.
    pub software_version: String,
}

/// The levels of loggers that people have set for the whole cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoggerLevels {
    /// The number of the last change.
    pub last: u64,
    /// In the order in which they were set.
    pub levels: Vec<LoggerLevel>,
}

/// The level of a logger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggerLevel {
    /// The number of the change that set it.
    pub number: u64,
    /// The logger.
    pub name: String,
    /// Its level, as it is written.
    pub level: String,
}

/// A replica, for discovery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaRecord {
    /// Where it serves.
    pub endpoints: Vec<String>,
    /// Its version.
    pub software_version: String,
}
