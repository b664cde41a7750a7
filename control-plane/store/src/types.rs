//! Revisions, entries, pages: the small types that all stores share.

use crate::key::Key;
use bytes::Bytes;
use std::fmt;

/// What is kept under a key. Its meaning is the caller's.
pub type Value = Bytes;

/// The store's counter: each transaction that changes something has the next one. 0 is "never".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(u64);

impl Revision {
    /// Before the first change; as the revision of a key: the key does not exist.
    pub const NEVER: Self = Self(0);

    /// The revision of this number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The one after it.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.checked_add(1).expect("2^64 changes cannot happen"))
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The name of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseId(u64);

impl LeaseId {
    /// The lease of this number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

/// Something read, and the revision of the store that it was read at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versioned<T> {
    /// The store's revision: every change up to it is in, none after it.
    pub revision: Revision,
    /// What was read.
    pub value: T,
}

/// A key with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: Key,
    /// The value.
    pub value: Value,
    /// When the key came into being: a key that was deleted and put again is another one.
    pub create_revision: Revision,
    /// When it was last put.
    pub mod_revision: Revision,
    /// The lease with which it goes.
    pub lease: Option<LeaseId>,
}

/// One change of a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The key was put.
    Put(Entry),
    /// The key is gone: deleted, or its lease ended.
    Delete(Key),
}

impl Change {
    /// The key that changed.
    #[must_use]
    pub fn key(&self) -> &Key {
        match self {
            Self::Put(entry) => &entry.key,
            Self::Delete(key) => key,
        }
    }
}

/// How fresh a read has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// It shows everything that was committed before it began.
    Linearizable,
    /// It shows at least this revision: cheaper, as one server answers alone when it is that far.
    AtLeast(Revision),
}

/// Which part of a list is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The revision to read at; `None` is the newest (a linearizable read).
    pub at: Option<Revision>,
    /// Only keys after this one.
    pub after: Option<Key>,
    /// At most this many entries. A store may return fewer, and ask for fewer in the next page.
    pub limit: usize,
}

impl Page {
    /// Enough to list 10,000 keys in 20 calls, and 2.5 MB with values of 5 KB.
    pub const DEFAULT_LIMIT: usize = 500;

    /// The first page at the newest revision.
    #[must_use]
    pub fn first() -> Self {
        Self {
            at: None,
            after: None,
            limit: Self::DEFAULT_LIMIT,
        }
    }

    /// The first page at a revision.
    #[must_use]
    pub fn first_at(revision: Revision) -> Self {
        Self {
            at: Some(revision),
            ..Self::first()
        }
    }

    /// With at most so many entries; 0 counts as 1.
    #[must_use]
    pub fn limit(self, limit: usize) -> Self {
        Self {
            limit: limit.max(1),
            ..self
        }
    }
}

/// A part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListPage {
    /// What the page was read at, the same for all pages of a list.
    pub revision: Revision,
    /// Sorted by key.
    pub entries: Vec<Entry>,
    /// What to ask for next, at the same revision; `None` after the last page.
    pub next: Option<Page>,
}
