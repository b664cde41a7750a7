//! A payload that is a text with JSON becomes what the text says, with a schema made for it.
//!
//! Where that cannot be done, the payload stays the text that it is, with a warning in the log: the text is no JSON, its elements
//! are not alike, a number is too large, or the whole is an array (which Debezium cannot expand either).

use std::sync::Arc;

use dray_connect::datum::ValueRef;
use dray_connect::schema::{Schema, SchemaBuilder, SchemaRef, Type, validate_value};
use dray_connect::structs::Struct;
use dray_connect::value::Value;
use serde_json::{Number, Value as Json};

use super::row::Column;
use crate::plans::copy_schema_basics;

/// What becomes of null and of empty arrays: they are left out, or kept.
pub(super) struct Expansion {
    pub(super) keep_null: bool,
    pub(super) keep_empty: bool,
}

/// Why a payload is not expanded.
type Refused = String;

impl Expansion {
    /// What the payload says; none where it stays as it is.
    pub(super) fn expand(&self, name: &str, payload: ValueRef<'_>) -> Option<Column> {
        if payload.is_null() {
            return None;
        }
        let Some(text) = payload.as_str() else {
            tracing::warn!("a payload that is no text is not expanded as JSON");
            return None;
        };
        match self.read(name, text) {
            Ok(column) => Some(column),
            Err(problem) => {
                tracing::warn!(problem, "a payload is not expanded as JSON");
                None
            }
        }
    }

    fn read(&self, name: &str, text: &str) -> Result<Column, Refused> {
        if !text.starts_with('{') {
            return Err("it does not begin with {".to_owned());
        }
        // What stands behind the object is not looked at.
        let mut values = serde_json::Deserializer::from_str(text).into_iter::<Json>();
        let json = match values.next() {
            Some(Ok(json)) => json,
            Some(Err(error)) => {
                return Err(format!(
                    "it is no JSON at line {}, column {}",
                    error.line(),
                    error.column()
                ));
            }
            None => return Err("it is empty".to_owned()),
        };
        let schema = self.schema(Some(name), &json)?.ok_or("nothing is known of it")?;
        let value = value(&json, &schema)?;
        validate_value(&schema, &value).map_err(|error| error.to_string())?;
        Ok(Column::owned(schema, value))
    }

    /// The schema of a value; none where the value is left out.
    fn schema(&self, name: Option<&str>, json: &Json) -> Result<Option<SchemaRef>, Refused> {
        let optional = |builder: SchemaBuilder| builder.optional().build().map_err(|error| error.to_string());
        match json {
            Json::String(_) => Ok(Some(Schema::optional_string())),
            Json::Bool(_) => Ok(Some(Schema::optional_boolean())),
            Json::Number(number) => Ok(Some(number_schema(number))),
            Json::Null if self.keep_null => Ok(Some(Schema::optional_bytes())),
            Json::Null => Ok(None),
            Json::Array(elements) if elements.is_empty() => match self.keep_empty {
                true => optional(SchemaBuilder::array(Schema::optional_string())).map(Some),
                false => Ok(None),
            },
            Json::Array(elements) => optional(SchemaBuilder::array(self.element_schema(name, elements)?)).map(Some),
            Json::Object(members) => {
                let mut builder = SchemaBuilder::struct_();
                if let Some(name) = name {
                    builder = builder.name(name);
                }
                for (member, json) in members {
                    let inner = match name.filter(|name| !name.trim().is_empty()) {
                        Some(name) => format!("{name}.{member}"),
                        None => member.clone(),
                    };
                    if let Some(schema) = self.schema(Some(&inner), json)? {
                        builder = builder.field(member.as_str(), schema);
                    }
                }
                optional(builder).map(Some)
            }
        }
    }

