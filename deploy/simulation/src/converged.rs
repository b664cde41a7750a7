//! I5, every second: what has no owner has a reason. I6, after the faults: everything becomes as it should, and then it is silent.

use crate::Time;
use crate::coverage::Seen;
use crate::runs::{Kind, Phase};
use crate::world::{Item, World};
use dray_machine::cluster::Name;
use dray_model::record::{ConnectorSpec, SHARD_TASKS, Shard};
use dray_model::{AgentId, AgentPolicy, ConnectorName, ConnectorState, TargetState, TaskKey, TaskState};
use std::collections::BTreeMap;

/// Where a task is in the end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Placed {
    Runs,
    Failed,
    Nowhere,
}

impl World {
    pub(crate) fn second(&mut self) {
        self.after(1_000, Item::Second);
        for kafka in &mut self.kafka {
            kafka.tick(self.now);
            for _ in 0..std::mem::take(&mut kafka.timeouts) {
                self.coverage.see(Seen::TransactionTimeout);
            }
            for _ in 0..std::mem::take(&mut kafka.expired) {
                self.coverage.see(Seen::IdExpired);
            }
        }
        self.check_reasons();
        if let Some(healed) = self.healed_at {
            self.check_converged(healed);
        }
    }

    /// I5: a task of a STARTED connector has an owner, or people can read why not. Looked at when the leader has had time to see all.
    fn check_reasons(&mut self) {
        let Some(at) = self.leader() else { return };
        let Some(leader) = self.replicas[at].leader() else {
            return;
        };
        let settled = self.now > leader.since + 5_000
            && self.now > self.store.changed_at + 4_000
            && !leader.is_writing()
            && self.replicas[at].seen == self.store.log.len();
        if !settled || self.replica_now(at) >= leader.valid_until {
            return;
        }
        let mut breach = None;
        for (name, spec) in self.store.specs() {
            if spec.deleting || spec.target != TargetState::Started {
                continue;
            }
            let tasks = self.store.tasks(name).map_or(0, |set| set.tasks.len());
            for number in 0..u32::try_from(tasks).expect("few") {
                let shown = leader.tasks.get(&(name.clone(), number));
                let told = shown.is_some_and(|status| status.state == TaskState::Unassigned && status.trace.is_some());
                if self.store.owner(name, number).is_none() && !told {
                    breach = Some(format!(
                        "I5: {name}-{number} has no owner and people are told {shown:?}"
                    ));
                }
            }
            let shown = leader.connectors.get(name);
            let told = shown.is_some_and(|status| status.trace.is_some());
            if self.store.owner(name, TaskKey::INSTANCE).is_none() && !told {
                breach = Some(format!("I5: {name} has no owner and people are told {shown:?}"));
            }
        }
        if let Some(breach) = breach.filter(|_| self.replicas[at].process.up && !self.replicas[at].process.paused) {
            self.fail(breach);
        }
    }

    /// I6: everything is as it should by a bound, and stays so in silence.
    fn check_converged(&mut self, healed: Time) {
        match self.converged() {
            Ok(()) => {
                let since = *self.checks.good_since.get_or_insert(self.now);
                let quiet_since = since.max(self.checks.acted_at).max(self.store.changed_at);
                if self.now > quiet_since + self.profile.silence_ms {
                    self.finished = true;
                    return;
                }
            }
            Err(_) => self.checks.good_since = None,
        }
        let late = self.now.saturating_sub(healed + self.profile.converged_ms);
        match self.converged() {
            Err(why) if late > 0 => {
                self.fail(format!(
                    "I6: {} s after the last fault: {why}",
                    self.profile.converged_ms / 1_000
                ));
            }
            Ok(()) if late > 2 * self.profile.silence_ms => {
                self.fail("I6: all is as it should, and it is never silent")
            }
            _ => {}
        }
    }

