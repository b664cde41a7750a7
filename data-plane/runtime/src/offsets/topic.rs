//! Source offsets in a compacted Kafka topic, as distributed Kafka Connect keeps them (`offset.storage.topic`), in its
//! format: key `["connector",{partition}]`, value `{offset}`, a tombstone erases.
//!
//! One store is one producer lane and one reader of the topic, however many tasks use it.

mod reader;
mod settings;
mod writer;

use super::{OffsetEntry, OffsetStore, key_json, parse_offset};
use crate::config::WorkerConfig;
use async_trait::async_trait;
use dray_connect::offset::{OffsetMap, SourcePartition};
use dray_connect::{Error, Result};
use dray_kafka::port::{Admin, KafkaPort, NewTopic};
use reader::Reader;
pub use settings::OffsetTopic;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OnceCell;
use writer::Writer;

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
    writer: Writer,
}

impl TopicOffsets {
    /// The store in that topic, with the clients that the worker's settings describe. Needs a tokio runtime.
    ///
    /// # Errors
    /// When a client's settings are wrong.
    pub fn open(topic: OffsetTopic, worker: &WorkerConfig, port: &dyn KafkaPort) -> Result<Self> {
        let client = |error| Error::connect("Kafka client cannot be made").with_source(error);
        let topic = topic.into_new_topic();
        let lane = port
            .producer_lane(&settings::producer(worker), writer::QUOTA)
            .map_err(client)?;
        let tail = port.tail(&settings::consumer(worker), &topic.name).map_err(client)?;
        Ok(Self {
            admin: port.admin(&settings::admin(worker)).map_err(client)?,
            checked: OnceCell::new(),
            reader: Reader::new(tail, &topic.name),
            writer: Writer::start(lane, &topic.name),
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

    /// Durable on all in-sync replicas when this returns. The entries are separate records: after an error some of them
    /// may be stored. Dropping the future before the writer took them stores none.
    async fn commit(&self, entries: Vec<OffsetEntry>) -> Result<()> {
        self.check().await?;
        let records = entries.into_iter().map(|entry| {
            let key = key_json(entry.task.connector.as_str(), &entry.partition).into_bytes();
            (key, entry.offset.map(|offset| offset.to_json().into_bytes()))
        });
        self.writer.write(records.collect()).await
    }
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
