//! Dry runs: what is shown of records, and that nothing is left behind.

use crate::harness::{MemOffsets, Stage, counter, map};
use async_trait::async_trait;
use dray_connect::config::ConfigDef;
use dray_connect::connector::{ConnectorPlugin, Make, SourceConnector, SourceTask};
use dray_connect::context::ConnectorContext;
use dray_connect::offset::{OffsetMap, Primitive};
use dray_connect::sink_batch::TopicPartition;
use dray_connect::value::{SchemaAndValue, Value};
use dray_connect::{ConfigMap, Result};
use dray_kafka::fake::FakeKafka;
use dray_kafka::port::{Clients, KafkaPort, NewTopic};
use dray_model::{Generation, TaskId};
use dray_runtime::config::WorkerConfig;
use dray_runtime::crew::Crew;
use dray_runtime::offsets::{OffsetEntry, OffsetStore as _};
use dray_runtime::preview::{Ask, BESIDE_THE_WAIT, From, Given, Outcome, Part, Preview, Records, Seen};
use dray_runtime::status::StatusBoard;
use dray_runtime::validate::Refused;
use dray_runtime::worker::Worker;
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;
use tokio::time::Instant;

const WAIT: Duration = Duration::from_secs(5);
const STRING: &str = "org.apache.kafka.connect.storage.StringConverter";
const SINK: [(&str, &str); 6] = [
    ("connector.class", "Keeper"),
    ("topics", "t"),
    ("shelf", "preview"),
    ("value.converter", "org.apache.kafka.connect.json.JsonConverter"),
    ("value.converter.schemas.enable", "false"),
    ("transforms.stage.type", "ReplaceField$Value"),
];
const RENAME: [(&str, &str); 2] = [("transforms", "stage"), ("transforms.stage.renames", "a:b")];
const SOURCE: [(&str, &str); 3] = [("connector.class", "Counting"), ("topic", "t"), ("count", "25")];

/// Whether a start blocks its thread.
static BLOCKED: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());

/// A counter whose tasks have its whole configuration, and which creates its topic when it starts.
#[derive(Default)]
struct Counting(ConfigMap);

static COUNTING: ConnectorPlugin = ConnectorPlugin {
    class: "Counting",
    aliases: &[],
    task_class: "CountingTask",
    version: "1",
    make: Make::Source(|| Box::new(Counting::default())),
};

#[async_trait]
impl SourceConnector for Counting {
    fn config_def(&self) -> &ConfigDef {
        unreachable!("nobody asks in these tests")
    }
    async fn start(&mut self, context: ConnectorContext, config: &ConfigMap) -> Result<()> {
        self.0 = config.clone();
        if config.contains_key("blocks") {
            let mut blocked = BLOCKED.0.lock().unwrap();
            *blocked = true;
            drop(BLOCKED.1.wait_while(blocked, |blocked| *blocked).unwrap());
        }
        let clients: &Clients = context.lent().unwrap();
        let admin = clients.port.admin(&clients.admin).unwrap();
        let topic = NewTopic {
            name: config["topic"].clone(),
            partitions: 1,
            replication_factor: 1,
            configs: BTreeMap::new(),
        };
        admin.create_topic(&topic, WAIT).await.unwrap();
        assert!(clients.port.producer_lane(&clients.admin, 1, None).is_err());
        Ok(())
    }
    fn task_configs(&self, _max: usize) -> Result<Vec<ConfigMap>> {
        Ok(vec![self.0.clone()])
    }
    fn task(&self) -> Box<dyn SourceTask> {
        counter()
    }
    async fn stop(&mut self) -> Result<()> {
        Ok(())
    }
}

