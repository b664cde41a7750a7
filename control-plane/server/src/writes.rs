//! Carries out what the machine wants written, under the leader's term.
//!
//! Writes that wait are merged into few transactions, several at a time. What is wanted of one record happens in the order in which it
//! was wanted. A transaction whose outcome is unknown is simply sent again: each record that it puts or removes is also compared, so
//! only one attempt can be applied, and the conflict of a later one brings the records, which say whether an earlier one was.

mod names;
#[cfg(test)]
mod tests;
mod transaction;

use crate::cache::State;
use crate::codec;
use dray_machine::cluster::{Name, Outcome, Revision as Modified, Write, WriteId};
use dray_process::chain;
use dray_store::keys::Keys;
use dray_store::{Key, MAX_OPS, MAX_TXN_BYTES, MetadataStore, Op, Revision, Txn};
use dray_wire::store::Rest;
use names::Names;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::task::JoinSet;
use transaction::{Fate, Transaction};

/// Transactions on their way: what etcd's round trips hide, and little beside its own batches.
const IN_FLIGHT: usize = 4;
/// Compares leave one for the leader's key.
const MAX_COMPARES: usize = dray_store::MAX_COMPARES - 1;
/// For the compare of the leader's key.
const RESERVED_BYTES: usize = 1_024;

/// A write that was not told yet.
struct Pending {
    write: Write,
    /// The transaction of it alone, without the leader's compare.
    txn: Txn,
    /// Parts of a large task set, to be there before its manifest is.
    parts: Vec<(Key, bytes::Bytes)>,
    /// It cannot be written at all. It waits for its turn all the same.
    unfit: Option<codec::Error>,
}

impl Pending {
    /// Whether it may be merged with others. Parts go before their set, and a set that has them is large.
    fn goes_along(&self) -> bool {
        self.parts.is_empty() && self.unfit.is_none()
    }
}

/// A write that will never be applied, because of changes that have to be told first.
struct InTheWay {
    write: Write,
    /// When the compares did not hold.
    revision: Revision,
    /// What was found instead.
    found: Vec<(Name, Modified)>,
}

/// What has become of some writes.
#[derive(Debug)]
pub(crate) enum Settled {
    /// These came to their end.
    Written(Vec<(WriteId, Outcome)>),
    /// Somebody else leads, or nobody. Nothing more will be applied.
    NotLeader,
}

/// The writes of one leader. Dropping it stops all; what was on its way may still be applied as long as the term lasts.
pub(crate) struct Writes {
    store: Arc<dyn MetadataStore>,
    keys: Keys,
    term: Revision,
    waiting: VecDeque<Pending>,
    /// What is on its way or in the way.
    locked: Names,
    in_flight: JoinSet<(Vec<Pending>, Fate)>,
    in_the_way: Vec<InTheWay>,
}

impl Writes {
    pub(crate) fn new(store: Arc<dyn MetadataStore>, keys: Keys, term: Revision) -> Self {
        Self {
            store,
            keys,
            term,
            waiting: VecDeque::new(),
            locked: Names::default(),
            in_flight: JoinSet::new(),
            in_the_way: Vec::new(),
        }
    }

    /// Takes a write. It is sent by [`pump`](Self::pump).
    pub(crate) fn want(&mut self, write: Write, state: &State) {
        let mut pending = Pending {
            txn: Txn::new(),
            parts: Vec::new(),
            unfit: None,
            write,
        };
        pending.unfit = self.translate(&mut pending, state).err();
        self.waiting.push_back(pending);
    }

