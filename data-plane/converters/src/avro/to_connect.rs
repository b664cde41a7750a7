//! From Avro schemas to Connect's.

use std::collections::{HashMap, HashSet};

use dray_connect::logical;
use dray_connect::schema::{RecursiveBuilder, Schema as Connect, SchemaBuilder, SchemaRef, Type};
use dray_connect::{Error, Result};
use serde_json::{Map, Value as Json};

use super::default;
use super::schema::{Enum, Kind, Record, Schema, TypeId};
use super::settings::{
    DEFAULT_NAME, ENUM_DEFAULT, ENUM_DOC, FIELD_DEFAULT, FIELD_DOC, FIXED_SIZE, MAP_ENTRY, NAMESPACE, PRECISION,
    PRECISION_DEFAULT, RECORD_DOC, SUM_UNION, Settings, UNION,
};
use crate::cycles::{Families, Met};

/// Schemas within each other: all that is done with a schema recurses, and a schema comes from outside.
const MAX_LEVELS: usize = 100;
/// Schemas that one is made of. Connect's have no names for what is used twice, so that a short text can stand for very many.
const MAX_SCHEMAS: usize = 50_000;

/// The Connect schema of `schema`, with the version it has under its subject.
pub(super) fn to_connect(schema: &Schema, version: Option<i32>, settings: &Settings) -> Result<SchemaRef> {
    let mut mapping = Mapping {
        schema,
        settings,
        families: schema.families(),
        version,
        entries: HashSet::new(),
        known: HashMap::new(),
        made: 0,
        unions: 0,
    };
    let asked = Asked {
        version,
        ..Asked::default()
    };
    mapping.of(schema.root(), asked, 1)
}

/// What the place of a type says about its schema.
#[derive(Clone, Copy, Default)]
struct Asked<'a> {
    optional: bool,
    default: Option<&'a Json>,
    doc: Option<&'a str>,
    version: Option<i32>,
}

struct Mapping<'a> {
    schema: &'a Schema,
    settings: &'a Settings,
    /// The records that contain themselves.
    families: Families,
    /// Of the root.
    version: Option<i32>,
    /// Entries of maps around what is being made.
    entries: HashSet<TypeId>,
    /// Named types at places that say nothing but whether null is allowed.
    known: HashMap<(TypeId, bool), SchemaRef>,
    made: usize,
    unions: usize,
}

impl<'a> Mapping<'a> {
    fn of(&mut self, id: TypeId, asked: Asked<'a>, level: usize) -> Result<SchemaRef> {
        let kind = self.schema.kind(id);
        let plain = asked.default.is_none() && asked.doc.is_none() && asked.version.is_none();
        let refers = self.families.is_inside(id.0 as usize);
        let key = (plain && kind.name().is_some() && !refers).then_some((id, asked.optional));
        if let Some(known) = key.and_then(|key| self.known.get(&key)) {
            return Ok(SchemaRef::clone(known));
        }
        self.made += 1;
        if level > MAX_LEVELS {
            return Err(Error::data(format!("Schema nests deeper than {MAX_LEVELS} levels")));
        }
        if self.made > MAX_SCHEMAS {
            return Err(Error::data(format!("Schema is made of more than {MAX_SCHEMAS} others")));
        }
        let made = if let Kind::Union(branches) = kind {
            self.union(branches, asked, level)?
        } else if let Some(builder) = self.families.reference(id.0 as usize) {
            self.reference(builder, asked)?
        } else {
            self.typed(id, asked, level)?
        };
        if let Some(key) = key {
            self.known.insert(key, SchemaRef::clone(&made));
        }
        Ok(made)
    }

