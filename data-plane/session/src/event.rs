//! What the machine of an agent is told, and what it wants done.

use dray_model::message::{
    AssignedConnector, Assignment, CommandWhat, DeadSession, FromAgent, Owned, RevokedWhy, TaskConfigs, TaskReport,
    ToAgent,
};
use dray_model::{AgentNumber, ConfigMap, KafkaCluster, Millis, SessionId};
use std::sync::Arc;

/// A stream to a replica, as the agent counts them. Never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// The stream that was asked for is open.
    Connected(ConnectionId),
    /// It could not be opened, or it broke, or was closed.
    Disconnected(ConnectionId),
    /// The leader said something.
    Message {
        /// On which stream.
        connection: ConnectionId,
        /// What.
        message: ToAgent,
    },
    /// The state of a task or instance changed.
    Report(TaskReport),
    /// A task or instance is dead: nothing of it can cause an effect any more. The last word on this ownership.
    Dead {
        /// Which.
        owned: Owned,
        /// It ended by itself and its last offsets are committed.
        clean: bool,
    },
    /// An instance wants these tasks.
    TaskConfigs(TaskConfigs),
    /// InitProducerId of this session's writer on a cluster came to its end.
    WriterOpened {
        /// The session that it was opened for.
        session: SessionId,
        /// The cluster.
        cluster: KafkaCluster,
        /// Why there is none.
        refused: Option<String>,
    },
    /// A task needs this session's writer on this cluster.
    WriterWanted(KafkaCluster),
    /// A transaction of the writer was committed; it was begun at this moment.
    WriterCommitted {
        /// Whose.
        session: SessionId,
        /// Where. A commit on one cluster says nothing about a group on another.
        cluster: KafkaCluster,
        /// When the commit was sent.
        sent: Millis,
    },
    /// Kafka refused the writer: somebody has declared this session dead, or its transaction timed out. Never said of a writer again
    /// after [`Effect::OpenWriter`] was given for its cluster once more.
    WriterFenced {
        /// Whose.
        session: SessionId,
        /// Where.
        cluster: KafkaCluster,
    },
    /// The writer of a dead session was fenced on a cluster.
    SessionFenced {
        /// Which.
        dead: dray_model::AgentSession,
        /// Where.
        cluster: KafkaCluster,
    },
    /// All of [`Effect::FenceFirst`] that concerns the Kafka cluster of this task's connector is done: the task may start.
    FenceDone(Owned),
    /// A task must know whether its ownership is current before it goes on: a sink that was thrown out of its group.
    Check(Owned),
    /// A command was carried out.
    CommandDone {
        /// Which.
        id: u64,
        /// Why it failed, when it did.
        error: Option<String>,
    },
    /// What the process uses, for the next heartbeats.
    Load {
        /// CPU used in a second, in thousandths of a core.
        cpu_millis: u32,
        /// Resident memory.
        memory_bytes: u64,
    },
    /// The agent shall end: with `back_in_ms` its tasks are held for it.
    Leave {
        /// When it means to be back.
        back_in_ms: Option<u32>,
    },
    /// Nothing but the time. Wanted every 100 ms.
    Tick,
}

/// What shall be done, in this order.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Open a stream: to one of `endpoints` when there are any, else to those that were configured, the next one each time.
    Connect {
        /// The stream's number.
        connection: ConnectionId,
        /// Where the leader is said to be.
        endpoints: Vec<String>,
    },
    /// Close a stream.
    Disconnect(ConnectionId),
    /// Say something to the leader.
    Send {
        /// On which stream.
        connection: ConnectionId,
        /// What.
        message: FromAgent,
    },
    /// A session begins: open its writers as they are wanted. Nothing of another session is alive.
    SessionBegan {
        /// The session.
        session: SessionId,
        /// The agent's number.
        number: AgentNumber,
        /// The worker configuration.
        worker: Arc<ConfigMap>,
    },
    /// Run InitProducerId of this session's writer on a cluster.
    OpenWriter {
        /// The cluster.
        cluster: KafkaCluster,
        /// The session.
        session: SessionId,
    },
    /// This session's writer may be used.
    UseWriter {
        /// The cluster.
        cluster: KafkaCluster,
        /// The session.
        session: SessionId,
    },
    /// Start a task or instance. What runs of it under a smaller generation is dead already.
    Start {
        /// What.
        assignment: Box<Assignment>,
        /// Its connector.
        connector: Arc<AssignedConnector>,
    },
    /// Fence these first, where they touch the Kafka cluster of this connector; settings for other clusters are not here. The task is
    /// started after [`Event::FenceDone`]; what was fenced meanwhile is told by [`Event::SessionFenced`].
    FenceFirst {
        /// Which task asks for it.
        owned: Owned,
        /// The sessions.
        dead: Vec<DeadSession>,
        /// Whose clusters and group.
        connector: Arc<AssignedConnector>,
    },
    /// Pause or resume.
    SetPaused {
        /// Which.
        owned: Owned,
        /// Whether it shall be paused.
        paused: bool,
    },
    /// Stop a task in good order, and abort it after a while.
    Stop {
        /// Which.
        owned: Owned,
        /// How long it may take.
        graceful_ms: u32,
        /// Why.
        why: RevokedWhy,
    },
    /// Stop a task at once: it may commit nothing any more.
    Kill {
        /// Which.
        owned: Owned,
    },
    /// The answer to [`Event::Check`].
    Checked {
        /// Which.
        owned: Owned,
        /// Whether it may go on.
        keep: bool,
    },
    /// What tasks may do changed.
    Gate(Gate),
    /// Carry out a command.
    Command {
        /// Its number.
        id: u64,
        /// What.
        what: CommandWhat,
    },
    /// Everything is handed over, or time is up: end the process.
    Leave,
    /// People should know: the agent's id is taken, its cluster is another, it was removed.
    Warn(String),
}

/// What tasks may do. The fence gate in front of every effect looks here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gate {
    /// Until when `strict` tasks may cause effects: the end of the lease.
    pub strict_until: Millis,
    /// Until when `fenced` tasks may: as long as acknowledgements or commits of the writer come.
    pub fenced_until: Millis,
    /// Nothing may cause any effect: the session is over, or may be (its writer was fenced). Who waits here waits until it opens again,
    /// or is killed.
    pub shut: bool,
    /// The lease is nearly over: no poll of a `strict` source. Nothing is started either.
    pub suspect: bool,
}
