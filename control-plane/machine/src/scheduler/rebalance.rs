//! Moves running tasks until the load of every agent lies within a band about the mean, with as few moves as that takes.
//!
//! Agents are compared within a *fleet*: those of a region that can run some of each other's tasks. The band of a fleet is 90 % to
//! 110 % of its load by its capacity. A move goes from an agent that stays above the lower edge to one that stays below the upper
//! edge, and one of the two was outside the band. So each move makes the sum of what is outside smaller, and none makes anything
//! worse: the moves come to an end, and with equal costs there are never more of them than tasks outside the band.

use super::event::Limits;
use super::index::Index;
use super::place::is_allowed;
use super::records::{Agent, Pool, Ranked, Start, Task};
use super::slab::Slot;
use dray_model::Millis;
use std::cmp::Reverse;
use std::collections::BTreeSet;

/// The band, in percent of the mean.
const LOWER: u128 = 90;
const UPPER: u128 = 110;
/// A task is left alone until it has run for so long: a start costs more than a minute of imbalance.
const SETTLED_MS: u64 = 60_000;
/// … and after a move of balance for so long.
const REST_MS: u64 = 600_000;
/// How many partners are tried for an agent outside the band. One that none of them suits stays where it is until the next round.
const PARTNERS: usize = 64;

/// Plans at most `budget` moves. Every planned task has its new target; returns them in order.
pub(super) fn rebalance(index: &mut Index, now: Millis, limits: &Limits, budget: u64) -> Vec<Slot<Task>> {
    let mut moved = Vec::new();
    for fleet in fleets(index) {
        let band = Band::of(index, &fleet);
        let left = usize::try_from(budget).unwrap_or(usize::MAX) - moved.len();
        let mut round = Round {
            index,
            band,
            now,
            limits,
            moved: &mut moved,
            left,
        };
        // First those above the band give, then those still below it take: a move from one to the other serves both.
        round.relieve(&fleet);
        round.fill(&fleet);
    }
    moved
}

/// The loads between which an agent of some capacity is left alone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Band {
    load: u128,
    capacity: u128,
}

impl Band {
    pub(super) fn of(index: &Index, fleet: &[Slot<Agent>]) -> Self {
        let sum = |of: fn(&Agent) -> u64| fleet.iter().map(|agent| u128::from(of(&index.agents[*agent]))).sum();
        Self {
            load: sum(|agent| agent.load),
            capacity: sum(Agent::capacity),
        }
    }

    /// The least load within the band.
    pub(super) fn lower(self, agent: &Agent) -> u64 {
        let lower = (self.load * u128::from(agent.capacity()) * LOWER).div_ceil(self.capacity * 100);
        u64::try_from(lower).unwrap_or(u64::MAX).min(agent.capacity())
    }

    /// The greatest load within the band. Nobody is filled above its capacity, and who is above it gives.
    pub(super) fn upper(self, agent: &Agent) -> u64 {
        let upper = self.load * u128::from(agent.capacity()) * UPPER / (self.capacity * 100);
        u64::try_from(upper).unwrap_or(u64::MAX).min(agent.capacity())
    }
}

/// The agents that can be given tasks, by region and by what they can run: two agents are in one fleet when a pool has both, or a
/// chain of pools leads from one to the other. Agents that share no kind of task cannot help each other, and a common mean would
/// tell them to.
pub(super) fn fleets(index: &Index) -> Vec<Vec<Slot<Agent>>> {
    let ready: BTreeSet<_> = index
        .agents
        .iter()
        .filter(|(_, agent)| agent.is_ready())
        .map(|(slot, _)| slot)
        .collect();
    let mut seen_agents = BTreeSet::new();
    let mut seen_pools: BTreeSet<(&str, Slot<Pool>)> = BTreeSet::new();
    let mut fleets = Vec::new();
    for first in &ready {
        if !seen_agents.insert(*first) {
            continue;
        }
        let region = &index.agents[*first].spec.region;
        let mut fleet = vec![*first];
        let mut at = 0;
        while let Some(agent) = fleet.get(at) {
            at += 1;
            for pool in &index.agents[*agent].pools {
                if seen_pools.insert((region.as_str(), *pool)) {
                    let members = index.pools[*pool]
                        .members
                        .iter()
                        .filter(|member| ready.contains(member));
                    let near = members.filter(|member| index.agents[**member].spec.region == *region);
                    fleet.extend(near.filter(|member| seen_agents.insert(**member)));
                }
            }
        }
        fleets.push(fleet);
    }
    fleets
}

/// The balancing of one fleet.
struct Round<'a> {
    index: &'a mut Index,
    band: Band,
    now: Millis,
    limits: &'a Limits,
    moved: &'a mut Vec<Slot<Task>>,
    left: usize,
}

