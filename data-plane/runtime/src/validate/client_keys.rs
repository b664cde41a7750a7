//! The settings of Kafka's clients that connectors may override, with the types and defaults that Kafka gives them.

use super::info::Section;
use dray_connect::config::{ConfigDef, ConfigInfoValue, ConfigKey, ConfigType, ConfigValue, Importance};
use dray_connect::{ConfigMap, Result};
use std::sync::LazyLock;

const TABLE: &str = include_str!("../config/clients.txt");

static PRODUCER: LazyLock<ConfigDef> = LazyLock::new(|| read('p', "producer"));
static CONSUMER: LazyLock<ConfigDef> = LazyLock::new(|| read('c', "consumer"));
static ADMIN: LazyLock<ConfigDef> = LazyLock::new(|| read('a', "admin"));

/// The settings of one client that a connector overrides: `producer.override.*` and so on. The policy of the worker is `All`.
///
/// # Errors
/// For a value that is not of its key's type, which Connect does not tell by key either.
pub(super) fn section(client: &str, config: &ConfigMap) -> Result<Section> {
    let prefix = format!("{client}.override.");
    let definition: &ConfigDef = match client {
        "producer" => &PRODUCER,
        "consumer" => &CONSUMER,
        _ => &ADMIN,
    };
    let mut values = Vec::new();
    for (key, text) in config {
        let Some(name) = key.strip_prefix(&prefix) else {
            continue;
        };
        let value = match definition.key(name) {
            Some(known) => ConfigValue::parse(name, text, known.type_())?.render(),
            None => Some(text.clone()),
        };
        values.push(ConfigInfoValue {
            name: name.to_owned(),
            value,
            recommended_values: Vec::new(),
            errors: Vec::new(),
            visible: true,
        });
    }
    Ok(Section::prefixed(&prefix, definition, values))
}

fn read(letter: char, client: &str) -> ConfigDef {
    let lines = TABLE.lines().filter(|line| !line.starts_with('#'));
    lines.fold(ConfigDef::new(), |definition, line| {
        let mut words = line.splitn(5, ' ');
        let mut word = || words.next().unwrap_or_default();
        let (name, clients, kind, importance, default) = (word(), word(), word(), word(), word());
        if !clients.contains(letter) {
            return definition;
        }
        let key = ConfigKey::new(name, type_of(kind))
            .importance(importance_of(importance))
            .doc(format!("A setting of the {client}, as Kafka documents it."));
        definition.define(match default {
            "!" => key,
            "null" => key.default_null(),
            value => key.default_value(value.trim_start_matches('=')),
        })
    })
}

fn type_of(word: &str) -> ConfigType {
    match word {
        "BOOLEAN" => ConfigType::Boolean,
        "INT" => ConfigType::Int,
        "SHORT" => ConfigType::Short,
        "LONG" => ConfigType::Long,
        "DOUBLE" => ConfigType::Double,
        "LIST" => ConfigType::List,
        "CLASS" => ConfigType::Class,
        "PASSWORD" => ConfigType::Password,
        _ => ConfigType::String,
    }
}

fn importance_of(word: &str) -> Importance {
    match word {
        "HIGH" => Importance::High,
        "MEDIUM" => Importance::Medium,
        _ => Importance::Low,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_can_be_read_whole() {
        let lines = TABLE.lines().filter(|line| !line.starts_with('#'));
        let kinds = [
            "STRING", "BOOLEAN", "INT", "SHORT", "LONG", "DOUBLE", "LIST", "CLASS", "PASSWORD",
        ];
        for line in lines {
            let words: Vec<&str> = line.splitn(5, ' ').collect();
            assert_eq!(words.len(), 5, "{line}");
            assert!(
                kinds.contains(&words[2]) && ["HIGH", "MEDIUM", "LOW"].contains(&words[3]),
                "{line}"
            );
        }
        for (definition, count) in [(&PRODUCER, 113), (&CONSUMER, 116), (&ADMIN, 91)] {
            definition.check().unwrap();
            assert_eq!(definition.keys().count(), count);
        }
    }

    #[test]
    fn what_is_overridden_is_shown_with_its_definition() {
        let config = [
            ("producer.override.linger.ms", " 7 "),
            ("producer.override.mine", "x"),
            ("linger.ms", "1"),
        ];
        let config: ConfigMap = config.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let shown = section("producer", &config).unwrap().configs;
        assert_eq!(shown.len(), 2);
        assert_eq!(shown[0].value.as_ref().unwrap().value.as_deref(), Some("7"));
        let definition = shown[0].definition.as_ref().unwrap();
        assert_eq!(
            (definition.name.as_str(), definition.kind),
            ("producer.override.linger.ms", ConfigType::Long)
        );
        assert_eq!(shown[1].definition, None);
        assert!(section("consumer", &config).unwrap().configs.is_empty());
        let wrong = [("producer.override.linger.ms".to_owned(), "soon".to_owned())].into();
        assert!(section("producer", &wrong).is_err());
    }
}
