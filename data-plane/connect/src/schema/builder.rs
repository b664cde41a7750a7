//! Puts schemas together, with the checks and texts of Connect's `SchemaBuilder`.
//!
//! Java throws at the wrong call. Here the first wrong call is remembered and [`SchemaBuilder::build`] returns it, so that
//! a schema can be written as one chain.

use std::sync::Arc;

use indexmap::IndexMap;

use super::{Field, Link, SCAN_LIMIT, Schema, SchemaRef, Type, validate_value};
use crate::error::{BoxError, Error, Result};
use crate::value::Value;

/// Makes a [`Schema`].
///
/// Optional, default, name, version and doc can be set once. Java lets a second call pass when it is given the same
/// object; here it passes when the value is equal.
#[derive(Debug)]
pub struct SchemaBuilder {
    pub(super) schema: Schema,
    optional: Option<bool>,
    first_error: Option<Error>,
}

macro_rules! primitive_builders {
    ($($name:ident, $kind:ident, $text:literal;)*) => {
        $(
            #[doc = concat!("A builder of a schema of ", $text, ".")]
            #[must_use]
            pub fn $name() -> Self {
                Self::of(Type::$kind)
            }
        )*
    };
}

impl SchemaBuilder {
    /// A builder of a schema of that type. Arrays and maps made so have no schema for their elements.
    #[must_use]
    pub fn of(kind: Type) -> Self {
        Self {
            schema: Schema::of(kind),
            optional: None,
            first_error: None,
        }
    }

    /// A builder that starts as a copy of `schema`, with everything free to be set again.
    pub(super) fn from_schema(schema: &Schema) -> Self {
        Self {
            schema: schema.clone(),
            optional: None,
            first_error: None,
        }
    }

    /// A builder of a reference.
    pub(super) fn of_link(link: Link) -> Self {
        let mut builder = Self::of(Type::Struct);
        builder.schema.open = matches!(link, Link::Open(_));
        builder.schema.has_fields = false;
        builder.schema.link = Some(Box::new(link));
        builder
    }

    primitive_builders! {
        int8, Int8, "8 bit integers";
        int16, Int16, "16 bit integers";
        int32, Int32, "32 bit integers";
        int64, Int64, "64 bit integers";
        float32, Float32, "32 bit floats";
        float64, Float64, "64 bit floats";
        boolean, Boolean, "booleans";
        string, String, "strings";
        bytes, Bytes, "byte arrays";
        struct_, Struct, "structs";
    }

    /// A builder of a schema of arrays.
    #[must_use]
    pub fn array(element: SchemaRef) -> Self {
        let mut builder = Self::of(Type::Array);
        builder.schema.open = element.open;
        builder.schema.element = Some(element);
        builder
    }

    /// A builder of a schema of maps.
    #[must_use]
    pub fn map(key: SchemaRef, value: SchemaRef) -> Self {
        let open = key.open || value.open;
        let mut builder = Self::map_of(Some(key));
        builder.schema.open = open;
        builder.schema.element = Some(value);
        builder
    }

    /// A map whose values have no schema, as parsing text can yield one.
    pub(crate) fn map_of(key: Option<SchemaRef>) -> Self {
        let mut builder = Self::of(Type::Map);
        builder.schema.key = key;
        builder
    }

    /// Null is a legal value.
    #[must_use]
    pub fn optional(self) -> Self {
        self.set_optional(true)
    }

    /// Null is not a legal value; so it is when nothing is said.
    #[must_use]
    pub fn required(self) -> Self {
        self.set_optional(false)
    }

    fn set_optional(mut self, optional: bool) -> Self {
        if self.optional.is_some_and(|before| before != optional) {
            return self.already_set("optional");
        }
        self.optional = Some(optional);
        self.schema.optional = optional;
        self
    }

    /// The value that stands for a missing one. It is checked now: say `optional()` before a null default.
    #[must_use]
    pub fn default_value(mut self, value: Value) -> Self {
        if self.schema.default.as_ref().is_some_and(|before| *before != value) {
            return self.already_set("default");
        }
        if let Err(cause) = validate_value(&self.schema, &value) {
            return self.fail_with(Error::schema_builder("Invalid default value"), Some(cause.into()));
        }
        self.schema.default = if matches!(value, Value::Null) {
            None
        } else {
            Some(value)
        };
        self
    }

    /// The name of the schema.
    #[must_use]
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        let name = name.into();
        if self.schema.name.as_ref().is_some_and(|before| *before != name) {
            return self.already_set("name");
        }
        self.schema.name = Some(name);
        self
    }

    /// The version of the schema.
    #[must_use]
    pub fn version(mut self, version: i32) -> Self {
        if self.schema.version.is_some_and(|before| before != version) {
            return self.already_set("version");
        }
        self.schema.version = Some(version);
        self
    }

    /// The documentation of the schema.
    #[must_use]
    pub fn doc(mut self, doc: impl Into<Arc<str>>) -> Self {
        let doc = doc.into();
        if self.schema.doc.as_ref().is_some_and(|before| *before != doc) {
            return self.already_set("doc");
        }
        self.schema.doc = Some(doc);
        self
    }

    /// Adds one parameter; a second value for a name replaces the first.
    #[must_use]
    pub fn parameter(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.schema
            .parameters
            .get_or_insert_default()
            .insert(name.into(), value.into());
        self
    }

    /// Adds parameters; an empty map changes nothing.
    #[must_use]
    pub fn parameters(mut self, parameters: IndexMap<String, String>) -> Self {
        if !parameters.is_empty() {
            self.schema.parameters.get_or_insert_default().extend(parameters);
        }
        self
    }

    /// Appends a field to a struct schema.
    #[must_use]
    pub fn field(mut self, name: impl Into<Arc<str>>, schema: SchemaRef) -> Self {
        let name = name.into();
        if self.schema.kind != Type::Struct {
            let text = format!("Cannot create fields on type {}", self.schema.kind);
            return self.fail_with(Error::schema_builder(text), None);
        }
        if !self.schema.has_fields {
            let cause = self.schema.no_fields();
            return self.fail_with(
                Error::schema_builder("Cannot create fields on a reference"),
                Some(cause.into()),
            );
        }
        if name.is_empty() {
            return self.fail_with(Error::schema_builder("fieldName cannot be null."), None);
        }
        if self.schema.field(&name).is_some() {
            let text = format!("Cannot create field because of field name duplication {name}");
            return self.fail_with(Error::schema_builder(text), None);
        }
        let index = self.schema.fields.len();
        self.schema.open |= schema.open;
        self.schema.fields.push(Field {
            name: Arc::clone(&name),
            index,
            schema,
        });
        if index == SCAN_LIMIT {
            self.schema.by_name = self
                .schema
                .fields
                .iter()
                .map(|field| (Arc::clone(&field.name), field.index))
                .collect();
        } else if index > SCAN_LIMIT {
            self.schema.by_name.insert(name, index);
        }
        self
    }

    /// The schema, or the first mistake made on the way.
    pub fn build(self) -> Result<SchemaRef> {
        match self.first_error {
            Some(error) => Err(error),
            None => Ok(Arc::new(self.schema)),
        }
    }

    fn already_set(self, what: &str) -> Self {
        let text = format!("Invalid SchemaBuilder call: {what} has already been set.");
        self.fail_with(Error::schema_builder(text), None)
    }

    fn fail_with(mut self, error: Error, cause: Option<BoxError>) -> Self {
        if self.first_error.is_none() {
            self.first_error = Some(match cause {
                Some(cause) => error.with_source(cause),
                None => error,
            });
        }
        self
    }
}
