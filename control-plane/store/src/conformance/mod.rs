//! The suite that every store passes: in memory, in a file, and a real etcd. Without it the one in memory would drift, and what is
//! proved on it would hold for nothing. `dray_store::conformance!` makes a test of each case.

mod chaos;
mod leaders;
mod leases;
mod lists;
mod txns;
mod watches;

pub use chaos::*;
pub use leaders::*;
pub use leases::*;
pub use lists::*;
pub use txns::*;
pub use watches::*;

use crate::{Change, Entry, Key, KeyRange, MetadataStore, Read, Revision, Txn, TxnOutcome, Value, Watch, WatchEvent};
use async_trait::async_trait;
use std::future::Future;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A store under test.
#[async_trait]
pub trait Subject: Send + Sync {
    /// The store. It may hold other things: every case has a key of its own above all that it writes.
    fn store(&self) -> Arc<dyn MetadataStore>;

    /// Makes it forget the history before a revision.
    async fn compact(&self, revision: Revision);

    /// Whether it answers [`Watch::request_progress`].
    fn answers_progress(&self) -> bool {
        true
    }
}

/// One test for each case. `$test` is the attribute, as `tokio::test`; `$subject` is an async function that is told whether the store
/// must be the case's own, because it compacts.
#[macro_export]
macro_rules! conformance {
    ($test:meta, $subject:expr) => {
        $crate::conformance_cases! { $test, $subject, false,
            revisions_count_changes
            a_conflict_is_an_outcome
            one_transaction_is_one_revision
            leader_writes
            user_writes
            a_task_set_is_published
            a_delete_is_finished
            compare_and_swap_under_concurrency
            one_of_many_creates
            limits_are_met_before_sending
            large_values
            every_byte_in_a_key
            reads_at_least
            pages_show_one_revision
            an_old_revision_is_listed
            lists_over_four_mebibytes
            a_watch_sees_all_in_order
            a_watch_starts_anywhere
            a_watch_minds_its_range
            many_watchers
            a_slow_watcher_misses_nothing_unknowingly
            a_dropped_wait_loses_nothing
            progress_is_true
            leases_end
            leases_are_kept_alive
            a_put_decides_the_lease
            leases_are_revoked
            candidates
            a_lost_lease_is_noticed
            who_does_not_wait_loses
            a_leader_keeps_leading
            journals_agree
        }
        $crate::conformance_cases! { $test, $subject, true,
            compacted_lists
            compacted_watches
        }
    };
}

/// The tests of [`conformance!`].
#[doc(hidden)]
#[macro_export]
macro_rules! conformance_cases {
    ($test:meta, $subject:expr, $own:literal, $($case:ident)*) => {
        $(
            #[$test]
            async fn $case() {
                let subject = $subject($own).await;
                $crate::conformance::$case(&subject).await;
            }
        )*
    };
}

/// Long enough for a loaded machine; only a failure waits for it.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Plays what lives by the clock until it was not held up: a machine that stands still ends leases, and that proves nothing. `play` has a
/// key of its own each time.
async fn until_not_held_up(play: impl AsyncFn(Key) -> Result<(), HeldUp>) {
    let mut times = Vec::new();
    while times.len() < 20 {
        match play(fresh()).await {
            Ok(()) => return,
            Err(held_up) => times.push(held_up),
        }
    }
    panic!("held up each time: {times:?}");
}

/// Something took longer than the case bears.
#[derive(Debug)]
#[expect(dead_code, reason = "shown by Debug")]
struct HeldUp {
    by: Duration,
    bears: Duration,
}

impl HeldUp {
    fn unless(by: Duration, bears: Duration) -> Result<(), Self> {
        match by < bears {
            true => Ok(()),
            false => Err(Self { by, bears }),
        }
    }
}

/// A key that no other case uses, in no run.
fn fresh() -> Key {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    // Another one in each process: pids come again.
    let run = RandomState::new().build_hasher().finish();
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    Key::root("conformance").child(format!("{run:016x}-{number}"))
}

/// The future's output, or a panic that says what was waited for.
async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(output) => output,
        Err(_) => panic!("{what}: not within {PATIENCE:?}"),
    }
}

/// The revision of a transaction that has to be committed.
async fn commit(store: &dyn MetadataStore, txn: Txn) -> Revision {
    match store.txn(txn).await.expect("the transaction") {
        TxnOutcome::Committed(revision) => revision,
        TxnOutcome::Conflict { current, .. } => panic!("a conflict with {current:?}"),
    }
}

async fn put(store: &dyn MetadataStore, key: &Key, value: impl Into<Value>) -> Revision {
    commit(store, Txn::new().put(key, value)).await
}

async fn get(store: &dyn MetadataStore, key: &Key) -> Option<Entry> {
    store.get(key, Read::Linearizable).await.expect("a read").value
}

/// What the compared keys were, of a transaction that must not be committed.
async fn conflict(store: &dyn MetadataStore, txn: Txn) -> Vec<Option<Entry>> {
    match store.txn(txn).await.expect("the transaction") {
        TxnOutcome::Conflict { current, .. } => current,
        TxnOutcome::Committed(revision) => panic!("committed at {revision}"),
    }
}

async fn watch(store: &dyn MetadataStore, range: &KeyRange, after: Revision) -> Watch {
    store.watch(range, after).await.expect("a watch")
}

/// The next batch, past any progress.
async fn batch(watch: &mut Watch) -> (Revision, Vec<Change>) {
    loop {
        match soon("a batch", watch.next())
            .await
            .expect("the watch ended")
            .expect("the watch failed")
        {
            WatchEvent::Batch { revision, mut changes } => {
                changes.sort_by(|a, b| a.key().cmp(b.key()));
                return (revision, changes);
            }
            WatchEvent::Progress { .. } => {}
            WatchEvent::Compacted { oldest } => panic!("compacted up to {oldest}"),
        }
    }
}

/// The next batch's revision, keys and values; `None` is a delete.
async fn values(watch: &mut Watch) -> (Revision, Vec<(Key, Option<Value>)>) {
    let (revision, changes) = batch(watch).await;
    let values = changes.into_iter().map(|change| match change {
        Change::Put(entry) => (entry.key, Some(entry.value)),
        Change::Delete(key) => (key, None),
    });
    (revision, values.collect())
}
