//! Which agent runs which task: the fewest changes that make the placement legal, and balanced within a band.
//!
//! [`Scheduler::on`] takes one [`Event`] and the time and returns [`Decision`]s. An event costs what it changes, times the
//! logarithm of the number of agents; only a tick and what is new about agents or needs looks at every agent. Read `place`
//! (where a task goes), `start` (when it is asked for) and `rebalance` (what moves); `index` keeps what they ask for in order, `guard` holds
//! recovery back.
//!
//! Nothing here waits, and nothing is stored: the store has the owners, and a new leader tells them to a new scheduler.

mod class;
mod event;
mod guard;
mod index;
mod place;
mod pools;
mod rebalance;
mod records;
mod slab;
mod start;
#[cfg(test)]
mod tests;

pub use event::{AgentSpec, Decision, Event, Limits, Needs, Placement, Refusal, TaskInput, TaskSet, Unplaced};
pub use guard::ZoneState;

use dray_model::{AgentNumber, AgentPolicy, Cost, Millis, Region, TaskKey, Zone};
use guard::{Bucket, Guard};
use index::Index;
use records::{Agent, Connector, Counts, Link, Start, Task};
use slab::Slot;
use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};

/// Balance runs so often at most: moves need seconds, and their effect should be seen before the next ones are planned.
const BALANCE_EVERY_MS: u64 = 5_000;
/// A new leader balances when 90 % of the agents are back, or after this time.
const PREPARED_AFTER_MS: u64 = 10_000;
/// The longest that tasks are held for an agent that wants to be back: after this, somebody should look.
const LONGEST_HOLD_MS: u64 = 300_000;
/// An agent that is gone and has no tasks is forgotten after this time: a guard must not count agents of last week as silent.
const FORGOTTEN_AFTER_MS: u64 = 600_000;

/// Which agent runs which task.
pub struct Scheduler {
    index: Index,
    guard: Guard,
    limits: Limits,
    now: Millis,
    leading_since: Millis,
    balanced: Millis,
    balance: Bucket,
    decisions: Vec<Decision>,
}

impl Scheduler {
    /// A scheduler that knows nothing yet, of a leader that leads since `now`.
    #[must_use]
    pub fn new(limits: Limits, now: Millis) -> Self {
        Self {
            index: Index::new(),
            guard: Guard::new(),
            limits,
            now,
            leading_since: now,
            balanced: now,
            balance: Bucket::default(),
            decisions: Vec::new(),
        }
    }

    /// Takes note of what happened and decides what follows. What names an unknown agent or task changes nothing: it was removed
    /// while the message was under way.
    #[must_use]
    pub fn on(&mut self, now: Millis, event: Event) -> Vec<Decision> {
        self.now = now;
        match event {
            Event::AgentKnown(spec) => self.agent_known(spec),
            Event::AgentJoined { agent, fresh } => self.agent_joined(agent, fresh),
            Event::AgentSilent(agent) => self.with_agent(agent, |scheduler, agent| {
                // One that left or is lost is not expected to be heard.
                if scheduler.index.agents[agent].link == Link::Connected {
                    scheduler.index.change(agent, |agent| agent.link = Link::Silent);
                }
            }),
            Event::AgentLost(agent) => self.with_agent(agent, |scheduler, agent| scheduler.lose(agent, now)),
            Event::AgentLeaving { agent, back_by } => {
                self.with_agent(agent, |scheduler, agent| scheduler.agent_leaving(agent, back_by, now));
            }
            Event::PolicyChanged { agent, policy } => self.with_agent(agent, |scheduler, agent| {
                scheduler.index.change(agent, |agent| agent.spec.policy = policy);
                if policy == AgentPolicy::Removed && matches!(scheduler.index.agents[agent].link, Link::Held { .. }) {
                    scheduler.agent_leaving(agent, None, now); // nobody comes back to hold them for
                }
                scheduler.evict(agent);
            }),
            Event::CapacityChanged { agent, capacity } => self.with_agent(agent, |scheduler, agent| {
                scheduler.index.change(agent, |agent| agent.spec.capacity = capacity);
            }),
            Event::Published(set) => self.published(set),
            Event::Refused { task, agent, refusal } => self.refused(task, agent, refusal),
            Event::CostMeasured { task, cost } => {
                self.with_task(task, |scheduler, task| scheduler.cost_measured(task, cost))
            }
            Event::Owned { task, agent } => self.with_task(task, |scheduler, task| {
                let owner = scheduler.index.by_number.get(&agent).copied();
                let former = scheduler.index.tasks[task].owner;
                scheduler.index.set_owner(task, owner);
                if let Some(former) = former {
                    scheduler.evict(former); // one of its moves ended
                }
            }),
            Event::Freed(task) => self.with_task(task, |scheduler, task| {
                scheduler.index.set_owner(task, None);
                scheduler.index.end_start(task, Start::Idle);
                scheduler.assign(task);
            }),
            Event::Running { task, agent } => self.with_task(task, |scheduler, task| {
                let record = &scheduler.index.tasks[task];
                let reporter = scheduler.index.by_number.get(&agent).copied();
                if reporter.is_some() && record.target == reporter && !matches!(record.start, Start::Running { .. }) {
                    scheduler.index.end_start(task, Start::Running { since: now });
                }
            }),
            Event::Returned(task) => self.with_task(task, |scheduler, task| {
                let record = &scheduler.index.tasks[task];
                if record.owner.is_some() && record.owner != record.target {
                    scheduler.place(vec![task]); // to stay is better than any score
                    let record = &scheduler.index.tasks[task];
                    if record.owner == record.target {
                        scheduler.index.end_start(task, Start::Running { since: now }); // nobody will report it again
                    }
                }
            }),
            Event::Failed(task) => {
                self.with_task(task, |scheduler, task| scheduler.index.end_start(task, Start::Idle));
            }
            Event::Tick => self.tick(now),
        }
        self.settle(now);
        std::mem::take(&mut self.decisions)
    }

