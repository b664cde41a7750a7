//! What a field has that the writer's schema has not: the default of the reader's, as its bytes would be read.

use dray_connect::backing::Backing;
use dray_connect::datum::Datum;
use dray_connect::schema::SchemaRef;
use dray_connect::value::Value;
use dray_connect::{Error, Result};
use serde_json::Value as Json;

use super::read::Out;
use super::resolved::Fill;
use super::schema::{Schema, TypeId};
use super::wire::Bytes;
use super::{again, default};
use crate::again::MAX_LEVELS;

/// The default of a field of that type. A default becomes Avro's bytes and they a value, so that it is what a writer who wrote it would have
/// been read as.
pub(super) fn fill(schema: &Schema, of: TypeId, json: &Json, connect: &SchemaRef) -> Result<Fill> {
    let bytes = default::encode(schema, of, json).ok_or_else(|| {
        let kind = schema.kind(of).word();
        Error::data(format!(
            "its default {json} in the reader's schema is none of its type {kind}, or does not end"
        ))
    })?;
    let (plan, _cells) = again::plan(schema, of, Some(connect))?;
    let mut batch = Backing::default();
    let span = batch.copy(&bytes);
    let mut out = Out {
        batch: &mut batch,
        span,
        stack: &mut Vec::new(),
        levels: MAX_LEVELS,
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
