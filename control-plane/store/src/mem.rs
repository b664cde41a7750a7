//! The store in memory, for tests and simulation: it behaves like etcd, and fails on demand. Nothing is random and all time is tokio's,
//! so that a test on paused time is the same each time.

use crate::error::Error;
use crate::key::{Key, KeyRange};
use crate::local::{Advance, Ends, Local};
use crate::state::{Core, History, Pending, Planned};
use crate::store::{Lease, LeaseKind, MetadataStore, whole_seconds};
use crate::txn::{Txn, TxnOutcome};
use crate::types::{Entry, LeaseId, ListPage, Page, Read, Revision, Versioned};
use crate::watch::Watch;
use async_trait::async_trait;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// A client of a store in memory. Each client has faults of its own: [`client`](Self::client) makes another one of the same store.
pub struct MemStore {
    world: Arc<World>,
    script: Mutex<Script>,
    ends: watch::Sender<Ends>,
}

/// What all clients share.
struct World {
    local: Arc<Local>,
    late: Mutex<Late>,
}

/// What happens later, or was counted.
#[derive(Default)]
struct Late {
    /// Transactions that nobody waits for any more, with the time at which they arrive.
    txns: Vec<(Instant, Txn)>,
    leases: u64,
}

#[derive(Default)]
struct Script {
    faults: BTreeMap<Call, VecDeque<Fault>>,
    latency: Duration,
    cut_off: bool,
}

/// The calls of [`MetadataStore`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)] // the trait says it
pub enum Call {
    Get,
    List,
    Txn,
    Watch,
    Grant,
    KeepAlive,
    Revoke,
}

/// How a call goes wrong.
#[derive(Debug)]
pub enum Fault {
    /// It fails with this error, and nothing is changed.
    Fail(Error),
    /// It takes so much longer, half of it before it happens and half after.
    Slow(Duration),
    /// A transaction is applied, and its outcome is [`Error::Unknown`].
    UnknownApplied,
    /// A transaction is not applied, and its outcome is [`Error::Unknown`].
    UnknownNotApplied,
    /// A transaction's outcome is [`Error::Unknown`], and so much later it is applied, if its compares hold then.
    UnknownLate(Duration),
}

impl Default for MemStore {
    fn default() -> Self {
        Self::new(History::default())
    }
}

impl MemStore {
    /// An empty store that keeps so much history.
    #[must_use]
    pub fn new(history: History) -> Self {
        // etcd's first write has revision 2 as well.
        let core = Core::new(Revision::new(1), BTreeMap::new(), history);
        Self::of(Arc::new(World {
            local: Arc::new(Local::new(core)),
            late: Mutex::default(),
        }))
    }

    fn of(world: Arc<World>) -> Self {
        Self {
            world,
            script: Mutex::default(),
            ends: watch::Sender::new(Ends::default()),
        }
    }

    /// Another client of the same store, without faults.
    #[must_use]
    pub fn client(&self) -> Self {
        Self::of(self.world.clone())
    }

    /// The next call of this kind goes wrong; several faults take one call each, in order.
    pub fn fail_next(&self, call: Call, fault: Fault) {
        lock(&self.script).faults.entry(call).or_default().push_back(fault);
    }

    /// Every call of this client takes so long, half of it before it happens and half after.
    pub fn set_latency(&self, latency: Duration) {
        lock(&self.script).latency = latency;
    }

    /// Cuts this client off, or connects it again: every call fails with [`Error::Unavailable`], and its watches end.
    pub fn set_cut_off(&self, cut_off: bool) {
        lock(&self.script).cut_off = cut_off;
        if cut_off {
            self.cancel_watches();
        }
    }

    /// Ends the open watches of this client with an error.
    pub fn cancel_watches(&self) {
        self.ends.send_modify(|ends| ends.cancelled += 1);
    }

    /// Ends the open watches of this client without a word.
    pub fn drop_watches(&self) {
        self.ends.send_modify(|ends| ends.dropped += 1);
    }

    /// Ends all leases, long before their time.
    pub fn lose_leases(&self) {
        let leases: Vec<LeaseId> = self.world.local.lock().leases().keys().copied().collect();
        for lease in leases {
            self.world.end(lease);
        }
    }

    /// Forgets the history before a revision.
    pub fn compact(&self, revision: Revision) {
        self.world.local.lock().compact(revision);
        self.world.local.publish();
    }

    /// What every call does first.
    async fn begin(&self, call: Call, doing: &'static str) -> Result<(Option<Fault>, Duration), Error> {
        let (fault, latency, cut_off) = {
            let mut script = lock(&self.script);
            let fault = script.faults.get_mut(&call).and_then(VecDeque::pop_front);
            (fault, script.latency, script.cut_off)
        };
        let (fault, slower) = match fault {
            Some(Fault::Slow(slower)) => (None, slower),
            other => (other, Duration::ZERO),
        };
        let half = (latency + slower) / 2;
        pause(half).await;
        self.world.advance(Instant::now());
        match fault {
            _ if cut_off => Err(unavailable(doing)),
            Some(Fault::Fail(error)) => Err(error),
            other => Ok((other, half)),
        }
    }
}

