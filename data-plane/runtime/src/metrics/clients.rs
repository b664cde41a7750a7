//! What the Kafka clients of tasks measure: the names of Java's MBeans and attributes, `kafka.producer:type=producer-metrics` and
//! `record-send-rate` being `kafka_producer_record_send_rate`. With the label `topic`, or `topic` and `partition`, where the MBean has them.

use super::rows::View;
use super::{Labels, counters, gauges};
use dray_kafka::metrics::{ClientNumbers, ConsumerMetrics, ProducerMetrics, ReadOfTopic, SentToTopic};
use prometheus_client::encoding::DescriptorEncoder;
use std::fmt;
use tokio::time::Instant;

/// Something that is measured, with its labels, when it was looked at, and the task that it is of.
struct Seen<'a, T> {
    labels: Labels,
    what: T,
    now: Instant,
    view: &'a View,
}

type Gauge<T> = (&'static str, &'static str, fn(&T, Instant) -> f64);
type Counter<T> = (&'static str, &'static str, fn(&T) -> u64);

const PRODUCER: &[Gauge<ProducerMetrics>] = &[
    ("record_send_rate", "Records sent a second.", |m, now| {
        m.records.rate(now)
    }),
    ("byte_rate", "Bytes of batches sent a second.", |m, now| {
        m.bytes.rate(now)
    }),
    ("record_retry_rate", "Records sent again a second.", |m, now| {
        m.retries.rate(now)
    }),
    (
        "record_error_rate",
        "Records a second that could not be written.",
        |m, now| m.errors.rate(now),
    ),
    (
        "batch_split_rate",
        "Batches a second that the broker found too large, and that were sent in two.",
        |m, now| m.splits.rate(now),
    ),
    ("batch_size_avg", "Bytes of the mean batch.", |m, now| {
        m.batch.average(now)
    }),
    ("batch_size_max", "Bytes of the largest batch.", |m, now| {
        m.batch.max(now)
    }),
    (
        "compression_rate_avg",
        "Size of the mean batch on the wire over its size before compression.",
        |m, now| m.compression.average(now),
    ),
    (
        "record_queue_time_avg",
        "Milliseconds from a batch's first record until it was sent, in the mean.",
        |m, now| m.queued.average(now),
    ),
    (
        "record_queue_time_max",
        "Milliseconds from a batch's first record until it was sent, at most.",
        |m, now| m.queued.max(now),
    ),
    (
        "request_latency_avg",
        "Milliseconds until a batch was answered, in the mean.",
        |m, now| m.latency.average(now),
    ),
    (
        "request_latency_max",
        "Milliseconds until a batch was answered, at most.",
        |m, now| m.latency.max(now),
    ),
    (
        "produce_throttle_time_avg",
        "Milliseconds for which the broker throttled, in the mean.",
        |m, now| m.throttle.average(now),
    ),
    (
        "produce_throttle_time_max",
        "Milliseconds for which the broker throttled, at most.",
        |m, now| m.throttle.max(now),
    ),
    (
        "buffer_total_bytes",
        "Bytes that the task may have on their way.",
        |m, _| m.quota as f64,
    ),
    (
        "buffer_available_bytes",
        "Of these, bytes that were free when a batch last left or was answered.",
        |m, _| m.quota.saturating_sub(m.used) as f64,
    ),
];

const PRODUCER_COUNTERS: &[Counter<ProducerMetrics>] = &[
    (
        "record_send",
        "Records sent; one that is sent again counts again.",
        |m| m.records.total,
    ),
    ("byte", "Bytes of batches sent.", |m| m.bytes.total),
    ("record_retry", "Records sent again.", |m| m.retries.total),
    ("record_error", "Records that could not be written.", |m| m.errors.total),
    (
        "batch_split",
        "Batches that the broker found too large, and that were sent in two.",
        |m| m.splits.total,
    ),
];