    /// Where a task stands. `None`: there is no such task.
    #[must_use]
    pub fn placement(&self, task: TaskKey) -> Option<Placement> {
        let slot = self.index.task(task)?;
        let task = &self.index.tasks[slot];
        let Some(target) = task.target else {
            return Some(Placement::Unplaced(place::reason(&self.index, slot)));
        };
        let agent = &self.index.agents[target];
        let number = agent.spec.number;
        Some(match (agent.link, task.start) {
            (Link::Silent, _) => Placement::Silent(number),
            (Link::Lost { .. } | Link::Left { .. }, _) => Placement::Recovering(number),
            (Link::Held { until }, _) => Placement::Held { agent: number, until },
            (Link::Connected, Start::Queued) => Placement::Queued(number),
            (Link::Connected, _) if task.owner == task.target => Placement::On(number),
            (Link::Connected, _) => Placement::Assigning {
                to: number,
                from: self.number(task.owner),
            },
        })
    }

    /// The tasks that an agent shall run.
    #[must_use]
    pub fn tasks_of(&self, agent: AgentNumber) -> Vec<TaskKey> {
        let Some(agent) = self.index.by_number.get(&agent) else {
            return Vec::new();
        };
        let mut tasks: Vec<_> = self.index.agents[*agent]
            .tasks
            .iter()
            .map(|task| self.index.tasks[*task].key)
            .collect();
        tasks.sort_unstable();
        tasks
    }

    /// The tasks that no agent can run.
    #[must_use]
    pub fn unplaced(&self) -> Vec<TaskKey> {
        let parked = self
            .index
            .parked
            .iter()
            .flat_map(|needs| self.index.needs[*needs].parked.keys());
        let mut tasks: Vec<_> = parked.map(|(_, key)| *key).collect();
        tasks.sort_unstable();
        tasks
    }

    /// How much of a zone is silent. `None`: no agent ever stood there.
    #[must_use]
    pub fn zone_state(&self, region: &Region, zone: &Zone) -> Option<ZoneState> {
        let mut zones = self.index.zones.iter();
        zones
            .find(|(_, known)| known.region == *region && known.zone == *zone)
            .map(|(_, known)| guard::zone_state(known))
    }

    /// Whether not one agent can be heard: nothing is recovered then, and somebody should be told.
    #[must_use]
    pub fn is_cut_off(&self) -> bool {
        self.index.agents.len() > 0 && guard::all_silent(&self.index)
    }

    fn with_agent(&mut self, agent: AgentNumber, then: impl FnOnce(&mut Self, Slot<Agent>)) {
        if let Some(slot) = self.index.by_number.get(&agent).copied() {
            then(self, slot);
        }
    }

    fn with_task(&mut self, task: TaskKey, then: impl FnOnce(&mut Self, Slot<Task>)) {
        if let Some(slot) = self.index.task(task) {
            then(self, slot);
        }
    }

    fn number(&self, agent: Option<Slot<Agent>>) -> Option<AgentNumber> {
        agent.map(|agent| self.index.agents[agent].spec.number)
    }

    fn agent_known(&mut self, spec: AgentSpec) {
        if !self.index.by_number.contains_key(&spec.number) {
            let agent = self.index.add_agent(spec, Link::Silent);
            self.index.join_pools(agent);
        }
    }

