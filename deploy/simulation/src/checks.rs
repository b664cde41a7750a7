//! What must hold, checked while the run goes on: I1 to I6 of ARCHITECTURE, *Simulation*, and what the machines promise each other. I2 is
//! in `kafka`, where commits are accepted; I5 and I6 are in `converged`.

use crate::Time;
use crate::agent::name_of;
use crate::coverage::Seen;
use crate::mutation::Mutation;
use crate::runs::Run;
use crate::world::World;
use dray_machine::cluster::{Name, Record, Write};
use dray_model::message::{FencedWhy, FromAgent, Order, Owned, ToAgent};
use dray_model::record::{AgentRecord, ConnectorSpec, Owner};
use dray_model::{ConnectorName, ConnectorUid, Generation, SessionId, TargetState, TaskKey};
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;

#[derive(Default)]
pub(crate) struct Checks {
    /// Counts the runs of tasks.
    pub(crate) runs: u64,
    /// Tasks that are alive somewhere: process and run.
    pub(crate) alive: BTreeMap<TaskKey, Vec<(usize, u64)>>,
    /// Who was ever assigned a task under a generation.
    assigned: BTreeMap<Owned, usize>,
    /// The highest generation of a task that was stored or assigned.
    highest: BTreeMap<TaskKey, Generation>,
    started: BTreeSet<(Owned, usize)>,
    /// Sessions that were ever declared dead.
    declared: BTreeSet<SessionId>,
    /// Dead sessions that were seen out of a group for 10 s.
    graced: BTreeSet<(ConnectorUid, SessionId)>,
    /// Tasks whose breaker has paused their connector.
    paused_by: BTreeSet<Owned>,
    /// When a task was last started, stopped or killed.
    pub(crate) acted_at: Time,
    pub(crate) good_since: Option<Time>,
    /// From when to when no agent can be heard by anybody.
    pub(crate) all_cut: (Time, Time),
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

    /// The highest generation of all tasks of a connector that was stored or assigned.
    pub(crate) fn latest_of(&self, connector: ConnectorUid) -> Option<Generation> {
        let of_it = self.highest.iter().filter(|(task, _)| task.connector == connector);
        of_it.map(|(_, generation)| *generation).max()
    }

    pub(crate) fn grace_over(&mut self, group: ConnectorUid, dead: &[SessionId]) {
        self.graced.extend(dead.iter().map(|dead| (group, *dead)));
    }
}

/// Longer than it takes until the last message has arrived, nobody counts as heard, and a write is decided that was begun before.
const DECIDED_MS: Time = 40_000;

