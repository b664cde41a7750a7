//! Records at small numbers: what the index refers to by number instead of by name, so that a reference costs four bytes.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::ops::{Index, IndexMut};

/// The place of a `T` in its [`Slab`]. Numbers of removed records are used again.
pub(super) struct Slot<T>(u32, PhantomData<fn() -> T>);

/// Records in the order of their slots; a removed one leaves a hole that the next one fills.
pub(super) struct Slab<T> {
    records: Vec<Option<T>>,
    holes: Vec<u32>,
}

impl<T> Slab<T> {
    pub(super) fn new() -> Self {
        Self {
            records: Vec::new(),
            holes: Vec::new(),
        }
    }

    pub(super) fn insert(&mut self, record: T) -> Slot<T> {
        if let Some(hole) = self.holes.pop() {
            self.records[hole as usize] = Some(record);
            return Slot(hole, PhantomData);
        }
        self.records.push(Some(record));
        let last = u32::try_from(self.records.len() - 1).expect("fewer than 2^32 records fit into memory");
        Slot(last, PhantomData)
    }

    pub(super) fn remove(&mut self, slot: Slot<T>) -> T {
        self.holes.push(slot.0);
        self.records[slot.0 as usize].take().expect("a slot is removed once")
    }

    pub(super) fn len(&self) -> usize {
        self.records.len() - self.holes.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Slot<T>, &T)> {
        let slots = (0u32..).map(|at| Slot(at, PhantomData));
        slots
            .zip(&self.records)
            .filter_map(|(slot, record)| Some((slot, record.as_ref()?)))
    }

    /// All slots in use, to walk over them while records change.
    pub(super) fn slots(&self) -> Vec<Slot<T>> {
        self.iter().map(|(slot, _)| slot).collect()
    }
}

impl<T> Index<Slot<T>> for Slab<T> {
    type Output = T;

    fn index(&self, slot: Slot<T>) -> &T {
        self.records[slot.0 as usize]
            .as_ref()
            .expect("no slot outlives its record")
    }
}

impl<T> IndexMut<Slot<T>> for Slab<T> {
    fn index_mut(&mut self, slot: Slot<T>) -> &mut T {
        self.records[slot.0 as usize]
            .as_mut()
            .expect("no slot outlives its record")
    }
}

// By hand: derived ones would ask the same of `T`.
impl<T> Clone for Slot<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Slot<T> {}

impl<T> PartialEq for Slot<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<T> Eq for Slot<T> {}

impl<T> PartialOrd for Slot<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Slot<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}

impl<T> Hash for Slot<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl<T> fmt::Debug for Slot<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}
