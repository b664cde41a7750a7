//! Under which subject a schema stands: `key.subject.name.strategy` and `value.subject.name.strategy`.

use dray_connect::{Error, Result};

const PACKAGE: &str = "io.confluent.kafka.serializers.subject.";

/// How a subject is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SubjectStrategy {
    /// After the topic: `orders-value`.
    Topic,
    /// After the record: `com.example.Order`.
    Record,
    /// After both: `orders-com.example.Order`.
    TopicRecord,
}

impl SubjectStrategy {
    /// The strategy of a class, by its full or simple name.
    pub(super) fn of_class(key: &str, class: Option<&str>) -> Result<Self> {
        let Some(class) = class else {
            return Ok(Self::Topic);
        };
        match class.trim().strip_prefix(PACKAGE).unwrap_or(class.trim()) {
            // The second asks a registry for associations that only Confluent's has, and falls back to the first.
            "TopicNameStrategy" | "AssociatedNameStrategy" => Ok(Self::Topic),
            "RecordNameStrategy" => Ok(Self::Record),
            "TopicRecordNameStrategy" => Ok(Self::TopicRecord),
            _ => Err(Error::invalid_config(
                key,
                Some(class),
                Some("There are TopicNameStrategy, RecordNameStrategy and TopicRecordNameStrategy"),
            )),
        }
    }

    /// The subject of a schema; `record` is the full name of the record that it is, if it is one.
    pub(crate) fn subject(self, topic: &str, is_key: bool, record: Option<&str>) -> Result<String> {
        let suffix = if is_key { "key" } else { "value" };
        match (self, record) {
            (Self::Topic, _) => Ok(format!("{topic}-{suffix}")),
            (Self::Record, Some(record)) => Ok(record.to_owned()),
            (Self::TopicRecord, Some(record)) => Ok(format!("{topic}-{record}")),
            (Self::Record | Self::TopicRecord, None) => Err(Error::data(format!(
                "In configuration {suffix}.subject.name.strategy the subject is named after a record, and the {suffix} of \
                 topic {topic} is none"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects() {
        let of = |class: &str| SubjectStrategy::of_class("k", Some(class)).unwrap();
        let record = of("io.confluent.kafka.serializers.subject.RecordNameStrategy");
        assert_eq!(of("TopicNameStrategy").subject("t", true, None).unwrap(), "t-key");
        assert_eq!(record.subject("t", false, Some("a.B")).unwrap(), "a.B");
        assert_eq!(
            of("TopicRecordNameStrategy").subject("t", false, Some("a.B")).unwrap(),
            "t-a.B"
        );
        assert!(record.subject("t", true, None).is_err());
        assert!(SubjectStrategy::of_class("k", Some("com.example.Own")).is_err());
    }
}
