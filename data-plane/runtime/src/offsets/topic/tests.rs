use super::*;
use dray_connect::offset::Primitive;
use dray_kafka::Class;
use dray_kafka::fake::FakeKafka;
use dray_model::{ConnectorName, Generation, TaskId};
use futures::FutureExt as _;
use futures::future::join_all;
use std::collections::BTreeMap;

fn worker(extra: &[(&str, &str)]) -> Result<WorkerConfig> {
    let base = [
        ("bootstrap.servers", "a:1"),
        ("offset.storage.topic", "offsets"),
        ("offset.storage.partitions", "3"),
        ("key.converter", "org.apache.kafka.connect.storage.StringConverter"),
        ("value.converter", "org.apache.kafka.connect.storage.StringConverter"),
    ];
    let pairs = base.iter().chain(extra);
    WorkerConfig::parse(
        &pairs
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
    )
}

fn store(kafka: &FakeKafka) -> TopicOffsets {
    open(&worker(&[]).unwrap(), kafka)
}

fn open(worker: &WorkerConfig, kafka: &FakeKafka) -> TopicOffsets {
    let topic = worker.offsets_topic.clone().unwrap();
    TopicOffsets::open(topic, worker, kafka).unwrap()
}

fn partition(name: &str) -> SourcePartition {
    Arc::new(OffsetMap::new().with("filename", Primitive::String(name.into())))
}

fn entry(name: &str, position: Option<i64>) -> OffsetEntry {
    OffsetEntry {
        task: TaskId::new(ConnectorName::try_from("c").unwrap(), 0),
        generation: Generation::INITIAL,
        partition: partition(name),
        offset: position.map(|position| OffsetMap::new().with("position", Primitive::Long(position))),
    }
}

async fn positions(store: &TopicOffsets, names: &[&str]) -> Vec<Option<i64>> {
    let partitions: Vec<SourcePartition> = names.iter().map(|name| partition(name)).collect();
    let read = store.read("c", &partitions).await.unwrap();
    read.iter().map(|offset| offset.as_ref()?.long("position")).collect()
}

