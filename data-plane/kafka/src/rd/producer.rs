//! Producers, shared by all lanes of equal settings, and the lanes. One thread per producer serves its delivery
//! reports; it only appends to a lane's buffer and wakes the lane.

use super::client::{Threads, lock, log, log_error, native, translated};
use super::config::Role;
use super::errors::{from_code, from_kafka, local};
use super::oauth::Tokens;
use super::topic::Topic;
use crate::error::{Class, Error, Result};
use crate::port::{Ack, ClientConfig, Delivered, ProduceRecord, ProduceRefused, ProducerLane};
use crate::wire::oauth::Sources;
use async_trait::async_trait;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{DeliveryResult, Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::Notify;

/// How long one turn of the polling thread takes. Reports are served the moment they come; this bounds only how late a
/// full queue is noticed to have room when nothing is delivered, and how long ending takes. Not shorter: rdkafka waits in
/// whole milliseconds, so the last part of each turn is spent spinning.
const TURN: Duration = Duration::from_millis(100);
/// The delivery opaque is one word: the lane's number above, the record's number in its lane below.
const COUNTER_BITS: u32 = 40;
const COUNTER_MASK: u64 = (1 << COUNTER_BITS) - 1;
/// A lane that was full is ready again when one part in so many of its quota is free.
const ROOM_SHARE: usize = 8;
/// What librdkafka and the protocol add to a record, at most: `message.max.bytes` covers it too.
const RECORD_OVERHEAD: usize = 512;

/// The delivery reports of a run of records, small and without allocation. The lane makes [`Ack`]s of it.
#[derive(Clone, Copy)]
struct Report {
    counter: u64,
    /// More than one where all of them are stored, one after the other.
    count: u64,
    partition: i32,
    offset: i64,
    error: Option<Code>,
}

impl Report {
    /// Takes in the report of the next record, if it is that.
    fn extend(&mut self, next: &Self) -> bool {
        let follows = (self.counter + self.count) & COUNTER_MASK == next.counter
            && self.partition == next.partition
            && self.offset + self.count as i64 == next.offset
            && self.error.is_none()
            && next.error.is_none();
        self.count += u64::from(follows);
        follows
    }
}

/// Where the polling thread leaves the reports of one lane. Bounded by the lane's quota.
#[derive(Default)]
struct Mailbox {
    reports: Mutex<Vec<Report>>,
    wake: Notify,
}

/// What the polling thread and the lanes share.
#[derive(Default)]
struct Context {
    client: String,
    tokens: Tokens,
    /// In the order of the lanes' numbers, which only grow.
    mailboxes: RwLock<Vec<(u32, Arc<Mailbox>)>>,
    /// A lane met a full queue; the polling thread wakes all such lanes with the next delivery.
    full: AtomicBool,
    room: Notify,
    /// librdkafka says that this producer is beyond repair. The next lane gets a new one.
    broken: AtomicBool,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(&self.client, level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(Code::Fatal) {
            self.broken.store(true, Ordering::Relaxed);
        }
        log_error(&self.client, &error, reason);
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, opaque: usize) {
        let lane = u32::try_from(opaque as u64 >> COUNTER_BITS).unwrap_or(u32::MAX);
        let counter = opaque as u64 & COUNTER_MASK;
        let report = match result {
            Ok(message) => Report {
                counter,
                count: 1,
                partition: message.partition(),
                offset: message.offset(),
                error: None,
            },
            Err((error, message)) => Report {
                counter,
                count: 1,
                partition: message.partition(),
                offset: -1,
                error: Some(error.rdkafka_error_code().unwrap_or(Code::Unknown)),
            },
        };
        let mailboxes = self.mailboxes.read().unwrap_or_else(PoisonError::into_inner);
        // A lane that was dropped has nobody to tell.
        if let Ok(place) = mailboxes.binary_search_by_key(&lane, |(id, _)| *id) {
            let mailbox = &mailboxes[place].1;
            let mut reports = lock(&mailbox.reports);
            let first = reports.is_empty();
            if !reports.last_mut().is_some_and(|last| last.extend(&report)) {
                reports.push(report);
            }
            drop(reports);
            // Once per burst: with reports waiting, the wake-up is already on its way.
            if first {
                mailbox.wake.notify_one();
            }
        }
        drop(mailboxes);
        self.wake_the_full();
    }
}

impl Context {
    /// Wakes the lanes that met a full queue.
    fn wake_the_full(&self) {
        if self.full.load(Ordering::Relaxed) && self.full.swap(false, Ordering::AcqRel) {
            self.room.notify_waiters();
        }
    }
}

/// A producer and its polling thread; ends with its last lane.
struct Shared {
    producer: Arc<BaseProducer<Context>>,
    max_message_bytes: usize,
    next_lane: AtomicU32,
    stop: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
    threads: Arc<Threads>,
}

impl Shared {
    fn start(config: &ClientConfig, threads: Arc<Threads>, sources: &Sources) -> Result<Self> {
        let settings = translated(config, Role::Producer)?;
        let client = settings.settings.get("client.id").cloned().unwrap_or_default();
        let what = format!("making the producer `{client}`");
        let max_message_bytes = settings
            .settings
            .get("message.max.bytes")
            .and_then(|bytes| bytes.parse().ok())
            .unwrap_or(1 << 20);
        let context = Context {
            client,
            tokens: Tokens::read(&settings, sources)?,
            ..Context::default()
        };
        let producer: BaseProducer<Context> = native(&settings)
            .create_with_context(context)
            .map_err(|error| from_kafka(what.as_str(), &error))?;
        let producer = Arc::new(producer);
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::Builder::new()
            .name("kafka-producer".to_owned())
            .spawn({
                let (producer, stop) = (Arc::clone(&producer), Arc::clone(&stop));
                move || serve(&producer, &stop)
            })
            .map_err(|error| local(what, "THREAD", error.to_string(), Class::Fatal))?;
        Ok(Self {
            producer,
            max_message_bytes,
            next_lane: AtomicU32::new(0),
            stop,
            thread: Mutex::new(Some(thread)),
            threads,
        })
    }

    fn context(&self) -> &Context {
        self.producer.client().context()
    }
}

fn serve(producer: &BaseProducer<Context>, stop: &AtomicBool) {
    let context = producer.client().context();
    while !stop.load(Ordering::Relaxed) {
        // Without a token nothing is sent, and the source has said why.
        context.tokens.renew(producer.client()).ok();
        producer.poll(TURN);
        // A report is served a moment before its message makes room, so the last one's wake-up can come too early.
        context.wake_the_full();
    }
    // The client itself is torn down here, on its own thread, when this was its last owner.
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = lock(&self.thread).take() {
            self.threads.retire(thread);
        }
    }
}

