//! Every metric of the runtime: its name, what it means, and how it is read. The names are those of Connect's MBeans and attributes:
//! `kafka.connect:type=source-task-metrics`, `source-record-poll-rate` is `kafka_connect_source_task_source_record_poll_rate`. Connect's
//! texts are labels here. What is ours begins with `dray_`.

use super::task::Numbers;
use super::{FailureCounts, Labels, Starts, State, clients, counters, gauges, labels};
use crate::metrics::TaskMetrics;
use crate::status::{Statuses, Subject};
use dray_model::TaskState;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use std::collections::BTreeMap;
use std::fmt;
use tokio::time::Instant;

/// A task, as it is read.
pub(super) struct View {
    pub(super) labels: Labels,
    is_source: bool,
    pub(super) numbers: Numbers,
    failures: FailureCounts,
    pub(super) now: Instant,
}

/// Which tasks have a metric.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    All,
    Sources,
    Sinks,
}

impl Of {
    fn has(self, view: &View) -> bool {
        match self {
            Self::All => true,
            Self::Sources => view.is_source,
            Self::Sinks => !view.is_source,
        }
    }
}

type Row<T> = (Of, &'static str, &'static str, fn(&View) -> T);

use Of::{All, Sinks, Sources};

const GAUGES: &[Row<f64>] = &[
    (
        All,
        "kafka_connect_connector_task_running_ratio",
        "The share of its time in which the task was RUNNING.",
        |v| v.numbers.ratios(v.now).0,
    ),
    (
        All,
        "kafka_connect_connector_task_pause_ratio",
        "The share of its time in which the task was PAUSED.",
        |v| v.numbers.ratios(v.now).1,
    ),
    (
        All,
        "kafka_connect_connector_task_offset_commit_max_time_ms",
        "The longest successful commit of the last minute.",
        |v| v.numbers.commit_time.max(v.now),
    ),
    (
        All,
        "kafka_connect_connector_task_offset_commit_avg_time_ms",
        "The mean successful commit of the last minute.",
        |v| v.numbers.commit_time.average(v.now),
    ),
    (
        All,
        "kafka_connect_connector_task_offset_commit_success_percentage",
        "The share of commits that succeeded, from 0 to 1.",
        |v| v.numbers.commit_shares(v.now).0,
    ),
    (
        All,
        "kafka_connect_connector_task_offset_commit_failure_percentage",
        "The share of commits that failed, from 0 to 1.",
        |v| v.numbers.commit_shares(v.now).1,
    ),
    (
        All,
        "kafka_connect_connector_task_batch_size_max",
        "Records of the largest batch.",
        |v| v.numbers.batch.max(v.now),
    ),
    (
        All,
        "kafka_connect_connector_task_batch_size_avg",
        "Records of the mean batch.",
        |v| v.numbers.batch.average(v.now),
    ),
    (
        Sources,
        "kafka_connect_source_task_source_record_poll_rate",
        "Records polled a second.",
        |v| v.numbers.taken.rate(v.now),
    ),
    (
        Sources,
        "kafka_connect_source_task_poll_batch_max_time_ms",
        "The longest poll that gave records.",
        |v| v.numbers.call_time.max(v.now),
    ),
    (
        Sources,
        "kafka_connect_source_task_poll_batch_avg_time_ms",
        "The mean poll that gave records.",
        |v| v.numbers.call_time.average(v.now),
    ),
    (
        Sources,
        "kafka_connect_source_task_source_record_write_rate",
        "Records written to Kafka a second.",
        |v| v.numbers.given.rate(v.now),
    ),
    (
        Sources,
        "kafka_connect_source_task_source_record_active_count",
        "Records polled and not yet written.",
        |v| v.numbers.active as f64,
    ),
    (
        Sources,
        "kafka_connect_source_task_source_record_active_count_max",
        "The most records polled and not yet written.",
        |v| v.numbers.actives.max(v.now),
    ),
    (
        Sources,
        "kafka_connect_source_task_source_record_active_count_avg",
        "The mean of records polled and not yet written.",
        |v| v.numbers.actives.average(v.now),
    ),
    (
        Sinks,
        "kafka_connect_sink_task_sink_record_read_rate",
        "Records read from Kafka a second.",
        |v| v.numbers.taken.rate(v.now),
    ),
    (
        Sinks,
        "kafka_connect_sink_task_sink_record_send_rate",
        "Records put a second.",
        |v| v.numbers.given.rate(v.now),
    ),
    (
        Sinks,
        "kafka_connect_sink_task_partition_count",
        "Partitions assigned.",
        |v| v.numbers.partitions as f64,
    ),
    (
        Sinks,
        "kafka_connect_sink_task_offset_commit_seq_no",
        "The number of the last commit.",
        |v| v.numbers.commit_sequence as f64,
    ),
    (
        Sinks,
        "kafka_connect_sink_task_offset_commit_completion_rate",
        "Successful commits a second.",
        |v| v.numbers.commits_completed.rate(v.now),
    ),
    (
        Sinks,
        "kafka_connect_sink_task_offset_commit_skip_rate",
        "Commits answered out of order: there are none, as one follows the other.",
        |_| 0.0,
    ),
    (
        Sinks,
        "kafka_connect_sink_task_put_batch_max_time_ms",
        "The longest successful put.",
        |v| v.numbers.call_time.max(v.now),
    ),
    (
        Sinks,
        "kafka_connect_sink_task_put_batch_avg_time_ms",
        "The mean successful put.",
        |v| v.numbers.call_time.average(v.now),
    ),
    (
        Sinks,
        "kafka_connect_sink_task_sink_record_active_count",
        "Records put and not yet committed.",
        |v| v.numbers.active as f64,
    ),
    (
        Sinks,
        "kafka_connect_sink_task_sink_record_active_count_max",
        "The most records put and not yet committed.",
        |v| v.numbers.actives.max(v.now),
    ),
    (
        Sinks,
        "kafka_connect_sink_task_sink_record_active_count_avg",
        "The mean of records put and not yet committed.",
        |v| v.numbers.actives.average(v.now),
    ),
    (
        All,
        "kafka_connect_task_error_last_error_timestamp",
        "When a record last failed, in milliseconds since 1970; 0: never.",
        |v| v.failures.last_ms as f64,
    ),
    (
        All,
        "dray_task_record_age_seconds",
        "How old the newest batch was when it had arrived, by its first record.",
        |v| v.numbers.last_age,
    ),
    (
        Sinks,
        "dray_sink_task_lag_records",
        "Records from what the sink has taken to the ends of its partitions, as the broker said with the last fetch; NaN: it has not yet.",
        |v| v.numbers.lag(),
    ),
];

