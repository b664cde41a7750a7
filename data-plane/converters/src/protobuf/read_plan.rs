//! How the values of a message are read: the plan for it, made once, along its Connect schema.

use std::sync::Arc;

use dray_connect::datum::Datum;
use dray_connect::schema::{Field as ConnectField, SchemaRef};
use dray_connect::{Error, Result};
use prost_reflect::{Cardinality, FieldDescriptor, Kind, MessageDescriptor, OneofDescriptor, Syntax};

use super::again::Levelled;
use super::draft::{Draft, Missing, place, symbols};
use super::read::{Composite, Field, Fields, Member, MemberOf, OneOf, Place, Whole};
use super::scalar::Scalar;
use super::settings::Settings;
use super::to_connect::{
    Short, entry, field_params, in_order, real_oneof, real_oneofs, says_optional, unwrapped, wrapped,
};
use super::well_known::WellKnown;
use super::wire::LENGTH;
use crate::again::Cells;

/// A plan, with what it refers to.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) root: Composite,
    _cells: Cells<MessageDescriptor, Levelled>,
}

/// The plan for a message whose values have that schema, which was made of it.
pub(super) fn plan(message: &MessageDescriptor, connect: &SchemaRef, settings: &Settings) -> Result<Plan> {
    let mut planner = Planner {
        settings,
        cells: Cells::default(),
    };
    let root = match wrapped(message).filter(|_| settings.wrapped_roots) {
        Some((_, scalar)) => Composite::Wrapper(scalar),
        None => planner.structure(message, connect)?,
    };
    let mut next = 0;
    while let Some((message, connect)) = planner.cells.wanted(next) {
        let fields = planner.fields(&message, &connect)?;
        planner.cells.planned(next, (fields.levels(), fields));
        next += 1;
    }
    Ok(Plan {
        root,
        _cells: planner.cells,
    })
}

struct Planner<'a> {
    settings: &'a Settings,
    /// Messages within themselves.
    cells: Cells<MessageDescriptor, Levelled>,
}

/// One value of a field.
enum One {
    Scalar(Scalar),
    Message(Composite),
    Map(Fields),
}

