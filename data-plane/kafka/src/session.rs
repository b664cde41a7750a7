//! The writer of an agent's session: one transactional producer through which the offsets of many tasks are committed. Whoever
//! fences its transactional id has fenced all of the session on that cluster.
//!
//! Many tasks' offsets go in one transaction, and there is at most one a second; only for a task that stops, which somebody waits for,
//! is there one at once. A transaction is opened only to be committed.

use crate::error::Error;
use crate::port::{Outcome, SessionRecord, TransactionalProducer};
use dray_model::Millis;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// From the beginning of one transaction to that of the next: a transaction costs its coordinator the same whether it has one
/// record or a thousand.
const PACE: Duration = Duration::from_secs(1);
/// After so long without a transaction one with a heartbeat alone is made, when that was asked for: so soon does a session that
/// hears from nobody find out that it was declared dead.
const KEEP_ALIVE: Duration = Duration::from_secs(2);
/// Commits that wait in the queue, more than an agent has tasks; whoever comes after them waits outside.
const QUEUE: usize = 1024;
/// Bytes of one transaction, beyond which commits wait for the next: some ten thousand offsets.
const MOST_BYTES: usize = 4 << 20;

/// Reads the clock that the agent's leases are counted on.
pub type Clock = Arc<dyn Fn() -> Millis + Send + Sync>;

/// What happened to the writer so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriterState {
    /// When the latest transaction that was committed began.
    pub committed: Option<Millis>,
    /// It is fenced: somebody has declared the session dead, or a transaction took longer than its time-out. For good.
    pub fenced: Option<String>,
    /// It cannot go on for another reason. For good.
    pub broken: Option<String>,
}

struct Request {
    records: Vec<SessionRecord>,
    /// Not only when the next transaction is due.
    at_once: bool,
    done: oneshot::Sender<Outcome>,
}

/// Transactions by number, counted up.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    begun: u64,
    ended: u64,
}

/// Hands commits to the task that owns the producer; dropping it ends that task.
#[derive(Debug)]
pub struct SessionWriter {
    transactional_id: String,
    requests: mpsc::Sender<Request>,
    keep_alive: watch::Sender<Option<Arc<str>>>,
    state: watch::Receiver<WriterState>,
    progress: watch::Receiver<Progress>,
    _task: JoinSet<()>,
}

impl SessionWriter {
    /// Takes a producer over. Needs a tokio runtime.
    #[must_use]
    pub fn start(producer: Box<dyn TransactionalProducer>, transactional_id: &str, clock: Clock) -> Self {
        let (requests, receiver) = mpsc::channel(QUEUE);
        let keep_alive = watch::Sender::new(None);
        let (states, state) = watch::channel(WriterState::default());
        let (counts, progress) = watch::channel(Progress::default());
        let work = Work {
            producer,
            clock,
            heartbeat: heartbeat_key(transactional_id),
            requests: receiver,
            keep_alive: keep_alive.subscribe(),
            states,
            counts,
            last: None,
        };
        let mut task = JoinSet::new();
        task.spawn(work.run());
        Self {
            transactional_id: transactional_id.to_owned(),
            requests,
            keep_alive,
            state,
            progress,
            _task: task,
        }
    }

    /// Its transactional id.
    #[must_use]
    pub fn transactional_id(&self) -> &str {
        &self.transactional_id
    }

    /// Commits these records, all or none, in the next transaction; waits until that has come to its end. Dropping the future
    /// before the transaction begins commits nothing; see [`settled`](Self::settled) for afterwards.
    pub async fn commit(&self, records: Vec<SessionRecord>) -> Outcome {
        self.request(records, false).await
    }

    /// The same for a task that somebody waits for: with all that waits for the next transaction, as soon as the one that is under way
    /// is over. No records at all only hurry the others.
    pub async fn commit_at_once(&self, records: Vec<SessionRecord>) -> Outcome {
        self.request(records, true).await
    }

    async fn request(&self, records: Vec<SessionRecord>, at_once: bool) -> Outcome {
        let (done, outcome) = oneshot::channel();
        let request = Request { records, at_once, done };
        if self.requests.send(request).await.is_err() {
            return Outcome::Unknown(self.ended());
        }
        outcome.await.unwrap_or_else(|_| Outcome::Unknown(self.ended()))
    }

    /// While a topic is given, a heartbeat is committed to it whenever nothing else was for two seconds: a tombstone under a key
    /// that is no connector's, which Kafka Connect's readers of an offsets topic pass over, and which compaction removes.
    pub fn keep_alive(&self, topic: Option<Arc<str>>) {
        self.keep_alive.send_if_modified(|current| {
            let changed = *current != topic;
            *current = topic;
            changed
        });
    }

    /// What happens to it.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<WriterState> {
        self.state.clone()
    }

    /// Waits until every transaction that has begun is over. Nothing of a commit whose future was dropped before this call lands
    /// after it returns: only then is a task that was aborted without effect.
    pub async fn settled(&self) {
        let mut progress = self.progress.clone();
        let begun = progress.borrow_and_update().begun;
        // An error means that the writer has ended, which it does only when it is dropped.
        progress.wait_for(|progress| progress.ended >= begun).await.ok();
    }

    fn ended(&self) -> Error {
        Error {
            what: format!("committing as `{}`", self.transactional_id),
            code: "CLOSED".to_owned(),
            message: "the writer has ended".to_owned(),
            class: crate::Class::Fatal,
        }
    }
}

