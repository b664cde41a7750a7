//! `ExtractTopic$Key`, `ExtractTopic$Value` and `ExtractTopic$Header`: a text of the record becomes its topic.

mod path;

use std::sync::Arc;

use dray_connect::config::{ConfigDef, ConfigKey, ConfigType, Importance, ParsedConfig, ValidString};
use dray_connect::datum::{Datum, ValueRef};
use dray_connect::{Error, Result};

use self::path::{Step, path};
use crate::registry::TransformationKind;
use crate::{Applied, ConnectRecord, Side, Transformation};

pub(super) const KIND: TransformationKind = TransformationKind {
    name: "ExtractTopic",
    sided: true,
    definition,
    make: |side, config| Ok(Box::new(ExtractTopic::of_field(side, config)?)),
};

pub(super) const HEADER: TransformationKind = TransformationKind {
    name: "ExtractTopic$Header",
    sided: false,
    definition,
    make: |_, config| Ok(Box::new(ExtractTopic::of_header(config)?)),
};

const FIELD: &str = "field";
const FORMAT: &str = "field.format";
const SKIP: &str = "skip.missing.or.null";

fn definition() -> ConfigDef {
    ConfigDef::new()
        .define(
            ConfigKey::new(FIELD, ConfigType::String)
                .default_value("")
                .importance(Importance::Medium)
                .doc("The field or the key of the header whose text is the topic. Empty: the key or value as a whole."),
        )
        .define(
            ConfigKey::new(FORMAT, ConfigType::String)
                .default_value("PLAIN")
                .validator(ValidString::of(["JSON_PATH", "PLAIN"]))
                .importance(Importance::Medium)
                .doc("How the field is written. PLAIN: the name of a field at the top. JSON_PATH: a path, such as $[\"a\"][\"b\"]."),
        )
        .define(
            ConfigKey::new(SKIP, ConfigType::Boolean)
                .default_value(false)
                .importance(Importance::Low)
                .doc("Whether a record keeps its topic where the text is missing or null; otherwise that is an error."),
        )
}

struct ExtractTopic {
    from: From,
    /// As it was written.
    field: String,
    skip: bool,
    /// The topic of the record before.
    latest: Option<Arc<str>>,
}

enum From {
    Field(Side, Vec<Step>),
    Header,
}

/// Why there is no topic.
enum No {
    /// It is missing or null.
    Missing,
    Refused(Error),
}

impl ExtractTopic {
    fn of_field(side: Side, config: &ParsedConfig) -> Result<Self> {
        let field = config.string(FIELD).unwrap_or_default();
        let steps = match (field, config.string(FORMAT)) {
            ("", _) => Vec::new(),
            (field, Some("JSON_PATH")) => path(FIELD, field)?,
            (field, _) => vec![Step::Name(field.to_owned())],
        };
        Self::new(From::Field(side, steps), config)
    }

    fn of_header(config: &ParsedConfig) -> Result<Self> {
        if config.string(FIELD).unwrap_or_default().is_empty() {
            return Err(Error::invalid_config(
                FIELD,
                Some(""),
                Some("it must be the key of a header"),
            ));
        }
        if config.string(FORMAT) == Some("JSON_PATH") {
            let problem = "the value of a header is taken as a whole: only PLAIN is possible";
            return Err(Error::invalid_config(FORMAT, Some("JSON_PATH"), Some(problem)));
        }
        Self::new(From::Header, config)
    }

    fn new(from: From, config: &ParsedConfig) -> Result<Self> {
        Ok(Self {
            from,
            field: config.string(FIELD).unwrap_or_default().to_owned(),
            skip: config.boolean(SKIP)?,
            latest: None,
        })
    }

    fn found<'r>(&'r self, whole: Datum, record: &'r ConnectRecord<'_>) -> Result<ValueRef<'r>, No> {
        let steps = match &self.from {
            From::Field(_, steps) => steps,
            From::Header => {
                let mut headers = record.headers().into_iter().flatten();
                let header = headers.rfind(|header| *header.key == *self.field).ok_or(No::Missing)?;
                return Ok((&header.value.value).into());
            }
        };
        let mut value = whole.view(record.backing());
        for step in steps {
            value = step.take(value).map_err(|problem| match problem {
                None => No::Missing,
                Some(problem) => No::Refused(Error::data(format!("{FIELD} {}: {problem}", self.field))),
            })?;
        }
        Ok(value)
    }

    fn topic<'r>(&'r self, whole: Datum, record: &'r ConnectRecord<'_>) -> Result<&'r str, No> {
        let value = self.found(whole, record)?;
        match (value, value.as_str()) {
            (ValueRef::Null, _) => Err(No::Missing),
            (_, Some("")) => Err(No::Refused(Error::data(format!(
                "the topic in {} is an empty text",
                self.place()
            )))),
            (_, Some(topic)) => Ok(topic),
            (other, None) => Err(No::Refused(Error::data(format!(
                "the topic in {} must be a text, and is {}",
                self.place(),
                other.java_class()
            )))),
        }
    }

    fn place(&self) -> String {
        match (&self.from, self.field.as_str()) {
            (From::Header, field) => format!("header {field}"),
            (From::Field(Side::Key, _), "") => "the key".to_owned(),
            (From::Field(Side::Value, _), "") => "the value".to_owned(),
            (From::Field(Side::Key, _), field) => format!("{field} of the key"),
            (From::Field(Side::Value, _), field) => format!("{field} of the value"),
        }
    }
}

