//! Which version of a subject counts as its newest: `use.latest.version` and `use.latest.with.metadata`.

use std::fmt::{self, Display, Formatter};
use std::sync::Arc;

use dray_connect::{ConfigMap, Error, Result};

use crate::percent::encoded;
use crate::settings;

pub(super) const VERSION: &str = "use.latest.version";
pub(super) const WITH_METADATA: &str = "use.latest.with.metadata";

/// The newest version of all, or of those that have some metadata.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Latest {
    Version,
    /// Names and values that all are among the version's properties.
    WithMetadata(Arc<[(String, String)]>),
}

impl Latest {
    /// What the keys say. As in Confluent's converters metadata counts before `use.latest.version`.
    pub(super) fn read(config: &ConfigMap) -> Result<Option<Self>> {
        let version = settings::boolean(config, VERSION, false)?.then_some(Self::Version);
        match config.get(WITH_METADATA).filter(|text| !text.trim().is_empty()) {
            None => Ok(version),
            Some(text) => Self::with_metadata(WITH_METADATA, text).map(Some),
        }
    }

    /// `name=value` and more of them, parted by commas. What has a comma itself stands in single quotes, which are doubled within them.
    pub(super) fn with_metadata(key: &str, text: &str) -> Result<Self> {
        let problem = |problem: &str| Error::invalid_config(key, Some(text), Some(problem));
        let mut properties: Vec<(String, String)> = Vec::new();
        for pair in pairs(text).ok_or_else(|| problem("A quote is not closed, or something stands behind it"))? {
            let Some((name, value)) = pair.split_once('=') else {
                return Err(problem("Each must be name=value"));
            };
            if properties.iter().any(|(known, _)| known == name) {
                return Err(problem(&format!("{name} stands there twice")));
            }
            properties.push((name.to_owned(), value.to_owned()));
        }
        Ok(Self::WithMetadata(properties.into()))
    }

    /// The key that says so.
    pub(super) fn key(&self) -> &'static str {
        match self {
            Self::Version => VERSION,
            Self::WithMetadata(_) => WITH_METADATA,
        }
    }

    /// Where a registry has that version. A version that was deleted is still found by its metadata, as with Confluent's client.
    pub(super) fn path(&self, subject: &str) -> String {
        let subject = encoded(subject);
        match self {
            Self::Version => format!("/subjects/{subject}/versions/latest"),
            Self::WithMetadata(properties) => {
                let property =
                    |(name, value): &(String, String)| format!("key={}&value={}&", encoded(name), encoded(value));
                let properties: String = properties.iter().map(property).collect();
                format!("/subjects/{subject}/metadata?{properties}deleted=true")
            }
        }
    }
}

/// What errors say behind the subject.
impl Display for Latest {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        if let Self::WithMetadata(properties) = self {
            for (place, (name, value)) in properties.iter().enumerate() {
                let before = if place == 0 { " with metadata " } else { ", " };
                write!(out, "{before}{name}={value}")?;
            }
        }
        Ok(())
    }
}

/// The parts of a list, without the blanks around them; none where a quote is not closed, or is not the end of its part.
fn pairs(text: &str) -> Option<Vec<String>> {
    let mut out = Vec::new();
    let mut rest = text.trim();
    loop {
        let mut pair = String::new();
        if let Some(mut quoted) = rest.strip_prefix('\'') {
            loop {
                let (before, behind) = quoted.split_once('\'')?;
                pair.push_str(before);
                match behind.strip_prefix('\'') {
                    Some(more) => {
                        pair.push('\'');
                        quoted = more;
                    }
                    None => {
                        rest = behind.trim_start();
                        break;
                    }
                }
            }
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            pair.push_str(rest[..end].trim_end());
            rest = &rest[end..];
        }
        out.push(pair);
        if rest.is_empty() {
            return Some(out);
        }
        rest = rest.strip_prefix(',')?.trim_start();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_a_list_of_pairs() {
        let check = |text: &str, expected: &str| {
            let config = [(WITH_METADATA.to_owned(), text.to_owned())].into();
            let found = Latest::read(&config).map(|latest| latest.map(|latest| latest.path("a b")));
            assert_eq!(found.ok().flatten().unwrap_or_default(), expected, "{text}");
        };
        let of = |properties: &str| format!("/subjects/a%20b/metadata?{properties}deleted=true");
        check("application.version=v1", &of("key=application.version&value=v1&"));
        check(" a=1 , b=2=3 ", &of("key=a&value=1&key=b&value=2%3D3&"));
        check("'a=x,y', 'b=it''s'", &of("key=a&value=x%2Cy&key=b&value=it%27s&"));
        check("a=,=b", &of("key=a&value=&key=&value=b&"));
        for text in ["a", "a=1,", "a=1,a=2", "'a=1", "'a=1'x", ""] {
            check(text, "");
        }
    }

    #[test]
    fn metadata_counts_before_the_version() {
        let read = |pairs: &[(&str, &str)]| {
            let config = pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            Latest::read(&config.collect()).unwrap()
        };
        let version = (VERSION, "true");
        assert_eq!(read(&[]), None);
        assert_eq!(read(&[version, (WITH_METADATA, " ")]), Some(Latest::Version));
        let both = read(&[version, (WITH_METADATA, "a=1,b=2")]).unwrap();
        assert_eq!(
            (both.key(), both.to_string().as_str()),
            (WITH_METADATA, " with metadata a=1, b=2")
        );
    }
}
