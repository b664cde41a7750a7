//! How the values of a Connect schema are written as a message, which may be another than the one made of the schema (`use.latest.version`,
//! `use.schema.id`). Fields go together by name.

use std::sync::Arc;

use dray_connect::logical::Logical;
use dray_connect::schema::{Schema as Connect, SchemaRef, Type};
use dray_connect::{Error, Result};
use prost_reflect::{Cardinality, FieldDescriptor, Kind, MessageDescriptor};

use super::from_connect::is_union;
use super::settings::Settings;
use super::to_connect::{entry, wrapped};
use super::well_known::WellKnown;
use super::wire::LENGTH;
use super::write::{Field, Form, From, Of, Record, Scalar, Symbols, Write};
use crate::again::{Cells, within};

/// Fields that a plan may have, with those within each other.
const MAX_FIELDS: usize = 50_000;

/// A plan, with what it refers to.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) root: Write,
    _cells: Cells<MessageDescriptor, Record>,
}

/// Makes plans.
pub(super) struct Planner<'a> {
    settings: &'a Settings,
    /// Whether each field of the struct needs one of the message.
    is_strict: bool,
    fields: usize,
    /// Messages within themselves, and how many of them are planned.
    cells: Cells<MessageDescriptor, Record>,
    planned: usize,
}

impl<'a> Planner<'a> {
    pub(super) fn new(settings: &'a Settings, is_strict: bool) -> Self {
        Self {
            settings,
            is_strict,
            fields: 0,
            cells: Cells::default(),
            planned: 0,
        }
    }

    /// The plan for values that are a message.
    pub(super) fn plan(mut self, connect: &SchemaRef, message: &MessageDescriptor) -> Result<Plan> {
        let root = self.message(connect, message)?;
        self.plan_again()?;
        Ok(Plan {
            root,
            _cells: self.cells,
        })
    }

    /// Makes the plans for all that is referred to.
    fn plan_again(&mut self) -> Result<()> {
        while let Some((message, connect)) = self.cells.wanted(self.planned) {
            let number = self.planned;
            self.planned += 1;
            let record = self.record(&connect, &message)?;
            self.cells.planned(number, record);
        }
        Ok(())
    }

    fn message(&mut self, connect: &SchemaRef, message: &MessageDescriptor) -> Result<Write> {
        if let Some(logical) = Logical::of(connect) {
            let (expected, name, _) = WellKnown::of_logical(logical);
            return match WellKnown::of(message)? {
                Some(found) if found == expected => Ok(Write::WellKnown(found)),
                Some(_) | None => Err(does_not_fit(
                    connect,
                    &format!("{}, but as {name}", message.full_name()),
                )),
            };
        }
        if connect.is_reference() {
            return Ok(Write::Again(Box::new(self.cells.again(message.clone(), connect))));
        }
        if connect.type_() == Type::Struct {
            return Ok(Write::Struct(Box::new(self.record(connect, message)?)));
        }
        match message.get_field(1).filter(|_| wrapped(message).is_some()) {
            Some(field) => Ok(Write::Wrapper(self.scalar(connect, &field)?)),
            None => Err(does_not_fit(connect, message.full_name())),
        }
    }

    fn record(&mut self, connect: &SchemaRef, message: &MessageDescriptor) -> Result<Record> {
        let mut fields: Vec<Field> = Vec::new();
        for field in connect.fields()? {
            if is_union(&field.schema) {
                for member in field.schema.fields()? {
                    let from = From::Member(field.index, member.index);
                    fields.extend(self.named(&member.name, from, &member.schema, message)?);
                }
            } else {
                let from = From::Field(field.index);
                fields.extend(self.named(&field.name, from, &field.schema, message)?);
            }
        }
        fields.sort_by_key(|field| field.key);
        for pair in fields.windows(2) {
            if let [first, second] = pair
                && first.key >> 3 == second.key >> 3
            {
                return Err(Error::data(format!(
                    "{} and {} are both field {} of {}",
                    first.name,
                    second.name,
                    first.key >> 3,
                    message.full_name()
                )));
            }
        }
        for needed in message
            .fields()
            .filter(|field| field.cardinality() == Cardinality::Required)
        {
            if !fields.iter().any(|field| field.key >> 3 == needed.number()) {
                return Err(Error::data(format!(
                    "{}: the message {} requires such a field",
                    needed.name(),
                    message.full_name()
                )));
            }
        }
        Ok(Record {
            schema: SchemaRef::clone(connect),
            fields: fields.into(),
        })
    }

