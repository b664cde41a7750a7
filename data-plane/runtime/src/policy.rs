//! What happens to a record that fails: `errors.tolerance`, retries and their back-off (KIP-298), as one table.

use crate::breaker::{Breaker, because};
use crate::metrics::Failures;
use dray_connect::config::ParsedConfig;
use dray_connect::{Error, Result};
use std::borrow::Cow;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Where a record failed; the names are Connect's, they stand in dead letter headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// A transform or its predicate.
    Transformation,
    /// Bytes to key, or key to bytes.
    KeyConverter,
    /// Bytes to value, or value to bytes.
    ValueConverter,
    /// A header.
    HeaderConverter,
    /// The producer refused the record.
    KafkaProduce,
    /// The sink refused it.
    TaskPut,
}

impl Stage {
    /// Connect's name of the stage.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Transformation => "TRANSFORMATION",
            Self::KeyConverter => "KEY_CONVERTER",
            Self::ValueConverter => "VALUE_CONVERTER",
            Self::HeaderConverter => "HEADER_CONVERTER",
            Self::KafkaProduce => "KAFKA_PRODUCE",
            Self::TaskPut => "TASK_PUT",
        }
    }
}

/// A record that could not be dealt with.
#[derive(Debug)]
pub struct Failure {
    /// Where it failed.
    pub stage: Stage,
    /// The Java class that refused it.
    pub class: Cow<'static, str>,
    /// Why.
    pub error: Error,
}

/// `errors.tolerance`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tolerance {
    /// The first bad record fails the task.
    None,
    /// Bad records are skipped, and reported.
    All,
}

/// A connector's error handling.
#[derive(Clone, Debug)]
pub struct ErrorPolicy {
    /// Whether bad records are skipped.
    pub tolerance: Tolerance,
    /// How long an operation on a record that fails retriably is tried again; none is for ever.
    pub retry_timeout: Option<Duration>,
    /// The longest wait between two tries.
    pub retry_delay_max: Duration,
    /// Whether failures are logged.
    pub log: bool,
    /// Whether the log shows where the record is.
    pub log_messages: bool,
    /// Ends the task when too many fail.
    pub breaker: Option<Arc<Breaker>>,
    /// Counts them.
    pub failures: Arc<Failures>,
}

/// The wait after the first failure.
const FIRST_DELAY: Duration = Duration::from_millis(300);
/// The shortest wait: `errors.retry.delay.max.ms=0` must not make a loop that never rests.
const SHORTEST_DELAY: Duration = Duration::from_millis(1);

impl ErrorPolicy {
    /// Takes the `errors.*` keys of a connector.
    pub(crate) fn read(config: &ParsedConfig) -> Result<Self> {
        let millis = |key| config.long(key).map(|millis| u64::try_from(millis).ok());
        Ok(Self {
            tolerance: match config.string("errors.tolerance") {
                Some("all") => Tolerance::All,
                _ => Tolerance::None,
            },
            retry_timeout: millis("errors.retry.timeout")?.map(Duration::from_millis),
            retry_delay_max: Duration::from_millis(millis("errors.retry.delay.max.ms")?.unwrap_or(0)),
            log: config.boolean("errors.log.enable")?,
            log_messages: config.boolean("errors.log.include.messages")?,
            breaker: Breaker::read(config)?,
            failures: Arc::default(),
        })
    }

    /// So many records are about to go through the pipeline.
    pub fn saw(&self, count: usize) {
        if let Some(breaker) = &self.breaker {
            breaker.saw(count);
        }
    }

    /// The task goes on after a pause.
    pub(crate) fn resumed(&self) {
        if let Some(breaker) = &self.breaker {
            breaker.begin_anew();
        }
    }

    /// The error of a task that meets a bad record it may not skip; none when it may.
    pub fn judge(&self, error: Error) -> Result<()> {
        self.tolerate().map_err(|verdict| because(verdict, error))
    }

    /// Whether one more bad record may be skipped.
    ///
    /// # Errors
    /// When it may not. Whoever knows the error of the record makes it the cause.
    pub fn tolerate(&self) -> Result<()> {
        match self.tolerance {
            Tolerance::All => {
                self.failures.skipped();
                self.breaker.as_ref().map_or(Ok(()), |breaker| breaker.failed())
            }
            Tolerance::None => Err(Error::connect("Tolerance exceeded in error handler")),
        }
    }

    /// The wait after failure number `attempt` (from 1), as Connect's: 300 ms, doubling; where that is more than the
    /// maximum, a random time below it, so that tasks that failed together do not come back together.
    #[must_use]
    pub fn delay(&self, attempt: u32) -> Duration {
        let delay = FIRST_DELAY.saturating_mul(1 << attempt.saturating_sub(1).min(20));
        let delay = if delay > self.retry_delay_max {
            self.retry_delay_max.mul_f64(random())
        } else {
            delay
        };
        delay.max(SHORTEST_DELAY)
    }
}

/// A number in [0, 1). Needed once a wait, so the standard library's random hash keys are enough.
fn random() -> f64 {
    (RandomState::new().hash_one(()) >> 11) as f64 / (1_u64 << 53) as f64
}

/// The tries of one record. Each stage that it goes through has the whole `errors.retry.timeout` for itself.
#[derive(Debug, Default)]
pub struct Tries {
    stage: Option<Stage>,
    attempt: u32,
    deadline: Option<Instant>,
}

