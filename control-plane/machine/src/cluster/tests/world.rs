//! A small world around the machine: a store that applies what is written, and agents that do as they are told. Streams lose nothing
//! unless a test breaks them.

use super::super::*;
use dray_model::message::*;
use dray_model::record::*;
use dray_model::{
    Capacity, ConfigDiff, ConfigMap, ConnectorName, Instance, KafkaCluster, SessionId, TargetState, TaskKey,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::num::NonZeroU64;
use std::sync::Arc;

/// A store, a leader and some agents.
pub(crate) struct World {
    pub(crate) now: Millis,
    pub(crate) revision: u64,
    pub(crate) store: BTreeMap<Name, Stored<Record>>,
    pub(crate) machine: Machine,
    pub(crate) agents: BTreeMap<String, Agent>,
    /// Everything that was said, in order.
    pub(crate) said: Vec<(String, Order)>,
    pub(crate) shown_tasks: BTreeMap<(String, u32), ShownStatus<dray_model::TaskState>>,
    pub(crate) shown_connectors: BTreeMap<String, ShownStatus<dray_model::ConnectorState>>,
    pub(crate) shown_agents: BTreeMap<String, ShownAgent>,
    pub(crate) answers: Vec<CommandResult>,
    pub(crate) resigned: Option<&'static str>,
    pub(crate) writes: usize,
    /// Writes are held back here instead of being applied.
    pub(crate) held: Option<VecDeque<Write>>,
    /// Changes are told late: after the outcome.
    pub(crate) outcome_first: bool,
    pub(crate) valid: bool,
    /// Which configuration an instance was told.
    pub(crate) versions: BTreeMap<Owned, u64>,
    /// Who got a task under which generation.
    given: BTreeMap<Owned, String>,
    term: u64,
    connections: u64,
    queue: VecDeque<Event>,
    stepping: bool,
}

/// One that does as it is told.
pub(crate) struct Agent {
    pub(crate) hello: Hello,
    pub(crate) stream: Option<ConnectionId>,
    pub(crate) session: Option<SessionId>,
    pub(crate) running: BTreeMap<TaskKey, Generation>,
    pub(crate) paused: BTreeSet<TaskKey>,
    pub(crate) assigned: BTreeMap<TaskKey, Assignment>,
    /// Tasks whose breaker tripped, under which generation.
    pub(crate) tripped: BTreeMap<TaskKey, Generation>,
    /// It says nothing and does nothing that it is told.
    pub(crate) frozen: bool,
    /// It does not say that tasks are stopped, until it is let.
    pub(crate) slow_stop: bool,
    /// It starts tasks and does not report them.
    pub(crate) slow_start: bool,
    pub(crate) silent_acks: bool,
    /// Its instances do not say which tasks they want.
    pub(crate) mute_instances: bool,
    pub(crate) closed: bool,
    /// The only cluster that it can reach to fence somebody.
    pub(crate) fences_only: Option<KafkaCluster>,
    /// What it was told to stop and did not.
    pub(crate) to_stop: Vec<Owned>,
    seq: u64,
}

pub(crate) fn name(name: &str) -> ConnectorName {
    name.try_into().unwrap()
}

pub(crate) fn cluster(name: &str) -> KafkaCluster {
    name.try_into().unwrap()
}

pub(crate) fn config(pairs: &[(&str, &str)]) -> ConfigMap {
    pairs
        .iter()
        .map(|(key, value)| ((*key).into(), (*value).into()))
        .collect()
}

impl World {
    /// A cluster without agents and connectors, and its first leader.
    pub(crate) fn new() -> Self {
        let meta = ClusterMeta {
            cluster: "dray".into(),
            epoch: 0,
            next_agent: 1.try_into().unwrap(),
            worker: Arc::new(ConfigMap::new()),
            written: None,
        };
        let stored = Stored {
            revision: Revision(1),
            record: Record::Meta(meta),
        };
        let store = BTreeMap::from([(Name::Meta, stored)]);
        let mut world = Self {
            now: Millis(1_000_000),
            revision: 1,
            machine: leader(2, Millis(1_000_000), &store).0,
            store,
            agents: BTreeMap::new(),
            said: Vec::new(),
            shown_tasks: BTreeMap::new(),
            shown_connectors: BTreeMap::new(),
            shown_agents: BTreeMap::new(),
            answers: Vec::new(),
            resigned: None,
            writes: 0,
            held: None,
            outcome_first: false,
            valid: true,
            versions: BTreeMap::new(),
            given: BTreeMap::new(),
            term: 2,
            connections: 0,
            queue: VecDeque::new(),
            stepping: false,
        };
        world.revision = 2;
        world.pass(0);
        world
    }

    /// Another leader is elected; the streams of all agents break, and they say Hello to it.
    pub(crate) fn elect(&mut self) {
        self.elect_alone();
        for id in self.agents.keys().cloned().collect::<Vec<_>>() {
            if !self.agents[&id].frozen {
                self.connect(&id);
            }
        }
    }

    /// Another leader is elected; nobody has found it yet.
    pub(crate) fn elect_alone(&mut self) {
        self.revision += 1;
        self.term = self.revision;
        self.held = None;
        let (machine, effects) = leader(self.term, self.now, &self.store);
        self.machine = machine;
        for agent in self.agents.values_mut() {
            agent.stream = None;
        }
        // All of it comes before what follows from it: else what is shown at the election would hide what is shown after its first write.
        self.stepping = true;
        self.carry_out(effects);
        self.stepping = false;
        self.pass(0);
    }

    /// Time goes by, in steps of 100 ms, with the heartbeats of all that are connected.
    pub(crate) fn pass(&mut self, ms: u64) {
        let until = self.now.plus(ms);
        loop {
            if self.valid {
                self.step(Event::Valid(self.now.plus(4_000)));
            }
            if self.now.0.is_multiple_of(1_000) {
                for id in self.agents.keys().cloned().collect::<Vec<_>>() {
                    self.heartbeat(&id);
                }
            }
            self.step(Event::Tick);
            if self.now >= until {
                return;
            }
            self.now = self.now.plus(100);
        }
    }

    /// An event, and all that follows from it, one after the other.
    pub(crate) fn step(&mut self, event: Event) {
        self.queue.push_back(event);
        if std::mem::replace(&mut self.stepping, true) {
            return;
        }
        while let Some(event) = self.queue.pop_front() {
            let effects = self.machine.step(self.now, event);
            super::check::check(&self.machine);
            self.carry_out(effects);
        }
        self.stepping = false;
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        let mut messages = Vec::new();
        for effect in effects {
            match effect {
                Effect::Send { connection, message } => {
                    assert_eq!(message.term.get(), self.term);
                    messages.push((connection, message.body));
                }
                Effect::Close(connection) => {
                    for agent in self.agents.values_mut() {
                        if agent.stream == Some(connection) {
                            agent.closed = true;
                        }
                    }
                }
                Effect::Write(write) => {
                    self.writes += 1;
                    match &mut self.held {
                        Some(held) => held.push_back(write),
                        None => self.apply(write),
                    }
                }
                Effect::Show(Shown::Connector(name, status)) => {
                    show(&mut self.shown_connectors, name.as_str().into(), status)
                }
                Effect::Show(Shown::Task(name, number, status)) => {
                    if let (Some(status), Some(before)) =
                        (&status, self.shown_tasks.get(&(name.as_str().into(), number)))
                    {
                        assert!(
                            before.state.next(status.state).is_ok(),
                            "{} after {}",
                            status.state,
                            before.state
                        );
                    }
                    if let Some(status) = &status {
                        let unassigned = status.state == dray_model::TaskState::Unassigned;
                        assert!(!unassigned || status.trace.is_some(), "UNASSIGNED without a reason");
                    }
                    show(&mut self.shown_tasks, (name.as_str().into(), number), status);
                }
                Effect::Show(Shown::Agent(id, status)) => {
                    show(&mut self.shown_agents, id.as_str().into(), status.map(|status| *status));
                }
                Effect::Answer(result) => self.answers.push(result),
                Effect::Resign(why) => self.resigned = Some(why),
            }
        }
        for (connection, body) in messages {
            let id = self.agents.iter().find(|(_, agent)| agent.stream == Some(connection));
            let Some(id) = id.map(|(id, _)| id.clone()) else {
                continue;
            };
            self.said.push((id.clone(), body.clone()));
            self.hear(&id, body);
        }
    }

    /// A write is compared and applied, or not.
    pub(crate) fn apply(&mut self, write: Write) {
        let revision = |name: &Name| self.store.get(name).map_or(Revision(0), |stored| stored.revision);
        let names: BTreeSet<_> = write.compares.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), write.compares.len(), "a name is compared twice");
        for name in write.puts.iter().map(|(name, _)| name).chain(&write.deletes) {
            assert!(names.contains(name), "{name:?} is changed without a compare");
        }
        if write.compares.iter().any(|(name, seen)| revision(name) != *seen) {
            self.step(Event::Written {
                write: write.id,
                outcome: Outcome::Conflict,
            });
            return;
        }
        self.revision += 1;
        let revision = Revision(self.revision);
        let mut changes = Vec::new();
        for (name, record) in write.puts {
            let stored = Stored {
                revision,
                record: record.clone(),
            };
            self.store.insert(name.clone(), stored);
            changes.push(Change {
                name,
                revision,
                record: Some(record),
            });
        }
        for name in write.deletes {
            self.store.remove(&name);
            changes.push(Change {
                name,
                revision,
                record: None,
            });
        }
        let outcome = Event::Written {
            write: write.id,
            outcome: Outcome::Applied(revision),
        };
        if self.outcome_first {
            self.step(outcome);
            changes.into_iter().for_each(|change| self.step(Event::Changed(change)));
        } else {
            changes.into_iter().for_each(|change| self.step(Event::Changed(change)));
            self.step(outcome);
        }
    }

    /// The oldest write that was held back is applied.
    pub(crate) fn release(&mut self) {
        let write = self
            .held
            .as_mut()
            .and_then(VecDeque::pop_front)
            .expect("a write is held");
        self.apply(write);
    }

    /// What was held back is applied, and what follows at once.
    pub(crate) fn flow(&mut self) {
        for write in self.held.take().into_iter().flatten() {
            self.apply(write);
        }
    }

    /// Somebody else writes a record.
    pub(crate) fn put(&mut self, name: Name, record: Record) {
        self.revision += 1;
        let revision = Revision(self.revision);
        let stored = Stored {
            revision,
            record: record.clone(),
        };
        self.store.insert(name.clone(), stored);
        self.step(Event::Changed(Change {
            name,
            revision,
            record: Some(record),
        }));
    }

    /// Somebody creates a connector: its key `tasks` says how many tasks its instance will want.
    pub(crate) fn create(&mut self, connector: &str, pairs: &[(&str, &str)]) {
        let spec = ConnectorSpec {
            uid: None,
            config: config(pairs),
            target: TargetState::Started,
            config_version: 1,
            restarts: 0,
            task_restarts: BTreeMap::new(),
            deleting: false,
            altering: None,
            breaker: None,
            writer: "test".into(),
            operation: "1".into(),
        };
        self.put(Name::Spec(name(connector)), Record::Spec(spec));
    }

    /// Somebody changes what is wanted of a connector.
    pub(crate) fn change(&mut self, connector: &str, change: impl FnOnce(&mut ConnectorSpec)) {
        let name = Name::Spec(name(connector));
        let Some(Stored {
            revision,
            record: Record::Spec(spec),
        }) = self.store.get(&name)
        else {
            panic!("no connector {connector}");
        };
        let mut spec = spec.clone();
        spec.uid = spec.uid.or(NonZeroU64::new(revision.0).map(Into::into));
        change(&mut spec);
        self.put(name, Record::Spec(spec));
    }

    /// Another configuration of a connector.
    pub(crate) fn configure(&mut self, connector: &str, pairs: &[(&str, &str)]) {
        self.change(connector, |spec| {
            spec.config = config(pairs);
            spec.config_version += 1;
        });
    }

    /// An agent starts.
    pub(crate) fn start(&mut self, id: &str) {
        let number = self.agents.len() as u128;
        let hello = Hello {
            cluster: "dray".into(),
            agent: id.try_into().unwrap(),
            instance: Instance(number * 1_000 + 1),
            previous_instance: None,
            session: None,
            max_term: None,
            software_version: "1".into(),
            protocol: (1, 1),
            worker_id: format!("{id}:8083").as_str().into(),
            region: "r".try_into().unwrap(),
            zone: "z".try_into().unwrap(),
            labels: BTreeMap::new(),
            capacity: Capacity::new(10_000, 10_000_000).unwrap(),
            plugins: vec![Plugin {
                class: "org.example.Source".try_into().unwrap(),
                version: "1".into(),
                kind: PluginKind::Source,
            }],
            held: Vec::new(),
        };
        let agent = Agent {
            hello,
            stream: None,
            session: None,
            running: BTreeMap::new(),
            paused: BTreeSet::new(),
            assigned: BTreeMap::new(),
            tripped: BTreeMap::new(),
            frozen: false,
            slow_stop: false,
            slow_start: false,
            silent_acks: false,
            mute_instances: false,
            closed: false,
            fences_only: None,
            to_stop: Vec::new(),
            seq: 0,
        };
        self.agents.insert(id.into(), agent);
        self.connect(id);
    }

    /// Its process dies and another one begins, with or without the proof that it did.
    pub(crate) fn restart(&mut self, id: &str, proof: bool) {
        self.disconnect(id);
        let agent = self.agents.get_mut(id).unwrap();
        let before = agent.hello.instance;
        agent.hello.instance = Instance(before.0 + 1);
        agent.hello.previous_instance = proof.then_some(before);
        agent.die();
        agent.frozen = false;
        self.connect(id);
    }

    /// It says Hello on a new stream.
    pub(crate) fn connect(&mut self, id: &str) {
        self.connections += 1;
        let connection = ConnectionId(self.connections);
        let agent = self.agents.get_mut(id).unwrap();
        agent.stream = Some(connection);
        agent.closed = false;
        agent.hello.session = agent.session;
        agent.hello.held = agent.held();
        let message = FromAgent::Hello(Box::new(agent.hello.clone()));
        self.step(Event::Message { connection, message });
    }

    /// Its stream breaks.
    pub(crate) fn disconnect(&mut self, id: &str) {
        if let Some(stream) = self.agents.get_mut(id).unwrap().stream.take() {
            self.step(Event::Closed(stream));
        }
    }

    /// It dies, or is paused: its stream breaks and it says nothing more.
    pub(crate) fn freeze(&mut self, id: &str) {
        self.agents.get_mut(id).unwrap().frozen = true;
        self.disconnect(id);
    }

    pub(crate) fn say(&mut self, id: &str, message: FromAgent) {
        if let Some(connection) = self.agents[id].stream {
            self.step(Event::Message { connection, message });
        }
    }

    pub(crate) fn heartbeat(&mut self, id: &str) {
        let agent = self.agents.get_mut(id).unwrap();
        if agent.frozen || agent.session.is_none() {
            return;
        }
        agent.seq += 1;
        let changed = if agent.seq == 1 && !agent.slow_start {
            let keys: Vec<_> = agent.running.keys().copied().collect();
            keys.into_iter().map(|key| agent.report(key)).collect()
        } else {
            Vec::new()
        };
        let heartbeat = Heartbeat {
            seq: agent.seq,
            changed,
            cpu_millis: 0,
            memory_bytes: 0,
        };
        self.say(id, FromAgent::Heartbeat(heartbeat));
    }

    /// An agent does as it is told.
    fn hear(&mut self, id: &str, order: Order) {
        let agent = self.agents.get_mut(id).unwrap();
        if agent.frozen {
            return;
        }
        match order {
            Order::Welcome(welcome) => {
                agent.session = Some(welcome.session);
                agent.seq = 0;
                let stop: Vec<_> = welcome
                    .verdicts
                    .iter()
                    .filter(|verdict| !verdict.keep)
                    .map(|of| of.owned)
                    .collect();
                self.stop(id, stop);
                self.heartbeat(id);
            }
            Order::Assignments(delta) => self.take(id, *delta),
            Order::Fenced(fenced) => {
                agent.die();
                agent.stream = None;
                if fenced.why == FencedWhy::DeclaredDead {
                    self.connect(id);
                }
            }
            Order::NotLeader(_) => agent.stream = None,
            Order::Command(command) => {
                let CommandWhat::FenceSessions { dead, .. } = command.what;
                for dead in dead {
                    for cluster in dead.clusters {
                        let dead = dead.session;
                        self.say(id, FromAgent::SessionFenced { dead, cluster });
                    }
                }
                let result = CommandResult {
                    id: command.id,
                    error: None,
                };
                self.say(id, FromAgent::CommandResult(result));
            }
            Order::HeartbeatAck(_)
            | Order::TaskConfigsStored { .. }
            | Order::WriterConfirmed(_)
            | Order::Verdicts(_) => {}
        }
    }

    fn take(&mut self, id: &str, delta: AssignmentDelta) {
        let agent = self.agents.get_mut(id).unwrap();
        if !agent.silent_acks {
            let ack = AssignmentAck {
                nonce: delta.nonce,
                refused: Vec::new(),
            };
            self.say(id, FromAgent::AssignmentAck(ack));
        }
        self.stop(
            id,
            delta.revocations.iter().map(|revocation| revocation.owned).collect(),
        );
        for assignment in delta.assignments {
            let key = assignment.owned.task;
            let connector = delta
                .connectors
                .iter()
                .find(|connector| connector.uid == key.connector)
                .unwrap();
            let (version, wanted) = (connector.config_version, connector.config.get("tasks").cloned());
            let to = self.given.entry(assignment.owned).or_insert_with(|| id.into());
            assert_eq!(to, id, "a generation is used for two agents");
            self.versions.insert(assignment.owned, version);
            for dead in &assignment.fence_first {
                let only = self.agents[id].fences_only.clone();
                let can = |cluster: &&KafkaCluster| only.as_ref().is_none_or(|only| only == *cluster);
                for cluster in dead.clusters.iter().filter(can).cloned() {
                    let dead = dead.session;
                    self.say(id, FromAgent::SessionFenced { dead, cluster });
                }
            }
            let agent = self.agents.get_mut(id).unwrap();
            let before = agent.running.get(&key).copied();
            if before == Some(assignment.owned.generation) {
                set(&mut agent.paused, key, assignment.paused);
            } else if before.is_none_or(|before| before < assignment.owned.generation) {
                if let Some(generation) = before {
                    self.stop(id, vec![Owned { task: key, generation }]);
                }
                let agent = self.agents.get_mut(id).unwrap();
                agent.running.insert(key, assignment.owned.generation);
                set(&mut agent.paused, key, assignment.paused);
            } else {
                continue;
            }
            let agent = self.agents.get_mut(id).unwrap();
            agent.assigned.insert(key, assignment.clone());
            if !agent.slow_start {
                let report = agent.report(key);
                self.say(id, FromAgent::TaskEvents(vec![report]));
            }
            if key.is_instance() && !self.agents[id].mute_instances {
                self.want_tasks(id, assignment.owned, version, wanted.as_deref().unwrap_or("1"));
            }
        }
    }

    /// An instance says which tasks it wants: names of their shares, with commas between them, or their number.
    pub(crate) fn want_tasks(&mut self, id: &str, instance: Owned, config_version: u64, wanted: &str) {
        let shares: Vec<String> = match wanted.parse::<u32>() {
            Ok(number) => (0..number).map(|share| share.to_string()).collect(),
            Err(_) => wanted.split(',').map(Into::into).collect(),
        };
        let tasks = shares.into_iter().map(|share| {
            let set = config(&[("share", &share)]);
            let removed = vec!["tasks".into()];
            Arc::new(ConfigDiff { set, removed })
        });
        let configs = TaskConfigs {
            instance,
            config_version,
            tasks: tasks.collect(),
        };
        self.say(id, FromAgent::TaskConfigs(configs));
    }

    /// Its tasks die, and it says so.
    pub(crate) fn stop(&mut self, id: &str, tasks: Vec<Owned>) {
        let agent = self.agents.get_mut(id).unwrap();
        if agent.slow_stop {
            agent.to_stop.extend(tasks);
            return;
        }
        for owned in &tasks {
            if agent
                .running
                .get(&owned.task)
                .is_some_and(|running| *running <= owned.generation)
            {
                agent.running.remove(&owned.task);
            }
        }
        let stopped = tasks.into_iter().map(|owned| StoppedTask { owned, clean: true });
        let stopped: Vec<_> = stopped.collect();
        if !stopped.is_empty() {
            self.say(id, FromAgent::TasksStopped(stopped));
        }
    }

    /// Which agents run a task, by number; the instance as -1.
    pub(crate) fn running(&self, connector: &str) -> BTreeMap<i64, Vec<String>> {
        let uid = self.uid(connector);
        let mut running: BTreeMap<i64, Vec<String>> = BTreeMap::new();
        for (id, agent) in &self.agents {
            for key in agent.running.keys().filter(|key| key.connector == uid) {
                let number = if key.is_instance() { -1 } else { i64::from(key.number) };
                running.entry(number).or_default().push(id.clone());
            }
        }
        running
    }

    pub(crate) fn uid(&self, connector: &str) -> dray_model::ConnectorUid {
        let name = Name::Spec(name(connector));
        let Some(Stored {
            revision,
            record: Record::Spec(spec),
        }) = self.store.get(&name)
        else {
            panic!("no connector {connector}");
        };
        spec.uid.unwrap_or_else(|| NonZeroU64::new(revision.0).unwrap().into())
    }

    pub(crate) fn key(&self, connector: &str, number: u32) -> TaskKey {
        TaskKey {
            connector: self.uid(connector),
            number,
        }
    }

    pub(crate) fn record(&self, id: &str) -> AgentRecord {
        match &self.store[&Name::Agent(id.try_into().unwrap())].record {
            Record::Agent(record) => record.clone(),
            Record::Meta(_) | Record::Spec(_) | Record::Tasks(_) | Record::Own(_) => panic!("{id} is no agent"),
        }
    }

    pub(crate) fn owner(&self, connector: &str, number: u32) -> Option<Owner> {
        match &self.store.get(&Name::Own(name(connector), Shard::of(number)))?.record {
            Record::Own(record) => record.owners.get(&number).copied(),
            Record::Meta(_) | Record::Spec(_) | Record::Tasks(_) | Record::Agent(_) => panic!("no owners"),
        }
    }

    pub(crate) fn task_state(&self, connector: &str, number: u32) -> String {
        match self.shown_tasks.get(&(connector.into(), number)) {
            Some(status) => format!("{} {}", status.state, status.trace.clone().unwrap_or_default()),
            None => "none".into(),
        }
    }

    pub(crate) fn state(&self, connector: &str) -> String {
        match self.shown_connectors.get(connector) {
            Some(status) => format!("{} {}", status.state, status.trace.clone().unwrap_or_default()),
            None => "none".into(),
        }
    }

    /// What an agent was told since `from`.
    pub(crate) fn told(&self, id: &str, from: usize) -> Vec<&Order> {
        let said = self.said[from..].iter().filter(|(to, _)| to == id);
        said.map(|(_, order)| order).collect()
    }

    pub(crate) fn assignments(&self, id: &str, from: usize) -> Vec<&Assignment> {
        let deltas = self.deltas(id, from);
        deltas.into_iter().flat_map(|delta| &delta.assignments).collect()
    }

    /// How many deltas were sent.
    pub(crate) fn changes_said(&self) -> usize {
        let deltas = self
            .said
            .iter()
            .filter(|(_, order)| matches!(order, Order::Assignments(_)));
        deltas.count()
    }

    pub(crate) fn deltas(&self, id: &str, from: usize) -> Vec<&AssignmentDelta> {
        let mut deltas = Vec::new();
        for order in self.told(id, from) {
            if let Order::Assignments(delta) = order {
                deltas.push(&**delta);
            }
        }
        deltas
    }

    pub(crate) fn welcomes(&self, id: &str, from: usize) -> Vec<&Welcome> {
        let mut welcomes = Vec::new();
        for order in self.told(id, from) {
            if let Order::Welcome(welcome) = order {
                welcomes.push(welcome);
            }
        }
        welcomes
    }

    pub(crate) fn commands(&self, id: &str, from: usize) -> Vec<&Command> {
        let mut commands = Vec::new();
        for order in self.told(id, from) {
            if let Order::Command(command) = order {
                commands.push(command);
            }
        }
        commands
    }

    /// Why an agent was sent away since `from`.
    pub(crate) fn fenced(&self, id: &str, from: usize) -> Vec<FencedWhy> {
        let mut reasons = Vec::new();
        for order in self.told(id, from) {
            if let Order::Fenced(fenced) = order {
                reasons.push(fenced.why);
            }
        }
        reasons
    }

    /// All that an agent runs, or the tasks alone.
    pub(crate) fn owned(&self, id: &str, instances: bool) -> Vec<Owned> {
        let running = self.agents[id].running.iter();
        let wanted = running.filter(|(task, _)| instances || !task.is_instance());
        let owned = wanted.map(|(task, generation)| Owned {
            task: *task,
            generation: *generation,
        });
        owned.collect()
    }

    /// The operator decides about an agent.
    pub(crate) fn policy(&mut self, id: &str, policy: dray_model::AgentPolicy) {
        let mut record = self.record(id);
        record.policy = policy;
        self.put(Name::Agent(id.try_into().unwrap()), Record::Agent(record));
    }

    /// An agent opens its session's writer on a cluster.
    pub(crate) fn open_writer(&mut self, id: &str, on: &str, refused: Option<&str>) {
        let opened = WriterOpened {
            cluster: cluster(on),
            refused: refused.map(Into::into),
        };
        self.say(id, FromAgent::WriterOpened(opened));
    }

    pub(crate) fn agent(&mut self, id: &str) -> &mut Agent {
        self.agents.get_mut(id).unwrap()
    }

    /// What is wanted of a connector.
    pub(crate) fn spec(&self, connector: &str) -> &ConnectorSpec {
        match &self.store[&Name::Spec(name(connector))].record {
            Record::Spec(spec) => spec,
            Record::Meta(_) | Record::Agent(_) | Record::Tasks(_) | Record::Own(_) => {
                panic!("no connector {connector}")
            }
        }
    }

    /// The breakers of tasks trip, at the same moment for those of one agent.
    pub(crate) fn trip(&mut self, connector: &str, numbers: &[u32]) {
        let keys: Vec<_> = numbers.iter().map(|number| self.key(connector, *number)).collect();
        for id in self.agents.keys().cloned().collect::<Vec<_>>() {
            let agent = self.agent(&id);
            let mut reports = Vec::new();
            for key in &keys {
                if let Some(generation) = agent.running.get(key) {
                    agent.tripped.insert(*key, *generation);
                    reports.push(agent.report(*key));
                }
            }
            self.say(&id, FromAgent::TaskEvents(reports));
        }
    }

    /// Which agent runs a task.
    pub(crate) fn runner(&self, connector: &str, number: i64) -> String {
        match self.running(connector).remove(&number).unwrap_or_default().as_slice() {
            [only] => only.clone(),
            several => panic!("{connector} {number} runs on {several:?}"),
        }
    }
}

