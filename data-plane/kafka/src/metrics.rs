//! What producers and consumers measure of themselves, as Kafka's clients do (`producer-metrics`, `consumer-fetch-manager-metrics`,
//! `consumer-coordinator-metrics`): once a batch, a request or an answer, never once a record. Rates, means and maxima are over a minute in
//! two samples.

mod window;

use crate::lock::lock;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;
use tokio::time::Instant;
pub use window::{Total, Window};

/// The measurements of one client, for as long as it lives.
#[derive(Clone, Debug)]
pub enum ClientMetrics {
    /// Of one lane of a producer.
    Producer(Weak<Mutex<ProducerMetrics>>),
    /// Of a group member.
    Consumer(Weak<Mutex<ConsumerMetrics>>),
}

/// All measurements of a client at one moment.
#[derive(Clone, Debug)]
pub enum ClientNumbers {
    /// Of one lane of a producer.
    Producer(ProducerMetrics),
    /// Of a group member.
    Consumer(ConsumerMetrics),
}

impl ClientMetrics {
    /// A copy; none when the client is gone.
    #[must_use]
    pub fn numbers(&self) -> Option<ClientNumbers> {
        Some(match self {
            Self::Producer(metrics) => ClientNumbers::Producer(lock(&*metrics.upgrade()?).clone()),
            Self::Consumer(metrics) => ClientNumbers::Consumer(lock(&*metrics.upgrade()?).clone()),
        })
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// What a producer's lane sent to one topic.
#[derive(Clone, Copy, Debug, Default)]
pub struct SentToTopic {
    /// Records.
    pub records: Total,
    /// Bytes of their batches.
    pub bytes: Total,
    /// Size on the wire over size before compression, of each batch.
    pub compression: Window,
}

/// The measurements of one lane of a producer.
#[derive(Clone, Debug, Default)]
pub struct ProducerMetrics {
    /// Records sent. As in Java's client, one that is sent again counts again.
    pub records: Total,
    /// Bytes of batches sent.
    pub bytes: Total,
    /// Records sent again.
    pub retries: Total,
    /// Records that could not be written.
    pub errors: Total,
    /// Batches that the broker found too large, and that were sent in two.
    pub splits: Total,
    /// Bytes of each batch.
    pub batch: Window,
    /// Size on the wire over size before compression, of each batch.
    pub compression: Window,
    /// Milliseconds from a batch's first record until it was sent.
    pub queued: Window,
    /// Milliseconds from a request until its answer.
    pub latency: Window,
    /// Milliseconds for which an answer asked us to send nothing.
    pub throttle: Window,
    /// Bytes that may be in flight.
    pub quota: usize,
    /// Bytes in flight when a batch last left or was answered.
    pub used: usize,
    /// By topic. Boxed, as a tree has room for eleven values, and most lanes have one topic.
    pub topics: BTreeMap<Arc<str>, Box<SentToTopic>>,
}

/// A batch that was sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SentBatch {
    pub(crate) records: usize,
    pub(crate) bytes: usize,
    pub(crate) compression: f64,
    pub(crate) queued: Duration,
    pub(crate) again: bool,
}

impl ProducerMetrics {
    pub(crate) fn sent(&mut self, now: Instant, topic: &Arc<str>, batch: SentBatch, used: usize) {
        self.used = used;
        self.records.add(now, batch.records);
        self.bytes.add(now, batch.bytes);
        self.batch.record(now, batch.bytes as f64);
        self.compression.record(now, batch.compression);
        self.queued.record(now, millis(batch.queued));
        if batch.again {
            self.retries.add(now, batch.records);
        }
        if !self.topics.contains_key(topic) {
            self.topics.insert(Arc::clone(topic), Box::default());
        }
        if let Some(of_topic) = self.topics.get_mut(topic) {
            of_topic.records.add(now, batch.records);
            of_topic.bytes.add(now, batch.bytes);
            of_topic.compression.record(now, batch.compression);
        }
    }

    pub(crate) fn answered(&mut self, now: Instant, latency: Duration, throttle: Duration) {
        self.latency.record(now, millis(latency));
        self.throttle.record(now, millis(throttle));
    }
}

/// What a consumer read of one topic.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReadOfTopic {
    /// Records.
    pub records: Total,
    /// Bytes, as they came over the wire.
    pub bytes: Total,
}

/// The measurements of a group member.
#[derive(Clone, Debug, Default)]
pub struct ConsumerMetrics {
    /// Answers with something for this consumer. A request asks for many consumers, and answers without records are nobody's.
    pub fetches: Total,
    /// Bytes for this consumer in each of them.
    pub fetch_size: Window,
    /// Milliseconds from such a request until its answer; the broker may have waited for records.
    pub fetch_latency: Window,
    /// Milliseconds for which such an answer, or one without anything, asked us to fetch nothing.
    pub fetch_throttle: Window,
    /// By topic; boxed as those of a producer are.
    pub topics: BTreeMap<Arc<str>, Box<ReadOfTopic>>,
    /// Partitions that are this member's.
    pub assigned: usize,
    /// Times its partitions changed.
    pub rebalances: Total,
    /// When they last did.
    pub last_rebalance: Option<Instant>,
    /// Heartbeats sent.
    pub heartbeats: Total,
    /// Milliseconds until their answers.
    pub heartbeat_response: Window,
    /// When one was last answered.
    pub last_heartbeat: Option<Instant>,
    /// Commits that succeeded, and how many milliseconds they took.
    pub commits: Total,
    /// Milliseconds of each.
    pub commit_latency: Window,
}

impl ConsumerMetrics {
    pub(crate) fn fetched(&mut self, now: Instant, bytes: usize, latency: Duration, throttle: Duration) {
        self.fetches.add(now, 1);
        self.fetch_size.record(now, bytes as f64);
        self.fetch_latency.record(now, millis(latency));
        self.fetch_throttle.record(now, millis(throttle));
    }

    /// An answer that throttles brings nothing else.
    pub(crate) fn throttled(&mut self, now: Instant, throttle: Duration) {
        self.fetch_throttle.record(now, millis(throttle));
    }

    pub(crate) fn read(&mut self, now: Instant, topic: &Arc<str>, records: usize, bytes: usize) {
        if !self.topics.contains_key(topic) {
            self.topics.insert(Arc::clone(topic), Box::default());
        }
        if let Some(of_topic) = self.topics.get_mut(topic) {
            of_topic.records.add(now, records);
            of_topic.bytes.add(now, bytes);
        }
    }

    pub(crate) fn rebalanced(&mut self, now: Instant, assigned: usize) {
        self.assigned = assigned;
        self.rebalances.add(now, 1);
        self.last_rebalance = Some(now);
    }

    pub(crate) fn heartbeat(&mut self, now: Instant, took: Duration) {
        self.heartbeats.add(now, 1);
        self.heartbeat_response.record(now, millis(took));
        self.last_heartbeat = Some(now);
    }

    pub(crate) fn committed(&mut self, now: Instant, took: Duration) {
        self.commits.add(now, 1);
        self.commit_latency.record(now, millis(took));
    }
}
