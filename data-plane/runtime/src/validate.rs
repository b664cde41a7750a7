//! What is wrong with a connector's configuration, key by key, and which keys plugins have: what Connect's
//! `AbstractHerder.validateConnectorConfig` and `connectorPluginConfig` answer, in their order.

mod classes;
mod client_keys;
mod info;
mod own_letters;
mod plugin_config;

pub use self::info::{Info, Infos, KeyInfo};

use self::info::Section;
use crate::config::connector_config::{sink_definition, source_definition};
use crate::config::{sink_config, sink_config::LETTERS, source_config};
use crate::guard::guarded_now;
use crate::unsupported;
use crate::worker::Worker;
use dray_connect::ConfigMap;
use dray_connect::config::{ConfigDef, ConfigInfoValue};
use dray_connect::connector::{Connector, Make, TransactionBoundaries};
use dray_transforms::Chain;
use dray_transforms::config::{TRANSFORMS, enrich};
use std::collections::{BTreeMap, BTreeSet};

/// A configuration as somebody sends it: in its order, and with nulls.
pub type Submitted = [(String, Option<String>)];

/// Why there is no answer at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// What was asked cannot be.
    #[error("{0}")]
    BadRequest(String),
    /// The settings of a client cannot be read.
    #[error("{0}")]
    Config(String),
    /// There is no such plugin.
    #[error("{0}")]
    NotFound(String),
    /// A plugin failed.
    #[error("{0}")]
    Failed(String),
}

/// What Connect's definition of `topics` says of a list, besides that of other keys.
fn no_topics(topics: Option<&str>) -> Option<&'static str> {
    let Some(topics) = topics else {
        return Some("Configuration 'topics' values must not be null.");
    };
    if topics.trim().is_empty() {
        return None;
    }
    let mut seen = BTreeSet::new();
    if !topics.split(',').all(|topic| seen.insert(topic.trim())) {
        return Some("Configuration 'topics' values must not be duplicated.");
    }
    seen.contains("")
        .then_some("Configuration 'topics' values must not be empty.")
}

impl Worker {
    /// Validates the configuration of a connector with the values that it refers to, and shows none of them.
    ///
    /// # Errors
    /// As [`validate`](Self::validate), and when a value cannot be had.
    pub async fn validate_resolved(&self, mut submitted: Vec<(String, Option<String>)>) -> Result<Infos, Refused> {
        let written: ConfigMap = submitted
            .iter()
            .filter_map(|(key, value)| Some((key.clone(), value.clone()?)))
            .collect();
        if !self.config().providers().are_used_by(&written) {
            return self.validate(&submitted);
        }
        let resolved = self.resolve(&written).await;
        let resolved = resolved.map_err(|error| Refused::BadRequest(error.to_string()))?;
        for (key, value) in &mut submitted {
            if let (Some(value), Some(found)) = (value, resolved.config().get(key)) {
                value.clone_from(found);
            }
        }
        let mut infos = self.validate(&submitted)?;
        infos.hide(&resolved, self.config().providers().hidden());
        Ok(infos)
    }

    /// Validates the configuration of a connector.
    ///
    /// # Errors
    /// When it names no class, or one that is not here, or the plugin itself fails.
    pub fn validate(&self, submitted: &Submitted) -> Result<Infos, Refused> {
        let with_nulls: BTreeMap<String, Option<String>> = submitted.iter().cloned().collect();
        let given = with_nulls
            .iter()
            .filter_map(|(key, value)| Some((key.clone(), value.clone()?)));
        let config: ConfigMap = given.collect();
        let Some(class) = config.get("connector.class") else {
            let shown = java_map(submitted);
            return Err(Refused::BadRequest(format!(
                "Connector config {shown} contains no connector type"
            )));
        };
        let plugin = self
            .plugin(&config)
            .map_err(|error| Refused::Failed(error.to_string()))?;
        let connector = plugin.make();
        let (framework, own) = match &connector {
            Connector::Source(source) => (source_definition(), source.config_def()),
            Connector::Sink(sink) => (sink_definition(), sink.config_def()),
        };
        let framework = enrich(framework.clone(), &config);
        let mut values = framework.validate_all(&with_nulls);
        if let (Connector::Sink(_), Some(topics)) = (&connector, with_nulls.get("topics"))
            && let Some(problem) = no_topics(topics.as_deref())
        {
            add(&mut values, "topics", None, problem);
        }
        self.check(&connector, &config, &mut values)?;
        for (key, _) in submitted.iter().filter(|(_, value)| value.is_none()) {
            add(
                &mut values,
                key,
                None,
                "Null value can not be supplied as the configuration value.",
            );
        }
        let converters = ["header.converter", "key.converter", "value.converter"]
            .map(|key| converter_section(key, &config, &values));
        let theirs = guarded_now("validate", || Ok(own.validate_all(&with_nulls)));
        values.extend(theirs.map_err(|error| Refused::Failed(error.to_string()))?);

        let mut infos = Infos::of(class, Section::main(&[&framework, own], values));
        for section in self.client_sections(matches!(plugin.make, Make::Source(_)), &config) {
            infos.append(section.map_err(|error| Refused::Config(error.to_string()))?);
        }
        for section in converters.into_iter().flatten() {
            infos.append(section);
        }
        self.offer_classes(&mut infos);
        Ok(infos)
    }

