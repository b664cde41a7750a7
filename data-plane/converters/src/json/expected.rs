//! Reads a payload the way its schema lets expect it, straight into the batch: members in the order of the fields, each
//! once, and values of the right kind. What to expect is worked out once for each schema.
//!
//! Where anything else comes this gives up and says nothing about why: the text is then parsed as a whole, and that
//! decides. So this may refuse what it likes, but what it accepts it reads as [`super::read`] does.

use std::sync::Arc;

use dray_connect::datum::Datum;
use dray_connect::logical::{self, Logical};
use dray_connect::schema::{SchemaRef, Type};

use super::node::Number;
use super::out::Out;
use super::scan::{Scanner, Text, plain_end, short_number};

/// What to expect of a struct.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    schema: SchemaRef,
    members: Arc<[Member]>,
}

#[derive(Debug)]
struct Member {
    /// A comma, the field's name in quotes, and a colon.
    name: Box<[u8]>,
    /// Whether null is just that: a default may stand for it, and a required value may not be null.
    takes_null: bool,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Boolean,
    Int8,
    Int16,
    Int32,
    Int64,
    Float32,
    Float64,
    Text,
    Date,
    Time,
    Timestamp,
    Struct(Plan),
    /// Left to the parser.
    Other,
}

impl Plan {
    /// What to expect of payloads of this schema; none when it is not a struct, or a field's name needs escapes in JSON, so
    /// that it cannot be compared without being parsed.
    pub(super) fn of(schema: &SchemaRef) -> Option<Self> {
        let is_plain = |byte: &u8| !matches!(byte, b'"' | b'\\' | 0..=0x1f);
        let fields = schema.fields().ok()?;
        if !fields.iter().all(|field| field.name.as_bytes().iter().all(is_plain)) {
            return None;
        }
        let members = fields.iter().map(|field| Member {
            name: format!(",\"{}\":", field.name).into_bytes().into(),
            takes_null: field.schema.optional() && field.schema.default().is_none(),
            kind: Kind::of(&field.schema),
        });
        Some(Self {
            schema: Arc::clone(schema),
            members: members.collect(),
        })
    }

    /// The struct that starts there and the place behind it; none where it is not as expected.
    pub(super) fn read(&self, input: &[u8], mut at: usize, out: &mut Out<'_>) -> Option<(Datum, usize)> {
        let start = out.stack.len();
        if input.get(at) != Some(&b'{') {
            return None;
        }
        at += 1;
        for (place, member) in self.members.iter().enumerate() {
            // The first has no comma.
            let name = member.name.get(usize::from(place == 0)..)?;
            if !input.get(at..)?.starts_with(name) {
                return None;
            }
            let (value, end) = member.read(input, at + name.len(), out)?;
            at = end;
            out.stack.push(value);
        }
        if input.get(at) != Some(&b'}') {
            return None;
        }
        let id = out.batch.schema(&self.schema);
        let fields = out.stack.get(start..).unwrap_or_default();
        let record = out.batch.record_checked_by_caller(id, fields);
        out.stack.truncate(start);
        Some((record, at + 1))
    }
}

impl Member {
    #[inline(always)]
    fn read(&self, input: &[u8], at: usize, out: &mut Out<'_>) -> Option<(Datum, usize)> {
        let first = *input.get(at)?;
        match (&self.kind, first) {
            (_, b'n') if self.takes_null => literal("null", input, at).map(|end| (Datum::Null, end)),
            (Kind::Text, b'"') => match plain_end(input, at + 1) {
                Some(end) => Some((out.text(Text::Plain(at + 1..end), input), end + 1)),
                None => rare_text(input, at, out),
            },
            (Kind::Boolean, b't') => literal("true", input, at).map(|end| (Datum::Boolean(true), end)),
            (Kind::Boolean, b'f') => literal("false", input, at).map(|end| (Datum::Boolean(false), end)),
            (Kind::Struct(plan), _) => plan.read(input, at, out),
            (kind, b'-' | b'0'..=b'9') => match short_number(input, at) {
                Some((number, end)) => Some((kind.number(number)?, end)),
                None => kind.rare_number(input, at),
            },
            (_, _) => None,
        }
    }
}

fn literal(word: &str, input: &[u8], at: usize) -> Option<usize> {
    let mut scanner = Scanner::new(input, at);
    scanner.literal(word).ok()?;
    Some(scanner.at)
}

#[inline(never)]
fn rare_text(input: &[u8], at: usize, out: &mut Out<'_>) -> Option<(Datum, usize)> {
    let mut scanner = Scanner::new(input, at);
    let text = out.text(scanner.text().ok()?, input);
    Some((text, scanner.at))
}

impl Kind {
    fn of(schema: &SchemaRef) -> Self {
        match (Logical::of(schema), schema.type_()) {
            (Some(Logical::Date), _) => Self::Date,
            (Some(Logical::Time), _) => Self::Time,
            (Some(Logical::Timestamp), _) => Self::Timestamp,
            (None, Type::Boolean) => Self::Boolean,
            (None, Type::Int8) => Self::Int8,
            (None, Type::Int16) => Self::Int16,
            (None, Type::Int32) => Self::Int32,
            (None, Type::Int64) => Self::Int64,
            (None, Type::Float32) => Self::Float32,
            (None, Type::Float64) => Self::Float64,
            (None, Type::String) => Self::Text,
            (None, Type::Struct) => Plan::of(schema).map_or(Self::Other, Self::Struct),
            (Some(Logical::Decimal), _) | (None, Type::Bytes | Type::Array | Type::Map) => Self::Other,
        }
    }

    #[inline(never)]
    fn rare_number(&self, input: &[u8], at: usize) -> Option<(Datum, usize)> {
        let mut scanner = Scanner::new(input, at);
        let number = scanner.number().ok()?;
        Some((self.number(number)?, scanner.at))
    }

    #[inline]
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
            Self::Boolean | Self::Text | Self::Date | Self::Time | Self::Timestamp | Self::Struct(_) | Self::Other => {
                return None;
            }
        })
    }
}
