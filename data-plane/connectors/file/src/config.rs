//! The configuration keys of both connectors and what becomes of them.

use dray_connect::config::{ConfigDef, ConfigKey, ConfigMap, ConfigType, Importance, NonEmptyString, ParsedConfig};
use dray_connect::{Error, Result};
use std::path::PathBuf;
use std::sync::Arc;

const FILE: &str = "file";
const TOPIC: &str = "topic";
const BATCH_SIZE: &str = "batch.size";

/// Lines in one batch where `batch.size` is not set: in practice a block's worth, and a bound for files of short lines.
const DEFAULT_LINES: usize = 10_000;

/// The keys of the source.
///
/// `batch.size` shows Connect's default of 2000 and is obeyed exactly when it is set. When it is not, a batch has as many
/// lines as one block of the file, up to 10,000: nobody asked for 2000, and larger batches are cheaper.
pub(crate) fn source_def() -> ConfigDef {
    ConfigDef::new()
        .define(
            ConfigKey::new(FILE, ConfigType::String)
                .default_null()
                .importance(Importance::High)
                .doc("Source filename. If not specified, the standard input will be used"),
        )
        .define(
            ConfigKey::new(TOPIC, ConfigType::String)
                .validator(NonEmptyString)
                .importance(Importance::High)
                .doc("The topic to publish data to"),
        )
        .define(
            ConfigKey::new(BATCH_SIZE, ConfigType::Int).default_value(2000).importance(Importance::Low).doc(
                "The maximum number of records the source task can read from the file each time it is polled. When it is \
                 not set, a batch has as many lines as a block of the file, up to 10000",
            ),
        )
}

/// The keys of the sink.
pub(crate) fn sink_def() -> ConfigDef {
    ConfigDef::new().define(
        ConfigKey::new(FILE, ConfigType::String)
            .default_null()
            .importance(Importance::High)
            .doc("Destination filename. If not specified, the standard output will be used"),
    )
}

/// What the source does.
#[derive(Debug)]
pub(crate) struct SourcePlan {
    /// `file` as it was configured: it is part of the source partition, so nothing is normalised. Null and empty both
    /// mean standard input, and are kept apart because Connect's source partitions differ.
    pub(crate) file: Option<Box<str>>,
    pub(crate) topic: Arc<str>,
    /// At most so many lines a poll; at least 1, as Connect behaves with zero and negative numbers.
    pub(crate) batch_lines: usize,
}

impl SourcePlan {
    pub(crate) fn new(config: &ConfigMap) -> Result<Self> {
        let parsed = source_def().parse(config)?;
        let batch_lines = if config.contains_key(BATCH_SIZE) {
            usize::try_from(parsed.int(BATCH_SIZE)?).unwrap_or_default().max(1)
        } else {
            DEFAULT_LINES
        };
        let topic = parsed
            .string(TOPIC)
            .ok_or_else(|| Error::config("topic has no value"))?;
        Ok(Self {
            file: parsed.string(FILE).map(Into::into),
            topic: topic.into(),
            batch_lines,
        })
    }

    /// The file to read; none means standard input.
    pub(crate) fn path(&self) -> Option<PathBuf> {
        self.file.as_deref().filter(|file| !file.is_empty()).map(PathBuf::from)
    }
}

/// The file that the sink writes; none means standard output.
pub(crate) fn sink_path(config: &ConfigMap) -> Result<Option<PathBuf>> {
    let parsed: ParsedConfig = sink_def().parse(config)?;
    Ok(parsed.string(FILE).filter(|file| !file.is_empty()).map(PathBuf::from))
}
