//! Streams, sessions, leases and silence.

use super::super::*;
use super::main_path::{assert_runs, world};
use super::world::*;
use dray_model::message::*;
use dray_model::{AgentPolicy, Instance};

#[test]
fn only_the_latest_stream_of_an_agent_counts() {
    let mut world = world();
    let older = world.agents["a"].stream.unwrap();
    world.connect("a");
    let from = world.said.len();
    let seq = 77;
    let heartbeat = Heartbeat {
        seq,
        changed: Vec::new(),
        cpu_millis: 0,
        memory_bytes: 0,
    };
    world.step(Event::Message {
        connection: older,
        message: FromAgent::Heartbeat(heartbeat),
    });
    world.step(Event::Closed(older));
    assert_eq!(world.said.len(), from, "{:?}", &world.said[from..]);
    assert_eq!(world.shown_agents["a"].link, LinkState::Connected);
    world.pass(2_000);
    assert_runs(&world, "one", 3);
}

#[test]
fn the_first_message_is_hello_and_there_is_only_one() {
    let mut world = world();
    let connection = ConnectionId(999);
    let checked = FromAgent::GenerationCheck(Vec::new());
    let effects = world.machine.step(
        world.now,
        Event::Message {
            connection,
            message: checked,
        },
    );
    assert_eq!(effects, [Effect::Close(connection)]);
    let hello = FromAgent::Hello(Box::new(world.agents["a"].hello.clone()));
    world.say("a", hello);
    assert!(world.agents["a"].closed);
    assert!(world.shown_agents["a"].problem.as_ref().unwrap().contains("twice"));
}

#[test]
fn a_session_survives_a_broken_stream() {
    let mut world = world();
    let session = world.agents["a"].session;
    let held = world.agents["a"].running.clone();
    let from = world.said.len();
    world.disconnect("a");
    world.pass(500);
    world.connect("a");
    world.pass(3_000);
    assert_eq!(world.welcomes("a", from)[0].session, session.unwrap());
    assert!(world.welcomes("a", from)[0].verdicts.iter().all(|verdict| verdict.keep));
    assert_eq!(world.agents["a"].running, held);
    assert!(world.deltas("a", from).is_empty() && world.deltas("b", from).is_empty());
    assert_runs(&world, "one", 3);
}

#[test]
fn what_a_session_owns_and_does_not_hold_is_assigned_again() {
    let mut world = world();
    let (key, generation) = world.agent("a").running.pop_first().unwrap();
    let (from, writes) = (world.said.len(), world.writes);
    world.connect("a");
    let again = world.assignments("a", from);
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].owned.task, key);
    assert!(again[0].owned.generation > generation);
    assert_eq!(world.writes, writes, "the owner is the same, so nothing is written");
}

#[test]
fn a_verdict_says_stop_for_what_is_another_s() {
    let mut world = world();
    let stray = world.key("one", 200);
    let owned = world.agents["b"]
        .running
        .iter()
        .next()
        .map(|(key, generation)| (*key, *generation))
        .unwrap();
    let from = world.said.len();
    let generation = owned.1;
    world.agent("a").running.extend([(stray, generation), owned]);
    let held = world.agents["a"].running.len();
    world.connect("a");
    let verdicts = &world.welcomes("a", from)[0].verdicts;
    let stopped: Vec<_> = verdicts
        .iter()
        .filter(|verdict| !verdict.keep)
        .map(|of| of.owned.task)
        .collect();
    assert_eq!((verdicts.len(), stopped.len()), (held, 2));
    assert!(stopped.contains(&stray) && stopped.contains(&owned.0));
}

#[test]
fn a_session_that_is_over_is_fenced() {
    let mut world = world();
    world.freeze("a");
    world.pass(2_000);
    assert_eq!(world.record("a").session, None);
    let from = world.said.len();
    world.agent("a").frozen = false;
    world.connect("a");
    assert_eq!(world.fenced("a", from), [FencedWhy::DeclaredDead]);
    world.pass(1_000);
    assert_eq!(world.shown_agents["a"].link, LinkState::Connected);
    assert_runs(&world, "one", 3);
}

