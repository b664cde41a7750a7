//! What a lane and its sender both work on.

use super::inbox::Inbox;
use super::track::{Done, Mode, Track};
use crate::error::Error;
use crate::metrics::ProducerMetrics;
use crate::port::Ack;
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

/// A lane, as its sender knows it.
#[derive(Debug, Default)]
pub(super) struct LaneShared {
    /// Held for a few lines, or while records are encoded.
    pub(super) state: Mutex<LaneState>,
    /// There are acknowledgements where there were none, or the lane failed.
    pub(super) wake: Notify,
    /// The transactional id by which its batches are fenced.
    pub(super) owner: Option<Arc<str>>,
    /// Locked within the state's lock, or alone.
    pub(super) metrics: Arc<Mutex<ProducerMetrics>>,
}

/// What is known of a lane's producer id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Standing {
    #[default]
    New,
    /// It is being asked for; until then nothing is sent.
    Asked,
    Known(Mode),
    /// A newer epoch is being asked for; meanwhile the old one is used where that is possible.
    Renewing(Mode),
}

/// The state of a lane.
#[derive(Debug, Default)]
pub(super) struct LaneState {
    pub(super) tracks: Vec<Track>,
    pub(super) standing: Standing,
    /// There is a time at which its name is renewed.
    pub(super) renews: bool,
    /// Not yet handed out. Bounded by the lane's quota.
    pub(super) acks: Vec<Ack>,
    /// Bytes in flight.
    pub(super) used: usize,
    /// Nothing more can be sent, for this reason.
    pub(super) failed: Option<Error>,
    /// The lane was dropped.
    pub(super) closed: bool,
}

impl LaneState {
    /// How batches are told apart; none while that is not known.
    pub(super) fn mode(&self) -> Option<Mode> {
        match self.standing {
            Standing::New | Standing::Asked => None,
            Standing::Known(mode) | Standing::Renewing(mode) => Some(mode),
        }
    }

    /// Takes in what became of batches. True when whoever waits for acknowledgements is to be woken.
    pub(super) fn apply(&mut self, done: Done, inbox: &Inbox) -> bool {
        if done.records == 0 {
            return false;
        }
        self.used -= done.bytes;
        inbox.give_room(done.bytes);
        if self.closed {
            return false;
        }
        let first = self.acks.is_empty();
        self.acks.extend(done.acks);
        // Once per burst: with acknowledgements waiting, the wake-up is already on its way.
        first
    }

    /// Fails all that is not on its way, for ever. True as [`apply`](Self::apply).
    pub(super) fn fail(&mut self, error: &Error, inbox: &Inbox) -> bool {
        self.failed = Some(error.clone());
        let mut wake = true;
        for track in 0..self.tracks.len() {
            let done = self.tracks[track].fail(error);
            wake |= self.apply(done, inbox);
        }
        wake
    }
}
