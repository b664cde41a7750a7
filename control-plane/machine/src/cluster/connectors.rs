//! Connectors: from what is wanted of one to its instance, its task set and its end.

use super::event::{Effect, Name, Record, Revision, Shown, ShownStatus};
use super::fencing::Fence;
use super::settings::Settings;
use super::tasks::{Stage, Task};
use super::writes::Purpose;
use super::{Machine, Timer};
use crate::scheduler::{self, Needs, TaskInput};
use dray_model::message::{AssignedConnector, Order, Owned, Recovery, RevokedWhy, TaskConfigs};
use dray_model::record::{ConnectorSpec, MAX_TASKS, Shard, TaskSet, TaskSpec};
use dray_model::{
    AgentNumber, AgentSession, ConfigDigest, ConnectorName, ConnectorState, ConnectorUid, Cost, TargetState, TaskKey,
};
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;
use std::sync::Arc;

/// What an instance costs: it waits, most of the time.
const INSTANCE_UNITS: u32 = 100;

/// What is wanted of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// It runs, paused or not.
    Run,
    /// It stops, and another of its number comes later: the new task set waits for it.
    Wait(RevokedWhy),
    /// It stops and goes.
    Go(RevokedWhy),
}

/// A connector.
pub(super) struct Connector {
    pub(super) name: ConnectorName,
    pub(super) uid: ConnectorUid,
    pub(super) spec: ConnectorSpec,
    /// Read from the latest configuration that could be read, which is in force; `None` before there was one.
    pub(super) settings: Settings,
    readable: bool,
    /// What is wrong with its configuration or its task set.
    pub(super) problem: Option<String>,
    pub(super) refused_by_store: Option<&'static str>,
    /// What is assigned of it.
    pub(super) assigned: Arc<AssignedConnector>,
    /// Its tasks, as stored. Whatever task has an owner runs with the configuration that stands here.
    pub(super) set: Option<TaskSet>,
    /// Its next tasks: stored as soon as nobody owns those of the old set that change or go.
    next: Option<NextSet>,
    /// By number; the instance is always there.
    pub(super) tasks: BTreeMap<u32, Task>,
    /// Shards that were seen in the store.
    pub(super) shards: BTreeSet<Shard>,
    /// It was there before this leader.
    pub(super) inherited: bool,
    /// Dead sessions that must be fenced before anything is said to be stopped.
    pub(super) fences: BTreeMap<AgentSession, Fence>,
    /// Why an agent refused a task last.
    pub(super) refusals: BTreeMap<u32, String>,
    pub(super) shown: Option<ShownStatus<ConnectorState>>,
}

/// A task set that is not stored yet.
struct NextSet {
    instance: Owned,
    config_version: u64,
    tasks: Vec<TaskSpec>,
    /// Those of the old set that change or go.
    blocked: BTreeSet<u32>,
}

impl Connector {
    fn new(name: ConnectorName, uid: ConnectorUid, spec: ConnectorSpec) -> Self {
        let settings = Settings {
            recovery: Recovery::default(),
            needs: Needs::default(),
            cost: Cost::DEFAULT,
        };
        let assigned = Arc::new(AssignedConnector {
            uid,
            name: name.clone(),
            config_version: 0,
            config: BTreeMap::new(),
            recovery: settings.recovery,
        });
        let mut connector = Self {
            name,
            uid,
            spec,
            settings,
            readable: false,
            problem: None,
            refused_by_store: None,
            assigned,
            set: None,
            next: None,
            tasks: BTreeMap::from([(TaskKey::INSTANCE, Task::new(false))]),
            shards: BTreeSet::new(),
            inherited: false,
            fences: BTreeMap::new(),
            refusals: BTreeMap::new(),
            shown: None,
        };
        connector.read_config();
        connector
    }

    /// Takes the configuration of the spec, if it can be read; else the former one stays in force.
    fn read_config(&mut self) {
        match Settings::read(&self.spec.config) {
            Ok(settings) => {
                self.problem = None;
                self.readable = true;
                self.assigned = Arc::new(AssignedConnector {
                    uid: self.uid,
                    name: self.name.clone(),
                    config_version: self.spec.config_version,
                    config: self.spec.config.clone(),
                    recovery: settings.recovery,
                });
                self.settings = settings;
            }
            Err(problem) => self.problem = Some(problem),
        }
    }

