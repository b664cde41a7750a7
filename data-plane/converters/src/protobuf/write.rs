//! From values to Protobuf's bytes, by a plan (`plan`) that is made once for a schema.

use std::collections::HashMap;
use std::sync::Arc;

use dray_connect::datum::{StructRef, ValueRef};
use dray_connect::schema::{SchemaRef, Type};
use dray_connect::{Error, Result};

use super::well_known::WellKnown;
use super::wire::{self, EIGHT, FOUR, LENGTH, VARINT, block, measured, varint};
use crate::again::{Again, within};
use crate::java_class;

/// How the values of a Connect schema are written as a message.
#[derive(Debug)]
pub(super) enum Write {
    Struct(Box<Record>),
    /// A message within itself.
    Again(Box<Again<Record>>),
    Wrapper(Scalar),
    WellKnown(WellKnown),
}

#[derive(Debug)]
pub(super) struct Record {
    pub(super) schema: SchemaRef,
    /// In the order of their numbers.
    pub(super) fields: Box<[Field]>,
}

#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: Box<str>,
    pub(super) from: From,
    /// Number and wire type.
    pub(super) key: u32,
    pub(super) of: Of,
    /// Key and value in place of null.
    pub(super) default: Option<Box<[u8]>>,
    /// Of proto2.
    pub(super) is_required: bool,
}

/// Where in the struct a value is.
#[derive(Clone, Copy, Debug)]
pub(super) enum From {
    Field(usize),
    /// That member of that union.
    Member(usize, usize),
}

#[derive(Debug)]
pub(super) enum Of {
    Scalar(Scalar),
    /// The same, left out where it is the default of its type.
    Plain(Scalar),
    Packed(Scalar),
    /// Elements with a key each.
    Scalars(Scalar),
    Message(Write),
    Messages(Write),
    /// Key and value of each entry.
    Map(Box<(Field, Field)>),
}

/// A single value.
#[derive(Clone, Debug)]
pub(super) enum Scalar {
    Int32,
    Int64,
    /// Integers of that type in that form, from `least` to `most`.
    Integer {
        from: Type,
        form: Form,
        least: i64,
        most: i64,
    },
    Boolean,
    Float,
    Double,
    /// From FLOAT32.
    DoubleOfFloat,
    Text,
    Bytes,
    Symbol(Arc<Symbols>),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    Varint,
    ZigZag,
    Four,
    Eight,
}

#[derive(Debug)]
pub(super) struct Symbols {
    pub(super) name: String,
    pub(super) numbers: HashMap<Box<[u8]>, i32>,
}

impl Write {
    /// Appends the bytes of a value's message. After an error what was appended of it is still there.
    pub(super) fn write(&self, value: ValueRef<'_>, out: &mut Vec<u8>) -> Result<()> {
        self.write_if(value, true, out)
    }

    fn write_if(&self, value: ValueRef<'_>, is_checked: bool, out: &mut Vec<u8>) -> Result<()> {
        match (self, value) {
            (Self::Struct(of), ValueRef::Struct(record)) => {
                if is_checked {
                    check_schema(record, &of.schema)?;
                }
                of.write(record, out)
            }
            (Self::Again(of), ValueRef::Struct(record)) => {
                if is_checked {
                    check_schema(record, &of.schema)?;
                }
                of.plan()?.get().write(record, out)
            }
            (Self::Struct(_) | Self::Again(_), value) => Err(wrong_class(Type::Struct, value)),
            (Self::Wrapper(scalar), value) => scalar.write_plain(1 << 3 | scalar.wire_type(), value, out),
            (Self::WellKnown(of), value) => of.write(value, out),
        }
    }
}

#[inline]
fn check_schema(record: StructRef<'_>, schema: &SchemaRef) -> Result<()> {
    if SchemaRef::ptr_eq(record.schema(), schema) || **record.schema() == **schema {
        return Ok(());
    }
    Err(Error::data("Mismatching struct schema"))
}

impl Record {
    #[inline]
    fn write(&self, record: StructRef<'_>, out: &mut Vec<u8>) -> Result<()> {
        let values = record.values();
        for field in &self.fields {
            let value = match field.from {
                From::Field(index) => values.at(index).unwrap_or(ValueRef::Null),
                From::Member(union, member) => match values.at(union) {
                    None | Some(ValueRef::Null) => ValueRef::Null,
                    Some(union) => member_of(union, member).map_err(|error| within(&field.name, &error))?,
                },
            };
            if let Err(error) = field.write(value, out) {
                return Err(within(&field.name, &error));
            }
        }
        Ok(())
    }
}