    /// The plan for the field of that name, if there is one.
    fn named(
        &mut self,
        name: &str,
        from: From,
        connect: &SchemaRef,
        message: &MessageDescriptor,
    ) -> Result<Option<Field>> {
        let Some(field) = message.get_field_by_name(&self.settings.scrubbed(name)) else {
            if self.is_strict {
                return Err(Error::data(format!(
                    "{name}: the message {} has no such field",
                    message.full_name()
                )));
            }
            return Ok(None);
        };
        self.field(name, from, connect, &field).map(Some)
    }

    fn field(&mut self, name: &str, from: From, connect: &SchemaRef, field: &FieldDescriptor) -> Result<Field> {
        self.fields += 1;
        if self.fields > MAX_FIELDS {
            return Err(Error::data(format!("the schema has more than {MAX_FIELDS} fields")));
        }
        let within = |error: Error| within(name, &error);
        let of = self.of(connect, field).map_err(within)?;
        let number = field.number();
        let wire_type = match &of {
            Of::Scalar(scalar) | Of::Plain(scalar) | Of::Scalars(scalar) => scalar.wire_type(),
            Of::Packed(_) | Of::Message(_) | Of::Messages(_) | Of::Map(_) => LENGTH,
        };
        let mut made = Field {
            name: name.into(),
            from,
            key: number << 3 | wire_type,
            of,
            default: None,
            is_required: field.cardinality() == Cardinality::Required,
        };
        if let Some(default) = connect.default().filter(|_| !self.settings.ignore_defaults) {
            let mut bytes = Vec::new();
            // It may have structs in it that are within themselves.
            self.plan_again().map_err(within)?;
            // A default's struct is of the schema as it was before it had the default, so that it is not compared.
            made.write_unchecked(default.into(), &mut bytes).map_err(within)?;
            made.default = Some(bytes.into());
        }
        Ok(made)
    }

    fn of(&mut self, connect: &SchemaRef, field: &FieldDescriptor) -> Result<Of> {
        let is_repeated = field.cardinality() == Cardinality::Repeated;
        let kind = field.kind();
        let message = kind.as_message().filter(|_| !field.is_group());
        match connect.type_() {
            Type::Array if Logical::of(connect).is_none() => {
                let element = connect.value_schema()?;
                let nests = matches!(element.type_(), Type::Array | Type::Map) || is_union(element);
                if !is_repeated || nests {
                    return Err(does_not_fit(connect, &described(field)));
                }
                if let Some(message) = message {
                    return Ok(Of::Messages(self.message(element, message)?));
                }
                let scalar = self.scalar(element, field)?;
                Ok(if field.is_packed() && scalar.wire_type() != LENGTH {
                    Of::Packed(scalar)
                } else {
                    Of::Scalars(scalar)
                })
            }
            Type::Map => {
                let entry = message.and_then(|message| entry_fields(field, message));
                let Some((key, value)) = entry else {
                    return Err(does_not_fit(connect, &described(field)));
                };
                // Where they are read from does not count.
                let from = From::Field(0);
                let key = self.field("key", from, connect.key_schema()?, &key)?;
                let value = self.field("value", from, connect.value_schema()?, &value)?;
                Ok(Of::Map(Box::new((key, value))))
            }
            Type::Array
            | Type::Int8
            | Type::Int16
            | Type::Int32
            | Type::Int64
            | Type::Float32
            | Type::Float64
            | Type::Boolean
            | Type::String
            | Type::Bytes
            | Type::Struct => {
                if is_repeated {
                    return Err(does_not_fit(connect, &described(field)));
                }
                if let Some(message) = message {
                    return Ok(Of::Message(self.message(connect, message)?));
                }
                let scalar = self.scalar(connect, field)?;
                Ok(if field.supports_presence() {
                    Of::Scalar(scalar)
                } else {
                    Of::Plain(scalar)
                })
            }
        }
    }

