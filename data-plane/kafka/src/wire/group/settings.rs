//! A consumer's settings, and whether it can be a member of the new protocol over our own connections by them.

use crate::codes::local;
use crate::error::{Class, Result};
use crate::port::ClientConfig;
use crate::rd::client::translated;
use crate::rd::config::Role;
use crate::wire::fetch::reading::Reading;
use std::time::Duration;

const MAX_POLL_INTERVAL_MS: u64 = 300_000;
/// Who writes one of these has chosen the classic protocol, or a static member, which the new one refuses a second time instead of
/// fencing the first.
const CLASSIC: [&str; 4] = [
    "session.timeout.ms",
    "heartbeat.interval.ms",
    "partition.assignment.strategy",
    "group.instance.id",
];

#[derive(Clone, Debug)]
pub(crate) struct ConsumerSettings {
    pub(crate) group: String,
    pub(crate) client: String,
    pub(crate) reading: Reading,
    /// `max.poll.interval.ms`: how long partitions may take to be given up.
    pub(crate) max_poll_interval: Duration,
    /// `group.remote.assignor`.
    pub(crate) assignor: Option<String>,
    /// The new protocol was asked for; without it there is nothing to fall back to.
    pub(crate) asked_for: bool,
    /// `bootstrap.servers`.
    pub(crate) servers: String,
}

impl ConsumerSettings {
    /// Reads the settings. None when they ask for what is librdkafka's alone.
    ///
    /// # Errors
    /// When there is no `group.id`, or a number is none.
    pub(crate) fn read(config: &ClientConfig, prefetch: usize) -> Result<Option<Self>> {
        let settings = translated(config, Role::Consumer)?.settings;
        let get = |key: &str| {
            settings
                .get(key)
                .map(|value| value.trim())
                .filter(|value| !value.is_empty())
        };
        let asked_for = match get("group.protocol") {
            Some("consumer") => true,
            Some(_) => return Ok(None),
            None => false,
        };
        if CLASSIC.iter().any(|key| settings.contains_key(*key)) {
            return Ok(None);
        }
        let Some(reading) = Reading::read(config, &settings, prefetch)? else {
            return Ok(None);
        };
        let Some(group) = get("group.id") else {
            let message = "`group.id` is missing";
            return Err(local("joining a group", "INVALID_CONFIG", message, Class::Fatal));
        };
        let interval = get("max.poll.interval.ms").and_then(|ms| ms.parse().ok());
        Ok(Some(Self {
            group: group.to_owned(),
            client: get("client.id").unwrap_or_default().to_owned(),
            reading,
            max_poll_interval: Duration::from_millis(interval.unwrap_or(MAX_POLL_INTERVAL_MS)),
            assignor: get("group.remote.assignor").map(str::to_owned),
            asked_for,
            servers: get("bootstrap.servers").unwrap_or_default().to_owned(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::fetch::feed::{FetchSettings, Reset};

    fn read(pairs: &[(&str, &str)]) -> Option<ConsumerSettings> {
        let pairs = pairs.iter().chain(&[("group.id", "g")]);
        let config = pairs
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        ConsumerSettings::read(&config, 16 << 20).expect("read")
    }

    #[test]
    fn who_chose_the_classic_protocol_gets_it() {
        for (key, value) in [
            ("group.protocol", "classic"),
            ("session.timeout.ms", "10000"),
            ("heartbeat.interval.ms", "1000"),
            ("partition.assignment.strategy", "range"),
            ("group.instance.id", "i"),
            ("auto.offset.reset", "by_duration:PT1H"),
        ] {
            assert!(read(&[(key, value)]).is_none(), "{key}");
        }
        assert!(!read(&[]).expect("ours").asked_for);
        // There the broker decides about sessions, and the setting means nothing.
        let asked = read(&[("group.protocol", "CONSUMER"), ("session.timeout.ms", "1000")]);
        assert!(asked.expect("ours").asked_for);
        let missing = ConsumerSettings::read(&ClientConfig::new(), 1).expect_err("no group");
        assert!(missing.to_string().contains("`group.id` is missing"));
    }

    #[test]
    fn names_are_javas() {
        let settings = read(&[
            ("fetch.max.wait.ms", "7"),
            ("fetch.min.bytes", "8"),
            ("max.partition.fetch.bytes", "9"),
            ("fetch.max.bytes", "10"),
            ("isolation.level", "READ_COMMITTED"),
            ("client.rack", "r"),
            ("metadata.max.age.ms", "13000"),
            ("auto.offset.reset", "none"),
            ("max.poll.records", "11"),
            ("max.poll.interval.ms", "12000"),
        ]);
        let settings = settings.expect("ours");
        let reading = &settings.reading;
        let expected = FetchSettings {
            read_committed: true,
            min_bytes: 8,
            max_wait_ms: Some(7),
            max_bytes: 10,
            partition_bytes: 9,
            rack: "r".to_owned(),
            preferred_for: Duration::from_secs(13),
        };
        assert_eq!(
            (&*reading.fetch, reading.reset, reading.max_records),
            (&expected, Reset::None, 11)
        );
        assert_eq!(settings.max_poll_interval, Duration::from_secs(12));
        let wrong = ClientConfig::from([
            ("group.id".to_owned(), "g".to_owned()),
            ("fetch.min.bytes".to_owned(), "many".to_owned()),
        ]);
        let error = ConsumerSettings::read(&wrong, 1).expect_err("no number");
        assert!(error.to_string().contains("`many` is not a whole number"), "{error}");
    }
}
