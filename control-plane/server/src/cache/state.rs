//! What a cluster's keys hold at one revision.

use super::table::Table;
use crate::codec::{self, Decoded};
use bytes::Bytes;
use dray_machine::cluster::{Change, Name, Record, Revision as Modified, Snapshot, Stored};
use dray_model::record::{
    ActiveTopics, AgentRecord, ClusterMeta, ConnectorSpec, KafkaRecord, LeaderRecord, LoggerLevels, Ownership,
    ReplicaRecord, Shard, TaskSet,
};
use dray_model::{AgentId, ConnectorName, ConnectorUid, Term};
use dray_store::keys::{self, Keys};
use dray_store::{Entry, Key, Revision};
use dray_wire::store::Rest;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;
use std::sync::{Arc, OnceLock};

/// A record as it was last put.
#[derive(Debug)]
pub struct Kept {
    /// The mod_revision.
    pub revision: Modified,
    /// The create_revision.
    pub created: Revision,
    /// What it says.
    pub record: Record,
    /// The fields of it that this version does not know: they are written again with whatever replaces it.
    pub rest: Rest,
}

/// The leader's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaderSeen {
    /// The revision at which it was elected.
    pub term: Term,
    /// What it says of itself.
    pub record: LeaderRecord,
}

/// A connector in the list of all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: ConnectorName,
    /// It goes when its tasks have stopped.
    pub deleting: bool,
}

/// What a cluster's keys hold at one revision. Cheap to clone.
#[derive(Clone)]
pub struct State {
    /// The revision.
    pub revision: Revision,
    /// Who leads.
    pub leader: Option<Arc<LeaderSeen>>,
    /// The latest term that was seen, also when nobody leads now.
    pub term: Option<Term>,
    /// The replicas that are there, by id.
    pub replicas: Arc<BTreeMap<String, ReplicaRecord>>,
    /// The levels of loggers that hold in the whole cluster.
    pub loggers: Arc<LoggerLevels>,
    /// Keys whose values cannot be read. A replica that has any does not lead: it would take for free what somebody owns.
    pub unreadable: Arc<BTreeSet<Key>>,
    /// The store has come back at this revision, and more of it was seen before: it was restored from a backup. Nothing is followed
    /// until it is the one that it was.
    pub behind: Option<Revision>,
    records: Table,
    /// All connectors, by name. Clients ask for that list again and again while it stays the same: whoever asks first after a change makes it.
    names: Arc<OnceLock<Vec<Listed>>>,
    /// The Kafka cluster that the workers are at, and the mod_revision of that.
    pub kafka: Option<Arc<(Modified, KafkaRecord)>>,
    /// The topics that connectors have used, and the mod_revisions of that.
    topics: Arc<BTreeMap<ConnectorName, Arc<(Modified, ActiveTopics)>>>,
    /// Parts of large task sets.
    parts: Arc<BTreeMap<(ConnectorName, Vec<u8>), Bytes>>,
}

impl State {
    pub(super) fn listed(keys: &Keys, revision: Revision, entries: Vec<Entry>, known: Option<&Self>) -> Self {
        let mut state = Self {
            revision,
            leader: None,
            term: known.and_then(|known| known.term),
            replicas: Arc::default(),
            loggers: Arc::default(),
            unreadable: Arc::default(),
            behind: None,
            records: Table::new(),
            names: Arc::default(),
            kafka: None,
            topics: Arc::default(),
            parts: Arc::default(),
        };
        // Parts first: their manifest names them.
        let is_part = |entry: &Entry| matches!(keys.parse(&entry.key), Some(keys::Name::Part(..)));
        let (parts, others): (Vec<Entry>, Vec<Entry>) = entries.into_iter().partition(is_part);
        for entry in parts.into_iter().chain(others) {
            let same = keys
                .parse(&entry.key)
                .as_ref()
                .and_then(codec::record_name)
                .and_then(|name| {
                    let kept = known?.records.get(&name)?;
                    (kept.revision.0 == entry.mod_revision.get()).then(|| (name, kept.clone()))
                });
            match same {
                Some((name, kept)) => state.records.put(name, kept),
                None => state.put(keys, &entry),
            }
        }
        state
    }

    /// All changes of one revision.
    pub(super) fn apply(&mut self, keys: &Keys, revision: Revision, changes: Vec<dray_store::Change>) {
        if revision <= self.revision {
            return;
        }
        let (parts, others): (Vec<_>, Vec<_>) = changes
            .into_iter()
            .partition(|change| matches!(keys.parse(change.key()), Some(keys::Name::Part(..))));
        for change in parts.into_iter().chain(others) {
            match change {
                dray_store::Change::Put(entry) => self.put(keys, &entry),
                dray_store::Change::Delete(key) => self.delete(keys, &key),
            }
        }
        self.revision = revision;
    }

