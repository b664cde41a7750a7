//! A member of a group: what it said when it joined, what it waits for, and when its session ends.

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::protocol::StrBytes;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// A request to join.
#[derive(Clone, Debug)]
pub(crate) struct Join {
    /// Empty for one that is new.
    pub(crate) member_id: StrBytes,
    /// The id it gets if it is new. Made by the caller: the machine has no randomness.
    pub(crate) new_member_id: StrBytes,
    /// Whether a new member must come back with its id before it counts (join version 4 and up, not static).
    pub(crate) requires_member_id: bool,
    pub(crate) instance_id: Option<StrBytes>,
    pub(crate) client_id: StrBytes,
    pub(crate) client_host: StrBytes,
    pub(crate) session_timeout: Duration,
    pub(crate) rebalance_timeout: Duration,
    pub(crate) protocol_type: StrBytes,
    /// Name and metadata, best liked first.
    pub(crate) protocols: Vec<(StrBytes, Bytes)>,
}

/// The answer to a join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Joined {
    pub(crate) error: Option<ResponseError>,
    pub(crate) generation: i32,
    pub(crate) protocol_type: Option<StrBytes>,
    pub(crate) protocol: Option<StrBytes>,
    pub(crate) leader: StrBytes,
    pub(crate) member_id: StrBytes,
    pub(crate) members: Vec<Listed>,
}

impl Joined {
    pub(crate) fn refused(member_id: &StrBytes, error: ResponseError) -> Self {
        Self {
            error: Some(error),
            generation: -1,
            protocol_type: None,
            protocol: None,
            leader: StrBytes::new(),
            member_id: member_id.clone(),
            members: Vec::new(),
        }
    }
}

/// A member as the leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) member_id: StrBytes,
    pub(crate) instance_id: Option<StrBytes>,
    pub(crate) metadata: Bytes,
}

/// A request for the assignment.
#[derive(Clone, Debug)]
pub(crate) struct Sync {
    pub(crate) member_id: StrBytes,
    pub(crate) instance_id: Option<StrBytes>,
    pub(crate) generation: i32,
    pub(crate) protocol_type: Option<StrBytes>,
    pub(crate) protocol: Option<StrBytes>,
    /// Everybody's, from the leader; empty from the others.
    pub(crate) assignments: Vec<(StrBytes, Bytes)>,
}

/// The answer to a sync: protocol type, protocol, assignment.
pub(crate) type Synced = Result<(StrBytes, StrBytes, Bytes), ResponseError>;

/// One member.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) instance_id: Option<StrBytes>,
    pub(crate) client_id: StrBytes,
    pub(crate) client_host: StrBytes,
    pub(crate) rebalance_timeout: Duration,
    pub(crate) protocols: Vec<(StrBytes, Bytes)>,
    pub(crate) assignment: Bytes,
    session_timeout: Duration,
    session_ends: Instant,
    joining: Option<oneshot::Sender<Joined>>,
    syncing: Option<oneshot::Sender<Synced>>,
}

impl Member {
    pub(crate) fn new(join: Join, now: Instant) -> Self {
        Self {
            session_ends: now + join.session_timeout,
            instance_id: join.instance_id,
            client_id: join.client_id,
            client_host: join.client_host,
            session_timeout: join.session_timeout,
            rebalance_timeout: join.rebalance_timeout,
            protocols: join.protocols,
            assignment: Bytes::new(),
            joining: None,
            syncing: None,
        }
    }

    /// Takes what a further join says; true if its protocols changed.
    pub(crate) fn update(&mut self, join: Join, now: Instant) -> bool {
        let changed = self.protocols != join.protocols;
        self.client_id = join.client_id;
        self.client_host = join.client_host;
        self.session_timeout = join.session_timeout;
        self.rebalance_timeout = join.rebalance_timeout;
        self.protocols = join.protocols;
        self.seen(now);
        changed
    }

    /// Its metadata under a protocol, if it knows the protocol.
    pub(crate) fn metadata(&self, protocol: &StrBytes) -> Option<&Bytes> {
        self.protocols
            .iter()
            .find(|(name, _)| name == protocol)
            .map(|(_, metadata)| metadata)
    }

    /// It gave a sign of life.
    pub(crate) fn seen(&mut self, now: Instant) {
        self.session_ends = now + self.session_timeout;
    }

    /// When it counts as gone. Not while it waits for us: it cannot send a heartbeat then.
    pub(crate) fn session_ends(&self) -> Option<Instant> {
        (self.joining.is_none() && self.syncing.is_none()).then_some(self.session_ends)
    }

    pub(crate) fn is_joining(&self) -> bool {
        self.joining.is_some()
    }

    pub(crate) fn is_syncing(&self) -> bool {
        self.syncing.is_some()
    }

    /// Dropping the sender of an earlier wait ends that wait: its connection is answered that the member is unknown.
    pub(crate) fn wait_for_join(&mut self, reply: oneshot::Sender<Joined>) {
        self.joining = Some(reply);
    }

    pub(crate) fn wait_for_sync(&mut self, reply: oneshot::Sender<Synced>, now: Instant) {
        self.seen(now);
        self.syncing = Some(reply);
    }

    /// A receiver that is gone means a connection that is gone; the session then runs out by itself.
    pub(crate) fn answer_join(&mut self, joined: Joined, now: Instant) {
        if let Some(reply) = self.joining.take() {
            drop(reply.send(joined));
            self.seen(now);
        }
    }

    pub(crate) fn answer_sync(&mut self, protocol_type: &StrBytes, protocol: &StrBytes, now: Instant) {
        if let Some(reply) = self.syncing.take() {
            drop(reply.send(Ok((protocol_type.clone(), protocol.clone(), self.assignment.clone()))));
            self.seen(now);
        }
    }

    pub(crate) fn refuse_sync(&mut self, error: ResponseError, now: Instant) {
        if let Some(reply) = self.syncing.take() {
            drop(reply.send(Err(error)));
            self.seen(now);
        }
    }

    /// Answers whatever it waits for with an error.
    pub(crate) fn refuse(&mut self, id: &StrBytes, error: ResponseError) {
        if let Some(reply) = self.joining.take() {
            drop(reply.send(Joined::refused(id, error)));
        }
        if let Some(reply) = self.syncing.take() {
            drop(reply.send(Err(error)));
        }
    }

    /// Another client took its place.
    pub(crate) fn fence(&mut self, id: &StrBytes) {
        self.refuse(id, ResponseError::FencedInstanceId);
    }
}
