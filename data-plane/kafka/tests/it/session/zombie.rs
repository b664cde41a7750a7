//! A process that tests stop and wake up again: this binary once more, with a role. It says on stdout, a line each, what it does.

use crate::{PATIENCE, config, within};
use dray_connect::sink_batch::TopicPartition;
use dray_kafka::RdKafka;
use dray_kafka::port::{Ack, ConsumerEvent, KafkaPort, Outcome, ProduceRecord, SessionRecord};
use dray_kafka::session::SessionWriter;
use dray_model::Millis;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::net::unix::pipe::Receiver;

/// The role of this process and its arguments, between commas; none in the process of the tests.
const ROLE: &str = "DRAY_TEST_ZOMBIE";
/// Before what it says: the test harness writes to stdout too.
const MARK: &str = "zombie: ";

/// The other process, as a test sees it.
pub(crate) struct Zombie {
    pub(crate) child: Child,
    lines: Lines<BufReader<Receiver>>,
}

impl Zombie {
    pub(crate) fn start(role: &[&str]) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this binary"))
            .args(["--exact", "session::zombie::a_process_of_its_own", "--nocapture"])
            .env(ROLE, role.join(","))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let stdout = std::os::fd::OwnedFd::from(child.stdout.take().expect("piped"));
        let lines = BufReader::new(Receiver::from_owned_fd(stdout).expect("a pipe")).lines();
        Self { child, lines }
    }

    /// The next thing it says; none when it has ended.
    pub(crate) async fn line(&mut self) -> Option<String> {
        while let Some(line) = within(self.lines.next_line()).await.expect("readable") {
            // The harness does not end its own line before.
            if let Some((_, said)) = line.split_once(MARK) {
                return Some(said.to_owned());
            }
        }
        None
    }

    /// The rest of the next line that begins with `word`.
    pub(crate) async fn says(&mut self, word: &str) -> String {
        loop {
            let line = self.line().await.unwrap_or_else(|| panic!("it ended without `{word}`"));
            if let Some(rest) = line.strip_prefix(word) {
                return rest.trim().to_owned();
            }
        }
    }

    /// Stops it, and waits until each of its threads stands still.
    pub(crate) async fn stop(&self) {
        self.signal("-STOP");
        let stopped = async {
            while !self.stands_still() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        within(stopped).await;
    }

    fn stands_still(&self) -> bool {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("it lives");
        let mut status = threads.map(|thread| std::fs::read_to_string(thread.expect("a thread").path().join("status")));
        status.all(|status| status.is_ok_and(|status| status.contains("State:\tT")))
    }

    /// What it has said until it was stopped, and nobody has read.
    pub(crate) async fn said_before_it_stopped(&mut self) -> Vec<String> {
        let mut said = Vec::new();
        // All of it is in the pipe already.
        while let Ok(line) = tokio::time::timeout(Duration::from_millis(200), self.line()).await {
            said.push(line.expect("it has not ended"));
        }
        said
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args([name, &pid]).status().expect("kill");
        assert!(status.success(), "kill {name} {pid}");
    }
}

impl Drop for Zombie {
    fn drop(&mut self) {
        // A stopped process is killed as well.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// In the other process this is all there is; in the process of the tests it shows that there is another one.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_of_its_own() {
    let Ok(role) = std::env::var(ROLE) else {
        let mut other = Zombie::start(&["pid"]);
        let pid = other.says("pid").await;
        assert_eq!(pid, other.child.id().to_string());
        assert_eq!(other.line().await, None, "and ends");
        return;
    };
    let role: Vec<&str> = role.split(',').collect();
    match role[..] {
        ["pid"] => say(&format!("pid {}", std::process::id())),
        ["session", id, offsets, data] => session(id, offsets, data).await,
        ["open", id, offsets] => open(id, offsets),
        ["source", topic, owner, generation, address] => {
            crate::takeover::source::run(topic, owner, generation, address).await
        }
        ["member", group, topic, client, protocol] => member(group, topic, client, protocol).await,
        _ => panic!("no such role: {role:?}"),
    }
}

pub(crate) fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // Nobody reads any more: the test has ended, and so do we.
    if writeln!(out, "{MARK}{line}").and_then(|()| out.flush()).is_err() {
        std::process::abort();
    }
}

/// How long a task goes on after the beginning of its session's latest commit.
pub(crate) const QUIET: Duration = Duration::from_secs(3);

