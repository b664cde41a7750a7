//! Changes values within a key or value: at paths, or wherever there is one.

use std::sync::Arc;

use dray_connect::Result;
use dray_connect::backing::{Backing, SchemaId};
use dray_connect::datum::Datum;
use dray_connect::schema::SchemaRef;

use crate::record::find_entry;

/// What becomes of a value. It gets the value's schema, where there is one.
pub(super) type Change<'c> = dyn FnMut(&mut Backing, Option<&SchemaRef>, Datum) -> Result<Datum> + 'c;

/// The value with what is at the path changed: in each element where the path leads through an array. Where there is nothing at
/// the path, the value itself.
pub(super) fn at(
    backing: &mut Backing,
    schema: Option<&SchemaRef>,
    value: Datum,
    path: &[Box<str>],
    change: &mut Change<'_>,
) -> Result<Datum> {
    let Some((name, rest)) = path.split_first() else {
        return change(backing, schema, value);
    };
    let mut parts = value.parts(backing).to_vec();
    match Nested::of(value) {
        None => return Ok(value),
        Some(Nested::Map) => {
            let Some(place) = find_entry(backing, &parts, name) else {
                return Ok(value);
            };
            let inner = schema.and_then(|schema| schema.value_schema_opt().cloned());
            let place = 2 * place + 1;
            parts[place] = at(backing, inner.as_ref(), parts[place], rest, change)?;
        }
        Some(Nested::Struct(id)) => {
            let schema = Arc::clone(backing.schema_of(id));
            let Some(field) = schema.field(name) else {
                return Ok(value);
            };
            parts[field.index] = at(backing, Some(&field.schema), parts[field.index], rest, change)?;
        }
        Some(Nested::Array) => {
            let inner = schema.and_then(|schema| schema.value_schema_opt().cloned());
            for part in &mut parts {
                *part = at(backing, inner.as_ref(), *part, path, change)?;
            }
        }
    }
    Ok(with_parts(backing, value, &parts))
}

/// The value with each value within it changed that has no parts itself; keys of maps stay.
pub(super) fn everywhere(
    backing: &mut Backing,
    schema: Option<&SchemaRef>,
    value: Datum,
    change: &mut Change<'_>,
) -> Result<Datum> {
    let before = value.parts(backing).to_vec();
    let mut parts = before.clone();
    match Nested::of(value) {
        None => return change(backing, schema, value),
        Some(Nested::Map) => {
            let inner = schema.and_then(|schema| schema.value_schema_opt().cloned());
            for part in parts.iter_mut().skip(1).step_by(2) {
                *part = everywhere(backing, inner.as_ref(), *part, change)?;
            }
        }
        Some(Nested::Struct(id)) => {
            let schema = Arc::clone(backing.schema_of(id));
            for (part, field) in parts.iter_mut().zip(schema.fields()?) {
                *part = everywhere(backing, Some(&field.schema), *part, change)?;
            }
        }
        Some(Nested::Array) => {
            let inner = schema.and_then(|schema| schema.value_schema_opt().cloned());
            for part in &mut parts {
                *part = everywhere(backing, inner.as_ref(), *part, change)?;
            }
        }
    }
    Ok(if parts == before {
        value
    } else {
        with_parts(backing, value, &parts)
    })
}

/// A map, struct or array with other parts.
fn with_parts(backing: &mut Backing, value: Datum, parts: &[Datum]) -> Datum {
    match Nested::of(value) {
        None => value,
        Some(Nested::Map) => backing.map_of_parts(parts),
        Some(Nested::Struct(id)) => backing.record_not_validated(id, parts),
        Some(Nested::Array) => backing.array(parts),
    }
}

/// A value that has parts.
enum Nested {
    Map,
    Struct(SchemaId),
    Array,
}

impl Nested {
    fn of(value: Datum) -> Option<Self> {
        if let Datum::Struct(row) = value {
            return Some(Self::Struct(row.schema()));
        }
        if let Datum::Map(_) = value {
            return Some(Self::Map);
        }
        matches!(value, Datum::Array(_)).then_some(Self::Array)
    }
}
