//! Assignments, revocations and generations.

use super::rig::*;
use crate::{ConnectionId, Event};
use dray_model::message::*;

#[test]
fn a_task_is_started_and_taken_away() {
    let mut rig = Rig::up();
    let one = owned(task(1, 0), 5);
    assert_eq!(rig.assign(vec![assignment(one)]), "say ack; start 1/0@5");
    assert_eq!(
        rig.assign(vec![assignment(one)]),
        "say ack",
        "a generation is used once"
    );
    assert_eq!(
        rig.on(Event::Report(report(one, RunState::Running))),
        "say event 1/0@5 Running"
    );
    assert_eq!(rig.on(Event::Report(report(one, RunState::Running))), "");
    assert_eq!(rig.revoke(one), "stop 1/0@5 in 5000; say ack");
    assert_eq!(rig.revoke(one), "say ack", "twice is once");
    assert_eq!(rig.on(Event::Report(report(one, RunState::Running))), "", "too late");
    assert_eq!(
        rig.on(Event::Dead {
            owned: one,
            clean: true
        }),
        "say stopped 1/0@5"
    );
    assert_eq!(
        rig.on(Event::Dead {
            owned: one,
            clean: true
        }),
        ""
    );
    assert_eq!(rig.assign(vec![assignment(one)]), "say ack", "nor after it is gone");
    assert_eq!(rig.assign(vec![assignment(owned(task(1, 0), 4))]), "say ack");
    assert_eq!(
        rig.assign(vec![assignment(owned(task(1, 0), 6))]),
        "say ack; start 1/0@6"
    );
}

#[test]
fn a_stop_that_hangs_becomes_a_kill() {
    let mut rig = Rig::up();
    let one = owned(task(1, 0), 5);
    rig.assign(vec![assignment(one)]);
    rig.revoke(one);
    assert_eq!(rig.pass_acked(4_900), "");
    assert_eq!(rig.pass_acked(200), "kill 1/0@5");
    assert_eq!(rig.pass_acked(20_000), "", "once");
}

#[test]
fn each_stop_that_hangs_has_a_deadline_of_its_own() {
    let mut rig = Rig::up();
    let tasks: Vec<_> = (0..3).map(|n| owned(task(1, n), 1)).collect();
    rig.assign(tasks.iter().map(|owned| assignment(*owned)).collect());
    let revocations = tasks
        .iter()
        .zip([1_000, 3_000, 2_000])
        .map(|(owned, graceful_ms)| Revocation {
            owned: *owned,
            graceful_ms,
            why: RevokedWhy::Moved,
        });
    rig.delta(revocations.collect(), Vec::new());
    for killed in [0, 2, 1] {
        assert_eq!(rig.pass_acked(900), "");
        assert_eq!(rig.pass_acked(100), format!("kill 1/{killed}@1"));
    }
}

#[test]
fn a_later_generation_waits_for_the_earlier_to_die() {
    let mut rig = Rig::up();
    let (one, two) = (owned(task(1, 0), 5), owned(task(1, 0), 6));
    rig.assign(vec![assignment(one)]);
    assert_eq!(rig.assign(vec![assignment(two)]), "stop 1/0@5 in 5000; say ack");
    assert_eq!(
        rig.reconnect(),
        "say hello 1 1/0@5 stopping 1/0@6",
        "both may still act"
    );
    rig.hear(Order::Welcome(welcome(1, &[(one, true), (two, true)])));
    rig.ack();
    assert_eq!(
        rig.on(Event::Dead {
            owned: one,
            clean: true
        }),
        "say stopped 1/0@5; start 1/0@6"
    );
    let again = Event::Dead {
        owned: one,
        clean: true,
    };
    assert_eq!(rig.on(again), "", "the later one lives");
    assert_eq!(rig.revoke(two), "stop 1/0@6 in 5000; say ack");
}

