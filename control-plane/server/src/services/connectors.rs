//! `ConnectorService`.

use super::Services;
use super::change::Next;
use super::read::{connector_name, page};
use crate::board::Freshness;
use crate::cache::State;
use crate::status;
use dray_model::record::{ConnectorSpec, MAX_TASKS};
use dray_model::{ConfigMap, ConnectorName, ConnectorState, TargetState, TaskState};
use dray_wire::admin::v1;
use dray_wire::admin::v1::connector_service_server::ConnectorService;
use std::collections::{BTreeMap, BTreeSet};
use tonic::{Request, Response, Status};

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl ConnectorService for Services {
    async fn list_connectors(&self, request: Request<v1::ListConnectorsRequest>) -> Answer<v1::ListConnectorsResponse> {
        let request = request.into_inner();
        let state = self.state(request.consistency).await?;
        let (connectors, next_page_token) = page(
            request.page.as_ref(),
            state.names(),
            |listed, token| listed.name.as_str() > token,
            |listed| listed.name.to_string(),
            |listed| {
                let spec = (!request.names_only).then(|| state.spec(&listed.name)).flatten();
                match spec {
                    Some(spec) => connector(&state, &listed.name, spec.record, spec.revision.0),
                    None => v1::Connector {
                        name: listed.name.as_str().into(),
                        deleting: listed.deleting,
                        ..v1::Connector::default()
                    },
                }
            },
        );
        Ok(Response::new(v1::ListConnectorsResponse {
            revision: state.revision.get(),
            connectors,
            next_page_token,
        }))
    }

    async fn get_connector(&self, request: Request<v1::GetConnectorRequest>) -> Answer<v1::GetConnectorResponse> {
        let request = request.into_inner();
        let name = connector_name("name", &request.name)?;
        let state = self.state(request.consistency).await?;
        let spec = state.spec(&name).ok_or_else(|| status::not_found("connector", &name))?;
        Ok(Response::new(v1::GetConnectorResponse {
            revision: state.revision.get(),
            connector: Some(connector(&state, &name, spec.record, spec.revision.0)),
        }))
    }

    async fn create_connector(
        &self,
        request: Request<v1::CreateConnectorRequest>,
    ) -> Answer<v1::CreateConnectorResponse> {
        let request = request.into_inner();
        let name = connector_name("name", &request.name)?;
        let target = match v1::TargetState::try_from(request.target) {
            Ok(v1::TargetState::Unspecified) => TargetState::Started,
            Ok(target) => TargetState::try_from(target).map_err(|error| status::invalid("target", error))?,
            Err(_) => return Err(status::invalid("target", "is not a state that this version knows")),
        };
        let config = checked(&name, request.config)?;
        if !request.skip_validation {
            self.valid(&config).await?;
        }
        let created = self
            .writer
            .spec(&name, |found| match found {
                Some(_) => Err(status::exists("connector", &name)),
                None => Ok(Next::Put(ConnectorSpec {
                    uid: None,
                    config: config.clone(),
                    target,
                    config_version: 1,
                    restarts: 0,
                    task_restarts: BTreeMap::new(),
                    deleting: false,
                    altering: None,
                    breaker: None,
                    writer: String::new(),
                    operation: String::new(),
                })),
            })
            .await?;
        let mut spec = created.record;
        // The write that created it could not say it yet.
        spec.uid = spec
            .uid
            .or_else(|| std::num::NonZeroU64::new(created.revision).map(Into::into));
        Ok(Response::new(v1::CreateConnectorResponse {
            revision: created.revision,
            connector: Some(connector(&self.cache.now(), &name, &spec, created.revision)),
        }))
    }

    async fn update_connector_config(
        &self,
        request: Request<v1::UpdateConnectorConfigRequest>,
    ) -> Answer<v1::UpdateConnectorConfigResponse> {
        let request = request.into_inner();
        let name = connector_name("name", &request.name)?;
        let config = checked(&name, request.config)?;
        if !request.skip_validation {
            self.valid(&config).await?;
        }
        let changed = self
            .writer
            .spec(&name, |found| {
                let spec = there(&name, found, request.expected_revision)?;
                if spec.config == config {
                    return Ok(Next::Keep);
                }
                let mut spec = ConnectorSpec {
                    config: config.clone(),
                    config_version: spec.config_version + 1,
                    ..spec.clone()
                };
                // It is taken for the cure. What a person has paused stays so, as in Kafka Connect.
                if spec.paused_by_breaker().is_some() {
                    spec.target = TargetState::Started;
                    spec.lift_breaker();
                }
                Ok(Next::Put(spec))
            })
            .await?;
        Ok(Response::new(v1::UpdateConnectorConfigResponse {
            revision: changed.revision,
            connector: Some(connector(&self.cache.now(), &name, &changed.record, changed.revision)),
        }))
    }

    async fn delete_connector(
        &self,
        request: Request<v1::DeleteConnectorRequest>,
    ) -> Answer<v1::DeleteConnectorResponse> {
        let request = request.into_inner();
        let name = connector_name("name", &request.name)?;
        let changed = self
            .writer
            .spec(&name, |found| match found {
                Some((spec, _)) if spec.deleting => Ok(Next::Keep),
                found => Ok(Next::Put(ConnectorSpec {
                    deleting: true,
                    ..there(&name, found, request.expected_revision)?.clone()
                })),
            })
            .await?;
        Ok(Response::new(v1::DeleteConnectorResponse {
            revision: changed.revision,
        }))
    }

    async fn pause_connector(&self, request: Request<v1::PauseConnectorRequest>) -> Answer<v1::PauseConnectorResponse> {
        let revision = self.target(&request.into_inner().name, TargetState::Paused).await?;
        Ok(Response::new(v1::PauseConnectorResponse { revision }))
    }

    async fn resume_connector(
        &self,
        request: Request<v1::ResumeConnectorRequest>,
    ) -> Answer<v1::ResumeConnectorResponse> {
        let revision = self.target(&request.into_inner().name, TargetState::Started).await?;
        Ok(Response::new(v1::ResumeConnectorResponse { revision }))
    }

    async fn stop_connector(&self, request: Request<v1::StopConnectorRequest>) -> Answer<v1::StopConnectorResponse> {
        let revision = self.target(&request.into_inner().name, TargetState::Stopped).await?;
        Ok(Response::new(v1::StopConnectorResponse { revision }))
    }

    async fn restart_connector(
        &self,
        request: Request<v1::RestartConnectorRequest>,
    ) -> Answer<v1::RestartConnectorResponse> {
        let request = request.into_inner();
        let name = connector_name("name", &request.name)?;
        let (instance, tasks) = self.restarted(&name, request.include_tasks, request.only_failed)?;
        let changed = self
            .writer
            .spec(&name, |found| {
                let spec = there(&name, found, 0)?;
                if !instance && tasks.is_empty() {
                    return Ok(Next::Keep);
                }
                Ok(Next::Put(with_restarts(spec, instance, &tasks)))
            })
            .await?;
        Ok(Response::new(v1::RestartConnectorResponse {
            revision: changed.revision,
            instance,
            tasks: tasks.into_iter().collect(),
        }))
    }

    async fn get_active_topics(
        &self,
        request: Request<v1::GetActiveTopicsRequest>,
    ) -> Answer<v1::GetActiveTopicsResponse> {
        self.active_topics(request.into_inner()).await.map(Response::new)
    }

    async fn reset_active_topics(
        &self,
        request: Request<v1::ResetActiveTopicsRequest>,
    ) -> Answer<v1::ResetActiveTopicsResponse> {
        self.forget_topics(&request.into_inner().name).await.map(Response::new)
    }

    async fn list_tasks(&self, request: Request<v1::ListTasksRequest>) -> Answer<v1::ListTasksResponse> {
        let request = request.into_inner();
        let name = connector_name("connector", &request.connector)?;
        let token = request.page.as_ref().map_or("", |page| page.token.as_str());
        let after: Option<u32> = match token {
            "" => None,
            token => Some(
                token
                    .parse()
                    .map_err(|_| status::invalid("page.token", "is none that an answer had"))?,
            ),
        };
        let state = self.state(request.consistency).await?;
        let spec = state.spec(&name).ok_or_else(|| status::not_found("connector", &name))?;
        let set = state.tasks(&name);
        let tasks = set.as_ref().map_or(&[][..], |set| &set.record.tasks);
        let (tasks, next_page_token) = page(
            request.page.as_ref(),
            (0..).zip(tasks).map(|(number, _)| number),
            |number: &u32, _| Some(*number) > after,
            ToString::to_string,
            |number| {
                let task = &tasks[*number as usize];
                v1::Task {
                    number: *number,
                    config: task.config.apply(&spec.record.config),
                    cost: task.cost.units(),
                }
            },
        );
        Ok(Response::new(v1::ListTasksResponse {
            revision: state.revision.get(),
            config_version: set.map_or(0, |set| set.record.config_version),
            tasks,
            next_page_token,
        }))
    }

    async fn restart_task(&self, request: Request<v1::RestartTaskRequest>) -> Answer<v1::RestartTaskResponse> {
        let request = request.into_inner();
        let name = connector_name("connector", &request.connector)?;
        let task = request.task;
        // The task set is the leader's, and may be a moment old here: one that has just been added can be restarted a moment later.
        let state = self.cache.now();
        let tasks = state.tasks(&name).map_or(0, |set| set.record.tasks.len());
        let changed = self
            .writer
            .spec(&name, |found| {
                let spec = there(&name, found, 0)?;
                if task as usize >= tasks {
                    return Err(status::not_found("task", format_args!("{name}-{task}")));
                }
                Ok(Next::Put(with_restarts(spec, false, &[task].into())))
            })
            .await?;
        Ok(Response::new(v1::RestartTaskResponse {
            revision: changed.revision,
        }))
    }
}

