//! From a message's descriptor to the Connect schema of its values.

use std::collections::HashMap;
use std::sync::Arc;

use dray_connect::logical;
use dray_connect::schema::{RecursiveBuilder, Schema as Connect, SchemaBuilder, SchemaRef};
use dray_connect::{Error, Result};
use prost_reflect::{
    Cardinality, DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MapKey, MessageDescriptor, OneofDescriptor,
    Syntax, Value as Stated,
};

use super::scalar::Scalar;
use super::settings::{DECIMAL_PRECISION, SUM_UNION, Settings, TAG, TYPE, UNION, VARIANT, WRAPPER, map_of_entry};
use super::well_known::WellKnown;
use crate::cycles::{Cycles, Families, Met};

/// Messages within each other: all that is done with a schema recurses, and a schema comes from outside.
const MAX_LEVELS: usize = 100;
/// Schemas that one is made of. A message that is used twice is made twice, so that a short text can stand for very many.
const MAX_SCHEMAS: usize = 50_000;

/// The Connect schema of a message, with the version it has under its subject.
pub(super) fn to_connect(message: &MessageDescriptor, version: Option<i32>, settings: &Settings) -> Result<SchemaRef> {
    let mut builder = match wrapped(message).filter(|_| settings.wrapped_roots) {
        Some((builder, _)) => builder,
        None => Mapping::of(message, version, settings).structure(message)?,
    };
    if let Some(version) = version {
        builder = builder.version(version);
    }
    builder.build()
}

struct Mapping<'a> {
    settings: &'a Settings,
    /// All that become structs, from the root on.
    messages: Vec<MessageDescriptor>,
    /// Their places by full name.
    places: HashMap<String, usize>,
    /// Those that contain themselves.
    families: Families,
    /// Of the root.
    version: Option<i32>,
    level: usize,
    made: usize,
}

impl<'a> Mapping<'a> {
    fn of(root: &MessageDescriptor, version: Option<i32>, settings: &'a Settings) -> Self {
        let mut messages = vec![root.clone()];
        let mut places = HashMap::from([(root.full_name().to_owned(), 0)]);
        let mut within: Vec<Vec<usize>> = Vec::new();
        while let Some(message) = messages.get(within.len()).cloned() {
            let structs = message.fields().filter_map(|field| struct_within(&field, settings));
            let place = |of: MessageDescriptor| {
                *places.entry(of.full_name().to_owned()).or_insert_with(|| {
                    messages.push(of);
                    messages.len() - 1
                })
            };
            within.push(structs.map(place).collect());
        }
        let cycles = Cycles::of(messages.len(), |of| within[of].clone());
        // A message that is written anew may stand elsewhere, but has its name.
        let families = Families::new(cycles, |of| {
            let message = &messages[of];
            Some((message.name().to_owned(), message.full_name().to_owned()))
        });
        Self {
            settings,
            messages,
            places,
            families,
            version,
            level: 0,
            made: 0,
        }
    }

    fn place(&self, message: &MessageDescriptor) -> usize {
        self.places.get(message.full_name()).copied().unwrap_or(usize::MAX)
    }

    /// The struct of a message: its builder has a name and the fields.
    fn structure(&mut self, message: &MessageDescriptor) -> Result<SchemaBuilder> {
        if self.level >= MAX_LEVELS {
            return Err(Error::data(format!("messages nest deeper than {MAX_LEVELS} levels")));
        }
        self.level += 1;
        let name = match message.full_name() {
            full if is_variant(full) => VARIANT,
            full if self.settings.enhanced => full,
            _ => message.name(),
        };
        let mut builder = SchemaBuilder::struct_().name(name);
        match self.member(message)? {
            Some(known) => {
                for field in known.fields()? {
                    builder = builder.field(Arc::clone(&field.name), SchemaRef::clone(&field.schema));
                }
            }
            None => builder = self.fields(message, builder)?,
        }
        self.level -= 1;
        Ok(builder)
    }

