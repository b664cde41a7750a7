//! Starts are limited for each agent; what an agent has already is none.

use super::world::*;
use crate::scheduler::Limits;
use dray_model::message::Order;

/// More tasks than an agent may start at once.
fn many() -> u32 {
    Limits::default().starts_per_agent + 100
}

/// Two agents; the first runs a connector with many tasks.
fn world(recovery: &str) -> World {
    let mut world = World::new();
    world.start("a");
    let tasks = many().to_string();
    let pairs = [
        ("connector.class", "Source"),
        ("tasks", tasks.as_str()),
        ("dray.recovery", recovery),
    ];
    world.create("one", &pairs);
    world.pass(1_000);
    world.start("b");
    assert_eq!(world.agents["a"].running.len(), many() as usize + 1);
    world
}

/// Nothing was stopped or started anywhere since `from`.
fn assert_untouched(world: &World, from: usize) {
    for (id, order) in &world.said[from..] {
        assert!(!matches!(order, Order::Assignments(_)), "{id}: {order:?}");
        if let Order::Welcome(welcome) = order {
            let stop = welcome.verdicts.iter().find(|verdict| !verdict.keep);
            assert_eq!(stop, None, "{id}");
        }
    }
    assert_eq!(world.agents["a"].running.len(), many() as usize + 1);
    for number in 0..many() {
        assert_eq!(world.task_state("one", number), "RUNNING ", "task {number}");
    }
}

#[test]
fn a_new_leader_takes_nothing_that_runs_for_a_start() {
    let mut world = world("fenced");
    let from = world.said.len();
    world.elect();
    world.pass(2_000);
    assert_untouched(&world, from);
}

#[test]
fn who_is_heard_again_in_time_starts_nothing() {
    let mut world = world("strict");
    let from = world.said.len();
    // Lost, and its tasks are placed elsewhere; but strict ones are not given away yet.
    world.agent("a").frozen = true;
    world.pass(10_000);
    assert_ne!(world.task_state("one", 7), "RUNNING ");
    world.agent("a").frozen = false;
    world.pass(2_000);
    assert_untouched(&world, from);
}
