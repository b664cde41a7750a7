//! From values to Avro's bytes: a plan that is made once for a Connect schema and the Avro schema that its values are written with, which may
//! be another than the one made of it (`use.latest.version`, `use.schema.id`). Fields go together by name.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;

use dray_connect::datum::{StructRef, ValueRef};
use dray_connect::logical::{self, Logical};
use dray_connect::schema::{Schema as Connect, SchemaRef, Type};
use dray_connect::value::Value;
use dray_connect::{Error, Result};

use super::again::{self, Kept, KnownRecord, KnownRecords, WriteCells};
use super::from_connect::is_union;
use super::schema::{Kind, Record as AvroRecord, Schema, TypeId};
use super::settings::Settings;
use super::to_connect::{branch_name, is_map_entry};
use super::{anything, default, wire};
use crate::again::{Again, within};
use crate::java_class;

/// How values of a Connect schema are written.
#[derive(Debug)]
pub(super) enum Write {
    Boolean,
    /// From integers of that type or a shorter one, as for the numbers below.
    Int(Type),
    Long(Type),
    Float(Type),
    Double(Type),
    String,
    Bytes,
    Fixed(usize),
    Enum(Box<Symbols>),
    Decimal(SchemaRef),
    FixedDecimal(SchemaRef, usize),
    Date(SchemaRef),
    Time(SchemaRef),
    Timestamp,
    Array(Box<Write>),
    Map(Box<Write>),
    Entries(Box<(Write, Write)>),
    /// The same for all places of one record.
    Record(Arc<Record>),
    /// A record within itself.
    Again(Box<Again<Record>>),
    /// One branch of a union, and the one of null where that is allowed.
    Branch(Option<i64>, i64, Box<Write>),
    /// A struct of which one field has a value: null's branch, and field, branch and plan of each.
    Union(Option<i64>, Box<[(usize, i64, Write)]>),
    Anything,
}

#[derive(Debug)]
pub(super) struct Symbols {
    name: String,
    places: HashMap<Box<[u8]>, i64>,
}

#[derive(Debug)]
pub(super) struct Record {
    schema: SchemaRef,
    fields: Box<[WriteField]>,
}

#[derive(Debug)]
struct WriteField {
    /// None where the struct has no such field, and the default is written.
    from: Option<usize>,
    of: Write,
    /// In place of null.
    default: Option<Box<[u8]>>,
}

/// Makes plans.
pub(super) struct Planner<'a> {
    pub(super) schema: &'a Schema,
    pub(super) settings: &'a Settings,
    /// Whether a schema that allows null needs one that does.
    pub(super) strict: bool,
    pub(super) again: WriteCells,
    /// How many of those have a plan, or are just getting one.
    pub(super) planned: Cell<usize>,
    /// Records that stand in several places: one of a few names may stand for very many.
    pub(super) known: KnownRecords,
}

/// A plan, with what it refers to.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) root: Write,
    _again: Kept,
}

