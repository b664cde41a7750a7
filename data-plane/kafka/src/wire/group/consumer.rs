//! The reader's side of a group member: what was fetched is decoded here, on the reader's own time, and handed over only while its
//! partition is this member's.

use super::machine::{Identity, Place};
use super::member::{Command, Member, Shared};
use super::requests::Coordinated;
use super::settings::ConsumerSettings;
use crate::codes::local;
use crate::error::{Class, Result};
use crate::lock::lock;
use crate::metrics::ClientMetrics;
use crate::port::{Consumer, ConsumerEvent};
use crate::wire::batch::decode::{Most, Records};
use crate::wire::fetch::feed::Feed;
use crate::wire::fetch::hub::Fetching;
use crate::wire::fetch::inbox::{Chunk, Inbox, Item, Word};
use crate::wire::fetch::reading::unreadable;
use async_trait::async_trait;
use dray_connect::sink_batch::TopicPartition;
use kafka_protocol::protocol::StrBytes;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use uuid::Uuid;

/// A batch ends here, so that the reader's memory does not depend on the records' size.
const BATCH_BYTES: usize = 1 << 20;
/// Commands on their way; the member takes them at once.
const COMMANDS: usize = 16;
/// How long a commit is tried again that may succeed later, and how soon.
const REQUEST: Duration = Duration::from_secs(5);
const RETRY: Duration = Duration::from_millis(50);
/// What could not be read is fetched again so late.
const READ_AGAIN: Duration = Duration::from_secs(1);

pub(crate) struct WireConsumer {
    shared: Arc<Shared>,
    commands: Option<mpsc::Sender<Command>>,
    open: Option<Open>,
    revocation: Option<u64>,
    ended: oneshot::Receiver<()>,
    most: Most,
    /// Fetching goes on while there are readers.
    fetching: Arc<Fetching>,
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

impl WireConsumer {
    /// A member of its group, from now on.
    pub(crate) fn start(
        settings: &ConsumerSettings,
        topics: &[String],
        prefetch: usize,
        fetching: &Arc<Fetching>,
    ) -> Self {
        let rack = Some(&settings.reading.fetch.rack).filter(|rack| !rack.is_empty());
        let inbox = Inbox::new(prefetch.clamp(1 << 20, 1 << 30), Arc::clone(fetching.budget()));
        let shared = Arc::new(Shared {
            inbox: Arc::new(inbox),
            coordinated: Coordinated {
                cluster: Arc::clone(fetching.cluster()),
                group: settings.group.clone(),
                member: Uuid::new_v4().to_string(),
                client: StrBytes::from_string(settings.client.clone()),
                rack: rack.cloned(),
                assignor: settings.assignor.clone(),
                rebalance_timeout: settings.max_poll_interval,
            },
            epoch: Mutex::new(0),
            owned: Mutex::default(),
            leave_when_lost: AtomicBool::new(false),
        });
        let identity = Identity {
            // The reader answers before the coordinator gives up.
            patience: settings.max_poll_interval.mul_f64(0.8),
        };
        let (commands, receiver) = mpsc::channel(COMMANDS);
        let (end, ended) = oneshot::channel();
        let fetch = (Arc::clone(&settings.reading.fetch), settings.reading.reset);
        let member = Member::new(
            Arc::clone(&shared),
            Arc::clone(fetching),
            fetch,
            (identity, topics.to_vec()),
            receiver,
        );
        fetching.spawn(async move {
            member.run().await;
            drop(end);
        });
        Self {
            shared,
            commands: Some(commands),
            open: None,
            revocation: None,
            ended,
            most: Most {
                records: settings.reading.max_records,
                bytes: BATCH_BYTES,
            },
            fetching: Arc::clone(fetching),
        }
    }

    async fn tell(&self, command: Command) -> Result<()> {
        let ended = || local("telling the consumer", "CLOSED", "its member has ended", Class::Fatal);
        let commands = self.commands.as_ref().ok_or_else(ended)?;
        commands.send(command).await.map_err(|_| ended())
    }

