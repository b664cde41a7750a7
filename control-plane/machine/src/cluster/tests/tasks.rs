//! Owners, deltas, task sets, restarts, and what the store refuses.

use super::super::*;
use super::main_path::{assert_runs, world};
use super::world::*;
use dray_model::ConfigDiff;
use dray_model::message::*;
use dray_model::record::MAX_TASKS;
use dray_model::{AgentPolicy, TargetState};
use std::sync::Arc;

#[test]
fn one_delta_is_unanswered_and_the_rest_is_merged() {
    let mut world = World::new();
    world.start("a");
    world.agent("a").silent_acks = true;
    let from = world.said.len();
    world.create("one", &[("connector.class", "Source"), ("tasks", "3")]);
    world.create("two", &[("connector.class", "Source"), ("tasks", "3")]);
    world.pass(500);
    assert_eq!(world.deltas("a", from).len(), 1);
    let nonce = world.deltas("a", from)[0].nonce;
    world.change("two", |spec| spec.target = TargetState::Paused);
    world.agent("a").silent_acks = false;
    let refused = Vec::new();
    world.say("a", FromAgent::AssignmentAck(AssignmentAck { nonce, refused }));
    let second = world.deltas("a", from)[1];
    assert_eq!(
        (second.assignments.len(), second.connectors.len()),
        (4, 2),
        "{second:?}"
    );
    assert!(second.assignments.iter().any(|assignment| assignment.paused));
}

#[test]
fn an_unanswered_delta_ends_the_stream() {
    let mut world = World::new();
    world.start("a");
    world.agent("a").silent_acks = true;
    world.create("one", &[("connector.class", "Source"), ("tasks", "3")]);
    world.pass(9_000);
    assert!(!world.agents["a"].closed);
    world.pass(2_000);
    assert!(world.agents["a"].closed);
    world.agent("a").silent_acks = false;
    world.connect("a");
    world.pass(1_000);
    assert_runs(&world, "one", 3);
}

#[test]
fn a_delta_has_at_most_500_assignments() {
    let mut world = World::new();
    world.create("one", &[("connector.class", "Source"), ("tasks", "900")]);
    world.start("a");
    world.pass(1_000);
    world.pass(1_000);
    world.agent("a").running.retain(|key, _| key.is_instance());
    let from = world.said.len();
    world.connect("a");
    let sizes: Vec<_> = world
        .deltas("a", from)
        .iter()
        .map(|delta| delta.assignments.len())
        .collect();
    assert_eq!(sizes, [500, 400]);
}

#[test]
fn a_task_moves_when_its_owner_has_stopped_it() {
    let mut world = world();
    world.agent("a").slow_stop = true;
    let moving: Vec<_> = world.agents["a"].running.clone().into_iter().collect();
    let (from, writes) = (world.said.len(), world.writes);
    world.policy("a", AgentPolicy::Draining);
    world.pass(5_000);
    assert_eq!(world.writes, writes);
    assert!(
        world.assignments("b", from).is_empty(),
        "the old owner has not stopped it"
    );
    let revoked: Vec<_> = world
        .deltas("a", from)
        .iter()
        .flat_map(|delta| &delta.revocations)
        .map(|of| of.owned)
        .collect();
    assert!(!revoked.is_empty());
    // A stop of another generation is none.
    let (task, generation) = moving[0];
    let wrong = StoppedTask {
        owned: Owned {
            task,
            generation: world.machine.term.generation(900_000).unwrap(),
        },
        clean: true,
    };
    world.say("a", FromAgent::TasksStopped(vec![wrong]));
    assert!(world.assignments("b", from).is_empty());
    // The owner is written before the other one is told.
    world.held = Some(Default::default());
    world.agent("a").slow_stop = false;
    world.stop("a", vec![Owned { task, generation }]);
    assert!(world.assignments("b", from).is_empty());
    world.release();
    assert_eq!(world.assignments("b", from)[0].owned.task, task);
    assert!(world.assignments("b", from)[0].owned.generation > generation);
}

