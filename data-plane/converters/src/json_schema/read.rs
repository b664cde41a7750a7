//! From JSON to values: a plan that is made once for a schema, and read along for each record. Texts stay where they are.
//!
//! What comes as the schema lets expect is read straight into the batch: the members of structs in any order, with blanks or without. All
//! else is parsed first, value by value, and left to [`super::nodes`].

use std::sync::Arc;

use dray_connect::backing::{Backing, Span};
use dray_connect::datum::Datum;
use dray_connect::logical::{self, Logical};
use dray_connect::schema::{Schema, SchemaRef, Type};
use dray_connect::{Error, Result};

use super::settings::{SUM_UNION, UNION};
use crate::again::{Again, Cells, MAX_LEVELS, within};
use crate::json::node::{Cell, Number, Tape};
use crate::json::out::Out;
use crate::json::parser::{self, Scratch};
use crate::json::scan::{Scanner, Text, after_blanks, plain_end, short_number};
use crate::size;

/// What is expected of messages.
#[derive(Debug)]
pub(super) struct Plan {
    root: Expected,
    /// What is referred to.
    _cells: Cells<(), Levelled>,
}

/// What is expected of a struct within itself, and how many levels of a value it is until it may come again.
pub(super) type Levelled = (usize, Expected);

/// What is expected of a value.
#[derive(Debug)]
pub(super) struct Expected {
    /// No reference.
    pub(super) schema: SchemaRef,
    pub(super) kind: Kind,
    null: Null,
}

#[derive(Debug)]
pub(super) enum Kind {
    Boolean,
    Int8,
    Int16,
    Int32,
    Int64,
    Float32,
    Float64,
    Text,
    Bytes,
    Decimal,
    Date,
    Time,
    Timestamp,
    Array(Box<Expected>),
    /// An object; of its values.
    Map(Box<Expected>),
    /// An array of objects with `key` and `value`.
    Entries(Box<(Expected, Expected)>),
    Struct(Box<[Member]>),
    /// What any of its fields takes.
    Union(Box<[Expected]>),
    /// A struct within itself.
    Again(Box<Again<Levelled>>),
}

/// What becomes of null.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Null {
    Default,
    Itself,
    /// Where it is missing it is null all the same, as in Java.
    Refused,
}

/// A field of a struct.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: Arc<str>,
    /// In quotes and with the colon; none where JSON needs escapes for it, so that it has to be read first.
    quoted: Option<Box<[u8]>>,
    pub(super) of: Expected,
}

/// What reading needs from call to call, so that it does not allocate.
#[derive(Debug, Default)]
pub(super) struct Reading {
    stack: Vec<Datum>,
    seen: Vec<bool>,
    tape: Tape,
    cells: Scratch<Cell>,
}

struct Reader<'b> {
    out: Out<'b>,
    /// Of the structs that are being read, which fields have come.
    seen: &'b mut Vec<bool>,
    tape: &'b mut Tape,
    cells: &'b mut Scratch<Cell>,
}

impl Plan {
    pub(super) fn of(schema: &SchemaRef) -> Result<Self> {
        size::check(schema)?;
        let mut cells = Cells::default();
        let root = Expected::of(schema, &mut cells)?;
        let mut next = 0;
        while let Some(((), connect)) = cells.wanted(next) {
            // While the schemas of what contains itself are being made there are none of it yet, and no value can be read.
            if !connect.is_reference() {
                size::check(&connect)?;
                let plan = Expected::of(&connect, &mut cells)?;
                cells.planned(next, (plan.kind.levels(), plan));
            }
            next += 1;
        }
        Ok(Self { root, _cells: cells })
    }

    /// Of all values.
    pub(super) fn schema(&self) -> &SchemaRef {
        &self.root.schema
    }

    /// The value of a text, and the place behind it; what follows there is not looked at. `span` is where the text lies in the batch.
    pub(super) fn read(
        &self,
        input: &[u8],
        span: Option<Span>,
        batch: &mut Backing,
        reading: &mut Reading,
    ) -> Result<(Datum, usize)> {
        let Reading {
            stack,
            seen,
            tape,
            cells,
        } = reading;
        stack.clear();
        seen.clear();
        let out = Out {
            batch,
            span,
            stack,
            levels: MAX_LEVELS,
        };
        let mut reader = Reader { out, seen, tape, cells };
        self.root.value(input, after_blanks(input, 0), &mut reader)
    }
}

