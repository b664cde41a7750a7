//! What an agent and the leader say to each other; `dray.agent.v1` is its form on the wire. One stream for each connection, opened by
//! the agent, ordered while it lives. The first message is [`Hello`], the first answer [`Welcome`], [`NotLeader`] or [`Fenced`]; what
//! was on its way when a stream broke is lost, and both sides say again what still holds.

use crate::agent::AgentNumber;
use crate::config::{ConfigDiff, ConfigDigest, ConfigMap};
use crate::cost::{Capacity, Cost};
use crate::generation::Generation;
use crate::id::{ConnectorName, ConnectorUid, TaskKey, WorkerId};
use crate::label::Labels;
use crate::names::{AgentId, KafkaCluster, PluginClass, Region, Zone};
use crate::session::{AgentSession, Instance, LeasePolicy, SessionId, Term};
use crate::version::PluginVersion;
use std::sync::Arc;

/// The versions of the protocol that this build speaks.
pub const PROTOCOL: std::ops::RangeInclusive<u32> = 1..=1;

/// From an agent to the leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromAgent {
    /// The first of every stream.
    Hello(Box<Hello>),
    /// Renews the lease.
    Heartbeat(Heartbeat),
    /// The answer to a delta.
    AssignmentAck(AssignmentAck),
    /// These can no longer cause any effect, whatever made them stop.
    TasksStopped(Vec<StoppedTask>),
    /// Changes of state that should not wait for the next heartbeat.
    TaskEvents(Vec<TaskReport>),
    /// It is about to stop.
    LeaveIntent(LeaveIntent),
    /// A connector instance says which tasks it wants. Said again after every Welcome until it is stored.
    TaskConfigs(TaskConfigs),
    /// The session's writer on a Kafka cluster was initialised, or cannot be. It is used only after [`Order::WriterConfirmed`].
    WriterOpened(WriterOpened),
    /// InitProducerId ran on a dead session's writer: it is fenced on this cluster.
    SessionFenced {
        /// The dead session.
        dead: AgentSession,
        /// Where.
        cluster: KafkaCluster,
    },
    /// Are these still current? Asked before effects that time alone does not protect.
    GenerationCheck(Vec<Owned>),
    /// The answer to a command.
    CommandResult(CommandResult),
}

/// From the leader to an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToAgent {
    /// Who speaks. An agent drops what is below the highest term that it has accepted.
    pub term: Term,
    /// What is said.
    pub body: Order,
}

/// What a leader says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// The session begins or goes on.
    Welcome(Welcome),
    /// The heartbeat was taken.
    HeartbeatAck(HeartbeatAck),
    /// Changes of what the agent shall run.
    Assignments(Box<AssignmentDelta>),
    /// These task configurations are stored.
    TaskConfigsStored {
        /// The instance that sent them.
        instance: Owned,
    },
    /// The writer of this session on this cluster may be used: whoever declares the session dead will know of it.
    WriterConfirmed(KafkaCluster),
    /// The answer to a generation check.
    Verdicts(Vec<Verdict>),
    /// Asks for something once.
    Command(Command),
    /// The session is over: everything of it must die. Then a Hello that holds nothing.
    Fenced(Fenced),
    /// Another one leads.
    NotLeader(NotLeader),
}

/// A task under one ownership.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owned {
    /// The task.
    pub task: TaskKey,
    /// The ownership.
    pub generation: Generation,
}

/// Who an agent is and what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The Dray cluster that it belongs to (`group.id`).
    pub cluster: String,
    /// Its stable name.
    pub agent: AgentId,
    /// This process.
    pub instance: Instance,
    /// The process before this one, which is surely dead: we hold its lock.
    pub previous_instance: Option<Instance>,
    /// The session to go on with; none after a process start, and when it is over.
    pub session: Option<SessionId>,
    /// The highest term it has accepted.
    pub max_term: Option<Term>,
    /// Its version, for people.
    pub software_version: String,
    /// Which protocols it speaks: from, to.
    pub protocol: (u32, u32),
    /// host:port, as Connect shows it.
    pub worker_id: WorkerId,
    /// Where it stands.
    pub region: Region,
    /// Where in the region.
    pub zone: Zone,
    /// What selectors look at.
    pub labels: Labels,
    /// What it can carry.
    pub capacity: Capacity,
    /// What it can load.
    pub plugins: Vec<Plugin>,
    /// Everything that may still cause an effect, what is stopping included. Empty in a new session.
    pub held: Vec<Held>,
}

