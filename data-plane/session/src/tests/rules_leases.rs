//! Leases, the gate, and the end of a session.

use super::rig::*;
use crate::{ConnectionId, Event};
use dray_model::message::*;
use dray_model::{LeasePolicy, Millis};

fn fenced() -> Order {
    Order::Fenced(Fenced {
        why: FencedWhy::DeclaredDead,
        detail: String::new(),
        retry_after_ms: 0,
    })
}

#[test]
fn the_lease_counts_from_sending() {
    let mut rig = Rig::up();
    rig.now += 1_000;
    rig.on(Event::Tick); // sends heartbeat 2
    let sent = rig.now;
    rig.now += 3_000;
    rig.hear(Order::HeartbeatAck(HeartbeatAck { seq: 2 }));
    assert_eq!(rig.gate().strict_until, Millis(sent + 30_000));
    assert_eq!(rig.gate().fenced_until, Millis(sent + 5_000));
    let before = rig.gate();
    rig.hear(Order::HeartbeatAck(HeartbeatAck { seq: 1 }));
    assert_eq!(rig.gate(), before, "late and out of order");
}

#[test]
fn strict_tasks_die_with_the_lease_and_fenced_ones_go_on() {
    let mut rig = Rig::up();
    let (free, strict) = (owned(task(1, 0), 5), owned(task(2, 0), 6));
    rig.assign(vec![assignment(free), assignment(strict)]);
    rig.on(Event::Disconnected(ConnectionId(1)));
    rig.pass(19_900);
    assert!(!rig.gate().suspect);
    rig.pass(100);
    assert!(rig.gate().suspect);
    assert!(!rig.pass(9_900).contains("kill"));
    assert!(rig.pass(100).contains("kill 2/0@6"));
    assert!(!rig.pass(60_000).contains("kill"));
    rig.reconnect_until_hello();
    assert_eq!(
        rig.last.iter().map(text).collect::<Vec<_>>(),
        ["say hello 1 1/0@5 2/0@6 stopping"]
    );
    rig.hear(Order::Welcome(welcome(1, &[(free, true), (strict, false)])));
    rig.ack();
    assert!(!rig.gate().suspect && !rig.gate().shut, "the session goes on");
    assert_eq!(
        rig.on(Event::Dead {
            owned: strict,
            clean: false
        }),
        "say stopped 2/0@6"
    );
}

#[test]
fn a_freeze_ends_the_lease_before_anything_else_is_heard() {
    let mut rig = Rig::up();
    let strict = owned(task(2, 0), 6);
    rig.assign(vec![assignment(strict)]);
    rig.now += 60_000;
    assert!(
        rig.on(Event::Report(report(strict, RunState::Running)))
            .contains("kill 2/0@6")
    );
}

#[test]
fn without_acknowledgement_or_commit_fenced_tasks_pause() {
    let mut rig = Rig::up();
    rig.writer("k");
    let acked = rig.now;
    rig.pass_acked(1_000);
    let until = rig.gate().fenced_until;
    assert!(until > Millis(acked + 5_000));
    rig.on(Event::Disconnected(ConnectionId(1)));
    rig.pass(6_000);
    assert!(Millis(rig.now) > rig.gate().fenced_until, "paused");
    let sent = rig.now - 50;
    rig.commit("k", sent);
    assert_eq!(
        rig.gate().fenced_until,
        Millis(sent + 5_000),
        "counted from when the commit was sent"
    );
    assert_eq!(
        rig.gate().strict_until,
        Millis(until.0 + 25_000),
        "a commit is no lease"
    );
    let before = rig.gate();
    rig.commit("k", sent - 1_000);
    rig.commit("other", sent + 50);
    rig.on(Event::WriterCommitted {
        session: session(9),
        cluster: cluster("k"),
        sent: Millis(rig.now),
    });
    assert_eq!(
        rig.gate(),
        before,
        "an older one, one of no writer, one of another session"
    );
}

#[test]
fn a_session_that_nobody_can_fence_is_strict() {
    let mut rig = Rig::up();
    let free = owned(task(1, 0), 5);
    rig.assign(vec![assignment(free)]);
    rig.writer("k");
    rig.on(Event::WriterWanted(cluster("n")));
    let refused = Event::WriterOpened {
        session: session(1),
        cluster: cluster("n"),
        refused: Some("no ACL".into()),
    };
    assert_eq!(rig.on(refused), "say refused n");
    assert_eq!(
        rig.hear(Order::WriterConfirmed(cluster("n"))),
        "use writer n",
        "its tasks start"
    );
    rig.on(Event::Disconnected(ConnectionId(1)));
    for _ in 0..29 {
        rig.pass(1_000);
        rig.commit("k", rig.now);
    }
    assert!(rig.gate().fenced_until <= rig.gate().strict_until);
    assert!(rig.pass(1_000).contains("kill 1/0@5"));
}

