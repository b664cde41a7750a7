//! The settings of a source connector.

use super::connector_config::{ConnectorConfig, source_definition};
use super::topic_creation::{self, TopicGroup};
use dray_connect::{ConfigMap, Result};
use dray_transforms::config::enrich;

/// What the framework needs of a source connector's configuration.
#[derive(Clone, Debug)]
pub struct SourceConfig {
    /// What every connector has.
    pub connector: ConnectorConfig,
    /// The groups of topics to create, the default group last; empty when the connector asks for none.
    pub topic_groups: Vec<TopicGroup>,
}

impl SourceConfig {
    /// Reads a configuration; `topic_creation` is the worker's `topic.creation.enable`.
    ///
    /// # Errors
    /// With Connect's text for the first key that is missing, has a value that is not allowed, or is not supported yet.
    pub fn parse(config: &ConfigMap, topic_creation: bool) -> Result<Self> {
        let parsed = enrich(source_definition().clone(), config).parse(config)?;
        let groups = parsed.list("topic.creation.groups").unwrap_or_default();
        Ok(Self {
            connector: ConnectorConfig::read(&parsed)?,
            topic_groups: if topic_creation {
                topic_creation::groups(config, groups)?
            } else {
                Vec::new()
            },
        })
    }
}
