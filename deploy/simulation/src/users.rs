//! What people do: they create, change, pause, stop and delete connectors, restart them, and cordon and drain agents. And what the outer
//! world does: sources get more tables.

use crate::AGENTS;
use crate::agent::agent_id;
use crate::coverage::Seen;
use crate::mutation::Mutation;
use crate::runs::{Kind, Timer};
use crate::world::{Input, Item, World};
use dray_machine::cluster::{Name, Record};
use dray_model::record::{ClusterMeta, ConnectorSpec};
use dray_model::{AgentNumber, AgentPolicy, ConfigDiff, ConfigMap, ConnectorName, ConnectorUid, TargetState};
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Default)]
pub(crate) struct Users {
    names: u32,
    operations: u64,
    /// How many source partitions the outside of a connector has, beyond four.
    outside: BTreeMap<ConnectorUid, u32>,
}

pub(crate) fn cluster_of(config: &ConfigMap) -> usize {
    usize::from(config.get("sim.kafka").is_some_and(|at| at == "1"))
}

impl Users {
    /// The tasks that a connector wants: a pure function of its configuration and of what is outside.
    pub(crate) fn tasks_of(&self, uid: ConnectorUid, config: &ConfigMap) -> Vec<Arc<ConfigDiff>> {
        let parts = 4 + self.outside.get(&uid).copied().unwrap_or(0);
        let most = config.get("tasks.max").and_then(|n| n.parse::<u32>().ok()).unwrap_or(1);
        let tasks = most.clamp(1, parts);
        let tail = config.get("split").is_some_and(|split| split == "tail");
        let of = |part: u32| if tail { part.min(tasks - 1) } else { part % tasks };
        let task = |number: u32| {
            let mine: Vec<String> = (0..parts)
                .filter(|part| of(*part) == number)
                .map(|part| part.to_string())
                .collect();
            let mut task = config.clone();
            task.insert("task".into(), number.to_string());
            task.insert("parts".into(), mine.join(","));
            Arc::new(ConfigDiff::between(config, &task))
        };
        (0..tasks).map(task).collect()
    }
}

impl World {
    pub(crate) fn seed_store(&mut self) {
        let meta = ClusterMeta {
            cluster: "sim".into(),
            epoch: 1,
            next_agent: AgentNumber::try_from(1).expect("not 0"),
            worker: Arc::new(ConfigMap::new()),
            written: None,
        };
        self.store.put(0, Name::Meta, Record::Meta(meta));
        for _ in 0..self.profile.connectors {
            self.create();
        }
    }

    pub(crate) fn write_spec(&mut self, name: ConnectorName, mut spec: ConnectorSpec) {
        self.users.operations += 1;
        spec.operation = self.users.operations.to_string();
        self.store.put(self.now, Name::Spec(name), Record::Spec(spec));
        self.store_changed();
    }

    fn create(&mut self) {
        self.users.names += 1;
        // A name may come back: another connector then.
        let number = if self.random.permille(300) {
            self.random.range(1, self.users.names.into())
        } else {
            self.users.names.into()
        };
        let name = ConnectorName::try_from(format!("c{number}")).expect("a name");
        if self.store.records.contains_key(&Name::Spec(name.clone())) {
            return;
        }
        let class = self.random.pick(&[
            "sim.Source",
            "sim.Source",
            "sim.Source",
            "sim.Sink",
            "sim.Sink",
            "sim.Eos",
            "sim.Rare",
        ]);
        let mut config = ConfigMap::new();
        let mut set = |key: &str, value: String| config.insert(key.into(), value);
        set("name", name.as_str().into());
        set("connector.class", class.into());
        set("tasks.max", self.random.range(1, 4).to_string());
        set("split", self.random.pick(&["mod", "tail"]).into());
        set("sim.kafka", self.random.pick(&["0", "0", "1"]).into());
        // Without the wait, strict tasks would break something else first.
        if self.mutation != Some(Mutation::ForgetF6) && self.random.permille(300) {
            set("dray.recovery", "strict".into());
        }
        let spec = ConnectorSpec {
            uid: None,
            config,
            target: TargetState::Started,
            config_version: 1,
            restarts: 0,
            task_restarts: BTreeMap::new(),
            deleting: false,
            altering: None,
            breaker: None,
            writer: "user".into(),
            operation: String::new(),
        };
        self.note(|| format!("user creates {name}: {class}"));
        self.write_spec(name, spec);
    }

