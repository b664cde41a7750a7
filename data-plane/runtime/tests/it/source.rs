//! What a source task produces and commits.

use crate::harness::{Stage, until};
use dray_kafka::Class;
use dray_model::{TargetState, TaskState};
use std::time::Duration;
use tokio::time::Instant;

pub(crate) const SOURCE: [(&str, &str); 3] = [("connector.class", "Counter"), ("topic", "t"), ("count", "25")];

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

#[tokio::test(start_paused = true)]
async fn offsets_are_committed_only_when_records_are_durable() {
    let stage = Stage::new();
    stage.kafka.hold_acks();
    let running = stage.task("c", &SOURCE);
    until(|| stage.kafka.held() == 25).await;
    tokio::time::advance(Duration::from_secs(5)).await;
    assert_eq!(stage.offsets.position("c"), None, "nothing is acknowledged");
    stage.kafka.release(7);
    until(|| stage.offsets.position("c").is_some()).await;
    assert_eq!(stage.offsets.position("c"), Some(7));
    stage.kafka.release_all();
    assert!(running.stop(soon()).await);
    assert_eq!(stage.offsets.position("c"), Some(25), "the stop commits the rest");
    // The next task goes on where this one ended.
    let more = [("connector.class", "Counter"), ("topic", "t"), ("count", "30")];
    let running = stage.task("c", &more);
    until(|| stage.values("t").len() == 30).await;
    running.stop(soon()).await;
    let expected: Vec<String> = (0..30).map(|n| n.to_string()).collect();
    assert_eq!(stage.values("t"), expected);
}

#[tokio::test(start_paused = true)]
async fn the_last_commits_of_a_stop_wait_for_no_turn() {
    let stage = Stage::with_turns();
    stage.kafka.hold_acks();
    let running = stage.task("c", &SOURCE);
    until(|| stage.kafka.held() == 25).await;
    stage.kafka.release(7);
    // A commit of the seven begins and waits; the rest is acknowledged behind it.
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(stage.offsets.position("c"), None);
    stage.kafka.release_all();
    let start = Instant::now();
    assert!(running.stop(soon()).await);
    assert_eq!(stage.offsets.position("c"), Some(25));
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_kafka_refuses_fails_the_task_before_its_offset() {
    let stage = Stage::new();
    stage.kafka.hold_acks();
    stage.kafka.fail_next(Class::Fatal, 1);
    let running = stage.task("c", &SOURCE);
    until(|| stage.kafka.held() == 25).await;
    stage.kafka.release_all();
    let trace = stage.wait_for("c", TaskState::Failed).await.unwrap();
    assert!(trace.contains("SCRIPTED"), "{trace}");
    assert_eq!(stage.offsets.position("c"), None, "the first record is not durable");
    running.stop(soon()).await;
}

#[tokio::test(start_paused = true)]
async fn a_tolerated_failure_is_skipped_and_counts_as_finished() {
    let stage = Stage::new();
    stage.kafka.fail_next(Class::Fatal, 1);
    let config = [SOURCE.as_slice(), &[("errors.tolerance", "all")]].concat();
    let running = stage.task("c", &config);
    until(|| stage.offsets.position("c") == Some(25)).await;
    assert_eq!(stage.values("t").len(), 24);
    running.stop(soon()).await;
}

#[tokio::test(start_paused = true)]
async fn a_paused_task_polls_nothing_and_goes_on() {
    let stage = Stage::new();
    let running = stage.task("c", &SOURCE);
    stage.wait_for("c", TaskState::Running).await;
    running.set_target(TargetState::Paused);
    stage.wait_for("c", TaskState::Paused).await;
    let before = stage.values("t").len();
    tokio::time::advance(Duration::from_secs(5)).await;
    assert_eq!(stage.values("t").len(), before);
    running.set_target(TargetState::Started);
    until(|| stage.values("t").len() == 25).await;
    running.stop(soon()).await;
}