    /// What one key alone cannot say.
    fn check(
        &self,
        connector: &Connector,
        config: &ConfigMap,
        values: &mut Vec<ConfigInfoValue>,
    ) -> Result<(), Refused> {
        let failed = |error: dray_connect::Error| Refused::Failed(error.to_string());
        match connector {
            Connector::Source(source) => {
                let named = config.get("value.converter").map(|class| class.trim());
                let class = named.unwrap_or(&self.config().value_converter.class);
                let class = dray_converters::class_name(class).unwrap_or(class);
                if let Some(conflict) = source_config::conflict(config, class) {
                    add(values, conflict.key, None, &conflict.problem);
                }
                if let Some(conflict) = own_letters::conflict(source.as_ref(), config, self.config().originals()) {
                    add(values, conflict.key, None, &conflict.problem);
                }
                let wanted = config.get("transaction.boundary").map(|value| value.trim());
                if wanted.is_some_and(|value| value.eq_ignore_ascii_case("connector")) {
                    let can = guarded_now("can_define_transaction_boundaries", || {
                        Ok(source.can_define_transaction_boundaries(config))
                    });
                    if can.map_err(failed)? == TransactionBoundaries::Unsupported {
                        let problem = "The connector does not support connector-defined transaction boundaries with the given \
                                       configuration. Please reconfigure it to use a different transaction boundary definition.";
                        add(values, "transaction.boundary", None, problem);
                    }
                }
            }
            Connector::Sink(_) => {
                for conflict in sink_config::conflicts(config).map_err(failed)? {
                    add(values, conflict.key, None, &conflict.problem);
                }
                self.check_group(config, values);
            }
        }
        for (key, value, problem) in unsupported::connector_problems(config) {
            add(values, key, Some(value), problem);
        }
        // Where the keys are right one by one, all of them together have to make transforms.
        if values.iter().all(|value| value.errors.is_empty())
            && let Err(error) = Chain::read(config)
        {
            add(values, TRANSFORMS, None, &error.to_string());
        }
        Ok(())
    }

    /// A sink may not be in the group of the workers.
    fn check_group(&self, config: &ConfigMap, values: &mut Vec<ConfigInfoValue>) {
        let Some(ours) = self.config().originals().get("group.id") else {
            return;
        };
        let key = "consumer.override.group.id";
        if let Some(group) = config.get(key) {
            if group == ours {
                let problem = format!("Consumer group {group} conflicts with Connect worker group {ours}");
                add(values, key, Some(group.clone()), &problem);
            }
        } else if let Some(name) = config.get("name")
            && *ours == format!("connect-{name}")
        {
            let problem =
                format!("Consumer group for sink connector named {name} conflicts with Connect worker group {ours}");
            add(values, "name", None, &problem);
        }
    }

    /// The client settings that a connector overrides, for each client that it has.
    fn client_sections(&self, source: bool, config: &ConfigMap) -> Vec<dray_connect::Result<Section>> {
        let letters = config.get(LETTERS).is_some_and(|topic| !topic.trim().is_empty());
        let source_letters = source && source_config::has_letters(config);
        let creates = self.config().topic_creation && config.keys().any(|key| key.starts_with("topic.creation."));
        let clients = [
            ("producer", source || letters),
            ("consumer", !source),
            ("admin", if source { creates || source_letters } else { letters }),
        ];
        let used = clients.into_iter().filter(|(_, used)| *used);
        used.map(|(client, _)| client_keys::section(client, config)).collect()
    }
}

/// The keys of a converter that the connector itself names, if it could be found.
fn converter_section(key: &str, config: &ConfigMap, values: &[ConfigInfoValue]) -> Option<Section> {
    let class = config.get(key)?;
    let found = values.iter().find(|value| value.name == key)?;
    if !found.errors.is_empty() {
        return None;
    }
    let prefix = format!("{key}.");
    let mut own: BTreeMap<String, Option<String>> = config
        .iter()
        .filter_map(|(name, value)| Some((name.strip_prefix(&prefix)?.to_owned(), Some(value.clone()))))
        .collect();
    let what = key.split('.').next().unwrap_or(key).to_owned();
    own.entry("converter.type".into()).or_insert(Some(what));
    let definition: ConfigDef = dray_converters::definition(dray_converters::class_name(class)?);
    let values = definition.validate_all(&own);
    Some(Section::prefixed(&prefix, &definition, values))
}

/// Adds an error to a key, which is shown from then on.
fn add(values: &mut Vec<ConfigInfoValue>, key: &str, value: Option<String>, problem: &str) {
    if let Some(found) = values.iter_mut().find(|found| found.name == key) {
        found.errors.push(problem.to_owned());
        return;
    }
    values.push(ConfigInfoValue {
        name: key.to_owned(),
        value,
        recommended_values: Vec::new(),
        errors: vec![problem.to_owned()],
        visible: true,
    });
}

/// As Java prints a map.
fn java_map(entries: &Submitted) -> String {
    let entry = |(key, value): &(String, Option<String>)| format!("{key}={}", value.as_deref().unwrap_or("null"));
    let entries: Vec<String> = entries.iter().map(entry).collect();
    format!("{{{}}}", entries.join(", "))
}
