//! The stream: attempts, terms, silence, what is said again.

use super::rig::*;
use crate::{ConnectionId, Effect, Event};
use dray_model::Millis;
use dray_model::message::*;

#[test]
fn the_first_words() {
    let mut rig = Rig::new();
    assert_eq!(rig.last.iter().map(text).collect::<Vec<_>>(), ["connect 1"]);
    assert_eq!(rig.on(Event::Connected(ConnectionId(1))), "say hello none");
    assert_eq!(rig.hear(Order::Welcome(welcome(1, &[]))), "session 1");
    assert_eq!(rig.beats.get(&1), Some(&1), "the first heartbeat does not wait");
    assert!(rig.gate().suspect && !rig.gate().shut, "a Welcome is no lease");
    rig.ack();
    assert!(!rig.gate().suspect);
    assert_eq!(rig.gate().strict_until, Millis(rig.now + 30_000));
}

#[test]
fn attempts_are_spread_and_at_most_a_second_apart() {
    let mut all = std::collections::BTreeSet::new();
    for seed in 0..50 {
        let mut rig = Rig::seeded(seed);
        for attempt in 0..12u32 {
            let broke = rig.now;
            rig.on(Event::Disconnected(ConnectionId(rig.connection)));
            while rig.connection == u64::from(attempt) + 1 {
                rig.pass(10);
            }
            let (waited, most) = (rig.now - broke, (200u64 << attempt).min(1_000));
            assert!(waited <= most + 10, "{waited} ms before attempt {attempt}");
            all.insert(waited);
        }
    }
    assert!(
        all.len() > 50 && all.iter().any(|wait| *wait > 800),
        "full jitter: {all:?}"
    );
}

#[test]
fn where_the_leader_is_said_to_be_is_tried_once() {
    let mut rig = Rig::new();
    rig.on(Event::Connected(ConnectionId(1)));
    let not = NotLeader {
        endpoints: vec!["there:1".into()],
        retry_after_ms: 400,
    };
    assert_eq!(rig.hear(Order::NotLeader(not)), "disconnect 1");
    assert_eq!(rig.pass(390), "", "not before it was told to");
    assert_eq!(rig.pass(1_000), "connect 2 there:1");
    rig.on(Event::Disconnected(ConnectionId(2)));
    assert_eq!(rig.pass(1_000), "connect 3");
}

#[test]
fn a_silent_leader_is_left() {
    let mut rig = Rig::new();
    assert_eq!(rig.pass(4_900), "");
    assert!(rig.pass(1_100).starts_with("disconnect 1; connect 2"), "not even open");
    rig.on(Event::Connected(ConnectionId(2)));
    assert_eq!(rig.pass(4_900), "");
    assert!(rig.pass(1_100).starts_with("disconnect 2; connect 3"), "no Welcome");
    rig.on(Event::Connected(ConnectionId(3)));
    rig.hear(Order::Welcome(welcome(1, &[])));
    assert_eq!(rig.pass_acked(20_000), "");
    assert_eq!(rig.pass(4_900), "");
    assert!(
        rig.pass(1_100).starts_with("disconnect 3; connect 4"),
        "no acknowledgement"
    );
}

#[test]
fn old_streams_are_not_heard() {
    let mut rig = Rig::up();
    rig.reconnect();
    let old = ConnectionId(1);
    for body in [
        Order::Welcome(welcome(1, &[])),
        Order::HeartbeatAck(HeartbeatAck { seq: 1 }),
    ] {
        let message = ToAgent { term: term(9), body };
        assert_eq!(
            rig.on(Event::Message {
                connection: old,
                message
            }),
            ""
        );
    }
    assert_eq!(rig.on(Event::Disconnected(old)), "");
    assert_eq!(rig.on(Event::Connected(old)), "");
}

#[test]
fn lower_terms_are_not_heard() {
    let mut rig = Rig::up();
    rig.term = 4;
    assert_eq!(rig.assign(vec![assignment(owned(task(1, 0), 1))]), "");
    let fenced = || {
        Order::Fenced(Fenced {
            why: FencedWhy::DeclaredDead,
            detail: String::new(),
            retry_after_ms: 0,
        })
    };
    assert_eq!(rig.hear(fenced()), "", "an old leader ends no session");
    assert_eq!(rig.reconnect(), "say hello 1");
    assert_eq!(rig.hear(Order::Welcome(welcome(1, &[]))), "disconnect 2");
    rig.await_connect();
    rig.on(Event::Connected(ConnectionId(3)));
    assert_eq!(rig.hear(fenced()), "disconnect 3", "nor does it in answer to Hello");
    rig.await_connect();
    rig.on(Event::Connected(ConnectionId(4)));
    rig.term = 6;
    assert_eq!(rig.hear(Order::Welcome(welcome(1, &[]))), "");
    rig.term = 7;
    assert_eq!(rig.ack(), "disconnect 4", "a leader of another term is greeted first");
    rig.await_connect();
    rig.on(Event::Connected(ConnectionId(5)));
    rig.term = 6;
    assert_eq!(
        rig.hear(Order::Welcome(welcome(1, &[]))),
        "",
        "only what was accepted counts"
    );
}

