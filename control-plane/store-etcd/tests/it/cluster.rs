//! Three members, whose leader is killed, restarted and paused while writers, a watcher and a leader of ours go on.

use super::*;
use dray_store::conformance::Journal;
use dray_store::{Key, Read, campaign};
use etcd_client::Client;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

const PATIENCE: Duration = Duration::from_secs(30);
/// The lease of our leader, twice what the server takes, because this machine may be slow as well; and how long nobody may write before it
/// may be lost: one keep-alive before, one call after.
const TTL: Duration = Duration::from_secs(10);
const COVERED: Duration = Duration::from_secs(5);

/// The number of the member that leads, as `etcd.sh` counts, once the members agree on one.
pub(super) async fn leader(server: &Server) -> usize {
    let end = Instant::now() + PATIENCE;
    loop {
        for (index, endpoint) in server.endpoints.iter().enumerate() {
            let status = timeout(Duration::from_secs(1), async {
                Client::connect([endpoint], None).await?.status().await
            });
            if let Ok(Ok(status)) = status.await
                && status
                    .header()
                    .is_some_and(|header| header.member_id() == status.leader())
            {
                return index + 1;
            }
        }
        assert!(Instant::now() < end, "no leader within {PATIENCE:?}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// All members answer and follow one leader.
async fn whole(server: &Server) {
    let end = Instant::now() + PATIENCE;
    for endpoint in &server.endpoints {
        loop {
            let status = timeout(Duration::from_secs(1), async {
                Client::connect([endpoint], None).await?.status().await
            });
            if matches!(status.await, Ok(Ok(status)) if status.leader() != 0) {
                break;
            }
            assert!(Instant::now() < end, "{endpoint} does not answer within {PATIENCE:?}");
            sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Rows 12 and 18 of what can fail: nothing that was committed is lost, nothing is there twice, unknown outcomes are resolved, the watch
/// goes on without a gap, and the leader of ours stays it, unless etcd itself needed longer for a leader than its lease allows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_the_leader_is_killed() {
    let server = Server::start(3, &[]);
    let store: Arc<dyn MetadataStore> = Arc::new(
        EtcdStore::connect(EtcdConfig::new(&server.endpoints))
            .await
            .expect("a store"),
    );
    let key = Key::root("leader");
    let mut leadership = campaign(&store, &key, "us".into(), TTL).await.expect("elected");
    let term = leadership.term();

    let over = Arc::new(AtomicBool::new(false));
    let mut writing = JoinSet::new();
    writing.spawn({
        let (store, over) = (store.clone(), over.clone());
        async move {
            Journal::new(store)
                .run_until(6, move |written| written >= 20 && over.load(Ordering::Relaxed))
                .await
        }
    });
    let mut leading = JoinSet::new();
    leading.spawn(async move {
        leadership.lost().await;
    });

    let mut downs = Vec::new();
    for round in 0..4 {
        let number = leader(&server).await.to_string();
        let down = Instant::now();
        // Killed and restarted three times, which goes round the members; then paused, so that it wakes up as a former leader.
        let (stop, start) = if round < 3 {
            ("kill9", "up")
        } else {
            ("pause", "resume")
        };
        server.sh(stop, &[&number]);
        while leader(&server).await.to_string() == number {}
        downs.push(down.elapsed());
        sleep(Duration::from_millis(500)).await;
        server.sh(start, &[&number]);
        whole(&server).await;
    }
    over.store(true, Ordering::Relaxed);
    let met = timeout(Duration::from_secs(60), writing.join_next())
        .await
        .expect("in time")
        .expect("a journal")
        .expect("a journal");
    println!("{met:?}; a new leader after {downs:?}");
    assert!(met.written >= 120, "{met:?}");
    assert!(
        met.unavailable + met.unknown_applied + met.unknown_not_applied > 0,
        "nothing was interrupted: {met:?}"
    );
    if leading.try_join_next().is_some() {
        // Nobody could write for as long: so slow an election, or machine, costs a leadership.
        assert!(met.longest_gap > COVERED, "the lease was lost: {met:?}, {downs:?}");
        return;
    }
    let entry = store
        .get(&key, Read::Linearizable)
        .await
        .expect("a read")
        .value
        .expect("our key");
    assert_eq!(entry.create_revision, term);
    leading.shutdown().await;
}

/// A store is opened, and works, with one member down; without a quorum every call ends in time and says that nothing was done.
#[tokio::test]
async fn a_quorum_is_enough_and_needed() {
    let server = Server::start(3, &[]);
    // Two that follow: when the leader goes, a write's outcome may well be unknown.
    let leads = leader(&server).await;
    let mut follow = (1..=3)
        .filter(|number| *number != leads)
        .map(|number| number.to_string());
    let (one, other) = (follow.next().expect("one"), follow.next().expect("another"));
    server.sh("kill9", &[&one]);
    let store = EtcdStore::connect(EtcdConfig::new(&server.endpoints))
        .await
        .expect("a store");
    let key = Key::root("x");
    for number in 0..30 {
        let txn = dray_store::Txn::new().put(&key, number.to_string());
        let end = Instant::now() + PATIENCE;
        // A member that refuses connections has done nothing, and another is asked; only one that is slow leaves it open.
        while let Err(error) = store.txn(txn.clone()).await {
            assert!(error.is_unknown() && Instant::now() < end, "{error:?}");
        }
        timeout(PATIENCE, async {
            while store.get(&key, Read::Linearizable).await.is_err() {}
        })
        .await
        .expect("read");
    }
    let mut watch = store.watch(&key.only(), Revision::new(1)).await.expect("a watch");
    server.sh("kill9", &[&other]);
    let started = Instant::now();
    // No leader: the watch is told, and does not hang.
    let ended = timeout(PATIENCE, async {
        loop {
            match watch.next().await {
                Some(Ok(_)) => {}
                other => return other,
            }
        }
    });
    let ended = ended.await.expect("in time");
    assert!(matches!(&ended, Some(Err(error)) if error.is_retryable()), "{ended:?}");
    println!("without a quorum the watch ended after {:?}", started.elapsed());
    let read = timeout(PATIENCE, store.get(&key, Read::Linearizable));
    let error = read.await.expect("in time").expect_err("no quorum");
    assert!(error.is_retryable(), "{error:?}");
    let write = timeout(PATIENCE, store.txn(dray_store::Txn::new().put(&key, "x")));
    let error = write.await.expect("in time").expect_err("no quorum");
    assert!(error.is_retryable() || error.is_unknown(), "{error:?}");

    server.sh("up", &[&other]);
    let end = Instant::now() + PATIENCE;
    while let Err(error) = store.get(&key, Read::Linearizable).await {
        assert!(error.is_retryable() && Instant::now() < end, "{error:?}");
    }
}
