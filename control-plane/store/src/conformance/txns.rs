//! Transactions: revisions, compares, the patterns of the control plane, limits.

use super::{Subject, commit, conflict, fresh, get, put};
use crate::{Error, MAX_COMPARES, MAX_OPS, MAX_TXN_BYTES, MetadataStore, Read, Revision, Txn, TxnOutcome, list_all};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::task::JoinSet;

/// create_revision and mod_revision, a key that comes again, a transaction that changes nothing.
pub async fn revisions_count_changes(subject: &dyn Subject) {
    let store = subject.store();
    let key = fresh();
    assert_eq!(get(&*store, &key).await, None);
    let created = put(&*store, &key, "1").await;
    let changed = put(&*store, &key, "2").await;
    assert!(created < changed && Revision::NEVER < created);
    let entry = get(&*store, &key).await.unwrap();
    assert_eq!((&entry.key, &entry.value[..]), (&key, &b"2"[..]));
    assert_eq!(
        (entry.create_revision, entry.mod_revision, entry.lease),
        (created, changed, None)
    );

    let deleted = commit(&*store, Txn::new().delete(key.only())).await;
    assert!(deleted > changed);
    assert_eq!(get(&*store, &key).await, None);
    // Nothing to delete: committed, at a revision that had been there.
    let before = store.get(&key, Read::Linearizable).await.unwrap().revision;
    let nothing = commit(&*store, Txn::new().delete(key.only()).delete(key.below())).await;
    assert!(nothing >= before);
    put(&*store, &key, "3").await;
    let again = get(&*store, &key).await.unwrap();
    assert!(again.create_revision > deleted, "a key that comes again is another key");
    assert_eq!(again.create_revision, again.mod_revision);
}

/// Each compare, met and not; nothing is written in a conflict, and it says what the keys are.
pub async fn a_conflict_is_an_outcome(subject: &dyn Subject) {
    let store = subject.store();
    let root = fresh();
    let (key, other, none) = (root.child("a"), root.child("b"), root.child("none"));
    let created = put(&*store, &key, "1").await;
    let changed = put(&*store, &key, "2").await;

    let refused = [
        Txn::new().if_absent(&key),
        Txn::new().if_created(&key, changed),
        Txn::new().if_modified(&key, created),
        Txn::new().if_modified(&key, Revision::NEVER),
        Txn::new().if_modified(&key, changed.next()),
        Txn::new().if_created(&none, created),
        Txn::new().if_modified(&none, created),
        // One of two does not hold.
        Txn::new().if_modified(&key, changed).if_modified(&none, changed),
        Txn::new().if_absent(&key).if_absent(&none),
    ];
    for txn in refused {
        let keys: Vec<_> = txn.compares.iter().map(|compare| compare.key.clone()).collect();
        let case = format!("{txn:?}");
        let current = conflict(&*store, txn.put(&other, "x").delete(key.only())).await;
        let expected = keys.iter().map(|compared| (*compared == key).then(|| b"2".to_vec()));
        let current: Vec<_> = current
            .iter()
            .map(|entry| entry.as_ref().map(|entry| entry.value.to_vec()))
            .collect();
        assert_eq!(current, expected.collect::<Vec<_>>(), "{case}");
        assert_eq!(get(&*store, &other).await, None, "{case}");
        assert_eq!(get(&*store, &key).await.unwrap().mod_revision, changed, "{case}");
    }
    let held = Txn::new()
        .if_created(&key, created)
        .if_modified(&key, changed)
        .if_absent(&none);
    let revision = commit(&*store, held.put(&other, "x").delete(key.only())).await;
    assert_eq!(get(&*store, &other).await.unwrap().mod_revision, revision);
    assert_eq!(get(&*store, &key).await, None);
    // A question without a change.
    commit(&*store, Txn::new().if_modified(&other, revision)).await;
    conflict(&*store, Txn::new().if_absent(&other)).await;
}

/// Puts, deletes and ranges of deletes together.
pub async fn one_transaction_is_one_revision(subject: &dyn Subject) {
    let store = subject.store();
    let root = fresh();
    let old = root.child("old");
    put(&*store, &old, "").await;
    for name in ["1", "2", "3"] {
        put(&*store, &old.child(name), "").await;
    }
    put(&*store, &root.child("older"), "").await;
    let txn = Txn::new()
        .put(&root.child("new"), "a")
        .delete(old.below())
        .put(&root.child("newer"), "b");
    let revision = commit(&*store, txn).await;
    let left = list_all(&*store, &root.below()).await.unwrap();
    assert!(left.revision >= revision);
    let left: Vec<_> = left
        .value
        .into_iter()
        .map(|entry| (entry.key, entry.mod_revision == revision))
        .collect();
    let expected = [
        (root.child("new"), true),
        (root.child("newer"), true),
        (old, false),
        (root.child("older"), false),
    ];
    assert_eq!(left, expected, "the key above a range and its longer sibling stay");
}

