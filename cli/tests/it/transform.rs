//! Transforms on a real broker, and `dray transform test` as its user runs it.

use crate::harness::{Dray, bootstrap, lines, unique};
use std::fs;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

const CONFIG: &str = "topics=orders\n\
    transforms=replace,drop\n\
    transforms.replace.type=ReplaceField$Value\n\
    transforms.replace.renames=qty:quantity\n\
    transforms.drop.type=org.apache.kafka.connect.transforms.Filter\n\
    transforms.drop.predicate=gone\n\
    predicates=gone\n\
    predicates.gone.type=RecordIsTombstone\n";

/// Runs it with the records on its standard input.
fn run(config: &str, records: &str, more: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("connector.properties");
    fs::write(&path, config).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_dray"))
        .args(["transform", "test"])
        .arg(&path)
        .arg("-")
        .args(more)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(records.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// A source wraps its lines, stamps them, drops some and sends them to another topic; a sink unwraps them.
#[test]
fn chains_on_both_sides_of_a_topic() {
    let mut dray = Dray::new(&bootstrap());
    let (topic, json) = (unique("chains"), "org.apache.kafka.connect.json.JsonConverter");
    let (source, sink) = (dray.path("source.txt"), dray.path("sink.txt"));
    let sent = lines(0..20_000);
    fs::write(&source, &sent).unwrap();
    dray.connector(
        "wrapping",
        &[
            ("connector.class", "FileStreamSource"),
            ("file", source.to_str().unwrap()),
            ("topic", &format!("{topic}-in")),
            ("value.converter", json),
            ("transforms", "wrap,stamp,route"),
            (
                "transforms.wrap.type",
                "org.apache.kafka.connect.transforms.HoistField$Value",
            ),
            ("transforms.wrap.field", "line"),
            (
                "transforms.stamp.type",
                "org.apache.kafka.connect.transforms.InsertField$Value",
            ),
            ("transforms.stamp.topic.field", "came_by"),
            (
                "transforms.route.type",
                "org.apache.kafka.connect.transforms.RegexRouter",
            ),
            ("transforms.route.regex", "(.*)-in"),
            ("transforms.route.replacement", "$1-out"),
            // The topic that is created is the one that comes out of the chain.
            ("topic.creation.default.partitions", "1"),
            ("topic.creation.default.replication.factor", "1"),
        ],
    );
    dray.connector(
        "unwrapping",
        &[
            ("connector.class", "FileStreamSink"),
            ("file", sink.to_str().unwrap()),
            ("topics", &format!("{topic}-out")),
            ("consumer.override.metadata.max.age.ms", "1000"),
            ("value.converter", json),
            ("transforms", "foreign,line"),
            ("transforms.foreign.type", "org.apache.kafka.connect.transforms.Filter"),
            ("transforms.foreign.predicate", "ours"),
            ("transforms.foreign.negate", "true"),
            (
                "transforms.line.type",
                "org.apache.kafka.connect.transforms.ExtractField$Value",
            ),
            ("transforms.line.field", "line"),
            ("predicates", "ours"),
            (
                "predicates.ours.type",
                "org.apache.kafka.connect.transforms.predicates.TopicNameMatches",
            ),
            ("predicates.ours.pattern", "chains-.*-out"),
        ],
    );
    dray.start();
    dray.wait_for_size(&sink, sent.len() as u64, Duration::from_secs(120));
    assert!(dray.terminate().success(), "{}", dray.tail());
    assert!(fs::read_to_string(&sink).unwrap() == sent, "the files differ");
}

#[test]
fn each_stage_shows_what_it_changed() {
    let records = "{\"value\":{\"qty\":2}}\n\n{\"value\":null,\"key\":7}\n{\"value\":\"text\"}\n";
    let output = run(CONFIG, records, &[]);
    let expected = r#"record 1
  input
    topic     orders
    value     {"qty":2}
      schema  none
  replace (ReplaceField$Value)
    value     {"quantity":2}
  drop (Filter): skipped by its predicate
record 2
  input
    topic     orders
    key       7
      schema  none
    value     null
      schema  none
  replace (ReplaceField$Value)
    nothing changed
  drop (Filter): dropped the record
record 3
  input
    topic     orders
    value     "text"
      schema  none
  replace (ReplaceField$Value): FAILED
    org.apache.kafka.connect.errors.DataException: Only Map objects supported in absence of schema for [field replacement], found: java.lang.String
"#;
    assert_eq!(text(&output.stdout), expected);
    assert_eq!(text(&output.stderr), "dray: 1 of 3 records failed\n");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn programs_get_an_object_a_record() {
    let records = "{\"value\":{\"qty\":2},\"timestamp\":5}\n{\"value\":null}\n";
    let output = run(CONFIG, records, &["-o", "json"]);
    let lines: Vec<serde_json::Value> = text(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["stages"][1]["value"]["value"]["quantity"], 2);
    assert_eq!(lines[0]["stages"][2]["outcome"], "skipped");
    assert_eq!(lines[0]["stages"][2]["timestamp"], 5);
    assert_eq!(lines[1]["stages"][2]["outcome"], "dropped");
    assert!(output.status.success());
}

#[test]
fn bad_files_are_refused_with_place_and_reason() {
    for (config, records, expected) in [
        (
            CONFIG,
            "{\"value\":1}\n{\"vale\":1}\n",
            "dray: stdin:2: not a record: unknown field `vale`",
        ),
        (
            "transforms=a\ntransforms.a.type=InsertFields\n",
            "",
            "connector.properties: Invalid value InsertFields for configuration transforms.a.type: Class InsertFields could not be found.",
        ),
    ] {
        let output = run(config, records, &[]);
        assert!(text(&output.stderr).contains(expected), "{}", text(&output.stderr));
        assert_eq!(output.status.code(), Some(2));
    }
}
