//! The records of the store.

use crate::given;
use dray_model::record::*;
use dray_model::{AgentPolicy, ConnectorUid, TaskKey};
use dray_wire::store::{Record, Rest, decode, encode, v1};
use proptest::prelude::*;
use prost::Message;

fn round<R: Record + PartialEq + std::fmt::Debug>(record: &R) -> Result<(), TestCaseError> {
    let value = encode(record, &Rest::default()).unwrap();
    let (read, rest) = decode::<R>(&value).unwrap();
    prop_assert!(rest.is_empty());
    prop_assert_eq!(&read, record);
    prop_assert_eq!(encode(&read, &rest).unwrap(), value);
    Ok(())
}

/// Any bytes are read to an end.
fn read_all(bytes: &[u8]) {
    fn read<R: Record>(bytes: &[u8]) {
        drop(decode::<R>(bytes));
    }
    read::<ConnectorSpec>(bytes);
    read::<Ownership>(bytes);
    read::<AgentRecord>(bytes);
    read::<ClusterMeta>(bytes);
    read::<LeaderRecord>(bytes);
    read::<ReplicaRecord>(bytes);
    read::<LoggerLevels>(bytes);
}

proptest! {
    #[test]
    fn connectors(record in given::connector_spec()) { round(&record)?; }

    #[test]
    fn ownerships(record in given::ownership()) { round(&record)?; }

    #[test]
    fn agents(record in given::agent_record()) { round(&record)?; }

    #[test]
    fn clusters(record in given::cluster_meta()) { round(&record)?; }

    #[test]
    fn leaders(record in given::leader_record()) { round(&record)?; }

    #[test]
    fn loggers(levels in proptest::collection::vec((any::<u64>(), ".{0,9}", "[A-Z]{3,5}"), 0..5), last in any::<u64>()) {
        let level = |(number, name, level)| LoggerLevel { number, name, level };
        round(&LoggerLevels { last, levels: levels.into_iter().map(level).collect() })?;
    }

    #[test]
    fn replicas(record in given::replica_record()) { round(&record)?; }

    #[test]
    fn no_bytes_are_too_much(
        agent in given::agent_record(),
        ownership in given::ownership(),
        at in any::<prop::sample::Index>(),
        bytes in proptest::collection::vec(any::<u8>(), 0..9),
    ) {
        for mut near in [encode(&agent, &Rest::default()).unwrap(), encode(&ownership, &Rest::default()).unwrap()] {
            let at = at.index(near.len() + 1);
            near.splice(at..(at + bytes.len()).min(near.len()), bytes.iter().copied());
            read_all(&near);
        }
        read_all(&bytes);
    }

    /// Fields of a newer version, anywhere in the record, survive any change of it.
    #[test]
    fn what_is_not_known_is_kept(record in given::agent_record(), newer in newer()) {
        let value = [newer.encode_to_vec(), encode(&record, &Rest::default()).unwrap(), b"\xFA\x3F\x01x".to_vec()].concat();
        let (mut read, rest) = decode::<AgentRecord>(&value).unwrap();
        prop_assert_eq!(&read, &record);
        read.policy = AgentPolicy::Cordoned;
        let changed = encode(&read, &rest).unwrap();
        prop_assert_eq!(Newer::decode(changed.as_slice()).unwrap(), newer);
        prop_assert!(changed.ends_with(b"\xFA\x3F\x01x"));
        let (again, rest_again) = decode::<AgentRecord>(&changed).unwrap();
        prop_assert_eq!(again, read);
        prop_assert_eq!(rest_again, rest);
    }
}

/// What a later version may add to the record of an agent: every type of field.
#[derive(Clone, PartialEq, Message)]
struct Newer {
    #[prost(string, tag = "900")]
    text: String,
    #[prost(fixed32, tag = "901")]
    small: u32,
    #[prost(fixed64, tag = "902")]
    large: u64,
    #[prost(sint64, optional, tag = "903")]
    signed: Option<i64>,
    #[prost(message, optional, boxed, tag = "904")]
    nested: Option<Box<Newer>>,
    #[prost(uint32, repeated, tag = "905")]
    packed: Vec<u32>,
    #[prost(btree_map = "string, string", tag = "906")]
    map: std::collections::BTreeMap<String, String>,
}

fn newer() -> impl Strategy<Value = Newer> {
    let flat = (
        ".{0,9}",
        any::<u32>(),
        any::<u64>(),
        any::<Option<i64>>(),
        any::<Vec<u32>>(),
    )
        .prop_map(|(text, small, large, signed, packed)| Newer {
            map: [(text.clone(), text.clone())].into(),
            text,
            small,
            large,
            signed,
            packed,
            nested: None,
        });
    (flat.clone(), proptest::option::of(flat)).prop_map(|(newer, nested)| Newer {
        nested: nested.map(Box::new),
        ..newer
    })
}