/// P1: a leader's writes end with its term.
pub async fn leader_writes(subject: &dyn Subject) {
    let store = subject.store();
    let root = fresh();
    let (leader, own) = (root.child("leader"), root.child("own"));
    let term = commit(&*store, Txn::new().if_absent(&leader).put(&leader, "r1")).await;
    let write = |term, value: &'static str| Txn::new().if_created(&leader, term).put(&own, value);
    commit(&*store, write(term, "1")).await;
    // The leader's beat changes its key, and not the term.
    commit(&*store, Txn::new().if_created(&leader, term).put(&leader, "r1 beats")).await;
    commit(&*store, write(term, "2")).await;
    commit(&*store, Txn::new().delete(leader.only())).await;
    conflict(&*store, write(term, "3")).await;
    let next = commit(&*store, Txn::new().if_absent(&leader).put(&leader, "r2")).await;
    assert!(next > term);
    let current = conflict(&*store, write(term, "4")).await;
    assert_eq!(current[0].as_ref().unwrap().value, "r2", "the conflict says who leads");
    commit(&*store, write(next, "5")).await;
    assert_eq!(get(&*store, &own).await.unwrap().value, "5");
}

/// P2 and P3: create once; change only what was seen.
pub async fn user_writes(subject: &dyn Subject) {
    let store = subject.store();
    let spec = fresh().child("spec");
    let uid = commit(&*store, Txn::new().if_absent(&spec).put(&spec, "1")).await;
    conflict(&*store, Txn::new().if_absent(&spec).put(&spec, "other")).await;
    let seen = commit(&*store, Txn::new().if_modified(&spec, uid).put(&spec, "2")).await;
    let current = conflict(&*store, Txn::new().if_modified(&spec, uid).put(&spec, "stale")).await;
    let current = current[0].as_ref().unwrap();
    assert_eq!(
        (&current.value[..], current.mod_revision, current.create_revision),
        (&b"2"[..], seen, uid)
    );
    // Deleted and created again between reading and writing: another connector.
    commit(&*store, Txn::new().if_modified(&spec, seen).delete(spec.only())).await;
    commit(&*store, Txn::new().if_absent(&spec).put(&spec, "2")).await;
    conflict(&*store, Txn::new().if_modified(&spec, seen).put(&spec, "stale")).await;
}

/// P4: task set and owners together, from the specification that they were made of, by the leader.
pub async fn a_task_set_is_published(subject: &dyn Subject) {
    let store = subject.store();
    let root = fresh();
    let (leader, spec, tasks) = (root.child("leader"), root.child("spec"), root.child("tasks"));
    let own = root.child("own");
    let term = put(&*store, &leader, "r1").await;
    let seen = put(&*store, &spec, "config").await;
    let publish = |term, seen| {
        let txn = Txn::new()
            .if_created(&leader, term)
            .if_modified(&spec, seen)
            .put(&tasks, "set");
        txn.put(&own.child("0"), "owners").put(&own.child("c"), "owner")
    };
    let changed = put(&*store, &spec, "config 2").await;
    conflict(&*store, publish(term, seen)).await;
    conflict(&*store, publish(changed, changed)).await;
    assert_eq!(get(&*store, &tasks).await, None);
    let revision = commit(&*store, publish(term, changed)).await;
    let all = list_all(&*store, &root.below()).await.unwrap().value;
    assert_eq!(all.iter().filter(|entry| entry.mod_revision == revision).count(), 3);
}

