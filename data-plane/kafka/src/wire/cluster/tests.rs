//! On the real broker, and where there is none.

use super::*;
use crate::port::{KafkaPort as _, NewTopic};
use crate::rd::RdKafka;
use kafka_protocol::messages::ApiVersionsRequest;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

fn config(servers: &str, pairs: &[(&str, &str)]) -> ClientConfig {
    let mut config = ClientConfig::from([("bootstrap.servers".to_owned(), servers.to_owned())]);
    config.extend(
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned())),
    );
    config
}

fn bootstrap() -> String {
    std::env::var("DRAY_TEST_BOOTSTRAP").expect("set DRAY_TEST_BOOTSTRAP: run `make test`")
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_connections_and_coordinators_of_the_real_broker() {
    let config = config(&format!("127.0.0.1:1,{}", bootstrap()), &[("client.id", "me")]);
    let name = format!("cluster-{}", uuid::Uuid::new_v4());
    let new = NewTopic {
        name: name.clone(),
        partitions: 3,
        replication_factor: 1,
        configs: BTreeMap::new(),
    };
    let admin = RdKafka::new().admin(&config).expect("admin");
    admin.create_topic(&new, PATIENCE).await.expect("created");

    let clusters = Clusters::default();
    let cluster = clusters.of(&config).expect("settings").expect("plain text is spoken");
    let topic: Arc<str> = name.as_str().into();
    let missing: Arc<str> = "no-such-topic-of-this-test".into();
    // The broker hears of the topic from its controller.
    let metadata = tokio::time::timeout(PATIENCE, async {
        loop {
            let metadata = cluster.refresh(&[topic.clone(), missing.clone()]).await.expect("asked");
            if (0..3).all(|partition| metadata.leader(&topic, partition).is_some()) {
                break metadata;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("in time");
    assert_eq!(
        (
            metadata.topics[&topic].partitions.len(),
            metadata.refused[&missing].code
        ),
        (3, 3)
    );
    let id = metadata.topics[&topic].id;
    assert_eq!(cluster.refresh_ids(&[id]).await.expect("asked").names[&id], topic);

    // Many that ask at once, on one connection for each purpose.
    let leader = metadata.leader(&topic, 0).expect("a leader");
    let short = cluster.connection(leader, Purpose::Short).await.expect("connected");
    let again = cluster.connection(leader, Purpose::Short).await.expect("connected");
    assert!(Arc::ptr_eq(&short, &again));
    let produce = cluster.connection(leader, Purpose::Produce).await.expect("connected");
    assert!(!Arc::ptr_eq(&short, &produce));
    let client = StrBytes::from_static_str("somebody");
    let request = ApiVersionsRequest::default();
    let questions = (0..200).map(|_| short.ask(&client, &request, 0..=2, PATIENCE));
    for answer in futures::future::join_all(questions).await {
        assert_eq!(answer.expect("an answer").error_code, 0);
    }
    let found = tokio::time::timeout(PATIENCE, async {
        loop {
            // The broker makes the topics of its coordinators when it is first asked.
            match cluster.coordinator(Of::Transaction, &name).await {
                Ok(broker) => break broker,
                Err(error) => assert!(error.is_retriable(), "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("in time");
    cluster.connection(found, Purpose::Short).await.expect("connected");

    // The same way is the same cluster; without users and connections it is forgotten.
    let mut other = config.clone();
    other.insert("client.id".to_owned(), "other".to_owned());
    assert!(Arc::ptr_eq(
        &cluster,
        &clusters.of(&other).expect("settings").expect("spoken")
    ));
    other.insert("security.protocol".to_owned(), "SASL_PLAINTEXT".to_owned());
    assert!(clusters.of(&other).expect("settings").is_none(), "no log-in is told");
}

#[tokio::test]
async fn where_nobody_listens_it_says_so_and_waits_longer_each_time() {
    let pairs = [("reconnect.backoff.ms", "20"), ("reconnect.backoff.max.ms", "40")];
    let cluster = Clusters::default()
        .of(&config("127.0.0.1:1", &pairs))
        .expect("settings")
        .expect("spoken");
    let began = Instant::now();
    for _ in 0..4 {
        let error = cluster.refresh(&["t".into()]).await.expect_err("nobody is there");
        assert!(
            error.is_retriable() && error.to_string().contains("127.0.0.1:1"),
            "{error}"
        );
    }
    assert!(began.elapsed() >= Duration::from_millis(20 + 40 + 40));
}
