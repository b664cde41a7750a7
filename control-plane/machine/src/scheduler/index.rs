//! What the scheduler knows, arranged so that every question that it asks while placing costs O(log agents) or less.
//!
//! [`Index::set_target`], [`Index::set_owner`], [`Index::set_cost`] and [`Index::change`] are the only ways to change a task or an
//! agent; each takes the record out of every count, changes it and counts it again. `tests/check.rs` compares all counts with
//! ones made from scratch.

use super::event::{AgentSpec, Needs};
use super::records::{Agent, Connector, Link, NeedsRecord, Pool, Ranked, Start, Task, ZoneRecord};
use super::slab::{Slab, Slot};
use dray_model::{AgentNumber, ConnectorUid, Cost, Region, TaskKey, Zone};
use rustc_hash::FxHashMap;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// Everything that the scheduler knows.
pub(super) struct Index {
    pub(super) agents: Slab<Agent>,
    pub(super) tasks: Slab<Task>,
    pub(super) connectors: Slab<Connector>,
    pub(super) needs: Slab<NeedsRecord>,
    pub(super) pools: Slab<Pool>,
    pub(super) zones: Slab<ZoneRecord>,
    pub(super) by_number: FxHashMap<AgentNumber, Slot<Agent>>,
    pub(super) by_uid: FxHashMap<ConnectorUid, Slot<Connector>>,
    pub(super) by_needs: BTreeMap<Needs, Slot<NeedsRecord>>,
    /// Needs that have parked tasks.
    pub(super) parked: BTreeSet<Slot<NeedsRecord>>,
    /// Agents that may have room for a parked task since these were last tried.
    pub(super) improved: BTreeSet<(AgentNumber, Slot<Agent>)>,
    /// Connectors of which tasks wait for their start rate.
    pub(super) paced: BTreeSet<Slot<Connector>>,
    /// Agents of which a start ended since the queued ones were last looked at.
    pub(super) ended: Vec<Slot<Agent>>,
}

impl Index {
    pub(super) fn new() -> Self {
        Self {
            agents: Slab::new(),
            tasks: Slab::new(),
            connectors: Slab::new(),
            needs: Slab::new(),
            pools: Slab::new(),
            zones: Slab::new(),
            by_number: FxHashMap::default(),
            by_uid: FxHashMap::default(),
            by_needs: BTreeMap::new(),
            parked: BTreeSet::new(),
            improved: BTreeSet::new(),
            paced: BTreeSet::new(),
            ended: Vec::new(),
        }
    }

    pub(super) fn task(&self, key: TaskKey) -> Option<Slot<Task>> {
        let connector = self.by_uid.get(&key.connector)?;
        self.connectors[*connector].tasks.get(&key.number).copied()
    }

    pub(super) fn zone(&mut self, region: &Region, zone: &Zone) -> Slot<ZoneRecord> {
        let known = self
            .zones
            .iter()
            .find(|(_, known)| known.region == *region && known.zone == *zone);
        match known {
            Some((slot, _)) => slot,
            None => self.zones.insert(ZoneRecord {
                region: region.clone(),
                zone: zone.clone(),
                expected: 0,
                silent: 0,
            }),
        }
    }

    pub(super) fn add_agent(&mut self, spec: AgentSpec, link: Link) -> Slot<Agent> {
        let zone = self.zone(&spec.region, &spec.zone);
        let number = spec.number;
        let agent = self.agents.insert(Agent::new(spec, zone, link));
        self.by_number.insert(number, agent);
        self.count_zone(agent, true);
        agent
    }

    /// Forgets an agent that has and owns no tasks.
    pub(super) fn remove_agent(&mut self, agent: Slot<Agent>) {
        self.count_zone(agent, false);
        self.leave_pools(agent);
        self.forget_refusals(agent, true);
        let removed = self.agents.remove(agent);
        debug_assert!(
            removed.tasks.is_empty() && removed.owns == 0,
            "a task would be left without its agent"
        );
        self.by_number.remove(&removed.spec.number);
        self.improved.remove(&(removed.spec.number, agent));
        self.ended.retain(|ended| *ended != agent);
    }

