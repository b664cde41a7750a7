//! Handing out record batches, and waiting for more where the client allows it. No fetch sessions: every answer is
//! full and says session 0, which tells clients to send full requests.

use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::fetch_request::FetchPartition;
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::{BrokerId, FetchRequest, FetchResponse, TopicName};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::broker::Broker;
use crate::handlers::millis;
use crate::log::Bounds;

/// What one look at all partitions found.
struct Found {
    topics: Vec<FetchableTopicResponse>,
    bytes: usize,
    failed: bool,
}

/// Answers when there are `min_bytes`, when `max_wait` is over, or at once when a partition has an error.
pub(crate) async fn fetch(broker: &Broker, request: &FetchRequest) -> FetchResponse {
    let deadline = Instant::now() + millis(request.max_wait_ms);
    let min_bytes = usize::try_from(request.min_bytes).unwrap_or(0);
    let waiter = Arc::new(Notify::new());
    loop {
        let found = read_all(broker, request);
        if found.bytes >= min_bytes || found.failed || Instant::now() >= deadline {
            return FetchResponse::default().with_responses(found.topics);
        }
        // First wait, then look again: an append between the look above and here must not be slept through.
        register(broker, request, &waiter);
        let found = read_all(broker, request);
        if found.bytes >= min_bytes || found.failed {
            return FetchResponse::default().with_responses(found.topics);
        }
        // Woken or timed out, the next round looks again and decides.
        tokio::time::timeout_at(deadline, waiter.notified()).await.ok();
    }
}

fn register(broker: &Broker, request: &FetchRequest, waiter: &Arc<Notify>) {
    for topic in &request.topics {
        for asked in &topic.partitions {
            if let Ok((partition, _)) = broker.topics.partition(&topic.topic, asked.partition) {
                partition.wake_on_change(waiter);
            }
        }
    }
}

fn read_all(broker: &Broker, request: &FetchRequest) -> Found {
    let max_bytes = usize::try_from(request.max_bytes).unwrap_or(0);
    let mut found = Found {
        topics: Vec::with_capacity(request.topics.len()),
        bytes: 0,
        failed: false,
    };
    for topic in &request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for asked in &topic.partitions {
            let room = max_bytes.saturating_sub(found.bytes);
            let read = read_one(broker, &topic.topic, asked, room, found.bytes == 0);
            found.failed |= read.is_err();
            let data = match read {
                Ok((bounds, records)) => {
                    found.bytes += records.len();
                    partition_data(asked.partition, Some(bounds), 0, records)
                }
                Err((bounds, error)) => partition_data(asked.partition, bounds, error.code(), Bytes::new()),
            };
            partitions.push(data);
        }
        let response = FetchableTopicResponse::default()
            .with_topic(topic.topic.clone())
            .with_partitions(partitions);
        found.topics.push(response);
    }
    found
}

/// The very first batch of an answer goes out even if it is larger than every limit; a client would hang otherwise.
fn read_one(
    broker: &Broker,
    topic: &TopicName,
    asked: &FetchPartition,
    room: usize,
    is_first: bool,
) -> Result<(Bounds, Bytes), (Option<Bounds>, ResponseError)> {
    let (partition, _) = broker
        .topics
        .partition(topic, asked.partition)
        .map_err(|error| (None, error))?;
    let limit = room.min(usize::try_from(asked.partition_max_bytes).unwrap_or(0));
    partition
        .read(asked.fetch_offset, limit, is_first)
        .map_err(|(bounds, error)| (Some(bounds), error))
}

/// Without transactions the last stable offset is the high watermark, and nothing was ever aborted.
fn partition_data(index: i32, bounds: Option<Bounds>, error_code: i16, records: Bytes) -> PartitionData {
    let Bounds { start, end } = bounds.unwrap_or(Bounds { start: -1, end: -1 });
    PartitionData::default()
        .with_partition_index(index)
        .with_error_code(error_code)
        .with_high_watermark(end)
        .with_last_stable_offset(end)
        .with_log_start_offset(start)
        .with_aborted_transactions(None)
        .with_preferred_read_replica(BrokerId(-1))
        .with_records(Some(records))
}
