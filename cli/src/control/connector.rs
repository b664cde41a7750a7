//! `dray connector`.

use super::output::{self, connector_state, or_dash, table, target};
use super::{Args, Output, call, confirm};
use crate::Failure;
use dray_agent::files;
use dray_model::TargetState;
use dray_wire::admin::v1;
use dray_wire::admin::v1::connector_service_client::ConnectorServiceClient;
use dray_wire::admin::v1::status_service_client::StatusServiceClient;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use tonic::transport::Channel;

/// What there is under `dray connector`.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// List all connectors
    List(Args),
    /// Show a connector: what is wanted of it and what is seen
    Get(Named),
    /// Create a connector from a file: Java properties, or JSON
    Create(FromFile),
    /// Replace a connector's configuration by that of a file
    Update(Update),
    /// Delete a connector: its tasks are stopped, its offsets stay
    Delete(Delete),
    /// Pause a connector: its tasks stay where they are and move no records
    Pause(Named),
    /// Run a paused or stopped connector again
    Resume(Named),
    /// Stop a connector: its tasks are shut down, its configuration and offsets stay
    Stop(Named),
    /// Restart a connector's instance, and its tasks where asked for
    Restart(Restart),
}

/// A command on one connector.
#[derive(clap::Args)]
pub(crate) struct Named {
    /// Name of the connector
    name: String,
    #[command(flatten)]
    control: Args,
}

/// `dray connector create`.
#[derive(clap::Args)]
pub(crate) struct FromFile {
    /// Connector file, as `dray standalone` takes it; its initial_state is heeded
    file: PathBuf,
    #[command(flatten)]
    control: Args,
}

/// `dray connector update`.
#[derive(clap::Args)]
pub(crate) struct Update {
    /// Connector file with the whole new configuration; its name says which connector
    file: PathBuf,
    /// Only if the connector is at this revision, as `dray connector get` shows it
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    if_revision: u64,
    #[command(flatten)]
    control: Args,
}

/// `dray connector delete`.
#[derive(clap::Args)]
pub(crate) struct Delete {
    /// Name of the connector
    name: String,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    control: Args,
}

/// `dray connector restart`.
#[derive(clap::Args)]
pub(crate) struct Restart {
    /// Name of the connector
    name: String,
    /// Its tasks too, not its instance alone
    #[arg(long)]
    include_tasks: bool,
    /// Only what has failed
    #[arg(long)]
    only_failed: bool,
    #[command(flatten)]
    control: Args,
}

type Client = ConnectorServiceClient<Channel>;

async fn client(control: &Args) -> Result<Client, Failure> {
    Ok(ConnectorServiceClient::new(control.connect().await?))
}

pub(crate) async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::List(args) => list(&args).await,
        Command::Get(args) => get(&args).await,
        Command::Create(args) => create(&args).await,
        Command::Update(args) => update(&args).await,
        Command::Delete(args) => {
            confirm(&format!("Delete connector `{}`?", args.name), args.yes)?;
            let request = v1::DeleteConnectorRequest {
                name: args.name.clone(),
                expected_revision: 0,
            };
            let answer = client(&args.control).await?.delete_connector(call(request)).await?;
            done(
                &args.control,
                &args.name,
                "is being deleted",
                answer.into_inner().revision,
            )
        }
        Command::Pause(Named { name, control }) => {
            let request = v1::PauseConnectorRequest { name: name.clone() };
            let answer = client(&control).await?.pause_connector(call(request)).await?;
            done(&control, &name, "is to be paused", answer.into_inner().revision)
        }
        Command::Resume(Named { name, control }) => {
            let request = v1::ResumeConnectorRequest { name: name.clone() };
            let answer = client(&control).await?.resume_connector(call(request)).await?;
            done(&control, &name, "is to run", answer.into_inner().revision)
        }
        Command::Stop(Named { name, control }) => {
            let request = v1::StopConnectorRequest { name: name.clone() };
            let answer = client(&control).await?.stop_connector(call(request)).await?;
            done(&control, &name, "is to be stopped", answer.into_inner().revision)
        }
        Command::Restart(args) => restart(&args).await,
    }
}

/// A change is in the store; that agents follow shows in the status.
fn done(control: &Args, name: &str, what: &str, revision: u64) -> Result<(), Failure> {
    match control.output {
        Output::Text => output::line(&format!("connector {name} {what} (revision {revision})")),
        Output::Json => output::json(&json!({ "name": name, "revision": revision })),
    }
}

async fn all(client: &mut Client) -> Result<(u64, Vec<v1::Connector>), Failure> {
    let mut connectors = Vec::new();
    let mut token = String::new();
    loop {
        let request = v1::ListConnectorsRequest {
            consistency: None,
            page: Some(v1::Page { size: 0, token }),
        };
        let page = client.list_connectors(call(request)).await?.into_inner();
        connectors.extend(page.connectors);
        token = page.next_page_token;
        if token.is_empty() {
            return Ok((page.revision, connectors));
        }
    }
}