    /// Anything but a union.
    fn typed(&mut self, id: TypeId, asked: Asked<'a>, level: usize) -> Result<SchemaRef> {
        let of = self.schema.at(id);
        let builder = match &of.kind {
            Kind::Record(record) => self.record(id, record, level)?,
            Kind::Array(items) => match self.map_entry(*items)? {
                Some((key, value)) => {
                    if !self.entries.insert(*items) {
                        return Err(Error::data(
                            "a map contains itself with no record between, for which Connect has no schema; read the bytes \
                             with ByteArrayConverter",
                        ));
                    }
                    let key = self.of(key, Asked::default(), level + 1)?;
                    let value = self.of(value, Asked::default(), level + 1)?;
                    self.entries.remove(items);
                    SchemaBuilder::map(key, value)
                }
                None => SchemaBuilder::array(self.of(*items, Asked::default(), level + 1)?),
            },
            Kind::Map(values) => SchemaBuilder::map(Connect::string(), self.of(*values, Asked::default(), level + 1)?),
            Kind::Enum(of) => self.enumeration(of),
            Kind::Null
            | Kind::Boolean
            | Kind::Int
            | Kind::Long
            | Kind::Float
            | Kind::Double
            | Kind::Bytes
            | Kind::String
            | Kind::Fixed(_)
            | Kind::Union(_) => simple(&of.kind, &of.attributes)?,
        };
        self.finish(id, builder, asked)
    }

    fn record(&mut self, id: TypeId, record: &'a Record, level: usize) -> Result<SchemaBuilder> {
        let known = self.member(id, level)?;
        let keeps_docs = !self.settings.discard_type_docs && self.settings.meta_data;
        let mut builder = SchemaBuilder::struct_();
        if let Some(doc) = record.doc.as_deref().filter(|_| keeps_docs) {
            builder = builder.parameter(RECORD_DOC, doc);
        }
        for (index, field) in record.fields.iter().enumerate() {
            if let Some(doc) = field.doc.as_deref().filter(|_| keeps_docs) {
                builder = builder.parameter(format!("{FIELD_DOC}{}", field.name), doc);
            }
            if let Some(known) = &known {
                let field = &known.fields()?[index];
                builder = builder.field(field.name.clone(), SchemaRef::clone(&field.schema));
                continue;
            }
            let asked = Asked {
                default: field.default.as_ref(),
                doc: field.doc.as_deref(),
                ..Asked::default()
            };
            let mut schema = self.of(field.of, asked, level + 1)?;
            let more = field.attributes.get("connect.parameters").and_then(Json::as_object);
            if let Some(more) = more.filter(|_| self.settings.meta_data) {
                schema = with_parameters(&schema, more)?;
            }
            builder = builder.field(&*field.name, schema);
        }
        Ok(builder)
    }

    /// The schema of a record that contains itself, made with all that it does so by way of.
    fn member(&mut self, id: TypeId, level: usize) -> Result<Option<SchemaRef>> {
        let making = match self.families.meet(id.0 as usize) {
            Met::Plain => return Ok(None),
            Met::Made(schema) => return Ok(Some(schema)),
            Met::New(making) => making,
        };
        let mut builder = RecursiveBuilder::new(making.structs.len());
        for (number, member) in making.structs.iter().enumerate() {
            let member = TypeId(*member as u32);
            let asked = Asked {
                version: self.version.filter(|_| member == self.schema.root()),
                ..Asked::default()
            };
            builder.define(number, self.typed(member, asked, level + 1)?)?;
        }
        self.families.made(&making, builder, id.0 as usize).map(Some)
    }

    /// The place of a record within itself: default and version are the record's.
    fn reference(&self, mut builder: SchemaBuilder, asked: Asked<'_>) -> Result<SchemaRef> {
        if let Some(doc) = asked.doc.filter(|_| self.settings.discard_type_docs) {
            builder = builder.doc(doc);
        }
        if asked.optional {
            builder = builder.optional();
        }
        builder.build()
    }

