//! What the store says: what a new leader finds, every change, and what came of our writes.

use super::connectors::Wish;
use super::edits::first_record;
use super::event::{Change, Effect, Name, Outcome, Record, Revision, Snapshot, WriteId};
use super::tasks::Stage;
use super::writes::Purpose;
use super::{Machine, Timer};
use dray_model::record::{ClusterMeta, Ownership, Shard, TaskSet};
use dray_model::{AgentId, AgentNumber, AgentPolicy, AgentSession, ConnectorName, ConnectorUid, Millis, TaskKey};

/// New agents in one write: their records are small, and a transaction has room for 120 puts.
const NEWCOMERS_A_WRITE: usize = 50;
/// Owners in one write.
const SHARDS_A_WRITE: usize = 100;

impl Machine {
    /// A new leader takes over what the store says: agents first, then connectors, and what these own last.
    pub(super) fn inherit(&mut self, snapshot: Snapshot) {
        self.inheriting = true;
        let mut by_kind: [Snapshot; 5] = Default::default();
        for (name, stored) in snapshot {
            let kind = match name {
                Name::Meta => 0,
                Name::Agent(_) => 1,
                Name::Spec(_) => 2,
                Name::Tasks(_) => 3,
                Name::Own(..) => 4,
            };
            by_kind[kind].push((name, stored));
        }
        for mut records in by_kind {
            records.sort_by(|(one, _), (other, _)| one.cmp(other)); // they come in this order, mostly
            for (name, stored) in records {
                if self.writes.learn(&name, stored.revision, true) {
                    self.learnt(name, stored.revision, Some(stored.record));
                }
            }
        }
        for agent in self.agents.values_mut() {
            agent.inherited = agent.record.session.is_some() && agent.record.policy != AgentPolicy::Removed;
            self.expected += usize::from(agent.inherited);
        }
        for (number, agent) in &self.agents {
            let dead = agent.record.dead_sessions.keys().map(|session| AgentSession {
                agent: *number,
                session: *session,
            });
            self.inherited.extend(dead);
        }
        for connector in self.connectors.values_mut() {
            connector.inherited = true;
            // What has no owner was released, and before that whoever had it was fenced.
            for task in connector.tasks.values_mut().filter(|task| task.owner.is_some()) {
                task.fences.inherited = true;
                self.unproved += 1;
            }
        }
        self.hold_inherited();
        // Only now: told one record after the other, the scheduler would find tasks without owners and give them away, and what an
        // agent holds would have to be started there again, in its turn.
        self.inheriting = false;
        let uids: Vec<_> = self.names.values().copied().collect();
        for uid in &uids {
            self.publish(*uid);
        }
        self.look_at_all(uids);
    }

    /// Everything is shown, and what is not at rest is looked at: nearly all tasks of a cluster have the owner that they shall have.
    fn look_at_all(&mut self, mut uids: Vec<ConnectorUid>) {
        uids.sort_unstable();
        let mut seen = Vec::new();
        for uid in &uids {
            let Some(connector) = self.connectors.get(uid) else {
                continue;
            };
            for (number, task) in &connector.tasks {
                let key = TaskKey {
                    connector: *uid,
                    number: *number,
                };
                let at_home = task.owner.is_some_and(|owner| task.target == Some(owner.agent));
                if !at_home || task.stage() != Stage::Assigned || connector.wish(*number) != Wish::Run {
                    self.work.tasks.insert(key);
                }
                if !key.is_instance() {
                    seen.push(key);
                }
            }
        }
        self.work.seen_tasks = seen.into_iter().collect();
        self.work.seen_connectors = uids.iter().copied().collect();
        self.work.connectors = uids.into_iter().collect();
    }

    pub(super) fn changed(&mut self, change: Change) {
        if self.writes.is_echo(&change) {
            return; // the outcome of the write says it
        }
        let is_news = self
            .writes
            .learn(&change.name, change.revision, change.record.is_some());
        if change.record.is_none() {
            self.writes.forget(&change.name, change.revision);
        }
        if is_news {
            self.learnt(change.name, change.revision, change.record);
        }
    }

    /// A record is this now.
    fn learnt(&mut self, name: Name, revision: Revision, record: Option<Record>) {
        match (name, record) {
            (Name::Meta, Some(Record::Meta(meta))) => self.meta_changed(meta),
            (Name::Spec(name), Some(Record::Spec(spec))) => self.spec_changed(name, revision, spec),
            (Name::Spec(name), None) => self.spec_gone(&name),
            (Name::Tasks(name), Some(Record::Tasks(set))) => self.tasks_changed(&name, Some(set)),
            (Name::Tasks(name), None) => self.tasks_changed(&name, None),
            (Name::Own(name, shard), Some(Record::Own(owners))) => self.owners_changed(&name, shard, Some(owners)),
            (Name::Own(name, shard), None) => self.owners_changed(&name, shard, None),
            (Name::Agent(id), Some(Record::Agent(record))) => self.agent_changed(id, record),
            (Name::Agent(id), None) => self.agent_gone(&id),
            // Nobody removes the cluster, and a record under another's name is not ours to read.
            (Name::Meta, None) => {}
            (Name::Meta | Name::Spec(_) | Name::Tasks(_) | Name::Own(..) | Name::Agent(_), Some(_)) => {}
        }
    }

