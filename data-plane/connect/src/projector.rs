//! Reads a value that was written with one schema as one of another, compatible schema.
//!
//! Connect's `SchemaProjector`: fields are matched by name, numbers are widened, defaults fill what is missing. Versions,
//! documentation and defaults do not make schemas incompatible; names and parameters do.

use indexmap::IndexMap;

use crate::error::{Error, Result};
use crate::schema::{Schema, SchemaRef, Type};
use crate::structs::Struct;
use crate::value::Value;
use crate::values::width;

/// The value of `source`, as a value of `target`.
pub fn project(source: &SchemaRef, record: &Value, target: &SchemaRef) -> Result<Value> {
    check_compatible(source, target)?;
    if source.optional() && !target.optional() {
        let Some(default) = target.default() else {
            return Err(Error::schema_projector(
                "Writer schema is optional, however, target schema does not provide a default value.",
            ));
        };
        if record.is_null() {
            return Ok(default.clone());
        }
    }
    if record.is_null() {
        return Ok(Value::Null);
    }
    match target.type_() {
        Type::Struct => project_struct(source, record, target),
        Type::Array => project_array(source, record, target),
        Type::Map => project_map(source, record, target),
        Type::Int8
        | Type::Int16
        | Type::Int32
        | Type::Int64
        | Type::Float32
        | Type::Float64
        | Type::Boolean
        | Type::String
        | Type::Bytes => Ok(promote(record, target.type_())),
    }
}

fn check_compatible(source: &Schema, target: &Schema) -> Result<()> {
    let (from, to) = (source.type_(), target.type_());
    if from != to && !is_promotable(from, to) {
        return Err(Error::schema_projector(format!(
            "Schema type mismatch. source type: {from} and target type: {to}"
        )));
    }
    if source.name() != target.name() {
        let show = |name: Option<&str>| name.unwrap_or("null").to_owned();
        return Err(Error::schema_projector(format!(
            "Schema name mismatch. source name: {} and target name: {}",
            show(source.name()),
            show(target.name())
        )));
    }
    if source.parameters() != target.parameters() {
        return Err(Error::schema_projector(format!(
            "Schema parameters not equal. source parameters: {} and target parameters: {}",
            show_parameters(source.parameters()),
            show_parameters(target.parameters())
        )));
    }
    Ok(())
}

fn is_promotable(from: Type, to: Type) -> bool {
    match (width(from), width(to)) {
        (Some(from), Some(to)) => from <= to,
        (_, _) => false,
    }
}

fn show_parameters(parameters: Option<&IndexMap<String, String>>) -> String {
    let Some(parameters) = parameters else {
        return "null".to_owned();
    };
    let entries: Vec<String> = parameters
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    format!("{{{}}}", entries.join(", "))
}

fn project_struct(source: &SchemaRef, record: &Value, target: &SchemaRef) -> Result<Value> {
    let record = record.as_struct().ok_or_else(|| wrong_class(record, source))?;
    let (source, target) = (&Schema::resolved(source), &Schema::resolved(target));
    let mut projected = Struct::new(target.clone())?;
    for field in target.fields()? {
        let name = &*field.name;
        let schema = &field.schema;
        if let Some(from) = source.field(name) {
            let value = project(&from.schema, record.get(name)?, schema).map_err(|cause| {
                let wraps = matches!(cause.kind(), Error::SchemaProjector(_));
                if wraps {
                    Error::schema_projector(format!("Error projecting {name}")).with_source(cause)
                } else {
                    cause
                }
            })?;
            projected.put(name, value)?;
        } else if schema.optional() {
            // Stays unset, even where there is a default.
        } else if let Some(default) = schema.default() {
            projected.put(name, default.clone())?;
        } else {
            return Err(Error::schema_projector(format!(
                "Required field `{name}` is missing from source schema: {source}"
            )));
        }
    }
    Ok(projected.into())
}

fn project_array(source: &SchemaRef, record: &Value, target: &SchemaRef) -> Result<Value> {
    let elements = record.as_array().ok_or_else(|| wrong_class(record, source))?;
    let (from, to) = (source.value_schema()?, target.value_schema()?);
    elements
        .iter()
        .map(|element| project(from, element, to))
        .collect::<Result<Vec<_>>>()
        .map(Value::Array)
}

fn project_map(source: &SchemaRef, record: &Value, target: &SchemaRef) -> Result<Value> {
    let entries = record.as_map().ok_or_else(|| wrong_class(record, source))?;
    let (key_from, key_to) = (source.key_schema()?, target.key_schema()?);
    let (value_from, value_to) = (source.value_schema()?, target.value_schema()?);
    let mut projected = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        projected.push((project(key_from, key, key_to)?, project(value_from, value, value_to)?));
    }
    Ok(Value::map(projected))
}

/// The record is not of its own schema; Java fails with a `ClassCastException`.
fn wrong_class(record: &Value, schema: &Schema) -> Error {
    Error::data(format!("class {} is not a value of {schema}", record.java_class()))
}

