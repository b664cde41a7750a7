//! The workloads of `deploy/bench/instructions.sh`, which counts their instructions: `instructions WORKLOAD RECORDS`.
//!
//! `string` is the whole way of a source: the file source reads lines, the String converter writes them, the ledger keeps
//! them, a producer lane takes and acknowledges them. `to-file` is the whole way of a sink: a consumer lends fetched records, the
//! String converter reads them, the file sink writes them. `json` and `json-schema` read values with the JSON converter;
//! `json-chain` and `json-schema-chain` put them through four transforms as well.

#![expect(clippy::unwrap_used, reason = "a measuring program ends at the first surprise")]

use dray_connect::backing::Backing;
use dray_connect::datum::Field;
use dray_connect::offset::{OffsetMap, SourcePartition};
use dray_connect::sink_batch::{TimestampType, TopicPartition};
use dray_connect::{ConfigMap, Result, async_trait};
use dray_converters::{Converter, Input, converter};
use dray_kafka::fake::FakeKafka;
use dray_kafka::port::{
    Ack, Admin, Assignment, ClientConfig, Consumer, ConsumerEvent, Delivered, FetchBatch, FetchedRecord, GroupMember,
    GroupOffsets, KafkaPort, ProduceRecord, ProduceRefused, ProducerLane, Reader, TopicTail, TransactionalProducer,
};
use dray_model::{ConnectorName, Generation, TargetState, TaskId};
use dray_runtime::config::WorkerConfig;
use dray_runtime::offsets::{OffsetEntry, OffsetStore};
use dray_runtime::status::StatusBoard;
use dray_runtime::worker::Worker;
use dray_transforms::{Chain, Origin};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// Lines that are different.
const LINES: usize = 1000;
/// Records of a batch for the converter.
const BATCH: usize = 500;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, workload, records] = arguments.as_slice() else {
        panic!("usage: instructions string|to-file|json|json-schema|json-chain|json-schema-chain RECORDS");
    };
    let records: usize = records.parse().unwrap();
    match workload.as_str() {
        "string" => string(records),
        "to-file" => to_file(records),
        "json" => json(records, false, &mut Chain::default()),
        "json-schema" => json(records, true, &mut Chain::default()),
        "json-chain" => json(records, false, &mut chain()),
        "json-schema-chain" => json(records, true, &mut chain()),
        other => panic!("there is no workload {other}"),
    }
}

/// Lines of 200 bytes from a file to a lane that acknowledges at once.
fn string(records: usize) {
    // The same lines again and again, in large writes, so that making them costs nothing for each record.
    assert_eq!(
        records % LINES,
        0,
        "the number of records must be a multiple of {LINES}"
    );
    let lines: String = (0..LINES).map(|number| format!("{number:0199}\n")).collect();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    for _ in 0..records / LINES {
        file.write_all(lines.as_bytes()).unwrap();
    }
    let task_config = config(&[
        ("name", "lines"),
        ("connector.class", "FileStreamSource"),
        ("topic", "t"),
        ("file", file.path().to_str().unwrap()),
    ]);
    run(0, &task_config, records);
}

/// Lines of 200 bytes from a consumer, which has them ready, to a file.
fn to_file(records: usize) {
    assert_eq!(
        records % BATCH,
        0,
        "the number of records must be a multiple of {BATCH}"
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lines");
    let task_config = config(&[
        ("name", "lines"),
        ("connector.class", "FileStreamSink"),
        ("topics", "t"),
        ("file", path.to_str().unwrap()),
    ]);
    run(records, &task_config, records);
    assert_eq!(std::fs::metadata(path).unwrap().len(), 200 * records as u64);
}

/// Runs a task with String converters until `records` are through; its consumer, if it has one, lends so many of them.
fn run(lend: usize, task_config: &ConfigMap, records: usize) {
    let string = "org.apache.kafka.connect.storage.StringConverter";
    let worker_config =
        WorkerConfig::parse(&config(&[("key.converter", string), ("value.converter", string)])).unwrap();
    let (port, mut acknowledged) = Port::new(lend);
    let plugins = dray_agent::plugins::all();
    let (port, offsets) = (Arc::new(port), Arc::new(Offsets));
    let worker = Worker::new(worker_config, port, offsets, plugins, StatusBoard::default());
    // One thread, so that the threads' order plays no part.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let id = TaskId::new(ConnectorName::try_from("lines").unwrap(), 0);
        let (generation, target) = (Generation::INITIAL, TargetState::Started);
        let task = worker
            .start_task(&id, generation, task_config, task_config, target)
            .unwrap();
        acknowledged.wait_for(|count| *count == records).await.unwrap();
        assert!(task.stop(Instant::now() + Duration::from_secs(60)).await);
    });
}

