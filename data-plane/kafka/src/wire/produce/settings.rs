//! What a producer is told to do.

use crate::codes::local;
use crate::error::{Class, Error, Result};
use crate::port::ClientConfig;
use crate::rd::client::translated;
use crate::rd::config::Role;
use crate::wire::batch::compression::Codec;
use crate::wire::timing::{exponential, number};
use kafka_protocol::protocol::StrBytes;
use std::collections::BTreeMap;
use std::time::Duration;

/// What the broker keeps of each idempotent producer's batches on a partition: more in flight could not be told from duplicates.
const MOST_IN_FLIGHT: usize = 5;
/// Between two renewals of a producer id that was given for a transactional id. Coordinators forget an id after a week without (7 days by
/// default), and partitions after a day.
const RENEWAL: Duration = Duration::from_secs(6 * 3600);
/// As long as `delivery.timeout.ms` of Connect's own producers: for ever.
const NEVER: u64 = 2_147_483_647;
/// A topic that does not exist for so long fails what is sent to it.
const UNKNOWN_TOPIC: Duration = Duration::from_secs(30);

/// Whose acknowledgement counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Acks {
    None,
    Leader,
    All,
}

impl Acks {
    pub(super) fn number(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Leader => 1,
            Self::All => -1,
        }
    }
}

/// Settings of a producer.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) client: StrBytes,
    pub(super) acks: Acks,
    /// `enable.idempotence`, unless it was refused.
    pub(super) idempotent: bool,
    /// Bytes of a batch before it is compressed (`batch.size`); a record that is larger is a batch of its own.
    pub(super) batch_size: usize,
    pub(super) linger: Duration,
    pub(super) codec: Codec,
    /// `compression.type` is set: batches that others have compressed are taken only when they are of that codec.
    pub(super) codec_is_set: bool,
    pub(super) level: Option<i32>,
    /// `max.request.size`: bytes of a record, and of the batches in a request.
    pub(super) max_request: usize,
    /// `buffer.memory`: bytes of records that all lanes have in flight.
    pub(super) buffer_memory: usize,
    /// Requests on their way to one broker.
    pub(super) max_in_flight: usize,
    /// Of a batch, from its first record on. None: for ever.
    pub(super) delivery_timeout: Option<Duration>,
    pub(super) request_timeout: Duration,
    pub(super) retries: u32,
    retry_backoff: Duration,
    retry_backoff_max: Duration,
    pub(super) metadata_max_age: Duration,
    /// How long a topic may be missing, as brokers say.
    pub(super) max_missing: Duration,
    /// How long a topic may be unknown, as no broker says anything (`max.block.ms`). None: for ever, as Connect has it.
    pub(super) max_block: Option<Duration>,
    pub(super) renewal: Duration,
}

impl Settings {
    /// Reads Java's settings, and those of librdkafka that have no Java name.
    pub(super) fn read(config: &ClientConfig) -> Result<Self> {
        let settings = translated(config, Role::Producer)?.settings;
        let millis = |key, default| number(&settings, key, default).map(Duration::from_millis);
        let size =
            |key, default| number(&settings, key, default).map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        let acks = acks(&settings)?;
        // What the translation says of these two is for librdkafka, which keeps the order in no other way.
        let asked = config
            .get("enable.idempotence")
            .map(|value| value.trim().eq_ignore_ascii_case("true"));
        if asked == Some(true) && acks != Acks::All {
            return Err(invalid("acks", "an idempotent producer needs `all`"));
        }
        let in_flight = match config.get("max.in.flight.requests.per.connection") {
            Some(_) => size("max.in.flight.requests.per.connection", 5)?,
            None => MOST_IN_FLIGHT,
        };
        let codec = settings.get("compression.type").map_or("none", String::as_str);
        let max_block = number(config, "max.block.ms", NEVER)?;
        let renewal = number(config, "dray.producer.id.renewal.ms", RENEWAL.as_millis() as u64)?;
        let delivery = number(&settings, "message.timeout.ms", NEVER)?;
        Ok(Self {
            client: StrBytes::from_string(settings.get("client.id").cloned().unwrap_or_default()),
            acks,
            idempotent: asked.unwrap_or(true) && acks == Acks::All,
            batch_size: size("batch.size", 512 << 10)?,
            linger: millis("linger.ms", 5)?,
            codec: Codec::named(codec).ok_or_else(|| invalid("compression.type", format!("`{codec}` is no codec")))?,
            codec_is_set: ["compression.type", "compression.codec"]
                .iter()
                .any(|key| config.contains_key(*key)),
            level: settings
                .get("compression.level")
                .and_then(|level| level.trim().parse().ok()),
            max_request: size("message.max.bytes", 1 << 20)?,
            buffer_memory: size("queue.buffering.max.kbytes", 128 << 10)?.saturating_mul(1024),
            max_in_flight: in_flight.clamp(1, MOST_IN_FLIGHT),
            delivery_timeout: (delivery > 0 && delivery < NEVER).then(|| Duration::from_millis(delivery)),
            request_timeout: millis("request.timeout.ms", 30_000)?,
            retries: u32::try_from(number(&settings, "retries", u64::from(u32::MAX))?).unwrap_or(u32::MAX),
            retry_backoff: millis("retry.backoff.ms", 100)?,
            retry_backoff_max: millis("retry.backoff.max.ms", 1000)?,
            metadata_max_age: millis("metadata.max.age.ms", 300_000)?.max(Duration::from_millis(10)),
            max_missing: Duration::from_millis(max_block).min(UNKNOWN_TOPIC),
            max_block: (max_block < NEVER).then(|| Duration::from_millis(max_block)),
            renewal: Duration::from_millis(renewal.max(1)),
        })
    }

