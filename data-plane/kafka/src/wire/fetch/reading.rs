//! How a consumer reads, with a group or without: its settings, and what it says of bytes that it cannot read.

use super::feed::{FetchSettings, Reset};
use crate::codes::local;
use crate::error::{Class, Error, Result};
use crate::port::ClientConfig;
use crate::wire::batch::decode::Malformed;
use crate::wire::timing;
use dray_connect::sink_batch::TopicPartition;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Records per batch where the configuration does not say.
const MAX_RECORDS: usize = 2000;
const FETCH_BYTES: i32 = 50 << 20;
const PARTITION_BYTES: i32 = 1 << 20;
/// `metadata.max.age.ms`, as Java has it.
const PREFERRED_MS: u64 = 300_000;
/// Shorter, and it would be over before the first fetch from the replica.
const LEAST_PREFERRED_MS: u64 = 1000;

/// What a consumer's settings say about reading.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    pub(crate) fetch: Arc<FetchSettings>,
    pub(crate) reset: Reset,
    /// `max.poll.records`.
    pub(crate) max_records: usize,
}

impl Reading {
    /// Reads `config`, with `settings` what it is in librdkafka's words. None when it asks for what is librdkafka's alone.
    ///
    /// # Errors
    /// When a number is none.
    pub(crate) fn read(
        config: &ClientConfig,
        settings: &BTreeMap<String, String>,
        prefetch: usize,
    ) -> Result<Option<Self>> {
        let get = |key: &str| {
            settings
                .get(key)
                .map(|value| value.trim())
                .filter(|value| !value.is_empty())
        };
        let reset = match get("auto.offset.reset") {
            None | Some("earliest" | "smallest" | "beginning") => Reset::Earliest,
            Some("latest" | "largest" | "end") => Reset::Latest,
            Some("error") => Reset::None,
            Some(_) => return Ok(None), // It says what it does not know.
        };
        let most = i32::try_from(prefetch.clamp(1 << 20, 1 << 30)).unwrap_or(i32::MAX);
        let fetch = FetchSettings {
            read_committed: get("isolation.level") == Some("read_committed"),
            min_bytes: number(settings, "fetch.min.bytes")?.unwrap_or(1),
            max_wait_ms: number(settings, "fetch.wait.max.ms")?,
            max_bytes: number(settings, "fetch.max.bytes")?
                .unwrap_or(FETCH_BYTES.min(most))
                .max(1),
            partition_bytes: number(settings, "fetch.message.max.bytes")?
                .unwrap_or(PARTITION_BYTES)
                .max(1),
            rack: get("client.rack").unwrap_or_default().to_owned(),
            preferred_for: Duration::from_millis(
                timing::number(settings, "metadata.max.age.ms", PREFERRED_MS)?.max(LEAST_PREFERRED_MS),
            ),
        };
        let records = config.get("max.poll.records").and_then(|n| n.trim().parse().ok());
        Ok(Some(Self {
            fetch: Arc::new(fetch),
            reset,
            max_records: records.unwrap_or(MAX_RECORDS).max(1),
        }))
    }
}

fn number(settings: &BTreeMap<String, String>, key: &str) -> Result<Option<i32>> {
    let Some(value) = settings.get(key) else {
        return Ok(None);
    };
    value
        .trim()
        .parse()
        .map(|number: i32| Some(number.max(0)))
        .map_err(|_| {
            let message = format!("`{value}` is not a whole number within its limits");
            local(
                format!("client setting `{key}`"),
                "INVALID_CONFIG",
                message,
                Class::Fatal,
            )
        })
}

/// What a reader is told of bytes that are not the batches they should be.
pub(crate) fn unreadable(place: &TopicPartition, malformed: &Malformed) -> Error {
    use std::error::Error as _;
    let message = match malformed.source() {
        Some(source) => format!("{malformed}: {source}"),
        None => malformed.to_string(),
    };
    // The names that librdkafka's binding prints.
    let (code, class) = match malformed {
        Malformed::Magic { .. } => ("UnsupportedVersion", Class::Fatal),
        Malformed::Codec { .. } => ("UnsupportedCompressionType", Class::Fatal),
        Malformed::Corrupt { .. } | Malformed::Compression { .. } => ("InvalidMessage", Class::Retriable),
    };
    local(format!("reading {place}"), code, message, class)
}
