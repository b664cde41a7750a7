//! What becomes of writes when outcomes are unknown, others write too, or the term ends.

use super::*;
use crate::cache::Cache;
use crate::fixture::{commit, elect, keys, name, own_write, ownership, put, spec, task_set};
use dray_machine::cluster::Record;
use dray_model::Term;
use dray_model::record::{Shard, Written};
use dray_store::mem::{Call, Fault, MemStore};
use dray_store::{Read, list_all};
use std::collections::BTreeMap;
use std::time::Duration;

struct Rig {
    store: Arc<MemStore>,
    client: Arc<MemStore>,
    cache: Arc<Cache>,
    term: Term,
    writes: Writes,
    _tasks: JoinSet<()>,
}

impl Rig {
    async fn new() -> Self {
        let store = Arc::new(MemStore::default());
        let client = Arc::new(store.client());
        let term = elect(&store).await;
        let cache = Cache::seed(store.clone(), keys()).await.unwrap();
        let mut tasks = JoinSet::new();
        let follower = cache.clone();
        tasks.spawn(async move { follower.follow().await });
        Self {
            writes: Writes::new(client.clone(), keys(), Revision::new(term.get())),
            store,
            client,
            cache,
            term,
            _tasks: tasks,
        }
    }

    fn want(&mut self, write: Write) {
        self.writes.want(write, &self.cache.now());
    }

    /// Until nothing is left; `None`: not leader.
    async fn run(&mut self) -> Option<BTreeMap<u64, Outcome>> {
        let mut ended = BTreeMap::new();
        let mut states = self.cache.subscribe();
        while !self.writes.is_idle() {
            self.writes.pump();
            let written = tokio::select! {
                settled = self.writes.next() => match settled {
                    Settled::Written(written) => written,
                    Settled::NotLeader => return None,
                },
                changed = states.changed() => { changed.unwrap(); vec![] }
            };
            let told = self.writes.told(&self.cache.now());
            for (id, outcome) in written.into_iter().chain(told) {
                assert_eq!(ended.insert(id.0, outcome), None, "each is told once");
            }
        }
        Some(ended)
    }

    async fn revision(&self) -> u64 {
        let leader = keys().key(&dray_store::keys::Name::Leader);
        self.store
            .get(&leader, Read::Linearizable)
            .await
            .unwrap()
            .revision
            .get()
    }

    /// The generations that stand in the store, by connector.
    async fn owners(&self) -> BTreeMap<String, u64> {
        let state = Cache::seed(self.store.clone(), keys()).await.unwrap().now();
        let generation = |name: Name| {
            let Name::Own(connector, _) = name else { return None };
            let (_, own) = state.owners(&connector).next()?;
            Some((connector.to_string(), own.record.owners[&0].generation.get()))
        };
        state
            .snapshot()
            .into_iter()
            .filter_map(|(name, _)| generation(name))
            .collect()
    }
}

fn own(connector: &str) -> Name {
    Name::Own(name(connector), Shard::Tasks(0))
}

#[tokio::test(start_paused = true)]
async fn many_writes_are_few_transactions() {
    let mut rig = Rig::new().await;
    let before = rig.revision().await;
    for id in 1..=1_000 {
        rig.want(own_write(id, &format!("c{id}"), 0, rig.term));
    }
    let ended = rig.run().await.unwrap();
    assert_eq!(ended.len(), 1_000);
    assert!(ended.values().all(|outcome| matches!(outcome, Outcome::Applied(_))));
    assert_eq!(rig.owners().await.len(), 1_000);
    let transactions = rig.revision().await - before;
    assert!((9..=13).contains(&transactions), "{transactions}");
}

#[tokio::test(start_paused = true)]
async fn a_conflict_is_told_after_what_was_in_the_way() {
    let mut rig = Rig::new().await;
    let theirs = put(
        &rig.store,
        &own("b"),
        &Record::Own(ownership(
            Written {
                term: rig.term,
                operation: 99,
            },
            99,
        )),
    )
    .await;
    // The replica's watch is late.
    let late = Cache::seed(Arc::new(rig.store.client()), keys()).await.unwrap();
    let stale = late.now();
    let newer = put(
        &rig.store,
        &own("b"),
        &Record::Own(ownership(
            Written {
                term: rig.term,
                operation: 98,
            },
            98,
        )),
    )
    .await;
    for (id, connector) in [(1, "a"), (2, "b"), (3, "c")] {
        let at = if connector == "b" { theirs } else { 0 };
        rig.writes.want(own_write(id, connector, at, rig.term), &stale);
    }
    let mut ended = BTreeMap::new();
    while ended.len() < 2 {
        rig.writes.pump();
        let Settled::Written(written) = rig.writes.next().await else {
            panic!("it leads")
        };
        ended.extend(written);
        assert_eq!(rig.writes.told(&stale), [], "the change is not told yet");
    }
    assert!(matches!(ended[&WriteId(1)], Outcome::Applied(_)) && matches!(ended[&WriteId(3)], Outcome::Applied(_)));
    // What is wanted of the same record waits until the conflict is told.
    rig.writes.want(own_write(4, "b", newer, rig.term), &stale);
    rig.writes.pump();
    assert_eq!(rig.writes.in_flight.len(), 0);
    let told = rig
        .cache
        .at_least(Revision::new(newer), Duration::from_secs(1))
        .await
        .unwrap();
    assert_eq!(rig.writes.told(&told), [(WriteId(2), Outcome::Conflict)]);
    assert!(matches!(rig.run().await.unwrap()[&4], Outcome::Applied(_)));
    assert_eq!(
        rig.owners().await,
        [("a".into(), 1), ("b".into(), 4), ("c".into(), 3)].into()
    );
}

