//! `dray connector offsets`: how far connectors are (KIP-875). They can be set and reset only while a connector is stopped.

use super::Args;
use super::files;
use super::output::{Doing as _, Report, Table};
use super::select::Change;
use crate::Failure;
use crate::cluster::Offset;
use serde_json::{Value, json};
use std::path::PathBuf;

/// What there is under `dray connector offsets`.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Show them
    Get(Of),
    /// Set some of a stopped connector, from a file or by flags
    Set(Set),
    /// Forget those of stopped connectors: they begin anew; asks first
    Reset(Of),
}

/// A command on the offsets of some connectors.
#[derive(clap::Args)]
pub(crate) struct Of {
    #[command(flatten)]
    change: Change,
    #[command(flatten)]
    args: Args,
}

/// `dray connector offsets set`.
#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("what").args(["file", "partition", "topic"]).required(true))]
pub(crate) struct Set {
    /// Name of the connector
    #[arg(value_name = "NAME", add = crate::completion::connectors())]
    name: String,
    /// JSON as `dray connector offsets get -o json` prints it; `-` is stdin
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// A partition of a source, as a JSON object
    #[arg(long, value_name = "JSON", requires = "offset", value_parser = json)]
    partition: Option<Value>,
    /// The offset of this partition, as a JSON object; null forgets it
    #[arg(long, value_name = "JSON", requires = "partition", value_parser = json)]
    offset: Option<Value>,
    /// A topic of a sink
    #[arg(long, value_name = "TOPIC", requires = "kafka_partition", requires = "kafka_offset")]
    topic: Option<String>,
    /// The partition of this topic
    #[arg(long, value_name = "N", requires = "topic")]
    kafka_partition: Option<u32>,
    /// The offset from which it is read on
    #[arg(long, value_name = "N", requires = "topic")]
    kafka_offset: Option<u64>,
    #[command(flatten)]
    args: Args,
}

fn json(text: &str) -> Result<Value, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    match value {
        Value::Object(_) | Value::Null => Ok(value),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Err("a JSON object is wanted".into()),
    }
}

pub(crate) async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Get(args) => get(&args).await,
        Command::Set(args) => set(&args).await,
        Command::Reset(args) => reset(&args).await,
    }
}

async fn get(args: &Of) -> Result<(), Failure> {
    let cluster = args.args.open().await?;
    let output = args.args.output;
    let names = args.change.find(&*cluster, "offsets get", false).await?;
    let (mut table, mut results) = (Table::new(&["CONNECTOR", "PARTITION", "OFFSET"], &[]), Vec::new());
    for name in names {
        let offsets = cluster.offsets(&name).await;
        let offsets = offsets.doing(&*cluster, format_args!("read the offsets of connector `{name}`"))?;
        for offset in &offsets {
            table.row(vec![
                name.clone(),
                offset.partition.to_string(),
                offset.offset.to_string(),
            ]);
        }
        results.push(json!({ "name": name, "offsets": offsets }));
    }
    let printed = match (args.change.select.single(), &results[..]) {
        (Some(_), [one]) => output.value(one)?,
        _ => output.value(&json!({ "connectors": results }))?,
    };
    if printed { Ok(()) } else { table.print(output) }
}

async fn set(args: &Set) -> Result<(), Failure> {
    let offsets = match (&args.file, &args.partition, &args.topic) {
        (Some(file), ..) => {
            let from = files::shown(file);
            let value: Value =
                serde_json::from_slice(&files::bytes(file)?).map_err(|error| files::wrong(&from, error))?;
            let list = value.get("offsets").unwrap_or(&value);
            let offsets: Vec<Offset> = serde::Deserialize::deserialize(list).map_err(|error| {
                files::wrong(
                    &from,
                    format!("a list of {{\"partition\":…,\"offset\":…}} is wanted: {error}"),
                )
            })?;
            offsets
        }
        (None, Some(partition), _) => vec![Offset {
            partition: partition.clone(),
            offset: args.offset.clone().unwrap_or_default(),
        }],
        (None, None, topic) => vec![Offset {
            partition: json!({ "kafka_topic": topic, "kafka_partition": args.kafka_partition }),
            offset: json!({ "kafka_offset": args.kafka_offset }),
        }],
    };
    let cluster = args.args.open().await?;
    let mut report = Report::new(&*cluster, args.args.output, "connector", 1);
    match cluster.set_offsets(&args.name, &offsets).await {
        Ok(said) => report.done(
            &args.name,
            "set",
            &format!("is set: {said}"),
            json!({ "message": said }),
        )?,
        Err(error) => report.failed(&args.name, "set the offsets of", None, &error),
    }
    report.finish()
}

async fn reset(args: &Of) -> Result<(), Failure> {
    let cluster = args.args.open().await?;
    let names = args.change.find(&*cluster, "reset the offsets of", true).await?;
    let mut report = Report::new(&*cluster, args.args.output, "connector", names.len());
    for name in names {
        report.begin(&name);
        match cluster.reset_offsets(&name).await {
            Ok(said) => report.done(&name, "reset", &format!("is reset: {said}"), json!({ "message": said }))?,
            Err(error) => report.failed(&name, "reset the offsets of", None, &error),
        }
    }
    report.finish()
}
