//! Changes under everything that a store may do with them. The writer has a client of its own, whose faults hit nobody else.

use super::change::{Next, Writer};
use crate::cache::Cache;
use crate::fixture::{keys, name, put, spec};
use dray_machine::cluster::{Name, Record};
use dray_model::TargetState;
use dray_model::record::ConnectorSpec;
use dray_store::mem::{Call, Fault, MemStore};
use dray_store::{Error, MetadataStore};
use std::sync::Arc;
use std::time::Duration;
use tonic::{Code, Status};

struct Rig {
    /// Somebody else's.
    store: MemStore,
    ours: Arc<MemStore>,
    writer: Writer,
}

/// The cache follows nothing: it is as far behind as a cache can be.
async fn rig() -> Rig {
    let store = MemStore::default();
    let cache = Cache::seed(Arc::new(store.client()), keys()).await.unwrap();
    let ours = Arc::new(store.client());
    let shared: Arc<dyn MetadataStore> = ours.clone();
    let writer = Writer::new(shared, cache, "one");
    Rig { store, ours, writer }
}

impl Rig {
    async fn there(&self) -> Option<ConnectorSpec> {
        let key = keys().key(&dray_store::keys::Name::Spec(name("c")));
        let entry = self
            .store
            .get(&key, dray_store::Read::Linearizable)
            .await
            .unwrap()
            .value?;
        Some(dray_wire::store::decode(&entry.value).unwrap().0)
    }

    async fn put(&self, spec: ConnectorSpec) -> u64 {
        put(&self.store, &Name::Spec(name("c")), &Record::Spec(spec)).await
    }

    async fn create(&self) -> Result<u64, Status> {
        let create = |found: Option<(&ConnectorSpec, u64)>| match found {
            Some(_) => Err(crate::status::exists("connector", "c")),
            None => Ok(Next::Put(spec(&[]))),
        };
        Ok(self.writer.spec(&name("c"), create).await?.revision)
    }

    async fn restart(&self) -> Result<u64, Status> {
        let restart = |found: Option<(&ConnectorSpec, u64)>| {
            let (spec, _) = found.ok_or_else(|| crate::status::not_found("connector", "c"))?;
            Ok(Next::Put(ConnectorSpec {
                restarts: spec.restarts + 1,
                ..spec.clone()
            }))
        };
        Ok(self.writer.spec(&name("c"), restart).await?.revision)
    }
}

#[tokio::test(start_paused = true)]
async fn a_cache_that_is_behind_decides_nothing() {
    let rig = rig().await;
    assert_eq!(rig.restart().await.unwrap_err().code(), Code::NotFound);
    rig.put(spec(&[])).await;
    rig.restart().await.unwrap();
    assert_eq!(rig.create().await.unwrap_err().code(), Code::AlreadyExists);
    let stopped = ConnectorSpec {
        target: TargetState::Stopped,
        ..spec(&[])
    };
    rig.put(stopped).await;
    rig.restart().await.unwrap();
    let there = rig.there().await.unwrap();
    assert_eq!(
        (there.target, there.restarts),
        (TargetState::Stopped, 1),
        "others' changes stay"
    );
    assert_eq!(there.writer, "one");
}

#[tokio::test(start_paused = true)]
async fn a_change_happens_once_whatever_its_outcome_is_said_to_be() {
    for faults in [
        vec![Fault::UnknownApplied],
        vec![Fault::UnknownNotApplied],
        vec![Fault::UnknownApplied, unavailable()],
        vec![Fault::UnknownNotApplied, unavailable(), Fault::UnknownApplied],
        vec![Fault::UnknownLate(Duration::from_millis(150))],
        vec![Fault::UnknownLate(Duration::from_millis(500))],
    ] {
        let what = format!("{faults:?}");
        let rig = rig().await;
        for fault in faults {
            rig.ours.fail_next(Call::Txn, fault);
        }
        rig.create().await.unwrap();
        assert!(rig.there().await.is_some(), "{what}");
    }
    for fault in [
        Fault::UnknownApplied,
        Fault::UnknownNotApplied,
        Fault::UnknownLate(Duration::from_millis(150)),
        Fault::UnknownLate(Duration::from_millis(500)),
    ] {
        let what = format!("{fault:?}");
        let rig = rig().await;
        rig.put(spec(&[])).await;
        rig.ours.fail_next(Call::Txn, fault);
        let revision = rig.restart().await.unwrap();
        assert_eq!(rig.there().await.unwrap().restarts, 1, "{what}");
        assert_eq!(rig.restart().await.unwrap(), revision + 1, "{what}");
        assert_eq!(rig.there().await.unwrap().restarts, 2, "{what}");
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(
            rig.there().await.unwrap().restarts,
            2,
            "nothing is left on its way: {what}"
        );
    }
}

fn unavailable() -> Fault {
    Fault::Fail(Error::Unavailable {
        doing: "write",
        source: "cut off".into(),
    })
}

#[tokio::test(start_paused = true)]
async fn failures_say_whether_anything_was_changed() {
    let rig = rig().await;
    rig.ours.fail_next(Call::Txn, unavailable());
    let error = rig.create().await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);
    assert!(rig.there().await.is_none());
    for _ in 0..10 {
        rig.ours.fail_next(Call::Txn, Fault::UnknownNotApplied);
    }
    let error = rig.create().await.unwrap_err();
    assert_eq!(error.code(), Code::DeadlineExceeded);
    assert_eq!(
        error.message(),
        "the metadata store did not say whether connector `c` was changed: read it, then decide"
    );
}