#[test]
fn a_move_that_is_called_off_before_it_was_said_changes_nothing() {
    let mut world = world();
    world.agent("a").silent_acks = true;
    world.change("one", |spec| spec.target = TargetState::Paused); // something that it does not answer
    let from = world.said.len();
    let held = world.agents["a"].running.clone();
    world.policy("a", AgentPolicy::Draining);
    world.policy("a", AgentPolicy::Active);
    world.pass(100);
    assert!(world.deltas("a", from).is_empty());
    assert_eq!(world.agents["a"].running, held);
}

#[test]
fn a_restart_while_a_move_is_called_off_is_carried_out() {
    let mut world = world();
    world.agent("a").silent_acks = true;
    world.change("one", |spec| spec.target = TargetState::Paused); // something that it does not answer
    let nonce = world.deltas("a", 0).last().unwrap().nonce;
    let number = (0..3)
        .find(|number| world.runner("one", i64::from(*number)) == "a")
        .unwrap();
    let key = world.key("one", number);
    let before = world.agents["a"].running[&key];
    world.change("one", |spec| spec.target = TargetState::Stopped); // not said
    world.change("one", |spec| *spec.task_restarts.entry(number).or_default() += 1);
    world.change("one", |spec| spec.target = TargetState::Started);
    world.agent("a").silent_acks = false;
    let refused = Vec::new();
    world.say("a", FromAgent::AssignmentAck(AssignmentAck { nonce, refused }));
    world.pass(3_000);
    assert!(world.agents["a"].running[&key] > before);
    assert_runs(&world, "one", 3);
}

#[test]
fn a_restart_is_a_new_generation_and_no_write() {
    let mut world = world();
    let runner = world.runner("one", 1);
    let key = world.key("one", 1);
    let before = world.agents[&runner].running[&key];
    let (from, writes) = (world.said.len(), world.writes);
    // It failed; a restart of the connector's instance does not help it, one of its own does.
    let mut report = world.agents[&runner].report_as(key, RunState::Failed);
    report.trace = Some("é".repeat(10_000));
    world.say(&runner, FromAgent::TaskEvents(vec![report]));
    let shown = &world.shown_tasks[&("one".to_owned(), 1)];
    assert_eq!(shown.state, dray_model::TaskState::Failed);
    assert!(shown.trace.as_ref().unwrap().len() <= 8 * 1024);
    world.change("one", |spec| spec.restarts += 1);
    let instance = world.runner("one", -1);
    assert_eq!(world.assignments(&instance, from).len(), 1);
    assert!(world.assignments(&instance, from)[0].owned.task.is_instance());
    let from = world.said.len();
    world.change("one", |spec| *spec.task_restarts.entry(1).or_default() += 1);
    assert_eq!(world.assignments(&runner, from)[0].owned.task, key);
    assert!(world.agents[&runner].running[&key] > before);
    assert_eq!(world.writes, writes);
    assert_runs(&world, "one", 3);
}

#[test]
fn a_restart_under_way_is_shown() {
    let mut world = world();
    let runner = world.runner("one", 1);
    world.agent(&runner).slow_start = true;
    world.change("one", |spec| *spec.task_restarts.entry(1).or_default() += 1);
    assert_eq!(
        world.task_state("one", 1),
        format!("RESTARTING restarting on agent {runner}")
    );
    let report = world.agents[&runner].report(world.key("one", 1));
    world.say(&runner, FromAgent::TaskEvents(vec![report]));
    assert_eq!(world.task_state("one", 1), "RUNNING ");
}

#[test]
fn a_failure_that_healed_is_shown_over_a_restart() {
    let mut world = world();
    let runner = world.runner("one", 1);
    let key = world.key("one", 1);
    for state in [RunState::Failed, RunState::Running] {
        // The world checks that every change of state is in the table.
        let report = world.agents[&runner].report_as(key, state);
        world.say(&runner, FromAgent::TaskEvents(vec![report]));
    }
    assert_eq!(world.task_state("one", 1), "RUNNING ");
}

