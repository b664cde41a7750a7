//! Records within themselves: a plan refers to one that is around it, and a message says how often it goes through. And records that stand in
//! several places, which share their plan: one of a few names may stand for very many.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock, Weak};

use dray_connect::datum::{Datum, StructRef};
use dray_connect::schema::{Schema as Connect, SchemaRef};
use dray_connect::{Error, Result};

use super::read::{Out, Read, no_branch, record};
use super::schema::{Kind, Schema, TypeId};
use super::wire::Bytes;
use super::write::{Planner, Record, mismatch};

/// Values within each other in what contains itself: reading recurses, and so does all that is done with a value.
pub(super) const MAX_LEVELS: usize = 200;

/// How a record is read, and how many levels of a value it is until it may come again.
type Plan = OnceLock<(usize, Read)>;

/// How records that contain themselves are read, each once.
#[derive(Debug, Default)]
pub(super) struct Cells {
    again: Vec<Cell>,
    /// How the fields of other records are read, by their type and the address of the schema, which is kept so that it stays its own.
    known: HashMap<(TypeId, usize), Known>,
}

/// A schema, and how the fields of its records are read.
type Known = (SchemaRef, Arc<[Read]>);

#[derive(Debug)]
struct Cell {
    id: TypeId,
    /// What was written, where that is of another schema.
    written: Option<TypeId>,
    connect: SchemaRef,
    plan: Arc<Plan>,
}

/// A record for which there is to be a plan.
pub(super) struct Wanted {
    pub(super) id: TypeId,
    pub(super) written: Option<TypeId>,
    /// No reference.
    pub(super) connect: SchemaRef,
}

impl Cells {
    /// The record with that number. They are planned one after the other, as they may lead to each other in a long chain; each may lead to
    /// more.
    pub(super) fn wanted(&self, number: usize) -> Option<Wanted> {
        let cell = self.again.get(number)?;
        Some(Wanted {
            id: cell.id,
            written: cell.written,
            connect: Connect::resolved(&cell.connect),
        })
    }

    pub(super) fn planned(&self, number: usize, plan: Read) {
        if let Some(cell) = self.again.get(number) {
            // Just asked for, and nobody else fills it.
            drop(cell.plan.set((levels(&plan, &mut HashMap::new()), plan)));
        }
    }

    /// The plan of a record's fields, if it was made before for another place.
    pub(super) fn known(&self, id: TypeId, connect: &SchemaRef) -> Option<Arc<[Read]>> {
        let (_, fields) = self.known.get(&(id, Arc::as_ptr(connect).addr()))?;
        Some(Arc::clone(fields))
    }

    pub(super) fn know(&mut self, id: TypeId, connect: &SchemaRef, fields: &Arc<[Read]>) {
        let entry = (SchemaRef::clone(connect), Arc::clone(fields));
        self.known.insert((id, Arc::as_ptr(connect).addr()), entry);
    }
}

/// A plan for a type, and what it refers to, which is to be kept as long.
pub(super) fn plan(schema: &Schema, of: TypeId, connect: Option<&SchemaRef>) -> Result<(Read, Cells)> {
    let mut cells = Cells::default();
    let plan = Read::of(schema, of, connect, &mut cells)?;
    let mut next = 0;
    while let Some(Wanted { id, connect, .. }) = cells.wanted(next) {
        let Kind::Record(record) = schema.kind(id) else {
            return Err(Error::data("a schema within itself is that of no record"));
        };
        let fields = Read::fields(schema, record, &connect, &mut cells)?;
        cells.planned(next, Read::Record(connect, fields));
        next += 1;
    }
    cells.known.clear();
    Ok((plan, cells))
}

/// A record within itself.
#[derive(Debug)]
pub(super) struct Again {
    schema: SchemaRef,
    /// Owned by the [`Cells`], as the plan in it leads back to this.
    plan: Weak<Plan>,
    /// The branch of null, where the record is one of two with it: to have it here takes less of the stack.
    pub(super) null: Option<i64>,
}

impl Again {
    /// A record whose schema is a reference, written as `written` where that is of another schema.
    pub(super) fn of(id: TypeId, written: Option<TypeId>, connect: &SchemaRef, cells: &mut Cells) -> Self {
        // What was written otherwise is planned with its schema, which has its own word on null.
        let same_schema = |known: &SchemaRef| match written {
            Some(_) => known == connect,
            None => known.refers_to_same(connect),
        };
        let is_it = |cell: &&Cell| (cell.id, cell.written) == (id, written) && same_schema(&cell.connect);
        let plan = match cells.again.iter().find(is_it) {
            Some(cell) => Arc::downgrade(&cell.plan),
            None => {
                let plan = Arc::new(Plan::new());
                let made = Arc::downgrade(&plan);
                cells.again.push(Cell {
                    id,
                    written,
                    connect: SchemaRef::clone(connect),
                    plan,
                });
                made
            }
        };
        Self {
            schema: Connect::resolved(connect),
            plan,
            null: None,
        }
    }

