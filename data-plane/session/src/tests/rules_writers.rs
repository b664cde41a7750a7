//! Writers (F2, F3) and checks of single ownerships (F4).

use super::rig::*;
use crate::{ConnectionId, Event};
use dray_model::message::*;

#[test]
fn a_writer_is_used_when_the_leader_knows_of_it() {
    let mut rig = Rig::up();
    let k = || cluster("k");
    assert_eq!(rig.on(Event::WriterWanted(k())), "open writer k");
    assert_eq!(rig.on(Event::WriterWanted(k())), "", "once");
    assert_eq!(
        rig.hear(Order::WriterConfirmed(k())),
        "",
        "F2: confirmed before it was opened is not confirmed"
    );
    let opened = |id| Event::WriterOpened {
        session: session(id),
        cluster: k(),
        refused: None,
    };
    assert_eq!(rig.on(opened(9)), "", "of another session");
    assert_eq!(rig.on(opened(1)), "say opened k");
    assert_eq!(rig.on(opened(1)), "");
    assert_eq!(rig.on(Event::WriterWanted(k())), "");
    assert_eq!(rig.hear(Order::WriterConfirmed(k())), "use writer k");
    assert_eq!(rig.hear(Order::WriterConfirmed(k())), "");
    assert_eq!(rig.on(Event::WriterWanted(k())), "use writer k");
}

#[test]
fn a_fenced_writer_may_only_have_timed_out() {
    for away in [false, true] {
        let mut rig = Rig::up();
        rig.writer("k");
        let one = owned(task(1, 0), 5);
        rig.assign(vec![assignment(one)]);
        if away {
            rig.on(Event::Disconnected(ConnectionId(1)));
        }
        rig.fence("k");
        assert!(rig.gate().shut, "at once");
        rig.fence("k");
        assert!(!rig.pass(20_000).contains("kill"), "the tasks stay in memory");
        assert!(rig.gate().shut);
        rig.reconnect_until_hello();
        assert_eq!(rig.last.iter().map(text).collect::<Vec<_>>(), ["say hello 1 1/0@5"]);
        assert_eq!(rig.hear(Order::Welcome(welcome(1, &[(one, true)]))), "open writer k");
        rig.ack();
        assert_eq!(
            rig.assign(vec![assignment(owned(task(1, 1), 6))]),
            "say ack",
            "nothing starts meanwhile"
        );
        let opened = Event::WriterOpened {
            session: session(1),
            cluster: cluster("k"),
            refused: None,
        };
        assert_eq!(rig.on(opened), "say opened k");
        assert!(rig.gate().shut, "not before it is confirmed");
        assert_eq!(
            rig.hear(Order::WriterConfirmed(cluster("k"))),
            "use writer k; start 1/1@6"
        );
        assert!(!rig.gate().shut);
        assert!(
            rig.fence("k").contains("kill 1/0@5"),
            "twice in a minute is no time-out"
        );
    }
}

#[test]
fn two_writers_may_time_out_together() {
    let mut rig = Rig::up();
    rig.writer("k");
    rig.writer("n");
    assert_eq!(rig.fence("k"), "disconnect 1");
    rig.reconnect_until_hello();
    assert_eq!(rig.hear(Order::Welcome(welcome(1, &[]))), "open writer k");
    assert_eq!(rig.fence("n"), format!("disconnect {}", rig.connection));
    rig.reconnect_until_hello();
    assert_eq!(rig.hear(Order::Welcome(welcome(1, &[]))), "open writer n");
    for name in ["k", "n"] {
        assert!(rig.gate().shut);
        rig.on(Event::WriterOpened {
            session: session(1),
            cluster: cluster(name),
            refused: None,
        });
        rig.hear(Order::WriterConfirmed(cluster(name)));
    }
    assert!(!rig.gate().shut);
    rig.pass_acked(61_000);
    assert!(
        !rig.fence("k").contains("kill"),
        "a minute later it may be another time-out"
    );
    assert_eq!(rig.fence("other"), "");
}

#[test]
fn a_check_is_answered_by_the_leader() {
    let mut rig = Rig::up();
    rig.writer("k");
    let (one, two) = (owned(task(1, 0), 5), owned(task(1, 1), 6));
    rig.assign(vec![assignment(one), assignment(two)]);
    assert_eq!(rig.on(Event::Check(one)), "say check 1/0@5");
    rig.now += 10;
    assert_eq!(
        rig.commit("k", rig.now),
        "",
        "with the leader there, it is the leader's word"
    );
    let verdict = |owned, keep| Order::Verdicts(vec![Verdict { owned, keep }]);
    assert_eq!(rig.hear(verdict(one, true)), "checked 1/0@5 true");
    assert_eq!(rig.hear(verdict(one, false)), "", "asked once, answered once");
    rig.on(Event::Check(two));
    assert_eq!(
        rig.pass_acked(2_000),
        "say check 1/1@6; say check 1/1@6",
        "until it is answered"
    );
    assert_eq!(rig.hear(verdict(two, false)), "checked 1/1@6 false; kill 1/1@6");
    assert_eq!(rig.on(Event::Check(two)), "checked 1/1@6 false");
    assert_eq!(
        rig.on(Event::Check(owned(task(1, 0), 4))),
        "checked 1/0@4 false",
        "long gone"
    );
}

#[test]
fn without_the_leader_a_later_commit_answers() {
    let mut rig = Rig::up();
    rig.writer("k");
    rig.writer("n");
    let one = owned(task(1, 0), 5);
    rig.assign(vec![assignment(one)]);
    rig.on(Event::Disconnected(ConnectionId(1)));
    rig.now += 1_000;
    let asked = rig.now;
    assert!(!rig.on(Event::Check(one)).contains("checked"));
    rig.now += 10;
    assert_eq!(rig.commit("k", asked), "", "sent before the question, perhaps");
    assert_eq!(rig.commit("n", asked), "", "sent before the question, perhaps");
    assert_eq!(rig.commit("k", asked + 1), "", "of one cluster only");
    assert_eq!(rig.commit("n", asked + 2), "checked 1/0@5 true");
    // A lost writer proves nothing, whatever it committed before, and the question waits for the leader.
    rig.on(Event::Check(one));
    rig.now += 10;
    assert_eq!(rig.commit("k", rig.now), "");
    rig.fence("k");
    assert_eq!(rig.commit("n", rig.now), "");
    rig.reconnect_until_hello();
    let said = rig.hear(Order::Welcome(welcome(1, &[(one, true)])));
    assert_eq!(said, "open writer k; say check 1/0@5");
}
