//! Lines, positions, configuration and offsets of the source.

use super::*;
use crate::lines::{Lines, MAX_LINE, Stamp};
use crate::source::{FileStreamSourceConnector, FileStreamSourceTask};
use crate::stdin::Pipe;
use dray_connect::connector::{ExactlyOnceSupport, SourceConnector};
use dray_connect::context::ConnectorContext;
use dray_connect::offset::Primitive;
use dray_connect::schema::Schema;
use tokio::sync::Mutex;

#[tokio::test(start_paused = true)]
async fn the_example_of_the_reference() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("in.txt");
    std::fs::write(&file, b"0123456789\n012345678\r\nline1\rline2\r\nline3\nline4\n\r").unwrap();
    let mut task = reading(&file, Some(22), &[]).await;
    assert_eq!(
        polled(&mut task).await,
        lines(&[("line1", 28), ("line2", 35), ("line3", 41), ("line4", 47)])
    );
    assert_eq!(polled(&mut task).await, [], "the last return may be half of a line end");
    append(&file, b"x");
    assert_eq!(polled(&mut task).await, lines(&[("", 48)]));
    append(&file, b"\r");
    assert_eq!(polled(&mut task).await, []);
    append(&file, b"\n");
    assert_eq!(polled(&mut task).await, lines(&[("x", 51)]));
    task.stop().await.unwrap();
}

#[test]
fn lines_end_like_javas() {
    let stamp = Stamp::of_file("t".into(), Arc::default(), "f");
    for (text, expected) in [
        ("", &[][..]),
        ("a", &[]),
        ("a\n", &[("a", 2)]),
        ("a\r", &[]),
        ("a\r\n", &[("a", 3)]),
        ("a\rb", &[("a", 2)]),
        ("a\r\rb", &[("a", 2), ("", 3)]),
        ("\n\n", &[("", 1), ("", 2)]),
        ("\n\r\n\r", &[("", 1), ("", 3)]),
        ("a\n\rb\n", &[("a", 2), ("", 3), ("b", 5)]),
        ("é\n€\r\n", &[("é", 3), ("€", 8)]),
    ] {
        // All at once, byte by byte, and in two parts.
        for cuts in (1..=text.len()).map(|size| text.as_bytes().chunks(size)) {
            let (mut splitter, mut batch) = (Lines::new(0), SourceBatch::new());
            for part in cuts {
                splitter.feed([splitter.held().as_ref(), part].concat().into());
                splitter.fill(&mut batch, &stamp, usize::MAX).unwrap();
            }
            assert_eq!(rows(&batch), lines(expected), "{text:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn multi_byte_text_resumes_behind_every_line() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("in.txt");
    let text = "füße\n€uro\r\n𝄞 clef\rplain\n\u{feff}bom\n日本語\n";
    std::fs::write(&file, text).unwrap();
    let all = polled(&mut reading(&file, None, &[]).await).await;
    assert_eq!(all.len(), 6);
    assert_eq!(all[5], ("日本語".into(), Some(text.len() as i64)));
    for (index, (_, position)) in all.iter().enumerate() {
        assert_eq!(
            polled(&mut reading(&file, *position, &[]).await).await,
            all[index + 1..]
        );
    }
}

#[tokio::test(start_paused = true)]
async fn malformed_bytes_are_replaced_and_positions_stay_right() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("in.txt");
    std::fs::write(&file, b"good\nb\xffad\n\xe2\x82\nagain \xc3\xa9\n").unwrap();
    let expected = lines(&[("good", 5), ("b\u{fffd}ad", 10), ("\u{fffd}", 13), ("again é", 22)]);
    assert_eq!(polled(&mut reading(&file, None, &[]).await).await, expected);
}

#[tokio::test(start_paused = true)]
async fn records_are_what_connect_makes() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("in.txt");
    std::fs::write(&file, "a\nb\n").unwrap();
    let mut batch = SourceBatch::new();
    reading(&file, None, &[]).await.poll(&mut batch).await.unwrap();
    let record = &batch.records()[0];
    let Body::Data { key, value, headers } = &record.body else {
        panic!("not data")
    };
    assert_eq!(key, &dray_connect::source_batch::Field::default());
    assert!(Arc::ptr_eq(batch.view(value).0.unwrap(), &Schema::string()));
    assert!(headers.is_none() && record.kafka_partition.is_none() && record.timestamp.is_some());
    assert_eq!(&**batch.topic_name(record.topic), "t");
    let name = file.to_str().unwrap();
    assert_eq!(
        batch.source_partitions()[0].to_json(),
        format!(r#"{{"filename":"{name}"}}"#)
    );
    assert_eq!(record.source_offset.to_map().to_json(), r#"{"position":2}"#);
}

#[tokio::test(start_paused = true)]
async fn batches_have_the_size_that_was_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("in.txt");
    std::fs::write(&file, "a\n".repeat(25_000)).unwrap();
    for (size, expected) in [
        (Some("1"), 1),
        (Some("0"), 1),
        (Some("-5"), 1),
        (Some("7"), 7),
        (None, 10_000),
    ] {
        let more: Vec<_> = size.map(|size| ("batch.size", size)).into_iter().collect();
        let mut task = reading(&file, None, &more).await;
        for poll in 1..3 {
            let lines = polled(&mut task).await;
            assert_eq!(
                (lines.len(), lines[expected - 1].1),
                (expected, Some(2 * (poll * expected) as i64))
            );
        }
    }
    let mut task = reading(&file, Some(40_000), &[]).await;
    assert_eq!(
        polled(&mut task).await.len(),
        5000,
        "and nothing stays behind in the block"
    );
}

#[tokio::test(start_paused = true)]
async fn a_long_line_passes_and_a_too_long_one_fails() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("in.txt");
    let long = "ä".repeat(3 << 20);
    std::fs::write(&file, format!("one\n{long}\ntwo\n")).unwrap();
    let mut task = reading(&file, None, &[]).await;
    let mut all = Vec::new();
    while all.len() < 3 {
        all.extend(next_lines(&mut task).await);
    }
    assert!(all[1].0 == long && all[2].0 == "two");
    // Zeros without a line end, which take no room on the disk.
    std::fs::OpenOptions::new()
        .append(true)
        .open(&file)
        .unwrap()
        .set_len(12 + long.len() as u64 + 80_000_000)
        .unwrap();
    let mut batch = SourceBatch::new();
    let error = loop {
        if let Err(error) = task.poll(&mut batch).await {
            break error.to_string();
        }
        assert!(batch.is_empty());
    };
    let place = long.len() + 9;
    assert!(
        error.contains(&format!("'{}' at position {place} has", file.display())),
        "{error}"
    );
    assert!(error.ends_with(&format!("up to {MAX_LINE} bytes")), "{error}");
}

#[tokio::test(start_paused = true)]
async fn any_text_arrives_exactly_once_over_restarts() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("in.txt");
    let mut random = Random(1);
    for round in 0..60 {
        let text: String = (0..random.below(400))
            .map(|_| random.pick(&["a", "é", "𝄞", "\n", "\r", "\r\n", "long "]))
            .collect();
        std::fs::write(&file, &text).unwrap();
        let expected = lines_of(&text);
        let (mut got, mut at) = (Vec::new(), None);
        while got.len() < expected.len() {
            let size = (1 + random.below(9)).to_string();
            let mut task = reading(&file, at, &[("batch.size", &size)]).await;
            for _ in 0..random.below(4) {
                let polled = polled(&mut task).await;
                at = polled.last().map_or(at, |(_, position)| *position);
                got.extend(polled.into_iter().map(|(line, _)| line));
            }
            task.stop().await.unwrap();
        }
        assert_eq!(got, expected, "round {round}: {text:?}");
    }
}

