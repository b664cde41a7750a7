//! The machine, step by step.

use super::*;

fn at(ms: u64) -> Instant {
    use std::sync::OnceLock;
    static START: OnceLock<Instant> = OnceLock::new();
    *START.get_or_init(Instant::now) + Duration::from_millis(ms)
}

fn place(partition: i32) -> Place {
    Place {
        topic: Uuid::from_u128(7),
        partition,
    }
}

fn places(partitions: &[i32]) -> BTreeSet<Place> {
    partitions.iter().copied().map(place).collect()
}

fn partition(partition: i32) -> TopicPartition {
    TopicPartition {
        topic: "t".into(),
        partition,
    }
}

fn machine() -> Machine {
    let identity = Identity {
        patience: Duration::from_secs(240),
    };
    Machine::new(identity, vec!["t".to_owned()], at(0))
}

fn answer(epoch: i32, assignment: Option<&[i32]>) -> Event {
    let interval = Duration::from_secs(5);
    Event::Heartbeat(Ok(Answer {
        epoch,
        interval,
        assignment: assignment.map(places),
    }))
}

fn refused(code: &str, class: Class) -> Error {
    crate::codes::local("asking", code, "the test", class)
}

fn names() -> Event {
    Event::Named(BTreeMap::from([(Uuid::from_u128(7), "t".into())]))
}

fn offsets(committed: &[(i32, i64)]) -> Event {
    Event::Offsets(Ok(committed.iter().map(|(at, offset)| (place(*at), *offset)).collect()))
}

/// The one effect, or all of them as text.
fn one(effects: Vec<Effect>) -> Effect {
    let text = format!("{effects:?}");
    let mut effects = effects.into_iter();
    match (effects.next(), effects.next()) {
        (Some(effect), None) => effect,
        _ => panic!("not one: {text}"),
    }
}

fn beat(effects: Vec<Effect>) -> Heartbeat {
    let text = format!("{effects:?}");
    effects
        .into_iter()
        .find_map(|effect| {
            let Effect::Heartbeat(beat) = effect else {
                return None;
            };
            Some(beat)
        })
        .unwrap_or_else(|| panic!("no heartbeat: {text}"))
}

/// A member that has these partitions, in epoch 1, at 100 ms.
fn with(partitions: &[i32]) -> Machine {
    let mut machine = machine();
    machine.step(at(0), Event::Tick);
    machine.step(at(10), answer(1, Some(partitions)));
    machine.step(at(20), names());
    let effects = machine.step(at(30), offsets(&[]));
    assert!(matches!(effects[0], Effect::Assign(_)), "{effects:?}");
    assert_eq!(beat(effects).owned, Some(places(partitions)));
    let effects = machine.step(at(100), answer(1, None));
    assert!(effects.is_empty(), "{effects:?}");
    machine
}

#[test]
fn it_joins_and_is_told_where_to_go_on() {
    let mut machine = machine();
    let join = beat(machine.step(at(0), Event::Tick));
    let expected = Heartbeat {
        epoch: 0,
        full: true,
        topics: Some(vec!["t".to_owned()]),
        owned: Some(places(&[])),
    };
    assert_eq!(join, expected);
    assert!(machine.step(at(1), Event::Tick).is_empty(), "one at a time");
    assert_eq!(machine.deadline(), None);
    let effect = one(machine.step(at(10), answer(3, Some(&[0, 1]))));
    assert!(matches!(&effect, Effect::Name(ids) if ids.len() == 1), "{effect:?}");
    let effect = one(machine.step(at(20), names()));
    let Effect::ReadOffsets { epoch: 3, partitions } = effect else {
        panic!("{effect:?}")
    };
    assert_eq!(partitions, [(place(0), partition(0)), (place(1), partition(1))]);
    let effects = machine.step(at(30), offsets(&[(1, 40)]));
    let Effect::Assign(assigned) = &effects[0] else {
        panic!("{effects:?}")
    };
    let told: Vec<_> = assigned
        .iter()
        .map(|(_, place, offset)| (place.partition, *offset))
        .collect();
    assert_eq!(told, [(0, None), (1, Some(40))]);
    let acknowledged = beat(effects);
    let expected = Heartbeat {
        epoch: 3,
        full: false,
        topics: None,
        owned: Some(places(&[0, 1])),
    };
    assert_eq!(acknowledged, expected);
    machine.step(at(40), answer(3, None));
    assert_eq!(machine.deadline(), Some(at(5030)));
    let next = beat(machine.step(at(5030), Event::Tick));
    assert_eq!(
        next,
        Heartbeat {
            epoch: 3,
            full: false,
            topics: None,
            owned: None
        }
    );
}