/// A plugin that an agent can load.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Plugin {
    /// Its class.
    pub class: PluginClass,
    /// Its version.
    pub version: PluginVersion,
    /// What it is.
    pub kind: PluginKind,
}

/// Who answers calls, on the stream that is for them alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallsHello {
    /// The agent.
    pub agent: AgentId,
    /// What it can load.
    pub plugins: Vec<Plugin>,
}

/// What a plugin is, in Connect's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PluginKind {
    /// A source connector.
    Source,
    /// A sink connector.
    Sink,
    /// A converter.
    Converter,
    /// A header converter.
    HeaderConverter,
    /// A transformation.
    Transformation,
    /// A predicate.
    Predicate,
    /// A config provider.
    ConfigProvider,
}

/// A task that an agent holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Which, under which ownership.
    pub owned: Owned,
    /// It is on its way out, whatever the answer.
    pub stopping: bool,
    /// As its assignment said it.
    pub asked_restarts: Option<u32>,
}

/// The session, new or gone on with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The session.
    pub session: SessionId,
    /// The agent's number.
    pub number: AgentNumber,
    /// The lease.
    pub lease: LeasePolicy,
    /// The protocol to speak.
    pub protocol: u32,
    /// One for each that is held. What is to stop is stopped and reported as any other.
    pub verdicts: Vec<Verdict>,
    /// The worker configuration of the cluster.
    pub worker: Arc<ConfigMap>,
}

/// Whether a task may go on under this ownership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Which.
    pub owned: Owned,
    /// Whether it may.
    pub keep: bool,
}

/// Somebody else leads, or nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotLeader {
    /// Where the leader serves agents; empty when nobody knows.
    pub endpoints: Vec<String>,
    /// When to ask again.
    pub retry_after_ms: u32,
}

/// Why a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fenced {
    /// The reason.
    pub why: FencedWhy,
    /// More about it, for people.
    pub detail: String,
    /// When to say Hello again.
    pub retry_after_ms: u32,
}

/// Why a session ended, or none begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FencedWhy {
    /// It was declared dead: it was silent for too long.
    DeclaredDead,
    /// Another process with this agent's id has a session that may be alive.
    DuplicateId,
    /// An operator removed the agent.
    Removed,
    /// No protocol that both speak.
    Protocol,
    /// It belongs to another cluster.
    OtherCluster,
}

/// Renews the lease, and carries what has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// Counts up within a connection.
    pub seq: u64,
    /// Tasks whose status changed since the last heartbeat on this connection; all of them in the first.
    pub changed: Vec<TaskReport>,
    /// CPU used in a second, in thousandths of a core.
    pub cpu_millis: u32,
    /// Resident memory.
    pub memory_bytes: u64,
}

/// The heartbeat was taken: the lease counts from when it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeartbeatAck {
    /// Which heartbeat.
    pub seq: u64,
}

/// Changes of what an agent runs. At most one is unanswered; what changes meanwhile is merged into the next, by task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssignmentDelta {
    /// Pairs the answer.
    pub nonce: u64,
    /// Carried out first.
    pub revocations: Vec<Revocation>,
    /// The connectors that the assignments name, each once.
    pub connectors: Vec<Arc<AssignedConnector>>,
    /// What to run.
    pub assignments: Vec<Assignment>,
}

/// The connector of assignments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssignedConnector {
    /// Which creation of it.
    pub uid: ConnectorUid,
    /// Its name.
    pub name: ConnectorName,
    /// Counts the changes of its configuration.
    pub config_version: u64,
    /// Its configuration.
    pub config: ConfigMap,
    /// How its tasks recover.
    pub recovery: Recovery,
}

/// How the tasks of a connector are protected against two owners: `dray.recovery`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Recovery {
    /// By Kafka: the dead session's writer is fenced before a successor starts.
    #[default]
    Fenced,
    /// By time alone: nobody is reassigned before the lease has surely ended.
    Strict,
}

