//! From Protobuf's bytes to values: a plan that is made once for a message, and read along for each record. Texts and bytes stay where
//! they are.
//!
//! The fields of a message come in any order and any number of times. Single values are taken as they come, the last one stays. Of
//! messages, lists and maps the places are noted, and read once the whole message was seen: what comes several times is one message then,
//! as if its parts were one behind the other.

use std::collections::HashMap;
use std::sync::Arc;

use dray_connect::backing::{Backing, Span};
use dray_connect::datum::Datum;
use dray_connect::schema::SchemaRef;
use dray_connect::{Error, Result};

use super::again::{self, Levelled};
use super::scalar::Scalar;
use super::well_known::WellKnown;
use super::wire::{Bytes, LENGTH};
use crate::again::{Again, MAX_LEVELS, within};

/// No part.
const NONE: u32 = u32::MAX;
/// Values that any message may become. A list of empty messages takes two bytes for each, and becomes all their fields.
const VALUES: usize = 1_000_000;
/// Values besides for each of its bytes.
const VALUES_OF_BYTE: usize = 16;

/// Where values go, and where in the batch the bytes lie that are read.
pub(super) struct Out<'b> {
    pub(super) batch: &'b mut Backing,
    pub(super) span: Span,
    pub(super) bytes: &'b [u8],
    pub(super) scratch: &'b mut Scratch,
}

/// What is kept while a message is read. Each message within another begins where that one ends.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub(super) stack: Vec<Datum>,
    parts: Vec<Part>,
    chains: Vec<Chain>,
    members: Vec<Active>,
    /// Values that may still be made.
    left: usize,
    /// How much deeper messages within themselves may go.
    pub(super) levels: usize,
}

/// Where in the bytes something is that is read later, and what of the same field comes behind it.
#[derive(Clone, Copy, Debug)]
struct Part {
    start: u32,
    end: u32,
    next: u32,
}

/// The parts of a field.
#[derive(Clone, Copy, Debug)]
struct Chain {
    first: u32,
    last: u32,
}

const EMPTY: Chain = Chain {
    first: NONE,
    last: NONE,
};

/// Which field of a `oneof` is set, and its value, if that is a single one.
#[derive(Clone, Copy, Debug)]
struct Active {
    member: usize,
    value: Datum,
}

/// What a message is read from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts {
    first: u32,
    /// Not those behind it: they are messages of their own.
    is_one: bool,
}

/// How the fields of a message are read.
#[derive(Debug, Default)]
pub(super) struct Fields {
    /// In the order of their numbers.
    pub(super) fields: Box<[Field]>,
    /// Their places among these, by number, for small ones.
    pub(super) places: Box<[u16]>,
    /// What there is for fields that do not come.
    pub(super) initial: Box<[Datum]>,
    /// The same, where it has to be put into a batch.
    pub(super) fills: Box<[(usize, Fill)]>,
    pub(super) lists: Box<[List]>,
    pub(super) oneofs: Box<[OneOf]>,
}

/// A default that a batch has to hold.
#[derive(Debug)]
pub(super) enum Fill {
    Text(Arc<str>),
    Bytes(Box<[u8]>),
}

#[derive(Debug)]
pub(super) struct Field {
    pub(super) number: u32,
    /// Number and wire type.
    pub(super) key: u32,
    pub(super) name: Box<str>,
    pub(super) place: Place,
}

/// What becomes of a field's value.
#[derive(Debug)]
pub(super) enum Place {
    /// It is put there.
    Value(usize, Scalar),
    /// It is noted for that list.
    Part(usize),
    /// The same, and it may come packed with others.
    Element(usize),
    /// It is that member of that `oneof`.
    Member(usize, usize),
}

/// What is read once the message was seen.
#[derive(Debug)]
pub(super) struct List {
    pub(super) slot: usize,
    pub(super) name: Box<str>,
    pub(super) of: Whole,
}

#[derive(Debug)]
pub(super) enum Whole {
    /// A message; whether it is there when it does not come.
    One(Composite, bool),
    Scalars(Scalar),
    Many(Composite),
    Map(Box<Fields>),
}

#[derive(Debug)]
pub(super) struct OneOf {
    /// The struct of the union and its place; none where the members are fields of the message itself.
    pub(super) union: Option<(SchemaRef, usize)>,
    pub(super) members: Box<[Member]>,
}

#[derive(Debug)]
pub(super) struct Member {
    /// In the union, or in the message.
    pub(super) slot: usize,
    pub(super) name: Box<str>,
    pub(super) of: MemberOf,
}

