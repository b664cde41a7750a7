//! `dray dlq`: dead letters of connectors, seen, sent again and dropped.

use super::output::{Doing as _, Output, Table, line, or_dash};
use super::{Args, confirm};
use crate::Failure;
use crate::cluster::{Cluster, Letter, LetterPlace, Letters, Replay};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

/// The keys that name a queue: a sink's, as in Kafka Connect, and a source's.
const QUEUES: [&str; 2] = [
    "errors.deadletterqueue.topic.name",
    "dray.errors.deadletterqueue.topic.name",
];
/// Letters that one call replays.
const AT_ONCE: u32 = 500;
/// What the headers of letters begin with that say why they are letters.
const REASONS: [&str; 2] = ["__connect.errors.", "__dray.errors."];

/// What there is under `dray dlq`.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// List the connectors that have a dead letter queue, and what is in it
    #[command(visible_alias = "ls")]
    List(Args),
    /// Show letters: the newest ones, or those from an offset on
    Show(Show),
    /// Send letters through the pipeline again; asks first
    ///
    /// A sink's go back to the topic that they come from, where everybody who reads it sees them again; a source's go through its converters
    /// and transforms as they are now. They stay in the queue until they are dropped.
    Replay(ReplayArgs),
    /// Drop letters, up to an offset or all; asks first
    Drop(DropArgs),
}

/// `dray dlq show`.
#[derive(clap::Args)]
pub(crate) struct Show {
    /// Name of the connector
    #[arg(value_name = "NAME", add = crate::completion::connectors())]
    name: String,
    /// From this offset of the queue on
    #[arg(long, value_name = "N")]
    offset: Option<u64>,
    /// The queue's partition; Connect and Dray create queues with one
    #[arg(long, value_name = "N", default_value_t = 0, requires = "offset")]
    partition: u32,
    /// How many at most
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    count: u32,
    #[command(flatten)]
    args: Args,
}

/// `dray dlq replay`.
#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("which").args(["offset", "all"]).required(true))]
pub(crate) struct ReplayArgs {
    /// Name of the connector
    #[arg(value_name = "NAME", add = crate::completion::connectors())]
    name: String,
    /// From this offset of the queue on
    #[arg(long, value_name = "N")]
    offset: Option<u64>,
    /// The queue's partition
    #[arg(long, value_name = "N", default_value_t = 0, requires = "offset")]
    partition: u32,
    /// How many of them
    #[arg(short = 'n', long, value_name = "N", default_value_t = 1, requires = "offset", value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// All that are in the queue now
    #[arg(long)]
    all: bool,
    /// To this topic instead of the one that they say
    #[arg(long, value_name = "TOPIC")]
    to: Option<String>,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    args: Args,
}

/// `dray dlq drop`.
#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("which").args(["before", "all"]).required(true))]
pub(crate) struct DropArgs {
    /// Name of the connector
    #[arg(value_name = "NAME", add = crate::completion::connectors())]
    name: String,
    /// All before this offset of the queue: Kafka can drop no others
    #[arg(long, value_name = "N")]
    before: Option<u64>,
    /// The queue's partition
    #[arg(long, value_name = "N", default_value_t = 0, requires = "before")]
    partition: u32,
    /// All that are in the queue now
    #[arg(long)]
    all: bool,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    args: Args,
}

pub(crate) async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::List(args) => list(&args).await,
        Command::Show(args) => show(&args).await,
        Command::Replay(args) => replay(&args).await,
        Command::Drop(args) => discard(&args).await,
    }
}

async fn list(args: &Args) -> Result<(), Failure> {
    let cluster = args.open().await?;
    let connectors = cluster.connectors().await.doing(&*cluster, "list the connectors")?;
    let columns = ["CONNECTOR", "TOPIC", "LETTERS", "NEWEST AT STAGE", "BECAUSE"];
    let (mut table, mut results) = (Table::new(&columns[..4], &columns[4..]), Vec::new());
    for connector in &connectors {
        let topics = QUEUES.iter().filter_map(|key| connector.config.get(*key));
        if topics.filter(|topic| !topic.trim().is_empty()).count() == 0 {
            continue;
        }
        let name = &connector.name;
        let found = cluster.letters(name, 1, None).await;
        let found = found.doing(&*cluster, format_args!("read the dead letters of connector `{name}`"))?;
        let newest = found.letters.last();
        let says = |header: &str| newest.and_then(|letter| text_of(letter, header)).unwrap_or_default();
        let because = says("__connect.errors.exception.message");
        table.row(vec![
            name.clone(),
            found.topic.clone(),
            found.count().to_string(),
            or_dash(says("__connect.errors.stage")),
            or_dash(because.lines().next().unwrap_or_default()),
        ]);
        results.push(json!({
            "name": name,
            "topic": found.topic,
            "letters": found.count(),
            "partitions": found.bounds,
            "newest": newest.map(shown),
        }));
    }
    if args.output.value(&json!({ "queues": results }))? {
        return Ok(());
    }
    table.print(args.output)
}

