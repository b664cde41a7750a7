//! One sink task: fetch, convert, put, and commit what the sink says is durable.

mod bisect;
mod errant;
mod offsets;

use crate::active_topics::TaskTopics;
use crate::breaker::because;
use crate::dead_letter::{DeadLetters, Letter};
use crate::decode::decode;
use crate::encode::Converters;
use crate::gate::TaskGate;
use crate::guard::{guarded, guarded_within, trace};
use crate::policy::{ErrorPolicy, Failure};
use crate::rejoin::MayRejoin;
use crate::status::TaskSelf;
use crate::topic_pattern::{PATTERN_INTERVAL, TopicPattern};
use dray_connect::connector::{SinkOffsets, SinkTask};
use dray_connect::context::SinkTaskContext;
use dray_connect::sink_batch::{SinkBatch, TopicPartition};
use dray_connect::{ConfigMap, Error, Result};
use dray_kafka::port::{Consumer, ConsumerEvent, FetchBatch, FetchedRecord};
use dray_model::{TargetState, TaskState};
use dray_transforms::Chain;
use errant::log_failure;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

/// Everything that a sink task is made of.
pub struct SinkParts {
    /// Its id, generation and status board.
    pub me: TaskSelf,
    /// Connector code.
    pub task: Box<dyn SinkTask>,
    /// Its configuration.
    pub config: ConfigMap,
    /// Its group member.
    pub consumer: Box<dyn Consumer>,
    /// Its converters.
    pub converters: Converters,
    /// Its transforms.
    pub chain: Chain,
    /// What happens to bad records.
    pub policy: ErrorPolicy,
    /// Where bad records go, if anywhere.
    pub dead_letters: Option<DeadLetters>,
    /// For `topics.regex`: matched by us and subscribed as a list, because librdkafka's patterns are not Java's.
    pub pattern: Option<TopicPattern>,
    /// Notes which topics it uses.
    pub active: TaskTopics,
    /// Stands in front of every effect.
    pub gate: TaskGate,
    /// Asked before it joins its group again, when it was thrown out; without it joins by itself.
    pub may_rejoin: Option<MayRejoin>,
    /// Time between two commits.
    pub commit_interval: Duration,
    /// How long the last flush and commit may take.
    pub flush_timeout: Duration,
    /// What the user wants of the task.
    pub target: watch::Receiver<TargetState>,
    /// Cancelled when the task is to end.
    pub stop: CancellationToken,
}

/// Records that are converted but that the sink has not taken.
struct Pending {
    fetch: FetchBatch,
    batch: SinkBatch,
    attempt: u32,
    not_before: Instant,
}

struct Runner {
    task: Box<dyn SinkTask>,
    consumer: Box<dyn Consumer>,
    converters: Converters,
    chain: Chain,
    dead_letters: Option<DeadLetters>,
    pattern: Option<TopicPattern>,
    active: TaskTopics,
    policy: ErrorPolicy,
    gate: TaskGate,
    may_rejoin: Option<MayRejoin>,
    /// The answer that it waits for, while it is out of its group.
    asking: JoinSet<bool>,
    me: TaskSelf,
    context: SinkTaskContext,
    /// Next offset after what the sink has taken, for each assigned partition that it has taken something of.
    taken: SinkOffsets,
    /// Whether anything of that may not be committed yet, or it is not known how far the partitions go: without either an idle task has
    /// nothing to do when it is time to commit, and is not woken up.
    unsettled: bool,
    /// What the group knows.
    committed: BTreeMap<TopicPartition, Option<i64>>,
    pending: Option<Pending>,
    /// What the sink has taken last, empty: the memory of a batch is new to the process each time otherwise, and touching it
    /// costs more than filling it. The next commit lets it go, so that an idle task keeps nothing.
    spare: SinkBatch,
    /// Fetched before the pause for a redelivery took effect; bounded by the consumer's prefetch.
    backlog: VecDeque<FetchBatch>,
    paused: bool,
    stop: CancellationToken,
}

