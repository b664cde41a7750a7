//! Turns a value of one type into one of another.
//!
//! `from` is the schema of the value, where there is one: what a date means depends on it. Boolean, numeric and byte
//! targets give null for null; all others refuse it.

use std::fmt::Display;

use bigdecimal::BigDecimal;

use super::number::{decimal_to_double, decimal_to_long, number_to_double, number_to_long, parse_decimal};
use super::parse::parse_string;
use super::text::convert_to_string;
use crate::error::{Error, Result};
use crate::logical::{self, Logical, MILLIS_PER_DAY};
use crate::schema::{Schema, Type};
use crate::structs::Struct;
use crate::value::{Value, double_to_string};

/// A value of the type `to` has. Null needs an optional `to`.
pub fn convert_to(to: &Schema, from: Option<&Schema>, value: &Value) -> Result<Value> {
    if value.is_null() {
        return if to.optional() {
            Ok(Value::Null)
        } else {
            Err(null_refused())
        };
    }
    match (to.type_(), Logical::of(to)) {
        (Type::Bytes, Some(Logical::Decimal)) => to_decimal(to, value).map(Value::Decimal),
        (Type::Bytes, _) => to_bytes(to, value),
        (Type::String, _) => Ok(convert_to_string(value).into()),
        (Type::Boolean, _) => Ok(convert_to_boolean(from, value)?.into()),
        (Type::Int8, _) => Ok(convert_to_byte(from, value)?.into()),
        (Type::Int16, _) => Ok(convert_to_short(from, value)?.into()),
        (Type::Int32, Some(Logical::Date)) => to_date(to, from, value).map(Value::Date),
        (Type::Int32, Some(Logical::Time)) => to_time(to, from, value).map(Value::Date),
        (Type::Int32, _) => Ok(convert_to_integer(from, value)?.into()),
        (Type::Int64, Some(Logical::Timestamp)) => to_timestamp(to, from, value).map(Value::Date),
        (Type::Int64, _) => Ok(convert_to_long(from, value)?.into()),
        (Type::Float32, _) => Ok(convert_to_float(from, value)?.into()),
        (Type::Float64, _) => Ok(convert_to_double(from, value)?.into()),
        (Type::Array, _) => to_list(&to.to_string(), value).map(Value::Array),
        (Type::Map, _) => to_map(&to.to_string(), value).map(Value::Map),
        (Type::Struct, _) => to_struct(&to.to_string(), value).map(|record| Value::Struct(Box::new(record))),
    }
}

/// A boolean: a text that reads as one, else whether the number is not 0.
pub fn convert_to_boolean(from: Option<&Schema>, value: &Value) -> Result<Option<bool>> {
    if let Value::Boolean(found) = value {
        return Ok(Some(*found));
    }
    if let Value::String(text) = value
        && let Value::Boolean(found) = parse_string(text).value
    {
        return Ok(Some(found));
    }
    Ok(as_long(from, value)?.map(|number| number != 0))
}

/// An 8 bit integer; larger numbers keep their low bits.
pub fn convert_to_byte(from: Option<&Schema>, value: &Value) -> Result<Option<i8>> {
    Ok(as_long(from, value)?.map(|number| number as i8))
}

/// A 16 bit integer; larger numbers keep their low bits.
pub fn convert_to_short(from: Option<&Schema>, value: &Value) -> Result<Option<i16>> {
    Ok(as_long(from, value)?.map(|number| number as i16))
}

/// A 32 bit integer; larger numbers keep their low bits.
pub fn convert_to_integer(from: Option<&Schema>, value: &Value) -> Result<Option<i32>> {
    Ok(as_long(from, value)?.map(|number| number as i32))
}

/// A 64 bit integer; larger numbers keep their low bits.
pub fn convert_to_long(from: Option<&Schema>, value: &Value) -> Result<Option<i64>> {
    as_long(from, value)
}

/// A 32 bit float.
pub fn convert_to_float(from: Option<&Schema>, value: &Value) -> Result<Option<f32>> {
    if let Value::Float32(found) = value {
        return Ok(Some(*found));
    }
    Ok(as_double(from, value)?.map(|number| number as f32))
}