#[test]
fn a_process_that_proves_its_predecessor_dead_gets_its_tasks_back_at_once() {
    let mut world = world();
    let held: Vec<_> = world.agents["a"].running.keys().copied().collect();
    world.open_writer("a", "kafka", None);
    let session = world.agents["a"].session;
    world.restart("a", true);
    assert_eq!(world.agents["a"].running.keys().copied().collect::<Vec<_>>(), held);
    let record = world.record("a");
    assert!(record.session > session && record.dead_sessions.is_empty() && record.clusters.is_empty());
    assert_runs(&world, "one", 3);
}

#[test]
fn a_process_without_proof_waits_until_the_other_is_declared_dead() {
    let mut world = world();
    let session = world.agents["a"].session.unwrap();
    world.open_writer("a", "kafka", None);
    let from = world.said.len();
    world.restart("a", false);
    assert_eq!(world.fenced("a", from), [FencedWhy::DuplicateId]);
    assert!(
        world.shown_agents["a"]
            .problem
            .as_ref()
            .unwrap()
            .contains("another process")
    );
    world.pass(2_000);
    world.connect("a");
    let first = world.assignments("b", from)[0];
    assert_eq!(first.fence_first[0].session.session, session);
    assert!(world.agents["a"].session.is_some_and(|new| new > session));
    world.pass(1_000);
    assert_runs(&world, "one", 3);
}

#[test]
fn a_living_agent_keeps_its_id() {
    let mut world = world();
    let stream = world.agents["a"].stream;
    let session = world.agents["a"].session;
    let mut hello = world.agents["a"].hello.clone();
    hello.instance = Instance(4_711);
    hello.previous_instance = None;
    hello.session = None;
    hello.held.clear();
    for _ in 0..100 {
        world.pass(1_000);
        let event = Event::Message {
            connection: ConnectionId(5_000 + world.now.0),
            message: FromAgent::Hello(Box::new(hello.clone())),
        };
        let effects = world.machine.step(world.now, event);
        let fenced = effects.iter().any(|effect| {
            matches!(effect, Effect::Send { message, .. } if matches!(&message.body, Order::Fenced(fenced) if fenced.why == FencedWhy::DuplicateId))
        });
        assert!(fenced, "{effects:?}");
    }
    assert_eq!((world.agents["a"].stream, world.agents["a"].session), (stream, session));
    assert_runs(&world, "one", 3);
}

#[test]
fn welcome_waits_for_the_record() {
    let mut world = World::new();
    world.held = Some(Default::default());
    world.start("a");
    assert!(world.said.is_empty());
    world.release();
    assert_eq!(world.welcomes("a", 0).len(), 1);
    // The same for the next session of an agent that is known.
    let from = world.said.len();
    world.restart("a", true);
    assert!(world.welcomes("a", from).is_empty());
    world.release();
    assert_eq!(world.welcomes("a", from).len(), 1);
}

#[test]
fn nothing_counts_before_welcome() {
    let mut world = world();
    world.held = Some(Default::default());
    world.restart("a", true);
    let stream = world.agents["a"].stream.unwrap();
    let from = world.said.len();
    let beat = Heartbeat {
        seq: 1,
        changed: Vec::new(),
        cpu_millis: 0,
        memory_bytes: 0,
    };
    world.step(Event::Message {
        connection: stream,
        message: FromAgent::Heartbeat(beat),
    });
    assert_eq!(world.said.len(), from);
    assert_eq!(world.shown_agents["a"].link, LinkState::Silent);
    world.flow();
    assert_eq!(world.shown_agents["a"].link, LinkState::Connected);
    assert_runs(&world, "one", 3);
}

#[test]
fn a_session_that_was_never_said_is_used_by_the_next_hello() {
    let mut world = World::new();
    world.held = Some(Default::default());
    world.start("a");
    world.disconnect("a");
    world.release();
    let writes = world.writes;
    world.connect("a");
    assert_eq!((world.welcomes("a", 0).len(), world.writes), (1, writes));
}

