//! How a record of a batch holds its key and its value, and the view that everybody reads them through.
//!
//! Nested values are read in `nested` and written in `build`.

mod build;
mod nested;

use crate::backing::{Backing, Row, SchemaId, Span, StructRow};
use crate::schema::{SchemaRef, Type};
use crate::value::Value;

pub use self::nested::{ArrayRef, DecimalRef, FieldValues, MapRef, StructRef};

/// A value inside a batch: scalars inline, text and bytes as spans of the batch, arrays, maps and structs as rows of it.
/// A handle: copies of it are the same value, and outside of its batch it means nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Datum {
    /// No value.
    #[default]
    Null,
    /// BOOLEAN.
    Boolean(bool),
    /// INT8.
    Int8(i8),
    /// INT16.
    Int16(i16),
    /// INT32.
    Int32(i32),
    /// INT64.
    Int64(i64),
    /// FLOAT32.
    Float32(f32),
    /// FLOAT64.
    Float64(f64),
    /// STRING. Whoever makes it has checked that the bytes are UTF-8.
    Str(Utf8Span),
    /// BYTES.
    Bytes(Span),
    /// The value of the logical type Decimal: its unscaled bytes, then its scale in eight bytes.
    Decimal(Span),
    /// The value of the logical types Date, Time and Timestamp, in milliseconds since the epoch.
    Date(i64),
    /// ARRAY: its elements.
    Array(Row),
    /// MAP: keys and values by turns.
    Map(Row),
    /// STRUCT: its fields.
    Struct(StructRow),
}

// What a nested value costs for each of its parts.
const _: () = assert!(size_of::<Datum>() == 16);

/// A key or value with its schema; no schema means schemaless.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Field {
    /// The schema, in the batch's table.
    pub schema: Option<SchemaId>,
    /// The value.
    pub datum: Datum,
}

impl Field {
    /// A value without a schema.
    #[must_use]
    pub fn schemaless(datum: Datum) -> Self {
        Self { schema: None, datum }
    }

    /// The schema and the view of this field, which is one of `backing`.
    #[must_use]
    #[inline(always)]
    pub fn view(self, backing: &Backing) -> (Option<&SchemaRef>, ValueRef<'_>) {
        (self.schema.map(|id| backing.schema_of(id)), self.datum.view(backing))
    }
}

/// A span whose bytes were checked to be UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Utf8Span(Span);

impl Utf8Span {
    /// The span, if its bytes are UTF-8.
    #[must_use]
    #[inline]
    pub fn new(backing: &Backing, span: Span) -> Option<Self> {
        simdutf8::basic::from_utf8(backing.bytes(span))
            .is_ok()
            .then_some(Self(span))
    }

    /// A span that the caller has checked, for instance as part of a larger block. The check is repeated in debug
    /// builds; if the claim is false the record reads as an empty string, never as undefined behaviour.
    #[must_use]
    #[inline]
    pub fn checked_by_caller(backing: &Backing, span: Span) -> Self {
        debug_assert!(std::str::from_utf8(backing.bytes(span)).is_ok(), "span is not UTF-8");
        Self(span)
    }

    /// The bytes' place.
    #[must_use]
    #[inline]
    pub fn span(self) -> Span {
        self.0
    }
}