async fn list(args: &Args) -> Result<(), Failure> {
    let channel = args.connect().await?;
    let (revision, connectors) = all(&mut ConnectorServiceClient::new(channel.clone())).await?;
    let (freshness, statuses) = super::status::all(channel).await?;
    if args.output == Output::Json {
        let connectors: Vec<Value> = connectors.iter().map(wanted).collect();
        return output::json(&json!({ "revision": revision, "connectors": connectors }));
    }
    output::warn_if_stale(freshness.as_ref());
    let seen: BTreeMap<&str, &v1::ConnectorWithTasks> =
        statuses.iter().map(|status| (status.name.as_str(), status)).collect();
    let rows: Vec<_> = connectors
        .iter()
        .map(|connector| {
            let seen = seen.get(connector.name.as_str());
            let state = seen
                .and_then(|seen| seen.status.as_ref())
                .map_or(0, |status| status.state);
            let running = seen.map_or(0, |seen| {
                let states = seen.tasks.iter().flat_map(|task| &task.status);
                states.filter(|status| status.state() == v1::TaskState::Running).count()
            });
            let wanted = if connector.deleting {
                "DELETED"
            } else {
                target(connector.target)
            };
            [
                connector.name.clone(),
                connector_state(state).into(),
                wanted.into(),
                format!("{running}/{}", connector.tasks),
                connector.config.get("connector.class").cloned().unwrap_or_default(),
            ]
        })
        .collect();
    table(["NAME", "STATE", "WANTED", "RUNNING", "CLASS"], &rows)
}

fn wanted(connector: &v1::Connector) -> Value {
    json!({
        "name": connector.name,
        "uid": connector.uid,
        "revision": connector.revision,
        "config": connector.config,
        "config_version": connector.config_version,
        "target": target(connector.target),
        "deleting": connector.deleting,
        "tasks": connector.tasks,
    })
}

async fn get(args: &Named) -> Result<(), Failure> {
    let channel = args.control.connect().await?;
    let name = &args.name;
    let request = v1::GetConnectorRequest {
        consistency: None,
        name: name.clone(),
    };
    let answer = ConnectorServiceClient::new(channel.clone())
        .get_connector(call(request))
        .await?;
    let connector = answer.into_inner().connector.unwrap_or_default();
    let request = v1::GetConnectorStatusRequest {
        consistency: None,
        name: name.clone(),
    };
    let answer = StatusServiceClient::new(channel)
        .get_connector_status(call(request))
        .await?;
    let answer = answer.into_inner();
    let status = answer.connector.unwrap_or_default();
    if args.control.output == Output::Json {
        return output::json(&json!({
            "connector": wanted(&connector),
            "freshness": output::freshness(answer.freshness.as_ref()),
            "status": super::status::seen(&status),
        }));
    }
    output::warn_if_stale(answer.freshness.as_ref());
    output::line(&format!("connector {name}"))?;
    output::line(&format!("wanted    {}", target(connector.target)))?;
    if connector.deleting {
        output::line("          it is being deleted")?;
    }
    output::line(&format!("revision  {}", connector.revision))?;
    output::line("config")?;
    for (key, value) in &connector.config {
        output::line(&format!("  {key}={value}"))?;
    }
    super::status::print(&status)
}

async fn create(args: &FromFile) -> Result<(), Failure> {
    let file = files::connector(&args.file).map_err(|error| Failure::Usage(error.to_string()))?;
    let target = match file.initial_state {
        TargetState::Started => v1::TargetState::Started,
        TargetState::Paused => v1::TargetState::Paused,
        TargetState::Stopped => v1::TargetState::Stopped,
    };
    let name = file.name.as_str().to_owned();
    let request = v1::CreateConnectorRequest {
        name: name.clone(),
        config: file.config.into_iter().collect(),
        target: target.into(),
    };
    let answer = client(&args.control).await?.create_connector(call(request)).await?;
    done(&args.control, &name, "was created", answer.into_inner().revision)
}

async fn update(args: &Update) -> Result<(), Failure> {
    let file = files::connector(&args.file).map_err(|error| Failure::Usage(error.to_string()))?;
    let name = file.name.as_str().to_owned();
    let request = v1::UpdateConnectorConfigRequest {
        name: name.clone(),
        config: file.config.into_iter().collect(),
        expected_revision: args.if_revision,
    };
    let answer = client(&args.control)
        .await?
        .update_connector_config(call(request))
        .await?;
    done(
        &args.control,
        &name,
        "has this configuration",
        answer.into_inner().revision,
    )
}

async fn restart(args: &Restart) -> Result<(), Failure> {
    let name = &args.name;
    let request = v1::RestartConnectorRequest {
        name: name.clone(),
        include_tasks: args.include_tasks,
        only_failed: args.only_failed,
    };
    let answer = client(&args.control)
        .await?
        .restart_connector(call(request))
        .await?
        .into_inner();
    if args.control.output == Output::Json {
        return output::json(&json!({
            "name": name,
            "revision": answer.revision,
            "instance": answer.instance,
            "tasks": answer.tasks,
        }));
    }
    let tasks: Vec<String> = answer.tasks.iter().map(u32::to_string).collect();
    let instance = if answer.instance { "yes" } else { "no" };
    output::line(&format!(
        "connector {name} is restarted: instance {instance}, tasks {} (revision {})",
        or_dash(tasks.join(" ")),
        answer.revision
    ))
}
