//! Batches that the broker finds too large: what they hold is stored once and in its place, in smaller ones.

use super::*;
use crate::cluster::ask;
use dray_connect::sink_batch::TopicPartition;
use dray_connect::source_batch::BatchLimits;
use dray_kafka::metrics::{ClientMetrics, ClientNumbers};
use dray_kafka::port::{Assignment, FetchedWhole, ProduceWhole, ReaderEvent};
use kafka_protocol::messages::IncrementalAlterConfigsRequest;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::protocol::StrBytes;

/// How `IncrementalAlterConfigs` calls a topic, and to set a value.
const TOPIC: i8 = 2;
const SET: i8 = 0;
const MOST: (&str, &str) = ("max.message.bytes", "1000");

fn splits(lane: &dyn ProducerLane) -> u64 {
    match lane.metrics().as_ref().and_then(ClientMetrics::numbers) {
        Some(ClientNumbers::Producer(metrics)) => metrics.splits.total,
        other => panic!("a producer measures, not {other:?}"),
    }
}

async fn limit(topic: &str, bytes: &str) {
    let text = |text: &str| StrBytes::from_string(text.to_owned());
    let config = AlterableConfig::default()
        .with_name(text(MOST.0))
        .with_config_operation(SET)
        .with_value(Some(text(bytes)));
    let resource = AlterConfigsResource::default()
        .with_resource_type(TOPIC)
        .with_resource_name(text(topic))
        .with_configs(vec![config]);
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    let answer = ask(&bootstrap(), &request, 1).await;
    assert_eq!(answer.responses[0].error_code, 0, "{answer:?}");
}

fn assignment(topic: &str, whole: Option<BatchLimits>) -> Assignment {
    let place = TopicPartition {
        topic: topic.into(),
        partition: 0,
    };
    Assignment {
        partitions: vec![(place, Some(0.into()))],
        prefetch: 1 << 20,
        whole,
    }
}

/// The values in a topic's only partition, of which there are so many, behind each other's offsets.
async fn stored(topic: &str, count: usize) -> Vec<Vec<u8>> {
    let mut reader = RdKafka::new()
        .reader(&config(&[]), assignment(topic, None))
        .expect("a reader");
    let mut values = Vec::new();
    while values.len() < count {
        match within(reader.next()).await {
            ReaderEvent::Records(batch) => {
                for found in &batch.records {
                    assert_eq!(found.offset, values.len() as i64);
                    values.push(batch.bytes(found.value.as_ref().expect("a value")).to_vec());
                }
            }
            ReaderEvent::Topic(..) => {}
            ReaderEvent::Error(error) => assert!(error.is_retriable(), "{error}"),
            whole @ ReaderEvent::Batch(_) => panic!("{whole:?}"),
        }
    }
    values
}

/// Values of different lengths that do not compress.
fn values(count: usize, most: usize) -> Vec<Vec<u8>> {
    let mut state = 88_172_645_463_325_252_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut value = |_| {
        let length = 1 + random() as usize % most;
        (0..length).map(|_| random() as u8).collect()
    };
    (0..count).map(&mut value).collect()
}

/// One that is longer than a batch may be, compressed or not.
fn large() -> Vec<u8> {
    values(100, 200).concat()[..2_000].to_vec()
}

/// Sends all and waits for what becomes of each.
async fn send(lane: &mut dyn ProducerLane, topic: &str, values: &[Vec<u8>]) -> Vec<Ack> {
    let records: Vec<_> = values
        .iter()
        .zip(0..)
        .map(|(value, number)| record(topic, b"k", value, number))
        .collect();
    send_all(lane, &records).await
}

/// A topic that took them is told to take smaller batches only; for producers of each kind.
#[tokio::test(flavor = "multi_thread")]
async fn batches_that_are_too_large_are_sent_in_parts_and_nothing_overtakes() {
    let port = Kafka::new();
    for pairs in [
        &[][..],
        &[("compression.type", "lz4")],
        &[("compression.type", "zstd"), ("enable.idempotence", "false")],
        &[("enable.idempotence", "false"), ("acks", "1")],
    ] {
        let topic = topic(&port, "oversize", 1, &[]).await;
        let mut pairs = pairs.to_vec();
        pairs.extend([("batch.size", "8000"), ("linger.ms", "5")]);
        let mut lane = port.producer_lane(&config(&pairs), 1 << 20, None).expect("a lane");
        let values = values(3_000, 200);
        // These are stored as they are.
        let acks = send(&mut *lane, &topic, &values[..500]).await;
        assert_eq!((splits(&*lane), acks.len()), (0, 500));
        limit(&topic, MOST.1).await;
        let records: Vec<_> = (500..)
            .zip(&values[500..])
            .map(|(number, value)| record(&topic, b"k", value, number))
            .collect();
        let acks = send_all(&mut *lane, &records).await;
        for (ack, offset) in acks.iter().zip(500..) {
            let delivered = ack.outcome.as_ref().expect("stored");
            assert_eq!((ack.sequence, delivered.offset), (offset, offset as i64), "{pairs:?}");
        }
        assert!(splits(&*lane) > 30, "{} splits", splits(&*lane));
        assert_eq!(stored(&topic, values.len()).await, values, "{pairs:?}");
    }
}

