//! Against a partition that loses answers, refuses and forgets.

use super::*;
use crate::codes::local;
use crate::error::Class;
use crate::wire::batch::compression::Codec;
use crate::wire::batch::decode::{Most, Records};
use proptest::prelude::*;
use std::collections::BTreeMap;

const LEADER: i32 = 1;
const ID: i64 = 77;

fn settings(pairs: &[(&str, &str)]) -> Settings {
    // A record fills a batch.
    let mut all = BTreeMap::from([
        ("batch.size".to_owned(), "1".to_owned()),
        ("linger.ms".to_owned(), "0".to_owned()),
        ("retry.backoff.ms".to_owned(), "0".to_owned()),
    ]);
    all.extend(
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned())),
    );
    Settings::read(&all).expect("settings")
}

fn push(track: &mut Track, number: u64, settings: &Settings) -> Pushed {
    let value = number.to_be_bytes();
    let record = ProduceRecord {
        topic: "t",
        partition: None,
        timestamp: None,
        key: None,
        value: Some(&value),
        headers: &[],
        sequence: number,
    };
    track.push(&record, 0, (1, Open::bound(&record)), Instant::now(), settings)
}

fn track() -> Track {
    Track::new("t".into(), 0)
}

/// What the one record of a batch holds: in front of its end there is only the number of its headers.
fn number(parcel: &Parcel) -> u64 {
    let records = &parcel.records;
    u64::from_be_bytes(
        records[records.len() - 9..records.len() - 1]
            .try_into()
            .expect("eight bytes"),
    )
}

fn stamp(parcel: &Parcel) -> (i16, i32) {
    let head = &parcel.head;
    (
        i16::from_be_bytes([head[51], head[52]]),
        i32::from_be_bytes(head[53..57].try_into().expect("four bytes")),
    )
}

/// A partition of a broker, as far as one producer is concerned.
#[derive(Default)]
struct Partition {
    log: Vec<u64>,
    /// Once it has anything of the producer.
    epoch: Option<i16>,
    next: i32,
    /// The last five batches.
    known: VecDeque<(i32, i64)>,
}

impl Partition {
    fn append(&mut self, parcel: &Parcel) -> Answer {
        let (epoch, sequence) = stamp(parcel);
        assert!(
            self.epoch.is_none_or(|known| epoch >= known),
            "nothing goes under an old epoch behind a newer one"
        );
        if self.epoch.is_some_and(|known| epoch > known) {
            if sequence != 0 {
                return Answer::Sequence;
            }
            self.next = 0;
            self.known.clear();
        }
        if self.epoch.is_none() {
            // Whatever comes first is taken.
            self.next = sequence;
        }
        if let Some((_, offset)) = self.known.iter().find(|(known, _)| *known == sequence) {
            return Answer::Stored(*offset);
        }
        if sequence != self.next {
            return Answer::Sequence;
        }
        self.epoch = Some(epoch);
        let offset = self.log.len() as i64;
        self.log.push(number(parcel));
        self.next += 1;
        self.known.push_back((sequence, offset));
        if self.known.len() > 5 {
            self.known.pop_front();
        }
        Answer::Stored(offset)
    }
}

