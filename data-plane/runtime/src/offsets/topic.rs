//! Source offsets in a compacted Kafka topic, as distributed Kafka Connect keeps them (`offset.storage.topic`), in its
//! format: key `["connector",{partition}]`, value `{offset}`, a tombstone erases.
//!
//! One store is one producer and one reader of the topic, however many tasks use it. In a session the producer is the session's
//! writer, so that whoever fences it has fenced all commits of these tasks; by itself a worker has a lane.

mod reader;
mod settings;
mod writer;

use super::{OffsetEntry, OffsetStore, key_json, of_connector, parse_offset};
use crate::config::WorkerConfig;
use async_trait::async_trait;
use dray_connect::offset::{OffsetMap, SourcePartition};
use dray_connect::{Error, Result};
use dray_kafka::port::{Admin, KafkaPort, NewTopic, Outcome, SessionRecord, TopicTail};
use dray_kafka::session::SessionWriter;
use reader::Reader;
pub use settings::OffsetTopic;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OnceCell;
use writer::{OffsetRecord, Writer};

/// How long one request to the broker may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// The first pause after a failure that may pass; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The store. Made without talking to the broker, so that one that is away delays tasks and ends nothing.
pub struct TopicOffsets {
    topic: NewTopic,
    admin: Arc<dyn Admin>,
    checked: OnceCell<()>,
    reader: Reader,
    writer: WrittenBy,
}

/// Who writes the topic.
enum WrittenBy {
    Lane(Writer),
    Session {
        writer: Arc<SessionWriter>,
        topic: Arc<str>,
    },
}

impl TopicOffsets {
    /// The store in that topic, with the clients that the worker's settings describe. Needs a tokio runtime.
    ///
    /// # Errors
    /// When a client's settings are wrong.
    pub fn open(topic: OffsetTopic, worker: &WorkerConfig, port: &dyn KafkaPort) -> Result<Self> {
        let topic = topic.into_new_topic();
        let lane = port
            .producer_lane(&settings::producer(worker), writer::QUOTA, None)
            .map_err(client)?;
        let writer = WrittenBy::Lane(Writer::start(lane, &topic.name));
        let config = settings::consumer(worker);
        let tail = port.tail(&config, &topic.name).map_err(client)?;
        Self::over(topic, worker, port, tail, writer)
    }

    /// The store in that topic as a session has it: commits go through its writer, and what another session has in an open
    /// transaction is waited for.
    ///
    /// # Errors
    /// When a client's settings are wrong.
    pub fn with_session_writer(
        topic: OffsetTopic,
        worker: &WorkerConfig,
        port: &dyn KafkaPort,
        writer: Arc<SessionWriter>,
    ) -> Result<Self> {
        let topic = topic.into_new_topic();
        let name = Arc::from(topic.name.as_str());
        let config = settings::consumer(worker);
        let tail = port.tail(&config, &topic.name).map_err(client)?;
        Self::over(topic, worker, port, tail, WrittenBy::Session { writer, topic: name })
    }

    fn over(
        topic: NewTopic,
        worker: &WorkerConfig,
        port: &dyn KafkaPort,
        tail: Box<dyn TopicTail>,
        writer: WrittenBy,
    ) -> Result<Self> {
        Ok(Self {
            admin: port.admin(&settings::admin(worker)).map_err(client)?,
            checked: OnceCell::new(),
            reader: Reader::new(tail, &topic.name),
            writer,
            topic,
        })
    }

    /// Creates the topic where it is missing and makes sure that it is compacted, once.
    async fn check(&self) -> Result<()> {
        self.checked
            .get_or_try_init(|| settings::ensure(self.admin.as_ref(), &self.topic))
            .await?;
        Ok(())
    }