    /// The schema of a message that contains itself, made with all that it does so by way of.
    fn member(&mut self, message: &MessageDescriptor) -> Result<Option<SchemaRef>> {
        let place = self.place(message);
        let making = match self.families.meet(place) {
            Met::Plain => return Ok(None),
            Met::Made(schema) => return Ok(Some(schema)),
            Met::New(making) => making,
        };
        let mut builder = RecursiveBuilder::new(making.structs.len());
        for (number, member) in making.structs.iter().enumerate() {
            let message = self.messages[*member].clone();
            let mut of = self.structure(&message)?;
            // The root is the first one. It has its version also within itself, as in Java.
            if let Some(version) = self.version.filter(|_| *member == 0) {
                of = of.version(version);
            }
            builder.define(number, of.build()?)?;
        }
        self.families.made(&making, builder, place).map(Some)
    }

    fn fields(&mut self, message: &MessageDescriptor, mut builder: SchemaBuilder) -> Result<SchemaBuilder> {
        for (index, oneof) in real_oneofs(message).enumerate() {
            builder = self.oneof(&oneof, index, builder)?;
        }
        for field in in_order(message.fields()) {
            if real_oneof(&field).is_some() {
                continue;
            }
            let mut schema = self.field(&field, false)?;
            if is_variant(message.full_name()) {
                schema = Connect::bytes();
            }
            builder = builder.field(field.name(), schema);
        }
        Ok(builder)
    }

    /// Adds a union, or its members where unions are flattened.
    fn oneof(&mut self, oneof: &OneofDescriptor, index: usize, mut builder: SchemaBuilder) -> Result<SchemaBuilder> {
        let settings = self.settings;
        let mut union = SchemaBuilder::struct_();
        if settings.sum_types {
            union = union.name(oneof.name()).parameter(SUM_UNION, oneof.name());
        } else {
            let name = if settings.enhanced {
                oneof.full_name()
            } else {
                oneof.name()
            };
            union = union.name(format!("{UNION}.{name}"));
        }
        for field in in_order(oneof.fields()) {
            let schema = self.field(&field, true)?;
            if settings.flatten_unions {
                builder = builder.field(field.name(), schema);
            } else {
                union = union.field(field.name(), schema);
            }
        }
        if settings.flatten_unions {
            return Ok(builder);
        }
        let name = if settings.index_unions {
            format!("{}_{index}", oneof.name())
        } else {
            oneof.name().to_owned()
        };
        Ok(builder.field(name, union.optional().build()?))
    }

    fn field(&mut self, field: &FieldDescriptor, is_member: bool) -> Result<SchemaRef> {
        self.made += 1;
        if self.made > MAX_SCHEMAS {
            return Err(Error::data(format!(
                "the schema is made of more than {MAX_SCHEMAS} others"
            )));
        }
        let mut builder = self.value(field)?;
        if field.cardinality() == Cardinality::Repeated && !is_map(field) {
            let element = builder.optional().build()?;
            return self.finish(SchemaBuilder::array(element).optional(), field, is_member);
        }
        if is_member && self.settings.wrappers && is_wrapper(field) {
            builder = builder.parameter(WRAPPER, "true");
        }
        self.finish(builder, field, is_member)
    }

    /// What the place of a value says about its schema.
    fn finish(&self, mut builder: SchemaBuilder, field: &FieldDescriptor, is_member: bool) -> Result<SchemaRef> {
        let settings = self.settings;
        let is_optional = if is_member {
            true
        } else if settings.optionals {
            says_optional(field)
        } else {
            !settings.wrappers
        };
        if is_optional {
            builder = builder.optional();
        }
        builder.parameter(TAG, field.number().to_string()).build()
    }

    fn value(&mut self, field: &FieldDescriptor) -> Result<SchemaBuilder> {
        let params = field_params(field);
        let typed = |builder: SchemaBuilder, kind: &str| {
            if kind.is_empty() {
                builder
            } else {
                builder.parameter(TYPE, kind)
            }
        };
        let long = |kind: &str| typed(SchemaBuilder::int64(), kind);
        let int = |kind: &str| match Short::of(&params) {
            Some(Short::Int8) => SchemaBuilder::int8(),
            Some(Short::Int16) => SchemaBuilder::int16(),
            None => typed(SchemaBuilder::int32(), kind),
        };
        Ok(match field.kind() {
            Kind::Int32 => int(""),
            Kind::Sint32 => int("sint32"),
            Kind::Sfixed32 => int("sfixed32"),
            Kind::Uint32 => long("uint32"),
            Kind::Fixed32 => long("fixed32"),
            Kind::Int64 => long(""),
            Kind::Uint64 => long("uint64"),
            Kind::Sint64 => long("sint64"),
            Kind::Fixed64 => long("fixed64"),
            Kind::Sfixed64 => long("sfixed64"),
            Kind::Float => SchemaBuilder::float32(),
            Kind::Double => SchemaBuilder::float64(),
            Kind::Bool => SchemaBuilder::boolean(),
            Kind::String => SchemaBuilder::string(),
            Kind::Bytes => SchemaBuilder::bytes(),
            Kind::Enum(of) => self.enumeration(&of),
            Kind::Message(_) if field.is_group() => {
                return Err(Error::data(format!(
                    "Unknown Connect schema type: GROUP, of field {}",
                    field.full_name()
                )));
            }
            Kind::Message(of) => self.message(field, &of, &params)?.optional(),
        })
    }