#[tokio::test(start_paused = true)]
async fn unknown_outcomes_become_known() {
    for fault in [
        || Fault::UnknownApplied,
        || Fault::UnknownNotApplied,
        || Fault::UnknownLate(Duration::from_millis(5)),
        || Fault::UnknownLate(Duration::from_secs(5)),
    ] {
        let mut rig = Rig::new().await;
        rig.client.fail_next(Call::Txn, fault());
        rig.client.fail_next(Call::Txn, fault());
        rig.want(own_write(1, "a", 0, rig.term));
        rig.want(own_write(2, "b", 0, rig.term));
        let ended = rig.run().await.unwrap();
        let state = Cache::seed(rig.store.clone(), keys()).await.unwrap().now();
        for (id, connector) in [(1, "a"), (2, "b")] {
            assert_eq!(
                ended[&id],
                Outcome::Applied(state.revision_of(&own(connector))),
                "{:?}",
                fault()
            );
        }
        tokio::time::sleep(Duration::from_secs(10)).await;
        let later = Cache::seed(rig.store.clone(), keys()).await.unwrap().now();
        assert_eq!(
            later.revision_of(&own("a")),
            state.revision_of(&own("a")),
            "a late attempt changes nothing"
        );
    }
}

/// An operator may change what the leader has just written, before the leader learns that it has.
#[tokio::test(start_paused = true)]
async fn an_unknown_outcome_that_was_overwritten_is_no_conflict() {
    let mut rig = Rig::new().await;
    rig.client.fail_next(Call::Txn, Fault::UnknownApplied);
    rig.want(own_write(1, "a", 0, rig.term));
    rig.writes.pump();
    let store = rig.store.clone();
    let mine = Written {
        term: rig.term,
        operation: 1,
    };
    // Until the first attempt is there; then the same record with another content, as a decision of an operator leaves it.
    while rig.owners().await.is_empty() {
        tokio::task::yield_now().await;
    }
    let theirs = put(&store, &own("a"), &Record::Own(ownership(mine, 7))).await;
    let ended = rig.run().await.unwrap();
    assert_eq!(ended[&1], Outcome::Applied(Modified(theirs - 1)));
}

