//! The trait that every metadata store implements, with the obligations that the conformance suite checks.

use crate::error::Error;
use crate::key::{Key, KeyRange};
use crate::txn::{Txn, TxnOutcome};
use crate::types::{Entry, LeaseId, ListPage, Page, Read, Revision, Versioned};
use crate::watch::Watch;
use async_trait::async_trait;
use std::time::Duration;

/// Keys and values with revisions, as etcd has them.
///
/// - There is one revision for the whole store. Each transaction that changes something has the next one; all that it changes has it as
///   its mod_revision. Revisions never go back.
/// - A transaction happens at one moment, between its call and its answer; [`Error::Unknown`] stretches that moment without an end.
/// - Every call ends in bounded time, waits inside the store included; only [`Watch::next`] waits for ever.
/// - Dropping a future of a write leaves its outcome unknown, of anything else it leaves nothing behind.
#[async_trait]
pub trait MetadataStore: Send + Sync + 'static {
    /// The entry of a key, if there is one, and the store's revision. [`Read::AtLeast`] a revision that the store has not reached
    /// fails with [`Error::Behind`].
    async fn get(&self, key: &Key, read: Read) -> Result<Versioned<Option<Entry>>, Error>;

    /// A part of the entries of a range, sorted by key. All pages of a list show one revision, whatever is written meanwhile.
    /// [`Error::Compacted`] when its history is gone before the last page.
    async fn list(&self, range: &KeyRange, page: Page) -> Result<ListPage, Error>;

    /// Writes, if all compares hold. The limits of [`Txn::validate`] are enforced before anything is sent. A put with a lease that has
    /// ended fails with [`Error::LeaseNotFound`], and nothing is written.
    async fn txn(&self, txn: Txn) -> Result<TxnOutcome, Error>;

    /// All changes in a range, after a revision: in order, each once, no revision left out or cut in two. See [`Watch`].
    async fn watch(&self, range: &KeyRange, after: Revision) -> Result<Watch, Error>;

    /// A new lease. It ends when it was not kept alive for its time to live, which may be longer than what was asked for.
    async fn grant(&self, ttl: Duration, kind: LeaseKind) -> Result<Lease, Error>;

    /// Starts the lease's time to live again. [`Error::LeaseNotFound`] once it has ended.
    async fn keep_alive(&self, lease: LeaseId) -> Result<(), Error>;

    /// Ends the lease at once, and deletes its keys in one revision. Succeeds if it has ended already.
    async fn revoke(&self, lease: LeaseId) -> Result<(), Error>;
}

/// Who a lease speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseKind {
    /// The process that asked for it, which keeps it alive. A store inside that process may end it as soon as the process is gone.
    Process,
    /// Nobody: its keys go after its time to live.
    Expiry,
}

/// What was granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Its name.
    pub id: LeaseId,
    /// Its time to live: whole seconds, and never less than what was asked for.
    pub ttl: Duration,
}

/// Everything in a range, at one revision. Fails with [`Error::Compacted`] if that takes longer than history is kept: try again.
pub async fn list_all(store: &dyn MetadataStore, range: &KeyRange) -> Result<Versioned<Vec<Entry>>, Error> {
    let mut value = Vec::new();
    let mut page = Page::first();
    loop {
        let part = store.list(range, page).await?;
        value.extend(part.entries);
        match part.next {
            Some(next) => page = next,
            None => {
                return Ok(Versioned {
                    revision: part.revision,
                    value,
                });
            }
        }
    }
}

/// Leases live for whole seconds, at least one, in every store: etcd counts in seconds.
pub(crate) fn whole_seconds(ttl: Duration) -> Duration {
    let up = u64::from(ttl.subsec_nanos() > 0);
    Duration::from_secs(ttl.as_secs().saturating_add(up).max(1))
}
