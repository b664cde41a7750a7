//! From messages of `dray.admin.v1` to what commands know.

use crate::cluster::{Agent, Change, Connector, Error, ErrorKind, Key, Seen, Target, Task, Unfenced};
use dray_wire::admin::v1;
use dray_wire::admin::v1::status_change::What;
use dray_wire::plugin::v1 as plugin;
use serde_json::Value;
use tonic::{Code, Status};

pub(super) fn connector(wanted: v1::Connector, seen: v1::ConnectorWithTasks, stale_s: Option<i64>) -> Connector {
    let status = seen.status.unwrap_or_default();
    let tasks = seen.tasks.into_iter().map(|task| {
        let status = task.status.unwrap_or_default();
        Task {
            id: task.number,
            state: word(status.state().as_str_name(), "TASK_STATE_").into(),
            seen: task_seen(status),
        }
    });
    Connector {
        kind: None,
        state: word(status.state().as_str_name(), "CONNECTOR_STATE_").into(),
        wanted: match wanted.target() {
            v1::TargetState::Unspecified => None,
            v1::TargetState::Started => Some(Target::Running),
            v1::TargetState::Paused => Some(Target::Paused),
            v1::TargetState::Stopped => Some(Target::Stopped),
        },
        breaker: wanted.breaker,
        deleting: wanted.deleting,
        revision: Some(wanted.revision),
        seen: connector_seen(status),
        tasks: tasks.collect(),
        name: wanted.name,
        config: wanted.config,
        stale_s,
    }
}

fn connector_seen(status: v1::ConnectorStatus) -> Seen {
    Seen {
        worker_id: status.worker_id,
        agent: Some(status.agent),
        generation: Some(status.generation),
        restarts: Some(status.restarts),
        trace: status.trace,
    }
}

fn task_seen(status: v1::TaskStatus) -> Seen {
    Seen {
        worker_id: status.worker_id,
        agent: Some(status.agent),
        generation: Some(status.generation),
        restarts: Some(status.restarts),
        trace: status.trace,
    }
}

pub(super) fn agent(agent: v1::Agent, stale_s: Option<i64>) -> Agent {
    let policy = word(agent.policy().as_str_name(), "AGENT_POLICY_");
    let status = agent.status.unwrap_or_default();
    let unfenced = status.unfenced.iter().map(|session| Unfenced {
        session: session.session,
        clusters: session.clusters.clone(),
    });
    Agent {
        policy: policy.into(),
        link: word(status.link().as_str_name(), "AGENT_LINK_").into(),
        id: agent.id,
        number: agent.number,
        revision: agent.revision,
        worker_id: agent.worker_id,
        region: agent.region,
        zone: agent.zone,
        labels: agent.labels.into_iter().collect(),
        slots: agent.slots,
        cost: agent.cost,
        software_version: agent.software_version,
        session: status.session,
        tasks: status.tasks,
        drained: status.drained,
        unfenced: unfenced.collect(),
        problem: status.problem,
        stale_s,
    }
}

pub(super) fn change(what: What) -> Change {
    match what {
        What::Connector(change) => Change {
            what: "connector",
            name: change.name,
            state: change
                .status
                .as_ref()
                .map(|status| word(status.state().as_str_name(), "CONNECTOR_STATE_").into()),
            place: change
                .status
                .as_ref()
                .map(|status| status.agent.clone())
                .unwrap_or_default(),
            trace: change.status.and_then(|status| status.trace),
        },
        What::Task(change) => Change {
            what: "task",
            name: format!("{}-{}", change.connector, change.task),
            state: change
                .status
                .as_ref()
                .map(|status| word(status.state().as_str_name(), "TASK_STATE_").into()),
            place: change
                .status
                .as_ref()
                .map(|status| status.agent.clone())
                .unwrap_or_default(),
            trace: change.status.and_then(|status| status.trace),
        },
        What::Agent(change) => {
            let policy = word(change.policy().as_str_name(), "AGENT_POLICY_");
            Change {
                what: "agent",
                name: change.agent,
                state: change
                    .status
                    .as_ref()
                    .map(|status| word(status.link().as_str_name(), "AGENT_LINK_").into()),
                place: change
                    .status
                    .as_ref()
                    .map(|status| format!("{} tasks, {policy}", status.tasks))
                    .unwrap_or_default(),
                trace: change.status.and_then(|status| status.problem),
            }
        }
    }
}

pub(super) fn key(key: plugin::ConfigKey) -> Key {
    Key {
        kind: word(key.r#type().as_str_name(), "CONFIG_TYPE_").into(),
        importance: word(key.importance().as_str_name(), "IMPORTANCE_").into(),
        name: key.name,
        required: key.required,
        default_value: key.default_value,
        documentation: key.documentation,
    }
}

/// The word of a value of an enum; UNKNOWN for one that this version does not know.
pub(super) fn word<'a>(name: &'a str, prefix: &str) -> &'a str {
    match name.strip_prefix(prefix) {
        Some("UNSPECIFIED") | None => "UNKNOWN",
        Some(word) => word,
    }
}

/// Seconds since a leader was heard of, when there is none.
pub(super) fn stale(freshness: Option<&v1::Freshness>) -> Option<i64> {
    let freshness = freshness.filter(|freshness| freshness.stale)?;
    Some(freshness.age.map_or(0, |age| age.seconds))
}

/// Whether a configuration that says `name` means this class: the whole, the simple name, or that without `Connector`.
pub(super) fn named(class: &str, name: &str) -> bool {
    let simple = class.rsplit(['.', '$']).next().unwrap_or(class);
    class == name || simple == name || simple.strip_suffix("Connector") == Some(name)
}

pub(super) fn json(text: Option<String>) -> Result<Value, Error> {
    let Some(text) = text else { return Ok(Value::Null) };
    serde_json::from_str(&text).map_err(|error| Error::new(ErrorKind::Failed, format!("an offset is no JSON: {error}")))
}

pub(super) fn done(what: &str, external: bool) -> String {
    match external {
        true => format!("{what}, also where the connector keeps them itself"),
        false => format!("{what} in Kafka; what the connector keeps elsewhere, if anything, is as it was"),
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        let said = match status.message() {
            "" => status.code().description(),
            said => said,
        };
        let kind = match status.code() {
            Code::NotFound => ErrorKind::NotFound,
            Code::AlreadyExists => ErrorKind::Exists,
            Code::InvalidArgument | Code::OutOfRange => ErrorKind::Invalid,
            Code::FailedPrecondition | Code::Aborted | Code::ResourceExhausted => ErrorKind::Refused,
            Code::Unavailable | Code::Cancelled | Code::DeadlineExceeded => ErrorKind::Unavailable,
            Code::Unimplemented => ErrorKind::Unsupported,
            Code::PermissionDenied | Code::Unauthenticated => ErrorKind::Unauthorized,
            Code::Ok | Code::Unknown | Code::Internal | Code::DataLoss => ErrorKind::Failed,
        };
        Self::new(kind, said)
    }
}
