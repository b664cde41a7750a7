//! `dray dlq` beside a standalone worker and a real broker: letters are seen, replayed through a pipeline that was mended, and dropped.

use crate::harness::{Dray, bootstrap, unique, wait_until};
use serde_json::{Value, json};
use std::fs;
use std::process::{Command, Output};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

/// Where the process listens, as its log says.
fn address(dray: &Dray) -> String {
    wait_until(PATIENCE, || dray.last_log().contains("\"listening\""), || dray.tail());
    let log = dray.last_log();
    let line = log.lines().find(|line| line.contains("\"listening\"")).unwrap();
    let line: Value = serde_json::from_str(line).unwrap();
    let found = line["fields"]["address"].as_str().or_else(|| line["address"].as_str());
    found.unwrap_or_else(|| panic!("{line}")).to_owned()
}

pub(crate) struct Cli {
    address: String,
    home: tempfile::TempDir,
}

impl Cli {
    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.run_by(["--control", &self.address], args)
    }

    fn run_by(&self, transport: [&str; 2], args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_dray"))
            .args(args)
            .args(transport)
            .env("XDG_CONFIG_HOME", self.home.path())
            .output()
            .unwrap()
    }

    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(
            output.status.success(),
            "{args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.ok(&[args, &["-o", "json"]].concat())).unwrap()
    }

    /// The same over REST, at the same address.
    pub(crate) fn rest_json(&self, args: &[&str]) -> Value {
        let url = format!("http://{}", self.address);
        let output = self.run_by(["--rest", &url], &[args, &["-o", "json"]].concat());
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
    }

    /// Waits until a queue has so many letters.
    fn letters(&self, name: &str, count: u64) {
        let seen = || {
            let list = self.json(&["dlq", "list"]);
            let queues = list["queues"].as_array().unwrap();
            let found = queues.iter().find(|queue| queue["name"] == name);
            found.and_then(|queue| queue["letters"].as_u64()).unwrap_or_default()
        };
        wait_until(PATIENCE, || seen() == count, || format!("{} letters", seen()));
    }
}

pub(crate) fn start(dray: &mut Dray) -> Cli {
    dray.start();
    Cli {
        address: address(dray),
        home: tempfile::tempdir().unwrap(),
    }
}