#[test]
fn unchanged_tasks_are_not_touched_by_a_new_set() {
    let mut world = World::new();
    world.start("a");
    world.start("b");
    world.create(
        "one",
        &[("connector.class", "Source"), ("tasks", "x,y,z"), ("tasks.max", "3")],
    );
    world.pass(1_000);
    let before: Vec<_> = (0..3).map(|number| world.owner("one", number).unwrap()).collect();
    let from = world.said.len();
    // The instance asks for other tasks under the same configuration, as one that watches its source does.
    let instance = world.runner("one", -1);
    let key = TaskKey::instance(world.uid("one"));
    let owned = Owned {
        task: key,
        generation: world.agents[&instance].running[&key],
    };
    world.want_tasks(&instance, owned, 1, "x,w,z,v");
    let after: Vec<_> = (0..4).map(|number| world.owner("one", number).unwrap()).collect();
    assert_eq!((before[0], before[2]), (after[0], after[2]));
    assert_ne!(before[1], after[1]);
    assert_runs(&world, "one", 4);
    // The same again: nothing is written, and it is told so.
    let writes = world.writes;
    world.want_tasks(&instance, owned, 1, "x,w,z,v");
    assert_eq!(world.writes, writes);
    let stored = world
        .told(&instance, from)
        .into_iter()
        .filter(|order| matches!(order, Order::TaskConfigsStored { .. }));
    assert_eq!(stored.count(), 2);
}

#[test]
fn new_tasks_wait_until_the_old_ones_are_stopped() {
    let mut world = World::new();
    world.start("a");
    world.start("b");
    world.create("one", &[("connector.class", "Source"), ("tasks", "x,y")]);
    world.pass(1_000);
    world.agent("a").slow_stop = true;
    world.agent("b").slow_stop = true;
    let from = world.said.len();
    let instance = world.runner("one", -1);
    let key = TaskKey::instance(world.uid("one"));
    let generation = world.agents[&instance].running[&key];
    world.want_tasks(&instance, Owned { task: key, generation }, 1, "y,x,w");
    world.pass(10_000);
    let started = world.said[from..]
        .iter()
        .any(|(_, order)| matches!(order, Order::Assignments(delta) if !delta.assignments.is_empty()));
    assert!(!started, "{:?}", &world.said[from..]);
    assert!(
        world.state("one").contains("its new task set waits: agent"),
        "{}",
        world.state("one")
    );
    for id in ["a", "b"] {
        world.agent(id).slow_stop = false;
        let owned = world.owned(id, false);
        world.stop(id, owned);
        if id == "a" {
            assert!(!world.running("one").contains_key(&2), "b has not stopped its task");
        }
    }
    assert_runs(&world, "one", 3);
}

#[test]
fn only_the_present_instance_under_the_present_configuration_is_heard() {
    let mut world = world();
    let instance = world.runner("one", -1);
    let key = TaskKey::instance(world.uid("one"));
    let generation = world.agents[&instance].running[&key];
    let (writes, owned) = (world.writes, Owned { task: key, generation });
    world.want_tasks(&instance, owned, 2, "9"); // a configuration to come
    let other = if instance == "a" { "b" } else { "a" };
    world.want_tasks(other, owned, 1, "9"); // not its owner
    let task = world.key("one", 0);
    world.want_tasks(&instance, Owned { task, generation }, 1, "9"); // not an instance
    world.change("one", |spec| spec.restarts += 1);
    world.want_tasks(&instance, owned, 1, "9"); // of a generation before
    assert_eq!(world.writes, writes);
    assert_runs(&world, "one", 3);
}

#[test]
fn too_many_tasks_are_refused() {
    let mut world = world();
    let instance = world.runner("one", -1);
    let task = TaskKey::instance(world.uid("one"));
    let generation = world.agents[&instance].running[&task];
    let configs = TaskConfigs {
        instance: Owned { task, generation },
        config_version: 1,
        tasks: std::iter::repeat_with(Arc::<ConfigDiff>::default)
            .take(MAX_TASKS as usize + 1)
            .collect(),
    };
    world.say(&instance, FromAgent::TaskConfigs(configs));
    assert!(
        world.state("one").starts_with("RUNNING it wants 16385 tasks"),
        "{}",
        world.state("one")
    );
    assert_eq!(world.running("one").len(), 4);
}

