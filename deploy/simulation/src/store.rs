//! The model of the metadata store: one linearizable etcd with revisions, a leader's key on a lease, compares, and a log that watches
//! read. What goes wrong between it and the replicas is in `replica`.

use crate::Time;
use dray_machine::cluster::{Change, Name, Record, Revision, Snapshot, Stored, Write};
use dray_model::record::{AgentRecord, ConnectorSpec, Owner, Ownership, Shard, TaskSet};
use dray_model::{AgentId, ConnectorName};
use std::collections::BTreeMap;
use std::rc::Rc;

/// The lease of the leader's key.
pub(crate) const LEADER_TTL_MS: Time = 5_000;

/// The leader's key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LeaderKey {
    /// The revision that created it.
    pub(crate) term: u64,
    pub(crate) replica: usize,
    pub(crate) expires: Time,
}

/// One entry of the log.
#[derive(Clone, Debug)]
pub(crate) enum Logged {
    Record(Name, u64, Option<Rc<Record>>),
    /// The leader's key: term and replica.
    Leader(Option<(u64, usize)>),
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) created: u64,
    pub(crate) modified: u64,
    pub(crate) record: Rc<Record>,
}

/// Why a transaction was not applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failed {
    /// The leader's key is not of this term.
    NotLeader,
    Conflict,
    Full,
}

#[derive(Default)]
pub(crate) struct Store {
    pub(crate) revision: u64,
    pub(crate) records: BTreeMap<Name, Entry>,
    pub(crate) leader: Option<LeaderKey>,
    pub(crate) log: Vec<Logged>,
    pub(crate) down_until: Time,
    pub(crate) full_until: Time,
    /// What became of the writes of leaders, by term and number.
    pub(crate) applied: BTreeMap<(u64, u64), u64>,
    /// When a record was last put or deleted.
    pub(crate) changed_at: Time,
}

impl Store {
    /// The transaction of a user or of the seed of the world: the record as it is was just read.
    pub(crate) fn put(&mut self, now: Time, name: Name, record: Record) {
        self.revision += 1;
        self.changed_at = now;
        self.put_at(name, record);
    }

    fn put_at(&mut self, name: Name, mut record: Record) {
        let created = self.records.get(&name).map_or(self.revision, |entry| entry.created);
        if let Record::Spec(spec) = &mut record {
            // The cache of a replica fills it in when it decodes.
            spec.uid = std::num::NonZeroU64::new(created).map(Into::into);
        }
        let record = Rc::new(record);
        self.log
            .push(Logged::Record(name.clone(), self.revision, Some(record.clone())));
        let modified = self.revision;
        self.records.insert(
            name,
            Entry {
                created,
                modified,
                record,
            },
        );
    }

    /// A leader's transaction.
    pub(crate) fn transact(&mut self, now: Time, term: Option<u64>, write: &Write) -> Result<u64, Failed> {
        if term.is_some_and(|term| self.leader.is_none_or(|leader| leader.term != term)) {
            return Err(Failed::NotLeader);
        }
        let holds = |(name, revision): &(Name, Revision)| {
            self.records.get(name).map_or(0, |entry| entry.modified) == revision.0
        };
        if !write.compares.iter().all(holds) {
            return Err(Failed::Conflict);
        }
        if now < self.full_until {
            return Err(Failed::Full);
        }
        self.revision += 1;
        self.changed_at = now;
        for (name, record) in &write.puts {
            self.put_at(name.clone(), record.clone());
        }
        for name in &write.deletes {
            if self.records.remove(name).is_some() {
                self.log.push(Logged::Record(name.clone(), self.revision, None));
            }
        }
        Ok(self.revision)
    }

    /// Somebody campaigns.
    pub(crate) fn campaign(&mut self, now: Time, replica: usize) -> Result<u64, Failed> {
        if self.leader.is_some() {
            return Err(Failed::Conflict);
        }
        if now < self.full_until {
            return Err(Failed::Full);
        }
        self.revision += 1;
        let term = self.revision;
        self.leader = Some(LeaderKey {
            term,
            replica,
            expires: now + LEADER_TTL_MS,
        });
        self.log.push(Logged::Leader(Some((term, replica))));
        Ok(term)
    }