/// Partitions are given up by the reader before that is acknowledged, and only then come new ones.
#[test]
fn revocation_comes_first() {
    let mut machine = with(&[0, 1]);
    let effect = one(machine.step(at(5100), Event::Tick));
    assert!(matches!(effect, Effect::Heartbeat(_)));
    let effect = one(machine.step(at(5110), answer(2, Some(&[1, 2]))));
    let Effect::Revoke(number, partitions) = effect else {
        panic!("{effect:?}")
    };
    assert_eq!(partitions, [partition(0)]);
    // Heartbeats go on while the reader commits, and say nothing of it.
    let meanwhile = beat(machine.step(at(10_110), Event::Tick));
    assert_eq!((meanwhile.epoch, meanwhile.owned), (2, None));
    assert!(
        machine.step(at(10_120), Event::Revoked(number + 1)).is_empty(),
        "the answer to another"
    );
    assert!(machine.step(at(10_130), answer(2, None)).is_empty());
    let effects = machine.step(at(10_140), Event::Revoked(number));
    let released = matches!(&effects[0], Effect::Release(given_up) if *given_up == [partition(0)]);
    let asked = matches!(&effects[1], Effect::ReadOffsets { epoch: 2, partitions } if *partitions == [(place(2), partition(2))]);
    assert!(released && asked, "{effects:?}");
    assert_eq!(beat(effects).owned, Some(places(&[1])));
    let effects = machine.step(at(10_150), offsets(&[(2, 9)]));
    assert!(
        matches!(&effects[..], [Effect::Assign(_)]),
        "the heartbeat waits for the one on its way: {effects:?}"
    );
    let acknowledged = beat(machine.step(at(10_160), answer(2, None)));
    assert_eq!(acknowledged.owned, Some(places(&[1, 2])));
}

#[test]
fn a_reader_that_does_not_answer_gives_up_all_the_same() {
    let mut machine = with(&[0]);
    machine.step(at(5100), Event::Tick);
    machine.step(at(5110), answer(2, Some(&[])));
    // Only heartbeats until then.
    let mut now = 5110;
    while now + 5000 < 5110 + 240_000 {
        now += 5000;
        assert!(matches!(one(machine.step(at(now), Event::Tick)), Effect::Heartbeat(_)));
        assert!(machine.step(at(now), answer(2, None)).is_empty());
    }
    let effects = machine.step(at(5110 + 240_000), Event::Tick);
    assert!(
        matches!(&effects[0], Effect::Release(given_up) if *given_up == [partition(0)]),
        "{effects:?}"
    );
}

#[test]
fn who_is_fenced_loses_all_and_joins_anew() {
    let mut machine = with(&[0, 1]);
    machine.step(at(5100), Event::Tick);
    let fenced = Refused::Fenced(refused("FencedMemberEpoch", Class::Fenced));
    let effects = machine.step(at(5110), Event::Heartbeat(Err(fenced)));
    assert!(
        matches!(&effects[0], Effect::Lose(lost) if lost.len() == 2),
        "{effects:?}"
    );
    let join = beat(effects);
    assert_eq!((join.epoch, join.full, join.owned), (0, true, Some(places(&[]))));
    // What was under way for the old ownership is over.
    assert!(machine.step(at(5120), offsets(&[])).is_empty());
}

/// What was being given up is lost as well, and no answer is awaited.
#[test]
fn who_is_fenced_while_revoking_has_lost_that_too() {
    let mut machine = with(&[0, 1]);
    machine.step(at(5100), Event::Tick);
    machine.step(at(5110), answer(2, Some(&[1])));
    machine.step(at(10_110), Event::Tick);
    let fenced = Refused::Fenced(refused("UnknownMemberId", Class::Fenced));
    let effects = machine.step(at(10_120), Event::Heartbeat(Err(fenced)));
    assert!(
        matches!(&effects[0], Effect::Lose(lost) if lost.len() == 2),
        "{effects:?}"
    );
    assert!(machine.step(at(10_130), Event::Revoked(1)).is_empty());
}