#[test]
fn the_failure_of_an_instance_stops_no_task() {
    let mut world = world();
    let instance = world.runner("one", -1);
    let key = TaskKey::instance(world.uid("one"));
    let from = world.said.len();
    let mut report = world.agents[&instance].report_as(key, RunState::Failed);
    report.trace = Some("no route".into());
    world.say(&instance, FromAgent::TaskEvents(vec![report]));
    assert_eq!(world.state("one"), "FAILED no route");
    world.pass(2_000);
    assert!(world.deltas("a", from).is_empty() && world.deltas("b", from).is_empty());
    world.change("one", |spec| spec.restarts += 1);
    assert_runs(&world, "one", 3);
}

#[test]
fn a_new_leader_restarts_an_instance_that_may_have_an_old_configuration() {
    let mut world = world();
    let instance = world.runner("one", -1);
    world.agent(&instance).slow_start = true;
    world.disconnect("a");
    world.disconnect("b");
    world.configure("one", &[("connector.class", "Source"), ("tasks", "4")]);
    let from = world.said.len();
    world.elect();
    world.pass(1_000);
    assert!(
        world
            .assignments(&instance, from)
            .iter()
            .any(|of| of.owned.task.is_instance())
    );
    assert_eq!(world.running("one").len(), 5);
}

#[test]
fn refused_tasks_are_tried_elsewhere_and_the_reason_is_shown() {
    let mut world = World::new();
    world.start("a");
    world.start("b");
    for id in ["a", "b"] {
        world.agent(id).silent_acks = true;
        world.agent(id).slow_start = true;
        world.agent(id).slow_stop = true;
    }
    let mut refusals = 0;
    world.create("one", &[("connector.class", "Source"), ("tasks", "1")]);
    for _ in 0..20 {
        world.pass(100);
        for id in ["a", "b"] {
            let from = world
                .said
                .iter()
                .rposition(|(to, order)| to == id && matches!(order, Order::Assignments(_)));
            let Some(from) = from else { continue };
            let delta = world.deltas(id, from)[0];
            let refused = delta.assignments.iter().map(|assignment| RefusedTask {
                owned: assignment.owned,
                why: RefusedWhy::NoPlugin,
                message: format!("{id} has no such class"),
            });
            let ack = AssignmentAck {
                nonce: delta.nonce,
                refused: refused.collect(),
            };
            refusals += ack.refused.len();
            world.agent(id).running.clear();
            world.say(id, FromAgent::AssignmentAck(ack));
        }
    }
    assert!(refusals >= 2);
    let state = world.state("one");
    assert!(
        state.starts_with("UNASSIGNED all agents that could run it refused it"),
        "{state}"
    );
    assert!(state.contains("has no such class"), "{state}");
}

#[test]
fn what_no_agent_can_run_is_unassigned_with_the_reason() {
    let mut world = World::new();
    world.create("one", &[("connector.class", "Source")]);
    assert_eq!(
        world.state("one"),
        "UNASSIGNED no agent is connected and active: start one, or uncordon one"
    );
    world.start("a");
    world.create("two", &[("connector.class", "NoSuch")]);
    world.create(
        "three",
        &[("connector.class", "Source"), ("dray.placement.labels", "gpu")],
    );
    world.create(
        "four",
        &[("connector.class", "Source"), ("dray.placement.regions", "mars")],
    );
    world.create("five", &[("connector.class", "Source"), ("dray.recovery", "hard")]);
    world.pass(100);
    for (connector, reason) in [
        ("two", "no agent that may run it has the plugin NoSuch"),
        ("three", "no agent with its plugins has labels that fulfil `gpu`"),
        ("four", "no agent is connected and active in region mars"),
        ("five", "dray.recovery is `hard`"),
    ] {
        let state = world.state(connector);
        assert!(state.starts_with(&format!("UNASSIGNED {reason}")), "{state}");
    }
    assert_runs(&world, "one", 1);
}