#[test]
fn many_newcomers_are_written_together() {
    let mut world = World::new();
    world.held = Some(Default::default());
    for id in 0..60 {
        world.start(&format!("a{id}"));
    }
    world.release(); // the first one's
    world.release(); // 50 of those that came meanwhile
    world.release();
    assert_eq!(world.machine.agents.len(), 60);
    let numbers: BTreeSet<_> = world.machine.agents.values().map(|agent| agent.record.number).collect();
    assert_eq!(numbers.len(), 60);
    assert!(world.agents.values().all(|agent| agent.session.is_some()));
}

#[test]
fn nothing_is_answered_while_we_may_not() {
    let mut world = world();
    let machine_until = world.now.plus(4_000);
    world.valid = false;
    let from = world.said.len();
    world.pass(4_100);
    let acks: Vec<_> = world.said[from..]
        .iter()
        .filter(|(_, order)| matches!(order, Order::HeartbeatAck(_)))
        .collect();
    assert!(!acks.is_empty() && world.now > machine_until);
    let from = world.said.len();
    world.create("three", &[("connector.class", "Source"), ("tasks", "1")]);
    world.open_writer("a", "kafka", None);
    let any = world.agents["a"].running.iter().next().map(|(task, generation)| Owned {
        task: *task,
        generation: *generation,
    });
    world.say("a", FromAgent::GenerationCheck(any.into_iter().collect()));
    world.pass(2_000);
    assert_eq!(world.said.len(), from, "{:?}", &world.said[from..]);
    // A Hello is sent away.
    world.connect("b");
    assert!(matches!(world.said.last(), Some((_, Order::NotLeader(_)))));
    // What was held back is said when we may again.
    world.valid = true;
    world.pass(100);
    world.connect("b");
    world.pass(1_000);
    assert!(
        world
            .told("a", from)
            .contains(&&Order::WriterConfirmed(cluster("kafka")))
    );
    assert_runs(&world, "three", 1);
}

#[test]
fn a_silent_agent_loses_its_tasks_and_a_late_heartbeat_keeps_them() {
    let mut world = world();
    let generations: Vec<_> = (0..3).map(|number| world.owner("one", number)).collect();
    world.agent("a").frozen = true; // its stream stays open
    world.pass(4_000);
    assert_eq!(world.shown_agents["a"].link, LinkState::Silent);
    world.agent("a").frozen = false;
    world.pass(2_000);
    assert_eq!(world.shown_agents["a"].link, LinkState::Connected);
    assert_eq!(
        generations,
        (0..3).map(|number| world.owner("one", number)).collect::<Vec<_>>()
    );
    let from = world.said.len();
    world.agent("a").frozen = true;
    world.pass(6_500);
    assert_eq!(world.shown_agents["a"].link, LinkState::Gone);
    assert_eq!(world.fenced("a", from), [FencedWhy::DeclaredDead]);
    world.agent("a").die();
    assert_runs(&world, "one", 3);
}

#[test]
fn many_broken_streams_are_waited_for_longer() {
    let mut world = World::new();
    for id in 0..30 {
        world.start(&format!("a{id}"));
    }
    world.create("one", &[("connector.class", "Source"), ("tasks", "60")]);
    world.pass(1_000);
    let from = world.said.len();
    for id in 0..4 {
        world.disconnect(&format!("a{id}"));
    }
    world.pass(9_000);
    for id in 0..4 {
        world.connect(&format!("a{id}"));
    }
    world.pass(20_000);
    assert!(
        world.said[from..]
            .iter()
            .all(|(_, order)| !matches!(order, Order::Assignments(_)))
    );
    // Three of thirty are few.
    for id in 0..3 {
        world.freeze(&format!("a{id}"));
    }
    world.pass(1_500);
    for id in 0..3 {
        world.agent(&format!("a{id}")).die();
    }
    assert_runs(&world, "one", 60);
}

