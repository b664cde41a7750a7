//! The settings of a sink connector.

use super::connector_config::{BISECT, ConnectorConfig, PATTERN, TOPICS, sink_definition};
use dray_connect::pattern::Pattern;
use dray_connect::{ConfigMap, Error, Result};
use dray_transforms::config::enrich;

/// The key of the dead letter queue.
pub(crate) const LETTERS: &str = "errors.deadletterqueue.topic.name";

/// What a sink reads.
#[derive(Clone, Debug)]
pub enum Topics {
    /// These topics.
    List(Vec<String>),
    /// All whose whole name matches.
    Pattern(Pattern),
}

/// Where a sink's bad records go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetterConfig {
    /// `errors.deadletterqueue.topic.name`.
    pub topic: String,
    /// `errors.deadletterqueue.topic.replication.factor`.
    pub replication_factor: i16,
    /// `errors.deadletterqueue.context.headers.enable`.
    pub context_headers: bool,
    /// `dray.errors.bisect`: whether bad records are looked for in a batch that the sink refuses.
    pub bisect: bool,
}

/// What the framework needs of a sink connector's configuration.
#[derive(Clone, Debug)]
pub struct SinkConfig {
    /// What every connector has.
    pub connector: ConnectorConfig,
    /// What it reads.
    pub topics: Topics,
    /// Its dead letter queue, if it has one.
    pub dead_letters: Option<DeadLetterConfig>,
}

impl SinkConfig {
    /// Reads a configuration.
    ///
    /// # Errors
    /// With Connect's text for the first key that is missing, has a value that is not allowed, contradicts another, or
    /// is not supported yet.
    pub fn parse(config: &ConfigMap) -> Result<Self> {
        let parsed = enrich(sink_definition().clone(), config).parse(config)?;
        let connector = ConnectorConfig::read(&parsed)?;
        if let Some(conflict) = conflicts(config)?.into_iter().next() {
            let value = config.get(conflict.key).map(String::as_str);
            return Err(Error::invalid_config(conflict.key, value, Some(&conflict.problem)));
        }
        let pattern = parsed.string(PATTERN).unwrap_or_default();
        let topics = if pattern.is_empty() {
            Topics::List(names(config))
        } else {
            Topics::Pattern(compiled(pattern)?)
        };
        let letters = parsed.string(LETTERS).unwrap_or_default();
        let dead_letters = (!letters.is_empty()).then(|| -> Result<DeadLetterConfig> {
            Ok(DeadLetterConfig {
                topic: letters.to_owned(),
                replication_factor: parsed.short("errors.deadletterqueue.topic.replication.factor")?,
                context_headers: parsed.boolean("errors.deadletterqueue.context.headers.enable")?,
                bisect: parsed.boolean(BISECT)?,
            })
        });
        Ok(Self {
            connector,
            topics,
            dead_letters: dead_letters.transpose()?,
        })
    }
}

/// A key that contradicts another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The key.
    pub key: &'static str,
    /// Why, as validation shows it.
    pub problem: String,
}

/// The contradictions between the topics, their pattern and the dead letter queue.
///
/// # Errors
/// When the pattern is not a regular expression, or cannot be matched against the dead letter queue.
pub fn conflicts(config: &ConfigMap) -> Result<Vec<Conflict>> {
    let written = |key: &str| config.get(key).map_or("", |value| value.trim());
    let both = |problem: &str| {
        [TOPICS, PATTERN].map(|key| Conflict {
            key,
            problem: problem.to_owned(),
        })
    };
    let pattern = written(PATTERN);
    match (written(TOPICS).is_empty(), pattern.is_empty()) {
        (false, false) => {
            return Ok(both("topics and topics.regex are mutually exclusive options, but both are set.").into());
        }
        (true, true) => return Ok(both("Must configure one of topics or topics.regex").into()),
        (true, false) | (false, true) => {}
    }
    let letters = written(LETTERS);
    if letters.is_empty() {
        return Ok(Vec::new());
    }
    let list = names(config);
    if list.iter().any(|topic| topic == letters) {
        let problem = format!(
            "The DLQ topic '{letters}' may not be included in the list of topics ('topics=[{}]') consumed by the connector",
            list.join(", ")
        );
        return Ok(vec![Conflict { key: TOPICS, problem }]);
    }
    let read_again = !pattern.is_empty()
        && compiled(pattern)?
            .matches(letters)
            .map_err(|error| invalid(pattern, &error.to_string()))?;
    if read_again {
        let problem = format!(
            "The DLQ topic '{letters}' may not be matched by the regex for the topics ('topics.regex={pattern}') consumed by the connector"
        );
        return Ok(vec![Conflict { key: PATTERN, problem }]);
    }
    Ok(Vec::new())
}

/// The topics in the order in which they were written, each once.
fn names(config: &ConfigMap) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in config.get(TOPICS).map_or("", String::as_str).split(',').map(str::trim) {
        if !name.is_empty() && !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names
}

fn compiled(pattern: &str) -> Result<Pattern> {
    Pattern::compile(pattern).map_err(|error| invalid(pattern, &error.to_string()))
}

fn invalid(pattern: &str, problem: &str) -> Error {
    Error::invalid_config(PATTERN, Some(pattern), Some(&format!("Invalid regex: {problem}")))
}