#[test]
fn a_revoked_successor_is_reported_when_its_predecessor_is_dead() {
    let mut rig = Rig::up();
    let (one, two) = (owned(task(1, 0), 5), owned(task(1, 0), 6));
    rig.assign(vec![assignment(one)]);
    rig.assign(vec![assignment(two)]);
    assert_eq!(rig.revoke(two), "say ack");
    assert_eq!(
        rig.on(Event::Dead {
            owned: one,
            clean: true
        }),
        "say stopped 1/0@5 1/0@6"
    );
}

#[test]
fn every_revocation_is_answered() {
    let mut rig = Rig::up();
    assert_eq!(
        rig.revoke(owned(task(1, 0), 5)),
        "say ack; say stopped 1/0@5",
        "never heard of"
    );
    assert_eq!(
        rig.assign(vec![assignment(owned(task(1, 0), 5))]),
        "say ack",
        "and never will be"
    );
    let one = owned(task(1, 0), 7);
    rig.assign(vec![assignment(one)]);
    assert_eq!(
        rig.revoke(owned(task(1, 0), 6)),
        "say ack; say stopped 1/0@6",
        "a later one runs on"
    );
    assert_eq!(
        rig.revoke(owned(task(1, 0), 8)),
        "stop 1/0@7 in 5000; say ack",
        "an earlier one runs"
    );
    assert_eq!(
        rig.on(Event::Dead {
            owned: one,
            clean: false
        }),
        "say stopped 1/0@7 1/0@8"
    );
    let mut fencing = assignment(owned(task(1, 0), 9));
    fencing.fence_first = vec![dead_session(2, 3, &["k"])];
    rig.assign(vec![fencing]);
    assert_eq!(
        rig.revoke(owned(task(1, 0), 9)),
        "say ack; say stopped 1/0@9",
        "never started"
    );
    assert_eq!(rig.on(Event::FenceDone(owned(task(1, 0), 9))), "");
}

#[test]
fn pausing_needs_no_generation() {
    let mut rig = Rig::up();
    let one = owned(task(1, 0), 5);
    let paused = |paused| {
        vec![Assignment {
            paused,
            ..assignment(one)
        }]
    };
    assert_eq!(rig.assign(paused(true)), "say ack; start paused 1/0@5");
    assert_eq!(rig.assign(paused(true)), "say ack");
    assert_eq!(rig.assign(paused(false)), "resume 1/0@5; say ack");
    assert_eq!(rig.assign(paused(true)), "pause 1/0@5; say ack");
    rig.revoke(one);
    assert_eq!(rig.assign(paused(false)), "say ack", "it is on its way out");
}

#[test]
fn a_task_starts_when_the_dead_are_fenced() {
    let mut rig = Rig::up();
    let one = owned(task(1, 0), 5);
    let dead = dead_session(2, 3, &["k"]);
    let mut first = assignment(one);
    first.fence_first = vec![dead.clone()];
    assert_eq!(rig.assign(vec![first]), "fence for 1/0@5; say ack");
    let fenced = Event::SessionFenced {
        dead: dead.session,
        cluster: cluster("k"),
    };
    assert_eq!(rig.on(fenced), "say fenced 3 k");
    assert_eq!(rig.on(Event::FenceDone(owned(task(1, 0), 4))), "");
    assert_eq!(
        rig.assign(vec![Assignment {
            paused: true,
            ..assignment(one)
        }]),
        "say ack"
    );
    assert_eq!(
        rig.on(Event::FenceDone(one)),
        "start paused 1/0@5",
        "as it was ordered last"
    );
}

