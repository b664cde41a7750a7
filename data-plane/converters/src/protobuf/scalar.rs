//! Single values: how each of Protobuf's scalar types is read.

use std::sync::Arc;

use dray_connect::datum::{Datum, Utf8Span};
use dray_connect::{Error, Result};

use super::read::{Out, Symbols};
use super::wire::{Bytes, EIGHT, FOUR, LENGTH, VARINT, unzigzag};

/// How a single value is read.
#[derive(Clone, Debug)]
pub(super) enum Scalar {
    Boolean,
    Int32,
    SInt32,
    SFixed32,
    /// These have no sign, and become INT64.
    UInt32,
    Fixed32,
    /// With and without a sign: Java has the same bits for both, as for the eight bytes.
    Int64,
    SInt64,
    Fixed64,
    Float,
    Double,
    /// Whether what is not UTF-8 is an error, as in proto3.
    Text(bool),
    Bytes,
    Symbol(Arc<Symbols>),
    /// The number of an enum; its symbols where others are no values.
    Number(Option<Arc<Symbols>>),
    /// One of 32 bits as INT8, as `connect.type` says.
    Int8(Box<Scalar>),
    Int16(Box<Scalar>),
}

impl Scalar {
    pub(super) fn wire_type(&self) -> u32 {
        match self {
            Self::Boolean
            | Self::Int32
            | Self::SInt32
            | Self::UInt32
            | Self::Int64
            | Self::SInt64
            | Self::Symbol(_)
            | Self::Number(_) => VARINT,
            Self::SFixed32 | Self::Fixed32 | Self::Float => FOUR,
            Self::Fixed64 | Self::Double => EIGHT,
            Self::Text(_) | Self::Bytes => LENGTH,
            Self::Int8(of) | Self::Int16(of) => of.wire_type(),
        }
    }

    /// The key of a field of that number.
    pub(super) fn key(&self, number: u32) -> u32 {
        number << 3 | self.wire_type()
    }

    /// The value that comes next; none where that is a number that a closed enum has no symbol for.
    #[inline(always)]
    pub(super) fn read(&self, bytes: &mut Bytes<'_>, out: &mut Out<'_>) -> Result<Option<Datum>> {
        Ok(Some(match self {
            // Longer numbers lose what is too much, as everywhere.
            Self::Int32 => Datum::Int32(bytes.varint()? as i32),
            Self::Int64 => Datum::Int64(bytes.varint()? as i64),
            Self::Text(is_strict) => {
                let range = bytes.block()?;
                text(range, *is_strict, bytes, out)?
            }
            Self::Boolean => Datum::Boolean(bytes.varint()? != 0),
            Self::Double => Datum::Float64(f64::from_le_bytes(bytes.array()?)),
            Self::Float => Datum::Float32(f32::from_le_bytes(bytes.array()?)),
            Self::Bytes => {
                let (start, end) = bytes.block()?;
                Datum::Bytes(out.span.slice(start, end))
            }
            Self::SInt32
            | Self::SFixed32
            | Self::UInt32
            | Self::Fixed32
            | Self::SInt64
            | Self::Fixed64
            | Self::Symbol(_)
            | Self::Number(_)
            | Self::Int8(_)
            | Self::Int16(_) => return self.rare(bytes, out),
        }))
    }

