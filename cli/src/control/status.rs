//! `dray status`: what is seen, once or as it changes.

use super::output::{self, connector_state, link, or_dash, policy, table, task_state};
use super::{Args, Output, call};
use crate::Failure;
use dray_wire::admin::v1;
use dray_wire::admin::v1::status_change::What;
use dray_wire::admin::v1::status_service_client::StatusServiceClient;
use serde_json::{Value, json};
use std::time::Duration;
use tonic::Code;
use tonic::transport::Channel;

/// Before a watch that broke is begun again: an election takes longer.
const AGAIN: Duration = Duration::from_secs(1);

/// `dray status`.
#[derive(clap::Args)]
pub(crate) struct Status {
    /// Only this connector
    #[arg(conflicts_with = "watch")]
    connector: Option<String>,
    /// Everything, then every change of it, until Ctrl-C; as JSON, an object a line
    ///
    /// An object with `reset` begins a snapshot: forget everything before it. From the first with `synced` on, it is complete.
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    control: Args,
}

pub(crate) async fn run(args: Status) -> Result<(), Failure> {
    if args.watch {
        return tokio::select! {
            ended = watch(&args.control) => ended,
            () = crate::standalone::signal() => Ok(()),
        };
    }
    let channel = args.control.connect().await?;
    let (freshness, connectors) = match args.connector {
        None => all(channel).await?,
        Some(name) => {
            let consistency = None;
            let request = v1::GetConnectorStatusRequest { consistency, name };
            let answer = StatusServiceClient::new(channel)
                .get_connector_status(call(request))
                .await?;
            let answer = answer.into_inner();
            (answer.freshness, answer.connector.into_iter().collect())
        }
    };
    if args.control.output == Output::Json {
        let connectors: Vec<Value> = connectors.iter().map(seen).collect();
        let freshness = output::freshness(freshness.as_ref());
        return output::json(&json!({ "freshness": freshness, "connectors": connectors }));
    }
    output::warn_if_stale(freshness.as_ref());
    let rows: Vec<_> = connectors.iter().flat_map(rows).collect();
    table(HEAD, &rows)?;
    connectors.iter().try_for_each(traces)
}

/// The statuses of all connectors.
pub(crate) async fn all(channel: Channel) -> Result<(Option<v1::Freshness>, Vec<v1::ConnectorWithTasks>), Failure> {
    let mut client = StatusServiceClient::new(channel);
    let mut connectors = Vec::new();
    let mut token = String::new();
    loop {
        let request = v1::ListConnectorStatusesRequest {
            consistency: None,
            page: Some(v1::Page { size: 0, token }),
        };
        let page = client.list_connector_statuses(call(request)).await?.into_inner();
        connectors.extend(page.connectors);
        token = page.next_page_token;
        if token.is_empty() {
            return Ok((page.freshness, connectors));
        }
    }
}

const HEAD: [&str; 6] = ["NAME", "STATE", "AGENT", "WORKER", "GENERATION", "RESTARTS"];

/// Shows one connector to people.
pub(crate) fn print(connector: &v1::ConnectorWithTasks) -> Result<(), Failure> {
    table(HEAD, &rows(connector))?;
    traces(connector)
}

fn rows(connector: &v1::ConnectorWithTasks) -> Vec<[String; 6]> {
    let status = connector.status.clone().unwrap_or_default();
    let mut rows = vec![[
        connector.name.clone(),
        connector_state(status.state).into(),
        or_dash(status.agent),
        or_dash(status.worker_id),
        or_dash(status.generation),
        status.restarts.to_string(),
    ]];
    for task in &connector.tasks {
        let status = task.status.clone().unwrap_or_default();
        rows.push([
            format!("{}-{}", connector.name, task.number),
            task_state(status.state).into(),
            or_dash(status.agent),
            or_dash(status.worker_id),
            or_dash(status.generation),
            status.restarts.to_string(),
        ]);
    }
    rows
}

/// Why something is not as it should be, below the table.
fn traces(connector: &v1::ConnectorWithTasks) -> Result<(), Failure> {
    let own = connector
        .status
        .iter()
        .map(|status| (connector.name.clone(), &status.trace));
    let tasks = connector.tasks.iter().filter_map(|task| {
        let name = format!("{}-{}", connector.name, task.number);
        Some((name, &task.status.as_ref()?.trace))
    });
    for (name, trace) in own.chain(tasks) {
        if let Some(trace) = trace {
            output::line(&format!("{name}: {trace}"))?;
        }
    }
    Ok(())
}

/// A connector for programs.
pub(crate) fn seen(connector: &v1::ConnectorWithTasks) -> Value {
    let tasks = connector.tasks.iter().map(|task| {
        let mut value = task.status.as_ref().map_or_else(|| json!({}), task_seen);
        value["task"] = task.number.into();
        value
    });
    json!({
        "name": connector.name,
        "connector": connector.status.as_ref().map(connector_seen),
        "tasks": tasks.collect::<Vec<_>>(),
    })
}

