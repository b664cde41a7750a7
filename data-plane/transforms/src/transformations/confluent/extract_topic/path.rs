//! JSON paths that lead to one value: `$["a"]["b"]`, `$.a.b`, `$.list[0]`. What may lead to several is refused.

use dray_connect::datum::ValueRef;
use dray_connect::{Error, Result};

/// One step of a path.
pub(super) enum Step {
    Name(String),
    Element(usize),
}

impl Step {
    /// What is there; an error without a text where it is missing, and with one where the value can have no parts.
    pub(super) fn take<'v>(&self, value: ValueRef<'v>) -> Result<ValueRef<'v>, Option<String>> {
        match (self, value) {
            (_, ValueRef::Null) => Err(None),
            (Self::Name(name), ValueRef::Map(map)) => map.get(name).ok_or(None),
            (Self::Name(name), ValueRef::Struct(record)) => record.get(name).map_err(|_| None),
            (Self::Element(index), ValueRef::Array(array)) => array.get(*index).ok_or(None),
            (Self::Name(name), other) => Err(Some(format!("there is no {name} in {}", other.java_class()))),
            (Self::Element(index), other) => {
                Err(Some(format!("there is no element {index} in {}", other.java_class())))
            }
        }
    }
}

/// Reads a path.
pub(super) fn path(key: &str, text: &str) -> Result<Vec<Step>> {
    steps(text).map_err(|at| {
        let column = text[..at].chars().count() + 1;
        let problem = format!(
            "it is no path to one value at column {column}: write $, then .name, [\"name\"] or [number] for each step"
        );
        Error::invalid_config(key, Some(text), Some(&problem))
    })
}

/// The steps, or where the path is wrong.
fn steps(text: &str) -> Result<Vec<Step>, usize> {
    let mut steps = Vec::new();
    let mut at = 1;
    if !text.starts_with('$') {
        return Err(0);
    }
    while at < text.len() {
        let rest = &text[at..];
        if let Some(name) = rest.strip_prefix('.') {
            let end = name.find(['.', '[']).unwrap_or(name.len());
            if end == 0 || name.starts_with('*') {
                return Err(at);
            }
            steps.push(Step::Name(name[..end].to_owned()));
            at += 1 + end;
            continue;
        }
        let inner = rest.strip_prefix('[').ok_or(at)?;
        let (step, length) = match inner.chars().next() {
            Some(quote @ ('"' | '\'')) => {
                let end = inner[1..].find(quote).ok_or(at)?;
                (Step::Name(inner[1..=end].to_owned()), end + 2)
            }
            _ => {
                let end = inner.find(']').ok_or(at)?;
                (Step::Element(inner[..end].parse().map_err(|_| at)?), end)
            }
        };
        if !inner[length..].starts_with(']') {
            return Err(at);
        }
        steps.push(step);
        at += length + 2;
    }
    if steps.is_empty() { Err(text.len()) } else { Ok(steps) }
}
