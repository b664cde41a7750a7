//! Values without a schema, which Confluent's converter writes as a record with a field for each kind of value, of which one is set.

use dray_connect::datum::{Datum, ValueRef};
use dray_connect::{Error, Result};

use super::read::Out;
use super::schema::{Kind, Schema, TypeId};
use super::settings::ANYTHING;
use super::wire::{self, Bytes};
use crate::{java_class, unique};

/// Values within each other: the schema names itself, so that a message says how deep it goes.
const MAX_LEVELS: usize = 200;

const TEXT: &str = r#"{"type":"record","name":"Anything","namespace":"io.confluent.connect.avro","fields":[{"name":"boolean","type":["null","boolean"],"default":null},{"name":"bytes","type":["null","bytes"],"default":null},{"name":"double","type":["null","double"],"default":null},{"name":"float","type":["null","float"],"default":null},{"name":"int","type":["null","int"],"default":null},{"name":"long","type":["null","long"],"default":null},{"name":"string","type":["null","string"],"default":null},{"name":"array","type":["null",{"type":"array","items":"Anything"}],"default":null},{"name":"map","type":["null",{"type":"array","items":{"type":"record","name":"MapEntry","fields":[{"name":"key","type":"Anything"},{"name":"value","type":"Anything"}]}}],"default":null}]}"#;

const BOOLEAN: usize = 0;
const BYTES: usize = 1;
const DOUBLE: usize = 2;
const FLOAT: usize = 3;
const INT: usize = 4;
const LONG: usize = 5;
const STRING: usize = 6;
const ARRAY: usize = 7;
const MAP: usize = 8;
const FIELDS: usize = 9;

/// The schema of anything.
pub(super) fn schema() -> Schema {
    super::parse::parse(TEXT, &[]).expect("a fixed text, which the tests parse")
}

/// Whether a type is that of anything. Its fields must be as expected, or it is a record like others.
pub(super) fn is_anything(schema: &Schema, id: TypeId) -> bool {
    let Kind::Record(record) = schema.kind(id) else {
        return false;
    };
    let names = [
        "boolean", "bytes", "double", "float", "int", "long", "string", "array", "map",
    ];
    let is_optional = |of: TypeId| {
        let Kind::Union(branches) = schema.kind(of) else {
            return false;
        };
        branches.len() == 2 && matches!(schema.kind(branches[0]), Kind::Null)
    };
    record.name.full() == ANYTHING
        && record.fields.iter().map(|field| &*field.name).eq(names)
        && record.fields.iter().all(|field| is_optional(field.of))
}

/// Appends a value.
pub(super) fn write(value: ValueRef<'_>, level: usize, out: &mut Vec<u8>) -> Result<()> {
    if level > MAX_LEVELS {
        return Err(too_deep());
    }
    let mut set = |field: usize| {
        // Null is the first branch of each union, and so is a zero.
        out.extend(std::iter::repeat_n(0, field));
        out.push(2);
    };
    let field = match value {
        ValueRef::Null => {
            out.extend_from_slice(&[0; FIELDS]);
            return Ok(());
        }
        ValueRef::Boolean(_) => BOOLEAN,
        ValueRef::Bytes(_) => BYTES,
        ValueRef::Float64(_) => DOUBLE,
        ValueRef::Float32(_) => FLOAT,
        ValueRef::Int8(_) | ValueRef::Int16(_) | ValueRef::Int32(_) => INT,
        ValueRef::Int64(_) => LONG,
        ValueRef::Str(_) => STRING,
        ValueRef::Array(_) => ARRAY,
        ValueRef::Map(_) => MAP,
        ValueRef::Decimal(_) | ValueRef::Date(_) | ValueRef::Struct(_) => {
            let class = java_class(value);
            return Err(Error::data(format!("Unknown Java type for schemaless data: {class}")));
        }
    };
    set(field);
    match value {
        ValueRef::Boolean(value) => out.push(value.into()),
        ValueRef::Bytes(bytes) | ValueRef::Str(bytes) => wire::bytes(bytes, out),
        ValueRef::Float64(value) => out.extend_from_slice(&value.to_le_bytes()),
        ValueRef::Float32(value) => out.extend_from_slice(&value.to_le_bytes()),
        ValueRef::Int8(value) => wire::long(value.into(), out),
        ValueRef::Int16(value) => wire::long(value.into(), out),
        ValueRef::Int32(value) => wire::long(value.into(), out),
        ValueRef::Int64(value) => wire::long(value, out),
        ValueRef::Array(elements) => {
            if !elements.is_empty() {
                wire::long(elements.len() as i64, out);
            }
            for element in elements.iter() {
                write(element, level + 1, out)?;
            }
            out.push(0);
        }
        ValueRef::Map(entries) => {
            if !entries.is_empty() {
                wire::long(entries.len() as i64, out);
            }
            for (key, value) in entries.iter() {
                write(key, level + 1, out)?;
                write(value, level + 1, out)?;
            }
            out.push(0);
        }
        ValueRef::Null | ValueRef::Decimal(_) | ValueRef::Date(_) | ValueRef::Struct(_) => {}
    }
    out.extend(std::iter::repeat_n(0, FIELDS - field - 1));
    Ok(())
}

/// The value that comes next: of the fields the first that is set.
pub(super) fn read(bytes: &mut Bytes<'_>, level: usize, out: &mut Out<'_>) -> Result<Datum> {
    if level > MAX_LEVELS {
        return Err(too_deep());
    }
    let mut found = Datum::Null;
    for field in 0..FIELDS {
        match bytes.long()? {
            0 => continue,
            1 => {}
            other => {
                return Err(Error::data(format!(
                    "Malformed data. A union of 2 has no branch {other}"
                )));
            }
        }
        let value = match field {
            BOOLEAN => Datum::Boolean(bytes.boolean()?),
            BYTES => {
                let length = bytes.length()?;
                let (start, end) = bytes.take(length)?;
                Datum::Bytes(out.span.slice(start, end))
            }
            DOUBLE => Datum::Float64(f64::from_le_bytes(bytes.array()?)),
            FLOAT => Datum::Float32(f32::from_le_bytes(bytes.array()?)),
            INT => Datum::Int32(bytes.int()?),
            LONG => Datum::Int64(bytes.long()?),
            STRING => super::read::text(bytes, out)?,
            ARRAY => {
                let start = out.stack.len();
                elements(bytes, level, 1, out)?;
                let array = out.batch.array(&out.stack[start..]);
                out.stack.truncate(start);
                array
            }
            _ => {
                let start = out.stack.len();
                elements(bytes, level, 2, out)?;
                unique::unique(out.stack, start, out.batch);
                let map = out.batch.map_of_parts(&out.stack[start..]);
                out.stack.truncate(start);
                map
            }
        };
        if matches!(found, Datum::Null) {
            found = value;
        }
    }
    Ok(found)
}

/// Pushes the elements of an array, each of so many values.
fn elements(bytes: &mut Bytes<'_>, level: usize, values: usize, out: &mut Out<'_>) -> Result<()> {
    loop {
        let count = bytes.block()?;
        if count == 0 {
            return Ok(());
        }
        for _ in 0..count {
            for _ in 0..values {
                let value = read(bytes, level + 1, out)?;
                out.stack.push(value);
            }
        }
    }
}

#[cold]
fn too_deep() -> Error {
    Error::data(format!(
        "a value without a schema nests deeper than {MAX_LEVELS} levels"
    ))
}
