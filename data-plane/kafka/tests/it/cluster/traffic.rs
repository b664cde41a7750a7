//! A lane that sends at a rate and a reader that reads, while a test does something to the brokers. Record `n` goes to partition `n` modulo
//! the number of partitions and holds `n`: what each partition must hold in the end is known.

use crate::within;
use dray_connect::sink_batch::TopicPartition;
use dray_kafka::metrics::{ClientMetrics, ClientNumbers, ProducerMetrics};
use dray_kafka::port::{Ack, Assignment, ClientConfig, KafkaPort, ProduceRecord, Reader, ReaderEvent};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Records of a turn for each partition, and a turn's length.
const TURN: u64 = 2;
const PACE: Duration = Duration::from_millis(5);

/// Sends until it is told to stop.
pub(super) struct Sending {
    partitions: u64,
    /// Records that are stored.
    stored: watch::Receiver<u64>,
    stop: watch::Sender<bool>,
    metrics: Option<ClientMetrics>,
    task: JoinSet<u64>,
}

impl Sending {
    pub(super) fn start(port: &dyn KafkaPort, client: &ClientConfig, topic: &str, partitions: u64) -> Self {
        let mut lane = port.producer_lane(client, 1 << 20, None).expect("a lane");
        let metrics = lane.metrics();
        let (told, stored) = watch::channel(0);
        let (stop, stopped) = watch::channel(false);
        let topic = topic.to_owned();
        let mut task = JoinSet::new();
        task.spawn(async move {
            let (mut next, mut known, mut acks) = (0, 0, Vec::new());
            let mut turn = tokio::time::interval(PACE);
            turn.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            while !*stopped.borrow() {
                turn.tick().await;
                let values: Vec<String> = (next..next + TURN * partitions).map(|n| n.to_string()).collect();
                let records = values.iter().zip(next..).map(|(value, number)| ProduceRecord {
                    topic: &topic,
                    partition: Some(i32::try_from(number % partitions).expect("small")),
                    timestamp: None,
                    key: None,
                    value: Some(value.as_bytes()),
                    headers: &[],
                    sequence: number,
                });
                let records: Vec<_> = records.collect();
                let taken = lane.produce(&records).expect("taken");
                next += taken as u64;
                if taken == 0 {
                    within(lane.ready()).await;
                }
                lane.try_acks(&mut acks);
                known += stored_of(&mut acks);
                told.send_replace(known);
            }
            while known < next {
                within(lane.acks(&mut acks)).await;
                known += stored_of(&mut acks);
                told.send_replace(known);
            }
            next
        });
        Self {
            partitions,
            stored,
            stop,
            metrics,
            task,
        }
    }

    /// Waits until so many more are stored, of all partitions together.
    pub(super) async fn more(&mut self, count: u64) {
        let until = *self.stored.borrow() + count;
        let reached = within(self.stored.wait_for(|stored| *stored >= until)).await;
        reached.expect("it still sends");
    }

    pub(super) fn metrics(&self) -> ProducerMetrics {
        match self.metrics.as_ref().and_then(ClientMetrics::numbers) {
            Some(ClientNumbers::Producer(metrics)) => metrics,
            other => panic!("a producer measures, not {other:?}"),
        }
    }

    /// Ends once all is stored. How many records each partition has.
    pub(super) async fn end(mut self) -> Vec<u64> {
        self.stop.send_replace(true);
        let sent = within(self.task.join_next()).await.expect("a task").expect("no panic");
        (0..self.partitions)
            .map(|at| (sent + self.partitions - 1 - at) / self.partitions)
            .collect()
    }
}

/// How many these are; all have to be stored.
fn stored_of(acks: &mut Vec<Ack>) -> u64 {
    let each = acks.drain(..).map(|ack| {
        assert!(ack.outcome.is_ok(), "{ack:?}");
        ack.count as u64
    });
    each.sum()
}

/// Reads for as long as it lives, and stops at the first record that is not the one which has to come next.
pub(super) struct Reads {
    /// Records of each partition.
    seen: watch::Receiver<Vec<u64>>,
    task: JoinSet<()>,
}

impl Reads {
    pub(super) fn start(port: &dyn KafkaPort, client: &ClientConfig, topic: &str, partitions: u64) -> Self {
        let place = |partition| TopicPartition {
            topic: topic.into(),
            partition: i32::try_from(partition).expect("small"),
        };
        let assignment = Assignment {
            partitions: (0..partitions)
                .map(|partition| (place(partition), Some(0.into())))
                .collect(),
            prefetch: 1 << 20,
            whole: None,
        };
        let reader = port.reader(client, assignment).expect("a reader");
        let (told, seen) = watch::channel(vec![0; usize::try_from(partitions).expect("few")]);
        let mut task = JoinSet::new();
        task.spawn(read(reader, told, partitions));
        Self { seen, task }
    }

    /// Waits until each partition has given so many records.
    pub(super) async fn until(&mut self, counts: &[u64]) {
        let all = |seen: &Vec<u64>| seen.iter().zip(counts).all(|(seen, count)| seen >= count);
        if within(self.seen.wait_for(all)).await.is_err() {
            // It has ended, and says why.
            self.task
                .join_next()
                .await
                .expect("a task")
                .expect("the reader sees what it has to");
        }
    }

    /// Waits until so many more have come of each partition.
    pub(super) async fn more(&mut self, count: u64) {
        let until: Vec<u64> = self.seen.borrow().iter().map(|seen| seen + count).collect();
        self.until(&until).await;
    }

    /// Ends when it has read so many of each partition, and no more.
    pub(super) async fn end(mut self, counts: &[u64]) {
        self.until(counts).await;
        assert_eq!(*self.seen.borrow(), counts);
    }
}

async fn read(mut reader: Box<dyn Reader>, told: watch::Sender<Vec<u64>>, partitions: u64) {
    loop {
        let batch = match reader.next().await {
            ReaderEvent::Records(batch) => batch,
            ReaderEvent::Topic(..) => continue,
            ReaderEvent::Error(error) if error.is_retriable() => continue,
            other @ (ReaderEvent::Batch(_) | ReaderEvent::Error(_)) => panic!("records, not {other:?}"),
        };
        let mut seen = told.borrow().clone();
        for record in &batch.records {
            let place = usize::try_from(record.partition).expect("a partition");
            let value = record.value.as_ref().map(|value| batch.bytes(value));
            let value = std::str::from_utf8(value.expect("a value")).expect("digits");
            let expected = seen[place] * partitions + place as u64;
            assert_eq!(value, expected.to_string(), "{record:?}");
            assert_eq!(
                record.offset,
                i64::try_from(seen[place]).expect("small"),
                "nothing else is in the log"
            );
            seen[place] += 1;
        }
        told.send_replace(seen);
    }
}
