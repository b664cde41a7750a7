//! The cast of one value.

use std::str::FromStr;

use dray_connect::backing::Backing;
use dray_connect::datum::{Datum, DecimalRef, ValueRef};
use dray_connect::logical::{Logical, date_to_days, time_to_millis, timestamp_to_millis};
use dray_connect::schema::{Schema, Type};
use dray_connect::value::{Value, double_to_string, float_to_string};
use dray_connect::values::{convert_to_long, convert_to_string};
use dray_connect::{Error, Result};

use crate::java::number::{parse_double, parse_float, parse_integer};

/// The type that a value becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Int8,
    Int16,
    Int32,
    Int64,
    Float32,
    Float64,
    Boolean,
    String,
}

/// In the order in which Connect lists them.
const TARGETS: [Target; 8] = [
    Target::Int8,
    Target::Int16,
    Target::Int32,
    Target::Int64,
    Target::Float32,
    Target::Float64,
    Target::Boolean,
    Target::String,
];

impl Target {
    /// The type of that name, in any case.
    pub(super) fn read(name: &str) -> Result<Self> {
        let upper = name.to_uppercase();
        if let Some(target) = TARGETS.into_iter().find(|target| target.schema_type().upper() == upper) {
            return Ok(target);
        }
        if [Type::Bytes, Type::Array, Type::Map, Type::Struct]
            .iter()
            .any(|kind| kind.upper() == upper)
        {
            return Err(Error::config(format!(
                "Cast transformation does not support casting to {upper}; supported types are {}",
                listed("")
            )));
        }
        // Java means the first text as the message and the second as its cause, but gives them as a key and its value.
        let cause = format!(
            "java.lang.IllegalArgumentException: No enum constant org.apache.kafka.connect.data.Schema.Type.{upper}"
        );
        let message = format!("Invalid type found in casting spec: {name}");
        Err(Error::invalid_config(&message, Some(&cause), None))
    }

    pub(super) fn schema_type(self) -> Type {
        match self {
            Self::Int8 => Type::Int8,
            Self::Int16 => Type::Int16,
            Self::Int32 => Type::Int32,
            Self::Int64 => Type::Int64,
            Self::Float32 => Type::Float32,
            Self::Float64 => Type::Float64,
            Self::Boolean => Type::Boolean,
            Self::String => Type::String,
        }
    }
}

fn listed(more: &str) -> String {
    let names: Vec<&str> = TARGETS.iter().map(|target| target.schema_type().upper()).collect();
    format!("[{}{more}]", names.join(", "))
}

/// The error for values of a type that cannot be cast.
#[cold]
pub(super) fn refuse_input(kind: Type) -> Error {
    Error::data(format!(
        "Cast transformation does not support casting from {kind}; supported types are {}",
        listed(", BYTES")
    ))
}

/// A value of the type; null stays null. The schema is that of the value before.
pub(super) fn cast(schema: Option<&Schema>, datum: Datum, target: Target, backing: &mut Backing) -> Result<Datum> {
    if datum == Datum::Null {
        return Ok(Datum::Null);
    }
    let kind = match schema {
        Some(schema) => schema.type_(),
        None => datum.view(backing).schema_type().ok_or_else(|| {
            Error::data(format!(
                "Cast transformation was passed a value of type class {} which is not supported by Connect's data API",
                datum.view(backing).java_class()
            ))
        })?,
    };
    if !kind.is_primitive() {
        return Err(refuse_input(kind));
    }
    if target == Target::String {
        return Ok(to_string(datum, backing));
    }
    let datum = match schema {
        Some(schema) if schema.name().is_some() => encoded(schema, datum, backing)?,
        Some(_) | None => datum,
    };
    let source = Source::of(datum.view(backing))?;
    Ok(match target {
        Target::Int8 => Datum::Int8(source.small(|number| number as i8)?),
        Target::Int16 => Datum::Int16(source.small(|number| number as i16)?),
        Target::Int32 => Datum::Int32(source.small(|number| number)?),
        Target::Int64 => Datum::Int64(source.long()?),
        Target::Float32 => Datum::Float32(source.float()?),
        Target::Float64 => Datum::Float64(source.double()?),
        Target::Boolean => Datum::Boolean(source.boolean()?),
        Target::String => datum,
    })
}

/// The stored number of a Date, a Time or a Timestamp; other values as they are.
fn encoded(schema: &Schema, datum: Datum, backing: &Backing) -> Result<Datum> {
    let date = || {
        if let Datum::Date(millis) = datum {
            return Ok(millis);
        }
        // Java ends with a ClassCastException.
        Err(Error::data(format!(
            "the schema {schema} is one of dates, but the value to cast is of class {}",
            datum.view(backing).java_class()
        )))
    };
    Ok(match Logical::of(schema) {
        Some(Logical::Date) => Datum::Int32(date_to_days(schema, date()?)?),
        Some(Logical::Time) => Datum::Int32(time_to_millis(schema, date()?)?),
        Some(Logical::Timestamp) => Datum::Int64(timestamp_to_millis(schema, date()?)?),
        Some(Logical::Decimal) | None => datum,
    })
}

