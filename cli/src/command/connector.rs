//! `dray connector`.

use super::apply::{self, Apply, Diff};
use super::files::Files;
use super::offsets;
use super::output::{self, Doing as _, Output, Report, Table, or_dash};
use super::preview;
use super::select::{Change, Select, labels};
use super::{Args, describe};
use crate::Failure;
use crate::cluster::{Cluster, Config, Connector, Target};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// What there is under `dray connector`.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// List connectors with their states
    #[command(visible_alias = "ls")]
    List(Chosen),
    /// Print configurations, as files that `dray apply` takes
    Get(Chosen),
    /// Show all of a connector: why it failed first, then tasks, configuration and topics, and traces last
    Describe(Describe),
    /// Create connectors
    Create(Create),
    /// Replace the configurations of connectors
    Update(Update),
    /// Change single keys of configurations
    Patch(Patch),
    /// Create connectors, or change those that are there; the same as `dray apply`
    Apply(Apply),
    /// Show what `apply` would change; exit code 1 when that is anything
    Diff(Diff),
    /// Check configurations, and change nothing; exit code 1 when one is wrong
    Validate(Validate),
    /// Show what would become of a connector's records, stage by stage, and write nothing
    ///
    /// An agent reads records of a sink's topics, without a group, or polls a source from where it is, and sends them through converters and
    /// transforms as a task would. No record, offset or schema is written and no topic is created. Exit code 1: a stage failed; 2: the
    /// files or flags are wrong.
    Preview(preview::PreviewArgs),
    /// Delete connectors: their tasks are stopped, their offsets stay; asks first
    #[command(visible_alias = "rm")]
    Delete(Changed),
    /// Pause connectors: their tasks stay where they are and move no records
    Pause(Changed),
    /// Run paused or stopped connectors again
    Resume(Changed),
    /// Stop connectors: their tasks are shut down, their configurations and offsets stay
    Stop(Changed),
    /// Restart connectors, or with --failed what of them has failed
    Restart(Restart),
    /// How far connectors are
    #[command(subcommand)]
    Offsets(offsets::Command),
    /// The topics that connectors have written to or read from
    Topics(Topics),
}

/// A command that shows some connectors, or all.
#[derive(clap::Args)]
pub(crate) struct Chosen {
    #[command(flatten)]
    select: Select,
    #[command(flatten)]
    args: Args,
}

/// A command that changes some connectors.
#[derive(clap::Args)]
pub(crate) struct Changed {
    #[command(flatten)]
    change: Change,
    #[command(flatten)]
    args: Args,
}

/// `dray connector describe`.
#[derive(clap::Args)]
pub(crate) struct Describe {
    #[command(flatten)]
    select: Select,
    /// The configurations of its tasks too
    #[arg(long)]
    tasks_config: bool,
    #[command(flatten)]
    args: Args,
}

/// `dray connector create`.
#[derive(clap::Args)]
pub(crate) struct Create {
    #[command(flatten)]
    files: Files,
    /// In which state they begin, whatever the files say
    #[arg(long, value_name = "STATE", value_parser = ["running", "paused", "stopped"], ignore_case = true)]
    initial_state: Option<String>,
    /// Store them unchecked: the agent that gets one checks it
    #[arg(long)]
    no_validate: bool,
    #[command(flatten)]
    args: Args,
}

/// `dray connector update`.
#[derive(clap::Args)]
pub(crate) struct Update {
    #[command(flatten)]
    files: Files,
    /// Only if the connector is at this revision, as `dray connector describe` shows it
    #[arg(long, value_name = "N")]
    if_revision: Option<u64>,
    /// Store it unchecked: the agent that gets it checks it
    #[arg(long)]
    no_validate: bool,
    #[command(flatten)]
    args: Args,
}

/// `dray connector patch`.
#[derive(clap::Args)]
pub(crate) struct Patch {
    #[command(flatten)]
    change: Change,
    /// Set a key
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = pair)]
    set: Vec<(String, String)>,
    /// Remove a key
    #[arg(short, long, value_name = "KEY", required_unless_present = "set")]
    remove: Vec<String>,
    /// Store it unchecked: the agent that gets it checks it
    #[arg(long)]
    no_validate: bool,
    #[command(flatten)]
    args: Args,
}

/// `dray connector validate`.
#[derive(clap::Args)]
pub(crate) struct Validate {
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    args: Args,
}

/// `dray connector restart`.
#[derive(clap::Args)]
pub(crate) struct Restart {
    #[command(flatten)]
    change: Change,
    /// Their tasks too, not their instances alone; --failed says that as well
    #[arg(short = 't', long, visible_alias = "tasks")]
    include_tasks: bool,
    /// Of these only what has failed; --failed says that as well
    #[arg(long)]
    only_failed: bool,
    #[command(flatten)]
    args: Args,
}

