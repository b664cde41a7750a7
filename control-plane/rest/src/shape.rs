//! The bodies of answers, with their fields in Connect's order.

use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::ToSchema;

#[derive(Serialize, ToSchema)]
pub(crate) struct ServerInfo {
    pub(crate) version: String,
    pub(crate) commit: &'static str,
    #[schema(required = true)]
    pub(crate) kafka_cluster_id: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct WorkerStatus {
    pub(crate) status: &'static str,
    pub(crate) message: String,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ConnectorInfo {
    pub(crate) name: String,
    pub(crate) config: BTreeMap<String, String>,
    pub(crate) tasks: Vec<TaskId>,
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
}

#[derive(Clone, Serialize, ToSchema)]
pub(crate) struct TaskId {
    pub(crate) connector: String,
    pub(crate) task: u32,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct TaskInfo {
    pub(crate) id: TaskId,
    pub(crate) config: BTreeMap<String, String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ConnectorStateInfo {
    pub(crate) name: String,
    pub(crate) connector: ConnectorState,
    pub(crate) tasks: Vec<TaskState>,
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ConnectorState {
    pub(crate) state: &'static str,
    pub(crate) worker_id: String,
    #[schema(required = true)]
    pub(crate) version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) trace: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct TaskState {
    pub(crate) id: u32,
    pub(crate) state: &'static str,
    pub(crate) worker_id: String,
    #[schema(required = true)]
    pub(crate) version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) trace: Option<String>,
}

/// What `expand` adds to the name of a connector.
#[derive(Default, Serialize, ToSchema)]
pub(crate) struct Expanded {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) status: Option<ConnectorStateInfo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) info: Option<ConnectorInfo>,
}

/// What every error says.
#[derive(Serialize, ToSchema)]
pub(crate) struct Error<'a> {
    pub(crate) error_code: u16,
    #[schema(required = true)]
    pub(crate) message: Option<&'a str>,
}

/// The topics that a connector has used.
#[derive(Serialize, ToSchema)]
pub(crate) struct Topics {
    pub(crate) topics: Vec<String>,
}

/// A plugin that agents have.
#[derive(Serialize, ToSchema)]
pub(crate) struct PluginInfo {
    pub(crate) class: String,
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) version: Option<String>,
}

/// What is wrong with a configuration, and how its keys are defined.
#[derive(Serialize, ToSchema)]
pub(crate) struct ConfigInfos {
    pub(crate) name: String,
    pub(crate) error_count: u32,
    pub(crate) groups: Vec<String>,
    pub(crate) configs: Vec<ConfigInfo>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ConfigInfo {
    #[schema(required = true)]
    pub(crate) definition: Option<KeyInfo>,
    #[schema(required = true)]
    pub(crate) value: Option<ValueInfo>,
}

/// A key as it is defined. Connect 4.3 says `order_in_group`, all others `order`.
#[derive(Serialize, ToSchema)]
pub(crate) struct KeyInfo {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    pub(crate) required: bool,
    #[schema(required = true)]
    pub(crate) default_value: Option<String>,
    pub(crate) importance: &'static str,
    pub(crate) documentation: String,
    #[schema(required = true)]
    pub(crate) group: Option<String>,
    pub(crate) width: &'static str,
    pub(crate) display_name: String,
    pub(crate) dependents: Vec<String>,
    pub(crate) order: i32,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ValueInfo {
    pub(crate) name: String,
    #[schema(required = true)]
    pub(crate) value: Option<String>,
    pub(crate) recommended_values: Vec<String>,
    pub(crate) errors: Vec<String>,
    pub(crate) visible: bool,
}

/// How far a connector is.
#[derive(Serialize, ToSchema)]
pub(crate) struct Offsets {
    pub(crate) offsets: Vec<Offset>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Offset {
    pub(crate) partition: Value,
    pub(crate) offset: Value,
}

/// What was done, in words.
#[derive(Serialize, ToSchema)]
pub(crate) struct Message {
    pub(crate) message: String,
}

/// An agent.
#[derive(Serialize, ToSchema)]
pub(crate) struct Agent {
    pub(crate) id: String,
    pub(crate) worker_id: String,
    pub(crate) policy: &'static str,
    pub(crate) link: &'static str,
    pub(crate) tasks: u32,
    pub(crate) drained: bool,
    pub(crate) slots: u32,
    pub(crate) cost: u32,
    pub(crate) region: String,
    pub(crate) zone: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) problem: Option<String>,
}
