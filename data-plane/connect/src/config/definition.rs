//! [`ConfigDef`]: the keys of a configuration, and the two ways to check one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use indexmap::IndexMap;

use super::key::ConfigKey;
use super::parsed::ParsedConfig;
use super::value::{ConfigType, ConfigValue};
use super::{ConfigMap, embedded};
use crate::error::{Error, Result};

/// Finds plugin classes by name or alias.
pub trait ClassResolver: fmt::Debug + Send + Sync {
    /// The full name of the class, or none when there is no such class.
    fn resolve(&self, name_or_alias: &str) -> Option<String>;

    /// Classes whose names are like one that there is not, the best first.
    fn nearest(&self, _name: &str) -> Vec<String> {
        Vec::new()
    }
}

/// What validation found about one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigInfoValue {
    /// The key.
    pub name: String,
    /// The value as it is shown: none for null, secrets hidden.
    pub value: Option<String>,
    /// Values that make sense, as they are shown.
    pub recommended_values: Vec<String>,
    /// Everything that is wrong, in the order it was found.
    pub errors: Vec<String>,
    /// Whether the key applies.
    pub visible: bool,
}

/// The definition of a configuration.
#[derive(Clone, Debug, Default)]
pub struct ConfigDef {
    keys: IndexMap<String, ConfigKey>,
    /// In the order in which keys named them.
    groups: Vec<String>,
    classes: Option<Arc<dyn ClassResolver>>,
    /// A mistake in the definition itself; reported by every parse.
    mistake: Option<String>,
}

impl ConfigDef {
    /// A definition without keys.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a key. A key that is defined twice or whose default its own validator refuses is a mistake that
    /// [`ConfigDef::check`], `parse` and `validate_all` report.
    #[must_use]
    pub fn define(mut self, key: ConfigKey) -> Self {
        if let Err(error) = self.add(key)
            && self.mistake.is_none()
        {
            self.mistake = Some(error.to_string());
        }
        self
    }

    fn add(&mut self, mut key: ConfigKey) -> Result<()> {
        if self.keys.contains_key(&key.name) {
            return Err(Error::config(format!("Configuration {} is defined twice.", key.name)));
        }
        if let Some(default) = key.default.take() {
            let default = default.coerce(&key.name, key.kind)?;
            if let Some(validator) = &key.validator {
                validator.ensure_valid(&key.name, &default)?;
            }
            key.default = Some(default);
        }
        if let Some(group) = &key.group
            && !self.groups.contains(group)
        {
            self.groups.push(group.clone());
        }
        self.keys.insert(key.name.clone(), key);
        Ok(())
    }

    /// Adds all keys of another definition in the order of [`ConfigDef::sorted_keys`], renumbered from `starting_order`:
    /// each name gets the prefix, each group the given group in front. Validators and recommenders see names without the
    /// prefix.
    #[must_use]
    pub fn embed(mut self, prefix: &str, group: &str, starting_order: i32, other: &Self) -> Self {
        for (order, key) in (starting_order..).zip(other.sorted_keys()) {
            self = self.define(embedded::embed(key, prefix, group, order));
        }
        self
    }

    /// Class values are looked up there; without a resolver any name passes.
    #[must_use]
    pub fn with_classes(mut self, classes: Arc<dyn ClassResolver>) -> Self {
        self.classes = Some(classes);
        self
    }

    /// The mistake that was made when the definition was written, if one was.
    pub fn check(&self) -> Result<()> {
        match &self.mistake {
            Some(mistake) => Err(Error::config(mistake.clone())),
            None => Ok(()),
        }
    }

    /// The keys in the order of their definition.
    pub fn keys(&self) -> impl Iterator<Item = &ConfigKey> {
        self.keys.values()
    }

    /// The key of that name.
    #[must_use]
    pub fn key(&self, name: &str) -> Option<&ConfigKey> {
        self.keys.get(name)
    }

    /// The groups in the order in which keys named them.
    #[must_use]
    pub fn groups(&self) -> &[String] {
        &self.groups
    }

    /// The keys as documentation lists them: those without a group first, then group by group; inside by order, then
    /// required ones, then by importance, then by name.
    #[must_use]
    pub fn sorted_keys(&self) -> Vec<&ConfigKey> {
        let mut keys: Vec<&ConfigKey> = self.keys.values().collect();
        let place = |key: &ConfigKey| {
            key.group
                .as_ref()
                .and_then(|group| self.groups.iter().position(|known| known == group))
                .map_or(0, |i| i + 1)
        };
        keys.sort_by(|a, b| {
            let rank = |key: &ConfigKey| (place(key), key.order, !key.is_required(), key.importance);
            rank(a).cmp(&rank(b)).then_with(|| a.name.cmp(&b.name))
        });
        keys
    }