#[test]
fn what_a_broken_stream_may_have_lost_is_said_again() {
    let mut rig = Rig::up();
    let (instance, sink) = (owned(dray_model::TaskKey::instance(uid(1)), 1), owned(task(1, 0), 2));
    rig.assign(vec![assignment(instance), assignment(sink)]);
    let configs = TaskConfigs {
        instance,
        config_version: 1,
        tasks: Vec::new(),
    };
    rig.on(Event::Report(report(sink, RunState::Running)));
    rig.on(Event::TaskConfigs(configs));
    rig.on(Event::WriterWanted(cluster("k")));
    rig.on(Event::WriterOpened {
        session: session(1),
        cluster: cluster("k"),
        refused: None,
    });
    rig.on(Event::SessionFenced {
        dead: dead_session(3, 4, &[]).session,
        cluster: cluster("k"),
    });
    rig.on(Event::Check(sink));
    rig.hear(Order::Command(command(8)));
    rig.on(Event::Disconnected(ConnectionId(1)));
    let done = Event::CommandDone { id: 8, error: None };
    assert_eq!(rig.on(done), "");
    rig.await_connect();
    rig.on(Event::Connected(ConnectionId(2)));
    assert_eq!(
        rig.hear(Order::Welcome(welcome(1, &[(instance, true), (sink, true)]))),
        "say fenced 4 k; say opened k; say configs 1/instance@1; say check 1/0@2; say result 8 None"
    );
    let all = rig.last.iter().find_map(|effect| match effect {
        Effect::Send {
            message: FromAgent::Heartbeat(beat),
            ..
        } => Some(beat.changed.iter().map(|report| report.state).collect::<Vec<_>>()),
        _ => None,
    });
    assert_eq!(
        all,
        Some(vec![RunState::Running, RunState::Starting]),
        "all tasks in the first heartbeat"
    );
    assert_eq!(rig.hear(Order::TaskConfigsStored { instance }), "");
    rig.hear(Order::WriterConfirmed(cluster("k")));
    rig.hear(Order::Verdicts(vec![Verdict {
        owned: sink,
        keep: true,
    }]));
    rig.reconnect();
    let again = rig.hear(Order::Welcome(welcome(1, &[(instance, true), (sink, true)])));
    assert_eq!(again, "say fenced 4 k", "the rest was answered");
}

pub(super) fn command(id: u64) -> Command {
    let what = CommandWhat::FenceSessions {
        connector: connector(1),
        dead: Vec::new(),
    };
    Command { id, what }
}

#[test]
fn commands_are_answered_to_the_leader_that_gave_them() {
    let mut rig = Rig::up();
    assert_eq!(rig.hear(Order::Command(command(1))), "command 1");
    assert_eq!(rig.hear(Order::Command(command(1))), "", "twice is once");
    let error = Some("no".to_string());
    assert_eq!(rig.on(Event::CommandDone { id: 1, error }), "say result 1 Some(\"no\")");
    assert_eq!(rig.hear(Order::Command(command(2))), "command 2");
    rig.reconnect();
    rig.term = 6;
    rig.hear(Order::Welcome(welcome(1, &[])));
    assert_eq!(
        rig.on(Event::CommandDone { id: 2, error: None }),
        "",
        "the new leader counts anew"
    );
    for id in 0..64 {
        rig.hear(Order::Command(command(id)));
    }
    assert!(
        rig.hear(Order::Command(command(99))).starts_with("say result 99 Some"),
        "bounded"
    );
}

#[test]
fn a_welcome_that_does_not_fit_is_refused() {
    let mut rig = Rig::new();
    rig.on(Event::Connected(ConnectionId(1)));
    let mut other = welcome(1, &[]);
    other.protocol = 2;
    assert!(
        rig.hear(Order::Welcome(other))
            .starts_with("warn the control plane wants protocol 2")
    );
    let mut rig = Rig::up();
    assert_eq!(
        rig.hear(Order::Welcome(welcome(1, &[]))),
        "disconnect 1",
        "it is the first word"
    );
}