    pub(super) fn read(&self, bytes: &mut Bytes<'_>, out: &mut Out<'_>) -> Result<Datum> {
        if let Some(null) = self.null {
            let branch = bytes.long()?;
            if branch == null {
                return Ok(Datum::Null);
            }
            if branch != 1 - null {
                return Err(no_branch(branch, 2));
            }
        }
        let cell = self.plan.upgrade();
        let (levels, plan) = cell.as_deref().and_then(OnceLock::get).ok_or_else(no_plan)?;
        out.levels = out.levels.checked_sub(*levels).ok_or_else(|| too_deep(&self.schema))?;
        let value = if let Read::Record(_, fields) = plan {
            record(&self.schema, fields, bytes, out)?
        } else {
            plan.read(bytes, out)?
        };
        out.levels += levels;
        Ok(value)
    }
}

/// How deep what is read may nest before a record comes again; `known` by the address of fields.
fn levels(plan: &Read, known: &mut HashMap<usize, usize>) -> usize {
    match plan {
        Read::Array(of) | Read::Map(of) => 1 + levels(of, known),
        Read::Entries(of) => 1 + levels(&of.0, known).max(levels(&of.1, known)),
        Read::Record(_, fields) => {
            let address = Arc::as_ptr(fields).addr();
            if let Some(known) = known.get(&address) {
                return *known;
            }
            let made = 1 + fields.iter().map(|of| levels(of, known)).max().unwrap_or(0);
            known.insert(address, made);
            made
        }
        Read::Union(_, branches) => {
            let branches = branches.iter().flatten();
            1 + branches.map(|(_, of)| levels(of, known)).max().unwrap_or(0)
        }
        Read::Optional(_, of) => levels(of, known),
        Read::Resolved(of) => of.levels(|of| levels(of, known)),
        Read::Boolean
        | Read::Int8
        | Read::Int16
        | Read::Int32
        | Read::Int64
        | Read::Float32
        | Read::Float64
        | Read::String
        | Read::Bytes
        | Read::Fixed(_)
        | Read::Enum(_)
        | Read::Decimal(_)
        | Read::FixedDecimal(..)
        | Read::Date(_)
        | Read::Time(_)
        | Read::Timestamp
        | Read::Again(_)
        | Read::Anything => 0,
    }
}

/// How records that contain themselves are written, each once.
#[derive(Debug, Default)]
pub(super) struct WriteCells(RefCell<Vec<WriteCell>>);

type WriteCell = (TypeId, SchemaRef, Arc<OnceLock<Record>>);

impl WriteCells {
    pub(super) fn len(&self) -> usize {
        self.0.borrow().len()
    }

    /// Forgets the latest, where a plan did not fit.
    pub(super) fn truncate(&self, len: usize) {
        self.0.borrow_mut().truncate(len);
    }

    fn get(&self, index: usize) -> Option<WriteCell> {
        self.0.borrow().get(index).cloned()
    }
}

/// What a plan for writing refers to, to be kept as long.
#[derive(Debug)]
pub(super) struct Kept {
    _cells: Vec<WriteCell>,
}

impl Kept {
    /// Makes the plans for all that is referred to.
    pub(super) fn of(planner: Planner<'_>) -> Result<Self> {
        let mut next = 0;
        while let Some((id, connect, cell)) = planner.again.get(next) {
            let Kind::Record(record) = planner.schema.kind(id) else {
                return Err(Error::data("a schema within itself is written as a record only"));
            };
            drop(cell.set(planner.record(&Connect::resolved(&connect), record)?));
            next += 1;
        }
        Ok(Self {
            _cells: planner.again.0.into_inner(),
        })
    }
}

/// A record within itself.
#[derive(Debug)]
pub(super) struct WriteAgain {
    schema: SchemaRef,
    /// Owned by what is [`Kept`].
    of: Weak<OnceLock<Record>>,
}

impl WriteAgain {
    /// A struct whose schema is a reference, written as that record.
    pub(super) fn of(planner: &Planner<'_>, connect: &SchemaRef, id: TypeId) -> Self {
        let mut cells = planner.again.0.borrow_mut();
        let is_it = |cell: &&WriteCell| cell.0 == id && cell.1.refers_to_same(connect);
        let known = cells.iter().find(is_it).map(|cell| Arc::downgrade(&cell.2));
        let of = known.unwrap_or_else(|| {
            let cell = Arc::new(OnceLock::new());
            cells.push((id, SchemaRef::clone(connect), Arc::clone(&cell)));
            Arc::downgrade(&cell)
        });
        Self {
            schema: Connect::resolved(connect),
            of,
        }
    }

    pub(super) fn write(&self, record: StructRef<'_>, out: &mut Vec<u8>) -> Result<()> {
        if !SchemaRef::ptr_eq(record.schema(), &self.schema) && **record.schema() != *self.schema {
            return Err(mismatch());
        }
        let cell = self.of.upgrade();
        let plan = cell.as_deref().and_then(OnceLock::get).ok_or_else(no_plan)?;
        plan.write(record, out)
    }
}

#[cold]
fn no_plan() -> Error {
    Error::data("a record within itself has lost its plan")
}

#[cold]
fn too_deep(schema: &Connect) -> Error {
    let name = schema.name().unwrap_or("a record");
    Error::data(format!(
        "{name} contains itself so often that the value nests deeper than {MAX_LEVELS} levels"
    ))
}