#[test]
fn who_is_to_stay_out_does() {
    let mut machine = with(&[0]);
    machine.step(at(200), Event::LeaveWhenLost);
    machine.step(at(5100), Event::Tick);
    let fenced = Refused::Fenced(refused("UnknownMemberId", Class::Fenced));
    let effects = machine.step(at(5110), Event::Heartbeat(Err(fenced)));
    assert!(
        matches!(&effects[..], [Effect::Leave, Effect::Lose(lost)] if lost.len() == 1),
        "{effects:?}"
    );
    assert_eq!(machine.deadline(), None);
    assert!(machine.step(at(5120), Event::Left).is_empty());
    assert!(
        machine
            .step(at(60_000), Event::Subscribe(vec!["u".to_owned()]))
            .is_empty()
    );
    let join = beat(machine.step(at(70_000), Event::Rejoin));
    assert_eq!((join.epoch, join.topics), (0, Some(vec!["u".to_owned()])));
    assert!(
        machine.step(at(70_001), Event::Rejoin).is_empty(),
        "nothing for a member that is in it"
    );
}

/// An error of the coordinator's own passes, or fails the task after a while.
#[test]
fn a_broken_coordinator_is_asked_again_for_a_while() {
    let mut machine = machine();
    let broken = || Event::Heartbeat(Err(Refused::Broken(refused("Unknown", Class::Fatal))));
    beat(machine.step(at(0), Event::Tick));
    assert!(machine.step(at(10), broken()).is_empty());
    assert_eq!(machine.deadline(), Some(at(60)));
    let mut now = 60;
    let told = loop {
        assert_eq!(beat(machine.step(at(now), Event::Tick)).epoch, 0);
        if let Some(effect) = machine.step(at(now), broken()).pop() {
            break effect;
        }
        assert!(now < 10_000, "it is never told");
        let next = machine.deadline().expect("another try");
        now = (next - at(0)).as_millis() as u64;
    };
    assert!(now >= 5010, "told after {now} ms");
    assert!(
        matches!(&told, Effect::Tell(error) if error.class == Class::Fatal),
        "{told:?}"
    );
}

/// Whether a heartbeat that failed was taken is not known: the next says everything.
#[test]
fn after_a_failure_everything_is_said_again() {
    let mut machine = with(&[0]);
    machine.step(at(5100), Event::Tick);
    let away = || {
        Event::Heartbeat(Err(Refused::Quiet(refused(
            "CoordinatorNotAvailable",
            Class::Retriable,
        ))))
    };
    assert!(machine.step(at(5110), away()).is_empty());
    assert_eq!(machine.deadline(), Some(at(5160)));
    let again = beat(machine.step(at(5160), Event::Tick));
    let expected = Heartbeat {
        epoch: 1,
        full: true,
        topics: Some(vec!["t".to_owned()]),
        owned: Some(places(&[0])),
    };
    assert_eq!(again, expected);
    // The reader hears of it when it lasts, and nothing is lost.
    let (mut now, mut told) = (5160, 0);
    while now < 20_000 {
        for effect in machine.step(at(now), away()) {
            assert!(
                matches!(&effect, Effect::Tell(error) if error.is_retriable()),
                "{effect:?}"
            );
            told += 1;
        }
        let next = machine.deadline().expect("another try");
        now = (next - at(0)).as_millis() as u64;
        beat(machine.step(next, Event::Tick));
    }
    assert_eq!(told, 2);
}

#[test]
fn a_refusal_that_does_not_pass_is_told_at_once() {
    let mut machine = machine();
    machine.step(at(0), Event::Tick);
    let error = refused("GroupAuthorizationFailed", Class::Fatal);
    let effect = one(machine.step(at(10), Event::Heartbeat(Err(Refused::Failed(error)))));
    assert!(matches!(&effect, Effect::Tell(error) if error.code == "GroupAuthorizationFailed"));
    assert!(machine.deadline().is_some(), "and tried again");
    let error = refused("UnsupportedFeature", Class::Fatal);
    machine.step(at(100), Event::Tick);
    let effect = one(machine.step(at(110), Event::Heartbeat(Err(Refused::Unsupported(error)))));
    assert!(matches!(effect, Effect::Unsupported(_)));
    assert_eq!(machine.deadline(), None);
}

