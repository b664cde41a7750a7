//! Transforms between connector and converters: what is sent, put, committed, and what happens to records that fail.

use crate::harness::{SHELVES, Stage, counter, id, map, shown, until};
use dray_connect::sink_batch::TopicPartition;
use dray_connect::{Error, Result};
use dray_converters::StringConverter;
use dray_kafka::port::{ClientConfig, KafkaPort as _};
use dray_model::{Generation, TargetState, TaskState};
use dray_runtime::config::SourceConfig;
use dray_runtime::encode::Converters;
use dray_runtime::metrics::TaskMetrics;
use dray_runtime::source_task::{self, SourceParts};
use dray_runtime::status::TaskSelf;
use dray_runtime::topics::TopicCreator;
use dray_transforms::{Applied, Chain, ConnectRecord, Side, Transformation};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

const SOURCE: [(&str, &str); 3] = [("connector.class", "Counter"), ("topic", "t"), ("count", "25")];
const SINK: [(&str, &str); 5] = [
    ("connector.class", "Keeper"),
    ("topics", "t"),
    ("value.converter", "org.apache.kafka.connect.json.JsonConverter"),
    ("value.converter.schemas.enable", "false"),
    ("transforms", "stage"),
];
/// Drops whatever is no tombstone.
const DROP: [(&str, &str); 6] = [
    ("transforms", "stage"),
    ("transforms.stage.type", "org.apache.kafka.connect.transforms.Filter"),
    ("transforms.stage.predicate", "tombstone"),
    ("transforms.stage.negate", "true"),
    ("predicates", "tombstone"),
    ("predicates.tombstone.type", "RecordIsTombstone"),
];
/// Fails on values that are neither maps nor structs.
const REPLACE: [(&str, &str); 2] = [
    ("transforms.stage.type", "ReplaceField$Value"),
    ("transforms.stage.exclude", "secret"),
];

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

fn shelf(name: &str) -> Vec<String> {
    SHELVES.lock().unwrap().get(name).cloned().unwrap_or_default()
}

fn committed(stage: &Stage) -> Option<i64> {
    let partition = TopicPartition {
        topic: "t".into(),
        partition: 0,
    };
    stage.kafka.committed("connect-sink").get(&partition).copied()
}

fn stage(values: &[&str]) -> Stage {
    let stage = Stage::new();
    stage.kafka.create_topic("t", 1);
    for value in values {
        stage.kafka.append("t", 0, None, Some(value.as_bytes()));
    }
    stage
}

#[tokio::test(start_paused = true)]
async fn offsets_of_dropped_records_are_committed() {
    let stage = Stage::new();
    let running = stage.task("c", &[&SOURCE[..], &DROP].concat());
    until(|| stage.offsets.position("c") == Some(25)).await;
    assert!(stage.kafka.records("t").is_empty());
    assert!(running.stop(soon()).await);
}

