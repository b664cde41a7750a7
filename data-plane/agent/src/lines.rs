//! Records as people write them down, a JSON object a line.

use crate::stages::json;
use dray_connect::ConfigMap;
use dray_connect::backing::Backing;
use dray_connect::header::Headers;
use dray_connect::value::SchemaAndValue;
use dray_connect::values;
use dray_converters::{JsonConverter, to_connect_owned};
use dray_runtime::preview::Given;
use serde::Deserialize;
use serde_json::Value as Json;

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

/// Reads lines.
pub struct Lines {
    topic: String,
    backing: Backing,
    plain: JsonConverter,
    enveloped: JsonConverter,
}

impl Lines {
    /// Of a connector whose first topic stands for that of records that name none.
    ///
    /// # Errors
    /// None that is known: the converters have no settings that could be wrong.
    pub fn new(config: &ConfigMap) -> dray_connect::Result<Self> {
        let first = |key: &str| config.get(key).and_then(|topics| topics.split(',').next());
        let topic = first("topics").or_else(|| first("topic")).unwrap_or("topic").trim();
        Ok(Self {
            topic: topic.to_owned(),
            backing: Backing::default(),
            plain: json(false)?,
            enveloped: json(true)?,
        })
    }

    /// Reads one.
    ///
    /// # Errors
    /// When it is not a record: with what is wrong and what is allowed.
    pub fn read(&mut self, line: &str) -> Result<Given, String> {
        let line: Line = serde_json::from_str(line).map_err(|error| format!("not a record: {error}"))?;
        Ok(Given {
            key: self.field(&line.key, "key")?,
            value: self.field(&line.value, "value")?,
            headers: headers(&line.headers).map_err(|error| format!("headers: {error}"))?,
            topic: line.topic.as_deref().unwrap_or(&self.topic).into(),
            partition: line.partition,
            offset: line.offset,
            timestamp: line.timestamp,
        })
    }

    fn field(&mut self, json: &Json, what: &str) -> Result<SchemaAndValue, String> {
        if json.is_null() {
            return Ok(SchemaAndValue::NULL);
        }
        let is_envelope = json
            .as_object()
            .is_some_and(|object| object.len() == 2 && object.contains_key("schema") && object.contains_key("payload"));
        let converter = if is_envelope {
            &mut self.enveloped
        } else {
            &mut self.plain
        };
        let text = json.to_string();
        to_connect_owned(converter, &self.topic, Some(text.as_bytes()), &mut self.backing)
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
