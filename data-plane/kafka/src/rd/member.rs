//! The thread of a group member. It polls whatever its reader does, so membership is kept; rebalance callbacks run on it
//! too, inside a poll, and there it goes on serving commands until the reader has answered or a deadline is over.

use super::batch::{Builder, Epochs};
use super::client::{lock, log, log_error};
use super::consumer::{Events, Item};
use super::errors::{from_code, from_kafka, local};
use super::fetch::FetchQueue;
use crate::error::{Class, Error, Result};
use dray_connect::sink_batch::TopicPartition;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::{ClientContext, Offset, TopicPartitionList};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// A batch ends here, so that the reader's memory does not depend on the records' size.
const BATCH_BYTES: usize = 1 << 20;
/// How long a command or a rebalance waits at most when no record comes,
const BETWEEN_RECORDS: Duration = Duration::from_millis(10);
/// and when none came for so long: a fleet of idle tasks must not keep a core busy. A record never waits.
const IDLE_AFTER: Duration = Duration::from_secs(1);
const IDLE: Duration = Duration::from_millis(100);
/// How soon room for a batch is noticed while the reader is busy.
const BUSY_WAIT: Duration = Duration::from_millis(1);
/// A reader that is behind for longer gets its partitions paused; librdkafka then drops what it prefetched.
const PAUSE_AFTER: Duration = Duration::from_secs(1);
/// How long one request to the coordinator may take before it is tried again.
const REQUEST: Duration = Duration::from_secs(5);
/// Between two tries of a request.
const RETRY: Duration = Duration::from_millis(50);

type Reply = oneshot::Sender<Result<()>>;

/// What the reader wants. A dropped sender means: leave the group.
#[derive(Debug)]
pub(super) enum Command {
    Commit(BTreeMap<TopicPartition, i64>, Reply),
    Seek(TopicPartition, i64, Reply),
    Pause(Vec<TopicPartition>, Reply),
    Resume(Vec<TopicPartition>, Reply),
    Subscribe(Vec<String>, Reply),
    Revoked(u64),
}

#[derive(Debug, Default)]
struct Owned {
    partitions: BTreeSet<TopicPartition>,
    /// Paused by the reader; not resumed when room comes back.
    paused: BTreeSet<TopicPartition>,
}

/// The member's state: the context of its librdkafka client. Only the member's thread touches it.
#[derive(Debug)]
pub(super) struct Member {
    client: String,
    group: String,
    events: Arc<Events>,
    epochs: Arc<Epochs>,
    commands: Mutex<Receiver<Command>>,
    owned: Mutex<Owned>,
    /// How long a revocation waits for its answer.
    patience: Duration,
    revocations: AtomicU64,
    answered: AtomicU64,
    closing: AtomicBool,
    /// Newly assigned partitions are not paused, whatever the thread did before.
    assigned_anew: AtomicBool,
    /// Where assigned partitions deliver; there while the thread runs.
    fetches: Mutex<Option<FetchQueue>>,
}

/// Why a wait for commands ended.
#[derive(Debug, PartialEq, Eq)]
enum Served {
    Command,
    Nothing,
}

impl Member {
    pub(super) fn new(
        client: String,
        group: String,
        events: Arc<Events>,
        epochs: Arc<Epochs>,
        commands: Receiver<Command>,
        patience: Duration,
    ) -> Self {
        Self {
            client,
            group,
            events,
            epochs,
            commands: Mutex::new(commands),
            owned: Mutex::default(),
            patience,
            revocations: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            closing: AtomicBool::new(false),
            assigned_anew: AtomicBool::new(false),
            fetches: Mutex::new(None),
        }
    }