/// RECORD_LIST_TOO_LARGE: a batch that is larger than a segment of the log.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_beyond_a_segment_is_sent_in_parts() {
    let port = Kafka::new();
    let configs = [("segment.bytes", "1048576"), ("max.message.bytes", "10000000")];
    let topic = topic(&port, "segment", 1, &configs).await;
    let client = config(&[
        ("batch.size", "4000000"),
        ("max.request.size", "9000000"),
        ("linger.ms", "100"),
    ]);
    let mut lane = port.producer_lane(&client, 16 << 20, None).expect("a lane");
    let values = values(9, 500_000);
    let acks = send(&mut *lane, &topic, &values).await;
    assert!(acks.iter().all(|ack| ack.outcome.is_ok()), "{acks:?}");
    assert!(splits(&*lane) > 0);
    assert_eq!(stored(&topic, 9).await, values);
}

/// A record that is too large by itself fails, and no other.
#[tokio::test(flavor = "multi_thread")]
async fn one_record_that_is_too_large_fails_alone() {
    let port = Kafka::new();
    let topic = topic(&port, "one", 1, &[MOST]).await;
    let mut lane = port
        .producer_lane(&config(&[("batch.size", "8000"), ("linger.ms", "50")]), 1 << 20, None)
        .expect("a lane");
    let mut all = values(200, 100);
    for place in [3, 77, 78, 199] {
        all[place] = large();
    }
    let mut acks = send(&mut *lane, &topic, &all).await;
    acks.sort_by_key(|ack| ack.sequence);
    let failed: Vec<u64> = acks
        .iter()
        .filter(|ack| ack.outcome.is_err())
        .map(|ack| ack.sequence)
        .collect();
    assert_eq!(failed, [3, 77, 78, 199]);
    let error = acks[3].outcome.as_ref().expect_err("too large");
    assert_eq!(error.code, "MessageSizeTooLarge");
    all.retain(|value| value.len() < 2_000);
    assert_eq!(stored(&topic, all.len()).await, all);
}

/// What is passed on whole is sent in parts too, and acknowledged once, when all of it is stored.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_passed_on_whole_is_sent_in_parts_where_it_is_too_large() {
    let port = Kafka::new();
    let limits = BatchLimits {
        codec: None,
        bytes: 1 << 20,
    };
    for codec in ["none", "snappy"] {
        let from = topic(&port, "whole", 1, &[]).await;
        let to = topic(&port, "parts", 1, &[MOST]).await;
        let mut all = values(1_500, 200);
        // In the midst of a batch: it is said of the batch, and others of it are there.
        all[400] = large();
        let client = config(&[("batch.size", "8000"), ("linger.ms", "20"), ("compression.type", codec)]);
        let mut lane = port.producer_lane(&client, 1 << 20, None).expect("a lane");
        send(&mut *lane, &from, &all).await;

        let mut reader = port
            .reader(&config(&[]), assignment(&from, Some(limits)))
            .expect("a reader");
        let mut lane = port.producer_lane(&config(&[]), 1 << 20, None).expect("a lane");
        let (mut acks, mut wholes) = (Vec::new(), Vec::<FetchedWhole>::new());
        while wholes.last().is_none_or(|whole| whole.last_offset + 1 < 1_500) {
            let found = match within(reader.next()).await {
                ReaderEvent::Batch(found) => found,
                ReaderEvent::Topic(..) => continue,
                other @ (ReaderEvent::Records(_) | ReaderEvent::Error(_)) => {
                    panic!("batches are whole: {other:?}")
                }
            };
            let whole = ProduceWhole {
                topic: &to,
                partition: 0,
                batch: &found.batch,
                sequence: wholes.len() as u64,
            };
            while !lane.pass(whole).expect("taken") {
                lane.try_acks(&mut acks);
                within(lane.ready()).await;
            }
            wholes.push(found);
        }
        while counted(&acks) < wholes.len() {
            within(lane.acks(&mut acks)).await;
        }
        assert_eq!((counted(&acks), lane.in_flight()), (wholes.len(), 0));
        assert!(splits(&*lane) > 100, "{} splits", splits(&*lane));
        acks.sort_by_key(|ack| ack.sequence);
        let mut first = 0;
        for (ack, whole) in each(acks).iter().zip(&wholes) {
            let holds_it = (first..=whole.last_offset).contains(&400);
            match &ack.outcome {
                Ok(delivered) if !holds_it => assert_eq!(delivered.offset, first - i64::from(first > 400)),
                Err(error) if holds_it => assert_eq!(error.code, "MessageSizeTooLarge"),
                other => panic!("{first}: {other:?}"),
            }
            first = whole.last_offset + 1;
        }
        all.remove(400);
        assert_eq!(stored(&to, all.len()).await, all);
    }
}
