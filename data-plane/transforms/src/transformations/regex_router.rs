//! `RegexRouter`: changes topics that match a regular expression.

use std::sync::Arc;

use dray_connect::config::{ConfigDef, ConfigKey, ConfigType, Importance, Regex};
use dray_connect::pattern::{Error as PatternError, Pattern, Replacement};
use dray_connect::{Error, Result};

use crate::registry::TransformationKind;
use crate::topics::Topics;
use crate::{Applied, ConnectRecord, Transformation};

pub(super) const KIND: TransformationKind = TransformationKind {
    name: "RegexRouter",
    sided: false,
    definition,
    make: |_, config| {
        let (regex, replacement) = (config.string("regex"), config.string("replacement"));
        Ok(Box::new(RegexRouter::new(
            regex.unwrap_or_default(),
            replacement.unwrap_or_default(),
        )?))
    },
};

fn definition() -> ConfigDef {
    let text = |name: &str, doc: &str| {
        ConfigKey::new(name, ConfigType::String)
            .importance(Importance::High)
            .doc(doc)
    };
    ConfigDef::new()
        .define(text("regex", "A Java regular expression for the whole topic.").validator(Regex))
        .define(text(
            "replacement",
            "What stands in place of the first match; $1 and ${name} are what groups have matched.",
        ))
}

pub(super) struct RegexRouter {
    pattern: Pattern,
    replacement: Replacement,
    /// The new name of a topic; none where it stays.
    routes: Topics<Option<Arc<str>>>,
}

impl RegexRouter {
    pub(super) fn new(regex: &str, replacement: &str) -> Result<Self> {
        Ok(Self {
            pattern: Pattern::compile(regex).map_err(|error| Error::config(error.to_string()))?,
            replacement: Replacement::new(replacement),
            routes: Topics::default(),
        })
    }

    /// Where records of that topic go; none where the topic does not match.
    pub(super) fn route(&mut self, topic: &Arc<str>) -> Result<Option<&Arc<str>>> {
        let (pattern, replacement) = (&self.pattern, &self.replacement);
        let route = self.routes.get(topic, |topic| {
            if !pattern.matches(topic).map_err(PatternError::into_connect)? {
                return Ok(None);
            }
            // The first match that is found from the start, which may be a part of the topic.
            let replaced = pattern
                .replace_first(topic, replacement)
                .map_err(PatternError::into_connect)?;
            Ok(Some(replaced.into()))
        })?;
        Ok(route.as_ref())
    }
}

impl Transformation for RegexRouter {
    fn apply(&mut self, record: &mut ConnectRecord<'_>) -> Result<Applied> {
        if let Some(topic) = self.route(record.topic())? {
            record.set_topic(topic);
        }
        Ok(Applied::Kept)
    }
}

#[cfg(test)]
mod tests {
    use dray_connect::value::SchemaAndValue;

    use crate::testing::{Record, apply, record, refused};

    fn route(regex: &str, replacement: &str, topic: &'static str) -> Result<String, String> {
        let record = Record {
            topic,
            ..record(SchemaAndValue::NULL)
        };
        let keys = [("regex", regex), ("replacement", replacement)];
        apply("RegexRouter", &keys, &record).map(|result| result.topic)
    }

    #[test]
    fn a_topic_that_matches_as_a_whole_is_renamed() {
        assert_eq!(route("(.*)-(.*)", "$2.$1", "a-b").unwrap(), "b.a");
        assert_eq!(route("(?<x>a)b*", "${x}\\$", "abb").unwrap(), "a$");
        assert_eq!(route("b", "x", "abb").unwrap(), "abb", "a part is not enough");
        // The whole matches by the second branch; what is replaced is what the first one finds.
        assert_eq!(route("a|ab", "x", "ab").unwrap(), "xb");
        assert_eq!(route(".*", "", "ab").unwrap(), "");
    }

    #[test]
    fn a_wrong_replacement_is_an_error_of_the_topics_that_match() {
        assert_eq!(route("a", "$1", "a"), Err("No group 1".to_owned()));
        assert_eq!(route("a", "$1", "b").unwrap(), "b");
        assert_eq!(
            route("a", "$", "a"),
            Err("Illegal group reference: group index is missing".to_owned())
        );
    }

    #[test]
    fn a_wrong_pattern_is_refused() {
        assert_eq!(
            refused("RegexRouter", &[("regex", "("), ("replacement", "")]),
            "Invalid value ( for configuration regex: Invalid regex: Unclosed group near index 1\n("
        );
    }
}
