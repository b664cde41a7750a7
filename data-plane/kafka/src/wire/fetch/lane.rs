//! One fetch session over one connection: the partitions that consumers of this process read from one broker with the same settings.
//! Partitions come and go with each request; one is asked for only while its reader has room.

use super::answer::{self, Answer, Partition};
use super::feed::{Feed, FetchSettings, Want};
use super::hub::Hub;
use super::inbox::{Inbox, Word};
use super::session::{Asked, Change, Key, Session};
use crate::codes;
use crate::error::{Class, Error, Result};
use crate::lock::lock;
use crate::wire::batch::decode::{cut_off, next_position};
use crate::wire::cluster::Purpose;
use crate::wire::connection::answer_header;
use crate::wire::frame::Frame;
use crate::wire::metadata::{NO_LEADER, Partition as Leader, address};
use crate::wire::timing::together;
use bytes::Bytes;
use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};
use kafka_protocol::messages::{FetchRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;
use uuid::Uuid;

/// Partitions of a lane. Each request costs both sides a look at all of them, and a partition that is busy makes many requests.
const MOST: usize = 500;
/// How long the broker waits for records when nobody says how long: a partition that is assigned meanwhile waits for it. A millisecond for
/// each partition, so that a fleet of idle ones costs next to nothing.
const WAIT_MS: std::ops::RangeInclusive<i32> = 100..=500;
/// A lane that has had no record and no change of partitions for so long is silent: the broker is asked to wait for as long again, and to
/// answer together with the others. With a thousand groups, each on a few idle partitions, the polls are what an agent does. Who wants
/// something else meanwhile does not wait for the answer. What its partitions want is looked at as often as this.
const SILENT: Duration = Duration::from_secs(5);
/// While a reader without room may have some again any moment, the others' long poll must not keep it waiting …
const BLOCKED_WAIT_MS: i32 = 5;
/// … but one that has had none for so long is slow.
const BLOCKED_FOR: Duration = Duration::from_secs(1);
/// A lane without partitions is closed after so long.
const IDLE: Duration = Duration::from_secs(10);
/// An answer may take this much longer than the broker was told to wait.
const PATIENCE: Duration = Duration::from_secs(30);
/// The reader hears of an error that is over with the next request only when it comes again and again.
const QUIET: u32 = 10;

/// A broker is asked so often in a row for a leader's epoch that it does not know, some hundred milliseconds, before others are.
const BEHIND: u32 = 5;

/// The partition is read from another broker now, or from none for a while.
const ELSEWHERE: [Code; 11] = [
    Code::NotLeaderOrFollower,
    Code::FencedLeaderEpoch,
    Code::UnknownLeaderEpoch,
    Code::UnknownTopicOrPartition,
    Code::UnknownTopicId,
    Code::InconsistentTopicId,
    Code::LeaderNotAvailable,
    Code::ReplicaNotAvailable,
    Code::KafkaStorageError,
    Code::OffsetNotAvailable,
    Code::BrokerNotAvailable,
];

#[derive(Debug)]
pub(crate) struct Lane {
    pub(super) broker: i32,
    /// Which of the broker's connections for fetches.
    pub(super) number: u32,
    pub(super) settings: Arc<FetchSettings>,
    feeds: Mutex<Feeds>,
    changed: Notify,
    /// What its partitions want has to be looked at.
    stale: AtomicBool,
}

#[derive(Debug, Default)]
struct Feeds {
    all: HashMap<Key, (Arc<Feed>, i32)>,
    /// Nothing joins any more.
    closed: bool,
}

/// What to ask for now.
#[derive(Debug, Default)]
struct Wanted {
    asked: HashMap<Key, Asked>,
    blocked: bool,
    later: Option<Instant>,
    homeless: Vec<Arc<Feed>>,
    empty: bool,
}

impl Wanted {
    /// Whether the passing of time alone changes none of it, but for a replica that is not to be read for ever.
    fn may_last(&self) -> bool {
        !self.blocked && self.later.is_none() && self.homeless.is_empty() && !self.asked.is_empty()
    }
}

fn key(feed: &Feed) -> Key {
    (feed.topic_id, feed.partition.partition)
}

impl Lane {
    pub(super) fn new(broker: i32, number: u32, settings: Arc<FetchSettings>) -> Self {
        Self {
            broker,
            number,
            settings,
            feeds: Mutex::default(),
            changed: Notify::new(),
            stale: AtomicBool::new(true),
        }
    }

    /// Takes a feed in, unless the lane is closed or full, or has this partition already, for another consumer.
    pub(super) fn admit(self: &Arc<Self>, feed: &Arc<Feed>, leader_epoch: i32) -> bool {
        let mut feeds = lock(&self.feeds);
        let room = match feeds.all.get(&key(feed)) {
            Some((known, _)) => Arc::ptr_eq(known, feed),
            None => feeds.all.len() < MOST,
        };
        if feeds.closed || !room {
            return false;
        }
        feeds.all.insert(key(feed), (Arc::clone(feed), leader_epoch));
        drop(feeds);
        feed.placed(self);
        // It may have been stopped before it was placed, and knew no lane to leave then.
        if feed.is_stopped() {
            self.remove(feed);
        }
        self.wake();
        true
    }

    pub(super) fn remove(&self, feed: &Arc<Feed>) {
        let mut feeds = lock(&self.feeds);
        if feeds
            .all
            .get(&key(feed))
            .is_some_and(|(known, _)| Arc::ptr_eq(known, feed))
        {
            feeds.all.remove(&key(feed));
        }
        drop(feeds);
        self.look_again();
    }

    pub(super) fn wake(&self) {
        self.look_again();
        self.changed.notify_one();
    }

    /// With the next request is early enough.
    pub(super) fn look_again(&self) {
        self.stale.store(true, Ordering::Release);
    }

    fn feed(&self, key: &Key) -> Option<Arc<Feed>> {
        lock(&self.feeds).all.get(key).map(|(feed, _)| Arc::clone(feed))
    }

    /// Fetches until nobody has wanted anything for a while.
    pub(super) async fn run(self: Arc<Self>, hub: Arc<Hub>) {
        let mut session = Session::default();
        let mut blocked_since: Option<Instant> = None;
        let mut heard = Instant::now();
        // What was wanted, and when that was looked at.
        let mut kept: Option<(Wanted, Instant)> = None;
        loop {
            let now = Instant::now();
            let stale = self.stale.swap(false, Ordering::AcqRel);
            kept = kept.filter(|(wanted, at)| !stale && wanted.may_last() && now.duration_since(*at) < SILENT);
            let same = kept.is_some();
            let (mut wanted, looked) = kept.take().unwrap_or_else(|| (self.wanted(now), now));
            for feed in wanted.homeless.drain(..) {
                self.remove(&feed);
                hub.place(feed, None);
            }
            blocked_since = if wanted.blocked {
                blocked_since.or(Some(now))
            } else {
                None
            };
            if wanted.asked.is_empty() {
                let mut until = wanted.later.unwrap_or(now + IDLE);
                if let Some(since) = blocked_since {
                    // Its reader wakes it, but another's may make room as well.
                    let soon = if now.duration_since(since) < BLOCKED_FOR {
                        BLOCKED_WAIT_MS
                    } else {
                        *WAIT_MS.start()
                    };
                    until = until.min(now + Duration::from_millis(soon.unsigned_abs().into()));
                }
                tokio::select! {
                    () = self.changed.notified() => {}
                    () = tokio::time::sleep_until(until) => {
                        if wanted.empty && self.close() {
                            hub.closed(&self);
                            return;
                        }
                    }
                }
                continue;
            }
            let urgent = blocked_since.is_some_and(|since| now.duration_since(since) < BLOCKED_FOR);
            let change = if same { session.again() } else { None };
            let change = change.unwrap_or_else(|| session.next(&wanted.asked));
            if !(change.asked.is_empty() && change.forgotten.is_empty()) {
                heard = now;
            }
            if !same {
                self.tell_ends(&session, &wanted);
            }
            let silent = now.duration_since(heard) >= SILENT;
            let mut wait_ms = self.wait_ms(wanted.asked.len(), silent, now);
            if urgent {
                wait_ms = wait_ms.min(BLOCKED_WAIT_MS);
            } else if wanted.later.is_some() {
                wait_ms = wait_ms.min(*WAIT_MS.start());
            }
            let asked = Instant::now();
            let answer = tokio::select! {
                answer = self.fetch(&hub, change, wait_ms) => Some(answer),
                () = self.wanted_anew(), if silent => None,
            };
            let Some(answer) = answer else {
                // A broker takes the next request of a connection when it has answered the one before.
                hub.cluster().leave(self.broker, Purpose::Fetch(self.number));
                session.unheard();
                heard = Instant::now();
                continue;
            };
            match answer {
                Ok(answer) => {
                    if answer.partitions.is_empty() {
                        kept = silent.then_some((wanted, looked));
                    } else {
                        heard = Instant::now();
                    }
                    let throttle = Duration::from_millis(u64::try_from(answer.throttle_ms).unwrap_or(0));
                    self.answered(&hub, &mut session, answer, asked);
                    if !throttle.is_zero() {
                        tokio::time::sleep(throttle).await;
                    }
                }
                Err(error) => {
                    session.forget();
                    self.broken(&hub, &error);
                }
            }
        }
    }

    /// Waits until what is wanted has to be looked at, and somebody waits for it. Cancel-safe.
    async fn wanted_anew(&self) {
        loop {
            self.changed.notified().await;
            if self.stale.load(Ordering::Acquire) {
                return;
            }
        }
    }

    fn wait_ms(&self, partitions: usize, silent: bool, now: Instant) -> i32 {
        let (least, most) = (*WAIT_MS.start(), *WAIT_MS.end());
        let own = || {
            if !silent {
                return i32::try_from(partitions).unwrap_or(i32::MAX).clamp(least, most);
            }
            // Until a moment at which the others' polls end as well.
            let until = together(now + Duration::from_millis(most.unsigned_abs().into()), SILENT);
            i32::try_from((until - now).as_millis()).unwrap_or(most)
        };
        self.settings.max_wait_ms.unwrap_or_else(own)
    }

    fn wanted(&self, now: Instant) -> Wanted {
        let mut feeds = lock(&self.feeds);
        let mut wanted = Wanted::default();
        let mut gone = Vec::new();
        for (key, (feed, leader_epoch)) in &feeds.all {
            match feed.want(now) {
                Want::Nothing => {}
                Want::Gone => gone.push(*key),
                Want::Blocked => wanted.blocked = true,
                Want::Later(at) => wanted.later = Some(wanted.later.map_or(at, |other| other.min(at))),
                Want::Homeless => wanted.homeless.push(Arc::clone(feed)),
                Want::From { position, epoch } => {
                    let asked = Asked {
                        position,
                        epoch,
                        leader_epoch: *leader_epoch,
                        max_bytes: feed.settings.partition_bytes,
                    };
                    wanted.asked.insert(*key, asked);
                }
            }
        }
        for key in gone {
            feeds.all.remove(&key);
        }
        wanted.empty = feeds.all.is_empty();
        wanted
    }

    /// A feed that has come in another's place asks for what the broker was asked for before, and would not hear where that ends.
    fn tell_ends(&self, session: &Session, wanted: &Wanted) {
        let feeds = lock(&self.feeds);
        for key in wanted.asked.keys() {
            if let (Some((feed, _)), Some(end)) = (feeds.all.get(key), session.end(key))
                && feed.end().is_none()
            {
                feed.ends_at(end);
            }
        }
    }

    fn close(&self) -> bool {
        let mut feeds = lock(&self.feeds);
        feeds.closed = feeds.all.is_empty();
        feeds.closed
    }

    async fn fetch(&self, hub: &Hub, change: Change, wait_ms: i32) -> Result<Answer> {
        let connection = hub
            .cluster()
            .connection(self.broker, Purpose::Fetch(self.number))
            .await?;
        let what = || format!("fetching from broker {}", self.broker);
        let version = connection.version::<FetchRequest>(&(13..=17)).ok_or_else(|| {
            let message = "the broker does not serve Fetch in a version with topic ids (3.1 and later)";
            codes::local(what(), "UnsupportedVersion", message, Class::Fatal)
        })?;
        let request = self.request(change, wait_ms);
        let frame = Frame::of(&request, version, &StrBytes::from_static_str("dray-fetch"))?;
        let patience = PATIENCE + Duration::from_millis(u64::try_from(wait_ms).unwrap_or(0));
        let mut answer = connection.send(frame, patience)?.await?;
        answer_header::<FetchRequest>(&mut answer, version)?;
        answer::read(&answer).map_err(|error| codes::local(what(), "PROTOCOL", error.to_string(), Class::Retriable))
    }

    fn request(&self, change: Change, wait_ms: i32) -> FetchRequest {
        let mut topics: BTreeMap<Uuid, Vec<FetchPartition>> = BTreeMap::new();
        for ((topic, partition), asked) in change.asked {
            let partition = FetchPartition::default()
                .with_partition(partition)
                .with_current_leader_epoch(asked.leader_epoch)
                .with_fetch_offset(asked.position)
                .with_partition_max_bytes(asked.max_bytes);
            topics.entry(topic).or_default().push(partition);
        }
        let mut forgotten: BTreeMap<Uuid, Vec<i32>> = BTreeMap::new();
        for (topic, partition) in change.forgotten {
            forgotten.entry(topic).or_default().push(partition);
        }
        let topic = |(id, partitions)| {
            FetchTopic::default()
                .with_topic(TopicName::default())
                .with_topic_id(id)
                .with_partitions(partitions)
        };
        let forget = |(id, partitions)| ForgottenTopic::default().with_topic_id(id).with_partitions(partitions);
        FetchRequest::default()
            .with_max_wait_ms(wait_ms)
            .with_min_bytes(self.settings.min_bytes)
            .with_max_bytes(self.settings.max_bytes)
            .with_isolation_level(i8::from(self.settings.read_committed))
            .with_session_id(change.id)
            .with_session_epoch(change.epoch)
            .with_topics(topics.into_iter().map(topic).collect())
            .with_forgotten_topics_data(forgotten.into_iter().map(forget).collect())
            .with_rack_id(StrBytes::from_string(self.settings.rack.clone()))
    }

    /// No answer: every partition is looked for anew, as the broker may be gone.
    fn broken(&self, hub: &Hub, error: &Error) {
        tracing::debug!(%error, broker = self.broker, "a fetch came to nothing");
        let feeds: Vec<Arc<Feed>> = lock(&self.feeds).all.drain().map(|(_, (feed, _))| feed).collect();
        self.look_again();
        for feed in feeds {
            feed.prefer(None);
            self.again(hub, feed, error.clone(), true);
        }
    }

    fn answered(&self, hub: &Hub, session: &mut Session, answer: Answer, at: Instant) {
        match Code::try_from_code(answer.error) {
            None => session.answered(answer.session),
            // The broker has restarted, or has given the session's place to another; nothing is said of partitions then.
            Some(Code::FetchSessionIdNotFound | Code::InvalidFetchSessionEpoch | Code::FetchSessionTopicIdError) => {
                session.reset();
                return;
            }
            Some(_) => {
                session.reset();
                return self.broken(
                    hub,
                    &codes::error(format!("fetching from broker {}", self.broker), answer.error, None),
                );
            }
        }
        for partition in &answer.partitions {
            if let (Some((id, epoch)), Some(feed)) =
                (partition.leader, self.feed(&(partition.topic, partition.partition)))
            {
                let at = answer.brokers.iter().find(|broker| broker.id == id);
                let endpoint = at.map(|broker| (id, address(&broker.host, broker.port)));
                let leader = Leader { leader: id, epoch };
                hub.cluster()
                    .learn_leader(&feed.partition.topic, partition.partition, leader, endpoint);
            }
        }
        let mut frame = 0;
        let mut of_reader: HashMap<*const Inbox, usize> = HashMap::new();
        let mut shares = Vec::with_capacity(answer.partitions.len());
        for partition in answer.partitions {
            let key = (partition.topic, partition.partition);
            frame += partition.records.len();
            if partition.error == 0 {
                session.ends_at(&key, self.end_of(&partition));
            }
            // One that has left, or was sought away, wants nothing of this.
            if let (Some(asked), Some(feed)) = (session.asked(&key), self.feed(&key)) {
                *of_reader.entry(Arc::as_ptr(feed.inbox())).or_default() += partition.records.len();
                shares.push((feed, asked, partition));
            }
        }
        let (now, throttle) = (Instant::now(), answer.throttle_ms);
        let throttle = Duration::from_millis(u64::try_from(throttle).unwrap_or(0));
        let mut told: HashSet<*const Inbox> = HashSet::new();
        for (feed, asked, mut share) in shares {
            let reader = Arc::as_ptr(feed.inbox());
            if let Some(bytes) = of_reader.get(&reader).filter(|bytes| **bytes > 0)
                && told.insert(reader)
            {
                lock(&feed.inbox().metrics).fetched(now, *bytes, now - at, throttle);
            }
            // A small slice must not keep a large frame in memory. A reader of many partitions gets through all that it has of
            // a frame; one that stops in the midst keeps that frame, which is more than it counts.
            if of_reader.get(&reader).is_some_and(|bytes| *bytes < frame / 4) {
                share.records = Bytes::copy_from_slice(&share.records);
            }
            self.share(hub, &feed, asked, share);
        }
        if !throttle.is_zero() {
            for (feed, _) in lock(&self.feeds).all.values() {
                if told.insert(Arc::as_ptr(feed.inbox())) {
                    lock(&feed.inbox().metrics).throttled(now, throttle);
                }
            }
        }
    }

    /// Up to where its readers get.
    fn end_of(&self, partition: &Partition) -> i64 {
        match self.settings.read_committed {
            true => partition.last_stable,
            false => partition.high_watermark,
        }
    }

    /// What the answer says of one partition.
    fn share(&self, hub: &Hub, feed: &Arc<Feed>, asked: Asked, share: Partition) {
        let now = Instant::now();
        let what = || format!("fetching {}", feed.partition);
        let Some(code) = Code::try_from_code(share.error) else {
            feed.ends_at(self.end_of(&share));
            if share.preferred >= 0 && share.preferred != self.broker {
                feed.prefer(Some((share.preferred, now + self.settings.preferred_for)));
                self.remove(feed);
                hub.place(Arc::clone(feed), None);
                return;
            }
            let next = next_position(&share.records, asked.position);
            if next > asked.position {
                let aborted = self.settings.read_committed.then_some(share.aborted);
                feed.deliver((asked.epoch, asked.position), next, share.records, aborted);
            } else if share.records.len() > 16 || cut_off(&share.records) {
                // Not even one whole batch, or one of an old format: the reader finds out what is wrong.
                let aborted = self.settings.read_committed.then_some(share.aborted);
                feed.deliver((asked.epoch, asked.position), asked.position, share.records, aborted);
                feed.failed(now);
            } else {
                feed.succeeded();
            }
            return;
        };
        let mut error = codes::error(what(), share.error, None);
        if code == Code::UnknownServerError {
            // The broker could not say what went wrong, and may serve the next one: Java's client only warns, too.
            error.class = Class::Retriable;
        }
        if code == Code::OffsetOutOfRange {
            if feed.out_of_range(asked.epoch) {
                tracing::warn!(partition = %feed.partition, offset = asked.position, "the offset is out of range");
            }
            self.remove(feed);
            hub.place(Arc::clone(feed), None);
        } else if code == Code::UnknownLeaderEpoch && feed.failed(now).0 < BEHIND {
            // It has not heard yet what we have: nobody else knows more.
            tracing::debug!(partition = %feed.partition, broker = self.broker, "the broker has not heard of its leader's epoch");
        } else if ELSEWHERE.contains(&code) {
            feed.prefer(None);
            self.remove(feed);
            // Of a leader that the answer names nothing more has to be asked.
            let told = share
                .leader
                .is_some_and(|(broker, _)| broker != NO_LEADER && broker != self.broker);
            self.again(hub, Arc::clone(feed), error, !told);
        } else {
            feed.failed(now);
            feed.inbox().tell(Word::Error(error));
        }
    }

    /// Looks for the partition's leader again, after a while. An error that does not pass is told.
    fn again(&self, hub: &Hub, feed: Arc<Feed>, error: Error, refresh: bool) {
        let (failures, at) = feed.failed(Instant::now());
        if failures.is_multiple_of(QUIET) || error.class == Class::Fatal {
            feed.inbox().tell(Word::Error(error));
        }
        hub.place(feed, refresh.then_some(at));
    }
}

#[cfg(test)]
mod tests;
