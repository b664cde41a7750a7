//! A group that was assigned a moment ago, on a broker of the test's own whose members hear of the next assignment two minutes later, unless
//! they ask.

use super::*;
use std::path::PathBuf;
use std::process::Command;

/// An assignment every three seconds instead of every second, and a heartbeat every two minutes instead of every five seconds.
const EXTRA: &str = "group.consumer.assignment.interval.ms=3000\n\
                     group.consumer.max.assignment.interval.ms=15000\n\
                     group.consumer.max.heartbeat.interval.ms=120000\ngroup.consumer.heartbeat.interval.ms=120000\n\
                     group.consumer.max.session.timeout.ms=180000\ngroup.consumer.session.timeout.ms=180000\n";

struct Broker {
    script: PathBuf,
    folder: tempfile::TempDir,
    address: String,
}

impl Broker {
    fn start() -> Self {
        let script = std::env::var("DRAY_TEST_KAFKA_SH").expect("DRAY_TEST_KAFKA_SH starts brokers: run `make test`");
        let script = PathBuf::from(script);
        let port = run(Command::new(&script).arg("freeport"));
        let folder = tempfile::tempdir().expect("a folder");
        let mut start = Command::new(&script);
        start.env("DRAY_BROKER_EXTRA", EXTRA).arg("start");
        run(start.arg(folder.path()).arg(port.trim()));
        Self {
            script,
            folder,
            address: format!("127.0.0.1:{}", port.trim()),
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        run(Command::new(&self.script).arg("kill9").arg(self.folder.path()));
    }
}

fn run(command: &mut Command) -> String {
    let output = command.output().expect("it starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_comes_too_early_asks_for_its_partitions() {
    tokio::join!(early("consumer"), early("wire"));
}

async fn early(protocol: &str) {
    let broker = tokio::task::spawn_blocking(Broker::start).await.expect("a broker");
    let (port, protocol) = speaks(protocol);
    let client = config(&[
        ("bootstrap.servers", &broker.address),
        ("group.id", "early"),
        ("group.protocol", protocol),
    ]);
    let new = NewTopic {
        name: "t".to_owned(),
        partitions: 1,
        replication_factor: 1,
        configs: BTreeMap::new(),
    };
    let admin = port.admin(&client).expect("admin");
    admin.create_topic(&new, PATIENCE).await.expect("create");
    let mut lane = port.producer_lane(&client, 1 << 20, None).expect("lane");
    produce(&mut *lane, "t", &numbered(0..10)).await;
    // Whoever comes after the first one is too early for an assignment of his own.
    for _ in 0..2 {
        let mut member = port.consumer(&client, &["t".to_owned()], 1 << 20).expect("consumer");
        assert_eq!(read(&mut *member, 10).await.len(), 10);
        member.close().await;
    }
}
