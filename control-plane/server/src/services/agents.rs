//! `AgentService`.

use super::Services;
use super::change::Next;
use super::operations::drain_id;
use super::read::{freshness, page};
use crate::status;
use dray_machine::cluster::{LinkState, ShownAgent};
use dray_model::record::AgentRecord;
use dray_model::{AgentId, AgentPolicy};
use dray_wire::admin::v1;
use dray_wire::admin::v1::agent_service_server::AgentService;
use std::collections::BTreeMap;
use tonic::{Request, Response, Status};

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl AgentService for Services {
    async fn list_agents(&self, request: Request<v1::ListAgentsRequest>) -> Answer<v1::ListAgentsResponse> {
        let request = request.into_inner();
        let state = self.state(request.consistency).await?;
        let records: BTreeMap<_, _> = state.agents().into_iter().collect();
        let (seen, fresh) = self.board.read(|seen| (seen.agents.clone(), seen.freshness));
        let (agents, next_page_token) = page(
            request.page.as_ref(),
            records.keys().copied(),
            |id: &&AgentId, token| id.as_str() > token,
            ToString::to_string,
            |id| agent(id, records[id].record, records[id].revision.0, seen.get(*id)),
        );
        Ok(Response::new(v1::ListAgentsResponse {
            freshness: Some(freshness(&state, fresh)),
            agents,
            next_page_token,
        }))
    }

    async fn get_agent(&self, request: Request<v1::GetAgentRequest>) -> Answer<v1::GetAgentResponse> {
        let request = request.into_inner();
        let id = agent_id(&request.id)?;
        let state = self.state(request.consistency).await?;
        let record = state.agent(&id).ok_or_else(|| status::not_found("agent", &id))?;
        let (seen, fresh) = self.board.read(|seen| (seen.agents.get(&id).cloned(), seen.freshness));
        Ok(Response::new(v1::GetAgentResponse {
            freshness: Some(freshness(&state, fresh)),
            agent: Some(agent(&id, record.record, record.revision.0, seen.as_ref())),
        }))
    }

    async fn cordon_agent(&self, request: Request<v1::CordonAgentRequest>) -> Answer<v1::CordonAgentResponse> {
        let revision = self.decide(&request.into_inner().id, AgentPolicy::Cordoned).await?;
        Ok(Response::new(v1::CordonAgentResponse { revision }))
    }

    async fn uncordon_agent(&self, request: Request<v1::UncordonAgentRequest>) -> Answer<v1::UncordonAgentResponse> {
        let revision = self.decide(&request.into_inner().id, AgentPolicy::Active).await?;
        Ok(Response::new(v1::UncordonAgentResponse { revision }))
    }

    async fn drain_agent(&self, request: Request<v1::DrainAgentRequest>) -> Answer<v1::DrainAgentResponse> {
        let id = request.into_inner().id;
        let revision = self.decide(&id, AgentPolicy::Draining).await?;
        Ok(Response::new(v1::DrainAgentResponse {
            revision,
            operation_id: drain_id(&id),
        }))
    }

    async fn remove_agent(&self, request: Request<v1::RemoveAgentRequest>) -> Answer<v1::RemoveAgentResponse> {
        let revision = self.decide(&request.into_inner().id, AgentPolicy::Removed).await?;
        Ok(Response::new(v1::RemoveAgentResponse { revision }))
    }
}

impl Services {
    async fn decide(&self, id: &str, policy: AgentPolicy) -> Result<u64, Status> {
        let id = agent_id(id)?;
        let changed = self
            .writer
            .agent(&id, |found| {
                let (record, _) = found.ok_or_else(|| status::not_found("agent", &id))?;
                if record.policy == policy {
                    return Ok(Next::Keep);
                }
                if record.policy == AgentPolicy::Removed {
                    let text = format_args!("agent `{id}` was removed");
                    return Err(status::precondition("REMOVED", text));
                }
                Ok(Next::Put(AgentRecord {
                    policy,
                    ..record.clone()
                }))
            })
            .await?;
        Ok(changed.revision)
    }
}

fn agent_id(id: &str) -> Result<AgentId, Status> {
    AgentId::try_from(id).map_err(|error| status::invalid("id", error))
}

fn agent(id: &AgentId, record: &AgentRecord, revision: u64, seen: Option<&ShownAgent>) -> v1::Agent {
    v1::Agent {
        id: id.as_str().into(),
        number: record.number.get(),
        revision,
        policy: v1::AgentPolicy::from(record.policy).into(),
        worker_id: record.worker_id.as_str().into(),
        region: record.region.as_str().into(),
        zone: record.zone.as_str().into(),
        labels: record.labels.clone(),
        slots: record.capacity.slots.get(),
        cost: record.capacity.cost.get(),
        software_version: record.software_version.clone(),
        status: seen.map(agent_status),
    }
}

pub(super) fn agent_status(seen: &ShownAgent) -> v1::AgentStatus {
    let link = match seen.link {
        LinkState::Unknown => v1::AgentLink::Unknown,
        LinkState::Connected => v1::AgentLink::Connected,
        LinkState::Silent => v1::AgentLink::Silent,
        LinkState::Returning => v1::AgentLink::Returning,
        LinkState::Gone => v1::AgentLink::Gone,
    };
    let unfenced = seen.unfenced.iter().map(|(session, clusters)| v1::UnfencedSession {
        session: session.get(),
        clusters: clusters.iter().map(|cluster| cluster.as_str().into()).collect(),
    });
    v1::AgentStatus {
        link: link.into(),
        session: seen.session.map_or(0, |session| session.get()),
        tasks: seen.tasks,
        drained: seen.drained,
        unfenced: unfenced.collect(),
        problem: seen.problem.clone(),
    }
}