    async fn try_read(&self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>> {
        self.check().await?;
        self.reader.read(keys).await
    }
}

#[async_trait]
impl OffsetStore for TopicOffsets {
    /// Reads the topic to its end first. A broker that is away is waited for: a task without its offsets would begin
    /// anew. Cancel-safe.
    async fn read(&self, connector: &str, partitions: &[SourcePartition]) -> Result<Vec<Option<OffsetMap>>> {
        let keys: Vec<String> = partitions
            .iter()
            .map(|partition| key_json(connector, partition))
            .collect();
        let mut pause = FIRST_PAUSE;
        let values = loop {
            match self.try_read(&keys).await {
                Ok(values) => break values,
                Err(error) if error.is_retriable() => {
                    tracing::warn!(
                        connector,
                        topic = self.topic.name,
                        error = crate::guard::trace(&error),
                        "source offsets cannot be read yet; tried again"
                    );
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                Err(error) => return Err(error),
            }
        };
        values
            .into_iter()
            .map(|value| value.as_deref().map(parse_offset).transpose())
            .collect()
    }

    /// As of a moment after the call. A broker that is away is an error: a person waits for the answer, and can ask again.
    async fn list(&self, connector: &str) -> Result<Vec<(OffsetMap, OffsetMap)>> {
        self.check().await?;
        let listed = self.reader.look(|values| {
            let stored = values.iter().map(|(key, value)| (&**key, &**value));
            of_connector(connector, stored)
        });
        listed.await?
    }

    /// Durable on all in-sync replicas when this returns. Without a session the entries are separate records: after an error
    /// some of them may be stored. Dropping the future before the writer took them stores none.
    async fn commit(&self, entries: Vec<OffsetEntry>) -> Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        self.check().await?;
        let records = entries.into_iter().map(record).collect();
        match &self.writer {
            WrittenBy::Lane(writer) => writer.write(records).await,
            WrittenBy::Session { writer, topic } => {
                let outcome = writer.commit(of_session(topic, records)).await;
                written(writer, topic, outcome)
            }
        }
    }

    async fn commit_at_once(&self, entries: Vec<OffsetEntry>) -> Result<()> {
        match &self.writer {
            WrittenBy::Lane(_) => self.commit(entries).await,
            WrittenBy::Session { writer, topic } => {
                self.check().await?;
                let records = entries.into_iter().map(record).collect();
                let outcome = writer.commit_at_once(of_session(topic, records)).await;
                written(writer, topic, outcome)
            }
        }
    }

    async fn settled(&self) {
        match &self.writer {
            // No successor can have started: without a session nobody takes a task over.
            WrittenBy::Lane(_) => {}
            WrittenBy::Session { writer, .. } => writer.settled().await,
        }
    }
}

fn record(entry: OffsetEntry) -> OffsetRecord {
    let key = key_json(entry.task.connector.as_str(), &entry.partition).into_bytes();
    (key, entry.offset.map(|offset| offset.to_json().into_bytes()))
}

fn of_session(topic: &Arc<str>, records: Vec<OffsetRecord>) -> Vec<SessionRecord> {
    let record = |(key, value)| SessionRecord {
        topic: Arc::clone(topic),
        key,
        value,
    };
    records.into_iter().map(record).collect()
}

/// What a transaction's end means for who committed with it.
fn written(writer: &SessionWriter, topic: &str, outcome: Outcome) -> Result<()> {
    let error = match outcome {
        Outcome::Committed => return Ok(()),
        Outcome::Aborted(error) | Outcome::Unknown(error) => error,
        Outcome::Fenced(error) => {
            let message = format!(
                "the offsets are not committed to '{topic}': this agent's session was declared dead, or its transaction timed \
                 out, and its writer '{}' is fenced; the agent begins a new session",
                writer.transactional_id()
            );
            return Err(Error::connect(message).with_source(error));
        }
    };
    Err(failed("writing", topic, error))
}

fn client(error: dray_kafka::Error) -> Error {
    Error::connect("Kafka client cannot be made").with_source(error)
}

/// A failure at the offsets topic in the terms of Connect: retriable ones stay so.
fn failed(doing: &str, topic: &str, error: dray_kafka::Error) -> Error {
    let message = format!("{doing} the offsets topic '{topic}' failed");
    if error.is_retriable() {
        Error::retriable(message).with_source(error)
    } else {
        Error::connect(message).with_source(error)
    }
}

#[cfg(test)]
mod tests;