    fn translate(&self, pending: &mut Pending, state: &State) -> Result<(), codec::Error> {
        let key = |name: &Name| self.keys.key(&codec::store_name(name));
        let mut txn = Txn::new();
        for (name, revision) in &pending.write.compares {
            txn = txn.if_modified(&key(name), Revision::new(revision.0));
        }
        let nothing = Rest::default();
        for (name, record) in &pending.write.puts {
            let rest = state.get(name).map_or(&nothing, |kept| &kept.rest);
            let encoded = codec::encode(record, rest)?;
            txn = txn.put(&key(name), encoded.value);
            if let Name::Tasks(connector) = name {
                let part = |digest: Vec<u8>| self.keys.key(&dray_store::keys::Name::Part(connector.clone(), digest));
                for old in state.parts_of(connector) {
                    if !encoded.parts.iter().any(|(digest, _)| digest == old) {
                        txn = txn.delete(part(old.clone()).only());
                    }
                }
                let parts = encoded.parts.into_iter();
                pending.parts.extend(parts.map(|(digest, bytes)| (part(digest), bytes)));
            }
        }
        for name in &pending.write.deletes {
            txn = txn.delete(key(name).only());
            match name {
                Name::Tasks(connector) => txn = txn.delete(self.keys.parts(connector)),
                Name::Spec(connector) => {
                    let topics = dray_store::keys::Name::Topics(connector.clone());
                    txn = txn.delete(self.keys.key(&topics).only());
                }
                Name::Meta | Name::Own(..) | Name::Agent(_) => {}
            }
        }
        pending.txn = txn;
        Ok(())
    }

    /// Sends as much as may be on its way at once.
    pub(crate) fn pump(&mut self) {
        while self.in_flight.len() < IN_FLIGHT {
            let batch = self.take_batch();
            if batch.is_empty() {
                return;
            }
            let transaction = Transaction {
                store: self.store.clone(),
                keys: self.keys.clone(),
                term: self.term,
                txn: merged(&batch),
            };
            self.in_flight.spawn(async move {
                let fate = transaction.carry_out(&batch).await;
                (batch, fate)
            });
        }
    }

    /// The next writes that may go together, in the order in which they were wanted; their names are locked.
    fn take_batch(&mut self) -> Vec<Pending> {
        let mut batch = Batch::default();
        let mut passed = Names::default();
        let mut left = VecDeque::with_capacity(self.waiting.len());
        while let Some(pending) = self.waiting.pop_front() {
            let free = !self.locked.hinder(&pending.write) && !passed.hinder(&pending.write);
            if free && batch.fits(&pending) {
                batch.add(pending);
                continue;
            }
            passed.add(&pending.write);
            left.push_back(pending);
            if batch.ops >= MAX_OPS {
                break;
            }
        }
        left.append(&mut self.waiting);
        self.waiting = left;
        for pending in &batch.writes {
            self.locked.add(&pending.write);
        }
        batch.writes
    }

