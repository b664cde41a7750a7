//! What the wire client does on its own account: the same records as librdkafka's, members that join together, a broker without the new
//! group protocol. The rest of its consumer is tested beside librdkafka's, in `consume`, `early` and `session`.

use super::*;
use dray_connect::sink_batch::{TimestampType, TopicPartition};
use dray_kafka::port::HeaderRef;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use std::collections::BTreeSet;

mod faults;
pub(crate) mod proxy;

/// A record as a reader sees it: partition, offset, timestamp and its type, key, value, headers.
type Read = (
    i32,
    i64,
    Option<i64>,
    TimestampType,
    Option<Vec<u8>>,
    Option<Vec<u8>>,
    Vec<(Vec<u8>, Option<Vec<u8>>)>,
);

/// Reads until this record has come, and everything before it on its partition with it.
async fn read_until(port: &dyn KafkaPort, pairs: &[(&str, &str)], topic: &str, last: &[u8]) -> Vec<Read> {
    let mut config = config(&[("group.id", &unique("equal"))]);
    config.extend(
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned())),
    );
    let mut consumer = port
        .consumer(&config, &[topic.to_owned()], 1 << 20)
        .expect("a consumer");
    let mut found: Vec<Read> = Vec::new();
    while found.last().is_none_or(|record| record.5.as_deref() != Some(last)) {
        let ConsumerEvent::Records(batch) = event(&mut *consumer).await else {
            continue;
        };
        for record in &batch.records {
            let bytes = |slice: &Option<_>| slice.as_ref().map(|slice| batch.bytes(slice).to_vec());
            let headers = &batch.headers[record.headers.start as usize..record.headers.end as usize];
            found.push((
                record.partition,
                record.offset,
                record.timestamp,
                record.timestamp_type,
                bytes(&record.key),
                bytes(&record.value),
                headers
                    .iter()
                    .map(|(name, value)| (batch.bytes(name).to_vec(), bytes(value)))
                    .collect(),
            ));
        }
    }
    consumer.close().await;
    found
}

/// Writes in a transaction, and ends it.
fn transact(topic: &str, id: &str, values: std::ops::Range<u32>, commit: bool) {
    let mut config = rdkafka::ClientConfig::new();
    config.set("bootstrap.servers", bootstrap()).set("transactional.id", id);
    let producer: BaseProducer = config.set("batch.num.messages", "7").create().expect("a producer");
    producer.init_transactions(PATIENCE).expect("initialised");
    producer.begin_transaction().expect("begun");
    for n in values {
        let value = format!("{id}-{n}");
        producer
            .send(BaseRecord::to(topic).key("t").payload(&value))
            .expect("taken");
    }
    producer.flush(PATIENCE).expect("sent");
    if commit {
        producer.commit_transaction(PATIENCE).expect("committed");
    } else {
        producer.abort_transaction(PATIENCE).expect("aborted");
    }
}

/// Every codec, transactions that were committed and aborted, headers, tombstones, and both kinds of timestamps: what librdkafka's
/// consumer reads, ours does, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn records_are_those_that_librdkafka_reads() {
    for timestamps in ["CreateTime", "LogAppendTime"] {
        let port = RdKafka::new();
        let name = topic(&port, "equal", 1, &[("message.timestamp.type", timestamps)]).await;
        for (round, codec) in ["none", "gzip", "snappy", "lz4", "zstd"].iter().enumerate() {
            let mut lane = port
                .producer_lane(
                    &config(&[("compression.type", *codec), ("batch.size", "2000")]),
                    4 << 20,
                    None,
                )
                .expect("lane");
            produce(&mut *lane, &name, &numbered(0..500)).await;
            let headers = [
                HeaderRef {
                    key: "a",
                    value: Some(b"1"),
                },
                HeaderRef { key: "ü", value: None },
                HeaderRef {
                    key: "a",
                    value: Some(b""),
                },
            ];
            let rich = [
                ProduceRecord {
                    headers: &headers,
                    timestamp: Some(1_234_567_890_123),
                    ..record(&name, b"", b"x", 0)
                },
                ProduceRecord {
                    value: None,
                    timestamp: Some(77),
                    ..record(&name, b"gone", b"", 1)
                },
                ProduceRecord {
                    key: None,
                    ..record(&name, b"", b"", 2)
                },
            ];
            let mut acks = Vec::new();
            assert_eq!(lane.produce(&rich).expect("taken"), 3);
            while counted(&acks) < 3 {
                within(lane.acks(&mut acks)).await;
            }
            let (topic, id) = (name.clone(), unique("equal"));
            let transactions = move || {
                transact(&topic, &format!("{id}-a"), 0..20, round % 2 == 0);
                transact(&topic, &format!("{id}-b"), 0..20, round % 2 == 1);
            };
            tokio::task::spawn_blocking(transactions).await.expect("no panic");
        }
        let mut lane = port.producer_lane(&config(&[]), 1 << 20, None).expect("lane");
        produce(&mut *lane, &name, &[(b"k".to_vec(), b"the end".to_vec())]).await;
        for isolation in ["read_committed", "read_uncommitted"] {
            let settings = [("isolation.level", isolation), ("max.partition.fetch.bytes", "20000")];
            let expected = read_until(&port, &settings, &name, b"the end").await;
            let found = read_until(&Kafka::new(), &settings, &name, b"the end").await;
            let aborted = if isolation == "read_committed" { 0 } else { 5 * 20 };
            assert_eq!(
                expected.len(),
                5 * (500 + 3 + 20) + aborted + 1,
                "{timestamps} {isolation}"
            );
            for (found, expected) in found.iter().zip(&expected) {
                assert_eq!(found, expected, "{timestamps} {isolation}");
            }
            assert_eq!(found.len(), expected.len(), "{timestamps} {isolation}");
        }
    }
}

