//! Which connectors a command is for: names, globs or regular expressions, labels, what has failed, or all.

use super::confirm;
use super::output::{self, Doing as _};
use crate::Failure;
use crate::cluster::{Cluster, Config, Connector, ErrorKind};
use anyhow::anyhow;
use dray_model::label::{Labels, Selector};
use regex::Regex;

/// The key that holds a connector's labels, such as `team=payments,tier=gold`. Nobody but these commands heeds it, also in Kafka Connect.
pub(super) const LABELS: &str = "dray.labels";

/// Which connectors.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct Select {
    /// Names of connectors, or globs such as `orders-*`
    #[arg(value_name = "NAME", add = crate::completion::connectors())]
    names: Vec<String>,
    /// The NAMEs are regular expressions, each for whole names
    #[arg(short = 'e', long, requires = "names", help_heading = "Selection")]
    regex: bool,
    /// Only those whose `dray.labels` fit, such as `team=payments,tier!=test,gpu,!old`
    #[arg(short = 'l', long, value_name = "LABELS", help_heading = "Selection")]
    selector: Option<Selector>,
    /// Only those that have failed, or have a task that has
    #[arg(long, help_heading = "Selection")]
    pub(super) failed: bool,
}

/// Which connectors are changed: none unless it is said which.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct Change {
    #[command(flatten)]
    pub(super) select: Select,
    /// All of them; asks first
    #[arg(long, conflicts_with_all = ["names", "selector"], help_heading = "Selection")]
    all: bool,
    /// Do not ask
    #[arg(short, long)]
    pub(super) yes: bool,
}

impl Select {
    /// Whether it says anything at all.
    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty() && self.selector.is_none() && !self.failed
    }

    /// A single name and nothing else: what comes back is one connector and no list.
    pub(super) fn single(&self) -> Option<&str> {
        match &self.names[..] {
            [name] if !self.regex && self.selector.is_none() && !self.failed && !is_glob(name) => Some(name),
            _ => None,
        }
    }

    /// Those that it means; all when it says nothing.
    pub(super) async fn find(&self, cluster: &dyn Cluster) -> Result<Vec<Connector>, Failure> {
        if let Some(name) = self.single() {
            let found = cluster.connector(name).await;
            let error = match found {
                Ok(connector) => return Ok(vec![connector]),
                Err(error) => error,
            };
            let mut said = output::text(&format!("read connector `{name}`"), Some(cluster), &error);
            if error.kind == ErrorKind::NotFound {
                let all = cluster.connectors().await.unwrap_or_default();
                said += &nearest(name, &all);
            }
            return Err(Failure::Failed(anyhow!(said)));
        }
        let all = cluster.connectors().await.doing(cluster, "list the connectors")?;
        self.among(all)
    }

    /// Those of a list that it means. A name or pattern that means nothing is an error: it is likely a typing error.
    fn among(&self, all: Vec<Connector>) -> Result<Vec<Connector>, Failure> {
        let patterns: Vec<Pattern> = self
            .names
            .iter()
            .map(|name| self.pattern(name))
            .collect::<Result<_, _>>()?;
        for (pattern, name) in patterns.iter().zip(&self.names) {
            if !all.iter().any(|connector| pattern.means(&connector.name)) {
                return Err(Failure::Failed(anyhow!(
                    "no connector is called `{name}`\n  `dray connector list` shows what there is{}",
                    nearest(name, &all)
                )));
            }
        }
        let chosen = all.into_iter().filter(|connector| {
            (patterns.is_empty() || patterns.iter().any(|pattern| pattern.means(&connector.name)))
                && self
                    .selector
                    .as_ref()
                    .is_none_or(|selector| selector.fits(&labels(&connector.config)))
                && (!self.failed || has_failed(connector))
        });
        Ok(chosen.collect())
    }

    fn pattern(&self, name: &str) -> Result<Pattern, Failure> {
        let source = match (self.regex, is_glob(name)) {
            (true, _) => name.to_owned(),
            (false, false) => return Ok(Pattern::Name(name.to_owned())),
            (false, true) => name
                .chars()
                .map(|character| match character {
                    '*' => ".*".to_owned(),
                    '?' => ".".to_owned(),
                    other => regex::escape(&other.to_string()),
                })
                .collect(),
        };
        // The whole name, also when it has line breaks in it.
        let regex =
            Regex::new(&format!("(?s)^(?:{source})$")).map_err(|error| Failure::Usage(format!("`{name}`: {error}")))?;
        Ok(Pattern::Regex(name.to_owned(), regex))
    }
}

enum Pattern {
    Name(String),
    /// As it was written, which may be a name as well, and as it is meant.
    Regex(String, Regex),
}

impl Pattern {
    fn means(&self, name: &str) -> bool {
        match self {
            Self::Name(own) => own == name,
            Self::Regex(written, regex) => written == name || regex.is_match(name),
        }
    }
}

