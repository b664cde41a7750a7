//! One task's share of a producer. Records are encoded into the open batch of their partition while `produce` runs, on the caller's thread.

use super::inbox::TrackRef;
use super::lane_state::{LaneShared, LaneState};
use super::places::{Place, Places};
use super::producers::Producer;
use crate::codes::local;
use crate::error::{Class, Error};
use crate::lock::lock;
use crate::metrics::{ClientMetrics, ProducerMetrics};
use crate::port::{Ack, ProduceRecord, ProduceRefused, ProduceWhole, ProducerLane};
use crate::wire::batch::encode::{HEAD, Open, Sealed};
use crate::wire::metadata::Metadata;
use async_trait::async_trait;
use dray_connect::source_batch::BatchLimits;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::watch;
use tokio::time::Instant;

/// A lane that was full is ready again when one part in so many of its quota is free.
const ROOM_SHARE: usize = 8;

/// Why the last record was not taken.
#[derive(Clone, Debug)]
enum Blocked {
    No,
    /// By the lane's quota, for want of so many bytes.
    Quota(usize),
    /// By the memory that all lanes share.
    Memory,
    /// By a topic that is not known yet; until then it may come.
    Topic(Arc<str>, Instant),
}

/// One task's share of a producer.
pub(crate) struct Lane {
    producer: Arc<Producer>,
    shared: Arc<LaneShared>,
    quota: usize,
    places: Places,
    changes: watch::Receiver<Arc<Metadata>>,
    blocked: Blocked,
    /// Acknowledged, and not yet handed out.
    acked: Vec<Ack>,
    /// Records taken whose acknowledgement was not yet handed out.
    in_flight: usize,
    /// Reused between calls.
    listed: Vec<usize>,
}

impl Lane {
    pub(super) fn new(producer: Arc<Producer>, quota: usize, owner: Option<&str>) -> Self {
        let changes = producer.cluster.changes();
        Self {
            shared: Arc::new(LaneShared {
                owner: owner.map(Arc::from),
                metrics: Arc::new(Mutex::new(ProducerMetrics {
                    quota,
                    ..ProducerMetrics::default()
                })),
                ..LaneShared::default()
            }),
            producer,
            quota,
            places: Places::default(),
            changes,
            blocked: Blocked::No,
            acked: Vec::new(),
            in_flight: 0,
            listed: Vec::new(),
        }
    }

    /// Takes over the acknowledgements that are there.
    fn collect(&mut self) {
        let mut state = lock(&self.shared.state);
        self.acked.append(&mut state.acks);
    }

    fn hand_out(&mut self, out: &mut Vec<Ack>) {
        self.in_flight -= self.acked.iter().map(|ack| ack.count).sum::<usize>();
        let failed = self.acked.iter().filter(|ack| ack.outcome.is_err()).count();
        if failed > 0 {
            lock(&self.shared.metrics).errors.add(Instant::now(), failed);
        }
        out.append(&mut self.acked);
    }

    fn too_large(&self, record: &ProduceRecord<'_>) -> Error {
        let (bytes, most) = (size(record), self.producer.settings.max_request);
        local(
            format!("producing a record to `{}`", record.topic),
            "MSG_SIZE_TOO_LARGE",
            format!("the record has {bytes} bytes and the limit is {most}; raise `producer.override.max.request.size`"),
            Class::Fatal,
        )
    }

