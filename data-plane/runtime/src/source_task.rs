//! One source task: poll, encode, produce, and commit what is durable. How whole batches go is in `whole`, what becomes of what Kafka
//! refuses in `refused`.

mod refused;
mod whole;

use self::refused::Refusals;
use self::whole::Within;
use crate::active_topics::TaskTopics;
use crate::config::Oversize;
use crate::dead_letter::SourceLetters;
use crate::encode::{Converters, End, Failing, Passed, Progress, encode};
use crate::gate::TaskGate;
use crate::guard::{guarded, guarded_within, is_half_way, trace};
use crate::ledger::{Ledger, Sequence};
use crate::offsets::{ConnectorOffsets, OffsetEntry, OffsetStore};
use crate::policy::{ErrorPolicy, Failure, Stage};
use crate::status::TaskSelf;
use crate::topics::TopicCreator;
use crate::transform::transform_source;
use dray_connect::connector::SourceTask;
use dray_connect::context::{Loan, SourceTaskContext};
use dray_connect::offset::{SourceOffset, SourcePartition};
use dray_connect::source_batch::SourceBatch;
use dray_connect::{ConfigMap, Error, Result};
use dray_kafka::port::{Ack, ProduceRecord, ProducerLane};
use dray_model::{TargetState, TaskState};
use dray_transforms::Chain;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

/// Everything that a source task is made of.
pub struct SourceParts {
    /// Its id, generation and status board.
    pub me: TaskSelf,
    /// Connector code.
    pub task: Box<dyn SourceTask>,
    /// Its configuration.
    pub config: ConfigMap,
    /// Its share of a producer.
    pub lane: Box<dyn ProducerLane>,
    /// Its converters.
    pub converters: Converters,
    /// Its transforms.
    pub chain: Chain,
    /// What happens to bad records.
    pub policy: ErrorPolicy,
    /// Where bad records go, if anywhere.
    pub letters: Option<SourceLetters>,
    /// What happens to records that are too large.
    pub oversize: Oversize,
    /// Creates topics, where the configuration asks for it.
    pub topics: TopicCreator,
    /// Notes which topics it uses.
    pub active: TaskTopics,
    /// Where offsets are stored.
    pub offsets: Arc<dyn OffsetStore>,
    /// What is lent to the connector's code.
    pub loan: Option<Loan>,
    /// Stands in front of every effect.
    pub gate: TaskGate,
    /// Time between two commits.
    pub commit_interval: Duration,
    /// How long a stop waits for records in flight and for the last commit.
    pub flush_timeout: Duration,
    /// What the user wants of the task.
    pub target: watch::Receiver<TargetState>,
    /// Cancelled when the task is to end.
    pub stop: CancellationToken,
}

type Committed = (Vec<(SourcePartition, SourceOffset)>, Result<()>);

/// Whether to go on.
#[derive(PartialEq, Eq)]
enum Flow {
    Continue,
    Stop,
}

struct Runner {
    parts: SourceParts,
    ledger: Ledger,
    acks: Vec<Ack>,
    within: Within,
    refusals: Refusals,
    scratch: Vec<u8>,
    /// At most one commit at a time (KAFKA-5756: overlapping flushes).
    commits: JoinSet<Committed>,
    next_commit: tokio::time::Interval,
    /// Connector code was left in the middle of a call: only its `stop` may be called.
    half_way: bool,
}

/// Runs the task until it is stopped or fails; its status is on the board, its resources are closed afterwards.
///
/// # Errors
/// When it failed, which is not on the board.
pub async fn run(mut parts: SourceParts) -> Result<()> {
    let me = parts.me.clone();
    let refusals = Refusals::new(parts.letters.take().map(Arc::new), parts.oversize);
    let mut next_commit = tokio::time::interval_at(Instant::now() + parts.commit_interval, parts.commit_interval);
    next_commit.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut runner = Runner {
        parts,
        ledger: Ledger::new(),
        acks: Vec::new(),
        within: Within::default(),
        refusals,
        scratch: Vec::new(),
        commits: JoinSet::new(),
        next_commit,
        half_way: false,
    };
    let result = runner.work().await;
    runner.half_way |= result.as_ref().is_err_and(is_half_way);
    let stop_requested = runner.parts.stop.is_cancelled();
    runner.finish().await;
    match result {
        Ok(()) => me.report(TaskState::Unassigned, None),
        Err(Error::Cancelled) if stop_requested => me.report(TaskState::Unassigned, None),
        // A stop that was asked for never becomes a failure; its error is kept beside the status.
        Err(error) if stop_requested => {
            tracing::warn!(error = %trace(&error), "task failed while stopping");
            me.report(TaskState::Unassigned, Some(trace(&error)));
        }
        // Whoever supervises the task shows what becomes of it.
        Err(error) => return Err(error),
    }
    Ok(())
}

