//! `StatusService`.

use super::Services;
use super::read::{connector_name, freshness, page};
use super::watch::{self, Watched};
use crate::board::{ConnectorSeen, Seen};
use crate::cache::State;
use crate::status;
use dray_machine::cluster::ShownStatus;
use dray_model::{AgentId, ConnectorName, ConnectorState, TaskState};
use dray_wire::admin::v1;
use dray_wire::admin::v1::status_service_server::StatusService;
use futures::stream::BoxStream;
use std::collections::BTreeMap;
use tonic::{Request, Response, Status};

#[tonic::async_trait]
impl StatusService for Services {
    type WatchStatusStream = BoxStream<'static, Result<v1::WatchStatusResponse, Status>>;

    async fn get_connector_status(
        &self,
        request: Request<v1::GetConnectorStatusRequest>,
    ) -> Result<Response<v1::GetConnectorStatusResponse>, Status> {
        let request = request.into_inner();
        let name = connector_name("name", &request.name)?;
        let state = self.state(request.consistency).await?;
        if state.spec(&name).is_none() {
            return Err(status::not_found("connector", &name));
        }
        let (seen, fresh) = self
            .board
            .read(|seen| (seen.connectors.get(&name).cloned(), seen.freshness));
        Ok(Response::new(v1::GetConnectorStatusResponse {
            freshness: Some(freshness(&state, fresh)),
            connector: Some(with_tasks(&state, &name, seen.as_ref())),
        }))
    }

    async fn list_connector_statuses(
        &self,
        request: Request<v1::ListConnectorStatusesRequest>,
    ) -> Result<Response<v1::ListConnectorStatusesResponse>, Status> {
        let request = request.into_inner();
        let state = self.state(request.consistency).await?;
        let names = state.names().iter().map(|listed| &listed.name);
        let (connectors, next_page_token, fresh) = self.board.read(|seen: &Seen| {
            let (connectors, token) = page(
                request.page.as_ref(),
                names,
                |name: &&ConnectorName, token| name.as_str() > token,
                ToString::to_string,
                |name| with_tasks(&state, name, seen.connectors.get(*name)),
            );
            (connectors, token, seen.freshness)
        });
        Ok(Response::new(v1::ListConnectorStatusesResponse {
            freshness: Some(freshness(&state, fresh)),
            connectors,
            next_page_token,
        }))
    }

    async fn watch_status(
        &self,
        request: Request<v1::WatchStatusRequest>,
    ) -> Result<Response<Self::WatchStatusStream>, Status> {
        self.state(request.into_inner().consistency).await?;
        let watched = Watched::new(self.cache.clone(), self.board.clone(), self.stop.clone());
        Ok(Response::new(watch::stream(watched)))
    }
}

/// A connector as it is seen; what nobody has seen is UNASSIGNED.
fn with_tasks(state: &State, name: &ConnectorName, seen: Option<&ConnectorSeen>) -> v1::ConnectorWithTasks {
    let wanted = state.tasks(name).map_or(0, |set| set.record.tasks.len() as u32); // at most MAX_TASKS
    let unseen = || v1::TaskStatus {
        state: v1::TaskState::Unassigned.into(),
        ..Default::default()
    };
    let mut tasks: BTreeMap<u32, v1::TaskStatus> = (0..wanted).map(|number| (number, unseen())).collect();
    if let Some(seen) = seen {
        let seen = seen.tasks.iter();
        tasks.extend(seen.map(|(number, status)| (*number, task(state, status))));
    }
    let status = seen.and_then(|seen| seen.connector.as_ref());
    let tasks = tasks.into_iter().map(|(number, status)| v1::TaskWithNumber {
        number,
        status: Some(status),
    });
    v1::ConnectorWithTasks {
        name: name.as_str().into(),
        status: Some(status.map_or_else(
            || v1::ConnectorStatus {
                state: v1::ConnectorState::Unassigned.into(),
                ..Default::default()
            },
            |status| connector(state, status),
        )),
        tasks: tasks.collect(),
    }
}

pub(super) fn connector(state: &State, status: &ShownStatus<ConnectorState>) -> v1::ConnectorStatus {
    v1::ConnectorStatus {
        state: v1::ConnectorState::from(status.state).into(),
        worker_id: worker_id(state, status.agent.as_ref()),
        agent: status.agent.as_ref().map_or("", |agent| agent.as_str()).into(),
        generation: status.generation.map_or(0, |generation| generation.get()),
        trace: status.trace.clone(),
        restarts: status.restarts,
    }
}

pub(super) fn task(state: &State, status: &ShownStatus<TaskState>) -> v1::TaskStatus {
    v1::TaskStatus {
        state: v1::TaskState::from(status.state).into(),
        worker_id: worker_id(state, status.agent.as_ref()),
        agent: status.agent.as_ref().map_or("", |agent| agent.as_str()).into(),
        generation: status.generation.map_or(0, |generation| generation.get()),
        trace: status.trace.clone(),
        restarts: status.restarts,
    }
}

fn worker_id(state: &State, agent: Option<&AgentId>) -> String {
    let record = agent.and_then(|agent| state.agent(agent));
    record.map_or("", |agent| agent.record.worker_id.as_str()).into()
}
