//! From values to JSON, straight into the output.

use dray_connect::datum::{ArrayRef, MapRef, StructRef, ValueRef};
use dray_connect::logical::{self, Logical};
use dray_connect::schema::{Schema, Type};
use dray_connect::value::{decimal_to_string, double_to_string, float_to_string};
use dray_connect::{ConfigMap, Error, Result};

use super::{base64, escape};
use crate::java_class;

const DECIMAL_FORMAT: &str = "decimal.format";
/// Jackson writes no deeper than this either.
const MAX_DEPTH: usize = 1000;

/// How decimals are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DecimalFormat {
    /// As the base64 of their unscaled bytes.
    Base64,
    /// As numbers.
    Numeric,
}

/// Writes values as JSON.
#[derive(Clone, Copy, Debug)]
pub(super) struct Writer {
    pub(super) decimal_format: DecimalFormat,
    /// Whether a schema's default stands for null.
    pub(super) replace_null_with_default: bool,
}

impl DecimalFormat {
    /// The format of `decimal.format`.
    pub(crate) fn read(config: &ConfigMap) -> Result<Self> {
        match config.get(DECIMAL_FORMAT) {
            None => Ok(Self::Base64),
            Some(text) if text.eq_ignore_ascii_case("base64") => Ok(Self::Base64),
            Some(text) if text.eq_ignore_ascii_case("numeric") => Ok(Self::Numeric),
            Some(text) => {
                let problem = "String must be one of (case insensitive): BASE64, NUMERIC";
                Err(Error::invalid_config(DECIMAL_FORMAT, Some(text), Some(problem)))
            }
        }
    }
}

impl Writer {
    /// Appends a value; `depth` counts the arrays and objects around it.
    pub(super) fn value(
        self,
        schema: Option<&Schema>,
        value: ValueRef<'_>,
        depth: usize,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        if let ValueRef::Null = value {
            return self.null(schema, depth, out);
        }
        // What nests is told apart first and all else done elsewhere, which keeps the stack of the recursion small.
        match (container(schema), value) {
            (None | Some(Type::Array), ValueRef::Array(elements)) => self.array(schema, elements, depth, out),
            (None | Some(Type::Map), ValueRef::Map(entries)) => self.map(schema, entries, depth, out),
            (None | Some(Type::Struct), ValueRef::Struct(record)) => self.record(schema, record, depth, out),
            (_, other) => self.scalar(schema, other, out),
        }
    }

    /// Appends a value that does not nest, or says why it does not fit.
    #[inline(never)]
    fn scalar(self, schema: Option<&Schema>, value: ValueRef<'_>, out: &mut Vec<u8>) -> Result<()> {
        if let Some((schema, logical)) = schema.and_then(|schema| Some((schema, Logical::of(schema)?))) {
            return self.logical(logical, schema, value, out);
        }
        let kind = match (schema, value) {
            (Some(schema), _) => schema.type_(),
            (None, value) => inferred(value)?,
        };
        match (kind, value) {
            (Type::Int8, ValueRef::Int8(v)) => integer(v, out),
            (Type::Int16, ValueRef::Int16(v)) => integer(v, out),
            (Type::Int32, ValueRef::Int32(v)) => integer(v, out),
            (Type::Int64, ValueRef::Int64(v)) => integer(v, out),
            (Type::Float32, ValueRef::Float32(v)) => float(v, out),
            (Type::Float64, ValueRef::Float64(v)) => double(v, out),
            (Type::Boolean, ValueRef::Boolean(v)) => out.extend_from_slice(if v { b"true" } else { b"false" }),
            (Type::String, ValueRef::Str(text)) => escape::string(text, out),
            (Type::Bytes, ValueRef::Bytes(bytes)) => bytes_string(bytes, out),
            (Type::Bytes, other) => {
                return Err(Error::data(format!(
                    "Invalid type for bytes type: {}",
                    java_class(other)
                )));
            }
            (kind, other) => {
                let kind = if schema.is_some() {
                    kind.upper()
                } else {
                    "unknown schema"
                };
                return Err(Error::data(format!("Invalid type for {kind}: {}", java_class(other))));
            }
        }
        Ok(())
    }

    #[inline(never)]
    fn null(self, schema: Option<&Schema>, depth: usize, out: &mut Vec<u8>) -> Result<()> {
        if let Some(schema) = schema {
            if let Some(default) = schema.default().filter(|_| self.replace_null_with_default) {
                return self.value(Some(schema), ValueRef::from(default), depth, out);
            }
            if !schema.optional() {
                return Err(Error::data(
                    "Conversion error: null value for field that is required and has no default value",
                ));
            }
        }
        out.extend_from_slice(b"null");
        Ok(())
    }

