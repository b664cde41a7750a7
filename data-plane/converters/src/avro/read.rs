//! From Avro's bytes to values: a plan that is made once for a schema, and read along for each record. Texts and bytes stay where they are.

use bigdecimal::BigDecimal;
use dray_connect::backing::{Backing, Span};
use dray_connect::datum::{Datum, Utf8Span};
use dray_connect::logical::{self, Logical};
use dray_connect::schema::{SchemaRef, Type};
use dray_connect::{Error, Result};
use num_bigint::BigInt;
use std::sync::Arc;

use super::again::{ReadAgain, ReadCells};
use super::anything;
use super::resolved::Resolved;
use super::schema::{Kind, Record, Schema, TypeId};
use super::wire::Bytes;
use crate::{again, unique};

/// Where values go, and where in the batch the bytes lie that are read.
pub(super) struct Out<'b> {
    pub(super) batch: &'b mut Backing,
    pub(super) span: Span,
    /// The parts of what is not whole yet.
    pub(super) stack: &'b mut Vec<Datum>,
    /// How much deeper records within themselves may go.
    pub(super) levels: usize,
}

/// How a type is read.
#[derive(Debug)]
pub(super) enum Read {
    Boolean,
    Int8,
    Int16,
    Int32,
    Int64,
    Float32,
    Float64,
    String,
    Bytes,
    Fixed(usize),
    Enum(Box<[Arc<str>]>),
    /// With its scale.
    Decimal(i64),
    /// The same of a fixed size.
    FixedDecimal(i64, usize),
    Date(SchemaRef),
    Time(SchemaRef),
    Timestamp,
    Array(Box<Read>),
    Map(Box<Read>),
    /// A map as an array of keys and values.
    Entries(Box<(Read, Read)>),
    /// Its fields, which are those of all places of one record.
    Record(SchemaRef, Arc<[Read]>),
    /// A record within itself.
    Again(Box<ReadAgain>),
    /// Null, which is that branch, or the other of two.
    Optional(u8, Box<Read>),
    /// A struct with one field for each branch but null.
    Union(SchemaRef, Box<[Option<(usize, Read)>]>),
    Anything,
    /// As another type of the reader's schema.
    Resolved(Box<Resolved>),
}

impl Read {
    /// The plan for a type, whose Connect schema is `connect`; none where that is without a schema. It refers to
    /// `cells`.
    pub(super) fn of(schema: &Schema, id: TypeId, connect: Option<&SchemaRef>, cells: &mut ReadCells) -> Result<Self> {
        let Some(connect) = connect else {
            return Ok(Self::Anything);
        };
        let logical = Logical::of(connect);
        let scale = || logical::decimal_scale(connect).map(i64::from);
        Ok(match schema.kind(id) {
            Kind::Null => {
                return Err(Error::data(
                    "Standalone null schemas are not supported by this converter",
                ));
            }
            Kind::Boolean => Self::Boolean,
            Kind::Int => match (logical, connect.type_()) {
                (Some(Logical::Date), _) => Self::Date(SchemaRef::clone(connect)),
                (Some(Logical::Time), _) => Self::Time(SchemaRef::clone(connect)),
                (_, Type::Int8) => Self::Int8,
                (_, Type::Int16) => Self::Int16,
                (_, _) => Self::Int32,
            },
            Kind::Long if logical == Some(Logical::Timestamp) => Self::Timestamp,
            Kind::Long => Self::Int64,
            Kind::Float => Self::Float32,
            Kind::Double => Self::Float64,
            Kind::String => Self::String,
            Kind::Bytes if logical == Some(Logical::Decimal) => Self::Decimal(scale()?),
            Kind::Bytes => Self::Bytes,
            Kind::Fixed(of) if logical == Some(Logical::Decimal) => Self::FixedDecimal(scale()?, of.size),
            Kind::Fixed(of) => Self::Fixed(of.size),
            Kind::Enum(of) => Self::Enum(of.symbols.clone().into()),
            Kind::Map(of) => Self::Map(Box::new(Self::of(schema, *of, Some(connect.value_schema()?), cells)?)),
            Kind::Array(of) if connect.type_() == Type::Map => {
                let Kind::Record(entry) = schema.kind(*of) else {
                    return Err(Error::data("the entries of a map are no records"));
                };
                let mut part =
                    |index: usize, connect: &SchemaRef| Self::of(schema, entry.fields[index].of, Some(connect), cells);
                Self::Entries(Box::new((
                    part(0, connect.key_schema()?)?,
                    part(1, connect.value_schema()?)?,
                )))
            }
            Kind::Array(of) => Self::Array(Box::new(Self::of(schema, *of, Some(connect.value_schema()?), cells)?)),
            Kind::Record(_) if connect.is_reference() => Self::Again(Box::new(ReadAgain::of(id, None, connect, cells))),
            Kind::Record(record) => {
                if let Some(fields) = cells.known(id, connect) {
                    return Ok(Self::Record(SchemaRef::clone(connect), fields));
                }
                let fields = Self::fields(schema, record, connect, cells)?;
                cells.know(id, connect, &fields);
                Self::Record(SchemaRef::clone(connect), fields)
            }
            Kind::Union(branches) => Self::union(schema, branches, connect, cells)?,
        })
    }

