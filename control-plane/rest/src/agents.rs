//! Agents, which Connect does not have: who is there, who is given tasks, and whose tasks go elsewhere. Below `/dray/v1`.

use crate::answer::{Answer, empty, json, ok};
use crate::error::Error;
use crate::gateway::Rest;
use crate::resource::Policy;
use crate::shape::Agent;
use axum::http::StatusCode;
use dray_wire::admin::v1;
use tonic::{Code, Request, Status};

impl Rest {
    pub(crate) async fn agents(&self) -> Answer {
        let mut agents = Vec::new();
        let mut token = String::new();
        loop {
            let request = v1::ListAgentsRequest {
                consistency: None,
                page: Some(v1::Page { size: 0, token }),
            };
            let page = self
                .services
                .agents
                .list_agents(Request::new(request))
                .await?
                .into_inner();
            agents.extend(page.agents.into_iter().map(agent));
            token = page.next_page_token;
            if token.is_empty() {
                return ok(&agents);
            }
        }
    }

    pub(crate) async fn agent(&self, id: &str) -> Answer {
        ok(&self.agent_at(id, 0).await?)
    }

    /// 202: what it is told holds at once, and what follows from it takes a while.
    pub(crate) async fn set_policy(&self, id: &str, policy: Policy) -> Answer {
        let (id_, missing) = (id.to_owned(), |status| refused(id, status));
        let agents = &self.services.agents;
        let revision = match policy {
            Policy::Cordon => {
                let request = Request::new(v1::CordonAgentRequest { id: id_ });
                agents
                    .cordon_agent(request)
                    .await
                    .map_err(missing)?
                    .into_inner()
                    .revision
            }
            Policy::Uncordon => {
                let request = Request::new(v1::UncordonAgentRequest { id: id_ });
                agents
                    .uncordon_agent(request)
                    .await
                    .map_err(missing)?
                    .into_inner()
                    .revision
            }
            Policy::Drain => {
                let request = Request::new(v1::DrainAgentRequest { id: id_ });
                agents
                    .drain_agent(request)
                    .await
                    .map_err(missing)?
                    .into_inner()
                    .revision
            }
        };
        json(StatusCode::ACCEPTED, &self.agent_at(id, revision).await?)
    }

    pub(crate) async fn remove_agent(&self, id: &str) -> Answer {
        let request = Request::new(v1::RemoveAgentRequest { id: id.into() });
        let asked = self.services.agents.remove_agent(request).await;
        asked.map_err(|status| refused(id, status))?;
        empty(StatusCode::NO_CONTENT)
    }

    async fn agent_at(&self, id: &str, min_revision: u64) -> Result<Agent, Error> {
        let request = v1::GetAgentRequest {
            consistency: Some(v1::Consistency {
                min_revision,
                linearizable: false,
            }),
            id: id.into(),
        };
        let found = self.services.agents.get_agent(Request::new(request)).await;
        let found = found.map_err(|status| refused(id, status))?.into_inner();
        Ok(agent(found.agent.unwrap_or_default()))
    }
}

fn refused(id: &str, status: Status) -> Error {
    // INVALID_ARGUMENT is a name that no agent can have.
    match matches!(status.code(), Code::NotFound | Code::InvalidArgument) {
        true => Error::not_found(format!("Agent {id} not found")),
        false => status.into(),
    }
}

fn agent(agent: v1::Agent) -> Agent {
    let word = |name: &'static str, prefix: &str| name.strip_prefix(prefix).unwrap_or(name);
    let (policy, status) = (agent.policy(), agent.status.clone().unwrap_or_default());
    Agent {
        policy: word(policy.as_str_name(), "AGENT_POLICY_"),
        link: word(status.link().as_str_name(), "AGENT_LINK_"),
        id: agent.id,
        worker_id: agent.worker_id,
        region: agent.region,
        zone: agent.zone,
        labels: agent.labels,
        slots: agent.slots,
        cost: agent.cost,
        version: agent.software_version,
        tasks: status.tasks,
        drained: status.drained,
        problem: status.problem,
    }
}