/// P7: everything of a connector goes, however many parts it has, if nobody owns a task.
pub async fn a_delete_is_finished(subject: &dyn Subject) {
    let store = subject.store();
    let root = fresh();
    let leader = root.child("leader");
    let connector = root.child("c").child("name");
    let (spec, own) = (connector.child("spec"), connector.child("own").child("0"));
    let term = put(&*store, &leader, "r1").await;
    let deleting = put(&*store, &spec, "deleting").await;
    let free = put(&*store, &own, "nobody").await;
    for batch in 0..2 {
        let parts = (0..100).map(|part| connector.child("part").child(format!("{batch}-{part}")));
        commit(&*store, parts.fold(Txn::new(), |txn, part| txn.put(&part, "part"))).await;
    }
    let finish = |free| {
        let txn = Txn::new()
            .if_created(&leader, term)
            .if_modified(&spec, deleting)
            .if_modified(&own, free);
        txn.delete(connector.below())
    };
    let owned = put(&*store, &own, "agent 1").await;
    conflict(&*store, finish(free)).await;
    assert!(get(&*store, &spec).await.is_some());
    commit(&*store, finish(owned)).await;
    assert!(list_all(&*store, &connector.below()).await.unwrap().value.is_empty());
    assert!(get(&*store, &leader).await.is_some());
}

/// Writers that compete for one key lose no change, and no two see the same revision.
pub async fn compare_and_swap_under_concurrency(subject: &dyn Subject) {
    const WRITERS: usize = 8;
    const EACH: usize = 25;
    let store = subject.store();
    let root = fresh();
    let (counter, twin) = (root.child("counter"), root.child("twin"));
    put(&*store, &counter, "0").await;
    let mut writers = JoinSet::new();
    for _ in 0..WRITERS {
        let (store, counter, twin) = (store.clone(), counter.clone(), twin.clone());
        writers.spawn(async move {
            let mut revisions = Vec::new();
            let mut entry = get(&*store, &counter).await.unwrap();
            while revisions.len() < EACH {
                let next = (number(&entry.value) + 1).to_string();
                let txn = Txn::new().if_modified(&counter, entry.mod_revision);
                match store
                    .txn(txn.put(&counter, next.clone()).put(&twin, next))
                    .await
                    .unwrap()
                {
                    TxnOutcome::Committed(revision) => {
                        revisions.push(revision);
                        entry = get(&*store, &counter).await.unwrap();
                    }
                    TxnOutcome::Conflict { current, .. } => entry = current[0].clone().unwrap(),
                }
            }
            revisions
        });
    }
    let revisions: Vec<Revision> = writers.join_all().await.concat();
    assert_eq!(
        revisions.iter().collect::<BTreeSet<_>>().len(),
        WRITERS * EACH,
        "each change has a revision of its own"
    );
    for key in [counter, twin] {
        let entry = get(&*store, &key).await.unwrap();
        assert_eq!(number(&entry.value), WRITERS * EACH);
        assert_eq!(Some(&entry.mod_revision), revisions.iter().max());
    }
}

fn number(value: &[u8]) -> usize {
    std::str::from_utf8(value).unwrap().parse().unwrap()
}

/// P3 and P5 under concurrency: one creator wins, all others learn who.
pub async fn one_of_many_creates(subject: &dyn Subject) {
    let store = subject.store();
    for _ in 0..5 {
        let key = fresh();
        let mut creators = JoinSet::new();
        for creator in 0..8 {
            let (store, key): (Arc<dyn MetadataStore>, _) = (store.clone(), key.clone());
            creators.spawn(async move {
                let value = creator.to_string();
                match store
                    .txn(Txn::new().if_absent(&key).put(&key, value.clone()))
                    .await
                    .unwrap()
                {
                    TxnOutcome::Committed(_) => (true, value.into()),
                    TxnOutcome::Conflict { current, .. } => (false, current[0].clone().unwrap().value),
                }
            });
        }
        let ends = creators.join_all().await;
        assert_eq!(ends.iter().filter(|(won, _)| *won).count(), 1);
        let winner = get(&*store, &key).await.unwrap().value;
        assert!(ends.iter().all(|(_, value)| *value == winner), "{ends:?}");
    }
}