/// What happens to a batch on its way.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Goes,
    /// It does not arrive, or is not stored for now.
    Fails,
    /// It is stored, and the answer is lost.
    Unheard,
    Refused,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        6 => Just(Fate::Goes),
        2 => Just(Fate::Fails),
        2 => Just(Fate::Unheard),
        1 => Just(Fate::Refused),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Each record ends once; what is stored is stored once, in order; what is refused is not stored.
    #[test]
    fn nothing_is_lost_doubled_or_overtaken(
        fates in prop::collection::vec(fate(), 0..60),
        turns in prop::collection::vec(any::<bool>(), 0..300),
        named in any::<bool>(),
    ) {
        let settings = settings(&[]);
        let (mut track, mut partition) = (track(), Partition::default());
        let mut identity = Identity { id: ID, epoch: 0 };
        let mut fates = fates.into_iter();
        let mut flying: VecDeque<Parcel> = VecDeque::new();
        let mut ended: BTreeMap<u64, bool> = BTreeMap::new();
        let take_in = |done: Done, ended: &mut BTreeMap<u64, bool>| {
            for ack in done.acks {
                for sequence in ack.sequences() {
                    assert!(ended.insert(sequence, ack.outcome.is_ok()).is_none(), "{sequence} ended twice");
                }
            }
        };
        for sequence in 0..40 {
            push(&mut track, sequence, &settings);
        }
        let mut turns = turns.into_iter();
        for _ in 0..10_000 {
            if track.is_empty() {
                break;
            }
            let now = Instant::now();
            let mode = if named { Mode::Named(identity) } else { Mode::Own(identity) };
            let due = track.due(now, mode, Some(LEADER), &settings);
            let answer_first = !flying.is_empty() && turns.next().unwrap_or(true);
            match due {
                Due::Now if !answer_first => {
                    flying.push_back(track.take(mode, LEADER, Instant::now(), &settings).expect("it is due"));
                    prop_assert!(flying.len() <= 5);
                    continue;
                }
                Due::Epoch => identity.epoch += 1,
                Due::Now | Due::At(_) | Due::No => {}
            }
            let Some(parcel) = flying.pop_front() else { continue };
            let answer = match fates.next().unwrap_or(Fate::Goes) {
                Fate::Goes => partition.append(&parcel),
                Fate::Fails => Answer::Again { at_once: false },
                Fate::Unheard => {
                    partition.append(&parcel);
                    Answer::Again { at_once: true }
                }
                Fate::Refused => Answer::Refused(local("t", "InvalidRecord", "no", Class::Fatal)),
            };
            let before = partition.log.len();
            let done = track.answered(parcel.number, answer, now, &settings);
            prop_assert_eq!(partition.log.len(), before);
            take_in(done, &mut ended);
        }
        prop_assert!(track.is_empty(), "it came to an end");
        prop_assert_eq!(ended.len(), 40);
        let stored: Vec<u64> = ended.iter().filter(|(_, stored)| **stored).map(|(number, _)| *number).collect();
        // A batch that was stored without anybody hearing of it, and refused when it was sent again, is in the log all the same; and
        // then its followers, sent under a new epoch, cannot be told from new ones.
        let log = partition.log;
        let unsure = log.iter().filter(|number| !ended[*number]).count();
        if unsure == 0 {
            prop_assert_eq!(log, stored);
        }
    }
}

/// A partition that takes batches up to a size only. Records hold their numbers; those that [`is_huge`] says it takes in no batch.
struct Narrow {
    most: usize,
    log: Vec<u64>,
    epoch: i16,
    next: i32,
    known: VecDeque<(i32, usize, i64)>,
}

fn is_huge(number: u64) -> bool {
    number % 16 == 5
}

fn numbers(parcel: &Parcel) -> Vec<u64> {
    let bytes = [&parcel.head[..], &parcel.records].concat().into();
    let all = Most {
        records: usize::MAX,
        bytes: usize::MAX,
    };
    let batch = Records::new(bytes, 0, None).take(&"t".into(), 0, all);
    let batch = batch.expect("well formed").expect("not empty");
    let values = batch.records.iter().map(|record| {
        let value = batch.bytes(record.value.as_ref().expect("a value"));
        u64::from_be_bytes(value.try_into().expect("eight bytes"))
    });
    values.collect()
}