    pub(super) fn fields(
        schema: &Schema,
        record: &Record,
        connect: &SchemaRef,
        cells: &mut ReadCells,
    ) -> Result<Arc<[Read]>> {
        let fields = record.fields.iter().zip(connect.fields()?);
        fields
            .map(|(field, connect)| Self::of(schema, field.of, Some(&connect.schema), cells))
            .collect()
    }

    fn union(schema: &Schema, branches: &[TypeId], connect: &SchemaRef, cells: &mut ReadCells) -> Result<Self> {
        let is_null = |id: &TypeId| matches!(schema.kind(*id), Kind::Null);
        match branches {
            [null, one] if is_null(null) => {
                return Ok(Self::optional(0, Self::of(schema, *one, Some(connect), cells)?));
            }
            [one, null] if is_null(null) => {
                return Ok(Self::optional(1, Self::of(schema, *one, Some(connect), cells)?));
            }
            // Flattened, or else the struct that stands for a union.
            [one] if !super::from_connect::is_union(connect) => {
                let one = Self::of(schema, *one, Some(connect), cells)?;
                return Ok(Self::Optional(u8::MAX, Box::new(one)));
            }
            _ => {}
        }
        let mut fields = connect.fields()?.iter();
        let mut plans = Vec::with_capacity(branches.len());
        for branch in branches {
            if is_null(branch) {
                plans.push(None);
                continue;
            }
            let field = fields.next();
            let field = field.ok_or_else(|| Error::data("Did not find matching union field for data"))?;
            plans.push(Some((
                field.index,
                Self::of(schema, *branch, Some(&field.schema), cells)?,
            )));
        }
        Ok(Self::Union(SchemaRef::clone(connect), plans.into()))
    }

    /// Null, or that.
    pub(super) fn optional(null: u8, mut of: Self) -> Self {
        if let Self::Again(again) = &mut of {
            again.null = Some(null.into());
            return of;
        }
        Self::Optional(null, Box::new(of))
    }

    /// The value that comes next. What nests is told apart here, and all else done elsewhere, which keeps the stack of the recursion small.
    pub(super) fn read(&self, bytes: &mut Bytes<'_>, out: &mut Out<'_>) -> Result<Datum> {
        match self {
            Self::Optional(null, of) => {
                let branch = bytes.long()?;
                let single = *null == u8::MAX;
                if !single && branch == i64::from(*null) {
                    return Ok(Datum::Null);
                }
                let expected = if single { 0 } else { 1 - i64::from(*null) };
                if branch != expected {
                    return Err(no_branch(branch, if single { 1 } else { 2 }));
                }
                of.read(bytes, out)
            }
            Self::Record(schema, fields) => record(schema, fields, bytes, out),
            Self::Again(again) => again.read(bytes, out),
            Self::Array(of) => array(of, bytes, out),
            Self::Map(of) => map(of, bytes, out),
            Self::Entries(of) => entries(of, bytes, out),
            Self::Union(schema, branches) => union(schema, branches, bytes, out),
            Self::Resolved(of) => of.read(bytes, out),
            Self::Boolean
            | Self::Int8
            | Self::Int16
            | Self::Int32
            | Self::Int64
            | Self::Float32
            | Self::Float64
            | Self::String
            | Self::Bytes
            | Self::Fixed(_)
            | Self::Enum(_)
            | Self::Decimal(_)
            | Self::FixedDecimal(..)
            | Self::Date(_)
            | Self::Time(_)
            | Self::Timestamp
            | Self::Anything => self.single(bytes, out),
        }
    }

