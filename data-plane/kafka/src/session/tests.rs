use super::*;
use crate::Class;
use crate::fake::FakeKafka;
use crate::port::{ClientConfig, KafkaPort};
use futures::FutureExt as _;
use futures::future::join_all;
use std::sync::atomic::{AtomicU64, Ordering};

const ID: &str = "c-agent-1-7";

async fn writer(kafka: &FakeKafka) -> SessionWriter {
    let producer = kafka.transactional_producer(&ClientConfig::new(), ID, PACE).await;
    // Counts its readings, so that a moment is known by its place.
    let readings = AtomicU64::new(0);
    let clock = move || Millis(readings.fetch_add(1, Ordering::Relaxed));
    SessionWriter::start(producer.expect("a producer"), ID, Arc::new(clock))
}

fn record(key: &str) -> SessionRecord {
    SessionRecord {
        topic: "offsets".into(),
        key: key.into(),
        value: Some(b"1".to_vec()),
    }
}

fn keys(kafka: &FakeKafka) -> Vec<String> {
    let records = kafka.records("offsets").into_iter();
    records
        .map(|record| String::from_utf8(record.key.unwrap()).unwrap())
        .collect()
}

fn committed(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Committed)
}

#[tokio::test(start_paused = true)]
async fn many_commits_are_one_transaction_and_one_a_second() {
    let kafka = FakeKafka::new();
    let writer = writer(&kafka).await;
    let start = Instant::now();
    assert!(committed(&writer.commit(vec![record("first")]).await));
    assert_eq!(start.elapsed(), Duration::ZERO, "the first one waits for nothing");
    let names: Vec<String> = (0..500).map(|n| format!("k{n}")).collect();
    let all = join_all(names.iter().map(|name| writer.commit(vec![record(name)]))).await;
    assert!(all.iter().all(committed));
    assert_eq!((kafka.committed_transactions(), keys(&kafka).len()), (2, 501));
    assert!(start.elapsed() >= PACE, "{:?}", start.elapsed());
    assert!(start.elapsed() < PACE + PACE / 2, "{:?}", start.elapsed());
    assert_eq!(
        writer.watch().borrow().committed,
        Some(Millis(1)),
        "the second one's beginning"
    );
}

#[tokio::test(start_paused = true)]
async fn a_task_that_stops_waits_for_no_turn_and_takes_the_others_along() {
    let kafka = FakeKafka::new();
    let writer = writer(&kafka).await;
    assert!(committed(&writer.commit(vec![record("first")]).await));
    let start = Instant::now();
    for (waiting, last) in [("a", vec![record("b")]), ("c", Vec::new())] {
        let (waited, hurried) = tokio::join!(writer.commit(vec![record(waiting)]), writer.commit_at_once(last));
        assert!(committed(&waited) && committed(&hurried));
    }
    assert!(start.elapsed() < PACE / 10, "{:?}", start.elapsed());
    assert_eq!(keys(&kafka), ["first", "a", "b", "c"]);
    assert_eq!(kafka.committed_transactions(), 3);
    // Others wait for their turn, from the latest transaction on.
    assert!(committed(&writer.commit(vec![record("d")]).await));
    assert!(start.elapsed() >= PACE, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_fenced_writer_says_so_to_everybody_and_commits_nothing() {
    let kafka = FakeKafka::new();
    let writer = writer(&kafka).await;
    assert!(committed(&writer.commit(vec![record("a")]).await));
    kafka.fence(&ClientConfig::new(), ID, PACE).await.unwrap();
    let all = join_all(["b", "c"].map(|key| writer.commit(vec![record(key)]))).await;
    assert!(
        all.iter().all(|outcome| matches!(outcome, Outcome::Fenced(_))),
        "{all:?}"
    );
    assert!(matches!(writer.commit(vec![record("d")]).await, Outcome::Fenced(_)));
    assert_eq!(keys(&kafka), ["a"]);
    assert!(writer.watch().borrow().fenced.is_some());
}

#[tokio::test(start_paused = true)]
async fn an_aborted_transaction_is_tried_by_who_wants_it() {
    let kafka = FakeKafka::new();
    let writer = writer(&kafka).await;
    kafka.fail_transactions(Class::Retriable, 1);
    let outcome = writer.commit(vec![record("a")]).await;
    assert!(
        matches!(&outcome, Outcome::Aborted(error) if error.is_retriable()),
        "{outcome:?}"
    );
    assert!(keys(&kafka).is_empty());
    assert!(committed(&writer.commit(vec![record("a")]).await));
}

#[tokio::test(start_paused = true)]
async fn a_record_that_can_never_be_sent_holds_nobody_else_up() {
    let kafka = FakeKafka::new();
    kafka.max_request_size(100);
    let writer = writer(&kafka).await;
    writer.commit(vec![record("first")]).await;
    let large = "x".repeat(200);
    let (a, b, c) = tokio::join!(
        writer.commit(vec![record("a")]),
        writer.commit(vec![record(&large)]),
        writer.commit(vec![record("c")]),
    );
    assert!(committed(&a) && committed(&c), "{a:?} {c:?}");
    assert!(matches!(b, Outcome::Aborted(_)), "{b:?}");
    assert_eq!(keys(&kafka), ["first", "a", "c"]);
}

#[tokio::test(start_paused = true)]
async fn an_idle_writer_commits_heartbeats_when_asked_to() {
    let kafka = FakeKafka::new();
    let writer = writer(&kafka).await;
    tokio::time::sleep(KEEP_ALIVE * 10).await;
    assert_eq!(kafka.committed_transactions(), 0, "nobody asked");
    writer.keep_alive(Some("offsets".into()));
    tokio::time::sleep(KEEP_ALIVE * 3 + PACE / 2).await;
    assert_eq!(keys(&kafka), [r#"["c-agent-1-7",{"dray":"heartbeat"}]"#; 3]);
    assert!(kafka.records("offsets").iter().all(|record| record.value.is_none()));
    // Commits are as good as heartbeats.
    for _ in 0..4 {
        assert!(committed(&writer.commit(vec![record("a")]).await));
        tokio::time::sleep(PACE).await;
    }
    assert_eq!(keys(&kafka).len(), 3 + 4);
    kafka.fence(&ClientConfig::new(), ID, PACE).await.unwrap();
    let mut state = writer.watch();
    let noticed = state.wait_for(|state| state.fenced.is_some());
    tokio::time::timeout(KEEP_ALIVE, noticed)
        .await
        .expect("noticed in time")
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_was_dropped_is_not_sent_or_is_over_when_it_is_settled() {
    let kafka = FakeKafka::new();
    let writer = writer(&kafka).await;
    kafka.hold_transactions();
    let mut sent = Box::pin(writer.commit(vec![record("sent")]));
    while kafka.held_transactions() == 0 {
        assert!(sent.as_mut().now_or_never().is_none());
        tokio::task::yield_now().await;
    }
    let mut queued = Box::pin(writer.commit(vec![record("queued")]));
    assert!(queued.as_mut().now_or_never().is_none());
    drop((sent, queued));
    let mut settled = Box::pin(writer.settled());
    for _ in 0..10 {
        assert!(settled.as_mut().now_or_never().is_none(), "its transaction is open");
        tokio::time::sleep(PACE).await;
    }
    kafka.release_transactions();
    settled.await;
    assert_eq!(keys(&kafka), ["sent"]);
    assert!(committed(&writer.commit(vec![record("next")]).await));
    assert_eq!(keys(&kafka), ["sent", "next"]);
    writer.settled().await;
}
