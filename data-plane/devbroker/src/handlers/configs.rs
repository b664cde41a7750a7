//! Reading and changing configurations. Topics have them; of the node only a few are shown.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{DescribeConfigsResourceResult, DescribeConfigsResult};
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse as IncrementalResponse;
use kafka_protocol::messages::{
    AlterConfigsRequest, AlterConfigsResponse, DescribeConfigsRequest, DescribeConfigsResponse,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;

use crate::broker::Broker;
use crate::handlers::code;
use crate::handlers::topics::message;
use crate::topic_config::{Change, KNOWN, TopicConfig};

const TOPIC: i8 = 2;
const NODE_RESOURCE: i8 = 4;
const SET_ON_TOPIC: i8 = 1;
const SET_IN_FILE: i8 = 4;
const DEFAULT: i8 = 5;
/// The describe version from which an entry has a type.
const TELLS_TYPE: i16 = 3;

pub(crate) fn describe(broker: &Broker, version: i16, request: &DescribeConfigsRequest) -> DescribeConfigsResponse {
    let one = |resource: &DescribeConfigsResource| {
        let entries = entries(broker, version, resource);
        let mut result = DescribeConfigsResult::default()
            .with_error_code(code(&entries))
            .with_error_message(message(&entries))
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone());
        if let Ok(mut entries) = entries {
            if let Some(keys) = &resource.configuration_keys {
                entries.retain(|entry| keys.contains(&entry.name));
            }
            result.configs = entries;
        }
        result
    };
    DescribeConfigsResponse::default().with_results(request.resources.iter().map(one).collect())
}

fn entries(
    broker: &Broker,
    version: i16,
    resource: &DescribeConfigsResource,
) -> Result<Vec<DescribeConfigsResourceResult>, ResponseError> {
    match resource.resource_type {
        TOPIC => {
            let name = TopicName(resource.resource_name.clone());
            let topic = broker.topics.get(&name).ok_or(ResponseError::UnknownTopicOrPartition)?;
            Ok(topic_entries(version, &topic.config))
        }
        NODE_RESOURCE => Ok(node_entries(broker)),
        _ => Err(ResponseError::InvalidRequest),
    }
}

fn topic_entries(version: i16, config: &TopicConfig) -> Vec<DescribeConfigsResourceResult> {
    let mut entries = Vec::with_capacity(KNOWN.len());
    for known in KNOWN {
        let (value, source) = match config.get(known.name) {
            Some(value) => (StrBytes::from_string(value.to_owned()), SET_ON_TOPIC),
            None => (StrBytes::from_static_str(known.default), DEFAULT),
        };
        let mut entry = DescribeConfigsResourceResult::default()
            .with_name(StrBytes::from_static_str(known.name))
            .with_value(Some(value))
            .with_config_source(source);
        if version >= TELLS_TYPE {
            entry.config_type = known.kind;
        }
        entries.push(entry);
    }
    entries
}

fn node_entries(broker: &Broker) -> Vec<DescribeConfigsResourceResult> {
    let entry = |name, value: String| {
        DescribeConfigsResourceResult::default()
            .with_name(StrBytes::from_static_str(name))
            .with_value(Some(StrBytes::from_string(value)))
            .with_read_only(true)
            .with_config_source(SET_IN_FILE)
    };
    vec![
        entry("auto.create.topics.enable", broker.auto_create_topics.to_string()),
        entry("default.replication.factor", "1".to_owned()),
        entry("num.partitions", broker.default_partitions.to_string()),
    ]
}

/// The old way: what is not named goes back to its default.
pub(crate) fn alter(broker: &Broker, request: &AlterConfigsRequest) -> AlterConfigsResponse {
    let mut responses = Vec::with_capacity(request.resources.len());
    for resource in &request.resources {
        let altered = on_topic(
            broker,
            resource.resource_type,
            &resource.resource_name,
            request.validate_only,
            |config| {
                *config = TopicConfig::default();
                for entry in &resource.configs {
                    config.change(&entry.name, Change::Set, entry.value.as_deref())?;
                }
                Ok(())
            },
        );
        let response = AlterConfigsResourceResponse::default()
            .with_error_code(code(&altered))
            .with_error_message(message(&altered))
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone());
        responses.push(response);
    }
    AlterConfigsResponse::default().with_responses(responses)
}

pub(crate) fn incremental_alter(
    broker: &Broker,
    request: &IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let mut responses = Vec::with_capacity(request.resources.len());
    for resource in &request.resources {
        let altered = on_topic(
            broker,
            resource.resource_type,
            &resource.resource_name,
            request.validate_only,
            |config| {
                for entry in &resource.configs {
                    let change = Change::from_code(entry.config_operation).ok_or(ResponseError::InvalidRequest)?;
                    config.change(&entry.name, change, entry.value.as_deref())?;
                }
                Ok(())
            },
        );
        let response = IncrementalResponse::default()
            .with_error_code(code(&altered))
            .with_error_message(message(&altered))
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone());
        responses.push(response);
    }
    IncrementalAlterConfigsResponse::default().with_responses(responses)
}

fn on_topic(
    broker: &Broker,
    resource_type: i8,
    name: &StrBytes,
    validate_only: bool,
    change: impl FnOnce(&mut TopicConfig) -> Result<(), ResponseError>,
) -> Result<(), ResponseError> {
    if resource_type != TOPIC {
        return Err(ResponseError::InvalidRequest);
    }
    broker.topics.configure(&TopicName(name.clone()), validate_only, change)
}
