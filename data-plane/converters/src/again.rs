//! Plans for schemas that contain themselves: a plan refers to one that is around it, and a value says how often it goes through.
//!
//! What a plan is each format says itself. A message comes from outside and says how deep its values nest; all that is done with a
//! value recurses: so there is a limit, the same for all formats.

use std::sync::{Arc, OnceLock, Weak};

use dray_connect::schema::{Schema, SchemaRef};
use dray_connect::{Error, Result};

/// Values within each other in what contains itself.
pub(crate) const MAX_LEVELS: usize = 200;

/// How long an error may be that is still told the field it is in: a hundred structs within each other say enough then.
const MAX_PATH: usize = 300;

/// Plans that others refer to, each made once for a schema and that of the format, which `K` says.
#[derive(Debug)]
pub(crate) struct Cells<K, P>(Vec<Cell<K, P>>);

#[derive(Debug)]
struct Cell<K, P> {
    of: K,
    connect: SchemaRef,
    plan: Arc<OnceLock<P>>,
}

impl<K, P> Default for Cells<K, P> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Clone + PartialEq, P> Cells<K, P> {
    /// What a reference stands for. The plan for it is wanted from now on.
    pub(crate) fn again(&mut self, of: K, connect: &SchemaRef) -> Again<P> {
        self.again_where(of, connect, |known| known.refers_to_same(connect))
    }

    /// The same, where `is_it` says for which schemas a plan may be used.
    pub(crate) fn again_where(&mut self, of: K, connect: &SchemaRef, is_it: impl Fn(&SchemaRef) -> bool) -> Again<P> {
        let is_known = |cell: &Cell<K, P>| cell.of == of && is_it(&cell.connect);
        let number = self.0.iter().position(is_known).unwrap_or_else(|| {
            self.0.push(Cell {
                of,
                connect: SchemaRef::clone(connect),
                plan: Arc::new(OnceLock::new()),
            });
            self.0.len() - 1
        });
        let plan = Arc::downgrade(&self.0[number].plan);
        Again {
            schema: Schema::resolved(connect),
            plan,
        }
    }

    /// What the plan with that number is for, if there is one, and its schema, which is no reference. They are planned one after the
    /// other, as they may lead to each other in a long chain; each may lead to more.
    pub(crate) fn wanted(&self, number: usize) -> Option<(K, SchemaRef)> {
        let cell = self.0.get(number)?;
        Some((cell.of.clone(), Schema::resolved(&cell.connect)))
    }

    pub(crate) fn planned(&self, number: usize, plan: P) {
        if let Some(cell) = self.0.get(number) {
            // Just asked for, and nobody else fills it.
            drop(cell.plan.set(plan));
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Forgets the latest, where a plan did not fit.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }
}

/// A struct within itself.
#[derive(Debug)]
pub(crate) struct Again<P> {
    /// Of the values in this place. No reference.
    pub(crate) schema: SchemaRef,
    /// Owned by the [`Cells`], as the plan in it leads back to this.
    plan: Weak<OnceLock<P>>,
}

impl<P> Again<P> {
    /// The plan, while the [`Cells`] are there.
    pub(crate) fn plan(&self) -> Result<Plan<P>> {
        match self.plan.upgrade() {
            Some(plan) if plan.get().is_some() => Ok(Plan(plan)),
            Some(_) | None => Err(no_plan()),
        }
    }

    /// Goes so many levels further down.
    #[inline]
    pub(crate) fn deeper(&self, left: usize, levels: usize) -> Result<usize> {
        left.checked_sub(levels).ok_or_else(|| too_deep(&self.schema))
    }
}

/// A plan that is there.
pub(crate) struct Plan<P>(Arc<OnceLock<P>>);

impl<P> Plan<P> {
    #[inline]
    pub(crate) fn get(&self) -> &P {
        self.0.get().expect("it was there before")
    }
}

#[cold]
fn no_plan() -> Error {
    Error::data("a struct within itself has lost its plan")
}

#[cold]
fn too_deep(schema: &Schema) -> Error {
    let name = schema.name().unwrap_or("a struct without a name");
    Error::data(format!(
        "{name} contains itself so often that the value nests deeper than {MAX_LEVELS} levels"
    ))
}

/// Whether two structs have the same fields, where each may stand within itself.
pub(crate) fn has_same_fields(a: &Schema, b: &Schema) -> bool {
    if a.is_reference() && b.is_reference() {
        return a.refers_to_same(b);
    }
    let (within_a, within_b) = (a.refers_to(), b.refers_to());
    let (a, b) = (within_a.as_deref().unwrap_or(a), within_b.as_deref().unwrap_or(b));
    a.fields().ok() == b.fields().ok()
}

/// The error of a field, as far as there is room to say where it is.
#[cold]
pub(crate) fn within(name: &str, error: &Error) -> Error {
    let text = error.to_string();
    if text.len() > MAX_PATH {
        return Error::data(text);
    }
    Error::data(format!("{name}: {text}"))
}
