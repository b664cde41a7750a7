//! A task whose breaker trips pauses its connector, once, and only a person brings it back.

use super::super::*;
use super::main_path::{assert_runs, world};
use super::world::*;
use dray_model::TargetState::{Paused, Started, Stopped};
use dray_model::message::RunState;
use dray_model::record::ConnectorSpec;
use std::collections::VecDeque;

const WHY: &str = "PAUSED paused because too many records fail (task 1: 11 of 100); it goes on when it is resumed or its configuration is changed";

/// What a replica does when a person resumes a connector.
fn resume(spec: &mut ConnectorSpec) {
    spec.target = Started;
    spec.lift_breaker();
}

fn generations(world: &World) -> Vec<Generation> {
    let of = |number| {
        let key = world.key("one", number);
        let running = world.agents.values().find_map(|agent| agent.running.get(&key));
        *running.expect("it runs somewhere")
    };
    (0..3).map(of).collect()
}

/// Task 1 is FAILED, the others are PAUSED, and nothing is about to change that.
fn assert_paused(world: &mut World) {
    assert_eq!(world.state("one"), WHY);
    assert_eq!(world.task_state("one", 0), "PAUSED ");
    assert_eq!(world.task_state("one", 1), "FAILED 11 of 100\nCaused by: bad");
    assert_eq!(world.task_state("one", 2), "PAUSED ");
    let (writes, before) = (world.writes, generations(world));
    world.pass(20_000);
    assert_eq!((world.writes, generations(world)), (writes, before));
    assert_runs(world, "two", 2);
}

#[test]
fn one_task_pauses_all_and_whoever_resumes_it_restarts_that_one() {
    let mut world = world();
    let before = generations(&world);
    world.trip("one", &[1]);
    assert_paused(&mut world);
    assert_eq!(generations(&world), before);
    let spec = world.spec("one");
    let breaker = spec.paused_by_breaker().unwrap();
    assert_eq!(breaker.tasks, BTreeMap::from([(1, before[1])]));

    world.change("one", resume);
    assert_runs(&world, "one", 3);
    let after = generations(&world);
    assert!(
        after[1] > before[1] && (after[0], after[2]) == (before[0], before[2]),
        "{after:?}"
    );
    world.pass(5_000);
    assert_runs(&world, "one", 3);
    assert_eq!(generations(&world), after);

    // It trips again: that is news.
    world.trip("one", &[1]);
    assert_paused(&mut world);
}

#[test]
fn two_at_once_are_one_write() {
    for outcome_first in [true, false] {
        let mut world = World::new();
        world.start("a");
        world.create("one", &[("connector.class", "Source"), ("tasks", "3")]);
        world.pass(1_000);
        world.outcome_first = outcome_first;
        let writes = world.writes;
        world.trip("one", &[0, 1]);
        world.pass(5_000);
        assert_eq!(world.writes, writes + 1);
        assert_eq!(world.spec("one").breaker.as_ref().unwrap().tasks.len(), 2);

        let before = generations(&world);
        world.change("one", resume);
        assert_runs(&world, "one", 3);
        let restarted: Vec<bool> = generations(&world)
            .iter()
            .zip(before)
            .map(|(after, before)| *after > before)
            .collect();
        assert_eq!(restarted, [true, true, false]);
    }
}

#[test]
fn one_that_trips_during_the_write_is_restarted_as_well() {
    let mut world = world();
    world.held = Some(VecDeque::new());
    world.trip("one", &[1]);
    world.trip("one", &[0]);
    assert_eq!(world.held.as_ref().unwrap().len(), 1, "one write of a name at a time");
    world.flow();
    let breaker = world.spec("one").breaker.clone().unwrap();
    assert_eq!((breaker.tasks.len(), breaker.paused), (2, true));
    assert_eq!(breaker.reason, "task 1: 11 of 100", "what came first");
    world.change("one", resume);
    assert_runs(&world, "one", 3);
}

#[test]
fn a_new_leader_hears_it_and_pauses() {
    let mut world = world();
    world.held = Some(VecDeque::new());
    world.trip("one", &[1]);
    world.elect();
    world.pass(1_000);
    assert_paused(&mut world);
    // The next one finds it done.
    world.elect();
    world.pass(1_000);
    assert_paused(&mut world);
}

