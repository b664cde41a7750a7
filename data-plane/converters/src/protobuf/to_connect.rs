//! From a message's descriptor to the Connect schema of its values, and to the plan that reads them.

use std::collections::HashMap;
use std::sync::Arc;

use dray_connect::datum::Datum;
use dray_connect::logical;
use dray_connect::schema::{Schema as Connect, SchemaBuilder, SchemaRef};
use dray_connect::{Error, Result};
use prost_reflect::{
    Cardinality, DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MapKey, MessageDescriptor, OneofDescriptor,
    Syntax, Value as Stated,
};

use super::draft::{Draft, Missing, place, symbols};
use super::read::{Composite, Field, Fields, Member, MemberOf, OneOf, Place, Whole};
use super::scalar::Scalar;
use super::settings::{DECIMAL_PRECISION, SUM_UNION, Settings, TAG, TYPE, UNION, VARIANT, WRAPPER, map_of_entry};
use super::well_known::WellKnown;
use super::wire::LENGTH;

/// Messages within each other: all that is done with a schema recurses, and a schema comes from outside.
const MAX_LEVELS: usize = 100;
/// Schemas that one is made of. A message that is used twice is made twice, so that a short text can stand for very many.
const MAX_SCHEMAS: usize = 50_000;

/// The Connect schema of a message with the version it has under its subject, and how it is read.
pub(super) fn to_connect(
    message: &MessageDescriptor,
    version: Option<i32>,
    settings: &Settings,
) -> Result<(SchemaRef, Composite)> {
    let mut mapping = Mapping {
        settings,
        within: Vec::new(),
        made: 0,
    };
    let wrapped = wrapped(message).filter(|_| settings.wrapped_roots);
    let (mut builder, shape) = match wrapped {
        Some((builder, scalar)) => (builder, Shape::Message(Composite::Wrapper(scalar))),
        None => {
            let (builder, fields) = mapping.structure(message)?;
            (builder, Shape::Struct(fields))
        }
    };
    if let Some(version) = version {
        builder = builder.version(version);
    }
    let schema = builder.build()?;
    match shape.finish(&schema) {
        Whole::One(composite, _) => Ok((schema, composite)),
        Whole::Scalars(_) | Whole::Many(_) | Whole::Map(_) => Err(Error::data("a message is no list")),
    }
}

struct Mapping<'a> {
    settings: &'a Settings,
    /// The names of the messages around the one that is being made.
    within: Vec<String>,
    made: usize,
}

/// How one value is read, once its schema is there.
enum Shape {
    Scalar(Scalar),
    Struct(Fields),
    Message(Composite),
    Map(Fields),
}

impl Shape {
    fn finish(self, schema: &SchemaRef) -> Whole {
        match self {
            Self::Scalar(scalar) => Whole::Scalars(scalar),
            Self::Struct(fields) => Whole::One(Composite::Struct(SchemaRef::clone(schema), Box::new(fields)), false),
            Self::Message(composite) => Whole::One(composite, false),
            Self::Map(fields) => Whole::Map(Box::new(fields)),
        }
    }
}

