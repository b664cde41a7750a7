//! What is seen of connectors and tasks, and restarts, which answer with it.

use crate::answer::{Answer, empty, json, ok};
use crate::error::Error;
use crate::gateway::Rest;
use crate::plugins::Kind;
use crate::query;
use crate::shape::{ConnectorState, ConnectorStateInfo, TaskState};
use axum::http::StatusCode;
use dray_wire::admin::v1;
use tonic::{Code, Request};

impl Rest {
    pub(crate) async fn connector_status(&self, name: &str) -> Answer {
        let missing = || Error::not_found(format!("No status found for connector {name}"));
        let connector = self.connector(name).await?.ok_or_else(missing)?;
        let seen = self.seen(name).await?.ok_or_else(missing)?;
        let kind = self.kind(&connector).await;
        ok(&state_info(seen, &kind, connector.breaker.is_some()))
    }

    pub(crate) async fn task_status(&self, name: &str, task: i32) -> Answer {
        let missing = || Error::not_found(format!("No status found for task {name}-{task}"));
        let connector = self.connector(name).await?.ok_or_else(missing)?;
        let seen = self.seen(name).await?.ok_or_else(missing)?;
        let mut tasks = seen.tasks.into_iter();
        let found = tasks.find(|found| i64::from(found.number) == i64::from(task));
        let kind = self.kind(&connector).await;
        ok(&task_state(found.ok_or_else(missing)?, &kind))
    }

    /// Without flags it restarts the instance and says nothing; with some, it answers with what it restarts.
    pub(crate) async fn restart(&self, name: &str, query: Option<&str>) -> Answer {
        let unknown = || Error::not_found(format!("Unknown connector: {name}"));
        let connector = self.connector(name).await?.ok_or_else(unknown)?;
        let request = v1::RestartConnectorRequest {
            name: name.into(),
            include_tasks: query::flag(query, "includeTasks", false),
            only_failed: query::flag(query, "onlyFailed", false),
        };
        let plain = !request.include_tasks && !request.only_failed;
        let asked = self.services.connectors.restart_connector(Request::new(request)).await;
        let plan = asked.map_err(|status| gone_or(status, unknown))?.into_inner();
        if plain {
            return empty(StatusCode::NO_CONTENT);
        }
        let missing = || Error::not_found(format!("Status for connector {name} not found"));
        let seen = self.seen(name).await?.ok_or_else(missing)?;
        let kind = self.kind(&connector).await;
        let mut info = state_info(seen, &kind, connector.breaker.is_some());
        if plan.instance {
            info.connector.state = RESTARTING;
        }
        for task in info.tasks.iter_mut().filter(|task| plan.tasks.contains(&task.id)) {
            task.state = RESTARTING;
        }
        json(StatusCode::ACCEPTED, &info)
    }

    pub(crate) async fn restart_task(&self, name: &str, task: i32) -> Answer {
        let unknown = || Error::not_found(format!("Unknown connector: {name}"));
        self.connector(name).await?.ok_or_else(unknown)?;
        let unknown = || Error::not_found(format!("Unknown task: {name}-{task}"));
        let request = v1::RestartTaskRequest {
            connector: name.into(),
            task: task.try_into().map_err(|_| unknown())?,
        };
        let asked = self.services.connectors.restart_task(Request::new(request)).await;
        asked.map_err(|status| gone_or(status, unknown))?;
        empty(StatusCode::NO_CONTENT)
    }

    /// What is seen of a connector; `None` if it is not there.
    pub(crate) async fn seen(&self, name: &str) -> Result<Option<v1::ConnectorWithTasks>, Error> {
        let request = v1::GetConnectorStatusRequest {
            consistency: None,
            name: name.into(),
        };
        let asked = self.services.statuses.get_connector_status(Request::new(request)).await;
        match asked {
            Ok(answer) => Ok(answer.into_inner().connector),
            Err(status) if status.code() == Code::NotFound => Ok(None),
            Err(status) => Err(status.into()),
        }
    }
}

const RESTARTING: &str = "RESTARTING";
const PAUSED: &str = "PAUSED";

/// What a connector that is not there, or is being deleted, is called in this place; anything else as it is.
pub(crate) fn gone_or(status: tonic::Status, gone: impl FnOnce() -> Error) -> Error {
    match matches!(status.code(), Code::NotFound | Code::FailedPrecondition) {
        true => gone(),
        false => status.into(),
    }
}

/// `tripped`: its breaker has paused it, and that is a failure too.
pub(crate) fn state_info(seen: v1::ConnectorWithTasks, kind: &Kind, tripped: bool) -> ConnectorStateInfo {
    let status = seen.status.unwrap_or_default();
    let state = word(status.state().as_str_name(), "CONNECTOR_STATE_");
    ConnectorStateInfo {
        name: seen.name,
        connector: ConnectorState {
            state,
            worker_id: status.worker_id,
            version: kind.version.clone(),
            trace: match status.trace {
                reason @ Some(_) if tripped && state == PAUSED => reason,
                other => trace(state, other),
            },
        },
        tasks: seen.tasks.into_iter().map(|task| task_state(task, kind)).collect(),
        kind: kind.word,
    }
}

fn task_state(task: v1::TaskWithNumber, kind: &Kind) -> TaskState {
    let status = task.status.unwrap_or_default();
    let state = word(status.state().as_str_name(), "TASK_STATE_");
    TaskState {
        id: task.number,
        state,
        worker_id: status.worker_id,
        version: kind.version.clone(),
        trace: trace(state, status.trace),
    }
}

/// Why something does not run. A client takes a trace for a failure, so what is only on its way has none.
fn trace(state: &str, trace: Option<String>) -> Option<String> {
    trace.filter(|trace| !trace.is_empty() && matches!(state, "FAILED" | "UNASSIGNED"))
}

/// The protos have Connect's words, behind the name of their enum.
fn word(name: &'static str, prefix: &str) -> &'static str {
    match name.strip_prefix(prefix) {
        Some("UNSPECIFIED") | None => "UNASSIGNED",
        Some(word) => word,
    }
}
