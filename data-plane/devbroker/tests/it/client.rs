//! What the cases need of rdkafka, with a deadline on every wait.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer, StreamConsumer};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};

/// Long enough for a loaded machine; no test waits for it when all is well.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) fn config(servers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", servers);
    config
}

/// A name that no earlier run used: a real broker keeps what it was told.
pub(crate) fn unique(prefix: &str) -> String {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    format!("{prefix}-{nanos}")
}

pub(crate) fn admin(servers: &str) -> AdminClient<DefaultClientContext> {
    config(servers).create().unwrap()
}

pub(crate) async fn create_topic(servers: &str, name: &str, partitions: i32, configs: &[(&str, &str)]) {
    let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
    for (key, value) in configs {
        topic = topic.set(key, value);
    }
    let options = AdminOptions::new().operation_timeout(Some(DEADLINE));
    let results = admin(servers).create_topics([&topic], &options).await.unwrap();
    assert_eq!(results, [Ok(name.to_owned())]);
    // A real broker hears of it from its controller, a moment after it was confirmed.
    let client: BaseConsumer = config(servers).create().unwrap();
    let deadline = tokio::time::Instant::now() + DEADLINE;
    let shown = || {
        let metadata = client.fetch_metadata(Some(name), DEADLINE).unwrap();
        metadata.topics()[0].partitions().len()
    };
    while shown() as i32 != partitions {
        assert!(tokio::time::Instant::now() < deadline, "{name} did not show");
    }
}

pub(crate) fn producer(servers: &str, more: &[(&str, &str)]) -> FutureProducer {
    let mut config = config(servers);
    config.set("message.timeout.ms", "30000").set("linger.ms", "5");
    for (key, value) in more {
        config.set(*key, *value);
    }
    config.create().unwrap()
}

/// Sends `range` as keys and payloads, and waits until all are stored.
pub(crate) async fn produce(producer: &FutureProducer, topic: &str, range: std::ops::Range<u32>) {
    let mut sent = Vec::new();
    for number in range {
        let text = number.to_string();
        let record = FutureRecord::to(topic).key(&text).payload(&text);
        sent.push(producer.send_result(record).map_err(|(error, _)| error).unwrap());
    }
    for delivery in sent {
        delivery.await.unwrap().map_err(|(error, _)| error).unwrap();
    }
    producer.flush(DEADLINE).unwrap();
}

pub(crate) fn consumer(servers: &str, group: &str, topic: &str, more: &[(&str, &str)]) -> StreamConsumer {
    let mut config = config(servers);
    config
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("session.timeout.ms", "6000")
        .set("heartbeat.interval.ms", "200");
    for (key, value) in more {
        config.set(*key, *value);
    }
    let consumer: StreamConsumer = config.create().unwrap();
    consumer.subscribe(&[topic]).unwrap();
    consumer
}

pub(crate) async fn next(consumer: &StreamConsumer) -> BorrowedMessage<'_> {
    tokio::time::timeout(DEADLINE, consumer.recv())
        .await
        .expect("a record in time")
        .unwrap()
}

pub(crate) fn number(message: &BorrowedMessage<'_>) -> u32 {
    message.payload_view::<str>().unwrap().unwrap().parse().unwrap()
}

/// Reads `count` records and gives back their numbers, sorted.
pub(crate) async fn read(consumer: &StreamConsumer, count: usize) -> Vec<u32> {
    let mut numbers = Vec::with_capacity(count);
    while numbers.len() < count {
        numbers.push(number(&next(consumer).await));
    }
    numbers.sort_unstable();
    numbers
}

/// Where a partition starts and ends.
pub(crate) fn watermarks(servers: &str, topic: &str, partition: i32) -> (i64, i64) {
    let consumer: BaseConsumer = config(servers).create().unwrap();
    consumer.fetch_watermarks(topic, partition, DEADLINE).unwrap()
}