    pub(super) fn is_paused(&self) -> bool {
        self.spec.target == TargetState::Paused
    }

    /// Whether it is to end, for now or for ever.
    pub(super) fn is_ending(&self) -> bool {
        self.spec.deleting || self.spec.target == TargetState::Stopped
    }

    /// Whether another task set is to be stored.
    pub(super) fn is_changing(&self) -> bool {
        self.next.is_some()
    }

    /// Whether its end is waited for by nobody any more.
    pub(super) fn is_stopped(&self) -> bool {
        self.is_ending() && self.set.is_none() && self.tasks.values().all(Task::is_free)
    }

    fn size(&self) -> usize {
        self.set.as_ref().map_or(0, |set| set.tasks.len())
    }

    /// What is wanted of a task or the instance.
    pub(super) fn wish(&self, number: u32) -> Wish {
        if self.spec.deleting {
            return Wish::Go(RevokedWhy::Deleted);
        }
        if self.spec.target == TargetState::Stopped {
            return Wish::Go(RevokedWhy::Stopped);
        }
        if number == TaskKey::INSTANCE {
            return Wish::Run;
        }
        if self.next.as_ref().is_some_and(|next| next.blocked.contains(&number)) {
            return Wish::Wait(RevokedWhy::Reconfigured);
        }
        if (number as usize) < self.size() {
            Wish::Run
        } else {
            Wish::Go(RevokedWhy::Reconfigured)
        }
    }

    /// What a task or the instance is made of now.
    pub(super) fn digest(&self, number: u32) -> ConfigDigest {
        let config = &self.assigned.config;
        let set = self.set.as_ref();
        match set.and_then(|set| Some((set.config_version, set.tasks.get(number as usize)?))) {
            Some((version, task)) if version == self.assigned.config_version => task.digest,
            // The configuration changed, and its instance has not said yet what follows from it.
            Some((_, task)) => ConfigDigest::of_task(config, &task.config.apply(config)),
            None => ConfigDigest::of_connector(config),
        }
    }

    /// The numbers of the present tasks that a new set changes or takes away.
    fn changes(&self, tasks: &[TaskSpec]) -> BTreeSet<u32> {
        let stays = |number: u32, task: &Task| {
            let at = number as usize;
            let old = self
                .set
                .as_ref()
                .and_then(|set| set.tasks.get(at))
                .map(|old| old.digest);
            let new = tasks.get(at).map(|new| new.digest);
            new.is_some() && new == old && task.digest.is_none_or(|digest| Some(digest) == new)
        };
        let tasks = self.tasks.iter().filter(|(number, _)| **number != TaskKey::INSTANCE);
        tasks
            .filter(|(number, task)| !stays(**number, task))
            .map(|(number, _)| *number)
            .collect()
    }
}

impl Machine {
    /// What is wanted of a connector is this now.
    pub(super) fn spec_changed(&mut self, name: ConnectorName, revision: Revision, spec: ConnectorSpec) {
        let created = NonZeroU64::new(revision.0).map(ConnectorUid::from);
        let Some(uid) = spec.uid.or(created) else { return };
        if self.names.get(&name).is_some_and(|known| *known != uid) {
            self.spec_gone(&name); // it was deleted, and created anew
        }
        if !self.names.contains_key(&name) {
            self.names.insert(name.clone(), uid);
            self.connectors.insert(uid, Connector::new(name, uid, spec));
            self.publish(uid);
            self.touch(TaskKey::instance(uid));
            return;
        }
        let connector = self.connectors.get_mut(&uid).expect("a name has its connector");
        let before = std::mem::replace(&mut connector.spec, spec);
        let version_before = connector.assigned.config_version;
        if connector.spec.config_version != before.config_version {
            connector.read_config();
        }
        let spec = connector.spec.clone();
        let reconfigured = connector.assigned.config_version != version_before;
        let is_old = |next: &mut NextSet| next.config_version != spec.config_version;
        let dropped = connector.next.take_if(is_old);
        let ended = connector.is_ending() != (before.deleting || before.target == TargetState::Stopped);
        self.touch_blocked(uid, dropped);
        if reconfigured || ended {
            self.publish(uid);
        }
        if reconfigured || spec.restarts > before.restarts {
            self.restart(uid, TaskKey::INSTANCE, spec.restarts > before.restarts);
        }
        for (number, count) in &spec.task_restarts {
            if *count > before.task_restarts.get(number).copied().unwrap_or_default() {
                self.restart(uid, *number, true);
            }
        }
        if spec.target != before.target || spec.deleting != before.deleting || reconfigured {
            self.touch_tasks(uid);
        }
        self.work.connectors.insert(uid);
        self.work.seen_connectors.insert(uid);
    }

