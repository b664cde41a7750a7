//! `include.list` and `exclude.list`: which fields of which events are converted.

use std::collections::{HashMap, HashSet};

use dray_connect::pattern::{Error as PatternError, Pattern};
use dray_connect::{Error, Result};

use super::super::{AFTER, BEFORE, SOURCE, split};

/// The fields of an event that a list names; all of them where the set is empty.
type Fields = HashSet<String>;

/// The lists as they were read.
pub(super) struct Rules {
    /// Whether fields that are listed are converted, or those that are not; none where there is no list.
    includes: Option<bool>,
    topics: HashMap<String, Fields>,
    tables: HashMap<String, Fields>,
    /// Names of topics or of tables.
    any: HashMap<String, Fields>,
}

/// What of one event is converted.
pub(super) enum Choice<'r> {
    Nothing,
    /// All times of its rows.
    All,
    /// Those that are listed.
    Only(&'r Fields),
    /// Those that are not.
    Except(&'r Fields),
}

impl Rules {
    pub(super) fn read(include: Option<&str>, exclude: Option<&str>) -> Result<Self> {
        let (included, excluded) = (elements(include), elements(exclude));
        let mut rules = Self {
            includes: None,
            topics: HashMap::new(),
            tables: HashMap::new(),
            any: HashMap::new(),
        };
        let (key, text, listed) = match (&included[..], &excluded[..]) {
            ([], []) => return Ok(rules),
            ([], listed) => ("exclude", exclude, listed),
            (listed, _) => ("include", include, listed),
        };
        check(key, text.unwrap_or_default(), listed)?;
        if !included.is_empty() && !excluded.is_empty() {
            return Err(Error::config(
                "Both include and exclude lists are specified. Please specify only one.",
            ));
        }
        rules.includes = Some(key == "include");
        rules.collect(listed);
        Ok(rules)
    }

    /// Once an element has said `source` or `topic`, those after it without such a word are of that kind, too.
    fn collect(&mut self, listed: &[&str]) {
        let mut kind = None;
        for element in listed {
            let parts = split(element, ':');
            let (name, field) = match parts[..] {
                [prefix, name, ..] if prefix.eq_ignore_ascii_case(SOURCE) || prefix.eq_ignore_ascii_case("topic") => {
                    kind = Some(prefix);
                    (name, parts.get(2))
                }
                [name, field, ..] => (name, Some(&parts[1]).filter(|_| !field.is_empty())),
                [name] => (name, None),
                [] => continue,
            };
            let names = match kind {
                Some("topic") => &mut self.topics,
                Some("source") => &mut self.tables,
                Some(_) | None => &mut self.any,
            };
            let fields = names.entry(name.to_owned()).or_default();
            fields.extend(field.map(|field| (*field).to_owned()));
        }
    }

    pub(super) fn choice(&self, topic: &str, table: Option<&str>) -> Choice<'_> {
        let Some(includes) = self.includes else {
            return Choice::All;
        };
        let by_table = |names: &'_ HashMap<String, Fields>| table.is_some_and(|table| names.contains_key(table));
        let fields = if self.topics.contains_key(topic) {
            self.topics.get(topic)
        } else if by_table(&self.tables) {
            table.and_then(|table| self.tables.get(table))
        } else if self.any.contains_key(topic) {
            self.any.get(topic)
        } else {
            table.and_then(|table| self.any.get(table))
        };
        match (fields, includes) {
            (None, true) => Choice::Nothing,
            (None, false) => Choice::All,
            (Some(fields), true) if fields.is_empty() => Choice::All,
            (Some(fields), true) => Choice::Only(fields),
            (Some(fields), false) if fields.is_empty() => Choice::Nothing,
            (Some(fields), false) => Choice::Except(fields),
        }
    }
}

impl Choice<'_> {
    /// Whether anything of that struct may be converted. A source is only where one of its fields is listed.
    pub(super) fn is_about(&self, row: &str) -> bool {
        match self {
            Self::Nothing => false,
            Self::All => row != SOURCE,
            Self::Only(fields) | Self::Except(fields) => {
                row != SOURCE || fields.iter().any(|field| field.starts_with("source."))
            }
        }
    }

    /// Whether a time of that struct is converted.
    pub(super) fn takes(&self, row: &str, field: &str) -> bool {
        match self {
            Self::Nothing => false,
            Self::All => true,
            Self::Only(fields) => lists(fields, row, field),
            Self::Except(fields) => !lists(fields, row, field),
        }
    }
}

/// Whether the field of that struct is listed: with the name of its struct, or by its own name where it is a row's.
fn lists(fields: &Fields, row: &str, field: &str) -> bool {
    fields.iter().any(|listed| {
        let of = |name: &str| listed.strip_prefix(name)?.strip_prefix('.');
        match of(row) {
            Some(inner) => inner == field,
            None => row != SOURCE && [SOURCE, BEFORE, AFTER].iter().all(|name| of(name).is_none()) && listed == field,
        }
    })
}

fn elements(list: Option<&str>) -> Vec<&str> {
    list.map_or_else(Vec::new, |list| split(list, ',').into_iter().map(str::trim).collect())
}

/// Debezium matches the list as Java prints it.
fn check(key: &str, text: &str, listed: &[&str]) -> Result<()> {
    let valid = Pattern::compile(r#"^\[(source|topic|[".\w\s_]+):([".\w\s_]+(?::[".\w\s_]+)?(?:,|]$))+$"#)
        .map_err(|error| Error::config(error.to_string()))?;
    let printed = format!("[{}]", listed.join(", "));
    if valid.matches(&printed).map_err(PatternError::into_connect)? {
        return Ok(());
    }
    let problem = format!(
        "Invalid {key} list format. Please specify a list of rules in the format of \"source:<tablename>:<fieldnames>\", \
         \"topic:<topicname>:<fieldnames>\", \"<matchname>:<fieldnames>\""
    );
    Err(Error::invalid_config(
        &format!("{key}.list"),
        Some(text),
        Some(&problem),
    ))
}