    fn agent_joined(&mut self, spec: AgentSpec, fresh: bool) {
        self.agent_known(spec.clone());
        let agent = self.index.by_number[&spec.number];
        let was = &self.index.agents[agent].spec;
        let moved = (&was.region, &was.zone) != (&spec.region, &spec.zone);
        let other = moved || was.labels != spec.labels || was.plugins != spec.plugins;
        if other {
            self.index.replace_spec(agent, spec.clone());
        }
        if other || fresh {
            self.index.forget_refusals(agent, fresh);
        }
        self.index.change(agent, |agent| {
            agent.link = Link::Connected;
            agent.spec = spec;
        });
        if fresh {
            // What was asked of the last session is void. What this one still owns, it is told to keep or stop by the machine.
            self.index.agents[agent].queued.clear();
            for task in self.index.agents[agent].tasks.clone() {
                self.index.end_start(task, Start::Idle);
            }
        }
        let tasks = self.index.agents[agent].tasks.clone();
        let (may_stay, must_go): (Vec<_>, Vec<_>) = tasks
            .into_iter()
            .partition(|task| place::is_allowed(&self.index, *task, agent));
        self.place(must_go);
        for task in may_stay {
            if self.index.tasks[task].owner != Some(agent) {
                self.assign(task);
            }
        }
        self.evict(agent);
    }

    fn agent_leaving(&mut self, agent: Slot<Agent>, back_by: Option<Millis>, now: Millis) {
        match back_by {
            Some(until) => {
                let until = until.min(now.plus(LONGEST_HOLD_MS));
                self.index.change(agent, |agent| agent.link = Link::Held { until });
            }
            None => {
                self.index.change(agent, |agent| agent.link = Link::Left { since: now });
                self.place(self.index.agents[agent].tasks.clone());
            }
        }
    }

    /// The tasks of an agent are free; the guard says when they go.
    fn lose(&mut self, agent: Slot<Agent>, now: Millis) {
        self.index.change(agent, |agent| agent.link = Link::Lost { since: now });
        // What others still own was to come here: that move is off, whatever the guard says.
        let tasks = self.index.agents[agent].tasks.iter().copied();
        let not_here = tasks
            .filter(|task| self.index.tasks[*task].owner.is_some_and(|owner| owner != agent))
            .collect();
        self.place(not_here);
        self.guard.add(&self.index, agent);
    }

    fn published(&mut self, set: TaskSet) {
        let connector = match self.index.by_uid.get(&set.connector).copied() {
            Some(connector) => connector,
            None if set.tasks.is_empty() => return,
            None => self.add_connector(&set),
        };
        self.replace_needs(connector, &set);
        let wanted: BTreeMap<u32, TaskInput> = set.tasks.iter().map(|task| (task.number, *task)).collect();
        let known: Vec<_> = self.index.connectors[connector]
            .tasks
            .iter()
            .map(|(number, task)| (*number, *task))
            .collect();
        for (number, task) in known {
            if !wanted.contains_key(&number) {
                self.index.remove_task(task);
            }
        }
        if wanted.is_empty() {
            self.index.remove_connector(connector);
            return;
        }
        let mut homeless = Vec::new();
        for (number, input) in wanted {
            let known = self.index.connectors[connector].tasks.get(&number).copied();
            let task = known.unwrap_or_else(|| self.index.add_task(connector, number, input.cost));
            if known.is_none()
                && let Some(owner) = input.owner.and_then(|owner| self.index.by_number.get(&owner).copied())
            {
                self.index.set_owner(task, Some(owner));
                self.index.set_target(task, Some(owner));
            }
            let target = self.index.tasks[task].target;
            let stays = target.is_some_and(|agent| match self.index.agents[agent].link {
                Link::Connected => place::is_allowed(&self.index, task, agent),
                Link::Silent | Link::Held { .. } => true,
                // What it owned when it was lost is the guard's to release; what is heard of afterwards is nobody's.
                Link::Lost { .. } | Link::Left { .. } => known.is_some(),
            });
            if !stays {
                homeless.push(task);
            }
        }
        self.place(homeless);
    }

    fn add_connector(&mut self, set: &TaskSet) -> Slot<Connector> {
        let needs = self.index.add_needs(set.needs.clone());
        let connector = self.index.connectors.insert(Connector {
            uid: set.connector,
            needs,
            prefers: None,
            movable: true,
            starts_a_second: None,
            starts: Bucket::default(),
            paced: VecDeque::new(),
            tasks: BTreeMap::new(),
            on_agent: Counts::new(),
            in_zone: Counts::new(),
            refused: Vec::new(),
        });
        self.index.by_uid.insert(set.connector, connector);
        connector
    }