    /// An agent stands elsewhere, or has other labels or plugins.
    pub(super) fn replace_spec(&mut self, agent: Slot<Agent>, spec: AgentSpec) {
        self.leave_pools(agent);
        self.count_zone(agent, false);
        let (before, after) = (self.agents[agent].zone, self.zone(&spec.region, &spec.zone));
        let tasks = self.agents[agent].tasks.iter();
        for task in tasks.filter(|task| !self.tasks[**task].key.is_instance()) {
            let in_zone = &mut self.connectors[self.tasks[*task].connector].in_zone;
            in_zone.remove(before);
            in_zone.add(after);
        }
        self.agents[agent].zone = after;
        self.agents[agent].spec = spec;
        self.count_zone(agent, true);
        self.join_pools(agent);
    }

    /// What an agent refused may be tried again; with `connectors` also what it refused of single connectors.
    pub(super) fn forget_refusals(&mut self, agent: Slot<Agent>, connectors: bool) {
        self.agents[agent].refused.clear();
        for connector in if connectors {
            self.connectors.slots()
        } else {
            Vec::new()
        } {
            self.connectors[connector].refused.retain(|refused| *refused != agent);
        }
    }

    /// A connector needs something else. Its parked tasks are parked under the new needs.
    pub(super) fn change_needs(&mut self, connector: Slot<Connector>, needs: Slot<NeedsRecord>) {
        let tasks: Vec<_> = self.connectors[connector].tasks.values().copied().collect();
        let parked: Vec<_> = tasks.into_iter().filter(|task| self.tasks[*task].parked).collect();
        for task in &parked {
            self.unpark(*task);
        }
        self.connectors[connector].needs = needs;
        for task in parked {
            self.park(task);
        }
    }

    /// Forgets a connector that has no tasks.
    pub(super) fn remove_connector(&mut self, connector: Slot<Connector>) {
        let removed = self.connectors.remove(connector);
        debug_assert!(removed.tasks.is_empty(), "a task would be left without its connector");
        self.by_uid.remove(&removed.uid);
        self.paced.remove(&connector);
        self.drop_needs(removed.needs);
    }

    pub(super) fn add_task(&mut self, connector: Slot<Connector>, number: u32, cost: Cost) -> Slot<Task> {
        let key = TaskKey {
            connector: self.connectors[connector].uid,
            number,
        };
        let task = self.tasks.insert(Task {
            key,
            connector,
            cost,
            target: None,
            position: 0,
            owner: None,
            parked: false,
            start: Start::Idle,
            moved: None,
        });
        self.connectors[connector].tasks.insert(number, task);
        task
    }

    pub(super) fn remove_task(&mut self, task: Slot<Task>) {
        self.set_owner(task, None);
        self.set_target(task, None);
        let removed = self.tasks.remove(task);
        self.connectors[removed.connector].tasks.remove(&removed.key.number);
    }

    /// Decides who shall run a task. A start that was asked for belongs to the former target and is over.
    pub(super) fn set_target(&mut self, task: Slot<Task>, target: Option<Slot<Agent>>) {
        self.end_start(task, Start::Idle);
        self.unpark(task);
        self.count_move(task, false);
        self.detach(task);
        self.tasks[task].target = target;
        self.attach(task);
        self.count_move(task, true);
    }

    /// Notes whom the store names as the owner.
    pub(super) fn set_owner(&mut self, task: Slot<Task>, owner: Option<Slot<Agent>>) {
        self.count_move(task, false);
        if let Some(former) = std::mem::replace(&mut self.tasks[task].owner, owner) {
            self.agents[former].owns -= 1;
        }
        if let Some(owner) = owner {
            self.agents[owner].owns += 1;
        }
        self.count_move(task, true);
    }

    pub(super) fn set_cost(&mut self, task: Slot<Task>, cost: Cost) {
        let parked = self.tasks[task].parked;
        self.unpark(task);
        self.detach(task);
        self.tasks[task].cost = cost;
        self.attach(task);
        if parked {
            self.park(task);
        }
    }

    /// Notes that no agent can run a task now.
    pub(super) fn park(&mut self, task: Slot<Task>) {
        let record = &mut self.tasks[task];
        record.parked = true;
        let needs = self.connectors[record.connector].needs;
        self.needs[needs]
            .parked
            .insert((Reverse(record.cost), record.key), task);
        self.parked.insert(needs);
    }

    fn unpark(&mut self, task: Slot<Task>) {
        let record = &mut self.tasks[task];
        if !std::mem::take(&mut record.parked) {
            return;
        }
        let needs = self.connectors[record.connector].needs;
        self.needs[needs].parked.remove(&(Reverse(record.cost), record.key));
        if self.needs[needs].parked.is_empty() {
            self.parked.remove(&needs);
        }
    }

