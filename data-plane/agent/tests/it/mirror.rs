//! The mirror on the real broker, as a worker runs it: what arrives is what was there, record by record, on whichever way it came; over
//! restarts nothing is lost and, after an orderly end, nothing doubled. What arrived is read with librdkafka.

use dray_connect::offset::{OffsetMap, Primitive, SourcePartition};
use dray_connect::sink_batch::TopicPartition;
use dray_connect::source_batch::BatchLimits;
use dray_connect::{ConfigMap, Result, async_trait};
use dray_kafka::port::{
    Ack, Assignment, ClientConfig, HeaderRef, KafkaPort, NewTopic, ProduceRecord, ReaderEvent, TopicCreation,
};
use dray_kafka::{Kafka, RdKafka};
use dray_model::{ConnectorName, Generation, TargetState, TaskId};
use dray_providers::Resolved;
use dray_runtime::config::WorkerConfig;
use dray_runtime::metrics::RuntimeCollector;
use dray_runtime::offsets::{OffsetEntry, OffsetStore, key_json};
use dray_runtime::status::StatusBoard;
use dray_runtime::worker::{Running, Worker};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Long enough for a loaded machine; nothing waits for it to pass.
const PATIENCE: Duration = Duration::from_secs(60);
const PARTITIONS: usize = 8;
/// Ends a partition that is read back.
const END: &[u8] = b"the end";

fn bootstrap() -> String {
    std::env::var("DRAY_TEST_BOOTSTRAP").expect("set DRAY_TEST_BOOTSTRAP: run `make test`")
}

fn client() -> ClientConfig {
    ClientConfig::from([("bootstrap.servers".to_owned(), bootstrap())])
}

fn unique(name: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    format!("{name}-{at}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(PATIENCE, future).await;
    done.unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"))
}

/// Stored offsets in memory.
#[derive(Debug, Default)]
pub(crate) struct Offsets(Mutex<BTreeMap<String, OffsetMap>>);

#[async_trait]
impl OffsetStore for Offsets {
    async fn read(&self, connector: &str, partitions: &[SourcePartition]) -> Result<Vec<Option<OffsetMap>>> {
        let stored = self.0.lock().unwrap();
        let read = |partition: &SourcePartition| stored.get(&key_json(connector, partition)).cloned();
        Ok(partitions.iter().map(read).collect())
    }

    async fn list(&self, _connector: &str) -> Result<Vec<(OffsetMap, OffsetMap)>> {
        Ok(Vec::new())
    }

    async fn commit(&self, entries: Vec<OffsetEntry>) -> Result<()> {
        for entry in entries {
            let key = key_json(entry.task.connector.as_str(), &entry.partition);
            self.0.lock().unwrap().insert(key, entry.offset.unwrap());
        }
        Ok(())
    }
}

/// A record without its offset: timestamp, key, value, headers.
type Record = (
    Option<i64>,
    Option<Vec<u8>>,
    Option<Vec<u8>>,
    Vec<(Vec<u8>, Option<Vec<u8>>)>,
);

fn assignment(topic: &str, whole: Option<BatchLimits>) -> Assignment {
    let place = |partition| TopicPartition {
        topic: topic.into(),
        partition,
    };
    Assignment {
        partitions: (0..PARTITIONS as i32)
            .map(|partition| (place(partition), None))
            .collect(),
        prefetch: 4 << 20,
        whole,
    }
}

async fn produce(port: &dyn KafkaPort, settings: &[(&str, &str)], records: &[ProduceRecord<'_>]) {
    let mut config = client();
    config.extend(
        settings
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned())),
    );
    let mut lane = port.producer_lane(&config, 16 << 20, None).unwrap();
    let (mut sent, mut acks) = (0, Vec::<Ack>::new());
    while sent < records.len() {
        sent += lane.produce(&records[sent..]).unwrap();
        within("room", lane.ready()).await;
    }
    while acks.iter().map(|ack| ack.count).sum::<usize>() < sent {
        within("acknowledgements", lane.acks(&mut acks)).await;
    }
    assert!(acks.iter().all(|ack| ack.outcome.is_ok()), "{acks:?}");
}