/// What numbers and booleans are made of.
enum Source<'v> {
    /// An integer, or a boolean as 0 or 1.
    Whole(i64),
    /// A float of either size: the larger one holds all of the smaller.
    Fraction(f64),
    Decimal(DecimalRef<'v>),
    Text(&'v str),
}

impl<'v> Source<'v> {
    fn of(value: ValueRef<'v>) -> Result<Self> {
        Ok(match value {
            ValueRef::Boolean(v) => Self::Whole(v.into()),
            ValueRef::Int8(v) => Self::Whole(v.into()),
            ValueRef::Int16(v) => Self::Whole(v.into()),
            ValueRef::Int32(v) => Self::Whole(v.into()),
            ValueRef::Int64(v) => Self::Whole(v),
            ValueRef::Float32(v) => Self::Fraction(v.into()),
            ValueRef::Float64(v) => Self::Fraction(v),
            ValueRef::Decimal(v) => Self::Decimal(v),
            ValueRef::Str(_) => Self::Text(value.as_str().unwrap_or_default()),
            ValueRef::Null
            | ValueRef::Bytes(_)
            | ValueRef::Date(_)
            | ValueRef::Array(_)
            | ValueRef::Map(_)
            | ValueRef::Struct(_) => {
                return Err(Error::data(format!(
                    "Unexpected type in Cast transformation: class {}",
                    value.java_class()
                )));
            }
        })
    }

    /// An integer of 32 bits or fewer: floats stop at the limits of 32 bits, then the low bits are kept.
    fn small<T: FromStr>(&self, low_bits: impl FnOnce(i32) -> T) -> Result<T> {
        Ok(match *self {
            Self::Whole(v) => low_bits(v as i32),
            Self::Fraction(v) => low_bits(v as i32),
            Self::Decimal(v) => low_bits(long_of(v)? as i32),
            Self::Text(text) => read(text, parse_integer)?,
        })
    }

    fn long(&self) -> Result<i64> {
        match *self {
            Self::Whole(v) => Ok(v),
            Self::Fraction(v) => Ok(v as i64),
            Self::Decimal(v) => long_of(v),
            Self::Text(text) => read(text, parse_integer),
        }
    }

    fn float(&self) -> Result<f32> {
        match *self {
            Self::Whole(v) => Ok(v as f32),
            Self::Fraction(v) => Ok(v as f32),
            Self::Decimal(v) => read(&scientific(v), parse_float),
            Self::Text(text) => read(text, parse_float),
        }
    }

    fn double(&self) -> Result<f64> {
        match *self {
            Self::Whole(v) => Ok(v as f64),
            Self::Fraction(v) => Ok(v),
            Self::Decimal(v) => read(&scientific(v), parse_double),
            Self::Text(text) => read(text, parse_double),
        }
    }

    /// Whether the whole part of a number is not 0.
    fn boolean(&self) -> Result<bool> {
        match *self {
            Self::Text(text) => Ok(text.eq_ignore_ascii_case("true")),
            Self::Whole(_) | Self::Fraction(_) | Self::Decimal(_) => Ok(self.long()? != 0),
        }
    }
}

fn read<T>(text: &str, parse: impl FnOnce(&str) -> Option<T>) -> Result<T> {
    parse(text).ok_or_else(|| Error::data(format!("Value ({text}) was out of range for requested data type")))
}

/// The low 64 bits of the whole part.
fn long_of(decimal: DecimalRef<'_>) -> Result<i64> {
    Ok(convert_to_long(None, &Value::Decimal(decimal.to_decimal()))?.unwrap_or_default())
}

/// The number with an exponent, which stays short whatever the scale is.
fn scientific(decimal: DecimalRef<'_>) -> String {
    let (unscaled, scale) = decimal.to_decimal().into_bigint_and_exponent();
    format!("{unscaled}e{}", -scale)
}

fn to_string(datum: Datum, backing: &mut Backing) -> Datum {
    let whole = |backing: &mut Backing, number: i64| backing.text(itoa::Buffer::new().format(number));
    match datum {
        Datum::Null | Datum::Str(_) => datum,
        Datum::Boolean(v) => backing.text(if v { "true" } else { "false" }),
        Datum::Int8(v) => whole(backing, v.into()),
        Datum::Int16(v) => whole(backing, v.into()),
        Datum::Int32(v) => whole(backing, v.into()),
        Datum::Int64(v) => whole(backing, v),
        Datum::Float32(v) => backing.text(&float_to_string(v)),
        Datum::Float64(v) => backing.text(&double_to_string(v)),
        Datum::Bytes(_) | Datum::Decimal(_) | Datum::Date(_) => {
            let text = convert_to_string(&datum.view(backing).to_value());
            backing.text(&text.unwrap_or_default())
        }
        // Only where the schema says that it is something else.
        Datum::Array(_) | Datum::Map(_) | Datum::Struct(_) => {
            let text = datum.view(backing).to_value().java_to_string();
            backing.text(&text)
        }
    }
}
