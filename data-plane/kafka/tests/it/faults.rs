//! The fault matrix: every error code that Kafka documents for produce, fetch, commit and group membership, answered once
//! by the dev broker, and what the port makes of it. One table for each API.
//!
//! Left out is 120 TRANSACTION_ABORTABLE on produce: rdkafka's enum does not have it, and rdkafka makes an invalid enum of it,
//! which ends a debug build.

mod cluster;
mod commit;
mod fetch;
mod group;
mod member;
mod produce;

use super::{PATIENCE, counted, each, offer, record, unique, within};
use dray_connect::sink_batch::TopicPartition;
use dray_devbroker::{ApiKey, Config, DevBroker, Fault, ResponseError};
use dray_kafka::port::{ClientConfig, Consumer, ConsumerEvent, KafkaPort, NewTopic, ProduceRecord, ProducerLane};
use dray_kafka::{Class, Error, Kafka, RdKafka};
use futures::StreamExt as _;
use std::collections::BTreeMap;
use std::time::Duration;

/// The name of the one topic of a case; each case has a broker of its own.
const TOPIC: &str = "t";

/// A dev broker with one topic of one partition, and a port to it.
struct Rig {
    broker: DevBroker,
    port: Box<dyn KafkaPort>,
}

/// Both clients.
fn ports() -> [Box<dyn KafkaPort>; 2] {
    [Box::new(Kafka::new()), Box::new(RdKafka::new())]
}

impl Rig {
    async fn start() -> Self {
        Self::with(Box::new(RdKafka::new())).await
    }

    async fn with(port: Box<dyn KafkaPort>) -> Self {
        let broker = DevBroker::start(Config::default()).await.expect("a dev broker");
        let rig = Self { broker, port };
        let new = NewTopic {
            name: TOPIC.to_owned(),
            partitions: 1,
            replication_factor: 1,
            configs: BTreeMap::new(),
        };
        let admin = rig.port.admin(&rig.config(&[])).expect("admin");
        admin.create_topic(&new, PATIENCE).await.expect("a topic");
        rig
    }

    fn config(&self, pairs: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::from([("bootstrap.servers".to_owned(), self.broker.bootstrap_servers())]);
        // Retries come soon, so that the whole matrix takes seconds.
        for (key, value) in [("retry.backoff.ms", "10"), ("retry.backoff.max.ms", "50")]
            .iter()
            .chain(pairs)
        {
            config.insert((*key).to_owned(), (*value).to_owned());
        }
        config
    }

    fn inject(&self, api: ApiKey, error: ResponseError) {
        self.broker.faults().inject(api, 1, Fault::Error(error));
    }

    /// Whether the fault has happened: without it a case could pass because its request was never made.
    fn fired(&self, api: ApiKey) -> bool {
        self.broker.faults().pending(api) == 0
    }

    /// Takes events until the fault has happened.
    async fn until_fired(&self, api: ApiKey, seen: &mut Seen, consumer: &mut dyn Consumer) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !self.fired(api) {
            assert!(
                tokio::time::Instant::now() < deadline,
                "{api:?} was not asked; {seen:?}"
            );
            // Nothing tells of a request that arrives, so look again from time to time.
            let turn = seen.until(consumer, |_| self.fired(api));
            tokio::time::timeout(Duration::from_millis(10), turn).await.ok();
        }
    }

    async fn lane(&self) -> Box<dyn ProducerLane> {
        self.port.producer_lane(&self.config(&[]), 1 << 20, None).expect("lane")
    }

    fn consumer(&self, group: &str, pairs: &[(&str, &str)]) -> Box<dyn Consumer> {
        let mut config = self.config(&[
            ("group.id", group),
            // The classic protocol, with heartbeats that meet their fault soon.
            ("session.timeout.ms", "6000"),
            ("heartbeat.interval.ms", "100"),
            ("fetch.error.backoff.ms", "10"),
            ("fetch.max.wait.ms", "50"),
        ]);
        config.extend(
            pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned())),
        );
        self.port
            .consumer(&config, &[TOPIC.to_owned()], 1 << 20)
            .expect("consumer")
    }

    /// The values in the log, in order.
    async fn log(&self) -> Vec<u32> {
        // librdkafka's broker knows no topic ids, which our own fetches need.
        let mut tail = RdKafka::new().tail(&self.config(&[]), TOPIC).expect("tail");
        let mut values = Vec::new();
        let mut visit =
            |record: dray_kafka::port::TailRecord<'_>| values.push(number(record.value.unwrap_or_default()));
        tail.read_to_end(PATIENCE, &mut visit).await.expect("read");
        values
    }
}