/// A 64 bit float.
pub fn convert_to_double(from: Option<&Schema>, value: &Value) -> Result<Option<f64>> {
    as_double(from, value)
}

/// A list: itself, or what a text holds.
pub fn convert_to_list(value: &Value) -> Result<Vec<Value>> {
    to_list("Schema{ARRAY}", value)
}

/// The entries of a map: itself, or what a text holds.
pub fn convert_to_map(value: &Value) -> Result<Vec<(Value, Value)>> {
    to_map("Schema{MAP}", value)
}

/// A struct, which only a struct is.
pub fn convert_to_struct(value: &Value) -> Result<Struct> {
    to_struct("Schema{STRUCT}", value)
}

/// The milliseconds since the epoch of a Date.
pub fn convert_to_date(from: Option<&Schema>, value: &Value) -> Result<i64> {
    to_date(&logical::date_schema(), from, value)
}

/// The milliseconds after midnight of a Time.
pub fn convert_to_time(from: Option<&Schema>, value: &Value) -> Result<i64> {
    to_time(&logical::time_schema(), from, value)
}

/// The milliseconds since the epoch of a Timestamp.
pub fn convert_to_timestamp(from: Option<&Schema>, value: &Value) -> Result<i64> {
    to_timestamp(&logical::timestamp_schema(), from, value)
}

/// A decimal. `scale` is that of stored bytes; a decimal keeps its own.
pub fn convert_to_decimal(value: &Value, scale: i32) -> Result<BigDecimal> {
    to_decimal(&logical::decimal_schema(scale), value)
}

fn null_refused() -> Error {
    Error::data("Unable to convert a null value to a schema that requires a value")
}

fn refused(value: &Value, to: impl Display) -> Error {
    Error::data(format!(
        "Unable to convert {value} (class {}) to {to}",
        value.java_class()
    ))
}

fn to_decimal(to: &Schema, value: &Value) -> Result<BigDecimal> {
    match value {
        Value::Null => Err(null_refused()),
        Value::Bytes(bytes) => logical::decimal_from_bytes(to, bytes),
        Value::Decimal(decimal) => Ok(decimal.clone()),
        Value::String(text) => parse_decimal(text).ok_or_else(|| refused(value, to)),
        Value::Int8(_)
        | Value::Int16(_)
        | Value::Int32(_)
        | Value::Int64(_)
        | Value::Float32(_)
        | Value::Float64(_) => {
            // Java goes through the text of the double, and so gets its digits and not its bits.
            let text = number_to_double(value).map(double_to_string).unwrap_or_default();
            parse_decimal(&text).ok_or_else(|| refused(value, to))
        }
        Value::Boolean(_) | Value::Array(_) | Value::Map(_) | Value::Struct(_) | Value::Date(_) => {
            Err(refused(value, to))
        }
    }
}

fn to_bytes(to: &Schema, value: &Value) -> Result<Value> {
    if let Value::Bytes(_) = value {
        return Ok(value.clone());
    }
    if let Value::Decimal(decimal) = value {
        return Ok(logical::decimal_to_bytes(to, decimal)?.into());
    }
    Err(refused(value, to))
}

/// What a text stands for; any other value as it is.
fn parsed(value: &Value) -> Result<Value> {
    match value.as_str() {
        Some(text) => Ok(parse_string(text).value),
        None if value.is_null() => Err(null_refused()),
        None => Ok(value.clone()),
    }
}

/// The number of a date that fits none of the rules before, for which null is an error.
fn as_number(from: Option<&Schema>, value: &Value) -> Result<i64> {
    as_long(from, value)?.ok_or_else(null_refused)
}