const PRODUCER_TOPIC: &[Gauge<SentToTopic>] = &[
    ("record_send_rate", "Records sent a second.", |m, now| {
        m.records.rate(now)
    }),
    ("byte_rate", "Bytes of batches sent a second.", |m, now| {
        m.bytes.rate(now)
    }),
    (
        "compression_rate",
        "Size of the mean batch on the wire over its size before compression.",
        |m, now| m.compression.average(now),
    ),
];

const PRODUCER_TOPIC_COUNTERS: &[Counter<SentToTopic>] = &[
    (
        "record_send",
        "Records sent; one that is sent again counts again.",
        |m| m.records.total,
    ),
    ("byte", "Bytes of batches sent.", |m| m.bytes.total),
];

const FETCHES: &[Gauge<ConsumerMetrics>] = &[
    (
        "fetch_rate",
        "Answers with records for this consumer, a second.",
        |m, now| m.fetches.rate(now),
    ),
    (
        "fetch_size_avg",
        "Bytes for this consumer in the mean answer.",
        |m, now| m.fetch_size.average(now),
    ),
    (
        "fetch_size_max",
        "Bytes for this consumer in the largest answer.",
        |m, now| m.fetch_size.max(now),
    ),
    (
        "fetch_latency_avg",
        "Milliseconds until such an answer, in the mean; the broker may have waited for records.",
        |m, now| m.fetch_latency.average(now),
    ),
    (
        "fetch_latency_max",
        "Milliseconds until such an answer, at most.",
        |m, now| m.fetch_latency.max(now),
    ),
    (
        "fetch_throttle_time_avg",
        "Milliseconds for which the broker throttled, in the mean.",
        |m, now| m.fetch_throttle.average(now),
    ),
    (
        "fetch_throttle_time_max",
        "Milliseconds for which the broker throttled, at most.",
        |m, now| m.fetch_throttle.max(now),
    ),
];

const FETCH_COUNTERS: &[Counter<ConsumerMetrics>] =
    &[("fetch", "Answers with records for this consumer.", |m| m.fetches.total)];

const FETCH_TOPIC: &[Gauge<ReadOfTopic>] = &[
    ("records_consumed_rate", "Records read a second.", |m, now| {
        m.records.rate(now)
    }),
    (
        "bytes_consumed_rate",
        "Bytes read a second, as they came over the wire.",
        |m, now| m.bytes.rate(now),
    ),
];

const FETCH_TOPIC_COUNTERS: &[Counter<ReadOfTopic>] = &[
    ("records_consumed", "Records read.", |m| m.records.total),
    ("bytes_consumed", "Bytes read, as they came over the wire.", |m| {
        m.bytes.total
    }),
];

const COORDINATOR: &[Gauge<ConsumerMetrics>] = &[
    ("assigned_partitions", "Partitions of this member.", |m, _| {
        m.assigned as f64
    }),
    ("commit_latency_avg", "Milliseconds of the mean commit.", |m, now| {
        m.commit_latency.average(now)
    }),
    ("commit_latency_max", "Milliseconds of the longest commit.", |m, now| {
        m.commit_latency.max(now)
    }),
    ("commit_rate", "Commits a second.", |m, now| m.commits.rate(now)),
    ("heartbeat_rate", "Heartbeats answered a second.", |m, now| {
        m.heartbeats.rate(now)
    }),
    (
        "heartbeat_response_time_max",
        "Milliseconds until a heartbeat was answered, at most.",
        |m, now| m.heartbeat_response.max(now),
    ),
    (
        "last_heartbeat_seconds_ago",
        "Seconds since a heartbeat was answered; -1: none has been.",
        |m, now| ago(m.last_heartbeat, now),
    ),
    (
        "last_rebalance_seconds_ago",
        "Seconds since the member's partitions changed; -1: they have not yet.",
        |m, now| ago(m.last_rebalance, now),
    ),
];

const COORDINATOR_COUNTERS: &[Counter<ConsumerMetrics>] = &[
    ("commit", "Commits.", |m| m.commits.total),
    ("heartbeat", "Heartbeats answered.", |m| m.heartbeats.total),
    ("rebalance", "Times the member's partitions changed.", |m| {
        m.rebalances.total
    }),
];