impl Change {
    /// Names of those that it means. All are asked for before they are changed; with `asks`, others are as well.
    pub(super) async fn find(&self, cluster: &dyn Cluster, verb: &str, asks: bool) -> Result<Vec<String>, Failure> {
        if self.select.is_empty() && !self.all {
            return Err(Failure::Usage(format!(
                "which connectors? Give names, globs, -l LABELS or --failed; --all is all of them (`dray connector {verb} --help`)"
            )));
        }
        // Whether it is there says whoever changes it.
        let names = match self.select.single() {
            Some(name) => vec![name.to_owned()],
            None => {
                let found = self.select.find(cluster).await?;
                found.into_iter().map(|connector| connector.name).collect()
            }
        };
        if names.is_empty() {
            eprintln!("dray: no connector is meant; nothing was changed");
            return Ok(names);
        }
        if asks || self.all {
            let mut capital = verb.to_owned();
            capital[..1].make_ascii_uppercase();
            let question = match &names[..] {
                [name] => format!("{capital} connector `{name}`?"),
                names if names.len() <= 10 => format!("{capital} {} connectors ({})?", names.len(), names.join(", ")),
                names => format!("{capital} {} connectors?", names.len()),
            };
            confirm(&question, self.yes)?;
        }
        Ok(names)
    }
}

/// A line with the name that was likely meant, if one is near enough.
fn nearest(name: &str, all: &[Connector]) -> String {
    let likeness = |other: &Connector| strsim::jaro_winkler(name, &other.name);
    let near = all.iter().map(|other| (likeness(other), &other.name));
    match near.max_by(|(one, _), (other, _)| one.total_cmp(other)) {
        Some((likeness, near)) if likeness > 0.85 => format!("\n  did you mean `{near}`?"),
        Some(_) | None => String::new(),
    }
}

/// The labels that a configuration gives itself. A word without `=` is a label without a value.
pub(super) fn labels(config: &Config) -> Labels {
    let text = config.get(LABELS).map_or("", String::as_str);
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let label = |part: &str| match part.split_once('=') {
        Some((key, value)) => (key.trim().to_owned(), value.trim().to_owned()),
        None => (part.to_owned(), String::new()),
    };
    parts.map(label).collect()
}

pub(super) fn has_failed(connector: &Connector) -> bool {
    connector.state == "FAILED" || connector.tasks.iter().any(|task| task.state == "FAILED")
}

fn is_glob(name: &str) -> bool {
    name.contains(['*', '?'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{Seen, Task};

    fn connectors() -> Vec<Connector> {
        let one = |name: &str, labels: &str, failed: bool| Connector {
            name: name.into(),
            state: "RUNNING".into(),
            config: [(LABELS.to_owned(), labels.to_owned())].into(),
            tasks: vec![Task {
                id: 0,
                state: if failed { "FAILED" } else { "RUNNING" }.into(),
                seen: Seen::default(),
            }],
            ..Connector::default()
        };
        vec![
            one("orders-eu", "team=pay,tier=gold", false),
            one("orders-us", "team=pay, old", true),
            one("a*b", "", false),
            one("axb", "", true),
        ]
    }

    fn chosen(select: &Select) -> Result<Vec<String>, String> {
        match select.among(connectors()) {
            Ok(found) => Ok(found.into_iter().map(|connector| connector.name).collect()),
            Err(Failure::Usage(text)) => Err(text),
            Err(Failure::Failed(error)) => Err(error.to_string()),
            Err(Failure::Shown) => Err(String::new()),
        }
    }

    #[test]
    fn names_globs_expressions_and_labels_choose() {
        let select = |names: &[&str], regex: bool, selector: &str, failed: bool| Select {
            names: names.iter().map(ToString::to_string).collect(),
            regex,
            selector: (!selector.is_empty()).then(|| selector.parse().unwrap()),
            failed,
        };
        for (select, expected) in [
            (
                select(&[], false, "", false),
                vec!["orders-eu", "orders-us", "a*b", "axb"],
            ),
            (select(&["orders-*"], false, "", false), vec!["orders-eu", "orders-us"]),
            (
                select(&["orders-?u", "axb"], false, "", false),
                vec!["orders-eu", "axb"],
            ),
            (select(&["a*b"], false, "", false), vec!["a*b", "axb"]),
            (select(&["orders-(eu|de)"], true, "", false), vec!["orders-eu"]),
            (select(&[".*u"], true, "", false), vec!["orders-eu"]),
            (select(&[], false, "team=pay", false), vec!["orders-eu", "orders-us"]),
            (select(&[], false, "team=pay,!old", false), vec!["orders-eu"]),
            (select(&[], false, "", true), vec!["orders-us", "axb"]),
            (select(&["orders-*"], false, "team=pay", true), vec!["orders-us"]),
            (select(&["axb"], false, "team=pay", false), vec![]),
        ] {
            assert_eq!(chosen(&select).unwrap(), expected, "{select:?}");
        }
        let unknown = chosen(&select(&["orders-eu", "order-us"], false, "", false)).unwrap_err();
        assert!(unknown.contains("no connector is called `order-us`"), "{unknown}");
        assert!(unknown.ends_with("did you mean `orders-us`?"), "{unknown}");
        let strange = chosen(&select(&["payments"], false, "", false)).unwrap_err();
        assert!(!strange.contains("did you mean"), "{strange}");
        assert!(
            chosen(&select(&["("], true, "", false))
                .unwrap_err()
                .starts_with("`(`: ")
        );
    }
}
