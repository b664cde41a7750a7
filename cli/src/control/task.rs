//! `dray task`.

use super::output;
use super::{Args, Output, call};
use crate::Failure;
use dray_model::TaskId;
use dray_wire::admin::v1;
use dray_wire::admin::v1::connector_service_client::ConnectorServiceClient;
use serde_json::{Value, json};

/// What there is under `dray task`.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// List the tasks of a connector with their configurations
    List(List),
    /// Restart one task
    Restart(Restart),
}

/// `dray task list`.
#[derive(clap::Args)]
pub(crate) struct List {
    /// Name of the connector
    connector: String,
    #[command(flatten)]
    control: Args,
}

/// `dray task restart`.
#[derive(clap::Args)]
pub(crate) struct Restart {
    /// The task, as NAME-NUMBER
    task: TaskId,
    #[command(flatten)]
    control: Args,
}

pub(crate) async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::List(args) => list(&args).await,
        Command::Restart(args) => restart(&args).await,
    }
}

async fn list(args: &List) -> Result<(), Failure> {
    let mut client = ConnectorServiceClient::new(args.control.connect().await?);
    let mut tasks = Vec::new();
    let mut token = String::new();
    let revision = loop {
        let request = v1::ListTasksRequest {
            consistency: None,
            connector: args.connector.clone(),
            page: Some(v1::Page { size: 0, token }),
        };
        let page = client.list_tasks(call(request)).await?.into_inner();
        tasks.extend(page.tasks);
        token = page.next_page_token;
        if token.is_empty() {
            break page.revision;
        }
    };
    let name = &args.connector;
    if args.control.output == Output::Json {
        let task = |task: &v1::Task| json!({ "task": task.number, "cost": task.cost, "config": task.config });
        let tasks: Vec<Value> = tasks.iter().map(task).collect();
        return output::json(&json!({ "connector": name, "revision": revision, "tasks": tasks }));
    }
    for task in &tasks {
        output::line(&format!("{name}-{}", task.number))?;
        for (key, value) in &task.config {
            output::line(&format!("  {key}={value}"))?;
        }
    }
    Ok(())
}

async fn restart(args: &Restart) -> Result<(), Failure> {
    let request = v1::RestartTaskRequest {
        connector: args.task.connector.as_str().into(),
        task: args.task.number,
    };
    let mut client = ConnectorServiceClient::new(args.control.connect().await?);
    let revision = client.restart_task(call(request)).await?.into_inner().revision;
    match args.control.output {
        Output::Text => output::line(&format!("task {} is restarted (revision {revision})", args.task)),
        Output::Json => output::json(&json!({ "task": args.task.to_string(), "revision": revision })),
    }
}