    fn enumeration(&self, of: &Enum) -> SchemaBuilder {
        let mut builder = SchemaBuilder::string();
        if self.settings.meta_data {
            if let Some(doc) = &of.doc {
                let key = if self.settings.discard_type_docs {
                    "connect.enum.doc".to_owned()
                } else {
                    format!("{ENUM_DOC}{}", of.name.simple)
                };
                builder = builder.parameter(key, doc);
            }
            if let Some(default) = of.default.as_ref().filter(|_| !self.settings.discard_type_docs) {
                builder = builder.parameter(format!("{ENUM_DEFAULT}{}", of.name.simple), default);
            }
        }
        let parameter = self.settings.enum_parameter();
        builder = builder.parameter(parameter, of.name.full());
        for (index, symbol) in of.symbols.iter().enumerate() {
            let value = if self.settings.sum_types {
                index.to_string()
            } else {
                symbol.to_string()
            };
            builder = builder.parameter(format!("{parameter}.{symbol}"), value);
        }
        builder
    }

    fn union(&mut self, branches: &'a [TypeId], asked: Asked<'a>, level: usize) -> Result<SchemaRef> {
        let is_null = |id: &TypeId| matches!(self.schema.kind(*id), Kind::Null);
        // The default of such a union's field is not taken over; Java's converter finds one in the type's own attributes only.
        let inner = |optional: bool| Asked {
            optional,
            doc: asked.doc,
            ..Asked::default()
        };
        match branches {
            [one] if self.settings.flatten_singletons => return self.of(*one, inner(asked.optional), level),
            [null, one] | [one, null] if is_null(null) && !is_null(one) => return self.of(*one, inner(true), level),
            _ => {}
        }
        let name = if self.settings.sum_types {
            self.unions += 1;
            format!("connect_union_{}", self.unions - 1)
        } else {
            UNION.to_owned()
        };
        let mut builder = SchemaBuilder::struct_().name(name.as_str());
        if self.settings.sum_types {
            builder = builder.parameter(SUM_UNION, name);
        }
        let mut optional = asked.optional;
        for (index, branch) in branches.iter().enumerate() {
            let kind = self.schema.kind(*branch);
            if matches!(kind, Kind::Null) {
                optional = true;
                continue;
            }
            let name = branch_name(kind, index, self.settings);
            let schema = self.of(*branch, inner_of_branch(), level + 1)?;
            builder = builder.field(name, schema);
        }
        if let Some(doc) = asked.doc.filter(|_| self.settings.discard_type_docs) {
            builder = builder.doc(doc);
        }
        if let Some(version) = asked.version {
            builder = builder.version(version);
        }
        if asked.default.is_some() && !self.settings.discard_type_docs && self.settings.meta_data {
            builder = builder.parameter(FIELD_DEFAULT, "true");
        }
        if optional {
            builder = builder.optional();
        }
        let schema = builder.build().map_err(|cause| {
            Error::data("Multiple union schemas map to the Connect union field name").with_source(cause)
        })?;
        Ok(with_default(schema, asked.default, self.settings))
    }

    /// Key and value of an array's elements that stand for the entries of a map.
    fn map_entry(&self, items: TypeId) -> Result<Option<(TypeId, TypeId)>> {
        let of = self.schema.at(items);
        let Kind::Record(record) = &of.kind else {
            return Ok(None);
        };
        if !is_map_entry(record, of.text("connect.internal.type")) {
            return Ok(None);
        }
        match &record.fields[..] {
            [key, value] if &*key.name == "key" && &*value.name == "value" => Ok(Some((key.of, value.of))),
            _ => Err(Error::data(
                "Found map encoded as array of key-value pairs, but array elements do not match the expected format.",
            )),
        }
    }

