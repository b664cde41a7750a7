//! A record behind each stage of its way, as it is shown: what `dray transform test` and `dray connector preview` print, and their JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dray_connect::ConfigMap;
use dray_connect::backing::Backing;
use dray_connect::schema::{SchemaRef, Type};
use dray_connect::value::SchemaAndValue;
use dray_converters::{Converter as _, JsonConverter, Written};
use dray_process::hidden::Hidden;
use dray_runtime::preview::{self, Part, Seen};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::borrow::Cow;

/// What came of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The record as it came in, before the first stage.
    Input,
    /// The stage was applied.
    Applied,
    /// Its predicate left the record out.
    Skipped,
    /// It dropped the record.
    Dropped,
    /// It, or its predicate, failed.
    Failed,
    /// The record as it goes out, behind the last stage.
    Output,
}

/// A key, value or header with its schema.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shown {
    /// The schema in JsonConverter's words; null when there is none.
    pub schema: Json,
    /// The schema in short, as `Customer{id: int64, name: string?}`; `none` when there is none.
    pub schema_text: String,
    /// The value as JsonConverter writes it, or as Java's `toString` where that refuses it. Of bytes that Kafka stores, these.
    pub value: Json,
    /// How the value shows bytes that Kafka stores; none: it is no such value, or null.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored: Option<Stored>,
}

/// Bytes as Kafka stores them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// How many there are.
    pub bytes: usize,
    /// How they are shown: `utf-8`, or `base64` where they are no text.
    pub encoding: String,
}

/// Why a stage failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Connect's name of the stage, as in the headers of dead letters: `VALUE_CONVERTER`.
    pub stage: String,
    /// The Java class of the exception.
    pub class: String,
    /// Its message.
    pub message: String,
}

/// Where a source has read a record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// The source partition.
    pub partition: Json,
    /// What would be committed for it.
    pub offset: Json,
}

/// The record after one stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The alias of a transform; before those `input`, or `raw` and `converted`, or `polled`; behind them `sink` or `encoded`.
    pub stage: String,
    /// The class of its transformation; of a failure, that of a converter.
    pub class: Option<String>,
    /// What came of it.
    pub outcome: Outcome,
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: Option<i32>,
    /// The offset that it was read at, of a record from a topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<i64>,
    /// Milliseconds since the epoch.
    pub timestamp: Option<i64>,
    /// Where a source has read it: with the first stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// The key.
    pub key: Shown,
    /// The value.
    pub value: Shown,
    /// The headers in order.
    pub headers: Vec<(String, Shown)>,
    /// Why it failed, if it did. The rest is then as it was before.
    pub error: Option<Failure>,
}

/// Shows stages.
pub(crate) struct Show {
    plain: JsonConverter,
    enveloped: JsonConverter,
    hidden: Hidden,
}

impl Show {
    /// Shows no text that is hidden.
    pub(crate) fn new(hidden: Hidden) -> dray_connect::Result<Self> {
        Ok(Self {
            plain: json(false)?,
            enveloped: json(true)?,
            hidden,
        })
    }

    /// The stages of one record.
    pub(crate) fn snapshots(&mut self, seen: &[Seen]) -> Vec<Snapshot> {
        seen.iter().map(|seen| self.snapshot(seen)).collect()
    }