    fn restart(&mut self, uid: ConnectorUid, number: u32, asked: bool) {
        let key = TaskKey { connector: uid, number };
        if let Some(task) = self.task_mut(key) {
            task.restarting |= asked && task.stage() == Stage::Assigned;
            self.renew(key);
        }
    }

    /// All tasks have to be looked at again, and those that run are told whether they are paused.
    fn touch_tasks(&mut self, uid: ConnectorUid) {
        let Some(connector) = self.connectors.get(&uid) else {
            return;
        };
        let told = |task: &Task| task.owner.filter(|_| task.stage() == Stage::Assigned);
        let tasks: Vec<_> = connector
            .tasks
            .iter()
            .map(|(number, task)| (*number, told(task)))
            .collect();
        for (number, owner) in tasks {
            let key = TaskKey { connector: uid, number };
            if let Some(owner) = owner {
                self.tell(owner.agent, key);
            }
            self.touch(key);
        }
    }

    /// A connector is deleted: nobody owned anything of it.
    pub(super) fn spec_gone(&mut self, name: &ConnectorName) {
        let Some(uid) = self.names.remove(name) else { return };
        let Some(connector) = self.connectors.get(&uid) else {
            return;
        };
        let numbers: Vec<u32> = connector.tasks.keys().copied().collect();
        for number in numbers {
            self.drop_task(TaskKey { connector: uid, number });
        }
        let decisions = self.scheduler.on(self.now, scheduler::Event::Published(no_tasks(uid)));
        self.decided(decisions);
        if let Some(connector) = self.connectors.remove(&uid)
            && connector.shown.is_some()
        {
            self.effects.push(Effect::Show(Shown::Connector(name.clone(), None)));
        }
    }

    /// A task is no more.
    fn drop_task(&mut self, key: TaskKey) {
        let Some(connector) = self.connectors.get_mut(&key.connector) else {
            return;
        };
        let Some(task) = connector.tasks.remove(&key.number) else {
            return;
        };
        connector.refusals.remove(&key.number);
        if task.shown.is_some() {
            let gone = Shown::Task(connector.name.clone(), key.number, None);
            self.effects.push(Effect::Show(gone));
        }
        for agent in task.target.into_iter().chain(task.owner.map(|owner| owner.agent)) {
            if let Some(agent) = self.agents.get_mut(&agent) {
                agent.targeted.remove(&key);
                agent.owned.remove(&key);
                agent.outbox.remove(&key);
            }
        }
        self.fences_are_done(task.fences);
    }

    /// Tells the scheduler which tasks a connector has.
    pub(super) fn publish(&mut self, uid: ConnectorUid) {
        let Some(connector) = self.connectors.get(&uid).filter(|_| !self.inheriting) else {
            return;
        };
        let mut set = no_tasks(uid);
        set.needs = connector.settings.needs.clone();
        let mut at_home = Vec::new();
        if connector.readable && !connector.is_ending() {
            let stored = connector.set.iter().flat_map(|set| &set.tasks);
            let costs = (0u32..).zip(stored.map(|task| task.cost));
            let instance = Cost::try_from(INSTANCE_UNITS).unwrap_or(Cost::DEFAULT);
            for (number, cost) in std::iter::once((TaskKey::INSTANCE, instance)).chain(costs) {
                let owner = connector.tasks.get(&number).and_then(|task| task.owner);
                let owner = owner
                    .map(|owner| owner.agent)
                    .filter(|agent| self.agents.contains_key(agent));
                set.tasks.push(TaskInput { number, cost, owner });
                let key = TaskKey { connector: uid, number };
                if let (Some(agent), None) = (owner, self.scheduler.placement(key)) {
                    at_home.push((key, agent)); // it is not said where it is already
                }
            }
        }
        for (key, agent) in at_home {
            self.aim(key, Some(agent), None);
        }
        let wanted: BTreeSet<u32> = set.tasks.iter().map(|task| task.number).collect();
        let gone: Vec<u32> = connector_tasks(self, uid)
            .filter(|number| !wanted.contains(number))
            .collect();
        for number in gone {
            self.aim(TaskKey { connector: uid, number }, None, None);
        }
        let decisions = self.scheduler.on(self.now, scheduler::Event::Published(set));
        self.decided(decisions);
        self.work.seen_connectors.insert(uid);
    }