    /// What all types have in common.
    fn finish(&self, id: TypeId, mut builder: SchemaBuilder, asked: Asked<'_>) -> Result<SchemaRef> {
        let of = self.schema.at(id);
        let settings = self.settings;
        if settings.discard_type_docs {
            let own = of.kind.doc().or_else(|| of.text("connect.doc"));
            if let Some(doc) = asked.doc.or(own) {
                builder = builder.doc(doc);
            }
            if let Some(doc) = of.kind.doc().filter(|_| settings.meta_data) {
                builder = builder.parameter("connect.record.doc", doc);
            }
        } else if let Some(doc) = of.text("connect.doc").filter(|_| settings.meta_data) {
            builder = builder.doc(doc);
        }
        let stated = match of.attributes.get("connect.version") {
            None => None,
            Some(version) => {
                let number = version.as_i64().and_then(|version| i32::try_from(version).ok());
                Some(number.ok_or_else(|| Error::data(format!("Invalid Connect version found: {version}")))?)
            }
        };
        // Logical types have a version of their own; Java's converter fails where the subject has come to another.
        let of_subject = asked.version.filter(|_| !is_logical(&of.kind, &of.attributes));
        if let Some(version) = stated.or(of_subject).filter(|version| *version >= 0) {
            builder = builder.version(version);
        }
        match of.attributes.get("connect.parameters").filter(|_| settings.meta_data) {
            None => {}
            Some(Json::Object(parameters)) => builder = parameters_of(builder, parameters)?,
            Some(other) => {
                let text = format!("Expected JSON object for schema parameters but found: {other}");
                return Err(Error::data(text));
            }
        }
        for (name, value) in of.attributes.iter().filter(|(name, _)| name.starts_with("avro")) {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            builder = builder.parameter(name, value);
        }
        let own_default = of.attributes.get("connect.default");
        if asked.default.is_some() && own_default.is_none() && !settings.discard_type_docs && settings.meta_data {
            builder = builder.parameter(FIELD_DEFAULT, "true");
        }
        if let Some(name) = self.name(id)? {
            builder = builder.name(name);
        }
        if asked.optional {
            builder = builder.optional();
        }
        let schema = builder.build()?;
        Ok(with_default(schema, asked.default.or(own_default), settings))
    }

    /// The name of a schema, unless it is one that only Avro needed. Those of logical types are there already.
    fn name(&self, id: TypeId) -> Result<Option<String>> {
        let of = self.schema.at(id);
        let name = match of.attributes.get("connect.name") {
            Some(Json::String(name)) => Some(name.clone()),
            Some(other) => return Err(Error::data(format!("Invalid schema name: {other}"))),
            None if is_decimal(&of.attributes) => None,
            None => of.kind.name().map(super::schema::Name::full),
        };
        let invented = format!("{NAMESPACE}.{DEFAULT_NAME}");
        Ok(name.filter(|name| !name.starts_with(&invented)))
    }
}

fn inner_of_branch<'a>() -> Asked<'a> {
    Asked {
        optional: true,
        ..Asked::default()
    }
}

pub(super) fn is_map_entry(record: &Record, internal_type: Option<&str>) -> bool {
    &*record.name.namespace == NAMESPACE && &*record.name.simple == MAP_ENTRY || internal_type == Some(MAP_ENTRY)
}

pub(super) fn is_decimal(attributes: &Map<String, Json>) -> bool {
    logical_type(attributes).is_some_and(|name| name.eq_ignore_ascii_case("decimal"))
}

fn logical_type(attributes: &Map<String, Json>) -> Option<&str> {
    attributes.get("logicalType")?.as_str()
}

/// Whether Connect has a logical type for it.
fn is_logical(kind: &Kind, attributes: &Map<String, Json>) -> bool {
    let is = |name: &str| logical_type(attributes).is_some_and(|logical| logical.eq_ignore_ascii_case(name));
    is_decimal(attributes) && matches!(kind, Kind::Bytes | Kind::Fixed(_))
        || matches!(kind, Kind::Int) && (is("date") || is("time-millis"))
        || matches!(kind, Kind::Long) && is("timestamp-millis")
}

/// The field of a union's struct for a branch.
pub(super) fn branch_name(kind: &Kind, index: usize, settings: &Settings) -> String {
    if settings.sum_types {
        return format!("connect_union_field_{index}");
    }
    match kind.name() {
        Some(name) if settings.enhanced => name.full(),
        Some(name) => name.simple.to_string(),
        None => kind.word().to_owned(),
    }
}