    #[inline(never)]
    fn rare(&self, bytes: &mut Bytes<'_>, out: &mut Out<'_>) -> Result<Option<Datum>> {
        Ok(Some(match self {
            Self::SInt32 => Datum::Int32(unzigzag(u64::from(bytes.varint()? as u32)) as i32),
            Self::SFixed32 => Datum::Int32(i32::from_le_bytes(bytes.array()?)),
            Self::UInt32 => Datum::Int64(i64::from(bytes.varint()? as u32)),
            Self::Fixed32 => Datum::Int64(i64::from(u32::from_le_bytes(bytes.array()?))),
            Self::SInt64 => Datum::Int64(unzigzag(bytes.varint()?)),
            Self::Fixed64 => Datum::Int64(i64::from_le_bytes(bytes.array()?)),
            Self::Symbol(symbols) => {
                let number = bytes.varint()? as i32;
                match symbols.names.get(&number) {
                    Some(name) => out.batch.text(name),
                    None if symbols.is_closed => return Ok(None),
                    // What Java calls it.
                    None => out.batch.text(&format!("UNKNOWN_ENUM_VALUE_{}_{number}", symbols.name)),
                }
            }
            Self::Number(symbols) => {
                let number = bytes.varint()? as i32;
                if symbols.as_ref().is_some_and(|of| !of.names.contains_key(&number)) {
                    return Ok(None);
                }
                Datum::Int32(number)
            }
            // Java narrows with casts as well.
            Self::Int8(of) => Datum::Int8(of.int(bytes, out)? as i8),
            Self::Int16(of) => Datum::Int16(of.int(bytes, out)? as i16),
            Self::Boolean | Self::Int32 | Self::Int64 | Self::Float | Self::Double | Self::Text(_) | Self::Bytes => {
                return self.read(bytes, out);
            }
        }))
    }

    fn int(&self, bytes: &mut Bytes<'_>, out: &mut Out<'_>) -> Result<i32> {
        if let Some(Datum::Int32(value)) = self.read(bytes, out)? {
            Ok(value)
        } else {
            Err(Error::data("no number of 32 bits"))
        }
    }

    /// The value that all of the bytes are, where one does not say itself how long it is.
    pub(super) fn read_bare(&self, bytes: &mut Bytes<'_>, out: &mut Out<'_>) -> Result<Option<Datum>> {
        let range = (bytes.at, bytes.end);
        let value = match self {
            Self::Text(is_strict) => text(range, *is_strict, bytes, out)?,
            Self::Bytes => Datum::Bytes(out.span.slice(range.0, range.1)),
            Self::Boolean
            | Self::Int32
            | Self::SInt32
            | Self::SFixed32
            | Self::UInt32
            | Self::Fixed32
            | Self::Int64
            | Self::SInt64
            | Self::Fixed64
            | Self::Float
            | Self::Double
            | Self::Symbol(_)
            | Self::Number(_)
            | Self::Int8(_)
            | Self::Int16(_) => return Ok(None),
        };
        bytes.at = bytes.end;
        Ok(Some(value))
    }

    /// Its zero.
    pub(super) fn nothing(&self, out: &mut Out<'_>) -> Datum {
        match self {
            Self::Boolean => Datum::Boolean(false),
            Self::Int32 | Self::SInt32 | Self::SFixed32 | Self::Number(_) => Datum::Int32(0),
            Self::UInt32 | Self::Fixed32 | Self::Int64 | Self::SInt64 | Self::Fixed64 => Datum::Int64(0),
            Self::Float => Datum::Float32(0.0),
            Self::Double => Datum::Float64(0.0),
            Self::Text(_) => out.batch.text(""),
            Self::Symbol(symbols) => out.batch.text(symbols.names.get(&0).map_or("", |name| name)),
            Self::Bytes => Datum::Bytes(out.span.slice(0, 0)),
            Self::Int8(_) => Datum::Int8(0),
            Self::Int16(_) => Datum::Int16(0),
        }
    }
}

#[inline(always)]
fn text(range: (usize, usize), is_strict: bool, bytes: &Bytes<'_>, out: &mut Out<'_>) -> Result<Datum> {
    let span = out.span.slice(range.0, range.1);
    match Utf8Span::new(out.batch, span) {
        Some(text) => Ok(Datum::Str(text)),
        None if is_strict => Err(Error::data("malformed data: a text is not UTF-8")),
        // Java puts a mark in the place of what is none.
        None => Ok(out.batch.text(&String::from_utf8_lossy(bytes.slice(range)))),
    }
}
