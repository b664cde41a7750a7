//! Labels of agents, and the selector by which a connector chooses among them, written as in Kubernetes.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// The labels of an agent.
pub type Labels = BTreeMap<String, String>;

/// What the labels of an agent must fulfil: `disk=ssd,tier!=test,gpu,!spot`. The empty one fits every agent.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Selector(Vec<Term>);

/// One condition; all of a selector must hold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Term {
    Equals(String, String),
    /// An agent without the label fulfils it too.
    Differs(String, String),
    Exists(String),
    Absent(String),
}

/// A text that is no selector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a condition of a label selector such as `disk=ssd,tier!=test,gpu,!spot`")]
pub struct InvalidSelector(pub String);

impl Selector {
    /// Whether these labels fulfil every condition.
    #[must_use]
    pub fn fits(&self, labels: &Labels) -> bool {
        self.0.iter().all(|term| match term {
            Term::Equals(key, value) => labels.get(key) == Some(value),
            Term::Differs(key, value) => labels.get(key) != Some(value),
            Term::Exists(key) => labels.contains_key(key),
            Term::Absent(key) => !labels.contains_key(key),
        })
    }
}

impl FromStr for Selector {
    type Err = InvalidSelector;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut terms = Vec::new();
        for part in text.split(',').map(str::trim).filter(|_| !text.trim().is_empty()) {
            let word = |text: &str| {
                let text = text.trim();
                let legal = !text.is_empty() && !text.contains(['=', '!', ',']) && !text.contains(char::is_whitespace);
                legal
                    .then(|| text.to_owned())
                    .ok_or_else(|| InvalidSelector(part.into()))
            };
            terms.push(if let Some((key, value)) = part.split_once("!=") {
                Term::Differs(word(key)?, word(value)?)
            } else if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
                Term::Equals(word(key)?, word(value)?)
            } else if let Some(key) = part.strip_prefix('!') {
                Term::Absent(word(key)?)
            } else {
                Term::Exists(word(part)?)
            });
        }
        // In one order, so that selectors that mean the same are equal.
        terms.sort();
        terms.dedup();
        Ok(Self(terms))
    }
}

impl TryFrom<String> for Selector {
    type Error = InvalidSelector;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Selector> for String {
    fn from(selector: Selector) -> Self {
        selector.to_string()
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, term) in self.0.iter().enumerate() {
            f.write_str(if at == 0 { "" } else { "," })?;
            match term {
                Term::Equals(key, value) => write!(f, "{key}={value}")?,
                Term::Differs(key, value) => write!(f, "{key}!={value}")?,
                Term::Exists(key) => f.write_str(key)?,
                Term::Absent(key) => write!(f, "!{key}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_choose_by_labels() {
        let labels: Labels = [("disk", "ssd"), ("gpu", "")].map(|(k, v)| (k.into(), v.into())).into();
        for (selector, fits) in [
            ("", true),
            (" ", true),
            ("disk=ssd", true),
            ("disk==ssd", true),
            ("disk=hdd", false),
            ("disk!=hdd, gpu", true),
            ("tier!=test", true),
            ("gpu,!spot", true),
            ("!gpu", false),
            ("spot", false),
        ] {
            assert_eq!(selector.parse::<Selector>().unwrap().fits(&labels), fits, "{selector}");
        }
    }

    #[test]
    fn selectors_are_read_as_they_are_shown() {
        let selector: Selector = "tier!=test,disk=ssd,!spot,gpu,gpu".parse().unwrap();
        assert_eq!(selector.to_string(), "disk=ssd,tier!=test,gpu,!spot");
        assert_eq!(selector.to_string().parse(), Ok(selector));
        for bad in [",", "=a", "a=", "a=b=c", "!", "a b", "a,,b", "!a=b"] {
            assert!(bad.parse::<Selector>().is_err(), "{bad}");
        }
    }
}
