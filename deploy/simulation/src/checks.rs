//! What must hold, checked while the run goes on: I1 to I6 of ARCHITECTURE, *Simulation*, and what the machines promise each other. I2 is
//! in `kafka`, where commits are accepted; I5's word for each UNASSIGNED is in `replica`, where it is shown.

use crate::Time;
use crate::agent::name_of;
use crate::coverage::Seen;
use crate::mutation::Mutation;
use crate::runs::{Kind, Phase, Run};
use crate::world::{Item, World};
use dray_machine::cluster::{Name, Record, Write};
use dray_model::message::{FencedWhy, FromAgent, Order, Owned, ToAgent};
use dray_model::record::{Owner, SHARD_TASKS, Shard};
use dray_model::{AgentPolicy, ConnectorState, ConnectorUid, Generation, SessionId, TargetState, TaskKey, TaskState};
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;

#[derive(Default)]
pub(crate) struct Checks {
    /// Counts the runs of tasks.
    pub(crate) runs: u64,
    /// Tasks that are alive somewhere: process and run.
    alive: BTreeMap<TaskKey, Vec<(usize, u64)>>,
    /// Who was ever assigned a task under a generation.
    assigned: BTreeMap<Owned, usize>,
    /// The highest generation of a task that was stored or assigned.
    highest: BTreeMap<TaskKey, Generation>,
    started: BTreeSet<(Owned, usize)>,
    /// Sessions that were ever declared dead.
    declared: BTreeSet<SessionId>,
    /// Dead sessions that were seen out of a group for 10 s.
    graced: BTreeSet<(ConnectorUid, SessionId)>,
    /// When a task was last started, stopped or killed.
    pub(crate) acted_at: Time,
    good_since: Option<Time>,
}

impl Checks {
    pub(crate) fn run_began(&mut self, at: usize, id: u64, run: &Run) {
        self.alive.entry(run.owned.task).or_default().push((at, id));
    }

    pub(crate) fn run_ended(&mut self, at: usize, run: &Run) {
        let task = run.owned.task;
        if let Some(alive) = self.alive.get_mut(&task) {
            // Of one task only one run is alive in a process, unless a mutation lied.
            if let Some(index) = alive.iter().position(|(process, _)| *process == at) {
                alive.remove(index);
            }
            if alive.is_empty() {
                self.alive.remove(&task);
            }
        }
    }

    pub(crate) fn grace_over(&mut self, group: ConnectorUid, dead: &[SessionId]) {
        self.graced.extend(dead.iter().map(|dead| (group, *dead)));
    }
}

/// The tasks that a record of owners names, before a write.
pub(crate) type Owners = BTreeMap<Name, (ConnectorUid, BTreeMap<u32, Owner>)>;

/// Where a task is in the end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Placed {
    Runs,
    Failed,
    Nowhere,
}

impl World {
    // --- I1

    /// Whether a strict run can act now: the plugin is alive in a process that runs, and the time in which it must die is not over. What
    /// a process does in the moment in which it wakes up from a pause no local means can prevent; its gate is shut then.
    fn executes(&self, at: usize, id: u64) -> bool {
        let agent = &self.agents[at];
        let until = agent.gate.strict_until.plus(agent.lease.stop_ms.into());
        agent.process.up && !agent.process.paused && agent.runs.contains_key(&id) && self.agent_now(at) < until
    }

    /// I1: no two agents execute a strict task.
    pub(crate) fn check_overlap(&mut self, at: usize) {
        let mut breach = None;
        for (id, run) in &self.agents[at].runs {
            let Some(alive) = self
                .checks
                .alive
                .get(&run.owned.task)
                .filter(|alive| run.strict && alive.len() > 1)
            else {
                continue;
            };
            if !self.executes(at, *id) {
                continue;
            }
            for (other, other_id) in alive.iter().filter(|(other, _)| *other != at) {
                if self.executes(*other, *other_id) {
                    breach = Some((run.owned, *other, self.agents[*other].runs[other_id].owned));
                }
            }
        }
        if let Some((mine, other, theirs)) = breach {
            let (here, there) = (crate::agent::slot_name(at), crate::agent::slot_name(other));
            self.fail(format!(
                "I1: {here} executes {} and {there} {}",
                name_of(mine),
                name_of(theirs)
            ));
        }
    }

