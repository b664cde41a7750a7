//! What the scheduler knows of one agent, task, connector, or kind of needs.

use super::event::{AgentSpec, Needs};
use super::guard::Bucket;
use super::slab::Slot;
use dray_model::{AgentNumber, AgentPolicy, ConnectorUid, Cost, Millis, Region, TaskKey, Zone};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::num::NonZeroU32;

/// Whether an agent can be talked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    Connected,
    Silent,
    /// It left and wants to be back by then.
    Held {
        until: Millis,
    },
    /// Its tasks are free, because it was silent for too long.
    Lost {
        since: Millis,
    },
    /// Its tasks are free, because it said good-bye.
    Left {
        since: Millis,
    },
}

/// An agent.
#[derive(Debug)]
pub(super) struct Agent {
    pub(super) spec: AgentSpec,
    pub(super) zone: Slot<ZoneRecord>,
    pub(super) link: Link,
    /// The tasks that it shall run, in no order, and what they cost together.
    pub(super) tasks: Vec<Slot<Task>>,
    pub(super) load: u64,
    /// The pools that it belongs to.
    pub(super) pools: Vec<Slot<Pool>>,
    /// The ratio under which its pools list it; `None`: it is not to be given tasks, or has no free slot.
    pub(super) ranked: Option<u64>,
    /// What it refused to run.
    pub(super) refused: Vec<Slot<NeedsRecord>>,
    /// How many tasks name it as their owner.
    pub(super) owns: u32,
    /// Moves in flight: tasks that it owns and another shall, and the other way round.
    pub(super) moves_out: u32,
    pub(super) moves_in: u32,
    /// Starts in progress, and the tasks that wait for one of them to end.
    pub(super) starting: u32,
    pub(super) queued: VecDeque<TaskKey>,
}

/// A task, or the instance of a connector.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) key: TaskKey,
    pub(super) connector: Slot<Connector>,
    pub(super) cost: Cost,
    /// Who shall run it. Its cost counts here from the moment this is decided, or one event could fill an agent twice.
    pub(super) target: Option<Slot<Agent>>,
    /// Its place in `tasks` of the target.
    pub(super) position: u32,
    /// Whom the store names as the owner.
    pub(super) owner: Option<Slot<Agent>>,
    /// Whether no agent could run it: it is then among the parked ones of its needs.
    pub(super) parked: bool,
    pub(super) start: Start,
    /// When balance moved it last.
    pub(super) moved: Option<Millis>,
}

/// How far a task has come at its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// Nothing was asked for yet, or the start failed.
    Idle,
    /// It waits until the agent has fewer starts in progress.
    Queued,
    /// [`super::Decision::Assign`] went out.
    Assigned,
    /// The agent reports it as running.
    Running { since: Millis },
}

/// A connector.
pub(super) struct Connector {
    pub(super) uid: ConnectorUid,
    pub(super) needs: Slot<NeedsRecord>,
    pub(super) prefers: Option<Zone>,
    pub(super) movable: bool,
    /// Its start rate, what of it is left, and the tasks that wait for more.
    pub(super) starts_a_second: Option<NonZeroU32>,
    pub(super) starts: Bucket,
    pub(super) paced: VecDeque<TaskKey>,
    /// By number.
    pub(super) tasks: BTreeMap<u32, Slot<Task>>,
    /// How many of its tasks each agent and each zone shall run. Its instance is none of them: beside it every task would go elsewhere.
    pub(super) on_agent: Counts<Agent>,
    pub(super) in_zone: Counts<ZoneRecord>,
    /// Agents that refused it.
    pub(super) refused: Vec<Slot<Agent>>,
}

/// Needs that connectors share.
pub(super) struct NeedsRecord {
    pub(super) needs: Needs,
    pub(super) pool: Slot<Pool>,
    /// Connectors with these needs.
    pub(super) connectors: u32,
    /// Tasks that no agent could run, the costliest first.
    pub(super) parked: BTreeMap<(Reverse<Cost>, TaskKey), Slot<Task>>,
}

/// The agents that have what certain needs ask for. Needs that the same agents fulfil share one pool, so an agent is in as many
/// pools as there are kinds of tasks that other agents cannot run: one or two as a rule.
#[derive(Default)]
pub(super) struct Pool {
    pub(super) needs: Vec<Slot<NeedsRecord>>,
    /// All agents, whatever their state.
    pub(super) members: BTreeSet<Slot<Agent>>,
    /// Those that can be given tasks, by zone, the least loaded first.
    pub(super) open: Vec<(Slot<ZoneRecord>, BTreeSet<Ranked>)>,
}