    /// Whether anything is on its way, waits or is in the way.
    #[cfg(test)]
    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.in_flight.is_empty() && self.in_the_way.is_empty()
    }

    /// Waits for a transaction to end. Waits for ever while none is on its way; dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Settled {
        loop {
            match self.in_flight.join_next().await {
                Some(Ok((batch, fate))) => return self.settle(batch, fate),
                // They neither panic nor are they aborted.
                Some(Err(error)) => {
                    tracing::error!(%error, "a write of the leader was lost");
                    return Settled::NotLeader;
                }
                None => std::future::pending().await,
            }
        }
    }

    /// Stops, and waits until nothing of it runs.
    pub(crate) async fn shutdown(&mut self) {
        self.in_flight.shutdown().await;
    }

    fn settle(&mut self, batch: Vec<Pending>, fate: Fate) -> Settled {
        let all =
            |outcome: Outcome, batch: &[Pending]| batch.iter().map(|pending| (pending.write.id, outcome)).collect();
        match fate {
            Fate::NotLeader => Settled::NotLeader,
            Fate::Applied(revision) => {
                self.unlock(&batch);
                Settled::Written(all(Outcome::Applied(Modified(revision.get())), &batch))
            }
            Fate::Refused(error) => {
                tracing::error!(writes = batch.len(), error = %chain(error.as_ref()), "a write of the leader is refused");
                self.unlock(&batch);
                Settled::Written(all(Outcome::Refused, &batch))
            }
            Fate::Conflict { revision, found } => {
                for pending in batch.into_iter().rev() {
                    let differs = |(name, revision): &(Name, Modified)| {
                        let found = found.iter().find(|(found, _)| found == name)?;
                        (found.1 != *revision).then(|| found.clone())
                    };
                    let found: Vec<_> = pending.write.compares.iter().filter_map(differs).collect();
                    if found.is_empty() {
                        // It was only together with others: again, before everything that was wanted later.
                        self.locked.remove(&pending.write);
                        self.waiting.push_front(pending);
                    } else {
                        self.in_the_way.push(InTheWay {
                            write: pending.write,
                            revision,
                            found,
                        });
                    }
                }
                Settled::Written(Vec::new())
            }
        }
    }

    /// The writes that were in conflict with something that has been told now: everything up to `told`.
    pub(crate) fn told(&mut self, told: &State) -> Vec<(WriteId, Outcome)> {
        let is_told = |blocked: &InTheWay| {
            told.revision >= blocked.revision
                || blocked.found.iter().all(|(name, found)| match found.0 {
                    0 => told.get(name).is_none(),
                    _ => told.revision_of(name) >= *found,
                })
        };
        let mut ended = Vec::new();
        for blocked in std::mem::take(&mut self.in_the_way) {
            if is_told(&blocked) {
                self.locked.remove(&blocked.write);
                ended.push((blocked.write.id, Outcome::Conflict));
            } else {
                self.in_the_way.push(blocked);
            }
        }
        ended
    }

    fn unlock(&mut self, batch: &[Pending]) {
        for pending in batch {
            self.locked.remove(&pending.write);
        }
    }
}

/// Writes that go together.
#[derive(Default)]
struct Batch {
    writes: Vec<Pending>,
    names: Names,
    /// What is compared, each once.
    compares: Vec<(Name, Modified)>,
    ops: usize,
    bytes: usize,
}

impl Batch {
    fn fits(&self, pending: &Pending) -> bool {
        // One that is too large by itself is sent all the same: the store says so.
        let Some(first) = self.writes.first() else { return true };
        first.goes_along()
            && pending.goes_along()
            && self.ops + pending.txn.ops.len() <= MAX_OPS
            && self.compares.len() + pending.txn.compares.len() <= MAX_COMPARES
            && self.bytes + pending.txn.bytes() <= MAX_TXN_BYTES - RESERVED_BYTES
            && !self.names.hinder(&pending.write)
            // What two only look at may be looked at together, unless they expect different things.
            && pending.write.compares.iter().all(|(name, revision)| {
                self.compares.iter().all(|(known, expected)| known != name || expected == revision)
            })
    }

    fn add(&mut self, pending: Pending) {
        self.names.add(&pending.write);
        for compare in &pending.write.compares {
            if !self.compares.contains(compare) {
                self.compares.push(compare.clone());
            }
        }
        self.ops += pending.txn.ops.len();
        self.bytes += pending.txn.bytes();
        self.writes.push(pending);
    }
}

/// One transaction of all, without the leader's compare; each record is compared once.
fn merged(batch: &[Pending]) -> Txn {
    let mut txn = Txn::new();
    for pending in batch {
        for compare in &pending.txn.compares {
            if !txn.compares.contains(compare) {
                txn.compares.push(compare.clone());
            }
        }
        txn.ops.extend(pending.txn.ops.iter().cloned());
    }
    txn
}

/// The value that a write puts under a key.
fn put_value<'a>(batch: &'a [Pending], key: &Key) -> Option<(&'a Write, &'a bytes::Bytes)> {
    batch.iter().find_map(|pending| {
        pending.txn.ops.iter().find_map(|op| match op {
            Op::Put { key: put, value, .. } if put == key => Some((&pending.write, value)),
            Op::Put { .. } | Op::Delete(_) => None,
        })
    })
}