/// A session with a source task: sends records to `data` without a pause, as long as its commits are no older than [`QUIET`], and
/// commits how many are acknowledged to `offsets`. Ends when its writer is fenced.
async fn session(id: &str, offsets: &str, data: &str) {
    let port = RdKafka::new();
    let config = config(&[]);
    let producer = port
        .transactional_producer(&config, id, PATIENCE)
        .await
        .expect("a producer");
    let start = Instant::now();
    let clock = move || Millis(u64::try_from(start.elapsed().as_millis()).expect("not that long"));
    let writer = Arc::new(SessionWriter::start(producer, id, Arc::new(clock)));
    writer.keep_alive(Some(offsets.into()));
    say("ready");

    let mut lane = port.producer_lane(&config, 1 << 20, None).expect("a lane");
    let value = [b'x'; 200];
    let record = |sequence| ProduceRecord {
        topic: data,
        partition: None,
        timestamp: None,
        key: None,
        value: Some(&value),
        headers: &[],
        sequence,
    };
    let (mut sent, mut acked, mut acks) = (0, 0, Vec::<Ack>::new());
    let mut commit: Option<(u64, Instant, tokio::task::JoinSet<Outcome>)> = None;
    let mut alive = Instant::now();
    loop {
        if alive.elapsed() < QUIET {
            let records: Vec<ProduceRecord<'_>> = (sent..sent + 100).map(record).collect();
            sent += lane.produce(&records).expect("taken") as u64;
        }
        lane.try_acks(&mut acks);
        acked += acks.drain(..).map(|ack| ack.count as u64).sum::<u64>();
        let (number, begun, task) = commit.get_or_insert_with(|| {
            let (writer, records) = (Arc::clone(&writer), vec![offset(offsets, acked)]);
            let mut task = tokio::task::JoinSet::new();
            task.spawn(async move { writer.commit(records).await });
            (acked, Instant::now(), task)
        });
        if let Some(outcome) = task.try_join_next() {
            match outcome.expect("no panic") {
                Outcome::Committed => {
                    alive = *begun;
                    say(&format!("committed {number}"));
                }
                Outcome::Fenced(error) => return say(&format!("fenced {error}")),
                other @ (Outcome::Aborted(_) | Outcome::Unknown(_)) => return say(&format!("failed {other:?}")),
            }
            commit = None;
        }
        tokio::select! {
            () = lane.ready() => {}
            () = tokio::time::sleep(Duration::from_millis(100)) => {}
        }
        // Not all of a core, and never an empty queue.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn offset(topic: &str, number: u64) -> SessionRecord {
    SessionRecord {
        topic: topic.into(),
        key: b"offset".to_vec(),
        value: Some(number.to_string().into_bytes()),
    }
}

/// Stays in the middle of a transaction until stdin ends, and then commits it. By hand: a session writer is never in the middle
/// of one for longer than it has to.
fn open(id: &str, offsets: &str) {
    let mut config = rdkafka::ClientConfig::new();
    config
        .set("bootstrap.servers", crate::bootstrap())
        .set("transactional.id", id)
        .set("transaction.timeout.ms", "600000");
    let producer: BaseProducer = config.set("linger.ms", "0").create().expect("a producer");
    producer.init_transactions(PATIENCE).expect("initialised");
    producer.begin_transaction().expect("begun");
    producer
        .send(BaseRecord::to(offsets).key("offset").payload("open"))
        .expect("taken");
    producer.flush(PATIENCE).expect("sent");
    say("open");
    std::io::stdin().read_line(&mut String::new()).expect("a line");
    match producer.commit_transaction(PATIENCE) {
        Ok(()) => say("committed"),
        Err(error) => say(&format!("refused {error}")),
    }
}

/// A member of a group that commits what it has read. When it has lost its partitions it stays out until stdin has a line.
async fn member(group: &str, topic: &str, client: &str, protocol: &str) {
    let (port, protocol) = crate::speaks(protocol);
    let config = config(&[("group.id", group), ("client.id", client), ("group.protocol", protocol)]);
    let mut consumer = port
        .consumer(&config, &[topic.to_owned()], 1 << 20)
        .expect("a consumer");
    consumer.leave_when_lost();
    let mut next: BTreeMap<TopicPartition, i64> = BTreeMap::new();
    let stdin = std::os::fd::AsFd::as_fd(&std::io::stdin())
        .try_clone_to_owned()
        .expect("stdin");
    let mut stdin = BufReader::new(Receiver::from_owned_fd(stdin).expect("a pipe")).lines();
    let mut commit = tokio::time::interval(Duration::from_millis(200));
    loop {
        tokio::select! {
            event = consumer.event() => match event {
                ConsumerEvent::Records(batch) => next.extend(batch.records.iter().map(|record| {
                    let topic = Arc::clone(&batch.topics[record.topic as usize]);
                    (TopicPartition { topic, partition: record.partition }, record.offset + 1)
                })),
                ConsumerEvent::Assigned(partitions) => say(&format!("assigned {}", partitions.len())),
                ConsumerEvent::Revoked(partitions) => {
                    consumer.revoked().await;
                    say(&format!("revoked {}", partitions.len()));
                    next.clear();
                }
                ConsumerEvent::Lost(partitions) => {
                    say(&format!("lost {}", partitions.len()));
                    next.clear();
                }
                ConsumerEvent::Error(error) => say(&format!("error {error}")),
            },
            Ok(Some(_)) = stdin.next_line() => consumer.rejoin().await.expect("it joins"),
            _ = commit.tick(), if !next.is_empty() => match consumer.commit(&next).await {
                Ok(()) => say("committed"),
                Err(error) => say(&format!("refused {error}")),
            },
        }
    }
}