    fn closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    /// Waits for one command and obeys it.
    fn serve(&self, consumer: &BaseConsumer<Self>, wait: Duration) -> Served {
        let command = {
            let commands = lock(&self.commands);
            if wait.is_zero() {
                commands.try_recv().map_err(|error| error == TryRecvError::Disconnected)
            } else {
                commands
                    .recv_timeout(wait)
                    .map_err(|error| error == RecvTimeoutError::Disconnected)
            }
        };
        match command {
            Ok(command) => {
                self.obey(consumer, command);
                Served::Command
            }
            Err(disconnected) => {
                if disconnected {
                    self.closing.store(true, Ordering::Relaxed);
                }
                Served::Nothing
            }
        }
    }

    fn obey(&self, consumer: &BaseConsumer<Self>, command: Command) {
        // A reader that no longer waits for its answer has lost nothing by it.
        match command {
            Command::Commit(offsets, reply) => drop(reply.send(self.commit(consumer, &offsets))),
            Command::Seek(partition, offset, reply) => drop(reply.send(self.seek(consumer, &partition, offset))),
            Command::Pause(partitions, reply) => drop(reply.send(self.pause(consumer, &partitions))),
            Command::Resume(partitions, reply) => drop(reply.send(self.resume(consumer, &partitions))),
            Command::Subscribe(topics, reply) => {
                let names: Vec<&str> = topics.iter().map(String::as_str).collect();
                let result = consumer
                    .subscribe(&names)
                    .map_err(|error| self.error("subscribing", &error));
                drop(reply.send(result));
            }
            Command::Revoked(number) => self.answered.store(number, Ordering::Relaxed),
        }
    }

    fn error(&self, what: &str, error: &KafkaError) -> Error {
        from_kafka(format!("{what}, group `{}`", self.group), error)
    }