/// Writes to all partitions, in several batches each: keys, tombstones, headers, timestamps.
async fn fill(port: &dyn KafkaPort, topic: &str, codec: &str, numbers: std::ops::Range<u32>) {
    let headers = [
        HeaderRef {
            key: "h",
            value: Some(b"1"),
        },
        HeaderRef { key: "h", value: None },
    ];
    let values: Vec<String> = numbers.clone().map(|n| format!("value-{n:0>60}")).collect();
    let records: Vec<_> = (0..PARTITIONS as i32)
        .flat_map(|partition| {
            numbers
                .clone()
                .zip(&values)
                .map(move |(n, value)| (partition, n, value))
        })
        .enumerate()
        .map(|(sequence, (partition, n, value))| ProduceRecord {
            topic,
            partition: Some(partition),
            timestamp: Some(1_000_000_000_000 + i64::from(n)),
            key: (n % 2 == 0).then_some(b"key"),
            value: (n % 5 != 0).then_some(value.as_bytes()),
            headers: if n % 3 == 0 { &headers } else { &[] },
            sequence: sequence as u64,
        })
        .collect();
    let settings = [("compression.type", codec), ("batch.size", "3000")];
    produce(port, &settings, &records).await;
}

/// All that a topic has, by partition. It gets a last record for each, so that what came too much is seen.
async fn all(topic: &str) -> Vec<Vec<Record>> {
    let rd = RdKafka::new();
    let end = |partition: i32| ProduceRecord {
        topic,
        partition: Some(partition),
        timestamp: None,
        key: None,
        value: Some(END),
        headers: &[],
        sequence: partition as u64,
    };
    let ends: Vec<_> = (0..PARTITIONS as i32).map(end).collect();
    produce(&rd, &[], &ends).await;
    let (mut found, mut open) = (vec![Vec::new(); PARTITIONS], PARTITIONS);
    let mut reader = rd.reader(&client(), assignment(topic, None)).unwrap();
    while open > 0 {
        let ReaderEvent::Records(batch) = within("records", reader.next()).await else {
            continue;
        };
        for record in &batch.records {
            let bytes = |slice: &Option<_>| slice.as_ref().map(|slice| batch.bytes(slice).to_vec());
            let headers = &batch.headers[record.headers.start as usize..record.headers.end as usize];
            let headers = headers
                .iter()
                .map(|(name, value)| (batch.bytes(name).to_vec(), bytes(value)));
            let value = bytes(&record.value);
            if value.as_deref() == Some(END) {
                open -= 1;
                continue;
            }
            let record = (
                record.partition,
                (record.timestamp, bytes(&record.key), value, headers.collect()),
            );
            found[record.0 as usize].push(record.1);
        }
    }
    found
}

/// The sizes of the batches of a topic, by partition, and the producers' last records left out.
async fn batches(port: &Kafka, topic: &str, records: usize) -> Vec<Vec<usize>> {
    let limits = BatchLimits {
        codec: None,
        bytes: usize::MAX,
    };
    let (mut found, mut seen) = (vec![Vec::new(); PARTITIONS], 0);
    let mut reader = port.reader(&client(), assignment(topic, Some(limits))).unwrap();
    while seen < records {
        match within("batches", reader.next()).await {
            ReaderEvent::Batch(whole) => {
                found[whole.partition as usize].push(whole.batch.count);
                seen += whole.batch.count;
            }
            ReaderEvent::Records(batch) => panic!("{} records", batch.records.len()),
            ReaderEvent::Topic(..) => {}
            ReaderEvent::Error(error) => assert!(error.is_retriable(), "{error}"),
        }
    }
    found
}

