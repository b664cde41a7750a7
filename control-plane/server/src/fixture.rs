//! Records for tests.

use dray_machine::cluster::{Name, Record, Revision, Write, WriteId};
use dray_model::record::{ConnectorSpec, LeaderRecord, Owner, Ownership, Shard, TaskSet, TaskSpec, Written};
use dray_model::{
    ConfigDiff, ConfigDigest, ConfigMap, ConnectorName, ConnectorUid, Cost, Generation, TargetState, Term,
};
use dray_store::keys::Keys;
use dray_store::mem::MemStore;
use dray_store::{MetadataStore, Txn, TxnOutcome};
use std::num::NonZeroU64;
use std::sync::Arc;

pub(crate) fn keys() -> Keys {
    Keys::new("test")
}

pub(crate) fn name(text: &str) -> ConnectorName {
    text.try_into().unwrap()
}

pub(crate) fn term(number: u64) -> Term {
    NonZeroU64::new(number).unwrap().into()
}

pub(crate) fn spec(config: &[(&str, &str)]) -> ConnectorSpec {
    ConnectorSpec {
        uid: None,
        config: config
            .iter()
            .map(|(key, value)| ((*key).into(), (*value).into()))
            .collect(),
        target: TargetState::Started,
        config_version: 1,
        restarts: 0,
        task_restarts: Default::default(),
        deleting: false,
        altering: None,
        breaker: None,
        writer: "test".into(),
        operation: "1".into(),
    }
}

pub(crate) fn ownership(written: Written, generation: u64) -> Ownership {
    let owner = Owner {
        agent: 1.try_into().unwrap(),
        session: NonZeroU64::MIN.into(),
        generation: Generation::from(NonZeroU64::new(generation).unwrap()),
    };
    Ownership {
        uid: ConnectorUid::FIRST,
        owners: [(0, owner)].into(),
        written,
    }
}

/// So many tasks, each with a configuration of so many bytes that do not compress.
pub(crate) fn task_set(written: Written, tasks: u32, bytes: usize) -> TaskSet {
    let mut noise = 1_u64;
    let mut text = || {
        (0..bytes)
            .map(|_| {
                noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                char::from(b'!' + (noise >> 33) as u8 % 90)
            })
            .collect::<String>()
    };
    let mut task = || {
        let set: ConfigMap = [("noise".into(), text())].into();
        TaskSpec {
            digest: ConfigDigest::of_connector(&set),
            config: Arc::new(ConfigDiff { set, removed: vec![] }),
            cost: Cost::DEFAULT,
        }
    };
    TaskSet {
        uid: ConnectorUid::FIRST,
        config_version: 1,
        tasks: (0..tasks).map(|_| task()).collect(),
        written,
    }
}

/// A write that puts the first owners of a connector, last put at a revision.
pub(crate) fn own_write(id: u64, connector: &str, at: u64, term: Term) -> Write {
    let own = Name::Own(name(connector), Shard::Tasks(0));
    let written = Written { term, operation: id };
    Write {
        id: WriteId(id),
        compares: vec![(own.clone(), Revision(at))],
        puts: vec![(own, Record::Own(ownership(written, id)))],
        deletes: vec![],
    }
}

pub(crate) async fn put(store: &MemStore, name: &Name, record: &Record) -> u64 {
    let encoded = crate::codec::encode(record, &Default::default()).unwrap();
    let key = keys().key(&crate::codec::store_name(name));
    commit(store, Txn::new().put(&key, encoded.value)).await
}

pub(crate) async fn remove(store: &MemStore, name: &Name) -> u64 {
    let key = keys().key(&crate::codec::store_name(name));
    commit(store, Txn::new().delete(key.only())).await
}

pub(crate) async fn commit(store: &MemStore, txn: Txn) -> u64 {
    match store.txn(txn).await.unwrap() {
        TxnOutcome::Committed(revision) => revision.get(),
        TxnOutcome::Conflict { .. } => panic!("nothing was compared"),
    }
}

/// Puts the leader's key; its term.
pub(crate) async fn elect(store: &MemStore) -> Term {
    let record = LeaderRecord {
        replica: "one".into(),
        endpoints: vec!["127.0.0.1:1".into()],
        beats: 0,
        software_version: "0".into(),
    };
    let value = crate::codec::encode_leader(&record).unwrap();
    let leader = keys().key(&dray_store::keys::Name::Leader);
    term(commit(store, Txn::new().put(&leader, value)).await)
}
