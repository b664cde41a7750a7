//! The reader's side of a group member: events in, commands out. The member itself lives on its own thread.

use super::batch::Stamped;
use super::client::{Threads, lock, translated};
use super::config::Role;
use super::errors::local;
use super::member::{Command, Identity, Link};
use super::membership::{ClassicClusters, Membership};
use crate::error::{Class, Error, Result};
use crate::port::{ClientConfig, Consumer, ConsumerEvent};
use crate::wire::oauth::Sources;
use async_trait::async_trait;
use dray_connect::sink_batch::TopicPartition;
use rdkafka::Offset;
use std::collections::{BTreeMap, VecDeque};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{Notify, oneshot};

/// Batches that wait for the reader: one to take while the next is gathered, and one for jitter.
const BATCHES: usize = 2;
/// Errors that wait for the reader; more of them would say nothing new.
const ERRORS: usize = 16;
/// Commands on their way. The reader waits for each, so more than one is there only after cancelled calls.
const COMMANDS: usize = 16;
/// Records per batch where the configuration does not say.
const MAX_RECORDS: usize = 2000;

/// What the member's thread has to say.
#[derive(Debug)]
pub(super) enum Item {
    Records(Box<Stamped>),
    Assigned(Vec<(TopicPartition, Option<i64>)>),
    /// With the number that the answer must carry: an answer that comes too late must not count for the next one.
    Revoked(u64, Vec<TopicPartition>),
    Lost(Vec<TopicPartition>),
    Error(Error),
}

/// From the member's thread to its reader. Records and errors are bounded in number; what a rebalance has to say always
/// finds room, which a rebalance bounds by itself: each waits for the reader or for its deadline.
#[derive(Debug, Default)]
pub(super) struct Events {
    items: Mutex<VecDeque<Item>>,
    wake: Notify,
}

impl Events {
    /// Hands over a batch, or gives it back when the reader is behind.
    pub(super) fn push_batch(&self, batch: Box<Stamped>) -> std::result::Result<(), Box<Stamped>> {
        let mut items = lock(&self.items);
        if items.iter().filter(|item| matches!(item, Item::Records(_))).count() >= BATCHES {
            return Err(batch);
        }
        items.push_back(Item::Records(batch));
        drop(items);
        self.wake.notify_one();
        Ok(())
    }

    pub(super) fn push(&self, item: Item) {
        let mut items = lock(&self.items);
        let errors = items.iter().filter(|item| matches!(item, Item::Error(_))).count();
        if matches!(item, Item::Error(_)) && errors >= ERRORS {
            return;
        }
        items.push_back(item);
        drop(items);
        self.wake.notify_one();
    }

    async fn next(&self) -> Item {
        loop {
            if let Some(item) = lock(&self.items).pop_front() {
                return item;
            }
            self.wake.notified().await;
        }
    }
}

/// A group member as its reader sees it.
pub(super) struct RdConsumer {
    link: Arc<Link>,
    commands: SyncSender<Command>,
    revocation: Option<u64>,
    ended: Option<oneshot::Receiver<()>>,
    thread: Option<JoinHandle<()>>,
    threads: Arc<Threads>,
}

impl RdConsumer {
    pub(super) fn start(
        config: &ClientConfig,
        topics: &[String],
        prefetch: usize,
        threads: &Arc<Threads>,
        classic: &Arc<ClassicClusters>,
        sources: &Arc<Sources>,
    ) -> Result<Self> {
        let mut settings = translated(config, Role::Consumer)?;
        // One fetch may overshoot, so a fetch is at most as large as the whole bound, and large enough for a record.
        let prefetch = prefetch.clamp(1 << 20, 1 << 30);
        settings.default_to("queued.max.messages.kbytes", &(prefetch / 1024).to_string());
        settings.default_to("fetch.max.bytes", &prefetch.min(50 << 20).to_string());
        settings.default_to("fetch.message.max.bytes", "1048576");
        settings.default_to("fetch.wait.max.ms", "500");
        let group = settings.settings.get("group.id").cloned().unwrap_or_default();
        let client = settings.settings.get("client.id").cloned().unwrap_or_default();
        let what = format!("joining the group `{group}`");
        if group.is_empty() {
            return Err(local(what, "INVALID_CONFIG", "`group.id` is missing", Class::Fatal));
        }
        let interval = settings
            .settings
            .get("max.poll.interval.ms")
            .and_then(|ms| ms.parse().ok())
            .unwrap_or(300_000);
        let fresh = match settings.settings.get("auto.offset.reset").map(String::as_str) {
            Some("latest" | "largest" | "end") => Offset::End,
            // librdkafka looks once more then, and reports that there is nothing to start from.
            Some("error") => Offset::Invalid,
            _ => Offset::Beginning,
        };
        let max_records = config
            .get("max.poll.records")
            .and_then(|n| n.trim().parse().ok())
            .unwrap_or(MAX_RECORDS)
            .max(1);

        let (commands, receiver) = sync_channel(COMMANDS);
        let link = Arc::new(Link::new(receiver, topics));
        let identity = Identity {
            client,
            group,
            fresh,
            patience: Duration::from_millis(interval).mul_f64(0.8),
        };
        let mut membership = Membership::new(settings, identity, max_records, Arc::clone(&link), (classic, sources));
        let first = membership.join()?;
        let (end, ended) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("kafka-consumer".to_owned())
            .spawn(move || {
                membership.live(first);
                drop(end);
            })
            .map_err(|error| local(what, "THREAD", error.to_string(), Class::Fatal))?;
        Ok(Self {
            link,
            commands,
            revocation: None,
            ended: Some(ended),
            thread: Some(thread),
            threads: Arc::clone(threads),
        })
    }