#[test]
fn nothing_starts_before_the_lease_or_when_it_is_nearly_over() {
    let mut rig = Rig::new();
    rig.on(Event::Connected(ConnectionId(1)));
    rig.hear(Order::Welcome(welcome(1, &[])));
    assert_eq!(rig.assign(vec![assignment(owned(task(1, 0), 5))]), "say ack");
    assert_eq!(rig.ack(), "start 1/0@5");
    let mut late = assignment(owned(task(1, 1), 6));
    late.fence_first = vec![dead_session(2, 3, &["k"])];
    rig.assign(vec![late]);
    rig.on(Event::Disconnected(ConnectionId(1)));
    rig.pass(19_900);
    rig.pass(200);
    assert_eq!(rig.on(Event::FenceDone(owned(task(1, 1), 6))), "");
    rig.reconnect_until_hello();
    let keep = [(owned(task(1, 0), 5), true), (owned(task(1, 1), 6), true)];
    assert_eq!(rig.hear(Order::Welcome(welcome(1, &keep))), "");
    assert_eq!(rig.ack(), "start 1/1@6");
}

#[test]
fn what_is_not_named_or_not_ours_is_stopped() {
    let mut rig = Rig::up();
    let (one, two, three) = (owned(task(1, 0), 5), owned(task(1, 1), 6), owned(task(1, 2), 7));
    let mut waiting = assignment(owned(task(1, 3), 8));
    waiting.fence_first = vec![dead_session(2, 3, &[])];
    rig.assign(vec![assignment(one), assignment(two), assignment(three), waiting]);
    assert_eq!(rig.reconnect(), "say hello 1 1/0@5 1/1@6 1/2@7 1/3@8");
    assert_eq!(
        rig.on(Event::Dead {
            owned: three,
            clean: false
        }),
        "",
        "not before the Welcome"
    );
    let verdicts = [(one, true), (two, false), (three, true)];
    assert_eq!(
        rig.hear(Order::Welcome(welcome(1, &verdicts))),
        "stop 1/1@6 in 5000; say stopped 1/2@7 1/3@8"
    );
}

#[test]
fn a_death_without_a_stream_is_said_by_the_next_hello() {
    let mut rig = Rig::up();
    let one = owned(task(1, 0), 5);
    rig.assign(vec![assignment(one)]);
    rig.on(Event::Disconnected(ConnectionId(1)));
    assert_eq!(
        rig.on(Event::Dead {
            owned: one,
            clean: true
        }),
        ""
    );
    rig.reconnect_until_hello();
    assert_eq!(rig.last.iter().map(text).collect::<Vec<_>>(), ["say hello 1"]);
    assert_eq!(rig.hear(Order::Welcome(welcome(1, &[]))), "");
}

#[test]
fn nonsense_is_refused_by_task() {
    let mut rig = Rig::up();
    let unknown = owned(task(9, 0), 6);
    let fine = owned(task(1, 0), 7);
    assert_eq!(
        rig.assign(vec![assignment(unknown), assignment(fine)]),
        "say ack Connector 9/0@6; start 1/0@7"
    );
    assert_eq!(
        rig.assign(vec![assignment(unknown)]),
        "say ack",
        "that generation is used up"
    );
    // What runs under an earlier generation makes a refusal a lie: its death is reported.
    let delta = AssignmentDelta {
        nonce: 99,
        revocations: Vec::new(),
        connectors: Vec::new(),
        assignments: vec![assignment(owned(task(1, 0), 8))],
    };
    assert_eq!(
        rig.hear(Order::Assignments(Box::new(delta))),
        "stop 1/0@7 in 5000; say ack"
    );
    assert_eq!(
        rig.on(Event::Dead {
            owned: fine,
            clean: true
        }),
        "say stopped 1/0@7 1/0@8"
    );
    for stray in [
        Order::TaskConfigsStored { instance: fine },
        Order::Verdicts(vec![Verdict {
            owned: fine,
            keep: false,
        }]),
        Order::HeartbeatAck(HeartbeatAck { seq: 77 }),
        Order::WriterConfirmed(cluster("never opened")),
    ] {
        assert_eq!(rig.hear(stray), "");
    }
}