    /// Takes records until one cannot be taken now, or ever.
    fn take(&mut self, state: &mut LaneState, records: &[ProduceRecord<'_>]) -> Result<usize, (usize, Error)> {
        let now = Instant::now();
        let stamp = SystemTime::now().duration_since(UNIX_EPOCH);
        let stamp = stamp.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
        let producer = Arc::clone(&self.producer);
        let settings = &*producer.settings;
        let others = producer.inbox.used();
        let before = state.used;
        self.places.update(&producer.cluster.metadata());
        let mut taken = 0;
        let mut outcome = Ok(());
        let mut topic_before: Option<&str> = None;
        // Where the record before went because it named no place.
        let mut sticky: Option<usize> = None;
        for record in records {
            // An empty record takes a place too: the quota bounds their number as well.
            let (charge, bound) = (size(record).max(1), Open::bound(record));
            if state.used > 0 && state.used + charge > self.quota {
                self.blocked = Blocked::Quota(charge);
                break;
            }
            if HEAD + bound > settings.max_request {
                outcome = Err(self.too_large(record));
                break;
            }
            let memory = others + (state.used - before);
            if memory > 0 && memory + charge > settings.buffer_memory {
                self.blocked = Blocked::Memory;
                break;
            }
            let same_topic = topic_before.is_some_and(|before| std::ptr::eq(before, record.topic));
            topic_before = Some(record.topic);
            let any_place = record.partition.is_none() && record.key.is_none();
            let same_place = sticky.filter(|_| same_topic && any_place);
            if let Some(track) = same_place
                && state.tracks[track].append(record, record.timestamp.unwrap_or(stamp), (charge, bound), settings)
            {
                state.used += charge;
                taken += 1;
                continue;
            }
            let place = self.places.of(record, same_topic, state, now, settings);
            let track = match place {
                Place::Track(track) => track,
                Place::Wait { topic, until } => {
                    producer.inbox.want(Arc::clone(&topic));
                    self.blocked = Blocked::Topic(topic, until);
                    break;
                }
                Place::Never(error) => {
                    outcome = Err(error);
                    break;
                }
            };
            sticky = any_place.then_some(track);
            let at = &mut state.tracks[track];
            let pushed = at.push(
                record,
                record.timestamp.unwrap_or(stamp),
                (charge, bound),
                now,
                settings,
            );
            if (pushed.sealed || pushed.begins) && !at.listed {
                at.listed = true;
                self.listed.push(track);
            }
            state.used += charge;
            taken += 1;
        }
        producer.inbox.take_room(state.used - before);
        outcome.map(|()| taken).map_err(|error| (taken, error))
    }

    /// Takes a whole batch, unless it cannot be taken now.
    fn take_whole(&mut self, state: &mut LaneState, whole: ProduceWhole<'_>, sealed: Sealed) -> Result<bool, Error> {
        let now = Instant::now();
        let producer = Arc::clone(&self.producer);
        let settings = &*producer.settings;
        let charge = sealed.len();
        if state.used > 0 && state.used + charge > self.quota {
            self.blocked = Blocked::Quota(charge);
            return Ok(false);
        }
        let memory = producer.inbox.used();
        if memory > 0 && memory + charge > settings.buffer_memory {
            self.blocked = Blocked::Memory;
            return Ok(false);
        }
        // Where it goes is known; whether that is there is found out as for a record.
        let place = ProduceRecord {
            topic: whole.topic,
            partition: Some(whole.partition),
            timestamp: None,
            key: None,
            value: None,
            headers: &[],
            sequence: whole.sequence,
        };
        self.places.update(&producer.cluster.metadata());
        let track = match self.places.of(&place, false, state, now, settings) {
            Place::Track(track) => track,
            Place::Wait { topic, until } => {
                producer.inbox.want(Arc::clone(&topic));
                self.blocked = Blocked::Topic(topic, until);
                return Ok(false);
            }
            Place::Never(error) => return Err(error),
        };
        let at = &mut state.tracks[track];
        at.pass(sealed, whole.sequence, charge, now, settings);
        if !at.listed {
            at.listed = true;
            self.listed.push(track);
        }
        state.used += charge;
        producer.inbox.take_room(charge);
        Ok(true)
    }

    /// Has the sender look at what was taken.
    fn list(&mut self) {
        if !self.listed.is_empty() {
            let shared = &self.shared;
            let tracks = self.listed.drain(..).map(|track| TrackRef {
                lane: Arc::clone(shared),
                track,
            });
            self.producer.inbox.list(tracks);
        }
    }

    fn has_quota(&self, state: &LaneState, wanted: usize) -> bool {
        // Room for the record that was not taken, and for some more: without the margin a full lane would wake up for each single
        // acknowledgement.
        state.used == 0 || state.used + wanted.max(self.quota / ROOM_SHARE) <= self.quota
    }
}

fn size(record: &ProduceRecord<'_>) -> usize {
    let headers = record.headers.iter();
    let headers: usize = headers
        .map(|header| header.key.len() + header.value.map_or(0, <[u8]>::len))
        .sum();
    record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len) + headers
}

