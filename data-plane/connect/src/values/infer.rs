//! Guesses the schema of a value that has none.

use crate::error::{Error, Result};
use crate::schema::{Schema, SchemaBuilder, SchemaRef, Type};
use crate::value::Value;

/// The schema of a value: by its class, of a list or map by the types of what it holds. None where that is not known or
/// not one: null, dates, decimals, empty and mixed lists and maps. A list or map of nothing but nulls is an error.
pub fn infer_schema(value: &Value) -> Result<Option<SchemaRef>> {
    match value {
        Value::Array(elements) if elements.is_empty() => Ok(None),
        Value::Array(elements) => match detect(elements.iter())? {
            Some(element) => SchemaBuilder::array(element).build().map(Some),
            None => Ok(None),
        },
        Value::Map(entries) if entries.is_empty() => Ok(None),
        Value::Map(entries) => {
            let keys = detect(entries.iter().map(|(key, _)| key));
            let values = detect(entries.iter().map(|(_, value)| value));
            // An undetectable side comes before a side of nulls, as in Java, where the sides are looked at together.
            if matches!(keys, Ok(None)) || matches!(values, Ok(None)) {
                return Ok(None);
            }
            match (keys?, values?) {
                (Some(key), Some(value)) => SchemaBuilder::map(key, value).build().map(Some),
                (_, _) => Ok(None),
            }
        }
        Value::Struct(record) => Ok(Some(record.schema().clone())),
        Value::Boolean(_)
        | Value::Int8(_)
        | Value::Int16(_)
        | Value::Int32(_)
        | Value::Int64(_)
        | Value::Float32(_)
        | Value::Float64(_)
        | Value::String(_)
        | Value::Bytes(_)
        | Value::Null
        | Value::Decimal(_)
        | Value::Date(_) => Ok(value.schema_type().and_then(|kind| Schema::primitive(kind, false))),
    }
}

/// A schema of the one type that all values have, without what is inside of it. It is optional if a null is among them.
fn detect<'a>(values: impl Iterator<Item = &'a Value>) -> Result<Option<SchemaRef>> {
    let mut known: Option<Type> = None;
    let mut optional = false;
    for value in values {
        if value.is_null() {
            optional = true;
            continue;
        }
        let Some(schema) = infer_schema(value)? else {
            return Ok(None);
        };
        if known.is_some_and(|kind| kind != schema.type_()) {
            return Ok(None);
        }
        known = Some(schema.type_());
    }
    let Some(kind) = known else {
        return Err(Error::schema_builder("type cannot be null"));
    };
    let builder = SchemaBuilder::of(kind);
    let builder = if optional { builder.optional() } else { builder };
    builder.build().map(Some)
}
