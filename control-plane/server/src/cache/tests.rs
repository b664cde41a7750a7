//! What readers see while the watch breaks, is compacted, or is late.

use super::*;
use crate::fixture::{commit, elect, keys, name, ownership, put, remove, spec, task_set, term};
use dray_machine::cluster::{Name, Record, Revision as Modified};
use dray_model::record::{Shard, Written};
use dray_store::mem::{Call, Fault, MemStore};
use dray_store::{History, Txn};
use std::collections::BTreeMap;

/// Longer than anything waits for here; time is paused.
const LONG: Duration = Duration::from_secs(60);

async fn following(store: &Arc<MemStore>) -> (Arc<Cache>, tokio::task::JoinSet<()>) {
    let cache = Cache::seed(store.clone(), keys()).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    let follower = cache.clone();
    tasks.spawn(async move { follower.follow().await });
    (cache, tasks)
}

fn spec_name(text: &str) -> Name {
    Name::Spec(name(text))
}

fn written() -> Written {
    Written {
        term: term(1),
        operation: 1,
    }
}

#[tokio::test(start_paused = true)]
async fn every_change_is_seen() {
    let store = Arc::new(MemStore::default());
    put(&store, &spec_name("a"), &Record::Spec(spec(&[("x", "1")]))).await;
    let (cache, _tasks) = following(&store).await;
    let before = cache.now();
    let created = before.spec(&name("a")).unwrap().revision;
    assert_eq!(before.uid(&name("a")).unwrap().get(), created.0);

    let second = put(&store, &spec_name("a"), &Record::Spec(spec(&[("x", "2")]))).await;
    let own = Name::Own(name("a"), Shard::Connector);
    put(&store, &own, &Record::Own(ownership(written(), 1))).await;
    let leader = elect(&store).await;
    let state = cache.at_least(Revision::new(leader.get()), LONG).await.unwrap();
    assert_eq!(state.spec(&name("a")).unwrap().record.config["x"], "2");
    assert_eq!(state.uid(&name("a")).unwrap().get(), created.0, "the uid stays");
    assert_eq!(state.owners(&name("a")).count(), 1);
    assert_eq!(state.owners(&name("b")).count(), 0);
    assert_eq!(
        (state.leader.as_ref().unwrap().term, state.term),
        (leader, Some(leader))
    );
    let changes = state.changes_since(&before);
    let names: Vec<_> = changes
        .iter()
        .map(|change| (change.name.clone(), change.revision.0))
        .collect();
    assert_eq!(names, [(spec_name("a"), second), (own.clone(), second + 1)]);

    let gone = remove(&store, &spec_name("a")).await;
    let again = put(&store, &spec_name("a"), &Record::Spec(spec(&[]))).await;
    let gone_own = remove(&store, &own).await;
    let after = cache.at_least(Revision::new(gone_own), LONG).await.unwrap();
    let changes: Vec<_> = after
        .changes_since(&state)
        .into_iter()
        .map(|change| (change.name, change.revision.0, change.record.is_some()))
        .collect();
    assert_eq!(
        changes,
        [
            (spec_name("a"), gone, false),
            (spec_name("a"), again, true),
            (own, gone_own, false)
        ]
    );
    assert_eq!(
        after.uid(&name("a")).unwrap().get(),
        again,
        "created again, it is another one"
    );
}

