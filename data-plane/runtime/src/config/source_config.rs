//! The settings of a source connector.

use super::connector_config::{ConnectorConfig, OVERSIZE, SOURCE_LETTERS, source_definition};
use super::sink_config::Conflict;
use super::topic_creation::{self, TopicGroup};
use dray_connect::{ConfigMap, Result};
use dray_converters::{ByteArrayConverter, StringConverter};
use dray_transforms::config::enrich;

/// `dray.errors.oversize`: what happens to a record that is larger than the producer or the topic takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Oversize {
    /// As to any other that Kafka refuses: `errors.tolerance` decides.
    #[default]
    Fail,
    /// It goes to the dead letter queue, whatever is tolerated.
    DeadLetter,
    /// Its value is cut.
    Truncate,
}

impl Oversize {
    pub(super) const NAMES: [&'static str; 3] = ["fail", DEAD_LETTER, TRUNCATE];
}

const DEAD_LETTER: &str = "dead-letter";
const TRUNCATE: &str = "truncate";
/// What writes values that are still values when a part of them is gone.
const CUTTABLE: [&str; 2] = [StringConverter::CLASS, ByteArrayConverter::CLASS];

/// Where a source's bad records go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceLetterConfig {
    /// `dray.errors.deadletterqueue.topic.name`.
    pub topic: String,
    /// `dray.errors.deadletterqueue.topic.replication.factor`.
    pub replication_factor: i16,
}

/// What the framework needs of a source connector's configuration.
#[derive(Clone, Debug)]
pub struct SourceConfig {
    /// What every connector has.
    pub connector: ConnectorConfig,
    /// The groups of topics to create, the default group last; empty when the connector asks for none.
    pub topic_groups: Vec<TopicGroup>,
    /// Its dead letter queue, if it has one.
    pub letters: Option<SourceLetterConfig>,
    /// What happens to records that are too large.
    pub oversize: Oversize,
}

impl SourceConfig {
    /// Reads a configuration; `topic_creation` is the worker's `topic.creation.enable`.
    ///
    /// # Errors
    /// With Connect's text for the first key that is missing, has a value that is not allowed, or is not supported yet.
    pub fn parse(config: &ConfigMap, topic_creation: bool) -> Result<Self> {
        let parsed = enrich(source_definition().clone(), config).parse(config)?;
        let groups = parsed.list("topic.creation.groups").unwrap_or_default();
        let topic = parsed.string(SOURCE_LETTERS).unwrap_or_default().trim();
        let letters = (!topic.is_empty()).then(|| -> Result<SourceLetterConfig> {
            Ok(SourceLetterConfig {
                topic: topic.to_owned(),
                replication_factor: parsed.short("dray.errors.deadletterqueue.topic.replication.factor")?,
            })
        });
        let oversize = match parsed.string(OVERSIZE) {
            Some(DEAD_LETTER) => Oversize::DeadLetter,
            Some(TRUNCATE) => Oversize::Truncate,
            Some(_) | None => Oversize::Fail,
        };
        Ok(Self {
            connector: ConnectorConfig::read(&parsed)?,
            topic_groups: if topic_creation {
                topic_creation::groups(config, groups)?
            } else {
                Vec::new()
            },
            letters: letters.transpose()?,
            oversize,
        })
    }
}

/// What stands against what is wanted of records that are too large; `value_converter` is the class of the one that is used.
#[must_use]
pub fn conflict(config: &ConfigMap, value_converter: &str) -> Option<Conflict> {
    let written = |key: &str| config.get(key).map_or("", |value| value.trim());
    let problem = match written(OVERSIZE) {
        DEAD_LETTER if has_letters(config) => return None,
        DEAD_LETTER => format!("{SOURCE_LETTERS} has to name a topic"),
        TRUNCATE if CUTTABLE.contains(&value_converter) => return None,
        TRUNCATE => "only what StringConverter and ByteArrayConverter write can be cut".to_owned(),
        _ => return None,
    };
    Some(Conflict { key: OVERSIZE, problem })
}

/// Whether a source has a dead letter queue.
#[must_use]
pub fn has_letters(config: &ConfigMap) -> bool {
    config.get(SOURCE_LETTERS).is_some_and(|topic| !topic.trim().is_empty())
}