#[test]
fn a_new_leader_declares_nobody_dead_before_the_others_are_back() {
    let mut world = world();
    world.start("c");
    world.pass(1_000);
    world.elect_alone();
    world.connect("b");
    world.agent("a").frozen = true;
    world.agent("c").frozen = true;
    world.pass(14_000);
    assert!(world.record("a").session.is_some());
    world.pass(3_000);
    assert_eq!(world.record("a").session, None, "15 s are over");
}

#[test]
fn most_agents_back_is_enough_for_a_new_leader() {
    let mut world = World::new();
    for id in 0..10 {
        world.start(&format!("a{id}"));
    }
    world.create("one", &[("connector.class", "Source"), ("tasks", "20")]);
    world.pass(1_000);
    world.agent("a0").frozen = true;
    world.elect();
    world.pass(8_000);
    world.agent("a0").die();
    assert_runs(&world, "one", 20);
}

#[test]
fn nothing_moves_when_nobody_is_heard() {
    let mut world = world();
    world.freeze("a");
    world.freeze("b");
    world.pass(120_000);
    assert!(world.record("a").session.is_some() && world.record("b").session.is_some());
    world.agent("a").frozen = false;
    world.connect("a");
    world.pass(1_000);
    assert_eq!(world.record("b").session, None, "somebody is heard again, so b is dead");
    world.agent("b").die();
    assert_runs(&world, "one", 3);
}

#[test]
fn wrong_agents_are_told_why() {
    let mut world = World::new();
    let mut first = World::new();
    first.start("a");
    let mut hello = first.agents["a"].hello.clone();
    let mut connection = 100;
    let mut say = |world: &mut World, hello: &Hello| {
        connection += 1;
        let event = Event::Message {
            connection: ConnectionId(connection),
            message: FromAgent::Hello(Box::new(hello.clone())),
        };
        let effects = world.machine.step(world.now, event);
        effects
            .into_iter()
            .find_map(|effect| match effect {
                Effect::Send { message, .. } => Some(message.body),
                Effect::Close(_) | Effect::Write(_) | Effect::Show(_) | Effect::Answer(_) | Effect::Resign(_) => None,
            })
            .map(|order| {
                if let Order::Fenced(fenced) = order {
                    format!("{:?}: {}", fenced.why, fenced.detail)
                } else {
                    format!("{order:?}")
                }
            })
            .unwrap_or_default()
    };
    hello.session = None;
    hello.held.clear();
    hello.cluster = "other".into();
    assert_eq!(
        say(&mut world, &hello),
        "OtherCluster: its group.id is `other`, and this is cluster `dray`"
    );
    hello.cluster = "dray".into();
    for (protocol, word) in [
        ((2, 9), "speaks protocols 2 to 9"),
        ((0, 0), "0 to 0"),
        ((5, 1), "5 to 1"),
    ] {
        hello.protocol = protocol;
        let said = say(&mut world, &hello);
        assert!(said.starts_with("Protocol: ") && said.contains(word), "{said}");
    }
    hello.protocol = (1, 7);
    hello.max_term = Some(std::num::NonZeroU64::new(99).unwrap().into());
    assert!(say(&mut world, &hello).starts_with("NotLeader"));
    hello.max_term = None;
    hello.session = Term::from(std::num::NonZeroU64::new(1).unwrap()).session(1);
    assert!(say(&mut world, &hello).starts_with("DeclaredDead"));
}

#[test]
fn a_removed_agent_is_emptied_and_sent_away() {
    let mut world = world();
    let from = world.said.len();
    world.policy("a", AgentPolicy::Removed);
    world.pass(1_000);
    assert_eq!(world.fenced("a", from), [FencedWhy::Removed]);
    assert_runs(&world, "one", 3);
    assert!((-1..3).all(|number| world.runner("one", number) == "b"));
    world.connect("a");
    assert_eq!(world.fenced("a", from).len(), 2);
}