#[derive(Debug)]
pub(super) enum MemberOf {
    Scalar(Scalar),
    Message(Composite),
}

/// A value that is a message.
#[derive(Debug)]
pub(super) enum Composite {
    Struct(SchemaRef, Box<Fields>),
    /// A message within itself.
    Again(Box<Again<Levelled>>),
    /// `google.protobuf.StringValue` and the like.
    Wrapper(Scalar),
    WellKnown(WellKnown),
}

impl Composite {
    /// The value of all that is behind `start` in the bytes.
    pub(super) fn read_all(&self, start: usize, out: &mut Out<'_>) -> Result<Datum> {
        let scratch = &mut *out.scratch;
        scratch.stack.clear();
        scratch.parts.clear();
        scratch.chains.clear();
        scratch.members.clear();
        scratch.levels = MAX_LEVELS;
        scratch.left = VALUES.saturating_add(out.bytes.len().saturating_mul(VALUES_OF_BYTE));
        let (Ok(start), Ok(end)) = (u32::try_from(start), u32::try_from(out.bytes.len())) else {
            return Err(Error::data("the message has 4 GiB or more"));
        };
        let next = NONE;
        scratch.parts.push(Part { start, end, next });
        let parts = Parts { first: 0, is_one: true };
        self.read(parts, out)
    }

    fn read(&self, parts: Parts, out: &mut Out<'_>) -> Result<Datum> {
        match self {
            Self::Struct(schema, fields) => record(schema, fields, parts, out),
            Self::Again(of) => again::read(of, parts, out),
            Self::Wrapper(scalar) => {
                let mut value = None;
                out.each(parts, |bytes, out| {
                    while !bytes.is_done() {
                        let key = bytes.key()?;
                        if key == scalar.key(1) {
                            value = scalar.read(bytes, out)?.or(value);
                        } else if key >> 3 == 1 {
                            return Err(wrong_wire_type(key));
                        } else {
                            bytes.skip(key)?;
                        }
                    }
                    Ok(())
                })?;
                Ok(value.unwrap_or_else(|| scalar.nothing(out)))
            }
            Self::WellKnown(of) => of.read(parts, out),
        }
    }
}

pub(super) fn record(schema: &SchemaRef, fields: &Fields, parts: Parts, out: &mut Out<'_>) -> Result<Datum> {
    let start = out.scratch.stack.len();
    fields.read(parts, out)?;
    let id = out.batch.schema(schema);
    // Where only some fields may be null in the schema, a message may have others that are.
    let record = out.batch.record_not_validated(id, &out.scratch.stack[start..]);
    out.scratch.stack.truncate(start);
    Ok(record)
}

impl Fields {
    /// Pushes the values of all fields.
    fn read(&self, parts: Parts, out: &mut Out<'_>) -> Result<()> {
        out.spend(self.initial.len())?;
        let frame = Frame {
            stack: out.scratch.stack.len(),
            chains: out.scratch.chains.len(),
            members: out.scratch.members.len(),
        };
        let noted = out.scratch.parts.len();
        let chains = self.lists.len() + self.oneofs.len();
        out.scratch.stack.extend_from_slice(&self.initial);
        out.scratch.chains.resize(frame.chains + chains, EMPTY);
        let unset = Active {
            member: usize::MAX,
            value: Datum::Null,
        };
        out.scratch.members.resize(frame.members + self.oneofs.len(), unset);
        out.each(parts, |bytes, out| self.parse(bytes, frame, out))?;
        for (slot, fill) in &self.fills {
            if matches!(out.scratch.stack[frame.stack + slot], Datum::Null) {
                out.scratch.stack[frame.stack + slot] = fill.datum(out);
            }
        }
        for (index, list) in self.lists.iter().enumerate() {
            let first = out.scratch.chains[frame.chains + index].first;
            let value = list.of.read(first, out).map_err(|error| within(&list.name, &error))?;
            out.scratch.stack[frame.stack + list.slot] = value;
        }
        for (index, oneof) in self.oneofs.iter().enumerate() {
            let active = out.scratch.members[frame.members + index];
            let first = out.scratch.chains[frame.chains + self.lists.len() + index].first;
            oneof.read(active, first, frame.stack, out)?;
        }
        out.scratch.parts.truncate(noted);
        out.scratch.chains.truncate(frame.chains);
        out.scratch.members.truncate(frame.members);
        Ok(())
    }

