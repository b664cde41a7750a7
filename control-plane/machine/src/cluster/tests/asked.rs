//! What people ask for once: a restart is carried out by whoever leads, and nothing starts while offsets are being set.

use super::super::*;
use super::main_path::{assert_runs, world};
use super::world::*;
use dray_model::TargetState;

/// Restarts task 1 and the instance of connector one while its agents cannot be told.
fn restart_unheard(world: &mut World) {
    for id in ["a", "b"] {
        world.disconnect(id);
    }
    world.change("one", |spec| {
        spec.restarts += 1;
        *spec.task_restarts.entry(1).or_default() += 1;
    });
}

#[test]
fn a_restart_outlives_the_leader_that_was_asked_for_it() {
    let mut world = world();
    let generation = |world: &World, number: u32| {
        let key = world.key("one", number);
        world.agents.values().find_map(|agent| agent.running.get(&key)).copied()
    };
    let numbers = [TaskKey::INSTANCE, 0, 1, 2];
    let before = numbers.map(|number| generation(&world, number));
    restart_unheard(&mut world);
    world.elect();
    world.pass(1_000);
    let after = numbers.map(|number| generation(&world, number));
    let restarted: Vec<bool> = before
        .iter()
        .zip(&after)
        .map(|(before, after)| after > before)
        .collect();
    assert_eq!(
        restarted,
        [true, false, true, false],
        "what was asked for, and nothing else"
    );
    assert_runs(&world, "one", 3);

    // It was carried out: the leader after this one has nothing to do.
    let from = world.said.len();
    world.elect();
    world.pass(1_000);
    assert!(world.assignments("a", from).is_empty() && world.assignments("b", from).is_empty());
    assert_eq!(numbers.map(|number| generation(&world, number)), after);
}

#[test]
fn a_restart_that_a_dead_leader_owed_is_shown() {
    let mut world = world();
    restart_unheard(&mut world);
    let runner = world.runner("one", 1);
    world.agent(&runner).slow_start = true;
    world.elect();
    assert_eq!(
        world.task_state("one", 1),
        format!("RESTARTING restarting on agent {runner}")
    );
}

/// It does not say what it was asked for, so that nothing can be known: it is not restarted with every election.
#[test]
fn an_agent_of_an_older_version_is_left_alone() {
    let mut world = world();
    world.change("one", |spec| *spec.task_restarts.entry(1).or_default() += 1);
    for id in ["a", "b"] {
        for assigned in world.agent(id).assigned.values_mut() {
            assigned.asked_restarts = None;
        }
    }
    let from = world.said.len();
    world.elect();
    world.pass(1_000);
    assert!(world.assignments("a", from).is_empty() && world.assignments("b", from).is_empty());
}

fn stopped() -> World {
    let mut world = world();
    world.change("one", |spec| spec.target = TargetState::Stopped);
    world.pass(100);
    assert_eq!(world.state("one"), "STOPPED ");
    world
}

fn mark(world: &mut World, operation: Option<&str>) {
    world.change("one", |spec| spec.altering = operation.map(Into::into));
}

#[test]
fn nothing_starts_while_offsets_are_set() {
    let mut world = stopped();
    mark(&mut world, Some("x"));
    assert_eq!(world.state("one"), format!("STOPPED {}", altering("x")));
    world.change("one", |spec| spec.target = TargetState::Started);
    world.pass(100_000);
    assert!(world.running("one").is_empty());
    assert_eq!(world.state("one"), format!("UNASSIGNED {}", altering("x")));
    mark(&mut world, None);
    world.pass(100);
    assert_runs(&world, "one", 3);
}

#[test]
fn a_mark_is_shown_when_nothing_can_act_any_more() {
    let mut world = world();
    let runner = world.runner("one", 0);
    world.agent(&runner).slow_stop = true;
    world.change("one", |spec| spec.target = TargetState::Stopped);
    mark(&mut world, Some("x"));
    world.pass(1_000);
    assert!(
        world.state("one").starts_with("UNASSIGNED stopping"),
        "{}",
        world.state("one")
    );
    world.agent(&runner).slow_stop = false;
    let to_stop = std::mem::take(&mut world.agent(&runner).to_stop);
    world.stop(&runner, to_stop);
    world.pass(100);
    assert_eq!(world.state("one"), format!("STOPPED {}", altering("x")));
}

#[test]
fn a_mark_that_was_left_behind_runs_out() {
    let mut world = stopped();
    mark(&mut world, Some("x"));
    world.change("one", |spec| spec.target = TargetState::Started);
    world.pass(60_000);
    world.elect();
    world.pass(119_000);
    assert!(
        world.running("one").is_empty(),
        "a new leader does not know how old it is"
    );
    world.pass(2_000);
    assert_runs(&world, "one", 3);
    // It still stands there, and must not stop what runs.
    world.elect();
    world.pass(10_000);
    assert_runs(&world, "one", 3);
    // Another one counts from when it is seen.
    world.change("one", |spec| spec.target = TargetState::Stopped);
    world.pass(1_000);
    mark(&mut world, Some("y"));
    world.change("one", |spec| spec.target = TargetState::Started);
    world.pass(100_000);
    assert!(world.running("one").is_empty());
}

#[test]
fn a_deletion_waits_until_offsets_are_set() {
    let mut world = stopped();
    mark(&mut world, Some("x"));
    world.change("one", |spec| spec.deleting = true);
    world.pass(10_000);
    assert!(world.store.contains_key(&Name::Spec(name("one"))));
    mark(&mut world, None);
    world.pass(100);
    assert_eq!(world.state("one"), "none");
}
