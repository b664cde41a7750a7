//! The views of nested values. Each stands either on rows of a batch or on an owned [`Value`]; readers do not see which.

use std::fmt;

use bigdecimal::BigDecimal;
use num_bigint::BigInt;

use super::{Datum, ValueRef};
use crate::backing::{Backing, Row, StructRow};
use crate::error::{Error, Result};
use crate::schema::{Field, SchemaRef, validate_field};
use crate::structs::Struct;
use crate::value::Value;

/// The elements of an array.
#[derive(Clone, Copy)]
pub struct ArrayRef<'a>(Elements<'a>);

#[derive(Clone, Copy)]
enum Elements<'a> {
    Batch(&'a Backing, Row),
    Owned(&'a [Value]),
}

impl<'a> ArrayRef<'a> {
    pub(super) fn of_batch(backing: &'a Backing, row: Row) -> Self {
        Self(Elements::Batch(backing, row))
    }

    pub(super) fn of_value(elements: &'a [Value]) -> Self {
        Self(Elements::Owned(elements))
    }

    /// Number of elements.
    #[must_use]
    pub fn len(self) -> usize {
        match self.0 {
            Elements::Batch(backing, row) => backing.nodes(row).len(),
            Elements::Owned(elements) => elements.len(),
        }
    }

    /// Whether there is no element.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The element at that place.
    #[must_use]
    pub fn get(self, index: usize) -> Option<ValueRef<'a>> {
        match self.0 {
            Elements::Batch(backing, row) => backing.nodes(row).get(index).map(|datum| datum.view(backing)),
            Elements::Owned(elements) => elements.get(index).map(ValueRef::from),
        }
    }

    /// The elements in order.
    pub fn iter(self) -> impl Iterator<Item = ValueRef<'a>> {
        (0..self.len()).filter_map(move |index| self.get(index))
    }

    pub(super) fn to_value(self) -> Value {
        // Plain loops here and below: a value may nest 1000 deep, and iterators take more of the stack.
        let mut elements = Vec::with_capacity(self.len());
        for element in self.iter() {
            elements.push(element.to_value());
        }
        Value::Array(elements)
    }
}

/// The entries of a map, in order.
#[derive(Clone, Copy)]
pub struct MapRef<'a>(Entries<'a>);

#[derive(Clone, Copy)]
enum Entries<'a> {
    Batch(&'a Backing, Row),
    Owned(&'a [(Value, Value)]),
}

impl<'a> MapRef<'a> {
    pub(super) fn of_batch(backing: &'a Backing, row: Row) -> Self {
        Self(Entries::Batch(backing, row))
    }

    pub(super) fn of_value(entries: &'a [(Value, Value)]) -> Self {
        Self(Entries::Owned(entries))
    }

    /// Number of entries.
    #[must_use]
    pub fn len(self) -> usize {
        match self.0 {
            Entries::Batch(backing, row) => backing.nodes(row).len() / 2,
            Entries::Owned(entries) => entries.len(),
        }
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The key and the value at that place.
    #[must_use]
    pub fn at(self, index: usize) -> Option<(ValueRef<'a>, ValueRef<'a>)> {
        match self.0 {
            Entries::Batch(backing, row) => {
                let (entries, _) = backing.nodes(row).as_chunks::<2>();
                let [key, value] = entries.get(index)?;
                Some((key.view(backing), value.view(backing)))
            }
            Entries::Owned(entries) => {
                let (key, value) = entries.get(index)?;
                Some((key.into(), value.into()))
            }
        }
    }

    /// The value of the entry with that string as its key.
    #[must_use]
    pub fn get(self, key: &str) -> Option<ValueRef<'a>> {
        let is_it = |found: ValueRef<'_>| matches!(found, ValueRef::Str(text) if text == key.as_bytes());
        let (_, value) = self.iter().find(|(found, _)| is_it(*found))?;
        Some(value)
    }

    /// Keys and values in order.
    pub fn iter(self) -> impl Iterator<Item = (ValueRef<'a>, ValueRef<'a>)> {
        (0..self.len()).filter_map(move |index| self.at(index))
    }

    pub(super) fn to_value(self) -> Value {
        let mut entries = Vec::with_capacity(self.len());
        for (key, value) in self.iter() {
            entries.push((key.to_value(), value.to_value()));
        }
        Value::Map(entries)
    }
}

/// The values of a struct, found once for whoever asks for all of them.
#[derive(Clone, Copy)]
pub struct FieldValues<'a>(Cells<'a>);

