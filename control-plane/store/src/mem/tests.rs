//! The suite, and the faults on demand.

use super::*;
use crate::conformance::{Journal, Subject};
use crate::{BoxError, Revision, WatchEvent, campaign, list_all};

struct Mem(Arc<MemStore>);

#[async_trait]
impl Subject for Mem {
    fn store(&self) -> Arc<dyn MetadataStore> {
        self.0.clone()
    }

    async fn compact(&self, revision: Revision) {
        self.0.compact(revision);
    }
}

async fn subject(_own: bool) -> Mem {
    Mem(Arc::new(MemStore::default()))
}

/// The same where every call takes time, so that callers interleave.
mod slow {
    use super::*;

    async fn subject(own: bool) -> Mem {
        let subject = super::subject(own).await;
        subject.0.set_latency(Duration::from_millis(3));
        subject
    }

    crate::conformance!(tokio::test(start_paused = true), subject);
}

mod fast {
    use super::*;

    crate::conformance!(tokio::test(start_paused = true), subject);
}

fn cause() -> BoxError {
    "scripted".into()
}

fn key() -> Key {
    Key::root("x")
}

#[tokio::test(start_paused = true)]
async fn a_fault_takes_one_call_of_its_kind() {
    let store = MemStore::default();
    store.fail_next(
        Call::Txn,
        Fault::Fail(Error::NoSpace {
            doing: "write",
            source: cause(),
        }),
    );
    store.fail_next(
        Call::Txn,
        Fault::Fail(Error::Unavailable {
            doing: "write",
            source: cause(),
        }),
    );
    store.get(&key(), Read::Linearizable).await.unwrap();
    assert!(matches!(
        store.txn(Txn::new().put(&key(), "1")).await,
        Err(Error::NoSpace { .. })
    ));
    assert!(matches!(
        store.txn(Txn::new().put(&key(), "1")).await,
        Err(Error::Unavailable { .. })
    ));
    assert_eq!(store.get(&key(), Read::Linearizable).await.unwrap().value, None);
    store.txn(Txn::new().put(&key(), "1")).await.unwrap();

    let other = store.client();
    store.set_cut_off(true);
    assert!(store.get(&key(), Read::Linearizable).await.unwrap_err().is_retryable());
    assert_eq!(
        other
            .get(&key(), Read::Linearizable)
            .await
            .unwrap()
            .value
            .unwrap()
            .value,
        "1"
    );
    store.set_cut_off(false);
    store.get(&key(), Read::Linearizable).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn latency_is_exact_and_a_slow_call_happens_half_way() {
    let store = Arc::new(MemStore::default());
    store.set_latency(Duration::from_millis(10));
    store.fail_next(Call::Txn, Fault::Slow(Duration::from_millis(90)));
    let started = Instant::now();
    let write = store.txn(Txn::new().put(&key(), "1"));
    // Given up after it happened, before it was answered.
    assert!(tokio::time::timeout(Duration::from_millis(51), write).await.is_err());
    assert!(store.get(&key(), Read::Linearizable).await.unwrap().value.is_some());
    assert_eq!(started.elapsed(), Duration::from_millis(61));
}

#[tokio::test(start_paused = true)]
async fn unknown_outcomes_are_three() {
    let store = MemStore::default();
    let write = |value: &'static str| store.txn(Txn::new().put(&key(), value));
    let value = async || {
        store
            .get(&key(), Read::Linearizable)
            .await
            .unwrap()
            .value
            .map(|entry| entry.value)
    };
    store.fail_next(Call::Txn, Fault::UnknownNotApplied);
    store.fail_next(Call::Txn, Fault::UnknownApplied);
    store.fail_next(Call::Txn, Fault::UnknownLate(Duration::from_secs(3)));
    assert!(write("1").await.unwrap_err().is_unknown());
    assert_eq!(value().await, None);
    assert!(write("2").await.unwrap_err().is_unknown());
    assert_eq!(value().await.unwrap(), "2");

    let mut watch = store
        .watch(
            &key().only(),
            store.get(&key(), Read::Linearizable).await.unwrap().revision,
        )
        .await
        .unwrap();
    let sent = Instant::now();
    assert!(write("3").await.unwrap_err().is_unknown());
    assert_eq!(value().await.unwrap(), "2");
    // Nobody but the watcher is there to notice.
    assert!(matches!(watch.next().await, Some(Ok(WatchEvent::Batch { .. }))));
    assert_eq!(sent.elapsed(), Duration::from_secs(3));
    assert_eq!(value().await.unwrap(), "3");

    // One that comes late finds its compare broken.
    let seen = store
        .get(&key(), Read::Linearizable)
        .await
        .unwrap()
        .value
        .unwrap()
        .mod_revision;
    store.fail_next(Call::Txn, Fault::UnknownLate(Duration::from_secs(3)));
    store
        .txn(Txn::new().if_modified(&key(), seen).put(&key(), "late"))
        .await
        .unwrap_err();
    store
        .txn(Txn::new().if_modified(&key(), seen).put(&key(), "again"))
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(value().await.unwrap(), "again");
}

#[tokio::test(start_paused = true)]
async fn watches_end_in_two_ways() {
    let store = MemStore::default();
    let other = store.client();
    let mut watches = [
        store.watch(&key().only(), Revision::NEVER.next()).await.unwrap(),
        other.watch(&key().only(), Revision::NEVER.next()).await.unwrap(),
    ];
    store.cancel_watches();
    assert!(watches[0].next().await.unwrap().unwrap_err().is_retryable());
    assert!(watches[0].next().await.is_none());
    other.drop_watches();
    assert!(watches[1].next().await.is_none());
    let mut watch = store.watch(&key().only(), Revision::NEVER.next()).await.unwrap();
    drop(store);
    assert!(matches!(watch.next().await, Some(Err(Error::Closed))));
}

#[tokio::test(start_paused = true)]
async fn history_is_bounded_by_number_and_by_bytes() {
    for history in [
        History {
            revisions: 10,
            bytes: 1 << 20,
        },
        History {
            revisions: 1_000,
            bytes: 2_200,
        },
    ] {
        let store = MemStore::new(history);
        let start = store.get(&key(), Read::Linearizable).await.unwrap().revision;
        let mut slow = store.watch(&key().only(), start).await.unwrap();
        for _ in 0..30 {
            store.txn(Txn::new().put(&key(), vec![0; 100])).await.unwrap();
        }
        let event = slow.next().await.unwrap().unwrap();
        assert_eq!(
            event,
            WatchEvent::Compacted {
                oldest: Revision::new(start.get() + 20)
            }
        );
        assert!(slow.next().await.is_none());
    }
}

/// Row 13 of what can fail: the store ends the leader's lease early. It is told, and the next one leads at once.
#[tokio::test(start_paused = true)]
async fn a_lease_lost_early() {
    let mem = Arc::new(MemStore::default());
    let store: Arc<dyn MetadataStore> = mem.clone();
    let mut first = campaign(&store, &key(), "1".into(), Duration::from_secs(5))
        .await
        .unwrap();
    let started = Instant::now();
    mem.lose_leases();
    first.lost().await;
    assert!(started.elapsed() <= Duration::from_secs(2), "{:?}", started.elapsed());
    let second = campaign(&store, &key(), "2".into(), Duration::from_secs(5))
        .await
        .unwrap();
    assert!(second.term() > first.term());
}

/// A leader that is cut off gives up at the end of its time to live, neither later nor much earlier.
#[tokio::test(start_paused = true)]
async fn a_leader_that_is_cut_off_gives_up() {
    let mem = Arc::new(MemStore::default());
    let store: Arc<dyn MetadataStore> = mem.clone();
    let mut leadership = campaign(&store, &key(), "1".into(), Duration::from_secs(5))
        .await
        .unwrap();
    let led = tokio::time::timeout(Duration::from_secs(60), leadership.lost()).await;
    assert!(led.is_err());
    mem.set_cut_off(true);
    let cut_off = Instant::now();
    leadership.lost().await;
    let after = cut_off.elapsed();
    assert!(
        after > Duration::from_secs(3) && after <= Duration::from_secs(5),
        "{after:?}"
    );
}

/// A candidate whose first transaction has an unknown outcome leads if it was applied, and only then.
#[tokio::test(start_paused = true)]
async fn campaigns_survive_unknown_outcomes() {
    for fault in [
        Fault::UnknownApplied,
        Fault::UnknownNotApplied,
        Fault::UnknownLate(Duration::from_millis(1)),
    ] {
        let mem = Arc::new(MemStore::default());
        let store: Arc<dyn MetadataStore> = mem.clone();
        mem.set_latency(Duration::from_millis(4));
        mem.fail_next(
            Call::Grant,
            Fault::Fail(Error::Unavailable {
                doing: "grant",
                source: cause(),
            }),
        );
        mem.fail_next(Call::Txn, fault);
        let leadership = campaign(&store, &key(), "1".into(), Duration::from_secs(5))
            .await
            .unwrap();
        let entry = store.get(&key(), Read::Linearizable).await.unwrap().value.unwrap();
        assert_eq!(
            (entry.create_revision, entry.lease),
            (leadership.term(), Some(leadership.lease()))
        );
    }
    let mem = Arc::new(MemStore::default());
    let store: Arc<dyn MetadataStore> = mem.clone();
    mem.fail_next(
        Call::Get,
        Fault::Fail(Error::Denied {
            doing: "read a key",
            source: cause(),
        }),
    );
    assert!(matches!(
        campaign(&store, &key(), "1".into(), Duration::from_secs(5)).await,
        Err(Error::Denied { .. })
    ));
}

/// The journal under every fault there is.
#[tokio::test(start_paused = true)]
async fn journals_agree_whatever_fails() {
    let mem = Arc::new(MemStore::new(History {
        revisions: 40,
        bytes: 1 << 20,
    }));
    mem.set_latency(Duration::from_millis(2));
    for round in 0..40 {
        let late = Duration::from_millis(round % 7);
        for fault in [
            Fault::UnknownApplied,
            Fault::UnknownNotApplied,
            Fault::UnknownLate(late),
            Fault::Slow(late),
        ] {
            mem.fail_next(Call::Txn, fault);
        }
        // A watch that hardly ever opens would meet nothing else.
        let calls = [Call::Get, Call::Txn, Call::Watch, Call::List];
        for &call in &calls[..if round % 20 == 0 { 4 } else { 2 }] {
            mem.fail_next(
                call,
                Fault::Fail(Error::Unavailable {
                    doing: "anything",
                    source: cause(),
                }),
            );
        }
    }
    let mut trouble = tokio::task::JoinSet::new();
    trouble.spawn({
        let mem = mem.clone();
        async move {
            for round in 0.. {
                tokio::time::sleep(Duration::from_millis(15)).await;
                match round % 4 {
                    0 => mem.cancel_watches(),
                    1 => mem.drop_watches(),
                    2 => mem.compact(Revision::new(u64::MAX - 1)),
                    _ => {
                        mem.set_cut_off(true);
                        tokio::time::sleep(Duration::from_millis(10)).await;
                        mem.set_cut_off(false);
                    }
                }
            }
        }
    });
    let met = Journal::new(mem.clone()).run(4, 40).await;
    trouble.shutdown().await;
    assert_eq!(met.written, 160);
    assert!(
        met.unknown_applied >= 40 && met.unknown_not_applied >= 40 && met.unavailable >= 40 && met.watched_again > 3,
        "{met:?}"
    );
    assert!(list_all(&*mem, &key().below()).await.is_ok());
}
