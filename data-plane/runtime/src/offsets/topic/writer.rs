//! Writing the offsets topic: one lane for all tasks. Commits do not wait for each other; a partition of the topic that
//! has no leader holds up only those whose offsets lie in it.

use super::failed;
use dray_connect::{Error, Result};
use dray_kafka::port::{Ack, ProduceRecord, ProducerLane};
use std::collections::{HashMap, VecDeque};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

/// Bytes of offsets in flight. A task has one commit in flight, of some hundred bytes for each source partition.
pub(super) const QUOTA: usize = 4 << 20;
/// Commits that wait for the lane; whoever comes after them waits outside.
const QUEUE: usize = 64;

/// The key of an offset and its new value; none erases it.
pub(super) type OffsetRecord = (Vec<u8>, Option<Vec<u8>>);

struct Commit {
    records: Vec<OffsetRecord>,
    done: oneshot::Sender<Result<()>>,
}

/// Hands commits to the task that owns the lane; dropping it ends that task.
pub(super) struct Writer {
    commits: mpsc::Sender<Commit>,
    _task: JoinSet<()>,
}

impl Writer {
    pub(super) fn start(lane: Box<dyn ProducerLane>, topic: &str) -> Self {
        let (commits, receiver) = mpsc::channel(QUEUE);
        let work = Work {
            lane,
            topic: topic.to_owned(),
            next: 0,
            unsent: VecDeque::new(),
            sequences: HashMap::new(),
            waiting: HashMap::new(),
        };
        let mut task = JoinSet::new();
        task.spawn(work.run(receiver));
        Self { commits, _task: task }
    }

    /// Waits until all records are acknowledged.
    pub(super) async fn write(&self, records: Vec<OffsetRecord>) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        let ended = || Error::connect("the writer of the offsets topic has ended");
        let (done, outcome) = oneshot::channel();
        self.commits.send(Commit { records, done }).await.map_err(|_| ended())?;
        outcome.await.map_err(|_| ended())?
    }
}

/// A commit whose records are on their way.
struct Waiting {
    left: usize,
    error: Option<Error>,
    done: oneshot::Sender<Result<()>>,
}

struct Work {
    lane: Box<dyn ProducerLane>,
    topic: String,
    /// Numbers commits and records.
    next: u64,
    /// Records that the lane has not taken, with their commit's number.
    unsent: VecDeque<(u64, OffsetRecord)>,
    /// The commit of each record in flight.
    sequences: HashMap<u64, u64>,
    waiting: HashMap<u64, Waiting>,
}

impl Work {
    async fn run(mut self, mut commits: mpsc::Receiver<Commit>) {
        let mut acks = Vec::new();
        loop {
            if self.unsent.is_empty() {
                tokio::select! {
                    () = self.lane.acks(&mut acks) => {}
                    commit = commits.recv() => match commit {
                        Some(commit) => self.accept(commit),
                        None => return,
                    },
                }
            } else {
                self.lane.ready().await;
                self.lane.try_acks(&mut acks);
            }
            self.settle(&mut acks);
            self.send();
        }
    }

    /// A caller that has gone away is not served: its task may have another owner by now.
    fn accept(&mut self, commit: Commit) {
        if commit.done.is_closed() {
            return;
        }
        self.next += 1;
        let number = self.next;
        let waiting = Waiting {
            left: commit.records.len(),
            error: None,
            done: commit.done,
        };
        self.waiting.insert(number, waiting);
        self.unsent
            .extend(commit.records.into_iter().map(|record| (number, record)));
    }

    fn send(&mut self) {
        while !self.unsent.is_empty() {
            let first = self.next + 1;
            let sequences = first..;
            let records: Vec<ProduceRecord<'_>> = self
                .unsent
                .iter()
                .zip(sequences)
                .map(|((_, (key, value)), sequence)| ProduceRecord {
                    topic: &self.topic,
                    partition: None,
                    timestamp: None,
                    key: Some(key),
                    value: value.as_deref(),
                    headers: &[],
                    sequence,
                })
                .collect();
            let (taken, refused) = match self.lane.produce(&records) {
                Ok(taken) => (taken, None),
                Err(refused) => (refused.taken, Some(refused.error)),
            };
            self.next += records.len() as u64;
            for (sequence, (number, _)) in (first..).zip(self.unsent.drain(..taken)) {
                self.sequences.insert(sequence, number);
            }
            match refused {
                Some(error) => {
                    if let Some((number, _)) = self.unsent.pop_front() {
                        self.finish(number, Some(error));
                    }
                }
                None if !self.unsent.is_empty() => return,
                None => {}
            }
        }
    }

    fn settle(&mut self, acks: &mut Vec<Ack>) {
        for ack in acks.drain(..) {
            let sequences = ack.sequences();
            let mut error = ack.outcome.err().map(|error| *error);
            for sequence in sequences {
                if let Some(number) = self.sequences.remove(&sequence) {
                    self.finish(number, error.take());
                }
            }
        }
    }

    /// One record of a commit has come to its end; the first error is the commit's.
    fn finish(&mut self, number: u64, error: Option<dray_kafka::Error>) {
        let Some(waiting) = self.waiting.get_mut(&number) else {
            return;
        };
        waiting.left -= 1;
        if let Some(error) = error {
            waiting.error.get_or_insert(failed("writing", &self.topic, error));
        }
        if waiting.left > 0 {
            return;
        }
        if let Some(Waiting { error, done, .. }) = self.waiting.remove(&number) {
            // A caller that went away in the meantime has nothing to be told.
            done.send(error.map_or(Ok(()), Err)).ok();
        }
    }
}