    /// The leader's beat.
    pub(crate) fn beat(&mut self, now: Time, term: u64) -> Result<(), Failed> {
        if now < self.full_until {
            return Err(Failed::Full);
        }
        match &mut self.leader {
            Some(leader) if leader.term == term => {
                self.revision += 1;
                leader.expires = now + LEADER_TTL_MS;
                Ok(())
            }
            _ => Err(Failed::NotLeader),
        }
    }

    /// The leader's key goes: its lease ended, or was revoked, or it resigned.
    pub(crate) fn remove_leader(&mut self) {
        if self.leader.take().is_some() {
            self.revision += 1;
            self.log.push(Logged::Leader(None));
        }
    }

    pub(crate) fn spec(&self, name: &ConnectorName) -> Option<&ConnectorSpec> {
        let Record::Spec(spec) = &*self.records.get(&Name::Spec(name.clone()))?.record else {
            return None;
        };
        Some(spec)
    }

    pub(crate) fn specs(&self) -> impl Iterator<Item = (&ConnectorName, &ConnectorSpec)> {
        self.records.iter().filter_map(|(name, entry)| {
            let (Name::Spec(name), Record::Spec(spec)) = (name, &*entry.record) else {
                return None;
            };
            Some((name, spec))
        })
    }

    pub(crate) fn tasks(&self, name: &ConnectorName) -> Option<&TaskSet> {
        let Record::Tasks(set) = &*self.records.get(&Name::Tasks(name.clone()))?.record else {
            return None;
        };
        Some(set)
    }

    pub(crate) fn owners(&self, name: &Name) -> Option<&Ownership> {
        let Record::Own(own) = &*self.records.get(name)?.record else {
            return None;
        };
        Some(own)
    }

    pub(crate) fn owner(&self, connector: &ConnectorName, number: u32) -> Option<Owner> {
        let name = Name::Own(connector.clone(), Shard::of(number));
        self.owners(&name)?.owners.get(&number).copied()
    }

    pub(crate) fn agent(&self, id: &AgentId) -> Option<&AgentRecord> {
        let Record::Agent(agent) = &*self.records.get(&Name::Agent(id.clone()))?.record else {
            return None;
        };
        Some(agent)
    }

    pub(crate) fn list(&self) -> BTreeMap<Name, (u64, Rc<Record>)> {
        let all = self.records.iter();
        all.map(|(name, entry)| (name.clone(), (entry.modified, entry.record.clone())))
            .collect()
    }
}

/// What a replica knows of the store.
pub(crate) type Cache = BTreeMap<Name, (u64, Rc<Record>)>;

pub(crate) fn snapshot(cache: &Cache) -> Snapshot {
    let stored = |(revision, record): &(u64, Rc<Record>)| Stored {
        revision: Revision(*revision),
        record: (**record).clone(),
    };
    cache
        .iter()
        .map(|(name, entry)| (name.clone(), stored(entry)))
        .collect()
}

/// What a replica that lists again tells its machine: deletions at the revision of the list, and only the last of several puts.
pub(crate) fn difference(old: &Cache, new: &Cache, revision: u64) -> Vec<Change> {
    let mut changes: Vec<Change> = new
        .iter()
        .filter(|(name, (modified, _))| old.get(*name).is_none_or(|(before, _)| before != modified))
        .map(|(name, (modified, record))| Change {
            name: name.clone(),
            revision: Revision(*modified),
            record: Some((**record).clone()),
        })
        .collect();
    for (name, (_, before)) in old {
        match new.get(name) {
            None => changes.push(Change {
                name: name.clone(),
                revision: Revision(revision),
                record: None,
            }),
            // Of a connector that was deleted and created again the deletion is told first.
            Some((modified, after)) => {
                if let (Record::Spec(before), Record::Spec(after)) = (&**before, &**after)
                    && before.uid != after.uid
                {
                    changes.push(Change {
                        name: name.clone(),
                        revision: Revision(modified - 1),
                        record: None,
                    });
                }
            }
        }
    }
    changes.sort_by_key(|change| change.revision);
    changes
}
