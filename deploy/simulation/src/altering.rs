//! Somebody sets the offsets of a stopped connector, as the admin service does it: a mark in what is wanted of it, the leader's word that
//! nothing of it can act, the work of an agent, and the mark is taken away, or left behind.

use crate::Time;
use crate::coverage::Seen;
use crate::kafka::Part;
use crate::mutation::Mutation;
use crate::replica::Role;
use crate::users::cluster_of;
use crate::world::{Item, World};
use dray_machine::cluster::altering;
use dray_model::record::ConnectorSpec;
use dray_model::{ConnectorName, ConnectorState, ConnectorUid};

/// How often it is looked whether the leader has seen the mark, and for how long.
const LOOK_MS: Time = 50;
const PATIENCE_MS: Time = 10_000;
/// The longest that an agent is at it.
const WORK_MS: Time = 90_000;
/// Source partitions that a connector may have.
const PARTS: u32 = 8;

/// A change of offsets under way.
pub(crate) struct Altering {
    name: ConnectorName,
    cluster: usize,
    operation: String,
    until: Time,
    works: bool,
}

impl World {
    /// Somebody wants the offsets of a connector set. Whoever is not told that it is stopped gives up at once.
    pub(crate) fn alter(&mut self, name: ConnectorName, spec: ConnectorSpec) {
        let Some(uid) = spec.uid else { return };
        let operation = self.now.to_string();
        let change = Altering {
            name: name.clone(),
            cluster: cluster_of(&spec.config),
            operation: operation.clone(),
            until: self.now + PATIENCE_MS,
            works: false,
        };
        if !self.is_said_to_be_stopped(&name) || self.altering.contains_key(&uid) {
            return;
        }
        self.note(|| format!("user: sets offsets of {name}, operation {operation}"));
        self.altering.insert(uid, change);
        if self.mutation != Some(Mutation::NoMark) {
            let marked = ConnectorSpec {
                altering: Some(operation),
                ..spec
            };
            self.write_spec(name, marked);
        }
        self.after(LOOK_MS, Item::Alter(uid));
    }

    /// What the replica says that leads as far as it knows: the words that it shows of a connector.
    fn shown(&self, name: &ConnectorName) -> impl Iterator<Item = (ConnectorState, Option<String>)> {
        let name = name.clone();
        self.replicas.iter().filter_map(move |replica| {
            let Role::Leader(leader) = &replica.role else {
                return None;
            };
            let leads = replica.process.up && !replica.process.paused;
            let knows = replica.known_leader.is_some_and(|(term, _)| term == leader.term);
            let status = leader.connectors.get(&name).filter(|_| leads && knows)?;
            Some((status.state, status.trace.clone()))
        })
    }

    fn is_said_to_be_stopped(&self, name: &ConnectorName) -> bool {
        self.shown(name).any(|(state, _)| state == ConnectorState::Stopped)
    }

    pub(crate) fn alter_step(&mut self, uid: ConnectorUid) {
        let Some(change) = self.altering.get(&uid) else { return };
        let (name, works, late) = (change.name.clone(), change.works, self.now >= change.until);
        let word = Some(altering(&change.operation));
        if works {
            return self.alter_ends(uid);
        }
        let seen = match self.mutation {
            Some(Mutation::NoMark) => self.is_said_to_be_stopped(&name),
            _ => self.shown(&name).any(|(_, trace)| trace == word),
        };
        if seen {
            self.see(Seen::OffsetsSet);
            let work = if self.random.permille(100) { WORK_MS } else { 5_000 };
            let work = self.random.range(10, work);
            let now = self.now;
            if let Some(change) = self.altering.get_mut(&uid) {
                (change.works, change.until) = (true, now + work);
            }
            self.after(work, Item::Alter(uid));
        } else if late {
            self.alter_ends(uid);
        } else {
            self.after(LOOK_MS, Item::Alter(uid));
        }
    }

    /// The offsets are set, if it came to that, and the mark goes, unless whoever has set them is gone.
    fn alter_ends(&mut self, uid: ConnectorUid) {
        let Some(change) = self.altering.remove(&uid) else {
            return;
        };
        if change.works {
            for number in 0..PARTS {
                let part = Part { connector: uid, number };
                self.kafka[change.cluster].set_offset(part, self.checks.latest_of(uid));
            }
        }
        let spec = self
            .store
            .spec(&change.name)
            .filter(|spec| spec.uid == Some(uid))
            .cloned();
        let ours = spec.filter(|spec| spec.altering.as_ref() == Some(&change.operation));
        let left = self.now < self.store.down_until.max(self.store.full_until) || self.random.permille(200);
        match ours {
            Some(_) if left => self.see(Seen::MarkLeft),
            Some(spec) => self.write_spec(change.name, ConnectorSpec { altering: None, ..spec }),
            None => {}
        }
    }

    /// Nothing of a connector starts while its offsets are being set.
    pub(crate) fn check_altering(&mut self, uid: ConnectorUid) {
        let works = |change: &Altering| change.works.then(|| change.name.clone());
        if let Some(name) = self.altering.get(&uid).and_then(works) {
            self.fail(format!("offsets: {name} starts while its offsets are being set"));
        }
    }
}