    /// Changes an agent in a way that counts: its link, policy, capacity.
    pub(super) fn change(&mut self, agent: Slot<Agent>, change: impl FnOnce(&mut Agent)) {
        self.count_zone(agent, false);
        change(&mut self.agents[agent]);
        self.count_zone(agent, true);
        self.rank(agent);
        self.note_improved(agent);
    }

    pub(super) fn count_zone(&mut self, agent: Slot<Agent>, add: bool) {
        let agent = &self.agents[agent];
        let zone = &mut self.zones[agent.zone];
        if agent.is_expected() {
            count(&mut zone.expected, add);
            if agent.is_silent() {
                count(&mut zone.silent, add);
            }
        }
    }

    fn count_move(&mut self, task: Slot<Task>, add: bool) {
        let Task {
            owner: Some(owner),
            target: Some(target),
            ..
        } = self.tasks[task]
        else {
            return;
        };
        if owner != target {
            count(&mut self.agents[owner].moves_out, add);
            count(&mut self.agents[target].moves_in, add);
        }
    }

    fn attach(&mut self, task: Slot<Task>) {
        let record = &mut self.tasks[task];
        let Some(target) = record.target else { return };
        let agent = &mut self.agents[target];
        record.position = u32::try_from(agent.tasks.len()).expect("fewer tasks than slots in a slab");
        agent.tasks.push(task);
        agent.load += u64::from(record.cost.units());
        if !record.key.is_instance() {
            let connector = &mut self.connectors[record.connector];
            connector.on_agent.add(target);
            connector.in_zone.add(agent.zone);
        }
        self.rank(target);
    }

    fn detach(&mut self, task: Slot<Task>) {
        let record = &self.tasks[task];
        let Some(target) = record.target else { return };
        let (position, connector, cost) = (record.position, record.connector, record.cost);
        let is_instance = record.key.is_instance();
        let agent = &mut self.agents[target];
        agent.tasks.swap_remove(position as usize);
        if let Some(moved) = agent.tasks.get(position as usize) {
            self.tasks[*moved].position = position;
        }
        agent.load -= u64::from(cost.units());
        if !is_instance {
            let connector = &mut self.connectors[connector];
            connector.on_agent.remove(target);
            connector.in_zone.remove(agent.zone);
        }
        self.rank(target);
        self.note_improved(target);
    }

    /// The start of a task is over, or comes to nothing.
    pub(super) fn end_start(&mut self, task: Slot<Task>, then: Start) {
        let record = &mut self.tasks[task];
        let before = std::mem::replace(&mut record.start, then);
        if before == Start::Assigned {
            let target = record.target.expect("only a task with a target is assigned");
            self.agents[target].starting -= 1;
            self.ended.push(target);
        }
    }

    fn note_improved(&mut self, agent: Slot<Agent>) {
        if !self.parked.is_empty() && self.agents[agent].ranked.is_some() {
            self.improved.insert((self.agents[agent].spec.number, agent));
        }
    }

    /// Lists an agent in its pools under its present load, if it can be given a task at all.
    pub(super) fn rank(&mut self, slot: Slot<Agent>) {
        let agent = &mut self.agents[slot];
        let now = (agent.is_ready() && agent.free_slots() > 0).then(|| agent.ratio());
        let before = std::mem::replace(&mut agent.ranked, now);
        if before == now {
            return;
        }
        let ranked = |ratio| Ranked {
            ratio,
            number: agent.spec.number,
            slot,
        };
        for pool in &agent.pools {
            let open = self.pools[*pool].zone(agent.zone);
            if let Some(ratio) = before {
                open.remove(&ranked(ratio));
            }
            if let Some(ratio) = now {
                open.insert(ranked(ratio));
            }
        }
    }

    /// Takes an agent out of the order of its pools; [`rank`](Self::rank) puts it back.
    pub(super) fn unrank(&mut self, slot: Slot<Agent>) {
        let agent = &mut self.agents[slot];
        if let Some(ratio) = agent.ranked.take() {
            for pool in &agent.pools {
                self.pools[*pool].zone(agent.zone).remove(&Ranked {
                    ratio,
                    number: agent.spec.number,
                    slot,
                });
            }
        }
    }
}

fn count(counter: &mut u32, add: bool) {
    *counter = if add { *counter + 1 } else { *counter - 1 };
}