    /// The schema of the elements of an array, which must be alike; of objects, all fields that any of them has.
    fn element_schema(&self, name: Option<&str>, elements: &[Json]) -> Result<SchemaRef, Refused> {
        let mut present = elements.iter().filter(|element| !element.is_null());
        let first = present.next().unwrap_or(&Json::Null);
        for element in present {
            let alike = std::mem::discriminant(element) == std::mem::discriminant(first);
            if !alike || number_kind(element) != number_kind(first) {
                return Err(format!(
                    "the elements of array {} are not alike",
                    name.unwrap_or_default()
                ));
            }
        }
        if !first.is_object() {
            let schema = self.schema(None, first)?;
            return schema
                .ok_or_else(|| format!("of the elements of array {} nothing is known", name.unwrap_or_default()));
        }
        let mut kinds: Vec<SchemaRef> = Vec::new();
        for element in elements.iter().filter(|element| element.is_object()) {
            let schema = self.schema(name, element)?;
            kinds.extend(schema.filter(|schema| !kinds.contains(schema)));
        }
        let mut merged: Option<SchemaRef> = None;
        for schema in kinds {
            merged = Some(match merged {
                None => schema,
                Some(left) => merge(&left, &schema)?,
            });
        }
        merged.ok_or_else(|| "an array has no elements".to_owned())
    }
}

/// The fields of both: those of the first one, where they are not the bytes that stand for null. As in Debezium it is not
/// optional, as a schema of which there is only one kind is.
fn merge(left: &SchemaRef, right: &SchemaRef) -> Result<SchemaRef, Refused> {
    let fields = |schema: &SchemaRef| -> Result<Vec<(Arc<str>, SchemaRef)>, Refused> {
        let fields = schema.fields().map_err(|error| error.to_string())?;
        Ok(fields
            .iter()
            .map(|field| (Arc::clone(&field.name), Arc::clone(&field.schema)))
            .collect())
    };
    let mut merged = fields(left)?;
    for (name, schema) in fields(right)? {
        match merged.iter_mut().find(|(known, _)| *known == name) {
            None => merged.push((name, schema)),
            Some((_, known)) => {
                if known.type_() == Type::Bytes && schema.type_() != Type::Bytes {
                    *known = schema;
                }
            }
        }
    }
    let mut builder = copy_schema_basics(left, SchemaBuilder::struct_());
    for (name, schema) in merged {
        builder = builder.field(name, schema);
    }
    builder.build().map_err(|error| error.to_string())
}

fn whole(number: &Number) -> bool {
    !number.as_str().contains(['.', 'e', 'E'])
}

fn number_schema(number: &Number) -> SchemaRef {
    match number.as_i64() {
        Some(value) if whole(number) => match i32::try_from(value) {
            Ok(_) => Schema::optional_int32(),
            Err(_) => Schema::optional_int64(),
        },
        Some(_) | None => Schema::optional_float64(),
    }
}

fn number_kind(json: &Json) -> Option<Type> {
    json.as_number().map(|number| number_schema(number).type_())
}

fn value(json: &Json, schema: &SchemaRef) -> Result<Value, Refused> {
    Ok(match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Boolean(*value),
        Json::String(text) => Value::from(text.as_str()),
        Json::Number(number) => match number.as_i64() {
            Some(value) if whole(number) => i32::try_from(value).map_or(Value::Int64(value), Value::Int32),
            _ if whole(number) => return Err(format!("{number} has more than 64 bits")),
            _ => Value::Float64(number.as_str().parse().unwrap_or(f64::NAN)),
        },
        Json::Array(elements) => {
            let inner = schema.value_schema().map_err(|error| error.to_string())?;
            Value::Array(
                elements
                    .iter()
                    .map(|element| value(element, inner))
                    .collect::<Result<_, _>>()?,
            )
        }
        Json::Object(members) => {
            let mut record = Struct::new(Arc::clone(schema)).map_err(|error| error.to_string())?;
            for field in schema.fields().map_err(|error| error.to_string())? {
                if let Some(json) = members.get(&*field.name) {
                    let value = value(json, &field.schema)?;
                    record.put_at(field.index, value).map_err(|error| error.to_string())?;
                }
            }
            Value::from(record)
        }
    })
}