/// The place of an agent among others: by load, then by number so that equal inputs give equal answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ranked {
    pub(super) ratio: u64,
    pub(super) number: AgentNumber,
    pub(super) slot: Slot<Agent>,
}

/// A zone of a region.
pub(super) struct ZoneRecord {
    pub(super) region: Region,
    pub(super) zone: Zone,
    /// Agents that should be there, and those of them that are not.
    pub(super) expected: u32,
    pub(super) silent: u32,
}

/// A few counters, sorted: most connectors have ten tasks, and a search among ten is quicker than a hash.
pub(super) struct Counts<T>(Vec<(Slot<T>, u32)>);

impl<T> Counts<T> {
    pub(super) fn new() -> Self {
        Self(Vec::new())
    }

    pub(super) fn get(&self, of: Slot<T>) -> u32 {
        self.0
            .binary_search_by_key(&of, |(slot, _)| *slot)
            .map_or(0, |at| self.0[at].1)
    }

    pub(super) fn add(&mut self, of: Slot<T>) {
        match self.0.binary_search_by_key(&of, |(slot, _)| *slot) {
            Ok(at) => self.0[at].1 += 1,
            Err(at) => self.0.insert(at, (of, 1)),
        }
    }

    pub(super) fn remove(&mut self, of: Slot<T>) {
        let at = self
            .0
            .binary_search_by_key(&of, |(slot, _)| *slot)
            .expect("only what was added is removed");
        self.0[at].1 -= 1;
        if self.0[at].1 == 0 {
            self.0.remove(at);
        }
    }

    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = &(Slot<T>, u32)> {
        self.0.iter()
    }
}

impl Agent {
    pub(super) fn new(spec: AgentSpec, zone: Slot<ZoneRecord>, link: Link) -> Self {
        Self {
            spec,
            zone,
            link,
            tasks: Vec::new(),
            load: 0,
            pools: Vec::new(),
            ranked: None,
            refused: Vec::new(),
            owns: 0,
            moves_out: 0,
            moves_in: 0,
            starting: 0,
            queued: VecDeque::new(),
        }
    }

    /// Whether it may be given tasks.
    pub(super) fn is_ready(&self) -> bool {
        self.link == Link::Connected && self.spec.policy == AgentPolicy::Active
    }

    pub(super) fn capacity(&self) -> u64 {
        u64::from(self.spec.capacity.cost.get())
    }

    pub(super) fn free_slots(&self) -> usize {
        (self.spec.capacity.slots.get() as usize).saturating_sub(self.tasks.len())
    }

    /// Whether there is room for one more task of this cost.
    pub(super) fn has_room(&self, cost: Cost) -> bool {
        self.free_slots() > 0 && self.load + u64::from(cost.units()) <= self.capacity()
    }

    /// Load by capacity, as an integer: 2^24 is a full agent. Loads are below 2^40, so nothing overflows.
    pub(super) fn ratio(&self) -> u64 {
        (self.load << 24) / self.capacity()
    }

    pub(super) fn is_silent(&self) -> bool {
        matches!(self.link, Link::Silent | Link::Lost { .. })
    }

    /// Whether the guard counts it: not when its absence is intended.
    pub(super) fn is_expected(&self) -> bool {
        self.spec.policy != AgentPolicy::Removed && !matches!(self.link, Link::Held { .. } | Link::Left { .. })
    }
}

impl Connector {
    /// How many of its tasks may start now, at this rate.
    pub(super) fn allowed(&mut self, now: Millis, rate: NonZeroU32) -> u64 {
        let rate = u64::from(rate.get());
        self.starts.fill(now, rate * 60, rate)
    }
}

impl Pool {
    pub(super) fn zone(&mut self, zone: Slot<ZoneRecord>) -> &mut BTreeSet<Ranked> {
        let at = match self.open.iter().position(|(known, _)| *known == zone) {
            Some(at) => at,
            None => {
                self.open.push((zone, BTreeSet::new()));
                self.open.len() - 1
            }
        };
        &mut self.open[at].1
    }
}