    fn logical(self, logical: Logical, schema: &Schema, value: ValueRef<'_>, out: &mut Vec<u8>) -> Result<()> {
        let wrong = |name: &str, wanted: &str| {
            Error::data(format!(
                "Invalid type for {name}, expected {wanted} but was {}",
                java_class(value)
            ))
        };
        match (logical, value, self.decimal_format) {
            (Logical::Decimal, ValueRef::Decimal(decimal), DecimalFormat::Base64) => {
                bytes_string(&logical::decimal_to_bytes(schema, &decimal.to_decimal())?, out);
            }
            (Logical::Decimal, ValueRef::Decimal(decimal), DecimalFormat::Numeric) => {
                out.extend_from_slice(decimal_to_string(&decimal.to_decimal()).as_bytes());
            }
            (Logical::Date, ValueRef::Date(date), _) => integer(logical::date_to_days(schema, date)?, out),
            (Logical::Time, ValueRef::Date(date), _) => integer(logical::time_to_millis(schema, date)?, out),
            (Logical::Timestamp, ValueRef::Date(date), _) => {
                integer(logical::timestamp_to_millis(schema, date)?, out);
            }
            (Logical::Decimal, _, _) => return Err(wrong("Decimal", "BigDecimal")),
            (Logical::Date, _, _) => return Err(wrong("Date", "Date")),
            (Logical::Time, _, _) => return Err(wrong("Time", "Date")),
            (Logical::Timestamp, _, _) => return Err(wrong("Timestamp", "Date")),
        }
        Ok(())
    }

    fn array(self, schema: Option<&Schema>, elements: ArrayRef<'_>, depth: usize, out: &mut Vec<u8>) -> Result<()> {
        let depth = deeper(depth)?;
        let schema = element_schema(schema)?;
        out.push(b'[');
        for (i, element) in elements.iter().enumerate() {
            comma(i, out);
            self.value(schema, element, depth, out)?;
        }
        out.push(b']');
        Ok(())
    }

    fn map(self, schema: Option<&Schema>, entries: MapRef<'_>, depth: usize, out: &mut Vec<u8>) -> Result<()> {
        let shape = MapShape::of(schema, entries, depth)?;
        out.push(if shape.is_object { b'{' } else { b'[' });
        for (i, (key, value)) in entries.iter().enumerate() {
            comma(i, out);
            self.key(&shape, key, out)?;
            self.value(shape.values, value, shape.depth, out)?;
            if !shape.is_object {
                out.push(b']');
            }
        }
        out.push(if shape.is_object { b'}' } else { b']' });
        Ok(())
    }

    /// What stands before the value of an entry: a member's name, or the start of a pair.
    #[inline(never)]
    fn key(self, shape: &MapShape<'_>, key: ValueRef<'_>, out: &mut Vec<u8>) -> Result<()> {
        if shape.is_object {
            return self.name(shape.keys, key, shape.depth, out);
        }
        if shape.depth > MAX_DEPTH {
            return Err(too_deep(shape.depth));
        }
        out.push(b'[');
        self.value(shape.keys, key, shape.depth, out)?;
        out.push(b',');
        Ok(())
    }

    /// A key as a member's name with its colon. What is not written as a string, such as null, is put in quotes.
    fn name(self, schema: Option<&Schema>, key: ValueRef<'_>, depth: usize, out: &mut Vec<u8>) -> Result<()> {
        let start = out.len();
        self.value(schema, key, depth, out)?;
        if out.get(start) != Some(&b'"') {
            out.insert(start, b'"');
            out.push(b'"');
        }
        out.push(b':');
        Ok(())
    }

    fn record(self, schema: Option<&Schema>, record: StructRef<'_>, depth: usize, out: &mut Vec<u8>) -> Result<()> {
        let depth = deeper(depth)?;
        if schema != Some(&**record.schema()) {
            return Err(Error::data("Mismatching schema."));
        }
        out.push(b'{');
        for (i, (field, value)) in record.iter().enumerate() {
            comma(i, out);
            escape::string(field.name.as_bytes(), out);
            out.push(b':');
            self.value(Some(&field.schema), value, depth, out)?;
        }
        out.push(b'}');
        Ok(())
    }
}

/// How a map is written.
struct MapShape<'a> {
    keys: Option<&'a Schema>,
    values: Option<&'a Schema>,
    /// An object with the keys as names, or else an array of pairs.
    is_object: bool,
    /// Of the values; in pairs this may be past the limit, which matters only when there is an entry.
    depth: usize,
}

