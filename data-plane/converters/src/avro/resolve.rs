//! Avro's schema resolution: how the bytes of a writer's schema are read as values of a reader's. A plan is made once for each pair; nothing is
//! looked up by its name afterwards.
//!
//! Where Avro's specification and Java's library differ, this is Java's, which Confluent's converters use: records need not have the same name
//! outside of unions, enums and fixed must have the same one without its namespace, and what cannot be resolved fails when a value comes to it.

use std::collections::HashMap;
use std::sync::Arc;

use dray_connect::schema::{SchemaRef, Type};
use dray_connect::{Error, Result};

use super::again::{ReadAgain, ReadCells};
use super::aliases::Names;
use super::anything;
use super::fill::fill;
use super::from_connect::is_union;
use super::read::Read;
use super::resolved::{Record, Resolved, Step, Symbol};
use super::schema::{Enum, Kind, Schema, TypeId};

/// Types that are compared for one pair of schemas. Each named type is compared again wherever it stands, so that a short text can stand for
/// very many.
const MAX_PAIRS: usize = 200_000;

/// The plan for what was written with `writer`, and what it refers to. `connect` is the Connect schema of `reader`; none where that is without a
/// schema.
pub(super) fn resolve(writer: &Arc<Schema>, reader: &Schema, connect: Option<&SchemaRef>) -> Result<(Read, ReadCells)> {
    let Some(connect) = connect else {
        let plan = if anything::is_anything(writer, writer.root()) {
            Read::Anything
        } else {
            let written = described(writer, writer.root());
            not(format!("{written} cannot be read as a value without a schema"))
        };
        return Ok((plan, ReadCells::default()));
    };
    let mut resolver = Resolver {
        writer,
        reader,
        names: Names::new(writer, reader),
        pairs: 0,
        cells: ReadCells::default(),
    };
    let plan = resolver.of(writer.root(), reader.root(), connect)?;
    let mut next = 0;
    while let Some(((id, written), connect)) = resolver.cells.wanted(next) {
        let written = written.unwrap_or_else(|| writer.root());
        let made = resolver.record(written, id, &connect)?;
        resolver.cells.planned(next, made);
        next += 1;
    }
    Ok((plan, resolver.cells))
}

struct Resolver<'a> {
    writer: &'a Arc<Schema>,
    reader: &'a Schema,
    names: Names<'a>,
    pairs: usize,
    /// Records that contain themselves.
    cells: ReadCells,
}