#[test]
fn a_sinks_letters_go_through_the_mended_pipeline() {
    let mut dray = Dray::new(&bootstrap());
    let (topic, queue) = (unique("dlq"), unique("letters"));
    let (source, target) = (dray.path("source.txt"), dray.path("sink.txt"));
    dray.source(&topic, &source);
    let file = target.display().to_string();
    let sink = format!("{topic}-sink");
    dray.connector(
        &sink,
        &[
            ("connector.class", "FileStreamSink"),
            ("file", &file),
            ("topics", &topic),
            ("value.converter", "JsonConverter"),
            ("value.converter.schemas.enable", "false"),
            ("errors.tolerance", "all"),
            ("errors.deadletterqueue.topic.name", &queue),
            ("errors.deadletterqueue.topic.replication.factor", "1"),
            ("errors.deadletterqueue.context.headers.enable", "true"),
        ],
    );
    fs::write(&source, "1\nnot json\n2\nneither\n").unwrap();
    let cli = start(&mut dray);
    cli.letters(&sink, 2);

    let shown = cli.json(&["dlq", "show", &sink]);
    assert_eq!(
        (&shown["topic"], &shown["partitions"]),
        (&json!(queue), &json!([{"partition": 0, "first": 0, "end": 2}]))
    );
    let letter = &shown["letters"][0];
    assert_eq!((&letter["offset"], &letter["value"]), (&json!(0), &json!("not json")));
    let errors = &letter["errors"];
    assert_eq!(errors["__connect.errors.topic"], json!(topic));
    assert_eq!(errors["__connect.errors.offset"], "1");
    assert_eq!(errors["__connect.errors.stage"], "VALUE_CONVERTER");
    let text = cli.ok(&["dlq", "show", &sink, "--offset", "1"]);
    let begins = format!("{queue}-0@1\n  topic      {topic} 0 3\n  stage      VALUE_CONVERTER\n");
    assert!(
        text.starts_with(&begins) && text.ends_with("  value      neither\n"),
        "{text}"
    );

    // As it is now they fail again, and come back to the queue.
    let again = cli.json(&["dlq", "replay", &sink, "--all", "--yes"]);
    assert_eq!((&again["replayed"], &again["refused"]), (&json!(2), &json!([])));
    cli.letters(&sink, 4);

    // Mended, they are numbers and texts alike.
    let settings = cli.json(&["connector", "get", &sink]);
    let mut config: serde_json::Map<String, Value> = settings["config"].as_object().unwrap().clone();
    config.insert(
        "value.converter".into(),
        "org.apache.kafka.connect.storage.StringConverter".into(),
    );
    config.remove("value.converter.schemas.enable");
    let mended = dray.path("mended.json");
    fs::write(&mended, json!({ "name": sink, "config": config }).to_string()).unwrap();
    cli.ok(&["apply", "-f", mended.to_str().unwrap()]);
    let one = cli.ok(&["dlq", "replay", &sink, "--offset", "2", "--yes"]);
    assert_eq!(one, format!("connector {sink}: 1 sent again\n"));
    let arrived = || fs::read_to_string(&target).unwrap_or_default();
    wait_until(
        PATIENCE,
        || arrived().ends_with("not json\n"),
        || format!("{}\n{}", arrived(), dray.tail()),
    );
    assert_eq!(arrived(), "1\n2\nnot json\n");

    let asks = cli.run(&["dlq", "drop", &sink, "--all"]);
    assert_eq!(asks.status.code(), Some(2), "there is no terminal to ask on");
    let beyond = cli.run(&["dlq", "drop", &sink, "--before", "9", "--yes"]);
    let said = String::from_utf8_lossy(&beyond.stderr);
    assert!(said.contains("ends at offset 4"), "{said}");
    let dropped = cli.ok(&["dlq", "drop", &sink, "--before", "3", "--yes"]);
    assert_eq!(dropped, format!("connector {sink}: 3 dropped, 1 left\n"));
    assert_eq!(
        cli.json(&["dlq", "show", &sink])["letters"].as_array().unwrap().len(),
        1
    );
    cli.ok(&["dlq", "drop", &sink, "--all", "--yes"]);
    cli.letters(&sink, 0);

    // What is no queue.
    let none = cli.run(&["dlq", "show", &format!("{topic}-source")]);
    let said = String::from_utf8_lossy(&none.stderr);
    assert!(
        said.contains("the connector has no dead letter queue: dray.errors.deadletterqueue.topic.name names none"),
        "{said}"
    );
    let list = cli.ok(&["dlq", "list"]);
    assert!(
        list.contains(&sink) && !list.contains(&format!("{topic}-source")),
        "{list}"
    );
    assert!(dray.terminate().success(), "{}", dray.tail());
}

