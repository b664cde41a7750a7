//! What a field has that the writer's schema has not: the default of the reader's, as its bytes would be read.

use dray_connect::backing::Backing;
use dray_connect::datum::Datum;
use dray_connect::schema::SchemaRef;
use dray_connect::value::Value;
use dray_connect::{Error, Result};
use serde_json::Value as Json;

use super::default::latin1;
use super::read::{Out, Read};
use super::resolved::Fill;
use super::schema::{Kind, Schema, TypeId};
use super::wire::{self, Bytes};

/// Defaults within each other: a record may be its own.
const MAX_LEVELS: usize = 100;

/// The default of a field of that type. A default becomes Avro's bytes and they a value, so that it is what a writer who wrote it would have
/// been read as.
pub(super) fn fill(schema: &Schema, of: TypeId, default: &Json, connect: &SchemaRef) -> Result<Fill> {
    let mut bytes = Vec::new();
    encode(schema, of, default, 1, &mut bytes).ok_or_else(|| {
        let kind = schema.kind(of).word();
        Error::data(format!(
            "its default {default} in the reader's schema is none of its type {kind}"
        ))
    })?;
    let plan = Read::of(schema, of, Some(connect))?;
    let mut batch = Backing::default();
    let span = batch.copy(&bytes);
    let mut out = Out {
        batch: &mut batch,
        span,
        stack: &mut Vec::new(),
    };
    let datum = plan.read(&mut Bytes::new(&bytes, 0), &mut out)?;
    Ok(match datum {
        Datum::Null
        | Datum::Boolean(_)
        | Datum::Int8(_)
        | Datum::Int16(_)
        | Datum::Int32(_)
        | Datum::Int64(_)
        | Datum::Float32(_)
        | Datum::Float64(_)
        | Datum::Date(_) => Fill::Datum(datum),
        Datum::Str(_) | Datum::Bytes(_) | Datum::Decimal(_) | Datum::Array(_) | Datum::Map(_) | Datum::Struct(_) => {
            let value = datum.view(&batch).to_value();
            if let Value::String(text) = value {
                Fill::Text(text.into())
            } else {
                Fill::Value(value)
            }
        }
    })
}

/// Appends the bytes of a default; none where it does not fit. Of a union the first branch counts that it fits.
pub(super) fn encode(schema: &Schema, of: TypeId, json: &Json, level: usize, out: &mut Vec<u8>) -> Option<()> {
    if level > MAX_LEVELS {
        return None;
    }
    match schema.kind(of) {
        Kind::Null => json.as_null()?,
        Kind::Boolean => out.push(json.as_bool()?.into()),
        Kind::Int => wire::long(i32::try_from(json.as_i64()?).ok()?.into(), out),
        Kind::Long => wire::long(json.as_i64()?, out),
        // By way of a double, as in Java.
        Kind::Float => out.extend_from_slice(&(json.as_f64()? as f32).to_le_bytes()),
        Kind::Double => out.extend_from_slice(&json.as_f64()?.to_le_bytes()),
        Kind::String => wire::bytes(json.as_str()?.as_bytes(), out),
        Kind::Bytes => wire::bytes(&latin1(json.as_str()?)?, out),
        Kind::Fixed(of) => {
            // One that is too short is filled up, as in Java, and a longer one cut.
            let mut bytes = latin1(json.as_str()?)?;
            bytes.resize(of.size, 0);
            out.extend_from_slice(&bytes);
        }
        Kind::Enum(of) => {
            let symbol = json.as_str()?;
            let index = of.symbols.iter().position(|known| &**known == symbol)?;
            wire::long(index as i64, out);
        }
        Kind::Array(of) => {
            let elements = json.as_array()?;
            if !elements.is_empty() {
                wire::long(elements.len() as i64, out);
            }
            for element in elements {
                encode(schema, *of, element, level + 1, out)?;
            }
            out.push(0);
        }
        Kind::Map(of) => {
            let entries = json.as_object()?;
            if !entries.is_empty() {
                wire::long(entries.len() as i64, out);
            }
            for (key, value) in entries {
                wire::bytes(key.as_bytes(), out);
                encode(schema, *of, value, level + 1, out)?;
            }
            out.push(0);
        }
        Kind::Record(record) => {
            let members = json.as_object()?;
            for field in &record.fields {
                let json = members.get(&*field.name).or(field.default.as_ref())?;
                encode(schema, field.of, json, level + 1, out)?;
            }
        }
        Kind::Union(branches) => {
            let start = out.len();
            for (index, branch) in branches.iter().enumerate() {
                wire::long(index as i64, out);
                if encode(schema, *branch, json, level + 1, out).is_some() {
                    return Some(());
                }
                out.truncate(start);
            }
            return None;
        }
    }
    Some(())
}
