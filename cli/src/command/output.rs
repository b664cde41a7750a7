//! Data on stdout: tables for people, JSON, YAML and names for programs. Everything else goes to stderr.

use crate::Failure;
use crate::cluster::{Cluster, Error};
use anyhow::Context as _;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::fd::AsFd as _;
use tokio::io::Interest;
use tokio::net::unix::pipe::Sender;

/// For whom the output is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Output {
    /// For people
    #[value(alias = "text")]
    Table,
    /// For people, with more columns
    Wide,
    /// One JSON object
    Json,
    /// One YAML document
    Yaml,
    /// Names only, one a line
    Name,
}

impl Output {
    /// Prints a value, if that is what programs want; says whether it was.
    pub(super) fn value(self, value: &impl Serialize) -> Result<bool, Failure> {
        match self {
            Self::Json => {
                let text = serde_json::to_string_pretty(value).context("a value as JSON")?;
                line(&text)?;
            }
            Self::Yaml => {
                // By way of JSON, so that both have the same numbers and keys.
                let value = serde_json::to_value(value).context("a value as JSON")?;
                line(yaml(&value)?.trim_end())?;
            }
            Self::Table | Self::Wide | Self::Name => return Ok(false),
        }
        Ok(true)
    }
}

/// A value as YAML.
pub(super) fn yaml(value: &Value) -> Result<String, Failure> {
    Ok(serde_saphyr::to_string(&Plain(value)).context("a value as YAML")?)
}

/// A value whose numbers are numbers to any format: of those that keep every digit serde_json makes a map that only it understands.
struct Plain<'a>(&'a Value);

impl Serialize for Plain<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::String(text) => serializer.serialize_str(text),
            Value::Array(values) => serializer.collect_seq(values.iter().map(Plain)),
            Value::Object(fields) => serializer.collect_map(fields.iter().map(|(name, value)| (name, Plain(value)))),
            Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
                (Some(number), ..) => serializer.serialize_i64(number),
                (None, Some(number), _) => serializer.serialize_u64(number),
                (None, None, Some(number)) => serializer.serialize_f64(number),
                (None, None, None) => serializer.serialize_str(&number.to_string()),
            },
        }
    }
}

/// Prints one line.
pub(super) fn line(text: &str) -> Result<(), Failure> {
    match writeln!(io::stdout(), "{text}").and_then(|()| io::stdout().flush()) {
        // Who reads has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written.context("stdout")?),
    }
}

/// Waits until nobody reads stdout any more, as behind `| head`. Cancel-safe. Of a file or a terminal that is never.
pub(super) async fn reader_gone() {
    // Not made non-blocking: it is never written to by way of this.
    let stdout = io::stdout().as_fd().try_clone_to_owned();
    match stdout.and_then(Sender::from_owned_fd_unchecked) {
        Ok(stdout) => drop(stdout.ready(Interest::ERROR).await),
        Err(_) => std::future::pending().await,
    }
}

/// Rows in columns; the last columns are for `-o wide` only.
pub(super) struct Table {
    head: Vec<&'static str>,
    narrow: usize,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// The columns, and those that come with `-o wide`.
    pub(super) fn new(narrow: &[&'static str], wide: &[&'static str]) -> Self {
        Self {
            head: [narrow, wide].concat(),
            narrow: narrow.len(),
            rows: Vec::new(),
        }
    }

    /// Adds a row with a cell for every column.
    pub(super) fn row(&mut self, cells: Vec<String>) {
        debug_assert_eq!(cells.len(), self.head.len(), "a cell for every column");
        self.rows.push(cells);
    }

    /// Prints it, or with `-o name` the first column alone.
    pub(super) fn print(&self, output: Output) -> Result<(), Failure> {
        if output == Output::Name {
            return self.rows.iter().try_for_each(|row| line(&row[0]));
        }
        let columns = if output == Output::Wide {
            self.head.len()
        } else {
            self.narrow
        };
        self.text(columns, colours()).iter().try_for_each(|row| line(row))
    }

    /// Its lines, the head first.
    fn text(&self, columns: usize, colours: bool) -> Vec<String> {
        let width = |column: usize| {
            let cells = self.rows.iter().map(|row| row[column].chars().count());
            cells.chain([self.head[column].len()]).max().unwrap_or_default()
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let text = |cells: &mut dyn Iterator<Item = &str>| {
            let mut text = String::new();
            for ((cell, width), head) in cells.zip(&widths).zip(&self.head) {
                let colour = colour(head, cell).filter(|_| colours);
                let shown = colour.map_or_else(|| cell.to_owned(), |colour| format!("\x1b[{colour}m{cell}\x1b[0m"));
                text += &shown;
                text += &" ".repeat(width - cell.chars().count() + 2);
            }
            text.truncate(text.trim_end().len());
            text
        };
        let head = text(&mut self.head.iter().copied());
        let rows = self.rows.iter().map(|row| text(&mut row.iter().map(String::as_str)));
        std::iter::once(head).chain(rows).collect()
    }
}

/// Whether states are coloured: on a terminal, unless the user says otherwise (`NO_COLOR`, no-color.org).
fn colours() -> bool {
    let unset = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    unset && std::env::var_os("TERM").is_some_and(|terminal| terminal != "dumb") && io::stdout().is_terminal()
}

/// Green for what runs, red for what has failed, yellow for what is on its way or was stopped.
fn colour(head: &str, state: &str) -> Option<u8> {
    if !["STATE", "LINK"].contains(&head) {
        return None;
    }
    match state {
        "RUNNING" | "CONNECTED" => Some(32),
        "FAILED" | "SILENT" => Some(31),
        "UNASSIGNED" | "PAUSED" | "STOPPED" | "RESTARTING" | "RETURNING" => Some(33),
        _ => None,
    }
}

/// What is empty is shown as a dash, so that columns stay columns.
pub(super) fn or_dash(text: impl ToString) -> String {
    let text = text.to_string();
    if text.is_empty() || text == "0" {
        "-".into()
    } else {
        text
    }
}

/// Says on stderr when what is seen is old: what is on stdout stays data.
pub(super) fn warn_if_stale(stale_s: Option<i64>) {
    if let Some(age) = stale_s {
        eprintln!("dray: no leader is heard of: statuses are as of {age} s ago");
    }
}

/// What came of a change of several things: each is said as soon as it is done, and one that fails keeps none of the others.
pub(super) struct Report<'a> {
    cluster: &'a dyn Cluster,
    output: Output,
    what: &'static str,
    results: Vec<Value>,
    failures: usize,
    total: usize,
}

