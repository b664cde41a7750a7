//! What a sink task puts and commits.

use crate::harness::{SHELVES, Stage, reached, until};
use dray_connect::sink_batch::TopicPartition;
use dray_kafka::Class;
use dray_model::TaskState;
use std::time::Duration;
use tokio::time::Instant;

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

fn shelf(name: &str) -> Vec<String> {
    SHELVES.lock().unwrap().get(name).cloned().unwrap_or_default()
}

fn stage(values: &[&str]) -> Stage {
    let stage = Stage::new();
    stage.kafka.create_topic("t", 1);
    for value in values {
        stage.kafka.append("t", 0, None, Some(value.as_bytes()));
    }
    stage
}

fn committed(stage: &Stage, connector: &str) -> Option<i64> {
    let partition = TopicPartition {
        topic: "t".into(),
        partition: 0,
    };
    stage
        .kafka
        .committed(&format!("connect-{connector}"))
        .get(&partition)
        .copied()
}

fn config<'a>(shelf: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [
        &[("connector.class", "Keeper"), ("topics", "t"), ("shelf", shelf)],
        more,
    ]
    .concat()
}

#[tokio::test(start_paused = true)]
async fn commits_what_pre_commit_returns() {
    let stage = stage(&["a", "b", "c"]);
    let running = stage.task("sink", &config("all", &[("hold.back", "1")]));
    until(|| committed(&stage, "sink").is_some()).await;
    assert_eq!(committed(&stage, "sink"), Some(2));
    assert_eq!(shelf("all"), ["a", "b", "c"]);
    assert!(running.stop(soon()).await);
}

/// Before each commit the sink is asked for its offsets, so its calls count them.
#[tokio::test(start_paused = true)]
async fn an_idle_task_is_not_woken_up_to_commit() {
    let stage = stage(&["a", "b"]);
    let counted = [("fault.call", "flush"), ("fault.on", "0")]; // counted, and none of them fails
    let running = stage.task("sink", &config("idle", &counted));
    for expected in [2, 3] {
        until(|| committed(&stage, "sink") == Some(expected)).await;
        tokio::time::sleep(Duration::from_secs(120)).await;
        let commits = reached("idle");
        tokio::time::sleep(Duration::from_secs(3_600)).await;
        assert_eq!(reached("idle"), commits, "it has nothing to commit in 60 intervals");
        stage.kafka.append("t", 0, None, Some(b"c"));
    }
    assert!(running.stop(soon()).await);
}

/// Fetches between two commits share the memory of one batch.
#[tokio::test(start_paused = true)]
async fn each_fetch_is_put_once() {
    let stage = stage(&["a"]);
    let running = stage.task("sink", &config("fetches", &[]));
    for (count, next) in [(1, Some("b")), (2, Some("c")), (3, None)] {
        until(|| shelf("fetches").len() >= count).await;
        if let Some(next) = next {
            stage.kafka.append("t", 0, None, Some(next.as_bytes()));
        }
    }
    until(|| committed(&stage, "sink") == Some(3)).await;
    assert_eq!(shelf("fetches"), ["a", "b", "c"]);
    assert!(running.stop(soon()).await);
}

#[tokio::test(start_paused = true)]
async fn a_retriable_put_comes_again_with_the_same_records() {
    let stage = stage(&["a", "b"]);
    let running = stage.task(
        "sink",
        &config("again", &[("fault.call", "put"), ("fault.kind", "retriable")]),
    );
    until(|| committed(&stage, "sink") == Some(2)).await;
    assert_eq!(shelf("again"), ["a", "b"]);
    running.stop(soon()).await;
}

#[tokio::test(start_paused = true)]
async fn a_bad_record_is_finished_when_its_dead_letter_is() {
    let stage = stage(&["{}", "not json", "1"]);
    let letters = [
        ("value.converter", "org.apache.kafka.connect.json.JsonConverter"),
        ("value.converter.schemas.enable", "false"),
        ("errors.tolerance", "all"),
        ("errors.deadletterqueue.topic.name", "letters"),
        ("errors.deadletterqueue.context.headers.enable", "true"),
    ];
    stage.kafka.hold_acks();
    stage.kafka.auto_create(None); // so that the queue's topic is there only if the task creates it
    let running = stage.task("sink", &config("letters", &letters));
    until(|| stage.kafka.held() == 1).await;
    tokio::time::advance(Duration::from_secs(5)).await;
    assert_eq!(committed(&stage, "sink"), None, "the letter is not acknowledged");
    stage.kafka.release_all();
    until(|| committed(&stage, "sink") == Some(3)).await;
    assert_eq!(shelf("letters"), ["{}", "1"]);
    let letter = stage.kafka.records("letters").remove(0);
    assert_eq!(letter.value.as_deref(), Some(b"not json".as_slice()));
    let header = |name: &str| {
        let found = letter
            .headers
            .iter()
            .find(|(key, _)| key == &format!("__connect.errors.{name}"));
        String::from_utf8(found.unwrap().1.clone().unwrap()).unwrap()
    };
    assert_eq!(
        (header("stage"), header("offset")),
        ("VALUE_CONVERTER".to_owned(), "1".to_owned())
    );
    assert_eq!(
        header("exception.class.name"),
        "org.apache.kafka.connect.errors.DataException"
    );
    running.stop(soon()).await;
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_that_cannot_be_written_fails_the_task_and_commits_nothing() {
    let stage = stage(&["not json"]);
    stage.kafka.fail_next(Class::Fatal, 1);
    let letters = [
        ("value.converter", "org.apache.kafka.connect.json.JsonConverter"),
        ("value.converter.schemas.enable", "false"),
        ("errors.tolerance", "all"),
        ("errors.deadletterqueue.topic.name", "letters"),
    ];
    let running = stage.task("sink", &config("none", &letters));
    let trace = stage.wait_for("sink", TaskState::Failed).await.unwrap();
    assert!(trace.contains("dead letter queue letters cannot be written"), "{trace}");
    running.stop(soon()).await;
    assert_eq!(committed(&stage, "sink"), None);
}

#[tokio::test(start_paused = true)]
async fn without_tolerance_a_bad_record_fails_the_task() {
    let stage = stage(&["1", "not json"]);
    let json = [
        ("value.converter", "org.apache.kafka.connect.json.JsonConverter"),
        ("value.converter.schemas.enable", "false"),
    ];
    let running = stage.task("sink", &config("strict", &json));
    let trace = stage.wait_for("sink", TaskState::Failed).await.unwrap();
    assert!(
        trace.starts_with("Tolerance exceeded in error handler\nCaused by: "),
        "{trace}"
    );
    running.stop(soon()).await;
    assert_eq!(committed(&stage, "sink"), None);
}