    /// Takes or notes what comes.
    fn parse(&self, bytes: &mut Bytes<'_>, frame: Frame, out: &mut Out<'_>) -> Result<()> {
        // Most writers keep to the order of numbers.
        let mut next = 0;
        while !bytes.is_done() {
            let key = bytes.key()?;
            let place = match self.fields.get(next) {
                Some(field) if field.key == key => Some(next),
                _ => self.place(key >> 3),
            };
            let Some(field) = place.and_then(|place| self.fields.get(place)) else {
                bytes.skip(key)?;
                continue;
            };
            next = place.map_or(0, |place| place + 1);
            let taken = if field.key == key {
                self.take(field, bytes, frame, out)
            } else {
                self.take_other(field, key, bytes, frame, out)
            };
            if let Err(error) = taken {
                return Err(within(&field.name, &error));
            }
        }
        Ok(())
    }

    #[inline]
    fn place(&self, number: u32) -> Option<usize> {
        if let Some(place) = self.places.get(number as usize) {
            return (*place != u16::MAX).then_some(usize::from(*place));
        }
        self.fields.binary_search_by_key(&number, |field| field.number).ok()
    }

    #[inline(always)]
    fn take(&self, field: &Field, bytes: &mut Bytes<'_>, frame: Frame, out: &mut Out<'_>) -> Result<()> {
        match &field.place {
            Place::Value(slot, scalar) => {
                if let Some(value) = scalar.read(bytes, out)? {
                    out.scratch.stack[frame.stack + slot] = value;
                }
            }
            Place::Part(list) => {
                let range = bytes.block()?;
                out.scratch.note(frame.chains + list, range);
            }
            Place::Element(list) => {
                let start = bytes.at;
                bytes.skip_one(field.key)?;
                out.scratch.note(frame.chains + list, (start, bytes.at));
            }
            Place::Member(oneof, member) => self.member(*oneof, *member, bytes, frame, out)?,
        }
        Ok(())
    }

    /// A field with another wire type than its own: elements that come packed, or an error.
    #[inline(never)]
    fn take_other(
        &self,
        field: &Field,
        key: u32,
        bytes: &mut Bytes<'_>,
        frame: Frame,
        out: &mut Out<'_>,
    ) -> Result<()> {
        match &field.place {
            Place::Element(list) if key & 7 == LENGTH => {
                let range = bytes.block()?;
                out.scratch.note(frame.chains + list, range);
                Ok(())
            }
            Place::Element(_) | Place::Value(..) | Place::Part(_) | Place::Member(..) => Err(wrong_wire_type(key)),
        }
    }

    #[inline(never)]
    fn member(
        &self,
        oneof: usize,
        member: usize,
        bytes: &mut Bytes<'_>,
        frame: Frame,
        out: &mut Out<'_>,
    ) -> Result<()> {
        let chain = frame.chains + self.lists.len() + oneof;
        let of = self.oneofs.get(oneof).and_then(|oneof| oneof.members.get(member));
        match of.map(|member| &member.of) {
            Some(MemberOf::Scalar(scalar)) => {
                if let Some(value) = scalar.read(bytes, out)? {
                    out.scratch.members[frame.members + oneof] = Active { member, value };
                }
            }
            Some(MemberOf::Message(_)) => {
                let range = bytes.block()?;
                let active = &mut out.scratch.members[frame.members + oneof];
                if active.member != member {
                    // The parts of what another one has replaced are gone.
                    out.scratch.chains[chain] = EMPTY;
                    *active = Active {
                        member,
                        value: Datum::Null,
                    };
                }
                out.scratch.note(chain, range);
            }
            None => {}
        }
        Ok(())
    }
}

/// Where a message begins in the scratch.
#[derive(Clone, Copy)]
struct Frame {
    stack: usize,
    chains: usize,
    members: usize,
}

impl Scratch {
    #[inline]
    fn note(&mut self, chain: usize, (start, end): (usize, usize)) {
        // They lie within a message of less than 4 GiB, and each has a byte of its own before it.
        let place = self.parts.len() as u32;
        self.parts.push(Part {
            start: start as u32,
            end: end as u32,
            next: NONE,
        });
        let chain = &mut self.chains[chain];
        if chain.first == NONE {
            chain.first = place;
        } else {
            self.parts[chain.last as usize].next = place;
        }
        chain.last = place;
    }
}

impl<'b> Out<'b> {
    fn spend(&mut self, values: usize) -> Result<()> {
        match self.scratch.left.checked_sub(values) {
            Some(left) => {
                self.scratch.left = left;
                Ok(())
            }
            None => Err(Error::data(format!(
                "the message becomes more than {VALUES} values, and {VALUES_OF_BYTE} for each of its bytes besides"
            ))),
        }
    }

