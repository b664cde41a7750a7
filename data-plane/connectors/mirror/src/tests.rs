//! The connector and its task over the fake Kafka: what is copied where, from which offset on, and what goes wrong.

use crate::config::{Plan, assigned, for_tasks, without_effect};
use crate::{MirrorSourceConnector, MirrorSourceTask, clients, offsets};
use dray_connect::config::ConfigMap;
use dray_connect::connector::{SourceConnector, SourceTask};
use dray_connect::context::{ConnectorContext, ConnectorRequest, Loan, OffsetReader, SourceTaskContext};
use dray_connect::datum::ValueRef;
use dray_connect::offset::{OffsetMap, Primitive, SourcePartition};
use dray_connect::sink_batch::TopicPartition;
use dray_connect::source_batch::{Body, ShortCuts, SourceBatch};
use dray_connect::{Error, Result, async_trait};
use dray_kafka::fake::FakeKafka;
use dray_kafka::port::{ClientConfig, Clients, HeaderRef, KafkaPort, ProduceRecord, Start};
use std::sync::Arc;
use tokio::sync::mpsc;

fn map(pairs: &[(&str, &str)]) -> ConfigMap {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn config(pairs: &[(&str, &str)]) -> ConfigMap {
    let mut config = map(&[
        ("name", "m"),
        ("source.cluster.alias", "A"),
        ("target.cluster.alias", "B"),
        ("source.cluster.bootstrap.servers", "a:1"),
        ("topics", "t, orders-.*"),
    ]);
    config.extend(map(pairs));
    config
}

fn loan(kafka: &FakeKafka) -> Option<Loan> {
    Some(Arc::new(Clients {
        port: Arc::new(kafka.clone()),
        admin: ClientConfig::new(),
    }))
}

fn at(topic: &str, partition: i32) -> TopicPartition {
    TopicPartition {
        topic: topic.into(),
        partition,
    }
}

struct Stored(Vec<(SourcePartition, OffsetMap)>);

#[async_trait]
impl OffsetReader for Stored {
    async fn offsets(&self, partitions: &[SourcePartition]) -> Result<Vec<Option<OffsetMap>>> {
        let find = |at: &SourcePartition| self.0.iter().find(|(known, _)| known == at).map(|(_, map)| map.clone());
        Ok(partitions.iter().map(find).collect())
    }
}

fn context(kafka: &FakeKafka, stored: Vec<(SourcePartition, OffsetMap)>, short_cuts: ShortCuts) -> SourceTaskContext {
    SourceTaskContext::new(Arc::new(Stored(stored)))
        .allowing(short_cuts)
        .lending(loan(kafka))
}

fn stored(topic: &str, partition: i32, offset: i64) -> (SourcePartition, OffsetMap) {
    (
        offsets::partition("A", &at(topic, partition)),
        offsets::offset(offset, None).to_map(),
    )
}

#[test]
fn clients_are_layered() {
    let config = config(&[
        ("source.cluster.security.protocol", "SSL"),
        ("source.cluster.fetch.min.bytes", "7"),
        ("consumer.fetch.max.bytes", "1"),
        ("consumer.max.poll.records", "5"),
        ("consumer.poll.timeout.ms", "500"),
        ("consumer.override.client.id", "no"),
        ("source.consumer.fetch.max.bytes", "2"),
        ("source.consumer.client.id", "mine"),
        ("admin.timeout.ms", "5"),
        ("source.admin.retries", "3"),
        ("task.index", "2"),
    ]);
    let plan = Plan::new(&config).unwrap();
    let expected = map(&[
        ("bootstrap.servers", "a:1"),
        ("security.protocol", "SSL"),
        ("max.poll.records", "5"),
        ("fetch.max.bytes", "2"),
        ("enable.auto.commit", "false"),
        ("auto.offset.reset", "earliest"),
        ("client.id", "mine|A->B|m-2|replication-consumer"),
    ]);
    assert_eq!(clients::consumer(&config, &plan).unwrap(), expected);
    let admin = clients::source_admin(&config, &plan).unwrap();
    assert_eq!((&*admin["retries"], admin.contains_key("timeout.ms")), ("3", false));

    let worker = map(&[
        ("bootstrap.servers", "w:1"),
        ("sasl.mechanism", "PLAIN"),
        ("client.id", "w"),
    ]);
    let target = clients::target_admin(&config, &plan, &worker);
    assert_eq!(
        (&*target["bootstrap.servers"], &*target["sasl.mechanism"]),
        ("w:1", "PLAIN")
    );
    assert_eq!(target["client.id"], "A->B|m|replication-target-admin");
    let mut elsewhere = config.clone();
    elsewhere.extend(map(&[("target.cluster.bootstrap.servers", "b:1")]));
    let target = clients::target_admin(&elsewhere, &plan, &worker);
    assert_eq!(
        (&*target["bootstrap.servers"], target.contains_key("sasl.mechanism")),
        ("b:1", false)
    );

    let mut nowhere = config;
    nowhere.remove("source.cluster.bootstrap.servers");
    let error = clients::consumer(&nowhere, &plan).unwrap_err().to_string();
    assert!(error.contains("source.cluster.bootstrap.servers"), "{error}");
}

#[test]
fn wrong_configurations_name_the_key() {
    for (key, value) in [
        ("source.cluster.alias", ""),
        ("topics", "("),
        ("replication.factor", "0"),
        ("refresh.topics.interval.seconds", "0"),
        ("replication.policy.class", "com.example.Mine"),
        ("dray.pass.through", "perhaps"),
    ] {
        let error = Plan::new(&config(&[(key, value)])).unwrap_err().to_string();
        assert!(error.contains(key), "{error}");
    }
    let config = config(&[
        ("sync.topic.acls.enabled", "true"),
        ("offset.lag.max", "1"),
        ("replication.factor", "1"),
    ]);
    assert_eq!(without_effect(&config), ["offset.lag.max", "sync.topic.acls.enabled"]);
}

#[test]
fn partitions_go_round_in_their_order() {
    let all: Vec<_> = [("t0", 8), ("t-1", 2), ("t2", 2)]
        .iter()
        .flat_map(|(topic, count)| (0..*count).map(|partition| at(topic, partition)))
        .collect();
    let configs = for_tasks(&config(&[]), &all, 3);
    let shares: Vec<_> = configs
        .iter()
        .map(|config| &*config["task.assigned.partitions"])
        .collect();
    assert_eq!(
        shares,
        ["t0-0,t0-3,t0-6,t-1-1", "t0-1,t0-4,t0-7,t2-0", "t0-2,t0-5,t-1-0,t2-1"]
    );
    assert_eq!(
        assigned(&configs[2]).unwrap(),
        [at("t0", 2), at("t0", 5), at("t-1", 0), at("t2", 1)]
    );
    assert_eq!(configs[2]["task.index"], "2");
    assert_eq!(for_tasks(&config(&[]), &all[..2], 3).len(), 2);
    assert!(for_tasks(&config(&[]), &[], 3).is_empty());
}

#[test]
fn offsets_are_mirror_makers() {
    let (partition, offset) = stored("t", 3, 41);
    assert_eq!(partition.to_json(), r#"{"cluster":"A","partition":3,"topic":"t"}"#);
    assert_eq!(offset.to_json(), r#"{"offset":41}"#);
    assert_eq!(offsets::next(Some(&offset)), Some(Start::from(42)));
    assert_eq!(offsets::next(Some(&offsets::offset(-1, None).to_map())), None);
    let id = "AAAAAAAAAAAAAAAAAAAAAQ".parse().unwrap();
    let known = offsets::offset(41, Some(&offsets::of_topic(id))).to_map();
    assert_eq!(known.to_json(), r#"{"offset":41,"topic_id":"AAAAAAAAAAAAAAAAAAAAAQ"}"#);
    let start = Start {
        offset: 42,
        topic_id: Some(id),
    };
    assert_eq!(offsets::next(Some(&known)), Some(start));
    offsets::check(Some(&partition), Some(&known)).unwrap();
    offsets::check(Some(&partition), Some(&offset)).unwrap();
    offsets::check(None, None).unwrap();
    let with = |key: &str, value| OffsetMap::new().with(key, value);
    let text = |text: &str| Primitive::String(text.into());
    let named = |partition| {
        with("cluster", text("A"))
            .with("topic", text("t"))
            .with("partition", partition)
    };
    for (partition, offset, problem) in [
        (None, Some(offset.clone()), "Source partitions may not be null"),
        (
            Some(with("topic", text("t"))),
            Some(offset.clone()),
            "Source partition {topic=t} is missing the 'cluster' key, which is required",
        ),
        (
            Some(with("cluster", Primitive::Long(1))),
            Some(offset.clone()),
            "Source partition {cluster=1} has an invalid value 1 for the 'cluster' key, which must be a string",
        ),
        (
            Some(named(text("1"))),
            Some(offset.clone()),
            "Source partition {cluster=A, topic=t, partition=1} has an invalid value 1 for the 'partition' key, which must be an integer",
        ),
        (
            Some(named(Primitive::Long(-1))),
            Some(offset),
            "Source partition {cluster=A, topic=t, partition=-1} has an invalid value -1 for the 'partition' key, which cannot be negative",
        ),
        (
            Some(named(Primitive::Long(1))),
            Some(with("position", Primitive::Long(1))),
            "Source offset {position=1} for source partition {cluster=A, topic=t, partition=1} is missing the 'offset' key, which is required",
        ),
        (
            Some(named(Primitive::Long(1))),
            Some(with("offset", Primitive::Long(1)).with("topic_id", text("x"))),
            "Source offset {offset=1, topic_id=x} for source partition {cluster=A, topic=t, partition=1} has an invalid value x for the \
             'topic_id' key, which must be the id of a topic as Kafka's tools show it, or left out",
        ),
        (
            Some(named(Primitive::Long(1))),
            Some(with("offset", Primitive::Long(-2))),
            "Source offset {offset=-2} for source partition {cluster=A, topic=t, partition=1} has an invalid value -2 for the 'offset' key, \
             which cannot be negative",
        ),
    ] {
        let error = offsets::check(partition.as_ref(), offset.as_ref()).unwrap_err();
        assert_eq!(error.to_string(), problem);
    }
}

/// Topics are created, and given partitions, as the source has them; new ones are found later on.
#[tokio::test(start_paused = true)]
async fn topics_follow_those_of_the_source() {
    let kafka = FakeKafka::new();
    kafka.create_topic("t", 3);
    kafka.create_topic("other", 1);
    kafka.create_topic("A.t", 1);
    kafka.create_topic("B.orders-1", 1);
    let (requests, mut asked) = mpsc::channel(4);
    let mut connector = MirrorSourceConnector::new();
    let context = ConnectorContext::new(requests, None).lending(loan(&kafka));
    let config = config(&[("refresh.topics.interval.seconds", "60")]);
    connector.start(context, &config).await.unwrap();
    let shares = |connector: &MirrorSourceConnector| {
        let configs = connector.task_configs(8).unwrap();
        configs
            .iter()
            .map(|config| config["task.assigned.partitions"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(shares(&connector), ["t-0", "t-1", "t-2"]);
    let admin = kafka.admin(&ClientConfig::new()).unwrap();
    let partitions = async |topic: &str| admin.partitions(topic, std::time::Duration::ZERO).await.unwrap();
    assert_eq!(partitions("A.t").await, Some(3));
    assert_eq!(
        (partitions("A.other").await, partitions("A.B.orders-1").await),
        (None, None)
    );
    kafka.create_topic("orders-2", 2);
    assert!(matches!(asked.recv().await, Some(ConnectorRequest::Reconfigure)));
    assert_eq!(shares(&connector), ["orders-2-0", "orders-2-1", "t-0", "t-1", "t-2"]);
    assert_eq!(partitions("A.orders-2").await, Some(2));
    connector.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn without_clients_or_switched_off_there_is_nothing() {
    let (requests, _asked) = mpsc::channel(1);
    let mut connector = MirrorSourceConnector::new();
    let started = connector
        .start(ConnectorContext::new(requests.clone(), None), &config(&[]))
        .await;
    assert!(started.unwrap_err().to_string().contains("lends no Kafka clients"));
    let mut connector = MirrorSourceConnector::new();
    let off = config(&[("enabled", "false")]);
    connector
        .start(ConnectorContext::new(requests, None), &off)
        .await
        .unwrap();
    assert!(connector.task_configs(2).unwrap().is_empty());
}

async fn produce(kafka: &FakeKafka, records: &[ProduceRecord<'_>]) {
    let mut lane = kafka.producer_lane(&ClientConfig::new(), 1 << 20, None).unwrap();
    assert_eq!(lane.produce(records).unwrap(), records.len());
}

fn record<'a>(
    partition: i32,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    headers: &'a [HeaderRef<'a>],
) -> ProduceRecord<'a> {
    ProduceRecord {
        topic: "t",
        partition: Some(partition),
        timestamp: Some(77),
        key,
        value,
        headers,
        sequence: 0,
    }
}

/// The same records whether they go through converters or not.
#[tokio::test(start_paused = true)]
async fn records_keep_all_that_they_have() {
    let kafka = FakeKafka::new();
    kafka.create_topic("t", 2);
    let headers = [
        HeaderRef {
            key: "h",
            value: Some(b"1"),
        },
        HeaderRef { key: "h", value: None },
    ];
    let records = [
        record(1, Some(b"k"), Some(b"v"), &headers),
        record(1, None, None, &[]),
        record(0, Some(b"k"), None, &[]),
    ];
    produce(&kafka, &records).await;
    let config = config(&[("task.assigned.partitions", "t-0,t-1")]);
    for encoded in [true, false] {
        let short_cuts = ShortCuts { encoded, batches: None };
        let mut task = MirrorSourceTask::new();
        // Of partition 1 the first record is copied.
        let context = context(&kafka, vec![stored("t", 1, 0)], short_cuts);
        task.start(context, &config).await.unwrap();
        let mut batch = SourceBatch::new();
        task.poll(&mut batch).await.unwrap();
        assert_eq!(batch.len(), 2, "{encoded}");
        task.stop().await.unwrap();

        let mut task = MirrorSourceTask::new();
        task.start(self::context(&kafka, Vec::new(), short_cuts), &config)
            .await
            .unwrap();
        batch.clear();
        task.poll(&mut batch).await.unwrap();
        let mut seen = Vec::new();
        for record in batch.records() {
            let (key, value, headers) = match &record.body {
                Body::Encoded { key, value, headers } => {
                    let bytes = |span: &Option<_>| span.map(|span| batch.backing().bytes(span).to_vec());
                    let header = |(name, value): &(_, Option<_>)| (batch.backing().bytes(*name).to_vec(), bytes(value));
                    (bytes(key), bytes(value), headers.iter().map(header).collect::<Vec<_>>())
                }
                Body::Data { key, value, headers } => {
                    let bytes = |field| match batch.view(field) {
                        (Some(_), ValueRef::Bytes(bytes)) => Some(bytes.to_vec()),
                        (Some(_), ValueRef::Null) => None,
                        other => panic!("{other:?}"),
                    };
                    let headers = headers.iter().flat_map(|headers| headers.iter()).map(|header| {
                        let value = ValueRef::from(&header.value.value);
                        let value = if let ValueRef::Bytes(bytes) = value {
                            Some(bytes.to_vec())
                        } else {
                            None
                        };
                        (header.key.as_bytes().to_vec(), value)
                    });
                    (bytes(key), bytes(value), headers.collect())
                }
                other @ (Body::Dropped | Body::Passed(_)) => panic!("{other:?}"),
            };
            assert_eq!((&**batch.topic_name(record.topic), record.timestamp), ("A.t", Some(77)));
            seen.push((
                record.kafka_partition,
                record.source_offset.to_map().to_json(),
                key,
                value,
                headers,
            ));
        }
        let bytes = |text: &str| Some(text.as_bytes().to_vec());
        let both = vec![(b"h".to_vec(), bytes("1")), (b"h".to_vec(), None)];
        let offset = |n: i64| format!("{{\"offset\":{n}}}");
        assert_eq!(
            seen,
            [
                (Some(0), offset(0), bytes("k"), None, vec![]),
                (Some(1), offset(0), bytes("k"), bytes("v"), both),
                (Some(1), offset(1), None, None, vec![]),
            ],
            "{encoded}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn obligations() {
    let kafka = FakeKafka::new();
    kafka.create_topic("t", 1);
    for n in 0..50 {
        kafka.append("t", 0, None, Some(format!("{n}").as_bytes()));
    }
    let make = || -> Box<dyn SourceTask> { Box::new(MirrorSourceTask::new()) };
    let config = config(&[("task.assigned.partitions", "t-0")]);
    let checked = dray_connect::testkit::check_source_lent(make, &config, 50, loan(&kafka)).await;
    assert_eq!(checked, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn an_idle_source_gives_nothing_and_errors_that_pass_are_waited_out() {
    let kafka = FakeKafka::new();
    let mut task = MirrorSourceTask::new();
    let config = config(&[("task.assigned.partitions", "t-0")]);
    task.start(context(&kafka, Vec::new(), ShortCuts::default()), &config)
        .await
        .unwrap();
    let mut batch = SourceBatch::new();
    for _ in 0..3 {
        task.poll(&mut batch).await.unwrap();
        assert!(batch.is_empty());
    }
    kafka.append("t", 0, None, Some(b"v"));
    task.poll(&mut batch).await.unwrap();
    assert_eq!(batch.len(), 1);
    let mut lost = MirrorSourceTask::new();
    let error = lost.poll(&mut batch).await.unwrap_err();
    assert!(matches!(error, Error::Connect { .. }), "{error}");
}
