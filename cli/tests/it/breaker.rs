//! A breaker that trips beside a standalone worker and a real broker: a sink whose second topic has only bad records is paused as a whole,
//! says why everywhere, and loses nothing when people bring it back.

use crate::dlq::{Cli, start};
use crate::harness::{Dray, bootstrap, unique, wait_until};
use serde_json::{Value, json};
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

fn append(path: &Path, text: &str) {
    let file = fs::OpenOptions::new().create(true).append(true).open(path);
    file.unwrap().write_all(text.as_bytes()).unwrap();
}

fn status(cli: &Cli, sink: &str) -> Value {
    cli.json(&["status", sink])["connectors"][0].clone()
}

/// Waits until the connector and its tasks, in order, are seen so.
fn wait_for(dray: &Dray, cli: &Cli, sink: &str, connector: &str, tasks: [&str; 2]) -> Value {
    let mut seen = Value::Null;
    let so = |seen: &Value| {
        let all = seen["tasks"].as_array().unwrap();
        let mut states: Vec<&str> = all.iter().map(|task| task["state"].as_str().unwrap()).collect();
        states.sort_unstable();
        seen["state"] == connector && states == tasks
    };
    wait_until(
        PATIENCE,
        || {
            seen = status(cli, sink);
            so(&seen)
        },
        || format!("{}\n{}", status(cli, sink), dray.tail()),
    );
    seen
}

/// The task that failed, and its generation.
fn failed(seen: &Value) -> (u64, u64) {
    let tasks = seen["tasks"].as_array().unwrap();
    let failed = tasks.iter().find(|task| task["state"] == "FAILED").unwrap();
    (failed["id"].as_u64().unwrap(), failed["generation"].as_u64().unwrap())
}