    fn scalar(&self, connect: &SchemaRef, field: &FieldDescriptor) -> Result<Scalar> {
        let own = connect.type_();
        if Logical::of(connect).is_some() {
            return Err(does_not_fit(connect, &described(field)));
        }
        let is_long = own == Type::Int64;
        let is_short = matches!(own, Type::Int8 | Type::Int16 | Type::Int32);
        let integer = |form: Form, least: i64, most: i64| Scalar::Integer {
            from: own,
            form,
            least,
            most,
        };
        let any = |form: Form| integer(form, i64::MIN, i64::MAX);
        // INT64 has the bits of a number without a sign; shorter ones never meant such a number.
        let least = if is_long { i64::MIN } else { 0 };
        let four = i64::from(u32::MAX);
        Ok(match field.kind() {
            Kind::Int32 if own == Type::Int32 => Scalar::Int32,
            Kind::Int64 if is_long => Scalar::Int64,
            Kind::Int32 if is_short => any(Form::Varint),
            Kind::Sint32 if is_short => any(Form::ZigZag),
            Kind::Sfixed32 if is_short => any(Form::Four),
            Kind::Int64 if is_short => any(Form::Varint),
            Kind::Sint64 if is_short || is_long => any(Form::ZigZag),
            Kind::Sfixed64 if is_short || is_long => any(Form::Eight),
            Kind::Uint32 if is_short || is_long => integer(Form::Varint, 0, four),
            Kind::Fixed32 if is_short || is_long => integer(Form::Four, 0, four),
            Kind::Uint64 if is_short || is_long => integer(Form::Varint, least, i64::MAX),
            Kind::Fixed64 if is_short || is_long => integer(Form::Eight, least, i64::MAX),
            Kind::Enum(_) if own == Type::Int32 => Scalar::Int32,
            Kind::Enum(of) if own == Type::String => {
                let values = of.enum_descriptor_proto().value.iter();
                Scalar::Symbol(Arc::new(Symbols {
                    name: of.full_name().to_owned(),
                    numbers: values
                        .map(|value| (value.name().as_bytes().into(), value.number()))
                        .collect(),
                }))
            }
            Kind::Bool if own == Type::Boolean => Scalar::Boolean,
            Kind::Float if own == Type::Float32 => Scalar::Float,
            Kind::Double if own == Type::Float64 => Scalar::Double,
            Kind::Double if own == Type::Float32 => Scalar::DoubleOfFloat,
            Kind::String if own == Type::String => Scalar::Text,
            Kind::Bytes if own == Type::Bytes => Scalar::Bytes,
            Kind::Double
            | Kind::Float
            | Kind::Int32
            | Kind::Int64
            | Kind::Uint32
            | Kind::Uint64
            | Kind::Sint32
            | Kind::Sint64
            | Kind::Fixed32
            | Kind::Fixed64
            | Kind::Sfixed32
            | Kind::Sfixed64
            | Kind::Bool
            | Kind::String
            | Kind::Bytes
            | Kind::Message(_)
            | Kind::Enum(_) => return Err(does_not_fit(connect, &described(field))),
        })
    }
}

/// Key and value of entries, which are a map's, or messages of that form whose value is a list.
fn entry_fields(field: &FieldDescriptor, of: &MessageDescriptor) -> Option<(FieldDescriptor, FieldDescriptor)> {
    entry(field, of).or_else(|| {
        let is_repeated = field.cardinality() == Cardinality::Repeated;
        let named = |name: &str| {
            of.get_field_by_name(name)
                .filter(|_| is_repeated && of.fields().len() == 2)
        };
        Some((named("key")?, named("value")?))
    })
}

/// A field's type, as its file says it.
fn described(field: &FieldDescriptor) -> String {
    let label = match field.cardinality() {
        Cardinality::Repeated => "repeated ",
        Cardinality::Optional | Cardinality::Required => "",
    };
    format!("{label}{:?}", field.kind())
}

fn does_not_fit(connect: &Connect, what: &str) -> Error {
    Error::data(format!("{connect} cannot be written as Protobuf's {what}"))
}
