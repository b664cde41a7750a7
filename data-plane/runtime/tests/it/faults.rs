//! Hang, panic and error in every call of connector code: it harms only itself.

use crate::harness::{Stage, map, until};
use dray_connect::ConfigMap;
use dray_model::{ConnectorName, ConnectorState, TaskState};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

async fn one(class: &str, call: &str, kind: &str) {
    let what = format!("{kind} in {call} of {class}");
    let stage = Stage::new();
    stage.kafka.create_topic("t", 1);
    stage.kafka.append("t", 0, None, Some(b"x"));
    let fault = [
        ("connector.class", class),
        ("topic", "bad"),
        ("count", "5"),
        ("topics", "t"),
        ("shelf", &what),
        ("fault.call", call),
        ("fault.kind", kind),
    ];
    let bad = stage.task("bad", &fault);
    let good = stage.task(
        "good",
        &[("connector.class", "Counter"), ("topic", "good"), ("count", "50")],
    );
    until(|| stage.offsets.position("good") == Some(50)).await;
    let fails = kind != "hang" && call != "stop";
    if fails {
        let trace = stage.wait_for("bad", TaskState::Failed).await.unwrap();
        assert!(trace.contains("asked to"), "{what}: {trace}");
        if kind == "panic" {
            assert!(trace.contains("panic in "), "{what}: {trace}");
        }
    }
    // What hangs in a call that is not cancel-safe is aborted at the deadline; everything else ends by itself.
    let ended = bad.stop(soon()).await;
    let aborted = kind == "hang" && matches!(call, "stop" | "put" | "flush");
    assert_eq!(ended, !aborted, "{what}");
    assert!(good.stop(soon()).await, "{what}");
    assert_eq!(stage.values("good").len(), 50, "{what}");
}

#[tokio::test(start_paused = true)]
async fn a_source_task_harms_only_itself() {
    for call in ["start", "poll", "stop"] {
        for kind in ["hang", "panic", "error"] {
            one("Counter", call, kind).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_sink_task_harms_only_itself() {
    for call in ["start", "put", "flush", "stop"] {
        for kind in ["hang", "panic", "error"] {
            one("Keeper", call, kind).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_connector_instance_harms_only_itself() {
    for call in ["connector.start", "connector.stop"] {
        for kind in ["hang", "panic", "error"] {
            let stage = Stage::new();
            let name = ConnectorName::try_from("bad").unwrap();
            let (sender, _receiver) = mpsc::channel(1);
            let config: ConfigMap = map(&[
                ("name", "bad"),
                ("connector.class", "Counter"),
                ("tasks", "1"),
                ("fault.call", call),
                ("fault.kind", kind),
            ]);
            let running = stage.worker.start_connector(&name, &config, sender).unwrap();
            let wanted = match (call, kind) {
                ("connector.start", "hang") => ConnectorState::Unassigned,
                ("connector.start", _) => ConnectorState::Failed,
                _ => ConnectorState::Running,
            };
            let mut board = stage.worker.board().watch();
            let seen = board.wait_for(|all| all.connectors.get(&name).is_some_and(|entry| entry.state == wanted));
            tokio::time::timeout(Duration::from_secs(5), seen)
                .await
                .expect("the state is reached")
                .unwrap();
            let ended = running.stop(soon()).await;
            assert_eq!(ended, (call, kind) != ("connector.stop", "hang"), "{kind} in {call}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn too_many_task_configurations_fail_the_connector() {
    let stage = Stage::new();
    let name = ConnectorName::try_from("many").unwrap();
    let (sender, _receiver) = mpsc::channel(1);
    let config = map(&[
        ("name", "many"),
        ("connector.class", "Counter"),
        ("tasks", "3"),
        ("tasks.max", "2"),
    ]);
    let running = stage.worker.start_connector(&name, &config, sender).unwrap();
    let mut board = stage.worker.board().watch();
    let seen = board.wait_for(|all| {
        all.connectors
            .get(&name)
            .is_some_and(|entry| entry.state == ConnectorState::Failed)
    });
    let trace = tokio::time::timeout(Duration::from_secs(5), seen)
        .await
        .unwrap()
        .unwrap()
        .connectors[&name]
        .trace
        .clone();
    assert!(
        trace
            .unwrap()
            .starts_with("The connector many has generated 3 tasks, which is greater than 2")
    );
    assert!(running.stop(soon()).await);
}
