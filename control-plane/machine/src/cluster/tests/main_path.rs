//! What happens on an ordinary day, and when an agent or a leader dies.

use super::world::*;
use dray_model::TargetState;

/// Two agents and two connectors with tasks.
pub(crate) fn world() -> World {
    let mut world = World::new();
    world.start("a");
    world.start("b");
    world.create("one", &[("connector.class", "org.example.Source"), ("tasks", "3")]);
    world.create("two", &[("connector.class", "Source"), ("tasks", "2")]);
    world.pass(1_000);
    world
}

/// Every task of a connector runs on one agent, and is shown so.
pub(crate) fn assert_runs(world: &World, connector: &str, tasks: u32) {
    let running = world.running(connector);
    let numbers: Vec<i64> = running.keys().copied().collect();
    assert_eq!(numbers, (-1..i64::from(tasks)).collect::<Vec<_>>(), "{running:?}");
    assert!(running.values().all(|agents| agents.len() == 1), "{running:?}");
    assert_eq!(world.state(connector), "RUNNING ");
    for number in 0..tasks {
        assert_eq!(world.task_state(connector, number), "RUNNING ", "task {number}");
    }
}

#[test]
fn connectors_are_created_and_run() {
    let world = world();
    assert_runs(&world, "one", 3);
    assert_runs(&world, "two", 2);
    assert!(world.resigned.is_none());
}

#[test]
fn tasks_of_a_dead_agent_run_elsewhere() {
    let mut world = world();
    world.freeze("a");
    let from = world.said.len();
    world.pass(1_500);
    world.agents.get_mut("a").unwrap().die();
    assert_runs(&world, "one", 3);
    assert_runs(&world, "two", 2);
    assert!(!world.assignments("b", from).is_empty());
}

#[test]
fn a_connector_is_paused_and_resumed() {
    let mut world = world();
    let generation = world.owner("one", 0).unwrap().generation;
    world.change("one", |spec| spec.target = TargetState::Paused);
    assert_eq!(world.state("one"), "PAUSED ");
    assert_eq!(world.task_state("one", 0), "PAUSED ");
    world.change("one", |spec| spec.target = TargetState::Started);
    assert_runs(&world, "one", 3);
    assert_eq!(world.owner("one", 0).unwrap().generation, generation);
}

#[test]
fn a_connector_is_stopped_and_started() {
    let mut world = world();
    world.change("one", |spec| spec.target = TargetState::Stopped);
    world.pass(100);
    assert_eq!(world.state("one"), "STOPPED ");
    assert!(world.running("one").is_empty());
    assert_eq!(world.task_state("one", 0), "none");
    world.change("one", |spec| spec.target = TargetState::Started);
    world.pass(100);
    assert_runs(&world, "one", 3);
}

#[test]
fn a_connector_is_deleted_and_created_anew() {
    let mut world = world();
    world.change("one", |spec| spec.deleting = true);
    world.pass(100);
    assert_eq!(world.state("one"), "none");
    let left: Vec<_> = world
        .store
        .keys()
        .filter(|key| format!("{key:?}").contains("\"one\""))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    world.create("one", &[("connector.class", "Source"), ("tasks", "1")]);
    world.pass(100);
    assert_runs(&world, "one", 1);
}

#[test]
fn a_changed_configuration_restarts_what_it_changes() {
    let mut world = world();
    let before: Vec<_> = (0..3)
        .map(|number| world.owner("one", number).unwrap().generation)
        .collect();
    // Only what the instance wants changes: tasks have their shares, and not this key.
    world.configure(
        "one",
        &[
            ("connector.class", "org.example.Source"),
            ("tasks", "0,9,2,3"),
            ("tasks.max", "4"),
        ],
    );
    world.pass(200);
    assert_eq!(world.running("one").len(), 5);
    let after: Vec<_> = (0..3)
        .map(|number| world.owner("one", number).unwrap().generation)
        .collect();
    assert_ne!(before[1], after[1]);
}

#[test]
fn a_new_leader_keeps_what_is_held() {
    let mut world = world();
    let before: Vec<_> = world.agents.values().map(|agent| agent.running.clone()).collect();
    let from = world.said.len();
    world.elect();
    world.pass(20_000);
    assert_runs(&world, "one", 3);
    assert_runs(&world, "two", 2);
    let after: Vec<_> = world.agents.values().map(|agent| agent.running.clone()).collect();
    assert_eq!(before, after);
    assert!(world.assignments("a", from).is_empty() && world.assignments("b", from).is_empty());
}
