//! F1, F2, F6, F7 and the classes of recovery.

use super::super::*;
use super::main_path::{assert_runs, world};
use super::world::*;
use dray_model::TargetState;
use dray_model::message::*;

/// A cluster in which both agents have a writer.
fn fenced_world() -> World {
    let mut world = world();
    world.open_writer("a", "kafka", None);
    world.open_writer("b", "kafka", None);
    world
}

#[test]
fn death_is_written_before_any_forced_owner() {
    let mut world = fenced_world();
    let session = world.agents["a"].session.unwrap();
    let tasks = world.agents["a"].running.len();
    world.held = Some(Default::default());
    let from = world.said.len();
    world.freeze("a");
    world.pass(3_000);
    let held: Vec<_> = world.held.as_ref().unwrap().iter().cloned().collect();
    assert_eq!(held.len(), 1);
    let [(Name::Agent(_), Record::Agent(record))] = held[0].puts.as_slice() else {
        panic!("{held:?}")
    };
    assert_eq!(record.session, None);
    assert_eq!(record.dead_sessions[&session], BTreeSet::from([cluster("kafka")]));
    world.release();
    assert!(
        world.assignments("b", from).is_empty(),
        "the owners are not written yet"
    );
    world.release();
    let assigned = world.assignments("b", from);
    assert_eq!(assigned.len(), tasks);
    let number = world.record("a").number;
    for assignment in assigned {
        assert_eq!(assignment.fence_first.len(), 1);
        let dead = &assignment.fence_first[0];
        assert_eq!((dead.session.agent, dead.session.session), (number, session));
        assert_eq!(dead.clusters, [cluster("kafka")]);
    }
    // The successor has fenced it and runs: nobody has to know of it any more.
    world.flow();
    world.pass(1_000);
    assert!(world.record("a").dead_sessions.is_empty());
}

#[test]
fn a_leader_that_dies_between_the_owners_and_the_assignments_loses_no_fence() {
    let mut world = fenced_world();
    let session = world.agents["a"].session.unwrap();
    world.held = Some(Default::default());
    world.freeze("a");
    world.pass(3_000);
    world.release();
    // The owners are in the store, and their leader never told anybody.
    let write = world.held.as_mut().unwrap().pop_front().unwrap();
    let keys: Vec<_> = world.agents["a"].running.keys().copied().collect();
    world.held = None;
    for (name, record) in write.puts {
        world.revision += 1;
        let revision = Revision(world.revision);
        world.store.insert(name, Stored { revision, record });
    }
    let from = world.said.len();
    world.elect();
    let assigned = world.assignments("b", from);
    assert!(keys.iter().all(|key| assigned.iter().any(|of| of.owned.task == *key)));
    assert!(
        assigned
            .iter()
            .all(|of| of.fence_first.iter().any(|dead| dead.session.session == session))
    );
    world.agent("a").die();
    world.pass(3_000);
    assert_runs(&world, "one", 3);
    assert!(world.record("a").dead_sessions.is_empty(), "{:?}", world.record("a"));
}

#[test]
fn a_writer_is_confirmed_when_its_cluster_is_in_the_record() {
    let mut world = world();
    world.held = Some(Default::default());
    let from = world.said.len();
    world.open_writer("a", "kafka", None);
    let confirmed = Order::WriterConfirmed(cluster("kafka"));
    assert!(!world.told("a", from).contains(&&confirmed));
    world.release();
    assert!(world.record("a").clusters.contains(&cluster("kafka")));
    assert!(world.told("a", from).contains(&&confirmed));
    // Asked again, it is said again, without a write.
    let (from, writes) = (world.said.len(), world.writes);
    world.open_writer("a", "kafka", None);
    assert!(world.told("a", from).contains(&&confirmed));
    assert_eq!(world.writes, writes);
}