#[test]
fn nothing_is_assigned_before_its_offset_is_known() {
    let mut machine = machine();
    machine.step(at(0), Event::Tick);
    machine.step(at(10), answer(1, Some(&[0])));
    machine.step(at(20), names());
    let unstable = Refused::Quiet(refused("UnstableOffsetCommit", Class::Retriable));
    assert!(machine.step(at(30), Event::Offsets(Err(unstable))).is_empty());
    assert_eq!(machine.deadline(), Some(at(80)));
    let effect = one(machine.step(at(80), Event::Tick));
    assert!(matches!(effect, Effect::ReadOffsets { .. }));
    // The member's epoch is old: a heartbeat asks for the new one, and the reader is not told that it is fenced.
    let stale = Refused::Stale(refused("StaleMemberEpoch", Class::Fenced));
    let effects = machine.step(at(90), Event::Offsets(Err(stale)));
    assert!(
        matches!(&effects[0], Effect::Tell(error) if error.is_retriable()),
        "{effects:?}"
    );
    beat(effects);
    machine.step(at(100), answer(2, None));
    let again = machine.step(at(200), Event::Tick);
    assert!(matches!(&again[0], Effect::ReadOffsets { epoch: 2, .. }), "{again:?}");
    // Meanwhile the partition goes to somebody else: it is never told of.
    machine.step(at(5200), Event::Tick);
    machine.step(at(5210), answer(3, Some(&[])));
    let effects = machine.step(at(5220), offsets(&[(0, 4)]));
    assert!(
        !effects.iter().any(|effect| matches!(effect, Effect::Assign(_))),
        "{effects:?}"
    );
}

/// Who came too early for an assignment asks for it, but not for ever.
#[test]
fn who_came_too_early_asks_again() {
    let mut machine = machine();
    machine.step(at(0), Event::Tick);
    machine.step(at(10), answer(1, Some(&[])));
    let mut beats = 0;
    let mut now = 0;
    while now < 20_000 {
        let next = machine.deadline().expect("a heartbeat");
        now = (next - at(0)).as_millis() as u64;
        beat(machine.step(next, Event::Tick));
        machine.step(next, answer(1, None));
        beats += 1;
    }
    assert_eq!(beats, 16 + 3, "every 0.4 s for 6 s, then every 5 s");
}

#[test]
fn a_topic_without_a_name_waits_for_one() {
    let mut machine = machine();
    machine.step(at(0), Event::Tick);
    machine.step(at(10), answer(1, Some(&[0])));
    assert!(machine.step(at(20), Event::Named(BTreeMap::new())).is_empty());
    assert_eq!(machine.deadline(), Some(at(1020)));
    let effect = one(machine.step(at(1020), Event::Tick));
    assert!(matches!(effect, Effect::Name(_)));
    // It is gone before anybody knew it.
    machine.step(at(1030), Event::Named(BTreeMap::new()));
    machine.step(at(5000), Event::Tick);
    machine.step(at(5010), Event::Named(BTreeMap::new()));
    machine.step(at(5020), answer(2, Some(&[])));
    let effects = machine.step(at(5500), Event::Tick);
    assert!(
        !effects.iter().any(|effect| matches!(effect, Effect::Name(_))),
        "{effects:?}"
    );
}

#[test]
fn it_leaves_once() {
    let mut machine = with(&[0]);
    assert!(matches!(one(machine.step(at(200), Event::Close)), Effect::Leave));
    assert!(machine.step(at(210), Event::Close).is_empty());
    assert!(matches!(one(machine.step(at(220), Event::Left)), Effect::End));
    // Who never asked to join just ends.
    let mut machine = Machine::new(
        Identity {
            patience: Duration::ZERO,
        },
        Vec::new(),
        at(0),
    );
    assert!(
        machine.step(at(0), Event::Tick).is_empty(),
        "there is nothing to join for"
    );
    assert!(matches!(one(machine.step(at(10), Event::Close)), Effect::End));
}

#[test]
fn a_changed_subscription_is_said_at_once() {
    let mut machine = with(&[0]);
    let topics = vec!["t".to_owned(), "u".to_owned()];
    let said = beat(machine.step(at(200), Event::Subscribe(topics.clone())));
    assert_eq!(
        (said.full, said.topics, said.owned),
        (false, Some(topics.clone()), None)
    );
    // While a heartbeat is on its way it waits for the answer.
    let less = vec!["t".to_owned()];
    assert!(machine.step(at(210), Event::Subscribe(less.clone())).is_empty());
    assert_eq!(beat(machine.step(at(220), answer(2, None))).topics, Some(less));
}