#[async_trait]
impl ProducerLane for Lane {
    fn produce(&mut self, records: &[ProduceRecord<'_>]) -> Result<usize, ProduceRefused> {
        self.blocked = Blocked::No;
        let shared = Arc::clone(&self.shared);
        let mut state = lock(&shared.state);
        if let Some(error) = &state.failed {
            let error = error.clone();
            return Err(ProduceRefused { taken: 0, error });
        }
        let outcome = self.take(&mut state, records);
        drop(state);
        self.list();
        let (Ok(taken) | Err((taken, _))) = &outcome;
        self.in_flight += taken;
        outcome.map_err(|(taken, error)| ProduceRefused { taken, error })
    }

    fn passes(&self) -> Option<BatchLimits> {
        let settings = &self.producer.settings;
        Some(BatchLimits {
            codec: settings.codec_is_set.then(|| settings.codec.attributes() as u8),
            bytes: settings.max_request,
        })
    }

    fn pass(&mut self, whole: ProduceWhole<'_>) -> Result<bool, Error> {
        self.blocked = Blocked::No;
        let what = || format!("producing a batch to `{}-{}`", whole.topic, whole.partition);
        let Some(sealed) = Sealed::whole(whole.batch) else {
            return Err(local(what(), "InvalidRecord", "it is no batch", Class::Fatal));
        };
        if sealed.len() > self.producer.settings.max_request {
            let (bytes, most) = (sealed.len(), self.producer.settings.max_request);
            let message = format!("the batch has {bytes} bytes and the limit is {most}");
            return Err(local(what(), "MSG_SIZE_TOO_LARGE", message, Class::Fatal));
        }
        let shared = Arc::clone(&self.shared);
        let mut state = lock(&shared.state);
        if let Some(error) = &state.failed {
            return Err(error.clone());
        }
        let taken = self.take_whole(&mut state, whole, sealed);
        drop(state);
        self.list();
        self.in_flight += usize::from(matches!(taken, Ok(true)));
        taken
    }

    async fn ready(&mut self) {
        loop {
            self.collect();
            let blocked = self.blocked.clone();
            let shared = Arc::clone(&self.shared);
            {
                let state = lock(&shared.state);
                let ready = state.failed.is_some()
                    || match &blocked {
                        Blocked::No => true,
                        Blocked::Quota(wanted) => self.has_quota(&state, *wanted),
                        Blocked::Memory => false,
                        Blocked::Topic(topic, until) => {
                            Instant::now() >= *until || self.places.is_decided(topic, &self.changes.borrow_and_update())
                        }
                    };
                if ready {
                    return;
                }
            }
            match blocked {
                Blocked::No => return,
                Blocked::Quota(_) => shared.wake.notified().await,
                Blocked::Memory => {
                    let producer = Arc::clone(&self.producer);
                    let room = producer.inbox.room.notified();
                    tokio::pin!(room);
                    room.as_mut().enable();
                    producer.inbox.say_full();
                    if producer.inbox.used() > 0 && producer.inbox.is_full() {
                        room.await;
                    }
                    self.blocked = Blocked::No;
                }
                Blocked::Topic(_, until) => tokio::select! {
                    changed = self.changes.changed() => if changed.is_err() { return },
                    () = shared.wake.notified() => {}
                    () = tokio::time::sleep_until(until) => {}
                },
            }
        }
    }

    async fn acks(&mut self, out: &mut Vec<Ack>) {
        loop {
            self.collect();
            if !self.acked.is_empty() {
                return self.hand_out(out);
            }
            self.shared.wake.notified().await;
        }
    }

    fn try_acks(&mut self, out: &mut Vec<Ack>) {
        self.collect();
        self.hand_out(out);
    }

    fn in_flight(&self) -> usize {
        self.in_flight
    }

    fn metrics(&self) -> Option<ClientMetrics> {
        Some(ClientMetrics::Producer(Arc::downgrade(&self.shared.metrics)))
    }
}

impl Drop for Lane {
    /// What is not on its way is not sent any more: nobody would hear of it.
    fn drop(&mut self) {
        let mut state = lock(&self.shared.state);
        state.closed = true;
        for track in 0..state.tracks.len() {
            let done = state.tracks[track].fail(&local(
                "producing a record",
                "PurgeQueue",
                "the lane was closed",
                Class::Retriable,
            ));
            state.apply(done, &self.producer.inbox);
        }
    }
}