impl Round<'_> {
    /// Agents above the band give, the most loaded first, each to the least loaded that can take.
    fn relieve(&mut self, fleet: &[Slot<Agent>]) {
        let mut by_load = self.by_load(fleet);
        while self.left > 0 {
            let Some(from) = by_load.last().copied().filter(|from| self.is_above(from.slot)) else {
                return;
            };
            let partners = by_load.iter().filter(|to| to.slot != from.slot).take(PARTNERS);
            let found = partners
                .copied()
                .find_map(|to| Some((to, self.choose(from.slot, to.slot)?)));
            by_load.remove(&from);
            if let Some((to, task)) = found.filter(|(to, _)| !self.is_busy(from.slot) && !self.is_busy(to.slot)) {
                by_load.remove(&to);
                self.plan(task, to.slot);
                by_load.extend([self.ranked(from.slot), self.ranked(to.slot)]);
            } // else it stays out: nobody takes anything from it now
        }
    }

    /// Agents below the band take, the least loaded first, each from the most loaded that can give.
    fn fill(&mut self, fleet: &[Slot<Agent>]) {
        let mut by_load = self.by_load(fleet);
        while self.left > 0 {
            let Some(to) = by_load.first().copied().filter(|to| self.is_below(to.slot)) else {
                return;
            };
            let partners = by_load.iter().rev().filter(|from| from.slot != to.slot).take(PARTNERS);
            let found = partners
                .copied()
                .find_map(|from| Some((from, self.choose(from.slot, to.slot)?)));
            by_load.remove(&to);
            if let Some((from, task)) = found.filter(|(from, _)| !self.is_busy(from.slot) && !self.is_busy(to.slot)) {
                by_load.remove(&from);
                self.plan(task, to.slot);
                by_load.extend([self.ranked(from.slot), self.ranked(to.slot)]);
            }
        }
    }

    /// The task that goes from one agent to the other, if any can: neither leaves the band by it on the far side. Among those the
    /// one that does not bring tasks of its connector together, and then the costliest, for fewest moves.
    fn choose(&self, from: Slot<Agent>, to: Slot<Agent>) -> Option<Slot<Task>> {
        let (giver, taker) = (&self.index.agents[from], &self.index.agents[to]);
        if taker.free_slots() == 0 {
            return None;
        }
        let spare = giver.load.saturating_sub(self.band.lower(giver));
        let room = self.band.upper(taker).saturating_sub(taker.load);
        let most = spare.min(room);
        if most == 0 {
            return None; // most pairs end here
        }
        let fits = giver
            .tasks
            .iter()
            .copied()
            .filter(|task| u64::from(self.index.tasks[*task].cost.units()) <= most);
        let may_go = fits.filter(|task| self.is_movable(*task) && is_allowed(self.index, *task, to));
        may_go.min_by_key(|slot| {
            let task = &self.index.tasks[*slot];
            let connector = &self.index.connectors[task.connector];
            let spreads = !task.key.is_instance();
            let meets_on_agent = spreads && connector.on_agent.get(to) >= connector.on_agent.get(from);
            let meets_in_zone = spreads
                && giver.zone != taker.zone
                && connector.in_zone.get(taker.zone) >= connector.in_zone.get(giver.zone);
            let is_preferred = |agent: &Agent| connector.prefers.as_ref() == Some(&agent.spec.zone);
            let leaves_home = is_preferred(giver) && !is_preferred(taker);
            (meets_on_agent, meets_in_zone, leaves_home, Reverse(task.cost), task.key)
        })
    }

    fn plan(&mut self, task: Slot<Task>, to: Slot<Agent>) {
        self.index.set_target(task, Some(to));
        self.index.tasks[task].moved = Some(self.now);
        self.moved.push(task);
        self.left -= 1;
    }

    /// Whether balance may move a task now: it runs where it should, long enough, and was not moved lately.
    fn is_movable(&self, task: Slot<Task>) -> bool {
        let task = &self.index.tasks[task];
        let Start::Running { since } = task.start else {
            return false;
        };
        task.owner == task.target
            && self.now.since(since) >= SETTLED_MS
            && task.moved.is_none_or(|moved| self.now.since(moved) >= REST_MS)
            && self.index.connectors[task.connector].movable
    }

    /// Whether it takes part in as many moves as it may. Whoever suits it best waits for it: another partner now would mean one
    /// more move later.
    fn is_busy(&self, agent: Slot<Agent>) -> bool {
        let agent = &self.index.agents[agent];
        agent.moves_in + agent.moves_out >= self.limits.moves_per_agent
    }

    fn is_above(&self, agent: Slot<Agent>) -> bool {
        let agent = &self.index.agents[agent];
        agent.load > self.band.upper(agent)
    }

    fn is_below(&self, agent: Slot<Agent>) -> bool {
        let agent = &self.index.agents[agent];
        agent.load < self.band.lower(agent)
    }

    fn by_load(&self, fleet: &[Slot<Agent>]) -> BTreeSet<Ranked> {
        fleet.iter().map(|agent| self.ranked(*agent)).collect()
    }

    fn ranked(&self, slot: Slot<Agent>) -> Ranked {
        let agent = &self.index.agents[slot];
        Ranked {
            ratio: agent.ratio(),
            number: agent.spec.number,
            slot,
        }
    }
}