impl Agent {
    /// Everything in it is dead.
    pub(crate) fn die(&mut self) {
        self.running.clear();
        self.paused.clear();
        self.assigned.clear();
        self.to_stop.clear();
        self.session = None;
    }

    pub(crate) fn held(&self) -> Vec<Held> {
        let held = self.running.iter().map(|(task, generation)| Held {
            owned: Owned {
                task: *task,
                generation: *generation,
            },
            stopping: false,
            asked_restarts: self.assigned.get(task).and_then(|assigned| assigned.asked_restarts),
        });
        held.collect()
    }

    pub(crate) fn report(&self, key: TaskKey) -> TaskReport {
        if self.tripped.get(&key) == Some(&self.running[&key]) {
            return TaskReport {
                trace: Some("11 of 100\nCaused by: bad".into()),
                tripped: true,
                ..self.report_as(key, RunState::Failed)
            };
        }
        let state = if self.paused.contains(&key) {
            RunState::Paused
        } else {
            RunState::Running
        };
        self.report_as(key, state)
    }

    pub(crate) fn report_as(&self, key: TaskKey, state: RunState) -> TaskReport {
        TaskReport {
            owned: Owned {
                task: key,
                generation: self.running[&key],
            },
            state,
            trace: None,
            restarts: 0,
            cost: None,
            tripped: false,
        }
    }
}

fn set(keys: &mut BTreeSet<TaskKey>, key: TaskKey, is_in: bool) {
    if is_in {
        keys.insert(key);
    } else {
        keys.remove(&key);
    }
}

fn show<K: Ord, V>(shown: &mut BTreeMap<K, V>, key: K, value: Option<V>) {
    match value {
        Some(value) => shown.insert(key, value),
        None => shown.remove(&key),
    };
}

fn leader(term: u64, now: Millis, store: &BTreeMap<Name, Stored<Record>>) -> (Machine, Vec<Effect>) {
    let term = Term::from(NonZeroU64::new(term).unwrap());
    let snapshot = store
        .iter()
        .map(|(name, stored)| (name.clone(), stored.clone()))
        .collect();
    let (machine, effects) = Machine::new(term, now, snapshot, Timing::default());
    super::check::check(&machine);
    (machine, effects)
}