impl Resolver<'_> {
    fn of(&mut self, w: TypeId, r: TypeId, connect: &SchemaRef) -> Result<Read> {
        self.count()?;
        let (writer, reader) = (self.writer, self.reader);
        Ok(match (writer.kind(w), reader.kind(r)) {
            (Kind::Union(branches), _) => self.written_union(branches, w, r, connect)?,
            (_, Kind::Union(branches)) => match self.branch_for(w, branches)? {
                Some(branch) => self.branch(w, branches, branch, connect)?,
                None => self.mismatch(w, r),
            },
            (Kind::Array(of), Kind::Array(as_)) if connect.type_() == Type::Map => self.entries(*of, *as_, connect)?,
            (Kind::Array(of), Kind::Array(as_)) => {
                Read::Array(Box::new(self.of(*of, *as_, connect.value_schema()?)?))
            }
            (Kind::Map(of), Kind::Map(as_)) => Read::Map(Box::new(self.of(*of, *as_, connect.value_schema()?)?)),
            (Kind::Enum(of), Kind::Enum(as_)) if self.same_name(w, r) => symbols(of, as_),
            (Kind::Fixed(of), Kind::Fixed(as_)) if self.same_name(w, r) && of.size == as_.size => {
                Read::of(reader, r, Some(connect), &mut self.cells)?
            }
            (Kind::Record(_), Kind::Record(_)) => self.record(w, r, connect)?,
            (Kind::Int | Kind::Long, Kind::Float) => resolved(Resolved::LongAsFloat),
            (Kind::Int | Kind::Long, Kind::Double) => resolved(Resolved::LongAsDouble),
            (Kind::Float, Kind::Double) => resolved(Resolved::FloatAsDouble),
            // The bytes are the same. What has a name was compared before.
            (written, kind) if kind.name().is_none() && is_same(written, kind) || is_promoted(written, kind) => {
                Read::of(reader, r, Some(connect), &mut self.cells)?
            }
            (_, _) => self.mismatch(w, r),
        })
    }

    fn count(&mut self) -> Result<()> {
        self.pairs += 1;
        if self.pairs <= MAX_PAIRS {
            return Ok(());
        }
        Err(Error::data(format!(
            "the schemas of writer and reader have more than {MAX_PAIRS} types to compare"
        )))
    }

    fn same_name(&self, w: TypeId, r: TypeId) -> bool {
        simple(&self.names.of(w)) == self.reader.kind(r).name().map_or("", |name| &*name.simple)
    }

    /// Whatever branch was written.
    fn written_union(&mut self, branches: &[TypeId], w: TypeId, r: TypeId, connect: &SchemaRef) -> Result<Read> {
        let (writer, reader) = (self.writer, self.reader);
        let mut plans = Vec::with_capacity(branches.len());
        if let Kind::Union(others) = reader.kind(r)
            && self.is_equivalent(w, r, &mut HashMap::new())?
        {
            for (index, branch) in branches.iter().enumerate() {
                plans.push(self.branch(*branch, others, index, connect)?);
            }
        } else {
            for branch in branches {
                plans.push(self.of(*branch, r, connect)?);
            }
        }
        let is_null = |index: usize| matches!(writer.kind(branches[index]), Kind::Null);
        let reads_null = |plan: &Read| matches!(plan, Read::Resolved(of) if matches!(**of, Resolved::Null));
        let null = (0..branches.len()).find(|index| is_null(*index) && reads_null(&plans[*index]));
        Ok(match (null, plans.len()) {
            (Some(null), 2) => Read::optional(null as u8, plans.swap_remove(1 - null)),
            (None, 1) => Read::Optional(u8::MAX, Box::new(plans.swap_remove(0))),
            (_, _) => resolved(Resolved::Union(plans.into())),
        })
    }

    /// As that branch of a union of the reader's.
    fn branch(&mut self, w: TypeId, branches: &[TypeId], branch: usize, connect: &SchemaRef) -> Result<Read> {
        let is_null = |id: &TypeId| matches!(self.reader.kind(*id), Kind::Null);
        let of = branches[branch];
        if is_null(&of) {
            return Ok(resolved(Resolved::Null));
        }
        // As `Read::of` has them: one beside null, and one by itself unless it stays a union.
        let is_plain = match branches {
            [_] => !is_union(connect),
            [one, other] => is_null(one) || is_null(other),
            _ => false,
        };
        if is_plain {
            return self.of(w, of, connect);
        }
        let place = branches[..branch].iter().filter(|id| !is_null(id)).count();
        let field = connect.fields()?.get(place);
        let field = field.ok_or_else(|| Error::data("Did not find matching union field for data"))?;
        let plan = self.of(w, of, &field.schema)?;
        Ok(resolved(Resolved::Branch(
            SchemaRef::clone(connect),
            field.index,
            Box::new(plan),
        )))
    }

    /// An array of entries that is a map.
    fn entries(&mut self, of: TypeId, r: TypeId, connect: &SchemaRef) -> Result<Read> {
        let (writer, reader) = (self.writer, self.reader);
        let (Kind::Record(written), Kind::Record(read)) = (writer.kind(of), reader.kind(r)) else {
            return Ok(self.mismatch(of, r));
        };
        match (&written.fields[..], &read.fields[..]) {
            ([key, value], [as_key, as_value]) if key.name == as_key.name && value.name == as_value.name => {
                let key = self.of(key.of, as_key.of, connect.key_schema()?)?;
                let value = self.of(value.of, as_value.of, connect.value_schema()?)?;
                Ok(Read::Entries(Box::new((key, value))))
            }
            _ => {
                let written = described(writer, of);
                Ok(not(format!(
                    "{written} cannot be read as the entries of a map, which are a key and a value"
                )))
            }
        }
    }

    fn record(&mut self, w: TypeId, r: TypeId, connect: &SchemaRef) -> Result<Read> {
        let (writer, reader) = (self.writer, self.reader);
        let (Kind::Record(written), Kind::Record(read)) = (writer.kind(w), reader.kind(r)) else {
            return Ok(self.mismatch(w, r));
        };
        if connect.is_reference() {
            return Ok(Read::Again(Box::new(ReadAgain::of(
                r,
                Some(w),
                connect,
                &mut self.cells,
            ))));
        }
        let connects = connect.fields()?;
        let places = self.names.places(w, r);
        let mut is_written = vec![false; read.fields.len()];
        for place in places.iter().flatten() {
            is_written[*place] = true;
        }
        let mut filled = Vec::new();
        for (place, field) in read.fields.iter().enumerate().filter(|(place, _)| !is_written[*place]) {
            let Some(default) = &field.default else {
                return Ok(not(missing(writer, w, reader, r, &field.name)));
            };
            match fill(reader, field.of, default, &connects[place].schema) {
                Ok(fill) => filled.push((place, fill)),
                Err(error) => return Ok(not(format!("{}: {error}", field.name))),
            }
        }
        let mut steps = Vec::with_capacity(written.fields.len());
        for (field, place) in written.fields.iter().zip(&places) {
            steps.push(match place {
                Some(place) => Step::Read(
                    *place,
                    self.of(field.of, read.fields[*place].of, &connects[*place].schema)?,
                ),
                None => Step::Skip(Arc::clone(&field.name), field.of),
            });
        }
        let in_order = places.iter().enumerate().all(|(index, place)| *place == Some(index));
        if in_order && filled.is_empty() {
            let plans = steps.into_iter().filter_map(|step| match step {
                Step::Read(_, plan) => Some(plan),
                Step::Skip(..) => None,
            });
            return Ok(Read::Record(SchemaRef::clone(connect), plans.collect()));
        }
        Ok(resolved(Resolved::Record(Record {
            schema: SchemaRef::clone(connect),
            steps: steps.into(),
            filled: filled.into(),
            writer: Arc::clone(writer),
        })))
    }

    /// The branch of the reader's union that a type of the writer's is read as: one of that kind and name, or a record with fitting fields, or
    /// one that it is promoted to.
    fn branch_for(&mut self, w: TypeId, branches: &[TypeId]) -> Result<Option<usize>> {
        let (writer, reader) = (self.writer, self.reader);
        let written = writer.kind(w);
        let name = self.names.of(w);
        let mut fitting = None;
        for (index, branch) in branches.iter().enumerate() {
            let kind = reader.kind(*branch);
            if !is_same(written, kind) {
                continue;
            }
            let Some(own) = kind.name() else {
                return Ok(Some(index));
            };
            if own.full() == *name {
                return Ok(Some(index));
            }
            // Of those with fitting fields the first, or the last with the same simple name.
            let is_better = fitting.is_none() || *own.simple == *simple(&name);
            if is_better && matches!(kind, Kind::Record(_)) && self.has_fitting_fields(w, *branch)? {
                fitting = Some(index);
            }
        }
        let promoted = || {
            let is_it = |id: &TypeId| is_promoted(written, reader.kind(*id));
            branches.iter().position(is_it)
        };
        Ok(fitting.or_else(promoted))
    }

    /// Whether a record can be read as another one, as far as its fields say so themselves.
    fn has_fitting_fields(&mut self, w: TypeId, r: TypeId) -> Result<bool> {
        let (writer, reader) = (self.writer, self.reader);
        if !self.has_all_fields(w, r) {
            return Ok(false);
        }
        let (Kind::Record(written), Kind::Record(read)) = (writer.kind(w), reader.kind(r)) else {
            return Ok(false);
        };
        for (field, place) in written.fields.iter().zip(self.names.places(w, r)) {
            if let Some(place) = place
                && !self.is_possible(field.of, read.fields[place].of)?
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether each of the reader's fields is written or has a default.
    fn has_all_fields(&self, w: TypeId, r: TypeId) -> bool {
        let Kind::Record(read) = self.reader.kind(r) else {
            return false;
        };
        let places = self.names.places(w, r);
        let mut fields = read.fields.iter().enumerate();
        fields.all(|(place, field)| field.default.is_some() || places.contains(&Some(place)))
    }

    /// Whether there may be values of one type that can be read as the other: what is within them does not count.
    fn is_possible(&mut self, w: TypeId, r: TypeId) -> Result<bool> {
        self.count()?;
        let (writer, reader) = (self.writer, self.reader);
        Ok(match (writer.kind(w), reader.kind(r)) {
            (Kind::Union(_), _) => true,
            (_, Kind::Union(branches)) => self.branch_for(w, branches)?.is_some(),
            (Kind::Record(_), Kind::Record(_)) => self.has_all_fields(w, r),
            (Kind::Enum(_), Kind::Enum(_)) => self.same_name(w, r),
            (Kind::Fixed(of), Kind::Fixed(as_)) => self.same_name(w, r) && of.size == as_.size,
            (written, kind) => is_same(written, kind) || is_promoted(written, kind),
        })
    }

    /// Whether two types differ in the namespaces of their names only. The branches of such unions belong to each other in their order.
    fn is_equivalent(&mut self, w: TypeId, r: TypeId, seen: &mut HashMap<(TypeId, TypeId), bool>) -> Result<bool> {
        self.count()?;
        let (writer, reader) = (self.writer, self.reader);
        let (written, kind) = (writer.kind(w), reader.kind(r));
        if !is_same(written, kind) || written.name().is_some() && !self.same_name(w, r) {
            return Ok(false);
        }
        match (written, kind) {
            (Kind::Array(of), Kind::Array(as_)) | (Kind::Map(of), Kind::Map(as_)) => {
                self.is_equivalent(*of, *as_, seen)
            }
            (Kind::Fixed(of), Kind::Fixed(as_)) => Ok(of.size == as_.size),
            (Kind::Enum(of), Kind::Enum(as_)) => Ok(of.symbols == as_.symbols),
            (Kind::Union(of), Kind::Union(as_)) => {
                let mut are = of.len() == as_.len();
                for (of, as_) in of.iter().zip(as_) {
                    are = are && self.is_equivalent(*of, *as_, seen)?;
                }
                Ok(are)
            }
            (Kind::Record(of), Kind::Record(as_)) => {
                if let Some(known) = seen.get(&(w, r)) {
                    return Ok(*known);
                }
                // What is within itself is as the rest of it.
                seen.insert((w, r), true);
                let places = self.names.places(w, r);
                let in_order = places.iter().enumerate().all(|(index, place)| *place == Some(index));
                let mut are = of.fields.len() == as_.fields.len() && in_order;
                for (of, as_) in of.fields.iter().zip(&as_.fields) {
                    are = are && self.is_equivalent(of.of, as_.of, seen)?;
                }
                seen.insert((w, r), are);
                Ok(are)
            }
            (_, _) => Ok(true),
        }
    }

    fn mismatch(&self, w: TypeId, r: TypeId) -> Read {
        let (written, read) = (described(self.writer, w), described(self.reader, r));
        not(format!(
            "{written} of the writer's schema cannot be read as {read} of the reader's"
        ))
    }
}

fn resolved(of: Resolved) -> Read {
    Read::Resolved(Box::new(of))
}

fn not(why: String) -> Read {
    resolved(Resolved::Not(why.into()))
}

fn missing(writer: &Schema, w: TypeId, reader: &Schema, r: TypeId, field: &str) -> String {
    let (written, read) = (described(writer, w), described(reader, r));
    format!(
        "{read} of the reader's schema has a field {field} without a default, which {written} of the writer's has not"
    )
}

/// The symbols of the writer's as the reader has them.
fn symbols(of: &Enum, as_: &Enum) -> Read {
    let is_known = |symbol: &str| as_.symbols.iter().any(|known| &**known == symbol);
    let default = as_.default.as_deref().filter(|default| is_known(default));
    let read = of.symbols.iter().map(|symbol| {
        if is_known(symbol) {
            Symbol::Is(Arc::clone(symbol))
        } else {
            default.map_or_else(
                || Symbol::Unknown(Arc::clone(symbol)),
                |default| Symbol::Is(default.into()),
            )
        }
    });
    resolved(Resolved::Enum(read.collect()))
}

/// Whether both are of one kind; what is within them does not count, nor their names.
fn is_same(written: &Kind, kind: &Kind) -> bool {
    std::mem::discriminant(written) == std::mem::discriminant(kind)
}

fn is_promoted(written: &Kind, kind: &Kind) -> bool {
    matches!(
        (written, kind),
        (Kind::Int, Kind::Long | Kind::Float | Kind::Double)
            | (Kind::Long, Kind::Float | Kind::Double)
            | (Kind::Float, Kind::Double)
            | (Kind::String, Kind::Bytes)
            | (Kind::Bytes, Kind::String)
    )
}

fn simple(full: &str) -> &str {
    full.rsplit_once('.').map_or(full, |(_, simple)| simple)
}

/// A type as errors name it.
fn described(schema: &Schema, of: TypeId) -> String {
    let kind = schema.kind(of);
    match kind {
        Kind::Fixed(fixed) => format!("fixed {} of {} bytes", fixed.name.full(), fixed.size),
        Kind::Union(branches) => {
            let branches = branches.iter().map(|branch| described(schema, *branch));
            format!("the union of {}", branches.collect::<Vec<_>>().join(", "))
        }
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
        | Kind::Enum(_)
        | Kind::Record(_) => match kind.name() {
            Some(name) => format!("{} {}", kind.word(), name.full()),
            None => kind.word().to_owned(),
        },
    }
}