    fn enumeration(&self, of: &EnumDescriptor) -> SchemaBuilder {
        let settings = self.settings;
        let mut builder = if settings.int_enums {
            SchemaBuilder::int32()
        } else {
            SchemaBuilder::string()
        };
        let name = if settings.enhanced { of.full_name() } else { of.name() };
        let parameter = settings.enum_parameter();
        builder = builder.name(name).optional().parameter(parameter, of.name());
        for value in of.enum_descriptor_proto().value.iter() {
            builder = builder.parameter(format!("{parameter}.{}", value.name()), value.number().to_string());
        }
        builder
    }

    fn message(
        &mut self,
        field: &FieldDescriptor,
        of: &MessageDescriptor,
        params: &HashMap<String, String>,
    ) -> Result<SchemaBuilder> {
        let settings = self.settings;
        if let Some(known) = WellKnown::of(of)? {
            return Ok(match known {
                WellKnown::Timestamp => logical::timestamp_builder(),
                WellKnown::Date => logical::date_builder(),
                WellKnown::Time => logical::time_builder(),
                WellKnown::Decimal => {
                    let number = |name: &str| params.get(name).and_then(|text| text.parse::<i32>().ok());
                    let builder = logical::decimal_builder(number("scale").unwrap_or(0));
                    match number("precision") {
                        Some(precision) => builder.parameter(DECIMAL_PRECISION, precision.to_string()),
                        None => builder,
                    }
                }
            });
        }
        if let Some((builder, _)) = unwrapped(of, settings) {
            return Ok(builder);
        }
        if let Some((key, value)) = entry(field, of) {
            let (key, value) = (self.field(&key, false)?, self.field(&value, false)?);
            let name = if settings.enhanced { of.full_name() } else { of.name() };
            return Ok(SchemaBuilder::map(key, value).name(map_of_entry(name)));
        }
        match self.families.reference(self.place(of)) {
            Some(reference) => Ok(reference),
            None => self.structure(of),
        }
    }
}

/// The message that becomes a struct in a field, or in the values of its map.
fn struct_within(field: &FieldDescriptor, settings: &Settings) -> Option<MessageDescriptor> {
    let kind = field.kind();
    let of = kind.as_message().filter(|_| !field.is_group())?;
    let is_known = !matches!(WellKnown::of(of), Ok(None));
    if is_known || unwrapped(of, settings).is_some() {
        return None;
    }
    match entry(field, of) {
        Some((_, value)) => struct_within(&value, settings),
        None => Some(of.clone()),
    }
}

/// The message of a value that has no schema of Connect's, but two fields of bytes.
pub(super) fn is_variant(full: &str) -> bool {
    full == "confluent.type.Variant"
}

/// What Confluent's option says of an `int32`.
#[derive(Clone, Copy)]
pub(super) enum Short {
    Int8,
    Int16,
}

impl Short {
    pub(super) fn of(params: &HashMap<String, String>) -> Option<Self> {
        match params.get("connect.type")?.as_str() {
            "int8" => Some(Self::Int8),
            "int16" => Some(Self::Int16),
            _ => None,
        }
    }
}

pub(super) fn real_oneofs(message: &MessageDescriptor) -> impl Iterator<Item = OneofDescriptor> {
    message.oneofs().filter(|oneof| !oneof.is_synthetic())
}

/// The `oneof` that a field stands in, unless that only says that it is `optional`.
pub(super) fn real_oneof(field: &FieldDescriptor) -> Option<OneofDescriptor> {
    field.containing_oneof().filter(|oneof| !oneof.is_synthetic())
}

