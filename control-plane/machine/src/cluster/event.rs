//! What the machine of a cluster is told, and what it wants done.

use dray_model::message::{CommandResult, FromAgent, ToAgent};
use dray_model::record::{AgentRecord, ClusterMeta, ConnectorSpec, Ownership, Shard, TaskSet};
use dray_model::{
    AgentId, AgentNumber, AgentPolicy, ConnectorName, ConnectorState, Generation, KafkaCluster, Millis, SessionId,
    TaskState,
};
use std::fmt;

/// A stream of an agent, as the leader counts them. Never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// The revision of a record in the store; 0: it is not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

/// A record with the revision at which it was last put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored<T> {
    /// The mod_revision.
    pub revision: Revision,
    /// The record.
    pub record: T,
}

/// What a record of the store is for, as far as the machine reads and writes them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Name {
    /// The cluster.
    Meta,
    /// What is wanted of a connector.
    Spec(ConnectorName),
    /// Its tasks.
    Tasks(ConnectorName),
    /// Who owns some of them.
    Own(ConnectorName, Shard),
    /// An agent.
    Agent(AgentId),
}

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// Of [`Name::Meta`].
    Meta(ClusterMeta),
    /// Of [`Name::Spec`].
    Spec(ConnectorSpec),
    /// Of [`Name::Tasks`].
    Tasks(TaskSet),
    /// Of [`Name::Own`].
    Own(Ownership),
    /// Of [`Name::Agent`].
    Agent(AgentRecord),
}

/// All records of the cluster at one revision: what a new leader begins with.
pub type Snapshot = Vec<(Name, Stored<Record>)>;

/// One change in the store, our own writes included, in the order of revisions. Changes that the snapshot or the outcome of a write has
/// told already are told again and change nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What changed.
    pub name: Name,
    /// When.
    pub revision: Revision,
    /// What it is now; `None`: it is gone.
    pub record: Option<Record>,
}

/// Counts the writes of a leader; stands in what they write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WriteId(pub u64);

/// A transaction. Besides its own compares it always has: the leader's key was created at our term. Whoever carries it out tries until
/// the outcome is known: an unknown one is read again, by `written` in the records, and the same transaction is sent again if it was not
/// applied; its compares make sure that only one attempt can be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Pairs the outcome.
    pub id: WriteId,
    /// Each of these was last put at this revision; [`Revision`] 0: it is not there. Never two of one name.
    pub compares: Vec<(Name, Revision)>,
    /// What is put; each of these is also compared, so that no attempt can undo a later write.
    pub puts: Vec<(Name, Record)>,
    /// What is removed; each of these is also compared.
    pub deletes: Vec<Name>,
}

/// What came of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was applied, at this revision: the mod_revision of all that it put.
    Applied(Revision),
    /// A compare did not hold, and nothing was applied. The changes that were in the way have been told before, as [`Event::Changed`].
    Conflict,
    /// It will never be applied, for another reason (it is too large, the store is full); the text is for people.
    Refused,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A record changed.
    Changed(Change),
    /// A write came to its end. Writes of one name end in the order in which they were wanted.
    Written {
        /// Which.
        write: WriteId,
        /// How.
        outcome: Outcome,
    },
    /// An agent said something. The first message of a connection is Hello.
    Message {
        /// On which stream.
        connection: ConnectionId,
        /// What.
        message: FromAgent,
    },
    /// A stream broke or was closed.
    Closed(ConnectionId),
    /// The leader's beat was written: it may act until this moment. Before the first and after the last, it answers no heartbeat and
    /// sends no assignment.
    Valid(Millis),
    /// Nothing but the time. Wanted every 100 ms.
    Tick,
}

/// What shall be done, in this order.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Say something to an agent. Nothing is said on a connection after [`Effect::Close`].
    Send {
        /// On which stream.
        connection: ConnectionId,
        /// What.
        message: ToAgent,
    },
    /// Close a stream.
    Close(ConnectionId),
    /// Change the store.
    Write(Write),
    /// Something that people see has changed.
    Show(Shown),
    /// A command that was asked for has its answer.
    Answer(CommandResult),
    /// Give up leading, for this reason.
    Resign(&'static str),
}

