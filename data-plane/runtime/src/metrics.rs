//! What connectors and tasks measure: Kafka Connect's metrics under Prometheus' names, and some of our own. `deploy/metrics/README.md` has
//! all of them.
//!
//! The status board holds the measurements, and they go when their task goes. They are read when somebody looks: between two looks a batch
//! costs two or three uncontended locks, and a record nothing.

mod clients;
mod failures;
mod latency;
mod rows;
mod task;

pub use failures::{FailureCounts, Failures};
pub use task::TaskMetrics;

use crate::status::{StatusBoard, Subject};
use dray_kafka::metrics::Window;
use dray_model::{ConnectorName, TaskId};
use dray_session::FailureClass;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::time::Instant;

/// What a board measures.
#[derive(Debug, Default)]
pub(crate) struct Room(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    tasks: BTreeMap<TaskId, TaskMetrics>,
    connectors: BTreeMap<ConnectorName, ConnectorFacts>,
    /// Restarts, by what caused them.
    restarts: BTreeMap<Subject, [u64; 3]>,
    /// What was started and does not run yet.
    starting: BTreeSet<Subject>,
    connector_starts: Starts,
    task_starts: Starts,
}

/// What is known of a connector that has an instance here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectorFacts {
    pub(crate) class: &'static str,
    pub(crate) version: &'static str,
    pub(crate) is_source: bool,
}

/// Attempts to start something.
#[derive(Clone, Copy, Debug, Default)]
struct Starts {
    begun: u64,
    good: u64,
    bad: u64,
    /// 1 for one that succeeded, 0 for one that failed.
    recent: Window,
}

impl Starts {
    fn ended(&mut self, good: bool) {
        if good {
            self.good += 1;
        } else {
            self.bad += 1;
        }
        self.recent.record(Instant::now(), f64::from(u8::from(good)));
    }
}

/// The place of a class in the counts of restarts, and its word.
fn class(class: FailureClass) -> (usize, &'static str) {
    match class {
        FailureClass::Transient => (0, "transient"),
        FailureClass::Crashed => (1, "crashed"),
        FailureClass::Permanent => (2, "permanent"),
    }
}

impl Room {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Held for a few lines that cannot panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The measurements of a task, new if it has none.
    pub(crate) fn of_task(&self, id: &TaskId, is_source: bool) -> TaskMetrics {
        let mut state = self.lock();
        let found = state.tasks.get(id).filter(|found| found.is_source() == is_source);
        if let Some(found) = found {
            return found.clone();
        }
        let made = TaskMetrics::new(is_source);
        state.tasks.insert(id.clone(), made.clone());
        made
    }

    /// A connector has an instance here.
    pub(crate) fn connector(&self, name: &ConnectorName, facts: ConnectorFacts) {
        self.lock().connectors.insert(name.clone(), facts);
    }

    /// A task shows another state.
    pub(crate) fn task_state(&self, id: &TaskId, state: dray_model::TaskState) {
        let found = self.lock().tasks.get(id).cloned();
        if let Some(found) = found {
            found.state(state);
        }
    }

    /// An attempt to start begins.
    pub(crate) fn starting(&self, subject: &Subject) {
        let mut state = self.lock();
        state.starting.insert(subject.clone());
        state.starts(subject).begun += 1;
    }

    /// It was not even begun to be started.
    pub(crate) fn refused(&self, subject: &Subject) {
        self.starting(subject);
        self.failed(subject);
    }

    /// It runs.
    pub(crate) fn runs(&self, subject: &Subject) {
        self.start_ended(subject, true);
    }

    /// An attempt ended by a failure: the start failed, unless it has run.
    pub(crate) fn failed(&self, subject: &Subject) {
        self.start_ended(subject, false);
    }

    fn start_ended(&self, subject: &Subject, good: bool) {
        let mut state = self.lock();
        if state.starting.remove(subject) {
            state.starts(subject).ended(good);
        }
    }

    /// It is started again after a failure.
    pub(crate) fn restarting(&self, subject: &Subject, why: FailureClass) {
        self.lock().restarts.entry(subject.clone()).or_default()[class(why).0] += 1;
    }

    /// It is no longer here.
    pub(crate) fn remove(&self, subject: &Subject) {
        let mut state = self.lock();
        match subject {
            Subject::Connector(name) => drop(state.connectors.remove(name)),
            Subject::Task(id) => drop(state.tasks.remove(id)),
        }
        state.restarts.remove(subject);
        state.starting.remove(subject);
    }
}

impl State {
    fn starts(&mut self, subject: &Subject) -> &mut Starts {
        match subject {
            Subject::Connector(_) => &mut self.connector_starts,
            Subject::Task(_) => &mut self.task_starts,
        }
    }
}

/// The labels of a connector or task.
fn labels(subject: &Subject) -> Labels {
    let mut labels = vec![("connector", subject.connector().to_string())];
    labels.extend(subject.task().map(|task| ("task", task.to_string())));
    labels
}

/// Reads everything that a board measures.
#[derive(Debug)]
pub struct RuntimeCollector(pub StatusBoard);

impl Collector for RuntimeCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let statuses = self.0.watch().borrow().clone();
        let state = self.0.room().lock();
        rows::connectors(&mut encoder, &statuses, &state)?;
        rows::tasks(&mut encoder, &statuses, &state)?;
        rows::worker(&mut encoder, &statuses, &state)
    }
}

/// Labels and their values.
type Labels = Vec<(&'static str, String)>;

/// One family of gauges.
fn gauges(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: impl Iterator<Item = (Labels, f64)>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, value) in values {
        ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

/// One family of counters; the name is without `_total`.
fn counters(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: impl Iterator<Item = (Labels, u64)>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (labels, value) in values {
        ConstCounter::new(value).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}