/// What fits is taken, up to the limits, and what does not is refused with nothing written.
pub async fn limits_are_met_before_sending(subject: &dyn Subject) {
    let store = subject.store();
    let root = fresh();
    let key = |number: usize| root.child(format!("{number:03}"));
    let full = (0..MAX_OPS).fold(Txn::new(), |txn, number| txn.put(&key(number), "x"));
    let full = (0..MAX_COMPARES).fold(full, |txn, number| txn.if_absent(&key(number)));
    commit(&*store, full).await;
    assert_eq!(list_all(&*store, &root.below()).await.unwrap().value.len(), MAX_OPS);

    let limit = |txn: Txn, what: &'static str| {
        let store = store.clone();
        async move {
            match store.txn(txn).await {
                Err(error @ Error::Limit { what: found, .. }) if found == what => assert!(!error.is_retryable()),
                other => panic!("{what}: {other:?}"),
            }
        }
    };
    limit(
        (0..=MAX_OPS).fold(Txn::new(), |txn, number| txn.put(&key(number + 500), "x")),
        "operations",
    )
    .await;
    limit(
        (0..=MAX_COMPARES).fold(Txn::new(), |txn, number| txn.if_absent(&key(number + 500))),
        "compares",
    )
    .await;

    // As large as can be: one value, and many.
    let framing = Txn::new().put(&key(1), "").bytes();
    commit(&*store, Txn::new().put(&key(1), vec![7; MAX_TXN_BYTES - framing])).await;
    limit(Txn::new().put(&key(1), vec![8; MAX_TXN_BYTES - framing + 1]), "bytes").await;
    let each = MAX_TXN_BYTES / MAX_OPS - framing;
    let mut many = (0..MAX_OPS).fold(Txn::new(), |txn, number| txn.put(&key(number), vec![9; each]));
    commit(&*store, many.clone()).await;
    many.ops.truncate(MAX_OPS - 1);
    limit(many.put(&key(999), vec![9; each + 10_000]), "bytes").await;

    let twice = [
        Txn::new().put(&key(1), "a").put(&key(1), "b"),
        Txn::new().put(&key(1), "a").delete(key(1).only()),
        Txn::new().delete(key(1).only()).put(&key(1), "a"),
        Txn::new().put(&key(1).child("x"), "a").delete(key(1).below()),
    ];
    for txn in twice {
        match store.txn(txn.clone()).await {
            Err(Error::Twice { .. }) => {}
            other => panic!("{txn:?}: {other:?}"),
        }
    }
    assert_eq!(get(&*store, &key(1)).await.unwrap().value[..], vec![9; each]);
    // Deleted twice is deleted.
    commit(
        &*store,
        Txn::new()
            .put(&key(1), "a")
            .delete(key(2).only())
            .delete(key(2).only())
            .delete(key(2).below()),
    )
    .await;
    assert_eq!(get(&*store, &key(2)).await, None);
}

/// A megabyte of every byte comes back as it was.
pub async fn large_values(subject: &dyn Subject) {
    let store = subject.store();
    let key = fresh();
    let value: Vec<u8> = (0..1 << 20).map(|byte: u32| (byte ^ byte >> 8) as u8).collect();
    put(&*store, &key, value.clone()).await;
    assert!(get(&*store, &key).await.unwrap().value[..] == value);
    put(&*store, &key, "").await;
    assert_eq!(
        get(&*store, &key).await.unwrap().value,
        "",
        "an empty value is not an absent one"
    );
}

/// Any name can be a segment of a key.
pub async fn every_byte_in_a_key(subject: &dyn Subject) {
    let store = subject.store();
    let root = fresh();
    let all: Vec<u8> = (0..=255).collect();
    let names: Vec<Vec<u8>> = all
        .iter()
        .map(|byte| vec![*byte])
        .chain([all.clone(), Vec::new(), b"..".to_vec(), vec![b'n'; 4_000]])
        .collect();
    for names in names.chunks(100) {
        let txn = names
            .iter()
            .fold(Txn::new(), |txn, name| txn.put(&root.child(name), name.clone()));
        commit(&*store, txn).await;
    }
    let found = list_all(&*store, &root.below()).await.unwrap().value;
    assert_eq!(found.len(), names.len());
    assert!(found.is_sorted_by(|a, b| a.key < b.key));
    for entry in found {
        assert_eq!(entry.key.segments().unwrap().last().unwrap(), &entry.value[..]);
        assert_eq!(get(&*store, &entry.key).await.as_ref(), Some(&entry));
    }
}

/// A read at least at a revision; a revision that is still to come is an error, not a wait.
pub async fn reads_at_least(subject: &dyn Subject) {
    let store = subject.store();
    let key = fresh();
    for round in 0..20 {
        let revision = put(&*store, &key, round.to_string()).await;
        let read = store.get(&key, Read::AtLeast(revision)).await.unwrap();
        assert!(read.revision >= revision);
        assert_eq!(read.value.unwrap().value, round.to_string());
    }
    let far = Revision::new(1 << 60);
    for result in [
        store.get(&key, Read::AtLeast(far)).await.map(|_| ()),
        store.list(&key.below(), crate::Page::first_at(far)).await.map(|_| ()),
    ] {
        assert!(
            matches!(result, Err(Error::Behind { asked, .. }) if asked == far),
            "{result:?}"
        );
    }
}