    /// Reads each of the parts, in the order in which they came.
    pub(super) fn each(
        &mut self,
        parts: Parts,
        mut read: impl FnMut(&mut Bytes<'b>, &mut Self) -> Result<()>,
    ) -> Result<()> {
        let mut next = parts.first;
        while next != NONE {
            let part = self.scratch.parts[next as usize];
            read(
                &mut Bytes::new(self.bytes, part.start as usize, part.end as usize),
                self,
            )?;
            if parts.is_one {
                break;
            }
            next = part.next;
        }
        Ok(())
    }
}

impl Fill {
    fn datum(&self, out: &mut Out<'_>) -> Datum {
        match self {
            Self::Text(text) => out.batch.text(text),
            Self::Bytes(bytes) => Datum::Bytes(out.batch.copy(bytes)),
        }
    }
}

impl Whole {
    fn read(&self, first: u32, out: &mut Out<'_>) -> Result<Datum> {
        let start = out.scratch.stack.len();
        match self {
            Self::One(..) if first == NONE && !self.is_there_anyway() => return Ok(Datum::Null),
            Self::One(of, _) => {
                let is_one = false;
                return of.read(Parts { first, is_one }, out);
            }
            Self::Scalars(scalar) => {
                let is_one = false;
                out.each(Parts { first, is_one }, |bytes, out| {
                    if let Some(value) = scalar.read_bare(bytes, out)? {
                        out.spend(1)?;
                        out.scratch.stack.push(value);
                    }
                    while !bytes.is_done() {
                        if let Some(value) = scalar.read(bytes, out)? {
                            out.spend(1)?;
                            out.scratch.stack.push(value);
                        }
                    }
                    Ok(())
                })?;
            }
            Self::Many(of) => {
                out.each_place(first, |parts, out| {
                    out.spend(1)?;
                    let value = of.read(parts, out)?;
                    out.scratch.stack.push(value);
                    Ok(())
                })?;
            }
            Self::Map(entry) => {
                out.each_place(first, |parts, out| entry.read(parts, out))?;
                crate::unique::unique(&mut out.scratch.stack, start, out.batch);
            }
        }
        let values = &out.scratch.stack[start..];
        let datum = if matches!(self, Self::Map(_)) {
            out.batch.map_of_parts(values)
        } else {
            out.batch.array(values)
        };
        out.scratch.stack.truncate(start);
        Ok(datum)
    }

    fn is_there_anyway(&self) -> bool {
        matches!(self, Self::One(_, true))
    }
}

impl Out<'_> {
    /// Gives each part by itself.
    fn each_place(&mut self, first: u32, mut read: impl FnMut(Parts, &mut Self) -> Result<()>) -> Result<()> {
        let (mut next, mut number) = (first, 0_usize);
        while next != NONE {
            let parts = Parts {
                first: next,
                is_one: true,
            };
            read(parts, self).map_err(|error| within(&number.to_string(), &error))?;
            next = self.scratch.parts[next as usize].next;
            number += 1;
        }
        Ok(())
    }
}

impl OneOf {
    fn read(&self, active: Active, first: u32, message: usize, out: &mut Out<'_>) -> Result<()> {
        let Some(member) = self.members.get(active.member) else {
            return Ok(());
        };
        let value = match &member.of {
            MemberOf::Scalar(_) => active.value,
            MemberOf::Message(of) => {
                let is_one = false;
                let read = of.read(Parts { first, is_one }, out);
                read.map_err(|error| within(&member.name, &error))?
            }
        };
        let Some((schema, slot)) = &self.union else {
            out.scratch.stack[message + member.slot] = value;
            return Ok(());
        };
        out.spend(self.members.len())?;
        let start = out.scratch.stack.len();
        out.scratch.stack.resize(start + self.members.len(), Datum::Null);
        out.scratch.stack[start + member.slot] = value;
        let id = out.batch.schema(schema);
        let union = out.batch.record_checked_by_caller(id, &out.scratch.stack[start..]);
        out.scratch.stack.truncate(start);
        out.scratch.stack[message + slot] = union;
        Ok(())
    }
}

#[cold]
pub(super) fn wrong_wire_type(key: u32) -> Error {
    Error::data(format!(
        "malformed data: field {} comes with wire type {}, which its type is not written with",
        key >> 3,
        key & 7
    ))
}

/// The symbols of an enum.
#[derive(Debug)]
pub(super) struct Symbols {
    pub(super) name: String,
    /// The first name of each number.
    pub(super) names: HashMap<i32, Arc<str>>,
    /// Whether a number without a name is no value, as in proto2.
    pub(super) is_closed: bool,
}
