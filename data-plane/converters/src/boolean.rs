//! `BooleanConverter`: one byte, 0 or 1.

use dray_connect::backing::Backing;
use dray_connect::datum::{Datum, Field, ValueRef};
use dray_connect::schema::{Schema, SchemaRef, Type};
use dray_connect::{Error, Result};

use crate::{Converter, Input, Written, java_class};

pub(crate) const CLASS: &str = "org.apache.kafka.connect.converters.BooleanConverter";

/// Writes and reads a boolean as one byte.
#[derive(Debug)]
pub struct BooleanConverter {
    schema: SchemaRef,
}

impl Default for BooleanConverter {
    fn default() -> Self {
        Self {
            schema: Schema::optional_boolean(),
        }
    }
}

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
        if value.is_null() {
            return Ok(Written::Null);
        }
        if let ValueRef::Boolean(value) = value {
            let start = scratch.len();
            scratch.push(u8::from(value));
            return Ok(Written::Scratch(start..scratch.len()));
        }
        Err(Error::data(format!(
            "BooleanConverter is not compatible with objects of type {}",
            java_class(value)
        )))
    }

    fn to_connect(&mut self, _topic: &str, input: Option<Input<'_>>, batch: &mut Backing) -> Result<Field> {
        let datum = match input.map(|input| input.bytes) {
            None => Datum::Null,
            Some([0]) => Datum::Boolean(false),
            Some([1]) => Datum::Boolean(true),
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
        let schema = Some(batch.schema(&self.schema));
        Ok(Field { schema, datum })
    }

    fn class(&self) -> &'static str {
        CLASS
    }
}

fn failed(cause: String) -> Error {
    Error::data("Failed to deserialize boolean: ").with_source(cause)
}
