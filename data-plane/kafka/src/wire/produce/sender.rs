//! The one task of a producer: it gathers what is ready of all lanes into requests, one batch a partition each, and takes in the answers.
//! It never waits for anything but the next event, so that a broker that is slow or away holds up only its own partitions.

use super::answer::{self, Answers, PartAnswer};
use super::identity;
use super::inbox::{Inbox, TrackRef};
use super::lane_state::{LaneShared, LaneState, Standing};
use super::outbox::{Broker, Link, Sent};
use super::settings::Settings;
use super::topics::Topics;
use super::track::{Answer, Due, Mode};
use crate::codes;
use crate::error::{Class, Error, Result};
use crate::lock::lock;
use crate::wire::cluster::{Cluster, Purpose};
use crate::wire::connection::{Connection, answer_header};
use crate::wire::metadata::{Metadata, Partition};
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt as _};
use kafka_protocol::messages::ProduceRequest;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

const MESSAGE_TOO_LARGE: i16 = 10;
const RECORD_LIST_TOO_LARGE: i16 = 18;
const OUT_OF_ORDER_SEQUENCE: i16 = 45;
const DUPLICATE_SEQUENCE: i16 = 46;
const UNKNOWN_PRODUCER_ID: i16 = 59;
/// How much longer than the broker, which is told the time-out, we wait for its answer.
const ANSWER_SLACK: Duration = Duration::from_secs(5);

/// What has happened.
pub(super) enum Event {
    Listed,
    Metadata,
    Time,
    Dialled(i32, Result<Arc<Connection>>),
    /// A broker's answer to the request of this number.
    Answered(i32, u64, Vec<Sent>, Result<Answers>),
    /// None when the lane is gone.
    Identified(Weak<LaneShared>, Option<Result<Mode>>),
    Refreshed(Result<Arc<Metadata>>),
}

/// What is to be looked at when a time has come.
#[derive(Debug)]
enum Wake {
    Track(Weak<LaneShared>, usize),
    Renew(Weak<LaneShared>),
    /// All that waits anyway.
    Nothing,
}

/// The sender of a producer.
pub(super) struct Sender {
    pub(super) settings: Arc<Settings>,
    pub(super) cluster: Arc<Cluster>,
    inbox: Arc<Inbox>,
    changes: watch::Receiver<Arc<Metadata>>,
    pub(super) metadata: Arc<Metadata>,
    pub(super) brokers: HashMap<i32, Broker>,
    /// Tracks whose partition has no leader that is known.
    homeless: Vec<TrackRef>,
    topics: Topics,
    /// Ordered by time, then by number.
    timers: BinaryHeap<Reverse<(Instant, u64)>>,
    wakes: HashMap<u64, Wake>,
    next_wake: u64,
    pub(super) work: FuturesUnordered<BoxFuture<'static, Event>>,
}

impl Sender {
    pub(super) fn new(settings: Arc<Settings>, cluster: Arc<Cluster>, inbox: Arc<Inbox>) -> Self {
        let changes = cluster.changes();
        Self {
            topics: Topics::new(settings.metadata_max_age),
            settings,
            cluster,
            inbox,
            changes,
            metadata: Arc::default(),
            brokers: HashMap::new(),
            homeless: Vec::new(),
            timers: BinaryHeap::new(),
            wakes: HashMap::new(),
            next_wake: 0,
            work: FuturesUnordered::new(),
        }
    }

    /// Runs until it is dropped.
    pub(super) async fn run(mut self) {
        self.metadata = self.cluster.metadata();
        loop {
            let event = self.event().await;
            self.on(event);
            self.refresh();
            let brokers: Vec<i32> = self.brokers.keys().copied().collect();
            for broker in brokers {
                self.send(broker);
            }
        }
    }

