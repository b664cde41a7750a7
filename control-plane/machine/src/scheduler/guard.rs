//! Recovery of the tasks of lost agents, and what holds it back. One agent that is lost is recovered at once. When most of a zone
//! is silent, the network is a likelier cause than the agents, so its tasks go slowly; when everything is silent, it is we who
//! are cut off, and nothing goes.

use super::event::Limits;
use super::index::Index;
use super::records::{Agent, Link, Task, ZoneRecord};
use super::slab::Slot;
use dray_model::{AgentNumber, Millis};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// A zone of fewer agents is never guarded: two of three agents are soon lost, and their tasks must not wait for it.
const GUARDED_FROM: u32 = 10;
/// A zone is guarded when more than this share of its agents is silent, in percent.
const PARTIAL_ABOVE: u32 = 55;

/// How much of a zone is silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ZoneState {
    /// Few agents, or it is a small zone.
    Normal,
    /// More than 55 %.
    Partial,
    /// Every agent.
    Full,
}

/// The lost agents that still have tasks, by zone.
pub(super) struct Guard {
    zones: BTreeMap<Slot<ZoneRecord>, Recovery>,
}

/// What is still to be recovered in a zone, and how much of it may be now. The bucket outlives the agents: a zone that loses them
/// one by one is not any faster.
#[derive(Default)]
struct Recovery {
    bucket: Bucket,
    agents: BTreeSet<(AgentNumber, Slot<Agent>)>,
}

impl Guard {
    pub(super) fn new() -> Self {
        Self { zones: BTreeMap::new() }
    }

    /// Notes that the tasks of a lost agent are free.
    pub(super) fn add(&mut self, index: &Index, agent: Slot<Agent>) {
        let record = &index.agents[agent];
        self.zones
            .entry(record.zone)
            .or_default()
            .agents
            .insert((record.spec.number, agent));
    }

    /// An agent is no more. While everything is silent, nobody took it from the list.
    pub(super) fn forget(&mut self, agent: Slot<Agent>) {
        for zone in self.zones.values_mut() {
            zone.agents.retain(|(_, known)| *known != agent);
        }
    }

    /// The tasks that may be given to other agents now. Agents that came back keep what they still have.
    pub(super) fn release(&mut self, index: &Index, now: Millis, limits: &Limits) -> Vec<Slot<Task>> {
        let mut released = Vec::new();
        if self.zones.values().all(|zone| zone.agents.is_empty()) || all_silent(index) {
            return released;
        }
        for (zone, Recovery { bucket, agents }) in &mut self.zones {
            let rate = u64::from(limits.guarded_recovery_a_second);
            let mut allowed = match zone_state(&index.zones[*zone]) {
                ZoneState::Normal => u64::MAX,
                ZoneState::Partial | ZoneState::Full => bucket.fill(now, rate * 60, rate),
            };
            agents.retain(|(_, agent)| {
                let agent = &index.agents[*agent];
                if !matches!(agent.link, Link::Lost { .. }) {
                    return false;
                }
                let mut tasks: Vec<_> = agent.tasks.clone();
                if (tasks.len() as u64) > allowed {
                    tasks.sort_unstable_by_key(|task| (Reverse(index.tasks[*task].cost), index.tasks[*task].key));
                    tasks.truncate(usize::try_from(allowed).unwrap_or(usize::MAX));
                }
                allowed -= tasks.len() as u64;
                bucket.take(tasks.len() as u64);
                released.extend(&tasks);
                tasks.len() < agent.tasks.len()
            });
        }
        released
    }
}

/// How much of a zone is silent.
pub(super) fn zone_state(zone: &ZoneRecord) -> ZoneState {
    if zone.expected < GUARDED_FROM || zone.silent * 100 <= zone.expected * PARTIAL_ABOVE {
        ZoneState::Normal
    } else if zone.silent < zone.expected {
        ZoneState::Partial
    } else {
        ZoneState::Full
    }
}

/// Whether no agent can be heard at all, however few there are.
pub(super) fn all_silent(index: &Index) -> bool {
    index.zones.iter().all(|(_, zone)| zone.silent == zone.expected)
}

/// So many a minute, saved up to a limit. Counts in 60,000ths, so that no millisecond is lost by rounding.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bucket {
    saved: u64,
    filled: Option<Millis>,
}

impl Bucket {
    const ONE: u64 = 60_000;

    /// Adds what has accrued at this rate since the last call and returns how many there are now. It begins full.
    pub(super) fn fill(&mut self, now: Millis, a_minute: u64, at_most: u64) -> u64 {
        let most = at_most * Self::ONE;
        self.saved = match self.filled.replace(now) {
            None => most,
            Some(before) => self
                .saved
                .saturating_add(now.since(before).saturating_mul(a_minute))
                .min(most),
        };
        self.saved / Self::ONE
    }

    /// Takes so many of them.
    pub(super) fn take(&mut self, count: u64) {
        self.saved = self.saved.saturating_sub(count.saturating_mul(Self::ONE));
    }
}
