//! `dray task`.

use super::describe::{cause, config, field, place};
use super::output::{self, Doing as _, Output, Report, Table, or_dash};
use super::select::Select;
use super::status::row;
use super::{Args, confirm};
use crate::Failure;
use crate::cluster::{Config, Task};
use serde::Serialize;
use serde_json::{Value, json};
use std::str::FromStr;

/// What there is under `dray task`.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// List the tasks of connectors with their states
    #[command(visible_alias = "ls")]
    List(List),
    /// Show all of a task: why it failed first, its trace last
    Describe(Describe),
    /// Restart tasks
    Restart(Restart),
}

/// `dray task list`.
#[derive(clap::Args)]
pub(crate) struct List {
    #[command(flatten)]
    select: Select,
    #[command(flatten)]
    args: Args,
}

/// `dray task describe`.
#[derive(clap::Args)]
pub(crate) struct Describe {
    /// Tasks, such as `orders-0`
    #[arg(value_name = "TASK", required = true, add = crate::completion::tasks())]
    tasks: Vec<Id>,
    #[command(flatten)]
    args: Args,
}

/// `dray task restart`.
#[derive(clap::Args)]
pub(crate) struct Restart {
    /// Tasks, such as `orders-0`
    #[arg(value_name = "TASK", required_unless_present = "failed", add = crate::completion::tasks())]
    tasks: Vec<Id>,
    /// All tasks that have failed; asks first
    #[arg(long, conflicts_with = "tasks")]
    failed: bool,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    args: Args,
}

/// A task of a connector: `name-0`, or `name/0` as in paths.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Id {
    connector: String,
    number: u32,
}

impl FromStr for Id {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text
            .rsplit_once(['-', '/'])
            .filter(|(connector, _)| !connector.is_empty());
        let id = parts.and_then(|(connector, number)| {
            let number = number.parse().ok()?;
            let connector = connector.to_owned();
            Some(Self { connector, number })
        });
        id.ok_or_else(|| format!("`{text}` is not a task id such as `name-0`"))
    }
}

/// All of a task.
#[derive(Serialize)]
struct Described {
    name: String,
    connector: String,
    #[serde(flatten)]
    task: Task,
    config: Config,
}

pub(crate) async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::List(args) => list(&args).await,
        Command::Describe(args) => describe(&args).await,
        Command::Restart(args) => restart(&args).await,
    }
}

async fn list(args: &List) -> Result<(), Failure> {
    let cluster = args.args.open().await?;
    let connectors = args.select.find(&*cluster).await?;
    let output = args.args.output;
    output::warn_if_stale(connectors.iter().find_map(|connector| connector.stale_s));
    let dray = connectors.iter().any(|connector| connector.seen.agent.is_some());
    let mut table = match dray {
        true => Table::new(
            &["NAME", "STATE", "AGENT", "WORKER", "GENERATION", "RESTARTS"],
            &["CAUSE"],
        ),
        false => Table::new(&["NAME", "STATE", "WORKER"], &["CAUSE"]),
    };
    let mut tasks = Vec::new();
    for connector in &connectors {
        for task in connector
            .tasks
            .iter()
            .filter(|task| !args.select.failed || task.state == "FAILED")
        {
            let name = format!("{}-{}", connector.name, task.id);
            let mut row = row(name.clone(), &task.state, &task.seen, dray);
            row.push(or_dash(task.seen.trace.as_deref().map(cause).unwrap_or_default()));
            table.row(row);
            let mut value = json!(task);
            value["name"] = name.into();
            value["connector"] = connector.name.as_str().into();
            tasks.push(value);
        }
    }
    match output.value(&json!({ "tasks": tasks }))? {
        true => Ok(()),
        false => table.print(output),
    }
}

async fn describe(args: &Describe) -> Result<(), Failure> {
    let cluster = args.args.open().await?;
    let mut all = Vec::new();
    for Id { connector, number } in &args.tasks {
        let doing = format!("describe task `{connector}-{number}`");
        let found = cluster.connector(connector).await.doing(&*cluster, &doing)?;
        let configs = cluster.task_configs(connector).await.doing(&*cluster, &doing)?;
        let task = found.tasks.into_iter().find(|task| task.id == *number);
        let (Some(task), config) = (task, configs.into_iter().nth(*number as usize)) else {
            return Err(Failure::Failed(anyhow::anyhow!(
                "cannot {doing} at {}: there is no task `{connector}-{number}`\n  `dray task list {connector}` shows what there is",
                cluster.at()
            )));
        };
        output::warn_if_stale(found.stale_s);
        all.push(Described {
            name: format!("{connector}-{number}"),
            connector: connector.clone(),
            task,
            config: config.unwrap_or_default(),
        });
    }
    let output = args.args.output;
    let printed = match &all[..] {
        [one] => output.value(one)?,
        all => output.value(&json!({ "tasks": all }))?,
    };
    if printed {
        return Ok(());
    }
    if output == Output::Name {
        return all.iter().try_for_each(|one| output::line(&one.name));
    }
    all.iter().try_for_each(print)
}

fn print(one: &Described) -> Result<(), Failure> {
    field("Name", &one.name)?;
    let trace = one.task.seen.trace.as_deref();
    if let Some(trace) = trace {
        field("Cause", &cause(trace))?;
    }
    field("State", &one.task.state)?;
    place(&one.task.seen)?;
    output::line("Config:")?;
    config(&one.config, "  ")?;
    if let Some(trace) = trace.filter(|trace| trace.trim().contains('\n')) {
        output::line("Trace:")?;
        for line in trace.trim_end().lines() {
            output::line(&format!("  {line}"))?;
        }
    }
    Ok(())
}

async fn restart(args: &Restart) -> Result<(), Failure> {
    let cluster = args.args.open().await?;
    let mut tasks = args.tasks.clone();
    if args.failed {
        for connector in cluster.connectors().await.doing(&*cluster, "list the connectors")? {
            let failed = connector.tasks.iter().filter(|task| task.state == "FAILED");
            tasks.extend(failed.map(|task| Id {
                connector: connector.name.clone(),
                number: task.id,
            }));
        }
        if tasks.is_empty() {
            eprintln!("dray: no task has failed; nothing was restarted");
        } else {
            confirm(&format!("Restart {} failed tasks?", tasks.len()), args.yes)?;
        }
    }
    let mut report = Report::new(&*cluster, args.args.output, "task", tasks.len());
    for Id { connector, number } in tasks {
        let name = format!("{connector}-{number}");
        report.begin(&name);
        match cluster.restart_task(&connector, number).await {
            Ok(()) => report.done(&name, "restarted", "is restarted", Value::Null)?,
            Err(error) => report.failed(&name, "restart", None, &error),
        }
    }
    report.finish()
}

#[cfg(test)]
mod tests {
    use super::Id;

    #[test]
    fn a_task_is_named_by_its_connector_and_number() {
        let id = |connector: &str, number| {
            let connector = connector.to_owned();
            Ok(Id { connector, number })
        };
        for (text, expected) in [("a-0", id("a", 0)), ("a-b-12", id("a-b", 12)), ("a-b/3", id("a-b", 3))] {
            assert_eq!(text.parse::<Id>(), expected);
        }
        for wrong in ["orders", "-1", "a-", "a-x", "a-99999999999", ""] {
            assert!(wrong.parse::<Id>().is_err(), "{wrong}");
        }
    }
}