    pub(crate) fn user(&mut self) {
        if self.healed_at.is_some() {
            return;
        }
        let gap = self.profile.user_gap_ms;
        let wait = self.random.range(gap / 4, gap * 2);
        self.after(wait, Item::User);
        if self.now < self.store.down_until.max(self.store.full_until) {
            return;
        }
        let specs: Vec<(ConnectorName, ConnectorSpec)> = self
            .store
            .records
            .iter()
            .filter_map(|(name, entry)| match (name, &*entry.record) {
                (Name::Spec(name), Record::Spec(spec)) if !spec.deleting => Some((name.clone(), spec.clone())),
                _ => None,
            })
            .collect();
        let several = self.profile.connectors > 1;
        if specs.len() < 1 + usize::from(several) || (several && specs.len() < 7 && self.random.permille(100)) {
            return self.create();
        }
        if self.random.permille(150) {
            return self.change_policy();
        }
        let (name, mut spec) = specs[self.random.index(specs.len())].clone();
        let act = self.random.below(15);
        match act {
            0 | 1 => {
                spec.config.insert("salt".into(), self.now.to_string());
                reconfigured(&mut spec);
            }
            2 | 3 => {
                spec.config
                    .insert("tasks.max".into(), self.random.range(1, 5).to_string());
                reconfigured(&mut spec);
            }
            4 => spec.target = TargetState::Paused,
            5 | 6 => {
                spec.target = TargetState::Started;
                spec.lift_breaker();
            }
            7 => {
                spec.target = TargetState::Stopped;
                spec.lift_breaker();
            }
            8 => spec.deleting = true,
            9 => {
                self.coverage.see(Seen::Restart);
                spec.restarts += 1;
            }
            10 => {
                self.coverage.see(Seen::Restart);
                let task = u32::try_from(self.random.below(3)).expect("small");
                *spec.task_restarts.entry(task).or_default() += 1;
            }
            14 => {
                // Refused by whoever reads it: what was in force goes on.
                self.see(Seen::WrongConfig);
                spec.config.insert("dray.recovery".into(), "soft".into());
                reconfigured(&mut spec);
            }
            11 | 12 if spec.target == TargetState::Stopped => return self.alter(name, spec),
            _ => return self.change_outside(&name, &spec),
        }
        self.note(|| {
            format!(
                "user: act {act} on {name}: {:?}, version {}",
                spec.target, spec.config_version
            )
        });
        self.write_spec(name, spec);
    }

    /// Wrong configurations are put right.
    pub(crate) fn mend(&mut self) {
        let is_wrong = |spec: &ConnectorSpec| spec.config.get("dray.recovery").is_some_and(|class| class == "soft");
        let wrong: Vec<_> = self
            .store
            .specs()
            .filter(|(_, spec)| is_wrong(spec) && !spec.deleting)
            .map(|(name, spec)| (name.clone(), spec.clone()))
            .collect();
        for (name, mut spec) in wrong {
            spec.config.remove("dray.recovery");
            reconfigured(&mut spec);
            self.write_spec(name, spec);
        }
    }

    /// The outside of a connector changes; its instance notices and wants other tasks.
    fn change_outside(&mut self, name: &ConnectorName, spec: &ConnectorSpec) {
        let Some(uid) = spec.uid else { return };
        let more = u32::try_from(self.random.below(3)).expect("small");
        self.users.outside.insert(uid, more);
        self.note(|| format!("outside of {name} changes: {more}"));
        for at in 0..self.agents.len() {
            let runs = self.agents[at].runs.iter();
            let instances = runs.filter(|(_, run)| run.kind == Kind::Instance && run.owned.task.connector == uid);
            for id in instances.map(|(id, _)| *id).collect::<Vec<_>>() {
                let wait = self.random.range(1, 2_000);
                self.for_agent(at, wait, Input::Timer(id, Timer::Configs));
            }
        }
    }

    fn change_policy(&mut self) {
        let id = agent_id(self.random.index(AGENTS));
        let policies = [
            AgentPolicy::Active,
            AgentPolicy::Active,
            AgentPolicy::Cordoned,
            AgentPolicy::Draining,
            AgentPolicy::Removed,
            AgentPolicy::Restarting,
        ];
        let policy = self.random.pick(&policies);
        self.set_policy(&id, policy);
    }

    pub(crate) fn set_policy(&mut self, id: &dray_model::AgentId, policy: AgentPolicy) {
        let name = Name::Agent(id.clone());
        let Some(Record::Agent(agent)) = self.store.records.get(&name).map(|entry| (*entry.record).clone()) else {
            return;
        };
        if agent.policy != policy {
            self.note(|| format!("user: {id} becomes {policy}"));
            self.see(Seen::PolicyChanged);
            let agent = dray_model::record::AgentRecord { policy, ..agent };
            self.store.put(self.now, name, Record::Agent(agent));
            self.store_changed();
        }
    }
}

/// The configuration of a connector was changed: what its breaker has paused goes on.
fn reconfigured(spec: &mut ConnectorSpec) {
    spec.config_version += 1;
    if spec.paused_by_breaker().is_some() {
        spec.target = TargetState::Started;
        spec.lift_breaker();
    }
}