#[tokio::test(start_paused = true)]
async fn deletes_with_an_unknown_outcome() {
    for (fault, applied) in [(Fault::UnknownApplied, true), (Fault::UnknownNotApplied, true)] {
        let mut rig = Rig::new().await;
        let at = put(
            &rig.store,
            &own("a"),
            &Record::Own(ownership(
                Written {
                    term: rig.term,
                    operation: 9,
                },
                9,
            )),
        )
        .await;
        rig.client.fail_next(Call::Txn, fault);
        rig.want(Write {
            id: WriteId(1),
            compares: vec![(own("a"), Modified(at))],
            puts: vec![],
            deletes: vec![own("a")],
        });
        let ended = rig.run().await.unwrap();
        assert_eq!(matches!(ended[&1], Outcome::Applied(_)), applied);
        assert_eq!(rig.owners().await, BTreeMap::new());
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_term_ends_everything() {
    let mut rig = Rig::new().await;
    let leader = keys().key(&dray_store::keys::Name::Leader);
    commit(&rig.store, Txn::new().delete(leader.only())).await;
    let next = elect(&rig.store).await;
    assert!(next > rig.term);
    rig.want(own_write(1, "a", 0, rig.term));
    assert_eq!(rig.run().await, None);
    assert_eq!(rig.owners().await, BTreeMap::new());
}

#[tokio::test(start_paused = true)]
async fn what_is_wanted_of_one_record_stays_in_order() {
    let mut rig = Rig::new().await;
    rig.client.set_latency(Duration::from_millis(10));
    rig.want(own_write(1, "a", 0, rig.term));
    // It expects what the first one is about to break: wanted later, it is in conflict, and never the other way round.
    rig.want(own_write(2, "a", 0, rig.term));
    let other = own_write(3, "b", 0, rig.term);
    rig.want(other);
    let ended = rig.run().await.unwrap();
    assert!(matches!(ended[&1], Outcome::Applied(_)) && matches!(ended[&3], Outcome::Applied(_)));
    assert_eq!(ended[&2], Outcome::Conflict);
}

/// Two that only look at a record go together.
#[tokio::test(start_paused = true)]
async fn looking_at_the_same_record_holds_up_nobody() {
    let mut rig = Rig::new().await;
    let at = put(&rig.store, &Name::Spec(name("s")), &Record::Spec(spec(&[]))).await;
    let before = rig.revision().await;
    for id in 1..=50 {
        let mut write = own_write(id, &format!("c{id}"), 0, rig.term);
        write.compares.push((Name::Spec(name("s")), Modified(at)));
        rig.want(write);
    }
    assert_eq!(rig.run().await.unwrap().len(), 50);
    assert_eq!(rig.revision().await, before + 1);
}

#[tokio::test(start_paused = true)]
async fn large_task_sets_come_and_go_with_their_parts() {
    let mut rig = Rig::new().await;
    let tasks = Name::Tasks(name("a"));
    let mut at = 0;
    for (id, count) in [(1, 40), (2, 30), (3, 1)] {
        let set = Record::Tasks(task_set(
            Written {
                term: rig.term,
                operation: id,
            },
            count,
            40_000,
        ));
        rig.want(Write {
            id: WriteId(id),
            compares: vec![(tasks.clone(), Modified(at))],
            puts: vec![(tasks.clone(), set.clone())],
            deletes: vec![],
        });
        let Outcome::Applied(revision) = rig.run().await.unwrap()[&id] else {
            panic!("{id} is applied")
        };
        at = revision.0;
        let state = rig
            .cache
            .at_least(Revision::new(at), Duration::from_secs(1))
            .await
            .unwrap();
        assert_eq!(Record::Tasks(state.tasks(&name("a")).unwrap().record.clone()), set);
        let parts = crate::codec::encode(&set, &Rest::default()).unwrap().parts.len();
        assert_eq!(state.parts_of(&name("a")).count(), parts, "no part is left over");
    }
    let big = task_set(
        Written {
            term: rig.term,
            operation: 4,
        },
        40,
        40_000,
    );
    rig.want(Write {
        id: WriteId(4),
        compares: vec![(tasks.clone(), Modified(at))],
        puts: vec![(tasks.clone(), Record::Tasks(big))],
        deletes: vec![],
    });
    let Outcome::Applied(revision) = rig.run().await.unwrap()[&4] else {
        panic!("it is applied")
    };
    rig.want(Write {
        id: WriteId(5),
        compares: vec![(tasks.clone(), revision)],
        puts: vec![],
        deletes: vec![tasks],
    });
    rig.run().await.unwrap();
    let left = list_all(rig.store.as_ref(), &keys().connectors()).await.unwrap();
    assert_eq!(left.value, []);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_written_is_refused_alone() {
    let mut rig = Rig::new().await;
    let tasks = Name::Tasks(name("a"));
    let set = task_set(
        Written {
            term: rig.term,
            operation: 1,
        },
        1,
        600_000,
    );
    rig.want(Write {
        id: WriteId(1),
        compares: vec![(tasks.clone(), Modified(0))],
        puts: vec![(tasks, Record::Tasks(set))],
        deletes: vec![],
    });
    rig.want(own_write(2, "b", 0, rig.term));
    let ended = rig.run().await.unwrap();
    assert_eq!(ended[&1], Outcome::Refused);
    assert!(matches!(ended[&2], Outcome::Applied(_)));
}

#[tokio::test(start_paused = true)]
async fn fields_of_a_newer_version_are_kept() {
    let mut rig = Rig::new().await;
    let old = Record::Own(ownership(
        Written {
            term: rig.term,
            operation: 9,
        },
        9,
    ));
    let key = keys().key(&crate::codec::store_name(&own("a")));
    // Field 1000, a text.
    let newer: Vec<u8> = [
        &crate::codec::encode(&old, &Rest::default()).unwrap().value[..],
        b"\xc2\x3e\x03new",
    ]
    .concat();
    let at = commit(&rig.store, Txn::new().put(&key, newer)).await;
    rig.cache
        .at_least(Revision::new(at), Duration::from_secs(1))
        .await
        .unwrap();
    rig.want(own_write(1, "a", at, rig.term));
    rig.run().await.unwrap();
    let stored = rig.store.get(&key, Read::Linearizable).await.unwrap().value.unwrap();
    assert!(stored.value.ends_with(b"\xc2\x3e\x03new"), "{:?}", stored.value);
}
