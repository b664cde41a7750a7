//! What lanes and their sender tell each other: which tracks to look at, which topics are missing, how much memory is taken.

use super::lane_state::LaneShared;
use crate::lock::lock;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

/// A track of a lane.
#[derive(Clone, Debug)]
pub(super) struct TrackRef {
    pub(super) lane: Arc<LaneShared>,
    pub(super) track: usize,
}

#[derive(Debug, Default)]
struct Listed {
    /// Each track once: bounded by what the lanes have.
    tracks: Vec<TrackRef>,
    topics: BTreeSet<Arc<str>>,
}

/// Where lanes leave word for their sender.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    listed: Mutex<Listed>,
    pub(super) news: Notify,
    /// Bytes of records that lanes have in flight.
    used: AtomicUsize,
    /// A lane met the limit; it is woken when there is room.
    full: AtomicBool,
    pub(super) room: Notify,
}

impl Inbox {
    /// Has the sender look at these tracks. Whoever calls has marked them as listed.
    pub(super) fn list(&self, tracks: impl Iterator<Item = TrackRef>) {
        let mut listed = lock(&self.listed);
        listed.tracks.extend(tracks);
        drop(listed);
        self.news.notify_one();
    }

    /// Has the sender ask for a topic.
    pub(super) fn want(&self, topic: Arc<str>) {
        lock(&self.listed).topics.insert(topic);
        self.news.notify_one();
    }

    pub(super) fn take(&self) -> (Vec<TrackRef>, BTreeSet<Arc<str>>) {
        let mut listed = lock(&self.listed);
        (std::mem::take(&mut listed.tracks), std::mem::take(&mut listed.topics))
    }

    /// Bytes in flight of all lanes.
    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    pub(super) fn take_room(&self, bytes: usize) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn give_room(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
        if self.full.load(Ordering::Relaxed) && self.full.swap(false, Ordering::AcqRel) {
            self.room.notify_waiters();
        }
    }

    /// Says that a lane waits for room. It looks once more after this: room made in between would otherwise wake nobody.
    pub(super) fn say_full(&self) {
        self.full.store(true, Ordering::Release);
    }

    pub(super) fn is_full(&self) -> bool {
        self.full.load(Ordering::Acquire)
    }
}