/// As Java's clients say it, in whole seconds.
fn ago(at: Option<Instant>, now: Instant) -> f64 {
    at.map_or(-1.0, |at| (now - at).as_secs() as f64)
}

fn table<T>(
    encoder: &mut DescriptorEncoder<'_>,
    prefix: &str,
    seen: &[Seen<'_, T>],
    rows: &[Gauge<T>],
    totals: &[Counter<T>],
) -> fmt::Result {
    for (name, help, read) in rows {
        let values = seen.iter().map(|one| (one.labels.clone(), read(&one.what, one.now)));
        gauges(encoder, &format!("{prefix}_{name}"), help, values)?;
    }
    for (name, help, read) in totals {
        let values = seen.iter().map(|one| (one.labels.clone(), read(&one.what)));
        counters(encoder, &format!("{prefix}_{name}"), help, values)?;
    }
    Ok(())
}

/// What all clients of these tasks say.
pub(super) fn tell(encoder: &mut DescriptorEncoder<'_>, views: &[View]) -> fmt::Result {
    let (mut producers, mut sent, mut consumers, mut read) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for view in views {
        for (id, client) in &view.numbers.clients {
            let mut labels = view.labels.clone();
            labels.push(("client_id", id.clone()));
            let of_topic = |topic: &str| [&labels[..], &[("topic", topic.to_owned())]].concat();
            match client.numbers() {
                Some(ClientNumbers::Producer(numbers)) => {
                    sent.extend(
                        numbers
                            .topics
                            .iter()
                            .map(|(topic, sent)| view.seen(of_topic(topic), **sent)),
                    );
                    producers.push(view.seen(labels, numbers));
                }
                Some(ClientNumbers::Consumer(numbers)) => {
                    read.extend(
                        numbers
                            .topics
                            .iter()
                            .map(|(topic, read)| view.seen(of_topic(topic), **read)),
                    );
                    consumers.push(view.seen(labels, numbers));
                }
                None => {}
            }
        }
    }
    table(encoder, "kafka_producer", &producers, PRODUCER, PRODUCER_COUNTERS)?;
    table(
        encoder,
        "kafka_producer_topic",
        &sent,
        PRODUCER_TOPIC,
        PRODUCER_TOPIC_COUNTERS,
    )?;
    table(
        encoder,
        "kafka_consumer_fetch_manager",
        &consumers,
        FETCHES,
        FETCH_COUNTERS,
    )?;
    table(
        encoder,
        "kafka_consumer_fetch_manager",
        &read,
        FETCH_TOPIC,
        FETCH_TOPIC_COUNTERS,
    )?;
    table(
        encoder,
        "kafka_consumer_coordinator",
        &consumers,
        COORDINATOR,
        COORDINATOR_COUNTERS,
    )?;
    lags(encoder, &consumers)
}

/// How far a sink's partitions are read. Its task knows that, and has one consumer.
fn lags(encoder: &mut DescriptorEncoder<'_>, consumers: &[Seen<'_, ConsumerMetrics>]) -> fmt::Result {
    let each = consumers.iter().flat_map(|one| {
        one.view.numbers.lags.iter().map(|(place, records)| {
            let place = [
                ("topic", place.topic.to_string()),
                ("partition", place.partition.to_string()),
            ];
            ([&one.labels[..], &place].concat(), *records as f64)
        })
    });
    gauges(
        encoder,
        "kafka_consumer_fetch_manager_records_lag",
        "Records from what the sink has taken to the end of the partition.",
        each,
    )?;
    let most = consumers.iter().map(|one| {
        let lags = one.view.numbers.lags.iter().map(|(_, records)| *records as f64);
        (one.labels.clone(), lags.fold(f64::NAN, f64::max))
    });
    gauges(
        encoder,
        "kafka_consumer_fetch_manager_records_lag_max",
        "The most of these among the consumer's partitions; NaN: it does not know yet.",
        most,
    )
}

impl View {
    fn seen<T>(&self, labels: Labels, what: T) -> Seen<'_, T> {
        Seen {
            labels,
            what,
            now: self.now,
            view: self,
        }
    }
}