/// A worker that has this connector alone.
fn counting(crew: Option<Crew>) -> (FakeKafka, Arc<MemOffsets>, Worker) {
    let (kafka, offsets) = (FakeKafka::new(), Arc::new(MemOffsets::default()));
    let config = WorkerConfig::parse(&map(&[("key.converter", STRING), ("value.converter", STRING)])).unwrap();
    let worker = Worker::new(
        config,
        Arc::new(kafka.clone()),
        offsets.clone(),
        vec![&COUNTING],
        StatusBoard::default(),
    );
    let worker = match crew {
        Some(crew) => worker.with_crew(Arc::new(crew)),
        None => worker,
    };
    (kafka, offsets, worker)
}

async fn preview(worker: &Worker, config: &[(&str, &str)], records: Records) -> Result<Preview, Refused> {
    let mut config = map(config);
    config.insert("name".into(), "c".into());
    let name = "c".try_into().unwrap();
    worker.preview(Ask { name, config, records }).await
}

fn real(most: usize, from: From) -> Records {
    Records::Real { most, from, wait: WAIT }
}

fn sink(more: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    [&SINK, more].concat()
}

/// Each stage, with what came of it.
fn stages(seen: &[Seen]) -> Vec<(&str, Outcome)> {
    seen.iter().map(|seen| (seen.stage.as_str(), seen.outcome)).collect()
}

fn offsets(preview: &Preview) -> Vec<(i32, i64)> {
    let place = |seen: &Vec<Seen>| (seen[0].partition.unwrap(), seen[0].offset.unwrap());
    preview.records.iter().map(place).collect()
}

fn text(part: &Part) -> String {
    match part {
        Part::Data(SchemaAndValue { value, .. }) => value.java_to_string(),
        Part::Bytes(bytes) => bytes
            .as_ref()
            .map_or("null".to_owned(), |bytes| String::from_utf8_lossy(bytes).into_owned()),
    }
}

fn at(partition: i32) -> TopicPartition {
    let topic = "t".into();
    TopicPartition { topic, partition }
}

