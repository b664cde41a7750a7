//! `ByteArrayConverter`: bytes pass as they are.

use dray_connect::datum::ValueRef;
use dray_connect::schema::{Schema, SchemaRef, Type};
use dray_connect::{Error, Result};

use crate::{Converter, Parsed, Written, java_class};

pub(crate) const CLASS: &str = "org.apache.kafka.connect.converters.ByteArrayConverter";

/// Passes bytes through, and nothing else.
#[derive(Debug, Default)]
pub struct ByteArrayConverter;

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
        match value {
            ValueRef::Null => Ok(Written::Null),
            ValueRef::Bytes(bytes) => Ok(Written::Same(bytes)),
            ValueRef::Boolean(_)
            | ValueRef::Int8(_)
            | ValueRef::Int16(_)
            | ValueRef::Int32(_)
            | ValueRef::Int64(_)
            | ValueRef::Float32(_)
            | ValueRef::Float64(_)
            | ValueRef::Str(_)
            | ValueRef::Tree(_) => Err(Error::data(format!(
                "ByteArrayConverter is not compatible with objects of type {}",
                java_class(value)
            ))),
        }
    }

    fn to_connect(&mut self, _topic: &str, bytes: Option<&[u8]>) -> Result<(Option<SchemaRef>, Parsed)> {
        let parsed = if bytes.is_some() { Parsed::Bytes } else { Parsed::Null };
        Ok((Some(Schema::optional_bytes()), parsed))
    }

    fn class(&self) -> &'static str {
        CLASS
    }
}
