//! The keys that a plugin defines.

use super::{KeyInfo, Refused};
use crate::config::connector_config::{sink_definition, source_definition};
use crate::worker::Worker;
use dray_connect::config::ConfigDef;
use dray_connect::connector::Connector;

impl Worker {
    /// The keys of a plugin, by any of its names: of a connector its own first, then those that the framework adds.
    ///
    /// # Errors
    /// When it is not here.
    pub fn plugin_config(&self, plugin: &str) -> Result<Vec<KeyInfo>, Refused> {
        if let Some(found) = self.plugins().iter().find(|known| known.answers_to(plugin)) {
            let connector = found.make();
            return Ok(match &connector {
                Connector::Source(source) => keys(&[source.config_def(), source_definition()]),
                Connector::Sink(sink) => keys(&[sink.config_def(), sink_definition()]),
            });
        }
        if let Some(class) = dray_converters::class_name(plugin) {
            return Ok(keys(&[&dray_converters::definition(class)]));
        }
        match dray_transforms::config::definition(plugin) {
            Some(definition) => Ok(keys(&[&definition])),
            None => Err(Refused::NotFound(format!("Unknown plugin {plugin}."))),
        }
    }
}

/// The keys in the order of their definition, each as it is defined first.
fn keys(definitions: &[&ConfigDef]) -> Vec<KeyInfo> {
    let mut keys: Vec<KeyInfo> = Vec::new();
    for key in definitions.iter().flat_map(|definition| definition.keys()) {
        if !keys.iter().any(|known| known.name == key.name()) {
            keys.push(KeyInfo::of("", key));
        }
    }
    keys
}