/// In the form of an offset's key, of a connector that cannot be: Connect logs a warning for a key of any other form.
fn heartbeat_key(transactional_id: &str) -> Vec<u8> {
    let name = transactional_id.replace('\\', "\\\\").replace('"', "\\\"");
    format!("[\"{name}\",{{\"dray\":\"heartbeat\"}}]").into_bytes()
}

struct Work {
    producer: Box<dyn TransactionalProducer>,
    clock: Clock,
    heartbeat: Vec<u8>,
    requests: mpsc::Receiver<Request>,
    keep_alive: watch::Receiver<Option<Arc<str>>>,
    states: watch::Sender<WriterState>,
    counts: watch::Sender<Progress>,
    /// When the latest transaction began.
    last: Option<Instant>,
}

impl Work {
    async fn run(mut self) {
        while let Some(batch) = self.next().await {
            // Before looking who is still there: see `settled`.
            self.counts.send_modify(|progress| progress.begun += 1);
            let end = self.transact(batch).await;
            self.counts.send_modify(|progress| progress.ended = progress.begun);
            if let Some(end) = end {
                return self.refuse(&end).await;
            }
        }
    }

    /// The requests of the next transaction; none at all for a heartbeat. `None`: nobody is left who could ask.
    async fn next(&mut self) -> Option<Vec<Request>> {
        let mut batch = Vec::new();
        loop {
            let wanted = self.keep_alive.borrow_and_update().is_some();
            let beat = self.last.unwrap_or_else(Instant::now) + KEEP_ALIVE;
            tokio::select! {
                biased;
                request = self.requests.recv() => {
                    batch.push(request?);
                    break;
                }
                () = tokio::time::sleep_until(beat), if wanted => return Some(batch),
                Ok(()) = self.keep_alive.changed() => {
                    // From now on, and not from long ago.
                    self.last.get_or_insert_with(Instant::now);
                }
            }
        }
        let pace = self.last.map_or_else(Instant::now, |last| last + PACE);
        let due = |request: &Request| if request.at_once { Instant::now() } else { pace };
        let mut at = batch.iter().map(due).min().unwrap_or(pace);
        let mut bytes = batch.iter().map(size).sum::<usize>();
        while bytes < MOST_BYTES {
            tokio::select! {
                biased;
                Some(request) = self.requests.recv() => {
                    bytes += size(&request);
                    at = at.min(due(&request));
                    batch.push(request);
                }
                () = tokio::time::sleep_until(at) => break,
            }
        }
        tokio::time::sleep_until(at).await;
        Some(batch)
    }

    /// Makes a transaction; what it returns is the end of the writer. A caller that has gone away is not served: its task may
    /// have another owner by now.
    async fn transact(&mut self, mut batch: Vec<Request>) -> Option<Outcome> {
        let heartbeat = batch.is_empty();
        batch.retain(|request| !request.done.is_closed());
        let records = if heartbeat {
            let topic = self.keep_alive.borrow().clone()?;
            vec![SessionRecord {
                topic,
                key: self.heartbeat.clone(),
                value: None,
            }]
        } else {
            batch
                .iter()
                .flat_map(|request| request.records.iter().cloned())
                .collect()
        };
        let outcome = self.commit(records).await;
        // A record that can never be sent must not keep the offsets of others back.
        if let Outcome::Aborted(error) = &outcome
            && !error.is_retriable()
            && batch.len() > 1
        {
            let mut end = None;
            for request in batch {
                let outcome = match &end {
                    None => self.commit(request.records).await,
                    Some(end) => Outcome::clone(end),
                };
                end = is_end(&outcome).then(|| outcome.clone());
                // Who has gone away needs no answer, here and below.
                request.done.send(outcome).ok();
            }
            return end;
        }
        for request in batch {
            request.done.send(outcome.clone()).ok();
        }
        is_end(&outcome).then_some(outcome)
    }

    async fn commit(&mut self, records: Vec<SessionRecord>) -> Outcome {
        if records.is_empty() {
            return Outcome::Committed;
        }
        self.last = Some(Instant::now());
        let begun = (self.clock)();
        let outcome = self.producer.commit(records).await;
        match &outcome {
            Outcome::Committed => self.states.send_modify(|state| state.committed = Some(begun)),
            Outcome::Aborted(error) => tracing::debug!(%error, "a transaction was aborted"),
            Outcome::Unknown(error) => self.states.send_modify(|state| state.broken = Some(error.to_string())),
            Outcome::Fenced(error) => self.states.send_modify(|state| state.fenced = Some(error.to_string())),
        }
        outcome
    }

    /// Answers everybody with the end that the writer came to.
    async fn refuse(&mut self, end: &Outcome) {
        while let Some(request) = self.requests.recv().await {
            request.done.send(end.clone()).ok();
        }
    }
}

fn is_end(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Committed | Outcome::Aborted(_) => false,
        Outcome::Unknown(_) | Outcome::Fenced(_) => true,
    }
}

fn size(request: &Request) -> usize {
    let records = request.records.iter();
    records
        .map(|record| record.key.len() + record.value.as_ref().map_or(0, Vec::len))
        .sum()
}

#[cfg(test)]
mod tests;