#[test]
fn a_wrong_configuration_leaves_the_former_in_force() {
    let mut world = world();
    let from = world.said.len();
    world.configure("one", &[("connector.class", "Source"), ("dray.task.cost", "much")]);
    world.pass(1_000);
    assert!(world.deltas("a", from).is_empty() && world.deltas("b", from).is_empty());
    assert!(
        world.state("one").starts_with("RUNNING dray.task.cost is `much`"),
        "{}",
        world.state("one")
    );
    world.configure("one", &[("connector.class", "Source"), ("tasks", "2")]);
    world.pass(1_000);
    assert_runs(&world, "one", 2);
}

#[test]
fn a_stop_that_is_taken_back_on_its_way_ends_well() {
    let mut world = world();
    world.agent("a").slow_stop = true;
    world.agent("b").slow_stop = true;
    world.change("one", |spec| spec.target = TargetState::Stopped);
    world.pass(500);
    assert!(
        world.state("one").starts_with("UNASSIGNED stopping: agent"),
        "{}",
        world.state("one")
    );
    world.change("one", |spec| spec.target = TargetState::Started);
    for id in ["a", "b"] {
        world.agent(id).slow_stop = false;
        let owned = world.owned(id, true);
        world.stop(id, owned);
    }
    world.pass(3_000);
    assert_runs(&world, "one", 3);
    assert_runs(&world, "two", 2);
}

#[test]
fn outcomes_may_come_before_the_changes_and_both_twice() {
    let mut world = World::new();
    world.outcome_first = true;
    world.start("a");
    world.start("b");
    world.create("one", &[("connector.class", "Source"), ("tasks", "3")]);
    world.pass(500);
    assert_runs(&world, "one", 3);
    let (said, writes) = (world.said.len(), world.writes);
    for (name, stored) in world.store.clone() {
        let change = Change {
            name,
            revision: stored.revision,
            record: Some(stored.record),
        };
        world.step(Event::Changed(change));
    }
    assert_eq!((world.said.len(), world.writes), (said, writes));
    world.change("one", |spec| spec.deleting = true);
    world.pass(500);
    assert_eq!(world.state("one"), "none");
}

#[test]
fn what_the_store_refuses_is_shown_and_tried_again() {
    let mut world = World::new();
    world.start("a");
    world.held = Some(Default::default());
    world.create("one", &[("connector.class", "Source"), ("tasks", "1")]);
    world.pass(100);
    let refused = world.held.as_mut().unwrap().pop_front().unwrap();
    let (write, outcome) = (refused.id, Outcome::Refused);
    world.step(Event::Written { write, outcome });
    assert!(
        world.state("one").contains("the store refuses"),
        "{}",
        world.state("one")
    );
    world.pass(4_000);
    assert!(world.held.as_ref().unwrap().is_empty(), "it rests");
    world.pass(2_000);
    world.flow();
    world.pass(100);
    assert_runs(&world, "one", 1);
}

#[test]
fn a_conflict_that_nothing_explains_is_not_repeated_at_once() {
    let mut world = World::new();
    world.start("a");
    world.held = Some(Default::default());
    world.create("one", &[("connector.class", "Source"), ("tasks", "1")]);
    for _ in 0..3 {
        let write = world.held.as_mut().unwrap().pop_front().unwrap().id;
        let outcome = Outcome::Conflict;
        world.step(Event::Written { write, outcome });
        assert!(world.held.as_ref().unwrap().is_empty());
        world.pass(600);
    }
    assert_eq!(world.held.as_ref().unwrap().len(), 1);
}

#[test]
fn a_term_without_generations_ends() {
    let mut world = world();
    world.machine.generations = (1 << 24) - 1;
    world.create("three", &[("connector.class", "Source"), ("tasks", "2")]);
    assert_eq!(world.resigned, Some("the term has no more generations"));
    let effects = world.machine.step(world.now, Event::Tick);
    assert!(effects.is_empty());
}