#[test]
fn a_breaker_pauses_all_tasks_until_people_bring_them_back() {
    let mut dray = Dray::new(&bootstrap());
    let (good, bad, queue) = (unique("good"), unique("bad"), unique("letters"));
    let (from_good, from_bad, target) = (dray.path("good.txt"), dray.path("bad.txt"), dray.path("sink.txt"));
    let keeper = format!("{bad}-keeper");
    let sink = format!("{good}-sink");
    dray.source(&good, &from_good);
    dray.source(&bad, &from_bad);
    // Its queue is the topic with the bad records: so `dray dlq drop` can delete them.
    let nothing = dray.path("nothing.txt");
    fs::write(&nothing, "").unwrap();
    dray.connector(
        &keeper,
        &[
            ("connector.class", "FileStreamSource"),
            ("file", nothing.to_str().unwrap()),
            ("topic", &queue),
            ("dray.errors.deadletterqueue.topic.name", &bad),
            ("dray.errors.deadletterqueue.topic.replication.factor", "1"),
        ],
    );
    let (file, topics) = (target.display().to_string(), format!("{good},{bad}"));
    let settings = [
        ("connector.class", "FileStreamSink"),
        ("tasks.max", "2"),
        ("file", &file),
        ("topics", &topics),
        ("value.converter", "JsonConverter"),
        ("value.converter.schemas.enable", "false"),
        ("errors.tolerance", "all"),
        ("errors.deadletterqueue.topic.name", &queue),
        ("errors.deadletterqueue.topic.replication.factor", "1"),
        ("dray.errors.breaker.percent", "10"),
        ("dray.errors.breaker.records", "20"),
        // Not even so is it started again.
        ("dray.restart.policy", "always"),
    ];
    dray.connector(&sink, &settings);
    append(&from_good, "1\n");
    append(&from_bad, "2\n");
    let cli = start(&mut dray);
    let arrived = || {
        let text = fs::read_to_string(&target).unwrap_or_default();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines.dedup();
        lines
    };
    let all_arrived = |expected: &[&str]| wait_until(PATIENCE, || arrived() == expected, || format!("{:?}", arrived()));
    all_arrived(&["1", "2"]);
    wait_for(&dray, &cli, &sink, "RUNNING", ["RUNNING", "RUNNING"]);

    append(&from_bad, "no\nnope\nnever\n3\n");
    let seen = wait_for(&dray, &cli, &sink, "PAUSED", ["FAILED", "PAUSED"]);
    let (task, generation) = failed(&seen);
    let why = format!("task {task}: 3 of the last 20 records failed, and dray.errors.breaker.percent allows 10 %");
    assert_eq!((&seen["breaker"], &seen["wanted"]), (&json!(why), &json!("PAUSED")));
    let trace = seen["trace"].as_str().unwrap();
    assert!(trace.contains(&why) && trace.contains("resumed"), "{trace}");
    let trace = seen["tasks"][task as usize]["trace"].as_str().unwrap();
    assert!(
        trace.contains("3 of the last 20") && trace.contains("resumed"),
        "{trace}"
    );
    // What comes meanwhile waits.
    append(&from_good, "4\n");

    // REST, and whoever compares files, say so too.
    let rest = cli.rest_json(&["status", &sink])["connectors"][0].clone();
    assert!(rest["trace"].as_str().unwrap().contains(&why), "{rest}");
    let config = cli.json(&["connector", "get", &sink])["config"].clone();
    let same = dray.path("same.json");
    fs::write(&same, json!({ "name": sink, "config": config }).to_string()).unwrap();
    let diff = cli.run(&["connector", "diff", "-f", same.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&diff.stderr).into_owned();
    let expected = format!("connector {sink} is paused by its breaker ({why}): `dray connector resume {sink}`");
    assert!(diff.status.success() && said.contains(&expected), "{said}");

    // Neither a restart of what has failed nor one of the process brings it back.
    cli.ok(&["connector", "restart", &sink, "--include-tasks", "--only-failed"]);
    wait_for(&dray, &cli, &sink, "PAUSED", ["PAUSED", "PAUSED"]);
    assert!(dray.terminate().success(), "{}", dray.tail());
    let cli = start(&mut dray);
    let seen = wait_for(&dray, &cli, &sink, "PAUSED", ["PAUSED", "PAUSED"]);
    assert_eq!(seen["breaker"], json!(why));
    assert_eq!(arrived(), ["1", "2"]);

    // Resumed before the input is mended it trips again, in a later ownership.
    cli.ok(&["connector", "resume", &sink]);
    let seen = wait_for(&dray, &cli, &sink, "PAUSED", ["FAILED", "PAUSED"]);
    assert!(failed(&seen).1 > generation);

    // The bad records are deleted from their topic, and it goes on where it was.
    cli.ok(&["dlq", "drop", &keeper, "--before", "4", "--yes"]);
    cli.ok(&["connector", "resume", &sink]);
    all_arrived(&["1", "2", "3", "4"]);
    let seen = wait_for(&dray, &cli, &sink, "RUNNING", ["RUNNING", "RUNNING"]);
    assert_eq!((&seen["breaker"], &seen["trace"]), (&Value::Null, &Value::Null));

    // Other bad records, and this time the configuration is mended.
    append(&from_bad, "a\nb\nc\n5\n");
    wait_for(&dray, &cli, &sink, "PAUSED", ["FAILED", "PAUSED"]);
    let mut config: serde_json::Map<String, Value> = config.as_object().unwrap().clone();
    config.insert(
        "value.converter".into(),
        "org.apache.kafka.connect.storage.StringConverter".into(),
    );
    config.remove("value.converter.schemas.enable");
    let mended = dray.path("mended.json");
    fs::write(&mended, json!({ "name": sink, "config": config }).to_string()).unwrap();
    let applied = cli.run(&["apply", "-f", mended.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&applied.stderr).into_owned();
    assert!(
        applied.status.success() && said.contains("it runs again with this change"),
        "{said}"
    );
    all_arrived(&["1", "2", "3", "4", "5", "a", "b", "c"]);
    wait_for(&dray, &cli, &sink, "RUNNING", ["RUNNING", "RUNNING"]);
    assert!(dray.terminate().success(), "{}", dray.tail());
}