/// Objects of ten fields, as they come from a topic.
fn json(records: usize, with_schema: bool, chain: &mut Chain) {
    let enable = if with_schema { "true" } else { "false" };
    let mut converter = converter("Json", &config(&[("schemas.enable", enable)]), false).unwrap();
    let values: Vec<String> = (0..BATCH).map(|number| value(number, with_schema)).collect();
    let block = bytes(&values);
    let mut batch = Backing::default();
    for start in (0..records).step_by(BATCH) {
        batch.clear();
        let count = BATCH.min(records - start);
        read(converter.as_mut(), chain, &block, &values[..count], &mut batch);
    }
}

/// The chain of the benchmarks W4a and W4b.
fn chain() -> Chain {
    let class = |name: &str| format!("org.apache.kafka.connect.transforms.{name}$Value");
    Chain::read(&config(&[
        ("transforms", "replace,insert,mask,time"),
        ("transforms.replace.type", &class("ReplaceField")),
        ("transforms.replace.exclude", "note"),
        ("transforms.replace.renames", "qty:quantity"),
        ("transforms.insert.type", &class("InsertField")),
        ("transforms.insert.static.field", "src"),
        ("transforms.insert.static.value", "bench"),
        ("transforms.insert.topic.field", "topic"),
        ("transforms.mask.type", &class("MaskField")),
        ("transforms.mask.fields", "ssn"),
        ("transforms.time.type", &class("TimestampConverter")),
        ("transforms.time.field", "created"),
        ("transforms.time.target.type", "string"),
        ("transforms.time.format", "yyyy-MM-dd'T'HH:mm:ss.SSS'Z'"),
    ]))
    .unwrap()
}

fn read(
    converter: &mut dyn Converter,
    chain: &mut Chain,
    block: &bytes::Bytes,
    values: &[String],
    batch: &mut Backing,
) {
    let whole = batch.adopt(block.clone());
    let topic = batch.topic(&"orders".into());
    let mut at = 0;
    for value in values {
        let input = Input {
            bytes: &block[at..at + value.len()],
            span: whole.slice(at, at + value.len()),
        };
        at += value.len();
        let mut field = converter.to_connect("t", Some(input), batch).unwrap();
        if !chain.is_empty() {
            let input = dray_transforms::Input {
                topic,
                kafka_partition: Some(0),
                timestamp: Some(1),
                key: Field::default(),
                value: field,
                headers: None,
                origin: Origin::Sink { offset: 1 },
            };
            field = chain.apply(input, batch).unwrap().unwrap().value;
        }
        assert!(!std::hint::black_box(field).view(batch).1.is_null());
    }
}

fn bytes(values: &[String]) -> bytes::Bytes {
    values.concat().into_bytes().into()
}

