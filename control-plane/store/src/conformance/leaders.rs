//! Elections.

use super::{PATIENCE, Subject, commit, conflict, fresh, get, soon};
use crate::{Key, Leadership, MetadataStore, Read, Revision, Txn, campaign};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

const TTL: Duration = Duration::from_secs(2);

async fn elected(store: &Arc<dyn MetadataStore>, leader: &Key, who: &str, ttl: Duration) -> Leadership {
    soon("an election", campaign(store, leader, who.to_owned().into(), ttl))
        .await
        .expect("a campaign")
}

/// Several campaign; one at a time leads, each with a larger term, and the last one's writes are refused from then on.
pub async fn candidates(subject: &dyn Subject) {
    let store = subject.store();
    let root = fresh();
    let (leader, log) = (root.child("leader"), root.child("log"));
    let mut candidates = JoinSet::new();
    for candidate in 0..4 {
        let (store, leader, log) = (store.clone(), leader.clone(), log.clone());
        candidates.spawn(async move {
            let mut terms = Vec::new();
            for round in 0..3 {
                let leadership = elected(&store, &leader, &candidate.to_string(), PATIENCE).await;
                let term = leadership.term();
                let entry = get(&*store, &leader).await.unwrap();
                assert_eq!(
                    (entry.value, entry.create_revision),
                    (candidate.to_string().into(), term)
                );
                let write = Txn::new()
                    .if_created(&leader, term)
                    .put(&log.child(term.get().to_string()), round.to_string());
                commit(&*store, write.clone()).await;
                soon("resigning", leadership.resign()).await.unwrap();
                conflict(&*store, write).await;
                terms.push(term);
            }
            assert!(terms.is_sorted_by(|a, b| a < b));
            terms
        });
    }
    let mut terms: Vec<Revision> = candidates.join_all().await.concat();
    terms.sort();
    terms.dedup();
    assert_eq!(terms.len(), 12, "no term twice");
    assert_eq!(get(&*store, &leader).await, None);
}

/// The lease is taken away: `lost` says so soon, and the next one leads without waiting for the time to live.
pub async fn a_lost_lease_is_noticed(subject: &dyn Subject) {
    let store = subject.store();
    let leader = fresh().child("leader");
    let mut first = elected(&store, &leader, "first", TTL).await;
    let mut next = JoinSet::new();
    next.spawn({
        let (store, leader) = (store.clone(), leader.clone());
        async move { elected(&store, &leader, "second", TTL).await }
    });
    let waiting = tokio::time::timeout(TTL * 2, async {
        tokio::select! {
            () = first.lost() => panic!("lost for no reason"),
            _ = next.join_next() => panic!("two leaders"),
        }
    });
    waiting.await.expect_err("the first leads on");
    store.revoke(first.lease()).await.unwrap();
    let revoked = Instant::now();
    soon("the loss", first.lost()).await;
    assert!(
        revoked.elapsed() <= TTL + Duration::from_secs(2),
        "{:?}",
        revoked.elapsed()
    );
    let second = soon("the second", next.join_next()).await.unwrap().unwrap();
    assert!(second.term() > first.term());
    conflict(
        &*store,
        Txn::new().if_created(&leader, first.term()).put(&leader, "first"),
    )
    .await;
    // Lost stays lost.
    soon("the loss", first.lost()).await;
    second.resign().await.unwrap();
}

/// A leader that is stuck, and does not even look whether it still leads, is followed by another.
pub async fn who_does_not_wait_loses(subject: &dyn Subject) {
    let store = subject.store();
    let leader = fresh().child("leader");
    let mut stuck = elected(&store, &leader, "stuck", TTL).await;
    let second = elected(&store, &leader, "second", TTL).await;
    assert!(second.term() > stuck.term());
    tokio::time::timeout(Duration::from_millis(200), stuck.lost())
        .await
        .expect("it knows without asking");
    assert_eq!(get(&*store, &leader).await.unwrap().value, "second");
    second.resign().await.unwrap();
}

/// Beats, keep-alives and a loop that drops `lost` all the time: nothing of that ends the leadership.
pub async fn a_leader_keeps_leading(subject: &dyn Subject) {
    let store = subject.store();
    let leader = fresh().child("leader");
    let mut leadership = elected(&store, &leader, "0", TTL).await;
    let (term, lease) = (leadership.term(), leadership.lease());
    let started = Instant::now();
    let mut beats = 0;
    let mut next_beat = started;
    while started.elapsed() < TTL * 3 {
        tokio::select! {
            () = leadership.lost() => panic!("lost after {:?}", started.elapsed()),
            () = tokio::time::sleep(Duration::from_millis(1)) => {}
        }
        if Instant::now() >= next_beat {
            beats += 1;
            commit(
                &*store,
                Txn::new()
                    .if_created(&leader, term)
                    .put_leased(&leader, beats.to_string(), lease),
            )
            .await;
            next_beat += TTL / 4;
        }
    }
    let entry = store.get(&leader, Read::Linearizable).await.unwrap().value.unwrap();
    assert_eq!((entry.create_revision, entry.value), (term, beats.to_string().into()));
    leadership.resign().await.unwrap();
    assert_eq!(get(&*store, &leader).await, None);
}
