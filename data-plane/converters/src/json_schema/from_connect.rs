//! From Connect's schemas to JSON Schemas, with their members in the order in which Confluent's converter prints them: registries that
//! compare texts find the same one.

use dray_connect::logical::Logical;
use dray_connect::schema::{Field, Schema as Connect, SchemaRef, Type};
use dray_connect::{Error, Result};
use serde_json::{Map, Value as Json};

use super::default;
use super::hash_order;
use super::read::{is_name, is_union};
use super::settings::{
    CONNECT_INDEX, CONNECT_PARAMETERS, CONNECT_TYPE, CONNECT_VERSION, ENUM, NAMESPACE, NULL_SYMBOL, SUM_ENUM, Settings,
};
use super::write::Write;
use crate::json::write::DecimalFormat;

/// The text of the JSON Schema of a Connect schema.
pub(super) fn from_connect(schema: &SchemaRef, settings: &Settings) -> Result<String> {
    Ok(of(schema, None, settings)?.to_string())
}

/// A schema at that place of a struct, with null where that is allowed.
fn of(schema: &SchemaRef, index: Option<usize>, settings: &Settings) -> Result<Json> {
    if is_union(schema) {
        return union(schema, schema.optional(), index, settings);
    }
    if schema.optional() {
        return Ok(one_of(vec![null(), plain(schema, None, settings)?], index));
    }
    plain(schema, index, settings)
}

fn union(schema: &SchemaRef, optional: bool, index: Option<usize>, settings: &Settings) -> Result<Json> {
    let mut branches = Vec::new();
    if optional {
        branches.push(null());
    }
    for field in schema.fields()? {
        let index = Some(field.index);
        // Null is one of the union, and of none of its branches.
        branches.push(if is_union(&field.schema) {
            union(&field.schema, false, index, settings)?
        } else {
            plain(&field.schema, index, settings)?
        });
    }
    Ok(one_of(branches, index))
}

fn null() -> Json {
    let mut members = Map::new();
    members.insert("type".to_owned(), "null".into());
    Json::Object(members)
}

fn one_of(branches: Vec<Json>, index: Option<usize>) -> Json {
    let mut members = Map::new();
    if let Some(index) = index {
        members.insert(CONNECT_INDEX.to_owned(), index.into());
    }
    members.insert("oneOf".to_owned(), Json::Array(branches));
    Json::Object(members)
}

/// A schema as if null were not allowed.
fn plain(schema: &SchemaRef, index: Option<usize>, settings: &Settings) -> Result<Json> {
    let mut out = Map::new();
    let mut put = |name: &str, value: Json| out.insert(name.to_owned(), value);
    let attributes = |out: &mut Map<String, Json>, word: Option<&str>| attributes(schema, word, index, settings, out);
    match schema.type_() {
        Type::Int8 | Type::Int16 | Type::Int32 | Type::Int64 => {
            put("type", "integer".into());
            attributes(&mut out, Some(schema.type_().name()))?;
        }
        Type::Float32 | Type::Float64 => {
            put("type", "number".into());
            attributes(&mut out, Some(schema.type_().name()))?;
        }
        Type::Boolean => {
            attributes(&mut out, None)?;
            out.insert("type".to_owned(), "boolean".into());
        }
        Type::String => {
            match symbols(schema, settings) {
                Some(symbols) => drop(put("enum", symbols)),
                None => drop(put("type", "string".into())),
            }
            attributes(&mut out, None)?;
        }
        Type::Bytes => {
            let is_number =
                Logical::of(schema) == Some(Logical::Decimal) && settings.decimal_format == DecimalFormat::Numeric;
            put("type", if is_number { "number" } else { "string" }.into());
            attributes(&mut out, Some("bytes"))?;
        }
        Type::Array => {
            put("type", "array".into());
            attributes(&mut out, None)?;
            let items = of(schema.value_schema()?, None, settings)?;
            out.insert("items".to_owned(), items);
        }
        Type::Map if is_name(schema.key_schema()?) => {
            put("type", "object".into());
            attributes(&mut out, Some("map"))?;
            let values = of(schema.value_schema()?, None, settings)?;
            out.insert("additionalProperties".to_owned(), values);
        }
        Type::Map => {
            put("type", "array".into());
            attributes(&mut out, Some("map"))?;
            let part = |name: &str, index: usize, schema: &SchemaRef| Field {
                name: name.into(),
                index,
                schema: SchemaRef::clone(schema),
            };
            let parts = [
                part("key", 0, schema.key_schema()?),
                part("value", 1, schema.value_schema()?),
            ];
            let mut entry = Map::new();
            entry.insert("type".to_owned(), "object".into());
            entry.insert("properties".to_owned(), properties(&parts, settings)?);
            out.insert("items".to_owned(), Json::Object(entry));
        }
        Type::Struct => {
            put("type", "object".into());
            if !settings.additional_properties {
                put("additionalProperties", false.into());
            }
            attributes(&mut out, None)?;
            let fields = schema.fields()?;
            if !fields.is_empty() {
                out.insert("properties".to_owned(), properties(fields, settings)?);
            }
        }
    }
    Ok(Json::Object(out))
}