struct Stage {
    port: Arc<Kafka>,
    offsets: Arc<Offsets>,
    worker: Worker,
}

struct Pipeline {
    connector: Running,
    tasks: Vec<Running>,
}

impl Stage {
    fn new() -> Self {
        let (port, offsets) = (Arc::new(Kafka::new()), Arc::new(Offsets::default()));
        let bytes = "org.apache.kafka.connect.converters.ByteArrayConverter";
        let worker = ConfigMap::from([
            ("bootstrap.servers".to_owned(), bootstrap()),
            ("key.converter".to_owned(), bytes.to_owned()),
            ("value.converter".to_owned(), bytes.to_owned()),
            ("header.converter".to_owned(), bytes.to_owned()),
            ("offset.flush.interval.ms".to_owned(), "100".to_owned()),
        ]);
        let worker = Worker::new(
            WorkerConfig::parse(&worker).unwrap(),
            port.clone(),
            offsets.clone(),
            dray_agent::plugins::all(),
            StatusBoard::default(),
        );
        Self { port, offsets, worker }
    }

    async fn start(&self, config: &ConfigMap) -> Pipeline {
        let name = ConnectorName::try_from(&*config["name"]).unwrap();
        let (sender, mut configs) = mpsc::channel(4);
        let target = TargetState::Started;
        let connector = self
            .worker
            .start_connector(&name, &Resolved::plain(config), sender, target)
            .unwrap();
        let configs = within("task configurations", configs.recv()).await.unwrap().configs;
        let tasks = configs.iter().enumerate().map(|(number, task)| {
            let id = TaskId::new(name.clone(), number as u32);
            let started = self.worker.start_task(&id, Generation::INITIAL, config, task, target);
            started.unwrap()
        });
        let tasks = tasks.collect();
        Pipeline { connector, tasks }
    }

    /// A metric of all tasks together.
    fn measured(&self, name: &str) -> f64 {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(RuntimeCollector(self.worker.board().clone())));
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        let series = text.lines().filter(|line| line.starts_with(&format!("{name}{{")));
        series
            .map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap())
            .sum()
    }

    /// Waits until all of these are committed: the offset of the last record of each partition.
    async fn committed(&self, name: &str, topic: &str, last: i64) {
        let all = async {
            let key = |partition| key_json(name, &source_partition(topic, partition));
            let is = |partition| {
                let stored = self.offsets.0.lock().unwrap();
                stored.get(&key(partition)).and_then(|offset| offset.long("offset")) == Some(last)
            };
            while !(0..PARTITIONS as i32).all(is) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        within("commits", all).await;
    }
}

impl Pipeline {
    async fn stop(self) {
        for task in self.tasks {
            assert!(task.stop(Instant::now() + PATIENCE).await);
        }
        assert!(self.connector.stop(Instant::now() + PATIENCE).await);
    }
}

fn source_partition(topic: &str, partition: i32) -> SourcePartition {
    let map = OffsetMap::new()
        .with("cluster", Primitive::String("A".into()))
        .with("partition", Primitive::Long(partition.into()))
        .with("topic", Primitive::String(topic.into()));
    Arc::new(map)
}

