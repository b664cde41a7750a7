//! Numbered lines, written all the time: into the files of sources and into the topics of sinks. And when each arrived at the other end.

use crate::kafka::{client, reader};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::{BaseRecord, Producer as _, ThreadedProducer};
use rdkafka::{Message as _, Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What one task carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// A file source: from a file into a topic.
    Source { file: PathBuf, topic: String },
    /// A file sink: from a topic into a file.
    Sink { topic: String, file: PathBuf },
}

/// What arrived at the end of a flow.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arrived {
    /// When each number came first.
    first: Vec<Option<Instant>>,
    /// When the numbers came that had come before.
    again: Vec<Instant>,
    /// Numbers that came before one that is smaller, each for the first time.
    early: usize,
}

impl Arrived {
    fn note(&mut self, number: usize, at: Instant) {
        if self.first.len() <= number {
            self.early += number - self.first.len();
            self.first.resize(number + 1, None);
        }
        match &mut self.first[number] {
            Some(_) => self.again.push(at),
            first => *first = Some(at),
        }
    }

    /// The longest time in which nothing new came, between these two moments.
    pub(crate) fn longest_gap(&self, from: Instant, to: Instant) -> Duration {
        let mut times: Vec<Instant> = self
            .first
            .iter()
            .flatten()
            .copied()
            .filter(|at| (from..to).contains(at))
            .collect();
        times.sort();
        times.insert(0, from);
        times.push(to);
        times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
    }

    pub(crate) fn repeated(&self) -> usize {
        self.again.len()
    }

    pub(crate) fn repeated_since(&self, from: Instant) -> usize {
        self.again.iter().filter(|at| **at >= from).count()
    }

    fn lost(&self, sent: usize) -> usize {
        sent - self.first.iter().take(sent).flatten().count()
    }
}

struct Shared {
    stop: AtomicBool,
    /// Lines that every flow was given.
    sent: AtomicU64,
    arrived: Mutex<BTreeMap<String, Arrived>>,
}

/// Writes and reads for as long as it lives.
pub(crate) struct Traffic {
    shared: Arc<Shared>,
    flows: usize,
    writer: Option<JoinHandle<()>>,
    readers: Vec<JoinHandle<()>>,
}

impl Traffic {
    /// Begins: `flows` by the name of their connector, one line for each every `pace`. The topics are there.
    pub(crate) fn start(bootstrap: &str, flows: &BTreeMap<String, Flow>, pace: Duration) -> Self {
        let arrived = flows.keys().map(|name| (name.clone(), Arrived::default())).collect();
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            sent: AtomicU64::new(0),
            arrived: Mutex::new(arrived),
        });
        let writer = {
            let (shared, flows, bootstrap) = (shared.clone(), flows.clone(), bootstrap.to_owned());
            std::thread::spawn(move || write(&shared, &flows, &bootstrap, pace))
        };
        let topics = {
            let (shared, flows, bootstrap) = (shared.clone(), flows.clone(), bootstrap.to_owned());
            std::thread::spawn(move || read_topics(&shared, &flows, &bootstrap))
        };
        let files = {
            let (shared, flows) = (shared.clone(), flows.clone());
            std::thread::spawn(move || read_files(&shared, &flows))
        };
        Self {
            shared,
            flows: flows.len(),
            writer: Some(writer),
            readers: vec![topics, files],
        }
    }

    /// What has arrived of each flow.
    pub(crate) fn arrived(&self) -> BTreeMap<String, Arrived> {
        self.shared.arrived.lock().unwrap().clone()
    }

    /// The flow that stood still longest between these moments, and how long.
    pub(crate) fn longest_gap(&self, from: Instant, to: Instant) -> (String, Duration) {
        let arrived = self.shared.arrived.lock().unwrap();
        let gaps = arrived
            .iter()
            .map(|(name, arrived)| (name.clone(), arrived.longest_gap(from, to)));
        gaps.max_by_key(|(_, gap)| *gap).unwrap()
    }

    /// Whether every flow has brought something new since then.
    pub(crate) fn flows_since(&self, from: Instant) -> bool {
        self.stuck_since(from).is_empty()
    }

    /// The flows that have brought nothing new since then.
    pub(crate) fn stuck_since(&self, from: Instant) -> Vec<String> {
        let arrived = self.shared.arrived.lock().unwrap();
        let stuck = arrived.iter().filter(|(_, arrived)| {
            let last = arrived.first.iter().rev().flatten().next();
            last.is_none_or(|last| *last < from)
        });
        stuck.map(|(name, _)| name.clone()).collect()
    }

    /// Writes no more, and waits until all that was written has arrived; returns the lines of a flow, and all that were repeated. Fails
    /// the test when one is lost.
    pub(crate) fn finish(&mut self, limit: Duration) -> (usize, usize) {
        self.end_writing();
        let sent = usize::try_from(self.shared.sent.load(Ordering::Acquire)).unwrap();
        let lost = || -> Vec<String> {
            let arrived = self.shared.arrived.lock().unwrap();
            let lost = arrived.iter().filter(|(_, arrived)| arrived.lost(sent) > 0);
            lost.map(|(name, arrived)| format!("{name}: {} of {sent}", arrived.lost(sent)))
                .collect()
        };
        crate::process::wait_until(limit, || lost().is_empty(), || format!("lost: {:?}", lost()));
        let repeated = self.arrived().values().map(Arrived::repeated).sum();
        (sent, repeated)
    }

    /// How many there are.
    pub(crate) fn flows(&self) -> usize {
        self.flows
    }

    fn end_writing(&mut self) {
        if let Some(writer) = self.writer.take() {
            writer.thread().unpark();
            self.shared.stop.store(true, Ordering::Release);
            writer.join().unwrap();
        }
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        if let Some(writer) = self.writer.take() {
            drop(writer.join());
        }
        // The readers go on until then.
        self.shared.sent.store(u64::MAX, Ordering::Release);
        for reader in self.readers.drain(..) {
            drop(reader.join());
        }
    }
}

