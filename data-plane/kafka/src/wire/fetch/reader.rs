//! Partitions that are read without a group: found by name, fetched like those of group members, decoded or handed on whole.

use super::feed::Feed;
use super::following::Following;
use super::hub::Fetching;
use super::inbox::{Chunk, Inbox, Item, Word};
use super::reading::{Reading, unreadable};
use crate::lock::lock;
use crate::metrics::ClientMetrics;
use crate::port::{Assignment, FetchedWhole, Reader, ReaderEvent, TopicId};
use crate::wire::batch::decode::{Most, Records};
use async_trait::async_trait;
use dray_connect::sink_batch::TopicPartition;
use dray_connect::source_batch::BatchLimits;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// A batch of records ends here, so that the reader's memory does not depend on the records' size.
const BATCH_BYTES: usize = 1 << 20;
/// What could not be read is fetched again so late.
const READ_AGAIN: Duration = Duration::from_secs(1);
/// A reader of partitions over our own connections.
pub(crate) struct WireReader {
    shared: Arc<Shared>,
    open: Option<Open>,
    /// Whose partitions' records were handed out last.
    topics: HashMap<TopicPartition, TopicId>,
    most: Most,
    whole: Option<BatchLimits>,
    /// Fetching goes on while there are readers.
    _fetching: Arc<Fetching>,
}

/// What a reader shares with who looks for its partitions.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) inbox: Arc<Inbox>,
    pub(super) feeds: Mutex<Feeds>,
    /// Tells by its end that the reader is gone.
    _alive: watch::Sender<()>,
}

#[derive(Debug, Default)]
pub(super) struct Feeds {
    pub(super) all: Vec<Arc<Feed>>,
    /// The reader is gone: nothing is begun any more.
    pub(super) closed: bool,
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
        let (alive, ended) = watch::channel(());
        let shared = Arc::new(Shared {
            inbox: Arc::new(Inbox::new(prefetch, Arc::clone(fetching.budget()))),
            feeds: Mutex::default(),
            _alive: alive,
        });
        let following = Following::new(assignment, reading, (&shared, fetching), ended);
        fetching.spawn(following.run());
        Self {
            shared,
            open: None,
            topics: HashMap::new(),
            most: Most {
                records: reading.max_records,
                bytes: BATCH_BYTES,
            },
            whole: assignment.whole,
            _fetching: Arc::clone(fetching),
        }
    }

    /// Opens a chunk; says so where it is the first of its topic.
    fn begin(&mut self, chunk: Chunk) -> Option<ReaderEvent> {
        let bytes = chunk.bytes.len();
        if !chunk.feed.is_current(chunk.epoch) {
            self.shared.inbox.done(bytes);
            return None;
        }
        let (place, id) = (&chunk.feed.partition, TopicId::of(chunk.feed.topic_id));
        let news = id.filter(|id| self.topics.get(place) != Some(id));
        let event = news.map(|id| {
            self.topics.insert(place.clone(), id);
            ReaderEvent::Topic(place.clone(), id)
        });
        let records = Records::new(chunk.bytes, chunk.position, chunk.aborted);
        self.open = Some(Open {
            records: if self.whole.is_some() { records.apart() } else { records },
            feed: chunk.feed,
            epoch: chunk.epoch,
            bytes,
            uncounted: bytes,
        });
        event
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
            Item::Chunk(chunk) => self.begin(chunk),
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