#[derive(Clone, Copy)]
enum Cells<'a> {
    Batch(&'a Backing, &'a [Datum]),
    Owned(&'a [Value]),
}

impl<'a> FieldValues<'a> {
    /// The value of the field at that place of the schema, defaults not filled in.
    #[must_use]
    #[inline(always)]
    pub fn at(self, index: usize) -> Option<ValueRef<'a>> {
        match self.0 {
            Cells::Batch(backing, row) => row.get(index).map(|datum| datum.view(backing)),
            Cells::Owned(values) => values.get(index).map(ValueRef::from),
        }
    }

    /// The same where it is a text, a number or a boolean that lies in a batch, for writers that are short for those.
    #[must_use]
    #[inline(always)]
    pub fn scalar(self, index: usize) -> Option<ValueRef<'a>> {
        let Cells::Batch(backing, row) = self.0 else {
            return None;
        };
        match *row.get(index)? {
            Datum::Str(span) => Some(ValueRef::Str(backing.bytes(span.span()))),
            Datum::Int64(value) => Some(ValueRef::Int64(value)),
            Datum::Int32(value) => Some(ValueRef::Int32(value)),
            Datum::Float64(value) => Some(ValueRef::Float64(value)),
            Datum::Boolean(value) => Some(ValueRef::Boolean(value)),
            Datum::Null
            | Datum::Int8(_)
            | Datum::Int16(_)
            | Datum::Float32(_)
            | Datum::Bytes(_)
            | Datum::Decimal(_)
            | Datum::Date(_)
            | Datum::Array(_)
            | Datum::Map(_)
            | Datum::Struct(_) => None,
        }
    }
}

/// A struct: its schema and a value for each field.
#[derive(Clone, Copy)]
pub struct StructRef<'a>(Fields<'a>);

