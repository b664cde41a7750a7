//! What becomes of records that fail: a source's dead letters, batches that a sink refuses, records that are too large, and when it is too
//! much.

use crate::harness::{SHELVES, Stage, until};
use crate::source::SOURCE;
use dray_connect::sink_batch::TopicPartition;
use dray_kafka::Class;
use dray_kafka::fake::FakeRecord;
use dray_model::TaskState;
use std::time::Duration;
use tokio::time::Instant;

const LETTERS: [(&str, &str); 2] = [
    ("errors.tolerance", "all"),
    ("dray.errors.deadletterqueue.topic.name", "letters"),
];
/// A transform that refuses numbers from 128 on.
const BYTES: [(&str, &str); 3] = [
    ("transforms", "cast"),
    ("transforms.cast.type", "org.apache.kafka.connect.transforms.Cast$Value"),
    ("transforms.cast.spec", "int8"),
];

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

fn source<'a>(more: &[&[(&'a str, &'a str)]]) -> Vec<(&'a str, &'a str)> {
    [&SOURCE, &more.concat()[..]].concat()
}

fn header(letter: &FakeRecord, name: &str) -> Option<String> {
    let found = letter.headers.iter().find(|(key, _)| key == name)?;
    Some(String::from_utf8(found.1.clone().unwrap()).unwrap())
}

