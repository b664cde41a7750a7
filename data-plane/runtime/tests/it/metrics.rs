//! What connectors and tasks measure, and that it goes with them.

use crate::harness::{Stage, id, map, until};
use dray_model::{ConnectorName, TargetState, TaskState};
use dray_providers::Resolved;
use dray_runtime::metrics::RuntimeCollector;
use dray_runtime::status::Subject;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// What a look at the board shows.
pub(crate) struct Look(String);

impl Look {
    pub(crate) fn at(stage: &Stage) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(RuntimeCollector(stage.worker.board().clone())));
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        Self(text)
    }

    /// The value of a series, written as in the exposition.
    fn value(&self, series: &str) -> Option<f64> {
        let line = self
            .0
            .lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
        line.parse().ok()
    }

    pub(crate) fn of_task(&self, name: &str, connector: &str) -> f64 {
        let series = format!("{name}{{connector=\"{connector}\",task=\"0\"}}");
        self.value(&series).unwrap_or_else(|| panic!("{series} in {}", self.0))
    }

    fn names(&self, connector: &str) -> usize {
        self.0
            .lines()
            .filter(|line| line.contains(&format!("connector=\"{connector}\"")))
            .count()
    }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

#[tokio::test(start_paused = true)]
async fn a_source_counts_what_it_polls_and_what_is_written() {
    let stage = Stage::new();
    stage.kafka.hold_acks();
    let running = stage.task("c", &[("connector.class", "Counter"), ("topic", "t"), ("count", "25")]);
    until(|| stage.kafka.held() == 25).await;
    let look = Look::at(&stage);
    assert_eq!(
        look.of_task("kafka_connect_source_task_source_record_poll_total", "c"),
        25.0
    );
    assert_eq!(
        look.of_task("kafka_connect_source_task_source_record_write_total", "c"),
        0.0
    );
    assert_eq!(
        look.of_task("kafka_connect_source_task_source_record_active_count", "c"),
        25.0
    );
    stage.kafka.release(7);
    until(|| Look::at(&stage).of_task("kafka_connect_source_task_source_record_write_total", "c") > 0.0).await;
    stage.kafka.release_all();
    until(|| stage.offsets.position("c") == Some(25)).await;
    let look = Look::at(&stage);
    assert_eq!(
        look.of_task("kafka_connect_source_task_source_record_write_total", "c"),
        25.0
    );
    assert_eq!(
        look.of_task("kafka_connect_source_task_source_record_active_count", "c"),
        0.0
    );
    assert_eq!(
        look.of_task("kafka_connect_source_task_source_record_active_count_max", "c"),
        25.0
    );
    assert_eq!(look.of_task("dray_source_record_latency_seconds_count", "c"), 25.0);
    assert_eq!(
        look.of_task("kafka_connect_connector_task_offset_commit_success_percentage", "c"),
        1.0
    );
    assert_eq!(look.value("kafka_connect_worker_task_startup_success_total"), Some(1.0));
    assert!(
        look.0
            .contains("kafka_connect_connector_task_status{connector=\"c\",task=\"0\",status=\"running\"} 1")
    );
    assert!(look.0.contains("task_class=\"CounterTask\""), "{}", look.0);
    assert!(
        !look.0.contains("sink_record_read_total{"),
        "a source has no metrics of sinks"
    );
    assert!(running.stop(soon()).await);
}