#[derive(Clone, Copy)]
enum Fields<'a> {
    Batch(&'a Backing, StructRow),
    Owned(&'a Struct),
}

impl<'a> StructRef<'a> {
    pub(super) fn of_batch(backing: &'a Backing, row: StructRow) -> Self {
        Self(Fields::Batch(backing, row))
    }

    pub(super) fn of_value(record: &'a Struct) -> Self {
        Self(Fields::Owned(record))
    }

    /// The schema.
    #[must_use]
    pub fn schema(self) -> &'a SchemaRef {
        match self.0 {
            Fields::Batch(backing, row) => backing.schema_of(row.schema()),
            Fields::Owned(record) => record.schema(),
        }
    }

    /// The value of the field at that place of the schema, defaults not filled in.
    #[must_use]
    pub fn at(self, index: usize) -> Option<ValueRef<'a>> {
        match self.0 {
            Fields::Batch(backing, row) => backing.fields(row).get(index).map(|datum| datum.view(backing)),
            Fields::Owned(record) => record.values().get(index).map(ValueRef::from),
        }
    }

    /// All values, for a reader that goes through them.
    #[must_use]
    #[inline]
    pub fn values(self) -> FieldValues<'a> {
        FieldValues(match self.0 {
            Fields::Batch(backing, row) => Cells::Batch(backing, backing.fields(row)),
            Fields::Owned(record) => Cells::Owned(record.values()),
        })
    }

    /// The value of a field; the schema's default stands for null.
    pub fn get(self, name: &str) -> Result<ValueRef<'a>> {
        let field = self.lookup(name)?;
        let value = self.at(field.index).unwrap_or(ValueRef::Null);
        Ok(match (value, field.schema.default()) {
            (ValueRef::Null, Some(default)) => default.into(),
            (value, _) => value,
        })
    }

    /// The value of a field as it was put.
    pub fn get_without_default(self, name: &str) -> Result<ValueRef<'a>> {
        let field = self.lookup(name)?;
        Ok(self.at(field.index).unwrap_or(ValueRef::Null))
    }

    /// The fields with their values, defaults not filled in.
    pub fn iter(self) -> impl Iterator<Item = (&'a Field, ValueRef<'a>)> {
        let fields = self.schema().fields().unwrap_or_default();
        fields
            .iter()
            .filter_map(move |field| Some((field, self.at(field.index)?)))
    }

    /// Checks every field; null passes where the field is optional or has a default.
    pub fn validate(self) -> Result<()> {
        let check = |field: &Field, value: ValueRef<'_>| {
            let may_miss = || field.schema.optional() || field.schema.default().is_some();
            if value.is_null() && may_miss() {
                return Ok(());
            }
            validate_field(&field.name, &field.schema, value)
        };
        match self.0 {
            // Not by `iter`, which looks the row up for each field.
            Fields::Batch(backing, row) => {
                let fields = backing.schema_of(row.schema()).fields().unwrap_or_default();
                let mut pairs = fields.iter().zip(backing.fields(row));
                pairs.try_for_each(|(field, datum)| check(field, datum.view(backing)))
            }
            Fields::Owned(_) => self.iter().try_for_each(|(field, value)| check(field, value)),
        }
    }

    /// An owned copy.
    #[must_use]
    pub fn to_struct(self) -> Struct {
        let count = self.schema().fields().map_or(0, <[_]>::len);
        let mut values = Vec::with_capacity(count);
        for (_, value) in self.iter() {
            values.push(value.to_value());
        }
        Struct::of_checked(SchemaRef::clone(self.schema()), values.into())
    }

    fn lookup(self, name: &str) -> Result<&'a Field> {
        let field = self.schema().field(name);
        field.ok_or_else(|| Error::data(format!("{name} is not a valid field name")))
    }
}

impl<'a> From<&'a Struct> for StructRef<'a> {
    fn from(record: &'a Struct) -> Self {
        Self::of_value(record)
    }
}

/// A decimal.
#[derive(Clone, Copy)]
pub struct DecimalRef<'a>(Digits<'a>);

#[derive(Clone, Copy)]
enum Digits<'a> {
    /// The unscaled number, big-endian, then the scale.
    Batch(&'a [u8]),
    Owned(&'a BigDecimal),
}

impl<'a> DecimalRef<'a> {
    pub(super) fn of_batch(bytes: &'a [u8]) -> Self {
        Self(Digits::Batch(bytes))
    }

    pub(super) fn of_value(decimal: &'a BigDecimal) -> Self {
        Self(Digits::Owned(decimal))
    }

    /// The number, owned.
    #[must_use]
    pub fn to_decimal(self) -> BigDecimal {
        match self.0 {
            Digits::Batch(bytes) => {
                // `Backing::decimal` always writes a scale.
                let (unscaled, scale) = bytes.split_last_chunk().unwrap_or((&[], &[0; 8]));
                BigDecimal::new(BigInt::from_signed_bytes_be(unscaled), i64::from_be_bytes(*scale))
            }
            Digits::Owned(decimal) => decimal.clone(),
        }
    }
}

macro_rules! debug {
    ($($name:ident, $value:ident => $out:expr;)*) => {
        $(
            impl fmt::Debug for $name<'_> {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    let $value = *self;
                    fmt::Debug::fmt(&$out, f)
                }
            }
        )*
    };
}

debug! {
    ArrayRef, v => v.to_value();
    MapRef, v => v.to_value();
    StructRef, v => v.to_struct();
    DecimalRef, v => v.to_decimal();
}