    /// Only what this member owns may be committed: the broker does not check it within a generation.
    fn owned_only<'a>(&self, what: &str, partitions: impl IntoIterator<Item = &'a TopicPartition>) -> Result<()> {
        let owned = lock(&self.owned);
        match partitions
            .into_iter()
            .find(|partition| !owned.partitions.contains(partition))
        {
            None => Ok(()),
            Some(partition) => Err(local(
                format!("{what}, group `{}`", self.group),
                "NOT_ASSIGNED",
                format!("{partition} is not assigned to this member"),
                Class::Fenced,
            )),
        }
    }

    fn commit(&self, consumer: &BaseConsumer<Self>, offsets: &BTreeMap<TopicPartition, i64>) -> Result<()> {
        let what = "committing offsets";
        if offsets.is_empty() {
            return Ok(());
        }
        self.owned_only(what, offsets.keys())?;
        let mut list = TopicPartitionList::with_capacity(offsets.len());
        for (partition, offset) in offsets {
            list.add_partition_offset(&partition.topic, partition.partition, Offset::Offset(*offset))
                .map_err(|error| self.error(what, &error))?;
        }
        consumer
            .commit(&list, CommitMode::Sync)
            .map_err(|error| self.error(what, &error))
    }

    fn seek(&self, consumer: &BaseConsumer<Self>, partition: &TopicPartition, offset: i64) -> Result<()> {
        let what = format!("seeking {partition} to {offset}");
        self.owned_only(&what, [partition])?;
        let deadline = Instant::now() + REQUEST;
        // A partition that was assigned a moment ago cannot be moved before its fetcher runs.
        while let Err(error) = consumer.seek(&partition.topic, partition.partition, Offset::Offset(offset), REQUEST) {
            if Instant::now() >= deadline || self.closing() {
                return Err(local(what, "SEEK", error.to_string(), Class::Retriable));
            }
            std::thread::sleep(RETRY);
        }
        // Only now: had the seek failed, dropping what was fetched would lose it.
        self.epochs.next(partition);
        Ok(())
    }

    fn pause(&self, consumer: &BaseConsumer<Self>, partitions: &[TopicPartition]) -> Result<()> {
        self.owned_only("pausing", partitions)?;
        consumer
            .pause(&list(partitions))
            .map_err(|error| self.error("pausing", &error))?;
        lock(&self.owned).paused.extend(partitions.iter().cloned());
        Ok(())
    }

    fn resume(&self, consumer: &BaseConsumer<Self>, partitions: &[TopicPartition]) -> Result<()> {
        self.owned_only("resuming", partitions)?;
        consumer
            .resume(&list(partitions))
            .map_err(|error| self.error("resuming", &error))?;
        lock(&self.owned)
            .paused
            .retain(|partition| !partitions.contains(partition));
        // Should the reader be behind, the thread pauses them again.
        self.assigned_anew.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Pauses or resumes all that the reader did not pause itself.
    fn hold(&self, consumer: &BaseConsumer<Self>, hold: bool) {
        let owned = lock(&self.owned);
        let partitions: Vec<_> = owned.partitions.difference(&owned.paused).cloned().collect();
        drop(owned);
        let result = if hold {
            consumer.pause(&list(&partitions))
        } else {
            consumer.resume(&list(&partitions))
        };
        if let Err(error) = result {
            tracing::warn!(group = self.group, %error, hold, "could not hold or release the partitions");
        }
    }

    fn revoking(&self, consumer: &BaseConsumer<Self>, partitions: Vec<TopicPartition>) {
        for partition in &partitions {
            self.epochs.next(partition);
        }
        if !partitions.is_empty() && !self.closing() {
            if consumer.assignment_lost() {
                self.events.push(Item::Lost(partitions.clone()));
            } else {
                let number = self.revocations.fetch_add(1, Ordering::Relaxed) + 1;
                self.events.push(Item::Revoked(number, partitions.clone()));
                let deadline = Instant::now() + self.patience;
                while self.answered.load(Ordering::Relaxed) != number && !self.closing() {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        tracing::warn!(group = self.group, "a revocation was not answered in time");
                        break;
                    }
                    self.serve(consumer, left);
                }
            }
        }
        let mut owned = lock(&self.owned);
        for partition in &partitions {
            owned.partitions.remove(partition);
            owned.paused.remove(partition);
        }
    }

    fn assigned(&self, consumer: &BaseConsumer<Self>, partitions: &TopicPartitionList) {
        if self.closing() || partitions.count() == 0 {
            return;
        }
        let deadline = Instant::now() + self.patience;
        let committed = loop {
            match consumer.committed_offsets(partitions.clone(), REQUEST) {
                Ok(committed) => break committed,
                Err(error) => {
                    let error = self.error("reading committed offsets", &error);
                    let give_up = !error.is_retriable() || Instant::now() >= deadline;
                    self.events.push(Item::Error(error));
                    if give_up || self.closing() {
                        break partitions.clone();
                    }
                    self.serve(consumer, RETRY);
                }
            }
        };
        let mut with_offsets = Vec::with_capacity(committed.count());
        for element in committed.elements() {
            let offset = match element.offset() {
                Offset::Offset(offset) => Some(offset),
                Offset::Beginning | Offset::End | Offset::Stored | Offset::Invalid | Offset::OffsetTail(_) => None,
            };
            with_offsets.push((topic_partition(element.topic(), element.partition()), offset));
        }
        lock(&self.owned)
            .partitions
            .extend(with_offsets.iter().map(|(partition, _)| partition.clone()));
        self.assigned_anew.store(true, Ordering::Relaxed);
        self.events.push(Item::Assigned(with_offsets));
    }
}

fn topic_partition(topic: &str, partition: i32) -> TopicPartition {
    TopicPartition {
        topic: Arc::from(topic),
        partition,
    }
}

fn list(partitions: &[TopicPartition]) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for partition in partitions {
        list.add_partition(&partition.topic, partition.partition);
    }
    list
}

impl ClientContext for Member {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(&self.client, level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        log_error(&self.client, &error, reason);
    }
}