impl Planner<'_> {
    pub(super) fn root(self, connect: Option<&SchemaRef>) -> Result<Plan> {
        let root = match connect {
            Some(connect) => self.of(connect, self.schema.root())?,
            None if anything::is_anything(self.schema, self.schema.root()) => Write::Anything,
            None => {
                return Err(Error::data(
                    "a value without a schema cannot be written with an Avro schema that has one",
                ));
            }
        };
        Ok(Plan {
            root,
            _again: Kept::of(self)?,
        })
    }

    fn of(&self, connect: &SchemaRef, id: TypeId) -> Result<Write> {
        if let Kind::Union(branches) = self.schema.kind(id) {
            return if is_union(connect) {
                self.union(connect, branches)
            } else {
                self.branch(connect, branches)
            };
        }
        if connect.optional() && self.strict {
            let text = "it allows null, and the schema it is written with does not";
            return Err(Error::data(text));
        }
        self.plain(connect, id)
    }

    fn null(&self, branches: &[TypeId]) -> Option<i64> {
        let is_null = |id: &TypeId| matches!(self.schema.kind(*id), Kind::Null);
        branches.iter().position(is_null).map(|index| index as i64)
    }

    /// The branch that a schema is written as: the one of its own type, or else the first that takes it.
    fn branch(&self, connect: &SchemaRef, branches: &[TypeId]) -> Result<Write> {
        let null = self.null(branches).filter(|_| connect.optional());
        if connect.optional() && null.is_none() && self.strict {
            return Err(Error::data(
                "it allows null, and the schema it is written with does not",
            ));
        }
        let name = connect.name().map(|name| self.settings.scrubbed_full(name));
        let is_own = |id: &TypeId| {
            let kind = self.schema.kind(*id);
            match (kind.name(), &name) {
                (Some(of), Some(name)) => of.full() == *name,
                (Some(_), None) => false,
                (None, _) => own_word(connect) == kind.word(),
            }
        };
        let own = branches.iter().filter(|id| is_own(id));
        let order = own.chain(branches.iter().filter(|id| !is_own(id)));
        let mut why = None;
        for id in order {
            let index = branches.iter().position(|other| other == id).unwrap_or_default() as i64;
            if matches!(self.schema.kind(*id), Kind::Null) {
                continue;
            }
            let (again, planned) = (self.again.borrow().len(), self.planned.get());
            match self.plain(connect, *id) {
                Ok(of) => return Ok(Write::Branch(null, index, Box::new(of))),
                Err(error) => drop(why.get_or_insert(error)),
            }
            if planned < again.min(self.planned.get()) {
                continue; // one of those before was planned, and may refer to a later one
            }
            self.again.borrow_mut().truncate(again);
            self.planned.set(planned);
            self.known.borrow_mut().retain(|_, known| known.again <= again);
        }
        Err(why.unwrap_or_else(|| does_not_fit(connect, "a union of nothing")))
    }

    fn union(&self, connect: &SchemaRef, branches: &[TypeId]) -> Result<Write> {
        let mut plans = Vec::new();
        for field in connect.fields()? {
            let found = branches.iter().enumerate().find_map(|(index, id)| {
                let kind = self.schema.kind(*id);
                let is_it = branch_name(kind, index, self.settings) == *field.name;
                is_it.then_some((index, *id))
            });
            // By name, or else by place, where a branch is called otherwise in the settings of now.
            let place = field.index + usize::from(self.null(branches) == Some(0));
            let found = found.or_else(|| Some((place, *branches.get(place)?)));
            let (index, id) = found.ok_or_else(|| does_not_fit(&field.schema, "any branch of a union"))?;
            plans.push((field.index, index as i64, self.plain(&field.schema, id)?));
        }
        Ok(Write::Union(self.null(branches), plans.into()))
    }

    fn plain(&self, connect: &SchemaRef, id: TypeId) -> Result<Write> {
        let logical = Logical::of(connect);
        let kind = self.schema.kind(id);
        let own = connect.type_();
        let shared = || SchemaRef::clone(connect);
        let number = |types: &[Type]| logical.is_none() && types.contains(&own);
        Ok(match kind {
            Kind::Int if logical == Some(Logical::Date) => Write::Date(shared()),
            Kind::Int if logical == Some(Logical::Time) => Write::Time(shared()),
            Kind::Long if logical == Some(Logical::Timestamp) => Write::Timestamp,
            Kind::Bytes if logical == Some(Logical::Decimal) => Write::Decimal(shared()),
            Kind::Fixed(of) if logical == Some(Logical::Decimal) => Write::FixedDecimal(shared(), of.size),
            Kind::Int if number(&[Type::Int8, Type::Int16, Type::Int32]) => Write::Int(own),
            Kind::Long if number(&[Type::Int8, Type::Int16, Type::Int32, Type::Int64]) => Write::Long(own),
            Kind::Float if number(&[Type::Float32]) => Write::Float(own),
            Kind::Double if number(&[Type::Float32, Type::Float64]) => Write::Double(own),
            Kind::Boolean if number(&[Type::Boolean]) => Write::Boolean,
            Kind::String if number(&[Type::String]) => Write::String,
            Kind::Bytes if number(&[Type::Bytes]) => Write::Bytes,
            Kind::Fixed(of) if number(&[Type::Bytes]) => Write::Fixed(of.size),
            Kind::Enum(of) if number(&[Type::String]) => {
                let symbols = of.symbols.iter().zip(0_i64..);
                Write::Enum(Box::new(Symbols {
                    name: of.name.full(),
                    places: symbols
                        .map(|(symbol, place)| (symbol.as_bytes().into(), place))
                        .collect(),
                }))
            }
            Kind::Array(items) if own == Type::Array => {
                Write::Array(Box::new(self.of(connect.value_schema()?, *items)?))
            }
            Kind::Map(values) if own == Type::Map && connect.key_schema()?.type_() == Type::String => {
                Write::Map(Box::new(self.of(connect.value_schema()?, *values)?))
            }
            Kind::Array(items) if own == Type::Map => self.entries(connect, *items)?,
            Kind::Record(_) if connect.is_reference() => {
                Write::Again(Box::new(self.again.borrow_mut().again(id, connect)))
            }
            Kind::Record(record) if own == Type::Struct => Write::Record(self.shared(connect, id, record)?),
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
            | Kind::Fixed(_)
            | Kind::Record(_) => return Err(does_not_fit(connect, kind.word())),
        })
    }

    fn entries(&self, connect: &SchemaRef, items: TypeId) -> Result<Write> {
        let of = self.schema.at(items);
        if let Kind::Record(record) = &of.kind
            && is_map_entry(record, of.text("connect.internal.type"))
            && let [key, value] = &record.fields[..]
        {
            let key = self.of(connect.key_schema()?, key.of)?;
            let value = self.of(connect.value_schema()?, value.of)?;
            return Ok(Write::Entries(Box::new((key, value))));
        }
        Err(does_not_fit(connect, "array"))
    }

    /// The plan of a record, which may stand in several places.
    fn shared(&self, connect: &SchemaRef, id: TypeId, record: &AvroRecord) -> Result<Arc<Record>> {
        let key = (id, Arc::as_ptr(connect).addr());
        if let Some(known) = self.known.borrow().get(&key) {
            return known.made.clone().map_err(Error::data);
        }
        let made = self.record(connect, record).map(Arc::new);
        let known = KnownRecord {
            _schema: SchemaRef::clone(connect),
            made: made.as_ref().map(Arc::clone).map_err(Error::to_string),
            again: if made.is_ok() { self.again.borrow().len() } else { 0 },
        };
        self.known.borrow_mut().insert(key, known);
        made
    }

    pub(super) fn record(&self, connect: &SchemaRef, record: &AvroRecord) -> Result<Record> {
        let connects = connect.fields()?;
        let mut fields = Vec::with_capacity(record.fields.len());
        for field in &record.fields {
            let from = connects
                .iter()
                .find(|from| self.settings.scrubbed(&from.name) == *field.name);
            let Some(from) = from else {
                let json = field.default.as_ref().ok_or_else(|| {
                    Error::data(format!(
                        "{}: the schema it is written with has such a field, and no default for it",
                        field.name
                    ))
                })?;
                let bytes = default::encode(self.schema, field.of, json).ok_or_else(|| {
                    let (name, of) = (&field.name, self.schema.kind(field.of).word());
                    Error::data(format!(
                        "the default {json} of field {name} is none of its Avro type {of}, or does not end"
                    ))
                })?;
                fields.push(WriteField {
                    from: None,
                    of: Write::Anything,
                    default: Some(bytes.into()),
                });
                continue;
            };
            let of = self
                .of(&from.schema, field.of)
                .map_err(|error| within(&from.name, &error))?;
            let default = from.schema.default().filter(|_| !self.settings.ignore_defaults);
            if matches!(default, Some(Value::Struct(_) | Value::Array(_) | Value::Map(_))) {
                // It is written now, and may lead through records within themselves.
                again::plan_all(self)?;
            }
            let default = default.map(|value| of.default(value)).transpose();
            fields.push(WriteField {
                from: Some(from.index),
                default: default.map_err(|error| within(&from.name, &error))?,
                of,
            });
        }
        Ok(Record {
            schema: SchemaRef::clone(connect),
            fields: fields.into(),
        })
    }
}

