//! Where a log starts, ends and was at a time; and deleting what is before an offset.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult};
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::{
    DeleteRecordsRequest, DeleteRecordsResponse, ListOffsetsRequest, ListOffsetsResponse, TopicName,
};

use crate::batch::LEADER_EPOCH;
use crate::broker::Broker;
use crate::handlers::code;

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
/// The list version from which the answer has a leader epoch.
const TELLS_EPOCH: i16 = 4;

pub(crate) fn list_offsets(broker: &Broker, version: i16, request: &ListOffsetsRequest) -> ListOffsetsResponse {
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for asked in &topic.partitions {
            let found = find(broker, &topic.name, asked.partition_index, asked.timestamp);
            let (timestamp, offset) = *found.as_ref().unwrap_or(&(-1, -1));
            let mut response = ListOffsetsPartitionResponse::default()
                .with_partition_index(asked.partition_index)
                .with_error_code(code(&found))
                .with_timestamp(timestamp)
                .with_offset(offset);
            if version >= TELLS_EPOCH && offset >= 0 {
                response.leader_epoch = LEADER_EPOCH;
            }
            partitions.push(response);
        }
        topics.push(
            ListOffsetsTopicResponse::default()
                .with_name(topic.name.clone())
                .with_partitions(partitions),
        );
    }
    ListOffsetsResponse::default().with_topics(topics)
}

/// Timestamp and offset; -1 for both if no record is that young. By time the answer is the start of a batch, as we
/// do not decode: a reader may get records of that batch that are a little older than it asked for.
fn find(broker: &Broker, topic: &TopicName, index: i32, timestamp: i64) -> Result<(i64, i64), ResponseError> {
    let (partition, _) = broker.topics.partition(topic, index)?;
    match timestamp {
        LATEST => Ok((-1, partition.bounds().end)),
        EARLIEST => Ok((-1, partition.bounds().start)),
        time if time >= 0 => Ok(partition.offset_at(time).unwrap_or((-1, -1))),
        _ => Err(ResponseError::UnsupportedVersion),
    }
}

pub(crate) fn delete_records(broker: &Broker, request: &DeleteRecordsRequest) -> DeleteRecordsResponse {
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for asked in &topic.partitions {
            let found = broker.topics.partition(&topic.name, asked.partition_index);
            let deleted = found.and_then(|(partition, _)| partition.delete_before(asked.offset));
            let result = DeleteRecordsPartitionResult::default()
                .with_partition_index(asked.partition_index)
                .with_error_code(code(&deleted))
                .with_low_watermark(deleted.unwrap_or(-1));
            partitions.push(result);
        }
        topics.push(
            DeleteRecordsTopicResult::default()
                .with_name(topic.name.clone())
                .with_partitions(partitions),
        );
    }
    DeleteRecordsResponse::default().with_topics(topics)
}