/// What Connect sends of a text, by an independent way.
fn lines_of(text: &str) -> Vec<String> {
    let held_return = text.ends_with('\r');
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut lines: Vec<String> = text.split('\n').map(Into::into).collect();
    lines.truncate(lines.len() - 1 - usize::from(held_return));
    lines
}

#[tokio::test(start_paused = true)]
async fn a_dropped_poll_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("in.txt");
    let text: String = (0..200_000).map(|number| format!("line {number}\n")).collect();
    std::fs::write(&file, &text).unwrap();
    let mut task = reading(&file, None, &[]).await;
    let (mut number, mut batch) = (0, SourceBatch::new());
    while number < 200_000 {
        batch.clear();
        // Polled once and dropped, wherever it then was.
        let once = tokio::time::timeout(std::time::Duration::ZERO, task.poll(&mut batch)).await;
        drop(once);
        if batch.is_empty() {
            task.poll(&mut batch).await.unwrap();
        }
        for (line, _) in rows(&batch) {
            assert_eq!(line, format!("line {number}"));
            number += 1;
        }
    }
}

/// On the real clock: the thread that reads does not know about paused time.
#[tokio::test]
async fn standard_input_has_no_positions() {
    let pipe = Arc::new(Mutex::new(Pipe::new(&b"one\ntwo\nrest"[..]).unwrap()));
    let config = config(&[("topic", "t"), ("batch.size", "1")]);
    let mut task = FileStreamSourceTask::with_stdin(pipe.clone());
    task.start(context(Some(position(3))), &config).await.unwrap();
    let mut batch = SourceBatch::new();
    while batch.is_empty() {
        task.poll(&mut batch).await.unwrap();
    }
    assert_eq!(rows(&batch), [("one".into(), None)]);
    assert_eq!(batch.source_partitions()[0].to_json(), r#"{"filename":null}"#);
    assert_eq!(
        batch.records()[0].source_offset.to_map().to_json(),
        r#"{"position":null}"#
    );
    let mut second = FileStreamSourceTask::with_stdin(pipe.clone());
    let error = second.start(context(None), &config).await.unwrap_err();
    assert_eq!(error.to_string(), "another task already reads stdin");
    task.stop().await.unwrap();
    second.start(context(None), &config).await.unwrap();
    assert_eq!(
        next_lines(&mut second).await,
        [("two".into(), None)],
        "what was read ahead is not lost"
    );
    assert_eq!(
        next_lines(&mut second).await,
        [("rest".into(), None)],
        "nothing can complete the last line"
    );
    tokio::time::pause();
    assert_eq!(polled(&mut second).await, []);
}

#[tokio::test]
async fn the_connector_checks_its_configuration() {
    let (requests, _receiver) = tokio::sync::mpsc::channel(1);
    let context = ConnectorContext::new(requests, None);
    let mut connector = FileStreamSourceConnector::new();
    for (bad, message) in [
        (
            config(&[]),
            "Missing required configuration \"topic\" which has no default value.",
        ),
        (
            config(&[("topic", "")]),
            "Invalid value  for configuration topic: String must be non-empty",
        ),
        (
            config(&[("topic", "t"), ("batch.size", "x")]),
            "Invalid value x for configuration batch.size: Not a number of type INT",
        ),
    ] {
        assert_eq!(
            connector.start(context.clone(), &bad).await.unwrap_err().to_string(),
            message
        );
    }
    let good = config(&[("topic", "t"), ("file", "f"), ("other", "x")]);
    connector.start(context, &good).await.unwrap();
    assert_eq!(connector.task_configs(5).unwrap(), std::slice::from_ref(&good));
    assert_eq!(connector.exactly_once_support(&good), ExactlyOnceSupport::Supported);
    assert_eq!(
        connector.exactly_once_support(&config(&[("topic", "t")])),
        ExactlyOnceSupport::Unsupported
    );
}

#[test]
fn altered_offsets_are_checked_in_connects_order() {
    let connector = FileStreamSourceConnector::new();
    let file = config(&[("topic", "t"), ("file", "f")]);
    let name = || Some(OffsetMap::new().with("filename", Primitive::Null));
    let odd = |value| Some(OffsetMap::new().with("position", value));
    let alter = |partition, offset| connector.alter_offsets(&file, &[(partition, offset)]);
    assert!(alter(name(), Some(position(0))).unwrap());
    assert!(alter(None, None).unwrap());
    let key = "Offset objects should either be null or contain the key 'position'";
    let long = "The value for the 'position' key in the offset is expected to be a Long value";
    for (partition, offset, message) in [
        (None, Some(OffsetMap::new()), key),
        (None, odd(Primitive::Null), long),
        (None, odd(Primitive::String("1".into())), long),
        (
            None,
            Some(position(-1)),
            "The value for the 'position' key in the offset should be a non-negative value",
        ),
        (None, Some(position(1)), "Partition objects cannot be null"),
        (
            Some(OffsetMap::new()),
            Some(position(1)),
            "Partition objects should contain the key 'filename'",
        ),
    ] {
        assert_eq!(alter(partition, offset).unwrap_err().to_string(), message);
    }
    let error = connector
        .alter_offsets(&config(&[("topic", "t"), ("file", "")]), &[])
        .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("Offsets cannot be modified if the 'file' configuration is unspecified.")
    );
}

#[tokio::test]
async fn a_stored_position_of_the_wrong_type_fails() {
    let stored = OffsetMap::new().with("position", Primitive::String("7".into()));
    let config = config(&[("topic", "t"), ("file", "f")]);
    let error = FileStreamSourceTask::new()
        .start(context(Some(stored)), &config)
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "Offset position is the incorrect type");
}

pub(super) fn append(file: &Path, bytes: &[u8]) {
    use std::io::Write;
    std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(file)
        .unwrap()
        .write_all(bytes)
        .unwrap();
}

/// A small generator with a fixed start, so that a failure comes again.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len() as u64) as usize]
    }
}
