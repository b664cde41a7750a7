//! What happens to a record that fails: `errors.tolerance`, retries and their back-off (KIP-298), as one table.

use dray_connect::{ConfigMap, Error, Result};
use std::time::Duration;

/// Where a record failed; the names are Connect's, they stand in dead letter headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
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
            Self::KeyConverter => "KEY_CONVERTER",
            Self::ValueConverter => "VALUE_CONVERTER",
            Self::HeaderConverter => "HEADER_CONVERTER",
            Self::KafkaProduce => "KAFKA_PRODUCE",
            Self::TaskPut => "TASK_PUT",
        }
    }
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
    /// How long retriable failures are tried again; none is for ever.
    pub retry_timeout: Option<Duration>,
    /// The longest wait between two tries.
    pub retry_delay_max: Duration,
    /// Whether failures are logged.
    pub log: bool,
    /// Whether the log shows where the record is.
    pub log_messages: bool,
}

impl ErrorPolicy {
    /// Reads the `errors.*` keys.
    ///
    /// # Errors
    /// With Connect's text for the first key whose value is not allowed.
    pub fn from_config(config: &ConfigMap) -> Result<Self> {
        let tolerance = match config.get("errors.tolerance").map_or("none", |value| value.trim()) {
            "none" => Tolerance::None,
            "all" => Tolerance::All,
            other => {
                return Err(Error::config(format!(
                    "Invalid value {other} for configuration errors.tolerance: String must be one of: none, all"
                )));
            }
        };
        let timeout = millis(config, "errors.retry.timeout", 0)?;
        Ok(Self {
            tolerance,
            retry_timeout: u64::try_from(timeout).ok().map(Duration::from_millis),
            retry_delay_max: Duration::from_millis(
                u64::try_from(millis(config, "errors.retry.delay.max.ms", 60_000)?).unwrap_or(0),
            ),
            log: flag(config, "errors.log.enable", false)?,
            log_messages: flag(config, "errors.log.include.messages", false)?,
        })
    }

    /// The error of a task that meets a bad record it may not skip; none when it may.
    pub fn judge(&self, error: Error) -> Result<()> {
        match self.tolerance {
            Tolerance::All => Ok(()),
            Tolerance::None => Err(Error::connect("Tolerance exceeded in error handler").with_source(error)),
        }
    }

    /// The wait before try number `attempt` (from 1): 300 ms doubling up to the maximum.
    #[must_use]
    pub fn delay(&self, attempt: u32) -> Duration {
        Duration::from_millis(300)
            .saturating_mul(1 << attempt.saturating_sub(1).min(20))
            .min(self.retry_delay_max)
    }
}

/// A number of a configuration.
///
/// # Errors
/// With Connect's text when it is not a number.
pub fn millis(config: &ConfigMap, key: &str, default: i64) -> Result<i64> {
    let Some(text) = config.get(key) else {
        return Ok(default);
    };
    text.trim().parse().map_err(|_| {
        Error::config(format!(
            "Invalid value {text} for configuration {key}: Not a number of type LONG"
        ))
    })
}

/// A boolean of a configuration.
///
/// # Errors
/// With Connect's text when it is neither true nor false.
pub fn flag(config: &ConfigMap, key: &str, default: bool) -> Result<bool> {
    let Some(text) = config.get(key) else {
        return Ok(default);
    };
    match text.trim().to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Error::config(format!(
            "Invalid value {text} for configuration {key}: Expected value to be either true or false"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(pairs: &[(&str, &str)]) -> ConfigMap {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn defaults_are_connects() {
        let policy = ErrorPolicy::from_config(&config(&[])).unwrap();
        assert_eq!(policy.tolerance, Tolerance::None);
        assert_eq!(policy.retry_timeout, Some(Duration::ZERO));
        assert!(policy.judge(Error::data("bad")).is_err());
    }

    #[test]
    fn bad_values_are_named() {
        let error = ErrorPolicy::from_config(&config(&[("errors.tolerance", "some")])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "Invalid value some for configuration errors.tolerance: String must be one of: none, all"
        );
    }

    #[test]
    fn back_off_doubles_up_to_its_maximum() {
        let policy = ErrorPolicy::from_config(&config(&[("errors.retry.delay.max.ms", "1000")])).unwrap();
        let delays: Vec<u128> = (1..5).map(|attempt| policy.delay(attempt).as_millis()).collect();
        assert_eq!(delays, [300, 600, 1000, 1000]);
    }
}
