//! `OperationService`. A drain is the policy of its agent, and is over when that is another one: it needs no record of its own.

use super::Services;
use super::read::{freshness, page};
use crate::status;
use dray_machine::cluster::ShownAgent;
use dray_model::{AgentId, AgentPolicy};
use dray_wire::admin::v1;
use dray_wire::admin::v1::operation_service_server::OperationService;
use tonic::{Request, Response, Status};

const DRAIN: &str = "drain-";

/// The id of an agent's drain.
pub(super) fn drain_id(agent: &str) -> String {
    format!("{DRAIN}{agent}")
}

#[tonic::async_trait]
impl OperationService for Services {
    async fn list_operations(
        &self,
        request: Request<v1::ListOperationsRequest>,
    ) -> Result<Response<v1::ListOperationsResponse>, Status> {
        let request = request.into_inner();
        let state = self.state(request.consistency).await?;
        let agents = state.agents().into_iter();
        let draining = agents.filter(|(_, agent)| agent.record.policy == AgentPolicy::Draining);
        let (seen, fresh) = self.board.read(|seen| (seen.agents.clone(), seen.freshness));
        let (operations, next_page_token) = page(
            request.page.as_ref(),
            draining.map(|(id, _)| drain_id(id.as_str())),
            |id, token| id.as_str() > token,
            Clone::clone,
            |id| {
                let agent = AgentId::try_from(&id[DRAIN.len()..]).ok();
                drain(id, agent.and_then(|agent| seen.get(&agent)))
            },
        );
        Ok(Response::new(v1::ListOperationsResponse {
            freshness: Some(freshness(&state, fresh)),
            operations,
            next_page_token,
        }))
    }

    async fn get_operation(
        &self,
        request: Request<v1::GetOperationRequest>,
    ) -> Result<Response<v1::GetOperationResponse>, Status> {
        let request = request.into_inner();
        let state = self.state(request.consistency).await?;
        let id = request.id;
        let unknown = || status::not_found("operation", &id);
        let agent = id.strip_prefix(DRAIN).and_then(|agent| AgentId::try_from(agent).ok());
        let agent = agent.ok_or_else(unknown)?;
        let record = state.agent(&agent).ok_or_else(unknown)?;
        if record.record.policy != AgentPolicy::Draining {
            return Err(unknown());
        }
        let (seen, fresh) = self
            .board
            .read(|seen| (seen.agents.get(&agent).cloned(), seen.freshness));
        Ok(Response::new(v1::GetOperationResponse {
            freshness: Some(freshness(&state, fresh)),
            operation: Some(drain(&id, seen.as_ref())),
        }))
    }
}

fn drain(id: &str, seen: Option<&ShownAgent>) -> v1::Operation {
    // The leader may not have heard of the drain yet.
    let state = match seen {
        Some(seen) if seen.drained => v1::OperationState::Done,
        Some(_) => v1::OperationState::Running,
        None => v1::OperationState::Unspecified,
    };
    v1::Operation {
        id: id.into(),
        state: state.into(),
        what: Some(v1::operation::What::Drain(v1::Drain {
            agent: id[DRAIN.len()..].into(),
            tasks_left: seen.map_or(0, |seen| seen.tasks),
        })),
    }
}
