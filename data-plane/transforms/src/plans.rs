//! What a transform has worked out about a schema, kept for the records that follow.

use std::sync::Arc;

use dray_connect::Result;
use dray_connect::backing::Backing;
use dray_connect::datum::Datum;
use dray_connect::schema::{SchemaBuilder, SchemaRef};
use dray_connect::value::Value;

/// As many as Connect's caches hold. A topic has one schema, and some more while it changes.
const CAPACITY: usize = 16;

/// A plan for each of the latest schemas.
#[derive(Debug)]
pub(crate) struct Plans<P> {
    /// The latest first.
    known: Vec<(SchemaRef, P)>,
}

impl<P> Default for Plans<P> {
    fn default() -> Self {
        Self { known: Vec::new() }
    }
}

impl<P> Plans<P> {
    /// The plan for a schema. An equal schema has the same plan, so that what comes out of it stays one schema even where
    /// a source makes its own anew for each record.
    pub(crate) fn get(&mut self, schema: &SchemaRef, make: impl FnOnce(&SchemaRef) -> Result<P>) -> Result<&P> {
        let is_first = self.known.first().is_some_and(|(first, _)| Arc::ptr_eq(first, schema));
        if !is_first {
            self.bring_to_front(schema, make)?;
        }
        Ok(&self.known[0].1)
    }

    /// The same, to be added to.
    pub(crate) fn get_mut(&mut self, schema: &SchemaRef, make: impl FnOnce(&SchemaRef) -> Result<P>) -> Result<&mut P> {
        self.get(schema, make)?;
        Ok(&mut self.known[0].1)
    }

    #[cold]
    fn bring_to_front(&mut self, schema: &SchemaRef, make: impl FnOnce(&SchemaRef) -> Result<P>) -> Result<()> {
        let same = self.known.iter().position(|(known, _)| Arc::ptr_eq(known, schema));
        let equal = same.or_else(|| self.known.iter().position(|(known, _)| known == schema));
        let plan = match equal {
            Some(place) => self.known.remove(place).1,
            None => make(schema)?,
        };
        self.known.truncate(CAPACITY - 1);
        self.known.insert(0, (Arc::clone(schema), plan));
        Ok(())
    }
}

/// The defaults that stand for null: `replace.null.with.default`.
#[derive(Debug, Default)]
pub(crate) struct Defaults(Vec<(usize, Value)>);

impl Defaults {
    /// Those of the fields of a struct schema; none when `replace` is false.
    pub(crate) fn of(schema: &SchemaRef, replace: bool) -> Result<Self> {
        let fields = schema.fields()?.iter().filter(|_| replace);
        Ok(Self::at(fields.map(|field| (field.index, &field.schema))))
    }

    /// Those of schemas at these places.
    pub(crate) fn at<'s>(schemas: impl IntoIterator<Item = (usize, &'s SchemaRef)>) -> Self {
        let default = |(index, schema): (usize, &SchemaRef)| Some((index, schema.default()?.clone()));
        Self(schemas.into_iter().filter_map(default).collect())
    }

    /// Puts them where there is null.
    #[inline]
    pub(crate) fn fill(&self, values: &mut [Datum], backing: &mut Backing) {
        for (index, default) in &self.0 {
            if values[*index] == Datum::Null {
                values[*index] = backing.value(default);
            }
        }
    }
}

/// Name, version, documentation and parameters of `schema`: what Connect's `SchemaUtil.copySchemaBasics` copies. Not whether
/// it is optional, not its default, not its fields.
pub(crate) fn copy_schema_basics(schema: &SchemaRef, mut builder: SchemaBuilder) -> SchemaBuilder {
    if let Some(name) = schema.name() {
        builder = builder.name(name);
    }
    if let Some(version) = schema.version() {
        builder = builder.version(version);
    }
    if let Some(doc) = schema.doc() {
        builder = builder.doc(doc);
    }
    if let Some(parameters) = schema.parameters() {
        builder = builder.parameters(parameters.clone());
    }
    builder
}