/// How long `open` may take: as long as a Java member may be away from its group (`max.poll.interval.ms`), which counts it out then.
const OPEN_TIMEOUT: Duration = Duration::from_secs(300);

enum Event {
    Pattern,
    Consumer(ConsumerEvent),
    CommitTime,
    Redeliver,
    Target,
    MayRejoin(bool),
    Stop,
}

/// Runs the task until it is stopped or fails; its status is on the board, its resources are closed afterwards.
///
/// # Errors
/// When it failed, which is not on the board.
pub async fn run(parts: SinkParts) -> Result<()> {
    let SinkParts {
        me,
        task,
        config,
        consumer,
        converters,
        chain,
        policy,
        dead_letters,
        pattern,
        active,
        gate,
        may_rejoin,
        ..
    } = parts;
    let context = SinkTaskContext::new(dead_letters.is_some() || policy.log);
    let mut runner = Runner {
        task,
        consumer,
        converters,
        chain,
        dead_letters,
        pattern,
        active,
        policy,
        gate,
        may_rejoin,
        asking: JoinSet::new(),
        me: me.clone(),
        context,
        taken: SinkOffsets::new(),
        unsettled: false,
        committed: BTreeMap::new(),
        pending: None,
        spare: SinkBatch::default(),
        backlog: VecDeque::new(),
        paused: false,
        stop: parts.stop.clone(),
    };
    let result = match runner
        .work(&config, parts.commit_interval, parts.target, &parts.stop)
        .await
    {
        Err(Error::Cancelled) if parts.stop.is_cancelled() => Ok(()),
        result => result,
    };
    let failed = result.is_err();
    if tokio::time::timeout(parts.flush_timeout, runner.close_all(failed))
        .await
        .is_err()
    {
        tracing::warn!("the last flush took too long; records since the last commit come again");
    }
    if let Err(error) = guarded("stop", runner.task.stop()).await {
        tracing::warn!(error = %trace(&error), "stop() failed");
    }
    runner.consumer.close().await;
    match result {
        Ok(()) => me.report(TaskState::Unassigned, None),
        Err(error) if parts.stop.is_cancelled() => me.report(TaskState::Unassigned, Some(trace(&error))),
        // Whoever supervises the task shows what becomes of it.
        Err(error) => return Err(error),
    }
    Ok(())
}

impl Runner {
    async fn work(
        &mut self,
        config: &ConfigMap,
        commit_interval: Duration,
        mut target: watch::Receiver<TargetState>,
        stop: &CancellationToken,
    ) -> Result<()> {
        if self.may_rejoin.is_some() {
            self.consumer.leave_when_lost();
        }
        let context = self.context.clone();
        if let Some(queue) = &mut self.dead_letters {
            tokio::select! {
                prepared = queue.prepare() => prepared?,
                () = stop.cancelled() => return Ok(()),
            }
        }
        tokio::select! {
            started = guarded("start", self.task.start(context, config)) => started?,
            () = stop.cancelled() => return Ok(()),
        }
        self.me.report(TaskState::Running, None);
        tracing::info!("task is running");
        let mut commit_time = tokio::time::interval_at(Instant::now() + commit_interval, commit_interval);
        commit_time.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut match_topics = tokio::time::interval(PATTERN_INTERVAL);
        match_topics.set_missed_tick_behavior(MissedTickBehavior::Delay);
        target.mark_changed(); // so that an initial PAUSED is seen
        loop {
            // While it takes nothing, how far it is behind is counted all the same.
            let behind = self.paused || self.pending.is_some() || !self.backlog.is_empty();
            let commits = self.unsettled || behind;
            let redeliver_at = self.pending.as_ref().map(|pending| pending.not_before);
            let event = tokio::select! {
                biased;
                () = stop.cancelled() => Event::Stop,
                Ok(()) = target.changed() => Event::Target,
                _ = commit_time.tick(), if commits => Event::CommitTime,
                _ = match_topics.tick(), if self.pattern.is_some() => Event::Pattern,
                () = async { tokio::time::sleep_until(redeliver_at.unwrap_or_else(Instant::now)).await },
                    if redeliver_at.is_some() && !self.paused => Event::Redeliver,
                Some(answer) = self.asking.join_next() => Event::MayRejoin(answer.unwrap_or(false)),
                event = self.consumer.event() => Event::Consumer(event),
            };
            match event {
                Event::Stop => return Ok(()),
                Event::Target => {
                    let wanted = *target.borrow_and_update();
                    self.set_paused(wanted == TargetState::Paused).await?;
                }
                Event::CommitTime => {
                    self.commit(None).await?;
                    self.unsettled = !self.is_settled();
                }
                Event::Pattern => self.match_topics().await?,
                Event::Redeliver => self.put_pending().await?,
                Event::MayRejoin(may) => self.rejoin(may).await?,
                Event::Consumer(event) => self.on_consumer(event).await?,
            }
            self.take_backlog().await?;
            self.serve_requests().await?;
            // While there are records it never waits, and others of the crew want their turn.
            tokio::task::yield_now().await;
        }
    }

