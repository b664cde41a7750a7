//! Creating, growing and deleting topics.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest,
    DeleteTopicsResponse,
};
use kafka_protocol::protocol::StrBytes;

use crate::broker::Broker;
use crate::handlers::code;
use crate::topic_config::{Change, TopicConfig};

/// The create version from which the answer tells partitions and configuration.
const TELLS_DETAILS: i16 = 5;
/// `DYNAMIC_TOPIC_CONFIG`.
const SET_ON_TOPIC: i8 = 1;

pub(crate) fn create(broker: &Broker, version: i16, request: &CreateTopicsRequest) -> CreateTopicsResponse {
    let one = |topic: &CreatableTopic| {
        let created = create_one(broker, topic, request.validate_only);
        let result = CreatableTopicResult::default()
            .with_name(topic.name.clone())
            .with_error_code(code(&created))
            .with_error_message(message(&created));
        match created {
            Ok(partitions) if version >= TELLS_DETAILS => result
                .with_num_partitions(partitions)
                .with_replication_factor(1)
                .with_configs(Some(set_configs(topic))),
            Ok(_) | Err(_) => result,
        }
    };
    CreateTopicsResponse::default().with_topics(request.topics.iter().map(one).collect())
}

fn create_one(broker: &Broker, topic: &CreatableTopic, validate_only: bool) -> Result<i32, ResponseError> {
    let partitions = if !topic.assignments.is_empty() {
        i32::try_from(topic.assignments.len()).map_err(|_| ResponseError::InvalidPartitions)?
    } else if topic.num_partitions == -1 {
        broker.default_partitions
    } else {
        topic.num_partitions
    };
    if topic.assignments.is_empty() && !matches!(topic.replication_factor, -1 | 1) {
        return Err(ResponseError::InvalidReplicationFactor);
    }
    let mut config = TopicConfig::default();
    for entry in &topic.configs {
        config.change(&entry.name, Change::Set, entry.value.as_deref())?;
    }
    broker.topics.create(&topic.name, partitions, config, validate_only)?;
    Ok(partitions)
}

fn set_configs(topic: &CreatableTopic) -> Vec<CreatableTopicConfigs> {
    let one = |entry: &kafka_protocol::messages::create_topics_request::CreatableTopicConfig| {
        CreatableTopicConfigs::default()
            .with_name(entry.name.clone())
            .with_value(entry.value.clone())
            .with_config_source(SET_ON_TOPIC)
    };
    topic.configs.iter().map(one).collect()
}

pub(crate) fn delete(broker: &Broker, request: &DeleteTopicsRequest) -> DeleteTopicsResponse {
    let mut responses = Vec::with_capacity(request.topic_names.len());
    for name in &request.topic_names {
        let deleted = broker.topics.delete(name);
        if deleted.is_ok() {
            broker.coordinator.forget_topic(name);
        }
        let result = DeletableTopicResult::default()
            .with_name(Some(name.clone()))
            .with_error_code(code(&deleted));
        responses.push(result);
    }
    DeleteTopicsResponse::default().with_responses(responses)
}

pub(crate) fn create_partitions(broker: &Broker, request: &CreatePartitionsRequest) -> CreatePartitionsResponse {
    let mut results = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let grown = broker.topics.grow(&topic.name, topic.count, request.validate_only);
        let result = CreatePartitionsTopicResult::default()
            .with_name(topic.name.clone())
            .with_error_code(code(&grown))
            .with_error_message(message(&grown));
        results.push(result);
    }
    CreatePartitionsResponse::default().with_results(results)
}

/// Kafka's own sentence for the error.
pub(crate) fn message<T>(result: &Result<T, ResponseError>) -> Option<StrBytes> {
    result
        .as_ref()
        .err()
        .map(|error| StrBytes::from_string(error.to_string()))
}
