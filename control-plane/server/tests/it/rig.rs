//! What the tests share: replicas, connectors, and waiting for a condition.

use crate::agent::CLASS;
use dray_control::board::{ConnectorSeen, Freshness};
use dray_control::{Config, Control};
use dray_machine::cluster::Timing;
use dray_model::record::ConnectorSpec;
use dray_model::{ConnectorName, ConnectorState, TargetState, TaskState};
use dray_process::Telemetry;
use dray_store::keys::{Keys, Name};
use dray_store::{MetadataStore, Revision, Txn, TxnOutcome};
use dray_wire::store::{Rest, encode};
use std::sync::Arc;
use std::time::Duration;

/// Longer than anything takes on a loaded machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// No test here is about agents that are silent, and none becomes so because the machine stands still for some seconds.
pub(crate) fn config(cluster: &str, replica: &str) -> Config {
    Config {
        cluster: cluster.into(),
        replica: Some(replica.into()),
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        listeners: Default::default(),
        advertise: vec![],
        worker: None,
        data_dir: None,
        timing: Timing {
            silent_ms: 20_000,
            broken_ms: 20_000,
            many_broken_ms: 20_000,
            ..Timing::default()
        },
        telemetry: Telemetry::default(),
    }
}

pub(crate) fn name(text: &str) -> ConnectorName {
    text.try_into().unwrap()
}

/// Waits until it is so.
pub(crate) async fn until(what: &str, so: impl FnMut() -> bool) {
    until_within(DEADLINE, what, so).await;
}

/// The same for what takes longer.
pub(crate) async fn until_within(limit: Duration, what: &str, mut so: impl FnMut() -> bool) {
    let end = tokio::time::Instant::now() + limit;
    while !so() {
        assert!(tokio::time::Instant::now() < end, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Creates a connector as a replica would.
pub(crate) async fn create(store: &dyn MetadataStore, cluster: &str, connector: &str) -> Revision {
    let spec = ConnectorSpec {
        uid: None,
        config: [
            ("connector.class".to_owned(), CLASS.to_owned()),
            ("name".to_owned(), connector.to_owned()),
            ("tasks.max".to_owned(), "2".to_owned()),
        ]
        .into(),
        target: TargetState::Started,
        config_version: 1,
        restarts: 0,
        task_restarts: Default::default(),
        deleting: false,
        altering: None,
        breaker: None,
        writer: "test".into(),
        operation: connector.into(),
    };
    let key = Keys::new(cluster).key(&Name::Spec(name(connector)));
    let value = encode(&spec, &Rest::default()).unwrap();
    match store.txn(Txn::new().if_absent(&key).put(&key, value)).await.unwrap() {
        TxnOutcome::Committed(revision) => revision,
        TxnOutcome::Conflict { .. } => panic!("{connector} is there already"),
    }
}

/// Whether a replica shows a connector with so many tasks as running.
pub(crate) fn is_running(control: &Control, connector: &str, tasks: usize) -> bool {
    control.board().read(|seen| {
        let seen = seen.connectors.get(&name(connector));
        seen.is_some_and(|seen| runs(seen, tasks))
    })
}

/// Whether it shows so many connectors, with a task each, and all as running.
pub(crate) fn all_run(control: &Control, connectors: usize) -> bool {
    let board = control.board();
    board.read(|seen| seen.connectors.len() == connectors && seen.connectors.values().all(|seen| runs(seen, 1)))
}

fn runs(seen: &ConnectorSeen, tasks: usize) -> bool {
    let instance = seen.connector.as_ref();
    instance.is_some_and(|seen| seen.state == ConnectorState::Running)
        && seen.tasks.len() == tasks
        && seen.tasks.values().all(|task| task.state == TaskState::Running)
}

pub(crate) async fn start(store: &Arc<dyn MetadataStore>, cluster: &str, replica: &str) -> Control {
    Control::start(store.clone(), config(cluster, replica)).await.unwrap()
}

/// Whether this replica leads, as `control` sees it. The leader's key alone would not tell: it is written before the leader takes streams and
/// calls, which is when it begins to write the board.
pub(crate) fn leads(control: &Control, replica: &str) -> bool {
    let state = control.cache().now();
    let leader = state.leader.as_ref();
    leader.is_some_and(|leader| leader.record.replica == replica)
        && control
            .board()
            .read(|seen| state.term.map(Freshness::Fresh) == Some(seen.freshness))
}
