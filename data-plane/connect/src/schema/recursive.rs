//! Schemas that contain themselves.
//!
//! A schema owns what is in it, so none can own itself. Where a struct schema would stand within itself there is a
//! *reference*, as Confluent's converters have a wrapper there: a schema of type STRUCT that says its name and whether null is
//! allowed, but not its fields. [`Schema::resolved`] gives the schema that it stands for, one level further down.
//!
//! References stand within other schemas only. Structs are made of what a reference stands for, and so is the schema of a
//! record, so that only who goes down by schemas meets references. He ends there, or would never.
//!
//! Nothing here is a ring in memory: a reference owns a [`Family`], which has what its members were made of, and a member is
//! made again where it has been dropped.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::{Field, Schema, SchemaBuilder, SchemaRef, Type};
use crate::error::{Error, Result};
use crate::value::Value;

/// Struct schemas that contain each other, while they are made: each by its number.
///
/// ```
/// use dray_connect::schema::{RecursiveBuilder, Schema, SchemaBuilder};
///
/// let mut list = RecursiveBuilder::new(1);
/// let next = RecursiveBuilder::reference(0).optional().build()?;
/// let node = SchemaBuilder::struct_().name("Node").field("value", Schema::int32()).field("next", next);
/// list.define(0, node.build()?)?;
/// let node = list.build()?.schema(0);
/// let next = Schema::resolved(&node.field("next").unwrap().schema);
/// assert_eq!(next.fields()?, node.fields()?);
/// # Ok::<(), dray_connect::Error>(())
/// ```
#[derive(Debug)]
pub struct RecursiveBuilder {
    definitions: Vec<Option<SchemaRef>>,
}

impl RecursiveBuilder {
    /// For so many schemas.
    #[must_use]
    pub fn new(count: usize) -> Self {
        Self {
            definitions: vec![None; count],
        }
    }

    /// A reference to the schema of that number, to be put into those that are given to [`RecursiveBuilder::define`] and
    /// nowhere else. It may be optional, and have a doc of its own and parameters beside the schema's; a default it cannot have.
    #[must_use]
    pub fn reference(number: usize) -> SchemaBuilder {
        SchemaBuilder::of_link(Link::Open(number))
    }

    /// The schema of that number. Whether it is optional and its default belong to a place and are dropped.
    ///
    /// # Errors
    /// When it is no struct, or there is none of that number to be had.
    pub fn define(&mut self, number: usize, schema: SchemaRef) -> Result<()> {
        if !schema.has_fields {
            return Err(Error::data(format!("{schema} is no struct that others may refer to")));
        }
        let Some(definition) = self.definitions.get_mut(number) else {
            return Err(Error::data(format!("there is no schema {number} to define")));
        };
        *definition = Some(if schema.optional || schema.default.is_some() {
            let mut required = Schema::clone(&schema);
            required.optional = false;
            required.default = None;
            Arc::new(required)
        } else {
            schema
        });
        Ok(())
    }

    /// The schemas, once all are defined.
    ///
    /// # Errors
    /// When one is missing.
    pub fn build(self) -> Result<Family> {
        let definitions: Option<Vec<SchemaRef>> = self.definitions.into_iter().collect();
        let definitions = definitions.ok_or_else(|| Error::data("a schema that is referred to was not defined"))?;
        let made = definitions.iter().map(|_| Mutex::default()).collect();
        Ok(Family(Arc::new(Members { definitions, made })))
    }
}

/// Struct schemas that contain each other.
#[derive(Clone)]
pub struct Family(Arc<Members>);

struct Members {
    /// With references that do not say their family.
    definitions: Vec<SchemaRef>,
    /// The schemas that were made of them, as long as somebody has them.
    made: Vec<Mutex<Weak<Schema>>>,
}