async fn show(args: &Show) -> Result<(), Failure> {
    let cluster = args.args.open().await?;
    let from = args.offset.map(|offset| place(args.partition, offset));
    let found = letters(&*cluster, &args.name, args.count, from).await?;
    let output = args.args.output;
    let all: Vec<Value> = found.letters.iter().map(shown).collect();
    if output.value(&json!({ "topic": found.topic, "partitions": found.bounds, "letters": all }))? {
        return Ok(());
    }
    for letter in &found.letters {
        if output == Output::Name {
            line(&format!(
                "{}-{}@{}",
                found.topic, letter.place.partition, letter.place.offset
            ))?;
        } else {
            print(&found.topic, letter)?;
        }
    }
    if found.letters.is_empty() && output != Output::Name {
        line(&format!("no letters in {}", found.topic))?;
    }
    Ok(())
}

async fn replay(args: &ReplayArgs) -> Result<(), Failure> {
    let cluster = args.args.open().await?;
    let now = letters(&*cluster, &args.name, 0, None).await?;
    // What comes meanwhile is none of this: a letter that fails again must not go round for ever.
    let wanted: Vec<(LetterPlace, i64)> = if let Some(offset) = args.offset {
        let from = place(args.partition, offset);
        let Some(bound) = now.bounds.iter().find(|bound| bound.partition == from.partition) else {
            return Err(Failure::Usage(format!(
                "{} has no partition {}",
                now.topic, args.partition
            )));
        };
        vec![(from, bound.end.min(from.offset.saturating_add(args.count.into())))]
    } else {
        let whole = now.bounds.iter().map(|bound| {
            let from = LetterPlace {
                partition: bound.partition,
                offset: bound.first,
            };
            (from, bound.end)
        });
        whole.collect()
    };
    let total: i64 = wanted.iter().map(|(from, end)| (end - from.offset).max(0)).sum();
    let to = args.to.as_deref().map_or(String::new(), |to| format!(" to {to}"));
    let question = format!(
        "Send up to {total} letters of `{}` ({}) again{to}?",
        args.name, now.topic
    );
    confirm(&question, args.yes || total == 0)?;
    let (mut replayed, mut refused) = (0, Vec::new());
    for (from, end) in wanted {
        let mut at = from;
        while at.offset < end {
            let count = u32::try_from(end - at.offset).unwrap_or(AT_ONCE).min(AT_ONCE);
            let asked = Replay {
                from: at,
                count,
                to: args.to.clone(),
            };
            let done = cluster.replay_letters(&args.name, &asked).await;
            let done = done.doing(
                &*cluster,
                format_args!("replay letters of `{}` from {} on", args.name, at.offset),
            )?;
            replayed += done.replayed;
            for (offset, reason) in done.refused {
                refused.push(json!({ "partition": at.partition, "offset": offset, "reason": reason }));
            }
            // It says where to go on, which is further on each time.
            at.offset = done.next.max(at.offset + 1);
        }
    }
    let result = json!({ "name": args.name, "topic": now.topic, "replayed": replayed, "refused": refused });
    if !args.args.output.value(&result)? {
        line(&format!("connector {}: {replayed} sent again", args.name))?;
        for letter in &refused {
            let (offset, reason) = (&letter["offset"], letter["reason"].as_str().unwrap_or_default());
            eprintln!("dray: letter {}@{offset} is not: {reason}", letter["partition"]);
        }
    }
    if refused.is_empty() {
        Ok(())
    } else {
        Err(Failure::Shown)
    }
}

async fn discard(args: &DropArgs) -> Result<(), Failure> {
    let cluster = args.args.open().await?;
    let now = letters(&*cluster, &args.name, 0, None).await?;
    let before: Vec<LetterPlace> = if let Some(offset) = args.before {
        vec![place(args.partition, offset)]
    } else {
        let end = |bound: &crate::cluster::LetterBounds| LetterPlace {
            partition: bound.partition,
            offset: bound.end,
        };
        now.bounds.iter().map(end).collect()
    };
    let goes = |place: &LetterPlace| {
        let bound = now.bounds.iter().find(|bound| bound.partition == place.partition);
        bound.map_or(0, |bound| (place.offset.min(bound.end) - bound.first).max(0))
    };
    let total: i64 = before.iter().map(goes).sum();
    let question = format!("Drop {total} letters of `{}` ({}) for good?", args.name, now.topic);
    confirm(&question, args.yes || total == 0)?;
    let left = match before.is_empty() {
        true => 0,
        false => {
            let dropped = cluster.drop_letters(&args.name, &before).await;
            let left = dropped.doing(&*cluster, format_args!("drop letters of `{}`", args.name))?;
            left.iter().map(|bound| bound.end - bound.first).sum::<i64>()
        }
    };
    let result = json!({ "name": args.name, "topic": now.topic, "dropped": total, "left": left });
    if args.args.output.value(&result)? {
        return Ok(());
    }
    line(&format!("connector {}: {total} dropped, {left} left", args.name))
}

