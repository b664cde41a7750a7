//! Quotas of the broker: who is told to wait waits, hears all the same, and says for how long.

use super::nodes::cluster;
use super::relay::{Relay, What};
use crate::{counted, event, offer, record, within};
use dray_connect::sink_batch::TopicPartition;
use dray_kafka::Kafka;
use dray_kafka::metrics::{ClientMetrics, ClientNumbers};
use dray_kafka::port::{ConsumerEvent, KafkaPort as _};
use kafka_protocol::messages::{ConsumerGroupHeartbeatRequest, FetchRequest, ProduceRequest};
use kafka_protocol::protocol::Request as _;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::Instant;

/// Bytes a second. These brokers count over three seconds at least, so three times as much goes through at once.
const RATE: f64 = 50_000.0;
const SIZE: usize = 10_000;
/// Seven seconds more than that; the reader, at its rate, waits nearly three.
const RECORDS: u64 = 52;
const READ_RATE: f64 = 90_000.0;
/// Of which so much fills a request: the last of those that are on their way is answered later than requests may be without quotas.
const BATCH: &str = "70000";
/// On its way between the two ends of the relay.
const ON_ITS_WAY: Duration = Duration::from_millis(50);

/// When which answer told a client to wait for how long, and what it asked meanwhile all the same.
fn waits(relay: &Relay, api: i16) -> (Vec<Duration>, usize) {
    let events = relay.since(0);
    let (mut waits, mut disobeyed) = (Vec::new(), 0);
    for (place, event) in events.iter().enumerate() {
        let What::Answered(answered) = &event.what else {
            continue;
        };
        if event.api != api || answered.throttle <= 2 * ON_ITS_WAY {
            continue;
        }
        waits.push(answered.throttle);
        let meanwhile = event.at + ON_ITS_WAY..event.at + answered.throttle - ON_ITS_WAY;
        let asks = events[place..].iter().filter(|later| {
            let is_request = later.api == api && matches!(later.what, What::Asked { .. });
            is_request && later.connection == event.connection && meanwhile.contains(&later.at)
        });
        disobeyed += asks.count();
    }
    (waits, disobeyed)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_throttled_waits_and_loses_nothing() {
    let cluster = cluster().await;
    let relay = Relay::start(&cluster).await;
    let topic = cluster.topic("quotas", &[&[1]], &[]).await;
    cluster.limit("slow", "producer_byte_rate", Some(RATE)).await;
    let port = Kafka::new();
    let reader = relay.client(&[
        ("client.id", "reader"),
        ("group.id", &topic),
        ("group.protocol", "consumer"),
        ("auto.offset.reset", "earliest"),
    ]);
    let mut consumer = port
        .consumer(&reader, std::slice::from_ref(&topic), 1 << 20)
        .expect("a consumer");
    let place = TopicPartition {
        topic: topic.as_str().into(),
        partition: 0,
    };
    let assigned = event(&mut *consumer).await;
    assert!(matches!(assigned, ConsumerEvent::Assigned(_)), "{assigned:?}");
    consumer.pause(std::slice::from_ref(&place)).await.expect("paused");

    let client = relay.client(&[
        ("client.id", "slow"),
        ("batch.size", BATCH),
        ("linger.ms", "1000"),
        ("request.timeout.ms", "100"),
    ]);
    let mut lane = port.producer_lane(&client, 1 << 20, None).expect("a lane");
    let values: Vec<Vec<u8>> = (0..RECORDS)
        .map(|number| format!("{number:0SIZE$}").into_bytes())
        .collect();
    let records: Vec<_> = values
        .iter()
        .zip(0..)
        .map(|(value, number)| record(&topic, b"k", value, number))
        .collect();
    let mut sent = 0;
    while sent < records.len() {
        sent += offer(&mut *lane, &records[sent..]).await.expect("taken");
    }
    let mut acks = Vec::new();
    while counted(&acks) < records.len() {
        within(lane.acks(&mut acks)).await;
    }
    assert!(acks.iter().all(|ack| ack.outcome.is_ok()), "{acks:?}");
    let (told, disobeyed) = waits(&relay, ProduceRequest::KEY);
    assert!(
        !told.is_empty() && disobeyed == 0,
        "{told:?}, {disobeyed} requests meanwhile"
    );
    let longest = told.iter().max().expect("one").as_millis() as f64;
    let Some(ClientNumbers::Producer(metrics)) = lane.metrics().as_ref().and_then(ClientMetrics::numbers) else {
        panic!("a producer measures");
    };
    assert_eq!(metrics.throttle.max(Instant::now()), longest);
    assert_eq!(metrics.retries.total, 0, "nothing was sent twice");
    let produced = relay
        .since(0)
        .into_iter()
        .filter(|event| event.api == ProduceRequest::KEY);
    let connections: BTreeSet<usize> = produced.map(|event| event.connection).collect();
    assert_eq!(connections.len(), 1, "and no connection was given up");
    let total: Duration = told.iter().sum();
    assert!(total > Duration::from_secs(6), "long enough for that: {told:?}");
    drop(lane);

    // All readers of the process fetch together, under one name.
    cluster.limit("dray-fetch", "consumer_byte_rate", Some(READ_RATE)).await;
    consumer.resume(std::slice::from_ref(&place)).await.expect("resumed");
    let mut next = 0;
    while next < RECORDS {
        match event(&mut *consumer).await {
            ConsumerEvent::Records(batch) => {
                for found in &batch.records {
                    let value = found.value.as_ref().map(|value| batch.bytes(value));
                    assert_eq!(value, Some(&values[usize::try_from(next).expect("few")][..]));
                    next += 1;
                }
            }
            other @ (ConsumerEvent::Assigned(_)
            | ConsumerEvent::Revoked(_)
            | ConsumerEvent::Lost(_)
            | ConsumerEvent::Error(_)) => panic!("{other:?}"),
        }
    }
    let (told, disobeyed) = waits(&relay, FetchRequest::KEY);
    assert!(
        !told.is_empty() && disobeyed == 0,
        "{told:?}, {disobeyed} requests meanwhile"
    );
    let longest = *told.iter().max().expect("one");
    assert!(
        longest > Duration::from_secs(2),
        "longer than a session lasts: {told:?}"
    );
    let Some(ClientNumbers::Consumer(metrics)) = consumer.metrics().as_ref().and_then(ClientMetrics::numbers) else {
        panic!("a consumer measures");
    };
    assert_eq!(metrics.fetch_throttle.max(Instant::now()), longest.as_millis() as f64);
    assert_eq!(metrics.rebalances.total, 1);
    let beats = relay.asked(0, ConsumerGroupHeartbeatRequest::KEY);
    assert!(beats as u64 > longest.as_millis() as u64 / 600, "{beats} heartbeats");
    consumer.close().await;
    cluster.limit("slow", "producer_byte_rate", None).await;
    cluster.limit("dray-fetch", "consumer_byte_rate", None).await;
}
