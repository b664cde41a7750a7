//! The framework's own keys, of workers and of connectors: one definition of each (names, types, defaults, order and
//! texts are Kafka Connect's), and what was read with it as typed settings. Nothing else in this crate asks a
//! configuration for a framework key by its name, but the layers of client settings.

pub mod connector_config;
pub mod sink_config;
pub mod source_config;
pub mod topic_creation;
pub mod worker_config;

#[cfg(test)]
mod tests;

pub use self::connector_config::ConnectorConfig;
pub use self::sink_config::{DeadLetterConfig, SinkConfig, Topics};
pub use self::source_config::{Oversize, SourceConfig, SourceLetterConfig};
pub use self::topic_creation::TopicGroup;
pub use self::worker_config::WorkerConfig;

use dray_connect::config::{
    ClassResolver, Composite, ConfigDef, ConfigKey, ConfigType, ConfigValue, Importance, Lambda, NonNull, ParsedConfig,
    UniqueList, Validator,
};
use dray_connect::{ConfigMap, Error, Result};
use dray_transforms::Chain;
use dray_transforms::config::enrich;
use std::sync::Arc;

/// A converter class and its own keys, their prefix off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginConfig {
    /// The full class name.
    pub class: String,
    /// Its keys.
    pub settings: ConfigMap,
}

impl PluginConfig {
    /// The class that `key` names, if it names one, with the keys below it.
    fn read(config: &ParsedConfig, key: &str) -> Option<Self> {
        config.class(key).map(|class| Self {
            class: class.to_owned(),
            settings: config.originals_with_prefix(&format!("{key}.")),
        })
    }
}

fn key(name: &str, kind: ConfigType, importance: Importance, doc: &str) -> ConfigKey {
    ConfigKey::new(name, kind).importance(importance).doc(doc)
}

/// Finds converters, transforms and predicates, by full name and by alias.
#[derive(Debug)]
struct PluginClasses;

impl ClassResolver for PluginClasses {
    fn resolve(&self, name_or_alias: &str) -> Option<String> {
        dray_converters::class_name(name_or_alias)
            .map(str::to_owned)
            .or_else(|| dray_transforms::config::class_name(name_or_alias))
    }

    fn nearest(&self, name: &str) -> Vec<String> {
        let converters = dray_converters::CLASSES.iter().map(|class| (*class).to_owned());
        let all: Vec<String> = converters
            .chain(dray_transforms::config::transformation_names())
            .chain(dray_transforms::config::predicate_names())
            .collect();
        dray_transforms::config::nearest(name, &all)
    }
}

/// The transforms of a connector's configuration, checked as a part of it. The framework's other keys are not looked at.
///
/// # Errors
/// With Connect's text for the first key of a transform or predicate that is missing or has a value that is not allowed.
pub fn chain(config: &ConfigMap) -> Result<Chain> {
    let classes = ConfigDef::new().with_classes(Arc::new(PluginClasses));
    enrich(classes, config).parse(config)?;
    Chain::read(config)
}

/// Refuses a class that is there but not of that kind.
fn converter_class(interface: &'static str) -> impl Validator {
    let description = format!(
        "A concrete subclass of org.apache.kafka.connect.storage.{interface}, A class with a public, no-argument constructor"
    );
    Lambda::new(description, move |_name, value| {
        let ConfigValue::Class(class) = value else {
            return Ok(());
        };
        // Every converter without a registry is a header converter as well.
        let fits = if interface == "Converter" {
            dray_converters::CLASSES.contains(&class.as_str())
        } else {
            !dray_converters::WITH_REGISTRY.contains(&class.as_str())
        };
        if !fits {
            let text = format!("Class class {class} does not implement the {interface} interface");
            return Err(Error::config(text));
        }
        Ok(())
    })
}

/// A list of names of which none occurs twice.
fn unique_names(description: &str) -> impl Validator {
    let unique = UniqueList::new("Duplicate alias provided.");
    let unique = Lambda::new(description, move |name, value| unique.ensure_valid(name, value));
    Composite::of(vec![Box::new(NonNull), Box::new(unique)])
}
