//! Finds an agent for each task that has none: new ones, those of lost agents, refused ones.
//!
//! Hard: the agent is connected and active, has the plugins, region and labels that are needed, a free slot and enough capacity,
//! and refused neither these needs nor this connector. Among those that pass, the best score wins: see [`Score`].

use super::event::Unplaced;
use super::index::Index;
use super::pools::first_lack;
use super::records::{Agent, NeedsRecord, Task};
use super::slab::Slot;
use dray_model::{AgentNumber, Cost, TaskKey};
use rustc_hash::FxHashMap;
use std::cmp::Reverse;
use std::ops::Bound;

/// How many agents that pass the hard conditions are compared for one task. They are the least loaded of each zone, so more of
/// them improve the spread over agents only: 12 and 24 differ by nothing that one could measure.
const CANDIDATES: usize = 12;
/// … and at least so many in each zone, or a connector's tasks would meet on the least loaded agent of the zone.
const CANDIDATES_A_ZONE: usize = 2;

/// The smaller the better, compared from the left.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Score {
    /// Tasks of the same connector on the agent: one agent that fails shall harm few of them.
    on_agent: u32,
    /// … and in its zone.
    in_zone: u32,
    /// Whether the connector would prefer another zone.
    elsewhere: bool,
    /// Load by capacity.
    ratio: u64,
    /// So that equal inputs give equal answers.
    agent: AgentNumber,
}

/// Gives each task a target, or parks it. The costliest come first: what is small fits in beside them, not the other way round.
pub(super) fn place(index: &mut Index, tasks: impl IntoIterator<Item = Slot<Task>>) {
    let mut order: Vec<(Reverse<Cost>, TaskKey, Slot<Task>)> = tasks
        .into_iter()
        .map(|task| (Reverse(index.tasks[task].cost), index.tasks[task].key, task))
        .collect();
    order.sort_unstable();
    // Where they were counts for nothing any more.
    for (_, _, task) in &order {
        if index.tasks[*task].target.is_some() {
            index.set_target(*task, None);
        }
    }
    let mut failures = Failures::default();
    for (_, _, task) in order {
        match find(index, &mut failures, task) {
            Some(agent) => index.set_target(task, Some(agent)),
            None => index.park(task),
        }
    }
}

/// The least cost that was too much for every agent, for each needs. What costs as much is not tried again while tasks are placed
/// one after the other, because no agent gets any emptier.
#[derive(Default)]
pub(super) struct Failures(FxHashMap<Slot<NeedsRecord>, Cost>);

/// The best agent for a task as things stand.
pub(super) fn find(index: &Index, failures: &mut Failures, task: Slot<Task>) -> Option<Slot<Agent>> {
    let connector = &index.connectors[index.tasks[task].connector];
    let cost = index.tasks[task].cost;
    if failures
        .0
        .get(&connector.needs)
        .is_some_and(|too_much| cost >= *too_much)
    {
        return None;
    }
    let found = best(index, task);
    // A connector that was refused says nothing about others with the same needs.
    if found.is_none() && connector.refused.is_empty() {
        failures.0.insert(connector.needs, cost);
    }
    found
}

fn best(index: &Index, slot: Slot<Task>) -> Option<Slot<Agent>> {
    let task = &index.tasks[slot];
    let connector = &index.connectors[task.connector];
    // It runs there already: to stay is better than any score.
    if let Some(owner) = task.owner
        && index.agents[owner].is_ready()
        && index.agents[owner].has_room(task.cost)
        && is_allowed(index, slot, owner)
    {
        return Some(owner);
    }
    // An instance goes where there is room: it runs no records, and keeps away from nothing.
    let spreads = !task.key.is_instance();
    let pool = &index.pools[index.needs[connector.needs].pool];
    let a_zone = CANDIDATES_A_ZONE.max(CANDIDATES.div_ceil(pool.open.len().max(1)));
    let mut best: Option<(Score, Slot<Agent>)> = None;
    for (zone, agents) in &pool.open {
        let in_zone = if spreads { connector.in_zone.get(*zone) } else { 0 };
        let elsewhere = connector
            .prefers
            .as_ref()
            .is_some_and(|zone_name| *zone_name != index.zones[*zone].zone);
        let pass = |slot: &Slot<Agent>| {
            let agent = &index.agents[*slot];
            agent.has_room(task.cost) && !agent.refused.contains(&connector.needs) && !connector.refused.contains(slot)
        };
        for ranked in agents.iter().filter(|ranked| pass(&ranked.slot)).take(a_zone) {
            let on_agent = if spreads {
                connector.on_agent.get(ranked.slot)
            } else {
                0
            };
            let score = Score {
                on_agent,
                in_zone,
                elsewhere,
                ratio: ranked.ratio,
                agent: ranked.number,
            };
            if best.is_none_or(|(least, _)| score < least) {
                best = Some((score, ranked.slot));
            }
        }
    }
    best.map(|(_, agent)| agent)
}