    async fn event(&mut self) -> Event {
        let timer = self.timers.peek().map(|Reverse((at, _))| *at);
        let timer = timer.into_iter().chain(self.topics.due()).min();
        let time = async {
            match timer {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(event) = self.work.next(), if !self.work.is_empty() => event,
            () = self.inbox.news.notified() => Event::Listed,
            Ok(()) = self.changes.changed() => Event::Metadata,
            () = time => Event::Time,
        }
    }

    fn on(&mut self, event: Event) {
        match event {
            Event::Listed => {
                let (tracks, topics) = self.inbox.take();
                let until = Instant::now() + self.settings.max_missing;
                for topic in topics {
                    self.topics.miss(topic, until);
                }
                for at in tracks {
                    lock(&at.lane.state).tracks[at.track].listed = false;
                    self.look(at);
                }
            }
            Event::Metadata => self.on_metadata(),
            Event::Time => self.on_time(),
            Event::Dialled(broker, Ok(connection)) => self.broker(broker).link = Link::Up(connection),
            Event::Dialled(id, Err(_)) => {
                // The cluster has logged it. Perhaps somebody else leads by now.
                let again = Instant::now() + self.settings.retry(0);
                let broker = self.broker(id);
                broker.link = Link::Down;
                broker.not_before = Some(again);
                let queued: Vec<TrackRef> = broker.queue.iter().cloned().collect();
                for at in queued {
                    let topic = Arc::clone(&lock(&at.lane.state).tracks[at.track].topic);
                    self.topics.want(topic);
                }
                self.wake_at(again, Wake::Nothing);
            }
            Event::Answered(id, number, sent, result) => {
                // The broker answers in order, and what a failure means depends on those before. Those who wait here may be woken in
                // another: one that was asked just now is looked at before those that were woken since.
                self.broker(id).early.insert(number, (sent, result));
                while let Some((sent, result)) = self.broker(id).next_answer() {
                    self.on_answered(id, sent, result);
                }
            }
            Event::Identified(lane, result) => {
                if let (Some(lane), Some(result)) = (lane.upgrade(), result) {
                    self.on_identified(&lane, result);
                }
            }
            Event::Refreshed(result) => {
                self.metadata = self.cluster.metadata();
                let again = Instant::now() + self.settings.retry(self.topics.refreshed(result.is_ok()));
                self.topics.keep_missed(&self.metadata, again);
                self.on_metadata();
            }
        }
    }

    pub(super) fn broker(&mut self, id: i32) -> &mut Broker {
        self.brokers.entry(id).or_default()
    }

    fn refresh(&mut self) {
        let Some(topics) = self.topics.ask(Instant::now()) else {
            return;
        };
        let cluster = Arc::clone(&self.cluster);
        self.work.push(Box::pin(async move {
            Event::Refreshed(cluster.refresh_or_create(&topics).await)
        }));
    }

    fn wake_at(&mut self, at: Instant, wake: Wake) {
        self.next_wake += 1;
        self.timers.push(Reverse((at, self.next_wake)));
        self.wakes.insert(self.next_wake, wake);
    }

    fn on_time(&mut self) {
        let now = Instant::now();
        while let Some(Reverse((at, number))) = self.timers.peek().copied() {
            if at > now {
                return;
            }
            self.timers.pop();
            match self.wakes.remove(&number) {
                Some(Wake::Track(lane, track)) => {
                    if let Some(lane) = lane.upgrade() {
                        lock(&lane.state).tracks[track].timer.take_if(|timer| *timer <= now);
                        self.look(TrackRef { lane, track });
                    }
                }
                Some(Wake::Renew(lane)) => {
                    if let Some(lane) = lane.upgrade() {
                        self.renew(&lane);
                    }
                }
                Some(Wake::Nothing) | None => {}
            }
        }
    }

    /// Leaders may have changed: who waits for one, or at one that is away, is looked at again.
    fn on_metadata(&mut self) {
        self.metadata = self.cluster.metadata();
        let mut waiting = std::mem::take(&mut self.homeless);
        for broker in self.brokers.values_mut() {
            if !matches!(broker.link, Link::Up(_)) {
                waiting.extend(broker.queue.drain(..));
            }
        }
        for at in waiting {
            lock(&at.lane.state).tracks[at.track].queued = false;
            self.look(at);
        }
    }

    /// Decides what is next for a track: it is queued, looked at again later, or left alone until something happens.
    pub(super) fn look(&mut self, at: TrackRef) {
        let now = Instant::now();
        let mut guard = lock(&at.lane.state);
        let state = &mut *guard;
        let (done, expiry) = state.tracks[at.track].expire(now, self.settings.delivery_timeout);
        let mut wake = state.apply(done, &self.inbox);
        if let Some(error) = state.failed.clone().or_else(|| state.closed.then(closed)) {
            let done = state.tracks[at.track].fail(&error);
            wake |= state.apply(done, &self.inbox);
        }
        let mut timer = expiry;
        if !state.tracks[at.track].is_empty()
            && let Some(mode) = self.mode(&at.lane, state, at.track)
        {
            let track = &mut state.tracks[at.track];
            let leader = self.metadata.leader(&track.topic, track.partition);
            match track.due(now, mode, leader, &self.settings) {
                Due::Now if track.queued => {}
                Due::Now => match leader {
                    Some(leader) => {
                        track.queued = true;
                        track.missing = None;
                        self.broker(leader).queue.push_back(at.clone());
                    }
                    None => wake |= self.no_leader(&at, state, now),
                },
                Due::At(at) => timer = Some(timer.map_or(at, |timer| timer.min(at))),
                Due::Epoch => self.ask_identity(&at.lane, state, Some(mode)),
                Due::No => {}
            }
        }
        let track = &mut state.tracks[at.track];
        let timer = timer.filter(|at| track.timer.is_none_or(|timer| *at < timer));
        if timer.is_some() {
            track.timer = timer;
        }
        drop(guard);
        if let Some(time) = timer {
            self.wake_at(time, Wake::Track(Arc::downgrade(&at.lane), at.track));
        }
        if wake {
            at.lane.wake.notify_one();
        }
    }

    /// How the lane's batches are told apart; asks for it where that is not known.
    fn mode(&mut self, lane: &Arc<LaneShared>, state: &mut LaneState, track: usize) -> Option<Mode> {
        if state.standing == Standing::New && !self.settings.idempotent {
            state.standing = Standing::Known(Mode::Plain);
        }
        let worn = state.tracks[track].is_worn() && matches!(state.mode(), Some(Mode::Own(_)));
        if state.standing == Standing::New || (worn && state.standing != Standing::Asked) {
            state.standing = Standing::Asked;
            self.spawn_identity(lane, None);
        }
        state.mode()
    }

    fn ask_identity(&mut self, lane: &Arc<LaneShared>, state: &mut LaneState, known: Option<Mode>) {
        if let Standing::Known(mode) = state.standing {
            state.standing = Standing::Renewing(mode);
            self.spawn_identity(lane, known);
        }
    }

    fn spawn_identity(&mut self, lane: &Arc<LaneShared>, known: Option<Mode>) {
        let lane = Arc::downgrade(lane);
        let asking = identity::ask(
            Arc::clone(&self.cluster),
            Arc::clone(&self.settings),
            lane.clone(),
            known,
        );
        self.work
            .push(Box::pin(async move { Event::Identified(lane, asking.await) }));
    }

    /// A name that nobody uses is forgotten by its coordinator, and with it who may use it.
    fn renew(&mut self, lane: &Arc<LaneShared>) {
        let mut state = lock(&lane.state);
        state.renews = false;
        if !state.closed && state.failed.is_none() {
            let known = state.mode();
            self.ask_identity(lane, &mut state, known);
            // Where one is on its way, its answer sets the next time.
        }
    }

    fn on_identified(&mut self, lane: &Arc<LaneShared>, result: Result<Mode>) {
        let mut state = lock(&lane.state);
        let mut wake = false;
        match result {
            Ok(mode) => {
                tracing::debug!(client.id = self.settings.client.as_str(), owner = ?lane.owner, ?mode, "producer id");
                state.standing = Standing::Known(mode);
                if matches!(mode, Mode::Named(_)) && !std::mem::replace(&mut state.renews, true) {
                    self.wake_at(
                        Instant::now() + self.settings.renewal,
                        Wake::Renew(Arc::downgrade(lane)),
                    );
                }
            }
            Err(error) => wake = state.fail(&error, &self.inbox),
        }
        let tracks = state.tracks.len();
        drop(state);
        for track in 0..tracks {
            self.look(TrackRef {
                lane: Arc::clone(lane),
                track,
            });
        }
        if wake {
            lane.wake.notify_one();
        }
    }

    /// Nobody leads the partition, as far as is known. True when somebody is to be woken.
    fn no_leader(&mut self, at: &TrackRef, state: &mut LaneState, now: Instant) -> bool {
        let track = &mut state.tracks[at.track];
        let refused = self.metadata.refused.get(&track.topic).map(|refusal| refusal.code);
        let refused = refused.filter(|_| !self.metadata.topics.contains_key(&track.topic));
        if let Some(code) = refused {
            let since = *track.missing.get_or_insert(now);
            let error = codes::error(format!("producing to `{}`", track.topic), code, None);
            if error.class != Class::Retriable || since + self.settings.max_missing <= now {
                track.missing = None;
                let done = track.fail(&error);
                return state.apply(done, &self.inbox);
            }
        }
        track.queued = true;
        self.topics.want(Arc::clone(&track.topic));
        self.homeless.push(at.clone());
        false
    }

    fn on_answered(&mut self, broker: i32, sent: Vec<Sent>, result: Result<Answers>) {
        self.broker(broker).in_flight -= 1;
        let answers = match result {
            Ok(answers) => answers,
            Err(error) => {
                tracing::debug!(client.id = self.settings.client.as_str(), broker, %error, "a request was not answered");
                for sent in sent {
                    self.topics.want(Arc::clone(&sent.topic));
                    let answer = if error.is_retriable() {
                        Answer::Again { at_once: false }
                    } else {
                        Answer::Refused(error.clone())
                    };
                    self.settle(sent, answer, None);
                }
                return;
            }
        };
        if !answers.throttle.is_zero() {
            let until = Instant::now() + answers.throttle;
            let throttled = self.broker(broker);
            throttled.not_before = Some(until);
            if let Link::Up(connection) = &throttled.link {
                connection.held_up(answers.throttle);
            }
            self.wake_at(until, Wake::Nothing);
        }
        let endpoints: HashMap<i32, Arc<str>> = answers.endpoints.into_iter().collect();
        let parts = answers.parts.iter();
        let parts: HashMap<(&str, i32), &PartAnswer> =
            parts.map(|part| ((&*part.topic, part.partition), part)).collect();
        let now = Instant::now();
        for sent in sent {
            lock(&sent.from.lane.metrics).answered(now, now - sent.at, answers.throttle);
            let Some(part) = parts.get(&(&*sent.topic, sent.partition)) else {
                self.settle(sent, Answer::Again { at_once: false }, None);
                continue;
            };
            let (answer, fenced) = self.answer(broker, part, &sent, &endpoints);
            self.settle(sent, answer, fenced);
        }
    }

    /// What the broker's code means. With an error that fences the whole lane, if it does.
    fn answer(
        &mut self,
        broker: i32,
        part: &PartAnswer,
        sent: &Sent,
        endpoints: &HashMap<i32, Arc<str>>,
    ) -> (Answer, Option<Error>) {
        if part.code == 0 || part.code == DUPLICATE_SEQUENCE {
            let offset = if part.code == 0 { part.offset } else { -1 };
            return (Answer::Stored(offset), None);
        }
        let what = format!("producing to `{}-{}`", part.topic, part.partition);
        let error = codes::error(what, part.code, part.message.as_deref());
        tracing::debug!(client.id = self.settings.client.as_str(), %error, "a batch was not stored");
        if matches!(part.code, OUT_OF_ORDER_SEQUENCE | UNKNOWN_PRODUCER_ID) && sent.stamped {
            return (Answer::Sequence, None);
        }
        if matches!(part.code, MESSAGE_TOO_LARGE | RECORD_LIST_TOO_LARGE) {
            return (Answer::TooLarge(error), None);
        }
        match error.class {
            Class::Retriable => {
                if let Some(leader) = part.leader {
                    self.hint(part, leader, endpoints);
                }
                // Whoever said so first, another batch's answer or a reader's.
                let leader = self.metadata.leader(&part.topic, part.partition);
                let moved = leader.is_some_and(|leader| leader != broker);
                if !moved {
                    self.topics.want(Arc::clone(&sent.topic));
                }
                (Answer::Again { at_once: moved }, None)
            }
            Class::Fenced if sent.named => (Answer::Refused(error.clone()), Some(error)),
            Class::Fenced | Class::Fatal => (Answer::Refused(error), None),
        }
    }

    /// Takes in who leads now.
    fn hint(&mut self, part: &PartAnswer, leader: Partition, endpoints: &HashMap<i32, Arc<str>>) {
        let endpoint = endpoints.get(&leader.leader);
        let endpoint = endpoint.map(|address| (leader.leader, Arc::clone(address)));
        self.cluster.learn_leader(&part.topic, part.partition, leader, endpoint);
        self.metadata = self.cluster.metadata();
    }

    /// Tells a track what became of its batch.
    pub(super) fn settle(&mut self, sent: Sent, answer: Answer, fenced: Option<Error>) {
        let now = Instant::now();
        let mut guard = lock(&sent.from.lane.state);
        let state = &mut *guard;
        let done = state.tracks[sent.from.track].answered(sent.number, answer, now, &self.settings);
        let splits = done.splits;
        let mut wake = state.apply(done, &self.inbox);
        let mut metrics = lock(&sent.from.lane.metrics);
        metrics.used = state.used;
        if splits > 0 {
            // The first is worth a line; how many there are is measured.
            if metrics.splits.total == 0 {
                tracing::warn!(client.id = self.settings.client.as_str(), topic = %sent.topic, partition = sent.partition,
                    "batches are too large for the topic and are sent in halves: lower `batch.size` or raise `max.message.bytes`");
            }
            metrics.splits.add(now, splits);
        }
        drop(metrics);
        if let Some(error) = fenced.filter(|_| state.failed.is_none()) {
            tracing::warn!(client.id = self.settings.client.as_str(), owner = ?sent.from.lane.owner, %error,
                "another producer has this task's transactional id");
            wake |= state.fail(&error, &self.inbox);
        }
        drop(guard);
        if wake {
            sent.from.lane.wake.notify_one();
        }
        self.look(sent.from);
    }

    /// Waits for the answer to a request that was written.
    pub(super) fn await_answer(
        &mut self,
        broker: i32,
        sent: Vec<Sent>,
        reply: crate::wire::connection::Reply,
        version: i16,
    ) {
        let number = self.broker(broker).next_number();
        self.work.push(Box::pin(async move {
            let result = reply.await.and_then(|mut bytes| {
                answer_header::<ProduceRequest>(&mut bytes, version)?;
                answer::decode(&bytes, version)
            });
            Event::Answered(broker, number, sent, result)
        }));
    }

    /// Connects to a broker.
    pub(super) fn dial(&mut self, broker: i32) {
        let cluster = Arc::clone(&self.cluster);
        self.broker(broker).link = Link::Dialling;
        self.work.push(Box::pin(async move {
            Event::Dialled(broker, cluster.connection(broker, Purpose::Produce).await)
        }));
    }

    /// How long an answer may take.
    pub(super) fn answer_timeout(&self) -> Duration {
        self.settings.request_timeout + ANSWER_SLACK
    }
}

fn closed() -> Error {
    codes::local(
        "producing a record",
        "PurgeQueue",
        "the lane was closed",
        Class::Retriable,
    )
}
