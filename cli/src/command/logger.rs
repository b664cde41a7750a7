//! `dray logger`: levels of logs, changed while it runs.

use super::Args;
use super::output::{Doing as _, Output, Table, line, or_dash};
use crate::Failure;
use crate::cluster::{Level, Scope};
use serde_json::json;
use std::collections::BTreeMap;

/// What there is under `dray logger`.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// List loggers whose level was set, and the root
    #[command(visible_alias = "ls")]
    List(Args),
    /// Show the level of a logger
    Get(Get),
    /// Set the level of a logger and all below it
    Set(Set),
}

/// `dray logger get`.
#[derive(clap::Args)]
pub(crate) struct Get {
    /// The logger, such as `org.apache.kafka.connect` or `root`
    #[arg(value_name = "LOGGER", add = crate::completion::loggers())]
    logger: String,
    #[command(flatten)]
    args: Args,
}

/// `dray logger set`.
#[derive(clap::Args)]
pub(crate) struct Set {
    /// The logger, such as `org.apache.kafka.connect` or `root`
    #[arg(value_name = "LOGGER", add = crate::completion::loggers())]
    logger: String,
    /// The level
    #[arg(value_parser = ["off", "fatal", "error", "warn", "info", "debug", "trace"], ignore_case = true)]
    level: String,
    /// How far it goes
    #[arg(short, long, value_enum, default_value_t = Scope::Worker)]
    scope: Scope,
    #[command(flatten)]
    args: Args,
}

pub(crate) async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::List(args) => {
            let cluster = args.open().await?;
            let loggers = cluster.loggers().await.doing(&*cluster, "list the loggers")?;
            print(&loggers, args.output)
        }
        Command::Get(get) => {
            let cluster = get.args.open().await?;
            let doing = format!("read logger `{}`", get.logger);
            let level = cluster.logger(&get.logger).await.doing(&*cluster, doing)?;
            print(&[(get.logger, level)].into(), get.args.output)
        }
        Command::Set(set) => {
            let cluster = set.args.open().await?;
            let level = set.level.to_ascii_uppercase();
            let doing = format!("set the level of logger `{}`", set.logger);
            let changed = cluster
                .set_level(&set.logger, &level, set.scope)
                .await
                .doing(&*cluster, doing)?;
            let output = set.args.output;
            if output.value(&json!({ "logger": set.logger, "level": level, "changed": changed }))? {
                return Ok(());
            }
            if output == Output::Name {
                return changed.iter().try_for_each(|logger| line(logger));
            }
            match changed.is_empty() {
                // A change of the whole cluster is answered before it is everywhere.
                true => line(&format!("logger {} is to be {level} on all workers", set.logger)),
                false => line(&format!(
                    "logger {} is {level}; set with it: {}",
                    set.logger,
                    changed.join(", ")
                )),
            }
        }
    }
}

fn print(loggers: &BTreeMap<String, Level>, output: Output) -> Result<(), Failure> {
    if output.value(&json!({ "loggers": loggers }))? {
        return Ok(());
    }
    let mut table = Table::new(&["LOGGER", "LEVEL"], &["LAST MODIFIED (MS)"]);
    for (name, level) in loggers {
        table.row(vec![
            name.clone(),
            or_dash(level.level.as_deref().unwrap_or_default()),
            or_dash(level.last_modified.unwrap_or_default()),
        ]);
    }
    table.print(output)
}
