//! Hang, panic and error in every call of connector code: it harms only itself.

use crate::harness::{SHELVES, Stage, map, misbehaves, until};
use dray_model::{ConnectorName, ConnectorState, TargetState, TaskState};
use dray_providers::Resolved;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// What fails stays so, and can be looked at.
const NO_RESTART: (&str, &str) = ("dray.restart.policy", "none");

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

/// Another connector of the same process moves all its records from here on.
async fn another_goes_on(stage: &Stage, name: &str) {
    let good = [("connector.class", "Counter"), ("topic", name), ("count", "50")];
    let good = stage.task(name, &good);
    until(|| stage.offsets.position(name) == Some(50)).await;
    assert_eq!(stage.values(name).len(), 50);
    assert!(good.stop(soon()).await);
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
        NO_RESTART,
    ];
    let bad = stage.task("bad", &fault);
    let at_the_end = matches!(call, "close" | "stop");
    if at_the_end {
        stage.wait_for("bad", TaskState::Running).await;
    } else {
        misbehaves(&what).await;
    }
    another_goes_on(&stage, "good").await;
    // As in Connect, an error of `committed` is logged; so is the failure of a task that ends anyway.
    let state = stage.state("bad");
    let bounded = matches!(call, "open" | "committed");
    if bounded && kind == "hang" {
        tokio::time::advance(Duration::from_secs(300)).await; // what a test waits is shorter
        let trace = stage.wait_for("bad", TaskState::Failed).await.unwrap();
        assert!(
            trace.starts_with(&format!("{call}() takes longer than ")),
            "{what}: {trace}"
        );
    } else if kind == "hang" || at_the_end || (call, kind) == ("committed", "error") {
        let expected = if (call, kind) == ("start", "hang") {
            TaskState::Unassigned
        } else {
            TaskState::Running
        };
        assert_eq!(state, expected, "{what}");
    } else {
        let trace = stage.wait_for("bad", TaskState::Failed).await.unwrap();
        assert!(trace.contains("asked to"), "{what}: {trace}");
        assert_eq!(trace.contains("panic in "), kind == "panic", "{what}: {trace}");
    }
    // What hangs in a call that is not cancel-safe is aborted at the deadline; everything else ends by itself. `close` is
    // bounded by the time for the last flush.
    let ended = bad.stop(soon()).await;
    misbehaves(&what).await;
    let aborted = kind == "hang" && matches!(call, "stop" | "put" | "flush");
    assert_eq!(ended, !aborted, "{what}");
    another_goes_on(&stage, "later").await;
}