    fn meta_changed(&mut self, meta: ClusterMeta) {
        self.meta = Some(meta);
        self.work.newcomers = true;
    }

    fn tasks_changed(&mut self, name: &ConnectorName, set: Option<TaskSet>) {
        let Some(uid) = self.names.get(name).copied() else {
            return;
        };
        if set.as_ref().is_none_or(|set| set.uid == uid) {
            self.set_changed(uid, set);
        }
    }

    fn owners_changed(&mut self, name: &ConnectorName, shard: Shard, record: Option<Ownership>) {
        let Some(uid) = self.names.get(name).copied() else {
            return;
        };
        let owners = match record {
            Some(record) if record.uid != uid => return, // of another of this name
            Some(record) => record.owners,
            None => std::collections::BTreeMap::new(),
        };
        let Some(connector) = self.connectors.get_mut(&uid) else {
            return;
        };
        connector.shards.insert(shard);
        let known = connector
            .tasks
            .keys()
            .copied()
            .filter(|number| Shard::of(*number) == shard);
        let mut numbers: Vec<u32> = known.chain(owners.keys().copied()).collect();
        numbers.sort_unstable();
        numbers.dedup();
        for number in numbers {
            let key = TaskKey { connector: uid, number };
            self.owner_changed(key, owners.get(&number).copied());
        }
        self.work.connectors.insert(uid);
    }

    /// Somebody removed an agent from the store.
    fn agent_gone(&mut self, id: &AgentId) {
        let Some(number) = self.ids.remove(id) else { return };
        let Some(agent) = self.agents.remove(&number) else {
            return;
        };
        for connection in agent
            .connection
            .into_iter()
            .chain(agent.hello.map(|(connection, _)| connection))
        {
            self.close(connection);
        }
        let event = crate::scheduler::Event::AgentLeaving {
            agent: number,
            back_by: None,
        };
        let decisions = self.scheduler.on(self.now, event);
        self.decided(decisions);
        for key in agent.owned.union(&agent.targeted) {
            self.touch(*key);
        }
        self.effects.push(Effect::Show(super::Shown::Agent(id.clone(), None)));
    }

    /// A write came to its end.
    pub(super) fn written(&mut self, id: WriteId, outcome: Outcome) {
        let Some(ended) = self.writes.end(id) else { return };
        match outcome {
            Outcome::Applied(revision) => {
                for (name, record) in ended.write.puts {
                    if self.writes.learn(&name, revision, true) {
                        self.learnt(name, revision, Some(record));
                    }
                }
                for name in ended.write.deletes {
                    if self.writes.learn(&name, revision, false) {
                        self.learnt(name, revision, None);
                    }
                }
                self.applied(ended.purpose);
            }
            Outcome::Conflict => {
                let until = self.writes.conflicted(&ended.write, self.now);
                self.again(ended.purpose, until, None);
            }
            Outcome::Refused => {
                let until = self.writes.refused(&ended.write, self.now);
                let problem = "the store refuses what has to be written: it is full, or the record is too large; it is tried again";
                self.again(ended.purpose, Some(until), Some(problem));
            }
        }
    }

    fn applied(&mut self, purpose: Purpose) {
        match purpose {
            Purpose::Agent(number, edits) => {
                if let Some(agent) = self.agents.get_mut(&number) {
                    let done = agent.edits.drain(..edits.min(agent.edits.len())).collect();
                    self.edited(number, done);
                }
            }
            Purpose::Newcomers(ids) => {
                for id in ids {
                    self.admitted(&id);
                }
                self.work.newcomers = true;
            }
            Purpose::Tasks(uid) => self.set_written(uid, true),
            Purpose::Owners(shards, tasks) => self.owners_written(shards, tasks, true),
            Purpose::Pause(uid) => {
                self.refused_by_store(uid, None);
                self.work.connectors.insert(uid); // others may have tripped meanwhile
            }
            Purpose::Remove(uid) => _ = self.work.connectors.insert(uid),
        }
    }