#[test]
fn a_session_ends_when_everything_of_it_is_dead() {
    type How = fn(&mut Rig) -> String;
    let declared: How = |rig| rig.hear(fenced());
    let other: How = |rig| {
        rig.reconnect();
        rig.hear(Order::Welcome(welcome(2, &[])))
    };
    let on_hello: How = |rig| {
        rig.reconnect();
        rig.hear(fenced())
    };
    let writer: How = |rig| {
        rig.fence("k");
        rig.await_connect();
        rig.on(Event::Connected(ConnectionId(rig.connection)));
        rig.hear(fenced())
    };
    for (name, how) in [
        ("declared", declared),
        ("other", other),
        ("on hello", on_hello),
        ("writer", writer),
    ] {
        let mut rig = Rig::up();
        rig.writer("k");
        let (one, two) = (owned(task(1, 0), 5), owned(task(1, 1), 6));
        let mut waiting = assignment(owned(task(1, 2), 7));
        waiting.fence_first = vec![dead_session(2, 3, &["k"])];
        rig.assign(vec![assignment(one), assignment(two), waiting]);
        let said = how(&mut rig);
        assert!(said.contains("kill 1/0@5; kill 1/1@6; disconnect"), "{name}: {said}");
        assert!(rig.gate().shut, "{name}");
        let kill = rig
            .last
            .iter()
            .position(|effect| matches!(effect, crate::Effect::Kill { .. }));
        let gate = rig
            .last
            .iter()
            .position(|effect| matches!(effect, crate::Effect::Gate(_)));
        assert!(gate.is_none() || gate < kill, "{name}: the gate shuts first");
        assert_eq!(rig.pass(10_000), "", "{name}: no word while anything lives");
        assert_eq!(rig.on(Event::FenceDone(owned(task(1, 2), 7))), "", "{name}");
        rig.on(Event::Dead {
            owned: one,
            clean: false,
        });
        assert_eq!(rig.pass(10_000), "", "{name}");
        let connects = rig.on(Event::Dead {
            owned: two,
            clean: false,
        });
        assert!(connects.starts_with("connect"), "{name}: {connects}");
        assert_eq!(
            rig.on(Event::Connected(ConnectionId(rig.connection))),
            "say hello none",
            "{name}"
        );
        assert!(rig.gate().shut, "{name}");
        rig.hear(Order::Welcome(welcome(3, &[])));
        rig.ack();
        assert!(!rig.gate().shut, "{name}");
        assert_eq!(
            rig.assign(vec![assignment(one)]),
            "say ack",
            "{name}: used in an earlier session"
        );
        assert_eq!(
            rig.assign(vec![assignment(owned(task(1, 0), 9))]),
            "say ack; start 1/0@9",
            "{name}"
        );
    }
}

#[test]
fn a_session_is_never_granted_twice() {
    let mut rig = Rig::up();
    rig.hear(fenced());
    rig.await_connect();
    rig.on(Event::Connected(ConnectionId(2)));
    let said = rig.hear(Order::Welcome(welcome(1, &[])));
    assert!(
        said.starts_with("warn session 1 was granted") && said.ends_with("disconnect 2"),
        "{said}"
    );
    rig.await_connect();
    rig.on(Event::Connected(ConnectionId(3)));
    assert_eq!(rig.hear(Order::Welcome(welcome(2, &[]))), "session 2");
}

#[test]
fn the_lease_is_the_leaders() {
    let mut rig = Rig::new();
    rig.on(Event::Connected(ConnectionId(1)));
    let lease = LeasePolicy {
        heartbeat_ms: 0,
        suspect_ms: 200,
        lease_ms: 300,
        stop_ms: 50,
        quiet_ms: 50,
    };
    rig.hear(Order::Welcome(Welcome {
        lease,
        ..welcome(1, &[])
    }));
    for _ in 0..1_000 {
        rig.now += 1;
        rig.on(Event::Tick);
    }
    assert!(rig.beats[&1] <= 11, "a leader cannot make an agent flood it");
}
