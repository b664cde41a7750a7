//! One member that is down, paused, full, or has too much to say at once.

use super::*;
use dray_store::{Error, Key, Read, Txn, TxnOutcome, WatchEvent, list_all};
use etcd_client::{AlarmAction, AlarmOptions, AlarmType, Client, CompactionOptions};
use std::time::Duration;
use tokio::time::{Instant, timeout};

const PATIENCE: Duration = Duration::from_secs(30);

async fn open(server: &Server) -> EtcdStore {
    EtcdStore::connect(EtcdConfig::new(&server.endpoints))
        .await
        .expect("a store")
}

async fn put(store: &EtcdStore, key: &Key, value: impl Into<dray_store::Value>) -> Revision {
    match store.txn(Txn::new().put(key, value)).await.expect("written") {
        TxnOutcome::Committed(revision) => revision,
        TxnOutcome::Conflict { .. } => unreachable!("it compares nothing"),
    }
}

/// A crash is an error that says whether to try again; afterwards the same store goes on, and so does a watch, from where it was.
#[tokio::test]
async fn a_crash_is_survived() {
    let server = Server::start(1, &[]);
    let store = open(&server).await;
    let key = Key::root("x");
    let first = put(&store, &key, "1").await;
    let mut watch = store.watch(&key.only(), Revision::new(1)).await.expect("a watch");
    assert!(matches!(watch.next().await, Some(Ok(WatchEvent::Batch { revision, .. })) if revision == first));
    server.sh("kill9", &[]);
    let ended = timeout(PATIENCE, watch.next()).await.expect("in time");
    assert!(matches!(&ended, Some(Err(error)) if error.is_retryable()), "{ended:?}");
    assert!(watch.next().await.is_none());
    let read = timeout(PATIENCE, store.get(&key, Read::Linearizable));
    let read = read.await.expect("in time").expect_err("nobody answers");
    assert!(read.is_retryable(), "{read:?}");
    // The port refuses connections: nothing was sent, so the outcome is known, unless we were too slow to see it.
    let write = timeout(PATIENCE, async {
        loop {
            let error = store.txn(Txn::new().put(&key, "2")).await.expect_err("nobody answers");
            if !error.is_unknown() {
                return error;
            }
        }
    });
    let write = write.await.expect("in time");
    assert!(write.is_retryable(), "{write:?}");
    let closed = EtcdStore::connect(EtcdConfig::new(&server.endpoints))
        .await
        .err()
        .expect("nobody answers");
    assert!(closed.is_retryable(), "{closed:?}");

    server.sh("up", &["1"]);
    let end = Instant::now() + PATIENCE;
    let again = loop {
        match store.get(&key, Read::AtLeast(first)).await {
            Ok(found) => break found.value.expect("what was committed"),
            Err(error) => assert!(error.is_retryable() && Instant::now() < end, "{error:?}"),
        }
    };
    assert_eq!((again.mod_revision, &again.value[..]), (first, &b"1"[..]));
    let second = put(&store, &key, "2").await;
    let mut watch = store.watch(&key.only(), first).await.expect("a watch");
    assert!(matches!(watch.next().await, Some(Ok(WatchEvent::Batch { revision, .. })) if revision == second));
}

/// A member that is paused takes what is sent and says nothing: every call ends in time, and a write's outcome is unknown, which it is:
/// it may land when the member goes on. Reading and comparing decide it.
#[tokio::test]
async fn a_pause_makes_outcomes_unknown() {
    let server = Server::start(1, &[]);
    let store = open(&server).await;
    let key = Key::root("x");
    let seen = put(&store, &key, "1").await;
    let lease = store
        .grant(PATIENCE * 20, dray_store::LeaseKind::Process)
        .await
        .expect("a lease");
    let mut watch = store.watch(&key.below(), Revision::new(1)).await.expect("a watch");
    server.sh("pause", &["1"]);
    let write = store.txn(Txn::new().if_modified(&key, seen).put(&key, "2"));
    let write = timeout(PATIENCE, write).await.expect("in time").expect_err("no answer");
    assert!(write.is_unknown(), "{write:?}");
    // The connection is found dead by its pings, and with it the watch.
    let ended = timeout(PATIENCE, watch.next()).await.expect("in time");
    assert!(matches!(&ended, Some(Err(error)) if error.is_retryable()), "{ended:?}");
    for call in 0..4 {
        let answer = timeout(PATIENCE, async {
            match call {
                0 => store.get(&key, Read::Linearizable).await.map(|_| ()),
                1 => store.watch(&key.only(), Revision::new(1)).await.map(|_| ()),
                2 => store.keep_alive(lease.id).await,
                _ => store.grant(PATIENCE, dray_store::LeaseKind::Process).await.map(|_| ()),
            }
        });
        let error = answer.await.expect("in time");
        assert!(error.as_ref().is_err_and(Error::is_retryable), "{call}: {error:?}");
    }
    server.sh("resume", &["1"]);
    let end = Instant::now() + PATIENCE;
    let again = loop {
        match store.txn(Txn::new().if_modified(&key, seen).put(&key, "2")).await {
            Ok(outcome) => break outcome,
            Err(error) => assert!(
                (error.is_retryable() || error.is_unknown()) && Instant::now() < end,
                "{error:?}"
            ),
        }
    };
    match again {
        TxnOutcome::Committed(revision) => assert!(revision > seen),
        TxnOutcome::Conflict { current, .. } => assert_eq!(current[0].as_ref().expect("there").value, "2"),
    }
    assert_eq!(
        store
            .get(&key, Read::Linearizable)
            .await
            .expect("read")
            .value
            .expect("there")
            .value,
        "2"
    );
    store.keep_alive(lease.id).await.expect("alive");
}

