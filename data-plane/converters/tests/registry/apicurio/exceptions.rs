//! In what Apicurio's converter and ours differ, and why.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dray_connect::schema::{Schema, SchemaRef, Type};
use dray_connect::value::Value;
use serde_json::Value as Json;

use super::cases::Case;

/// What was compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The bytes behind the id.
    Written,
    /// What both read in what we wrote.
    ReadOurs,
    /// What both read in what Apicurio's converter wrote.
    ReadTheirs,
    /// What both read in what others wrote.
    ReadOthers,
    /// The schemas that were registered.
    Schema,
}

/// The names, and the reasons.
pub(super) const EXCEPTIONS: [(&str, &str); 11] = [
    (
        "version",
        "Confluent's converter gives a schema the version that it has in its subject, and so does ours; Apicurio's gives it none.",
    ),
    (
        "no-record",
        "What is no record as a whole, or may be null, keeps its schema with Confluent's converter. Apicurio's gives no schema to what it reads \
         then, or one without null, and registers that of the record instead of the union with null.",
    ),
    (
        "bare-bytes",
        "Confluent writes a message whose schema is bytes as it is; Apicurio writes the length that Avro has before them.",
    ),
    (
        "map-entries",
        "Two maps with keys that are no texts: Java calls the entries of both MapEntry and writes the second by name, which is then read as the \
         first. Ours have names of their own.",
    ),
    (
        "one-name",
        "Two schemas of one name: Java writes the second by name, which is then read as the first. Ours are refused.",
    ),
    (
        "map-order",
        "Java writes a map in the order of a HashMap, ours in its own.",
    ),
    (
        "float-digits",
        "JDK 17 prints some floats and doubles with more digits than are needed; they are the same numbers.",
    ),
    (
        "double-arrays",
        "Avro 1.12.0, which Apicurio's converter comes with, reads the doubles of an array as floats (AVRO-4108).",
    ),
    (
        "short-in-union",
        "A branch that is an INT8 or INT16 of Connect's is read by ours; Java's converter finds no branch for it.",
    ),
    (
        "bytes-without-schema",
        "Bytes without a schema have a place in Confluent's schema for them, and ours puts them there; Java's converter refuses a byte[].",
    ),
    (
        "fixed-decimal",
        "A decimal in a fixed is read by Confluent's converter; Apicurio's copy of it finds that the names do not fit.",
    ),
];

/// The name of the exception, where it is one.
pub(super) fn name(step: Step, case: Option<&Case>, ours: &Json, theirs: &Json) -> Option<&'static str> {
    let schema = case.and_then(|case| case.schema.as_ref());
    if let Some(schema) = schema {
        if schema.type_() == Type::Bytes {
            return Some("bare-bytes");
        }
        if schema.type_() != Type::Struct || schema.optional() || is_union(schema) {
            return Some("no-record");
        }
        let mut all = Vec::new();
        collect(schema, &mut all);
        if matches!(step, Step::Schema | Step::ReadTheirs) && two(&all, is_entries) {
            return Some("map-entries");
        }
        if matches!(step, Step::Written | Step::ReadTheirs) && two(&all, is_record) {
            return Some("one-name");
        }
    }
    if step == Step::Written {
        if theirs["error"]
            .as_str()
            .is_some_and(|text| text.contains("schemaless data: class [B"))
        {
            return Some("bytes-without-schema");
        }
        let has_order = case.is_some_and(|case| has_order(&case.value));
        return (has_order && sorted(ours)? == sorted(theirs)?).then_some("map-order");
    }
    let error = theirs["error"].as_str().unwrap_or_default();
    if error.contains("Mismatched names") {
        return Some("fixed-decimal");
    }
    if error.contains("Did not find matching union field") {
        return Some("short-in-union");
    }
    let mut ours = ours.clone();
    if ours["schema"]["version"].is_i64() && theirs["schema"]["version"].is_null() {
        ours["schema"]["version"] = Json::Null;
    }
    if ours == *theirs {
        return Some("version");
    }
    let rounded = |how: fn(&mut Json)| {
        let (mut ours, mut theirs) = (ours.clone(), theirs.clone());
        how(&mut ours);
        how(&mut theirs);
        ours == theirs
    };
    if rounded(without_digits) {
        return Some("float-digits");
    }
    rounded(without_doubles).then_some("double-arrays")
}

