//! What one task measures. Its loop says what happened once a batch, poll, put or commit: no record costs anything here.

use super::failures::Failures;
use super::latency::{Ages, Underway, wall_clock_ms};
use dray_connect::sink_batch::TopicPartition;
use dray_kafka::metrics::{ClientMetrics, Total, Window};
use dray_kafka::port::ClientConfig;
use dray_model::TaskState;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The measurements of one task, over all of its attempts. Cheap to clone.
#[derive(Clone, Debug)]
pub struct TaskMetrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    is_source: bool,
    /// Locked once a batch, by the task, and by whoever looks.
    numbers: Mutex<Numbers>,
    underway: Mutex<Underway>,
    failures: Arc<Failures>,
}

/// All numbers at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Numbers {
    // Since when it is in its state, and how long it was in which.
    state: Option<(TaskState, Instant)>,
    running: Duration,
    paused: Duration,
    tracked: Duration,
    /// What it is made of, as labels.
    pub(crate) parts: Vec<(&'static str, String)>,
    /// Alias, class, and whether it is a predicate.
    pub(crate) stages: Vec<(String, String, bool)>,
    pub(crate) batch: Window,
    pub(crate) commit_time: Window,
    /// 1 for a commit that succeeded, 0 for one that failed.
    commits: Window,
    /// Records that a source polled or a sink's consumer read.
    pub(crate) taken: Total,
    /// Records that a source wrote or a sink put.
    pub(crate) given: Total,
    /// Seconds of polls or puts.
    pub(crate) call_time: Window,
    pub(crate) active: u64,
    pub(crate) actives: Window,
    pub(crate) partitions: u64,
    /// Records that a sink has before it, by partition; empty while it does not know.
    pub(crate) lags: Vec<(TopicPartition, u64)>,
    /// Its Kafka clients, by `client.id`.
    pub(crate) clients: Vec<(String, ClientMetrics)>,
    pub(crate) commit_sequence: u64,
    pub(crate) commits_completed: Total,
    pub(crate) ages: Ages,
    pub(crate) last_age: f64,
}

impl TaskMetrics {
    /// Of a source, or a sink.
    #[must_use]
    pub fn new(is_source: bool) -> Self {
        Self(Arc::new(Inner {
            is_source,
            numbers: Mutex::new(Numbers {
                state: None,
                running: Duration::ZERO,
                paused: Duration::ZERO,
                tracked: Duration::ZERO,
                parts: Vec::new(),
                stages: Vec::new(),
                batch: Window::default(),
                commit_time: Window::default(),
                commits: Window::default(),
                taken: Total::default(),
                given: Total::default(),
                call_time: Window::default(),
                active: 0,
                actives: Window::default(),
                partitions: 0,
                lags: Vec::new(),
                clients: Vec::new(),
                commit_sequence: 0,
                commits_completed: Total::default(),
                ages: Ages::default(),
                last_age: f64::NAN,
            }),
            underway: Mutex::default(),
            failures: Arc::default(),
        }))
    }

    /// What goes wrong with its records.
    #[must_use]
    pub fn failures(&self) -> &Arc<Failures> {
        &self.0.failures
    }

    pub(crate) fn is_source(&self) -> bool {
        self.0.is_source
    }

