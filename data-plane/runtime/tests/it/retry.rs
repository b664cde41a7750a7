//! `errors.retry.timeout` around the converters: what fails retriably is tried again, in time, and then judged.

use crate::harness::{SHELVES, Stage, id, map, shown, until};
use dray_connect::backing::Backing;
use dray_connect::datum::{Datum, Field, Utf8Span, ValueRef};
use dray_connect::schema::{Schema, SchemaRef};
use dray_connect::sink_batch::TopicPartition;
use dray_connect::{Error, Result};
use dray_converters::{Converter, Input, Lookup, StringConverter, Written};
use dray_kafka::port::{ClientConfig, KafkaPort as _};
use dray_model::{Generation, TargetState, TaskState};
use dray_runtime::config::{SinkConfig, SourceConfig};
use dray_runtime::encode::Converters;
use dray_runtime::metrics::TaskMetrics;
use dray_runtime::policy::ErrorPolicy;
use dray_runtime::sink_task::{self, SinkParts};
use dray_runtime::source_task::{self, SourceParts};
use dray_runtime::status::TaskSelf;
use dray_runtime::topics::TopicCreator;
use dray_transforms::Chain;
use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A registry that is away: the first calls for the value `bad` fail retriably.
#[derive(Clone)]
struct Away {
    failures: u32,
    /// How long what such a call lacks takes to be found; none if it lacks nothing.
    lookup: Option<Duration>,
    calls: Arc<AtomicU32>,
    times: Arc<Mutex<Vec<Instant>>>,
}

impl Away {
    fn new(failures: u32) -> Self {
        Self {
            failures,
            lookup: None,
            calls: Arc::default(),
            times: Arc::default(),
        }
    }

    fn lacking(failures: u32, lookup: Duration) -> Self {
        Self {
            lookup: Some(lookup),
            ..Self::new(failures)
        }
    }

    fn call(&self, bad: bool) -> Result<()> {
        if !bad {
            return Ok(());
        }
        self.times.lock().unwrap().push(Instant::now());
        if self.calls.fetch_add(1, Ordering::Relaxed) < self.failures {
            return Err(Error::retriable("the registry is away"));
        }
        Ok(())
    }

    /// Milliseconds from the first call to each.
    fn times(&self) -> Vec<u128> {
        let times = self.times.lock().unwrap();
        times.iter().map(|time| (*time - times[0]).as_millis()).collect()
    }

    fn converters(&self) -> Converters {
        let string = || Box::new(StringConverter::new(&map(&[])).unwrap());
        Converters {
            key: string(),
            value: Box::new(self.clone()),
            header: dray_converters::header_converter("Simple", &map(&[])).unwrap(),
        }
    }
}

impl Converter for Away {
    fn from_connect<'a>(
        &mut self,
        _topic: &str,
        _schema: Option<&SchemaRef>,
        value: ValueRef<'a>,
        scratch: &mut Vec<u8>,
    ) -> Result<Written<'a>> {
        let text = value.to_value().java_to_string();
        self.call(text == "3")?; // the counter's fourth record
        let start = scratch.len();
        scratch.extend_from_slice(text.as_bytes());
        Ok(Written::Scratch(start..scratch.len()))
    }
    fn to_connect(&mut self, _topic: &str, input: Option<Input<'_>>, batch: &mut Backing) -> Result<Field> {
        let Input { bytes, span } = input.unwrap();
        self.call(bytes == b"bad")?;
        Ok(Field {
            schema: Some(batch.schema(&Schema::string())),
            datum: Datum::Str(Utf8Span::new(batch, span).unwrap()),
        })
    }
    fn lookup(&mut self) -> Option<Lookup> {
        let lacked = self.calls.load(Ordering::Relaxed) <= self.failures;
        let lookup = self.lookup.filter(|_| lacked)?;
        Some(Box::pin(tokio::time::sleep(lookup)))
    }
    fn class(&self) -> &'static str {
        "Away"
    }
}

const NAMED: [(&str, &str); 2] = [("name", "c"), ("connector.class", "C")];

struct Task {
    stop: CancellationToken,
    work: JoinSet<()>,
    _target: watch::Sender<TargetState>,
}

impl Task {
    fn start(
        work: impl Future<Output = ()> + Send + 'static,
        stop: CancellationToken,
        target: watch::Sender<TargetState>,
    ) -> Self {
        let mut set = JoinSet::new();
        set.spawn(work);
        Self {
            stop,
            work: set,
            _target: target,
        }
    }

    async fn stop(mut self) {
        self.stop.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(1), self.work.join_next()).await;
        ended.expect("a wait ends when the task is stopped").unwrap().unwrap();
    }
}

fn me(stage: &Stage, is_source: bool) -> TaskSelf {
    TaskSelf {
        id: id("c"),
        generation: Generation::INITIAL,
        board: stage.worker.board().clone(),
        metrics: TaskMetrics::new(is_source),
    }
}

