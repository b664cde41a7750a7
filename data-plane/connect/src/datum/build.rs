//! Writing values into a batch, children first.

use bigdecimal::BigDecimal;

use super::{Datum, Utf8Span};
use crate::backing::{Backing, SchemaId, TopicId};
use crate::error::{Error, Result};
use crate::schema::validate_field;
use crate::value::Value;
use std::sync::Arc;

impl Backing {
    /// A string, copied in.
    #[inline]
    pub fn text(&mut self, text: &str) -> Datum {
        let span = self.copy(text.as_bytes());
        Datum::Str(Utf8Span::checked_by_caller(self, span))
    }

    /// A string that many records of the batch have, each time by the same handle: copied in once.
    #[inline]
    pub fn constant(&mut self, text: &Arc<str>) -> Datum {
        let span = self.copy_once(text);
        Datum::Str(Utf8Span::checked_by_caller(self, span))
    }

    /// The name of a topic of this batch as a string.
    #[inline]
    pub fn topic_text(&mut self, topic: TopicId) -> Datum {
        let span = self.copy_topic(topic);
        Datum::Str(Utf8Span::checked_by_caller(self, span))
    }

    /// A decimal, copied in.
    pub fn decimal(&mut self, decimal: &BigDecimal) -> Datum {
        let (unscaled, scale) = decimal.as_bigint_and_exponent();
        let mut bytes = unscaled.to_signed_bytes_be();
        bytes.extend_from_slice(&scale.to_be_bytes());
        Datum::Decimal(self.copy(&bytes))
    }

    /// An array of elements of this batch.
    #[inline]
    pub fn array(&mut self, elements: &[Datum]) -> Datum {
        Datum::Array(self.row_of(elements))
    }

    /// A map of keys and values of this batch. No two keys may be equal.
    #[inline]
    pub fn map(&mut self, entries: impl IntoIterator<Item = (Datum, Datum)>) -> Datum {
        Datum::Map(self.row(entries.into_iter().flat_map(|(key, value)| [key, value])))
    }

    /// A map of keys and values of this batch by turns. No two keys may be equal.
    #[inline]
    pub fn map_of_parts(&mut self, parts: &[Datum]) -> Datum {
        debug_assert!(parts.len().is_multiple_of(2), "a key without a value");
        Datum::Map(self.row_of(parts))
    }

    /// A struct of values of this batch, one for each field of the schema and in its order. Each is checked as
    /// [`crate::structs::Struct::put`] does it: null needs an optional field, even where there is a default.
    pub fn record(&mut self, schema: SchemaId, fields: &[Datum]) -> Result<Datum> {
        let expected = self.schema_of(schema).fields()?;
        if expected.len() != fields.len() {
            return Err(Error::data(format!(
                "a struct of {} fields cannot take {} values",
                expected.len(),
                fields.len()
            )));
        }
        for (field, datum) in expected.iter().zip(fields) {
            validate_field(&field.name, &field.schema, datum.view(self))?;
        }
        Ok(Datum::Struct(self.struct_row(schema, fields)))
    }

    /// As [`Backing::record`], for a caller that made each value by its field's schema. The check is repeated in debug
    /// builds.
    ///
    /// # Panics
    /// When there is not one value for each field.
    #[inline]
    pub fn record_checked_by_caller(&mut self, schema: SchemaId, fields: &[Datum]) -> Datum {
        let expected = self.schema_of(schema).fields().map_or(0, <[_]>::len);
        assert_eq!(expected, fields.len(), "a struct needs a value for each field");
        let row = self.struct_row(schema, fields);
        debug_assert!(self.fields_fit(row), "a value does not fit the schema of its field");
        Datum::Struct(row)
    }

    /// As [`Backing::record`], but nothing is checked, neither here nor in debug builds: what Java has in its hands before
    /// anybody calls `validate()`. Whoever writes the struct finds a null in a required field.
    ///
    /// # Panics
    /// When there is not one value for each field.
    #[inline]
    pub fn record_not_validated(&mut self, schema: SchemaId, fields: &[Datum]) -> Datum {
        let expected = self.schema_of(schema).fields().map_or(0, <[_]>::len);
        assert_eq!(expected, fields.len(), "a struct needs a value for each field");
        Datum::Struct(self.struct_row(schema, fields))
    }

    fn fields_fit(&self, row: crate::backing::StructRow) -> bool {
        let fields = self.schema_of(row.schema()).fields().unwrap_or_default();
        let fits = |(field, datum): (&crate::schema::Field, &Datum)| {
            validate_field(&field.name, &field.schema, datum.view(self)).is_ok()
        };
        fields.iter().zip(self.fields(row)).all(fits)
    }

    /// An owned value, copied in with all that is inside.
    pub fn value(&mut self, value: &Value) -> Datum {
        match value {
            Value::Null => Datum::Null,
            Value::Boolean(v) => Datum::Boolean(*v),
            Value::Int8(v) => Datum::Int8(*v),
            Value::Int16(v) => Datum::Int16(*v),
            Value::Int32(v) => Datum::Int32(*v),
            Value::Int64(v) => Datum::Int64(*v),
            Value::Float32(v) => Datum::Float32(*v),
            Value::Float64(v) => Datum::Float64(*v),
            Value::String(text) => self.text(text),
            Value::Bytes(bytes) => Datum::Bytes(self.copy(bytes)),
            Value::Decimal(decimal) => self.decimal(decimal),
            Value::Date(v) => Datum::Date(*v),
            Value::Array(elements) => {
                let elements = self.values(elements.iter());
                self.array(&elements)
            }
            Value::Map(entries) => {
                let nodes = self.values(entries.iter().flat_map(|(key, value)| [key, value]));
                Datum::Map(self.row_of(&nodes))
            }
            Value::Struct(record) => {
                let schema = self.schema(record.schema());
                // A struct is checked where it is filled, and not again.
                let fields = self.values(record.values().iter());
                Datum::Struct(self.struct_row(schema, &fields))
            }
        }
    }

    fn values<'v>(&mut self, values: impl Iterator<Item = &'v Value>) -> Vec<Datum> {
        let mut nodes = Vec::with_capacity(values.size_hint().0);
        for value in values {
            nodes.push(self.value(value));
        }
        nodes
    }
}