#[test]
fn groups_are_kept_whole() {
    // Field 900 as a group that holds field 1, which is no field of the record.
    let group = [0xA3, 0x38, 0x08, 0x2A, 0xA4, 0x38];
    let value = [&group[..], &[0x18, 0x07]].concat();
    let (leader, rest) = decode::<LeaderRecord>(&value).unwrap();
    assert_eq!(leader.beats, 7);
    assert_eq!(encode(&leader, &rest).unwrap(), [&[0x18, 0x07], &group[..]].concat());
}

fn ownership(first_task: u32, agents: Vec<u32>) -> v1::Ownership {
    v1::Ownership {
        connector_uid: 1,
        first_task,
        sessions: agents.iter().map(|&agent| agent.into()).collect(),
        generations: agents.iter().map(|&agent| agent.into()).collect(),
        agents,
        written: Some(v1::Written { term: 1, operation: 1 }),
    }
}

#[test]
fn columns_that_do_not_fit_are_named() {
    let read = |wire: v1::Ownership| decode::<Ownership>(&wire.encode_to_vec()).map(|(read, _)| read);
    let numbers = |wire| -> Vec<u32> { read(wire).unwrap().owners.into_keys().collect() };
    assert_eq!(numbers(ownership(256, vec![1, 0, 2])), [256, 258]);
    assert_eq!(numbers(ownership(u32::MAX, vec![1])), [TaskKey::INSTANCE]);
    assert_eq!(numbers(ownership(0, vec![1; 256])).len(), 256);
    let short = v1::Ownership {
        sessions: vec![1],
        ..ownership(0, vec![1, 1])
    };
    let half = v1::Ownership {
        generations: vec![1, 0],
        ..ownership(0, vec![1, 1])
    };
    let nobody = v1::Ownership {
        agents: vec![0],
        ..ownership(0, vec![1])
    };
    for (wire, problem) in [
        (short, "ownership.sessions: has 1 rows, and agents has 2"),
        (half, "ownership.generations[1]: may not be 0"),
        (nobody, "ownership.agents[0]: agents are numbered from 1"),
        (
            ownership(0, vec![0; 257]),
            "ownership.agents: has 257 rows, and 256 is the most",
        ),
        (
            ownership(255, vec![1, 1]),
            "ownership.first_task: has tasks of two shards: 255 and 256",
        ),
        (
            ownership(u32::MAX, vec![1, 1]),
            "ownership.first_task: is too large for so many rows",
        ),
        (
            ownership(16_384, vec![1]),
            "ownership.task: 16384 is neither below 16384 nor the instance",
        ),
        (
            v1::Ownership {
                connector_uid: 0,
                ..ownership(0, vec![])
            },
            "ownership.connector_uid: may not be 0",
        ),
    ] {
        assert_eq!(read(wire).unwrap_err().to_string(), problem);
    }
}

#[test]
fn owners_of_two_shards_are_not_one_value() {
    let (mut owners, _) = decode::<Ownership>(&ownership(0, vec![1]).encode_to_vec()).unwrap();
    let owner = owners.owners[&0];
    owners.owners.insert(SHARD_TASKS, owner);
    let problem = encode(&owners, &Rest::default()).unwrap_err().to_string();
    assert_eq!(problem, "ownership.first_task: has tasks of two shards: 0 and 256");
}

#[test]
fn a_shard_stays_near_5_kb() {
    let term = 1_u64 << 30; // after ten years of ordinary writes
    let wire = v1::Ownership {
        sessions: vec![term << 24 | 1; 256],
        generations: vec![term << 24 | 0xFF_FFFF; 256],
        ..ownership(0, vec![1_000; 256])
    };
    let (record, rest) = decode::<Ownership>(&wire.encode_to_vec()).unwrap();
    let size = encode(&record, &rest).unwrap().len();
    assert!(size < 5_000, "{size}");
}

#[test]
fn values_that_are_no_record_say_what_they_should_be() {
    let error = decode::<ConnectorSpec>(b"\xFF").unwrap_err();
    assert_eq!(error.to_string(), "the bytes are no connector");
    assert!(std::error::Error::source(&error).is_some());
    let unset = decode::<ConnectorSpec>(b"").unwrap_err();
    assert_eq!(unset.to_string(), "connector.target: is not given");
    let later = v1::Connector {
        target: 9,
        ..Default::default()
    };
    let error = decode::<ConnectorSpec>(&later.encode_to_vec()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "connector.target: 9 is not a value that this version knows"
    );
    assert_eq!(ConnectorUid::FIRST.get(), 1);
}
