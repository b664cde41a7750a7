//! Elections.

use super::{HeldUp, Subject, commit, conflict, fresh, get, soon, until_not_held_up};
use crate::{Key, Leadership, MetadataStore, Revision, Txn, TxnOutcome, campaign};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Short, where it has to end by itself.
const TTL: Duration = Duration::from_secs(2);
/// So long that nothing that holds us up ends it, and longer than [`soon`] waits: what is noticed soon is not noticed by its end.
const LONG: Duration = Duration::from_secs(40);

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
                let leadership = elected(&store, &leader, &candidate.to_string(), LONG).await;
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
    let mut first = elected(&store, &leader, "first", LONG).await;
    let mut next = JoinSet::new();
    next.spawn({
        let (store, leader) = (store.clone(), leader.clone());
        async move { elected(&store, &leader, "second", LONG).await }
    });
    let waiting = tokio::time::timeout(TTL, async {
        tokio::select! {
            () = first.lost() => panic!("lost for no reason"),
            _ = next.join_next() => panic!("two leaders"),
        }
    });
    waiting.await.expect_err("the first leads on");
    store.revoke(first.lease()).await.unwrap();
    soon("the loss", first.lost()).await;
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
    let second = elected(&store, &leader, "second", LONG).await;
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
    until_not_held_up(async |leader| {
        let mut turn = Instant::now();
        let mut leadership = elected(&store, &leader, "0", TTL).await;
        let (term, lease) = (leadership.term(), leadership.lease());
        let mut longest = turn.elapsed();
        let started = Instant::now();
        let mut beats = 0;
        while started.elapsed() < TTL * 3 {
            // The longest turn says how slow we are, and the store, which is asked in some of them.
            longest = longest.max(turn.elapsed());
            turn = Instant::now();
            let lost = tokio::select! {
                () = leadership.lost() => true,
                () = tokio::time::sleep(Duration::from_millis(1)) => false,
            };
            if lost {
                HeldUp::unless(longest.max(turn.elapsed()), TTL / 4)?;
                panic!("lost after {:?}", started.elapsed());
            }
            if started.elapsed() >= TTL / 4 * (beats + 1) {
                beats += 1;
                let beat = Txn::new()
                    .if_created(&leader, term)
                    .put_leased(&leader, beats.to_string(), lease);
                let beaten = store.txn(beat).await;
                if !matches!(beaten, Ok(TxnOutcome::Committed(_))) {
                    HeldUp::unless(longest.max(turn.elapsed()), TTL / 4)?;
                    panic!("{beaten:?}");
                }
            }
        }
        let Some(entry) = get(&*store, &leader).await else {
            return HeldUp::unless(longest.max(turn.elapsed()), TTL / 4).map(|()| panic!("the key is gone"));
        };
        assert_eq!((entry.create_revision, entry.value), (term, beats.to_string().into()));
        leadership.resign().await.unwrap();
        assert_eq!(get(&*store, &leader).await, None);
        Ok(())
    })
    .await;
}