impl Services {
    async fn target(&self, name: &str, target: TargetState) -> Result<u64, Status> {
        let name = connector_name("name", name)?;
        let changed = self
            .writer
            .spec(&name, |found| {
                let spec = there(&name, found, 0)?;
                let next = retargeted(spec, target);
                Ok(if next == *spec { Next::Keep } else { Next::Put(next) })
            })
            .await?;
        Ok(changed.revision)
    }

    /// What a restart is meant for: the instance, and which tasks.
    fn restarted(
        &self,
        name: &ConnectorName,
        include_tasks: bool,
        only_failed: bool,
    ) -> Result<(bool, BTreeSet<u32>), Status> {
        if !only_failed {
            let state = self.cache.now();
            let count = state.tasks(name).map_or(0, |set| set.record.tasks.len());
            let all = (0..MAX_TASKS).take(if include_tasks { count } else { 0 });
            return Ok((true, all.collect()));
        }
        self.board.read(|seen| {
            if !matches!(seen.freshness, Freshness::Fresh(_)) {
                return Err(status::no_leader("no leader says what has failed: try again"));
            }
            let Some(seen) = seen.connectors.get(name) else {
                return Ok((false, BTreeSet::new()));
            };
            let instance = seen.connector.as_ref();
            let failed = seen.tasks.iter().filter(|(_, task)| task.state == TaskState::Failed);
            let tasks = failed.map(|(number, _)| *number).filter(|_| include_tasks);
            let instance = instance.is_some_and(|instance| instance.state == ConnectorState::Failed);
            Ok((instance, tasks.collect()))
        })
    }
}

