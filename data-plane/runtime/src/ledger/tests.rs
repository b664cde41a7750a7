use super::*;
use dray_connect::offset::{OffsetMap, Primitive, SharedFields};
use proptest::prelude::*;
use std::sync::{Arc, LazyLock};

fn file(name: &str) -> SourcePartition {
    Arc::new(OffsetMap::new().with("filename", Primitive::String(name.into())))
}

fn at(value: i64) -> SourceOffset {
    SourceOffset::Long {
        field: "position",
        value,
    }
}

static SHARED: LazyLock<Arc<SharedFields>> =
    LazyLock::new(|| SharedFields::behind("position", OffsetMap::new().with("table", Primitive::Null)));

/// Another field, or fields that records share: what a run of records ends with.
fn of_kind(kind: usize, value: i64) -> SourceOffset {
    match kind {
        0 => at(value),
        1 => SourceOffset::Long { field: "row", value },
        _ => SourceOffset::Shared {
            fields: SHARED.clone(),
            value,
        },
    }
}

fn value_of(offset: &SourceOffset) -> i64 {
    let map = offset.to_map();
    map.long("position").or_else(|| map.long("row")).unwrap()
}

#[test]
fn offsets_of_any_kind_come_back() {
    let mut ledger = Ledger::new();
    let a = ledger.partition(&file("a"));
    let offsets: Vec<_> = [0, 0, 1, 2, 2, 0]
        .iter()
        .zip(1..)
        .map(|(kind, value)| of_kind(*kind, value))
        .collect();
    let sequences: Vec<_> = offsets.iter().map(|offset| ledger.enter(a, offset)).collect();
    for (sequence, offset) in sequences.iter().zip(&offsets) {
        let (key, found) = ledger.source(*sequence).unwrap();
        assert_eq!((key, &found), (&file("a"), offset));
    }
    for (sequence, offset) in sequences.iter().zip(&offsets) {
        ledger.finish(*sequence, 1);
        assert!(ledger.source(*sequence).is_none());
        assert_eq!(ledger.take_committable(), vec![(file("a"), offset.clone())]);
    }
}

#[test]
fn commits_the_longest_finished_prefix() {
    let mut ledger = Ledger::new();
    let a = ledger.partition(&file("a"));
    let first = ledger.enter(a, &at(1));
    let second = ledger.enter(a, &at(2));
    ledger.finish(second, 1);
    assert!(ledger.take_committable().is_empty(), "the first record is not durable");
    ledger.finish(first, 1);
    assert_eq!(ledger.take_committable(), vec![(file("a"), at(2))]);
    assert!(ledger.take_committable().is_empty(), "nothing is committed twice");
    assert_eq!(ledger.unfinished(), 0);
}

#[test]
fn a_stuck_partition_holds_up_only_itself() {
    let mut ledger = Ledger::new();
    let (a, b) = (ledger.partition(&file("a")), ledger.partition(&file("b")));
    ledger.enter(a, &at(1));
    let other = ledger.enter(b, &at(7));
    ledger.finish(other, 1);
    assert_eq!(ledger.take_committable(), vec![(file("b"), at(7))]);
}

#[test]
fn a_failed_commit_comes_back_unless_newer() {
    let mut ledger = Ledger::new();
    let a = ledger.partition(&file("a"));
    ledger.enter_finished(a, &at(1));
    let taken = ledger.take_committable();
    ledger.give_back(taken.clone());
    assert!(ledger.is_committable());
    assert_eq!(ledger.take_committable(), taken);
    ledger.enter_finished(a, &at(2));
    ledger.give_back(taken);
    assert_eq!(ledger.take_committable(), vec![(file("a"), at(2))]);
}

#[test]
fn a_run_may_go_on_in_the_next_partition() {
    let mut ledger = Ledger::new();
    let (a, b) = (ledger.partition(&file("a")), ledger.partition(&file("b")));
    ledger.partitions[0].base = LOCAL_MASK;
    let last = ledger.enter(a, &at(1));
    let first = ledger.enter(b, &at(7));
    let again = ledger.enter(a, &at(2));
    assert_eq!(last.to_u64() + 1, first.to_u64());
    ledger.finish(last, 2);
    assert_eq!(ledger.take_committable(), vec![(file("a"), at(1)), (file("b"), at(7))]);
    ledger.finish(again, 1);
    assert_eq!(ledger.take_committable(), vec![(file("a"), at(2))]);
}

#[test]
fn partitions_compare_as_maps() {
    let mut ledger = Ledger::new();
    let one = OffsetMap::new()
        .with("a", Primitive::Long(1))
        .with("b", Primitive::Null);
    let two = OffsetMap::new()
        .with("b", Primitive::Null)
        .with("a", Primitive::Long(1));
    assert_eq!(ledger.partition(&Arc::new(one)), ledger.partition(&Arc::new(two)));
}

proptest! {
    /// Against a model that keeps every record for ever and recomputes the prefix.
    #[test]
    fn agrees_with_the_model(steps in proptest::collection::vec((0usize..3, 0usize..4, 1usize..5, 0usize..3, any::<prop::sample::Index>()), 1..400)) {
        let mut ledger = Ledger::new();
        let numbers: Vec<_> = (0..3).map(|n| ledger.partition(&file(&n.to_string()))).collect();
        let mut model: Vec<Vec<(Sequence, i64, bool)>> = vec![Vec::new(); 3];
        let mut taken = [0i64; 3];
        for (partition, action, count, kind, pick) in steps {
            match action {
                0 | 1 => {
                    let value = model[partition].len() as i64 + 1;
                    let sequence = ledger.enter(numbers[partition], &of_kind(kind, value));
                    model[partition].push((sequence, value, false));
                }
                2 if !model[partition].is_empty() => {
                    let place = pick.index(model[partition].len());
                    let count = count.min(model[partition].len() - place);
                    for record in &mut model[partition][place..place + count] {
                        record.2 = true;
                    }
                    ledger.finish(model[partition][place].0, count);
                }
                _ => {
                    let announced = ledger.is_committable();
                    let committable: HashMap<String, i64> = ledger
                        .take_committable()
                        .into_iter()
                        .map(|(key, offset)| (key.to_json(), value_of(&offset)))
                        .collect();
                    prop_assert_eq!(announced, !committable.is_empty(), "whoever is not told does not ask");
                    for n in 0..3 {
                        let prefix = model[n].iter().take_while(|record| record.2).last().map_or(0, |record| record.1);
                        let got = committable.get(&file(&n.to_string()).to_json()).copied();
                        prop_assert_eq!(got, (prefix > taken[n]).then_some(prefix));
                        taken[n] = prefix;
                    }
                }
            }
        }
        let open: usize = model.iter().flatten().filter(|record| !record.2).count();
        prop_assert_eq!(ledger.unfinished(), open);
    }
}
