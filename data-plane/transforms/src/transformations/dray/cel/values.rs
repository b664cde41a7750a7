//! What an expression sees of a record, and what becomes of its result.

use std::collections::HashMap;
use std::sync::Arc;

use cel::objects::Key;
use cel::{ExecutionError, Value as Cel};
use dray_connect::datum::ValueRef;
use dray_connect::header::Headers;
use dray_connect::schema::{Schema, SchemaBuilder, Type, validate_value};
use dray_connect::value::{SchemaAndValue, Value};

/// Values that an expression may see of one record, those within others counted.
const MOST_VALUES: usize = 100_000;
/// Bytes of texts and byte arrays in one result.
const LARGEST_RESULT: usize = 1 << 20;

/// Counts what an expression is shown.
pub(super) struct Measure {
    values: usize,
    /// Elements of one list or map.
    most: usize,
}

impl Measure {
    pub(super) fn new(most: usize) -> Self {
        Self { values: 0, most }
    }

    fn count(&mut self, elements: usize) -> Result<(), String> {
        self.values += elements;
        if elements > self.most {
            return Err(format!(
                "a list or map of the record has {elements} elements; {} are allowed",
                self.most
            ));
        }
        if self.values > MOST_VALUES {
            return Err(format!("the record has more than {MOST_VALUES} values"));
        }
        Ok(())
    }

    /// A value of a record: numbers as int or double, structs as maps, dates as milliseconds, decimals as texts.
    pub(super) fn value(&mut self, value: ValueRef<'_>) -> Result<Cel, String> {
        Ok(match value {
            ValueRef::Null => Cel::Null,
            ValueRef::Boolean(value) => Cel::Bool(value),
            ValueRef::Int8(value) => Cel::Int(value.into()),
            ValueRef::Int16(value) => Cel::Int(value.into()),
            ValueRef::Int32(value) => Cel::Int(value.into()),
            ValueRef::Int64(value) | ValueRef::Date(value) => Cel::Int(value),
            ValueRef::Float32(value) => Cel::Float(value.into()),
            ValueRef::Float64(value) => Cel::Float(value),
            ValueRef::Str(_) => Cel::from(value.as_str().unwrap_or_default()),
            ValueRef::Bytes(bytes) => Cel::Bytes(Arc::new(bytes.to_vec())),
            ValueRef::Decimal(decimal) => Cel::from(decimal.to_decimal().to_plain_string()),
            ValueRef::Array(array) => {
                self.count(array.len())?;
                let elements: Result<Vec<Cel>, String> = array.iter().map(|element| self.value(element)).collect();
                Cel::List(Arc::new(elements?))
            }
            ValueRef::Map(map) => {
                self.count(map.len())?;
                let mut entries = HashMap::with_capacity(map.len());
                for (key, value) in map.iter() {
                    entries.insert(map_key(key)?, self.value(value)?);
                }
                Cel::Map(entries.into())
            }
            ValueRef::Struct(record) => {
                let mut entries = HashMap::new();
                for (field, value) in record.iter() {
                    let value = match (value, field.schema.default()) {
                        (ValueRef::Null, Some(default)) => default.into(),
                        (value, _) => value,
                    };
                    entries.insert(Key::from(field.name.to_string()), self.value(value)?);
                }
                self.count(entries.len())?;
                Cel::Map(entries.into())
            }
        })
    }

    /// Headers as a map: of several with one key the last.
    pub(super) fn headers(&mut self, headers: Option<&Headers>) -> Result<Cel, String> {
        let mut entries = HashMap::new();
        for header in headers.into_iter().flatten() {
            entries.insert(
                Key::from(header.key.to_string()),
                self.value((&header.value.value).into())?,
            );
        }
        self.count(entries.len())?;
        Ok(Cel::Map(entries.into()))
    }
}

fn map_key(key: ValueRef<'_>) -> Result<Key, String> {
    let refused = || {
        format!(
            "a map has a key of class {}, which expressions do not have",
            key.java_class()
        )
    };
    let number = match (key.as_str(), key) {
        (Some(text), _) => return Ok(Key::from(text.to_owned())),
        (_, ValueRef::Boolean(key)) => return Ok(Key::Bool(key)),
        (_, ValueRef::Int8(key)) => key.into(),
        (_, ValueRef::Int16(key)) => key.into(),
        (_, ValueRef::Int32(key)) => key.into(),
        (_, ValueRef::Int64(key)) => key,
        (_, _) => return Err(refused()),
    };
    Ok(Key::Int(number))
}