async fn letters(cluster: &dyn Cluster, name: &str, count: u32, from: Option<LetterPlace>) -> Result<Letters, Failure> {
    let found = cluster.letters(name, count, from).await;
    found.doing(cluster, format_args!("read the dead letters of connector `{name}`"))
}

fn place(partition: u32, offset: u64) -> LetterPlace {
    LetterPlace {
        partition: i32::try_from(partition).unwrap_or(i32::MAX),
        offset: i64::try_from(offset).unwrap_or(i64::MAX),
    }
}

/// The text of a header; of several the last.
fn text_of<'a>(letter: &'a Letter, name: &str) -> Option<&'a str> {
    let found = letter.headers.iter().rev().find(|(key, _)| key == name)?;
    std::str::from_utf8(found.1.as_deref()?).ok()
}

fn is_reason(name: &str) -> bool {
    REASONS.iter().any(|reason| name.starts_with(reason))
}

/// Bytes as programs read them: a text, or what is none in base64.
fn value(bytes: Option<&[u8]>) -> Value {
    match bytes.map(|bytes| (bytes, std::str::from_utf8(bytes))) {
        None => Value::Null,
        Some((_, Ok(text))) => text.into(),
        Some((bytes, Err(_))) => json!({ "base64": STANDARD.encode(bytes) }),
    }
}

/// Bytes as people read them.
fn readable(bytes: Option<&[u8]>) -> String {
    match bytes.map(|bytes| (bytes, std::str::from_utf8(bytes))) {
        None => "null".to_owned(),
        Some((_, Ok(text))) => text.to_owned(),
        Some((bytes, Err(_))) => format!("base64:{}", STANDARD.encode(bytes)),
    }
}

fn shown(letter: &Letter) -> Value {
    let mut errors = Map::new();
    let mut headers = Vec::new();
    for (name, bytes) in &letter.headers {
        if is_reason(name) {
            errors.insert(name.clone(), value(bytes.as_deref()));
        } else {
            headers.push(json!({ "name": name, "value": value(bytes.as_deref()) }));
        }
    }
    json!({
        "partition": letter.place.partition,
        "offset": letter.place.offset,
        "timestamp": letter.timestamp_ms,
        "key": value(letter.key.as_deref()),
        "value": value(letter.value.as_deref()),
        "headers": headers,
        "errors": errors,
    })
}

/// A letter for people: where it is, why, and what it is.
fn print(topic: &str, letter: &Letter) -> Result<(), Failure> {
    let says = |name: &str| text_of(letter, name).unwrap_or_default();
    let row = |name: &str, text: &str| {
        // What goes on in further lines stands under the first.
        let text = text.replace('\n', "\n             ");
        line(format!("  {name:<10} {text}").trim_end())
    };
    line(&format!("{topic}-{}@{}", letter.place.partition, letter.place.offset))?;
    let from = says("__connect.errors.topic");
    if !from.is_empty() {
        let at: Vec<&str> = ["__connect.errors.partition", "__connect.errors.offset"]
            .into_iter()
            .filter_map(|name| text_of(letter, name))
            .collect();
        row("topic", &[&[from], &at[..]].concat().join(" "))?;
    }
    for (name, header) in [
        ("source", "__dray.errors.source.partition"),
        ("offset", "__dray.errors.source.offset"),
        ("stage", "__connect.errors.stage"),
        ("class", "__connect.errors.class.name"),
        ("error", "__connect.errors.exception.stacktrace"),
        ("generation", "__dray.errors.generation"),
        ("pipeline", "__dray.errors.config.hash"),
    ] {
        if let Some(text) = text_of(letter, header) {
            row(name, text.trim_end())?;
        }
    }
    row("key", &readable(letter.key.as_deref()))?;
    row("value", &readable(letter.value.as_deref()))?;
    for (name, bytes) in letter.headers.iter().filter(|(name, _)| !is_reason(name)) {
        row("header", &format!("{name}: {}", readable(bytes.as_deref())))?;
    }
    Ok(())
}