impl Expected {
    fn of(schema: &SchemaRef, cells: &mut Cells<(), Levelled>) -> Result<Self> {
        let null = match (schema.default(), schema.optional()) {
            (Some(_), _) => Null::Default,
            (None, true) => Null::Itself,
            (None, false) => Null::Refused,
        };
        let kind = match (Logical::of(schema), schema.type_()) {
            (Some(Logical::Decimal), _) => Kind::Decimal,
            (Some(Logical::Date), _) => Kind::Date,
            (Some(Logical::Time), _) => Kind::Time,
            (Some(Logical::Timestamp), _) => Kind::Timestamp,
            (None, Type::Boolean) => Kind::Boolean,
            (None, Type::Int8) => Kind::Int8,
            (None, Type::Int16) => Kind::Int16,
            (None, Type::Int32) => Kind::Int32,
            (None, Type::Int64) => Kind::Int64,
            (None, Type::Float32) => Kind::Float32,
            (None, Type::Float64) => Kind::Float64,
            (None, Type::String) => Kind::Text,
            (None, Type::Bytes) => Kind::Bytes,
            (None, Type::Array) => Kind::Array(Box::new(Self::of(schema.value_schema()?, cells)?)),
            (None, Type::Map) => {
                let (key, value) = (schema.key_schema()?, Self::of(schema.value_schema()?, cells)?);
                if is_name(key) {
                    Kind::Map(Box::new(value))
                } else {
                    Kind::Entries(Box::new((Self::of(key, cells)?, value)))
                }
            }
            (None, Type::Struct) if schema.is_reference() => Kind::Again(Box::new(cells.again((), schema))),
            (None, Type::Struct) if is_union(schema) => {
                let branches = schema.fields()?.iter().map(|field| Self::of(&field.schema, cells));
                Kind::Union(branches.collect::<Result<_>>()?)
            }
            (None, Type::Struct) => {
                let members = schema.fields()?.iter().map(|field| {
                    let is_plain = field.name.bytes().all(|byte| !matches!(byte, b'"' | b'\\' | 0..=0x1f));
                    Ok(Member {
                        name: Arc::clone(&field.name),
                        quoted: is_plain.then(|| format!("\"{}\":", field.name).into_bytes().into()),
                        of: Self::of(&field.schema, cells)?,
                    })
                });
                Kind::Struct(members.collect::<Result<_>>()?)
            }
        };
        Ok(Self {
            schema: Schema::resolved(schema),
            kind,
            null,
        })
    }

    #[inline]
    fn value(&self, input: &[u8], at: usize, reader: &mut Reader<'_>) -> Result<(Datum, usize)> {
        let first = input.get(at).copied().unwrap_or_default();
        match (&self.kind, first) {
            (Kind::Text, b'"') => {
                if let Some(end) = plain_end(input, at + 1) {
                    return Ok((reader.out.text(Text::Plain(at + 1..end), input), end + 1));
                }
            }
            (kind, b'-' | b'0'..=b'9') => {
                if let Some((number, end)) = short_number(input, at)
                    && let Some(datum) = kind.number(number)
                {
                    return Ok((datum, end));
                }
            }
            (Kind::Struct(members), b'{') => return self.record(members, input, at, reader),
            (Kind::Array(of), b'[') => return array(of, input, at, reader),
            (Kind::Again(of), b'{') => return self.again(of, input, at, reader),
            (Kind::Boolean, b't') if input[at..].starts_with(b"true") => return Ok((Datum::Boolean(true), at + 4)),
            (Kind::Boolean, b'f') if input[at..].starts_with(b"false") => return Ok((Datum::Boolean(false), at + 5)),
            (_, b'n') if self.null == Null::Itself && input[at..].starts_with(b"null") => {
                return Ok((Datum::Null, at + 4));
            }
            (_, _) => {}
        }
        self.rare(input, at, reader)
    }

    /// A struct within itself.
    #[inline(never)]
    fn again(&self, of: &Again<Levelled>, input: &[u8], at: usize, reader: &mut Reader<'_>) -> Result<(Datum, usize)> {
        let cell = of.plan()?;
        let (levels, of_struct) = cell.get();
        let Kind::Struct(members) = &of_struct.kind else {
            return self.rare(input, at, reader);
        };
        reader.out.levels = of.deeper(reader.out.levels, *levels)?;
        let found = self.record(members, input, at, reader)?;
        reader.out.levels += levels;
        Ok(found)
    }

    /// Whatever stands there, parsed first.
    #[inline(never)]
    fn rare(&self, input: &[u8], at: usize, reader: &mut Reader<'_>) -> Result<(Datum, usize)> {
        if at >= input.len() {
            return Err(Error::data("malformed JSON: it ends where a value should be"));
        }
        reader.tape.clear();
        let (cell, end) = parser::parse_part(input, at, reader.tape, reader.cells).map_err(malformed)?;
        let node = reader.tape.node(input, Some(cell));
        Ok((self.node(node, &mut reader.out)?, end))
    }

