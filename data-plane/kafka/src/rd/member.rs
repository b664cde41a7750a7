//! The thread of a group member. It polls whatever its reader does, so membership is kept; rebalance callbacks run on it
//! too, inside a poll, and there it goes on serving commands until the reader has answered or a deadline is over.
//!
//! Committed offsets are read here, not by librdkafka: it starts a partition nowhere when the coordinator refuses that
//! request once, and its reader must never take "could not be read" for "nothing is committed".

use super::batch::Epochs;
use super::client::{lock, log, log_error};
use super::consumer::{Events, Item};
use super::errors::{from_code, from_kafka, local};
use super::fetch::FetchQueue;
use super::oauth::Tokens;
use crate::error::{Class, Error, Result};
use dray_connect::sink_batch::TopicPartition;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, Offset, TopicPartitionList};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// How long one request to the coordinator may take before it is tried again.
const REQUEST: Duration = Duration::from_secs(5);
/// Between two tries of a request: at first, and at most.
const RETRY: Duration = Duration::from_millis(50);
const MAX_RETRY: Duration = Duration::from_secs(1);
/// A member whom the group refuses for so long is not known there any more; the next heartbeat settles a mere change.
const EXPELLED: Duration = Duration::from_secs(5);

/// A broker without the new group protocol: librdkafka looks for another coordinator for ever then, and says so nowhere
/// but in its debug log of context `cgrp`.
const NOT_SUPPORTED: &str = "ConsumerGroupHeartbeatRequest not supported";

type Reply = oneshot::Sender<Result<()>>;
/// Partitions with the group's offsets, where it has committed one.
type Assignment = Vec<(TopicPartition, Option<i64>)>;

/// What the reader wants. A dropped sender means: leave the group.
#[derive(Debug)]
pub(super) enum Command {
    Commit(BTreeMap<TopicPartition, i64>, Reply),
    Seek(TopicPartition, i64, Reply),
    Pause(Vec<TopicPartition>, Reply),
    Resume(Vec<TopicPartition>, Reply),
    Subscribe(Vec<String>, Reply),
    Rejoin(Reply),
    Revoked(u64),
}

#[derive(Debug, Default)]
struct Owned {
    partitions: BTreeSet<TopicPartition>,
    /// Paused by the reader; not resumed when room comes back.
    paused: BTreeSet<TopicPartition>,
}

/// What a reader and its member share, over one librdkafka client or several.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) events: Events,
    pub(super) epochs: Epochs,
    /// Only the member's thread takes commands.
    commands: Mutex<Receiver<Command>>,
    topics: Mutex<Vec<String>>,
    revocations: AtomicU64,
    answered: AtomicU64,
    closing: AtomicBool,
    leave_when_lost: AtomicBool,
    /// It has left, and waits for leave to join.
    out: AtomicBool,
}

impl Link {
    pub(super) fn new(commands: Receiver<Command>, topics: &[String]) -> Self {
        Self {
            events: Events::default(),
            epochs: Epochs::default(),
            commands: Mutex::new(commands),
            topics: Mutex::new(topics.to_vec()),
            revocations: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            closing: AtomicBool::new(false),
            leave_when_lost: AtomicBool::new(false),
            out: AtomicBool::new(false),
        }
    }

    pub(super) fn topics(&self) -> Vec<String> {
        lock(&self.topics).clone()
    }

    pub(super) fn leave_when_lost(&self) {
        self.leave_when_lost.store(true, Ordering::Relaxed);
    }

    /// Whether it is out of the group until the reader says otherwise.
    pub(super) fn is_out(&self) -> bool {
        self.out.load(Ordering::Relaxed)
    }

    fn closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }
}

/// Why a librdkafka client is of no more use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// The reader is gone.
    Closed,
    /// The broker does not have the group protocol that was tried.
    Unsupported,
    /// The group does not know this member any more, and librdkafka cannot rejoin while its assignment is open.
    Expelled,
}

/// How the members of a group agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Classic,
    /// KIP-848.
    New,
}

/// What is the same for every librdkafka client of a member.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    pub(super) client: String,
    pub(super) group: String,
    /// Where a partition starts of which the group has committed nothing.
    pub(super) fresh: Offset,
    /// How long a revocation waits for its answer.
    pub(super) patience: Duration,
}

