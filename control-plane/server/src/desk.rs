//! Where agents' streams find the leader of this replica, if it is the one that leads.

use dray_machine::cluster::ConnectionId;
use dray_model::message::{FromAgent, ToAgent};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{mpsc, watch};

/// What streams have said and the leader has not yet taken. A stream that finds it full waits, and with it its agent.
const INBOUND: usize = 1_024;
/// What was said to an agent and its stream has not yet taken: as many answers as a commit of merged writes can bring, several times.
/// Whose queue is full is closed; it comes back with Hello.
pub(crate) const OUTBOUND: usize = 1_024;

/// What a stream tells the leader, in this order; nothing after `Closed`.
#[derive(Debug)]
pub(crate) enum StreamEvent {
    Opened {
        connection: ConnectionId,
        outbound: mpsc::Sender<ToAgent>,
    },
    Message {
        connection: ConnectionId,
        message: FromAgent,
    },
    Closed(ConnectionId),
}

/// The leader of this replica. It has stood up when `events` is closed.
#[derive(Clone)]
pub(crate) struct Seat {
    pub(crate) events: mpsc::Sender<StreamEvent>,
}

/// Who leads here.
#[derive(Clone)]
pub(crate) struct Desk {
    seat: Arc<watch::Sender<Option<Seat>>>,
    connections: Arc<AtomicU64>,
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self {
            seat: Arc::new(watch::Sender::new(None)),
            connections: Arc::new(AtomicU64::new(1)),
        }
    }

    /// The leader, if it is here.
    pub(crate) fn leader(&self) -> Option<Seat> {
        self.seat.borrow().clone()
    }

    /// The leader, if it is here, and every change of that.
    pub(crate) fn watch(&self) -> watch::Receiver<Option<Seat>> {
        self.seat.subscribe()
    }

    /// A number that no other connection of this process has or will have.
    pub(crate) fn connection(&self) -> ConnectionId {
        ConnectionId(self.connections.fetch_add(1, Ordering::Relaxed))
    }

    /// Takes the seat; the events of streams come out of the receiver until it is dropped.
    pub(crate) fn sit_down(&self) -> mpsc::Receiver<StreamEvent> {
        let (events, receiver) = mpsc::channel(INBOUND);
        self.seat.send_replace(Some(Seat { events }));
        receiver
    }

    /// Nobody leads here any more.
    pub(crate) fn stand_up(&self) {
        self.seat.send_replace(None);
    }
}