/// A sink over the topic `t` with the values a, bad, b.
fn sink(stage: &Stage, away: &Away, shelf: &str, errors: &[(&str, &str)]) -> Task {
    stage.kafka.create_topic("t", 1);
    for value in ["a", "bad", "b"] {
        stage.kafka.append("t", 0, None, Some(value.as_bytes()));
    }
    let config = SinkConfig::parse(&map(&[&NAMED, &[("topics", "t")][..], errors].concat())).unwrap();
    let consumer = ClientConfig::from([("group.id".to_owned(), "connect-c".to_owned())]);
    let (target, seen) = watch::channel(TargetState::Started);
    let stop = CancellationToken::new();
    let parts = SinkParts {
        active: dray_runtime::active_topics::TaskTopics::default(),
        gate: dray_runtime::gate::TaskGate::open(),
        may_rejoin: None,
        me: me(stage, false),
        task: crate::harness::keeper(),
        config: map(&[("shelf", shelf)]),
        consumer: stage.kafka.consumer(&consumer, &["t".to_owned()], 1 << 20).unwrap(),
        converters: away.converters(),
        chain: Chain::default(),
        policy: config.connector.errors,
        dead_letters: None,
        pattern: None,
        commit_interval: Duration::from_secs(1),
        flush_timeout: Duration::from_secs(5),
        target: seen,
        stop: stop.clone(),
    };
    Task::start(shown(me(stage, false), sink_task::run(parts)), stop, target)
}