/// The tasks that a record of owners names, before a write.
pub(crate) type Owners = BTreeMap<Name, (ConnectorUid, BTreeMap<u32, Owner>)>;

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
        let late = agent
            .runs
            .values()
            .find(|run| run.strict)
            .filter(|_| now > until && awake);
        if let Some(run) = late {
            let name = name_of(run.owned);
            let ms = now.since(agent.gate.strict_until);
            self.fail(format!("I1: strict {name} lives {ms} ms after its lease"));
        }
    }

    // --- what agents start and say

    pub(crate) fn check_start(&mut self, at: usize, owned: Owned) {
        self.checks.acted_at = self.now;
        self.check_altering(owned.task.connector);
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

    /// A mutation: whatever generation is meant, it is the latest.
    pub(crate) fn make_current(&self, message: &mut FromAgent) {
        let latest = |owned: &mut Owned| {
            if let Some(highest) = self.checks.highest.get(&owned.task) {
                owned.generation = *highest;
            }
        };
        match message {
            FromAgent::TasksStopped(stopped) => stopped.iter_mut().for_each(|stopped| latest(&mut stopped.owned)),
            FromAgent::TaskEvents(reports) => reports.iter_mut().for_each(|report| latest(&mut report.owned)),
            FromAgent::Heartbeat(beat) => beat.changed.iter_mut().for_each(|report| latest(&mut report.owned)),
            FromAgent::TaskConfigs(configs) => latest(&mut configs.instance),
            FromAgent::Hello(_)
            | FromAgent::AssignmentAck(_)
            | FromAgent::LeaveIntent(_)
            | FromAgent::WriterOpened(_)
            | FromAgent::SessionFenced { .. }
            | FromAgent::GenerationCheck(_)
            | FromAgent::CommandResult(_) => {}
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
        let owners = |name: &Name| {
            let own = self.store.owners(name)?;
            Some((name.clone(), (own.uid, own.owners.clone())))
        };
        puts.filter_map(owners).collect()
    }

    /// A breaker that tripped pauses its connector once: whoever has resumed it is not overruled. `spec` was just written.
    fn check_paused(&mut self, at: usize, name: &ConnectorName, spec: &ConnectorSpec) {
        let (Some(connector), Some(breaker)) = (spec.uid, &spec.breaker) else {
            return self.fail(format!("P8: r{at} writes {name} for no breaker: {spec:?}"));
        };
        // Those that stand there from before stay.
        let written = breaker.tasks.iter().map(|(number, generation)| Owned {
            task: TaskKey {
                connector,
                number: *number,
            },
            generation: *generation,
        });
        let new = written.filter(|owned| self.checks.paused_by.insert(*owned)).count();
        if new == 0 || spec.target != TargetState::Paused {
            self.fail(format!("P8: r{at} pauses {name} a second time: {breaker:?}"));
        }
    }

    /// I3, I4, and that nobody loses a task that he may still run without having been declared dead.
    pub(crate) fn check_applied(&mut self, at: usize, term: u64, write: &Write, before: Owners) {
        if self.store.leader.is_none_or(|leader| leader.term != term) {
            return self.fail(format!("I3: r{at} wrote under term {term}: {write:?}"));
        }
        for (name, record) in &write.puts {
            if let (Name::Own(connector, _), Record::Own(own)) = (name, record) {
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
            if let Record::Agent(agent) = record {
                self.count_dead(agent);
            }
            if let (Name::Spec(connector), Record::Spec(spec)) = (name, record) {
                self.see(Seen::Tripped);
                self.check_paused(at, connector, spec);
            }
            if let Record::Tasks(_) = record {
                self.see(Seen::TaskSet);
                if write
                    .compares
                    .iter()
                    .any(|(compared, revision)| compared == name && revision.0 > 0)
                {
                    self.see(Seen::TaskSetChanged);
                }
            }
        }
        for name in &write.deletes {
            if let Name::Spec(_) = name {
                self.see(Seen::ConnectorDeleted);
            }
            if let Name::Tasks(connector) = name
                && self.store.spec(connector).is_some()
            {
                self.see(Seen::ConnectorStopped);
            }
            let Some((connector, owners)) = before.get(name) else {
                continue;
            };
            for (number, owner) in owners {
                let task = TaskKey {
                    connector: *connector,
                    number: *number,
                };
                if self.may_still_run(owner.session, task) && self.mutation.is_none() {
                    self.fail(format!(
                        "P7: r{at} removes {name:?} while {owner:?} runs {number} and was not declared dead"
                    ));
                }
            }
        }
    }

    fn count_dead(&mut self, agent: &AgentRecord) {
        for dead in agent.dead_sessions.keys() {
            if self.checks.declared.insert(*dead) {
                self.coverage.see(Seen::DeclaredDead);
                // What was decided before all were silent may be written a little later.
                let (from, until) = self.checks.all_cut;
                if self.now > from + DECIDED_MS && self.now < until {
                    self.fail(format!(
                        "row 23: session {dead} is declared dead while nobody can be heard"
                    ));
                }
            }
        }
        let agents = self.store.records.values();
        let listed: usize = agents
            .map(|entry| {
                if let Record::Agent(agent) = &*entry.record {
                    agent.dead_sessions.len()
                } else {
                    0
                }
            })
            .sum();
        let gone = self.checks.declared.len().saturating_sub(listed) as u64;
        for _ in self.coverage.of(Seen::DeadEntryGone)..gone {
            self.coverage.see(Seen::DeadEntryGone);
        }
    }

    fn is_strict(&self, connector: &ConnectorName) -> bool {
        let spec = self.store.spec(connector);
        spec.is_some_and(|spec| spec.config.get("dray.recovery").is_some_and(|class| class == "strict"))
    }

    /// Whether a run of this session and task is alive, and the session was not declared dead.
    fn may_still_run(&self, session: SessionId, task: TaskKey) -> bool {
        if self.checks.declared.contains(&session) {
            return false;
        }
        let agents = self
            .agents
            .iter()
            .filter(|agent| agent.current.is_some_and(|current| current.0 == session));
        let mut runs = agents.flat_map(|agent| agent.runs.values());
        runs.any(|run| run.owned.task == task && !run.lied)
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
        if self.may_still_run(old.session, task) && self.mutation.is_none() {
            let text =
                format!("rule 9: r{at} gives {task} to {new:?} while {old:?} is alive and was not declared dead");
            self.fail(text);
        }
    }
}
