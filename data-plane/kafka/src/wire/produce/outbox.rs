//! What waits for one broker, and how it is gathered into requests: round robin over the tracks that have something to send.

use super::answer::Answers;
use super::inbox::TrackRef;
use super::request::{self, Part, VERSIONS};
use super::sender::Sender;
use super::settings::Acks;
use super::track::{Answer, Due, Mode};
use crate::error::Result;
use crate::lock::lock;
use crate::wire::connection::Connection;
use crate::wire::dial::unserved;
use kafka_protocol::messages::ProduceRequest;
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;
use tokio::time::Instant;

/// The connection to a broker.
#[derive(Debug, Default)]
pub(super) enum Link {
    #[default]
    Down,
    Dialling,
    Up(Arc<Connection>),
}

/// A broker that leads partitions.
#[derive(Debug, Default)]
pub(super) struct Broker {
    pub(super) link: Link,
    /// Tracks with something to send, each once.
    pub(super) queue: VecDeque<TrackRef>,
    /// Requests without an answer.
    pub(super) in_flight: usize,
    /// Throttled, or just out of reach.
    pub(super) not_before: Option<Instant>,
    /// Requests that were sent, and those whose answers were taken in.
    sent: u64,
    taken_in: u64,
    /// Answers before which others are still to be taken in; fewer than requests in flight.
    pub(super) early: BTreeMap<u64, (Vec<Sent>, Result<Answers>)>,
}

impl Broker {
    /// The next request's number.
    pub(super) fn next_number(&mut self) -> u64 {
        self.sent += 1;
        self.sent - 1
    }

    /// The answer that is next in the order of the requests, if it is there.
    pub(super) fn next_answer(&mut self) -> Option<(Vec<Sent>, Result<Answers>)> {
        let answer = self.early.remove(&self.taken_in)?;
        self.taken_in += 1;
        Some(answer)
    }
}

/// A batch in a request that was sent.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) from: TrackRef,
    pub(super) number: u64,
    pub(super) topic: Arc<str>,
    pub(super) partition: i32,
    /// It has a sequence.
    pub(super) stamped: bool,
    /// It can be fenced.
    pub(super) named: bool,
}

impl Sender {
    /// Sends what waits for a broker, as much as may be on its way at once.
    pub(super) fn send(&mut self, id: i32) {
        loop {
            let most = self.settings.max_in_flight;
            let broker = self.broker(id);
            let now = Instant::now();
            if broker.queue.is_empty() || broker.in_flight >= most || broker.not_before.is_some_and(|at| at > now) {
                return;
            }
            let connection = match &broker.link {
                Link::Dialling => return,
                Link::Down => return self.dial(id),
                Link::Up(connection) if connection.is_open() => Arc::clone(connection),
                // On a new connection requests could overtake those that are still on their way on the old one.
                Link::Up(_) if broker.in_flight > 0 => return,
                Link::Up(_) => return self.dial(id),
            };
            let parts = self.gather(id, now);
            if parts.is_empty() {
                return;
            }
            self.write(id, &connection, parts);
        }
    }

    /// The batches of the next request.
    fn gather(&mut self, id: i32, now: Instant) -> Vec<(Part, Mode)> {
        let mut queue = std::mem::take(&mut self.broker(id).queue);
        let (mut parts, mut bytes) = (Vec::new(), 0);
        let mut taken: HashSet<(Arc<str>, i32)> = HashSet::new();
        let (mut later, mut again, mut left) = (VecDeque::new(), VecDeque::new(), Vec::new());
        while let Some(at) = queue.pop_front() {
            let mut guard = lock(&at.lane.state);
            let state = &mut *guard;
            let mode = state.mode().filter(|_| !state.closed && state.failed.is_none());
            let track = &mut state.tracks[at.track];
            let leader = self.metadata.leader(&track.topic, track.partition);
            let due = mode.filter(|mode| track.due(now, *mode, leader, &self.settings) == Due::Now);
            let (Some(mode), true) = (due, leader == Some(id)) else {
                track.queued = false;
                drop(guard);
                left.push(at);
                continue;
            };
            let place = (Arc::clone(&track.topic), track.partition);
            // Of several lanes with something for a partition one is first, and the others are in the next request.
            if taken.contains(&place) {
                drop(guard);
                later.push_back(at);
                continue;
            }
            let size = track.next_size();
            if !parts.is_empty() && bytes + size > self.settings.max_request {
                drop(guard);
                queue.push_front(at);
                break;
            }
            let Some(parcel) = track.take(mode, id, now, &self.settings) else {
                track.queued = false;
                continue;
            };
            bytes += parcel.head.len() + parcel.records.len();
            let more = track.due(now, mode, leader, &self.settings) == Due::Now;
            track.queued = more;
            drop(guard);
            let (topic, partition) = place.clone();
            taken.insert(place);
            if more {
                again.push_back(at.clone());
            } else {
                left.push(at.clone());
            }
            let part = Part {
                topic,
                partition,
                from: at,
                parcel,
            };
            parts.push((part, mode));
        }
        // Those that were passed over are first next time, those that had their turn last.
        later.append(&mut queue);
        later.append(&mut again);
        let broker = self.broker(id);
        later.append(&mut broker.queue);
        broker.queue = later;
        for at in left {
            self.look(at);
        }
        parts
    }

    fn write(&mut self, id: i32, connection: &Connection, parts: Vec<(Part, Mode)>) {
        let sent = parts.iter().map(|(part, mode)| Sent {
            from: part.from.clone(),
            number: part.parcel.number,
            topic: Arc::clone(&part.topic),
            partition: part.partition,
            stamped: *mode != Mode::Plain,
            named: matches!(mode, Mode::Named(_)),
        });
        let sent: Vec<Sent> = sent.collect();
        let mut parts: Vec<Part> = parts.into_iter().map(|(part, _)| part).collect();
        let Some(version) = connection.version::<ProduceRequest>(&VERSIONS) else {
            let error = unserved::<ProduceRequest>(connection.address(), &VERSIONS);
            return self.settle_all(sent, &Answer::Refused(error));
        };
        let frame = match request::encode(&mut parts, version, &self.settings) {
            Ok(frame) => frame,
            Err(error) => return self.settle_all(sent, &Answer::Refused(error)),
        };
        if self.settings.acks == Acks::None {
            let answer = match connection.tell(frame) {
                Ok(()) => Answer::Stored(-1),
                Err(_) => Answer::Again { at_once: false },
            };
            return self.settle_all(sent, &answer);
        }
        match connection.send(frame, self.answer_timeout()) {
            Ok(reply) => {
                self.broker(id).in_flight += 1;
                self.await_answer(id, sent, reply, version);
            }
            Err(_) => self.settle_all(sent, &Answer::Again { at_once: false }),
        }
    }

    fn settle_all(&mut self, sent: Vec<Sent>, answer: &Answer) {
        for sent in sent {
            self.settle(sent, answer.clone(), None);
        }
    }
}
