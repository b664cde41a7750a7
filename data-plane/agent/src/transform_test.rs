//! Runs a connector's transforms on records written as JSON, without Kafka, and tells what each stage made of them: what
//! `dray transform test` shows.

use dray_connect::backing::Backing;
use dray_connect::datum::Field;
use dray_connect::header::Headers;
use dray_connect::schema::{SchemaRef, Type};
use dray_connect::value::SchemaAndValue;
use dray_connect::{ConfigMap, values};
use dray_converters::{Converter as _, Input, JsonConverter, Written};
use dray_runtime::config;
use dray_transforms::chain::Step;
use dray_transforms::{Chain, ConnectRecord, Origin, Side};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::sync::Arc;

/// One record as a line says it. A key or value is plain JSON, which has no schema, or an object of `schema` and `payload`
/// alone, as JsonConverter writes it with `schemas.enable=true`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    topic: Option<String>,
    partition: Option<i32>,
    /// Given for a record that comes from Kafka, as a sink's do.
    offset: Option<i64>,
    timestamp: Option<i64>,
    #[serde(default)]
    key: Json,
    value: Json,
    #[serde(default)]
    headers: serde_json::Map<String, Json>,
}

/// What came of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The record as it came in, before the first stage.
    Input,
    /// The transformation was applied.
    Applied,
    /// Its predicate left the record out.
    Skipped,
    /// It dropped the record.
    Dropped,
    /// It, or its predicate, failed.
    Failed,
}

/// A key, value or header with its schema.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Shown {
    /// The schema in JsonConverter's words; null when there is none.
    pub schema: Json,
    /// The schema in short, as `Customer{id: int64, name: string?}`; `none` when there is none.
    pub schema_text: String,
    /// The value as JsonConverter writes it, or as Java's `toString` where that refuses it.
    pub value: Json,
}

/// Why a stage failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The Java class of the exception.
    pub class: String,
    /// Its message.
    pub message: String,
}

/// The record after one stage.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Snapshot {
    /// The alias of the stage; `input` before the first.
    pub stage: String,
    /// The class of its transformation.
    pub class: Option<String>,
    /// What came of it.
    pub outcome: Outcome,
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: Option<i32>,
    /// Milliseconds since the epoch.
    pub timestamp: Option<i64>,
    /// The key.
    pub key: Shown,
    /// The value.
    pub value: Shown,
    /// The headers in order.
    pub headers: Vec<(String, Shown)>,
    /// Why it failed, if it did. The rest is then as it was before.
    pub error: Option<Failure>,
}

/// A chain, and what records that say nothing else are given.
pub struct Tester {
    chain: Chain,
    topic: String,
    backing: Backing,
    plain: JsonConverter,
    enveloped: JsonConverter,
}

impl Tester {
    /// Reads the chain of a connector's configuration. A part of one will do.
    ///
    /// # Errors
    /// With Connect's text for the first key of a transform or predicate that is missing or has a value that is not allowed.
    pub fn new(config: &ConfigMap) -> dray_connect::Result<Self> {
        let first = |key: &str| config.get(key).and_then(|topics| topics.split(',').next());
        let topic = first("topics").or_else(|| first("topic")).unwrap_or("topic").trim();
        let json =
            |schemas: &str| JsonConverter::new(&ConfigMap::from([("schemas.enable".to_owned(), schemas.to_owned())]));
        Ok(Self {
            chain: config::chain(config)?,
            topic: topic.to_owned(),
            backing: Backing::default(),
            plain: json("false")?,
            enveloped: json("true")?,
        })
    }

    /// Runs the chain on the record of one line; the record as it came in is the first snapshot.
    ///
    /// # Errors
    /// When the line is not a record: with what is wrong and what is allowed.
    pub fn run(&mut self, line: &str) -> Result<Vec<Snapshot>, String> {
        let line: Line = serde_json::from_str(line).map_err(|error| format!("not a record: {error}"))?;
        self.backing.clear();
        let (key, value) = (self.field(&line.key, "key")?, self.field(&line.value, "value")?);
        let headers = headers(&line.headers).map_err(|error| format!("headers: {error}"))?;
        let topic: Arc<str> = line.topic.as_deref().unwrap_or(&self.topic).into();
        let input = dray_transforms::Input {
            topic: self.backing.topic(&topic),
            kafka_partition: line.partition,
            timestamp: line.timestamp,
            key,
            value,
            headers: (!headers.is_empty()).then_some(&headers),
            origin: line.offset.map_or(Origin::Source, |offset| Origin::Sink { offset }),
        };
        let Self {
            chain,
            backing,
            plain,
            enveloped,
            ..
        } = self;
        let mut converters = [plain, enveloped];
        let mut seen = vec![Snapshot {
            stage: "input".to_owned(),
            class: None,
            outcome: Outcome::Input,
            topic: topic.to_string(),
            partition: line.partition,
            timestamp: line.timestamp,
            key: show(&mut converters, key, backing),
            value: show(&mut converters, value, backing),
            headers: show_headers(&mut converters, Some(&headers)),
            error: None,
        }];
        let ran = chain.apply_observed(input, backing, |stage, step, record| {
            seen.push(Snapshot {
                stage: stage.alias.clone(),
                class: Some(stage.class.clone()),
                outcome: match step {
                    Step::Kept => Outcome::Applied,
                    Step::Skipped => Outcome::Skipped,
                    Step::Dropped => Outcome::Dropped,
                },
                ..snapshot(&mut converters, record)
            });
        });
        if let Err(failure) = ran {
            let last = seen.last().expect("the input is always there");
            seen.push(Snapshot {
                stage: failure.stage.alias,
                class: Some(failure.stage.class),
                outcome: Outcome::Failed,
                error: Some(Failure {
                    class: failure.error.java_class().to_owned(),
                    message: dray_runtime::guard::trace(&failure.error),
                }),
                ..last.clone()
            });
        }
        Ok(seen)
    }

