//! Tables for people and JSON for programs, on stdout.

use crate::Failure;
use anyhow::Context as _;
use dray_wire::admin::v1;
use serde_json::{Value, json};
use std::io::{self, Write as _};

/// Prints one JSON object.
pub(crate) fn json(value: &Value) -> Result<(), Failure> {
    line(&value.to_string())
}

/// Prints one line.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    match writeln!(io::stdout(), "{text}").and_then(|()| io::stdout().flush()) {
        // Who reads has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written.context("stdout")?),
    }
}

/// Prints rows under a head, in columns.
pub(crate) fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> Result<(), Failure> {
    let mut widths = head.map(|title| title.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let print = |cells: &[&str; N]| {
        let mut text = String::new();
        for (cell, width) in cells.iter().zip(widths) {
            text += &format!("{cell:<width$}  ");
        }
        line(text.trim_end())
    };
    print(&head)?;
    for row in rows {
        print(&row.each_ref().map(String::as_str))?;
    }
    Ok(())
}

/// What is empty is shown as a dash, so that columns stay columns.
pub(crate) fn or_dash(text: impl ToString) -> String {
    let text = text.to_string();
    if text.is_empty() || text == "0" {
        "-".into()
    } else {
        text
    }
}

/// The word of a state, without the enum's name; UNKNOWN for one that this version does not know.
pub(crate) fn word<E: TryFrom<i32>>(value: i32, name: impl Fn(&E) -> &'static str, prefix: &str) -> &'static str {
    let Ok(value) = E::try_from(value) else {
        return "UNKNOWN";
    };
    let name = name(&value);
    match name.strip_prefix(prefix) {
        Some("UNSPECIFIED") | None => "UNKNOWN",
        Some(word) => word,
    }
}

pub(crate) fn connector_state(state: i32) -> &'static str {
    word(state, v1::ConnectorState::as_str_name, "CONNECTOR_STATE_")
}

pub(crate) fn task_state(state: i32) -> &'static str {
    word(state, v1::TaskState::as_str_name, "TASK_STATE_")
}

pub(crate) fn target(state: i32) -> &'static str {
    word(state, v1::TargetState::as_str_name, "TARGET_STATE_")
}

pub(crate) fn policy(policy: i32) -> &'static str {
    word(policy, v1::AgentPolicy::as_str_name, "AGENT_POLICY_")
}

pub(crate) fn link(link: i32) -> &'static str {
    word(link, v1::AgentLink::as_str_name, "AGENT_LINK_")
}

/// How new statuses are, for programs.
pub(crate) fn freshness(freshness: Option<&v1::Freshness>) -> Value {
    let Some(freshness) = freshness else { return Value::Null };
    json!({
        "revision": freshness.revision,
        "term": freshness.term,
        "stale": freshness.stale,
        "age_ms": age_ms(freshness),
    })
}

fn age_ms(freshness: &v1::Freshness) -> i64 {
    let age = freshness.age.unwrap_or_default();
    age.seconds
        .saturating_mul(1_000)
        .saturating_add(i64::from(age.nanos / 1_000_000))
}

/// Says on stderr when statuses are old: what is on stdout stays data.
pub(crate) fn warn_if_stale(freshness: Option<&v1::Freshness>) {
    if let Some(freshness) = freshness.filter(|freshness| freshness.stale) {
        eprintln!(
            "dray: no leader is heard of: statuses are as of {} s ago",
            age_ms(freshness) / 1_000
        );
    }
}