    /// A value that has no others in it.
    #[cfg_attr(debug_assertions, inline(never))]
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn single(&self, bytes: &mut Bytes<'_>, out: &mut Out<'_>) -> Result<Datum> {
        Ok(match self {
            Self::Int32 => Datum::Int32(bytes.int()?),
            Self::Int64 => Datum::Int64(bytes.long()?),
            Self::String => text(bytes, out)?,
            Self::Boolean => Datum::Boolean(bytes.boolean()?),
            Self::Float32 => Datum::Float32(f32::from_le_bytes(bytes.array()?)),
            Self::Float64 => Datum::Float64(f64::from_le_bytes(bytes.array()?)),
            // Java narrows with casts as well.
            Self::Int8 => Datum::Int8(bytes.int()? as i8),
            Self::Int16 => Datum::Int16(bytes.int()? as i16),
            Self::Bytes => {
                let length = bytes.length()?;
                let (start, end) = bytes.take(length)?;
                Datum::Bytes(out.span.slice(start, end))
            }
            Self::Fixed(size) => {
                let (start, end) = bytes.take(*size)?;
                Datum::Bytes(out.span.slice(start, end))
            }
            Self::Timestamp => Datum::Date(bytes.long()?),
            Self::Date(schema) => Datum::Date(logical::date_from_days(schema, bytes.int()?)?),
            Self::Time(schema) => Datum::Date(logical::time_from_millis(schema, bytes.int()?)?),
            Self::Enum(_)
            | Self::Decimal(_)
            | Self::FixedDecimal(..)
            | Self::Anything
            | Self::Array(_)
            | Self::Map(_)
            | Self::Entries(_)
            | Self::Record(..)
            | Self::Again(_)
            | Self::Optional(..)
            | Self::Union(..)
            | Self::Resolved(_) => self.rare(bytes, out)?,
        })
    }

    /// A value of the most usual kinds, within a record. None where it is another one or is not right, which `read` then says from the start.
    #[inline(always)]
    fn scalar(&self, bytes: &mut Bytes<'_>, out: &Out<'_>) -> Option<Datum> {
        match self {
            Self::String => {
                let length = bytes.length().ok()?;
                let range = bytes.take(length).ok()?;
                let span = out.span.slice(range.0, range.1);
                // Which is UTF-8.
                is_short_ascii(bytes.slice(range)).then(|| Datum::Str(Utf8Span::checked_by_caller(out.batch, span)))
            }
            Self::Int64 => bytes.long().ok().map(Datum::Int64),
            Self::Int32 => bytes.int().ok().map(Datum::Int32),
            Self::Float64 => Some(Datum::Float64(f64::from_le_bytes(bytes.array().ok()?))),
            Self::Boolean => bytes.boolean().ok().map(Datum::Boolean),
            Self::Int8
            | Self::Int16
            | Self::Float32
            | Self::Bytes
            | Self::Fixed(_)
            | Self::Enum(_)
            | Self::Decimal(_)
            | Self::FixedDecimal(..)
            | Self::Date(_)
            | Self::Time(_)
            | Self::Timestamp
            | Self::Array(_)
            | Self::Map(_)
            | Self::Entries(_)
            | Self::Record(..)
            | Self::Again(_)
            | Self::Optional(..)
            | Self::Union(..)
            | Self::Anything
            | Self::Resolved(_) => None,
        }
    }

    /// The value of a record's field: as `read`, and quick for the most usual kinds.
    #[inline(always)]
    pub(super) fn field(&self, bytes: &mut Bytes<'_>, out: &mut Out<'_>) -> Result<Datum> {
        let began = bytes.at;
        let (of, is_there) = if let Self::Optional(0, of) = self {
            (&**of, matches!(bytes.long(), Ok(1)))
        } else {
            (self, true)
        };
        if is_there && let Some(value) = of.scalar(bytes, out) {
            return Ok(value);
        }
        bytes.at = began;
        if let Self::Again(again) = self {
            return again.read(bytes, out);
        }
        self.read(bytes, out)
    }

