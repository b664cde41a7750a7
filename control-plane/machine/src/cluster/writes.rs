//! Writes to the store: at most one in flight for each name, with the revisions that it was made from. What came of one is told to the
//! part of the machine that wanted it; that part then looks at its records again and decides anew.

use super::event::{Change, Name, Record, Revision, Write, WriteId};
use dray_model::record::{Shard, Written};
use dray_model::{AgentId, AgentNumber, ConnectorUid, Millis, TaskKey, Term};
use rustc_hash::FxHashMap;

/// A conflict that nothing explains is not tried again before this time: a leader that lost its key would spin.
const UNEXPLAINED_MS: u64 = 500;
/// … and what the store refuses not before this: it is full, or somebody must act.
const REFUSED_MS: u64 = 5_000;

/// Who wanted a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// An agent's record changes: so many of its edits.
    Agent(AgentNumber, usize),
    /// New agents, and the number of the next one.
    Newcomers(Vec<AgentId>),
    /// A new task set.
    Tasks(ConnectorUid),
    /// Owners of these tasks change.
    Owners(Vec<(ConnectorUid, Shard)>, Vec<TaskKey>),
    /// A connector is paused: the breakers of some of its tasks have tripped.
    Pause(ConnectorUid),
    /// A connector that nobody owns anything of loses its tasks, a deleted one everything.
    Remove(ConnectorUid),
}

/// A write under way.
pub(super) struct InFlight {
    pub(super) write: Write,
    pub(super) purpose: Purpose,
}

/// What is known of a name.
#[derive(Clone, Copy, Default)]
struct Known {
    /// Where it was last put; 0: it is not there.
    present: Revision,
    /// The latest change that was told, a removal included.
    seen: Revision,
}

/// The revisions of all records, and the writes under way.
pub(super) struct Writes {
    term: Term,
    next: u64,
    known: FxHashMap<Name, Known>,
    in_flight: FxHashMap<WriteId, InFlight>,
    busy: FxHashMap<Name, WriteId>,
    rest: FxHashMap<Name, Millis>,
}

impl Writes {
    pub(super) fn new(term: Term) -> Self {
        Self {
            term,
            next: 0,
            known: FxHashMap::default(),
            in_flight: FxHashMap::default(),
            busy: FxHashMap::default(),
            rest: FxHashMap::default(),
        }
    }

    /// Notes a change. `false`: it is known already, or older than what is known.
    pub(super) fn learn(&mut self, name: &Name, revision: Revision, present: bool) -> bool {
        let known = self.known.entry(name.clone()).or_default();
        if revision <= known.seen {
            return false;
        }
        known.seen = revision;
        known.present = if present { revision } else { Revision(0) };
        true
    }

    /// The removal of a record was told as a change: nothing older follows, so that its revision need not be remembered.
    pub(super) fn forget(&mut self, name: &Name, revision: Revision) {
        let gone = |known: &Known| known.present == Revision(0) && known.seen <= revision;
        if self.known.get(name).is_some_and(gone) {
            self.known.remove(name);
        }
    }

    /// Whether a change tells what a write of ours that is still under way has done: its outcome will say it.
    pub(super) fn is_echo(&self, change: &Change) -> bool {
        let Some(id) = self.busy.get(&change.name) else {
            return false;
        };
        let written = match &change.record {
            Some(Record::Own(record)) => record.written,
            Some(Record::Tasks(record)) => record.written,
            Some(Record::Meta(_) | Record::Spec(_) | Record::Agent(_)) => return false,
            None => {
                return self
                    .in_flight
                    .get(id)
                    .is_some_and(|of| of.write.deletes.contains(&change.name));
            }
        };
        written
            == (Written {
                term: self.term,
                operation: id.0,
            })
    }

    /// The revision of a record; 0: it is not there.
    pub(super) fn revision(&self, name: &Name) -> Revision {
        self.known.get(name).map_or(Revision(0), |known| known.present)
    }

    /// When a name may be written: now, or, after a failure, later. `None`: a write of it is under way, and its outcome comes.
    pub(super) fn free_at(&self, name: &Name) -> Option<Millis> {
        (!self.busy.contains_key(name)).then(|| self.rest.get(name).copied().unwrap_or_default())
    }

    /// What the next write puts into its records.
    pub(super) fn written(&self) -> Written {
        Written {
            term: self.term,
            operation: self.next,
        }
    }

    /// Begins a write. What is put and deleted is compared with what is known of it; `also` is only compared.
    pub(super) fn begin(
        &mut self,
        purpose: Purpose,
        also: &[Name],
        puts: Vec<(Name, Record)>,
        deletes: Vec<Name>,
    ) -> Write {
        let id = WriteId(self.next);
        self.next += 1;
        let changed: Vec<Name> = puts.iter().map(|(name, _)| name).chain(&deletes).cloned().collect();
        for name in &changed {
            self.rest.remove(name);
            let other = self.busy.insert(name.clone(), id);
            debug_assert!(other.is_none(), "two writes of {name:?} would be under way");
        }
        let compares = changed.iter().chain(also);
        let write = Write {
            id,
            compares: compares.map(|name| (name.clone(), self.revision(name))).collect(),
            puts,
            deletes,
        };
        let kept = InFlight {
            write: write.clone(),
            purpose,
        };
        self.in_flight.insert(id, kept);
        write
    }

    /// A write came to its end; its names are free again.
    pub(super) fn end(&mut self, id: WriteId) -> Option<InFlight> {
        let ended = self.in_flight.remove(&id)?;
        for name in ended.write.names() {
            self.busy.remove(name);
        }
        Some(ended)
    }

    /// After a conflict: names that are as they were when the write was made wait a little. Returns until when, if they do.
    pub(super) fn conflicted(&mut self, write: &Write, now: Millis) -> Option<Millis> {
        let explained = write.compares.iter().any(|(name, seen)| self.revision(name) != *seen);
        if explained {
            return None;
        }
        Some(self.pause(write, now.plus(UNEXPLAINED_MS)))
    }

    /// After a refusal. Returns until when its names rest.
    pub(super) fn refused(&mut self, write: &Write, now: Millis) -> Millis {
        self.pause(write, now.plus(REFUSED_MS))
    }

    fn pause(&mut self, write: &Write, until: Millis) -> Millis {
        for name in write.names() {
            self.rest.insert(name.clone(), until);
        }
        until
    }
}

impl Write {
    /// What it puts and deletes.
    fn names(&self) -> impl Iterator<Item = &Name> {
        self.puts.iter().map(|(name, _)| name).chain(&self.deletes)
    }
}
