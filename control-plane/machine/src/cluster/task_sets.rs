//! The task set of a connector: what its instance wants, what of the present tasks has to stop for it, and how it is stored.

use super::connectors::{Connector, Wish, connector_tasks};
use super::event::{Effect, Name, Record};
use super::tasks::Task;
use super::writes::Purpose;
use super::{Machine, Timer};
use dray_model::message::{Order, Owned, TaskConfigs};
use dray_model::record::{MAX_TASKS, TaskSet, TaskSpec};
use dray_model::{AgentNumber, ConfigDigest, ConnectorUid, TaskKey};
use std::collections::BTreeSet;

/// A task set that is not stored yet.
pub(super) struct NextSet {
    instance: Owned,
    pub(super) config_version: u64,
    tasks: Vec<TaskSpec>,
    /// Those of the old set that change or go.
    pub(super) blocked: BTreeSet<u32>,
}

impl Connector {
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
    pub(super) fn touch_blocked(&mut self, uid: ConnectorUid, former: Option<NextSet>) {
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
        let version = connector.set.as_ref().map(|set| set.config_version);
        connector.former = connector.former.take().filter(|former| {
            version == Some(former.config_version) && version != Some(connector.assigned.config_version)
        });
        let size = u32::try_from(connector.size()).unwrap_or(u32::MAX);
        for number in 0..size {
            connector.tasks.entry(number).or_insert_with(|| Task::new(false));
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

    /// Whether a task set is being written: until it is known which one is stored, nobody gets a task.
    pub(super) fn is_set_in_flight(&self, uid: ConnectorUid) -> bool {
        let connector = self.connectors.get(&uid);
        connector.is_some_and(|connector| self.writes.free_at(&Name::Tasks(connector.name.clone())).is_none())
    }

    /// Stores the next task set, if the configuration that it was made from is still the one.
    pub(super) fn write_set(&mut self, uid: ConnectorUid) {
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
}
