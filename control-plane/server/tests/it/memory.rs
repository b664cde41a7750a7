//! On the store in memory: one replica, two, and what goes wrong.

use crate::agent::{FakeAgent, channel, inside};
use crate::rig::{create, is_running, leads, name, start, until};
use dray_control::Control;
use dray_control::board::Freshness;
use dray_model::record::Shard;
use dray_store::keys::{Keys, Name};
use dray_store::mem::MemStore;
use dray_store::{MetadataStore, Txn};
use std::sync::Arc;

fn memory() -> (Arc<MemStore>, Arc<dyn MetadataStore>) {
    let store = Arc::new(MemStore::default());
    (store.clone(), store)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connector_runs_on_an_agent_inside_the_process() {
    let (_, store) = memory();
    let control = start(&store, "test", "one").await;
    let agent = FakeAgent::start("test", "a1", vec![inside(&control).await], 2);
    create(store.as_ref(), "test", "c").await;
    until("running", || is_running(&control, "c", 2)).await;
    assert_eq!(agent.seen.lock().unwrap().running.len(), 3);
    // The leader knows what it wrote before its watch shows it.
    until("the store has it", || {
        let state = control.cache().now();
        state.tasks(&name("c")).is_some_and(|set| set.record.tasks.len() == 2)
            && state.agents().len() == 1
            && state.replicas.len() == 1
    })
    .await;
    control.stop().await;
}

/// The leader's lease is lost: the other replica leads, the agent goes on with the same session, and no task notices.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_leaders_stops_no_task() {
    let (memory, store) = memory();
    let one = start(&store, "test", "one").await;
    until("one leads", || leads(&one, "one")).await;
    let two = start(&store, "test", "two").await;
    let agent = FakeAgent::start(
        "test",
        "a1",
        vec![channel(one.addresses[0]), channel(two.addresses[0])],
        2,
    );
    create(store.as_ref(), "test", "c").await;
    until("running", || is_running(&one, "c", 2)).await;
    until("the follower shows it", || is_running(&two, "c", 2)).await;
    let started = agent.seen.lock().unwrap().started.len();

    one.stop().await;
    until("two leads", || leads(&two, "two")).await;
    until("running at two", || is_running(&two, "c", 2)).await;
    create(store.as_ref(), "test", "d").await;
    until("the next runs", || is_running(&two, "d", 2)).await;

    // The same replica is elected again, in a later term.
    let term = two.cache().now().term;
    memory.lose_leases();
    until("a new term", || {
        two.cache().now().leader.is_some() && two.cache().now().term > term
    })
    .await;
    until("running under the new term", || {
        is_running(&two, "c", 2) && is_running(&two, "d", 2)
    })
    .await;
    {
        let seen = agent.seen.lock().unwrap();
        assert_eq!(seen.started.len(), started + 3, "what ran was not started again");
        assert_eq!(seen.stopped, []);
        assert!(
            seen.sessions.iter().all(|session| *session == seen.sessions[0]),
            "{:?}",
            seen.sessions
        );
        assert!(seen.not_leader > 0, "the agent was told");
    }
    two.stop().await;
}

/// A leader that cannot reach the store any more lets go by itself; the agent follows the next one.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_without_its_store_lets_go() {
    let (memory, store) = memory();
    let client = Arc::new(memory.client());
    let theirs: Arc<dyn MetadataStore> = client.clone();
    let one = start(&theirs, "test", "one").await;
    until("one leads", || leads(&one, "one")).await;
    let two = start(&store, "test", "two").await;
    let agent = FakeAgent::start(
        "test",
        "a1",
        vec![channel(one.addresses[0]), channel(two.addresses[0])],
        1,
    );
    create(store.as_ref(), "test", "c").await;
    until("running", || is_running(&one, "c", 1)).await;
    client.set_cut_off(true);
    until("two leads", || leads(&two, "two")).await;
    until("running at two", || is_running(&two, "c", 1)).await;
    // The store may give the key to two before one's own clock has told it.
    until("what one shows is old", || {
        one.board()
            .read(|seen| matches!(seen.freshness, Freshness::Stale { term: Some(_), .. }))
    })
    .await;
    assert!(is_running(&one, "c", 1), "and is still there");
    // It comes back as a follower.
    client.set_cut_off(false);
    let behind = create(store.as_ref(), "test", "d").await;
    one.cache()
        .at_least(behind, std::time::Duration::from_secs(10))
        .await
        .unwrap();
    // What two shows may be one's word still.
    until("the agent is at two", || agent.seen.lock().unwrap().sessions.len() > 1).await;
    assert_eq!(agent.seen.lock().unwrap().stopped.len(), 0);
    one.stop().await;
    two.stop().await;
}

/// Who cannot read what somebody owns does not decide who does.
#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_cannot_read_everything_does_not_lead() {
    let (memory, store) = memory();
    let key = Keys::new("test").key(&Name::Own(name("c"), Shard::Connector));
    memory.txn(Txn::new().put(&key, "\u{ff}")).await.unwrap();
    let control = start(&store, "test", "one").await;
    until("it gave up", || {
        control.cache().now().term.is_some() && control.cache().now().leader.is_none()
    })
    .await;
    memory.txn(Txn::new().delete(key.only())).await.unwrap();
    until("it leads", || leads(&control, "one")).await;
    control.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_record_of_the_cluster_is_made_once_and_has_the_latest_worker_configuration() {
    let (_, store) = memory();
    start(&store, "test", "one").await.stop().await;
    let mut with_worker = crate::rig::config("test", "two");
    with_worker.worker = Some([("bootstrap.servers".into(), "k:9092".into())].into());
    let two = Control::start(store.clone(), with_worker).await.unwrap();
    let first = two.cache().now().meta().unwrap().revision;
    assert_eq!(
        two.cache().now().meta().unwrap().record.worker["bootstrap.servers"],
        "k:9092"
    );
    two.stop().await;
    // Nobody takes it away by not having one.
    let three = start(&store, "test", "three").await;
    let meta = three.cache().now();
    assert_eq!(meta.meta().unwrap().record.worker["bootstrap.servers"], "k:9092");
    assert_eq!(meta.meta().unwrap().revision, first);
    three.stop().await;
}