#[test]
fn an_agent_that_dies_right_after_its_report_leaves_all_paused() {
    let mut world = world();
    let runner = world.runner("one", 1);
    world.trip("one", &[1]);
    world.freeze(&runner);
    world.pass(20_000);
    world.agent(&runner).die();
    world.pass(20_000);
    assert_eq!(world.state("one"), WHY);
    for number in 0..3 {
        assert_eq!(world.task_state("one", number), "PAUSED ", "where it was started again");
    }
    world.change("one", resume);
    assert_runs(&world, "one", 3);
}

/// The report is there, and the write is on its way, when a person changes what is wanted.
#[test]
fn a_person_who_was_faster_is_not_overruled() {
    for outcome_first in [true, false] {
        let mut world = world();
        world.outcome_first = outcome_first;
        world.held = Some(VecDeque::new());
        world.trip("one", &[1]);
        let new = [
            ("connector.class", "org.example.Source"),
            ("tasks", "3"),
            ("mended", "yes"),
        ];
        world.configure("one", &new);
        world.flow();
        world.pass(5_000);
        assert_runs(&world, "one", 3);
        assert_eq!((world.spec("one").target, &world.spec("one").breaker), (Started, &None));
    }
}

#[test]
fn a_resume_without_a_leader_is_not_undone_by_old_reports() {
    let mut world = world();
    world.trip("one", &[1]);
    for id in ["a", "b"] {
        world.disconnect(id);
    }
    world.change("one", resume);
    world.elect();
    world.pass(5_000);
    assert_runs(&world, "one", 3);
    assert_eq!(world.spec("one").target, Started);

    // A report of the generation before comes late.
    let (key, runner) = (world.key("one", 1), world.runner("one", 1));
    let mut late = world.agents[&runner].report_as(key, RunState::Failed);
    late.owned.generation = world.agents[&runner].tripped[&key];
    late.tripped = true;
    world.say(&runner, FromAgent::TaskEvents(vec![late]));
    world.pass(1_000);
    assert_runs(&world, "one", 3);
}

/// A replica of an older version keeps what it does not know, and asks for no restarts.
#[test]
fn what_an_older_replica_resumes_is_not_paused_for_the_same_reason() {
    let mut world = world();
    world.trip("one", &[1]);
    world.change("one", |spec| spec.target = Started);
    world.elect();
    world.pass(1_000);
    assert_eq!(world.spec("one").target, Started);
    assert_eq!(world.task_state("one", 0), "RUNNING ");
    assert!(world.task_state("one", 1).starts_with("FAILED "), "as in Kafka Connect");
    // Another failure counts.
    world.trip("one", &[0]);
    let breaker = world.spec("one").paused_by_breaker().unwrap();
    assert_eq!(breaker.reason, "task 0: 11 of 100");
}

#[test]
fn what_a_person_paused_stays_his_and_its_tasks_are_restarted_all_the_same() {
    let mut world = world();
    world.change("one", |spec| spec.target = Paused);
    world.trip("one", &[1]);
    assert_eq!(world.state("one"), "PAUSED ");
    assert_eq!(world.spec("one").paused_by_breaker(), None);
    world.change("one", resume);
    world.pass(1_000);
    assert_runs(&world, "one", 3);
}

#[test]
fn what_is_stopped_or_failed_for_another_reason_is_left_alone() {
    let mut world = world();
    let (key, runner) = (world.key("one", 1), world.runner("one", 1));
    // So says an older agent as well.
    let failed = world.agents[&runner].report_as(key, RunState::Failed);
    world.say(&runner, FromAgent::TaskEvents(vec![failed]));
    assert_eq!(world.spec("one").target, Started);

    for id in ["a", "b"] {
        world.agent(id).slow_stop = true;
    }
    world.change("one", |spec| spec.target = Stopped);
    world.trip("one", &[0, 2]);
    world.pass(1_000);
    assert_eq!((world.spec("one").target, &world.spec("one").breaker), (Stopped, &None));
}