const COUNTERS: &[Row<u64>] = &[
    (
        Sources,
        "kafka_connect_source_task_source_record_poll",
        "Records polled.",
        |v| v.numbers.taken.total,
    ),
    (
        Sources,
        "kafka_connect_source_task_source_record_write",
        "Records written to Kafka.",
        |v| v.numbers.given.total,
    ),
    (
        Sinks,
        "kafka_connect_sink_task_sink_record_read",
        "Records read from Kafka.",
        |v| v.numbers.taken.total,
    ),
    (Sinks, "kafka_connect_sink_task_sink_record_send", "Records put.", |v| {
        v.numbers.given.total
    }),
    (
        Sinks,
        "kafka_connect_sink_task_offset_commit_completion",
        "Successful commits.",
        |v| v.numbers.commits_completed.total,
    ),
    (
        Sinks,
        "kafka_connect_sink_task_offset_commit_skip",
        "Commits answered out of order: there are none.",
        |_| 0,
    ),
    (
        All,
        "kafka_connect_task_error_total_record_failures",
        "Attempts on a record that failed.",
        |v| v.failures.failures,
    ),
    (
        All,
        "kafka_connect_task_error_total_record_errors",
        "Records that failed for good, tolerated or not.",
        |v| v.failures.errors,
    ),
    (
        All,
        "kafka_connect_task_error_total_records_skipped",
        "Records that failed and were tolerated.",
        |v| v.failures.skipped,
    ),
    (
        All,
        "kafka_connect_task_error_total_retries",
        "Attempts after a failed one.",
        |v| v.failures.retries,
    ),
    (
        All,
        "kafka_connect_task_error_total_errors_logged",
        "Failures written to the log.",
        |v| v.failures.logged,
    ),
    (
        All,
        "kafka_connect_task_error_deadletterqueue_produce_requests",
        "Letters for the dead letter queue.",
        |v| v.failures.letters,
    ),
    (
        All,
        "kafka_connect_task_error_deadletterqueue_produce_failures",
        "Letters that could not be written.",
        |v| v.failures.letters_failed,
    ),
];

