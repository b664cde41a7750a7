//! How a record of a batch holds its key and its value, and the view that everybody reads them through.

use crate::backing::{Backing, Span};
use crate::value::Value;

/// A key or value inside a batch: scalars inline, text and bytes as spans of the batch, anything nested as a tree.
#[derive(Clone, Debug, Default, PartialEq)]
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
    /// Arrays, maps, structs and logical types.
    Tree(Box<Value>),
}

/// A span whose bytes were checked to be UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Utf8Span(Span);

impl Utf8Span {
    /// Checks the span's bytes.
    ///
    /// # Errors
    /// When they are not UTF-8.
    pub fn new(backing: &Backing, span: Span) -> Result<Self, std::str::Utf8Error> {
        std::str::from_utf8(backing.bytes(span)).map(|_| Self(span))
    }

    /// A span that the caller has checked, for instance as part of a larger block. The check is repeated in debug
    /// builds; if the claim is false the record reads as an empty string, never as undefined behaviour.
    #[must_use]
    pub fn checked_by_caller(backing: &Backing, span: Span) -> Self {
        debug_assert!(std::str::from_utf8(backing.bytes(span)).is_ok(), "span is not UTF-8");
        Self(span)
    }

    /// The bytes' place.
    #[must_use]
    pub fn span(self) -> Span {
        self.0
    }
}

/// A borrowed view of a key or value.
#[derive(Clone, Copy, Debug, PartialEq)]
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
    /// Arrays, maps, structs and logical types.
    Tree(&'a Value),
}

impl Datum {
    /// The view of this datum, whose spans lie in `backing`.
    #[must_use]
    pub fn view<'a>(&'a self, backing: &'a Backing) -> ValueRef<'a> {
        match self {
            Self::Null => ValueRef::Null,
            Self::Boolean(v) => ValueRef::Boolean(*v),
            Self::Int8(v) => ValueRef::Int8(*v),
            Self::Int16(v) => ValueRef::Int16(*v),
            Self::Int32(v) => ValueRef::Int32(*v),
            Self::Int64(v) => ValueRef::Int64(*v),
            Self::Float32(v) => ValueRef::Float32(*v),
            Self::Float64(v) => ValueRef::Float64(*v),
            Self::Str(span) => ValueRef::Str(backing.bytes(span.span())),
            Self::Bytes(span) => ValueRef::Bytes(backing.bytes(*span)),
            Self::Tree(value) => ValueRef::from(value.as_ref()),
        }
    }

    /// Stores an owned value: scalars inline, everything else as a tree.
    #[must_use]
    pub fn from_value(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Boolean(v) => Self::Boolean(v),
            Value::Int8(v) => Self::Int8(v),
            Value::Int16(v) => Self::Int16(v),
            Value::Int32(v) => Self::Int32(v),
            Value::Int64(v) => Self::Int64(v),
            Value::Float32(v) => Self::Float32(v),
            Value::Float64(v) => Self::Float64(v),
            value @ (Value::String(_)
            | Value::Bytes(_)
            | Value::Array(_)
            | Value::Map(_)
            | Value::Struct(_)
            | Value::Decimal(_)
            | Value::Date(_)) => Self::Tree(Box::new(value)),
        }
    }
}

impl<'a> ValueRef<'a> {
    /// The text of a STRING.
    #[must_use]
    pub fn as_str(self) -> Option<&'a str> {
        match self {
            Self::Str(bytes) => Some(std::str::from_utf8(bytes).unwrap_or_default()),
            Self::Null
            | Self::Boolean(_)
            | Self::Int8(_)
            | Self::Int16(_)
            | Self::Int32(_)
            | Self::Int64(_)
            | Self::Float32(_)
            | Self::Float64(_)
            | Self::Bytes(_)
            | Self::Tree(_) => None,
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
            Self::Tree(value) => value.clone(),
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
            value @ (Value::Array(_) | Value::Map(_) | Value::Struct(_) | Value::Decimal(_) | Value::Date(_)) => {
                Self::Tree(value)
            }
        }
    }
}
