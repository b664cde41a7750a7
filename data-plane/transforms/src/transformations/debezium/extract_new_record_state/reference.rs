//! What `add.fields` and `add.headers` name: fields of an event, of its source or of its transaction.

use std::sync::Arc;

use dray_connect::backing::Backing;
use dray_connect::config::ParsedConfig;
use dray_connect::datum::Datum;
use dray_connect::schema::{SchemaBuilder, SchemaRef, Type};
use dray_connect::{Error, Result};

use super::super::{OP, SOURCE, raw, split};
use crate::plans::copy_schema_basics;

/// A field that is added.
pub(super) struct Reference {
    /// What it is called then.
    pub(super) name: Arc<str>,
    /// The struct that it is in; none for the event itself.
    parent: Option<String>,
    field: String,
}

/// All that a key lists.
pub(super) fn references(config: &ParsedConfig, key: &str) -> Result<Vec<Reference>> {
    let listed = raw(config, key).unwrap_or_default();
    let prefix = raw(config, &format!("{key}.prefix")).unwrap_or_default();
    if listed.is_empty() {
        return Ok(Vec::new());
    }
    let each = split(listed, ',').into_iter().map(str::trim);
    each.map(|element| Reference::read(element, prefix).ok_or_else(|| refused(key, listed, element)))
        .collect()
}

#[cold]
fn refused(key: &str, listed: &str, element: &str) -> Error {
    let problem = format!("`{element}` is not field, struct.field, field:name or struct.field:name");
    Error::invalid_config(key, Some(listed), Some(&problem))
}

impl Reference {
    fn read(element: &str, prefix: &str) -> Option<Self> {
        let (path, given) = match split(element, ':')[..] {
            [path] => (path, None),
            [path, name] => (path, Some(name)),
            _ => return None,
        };
        let (parent, field, plain) = match split(path, '.')[..] {
            [] => return None,
            [field] => (parent_of(field), field, field.to_owned()),
            [parent, field, ..] => (Some(parent), field, format!("{parent}_{field}")),
        };
        Some(Self {
            name: format!("{prefix}{}", given.unwrap_or(&plain)).into(),
            parent: parent.map(str::to_owned),
            field: field.to_owned(),
        })
    }

    /// Whether it is the event's operation, which is known of a tombstone, too.
    pub(super) fn is_operation(&self) -> bool {
        self.field == OP
    }

    /// Where the field is in events of that schema: in the struct, or at the top where some other transformation has put it.
    pub(super) fn find(&self, event: &SchemaRef) -> Result<Found> {
        let parent = match &self.parent {
            None => None,
            Some(name) => Some(event.field(name).ok_or_else(|| {
                Error::data(format!(
                    "{} cannot be added: {event} has no struct {name}. Take it out of add.fields and add.headers, or name its \
                     struct.",
                    self.field
                ))
            })?),
        };
        let top = event.lookup_field(&self.field)?;
        let inner = match parent {
            None => top,
            Some(parent) => parent.schema.lookup_field(&self.field)?,
        };
        let Some(field) = inner.or(top) else {
            return Ok(Found(None));
        };
        let schema = &field.schema;
        // The fields of a struct are left out, as in Java: what is put there then does not fit.
        let builder = if schema.type_() == Type::Array {
            SchemaBuilder::array(Arc::clone(schema.value_schema()?))
        } else if schema.type_() == Type::Map {
            SchemaBuilder::map(Arc::clone(schema.key_schema()?), Arc::clone(schema.value_schema()?))
        } else {
            SchemaBuilder::of(schema.type_())
        };
        Ok(Found(Some(Place {
            schema: copy_schema_basics(schema, builder).optional().build()?,
            parent: parent.map(|parent| parent.index),
            inner: match parent {
                None => None,
                Some(_) => inner.map(|field| field.index),
            },
            top: top.map(|field| field.index),
        })))
    }
}

/// The struct of a field that is named without one.
fn parent_of(field: &str) -> Option<&'static str> {
    match field {
        "id" | "data_collection_order" | "total_order" => Some("transaction"),
        "op" | "ts_ms" | "ts_us" | "ts_ns" => None,
        "updateDescription" => Some("updateDescription"),
        _ => Some(SOURCE),
    }
}

/// Where a field is in events of one schema; nowhere where they do not have it.
pub(super) struct Found(Option<Place>);

struct Place {
    /// The field's schema, optional and without a default.
    schema: SchemaRef,
    parent: Option<usize>,
    inner: Option<usize>,
    top: Option<usize>,
}

impl Found {
    pub(super) fn is_there(&self) -> bool {
        self.0.is_some()
    }

    pub(super) fn schema(&self) -> Option<&SchemaRef> {
        self.0.as_ref().map(|place| &place.schema)
    }

    /// The value in an event; null where its struct is null. Defaults do not stand for null.
    pub(super) fn value(&self, event: &[Datum], backing: &Backing) -> Datum {
        let Some(place) = &self.0 else { return Datum::Null };
        let at = |values: &[Datum], index: Option<usize>| index.and_then(|index| values.get(index).copied());
        let found = match place.parent {
            None => at(event, place.top),
            Some(parent) => match at(event, Some(parent)) {
                None | Some(Datum::Null) => None,
                Some(parent) if place.inner.is_some() => at(parent.parts(backing), place.inner),
                Some(_) => at(event, place.top),
            },
        };
        found.unwrap_or_default()
    }
}
