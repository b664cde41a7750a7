//! How fast it is, printed and not judged: a loaded machine must not fail the build.
//! `cargo test --release -p dray-devbroker throughput -- --nocapture`

use dray_devbroker::{Config, DevBroker};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::client::*;

const RECORDS: u32 = 200_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn throughput() {
    let started = tokio::time::Instant::now();
    let broker = DevBroker::start(Config {
        max_bytes: 1 << 30,
        ..Config::default()
    })
    .await
    .unwrap();
    println!("ready in {:?}", started.elapsed());
    let servers = broker.bootstrap_servers();
    create_topic(&servers, "t", 1, &[]).await;
    create_topic(&servers, "l", 1, &[]).await;
    latency(&servers).await;
    let work = tokio::task::spawn_blocking(move || produce_and_consume(&servers));
    work.await.unwrap();
    broker.shutdown().await;
}

fn produce_and_consume(servers: &str) {
    let payload = [7_u8; 200];
    let mut producing = config(servers);
    producing
        .set("linger.ms", "5")
        .set("queue.buffering.max.messages", "1000000");
    let producer: BaseProducer = producing.create().unwrap();
    let started = tokio::time::Instant::now();
    for _ in 0..RECORDS {
        let record: BaseRecord<'_, (), [u8; 200]> = BaseRecord::to("t").payload(&payload);
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(DEADLINE).unwrap();
    let produced = started.elapsed();

    let consumer: BaseConsumer = config(servers).set("group.id", "g").create().unwrap();
    let mut from = TopicPartitionList::new();
    from.add_partition_offset("t", 0, Offset::Beginning).unwrap();
    consumer.assign(&from).unwrap();
    let started = tokio::time::Instant::now();
    for _ in 0..RECORDS {
        consumer.poll(DEADLINE).expect("a record in time").unwrap();
    }
    let consumed = started.elapsed();
    let rate = |elapsed: std::time::Duration| f64::from(RECORDS) / elapsed.as_secs_f64();
    println!(
        "{RECORDS} records of 200 B: produce {:.0}/s, consume {:.0}/s",
        rate(produced),
        rate(consumed)
    );
}

/// From handing a record to the producer until a waiting consumer has it.
async fn latency(servers: &str) {
    let producer = producer(servers, &[("linger.ms", "0")]);
    let consumer = consumer(servers, "latency", "l", &[]);
    let mut times = Vec::new();
    for number in 0..500 {
        let started = tokio::time::Instant::now();
        let payload = number.to_string();
        let record: rdkafka::producer::FutureRecord<'_, (), String> =
            rdkafka::producer::FutureRecord::to("l").payload(&payload);
        let stored = producer.send_result(record).map_err(|(error, _)| error).unwrap();
        next(&consumer).await;
        times.push(started.elapsed());
        stored.await.unwrap().map_err(|(error, _)| error).unwrap();
    }
    times.sort_unstable();
    println!(
        "produce to consume: p50 {:?}, p99 {:?}",
        times[times.len() / 2],
        times[times.len() * 99 / 100]
    );
}