#[tokio::test(start_paused = true)]
async fn the_list_of_names_is_never_an_older_one() {
    let store = Arc::new(MemStore::default());
    put(&store, &spec_name("b"), &Record::Spec(spec(&[]))).await;
    let (cache, _tasks) = following(&store).await;
    let seen = async |revision: u64| -> Vec<(String, bool)> {
        let state = cache.at_least(Revision::new(revision), LONG).await.unwrap();
        let listed = state.names().iter();
        listed
            .map(|listed| (listed.name.to_string(), listed.deleting))
            .collect()
    };
    let (a, b) = (|deleting| ("a".to_owned(), deleting), ("b".to_owned(), false));
    assert_eq!(seen(0).await, std::slice::from_ref(&b));
    let last = put(&store, &spec_name("a"), &Record::Spec(spec(&[]))).await;
    assert_eq!(seen(last).await, [a(false), b.clone()]);
    let last = put(&store, &spec_name("b"), &Record::Spec(spec(&[("x", "1")]))).await;
    assert_eq!(seen(last).await, [a(false), b.clone()]);
    let mut going = spec(&[]);
    going.deleting = true;
    let last = put(&store, &spec_name("a"), &Record::Spec(going)).await;
    assert_eq!(seen(last).await, [a(true), b.clone()]);
    let last = remove(&store, &spec_name("a")).await;
    assert_eq!(seen(last).await, [b]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_place_in_history_is_no_gap() {
    let store = Arc::new(MemStore::new(History {
        revisions: 4,
        ..History::default()
    }));
    let client = Arc::new(store.client());
    put(&store, &spec_name("stays"), &Record::Spec(spec(&[]))).await;
    put(&store, &spec_name("goes"), &Record::Spec(spec(&[]))).await;
    let cache = Cache::seed(client.clone(), keys()).await.unwrap();
    let before = cache.now();
    // While nobody follows, everything is overwritten and its history goes.
    remove(&store, &spec_name("goes")).await;
    let mut last = 0;
    for number in 0..20 {
        last = put(&store, &spec_name(&number.to_string()), &Record::Spec(spec(&[]))).await;
    }
    store.compact(Revision::new(last));
    client.fail_next(
        Call::List,
        Fault::Fail(dray_store::Error::Unavailable {
            doing: "list",
            source: "test".into(),
        }),
    );
    let mut seen = cache.subscribe();
    let follower = cache.clone();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move { follower.follow().await });
    let checker = tasks.spawn(async move {
        while seen.changed().await.is_ok() {
            assert!(
                seen.borrow_and_update().spec(&name("stays")).is_some(),
                "the cache is never empty"
            );
        }
    });
    let state = cache.at_least(Revision::new(last), LONG).await.unwrap();
    assert!(!checker.is_finished());
    assert_eq!(state.specs().len(), 21);
    let changes = state.changes_since(&before);
    assert_eq!(changes.len(), 21);
    assert_eq!(changes.iter().filter(|change| change.record.is_none()).count(), 1);
    assert!(Arc::ptr_eq(
        state.get(&spec_name("stays")).unwrap(),
        before.get(&spec_name("stays")).unwrap()
    ));
    // And it goes on from there.
    let next = put(&store, &spec_name("next"), &Record::Spec(spec(&[]))).await;
    cache.at_least(Revision::new(next), LONG).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn broken_watches_lose_and_double_nothing() {
    let store = Arc::new(MemStore::default());
    let client = Arc::new(store.client());
    let (cache, _tasks) = following(&client).await;
    let mut told: BTreeMap<Name, Modified> = BTreeMap::new();
    let mut seen = cache.now();
    let mut last = Revision::NEVER;
    for round in 0..60_u64 {
        let connector = format!("c{}", round % 7);
        last = Revision::new(match round % 5 {
            4 => {
                put(&store, &spec_name(&connector), &Record::Spec(spec(&[]))).await;
                remove(&store, &spec_name(&connector)).await
            }
            _ => {
                put(
                    &store,
                    &spec_name(&connector),
                    &Record::Spec(spec(&[("round", &round.to_string())])),
                )
                .await
            }
        });
        match round % 6 {
            1 => client.drop_watches(),
            3 => client.cancel_watches(),
            5 => client.fail_next(
                Call::Watch,
                Fault::Fail(dray_store::Error::Unavailable {
                    doing: "watch",
                    source: "test".into(),
                }),
            ),
            _ => {}
        }
        if round % 3 == 0 {
            tokio::time::sleep(Duration::from_millis(37)).await;
        }
        let state = cache.now();
        assert!(state.revision >= seen.revision, "it never goes back");
        for change in state.changes_since(&seen) {
            match change.record {
                Some(_) => told.insert(change.name, change.revision),
                None => told.remove(&change.name),
            };
        }
        seen = state;
    }
    let state = cache.at_least(last, LONG).await.unwrap();
    for change in state.changes_since(&seen) {
        match change.record {
            Some(_) => told.insert(change.name, change.revision),
            None => told.remove(&change.name),
        };
    }
    let listed = Cache::seed(store.clone(), keys()).await.unwrap().now();
    let really: BTreeMap<_, _> = listed
        .snapshot()
        .into_iter()
        .map(|(name, stored)| (name, stored.revision))
        .collect();
    assert_eq!(told, really);
    assert!(!really.is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_waits_too_long_is_told_how_far_it_is() {
    let store = Arc::new(MemStore::default());
    let client = Arc::new(store.client());
    let (cache, _tasks) = following(&client).await;
    let reached = Revision::new(put(&store, &spec_name("a"), &Record::Spec(spec(&[]))).await);
    let state = cache.linearizable(LONG).await.unwrap();
    assert!(state.spec(&name("a")).is_some());
    client.set_cut_off(true);
    put(&store, &spec_name("b"), &Record::Spec(spec(&[]))).await;
    match cache.at_least(reached.next(), Duration::from_secs(1)).await {
        Err(Error::Late { asked, reached: seen }) => assert_eq!((asked, seen), (reached.next(), reached)),
        other => panic!("{:?}", other.err()),
    }
    assert!(matches!(cache.linearizable(LONG).await, Err(Error::Store(_))));
    client.set_cut_off(false);
    assert!(cache.linearizable(LONG).await.unwrap().spec(&name("b")).is_some());
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_known_by_its_key() {
    let store = Arc::new(MemStore::default());
    let key = keys().key(&dray_store::keys::Name::Own(name("a"), Shard::Connector));
    commit(&store, Txn::new().put(&key, "\u{ff}\u{ff}")).await;
    let (cache, _tasks) = following(&store).await;
    assert_eq!(cache.now().unreadable.iter().collect::<Vec<_>>(), [&key]);
    let own = Record::Own(ownership(written(), 1));
    let good = put(&store, &Name::Own(name("a"), Shard::Connector), &own).await;
    let state = cache.at_least(Revision::new(good), LONG).await.unwrap();
    assert!(state.unreadable.is_empty() && state.owners(&name("a")).count() == 1);
    // A newer version's key is nobody's fault.
    let newer = commit(&store, Txn::new().put(&key.child("newer"), "?")).await;
    let state = cache.at_least(Revision::new(newer), LONG).await.unwrap();
    assert!(state.unreadable.is_empty());
}

#[tokio::test(start_paused = true)]
async fn large_task_sets_are_put_together() {
    let store = Arc::new(MemStore::default());
    let set = Record::Tasks(task_set(written(), 40, 40_000));
    let encoded = crate::codec::encode(&set, &Default::default()).unwrap();
    assert!(encoded.parts.len() > 1);
    let (cache, _tasks) = following(&store).await;
    for (digest, part) in encoded.parts {
        let key = keys().key(&dray_store::keys::Name::Part(name("a"), digest));
        commit(&store, Txn::new().put(&key, part)).await;
    }
    let key = keys().key(&dray_store::keys::Name::Tasks(name("a")));
    let last = commit(&store, Txn::new().put(&key, encoded.value)).await;
    let watched = cache.at_least(Revision::new(last), LONG).await.unwrap();
    let listed = Cache::seed(store.clone(), keys()).await.unwrap().now();
    for state in [watched, listed] {
        assert_eq!(Record::Tasks(state.tasks(&name("a")).unwrap().record.clone()), set);
        assert!(state.unreadable.is_empty());
    }
}