fn connector_seen(status: &v1::ConnectorStatus) -> Value {
    json!({
        "state": connector_state(status.state),
        "worker_id": status.worker_id,
        "agent": status.agent,
        "generation": status.generation,
        "trace": status.trace,
        "restarts": status.restarts,
    })
}

fn task_seen(status: &v1::TaskStatus) -> Value {
    json!({
        "state": task_state(status.state),
        "worker_id": status.worker_id,
        "agent": status.agent,
        "generation": status.generation,
        "trace": status.trace,
        "restarts": status.restarts,
    })
}

pub(crate) fn agent_seen(status: &v1::AgentStatus) -> Value {
    let unfenced = status.unfenced.iter();
    let unfenced = unfenced.map(|session| json!({ "session": session.session, "clusters": session.clusters }));
    json!({
        "link": link(status.link),
        "session": status.session,
        "tasks": status.tasks,
        "drained": status.drained,
        "unfenced": unfenced.collect::<Vec<_>>(),
        "problem": status.problem,
    })
}

/// Goes on at another replica when one goes away: the snapshot there says everything again.
async fn watch(args: &Args) -> Result<(), Failure> {
    let mut begun = false;
    loop {
        let why = match follow(args, &mut begun).await {
            Ok(why) => why,
            // The first attempt shows whether it can work at all.
            Err(Failure::Failed(error)) if begun => format!("{error:#}"),
            Err(failure) => return Err(failure),
        };
        eprintln!("dray: the watch ended ({why}); it begins again");
        tokio::time::sleep(AGAIN).await;
    }
}

/// Why the stream ended.
async fn follow(args: &Args, begun: &mut bool) -> Result<String, Failure> {
    let mut client = StatusServiceClient::new(args.connect().await?);
    let request = v1::WatchStatusRequest { consistency: None };
    let mut stream = client.watch_status(request).await?.into_inner();
    loop {
        let message = match stream.message().await {
            Ok(Some(message)) => message,
            Ok(None) => return Ok("the stream was closed".into()),
            Err(status) if matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Cancelled) => {
                return Ok(status.message().to_owned());
            }
            Err(status) => return Err(status.into()),
        };
        *begun = true;
        match args.output {
            Output::Json => output::json(&message_json(&message))?,
            Output::Text => print_message(&message)?,
        }
    }
}

fn message_json(message: &v1::WatchStatusResponse) -> Value {
    let changes = message.changes.iter().filter_map(|change| {
        Some(match change.what.as_ref()? {
            What::Connector(change) => json!({
                "connector": change.name,
                "status": change.status.as_ref().map(connector_seen),
            }),
            What::Task(change) => json!({
                "connector": change.connector,
                "task": change.task,
                "status": change.status.as_ref().map(task_seen),
            }),
            What::Agent(change) => json!({
                "agent": change.agent,
                "policy": policy(change.policy),
                "status": change.status.as_ref().map(agent_seen),
            }),
        })
    });
    json!({
        "freshness": output::freshness(message.freshness.as_ref()),
        "reset": message.reset,
        "synced": message.synced,
        "changes": changes.collect::<Vec<_>>(),
    })
}

fn print_message(message: &v1::WatchStatusResponse) -> Result<(), Failure> {
    output::warn_if_stale(message.freshness.as_ref());
    let line = |what: &str, name: &str, state: &str, agent: &str, trace: Option<&str>| {
        let trace = trace.map(|trace| format!(": {trace}")).unwrap_or_default();
        output::line(&format!("{what:<9}  {name:<24}  {state:<10}  {agent}{trace}"))
    };
    for change in &message.changes {
        match &change.what {
            Some(What::Connector(v1::ConnectorChange { name, status: None })) => {
                line("connector", name, "GONE", "", None)?
            }
            Some(What::Connector(v1::ConnectorChange {
                name,
                status: Some(status),
            })) => {
                let state = connector_state(status.state);
                line("connector", name, state, &status.agent, status.trace.as_deref())?;
            }
            Some(What::Task(change)) => {
                let name = format!("{}-{}", change.connector, change.task);
                match &change.status {
                    None => line("task", &name, "GONE", "", None)?,
                    Some(status) => {
                        let state = task_state(status.state);
                        line("task", &name, state, &status.agent, status.trace.as_deref())?;
                    }
                }
            }
            Some(What::Agent(v1::AgentChange {
                agent, status: None, ..
            })) => line("agent", agent, "GONE", "", None)?,
            Some(What::Agent(v1::AgentChange {
                agent,
                status: Some(status),
                policy: decided,
            })) => {
                let tasks = format!("{} tasks, {}", status.tasks, policy(*decided));
                line("agent", agent, link(status.link), &tasks, status.problem.as_deref())?;
            }
            None => {}
        }
    }
    Ok(())
}
