//! `dray plugin`.

use super::Args;
use super::output::{self, Doing as _, Output, Table, or_dash};
use crate::Failure;
use crate::cluster::Key;
use regex::Regex;
use serde_json::json;

/// What there is under `dray plugin`.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// List plugins
    #[command(visible_alias = "ls")]
    List(List),
    /// Show the keys that a plugin defines
    Describe(Describe),
}

/// `dray plugin list`.
#[derive(clap::Args)]
pub(crate) struct List {
    /// Only of these types, with commas between them
    #[arg(
        short,
        long = "type",
        value_name = "TYPE",
        value_delimiter = ',',
        visible_alias = "types",
        value_parser = ["source", "sink", "converter", "header_converter", "transformation", "predicate", "config_provider"]
    )]
    types: Vec<String>,
    #[command(flatten)]
    args: Args,
}

/// `dray plugin describe`.
#[derive(clap::Args)]
pub(crate) struct Describe {
    /// Class of the plugin, whole or short
    #[arg(value_name = "PLUGIN", add = crate::completion::plugins())]
    plugin: String,
    /// Only keys whose name or documentation has this regular expression in it; `(?i)` before it: in any case
    #[arg(long, value_name = "REGEX", conflicts_with_all = ["search_name", "search_description"])]
    search: Option<Regex>,
    /// Only keys whose name has it
    #[arg(long, value_name = "REGEX", conflicts_with = "search_description")]
    search_name: Option<Regex>,
    /// Only keys whose documentation has it
    #[arg(long, value_name = "REGEX")]
    search_description: Option<Regex>,
    #[command(flatten)]
    args: Args,
}

pub(crate) async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::List(args) => list(&args).await,
        Command::Describe(args) => describe(&args).await,
    }
}

async fn list(args: &List) -> Result<(), Failure> {
    let cluster = args.args.open().await?;
    let mut plugins = cluster.plugins().await.doing(&*cluster, "list the plugins")?;
    plugins.retain(|plugin| args.types.is_empty() || args.types.contains(&plugin.kind));
    plugins.sort_by(|one, other| (&one.kind, &one.class).cmp(&(&other.kind, &other.class)));
    let output = args.args.output;
    if output.value(&json!({ "plugins": plugins }))? {
        return Ok(());
    }
    let mut table = Table::new(&["CLASS", "TYPE", "VERSION"], &[]);
    for plugin in plugins {
        table.row(vec![plugin.class, plugin.kind, or_dash(plugin.version)]);
    }
    table.print(output)
}

async fn describe(args: &Describe) -> Result<(), Failure> {
    let cluster = args.args.open().await?;
    let keys = cluster.plugin_keys(&args.plugin).await;
    let mut keys = keys.doing(&*cluster, format_args!("describe plugin `{}`", args.plugin))?;
    keys.retain(|key| {
        let name = |regex: &Option<Regex>| regex.as_ref().is_some_and(|regex| regex.is_match(&key.name));
        let text = |regex: &Option<Regex>| regex.as_ref().is_some_and(|regex| regex.is_match(&key.documentation));
        let all = args.search.is_none() && args.search_name.is_none() && args.search_description.is_none();
        all || name(&args.search) || text(&args.search) || name(&args.search_name) || text(&args.search_description)
    });
    let output = args.args.output;
    if output.value(&json!({ "plugin": args.plugin, "keys": keys }))? {
        return Ok(());
    }
    match output {
        Output::Wide | Output::Name => {
            let mut table = Table::new(&["KEY", "TYPE", "IMPORTANCE", "DEFAULT"], &["DOCUMENTATION"]);
            for key in keys {
                let default = default(&key);
                table.row(vec![
                    key.name,
                    key.kind,
                    key.importance,
                    default,
                    key.documentation.replace('\n', " "),
                ]);
            }
            table.print(output)
        }
        Output::Table | Output::Json | Output::Yaml => keys.iter().try_for_each(|key| {
            output::line(&key.name)?;
            output::line(&format!(
                "  {}, importance {}, default: {}",
                key.kind,
                key.importance,
                default(key)
            ))?;
            key.documentation
                .lines()
                .try_for_each(|line| output::line(format!("  {}", line.trim_end()).trim_end()))
        }),
    }
}

fn default(key: &Key) -> String {
    match (&key.default_value, key.required) {
        (None, true) => "(required)".into(),
        (None, false) => "-".into(),
        (Some(text), _) if text.is_empty() => "\"\"".into(),
        (Some(text), _) => text.clone(),
    }
}
