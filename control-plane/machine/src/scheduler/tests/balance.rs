//! Properties of balance alone: random agents and running tasks, without limits, in one call.

use super::super::rebalance::{Band, fleets, rebalance};
use super::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// What agents carry and whose each task is, before and after.
#[derive(Debug)]
struct Case {
    /// Capacity, and zone.
    agents: Vec<(u32, u32)>,
    /// Cost, agent, connector.
    tasks: Vec<(u32, usize, u64)>,
}

fn cases(costs: &'static [u32]) -> impl Strategy<Value = Case> {
    let agents = prop::collection::vec((prop::sample::select(vec![8_000_u32, 20_000, 40_000]), 0..3_u32), 2..10);
    agents.prop_flat_map(move |agents| {
        let task = (prop::sample::select(costs), 0..agents.len(), 1..6_u64);
        let tasks = prop::collection::vec(task, 0..80);
        tasks.prop_map(move |tasks| Case {
            agents: agents.clone(),
            tasks,
        })
    })
}

/// A world in which every task has run on its agent for a minute, whatever the agent's capacity.
fn running(case: &Case) -> World {
    let mut world = World::with(
        (1..)
            .zip(&case.agents)
            .map(|(at, (units, zone))| agent(at, &zone.to_string(), 1_000, *units)),
    );
    let mut sets: BTreeMap<u64, TaskSet> = BTreeMap::new();
    for (units, at, connector) in &case.tasks {
        let tasks = &mut sets.entry(*connector).or_insert_with(|| set(*connector, &[])).tasks;
        let owner = Some(number(u32::try_from(*at).unwrap() + 1));
        tasks.push(TaskInput {
            number: u32::try_from(tasks.len()).unwrap(),
            cost: cost(*units),
            owner,
        });
    }
    for set in sets.into_values() {
        let owners: Vec<_> = set
            .tasks
            .iter()
            .map(|task| (task.number, task.owner.unwrap()))
            .collect();
        let connector = set.connector;
        assert_eq!(
            world.tell(Event::Published(set)),
            vec![],
            "an owner that the store names is kept"
        );
        for (number, agent) in owners {
            world.tell(Event::Running {
                task: TaskKey { connector, number },
                agent,
            });
        }
    }
    world.now = Millis(60_000);
    world
}

const NO_LIMITS: Limits = Limits {
    moves_per_agent: u32::MAX,
    ..DEFAULT
};
const DEFAULT: Limits = Limits {
    moves_per_agent: 5,
    balance_percent_a_minute: 2,
    balance_a_minute: 60,
    starts_per_agent: 64,
    drain_parallel: 5,
    guarded_recovery_a_second: 100,
};

/// All moves until nothing moves any more: who gave in one round may have room for another in the next.
fn settled(index: &mut Index, now: Millis) -> Vec<Slot<Task>> {
    let mut all = Vec::new();
    for _ in 0..20 {
        let moved = rebalance(index, now, &NO_LIMITS, u64::MAX);
        if moved.is_empty() {
            return all;
        }
        all.extend(moved);
    }
    panic!("balance does not come to an end");
}

/// Runs balance and checks each of its moves; returns how many there were and the tasks outside the band before, above and below.
fn balanced(case: &Case) -> (usize, u64, u64) {
    let mut world = running(case);
    let index = &mut world.scheduler.index;
    let before: BTreeMap<_, _> = index
        .tasks
        .iter()
        .map(|(slot, task)| (slot, task.target.unwrap()))
        .collect();
    let fleets = fleets(index);
    let unit = case.tasks.first().map_or(1, |task| u64::from(task.0));
    let (mut above, mut below) = (0, 0);
    let mut load: BTreeMap<_, _> = BTreeMap::new();
    let mut bands: BTreeMap<_, _> = BTreeMap::new();
    for fleet in &fleets {
        let band = Band::of(index, fleet);
        for slot in fleet {
            let agent = &index.agents[*slot];
            above += agent.load.saturating_sub(band.upper(agent)).div_ceil(unit);
            below += band.lower(agent).saturating_sub(agent.load).div_ceil(unit);
            load.insert(*slot, agent.load);
            bands.insert(*slot, (band.lower(agent), band.upper(agent)));
        }
    }
    let moved = settled(index, world.now);
    check::check(index);
    assert_eq!(
        moved.iter().collect::<BTreeSet<_>>().len(),
        moved.len(),
        "no task moves twice"
    );
    for task in &moved {
        let (from, to) = (before[task], index.tasks[*task].target.unwrap());
        let units = u64::from(index.tasks[*task].cost.units());
        assert!(
            load[&from] > bands[&from].1 || load[&to] < bands[&to].0,
            "a move inside the band"
        );
        *load.get_mut(&from).unwrap() -= units;
        *load.get_mut(&to).unwrap() += units;
        assert!(load[&from] >= bands[&from].0, "the giver falls below the band");
        assert!(load[&to] <= bands[&to].1, "the taker rises above the band");
    }
    (moved.len(), above, below)
}

proptest! {
    #![proptest_config(crate::seeds::same_each_time(400))]

    #[test]
    fn every_move_brings_something_nearer_to_the_band(case in cases(&[500, 1_000, 1_250, 4_000, 9_000])) {
        balanced(&case);
    }

    #[test]
    fn equal_costs_need_no_more_moves_than_tasks_outside_the_band(case in cases(&[1_000])) {
        let (moved, above, below) = balanced(&case);
        prop_assert!(moved as u64 <= above.max(below), "{moved} moves for {above} above and {below} below");
    }

    /// What remains outside the band has nobody who could help, by trying every pair and every task.
    #[test]
    fn balance_stops_only_when_no_move_is_left(case in cases(&[500, 1_000, 1_250, 4_000])) {
        let mut world = running(&case);
        let index = &mut world.scheduler.index;
        let moved: BTreeSet<_> = settled(index, world.now).into_iter().collect();
        let fleets = fleets(index);
        for fleet in &fleets {
            let band = Band::of(index, fleet);
            for (from, to) in fleet.iter().flat_map(|from| fleet.iter().map(move |to| (*from, *to))) {
                let (giver, taker) = (&index.agents[from], &index.agents[to]);
                if from == to || (giver.load <= band.upper(giver) && taker.load >= band.lower(taker)) {
                    continue;
                }
                for task in giver.tasks.iter().filter(|task| !moved.contains(task)) {
                    let units = u64::from(index.tasks[*task].cost.units());
                    let fits = giver.load - units >= band.lower(giver) && taker.load + units <= band.upper(taker);
                    prop_assert!(!fits, "{:?} could go from {} to {}", index.tasks[*task].key, giver.spec.number, taker.spec.number);
                }
            }
        }
    }
}

#[test]
fn the_band() {
    let world = running(&Case {
        agents: vec![(10_000, 0), (30_000, 0)],
        tasks: vec![(1_000, 0, 1); 20],
    });
    let index = &world.scheduler.index;
    let fleet = fleets(index).remove(0);
    let band = Band::of(index, &fleet);
    let edges: Vec<_> = fleet
        .iter()
        .map(|slot| (band.lower(&index.agents[*slot]), band.upper(&index.agents[*slot])))
        .collect();
    // The mean is a half.
    assert_eq!(edges, [(4_500, 5_500), (13_500, 16_500)]);
}