#[test]
fn the_writer_of_a_session_that_was_declared_dead_is_not_confirmed() {
    let mut world = world();
    world.held = Some(Default::default());
    world.agent("a").frozen = true;
    world.pass(6_500);
    let stream = world.agents["a"].stream.unwrap();
    let from = world.said.len();
    let opened = WriterOpened {
        cluster: cluster("kafka"),
        refused: None,
    };
    world.step(Event::Message {
        connection: stream,
        message: FromAgent::WriterOpened(opened),
    });
    while world.held.as_ref().is_some_and(|held| !held.is_empty()) {
        world.release();
    }
    assert!(
        !world
            .told("a", from)
            .contains(&&Order::WriterConfirmed(cluster("kafka")))
    );
    assert!(world.record("a").clusters.is_empty());
}

#[test]
fn a_session_without_a_writer_is_waited_for() {
    let mut world = world();
    let from = world.said.len();
    world.open_writer("a", "kafka", Some("no permission"));
    assert!(world.record("a").unfenceable);
    assert!(
        world
            .told("a", from)
            .contains(&&Order::WriterConfirmed(cluster("kafka")))
    );
    assert!(
        world.shown_agents["a"]
            .problem
            .as_ref()
            .unwrap()
            .contains("no permission")
    );
    let from = world.said.len();
    world.freeze("a");
    world.pass(43_000);
    assert!(world.assignments("b", from).is_empty());
    world.pass(4_000);
    world.agent("a").die();
    assert_runs(&world, "one", 3);
}

fn strict_world() -> World {
    let mut world = World::new();
    world.start("a");
    world.start("b");
    let strict = [
        ("connector.class", "Source"),
        ("tasks", "4"),
        ("dray.recovery", "strict"),
    ];
    world.create("one", &strict);
    world.pass(1_000);
    world
}

#[test]
fn strict_tasks_wait_until_the_lease_is_surely_over() {
    let mut world = strict_world();
    let from = world.said.len();
    world.freeze("a");
    let acked = world.now;
    world.pass(44_900);
    assert!(world.assignments("b", from).is_empty());
    let waits = (0..4)
        .map(|number| world.task_state("one", number))
        .find(|state| !state.starts_with("RUNNING"));
    assert!(waits.unwrap().contains("its agent a is silent"));
    world.pass(1_200);
    assert!(world.now.since(acked) < 47_000);
    world.agent("a").die();
    assert_runs(&world, "one", 4);
}

#[test]
fn a_new_leader_counts_strict_waits_from_its_election() {
    let mut world = strict_world();
    world.freeze("a");
    world.pass(40_000);
    world.elect();
    let from = world.said.len();
    world.pass(48_900);
    assert!(world.assignments("b", from).is_empty());
    world.pass(1_200);
    world.agent("a").die();
    assert_runs(&world, "one", 4);
}

#[test]
fn what_was_assigned_as_strict_is_waited_for_as_such() {
    let mut world = strict_world();
    world.freeze("a");
    world.configure("one", &[("connector.class", "Source"), ("tasks", "4")]);
    let from = world.said.len();
    world.pass(44_000);
    let given = world.assignments("b", from).into_iter();
    let moved = given.filter(|of| world.agents["a"].running.contains_key(&of.owned.task));
    assert_eq!(moved.count(), 0);
    world.pass(5_000);
    world.agent("a").die();
    assert_runs(&world, "one", 4);
}

#[test]
fn a_strict_agent_that_comes_back_in_time_keeps_its_tasks() {
    let mut world = strict_world();
    let held = world.agents["a"].running.clone();
    world.freeze("a");
    world.pass(20_000);
    world.agent("a").frozen = false;
    world.connect("a");
    world.pass(10_000);
    assert_eq!(world.agents["a"].running, held);
    assert_runs(&world, "one", 4);
}