/// Whether the word `optional` stands before a field.
pub(super) fn says_optional(field: &FieldDescriptor) -> bool {
    field.field_descriptor_proto().proto3_optional()
        || field.parent_file().syntax() == Syntax::Proto2
            && field.cardinality() == Cardinality::Optional
            && field.containing_oneof().is_none()
}

/// Fields as they stand in their message.
pub(super) fn in_order(fields: impl Iterator<Item = FieldDescriptor>) -> Vec<FieldDescriptor> {
    let mut fields: Vec<FieldDescriptor> = fields.collect();
    fields.sort_by_key(|field| field.path().last().copied());
    fields
}

/// The value of one of the wrappers that everybody knows.
pub(super) fn wrapped(message: &MessageDescriptor) -> Option<(SchemaBuilder, Scalar)> {
    let field = message.get_field(1)?;
    let (builder, scalar) = match (message.full_name(), field.kind()) {
        ("google.protobuf.DoubleValue", Kind::Double) => (SchemaBuilder::float64(), Scalar::Double),
        ("google.protobuf.FloatValue", Kind::Float) => (SchemaBuilder::float32(), Scalar::Float),
        ("google.protobuf.Int64Value", Kind::Int64) => (SchemaBuilder::int64(), Scalar::Int64),
        ("google.protobuf.UInt64Value", Kind::Uint64) => (SchemaBuilder::int64(), Scalar::Int64),
        ("google.protobuf.Int32Value", Kind::Int32) => (SchemaBuilder::int32(), Scalar::Int32),
        ("google.protobuf.UInt32Value", Kind::Uint32) => (SchemaBuilder::int64(), Scalar::UInt32),
        ("google.protobuf.BoolValue", Kind::Bool) => (SchemaBuilder::boolean(), Scalar::Boolean),
        ("google.protobuf.StringValue", Kind::String) => (SchemaBuilder::string(), Scalar::Text(true)),
        ("google.protobuf.BytesValue", Kind::Bytes) => (SchemaBuilder::bytes(), Scalar::Bytes),
        (_, _) => return None,
    };
    Some((builder, scalar)).filter(|_| !field.is_list())
}

/// The same, within another message.
pub(super) fn unwrapped(message: &MessageDescriptor, settings: &Settings) -> Option<(SchemaBuilder, Scalar)> {
    wrapped(message).filter(|_| settings.wrappers || settings.wrapped_roots)
}

fn is_wrapper(field: &FieldDescriptor) -> bool {
    field.kind().as_message().and_then(wrapped).is_some()
}

/// Key and value of a map's entries: as in Java, a message of that form by that name is one.
pub(super) fn entry(field: &FieldDescriptor, of: &MessageDescriptor) -> Option<(FieldDescriptor, FieldDescriptor)> {
    if field.cardinality() != Cardinality::Repeated || !of.name().ends_with("Entry") || of.fields().len() != 2 {
        return None;
    }
    let mut fields = in_order(of.fields()).into_iter();
    let (key, value) = (fields.next()?, fields.next()?);
    let is = |field: &FieldDescriptor, name: &str| {
        field.name() == name && field.cardinality() != Cardinality::Repeated && real_oneof(field).is_none()
    };
    (is(&key, "key") && is(&value, "value")).then_some((key, value))
}

fn is_map(field: &FieldDescriptor) -> bool {
    field.kind().as_message().is_some_and(|of| entry(field, of).is_some())
}

/// The parameters that Confluent's option of a field has.
pub(super) fn field_params(field: &FieldDescriptor) -> HashMap<String, String> {
    let mut out = HashMap::new();
    if field.field_descriptor_proto().options.is_none() {
        return out;
    }
    let options: DynamicMessage = field.options();
    let pool = field.parent_pool();
    let Some(extension) = pool.get_extension_by_name("confluent.field_meta") else {
        return out;
    };
    if let Stated::Message(meta) = &*options.get_extension(&extension)
        && let Some(params) = meta.get_field_by_name("params")
        && let Stated::Map(params) = &*params
    {
        for (key, value) in params {
            if let (MapKey::String(key), Stated::String(value)) = (key, value) {
                out.insert(key.clone(), value.clone());
            }
        }
    }
    out
}