fn number(bytes: &[u8]) -> u32 {
    String::from_utf8_lossy(bytes).parse().expect("a number")
}

fn place() -> TopicPartition {
    TopicPartition {
        topic: TOPIC.into(),
        partition: 0,
    }
}

/// Sends numbers and waits for all their outcomes, by number.
async fn send(lane: &mut dyn ProducerLane, numbers: std::ops::Range<u32>) -> BTreeMap<u32, Result<(), Error>> {
    let values: Vec<String> = numbers.clone().map(|n| n.to_string()).collect();
    let records: Vec<ProduceRecord<'_>> = values
        .iter()
        .zip(numbers.clone())
        .map(|(value, n)| record(TOPIC, b"k", value.as_bytes(), u64::from(n)))
        .collect();
    let mut outcomes = BTreeMap::new();
    let (mut sent, mut acks) = (0, Vec::new());
    while sent < records.len() {
        match offer(lane, &records[sent..]).await {
            Ok(taken) => sent += taken,
            // The next record may be taken all the same.
            Err(refused) => {
                sent += refused.taken;
                outcomes.insert(records[sent].sequence as u32, Err(refused.error));
                sent += 1;
            }
        }
    }
    while counted(&acks) + outcomes.len() < records.len() {
        within(lane.acks(&mut acks)).await;
    }
    outcomes.extend(
        each(acks)
            .into_iter()
            .map(|ack| (ack.sequence as u32, ack.outcome.map(drop).map_err(|error| *error))),
    );
    outcomes
}

/// What a member has seen, by the time that a wish came true.
#[derive(Debug, Default)]
struct Seen {
    values: Vec<u32>,
    offsets: Vec<i64>,
    errors: Vec<Error>,
    assigned: Vec<Option<i64>>,
    revoked: usize,
    lost: usize,
}

impl Seen {
    /// Takes events until `wish`; answers revocations. Fails with what was seen when the wish does not come true.
    async fn until(&mut self, consumer: &mut dyn Consumer, wish: impl Fn(&Self) -> bool) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
        while !wish(self) {
            let event = tokio::time::timeout_at(deadline, consumer.event()).await;
            match event.unwrap_or_else(|_| panic!("in time; seen: {self:?}")) {
                ConsumerEvent::Records(batch) => {
                    for record in &batch.records {
                        let value = record.value.as_ref().expect("a value");
                        self.values.push(number(batch.bytes(value)));
                        self.offsets.push(record.offset);
                    }
                }
                ConsumerEvent::Assigned(partitions) => {
                    self.assigned
                        .extend(partitions.into_iter().map(|(_, committed)| committed));
                }
                ConsumerEvent::Revoked(_) => {
                    self.revoked += 1;
                    consumer.revoked().await;
                }
                ConsumerEvent::Lost(_) => self.lost += 1,
                ConsumerEvent::Error(error) => self.errors.push(error),
            }
        }
    }

    /// The whole log has come, once and in order.
    fn has_all(&self, count: u32) -> bool {
        self.values == (0..count).collect::<Vec<_>>()
    }
}

/// What a request's error comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// The client goes on by itself, and the work is done as if nothing had happened.
    GoesOn,
    /// The operation fails, or the consumer says so, with this class and this code in the text.
    Fails(Class, &'static str),
    /// The member loses its partitions, joins anew, and goes on where the group's offsets are.
    Rejoins,
}

use Class::{Fatal, Fenced, Retriable};
use Outcome::{Fails, GoesOn, Rejoins};

/// Only a static member can be fenced by another of its name; librdkafka relies on that, and a dynamic one that hears so
/// never ends.
fn instance(code: ResponseError) -> &'static [(&'static str, &'static str)] {
    if code == ResponseError::FencedInstanceId {
        &[("group.instance.id", "i")]
    } else {
        &[]
    }
}

fn check_error(case: ResponseError, error: &Error, class: Class, code: &str) {
    assert_eq!((error.class, error.code.as_str()), (class, code), "{case:?}: {error}");
    assert!(error.to_string().contains(code), "{case:?}: {error}");
}

/// Runs all cases of a table, some at a time: most of each is waiting for a back-off.
async fn run_all<F: Future<Output = ()>>(
    table: &[(ResponseError, Outcome)],
    case: impl Fn(ResponseError, Outcome) -> F,
) {
    futures::stream::iter(table)
        .for_each_concurrent(8, |&(code, expected)| case(code, expected))
        .await;
    for (place, (code, _)) in table.iter().enumerate() {
        assert!(
            !table[..place].iter().any(|(earlier, _)| earlier == code),
            "{code:?} twice"
        );
    }
}
