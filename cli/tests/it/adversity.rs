//! The ground goes away under a running connector: its topic is deleted, its disk is full.

use crate::harness::{Dray, bootstrap, lines, unique, wait_until};
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(120);

/// A small tmpfs in a user and mount namespace of its own, which needs no root; others reach it through `/proc`. It ends
/// with the process that holds it. Where this is not permitted, the test fails and says so.
struct SmallDisk {
    holder: Child,
}

impl SmallDisk {
    fn new(kilobytes: u32) -> Self {
        let script = format!("mount -t tmpfs -o size={kilobytes}k tmpfs /mnt && echo mounted && exec cat");
        let mut holder = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(holder.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        if line.trim() != "mounted" {
            let mut error = String::new();
            holder.stderr.take().unwrap().read_to_string(&mut error).unwrap();
            panic!("no tmpfs in a user namespace (kernel.unprivileged_userns_clone, util-linux): {error}");
        }
        Self { holder }
    }

    fn path(&self, name: &str) -> PathBuf {
        format!("/proc/{}/root/mnt/{name}", self.holder.id()).into()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(self.holder.kill());
        drop(self.holder.wait());
    }
}

fn append(path: &Path, text: &str) {
    let mut file = fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// ENOSPC in the middle of the work: the task fails, what was not written is not committed, and with room again and a
/// restart everything has arrived.
#[test]
fn a_disk_that_fills_up_fails_the_task_and_loses_nothing() {
    let disk = SmallDisk::new(256);
    let topic = unique("small-disk");
    let mut dray = Dray::new(&bootstrap());
    let (source, sink) = (dray.path("source.txt"), disk.path("sink.txt"));
    // Another file takes most of the room, and gives it back later.
    let ballast = disk.path("ballast");
    fs::write(&ballast, vec![0; 160 << 10]).unwrap();
    dray.source(&topic, &source);
    dray.sink(&topic, &sink);
    let mut sent = lines(0..1_000);
    fs::write(&source, &sent).unwrap();
    dray.start();
    dray.wait_for_size(&sink, sent.len() as u64, PATIENCE);
    let more = lines(1_000..4_000);
    append(&source, &more);
    sent.push_str(&more);
    dray.wait_for_log("No space left on device", PATIENCE);
    dray.wait_for_log("task failed", PATIENCE);
    assert!(dray.terminate().success(), "{}", dray.tail());
    assert!(
        fs::metadata(&sink).unwrap().len() < sent.len() as u64,
        "the disk was not full"
    );

    fs::remove_file(&ballast).unwrap();
    dray.start();
    dray.wait_for_end(&sink, &sent, PATIENCE);
    assert!(dray.terminate().success(), "{}", dray.tail());
    let repeated = crate::harness::audit(&sent, &fs::read(&sink).unwrap());
    println!("{} lines over a full disk, {repeated} repeated", sent.lines().count());
}

/// Runs a tool of the real Kafka.
fn kafka_tool(arguments: &[&str]) {
    let script = std::env::var("DRAY_TEST_KAFKA_SH").expect("DRAY_TEST_KAFKA_SH runs Kafka's tools: run `make test`");
    let status = Command::new(script).arg("tool").args(arguments).status().unwrap();
    assert!(status.success(), "kafka.sh tool {arguments:?}");
}

/// A topic that is deleted under way: what had not been read of it is gone with it. No task fails; the source goes on in
/// the topic that takes its place, which the broker creates here, and loses nothing of what it sends from then on. The sink
/// beside it, which stood in the midst of the old topic, reads the new one from its beginning.
#[test]
fn a_source_goes_on_when_its_topic_was_deleted() {
    let topic = unique("deleted");
    let mut dray = Dray::new(&bootstrap());
    let (source, sink) = (dray.path("source.txt"), dray.path("sink.txt"));
    dray.source(&topic, &source);
    // As users have it: with the settings of `Dray::sink` it would be a member of a classic group, which tells no topic from its successor.
    let file = sink.display().to_string();
    let settings = [
        ("connector.class", "FileStreamSink"),
        ("file", &*file),
        ("topics", &*topic),
    ];
    dray.connector(&format!("{topic}-sink"), &settings);
    let before = lines(0..1_000);
    fs::write(&source, &before).unwrap();
    dray.start();
    dray.wait_for_size(&sink, before.len() as u64, PATIENCE);

    let servers = bootstrap();
    let command = "org.apache.kafka.tools.TopicCommand";
    kafka_tool(&[command, "--bootstrap-server", &servers, "--delete", "--topic", &topic]);
    // The broker carries it out a moment after it has said so: what came in between would be gone as well.
    let broker =
        std::env::var("DRAY_TEST_BROKER_DIR").expect("DRAY_TEST_BROKER_DIR is the broker's folder: run `make test`");
    let log = Path::new(&broker).join("data").join(format!("{topic}-0"));
    wait_until(
        PATIENCE,
        || !log.exists(),
        || format!("{} is still there", log.display()),
    );
    let after = lines(1_000..3_000);
    append(&source, &after);

    // A group that is new reads the whole of the new topic.
    let mut fresh = Dray::new(&servers);
    let arrived = fresh.path("arrived.txt");
    fresh.connector(
        &format!("{topic}-fresh"),
        &[
            ("connector.class", "FileStreamSink"),
            ("file", &arrived.display().to_string()),
            ("topics", &topic),
            ("consumer.override.metadata.max.age.ms", "1000"),
        ],
    );
    fresh.start();
    fresh.wait_for_end(&arrived, &after, PATIENCE);
    assert!(fresh.terminate().success(), "{}", fresh.tail());
    let repeated = crate::harness::audit(&after, &fs::read(&arrived).unwrap());
    println!(
        "a topic deleted under way: {} lines sent after it, {repeated} repeated",
        after.lines().count()
    );
    let all = format!("{before}{after}");
    dray.wait_for_end(&sink, &all, PATIENCE);
    crate::harness::audit(&all, &fs::read(&sink).unwrap());
    assert!(!dray.log().contains("task failed"), "{}", dray.tail());
    assert!(dray.terminate().success(), "{}", dray.tail());
}