fn properties(fields: &[Field], settings: &Settings) -> Result<Json> {
    let names: Vec<&str> = fields.iter().map(|field| &*field.name).collect();
    let mut out = Map::new();
    for place in hash_order::order(&names, 16) {
        let field = &fields[place];
        let json = of(&field.schema, Some(field.index), settings);
        let json = json.map_err(|error| Error::data(format!("{}: {error}", field.name)))?;
        out.insert(field.name.to_string(), json);
    }
    Ok(Json::Object(out))
}

/// What all types have in common. Connect's own words come in the order of their hashes.
fn attributes(
    schema: &SchemaRef,
    word: Option<&str>,
    index: Option<usize>,
    settings: &Settings,
    out: &mut Map<String, Json>,
) -> Result<()> {
    let mut put = |name: &str, value: Json| out.insert(name.to_owned(), value);
    if let Some(name) = schema.name() {
        put("title", name.into());
    }
    if let Some(doc) = schema.doc() {
        put("description", doc.into());
    }
    if let Some(value) = schema.default()
        && let Some(json) = default::write(&Write::of(Some(schema), settings)?, value)
    {
        put("default", json);
    }
    if let Some(index) = index {
        put(CONNECT_INDEX, index.into());
    }
    if let Some(version) = schema.version() {
        put(CONNECT_VERSION, version.into());
    }
    if let Some(word) = word {
        put(CONNECT_TYPE, word.into());
    }
    let parameters = schema.parameters().into_iter().flatten();
    let mut parameters: Vec<(&String, &String)> = parameters.filter(|(name, _)| !name.starts_with(NAMESPACE)).collect();
    if !parameters.is_empty() {
        // From one table they go into another, which is as large as it has to be.
        for least in [16, parameters.len()] {
            let names: Vec<&String> = parameters.iter().map(|(name, _)| *name).collect();
            let places = hash_order::order(&names, least);
            parameters = places.into_iter().map(|place| parameters[place]).collect();
        }
        let members = parameters
            .into_iter()
            .map(|(name, value)| (name.clone(), Json::from(value.as_str())));
        put(CONNECT_PARAMETERS, Json::Object(members.collect()));
    }
    Ok(())
}

/// The values of the enum that the parameters of a string describe.
fn symbols(schema: &Connect, settings: &Settings) -> Option<Json> {
    let parameters = schema.parameters()?;
    if !parameters.contains_key(ENUM) && !parameters.contains_key(SUM_ENUM) {
        return None;
    }
    let prefix = format!("{}.", settings.enum_parameter());
    let symbols: Vec<&str> = parameters
        .keys()
        .filter_map(|name| name.strip_prefix(&prefix))
        .collect();
    // The hash of null is that of the empty text.
    let hashed: Vec<&str> = symbols
        .iter()
        .map(|symbol| if *symbol == NULL_SYMBOL { "" } else { symbol })
        .collect();
    let places = hash_order::order(&hashed, 16).into_iter();
    let symbols = places.map(|place| match symbols[place] {
        NULL_SYMBOL => Json::Null,
        symbol => symbol.into(),
    });
    Some(symbols.collect())
}
