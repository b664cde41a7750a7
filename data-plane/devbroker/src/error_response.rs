//! A request answered with one error, in every place where its answer has room for one. For scripted faults.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::*;

/// The answer, or `None` where the client wants none (produce with acks 0).
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the codec knows 90 APIs and `versions` lets 25 through"
)]
pub(crate) fn error_response(request: &RequestKind, version: i16, error: ResponseError) -> Option<ResponseKind> {
    let code = error.code();
    Some(match request {
        RequestKind::Produce(request) => return produce(request, code).map(Into::into),
        RequestKind::Fetch(request) => fetch(request, code).into(),
        RequestKind::ListOffsets(request) => list_offsets(request, code).into(),
        RequestKind::Metadata(request) => metadata(request, code).into(),
        RequestKind::OffsetCommit(request) => offset_commit(request, code).into(),
        RequestKind::OffsetFetch(request) => offset_fetch(request, version, code).into(),
        RequestKind::FindCoordinator(_) => FindCoordinatorResponse::default()
            .with_error_code(code)
            .with_node_id((-1).into())
            .with_port(-1)
            .into(),
        RequestKind::JoinGroup(request) => JoinGroupResponse::default()
            .with_error_code(code)
            .with_generation_id(-1)
            .with_protocol_name(Some(Default::default()))
            .with_member_id(request.member_id.clone())
            .into(),
        RequestKind::SyncGroup(_) => SyncGroupResponse::default().with_error_code(code).into(),
        RequestKind::Heartbeat(_) => HeartbeatResponse::default().with_error_code(code).into(),
        RequestKind::LeaveGroup(_) => LeaveGroupResponse::default().with_error_code(code).into(),
        RequestKind::ListGroups(_) => ListGroupsResponse::default().with_error_code(code).into(),
        RequestKind::DescribeGroups(request) => {
            let one = |id: &GroupId| {
                let group = describe_groups_response::DescribedGroup::default();
                group.with_group_id(id.clone()).with_error_code(code)
            };
            DescribeGroupsResponse::default()
                .with_groups(request.groups.iter().map(one).collect())
                .into()
        }
        RequestKind::DeleteGroups(request) => {
            let one = |id: &GroupId| {
                let result = delete_groups_response::DeletableGroupResult::default();
                result.with_group_id(id.clone()).with_error_code(code)
            };
            DeleteGroupsResponse::default()
                .with_results(request.groups_names.iter().map(one).collect())
                .into()
        }
        RequestKind::OffsetDelete(_) => OffsetDeleteResponse::default().with_error_code(code).into(),
        RequestKind::CreateTopics(request) => {
            let one = |topic: &create_topics_request::CreatableTopic| {
                let result = create_topics_response::CreatableTopicResult::default();
                result.with_name(topic.name.clone()).with_error_code(code)
            };
            CreateTopicsResponse::default()
                .with_topics(request.topics.iter().map(one).collect())
                .into()
        }
        RequestKind::DeleteTopics(request) => {
            let one = |name: &TopicName| {
                let result = delete_topics_response::DeletableTopicResult::default();
                result.with_name(Some(name.clone())).with_error_code(code)
            };
            DeleteTopicsResponse::default()
                .with_responses(request.topic_names.iter().map(one).collect())
                .into()
        }
        RequestKind::CreatePartitions(request) => {
            let one = |topic: &create_partitions_request::CreatePartitionsTopic| {
                let result = create_partitions_response::CreatePartitionsTopicResult::default();
                result.with_name(topic.name.clone()).with_error_code(code)
            };
            CreatePartitionsResponse::default()
                .with_results(request.topics.iter().map(one).collect())
                .into()
        }
        RequestKind::DeleteRecords(request) => delete_records(request, code).into(),
        RequestKind::DescribeConfigs(request) => {
            let one = |resource: &describe_configs_request::DescribeConfigsResource| {
                describe_configs_response::DescribeConfigsResult::default()
                    .with_error_code(code)
                    .with_resource_type(resource.resource_type)
                    .with_resource_name(resource.resource_name.clone())
            };
            DescribeConfigsResponse::default()
                .with_results(request.resources.iter().map(one).collect())
                .into()
        }
        RequestKind::AlterConfigs(request) => {
            let one = |resource: &alter_configs_request::AlterConfigsResource| {
                alter_configs_response::AlterConfigsResourceResponse::default()
                    .with_error_code(code)
                    .with_resource_type(resource.resource_type)
                    .with_resource_name(resource.resource_name.clone())
            };
            AlterConfigsResponse::default()
                .with_responses(request.resources.iter().map(one).collect())
                .into()
        }
        RequestKind::IncrementalAlterConfigs(request) => {
            let one = |resource: &incremental_alter_configs_request::AlterConfigsResource| {
                incremental_alter_configs_response::AlterConfigsResourceResponse::default()
                    .with_error_code(code)
                    .with_resource_type(resource.resource_type)
                    .with_resource_name(resource.resource_name.clone())
            };
            let responses = request.resources.iter().map(one).collect();
            IncrementalAlterConfigsResponse::default()
                .with_responses(responses)
                .into()
        }
        RequestKind::InitProducerId(_) => InitProducerIdResponse::default()
            .with_error_code(code)
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1)
            .into(),
        RequestKind::DescribeCluster(_) => DescribeClusterResponse::default().with_error_code(code).into(),
        RequestKind::ApiVersions(_) => crate::versions::api_versions(code).into(),
        _ => return None,
    })
}