/// The producers of a process, by effective configuration.
#[derive(Default)]
pub(super) struct Producers(Mutex<HashMap<ClientConfig, Weak<Shared>>>);

impl Producers {
    /// A lane on the producer for these settings, which is made when there is none that works.
    pub(super) fn lane(
        &self,
        config: &ClientConfig,
        quota: usize,
        threads: &Arc<Threads>,
        sources: &Sources,
    ) -> Result<Lane> {
        // `client.id` names the first of the tasks that share a producer; it is not a reason for another one.
        let mut key = config.clone();
        key.remove("client.id");
        let mut producers = lock(&self.0);
        producers.retain(|_, shared| shared.strong_count() > 0);
        let shared = match producers.get(&key).and_then(Weak::upgrade) {
            Some(shared) if !shared.context().broken.load(Ordering::Relaxed) => shared,
            _ => {
                let shared = Arc::new(Shared::start(config, Arc::clone(threads), sources)?);
                producers.insert(key, Arc::downgrade(&shared));
                shared
            }
        };
        drop(producers);
        Ok(Lane::new(shared, quota))
    }
}

/// A record in flight.
#[derive(Clone, Copy)]
struct Flight {
    sequence: u64,
    bytes: usize,
    done: bool,
}

/// One task's share of a producer.
pub(super) struct Lane {
    /// That of the last record. Dropped first, and so before its producer.
    topic: Option<Topic>,
    shared: Arc<Shared>,
    id: u32,
    mailbox: Arc<Mailbox>,
    quota: usize,
    used: usize,
    /// The size of the record that found no room last.
    wanted: usize,
    /// The number of the first record of `flights`.
    first: u64,
    /// Bounded by the quota; records come back out of order across partitions, so the done ones wait for the first.
    flights: VecDeque<Flight>,
    /// Acknowledged, and not yet handed out.
    acked: Vec<Ack>,
    in_flight: usize,
    /// The last attempt met the producer's full queue.
    queue_full: bool,
    /// Reused between calls.
    reports: Vec<Report>,
}