/// Row 15 of what can fail: out of space is said, reads go on, and once an operator has made room writes do too.
#[tokio::test]
async fn a_full_etcd_says_so() {
    let server = Server::start(1, &[("DRAY_ETCD_EXTRA", "--quota-backend-bytes 16777216")]);
    let store = patient(&server.endpoints).await;
    let key = Key::root("x");
    let mut written = 0;
    let error = loop {
        match store.txn(Txn::new().put(&key, vec![written as u8; 1 << 20])).await {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 100);
    };
    assert!(
        matches!(error, Error::NoSpace { .. }) && !error.is_retryable(),
        "{error:?}"
    );
    assert!(written > 5, "{written}");
    let found = store.get(&key, Read::Linearizable).await.expect("reads go on");
    assert_eq!(found.value.expect("the last one").value[0], written as u8 - 1);
    assert!(matches!(
        store.txn(Txn::new().put(&key, "small")).await,
        Err(Error::NoSpace { .. })
    ));

    let mut operator = Client::connect(&server.endpoints, None).await.expect("etcd");
    let all_of_it = CompactionOptions::new().with_physical();
    operator
        .compact(found.revision.get().cast_signed(), Some(all_of_it))
        .await
        .expect("compacted");
    let end = Instant::now() + PATIENCE;
    while let Err(error) = store.txn(Txn::new().put(&key, "small")).await {
        assert!(
            matches!(error, Error::NoSpace { .. }) && Instant::now() < end,
            "{error:?}"
        );
        operator.defragment().await.expect("defragmented");
        for alarm in operator
            .alarm(AlarmAction::Get, AlarmType::None, None)
            .await
            .expect("asked")
            .alarms()
        {
            let mut options = AlarmOptions::new();
            options.with_member(alarm.member_id());
            operator
                .alarm(AlarmAction::Deactivate, AlarmType::Nospace, Some(options))
                .await
                .expect("disarmed");
        }
    }
}

/// A watch that is further behind than one message may hold is sent to list again, and not into the same error for ever.
#[tokio::test]
async fn a_watch_too_far_behind_lists_again() {
    let server = Server::start(1, &[]);
    let store = patient(&server.endpoints).await;
    let root = Key::root("x");
    for number in 0..40 {
        put(&store, &root.child(number.to_string()), vec![7; 1 << 20]).await;
    }
    let mut watch = store.watch(&root.below(), Revision::new(1)).await.expect("a watch");
    let event = timeout(PATIENCE, watch.next()).await.expect("in time");
    assert!(
        matches!(event, Some(Ok(WatchEvent::Compacted { .. }))),
        "{:?}",
        event.map(|event| event.map(|_| ()))
    );
    assert!(watch.next().await.is_none());
    let all = list_all(&store, &root.below()).await.expect("a list");
    assert_eq!(all.value.len(), 40);
    let mut watch = store.watch(&root.below(), all.revision).await.expect("a watch");
    let next = put(&store, &root.child("next"), "x").await;
    assert!(matches!(watch.next().await, Some(Ok(WatchEvent::Batch { revision, .. })) if revision == next));
}

/// Row 16 of what can fail: a store that lost its past is noticed by who has seen more.
#[tokio::test]
async fn a_store_from_the_past_is_noticed() {
    let store = EtcdStore::connect(EtcdConfig::new(server::shared()))
        .await
        .expect("a store");
    let seen = Revision::new(1 << 50);
    match store.get(&Key::root("x"), Read::AtLeast(seen)).await {
        Err(error @ Error::Behind { asked, current }) => {
            assert!(asked == seen && current < seen);
            assert!(!error.is_retryable() && error.to_string().contains("backup"), "{error}");
        }
        other => panic!("{other:?}"),
    }
}

/// What cannot be right is said at once, with the address.
#[tokio::test]
async fn wrong_addresses_are_errors() {
    for endpoints in [vec![], vec!["http://not a host".to_owned()]] {
        let error = EtcdStore::connect(EtcdConfig::new(endpoints))
            .await
            .err()
            .expect("an error");
        assert!(matches!(error, Error::Refused { .. }), "{error:?}");
    }
}