fn write(shared: &Shared, flows: &BTreeMap<String, Flow>, bootstrap: &str, pace: Duration) {
    let producer: ThreadedProducer<rdkafka::producer::DefaultProducerContext> = client(bootstrap)
        .set("enable.idempotence", "true")
        .set("linger.ms", "1")
        .set("message.timeout.ms", "300000")
        .create()
        .unwrap();
    let mut files: Vec<File> = Vec::new();
    let mut topics: Vec<&str> = Vec::new();
    for flow in flows.values() {
        match flow {
            Flow::Source { file, .. } => files.push(File::options().create(true).append(true).open(file).unwrap()),
            Flow::Sink { topic, .. } => topics.push(topic),
        }
    }
    let start = Instant::now();
    let mut number: u32 = 0;
    while !shared.stop.load(Ordering::Acquire) {
        let line = format!("{number:010} a line of some length, as logs have them");
        for file in &mut files {
            file.write_all(format!("{line}\n").as_bytes()).unwrap();
        }
        for topic in &topics {
            producer
                .send(BaseRecord::<(), _>::to(topic).payload(&line))
                .map_err(|(error, _)| error)
                .unwrap();
        }
        number += 1;
        shared.sent.store(u64::from(number), Ordering::Release);
        std::thread::park_timeout((start + pace * number).saturating_duration_since(Instant::now()));
    }
    producer.flush(Duration::from_secs(60)).unwrap();
}

fn ended(shared: &Shared) -> bool {
    shared.sent.load(Ordering::Acquire) == u64::MAX
}

/// The number of a line; a line that was cut off by a kill has none, and comes again as a whole.
fn number(line: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(line).ok()?;
    let (number, rest) = text.split_at_checked(10)?;
    (rest == " a line of some length, as logs have them").then(|| number.parse().ok())?
}

fn read_topics(shared: &Shared, flows: &BTreeMap<String, Flow>, bootstrap: &str) {
    let consumer: BaseConsumer = reader(bootstrap, "read_uncommitted");
    let mut at = TopicPartitionList::new();
    let mut names = BTreeMap::new();
    for (name, flow) in flows {
        if let Flow::Source { topic, .. } = flow {
            at.add_partition_offset(topic, 0, Offset::Beginning).unwrap();
            names.insert(topic.as_str(), name.as_str());
        }
    }
    consumer.assign(&at).unwrap();
    while !ended(shared) {
        // Errors are those of a broker that is away, and it is asked again.
        if let Some(Ok(record)) = consumer.poll(Duration::from_millis(100)) {
            let line = number(record.payload().unwrap_or_default()).expect("a source sends whole lines");
            let mut arrived = shared.arrived.lock().unwrap();
            arrived
                .get_mut(names[record.topic()])
                .unwrap()
                .note(line, Instant::now());
        }
    }
}

fn read_files(shared: &Shared, flows: &BTreeMap<String, Flow>) {
    struct Tail<'a> {
        name: &'a str,
        path: &'a Path,
        file: Option<File>,
        rest: Vec<u8>,
    }
    let mut tails: Vec<Tail<'_>> = Vec::new();
    for (name, flow) in flows {
        if let Flow::Sink { file: path, .. } = flow {
            tails.push(Tail {
                name,
                path,
                file: None,
                rest: Vec::new(),
            });
        }
    }
    while !ended(shared) {
        let begun = Instant::now();
        for tail in &mut tails {
            if tail.file.is_none() {
                tail.file = File::open(tail.path).ok();
            }
            let Some(file) = &mut tail.file else { continue };
            if file.read_to_end(&mut tail.rest).unwrap() == 0 {
                continue;
            }
            let end = tail
                .rest
                .iter()
                .rposition(|byte| *byte == b'\n')
                .map_or(0, |end| end + 1);
            let mut arrived = shared.arrived.lock().unwrap();
            let arrived = arrived.get_mut(tail.name).unwrap();
            for line in tail.rest.drain(..end).as_slice().split(|byte| *byte == b'\n') {
                if let Some(number) = number(line) {
                    arrived.note(number, Instant::now());
                }
            }
        }
        std::thread::park_timeout((begun + Duration::from_millis(10)).saturating_duration_since(Instant::now()));
    }
}

/// Whether a sink's file has all lines of a source's.
pub(crate) fn same_lines(source: &Path, sink: &Path) -> bool {
    let (Ok(sent), Ok(arrived)) = (fs::read_to_string(source), fs::read_to_string(sink)) else {
        return false;
    };
    let arrived: std::collections::BTreeSet<&str> = arrived.lines().collect();
    sent.lines().all(|line| arrived.contains(line))
}
