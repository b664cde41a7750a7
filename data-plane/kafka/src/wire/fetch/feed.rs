//! One partition as one consumer reads it: where it stands, whether it wants more, and the epoch by which records of an earlier
//! ownership or position are told apart.

use super::inbox::{Chunk, Inbox};
use super::lane::Lane;
use crate::lock::lock;
use crate::wire::batch::decode::Aborted;
use bytes::Bytes;
use dray_connect::sink_batch::TopicPartition;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// Where a partition is read that has no position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reset {
    Earliest,
    Latest,
    /// It is an error not to have one.
    None,
}

/// What is the same for all partitions of a consumer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FetchSettings {
    pub(crate) read_committed: bool,
    /// `fetch.min.bytes`.
    pub(crate) min_bytes: i32,
    /// `fetch.max.wait.ms`; none lets the fetcher choose.
    pub(crate) max_wait_ms: Option<i32>,
    /// `fetch.max.bytes`.
    pub(crate) max_bytes: i32,
    /// `max.partition.fetch.bytes`.
    pub(crate) partition_bytes: i32,
    /// `client.rack`; empty without one.
    pub(crate) rack: String,
    /// How long a replica is read that the leader named, before the leader is asked again (`metadata.max.age.ms`).
    pub(crate) preferred_for: Duration,
}

#[derive(Debug)]
pub(crate) struct Feed {
    pub(crate) partition: TopicPartition,
    pub(crate) topic_id: Uuid,
    pub(crate) settings: Arc<FetchSettings>,
    pub(crate) reset: Reset,
    inbox: Arc<Inbox>,
    /// Where the partition ends, as far as the broker has said; -1 before it has.
    end: AtomicI64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    epoch: u64,
    /// None: to be found by [`Reset`].
    position: Option<i64>,
    paused: bool,
    /// Not this consumer's any more.
    stopped: bool,
    /// Nothing is asked before, after an error.
    not_before: Option<Instant>,
    /// Errors in a row.
    failures: u32,
    /// A replica that the leader has sent it to, and until when.
    preferred: Option<(i32, Instant)>,
    lane: Weak<Lane>,
}

/// Whether a feed is to be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    Nothing,
    /// Nor ever again.
    Gone,
    /// It would be, had its reader room.
    Blocked,
    Later(Instant),
    From {
        position: i64,
        epoch: u64,
    },
    /// It has to be placed anew.
    Homeless,
}

impl Feed {
    pub(crate) fn new(
        partition: TopicPartition,
        topic_id: Uuid,
        position: Option<i64>,
        (settings, reset): (Arc<FetchSettings>, Reset),
        inbox: Arc<Inbox>,
    ) -> Self {
        Self {
            partition,
            topic_id,
            settings,
            reset,
            inbox,
            end: AtomicI64::new(-1),
            state: Mutex::new(State {
                epoch: 0,
                position,
                paused: false,
                stopped: false,
                not_before: None,
                failures: 0,
                preferred: None,
                lane: Weak::new(),
            }),
        }
    }

    pub(crate) fn inbox(&self) -> &Arc<Inbox> {
        &self.inbox
    }

    /// The broker has said where the partition ends.
    pub(super) fn ends_at(&self, offset: i64) {
        self.end.store(offset, Ordering::Relaxed);
    }

    pub(crate) fn end(&self) -> Option<i64> {
        Some(self.end.load(Ordering::Relaxed)).filter(|offset| *offset >= 0)
    }

    pub(crate) fn is_current(&self, epoch: u64) -> bool {
        lock(&self.state).epoch == epoch
    }

    pub(crate) fn is_stopped(&self) -> bool {
        lock(&self.state).stopped
    }

    /// Whether it lacks a position, with the epoch in which it does.
    pub(super) fn lacks_position(&self) -> Option<u64> {
        let state = lock(&self.state);
        state.position.is_none().then_some(state.epoch)
    }

    /// Sets the position that was looked up, unless somebody sought another meanwhile.
    pub(super) fn found(&self, epoch: u64, position: i64) {
        let mut state = lock(&self.state);
        if state.epoch == epoch {
            state.position = Some(position);
        }
    }

    /// Nothing of it is delivered any more.
    pub(crate) fn stop(self: &Arc<Self>) {
        let mut state = lock(&self.state);
        state.stopped = true;
        state.epoch += 1;
        let lane = std::mem::take(&mut state.lane);
        drop(state);
        self.inbox.purge(self, u64::MAX);
        if let Some(lane) = lane.upgrade() {
            lane.remove(self);
        }
    }

    /// Nothing more of it is fetched; what was fetched is still delivered.
    pub(crate) fn retire(self: &Arc<Self>) {
        let mut state = lock(&self.state);
        state.stopped = true;
        let lane = std::mem::take(&mut state.lane);
        drop(state);
        if let Some(lane) = lane.upgrade() {
            lane.remove(self);
        }
    }