    async fn match_topics(&mut self) -> Result<()> {
        let Some(pattern) = &mut self.pattern else {
            return Ok(());
        };
        match pattern.matching().await {
            Ok(None) => {}
            Ok(Some(topics)) => {
                tracing::info!(topics = topics.len(), "subscribed to matching topics");
                self.consumer.subscribe(&topics).await.map_err(kafka)?;
                pattern.subscribed(topics);
            }
            Err(error) => {
                tracing::warn!(error = %error, "topics could not be listed");
            }
        }
        Ok(())
    }

    async fn on_consumer(&mut self, event: ConsumerEvent) -> Result<()> {
        match event {
            ConsumerEvent::Records(fetch) => {
                self.me.metrics.read(fetch.records.len());
                self.backlog.push_back(fetch);
                Ok(())
            }
            ConsumerEvent::Assigned(partitions) => self.on_assigned(partitions).await,
            ConsumerEvent::Revoked(partitions) => {
                let result = self.give_up(&partitions, true).await;
                self.consumer.revoked().await;
                result
            }
            ConsumerEvent::Lost(partitions) => {
                if let Some(may_rejoin) = &self.may_rejoin {
                    self.asking.spawn(may_rejoin.ask(&self.me.id, self.me.generation));
                }
                self.give_up(&partitions, false).await
            }
            ConsumerEvent::Error(error) if error.is_retriable() => {
                tracing::warn!(error = %error, "consumer goes on after an error");
                Ok(())
            }
            ConsumerEvent::Error(error) => {
                Err(Error::connect("Unrecoverable exception from the consumer").with_source(error))
            }
        }
    }

    async fn rejoin(&mut self, may: bool) -> Result<()> {
        if may {
            return self.consumer.rejoin().await.map_err(kafka);
        }
        // Whoever runs this task will hear it too, and stop it.
        tracing::warn!("lost its partitions, and another has the task now: stays out of the group");
        Ok(())
    }

    async fn on_assigned(&mut self, partitions: Vec<(TopicPartition, Option<i64>)>) -> Result<()> {
        let names: Vec<TopicPartition> = partitions.iter().map(|(partition, _)| partition.clone()).collect();
        tracing::info!(partitions = names.len(), "partitions assigned");
        self.committed.extend(partitions);
        self.unsettled = true;
        self.me.metrics.partitions(self.committed.len());
        self.context.set_assignment(self.committed.keys().cloned().collect());
        if self.paused || self.pending.is_some() {
            self.consumer.pause(&names).await.map_err(kafka)?;
        }
        if names.is_empty() {
            return Ok(());
        }
        let open = guarded_within("open", OPEN_TIMEOUT, self.task.open(&names));
        let opened = self.stop.run_until_cancelled(open).await;
        opened.unwrap_or(Err(Error::Cancelled))
    }

