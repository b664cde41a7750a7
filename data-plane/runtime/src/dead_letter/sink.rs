//! A sink's dead letter queue: records as they were consumed.

use super::{Writer, prepare, unwritable};
use crate::config::DeadLetterConfig;
use crate::metrics::Failures;
use crate::policy::Failure;
use dray_connect::{Error, Result};
use dray_kafka::port::{Ack, Admin, FetchBatch, HeaderRef, ProduceRecord, ProducerLane};
use std::sync::Arc;

/// The queue of one task.
pub struct DeadLetters {
    /// Its share of a producer.
    pub lane: Box<dyn ProducerLane>,
    /// Its settings.
    pub config: DeadLetterConfig,
    /// Whose letters these are.
    pub writer: Writer,
    /// Looks for the topic and creates it.
    pub admin: Arc<dyn Admin>,
    /// Counts them.
    pub failures: Arc<Failures>,
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
        prepare(self.admin.as_ref(), &self.config.topic, self.config.replication_factor).await
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
                headers.push(((*name).to_owned(), Some(value.as_bytes())));
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
        unwritable(&self.config.topic, error)
    }

    fn context(&self, fetch: &FetchBatch, letter: &Letter) -> Vec<(&'static str, String)> {
        if !self.config.context_headers {
            return Vec::new();
        }
        let record = &fetch.records[letter.place];
        let place = [
            (
                "__connect.errors.topic",
                fetch.topics[record.topic as usize].to_string(),
            ),
            ("__connect.errors.partition", record.partition.to_string()),
            ("__connect.errors.offset", record.offset.to_string()),
        ];
        place.into_iter().chain(self.writer.reasons(&letter.failure)).collect()
    }
}