/// A type that has no others in it.
fn simple(kind: &Kind, attributes: &Map<String, Json>) -> Result<SchemaBuilder> {
    let logical = logical_type(attributes);
    let is = |name: &str| logical.is_some_and(|logical| logical.eq_ignore_ascii_case(name));
    let mut builder = match kind {
        Kind::Boolean => SchemaBuilder::boolean(),
        Kind::Int if is("date") => logical::date_builder(),
        Kind::Int if is("time-millis") => logical::time_builder(),
        Kind::Int if logical.is_some() => SchemaBuilder::int32(),
        Kind::Int => match attributes.get("connect.type").map(Json::as_str) {
            None => SchemaBuilder::int32(),
            Some(Some("int8")) => SchemaBuilder::of(Type::Int8),
            Some(Some("int16")) => SchemaBuilder::of(Type::Int16),
            Some(_) => return Err(Error::data("Connect type annotation for Avro int field is null")),
        },
        Kind::Long if is("timestamp-millis") => logical::timestamp_builder(),
        Kind::Long => SchemaBuilder::int64(),
        Kind::Float => SchemaBuilder::float32(),
        Kind::Double => SchemaBuilder::float64(),
        Kind::String => SchemaBuilder::string(),
        Kind::Bytes | Kind::Fixed(_) if is("decimal") => decimal(attributes)?,
        Kind::Bytes | Kind::Fixed(_) => SchemaBuilder::bytes(),
        Kind::Null | Kind::Array(_) | Kind::Map(_) | Kind::Union(_) | Kind::Enum(_) | Kind::Record(_) => {
            return Err(Error::data(
                "Standalone null schemas are not supported by this converter",
            ));
        }
    };
    if let Kind::Fixed(fixed) = kind {
        builder = builder.parameter(FIXED_SIZE, fixed.size.to_string());
    }
    Ok(builder)
}

fn decimal(attributes: &Map<String, Json>) -> Result<SchemaBuilder> {
    let number = |name: &str| attributes.get(name).and_then(Json::as_i64);
    let scale = number("scale").and_then(|scale| i32::try_from(scale).ok());
    let builder = logical::decimal_builder(scale.unwrap_or(0));
    if !attributes.contains_key("precision") {
        return Ok(builder);
    }
    let precision = number("precision").ok_or_else(|| {
        Error::data("precision property must be a JSON Integer. https://avro.apache.org/docs/1.9.1/spec.html#Decimal")
    })?;
    Ok(if precision == PRECISION_DEFAULT {
        builder
    } else {
        builder.parameter(PRECISION, precision.to_string())
    })
}

fn parameters_of(mut builder: SchemaBuilder, parameters: &Map<String, Json>) -> Result<SchemaBuilder> {
    for (name, value) in parameters {
        let Json::String(value) = value else {
            let text = format!("Expected schema parameter values to be strings but found: {value}");
            return Err(Error::data(text));
        };
        builder = builder.parameter(name, value);
    }
    Ok(builder)
}

/// The schema with that default. One that does not fit is left out, as in Java.
fn with_default(schema: SchemaRef, default: Option<&Json>, settings: &Settings) -> SchemaRef {
    let value = default.and_then(|json| default::read(&schema, json, settings));
    let with = value.and_then(|value| schema.to_builder().default_value(value).build().ok());
    with.unwrap_or(schema)
}

/// A schema with the parameters that its field states, where a type that is named twice can have its own only once.
fn with_parameters(schema: &SchemaRef, parameters: &Map<String, Json>) -> Result<SchemaRef> {
    let has = |name: &str| schema.parameters().and_then(|own| own.get(name));
    if parameters
        .iter()
        .all(|(name, value)| has(name).map(String::as_str) == value.as_str())
    {
        return Ok(SchemaRef::clone(schema));
    }
    parameters_of(schema.to_builder(), parameters)?.build()
}
