//! The cluster: its three nodes, and what a test asks of their controller. Node 1 is the controller too and is never stopped, so it is
//! the one that is asked.

use crate::idempotence::run;
use crate::{PATIENCE, unique, within};
use bytes::{Bytes, BytesMut};
use dray_kafka::port::ClientConfig;
use kafka_protocol::messages::alter_client_quotas_request::{EntityData, EntryData, OpData};
use kafka_protocol::messages::alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic};
use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::MetadataResponsePartition;
use kafka_protocol::messages::{
    AlterClientQuotasRequest, AlterPartitionReassignmentsRequest, BrokerId, CreateTopicsRequest, ElectLeadersRequest,
    MetadataRequest, RequestHeader, ResponseHeader, TopicName,
};
use kafka_protocol::protocol::{Decodable as _, Encodable as _, HeaderVersion as _, Request, StrBytes};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{MappedMutexGuard, Mutex, MutexGuard};

const NODES: [i32; 3] = [1, 2, 3];
/// A leader is elected already.
const ELECTION_NOT_NEEDED: i16 = 84;

/// Groups hear of a session that has ended, and quotas are over, within a test.
const SETTINGS: &str = "quota.window.num=4\n\
                        group.consumer.min.heartbeat.interval.ms=300\n\
                        group.consumer.heartbeat.interval.ms=300\n\
                        group.consumer.min.session.timeout.ms=2000\n\
                        group.consumer.session.timeout.ms=2000";

/// Started by whoever comes first, and ended by what has started the tests.
static CLUSTER: Mutex<Option<Cluster>> = Mutex::const_new(None);

pub(super) struct Cluster {
    script: PathBuf,
    folder: PathBuf,
    addresses: Vec<String>,
}

/// The cluster, with all its nodes, for one test at a time.
pub(super) async fn cluster() -> MappedMutexGuard<'static, Cluster> {
    let mut held = CLUSTER.lock().await;
    if held.is_none() {
        *held = Some(Cluster::new());
    }
    let mut cluster = MutexGuard::map(held, |cluster| cluster.as_mut().expect("made"));
    // One that a failed test has left dead comes back.
    cluster.start().await;
    let bootstrap = std::fs::read_to_string(cluster.folder.join("bootstrap")).expect("written by the script");
    cluster.addresses = bootstrap.lines().map(str::to_owned).collect();
    cluster
}

fn id(node: i32) -> usize {
    usize::try_from(node - 1).expect("a node")
}

impl Cluster {
    fn new() -> Self {
        let set = |key| std::env::var(key).unwrap_or_else(|_| panic!("{key} is not set: run `make test`"));
        let script = Path::new(&set("DRAY_TEST_KAFKA_SH")).with_file_name("cluster.sh");
        // Beside the shared broker's, and gone with it.
        let folder = Path::new(&set("DRAY_TEST_BROKER_DIR")).with_file_name("cluster");
        Self {
            script,
            folder,
            addresses: Vec::new(),
        }
    }

    /// Runs the script with the cluster's folder behind the first argument.
    async fn script(&self, args: &[&str]) {
        let mut command = Command::new(&self.script);
        command
            .env("DRAY_BROKER_EXTRA", SETTINGS)
            .arg(args[0])
            .arg(&self.folder);
        command.args(&args[1..]);
        let ran = tokio::task::spawn_blocking(move || run(&mut command));
        ran.await.expect("it succeeds");
    }

    /// Starts the nodes that do not run.
    pub(super) async fn start(&self) {
        self.script(&["start"]).await;
    }

    /// Has a node shut down in order.
    pub(super) async fn stop(&self, node: i32) {
        self.script(&["stop", &node.to_string()]).await;
    }

    pub(super) async fn kill9(&self, node: i32) {
        self.script(&["kill9", &node.to_string()]).await;
    }

    pub(super) fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// A client's settings that lead straight to the brokers.
    pub(super) fn client(&self, pairs: &[(&str, &str)]) -> ClientConfig {
        client(&self.addresses.join(","), pairs)
    }

    pub(super) async fn ask<R: Request>(&self, node: i32, request: &R, version: i16) -> R::Response {
        ask(&self.addresses[id(node)], request, version).await
    }

    /// A topic whose partitions have replicas on these nodes, the first of them leading.
    pub(super) async fn topic(&self, name: &str, replicas: &[&[i32]], configs: &[(&str, &str)]) -> String {
        let name = unique(name);
        let assignments = replicas.iter().zip(0..).map(|(nodes, partition)| {
            CreatableReplicaAssignment::default()
                .with_partition_index(partition)
                .with_broker_ids(nodes.iter().copied().map(BrokerId).collect())
        });
        let text = |text: &str| StrBytes::from_string(text.to_owned());
        let configs = configs.iter().map(|(key, value)| {
            CreatableTopicConfig::default()
                .with_name(text(key))
                .with_value(Some(text(value)))
        });
        let topic = CreatableTopic::default()
            .with_name(TopicName(text(&name)))
            .with_num_partitions(-1)
            .with_replication_factor(-1)
            .with_assignments(assignments.collect())
            .with_configs(configs.collect());
        let request = CreateTopicsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(30_000);
        let answer = self.ask(1, &request, 5).await;
        assert_eq!(answer.topics[0].error_code, 0, "{answer:?}");
        for node in NODES {
            self.until(node, &name, |partitions| {
                partitions.len() == replicas.len() && partitions.iter().all(|partition| partition.leader_id.0 >= 0)
            })
            .await;
        }
        name
    }

