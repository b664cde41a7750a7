//! The state that the stores of this crate share: entries, revision, recent history, leases. Pure: time is passed in, and a change is
//! first worked out (`plan`), then made (`apply`), so that the file store can write it down in between.

use crate::error::Error;
use crate::key::{Key, KeyRange};
use crate::txn::{Check, Op, Txn, TxnOutcome};
use crate::types::{Change, Entry, LeaseId, ListPage, Page, Read, Revision, Versioned};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;
use tokio::time::Instant;

/// A page is cut at this size, as its receiver holds it in memory: larger than the largest entry.
const PAGE_BYTES: usize = 4 << 20;

/// How much history is kept for watchers that are behind and for lists that take long. Both limits hold.
#[derive(Clone, Copy, Debug)]
pub struct History {
    /// So many revisions.
    pub revisions: usize,
    /// So many bytes of keys and values, those of before the change included.
    pub bytes: usize,
}

impl Default for History {
    /// Minutes at the few writes a second of a control plane, and no more memory than one full page of etcd.
    fn default() -> Self {
        Self {
            revisions: 10_000,
            bytes: 32 << 20,
        }
    }
}

/// All that changes at one revision, worked out and not yet made.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) revision: Revision,
    pub(crate) steps: Vec<Step>,
}

/// One change, and what was there before.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) change: Change,
    before: Option<Entry>,
}

/// What a transaction came to.
pub(crate) enum Planned {
    Write(Plan),
    /// Answered without a write.
    Answer(TxnOutcome),
}

/// Changes that are worked out and will be made, but are not made yet: what the next plan builds on.
#[derive(Default)]
pub(crate) struct Pending {
    entries: BTreeMap<Key, Option<Entry>>,
    revision: Option<Revision>,
}

#[derive(Debug)]
pub(crate) struct LeaseState {
    ttl: Duration,
    end: Instant,
}

#[derive(Debug)]
pub(crate) struct Core {
    entries: BTreeMap<Key, Entry>,
    revision: Revision,
    /// The last revisions without a gap, the newest at the back.
    history: VecDeque<Plan>,
    history_bytes: usize,
    keep: History,
    leases: BTreeMap<LeaseId, LeaseState>,
}

impl Pending {
    pub(crate) fn push(&mut self, plan: &Plan) {
        self.revision = Some(plan.revision);
        for step in &plan.steps {
            let after = match &step.change {
                Change::Put(entry) => Some(entry.clone()),
                Change::Delete(_) => None,
            };
            self.entries.insert(step.change.key().clone(), after);
        }
    }
}

impl Core {
    pub(crate) fn new(revision: Revision, entries: BTreeMap<Key, Entry>, keep: History) -> Self {
        Self {
            entries,
            revision,
            history: VecDeque::new(),
            history_bytes: 0,
            keep,
            leases: BTreeMap::new(),
        }
    }

    pub(crate) fn revision(&self) -> Revision {
        self.revision
    }

    /// The oldest revision that can be listed, and after which a watch can start.
    pub(crate) fn oldest(&self) -> Revision {
        Revision::new(self.revision.get() - self.history.len() as u64)
    }

    pub(crate) fn get(&self, key: &Key, read: Read) -> Result<Versioned<Option<Entry>>, Error> {
        match read {
            Read::AtLeast(asked) if asked > self.revision => Err(Error::Behind {
                asked,
                current: self.revision,
            }),
            Read::AtLeast(_) | Read::Linearizable => Ok(Versioned {
                revision: self.revision,
                value: self.entries.get(key).cloned(),
            }),
        }
    }