/// What the headers of a letter say.
fn says(letter: &FakeRecord, expected: &[(&str, &str)]) {
    for (name, text) in expected {
        assert_eq!(header(letter, name).as_deref(), Some(*text), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_transform_refuses_is_a_letter_that_the_offset_waits_for() {
    let stage = Stage::new();
    stage.kafka.auto_create(None);
    stage.kafka.create_topic("t", 1);
    let running = stage.task("c", &source(&[&BYTES, &LETTERS, &[("count", "130")]]));
    until(|| stage.offsets.position("c") == Some(130)).await;
    assert_eq!(stage.values("t").len(), 128);
    let letters = stage.kafka.records("letters");
    let values: Vec<_> = letters.iter().map(|letter| letter.value.as_deref().unwrap()).collect();
    let json = |number: u8| format!(r#"{{"schema":{{"type":"string","optional":false}},"payload":"{number}"}}"#);
    assert_eq!(
        values,
        [json(128).as_bytes(), json(129).as_bytes()],
        "as they came to the transform"
    );
    assert_eq!(letters[0].key, None);
    says(
        &letters[0],
        &[
            ("__connect.errors.topic", "t"),
            ("__connect.errors.connector.name", "c"),
            ("__connect.errors.task.id", "0"),
            ("__connect.errors.stage", "TRANSFORMATION"),
            (
                "__connect.errors.class.name",
                "org.apache.kafka.connect.transforms.Cast$Value",
            ),
            ("__dray.errors.generation", "1"),
            ("__dray.errors.source.partition", r#"{"counter":1}"#),
            ("__dray.errors.source.offset", r#"{"position":129}"#),
            ("__dray.errors.format", "json"),
        ],
    );
    assert_eq!(header(&letters[0], "__dray.errors.config.hash").unwrap().len(), 16);
    running.stop(soon()).await;
}

#[tokio::test(start_paused = true)]
async fn the_offset_of_a_letter_waits_until_it_is_durable() {
    let stage = Stage::new();
    stage.kafka.hold_acks();
    let ints = "org.apache.kafka.connect.converters.IntegerConverter";
    let running = stage.task("c", &source(&[&LETTERS, &[("value.converter", ints), ("count", "3")]]));
    until(|| stage.kafka.held() == 3).await;
    tokio::time::advance(Duration::from_secs(5)).await;
    assert_eq!(stage.offsets.position("c"), None);
    stage.kafka.release(2);
    until(|| stage.offsets.position("c") == Some(2)).await;
    stage.kafka.release_all();
    until(|| stage.offsets.position("c") == Some(3)).await;
    says(
        &stage.kafka.records("letters")[2],
        &[
            ("__connect.errors.stage", "VALUE_CONVERTER"),
            ("__connect.errors.class.name", ints),
            (
                "__connect.errors.exception.class.name",
                "org.apache.kafka.connect.errors.DataException",
            ),
        ],
    );
    running.stop(soon()).await;
}

#[tokio::test(start_paused = true)]
async fn what_kafka_refuses_is_a_letter_of_the_bytes_that_it_refused() {
    let stage = Stage::new();
    stage.kafka.hold_acks();
    stage.kafka.fail_next(Class::Fatal, 1);
    let running = stage.task("c", &source(&[&LETTERS]));
    // Taken, and refused when it is acknowledged.
    until(|| stage.kafka.held() == 25).await;
    stage.kafka.release_all();
    until(|| stage.offsets.position("c") == Some(25)).await;
    assert_eq!(stage.values("t").len(), 24);
    let letters = stage.kafka.records("letters");
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].value.as_deref(), Some(b"0".as_slice()));
    says(
        &letters[0],
        &[
            ("__connect.errors.stage", "KAFKA_PRODUCE"),
            ("__connect.errors.topic", "t"),
            ("__dray.errors.source.offset", r#"{"position":1}"#),
            ("__dray.errors.format", "bytes"),
        ],
    );
    running.stop(soon()).await;
}

#[tokio::test(start_paused = true)]
async fn a_letter_that_cannot_be_written_fails_the_task_before_its_offset() {
    let stage = Stage::new();
    stage.kafka.fail_next(Class::Fatal, 1);
    let ints = [(
        "value.converter",
        "org.apache.kafka.connect.converters.IntegerConverter",
    )];
    let running = stage.task("c", &source(&[&LETTERS, &ints]));
    let trace = stage.wait_for("c", TaskState::Failed).await.unwrap();
    assert!(trace.contains("dead letter queue letters cannot be written"), "{trace}");
    running.stop(soon()).await;
    assert_eq!(stage.offsets.position("c"), None);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_too_large_is_cut_or_a_letter_or_the_end() {
    // All of 2,000 bytes, and 1,000 go.
    for (policy, tolerance, cut, letters) in [
        ("truncate", "none", 25, 0),
        ("dead-letter", "none", 0, 25),
        ("fail", "all", 0, 25),
    ] {
        let stage = Stage::new();
        stage.kafka.max_request_size(1_500);
        let config = [
            ("width", "2000"),
            ("dray.errors.oversize", policy),
            ("errors.tolerance", tolerance),
        ];
        let running = stage.task("c", &source(&[&LETTERS[1..], &config]));
        until(|| stage.offsets.position("c") == Some(25)).await;
        let (records, found) = (stage.kafka.records("t"), stage.kafka.records("letters"));
        assert_eq!((records.len(), found.len()), (cut, letters), "{policy}");
        for record in records.iter().chain(&found) {
            // Of a letter more goes: its headers take room.
            let left = record.value.as_ref().map_or(0, Vec::len);
            assert!(
                left == 1_000 || cut == 0 && (1..1_000).contains(&left),
                "{policy}: {left}"
            );
            assert_eq!(
                header(record, "__dray.value.bytes").as_deref(),
                Some("2000"),
                "{policy}"
            );
        }
        running.stop(soon()).await;
    }
    let stage = Stage::new();
    stage.kafka.max_request_size(1_500);
    let running = stage.task("c", &source(&[&[("width", "2000")]]));
    let trace = stage.wait_for("c", TaskState::Failed).await.unwrap();
    assert!(
        trace.contains("MSG_SIZE_TOO_LARGE") && trace.contains("the limit is 1500"),
        "{trace}"
    );
    running.stop(soon()).await;
}

#[tokio::test(start_paused = true)]
async fn when_more_fail_than_may_the_task_does() {
    let stage = Stage::new();
    let breaker = [
        ("count", "1000"),
        ("dray.errors.breaker.percent", "10"),
        ("dray.errors.breaker.records", "100"),
        // Not even so is it started again.
        ("dray.restart.policy", "always"),
    ];
    let running = stage.task("c", &source(&[&BYTES, &LETTERS, &breaker]));
    let trace = stage.wait_for("c", TaskState::Failed).await.unwrap();
    assert!(stage.tripped("c"), "the leader has to know");
    assert!(
        trace.ends_with("not started again before the connector is resumed, or its configuration is changed"),
        "{trace}"
    );
    let expected = "11 of the last 100 records failed, and dray.errors.breaker.percent allows 10 %";
    assert!(trace.starts_with(expected), "{trace}");
    running.stop(soon()).await;
    assert_eq!(stage.kafka.records("letters").len(), 10);
    assert_eq!(
        stage.offsets.position("c"),
        Some(138),
        "it goes on there when it is mended"
    );
}

#[tokio::test(start_paused = true)]
async fn a_sink_trips_wherever_its_records_fail() {
    let stage = Stage::new();
    stage.kafka.create_topic("t", 1);
    for value in ["1", "no", "nope", "2"] {
        stage.kafka.append("t", 0, None, Some(value.as_bytes()));
    }
    let refuses = ("refuses", "no nope");
    let converts = ("value.converter", "org.apache.kafka.connect.json.JsonConverter");
    for (name, fails) in [("converts", converts), ("puts", refuses)] {
        let config = [
            ("connector.class", "Keeper"),
            ("topics", "t"),
            ("shelf", name),
            ("value.converter.schemas.enable", "false"),
            ("errors.tolerance", "all"),
            ("errors.deadletterqueue.topic.name", "letters"),
            ("dray.errors.breaker.percent", "25"),
            ("dray.errors.breaker.records", "4"),
            ("dray.restart.policy", "always"),
            fails,
        ];
        let running = stage.task(name, &config);
        let trace = stage.wait_for(name, TaskState::Failed).await.unwrap();
        assert!(trace.starts_with("2 of the last 4 records failed"), "{trace}");
        assert!(trace.contains("\nCaused by: "), "the last of them is known: {trace}");
        assert!(stage.tripped(name), "{name}");
        running.stop(soon()).await;
    }
    // A failure of another kind is none of its business.
    let config = [
        ("connector.class", "Keeper"),
        ("topics", "t"),
        ("shelf", "other"),
        refuses,
        ("dray.restart.policy", "none"),
    ];
    let running = stage.task("other", &config);
    stage.wait_for("other", TaskState::Failed).await;
    assert!(!stage.tripped("other"));
    running.stop(soon()).await;
}

#[tokio::test(start_paused = true)]
async fn bad_records_are_found_in_a_batch_that_the_sink_refuses() {
    let stage = Stage::new();
    stage.kafka.create_topic("t", 1);
    for value in ["a", "b", "bad", "c", "d", "worse", "e"] {
        stage.kafka.append("t", 0, None, Some(value.as_bytes()));
    }
    let sink = [
        ("connector.class", "Keeper"),
        ("topics", "t"),
        ("shelf", "bisected"),
        ("refuses", "bad worse"),
        ("errors.tolerance", "all"),
        ("errors.deadletterqueue.topic.name", "letters"),
        ("errors.deadletterqueue.context.headers.enable", "true"),
    ];
    let running = stage.task("sink", &sink);
    let partition = TopicPartition {
        topic: "t".into(),
        partition: 0,
    };
    until(|| stage.kafka.committed("connect-sink").get(&partition) == Some(&7)).await;
    assert_eq!(
        SHELVES.lock().unwrap()["bisected"],
        ["a", "b", "c", "d", "e"],
        "each once, in order"
    );
    assert_eq!(stage.values("letters"), ["bad", "worse"]);
    says(
        &stage.kafka.records("letters")[1],
        &[
            ("__connect.errors.stage", "TASK_PUT"),
            ("__connect.errors.offset", "5"),
            (
                "__connect.errors.exception.message",
                "it refuses a record, and does not say which",
            ),
            ("__dray.errors.generation", "1"),
        ],
    );
    running.stop(soon()).await;
    // Without a queue, without tolerance or when it is turned off, the batch is refused, as in Connect.
    for (name, less) in [("none", 4), ("all", 5), ("off", 7)] {
        let mut config = sink[..less].to_vec();
        config[2].1 = name;
        if less == 7 {
            config.push(("dray.errors.bisect", "false"));
        }
        let running = stage.task(name, &config);
        let trace = stage.wait_for(name, TaskState::Failed).await.unwrap();
        assert!(trace.contains("does not say which"), "{trace}");
        running.stop(soon()).await;
    }
}