#[test]
fn an_agent_that_comes_back_finds_its_tasks() {
    let mut world = world();
    let held: Vec<_> = world.agents["a"].running.clone().into_iter().collect();
    let from = world.said.len();
    let intent = LeaveIntent {
        expect_back_ms: Some(60_000),
    };
    world.say("a", FromAgent::LeaveIntent(intent));
    let owned = world.owned("a", true);
    world.stop("a", owned);
    world.agent("a").frozen = true;
    world.disconnect("a");
    world.pass(30_000);
    assert_eq!(world.shown_agents["a"].link, LinkState::Returning);
    assert!(world.assignments("b", from).is_empty());
    world.restart("a", true);
    world.pass(1_000);
    let keys: Vec<_> = held.iter().map(|(key, _)| *key).collect();
    assert_eq!(world.agents["a"].running.keys().copied().collect::<Vec<_>>(), keys);
    assert_runs(&world, "one", 3);
}

#[test]
fn an_agent_that_does_not_come_back_loses_them() {
    let mut world = world();
    let intent = LeaveIntent {
        expect_back_ms: Some(20_000),
    };
    world.say("a", FromAgent::LeaveIntent(intent));
    world.freeze("a");
    world.pass(19_000);
    assert!(world.record("a").session.is_some());
    world.pass(3_000);
    world.agent("a").die();
    assert_runs(&world, "one", 3);
}

#[test]
fn an_agent_that_leaves_for_good_hands_over() {
    let mut world = world();
    world.say("a", FromAgent::LeaveIntent(LeaveIntent { expect_back_ms: None }));
    world.pass(500);
    assert!(world.agents["a"].running.is_empty());
    assert_runs(&world, "one", 3);
    assert!(world.record("a").dead_sessions.is_empty());
}

#[test]
fn policy_changes_by_others_are_kept() {
    let mut world = world();
    world.held = Some(Default::default());
    world.open_writer("a", "kafka", None);
    // Somebody drains the agent while our write is under way: ours conflicts, and is made anew on top.
    world.policy("a", AgentPolicy::Cordoned);
    world.release();
    assert!(world.record("a").clusters.is_empty());
    world.release();
    let record = world.record("a");
    assert_eq!(record.policy, AgentPolicy::Cordoned);
    assert!(record.clusters.contains(&cluster("kafka")));
    assert_eq!(world.shown_agents["a"].policy, AgentPolicy::Cordoned);
}

#[test]
fn a_drained_agent_is_shown_as_such() {
    let mut world = world();
    world.policy("a", AgentPolicy::Draining);
    world.pass(10_000);
    assert!(world.shown_agents["a"].drained);
    assert_runs(&world, "one", 3);
}

#[test]
fn the_tasks_of_a_restarting_agent_are_held_for_it() {
    let mut world = world();
    let held: Vec<_> = world.agents["a"].running.keys().copied().collect();
    world.policy("a", AgentPolicy::Restarting);
    let from = world.said.len();
    world.freeze("a");
    world.pass(60_000);
    assert!(world.assignments("b", from).is_empty());
    world.restart("a", true);
    world.pass(1_000);
    assert_eq!(world.agents["a"].running.keys().copied().collect::<Vec<_>>(), held);
    assert_runs(&world, "one", 3);
}

#[test]
fn a_hello_of_an_older_stream_ends_no_session() {
    let mut world = world();
    let running = world.agents["a"].running.clone();
    let session = world.record("a").session;
    // Sent before its session began, and delayed; the process has not shut itself down since.
    let mut hello = world.agents["a"].hello.clone();
    (hello.session, hello.held) = (None, Vec::new());
    for broken in [false, true] {
        if broken {
            world.disconnect("a");
        }
        let message = FromAgent::Hello(Box::new(hello.clone()));
        let connection = ConnectionId(0);
        world.step(Event::Message { connection, message });
        assert_eq!(world.record("a").session, session);
    }
    world.connect("a");
    world.pass(500);
    assert_eq!(world.agents["a"].running, running);
}
