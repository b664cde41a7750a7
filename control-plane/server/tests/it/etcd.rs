//! On a real etcd.

use crate::agent::{FakeAgent, channel};
use crate::rig::{create, is_running, leads, start, until};
use dray_store::keys::{Keys, Name};
use dray_store::{MetadataStore, Read};
use dray_store_etcd::{EtcdConfig, EtcdStore};
use std::sync::Arc;

/// A client of the etcd that all tests share.
pub(crate) async fn etcd() -> Arc<dyn MetadataStore> {
    let endpoints = std::env::var("DRAY_TEST_ETCD").expect("DRAY_TEST_ETCD names an etcd: run `make test`");
    Arc::new(EtcdStore::connect(EtcdConfig::new(endpoints.split(','))).await.unwrap())
}

/// The term of the leader's key as the store has it now.
pub(crate) async fn term_in_store(store: &dyn MetadataStore, cluster: &str) -> Option<u64> {
    let key = Keys::new(cluster).key(&Name::Leader);
    let found = store.get(&key, Read::Linearizable).await.unwrap();
    found.value.map(|entry| entry.create_revision.get())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connector_runs_on_an_agent() {
    let store = etcd().await;
    let control = start(&store, "one-agent", "one").await;
    let _agent = FakeAgent::start("one-agent", "a1", vec![channel(control.addresses[0])], 2);
    create(store.as_ref(), "one-agent", "c").await;
    until("running", || is_running(&control, "c", 2)).await;
    control.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_other_replica_leads_when_one_stops() {
    let (store, other) = (etcd().await, etcd().await);
    let one = start(&store, "two-replicas", "one").await;
    until("one leads", || leads(&one, "one")).await;
    let two = start(&other, "two-replicas", "two").await;
    let agent = FakeAgent::start(
        "two-replicas",
        "a1",
        vec![channel(one.addresses[0]), channel(two.addresses[0])],
        2,
    );
    create(store.as_ref(), "two-replicas", "c").await;
    until("running", || is_running(&one, "c", 2)).await;
    let term = one.cache().now().term.unwrap();
    one.stop().await;
    assert_ne!(
        term_in_store(store.as_ref(), "two-replicas").await,
        Some(term.get()),
        "it gave the key back"
    );
    until("two leads", || leads(&two, "two")).await;
    // What two shows may be one's word still.
    until("the agent is at two", || agent.seen.lock().unwrap().sessions.len() > 1).await;
    until("running", || is_running(&two, "c", 2)).await;
    {
        let seen = agent.seen.lock().unwrap();
        assert_eq!((seen.started.len(), seen.stopped.len()), (3, 0));
    }
    two.stop().await;
}
