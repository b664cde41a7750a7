//! Checks a value against a schema, with the texts of `ConnectSchema.validateValue`.

use std::fmt;

use super::{Schema, Type};
use crate::datum::ValueRef;
use crate::error::{Error, Result};
use crate::logical::Logical;
use crate::value::Value;

/// Where in the checked value we are; only rendered when a check fails.
#[derive(Clone, Copy)]
enum Location<'a> {
    Value,
    Field(&'a str),
    Element(&'a Location<'a>),
    Key(&'a Location<'a>),
    MapValue(&'a Location<'a>),
}

impl fmt::Display for Location<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value => f.write_str("value"),
            Self::Field(name) => write!(f, "field: \"{name}\""),
            Self::Element(of) => write!(f, "element of array {of}"),
            Self::Key(of) => write!(f, "key of map {of}"),
            Self::MapValue(of) => write!(f, "value of map {of}"),
        }
    }
}

/// Checks that `value` is one of `schema`.
///
/// Null needs an optional schema; a default does not help. A logical type takes only its own value, never the base
/// representation. Integers are not widened.
pub fn validate_value(schema: &Schema, value: &Value) -> Result<()> {
    validate(schema, value.into(), Location::Value)
}

/// As [`validate_value`], for the value of a struct's field.
pub fn validate_field(name: &str, schema: &Schema, value: ValueRef<'_>) -> Result<()> {
    validate(schema, value, Location::Field(name))
}

fn validate(schema: &Schema, value: ValueRef<'_>, location: Location<'_>) -> Result<()> {
    if value.is_null() {
        if schema.optional() {
            return Ok(());
        }
        return Err(Error::data(format!(
            "Invalid value: null used for required {location}, schema type: {}",
            schema.type_()
        )));
    }
    if !class_fits(schema, value) {
        let name = schema.name().map(|name| format!(" \"{name}\"")).unwrap_or_default();
        return Err(Error::data(format!(
            "Invalid Java object for schema{name} with type {}: class {} for {location}",
            schema.type_(),
            value.java_class()
        )));
    }
    match (schema.type_(), value) {
        (Type::Struct, ValueRef::Struct(record)) => {
            if **record.schema() != *schema {
                return Err(Error::data("Struct schemas do not match."));
            }
            record.validate()
        }
        (Type::Array, ValueRef::Array(elements)) => {
            let at = Location::Element(&location);
            let element = defined(schema.value_schema_opt(), at)?;
            elements.iter().try_for_each(|value| validate(element, value, at))
        }
        (Type::Map, ValueRef::Map(entries)) => {
            let (at_key, at_value) = (Location::Key(&location), Location::MapValue(&location));
            let key_schema = defined(schema.key_schema_opt(), at_key)?;
            let value_schema = defined(schema.value_schema_opt(), at_value)?;
            for (key, value) in entries.iter() {
                validate(key_schema, key, at_key)?;
                validate(value_schema, value, at_value)?;
            }
            Ok(())
        }
        // A primitive needs no more than its class.
        (_, _) => Ok(()),
    }
}

fn defined<'a>(schema: Option<&'a super::SchemaRef>, location: Location<'_>) -> Result<&'a Schema> {
    match schema {
        Some(schema) => Ok(schema),
        None => Err(Error::data(format!("No schema defined for {location}"))),
    }
}

/// Whether the Java class of the value is one the schema takes.
fn class_fits(schema: &Schema, value: ValueRef<'_>) -> bool {
    match schema.name().and_then(Logical::of_name) {
        Some(Logical::Decimal) => return matches!(value, ValueRef::Decimal(_)),
        Some(Logical::Date | Logical::Time | Logical::Timestamp) => return matches!(value, ValueRef::Date(_)),
        None => {}
    }
    value.schema_type() == Some(schema.type_())
}
