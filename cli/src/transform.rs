//! `dray transform test`: a connector's transforms on records from a file, each stage shown, nothing sent anywhere.

use crate::Failure;
use anyhow::Context as _;
use dray_agent::files;
use dray_agent::transform_test::{Outcome, Shown, Snapshot, Tester};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::PathBuf;

/// What there is under `dray transform`.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Run the transforms of a connector file on records, and show what each stage makes of them
    ///
    /// Each line of RECORDS is a JSON object with `value` and, where wanted, `key`, `topic`, `partition`, `offset` (as of a
    /// sink's record), `timestamp` (milliseconds) and `headers` (an object). A key or value is plain JSON, without a schema, or
    /// {"schema":…,"payload":…} as JsonConverter writes it. Exit code 1: a stage failed; 2: the files are wrong.
    Test(TestArgs),
}

/// Arguments of `dray transform test`.
#[derive(clap::Args)]
pub(crate) struct TestArgs {
    /// Connector file, or the part of one with its transforms and predicates: Java properties, or JSON
    config: PathBuf,
    /// Records, a JSON object a line; - reads stdin
    records: PathBuf,
    /// How to show what comes out
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// For people: after each stage, what has changed
    Text,
    /// For programs: a JSON object a record, with every stage in full
    Json,
}

/// Shows every record; those after one that fails as well.
pub(crate) fn test(args: &TestArgs) -> Result<(), Failure> {
    let config = files::settings(&args.config).map_err(|error| Failure::Usage(error.to_string()))?;
    let mut tester =
        Tester::new(&config).map_err(|error| Failure::Usage(format!("{}: {error}", args.config.display())))?;
    let (name, lines): (String, Box<dyn BufRead>) = if args.records.as_os_str() == "-" {
        ("stdin".to_owned(), Box::new(io::stdin().lock()))
    } else {
        let name = args.records.display().to_string();
        let file =
            File::open(&args.records).map_err(|error| Failure::Usage(format!("{name}: cannot be read: {error}")))?;
        (name, Box::new(BufReader::new(file)))
    };
    let mut out = io::stdout().lock();
    let (mut records, mut failed) = (0_u64, 0_u64);
    for (number, line) in (1..).zip(lines.lines()) {
        let line = line.map_err(|error| Failure::Usage(format!("{name}:{number}: cannot be read: {error}")))?;
        if line.trim().is_empty() {
            continue;
        }
        let seen = tester
            .run(&line)
            .map_err(|problem| Failure::Usage(format!("{name}:{number}: {problem}")))?;
        records += 1;
        failed += u64::from(seen.iter().any(|snapshot| snapshot.outcome == Outcome::Failed));
        let written = match args.output {
            Output::Text => write_text(&mut out, records, &seen),
            Output::Json => writeln!(out, "{}", serde_json::json!({ "record": records, "stages": seen })),
        };
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()), // who reads has seen enough
            written => written.context("stdout")?,
        }
    }
    if failed > 0 {
        return Err(Failure::Failed(anyhow::anyhow!("{failed} of {records} records failed")));
    }
    Ok(())
}

fn write_text(out: &mut dyn Write, number: u64, seen: &[Snapshot]) -> io::Result<()> {
    writeln!(out, "record {number}")?;
    let mut before: Option<&Snapshot> = None;
    for snapshot in seen {
        let class = snapshot
            .class
            .as_deref()
            .map_or("", |class| class.rsplit('.').next().unwrap_or(class));
        match snapshot.outcome {
            Outcome::Input => writeln!(out, "  input")?,
            Outcome::Applied => writeln!(out, "  {} ({class})", snapshot.stage)?,
            Outcome::Skipped => writeln!(out, "  {} ({class}): skipped by its predicate", snapshot.stage)?,
            Outcome::Dropped => writeln!(out, "  {} ({class}): dropped the record", snapshot.stage)?,
            Outcome::Failed => writeln!(out, "  {} ({class}): FAILED", snapshot.stage)?,
        }
        match &snapshot.error {
            Some(error) => writeln!(out, "    {}: {}", error.class, error.message.replace('\n', "\n    "))?,
            None if matches!(snapshot.outcome, Outcome::Input | Outcome::Applied) => changes(out, before, snapshot)?,
            None => {}
        }
        before = Some(snapshot);
    }
    Ok(())
}

/// The parts of a record that are not as they were; all of them where there is no before.
fn changes(out: &mut dyn Write, before: Option<&Snapshot>, now: &Snapshot) -> io::Result<()> {
    let mut changed = false;
    let number = |number: Option<i64>| number.map_or("null".to_owned(), |number| number.to_string());
    let plain = |snapshot: &Snapshot| {
        [
            ("topic", snapshot.topic.clone()),
            ("partition", number(snapshot.partition.map(i64::from))),
            ("timestamp", number(snapshot.timestamp)),
        ]
    };
    let last = before.map(plain);
    for (place, (what, text)) in plain(now).into_iter().enumerate() {
        // A null that was never anything else is not worth a line.
        if last.as_ref().map_or(text != "null", |last| last[place].1 != text) {
            writeln!(out, "    {what:<9} {text}")?;
            changed = true;
        }
    }
    let sides = [
        ("key", &now.key, before.map(|before| &before.key)),
        ("value", &now.value, before.map(|before| &before.value)),
    ];
    for (what, shown, last) in sides {
        // As above: a key that never was there.
        let absent = last.is_none() && shown.value.is_null() && shown.schema.is_null() && what == "key";
        if last != Some(shown) && !absent {
            line(out, what, shown, last)?;
            changed = true;
        }
    }
    if before.map_or(!now.headers.is_empty(), |before| before.headers != now.headers) {
        if now.headers.is_empty() {
            writeln!(out, "    headers   none")?;
        }
        for (name, shown) in &now.headers {
            writeln!(out, "    header    {name}: {}  [{}]", shown.value, shown.schema_text)?;
        }
        changed = true;
    }
    if !changed {
        writeln!(out, "    nothing changed")?;
    }
    Ok(())
}

/// A key or value; its schema where that is new.
fn line(out: &mut dyn Write, what: &str, shown: &Shown, last: Option<&Shown>) -> io::Result<()> {
    writeln!(out, "    {what:<9} {}", shown.value)?;
    if last.is_none_or(|last| last.schema_text != shown.schema_text) {
        writeln!(out, "    {:<9} {}", "  schema", shown.schema_text)?;
    }
    Ok(())
}