    #[inline(never)]
    fn rare(&self, bytes: &mut Bytes<'_>, out: &mut Out<'_>) -> Result<Datum> {
        match self {
            Self::Enum(symbols) => {
                let index = bytes.int()?;
                let symbol = usize::try_from(index).ok().and_then(|index| symbols.get(index));
                let symbol = symbol.ok_or_else(|| no_symbol(index, symbols.len()))?;
                Ok(out.batch.text(symbol))
            }
            Self::Decimal(scale) => {
                let length = bytes.length()?;
                let range = bytes.take(length)?;
                decimal(bytes.slice(range), *scale, out)
            }
            Self::FixedDecimal(scale, size) => {
                let range = bytes.take(*size)?;
                decimal(bytes.slice(range), *scale, out)
            }
            Self::Anything => anything::read(bytes, 1, out),
            // What `read` and `single` do.
            Self::Boolean
            | Self::Int8
            | Self::Int16
            | Self::Int32
            | Self::Int64
            | Self::Float32
            | Self::Float64
            | Self::String
            | Self::Bytes
            | Self::Fixed(_)
            | Self::Date(_)
            | Self::Time(_)
            | Self::Timestamp
            | Self::Array(_)
            | Self::Map(_)
            | Self::Entries(_)
            | Self::Record(..)
            | Self::Again(_)
            | Self::Union(..)
            | Self::Resolved(_)
            | Self::Optional(..) => self.read(bytes, out),
        }
    }

    /// The value of a whole message whose schema is `bytes`: Confluent writes no length there.
    pub(super) fn bare(&self, bytes: &mut Bytes<'_>, rest: usize, out: &mut Out<'_>) -> Result<Datum> {
        if let Self::Resolved(of) = self {
            return of.bare(bytes, rest, out);
        }
        let range = bytes.take(rest)?;
        if let Self::Decimal(scale) = self {
            decimal(bytes.slice(range), *scale, out)
        } else if let Self::String = self {
            Ok(text_of(range, bytes, out))
        } else {
            Ok(Datum::Bytes(out.span.slice(range.0, range.1)))
        }
    }
}

#[inline(always)]
pub(super) fn text(bytes: &mut Bytes<'_>, out: &mut Out<'_>) -> Result<Datum> {
    let length = bytes.length()?;
    let range = bytes.take(length)?;
    Ok(text_of(range, bytes, out))
}

#[inline(always)]
fn text_of(range: (usize, usize), bytes: &Bytes<'_>, out: &mut Out<'_>) -> Datum {
    let span = out.span.slice(range.0, range.1);
    match Utf8Span::new(out.batch, span) {
        Some(text) => Datum::Str(text),
        // Java puts a mark in the place of what is none.
        None => out.batch.text(&String::from_utf8_lossy(bytes.slice(range))),
    }
}

/// Whether that is a text of up to 64 characters of ASCII, found out without a call.
#[inline(always)]
fn is_short_ascii(bytes: &[u8]) -> bool {
    const HIGH: u128 = u128::from_ne_bytes([0x80; 16]);
    let number = |chunk: &[u8; 16]| u128::from_ne_bytes(*chunk);
    // From both ends, where the parts may overlap.
    let bits = match (bytes.first_chunk::<16>(), bytes.last_chunk::<16>()) {
        (Some(first), Some(last)) if bytes.len() <= 32 => number(first) | number(last),
        (Some(first), Some(last)) if bytes.len() <= 64 => {
            let second = bytes[16..].first_chunk::<16>().map_or(HIGH, number);
            let third = bytes[..bytes.len() - 16].last_chunk::<16>().map_or(HIGH, number);
            number(first) | second | third | number(last)
        }
        (None, _) => match (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
            (Some(first), Some(last)) => u128::from(u64::from_ne_bytes(*first) | u64::from_ne_bytes(*last)),
            (_, _) => bytes.iter().fold(0, |bits, byte| bits | u128::from(*byte)),
        },
        (_, _) => HIGH,
    };
    bits & HIGH == 0
}

#[inline]
pub(super) fn record(schema: &SchemaRef, fields: &[Read], bytes: &mut Bytes<'_>, out: &mut Out<'_>) -> Result<Datum> {
    let start = out.stack.len();
    for (index, field) in fields.iter().enumerate() {
        match field.field(bytes, out) {
            Ok(value) => out.stack.push(value),
            Err(error) => return Err(within(schema, index, &error)),
        }
    }
    Ok(finish_record(schema, start, out))
}

#[cold]
pub(super) fn within(schema: &SchemaRef, index: usize, error: &Error) -> Error {
    let name = schema.fields().ok().and_then(|fields| Some(&*fields.get(index)?.name));
    again::within(name.unwrap_or_default(), error)
}