    /// A write was not applied: what it was for is decided anew, at once or when its names have rested.
    fn again(&mut self, purpose: Purpose, until: Option<Millis>, problem: Option<&'static str>) {
        let until = until.unwrap_or(self.now);
        match purpose {
            Purpose::Agent(number, _) => {
                if let Some(agent) = self.agents.get_mut(&number) {
                    agent.problem = problem.map(Into::into).or(agent.problem.take());
                }
                self.work.agents.insert(number);
                self.work.seen_agents.insert(number);
            }
            Purpose::Newcomers(ids) => {
                for id in ids {
                    if let Some(newcomer) = self.newcomers.get_mut(&id) {
                        newcomer.session = None;
                    }
                }
                self.timers.insert((until, Timer::Newcomers));
            }
            Purpose::Tasks(uid) | Purpose::Remove(uid) => {
                self.set_written(uid, false);
                self.refused_by_store(uid, problem);
                self.timers.insert((until, Timer::Connector(uid)));
            }
            Purpose::Pause(uid) => {
                self.refused_by_store(uid, problem);
                self.timers.insert((until, Timer::Connector(uid)));
            }
            Purpose::Owners(shards, tasks) => {
                for (uid, _) in &shards {
                    self.refused_by_store(*uid, problem);
                    self.timers.insert((until, Timer::Connector(*uid)));
                }
                self.owners_written(shards, tasks, false);
            }
        }
    }

    /// Shown until it is tried again, or need not be.
    pub(super) fn refused_by_store(&mut self, uid: ConnectorUid, problem: Option<&'static str>) {
        if let Some(connector) = self.connectors.get_mut(&uid)
            && connector.refused_by_store != problem
        {
            connector.refused_by_store = problem;
            self.work.seen_connectors.insert(uid);
        }
    }

    /// Gives numbers to agents that have none.
    pub(super) fn drive_newcomers(&mut self) {
        let ids: Vec<AgentId> = self.newcomers.keys().take(NEWCOMERS_A_WRITE).cloned().collect();
        let (Some(meta), false) = (&self.meta, ids.is_empty()) else {
            return;
        };
        let Some(free_at) = self.writes.free_at(&Name::Meta) else {
            return;
        };
        if free_at > self.now {
            self.timers.insert((free_at, Timer::Newcomers));
            return;
        }
        let mut meta = meta.clone();
        let written = self.writes.written();
        let mut puts = Vec::new();
        for id in &ids {
            let Some(session) = self.session() else { return };
            let Some(newcomer) = self.newcomers.get_mut(id) else {
                continue;
            };
            newcomer.session = Some(session);
            let record = first_record(meta.next_agent, session, &newcomer.hello, written);
            puts.push((Name::Agent(id.clone()), Record::Agent(record)));
            let Ok(next) = AgentNumber::try_from(meta.next_agent.get().wrapping_add(1)) else {
                return self.resign("the cluster has no more agent numbers");
            };
            meta.next_agent = next;
        }
        meta.written = Some(written);
        puts.push((Name::Meta, Record::Meta(meta)));
        let write = self.writes.begin(Purpose::Newcomers(ids), &[], puts, Vec::new());
        self.effects.push(Effect::Write(write));
    }

    /// Writes the owners of every shard of which some shall change, many shards in one transaction: each is right by itself.
    pub(super) fn write_owners(&mut self) {
        let mut puts = Vec::new();
        let mut shards = Vec::new();
        let mut tasks = Vec::new();
        for (uid, shard) in std::mem::take(&mut self.work.shards) {
            let Some(connector) = self.connectors.get(&uid) else {
                continue;
            };
            let name = Name::Own(connector.name.clone(), shard);
            match self.writes.free_at(&name) {
                None => continue, // its outcome brings us back
                Some(at) if at > self.now => {
                    self.timers.insert((at, Timer::Shard(uid, shard)));
                    continue;
                }
                Some(_) => {}
            }
            let Some((owners, changed)) = self.owners_wanted(uid, shard) else {
                continue;
            };
            if changed.is_empty() {
                continue;
            }
            let record = Ownership {
                uid,
                owners,
                written: self.writes.written(),
            };
            puts.push((name, Record::Own(record)));
            shards.push((uid, shard));
            tasks.extend(changed);
            if puts.len() == SHARDS_A_WRITE {
                let purpose = Purpose::Owners(std::mem::take(&mut shards), std::mem::take(&mut tasks));
                let write = self.writes.begin(purpose, &[], std::mem::take(&mut puts), Vec::new());
                self.effects.push(Effect::Write(write));
            }
        }
        if !puts.is_empty() {
            let write = self.writes.begin(Purpose::Owners(shards, tasks), &[], puts, Vec::new());
            self.effects.push(Effect::Write(write));
        }
    }

    /// The end of a write of owners.
    fn owners_written(&mut self, shards: Vec<(ConnectorUid, Shard)>, tasks: Vec<TaskKey>, applied: bool) {
        for key in tasks {
            if let Some(task) = self.task_mut(key) {
                task.writing = false;
                task.wanted = None;
            }
            self.touch(key);
        }
        for (uid, shard) in shards {
            if applied {
                self.refused_by_store(uid, None);
            }
            self.work.shards.insert((uid, shard));
            self.work.connectors.insert(uid);
        }
    }
}
