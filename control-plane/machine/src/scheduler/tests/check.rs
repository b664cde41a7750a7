//! The index, compared with what the tasks and agents alone say.

use super::super::index::*;
use super::super::pools::fulfils;
use super::super::records::*;
use super::super::slab::Slot;
use dray_model::TaskKey;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn check(index: &Index) {
    for (slot, agent) in index.agents.iter() {
        check_agent(index, slot, agent);
    }
    check_pools(index);
    check_connectors(index);
    for (slot, zone) in index.zones.iter() {
        let expected = |agent: &&Agent| {
            agent.zone == slot
                && agent.spec.policy != dray_model::AgentPolicy::Removed
                && !matches!(agent.link, Link::Held { .. } | Link::Left { .. })
        };
        let there: Vec<_> = index.agents.iter().map(|(_, agent)| agent).filter(expected).collect();
        let silent = there
            .iter()
            .filter(|agent| matches!(agent.link, Link::Silent | Link::Lost { .. }))
            .count();
        assert_eq!(
            (zone.expected as usize, zone.silent as usize),
            (there.len(), silent),
            "zone {}",
            zone.zone
        );
    }
}

fn check_agent(index: &Index, slot: Slot<Agent>, agent: &Agent) {
    let tasks: Vec<_> = index.tasks.iter().collect();
    let count = |of: &dyn Fn(&Task) -> bool| tasks.iter().filter(|(_, task)| of(task)).count();
    let mine: BTreeSet<_> = tasks
        .iter()
        .filter(|(_, task)| task.target == Some(slot))
        .map(|(task, _)| *task)
        .collect();
    assert_eq!(
        agent.tasks.iter().copied().collect::<BTreeSet<_>>(),
        mine,
        "tasks of {}",
        agent.spec.number
    );
    assert_eq!(agent.tasks.len(), mine.len());
    let load: u64 = mine.iter().map(|task| u64::from(index.tasks[*task].cost.units())).sum();
    assert_eq!(agent.load, load, "load of {}", agent.spec.number);
    let here = Some(slot);
    assert_eq!(
        agent.owns as usize,
        count(&|task| task.owner == here),
        "owned by {}",
        agent.spec.number
    );
    let moves = |task: &Task| task.owner.is_some() && task.target.is_some() && task.owner != task.target;
    assert_eq!(
        agent.moves_out as usize,
        count(&|task| moves(task) && task.owner == here),
        "moves out of {}",
        agent.spec.number
    );
    assert_eq!(
        agent.moves_in as usize,
        count(&|task| moves(task) && task.target == here),
        "moves into {}",
        agent.spec.number
    );
    let starting = count(&|task| task.start == Start::Assigned && task.target == here);
    assert_eq!(agent.starting as usize, starting, "starts on {}", agent.spec.number);
    assert_eq!(index.zones[agent.zone].zone, agent.spec.zone);
    assert_eq!(index.zones[agent.zone].region, agent.spec.region);
    assert_eq!(index.by_number.get(&agent.spec.number), Some(&slot));
    assert!(
        agent
            .refused
            .iter()
            .all(|needs| index.needs.iter().any(|(known, _)| known == *needs))
    );
}

fn check_pools(index: &Index) {
    let mut seen = BTreeSet::new();
    for (slot, pool) in index.pools.iter() {
        assert!(!pool.needs.is_empty(), "a pool that nobody needs");
        assert!(seen.insert(&pool.members), "two pools with the same members");
        for needs in &pool.needs {
            assert_eq!(index.needs[*needs].pool, slot);
        }
        for (agent, record) in index.agents.iter() {
            assert_eq!(
                pool.members.contains(&agent),
                record.pools.contains(&slot),
                "agent {} and its pools",
                record.spec.number
            );
        }
        let mut open: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for member in &pool.members {
            let agent = &index.agents[*member];
            if agent.is_ready() && agent.free_slots() > 0 {
                let ranked = Ranked {
                    ratio: agent.ratio(),
                    number: agent.spec.number,
                    slot: *member,
                };
                open.entry(agent.zone).or_default().insert(ranked);
            }
        }
        let kept: BTreeMap<_, _> = pool
            .open
            .iter()
            .filter(|(_, agents)| !agents.is_empty())
            .cloned()
            .collect();
        assert_eq!(kept, open, "the order of a pool");
    }
    for (slot, record) in index.needs.iter() {
        let able: BTreeSet<_> = index
            .agents
            .iter()
            .filter(|(_, agent)| fulfils(&agent.spec, &record.needs))
            .map(|(agent, _)| agent)
            .collect();
        assert_eq!(
            index.pools[record.pool].members, able,
            "the agents that fulfil {:?}",
            record.needs
        );
        assert!(index.pools[record.pool].needs.contains(&slot));
        assert_eq!(index.by_needs.get(&record.needs), Some(&slot));
        assert_eq!(index.parked.contains(&slot), !record.parked.is_empty());
        let parked: BTreeMap<_, _> = index
            .tasks
            .iter()
            .filter(|(_, task)| task.parked && index.connectors[task.connector].needs == slot)
            .map(|(slot, task)| ((Reverse(task.cost), task.key), slot))
            .collect();
        assert_eq!(record.parked, parked);
        let connectors = index
            .connectors
            .iter()
            .filter(|(_, connector)| connector.needs == slot)
            .count();
        assert_eq!(record.connectors as usize, connectors);
    }
    assert_eq!(index.by_needs.len(), index.needs.len());
}

fn check_connectors(index: &Index) {
    for (slot, task) in index.tasks.iter() {
        assert_ne!(
            task.target.is_some(),
            task.parked,
            "{:?} is placed or its reason is listed",
            task.key
        );
        assert_eq!(index.task(task.key), Some(slot));
        assert!(task.start == Start::Idle || task.target.is_some());
    }
    for (slot, connector) in index.connectors.iter() {
        let (mut on_agent, mut in_zone) = (BTreeMap::new(), BTreeMap::new());
        for (number, task) in &connector.tasks {
            if let (Some(target), true) = (index.tasks[*task].target, *number != TaskKey::INSTANCE) {
                *on_agent.entry(target).or_insert(0) += 1;
                *in_zone.entry(index.agents[target].zone).or_insert(0) += 1;
            }
        }
        assert_eq!(connector.on_agent.iter().copied().collect::<BTreeMap<_, _>>(), on_agent);
        assert_eq!(connector.in_zone.iter().copied().collect::<BTreeMap<_, _>>(), in_zone);
        assert_eq!(index.by_uid.get(&connector.uid), Some(&slot));
        assert!(
            connector
                .refused
                .iter()
                .all(|agent| index.agents.iter().any(|(known, _)| known == *agent))
        );
    }
    let tasks: usize = index
        .connectors
        .iter()
        .map(|(_, connector)| connector.tasks.len())
        .sum();
    assert_eq!(tasks, index.tasks.len());
}