/// `dray connector topics`.
#[derive(clap::Args)]
pub(crate) struct Topics {
    #[command(flatten)]
    change: Change,
    /// Forget them: from now on they are counted anew
    #[arg(long)]
    reset: bool,
    #[command(flatten)]
    args: Args,
}

pub(crate) async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::List(args) => list(&args).await,
        Command::Get(args) => get(&args).await,
        Command::Describe(args) => show(&args).await,
        Command::Create(args) => create(&args).await,
        Command::Update(args) => update(&args).await,
        Command::Patch(args) => patch(&args).await,
        Command::Apply(args) => apply::run(&args).await,
        Command::Diff(args) => apply::diff(&args).await,
        Command::Validate(args) => validate(&args).await,
        Command::Preview(args) => preview::run(&args).await,
        Command::Delete(args) => delete(&args).await,
        Command::Pause(args) => target(&args, Target::Paused, "pause", "is to be paused").await,
        Command::Resume(args) => target(&args, Target::Running, "resume", "is to run").await,
        Command::Stop(args) => target(&args, Target::Stopped, "stop", "is to be stopped").await,
        Command::Restart(args) => restart(&args).await,
        Command::Offsets(command) => offsets::run(command).await,
        Command::Topics(args) => topics(&args).await,
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("KEY=VALUE is wanted")?;
    Ok((key.to_owned(), value.to_owned()))
}

async fn list(args: &Chosen) -> Result<(), Failure> {
    let cluster = args.args.open().await?;
    let connectors = args.select.find(&*cluster).await?;
    let output = args.args.output;
    output::warn_if_stale(connectors.iter().find_map(|connector| connector.stale_s));
    if output.value(&json!({ "connectors": connectors }))? {
        return Ok(());
    }
    let mut table = Table::new(
        &["NAME", "TYPE", "STATE", "TASKS", "CLASS"],
        &["WANTED", "WORKER", "TASK STATES", "LABELS"],
    );
    for connector in connectors {
        let running = connector.tasks.iter().filter(|task| task.state == "RUNNING").count();
        let labels: Vec<String> = labels(&connector.config)
            .into_iter()
            .map(|(key, value)| {
                if value.is_empty() {
                    key
                } else {
                    format!("{key}={value}")
                }
            })
            .collect();
        let tasks: Vec<String> = connector
            .tasks
            .iter()
            .map(|task| format!("{}:{}", task.id, task.state))
            .collect();
        table.row(vec![
            connector.name.clone(),
            or_dash(connector.kind.as_deref().unwrap_or_default()),
            state(&connector),
            format!("{running}/{}", connector.tasks.len()),
            or_dash(connector.config.get("connector.class").map_or("", String::as_str)),
            connector.wanted.map_or("-", Target::word).into(),
            or_dash(&connector.seen.worker_id),
            or_dash(tasks.join(",")),
            or_dash(labels.join(",")),
        ]);
    }
    table.print(output)
}

/// As it is seen; one that is being deleted says so.
pub(super) fn state(connector: &Connector) -> String {
    match connector.deleting {
        true => format!("{} (being deleted)", connector.state),
        false => connector.state.clone(),
    }
}

async fn get(args: &Chosen) -> Result<(), Failure> {
    let cluster = args.args.open().await?;
    let connectors = args.select.find(&*cluster).await?;
    let file = |connector: &Connector| {
        let mut file = json!({ "name": connector.name, "config": connector.config });
        let state = connector.wanted.map(Target::word).or(Some(connector.state.as_str()));
        if let Some(state @ ("PAUSED" | "STOPPED")) = state {
            file["initial_state"] = state.into();
        }
        file
    };
    match (args.args.output, &connectors[..]) {
        (Output::Name, all) => all.iter().try_for_each(|connector| output::line(&connector.name)),
        (Output::Json, [one]) if args.select.single().is_some() => Output::Json.value(&file(one)).map(drop),
        (Output::Json, all) => {
            let files: Vec<Value> = all.iter().map(file).collect();
            Output::Json.value(&json!({ "connectors": files })).map(drop)
        }
        // A document each.
        (Output::Yaml, all) => {
            let texts: Vec<String> = all
                .iter()
                .map(|one| output::yaml(&file(one)))
                .collect::<Result<_, _>>()?;
            output::line(texts.join("---\n").trim_end())
        }
        (Output::Table | Output::Wide, [one]) => output::line(properties(&one.config).trim_end()),
        (Output::Table | Output::Wide, all) => Err(Failure::Usage(format!(
            "{} connectors do not go into one file of properties: add -o yaml or -o json",
            all.len()
        ))),
    }
}

