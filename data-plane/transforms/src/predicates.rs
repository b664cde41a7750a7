//! Apache's predicates.

use dray_connect::config::{Composite, ConfigDef, ConfigKey, ConfigType, Importance, NonEmptyString, Regex};
use dray_connect::pattern::{Error as PatternError, Pattern};
use dray_connect::{Error, Result};

use crate::registry::PredicateKind;
use crate::topics::Topics;
use crate::{ConnectRecord, Predicate, Side};

/// All of them.
pub(crate) const ALL: &[PredicateKind] = &[
    PredicateKind {
        name: "HasHeaderKey",
        definition: || {
            ConfigDef::new().define(
                ConfigKey::new("name", ConfigType::String)
                    .validator(NonEmptyString)
                    .importance(Importance::Medium)
                    .doc("The key of the header."),
            )
        },
        make: |config| {
            let name = config.string("name").unwrap_or_default().to_owned();
            Ok(Box::new(HasHeaderKey { name }))
        },
    },
    PredicateKind {
        name: "RecordIsTombstone",
        definition: ConfigDef::new,
        make: |_| Ok(Box::new(RecordIsTombstone)),
    },
    PredicateKind {
        name: "TopicNameMatches",
        definition: || {
            ConfigDef::new().define(
                ConfigKey::new("pattern", ConfigType::String)
                    .validator(Composite::of(vec![Box::new(NonEmptyString), Box::new(Regex)]))
                    .importance(Importance::Medium)
                    .doc("A Java regular expression for the whole name of the topic."),
            )
        },
        make: |config| {
            let pattern = Pattern::compile(config.string("pattern").unwrap_or_default());
            Ok(Box::new(TopicNameMatches {
                pattern: pattern.map_err(|error| Error::config(error.to_string()))?,
                known: Topics::default(),
            }))
        },
    },
];

struct HasHeaderKey {
    name: String,
}

impl Predicate for HasHeaderKey {
    fn test(&mut self, record: &ConnectRecord<'_>) -> Result<bool> {
        let mut headers = record.headers().into_iter().flatten();
        Ok(headers.any(|header| *header.key == *self.name))
    }
}

struct RecordIsTombstone;

impl Predicate for RecordIsTombstone {
    fn test(&mut self, record: &ConnectRecord<'_>) -> Result<bool> {
        Ok(record.is_null(Side::Value))
    }
}

struct TopicNameMatches {
    pattern: Pattern,
    known: Topics<bool>,
}

impl Predicate for TopicNameMatches {
    fn test(&mut self, record: &ConnectRecord<'_>) -> Result<bool> {
        let pattern = &self.pattern;
        let matches = self.known.get(record.topic(), |topic| {
            pattern.matches(topic).map_err(PatternError::into_connect)
        })?;
        Ok(*matches)
    }
}

#[cfg(test)]
mod tests {
    use dray_connect::value::SchemaAndValue;

    use crate::testing::{Record, apply, record};

    /// Whether `MaskField`, which fails on null, was applied to a record of that topic.
    fn matches(pattern: &str, topic: &'static str) -> Result<bool, String> {
        let record = Record {
            topic,
            ..record(SchemaAndValue::NULL)
        };
        let keys = [
            ("fields", "f"),
            ("predicate", "p"),
            ("../../predicates", "p"),
            ("../../predicates.p.type", "TopicNameMatches"),
            ("../../predicates.p.pattern", pattern),
        ];
        match apply("MaskField$Value", &keys, &record) {
            Ok(_) => Ok(false),
            Err(problem) if problem.ends_with("found: null") => Ok(true),
            Err(problem) => Err(problem),
        }
    }

    #[test]
    fn a_topic_matches_as_a_whole() {
        assert_eq!(matches("a.*", "abc"), Ok(true));
        assert_eq!(matches("b", "abc"), Ok(false));
        assert_eq!(matches("[[a-z]&&[^b]]+", "ac"), Ok(true));
    }

    #[test]
    fn wrong_patterns_are_refused() {
        assert_eq!(
            matches("", "t"),
            Err("Invalid value  for configuration pattern: String must be non-empty".to_owned())
        );
        assert_eq!(
            matches("(", "t"),
            Err("Invalid value ( for configuration pattern: Invalid regex: Unclosed group near index 1\n(".to_owned())
        );
    }
}
