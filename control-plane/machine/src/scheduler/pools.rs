//! Which agents fulfil which needs. Changes only when an agent says something new about itself or needs appear or go, never when
//! a task is placed.

use super::class::is_named;
use super::event::{AgentSpec, Needs, Unplaced};
use super::index::Index;
use super::records::{Agent, NeedsRecord, Pool};
use super::slab::Slot;
use std::collections::{BTreeMap, BTreeSet};

/// Whether an agent has what is needed, whatever its state and load.
pub(super) fn fulfils(agent: &AgentSpec, needs: &Needs) -> bool {
    first_lack(&[agent], needs).is_none()
}

/// The first condition of `needs` that none of the agents fulfils, asked one after the other of those that are left.
pub(super) fn first_lack(agents: &[&AgentSpec], needs: &Needs) -> Option<Unplaced> {
    if agents.is_empty() {
        return Some(Unplaced::NoAgent);
    }
    let in_region = |agent: &AgentSpec| needs.regions.is_empty() || needs.regions.contains(&agent.region);
    let agents: Vec<_> = agents.iter().filter(|agent| in_region(agent)).collect();
    if agents.is_empty() {
        return Some(Unplaced::NoRegion {
            regions: needs.regions.clone(),
        });
    }
    let mut able = agents.clone();
    for (class, range) in &needs.plugins {
        let has = |agent: &AgentSpec, any_version: bool| {
            let will_do = |version| any_version || range.as_ref().is_none_or(|range| range.contains(version));
            agent
                .plugins
                .iter()
                .any(|(known, version)| is_named(known.as_str(), class.as_str()) && will_do(version))
        };
        if !agents.iter().any(|agent| has(agent, true)) {
            return Some(Unplaced::NoPlugin { class: class.clone() });
        }
        if let Some(range) = range
            && !agents.iter().any(|agent| has(agent, false))
        {
            return Some(Unplaced::NoVersion {
                class: class.clone(),
                range: range.clone(),
            });
        }
        able.retain(|agent| has(agent, false));
    }
    if able.is_empty() {
        return Some(Unplaced::NoAgentWithAllPlugins);
    }
    let fits = able.iter().any(|agent| needs.selector.fits(&agent.labels));
    (!fits).then(|| Unplaced::NoLabels {
        selector: needs.selector.clone(),
    })
}

impl Index {
    /// Puts an agent into the pools whose needs it fulfils. A pool of which it fulfils only some needs is split.
    pub(super) fn join_pools(&mut self, slot: Slot<Agent>) {
        for pool in self.pools.slots() {
            let spec = &self.agents[slot].spec;
            let (met, unmet): (Vec<_>, Vec<_>) = self.pools[pool]
                .needs
                .iter()
                .copied()
                .partition(|needs| fulfils(spec, &self.needs[*needs].needs));
            if met.is_empty() {
                continue;
            }
            let joined = if unmet.is_empty() {
                pool
            } else {
                self.pools[pool].needs = unmet;
                let members = self.pools[pool].members.clone();
                self.new_pool(met, members)
            };
            self.pools[joined].members.insert(slot);
            self.agents[slot].pools.push(joined);
        }
        self.rank(slot);
    }

    /// Takes an agent out of its pools. Pools that have the same members now become one, or every odd agent that ever was would
    /// leave one more pool to keep in order.
    pub(super) fn leave_pools(&mut self, slot: Slot<Agent>) {
        self.unrank(slot);
        for pool in std::mem::take(&mut self.agents[slot].pools) {
            self.pools[pool].members.remove(&slot);
            self.merge_pool(pool);
        }
    }

    /// The record of these needs, made if they are new: then every agent is asked once.
    pub(super) fn add_needs(&mut self, needs: Needs) -> Slot<NeedsRecord> {
        if let Some(known) = self.by_needs.get(&needs) {
            self.needs[*known].connectors += 1;
            return *known;
        }
        let members: BTreeSet<_> = self
            .agents
            .iter()
            .filter(|(_, agent)| fulfils(&agent.spec, &needs))
            .map(|(slot, _)| slot)
            .collect();
        let pool = self
            .pools
            .iter()
            .find(|(_, pool)| pool.members == members)
            .map(|(slot, _)| slot);
        let pool = pool.unwrap_or_else(|| self.new_pool(Vec::new(), members));
        let slot = self.needs.insert(NeedsRecord {
            needs: needs.clone(),
            pool,
            connectors: 1,
            parked: BTreeMap::new(),
        });
        self.pools[pool].needs.push(slot);
        self.by_needs.insert(needs, slot);
        slot
    }

    /// One connector less has these needs; without any they are forgotten.
    pub(super) fn drop_needs(&mut self, slot: Slot<NeedsRecord>) {
        self.needs[slot].connectors -= 1;
        if self.needs[slot].connectors > 0 {
            return;
        }
        let record = self.needs.remove(slot);
        self.by_needs.remove(&record.needs);
        for agent in self.agents.slots() {
            self.agents[agent].refused.retain(|refused| *refused != slot);
        }
        let pool = &mut self.pools[record.pool];
        pool.needs.retain(|needs| *needs != slot);
        if pool.needs.is_empty() {
            let pool = self.pools.remove(record.pool);
            for member in pool.members {
                self.agents[member].pools.retain(|of| *of != record.pool);
            }
        }
    }

    fn new_pool(&mut self, needs: Vec<Slot<NeedsRecord>>, members: BTreeSet<Slot<Agent>>) -> Slot<Pool> {
        let pool = self.pools.insert(Pool {
            needs: needs.clone(),
            members: members.clone(),
            open: Vec::new(),
        });
        for needs in needs {
            self.needs[needs].pool = pool;
        }
        for member in members {
            self.unrank(member);
            self.agents[member].pools.push(pool);
            self.rank(member);
        }
        pool
    }

    fn merge_pool(&mut self, pool: Slot<Pool>) {
        let members = &self.pools[pool].members;
        let twin = self
            .pools
            .iter()
            .find(|(slot, other)| *slot != pool && other.members == *members)
            .map(|(slot, _)| slot);
        let Some(twin) = twin else { return };
        let merged = self.pools.remove(pool);
        for needs in merged.needs {
            self.needs[needs].pool = twin;
            self.pools[twin].needs.push(needs);
        }
        for member in merged.members {
            self.agents[member].pools.retain(|of| *of != pool);
        }
    }
}
