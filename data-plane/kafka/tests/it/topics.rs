//! Topics: creating, describing, reading all of one.

use super::*;
use dray_kafka::port::TopicCreation;

#[tokio::test(flavor = "multi_thread")]
async fn create_describe_and_never_by_asking() {
    let port = RdKafka::new();
    let admin = port.admin(&config(&[])).expect("admin");
    let name = unique("admin");
    assert_eq!(admin.partitions(&name, PATIENCE).await.expect("partitions"), None);
    assert!(
        !admin.topics(PATIENCE).await.expect("topics").contains_key(&name),
        "asking created it"
    );
    let configs = BTreeMap::from([("cleanup.policy".to_owned(), "compact".to_owned())]);
    let new = NewTopic {
        name: name.clone(),
        partitions: 3,
        replication_factor: -1,
        configs,
    };
    assert_eq!(
        admin.create_topic(&new, PATIENCE).await.expect("create"),
        TopicCreation::Created
    );
    assert_eq!(
        admin.create_topic(&new, PATIENCE).await.expect("again"),
        TopicCreation::Exists
    );
    while admin.partitions(&name, PATIENCE).await.expect("partitions") != Some(3) {
        tokio::task::yield_now().await;
    }
    assert_eq!(admin.topics(PATIENCE).await.expect("topics").get(&name), Some(&3));
    assert_eq!(
        admin.topic_config(&name, PATIENCE).await.expect("config")["cleanup.policy"],
        "compact"
    );
    admin.create_partitions(&name, 5, PATIENCE).await.expect("more");
    while admin.partitions(&name, PATIENCE).await.expect("partitions") != Some(5) {
        tokio::task::yield_now().await;
    }
    let fewer = admin.create_partitions(&name, 5, PATIENCE).await.expect_err("as many");
    assert_eq!((&*fewer.code, fewer.is_retriable()), ("InvalidPartitions", false));
    let bad = NewTopic {
        name: "no/such name".to_owned(),
        ..new
    };
    assert!(
        !admin
            .create_topic(&bad, PATIENCE)
            .await
            .expect_err("refused")
            .is_retriable()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_deleted_up_to_an_offset() {
    let port = RdKafka::new();
    let admin = port.admin(&config(&[])).expect("admin");
    let name = topic(&port, "deleted", 1, &[]).await;
    let mut lane = port.producer_lane(&config(&[]), 1 << 20, None).expect("lane");
    assert_eq!(counted(&produce(lane.as_mut(), &name, &numbered(0..10)).await), 10);
    let before = BTreeMap::from([(0, 7)]);
    admin.delete_records(&name, &before, PATIENCE).await.expect("deleted");
    let spans = admin.spans(&name, 1, PATIENCE).await.expect("spans");
    assert_eq!(spans, vec![7..10]);
    let beyond = admin.delete_records(&name, &BTreeMap::from([(0, 11)]), PATIENCE).await;
    assert_eq!(&*beyond.expect_err("there is no such offset").code, "OffsetOutOfRange");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_reads_to_the_end_and_goes_on_from_there() {
    reads_to_the_end(&RdKafka::new()).await;
    reads_to_the_end(&Kafka::new()).await;
}

async fn reads_to_the_end(port: &dyn KafkaPort) {
    let topic = topic(port, "tail", 3, &[("cleanup.policy", "compact")]).await;
    let mut tail = port.tail(&config(&[]), &topic).expect("tail");
    let mut count = 0;
    tail.read_to_end(PATIENCE, &mut |_| count += 1)
        .await
        .expect("an empty topic ends");
    assert_eq!(count, 0);

    let mut lane = port.producer_lane(&config(&[]), 4 << 20, None).expect("lane");
    produce(&mut *lane, &topic, &numbered(0..10_000)).await;
    let mut last = BTreeMap::new();
    let mut visit = |record: dray_kafka::port::TailRecord<'_>| {
        last.insert(record.key.map(<[u8]>::to_vec), record.value.map(<[u8]>::to_vec));
    };
    tail.read_to_end(PATIENCE, &mut visit).await.expect("read");
    assert_eq!(last.len(), 1000);
    let admin = port.admin(&config(&[])).expect("admin");
    let spans = admin.spans(&topic, 3, PATIENCE).await.expect("spans");
    assert_eq!(spans.len(), 3);
    assert!(spans.iter().all(|span| span.start == 0 && span.end > 0), "{spans:?}");
    assert_eq!(spans.iter().map(|span| span.end).sum::<i64>(), 10_000);
    admin
        .spans(&unique("missing"), 1, PATIENCE)
        .await
        .expect_err("it does not exist");
    assert_eq!(last[&Some(b"key-999".to_vec())].as_deref(), Some(&b"9999"[..]));

    produce(&mut *lane, &topic, &numbered(0..5)).await;
    let mut count = 0;
    tail.read_to_end(PATIENCE, &mut |_| count += 1).await.expect("read on");
    assert_eq!(count, 5);
    tail.read_to_end(PATIENCE, &mut |_| count += 1)
        .await
        .expect("nothing new");
    assert_eq!(count, 5);

    let mut missing = port.tail(&config(&[]), &unique("missing")).expect("tail");
    assert!(
        missing
            .read_to_end(PATIENCE, &mut |_| ())
            .await
            .expect_err("missing")
            .is_retriable()
    );
}
