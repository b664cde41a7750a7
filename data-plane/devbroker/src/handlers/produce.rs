//! Storing record batches.

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse, TopicName};

use crate::batch::Batch;
use crate::broker::Broker;
use crate::handlers::code;

/// Stores what each partition gets. `None` if the client wants no answer (acks 0).
pub(crate) fn produce(broker: &Broker, request: ProduceRequest) -> Option<ProduceResponse> {
    let acks_are_known = matches!(request.acks, -1..=1);
    let mut responses = Vec::with_capacity(request.topic_data.len());
    for topic in request.topic_data {
        let mut partitions = Vec::with_capacity(topic.partition_data.len());
        for partition in topic.partition_data {
            let stored = if acks_are_known {
                store(broker, &topic.name, partition.index, partition.records)
            } else {
                Err(ResponseError::InvalidRequiredAcks)
            };
            let (base_offset, log_start) = *stored.as_ref().unwrap_or(&(-1, -1));
            let response = PartitionProduceResponse::default()
                .with_index(partition.index)
                .with_error_code(code(&stored))
                .with_base_offset(base_offset)
                .with_log_append_time_ms(-1)
                .with_log_start_offset(log_start);
            partitions.push(response);
        }
        responses.push(
            TopicProduceResponse::default()
                .with_name(topic.name)
                .with_partition_responses(partitions),
        );
    }
    (request.acks != 0).then(|| ProduceResponse::default().with_responses(responses))
}

/// The base offset and where the log starts.
fn store(broker: &Broker, topic: &TopicName, index: i32, records: Option<Bytes>) -> Result<(i64, i64), ResponseError> {
    let (partition, max_message_bytes) = broker.topics.partition(topic, index)?;
    let records = records.ok_or(ResponseError::InvalidRecord)?;
    if records.len() > max_message_bytes {
        return Err(ResponseError::MessageTooLarge);
    }
    let base_offset = partition.append(&Batch::parse(records)?)?;
    Ok((base_offset, partition.bounds().start))
}