#[test]
fn checks_are_answered_by_ownership() {
    let mut world = world();
    let (task, generation) = world.agents["a"]
        .running
        .iter()
        .next()
        .map(|(key, of)| (*key, *of))
        .unwrap();
    let (other, its) = world.agents["b"]
        .running
        .iter()
        .next()
        .map(|(key, of)| (*key, *of))
        .unwrap();
    let older = world.machine.term.generation(0).unwrap();
    let asked = [(task, generation), (other, its), (task, older)].map(|(task, generation)| Owned { task, generation });
    world.say("a", FromAgent::GenerationCheck(asked.to_vec()));
    let Some((_, Order::Verdicts(verdicts))) = world.said.last() else {
        panic!("no verdicts")
    };
    let keep: Vec<_> = verdicts.iter().map(|verdict| verdict.keep).collect();
    assert_eq!(keep, [true, false, generation == older]);
}

#[test]
fn messages_about_nothing_are_ignored() {
    let mut world = world();
    let (said, writes) = (world.said.len(), world.writes);
    let task = TaskKey {
        connector: std::num::NonZeroU64::new(1).unwrap().into(),
        number: 7,
    };
    let generation = world.machine.term.generation(5).unwrap();
    let owned = Owned { task, generation };
    world.say("a", FromAgent::TasksStopped(vec![StoppedTask { owned, clean: true }]));
    let report = TaskReport {
        owned,
        state: RunState::Running,
        trace: None,
        restarts: 0,
        cost: None,
        tripped: false,
    };
    world.say("a", FromAgent::TaskEvents(vec![report]));
    world.want_tasks("a", owned, 1, "3");
    let refused = vec![RefusedTask {
        owned,
        why: RefusedWhy::NoPlugin,
        message: String::new(),
    }];
    world.say("a", FromAgent::AssignmentAck(AssignmentAck { nonce: 999, refused }));
    let dead = dray_model::AgentSession {
        agent: 99.try_into().unwrap(),
        session: world.agents["a"].session.unwrap(),
    };
    let on = cluster("kafka");
    world.say("a", FromAgent::SessionFenced { dead, cluster: on });
    assert_eq!((world.said.len(), world.writes), (said, writes));
    let result = CommandResult { id: 3, error: None };
    world.say("a", FromAgent::CommandResult(result.clone()));
    assert_eq!(world.answers, [result]);
}

#[test]
fn a_stop_that_a_former_leader_began_is_carried_out() {
    let mut world = World::new();
    world.start("a");
    world.pass(1_000);
    world.create("one", &[("connector.class", "Source"), ("tasks", "1")]);
    world.held = Some(Default::default());
    world.change("one", |spec| spec.target = TargetState::Stopped);
    world.release();
    world.elect();
    world.pass(3_000);
    assert_eq!(world.state("one"), "STOPPED ");
}

#[test]
fn a_task_that_moves_before_its_new_configuration_is_known_keeps_the_old_one() {
    let mut world = world();
    let config_of = |world: &World, id: &str, number: u32| {
        let key = world.key("one", number);
        let deltas = world.deltas(id, 0);
        let with = deltas.iter().rev().find_map(|delta| {
            let of = delta.assignments.iter().find(|of| of.owned.task == key)?;
            let connector = delta.connectors.iter().find(|of| of.uid == key.connector)?;
            Some((connector.config_version, of.config.apply(&connector.config), of.digest))
        });
        with.unwrap()
    };
    for agent in ["a", "b"] {
        world.agent(agent).mute_instances = true;
    }
    let instance = world.runner("one", -1);
    let number = (0..3)
        .find(|number| world.runner("one", i64::from(*number)) == "a")
        .unwrap();
    let before = config_of(&world, "a", number);
    let changed = [("connector.class", "Source"), ("tasks", "3"), ("topic", "other")];
    world.configure("one", &changed);
    world.policy("a", AgentPolicy::Draining);
    world.pass(1_000);
    assert_eq!(config_of(&world, "b", number), before);
    assert_eq!(before.0, 1);
    // Then its instance says what follows.
    let instance = if instance == "a" { "b".into() } else { instance };
    let key = TaskKey::instance(world.uid("one"));
    let generation = world.agents[&instance].running[&key];
    world.want_tasks(&instance, Owned { task: key, generation }, 2, "3");
    world.pass(1_000);
    let after = config_of(&world, "b", number);
    assert_eq!((after.0, after.1.get("topic").map(String::as_str)), (2, Some("other")));
    assert_runs(&world, "one", 3);
}