/// The member's state: the context of its librdkafka client. Only the member's thread touches it.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) identity: Identity,
    pub(super) link: Arc<Link>,
    pub(super) tokens: Tokens,
    /// The new group protocol is only tried: that the broker does not have it is no error.
    pub(super) tentative: bool,
    pub(super) protocol: Protocol,
    /// librdkafka's debug lines are for [`NOT_SUPPORTED`] only, not for the user.
    muted: bool,
    /// When it joined, or asked for other topics.
    subscribed: Mutex<Instant>,
    owned: Mutex<Owned>,
    pub(super) over: OnceLock<Over>,
    /// Callbacks that were called. A poll serves one event, and returns nothing for what a callback took: this tells it from an
    /// empty queue.
    pub(super) served: AtomicU64,
    /// Newly assigned partitions are not paused, whatever the thread did before.
    pub(super) assigned_anew: AtomicBool,
    /// Where assigned partitions deliver; there while the thread runs.
    pub(super) fetches: Mutex<Option<FetchQueue>>,
}

/// Why a wait for commands ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Served {
    Command,
    Nothing,
}

impl Member {
    pub(super) fn new(
        identity: Identity,
        link: Arc<Link>,
        tokens: Tokens,
        tentative: bool,
        protocol: Protocol,
        muted: bool,
    ) -> Self {
        Self {
            identity,
            link,
            tokens,
            tentative,
            protocol,
            muted,
            subscribed: Mutex::new(Instant::now()),
            owned: Mutex::default(),
            over: OnceLock::new(),
            served: AtomicU64::new(0),
            assigned_anew: AtomicBool::new(false),
            fetches: Mutex::new(None),
        }
    }

    pub(super) fn over(&self) -> Option<Over> {
        if self.link.closing() {
            return Some(Over::Closed);
        }
        self.over.get().copied()
    }

    /// The end of this client, not of the reader: what it owned is not its own any more. Dropping it is silent then.
    pub(super) fn abandon(&self, over: Over) {
        // Set already where it was this member that found out.
        self.over.get_or_init(|| over);
        let lost: Vec<_> = std::mem::take(&mut *lock(&self.owned)).partitions.into_iter().collect();
        for partition in &lost {
            self.link.epochs.next(partition);
        }
        if over == Over::Expelled && self.link.leave_when_lost.load(Ordering::Relaxed) {
            // The next client joins nothing.
            self.link.out.store(true, Ordering::Relaxed);
            self.link.events.push(Item::Lost(lost));
        } else if !lost.is_empty() {
            self.link.events.push(Item::Lost(lost));
        }
    }

