//! The port on a real broker. `make test` starts one and names it in `DRAY_TEST_BOOTSTRAP`; without it these tests fail,
//! so that nobody takes silence for success.

mod cluster;
mod consume;
mod early;
mod faults;
mod group_offsets;
mod idempotence;
mod java;
mod oversize;
mod produce;
mod reader;
mod secure;
mod session;
mod takeover;
mod topics;
mod wire;

use dray_kafka::port::{
    Ack, ClientConfig, Consumer, ConsumerEvent, Delivered, KafkaPort, NewTopic, ProduceRecord, ProduceRefused,
    ProducerLane,
};
use dray_kafka::{Kafka, RdKafka};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Long enough for a loaded machine; nothing waits for it to pass.
const PATIENCE: Duration = Duration::from_secs(60);

/// Has tests run on both implementations of the port: functions that take one.
macro_rules! on_both_ports {
    ($($name:ident),* $(,)?) => {
        mod wire {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(&super::Kafka::new()).await;
            })*
        }
        mod librdkafka {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(&super::RdKafka::new()).await;
            })*
        }
    };
}
use on_both_ports;

fn bootstrap() -> String {
    std::env::var("DRAY_TEST_BOOTSTRAP").expect("set DRAY_TEST_BOOTSTRAP: run `make test`")
}

fn config(pairs: &[(&str, &str)]) -> ClientConfig {
    let mut config = ClientConfig::from([("bootstrap.servers".to_owned(), bootstrap())]);
    config.extend(
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned())),
    );
    config
}

/// The port that a test's word for a group protocol means, and the setting: `wire` is the new one, spoken without librdkafka.
fn speaks(protocol: &str) -> (Box<dyn KafkaPort>, &str) {
    match protocol {
        "wire" => (Box::new(Kafka::new()), "consumer"),
        protocol => (Box::new(RdKafka::new()), protocol),
    }
}

/// A name that no earlier run of the tests has used on the same broker.
fn unique(name: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let at = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .as_millis();
    format!("{name}-{at}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

async fn topic(port: &dyn KafkaPort, name: &str, partitions: i32, configs: &[(&str, &str)]) -> String {
    let name = unique(name);
    let configs = configs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    let new = NewTopic {
        name: name.clone(),
        partitions,
        replication_factor: 1,
        configs,
    };
    create(port, &config(&[]), &new).await;
    name
}

/// Creates a topic, and waits until the broker has heard of it from its controller.
async fn create(port: &dyn KafkaPort, client: &ClientConfig, new: &NewTopic) {
    let admin = port.admin(client).expect("admin");
    admin.create_topic(new, PATIENCE).await.expect("create");
    let shown = async {
        while admin.partitions(&new.name, PATIENCE).await.expect("partitions") != Some(new.partitions as usize) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within(shown).await;
}

async fn delete_topic(name: &str) {
    let mut settings = rdkafka::ClientConfig::new();
    let admin: AdminClient<DefaultClientContext> = settings
        .set("bootstrap.servers", bootstrap())
        .create()
        .expect("an admin client");
    let deleted = admin.delete_topics(&[name], &AdminOptions::new()).await.expect("asked");
    assert_eq!(deleted, [Ok(name.to_owned())]);
}

fn record<'a>(topic: &'a str, key: &'a [u8], value: &'a [u8], sequence: u64) -> ProduceRecord<'a> {
    ProduceRecord {
        topic,
        partition: None,
        timestamp: None,
        key: Some(key),
        value: Some(value),
        headers: &[],
        sequence,
    }
}

/// Offers records until at least one is taken, or refused: a lane may first have to learn of the topic.
async fn offer(lane: &mut dyn ProducerLane, records: &[ProduceRecord<'_>]) -> Result<usize, ProduceRefused> {
    loop {
        match lane.produce(records) {
            Ok(0) => within(lane.ready()).await,
            other => return other,
        }
    }
}

/// Produces `(key, value)` in order and waits for every acknowledgement.
async fn produce(lane: &mut dyn ProducerLane, topic: &str, records: &[(Vec<u8>, Vec<u8>)]) -> Vec<Ack> {
    let records: Vec<_> = records
        .iter()
        .enumerate()
        .map(|(index, (key, value))| record(topic, key, value, index as u64))
        .collect();
    send_all(lane, &records).await
}

/// Sends records and waits for every acknowledgement.
async fn send_all(lane: &mut dyn ProducerLane, records: &[ProduceRecord<'_>]) -> Vec<Ack> {
    let (mut sent, mut acks) = (0, Vec::new());
    while sent < records.len() {
        let taken = lane.produce(&records[sent..]).expect("taken");
        sent += taken;
        lane.try_acks(&mut acks);
        if sent < records.len() {
            within(lane.ready()).await;
        }
    }
    while counted(&acks) < records.len() {
        within(lane.acks(&mut acks)).await;
    }
    assert_eq!(lane.in_flight(), 0);
    each(acks)
}

/// Records that are acknowledged.
fn counted(acks: &[Ack]) -> usize {
    acks.iter().map(|ack| ack.count).sum()
}

/// An acknowledgement for each record of the runs.
fn each(acks: Vec<Ack>) -> Vec<Ack> {
    let mut each = Vec::new();
    for ack in acks {
        if let Ok(first) = ack.outcome {
            each.extend(ack.sequences().zip(first.offset..).map(|(sequence, offset)| Ack {
                sequence,
                count: 1,
                outcome: Ok(Delivered { offset, ..first }),
            }));
        } else {
            assert_eq!(ack.count, 1, "a failure is one record's: {ack:?}");
            each.push(ack);
        }
    }
    each
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("in time")
}

/// The next event that is not a passing error.
async fn event(consumer: &mut dyn Consumer) -> ConsumerEvent {
    loop {
        let event = within(consumer.event()).await;
        let ConsumerEvent::Error(error) = event else {
            return event;
        };
        assert!(error.is_retriable(), "{error}");
    }
}

/// Reads until `count` records are there: `(partition, offset, key, value)`.
async fn read(consumer: &mut dyn Consumer, count: usize) -> Vec<(i32, i64, Vec<u8>, Vec<u8>)> {
    let mut found = Vec::new();
    while found.len() < count {
        if let ConsumerEvent::Records(batch) = event(consumer).await {
            for record in &batch.records {
                let bytes = |slice: &Option<_>| {
                    slice
                        .as_ref()
                        .map(|slice| batch.bytes(slice).to_vec())
                        .unwrap_or_default()
                };
                found.push((
                    record.partition,
                    record.offset,
                    bytes(&record.key),
                    bytes(&record.value),
                ));
            }
        }
    }
    found
}

fn numbered(range: std::ops::Range<u32>) -> Vec<(Vec<u8>, Vec<u8>)> {
    range
        .map(|n| (format!("key-{}", n % 1000).into_bytes(), n.to_string().into_bytes()))
        .collect()
}

/// Whether offsets rise by one within each partition.
fn in_order(records: &[(i32, i64, Vec<u8>, Vec<u8>)]) -> bool {
    let mut next = BTreeMap::new();
    records.iter().all(|(partition, offset, ..)| {
        let expected = next.entry(*partition).or_insert(*offset);
        let right = *expected == *offset;
        *expected += 1;
        right
    })
}
