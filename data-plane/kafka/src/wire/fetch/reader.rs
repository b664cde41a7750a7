//! Partitions that are read without a group: found by name, fetched like those of group members, decoded or handed on whole.

use super::feed::Feed;
use super::hub::Fetching;
use super::inbox::{Chunk, Inbox, Item, Word};
use super::reading::{Reading, unreadable};
use crate::codes::{self, local};
use crate::error::{Class, Error};
use crate::lock::lock;
use crate::metrics::ClientMetrics;
use crate::port::{Assignment, FetchedWhole, Reader, ReaderEvent};
use crate::wire::batch::decode::{Most, Records};
use crate::wire::metadata::Metadata;
use async_trait::async_trait;
use dray_connect::sink_batch::TopicPartition;
use dray_connect::source_batch::BatchLimits;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;
use tokio::time::Instant;

/// A batch of records ends here, so that the reader's memory does not depend on the records' size.
const BATCH_BYTES: usize = 1 << 20;
/// What could not be read is fetched again so late.
const READ_AGAIN: Duration = Duration::from_secs(1);
/// A partition that does not exist is looked for so often …
const MISSING: Duration = Duration::from_secs(1);
/// … and its reader told of every so manieth time that it was not found, first when it is gone for this long.
const QUIET: u32 = 10;

/// A reader of partitions over our own connections.
pub(crate) struct WireReader {
    shared: Arc<Shared>,
    open: Option<Open>,
    most: Most,
    whole: Option<BatchLimits>,
    /// Fetching goes on while there are readers.
    _fetching: Arc<Fetching>,
}

#[derive(Debug)]
struct Shared {
    inbox: Arc<Inbox>,
    feeds: Mutex<Feeds>,
}

#[derive(Debug, Default)]
struct Feeds {
    all: Vec<Arc<Feed>>,
    /// The reader is gone: nothing is begun any more.
    closed: bool,
}

/// The chunk that is being handed out.
struct Open {
    feed: Arc<Feed>,
    epoch: u64,
    bytes: usize,
    /// Of these, what is not in the metrics yet: it all is with its first records.
    uncounted: usize,
    records: Records,
}

impl WireReader {
    /// A reader that begins at once.
    pub(crate) fn start(reading: &Reading, assignment: &Assignment, fetching: &Arc<Fetching>) -> Self {
        let prefetch = assignment.prefetch.clamp(1 << 20, 1 << 30);
        let shared = Arc::new(Shared {
            inbox: Arc::new(Inbox::new(prefetch, Arc::clone(fetching.budget()))),
            feeds: Mutex::default(),
        });
        let finding = Finding {
            wanted: assignment.partitions.clone(),
            reading: reading.clone(),
            shared: Arc::downgrade(&shared),
            fetching: Arc::downgrade(fetching),
        };
        fetching.spawn(finding.run());
        Self {
            shared,
            open: None,
            most: Most {
                records: reading.max_records,
                bytes: BATCH_BYTES,
            },
            whole: assignment.whole,
            _fetching: Arc::clone(fetching),
        }
    }

    fn begin(&mut self, chunk: Chunk) {
        let bytes = chunk.bytes.len();
        if !chunk.feed.is_current(chunk.epoch) {
            self.shared.inbox.done(bytes);
            return;
        }
        let records = Records::new(chunk.bytes, chunk.position, chunk.aborted);
        self.open = Some(Open {
            records: if self.whole.is_some() { records.apart() } else { records },
            feed: chunk.feed,
            epoch: chunk.epoch,
            bytes,
            uncounted: bytes,
        });
    }

    /// What is next in the open chunk.
    fn read(&mut self) -> Option<ReaderEvent> {
        let (whole, most) = (self.whole, self.most);
        let open = self.open.as_mut()?;
        let place = &open.feed.partition;
        let records = &mut open.records;
        let read = (|| {
            if let Some(limits) = whole
                && let Some((batch, last_offset)) = records.take_whole(limits)?
            {
                let count = batch.count;
                let whole = FetchedWhole {
                    topic: Arc::clone(&place.topic),
                    partition: place.partition,
                    last_offset,
                    batch,
                };
                return Ok(Some((ReaderEvent::Batch(whole), count)));
            }
            let batch = records.take(&place.topic, place.partition, most)?;
            Ok(batch.map(|batch| {
                let count = batch.records.len();
                (ReaderEvent::Records(batch), count)
            }))
        })();
        match read {
            Ok(Some((event, count))) => {
                let bytes = std::mem::take(&mut open.uncounted);
                lock(&self.shared.inbox.metrics).read(Instant::now(), &place.topic, count, bytes);
                Some(event)
            }
            Ok(None) => {
                self.close_open();
                None
            }
            Err(malformed) => {
                let error = unreadable(place, &malformed);
                let (feed, epoch, position) = (Arc::clone(&open.feed), open.epoch, open.records.position());
                self.close_open();
                feed.back_to(epoch, position, Instant::now() + READ_AGAIN);
                Some(ReaderEvent::Error(error))
            }
        }
    }

