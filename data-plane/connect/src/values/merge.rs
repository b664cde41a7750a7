//! The one schema of several parsed values.

use std::sync::Arc;

use crate::schema::{Schema, SchemaRef, Type};

/// Collects the schemas of elements and keeps one that fits all. Once two do not fit there is none, whatever follows.
#[derive(Debug, Default)]
pub(super) struct SchemaMerger {
    common: Option<SchemaRef>,
    incompatible: bool,
}

impl SchemaMerger {
    pub(super) fn merge(&mut self, latest: &SchemaRef) {
        if self.incompatible {
            return;
        }
        self.common = match self.common.take() {
            None => Some(Arc::clone(latest)),
            Some(previous) => merge_two(previous, latest),
        };
        self.incompatible = self.common.is_none();
    }

    /// The common schema; none as well when nothing was merged.
    pub(super) fn schema(&self) -> Option<&SchemaRef> {
        self.common.as_ref()
    }
}

fn merge_two(previous: SchemaRef, latest: &SchemaRef) -> Option<SchemaRef> {
    if previous.type_() != latest.type_() {
        let (a, b) = (width(previous.type_())?, width(latest.type_())?);
        return Some(if a > b { previous } else { Arc::clone(latest) });
    }
    if previous.optional() == latest.optional() {
        return Some(if previous.optional() {
            previous
        } else {
            Arc::clone(latest)
        });
    }
    Schema::same(&previous, latest).then_some(previous)
}

/// The place of a numeric type in the order of promotion.
pub(crate) fn width(kind: Type) -> Option<u8> {
    match kind {
        Type::Int8 => Some(0),
        Type::Int16 => Some(1),
        Type::Int32 => Some(2),
        Type::Int64 => Some(3),
        Type::Float32 => Some(4),
        Type::Float64 => Some(5),
        Type::Boolean | Type::String | Type::Bytes | Type::Array | Type::Map | Type::Struct => None,
    }
}