    pub(crate) fn list(&self, range: &KeyRange, page: &Page) -> Result<ListPage, Error> {
        let revision = page.at.unwrap_or(self.revision);
        if revision > self.revision {
            return Err(Error::Behind {
                asked: revision,
                current: self.revision,
            });
        }
        if revision < self.oldest() {
            return Err(Error::Compacted {
                asked: revision,
                oldest: self.oldest(),
            });
        }
        // What was different then. From new to old, so that the oldest "before" stays.
        let mut then = BTreeMap::new();
        for plan in self.history.iter().rev().take_while(|plan| plan.revision > revision) {
            then.extend(
                plan.steps
                    .iter()
                    .map(|step| (step.change.key().clone(), step.before.clone())),
            );
        }
        let mut entries: Vec<Entry> = Vec::new();
        let mut bytes = 0;
        let mut more = false;
        for entry in self.range(range, page.after.as_ref(), &then) {
            bytes += entry.key.as_bytes().len() + entry.value.len();
            if entries.len() == page.limit.max(1) || (bytes > PAGE_BYTES && !entries.is_empty()) {
                more = true;
                break;
            }
            entries.push(entry.clone());
        }
        let after = entries.last().filter(|_| more).map(|entry| entry.key.clone());
        let next = after.map(|after| Page {
            at: Some(revision),
            after: Some(after),
            limit: page.limit,
        });
        Ok(ListPage {
            revision,
            entries,
            next,
        })
    }

