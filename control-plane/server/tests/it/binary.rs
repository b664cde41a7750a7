//! The binary itself: settings, signals, exit codes.

use crate::rig::until;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const BINARY: &str = env!("CARGO_BIN_EXE_dray-control");
/// The least that is left of a leader's lease when it is killed.
const LEASE: Duration = Duration::from_secs(3);

fn run(arguments: &[&str]) -> Output {
    Command::new(BINARY)
        .args(arguments)
        .env_remove("DRAY_LOG")
        .output()
        .unwrap()
}

struct Replica {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
}

impl Replica {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(BINARY)
            .args(arguments)
            .args(["--log", "json"])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let (stderr, lines) = (child.stderr.take().unwrap(), log.clone());
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                lines.lock().unwrap().push(line);
            }
        });
        Self { child, log }
    }

    fn said(&self, text: &str) -> bool {
        self.log.lock().unwrap().iter().any(|line| line.contains(text))
    }

    /// SIGTERM; it has to end in order.
    fn terminate(mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {:?}", self.log.lock().unwrap());
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        // It has ended already, as a rule.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn wrong_settings_are_exit_code_2() {
    let output = run(&["--cluster=c", "--etdc=x"]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("--etdc") && text.contains("--etcd"), "{text}");
    let output = run(&["--cluster=c", "--etcd=127.0.0.1:1", "--check-config"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(output.stderr, b"dray-control: the settings are good\n");
    let help = String::from_utf8(run(&["--help"]).stdout).unwrap();
    assert!(
        help.contains("--worker-config") && help.contains("DRAY_CONTROL_ETCD_CA_FILE"),
        "{help}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_starts_leads_and_goes_in_order() {
    let etcd = std::env::var("DRAY_TEST_ETCD").expect("DRAY_TEST_ETCD names an etcd: run `make test`");
    let folder = tempfile::tempdir().unwrap();
    let worker = folder.path().join("worker.properties");
    std::fs::write(&worker, "bootstrap.servers=localhost:9092\ngroup.id=binary\n").unwrap();
    let data = folder.path().join("data");
    let arguments = [
        "--listen=127.0.0.1:0",
        &format!("--etcd={etcd}"),
        &format!("--worker-config={}", worker.display()),
        &format!("--data-dir={}", data.display()),
    ];
    let replica = Replica::start(&arguments);
    until("ready", || replica.said("\"message\":\"ready\"")).await;
    until("leads", || replica.said("\"message\":\"elected\"")).await;
    until("the state file", || data.join("seen.json").exists()).await;
    replica.terminate();
    // The key was given back: the next one need not wait until it ends.
    let store = crate::etcd::etcd().await;
    assert_eq!(crate::etcd::term_in_store(store.as_ref(), "binary").await, None);
    let next = Replica::start(&arguments);
    until("leads", || next.said("\"message\":\"elected\"")).await;
    next.terminate();
}

/// `kill -9` of the leader: another one leads when the key's lease has ended, and until then configuration can be written.
#[tokio::test(flavor = "multi_thread")]
async fn another_leads_after_the_leader_was_killed() {
    let etcd = std::env::var("DRAY_TEST_ETCD").expect("DRAY_TEST_ETCD names an etcd: run `make test`");
    let etcd = format!("--etcd={etcd}");
    let arguments = ["--cluster=killed", "--listen=127.0.0.1:0", etcd.as_str()];
    let mut one = Replica::start(&arguments);
    until("one leads", || one.said("\"message\":\"elected\"")).await;
    let two = Replica::start(&arguments);
    until("two is there", || two.said("\"message\":\"ready\"")).await;
    one.child.kill().unwrap();
    let killed = Instant::now();
    let store = crate::etcd::etcd().await;
    crate::rig::create(store.as_ref(), "killed", "c").await;
    let led_already = two.said("\"message\":\"elected\"");
    let written = killed.elapsed();
    // The lease of 5 s was renewed at most 1 s before the kill.
    assert!(!led_already || written > LEASE, "nobody leads yet: {written:?}");
    until("two leads", || two.said("\"message\":\"elected\"")).await;
    let led = killed.elapsed();
    println!("written after {written:?}, another leader after {led:?}");
    two.terminate();
}
