//! Every served version of every API, from the request through the handler to bytes and back: an answer with a field
//! that its version does not know would not encode.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::StrBytes;

use super::*;
use crate::Config;
use crate::batch::tests::batch_bytes;
use crate::error_response::error_response;
use crate::topic_config::TopicConfig;
use crate::versions::SERVED;

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn topic() -> TopicName {
    TopicName(text("t"))
}

/// A request that the broker answers with something in it, not only with defaults.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the codec knows 90 APIs; the panic names a served one without a case"
)]
fn request(api: ApiKey, version: i16) -> RequestKind {
    match api {
        ApiKey::Produce => {
            let data = produce_request::PartitionProduceData::default();
            let data = data.with_records(Some(batch_bytes(2, 5, 10).freeze()));
            let topics = produce_request::TopicProduceData::default()
                .with_name(topic())
                .with_partition_data(vec![data]);
            ProduceRequest::default()
                .with_acks(-1)
                .with_topic_data(vec![topics])
                .into()
        }
        ApiKey::Fetch => {
            let partition = fetch_request::FetchPartition::default().with_partition_max_bytes(1_000);
            let topics = fetch_request::FetchTopic::default()
                .with_topic(topic())
                .with_partitions(vec![partition]);
            FetchRequest::default()
                .with_max_bytes(1_000)
                .with_min_bytes(1)
                .with_topics(vec![topics])
                .into()
        }
        ApiKey::ListOffsets => {
            let partition = list_offsets_request::ListOffsetsPartition::default().with_timestamp(-1);
            let topics = list_offsets_request::ListOffsetsTopic::default().with_name(topic());
            ListOffsetsRequest::default()
                .with_topics(vec![topics.with_partitions(vec![partition])])
                .into()
        }
        ApiKey::Metadata => {
            let named = metadata_request::MetadataRequestTopic::default().with_name(Some(topic()));
            MetadataRequest::default()
                .with_topics(Some(vec![named]))
                .with_allow_auto_topic_creation(true)
                .into()
        }
        ApiKey::OffsetCommit => {
            let partition = offset_commit_request::OffsetCommitRequestPartition::default().with_committed_offset(1);
            let topics = offset_commit_request::OffsetCommitRequestTopic::default().with_name(topic());
            let group = GroupId(text("commits"));
            OffsetCommitRequest::default()
                .with_group_id(group)
                .with_topics(vec![topics.with_partitions(vec![partition])])
                .into()
        }
        ApiKey::OffsetFetch => {
            let topics = offset_fetch_request::OffsetFetchRequestTopic::default().with_name(topic());
            let topics = vec![topics.with_partition_indexes(vec![0, 1])];
            OffsetFetchRequest::default()
                .with_group_id(GroupId(text("commits")))
                .with_topics(Some(topics))
                .into()
        }
        ApiKey::JoinGroup => {
            let protocol = join_group_request::JoinGroupRequestProtocol::default().with_name(text("range"));
            JoinGroupRequest::default()
                .with_group_id(GroupId(text(&format!("join-{version}"))))
                .with_session_timeout_ms(6_000)
                .with_protocol_type(text("consumer"))
                .with_protocols(vec![protocol.with_metadata(Bytes::from_static(b"m"))])
                .into()
        }
        ApiKey::LeaveGroup if version >= 3 => {
            let member = leave_group_request::MemberIdentity::default().with_member_id(text("nobody"));
            LeaveGroupRequest::default()
                .with_group_id(GroupId(text("join-0")))
                .with_members(vec![member])
                .into()
        }
        ApiKey::DescribeGroups => DescribeGroupsRequest::default()
            .with_groups(vec![GroupId(text("join-0"))])
            .into(),
        ApiKey::DeleteGroups => DeleteGroupsRequest::default()
            .with_groups_names(vec![GroupId(text("join-0"))])
            .into(),
        ApiKey::CreateTopics => {
            let config = create_topics_request::CreatableTopicConfig::default().with_name(text("retention.ms"));
            let created = create_topics_request::CreatableTopic::default()
                .with_name(TopicName(text(&format!("created-{version}"))))
                .with_num_partitions(2)
                .with_replication_factor(1)
                .with_configs(vec![config.with_value(Some(text("7")))]);
            CreateTopicsRequest::default().with_topics(vec![created]).into()
        }
        ApiKey::DeleteTopics => DeleteTopicsRequest::default()
            .with_topic_names(vec![TopicName(text("none"))])
            .into(),
        ApiKey::CreatePartitions => {
            let grown = create_partitions_request::CreatePartitionsTopic::default()
                .with_name(topic())
                .with_count(1);
            CreatePartitionsRequest::default().with_topics(vec![grown]).into()
        }
        ApiKey::DeleteRecords => {
            let partition = delete_records_request::DeleteRecordsPartition::default();
            let topics = delete_records_request::DeleteRecordsTopic::default().with_name(topic());
            DeleteRecordsRequest::default()
                .with_topics(vec![topics.with_partitions(vec![partition])])
                .into()
        }
        ApiKey::DescribeConfigs => {
            let resource = describe_configs_request::DescribeConfigsResource::default().with_resource_type(2);
            let resource = resource.with_resource_name(text("t")).with_configuration_keys(None);
            DescribeConfigsRequest::default().with_resources(vec![resource]).into()
        }
        ApiKey::IncrementalAlterConfigs => {
            let resource = incremental_alter_configs_request::AlterConfigsResource::default();
            let resource = resource.with_resource_type(2).with_resource_name(text("t"));
            IncrementalAlterConfigsRequest::default()
                .with_resources(vec![resource])
                .into()
        }
        ApiKey::FindCoordinator => FindCoordinatorRequest::default().with_key(text("g")).into(),
        ApiKey::Heartbeat => HeartbeatRequest::default().into(),
        ApiKey::LeaveGroup => LeaveGroupRequest::default().with_member_id(text("nobody")).into(),
        ApiKey::SyncGroup => SyncGroupRequest::default().into(),
        ApiKey::ListGroups => ListGroupsRequest::default().into(),
        ApiKey::ApiVersions => ApiVersionsRequest::default().into(),
        ApiKey::InitProducerId => InitProducerIdRequest::default().with_transactional_id(None).into(),
        ApiKey::AlterConfigs => AlterConfigsRequest::default().into(),
        ApiKey::OffsetDelete => OffsetDeleteRequest::default()
            .with_group_id(GroupId(text("commits")))
            .into(),
        ApiKey::DescribeCluster => DescribeClusterRequest::default().into(),
        other => panic!("no request for {other:?}"),
    }
}

