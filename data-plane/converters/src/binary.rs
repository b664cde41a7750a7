//! `ByteArrayConverter`: bytes pass as they are.

use dray_connect::backing::Backing;
use dray_connect::datum::{Datum, Field, ValueRef};
use dray_connect::schema::{Schema, SchemaRef, Type};
use dray_connect::{Error, Result};

use crate::{Converter, Input, Written, java_class};

pub(crate) const CLASS: &str = "org.apache.kafka.connect.converters.ByteArrayConverter";

/// Passes bytes through, and nothing else.
#[derive(Debug)]
pub struct ByteArrayConverter {
    schema: SchemaRef,
}

impl ByteArrayConverter {
    /// Its class name, by which a pipeline is known that changes nothing.
    pub const CLASS: &'static str = CLASS;
}

impl Default for ByteArrayConverter {
    fn default() -> Self {
        Self {
            schema: Schema::optional_bytes(),
        }
    }
}

impl Converter for ByteArrayConverter {
    fn from_connect<'a>(
        &mut self,
        _topic: &str,
        schema: Option<&SchemaRef>,
        value: ValueRef<'a>,
        _scratch: &mut Vec<u8>,
    ) -> Result<Written<'a>> {
        if let Some(schema) = schema.filter(|schema| schema.type_() != Type::Bytes) {
            return Err(Error::data(format!(
                "Invalid schema type for ByteArrayConverter: {}",
                schema.type_()
            )));
        }
        if value.is_null() {
            return Ok(Written::Null);
        }
        if let ValueRef::Bytes(bytes) = value {
            return Ok(Written::Same(bytes));
        }
        Err(Error::data(format!(
            "ByteArrayConverter is not compatible with objects of type {}",
            java_class(value)
        )))
    }

    fn to_connect(&mut self, _topic: &str, input: Option<Input<'_>>, batch: &mut Backing) -> Result<Field> {
        Ok(Field {
            schema: Some(batch.schema(&self.schema)),
            datum: input.map_or(Datum::Null, |input| Datum::Bytes(input.span)),
        })
    }

    fn keeps_bytes(&self) -> Option<&SchemaRef> {
        Some(&self.schema)
    }

    fn class(&self) -> &'static str {
        CLASS
    }
}
