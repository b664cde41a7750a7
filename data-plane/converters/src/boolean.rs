//! `BooleanConverter`: one byte, 0 or 1.

use dray_connect::datum::ValueRef;
use dray_connect::schema::{Schema, SchemaRef, Type};
use dray_connect::value::Value;
use dray_connect::{Error, Result};

use crate::{Converter, Parsed, Written, java_class};

pub(crate) const CLASS: &str = "org.apache.kafka.connect.converters.BooleanConverter";

/// Writes and reads a boolean as one byte.
#[derive(Debug, Default)]
pub struct BooleanConverter;

impl Converter for BooleanConverter {
    fn from_connect<'a>(
        &mut self,
        _topic: &str,
        schema: Option<&SchemaRef>,
        value: ValueRef<'a>,
        scratch: &mut Vec<u8>,
    ) -> Result<Written<'a>> {
        if let Some(schema) = schema.filter(|schema| schema.type_() != Type::Boolean) {
            return Err(Error::data(format!(
                "Invalid schema type for BooleanConverter: {}",
                schema.type_()
            )));
        }
        match value {
            ValueRef::Null => Ok(Written::Null),
            ValueRef::Boolean(value) => {
                let start = scratch.len();
                scratch.push(u8::from(value));
                Ok(Written::Scratch(start..scratch.len()))
            }
            ValueRef::Int8(_)
            | ValueRef::Int16(_)
            | ValueRef::Int32(_)
            | ValueRef::Int64(_)
            | ValueRef::Float32(_)
            | ValueRef::Float64(_)
            | ValueRef::Str(_)
            | ValueRef::Bytes(_)
            | ValueRef::Tree(_) => Err(Error::data(format!(
                "BooleanConverter is not compatible with objects of type {}",
                java_class(value)
            ))),
        }
    }

    fn to_connect(&mut self, _topic: &str, bytes: Option<&[u8]>) -> Result<(Option<SchemaRef>, Parsed)> {
        let parsed = match bytes {
            None => Parsed::Null,
            Some([0]) => Parsed::Value(Value::Boolean(false)),
            Some([1]) => Parsed::Value(Value::Boolean(true)),
            Some([byte]) => {
                return Err(failed(format!(
                    "Unexpected byte received by BooleanDeserializer: {byte}"
                )));
            }
            Some(_) => {
                return Err(failed(
                    "Size of data received by BooleanDeserializer is not 1".to_owned(),
                ));
            }
        };
        Ok((Some(Schema::optional_boolean()), parsed))
    }

    fn class(&self) -> &'static str {
        CLASS
    }
}

fn failed(cause: String) -> Error {
    Error::data("Failed to deserialize boolean: ").with_source(cause)
}
