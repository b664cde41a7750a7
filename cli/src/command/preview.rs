//! `dray connector preview`: what would become of a connector's records.

use super::files::{self, Files};
use super::output::{self, Doing as _, Output};
use crate::Failure;
use crate::cluster::{Ask, Cluster, Preview};
use crate::stages::{self, write_text};
use anyhow::{Context as _, anyhow};
use dray_agent::lines::Lines;
use dray_agent::stages::Snapshot;
use dray_connect::ConfigMap;
use dray_runtime::preview::MOST_RECORDS;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Arguments of `dray connector preview`.
#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("start").args(["from_beginning", "offset", "input"]))]
pub(crate) struct PreviewArgs {
    /// File with the connector: Java properties, JSON or YAML; `-` is stdin. Without one --name says which connector of the cluster
    #[arg(value_name = "FILE", required_unless_present = "name")]
    file: Option<PathBuf>,
    /// The connector's name, where its file has none; without a file that of a connector of the cluster
    #[arg(short, long, add = crate::completion::connectors())]
    name: Option<String>,
    /// How many real records at most: 1 to 100
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100))]
    records: u32,
    /// Of a sink the oldest records of its topics instead of the newest
    #[arg(long)]
    from_beginning: bool,
    /// Of a sink the records from this offset on; several partitions may be given, and no other is read
    #[arg(long, value_name = "TOPIC-PARTITION:OFFSET", value_parser = place)]
    offset: Vec<(String, i32, i64)>,
    /// Records from a file instead of real ones, a JSON object a line as for `dray transform test`; - reads stdin
    #[arg(long, value_name = "RECORDS", conflicts_with_all = ["records", "wait"])]
    input: Option<PathBuf>,
    /// How many seconds real records are waited for: up to 60
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(0..=60))]
    wait: u64,
    #[command(flatten)]
    args: super::Args,
}

fn place(text: &str) -> Result<(String, i32, i64), String> {
    let wanted = || "TOPIC-PARTITION:OFFSET is wanted, as orders-0:41".to_owned();
    let (partition, offset) = text.rsplit_once(':').ok_or_else(wanted)?;
    let (topic, partition) = partition.rsplit_once('-').ok_or_else(wanted)?;
    let (partition, offset) = (partition.parse::<i32>(), offset.parse::<i64>());
    match (partition, offset) {
        (Ok(partition), Ok(offset)) if partition >= 0 && offset >= 0 && !topic.is_empty() => {
            Ok((topic.to_owned(), partition, offset))
        }
        (Ok(_) | Err(_), _) => Err(wanted()),
    }
}

/// A record of the answer.
#[derive(Deserialize)]
struct Record {
    record: u64,
    stages: Vec<Snapshot>,
}

pub(super) async fn run(args: &PreviewArgs) -> Result<(), Failure> {
    if args.args.output == Output::Name {
        return Err(Failure::Usage("records have no names: -o text, json or yaml".into()));
    }
    if args.input.as_deref() == Some(Path::new("-")) && args.file.as_deref() == Some(Path::new("-")) {
        return Err(Failure::Usage(
            "the connector and its records cannot both come from stdin".into(),
        ));
    }
    let mut ask = Ask {
        lines: args.input.as_deref().map(lines).transpose()?.unwrap_or_default(),
        records: args.records,
        from_beginning: args.from_beginning,
        offsets: args.offset.clone(),
        wait: Some(Duration::from_secs(args.wait)),
        ..Ask::default()
    };
    let declared = match &args.file {
        Some(file) => Some(Files::one(file, args.name.as_deref()).read()?),
        None => None,
    };
    let cluster = args.args.open().await?;
    (ask.name, ask.config) = match (declared, &args.name) {
        (Some(mut declared), _) => match (declared.pop(), declared.len()) {
            (Some(one), 0) => (one.new.name, one.new.config),
            (_, more) => {
                let all = more + 1;
                return Err(Failure::Usage(format!(
                    "one connector is wanted, and the file has {all}"
                )));
            }
        },
        (None, name) => {
            let name = name.clone().unwrap_or_default();
            let connector = cluster.connector(&name).await;
            let connector = connector.doing(&*cluster, format_args!("read connector `{name}`"))?;
            (name, connector.config)
        }
    };
    let seen = cluster.preview(&ask).await;
    let seen = seen.doing(&*cluster, format_args!("preview connector `{}`", ask.name))?;
    show(&*cluster, args.args.output, &seen)
}

/// The records of a file.
fn lines(path: &Path) -> Result<Vec<String>, Failure> {
    let from = files::shown(path);
    let bytes = files::bytes(path)?;
    let text = String::from_utf8(bytes).map_err(|error| files::wrong(&from, format!("it is not UTF-8: {error}")))?;
    // The agent reads them again, with the topics of the connector.
    let mut reads = Lines::new(&ConfigMap::new()).context("records")?;
    let mut lines = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim().is_empty() {
            continue;
        }
        let read = reads.read(line);
        read.map_err(|problem| files::wrong(&format!("{from}:{number}"), problem))?;
        lines.push(line.to_owned());
    }
    match lines.len() {
        0 => Err(files::wrong(&from, "there are no records in it")),
        1..=MOST_RECORDS => Ok(lines),
        more => Err(files::wrong(
            &from,
            format!("it has {more} records, and {MOST_RECORDS} are the most"),
        )),
    }
}

fn show(cluster: &dyn Cluster, output: Output, seen: &Preview) -> Result<(), Failure> {
    let records: Vec<Record> = (seen.records.iter().map(Record::deserialize))
        .collect::<Result<_, _>>()
        .with_context(|| {
            format!(
                "the answer of {} is not understood: is it of another version?",
                cluster.at()
            )
        })?;
    if !output.value(seen)? {
        let mut text = Vec::new();
        for record in &records {
            write_text(&mut text, record.record, &record.stages).context("text")?;
        }
        let text = String::from_utf8_lossy(&text);
        if !text.is_empty() {
            output::line(text.trim_end())?;
        }
        if !seen.note.is_empty() {
            eprintln!("dray: {}", seen.note);
        }
    }
    let failed = records.iter().filter(|record| stages::failed(&record.stages)).count();
    match failed {
        0 => Ok(()),
        failed => Err(Failure::Failed(anyhow!("{failed} of {} records failed", records.len()))),
    }
}

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn an_offset_has_a_topic_and_a_partition() {
        assert_eq!(place("my-topic:x-3:41"), Ok(("my-topic:x".into(), 3, 41)));
        for wrong in ["", "t-0", "t:5", "-0:5", "t-x:5", "t-0:-1", "t-0:"] {
            assert!(place(wrong).is_err(), "{wrong}");
        }
    }
}
