//! What happened, for people. Written only in a replay: the run of a failing seed is repeated with it.

use crate::Time;
use std::collections::VecDeque;

/// So many lines are kept.
const LINES: usize = 200;

#[derive(Default)]
pub(crate) struct Trace {
    on: bool,
    all: bool,
    lines: VecDeque<String>,
}

impl Trace {
    /// `all`: every line is kept, for who reads it with a pager.
    pub(crate) fn new(on: bool, all: bool) -> Self {
        Self {
            on,
            all,
            lines: VecDeque::new(),
        }
    }

    pub(crate) fn note(&mut self, now: Time, who: impl FnOnce() -> String, what: impl FnOnce() -> String) {
        if !self.on {
            return;
        }
        if !self.all && self.lines.len() == LINES {
            self.lines.pop_front();
        }
        let mut what = shorten(&what());
        if what.len() > 600 {
            let end = (0..=600).rev().find(|end| what.is_char_boundary(*end)).unwrap_or(0);
            what.truncate(end);
            what.push('…');
        }
        self.lines
            .push_back(format!("{:>4}.{:03} {:<4} {what}", now / 1_000, now % 1_000, who()));
    }

    pub(crate) fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.lines).into()
    }
}

/// Rust's `Debug` without its ceremony: `TaskKey { connector: ConnectorUid(2), number: 1 }` becomes `2/1`, and a generation
/// `term:number`.
fn shorten(text: &str) -> String {
    let mut short = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let wrapped = |name: &str| {
            let after = rest.strip_prefix(name)?;
            let (inside, after) = after.split_once(')')?;
            Some((inside, after))
        };
        if let Some((number, after)) = wrapped("Generation(").or_else(|| wrapped("SessionId(")) {
            match number.parse::<u64>() {
                Ok(number) => short.push_str(&format!("{}:{}", number >> 24, number & 0xFF_FFFF)),
                Err(_) => short.push_str(number),
            }
            rest = after;
        } else if let Some(after) = rest.strip_prefix("TaskKey { connector: ConnectorUid(") {
            let (connector, after) = after.split_once("), number: ").unwrap_or((after, ""));
            let (number, after) = after.split_once(" }").unwrap_or((after, ""));
            short.push_str(connector);
            short.push('/');
            short.push_str(if number == "4294967295" { "instance" } else { number });
            rest = after;
        } else if let Some((inside, after)) = [
            "ConnectorUid(",
            "AgentNumber(",
            "KafkaCluster(",
            "ConnectorName(",
            "Millis(",
        ]
        .into_iter()
        .find_map(wrapped)
        {
            short.push_str(inside);
            rest = after;
        } else {
            let mut chars = rest.chars();
            short.extend(chars.next());
            rest = chars.as_str();
        }
    }
    short
}
