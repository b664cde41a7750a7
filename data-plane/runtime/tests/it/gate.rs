//! The fence gate in front of tasks: while it is closed they cause no effect, and when it opens they go on.

use crate::harness::{SHELVES, Stage, until};
use dray_connect::sink_batch::TopicPartition;
use dray_model::TaskState;
use dray_runtime::gate::{Allowed, FenceGate, boottime};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

fn gated() -> (Stage, Arc<FenceGate>) {
    let (mut stage, gate) = (Stage::new(), Arc::new(FenceGate::default()));
    stage.worker = stage.worker.with_session("dray", ".7-9".to_owned(), gate.clone());
    (stage, gate)
}

fn open(gate: &FenceGate) {
    let far = boottime().plus(3_600_000);
    gate.set(Allowed {
        strict_until: far,
        fenced_until: far,
        shut: false,
        suspect: false,
    });
}

fn shut(gate: &FenceGate) {
    let far = boottime().plus(3_600_000);
    gate.set(Allowed {
        strict_until: far,
        fenced_until: far,
        shut: true,
        suspect: false,
    });
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

/// Long enough for polls, commits and retries on paused time.
async fn much_later() {
    tokio::time::sleep(Duration::from_secs(300)).await;
}

#[tokio::test(start_paused = true)]
async fn a_source_polls_produces_and_commits_only_through_an_open_gate() {
    let (stage, gate) = gated();
    stage.kafka.hold_acks();
    let running = stage.task("g", &[("connector.class", "Counter"), ("topic", "t"), ("count", "25")]);
    stage.wait_for("g", TaskState::Running).await;
    much_later().await;
    assert_eq!(stage.kafka.held(), 0, "nothing is produced before the gate opens");
    open(&gate);
    until(|| stage.kafka.held() == 25).await;
    shut(&gate);
    stage.kafka.release_all();
    much_later().await;
    assert_eq!(
        stage.offsets.position("g"),
        None,
        "all is durable, and nothing is committed"
    );
    assert!(running.stop(soon()).await, "a closed gate holds up no stop");
    assert_eq!(stage.offsets.position("g"), None, "and the stop commits nothing");
}

#[tokio::test(start_paused = true)]
async fn a_sink_puts_and_commits_only_through_an_open_gate() {
    let (stage, gate) = gated();
    stage.kafka.create_topic("t", 1);
    for value in ["a", "b", "c"] {
        stage.kafka.append("t", 0, None, Some(value.as_bytes()));
    }
    let shelf = || SHELVES.lock().unwrap().get("gated").cloned().unwrap_or_default();
    let committed = || {
        let partition = TopicPartition {
            topic: "t".into(),
            partition: 0,
        };
        stage.kafka.committed("connect-g").get(&partition).copied()
    };
    let running = stage.task(
        "g",
        &[("connector.class", "Keeper"), ("topics", "t"), ("shelf", "gated")],
    );
    much_later().await;
    assert!(shelf().is_empty(), "nothing is put before the gate opens");
    open(&gate);
    until(|| committed() == Some(3)).await;
    // The next commit is far off when the sink has taken the fourth.
    stage.kafka.append("t", 0, None, Some(b"d"));
    until(|| shelf().len() == 4).await;
    shut(&gate);
    much_later().await;
    assert_eq!(committed(), Some(3), "the sink has taken it, and it is not committed");
    stage.kafka.append("t", 0, None, Some(b"e"));
    much_later().await;
    assert_eq!(shelf().len(), 4);
    assert!(running.stop(soon()).await, "a closed gate holds up no stop");
    assert_eq!(
        (shelf().len(), committed()),
        (4, Some(3)),
        "and the stop commits nothing"
    );
}
