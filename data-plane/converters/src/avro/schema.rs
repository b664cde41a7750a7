//! An Avro schema: an arena of types, so that a type can stand in several places and within itself. All attributes are kept, also on primitive
//! types, where Connect's own stand. Text is read in `parse` and written in `print`.

use std::collections::HashMap;
use std::sync::Arc;

use dray_connect::{Error, Result};
use serde_json::{Map, Value as Json};

use crate::cycles::{Cycles, Families};

/// Parts of a value that takes no bytes.
const MAX_EMPTY: usize = 50_000;
/// Records within each other, with nothing between.
const MAX_LEVELS: usize = 1_000;

/// A type of one [`Schema`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct TypeId(pub(super) u32);

/// A schema with all its types.
#[derive(Clone, Debug, Default)]
pub(super) struct Schema {
    types: Vec<Type>,
    root: Option<TypeId>,
    /// Named types by their full name.
    pub(super) names: HashMap<Arc<str>, TypeId>,
    /// Other names of types, in the order in which they stand there: the whole name, and the type.
    pub(super) type_aliases: Vec<(String, TypeId)>,
    /// Other names of the fields of records: the record, the name, and the field's place.
    pub(super) field_aliases: HashMap<(TypeId, Box<str>), usize>,
}

/// A type, and the attributes that Avro itself gives no meaning, with those of logical types.
#[derive(Clone, Debug)]
pub(super) struct Type {
    pub(super) kind: Kind,
    pub(super) attributes: Map<String, Json>,
}

/// What a type is.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Array(TypeId),
    Map(TypeId),
    Union(Vec<TypeId>),
    Enum(Enum),
    Fixed(Fixed),
    Record(Record),
}

/// The name of a type; without a namespace that is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) namespace: Arc<str>,
    pub(super) simple: Arc<str>,
}

#[derive(Clone, Debug)]
pub(super) struct Enum {
    pub(super) name: Name,
    pub(super) doc: Option<String>,
    pub(super) symbols: Vec<Arc<str>>,
    pub(super) default: Option<String>,
}

#[derive(Clone, Debug)]
pub(super) struct Fixed {
    pub(super) name: Name,
    pub(super) doc: Option<String>,
    pub(super) size: usize,
}

#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) name: Name,
    pub(super) doc: Option<String>,
    pub(super) fields: Vec<RecordField>,
}

#[derive(Clone, Debug)]
pub(super) struct RecordField {
    pub(super) name: Arc<str>,
    pub(super) doc: Option<String>,
    pub(super) default: Option<Json>,
    pub(super) of: TypeId,
    pub(super) attributes: Map<String, Json>,
}

impl Schema {
    pub(super) fn add(&mut self, kind: Kind, attributes: Map<String, Json>) -> TypeId {
        self.types.push(Type { kind, attributes });
        TypeId(self.types.len() as u32 - 1)
    }

    pub(super) fn at(&self, id: TypeId) -> &Type {
        &self.types[id.0 as usize]
    }

    pub(super) fn at_mut(&mut self, id: TypeId) -> &mut Type {
        &mut self.types[id.0 as usize]
    }

    pub(super) fn kind(&self, id: TypeId) -> &Kind {
        &self.at(id).kind
    }

    /// The records that contain themselves, in the order of their names.
    pub(super) fn families(&self) -> Families {
        let cycles = Cycles::of(self.types.len(), |of| {
            let within = self.types[of].kind.within();
            within.into_iter().map(|id| id.0 as usize).collect()
        });
        Families::new(cycles, |of| match &self.types[of].kind {
            Kind::Record(record) => Some(record.name.full()),
            Kind::Null
            | Kind::Boolean
            | Kind::Int
            | Kind::Long
            | Kind::Float
            | Kind::Double
            | Kind::Bytes
            | Kind::String
            | Kind::Array(_)
            | Kind::Map(_)
            | Kind::Union(_)
            | Kind::Enum(_)
            | Kind::Fixed(_) => None,
        })
    }

    /// Refuses types whose values take no bytes and are made of very many others: a message of no bytes would take for ever.
    pub(super) fn check_empty(&self) -> Result<()> {
        let mut known = vec![None; self.types.len()];
        for of in 0..self.types.len() {
            let parts = self.empty_parts(of, &mut known, 1)?;
            if parts.is_some_and(|parts| parts > MAX_EMPTY) {
                let name = self.types[of].kind.name().map(Name::full).unwrap_or_default();
                return Err(Error::data(format!(
                    "a value of {name} takes no bytes and has more than {MAX_EMPTY} parts"
                )));
            }
        }
        Ok(())
    }

    /// The parts of a type's values, if these take no bytes.
    fn empty_parts(&self, of: usize, known: &mut [Option<Option<usize>>], level: usize) -> Result<Option<usize>> {
        if level > MAX_LEVELS {
            return Err(Error::data(format!("Schema nests deeper than {MAX_LEVELS} levels")));
        }
        if let Some(known) = known[of] {
            return Ok(known);
        }
        // One that has itself in it with nothing between has no values.
        known[of] = Some(None);
        let parts = match &self.types[of].kind {
            Kind::Null => Some(1),
            Kind::Fixed(of) => (of.size == 0).then_some(1),
            Kind::Record(record) => {
                let mut parts = Some(1_usize);
                for field in &record.fields {
                    let more = self.empty_parts(field.of.0 as usize, known, level + 1)?;
                    parts = parts.zip(more).map(|(parts, more)| parts.saturating_add(more));
                }
                parts
            }
            Kind::Boolean
            | Kind::Int
            | Kind::Long
            | Kind::Float
            | Kind::Double
            | Kind::Bytes
            | Kind::String
            | Kind::Array(_)
            | Kind::Map(_)
            | Kind::Union(_)
            | Kind::Enum(_) => None,
        };
        known[of] = Some(parts);
        Ok(parts)
    }