    /// Has its reader come by, behind all that was fetched before, to see whose it is.
    pub(crate) fn announce(self: &Arc<Self>) {
        let state = lock(&self.state);
        let (epoch, position) = (state.epoch, state.position.unwrap_or(0));
        self.inbox.push(Chunk {
            feed: Arc::clone(self),
            epoch,
            position,
            bytes: Bytes::new(),
            aborted: None,
        });
    }

    /// Reads on from `position`; what was fetched before is dropped. True when it had none, and so may have no fetcher.
    pub(crate) fn seek(self: &Arc<Self>, position: i64) -> bool {
        let mut state = lock(&self.state);
        state.epoch += 1;
        let had_none = state.position.replace(position).is_none();
        state.not_before = None;
        drop(state);
        self.inbox.purge(self, u64::MAX);
        self.wake();
        had_none
    }

    /// Delivers nothing until it is resumed. What waits for the reader is fetched again then: it must not take the room of other
    /// partitions. `undelivered` is where the reader stands in the chunk that it has begun.
    pub(crate) fn pause(self: &Arc<Self>, undelivered: Option<i64>) {
        let mut state = lock(&self.state);
        state.paused = true;
        let epoch = state.epoch;
        let waiting = self.inbox.purge(self, epoch);
        if let Some(position) = undelivered.or(waiting) {
            state.position = Some(position);
        }
        state.epoch += 1;
        let lane = state.lane.upgrade();
        drop(state);
        if let Some(lane) = lane {
            lane.look_again();
        }
    }

    pub(crate) fn resume(&self) {
        lock(&self.state).paused = false;
        self.wake();
    }

    /// Goes back to `position` after what was fetched could not be read, and asks again at `not_before`.
    pub(crate) fn back_to(self: &Arc<Self>, epoch: u64, position: i64, not_before: Instant) {
        let mut state = lock(&self.state);
        if state.epoch == epoch {
            state.epoch += 1;
            state.position = Some(position);
            state.not_before = Some(not_before);
            drop(state);
            self.inbox.purge(self, u64::MAX);
            self.wake();
        }
    }

    /// Its fetcher looks again at what it wants.
    pub(crate) fn wake(&self) {
        let lane = lock(&self.state).lane.upgrade();
        if let Some(lane) = lane {
            lane.wake();
        }
    }

    pub(super) fn placed(&self, lane: &Arc<Lane>) {
        lock(&self.state).lane = Arc::downgrade(lane);
    }

    pub(super) fn want(&self, now: Instant) -> Want {
        let mut state = lock(&self.state);
        if state.stopped {
            return Want::Gone;
        }
        if state.paused {
            return Want::Nothing;
        }
        if state.preferred.take_if(|(_, until)| *until <= now).is_some() {
            return Want::Homeless;
        }
        let Some(position) = state.position else {
            return Want::Homeless;
        };
        if let Some(at) = state.not_before.filter(|at| *at > now) {
            return Want::Later(at);
        }
        if !self.inbox.has_room() {
            return Want::Blocked;
        }
        let epoch = state.epoch;
        Want::From { position, epoch }
    }

    /// Hands over what was fetched from `position`, unless it is not wanted any more.
    pub(super) fn deliver(
        self: &Arc<Self>,
        (epoch, position): (u64, i64),
        next: i64,
        bytes: Bytes,
        aborted: Option<Vec<Aborted>>,
    ) {
        let mut state = lock(&self.state);
        // Whoever fetches it, and however often: each position is delivered once in an epoch.
        if (state.epoch, state.position) != (epoch, Some(position)) || state.stopped {
            return;
        }
        state.position = Some(next);
        state.failures = 0;
        // Within the lock: whoever takes the partition away finds the chunk in the queue, or keeps it out.
        self.inbox.push(Chunk {
            feed: Arc::clone(self),
            epoch,
            position,
            bytes,
            aborted,
        });
    }

    /// Notes an error and when to ask again; how many there were in a row.
    pub(super) fn failed(&self, now: Instant) -> (u32, Instant) {
        let mut state = lock(&self.state);
        state.failures = state.failures.saturating_add(1);
        let at = now + super::backoff(state.failures);
        state.not_before = Some(at);
        (state.failures, at)
    }

    /// An answer without an error.
    pub(super) fn succeeded(&self) {
        lock(&self.state).failures = 0;
    }

    /// The position is none that the partition has.
    pub(super) fn out_of_range(&self, epoch: u64) -> bool {
        let mut state = lock(&self.state);
        if state.epoch != epoch {
            return false;
        }
        if state.preferred.take().is_none() {
            state.position = None;
            return true;
        }
        false // A follower may be behind; the leader knows.
    }

    pub(super) fn prefer(&self, broker: Option<(i32, Instant)>) {
        lock(&self.state).preferred = broker;
    }

    pub(super) fn preferred(&self, now: Instant) -> Option<i32> {
        let state = lock(&self.state);
        state
            .preferred
            .filter(|(_, until)| *until > now)
            .map(|(broker, _)| broker)
    }
}
