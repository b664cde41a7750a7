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

#[test]
fn events_are_limited_and_the_heartbeat_has_the_rest() {
    let mut rig = Rig::up();
    let tasks: Vec<_> = (0..30).map(|n| owned(task(1, n), 1)).collect();
    rig.assign(tasks.iter().map(|owned| assignment(*owned)).collect());
    rig.pass_acked(1_500);
    let said: Vec<_> = tasks
        .iter()
        .map(|owned| rig.on(Event::Report(report(*owned, RunState::Running))))
        .collect();
    assert_eq!(said.iter().filter(|said| said.starts_with("say event")).count(), 20);
    let mut rest = 0;
    for _ in 0..10 {
        rig.pass(100);
        for effect in &rig.last {
            if let Effect::Send {
                message: FromAgent::Heartbeat(beat),
                ..
            } = effect
            {
                rest += beat.changed.len();
            }
        }
    }
    assert_eq!(rest, 10);
    assert_eq!(
        rig.on(Event::Report(report(tasks[0], RunState::Paused))),
        "say event 1/0@1 Paused"
    );
}

#[test]
fn long_traces_are_spread_over_heartbeats() {
    let mut rig = Rig::up();
    let tasks: Vec<_> = (0..200).map(|n| owned(task(1, n), 1)).collect();
    rig.assign(tasks.iter().map(|owned| assignment(*owned)).collect());
    for owned in &tasks {
        let mut failed = report(*owned, RunState::Failed);
        failed.trace = Some("x".repeat(20_000));
        rig.on(Event::Report(failed));
    }
    let (mut seen, mut beats) = (std::collections::BTreeSet::new(), 0);
    rig.reconnect();
    let keep: Vec<_> = tasks.iter().map(|owned| (*owned, true)).collect();
    rig.hear(Order::Welcome(welcome(1, &keep)));
    for _ in 0..25 {
        for effect in rig.last.clone() {
            if let Effect::Send {
                message: FromAgent::Heartbeat(beat),
                ..
            } = effect
            {
                beats += 1;
                let bytes: usize = beat
                    .changed
                    .iter()
                    .filter_map(|report| report.trace.as_ref())
                    .map(String::len)
                    .sum();
                assert!(bytes <= 1 << 20, "{bytes}");
                seen.extend(beat.changed.iter().map(|report| report.owned));
            }
        }
        rig.pass(100);
    }
    assert_eq!((seen.len(), beats), (200, 3));
}
