//! The process that is stopped: a source that writes to all partitions without a pause, through the wire client's public API, as a
//! connector's task does. It goes on where the partitions end, under its task's transactional id.

use super::log::{Stretch, Value};
use crate::session::zombie::say;
use crate::{PATIENCE, bootstrap, config, within};
use dray_kafka::port::{Ack, KafkaPort as _, ProduceRecord, ProducerLane};
use dray_kafka::{Class, Error, Kafka};
use rdkafka::producer::{BaseProducer, Producer as _};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::unix::pipe::Receiver;

/// Partitions of the topic.
pub(super) const PARTITIONS: i32 = 3;
/// Keys in each: fewer than records of a partition in one call, so that every owner writes every key.
const KEYS: u64 = 50;
/// Records of a partition in one call.
const CALL: u64 = 100;
/// Several batches' worth for each partition: some are on their way, and others wait, whenever the process is stopped.
const QUOTA: usize = 1 << 20;
/// A record's own number has its partition in front, so that those of a partition are one run.
const PARTITION_AT: u32 = 48;

/// What it does with one partition.
#[derive(Debug)]
struct Share {
    /// The next record's number.
    next: u64,
    acked: Stretch,
}

/// Waits for `go`, and then writes until it is told to end, or is fenced. Says `took` when it has an acknowledgement of every partition,
/// and with its last words what it has acknowledgements of.
pub(crate) async fn run(topic: &str, owner: &str, generation: &str, address: &str) {
    let generation: u32 = generation.parse().expect("a number");
    let ends = Ends::new(topic);
    let config = config(&[
        ("bootstrap.servers", address),
        ("batch.size", "16384"),
        ("retry.backoff.ms", "1"),
        ("reconnect.backoff.ms", "1"),
        ("reconnect.backoff.max.ms", "20"),
    ]);
    let port = Kafka::new();
    let stdin = std::os::fd::AsFd::as_fd(&std::io::stdin())
        .try_clone_to_owned()
        .expect("stdin");
    let mut orders = BufReader::new(Receiver::from_owned_fd(stdin).expect("a pipe")).lines();
    say("ready");
    if orders.next_line().await.expect("readable").is_none() {
        return;
    }
    let mut shares: Vec<Share> = (0..PARTITIONS)
        .map(|partition| Share::after(ends.of(partition)))
        .collect();
    let mut lane = port.producer_lane(&config, QUOTA, Some(owner)).expect("a lane");
    let mut took = false;
    loop {
        if let Err(error) = call(&mut *lane, topic, generation, &mut shares) {
            return end(&mut *lane, &mut shares, Some(error)).await;
        }
        let mut acks = Vec::new();
        lane.try_acks(&mut acks);
        if let Some(error) = take_in(acks, &mut shares) {
            return end(&mut *lane, &mut shares, Some(error)).await;
        }
        if !took && shares.iter().all(|share| share.acked.count > 0) {
            took = true;
            say("took");
        }
        tokio::select! {
            () = lane.ready() => {}
            // Told to end, or nobody is there any more who could.
            _ = orders.next_line() => return end(&mut *lane, &mut shares, None).await,
        }
    }
}

/// Hands over the next records of each partition, as many as are taken.
fn call(lane: &mut dyn ProducerLane, topic: &str, generation: u32, shares: &mut [Share]) -> Result<(), Error> {
    let mut records: Vec<(i32, u64, String, String)> = Vec::new();
    for (share, partition) in shares.iter().zip(0..) {
        records.extend((share.next..share.next + CALL).map(|number| {
            let key = format!("{partition}-{}", number % KEYS);
            (partition, number, key, Value { generation, number }.text())
        }));
    }
    let records: Vec<ProduceRecord<'_>> = records
        .iter()
        .map(|(partition, number, key, value)| ProduceRecord {
            topic,
            partition: Some(*partition),
            timestamp: None,
            key: Some(key.as_bytes()),
            value: Some(value.as_bytes()),
            headers: &[],
            sequence: (*partition as u64) << PARTITION_AT | *number,
        })
        .collect();
    let result = lane.produce(&records);
    let taken = result.as_ref().map_or_else(|refused| refused.taken, |taken| *taken);
    for record in &records[..taken] {
        shares[record.partition.expect("named") as usize].next += 1;
    }
    result.map(drop).map_err(|refused| refused.error)
}

/// Notes what is stored. The first error, if there is one; nothing behind it in its partition may be stored.
fn take_in(acks: Vec<Ack>, shares: &mut [Share]) -> Option<Error> {
    let mut failed = None;
    for ack in acks {
        let partition = (ack.sequence >> PARTITION_AT) as i32;
        let number = ack.sequence & ((1 << PARTITION_AT) - 1);
        let acked = &mut shares[partition as usize].acked;
        match ack.outcome {
            Ok(stored) => {
                if acked.count == 0 {
                    acked.offset = stored.offset;
                }
                let expected = (acked.first + acked.count, acked.offset + acked.count as i64);
                assert_eq!(stored.partition, partition);
                assert_eq!((number, stored.offset), expected, "one behind the other");
                acked.count += ack.count as u64;
            }
            Err(error) => failed = failed.or(Some(*error)),
        }
    }
    failed
}

/// Waits for what is on its way, and says how it ended.
async fn end(lane: &mut dyn ProducerLane, shares: &mut [Share], error: Option<Error>) {
    let mut failed = error;
    while lane.in_flight() > 0 {
        let mut acks = Vec::new();
        within(lane.acks(&mut acks)).await;
        failed = failed.or(take_in(acks, shares));
    }
    let stored: Vec<String> = shares.iter().map(|share| share.acked.to_string()).collect();
    let stored = stored.join(" ");
    match failed {
        None => say(&format!("ended {stored}")),
        Some(error) if error.class == Class::Fenced => say(&format!("fenced {} {stored}", error.code)),
        Some(error) => say(&format!("failed {error}")),
    }
}

impl Share {
    /// Goes on behind `end`. So numbers are those of the offsets, but where something was stored since the end was asked for.
    fn after(end: i64) -> Self {
        let first = u64::try_from(end).expect("an offset");
        let acked = Stretch {
            first,
            ..Stretch::default()
        };
        Self { next: first, acked }
    }
}

/// Asks where partitions end. By librdkafka, and not through the gate: this is what its task's offsets would tell.
struct Ends<'a> {
    client: BaseProducer,
    topic: &'a str,
}

impl<'a> Ends<'a> {
    fn new(topic: &'a str) -> Self {
        let mut config = rdkafka::ClientConfig::new();
        let client: BaseProducer = config.set("bootstrap.servers", bootstrap()).create().expect("a client");
        // Connected when it is needed.
        client
            .client()
            .fetch_metadata(Some(topic), PATIENCE)
            .expect("the topic");
        Self { client, topic }
    }

    /// The first one that asks may come before the leader of a new partition knows that it leads.
    fn of(&self, partition: i32) -> i64 {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.client.client().fetch_watermarks(self.topic, partition, PATIENCE) {
                Ok((_, end)) => return end,
                Err(error) => assert!(Instant::now() < deadline, "where {partition} ends: {error}"),
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