impl Runner {
    async fn work(&mut self) -> Result<()> {
        let me = self.parts.me.clone();
        let offsets = ConnectorOffsets::new(self.parts.offsets.clone(), me.id.connector.as_str());
        let context = SourceTaskContext::new(Arc::new(offsets))
            .allowing(self.short_cuts())
            .lending(self.parts.loan.clone());
        let stop = self.parts.stop.clone();
        if let Some(letters) = &self.refusals.letters {
            tokio::select! {
                prepared = letters.prepare() => prepared?,
                () = stop.cancelled() => return Ok(()),
            }
        }
        tokio::select! {
            started = guarded("start", self.parts.task.start(context, &self.parts.config)) => started?,
            () = stop.cancelled() => return Ok(()),
        }
        me.report(TaskState::Running, None);
        tracing::info!("task is running");
        let mut batch = SourceBatch::new();
        while self.fill(&mut batch).await? == Flow::Continue {
            if self.send(&mut batch).await? == Flow::Stop {
                break;
            }
            batch.clear();
            // A connector that always has something never waits, and others of the crew want their turn.
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// Polls until there are records. An empty batch after this means: the task is to stop.
    async fn fill(&mut self, batch: &mut SourceBatch) -> Result<Flow> {
        enum Event {
            Polled(Result<()>),
            Other(Other),
        }
        let mut took = Duration::ZERO;
        while batch.is_empty() {
            if self.wait_while_paused().await? == Flow::Stop {
                return Ok(Flow::Stop);
            }
            let begin = self.parts.gate.to_begin();
            if self.parts.stop.run_until_cancelled(begin).await.is_none() {
                return Ok(Flow::Stop);
            }
            self.produce_instead()?;
            let (instead, committable) = (self.refusals.has_instead(), self.ledger.is_committable());
            let Self {
                parts,
                acks,
                commits,
                next_commit,
                ..
            } = self;
            let SourceParts {
                task,
                lane,
                stop,
                target,
                ..
            } = parts;
            let begun = Instant::now();
            let event = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(Flow::Stop),
                other = other(lane.as_mut(), acks, commits, (next_commit, committable), instead) => Event::Other(other),
                // A changed target is looked at in the next round; a closed one means that nobody pauses us any more.
                Ok(()) = target.changed() => continue,
                polled = guarded("poll", task.poll(batch)) => Event::Polled(polled),
            };
            // A poll that something else came before goes on in the next round.
            took += begun.elapsed();
            match event {
                Event::Polled(Ok(())) if batch.is_empty() => took = Duration::ZERO,
                Event::Polled(Ok(())) => self.parts.me.metrics.polled(batch.count(), took),
                Event::Polled(Err(Error::Retriable { message, .. })) => {
                    tracing::warn!(error = message, "poll failed and is tried again");
                    let wait = self.parts.policy.delay(1);
                    if self
                        .parts
                        .stop
                        .run_until_cancelled(tokio::time::sleep(wait))
                        .await
                        .is_none()
                    {
                        return Ok(Flow::Stop);
                    }
                }
                Event::Polled(Err(error)) => return Err(error),
                Event::Other(event) => self.on_other(event).await?,
            }
        }
        Ok(Flow::Continue)
    }

    async fn wait_while_paused(&mut self) -> Result<Flow> {
        if *self.parts.target.borrow_and_update() != TargetState::Paused {
            return Ok(Flow::Continue);
        }
        self.parts.me.report(TaskState::Paused, None);
        while *self.parts.target.borrow_and_update() == TargetState::Paused {
            let (instead, committable) = (self.refusals.has_instead(), self.ledger.is_committable());
            let Self {
                parts,
                acks,
                commits,
                next_commit,
                ..
            } = self;
            let SourceParts { lane, stop, target, .. } = parts;
            let event = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(Flow::Stop),
                changed = target.changed() => {
                    if changed.is_err() { return Ok(Flow::Stop); }
                    continue
                }
                other = other(lane.as_mut(), acks, commits, (next_commit, committable), instead) => other,
            };
            self.on_other(event).await?;
        }
        self.parts.policy.resumed();
        self.parts.me.report(TaskState::Running, None);
        Ok(Flow::Continue)
    }