    fn field(&mut self, json: &Json, what: &str) -> Result<Field, String> {
        if json.is_null() {
            return Ok(Field::default());
        }
        let text = json.to_string();
        let input = Input {
            bytes: text.as_bytes(),
            span: self.backing.copy(text.as_bytes()),
        };
        let is_envelope = json
            .as_object()
            .is_some_and(|object| object.len() == 2 && object.contains_key("schema") && object.contains_key("payload"));
        let converter = if is_envelope {
            &mut self.enveloped
        } else {
            &mut self.plain
        };
        converter
            .to_connect(&self.topic, Some(input), &mut self.backing)
            .map_err(|error| format!("{what}: {error}"))
    }
}

/// A header's text is a string; whatever else is there is read as SimpleHeaderConverter reads it.
fn headers(given: &serde_json::Map<String, Json>) -> dray_connect::Result<Headers> {
    let mut headers = Headers::new();
    for (name, value) in given {
        match value {
            Json::String(text) => headers.add_string(name.as_str(), Some(text)),
            Json::Null => headers.add_string(name.as_str(), None),
            Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_) => {
                headers.add(name.as_str(), values::parse_string(&value.to_string()))?;
            }
        }
    }
    Ok(headers)
}

/// The JSON converters without and with schemas.
type Converters<'a> = [&'a mut JsonConverter; 2];

fn snapshot(converters: &mut Converters<'_>, record: &mut ConnectRecord<'_>) -> Snapshot {
    let (key, value) = (record.field(Side::Key), record.field(Side::Value));
    Snapshot {
        stage: String::new(),
        class: None,
        outcome: Outcome::Applied,
        topic: record.topic().to_string(),
        partition: record.kafka_partition,
        timestamp: record.timestamp,
        key: show(converters, key, record.backing()),
        value: show(converters, value, record.backing()),
        headers: show_headers(converters, record.headers()),
        error: None,
    }
}

fn show_headers(converters: &mut Converters<'_>, headers: Option<&Headers>) -> Vec<(String, Shown)> {
    let mut backing = Backing::default();
    let mut shown = Vec::new();
    for header in headers.into_iter().flatten() {
        let SchemaAndValue { schema, value } = &header.value;
        let field = Field {
            schema: schema.as_ref().map(|schema| backing.schema(schema)),
            datum: backing.value(value),
        };
        shown.push((header.key.to_string(), show(converters, field, &backing)));
    }
    shown
}

fn show(converters: &mut Converters<'_>, field: Field, backing: &Backing) -> Shown {
    let (schema, value) = field.view(backing);
    let [plain, enveloped] = converters;
    let write = |converter: &mut JsonConverter| {
        let mut out = Vec::new();
        match converter.from_connect("topic", schema, value, &mut out) {
            Ok(Written::Scratch(range)) => serde_json::from_slice(&out[range]).ok(),
            Ok(Written::Same(bytes)) => serde_json::from_slice(bytes).ok(),
            Ok(Written::Null) => Some(Json::Null),
            Err(_) => None,
        }
    };
    let envelope: Option<Json> = schema.and_then(|_| write(enveloped));
    Shown {
        schema: envelope.map_or(Json::Null, |mut json| json["schema"].take()),
        schema_text: schema.map_or("none".to_owned(), in_short),
        value: write(plain).unwrap_or_else(|| Json::String(value.to_value().java_to_string())),
    }
}

/// A schema in short: the last part of its name if it has one, its type otherwise; `?` where null is allowed.
fn in_short(schema: &SchemaRef) -> String {
    let named = schema.name().and_then(|name| name.rsplit('.').next());
    let mut text = if let Ok(fields) = schema.fields() {
        let field = |field: &dray_connect::schema::Field| format!("{}: {}", field.name, in_short(&field.schema));
        let fields: Vec<String> = fields.iter().map(field).collect();
        format!("{}{{{}}}", named.unwrap_or_default(), fields.join(", "))
    } else if schema.type_() == Type::Array {
        format!("[{}]", part(schema.value_schema_opt()))
    } else if schema.type_() == Type::Map {
        format!(
            "map<{}, {}>",
            part(schema.key_schema_opt()),
            part(schema.value_schema_opt())
        )
    } else {
        named.unwrap_or(schema.type_().name()).to_owned()
    };
    if schema.optional() {
        text.push('?');
    }
    text
}

fn part(schema: Option<&SchemaRef>) -> String {
    schema.map_or("any".to_owned(), in_short)
}

#[cfg(test)]
mod tests;
