//! The bodies of answers, with their fields in Connect's order.

use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Serialize)]
pub(crate) struct ServerInfo {
    pub(crate) version: String,
    pub(crate) commit: &'static str,
    pub(crate) kafka_cluster_id: Option<String>,
}

#[derive(Serialize)]
pub(crate) struct WorkerStatus {
    pub(crate) status: &'static str,
    pub(crate) message: String,
}

#[derive(Serialize)]
pub(crate) struct ConnectorInfo {
    pub(crate) name: String,
    pub(crate) config: BTreeMap<String, String>,
    pub(crate) tasks: Vec<TaskId>,
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
}

#[derive(Clone, Serialize)]
pub(crate) struct TaskId {
    pub(crate) connector: String,
    pub(crate) task: u32,
}

#[derive(Serialize)]
pub(crate) struct TaskInfo {
    pub(crate) id: TaskId,
    pub(crate) config: BTreeMap<String, String>,
}

#[derive(Serialize)]
pub(crate) struct ConnectorStateInfo {
    pub(crate) name: String,
    pub(crate) connector: ConnectorState,
    pub(crate) tasks: Vec<TaskState>,
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
}

#[derive(Serialize)]
pub(crate) struct ConnectorState {
    pub(crate) state: &'static str,
    pub(crate) worker_id: String,
    pub(crate) version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trace: Option<String>,
}

#[derive(Serialize)]
pub(crate) struct TaskState {
    pub(crate) id: u32,
    pub(crate) state: &'static str,
    pub(crate) worker_id: String,
    pub(crate) version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trace: Option<String>,
}

/// What `expand` adds to the name of a connector.
#[derive(Default, Serialize)]
pub(crate) struct Expanded {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<ConnectorStateInfo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) info: Option<ConnectorInfo>,
}
