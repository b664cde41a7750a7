//! Producing: all records, in order, where Java would put them, and refusals.

use super::java::Java;
use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dray_kafka::port::HeaderRef;
use dray_kafka::{Class, murmur2};

on_both_ports!(
    many_records_come_back_in_order_where_java_puts_them,
    a_record_that_is_too_large_is_refused_and_the_setting_named,
    the_quota_bounds_a_lane_but_not_one_record,
    records_of_several_topics_may_come_by_turns,
    keys_land_where_the_running_java_producer_puts_them,
);

async fn many_records_come_back_in_order_where_java_puts_them(port: &dyn KafkaPort) {
    const COUNT: u32 = 100_000;
    let topic = topic(port, "many", 3, &[]).await;
    let mut lane = port.producer_lane(&config(&[]), 4 << 20, None).expect("lane");
    let records = numbered(0..COUNT);
    let acks = produce(&mut *lane, &topic, &records).await;

    let (mut seen, mut offsets) = (vec![false; COUNT as usize], vec![-1; COUNT as usize]);
    for ack in &acks {
        assert!(
            !std::mem::replace(&mut seen[ack.sequence as usize], true),
            "{} twice",
            ack.sequence
        );
        let delivered = ack.outcome.as_ref().expect("delivered");
        let key = &records[ack.sequence as usize].0;
        assert_eq!(delivered.partition, murmur2::partition(key, 3));
        offsets[ack.sequence as usize] = delivered.offset;
    }

    let config = config(&[("group.id", &unique("many"))]);
    let mut consumer = port
        .consumer(&config, std::slice::from_ref(&topic), 8 << 20)
        .expect("consumer");
    let found = read(&mut *consumer, COUNT as usize).await;
    assert_eq!(found.len(), COUNT as usize);
    assert!(in_order(&found));
    // Within a partition the values rise: production kept the order.
    let mut last = BTreeMap::new();
    for (partition, offset, key, value) in &found {
        let n: i64 = String::from_utf8_lossy(value).parse().expect("a number");
        assert_eq!(offsets[n as usize], *offset, "acknowledged where it is not");
        assert_eq!(*partition, murmur2::partition(key, 3));
        assert!(last.insert(*partition, n).is_none_or(|last| last < n));
    }
    consumer.close().await;
}

async fn a_record_that_is_too_large_is_refused_and_the_setting_named(port: &dyn KafkaPort) {
    let topic = topic(port, "large", 1, &[]).await;
    let mut lane = port
        .producer_lane(&config(&[("max.request.size", "10000")]), 1 << 20, None)
        .expect("lane");
    let large = vec![0_u8; 20_000];
    let records = [record(&topic, b"k", b"small", 1), record(&topic, b"k", &large, 2)];
    let ProduceRefused { taken, error } = offer(&mut *lane, &records).await.expect_err("refused");
    assert_eq!(taken, 1);
    assert_eq!(error.class, Class::Fatal);
    let text = error.to_string();
    for part in [topic.as_str(), "20001", "10000", "producer.override.max.request.size"] {
        assert!(text.contains(part), "{text}");
    }
    let mut acks = Vec::new();
    within(lane.acks(&mut acks)).await;
    assert_eq!(acks.iter().map(|ack| ack.sequence).collect::<Vec<_>>(), [1]);
}

async fn the_quota_bounds_a_lane_but_not_one_record(port: &dyn KafkaPort) {
    let topic = topic(port, "quota", 1, &[]).await;
    let mut lane = port.producer_lane(&config(&[]), 100, None).expect("lane");
    let value = vec![b'x'; 1000];
    let records = [record(&topic, b"k", &value, 1), record(&topic, b"k", &value, 2)];
    assert_eq!(offer(&mut *lane, &records).await.expect("taken"), 1);
    within(lane.ready()).await;
    assert_eq!(lane.produce(&records[1..]).expect("taken"), 1);
    let mut acks = Vec::new();
    while counted(&acks) < 2 {
        within(lane.acks(&mut acks)).await;
    }
    let acks = each(acks);
    assert_eq!(acks.iter().map(|ack| ack.sequence).collect::<Vec<_>>(), [1, 2]);
}

async fn records_of_several_topics_may_come_by_turns(port: &dyn KafkaPort) {
    let topics = [topic(port, "turns", 1, &[]).await, topic(port, "turns", 2, &[]).await];
    let mut lane = port.producer_lane(&config(&[]), 1 << 20, None).expect("lane");
    let values: Vec<Vec<u8>> = (0..60_u64).map(|number| number.to_string().into_bytes()).collect();
    let header = [HeaderRef {
        key: "h",
        value: Some(b"x"),
    }];
    let records: Vec<_> = values
        .iter()
        .zip(0_u64..)
        .map(|(value, number)| ProduceRecord {
            partition: (number % 2 == 1).then_some(1),
            headers: if number % 3 == 0 { &header } else { &[] },
            ..record(&topics[number as usize % 2], b"k", value, number)
        })
        .collect();
    for ack in send_all(&mut *lane, &records).await {
        let delivered = ack.outcome.expect("delivered");
        assert_eq!(delivered.partition, (ack.sequence % 2) as i32, "{}", ack.sequence);
    }
    for (topic, first) in topics.iter().zip(0..) {
        let config = config(&[("group.id", &unique("turns"))]);
        let mut consumer = port
            .consumer(&config, std::slice::from_ref(topic), 8 << 20)
            .expect("consumer");
        let found: Vec<_> = read(&mut *consumer, 30)
            .await
            .into_iter()
            .map(|found| found.3)
            .collect();
        let expected: Vec<_> = values.iter().skip(first).step_by(2).cloned().collect();
        assert_eq!(found, expected);
        consumer.close().await;
    }
}

/// Keys of all lengths and kinds: empty, text of several scripts, bytes that are no text.
fn keys() -> Vec<Vec<u8>> {
    let texts = ["", "a", "key", "grüße", "ключ", "鍵", "🔑🗝️", "null", "0", " "];
    let mut keys: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for length in (0..40).cycle().take(1_200) {
        keys.push((0..length).map(|_| (next() >> 32) as u8).collect());
    }
    keys
}

async fn keys_land_where_the_running_java_producer_puts_them(port: &dyn KafkaPort) {
    const PARTITIONS: i32 = 7;
    let keys = keys();
    let java = {
        let (topic, keys) = (topic(port, "keys-java", PARTITIONS, &[]).await, keys.clone());
        let record =
            |key: &Vec<u8>| serde_json::json!({"key_b64": STANDARD.encode(key), "value_b64": "", "timestamp": null});
        let records = keys.iter().map(record).collect();
        tokio::task::spawn_blocking(move || Java::start().send(&topic, &[], records))
            .await
            .expect("asked")
    };
    assert_eq!(java.len(), keys.len());

    let topic = topic(port, "keys-dray", PARTITIONS, &[]).await;
    let mut lane = port.producer_lane(&config(&[]), 4 << 20, None).expect("lane");
    let records: Vec<_> = keys.iter().map(|key| (key.clone(), b"v".to_vec())).collect();
    for ack in produce(&mut *lane, &topic, &records).await {
        let place = ack.sequence as usize;
        let partition = i64::from(ack.outcome.expect("delivered").partition);
        assert_eq!(partition, java[place], "key {:?}", keys[place]);
    }
    for partition in 0..i64::from(PARTITIONS) {
        assert!(java.contains(&partition), "no key in partition {partition}");
    }
}