    /// What a new task set says of the connector as a whole. Agents that refused the former one are asked again.
    fn replace_needs(&mut self, connector: Slot<Connector>, set: &TaskSet) {
        let before = self.index.connectors[connector].needs;
        if self.index.needs[before].needs != set.needs {
            let needs = self.index.add_needs(set.needs.clone());
            self.index.change_needs(connector, needs);
            self.index.drop_needs(before);
        }
        let record = &mut self.index.connectors[connector];
        record.prefers.clone_from(&set.prefers);
        record.movable = set.movable;
        record.starts_a_second = set.starts_a_second;
        record.refused.clear();
    }

    fn refused(&mut self, task: TaskKey, agent: AgentNumber, refusal: Refusal) {
        let (Some(task), Some(agent)) = (self.index.task(task), self.index.by_number.get(&agent).copied()) else {
            return;
        };
        let connector = self.index.tasks[task].connector;
        let needs = self.index.connectors[connector].needs;
        match refusal {
            Refusal::Needs if !self.index.agents[agent].refused.contains(&needs) => {
                self.index.agents[agent].refused.push(needs)
            }
            Refusal::Connector if !self.index.connectors[connector].refused.contains(&agent) => {
                self.index.connectors[connector].refused.push(agent);
            }
            Refusal::Needs | Refusal::Connector => {}
        }
        if self.index.tasks[task].target == Some(agent) {
            self.place(vec![task]);
        }
    }

    fn cost_measured(&mut self, task: Slot<Task>, measured: Cost) {
        let cost = self.index.tasks[task].cost.follow(measured);
        if cost != self.index.tasks[task].cost {
            self.index.set_cost(task, cost);
            if self.index.tasks[task].parked {
                self.place(vec![task]); // it may fit now
            }
        }
    }

    fn tick(&mut self, now: Millis) {
        for agent in self.index.agents.slots() {
            let record = &self.index.agents[agent];
            match record.link {
                Link::Held { until } if until <= now => self.lose(agent, now),
                Link::Lost { since } | Link::Left { since }
                    if record.tasks.is_empty() && record.owns == 0 && now.since(since) >= FORGOTTEN_AFTER_MS =>
                {
                    self.guard.forget(agent);
                    self.index.remove_agent(agent);
                }
                Link::Connected | Link::Silent | Link::Held { .. } | Link::Lost { .. } | Link::Left { .. } => {
                    self.evict(agent)
                }
            }
        }
        if now.since(self.balanced) >= BALANCE_EVERY_MS && self.is_prepared(now) {
            self.balanced = now;
            let share = self.index.tasks.len() as u64 * u64::from(self.limits.balance_percent_a_minute) / 100;
            let a_minute = share.max(u64::from(self.limits.balance_a_minute));
            let budget = self.balance.fill(now, a_minute, a_minute);
            let moved = rebalance::rebalance(&mut self.index, now, &self.limits, budget);
            self.balance.take(moved.len() as u64);
            for task in moved {
                self.assign(task);
            }
        }
    }

    fn is_prepared(&self, now: Millis) -> bool {
        let (expected, silent) = self.index.zones.iter().fold((0, 0), |(expected, silent), (_, zone)| {
            (expected + zone.expected, silent + zone.silent)
        });
        (silent * 10 <= expected) || now.since(self.leading_since) >= PREPARED_AFTER_MS
    }

    /// Takes the tasks of an agent away when its policy says so: all of a removed one, of a draining one a few at a time. A task
    /// of a draining agent that no other can run stays; its place is asked for again at every tick.
    fn evict(&mut self, agent: Slot<Agent>) {
        let record = &self.index.agents[agent];
        if record.link != Link::Connected || record.tasks.is_empty() {
            return;
        }
        match record.spec.policy {
            AgentPolicy::Active | AgentPolicy::Cordoned | AgentPolicy::Restarting => {}
            AgentPolicy::Removed => self.place(record.tasks.clone()),
            AgentPolicy::Draining => {
                let mut tasks = record.tasks.clone();
                tasks.sort_unstable_by_key(|task| (Reverse(self.index.tasks[*task].cost), self.index.tasks[*task].key));
                let mut failures = place::Failures::default();
                for task in tasks {
                    if self.index.agents[agent].moves_out >= self.limits.drain_parallel {
                        return;
                    }
                    if let Some(to) = place::find(&self.index, &mut failures, task) {
                        self.index.set_target(task, Some(to));
                        self.assign(task);
                    }
                }
            }
        }
    }
}
