//! `MessageTimestampRouter`: changes the topic by a format of its name and a time in the value, which must be a map.
//!
//! Confluent does not document what its keys are by default. Here the fields have to be named, and without a format a time is a
//! number of milliseconds since the epoch.

use dray_connect::config::{ConfigDef, ConfigKey, ConfigType, Importance, ParsedConfig, ValidList};
use dray_connect::datum::{Datum, ValueRef};
use dray_connect::{Error, Result};

use crate::record::find_entry;
use crate::registry::TransformationKind;
use crate::simple_date_format::SimpleDateFormat;
use crate::transformations::now_millis;
use crate::{Applied, ConnectRecord, Side, Transformation};

pub(super) const KIND: TransformationKind = TransformationKind {
    name: "MessageTimestampRouter",
    sided: false,
    definition,
    make: |_, config| Ok(Box::new(MessageTimestampRouter::new(config)?)),
};

const PURPOSE: &str = "message timestamp routing";
const TOPIC: &str = "topic.format";
const TOPIC_TIMESTAMP: &str = "topic.timestamp.format";
const KEYS: &str = "message.timestamp.keys";
const TIMESTAMP: &str = "message.timestamp.format";

fn definition() -> ConfigDef {
    let key = |name, kind, doc| ConfigKey::new(name, kind).importance(Importance::High).doc(doc);
    ConfigDef::new()
        .define(
            key(
                TOPIC,
                ConfigType::String,
                "The new topic; ${topic} in it stands for the topic of before, ${timestamp} for the time.",
            )
            .default_value("${topic}-${timestamp}"),
        )
        .define(
            key(
                TOPIC_TIMESTAMP,
                ConfigType::String,
                "How the time is written in the topic, in UTC: a pattern of Java's SimpleDateFormat.",
            )
            .default_value("yyyyMMdd"),
        )
        .define(
            key(KEYS, ConfigType::List, "The fields that may hold the time; the first that is there and not null counts.")
                .validator(ValidList::any()),
        )
        .define(
            key(
                TIMESTAMP,
                ConfigType::String,
                "How the time is written in its field: a pattern of Java's SimpleDateFormat. Empty: milliseconds since the epoch.",
            )
            .default_value(""),
        )
}

struct MessageTimestampRouter {
    topic: String,
    written: SimpleDateFormat,
    keys: Vec<String>,
    read: Option<SimpleDateFormat>,
    text: String,
}

impl MessageTimestampRouter {
    fn new(config: &ParsedConfig) -> Result<Self> {
        let text = |key| config.string(key).unwrap_or_default();
        let format = |key| {
            let compiled = SimpleDateFormat::compile(text(key), now_millis());
            compiled.map_err(|error| Error::invalid_config(key, Some(text(key)), Some(&error.to_string())))
        };
        Ok(Self {
            topic: text(TOPIC).to_owned(),
            written: format(TOPIC_TIMESTAMP)?,
            keys: config.list(KEYS).unwrap_or_default().to_vec(),
            read: if text(TIMESTAMP).is_empty() {
                None
            } else {
                Some(format(TIMESTAMP)?)
            },
            text: String::new(),
        })
    }

    fn time(&self, record: &ConnectRecord<'_>) -> Result<i64> {
        let parts = record.entries(Side::Value, PURPOSE)?;
        let backing = record.backing();
        let value = |key: &String| find_entry(backing, parts, key).map(|at| (key.clone(), parts[2 * at + 1]));
        let mut found = self
            .keys
            .iter()
            .filter_map(value)
            .filter(|(_, value)| *value != Datum::Null);
        let Some((key, value)) = found.next() else {
            return Err(Error::data(format!(
                "none of the fields {} of {KEYS} holds a time in this record of topic {}",
                self.keys.join(", "),
                record.topic()
            )));
        };
        match (value.view(backing), &self.read) {
            (ValueRef::Int64(millis) | ValueRef::Date(millis), _) => Ok(millis),
            (ValueRef::Int32(millis), _) => Ok(millis.into()),
            (ValueRef::Str(text), Some(format)) => {
                format
                    .parse(std::str::from_utf8(text).unwrap_or_default())
                    .map_err(|error| {
                        Error::data(format!("field {key} is no time in the format of {TIMESTAMP}")).with_source(error)
                    })
            }
            (ValueRef::Str(_), None) => Err(Error::data(format!(
                "field {key} is a text: {TIMESTAMP} must say how it is to be read"
            ))),
            (other, _) => Err(Error::data(format!(
                "field {key} is {}, which is no time",
                other.java_class()
            ))),
        }
    }
}