    /// Only what this member owns may be committed: the broker does not check it within an epoch.
    fn owned(&self, what: &str, partition: &TopicPartition) -> Result<Arc<Feed>> {
        lock(&self.shared.owned).get(partition).cloned().ok_or_else(|| {
            local(
                format!("{what}, group `{}`", self.shared.coordinated.group),
                "NOT_ASSIGNED",
                format!("{partition} is not assigned to this member"),
                Class::Fenced,
            )
        })
    }

    fn all_owned<'a>(
        &self,
        what: &str,
        partitions: impl IntoIterator<Item = &'a TopicPartition>,
    ) -> Result<Vec<Arc<Feed>>> {
        partitions
            .into_iter()
            .map(|partition| self.owned(what, partition))
            .collect()
    }

    /// Where the reader stands in the chunk that it has begun, if that is this feed's; it is dropped.
    fn give_up_open(&mut self, feed: &Arc<Feed>) -> Option<i64> {
        let open = self.open.take_if(|open| Arc::ptr_eq(&open.feed, feed))?;
        self.shared.inbox.done(open.bytes);
        open.feed.wake();
        open.feed.is_current(open.epoch).then(|| open.records.position())
    }

    fn begin(&mut self, chunk: Chunk) {
        let bytes = chunk.bytes.len();
        if !chunk.feed.is_current(chunk.epoch) {
            self.shared.inbox.done(bytes);
            return;
        }
        self.open = Some(Open {
            records: Records::new(chunk.bytes, chunk.position, chunk.aborted),
            feed: chunk.feed,
            epoch: chunk.epoch,
            bytes,
            uncounted: bytes,
        });
    }

    /// The next records of the open chunk.
    fn read(&mut self) -> Option<ConsumerEvent> {
        let open = self.open.as_mut()?;
        let place = &open.feed.partition;
        let read = if open.feed.is_current(open.epoch) {
            open.records.take(&place.topic, place.partition, self.most)
        } else {
            Ok(None)
        };
        match read {
            // A slow decode must not outlive its ownership.
            Ok(Some(batch)) if open.feed.is_current(open.epoch) => {
                let bytes = std::mem::take(&mut open.uncounted);
                lock(&self.shared.inbox.metrics).read(Instant::now(), &place.topic, batch.records.len(), bytes);
                Some(ConsumerEvent::Records(batch))
            }
            Ok(_) => {
                self.close_open();
                None
            }
            Err(malformed) => {
                let error = unreadable(place, &malformed);
                let (feed, epoch, position) = (Arc::clone(&open.feed), open.epoch, open.records.position());
                self.close_open();
                feed.back_to(epoch, position, Instant::now() + READ_AGAIN);
                Some(ConsumerEvent::Error(error))
            }
        }
    }

    fn close_open(&mut self) {
        if let Some(open) = self.open.take() {
            let had_room = self.shared.inbox.has_room();
            self.shared.inbox.done(open.bytes);
            if !had_room {
                self.wake_all();
            }
        }
    }

    /// Any of its partitions may have waited for room.
    fn wake_all(&self) {
        let feeds: Vec<_> = lock(&self.shared.owned).values().cloned().collect();
        feeds.iter().for_each(|feed| feed.wake());
    }

    fn word(&mut self, word: Word) -> Option<ConsumerEvent> {
        match word {
            Word::Assigned(partitions) => Some(ConsumerEvent::Assigned(partitions)),
            Word::Revoked(number, partitions) => {
                self.revocation = Some(number);
                Some(ConsumerEvent::Revoked(partitions))
            }
            Word::Lost(partitions) => Some(ConsumerEvent::Lost(partitions)),
            Word::Error(error) => Some(ConsumerEvent::Error(error)),
            Word::Ended => None,
        }
    }
}

