//! Runs one transform on one record, for the tests of the transforms.

use dray_connect::backing::Backing;
use dray_connect::config::ConfigMap;
use dray_connect::datum::Field;
use dray_connect::header::Headers;
use dray_connect::schema::SchemaRef;
use dray_connect::structs::Struct;
use dray_connect::value::{SchemaAndValue, Value};

use crate::{Chain, Input, Origin};

/// A record with owned values.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Record {
    pub(crate) topic: &'static str,
    pub(crate) partition: Option<i32>,
    pub(crate) timestamp: Option<i64>,
    pub(crate) key: SchemaAndValue,
    pub(crate) value: SchemaAndValue,
    pub(crate) headers: Headers,
    pub(crate) origin: Origin,
}

/// What came out.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Result {
    pub(crate) topic: String,
    pub(crate) key: SchemaAndValue,
    pub(crate) value: SchemaAndValue,
    pub(crate) headers: Headers,
}

/// A source record of topic `t` with that value and nothing else.
pub(crate) fn record(value: SchemaAndValue) -> Record {
    Record {
        topic: "t",
        partition: None,
        timestamp: None,
        key: SchemaAndValue::NULL,
        value,
        headers: Headers::new(),
        origin: Origin::Source,
    }
}

/// A map without a schema.
pub(crate) fn map<const N: usize>(entries: [(&str, Value); N]) -> SchemaAndValue {
    SchemaAndValue {
        schema: None,
        value: Value::map(entries.map(|(name, value)| (Value::from(name), value))),
    }
}

/// A struct of these values.
pub(crate) fn structure<const N: usize>(schema: &SchemaRef, values: [Value; N]) -> SchemaAndValue {
    let mut record = Struct::new(SchemaRef::clone(schema)).unwrap();
    for (index, value) in values.into_iter().enumerate() {
        if !value.is_null() {
            record.put_at(index, value).unwrap();
        }
    }
    SchemaAndValue::new(SchemaRef::clone(schema), record)
}

/// The record after the transform of that class with these keys; its message where it fails. A key that begins with `../../`
/// is one of the connector itself.
pub(crate) fn apply(class: &str, keys: &[(&str, &str)], record: &Record) -> std::result::Result<Result, String> {
    apply_or_drop(class, keys, record).map(|result| result.expect("this record is not dropped"))
}

/// The same; none where the record is dropped.
pub(crate) fn apply_or_drop(
    class: &str,
    keys: &[(&str, &str)],
    record: &Record,
) -> std::result::Result<Option<Result>, String> {
    let mut config = ConfigMap::from([
        ("transforms".to_owned(), "x".to_owned()),
        ("transforms.x.type".to_owned(), class.to_owned()),
    ]);
    for (key, value) in keys {
        let key = match key.strip_prefix("../../") {
            Some(of_connector) => of_connector.to_owned(),
            None => format!("transforms.x.{key}"),
        };
        config.insert(key, (*value).to_owned());
    }
    let mut chain = Chain::read(&config).map_err(|error| error.to_string())?;
    // Twice: what it keeps from the first time must not show, and what was given must be as it was. Each time in the same batch, too.
    let first = apply_chain(&mut chain, record);
    assert_eq!(apply_chain(&mut chain, record), first);
    first
}

fn apply_chain(chain: &mut Chain, record: &Record) -> std::result::Result<Option<Result>, String> {
    let mut backing = Backing::default();
    let input = Input {
        topic: backing.topic(&record.topic.into()),
        kafka_partition: record.partition,
        timestamp: record.timestamp,
        key: put(&record.key, &mut backing),
        value: put(&record.value, &mut backing),
        headers: Some(&record.headers),
        origin: record.origin,
    };
    let first = apply_to(chain, record, input, &mut backing);
    for _ in 0..2 {
        assert_eq!(apply_to(chain, record, input, &mut backing), first, "again");
    }
    first
}

fn apply_to(
    chain: &mut Chain,
    record: &Record,
    input: Input<'_>,
    backing: &mut Backing,
) -> std::result::Result<Option<Result>, String> {
    let output = chain
        .apply(input, backing)
        .map_err(|failure| failure.error.to_string())?;
    Ok(output.map(|output| Result {
        topic: backing.topic_name(output.topic).to_string(),
        key: taken(output.key, backing),
        value: taken(output.value, backing),
        headers: output
            .headers
            .map_or_else(|| record.headers.clone(), |headers| *headers),
    }))
}

fn put(data: &SchemaAndValue, backing: &mut Backing) -> Field {
    Field {
        schema: data.schema.as_ref().map(|schema| backing.schema(schema)),
        datum: backing.value(&data.value),
    }
}

fn taken(field: Field, backing: &Backing) -> SchemaAndValue {
    let (schema, value) = field.view(backing);
    SchemaAndValue {
        schema: schema.cloned(),
        value: value.to_value(),
    }
}

/// The value after the transform; its message where it fails.
pub(crate) fn value(
    class: &str,
    keys: &[(&str, &str)],
    value: SchemaAndValue,
) -> std::result::Result<SchemaAndValue, String> {
    apply(class, keys, &record(value)).map(|result| result.value)
}

/// That a transform cannot be made with these keys, and why.
pub(crate) fn refused(class: &str, keys: &[(&str, &str)]) -> String {
    apply(class, keys, &record(SchemaAndValue::NULL)).expect_err("the keys are wrong")
}