    /// An instance says which tasks it wants.
    pub(super) fn task_configs(&mut self, number: AgentNumber, configs: TaskConfigs) {
        let key = configs.instance.task;
        if !key.is_instance() || !self.is_current(number, configs.instance) {
            return; // an instance of the past
        }
        let Some(connector) = self.connectors.get_mut(&key.connector) else {
            return;
        };
        let uid = key.connector;
        if connector.wish(TaskKey::INSTANCE) != Wish::Run
            || configs.config_version != connector.assigned.config_version
            || configs.config_version != connector.spec.config_version
        {
            return; // it is to end, or is told of another configuration
        }
        if configs.tasks.len() > MAX_TASKS as usize {
            connector.problem = Some(format!(
                "it wants {} tasks, and a connector may have {MAX_TASKS}: lower tasks.max; its former tasks go on",
                configs.tasks.len()
            ));
            self.work.seen_connectors.insert(uid);
            return;
        }
        connector.problem = None;
        let (base, cost) = (&connector.assigned.config, connector.settings.cost);
        let tasks = configs.tasks.into_iter();
        let tasks: Vec<TaskSpec> = tasks
            .map(|config| TaskSpec {
                digest: ConfigDigest::of_task(base, &config.apply(base)),
                config,
                cost,
            })
            .collect();
        let next = NextSet {
            instance: configs.instance,
            config_version: configs.config_version,
            blocked: connector.changes(&tasks),
            tasks,
        };
        let before = connector.next.replace(next);
        self.touch_blocked(uid, before);
        self.work.connectors.insert(uid);
        self.work.seen_connectors.insert(uid);
    }

    /// The tasks that the next set changes or takes away have to be looked at, and those that a former one would have.
    fn touch_blocked(&mut self, uid: ConnectorUid, former: Option<NextSet>) {
        let Some(connector) = self.connectors.get(&uid) else {
            return;
        };
        let sets = connector.next.iter().chain(&former);
        let numbers: Vec<u32> = sets.flat_map(|next| &next.blocked).copied().collect();
        for number in numbers {
            self.touch(TaskKey { connector: uid, number });
        }
    }

    fn say_stored(&mut self, instance: Owned) {
        let owner = self.task(instance.task).and_then(|task| task.owner);
        let agent = owner.and_then(|owner| self.agents.get(&owner.agent));
        if let Some(connection) = agent.and_then(|agent| agent.connection) {
            self.send(connection, Order::TaskConfigsStored { instance });
        }
    }

    /// The stored tasks are these now.
    pub(super) fn set_changed(&mut self, uid: ConnectorUid, set: Option<TaskSet>) {
        let Some(connector) = self.connectors.get_mut(&uid) else {
            return;
        };
        connector.set = set;
        let (size, inherited) = (u32::try_from(connector.size()).unwrap_or(u32::MAX), connector.inherited);
        for number in 0..size {
            connector.tasks.entry(number).or_insert_with(|| {
                self.unproved += usize::from(inherited);
                Task::new(inherited)
            });
        }
        // Another may be wanted by now, and it was compared with the former one.
        if let Some(mut next) = connector.next.take() {
            next.blocked = connector.changes(&next.tasks);
            connector.next = Some(next);
        }
        self.publish(uid);
        self.touch_numbers(uid);
        self.work.connectors.insert(uid);
    }

    fn touch_numbers(&mut self, uid: ConnectorUid) {
        let numbers: Vec<u32> = connector_tasks(self, uid).collect();
        for number in numbers {
            self.touch(TaskKey { connector: uid, number });
        }
    }

    /// The write of a task set came to its end.
    pub(super) fn set_written(&mut self, uid: ConnectorUid, applied: bool) {
        if let Some(connector) = self.connectors.get_mut(&uid)
            && applied
        {
            connector.refused_by_store = None;
        }
        self.touch_numbers(uid); // none was given out meanwhile
        self.work.connectors.insert(uid);
    }