impl Family {
    /// The schema of that number.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn schema(&self, number: usize) -> SchemaRef {
        living(&self.0.made[number], || self.bound(&self.0.definitions[number]))
    }

    /// The schema with references that say their family.
    fn bound(&self, schema: &SchemaRef) -> SchemaRef {
        if !schema.open {
            return Arc::clone(schema);
        }
        let mut bound = Schema::clone(schema);
        bound.open = false;
        if let Some(Link::Open(number)) = schema.link.as_deref() {
            let number = *number;
            if let Some(definition) = self.0.definitions.get(number) {
                bound.name = bound.name.or_else(|| definition.name.clone());
                bound.version = bound.version.or(definition.version);
                bound.doc = bound.doc.or_else(|| definition.doc.clone());
                if let Some(own) = std::mem::replace(&mut bound.parameters, definition.parameters.clone()) {
                    bound.parameters.get_or_insert_default().extend(own);
                }
                bound.link = Some(Box::new(Link::Bound(Reference {
                    family: self.clone(),
                    number,
                    made: Mutex::default(),
                })));
            }
            return Arc::new(bound);
        }
        for Field { schema, .. } in &mut bound.fields {
            *schema = self.bound(schema);
        }
        bound.key = bound.key.map(|key| self.bound(&key));
        bound.element = bound.element.map(|element| self.bound(&element));
        // Its schema would be the one that was.
        bound.default = bound.default.filter(|value| !has_struct(value));
        Arc::new(bound)
    }
}

fn has_struct(value: &Value) -> bool {
    match value {
        Value::Struct(_) => true,
        Value::Array(elements) => elements.iter().any(has_struct),
        Value::Map(entries) => entries.iter().any(|(key, value)| has_struct(key) || has_struct(value)),
        Value::Null
        | Value::Boolean(_)
        | Value::Int8(_)
        | Value::Int16(_)
        | Value::Int32(_)
        | Value::Int64(_)
        | Value::Float32(_)
        | Value::Float64(_)
        | Value::String(_)
        | Value::Bytes(_)
        | Value::Decimal(_)
        | Value::Date(_) => false,
    }
}

/// The one that somebody still has, or a new one.
fn living(made: &Mutex<Weak<Schema>>, make: impl FnOnce() -> SchemaRef) -> SchemaRef {
    let mut made = made.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(schema) = made.upgrade() {
        return schema;
    }
    let schema = make();
    *made = Arc::downgrade(&schema);
    schema
}

impl fmt::Debug for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Family of {}", self.0.definitions.len())
    }
}

/// Whether all members are equal, which ends: definitions refer to each other by number.
impl PartialEq for Family {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.definitions == other.0.definitions
    }
}

/// What makes a schema a reference.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Link {
    /// Within a definition.
    Open(usize),
    Bound(Reference),
}

#[derive(Debug)]
pub(super) struct Reference {
    family: Family,
    number: usize,
    /// What the reference stands for, as long as somebody has it.
    made: Mutex<Weak<Schema>>,
}

/// For a schema that may say other things than the one this is copied from.
impl Clone for Reference {
    fn clone(&self) -> Self {
        Self {
            family: self.family.clone(),
            number: self.number,
            made: Mutex::default(),
        }
    }
}

impl PartialEq for Reference {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number && self.family == other.family
    }
}

impl Schema {
    /// Whether this stands for a schema that it stands within: it is a struct's, but has no fields itself.
    #[must_use]
    pub fn is_reference(&self) -> bool {
        self.link.is_some()
    }

    /// The schema with its fields: what a reference stands for, with its own word on null, or else the schema itself.
    ///
    /// As long as somebody has what comes of a reference, the next one gets the same.
    #[must_use]
    pub fn resolved(schema: &SchemaRef) -> SchemaRef {
        schema.refers_to().unwrap_or_else(|| Arc::clone(schema))
    }

    /// What a reference stands for, see [`Schema::resolved`].
    #[must_use]
    pub fn refers_to(&self) -> Option<SchemaRef> {
        let Some(Link::Bound(reference)) = self.link.as_deref() else {
            return None;
        };
        Some(living(&reference.made, || {
            let mut schema = Schema::clone(&reference.family.schema(reference.number));
            schema.optional = self.optional;
            schema.name.clone_from(&self.name);
            schema.version = self.version;
            schema.doc.clone_from(&self.doc);
            schema.parameters.clone_from(&self.parameters);
            Arc::new(schema)
        }))
    }

    /// Whether both are references to one schema, whatever else they say.
    #[must_use]
    pub fn refers_to_same(&self, other: &Self) -> bool {
        self.link.is_some() && self.link == other.link
    }

    #[cold]
    pub(super) fn no_fields(&self) -> Error {
        if self.kind == Type::Struct {
            let name = self.name().unwrap_or("a struct without a name");
            return Error::data(format!(
                "{name} stands within itself here: its schema has no end, and no fields in this place"
            ));
        }
        Error::data("Cannot list fields on non-struct type")
    }
}

#[cfg(test)]
mod tests;