/// The member, if it is the first that is set.
fn member_of(union: ValueRef<'_>, member: usize) -> Result<ValueRef<'_>> {
    let ValueRef::Struct(union) = union else {
        return Err(wrong_class(Type::Struct, union));
    };
    let values = union.values();
    let set = |index: usize| values.at(index).filter(|value| !value.is_null());
    let count = union.schema().fields()?.len();
    match (0..count).find_map(|index| Some((index, set(index)?))) {
        Some((first, value)) if first == member => Ok(value),
        Some(_) => Ok(ValueRef::Null),
        None => Err(Error::data("Cannot find non-null field")),
    }
}

impl Field {
    #[inline]
    fn write(&self, value: ValueRef<'_>, out: &mut Vec<u8>) -> Result<()> {
        match (&self.of, value) {
            (_, ValueRef::Null) => match &self.default {
                Some(default) => {
                    out.extend_from_slice(default);
                    Ok(())
                }
                None if self.is_required => Err(Error::data("Found null value for a required field")),
                None => Ok(()),
            },
            (Of::Plain(scalar), value) => scalar.write_plain(self.key, value, out),
            (Of::Scalar(scalar), value) => {
                varint(u64::from(self.key), out);
                scalar.write(value, out)
            }
            (_, value) => self.write_rare(value, true, out),
        }
    }

    pub(super) fn write_unchecked(&self, value: ValueRef<'_>, out: &mut Vec<u8>) -> Result<()> {
        match &self.of {
            Of::Message(_) if !value.is_null() => self.write_rare(value, false, out),
            Of::Message(_)
            | Of::Scalar(_)
            | Of::Plain(_)
            | Of::Packed(_)
            | Of::Scalars(_)
            | Of::Messages(_)
            | Of::Map(_) => self.write(value, out),
        }
    }

    #[inline(never)]
    fn write_rare(&self, value: ValueRef<'_>, is_checked: bool, out: &mut Vec<u8>) -> Result<()> {
        let key = u64::from(self.key);
        match (&self.of, value) {
            (Of::Message(of), value) => {
                varint(key, out);
                measured(out, |out| of.write_if(value, is_checked, out))
            }
            (Of::Packed(scalar), ValueRef::Array(elements)) => {
                if elements.is_empty() {
                    return Ok(());
                }
                varint(key, out);
                measured(out, |out| {
                    let mut elements = elements.iter().enumerate();
                    elements.try_for_each(|(number, element)| {
                        scalar
                            .write(element, out)
                            .map_err(|error| within(&number.to_string(), &error))
                    })
                })
            }
            (Of::Scalars(scalar), ValueRef::Array(elements)) => {
                elements.iter().enumerate().try_for_each(|(number, element)| {
                    varint(key, out);
                    scalar
                        .write(element, out)
                        .map_err(|error| within(&number.to_string(), &error))
                })
            }
            (Of::Messages(of), ValueRef::Array(elements)) => {
                elements.iter().enumerate().try_for_each(|(number, element)| {
                    let within = |error: Error| within(&number.to_string(), &error);
                    if element.is_null() {
                        return Err(within(null_element()));
                    }
                    varint(key, out);
                    measured(out, |out| of.write(element, out)).map_err(within)
                })
            }
            (Of::Map(of), ValueRef::Map(entries)) => {
                let (key_field, value_field) = &**of;
                entries.iter().try_for_each(|(entry_key, entry_value)| {
                    varint(key, out);
                    measured(out, |out| {
                        key_field.write(entry_key, out).map_err(|error| within("key", &error))?;
                        value_field
                            .write(entry_value, out)
                            .map_err(|error| within("value", &error))
                    })
                })
            }
            (Of::Packed(_) | Of::Scalars(_) | Of::Messages(_), value) => Err(wrong_class(Type::Array, value)),
            (Of::Map(_), value) => Err(wrong_class(Type::Map, value)),
            (Of::Scalar(_) | Of::Plain(_), value) => self.write(value, out),
        }
    }
}

impl Scalar {
    pub(super) fn wire_type(&self) -> u32 {
        match self {
            Self::Int32 | Self::Int64 | Self::Boolean | Self::Symbol(_) => VARINT,
            Self::Integer { form, .. } => match form {
                Form::Varint | Form::ZigZag => VARINT,
                Form::Four => FOUR,
                Form::Eight => EIGHT,
            },
            Self::Float => FOUR,
            Self::Double | Self::DoubleOfFloat => EIGHT,
            Self::Text | Self::Bytes => LENGTH,
        }
    }

    /// Appends a value, without a key.
    #[inline(always)]
    fn write(&self, value: ValueRef<'_>, out: &mut Vec<u8>) -> Result<()> {
        match (self, value) {
            (Self::Int32, ValueRef::Int32(value)) => varint(i64::from(value) as u64, out),
            (Self::Int64, ValueRef::Int64(value)) => varint(value as u64, out),
            (Self::Text, ValueRef::Str(text)) => block(text, out),
            (Self::Boolean, ValueRef::Boolean(value)) => out.push(value.into()),
            (Self::Double, ValueRef::Float64(value)) => out.extend_from_slice(&value.to_le_bytes()),
            (of, value) => return of.write_rare(value, out),
        }
        Ok(())
    }

    #[inline(never)]
    fn write_rare(&self, value: ValueRef<'_>, out: &mut Vec<u8>) -> Result<()> {
        match (self, value) {
            (Self::Float, ValueRef::Float32(value)) => out.extend_from_slice(&value.to_le_bytes()),
            (Self::DoubleOfFloat, ValueRef::Float32(value)) => out.extend_from_slice(&f64::from(value).to_le_bytes()),
            (Self::Bytes, ValueRef::Bytes(bytes)) => block(bytes, out),
            (Self::Symbol(symbols), ValueRef::Str(text)) => match symbols.numbers.get(text) {
                Some(number) => varint(i64::from(*number) as u64, out),
                None => {
                    let text = String::from_utf8_lossy(text);
                    return Err(Error::data(format!("{text} is no symbol of the enum {}", symbols.name)));
                }
            },
            (
                Self::Integer {
                    from,
                    form,
                    least,
                    most,
                },
                value,
            ) => {
                let number = match (from, value) {
                    (Type::Int8, ValueRef::Int8(value)) => i64::from(value),
                    (Type::Int16, ValueRef::Int16(value)) => i64::from(value),
                    (Type::Int32, ValueRef::Int32(value)) => i64::from(value),
                    (Type::Int64, ValueRef::Int64(value)) => value,
                    (_, ValueRef::Null) => return Err(null_element()),
                    (kind, value) => return Err(wrong_class(*kind, value)),
                };
                if number < *least || number > *most {
                    return Err(Error::data(format!("{number} does not lie between {least} and {most}")));
                }
                match form {
                    Form::Varint => varint(number as u64, out),
                    Form::ZigZag => varint(wire::zigzag(number), out),
                    Form::Four => out.extend_from_slice(&(number as u32).to_le_bytes()),
                    Form::Eight => out.extend_from_slice(&number.to_le_bytes()),
                }
            }
            (_, ValueRef::Null) => return Err(null_element()),
            (Self::Int32, value) => return Err(wrong_class(Type::Int32, value)),
            (Self::Int64, value) => return Err(wrong_class(Type::Int64, value)),
            (Self::Boolean, value) => return Err(wrong_class(Type::Boolean, value)),
            (Self::Float | Self::DoubleOfFloat, value) => return Err(wrong_class(Type::Float32, value)),
            (Self::Double, value) => return Err(wrong_class(Type::Float64, value)),
            (Self::Text | Self::Symbol(_), value) => return Err(wrong_class(Type::String, value)),
            (Self::Bytes, value) => return Err(wrong_class(Type::Bytes, value)),
        }
        Ok(())
    }

    /// Appends key and value, unless that is what is read where nothing is.
    #[inline]
    fn write_plain(&self, key: u32, value: ValueRef<'_>, out: &mut Vec<u8>) -> Result<()> {
        let is_nothing = match value {
            ValueRef::Str(text) if !matches!(self, Self::Symbol(_)) => text.is_empty(),
            ValueRef::Int32(value) => value == 0,
            ValueRef::Int64(value) => value == 0,
            ValueRef::Boolean(value) => !value,
            // Zero with a sign is another number.
            ValueRef::Float64(value) => value.to_bits() == 0,
            ValueRef::Float32(value) => value.to_bits() == 0,
            ValueRef::Bytes(bytes) => bytes.is_empty(),
            ValueRef::Int8(value) => value == 0,
            ValueRef::Int16(value) => value == 0,
            ValueRef::Str(text) => self.is_zero_symbol(text),
            ValueRef::Null
            | ValueRef::Decimal(_)
            | ValueRef::Date(_)
            | ValueRef::Array(_)
            | ValueRef::Map(_)
            | ValueRef::Struct(_) => false,
        };
        if is_nothing {
            // Of another type than it should be it is none of that.
            return if self.takes(value) {
                Ok(())
            } else {
                self.write_rare(value, out)
            };
        }
        varint(u64::from(key), out);
        self.write(value, out)
    }

    #[inline]
    fn is_zero_symbol(&self, text: &[u8]) -> bool {
        if let Self::Symbol(symbols) = self {
            symbols.numbers.get(text) == Some(&0)
        } else {
            false
        }
    }

    /// Whether it is a value of the type that is written.
    #[inline]
    fn takes(&self, value: ValueRef<'_>) -> bool {
        let own = match self {
            Self::Int32 => Type::Int32,
            Self::Int64 => Type::Int64,
            Self::Integer { from, .. } => *from,
            Self::Boolean => Type::Boolean,
            Self::Float | Self::DoubleOfFloat => Type::Float32,
            Self::Double => Type::Float64,
            Self::Text | Self::Symbol(_) => Type::String,
            Self::Bytes => Type::Bytes,
        };
        value.schema_type() == Some(own)
    }
}

#[cold]
fn null_element() -> Error {
    Error::data("Found null value within a list, which Protobuf has no form for")
}

#[cold]
fn wrong_class(kind: Type, value: ValueRef<'_>) -> Error {
    Error::data(format!("Invalid type for {kind}: {}", java_class(value)))
}
