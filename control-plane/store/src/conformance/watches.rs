//! Watches: order, completeness, where they start, how they end.

use super::{Subject, batch, commit, fresh, put, soon, values, watch};
use crate::{Change, Error, Key, MetadataStore, Read, Revision, Txn, Watch, WatchEvent, list_all};
use futures::FutureExt;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// `writers` at once, `each` transactions of three keys; the revisions, and what each of them wrote.
async fn write_at_once(
    store: &Arc<dyn MetadataStore>,
    root: &Key,
    writers: usize,
    each: usize,
) -> BTreeMap<Revision, Vec<Key>> {
    let mut tasks = JoinSet::new();
    for writer in 0..writers {
        let (store, root) = (store.clone(), root.clone());
        tasks.spawn(async move {
            let mut written = Vec::new();
            for number in 0..each {
                // Keys of its own, and one that all writers share.
                let mut keys = [
                    root.child(format!("{writer}-{}", number % 3)),
                    root.child(format!("{writer}-{number}-b")),
                    root.child("shared"),
                ];
                keys.sort();
                let txn = keys
                    .iter()
                    .fold(Txn::new(), |txn, key| txn.put(key, number.to_string()));
                written.push((commit(&*store, txn).await, keys.to_vec()));
            }
            written
        });
    }
    tasks.join_all().await.into_iter().flatten().collect()
}

/// Checks that a watch delivers exactly these revisions, each whole.
async fn expect(watch: &mut Watch, written: &BTreeMap<Revision, Vec<Key>>) {
    for (revision, keys) in written {
        let (seen, changes) = batch(watch).await;
        assert_eq!(seen, *revision);
        assert_eq!(
            changes.iter().map(|change| change.key().clone()).collect::<Vec<_>>(),
            *keys
        );
        for change in changes {
            let Change::Put(entry) = change else {
                panic!("{change:?}")
            };
            assert_eq!(entry.mod_revision, *revision);
        }
    }
}

/// Every revision once, whole, in order, while several write; afterwards list and watch agree.
pub async fn a_watch_sees_all_in_order(subject: &dyn Subject) {
    let store = subject.store();
    let root = fresh();
    let start = put(&*store, &root, "start").await;
    let mut live = watch(&*store, &root.below(), start).await;
    let written = write_at_once(&store, &root, 4, 25).await;
    assert_eq!(written.len(), 100);
    expect(&mut live, &written).await;
    // Deletes come as deletes, of ranges too, and a key that is put again is created again.
    let deleted = commit(&*store, Txn::new().delete(root.below())).await;
    let (revision, changes) = values(&mut live).await;
    assert_eq!((revision, changes.len()), (deleted, 3 * 4 + 25 * 4 + 1));
    assert!(changes.iter().all(|(_, value)| value.is_none()));
    let again = put(&*store, &root.child("shared"), "again").await;
    let (revision, changes) = batch(&mut live).await;
    let [Change::Put(entry)] = &changes[..] else {
        panic!("{changes:?}")
    };
    assert_eq!(
        (revision, entry.create_revision, entry.mod_revision),
        (again, again, again)
    );
    assert_eq!(
        list_all(&*store, &root.below()).await.unwrap().value,
        std::slice::from_ref(entry)
    );
}

/// From an old revision, from now, from a revision that is still to come.
pub async fn a_watch_starts_anywhere(subject: &dyn Subject) {
    let store = subject.store();
    let root = fresh();
    let start = put(&*store, &root, "start").await;
    let written = write_at_once(&store, &root, 2, 20).await;
    let revisions: Vec<Revision> = written.keys().copied().collect();
    for after in [start, revisions[0], revisions[20], revisions[38]] {
        let mut old = watch(&*store, &root.below(), after).await;
        let rest = written
            .iter()
            .filter(|(revision, _)| **revision > after)
            .map(|(revision, keys)| (*revision, keys.clone()));
        expect(&mut old, &rest.collect()).await;
        let next = put(&*store, &root.child("next"), "x").await;
        // An old watch becomes a live one, after what the earlier rounds wrote.
        while batch(&mut old).await.0 < next {}
        commit(&*store, Txn::new().delete(root.child("next").only())).await;
    }
    // Seeded by a list, as a cache is: what is in the list does not come again.
    let seed = list_all(&*store, &root.below()).await.unwrap();
    let mut live = watch(&*store, &root.below(), seed.revision).await;
    let next = put(&*store, &root.child("next"), "y").await;
    assert_eq!(batch(&mut live).await.0, next);

    let now = store.get(&root, Read::Linearizable).await.unwrap().revision;
    let key = root.child("later");
    let mut future = watch(&*store, &key.only(), Revision::new(now.get() + 1_000)).await;
    put(&*store, &key, "too early").await;
    let waiting = tokio::time::timeout(Duration::from_millis(300), future.next()).await;
    assert!(
        !matches!(waiting, Ok(Some(Ok(WatchEvent::Batch { .. })))),
        "{waiting:?}"
    );
}