impl Write {
    /// Appends a value. After an error what was appended of it is still there.
    pub(super) fn write(&self, value: ValueRef<'_>, out: &mut Vec<u8>) -> Result<()> {
        match (self, value) {
            (Self::Branch(null, ..), ValueRef::Null) => wire::long(null.ok_or_else(null_value)?, out),
            (Self::Branch(_, branch, of), value) => {
                wire::long(*branch, out);
                of.write(value, out)?;
            }
            (Self::Int(Type::Int32), ValueRef::Int32(value)) => wire::long(value.into(), out),
            (Self::Long(Type::Int64), ValueRef::Int64(value)) => wire::long(value, out),
            (Self::String, ValueRef::Str(text)) => wire::bytes(text, out),
            (Self::Boolean, ValueRef::Boolean(value)) => out.push(value.into()),
            (Self::Float(Type::Float32), ValueRef::Float32(value)) => out.extend_from_slice(&value.to_le_bytes()),
            (Self::Double(Type::Float64), ValueRef::Float64(value)) => out.extend_from_slice(&value.to_le_bytes()),
            (Self::Bytes, ValueRef::Bytes(bytes)) => wire::bytes(bytes, out),
            (Self::Record(of), ValueRef::Struct(record)) => {
                if !SchemaRef::ptr_eq(record.schema(), &of.schema) && **record.schema() != *of.schema {
                    return Err(mismatch());
                }
                of.write(record, out)?;
            }
            (Self::Again(of), ValueRef::Struct(record)) => again::write(of, record, out)?,
            (Self::Array(of), ValueRef::Array(elements)) => {
                if !elements.is_empty() {
                    wire::long(elements.len() as i64, out);
                }
                for element in elements.iter() {
                    of.write(element, out)?;
                }
                out.push(0);
            }
            (Self::Map(of), ValueRef::Map(entries)) => {
                if !entries.is_empty() {
                    wire::long(entries.len() as i64, out);
                }
                for (key, value) in entries.iter() {
                    Self::String.write(key, out)?;
                    of.write(value, out)?;
                }
                out.push(0);
            }
            (Self::Anything, value) => anything::write(value, 1, out)?,
            (_, value) => self.rare(value, out)?,
        }
        Ok(())
    }