    /// What `executes` takes for granted: in a process that is not paused, strict tasks are dead in time.
    pub(crate) fn check_death(&mut self, at: usize) {
        if self.mutation.is_some() {
            return;
        }
        let agent = &self.agents[at];
        let now = self.agent_now(at);
        let until = agent.gate.strict_until.plus(u64::from(agent.lease.stop_ms) + 300);
        let awake = self.now.saturating_sub(agent.process.resumed_at) > u64::from(agent.lease.stop_ms) * 11 / 10 + 500;
        if now > until && awake {
            if let Some(run) = agent.runs.values().find(|run| run.strict) {
                let name = name_of(run.owned);
                self.fail(format!(
                    "I1: strict {name} lives {} ms after its lease",
                    now.since(agent.gate.strict_until)
                ));
            }
        }
    }

    // --- what agents start and say

    pub(crate) fn check_start(&mut self, at: usize, owned: Owned) {
        self.checks.acted_at = self.now;
        let older = self.agents[at]
            .runs
            .values()
            .find(|run| run.owned.task == owned.task && !run.lied);
        if let Some(older) = older {
            let older = name_of(older.owned);
            return self.fail(format!(
                "{} starts while {older} is alive in the same process",
                name_of(owned)
            ));
        }
        let again = self.checks.started.iter().any(|(started, _)| *started == owned);
        if again {
            return self.fail(format!("I4: {} starts a second time", name_of(owned)));
        }
        self.checks.started.insert((owned, at));
    }

    pub(crate) fn check_said(&mut self, at: usize, message: &FromAgent) {
        if let FromAgent::Hello(hello) = message {
            let missing = self.agents[at].runs.values().find(|run| {
                let listed = hello.held.iter().any(|held| held.owned == run.owned);
                !listed && !run.lied
            });
            if let Some(run) = missing {
                let name = name_of(run.owned);
                self.fail(format!("rule 1: Hello leaves out {name}, which is alive"));
            }
        }
        if let FromAgent::TasksStopped(stopped) = message {
            let runs = &self.agents[at].runs;
            let alive = |owned: &Owned| {
                let same = |run: &&Run| run.owned.task == owned.task && run.owned.generation <= owned.generation;
                runs.values().filter(same).any(|run| !run.lied)
            };
            if let Some(stopped) = stopped.iter().find(|stopped| alive(&stopped.owned)) {
                let name = name_of(stopped.owned);
                self.fail(format!(
                    "rule 8: {name} is reported as stopped while it or an older one is alive"
                ));
            }
        }
    }

    pub(crate) fn check_session_begins(&mut self, at: usize) {
        if let Some(run) = self.agents[at].runs.values().find(|run| !run.lied) {
            let name = name_of(run.owned);
            self.fail(format!("(5): a session begins while {name} of the last one is alive"));
        }
    }

    pub(crate) fn check_leaves(&mut self, at: usize) {
        let runs = self.agents[at].runs.len();
        self.note_agent(at, || format!("ends; {runs} tasks are alive"));
    }

    /// F4: no member of a dead session joins after it was seen out for 10 s. `late`: it was on its way before.
    pub(crate) fn check_join(&mut self, group: ConnectorUid, session: SessionId, late: bool) {
        if !late && self.checks.graced.contains(&(group, session)) {
            self.fail(format!(
                "F4: a member of dead session {session} joins the group of {group} after its successor's grace"
            ));
        }
    }

    // --- what leaders say and write

    pub(crate) fn check_order(&mut self, at: usize, connection: usize, message: &mut ToAgent) {
        let agent = self.network.connections[connection].agent;
        if self.mutation == Some(Mutation::IgnoreTerm) {
            let current = self.store.leader.and_then(|leader| NonZeroU64::new(leader.term));
            message.term = current.map_or(message.term, |term| message.term.max(term.into()));
        }
        match &mut message.body {
            Order::Assignments(delta) => {
                for assignment in &mut delta.assignments {
                    if self.mutation == Some(Mutation::DropFenceFirst) {
                        assignment.fence_first.clear();
                    }
                    let owned = assignment.owned;
                    let before = *self.checks.assigned.entry(owned).or_insert(agent);
                    if crate::agent::agent_id(before) != crate::agent::agent_id(agent) {
                        return self.fail(format!("I4: r{at} assigns {} to two agents", name_of(owned)));
                    }
                    let highest = self.checks.highest.entry(owned.task).or_insert(owned.generation);
                    *highest = (*highest).max(owned.generation);
                }
            }
            Order::Fenced(fenced) => match fenced.why {
                FencedWhy::DeclaredDead => self.see(Seen::FencedDead),
                FencedWhy::DuplicateId => self.see(Seen::FencedDuplicate),
                FencedWhy::Removed | FencedWhy::Protocol | FencedWhy::OtherCluster => {}
            },
            Order::Welcome(_)
            | Order::HeartbeatAck(_)
            | Order::TaskConfigsStored { .. }
            | Order::WriterConfirmed(_)
            | Order::Verdicts(_)
            | Order::Command(_)
            | Order::NotLeader(_) => {}
        }
    }