/// What tasks say.
pub(super) fn tasks(encoder: &mut DescriptorEncoder<'_>, statuses: &Statuses, state: &State) -> fmt::Result {
    let now = Instant::now();
    let view = |(id, metrics): (&dray_model::TaskId, &TaskMetrics)| View {
        labels: labels(&Subject::Task(id.clone())),
        is_source: metrics.is_source(),
        numbers: metrics.numbers(),
        failures: metrics.failures().counts(),
        now,
    };
    let views: Vec<View> = state.tasks.iter().map(view).collect();
    for (of, name, help, read) in GAUGES {
        let those = views.iter().filter(|view| of.has(view));
        gauges(encoder, name, help, those.map(|view| (view.labels.clone(), read(view))))?;
    }
    for (of, name, help, read) in COUNTERS {
        let those = views.iter().filter(|view| of.has(view));
        counters(encoder, name, help, those.map(|view| (view.labels.clone(), read(view))))?;
    }
    ages(encoder, &views)?;
    clients::tell(encoder, &views)?;
    let with = |labels: &Labels, more: &[(&'static str, String)]| [&labels[..], more].concat();
    let of_status = statuses.tasks.iter().map(|(id, entry)| {
        let labels = labels(&Subject::Task(id.clone()));
        (with(&labels, &[("status", lower(entry.state))]), 1.0)
    });
    gauges(
        encoder,
        "kafka_connect_connector_task_status",
        "1 for the state in which the task is.",
        of_status,
    )?;
    let made = views.iter().filter(|view| !view.numbers.parts.is_empty());
    let parts = made.map(|view| with(&view.labels, &view.numbers.parts));
    infos(
        encoder,
        "kafka_connect_connector_task",
        "What the task is made of.",
        parts,
    )?;
    for (name, help, key, predicates) in [
        (
            "kafka_connect_connector_transform",
            "A transform of the task.",
            "transform",
            false,
        ),
        (
            "kafka_connect_connector_predicate",
            "A predicate of the task.",
            "predicate",
            true,
        ),
    ] {
        let (class, version) = if predicates {
            ("predicate_class", "predicate_version")
        } else {
            ("transform_class", "transform_version")
        };
        let stages = views.iter().flat_map(|view| {
            let those = view
                .numbers
                .stages
                .iter()
                .filter(move |(.., predicate)| *predicate == predicates);
            those.map(|(alias, name, _)| {
                let ours = env!("CARGO_PKG_VERSION").to_owned();
                with(
                    &view.labels,
                    &[(key, alias.clone()), (class, name.clone()), (version, ours)],
                )
            })
        });
        infos(encoder, name, help, stages)?;
    }
    Ok(())
}

fn ages(encoder: &mut DescriptorEncoder<'_>, views: &[View]) -> fmt::Result {
    for (name, help, sources) in [
        (
            "dray_source_record_latency_seconds",
            "From a record's timestamp until Kafka has acknowledged it; without timestamp, from its poll.",
            true,
        ),
        (
            "dray_sink_record_latency_seconds",
            "From a record's timestamp until the sink has taken it.",
            false,
        ),
    ] {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for view in views.iter().filter(|view| view.is_source == sources) {
            let ages = &view.numbers.ages;
            let mut metric = family.encode_family(&view.labels)?;
            metric.encode_histogram::<NoLabelSet>(ages.sum, ages.count(), &ages.buckets(), None)?;
        }
    }
    Ok(())
}

fn infos(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    labels: impl Iterator<Item = Labels>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Info)?;
    for labels in labels {
        family.encode_info(&labels)?;
    }
    Ok(())
}

/// What connector instances say.
pub(super) fn connectors(encoder: &mut DescriptorEncoder<'_>, statuses: &Statuses, state: &State) -> fmt::Result {
    let of_status = statuses.connectors.iter().map(|(name, entry)| {
        let labels = vec![("connector", name.to_string()), ("status", lower(entry.state))];
        (labels, 1.0)
    });
    gauges(
        encoder,
        "kafka_connect_connector_status",
        "1 for the state in which the connector is.",
        of_status,
    )?;
    let facts = state.connectors.iter().map(|(name, facts)| {
        vec![
            ("connector", name.to_string()),
            (
                "connector_type",
                if facts.is_source { "source" } else { "sink" }.to_owned(),
            ),
            ("connector_class", facts.class.to_owned()),
            ("connector_version", facts.version.to_owned()),
        ]
    });
    infos(encoder, "kafka_connect_connector", "What the connector is.", facts)?;
    let restarts = state.restarts.iter().flat_map(|(subject, counts)| {
        let words = ["transient", "crashed", "permanent"];
        words.into_iter().zip(*counts).map(|(word, count)| {
            let labels = [labels(subject), vec![("reason", word.to_owned())]].concat();
            (labels, count)
        })
    });
    counters(
        encoder,
        "dray_restarts",
        "Restarts after a failure, of connectors and tasks, by the class of the failure.",
        restarts,
    )
}

/// What the worker says.
pub(super) fn worker(encoder: &mut DescriptorEncoder<'_>, statuses: &Statuses, state: &State) -> fmt::Result {
    let mut gauge = |name: &str, help: &str, value: f64| {
        let name = format!("kafka_connect_worker_{name}");
        let metric = encoder.encode_descriptor(&name, help, None, MetricType::Gauge)?;
        ConstGauge::new(value).encode(metric)
    };
    gauge(
        "connector_count",
        "Connector instances here.",
        statuses.connectors.len() as f64,
    )?;
    gauge("task_count", "Tasks here.", statuses.tasks.len() as f64)?;
    let now = Instant::now();
    for (what, starts) in [("connector", &state.connector_starts), ("task", &state.task_starts)] {
        let good = starts.recent.average(now);
        let (good, bad) = if good.is_nan() { (0.0, 0.0) } else { (good, 1.0 - good) };
        gauge(
            &format!("{what}_startup_success_percentage"),
            "The share of starts that succeeded, from 0 to 1.",
            good,
        )?;
        gauge(
            &format!("{what}_startup_failure_percentage"),
            "The share of starts that failed, from 0 to 1.",
            bad,
        )?;
    }
    for (what, starts) in [("connector", &state.connector_starts), ("task", &state.task_starts)] {
        let Starts { begun, good, bad, .. } = *starts;
        for (name, help, value) in [
            ("attempts", "Attempts to start.", begun),
            ("success", "Starts that succeeded.", good),
            ("failure", "Starts that failed.", bad),
        ] {
            let name = format!("kafka_connect_worker_{what}_startup_{name}");
            let metric = encoder.encode_descriptor(&name, help, None, MetricType::Counter)?;
            ConstCounter::new(value).encode(metric)?;
        }
    }
    // By connector: all of its tasks here, and those in each state.
    let mut counts: BTreeMap<&str, Vec<TaskState>> = BTreeMap::new();
    for (id, entry) in &statuses.tasks {
        counts.entry(id.connector.as_str()).or_default().push(entry.state);
    }
    let label = |name: &&str| vec![("connector", (*name).to_owned())];
    let name = "kafka_connect_worker_connector_total_task_count";
    gauges(
        encoder,
        name,
        "Tasks of the connector here.",
        counts.iter().map(|(name, states)| (label(name), states.len() as f64)),
    )?;
    for state in [
        TaskState::Running,
        TaskState::Paused,
        TaskState::Failed,
        TaskState::Unassigned,
        TaskState::Destroyed,
        TaskState::Restarting,
    ] {
        let name = format!("kafka_connect_worker_connector_{}_task_count", lower(state));
        let values = counts.iter().map(|(name, states)| {
            let so_many = states.iter().filter(|other| **other == state).count();
            (label(name), so_many as f64)
        });
        gauges(
            encoder,
            &name,
            "Tasks of the connector here that are in this state.",
            values,
        )?;
    }
    Ok(())
}

fn lower(state: impl ToString) -> String {
    state.to_string().to_lowercase()
}
