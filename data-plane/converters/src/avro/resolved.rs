//! From Avro's bytes to values of another schema than they were written with: what [`Read`] has no plan for. Plans are made in `resolve`.

use std::sync::Arc;

use dray_connect::datum::Datum;
use dray_connect::schema::SchemaRef;
use dray_connect::value::Value;
use dray_connect::{Error, Result};

use super::read::{Out, Read, finish_record, no_branch, no_symbol, within};
use super::schema::{Schema, TypeId};
use super::skip::skip;
use super::wire::Bytes;

/// How a type of the writer's schema is read as another one of the reader's.
#[derive(Debug)]
pub(super) enum Resolved {
    /// Of no bytes.
    Null,
    /// Ints and longs, which have the same bytes.
    LongAsFloat,
    LongAsDouble,
    FloatAsDouble,
    /// What the symbols of the writer's are in the reader's, if they are any.
    Enum(Box<[Symbol]>),
    Record(Record),
    /// As a branch of a union that is a struct: its place there.
    Branch(SchemaRef, usize, Box<Read>),
    /// The branches of the writer's.
    Union(Box<[Read]>),
    /// Cannot be read, and why. Only values that come to it fail, as in Java: another branch, or an array without elements, is read.
    Not(Box<str>),
}

/// A symbol of an enum.
#[derive(Debug)]
pub(super) enum Symbol {
    Is(Arc<str>),
    /// Not in the reader's enum, which has no default.
    Unknown(Arc<str>),
}

/// A record of the writer's as one of the reader's.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) schema: SchemaRef,
    /// The fields of the writer's, in their order.
    pub(super) steps: Box<[Step]>,
    /// The reader's fields that are none of the writer's, by their place.
    pub(super) filled: Box<[(usize, Fill)]>,
    pub(super) writer: Arc<Schema>,
}

#[derive(Debug)]
pub(super) enum Step {
    /// With the field's place in the reader's record.
    Read(usize, Read),
    /// No field of the reader's: its name and type.
    Skip(Arc<str>, TypeId),
}

/// The default of a field.
#[derive(Debug)]
pub(super) enum Fill {
    /// Of no parts, the same in each batch.
    Datum(Datum),
    Text(Arc<str>),
    Value(Value),
}

impl Resolved {
    /// How deep its values nest, where `levels` says that of a plan.
    pub(super) fn levels(&self, mut levels: impl FnMut(&Read) -> usize) -> usize {
        match self {
            Self::Record(record) => {
                let read = record.steps.iter().map(|step| match step {
                    Step::Read(_, of) => levels(of),
                    // `skip` counts for itself.
                    Step::Skip(..) => 0,
                });
                1 + read.max().unwrap_or(0)
            }
            Self::Branch(_, _, of) => 1 + levels(of),
            Self::Union(branches) => 1 + branches.iter().map(levels).max().unwrap_or(0),
            Self::Null
            | Self::LongAsFloat
            | Self::LongAsDouble
            | Self::FloatAsDouble
            | Self::Enum(_)
            | Self::Not(_) => 0,
        }
    }

    /// The value that comes next.
    pub(super) fn read(&self, bytes: &mut Bytes<'_>, out: &mut Out<'_>) -> Result<Datum> {
        Ok(match self {
            Self::Record(record) => record.read(bytes, out)?,
            Self::Null => Datum::Null,
            Self::LongAsFloat => Datum::Float32(bytes.long()? as f32),
            Self::LongAsDouble => Datum::Float64(bytes.long()? as f64),
            Self::FloatAsDouble => Datum::Float64(f32::from_le_bytes(bytes.array()?).into()),
            Self::Enum(symbols) => {
                let index = bytes.int()?;
                let symbol = usize::try_from(index).ok().and_then(|index| symbols.get(index));
                match symbol.ok_or_else(|| no_symbol(index, symbols.len()))? {
                    Symbol::Is(symbol) => out.batch.constant(symbol),
                    Symbol::Unknown(symbol) => return Err(unknown(symbol)),
                }
            }
            Self::Branch(schema, place, of) => {
                let value = of.read(bytes, out)?;
                branch(schema, *place, value, out)?
            }
            Self::Union(branches) => {
                let branch = bytes.long()?;
                let of = usize::try_from(branch).ok().and_then(|branch| branches.get(branch));
                let of = of.ok_or_else(|| no_branch(branch, branches.len()))?;
                of.read(bytes, out)?
            }
            Self::Not(why) => return Err(Error::data(&**why)),
        })
    }

    /// The value of a whole message whose schema is `bytes`, which has no length.
    pub(super) fn bare(&self, bytes: &mut Bytes<'_>, rest: usize, out: &mut Out<'_>) -> Result<Datum> {
        if let Self::Branch(schema, place, of) = self {
            let value = of.bare(bytes, rest, out)?;
            branch(schema, *place, value, out)
        } else {
            // Of all others bytes become none.
            self.read(bytes, out)
        }
    }
}

impl Record {
    #[inline]
    fn read(&self, bytes: &mut Bytes<'_>, out: &mut Out<'_>) -> Result<Datum> {
        let start = out.stack.len();
        let fields = self.schema.fields()?.len();
        out.stack.resize(start + fields, Datum::Null);
        for (place, fill) in &self.filled {
            out.stack[start + place] = match fill {
                Fill::Datum(datum) => *datum,
                Fill::Text(text) => out.batch.constant(text),
                Fill::Value(value) => out.batch.value(value),
            };
        }
        for step in &self.steps {
            match step {
                Step::Read(place, of) => match of.field(bytes, out) {
                    Ok(value) => out.stack[start + place] = value,
                    Err(error) => return Err(within(&self.schema, *place, &error)),
                },
                Step::Skip(name, of) => {
                    let skipped = skip(&self.writer, *of, bytes, 1);
                    skipped.map_err(|error| Error::data(format!("{name}: {error}")))?;
                }
            }
        }
        Ok(finish_record(&self.schema, start, out))
    }
}

/// The struct that stands for a union, of which one branch has a value.
fn branch(schema: &SchemaRef, place: usize, value: Datum, out: &mut Out<'_>) -> Result<Datum> {
    let start = out.stack.len();
    out.stack.resize(start + schema.fields()?.len(), Datum::Null);
    out.stack[start + place] = value;
    Ok(finish_record(schema, start, out))
}

#[cold]
fn unknown(symbol: &str) -> Error {
    Error::data(format!(
        "the symbol {symbol} is not in the enum of the reader's schema, which has no default"
    ))
}