/// A source of the numbers 0 to 9.
fn source(stage: &Stage, away: &Away, errors: &[(&str, &str)]) -> Task {
    let config = SourceConfig::parse(&map(&[&NAMED[..], errors].concat()), true).unwrap();
    let policy: ErrorPolicy = config.connector.errors;
    let (target, seen) = watch::channel(TargetState::Started);
    let stop = CancellationToken::new();
    let parts = SourceParts {
        active: dray_runtime::active_topics::TaskTopics::default(),
        gate: dray_runtime::gate::TaskGate::open(),
        me: me(stage, true),
        task: crate::harness::counter(),
        config: map(&[("topic", "out"), ("count", "10")]),
        lane: stage.kafka.producer_lane(&ClientConfig::new(), 1 << 20, None).unwrap(),
        converters: away.converters(),
        chain: Chain::default(),
        policy,
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
    Task::start(shown(me(stage, true), source_task::run(parts)), stop, target)
}

fn shelf(name: &str) -> Vec<String> {
    SHELVES.lock().unwrap().get(name).cloned().unwrap_or_default()
}

fn committed(stage: &Stage) -> Option<i64> {
    let partition = TopicPartition {
        topic: "t".into(),
        partition: 0,
    };
    stage.kafka.committed("connect-c").get(&partition).copied()
}

#[tokio::test(start_paused = true)]
async fn a_converter_that_comes_back_in_time_loses_nothing() {
    let (stage, away) = (Stage::new(), Away::new(3));
    let task = sink(&stage, &away, "in time", &[("errors.retry.timeout", "-1")]);
    until(|| committed(&stage) == Some(3)).await;
    assert_eq!(shelf("in time"), ["a", "bad", "b"]);
    assert_eq!(away.times(), [0, 300, 900, 2_100]);
    task.stop().await;

    let (stage, away) = (Stage::new(), Away::new(3));
    let task = source(&stage, &away, &[("errors.retry.timeout", "60000")]);
    until(|| stage.offsets.position("c") == Some(10)).await;
    let all: Vec<String> = (0..10).map(|n| n.to_string()).collect();
    assert_eq!(stage.values("out"), all, "each once, in order");
    assert_eq!(away.times(), [0, 300, 900, 2_100]);
    task.stop().await;
}

/// A registry may be away for hours: what was converted before is sent and committed, though it came in one batch with what was not.
#[tokio::test(start_paused = true)]
async fn what_comes_before_a_record_that_is_tried_again_is_committed() {
    let (stage, away) = (Stage::new(), Away::new(u32::MAX));
    let task = source(&stage, &away, &[("errors.retry.timeout", "-1")]);
    until(|| stage.offsets.position("c") == Some(3)).await;
    assert_eq!(stage.values("out"), ["0", "1", "2"]);
    until(|| away.times().len() > 5).await;
    assert_eq!(stage.values("out").len(), 3);
    task.stop().await;
}

#[tokio::test(start_paused = true)]
async fn when_the_time_is_over_the_tolerance_decides() {
    let seconds = ("errors.retry.timeout", "1000");
    let (stage, away) = (Stage::new(), Away::new(u32::MAX));
    let task = sink(&stage, &away, "tolerated", &[seconds, ("errors.tolerance", "all")]);
    until(|| committed(&stage) == Some(3)).await;
    assert_eq!(shelf("tolerated"), ["a", "b"]);
    assert_eq!(away.times(), [0, 300, 900, 1_000]);
    task.stop().await;

    let (stage, away) = (Stage::new(), Away::new(u32::MAX));
    let task = source(&stage, &away, &[seconds, ("errors.tolerance", "all")]);
    until(|| stage.offsets.position("c") == Some(10)).await;
    assert_eq!(stage.values("out").len(), 9);
    task.stop().await;

    for kind in ["source", "sink"] {
        let (stage, away) = (Stage::new(), Away::new(u32::MAX));
        let task = match kind {
            "source" => source(&stage, &away, &[seconds]),
            _ => sink(&stage, &away, "strict", &[seconds]),
        };
        let trace = stage.wait_for("c", TaskState::Failed).await.unwrap();
        let expected = "Tolerance exceeded in error handler\nCaused by: the registry is away";
        assert_eq!(trace, expected, "{kind}");
        assert_eq!(away.times(), [0, 300, 900, 1_000]);
        task.stop().await;
        assert_eq!((committed(&stage), shelf("strict")), (None, Vec::new()));
        assert!(stage.offsets.position("c").is_none_or(|position| position <= 3));
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_time_out_nothing_is_tried_again() {
    let (stage, away) = (Stage::new(), Away::new(1));
    let task = sink(&stage, &away, "once", &[]);
    stage.wait_for("c", TaskState::Failed).await;
    assert_eq!(away.times(), [0]);
    task.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_the_wait_and_finishes_nothing() {
    for kind in ["source", "sink"] {
        let (stage, away) = (Stage::new(), Away::new(u32::MAX));
        let forever = [("errors.retry.timeout", "-1"), ("errors.tolerance", "all")];
        let task = match kind {
            "source" => source(&stage, &away, &forever),
            _ => sink(&stage, &away, "stopped", &forever),
        };
        until(|| away.times.lock().unwrap().len() == 5).await;
        task.stop().await;
        assert_eq!(
            stage.wait_for("c", TaskState::Unassigned).await,
            None,
            "{kind}: a stop is no failure"
        );
        assert!(committed(&stage).is_none(), "{kind}");
        assert!(
            stage.offsets.position("c").is_none_or(|position| position <= 3),
            "{kind}"
        );
    }
}

/// What a converter lacks is waited for whatever `errors.retry.timeout` says, and then the record is converted for the first time.
#[tokio::test(start_paused = true)]
async fn a_lookup_is_no_try() {
    let second = Duration::from_secs(1);
    let (stage, away) = (Stage::new(), Away::lacking(2, second));
    let task = sink(&stage, &away, "looked up", &[]);
    until(|| committed(&stage) == Some(3)).await;
    assert_eq!(shelf("looked up"), ["a", "bad", "b"]);
    assert_eq!(away.times(), [0, 1_000, 2_000]);
    task.stop().await;

    let (stage, away) = (Stage::new(), Away::lacking(2, second));
    let task = source(&stage, &away, &[]);
    until(|| stage.offsets.position("c") == Some(10)).await;
    let all: Vec<String> = (0..10).map(|n| n.to_string()).collect();
    assert_eq!(stage.values("out"), all, "each once, in order");
    assert_eq!(away.times(), [0, 1_000, 2_000]);
    task.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_a_lookup() {
    let never = Duration::from_secs(1_000_000);
    for kind in ["source", "sink"] {
        let (stage, away) = (Stage::new(), Away::lacking(1, never));
        let task = match kind {
            "source" => source(&stage, &away, &[]),
            _ => sink(&stage, &away, "looked up in vain", &[]),
        };
        until(|| !away.times.lock().unwrap().is_empty()).await;
        // What comes before is sent and committed meanwhile.
        if kind == "source" {
            until(|| stage.offsets.position("c") == Some(3)).await;
        }
        task.stop().await;
        assert_eq!(stage.wait_for("c", TaskState::Unassigned).await, None, "{kind}");
    }
}

/// A put has no time-out of its own (in Connect it has none either): the same records come until the sink takes them.
#[tokio::test(start_paused = true)]
async fn a_retriable_put_is_not_bounded_by_the_time_out() {
    let stage = Stage::new();
    stage.kafka.create_topic("t", 1);
    stage.kafka.append("t", 0, None, Some(b"x"));
    let started = Instant::now();
    let config = [
        ("connector.class", "Keeper"),
        ("topics", "t"),
        ("shelf", "retriable-puts"),
        ("fault.call", "put"),
        ("fault.kind", "retriable"),
        ("errors.retry.timeout", "0"),
    ];
    let running = stage.task("sink", &config);
    until(|| shelf("retriable-puts") == ["x"]).await;
    assert!(
        started.elapsed() >= Duration::from_millis(900),
        "300 and 600 ms were waited"
    );
    assert!(running.stop(Instant::now() + Duration::from_secs(10)).await);
}