#[test]
fn leaving_for_a_while() {
    let mut rig = Rig::up();
    let (one, two) = (owned(task(1, 0), 5), owned(task(1, 1), 6));
    rig.assign(vec![assignment(one), assignment(two)]);
    assert_eq!(
        rig.on(Event::Leave {
            back_in_ms: Some(60_000)
        }),
        "say leaving Some(60000); stop 1/0@5 in 5000; stop 1/1@6 in 5000"
    );
    assert_eq!(
        rig.assign(vec![assignment(owned(task(1, 2), 7))]),
        "say ack Suspect 1/2@7"
    );
    assert_eq!(
        rig.on(Event::Dead {
            owned: one,
            clean: true
        }),
        "say stopped 1/0@5"
    );
    assert_eq!(
        rig.on(Event::Dead {
            owned: two,
            clean: true
        }),
        "say stopped 1/1@6; leave"
    );
    assert_eq!(rig.pass(10_000), "", "the end is the end");
}

#[test]
fn leaving_for_good() {
    let mut rig = Rig::up();
    let one = owned(task(1, 0), 5);
    rig.assign(vec![assignment(one)]);
    assert_eq!(rig.on(Event::Leave { back_in_ms: None }), "say leaving None");
    assert_eq!(rig.on(Event::Leave { back_in_ms: None }), "");
    assert_eq!(rig.pass_acked(1_000), "", "the leader takes tasks away one by one");
    assert_eq!(rig.revoke(one), "stop 1/0@5 in 5000; say ack");
    assert_eq!(
        rig.on(Event::Dead {
            owned: one,
            clean: true
        }),
        "say stopped 1/0@5; leave"
    );

    let mut rig = Rig::up();
    rig.assign(vec![assignment(one)]);
    rig.on(Event::Leave { back_in_ms: None });
    assert_eq!(rig.pass_acked(29_900), "");
    assert_eq!(rig.pass_acked(200), "kill 1/0@5; leave", "bounded");

    let mut rig = Rig::up();
    rig.assign(vec![assignment(one)]);
    rig.on(Event::Disconnected(ConnectionId(1)));
    assert_eq!(
        rig.on(Event::Leave { back_in_ms: None }),
        "stop 1/0@5 in 5000",
        "nobody would take it away"
    );
    assert_eq!(
        rig.on(Event::Dead {
            owned: one,
            clean: true
        }),
        "leave"
    );
    assert_eq!(
        Rig::new().on(Event::Leave { back_in_ms: None }),
        "leave",
        "nothing is held"
    );
}

#[test]
fn task_configurations_are_those_of_the_instance_that_runs() {
    let mut rig = Rig::up();
    let key = dray_model::TaskKey::instance(uid(1));
    let (one, two) = (owned(key, 5), owned(key, 6));
    let configs = |instance| {
        Event::TaskConfigs(TaskConfigs {
            instance,
            config_version: 1,
            tasks: Vec::new(),
        })
    };
    assert_eq!(rig.on(configs(one)), "", "it does not run");
    rig.assign(vec![assignment(one)]);
    assert_eq!(rig.on(configs(one)), "say configs 1/instance@5");
    rig.assign(vec![assignment(two)]);
    rig.on(Event::Dead {
        owned: one,
        clean: true,
    });
    assert_eq!(rig.on(configs(one)), "", "it is dead");
    assert_eq!(rig.on(configs(two)), "say configs 1/instance@6");
    rig.hear(Order::TaskConfigsStored { instance: one });
    rig.reconnect();
    let again = rig.hear(Order::Welcome(welcome(1, &[(two, true)])));
    assert_eq!(
        again, "say configs 1/instance@6",
        "an answer to the earlier one is none to this"
    );
    rig.hear(Order::TaskConfigsStored { instance: two });
    rig.reconnect();
    assert_eq!(rig.hear(Order::Welcome(welcome(1, &[(two, true)]))), "");
}