    fn put(&mut self, keys: &Keys, entry: &Entry) {
        // A newer version's key, or somebody else's.
        let Some(name) = keys.parse(&entry.key) else { return };
        let parts = &self.parts;
        let part = |connector: &ConnectorName, digest: &[u8]| parts.get(&(connector.clone(), digest.to_vec()));
        let decoded = match codec::decode(&name, entry, part) {
            Ok(decoded) => decoded,
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::error!(key = %entry.key, error, "a value in the metadata store cannot be read");
                Arc::make_mut(&mut self.unreadable).insert(entry.key.clone());
                if let Some(name) = codec::record_name(&name) {
                    self.remove(&name);
                }
                return;
            }
        };
        if self.unreadable.contains(&entry.key) {
            Arc::make_mut(&mut self.unreadable).remove(&entry.key);
        }
        match decoded {
            Decoded::Record(name, record, rest) => {
                let kept = Kept {
                    revision: Modified(entry.mod_revision.get()),
                    created: entry.create_revision,
                    record,
                    rest,
                };
                if let Name::Spec(connector) = &name {
                    let deleting = |spec: Stored<&ConnectorSpec>| spec.record.deleting;
                    if self.spec(connector).map(deleting) != spec(&kept).map(deleting) {
                        self.names = Arc::default();
                    }
                }
                self.records.put(name, Arc::new(kept));
            }
            Decoded::Leader(record) => {
                let Some(term) = NonZeroU64::new(entry.create_revision.get()).map(Term::from) else {
                    return;
                };
                self.term = self.term.max(Some(term));
                self.leader = Some(Arc::new(LeaderSeen { term, record }));
            }
            Decoded::Replica(id, record) => {
                Arc::make_mut(&mut self.replicas).insert(id, record);
            }
            Decoded::Kafka(cluster) => {
                self.kafka = Some(Arc::new((Modified(entry.mod_revision.get()), cluster)));
            }
            Decoded::Topics(connector, topics) => {
                let topics = Arc::new((Modified(entry.mod_revision.get()), topics));
                Arc::make_mut(&mut self.topics).insert(connector, topics);
            }
            Decoded::Loggers(levels) => self.loggers = Arc::new(levels),
            Decoded::Part(connector, digest, bytes) => {
                Arc::make_mut(&mut self.parts).insert((connector, digest), bytes);
            }
            Decoded::Other => {}
        }
    }

    fn delete(&mut self, keys: &Keys, key: &Key) {
        if self.unreadable.contains(key) {
            Arc::make_mut(&mut self.unreadable).remove(key);
        }
        match keys.parse(key) {
            Some(keys::Name::Leader) => self.leader = None,
            Some(keys::Name::Kafka) => self.kafka = None,
            Some(keys::Name::Topics(connector)) => {
                Arc::make_mut(&mut self.topics).remove(&connector);
            }
            Some(keys::Name::Loggers) => self.loggers = Arc::default(),
            Some(keys::Name::Replica(id)) => {
                Arc::make_mut(&mut self.replicas).remove(&id);
            }
            Some(keys::Name::Part(connector, digest)) => {
                Arc::make_mut(&mut self.parts).remove(&(connector, digest));
            }
            Some(name) => {
                if let Some(name) = codec::record_name(&name) {
                    self.remove(&name);
                }
            }
            None => {}
        }
    }

    fn remove(&mut self, name: &Name) {
        self.records.remove(name);
        if matches!(name, Name::Spec(_)) {
            self.names = Arc::default();
        }
    }

    /// A record.
    #[must_use]
    pub fn get(&self, name: &Name) -> Option<&Arc<Kept>> {
        self.records.get(name)
    }

    /// The mod_revision of a record; 0: it is not there.
    #[must_use]
    pub fn revision_of(&self, name: &Name) -> Modified {
        self.get(name).map_or_else(Modified::default, |kept| kept.revision)
    }

    /// The cluster itself.
    #[must_use]
    pub fn meta(&self) -> Option<Stored<&ClusterMeta>> {
        let kept = self.get(&Name::Meta)?;
        match &kept.record {
            Record::Meta(meta) => Some(stored(kept, meta)),
            Record::Spec(_) | Record::Tasks(_) | Record::Own(_) | Record::Agent(_) => None,
        }
    }

    /// What is wanted of a connector.
    #[must_use]
    pub fn spec(&self, connector: &ConnectorName) -> Option<Stored<&ConnectorSpec>> {
        spec(self.get(&Name::Spec(connector.clone()))?)
    }

    /// All connectors, by name.
    #[must_use]
    pub fn specs(&self) -> Vec<(&ConnectorName, Stored<&ConnectorSpec>)> {
        let mut specs: Vec<_> = self
            .records
            .iter()
            .filter_map(|(name, kept)| match name {
                Name::Spec(connector) => Some((connector, spec(kept)?)),
                Name::Meta | Name::Tasks(_) | Name::Own(..) | Name::Agent(_) => None,
            })
            .collect();
        specs.sort_unstable_by_key(|(name, _)| *name);
        specs
    }

    /// The names of all connectors, in order.
    #[must_use]
    pub fn names(&self) -> &[Listed] {
        self.names.get_or_init(|| {
            let listed = |(name, spec): (&ConnectorName, Stored<&ConnectorSpec>)| Listed {
                name: name.clone(),
                deleting: spec.record.deleting,
            };
            self.specs().into_iter().map(listed).collect()
        })
    }

    /// The tasks of a connector.
    #[must_use]
    pub fn tasks(&self, connector: &ConnectorName) -> Option<Stored<&TaskSet>> {
        let kept = self.get(&Name::Tasks(connector.clone()))?;
        match &kept.record {
            Record::Tasks(tasks) => Some(stored(kept, tasks)),
            Record::Meta(_) | Record::Spec(_) | Record::Own(_) | Record::Agent(_) => None,
        }
    }

    /// The topics that a connector has used, and the mod_revision of that.
    #[must_use]
    pub fn topics(&self, connector: &ConnectorName) -> Option<&(Modified, ActiveTopics)> {
        self.topics.get(connector).map(Arc::as_ref)
    }

    /// The digests of the parts that are kept of a connector's task sets.
    pub fn parts_of(&self, connector: &ConnectorName) -> impl Iterator<Item = &Vec<u8>> {
        self.parts
            .range((connector.clone(), Vec::new())..)
            .take_while(move |((of, _), _)| of == connector)
            .map(|((_, digest), _)| digest)
    }

    /// Who owns what of a connector.
    pub fn owners(&self, connector: &ConnectorName) -> impl Iterator<Item = (Shard, Stored<&Ownership>)> {
        let first = Name::Own(connector.clone(), Shard::Connector);
        let last = Name::Own(connector.clone(), Shard::Tasks(u32::MAX));
        self.records
            .range(&first, first.clone()..=last)
            .filter_map(|(name, kept)| match (name, &kept.record) {
                (Name::Own(_, shard), Record::Own(own)) => Some((*shard, stored(kept, own))),
                _ => None,
            })
    }

    /// An agent.
    #[must_use]
    pub fn agent(&self, id: &AgentId) -> Option<Stored<&AgentRecord>> {
        agent(self.get(&Name::Agent(id.clone()))?)
    }

    /// All agents, by id.
    #[must_use]
    pub fn agents(&self) -> Vec<(&AgentId, Stored<&AgentRecord>)> {
        let mut agents: Vec<_> = self
            .records
            .iter()
            .filter_map(|(name, kept)| match name {
                Name::Agent(id) => Some((id, agent(kept)?)),
                Name::Meta | Name::Spec(_) | Name::Tasks(_) | Name::Own(..) => None,
            })
            .collect();
        agents.sort_unstable_by_key(|(id, _)| *id);
        agents
    }

    /// Everything, for a new leader.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let mut records: Snapshot = self
            .records
            .iter()
            .map(|(name, kept)| {
                let stored = Stored {
                    revision: kept.revision,
                    record: kept.record.clone(),
                };
                (name.clone(), stored)
            })
            .collect();
        records.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        records
    }

    /// What has changed since an earlier state, in the order of revisions. Changes of one record between the two are told as the last of
    /// them. A deletion has some revision at which the record was already gone, as the store does not keep the exact one.
    #[must_use]
    pub fn changes_since(&self, before: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        self.records.differences(&before.records, |name, was, is| {
            let change = |revision, record| Change {
                name: name.clone(),
                revision,
                record,
            };
            match (was, is) {
                (Some(was), Some(is)) if was.created != is.created => {
                    // Deleted and created again in between.
                    let gone = Modified(is.created.get().saturating_sub(1));
                    changes.push(change(gone, None));
                    changes.push(change(is.revision, Some(is.record.clone())));
                }
                (_, Some(is)) => changes.push(change(is.revision, Some(is.record.clone()))),
                (_, None) => changes.push(change(Modified(self.revision.get()), None)),
            }
        });
        changes.sort_by(|one, other| (one.revision, &one.name).cmp(&(other.revision, &other.name)));
        changes
    }

    /// The uid that a name has now.
    #[must_use]
    pub fn uid(&self, connector: &ConnectorName) -> Option<ConnectorUid> {
        self.spec(connector)?.record.uid
    }
}

fn stored<'a, T>(kept: &Kept, record: &'a T) -> Stored<&'a T> {
    Stored {
        revision: kept.revision,
        record,
    }
}

fn spec(kept: &Kept) -> Option<Stored<&ConnectorSpec>> {
    match &kept.record {
        Record::Spec(spec) => Some(stored(kept, spec)),
        Record::Meta(_) | Record::Tasks(_) | Record::Own(_) | Record::Agent(_) => None,
    }
}

fn agent(kept: &Kept) -> Option<Stored<&AgentRecord>> {
    match &kept.record {
        Record::Agent(agent) => Some(stored(kept, agent)),
        Record::Meta(_) | Record::Spec(_) | Record::Tasks(_) | Record::Own(_) => None,
    }
}