#[async_trait]
impl Consumer for WireConsumer {
    async fn event(&mut self) -> ConsumerEvent {
        loop {
            if let Some(word) = self.shared.inbox.next_word() {
                if let Some(event) = self.word(word) {
                    return event;
                }
                continue;
            }
            if self.open.is_some() {
                if let Some(event) = self.read() {
                    return event;
                }
                continue;
            }
            match self.shared.inbox.next().await {
                Item::Chunk(chunk) => self.begin(chunk),
                Item::Word(word) => {
                    if let Some(event) = self.word(word) {
                        return event;
                    }
                }
            }
        }
    }

    async fn revoked(&mut self) {
        if let Some(number) = self.revocation.take()
            && let Err(error) = self.tell(Command::Revoked(number)).await
        {
            // The deadline answers for us then.
            tracing::warn!(%error, "could not answer a revocation");
        }
    }

    async fn commit(&mut self, offsets: &BTreeMap<TopicPartition, i64>) -> Result<()> {
        if offsets.is_empty() {
            return Ok(());
        }
        let deadline = Instant::now() + REQUEST;
        loop {
            let feeds = self.all_owned("committing offsets", offsets.keys())?;
            let places = feeds.iter().map(|feed| Place {
                topic: feed.topic_id,
                partition: feed.partition.partition,
            });
            let offsets: Vec<_> = places
                .zip(offsets)
                .map(|(place, (at, offset))| (place, at, *offset))
                .collect();
            let epoch = *lock(&self.shared.epoch);
            let begun = Instant::now();
            let Err(error) = self.shared.coordinated.commit(epoch, &offsets).await else {
                lock(&self.shared.inbox.metrics).committed(Instant::now(), begun.elapsed());
                return Ok(());
            };
            // The group has changed a moment ago, or has done without the member.
            if matches!(
                error.code.as_str(),
                "StaleMemberEpoch" | "UnknownMemberId" | "FencedMemberEpoch"
            ) {
                self.tell(Command::Doubted).await.ok();
            }
            let passes = error.is_retriable() && error.code != "RebalanceInProgress" && error.code != "UnknownTopicId";
            if !passes || Instant::now() >= deadline {
                return Err(error);
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn seek(&mut self, partition: &TopicPartition, offset: i64) -> Result<()> {
        let feed = self.owned(&format!("seeking {partition} to {offset}"), partition)?;
        let had_none = feed.seek(offset);
        self.give_up_open(&feed);
        if had_none {
            self.fetching.add(vec![feed]);
        }
        Ok(())
    }

    async fn pause(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        for feed in self.all_owned("pausing", partitions)? {
            let undelivered = self.give_up_open(&feed);
            feed.pause(undelivered);
        }
        self.wake_all(); // There is room for the others.
        Ok(())
    }

    async fn resume(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        let feeds = self.all_owned("resuming", partitions)?;
        feeds.iter().for_each(|feed| feed.resume());
        Ok(())
    }

    async fn subscribe(&mut self, topics: &[String]) -> Result<()> {
        self.tell(Command::Subscribe(topics.to_vec())).await
    }

    fn leave_when_lost(&mut self) {
        self.shared.leave_when_lost.store(true, Ordering::Relaxed);
    }

    async fn rejoin(&mut self) -> Result<()> {
        self.tell(Command::Rejoin).await
    }

    fn ends(&self) -> BTreeMap<TopicPartition, i64> {
        let owned = lock(&self.shared.owned);
        let ends = owned
            .iter()
            .filter_map(|(partition, feed)| Some((partition.clone(), feed.end()?)));
        ends.collect()
    }

    fn metrics(&self) -> Option<ClientMetrics> {
        Some(ClientMetrics::Consumer(Arc::downgrade(&self.shared.inbox.metrics)))
    }

    async fn close(mut self: Box<Self>) {
        self.commands = None;
        // It is never sent on; the member drops it at its end.
        (&mut self.ended).await.ok();
    }
}
