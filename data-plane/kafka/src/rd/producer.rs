//! Producers, shared by all lanes of equal settings. One thread per producer serves its delivery reports; it only appends to a lane's
//! buffer and wakes the lane.

mod lane;
mod report;

use super::client::{Threads, lock, log, log_error, native, translated};
use super::config::Role;
use super::errors::{from_kafka, local};
use super::oauth::Tokens;
use crate::error::{Class, Result};
use crate::port::ClientConfig;
use crate::wire::oauth::Sources;
use lane::Lane;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{DeliveryResult, Message as _};
use rdkafka::producer::{BaseProducer, Producer as _, ProducerContext};
use report::{COUNTER_BITS, COUNTER_MASK, Failure, Mailbox, Report};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::Notify;

/// How long one turn of the polling thread takes. Reports are served the moment they come; this bounds only how late a
/// full queue is noticed to have room when nothing is delivered, and how long ending takes. Not shorter: rdkafka waits in
/// whole milliseconds, so the last part of each turn is spent spinning.
const TURN: Duration = Duration::from_millis(100);

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
                error: Some(Box::new(Failure {
                    code: error.rdkafka_error_code().unwrap_or(Code::Unknown),
                    topic: message.topic().to_owned(),
                })),
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