impl<'a> Report<'a> {
    /// Of `total` things, each a `what`.
    pub(super) fn new(cluster: &'a dyn Cluster, output: Output, what: &'static str, total: usize) -> Self {
        Self {
            cluster,
            output,
            what,
            results: Vec::new(),
            failures: 0,
            total,
        }
    }

    /// Shows on a terminal which one it is about now.
    pub(super) fn begin(&self, name: &str) {
        if self.total > 1 && io::stderr().is_terminal() && !io::stdout().is_terminal() {
            let done = self.results.len() + self.failures;
            // Over the line before; cleared at the end.
            eprint!("\r\x1b[K{done}/{} {} {name}", self.total, self.what);
        }
    }

    /// One is done: `word` for programs, `sentence` for people.
    pub(super) fn done(&mut self, name: &str, word: &str, sentence: &str, more: Value) -> Result<(), Failure> {
        match self.output {
            Output::Table | Output::Wide => line(&format!("{} {name} {sentence}", self.what))?,
            Output::Name => line(name)?,
            Output::Json | Output::Yaml => {}
        }
        let mut result = json!({ "name": name, "result": word });
        if let (Some(result), Value::Object(more)) = (result.as_object_mut(), more) {
            result.extend(more);
        }
        self.results.push(result);
        Ok(())
    }

    /// One failed; `from` is the file that it was for, if it was.
    pub(super) fn failed(&mut self, name: &str, verb: &str, from: Option<&str>, error: &Error) {
        self.failures += 1;
        let from = from.map(|from| format!(" from {from}")).unwrap_or_default();
        let doing = format!("{verb} {} `{name}`{from}", self.what);
        eprintln!("dray: {}", text(&doing, Some(self.cluster), error));
        let result = json!({ "name": name, "result": "failed", "error": error.said });
        self.results.push(result);
    }

    /// Prints what programs want; fails when one has.
    pub(super) fn finish(self) -> Result<(), Failure> {
        if self.total > 1 && io::stderr().is_terminal() && !io::stdout().is_terminal() {
            eprint!("\r\x1b[K");
        }
        self.output.value(&json!({ "results": self.results }))?;
        if self.failures > 0 { Err(Failure::Shown) } else { Ok(()) }
    }
}

/// What could not be done, where, why, and what to do next.
pub(super) fn text(doing: &str, cluster: Option<&dyn Cluster>, error: &Error) -> String {
    let at = cluster
        .map(|cluster| format!(" at {}", cluster.at()))
        .unwrap_or_default();
    let hint = error.hint().map(|hint| format!("\n  {hint}")).unwrap_or_default();
    format!("cannot {doing}{at}: {}{hint}", error.said)
}

impl Failure {
    /// A cluster did not do it.
    pub(crate) fn of(doing: &str, cluster: Option<&dyn Cluster>, error: &Error) -> Self {
        Self::Failed(anyhow::anyhow!("{}", text(doing, cluster, error)))
    }
}

/// What a command was doing when a cluster did not do it.
pub(super) trait Doing<T> {
    fn doing(self, cluster: &dyn Cluster, doing: impl Display) -> Result<T, Failure>;
}

impl<T> Doing<T> for Result<T, Error> {
    fn doing(self, cluster: &dyn Cluster, doing: impl Display) -> Result<T, Failure> {
        self.map_err(|error| Failure::of(&doing.to_string(), Some(cluster), &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_numbers_in_yaml() {
        let value = json!({ "a": 1, "b": [-2.5, u64::MAX, null, true], "c": { "d": "3" } });
        let text = yaml(&value).map_err(|_| ()).unwrap();
        assert!(
            text.contains("a: 1\n") && text.contains("18446744073709551615"),
            "{text}"
        );
        assert_eq!(
            serde_saphyr::from_str::<Value>(&text).unwrap().to_string(),
            value.to_string()
        );
    }

    #[test]
    fn colours_change_no_width() {
        let mut table = Table::new(&["NAME", "STATE", "WORKER"], &[]);
        for (name, state) in [("RUNNING", "FAILED"), ("b", "RUNNING"), ("c", "?")] {
            table.row(vec![name.into(), state.into(), "w".into()]);
        }
        let plain = table.text(3, false);
        let coloured = table.text(3, true);
        assert_eq!(coloured[1], "RUNNING  \x1b[31mFAILED\x1b[0m   w", "names are no states");
        assert_eq!((&coloured[0], &coloured[3]), (&plain[0], &plain[3]));
        let bare = coloured
            .join("\n")
            .replace("\x1b[31m", "")
            .replace("\x1b[32m", "")
            .replace("\x1b[0m", "");
        assert_eq!(bare, plain.join("\n"));
    }
}