/// Neighbours of a range are not in it; a watch of one key is of that key.
pub async fn a_watch_minds_its_range(subject: &dyn Subject) {
    let store = subject.store();
    let root = fresh();
    let parent = root.child("a");
    let start = put(&*store, &root, "start").await;
    let mut below = watch(&*store, &parent.below(), start).await;
    let mut only = watch(&*store, &parent.only(), start).await;
    let mixed = Txn::new()
        .put(&parent, "1")
        .put(&root.child("ab"), "2")
        .put(&parent.child(""), "3")
        .put(&parent.child("x").child("y"), "4");
    let first = commit(&*store, mixed).await;
    put(&*store, &root.child("a0"), "not seen").await;
    put(&*store, &root.child("a-"), "not seen").await;
    let last = commit(&*store, Txn::new().delete(parent.only()).delete(parent.below())).await;
    let some = |text: &'static str| Some(text.into());
    let (empty, deep) = (parent.child(""), parent.child("x").child("y"));
    assert_eq!(
        values(&mut below).await,
        (first, vec![(empty.clone(), some("3")), (deep.clone(), some("4"))])
    );
    assert_eq!(values(&mut below).await, (last, vec![(empty, None), (deep, None)]));
    assert_eq!(values(&mut only).await, (first, vec![(parent.clone(), some("1"))]));
    assert_eq!(values(&mut only).await, (last, vec![(parent, None)]));
}

/// Many at once see the same.
pub async fn many_watchers(subject: &dyn Subject) {
    let store = subject.store();
    let root = fresh();
    let start = put(&*store, &root, "start").await;
    let mut watchers = JoinSet::new();
    let (done, finished) = tokio::sync::watch::channel(None::<Arc<BTreeMap<Revision, Vec<Key>>>>);
    for _ in 0..64 {
        let mut live = watch(&*store, &root.below(), start).await;
        let mut finished = finished.clone();
        watchers.spawn(async move {
            let written = finished.wait_for(Option::is_some).await.unwrap().clone().unwrap();
            expect(&mut live, &written).await;
        });
    }
    let written = write_at_once(&store, &root, 3, 10).await;
    done.send(Some(Arc::new(written))).unwrap();
    assert_eq!(watchers.join_all().await.len(), 64);
}

/// A watcher that does not read while much more is written than any buffer holds: it gets everything without a gap, or is told to
/// list again; never less without a word.
pub async fn a_slow_watcher_misses_nothing_unknowingly(subject: &dyn Subject) {
    const WRITES: usize = 48;
    let store = subject.store();
    let root = fresh();
    let start = put(&*store, &root, "start").await;
    let mut slow = watch(&*store, &root.below(), start).await;
    let mut other = watch(&*store, &root.below(), start).await;
    let mut written = Vec::new();
    for number in 0..WRITES {
        let value = vec![number as u8; 1 << 20];
        let revision = put(&*store, &root.child(format!("{}", number % 4)), value).await;
        assert_eq!(batch(&mut other).await.0, revision, "another watcher is not held up");
        written.push(revision);
    }
    let mut seen = 0;
    while seen < WRITES {
        match soon("an event", slow.next())
            .await
            .expect("the watch ended without a word")
            .expect("the watch failed")
        {
            WatchEvent::Batch { revision, .. } => {
                assert_eq!(revision, written[seen], "a gap");
                seen += 1;
            }
            WatchEvent::Progress { revision } => {
                assert!(written[seen] > revision, "progress {revision} before {}", written[seen]);
            }
            WatchEvent::Compacted { .. } => {
                assert!(soon("the end", slow.next()).await.is_none());
                break;
            }
        }
    }
    // From what is listed now it goes on.
    let now = list_all(&*store, &root.below()).await.unwrap();
    assert_eq!(
        now.value
            .iter()
            .map(|entry| entry.value[0] as usize)
            .collect::<Vec<_>>(),
        [44, 45, 46, 47]
    );
    let mut again = watch(&*store, &root.below(), now.revision).await;
    let next = commit(&*store, Txn::new().delete(root.below())).await;
    assert_eq!(batch(&mut again).await.0, next);
}

