//! Lists: pages at one revision, large ones, and history that is gone.

use super::{Subject, commit, fresh, put};
use crate::{Entry, Error, Key, KeyRange, MetadataStore, Page, Revision, Txn, list_all};
use std::sync::Arc;

/// All pages, and how many; something is done between any two.
async fn pages(
    store: &dyn MetadataStore,
    range: &KeyRange,
    first: Page,
    mut between: impl AsyncFnMut(usize),
) -> (Revision, Vec<Entry>, usize) {
    let mut entries = Vec::new();
    let mut page = first;
    for number in 1.. {
        let limit = page.limit;
        let part = store.list(range, page).await.unwrap();
        assert!(part.entries.len() <= limit);
        entries.extend(part.entries);
        match part.next {
            Some(next) => {
                assert!(
                    next.at == Some(part.revision) && (1..=limit).contains(&next.limit),
                    "{next:?}"
                );
                page = next;
                between(number).await;
            }
            None => return (part.revision, entries, number),
        }
    }
    unreachable!("a list without an end")
}

/// Writers change, delete and add behind and before the reader; it sees the moment at which it began.
pub async fn pages_show_one_revision(subject: &dyn Subject) {
    let store = subject.store();
    let root = fresh();
    let key = |number: usize| root.child(format!("{number:03}"));
    for start in [0, 100] {
        commit(
            &*store,
            (start..start + 100).fold(Txn::new(), |txn, number| txn.put(&key(number), number.to_string())),
        )
        .await;
    }
    put(&*store, &root, "above").await;
    let before = list_all(&*store, &root.below()).await.unwrap();
    assert_eq!(before.value.len(), 200);
    assert!(before.value.is_sorted_by(|a, b| a.key < b.key));

    let (revision, seen, parts) = pages(&*store, &root.below(), Page::first().limit(30), async |page| {
        let txn = Txn::new()
            .put(&key(page), "changed")
            .delete(key(page * 30 + 5).only())
            .put(&key(199 - page), "changed");
        commit(
            &*store,
            txn.put(&root.child(format!("{:03}-new", page * 25)), "new")
                .delete(key(page + 100).only()),
        )
        .await;
    })
    .await;
    assert_eq!(parts, 7);
    assert!(revision >= before.revision);
    assert_eq!(seen, before.value);
    let after = list_all(&*store, &root.below()).await.unwrap().value;
    assert_ne!(after, before.value);

    // A page that ends with the list has no next one.
    let exact = store
        .list(&root.below(), Page::first().limit(after.len()))
        .await
        .unwrap();
    assert_eq!((exact.entries, exact.next), (after, None));
    let empty = store.list(&root.child("nothing").below(), Page::first()).await.unwrap();
    assert_eq!((empty.entries, empty.next), (Vec::new(), None));
    let only = store.list(&root.only(), Page::first()).await.unwrap();
    assert_eq!(
        only.entries.iter().map(|entry| &entry.value[..]).collect::<Vec<_>>(),
        [b"above"]
    );
}

/// What was there at each of several revisions.
pub async fn an_old_revision_is_listed(subject: &dyn Subject) {
    let store = subject.store();
    let root = fresh();
    let key = |number: usize| root.child(number.to_string());
    let mut then = Vec::new();
    for round in 0..30 {
        let txn = match round % 3 {
            0 => Txn::new()
                .put(&key(round % 7), round.to_string())
                .put(&key(round % 5 + 7), round.to_string()),
            1 => Txn::new()
                .delete(key(round % 5).only())
                .put(&key(round % 4 + 8), round.to_string()),
            _ => Txn::new().put(&key(round % 2), round.to_string()),
        };
        let revision = commit(&*store, txn).await;
        then.push((revision, list_all(&*store, &root.below()).await.unwrap().value));
    }
    for (revision, expected) in then {
        let (at, seen, _) = pages(&*store, &root.below(), Page::first_at(revision).limit(2), async |_| {}).await;
        assert_eq!((at, seen), (revision, expected));
    }
}

/// More than a gRPC client takes in one message, in many entries and in few, and more than any page.
pub async fn lists_over_four_mebibytes(subject: &dyn Subject) {
    let store = subject.store();
    for (count, size) in [(1_200, 5_000), (40, 1 << 20)] {
        let root = fresh();
        let per_txn = (1_400_000 / size).clamp(1, 100);
        let keys: Vec<Key> = (0..count).map(|number| root.child(format!("{number:05}"))).collect();
        for keys in keys.chunks(per_txn) {
            let txn = keys.iter().fold(Txn::new(), |txn, key| {
                txn.put(key, vec![key.as_bytes()[key.as_bytes().len() - 1]; size])
            });
            commit(&*store, txn).await;
        }
        let (_, seen, parts) = pages(&*store, &root.below(), Page::first().limit(5_000), async |_| {}).await;
        assert!(parts > 1 || count * size < 32 << 20, "{parts}");
        assert_eq!(
            seen.iter().map(|entry| &entry.key).collect::<Vec<_>>(),
            keys.iter().collect::<Vec<_>>()
        );
        for entry in &seen {
            assert!(
                entry.value.len() == size && entry.value[0] == entry.key.as_bytes()[entry.key.as_bytes().len() - 1]
            );
        }
        commit(&*store, Txn::new().delete(root.below())).await;
    }
}

/// History that is gone is said to be gone, also between two pages; the newest is always there.
pub async fn compacted_lists(subject: &dyn Subject) {
    let store: Arc<dyn MetadataStore> = subject.store();
    let root = fresh();
    let mut revisions = Vec::new();
    for number in 0..10 {
        revisions.push(put(&*store, &root.child(number.to_string()), "x").await);
    }
    let first = store
        .list(&root.below(), Page::first_at(revisions[4]).limit(3))
        .await
        .unwrap();
    assert_eq!(first.entries.len(), 3);
    subject.compact(revisions[7]).await;
    for page in [first.next.unwrap(), Page::first_at(revisions[6])] {
        let asked = page.at.unwrap();
        match store.list(&root.below(), page).await {
            Err(Error::Compacted { asked: found, .. }) => assert_eq!(found, asked),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(
        store
            .list(&root.below(), Page::first_at(revisions[7]))
            .await
            .unwrap()
            .entries
            .len(),
        8
    );
    assert_eq!(list_all(&*store, &root.below()).await.unwrap().value.len(), 10);
}
