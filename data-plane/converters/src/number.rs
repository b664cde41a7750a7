//! The number converters: big-endian, of fixed size.

use dray_connect::backing::Backing;
use dray_connect::datum::{Datum, Field, ValueRef};
use dray_connect::schema::{Schema, SchemaRef};
use dray_connect::{Error, Result};

use crate::{Converter, Input, Written, java_class};

/// Which of the five number converters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    /// `ShortConverter`, 2 bytes.
    Short,
    /// `IntegerConverter`, 4 bytes.
    Integer,
    /// `LongConverter`, 8 bytes.
    Long,
    /// `FloatConverter`, 4 bytes.
    Float,
    /// `DoubleConverter`, 8 bytes.
    Double,
}

impl Number {
    /// The word Connect's messages use.
    fn word(self) -> &'static str {
        match self {
            Self::Short => "short",
            Self::Integer => "integer",
            Self::Long => "long",
            Self::Float => "float",
            Self::Double => "double",
        }
    }

    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Short => "org.apache.kafka.connect.converters.ShortConverter",
            Self::Integer => "org.apache.kafka.connect.converters.IntegerConverter",
            Self::Long => "org.apache.kafka.connect.converters.LongConverter",
            Self::Float => "org.apache.kafka.connect.converters.FloatConverter",
            Self::Double => "org.apache.kafka.connect.converters.DoubleConverter",
        }
    }

    fn schema(self) -> SchemaRef {
        match self {
            Self::Short => Schema::optional_int16(),
            Self::Integer => Schema::optional_int32(),
            Self::Long => Schema::optional_int64(),
            Self::Float => Schema::optional_float32(),
            Self::Double => Schema::optional_float64(),
        }
    }

    /// The value of bytes; none when they are of another size.
    fn decode(self, bytes: &[u8]) -> Option<Datum> {
        Some(match self {
            Self::Short => Datum::Int16(i16::from_be_bytes(bytes.try_into().ok()?)),
            Self::Integer => Datum::Int32(i32::from_be_bytes(bytes.try_into().ok()?)),
            Self::Long => Datum::Int64(i64::from_be_bytes(bytes.try_into().ok()?)),
            Self::Float => Datum::Float32(f32::from_be_bytes(bytes.try_into().ok()?)),
            Self::Double => Datum::Float64(f64::from_be_bytes(bytes.try_into().ok()?)),
        })
    }

    /// The cause Java gives for bytes of another size.
    fn wrong_size(self) -> &'static str {
        match self {
            Self::Short => "Size of data received by ShortDeserializer is not 2",
            Self::Integer => "Size of data received by IntegerDeserializer is not 4",
            Self::Long => "Size of data received by LongDeserializer is not 8",
            Self::Float => "Size of data received by Deserializer is not 4",
            Self::Double => "Size of data received by Deserializer is not 8",
        }
    }
}

/// Writes and reads numbers of one kind. The schema is not looked at.
#[derive(Debug)]
pub struct NumberConverter {
    kind: Number,
    schema: SchemaRef,
}

impl NumberConverter {
    /// The converter of that kind.
    #[must_use]
    pub fn new(kind: Number) -> Self {
        Self {
            kind,
            schema: kind.schema(),
        }
    }
}

impl Converter for NumberConverter {
    fn from_connect<'a>(
        &mut self,
        _topic: &str,
        _schema: Option<&SchemaRef>,
        value: ValueRef<'a>,
        scratch: &mut Vec<u8>,
    ) -> Result<Written<'a>> {
        let start = scratch.len();
        match (self.kind, value) {
            (_, ValueRef::Null) => return Ok(Written::Null),
            (Number::Short, ValueRef::Int16(v)) => scratch.extend_from_slice(&v.to_be_bytes()),
            (Number::Integer, ValueRef::Int32(v)) => scratch.extend_from_slice(&v.to_be_bytes()),
            (Number::Long, ValueRef::Int64(v)) => scratch.extend_from_slice(&v.to_be_bytes()),
            // Java keeps the bits of a NaN only in part: floatToRawIntBits for floats, doubleToLongBits for doubles.
            (Number::Float, ValueRef::Float32(v)) => scratch.extend_from_slice(&v.to_be_bytes()),
            (Number::Double, ValueRef::Float64(v)) => {
                let canonical = if v.is_nan() { f64::NAN } else { v };
                scratch.extend_from_slice(&canonical.to_be_bytes());
            }
            (kind, other) => {
                return Err(Error::data(format!(
                    "Failed to serialize to {} (was {}): ",
                    kind.word(),
                    java_class(other)
                )));
            }
        }
        Ok(Written::Scratch(start..scratch.len()))
    }

    fn to_connect(&mut self, _topic: &str, input: Option<Input<'_>>, batch: &mut Backing) -> Result<Field> {
        let datum = match input {
            None => Datum::Null,
            Some(input) => self.kind.decode(input.bytes).ok_or_else(|| {
                let text = format!("Failed to deserialize {}: ", self.kind.word());
                Error::data(text).with_source(self.kind.wrong_size())
            })?,
        };
        let schema = Some(batch.schema(&self.schema));
        Ok(Field { schema, datum })
    }

    fn class(&self) -> &'static str {
        self.kind.class()
    }
}