#[tokio::test]
async fn what_is_stored_is_connects_own_format() {
    let kafka = FakeKafka::new();
    let offsets = store(&kafka);
    offsets
        .commit(vec![entry("a", Some(30)), entry("b", None)])
        .await
        .unwrap();
    let mut stored: Vec<_> = kafka
        .records("offsets")
        .into_iter()
        .map(|record| (String::from_utf8(record.key.unwrap()).unwrap(), record.value))
        .collect();
    stored.sort_unstable();
    let expected = [
        (
            r#"["c",{"filename":"a"}]"#.to_owned(),
            Some(br#"{"position":30}"#.to_vec()),
        ),
        (r#"["c",{"filename":"b"}]"#.to_owned(), None),
    ];
    assert_eq!(stored, expected);
}

#[tokio::test]
async fn the_newest_value_counts_whoever_wrote_it() {
    let kafka = FakeKafka::new();
    let (mine, other) = (store(&kafka), store(&kafka));
    mine.commit(vec![entry("a", Some(1)), entry("b", Some(2))])
        .await
        .unwrap();
    assert_eq!(positions(&mine, &["a", "b", "c"]).await, [Some(1), Some(2), None]);
    other.commit(vec![entry("a", Some(7)), entry("b", None)]).await.unwrap();
    assert_eq!(positions(&mine, &["a", "b"]).await, [Some(7), None]);
}

#[tokio::test]
async fn many_readers_at_once_all_see_what_was_there_when_they_asked() {
    let kafka = FakeKafka::new();
    let offsets = store(&kafka);
    offsets.commit(vec![entry("a", Some(5))]).await.unwrap();
    let all = join_all((0..100).map(|_| positions(&offsets, &["a"]))).await;
    assert!(all.iter().all(|read| read == &[Some(5)]));
}

#[tokio::test]
async fn a_commit_is_done_when_all_its_records_are_acknowledged() {
    let kafka = FakeKafka::new();
    let offsets = store(&kafka);
    kafka.hold_acks();
    let commit = offsets.commit(vec![entry("a", Some(1)), entry("b", Some(1))]);
    tokio::pin!(commit);
    while kafka.held() < 2 {
        assert!(commit.as_mut().now_or_never().is_none());
        tokio::task::yield_now().await;
    }
    kafka.release(1);
    for _ in 0..10 {
        assert!(commit.as_mut().now_or_never().is_none());
        tokio::task::yield_now().await;
    }
    kafka.release_all();
    commit.await.unwrap();
}

#[tokio::test]
async fn one_record_that_fails_fails_its_commit_and_no_other() {
    let kafka = FakeKafka::new();
    let offsets = store(&kafka);
    offsets.commit(vec![entry("z", Some(1))]).await.unwrap();
    kafka.fail_next(Class::Retriable, 1);
    let (first, second) = tokio::join!(
        offsets.commit(vec![entry("a", Some(1)), entry("b", Some(1))]),
        offsets.commit(vec![entry("c", Some(1))])
    );
    assert!(first.unwrap_err().is_retriable());
    second.unwrap();
    kafka.fail_next(Class::Fatal, 1);
    let error = offsets.commit(vec![entry("a", Some(2))]).await.unwrap_err();
    assert_eq!(error.to_string(), "writing the offsets topic 'offsets' failed");
    assert!(!error.is_retriable());
}

#[tokio::test]
async fn a_commit_whose_task_was_aborted_is_not_written_later() {
    let kafka = FakeKafka::new();
    let offsets = store(&kafka);
    offsets.commit(vec![entry("a", Some(1))]).await.unwrap();
    let mut abandoned = Box::pin(offsets.commit(vec![entry("a", Some(2))]));
    // It stands in the writer's queue now; the writer itself has had no turn on this thread.
    assert!(abandoned.as_mut().now_or_never().is_none());
    drop(abandoned);
    offsets.commit(vec![entry("b", Some(1))]).await.unwrap();
    assert_eq!(positions(&offsets, &["a", "b"]).await, [Some(1), Some(1)]);
}

#[tokio::test]
async fn a_topic_that_is_not_compacted_is_refused() {
    let kafka = FakeKafka::new();
    kafka.create_topic("offsets", 1);
    let error = store(&kafka).read("c", &[partition("a")]).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("but found the topic currently has 'cleanup.policy=delete'"),
        "{error}"
    );
}

#[tokio::test]
async fn a_missing_topic_is_created_compacted() {
    let kafka = FakeKafka::new();
    let worker = worker(&[
        ("offset.storage.cleanup.policy", "delete"),
        ("offset.storage.min.insync.replicas", "2"),
    ]);
    let offsets = open(&worker.unwrap(), &kafka);
    assert_eq!(offsets.read("c", &[partition("a")]).await.unwrap(), [None]);
    let settings = offsets.admin.topic_config("offsets", REQUEST_TIMEOUT).await.unwrap();
    let expected = [("cleanup.policy", "compact"), ("min.insync.replicas", "2")];
    assert_eq!(
        settings,
        BTreeMap::from(expected.map(|(key, value)| (key.to_owned(), value.to_owned())))
    );
}

async fn in_session(kafka: &FakeKafka, id: &str) -> TopicOffsets {
    let config = dray_kafka::port::ClientConfig::new();
    let producer = kafka
        .transactional_producer(&config, id, REQUEST_TIMEOUT)
        .await
        .unwrap();
    let writer = SessionWriter::start(producer, id, Arc::new(|| dray_model::Millis(0)));
    let worker = worker(&[]).unwrap();
    let topic = worker.offsets_topic.clone().unwrap();
    TopicOffsets::with_session_writer(topic, &worker, kafka, Arc::new(writer)).unwrap()
}

#[tokio::test(start_paused = true)]
async fn in_a_session_offsets_are_committed_in_transactions() {
    let kafka = FakeKafka::new();
    let offsets = in_session(&kafka, "c-agent-1-7").await;
    let (first, second) = tokio::join!(
        offsets.commit(vec![entry("a", Some(1)), entry("b", Some(1))]),
        offsets.commit(vec![entry("c", Some(1))])
    );
    first.unwrap();
    second.unwrap();
    assert_eq!(positions(&offsets, &["a", "b", "c"]).await, [Some(1); 3]);
    assert!(kafka.committed_transactions() <= 2);
    kafka.fail_transactions(Class::Retriable, 1);
    assert!(
        offsets
            .commit(vec![entry("a", Some(2))])
            .await
            .unwrap_err()
            .is_retriable()
    );
    assert_eq!(positions(&offsets, &["a"]).await, [Some(1)]);
}

#[tokio::test(start_paused = true)]
async fn a_fenced_session_commits_no_offsets_and_says_why() {
    let kafka = FakeKafka::new();
    let (dead, other) = (
        in_session(&kafka, "c-agent-1-7").await,
        in_session(&kafka, "c-agent-2-9").await,
    );
    dead.commit(vec![entry("a", Some(1))]).await.unwrap();
    kafka
        .fence(&dray_kafka::port::ClientConfig::new(), "c-agent-1-7", REQUEST_TIMEOUT)
        .await
        .unwrap();
    other.commit(vec![entry("a", Some(5))]).await.unwrap();
    let error = dead.commit(vec![entry("a", Some(2))]).await.unwrap_err();
    assert!(!error.is_retriable());
    let text = error.to_string();
    assert!(
        text.contains("'c-agent-1-7' is fenced") && text.contains("'offsets'"),
        "{text}"
    );
    assert_eq!(positions(&other, &["a"]).await, [Some(5)]);
}

#[tokio::test(start_paused = true)]
async fn an_aborted_commit_is_settled_only_when_its_transaction_is_over() {
    let kafka = FakeKafka::new();
    let offsets = in_session(&kafka, "c-agent-1-7").await;
    kafka.create_topic("offsets", 1);
    offsets.checked.set(()).unwrap();
    kafka.hold_transactions();
    let mut abandoned = Box::pin(offsets.commit(vec![entry("a", Some(1))]));
    while kafka.held_transactions() == 0 {
        assert!(abandoned.as_mut().now_or_never().is_none());
        tokio::task::yield_now().await;
    }
    drop(abandoned);
    assert!(tokio::time::timeout(REQUEST_TIMEOUT, offsets.settled()).await.is_err());
    kafka.release_transactions();
    offsets.settled().await;
    assert_eq!(kafka.records("offsets").len(), 1);
}

#[test]
fn wrong_keys_are_named() {
    for (key, value, said) in [
        (
            "offset.storage.partitions",
            "0",
            "Invalid value 0 for configuration offset.storage.partitions",
        ),
        (
            "offset.storage.replication.factor",
            "many",
            "Invalid value many for configuration offset.storage.replication.factor",
        ),
    ] {
        let error = worker(&[(key, value)]).unwrap_err();
        assert!(error.to_string().starts_with(said), "{error}");
    }
}
