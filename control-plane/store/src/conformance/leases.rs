//! Leases: their end, being kept alive, what hangs on them.

use super::{HeldUp, PATIENCE, Subject, commit, conflict, fresh, get, put, until_not_held_up, values, watch};
use crate::{Error, LeaseId, LeaseKind, Txn, TxnOutcome};
use std::time::Duration;
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

/// At its end all its keys go, in one revision, and it cannot be used any more. Not before.
pub async fn leases_end(subject: &dyn Subject) {
    let store = &*subject.store();
    until_not_held_up(async |root| {
        let (one, two) = (root.child("1"), root.child("2"));
        let granting = Instant::now();
        let lease = store
            .grant(Duration::from_millis(700), LeaseKind::Expiry)
            .await
            .unwrap();
        assert!(lease.ttl >= SECOND && lease.ttl.subsec_nanos() == 0, "{:?}", lease.ttl);
        let put = Txn::new()
            .put_leased(&one, "x", lease.id)
            .put_leased(&two, "y", lease.id);
        let committed = store.txn(put.put(&root.child("3"), "stays")).await;
        let there = get(store, &one).await;
        HeldUp::unless(granting.elapsed(), lease.ttl)?;
        let TxnOutcome::Committed(revision) = committed.unwrap() else {
            panic!("it compares nothing")
        };
        assert_eq!(there.unwrap().lease, Some(lease.id));
        let mut live = watch(store, &root.below(), revision).await;
        let (ended, changes) = values(&mut live).await;
        assert!(
            granting.elapsed() + Duration::from_millis(50) >= lease.ttl,
            "{:?}",
            granting.elapsed()
        );
        assert_eq!(changes, [(one.clone(), None), (two, None)]);
        assert!(ended > revision);
        assert_eq!(get(store, &one).await, None);
        assert!(get(store, &root.child("3")).await.is_some());
        is_gone(store.keep_alive(lease.id).await, lease.id);
        let late = store
            .txn(Txn::new().put(&root.child("4"), "z").put_leased(&one, "x", lease.id))
            .await;
        is_gone(late.map(|_| ()), lease.id);
        assert_eq!(
            get(store, &root.child("4")).await,
            None,
            "nothing of a refused transaction is written"
        );
        // A compare that does not hold comes first.
        conflict(
            store,
            Txn::new().if_modified(&one, revision).put_leased(&one, "x", lease.id),
        )
        .await;
        Ok(())
    })
    .await;
}

fn is_gone(result: Result<(), Error>, expected: LeaseId) {
    match result {
        Err(error @ Error::LeaseNotFound { lease }) if lease == expected => assert!(!error.is_retryable()),
        other => panic!("{other:?}"),
    }
}

/// It lives for three times its time, then ends by itself.
pub async fn leases_are_kept_alive(subject: &dyn Subject) {
    let store = &*subject.store();
    until_not_held_up(async |key| {
        let started = Instant::now();
        let lease = store.grant(SECOND, LeaseKind::Process).await.unwrap();
        let put = store.txn(Txn::new().put_leased(&key, "x", lease.id)).await;
        HeldUp::unless(started.elapsed(), lease.ttl)?;
        let TxnOutcome::Committed(revision) = put.unwrap() else {
            panic!("it compares nothing")
        };
        let mut renewed = started;
        while started.elapsed() < lease.ttl * 3 {
            tokio::time::sleep(lease.ttl / 4).await;
            let sent = Instant::now();
            let answer = store.keep_alive(lease.id).await;
            HeldUp::unless(renewed.elapsed(), lease.ttl)?;
            answer.unwrap();
            renewed = sent;
        }
        let there = get(store, &key).await;
        HeldUp::unless(renewed.elapsed(), lease.ttl)?;
        assert_eq!(there.unwrap().mod_revision, revision);
        let mut live = watch(store, &key.only(), revision).await;
        assert_eq!(values(&mut live).await.1, [(key, None)]);
        assert!(
            renewed.elapsed() + Duration::from_millis(50) >= lease.ttl,
            "{:?}",
            renewed.elapsed()
        );
        Ok(())
    })
    .await;
}

/// P6: the leader's beat hangs on the lease again; a put without one lets go of it.
pub async fn a_put_decides_the_lease(subject: &dyn Subject) {
    let store = subject.store();
    let root = fresh();
    let (leader, free) = (root.child("leader"), root.child("free"));
    let lease = store.grant(PATIENCE * 4, LeaseKind::Process).await.unwrap();
    let campaign = Txn::new().if_absent(&leader).put_leased(&leader, "0", lease.id);
    let term = commit(&*store, campaign.put_leased(&free, "0", lease.id)).await;
    let mut beat = term;
    for beats in 1..5 {
        let txn = Txn::new().if_created(&leader, term);
        beat = commit(&*store, txn.put_leased(&leader, beats.to_string(), lease.id)).await;
    }
    let entry = get(&*store, &leader).await.unwrap();
    assert_eq!(
        (entry.create_revision, entry.mod_revision, entry.lease),
        (term, beat, Some(lease.id))
    );
    put(&*store, &free, "1").await;
    assert_eq!(get(&*store, &free).await.unwrap().lease, None);
    let mut live = watch(&*store, &root.below(), beat).await;
    store.revoke(lease.id).await.unwrap();
    while values(&mut live).await.1 != [(leader.clone(), None)] {}
    assert_eq!(get(&*store, &free).await.unwrap().value, "1");
    conflict(&*store, Txn::new().if_created(&leader, term).put(&leader, "5")).await;
    // A key may change to another lease.
    let (one, other) = (
        store.grant(PATIENCE * 4, LeaseKind::Expiry).await.unwrap(),
        store.grant(PATIENCE * 4, LeaseKind::Expiry).await.unwrap(),
    );
    commit(&*store, Txn::new().put_leased(&free, "2", one.id)).await;
    commit(&*store, Txn::new().put_leased(&free, "3", other.id)).await;
    store.revoke(one.id).await.unwrap();
    assert_eq!(get(&*store, &free).await.unwrap().value, "3");
    store.revoke(other.id).await.unwrap();
    assert_eq!(get(&*store, &free).await, None);
}

/// At once, in one revision, and as often as one likes.
pub async fn leases_are_revoked(subject: &dyn Subject) {
    let store = subject.store();
    let root = fresh();
    let lease = store.grant(PATIENCE * 4, LeaseKind::Process).await.unwrap();
    let keys: Vec<_> = (0..5).map(|number| root.child(number.to_string())).collect();
    let revision = commit(
        &*store,
        keys.iter()
            .fold(Txn::new(), |txn, key| txn.put_leased(key, "x", lease.id)),
    )
    .await;
    let mut live = watch(&*store, &root.below(), revision).await;
    store.revoke(lease.id).await.unwrap();
    assert_eq!(
        get(&*store, &keys[0]).await,
        None,
        "revoked is gone when the call returns"
    );
    let (ended, changes) = values(&mut live).await;
    assert_eq!((changes.len(), ended > revision), (5, true));
    store.revoke(lease.id).await.unwrap();
    is_gone(store.keep_alive(lease.id).await, lease.id);
    store.revoke(LeaseId::new(0x7fff_ffff_1234)).await.unwrap();
}