    /// Appends a value of the most usual kinds, within a record; false where it is another or does not fit.
    #[inline(always)]
    fn scalar(&self, value: ValueRef<'_>, out: &mut Vec<u8>) -> bool {
        match (self, value) {
            (Self::String, ValueRef::Str(text)) => wire::bytes(text, out),
            (Self::Long(Type::Int64), ValueRef::Int64(value)) => wire::long(value, out),
            (Self::Int(Type::Int32), ValueRef::Int32(value)) => wire::long(value.into(), out),
            (Self::Double(Type::Float64), ValueRef::Float64(value)) => out.extend_from_slice(&value.to_le_bytes()),
            (Self::Boolean, ValueRef::Boolean(value)) => out.push(value.into()),
            (_, _) => return false,
        }
        true
    }

    #[inline(never)]
    fn rare(&self, value: ValueRef<'_>, out: &mut Vec<u8>) -> Result<()> {
        match (self, value) {
            (Self::Int(Type::Int8) | Self::Long(Type::Int8), ValueRef::Int8(value)) => wire::long(value.into(), out),
            (Self::Int(Type::Int16) | Self::Long(Type::Int16), ValueRef::Int16(value)) => wire::long(value.into(), out),
            (Self::Long(Type::Int32), ValueRef::Int32(value)) => wire::long(value.into(), out),
            (Self::Double(Type::Float32), ValueRef::Float32(value)) => {
                out.extend_from_slice(&f64::from(value).to_le_bytes());
            }
            (Self::Fixed(size), ValueRef::Bytes(bytes)) => {
                if bytes.len() != *size {
                    let text = format!("{} bytes for an Avro fixed of {size}", bytes.len());
                    return Err(Error::data(text));
                }
                out.extend_from_slice(bytes);
            }
            (Self::Enum(symbols), ValueRef::Str(text)) => match symbols.places.get(text) {
                Some(place) => wire::long(*place, out),
                None => {
                    let text = String::from_utf8_lossy(text);
                    return Err(Error::data(format!("{text} is no symbol of the enum {}", symbols.name)));
                }
            },
            (Self::Decimal(schema), ValueRef::Decimal(value)) => {
                wire::bytes(&logical::decimal_to_bytes(schema, &value.to_decimal())?, out);
            }
            (Self::FixedDecimal(schema, size), ValueRef::Decimal(value)) => {
                let bytes = logical::decimal_to_bytes(schema, &value.to_decimal())?;
                let missing = size.checked_sub(bytes.len()).ok_or_else(|| {
                    let length = bytes.len();
                    Error::data(format!(
                        "Unscaled value byte array length {length} is greater than fixed size {size}"
                    ))
                })?;
                let sign = if bytes.first().is_some_and(|first| *first >= 0x80) {
                    0xff
                } else {
                    0
                };
                out.extend(std::iter::repeat_n(sign, missing));
                out.extend_from_slice(&bytes);
            }
            (Self::Date(schema), ValueRef::Date(value)) => {
                wire::long(logical::date_to_days(schema, value)?.into(), out)
            }
            (Self::Time(schema), ValueRef::Date(value)) => {
                wire::long(logical::time_to_millis(schema, value)?.into(), out);
            }
            (Self::Timestamp, ValueRef::Date(value)) => wire::long(value, out),
            (Self::Entries(of), ValueRef::Map(entries)) => {
                if !entries.is_empty() {
                    wire::long(entries.len() as i64, out);
                }
                for (key, value) in entries.iter() {
                    of.0.write(key, out)?;
                    of.1.write(value, out)?;
                }
                out.push(0);
            }
            (Self::Union(null, _), ValueRef::Null) => wire::long(null.ok_or_else(null_value)?, out),
            (Self::Union(null, branches), ValueRef::Struct(record)) => {
                let set = |index: usize| record.at(index).filter(|value| !value.is_null());
                let found = branches
                    .iter()
                    .find_map(|(field, branch, of)| Some((set(*field)?, branch, of)));
                let Some((value, branch, of)) = found else {
                    wire::long(null.ok_or_else(null_value)?, out);
                    return Ok(());
                };
                wire::long(*branch, out);
                of.write(value, out)?;
            }
            (_, ValueRef::Null) => return Err(null_value()),
            (of, value) => return Err(of.wrong(value)),
        }
        Ok(())
    }