impl Planner<'_> {
    fn structure(&mut self, message: &MessageDescriptor, connect: &SchemaRef) -> Result<Composite> {
        if connect.is_reference() {
            return Ok(Composite::Again(Box::new(self.cells.again(message.clone(), connect))));
        }
        let fields = self.fields(message, connect)?;
        Ok(Composite::Struct(SchemaRef::clone(connect), Box::new(fields)))
    }

    fn fields(&mut self, message: &MessageDescriptor, connect: &SchemaRef) -> Result<Fields> {
        let mut schemas = connect.fields()?.iter();
        let mut draft = Draft::default();
        for oneof in real_oneofs(message) {
            self.oneof(&oneof, &mut schemas, &mut draft)?;
        }
        for field in in_order(message.fields()) {
            if real_oneof(&field).is_some() {
                continue;
            }
            let whole = self.field(&field, next(&mut schemas)?)?;
            let missing = if self.is_nullable(&field) {
                Missing::Null
            } else {
                Missing::Default
            };
            // Of what is within itself there would be no end.
            let is_there = self.settings.generate && !matches!(whole, Whole::One(Composite::Again(_), _));
            place(&field, whole, missing, is_there, &mut draft);
        }
        Ok(draft.finish())
    }

    /// Whether null is there for a single value that does not come.
    fn is_nullable(&self, field: &FieldDescriptor) -> bool {
        let proto = field.field_descriptor_proto();
        let is_optional = proto.proto3_optional() || self.settings.optionals_of_proto2 && says_optional(field);
        is_optional && !self.settings.generate
    }

    fn oneof<'s>(
        &mut self,
        oneof: &OneofDescriptor,
        schemas: &mut impl Iterator<Item = &'s ConnectField>,
        draft: &mut Draft,
    ) -> Result<()> {
        let is_flat = self.settings.flatten_unions;
        let union = if is_flat { None } else { Some(next(schemas)?) };
        let of_oneof = draft.oneofs.len();
        let mut members = Vec::new();
        for (number, field) in in_order(oneof.fields()).iter().enumerate() {
            let (schema, slot) = match union {
                Some(union) => {
                    let member = union.fields()?.get(number).ok_or_else(no_schema)?;
                    (&member.schema, number)
                }
                None => {
                    draft.initial.push(Datum::Null);
                    (next(schemas)?, draft.initial.len() - 1)
                }
            };
            let of = match self.field(field, schema)? {
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
            draft.fields.push(Field {
                number: field.number(),
                key,
                name: field.name().into(),
                place: Place::Member(of_oneof, number),
            });
            members.push(Member {
                slot,
                name: field.name().into(),
                of,
            });
        }
        let union = union.map(|schema| {
            draft.initial.push(Datum::Null);
            (SchemaRef::clone(schema), draft.initial.len() - 1)
        });
        draft.oneofs.push(OneOf {
            union,
            members: members.into(),
        });
        Ok(())
    }

    fn field(&mut self, field: &FieldDescriptor, connect: &SchemaRef) -> Result<Whole> {
        let is_repeated = field.cardinality() == Cardinality::Repeated;
        let of = match field.kind().as_message() {
            Some(of) => self.message(field, of, connect)?,
            None => One::Scalar(self.scalar(field)?),
        };
        Ok(match of {
            One::Scalar(scalar) => Whole::Scalars(scalar),
            One::Message(composite) if is_repeated => Whole::Many(composite),
            One::Message(composite) => Whole::One(composite, false),
            One::Map(fields) => Whole::Map(Box::new(fields)),
        })
    }

    fn message(&mut self, field: &FieldDescriptor, of: &MessageDescriptor, connect: &SchemaRef) -> Result<One> {
        if let Some(known) = WellKnown::of(of)? {
            return Ok(One::Message(Composite::WellKnown(known)));
        }
        if let Some((_, scalar)) = unwrapped(of, self.settings) {
            return Ok(One::Message(Composite::Wrapper(scalar)));
        }
        if let Some((key, value)) = entry(field, of) {
            let mut draft = Draft::default();
            for (field, connect) in [(&key, connect.key_schema()?), (&value, connect.value_schema()?)] {
                let whole = self.field(field, connect)?;
                place(field, whole, Missing::Default, true, &mut draft);
            }
            return Ok(One::Map(draft.finish()));
        }
        let connect = if field.cardinality() == Cardinality::Repeated {
            connect.value_schema()?
        } else {
            connect
        };
        self.structure(of, connect).map(One::Message)
    }

    fn scalar(&self, field: &FieldDescriptor) -> Result<Scalar> {
        let int = |scalar: Scalar| match Short::of(&field_params(field)) {
            Some(Short::Int8) => Scalar::Int8(Box::new(scalar)),
            Some(Short::Int16) => Scalar::Int16(Box::new(scalar)),
            None => scalar,
        };
        Ok(match field.kind() {
            Kind::Int32 => int(Scalar::Int32),
            Kind::Sint32 => int(Scalar::SInt32),
            Kind::Sfixed32 => int(Scalar::SFixed32),
            Kind::Uint32 => Scalar::UInt32,
            Kind::Fixed32 => Scalar::Fixed32,
            Kind::Int64 | Kind::Uint64 => Scalar::Int64,
            Kind::Sint64 => Scalar::SInt64,
            Kind::Fixed64 | Kind::Sfixed64 => Scalar::Fixed64,
            Kind::Float => Scalar::Float,
            Kind::Double => Scalar::Double,
            Kind::Bool => Scalar::Boolean,
            Kind::String => Scalar::Text(field.parent_file().syntax() == Syntax::Proto3),
            Kind::Bytes => Scalar::Bytes,
            Kind::Enum(of) => {
                let symbols = symbols(&of);
                if self.settings.int_enums {
                    Scalar::Number(symbols.is_closed.then(|| Arc::new(symbols)))
                } else {
                    Scalar::Symbol(Arc::new(symbols))
                }
            }
            Kind::Message(_) => return Err(no_schema()),
        })
    }
}

fn next<'s>(schemas: &mut impl Iterator<Item = &'s ConnectField>) -> Result<&'s SchemaRef> {
    schemas.next().map(|field| &field.schema).ok_or_else(no_schema)
}

#[cold]
fn no_schema() -> Error {
    Error::data("the schema is none of the message")
}