    /// What every transaction promises.
    pub(crate) fn check_write(&mut self, at: usize, write: &Write) {
        let names: BTreeSet<&Name> = write.compares.iter().map(|(name, _)| name).collect();
        let twice = names.len() != write.compares.len();
        let changed: Vec<&Name> = write.puts.iter().map(|(name, _)| name).chain(&write.deletes).collect();
        let bare = changed.iter().any(|name| !names.contains(*name));
        let double = changed.iter().collect::<BTreeSet<_>>().len() != changed.len();
        if twice || bare || double || changed.len() > 120 || write.compares.len() > 127 {
            self.fail(format!(
                "r{at} writes what no store takes, or without a compare: {write:?}"
            ));
        }
    }

    pub(crate) fn owners_before(&self, write: &Write) -> Owners {
        let puts = write.puts.iter().map(|(name, _)| name).chain(&write.deletes);
        let owners = |name: &Name| match &*self.store.records.get(name)?.record {
            Record::Own(own) => Some((name.clone(), (own.uid, own.owners.clone()))),
            _ => None,
        };
        puts.filter_map(owners).collect()
    }

    /// I3, I4, and that nobody loses a task that he may still run without having been declared dead.
    pub(crate) fn check_applied(&mut self, at: usize, term: u64, write: &Write, before: Owners) {
        if self.store.leader.is_none_or(|leader| leader.term != term) {
            return self.fail(format!("I3: r{at} wrote under term {term}: {write:?}"));
        }
        for (name, record) in &write.puts {
            match (name, record) {
                (Name::Own(connector, _), Record::Own(own)) => {
                    let old = before
                        .get(name)
                        .filter(|(uid, _)| *uid == own.uid)
                        .map(|(_, owners)| owners);
                    let strict = self.is_strict(connector);
                    for (number, owner) in &own.owners {
                        let task = TaskKey {
                            connector: own.uid,
                            number: *number,
                        };
                        let old = old.and_then(|owners| owners.get(number)).copied();
                        self.check_owner(at, task, old, *owner, strict);
                    }
                }
                (Name::Agent(_), Record::Agent(agent)) => {
                    for dead in agent.dead_sessions.keys() {
                        if self.checks.declared.insert(*dead) {
                            self.coverage.see(Seen::DeclaredDead);
                        }
                    }
                    let declared = self.checks.declared.len();
                    let listed: usize = self.dead_sessions();
                    for _ in self.coverage.of(Seen::DeadEntryGone)..(declared.saturating_sub(listed)) as u64 {
                        self.coverage.see(Seen::DeadEntryGone);
                    }
                }
                (_, Record::Tasks(_)) => {
                    self.see(Seen::TaskSet);
                    if write
                        .compares
                        .iter()
                        .any(|(compared, revision)| compared == name && revision.0 > 0)
                    {
                        self.see(Seen::TaskSetChanged);
                    }
                }
                _ => {}
            }
        }
        for name in &write.deletes {
            match name {
                Name::Spec(_) => self.see(Seen::ConnectorDeleted),
                Name::Tasks(connector) if self.store.records.contains_key(&Name::Spec(connector.clone())) => {
                    self.see(Seen::ConnectorStopped);
                }
                _ => {}
            }
            for (number, owner) in &before.get(name).map(|(_, owners)| owners.clone()).unwrap_or_default() {
                let task = before.get(name).map(|(uid, _)| TaskKey {
                    connector: *uid,
                    number: *number,
                });
                if self.may_still_run(owner.session, task) && self.mutation.is_none() {
                    self.fail(format!(
                        "P7: r{at} removes {name:?} while {owner:?} runs {number} and was not declared dead"
                    ));
                }
            }
        }
    }

    fn dead_sessions(&self) -> usize {
        let all = self.store.records.values();
        all.map(|entry| match &*entry.record {
            Record::Agent(agent) => agent.dead_sessions.len(),
            _ => 0,
        })
        .sum()
    }

