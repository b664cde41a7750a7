//! On the store in memory: one replica, two, and what goes wrong.

use crate::agent::{FakeAgent, channel, inside};
use crate::rig::{create, is_running, leads, start, until};
use dray_store::MetadataStore;
use dray_store::mem::MemStore;
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
    let state = control.cache().now();
    assert_eq!(state.tasks(&crate::rig::name("c")).unwrap().record.tasks.len(), 2);
    assert_eq!(state.agents().len(), 1);
    assert_eq!(state.replicas.len(), 1);
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
