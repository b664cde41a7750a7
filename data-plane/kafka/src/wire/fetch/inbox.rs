//! What waits for a consumer's reader: what the group has to say, records, errors. Records are bounded in bytes, by consumer and by
//! process; errors in number; what a rebalance has to say bounds itself, as each waits for the reader or its deadline.

use super::feed::Feed;
use crate::error::Error;
use crate::lock::lock;
use crate::metrics::ConsumerMetrics;
use crate::wire::batch::decode::Aborted;
use bytes::Bytes;
use dray_connect::sink_batch::TopicPartition;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

/// Errors that wait for the reader; more of them would say nothing new.
const ERRORS: usize = 16;

/// What the group has to say.
#[derive(Debug)]
pub(crate) enum Word {
    Assigned(Vec<(TopicPartition, Option<i64>)>),
    /// With the number that the answer must carry: an answer that comes too late must not count for the next one.
    Revoked(u64, Vec<TopicPartition>),
    Lost(Vec<TopicPartition>),
    Error(Error),
    /// The member has ended.
    Ended,
}

/// One partition's share of a fetch answer.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) feed: Arc<Feed>,
    /// The feed's epoch when it was asked for: older ones are not delivered.
    pub(crate) epoch: u64,
    pub(crate) position: i64,
    pub(crate) bytes: Bytes,
    pub(crate) aborted: Option<Vec<Aborted>>,
}

#[derive(Debug)]
pub(crate) enum Item {
    Word(Word),
    Chunk(Chunk),
}

/// The bytes that all consumers of the process may hold ahead of their readers. One that holds nothing may always ask, so nobody
/// starves.
#[derive(Debug)]
pub(crate) struct Budget {
    used: AtomicUsize,
    most: usize,
}

impl Budget {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            used: AtomicUsize::new(0),
            most,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Inbox {
    queue: Mutex<Queue>,
    wake: Notify,
    held: AtomicUsize,
    prefetch: usize,
    budget: Arc<Budget>,
    pub(crate) metrics: Arc<Mutex<ConsumerMetrics>>,
}

#[derive(Debug, Default)]
struct Queue {
    words: VecDeque<Word>,
    chunks: VecDeque<Chunk>,
}

impl Inbox {
    pub(crate) fn new(prefetch: usize, budget: Arc<Budget>) -> Self {
        Self {
            queue: Mutex::default(),
            wake: Notify::new(),
            held: AtomicUsize::new(0),
            prefetch,
            budget,
            metrics: Arc::default(),
        }
    }

    pub(crate) fn tell(&self, word: Word) {
        let mut queue = lock(&self.queue);
        let errors = queue.words.iter().filter(|word| matches!(word, Word::Error(_))).count();
        if matches!(word, Word::Error(_)) && errors >= ERRORS {
            return;
        }
        queue.words.push_back(word);
        drop(queue);
        self.wake.notify_one();
    }

    pub(crate) fn push(&self, chunk: Chunk) {
        let bytes = chunk.bytes.len();
        self.held.fetch_add(bytes, Ordering::Relaxed);
        self.budget.used.fetch_add(bytes, Ordering::Relaxed);
        lock(&self.queue).chunks.push_back(chunk);
        self.wake.notify_one();
    }

    /// Whether more may be fetched for this reader.
    pub(crate) fn has_room(&self) -> bool {
        let held = self.held.load(Ordering::Relaxed);
        held == 0 || held < self.prefetch && self.budget.used.load(Ordering::Relaxed) < self.budget.most
    }

    /// The next item; a word goes before records. Cancel-safe.
    pub(crate) async fn next(&self) -> Item {
        loop {
            if let Some(item) = self.try_next() {
                return item;
            }
            self.wake.notified().await;
        }
    }

    pub(crate) fn try_next(&self) -> Option<Item> {
        let mut queue = lock(&self.queue);
        if let Some(word) = queue.words.pop_front() {
            return Some(Item::Word(word));
        }
        queue.chunks.pop_front().map(Item::Chunk)
    }

    /// A chunk is delivered, or will never be.
    pub(crate) fn done(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
        self.budget.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(crate) fn next_word(&self) -> Option<Word> {
        lock(&self.queue).words.pop_front()
    }

    /// Drops what waits of this feed; the position of the first that was its own and is current.
    pub(crate) fn purge(&self, feed: &Arc<Feed>, epoch: u64) -> Option<i64> {
        let mut first = None;
        let mut dropped = 0;
        lock(&self.queue).chunks.retain(|chunk| {
            let other = !Arc::ptr_eq(&chunk.feed, feed);
            if !other {
                dropped += chunk.bytes.len();
                if chunk.epoch == epoch {
                    first.get_or_insert(chunk.position);
                }
            }
            other
        });
        self.done(dropped);
        first
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        // Whoever drops the consumer has read nothing of the rest.
        let held = self.held.load(Ordering::Relaxed);
        self.budget.used.fetch_sub(held, Ordering::Relaxed);
    }
}