    fn send(&self, command: Command) -> Result<()> {
        self.commands.try_send(command).map_err(|error| match error {
            TrySendError::Full(_) => local(
                "telling the consumer",
                "BUSY",
                "it has not yet served earlier calls",
                Class::Retriable,
            ),
            TrySendError::Disconnected(_) => ended(),
        })
    }

    async fn ask(&self, command: impl FnOnce(oneshot::Sender<Result<()>>) -> Command) -> Result<()> {
        let (reply, answer) = oneshot::channel();
        self.send(command(reply))?;
        answer.await.unwrap_or_else(|_| Err(ended()))
    }
}

fn ended() -> Error {
    local("telling the consumer", "CLOSED", "its thread has ended", Class::Fatal)
}

#[async_trait]
impl Consumer for RdConsumer {
    async fn event(&mut self) -> ConsumerEvent {
        loop {
            match self.link.events.next().await {
                Item::Records(stamped) => {
                    if let Some(batch) = stamped.current(&self.link.epochs) {
                        return ConsumerEvent::Records(batch);
                    }
                }
                Item::Assigned(partitions) => return ConsumerEvent::Assigned(partitions),
                Item::Revoked(number, partitions) => {
                    self.revocation = Some(number);
                    return ConsumerEvent::Revoked(partitions);
                }
                Item::Lost(partitions) => return ConsumerEvent::Lost(partitions),
                Item::Error(error) => return ConsumerEvent::Error(error),
            }
        }
    }

    async fn revoked(&mut self) {
        if let Some(number) = self.revocation.take()
            && let Err(error) = self.send(Command::Revoked(number))
        {
            // The deadline answers for us then.
            tracing::warn!(%error, "could not answer a revocation");
        }
    }

    async fn commit(&mut self, offsets: &BTreeMap<TopicPartition, i64>) -> Result<()> {
        let offsets = offsets.clone();
        self.ask(|reply| Command::Commit(offsets, reply)).await
    }

    async fn seek(&mut self, partition: &TopicPartition, offset: i64) -> Result<()> {
        let partition = partition.clone();
        self.ask(|reply| Command::Seek(partition, offset, reply)).await
    }

    async fn pause(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        let partitions = partitions.to_vec();
        self.ask(|reply| Command::Pause(partitions, reply)).await
    }

    async fn resume(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        let partitions = partitions.to_vec();
        self.ask(|reply| Command::Resume(partitions, reply)).await
    }

    async fn subscribe(&mut self, topics: &[String]) -> Result<()> {
        let topics = topics.to_vec();
        self.ask(|reply| Command::Subscribe(topics, reply)).await
    }

    fn leave_when_lost(&mut self) {
        self.link.leave_when_lost();
    }

    async fn rejoin(&mut self) -> Result<()> {
        self.ask(Command::Rejoin).await
    }

    async fn close(mut self: Box<Self>) {
        // A full queue needs no word: the dropped sender ends the thread too.
        let (dummy, _) = sync_channel(1);
        drop(std::mem::replace(&mut self.commands, dummy));
        if let Some(ended) = self.ended.take() {
            // It is never sent on; the thread drops it at its end.
            ended.await.ok();
        }
        if let Some(thread) = self.thread.take() {
            self.threads.retire(thread);
        }
    }
}

impl Drop for RdConsumer {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            let (dummy, _) = sync_channel(1);
            drop(std::mem::replace(&mut self.commands, dummy));
            self.threads.retire(thread);
        }
    }
}