/// The processor time of this process.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("readable");
    // The name in parentheses may hold spaces; behind it come the state and then numbers, of which the 12th and 13th are these.
    let fields: Vec<&str> = stat[stat.rfind(')').expect("a name") + 2..].split(' ').collect();
    let ticks: u64 = fields[11..13]
        .iter()
        .map(|field| field.parse::<u64>().expect("ticks"))
        .sum();
    Duration::from_millis(ticks * 10)
}

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").expect("readable").count()
}

/// Sinks of a dead agent that start together: each is a group of its own, and reads from the topic it is given.
async fn join_together(port: &dyn KafkaPort, topic: &str, count: usize) -> (Duration, Duration, usize) {
    let (start, before) = (std::time::Instant::now(), processor_time());
    let threads_before = threads();
    let group = unique("together");
    let consumers: Vec<_> = (0..count)
        .map(|n| {
            let config = config(&[("group.id", &format!("{group}-{n}")), ("client.id", &format!("c-{n}"))]);
            port.consumer(&config, &[topic.to_owned()], 1 << 20)
                .expect("a consumer")
        })
        .collect();
    let reading = consumers.into_iter().map(|mut consumer| async move {
        assert_eq!(read(&mut *consumer, 10).await.len(), 10);
        consumer
    });
    let consumers = futures::future::join_all(reading).await;
    let (took, used, threads) = (
        start.elapsed(),
        processor_time() - before,
        threads().saturating_sub(threads_before),
    );
    futures::future::join_all(consumers.into_iter().map(|consumer| consumer.close())).await;
    (took, used, threads)
}

/// However many members there are, they are no threads. What they cost is printed beside librdkafka's.
#[tokio::test(flavor = "multi_thread")]
async fn members_that_join_together_are_no_threads() {
    const MEMBERS: usize = 150;
    let rd = RdKafka::new();
    let name = topic(&rd, "together", 1, &[]).await;
    let mut lane = rd.producer_lane(&config(&[]), 1 << 20, None).expect("lane");
    produce(&mut *lane, &name, &numbered(0..10)).await;
    let port = Kafka::new();
    let (took, used, started) = join_together(&port, &name, MEMBERS).await;
    eprintln!("{MEMBERS} members over the wire: {took:?}, {used:?} of processor time, {started} threads");
    // Others' tests run in the same process.
    assert!(started < MEMBERS, "{started} threads");
    let (took, used, started) = join_together(&rd, &name, 20).await;
    eprintln!("20 members of librdkafka: {took:?}, {used:?} of processor time, {started} threads");
}

/// Two members of this process read the same partition for different groups, each at its own pace.
#[tokio::test(flavor = "multi_thread")]
async fn two_groups_read_one_partition() {
    let port = Kafka::new();
    let name = topic(&port, "two", 2, &[]).await;
    let mut lane = port.producer_lane(&config(&[]), 4 << 20, None).expect("lane");
    produce(&mut *lane, &name, &numbered(0..5000)).await;
    let consumer = |group: &str| {
        let config = config(&[("group.id", &unique(group)), ("max.poll.records", "100")]);
        port.consumer(&config, std::slice::from_ref(&name), 1 << 20)
            .expect("a consumer")
    };
    let (mut slow, mut fast) = (consumer("slow"), consumer("fast"));
    let mut found = read(&mut *slow, 100).await;
    let all = read(&mut *fast, 5000).await;
    assert!(in_order(&all) && all.len() == 5000);
    let rest = 5000 - found.len();
    found.extend(read(&mut *slow, rest).await);
    assert!(in_order(&found) && found.len() == 5000);
    slow.close().await;
    fast.close().await;
}

/// A subscription grows and shrinks; what is not subscribed to any more is given up first.
#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_changes() {
    let port = Kafka::new();
    let (first, second) = (topic(&port, "sub", 1, &[]).await, topic(&port, "sub", 1, &[]).await);
    let mut lane = port.producer_lane(&config(&[]), 1 << 20, None).expect("lane");
    for name in [&first, &second] {
        produce(&mut *lane, name, &numbered(0..10)).await;
    }
    let config = config(&[("group.id", &unique("sub"))]);
    let mut consumer = port
        .consumer(&config, std::slice::from_ref(&first), 1 << 20)
        .expect("a consumer");
    read(&mut *consumer, 10).await;
    consumer
        .subscribe(&[first.clone(), second.clone()])
        .await
        .expect("subscribed");
    read(&mut *consumer, 10).await;
    consumer
        .subscribe(std::slice::from_ref(&second))
        .await
        .expect("subscribed");
    let ConsumerEvent::Revoked(gone) = event(&mut *consumer).await else {
        panic!("not revoked")
    };
    let topics: BTreeSet<&str> = gone.iter().map(|partition| &*partition.topic).collect();
    assert_eq!(topics, BTreeSet::from([first.as_str()]));
    let place = TopicPartition {
        topic: first.as_str().into(),
        partition: 0,
    };
    consumer
        .commit(&BTreeMap::from([(place.clone(), 7)]))
        .await
        .expect("still its own");
    consumer.revoked().await;
    let refused = async {
        // The member takes the answer in on its own task.
        while consumer.commit(&BTreeMap::from([(place.clone(), 8)])).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within(refused).await;
    produce(&mut *lane, &first, &numbered(10..20)).await;
    produce(&mut *lane, &second, &numbered(10..20)).await;
    let more = read(&mut *consumer, 10).await;
    assert_eq!(more.first().map(|record| record.3.clone()), Some(b"10".to_vec()));
    consumer.close().await;
}