#[test]
fn a_reconfiguration_waits_for_a_silent_owner() {
    let mut world = fenced_world();
    let instance = world.runner("one", -1);
    let silent = if instance == "a" { "b" } else { "a" };
    let key = TaskKey::instance(world.uid("one"));
    let generation = world.agents[&instance].running[&key];
    assert!((0..3).any(|number| world.runner("one", number) == silent));
    world.freeze(silent);
    let from = world.said.len();
    world.want_tasks(&instance, Owned { task: key, generation }, 1, "7,8,9");
    world.pass(44_000);
    let tasks = |world: &World| {
        let assigned = world.assignments(&instance, from).into_iter();
        let uid = world.uid("one");
        assigned
            .filter(|of| of.owned.task.connector == uid && !of.owned.task.is_instance())
            .count()
    };
    assert_eq!(tasks(&world), 0, "an old task may still run");
    assert!(
        world.state("one").contains("its new task set waits"),
        "{}",
        world.state("one")
    );
    world.pass(3_000);
    world.agent(silent).die();
    assert_eq!(tasks(&world), 3);
    assert_runs(&world, "one", 3);
}

#[test]
fn a_stop_is_shown_when_a_live_agent_has_fenced_the_silent_owner() {
    let mut world = fenced_world();
    let session = world.agents["a"].session.unwrap();
    world.held = Some(Default::default());
    world.freeze("a");
    world.change("one", |spec| spec.target = TargetState::Stopped);
    let from = world.said.len();
    for _ in 0..40 {
        world.pass(100);
        while world.held.as_ref().is_some_and(|held| !held.is_empty()) {
            let stopped_before = world.state("one").starts_with("STOPPED");
            assert!(!stopped_before || !world.commands("b", from).is_empty());
            world.release();
        }
    }
    let CommandWhat::FenceSessions { connector, dead } = &world.commands("b", from)[0].what;
    assert_eq!(connector.name, name("one"));
    assert_eq!(dead[0].session.session, session);
    assert_eq!(world.state("one"), "STOPPED ");
}

#[test]
fn a_fence_that_fails_is_tried_again_and_shown() {
    let mut world = fenced_world();
    world.freeze("a");
    world.agent("b").frozen = true; // it hears, and we answer for it
    let stream = world.agents["b"].stream.unwrap();
    world.change("two", |spec| spec.deleting = true);
    let from = world.said.len();
    for _ in 0..30 {
        let beat = Heartbeat {
            seq: 1,
            changed: Vec::new(),
            cpu_millis: 0,
            memory_bytes: 0,
        };
        let message = FromAgent::Heartbeat(beat);
        world.step(Event::Message {
            connection: stream,
            message,
        });
        world.pass(100);
        let last = world.commands("b", from).last().map(|command| command.id);
        if let Some(id) = last {
            let error = Some("coordinator is loading".into());
            let message = FromAgent::CommandResult(CommandResult { id, error });
            world.step(Event::Message {
                connection: stream,
                message,
            });
        }
    }
    let asked = world.commands("b", from).len();
    assert!(asked >= 2, "{asked}");
    assert!(!matches!(world.state("two").as_str(), "none"));
}

#[test]
fn a_strict_connector_stops_when_its_silent_owner_was_waited_for() {
    let mut world = strict_world();
    world.freeze("a");
    world.change("one", |spec| spec.target = TargetState::Stopped);
    world.pass(44_000);
    assert!(
        world.state("one").starts_with("UNASSIGNED stopping: "),
        "{}",
        world.state("one")
    );
    world.pass(3_000);
    assert_eq!(world.state("one"), "STOPPED ");
}

#[test]
fn who_was_waited_for_is_fenced_too_before_others_follow() {
    // Another task of the next set may have its source partitions, and would fence nobody by its start.
    let mut world = strict_world();
    let session = world.agents["a"].session.unwrap();
    world.open_writer("a", "kafka", None);
    world.freeze("a");
    world.change("one", |spec| spec.target = TargetState::Stopped);
    let from = world.said.len();
    world.pass(47_000);
    let CommandWhat::FenceSessions { dead, .. } = &world.commands("b", from)[0].what;
    assert_eq!(dead[0].session.session, session);
    assert_eq!(world.state("one"), "STOPPED ");
}