    fn snapshot(&mut self, seen: &Seen) -> Snapshot {
        let object = |map: &dray_connect::offset::OffsetMap| serde_json::from_str(&map.to_json()).unwrap_or_default();
        Snapshot {
            stage: seen.stage.clone(),
            class: seen.class.clone(),
            outcome: match seen.outcome {
                preview::Outcome::Input => Outcome::Input,
                preview::Outcome::Applied => Outcome::Applied,
                preview::Outcome::Skipped => Outcome::Skipped,
                preview::Outcome::Dropped => Outcome::Dropped,
                preview::Outcome::Failed => Outcome::Failed,
                preview::Outcome::Output => Outcome::Output,
            },
            topic: seen.topic.to_string(),
            partition: seen.partition,
            offset: seen.offset,
            timestamp: seen.timestamp,
            source: seen.source.as_ref().map(|(partition, offset)| Source {
                partition: object(partition),
                offset: object(offset),
            }),
            key: self.part(&seen.key),
            value: self.part(&seen.value),
            headers: seen
                .headers
                .iter()
                .map(|(name, part)| (name.clone(), self.part(part)))
                .collect(),
            error: seen.error.as_ref().map(|error| Failure {
                stage: error.stage.to_owned(),
                class: error.class.clone(),
                message: error.message.clone(),
            }),
        }
    }

    fn part(&mut self, part: &Part) -> Shown {
        match part {
            Part::Data(data) => self.data(data),
            Part::Bytes(bytes) => self.bytes(bytes.as_deref()),
        }
    }

    fn bytes(&self, bytes: Option<&[u8]>) -> Shown {
        let shown = bytes.map(|bytes| match String::from_utf8_lossy(bytes) {
            Cow::Borrowed(text) => (text.to_owned(), "utf-8"),
            // What is hidden would not be found behind base64.
            Cow::Owned(text) if self.hidden.hide(&text) != text => (text, "utf-8"),
            Cow::Owned(_) => (STANDARD.encode(bytes), "base64"),
        });
        let (value, encoding) = shown.unzip();
        Shown {
            schema: Json::Null,
            schema_text: "none".to_owned(),
            value: value.map_or(Json::Null, Json::String),
            stored: encoding.zip(bytes).map(|(encoding, bytes)| Stored {
                bytes: bytes.len(),
                encoding: encoding.to_owned(),
            }),
        }
    }

    fn data(&mut self, data: &SchemaAndValue) -> Shown {
        let mut backing = Backing::default();
        let (schema, datum) = (data.schema.as_ref(), backing.value(&data.value));
        let value = datum.view(&backing);
        let write = |converter: &mut JsonConverter| {
            let mut out = Vec::new();
            match converter.from_connect("topic", schema, value, &mut out) {
                Ok(Written::Scratch(range)) => serde_json::from_slice(&out[range]).ok(),
                Ok(Written::Same(bytes)) => serde_json::from_slice(bytes).ok(),
                Ok(Written::Null) => Some(Json::Null),
                Err(_) => None,
            }
        };
        let envelope: Option<Json> = schema.and_then(|_| write(&mut self.enveloped));
        Shown {
            schema: envelope.map_or(Json::Null, |mut json| json["schema"].take()),
            schema_text: schema.map_or("none".to_owned(), in_short),
            value: write(&mut self.plain).unwrap_or_else(|| Json::String(data.value.java_to_string())),
            stored: None,
        }
    }
}

/// JsonConverter, with schemas or without.
pub(crate) fn json(schemas: bool) -> dray_connect::Result<JsonConverter> {
    JsonConverter::new(&ConfigMap::from([("schemas.enable".to_owned(), schemas.to_string())]))
}

/// Takes what is hidden out of all texts, names and numbers.
pub(crate) fn hide(hidden: &Hidden, json: &mut Json) {
    match json {
        Json::Null | Json::Bool(_) => {}
        Json::Number(number) => {
            let text = number.to_string();
            if let Cow::Owned(shown) = hidden.hide(&text) {
                *json = Json::String(shown);
            }
        }
        Json::String(text) => {
            if let Cow::Owned(shown) = hidden.hide(text) {
                *text = shown;
            }
        }
        Json::Array(values) => values.iter_mut().for_each(|value| hide(hidden, value)),
        Json::Object(fields) => {
            *fields = std::mem::take(fields)
                .into_iter()
                .map(|(name, mut value)| {
                    hide(hidden, &mut value);
                    (hidden.hide(&name).into_owned(), value)
                })
                .collect();
        }
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