/// A configuration as a file of Java properties, which reads back as what it was.
fn properties(config: &Config) -> String {
    let escaped = |text: &str, key: bool| {
        let mut escaped = String::new();
        for (at, character) in text.chars().enumerate() {
            match character {
                '\\' => escaped.push_str("\\\\"),
                '\n' => escaped.push_str("\\n"),
                '\r' => escaped.push_str("\\r"),
                '\t' => escaped.push_str("\\t"),
                ' ' if key || at == 0 => escaped.push_str("\\ "),
                '=' | ':' | '#' | '!' if key => {
                    escaped.push('\\');
                    escaped.push(character);
                }
                other => escaped.push(other),
            }
        }
        escaped
    };
    let mut text = String::new();
    for (key, value) in config {
        writeln!(text, "{}={}", escaped(key, true), escaped(value, false)).expect("a string takes all");
    }
    text
}

async fn show(args: &Describe) -> Result<(), Failure> {
    let cluster = args.args.open().await?;
    let connectors = args.select.find(&*cluster).await?;
    let mut all = Vec::new();
    for connector in connectors {
        all.push(describe::read(&*cluster, connector, args.tasks_config).await?);
    }
    let output = args.args.output;
    match (&all[..], args.select.single()) {
        (_, _) if output == Output::Name => all.iter().try_for_each(|one| output::line(&one.connector.name)),
        ([one], Some(_)) if output.value(one)? => Ok(()),
        (_, None) if output.value(&json!({ "connectors": all }))? => Ok(()),
        (all, _) => {
            for (at, one) in all.iter().enumerate() {
                if at > 0 {
                    output::line("")?;
                }
                describe::print(one)?;
            }
            Ok(())
        }
    }
}

async fn create(args: &Create) -> Result<(), Failure> {
    let declared = args.files.read()?;
    let cluster = args.args.open().await?;
    let mut report = Report::new(&*cluster, args.args.output, "connector", declared.len());
    for mut declared in declared {
        match args.initial_state.as_deref() {
            Some("paused") => declared.new.target = Target::Paused,
            Some("stopped") => declared.new.target = Target::Stopped,
            Some(_) => declared.new.target = Target::Running,
            None => {}
        }
        let name = declared.new.name.clone();
        report.begin(&name);
        match cluster.create(&declared.new, !args.no_validate).await {
            Ok(()) => report.done(&name, "created", "was created", Value::Null)?,
            Err(error) => report.failed(&name, "create", Some(&declared.from), &error),
        }
    }
    report.finish()
}

async fn update(args: &Update) -> Result<(), Failure> {
    let declared = args.files.read()?;
    if args.if_revision.is_some() && declared.len() > 1 {
        return Err(Failure::Usage(
            "--if-revision is for one connector, and there are several".into(),
        ));
    }
    let cluster = args.args.open().await?;
    let mut report = Report::new(&*cluster, args.args.output, "connector", declared.len());
    for declared in declared {
        let name = &declared.new.name;
        report.begin(name);
        let updated = cluster.configure(name, &declared.new.config, args.if_revision, !args.no_validate);
        match updated.await {
            Ok(()) => report.done(name, "updated", "was updated", Value::Null)?,
            Err(error) => report.failed(name, "update", Some(&declared.from), &error),
        }
    }
    report.finish()
}

async fn patch(args: &Patch) -> Result<(), Failure> {
    let cluster = args.args.open().await?;
    let names = args.change.find(&*cluster, "patch", false).await?;
    let mut report = Report::new(&*cluster, args.args.output, "connector", names.len());
    for name in names {
        report.begin(&name);
        match patched(&*cluster, &name, args).await {
            Ok(true) => report.done(&name, "patched", "was patched", Value::Null)?,
            Ok(false) => report.done(&name, "unchanged", "is so already", Value::Null)?,
            Err(error) => report.failed(&name, "patch", None, &error),
        }
    }
    report.finish()
}

/// Where the cluster has revisions, what somebody else writes meanwhile is not lost.
async fn patched(cluster: &dyn Cluster, name: &str, args: &Patch) -> Result<bool, crate::cluster::Error> {
    let connector = cluster.connector(name).await?;
    let mut config = connector.config.clone();
    for key in &args.remove {
        config.remove(key);
    }
    config.extend(args.set.iter().cloned());
    if config == connector.config {
        return Ok(false);
    }
    cluster
        .configure(name, &config, connector.revision, !args.no_validate)
        .await?;
    Ok(true)
}