impl Mapping<'_> {
    /// The struct of a message: its builder has a name and the fields.
    fn structure(&mut self, message: &MessageDescriptor) -> Result<(SchemaBuilder, Fields)> {
        let full = message.full_name();
        if self.within.iter().any(|around| around == full) {
            return Err(Error::data(format!(
                "the Protobuf message {full} contains itself, which schemas of Connect cannot do here; read the bytes with \
                 ByteArrayConverter"
            )));
        }
        if self.within.len() >= MAX_LEVELS {
            return Err(Error::data(format!("messages nest deeper than {MAX_LEVELS} levels")));
        }
        self.within.push(full.to_owned());
        let mut builder = SchemaBuilder::struct_();
        let is_variant = full == "confluent.type.Variant";
        let name = match full {
            _ if is_variant => VARIANT,
            full if self.settings.enhanced => full,
            _ => message.name(),
        };
        builder = builder.name(name);
        let mut draft = Draft::default();
        for (index, oneof) in message.oneofs().filter(|oneof| !oneof.is_synthetic()).enumerate() {
            builder = self.oneof(&oneof, index, builder, &mut draft)?;
        }
        for field in in_order(message.fields()) {
            if real_oneof(&field).is_some() {
                continue;
            }
            let (mut schema, whole) = self.field(&field, false)?;
            if is_variant {
                schema = Connect::bytes();
            }
            builder = builder.field(field.name(), schema);
            let missing = if self.is_nullable(&field) {
                Missing::Null
            } else {
                Missing::Default
            };
            place(&field, whole, missing, self.settings.generate, &mut draft);
        }
        self.within.pop();
        Ok((builder, draft.finish()))
    }

    /// Whether null is there for a single value that does not come.
    fn is_nullable(&self, field: &FieldDescriptor) -> bool {
        let proto = field.field_descriptor_proto();
        let is_optional = proto.proto3_optional() || self.settings.optionals_of_proto2 && says_optional(field);
        is_optional && !self.settings.generate
    }

    /// Adds a union, or its members where unions are flattened.
    fn oneof(
        &mut self,
        oneof: &OneofDescriptor,
        index: usize,
        mut builder: SchemaBuilder,
        draft: &mut Draft,
    ) -> Result<SchemaBuilder> {
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
        let place = draft.oneofs.len();
        let mut members = Vec::new();
        for (number, field) in in_order(oneof.fields()).iter().enumerate() {
            let (schema, whole) = self.field(field, true)?;
            let of = match whole {
                Whole::Scalars(scalar) => MemberOf::Scalar(scalar),
                Whole::One(composite, _) => MemberOf::Message(composite),
                Whole::Many(_) | Whole::Map(_) => {
                    return Err(Error::data(format!("{} is repeated within a oneof", field.full_name())));
                }
            };
            let key = match &of {
                MemberOf::Scalar(scalar) => scalar.key(field.number()),
                MemberOf::Message(_) => field.number() << 3 | LENGTH,
            };
            let slot = if settings.flatten_unions {
                builder = builder.field(field.name(), schema);
                draft.initial.push(Datum::Null);
                draft.initial.len() - 1
            } else {
                union = union.field(field.name(), schema);
                number
            };
            draft.fields.push(Field {
                number: field.number(),
                key,
                name: field.name().into(),
                place: Place::Member(place, number),
            });
            members.push(Member {
                slot,
                name: field.name().into(),
                of,
            });
        }
        let union = if settings.flatten_unions {
            None
        } else {
            let name = if settings.index_unions {
                format!("{}_{index}", oneof.name())
            } else {
                oneof.name().to_owned()
            };
            let union = union.optional().build()?;
            builder = builder.field(name, SchemaRef::clone(&union));
            draft.initial.push(Datum::Null);
            Some((union, draft.initial.len() - 1))
        };
        draft.oneofs.push(OneOf {
            union,
            members: members.into(),
        });
        Ok(builder)
    }

    /// The schema of a field, and how it is read.
    fn field(&mut self, field: &FieldDescriptor, is_member: bool) -> Result<(SchemaRef, Whole)> {
        self.made += 1;
        if self.made > MAX_SCHEMAS {
            return Err(Error::data(format!(
                "the schema is made of more than {MAX_SCHEMAS} others"
            )));
        }
        let settings = self.settings;
        let (mut builder, shape) = self.value(field)?;
        if field.cardinality() == Cardinality::Repeated && !matches!(shape, Shape::Map(_)) {
            let element = builder.optional().build()?;
            let whole = match shape.finish(&element) {
                Whole::One(composite, _) => Whole::Many(composite),
                list @ (Whole::Scalars(_) | Whole::Many(_) | Whole::Map(_)) => list,
            };
            let array = SchemaBuilder::array(element).optional();
            return Ok((self.finish(array, field, is_member)?, whole));
        }
        if is_member && settings.wrappers && is_wrapper(field) {
            builder = builder.parameter(WRAPPER, "true");
        }
        let schema = self.finish(builder, field, is_member)?;
        let whole = shape.finish(&schema);
        Ok((schema, whole))
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

    fn value(&mut self, field: &FieldDescriptor) -> Result<(SchemaBuilder, Shape)> {
        let params = field_params(field);
        let is_strict = field.parent_file().syntax() == Syntax::Proto3;
        let long = |kind: &str, scalar: Scalar| {
            let builder = SchemaBuilder::int64();
            let builder = if kind.is_empty() {
                builder
            } else {
                builder.parameter(TYPE, kind)
            };
            Ok((builder, Shape::Scalar(scalar)))
        };
        let int = |kind: &str, scalar: Scalar| {
            Ok(match params.get("connect.type").map(String::as_str) {
                Some("int8") => (SchemaBuilder::int8(), Shape::Scalar(Scalar::Int8(Box::new(scalar)))),
                Some("int16") => (SchemaBuilder::int16(), Shape::Scalar(Scalar::Int16(Box::new(scalar)))),
                _ if kind.is_empty() => (SchemaBuilder::int32(), Shape::Scalar(scalar)),
                _ => (SchemaBuilder::int32().parameter(TYPE, kind), Shape::Scalar(scalar)),
            })
        };
        match field.kind() {
            Kind::Int32 => int("", Scalar::Int32),
            Kind::Sint32 => int("sint32", Scalar::SInt32),
            Kind::Sfixed32 => int("sfixed32", Scalar::SFixed32),
            Kind::Uint32 => long("uint32", Scalar::UInt32),
            Kind::Fixed32 => long("fixed32", Scalar::Fixed32),
            Kind::Int64 => long("", Scalar::Int64),
            Kind::Uint64 => long("uint64", Scalar::Int64),
            Kind::Sint64 => long("sint64", Scalar::SInt64),
            Kind::Fixed64 => long("fixed64", Scalar::Fixed64),
            Kind::Sfixed64 => long("sfixed64", Scalar::Fixed64),
            Kind::Float => Ok((SchemaBuilder::float32(), Shape::Scalar(Scalar::Float))),
            Kind::Double => Ok((SchemaBuilder::float64(), Shape::Scalar(Scalar::Double))),
            Kind::Bool => Ok((SchemaBuilder::boolean(), Shape::Scalar(Scalar::Boolean))),
            Kind::String => Ok((SchemaBuilder::string(), Shape::Scalar(Scalar::Text(is_strict)))),
            Kind::Bytes => Ok((SchemaBuilder::bytes(), Shape::Scalar(Scalar::Bytes))),
            Kind::Enum(of) => Ok(self.enumeration(&of)),
            Kind::Message(_) if field.is_group() => Err(Error::data(format!(
                "Unknown Connect schema type: GROUP, of field {}",
                field.full_name()
            ))),
            Kind::Message(of) => self.message(field, &of, &params),
        }
    }

    fn enumeration(&self, of: &EnumDescriptor) -> (SchemaBuilder, Shape) {
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
        let symbols = symbols(of);
        let shape = if settings.int_enums {
            Scalar::Number(symbols.is_closed.then(|| Arc::new(symbols)))
        } else {
            Scalar::Symbol(Arc::new(symbols))
        };
        (builder, Shape::Scalar(shape))
    }

    fn message(
        &mut self,
        field: &FieldDescriptor,
        of: &MessageDescriptor,
        params: &HashMap<String, String>,
    ) -> Result<(SchemaBuilder, Shape)> {
        let settings = self.settings;
        if let Some(known) = WellKnown::of(of)? {
            let builder = match known {
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
            };
            return Ok((builder.optional(), Shape::Message(Composite::WellKnown(known))));
        }
        if (settings.wrappers || settings.wrapped_roots)
            && let Some((builder, scalar)) = wrapped(of)
        {
            return Ok((builder.optional(), Shape::Message(Composite::Wrapper(scalar))));
        }
        if let Some((key, value)) = entry(field, of) {
            let mut draft = Draft::default();
            let mut part = |field: &FieldDescriptor| -> Result<SchemaRef> {
                let (schema, whole) = self.field(field, false)?;
                place(field, whole, Missing::Default, true, &mut draft);
                Ok(schema)
            };
            let (key, value) = (part(&key)?, part(&value)?);
            let name = if settings.enhanced { of.full_name() } else { of.name() };
            let builder = SchemaBuilder::map(key, value).name(map_of_entry(name)).optional();
            return Ok((builder, Shape::Map(draft.finish())));
        }
        let (builder, fields) = self.structure(of)?;
        Ok((builder.optional(), Shape::Struct(fields)))
    }
}

/// The `oneof` that a field stands in, unless that only says that it is `optional`.
pub(super) fn real_oneof(field: &FieldDescriptor) -> Option<OneofDescriptor> {
    field.containing_oneof().filter(|oneof| !oneof.is_synthetic())
}

/// Whether the word `optional` stands before a field.
fn says_optional(field: &FieldDescriptor) -> bool {
    field.field_descriptor_proto().proto3_optional()
        || field.parent_file().syntax() == Syntax::Proto2
            && field.cardinality() == Cardinality::Optional
            && field.containing_oneof().is_none()
}

/// Fields as they stand in their message.
fn in_order(fields: impl Iterator<Item = FieldDescriptor>) -> Vec<FieldDescriptor> {
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

/// The parameters that Confluent's option of a field has.
fn field_params(field: &FieldDescriptor) -> HashMap<String, String> {
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