fn config(name: &str, topic: &str, pairs: &[(&str, &str)]) -> ConfigMap {
    let servers = bootstrap();
    let fixed = [
        ("name", name),
        ("connector.class", "MirrorSource"),
        ("tasks.max", "3"),
        ("source.cluster.alias", "A"),
        ("target.cluster.alias", "B"),
        ("source.cluster.bootstrap.servers", &servers),
        ("topics", topic),
        ("replication.factor", "1"),
    ];
    let pairs = fixed.iter().chain(pairs);
    pairs
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

/// On each way, and started again between two parts of what is to be copied, and then in the middle of a batch.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_arrives_whichever_way() {
    const FIRST: u32 = 300;
    const ALL: u32 = 500;
    let nothing = ("transforms.n.regex", "nothing like this");
    let ways: [(&str, &[(&str, &str)]); 3] = [
        ("passed", &[]),
        ("decoded", &[("dray.pass.through", "false")]),
        (
            "converted",
            &[
                ("transforms", "n"),
                ("transforms.n.type", "org.apache.kafka.connect.transforms.RegexRouter"),
                nothing,
                ("transforms.n.replacement", "x"),
            ],
        ),
    ];
    for (way, settings) in ways {
        let stage = Stage::new();
        let topic = unique(way);
        let new = NewTopic {
            name: topic.clone(),
            partitions: PARTITIONS as i32,
            replication_factor: 1,
            configs: BTreeMap::from([("retention.ms".to_owned(), "-1".to_owned())]),
        };
        stage
            .port
            .admin(&client())
            .unwrap()
            .create_topic(&new, PATIENCE)
            .await
            .unwrap();
        // Records are of years ago, and are kept on the other side too.
        let to = format!("A.{topic}");
        let copy = NewTopic {
            name: to.clone(),
            partitions: 3,
            ..new
        };
        stage
            .port
            .admin(&client())
            .unwrap()
            .create_topic(&copy, PATIENCE)
            .await
            .unwrap();
        let config = config(way, &topic, settings);
        fill(&*stage.port, &topic, "none", 0..100).await;
        fill(&*stage.port, &topic, "lz4", 100..FIRST).await;
        let pipeline = stage.start(&config).await;
        assert_eq!(pipeline.tasks.len(), 3);
        stage.committed(way, &topic, i64::from(FIRST) - 1).await;
        // Of whole batches, too, each record counts.
        let records = (PARTITIONS as u32 * FIRST).into();
        for (metric, expected) in [("poll_total", records), ("write_total", records), ("active_count", 0.0)] {
            let metric = format!("kafka_connect_source_task_source_record_{metric}");
            assert!((stage.measured(&metric) - expected).abs() < 0.5, "{way}: {metric}");
        }
        pipeline.stop().await;
        fill(&*stage.port, &topic, "zstd", FIRST..ALL).await;
        let pipeline = stage.start(&config).await;
        stage.committed(way, &topic, i64::from(ALL) - 1).await;
        pipeline.stop().await;
        if way == "passed" {
            let records = PARTITIONS * ALL as usize;
            let there = batches(&stage.port, &to, records).await;
            assert!(
                there == batches(&stage.port, &topic, records).await,
                "whole batches are passed on"
            );
            assert!(
                there.iter().all(|sizes| sizes.len() > 8),
                "several a partition: {there:?}"
            );
        }
        // From the middle of a batch of partition 0.
        let at = source_partition(&topic, 0);
        let middle = OffsetMap::new().with("offset", Primitive::Long(6));
        stage.offsets.0.lock().unwrap().insert(key_json(way, &at), middle);
        let pipeline = stage.start(&config).await;
        stage.committed(way, &topic, i64::from(ALL) - 1).await;
        pipeline.stop().await;

        let mut expected = all(&topic).await;
        let again = expected[0][7..].to_vec();
        expected[0].extend(again);
        let found = all(&to).await;
        for (partition, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert_eq!(found.len(), expected.len(), "{way}, partition {partition}");
            assert!(found == expected, "{way}, partition {partition}");
        }
    }
}