    /// The value of a whole message whose schema is `bytes`: Confluent writes no length there.
    pub(super) fn bare(&self, value: ValueRef<'_>, out: &mut Vec<u8>) -> Result<()> {
        match (self, value) {
            (Self::Bytes, ValueRef::Bytes(bytes)) => out.extend_from_slice(bytes),
            (Self::Decimal(schema), ValueRef::Decimal(value)) => {
                out.extend_from_slice(&logical::decimal_to_bytes(schema, &value.to_decimal())?);
            }
            (of, value) => of.write(value, out)?,
        }
        Ok(())
    }

    /// The bytes of a default. A struct's is of the schema as it was before it had the default, so that it is not compared.
    fn default(&self, value: &Value) -> Result<Box<[u8]>> {
        let mut bytes = Vec::new();
        let mut of = self;
        if let (Self::Branch(_, branch, inner), Value::Struct(_)) = (self, value) {
            wire::long(*branch, &mut bytes);
            of = inner;
        }
        match (of, value) {
            (Self::Record(of), Value::Struct(record)) => of.write(StructRef::from(&**record), &mut bytes)?,
            (of, value) => of.write(value.into(), &mut bytes)?,
        }
        Ok(bytes.into())
    }

    #[cold]
    fn wrong(&self, value: ValueRef<'_>) -> Error {
        let class = java_class(value);
        let logical = |name: &str, class_wanted: &str| {
            Error::data(format!(
                "Invalid type for {name}, expected {class_wanted} but was {class}"
            ))
        };
        let kind = match self {
            Self::Decimal(_) | Self::FixedDecimal(..) => return logical("Decimal", "BigDecimal"),
            Self::Date(_) => return logical("Date", "Date"),
            Self::Time(_) => return logical("Time", "Date"),
            Self::Timestamp => return logical("Timestamp", "Date"),
            Self::Int(kind) | Self::Long(kind) | Self::Float(kind) | Self::Double(kind) => *kind,
            Self::Boolean => Type::Boolean,
            Self::String | Self::Enum(_) => Type::String,
            Self::Bytes | Self::Fixed(_) => Type::Bytes,
            Self::Array(_) => Type::Array,
            Self::Map(_) | Self::Entries(_) => Type::Map,
            Self::Record(_) | Self::Again(_) | Self::Union(..) | Self::Branch(..) | Self::Anything => Type::Struct,
        };
        wrong_class(kind, value)
    }
}