#[test]
fn a_successor_that_has_not_fenced_yet_leaves_its_duty_behind() {
    let mut world = fenced_world();
    let session = world.agents["a"].session.unwrap();
    let number = (0..3).find(|number| world.runner("one", *number) == "a").unwrap();
    // The successor is told to fence, cannot yet, and is told to stop.
    world.agent("b").fences_only = Some(cluster("elsewhere"));
    world.agent("b").slow_start = true;
    let from = world.said.len();
    world.freeze("a");
    world.pass(3_000);
    world.agent("a").die();
    assert_eq!(world.runner("one", number), "b");
    assert!(world.commands("b", from).is_empty());
    let key = TaskKey::instance(world.uid("one"));
    let generation = world.agents["b"].running[&key];
    let writes = world.writes;
    world.want_tasks("b", Owned { task: key, generation }, 1, "x,y,z");
    let CommandWhat::FenceSessions { dead, .. } = &world.commands("b", from)[0].what;
    assert_eq!(dead[0].session.session, session);
    let stored = writes..world.writes;
    assert!(!stored.is_empty(), "the new set follows the fence");
}

#[test]
fn an_agent_without_tasks_is_not_declared_dead() {
    let mut world = World::new();
    world.start("a");
    world.start("b");
    world.freeze("a");
    world.pass(60_000);
    assert!(world.record("a").dead_sessions.is_empty());
    assert_eq!(world.shown_agents["a"].link, LinkState::Gone);
}

#[test]
fn a_fence_that_nobody_can_make_is_forgotten_after_an_hour() {
    let mut world = fenced_world();
    world.open_writer("a", "elsewhere", None);
    world.agent("b").fences_only = Some(cluster("kafka"));
    let session = world.agents["a"].session.unwrap();
    world.freeze("a");
    world.pass(3_000);
    world.agent("a").die();
    assert_runs(&world, "one", 3);
    let left = BTreeSet::from([cluster("elsewhere")]);
    assert_eq!(world.record("a").dead_sessions[&session], left);
    assert_eq!(
        world.shown_agents["a"].unfenced,
        [(session, vec![cluster("elsewhere")])]
    );
    world.pass(3_590_000);
    assert_eq!(world.record("a").dead_sessions[&session], left);
    world.pass(20_000);
    assert!(world.record("a").dead_sessions.is_empty());
}

#[test]
fn members_of_a_process_that_is_proved_dead_leave_before_its_tasks_start() {
    let mut world = fenced_world();
    let session = world.agents["a"].session.unwrap();
    let tasks = world.agents["a"].running.len();
    let from = world.said.len();
    world.restart("a", true);
    world.pass(500);
    let assigned = world.assignments("a", from);
    assert_eq!(assigned.len(), tasks);
    for assignment in assigned {
        let fence = &assignment.fence_first[0];
        assert_eq!(
            (fence.session.session, fence.clusters.len()),
            (session, 0),
            "nothing is left to fence"
        );
    }
    assert_runs(&world, "one", 3);
    assert!(world.record("a").dead_sessions.is_empty(), "and then it is forgotten");
}

/// Found by the simulation: somebody else fenced the session while the fence rested, and a task that had only just stopped was not looked
/// at again.
#[test]
fn a_task_that_stops_while_a_fence_rests_is_released_too() {
    let mut world = world();
    world.open_writer("a", "kafka", None);
    let session = world.agents["a"].session.unwrap();
    let agent = world.record("a").number;
    world.held = Some(Default::default());
    world.freeze("a");
    world.pass(2_000);
    world.release(); // its death, and nothing of what follows
    assert!(world.record("a").dead_sessions.contains_key(&session));
    world.elect_alone();
    world.change("one", |spec| spec.target = TargetState::Stopped);
    assert!(world.state("one").starts_with("UNASSIGNED stopping"));
    world.connect("b");
    let dead = AgentSession { agent, session };
    world.say(
        "b",
        FromAgent::SessionFenced {
            dead,
            cluster: cluster("kafka"),
        },
    );
    world.pass(3_000);
    assert_eq!(world.state("one"), "STOPPED ");
}