/// Widens a number to a numeric type; any other value, a logical date too, stays as it is.
fn promote(record: &Value, to: Type) -> Value {
    match record {
        Value::Int8(v) => widen(i64::from(*v), to),
        Value::Int16(v) => widen(i64::from(*v), to),
        Value::Int32(v) => widen(i64::from(*v), to),
        Value::Int64(v) => widen(*v, to),
        Value::Float32(v) if to == Type::Float64 => Value::Float64(f64::from(*v)),
        Value::Null
        | Value::Boolean(_)
        | Value::Float32(_)
        | Value::Float64(_)
        | Value::String(_)
        | Value::Bytes(_)
        | Value::Array(_)
        | Value::Map(_)
        | Value::Struct(_)
        | Value::Decimal(_)
        | Value::Date(_) => record.clone(),
    }
}

/// The types were checked, so no integer loses bits here; floats round as in Java.
fn widen(number: i64, to: Type) -> Value {
    match to {
        Type::Int8 => Value::Int8(number as i8),
        Type::Int16 => Value::Int16(number as i16),
        Type::Int32 => Value::Int32(number as i32),
        Type::Float32 => Value::Float32(number as f32),
        Type::Float64 => Value::Float64(number as f64),
        Type::Int64 | Type::Boolean | Type::String | Type::Bytes | Type::Array | Type::Map | Type::Struct => {
            Value::Int64(number)
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::error::Error;
    use crate::projector::project;
    use crate::schema::{Schema, SchemaBuilder, SchemaRef};
    use crate::structs::Struct;
    use crate::value::Value;

    fn default_int(value: i32) -> SchemaRef {
        SchemaBuilder::int32().default_value(value.into()).build().unwrap()
    }

    #[test]
    fn numbers_widen_and_never_narrow() {
        let check = |from: SchemaRef, value: Value, to: SchemaRef, expected: Value| {
            assert_eq!(project(&from, &value, &to).unwrap(), expected, "{from} to {to}");
        };
        check(Schema::int8(), 127_i8.into(), Schema::int64(), 127_i64.into());
        check(Schema::int16(), 2_i16.into(), Schema::float32(), 2.0_f32.into());
        check(Schema::int32(), 2.into(), Schema::int32(), 2.into());
        check(Schema::float32(), 1.5_f32.into(), Schema::float64(), 1.5.into());
        check(Schema::string(), "a".into(), Schema::string(), "a".into());
        let error = project(&Schema::int64(), &1_i64.into(), &Schema::int32()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "Schema type mismatch. source type: INT64 and target type: INT32"
        );
    }

    #[test]
    fn names_and_parameters_must_agree() {
        let named = |name: &str| SchemaBuilder::int32().name(name).build().unwrap();
        let error = project(&named("a"), &1.into(), &Schema::int32()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "Schema name mismatch. source name: a and target name: null"
        );
        let parameter = SchemaBuilder::int32()
            .parameter("k", "v")
            .parameter("l", "w")
            .build()
            .unwrap();
        let error = project(&parameter, &1.into(), &Schema::int32()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "Schema parameters not equal. source parameters: {k=v, l=w} and target parameters: null"
        );
    }

    #[test]
    fn an_optional_source_needs_a_default() {
        let error = project(&Schema::optional_int32(), &1.into(), &Schema::int32()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "Writer schema is optional, however, target schema does not provide a default value."
        );
        assert_eq!(
            project(&Schema::optional_int32(), &Value::Null, &default_int(7)).unwrap(),
            7.into()
        );
        assert_eq!(
            project(&Schema::optional_int32(), &3.into(), &default_int(7)).unwrap(),
            3.into()
        );
    }

    #[test]
    fn struct_fields_are_matched_by_name() {
        let source = SchemaBuilder::struct_()
            .field("a", Schema::int32())
            .field("gone", Schema::string())
            .build()
            .unwrap();
        let target = SchemaBuilder::struct_()
            .field("new", default_int(9))
            .field("maybe", Schema::optional_string())
            .field("a", Schema::int64())
            .build()
            .unwrap();
        let mut record = Struct::new(source.clone()).unwrap();
        record.put("a", 1).unwrap().put("gone", "x").unwrap();
        let projected = project(&source, &record.clone().into(), &target).unwrap();
        assert_eq!(projected.to_string(), "Struct{new=9,a=1}");

        let strict = SchemaBuilder::struct_().field("b", Schema::string()).build().unwrap();
        let error = project(&source, &record.clone().into(), &strict).unwrap_err();
        assert_eq!(
            error.to_string(),
            "Required field `b` is missing from source schema: Schema{STRUCT}"
        );

        let narrow = SchemaBuilder::struct_().field("a", Schema::int8()).build().unwrap();
        let error = project(&source, &record.into(), &narrow).unwrap_err();
        assert_eq!(error.to_string(), "Error projecting a");
        assert!(matches!(error.kind(), Error::SchemaProjector(_)));
    }

    #[test]
    fn containers_are_projected_inside() {
        let map = |value: SchemaRef| SchemaBuilder::map(Schema::string(), value).build().unwrap();
        let array = |value: SchemaRef| SchemaBuilder::array(value).build().unwrap();
        let value = Value::map([("k".into(), Value::Array(vec![1_i8.into()]))]);
        let projected = project(&map(array(Schema::int8())), &value, &map(array(Schema::int16()))).unwrap();
        assert_eq!(projected, Value::map([("k".into(), Value::Array(vec![1_i16.into()]))]));
    }
}