    fn record(&self, members: &[Member], input: &[u8], at: usize, reader: &mut Reader<'_>) -> Result<(Datum, usize)> {
        let start = reader.out.stack.len();
        let mut at = after_blanks(input, at + 1);
        if input.get(at) == Some(&b'}') {
            return self.any_order(members, 0, true, input, at, reader);
        }
        // As long as they come in the order of the fields.
        for (place, member) in members.iter().enumerate() {
            let Some(value) = member.starts(input, at) else {
                return self.any_order(members, place, false, input, at, reader);
            };
            let (value, end) = member.value(input, value, reader)?;
            reader.out.stack.push(value);
            at = after_blanks(input, end);
            match input.get(at) {
                Some(b',') => at = after_blanks(input, at + 1),
                Some(b'}') if place + 1 == members.len() => {
                    return Ok((self.finish(start, reader), at + 1));
                }
                Some(b'}') => return self.any_order(members, place + 1, true, input, at, reader),
                _ => return Err(malformed(Scanner::new(input, at).unexpected("',' or '}'"))),
            }
        }
        self.any_order(members, members.len(), false, input, at, reader)
    }

    /// The rest of an object of which so many members have come in their order. It stands at the next name, or at its end.
    #[inline(never)]
    fn any_order(
        &self,
        members: &[Member],
        read: usize,
        mut is_whole: bool,
        input: &[u8],
        mut at: usize,
        reader: &mut Reader<'_>,
    ) -> Result<(Datum, usize)> {
        let start = reader.out.stack.len() - read;
        let seen = reader.seen.len();
        reader.out.stack.resize(start + members.len(), Datum::Null);
        reader.seen.resize(seen + members.len(), false);
        reader.seen[seen..seen + read].fill(true);
        while !is_whole {
            let (place, value) = self.name(members, input, at)?;
            let end = match place.and_then(|place| Some((place, members.get(place)?))) {
                Some((place, member)) => {
                    let (value, end) = member.value(input, value, reader)?;
                    reader.out.stack[start + place] = value;
                    reader.seen[seen + place] = true;
                    end
                }
                None => skip(input, value, reader)?,
            };
            at = after_blanks(input, end);
            match input.get(at) {
                Some(b',') => at = after_blanks(input, at + 1),
                Some(b'}') => is_whole = true,
                _ => return Err(malformed(Scanner::new(input, at).unexpected("',' or '}'"))),
            }
        }
        for (place, member) in members.iter().enumerate() {
            if !reader.seen[seen + place] && member.of.null == Null::Default {
                reader.out.stack[start + place] = member.of.absent(&mut reader.out);
            }
        }
        reader.seen.truncate(seen);
        Ok((self.finish(start, reader), at + 1))
    }

    /// The field that is named there, if there is such a field, and where its value starts.
    fn name(&self, members: &[Member], input: &[u8], at: usize) -> Result<(Option<usize>, usize)> {
        let mut scanner = Scanner::new(input, at);
        let place = {
            let name = scanner.name().map_err(malformed)?;
            let name = std::str::from_utf8(name.bytes(input)).unwrap_or_default();
            self.schema.field(name).map(|field| field.index)
        };
        scanner.colon().map_err(malformed)?;
        Ok((place.filter(|place| *place < members.len()), scanner.at))
    }

    fn finish(&self, start: usize, reader: &mut Reader<'_>) -> Datum {
        let id = reader.out.batch.schema(&self.schema);
        let record = reader.out.batch.record_not_validated(id, &reader.out.stack[start..]);
        reader.out.stack.truncate(start);
        record
    }

    /// The value of null.
    pub(super) fn null(&self, out: &mut Out<'_>) -> Result<Datum> {
        match self.null {
            Null::Default => Ok(self.absent(out)),
            Null::Itself => Ok(Datum::Null),
            Null::Refused => Err(Error::data(format!(
                "Invalid null value for required {} field",
                self.schema.type_()
            ))),
        }
    }

    /// The value of what is not there.
    pub(super) fn absent(&self, out: &mut Out<'_>) -> Datum {
        self.schema
            .default()
            .map_or(Datum::Null, |value| out.batch.value(value))
    }

    /// Refuses the null of a node of the wrong kind, where there may be none.
    pub(super) fn check_part(&self, value: Datum, what: &str) -> Result<()> {
        if matches!(value, Datum::Null) && !self.schema.optional() {
            return Err(Error::data(format!(
                "Invalid value: null used for required {what}, schema type: {}",
                self.schema.type_()
            )));
        }
        Ok(())
    }
}