impl Lane {
    fn new(shared: Arc<Shared>, quota: usize) -> Self {
        // 2^24 lanes per producer: a task would have to restart once a second for half a year, and then find another
        // lane of the same number alive.
        let id = shared.next_lane.fetch_add(1, Ordering::Relaxed) & 0x00ff_ffff;
        let mailbox = Arc::new(Mailbox::default());
        let mut mailboxes = shared
            .context()
            .mailboxes
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let place = mailboxes.partition_point(|(other, _)| *other < id);
        mailboxes.insert(place, (id, Arc::clone(&mailbox)));
        drop(mailboxes);
        Self {
            topic: None,
            shared,
            id,
            mailbox,
            quota,
            used: 0,
            wanted: 0,
            first: 0,
            flights: VecDeque::new(),
            acked: Vec::new(),
            in_flight: 0,
            queue_full: false,
            reports: Vec::new(),
        }
    }

    /// Turns the reports that are there into acknowledgements and gives their bytes back to the quota.
    fn collect(&mut self) {
        std::mem::swap(&mut *lock(&self.mailbox.reports), &mut self.reports);
        for report in self.reports.drain(..) {
            let index = (report.counter.wrapping_sub(self.first) & COUNTER_MASK) as usize;
            for place in 0..report.count {
                let flight = self.flights.get_mut(index + place as usize);
                let Some(flight) = flight.filter(|flight| !flight.done) else {
                    tracing::error!(lane = self.id, "a delivery report for a record that is not in flight");
                    continue;
                };
                flight.done = true;
                self.used -= flight.bytes;
                let outcome = match report.error {
                    None => Ok(Delivered {
                        partition: report.partition,
                        offset: report.offset + place as i64,
                    }),
                    Some(code) => Err(Box::new(from_code("producing a record", code))),
                };
                Ack::append(&mut self.acked, flight.sequence, outcome);
            }
        }
        let done = self.flights.iter().take_while(|flight| flight.done).count();
        self.flights.drain(..done);
        self.first = (self.first + done as u64) & COUNTER_MASK;
    }

    fn hand_out(&mut self, out: &mut Vec<Ack>) {
        self.in_flight -= self.acked.iter().map(|ack| ack.count).sum::<usize>();
        out.append(&mut self.acked);
    }

    /// Room for the record that was not taken, and for some more: without the margin a full lane would wake up for
    /// each single acknowledgement.
    fn has_quota(&self) -> bool {
        self.used == 0 || self.used + self.wanted.max(self.quota / ROOM_SHARE) <= self.quota
    }

    /// Records without a timestamp get `now`: librdkafka would ask the clock for each one.
    fn send(&mut self, record: &ProduceRecord<'_>, now: Option<i64>, opaque: usize) -> std::result::Result<(), Code> {
        if !record.headers.is_empty() {
            return self.send_with_headers(record, now, opaque);
        }
        if self.topic.as_ref().is_none_or(|topic| topic.name() != record.topic) {
            self.topic = Topic::new(&self.shared.producer, record.topic);
        }
        let topic = self.topic.as_ref().ok_or(Code::InvalidArgument)?;
        topic.send(record, record.timestamp.or(now), opaque)
    }

