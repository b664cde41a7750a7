//! Writers that keep a journal while the store fails under them. Each write carries an operation id, and after an unknown outcome the
//! writer reads before it goes on: at the end everything is there once.

use super::{PATIENCE, Subject, fresh};
use crate::{Entry, Error, Key, KeyRange, MetadataStore, Read, Revision, Txn, TxnOutcome, WatchEvent, list_all};
use futures::future::BoxFuture;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// What the writers met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Met {
    /// Writes that are in the journal.
    pub written: usize,
    /// Outcomes that were unknown at first, and had been applied.
    pub unknown_applied: usize,
    /// Outcomes that were unknown at first, and had not.
    pub unknown_not_applied: usize,
    /// Calls that failed without effect.
    pub unavailable: usize,
    /// How often the watcher had to watch again.
    pub watched_again: usize,
    /// The longest time without a write by anybody.
    pub longest_gap: Duration,
}

/// The journal of several writers, and a watcher beside them.
#[derive(Clone)]
pub struct Journal {
    store: Arc<dyn MetadataStore>,
    root: Key,
    head: Key,
    all: KeyRange,
}

/// The journal with nothing going wrong that the store does not do by itself.
pub async fn journals_agree(subject: &dyn Subject) {
    let met = Journal::new(subject.store()).run(4, 15).await;
    assert_eq!(met.written, 60);
}

impl Journal {
    /// An empty one.
    #[must_use]
    pub fn new(store: Arc<dyn MetadataStore>) -> Self {
        let root = fresh();
        Self {
            store,
            head: root.child("head"),
            all: root.below(),
            root,
        }
    }

    /// So many writers write so many entries each; then everything is checked.
    pub async fn run(&self, writers: usize, each: usize) -> Met {
        self.run_until(writers, move |written| written >= each).await
    }

    /// The writers write until each has as many as `enough` asks for; then everything is checked: no entry lost or doubled, the
    /// counter right, every acknowledged revision kept, the watcher's picture equal to the list.
    pub async fn run_until(&self, writers: usize, enough: impl Fn(usize) -> bool + Clone + Send + 'static) -> Met {
        let start = self
            .retry(|| self.store.get(&self.head, Read::Linearizable))
            .await
            .0
            .revision;
        let mut tasks = JoinSet::new();
        for writer in 0..writers {
            let (journal, enough) = (self.clone(), enough.clone());
            tasks.spawn(async move { journal.write(writer, enough).await });
        }
        let (end, ended) = tokio::sync::watch::channel(Revision::NEVER);
        let mut watching = JoinSet::new();
        watching.spawn({
            let journal = self.clone();
            async move { journal.follow(start, ended).await }
        });
        let mut met = Met::default();
        let mut acknowledged = BTreeMap::new();
        let mut times = Vec::new();
        while let Some(writer) = tasks.join_next().await {
            let (writer, its, written) = writer.expect("a writer");
            met.written += writer.written;
            met.unknown_applied += writer.unknown_applied;
            met.unknown_not_applied += writer.unknown_not_applied;
            met.unavailable += writer.unavailable;
            times.extend(its);
            acknowledged.extend(written);
        }
        times.sort();
        met.longest_gap = times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default();

        let (list, _) = self.retry(|| Box::pin(list_all(&*self.store, &self.all))).await;
        let mut entries: BTreeMap<Key, Entry> =
            list.value.into_iter().map(|entry| (entry.key.clone(), entry)).collect();
        // What the watcher has seen by then is what is listed.
        end.send_replace(list.revision);
        let (followed, watched_again) = watching.join_next().await.expect("the watcher").expect("the watcher");
        assert_eq!(followed, entries);
        met.watched_again = watched_again;

        let head = entries.remove(&self.head).expect("the counter");
        assert_eq!(count(&head), met.written, "the counter counts what was written");
        assert_eq!(entries.len(), met.written, "each write has its entry");
        for (key, revision) in acknowledged {
            let entry = entries
                .get(&key)
                .unwrap_or_else(|| panic!("{key} was acknowledged and is lost"));
            // The revision of a write that was found afterwards is not known.
            assert!(
                revision.is_none_or(|revision| entry.mod_revision == revision && entry.create_revision == revision)
            );
        }
        // One after the other, none twice.
        let mut places: Vec<_> = entries.values().map(count).collect();
        places.sort_unstable();
        assert!(places.into_iter().eq(1..=met.written));
        met
    }