/// The connector, if it may be changed.
fn there<'a>(
    name: &ConnectorName,
    found: Option<(&'a ConnectorSpec, u64)>,
    expected: u64,
) -> Result<&'a ConnectorSpec, Status> {
    let (spec, revision) = found.ok_or_else(|| status::not_found("connector", name))?;
    if spec.deleting {
        let text = format_args!("connector `{name}` is being deleted");
        return Err(status::precondition("DELETING", text));
    }
    if expected != 0 && expected != revision {
        return Err(status::moved_on("connector", name, expected, revision));
    }
    Ok(spec)
}

/// What is wanted when a person says what is. Whoever pauses what its breaker has paused makes that his own decision.
fn retargeted(spec: &ConnectorSpec, target: TargetState) -> ConnectorSpec {
    let mut spec = ConnectorSpec { target, ..spec.clone() };
    match target {
        TargetState::Started | TargetState::Stopped => spec.lift_breaker(),
        TargetState::Paused => {
            if let Some(breaker) = &mut spec.breaker {
                breaker.paused = false;
            }
        }
    }
    spec
}

fn with_restarts(spec: &ConnectorSpec, instance: bool, tasks: &BTreeSet<u32>) -> ConnectorSpec {
    let mut spec = spec.clone();
    // Only whether they change counts.
    spec.restarts = spec.restarts.wrapping_add(instance.into());
    tasks.iter().for_each(|task| spec.restart_task(*task));
    spec
}

/// A configuration that can be stored, whatever its connector says of it.
fn checked(name: &ConnectorName, mut config: ConfigMap) -> Result<ConfigMap, Status> {
    match config.get("name") {
        Some(other) if other != name.as_str() => {
            let problem = format_args!("is `{other}`, but the connector is called `{name}`");
            return Err(status::invalid("config[name]", problem));
        }
        Some(_) => {}
        None => {
            config.insert("name".into(), name.as_str().into());
        }
    }
    if config
        .get("connector.class")
        .is_none_or(|class| class.trim().is_empty())
    {
        return Err(status::invalid("config[connector.class]", "is missing"));
    }
    dray_machine::cluster::check(&config).map_err(|problem| status::invalid("config", problem))?;
    Ok(config)
}

fn connector(state: &State, name: &ConnectorName, spec: &ConnectorSpec, revision: u64) -> v1::Connector {
    let tasks = state.tasks(name).filter(|set| Some(set.record.uid) == spec.uid);
    v1::Connector {
        name: name.as_str().into(),
        uid: spec.uid.map_or(0, |uid| uid.get()),
        revision,
        config: spec.config.clone(),
        config_version: spec.config_version,
        target: v1::TargetState::from(spec.target).into(),
        deleting: spec.deleting,
        tasks: tasks.map_or(0, |set| set.record.tasks.len() as u32), // at most MAX_TASKS
        breaker: spec.paused_by_breaker().map(|breaker| breaker.reason.clone()),
    }
}
