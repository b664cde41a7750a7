//! File to Kafka to file, and what happens to bad input.

use crate::harness::{Dray, audit, bootstrap, lines, unique};
use std::fs;
use std::io::Write as _;
use std::process::Command;
use std::time::Duration;

#[test]
fn a_million_lines_arrive_byte_for_byte() {
    let mut dray = Dray::new(&bootstrap());
    let (source, sink) = dray.file_to_file(&unique("million"));
    let sent = lines(0..1_000_000);
    fs::write(&source, &sent).unwrap();
    dray.start();
    dray.wait_for_size(&sink, sent.len() as u64, Duration::from_secs(300));
    assert!(dray.terminate().success(), "{}", dray.tail());
    assert!(fs::read_to_string(&sink).unwrap() == sent, "the files differ");
}

#[test]
fn a_clean_restart_repeats_nothing() {
    let mut dray = Dray::new(&bootstrap());
    let (source, sink) = dray.file_to_file(&unique("restart"));
    let mut sent = String::new();
    for round in 0..3 {
        let more = lines(round * 1_000..(round + 1) * 1_000);
        fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&source)
            .unwrap()
            .write_all(more.as_bytes())
            .unwrap();
        sent.push_str(&more);
        dray.start();
        dray.wait_for_size(&sink, sent.len() as u64, Duration::from_secs(120));
        let status = dray.terminate();
        assert_eq!(status.code(), Some(0), "{}", dray.tail());
    }
    assert_eq!(
        audit(&sent, &fs::read(&sink).unwrap()),
        0,
        "a clean stop must not repeat lines"
    );
}

#[test]
fn a_full_disk_fails_the_task_and_commits_nothing() {
    let mut dray = Dray::new(&bootstrap());
    let topic = unique("full");
    let source = dray.path("source.txt");
    dray.source(&topic, &source);
    dray.sink(&topic, "/dev/full".as_ref());
    let sent = lines(0..1_000);
    fs::write(&source, &sent).unwrap();
    dray.start();
    dray.wait_for_log("No space left on device", Duration::from_secs(120));
    dray.wait_for_log("task failed", Duration::from_secs(120));
    assert!(dray.terminate().success());
    // With room on the disk, everything comes: nothing of it was committed.
    let sink = dray.path("sink.txt");
    let mut again = Dray::new(&bootstrap());
    again.sink(&topic, &sink);
    again.start();
    again.wait_for_size(&sink, sent.len() as u64, Duration::from_secs(120));
    assert_eq!(fs::read_to_string(&sink).unwrap(), sent);
}

#[test]
fn bad_files_exit_2_with_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let worker = folder.path().join("worker.properties");
    let connector = folder.path().join("c.json");
    let run = |worker_text: &str, connector_text: &str| {
        fs::write(&worker, worker_text).unwrap();
        fs::write(&connector, connector_text).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_dray"))
            .arg("standalone")
            .args([&worker, &connector])
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let good = format!(
        "bootstrap.servers=127.0.0.1:1\nkey.converter=String\nvalue.converter=String\nlisteners=http://127.0.0.1:0\noffset.storage.file.filename={}\n",
        folder.path().join("offsets").display()
    );
    for (worker, connector, expected) in [
        ("a=b\n", "{}", "Missing required configuration \"key.converter\""),
        (&good, "{\"a\":", "c.json: EOF while parsing"),
        (&good, "{\"topic\":\"t\"}", "missing the mandatory 'name' configuration"),
        (
            &good,
            "{\"name\":\"a\",\"connector.class\":\"Nope\"}",
            "available connectors are:",
        ),
        (
            &good,
            "{\"name\":\"a\",\"connector.class\":\"FileStreamSink\",\"topics\":\"t\",\"transforms\":\"x\"}",
            "Missing required configuration \"transforms.x.type\"",
        ),
        (
            &good,
            "{\"name\":\"a\",\"connector.class\":\"FileStreamSink\",\"topics\":\"t\",\"tasks.max\":\"0\"}",
            "Invalid value 0 for configuration tasks.max: Value must be at least 1",
        ),
    ] {
        let (code, stderr) = run(worker, connector);
        assert_eq!(code, Some(2), "{stderr}");
        let last = stderr.lines().last().unwrap_or_default();
        assert!(last.starts_with("dray: ") && last.contains(expected), "{stderr}");
    }
}