impl Member {
    /// Where its value starts, if its name stands there.
    #[inline(always)]
    fn starts(&self, input: &[u8], at: usize) -> Option<usize> {
        let name = self.quoted.as_deref()?;
        input
            .get(at..)?
            .starts_with(name)
            .then(|| after_blanks(input, at + name.len()))
    }

    #[inline(always)]
    fn value(&self, input: &[u8], at: usize, reader: &mut Reader<'_>) -> Result<(Datum, usize)> {
        match self.of.value(input, at, reader) {
            Ok(found) => Ok(found),
            Err(error) => Err(within(&self.name, &error)),
        }
    }
}

impl Kind {
    #[inline(always)]
    fn number(&self, number: Number<'_>) -> Option<Datum> {
        Some(match self {
            // Java narrows with casts as well.
            Self::Int8 => Datum::Int8(number.long() as i8),
            Self::Int16 => Datum::Int16(number.long() as i16),
            Self::Int32 => Datum::Int32(number.long() as i32),
            Self::Int64 => Datum::Int64(number.long()),
            Self::Float32 => Datum::Float32(number.float()),
            Self::Float64 => Datum::Float64(number.double()),
            Self::Timestamp if number.integral => Datum::Date(number.low),
            Self::Date if number.is_int() => Datum::Date(number.low * logical::MILLIS_PER_DAY),
            Self::Time if number.is_int() && (0..=logical::MILLIS_PER_DAY).contains(&number.low) => {
                Datum::Date(number.low)
            }
            Self::Boolean
            | Self::Text
            | Self::Bytes
            | Self::Decimal
            | Self::Date
            | Self::Time
            | Self::Timestamp
            | Self::Array(_)
            | Self::Map(_)
            | Self::Entries(_)
            | Self::Struct(_)
            | Self::Union(_)
            | Self::Again(_) => return None,
        })
    }

    /// How deep what is read may nest before a struct comes again.
    fn levels(&self) -> usize {
        match self {
            Self::Array(of) | Self::Map(of) => 1 + of.kind.levels(),
            Self::Entries(of) => 1 + of.0.kind.levels().max(of.1.kind.levels()),
            Self::Struct(members) => 1 + members.iter().map(|member| member.of.kind.levels()).max().unwrap_or(0),
            Self::Union(branches) => 1 + branches.iter().map(|branch| branch.kind.levels()).max().unwrap_or(0),
            Self::Boolean
            | Self::Int8
            | Self::Int16
            | Self::Int32
            | Self::Int64
            | Self::Float32
            | Self::Float64
            | Self::Text
            | Self::Bytes
            | Self::Decimal
            | Self::Date
            | Self::Time
            | Self::Timestamp
            | Self::Again(_) => 0,
        }
    }
}

fn array(of: &Expected, input: &[u8], at: usize, reader: &mut Reader<'_>) -> Result<(Datum, usize)> {
    let start = reader.out.stack.len();
    let mut at = after_blanks(input, at + 1);
    let mut is_whole = input.get(at) == Some(&b']');
    while !is_whole {
        let (value, end) = of.value(input, at, reader)?;
        of.check_part(value, "element of array")?;
        reader.out.stack.push(value);
        at = after_blanks(input, end);
        match input.get(at) {
            Some(b',') => at = after_blanks(input, at + 1),
            Some(b']') => is_whole = true,
            _ => return Err(malformed(Scanner::new(input, at).unexpected("',' or ']'"))),
        }
    }
    let array = reader.out.batch.array(&reader.out.stack[start..]);
    reader.out.stack.truncate(start);
    Ok((array, at + 1))
}

/// The place behind a value that nobody wants.
fn skip(input: &[u8], at: usize, reader: &mut Reader<'_>) -> Result<usize> {
    if input.get(at) == Some(&b'"')
        && let Some(end) = plain_end(input, at + 1)
    {
        return Ok(end + 1);
    }
    reader.tape.clear();
    let (_, end) = parser::parse_part(input, at, reader.tape, reader.cells).map_err(malformed)?;
    Ok(end)
}

/// Whether the keys of a map are names in JSON.
pub(super) fn is_name(key: &Schema) -> bool {
    key.type_() == Type::String && !key.optional()
}

/// Whether a struct stands for a union: a field for each branch, of which one has a value.
pub(super) fn is_union(schema: &Schema) -> bool {
    let sum_type = || schema.parameters().is_some_and(|all| all.contains_key(SUM_UNION));
    schema.type_() == Type::Struct && (schema.name() == Some(UNION) || sum_type())
}

#[cold]
fn malformed(cause: impl std::fmt::Display) -> Error {
    Error::data(format!("malformed JSON: {cause}"))
}