    fn is_strict(&self, connector: &dray_model::ConnectorName) -> bool {
        match self
            .store
            .records
            .get(&Name::Spec(connector.clone()))
            .map(|entry| &*entry.record)
        {
            Some(Record::Spec(spec)) => spec.config.get("dray.recovery").is_some_and(|class| class == "strict"),
            _ => false,
        }
    }

    /// Whether a run of this session (of this task) is alive, and the session was not declared dead.
    fn may_still_run(&self, session: SessionId, task: Option<TaskKey>) -> bool {
        if self.checks.declared.contains(&session) {
            return false;
        }
        let agents = self
            .agents
            .iter()
            .filter(|agent| agent.current.is_some_and(|current| current.0 == session));
        let mut runs = agents.flat_map(|agent| agent.runs.values());
        task.is_some_and(|task| runs.any(|run| run.owned.task == task && !run.lied))
    }

    fn check_owner(&mut self, at: usize, task: TaskKey, old: Option<Owner>, new: Owner, strict: bool) {
        if old == Some(new) {
            return;
        }
        let highest = self.checks.highest.get(&task).copied();
        let same = old.is_some_and(|old| (old.agent, old.session) == (new.agent, new.session));
        let legal = match old {
            Some(old) if same => new.generation >= old.generation,
            _ => highest.is_none_or(|highest| new.generation > highest),
        };
        if !legal {
            let text =
                format!("I4: r{at} stores {new:?} as owner of {task} after {old:?}, and {highest:?} was used already");
            return self.fail(text);
        }
        self.checks.highest.insert(
            task,
            highest.map_or(new.generation, |highest| highest.max(new.generation)),
        );
        let Some(old) = old.filter(|_| !same) else { return };
        if self.checks.declared.contains(&old.session) {
            self.see(Seen::Forced);
            if strict {
                self.see(Seen::StrictMove);
            }
        } else if old.agent != new.agent {
            self.see(Seen::Move);
        }
        if self.may_still_run(old.session, Some(task)) && self.mutation.is_none() {
            let text =
                format!("rule 9: r{at} gives {task} to {new:?} while {old:?} is alive and was not declared dead");
            self.fail(text);
        }
    }

