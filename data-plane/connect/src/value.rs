//! Values: what flows through connectors, converters and transforms.
//!
//! Each variant stands for one Java class, so that Connect's rules about classes hold. How values print is in
//! `value/java.rs`, how text becomes a value in `values`.

pub mod calendar;
mod equality;
mod java;

use bigdecimal::BigDecimal;

pub use self::java::{decimal_to_string, double_to_string, float_to_string};
use crate::datum::ValueRef;
use crate::schema::{SchemaRef, Type};
use crate::structs::Struct;

/// A value of Connect's data model.
///
/// Equality is Java's `equals`: NaN equals itself, `0.0` is not `-0.0`, decimals of different scale differ, and the order
/// of a map's entries does not count.
#[derive(Clone, Debug)]
pub enum Value {
    /// Java's null.
    Null,
    /// `java.lang.Boolean`.
    Boolean(bool),
    /// `java.lang.Byte`.
    Int8(i8),
    /// `java.lang.Short`.
    Int16(i16),
    /// `java.lang.Integer`.
    Int32(i32),
    /// `java.lang.Long`.
    Int64(i64),
    /// `java.lang.Float`.
    Float32(f32),
    /// `java.lang.Double`.
    Float64(f64),
    /// `java.lang.String`.
    String(Box<str>),
    /// `byte[]`; a `ByteBuffer` is the same to us.
    Bytes(Box<[u8]>),
    /// `java.util.List`.
    Array(Vec<Value>),
    /// `java.util.Map` in insertion order. Make it with [`Value::map`] where keys may repeat.
    Map(Vec<(Value, Value)>),
    /// A struct with its schema.
    Struct(Box<Struct>),
    /// `java.math.BigDecimal`, the value of the logical type Decimal.
    Decimal(BigDecimal),
    /// `java.util.Date` in milliseconds since the epoch, the value of the logical types Date, Time and Timestamp.
    Date(i64),
}

impl Value {
    /// A map; of entries with equal keys the last value wins and keeps the place of the first.
    #[must_use]
    pub fn map(entries: impl IntoIterator<Item = (Value, Value)>) -> Self {
        let unique: indexmap::IndexMap<Value, Value> = entries.into_iter().collect();
        Self::Map(unique.into_iter().collect())
    }

    /// A string.
    pub fn string(text: impl Into<Box<str>>) -> Self {
        Self::String(text.into())
    }

    /// A byte array.
    pub fn bytes(bytes: impl Into<Box<[u8]>>) -> Self {
        Self::Bytes(bytes.into())
    }

    /// Whether this is null.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The text of a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self {
            Some(text)
        } else {
            None
        }
    }

    /// The struct, where this is one.
    #[must_use]
    pub fn as_struct(&self) -> Option<&Struct> {
        if let Self::Struct(record) = self {
            Some(record)
        } else {
            None
        }
    }

    /// The entries, where this is a map.
    #[must_use]
    pub fn as_map(&self) -> Option<&[(Value, Value)]> {
        if let Self::Map(entries) = self {
            Some(entries)
        } else {
            None
        }
    }

    /// The elements, where this is an array.
    #[must_use]
    pub fn as_array(&self) -> Option<&[Value]> {
        if let Self::Array(elements) = self {
            Some(elements)
        } else {
            None
        }
    }

    /// The value of the entry with that string as its key, where this is a map.
    #[must_use]
    pub fn entry(&self, key: &str) -> Option<&Value> {
        let (_, value) = self.as_map()?.iter().find(|(found, _)| found.as_str() == Some(key))?;
        Some(value)
    }

    /// The type Connect infers from the class. Null, dates and decimals have none.
    #[must_use]
    pub fn schema_type(&self) -> Option<Type> {
        ValueRef::from(self).schema_type()
    }

    /// The name of the Java class: `java.lang.String`, `[B`, `java.util.HashMap`; `null` for null.
    #[must_use]
    pub fn java_class(&self) -> &'static str {
        ValueRef::from(self).java_class()
    }

    /// What Java's `toString` prints; `Display` writes the same.
    #[must_use]
    pub fn java_to_string(&self) -> String {
        self.to_string()
    }
}

macro_rules! from {
    ($($ty:ty, $value:ident => $out:expr;)*) => {
        $(
            impl From<$ty> for Value {
                fn from($value: $ty) -> Self {
                    $out
                }
            }
        )*
    };
}

from! {
    bool, v => Self::Boolean(v);
    i8, v => Self::Int8(v);
    i16, v => Self::Int16(v);
    i32, v => Self::Int32(v);
    i64, v => Self::Int64(v);
    f32, v => Self::Float32(v);
    f64, v => Self::Float64(v);
    &str, v => Self::String(v.into());
    String, v => Self::String(v.into());
    Box<str>, v => Self::String(v);
    Vec<u8>, v => Self::Bytes(v.into());
    &[u8], v => Self::Bytes(v.into());
    Vec<Value>, v => Self::Array(v);
    Struct, v => Self::Struct(Box::new(v));
    BigDecimal, v => Self::Decimal(v);
}

/// None becomes null.
impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A value with its schema. Without a schema the value is schemaless.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaAndValue {
    /// The schema, where there is one.
    pub schema: Option<SchemaRef>,
    /// The value.
    pub value: Value,
}

impl SchemaAndValue {
    /// No schema and no value.
    pub const NULL: Self = Self {
        schema: None,
        value: Value::Null,
    };

    /// A value of that schema; it is not checked.
    pub fn new(schema: SchemaRef, value: impl Into<Value>) -> Self {
        Self {
            schema: Some(schema),
            value: value.into(),
        }
    }

    /// A value without a schema.
    pub fn schemaless(value: impl Into<Value>) -> Self {
        Self {
            schema: None,
            value: value.into(),
        }
    }
}

#[cfg(test)]
mod tests;