    /// Ends the ownership of partitions: commits what is safe of them unless they are lost already.
    async fn give_up(&mut self, partitions: &[TopicPartition], ours: bool) -> Result<()> {
        tracing::info!(partitions = partitions.len(), lost = !ours, "partitions revoked");
        let committed = if ours {
            self.commit(Some(partitions)).await
        } else {
            Ok(())
        };
        let closed = guarded("close", self.task.close(partitions)).await;
        for partition in partitions {
            self.committed.remove(partition);
            self.taken.remove(partition);
        }
        self.me.metrics.partitions(self.committed.len());
        self.count_uncommitted();
        let still = &self.committed;
        let owned = |topic: &Arc<str>, partition: i32| {
            still.contains_key(&TopicPartition {
                topic: topic.clone(),
                partition,
            })
        };
        if let Some(pending) = &mut self.pending {
            pending.batch.retain(|record| {
                let fetched = &pending.fetch.records[record.fetched()];
                owned(&pending.fetch.topics[fetched.topic as usize], fetched.partition)
            });
        }
        for fetch in &mut self.backlog {
            let topics = &fetch.topics;
            fetch
                .records
                .retain(|record| owned(&topics[record.topic as usize], record.partition));
        }
        self.context.set_assignment(self.committed.keys().cloned().collect());
        committed.and(closed)
    }

    async fn take_backlog(&mut self) -> Result<()> {
        while self.pending.is_none() && !self.paused {
            let Some(fetch) = self.backlog.pop_front() else { break };
            self.take(fetch).await?;
        }
        Ok(())
    }

    /// Converts a fetch and puts it.
    async fn take(&mut self, fetch: FetchBatch) -> Result<()> {
        self.active.received(&fetch.topics);
        let mut letters: Vec<Letter> = Vec::new();
        let mut refused: Option<Error> = None;
        let (policy, me) = (&self.policy, &self.me);
        let mut failed = |place, failure: Failure| {
            let letter = Letter { place, failure };
            log_failure(me, policy, &letter, &fetch);
            letters.push(letter);
            policy.tolerate()
        };
        policy.saw(fetch.records.len());
        let decoded = decode(
            &fetch,
            std::mem::take(&mut self.spare),
            &mut self.converters,
            &mut self.chain,
            policy,
            &mut failed,
            &self.stop,
        );
        let batch = match decoded.await {
            Ok(batch) => Some(batch),
            Err(Error::Cancelled) => return Err(Error::Cancelled), // all of the fetch comes again
            Err(error) => {
                refused = Some(error);
                None
            }
        };
        if let Some(queue) = &mut self.dead_letters {
            queue.send(&fetch, &letters).await?;
        }
        if let Some(error) = refused {
            return Err(match letters.pop() {
                Some(letter) => because(error, letter.failure.error),
                None => error,
            });
        }
        let batch = batch.expect("decode either fails or returns a batch");
        self.pending = Some(Pending {
            fetch,
            batch,
            attempt: 0,
            not_before: Instant::now(),
        });
        self.put_pending().await
    }