    /// Reads a configuration strictly: the first problem is the error.
    pub fn parse(&self, config: &ConfigMap) -> Result<ParsedConfig> {
        self.check()?;
        let undefined = self.undefined_dependents();
        if !undefined.is_empty() {
            let names: Vec<String> = undefined.into_iter().collect();
            return Err(Error::config(format!(
                "Some configurations in are referred in the dependents, but not defined: {}",
                names.join(",")
            )));
        }
        let mut values = BTreeMap::new();
        for key in self.keys.values() {
            let mut value = match (config.get(&key.name), &key.default) {
                (Some(text), _) => self.parse_type(&key.name, text, key.kind)?,
                (None, Some(default)) => default.clone(),
                (None, None) => return Err(Error::config(missing(&key.name))),
            };
            if let Some(validator) = &key.validator {
                if let ConfigValue::List(elements) = &mut value
                    && validator.removes_repetition()
                {
                    let mut seen = BTreeSet::new();
                    elements.retain(|element| seen.insert(element.clone()));
                }
                validator.ensure_valid(&key.name, &value)?;
            }
            values.insert(key.name.clone(), value);
        }
        Ok(ParsedConfig::new(values, config.clone()))
    }

    /// Reads a text as a value of a type; a class is looked up.
    pub fn parse_type(&self, name: &str, text: &str, kind: ConfigType) -> Result<ConfigValue> {
        let value = ConfigValue::parse(name, text, kind)?;
        let (ConfigValue::Class(class), Some(classes)) = (&value, &self.classes) else {
            return Ok(value);
        };
        match classes.resolve(class) {
            Some(full_name) => Ok(ConfigValue::Class(full_name)),
            None => {
                let mut problem = format!("Class {text} could not be found.");
                let nearest = classes.nearest(class);
                if !nearest.is_empty() {
                    problem.push_str(&format!(" Did you mean {}?", nearest.join(", ")));
                }
                Err(Error::invalid_config(name, Some(text), Some(&problem)))
            }
        }
    }

    /// Finds everything that is wrong with a configuration, one entry a key in the order of their definition. A key that
    /// is present with `None` holds null.
    ///
    /// A validator runs also after its value could not be read, on null, as Connect does: such a key has two errors.
    #[must_use]
    pub fn validate_all(&self, config: &BTreeMap<String, Option<String>>) -> Vec<ConfigInfoValue> {
        let mut infos: IndexMap<String, ConfigInfoValue> = self
            .keys
            .keys()
            .map(|name| (name.clone(), ConfigInfoValue::new(name)))
            .collect();
        for name in self.undefined_dependents() {
            let mut info = ConfigInfoValue::new(&name);
            info.errors
                .push(format!("{name} is referred in the dependents, but not defined."));
            info.visible = false;
            infos.insert(name, info);
        }
        let mut parsed = BTreeMap::new();
        for key in self.keys.values() {
            let Some(info) = infos.get_mut(&key.name) else { continue };
            let value = self.parse_for_validate(key, config, &mut info.errors);
            info.value = value.render();
            parsed.insert(key.name.clone(), value);
        }
        for key in self.keys.values() {
            let Some(info) = infos.get_mut(&key.name) else { continue };
            recommend(key, &parsed, info);
        }
        if let (Some(mistake), Some((_, info))) = (&self.mistake, infos.first_mut()) {
            info.errors.push(mistake.clone());
        }
        infos.into_values().collect()
    }

    fn parse_for_validate(
        &self,
        key: &ConfigKey,
        config: &BTreeMap<String, Option<String>>,
        errors: &mut Vec<String>,
    ) -> ConfigValue {
        let value = match (config.get(&key.name), &key.default) {
            (Some(Some(text)), _) => self.parse_type(&key.name, text, key.kind).unwrap_or_else(|error| {
                errors.push(error.to_string());
                ConfigValue::Null
            }),
            (Some(None), _) => ConfigValue::Null,
            (None, Some(default)) => default.clone(),
            (None, None) => {
                errors.push(missing(&key.name));
                ConfigValue::Null
            }
        };
        if let Some(validator) = &key.validator
            && let Err(error) = validator.ensure_valid(&key.name, &value)
        {
            errors.push(error.to_string());
        }
        value
    }

    fn undefined_dependents(&self) -> BTreeSet<String> {
        let dependents = self.keys.values().flat_map(|key| &key.dependents);
        dependents
            .filter(|name| !self.keys.contains_key(*name))
            .cloned()
            .collect()
    }
}

impl ConfigInfoValue {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            value: None,
            recommended_values: Vec::new(),
            errors: Vec::new(),
            visible: true,
        }
    }
}

fn missing(name: &str) -> String {
    format!("Missing required configuration \"{name}\" which has no default value.")
}

fn recommend(key: &ConfigKey, parsed: &BTreeMap<String, ConfigValue>, info: &mut ConfigInfoValue) {
    let Some(recommender) = &key.recommender else { return };
    match recommender.valid_values(&key.name, parsed) {
        Ok(values) => {
            info.recommended_values = values.iter().filter_map(ConfigValue::render).collect();
            info.visible = recommender.visible(&key.name, parsed);
        }
        Err(error) => info.errors.push(error.to_string()),
    }
}