    fn send_with_headers(
        &self,
        record: &ProduceRecord<'_>,
        now: Option<i64>,
        opaque: usize,
    ) -> std::result::Result<(), Code> {
        let mut message: BaseRecord<'_, [u8], [u8], usize> = BaseRecord::with_opaque_to(record.topic, opaque);
        message.partition = record.partition;
        message.timestamp = record.timestamp.or(now);
        message.key = record.key;
        message.payload = record.value;
        let mut headers = OwnedHeaders::new_with_capacity(record.headers.len());
        for header in record.headers {
            headers = headers.insert(Header {
                key: header.key,
                value: header.value,
            });
        }
        message.headers = Some(headers);
        match self.shared.producer.send(message) {
            Ok(()) => Ok(()),
            Err((error, _)) => Err(error.rdkafka_error_code().unwrap_or(Code::InvalidArgument)),
        }
    }

    fn too_large(&self, record: &ProduceRecord<'_>, bytes: usize) -> Error {
        local(
            format!("producing a record to `{}`", record.topic),
            "MSG_SIZE_TOO_LARGE",
            format!(
                "the record has {bytes} bytes and the limit is {}; raise `producer.override.max.request.size`",
                self.shared.max_message_bytes
            ),
            Class::Fatal,
        )
    }
}

fn size(record: &ProduceRecord<'_>) -> usize {
    let headers: usize = record
        .headers
        .iter()
        .map(|h| h.key.len() + h.value.map_or(0, <[u8]>::len))
        .sum();
    record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len) + headers
}

