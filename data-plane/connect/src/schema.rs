//! Schemas: the type of a value, with everything Connect attaches to it.
//!
//! A [`Schema`] is immutable and shared by [`SchemaRef`]; [`SchemaBuilder`] makes one. Values are in `value`, the four
//! logical types in `logical`.

mod builder;
mod predefined;
mod recursive;
mod validate;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use indexmap::IndexMap;

pub use self::builder::SchemaBuilder;
use self::recursive::Link;
pub use self::recursive::{Family, RecursiveBuilder};
pub use self::validate::{validate_field, validate_value};
use crate::error::{Error, Result};
use crate::value::Value;

/// A shared schema. Cloning is cheap.
pub type SchemaRef = Arc<Schema>;

/// The twelve types of Connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Type {
    /// 8 bit signed integer.
    Int8,
    /// 16 bit signed integer.
    Int16,
    /// 32 bit signed integer.
    Int32,
    /// 64 bit signed integer.
    Int64,
    /// 32 bit IEEE 754 number.
    Float32,
    /// 64 bit IEEE 754 number.
    Float64,
    /// True or false.
    Boolean,
    /// Text.
    String,
    /// Bytes.
    Bytes,
    /// A sequence of values of one schema.
    Array,
    /// Keys of one schema and values of one schema.
    Map,
    /// Named fields, each with its schema.
    Struct,
}

impl Type {
    /// The name in lower case: `int8`, as `Schema.Type.getName()` returns it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Int8 => "int8",
            Self::Int16 => "int16",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Float32 => "float32",
            Self::Float64 => "float64",
            Self::Boolean => "boolean",
            Self::String => "string",
            Self::Bytes => "bytes",
            Self::Array => "array",
            Self::Map => "map",
            Self::Struct => "struct",
        }
    }

    /// The name in upper case: `INT8`, as the type prints itself in messages.
    #[must_use]
    pub fn upper(self) -> &'static str {
        match self {
            Self::Int8 => "INT8",
            Self::Int16 => "INT16",
            Self::Int32 => "INT32",
            Self::Int64 => "INT64",
            Self::Float32 => "FLOAT32",
            Self::Float64 => "FLOAT64",
            Self::Boolean => "BOOLEAN",
            Self::String => "STRING",
            Self::Bytes => "BYTES",
            Self::Array => "ARRAY",
            Self::Map => "MAP",
            Self::Struct => "STRUCT",
        }
    }

    /// Everything but arrays, maps and structs.
    #[must_use]
    pub fn is_primitive(self) -> bool {
        !matches!(self, Self::Array | Self::Map | Self::Struct)
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.upper())
    }
}

/// A field of a struct schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// The name, unique in its schema.
    pub name: Arc<str>,
    /// The position in the schema, from 0.
    pub index: usize,
    /// The schema of the field's values.
    pub schema: SchemaRef,
}

/// A struct schema with more fields than this looks names up in a hash map; below it a scan is faster.
const SCAN_LIMIT: usize = 8;

/// The type of a value and what is known about it.
///
/// Equality compares every attribute, documentation and default included, as Connect does. A schema within itself is equal to
/// what it stands for.
#[derive(Clone, Debug)]
pub struct Schema {
    kind: Type,
    optional: bool,
    default: Option<Value>,
    name: Option<Arc<str>>,
    version: Option<i32>,
    doc: Option<Arc<str>>,
    parameters: Option<IndexMap<String, String>>,
    fields: Vec<Field>,
    /// Empty unless there are more than `SCAN_LIMIT` fields.
    by_name: HashMap<Arc<str>, usize>,
    key: Option<SchemaRef>,
    element: Option<SchemaRef>,
    /// What makes this a reference to a schema around it.
    link: Option<Box<Link>>,
    /// Whether it is a struct's and no reference.
    has_fields: bool,
    /// Whether there are references in it that do not say yet to what.
    open: bool,
}

impl Schema {
    /// A required schema of that type with nothing in it.
    fn of(kind: Type) -> Self {
        Self {
            kind,
            optional: false,
            default: None,
            name: None,
            version: None,
            doc: None,
            parameters: None,
            fields: Vec::new(),
            by_name: HashMap::new(),
            key: None,
            element: None,
            link: None,
            has_fields: kind == Type::Struct,
            open: false,
        }
    }

    /// The type.
    #[must_use]
    pub fn type_(&self) -> Type {
        self.kind
    }

    /// Whether null is a legal value.
    #[must_use]
    pub fn optional(&self) -> bool {
        self.optional
    }

    /// The value that stands for a missing one.
    #[must_use]
    pub fn default(&self) -> Option<&Value> {
        self.default.as_ref()
    }

    /// The name; the logical types are known by it.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The version.
    #[must_use]
    pub fn version(&self) -> Option<i32> {
        self.version
    }