    /// Waits for one command and obeys it.
    pub(super) fn serve(&self, consumer: &BaseConsumer<Self>, wait: Duration) -> Served {
        let command = {
            let commands = lock(&self.link.commands);
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
                    self.link.closing.store(true, Ordering::Relaxed);
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
                *lock(&self.link.topics) = topics;
                let result = if self.link.is_out() {
                    Ok(())
                } else {
                    self.subscribe(consumer)
                };
                drop(reply.send(result));
            }
            Command::Rejoin(reply) => {
                let was_out = self.link.out.swap(false, Ordering::Relaxed);
                let result = if was_out { self.subscribe(consumer) } else { Ok(()) };
                drop(reply.send(result));
            }
            Command::Revoked(number) => self.link.answered.store(number, Ordering::Relaxed),
        }
    }

    /// Has a heartbeat sent now, when nothing was assigned since it joined, and that is no longer ago than this: librdkafka sends one for
    /// every subscription, and one to the same topics changes nothing in the group.
    pub(super) fn ask_for_partitions(&self, consumer: &BaseConsumer<Self>, at_most: Duration) {
        let lacks = !self.link.is_out() && lock(&self.owned).partitions.is_empty() && !self.link.topics().is_empty();
        if self.protocol == Protocol::New
            && lacks
            && lock(&self.subscribed).elapsed() < at_most
            && let Err(error) = self.send_subscription(consumer)
        {
            tracing::debug!(%error, "could not ask for partitions");
        }
    }

    fn subscribe(&self, consumer: &BaseConsumer<Self>) -> Result<()> {
        *lock(&self.subscribed) = Instant::now();
        self.send_subscription(consumer)
    }

    fn send_subscription(&self, consumer: &BaseConsumer<Self>) -> Result<()> {
        let topics = self.link.topics();
        let names: Vec<&str> = topics.iter().map(String::as_str).collect();
        consumer
            .subscribe(&names)
            .map_err(|error| self.error("subscribing", &error))
    }

    pub(super) fn error(&self, what: &str, error: &KafkaError) -> Error {
        from_kafka(format!("{what}, group `{}`", self.identity.group), error)
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
                format!("{what}, group `{}`", self.identity.group),
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
        let deadline = Instant::now() + REQUEST;
        loop {
            let result = consumer
                .commit(&list, CommitMode::Sync)
                .map_err(|error| self.error(what, &error));
            match result {
                // The group has changed a moment ago; the heartbeat that tells is on its way.
                Err(error) if error.code == "StaleMemberEpoch" && Instant::now() < deadline => {
                    std::thread::sleep(RETRY);
                }
                result => return result,
            }
        }
    }

    fn seek(&self, consumer: &BaseConsumer<Self>, partition: &TopicPartition, offset: i64) -> Result<()> {
        let what = format!("seeking {partition} to {offset}");
        self.owned_only(&what, [partition])?;
        let deadline = Instant::now() + REQUEST;
        // A partition that was assigned a moment ago cannot be moved before its fetcher runs.
        while let Err(error) = consumer.seek(&partition.topic, partition.partition, Offset::Offset(offset), REQUEST) {
            if Instant::now() >= deadline || self.over().is_some() {
                return Err(local(what, "SEEK", error.to_string(), Class::Retriable));
            }
            std::thread::sleep(RETRY);
        }
        // Only now: had the seek failed, dropping what was fetched would lose it.
        self.link.epochs.next(partition);
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
    pub(super) fn hold(&self, consumer: &BaseConsumer<Self>, hold: bool) {
        let owned = lock(&self.owned);
        let partitions: Vec<_> = owned.partitions.difference(&owned.paused).cloned().collect();
        drop(owned);
        let result = if hold {
            consumer.pause(&list(&partitions))
        } else {
            consumer.resume(&list(&partitions))
        };
        if let Err(error) = result {
            tracing::warn!(group = self.identity.group, %error, hold, "could not hold or release the partitions");
        }
    }

    fn revoking(&self, consumer: &BaseConsumer<Self>, partitions: Vec<TopicPartition>) {
        for partition in &partitions {
            self.link.epochs.next(partition);
        }
        let lost = consumer.assignment_lost();
        if lost && self.over().is_none() && self.link.leave_when_lost.load(Ordering::Relaxed) {
            // In here, because librdkafka joins again as soon as this callback has returned.
            self.link.out.store(true, Ordering::Relaxed);
            consumer.unsubscribe();
            self.link.events.push(Item::Lost(partitions.clone()));
        } else if !partitions.is_empty() && self.over().is_none() {
            if lost {
                self.link.events.push(Item::Lost(partitions.clone()));
            } else {
                let number = self.link.revocations.fetch_add(1, Ordering::Relaxed) + 1;
                self.link.events.push(Item::Revoked(number, partitions.clone()));
                let deadline = Instant::now() + self.identity.patience;
                while self.link.answered.load(Ordering::Relaxed) != number && self.over().is_none() {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        tracing::warn!(group = self.identity.group, "a revocation was not answered in time");
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
        *lock(&self.subscribed) = Instant::now(); // what comes in their place is asked for
    }

    /// Takes an assignment over, once it is known where each partition goes on. Until then nothing is fetched; the
    /// reader is told why, and gives up when it may not read the offsets.
    fn assigning(&self, consumer: &BaseConsumer<Self>, partitions: &TopicPartitionList) {
        let committed = if partitions.count() == 0 {
            None
        } else {
            self.committed(consumer, partitions)
        };
        // Before the assignment, so that nothing of these partitions comes another way.
        if let Some(fetches) = lock(&self.fetches).as_ref() {
            for element in partitions.elements() {
                fetches.adopt(consumer, element.topic(), element.partition());
            }
        }
        // A member that leaves has to accept its assignment too, or librdkafka waits for it.
        let list = committed.as_ref().map_or(partitions, |(list, _)| list);
        let accepted = match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_assign(list),
            RebalanceProtocol::Eager | RebalanceProtocol::None => consumer.assign(list),
        };
        if let Err(error) = accepted {
            self.link
                .events
                .push(Item::Error(self.error("accepting an assignment", &error)));
            return;
        }
        let Some((_, with_offsets)) = committed else { return };
        lock(&self.owned)
            .partitions
            .extend(with_offsets.iter().map(|(partition, _)| partition.clone()));
        self.assigned_anew.store(true, Ordering::Relaxed);
        self.link.events.push(Item::Assigned(with_offsets));
    }

    /// The group's offsets of these partitions, for librdkafka and for the reader. None when the reader is gone.
    fn committed(
        &self,
        consumer: &BaseConsumer<Self>,
        partitions: &TopicPartitionList,
    ) -> Option<(TopicPartitionList, Assignment)> {
        let (since, mut wait) = (Instant::now(), RETRY);
        let list = loop {
            if self.over().is_some() {
                return None;
            }
            // An answer can be whole and yet hold an error for one of the partitions.
            let answer = consumer
                .committed_offsets(partitions.clone(), REQUEST)
                .and_then(|list| list.elements().iter().try_for_each(|e| e.error()).map(|()| list));
            let error = match answer {
                Ok(list) => break list,
                Err(error) => self.error("reading committed offsets", &error),
            };
            if error.class == Class::Fenced && error.code != "FencedInstanceId" {
                // The group is about to change, or has gone on without this member, who cannot know it in here.
                if since.elapsed() >= EXPELLED {
                    self.over.get_or_init(|| Over::Expelled);
                }
                let class = Class::Retriable;
                self.link.events.push(Item::Error(Error { class, ..error }));
            } else {
                self.link.events.push(Item::Error(error));
            }
            self.serve_for(consumer, wait);
            wait = (wait * 2).min(MAX_RETRY);
        };
        let mut with_offsets = Vec::with_capacity(list.count());
        for mut element in list.elements() {
            let partition = topic_partition(element.topic(), element.partition());
            let offset = match element.offset() {
                Offset::Offset(offset) => Some(offset),
                Offset::Beginning | Offset::End | Offset::Stored | Offset::Invalid | Offset::OffsetTail(_) => None,
            };
            if offset.is_none()
                && let Err(error) = element.set_offset(self.identity.fresh)
            {
                self.link
                    .events
                    .push(Item::Error(self.error("choosing where to start", &error)));
            }
            with_offsets.push((partition, offset));
        }
        Some((list, with_offsets))
    }

    /// Serves commands for this long.
    fn serve_for(&self, consumer: &BaseConsumer<Self>, wait: Duration) {
        let deadline = Instant::now() + wait;
        while self.over().is_none() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            self.serve(consumer, left);
        }
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
        self.served.fetch_add(1, Ordering::Relaxed);
        if message.contains(NOT_SUPPORTED) {
            if self.tentative {
                self.over.get_or_init(|| Over::Unsupported);
            } else {
                let what = format!("joining the group `{}`", self.identity.group);
                let error = from_code(what, Code::UnsupportedFeature);
                self.link.events.push(Item::Error(error));
            }
        }
        if self.muted && matches!(level, RDKafkaLogLevel::Debug) {
            return;
        }
        // librdkafka shouts before it says so by an event, and what follows from that is said there.
        let level = if self.tentative && facility == "FATAL" {
            RDKafkaLogLevel::Debug
        } else {
            level
        };
        log(&self.identity.client, level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.served.fetch_add(1, Ordering::Relaxed);
        log_error(&self.identity.client, &error, reason);
    }
}

impl ConsumerContext for Member {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, what: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        self.served.fetch_add(1, Ordering::Relaxed);
        if what == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            return self.assigning(consumer, partitions);
        }
        let elements = partitions.elements();
        let places = elements.iter().map(|e| topic_partition(e.topic(), e.partition()));
        self.revoking(consumer, places.collect());
        let released = match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_unassign(partitions),
            RebalanceProtocol::Eager | RebalanceProtocol::None => consumer.unassign(),
        };
        if let Err(error) = released {
            self.link
                .events
                .push(Item::Error(self.error("giving partitions away", &error)));
        }
    }
}
