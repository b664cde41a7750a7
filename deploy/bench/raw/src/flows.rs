//! Numbered lines, written all the time into the files of sources and the topics of sinks, and when each arrived at the other end.
//!
//! `FOLDER/in-00000` goes to topic `in-00000`, topic `out-00000` goes to `FOLDER/out-00000`. Makes the topics, of one partition, says
//! `{"topics":true}`, and `{"ready":true}` once a line of every flow has arrived: whoever started it creates the connectors between the two.
//! stdin says what to do then, a word a line, answered by one JSON object each: `mark` (a window begins), `gaps` (the longest time without anything new of each flow
//! since then), `end` (no more lines; waits until all have arrived, and counts what came twice or early).

use crate::{Result, topic};
use rdkafka::TopicPartitionList;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::topic_partition_list::Offset;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, park_timeout, spawn};
use std::time::{Duration, Instant};

/// Between two looks at the files of sinks: what a gap is measured in.
const LOOK: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_secs(60);

/// The file that a source reads, and the topic that it writes.
fn input(number: usize) -> String {
    format!("in-{number:05}")
}

/// The topic that a sink reads, and the file that it writes.
fn output(number: usize) -> String {
    format!("out-{number:05}")
}

/// What arrived at the end of one flow.
#[derive(Default)]
struct Arrived {
    /// One after the largest number.
    next: usize,
    /// Numbers below it that are not there.
    missing: usize,
    seen: Vec<bool>,
    twice: usize,
    early: usize,
    last: Option<Instant>,
    /// The longest time without anything new since the mark, up to `last`.
    gap: Duration,
}

impl Arrived {
    fn note(&mut self, number: usize, at: Instant) {
        if number < self.next && self.seen[number] {
            self.twice += 1;
            return;
        }
        if number >= self.next {
            self.early += number - self.next;
            self.missing += number - self.next;
            self.next = number + 1;
            self.seen.resize(self.next, false);
        } else {
            self.missing -= 1;
        }
        self.seen[number] = true;
        if let Some(last) = self.last {
            self.gap = self.gap.max(at - last);
        }
        self.last = Some(at);
    }
}

struct Shared {
    stop: AtomicBool,
    end: AtomicBool,
    sent: AtomicUsize,
    /// How late the writer itself was at most since the mark, in microseconds: no flow can do better.
    late: AtomicU64,
    /// Sources, then sinks.
    arrived: Mutex<Vec<Arrived>>,
}