/// A borrowed view of a value, whether it lies in a batch or is an owned [`Value`].
///
/// Equality is that of [`Value`], which is Java's.
#[derive(Clone, Copy, Debug)]
pub enum ValueRef<'a> {
    /// No value.
    Null,
    /// BOOLEAN.
    Boolean(bool),
    /// INT8.
    Int8(i8),
    /// INT16.
    Int16(i16),
    /// INT32.
    Int32(i32),
    /// INT64.
    Int64(i64),
    /// FLOAT32.
    Float32(f32),
    /// FLOAT64.
    Float64(f64),
    /// STRING, as bytes that are UTF-8: [`ValueRef::as_str`] gives the text, a byte-wise reader needs no second check.
    Str(&'a [u8]),
    /// BYTES.
    Bytes(&'a [u8]),
    /// The value of the logical type Decimal.
    Decimal(DecimalRef<'a>),
    /// The value of the logical types Date, Time and Timestamp, in milliseconds since the epoch.
    Date(i64),
    /// ARRAY.
    Array(ArrayRef<'a>),
    /// MAP.
    Map(MapRef<'a>),
    /// STRUCT.
    Struct(StructRef<'a>),
}

impl Datum {
    /// The parts of an array, a map or a struct of `backing`: elements, keys and values by turns, or fields in the order of
    /// the schema. Nothing for a scalar.
    #[must_use]
    #[inline]
    pub fn parts(self, backing: &Backing) -> &[Datum] {
        match self {
            Self::Array(row) | Self::Map(row) => backing.nodes(row),
            Self::Struct(row) => backing.fields(row),
            Self::Null
            | Self::Boolean(_)
            | Self::Int8(_)
            | Self::Int16(_)
            | Self::Int32(_)
            | Self::Int64(_)
            | Self::Float32(_)
            | Self::Float64(_)
            | Self::Str(_)
            | Self::Bytes(_)
            | Self::Decimal(_)
            | Self::Date(_) => &[],
        }
    }

    /// The view of this datum, which is one of `backing`.
    #[must_use]
    #[inline]
    pub fn view(self, backing: &Backing) -> ValueRef<'_> {
        match self {
            Self::Null => ValueRef::Null,
            Self::Boolean(v) => ValueRef::Boolean(v),
            Self::Int8(v) => ValueRef::Int8(v),
            Self::Int16(v) => ValueRef::Int16(v),
            Self::Int32(v) => ValueRef::Int32(v),
            Self::Int64(v) => ValueRef::Int64(v),
            Self::Float32(v) => ValueRef::Float32(v),
            Self::Float64(v) => ValueRef::Float64(v),
            Self::Str(span) => ValueRef::Str(backing.bytes(span.span())),
            Self::Bytes(span) => ValueRef::Bytes(backing.bytes(span)),
            Self::Decimal(span) => ValueRef::Decimal(DecimalRef::of_batch(backing.bytes(span))),
            Self::Date(v) => ValueRef::Date(v),
            Self::Array(row) => ValueRef::Array(ArrayRef::of_batch(backing, row)),
            Self::Map(row) => ValueRef::Map(MapRef::of_batch(backing, row)),
            Self::Struct(row) => ValueRef::Struct(StructRef::of_batch(backing, row)),
        }
    }
}

impl<'a> ValueRef<'a> {
    /// Whether there is no value.
    #[must_use]
    pub fn is_null(self) -> bool {
        matches!(self, Self::Null)
    }

    /// The text of a STRING.
    #[must_use]
    pub fn as_str(self) -> Option<&'a str> {
        if let Self::Str(bytes) = self {
            Some(std::str::from_utf8(bytes).unwrap_or_default())
        } else {
            None
        }
    }

    /// The elements of an ARRAY.
    #[must_use]
    pub fn as_array(self) -> Option<ArrayRef<'a>> {
        if let Self::Array(array) = self {
            Some(array)
        } else {
            None
        }
    }

    /// The entries of a MAP.
    #[must_use]
    pub fn as_map(self) -> Option<MapRef<'a>> {
        if let Self::Map(map) = self { Some(map) } else { None }
    }

    /// The fields of a STRUCT.
    #[must_use]
    pub fn as_struct(self) -> Option<StructRef<'a>> {
        if let Self::Struct(record) = self {
            Some(record)
        } else {
            None
        }
    }

    /// The type Connect infers from the class. Null, dates and decimals have none.
    #[must_use]
    pub fn schema_type(self) -> Option<Type> {
        match self {
            Self::Boolean(_) => Some(Type::Boolean),
            Self::Int8(_) => Some(Type::Int8),
            Self::Int16(_) => Some(Type::Int16),
            Self::Int32(_) => Some(Type::Int32),
            Self::Int64(_) => Some(Type::Int64),
            Self::Float32(_) => Some(Type::Float32),
            Self::Float64(_) => Some(Type::Float64),
            Self::Str(_) => Some(Type::String),
            Self::Bytes(_) => Some(Type::Bytes),
            Self::Array(_) => Some(Type::Array),
            Self::Map(_) => Some(Type::Map),
            Self::Struct(_) => Some(Type::Struct),
            Self::Null | Self::Decimal(_) | Self::Date(_) => None,
        }
    }

    /// The name of the Java class: `java.lang.String`, `[B`, `java.util.HashMap`; `null` for null.
    #[must_use]
    pub fn java_class(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean(_) => "java.lang.Boolean",
            Self::Int8(_) => "java.lang.Byte",
            Self::Int16(_) => "java.lang.Short",
            Self::Int32(_) => "java.lang.Integer",
            Self::Int64(_) => "java.lang.Long",
            Self::Float32(_) => "java.lang.Float",
            Self::Float64(_) => "java.lang.Double",
            Self::Str(_) => "java.lang.String",
            Self::Bytes(_) => "[B",
            Self::Array(_) => "java.util.ArrayList",
            Self::Map(_) => "java.util.HashMap",
            Self::Struct(_) => "org.apache.kafka.connect.data.Struct",
            Self::Decimal(_) => "java.math.BigDecimal",
            Self::Date(_) => "java.util.Date",
        }
    }

    /// An owned copy.
    #[must_use]
    pub fn to_value(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Boolean(v) => Value::Boolean(v),
            Self::Int8(v) => Value::Int8(v),
            Self::Int16(v) => Value::Int16(v),
            Self::Int32(v) => Value::Int32(v),
            Self::Int64(v) => Value::Int64(v),
            Self::Float32(v) => Value::Float32(v),
            Self::Float64(v) => Value::Float64(v),
            Self::Str(bytes) => Value::String(std::str::from_utf8(bytes).unwrap_or_default().into()),
            Self::Bytes(bytes) => Value::Bytes(bytes.into()),
            Self::Decimal(decimal) => Value::Decimal(decimal.to_decimal()),
            Self::Date(v) => Value::Date(v),
            Self::Array(array) => array.to_value(),
            Self::Map(map) => map.to_value(),
            Self::Struct(record) => Value::Struct(Box::new(record.to_struct())),
        }
    }
}

impl<'a> From<&'a Value> for ValueRef<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Boolean(v) => Self::Boolean(*v),
            Value::Int8(v) => Self::Int8(*v),
            Value::Int16(v) => Self::Int16(*v),
            Value::Int32(v) => Self::Int32(*v),
            Value::Int64(v) => Self::Int64(*v),
            Value::Float32(v) => Self::Float32(*v),
            Value::Float64(v) => Self::Float64(*v),
            Value::String(text) => Self::Str(text.as_bytes()),
            Value::Bytes(bytes) => Self::Bytes(bytes),
            Value::Decimal(decimal) => Self::Decimal(DecimalRef::of_value(decimal)),
            Value::Date(v) => Self::Date(*v),
            Value::Array(elements) => Self::Array(ArrayRef::of_value(elements)),
            Value::Map(entries) => Self::Map(MapRef::of_value(entries)),
            Value::Struct(record) => Self::Struct(StructRef::of_value(record)),
        }
    }
}

impl PartialEq for ValueRef<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.to_value() == other.to_value()
    }
}

#[cfg(test)]
mod tests;
