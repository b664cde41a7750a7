//! Connectors: from what is wanted of one to its instance, its task set and its end.

use super::event::{Effect, Name, Revision, Shown, ShownStatus};
use super::fencing::Fence;
use super::settings::Settings;
use super::task_sets::NextSet;
use super::tasks::{Stage, Task};
use super::writes::Purpose;
use super::{Machine, Timer};
use crate::scheduler::{self, Needs, TaskInput};
use dray_model::message::{AssignedConnector, Recovery, RevokedWhy};
use dray_model::record::{ConnectorSpec, Shard, TaskSet};
use dray_model::{
    AgentSession, ConfigDigest, ConnectorName, ConnectorState, ConnectorUid, Cost, Millis, TargetState, TaskKey,
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
    /// Its offsets are being set: nothing of it starts before this moment, unless they are set earlier.
    pub(super) held_until: Option<Millis>,
    /// What is assigned of it.
    pub(super) assigned: Arc<AssignedConnector>,
    /// What its stored tasks were made from, while its configuration is a later one. A new leader does not know it.
    pub(super) former: Option<Arc<AssignedConnector>>,
    /// Its tasks, as stored. Whatever task has an owner runs with the configuration that stands here.
    pub(super) set: Option<TaskSet>,
    /// Its next tasks: stored as soon as nobody owns those of the old set that change or go.
    pub(super) next: Option<NextSet>,
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

impl Connector {
    fn new(name: ConnectorName, uid: ConnectorUid, spec: ConnectorSpec) -> Self {
        let settings = Settings {
            recovery: Recovery::default(),
            needs: Needs::default(),
            cost: Cost::DEFAULT,
            zone: None,
            starts_a_second: None,
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
            held_until: None,
            assigned,
            former: None,
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
                let assigned = Arc::new(AssignedConnector {
                    uid: self.uid,
                    name: self.name.clone(),
                    config_version: self.spec.config_version,
                    config: self.spec.config.clone(),
                    recovery: settings.recovery,
                });
                let before = std::mem::replace(&mut self.assigned, assigned);
                let made_from = |set: &TaskSet| set.config_version == before.config_version;
                if self.set.as_ref().is_some_and(made_from) {
                    self.former = Some(before);
                }
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
        self.spec.deleting || self.spec.target == TargetState::Stopped || self.held_until.is_some()
    }

    /// Whether another task set is to be stored.
    pub(super) fn is_changing(&self) -> bool {
        self.next.is_some()
    }

    /// Whether its end is waited for by nobody any more.
    pub(super) fn is_stopped(&self) -> bool {
        self.is_ending() && self.set.is_none() && self.tasks.values().all(Task::is_free)
    }

    pub(super) fn size(&self) -> usize {
        self.set.as_ref().map_or(0, |set| set.tasks.len())
    }

    /// What is wanted of a task or the instance.
    pub(super) fn wish(&self, number: u32) -> Wish {
        if self.spec.deleting {
            return Wish::Go(RevokedWhy::Deleted);
        }
        if self.is_ending() {
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

    /// The configuration that a task or the instance is assigned with. Tasks keep the one that they were made from until their instance
    /// has said what follows from a new one: their own are differences from it.
    pub(super) fn assigned_to(&self, number: u32) -> &Arc<AssignedConnector> {
        let version = self.set.as_ref().map(|set| set.config_version);
        let former = self.former.as_ref().filter(|_| number != TaskKey::INSTANCE);
        former
            .filter(|former| version == Some(former.config_version))
            .unwrap_or(&self.assigned)
    }

    /// What a task or the instance is made of now.
    pub(super) fn digest(&self, number: u32) -> ConfigDigest {
        let AssignedConnector {
            config, config_version, ..
        } = &**self.assigned_to(number);
        let set = self.set.as_ref();
        match set.and_then(|set| Some((set.config_version, set.tasks.get(number as usize)?))) {
            Some((version, task)) if version == *config_version => task.digest,
            // The configuration changed, and its instance has not said yet what follows from it.
            Some((_, task)) => ConfigDigest::of_task(config, &task.config.apply(config)),
            None => ConfigDigest::of_connector(config),
        }
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
            if !self.inheriting {
                self.hold(uid);
            }
            self.publish(uid);
            self.touch(TaskKey::instance(uid));
            return;
        }
        let connector = self.connectors.get_mut(&uid).expect("a name has its connector");
        let was_ending = connector.is_ending();
        let before = std::mem::replace(&mut connector.spec, spec);
        let version_before = connector.assigned.config_version;
        if connector.spec.config_version != before.config_version {
            connector.read_config();
        }
        let spec = connector.spec.clone();
        let reconfigured = connector.assigned.config_version != version_before;
        let is_old = |next: &mut NextSet| next.config_version != spec.config_version;
        let dropped = connector.next.take_if(is_old);
        if connector.spec.altering != before.altering {
            connector.held_until = None;
        }
        let mark = connector.spec.altering.is_some() && connector.spec.altering != before.altering;
        if mark {
            self.hold(uid);
        }
        let Some(connector) = self.connectors.get(&uid) else {
            return;
        };
        let ended = connector.is_ending() != was_ending;
        self.touch_blocked(uid, dropped);
        if reconfigured || ended {
            self.publish(uid);
        }
        // Only whether the counts change matters: they may run over.
        let restarted = |number| spec.asked_restarts(number) != before.asked_restarts(number);
        if reconfigured || restarted(TaskKey::INSTANCE) {
            self.restart(uid, TaskKey::INSTANCE, restarted(TaskKey::INSTANCE));
        }
        for number in spec.task_restarts.keys().filter(|number| restarted(**number)) {
            self.restart(uid, *number, true);
        }
        if spec.target != before.target || spec.deleting != before.deleting || reconfigured || ended {
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
    pub(super) fn touch_tasks(&mut self, uid: ConnectorUid) {
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
        set.prefers.clone_from(&connector.settings.zone);
        set.starts_a_second = connector.settings.starts_a_second;
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

    /// The next step of a connector as a whole: tasks that are too many go, its next set is stored, its end is written.
    pub(super) fn drive_connector(&mut self, uid: ConnectorUid) {
        self.let_go(uid);
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
        self.work.seen_connectors.insert(uid);
        self.pause_tripped(uid);
        let Some(connector) = self.connectors.get(&uid) else {
            return;
        };
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
        if connector.spec.deleting && connector.held_until.is_none() {
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
        starts_a_second: None,
        movable: true,
        tasks: Vec::new(),
    }
}

pub(super) fn connector_tasks(machine: &Machine, uid: ConnectorUid) -> impl Iterator<Item = u32> {
    machine
        .connectors
        .get(&uid)
        .into_iter()
        .flat_map(|connector| connector.tasks.keys().copied())
}