fn value(number: usize, with_schema: bool) -> String {
    let random = number * 7919 % 100_000;
    let payload = format!(
        concat!(
            r#"{{"id":{},"name":"customer {:06}","email":"user{}@example.com","ssn":"{:03}-12-3456","qty":{},"#,
            r#""price":{}.99,"active":{},"created":{},"note":"an order of the shop in the high street {}","country":"DE"}}"#
        ),
        1_000_000 + number,
        random,
        random,
        random % 900 + 100,
        random % 97,
        random % 500,
        random.is_multiple_of(2),
        1_700_000_000_000_i64 + random as i64,
        random,
    );
    if !with_schema {
        return payload;
    }
    let types = [
        ("id", "int64"),
        ("name", "string"),
        ("email", "string"),
        ("ssn", "string"),
        ("qty", "int32"),
        ("price", "double"),
        ("active", "boolean"),
        ("created", "int64"),
        ("note", "string"),
        ("country", "string"),
    ];
    let fields = types.map(|(name, kind)| format!(r#"{{"type":"{kind}","optional":false,"field":"{name}"}}"#));
    let schema = format!(
        r#"{{"type":"struct","fields":[{}],"optional":false,"name":"shop.Order"}}"#,
        fields.join(",")
    );
    format!(r#"{{"schema":{schema},"payload":{payload}}}"#)
}

fn config(pairs: &[(&str, &str)]) -> ConfigMap {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect()
}

/// A Kafka that stores nothing, so that nothing but our own code is counted.
struct Port {
    fake: FakeKafka,
    acknowledged: watch::Sender<usize>,
    /// Records that its consumer has.
    lend: usize,
}

impl Port {
    fn new(lend: usize) -> (Self, watch::Receiver<usize>) {
        let (acknowledged, receiver) = watch::channel(0);
        let fake = FakeKafka::new();
        (
            Self {
                fake,
                acknowledged,
                lend,
            },
            receiver,
        )
    }
}

#[async_trait]
impl KafkaPort for Port {
    fn producer_lane(&self, _: &ClientConfig, _: usize, _: Option<&str>) -> dray_kafka::Result<Box<dyn ProducerLane>> {
        Ok(Box::new(Lane {
            waiting: Vec::new(),
            next_offset: 0,
            acknowledged: self.acknowledged.clone(),
        }))
    }

    fn consumer(&self, _: &ClientConfig, _: &[String], _: usize) -> dray_kafka::Result<Box<dyn Consumer>> {
        Ok(Box::new(Lender::new(self.lend, self.acknowledged.clone())))
    }

    fn admin(&self, config: &ClientConfig) -> dray_kafka::Result<Arc<dyn Admin>> {
        self.fake.admin(config)
    }

    fn reader(&self, config: &ClientConfig, assignment: Assignment) -> dray_kafka::Result<Box<dyn Reader>> {
        self.fake.reader(config, assignment)
    }

    fn tail(&self, config: &ClientConfig, topic: &str) -> dray_kafka::Result<Box<dyn TopicTail>> {
        self.fake.tail(config, topic)
    }

    async fn transactional_producer(
        &self,
        config: &ClientConfig,
        id: &str,
        timeout: Duration,
    ) -> dray_kafka::Result<Box<dyn TransactionalProducer>> {
        self.fake.transactional_producer(config, id, timeout).await
    }

    async fn fence(&self, config: &ClientConfig, id: &str, timeout: Duration) -> dray_kafka::Result<()> {
        self.fake.fence(config, id, timeout).await
    }

    async fn group_members(
        &self,
        config: &ClientConfig,
        group: &str,
        timeout: Duration,
    ) -> dray_kafka::Result<Vec<GroupMember>> {
        self.fake.group_members(config, group, timeout).await
    }

    async fn leave_on_behalf(
        &self,
        config: &ClientConfig,
        group: &str,
        members: &[GroupMember],
        timeout: Duration,
    ) -> dray_kafka::Result<()> {
        self.fake.leave_on_behalf(config, group, members, timeout).await
    }

    async fn group_offsets(
        &self,
        config: &ClientConfig,
        group: &str,
        timeout: Duration,
    ) -> dray_kafka::Result<GroupOffsets> {
        self.fake.group_offsets(config, group, timeout).await
    }

    async fn alter_group_offsets(
        &self,
        config: &ClientConfig,
        group: &str,
        offsets: &BTreeMap<TopicPartition, Option<i64>>,
        timeout: Duration,
    ) -> dray_kafka::Result<()> {
        self.fake.alter_group_offsets(config, group, offsets, timeout).await
    }

    async fn delete_group(&self, config: &ClientConfig, group: &str, timeout: Duration) -> dray_kafka::Result<()> {
        self.fake.delete_group(config, group, timeout).await
    }
}

struct Lane {
    waiting: Vec<Ack>,
    next_offset: i64,
    acknowledged: watch::Sender<usize>,
}

#[async_trait]
impl ProducerLane for Lane {
    fn produce(&mut self, records: &[ProduceRecord<'_>]) -> Result<usize, ProduceRefused> {
        for record in records {
            let delivered = Delivered {
                partition: 0,
                offset: self.next_offset,
            };
            Ack::append(&mut self.waiting, record.sequence, Ok(delivered));
            self.next_offset += 1;
        }
        Ok(records.len())
    }

    async fn ready(&mut self) {}

    async fn acks(&mut self, out: &mut Vec<Ack>) {
        if self.waiting.is_empty() {
            std::future::pending::<()>().await;
        }
        self.try_acks(out);
    }

    fn try_acks(&mut self, out: &mut Vec<Ack>) {
        let records: usize = self.waiting.iter().map(|ack| ack.count).sum();
        self.acknowledged.send_modify(|count| *count += records);
        out.append(&mut self.waiting);
    }

    fn in_flight(&self) -> usize {
        self.waiting.iter().map(|ack| ack.count).sum()
    }
}

/// A member that has one partition, and the same fetch for it again and again.
struct Lender {
    fetch: FetchBatch,
    assigned: bool,
    /// Records that are still to be lent.
    left: usize,
    next_offset: i64,
    lent: watch::Sender<usize>,
}

impl Lender {
    fn new(records: usize, lent: watch::Sender<usize>) -> Self {
        let data: String = (0..BATCH).map(|number| format!("{number:0199}")).collect();
        let record = |place: usize| FetchedRecord {
            topic: 0,
            partition: 0,
            offset: 0,
            timestamp: Some(1),
            timestamp_type: TimestampType::CreateTime,
            key: None,
            value: Some(199 * place as u32..199 * (place as u32 + 1)),
            headers: 0..0,
        };
        let fetch = FetchBatch {
            data: data.into(),
            topics: vec!["t".into()],
            headers: Vec::new(),
            records: (0..BATCH).map(record).collect(),
        };
        Self {
            fetch,
            assigned: false,
            left: records,
            next_offset: 0,
            lent,
        }
    }
}

#[async_trait]
impl Consumer for Lender {
    async fn event(&mut self) -> ConsumerEvent {
        if !self.assigned {
            self.assigned = true;
            let partition = TopicPartition {
                topic: "t".into(),
                partition: 0,
            };
            return ConsumerEvent::Assigned(vec![(partition, None)]);
        }
        // What was lent before is written: a sink asks for the next event only then.
        self.lent.send_modify(|count| *count = self.next_offset as usize);
        if self.left == 0 {
            std::future::pending::<()>().await;
        }
        self.left -= BATCH;
        let mut records = self.fetch.records.clone();
        for record in &mut records {
            record.offset = self.next_offset;
            self.next_offset += 1;
        }
        ConsumerEvent::Records(FetchBatch {
            data: self.fetch.data.clone(),
            topics: self.fetch.topics.clone(),
            headers: Vec::new(),
            records,
        })
    }

    async fn revoked(&mut self) {}

    async fn commit(&mut self, _: &BTreeMap<TopicPartition, i64>) -> dray_kafka::Result<()> {
        Ok(())
    }

    async fn seek(&mut self, _: &TopicPartition, _: i64) -> dray_kafka::Result<()> {
        Ok(())
    }

    async fn pause(&mut self, _: &[TopicPartition]) -> dray_kafka::Result<()> {
        Ok(())
    }

    async fn resume(&mut self, _: &[TopicPartition]) -> dray_kafka::Result<()> {
        Ok(())
    }

    async fn subscribe(&mut self, _: &[String]) -> dray_kafka::Result<()> {
        Ok(())
    }

    fn leave_when_lost(&mut self) {}

    async fn rejoin(&mut self) -> dray_kafka::Result<()> {
        Ok(())
    }

    async fn close(self: Box<Self>) {}
}

/// Keeps nothing.
struct Offsets;

#[async_trait]
impl OffsetStore for Offsets {
    async fn read(&self, _: &str, partitions: &[SourcePartition]) -> Result<Vec<Option<OffsetMap>>> {
        Ok(vec![None; partitions.len()])
    }

    async fn list(&self, _: &str) -> Result<Vec<(OffsetMap, OffsetMap)>> {
        Ok(Vec::new())
    }

    async fn commit(&self, _: Vec<OffsetEntry>) -> Result<()> {
        Ok(())
    }
}