#[async_trait]
impl ProducerLane for Lane {
    fn produce(&mut self, records: &[ProduceRecord<'_>]) -> std::result::Result<usize, ProduceRefused> {
        self.collect();
        self.queue_full = false;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok();
        let now = now.and_then(|now| i64::try_from(now.as_millis()).ok());
        for (taken, record) in records.iter().enumerate() {
            let bytes = size(record);
            // An empty record takes a place too: the quota bounds their number as well.
            let charge = bytes.max(1);
            if self.used > 0 && self.used + charge > self.quota {
                self.wanted = charge;
                return Ok(taken);
            }
            if bytes > self.shared.max_message_bytes.saturating_add(RECORD_OVERHEAD) {
                return Err(ProduceRefused {
                    taken,
                    error: self.too_large(record, bytes),
                });
            }
            let counter = (self.first + self.flights.len() as u64) & COUNTER_MASK;
            let opaque = ((u64::from(self.id) << COUNTER_BITS) | counter) as usize;
            let mut sent = self.send(record, now, opaque);
            if sent == Err(Code::QueueFull) {
                // Say so first and try once more: room made in between would otherwise wake nobody.
                self.shared.context().full.store(true, Ordering::Release);
                sent = self.send(record, now, opaque);
            }
            match sent {
                Ok(()) => {
                    self.flights.push_back(Flight {
                        sequence: record.sequence,
                        bytes: charge,
                        done: false,
                    });
                    self.used += charge;
                    self.in_flight += 1;
                }
                Err(Code::QueueFull) => {
                    self.queue_full = true;
                    return Ok(taken);
                }
                Err(Code::MessageSizeTooLarge) => {
                    return Err(ProduceRefused {
                        taken,
                        error: self.too_large(record, bytes),
                    });
                }
                Err(code) => {
                    let error = from_code(format!("producing a record to `{}`", record.topic), code);
                    return Err(ProduceRefused { taken, error });
                }
            }
        }
        Ok(records.len())
    }

    async fn ready(&mut self) {
        loop {
            self.collect();
            if self.queue_full {
                let shared = Arc::clone(&self.shared);
                let room = shared.context().room.notified();
                tokio::pin!(room);
                room.as_mut().enable();
                if shared.context().full.load(Ordering::Acquire) {
                    room.await;
                }
                self.queue_full = false;
            } else if self.has_quota() {
                return;
            } else {
                self.mailbox.wake.notified().await;
            }
        }
    }

    async fn acks(&mut self, out: &mut Vec<Ack>) {
        loop {
            self.collect();
            if !self.acked.is_empty() {
                return self.hand_out(out);
            }
            self.mailbox.wake.notified().await;
        }
    }

    fn try_acks(&mut self, out: &mut Vec<Ack>) {
        self.collect();
        self.hand_out(out);
    }

    fn in_flight(&self) -> usize {
        self.in_flight
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        let mut mailboxes = self
            .shared
            .context()
            .mailboxes
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        mailboxes.retain(|(id, _)| *id != self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::timeout;

    /// No broker is needed: nothing is ever acknowledged.
    #[tokio::test]
    async fn a_full_lane_is_not_ready_for_a_record_that_does_not_fit() {
        let config = ClientConfig::from([("bootstrap.servers".to_owned(), "127.0.0.1:1".to_owned())]);
        let mut lane = Producers::default()
            .lane(&config, 1000, &Arc::default(), &Sources::default())
            .expect("a lane");
        let value = [0; 600];
        let record = ProduceRecord {
            topic: "t",
            partition: Some(0),
            timestamp: None,
            key: None,
            value: Some(&value),
            headers: &[],
            sequence: 0,
        };
        assert_eq!(lane.produce(&[record, record]).expect("the first one"), 1);
        assert!(
            timeout(Duration::from_millis(50), lane.ready()).await.is_err(),
            "400 bytes are no room for 600"
        );
    }

    #[tokio::test]
    async fn a_topic_that_cannot_be_is_refused() {
        let config = ClientConfig::from([("bootstrap.servers".to_owned(), "127.0.0.1:1".to_owned())]);
        let mut lane = Producers::default()
            .lane(&config, 1000, &Arc::default(), &Sources::default())
            .expect("a lane");
        let long = "t".repeat(600);
        for (topic, taken) in [("t", true), ("a\0b", false), (&long, false), ("", true), ("t", true)] {
            let record = ProduceRecord {
                topic,
                partition: None,
                timestamp: None,
                key: None,
                value: None,
                headers: &[],
                sequence: 0,
            };
            match lane.produce(&[record]) {
                Ok(count) => assert_eq!((count, taken), (1, true), "{topic}"),
                Err(refused) => assert_eq!((refused.error.class, taken), (Class::Fatal, false), "{topic}"),
            }
        }
    }

    #[test]
    fn reports_that_follow_each_other_are_one_run() {
        let report = |counter, partition, offset, error| Report {
            counter,
            count: 1,
            partition,
            offset,
            error,
        };
        let first = report(COUNTER_MASK - 1, 3, 7, None);
        for (next, follows) in [
            (report(COUNTER_MASK, 3, 8, None), true),
            (report(COUNTER_MASK - 1, 3, 8, None), false),
            (report(0, 3, 8, None), false),
            (report(COUNTER_MASK, 2, 8, None), false),
            (report(COUNTER_MASK, 3, 9, None), false),
            (report(COUNTER_MASK, 3, 8, Some(Code::InvalidTopic)), false),
        ] {
            let mut run = first;
            assert_eq!(run.extend(&next), follows);
            assert_eq!(run.count, if follows { 2 } else { 1 });
        }
        let mut run = first;
        assert!(run.extend(&report(COUNTER_MASK, 3, 8, None)));
        assert!(run.extend(&report(0, 3, 9, None)), "counters begin again");
        let mut failed = report(1, 3, -1, Some(Code::InvalidTopic));
        assert!(!failed.extend(&report(2, 3, 0, None)));
    }
}