    fn converged(&self) -> Result<(), String> {
        let at = self.leader().ok_or("nobody leads")?;
        let leader = self.replicas[at].leader().ok_or("nobody leads")?;
        // Tasks that must be alive once, or may be.
        let mut expected: BTreeMap<TaskKey, bool> = BTreeMap::new();
        for (name, spec) in self.store.specs() {
            let shown = leader.connectors.get(name);
            if spec.deleting {
                return Err(format!("{name} is not deleted yet; people are told {shown:?}"));
            }
            if spec.target == TargetState::Stopped {
                self.stopped(name, shown.map(|status| status.state))?;
            } else {
                self.started(name, spec, &mut expected)?;
            }
        }
        for name in self.store.records.keys() {
            if let Name::Tasks(connector) | Name::Own(connector, _) = name
                && self.store.spec(connector).is_none()
            {
                return Err(format!("{name:?} is left of a deleted connector"));
            }
        }
        for id in (0..crate::AGENTS).map(crate::agent::agent_id) {
            self.drained(&id)?;
        }
        self.forgotten()?;
        for (task, alive) in &self.checks.alive {
            match expected.get(task) {
                Some(true) if alive.len() == 1 => {}
                Some(false) if alive.len() <= 1 => {}
                _ => return Err(format!("{task} runs in {alive:?}")),
            }
        }
        Ok(())
    }

    /// A dead session that owns nothing and is fenced everywhere is forgotten, unless a task that has no owner may have been its.
    fn forgotten(&self) -> Result<(), String> {
        for (name, spec) in self
            .store
            .specs()
            .filter(|(_, spec)| spec.target != TargetState::Stopped)
        {
            let tasks = self.store.tasks(name).map_or(0, |set| set.tasks.len());
            let numbers = (0..u32::try_from(tasks).expect("few")).chain([TaskKey::INSTANCE]);
            if spec.uid.is_none()
                || numbers
                    .into_iter()
                    .any(|number| self.store.owner(name, number).is_none())
            {
                return Ok(());
            }
        }
        for id in (0..crate::AGENTS).map(crate::agent::agent_id) {
            let dead = self.store.agent(&id).map(|agent| &agent.dead_sessions);
            let mut fenced = dead.into_iter().flatten().filter(|(_, clusters)| clusters.is_empty());
            if let Some((session, _)) = fenced.next() {
                return Err(format!("{id} lists {session}, which is dead and fenced everywhere"));
            }
        }
        Ok(())
    }

    fn started(
        &self,
        name: &ConnectorName,
        spec: &ConnectorSpec,
        expected: &mut BTreeMap<TaskKey, bool>,
    ) -> Result<(), String> {
        let connector = spec.uid.ok_or("a connector without uid")?;
        let paused = spec.target == TargetState::Paused;
        let instance = self.placed(name, TaskKey::instance(connector), paused, spec)?;
        expected.insert(TaskKey::instance(connector), instance != Placed::Nowhere);
        if instance != Placed::Runs {
            // Nobody says which tasks there shall be: those that were stay.
            expected.extend((0..64).map(|number| (TaskKey { connector, number }, false)));
            return Ok(());
        }
        let set = self.store.tasks(name).ok_or_else(|| format!("{name} has no tasks"))?;
        let wanted = self.users.tasks_of(connector, &spec.config);
        let stored: Vec<_> = set.tasks.iter().map(|task| task.config.clone()).collect();
        if set.config_version != spec.config_version || stored != wanted {
            let version = set.config_version;
            return Err(format!("{name} has the tasks of version {version}: {stored:?}"));
        }
        let count = u32::try_from(wanted.len()).expect("few");
        for number in 0..count {
            let task = TaskKey { connector, number };
            if self.placed(name, task, paused, spec)? != Placed::Nowhere {
                expected.insert(task, true);
            }
        }
        let own = self.store.owners(&Name::Own(name.clone(), Shard::Tasks(0)));
        match own.filter(|own| own.owners.keys().any(|number| *number >= count)) {
            Some(own) => Err(format!(
                "{name} has owners of tasks that it does not have: {:?}",
                own.owners
            )),
            None => Ok(()),
        }
    }

