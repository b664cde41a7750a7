//! Reading all of a topic, without a group. The reading runs on a blocking thread and hands batches over; what the caller
//! did not visit is read again by the next call.

use super::batch::{Builder, Epochs, Stamped};
use super::client::{Quiet, lock, native, translated};
use super::config::{Role, Translated};
use super::errors::{from_code, from_kafka, local};
use super::oauth::Tokens;
use crate::error::{Class, Error, Result};
use crate::port::{ClientConfig, TailRecord, TopicTail};
use crate::wire::oauth::Sources;
use async_trait::async_trait;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Batches between the reading thread and the caller: the next is read while one is visited.
const BATCHES: usize = 2;
/// A batch ends here.
const BATCH_RECORDS: usize = 2000;
const BATCH_BYTES: usize = 1 << 20;
/// How soon the reading thread notices that nobody listens any more.
const TURN: Duration = Duration::from_millis(50);

/// A reader of a topic.
pub(super) struct RdTail {
    topic: Arc<str>,
    /// Locked by the reading thread: one that was left behind by a cancelled call ends before the next one reads.
    consumer: Arc<Mutex<BaseConsumer<Quiet>>>,
    /// Where `consumer` reads committed records only: the end that it is told of is that of the first open transaction, and this
    /// one is told of the high watermark.
    uncommitted: Option<Arc<BaseConsumer<Quiet>>>,
    /// Where to go on, by partition. Moves only with what the caller has visited.
    next: BTreeMap<i32, i64>,
}

/// From the reading thread.
enum Part {
    Records(Stamped),
    /// All of these partitions is read up to here.
    End(BTreeMap<i32, i64>),
}

impl RdTail {
    pub(super) fn new(config: &ClientConfig, topic: &str, sources: &Sources) -> Result<Self> {
        let mut settings = translated(config, Role::Consumer)?;
        let client = settings.settings.get("client.id").cloned().unwrap_or_default();
        // librdkafka wants a name even where no group is joined; nothing is ever committed.
        settings.default_to("group.id", "dray-tail");
        for (key, value) in [
            ("enable.partition.eof", "true"),
            ("allow.auto.create.topics", "false"),
            // The end of a partition is known only when the broker answers a fetch that found nothing.
            ("fetch.wait.max.ms", "10"),
        ] {
            settings.settings.insert(key.to_owned(), value.to_owned());
        }
        let make = |settings: &Translated| {
            let quiet = Quiet {
                client: client.clone(),
                tokens: Tokens::read(settings, sources)?,
            };
            native(settings)
                .create_with_context(quiet)
                .map_err(|error| from_kafka(format!("making a reader of topic `{topic}`"), &error))
        };
        let consumer = make(&settings)?;
        let level = settings
            .settings
            .insert("isolation.level".to_owned(), "read_uncommitted".to_owned());
        let uncommitted = match level.as_deref() {
            Some("read_committed") => Some(Arc::new(make(&settings)?)),
            _ => None,
        };
        Ok(Self {
            topic: Arc::from(topic),
            consumer: Arc::new(Mutex::new(consumer)),
            uncommitted,
            next: BTreeMap::new(),
        })
    }
}

#[async_trait]
impl TopicTail for RdTail {
    async fn read_to_end(
        &mut self,
        timeout: Duration,
        visit: &mut (dyn for<'a> FnMut(TailRecord<'a>) + Send),
    ) -> Result<()> {
        let (sender, mut parts) = mpsc::channel(BATCHES);
        let reading = tokio::task::spawn_blocking({
            let (consumer, topic, next) = (Arc::clone(&self.consumer), Arc::clone(&self.topic), self.next.clone());
            let uncommitted = self.uncommitted.clone();
            move || {
                let consumer = lock(&consumer);
                let result = read(&consumer, uncommitted.as_deref(), &topic, next, timeout, &sender);
                // What was prefetched beyond the end is of no use: the next call starts where the visits ended.
                if let Err(error) = consumer.unassign() {
                    tracing::debug!(%error, "could not end reading a topic");
                }
                result
            }
        });
        let epochs = Epochs::default();
        while let Some(part) = parts.recv().await {
            match part {
                Part::Records(stamped) => {
                    let Some(batch) = stamped.current(&epochs) else {
                        continue;
                    };
                    for record in &batch.records {
                        visit(TailRecord {
                            partition: record.partition,
                            offset: record.offset,
                            key: record.key.as_ref().map(|key| batch.bytes(key)),
                            value: record.value.as_ref().map(|value| batch.bytes(value)),
                        });
                        self.next.insert(record.partition, record.offset + 1);
                    }
                }
                Part::End(ends) => {
                    for (partition, end) in ends {
                        let next = self.next.entry(partition).or_insert(end);
                        *next = end.max(*next);
                    }
                }
            }
        }
        let what = || format!("reading topic `{}`", self.topic);
        reading
            .await
            .map_err(|error| local(what(), "THREAD", error.to_string(), Class::Fatal))?
    }
}

