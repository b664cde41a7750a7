//! Makes schemas, values and records of their descriptions, as `deploy/oracle` does; the words are explained there.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bigdecimal::BigDecimal;
use dray_connect::header::Headers;
use dray_connect::schema::{Schema, SchemaBuilder, SchemaRef, Type};
use dray_connect::structs::Struct;
use dray_connect::value::{SchemaAndValue, Value};
use num_bigint::BigInt;
use serde_json::Value as Json;

/// A key, a value or what a header holds.
pub(crate) fn schema_and_value(node: &Json) -> SchemaAndValue {
    let schema = schema(&node["schema"]);
    let value = value(schema.as_ref(), &node["value"]);
    SchemaAndValue { schema, value }
}

pub(crate) fn headers(list: &Json) -> Headers {
    let mut headers = Headers::new();
    for header in list.as_array().unwrap() {
        let name = header[0].as_str().unwrap();
        headers.add(name, schema_and_value(&header[1])).unwrap();
    }
    headers
}

fn schema(node: &Json) -> Option<SchemaRef> {
    const TYPES: [Type; 12] = [
        Type::Int8,
        Type::Int16,
        Type::Int32,
        Type::Int64,
        Type::Float32,
        Type::Float64,
        Type::Boolean,
        Type::String,
        Type::Bytes,
        Type::Array,
        Type::Map,
        Type::Struct,
    ];
    let name = node["type"].as_str()?;
    let kind = TYPES.into_iter().find(|kind| kind.upper() == name).unwrap();
    let inner = |member: &str| schema(&node[member]).unwrap();
    let mut builder = match kind {
        Type::Array => SchemaBuilder::array(inner("value")),
        Type::Map => SchemaBuilder::map(inner("key"), inner("value")),
        _ => SchemaBuilder::of(kind),
    };
    if node["optional"] == true {
        builder = builder.optional();
    }
    if let Some(name) = node["name"].as_str() {
        builder = builder.name(name);
    }
    if let Some(version) = node["version"].as_i64() {
        builder = builder.version(i32::try_from(version).unwrap());
    }
    if let Some(doc) = node["doc"].as_str() {
        builder = builder.doc(doc);
    }
    for (name, text) in node["parameters"].as_object().into_iter().flatten() {
        builder = builder.parameter(name, text.as_str().unwrap());
    }
    for field in node["fields"].as_array().into_iter().flatten() {
        builder = builder.field(field["name"].as_str().unwrap(), schema(&field["schema"]).unwrap());
    }
    let built = builder.build().unwrap();
    if node["default"].is_object() {
        let default = value(Some(&built), &node["default"]);
        return Some(built.to_builder().default_value(default).build().unwrap());
    }
    Some(built)
}

fn value(schema: Option<&SchemaRef>, node: &Json) -> Value {
    let v = &node["v"];
    let text = || v.as_str().unwrap();
    match node["t"].as_str().unwrap() {
        "NULL" => Value::Null,
        "BOOLEAN" => Value::Boolean(text().parse().unwrap()),
        "STRING" => Value::string(text()),
        "BYTES" | "BUFFER" => Value::bytes(STANDARD.decode(text()).unwrap()),
        "INT8" => Value::Int8(text().parse().unwrap()),
        "INT16" => Value::Int16(text().parse().unwrap()),
        "INT32" => Value::Int32(text().parse().unwrap()),
        "INT64" => Value::Int64(text().parse().unwrap()),
        "FLOAT32" => Value::Float32(text().parse().unwrap()),
        "FLOAT64" => Value::Float64(text().parse().unwrap()),
        "DATE" => Value::Date(text().parse().unwrap()),
        "DECIMAL" => {
            let (unscaled, scale) = text().split_once('/').unwrap();
            let unscaled: BigInt = unscaled.parse().unwrap();
            Value::Decimal(BigDecimal::new(unscaled, scale.parse().unwrap()))
        }
        "LIST" => {
            let element = schema.and_then(|schema| schema.value_schema_opt());
            Value::Array(list(v).iter().map(|each| value(element, each)).collect())
        }
        "MAP" => {
            let key = schema.and_then(|schema| schema.key_schema_opt());
            let element = schema.and_then(|schema| schema.value_schema_opt());
            let entry = |entry: &Json| (value(key, &entry[0]), value(element, &entry[1]));
            Value::map(list(v).iter().map(entry))
        }
        "STRUCT" => {
            let own = self::schema(&node["schema"]);
            Value::Struct(Box::new(record(own.as_ref().or(schema).unwrap(), list(v))))
        }
        other => panic!("not a VALUE: {other}"),
    }
}

fn record(schema: &SchemaRef, fields: &[Json]) -> Struct {
    let mut record = Struct::new(SchemaRef::clone(schema)).unwrap();
    for field in fields {
        let name = field[0].as_str().unwrap();
        let of: Option<&SchemaRef> = Schema::field(schema, name).map(|field| &field.schema);
        let value = value(of, &field[1]);
        if !value.is_null() {
            record.put(name, value).unwrap();
        }
    }
    record
}

fn list(v: &Json) -> &[Json] {
    v.as_array().unwrap()
}
