//! The metadata store: what is wanted and who owns it, in keys and values with revisions.
//!
//! [`MetadataStore`] is what the control plane writes to; every store behaves like etcd, whose words are used here. [`mod@mem`] is for
//! tests and simulation, [`mod@file`] for `dray standalone`, and etcd is in a crate of its own. All of them pass the same suite,
//! `conformance` (feature `testkit`). What the values mean is not known here: they are bytes.

#[cfg(any(test, feature = "testkit"))]
#[allow(clippy::unwrap_used)] // it is a test
pub mod conformance;

mod error;
pub mod file;
mod key;
pub mod keys;
mod leadership;
mod local;
pub mod mem;
mod state;
mod store;
mod txn;
mod types;
mod watch;

pub use error::{BoxError, Error};
pub use key::{Key, KeyRange};
pub use leadership::{Leadership, campaign};
pub use state::History;
pub use store::{Lease, LeaseKind, MetadataStore, list_all};
pub use txn::{Check, Compare, MAX_COMPARES, MAX_OPS, MAX_TXN_BYTES, Op, Txn, TxnOutcome};
pub use types::{Change, Entry, LeaseId, ListPage, Page, Read, Revision, Value, Versioned};
pub use watch::{Watch, WatchEvent};