    /// How long a batch waits before it is sent again, after so many failures before this one (KIP-580).
    pub(super) fn retry(&self, failures: u32) -> Duration {
        exponential(self.retry_backoff, self.retry_backoff_max, failures)
    }
}

fn acks(settings: &BTreeMap<String, String>) -> Result<Acks> {
    match settings.get("acks").map_or("all", |acks| acks.trim()) {
        "all" | "-1" => Ok(Acks::All),
        "0" => Ok(Acks::None),
        "1" => Ok(Acks::Leader),
        other => Err(invalid("acks", format!("`{other}` is none of `all`, `0`, `1`"))),
    }
}

fn invalid(key: &str, message: impl Into<String>) -> Error {
    local(
        format!("client setting `{key}`"),
        "INVALID_CONFIG",
        message,
        Class::Fatal,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Settings> {
        let pairs = pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Settings::read(&pairs.collect())
    }

    #[test]
    fn idempotent_unless_told_otherwise() {
        for (pairs, idempotent, in_flight) in [
            (&[][..], true, 5),
            (
                &[("acks", "all"), ("max.in.flight.requests.per.connection", "2")],
                true,
                2,
            ),
            (&[("max.in.flight.requests.per.connection", "100")], true, 5),
            (&[("enable.idempotence", "false")], false, 5),
            (&[("acks", "1")], false, 5),
        ] {
            let settings = read(pairs).expect("read");
            assert_eq!(
                (settings.idempotent, settings.max_in_flight),
                (idempotent, in_flight),
                "{pairs:?}"
            );
        }
        read(&[("acks", "1"), ("enable.idempotence", "true")]).expect_err("both");
        read(&[("acks", "2")]).expect_err("no such thing");
        read(&[("compression.type", "brotli")]).expect_err("no such codec");
    }

    #[test]
    fn javas_names_count() {
        let settings = read(&[
            ("batch.size", "16384"),
            ("delivery.timeout.ms", "120000"),
            ("max.request.size", "9000000"),
            ("buffer.memory", "33554432"),
            ("compression.type", "LZ4"),
            ("max.block.ms", "9223372036854775807"),
            ("retry.backoff.ms", "10"),
        ])
        .expect("read");
        assert_eq!((settings.batch_size, settings.max_request), (16384, 9_000_000));
        assert_eq!((settings.buffer_memory, settings.codec), (33_554_432, Codec::Lz4));
        assert_eq!(settings.delivery_timeout, Some(Duration::from_secs(120)));
        assert_eq!((settings.max_missing, settings.max_block), (UNKNOWN_TOPIC, None));
        assert_eq!(settings.retry(1), Duration::from_millis(20));
        assert_eq!(
            read(&[("delivery.timeout.ms", "2147483647")])
                .expect("read")
                .delivery_timeout,
            None
        );
    }
}