impl ConsumerContext for Member {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Revoke(partitions) => {
                let elements = partitions.elements();
                self.revoking(
                    consumer,
                    elements
                        .iter()
                        .map(|e| topic_partition(e.topic(), e.partition()))
                        .collect(),
                );
            }
            Rebalance::Error(error) => self.events.push(Item::Error(self.error("rebalancing", error))),
            // Before the assignment, so that nothing of these partitions comes another way.
            Rebalance::Assign(partitions) => {
                if let Some(fetches) = lock(&self.fetches).as_ref() {
                    for element in partitions.elements() {
                        fetches.adopt(consumer, element.topic(), element.partition());
                    }
                }
            }
        }
    }

    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Assign(partitions) = rebalance {
            self.assigned(consumer, partitions);
        }
    }
}

/// Polls until the reader is gone.
pub(super) fn run(consumer: &BaseConsumer<Member>, max_records: usize) {
    let member = Arc::clone(consumer.context());
    *lock(&member.fetches) = Some(FetchQueue::new(consumer));
    work(&member, consumer, max_records);
    // The consumer goes after it.
    drop(lock(&member.fetches).take());
}

fn work(member: &Member, consumer: &BaseConsumer<Member>, max_records: usize) {
    let mut builder = Builder::default();
    let mut held = false;
    let mut last_records = Instant::now();
    loop {
        while member.serve(consumer, Duration::ZERO) == Served::Command {}
        if member.closing() {
            return;
        }
        let idle = last_records.elapsed() > IDLE_AFTER;
        let wait = if idle { IDLE } else { BETWEEN_RECORDS };
        gather(member, consumer, &mut builder, max_records, wait);
        if builder.records() == 0 {
            continue;
        }
        let since = Instant::now();
        last_records = since;
        let mut batch = Box::new(builder.take());
        while let Err(back) = member.events.push_batch(batch) {
            batch = back;
            if member.closing() {
                return;
            }
            if since.elapsed() < PAUSE_AFTER {
                member.serve(consumer, BUSY_WAIT);
                continue;
            }
            if !held || member.assigned_anew.swap(false, Ordering::Relaxed) {
                member.hold(consumer, true);
                held = true;
            }
            // Nothing is delivered from held partitions but what slipped through, and that waits in the builder.
            gather(member, consumer, &mut builder, max_records, BUSY_WAIT);
            member.serve(consumer, BUSY_WAIT);
        }
        if held {
            member.hold(consumer, false);
            held = false;
        }
    }
}

/// Takes what is there, up to a batch; waits only for the first record.
fn gather(member: &Member, consumer: &BaseConsumer<Member>, builder: &mut Builder, max_records: usize, wait: Duration) {
    // Rebalances and errors of the client come on the consumer's own queue, records of adopted partitions do not.
    while let Some(polled) = consumer.poll(Duration::ZERO) {
        match polled {
            Ok(message) => builder.push_borrowed(&message, &member.epochs),
            Err(error) => {
                member.events.push(Item::Error(consume_error(member, &error)));
                return;
            }
        }
    }
    let mut fetches = lock(&member.fetches);
    let Some(fetches) = fetches.as_mut() else { return };
    while builder.records() < max_records && builder.bytes() < BATCH_BYTES {
        let wait = if builder.records() == 0 { wait } else { Duration::ZERO };
        let most = max_records - builder.records();
        let taken = fetches.take(most, wait, &mut |message| match message {
            Ok(message) => builder.push(&message, &member.epochs),
            Err(code) => {
                let error = KafkaError::MessageConsumption(code);
                member.events.push(Item::Error(consume_error(member, &error)));
            }
        });
        if taken == 0 {
            return;
        }
    }
}

fn consume_error(member: &Member, error: &KafkaError) -> Error {
    if let KafkaError::MessageConsumptionFatal(code) = error {
        let mut fatal = from_code(format!("consuming, group `{}`", member.group), *code);
        if fatal.class == Class::Retriable || *code == Code::Fatal {
            fatal.class = Class::Fatal;
        }
        return fatal;
    }
    member.error("consuming", error)
}