fn read(
    consumer: &BaseConsumer<Quiet>,
    uncommitted: Option<&BaseConsumer<Quiet>>,
    topic: &str,
    next: BTreeMap<i32, i64>,
    timeout: Duration,
    sender: &mpsc::Sender<Part>,
) -> Result<()> {
    let what = format!("reading topic `{topic}`");
    let deadline = Instant::now() + timeout;
    let left = || deadline.saturating_duration_since(Instant::now());
    let fail = |error: &KafkaError| from_kafka(what.as_str(), error);

    for consumer in [Some(consumer), uncommitted].into_iter().flatten() {
        consumer.context().tokens.renew(consumer.client())?;
    }
    let mut ends = BTreeMap::new();
    let mut open = BTreeMap::new();
    let mut list = TopicPartitionList::new();
    for partition in partitions(consumer, topic, left())? {
        let (low, high) = uncommitted
            .unwrap_or(consumer)
            .fetch_watermarks(topic, partition, left())
            .map_err(|error| fail(&error))?;
        let start = next.get(&partition).copied().unwrap_or(low).max(low);
        ends.insert(partition, high);
        if start < high {
            open.insert(partition, high);
            list.add_partition_offset(topic, partition, Offset::Offset(start))
                .map_err(|error| fail(&error))?;
        }
    }
    if uncommitted.is_some() {
        // Before reading: afterwards the end of a fetch would not tell whether it is the one that was waited for.
        for (partition, end) in &open {
            loop {
                let (_, stable) = consumer
                    .fetch_watermarks(topic, *partition, left())
                    .map_err(|error| fail(&error))?;
                if stable >= *end {
                    break;
                }
                if sender.is_closed() {
                    return Ok(());
                }
                // With too little time for another look.
                if left() <= TURN * 2 {
                    let message =
                        format!("a transaction is open in partition {partition}, which has records up to {end}");
                    return Err(local(what, "OPEN_TRANSACTION", message, Class::Retriable));
                }
                std::thread::sleep(TURN);
            }
        }
    }
    if !open.is_empty() {
        consumer.assign(&list).map_err(|error| fail(&error))?;
    }

    let (mut builder, epochs) = (Builder::default(), Epochs::default());
    while !open.is_empty() {
        let mut pause = false;
        match consumer.poll(if builder.records() == 0 {
            TURN.min(left())
        } else {
            Duration::ZERO
        }) {
            Some(Ok(message)) => {
                if message.offset() + 1 >= open.get(&message.partition()).copied().unwrap_or(i64::MAX) {
                    open.remove(&message.partition());
                }
                builder.push_borrowed(&message, &epochs);
            }
            // Every fetch of this assignment is later than the watermarks, so its end is not before them.
            Some(Err(KafkaError::PartitionEOF(partition))) => drop(open.remove(&partition)),
            Some(Err(error)) => {
                let error = fail(&error);
                if !error.is_retriable() {
                    return Err(error);
                }
            }
            None => pause = true,
        }
        if builder.records() > 0
            && (pause || open.is_empty() || builder.records() >= BATCH_RECORDS || builder.bytes() >= BATCH_BYTES)
        {
            if sender.blocking_send(Part::Records(builder.take())).is_err() {
                return Ok(());
            }
        } else if sender.is_closed() {
            return Ok(());
        }
        if !open.is_empty() && left().is_zero() {
            return Err(from_code(what, Code::OperationTimedOut));
        }
    }
    // Nobody listens any more: nothing was promised.
    sender.blocking_send(Part::End(ends)).ok();
    Ok(())
}

fn partitions(consumer: &BaseConsumer<Quiet>, topic: &str, timeout: Duration) -> Result<Vec<i32>> {
    let what = format!("reading topic `{topic}`");
    let metadata = consumer
        .fetch_metadata(Some(topic), timeout)
        .map_err(|error| from_kafka(what.as_str(), &error))?;
    let missing = || -> Error { from_code(what.as_str(), Code::UnknownTopicOrPartition) };
    let found = metadata
        .topics()
        .iter()
        .find(|found| found.name() == topic)
        .ok_or_else(missing)?;
    match found.error() {
        Some(code) => Err(from_code(what.as_str(), Code::from(code))),
        None if found.partitions().is_empty() => Err(missing()),
        None => Ok(found
            .partitions()
            .iter()
            .map(rdkafka::metadata::MetadataPartition::id)
            .collect()),
    }
}