fn produce(request: &ProduceRequest, code: i16) -> Option<ProduceResponse> {
    use produce_response::{PartitionProduceResponse, TopicProduceResponse};
    let partition = |data: &produce_request::PartitionProduceData| {
        PartitionProduceResponse::default()
            .with_index(data.index)
            .with_error_code(code)
            .with_base_offset(-1)
    };
    let topic = |data: &produce_request::TopicProduceData| {
        let partitions = data.partition_data.iter().map(partition).collect();
        TopicProduceResponse::default()
            .with_name(data.name.clone())
            .with_partition_responses(partitions)
    };
    let responses = request.topic_data.iter().map(topic).collect();
    (request.acks != 0).then(|| ProduceResponse::default().with_responses(responses))
}

fn fetch(request: &FetchRequest, code: i16) -> FetchResponse {
    use fetch_response::{FetchableTopicResponse, PartitionData};
    let partition = |asked: &fetch_request::FetchPartition| {
        PartitionData::default()
            .with_partition_index(asked.partition)
            .with_error_code(code)
            .with_high_watermark(-1)
            .with_records(Some(bytes::Bytes::new()))
    };
    let topic = |asked: &fetch_request::FetchTopic| {
        let partitions = asked.partitions.iter().map(partition).collect();
        FetchableTopicResponse::default()
            .with_topic(asked.topic.clone())
            .with_partitions(partitions)
    };
    FetchResponse::default().with_responses(request.topics.iter().map(topic).collect())
}

fn list_offsets(request: &ListOffsetsRequest, code: i16) -> ListOffsetsResponse {
    use list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
    let partition = |asked: &list_offsets_request::ListOffsetsPartition| {
        ListOffsetsPartitionResponse::default()
            .with_partition_index(asked.partition_index)
            .with_error_code(code)
    };
    let topic = |asked: &list_offsets_request::ListOffsetsTopic| {
        let partitions = asked.partitions.iter().map(partition).collect();
        ListOffsetsTopicResponse::default()
            .with_name(asked.name.clone())
            .with_partitions(partitions)
    };
    ListOffsetsResponse::default().with_topics(request.topics.iter().map(topic).collect())
}

/// Each topic asked for has the error. There is no node in it, as from a broker that knows of none.
fn metadata(request: &MetadataRequest, code: i16) -> MetadataResponse {
    let topic = |asked: &metadata_request::MetadataRequestTopic| {
        metadata_response::MetadataResponseTopic::default()
            .with_name(asked.name.clone())
            .with_error_code(code)
    };
    MetadataResponse::default().with_topics(request.topics.iter().flatten().map(topic).collect())
}

fn offset_commit(request: &OffsetCommitRequest, code: i16) -> OffsetCommitResponse {
    use offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
    let partition = |asked: &offset_commit_request::OffsetCommitRequestPartition| {
        OffsetCommitResponsePartition::default()
            .with_partition_index(asked.partition_index)
            .with_error_code(code)
    };
    let topic = |asked: &offset_commit_request::OffsetCommitRequestTopic| {
        let partitions = asked.partitions.iter().map(partition).collect();
        OffsetCommitResponseTopic::default()
            .with_name(asked.name.clone())
            .with_partitions(partitions)
    };
    OffsetCommitResponse::default().with_topics(request.topics.iter().map(topic).collect())
}

/// Version 1 has no place for an error of the group, so the partitions carry it.
fn offset_fetch(request: &OffsetFetchRequest, version: i16, code: i16) -> OffsetFetchResponse {
    use offset_fetch_response::{OffsetFetchResponsePartition, OffsetFetchResponseTopic};
    let partition = |index: &i32| {
        OffsetFetchResponsePartition::default()
            .with_partition_index(*index)
            .with_committed_offset(-1)
            .with_metadata(Some(Default::default()))
            .with_error_code(code)
    };
    let topic = |asked: &offset_fetch_request::OffsetFetchRequestTopic| {
        let partitions = asked.partition_indexes.iter().map(partition).collect();
        OffsetFetchResponseTopic::default()
            .with_name(asked.name.clone())
            .with_partitions(partitions)
    };
    let response = OffsetFetchResponse::default().with_topics(request.topics.iter().flatten().map(topic).collect());
    if version >= 2 {
        response.with_error_code(code)
    } else {
        response
    }
}

fn delete_records(request: &DeleteRecordsRequest, code: i16) -> DeleteRecordsResponse {
    use delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult};
    let partition = |asked: &delete_records_request::DeleteRecordsPartition| {
        DeleteRecordsPartitionResult::default()
            .with_partition_index(asked.partition_index)
            .with_low_watermark(-1)
            .with_error_code(code)
    };
    let topic = |asked: &delete_records_request::DeleteRecordsTopic| {
        let partitions = asked.partitions.iter().map(partition).collect();
        DeleteRecordsTopicResult::default()
            .with_name(asked.name.clone())
            .with_partitions(partitions)
    };
    DeleteRecordsResponse::default().with_topics(request.topics.iter().map(topic).collect())
}
