//! A record for Kafka that owns its bytes, for the few that are produced later than they were made.

use dray_kafka::port::{HeaderRef, ProduceRecord};

/// A record.
pub(crate) struct OwnedRecord {
    pub(crate) topic: String,
    pub(crate) partition: Option<i32>,
    pub(crate) timestamp: Option<i64>,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
}

impl OwnedRecord {
    pub(crate) fn of(record: &ProduceRecord<'_>) -> Self {
        let header = |header: &HeaderRef<'_>| (header.key.to_owned(), header.value.map(<[u8]>::to_vec));
        Self {
            topic: record.topic.to_owned(),
            partition: record.partition,
            timestamp: record.timestamp,
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            headers: record.headers.iter().map(header).collect(),
        }
    }

    /// Lends it to a producer, under this sequence.
    pub(crate) fn lend<T>(&self, sequence: u64, produce: impl FnOnce(ProduceRecord<'_>) -> T) -> T {
        let header = |(key, value)| HeaderRef { key, value };
        let own = self.headers.iter().map(|(key, value)| (key.as_str(), value.as_deref()));
        let headers: Vec<HeaderRef<'_>> = own.map(header).collect();
        produce(ProduceRecord {
            topic: &self.topic,
            partition: self.partition,
            timestamp: self.timestamp,
            key: self.key.as_deref(),
            value: self.value.as_deref(),
            headers: &headers,
            sequence,
        })
    }
}
