//! What fails is started again within its ownership, by the class of the failure.

use crate::harness::{SHELVES, Stage, id, map, until};
use dray_kafka::Class;
use dray_model::{ConnectorName, ConnectorState, TargetState, TaskState};
use dray_providers::Resolved;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

const ALWAYS: &str = "1 2 3 4 5 6 7 8 9 10 11 12";

/// A source that fails so in these calls.
fn source<'a>(shelf: &'a str, call: &'a str, kind: &'a str, on: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("connector.class", "Counter"),
        ("topic", "t"),
        ("count", "30"),
        ("shelf", shelf),
        ("fault.call", call),
        ("fault.kind", kind),
        ("fault.on", on),
    ]
}

#[tokio::test(start_paused = true)]
async fn what_passes_is_started_again_and_goes_on_where_it_was() {
    for (call, kind) in [("start", "retriable"), ("start", "panic"), ("poll", "panic")] {
        let shelf = format!("passes {call} {kind}");
        let stage = Stage::new();
        let began = Instant::now();
        let running = stage.task("c", &source(&shelf, call, kind, "1 2 3"));
        let reason = stage.wait_for("c", TaskState::Restarting).await.unwrap();
        assert!(reason.starts_with("restart 1 of 10 in an hour, in 1 s: "), "{reason}");
        assert!(reason.contains("asked to"), "{reason}");
        assert!(stage.values("t").is_empty());
        until(|| stage.state("c") == TaskState::Running).await;
        until(|| stage.offsets.position("c") == Some(30)).await;
        // Three waits of 1, 2 and 4 s, each at least half of that.
        assert!(began.elapsed() >= Duration::from_millis(3_500), "{:?}", began.elapsed());
        assert_eq!(stage.worker.board().watch().borrow().tasks[&id("c")].restarts, 3);
        assert_eq!(stage.values("t").len(), 30, "{call} {kind}");
        assert!(running.stop(soon()).await);
        assert_eq!(stage.state("c"), TaskState::Unassigned);
    }
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_is_away_costs_no_record() {
    let stage = Stage::new();
    stage.kafka.hold_acks();
    stage.kafka.fail_next(Class::Retriable, 1);
    let running = stage.task("c", &source("away", "never", "", ""));
    until(|| stage.kafka.held() == 30).await;
    stage.kafka.release_all();
    let reason = stage.wait_for("c", TaskState::Restarting).await.unwrap();
    assert!(reason.contains("SCRIPTED"), "{reason}");
    assert_eq!(stage.offsets.position("c"), None, "the first record is not durable");
    until(|| stage.offsets.position("c") == Some(30)).await;
    let numbers: std::collections::BTreeSet<String> = stage.values("t").into_iter().collect();
    assert_eq!(numbers.len(), 30);
    assert!(running.stop(soon()).await);
}

#[tokio::test(start_paused = true)]
async fn a_sink_is_given_its_records_again() {
    let stage = Stage::new();
    stage.kafka.create_topic("t", 1);
    stage.kafka.append("t", 0, None, Some(b"x"));
    let config = [
        ("connector.class", "Keeper"),
        ("topics", "t"),
        ("shelf", "restarts put"),
        ("fault.call", "put"),
        ("fault.kind", "panic"),
        ("fault.on", "1 2"),
    ];
    let running = stage.task("c", &config);
    stage.wait_for("c", TaskState::Restarting).await;
    until(|| {
        SHELVES
            .lock()
            .unwrap()
            .get("restarts put")
            .is_some_and(|shelf| shelf == &["x"])
    })
    .await;
    assert!(running.stop(soon()).await);
}

#[tokio::test(start_paused = true)]
async fn what_a_later_try_cannot_cure_stays_failed_as_in_connect() {
    let stage = Stage::new();
    for (kind, policy, state) in [
        ("data", "transient", TaskState::Failed),
        ("error", "transient", TaskState::Failed),
        ("retriable", "none", TaskState::Failed),
        ("panic", "none", TaskState::Failed),
        ("data", "always", TaskState::Restarting),
    ] {
        let name = format!("{kind} {policy}");
        let fault = source(&name, "start", kind, ALWAYS);
        let running = stage.task(&name, &[fault.as_slice(), &[("dray.restart.policy", policy)]].concat());
        let trace = stage.wait_for(&name, state).await.unwrap();
        assert!(trace.contains("asked to"), "{trace}");
        assert_eq!(
            trace.contains("dray.restart.policy is none"),
            policy == "none",
            "{trace}"
        );
        assert!(running.stop(soon()).await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_that_waits_for_its_restart_stops_at_once() {
    let stage = Stage::new();
    let running = stage.task("c", &source("stops", "start", "retriable", ALWAYS));
    // The fourth wait is at least 4 s long.
    until(|| {
        let all = stage.worker.board().watch();
        let restarts = all.borrow().tasks.get(&id("c")).map_or(0, |task| task.restarts);
        restarts == 4
    })
    .await;
    let asked = Instant::now();
    assert!(running.stop(soon()).await);
    assert!(asked.elapsed() < Duration::from_secs(1));
    let trace = stage.wait_for("c", TaskState::Unassigned).await.unwrap();
    assert!(
        trace.contains("asked to"),
        "the failure is kept beside the status: {trace}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_connector_instance_is_started_again_too() {
    for (call, kind) in [("connector.start", "retriable"), ("taskConfigs", "panic")] {
        let stage = Stage::new();
        let name = ConnectorName::try_from("c").unwrap();
        let (sender, mut receiver) = mpsc::channel(1);
        let shelf = format!("instance {call}");
        let fault = [source(&shelf, call, kind, "1 2"), vec![("name", "c"), ("tasks", "1")]].concat();
        let running = stage
            .worker
            .start_connector(&name, &Resolved::plain(&map(&fault)), sender, TargetState::Started)
            .unwrap();
        let reason = stage
            .wait_for_connector(&name, ConnectorState::Restarting)
            .await
            .unwrap();
        assert!(reason.starts_with("restart 1 of 10 in an hour"), "{reason}");
        let configs = tokio::time::timeout(Duration::from_secs(60), receiver.recv()).await;
        assert_eq!(configs.unwrap().unwrap().configs.len(), 1);
        stage.wait_for_connector(&name, ConnectorState::Running).await;
        assert!(running.stop(soon()).await);
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_policy_is_refused() {
    let stage = Stage::new();
    let config = [
        source("unknown", "never", "", ""),
        vec![("name", "c"), ("dray.restart.policy", "often")],
    ]
    .concat();
    let config = map(&config);
    let generation = dray_model::Generation::INITIAL;
    let started = stage
        .worker
        .start_task(&id("c"), generation, &config, &config, TargetState::Started);
    let error = started.err().map(|error| error.to_string());
    assert_eq!(
        error.as_deref(),
        Some(
            "Invalid value often for configuration dray.restart.policy: String must be one of: transient, always, none"
        )
    );
}

#[tokio::test(start_paused = true)]
async fn what_was_healthy_for_long_begins_anew() {
    let stage = Stage::new();
    stage.kafka.create_topic("t", 1);
    stage.kafka.append("t", 0, None, Some(b"x"));
    let config = [
        ("connector.class", "Keeper"),
        ("topics", "t"),
        ("shelf", "healthy"),
        ("fault.call", "put"),
        ("fault.kind", "panic"),
        ("fault.on", "1 2 4"),
    ];
    let running = stage.task("c", &config);
    until(|| SHELVES.lock().unwrap().contains_key("healthy")).await;
    assert_eq!(stage.worker.board().watch().borrow().tasks[&id("c")].restarts, 2);
    tokio::time::sleep(Duration::from_secs(601)).await;
    stage.kafka.append("t", 0, None, Some(b"y"));
    let reason = stage.wait_for("c", TaskState::Restarting).await.unwrap();
    assert!(reason.starts_with("restart 1 of 10 in an hour, in 1 s"), "{reason}");
    assert!(running.stop(soon()).await);
}