#[tokio::test(start_paused = true)]
async fn a_sinks_records_are_shown_stage_by_stage_with_errors_in_their_place() {
    let stage = Stage::new();
    stage.kafka.create_topic("t", 1);
    for value in [Some(&br#"{"a":1}"#[..]), Some(b"{"), Some(b"7"), None] {
        stage.kafka.append("t", 0, Some(b"k"), value);
    }
    let seen = preview(&stage.worker, &sink(&RENAME), real(10, From::Newest))
        .await
        .unwrap();
    assert_eq!(seen.note, None);
    let [good, bad, number, tombstone] = &seen.records[..] else {
        panic!("{seen:?}");
    };
    use Outcome::{Applied, Failed, Input, Output};
    assert_eq!(
        stages(good),
        [
            ("raw", Input),
            ("converted", Applied),
            ("stage", Applied),
            ("sink", Output)
        ]
    );
    let values: Vec<String> = good.iter().map(|seen| text(&seen.value)).collect();
    assert_eq!(values, [r#"{"a":1}"#, "{a=1}", "{b=1}", "{b=1}"]);
    assert_eq!(
        good[2].class.as_deref(),
        Some("org.apache.kafka.connect.transforms.ReplaceField$Value")
    );
    assert_eq!((good[3].offset, text(&good[3].key)), (Some(0), "k".to_owned()));

    assert_eq!(stages(bad), [("raw", Input), ("converted", Failed)]);
    let error = bad[1].error.as_ref().unwrap();
    assert_eq!(
        (error.stage, error.class.as_str()),
        ("VALUE_CONVERTER", "org.apache.kafka.connect.errors.DataException")
    );
    assert_eq!(
        bad[1].class.as_deref(),
        Some("org.apache.kafka.connect.json.JsonConverter")
    );
    assert_eq!(text(&bad[1].value), "{", "the rest is as it was");

    assert_eq!(
        stages(number),
        [("raw", Input), ("converted", Applied), ("stage", Failed)]
    );
    assert_eq!(number[2].error.as_ref().unwrap().stage, "TRANSFORMATION");
    assert_eq!(stages(tombstone).last(), Some(&("sink", Output)));

    assert!(stage.kafka.committed("connect-c").is_empty());
    assert!(
        !crate::harness::SHELVES.lock().unwrap().contains_key("preview"),
        "the sink was called"
    );
}

#[tokio::test(start_paused = true)]
async fn a_sinks_records_begin_where_it_is_said() {
    let stage = Stage::new();
    stage.kafka.create_topic("t", 3);
    // The fake's timestamps are offsets.
    for partition in [0, 1, 0, 1, 0, 0, 1] {
        stage.kafka.append("t", partition, None, Some(b"1"));
    }
    for (from, most, expected) in [
        (From::Newest, 3, vec![(0, 2), (1, 2), (0, 3)]),
        (From::Oldest, 3, vec![(0, 0), (1, 0), (0, 1)]),
        (
            From::Newest,
            100,
            vec![(0, 0), (1, 0), (0, 1), (1, 1), (0, 2), (1, 2), (0, 3)],
        ),
        (From::Offsets(vec![(at(0), 2)]), 9, vec![(0, 2), (0, 3)]),
        (From::Offsets(vec![(at(0), 1), (at(1), 7)]), 2, vec![(0, 1), (0, 2)]),
    ] {
        let begun = Instant::now();
        let seen = preview(&stage.worker, &sink(&[]), real(most, from.clone()))
            .await
            .unwrap();
        assert_eq!(offsets(&seen), expected, "{from:?}");
        assert_eq!((seen.note, begun.elapsed()), (None, Duration::ZERO), "{from:?}");
    }
    let none = preview(&stage.worker, &sink(&[]), real(9, From::Offsets(vec![(at(2), 0)])))
        .await
        .unwrap();
    assert_eq!(none.note.as_deref(), Some("there are no records from these offsets on"));
    let foreign = From::Offsets(vec![(at(3), 0)]);
    let refused = preview(&stage.worker, &sink(&[]), real(9, foreign)).await.unwrap_err();
    assert_eq!(refused.to_string(), "t-3 is not a partition of the connector's topics");
}

#[tokio::test(start_paused = true)]
async fn topics_are_named_or_matched_and_what_is_missing_is_said() {
    let stage = Stage::new();
    stage.kafka.create_topic("t", 1);
    stage.kafka.create_topic("tt", 1);
    stage.kafka.append("t", 0, None, Some(b"1"));
    stage.kafka.append("tt", 0, None, Some(b"2"));
    let of = |key: &'static str, value: &'static str| {
        let mut config = sink(&[]);
        config.retain(|(key, _)| *key != "topics");
        config.push((key, value));
        config
    };
    let both = preview(&stage.worker, &of("topics.regex", "t+"), real(9, From::Newest))
        .await
        .unwrap();
    assert_eq!(both.records.len(), 2);
    let one = preview(&stage.worker, &of("topics", "gone,t"), real(9, From::Newest))
        .await
        .unwrap();
    assert_eq!(
        (one.records.len(), one.note.as_deref()),
        (1, Some("topic gone does not exist"))
    );
    let none = preview(&stage.worker, &of("topics", "gone"), real(9, From::Newest))
        .await
        .unwrap_err();
    assert_eq!(none, Refused::Failed("topic gone does not exist".into()));
    let none = preview(&stage.worker, &of("topics.regex", "x.*"), real(9, From::Newest))
        .await
        .unwrap();
    assert_eq!(none.note.as_deref(), Some("no topic matches"));
    assert!(stage.kafka.committed("connect-c").is_empty());
}

#[tokio::test(start_paused = true)]
async fn given_records_begin_behind_a_sinks_converters() {
    let stage = Stage::new();
    let given = |value: &str| Given {
        topic: "given".into(),
        partition: None,
        offset: None,
        timestamp: Some(5),
        key: SchemaAndValue::NULL,
        value: SchemaAndValue::schemaless(Value::map([(Value::string("a"), Value::string(value))])),
        headers: Default::default(),
    };
    let config = sink(&[
        ("transforms", "stage"),
        ("transforms.stage.type", "InsertField$Value"),
        ("transforms.stage.offset.field", "offset"),
    ]);
    let seen = preview(&stage.worker, &config, Records::Given(vec![given("x"), given("y")]))
        .await
        .unwrap();
    let shown: Vec<_> = seen
        .records
        .iter()
        .map(|seen| (stages(seen), text(&seen[2].value)))
        .collect();
    use Outcome::{Applied, Input, Output};
    let expected = [("input", Input), ("stage", Applied), ("sink", Output)];
    assert_eq!(shown[0], (expected.to_vec(), "{a=x, offset=0}".to_owned()));
    assert_eq!(shown[1], (expected.to_vec(), "{a=y, offset=1}".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_source_is_polled_from_where_it_is_and_leaves_nothing_behind() {
    let (kafka, store, worker) = counting(None);
    let entry = OffsetEntry {
        task: TaskId::new("c".try_into().unwrap(), 0),
        generation: Generation::INITIAL,
        partition: Arc::new(OffsetMap::new().with("counter", Primitive::Long(1))),
        offset: Some(OffsetMap::new().with("position", Primitive::Long(22))),
    };
    store.commit(vec![entry]).await.unwrap();
    let begun = Instant::now();
    let config = [
        &SOURCE[..],
        &[
            ("transforms", "route,odd"),
            ("transforms.route.type", "RegexRouter"),
            ("transforms.route.regex", "t"),
            ("transforms.route.replacement", "routed"),
            ("transforms.odd.type", "Cel"),
            ("transforms.odd.filter", "value != '23'"),
        ],
    ]
    .concat();
    let seen = preview(&worker, &config, real(10, From::Newest)).await.unwrap();
    use Outcome::{Applied, Dropped, Input, Output};
    assert_eq!(
        stages(&seen.records[0]),
        [
            ("polled", Input),
            ("route", Applied),
            ("odd", Applied),
            ("encoded", Output)
        ]
    );
    assert_eq!(
        stages(&seen.records[1]),
        [("polled", Input), ("route", Applied), ("odd", Dropped)]
    );
    assert_eq!(seen.records.len(), 3);
    let last = seen.records[2].last().unwrap();
    assert_eq!(
        (&*last.topic, &last.value),
        ("routed", &Part::Bytes(Some(b"24".to_vec())))
    );
    let (partition, offset) = seen.records[2][0].source.as_ref().unwrap();
    assert_eq!(
        (partition.to_json().as_str(), offset.long("position")),
        (r#"{"counter":1}"#, Some(25))
    );
    assert_eq!(seen.note.as_deref(), Some("no more records within 5s"));
    assert!(begun.elapsed() >= WAIT);

    assert_eq!(store.position("c"), Some(22));
    assert!(kafka.records("t").is_empty() && kafka.records("routed").is_empty());
    let port: &dyn KafkaPort = &kafka;
    let topics = port.admin(&Default::default()).unwrap().topics(WAIT).await.unwrap();
    assert!(topics.is_empty(), "{topics:?}");
}

#[tokio::test(start_paused = true)]
async fn a_source_is_polled_no_more_than_it_is_asked_for() {
    let (_, _, worker) = counting(None);
    let begun = Instant::now();
    let seen = preview(&worker, &SOURCE, real(12, From::Newest)).await.unwrap();
    assert_eq!((seen.records.len(), seen.note), (12, None));
    assert_eq!(begun.elapsed(), Duration::ZERO);
    // A value that its converter does not take.
    let config = [
        &SOURCE[..],
        &[("value.converter", "org.apache.kafka.connect.converters.LongConverter")],
    ]
    .concat();
    let seen = preview(&worker, &config, real(1, From::Newest)).await.unwrap();
    let error = seen.records[0][1].error.as_ref().unwrap();
    assert_eq!(
        (seen.records[0][1].stage.as_str(), error.stage),
        ("encoded", "VALUE_CONVERTER")
    );
}

#[tokio::test(start_paused = true)]
async fn a_connector_that_fails_or_hangs_ends_the_preview_in_time() {
    let (_, _, worker) = counting(None);
    for (call, kind, expected) in [
        ("start", "panic", "panic in start: asked to"),
        (
            "start",
            "hang",
            "start() takes longer than 7s\nCaused by: deadline has elapsed",
        ),
        ("poll", "fail", "asked to"),
        ("poll", "retriable", "asked to"),
    ] {
        let begun = Instant::now();
        let config = [&SOURCE[..], &[("fault.call", call), ("fault.kind", kind)]].concat();
        let refused = preview(&worker, &config, real(1, From::Newest)).await.unwrap_err();
        assert_eq!(refused, Refused::Failed(expected.to_owned()), "{call} {kind}");
        assert!(begun.elapsed() < WAIT + BESIDE_THE_WAIT, "{call} {kind}");
    }
    // One that hangs on its way out keeps nobody from what was seen.
    let config = [&SOURCE[..], &[("fault.call", "stop"), ("fault.kind", "hang")]].concat();
    let seen = preview(&worker, &config, real(1, From::Newest)).await.unwrap();
    assert_eq!(seen.records.len(), 1);
    // One whose polls hang has nothing to show.
    let config = [&SOURCE[..], &[("fault.call", "poll"), ("fault.kind", "hang")]].concat();
    let seen = preview(&worker, &config, real(1, From::Newest)).await.unwrap();
    assert_eq!(
        (seen.records.len(), seen.note.as_deref()),
        (0, Some("no more records within 5s"))
    );
}

/// In real time: a thread that is blocked is not the caller's.
#[tokio::test]
async fn a_connector_that_blocks_its_thread_blocks_nobody_else() {
    let (_, _, worker) = counting(Some(Crew::start(1).unwrap()));
    let config = [&SOURCE[..], &[("blocks", "")]].concat();
    let mut blocked = Box::pin(preview(&worker, &config, real(1, From::Newest)));
    let begun = async {
        while !*BLOCKED.0.lock().unwrap() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        seen = &mut blocked => panic!("{seen:?}"),
        begun = tokio::time::timeout(Duration::from_secs(60), begun) => begun.expect("it is started"),
    }
    // Another one is shown meanwhile: a thread was put in the place of the blocked one.
    let other = preview(&worker, &SOURCE, real(1, From::Newest));
    let other = tokio::time::timeout(Duration::from_secs(60), other)
        .await
        .expect("it ends");
    assert_eq!(other.unwrap().records.len(), 1);
    *BLOCKED.0.lock().unwrap() = false;
    BLOCKED.1.notify_all();
    let seen = tokio::time::timeout(Duration::from_secs(60), blocked)
        .await
        .expect("it ends");
    assert_eq!(seen.unwrap().records.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_configuration_is_refused_in_connects_words() {
    let stage = Stage::new();
    for (config, expected) in [
        (
            sink(&[("transforms", "stage"), ("transforms.stage.type", "Nothing")]),
            "Invalid value Nothing for configuration transforms.stage.type: Class Nothing could not be found.",
        ),
        (
            sink(&[("topics.regex", "t")]),
            "topics and topics.regex are mutually exclusive options, but both are set.",
        ),
        (
            vec![("connector.class", "Nothing")],
            "Failed to find any class that implements Connector",
        ),
    ] {
        let refused = preview(&stage.worker, &config, real(1, From::Newest))
            .await
            .unwrap_err();
        assert!(
            matches!(&refused, Refused::BadRequest(why) if why.contains(expected)),
            "{refused:?}"
        );
    }
}
