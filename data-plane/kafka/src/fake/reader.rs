//! The fake's readers of partitions: every record, decoded.

use super::{Shared, unknown_topic};
use crate::port::{Assignment, FetchBatch, FetchedRecord, Reader, ReaderEvent, Slice};
use async_trait::async_trait;
use dray_connect::sink_batch::{TimestampType, TopicPartition};
use std::sync::Arc;

/// Records a batch, as few as make a test show where batches end.
const BATCH: usize = 10;

pub(super) struct FakeReader {
    shared: Arc<Shared>,
    next: Vec<(TopicPartition, usize)>,
    /// The partition that is looked at first, so that each has its turn.
    turn: usize,
    /// Partitions that were missed, told once.
    missed: Vec<TopicPartition>,
}

impl FakeReader {
    pub(super) fn new(shared: Arc<Shared>, assignment: Assignment) -> Self {
        let next = assignment.partitions.into_iter();
        Self {
            shared,
            next: next
                .map(|(place, start)| (place, start.and_then(|at| usize::try_from(at.offset).ok()).unwrap_or(0)))
                .collect(),
            turn: 0,
            missed: Vec::new(),
        }
    }

    fn look(&mut self, cluster: &super::Cluster) -> Option<ReaderEvent> {
        let count = self.next.len();
        for place in (self.turn..count).chain(0..self.turn.min(count)) {
            let (partition, next) = &mut self.next[place];
            let log = cluster.topics.get(&*partition.topic).and_then(|topic| {
                let place = usize::try_from(partition.partition).ok()?;
                topic.partitions.get(place)
            });
            let Some(log) = log else {
                if !self.missed.contains(partition) {
                    self.missed.push(partition.clone());
                    return Some(ReaderEvent::Error(unknown_topic("reading", &partition.to_string())));
                }
                continue;
            };
            // Beyond the end is out of range: from the beginning.
            if *next > log.len() {
                *next = 0;
            }
            let records = &log[*next..log.len().min(*next + BATCH)];
            if records.is_empty() {
                continue;
            }
            *next += records.len();
            self.turn = place + 1;
            return Some(ReaderEvent::Records(batch(partition, records)));
        }
        None
    }
}

fn batch(partition: &TopicPartition, records: &[super::FakeRecord]) -> FetchBatch {
    let mut batch = FetchBatch {
        topics: vec![Arc::clone(&partition.topic)],
        ..FetchBatch::default()
    };
    let mut data = Vec::new();
    let mut put = |bytes: &[u8]| -> Slice {
        data.extend_from_slice(bytes);
        (data.len() - bytes.len()) as u32..data.len() as u32
    };
    for record in records {
        let first = batch.headers.len() as u32;
        for (name, value) in &record.headers {
            let name = put(name.as_bytes());
            batch.headers.push((name, value.as_deref().map(&mut put)));
        }
        batch.records.push(FetchedRecord {
            topic: 0,
            partition: record.partition,
            offset: record.offset,
            timestamp: Some(record.timestamp),
            timestamp_type: TimestampType::CreateTime,
            key: record.key.as_deref().map(&mut put),
            value: record.value.as_deref().map(&mut put),
            headers: first..batch.headers.len() as u32,
        });
    }
    batch.data = data.into();
    batch
}

#[async_trait]
impl Reader for FakeReader {
    async fn next(&mut self) -> ReaderEvent {
        let shared = Arc::clone(&self.shared);
        shared.wait(|cluster| self.look(cluster)).await
    }

    fn try_next(&mut self) -> Option<ReaderEvent> {
        let shared = Arc::clone(&self.shared);
        let cluster = shared.lock();
        self.look(&cluster)
    }
}