fn to_date(to: &Schema, from: Option<&Schema>, value: &Value) -> Result<i64> {
    let value = parsed(value)?;
    if let Value::Date(millis) = value {
        match from.map(Logical::of) {
            None | Some(Some(Logical::Date)) => return Ok(millis),
            // The division rounds to zero, as in Java.
            Some(Some(Logical::Timestamp)) => return logical::date_from_days(to, (millis / MILLIS_PER_DAY) as i32),
            Some(None | Some(Logical::Time | Logical::Decimal)) => {}
        }
    }
    logical::date_from_days(to, as_number(from, &value)? as i32)
}

fn to_time(to: &Schema, from: Option<&Schema>, value: &Value) -> Result<i64> {
    let value = parsed(value)?;
    if let Value::Date(millis) = value {
        match from.map(Logical::of) {
            None | Some(Some(Logical::Time)) => return Ok(millis),
            Some(Some(Logical::Timestamp)) => {
                return logical::time_from_millis(to, millis.rem_euclid(MILLIS_PER_DAY) as i32);
            }
            Some(None | Some(Logical::Date | Logical::Decimal)) => {}
        }
    }
    logical::time_from_millis(to, as_number(from, &value)? as i32)
}

fn to_timestamp(to: &Schema, from: Option<&Schema>, value: &Value) -> Result<i64> {
    let value = parsed(value)?;
    if let (Value::Date(millis), Some(from)) = (&value, from) {
        match Logical::of(from) {
            Some(Logical::Date) => {
                let days = logical::date_to_days(from, *millis)?;
                return logical::timestamp_from_millis(to, i64::from(days) * MILLIS_PER_DAY);
            }
            Some(Logical::Time) => {
                return logical::timestamp_from_millis(to, logical::time_to_millis(from, *millis)?.into());
            }
            Some(Logical::Timestamp) => return Ok(*millis),
            Some(Logical::Decimal) | None => {}
        }
    }
    if let (Value::Date(millis), None) = (&value, from) {
        return Ok(*millis);
    }
    logical::timestamp_from_millis(to, as_number(from, &value)?)
}

fn to_list(to: &str, value: &Value) -> Result<Vec<Value>> {
    let found = parsed(value)?;
    if let Value::Array(elements) = found {
        Ok(elements)
    } else {
        Err(refused(&found, to))
    }
}

fn to_map(to: &str, value: &Value) -> Result<Vec<(Value, Value)>> {
    let found = parsed(value)?;
    if let Value::Map(entries) = found {
        Ok(entries)
    } else {
        Err(refused(&found, to))
    }
}

fn to_struct(to: &str, value: &Value) -> Result<Struct> {
    match value.as_struct() {
        Some(record) => Ok(record.clone()),
        None if value.is_null() => Err(null_refused()),
        None => Err(refused(value, to)),
    }
}

/// The whole number of a value; none for null.
fn as_long(from: Option<&Schema>, value: &Value) -> Result<Option<i64>> {
    if value.is_null() {
        return Ok(None);
    }
    if let Some(number) = number_to_long(value) {
        return Ok(Some(number));
    }
    if let Some(decimal) = value.as_str().and_then(parse_decimal) {
        return Ok(Some(decimal_to_long(&decimal)));
    }
    let Some(from) = from else {
        let class = value.java_class();
        return Err(Error::data(format!(
            "Unable to convert {value} (class {class}) to a number"
        )));
    };
    if let Value::Date(millis) = value {
        match Logical::of(from) {
            Some(Logical::Date) => return Ok(Some(logical::date_to_days(from, *millis)?.into())),
            Some(Logical::Time) => return Ok(Some(logical::time_to_millis(from, *millis)?.into())),
            Some(Logical::Timestamp) => return logical::timestamp_to_millis(from, *millis).map(Some),
            Some(Logical::Decimal) | None => {}
        }
    }
    Err(refused(value, from))
}

fn as_double(from: Option<&Schema>, value: &Value) -> Result<Option<f64>> {
    if let Some(number) = number_to_double(value) {
        return Ok(Some(number));
    }
    if let Some(decimal) = value.as_str().and_then(parse_decimal) {
        return Ok(Some(decimal_to_double(&decimal)));
    }
    Ok(as_long(from, value)?.map(|number| number as f64))
}