    /// # Panics
    /// When no root was set, which whoever makes a schema does last.
    pub(super) fn root(&self) -> TypeId {
        self.root.expect("a schema is given out once its root is set")
    }

    pub(super) fn set_root(&mut self, root: TypeId) {
        self.root = Some(root);
    }

    /// The record that subjects may be named after: the root, or the one type beside null.
    pub(super) fn record_name(&self) -> Option<String> {
        let mut id = self.root();
        if let Kind::Union(branches) = self.kind(id) {
            let mut others = branches.iter().filter(|id| !matches!(self.kind(**id), Kind::Null));
            id = *others.next().filter(|_| branches.len() <= 2)?;
        }
        if let Kind::Record(record) = self.kind(id) {
            Some(record.name.full())
        } else {
            None
        }
    }
}

impl Type {
    pub(super) fn text(&self, attribute: &str) -> Option<&str> {
        self.attributes.get(attribute)?.as_str()
    }
}

impl Kind {
    /// The types in it.
    fn within(&self) -> Vec<TypeId> {
        match self {
            Self::Array(of) | Self::Map(of) => vec![*of],
            Self::Union(branches) => branches.clone(),
            Self::Record(record) => record.fields.iter().map(|field| field.of).collect(),
            Self::Null
            | Self::Boolean
            | Self::Int
            | Self::Long
            | Self::Float
            | Self::Double
            | Self::Bytes
            | Self::String
            | Self::Enum(_)
            | Self::Fixed(_) => Vec::new(),
        }
    }

    /// The name of a named type.
    pub(super) fn name(&self) -> Option<&Name> {
        match self {
            Self::Enum(of) => Some(&of.name),
            Self::Fixed(of) => Some(&of.name),
            Self::Record(of) => Some(&of.name),
            Self::Null
            | Self::Boolean
            | Self::Int
            | Self::Long
            | Self::Float
            | Self::Double
            | Self::Bytes
            | Self::String
            | Self::Array(_)
            | Self::Map(_)
            | Self::Union(_) => None,
        }
    }

    pub(super) fn doc(&self) -> Option<&str> {
        match self {
            Self::Enum(of) => of.doc.as_deref(),
            Self::Fixed(of) => of.doc.as_deref(),
            Self::Record(of) => of.doc.as_deref(),
            Self::Null
            | Self::Boolean
            | Self::Int
            | Self::Long
            | Self::Float
            | Self::Double
            | Self::Bytes
            | Self::String
            | Self::Array(_)
            | Self::Map(_)
            | Self::Union(_) => None,
        }
    }

    /// The word for it in a schema.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "boolean",
            Self::Int => "int",
            Self::Long => "long",
            Self::Float => "float",
            Self::Double => "double",
            Self::Bytes => "bytes",
            Self::String => "string",
            Self::Array(_) => "array",
            Self::Map(_) => "map",
            Self::Union(_) => "union",
            Self::Enum(_) => "enum",
            Self::Fixed(_) => "fixed",
            Self::Record(_) => "record",
        }
    }

    /// The primitive type of that word.
    pub(super) fn primitive(word: &str) -> Option<Self> {
        Some(match word {
            "null" => Self::Null,
            "boolean" => Self::Boolean,
            "int" => Self::Int,
            "long" => Self::Long,
            "float" => Self::Float,
            "double" => Self::Double,
            "bytes" => Self::Bytes,
            "string" => Self::String,
            _ => return None,
        })
    }
}

impl Name {
    /// The name of a definition or a reference: one with dots is whole, another is in the namespace that is given.
    pub(super) fn of(text: &str, namespace: &str) -> Self {
        let (namespace, simple) = text.rsplit_once('.').unwrap_or((namespace, text));
        Self {
            namespace: namespace.into(),
            simple: simple.into(),
        }
    }

    pub(super) fn full(&self) -> String {
        if self.namespace.is_empty() {
            self.simple.to_string()
        } else {
            format!("{}.{}", self.namespace, self.simple)
        }
    }

    /// What of it Avro does not allow.
    pub(super) fn problem(&self) -> Option<String> {
        let parts = self.namespace.split('.').filter(|_| !self.namespace.is_empty());
        parts.chain([&*self.simple]).find_map(name_problem)
    }
}

/// What of a simple name Avro does not allow.
pub(super) fn name_problem(name: &str) -> Option<String> {
    let is_letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    match name.chars().next() {
        None => return Some("empty name".to_owned()),
        Some(first) if !is_letter(first) => return Some(format!("illegal initial character: {name}")),
        Some(_) => {}
    }
    let bad = name.chars().any(|c| !is_letter(c) && !c.is_ascii_digit());
    bad.then(|| format!("illegal character in: {name}"))
}