#[test]
fn every_refusal_is_said_to_people_once() {
    for (why, word) in [
        (FencedWhy::DuplicateId, "another process"),
        (FencedWhy::Removed, "was removed"),
        (FencedWhy::Protocol, "no protocol"),
        (FencedWhy::OtherCluster, "another cluster"),
    ] {
        let mut rig = Rig::new();
        for attempt in 1..4 {
            rig.on(Event::Connected(ConnectionId(attempt)));
            let fenced = Fenced {
                why,
                detail: "x".into(),
                retry_after_ms: 3_000,
            };
            let said = rig.hear(Order::Fenced(fenced));
            assert_eq!(said.contains(word) && said.contains("x"), attempt == 1, "{said}");
            assert_eq!(rig.pass(2_900), "");
            rig.await_connect();
        }
    }
}

/// How many tasks each message of changes has, and how many the heartbeats have, that the last step brought.
fn told(rig: &Rig) -> (Vec<usize>, usize) {
    let (mut events, mut beats) = (Vec::new(), 0);
    for effect in &rig.last {
        if let Effect::Send { message, .. } = effect {
            match message {
                FromAgent::TaskEvents(reports) => events.push(reports.len()),
                FromAgent::Heartbeat(beat) => beats += beat.changed.len(),
                _ => {}
            }
        }
    }
    (events, beats)
}

/// With so many tasks that start.
fn with_tasks(count: u32) -> (Rig, Vec<Owned>) {
    let mut rig = Rig::up();
    let tasks: Vec<_> = (0..count).map(|n| owned(task(1, n), 1)).collect();
    rig.assign(tasks.iter().map(|owned| assignment(*owned)).collect());
    rig.pass_acked(1_500);
    (rig, tasks)
}

#[test]
fn changes_are_collected_and_never_wait_for_the_heartbeat() {
    let (mut rig, tasks) = with_tasks(1_200);
    let started = rig.now;
    for owned in &tasks {
        rig.on(Event::Report(report(*owned, RunState::Running)));
        let expected = if *owned == tasks[0] { vec![1] } else { vec![] };
        assert_eq!(told(&rig), (expected, 0), "the first at once, the others together");
    }
    for expected in [500, 500, 199] {
        assert_eq!(rig.session.wake_at(), Some(Millis(rig.now + 15)));
        rig.pass(14);
        assert_eq!(told(&rig), (vec![], 0));
        rig.pass(1);
        assert_eq!(told(&rig), (vec![expected], 0));
    }
    assert_eq!((rig.session.wake_at(), rig.now - started), (None, 45));
    rig.pass(1_000);
    assert_eq!(told(&rig).1, 0, "all was said");
}

#[test]
fn a_leader_that_does_not_answer_is_told_with_the_heartbeat() {
    let (mut rig, tasks) = with_tasks(2);
    let mut said = Vec::new();
    for n in 0..200 {
        let state = if n % 2 == 0 {
            RunState::Running
        } else {
            RunState::Paused
        };
        rig.on(Event::Report(report(tasks[0], state)));
        said.extend(told(&rig).0);
        rig.now += 15;
    }
    assert_eq!(said.len(), 128);
    assert_eq!(rig.session.wake_at(), None);
    rig.on(Event::Report(report(tasks[1], RunState::Running)));
    let mut beaten = 0;
    while beaten == 0 {
        rig.pass(100);
        assert_eq!(told(&rig).0, Vec::<usize>::new());
        beaten = told(&rig).1;
    }
    assert_eq!(beaten, 2);
    rig.on(Event::Report(report(tasks[0], RunState::Running)));
    assert_eq!(rig.ack(), "say event 1/0@1 Running", "it answers again");
}

#[test]
fn long_traces_are_spread_over_messages() {
    let mut rig = Rig::up();
    let tasks: Vec<_> = (0..200).map(|n| owned(task(1, n), 1)).collect();
    rig.assign(tasks.iter().map(|owned| assignment(*owned)).collect());
    for owned in &tasks {
        let mut failed = report(*owned, RunState::Failed);
        failed.trace = Some("x".repeat(20_000));
        rig.on(Event::Report(failed));
    }
    rig.reconnect();
    let keep: Vec<_> = tasks.iter().map(|owned| (*owned, true)).collect();
    rig.hear(Order::Welcome(welcome(1, &keep)));
    // All of them are due with the first heartbeat, and 8 KiB are kept of each trace.
    let (events, beaten) = told(&rig);
    assert_eq!((events, beaten), (vec![8], 128));
    let mut rest = Vec::new();
    for _ in 0..8 {
        rig.pass(15);
        rest.extend(told(&rig).0);
    }
    assert_eq!(rest, [8; 8], "the watch looks at their bytes");
    assert_eq!(rig.session.wake_at(), None);
}
