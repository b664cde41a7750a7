//! Connector code that blocks its thread, in more calls at once than there are threads: it harms only itself. In real time,
//! because threads are.

use crate::harness::{SHELVES, Stage, has_misbehaved, map, unblock_all};
use dray_model::{ConnectorName, ConnectorState, TargetState, TaskState};
use dray_providers::Resolved;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

async fn until(what: &str, mut met: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !met() {
        assert!(Instant::now() < deadline, "it never happened: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blocked_connectors_harm_only_themselves() {
    let stage = Stage::on_crew(2);
    stage.kafka.create_topic("t", 1);
    stage.kafka.append("t", 0, None, Some(b"x"));
    let shelf = |call: &str| format!("blocked in {call}");
    let config = |call: &str| {
        let class = match call {
            "open" | "put" | "flush" => "Keeper",
            _ => "Counter",
        };
        let shelf = shelf(call);
        let pairs = [
            ("connector.class", class),
            ("topic", "bad"),
            ("topics", "t"),
            ("tasks", "1"),
            ("count", "5"),
            ("shelf", &shelf),
            ("fault.call", call),
            ("fault.kind", "block"),
            ("name", call),
        ];
        map(&pairs)
    };
    stage.kafka.create_topic("calm", 1);
    let calm = [("connector.class", "Keeper"), ("topics", "calm"), ("shelf", "calm")];
    let running_before = stage.task("before", &calm);
    stage.wait_for("before", TaskState::Running).await;

    let tasks = ["start", "poll", "committed", "open", "put", "flush", "stop"];
    let instances = ["connector.start", "taskConfigs", "connector.stop"];
    let mut bad = Vec::new();
    for call in tasks {
        bad.push(stage.task_from(call, &config(call)));
    }
    let (sender, _receiver) = mpsc::channel(16);
    for call in instances {
        let name = ConnectorName::try_from(call).unwrap();
        let running = stage.worker.start_connector(
            &name,
            &Resolved::plain(&config(call)),
            sender.clone(),
            TargetState::Started,
        );
        bad.push(running.unwrap());
    }
    stage.wait_for("stop", TaskState::Running).await;
    let name = ConnectorName::try_from("connector.stop").unwrap();
    stage.wait_for_connector(&name, ConnectorState::Running).await;
    for (running, call) in bad.iter().zip(tasks.iter().chain(&instances)) {
        if call.ends_with("stop") {
            running.signal_stop();
        }
    }
    for call in tasks.iter().chain(&instances) {
        until(call, || has_misbehaved(&shelf(call))).await;
    }

    // Ten are blocked, for good. One that ran before goes on, and a new one starts, moves its records, pauses and stops.
    stage.kafka.append("calm", 0, None, Some(b"y"));
    until("the old one goes on", || SHELVES.lock().unwrap().contains_key("calm")).await;
    let new = stage.task(
        "new",
        &[("connector.class", "Counter"), ("topic", "new"), ("count", "50")],
    );
    until("the new one commits", || stage.offsets.position("new") == Some(50)).await;
    new.set_target(TargetState::Paused);
    stage.wait_for("new", TaskState::Paused).await;
    let soon = || tokio::time::Instant::now() + Duration::from_secs(60);
    assert!(new.stop(soon()).await);
    // A blocked one is given up on, which does not wait for it.
    let blocked = bad.remove(1);
    assert!(
        !blocked
            .stop(tokio::time::Instant::now() + Duration::from_millis(50))
            .await
    );

    unblock_all();
    for running in bad {
        assert!(running.stop(soon()).await);
    }
    assert!(running_before.stop(soon()).await);
}