    async fn put_pending(&mut self) -> Result<()> {
        let Some(mut pending) = self.pending.take() else {
            return Ok(());
        };
        let allowed = self.gate.to_begin();
        if self.stop.run_until_cancelled(allowed).await.is_none() {
            return Err(Error::Cancelled); // its records come again
        }
        let (begun, whole) = (Instant::now(), pending.batch.len());
        let (mut put, mut bad) = (guarded("put", self.task.put(&pending.batch)).await, Vec::new());
        if let Err(refused) = put {
            put = match self.may_bisect(&pending.batch, &refused) {
                true => self.put_in_parts(&mut pending.batch, refused, &mut bad).await,
                false => Err(refused),
            };
        }
        match put {
            Ok(()) => {
                let (read, put) = (&pending.fetch.records, whole - bad.len());
                let first = read.first().and_then(|record| record.timestamp);
                self.me.metrics.put(read.len(), put, begun.elapsed(), first);
                let requests = self.context.take_requests();
                bad.extend(requests.errant);
                self.report_errant(&pending.fetch, bad).await?;
                self.rewind(requests.rewind).await?;
                // Records of a partition mostly stand together, so the maps are asked once for each such run.
                let same = |a: &FetchedRecord, b: &FetchedRecord| (a.topic, a.partition) == (b.topic, b.partition);
                for last in pending.fetch.records.chunk_by(same).filter_map(<[_]>::last) {
                    let partition = TopicPartition {
                        topic: pending.fetch.topics[last.topic as usize].clone(),
                        partition: last.partition,
                    };
                    if self.committed.contains_key(&partition) {
                        self.taken.insert(partition, last.offset + 1);
                        self.unsettled = true;
                    }
                }
                if pending.attempt > 0 {
                    self.me.report(TaskState::Running, None);
                    self.resume_all().await?;
                }
                pending.batch.clear();
                self.spare = pending.batch;
                Ok(())
            }
            Err(Error::Cancelled) if self.stop.is_cancelled() => Err(Error::Cancelled), // its records come again
            Err(Error::Retriable { message, source }) => {
                self.report_errant(&pending.fetch, bad).await?;
                pending.attempt += 1;
                let asked = self.context.take_timeout();
                let wait = asked.unwrap_or_else(|| self.policy.delay(pending.attempt));
                pending.not_before = Instant::now() + wait;
                let error = Error::Retriable { message, source };
                tracing::warn!(error = %trace(&error), "put failed and is tried again");
                self.me.report(TaskState::Running, Some(trace(&error)));
                if pending.attempt == 1 {
                    let all: Vec<TopicPartition> = self.committed.keys().cloned().collect();
                    self.consumer.pause(&all).await.map_err(kafka)?;
                }
                self.pending = Some(pending);
                Ok(())
            }
            Err(error) => {
                Err(Error::connect("Exiting WorkerSinkTask due to unrecoverable exception.").with_source(error))
            }
        }
    }

    async fn serve_requests(&mut self) -> Result<()> {
        let requests = self.context.take_requests();
        self.rewind(requests.rewind).await?;
        if requests.commit {
            self.commit(None).await?;
        }
        Ok(())
    }

    async fn rewind(&mut self, offsets: BTreeMap<TopicPartition, i64>) -> Result<()> {
        for (partition, offset) in offsets {
            self.consumer.seek(&partition, offset).await.map_err(kafka)?;
            self.taken.insert(partition.clone(), offset);
            self.unsettled = true;
            for fetch in &mut self.backlog {
                let topics = &fetch.topics;
                fetch.records.retain(|record| {
                    topics[record.topic as usize] != partition.topic || record.partition != partition.partition
                });
            }
        }
        Ok(())
    }

    async fn set_paused(&mut self, paused: bool) -> Result<()> {
        if paused == self.paused {
            return Ok(());
        }
        self.paused = paused;
        if paused {
            let all: Vec<TopicPartition> = self.committed.keys().cloned().collect();
            self.consumer.pause(&all).await.map_err(kafka)?;
            self.commit(None).await?;
            self.me.report(TaskState::Paused, None);
        } else {
            self.policy.resumed();
            self.resume_all().await?;
            self.me.report(TaskState::Running, None);
        }
        Ok(())
    }

    /// Resumes what neither the user, nor a redelivery, nor the task itself keeps paused.
    async fn resume_all(&mut self) -> Result<()> {
        if self.paused || self.pending.is_some() {
            return Ok(());
        }
        let kept = self.context.paused();
        let free: Vec<TopicPartition> = self
            .committed
            .keys()
            .filter(|key| !kept.contains(key))
            .cloned()
            .collect();
        self.consumer.resume(&free).await.map_err(kafka)
    }

    /// The end of the task: a task that failed commits nothing that was not flushed, so it only closes.
    async fn close_all(&mut self, failed: bool) {
        let all: Vec<TopicPartition> = self.committed.keys().cloned().collect();
        if let Err(error) = self.give_up(&all, !failed).await {
            tracing::warn!(error = %trace(&error), "closing failed");
        }
    }
}

fn kafka(error: dray_kafka::Error) -> Error {
    Error::connect("the consumer refused a command").with_source(error)
}
