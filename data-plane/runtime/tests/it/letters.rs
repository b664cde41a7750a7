//! Dead letter queues from outside of their tasks, where a fake Kafka is enough: which letters are found, and which cannot be replayed.

use crate::harness::{Stage, map};
use dray_connect::ConfigMap;
use dray_kafka::port::{ClientConfig, HeaderRef, KafkaPort as _, ProduceRecord};
use dray_runtime::letter_queue::{Replay, Replayed, Wanted};
use dray_runtime::validate::Refused;

fn sink(more: &[(&str, &str)]) -> ConfigMap {
    let config = [
        ("name", "sink"),
        ("connector.class", "Keeper"),
        ("topics", "t"),
        ("errors.deadletterqueue.topic.name", "letters"),
    ];
    map(&[&config, more].concat())
}

/// Puts a letter into the queue.
fn letter(stage: &Stage, value: &str, headers: &[(&str, &str)]) {
    let headers: Vec<HeaderRef<'_>> = headers
        .iter()
        .map(|(key, value)| HeaderRef {
            key,
            value: Some(value.as_bytes()),
        })
        .collect();
    let mut lane = stage.kafka.producer_lane(&ClientConfig::new(), 1 << 20, None).unwrap();
    let record = ProduceRecord {
        topic: "letters",
        partition: Some(0),
        timestamp: None,
        key: None,
        value: Some(value.as_bytes()),
        headers: &headers,
        sequence: 0,
    };
    assert_eq!(lane.produce(&[record]).unwrap(), 1);
}

fn offsets(letters: &dray_runtime::letter_queue::Letters) -> Vec<i64> {
    letters.letters.iter().map(|letter| letter.offset).collect()
}

#[tokio::test(start_paused = true)]
async fn the_newest_or_those_from_an_offset_on() {
    let stage = Stage::new();
    let empty = stage.worker.letters(&sink(&[]), Wanted::Newest(5)).await.unwrap();
    assert!(
        empty.bounds.is_empty() && empty.letters.is_empty(),
        "nobody has made the topic yet"
    );
    stage.kafka.create_topic("letters", 1);
    for number in 0..25 {
        letter(&stage, &number.to_string(), &[]);
    }
    for (wanted, expected) in [
        (Wanted::Newest(3), vec![22, 23, 24]),
        (Wanted::Newest(0), vec![]),
        (Wanted::Newest(100), (0..25).collect()),
        (Wanted::From(0, 20, 3), vec![20, 21, 22]),
        (Wanted::From(0, 24, 3), vec![24]),
        (Wanted::From(0, 99, 3), vec![]),
        (Wanted::From(7, 0, 3), vec![]),
    ] {
        let found = stage.worker.letters(&sink(&[]), wanted).await.unwrap();
        assert_eq!((&found.bounds, found.topic.as_str()), (&[(0, 0..25)].into(), "letters"));
        assert_eq!(offsets(&found), expected, "{wanted:?}");
    }
    let left = stage.worker.drop_letters(&sink(&[]), &[(0, 20)].into()).await.unwrap();
    assert_eq!(left, [(0, 20..25)].into());
    let found = stage.worker.letters(&sink(&[]), Wanted::From(0, 3, 2)).await.unwrap();
    assert_eq!(offsets(&found), [20, 21], "what is dropped is not waited for");
    let beyond = stage
        .worker
        .drop_letters(&sink(&[]), &[(0, 26)].into())
        .await
        .unwrap_err();
    assert!(beyond.to_string().contains("ends at offset 25"), "{beyond}");
    // The end, in Kafka's own words.
    let all = stage
        .worker
        .drop_letters(&sink(&[]), &[(0, -1)].into())
        .await
        .unwrap_err();
    assert_eq!(all.to_string(), "-1 is no offset: nothing is dropped");
    let found = stage.worker.letters(&sink(&[]), Wanted::Newest(9)).await.unwrap();
    assert_eq!(offsets(&found), [20, 21, 22, 23, 24]);
}

#[tokio::test(start_paused = true)]
async fn letters_that_are_large_come_in_several_answers() {
    let stage = Stage::new();
    let large = "x".repeat(1_000_000);
    for _ in 0..12 {
        letter(&stage, &large, &[]);
    }
    let newest = stage.worker.letters(&sink(&[]), Wanted::Newest(12)).await.unwrap();
    assert_eq!(offsets(&newest), [8, 9, 10, 11]);
    let first = stage.worker.letters(&sink(&[]), Wanted::From(0, 0, 12)).await.unwrap();
    assert_eq!(offsets(&first), [0, 1, 2, 3, 4]);
}

async fn replay(stage: &Stage, config: &ConfigMap, offset: i64, count: usize, to: Option<&str>) -> Replayed {
    let replay = Replay {
        partition: 0,
        offset,
        count,
        to: to.map(str::to_owned),
    };
    stage.worker.replay_letters(config, &replay).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_letter_goes_where_it_came_from_or_says_why_not() {
    let stage = Stage::new();
    stage.kafka.create_topic("t", 3);
    let from = ("__connect.errors.topic", "t");
    letter(
        &stage,
        "a",
        &[
            ("own", "1"),
            from,
            ("__connect.errors.partition", "2"),
            ("__dray.errors.generation", "1"),
        ],
    );
    letter(&stage, "b", &[]);
    letter(&stage, "c", &[("__connect.errors.topic", "gone")]);
    letter(&stage, "d", &[("__dray.value.bytes", "99"), from]);
    letter(&stage, "e", &[from]);
    let done = replay(&stage, &sink(&[]), 0, 4, None).await;
    assert_eq!((done.replayed, done.next, done.end), (1, 4, 5));
    let whys: Vec<_> = done
        .refused
        .iter()
        .map(|(offset, why)| (*offset, why.as_str()))
        .collect();
    assert_eq!(whys.len(), 3);
    for ((offset, why), (expected, begins)) in whys.iter().zip([
        (1, "it does not say which topic it is of"),
        (2, "the connector does not read topic gone any more"),
        (3, "its value was cut: it had 99 bytes"),
    ]) {
        assert!(*offset == expected && why.starts_with(begins), "{offset}: {why}");
    }
    let record = stage.kafka.records("t").remove(0);
    assert_eq!((record.partition, record.value.as_deref()), (2, Some(b"a".as_slice())));
    assert_eq!(record.headers, [("own".to_owned(), Some(b"1".to_vec()))]);
    let beyond = replay(&stage, &sink(&[]), i64::MAX, 4, None).await;
    assert_eq!((beyond.replayed, beyond.next), (0, 5));
    // Elsewhere all can go that are whole.
    let done = replay(&stage, &sink(&[]), 0, 100, Some("elsewhere")).await;
    assert_eq!((done.replayed, done.refused.len(), done.next), (4, 1, 5));
    assert_eq!(stage.values("elsewhere"), ["a", "b", "c", "e"]);
}

#[tokio::test(start_paused = true)]
async fn a_connector_without_a_queue_says_which_key_makes_one() {
    let stage = Stage::new();
    let mut config = sink(&[]);
    config.remove("errors.deadletterqueue.topic.name");
    let error = stage.worker.letters(&config, Wanted::Newest(1)).await.unwrap_err();
    assert!(
        matches!(&error, Refused::BadRequest(why) if why.contains("errors.deadletterqueue.topic.name")),
        "{error}"
    );
}