/// Whether an agent has what a task needs and did not refuse it. Its state and its room are not asked.
pub(super) fn is_allowed(index: &Index, task: Slot<Task>, agent: Slot<Agent>) -> bool {
    let connector = &index.connectors[index.tasks[task].connector];
    let record = &index.agents[agent];
    record.pools.contains(&index.needs[connector.needs].pool)
        && !record.refused.contains(&connector.needs)
        && !connector.refused.contains(&agent)
}

/// Tries parked tasks again on the agents that have more room, or more plugins, than when these were parked. Returns those that
/// now have a target.
pub(super) fn place_parked(index: &mut Index) -> Vec<Slot<Task>> {
    let mut placed = Vec::new();
    while let Some((_, agent)) = index.improved.pop_first() {
        if !index.agents[agent].is_ready() {
            continue;
        }
        for needs in index.parked.clone() {
            if !index.agents[agent].pools.contains(&index.needs[needs].pool) {
                continue;
            }
            // From the costliest that fits. One that fits and is refused is passed over.
            let mut after = None;
            while let Some((key, task)) = next_fitting(index, needs, agent, after) {
                after = Some(key);
                if is_allowed(index, task, agent) {
                    place(index, [task]);
                    placed.push(task);
                }
            }
        }
    }
    placed
}

/// The key of a parked task.
type Parked = (Reverse<Cost>, TaskKey);

/// The costliest parked task for which an agent has room, after the one given.
fn next_fitting(
    index: &Index,
    needs: Slot<NeedsRecord>,
    agent: Slot<Agent>,
    after: Option<Parked>,
) -> Option<(Parked, Slot<Task>)> {
    let agent = &index.agents[agent];
    let room = u32::try_from(agent.capacity().saturating_sub(agent.load)).unwrap_or(u32::MAX);
    let costliest = Cost::try_from(room).ok().filter(|_| agent.free_slots() > 0)?;
    let fits = Bound::Included((Reverse(costliest), TaskKey::FIRST));
    let from = match after {
        Some(after) if after.0 >= Reverse(costliest) => Bound::Excluded(after),
        Some(_) | None => fits,
    };
    let next = index.needs[needs].parked.range((from, Bound::Unbounded)).next();
    next.map(|(key, task)| (*key, *task))
}

/// Why no agent can run a task now: what is shown beside UNASSIGNED.
pub(super) fn reason(index: &Index, task: Slot<Task>) -> Unplaced {
    let record = &index.tasks[task];
    let needs = &index.needs[index.connectors[record.connector].needs].needs;
    let ready: Vec<_> = index
        .agents
        .iter()
        .filter(|(_, agent)| agent.is_ready())
        .map(|(_, agent)| &agent.spec)
        .collect();
    if let Some(lack) = first_lack(&ready, needs) {
        return lack;
    }
    let pool = &index.pools[index.needs[index.connectors[record.connector].needs].pool];
    let able = pool
        .members
        .iter()
        .copied()
        .filter(|agent| index.agents[*agent].is_ready());
    let (refused, full): (Vec<_>, Vec<_>) = able.partition(|agent| !is_allowed(index, task, *agent));
    let counted = |agents: Vec<Slot<Agent>>| u32::try_from(agents.len()).unwrap_or(u32::MAX);
    if full.is_empty() {
        Unplaced::Refused {
            agents: counted(refused),
        }
    } else {
        Unplaced::Full {
            agents: counted(full),
            cost: record.cost,
        }
    }
}
