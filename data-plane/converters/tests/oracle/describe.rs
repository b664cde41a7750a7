//! Puts our schemas and values into the words of the oracle, which are given at the head of `deploy/oracle`'s source.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dray_connect::schema::{Schema, Type};
use dray_connect::value::Value;
use serde_json::{Value as Json, json};

pub(crate) fn schema(schema: Option<&Schema>) -> Json {
    let Some(s) = schema else { return Json::Null };
    let mut node = json!({
        "type": s.type_().upper(),
        "optional": s.optional(),
        "name": s.name(),
        "version": s.version(),
        "doc": s.doc(),
        "parameters": s.parameters().map(|all| Json::Object(all.iter().map(|(k, v)| (k.clone(), json!(v))).collect())),
        "default": s.default().map(value),
    });
    if s.type_() == Type::Struct {
        let fields = s
            .fields()
            .unwrap()
            .iter()
            .map(|f| json!({"name": &*f.name, "schema": self::schema(Some(&f.schema))}));
        node["fields"] = Json::Array(fields.collect());
    }
    if s.type_() == Type::Map {
        node["key"] = self::schema(s.key_schema_opt().map(|schema| &**schema));
    }
    if s.type_() == Type::Map || s.type_() == Type::Array {
        node["value"] = self::schema(s.value_schema_opt().map(|schema| &**schema));
    }
    node
}

pub(crate) fn value(value: &Value) -> Json {
    let tagged = |tag: &str, text: Json| json!({"t": tag, "v": text});
    let text = || json!(value.java_to_string());
    match value {
        Value::Null => json!({"t": "NULL"}),
        Value::Boolean(_) => tagged("BOOLEAN", text()),
        Value::Int8(_) => tagged("INT8", text()),
        Value::Int16(_) => tagged("INT16", text()),
        Value::Int32(_) => tagged("INT32", text()),
        Value::Int64(_) => tagged("INT64", text()),
        Value::Float32(_) => tagged("FLOAT32", text()),
        Value::Float64(_) => tagged("FLOAT64", text()),
        Value::String(_) => tagged("STRING", text()),
        Value::Bytes(bytes) => tagged("BYTES", json!(STANDARD.encode(bytes))),
        Value::Date(millis) => tagged("DATE", json!(millis.to_string())),
        Value::Decimal(decimal) => {
            let (unscaled, scale) = decimal.as_bigint_and_exponent();
            tagged("DECIMAL", json!(format!("{unscaled}/{scale}")))
        }
        Value::Array(elements) => tagged("LIST", elements.iter().map(self::value).collect()),
        Value::Map(entries) => tagged(
            "MAP",
            entries
                .iter()
                .map(|(k, v)| json!([self::value(k), self::value(v)]))
                .collect(),
        ),
        Value::Struct(record) => tagged(
            "STRUCT",
            record
                .iter()
                .map(|(field, v)| json!([&*field.name, self::value(v)]))
                .collect(),
        ),
    }
}

/// Sorts the entries of maps and the members of parameters, on both sides alike.
pub(crate) fn sort(node: &mut Json) {
    match node {
        Json::Object(members) => {
            members.values_mut().for_each(sort);
            if members.get("t") == Some(&json!("MAP"))
                && let Some(Json::Array(entries)) = members.get_mut("v")
            {
                entries.sort_by_cached_key(|entry| entry[0].to_string());
            }
            members.sort_keys();
        }
        Json::Array(elements) => elements.iter_mut().for_each(sort),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}
