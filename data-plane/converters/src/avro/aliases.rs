//! The names that a writer's schema has in the eyes of a reader, whose aliases stand for the names of before.

use std::collections::HashMap;

use super::schema::{Kind, Schema, TypeId};

/// The aliases of a reader's schema.
pub(super) struct Names<'a> {
    writer: &'a Schema,
    reader: &'a Schema,
    /// The reader's name of a type, by its alias.
    types: HashMap<&'a str, String>,
}

impl<'a> Names<'a> {
    pub(super) fn new(writer: &'a Schema, reader: &'a Schema) -> Self {
        let aliases = reader.type_aliases.iter();
        let types = aliases.filter_map(|(alias, of)| Some((alias.as_str(), reader.kind(*of).name()?.full())));
        Self {
            writer,
            reader,
            types: types.collect(),
        }
    }

    /// The full name of a type of the writer's; empty where it has none.
    pub(super) fn of(&self, w: TypeId) -> String {
        let name = self.writer.kind(w).name();
        let full = name.map(super::schema::Name::full).unwrap_or_default();
        self.types.get(&*full).cloned().unwrap_or(full)
    }

    /// The place in the reader's record of each field of the writer's. As in Java, aliases of fields count in records that have one name. A
    /// field goes by one only where the writer has none of the name itself: then it is from before.
    pub(super) fn places(&self, w: TypeId, r: TypeId) -> Vec<Option<usize>> {
        let (Kind::Record(written), Kind::Record(read)) = (self.writer.kind(w), self.reader.kind(r)) else {
            return Vec::new();
        };
        let of_reader = read.fields.iter().enumerate();
        let of_reader: HashMap<&str, usize> = of_reader.map(|(place, field)| (&*field.name, place)).collect();
        let has_aliases = self.of(w) == read.name.full();
        let mut is_taken = vec![false; read.fields.len()];
        for field in &written.fields {
            if let Some(place) = of_reader.get(&*field.name) {
                is_taken[*place] = true;
            }
        }
        let place = |field: &super::schema::RecordField| {
            let alias = self.reader.field_aliases.get(&(r, field.name.as_ref().into())).copied();
            if let Some(place) = alias.filter(|place| has_aliases && !is_taken[*place]) {
                is_taken[place] = true;
                return Some(place);
            }
            of_reader.get(&*field.name).copied()
        };
        written.fields.iter().map(place).collect()
    }
}