impl Transformation for MessageTimestampRouter {
    fn apply(&mut self, record: &mut ConnectRecord<'_>) -> Result<Applied> {
        let time = self.time(record)?;
        self.text.clear();
        self.written.format(time, &mut self.text);
        let topic = self
            .topic
            .replace("${topic}", record.topic())
            .replace("${timestamp}", &self.text);
        if *topic != **record.topic() {
            record.set_topic(&topic.into());
        }
        Ok(Applied::Kept)
    }
}

#[cfg(test)]
mod tests {
    use dray_connect::value::{SchemaAndValue, Value};

    use crate::testing::{Record, apply, map, record, refused};

    const ROUTER: &str = "io.confluent.connect.transforms.MessageTimestampRouter";
    /// Those of Confluent's example.
    const KEYS: [(&str, &str); 4] = [
        ("topic.format", "foo-${topic}-${timestamp}"),
        ("message.timestamp.format", "yyyy-MM-dd"),
        ("topic.timestamp.format", "yyyy.MM.dd"),
        ("message.timestamp.keys", "timestamp,time,ts"),
    ];

    fn topic(keys: &[(&str, &str)], value: SchemaAndValue) -> Result<String, String> {
        let given = Record {
            topic: "bar",
            ..record(value)
        };
        apply(ROUTER, keys, &given).map(|result| result.topic)
    }

    #[test]
    fn the_documented_example() {
        assert_eq!(
            topic(&KEYS, map([("time", "2019-08-06".into())])).unwrap(),
            "foo-bar-2019.08.06"
        );
        let both = map([
            ("ts", "2020-01-01".into()),
            ("timestamp", Value::Null),
            ("time", "2019-08-06".into()),
        ]);
        assert_eq!(topic(&KEYS, both).unwrap(), "foo-bar-2019.08.06");
    }

    #[test]
    fn numbers_are_milliseconds() {
        let keys = [("message.timestamp.keys", "ts")];
        assert_eq!(
            topic(&keys, map([("ts", 1_565_049_600_000_i64.into())])).unwrap(),
            "bar-20190806"
        );
        assert!(
            topic(&keys, map([("ts", "2019-08-06".into())]))
                .unwrap_err()
                .contains("must say how it is to be read")
        );
    }

    #[test]
    fn what_has_no_time_is_refused() {
        assert_eq!(
            topic(&KEYS, map([("at", 1.into())])).unwrap_err(),
            "none of the fields timestamp, time, ts of message.timestamp.keys holds a time in this record of topic bar"
        );
        assert_eq!(
            topic(&KEYS, map([("ts", "yesterday".into())])).unwrap_err(),
            "field ts is no time in the format of message.timestamp.format"
        );
        assert_eq!(
            topic(&KEYS, map([("ts", true.into())])).unwrap_err(),
            "field ts is java.lang.Boolean, which is no time"
        );
        assert!(
            topic(&KEYS, SchemaAndValue::schemaless("x"))
                .unwrap_err()
                .contains("Only Map objects supported")
        );
        assert!(refused(ROUTER, &[]).contains("message.timestamp.keys"));
        assert!(refused(ROUTER, &[KEYS[3], ("topic.timestamp.format", "bb")]).contains("topic.timestamp.format"));
    }
}