#[tokio::test(start_paused = true)]
async fn a_sink_counts_what_it_reads_puts_and_leaves_out() {
    let stage = Stage::new();
    stage.kafka.create_topic("t", 1);
    for value in ["1", "no json", "2", "3"] {
        stage.kafka.append("t", 0, None, Some(value.as_bytes()));
    }
    let config = [
        ("connector.class", "Keeper"),
        ("topics", "t"),
        ("shelf", "measured"),
        ("value.converter", "org.apache.kafka.connect.json.JsonConverter"),
        ("value.converter.schemas.enable", "false"),
        ("errors.tolerance", "all"),
        ("errors.log.enable", "true"),
        ("errors.deadletterqueue.topic.name", "letters"),
        ("errors.deadletterqueue.topic.replication.factor", "1"),
    ];
    let running = stage.task("s", &config);
    let done =
        |look: &Look| look.value("kafka_connect_sink_task_offset_commit_completion_total{connector=\"s\",task=\"0\"}");
    until(|| done(&Look::at(&stage)) > Some(0.0)).await;
    let look = Look::at(&stage);
    for (name, expected) in [
        ("kafka_connect_sink_task_sink_record_read_total", 4.0),
        ("kafka_connect_sink_task_sink_record_send_total", 3.0),
        ("kafka_connect_sink_task_partition_count", 1.0),
        ("kafka_connect_sink_task_offset_commit_completion_total", 1.0),
        ("kafka_connect_sink_task_sink_record_active_count", 0.0),
        ("kafka_connect_connector_task_batch_size_max", 3.0),
        ("kafka_connect_task_error_total_record_failures_total", 1.0),
        ("kafka_connect_task_error_total_record_errors_total", 1.0),
        ("kafka_connect_task_error_total_records_skipped_total", 1.0),
        ("kafka_connect_task_error_total_errors_logged_total", 1.0),
        ("kafka_connect_task_error_total_retries_total", 0.0),
        ("kafka_connect_task_error_deadletterqueue_produce_requests_total", 1.0),
        ("kafka_connect_task_error_deadletterqueue_produce_failures_total", 0.0),
    ] {
        assert_eq!(look.of_task(name, "s"), expected, "{name}");
    }
    assert!(look.of_task("kafka_connect_task_error_last_error_timestamp", "s") > 0.0);
    let lag = || Look::at(&stage).of_task("dray_sink_task_lag_records", "s");
    until(|| lag() == 0.0).await;
    running.set_target(TargetState::Paused);
    stage.wait_for("s", TaskState::Paused).await;
    for value in ["4", "5"] {
        stage.kafka.append("t", 0, None, Some(value.as_bytes()));
    }
    until(|| lag() == 2.0).await;
    running.set_target(TargetState::Started);
    until(|| lag() == 0.0).await;
    assert!(running.stop(soon()).await);
}

#[tokio::test(start_paused = true)]
async fn restarts_are_counted_by_their_reason() {
    let stage = Stage::new();
    let fault = [
        ("fault.call", "poll"),
        ("fault.kind", "panic"),
        ("fault.on", "1 2"),
        ("shelf", "restarts measured"),
    ];
    let config = [
        &[("connector.class", "Counter"), ("topic", "t"), ("count", "5")][..],
        &fault,
    ]
    .concat();
    let running = stage.task("again", &config);
    until(|| stage.values("t").len() == 5).await;
    let look = Look::at(&stage);
    let restarts = |reason| {
        look.value(&format!(
            "dray_restarts_total{{connector=\"again\",task=\"0\",reason=\"{reason}\"}}"
        ))
    };
    assert_eq!((restarts("crashed"), restarts("transient")), (Some(2.0), Some(0.0)));
    assert_eq!(
        look.value("kafka_connect_worker_task_startup_attempts_total"),
        Some(3.0)
    );
    assert!(running.stop(soon()).await);
}

#[tokio::test(start_paused = true)]
async fn series_go_with_what_they_are_about() {
    let stage = Stage::new();
    let running = stage.task(
        "gone",
        &[("connector.class", "Counter"), ("topic", "t"), ("count", "5")],
    );
    let name = ConnectorName::try_from("gone").unwrap();
    let (sender, _configs) = mpsc::channel(4);
    let config = map(&[("name", "gone"), ("connector.class", "Counter"), ("topic", "t")]);
    let instance = stage
        .worker
        .start_connector(&name, &Resolved::plain(&config), sender, TargetState::Started)
        .unwrap();
    stage.wait_for("gone", TaskState::Running).await;
    until(|| Look::at(&stage).0.contains("connector_type=\"source\"")).await;
    assert!(Look::at(&stage).names("gone") > 40, "{}", Look::at(&stage).0);
    assert!(running.stop(soon()).await && instance.stop(soon()).await);
    stage.worker.board().remove(&Subject::Task(id("gone")));
    stage.worker.board().remove(&Subject::Connector(name));
    assert_eq!(Look::at(&stage).names("gone"), 0, "{}", Look::at(&stage).0);
    // Another session begins with nothing.
    let running = stage.task(
        "other",
        &[("connector.class", "Counter"), ("topic", "t"), ("count", "5")],
    );
    stage.wait_for("other", TaskState::Running).await;
    assert!(running.stop(soon()).await);
    stage.worker.board().clear();
    assert_eq!(Look::at(&stage).names("other"), 0);
    assert_eq!(Look::at(&stage).value("kafka_connect_worker_task_count"), Some(0.0));
}
