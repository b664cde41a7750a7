//! The copy of a map's entries or a struct's fields that the transforms of a chain change in place.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use dray_connect::backing::{Backing, SchemaId};
use dray_connect::datum::{Datum, ValueRef};
use dray_connect::schema::{Field, SchemaRef, validate_field};
use dray_connect::{Error, Result};

use super::{ConnectRecord, Content, Operand, Side, not_a_map, not_a_struct};

/// The entries of a map in their order. Names are looked up one after the other: maps of records are short.
pub struct MapMut<'e> {
    row: &'e mut Vec<Datum>,
    backing: &'e mut Backing,
}

impl<'e> MapMut<'e> {
    pub(super) fn new(row: &'e mut Vec<Datum>, backing: &'e mut Backing) -> Self {
        Self { row, backing }
    }

    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.row.len() / 2
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.row.is_empty()
    }

    /// The batch that the values lie in.
    #[must_use]
    pub fn backing(&self) -> &Backing {
        self.backing
    }

    /// The same, to put values in.
    pub fn backing_mut(&mut self) -> &mut Backing {
        self.backing
    }

    /// The bytes of the name at that place; none when its key is not a string.
    #[must_use]
    #[inline]
    pub fn name(&self, index: usize) -> Option<&[u8]> {
        name_of(self.backing, self.row[2 * index])
    }

    /// The place of the entry with that name.
    #[must_use]
    #[inline]
    pub fn find(&self, name: &str) -> Option<usize> {
        find_entry(self.backing, self.row, name)
    }

    /// The value at that place.
    #[must_use]
    pub fn value(&self, index: usize) -> Datum {
        self.row[2 * index + 1]
    }

    /// The value of the entry with that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Datum> {
        self.find(name).map(|index| self.value(index))
    }

    /// Replaces the value at that place.
    pub fn set(&mut self, index: usize, value: Datum) {
        self.row[2 * index + 1] = value;
    }

    /// Sets the value of the entry with that name; a new one goes to the end. The name is copied once a batch, so it has to be the
    /// same handle for all its records.
    pub fn put(&mut self, name: &Arc<str>, value: Datum) {
        match self.find(name) {
            Some(index) => self.set(index, value),
            None => {
                let name = self.backing.constant(name);
                self.row.extend_from_slice(&[name, value]);
            }
        }
    }

    /// Removes the entry with that name and returns its value; the others keep their order.
    pub fn remove(&mut self, name: &str) -> Option<Datum> {
        let index = self.find(name)?;
        let value = self.value(index);
        self.row.drain(2 * index..2 * index + 2);
        Some(value)
    }

    /// Asks of each entry what becomes of its name, of which there is none when its key is null. Where two entries come to
    /// have one name, the last value counts, at the first place. Of a name whose length is not among `lengths` nothing is asked.
    ///
    /// # Errors
    /// When a key is no string.
    #[inline]
    pub fn rename_each<'n>(
        &mut self,
        lengths: Lengths,
        mut becomes: impl FnMut(Option<&[u8]>) -> Name<'n>,
    ) -> Result<()> {
        let Self { row, backing } = self;
        let (entries, _) = row.as_chunks_mut::<2>();
        let mut kept = 0;
        for index in 0..entries.len() {
            let [key, value] = entries[index];
            // Most entries end here, without a look at their names.
            if let Datum::Str(text) = key
                && !lengths.has(text.span().len())
            {
                entries[kept] = [key, value];
                kept += 1;
                continue;
            }
            let name = name_of(backing, key);
            if name.is_none() && key != Datum::Null {
                return Err(not_a_name(key.view(backing).java_class()));
            }
            let (key, first) = match becomes(name) {
                Name::Removed => continue,
                Name::Same => (key, None),
                Name::Taken(name) => (key, position(backing, &entries[..kept], name)),
                Name::New(name) => {
                    let first = position(backing, &entries[..kept], name);
                    (backing.constant(name), first)
                }
            };
            if let Some(first) = first {
                entries[first][1] = value;
                continue;
            }
            entries[kept] = [key, value];
            kept += 1;
        }
        row.truncate(2 * kept);
        Ok(())
    }

    /// Where several entries have one name, as after flattening: the last value counts, at the first place.
    pub fn keep_last_of_each_name(&mut self) {
        let (row, backing) = (&mut *self.row, &*self.backing);
        let mut places: HashMap<&[u8], usize> = HashMap::new();
        let hashed = row.len() / 2 > FEW;
        let mut kept = 0;
        for index in 0..row.len() / 2 {
            let (key, value) = (row[2 * index], row[2 * index + 1]);
            let first = match name_of(backing, key) {
                None => None,
                Some(name) if hashed => match places.entry(name) {
                    Entry::Occupied(place) => Some(*place.get()),
                    Entry::Vacant(place) => {
                        place.insert(kept);
                        None
                    }
                },
                Some(name) => {
                    let (before, _) = row[..2 * kept].as_chunks::<2>();
                    before.iter().position(|[key, _]| is_named(backing, *key, name))
                }
            };
            match first {
                Some(first) => row[2 * first + 1] = value,
                None => {
                    row[2 * kept] = key;
                    row[2 * kept + 1] = value;
                    kept += 1;
                }
            }
        }
        row.truncate(2 * kept);
    }

    /// Removes all entries and puts these in their place: keys and values by turns. No two keys may be equal.
    pub fn replace(&mut self, parts: &[Datum]) {
        self.row.clear();
        self.row.extend_from_slice(parts);
    }

    /// Exchanges the entries for these, as [`MapMut::replace`].
    pub fn swap(&mut self, parts: &mut Vec<Datum>) {
        std::mem::swap(self.row, parts);
    }

    /// Keys and values by turns.
    #[must_use]
    #[inline]
    pub fn parts(&self) -> &[Datum] {
        self.row
    }

    /// Appends an entry, whose name no other has.
    #[inline]
    pub(crate) fn append(&mut self, name: Datum, value: Datum) {
        self.row.extend_from_slice(&[name, value]);
    }
}