/// What people see, by name: the latest word on each. What was deleted or is no longer there is shown as `None`.
#[derive(Clone, Debug, PartialEq)]
pub enum Shown {
    /// A connector.
    Connector(ConnectorName, Option<ShownStatus<ConnectorState>>),
    /// A task.
    Task(ConnectorName, u32, Option<ShownStatus<TaskState>>),
    /// An agent.
    Agent(AgentId, Option<Box<ShownAgent>>),
}

/// The status of a connector or task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownStatus<S> {
    /// In Connect's words.
    pub state: S,
    /// Who owns it.
    pub agent: Option<AgentId>,
    /// Under which ownership; none before there was any.
    pub generation: Option<Generation>,
    /// Why it failed, is unassigned, or is not in the state that was asked for.
    pub trace: Option<String>,
    /// How often its agent started it again.
    pub restarts: u32,
}

/// An agent, as people see it.
#[derive(Clone, Debug, PartialEq)]
pub struct ShownAgent {
    /// Its number.
    pub number: AgentNumber,
    /// Whether and how it can be heard.
    pub link: LinkState,
    /// Its session.
    pub session: Option<SessionId>,
    /// What the operator decided.
    pub policy: AgentPolicy,
    /// A draining agent has no task left.
    pub drained: bool,
    /// Tasks and instances that it owns.
    pub tasks: u32,
    /// Sessions of it that are dead and not fenced everywhere yet.
    pub unfenced: Vec<(SessionId, Vec<KafkaCluster>)>,
    /// What is wrong with it: a duplicate, a refused Hello.
    pub problem: Option<String>,
}

/// Whether an agent can be heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkState {
    /// In the store, not heard of under this leader.
    Unknown,
    /// It has a stream and heartbeats.
    Connected,
    /// No stream, or no heartbeat.
    Silent,
    /// It announced that it stops and comes back.
    Returning,
    /// Declared dead, or gone for good.
    Gone,
}

impl LinkState {
    /// Which states may follow: the one table of an agent's life.
    const NEXT: [(Self, &'static [Self]); 5] = [
        (Self::Unknown, &[Self::Connected, Self::Gone]),
        (Self::Connected, &[Self::Silent, Self::Returning, Self::Gone]),
        (Self::Silent, &[Self::Connected, Self::Gone]),
        (Self::Returning, &[Self::Connected, Self::Gone]),
        (Self::Gone, &[Self::Connected]),
    ];

    /// Whether `to` may follow. Staying is legal.
    #[must_use]
    pub fn may_become(self, to: Self) -> bool {
        self == to
            || Self::NEXT
                .iter()
                .any(|(from, next)| *from == self && next.contains(&to))
    }
}

impl fmt::Display for LinkState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Unknown => "UNKNOWN",
            Self::Connected => "CONNECTED",
            Self::Silent => "SILENT",
            Self::Returning => "RETURNING",
            Self::Gone => "GONE",
        })
    }
}

/// How long a leader waits for what. The inequalities are in ARCHITECTURE, *Leases*.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// What agents are told.
    pub lease: dray_model::LeasePolicy,
    /// No heartbeat for so long: silent, and its `fenced` tasks may be given away. 5 s.
    pub silent_ms: u64,
    /// The same after its stream broke: 1 s, so that a restart in place needs no move, and a crash costs little.
    pub broken_ms: u64,
    /// The same, when many streams broke within [`many_within_ms`](Self::many_within_ms): a proxy was restarted, not the agents. 10 s.
    pub many_broken_ms: u64,
    /// More than this share of the sessions, in percent, and more than one, is many. 10.
    pub many_percent: u64,
    /// 2 s.
    pub many_within_ms: u64,
    /// After an election nobody is declared dead for so long, unless 90 % of the agents are back. 15 s.
    pub settle_ms: u64,
    /// From the last acknowledgement until `strict` tasks may be given away. 45 s.
    pub reassign_ms: u64,
    /// How long an old leader may still have acknowledged after it lost its key. 4 s.
    pub leader_ms: u64,
    /// How long a task may take to stop in good order; `task.shutdown.graceful.timeout.ms`. 5 s.
    pub graceful_ms: u32,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            lease: dray_model::LeasePolicy::default(),
            silent_ms: 5_000,
            broken_ms: 1_000,
            many_broken_ms: 10_000,
            many_percent: 10,
            many_within_ms: 2_000,
            settle_ms: 15_000,
            reassign_ms: 45_000,
            leader_ms: 4_000,
            graceful_ms: 5_000,
        }
    }
}