    /// The next step of a connector as a whole: tasks that are too many go, its next set is stored, its end is written.
    pub(super) fn drive_connector(&mut self, uid: ConnectorUid) {
        let Some(connector) = self.connectors.get(&uid) else {
            return;
        };
        let too_many = |(number, task): &(&u32, &Task)| {
            **number != TaskKey::INSTANCE && **number as usize >= connector.size() && task.is_free()
        };
        let too_many: Vec<u32> = connector
            .tasks
            .iter()
            .filter(too_many)
            .map(|(number, _)| *number)
            .collect();
        for number in too_many {
            self.drop_task(TaskKey { connector: uid, number });
        }
        let Some(connector) = self.connectors.get(&uid) else {
            return;
        };
        self.work.seen_connectors.insert(uid);
        if connector.is_ending() {
            if connector.tasks.values().all(Task::is_free) {
                self.write_end(uid);
            }
            return;
        }
        let is_free = |number: &u32| connector.tasks.get(number).is_none_or(Task::is_free);
        if connector
            .next
            .as_ref()
            .is_some_and(|next| next.blocked.iter().all(is_free))
        {
            self.write_set(uid);
        }
    }

    /// Whether a task set is being written: until it is known which one is stored, nobody gets a task.
    pub(super) fn is_set_in_flight(&self, uid: ConnectorUid) -> bool {
        let connector = self.connectors.get(&uid);
        connector.is_some_and(|connector| self.writes.free_at(&Name::Tasks(connector.name.clone())).is_none())
    }

    /// Stores the next task set, if the configuration that it was made from is still the one.
    fn write_set(&mut self, uid: ConnectorUid) {
        let Some(connector) = self.connectors.get_mut(&uid) else {
            return;
        };
        let name = Name::Tasks(connector.name.clone());
        let Some(free_at) = self.writes.free_at(&name) else {
            return;
        };
        let Connector { set, next, .. } = connector;
        let is_stored = |next: &mut NextSet| {
            let stored = set.as_ref();
            stored.is_some_and(|set| set.config_version == next.config_version && set.tasks == next.tasks)
        };
        if let Some(stored) = next.take_if(is_stored) {
            self.say_stored(stored.instance);
            self.touch_blocked(uid, Some(stored));
            return;
        }
        if free_at > self.now {
            self.timers.insert((free_at, Timer::Connector(uid)));
            return;
        }
        let Some(next) = &connector.next else { return };
        let set = TaskSet {
            uid,
            config_version: next.config_version,
            tasks: next.tasks.clone(),
            written: self.writes.written(),
        };
        let spec = Name::Spec(connector.name.clone());
        let puts = vec![(name, Record::Tasks(set))];
        let write = self.writes.begin(Purpose::Tasks(uid), &[spec], puts, Vec::new());
        self.effects.push(Effect::Write(write));
    }

    /// Nobody owns anything of it any more: its tasks go from the store, and if it is deleted, it goes too.
    fn write_end(&mut self, uid: ConnectorUid) {
        let Some(connector) = self.connectors.get(&uid) else {
            return;
        };
        let spec = Name::Spec(connector.name.clone());
        let mut names = vec![Name::Tasks(connector.name.clone())];
        let shards = connector.shards.iter();
        names.extend(shards.map(|shard| Name::Own(connector.name.clone(), *shard)));
        names.retain(|name| self.writes.revision(name) != Revision(0) || self.writes.free_at(name).is_none());
        let mut compared = Vec::new();
        if connector.spec.deleting {
            names.push(spec);
        } else {
            compared.push(spec);
        }
        if names.is_empty() {
            return;
        }
        for name in &names {
            match self.writes.free_at(name) {
                None => return, // its outcome brings us back
                Some(at) if at > self.now => {
                    self.timers.insert((at, Timer::Connector(uid)));
                    return;
                }
                Some(_) => {}
            }
        }
        let write = self.writes.begin(Purpose::Remove(uid), &compared, Vec::new(), names);
        self.effects.push(Effect::Write(write));
    }
}

fn no_tasks(uid: ConnectorUid) -> scheduler::TaskSet {
    scheduler::TaskSet {
        connector: uid,
        needs: Needs::default(),
        prefers: None,
        movable: true,
        tasks: Vec::new(),
    }
}

fn connector_tasks(machine: &Machine, uid: ConnectorUid) -> impl Iterator<Item = u32> {
    machine
        .connectors
        .get(&uid)
        .into_iter()
        .flat_map(|connector| connector.tasks.keys().copied())
}
