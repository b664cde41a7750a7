//! `dray transform test`: a connector's transforms on records from a file, each stage shown, nothing sent anywhere.

use crate::Failure;
use crate::stages::{self, write_text};
use anyhow::Context as _;
use dray_agent::files;
use dray_agent::transform_test::Tester;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write as _};
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
        failed += u64::from(stages::failed(&seen));
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
