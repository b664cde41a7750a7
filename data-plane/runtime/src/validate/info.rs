//! Definitions and findings side by side, as REST shows them, and how errors are counted.

use dray_connect::config::{ConfigDef, ConfigInfoValue, ConfigKey, ConfigType, ConfigValue, Importance, Width};
use dray_process::hidden::Hidden;
use dray_providers::Resolved;
use indexmap::IndexMap;

/// The definition of a key, for people and forms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyInfo {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: ConfigType,
    /// Whether it has to be set.
    pub required: bool,
    /// What it is when it is not set.
    pub default: Option<String>,
    /// How much it matters.
    pub importance: Importance,
    /// What it is for.
    pub doc: String,
    /// Where forms show it.
    pub group: Option<String>,
    /// Its place there.
    pub order: i32,
    /// How wide.
    pub width: Width,
    /// What forms call it.
    pub display_name: String,
    /// Keys whose recommended values depend on it.
    pub dependents: Vec<String>,
}

impl KeyInfo {
    /// A key with something in front of its name.
    #[must_use]
    pub fn of(prefix: &str, key: &ConfigKey) -> Self {
        Self {
            name: format!("{prefix}{}", key.name()),
            kind: key.type_(),
            required: key.is_required(),
            default: key.get_default().and_then(ConfigValue::render),
            importance: key.get_importance(),
            doc: key.get_doc().to_owned(),
            group: key.get_group().map(str::to_owned),
            order: key.get_order(),
            width: key.get_width(),
            display_name: key.get_display_name().to_owned(),
            dependents: key.get_dependents().to_vec(),
        }
    }
}

/// One key of a validated configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// Its definition; none: nothing defines it.
    pub definition: Option<KeyInfo>,
    /// What was found; none: nothing was.
    pub value: Option<ConfigInfoValue>,
}

/// A validated configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Infos {
    /// The connector's class, as the configuration names it.
    pub name: String,
    /// How many errors there are.
    pub error_count: usize,
    /// Groups of keys.
    pub groups: Vec<String>,
    /// The keys.
    pub configs: Vec<Info>,
}

/// A part of the answer: the connector's own keys, those of a converter, those of a client.
pub(super) struct Section {
    pub(super) error_count: usize,
    pub(super) groups: Vec<String>,
    pub(super) configs: Vec<Info>,
}

impl Infos {
    pub(super) fn of(class: &str, main: Section) -> Self {
        Self {
            name: class.to_owned(),
            error_count: main.error_count,
            groups: main.groups,
            configs: main.configs,
        }
    }

    /// Shows what was written instead of values of config providers.
    pub(super) fn hide(&mut self, resolved: &Resolved, hidden: &Hidden) {
        let hide = |text: &mut String| *text = hidden.hide(text).into_owned();
        for info in self.configs.iter_mut().filter_map(|info| info.value.as_mut()) {
            let found = resolved.config().get(&info.name);
            match resolved.written(&info.name) {
                Some(written) if info.value.as_ref() == found => info.value = Some(written.to_owned()),
                Some(_) | None => info.value.iter_mut().for_each(hide),
            }
            info.errors
                .iter_mut()
                .chain(&mut info.recommended_values)
                .for_each(hide);
        }
    }

    pub(super) fn append(&mut self, section: Section) {
        self.error_count += section.error_count;
        for group in section.groups {
            if !self.groups.contains(&group) {
                self.groups.push(group);
            }
        }
        self.configs.extend(section.configs);
    }
}

impl Section {
    /// The framework's keys and the connector's: of a key that both have the later definition and the later finding count. Findings
    /// about keys that nobody defines come first. Every error counts.
    pub(super) fn main(definitions: &[&ConfigDef], values: Vec<ConfigInfoValue>) -> Self {
        let mut keys: IndexMap<&str, &ConfigKey> = IndexMap::new();
        let mut groups: Vec<String> = Vec::new();
        for definition in definitions {
            for group in definition.groups() {
                if !groups.contains(group) {
                    groups.push(group.clone());
                }
            }
            keys.extend(definition.keys().map(|key| (key.name(), key)));
        }
        let (mut error_count, mut configs) = (0, Vec::new());
        let mut found: IndexMap<String, ConfigInfoValue> = IndexMap::new();
        for value in values {
            if keys.contains_key(value.name.as_str()) {
                found.insert(value.name.clone(), value);
            } else {
                error_count += value.errors.len();
                configs.push(Info {
                    definition: None,
                    value: Some(value),
                });
            }
        }
        for (name, key) in keys {
            let value = found.swap_remove(name);
            error_count += value.as_ref().map_or(0, |value| value.errors.len());
            configs.push(Info {
                definition: Some(KeyInfo::of("", key)),
                value,
            });
        }
        Self {
            error_count,
            groups,
            configs,
        }
    }

    /// The keys of something that the connector uses. A key counts once, whatever is wrong with it.
    pub(super) fn prefixed(prefix: &str, definition: &ConfigDef, values: Vec<ConfigInfoValue>) -> Self {
        let mut section = Self {
            error_count: 0,
            groups: Vec::new(),
            configs: Vec::new(),
        };
        for mut value in values {
            let key = definition.key(&value.name);
            if let Some(group) = key.and_then(ConfigKey::get_group)
                && !section.groups.iter().any(|known| known == group)
            {
                section.groups.push(group.to_owned());
            }
            section.error_count += usize::from(!value.errors.is_empty());
            value.name = format!("{prefix}{}", value.name);
            section.configs.push(Info {
                definition: key.map(|key| KeyInfo::of(prefix, key)),
                value: Some(value),
            });
        }
        section
    }
}