    /// The documentation.
    #[must_use]
    pub fn doc(&self) -> Option<&str> {
        self.doc.as_deref()
    }

    /// The parameters in the order they were given; none when there are none.
    #[must_use]
    pub fn parameters(&self) -> Option<&IndexMap<String, String>> {
        self.parameters.as_ref()
    }

    /// The fields of a struct schema. It is an error as well for a schema within itself, see [`Schema::resolved`]: who goes
    /// down from fields to fields there would never end.
    pub fn fields(&self) -> Result<&[Field]> {
        if self.has_fields {
            Ok(&self.fields)
        } else {
            Err(self.no_fields())
        }
    }

    /// The field of that name. None also when this is not a struct schema or one within itself; Connect throws then, see
    /// [`Schema::lookup_field`].
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Field> {
        if self.fields.len() <= SCAN_LIMIT {
            self.fields.iter().find(|field| &*field.name == name)
        } else {
            self.by_name.get(name).and_then(|index| self.fields.get(*index))
        }
    }

    /// The field of that name, with Connect's error when this is not a struct schema. As for [`Schema::fields`] it is an error
    /// for a schema within itself.
    pub fn lookup_field(&self, name: &str) -> Result<Option<&Field>> {
        if self.has_fields {
            Ok(self.field(name))
        } else if self.is_reference() {
            Err(self.no_fields())
        } else {
            Err(Error::data("Cannot look up fields on non-struct type"))
        }
    }

    /// The schema of a map's keys.
    pub fn key_schema(&self) -> Result<&SchemaRef> {
        if self.kind != Type::Map {
            return Err(Error::data("Cannot look up key schema on non-map type"));
        }
        self.key
            .as_ref()
            .ok_or_else(|| Error::data("No schema defined for key of map"))
    }

    /// The schema of a map's values or an array's elements.
    pub fn value_schema(&self) -> Result<&SchemaRef> {
        if self.kind != Type::Map && self.kind != Type::Array {
            return Err(Error::data("Cannot look up value schema on non-array and non-map type"));
        }
        self.element
            .as_ref()
            .ok_or_else(|| Error::data("No schema defined for value of array or map"))
    }

    /// The schema of a map's keys where there is one: text that was parsed may yield a map without it.
    #[must_use]
    pub fn key_schema_opt(&self) -> Option<&SchemaRef> {
        self.key.as_ref()
    }

    /// The schema of a map's values or an array's elements where there is one, as for [`Schema::key_schema_opt`].
    #[must_use]
    pub fn value_schema_opt(&self) -> Option<&SchemaRef> {
        self.element.as_ref()
    }

    /// A schema that has this name and this version where they are given, and is the same otherwise. Nothing is checked.
    #[must_use]
    pub fn with_metadata(&self, name: Option<&str>, version: Option<i32>) -> SchemaRef {
        let mut schema = self.clone();
        schema.name = name.map(Into::into).or(schema.name);
        schema.version = version.or(schema.version);
        Arc::new(schema)
    }

    /// Whether two schemas are equal; two handles of one schema are found so without looking inside.
    #[must_use]
    pub fn same(a: &SchemaRef, b: &SchemaRef) -> bool {
        Arc::ptr_eq(a, b) || a == b
    }

    /// A builder with everything this schema has, to make a schema that differs a little.
    #[must_use]
    pub fn to_builder(&self) -> SchemaBuilder {
        SchemaBuilder::from_schema(self)
    }
}

/// Whether two schemas are equal, by pointer first.
#[must_use]
pub fn same(a: &SchemaRef, b: &SchemaRef) -> bool {
    Schema::same(a, b)
}

impl PartialEq for Schema {
    fn eq(&self, other: &Self) -> bool {
        if std::ptr::eq(self, other) {
            return true;
        }
        // What a reference stands for is the same schema, one level further down.
        match (&self.link, &other.link) {
            (Some(_), None) => return self.refers_to().is_some_and(|schema| *schema == *other),
            (None, Some(_)) => return other.refers_to().is_some_and(|schema| *self == *schema),
            (Some(_), Some(_)) | (None, None) => {}
        }
        self.kind == other.kind
            && self.optional == other.optional
            && self.version == other.version
            && self.name == other.name
            && self.doc == other.doc
            && self.default == other.default
            && self.fields == other.fields
            && self.key == other.key
            && self.element == other.element
            && self.parameters == other.parameters
            && self.link == other.link
    }
}

impl Eq for Schema {}

/// `Schema{name:TYPE}`, or `Schema{TYPE}` without a name.
impl fmt::Display for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "Schema{{{name}:{}}}", self.kind),
            None => write!(f, "Schema{{{}}}", self.kind),
        }
    }
}

#[cfg(test)]
mod tests;