#[tokio::test(start_paused = true)]
async fn a_source_task_harms_only_itself() {
    for call in ["start", "poll", "committed", "stop"] {
        for kind in ["hang", "panic", "error"] {
            one("Counter", call, kind).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_sink_task_harms_only_itself() {
    for call in ["start", "open", "put", "flush", "close", "stop"] {
        for kind in ["hang", "panic", "error"] {
            one("Keeper", call, kind).await;
        }
    }
}

/// A rebalance in which `close` fails: the partition is lost for this task, and its state cannot be known.
#[tokio::test(start_paused = true)]
async fn a_sink_task_that_cannot_give_up_a_partition_fails() {
    for kind in ["panic", "error"] {
        let stage = Stage::new();
        stage.kafka.create_topic("t", 1);
        stage.kafka.append("t", 0, None, Some(b"x"));
        let shelf = format!("rebalance {kind}");
        let fault = [
            ("connector.class", "Keeper"),
            ("topics", "t"),
            ("shelf", &shelf),
            ("fault.call", "close"),
            ("fault.kind", kind),
            NO_RESTART,
        ];
        let bad = stage.task("bad", &fault);
        until(|| SHELVES.lock().unwrap().contains_key(&shelf)).await;
        stage.kafka.revoke("connect-bad");
        let trace = stage.wait_for("bad", TaskState::Failed).await.unwrap();
        assert!(trace.contains("asked to"), "{kind}: {trace}");
        another_goes_on(&stage, "good").await;
        assert!(bad.stop(soon()).await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_that_cannot_be_made_harms_only_itself() {
    let stage = Stage::new();
    for class in ["Unmakeable", "NoSourceTask", "NoSinkTask"] {
        let bad = stage.task(class, &[("connector.class", class), ("topics", "t"), NO_RESTART]);
        let trace = stage.wait_for(class, TaskState::Failed).await.unwrap();
        assert_eq!(
            trace,
            "panic in task: asked to\nnot started again: dray.restart.policy is none"
        );
        another_goes_on(&stage, &format!("beside {class}")).await;
        assert!(bad.stop(soon()).await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_connector_instance_harms_only_itself() {
    let calls = [
        ("Counter", "connector.start"),
        ("Counter", "taskConfigs"),
        ("Counter", "connector.stop"),
        ("Unmakeable", ""),
    ];
    for (class, call) in calls {
        for kind in ["hang", "panic", "error"] {
            if kind == "hang" && call == "taskConfigs" {
                continue; // a call that does not wait can only block its thread
            }
            let stage = Stage::new();
            let name = ConnectorName::try_from("bad").unwrap();
            let (sender, _receiver) = mpsc::channel(1);
            let config = map(&[
                ("name", "bad"),
                ("connector.class", class),
                ("tasks", "1"),
                ("count", "1"),
                ("fault.call", call),
                ("fault.kind", kind),
                NO_RESTART,
            ]);
            let running = stage
                .worker
                .start_connector(&name, &Resolved::plain(&config), sender, TargetState::Started)
                .unwrap();
            let wanted = match (call, kind) {
                ("connector.start", "hang") => ConnectorState::Unassigned,
                ("connector.stop", _) => ConnectorState::Running,
                _ => ConnectorState::Failed,
            };
            stage.wait_for_connector(&name, wanted).await;
            another_goes_on(&stage, "good").await;
            let ended = running.stop(soon()).await;
            assert_eq!(ended, (call, kind) != ("connector.stop", "hang"), "{kind} in {call}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn too_many_task_configurations_fail_the_connector() {
    let large = "x".repeat(2_000);
    for (tasks, max, own, problem) in [
        ("3", "2", "", "3 tasks, which is greater than 2"),
        ("16385", "20000", "", "16385 tasks, and a connector may have 16384"),
        (
            "16000",
            "16000",
            large.as_str(),
            "16000 tasks whose configurations are 3",
        ),
    ] {
        let stage = Stage::new();
        let name = ConnectorName::try_from("many").unwrap();
        let (sender, _receiver) = mpsc::channel(1);
        let config = map(&[
            ("name", "many"),
            ("connector.class", "Counter"),
            ("count", "1"),
            ("tasks", tasks),
            ("tasks.max", max),
            ("extra", own),
        ]);
        let running = stage
            .worker
            .start_connector(&name, &Resolved::plain(&config), sender, TargetState::Started)
            .unwrap();
        let trace = stage.wait_for_connector(&name, ConnectorState::Failed).await.unwrap();
        let expected = format!("The connector many has generated {problem}");
        assert!(trace.starts_with(&expected), "{trace}");
        assert!(running.stop(soon()).await);
    }
}

/// What Connect's herder adds to each task configuration, whatever the connector put there.
#[tokio::test(start_paused = true)]
async fn task_configurations_name_the_class_of_the_task_and_the_topics() {
    let stage = Stage::new();
    let name = ConnectorName::try_from("c").unwrap();
    let own = [
        ("name", "c"),
        ("connector.class", "Counter"),
        ("count", "1"),
        ("tasks", "2"),
        ("tasks.max", "2"),
    ];
    for topics in [&[][..], &[("topics", " a,b"), ("topics.regex", "x")]] {
        let (sender, mut receiver) = mpsc::channel(1);
        let running = stage
            .worker
            .start_connector(
                &name,
                &Resolved::plain(&map(&[&own, topics].concat())),
                sender,
                TargetState::Started,
            )
            .unwrap();
        let configs = receiver.recv().await.unwrap().configs;
        let expected = map(&[&[("count", "1"), ("task.class", "CounterTask")], topics].concat());
        assert_eq!(configs, [expected.clone(), expected]);
        assert!(running.stop(soon()).await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_paused_instance_makes_no_tasks_until_it_is_resumed() {
    let stage = Stage::new();
    let name = ConnectorName::try_from("c").unwrap();
    let config = map(&[
        ("name", "c"),
        ("connector.class", "Counter"),
        ("count", "1"),
        ("tasks", "1"),
    ]);
    let (sender, mut receiver) = mpsc::channel(1);
    let running = stage
        .worker
        .start_connector(&name, &Resolved::plain(&config), sender, TargetState::Paused)
        .unwrap();
    stage.wait_for_connector(&name, ConnectorState::Paused).await;
    for _ in 0..2 {
        assert!(receiver.try_recv().is_err(), "it was paused");
        running.set_target(TargetState::Started);
        stage.wait_for_connector(&name, ConnectorState::Running).await;
        assert_eq!(receiver.recv().await.unwrap().configs.len(), 1);
        running.set_target(TargetState::Paused);
        stage.wait_for_connector(&name, ConnectorState::Paused).await;
    }
    assert!(running.stop(soon()).await);
}
