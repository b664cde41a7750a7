//! The dead letter queue of a sink (KIP-298): records that failed, as they were consumed, with the reason in headers.
//! Unlike Connect's, it is part of the record's way: offsets wait until the letters are acknowledged.

use crate::config::DeadLetterConfig;
use crate::guard::trace;
use crate::metrics::Failures;
use crate::policy::Failure;
use crate::topics::create;
use dray_connect::{Error, Result};
use dray_kafka::port::{Ack, Admin, FetchBatch, HeaderRef, NewTopic, ProduceRecord, ProducerLane};
use dray_model::TaskId;
use dray_process::hidden::Hidden;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The queue of one task.
pub struct DeadLetters {
    /// Its share of a producer.
    pub lane: Box<dyn ProducerLane>,
    /// Its settings.
    pub config: DeadLetterConfig,
    /// Whose letters these are.
    pub id: TaskId,
    /// Looks for the topic and creates it.
    pub admin: Arc<dyn Admin>,
    /// Counts them.
    pub failures: Arc<Failures>,
    /// What nobody is to read in a reason.
    pub hidden: Hidden,
}

/// A failed record with its place in the fetch.
pub struct Letter {
    /// Place in the fetch.
    pub place: usize,
    /// Why it failed.
    pub failure: Failure,
}

impl DeadLetters {
    /// Makes sure that the topic exists, with one partition as in Connect. Waits while the broker is away. Cancel-safe.
    ///
    /// # Errors
    /// When it does not exist and cannot be created.
    pub async fn prepare(&mut self) -> Result<()> {
        let topic = NewTopic {
            name: self.config.topic.clone(),
            partitions: 1,
            replication_factor: self.config.replication_factor,
            configs: BTreeMap::new(),
        };
        while let Err(error) = create(self.admin.as_ref(), &topic).await {
            if !error.is_retriable() {
                let text = format!(
                    "Could not initialize dead letter queue with topic={}",
                    self.config.topic
                );
                return Err(Error::connect(text).with_source(error));
            }
            tracing::warn!(topic = self.config.topic, error = %error,
                "dead letter queue could not be created; tried again");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        Ok(())
    }

    /// Sends letters and waits until all are acknowledged. Not cancel-safe: a dropped call leaves the offsets
    /// uncommitted, so the letters are written again.
    ///
    /// # Errors
    /// When a letter cannot be written: the records are then not finished, and the task must not commit them.
    pub async fn send(&mut self, fetch: &FetchBatch, letters: &[Letter]) -> Result<()> {
        for letter in letters {
            self.failures.letter();
            let context = self.context(fetch, letter);
            let record = &fetch.records[letter.place];
            let mut headers: Vec<(String, Option<&[u8]>)> = Vec::new();
            for (name, value) in &fetch.headers[record.headers.start as usize..record.headers.end as usize] {
                let name = String::from_utf8_lossy(fetch.bytes(name)).into_owned();
                headers.push((name, value.as_ref().map(|slice| fetch.bytes(slice))));
            }
            for (name, value) in &context {
                headers.push((format!("__connect.errors.{name}"), Some(value.as_bytes())));
            }
            let headers: Vec<HeaderRef<'_>> = headers
                .iter()
                .map(|(key, value)| HeaderRef { key, value: *value })
                .collect();
            let produce = ProduceRecord {
                topic: &self.config.topic,
                partition: None,
                timestamp: record.timestamp,
                key: record.key.as_ref().map(|slice| fetch.bytes(slice)),
                value: record.value.as_ref().map(|slice| fetch.bytes(slice)),
                headers: &headers,
                sequence: 0,
            };
            while self
                .lane
                .produce(&[produce])
                .map_err(|refused| self.unwritable(refused.error))?
                == 0
            {
                self.lane.ready().await;
            }
        }
        let mut acks: Vec<Ack> = Vec::new();
        while self.lane.in_flight() > 0 {
            self.lane.acks(&mut acks).await;
            for ack in acks.drain(..) {
                ack.outcome.map_err(|error| self.unwritable(*error))?;
            }
        }
        Ok(())
    }

    fn unwritable(&self, error: dray_kafka::Error) -> Error {
        self.failures.letter_failed();
        Error::connect(format!("dead letter queue {} cannot be written", self.config.topic)).with_source(error)
    }

    fn context(&self, fetch: &FetchBatch, letter: &Letter) -> Vec<(&'static str, String)> {
        if !self.config.context_headers {
            return Vec::new();
        }
        let record = &fetch.records[letter.place];
        let error = &letter.failure.error;
        vec![
            ("topic", fetch.topics[record.topic as usize].to_string()),
            ("partition", record.partition.to_string()),
            ("offset", record.offset.to_string()),
            ("connector.name", self.id.connector.to_string()),
            ("task.id", self.id.number.to_string()),
            ("stage", letter.failure.stage.name().to_owned()),
            ("class.name", letter.failure.class.to_string()),
            ("exception.class.name", error.java_class().to_owned()),
            ("exception.message", self.hidden.hide(&error.to_string()).into_owned()),
            ("exception.stacktrace", self.hidden.hide(&trace(error)).into_owned()),
        ]
    }
}