    /// Transforms, encodes and produces a batch. Back-pressure: while the lane is full, nothing is polled. What comes before
    /// a record that fails is sent all the same, as by Connect: after a restart the task is at that record again.
    async fn send(&mut self, batch: &mut SourceBatch) -> Result<Flow> {
        let me = self.parts.me.clone();
        let policy = self.parts.policy.clone();
        let mut report = |failure: &Failure| log_failure(&me, &policy, failure.stage, &failure.error);
        policy.saw(batch.count());
        let (mut refused, letters) = (Vec::new(), self.refusals.letters.clone());
        let chain = &mut self.parts.chain;
        let transformed = transform_source(batch, chain, &policy, &mut refused, &mut report, &self.parts.stop).await;
        let batch: &SourceBatch = batch;
        let first = batch.records().first().and_then(|record| record.timestamp);
        self.parts.topics.ensure(batch, &self.parts.stop).await?;
        let mut progress = Progress::default();
        loop {
            let before = progress.done;
            let mut scratch = std::mem::take(&mut self.scratch);
            let mut failing = Failing {
                policy: &policy,
                refused: &refused,
                letters: letters.as_deref(),
                report: &mut report,
            };
            let (converters, ledger) = (&mut self.parts.converters, &mut self.ledger);
            let mut encoded = encode(batch, &mut progress, converters, ledger, &mut failing, &mut scratch);
            let end = std::mem::replace(&mut encoded.end, End::Whole);
            let passed = std::mem::take(&mut encoded.passed);
            let flow = {
                let headers = encoded.headers(&scratch);
                let records = encoded.into_records(&scratch, &headers);
                let within: usize = passed.iter().map(|passed| passed.batch.count).sum();
                let without = progress.done - before - records.len() - passed.len();
                me.metrics.sent(records.len() + within, first, without);
                self.produce(batch, &records, &passed).await?
            };
            self.scratch = scratch;
            match end {
                End::Failed(error) => return Err(error),
                End::Whole => return transformed.map(|()| flow),
                End::Again(when) => {
                    let when = tokio::time::sleep_until(when);
                    if flow == Flow::Stop || self.wait_for(when).await? == Flow::Stop {
                        return Ok(Flow::Stop);
                    }
                }
                End::Lacks(lookup) => {
                    if flow == Flow::Stop || self.wait_for(lookup).await? == Flow::Stop {
                        return Ok(Flow::Stop);
                    }
                }
            }
        }
    }

