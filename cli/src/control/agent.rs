//! `dray agent`.

use super::output::{self, link, or_dash, policy, table};
use super::{Args, Output, call, confirm};
use crate::Failure;
use dray_wire::admin::v1;
use dray_wire::admin::v1::agent_service_client::AgentServiceClient;
use serde_json::{Value, json};
use tonic::transport::Channel;

/// What there is under `dray agent`.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// List all agents
    List(Args),
    /// Show an agent
    Get(Named),
    /// Give an agent no more tasks; it keeps those that it has
    Cordon(Named),
    /// Let an agent be given tasks again; ends a drain
    Uncordon(Named),
    /// Move an agent's tasks elsewhere, a few at a time; `dray agent get` shows how far it is
    Drain(Named),
    /// Remove an agent for good: its tasks go elsewhere at once
    Remove(Remove),
}

/// A command on one agent.
#[derive(clap::Args)]
pub(crate) struct Named {
    /// Id of the agent
    id: String,
    #[command(flatten)]
    control: Args,
}

/// `dray agent remove`.
#[derive(clap::Args)]
pub(crate) struct Remove {
    /// Id of the agent
    id: String,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    control: Args,
}

async fn client(control: &Args) -> Result<AgentServiceClient<Channel>, Failure> {
    Ok(AgentServiceClient::new(control.connect().await?))
}

pub(crate) async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::List(args) => list(&args).await,
        Command::Get(args) => get(&args).await,
        Command::Cordon(Named { id, control }) => {
            let request = v1::CordonAgentRequest { id: id.clone() };
            let answer = client(&control).await?.cordon_agent(call(request)).await?;
            done(&control, &id, "is cordoned", answer.into_inner().revision)
        }
        Command::Uncordon(Named { id, control }) => {
            let request = v1::UncordonAgentRequest { id: id.clone() };
            let answer = client(&control).await?.uncordon_agent(call(request)).await?;
            done(&control, &id, "may be given tasks", answer.into_inner().revision)
        }
        Command::Drain(Named { id, control }) => {
            let request = v1::DrainAgentRequest { id: id.clone() };
            let answer = client(&control).await?.drain_agent(call(request)).await?;
            done(&control, &id, "drains", answer.into_inner().revision)
        }
        Command::Remove(Remove { id, yes, control }) => {
            confirm(&format!("Remove agent `{id}` for good?"), yes)?;
            let request = v1::RemoveAgentRequest { id: id.clone() };
            let answer = client(&control).await?.remove_agent(call(request)).await?;
            done(&control, &id, "is removed", answer.into_inner().revision)
        }
    }
}

fn done(control: &Args, id: &str, what: &str, revision: u64) -> Result<(), Failure> {
    match control.output {
        Output::Text => output::line(&format!("agent {id} {what} (revision {revision})")),
        Output::Json => output::json(&json!({ "id": id, "revision": revision })),
    }
}

async fn list(args: &Args) -> Result<(), Failure> {
    let mut client = client(args).await?;
    let mut agents = Vec::new();
    let mut token = String::new();
    let freshness = loop {
        let request = v1::ListAgentsRequest {
            consistency: None,
            page: Some(v1::Page { size: 0, token }),
        };
        let page = client.list_agents(call(request)).await?.into_inner();
        agents.extend(page.agents);
        token = page.next_page_token;
        if token.is_empty() {
            break page.freshness;
        }
    };
    if args.output == Output::Json {
        let agents: Vec<Value> = agents.iter().map(agent).collect();
        let freshness = output::freshness(freshness.as_ref());
        return output::json(&json!({ "freshness": freshness, "agents": agents }));
    }
    output::warn_if_stale(freshness.as_ref());
    let rows: Vec<_> = agents
        .iter()
        .map(|agent| {
            let status = agent.status.clone().unwrap_or_default();
            [
                agent.id.clone(),
                link(status.link).into(),
                policy(agent.policy).into(),
                status.tasks.to_string(),
                or_dash(&agent.worker_id),
                format!("{}/{}", agent.region, agent.zone),
                or_dash(&agent.software_version),
            ]
        })
        .collect();
    table(["ID", "LINK", "POLICY", "TASKS", "WORKER", "PLACE", "VERSION"], &rows)
}

fn agent(agent: &v1::Agent) -> Value {
    let status = agent.status.as_ref().map(super::status::agent_seen);
    json!({
        "id": agent.id,
        "number": agent.number,
        "revision": agent.revision,
        "policy": policy(agent.policy),
        "worker_id": agent.worker_id,
        "region": agent.region,
        "zone": agent.zone,
        "labels": agent.labels,
        "slots": agent.slots,
        "cost": agent.cost,
        "software_version": agent.software_version,
        "status": status,
    })
}

async fn get(args: &Named) -> Result<(), Failure> {
    let request = v1::GetAgentRequest {
        consistency: None,
        id: args.id.clone(),
    };
    let answer = client(&args.control)
        .await?
        .get_agent(call(request))
        .await?
        .into_inner();
    let found = answer.agent.unwrap_or_default();
    if args.control.output == Output::Json {
        let freshness = output::freshness(answer.freshness.as_ref());
        return output::json(&json!({ "freshness": freshness, "agent": agent(&found) }));
    }
    output::warn_if_stale(answer.freshness.as_ref());
    let status = found.status.clone().unwrap_or_default();
    let drained = if status.drained { ", drained" } else { "" };
    let labels: Vec<String> = found
        .labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    for (what, text) in [
        ("agent", found.id),
        ("number", found.number.to_string()),
        ("link", link(status.link).into()),
        ("policy", format!("{}{drained}", policy(found.policy))),
        ("tasks", format!("{} of {} slots", status.tasks, found.slots)),
        ("worker", or_dash(found.worker_id)),
        ("place", format!("{}/{}", found.region, found.zone)),
        ("labels", or_dash(labels.join(","))),
        ("version", or_dash(found.software_version)),
        ("session", or_dash(status.session)),
    ] {
        output::line(&format!("{what:<9} {text}"))?;
    }
    for unfenced in &status.unfenced {
        let clusters = unfenced.clusters.join(", ");
        output::line(&format!("unfenced  session {} on {clusters}", unfenced.session))?;
    }
    if let Some(problem) = &status.problem {
        output::line(&format!("problem   {problem}"))?;
    }
    Ok(())
}