#[inline]
pub(super) fn finish_record(schema: &SchemaRef, start: usize, out: &mut Out<'_>) -> Datum {
    let id = out.batch.schema(schema);
    let record = out.batch.record_checked_by_caller(id, &out.stack[start..]);
    out.stack.truncate(start);
    record
}

fn array(of: &Read, bytes: &mut Bytes<'_>, out: &mut Out<'_>) -> Result<Datum> {
    let start = out.stack.len();
    loop {
        let count = bytes.block()?;
        if count == 0 {
            break;
        }
        for _ in 0..count {
            let began = bytes.at;
            let value = of.read(bytes, out)?;
            out.stack.push(value);
            bytes.element(began)?;
        }
    }
    let array = out.batch.array(&out.stack[start..]);
    out.stack.truncate(start);
    Ok(array)
}

fn map(of: &Read, bytes: &mut Bytes<'_>, out: &mut Out<'_>) -> Result<Datum> {
    let start = out.stack.len();
    loop {
        let count = bytes.block()?;
        if count == 0 {
            break;
        }
        for _ in 0..count {
            let key = text(bytes, out)?;
            out.stack.push(key);
            let value = of.read(bytes, out)?;
            out.stack.push(value);
        }
    }
    Ok(finish_map(start, out))
}

fn entries(of: &(Read, Read), bytes: &mut Bytes<'_>, out: &mut Out<'_>) -> Result<Datum> {
    let (key, value) = of;
    let start = out.stack.len();
    loop {
        let count = bytes.block()?;
        if count == 0 {
            break;
        }
        for _ in 0..count {
            let began = bytes.at;
            let key = key.read(bytes, out)?;
            out.stack.push(key);
            let value = value.read(bytes, out)?;
            out.stack.push(value);
            bytes.element(began)?;
        }
    }
    Ok(finish_map(start, out))
}

fn union(
    schema: &SchemaRef,
    branches: &[Option<(usize, Read)>],
    bytes: &mut Bytes<'_>,
    out: &mut Out<'_>,
) -> Result<Datum> {
    let branch = bytes.long()?;
    let plan = usize::try_from(branch).ok().and_then(|branch| branches.get(branch));
    let Some(plan) = plan else {
        return Err(no_branch(branch, branches.len()));
    };
    let Some((index, of)) = plan else {
        return Ok(Datum::Null);
    };
    let value = of.read(bytes, out)?;
    let start = out.stack.len();
    let fields = schema.fields()?.len();
    out.stack.resize(start + fields, Datum::Null);
    out.stack[start + index] = value;
    Ok(finish_record(schema, start, out))
}

fn finish_map(start: usize, out: &mut Out<'_>) -> Datum {
    unique::unique(out.stack, start, out.batch);
    let map = out.batch.map_of_parts(&out.stack[start..]);
    out.stack.truncate(start);
    map
}

fn decimal(bytes: &[u8], scale: i64, out: &mut Out<'_>) -> Result<Datum> {
    if bytes.is_empty() {
        return Err(Error::data("Zero length BigInteger"));
    }
    // As the batch has it: the number, then its scale.
    let mut whole = [0; 32];
    if let Some((number, rest)) = whole.split_at_mut_checked(bytes.len())
        && let Some(place) = rest.first_chunk_mut::<8>()
    {
        number.copy_from_slice(bytes);
        *place = scale.to_be_bytes();
        return Ok(Datum::Decimal(out.batch.copy(&whole[..bytes.len() + 8])));
    }
    Ok(out
        .batch
        .decimal(&BigDecimal::new(BigInt::from_signed_bytes_be(bytes), scale)))
}

#[cold]
pub(super) fn no_branch(branch: i64, branches: usize) -> Error {
    Error::data(format!("Malformed data. A union of {branches} has no branch {branch}"))
}

#[cold]
pub(super) fn no_symbol(index: i32, symbols: usize) -> Error {
    Error::data(format!("Malformed data. An enum of {symbols} has no symbol {index}"))
}

#[cfg(test)]
mod tests {
    use super::is_short_ascii;

    #[test]
    fn ascii_is_found_out_wherever_it_ends() {
        for length in 0..70 {
            let mut text = vec![b'a'; length];
            assert_eq!(is_short_ascii(&text), length <= 64);
            for at in 0..length {
                text[at] = 0x80;
                assert!(!is_short_ascii(&text), "{length} {at}");
                text[at] = b'a';
            }
        }
    }
}