/// Up to so many names are compared one by one, which is faster than hashing them.
const FEW: usize = 16;

/// Java casts such a key to a string and throws.
#[cold]
pub(crate) fn not_a_name(class: &str) -> Error {
    Error::data(format!(
        "a map with a key of class {class} is no record: its keys must be strings"
    ))
}

/// What becomes of an entry's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name<'n> {
    /// It stays, and no other name becomes this one.
    Same,
    /// It stays, and is what another name may become.
    Taken(&'n str),
    /// The entry goes.
    Removed,
    /// It changes.
    New(&'n Arc<str>),
}

/// Lengths of names, modulo 64: some lengths more may seem to be among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lengths(u64);

impl Lengths {
    /// Every length.
    pub const ALL: Self = Self(u64::MAX);

    /// The lengths of these names.
    pub fn of<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        let lengths = names.into_iter().map(|name| 1 << (name.len() % 64));
        Self(lengths.fold(0, |all, length| all | length))
    }

    /// Whether a length may be among them.
    #[inline]
    #[must_use]
    pub fn has(self, length: usize) -> bool {
        self.0 & (1 << (length % 64)) != 0
    }
}

#[inline]
fn name_of(backing: &Backing, key: Datum) -> Option<&[u8]> {
    if let Datum::Str(text) = key {
        Some(backing.bytes(text.span()))
    } else {
        None
    }
}

#[inline]
fn is_named(backing: &Backing, key: Datum, name: &[u8]) -> bool {
    // The length is at hand, the bytes are not.
    matches!(key, Datum::Str(text) if text.span().len() == name.len() && same_name(backing.bytes(text.span()), name))
}

/// Whether two names are equal. Most that are as long as each other differ at their beginning, which is seen without a call.
#[inline]
pub(crate) fn same_name(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.first() == b.first() && a == b
}

/// The place of the entry with that name in the parts of a map, which are keys and values by turns.
#[must_use]
#[inline]
pub fn find_entry(backing: &Backing, parts: &[Datum], name: &str) -> Option<usize> {
    position(backing, parts.as_chunks().0, name)
}

#[inline]
fn position(backing: &Backing, entries: &[[Datum; 2]], name: &str) -> Option<usize> {
    entries
        .iter()
        .position(|[key, _]| is_named(backing, *key, name.as_bytes()))
}

/// The fields of a struct in the order of its schema.
pub struct StructMut<'e> {
    operand: &'e mut Operand,
    schema: SchemaId,
    backing: &'e mut Backing,
}