/// A task, or a connector instance, to run. One with a generation that is not larger than the largest seen for the task in this
/// session is ignored, except that it may change `paused` of what runs under the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The task and its ownership.
    pub owned: Owned,
    /// Its configuration as a difference from its connector's; nothing for an instance.
    pub config: Arc<ConfigDiff>,
    /// Of all that it is made of.
    pub digest: ConfigDigest,
    /// Whether it shall be paused.
    pub paused: bool,
    /// What it costs.
    pub cost: Cost,
    /// Sessions that were declared dead and may still act: fenced before the task starts, on the cluster of its connector. For sinks,
    /// their members leave the group on their behalf too.
    pub fence_first: Vec<DeadSession>,
    /// How many restarts people had asked for of it. Said again in Hello, so that whoever leads then knows whether the latest was carried
    /// out. `None`: by a leader of an older version, which did not count them.
    pub asked_restarts: Option<u32>,
}

/// A session that was declared dead, and where it is not fenced yet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeadSession {
    /// The session.
    pub session: AgentSession,
    /// Where its writer is not fenced yet. Empty: it is fenced everywhere, and only group members of it may be left.
    pub clusters: Vec<KafkaCluster>,
}

/// A task to stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Which, under which ownership; a larger generation is not meant.
    pub owned: Owned,
    /// How long it may take to end in good order.
    pub graceful_ms: u32,
    /// Why.
    pub why: RevokedWhy,
}

/// Why a task is taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RevokedWhy {
    /// It moves.
    Moved,
    /// Its connector is deleted.
    Deleted,
    /// Its connector is stopped.
    Stopped,
    /// Its connector has another task set.
    Reconfigured,
    /// It was never this agent's, or is no longer.
    NotOwned,
}

/// A delta was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssignmentAck {
    /// Which delta.
    pub nonce: u64,
    /// What of it was not taken. The rest stands.
    pub refused: Vec<RefusedTask>,
}

/// An assignment that an agent does not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedTask {
    /// Which.
    pub owned: Owned,
    /// Why.
    pub why: RefusedWhy,
    /// More about it, for people.
    pub message: String,
}

/// Why an assignment is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefusedWhy {
    /// It has no such plugin, or not in this version.
    NoPlugin,
    /// It has no room.
    OverCapacity,
    /// It cannot reach what the connector needs from here, or refuses its configuration.
    Connector,
    /// Its lease is nearly over.
    Suspect,
}

/// A task that is dead: nothing of it can cause an effect any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoppedTask {
    /// Which.
    pub owned: Owned,
    /// It ended by itself and its last offsets are committed.
    pub clean: bool,
}

/// The state of a task as its agent sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RunState {
    /// Fencing its predecessors.
    Fencing,
    /// Being started.
    Starting,
    /// Running.
    Running,
    /// Paused.
    Paused,
    /// It failed and is tried again after a while.
    Restarting,
    /// It failed, and stays so.
    Failed,
    /// Being stopped.
    Stopping,
}

/// What a task is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskReport {
    /// Which.
    pub owned: Owned,
    /// Its state.
    pub state: RunState,
    /// Why it failed, or what it waits for: at most 8 KiB.
    pub trace: Option<String>,
    /// How often it was started again by the agent.
    pub restarts: u32,
    /// What it costs, where that was measured.
    pub cost: Option<Cost>,
    /// It failed because its breaker tripped: its whole connector is to be paused.
    pub tripped: bool,
}

/// An agent stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaveIntent {
    /// In how many milliseconds it means to be back, with its tasks held for it; `None`: never.
    pub expect_back_ms: Option<u32>,
}

/// The tasks that a connector instance wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskConfigs {
    /// The instance.
    pub instance: Owned,
    /// The configuration that they were made from.
    pub config_version: u64,
    /// One for each task, as differences from the connector's configuration.
    pub tasks: Vec<Arc<ConfigDiff>>,
}

/// What came of opening the session's writer on a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriterOpened {
    /// The cluster.
    pub cluster: KafkaCluster,
    /// Why it has no writer there, when it has none (no permission, an old broker): its tasks there recover as `strict`.
    pub refused: Option<String>,
}

/// Something to do once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Pairs the answer.
    pub id: u64,
    /// What.
    pub what: CommandWhat,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandWhat {
    /// Fence dead sessions on the clusters of this connector, without starting anything.
    FenceSessions {
        /// Whose clusters.
        connector: Arc<AssignedConnector>,
        /// The sessions.
        dead: Vec<DeadSession>,
    },
}

/// What came of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandResult {
    /// Which command.
    pub id: u64,
    /// Why it failed, when it did.
    pub error: Option<String>,
}
