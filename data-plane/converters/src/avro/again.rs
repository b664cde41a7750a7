//! Records within themselves: a message says how often it goes through one. And records that stand in several places, which share their plan:
//! one of a few names may stand for very many.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use dray_connect::datum::{Datum, StructRef};
use dray_connect::schema::SchemaRef;
use dray_connect::{Error, Result};

use super::read::{Out, Read, no_branch, record};
use super::schema::{Kind, Schema, TypeId};
use super::wire::Bytes;
use super::write::{Planner, Record, mismatch};
use crate::again::{Again, Cells};

/// A record to be read, and what was written, where that is of another schema.
pub(super) type ReadId = (TypeId, Option<TypeId>);

/// How a record is read, and how many levels of a value it is until it may come again.
pub(super) type Levelled = (usize, Read);

/// How records that contain themselves are read, and those that stand in several places, each once.
#[derive(Debug, Default)]
pub(super) struct ReadCells {
    again: Cells<ReadId, Levelled>,
    /// How the fields of other records are read, by their type and the address of the schema, which is kept so that it stays its own.
    known: HashMap<(TypeId, usize), Known>,
}

/// A schema, and how the fields of its records are read.
type Known = (SchemaRef, Arc<[Read]>);

impl ReadCells {
    /// The record with that number, and its schema.
    pub(super) fn wanted(&self, number: usize) -> Option<(ReadId, SchemaRef)> {
        self.again.wanted(number)
    }

    pub(super) fn planned(&self, number: usize, plan: Read) {
        self.again.planned(number, (levels(&plan, &mut HashMap::new()), plan));
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
pub(super) fn plan(schema: &Schema, of: TypeId, connect: Option<&SchemaRef>) -> Result<(Read, ReadCells)> {
    let mut cells = ReadCells::default();
    let plan = Read::of(schema, of, connect, &mut cells)?;
    let mut next = 0;
    while let Some(((id, _), connect)) = cells.wanted(next) {
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
pub(super) struct ReadAgain {
    of: Again<Levelled>,
    /// The branch of null, where the record is one of two with it: to have it here takes less of the stack.
    pub(super) null: Option<i64>,
}

impl ReadAgain {
    /// A record whose schema is a reference, written as `written` where that is of another schema.
    pub(super) fn of(id: TypeId, written: Option<TypeId>, connect: &SchemaRef, cells: &mut ReadCells) -> Self {
        // What was written otherwise is planned with its schema, which has its own word on null.
        let of = cells.again.again_where((id, written), connect, |known| match written {
            Some(_) => known == connect,
            None => known.refers_to_same(connect),
        });
        Self { of, null: None }
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
        let cell = self.of.plan()?;
        let (levels, plan) = cell.get();
        out.levels = self.of.deeper(out.levels, *levels)?;
        let value = if let Read::Record(_, fields) = plan {
            record(&self.of.schema, fields, bytes, out)?
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

/// How records that contain themselves are written. Whether a branch of a union fits is tried out, with a planner that others have, too.
pub(super) type WriteCells = RefCell<Cells<TypeId, Record>>;

/// How records are written that were planned before, by the address of the schema, which is kept so that it stays its own.
pub(super) type KnownRecords = RefCell<HashMap<(TypeId, usize), KnownRecord>>;

pub(super) struct KnownRecord {
    pub(super) _schema: SchemaRef,
    /// Or why it does not fit.
    pub(super) made: Result<Arc<Record>, String>,
    /// So many records that contain themselves there were when it was made: it may refer to them.
    pub(super) again: usize,
}

/// What a plan for writing refers to, to be kept as long.
#[derive(Debug)]
pub(super) struct Kept {
    _cells: Cells<TypeId, Record>,
}

impl Kept {
    /// Of a planner that has nothing more to plan.
    pub(super) fn of(planner: Planner<'_>) -> Result<Self> {
        plan_all(&planner)?;
        Ok(Self {
            _cells: planner.again.into_inner(),
        })
    }
}

/// Makes the plans for all that is referred to by now.
pub(super) fn plan_all(planner: &Planner<'_>) -> Result<()> {
    loop {
        let next = planner.planned.get();
        let Some((id, connect)) = planner.again.borrow().wanted(next) else {
            return Ok(());
        };
        planner.planned.set(next + 1);
        let Kind::Record(record) = planner.schema.kind(id) else {
            return Err(Error::data("a schema within itself is written as a record only"));
        };
        let plan = planner.record(&connect, record)?;
        planner.again.borrow_mut().planned(next, plan);
    }
}

/// Appends a record within itself.
pub(super) fn write(of: &Again<Record>, record: StructRef<'_>, out: &mut Vec<u8>) -> Result<()> {
    if !SchemaRef::ptr_eq(record.schema(), &of.schema) && **record.schema() != *of.schema {
        return Err(mismatch());
    }
    of.plan()?.get().write(record, out)
}