async fn validate(args: &Validate) -> Result<(), Failure> {
    let declared = args.files.read()?;
    let cluster = args.args.open().await?;
    let output = args.args.output;
    let (mut results, mut wrong) = (Vec::new(), false);
    for declared in declared {
        let name = &declared.new.name;
        let found = cluster.validate(&declared.new.config).await;
        let found = found.doing(
            &*cluster,
            format_args!("validate connector `{name}` ({})", declared.from),
        )?;
        wrong |= found.error_count > 0;
        match output {
            Output::Name if found.error_count == 0 => output::line(name)?,
            Output::Table | Output::Wide => apply::print_validation(name, &found)?,
            Output::Name | Output::Json | Output::Yaml => {}
        }
        let mut result = json!(found);
        result["name"] = name.as_str().into();
        results.push(result);
    }
    output.value(&json!({ "results": results }))?;
    if wrong { Err(Failure::Shown) } else { Ok(()) }
}

async fn delete(args: &Changed) -> Result<(), Failure> {
    let cluster = args.args.open().await?;
    let names = args.change.find(&*cluster, "delete", true).await?;
    let mut report = Report::new(&*cluster, args.args.output, "connector", names.len());
    for name in names {
        report.begin(&name);
        match cluster.delete(&name).await {
            Ok(()) => report.done(&name, "deleted", "is deleted", Value::Null)?,
            Err(error) => report.failed(&name, "delete", None, &error),
        }
    }
    report.finish()
}

async fn target(args: &Changed, target: Target, verb: &str, sentence: &str) -> Result<(), Failure> {
    let cluster = args.args.open().await?;
    let names = args.change.find(&*cluster, verb, false).await?;
    let mut report = Report::new(&*cluster, args.args.output, "connector", names.len());
    for name in names {
        report.begin(&name);
        match cluster.set_target(&name, target).await {
            Ok(()) => report.done(&name, target.word(), sentence, Value::Null)?,
            Err(error) => report.failed(&name, verb, None, &error),
        }
    }
    report.finish()
}

async fn restart(args: &Restart) -> Result<(), Failure> {
    let cluster = args.args.open().await?;
    let names = args.change.find(&*cluster, "restart", false).await?;
    let failed = args.change.select.failed;
    let mut report = Report::new(&*cluster, args.args.output, "connector", names.len());
    for name in names {
        report.begin(&name);
        match cluster
            .restart(&name, args.include_tasks || failed, args.only_failed || failed)
            .await
        {
            Ok(restarted) => {
                let tasks: Vec<String> = restarted.tasks.iter().map(u32::to_string).collect();
                let sentence = match (restarted.instance, &tasks[..]) {
                    (Some(true) | None, []) => "is restarted: its instance".to_owned(),
                    (Some(true) | None, _) => format!("is restarted: its instance, and tasks {}", tasks.join(" ")),
                    (Some(false), []) => "has nothing that failed; nothing was restarted".to_owned(),
                    (Some(false), _) => format!("is restarted: tasks {}", tasks.join(" ")),
                };
                report.done(&name, "restarted", &sentence, json!(restarted))?;
            }
            Err(error) => report.failed(&name, "restart", None, &error),
        }
    }
    report.finish()
}

async fn topics(args: &Topics) -> Result<(), Failure> {
    let cluster = args.args.open().await?;
    let output = args.args.output;
    let names = args.change.find(&*cluster, "topics", args.reset).await?;
    if args.reset {
        let mut report = Report::new(&*cluster, output, "connector", names.len());
        for name in names {
            report.begin(&name);
            match cluster.reset_topics(&name).await {
                Ok(()) => report.done(&name, "reset", "has no active topics any more", Value::Null)?,
                Err(error) => report.failed(&name, "reset the topics of", None, &error),
            }
        }
        return report.finish();
    }
    let (mut table, mut results) = (Table::new(&["TOPIC", "CONNECTOR"], &[]), Vec::new());
    for name in names {
        let topics = cluster.topics(&name).await;
        let topics = topics.doing(&*cluster, format_args!("read the topics of connector `{name}`"))?;
        for topic in &topics {
            table.row(vec![topic.clone(), name.clone()]);
        }
        results.push(json!({ "name": name, "topics": topics }));
    }
    match output.value(&json!({ "connectors": results }))? {
        true => Ok(()),
        false => table.print(output),
    }
}

#[cfg(test)]
mod tests {
    use super::properties;
    use crate::cluster::Config;

    #[test]
    fn a_configuration_as_properties_reads_back_as_it_was() {
        let config: Config = [
            ("plain", "value"),
            ("key with = : # ! and \\", " leading blank, trailing blank "),
            ("lines", "one\ntwo\r\n\tthree"),
            ("umlaut", "grüße \u{1F600}"),
            ("regex", r"\d+=(.*)\\"),
            ("empty", ""),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
        let text = properties(&config);
        let read = dray_process::properties::read(text.as_bytes()).unwrap();
        assert_eq!(read, config, "{text}");
    }
}
