//! The plan of a message while it is put together, field by field.

use std::collections::HashMap;

use dray_connect::datum::Datum;
use prost_reflect::{Cardinality, EnumDescriptor, FieldDescriptor, Syntax, Value as Stated};

use super::read::{Field, Fields, Fill, List, OneOf, Place, Symbols, Whole};
use super::scalar::Scalar;
use super::wire::LENGTH;

/// The parts of [`Fields`] as they are collected.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) fields: Vec<Field>,
    pub(super) initial: Vec<Datum>,
    pub(super) fills: Vec<(usize, Fill)>,
    pub(super) lists: Vec<List>,
    pub(super) oneofs: Vec<OneOf>,
}

/// Field numbers that are looked up by their place.
const PLACES: u32 = 1024;

impl Draft {
    pub(super) fn finish(mut self) -> Fields {
        self.fields.sort_by_key(|field| field.number);
        let numbers = self.fields.iter().map(|field| field.number);
        let small = numbers.filter(|number| *number < PLACES).max();
        let mut places = vec![u16::MAX; small.map_or(0, |number| number as usize + 1)];
        for (place, field) in self.fields.iter().enumerate() {
            // Fewer fields than that are in any schema.
            if let (Some(entry), Ok(place)) = (places.get_mut(field.number as usize), u16::try_from(place)) {
                *entry = place;
            }
        }
        Fields {
            fields: self.fields.into(),
            places: places.into(),
            initial: self.initial.into(),
            fills: self.fills.into(),
            lists: self.lists.into(),
            oneofs: self.oneofs.into(),
        }
    }
}

/// What there is for a single value that does not come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    Null,
    Default,
}

/// Adds a field's plan at the next slot. `is_there` says whether a message is there even when it does not come.
pub(super) fn place(field: &FieldDescriptor, whole: Whole, missing: Missing, is_there: bool, draft: &mut Draft) {
    let slot = draft.initial.len();
    let number = field.number();
    let mut initial = Datum::Null;
    let is_list = field.cardinality() == Cardinality::Repeated;
    let (key, place) = match whole {
        Whole::Scalars(scalar) if !is_list => {
            let key = scalar.key(number);
            if missing == Missing::Default {
                match default(field, &scalar) {
                    Ok(datum) => initial = datum,
                    Err(fill) => draft.fills.push((slot, fill)),
                }
            }
            (key, Place::Value(slot, scalar))
        }
        whole @ (Whole::Scalars(_) | Whole::One(..) | Whole::Many(_) | Whole::Map(_)) => {
            let (key, place) = match &whole {
                Whole::Scalars(scalar) if scalar.wire_type() != LENGTH => {
                    (scalar.key(number), Place::Element(draft.lists.len()))
                }
                Whole::Scalars(_) | Whole::One(..) | Whole::Many(_) | Whole::Map(_) => {
                    (number << 3 | LENGTH, Place::Part(draft.lists.len()))
                }
            };
            let of = match whole {
                Whole::One(composite, _) => Whole::One(composite, is_there),
                list @ (Whole::Scalars(_) | Whole::Many(_) | Whole::Map(_)) => list,
            };
            draft.lists.push(List {
                slot,
                name: field.name().into(),
                of,
            });
            (key, place)
        }
    };
    draft.initial.push(initial);
    draft.fields.push(Field {
        number,
        key,
        name: field.name().into(),
        place,
    });
}

/// The default of a single value, which may need a batch.
fn default(field: &FieldDescriptor, scalar: &Scalar) -> std::result::Result<Datum, Fill> {
    let text = |text: &str| Err(Fill::Text(text.into()));
    let stated = field.default_value();
    Ok(match (scalar, stated) {
        (Scalar::Boolean, Stated::Bool(value)) => Datum::Boolean(value),
        (Scalar::Int8(_), Stated::I32(value)) => Datum::Int8(value as i8),
        (Scalar::Int16(_), Stated::I32(value)) => Datum::Int16(value as i16),
        (_, Stated::I32(value)) => Datum::Int32(value),
        (_, Stated::U32(value)) => Datum::Int64(i64::from(value)),
        (_, Stated::I64(value)) => Datum::Int64(value),
        (_, Stated::U64(value)) => Datum::Int64(value as i64),
        (_, Stated::F32(value)) => Datum::Float32(value),
        (_, Stated::F64(value)) => Datum::Float64(value),
        (Scalar::Number(_), Stated::EnumNumber(number)) => Datum::Int32(number),
        (Scalar::Symbol(symbols), Stated::EnumNumber(number)) => {
            return text(symbols.names.get(&number).map_or("", |name| name));
        }
        (Scalar::Bytes, Stated::Bytes(bytes)) => return Err(Fill::Bytes(bytes.to_vec().into())),
        (_, Stated::String(value)) => return text(&value),
        (_, _) => Datum::Null,
    })
}

pub(super) fn symbols(of: &EnumDescriptor) -> Symbols {
    let mut names = HashMap::new();
    for value in &of.enum_descriptor_proto().value {
        names.entry(value.number()).or_insert_with(|| value.name().into());
    }
    Symbols {
        name: of.name().to_owned(),
        names,
        is_closed: of.parent_file().syntax() == Syntax::Proto2,
    }
}