impl Narrow {
    fn append(&mut self, parcel: &Parcel) -> Answer {
        let (epoch, sequence) = stamp(parcel);
        let numbers = numbers(parcel);
        // As a broker does, before it looks at the producer.
        if numbers.len() > self.most || numbers.iter().copied().any(is_huge) {
            return Answer::TooLarge(local("t", "MessageSizeTooLarge", "no", Class::Fatal));
        }
        assert!(
            epoch >= self.epoch,
            "nothing goes under an old epoch behind a newer one"
        );
        if epoch > self.epoch {
            if sequence != 0 {
                return Answer::Sequence;
            }
            self.next = 0;
            self.known.clear();
        }
        let of_it = |(first, count, _): &&(i32, usize, i64)| (*first, *count) == (sequence, numbers.len());
        if let Some((.., offset)) = self.known.iter().find(of_it) {
            return Answer::Stored(*offset);
        }
        if sequence != self.next {
            return Answer::Sequence;
        }
        let offset = self.log.len() as i64;
        self.epoch = epoch;
        self.next += numbers.len() as i32;
        self.known.push_back((sequence, numbers.len(), offset));
        if self.known.len() > 5 {
            self.known.pop_front();
        }
        self.log.extend(numbers);
        Answer::Stored(offset)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whatever is too large for the partition is there once and in its place, in batches that are not; a record that is too large by
    /// itself fails alone, and a batch that was passed on whole fails once, when all else that it holds is there.
    #[test]
    fn what_is_too_large_is_sent_in_parts(
        pushes in prop::collection::vec((1..9_u64, any::<bool>()), 1..12),
        most in 1..7_usize,
        fates in prop::collection::vec(fate(), 0..60),
        turns in prop::collection::vec(any::<bool>(), 0..300),
        batch_size in prop_oneof![Just("1"), Just("250"), Just("2000")],
        is_named in any::<bool>(),
    ) {
        let settings = settings(&[("batch.size", batch_size)]);
        let mut track = track();
        let mut partition = Narrow { most, log: Vec::new(), epoch: 0, next: 0, known: VecDeque::new() };
        let mut identity = Identity { id: ID, epoch: 0 };
        // Which records an acknowledgement is about, by its sequence.
        let mut about: BTreeMap<u64, std::ops::Range<u64>> = BTreeMap::new();
        let (mut next, mut bytes) = (0, 0);
        for (count, is_whole) in pushes {
            if is_whole {
                let mut open = Open::with_capacity(0);
                for number in next..next + count {
                    let value = number.to_be_bytes();
                    let record = ProduceRecord {
                        topic: "t", partition: None, timestamp: None, key: None, value: Some(&value), headers: &[], sequence: 0,
                    };
                    open.push(&record, 0);
                }
                track.pass(open.seal(Codec::None, None), next, 50, Instant::now(), &settings);
                about.insert(next, next..next + count);
                bytes += 50;
            } else {
                for number in next..next + count {
                    push(&mut track, number, &settings);
                    about.insert(number, number..number + 1);
                    bytes += 1;
                }
            }
            next += count;
        }
        let (mut fates, mut turns) = (fates.into_iter(), turns.into_iter());
        let mut flying: VecDeque<Parcel> = VecDeque::new();
        let mut ended: BTreeMap<u64, Option<i64>> = BTreeMap::new();
        for _ in 0..10_000 {
            if track.is_empty() {
                break;
            }
            let now = Instant::now();
            let mode = if is_named { Mode::Named(identity) } else { Mode::Own(identity) };
            let answer_first = !flying.is_empty() && turns.next().unwrap_or(true);
            match track.due(now, mode, Some(LEADER), &settings) {
                Due::Now if !answer_first => {
                    flying.push_back(track.take(mode, LEADER, Instant::now(), &settings).expect("it is due"));
                    continue;
                }
                Due::Epoch => identity.epoch += 1,
                Due::Now | Due::At(_) | Due::No => {}
            }
            let Some(parcel) = flying.pop_front() else { continue };
            let answer = match fates.next().unwrap_or(Fate::Goes) {
                Fate::Goes | Fate::Refused => partition.append(&parcel),
                Fate::Fails => Answer::Again { at_once: false },
                Fate::Unheard => {
                    partition.append(&parcel);
                    Answer::Again { at_once: true }
                }
            };
            let done = track.answered(parcel.number, answer, now, &settings);
            bytes -= done.bytes;
            for ack in done.acks {
                let first = ack.outcome.as_ref().ok().map(|first| first.offset);
                for (sequence, at) in ack.sequences().zip(0..) {
                    let offset = first.map(|first| first + at);
                    prop_assert!(ended.insert(sequence, offset).is_none(), "{sequence} ended twice");
                }
            }
        }
        prop_assert!(track.is_empty(), "it came to an end");
        prop_assert_eq!(bytes, 0);
        let fitting: Vec<u64> = (0..next).filter(|number| !is_huge(*number)).collect();
        prop_assert_eq!(&partition.log, &fitting);
        prop_assert_eq!(ended.keys().collect::<Vec<_>>(), about.keys().collect::<Vec<_>>());
        for (sequence, records) in about {
            let stored = !records.clone().any(is_huge);
            let place = partition.log.iter().position(|number| *number == records.start);
            let expected = place.filter(|_| stored).map(|place| place as i64);
            prop_assert_eq!(ended[&sequence], expected, "{}", sequence);
        }
    }
}

#[test]
fn the_first_goes_at_once_and_others_gather_while_it_is_on_its_way() {
    let settings = settings(&[("batch.size", "1000"), ("linger.ms", "5")]);
    let mode = Mode::Own(Identity { id: ID, epoch: 0 });
    let mut track = track();
    let now = Instant::now();
    assert_eq!(track.due(now, mode, Some(LEADER), &settings), Due::No);
    assert_eq!(
        push(&mut track, 0, &settings),
        Pushed {
            sealed: false,
            begins: true
        }
    );
    assert_eq!(track.due(now, mode, Some(LEADER), &settings), Due::Now);
    let first = track.take(mode, LEADER, now, &settings).expect("due");
    let later = now + Duration::from_secs(1);
    push(&mut track, 1, &settings);
    let unknown = track.due(later, mode, Some(LEADER), &settings);
    assert_eq!(unknown, Due::No, "the broker may know nothing of the producer");
    let done = track.answered(first.number, Answer::Stored(70), now, &settings);
    assert_eq!((done.records, done.acks.len()), (1, 1));
    assert!(
        matches!(track.due(now, mode, Some(LEADER), &settings), Due::At(_)),
        "the first has just left"
    );
    assert_eq!(track.due(now + PACE, mode, Some(LEADER), &settings), Due::Now);
    let second = track.take(mode, LEADER, now + PACE, &settings).expect("due");
    assert!(push(&mut track, 2, &settings).begins);
    assert!(!push(&mut track, 3, &settings).begins);
    assert!(matches!(track.due(now, mode, Some(LEADER), &settings), Due::At(_)));
    assert_eq!(track.due(later, mode, Some(LEADER), &settings), Due::Now);
    let moved = track.due(later, mode, Some(2), &settings);
    assert_eq!(moved, Due::No, "the old leader has not answered");
    track.answered(second.number, Answer::Stored(71), now, &settings);
    assert_eq!(track.due(later, mode, Some(2), &settings), Due::Now);
    let third = track.take(mode, 2, Instant::now(), &settings).expect("due");
    assert_eq!(stamp(&third), (0, 2));
    let done = track.answered(third.number, Answer::Stored(72), now, &settings);
    assert_eq!((done.records, done.acks.len(), done.acks[0].count), (2, 1, 2));
    assert!(track.is_empty());
}

#[test]
fn without_idempotence_one_batch_is_on_its_way() {
    let settings = settings(&[("enable.idempotence", "false")]);
    let mut track = track();
    let now = Instant::now();
    for sequence in 0..3 {
        push(&mut track, sequence, &settings);
    }
    let first = track.take(Mode::Plain, LEADER, now, &settings).expect("due");
    assert_eq!(stamp(&first), (-1, -1));
    assert_eq!(track.due(now, Mode::Plain, Some(LEADER), &settings), Due::No);
    track.answered(first.number, Answer::Again { at_once: true }, now, &settings);
    assert_eq!(track.due(now, Mode::Plain, Some(LEADER), &settings), Due::Now);
    let again = track.take(Mode::Plain, LEADER, now, &settings).expect("due");
    assert_eq!((number(&first), number(&again)), (0, 0));
}

#[test]
fn a_renewed_name_is_taken_up_between_batches() {
    let settings = settings(&[]);
    let mode = |epoch| Mode::Named(Identity { id: ID, epoch });
    let mut track = track();
    let now = Instant::now();
    for sequence in 0..4 {
        push(&mut track, sequence, &settings);
    }
    // What is due is not asked here.
    let first = track.take(mode(3), LEADER, Instant::now(), &settings).expect("due");
    let second = track.take(mode(4), LEADER, Instant::now(), &settings).expect("due");
    assert_eq!((stamp(&first), stamp(&second)), ((3, 0), (3, 1)), "one is on its way");
    track.answered(first.number, Answer::Stored(0), now, &settings);
    track.answered(second.number, Answer::Again { at_once: true }, now, &settings);
    let second = track.take(mode(4), LEADER, Instant::now(), &settings).expect("due");
    assert_eq!(stamp(&second), (3, 1), "it may be stored: only its old sequence tells");
    track.answered(second.number, Answer::Stored(1), now, &settings);
    let third = track.take(mode(4), LEADER, Instant::now(), &settings).expect("due");
    assert_eq!(stamp(&third), (4, 0));
}

#[test]
fn what_waits_too_long_fails_in_order_and_the_epoch_moves_on() {
    let settings = settings(&[("delivery.timeout.ms", "1000")]);
    let mode = Mode::Own(Identity { id: ID, epoch: 0 });
    let mut track = track();
    let now = Instant::now();
    push(&mut track, 0, &settings);
    push(&mut track, 1, &settings);
    let first = track.take(mode, LEADER, Instant::now(), &settings).expect("due");
    let (done, again) = track.expire(now + Duration::from_secs(5), settings.delivery_timeout);
    assert!(
        done.acks.is_empty() && again.is_some(),
        "what is on its way may still be stored"
    );
    track.answered(first.number, Answer::Again { at_once: true }, now, &settings);
    let (done, again) = track.expire(now + Duration::from_secs(5), settings.delivery_timeout);
    let failed: Vec<u64> = done.acks.iter().map(|ack| ack.sequence).collect();
    assert_eq!((failed, again), (vec![0, 1], None));
    for ack in done.acks {
        assert!(ack.outcome.expect_err("late").is_retriable());
    }
    push(&mut track, 2, &settings);
    assert_eq!(
        stamp(&track.take(mode, LEADER, Instant::now(), &settings).expect("due")),
        (1, 0)
    );
}

#[test]
fn retries_may_be_counted() {
    let settings = settings(&[("retries", "1")]);
    let mode = Mode::Own(Identity { id: ID, epoch: 0 });
    let mut track = track();
    let now = Instant::now();
    push(&mut track, 0, &settings);
    let first = track.take(mode, LEADER, Instant::now(), &settings).expect("due");
    assert!(
        track
            .answered(first.number, Answer::Again { at_once: true }, now, &settings)
            .acks
            .is_empty()
    );
    let again = track.take(mode, LEADER, Instant::now(), &settings).expect("due");
    let done = track.answered(again.number, Answer::Again { at_once: true }, now, &settings);
    assert_eq!(done.acks.len(), 1);
    assert!(track.is_empty());
}

#[test]
fn a_batch_is_no_larger_than_it_may_be() {
    let settings = settings(&[("batch.size", "500"), ("linger.ms", "0")]);
    let mode = Mode::Own(Identity { id: ID, epoch: 0 });
    let mut track = track();
    let sealed = (0..100)
        .filter(|sequence| push(&mut track, *sequence, &settings).sealed)
        .count();
    assert!(sealed > 1, "{sealed}");
    let mut count = 0;
    while track.due(Instant::now(), mode, Some(LEADER), &settings) == Due::Now {
        let parcel = track.take(mode, LEADER, Instant::now(), &settings).expect("due");
        assert!(parcel.head.len() + parcel.records.len() <= 500);
        count += track
            .answered(parcel.number, Answer::Stored(0), Instant::now(), &settings)
            .records;
    }
    assert_eq!(count, 100);
}

/// A track whose broker knows the producer, with these batches on their way.
fn flying(batches: u64, mode: Mode, settings: &Settings) -> (Track, Vec<Parcel>) {
    let mut track = track();
    for sequence in 0..=batches {
        push(&mut track, sequence, settings);
    }
    let first = track.take(mode, LEADER, Instant::now(), settings).expect("due");
    track.answered(first.number, Answer::Stored(0), Instant::now(), settings);
    let parcels = (0..batches).map(|_| track.take(mode, LEADER, Instant::now(), settings).expect("due"));
    let parcels = parcels.collect();
    (track, parcels)
}

/// The broker knows the last five batches: one that it may have must not have five others behind it.
#[test]
fn what_is_sent_again_goes_alone() {
    let settings = settings(&[]);
    let mode = Mode::Own(Identity { id: ID, epoch: 0 });
    let (mut track, parcels) = flying(3, mode, &settings);
    let now = Instant::now();
    push(&mut track, 9, &settings);
    track.answered(parcels[0].number, Answer::Again { at_once: true }, now, &settings);
    track.answered(parcels[1].number, Answer::Stored(2), now, &settings);
    assert_eq!(
        track.due(now, mode, Some(LEADER), &settings),
        Due::No,
        "one has not been answered"
    );
    track.answered(parcels[2].number, Answer::Stored(3), now, &settings);
    let again = track.take(mode, LEADER, Instant::now(), &settings).expect("due");
    assert_eq!((number(&again), stamp(&again)), (1, (0, 1)));
    assert_eq!(track.due(now, mode, Some(LEADER), &settings), Due::No);
    track.answered(again.number, Answer::Stored(1), now, &settings);
    assert_eq!(
        stamp(&track.take(mode, LEADER, Instant::now(), &settings).expect("due")),
        (0, 4)
    );
}

/// A new epoch begins behind what may be stored, never with it.
#[test]
fn what_was_sent_before_a_refused_batch_keeps_its_sequence() {
    let settings = settings(&[]);
    let mode = Mode::Own(Identity { id: ID, epoch: 0 });
    let (mut track, parcels) = flying(3, mode, &settings);
    let now = Instant::now();
    track.answered(parcels[0].number, Answer::Again { at_once: true }, now, &settings);
    let refused = Answer::Refused(local("t", "InvalidRecord", "no", Class::Fatal));
    assert_eq!(track.answered(parcels[1].number, refused, now, &settings).acks.len(), 1);
    track.answered(parcels[2].number, Answer::Sequence, now, &settings);
    let again = track.take(mode, LEADER, Instant::now(), &settings).expect("due");
    assert_eq!((number(&again), stamp(&again)), (1, (0, 1)));
    track.answered(again.number, Answer::Stored(1), now, &settings);
    // The third is tried under the old epoch, as it might be stored, and then under the next.
    let third = track.take(mode, LEADER, Instant::now(), &settings).expect("due");
    assert_eq!((number(&third), stamp(&third)), (3, (0, 3)));
    track.answered(third.number, Answer::Sequence, now, &settings);
    let third = track.take(mode, LEADER, Instant::now(), &settings).expect("due");
    assert_eq!((number(&third), stamp(&third)), (3, (1, 0)));
}