impl World {
    /// Makes what is due: leases that ended, late transactions. Each at its own time, in order.
    fn advance(&self, now: Instant) -> Option<Instant> {
        loop {
            let lease = self.local.lock().first_end();
            let txn = lock(&self.late)
                .txns
                .iter()
                .map(|(at, _)| *at)
                .enumerate()
                .min_by_key(|(_, at)| *at);
            match (lease, txn) {
                (Some((end, lease)), txn) if end <= now && txn.is_none_or(|(_, at)| end <= at) => self.end(lease),
                (_, Some((index, at))) if at <= now => {
                    let (_, txn) = lock(&self.late).txns.remove(index);
                    if let Err(error) = self.commit(txn) {
                        tracing::debug!(%error, "a late transaction was refused");
                    }
                }
                (lease, txn) => return lease.map(|(end, _)| end).into_iter().chain(txn.map(|(_, at)| at)).min(),
            }
        }
    }

    fn commit(&self, txn: Txn) -> Result<TxnOutcome, Error> {
        let mut core = self.local.lock();
        let outcome = match core.plan(txn, &Pending::default())? {
            Planned::Answer(outcome) => outcome,
            Planned::Write(plan) => {
                let revision = plan.revision;
                core.apply(plan);
                TxnOutcome::Committed(revision)
            }
        };
        drop(core);
        self.local.publish();
        Ok(outcome)
    }

    fn end(&self, lease: LeaseId) {
        let mut core = self.local.lock();
        if let Some(plan) = core.plan_end(lease, &Pending::default()) {
            core.apply(plan);
        }
        core.end(lease);
        drop(core);
        self.local.publish();
    }
}

#[async_trait]
impl MetadataStore for MemStore {
    async fn get(&self, key: &Key, read: Read) -> Result<Versioned<Option<Entry>>, Error> {
        let (_, rest) = self.begin(Call::Get, "read a key").await?;
        let answer = self.world.local.lock().get(key, read);
        pause(rest).await;
        answer
    }

    async fn list(&self, range: &KeyRange, page: Page) -> Result<ListPage, Error> {
        let (_, rest) = self.begin(Call::List, "list keys").await?;
        let answer = self.world.local.lock().list(range, &page);
        pause(rest).await;
        answer
    }

    async fn txn(&self, txn: Txn) -> Result<TxnOutcome, Error> {
        txn.validate()?;
        let (fault, rest) = self.begin(Call::Txn, "write a transaction").await?;
        let unknown = || Error::Unknown {
            doing: "write a transaction",
            source: "no answer came in time".into(),
        };
        let answer = match fault {
            Some(Fault::UnknownApplied) => self.world.commit(txn).and(Err(unknown())),
            Some(Fault::UnknownNotApplied) => Err(unknown()),
            Some(Fault::UnknownLate(after)) => {
                lock(&self.world.late).txns.push((Instant::now() + after, txn));
                // Watchers wait for it from now on.
                self.world.local.publish();
                Err(unknown())
            }
            Some(Fault::Fail(_) | Fault::Slow(_)) | None => self.world.commit(txn),
        };
        pause(rest).await;
        answer
    }

    async fn watch(&self, range: &KeyRange, after: Revision) -> Result<Watch, Error> {
        let (_, rest) = self.begin(Call::Watch, "watch").await?;
        let world = self.world.clone();
        let advance: Advance = Arc::new(move |now| world.advance(now));
        let watch = self.world.local.watch(range, after, self.ends.subscribe(), advance);
        pause(rest).await;
        Ok(watch)
    }

    async fn grant(&self, ttl: Duration, _kind: LeaseKind) -> Result<Lease, Error> {
        let (_, rest) = self.begin(Call::Grant, "grant a lease").await?;
        let ttl = whole_seconds(ttl);
        let id = {
            let mut late = lock(&self.world.late);
            late.leases += 1;
            LeaseId::new(late.leases)
        };
        self.world.local.lock().grant(id, ttl, Instant::now());
        // Watchers wait for its end from now on.
        self.world.local.publish();
        pause(rest).await;
        Ok(Lease { id, ttl })
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<(), Error> {
        let (_, rest) = self.begin(Call::KeepAlive, "keep a lease alive").await?;
        let answer = self.world.local.lock().keep_alive(lease, Instant::now());
        pause(rest).await;
        answer
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), Error> {
        let (_, rest) = self.begin(Call::Revoke, "end a lease").await?;
        self.world.end(lease);
        pause(rest).await;
        Ok(())
    }
}

fn unavailable(doing: &'static str) -> Error {
    Error::Unavailable {
        doing,
        source: "the client is cut off".into(),
    }
}

async fn pause(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}

/// Nothing can panic half-way through a change, so a poisoned lock tells nothing.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