    /// A copy, for whoever looks.
    pub(crate) fn numbers(&self) -> Numbers {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Numbers> {
        // Held for a few lines that cannot panic.
        self.0.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn underway(&self) -> MutexGuard<'_, Underway> {
        self.0.underway.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An attempt begins, with these parts; what the one before had under way is no longer waited for.
    pub(crate) fn begins(&self, parts: Vec<(&'static str, String)>, stages: Vec<(String, String, bool)>) {
        *self.underway() = Underway::default();
        let mut numbers = self.lock();
        (numbers.parts, numbers.stages) = (parts, stages);
        (numbers.active, numbers.partitions) = (0, 0);
        numbers.lags.clear();
        numbers.clients.clear();
    }

    /// It is in this state now.
    pub(crate) fn state(&self, state: TaskState) {
        let now = Instant::now();
        let mut numbers = self.lock();
        numbers.spend(now);
        numbers.state = Some((state, now));
    }

    /// A source's poll gave records.
    pub(crate) fn polled(&self, count: usize, took: Duration) {
        let now = Instant::now();
        let mut numbers = self.lock();
        numbers.taken.add(now, count);
        numbers.call_time.record(now, took.as_secs_f64() * 1_000.0);
        numbers.batch.record(now, count as f64);
        let active = numbers.active + count as u64;
        numbers.set_active(now, active);
    }

    /// Of a poll, so many records went to the producer, the first with this timestamp, and so many are done without it.
    pub(crate) fn sent(&self, count: usize, timestamp: Option<i64>, done_without: usize) {
        self.underway().sent(count, timestamp.unwrap_or_else(wall_clock_ms));
        if done_without > 0 {
            let now = Instant::now();
            let mut numbers = self.lock();
            let active = numbers.active.saturating_sub(done_without as u64);
            numbers.set_active(now, active);
        }
    }

    /// So many records of a source are durable, and so many came to another end.
    pub(crate) fn acknowledged(&self, durable: usize, otherwise: usize) {
        let (now, wall) = (Instant::now(), wall_clock_ms());
        let mut underway = self.underway();
        let mut numbers = self.lock();
        let mut last = None;
        underway.ended(durable, wall, |count, age| {
            numbers.ages.observe(count, age);
            last = Some(age);
        });
        underway.ended(otherwise, wall, |_, _| {});
        if let Some(age) = last {
            numbers.last_age = age as f64 / 1_000.0;
        }
        numbers.given.add(now, durable);
        let active = numbers.active.saturating_sub((durable + otherwise) as u64);
        numbers.set_active(now, active);
    }

    /// A sink's consumer read so many.
    pub(crate) fn read(&self, count: usize) {
        self.lock().taken.add(Instant::now(), count);
    }

    /// Of so many that a sink's consumer read, the sink took so many; the first has this timestamp.
    pub(crate) fn put(&self, read: usize, count: usize, took: Duration, timestamp: Option<i64>) {
        let (now, age) = (Instant::now(), timestamp.map(|timestamp| wall_clock_ms() - timestamp));
        let mut numbers = self.lock();
        numbers.given.add(now, count);
        numbers.call_time.record(now, took.as_secs_f64() * 1_000.0);
        numbers.batch.record(now, count as f64);
        // Until the next commit says it exactly.
        let active = numbers.active + read as u64;
        numbers.set_active(now, active);
        if let Some(age) = age.filter(|_| count > 0) {
            numbers.ages.observe(count, age);
            numbers.last_age = age as f64 / 1_000.0;
        }
    }

    /// A sink has taken so many records that are not committed.
    pub(crate) fn uncommitted(&self, count: u64) {
        self.lock().set_active(Instant::now(), count);
    }

    /// A sink is so many records behind the ends of these partitions.
    pub(crate) fn lags(&self, lags: Vec<(TopicPartition, u64)>) {
        self.lock().lags = lags;
    }

    /// It has a Kafka client, which may tell what it measures.
    pub(crate) fn client(&self, config: &ClientConfig, metrics: Option<ClientMetrics>) {
        let id = config.get("client.id").cloned().unwrap_or_default();
        self.lock().clients.extend(metrics.map(|metrics| (id, metrics)));
    }

    /// A sink reads so many partitions.
    pub(crate) fn partitions(&self, count: usize) {
        self.lock().partitions = count as u64;
    }

    /// A commit came to its end, good or bad.
    pub(crate) fn committed(&self, took: Duration, good: bool) {
        let now = Instant::now();
        let mut numbers = self.lock();
        numbers.commits.record(now, f64::from(u8::from(good)));
        numbers.commit_sequence += 1;
        if good {
            numbers.commit_time.record(now, took.as_secs_f64() * 1_000.0);
            numbers.commits_completed.add(now, 1);
        }
    }
}

impl Numbers {
    /// Time has gone by in the present state.
    fn spend(&mut self, now: Instant) {
        let Some((state, since)) = &mut self.state else { return };
        let time = now - *since;
        *since = now;
        self.tracked += time;
        match state {
            TaskState::Running => self.running += time,
            TaskState::Paused => self.paused += time,
            TaskState::Unassigned | TaskState::Failed | TaskState::Restarting | TaskState::Destroyed => {}
        }
    }

    fn set_active(&mut self, now: Instant, active: u64) {
        self.active = active;
        self.actives.record(now, active as f64);
    }

    /// The shares of its time in which it was running, and paused.
    pub(crate) fn ratios(&self, now: Instant) -> (f64, f64) {
        let mut until = self.clone();
        until.spend(now);
        let share = |time: Duration| match until.tracked.is_zero() {
            true => 0.0,
            false => time.as_secs_f64() / until.tracked.as_secs_f64(),
        };
        (share(until.running), share(until.paused))
    }

    /// Records that a sink has before it, in all of its partitions; not a number while it does not know.
    pub(crate) fn lag(&self) -> f64 {
        match self.lags.is_empty() {
            true => f64::NAN,
            false => self.lags.iter().map(|(_, records)| *records as f64).sum(),
        }
    }

    /// The share of commits that succeeded, and of those that failed; both 0 where there were none.
    pub(crate) fn commit_shares(&self, now: Instant) -> (f64, f64) {
        let good = self.commits.average(now);
        if good.is_nan() { (0.0, 0.0) } else { (good, 1.0 - good) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_source_is_followed_from_poll_to_acknowledgement() {
        let metrics = TaskMetrics::new(true);
        metrics.polled(10, Duration::from_millis(4));
        metrics.sent(8, Some(wall_clock_ms() - 2_000), 2);
        assert_eq!(metrics.numbers().active, 8);
        metrics.acknowledged(5, 1);
        let now = metrics.numbers();
        assert_eq!(
            (now.taken.total, now.given.total, now.active, now.ages.count()),
            (10, 5, 2, 5)
        );
        assert!((2.0..60.0).contains(&now.last_age), "{}", now.last_age);
        metrics.begins(Vec::new(), Vec::new());
        metrics.acknowledged(2, 0);
        let again = metrics.numbers();
        assert_eq!(
            (again.ages.count(), again.active),
            (5, 0),
            "the first attempt's are forgotten"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn time_is_shared_out_among_states() {
        let metrics = TaskMetrics::new(false);
        assert_eq!(metrics.numbers().ratios(Instant::now()), (0.0, 0.0));
        for (state, seconds) in [
            (TaskState::Unassigned, 1),
            (TaskState::Running, 6),
            (TaskState::Paused, 3),
        ] {
            metrics.state(state);
            tokio::time::advance(Duration::from_secs(seconds)).await;
        }
        let (running, paused) = metrics.numbers().ratios(Instant::now());
        assert!(
            (running - 0.6).abs() < 1e-6 && (paused - 0.3).abs() < 1e-6,
            "{running} {paused}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn only_good_commits_are_timed() {
        let metrics = TaskMetrics::new(false);
        assert_eq!(metrics.numbers().commit_shares(Instant::now()), (0.0, 0.0));
        for (millis, good) in [(10, true), (30, true), (20, true), (500, false)] {
            metrics.committed(Duration::from_millis(millis), good);
        }
        let (numbers, now) = (metrics.numbers(), Instant::now());
        assert_eq!(numbers.commit_shares(now), (0.75, 0.25));
        assert_eq!(
            (numbers.commit_time.max(now), numbers.commit_time.average(now)),
            (30.0, 20.0)
        );
        assert_eq!((numbers.commits_completed.total, numbers.commit_sequence), (3, 4));
    }
}