    /// The entries of a range in order, where `instead` overrules what is in `entries`.
    fn range<'a>(
        &'a self,
        range: &'a KeyRange,
        after: Option<&Key>,
        instead: &'a BTreeMap<Key, Option<Entry>>,
    ) -> impl Iterator<Item = &'a Entry> {
        use std::ops::Bound::{Excluded, Included, Unbounded};
        let start = range.start();
        let from = match after {
            Some(after) if *after >= start => Excluded(after.clone()),
            Some(_) | None => Included(start),
        };
        let mut ours = self
            .entries
            .range((from.clone(), Unbounded))
            .take_while(|(key, _)| range.contains(key))
            .filter(|(key, _)| !instead.contains_key(*key))
            .map(|(_, entry)| entry)
            .peekable();
        let mut others = instead
            .range((from, Unbounded))
            .take_while(|(key, _)| range.contains(key))
            .filter_map(|(_, entry)| entry.as_ref())
            .peekable();
        std::iter::from_fn(move || match (ours.peek(), others.peek()) {
            (Some(a), Some(b)) if b.key < a.key => others.next(),
            (Some(_), _) => ours.next(),
            (None, _) => others.next(),
        })
    }

    /// Works a transaction out on top of what is pending. It has passed `validate`.
    pub(crate) fn plan(&self, txn: Txn, pending: &Pending) -> Result<Planned, Error> {
        let now = pending.revision.unwrap_or(self.revision);
        let current = |key: &Key| match pending.entries.get(key) {
            Some(entry) => entry.as_ref(),
            None => self.entries.get(key),
        };
        let holds = txn.compares.iter().all(|compare| {
            let entry = current(&compare.key);
            match compare.check {
                Check::Created(revision) => entry.map_or(Revision::NEVER, |entry| entry.create_revision) == revision,
                Check::Modified(revision) => entry.map_or(Revision::NEVER, |entry| entry.mod_revision) == revision,
            }
        });
        if !holds {
            let current = txn
                .compares
                .iter()
                .map(|compare| current(&compare.key).cloned())
                .collect();
            return Ok(Planned::Answer(TxnOutcome::Conflict { revision: now, current }));
        }
        let revision = now.next();
        let mut steps = Vec::new();
        let mut gone = BTreeSet::new();
        for op in txn.ops {
            match op {
                Op::Put { key, value, lease } => {
                    if let Some(lease) = lease.filter(|lease| !self.leases.contains_key(lease)) {
                        return Err(Error::LeaseNotFound { lease });
                    }
                    let before = current(&key).cloned();
                    let create_revision = before.as_ref().map_or(revision, |entry| entry.create_revision);
                    let entry = Entry {
                        key,
                        value,
                        create_revision,
                        mod_revision: revision,
                        lease,
                    };
                    steps.push(Step {
                        change: Change::Put(entry),
                        before,
                    });
                }
                Op::Delete(range) => {
                    for entry in self.range(&range, None, &pending.entries) {
                        if gone.insert(entry.key.clone()) {
                            steps.push(Step {
                                change: Change::Delete(entry.key.clone()),
                                before: Some(entry.clone()),
                            });
                        }
                    }
                }
            }
        }
        match steps.is_empty() {
            true => Ok(Planned::Answer(TxnOutcome::Committed(now))),
            false => Ok(Planned::Write(Plan { revision, steps })),
        }
    }

    /// The end of a lease: its keys go in one revision. `None` when it has no keys.
    pub(crate) fn plan_end(&self, lease: LeaseId, pending: &Pending) -> Option<Plan> {
        let revision = pending.revision.unwrap_or(self.revision).next();
        let everything = KeyRange::Below(bytes::Bytes::new());
        let steps: Vec<Step> = self
            .range(&everything, None, &pending.entries)
            .filter(|entry| entry.lease == Some(lease))
            .map(|entry| Step {
                change: Change::Delete(entry.key.clone()),
                before: Some(entry.clone()),
            })
            .collect();
        (!steps.is_empty()).then_some(Plan { revision, steps })
    }

    /// Makes a planned change; plans are applied in the order in which they were made.
    pub(crate) fn apply(&mut self, plan: Plan) {
        debug_assert_eq!(plan.revision, self.revision.next());
        self.revision = plan.revision;
        for step in &plan.steps {
            match &step.change {
                Change::Put(entry) => self.entries.insert(entry.key.clone(), entry.clone()),
                Change::Delete(key) => self.entries.remove(key),
            };
        }
        self.history_bytes += plan.bytes();
        self.history.push_back(plan);
        while self.history.len() > self.keep.revisions || self.history_bytes > self.keep.bytes {
            let Some(oldest) = self.history.pop_front() else { break };
            self.history_bytes -= oldest.bytes();
        }
    }

    /// Forgets the history before a revision.
    pub(crate) fn compact(&mut self, revision: Revision) {
        while let Some(oldest) = self.history.pop_front_if(|plan| plan.revision <= revision) {
            self.history_bytes -= oldest.bytes();
        }
    }

    /// The first revision after this one that changes something in the range; at the latest `revision()` when nothing does.
    pub(crate) fn next_batch(&self, range: &KeyRange, after: Revision) -> Option<(Revision, Vec<Change>)> {
        let start = self.history.partition_point(|plan| plan.revision <= after);
        self.history.range(start..).find_map(|plan| {
            let changes: Vec<Change> = plan
                .steps
                .iter()
                .map(|step| &step.change)
                .filter(|change| range.contains(change.key()))
                .cloned()
                .collect();
            (!changes.is_empty()).then_some((plan.revision, changes))
        })
    }

    pub(crate) fn grant(&mut self, id: LeaseId, ttl: Duration, now: Instant) {
        self.leases.insert(id, LeaseState { ttl, end: now + ttl });
    }

    pub(crate) fn keep_alive(&mut self, lease: LeaseId, now: Instant) -> Result<(), Error> {
        let state = self.leases.get_mut(&lease).ok_or(Error::LeaseNotFound { lease })?;
        state.end = now + state.ttl;
        Ok(())
    }

    /// Forgets the lease; its keys are `plan_end`'s business, before.
    pub(crate) fn end(&mut self, lease: LeaseId) {
        self.leases.remove(&lease);
    }

    pub(crate) fn leases(&self) -> &BTreeMap<LeaseId, LeaseState> {
        &self.leases
    }

    /// The leases that have ended.
    pub(crate) fn due(&self, now: Instant) -> Vec<LeaseId> {
        self.leases
            .iter()
            .filter(|(_, state)| state.end <= now)
            .map(|(id, _)| *id)
            .collect()
    }

    /// The lease that ends first.
    pub(crate) fn first_end(&self) -> Option<(Instant, LeaseId)> {
        self.leases.iter().map(|(id, state)| (state.end, *id)).min()
    }
}

impl Plan {
    fn bytes(&self) -> usize {
        let size = |entry: &Entry| entry.key.as_bytes().len() + entry.value.len();
        let steps = self.steps.iter().map(|step| {
            let after = match &step.change {
                Change::Put(entry) => size(entry),
                Change::Delete(key) => key.as_bytes().len(),
            };
            after + step.before.as_ref().map_or(0, size)
        });
        steps.sum()
    }
}