#[tokio::test(start_paused = true)]
async fn a_sink_is_put_what_the_chain_leaves_and_commits_the_rest_as_well() {
    let stage = stage(&[r#"{"a":1,"secret":2}"#, r#"{"secret":3}"#, "null"]);
    let config = [&SINK[..], &REPLACE, &[("shelf", "chain")]].concat();
    let running = stage.task("sink", &config);
    until(|| committed(&stage) == Some(3)).await;
    assert_eq!(shelf("chain"), ["{a=1}", "{}", "null"]);
    assert!(running.stop(soon()).await);
    let stage = self::stage(&["1", "null", "2"]);
    let config = [&SINK[..4], &DROP, &[("shelf", "dropped")]].concat();
    let running = stage.task("sink", &config);
    until(|| committed(&stage) == Some(3)).await;
    assert_eq!(shelf("dropped"), ["null"]);
    assert!(running.stop(soon()).await);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_a_transform_refuses_goes_to_the_dead_letter_queue() {
    let stage = stage(&[r#"{"a":1}"#, "7", r#"{"b":2}"#]);
    let letters = [
        ("errors.tolerance", "all"),
        ("errors.deadletterqueue.topic.name", "letters"),
        ("errors.deadletterqueue.context.headers.enable", "true"),
        ("shelf", "refused"),
    ];
    let running = stage.task("sink", &[&SINK[..], &REPLACE, &letters].concat());
    until(|| committed(&stage) == Some(3)).await;
    assert_eq!(shelf("refused"), ["{a=1}", "{b=2}"]);
    let letter = stage.kafka.records("letters").remove(0);
    assert_eq!(letter.value.as_deref(), Some(b"7".as_slice()), "as it was consumed");
    let header = |name: &str| {
        let name = format!("__connect.errors.{name}");
        let (_, value) = letter.headers.iter().find(|(key, _)| *key == name).unwrap();
        String::from_utf8(value.clone().unwrap()).unwrap()
    };
    assert_eq!(header("stage"), "TRANSFORMATION");
    assert_eq!(
        header("class.name"),
        "org.apache.kafka.connect.transforms.ReplaceField$Value"
    );
    assert_eq!(
        header("exception.message"),
        "Only Map objects supported in absence of schema for [field replacement], found: java.lang.Long"
    );
    assert!(running.stop(soon()).await);
}

#[tokio::test(start_paused = true)]
async fn the_tolerance_decides_about_a_source_record_that_a_transform_refuses() {
    let chain = [&SOURCE[..], &[("transforms", "stage")], &REPLACE].concat();
    let stage = Stage::new();
    let running = stage.task("c", &[&chain[..], &[("errors.tolerance", "all")]].concat());
    until(|| stage.offsets.position("c") == Some(25)).await;
    assert!(stage.kafka.records("t").is_empty());
    assert!(running.stop(soon()).await);
    let stage = Stage::new();
    let running = stage.task("c", &chain);
    let trace = stage.wait_for("c", TaskState::Failed).await.unwrap();
    assert_eq!(
        trace,
        "Tolerance exceeded in error handler\nCaused by: \
         Only Struct objects supported for [field replacement], found: java.lang.String"
    );
    assert!(running.stop(soon()).await);
    assert_eq!(stage.offsets.position("c"), None);
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_with_a_chain_is_said_before_anything_starts() {
    let stage = Stage::new();
    let start = |more: &[(&str, &str)]| {
        let config = map(&[&[("name", "c")], &SOURCE[..], more].concat());
        let started = stage
            .worker
            .start_task(&id("c"), Generation::INITIAL, &config, &config, TargetState::Started);
        started.err().map(|error| error.to_string()).unwrap_or_default()
    };
    let stage_type = |class| [("transforms", "s"), ("transforms.s.type", class)];
    for (config, expected) in [
        (
            &stage_type("org.example.ReplaceFields$Value")[..],
            "Invalid value org.example.ReplaceFields$Value for configuration transforms.s.type: Class \
             org.example.ReplaceFields$Value could not be found. Did you mean \
             org.apache.kafka.connect.transforms.ReplaceField$Value",
        ),
        (
            &stage_type("ReplaceField"),
            "This class is abstract and cannot be created. Did you mean \
             org.apache.kafka.connect.transforms.ReplaceField$Key, org.apache.kafka.connect.transforms.ReplaceField$Value?",
        ),
        (
            &stage_type("JsonConverter"),
            "Class class org.apache.kafka.connect.json.JsonConverter does not implement the Transformation interface",
        ),
        (
            &[&stage_type("Filter")[..], &[("transforms.s.negate", "true")]].concat(),
            "Config 'transforms.s.negate' was provided but there is no config 'transforms.s.predicate' defining a \
             predicate to be negated.",
        ),
        (
            &[("transforms", "s")],
            "Missing required configuration \"transforms.s.type\" which has no default value.",
        ),
    ] {
        let error = start(config);
        assert!(error.starts_with(expected), "{error}");
    }
}

/// Fails on the value `3`: retriably as often as it says, then for good if it says so.
struct Moody {
    retriable: u32,
    then_fails: bool,
}

impl Transformation for Moody {
    fn apply(&mut self, record: &mut ConnectRecord<'_>) -> Result<Applied> {
        let value = record.field(Side::Value);
        if value.datum.view(record.backing()).as_str() != Some("3") {
            return Ok(Applied::Kept);
        }
        // What was done to a record that comes again must not be seen.
        record.headers_mut().add_string("tried", Some("yes"));
        if self.retriable > 0 {
            self.retriable -= 1;
            return Err(Error::retriable("not now"));
        }
        if self.then_fails {
            return Err(Error::data("never"));
        }
        Ok(Applied::Kept)
    }
}

/// Runs a source of the numbers 0 to 9 until `done` holds.
async fn run_moody(stage: &Stage, moody: Moody, errors: &[(&str, &str)], done: impl FnMut() -> bool) {
    let named = [("name", "c"), ("connector.class", "C")];
    let config = SourceConfig::parse(&map(&[&named, errors].concat()), true).unwrap();
    let mut chain = Chain::default();
    chain.push("moody", "Moody", Box::new(moody));
    let string = || Box::new(StringConverter::new(&map(&[])).unwrap());
    let (_target, seen) = watch::channel(TargetState::Started);
    let stop = CancellationToken::new();
    let parts = SourceParts {
        active: dray_runtime::active_topics::TaskTopics::default(),
        gate: dray_runtime::gate::TaskGate::open(),
        me: TaskSelf {
            id: id("c"),
            generation: Generation::INITIAL,
            board: stage.worker.board().clone(),
            metrics: TaskMetrics::new(true),
        },
        task: counter(),
        config: map(&[("topic", "out"), ("count", "10")]),
        lane: stage.kafka.producer_lane(&ClientConfig::new(), 1 << 20, None).unwrap(),
        converters: Converters {
            key: string(),
            value: string(),
            header: dray_converters::header_converter("Simple", &map(&[])).unwrap(),
        },
        chain,
        policy: config.connector.errors,
        letters: None,
        oversize: config.oversize,
        topics: TopicCreator::new(Vec::new(), || panic!("no topics are created")).unwrap(),
        offsets: stage.offsets.clone(),
        loan: None,
        commit_interval: Duration::from_secs(1),
        flush_timeout: Duration::from_secs(5),
        target: seen,
        stop: stop.clone(),
    };
    let me = parts.me.clone();
    let mut work = JoinSet::from_iter([shown(me, source_task::run(parts))]);
    until(done).await;
    stop.cancel();
    work.join_next().await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_transform_that_fails_retriably_gets_its_record_again_as_it_was() {
    let stage = Stage::new();
    let moody = Moody {
        retriable: 3,
        then_fails: false,
    };
    let committed = || stage.offsets.position("c") == Some(10);
    run_moody(&stage, moody, &[("errors.retry.timeout", "-1")], committed).await;
    let records = stage.kafka.records("out");
    assert_eq!(records.len(), 10);
    assert_eq!(records[3].headers.len(), 1, "{:?}", records[3].headers);
}

#[tokio::test(start_paused = true)]
async fn what_comes_before_a_record_that_fails_is_sent_and_committed() {
    let stage = Stage::new();
    let moody = Moody {
        retriable: 0,
        then_fails: true,
    };
    let board = stage.worker.board().watch();
    let failed = || {
        board
            .borrow()
            .tasks
            .get(&id("c"))
            .is_some_and(|task| task.state == TaskState::Failed)
    };
    run_moody(&stage, moody, &[], failed).await;
    assert_eq!(stage.values("out"), ["0", "1", "2"]);
    assert_eq!(stage.offsets.position("c"), Some(3));
}