fn check_encodes(api: ApiKey, version: i16, answer: &ResponseKind) -> ResponseKind {
    let mut bytes = BytesMut::new();
    answer
        .encode(&mut bytes, version)
        .unwrap_or_else(|error| panic!("{api:?} {version}: {error:#}"));
    let mut bytes = bytes.freeze();
    let decoded = ResponseKind::decode(api, &mut bytes, version).unwrap();
    assert!(bytes.is_empty(), "{api:?} {version}");
    decoded
}

#[tokio::test(start_paused = true)]
async fn every_served_version_is_answered() {
    let broker = Broker::new(&Config::default());
    broker
        .topics
        .create(&topic(), 1, TopicConfig::default(), false)
        .unwrap();
    for (api, min, max) in SERVED {
        for version in (*min).max(api.valid_versions().min)..=*max {
            let any = "127.0.0.1:1".parse().unwrap();
            let peer = Peer {
                local: any,
                remote: any,
                client_id: text("test"),
                version,
            };
            let request = request(*api, version);
            let refused = error_response(&request, version, ResponseError::NotController).unwrap();
            check_encodes(*api, version, &refused);
            let answer = handle(&broker, &peer, request).await.unwrap();
            check_encodes(*api, version, &answer);
        }
    }
    let batches = broker.topics.partition(&topic(), 0).unwrap().0.bounds().end;
    assert_eq!(batches, 2 * 7, "produce 3 to 9, two records each");
}