    // --- I5 and I6

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
        for (name, entry) in &self.store.records {
            let (Name::Spec(name), Record::Spec(spec)) = (name, &*entry.record) else {
                continue;
            };
            if spec.deleting || spec.target != TargetState::Started {
                continue;
            }
            if let Some(Record::Tasks(set)) = self.record(&Name::Tasks(name.clone())) {
                for number in 0..u32::try_from(set.tasks.len()).unwrap_or(u32::MAX) {
                    if self.owner_of(name, number).is_none() {
                        let shown = leader.tasks.get(&(name.clone(), number));
                        let told =
                            shown.is_some_and(|status| status.state == TaskState::Unassigned && status.trace.is_some());
                        if !told {
                            breach = Some(format!(
                                "I5: {name}-{number} has no owner and people are told {shown:?}"
                            ));
                        }
                    }
                }
            }
            if self.owner_of(name, TaskKey::INSTANCE).is_none() {
                let shown = leader.connectors.get(name);
                if shown.is_none_or(|status| status.trace.is_none()) {
                    breach = Some(format!("I5: {name} has no owner and people are told {shown:?}"));
                }
            }
        }
        if let Some(breach) = breach.filter(|_| self.replicas[at].process.up && !self.replicas[at].process.paused) {
            self.fail(breach);
        }
    }

    fn record(&self, name: &Name) -> Option<&Record> {
        self.store.records.get(name).map(|entry| &*entry.record)
    }

    fn owner_of(&self, connector: &dray_model::ConnectorName, number: u32) -> Option<Owner> {
        match self.record(&Name::Own(connector.clone(), Shard::of(number)))? {
            Record::Own(own) => own.owners.get(&number).copied(),
            _ => None,
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
        let mut expected: BTreeMap<TaskKey, bool> = BTreeMap::new();
        for (name, entry) in &self.store.records {
            match (name, &*entry.record) {
                (Name::Spec(name), Record::Spec(spec)) => {
                    let uid = spec.uid.ok_or("a connector without uid")?;
                    if spec.deleting {
                        return Err(format!(
                            "{name} is not deleted yet; people are told {:?}",
                            leader.connectors.get(name)
                        ));
                    }
                    if spec.target == TargetState::Stopped {
                        self.stopped(name, leader.connectors.get(name).map(|status| status.state))?;
                        continue;
                    }
                    let paused = spec.target == TargetState::Paused;
                    let instance = self.placed(name, TaskKey::instance(uid), paused, &spec.config)?;
                    expected.insert(TaskKey::instance(uid), instance != Placed::Nowhere);
                    if instance != Placed::Runs {
                        // Nobody says which tasks there shall be: those that were stay.
                        for number in 0..64 {
                            expected.insert(TaskKey { connector: uid, number }, false);
                        }
                        continue;
                    }
                    let Some(Record::Tasks(set)) = self.record(&Name::Tasks(name.clone())) else {
                        return Err(format!("{name} has no tasks"));
                    };
                    let wanted = self.users.tasks_of(uid, &spec.config);
                    let stored: Vec<_> = set.tasks.iter().map(|task| task.config.clone()).collect();
                    if set.config_version != spec.config_version || stored != wanted {
                        return Err(format!(
                            "{name} has the tasks of version {}: {stored:?}",
                            set.config_version
                        ));
                    }
                    let count = u32::try_from(wanted.len()).expect("few");
                    for number in 0..count {
                        let task = TaskKey { connector: uid, number };
                        if self.placed(name, task, paused, &spec.config)? != Placed::Nowhere {
                            expected.insert(task, true);
                        }
                    }
                    if let Some(Record::Own(own)) = self.record(&Name::Own(name.clone(), Shard::Tasks(0))) {
                        if own.owners.keys().any(|number| *number >= count) {
                            return Err(format!(
                                "{name} has owners of tasks that it does not have: {:?}",
                                own.owners
                            ));
                        }
                    }
                }
                (Name::Tasks(connector) | Name::Own(connector, _), _) => {
                    if !self.store.records.contains_key(&Name::Spec(connector.clone())) {
                        return Err(format!("{name:?} is left of a deleted connector"));
                    }
                }
                (Name::Agent(id), Record::Agent(agent)) if agent.policy == AgentPolicy::Draining => {
                    let session = agent.session;
                    let owns = self.store.records.values().any(|entry| match &*entry.record {
                        Record::Own(own) => own.owners.values().any(|owner| Some(owner.session) == session),
                        _ => false,
                    });
                    if owns && self.others_could(agent.number) {
                        return Err(format!("{id} is draining and still has tasks"));
                    }
                }
                _ => {}
            }
        }
        for (task, alive) in &self.checks.alive {
            match expected.get(task) {
                Some(true) if alive.len() == 1 => {}
                Some(false) if alive.len() <= 1 => {}
                _ => return Err(format!("{task} runs in {alive:?}")),
            }
        }
        Ok(())
    }

    fn others_could(&self, _number: dray_model::AgentNumber) -> bool {
        // Agent 0 is always active at the end, has every plugin and room for all.
        self.agents[0].process.up
    }

    fn stopped(&self, name: &dray_model::ConnectorName, shown: Option<ConnectorState>) -> Result<(), String> {
        if self.record(&Name::Tasks(name.clone())).is_some() {
            return Err(format!("{name} is stopped and has tasks"));
        }
        for shard in [Shard::Connector, Shard::Tasks(0)] {
            if let Some(Record::Own(own)) = self.record(&Name::Own(name.clone(), shard)) {
                if !own.owners.is_empty() {
                    return Err(format!("{name} is stopped and has owners: {:?}", own.owners));
                }
            }
        }
        if shown != Some(ConnectorState::Stopped) {
            return Err(format!("{name} is stopped, and people are told {shown:?}"));
        }
        Ok(())
    }

    /// Whether a task runs where the store says, or nobody can run it.
    fn placed(
        &self,
        name: &dray_model::ConnectorName,
        task: TaskKey,
        paused: bool,
        config: &dray_model::ConfigMap,
    ) -> Result<Placed, String> {
        debug_assert!(task.is_instance() || task.number < SHARD_TASKS);
        let Some(owner) = self.owner_of(name, task.number) else {
            let class = config.get("connector.class").map_or("", String::as_str);
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
        match self.record(&Name::Agent(crate::agent::agent_id(slot))) {
            Some(Record::Agent(agent)) => agent.policy == AgentPolicy::Active,
            _ => false,
        }
    }
}
