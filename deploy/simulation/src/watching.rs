//! How replicas learn of changes: late, merged, listed again; and the store's own clock for leases.

use crate::REPLICAS;
use crate::store::{Cache, Logged, difference};
use crate::world::{Item, Said, World};
use dray_machine::cluster::{Change, Event, Revision};

impl World {
    /// The store has changed: its log is on its way to all who watch.
    pub(crate) fn store_changed(&mut self) {
        let upto = self.store.log.len();
        for at in 0..REPLICAS {
            if self.replicas[at].process.up && self.replicas[at].watching && self.replicas[at].seen < upto {
                let slow = if self.random.permille(20) { 700 } else { 20 };
                let arrives = (self.now + self.random.range(1, slow)).max(self.replicas[at].watch_at);
                self.replicas[at].watch_at = arrives;
                let life = self.replicas[at].process.life;
                self.after(
                    arrives - self.now,
                    Item::Watch {
                        replica: at,
                        life,
                        upto,
                    },
                );
            }
        }
    }

    pub(crate) fn watch_arrives(&mut self, at: usize, life: u64, upto: usize) {
        let replica = &mut self.replicas[at];
        if replica.process.life != life || !replica.watching {
            return;
        }
        if self.now < replica.replies_blocked_until {
            return self.drop_watch(at);
        }
        self.for_replica(at, 0, Said::Watch(upto));
    }

    /// The watch is lost, and listed again some time.
    pub(crate) fn drop_watch(&mut self, at: usize) {
        self.replicas[at].watching = false;
        if !std::mem::replace(&mut self.replicas[at].relist_due, true) {
            let wait = self.random.range(200, 3_000);
            let life = self.replicas[at].process.life;
            self.after(wait, Item::Relist { replica: at, life });
        }
    }

    pub(crate) fn relist(&mut self, at: usize) {
        let replica = &mut self.replicas[at];
        if self.now
            < replica
                .calls_blocked_until
                .max(replica.replies_blocked_until)
                .max(self.store.down_until)
        {
            let life = replica.process.life;
            return self.after(500, Item::Relist { replica: at, life });
        }
        replica.relist_due = false;
        replica.watching = true;
        replica.known_leader = self.store.leader.map(|leader| (leader.term, leader.replica));
        let (seen, revision) = (self.store.log.len(), self.store.revision);
        self.catch_up(at, seen, revision, self.store.list());
    }

    pub(crate) fn watched(&mut self, at: usize, upto: usize) {
        let seen = self.replicas[at].seen;
        if upto <= seen || !self.replicas[at].watching {
            return;
        }
        let mut cache = self.replicas[at].cache.clone();
        let mut revision = self.replicas[at].revision;
        let mut changes = Vec::new();
        for logged in &self.store.log[seen..upto] {
            match logged {
                Logged::Leader(leader) => {
                    self.replicas[at].known_leader = *leader;
                    if let Some((term, _)) = leader {
                        revision = revision.max(*term);
                    }
                }
                Logged::Record(name, modified, record) => {
                    revision = *modified;
                    match record {
                        Some(record) => cache.insert(name.clone(), (*modified, record.clone())),
                        None => cache.remove(name),
                    };
                    changes.push(Change {
                        name: name.clone(),
                        revision: Revision(*modified),
                        record: record.as_deref().cloned(),
                    });
                }
            }
        }
        if self.random.permille(300) {
            // Two snapshots of a cache are compared: what lies between is not told.
            return self.catch_up(at, upto, revision, cache);
        }
        self.replicas[at].cache = cache;
        self.replicas[at].seen = upto;
        self.replicas[at].revision = revision;
        for change in changes {
            self.machine_step(at, Event::Changed(change));
        }
        self.tell_outcomes(at);
    }

    pub(crate) fn catch_up(&mut self, at: usize, seen: usize, revision: u64, cache: Cache) {
        let changes = difference(&self.replicas[at].cache, &cache, revision);
        self.replicas[at].cache = cache;
        self.replicas[at].seen = seen;
        self.replicas[at].revision = revision;
        for change in changes {
            self.machine_step(at, Event::Changed(change));
        }
        self.tell_outcomes(at);
    }

    /// The store looks after leases: an expired one is noticed up to half a second late.
    pub(crate) fn lease(&mut self) {
        let wait = self.random.range(50, 500);
        self.after(wait, Item::Lease);
        // Without a quorum no lease ends either.
        if self.now >= self.store.down_until && self.store.leader.is_some_and(|leader| self.now > leader.expires) {
            self.note(|| "the leader's lease has ended".into());
            self.store.remove_leader();
            self.store_changed();
        }
    }
}