pub(crate) fn run(config: &ClientConfig, folder: &str, sources: usize, sinks: usize, rate: u64) -> Result<()> {
    let shared = Arc::new(Shared {
        stop: AtomicBool::new(false),
        end: AtomicBool::new(false),
        sent: AtomicUsize::new(0),
        late: AtomicU64::new(0),
        arrived: Mutex::new((0..sources + sinks).map(|_| Arrived::default()).collect()),
    });
    // Opened first: a source that finds no file looks again only after a while.
    let files = (0..sources)
        .map(|number| {
            OpenOptions::new()
                .create(true)
                .append(true)
                .open(Path::new(folder).join(input(number)))
        })
        .collect::<std::io::Result<Vec<_>>>()?;
    let names: Vec<String> = (0..sources).map(input).chain((0..sinks).map(output)).collect();
    let admin: AdminClient<DefaultClientContext> = config.create()?;
    let new: Vec<_> = names
        .iter()
        .map(|name| NewTopic::new(name, 1, TopicReplication::Fixed(1)))
        .collect();
    let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
    for result in topic::block_on(admin.create_topics(&new, &options))?? {
        result.map_err(|(topic, code)| format!("{topic}: {code}"))?;
    }
    println!(r#"{{"topics":true}}"#);
    let writer = {
        let (shared, config) = (shared.clone(), config.clone());
        spawn(move || write(&shared, &config, files, sinks, rate).map_err(|error| error.to_string()))
    };
    let topics = {
        let (shared, config) = (shared.clone(), config.clone());
        spawn(move || read_topics(&shared, &config, sources).map_err(|error| error.to_string()))
    };
    let tails = {
        let (shared, folder) = (shared.clone(), folder.to_owned());
        spawn(move || read_files(&shared, &folder, sources, sinks).map_err(|error| error.to_string()))
    };
    let threads = [writer, topics, tails];
    wait(&shared, &threads, "a line of every flow", |arrived| arrived.next > 0)?;
    println!(r#"{{"ready":true}}"#);
    for line in std::io::stdin().lines() {
        match line?.as_str() {
            "mark" => {
                for arrived in &mut *lock(&shared) {
                    (arrived.gap, arrived.last) = (Duration::ZERO, Some(Instant::now()));
                }
                shared.late.store(0, Ordering::Release);
                println!("{{}}");
            }
            "gaps" => println!("{}", gaps(&shared, sources)),
            "end" => {
                shared.stop.store(true, Ordering::Release);
                while !threads[0].is_finished() {
                    park_timeout(LOOK);
                }
                let sent = shared.sent.load(Ordering::Acquire);
                wait(&shared, &threads[1..], "the last lines", |arrived| {
                    arrived.next == sent && arrived.missing == 0
                })?;
                let all = lock(&shared);
                let sum = |of: fn(&Arrived) -> usize, which: &[Arrived]| which.iter().map(of).sum::<usize>();
                println!(
                    r#"{{"sent":{sent},"twice_in_topics":{},"twice_in_files":{},"early":{}}}"#,
                    sum(|arrived| arrived.twice, &all[..sources]),
                    sum(|arrived| arrived.twice, &all[sources..]),
                    sum(|arrived| arrived.early, &all),
                );
                break;
            }
            other => return Err(format!("{other}: mark, gaps or end is wanted").into()),
        }
        std::io::stdout().flush()?;
    }
    shared.stop.store(true, Ordering::Release);
    shared.end.store(true, Ordering::Release);
    for thread in threads {
        thread.join().map_err(|_| "a thread panicked")??;
    }
    Ok(())
}

fn lock(shared: &Shared) -> std::sync::MutexGuard<'_, Vec<Arrived>> {
    shared.arrived.lock().unwrap_or_else(|broken| broken.into_inner())
}

type Thread = JoinHandle<std::result::Result<(), String>>;

fn wait(shared: &Shared, threads: &[Thread], what: &str, so: impl Fn(&Arrived) -> bool) -> Result<()> {
    let started = Instant::now();
    loop {
        let not: Vec<usize> = lock(shared)
            .iter()
            .enumerate()
            .filter(|(_, arrived)| !so(arrived))
            .map(|(n, _)| n)
            .collect();
        if not.is_empty() {
            return Ok(());
        }
        if started.elapsed() > PATIENCE || threads.iter().any(JoinHandle::is_finished) {
            return Err(format!("waited for {what}: not so for the flows {not:?}").into());
        }
        park_timeout(LOOK);
    }
}

fn gaps(shared: &Shared, sources: usize) -> String {
    let (now, all) = (Instant::now(), lock(shared));
    let list = |which: &[Arrived]| {
        let ms = which.iter().map(|arrived| {
            let open = arrived.last.map_or(Duration::ZERO, |last| now - last);
            format!("{:.1}", arrived.gap.max(open).as_secs_f64() * 1e3)
        });
        ms.collect::<Vec<_>>().join(",")
    };
    format!(
        r#"{{"sources":[{}],"sinks":[{}],"late":{:.1}}}"#,
        list(&all[..sources]),
        list(&all[sources..]),
        shared.late.load(Ordering::Acquire) as f64 / 1e3
    )
}

fn write(shared: &Shared, config: &ClientConfig, mut files: Vec<File>, sinks: usize, rate: u64) -> Result<()> {
    let producer: ThreadedProducer<DefaultProducerContext> = config
        .clone()
        .set("enable.idempotence", "true")
        .set("linger.ms", "1")
        .create()?;
    let topics: Vec<String> = (0..sinks).map(output).collect();
    let started = Instant::now();
    let mut number: u64 = 0;
    while !shared.stop.load(Ordering::Acquire) {
        let line = format!("{number:010} a line of some length, as logs have them");
        for file in &mut files {
            file.write_all(format!("{line}\n").as_bytes())?;
        }
        for topic in &topics {
            producer
                .send(BaseRecord::<(), _>::to(topic).payload(&line))
                .map_err(|(error, _)| error)?;
        }
        number += 1;
        shared.sent.store(usize::try_from(number)?, Ordering::Release);
        let due = started + Duration::from_micros(number * 1_000_000 / rate);
        let now = Instant::now();
        let late = now.saturating_duration_since(due).as_micros();
        shared.late.fetch_max(u64::try_from(late)?, Ordering::AcqRel);
        std::thread::sleep(due.saturating_duration_since(now));
    }
    producer.flush(PATIENCE)?;
    Ok(())
}

/// The number of a line. One that was cut off by a kill has none, and comes again as a whole.
fn number(line: &[u8]) -> Option<usize> {
    let (number, rest) = std::str::from_utf8(line).ok()?.split_at_checked(10)?;
    (rest == " a line of some length, as logs have them").then(|| number.parse().ok())?
}

fn read_topics(shared: &Shared, config: &ClientConfig, sources: usize) -> Result<()> {
    if sources == 0 {
        return Ok(while !shared.end.load(Ordering::Acquire) {
            park_timeout(LOOK);
        });
    }
    let mut config = config.clone();
    config
        .set("group.id", "flows")
        .set("enable.auto.commit", "false")
        .set("fetch.wait.max.ms", "100");
    let consumer: BaseConsumer = config.create()?;
    let mut all = TopicPartitionList::new();
    for number in 0..sources {
        // A topic that was made a moment ago may not be known yet.
        let deadline = Instant::now() + PATIENCE;
        while let Err(error) = topic::partitions(consumer.client(), &input(number)) {
            if Instant::now() > deadline {
                return Err(error);
            }
            park_timeout(LOOK);
        }
        all.add_partition_offset(&input(number), 0, Offset::Beginning)?;
    }
    consumer.assign(&all)?;
    while !shared.end.load(Ordering::Acquire) {
        let record = match consumer.poll(Duration::from_millis(100)) {
            None | Some(Err(KafkaError::PartitionEOF(_))) => continue,
            // A broker that is slow to answer is no reason to end: the next poll goes on.
            Some(Err(error)) => {
                eprintln!("reading topics: {error}");
                continue;
            }
            Some(Ok(record)) => record,
        };
        let flow: usize = record.topic().trim_start_matches("in-").parse()?;
        let line = number(record.payload().unwrap_or_default()).ok_or("a record that is no line of ours")?;
        lock(shared)[flow].note(line, Instant::now());
    }
    Ok(())
}

fn read_files(shared: &Shared, folder: &str, sources: usize, sinks: usize) -> Result<()> {
    let mut tails: Vec<(Option<File>, Vec<u8>)> = (0..sinks).map(|_| (None, Vec::new())).collect();
    while !shared.end.load(Ordering::Acquire) {
        let begun = Instant::now();
        for (place, (file, rest)) in tails.iter_mut().enumerate() {
            if file.is_none() {
                *file = File::open(Path::new(folder).join(output(place))).ok();
            }
            let Some(file) = file else { continue };
            if file.read_to_end(rest)? == 0 {
                continue;
            }
            let end = rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            let (now, mut arrived) = (Instant::now(), lock(shared));
            for line in rest[..end].split(|byte| *byte == b'\n').filter_map(number) {
                arrived[sources + place].note(line, now);
            }
            rest.drain(..end);
        }
        std::thread::sleep((begun + LOOK).saturating_duration_since(Instant::now()));
    }
    Ok(())
}