    fn stopped(&self, name: &ConnectorName, shown: Option<ConnectorState>) -> Result<(), String> {
        if self.store.tasks(name).is_some() {
            return Err(format!("{name} is stopped and has tasks"));
        }
        for shard in [Shard::Connector, Shard::Tasks(0)] {
            let own = self.store.owners(&Name::Own(name.clone(), shard));
            if let Some(own) = own.filter(|own| !own.owners.is_empty()) {
                return Err(format!("{name} is stopped and has owners: {:?}", own.owners));
            }
        }
        if shown != Some(ConnectorState::Stopped) {
            return Err(format!("{name} is stopped, and people are told {shown:?}"));
        }
        Ok(())
    }

    /// A draining or removed agent has nothing. Agent 0 is always active at the end, has every plugin and room for all.
    fn drained(&self, id: &AgentId) -> Result<(), String> {
        let agent = self
            .store
            .agent(id)
            .filter(|agent| matches!(agent.policy, AgentPolicy::Draining | AgentPolicy::Removed));
        let Some(session) = agent.and_then(|agent| agent.session) else {
            return Ok(());
        };
        let owns = self
            .store
            .records
            .keys()
            .filter_map(|name| self.store.owners(name))
            .any(|own| {
                let mut owners = own.owners.values();
                owners.any(|owner| owner.session == session)
            });
        if owns && self.agents[0].process.up {
            Err(format!("{id} is to have no tasks, and still has some"))
        } else {
            Ok(())
        }
    }

    /// Whether a task runs where the store says, or nobody can run it.
    fn placed(
        &self,
        name: &ConnectorName,
        task: TaskKey,
        paused: bool,
        spec: &ConnectorSpec,
    ) -> Result<Placed, String> {
        debug_assert!(task.is_instance() || task.number < SHARD_TASKS);
        let Some(owner) = self.store.owner(name, task.number) else {
            let class = spec.config.get("connector.class").map_or("", String::as_str);
            let could = if class == "sim.Rare" {
                0..2
            } else {
                0..crate::AGENT_SLOTS
            };
            let could = could
                .into_iter()
                .any(|slot| self.agents[slot].process.up && self.is_active(slot));
            return if could {
                Err(format!("{name}: {task} has no owner"))
            } else {
                Ok(Placed::Nowhere)
            };
        };
        let current = (owner.session, owner.agent);
        let Some(agent) = self
            .agents
            .iter()
            .find(|agent| agent.process.up && agent.current == Some(current))
        else {
            return Err(format!("{name}: {task} is owned by {owner:?}, which is not there"));
        };
        let Some(run) = agent.runs.values().find(|run| run.owned.task == task) else {
            return Err(format!("{name}: {task} is owned by {owner:?} and does not run there"));
        };
        let (known, asked) = (run.asked_restarts, spec.asked_restarts(task.number));
        if known != Some(asked) {
            return Err(format!(
                "{name}: restart {asked} of {task} is lost: it runs as of {known:?}"
            ));
        }
        if run.tripped && !paused {
            return Err(format!(
                "{name}: the breaker of {task} has tripped, and its connector is not paused"
            ));
        }
        if run.owned.generation >= owner.generation && run.phase == Phase::Failed {
            return Ok(Placed::Failed);
        }
        let fits = run.is_running() && (run.is_paused() == paused || run.kind == Kind::Instance);
        if run.owned.generation >= owner.generation && fits {
            Ok(Placed::Runs)
        } else {
            let (phase, generation) = (run.phase, run.owned.generation);
            Err(format!(
                "{name}: {task} is {phase:?} under {generation}, paused: {}, at {owner:?}",
                run.is_paused()
            ))
        }
    }

    fn is_active(&self, slot: usize) -> bool {
        let agent = self.store.agent(&crate::agent::agent_id(slot));
        agent.is_some_and(|agent| agent.policy == AgentPolicy::Active)
    }
}