impl Tries {
    /// Waits after a failure and returns whether to try again: only what failed retriably, and only in time. Cancel-safe.
    ///
    /// # Errors
    /// [`Error::Cancelled`] when the task is stopped meanwhile: the record is then neither done nor bad.
    pub async fn again(
        &mut self,
        stage: Stage,
        error: &Error,
        policy: &ErrorPolicy,
        stop: &CancellationToken,
    ) -> Result<bool> {
        let Some(when) = self.next(stage, error, policy) else {
            return Ok(false);
        };
        match stop.run_until_cancelled(tokio::time::sleep_until(when)).await {
            Some(()) => Ok(true),
            None => Err(Error::Cancelled),
        }
    }

    /// When to try again after a failure; none when it is given up.
    pub fn next(&mut self, stage: Stage, error: &Error, policy: &ErrorPolicy) -> Option<Instant> {
        policy.failures.failed();
        let when = self.when(stage, error, policy);
        match when {
            Some(_) => policy.failures.retried(),
            None => policy.failures.gave_up(),
        }
        when
    }

    fn when(&mut self, stage: Stage, error: &Error, policy: &ErrorPolicy) -> Option<Instant> {
        if !error.is_retriable() {
            return None;
        }
        let now = Instant::now();
        if self.stage != Some(stage) {
            *self = Self {
                stage: Some(stage),
                attempt: 0,
                deadline: policy.retry_timeout.map(|timeout| now + timeout),
            };
        }
        self.attempt = self.attempt.saturating_add(1);
        let left = self.deadline.map(|deadline| deadline.saturating_duration_since(now));
        if left.is_some_and(|left| left.is_zero()) {
            return None;
        }
        let delay = policy.delay(self.attempt);
        Some(now + left.map_or(delay, |left| delay.min(left)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::connector_config::source_definition;
    use dray_connect::ConfigMap;

    fn policy(pairs: &[(&str, &str)]) -> ErrorPolicy {
        let named = [("name", "c"), ("connector.class", "C")];
        let config: ConfigMap = [&named, pairs]
            .concat()
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        ErrorPolicy::read(&source_definition().parse(&config).unwrap()).unwrap()
    }

    #[test]
    fn defaults_are_connects() {
        let policy = policy(&[]);
        assert_eq!(policy.tolerance, Tolerance::None);
        assert_eq!(policy.retry_timeout, Some(Duration::ZERO));
        assert_eq!(policy.retry_delay_max, Duration::from_secs(60));
        assert!(policy.judge(Error::data("bad")).is_err());
    }

    #[test]
    fn back_off_doubles_and_is_random_beyond_its_maximum() {
        let policy = policy(&[("errors.retry.delay.max.ms", "1000")]);
        let millis = |attempt| policy.delay(attempt).as_millis();
        assert_eq!([millis(1), millis(2)], [300, 600]);
        let random: Vec<u128> = (0..100).map(|_| millis(3)).collect();
        assert!(random.iter().all(|millis| (1..1000).contains(millis)), "{random:?}");
        assert!(random.iter().any(|millis| *millis < 500), "{random:?}");
        assert!(random.iter().any(|millis| *millis >= 500), "{random:?}");
        assert!(policy.delay(u32::MAX) < Duration::from_secs(1));
    }

    #[test]
    fn no_maximum_still_rests() {
        let policy = policy(&[("errors.retry.delay.max.ms", "0")]);
        assert_eq!(policy.delay(1), SHORTEST_DELAY);
    }

    /// When the tries of an operation that always fails happen, in milliseconds.
    async fn tries(policy: &ErrorPolicy, most: usize) -> Vec<u128> {
        let (started, stop, error) = (Instant::now(), CancellationToken::new(), Error::retriable("later"));
        let (mut tries, mut times) = (Tries::default(), vec![0]);
        while times.len() < most && tries.again(Stage::KeyConverter, &error, policy, &stop).await.unwrap() {
            times.push(started.elapsed().as_millis());
        }
        times
    }

    #[tokio::test(start_paused = true)]
    async fn tries_end_at_the_time_out() {
        assert_eq!(tries(&policy(&[]), 9).await, [0], "0 is no retry at all");
        let second = policy(&[("errors.retry.timeout", "1000")]);
        assert_eq!(tries(&second, 9).await, [0, 300, 900, 1000], "the last wait is cut");
        let forever = policy(&[("errors.retry.timeout", "-1")]);
        let times = tries(&forever, 9).await;
        assert_eq!(times[..5], [0, 300, 900, 2_100, 4_500]);
        assert_eq!(times.len(), 9);
    }

    #[tokio::test(start_paused = true)]
    async fn each_stage_has_its_own_time_out() {
        let policy = policy(&[("errors.retry.timeout", "300")]);
        let (stop, error) = (CancellationToken::new(), Error::retriable("later"));
        let mut tries = Tries::default();
        for stage in [Stage::KeyConverter, Stage::ValueConverter] {
            assert!(tries.again(stage, &error, &policy, &stop).await.unwrap());
            assert!(!tries.again(stage, &error, &policy, &stop).await.unwrap());
        }
        assert!(
            !tries
                .again(Stage::HeaderConverter, &Error::data("bad"), &policy, &stop)
                .await
                .unwrap()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_ends_the_wait() {
        let (stop, error) = (CancellationToken::new(), Error::retriable("later"));
        stop.cancel();
        let policy = policy(&[("errors.retry.timeout", "-1")]);
        let again = Tries::default()
            .again(Stage::KeyConverter, &error, &policy, &stop)
            .await;
        assert!(matches!(again, Err(Error::Cancelled)), "{again:?}");
    }
}