/// A result as a value; with a schema where it is no list or map.
pub(super) fn to_connect(value: &Cel) -> Result<SchemaAndValue, String> {
    let mut size = 0;
    let value = converted(value, &mut size)?;
    let schema = value.schema_type().filter(|kind| kind.is_primitive());
    let schema = schema
        .map(|kind| SchemaBuilder::of(kind).optional().build())
        .transpose();
    let schema = schema.map_err(|error| error.to_string())?;
    Ok(SchemaAndValue { schema, value })
}

#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "cel adds kinds of values with its features; none of those can be written"
)]
fn converted(value: &Cel, size: &mut usize) -> Result<Value, String> {
    let mut grow = |by: usize| {
        *size += by + 1;
        if *size > LARGEST_RESULT {
            Err(format!("the result is larger than {LARGEST_RESULT} bytes"))
        } else {
            Ok(())
        }
    };
    Ok(match value {
        Cel::Null => Value::Null,
        Cel::Bool(value) => Value::Boolean(*value),
        Cel::Int(value) => Value::Int64(*value),
        Cel::UInt(value) => Value::Int64(i64::try_from(*value).map_err(|_| format!("{value} has more than 63 bits"))?),
        Cel::Float(value) => Value::Float64(*value),
        Cel::String(text) => {
            grow(text.len())?;
            Value::from(text.as_str())
        }
        Cel::Bytes(bytes) => {
            grow(bytes.len())?;
            Value::bytes(&bytes[..])
        }
        Cel::List(elements) => {
            grow(elements.len())?;
            Value::Array(
                elements
                    .iter()
                    .map(|element| converted(element, size))
                    .collect::<Result<_, _>>()?,
            )
        }
        Cel::Map(map) => {
            grow(map.map.len())?;
            let mut entries = Vec::with_capacity(map.map.len());
            for (key, value) in map.map.iter() {
                let Key::String(key) = key else {
                    return Err("the keys of a map must be strings".to_owned());
                };
                entries.push((key.as_str(), converted(value, size)?));
            }
            // The map has no order of its own.
            entries.sort_by_key(|(key, _)| *key);
            Value::Map(
                entries
                    .into_iter()
                    .map(|(key, value)| (Value::from(key), value))
                    .collect(),
            )
        }
        other => return Err(format!("{} cannot be put into a record", other.type_of())),
    })
}

/// A result as a value of a schema.
pub(super) fn fitting(schema: &Schema, value: Value) -> Result<Value, String> {
    let narrowed = match (schema.type_(), &value) {
        (Type::Int8, Value::Int64(number)) => i8::try_from(*number).ok().map(Value::Int8),
        (Type::Int16, Value::Int64(number)) => i16::try_from(*number).ok().map(Value::Int16),
        (Type::Int32, Value::Int64(number)) => i32::try_from(*number).ok().map(Value::Int32),
        (Type::Float32, Value::Float64(number)) => Some(Value::Float32(*number as f32)),
        _ => None,
    };
    let value = narrowed.unwrap_or(value);
    validate_value(schema, &value)
        .map_err(|_| format!("its result does not fit the field, which is {}", schema.type_().name()))?;
    Ok(value)
}

/// Why an evaluation failed, without the values that it was about.
#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "cel adds errors, and of those not named here there is no more to say"
)]
pub(super) fn reason(error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchKey(key) => format!("there is no {key}; has() says whether there is"),
        ExecutionError::NoSuchOverload(overload) => overload.to_string(),
        ExecutionError::UndeclaredReference(name) => format!("there is no {name}"),
        ExecutionError::InvalidArgumentCount { expected, actual } => {
            format!("a function takes {expected} arguments and got {actual}")
        }
        ExecutionError::UnexpectedType { got, want } => format!("a value is {got} where {want} was expected"),
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => {
            "a number is divided by zero".to_owned()
        }
        ExecutionError::Overflow(..) => "a number has more than 64 bits".to_owned(),
        ExecutionError::IndexOutOfBounds(_) => "an element is asked for that a list does not have".to_owned(),
        ExecutionError::FunctionError { function, .. } => format!("function {function} cannot take what it was given"),
        ExecutionError::DuplicateKey(_) => "a map has one key twice".to_owned(),
        _ => "its parts are not of the types that it needs".to_owned(),
    }
}
