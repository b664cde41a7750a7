//! A broker that goes away and comes back, on a broker of the test's own.

use crate::harness::{Dray, audit, lines, unique};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

struct Broker {
    script: PathBuf,
    folder: tempfile::TempDir,
    port: u16,
}

impl Broker {
    fn start() -> Self {
        let script = std::env::var("DRAY_TEST_KAFKA_SH").expect("DRAY_TEST_KAFKA_SH starts brokers: run `make test`");
        // One of those that the kernel gives to no connection, also while the broker is away.
        let port = Command::new(&script).arg("freeport").output().unwrap().stdout;
        let broker = Self {
            script: script.into(),
            folder: tempfile::tempdir().unwrap(),
            port: String::from_utf8(port).unwrap().trim().parse().unwrap(),
        };
        broker.run("start");
        broker
    }

    fn run(&self, verb: &str) {
        let mut command = Command::new(&self.script);
        command.arg(verb).arg(self.folder.path());
        if verb == "start" {
            command.arg(self.port.to_string());
        }
        assert!(command.status().unwrap().success(), "kafka.sh {verb} failed");
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.run("kill9");
    }
}

fn append(path: &Path, text: &str) {
    fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
}

#[test]
fn a_broker_that_comes_back_finds_nothing_lost() {
    let broker = Broker::start();
    let mut dray = Dray::new(&format!("127.0.0.1:{}", broker.port));
    let (source, sink) = dray.file_to_file(&unique("away"));
    let mut sent = lines(0..5_000);
    append(&source, &sent);
    dray.start();
    dray.wait_for_size(&sink, sent.len() as u64, Duration::from_secs(120));

    for (verb, away) in [("stop", Duration::from_secs(20)), ("kill9", Duration::ZERO)] {
        broker.run(verb);
        let gone = Instant::now();
        let from = sent.lines().count() as u64;
        let more = lines(from..from + 5_000);
        append(&source, &more);
        sent.push_str(&more);
        while gone.elapsed() < away {
            std::thread::park_timeout(away - gone.elapsed());
        }
        broker.run("start");
        dray.wait_for_end(&sink, &sent, Duration::from_secs(120));
    }
    assert!(dray.terminate().success(), "{}", dray.tail());
    let repeated = audit(&sent, &fs::read(&sink).unwrap());
    println!(
        "broker stopped for 20 s and killed once: {} lines, {repeated} repeated",
        sent.lines().count()
    );
}