impl<'a> MapShape<'a> {
    #[inline(never)]
    fn of(schema: Option<&'a Schema>, entries: MapRef<'_>, depth: usize) -> Result<Self> {
        let values = element_schema(schema)?;
        let keys = schema
            .map(|schema| schema.key_schema())
            .transpose()?
            .map(|schema| &**schema);
        let is_object = match keys {
            Some(keys) => keys.type_() == Type::String,
            None => entries.iter().all(|(key, _)| matches!(key, ValueRef::Str(_))),
        };
        let depth = deeper(depth)? + usize::from(!is_object);
        Ok(Self {
            keys,
            values,
            is_object,
            depth,
        })
    }
}

/// The type that decides how a value nests: none without a schema, and a scalar's for every logical type, whatever its base.
fn container(schema: Option<&Schema>) -> Option<Type> {
    schema.map(|schema| {
        if Logical::of(schema).is_some() {
            Type::Bytes
        } else {
            schema.type_()
        }
    })
}

/// The type of a value without a schema.
fn inferred(value: ValueRef<'_>) -> Result<Type> {
    value.schema_type().ok_or_else(|| {
        Error::data(format!(
            "Java {} does not have corresponding schema type.",
            java_class(value)
        ))
    })
}

fn element_schema(schema: Option<&Schema>) -> Result<Option<&Schema>> {
    Ok(schema.map(Schema::value_schema).transpose()?.map(|schema| &**schema))
}

pub(crate) fn deeper(depth: usize) -> Result<usize> {
    if depth < MAX_DEPTH {
        Ok(depth + 1)
    } else {
        Err(too_deep(depth + 1))
    }
}

fn too_deep(depth: usize) -> Error {
    let cause = format!("Document nesting depth ({depth}) exceeds the maximum allowed ({MAX_DEPTH})");
    Error::data("Converting Kafka Connect data to byte[] failed due to serialization error: ").with_source(cause)
}

pub(crate) fn comma(index: usize, out: &mut Vec<u8>) {
    if index > 0 {
        out.push(b',');
    }
}

pub(crate) fn integer(value: impl itoa::Integer, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends a number as Java prints it.
#[inline]
pub(crate) fn double(value: f64, out: &mut Vec<u8>) {
    // Here Java prints what everybody does.
    if (1e-3..1e7).contains(&value.abs()) {
        out.extend_from_slice(ryu::Buffer::new().format_finite(value).as_bytes());
    } else {
        printed(value.is_finite(), &double_to_string(value), out);
    }
}

/// The same of 32 bits.
#[inline]
pub(crate) fn float(value: f32, out: &mut Vec<u8>) {
    if (1e-3..1e7).contains(&value.abs()) {
        out.extend_from_slice(ryu::Buffer::new().format_finite(value).as_bytes());
    } else {
        printed(value.is_finite(), &float_to_string(value), out);
    }
}

/// JSON has no numbers that are not finite; they become strings.
fn printed(finite: bool, text: &str, out: &mut Vec<u8>) {
    if finite {
        out.extend_from_slice(text.as_bytes());
    } else {
        escape::string(text.as_bytes(), out);
    }
}

pub(crate) fn bytes_string(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    base64::encode(bytes, out);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(value: f64) {
        let single = value as f32;
        let written = |write: &dyn Fn(&mut Vec<u8>)| {
            let mut out = Vec::new();
            write(&mut out);
            String::from_utf8(out).unwrap()
        };
        let text = |finite: bool, text: String| if finite { text } else { format!("\"{text}\"") };
        assert_eq!(
            written(&|out| double(value, out)),
            text(value.is_finite(), double_to_string(value))
        );
        assert_eq!(
            written(&|out| float(single, out)),
            text(single.is_finite(), float_to_string(single))
        );
    }

    #[test]
    fn numbers_at_the_ends_of_what_is_printed_directly() {
        for value in [
            0.001,
            0.002,
            0.000_999_999_9,
            9_999_999.0,
            1e7,
            9_999_999.999_999_998,
            1.0,
            5.0,
            0.1,
            100.0,
            0.0,
            -0.0,
            4.9e-324,
        ] {
            check(value);
            check(-value);
            check(value.next_down());
            check(value.next_up());
        }
    }

    proptest! {
        #[test]
        fn numbers_are_printed_as_in_java(mantissa in 0..10_000_000_i64, places in 0..9_i32, any in prop::num::f64::NORMAL) {
            check(mantissa as f64 / 10_f64.powi(places));
            check(any);
            check(any % 1e7);
        }
    }
}
