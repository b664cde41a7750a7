//! `dray cluster`.

use super::Args;
use super::describe::field;
use super::output::{Doing as _, Output, Table, line, or_dash};
use crate::Failure;
use serde_json::json;
use std::collections::BTreeMap;

/// What there is under `dray cluster`.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Show what the cluster is, and how many of its connectors and tasks are in which state
    #[command(visible_aliases = ["info", "get"])]
    Status(Args),
    /// List the processes that make it up
    Members(Args),
}

pub(crate) async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Status(args) => status(&args).await,
        Command::Members(args) => members(&args).await,
    }
}

async fn status(args: &Args) -> Result<(), Failure> {
    let cluster = args.open().await?;
    let about = cluster.about().await.doing(&*cluster, "ask the cluster what it is")?;
    let (mut connectors, mut tasks) = (BTreeMap::new(), BTreeMap::new());
    for connector in cluster.connectors().await.doing(&*cluster, "list the connectors")? {
        *connectors.entry(connector.state).or_insert(0_usize) += 1;
        for task in connector.tasks {
            *tasks.entry(task.state).or_insert(0_usize) += 1;
        }
    }
    let mut value = json!(about);
    value["address"] = cluster.at().into();
    value["connectors"] = json!(connectors);
    value["tasks"] = json!(tasks);
    if args.output.value(&value)? {
        return Ok(());
    }
    if args.output == Output::Name {
        return line(
            about
                .cluster
                .as_deref()
                .or(about.kafka_cluster_id.as_deref())
                .unwrap_or(cluster.at()),
        );
    }
    let counts = |counts: &BTreeMap<String, usize>| {
        let parts: Vec<String> = counts.iter().map(|(state, count)| format!("{count} {state}")).collect();
        if parts.is_empty() {
            "none".into()
        } else {
            parts.join(", ")
        }
    };
    field("Address", cluster.at())?;
    field("Product", &format!("{} {}", about.product, about.version))?;
    if let Some(commit) = &about.commit {
        field("Commit", commit)?;
    }
    if let Some(name) = &about.cluster {
        field("Cluster", name)?;
    }
    if let Some(kafka) = &about.kafka_cluster_id {
        field("Kafka", kafka)?;
    }
    if let Some(revision) = about.revision {
        field("Revision", &revision.to_string())?;
    }
    if about.has_leader {
        let leader = about
            .leader
            .as_ref()
            .map(|leader| format!("{} (term {})", leader.replica, leader.term));
        field("Leader", leader.as_deref().unwrap_or("none"))?;
    }
    line(&format!("Connectors: {}", counts(&connectors)))?;
    line(&format!("Tasks:      {}", counts(&tasks)))
}

async fn members(args: &Args) -> Result<(), Failure> {
    let cluster = args.open().await?;
    let members = cluster.members().await.doing(&*cluster, "list the members")?;
    if args.output.value(&json!({ "members": members }))? {
        return Ok(());
    }
    let mut table = Table::new(
        &["ID", "ROLE", "STATE", "ADDRESS", "CONNECTORS", "TASKS", "VERSION"],
        &[],
    );
    for member in members {
        let number = |count: Option<usize>| count.map_or("-".into(), |count| count.to_string());
        table.row(vec![
            member.id,
            member.role.into(),
            member.state,
            or_dash(member.address),
            number(member.connectors),
            number(member.tasks),
            or_dash(member.version),
        ]);
    }
    table.print(args.output)
}
