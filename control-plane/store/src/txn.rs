//! Transactions: all compares hold, and all is written at one revision; or nothing is.

use crate::error::Error;
use crate::key::{Key, KeyRange};
use crate::types::{Entry, LeaseId, Revision, Value};
use std::collections::BTreeSet;

/// Puts and deletes in one transaction. etcd takes 128 (`--max-txn-ops`); the rest is left for a store in between.
pub const MAX_OPS: usize = 120;
/// Compares in one transaction, for the same reason.
pub const MAX_COMPARES: usize = 120;
/// Keys and values of one transaction. etcd takes 1.5 MiB (`--max-request-bytes`), framing included.
pub const MAX_TXN_BYTES: usize = 1_500_000;
/// What one compare or operation costs beside its key and value, at most.
const FRAMING: usize = 64;

/// A transaction, built call by call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Txn {
    /// What has to hold, all of it.
    pub compares: Vec<Compare>,
    /// What is done then. No key may be changed twice.
    pub ops: Vec<Op>,
}

/// What has to hold of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compare {
    /// The key.
    pub key: Key,
    /// The condition.
    pub check: Check,
}

/// A condition on one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// Its create_revision is this; [`Revision::NEVER`] is: there is no such key.
    Created(Revision),
    /// Its mod_revision is this; [`Revision::NEVER`] is: there is no such key.
    Modified(Revision),
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Writes a value. A key that is put without a lease loses the one it had.
    Put {
        /// The key.
        key: Key,
        /// Its new value.
        value: Value,
        /// The lease with which it goes.
        lease: Option<LeaseId>,
    },
    /// Removes the keys that are there.
    Delete(KeyRange),
}

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TxnOutcome {
    /// All was written, at this revision. When nothing had to change (a delete of what was not there), it is the revision of before.
    Committed(Revision),
    /// A compare did not hold, and nothing was written.
    Conflict {
        /// The revision at which it did not hold.
        revision: Revision,
        /// What the compared keys are at that revision, in the order of the compares.
        current: Vec<Option<Entry>>,
    },
}

impl Txn {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Only if the key does not exist.
    #[must_use]
    pub fn if_absent(self, key: &Key) -> Self {
        self.compare(key, Check::Created(Revision::NEVER))
    }

    /// Only if the key was created at this revision: the leader's term, most often.
    #[must_use]
    pub fn if_created(self, key: &Key, revision: Revision) -> Self {
        self.compare(key, Check::Created(revision))
    }

    /// Only if the key was last put at this revision.
    #[must_use]
    pub fn if_modified(self, key: &Key, revision: Revision) -> Self {
        self.compare(key, Check::Modified(revision))
    }

    /// Writes a value.
    #[must_use]
    pub fn put(self, key: &Key, value: impl Into<Value>) -> Self {
        self.op(Op::Put {
            key: key.clone(),
            value: value.into(),
            lease: None,
        })
    }

    /// Writes a value that goes with the lease.
    #[must_use]
    pub fn put_leased(self, key: &Key, value: impl Into<Value>, lease: LeaseId) -> Self {
        self.op(Op::Put {
            key: key.clone(),
            value: value.into(),
            lease: Some(lease),
        })
    }

    /// Removes a key, or all keys below one.
    #[must_use]
    pub fn delete(self, range: KeyRange) -> Self {
        self.op(Op::Delete(range))
    }

    fn compare(mut self, key: &Key, check: Check) -> Self {
        self.compares.push(Compare {
            key: key.clone(),
            check,
        });
        self
    }

    fn op(mut self, op: Op) -> Self {
        self.ops.push(op);
        self
    }

    /// What counts towards [`MAX_TXN_BYTES`].
    #[must_use]
    pub fn bytes(&self) -> usize {
        let compares: usize = self
            .compares
            .iter()
            .map(|compare| 2 * (compare.key.as_bytes().len() + FRAMING))
            .sum();
        let ops = self.ops.iter().map(|op| match op {
            Op::Put { key, value, lease: _ } => FRAMING + key.as_bytes().len() + value.len(),
            Op::Delete(range) => FRAMING + 2 * range.as_bytes().len(),
        });
        compares + ops.sum::<usize>()
    }

    /// The leases that it attaches keys to.
    pub fn leases(&self) -> impl Iterator<Item = LeaseId> {
        self.ops.iter().filter_map(|op| match op {
            Op::Put { lease, .. } => *lease,
            Op::Delete(_) => None,
        })
    }

    /// Refuses what a store could not take. Every store calls it before it does anything else.
    pub fn validate(&self) -> Result<(), Error> {
        let limits = [
            ("operations", self.ops.len(), MAX_OPS),
            ("compares", self.compares.len(), MAX_COMPARES),
            ("bytes", self.bytes(), MAX_TXN_BYTES),
        ];
        for (what, found, limit) in limits {
            if found > limit {
                return Err(Error::Limit { what, found, limit });
            }
        }
        let mut puts = BTreeSet::new();
        for op in &self.ops {
            if let Op::Put { key, .. } = op
                && !puts.insert(key)
            {
                return Err(Error::Twice { key: key.clone() });
            }
        }
        // Two deletes of one key are one delete.
        for op in &self.ops {
            let twice = match op {
                Op::Put { .. } => None,
                Op::Delete(range) => puts.range(range.start()..).next().filter(|key| range.contains(key)),
            };
            if let Some(key) = twice {
                return Err(Error::Twice { key: (*key).clone() });
            }
        }
        Ok(())
    }
}