fn is_union(schema: &Schema) -> bool {
    schema.name() == Some("io.confluent.connect.avro.Union")
}

fn is_entries(schema: &Schema) -> bool {
    let is_text = |key: &SchemaRef| key.type_() == Type::String && !key.optional();
    schema.name().is_none() && schema.key_schema_opt().is_some_and(|key| !is_text(key))
}

fn is_record(schema: &Schema) -> bool {
    schema.type_() == Type::Struct && schema.name().is_some() && !is_union(schema)
}

fn collect<'a>(schema: &'a SchemaRef, all: &mut Vec<&'a Schema>) {
    all.push(schema);
    let parts = [schema.key_schema_opt(), schema.value_schema_opt()];
    parts.into_iter().flatten().for_each(|part| collect(part, all));
    for field in schema.fields().unwrap_or_default() {
        collect(&field.schema, all);
    }
}

/// Whether two of that kind, with the same name, are not the same.
fn two(all: &[&Schema], is_it: fn(&Schema) -> bool) -> bool {
    let its: Vec<&Schema> = all.iter().copied().filter(|schema| is_it(schema)).collect();
    let differ = |a: &Schema, b: &Schema| {
        a.key_schema_opt() != b.key_schema_opt()
            || a.value_schema_opt() != b.value_schema_opt()
            || a.fields().unwrap_or_default() != b.fields().unwrap_or_default()
    };
    let mut pairs = its
        .iter()
        .enumerate()
        .flat_map(|(at, a)| its[at + 1..].iter().map(move |b| (*a, *b)));
    pairs.any(|(a, b)| a.name() == b.name() && differ(a, b))
}

fn has_order(value: &Value) -> bool {
    if let Value::Map(entries) = value {
        entries.len() > 1 || entries.iter().any(|(key, value)| has_order(key) || has_order(value))
    } else if let Value::Array(elements) = value {
        elements.iter().any(has_order)
    } else if let Value::Struct(record) = value {
        record.values().iter().any(has_order)
    } else {
        false
    }
}

/// The bytes, whatever their order.
fn sorted(base64: &Json) -> Option<Vec<u8>> {
    let mut bytes = STANDARD.decode(base64.as_str()?).ok()?;
    bytes.sort_unstable();
    Some(bytes)
}

/// Numbers as they are, whatever their digits.
fn without_digits(node: &mut Json) {
    let text = node["v"].as_str().unwrap_or_default().to_owned();
    if node["t"] == "FLOAT32" {
        node["v"] = text.parse::<f32>().map(f32::to_bits).unwrap_or_default().into();
    } else if node["t"] == "FLOAT64" {
        node["v"] = text.parse::<f64>().map(f64::to_bits).unwrap_or_default().into();
    } else if let Json::Number(number) = node {
        // Of a default in a schema, which may be a float's.
        *node = number
            .to_string()
            .parse::<f32>()
            .map(f32::to_bits)
            .unwrap_or_default()
            .into();
    } else {
        parts(node, without_digits);
    }
}

/// The same, and the doubles of arrays as floats.
fn without_doubles(node: &mut Json) {
    if node["t"] == "LIST" {
        for part in node["v"].as_array_mut().into_iter().flatten() {
            if part["t"] == "FLOAT64" {
                let number: f64 = part["v"].as_str().unwrap_or_default().parse().unwrap_or_default();
                part["v"] = (number as f32).to_bits().into();
            } else {
                without_doubles(part);
            }
        }
    } else if node["t"] == "FLOAT32" || node["t"] == "FLOAT64" {
        without_digits(node);
    } else {
        parts(node, without_doubles);
    }
}

fn parts(node: &mut Json, each: fn(&mut Json)) {
    if let Json::Array(elements) = node {
        elements.iter_mut().for_each(each);
    } else if let Json::Object(members) = node {
        members.values_mut().for_each(each);
    }
}