    #[allow(clippy::type_complexity)] // once
    async fn write(
        &self,
        writer: usize,
        enough: impl Fn(usize) -> bool,
    ) -> (Met, Vec<Instant>, Vec<(Key, Option<Revision>)>) {
        let (mut met, mut times, mut acknowledged) = (Met::default(), Vec::new(), Vec::new());
        while !enough(met.written) {
            let entry = self.root.child("entry").child(format!("{writer}-{}", met.written));
            let revision = loop {
                let (head, failed) = self.retry(|| self.store.get(&self.head, Read::Linearizable)).await;
                met.unavailable += failed;
                let head = head.value;
                // The id names this write, whichever attempt of it arrived.
                let id = entry.to_string();
                let place = head.as_ref().map_or(0, count) + 1;
                let seen = head.map_or(Revision::NEVER, |head| head.mod_revision);
                let txn = Txn::new().if_modified(&self.head, seen).if_absent(&entry);
                let txn = txn
                    .put(&self.head, format!("{place} {id}"))
                    .put(&entry, format!("{place} {id}"));
                match self.store.txn(txn).await {
                    Ok(TxnOutcome::Committed(revision)) => break Some(revision),
                    // Our own entry: an attempt whose outcome was unknown has arrived after all.
                    Ok(TxnOutcome::Conflict { current, .. }) if current[1].is_some() => {
                        met.unknown_applied += 1;
                        break None;
                    }
                    Ok(TxnOutcome::Conflict { .. }) => {}
                    Err(Error::Unknown { .. }) => {
                        let (found, failed) = self.retry(|| self.store.get(&entry, Read::Linearizable)).await;
                        met.unavailable += failed;
                        if found.value.is_some() {
                            met.unknown_applied += 1;
                            break None;
                        }
                        met.unknown_not_applied += 1;
                    }
                    Err(error) if error.is_retryable() => {
                        met.unavailable += 1;
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    Err(error) => panic!("{error:?}"),
                }
            };
            met.written += 1;
            times.push(Instant::now());
            acknowledged.push((entry, revision));
        }
        (met, times, acknowledged)
    }

    /// The picture that a watcher has once it has reached the revision; it watches again, and lists again, as often as it must.
    async fn follow(
        &self,
        mut after: Revision,
        mut end: tokio::sync::watch::Receiver<Revision>,
    ) -> (BTreeMap<Key, Entry>, usize) {
        let (mut picture, mut watches) = (BTreeMap::new(), 0);
        loop {
            watches += 1;
            let mut watch = self.retry(|| self.store.watch(&self.all, after)).await.0;
            loop {
                let target = *end.borrow();
                if target != Revision::NEVER && after >= target {
                    return (picture, watches - 1);
                }
                let event = tokio::select! {
                    event = watch.next() => event,
                    // Nothing is written any more: read what is not delivered yet, then stop.
                    _ = end.changed(), if target == Revision::NEVER => continue,
                    () = tokio::time::sleep(Duration::from_millis(200)), if target != Revision::NEVER => {
                        let newest = picture.values().map(|entry: &Entry| entry.mod_revision).max();
                        let list = self.retry(|| Box::pin(list_all(&*self.store, &self.all))).await.0.value;
                        if list.iter().map(|entry| entry.mod_revision).max() == newest {
                            return (picture, watches - 1);
                        }
                        continue;
                    }
                };
                match event {
                    Some(Ok(WatchEvent::Batch { revision, changes })) => {
                        assert!(revision > after, "{revision} after {after}");
                        after = revision;
                        for change in changes {
                            match change {
                                crate::Change::Put(entry) => picture.insert(entry.key.clone(), entry),
                                crate::Change::Delete(key) => picture.remove(&key),
                            };
                        }
                    }
                    Some(Ok(WatchEvent::Progress { revision })) => after = after.max(revision),
                    Some(Ok(WatchEvent::Compacted { .. })) => {
                        let list = self.retry(|| Box::pin(list_all(&*self.store, &self.all))).await.0;
                        picture = list.value.into_iter().map(|entry| (entry.key.clone(), entry)).collect();
                        after = list.revision;
                    }
                    Some(Err(error)) => assert!(error.is_retryable(), "{error:?}"),
                    None => break,
                }
            }
        }
    }

    /// The answer, and how often it took another try.
    async fn retry<'a, T>(&self, call: impl Fn() -> BoxFuture<'a, Result<T, Error>>) -> (T, usize) {
        let until = Instant::now() + PATIENCE;
        for failed in 0.. {
            match call().await {
                Ok(answer) => return (answer, failed),
                Err(error) if error.is_retryable() && Instant::now() < until => {
                    tokio::time::sleep(Duration::from_millis(20)).await
                }
                Err(error) => panic!("{error:?}"),
            }
        }
        unreachable!("the loop returns")
    }
}

fn count(entry: &Entry) -> usize {
    let text = std::str::from_utf8(&entry.value).unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}
