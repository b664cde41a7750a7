//! `TimestampRouter`: changes the topic by a format of its name and the record's timestamp.

use std::sync::Arc;

use dray_connect::config::{ConfigDef, ConfigKey, ConfigType, Importance};
use dray_connect::{Error, Result};

use super::now_millis;
use crate::registry::TransformationKind;
use crate::simple_date_format::SimpleDateFormat;
use crate::topics::Topics;
use crate::{Applied, ConnectRecord, Transformation};

pub(super) const KIND: TransformationKind = TransformationKind {
    name: "TimestampRouter",
    sided: false,
    definition,
    make: |_, config| {
        let format = SimpleDateFormat::compile(config.string("timestamp.format").unwrap_or_default(), now_millis());
        Ok(Box::new(TimestampRouter {
            topic_format: config.string("topic.format").unwrap_or_default().to_owned(),
            timestamp_format: format.map_err(|error| error.to_string()),
            text: String::new(),
            routes: Topics::default(),
        }))
    },
};

const TOPIC: &str = "${topic}";
const TIMESTAMP: &str = "${timestamp}";

fn definition() -> ConfigDef {
    let text = |name: &str, default: &str, doc: &str| {
        ConfigKey::new(name, ConfigType::String)
            .default_value(default)
            .importance(Importance::High)
            .doc(doc)
    };
    ConfigDef::new()
        .define(text(
            "topic.format",
            "${topic}-${timestamp}",
            "The new topic; ${topic} in it stands for the topic of before, ${timestamp} for the timestamp of the record.",
        ))
        .define(text(
            "timestamp.format",
            "yyyyMMdd",
            "How the timestamp is written, in UTC: a pattern of Java's SimpleDateFormat.",
        ))
}

struct TimestampRouter {
    topic_format: String,
    /// A wrong pattern is an error of each record, as in Java.
    timestamp_format: Result<SimpleDateFormat, String>,
    /// The timestamp of the record at hand.
    text: String,
    routes: Topics<Route>,
}

/// The latest new name of a topic.
#[derive(Default)]
struct Route {
    /// The timestamp that it was made with, as text.
    timestamp: String,
    topic: Option<Arc<str>>,
}

impl Transformation for TimestampRouter {
    fn apply(&mut self, record: &mut ConnectRecord<'_>) -> Result<Applied> {
        let Some(timestamp) = record.timestamp else {
            // Java prints the whole record here. It may hold what logs must not.
            let partition = record.kafka_partition.map(|partition| partition.to_string());
            return Err(Error::data(format!(
                "Timestamp missing on record: topic {}, partition {}",
                record.topic(),
                partition.as_deref().unwrap_or("null")
            )));
        };
        let format = self.timestamp_format.as_mut();
        let format = format.map_err(|problem| Error::illegal_argument(problem.clone()))?;
        self.text.clear();
        format.format(timestamp, &mut self.text);
        let route = self.routes.get(record.topic(), |_| Ok(Route::default()))?;
        let topic = match &route.topic {
            Some(topic) if route.timestamp == self.text => topic,
            Some(_) | None => {
                // One after the other, as in Java: what the first puts in may hold the second.
                let topic = self.topic_format.replace(TOPIC, record.topic());
                route.timestamp.clone_from(&self.text);
                route.topic.insert(topic.replace(TIMESTAMP, &self.text).into())
            }
        };
        record.set_topic(topic);
        Ok(Applied::Kept)
    }
}

#[cfg(test)]
mod tests {
    use dray_connect::value::SchemaAndValue;

    use crate::testing::{Record, apply, record};

    fn route(keys: &[(&str, &str)], topic: &'static str, timestamp: Option<i64>) -> Result<String, String> {
        let record = Record {
            topic,
            timestamp,
            partition: Some(3),
            ..record(SchemaAndValue::schemaless("secret"))
        };
        apply("TimestampRouter", keys, &record).map(|result| result.topic)
    }

    #[test]
    fn the_topic_is_followed_by_the_day() {
        let at = Some(1_700_000_000_000);
        assert_eq!(route(&[], "t", at).unwrap(), "t-20231114");
        let keys = [
            ("topic.format", "a.${timestamp}.${topic}.${timestamp}"),
            ("timestamp.format", "HH:mm"),
        ];
        assert_eq!(route(&keys, "t", at).unwrap(), "a.22:13.t.22:13");
        assert_eq!(route(&keys, "x${timestamp}$1", at).unwrap(), "a.22:13.x22:13$1.22:13");
        assert_eq!(route(&[("topic.format", "")], "t", at).unwrap(), "");
    }

    #[test]
    fn errors_are_those_of_each_record_and_show_no_values() {
        assert_eq!(
            route(&[], "t", None),
            Err("Timestamp missing on record: topic t, partition 3".to_owned())
        );
        assert_eq!(
            route(&[("timestamp.format", "bogus")], "t", Some(0)),
            Err("Illegal pattern character 'b'".to_owned())
        );
    }

    #[test]
    fn the_name_that_is_kept_is_that_of_topic_and_timestamp() {
        use crate::{Chain, Input, Origin};
        use dray_connect::backing::Backing;
        use dray_connect::datum::Field;

        let config = [("transforms", "r"), ("transforms.r.type", "TimestampRouter")];
        let mut chain = Chain::read(&config.map(|(key, value)| (key.to_owned(), value.to_owned())).into()).unwrap();
        let day = 86_400_000;
        for (topic, timestamp, expected) in [
            ("a", 0, "a-19700101"),
            ("a", 1, "a-19700101"),
            ("a", day, "a-19700102"),
            ("b", day, "b-19700102"),
            ("a", 0, "a-19700101"),
        ] {
            let mut backing = Backing::default();
            let input = Input {
                topic: backing.topic(&topic.into()),
                kafka_partition: None,
                timestamp: Some(timestamp),
                key: Field::default(),
                value: Field::default(),
                headers: None,
                origin: Origin::Source,
            };
            let output = chain.apply(input, &mut backing).unwrap().unwrap();
            assert_eq!(&**backing.topic_name(output.topic), expected);
        }
    }
}