/// Ended at any moment without an orderly end: nothing is lost, and order holds but for what is there twice.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_cut_off_is_copied_again() {
    const EACH: u32 = 2_000;
    let stage = Stage::new();
    let topic = unique("cut");
    let new = NewTopic {
        name: topic.clone(),
        partitions: PARTITIONS as i32,
        replication_factor: 1,
        configs: BTreeMap::from([("retention.ms".to_owned(), "-1".to_owned())]),
    };
    let admin = stage.port.admin(&client()).unwrap();
    admin.create_topic(&new, PATIENCE).await.unwrap();
    let to = format!("A.{topic}");
    admin
        .create_topic(
            &NewTopic {
                name: to.clone(),
                ..new
            },
            PATIENCE,
        )
        .await
        .unwrap();
    fill(&*stage.port, &topic, "none", 0..EACH).await;
    let config = config("cut", &topic, &[]);
    for round in 0..6_u64 {
        let mut pipeline = stage.start(&config).await;
        tokio::time::sleep(Duration::from_millis(round * 7)).await;
        for task in &mut pipeline.tasks {
            task.abort();
            within("the end", task.ended()).await;
        }
        pipeline.tasks.clear();
        pipeline.stop().await;
    }
    let pipeline = stage.start(&config).await;
    stage.committed("cut", &topic, i64::from(EACH) - 1).await;
    pipeline.stop().await;
    let (expected, found) = (all(&topic).await, all(&to).await);
    for (found, expected) in found.iter().zip(&expected) {
        let (mut next, mut repeated) = (0, 0);
        for record in found {
            // Timestamps number them.
            let place = expected
                .iter()
                .position(|other| other.0 == record.0)
                .expect("it is one of them");
            assert!(*record == expected[place]);
            assert!(place <= next, "{place} came before {next}");
            repeated += usize::from(place < next);
            next = next.max(place + 1);
        }
        assert_eq!(next, expected.len(), "nothing is lost; {repeated} came again");
    }
}

/// Deletes a topic, if it is there, and creates one of its name.
async fn created_anew(stage: &Stage, topic: &str) {
    let admin: AdminClient<DefaultClientContext> = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", bootstrap())
        .create()
        .unwrap();
    admin.delete_topics(&[topic], &AdminOptions::new()).await.unwrap();
    let new = NewTopic {
        name: topic.to_owned(),
        partitions: PARTITIONS as i32,
        replication_factor: 1,
        configs: BTreeMap::from([("retention.ms".to_owned(), "-1".to_owned())]),
    };
    let admin = stage.port.admin(&client()).unwrap();
    let created = async { while admin.create_topic(&new, PATIENCE).await.unwrap() != TopicCreation::Created {} };
    within("the topic", created).await;
}

/// While it is read, and while nobody reads it; each time the new topic gets longer than the old one was, so that the stored offset is one
/// of the new topic too.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_created_anew_is_copied_from_its_beginning() {
    for (way, pass) in [("anew-passed", "true"), ("anew-decoded", "false")] {
        let stage = Stage::new();
        let topic = unique(way);
        let to = format!("A.{topic}");
        created_anew(&stage, &to).await;
        created_anew(&stage, &topic).await;
        fill(&*stage.port, &topic, "none", 0..100).await;
        let config = config(way, &topic, &[("dray.pass.through", pass)]);
        let pipeline = stage.start(&config).await;
        stage.committed(way, &topic, 99).await;
        created_anew(&stage, &topic).await;
        fill(&*stage.port, &topic, "none", 100..300).await;
        stage.committed(way, &topic, 199).await;
        pipeline.stop().await;
        created_anew(&stage, &topic).await;
        fill(&*stage.port, &topic, "none", 300..600).await;
        let pipeline = stage.start(&config).await;
        stage.committed(way, &topic, 299).await;
        pipeline.stop().await;
        // Nothing is copied twice by who knows where it stood in which topic.
        let pipeline = stage.start(&config).await;
        fill(&*stage.port, &topic, "none", 600..601).await;
        stage.committed(way, &topic, 300).await;
        pipeline.stop().await;
        for found in all(&to).await {
            let numbers: Vec<i64> = found
                .iter()
                .map(|record| record.0.unwrap() - 1_000_000_000_000)
                .collect();
            assert_eq!(numbers, (0..601).collect::<Vec<_>>(), "{way}");
        }
    }
}
