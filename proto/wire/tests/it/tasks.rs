//! Task sets, whole and in parts.

use crate::given;
use dray_model::record::{TaskSet, TaskSpec, Written};
use dray_model::{ConfigDiff, ConfigDigest, ConnectorUid, Cost};
use dray_wire::Error;
use dray_wire::store::tasks::{Encoded, Manifest, encode};
use dray_wire::store::{Rest, v1};
use proptest::prelude::*;
use prost::Message;
use std::num::NonZeroU64;
use std::sync::Arc;

fn read(encoded: &Encoded) -> Result<(TaskSet, Rest), Error> {
    let manifest = Manifest::decode(&encoded.value)?;
    manifest.assemble(|digest| {
        let part = encoded.parts.iter().find(|(other, _)| other == digest);
        part.map(|(_, value)| value.as_slice())
    })
}

proptest! {
    #[test]
    fn small_sets_are_one_value(set in given::task_set()) {
        let encoded = encode(&set, &Rest::default()).unwrap();
        prop_assert!(encoded.parts.is_empty());
        prop_assert_eq!(read(&encoded).unwrap(), (set, Rest::default()));
    }

    #[test]
    fn no_bytes_are_too_much(
        set in given::task_set(),
        at in any::<prop::sample::Index>(),
        bytes in proptest::collection::vec(any::<u8>(), 0..9),
    ) {
        let mut near = encode(&set, &Rest::default()).unwrap().value;
        let at = at.index(near.len() + 1);
        near.splice(at..(at + bytes.len()).min(near.len()), bytes.iter().copied());
        for bytes in [&near, &bytes] {
            if let Ok(manifest) = Manifest::decode(bytes) {
                drop(manifest.assemble(|_| Some(bytes.as_slice())));
            }
        }
    }
}

/// A set of tasks that cannot be compressed, each of about so many bytes.
fn large(tasks: u32, bytes: usize) -> TaskSet {
    let mut state = 1_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let task = |number: u32| {
        let value: String = (0..bytes).map(|_| char::from(b' ' + (next() % 94) as u8)).collect();
        TaskSpec {
            config: Arc::new(ConfigDiff {
                set: [("task.id".into(), number.to_string()), ("value".into(), value)].into(),
                removed: vec!["tables".into()],
            }),
            digest: ConfigDigest::from([number as u8; 32]),
            cost: Cost::DEFAULT,
        }
    };
    TaskSet {
        uid: ConnectorUid::FIRST,
        config_version: 3,
        tasks: (0..tasks).map(task).collect(),
        written: Written {
            term: NonZeroU64::MIN.into(),
            operation: 1,
        },
    }
}

#[test]
fn large_sets_are_parts() {
    let set = large(3_000, 1_000);
    let mut encoded = encode(&set, &Rest::default()).unwrap();
    assert!(encoded.parts.len() > 2, "{}", encoded.parts.len());
    assert!(encoded.value.len() < 1_000, "a manifest: {}", encoded.value.len());
    for (digest, part) in &encoded.parts {
        assert!(part.len() <= 520 << 10, "{digest} has {}", part.len());
    }
    assert_eq!(read(&encoded).unwrap().0, set);
    let named = Manifest::decode(&encoded.value).unwrap().parts().to_vec();
    assert_eq!(
        named,
        encoded.parts.iter().map(|(digest, _)| *digest).collect::<Vec<_>>()
    );

    let digest = encoded.parts[1].0;
    let last = encoded.parts[1].1.len() - 1;
    encoded.parts[1].1[last] ^= 1;
    let damaged = read(&encoded).unwrap_err();
    assert!(matches!(damaged, Error::PartDamaged { .. }), "{damaged:?}");
    let text = damaged.to_string();
    assert!(
        text.starts_with(&format!("part {digest} of the task set is damaged: its digest is ")),
        "{text}"
    );

    encoded.parts.remove(1);
    assert_eq!(
        read(&encoded).unwrap_err().to_string(),
        format!("part {digest} of the task set is missing")
    );
}

#[test]
fn most_parts_stay_when_one_task_changes() {
    let (mut set, rest) = (large(3_000, 1_000), Rest::default());
    let before = encode(&set, &rest).unwrap();
    assert_eq!(encode(&set, &rest).unwrap(), before, "equal sets have equal parts");
    set.tasks[2_999].cost = Cost::try_from(1_250).unwrap();
    let after = encode(&set, &rest).unwrap();
    let new = after.parts.iter().filter(|part| !before.parts.contains(part)).count();
    assert_eq!(new, 1);
}

#[test]
fn equal_parts_are_put_once() {
    let mut set = large(1, 262_000);
    set.tasks = vec![set.tasks[0].clone(); 6];
    let encoded = encode(&set, &Rest::default()).unwrap();
    assert_eq!(
        Manifest::decode(&encoded.value).unwrap().parts().len(),
        3,
        "two tasks each"
    );
    assert_eq!(encoded.parts.len(), 1);
    assert_eq!(read(&encoded).unwrap().0, set);
}

#[test]
fn limits_are_told() {
    let most = large(16_384, 1);
    let encoded = encode(&most, &Rest::default()).unwrap();
    assert_eq!(read(&encoded).unwrap().0, most);
    assert_eq!(
        encode(&large(16_385, 1), &Rest::default()).unwrap_err(),
        Error::TooManyTasks { count: 16_385 }
    );
    let mut wide = large(1, 512 << 10);
    wide.tasks.insert(0, large(1, 1).tasks.remove(0));
    let error = encode(&wide, &Rest::default()).unwrap_err().to_string();
    assert!(
        error.starts_with("the configuration of task 1 is 5243") && error.ends_with(" is the most"),
        "{error}"
    );
    // The largest task that is allowed fills a block of its own.
    let mut bytes = (512 << 10) - 16;
    let full = loop {
        match encode(&large(2, bytes), &Rest::default()) {
            Ok(encoded) => break encoded,
            Err(_) => bytes -= 1,
        }
    };
    assert!((512 << 10) - bytes < 128, "{bytes}");
    assert_eq!(read(&full).unwrap().0, large(2, bytes));
}

/// A manifest or part that somebody else has written.
#[test]
fn what_does_not_add_up_is_refused() {
    let set = large(2, 10);
    let wire = v1::TaskSet::decode(encode(&set, &Rest::default()).unwrap().value.as_slice()).unwrap();
    let problem = |wire: &v1::TaskSet| {
        let encoded = Encoded {
            value: wire.encode_to_vec(),
            parts: vec![],
        };
        read(&encoded).unwrap_err().to_string()
    };
    let count = |count| v1::TaskSet { count, ..wire.clone() };
    assert_eq!(problem(&count(3)), "task_set.count: says 3, and there are 2");
    assert_eq!(problem(&count(1)), "task_set.count: says 1, and there are 2");
    assert_eq!(
        problem(&count(u32::MAX)),
        "a task set has 4294967295 tasks, and 16384 is the most"
    );
    let bomb = zstd::bulk::compress(&vec![0; 64 << 20], 3).unwrap();
    let bomb = v1::TaskSet {
        block: bomb,
        ..wire.clone()
    };
    assert!(
        problem(&bomb).starts_with("task_set.block: zstd: "),
        "{}",
        problem(&bomb)
    );
    let short = v1::TaskSet {
        parts: vec![v1::Part {
            digest: vec![1; 31],
            count: 1,
        }],
        ..wire
    };
    assert_eq!(problem(&short), "task_set.parts[0].digest: has 31 bytes instead of 32");
}