#[test]
fn a_sources_letters_go_through_the_mended_pipeline() {
    let mut dray = Dray::new(&bootstrap());
    let (topic, queue) = (unique("dlq"), unique("letters"));
    let (source, target) = (dray.path("source.txt"), dray.path("sink.txt"));
    let name = format!("{topic}-source");
    let settings = [
        ("connector.class", "FileStreamSource".to_owned()),
        ("file", source.display().to_string()),
        ("topic", topic.clone()),
        ("transforms", "number".to_owned()),
        (
            "transforms.number.type",
            "org.apache.kafka.connect.transforms.Cast$Value".to_owned(),
        ),
        ("transforms.number.spec", "int8".to_owned()),
        ("errors.tolerance", "all".to_owned()),
        ("dray.errors.deadletterqueue.topic.name", queue.clone()),
        ("dray.errors.deadletterqueue.topic.replication.factor", "1".to_owned()),
    ];
    let settings: Vec<_> = settings.iter().map(|(key, value)| (*key, value.as_str())).collect();
    dray.connector(&name, &settings);
    dray.sink(&topic, &target);
    fs::write(&source, "1\n1000\n2\n").unwrap();
    let cli = start(&mut dray);
    cli.letters(&name, 1);
    let shown = cli.json(&["dlq", "show", &name]);
    let letter = &shown["letters"][0];
    assert_eq!(
        letter["value"],
        r#"{"schema":{"type":"string","optional":false},"payload":"1000"}"#
    );
    assert_eq!(letter["errors"]["__dray.errors.source.offset"], r#"{"position":7}"#);

    // It fails as it did, and stays.
    let refused = cli.run(&["dlq", "replay", &name, "--all", "--yes"]);
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("letter 0@0 is not: "), "{said}");

    let config = cli.json(&["connector", "get", &name])["config"].clone();
    let mut config: serde_json::Map<String, Value> = config.as_object().unwrap().clone();
    config.insert("transforms.number.spec".into(), "int32".into());
    let mended = dray.path("mended.json");
    fs::write(&mended, json!({ "name": name, "config": config }).to_string()).unwrap();
    cli.ok(&["apply", "-f", mended.to_str().unwrap()]);
    let done = cli.json(&["dlq", "replay", &name, "--all", "--yes"]);
    assert_eq!((&done["replayed"], &done["refused"]), (&json!(1), &json!([])));
    let arrived = || fs::read_to_string(&target).unwrap_or_default();
    wait_until(
        PATIENCE,
        || arrived().ends_with("1000\n"),
        || format!("{}\n{}", arrived(), dray.tail()),
    );
    assert_eq!(arrived(), "1\n2\n1000\n");
    assert!(dray.terminate().success(), "{}", dray.tail());
}

/// The client would take the line, and the topic's own limit does not: the broker refuses it when others are behind it.
#[test]
fn a_line_that_its_topic_does_not_take_is_a_letter_or_cut() {
    let mut dray = Dray::new(&bootstrap());
    let source = dray.path("source.txt");
    let long = "x".repeat(3_000);
    fs::write(&source, format!("one\n{long}\ntwo\n")).unwrap();
    let queue = unique("letters");
    let mut targets = Vec::new();
    for policy in ["dead-letter", "truncate"] {
        let topic = unique(policy);
        let settings = [
            ("connector.class", "FileStreamSource"),
            ("file", source.to_str().unwrap()),
            ("topic", &topic),
            ("topic.creation.default.partitions", "1"),
            ("topic.creation.default.replication.factor", "1"),
            ("topic.creation.default.max.message.bytes", "1000"),
            ("dray.errors.oversize", policy),
            ("dray.errors.deadletterqueue.topic.name", &queue),
            ("dray.errors.deadletterqueue.topic.replication.factor", "1"),
        ];
        dray.connector(policy, &settings);
        let target = dray.path(&format!("{policy}.txt"));
        dray.sink(&topic, &target);
        targets.push(target);
    }
    let cli = start(&mut dray);
    cli.letters("dead-letter", 1);
    let shown = cli.json(&["dlq", "show", "dead-letter"]);
    let letter = &shown["letters"][0];
    assert_eq!(letter["value"], long.as_str(), "whole, as the queue takes it");
    assert_eq!(letter["errors"]["__connect.errors.stage"], "KAFKA_PRODUCE");
    assert_eq!(letter["errors"]["__dray.errors.format"], "bytes");
    // What stands in place of a record comes when that was refused, which may be behind the next.
    let arrived = |target: &std::path::Path| {
        let text = fs::read_to_string(target).unwrap_or_default();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let cut = "x".repeat(750);
    for (target, expected) in targets.iter().zip([vec!["one", "two"], vec!["one", "two", &cut]]) {
        wait_until(
            PATIENCE,
            || arrived(target).len() == expected.len(),
            || format!("{:?}\n{}", arrived(target), dray.tail()),
        );
        assert_eq!(arrived(target), expected);
    }
    assert!(dray.terminate().success(), "{}", dray.tail());
}