impl Transformation for ExtractTopic {
    fn apply(&mut self, record: &mut ConnectRecord<'_>) -> Result<Applied> {
        let whole = match &self.from {
            From::Field(side, _) => record.field(*side).datum,
            From::Header => Datum::Null,
        };
        let topic = match self.topic(whole, record) {
            Ok(topic) if self.latest.as_deref() == Some(topic) => None,
            Ok(topic) => Some(Arc::<str>::from(topic)),
            Err(No::Missing) if self.skip => return Ok(Applied::Kept),
            Err(No::Missing) => {
                return Err(Error::data(format!(
                    "the topic in {} is missing or null; with {SKIP}=true the record would keep its topic",
                    self.place()
                )));
            }
            Err(No::Refused(error)) => return Err(error),
        };
        if topic.is_some() {
            self.latest = topic;
        }
        if let Some(topic) = &self.latest {
            record.set_topic(topic);
        }
        Ok(Applied::Kept)
    }
}

#[cfg(test)]
mod tests {
    use dray_connect::schema::{Schema, SchemaBuilder};
    use dray_connect::value::{SchemaAndValue, Value};

    use crate::testing::{Record, apply, map, record, refused, structure};

    fn topic(side: &str, keys: &[(&str, &str)], record: &Record) -> Result<String, String> {
        let class = format!("io.confluent.connect.transforms.ExtractTopic${side}");
        apply(&class, keys, record).map(|result| result.topic)
    }

    /// Confluent's five examples.
    #[test]
    fn the_documented_examples() {
        let key = Record {
            key: SchemaAndValue::schemaless("whole"),
            ..record(SchemaAndValue::NULL)
        };
        assert_eq!(topic("Key", &[], &key).unwrap(), "whole");
        let f2 = record(map([("f2", "two".into())]));
        assert_eq!(topic("Value", &[("field", "f2")], &f2).unwrap(), "two");
        let f3 = [("field", "f3"), ("skip.missing.or.null", "true")];
        assert_eq!(topic("Value", &f3, &f2).unwrap(), "t");
        let path = [
            ("field", r#"$["f1"]["f3"]"#),
            ("field.format", "JSON_PATH"),
            ("skip.missing.or.null", "true"),
        ];
        let inner = SchemaBuilder::struct_()
            .field("f3", Schema::optional_string())
            .build()
            .unwrap();
        let outer = SchemaBuilder::struct_().field("f1", inner.clone()).build().unwrap();
        let nested = |text: Value| record(structure(&outer, [structure(&inner, [text]).value]));
        assert_eq!(topic("Value", &path, &nested("three".into())).unwrap(), "three");
        assert_eq!(topic("Value", &path, &nested(Value::Null)).unwrap(), "t");
        assert_eq!(topic("Value", &path, &f2).unwrap(), "t");
        let mut header = record(SchemaAndValue::NULL);
        header.headers.add_string("h", Some("first"));
        header.headers.add_string("h", Some("last"));
        assert_eq!(topic("Header", &[("field", "h")], &header).unwrap(), "last");
    }

    #[test]
    fn what_is_no_topic_is_refused() {
        let given = record(map([
            ("n", 1.into()),
            ("e", "".into()),
            ("l", vec![Value::from("x")].into()),
        ]));
        let failed = |keys: &[(&str, &str)]| topic("Value", keys, &given).unwrap_err();
        assert_eq!(
            failed(&[("field", "nope")]),
            "the topic in nope of the value is missing or null; with skip.missing.or.null=true the record would keep its topic"
        );
        assert_eq!(
            failed(&[("field", "n")]),
            "the topic in n of the value must be a text, and is java.lang.Integer"
        );
        assert_eq!(
            failed(&[("field", "e")]),
            "the topic in e of the value is an empty text"
        );
        assert_eq!(
            failed(&[]),
            "the topic in the value must be a text, and is java.util.HashMap"
        );
        let element = [("field", "$.l[0]"), ("field.format", "JSON_PATH")];
        assert_eq!(topic("Value", &element, &given).unwrap(), "x");
        let inside = [("field", "$.n.x"), ("field.format", "JSON_PATH")];
        assert_eq!(failed(&inside), "field $.n.x: there is no x in java.lang.Integer");
    }

    #[test]
    fn wrong_keys_are_refused() {
        let header = |keys: &[(&str, &str)]| refused("ExtractTopic$Header", keys);
        assert_eq!(
            header(&[]),
            "Invalid value  for configuration field: it must be the key of a header"
        );
        assert!(header(&[("field", "h"), ("field.format", "JSON_PATH")]).ends_with("only PLAIN is possible"));
        let path = refused("ExtractTopic$Key", &[("field", "$..a"), ("field.format", "JSON_PATH")]);
        assert!(path.contains("at column 2"), "{path}");
    }
}