    fn close_open(&mut self) {
        if let Some(open) = self.open.take() {
            let had_room = self.shared.inbox.has_room();
            self.shared.inbox.done(open.bytes);
            if !had_room {
                // Any of them may have waited for room.
                lock(&self.shared.feeds).all.iter().for_each(|feed| feed.wake());
            }
        }
    }

    fn item(&mut self, item: Item) -> Option<ReaderEvent> {
        match item {
            Item::Chunk(chunk) => {
                self.begin(chunk);
                None
            }
            Item::Word(Word::Error(error)) => Some(ReaderEvent::Error(error)),
            // A group's words, and there is none.
            Item::Word(Word::Assigned(_) | Word::Revoked(..) | Word::Lost(_) | Word::Ended) => None,
        }
    }
}

#[async_trait]
impl Reader for WireReader {
    async fn next(&mut self) -> ReaderEvent {
        loop {
            if let Some(event) = self.try_next() {
                return event;
            }
            let item = self.shared.inbox.next().await;
            if let Some(event) = self.item(item) {
                return event;
            }
        }
    }

    fn try_next(&mut self) -> Option<ReaderEvent> {
        loop {
            if let Some(event) = self.read() {
                return Some(event);
            }
            let item = self.shared.inbox.try_next()?;
            if let Some(event) = self.item(item) {
                return Some(event);
            }
        }
    }

    fn metrics(&self) -> Option<ClientMetrics> {
        Some(ClientMetrics::Consumer(Arc::downgrade(&self.shared.inbox.metrics)))
    }
}

impl Drop for WireReader {
    fn drop(&mut self) {
        self.close_open();
        let feeds = {
            let mut feeds = lock(&self.shared.feeds);
            feeds.closed = true;
            std::mem::take(&mut feeds.all)
        };
        feeds.iter().for_each(Feed::stop);
    }
}

/// Looks for the partitions that are to be read until they are all found, or their reader is gone.
struct Finding {
    wanted: Vec<(TopicPartition, Option<i64>)>,
    reading: Reading,
    shared: Weak<Shared>,
    fetching: Weak<Fetching>,
}

impl Finding {
    async fn run(mut self) {
        let mut tries = 0_u32;
        while !self.wanted.is_empty() {
            // Nothing is held while it waits: the last reader to go takes the fetchers with it.
            let Some(cluster) = self.fetching.upgrade().map(|fetching| Arc::clone(fetching.cluster())) else {
                return;
            };
            let topics: BTreeSet<Arc<str>> = self.wanted.iter().map(|(place, _)| Arc::clone(&place.topic)).collect();
            let topics: Vec<Arc<str>> = topics.into_iter().collect();
            let asked = cluster.refresh(&topics).await;
            drop(cluster);
            let missing = match asked {
                Ok(metadata) => self.place(&metadata),
                Err(error) => Some(error),
            };
            tries += 1;
            let Some(shared) = self.shared.upgrade() else {
                return;
            };
            if let Some(error) = missing
                && (error.class == Class::Fatal || tries.is_multiple_of(QUIET))
            {
                shared.inbox.tell(Word::Error(error));
            }
            drop(shared);
            if !self.wanted.is_empty() {
                let wait = super::backoff(tries).min(MISSING);
                tokio::time::sleep(wait).await;
            }
        }
    }

    /// Has what is there fetched; why the first of the others is not.
    fn place(&mut self, metadata: &Metadata) -> Option<Error> {
        let (shared, fetching) = (self.shared.upgrade()?, self.fetching.upgrade()?);
        let (mut found, mut missing) = (Vec::new(), None);
        self.wanted.retain(|(place, position)| {
            let topic = metadata.topics.get(&place.topic);
            if topic.is_some() && metadata.partition(&place.topic, place.partition).is_some() {
                let id = topic.map(|topic| topic.id).unwrap_or_default();
                let how = (Arc::clone(&self.reading.fetch), self.reading.reset);
                let inbox = Arc::clone(&shared.inbox);
                found.push(Arc::new(Feed::new(place.clone(), id, *position, how, inbox)));
                return false;
            }
            missing.get_or_insert_with(|| {
                let what = format!("reading {place}");
                match metadata.refused.get(&place.topic) {
                    Some(refusal) => codes::error(what, refusal.code, None),
                    None => local(
                        what,
                        "UnknownTopicOrPartition",
                        "there is no such partition",
                        Class::Retriable,
                    ),
                }
            });
            true
        });
        let mut feeds = lock(&shared.feeds);
        if feeds.closed {
            return None;
        }
        feeds.all.extend(found.iter().cloned());
        drop(feeds);
        fetching.add(found);
        missing
    }
}
