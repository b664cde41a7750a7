//! What the worker's configuration says of a provider of AWS, in our words and in those of the providers that people come from.

use crate::aws::http::is_url;
use dray_connect::{ConfigMap, Error, Result};
use dray_process::hidden::Hidden;
use std::time::Duration;

/// Where the region is said: ours and Amazon's, then jcustenborder's and Confluent's.
const REGION: [&str; 2] = ["region", "aws.region"];
const ENDPOINT: [&str; 2] = ["endpoint", "endpoint.override"];
const ACCESS_KEY: &str = "aws.access.key";
const SECRET_KEY: &str = "aws.secret.key";
/// How old a value may become before it is read again.
const TTL: [&str; 2] = ["ttl.ms", "secret.ttl.ms"];
const TTL_SECONDS: &str = "polling.interval.seconds";
const NOT_FOUND: &str = "NotFoundStrategy";
/// What is meant otherwise here: retries and their time have bounds of their own, and nobody waits on a thread.
const WITHOUT_EFFECT: [&str; 5] = [
    "polling.enabled",
    "retry.count",
    "retry.interval.seconds",
    "thread.count",
    "timeout.seconds",
];

/// As AWS's own agent for secrets has it: a read of each secret every five minutes costs some cents a month.
const DEFAULT_TTL: Duration = Duration::from_secs(300);
/// Every second and more would be a bill; less than once a day, nobody would take for rotation.
const TTLS: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(24 * 60 * 60);

/// Of a provider.
#[derive(Clone)]
pub(crate) struct Settings {
    /// What its keys begin with in the worker's configuration, for errors.
    pub(crate) prefix: String,
    /// None: the environment's, or the profile's.
    pub(crate) region: Option<String>,
    /// None: the one of the service in its region.
    pub(crate) endpoint: Option<String>,
    /// Access key and secret key; none: the standard chain.
    pub(crate) keys: Option<(String, String)>,
    pub(crate) ttl: Duration,
    /// Whether what is not there is an empty text.
    pub(crate) ignore_missing: bool,
}

impl Settings {
    /// Reads what all providers of AWS have in common; `others` are the keys of this one.
    ///
    /// # Errors
    /// For values that are not allowed.
    pub(crate) fn read(prefix: &str, params: &ConfigMap, others: &[&str], hidden: &Hidden) -> Result<Self> {
        let get = |key: &str| {
            params
                .get(key)
                .map(|value| value.trim())
                .filter(|value| !value.is_empty())
        };
        let invalid = |key: &str, value: &str, problem: &str| {
            Err(Error::invalid_config(
                &format!("{prefix}{key}"),
                Some(value),
                Some(problem),
            ))
        };
        let own = |keys: [&str; 2]| keys.into_iter().find_map(get).map(str::to_owned);
        let endpoint = own(ENDPOINT);
        if let Some(endpoint) = &endpoint
            && !is_url(endpoint)
        {
            return invalid(ENDPOINT[0], endpoint, "A URL is wanted, with http:// or https://");
        }
        let keys = match (get(ACCESS_KEY), get(SECRET_KEY)) {
            (Some(access), Some(secret)) => Some((access.to_owned(), secret.to_owned())),
            (None, None) => None,
            (_, _) => {
                let text = format!(
                    "{prefix}{ACCESS_KEY} and {prefix}{SECRET_KEY} go together; without both the standard chain is used"
                );
                return Err(Error::config(text));
            }
        };
        if let Some((_, secret)) = &keys {
            hidden.add(secret, "[hidden]");
        }
        let mut ttl = DEFAULT_TTL;
        for (key, unit) in [(TTL[0], 1), (TTL[1], 1), (TTL_SECONDS, 1000)] {
            let Some(value) = get(key) else { continue };
            match value
                .parse::<u64>()
                .map(|number| Duration::from_millis(number.saturating_mul(unit)))
            {
                Ok(time) if TTLS.contains(&time) => ttl = time,
                Ok(_) | Err(_) => return invalid(key, value, "From one second to one day is allowed"),
            }
        }
        let ignore_missing = match get(NOT_FOUND).map(str::to_ascii_lowercase).as_deref() {
            None | Some("fail") => false,
            Some("ignore") => true,
            Some(other) => return invalid(NOT_FOUND, other, "String must be one of: fail, ignore"),
        };
        let shared = [ACCESS_KEY, SECRET_KEY, TTL_SECONDS, NOT_FOUND, "allowed.names"];
        let known = [REGION, ENDPOINT, TTL].concat();
        for key in params.keys().map(String::as_str) {
            if WITHOUT_EFFECT.contains(&key) {
                tracing::warn!("{prefix}{key} has no effect here");
            } else if !known.contains(&key) && !shared.contains(&key) && !others.contains(&key) {
                tracing::warn!("{prefix}{key} is no setting of this config provider; it is ignored");
            }
        }
        Ok(Self {
            prefix: prefix.to_owned(),
            region: own(REGION),
            endpoint,
            keys,
            ttl,
            ignore_missing,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Settings> {
        let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let params = pairs.iter().map(own).collect();
        Settings::read("config.providers.s.param.", &params, &[], &Hidden::default())
    }

    #[test]
    fn the_words_of_others_are_understood() {
        for pairs in [
            [("region", "eu-west-1"), ("endpoint", "https://x"), ("ttl.ms", "60000")],
            [
                ("aws.region", "eu-west-1"),
                ("endpoint.override", "https://x"),
                ("secret.ttl.ms", "60000"),
            ],
            [
                ("aws.region", "eu-west-1"),
                ("endpoint.override", "https://x"),
                ("polling.interval.seconds", "60"),
            ],
        ] {
            let settings = read(&pairs).unwrap();
            assert_eq!(settings.region.as_deref(), Some("eu-west-1"));
            assert_eq!(settings.endpoint.as_deref(), Some("https://x"));
            assert_eq!(settings.ttl, Duration::from_secs(60));
        }
        let defaults = read(&[("region", " ")]).unwrap();
        assert_eq!(
            (defaults.region, defaults.ttl, defaults.ignore_missing),
            (None, DEFAULT_TTL, false)
        );
        assert!(read(&[("NotFoundStrategy", "ignore")]).unwrap().ignore_missing);
    }

    #[test]
    fn what_is_not_allowed_is_named() {
        for (key, value) in [
            ("endpoint", "localhost:5000"),
            ("ttl.ms", "999"),
            ("secret.ttl.ms", "soon"),
            ("polling.interval.seconds", "86401"),
            ("NotFoundStrategy", "guess"),
            ("aws.access.key", "AKIA"),
            ("aws.secret.key", "hush"),
        ] {
            let shown = read(&[(key, value)])
                .err()
                .unwrap_or_else(|| panic!("{key}={value} is taken"))
                .to_string();
            assert!(shown.contains(&format!("config.providers.s.param.{key}")), "{shown}");
            assert!(!shown.contains("hush"), "{shown}");
        }
    }
}