impl Record {
    #[inline]
    pub(super) fn write(&self, record: StructRef<'_>, out: &mut Vec<u8>) -> Result<()> {
        let values = record.values();
        for field in &self.fields {
            if let Some(value) = field.from.and_then(|index| values.scalar(index)) {
                let start = out.len();
                let of = if let Write::Branch(_, branch, of) = &field.of {
                    wire::long(*branch, out);
                    of
                } else {
                    &field.of
                };
                if of.scalar(value, out) {
                    continue;
                }
                out.truncate(start);
            }
            let value = field.from.and_then(|index| values.at(index)).unwrap_or(ValueRef::Null);
            if value.is_null()
                && let Some(default) = &field.default
            {
                out.extend_from_slice(default);
                continue;
            }
            if let Err(error) = field.of.write(value, out) {
                return Err(self.within(field, &error));
            }
        }
        Ok(())
    }

    #[cold]
    fn within(&self, field: &WriteField, error: &Error) -> Error {
        let fields = self.schema.fields().unwrap_or_default();
        let name = field.from.and_then(|index| Some(&*fields.get(index)?.name));
        within(name.unwrap_or_default(), error)
    }
}

#[cold]
pub(super) fn mismatch() -> Error {
    Error::data("Mismatching struct schema")
}

#[cold]
fn null_value() -> Error {
    Error::data("Found null value for non-optional schema")
}

#[cold]
fn wrong_class(kind: Type, value: ValueRef<'_>) -> Error {
    Error::data(format!("Invalid type for {kind}: {}", java_class(value)))
}

fn does_not_fit(connect: &Connect, what: &str) -> Error {
    Error::data(format!("{connect} cannot be written as Avro's {what}"))
}

/// The word of the Avro type that a schema is written as by itself, where that has no name.
fn own_word(connect: &Connect) -> &'static str {
    match connect.type_() {
        Type::Int8 | Type::Int16 | Type::Int32 => "int",
        Type::Int64 => "long",
        Type::Float32 => "float",
        Type::Float64 => "double",
        Type::Boolean => "boolean",
        Type::String => "string",
        Type::Bytes => "bytes",
        Type::Array => "array",
        Type::Map => "map",
        // Known by its name.
        Type::Struct => "",
    }
}