/// A wait for an event can be given up at any time.
pub async fn a_dropped_wait_loses_nothing(subject: &dyn Subject) {
    let store = subject.store();
    let root = fresh();
    let start = put(&*store, &root, "start").await;
    let mut live = watch(&*store, &root.below(), start).await;
    let mut writing = JoinSet::new();
    writing.spawn({
        let (store, root) = (store.clone(), root.clone());
        async move { write_at_once(&store, &root, 2, 30).await }
    });
    let mut seen = BTreeMap::new();
    let mut given_up = 0;
    soon("all events", async {
        while seen.len() < 60 {
            match give_up_soon(&mut live, &mut given_up).await {
                Some(Some(Ok(WatchEvent::Batch { revision, changes }))) => {
                    assert!(seen.insert(revision, changes.len()).is_none());
                }
                Some(Some(Ok(WatchEvent::Progress { .. }))) => {}
                Some(other) => panic!("{other:?}"),
                None => {}
            }
        }
    })
    .await;
    assert!(given_up > 0);
    let written = writing.join_all().await.remove(0);
    assert!(
        seen.into_iter()
            .eq(written.into_iter().map(|(revision, keys)| (revision, keys.len())))
    );
}

/// What is there at once, or within a moment.
async fn give_up_soon(watch: &mut Watch, given_up: &mut usize) -> Option<Option<Result<WatchEvent, Error>>> {
    if let Some(event) = watch.next().now_or_never() {
        return Some(event);
    }
    *given_up += 1;
    tokio::time::timeout(Duration::from_micros(200), watch.next())
        .await
        .ok()
}

/// Progress is said only of what was delivered; where a store answers, a quiet watch learns that it is up to date.
pub async fn progress_is_true(subject: &dyn Subject) {
    let store = subject.store();
    let root = fresh();
    let start = put(&*store, &root, "start").await;
    let mut live = watch(&*store, &root.below(), start).await;
    let mut delivered = start;
    let mut answered = 0;
    for number in 0..30 {
        let written = put(&*store, &root.child("x"), number.to_string()).await;
        let outside = put(&*store, &root, "outside").await;
        live.request_progress();
        let reached = if subject.answers_progress() { outside } else { written };
        soon("the watch reaches the revision", async {
            while delivered < reached {
                let event = tokio::time::timeout(Duration::from_millis(100), live.next()).await;
                match event.map(|event| event.expect("the watch ended").expect("the watch failed")) {
                    Ok(WatchEvent::Batch { revision, .. }) => {
                        assert!(
                            revision == written && revision > delivered,
                            "{revision} after {delivered}"
                        );
                        delivered = revision;
                    }
                    Ok(WatchEvent::Progress { revision }) => {
                        assert!(
                            delivered >= written || revision < written,
                            "progress {revision} before {written}"
                        );
                        delivered = delivered.max(revision);
                        answered += 1;
                    }
                    Ok(other) => panic!("{other:?}"),
                    Err(_) => live.request_progress(),
                }
            }
        })
        .await;
    }
    assert!(answered > 0 || !subject.answers_progress());
}

/// A watch from before the oldest history says so and ends, whether it starts there or was too slow.
pub async fn compacted_watches(subject: &dyn Subject) {
    let store = subject.store();
    let root = fresh();
    let start = put(&*store, &root, "start").await;
    let mut revisions = Vec::new();
    for number in 0..10 {
        revisions.push(put(&*store, &root.child(number.to_string()), "x").await);
    }
    let mut live = watch(&*store, &root.below(), revisions[9]).await;
    subject.compact(revisions[7]).await;
    for after in [start, revisions[0], revisions[6]] {
        let mut old = watch(&*store, &root.below(), after).await;
        let event = soon("the end", old.next()).await.unwrap().unwrap();
        let WatchEvent::Compacted { oldest } = event else {
            panic!("{event:?}")
        };
        assert!(oldest == revisions[7] || oldest == Revision::NEVER, "{oldest}");
        assert!(soon("the end", old.next()).await.is_none());
    }
    let mut kept = watch(&*store, &root.below(), revisions[7]).await;
    assert_eq!(batch(&mut kept).await.0, revisions[8]);
    // The last change before the oldest revision is a delete, which etcd forgets with its key: it is not left out without a word.
    let deleted = commit(&*store, Txn::new().delete(root.child("0").only())).await;
    assert_eq!(batch(&mut live).await.0, deleted);
    subject.compact(deleted).await;
    let mut before = watch(&*store, &root.below(), revisions[9]).await;
    let event = soon("the end", before.next()).await.unwrap().unwrap();
    assert!(matches!(event, WatchEvent::Compacted { .. }), "{event:?}");
    // A watch that had it all goes on.
    let next = put(&*store, &root.child("next"), "x").await;
    assert_eq!(batch(&mut live).await.0, next);
}