    /// Waits until a node says this of the topic's partitions, in their order.
    async fn until(&self, node: i32, topic: &str, is_so: impl Fn(&[MetadataResponsePartition]) -> bool) {
        let name = TopicName(StrBytes::from_string(topic.to_owned()));
        let asked = MetadataRequestTopic::default().with_name(Some(name));
        let request = MetadataRequest::default().with_topics(Some(vec![asked]));
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let mut answer = self.ask(node, &request, 12).await;
            let mut partitions = answer.topics.pop().expect("the topic").partitions;
            partitions.sort_by_key(|partition| partition.partition_index);
            if is_so(&partitions) {
                return;
            }
            assert!(tokio::time::Instant::now() < deadline, "{partitions:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until all replicas are in sync.
    pub(super) async fn in_sync(&self, topic: &str) {
        self.until(1, topic, |partitions| {
            partitions
                .iter()
                .all(|partition| partition.isr_nodes.len() == partition.replica_nodes.len())
        })
        .await;
    }

    /// Has this node lead a partition: it comes first among the replicas, and the first is elected.
    pub(super) async fn lead(&self, topic: &str, partition: i32, node: i32) {
        let others = NODES.iter().copied().filter(|other| *other != node);
        let replicas = std::iter::once(node).chain(others).map(BrokerId).collect();
        let name = TopicName(StrBytes::from_string(topic.to_owned()));
        let moved = ReassignablePartition::default()
            .with_partition_index(partition)
            .with_replicas(Some(replicas));
        let moved = ReassignableTopic::default()
            .with_name(name.clone())
            .with_partitions(vec![moved]);
        let request = AlterPartitionReassignmentsRequest::default()
            .with_topics(vec![moved])
            .with_timeout_ms(30_000);
        let answer = self.ask(1, &request, 0).await;
        assert_eq!(answer.error_code, 0, "{answer:?}");
        assert_eq!(answer.responses[0].partitions[0].error_code, 0, "{answer:?}");
        let elected = TopicPartitions::default()
            .with_topic(name)
            .with_partitions(vec![partition]);
        let request = ElectLeadersRequest::default()
            .with_election_type(0)
            .with_topic_partitions(Some(vec![elected]))
            .with_timeout_ms(30_000);
        let answer = self.ask(1, &request, 2).await;
        let results = answer
            .replica_election_results
            .iter()
            .flat_map(|topic| &topic.partition_result);
        let codes: BTreeSet<i16> = results.map(|result| result.error_code).collect();
        assert!(codes.is_subset(&BTreeSet::from([0, ELECTION_NOT_NEEDED])), "{answer:?}");
        self.until(1, topic, |partitions| {
            partitions[usize::try_from(partition).expect("small")].leader_id.0 == node
        })
        .await;
    }

    /// Limits a rate of the clients of this id in bytes a second; none takes the limit away.
    pub(super) async fn limit(&self, client: &str, rate: &str, bytes: Option<f64>) {
        let text = |text: &str| StrBytes::from_string(text.to_owned());
        let entity = EntityData::default()
            .with_entity_type(text("client-id"))
            .with_entity_name(Some(text(client)));
        let op = OpData::default()
            .with_key(text(rate))
            .with_value(bytes.unwrap_or_default())
            .with_remove(bytes.is_none());
        let entry = EntryData::default().with_entity(vec![entity]).with_ops(vec![op]);
        let request = AlterClientQuotasRequest::default().with_entries(vec![entry]);
        let answer = self.ask(1, &request, 1).await;
        assert_eq!(answer.entries[0].error_code, 0, "{answer:?}");
    }
}

/// Asks the broker there.
pub(crate) async fn ask<R: Request>(address: &str, request: &R, version: i16) -> R::Response {
    let mut frame = BytesMut::new();
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_client_id(Some(StrBytes::from_static_str("test")));
    header.encode(&mut frame, R::header_version(version)).expect("encodes");
    request.encode(&mut frame, version).expect("encodes");
    let asking = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_u32(frame.len() as u32).await?;
        stream.write_all(&frame).await?;
        let mut answer = vec![0; stream.read_u32().await? as usize];
        stream.read_exact(&mut answer).await?;
        std::io::Result::Ok(Bytes::from(answer))
    };
    let mut answer = within(asking).await.expect("an answer");
    ResponseHeader::decode(&mut answer, R::Response::header_version(version)).expect("a header");
    R::Response::decode(&mut answer, version).expect("an answer")
}

pub(super) fn client(bootstrap: &str, pairs: &[(&str, &str)]) -> ClientConfig {
    let pairs = [("bootstrap.servers", bootstrap)]
        .into_iter()
        .chain(pairs.iter().copied());
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}
