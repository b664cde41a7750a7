//! The fake does what tests rely on.

use super::*;
use crate::port::ConsumerEvent;
use std::time::Duration;

fn record<'a>(key: &'a [u8], sequence: u64) -> ProduceRecord<'a> {
    let value = Some(key);
    ProduceRecord {
        topic: "t",
        partition: None,
        timestamp: None,
        key: Some(key),
        value,
        headers: &[],
        sequence,
    }
}

fn config() -> ClientConfig {
    ClientConfig::from([("group.id".to_owned(), "g".to_owned())])
}

fn place(partition: i32) -> TopicPartition {
    TopicPartition {
        topic: "t".into(),
        partition,
    }
}

async fn offsets(consumer: &mut dyn Consumer) -> Vec<i64> {
    let event = consumer.event().await;
    let ConsumerEvent::Records(batch) = event else {
        panic!("{event:?}")
    };
    batch.records.iter().map(|record| record.offset).collect()
}

#[tokio::test(start_paused = true)]
async fn acks_are_held_released_and_failed() {
    let kafka = FakeKafka::new();
    let mut lane = kafka.producer_lane(&config(), 8, None).expect("lane");
    kafka.hold_acks();
    kafka.fail_next(Class::Retriable, 1);
    let records = [record(b"aa", 1), record(b"bb", 2), record(b"cc", 3)];
    assert_eq!(lane.produce(&records).expect("taken"), 2);
    assert!(
        tokio::time::timeout(Duration::from_secs(1), lane.ready())
            .await
            .is_err()
    );
    assert_eq!((kafka.held(), kafka.release(1)), (2, 1));
    lane.ready().await;
    assert_eq!(lane.produce(&records[2..]).expect("taken"), 1);
    kafka.release_all();
    let mut acks = Vec::new();
    lane.acks(&mut acks).await;
    let ends: Vec<_> = acks.iter().map(|ack| (ack.sequences(), ack.outcome.is_ok())).collect();
    assert_eq!(ends, [(1..2, false), (2..4, true)]);
    assert_eq!((kafka.records("t").len(), lane.in_flight()), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn keys_go_where_murmur2_says() {
    let kafka = FakeKafka::new();
    kafka.create_topic("t", 7);
    let mut lane = kafka.producer_lane(&config(), 1 << 20, None).expect("lane");
    for key in [&b"21"[..], b"foobar", b"abc"] {
        lane.produce(&[record(key, 0)]).expect("taken");
        assert!(
            kafka
                .records("t")
                .iter()
                .any(|r| r.value.as_deref() == Some(key) && r.partition == murmur2::partition(key, 7))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_revocation_can_commit_and_assignment_goes_on_from_there() {
    let kafka = FakeKafka::new();
    let mut consumer = kafka.consumer(&config(), &["t".to_owned()], 1).expect("consumer");
    for _ in 0..3 {
        kafka.append("t", 0, None, Some(b"v"));
    }
    assert!(matches!(consumer.event().await, ConsumerEvent::Assigned(p) if p == [(place(0), None)]));
    assert_eq!(offsets(&mut *consumer).await, [0, 1, 2]);
    kafka.revoke("g");
    assert!(matches!(consumer.event().await, ConsumerEvent::Revoked(p) if p == [place(0)]));
    consumer
        .commit(&BTreeMap::from([(place(0), 2)]))
        .await
        .expect("still owned");
    consumer.revoked().await;
    assert_eq!(
        consumer
            .commit(&BTreeMap::from([(place(0), 3)]))
            .await
            .unwrap_err()
            .class,
        Class::Fenced
    );
    assert!(
        tokio::time::timeout(Duration::from_secs(1), consumer.event())
            .await
            .is_err()
    );
    kafka.assign("g");
    assert!(matches!(consumer.event().await, ConsumerEvent::Assigned(p) if p == [(place(0), Some(2))]));
    assert_eq!(offsets(&mut *consumer).await, [2]);
    consumer.seek(&place(0), 1).await.expect("seek");
    assert_eq!(offsets(&mut *consumer).await, [1, 2]);
    kafka.lose("g");
    assert!(matches!(consumer.event().await, ConsumerEvent::Lost(_)));
    assert_eq!(kafka.committed("g"), BTreeMap::from([(place(0), 2)]));
}

#[tokio::test(start_paused = true)]
async fn a_tail_goes_on_where_it_ended() {
    let kafka = FakeKafka::new();
    kafka.append("t", 0, Some(b"k"), None);
    let mut tail = kafka.tail(&config(), "t").expect("tail");
    for expected in [1, 0] {
        let mut count = 0;
        tail.read_to_end(Duration::ZERO, &mut |_| count += 1)
            .await
            .expect("read");
        assert_eq!(count, expected);
    }
}
