//! The stages of a record for people: after each, what has changed.

use dray_agent::stages::{Outcome, Shown, Snapshot};
use serde_json::Value;
use std::io::{self, Write};

/// Whether some stage failed.
pub(crate) fn failed(seen: &[Snapshot]) -> bool {
    seen.iter().any(|snapshot| snapshot.outcome == Outcome::Failed)
}

pub(crate) fn write_text(out: &mut dyn Write, number: u64, seen: &[Snapshot]) -> io::Result<()> {
    let place = seen.first().and_then(place);
    match &place {
        Some(place) => writeln!(out, "record {number}: {place}")?,
        None => writeln!(out, "record {number}")?,
    }
    let mut before: Option<&Snapshot> = None;
    for snapshot in seen {
        let class = snapshot.class.as_deref();
        let class = class.map(|class| class.rsplit('.').next().unwrap_or(class));
        let class = class.map(|class| format!(" ({class})")).unwrap_or_default();
        let came = match snapshot.outcome {
            Outcome::Input | Outcome::Applied | Outcome::Output => "",
            Outcome::Skipped => ": skipped by its predicate",
            Outcome::Dropped => ": dropped the record",
            Outcome::Failed => ": FAILED",
        };
        writeln!(out, "  {}{class}{came}", snapshot.stage)?;
        match &snapshot.error {
            Some(error) => {
                // A transform says it by its own name.
                if error.stage != "TRANSFORMATION" {
                    writeln!(out, "    {}", error.stage)?;
                }
                writeln!(out, "    {}: {}", error.class, error.message.replace('\n', "\n    "))?;
            }
            None => match snapshot.outcome {
                Outcome::Input | Outcome::Applied | Outcome::Output => changes(out, before, snapshot, place.is_some())?,
                Outcome::Skipped | Outcome::Dropped | Outcome::Failed => {}
            },
        }
        before = Some(snapshot);
    }
    Ok(())
}

/// Where a record of a topic was read.
fn place(first: &Snapshot) -> Option<String> {
    let (partition, offset) = (first.partition?, first.offset?);
    let timestamp = first.timestamp.map(|timestamp| format!(", timestamp {timestamp}"));
    Some(format!(
        "{}-{partition} at offset {offset}{}",
        first.topic,
        timestamp.unwrap_or_default()
    ))
}

/// The parts of a record that are not as they were; all of them where there is no before, but for those that its first line `says`.
fn changes(out: &mut dyn Write, before: Option<&Snapshot>, now: &Snapshot, says: bool) -> io::Result<()> {
    let mut changed = false;
    if let Some(source) = &now.source {
        writeln!(out, "    source    {} at {}", source.partition, source.offset)?;
        changed = true;
    }
    let number = |number: Option<i64>| number.map_or("null".to_owned(), |number| number.to_string());
    let plain = |snapshot: &Snapshot| {
        [
            ("topic", snapshot.topic.clone()),
            ("partition", number(snapshot.partition.map(i64::from))),
            ("timestamp", number(snapshot.timestamp)),
        ]
    };
    let last = before.or(says.then_some(now)).map(plain);
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
        let is_nothing = |shown: &Shown| shown.value.is_null() && shown.schema.is_null();
        let absent = last.is_none_or(is_nothing) && is_nothing(shown) && what == "key";
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
            writeln!(out, "    header    {name}: {}  [{}]", text(shown), kind(shown))?;
        }
        changed = true;
    }
    if !changed && now.outcome == Outcome::Output {
        writeln!(out, "    as above")?;
    } else if !changed {
        writeln!(out, "    nothing changed")?;
    }
    Ok(())
}

/// A key or value; its schema where that is new.
fn line(out: &mut dyn Write, what: &str, shown: &Shown, last: Option<&Shown>) -> io::Result<()> {
    writeln!(out, "    {what:<9} {}", text(shown))?;
    if shown.stored.is_some() {
        writeln!(out, "    {:<9} {}", "  stored", kind(shown))?;
    } else if last.is_none_or(|last| last.schema_text != shown.schema_text || last.stored.is_some()) {
        writeln!(out, "    {:<9} {}", "  schema", shown.schema_text)?;
    }
    Ok(())
}

/// Bytes that are a text are shown as they are; without what would do something to a terminal.
fn text(shown: &Shown) -> String {
    match (&shown.stored, &shown.value) {
        (Some(_), Value::String(text)) if !text.chars().any(char::is_control) => text.clone(),
        (Some(_) | None, value) => value.to_string(),
    }
}

fn kind(shown: &Shown) -> String {
    let Some(stored) = &shown.stored else {
        return shown.schema_text.clone();
    };
    let bytes = match stored.bytes {
        1 => "1 byte".to_owned(),
        bytes => format!("{bytes} bytes"),
    };
    match stored.encoding.as_str() {
        "utf-8" => bytes,
        encoding => format!("{bytes}, in {encoding}"),
    }
}