impl<'e> StructMut<'e> {
    pub(super) fn new(operand: &'e mut Operand, schema: SchemaId, backing: &'e mut Backing) -> Self {
        Self {
            operand,
            schema,
            backing,
        }
    }

    /// The schema.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        self.backing.schema_of(self.schema)
    }

    /// The batch that the values lie in.
    #[must_use]
    pub fn backing(&self) -> &Backing {
        self.backing
    }

    /// The same, to put values in.
    pub fn backing_mut(&mut self) -> &mut Backing {
        self.backing
    }

    /// The values, one a field, defaults not filled in.
    #[must_use]
    pub fn values(&self) -> &[Datum] {
        &self.operand.row
    }

    /// The value of the field at that place, to change it. The field's schema must allow what is put there.
    pub fn value_mut(&mut self, index: usize) -> &mut Datum {
        &mut self.operand.row[index]
    }

    /// Gives the struct another schema and `values` one value for each of its fields: `change` gets those of before and the
    /// batch to put new ones in.
    ///
    /// # Panics
    /// When there is not one value for each field afterwards.
    pub fn reshape(&mut self, schema: &SchemaRef, change: impl FnOnce(&mut Vec<Datum>, &mut Backing)) {
        change(&mut self.operand.row, self.backing);
        let fields = schema.fields().map_or(0, <[_]>::len);
        assert_eq!(self.operand.row.len(), fields, "a struct needs a value for each field");
        self.schema = self.backing.schema(schema);
        self.operand.schema = Some(self.schema);
        self.operand.content = Content::Struct(self.schema);
    }

    /// Changes the values, whose schema stays: `change` gets them and the batch to put new ones in. The schemas of the
    /// fields must allow what is put there.
    #[inline]
    pub fn change<T>(&mut self, change: impl FnOnce(&mut [Datum], &mut Backing) -> T) -> T {
        change(&mut self.operand.row, self.backing)
    }

    /// Refuses null in a required field, even where there is a default, as `Struct.put` does it while a transform of Java
    /// copies field by field.
    ///
    /// # Errors
    /// The first such field.
    #[inline]
    pub fn refuse_null(&self) -> Result<()> {
        self.refuse_null_before(self.values().len())
    }

    #[inline]
    fn refuse_null_before(&self, end: usize) -> Result<()> {
        let fields = self.schema().fields()?;
        let refused = |(field, value): &(&Field, &Datum)| matches!(value, Datum::Null) && !field.schema.optional();
        match fields.iter().zip(&self.values()[..end]).find(refused) {
            None => Ok(()),
            Some((field, _)) => validate_field(&field.name, &field.schema, ValueRef::Null),
        }
    }

    /// The error of the field at that place, or that of a null which is refused in a field before it: Java copies the
    /// fields in their order.
    #[cold]
    #[must_use]
    pub fn first_error(&self, index: usize, error: Error) -> Error {
        self.refuse_null_before(index).err().unwrap_or(error)
    }
}

/// Reading without a copy.
impl ConnectRecord<'_> {
    /// The entries of a map, keys and values by turns: as [`ConnectRecord::map`], for one who changes nothing.
    ///
    /// # Errors
    /// When the key or value is no map.
    pub fn entries(&self, side: Side, purpose: &str) -> Result<&[Datum]> {
        let operand = self.operand(side);
        match operand.content {
            Content::Map => Ok(&operand.row),
            Content::Whole(datum @ Datum::Map(_)) => Ok(datum.parts(self.backing())),
            Content::Whole(_) | Content::Struct(_) => Err(not_a_map(purpose, self.java_class(side))),
        }
    }

    /// The schema of a struct and the values of its fields: as [`ConnectRecord::record`], for one who changes nothing.
    ///
    /// # Errors
    /// When the key or value is no struct.
    pub fn fields(&self, side: Side, purpose: &str) -> Result<(&SchemaRef, &[Datum])> {
        let operand = self.operand(side);
        let backing = self.backing();
        match operand.content {
            Content::Struct(schema) => Ok((backing.schema_of(schema), &operand.row)),
            Content::Whole(datum @ Datum::Struct(row)) => Ok((backing.schema_of(row.schema()), datum.parts(backing))),
            Content::Whole(_) | Content::Map => Err(not_a_struct(purpose, self.java_class(side))),
        }
    }
}