    /// Hands records and whole batches to the producer in their order, as it takes them.
    async fn produce(
        &mut self,
        batch: &SourceBatch,
        records: &[ProduceRecord<'_>],
        passed: &[Passed<'_>],
    ) -> Result<Flow> {
        let mut at = 0;
        for passed in passed {
            let before = &records[at..passed.after];
            if self.produce_records(batch, before).await? == Flow::Stop || self.pass(passed).await? == Flow::Stop {
                return Ok(Flow::Stop);
            }
            at = passed.after;
        }
        let flow = self.produce_records(batch, &records[at..]).await?;
        self.parts.lane.try_acks(&mut self.acks);
        self.on_acks()?;
        Ok(flow)
    }

    async fn produce_records(&mut self, batch: &SourceBatch, records: &[ProduceRecord<'_>]) -> Result<Flow> {
        let me = self.parts.me.clone();
        let one = batch.backing().topics() == 1;
        let (mut sent, mut flow) = (0, Flow::Continue);
        while sent < records.len() {
            let allowed = self.parts.gate.to_finish();
            if self.parts.stop.run_until_cancelled(allowed).await.is_none() {
                flow = Flow::Stop;
                break;
            }
            match self.parts.lane.produce(&records[sent..]) {
                Ok(taken) => {
                    self.parts.active.sent(&records[sent..sent + taken], one);
                    self.refusals.keep(&records[sent..sent + taken]);
                    sent += taken;
                }
                Err(refused) => {
                    let after = sent + refused.taken + 1;
                    self.refusals.keep(&records[sent..after]);
                    sent = after;
                    let sequence = Sequence::from_u64(records[sent - 1].sequence);
                    if !self.on_unproducible(sequence, refused.error)? {
                        me.metrics.acknowledged(0, 1);
                    }
                    self.produce_instead()?;
                }
            }
            if sent < records.len() && self.wait_for_room().await? == Flow::Stop {
                flow = Flow::Stop;
                break;
            }
        }
        Ok(flow)
    }

    /// Until a record is converted again: acknowledgements and commits go on meanwhile.
    async fn wait_for(&mut self, ready: impl Future<Output = ()>) -> Result<Flow> {
        tokio::pin!(ready);
        loop {
            let beside = other(
                self.parts.lane.as_mut(),
                &mut self.acks,
                &mut self.commits,
                (&mut self.next_commit, self.ledger.is_committable()),
                self.refusals.has_instead(),
            );
            let event = tokio::select! {
                biased;
                () = self.parts.stop.cancelled() => return Ok(Flow::Stop),
                () = &mut ready => return Ok(Flow::Continue),
                other = beside => other,
            };
            self.on_other(event).await?;
        }
    }

    async fn wait_for_room(&mut self) -> Result<Flow> {
        self.parts.lane.try_acks(&mut self.acks);
        self.on_acks()?;
        tokio::select! {
            biased;
            () = self.parts.stop.cancelled() => return Ok(Flow::Stop),
            () = self.parts.lane.ready() => {}
            _ = self.next_commit.tick(), if self.ledger.is_committable() => self.begin_commit(false),
            Some(done) = self.commits.join_next() => self.on_committed(done).await?,
        }
        Ok(Flow::Continue)
    }

    async fn on_other(&mut self, event: Other) -> Result<()> {
        match event {
            Other::Acks => self.on_acks(),
            Other::Instead => self.produce_instead(),
            Other::CommitTime => {
                self.begin_commit(false);
                Ok(())
            }
            Other::Committed(done) => self.on_committed(done).await,
        }
    }

    fn on_acks(&mut self) -> Result<()> {
        let mut acks = std::mem::take(&mut self.acks);
        if acks.is_empty() {
            return Ok(());
        }
        self.parts.active.acknowledged(&acks);
        let (durable, otherwise) = self.within.ended(&acks);
        let (mut instead, mut ended) = (0, Ok(()));
        for ack in acks.drain(..) {
            let sequence = Sequence::from_u64(ack.sequence);
            match ack.outcome {
                Ok(_) => {
                    self.refusals.stored(&ack);
                    self.ledger.finish(sequence, ack.count);
                }
                Err(error) => match self.on_unproducible(sequence, *error) {
                    Ok(goes_on) => instead += usize::from(goes_on),
                    Err(error) => {
                        ended = Err(error);
                        break;
                    }
                },
            }
        }
        self.parts.me.metrics.acknowledged(durable, otherwise - instead);
        self.acks = acks; // for its allocation
        ended?;
        self.produce_instead()
    }

    /// Starts a commit of all that became committable, unless one is running.
    fn begin_commit(&mut self, at_once: bool) {
        if !self.commits.is_empty() || !self.parts.gate.is_open() {
            return;
        }
        let offsets = self.ledger.take_committable();
        if offsets.is_empty() {
            return;
        }
        let me = &self.parts.me;
        let entry = |(partition, offset): &(SourcePartition, SourceOffset)| OffsetEntry {
            task: me.id.clone(),
            generation: me.generation,
            partition: partition.clone(),
            offset: Some(offset.to_map()),
        };
        let entries: Vec<OffsetEntry> = offsets.iter().map(entry).collect();
        let (store, metrics) = (self.parts.offsets.clone(), me.metrics.clone());
        self.commits.spawn(async move {
            let begun = Instant::now();
            let result = if at_once {
                store.commit_at_once(entries).await
            } else {
                store.commit(entries).await
            };
            metrics.committed(begun.elapsed(), result.is_ok());
            (offsets, result)
        });
    }

    async fn on_committed(&mut self, done: Result<Committed, tokio::task::JoinError>) -> Result<()> {
        let (offsets, result) =
            done.map_err(|error| Error::connect(format!("the offset commit ended early: {error}")))?;
        match result {
            Ok(()) if self.half_way => {}
            Ok(()) => {
                tracing::debug!(partitions = offsets.len(), "offsets are committed");
                let maps: Vec<_> = offsets
                    .into_iter()
                    .map(|(key, offset)| (key, offset.to_map()))
                    .collect();
                let told = self.parts.task.committed(&maps);
                if let Err(error) = guarded_within("committed", self.parts.flush_timeout, told).await {
                    if is_half_way(&error) {
                        return Err(error);
                    }
                    tracing::warn!(error = %trace(&error), "committed() failed");
                }
            }
            Err(error) => {
                tracing::warn!(error = %trace(&error), "offsets could not be committed; tried again");
                self.ledger.give_back(offsets);
            }
        }
        Ok(())
    }

    /// Waits for what is in flight, commits, closes the connector's task. Bounded by the flush time-out; a hanging
    /// `stop` is ended by whoever stops the task.
    async fn finish(&mut self) {
        if tokio::time::timeout(self.parts.flush_timeout, self.drain())
            .await
            .is_err()
        {
            tracing::warn!(
                in_flight = self.parts.lane.in_flight(),
                "stopping without the acknowledgement of all records; they may be sent again"
            );
        }
        if let Err(error) = guarded("stop", self.parts.task.stop()).await {
            tracing::warn!(error = %trace(&error), "stop() failed");
        }
    }

    async fn drain(&mut self) {
        while self.parts.lane.in_flight() > 0 {
            self.parts.lane.acks(&mut self.acks).await;
            let (durable, _) = self.within.ended(&self.acks);
            self.parts.me.metrics.acknowledged(durable, 0);
            for ack in self.acks.drain(..) {
                // A record that failed stays unfinished, so its offset is not committed.
                if ack.outcome.is_ok() {
                    self.ledger.finish(Sequence::from_u64(ack.sequence), ack.count);
                }
            }
        }
        if !self.commits.is_empty() {
            // It began before the stop and waits for its turn. It says itself what became of it.
            self.parts.offsets.commit_at_once(Vec::new()).await.ok();
        }
        loop {
            self.begin_commit(true);
            let Some(done) = self.commits.join_next().await else {
                break;
            };
            if let Err(error) = self.on_committed(done).await {
                tracing::warn!(error = %trace(&error), "last commit failed");
                break;
            }
        }
    }
}

/// What can happen beside the connector's own work.
enum Other {
    Acks,
    /// The lane may take by now what it did not take in place of refused records.
    Instead,
    CommitTime,
    Committed(Result<Committed, tokio::task::JoinError>),
}

/// How soon the lane is asked again for what it did not take: its room and its acknowledgements cannot both be waited for.
const INSTEAD: Duration = Duration::from_millis(20);

/// A task that has nothing to commit is not woken up for it: thousands of idle ones cost nothing.
async fn other(
    lane: &mut dyn ProducerLane,
    acks: &mut Vec<Ack>,
    commits: &mut JoinSet<Committed>,
    (next_commit, committable): (&mut tokio::time::Interval, bool),
    instead: bool,
) -> Other {
    tokio::select! {
        () = lane.acks(acks) => Other::Acks,
        () = tokio::time::sleep(INSTEAD), if instead => Other::Instead,
        _ = next_commit.tick(), if committable => Other::CommitTime,
        Some(done) = commits.join_next() => Other::Committed(done),
    }
}

fn log_failure(me: &TaskSelf, policy: &ErrorPolicy, stage: Stage, error: &Error) {
    if policy.log {
        policy.failures.logged();
        tracing::error!(stage = stage.name(), error = %trace(error),
            "Error encountered in task {}", me.id);
    }
}
