//! The keys of transforms and predicates as part of a connector's configuration: what Connect calls enriching it.

use dray_connect::config::{
    ConfigDef, ConfigKey, ConfigMap, ConfigType, ConfigValue, Importance, Lambda, Recommender, Width,
};
use dray_connect::{Error, Result};
use std::collections::BTreeMap;

use crate::registry;

pub use crate::registry::{class_name, nearest, predicate_names, transformation_names};

/// The key that lists the aliases of transforms, and what their own keys begin with.
pub const TRANSFORMS: &str = "transforms";
/// The key that lists the aliases of predicates, and what their own keys begin with.
pub const PREDICATES: &str = "predicates";

/// The two kinds of plugins that a chain is made of.
#[derive(Clone, Copy)]
enum Kind {
    Transformation,
    Predicate,
}

impl Kind {
    fn interface(self) -> &'static str {
        match self {
            Self::Transformation => "Transformation",
            Self::Predicate => "Predicate",
        }
    }

    fn names(self) -> Vec<String> {
        match self {
            Self::Transformation => transformation_names(),
            Self::Predicate => predicate_names(),
        }
    }

    /// The keys of the class, where it is one of this kind.
    fn definition(self, class: &str) -> Option<ConfigDef> {
        match self {
            Self::Transformation => registry::transformation(class).map(|named| (named.kind.definition)()),
            Self::Predicate => registry::predicate(class).map(|named| (named.kind.definition)()),
        }
    }
}

/// The keys of a transformation or predicate, by name or alias; none for one that there is not or that is abstract.
#[must_use]
pub fn definition(class: &str) -> Option<ConfigDef> {
    let kinds = [Kind::Transformation, Kind::Predicate];
    kinds.into_iter().find_map(|kind| kind.definition(class.trim()))
}

/// Adds to a connector's definition the keys of the transforms and predicates that `config` lists, in Connect's order and
/// groups (reference: `ConnectorConfig.enrich`). An alias whose class is missing or unknown adds its `type` key alone, which
/// then says what is wrong.
#[must_use]
pub fn enrich(mut definition: ConfigDef, config: &ConfigMap) -> ConfigDef {
    for (kind, list, group) in [
        (Kind::Transformation, TRANSFORMS, "Transforms"),
        (Kind::Predicate, PREDICATES, "Predicates"),
    ] {
        for alias in aliases(config, list) {
            let (prefix, group) = (format!("{list}.{alias}."), format!("{group}: {alias}"));
            definition = definition.define(type_key(kind, &prefix, &alias, &group, config));
            let class = config.get(&format!("{prefix}type")).map(|class| class.trim());
            let Some(own) = class.and_then(|class| kind.definition(class)) else {
                continue;
            };
            let own = match kind {
                Kind::Transformation => with_predicate(own),
                Kind::Predicate => own,
            };
            definition = definition.embed(&prefix, &group, 1, &own);
        }
    }
    definition
}

fn type_key(kind: Kind, prefix: &str, alias: &str, group: &str, config: &ConfigMap) -> ConfigKey {
    let interface = kind.interface();
    let noun = interface.to_lowercase();
    let negate_alone =
        config.contains_key(&format!("{prefix}negate")) && !config.contains_key(&format!("{prefix}predicate"));
    let negated = match kind {
        Kind::Transformation => negate_alone.then(|| prefix.to_owned()),
        Kind::Predicate => None,
    };
    let valid = Lambda::new(format!("valid configs for {alias} {noun}"), move |_, value| {
        check_class(kind, value, negated.as_deref())
    });
    ConfigKey::new(format!("{prefix}type"), ConfigType::Class)
        .importance(Importance::High)
        .doc(format!("Class for the '{alias}' {noun}."))
        .validator(valid)
        .group(group, 0)
        .width(Width::Long)
        .display_name(format!("{interface} type for {alias}"))
        .recommender(Classes(kind))
}

/// The two keys that every transform has besides its own. Own keys of these names are hidden by them.
fn with_predicate(own: ConfigDef) -> ConfigDef {
    let mut all = ConfigDef::new();
    for key in own
        .keys()
        .filter(|key| key.name() != "predicate" && key.name() != "negate")
    {
        all = all.define(key.clone());
    }
    all.define(
        ConfigKey::new("predicate", ConfigType::String)
            .default_null()
            .importance(Importance::Medium)
            .doc("The alias of the predicate that says which records the transformation is for; all when not set."),
    )
    .define(
        ConfigKey::new("negate", ConfigType::Boolean)
            .default_value(false)
            .importance(Importance::Medium)
            .doc("Whether the transformation is for the records that the predicate does not match."),
    )
}

/// What Connect says about a class that cannot be used, and about `negate` without `predicate`.
fn check_class(kind: Kind, value: &ConfigValue, negated: Option<&str>) -> Result<()> {
    let ConfigValue::Class(class) = value else {
        return Ok(()); // it could not be found or is missing, which has been said
    };
    if kind.definition(class).is_none() {
        let concrete: Vec<String> = ["$Key", "$Value"].map(|side| format!("{class}{side}")).into();
        return Err(Error::config(if kind.names().contains(&concrete[0]) {
            format!(
                "This class is abstract and cannot be created. Did you mean {}?",
                concrete.join(", ")
            )
        } else {
            format!(
                "Class class {class} does not implement the {} interface",
                kind.interface()
            )
        }));
    }
    match negated {
        None => Ok(()),
        Some(prefix) => Err(Error::config(format!(
            "Config '{prefix}negate' was provided but there is no config '{prefix}predicate' defining a predicate to be negated."
        ))),
    }
}

/// Recommends all classes of a kind.
struct Classes(Kind);

impl std::fmt::Debug for Classes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Classes({})", self.0.interface())
    }
}

impl Recommender for Classes {
    fn valid_values(&self, _name: &str, _parsed: &BTreeMap<String, ConfigValue>) -> Result<Vec<ConfigValue>> {
        Ok(self.0.names().into_iter().map(ConfigValue::Class).collect())
    }

    fn visible(&self, _name: &str, _parsed: &BTreeMap<String, ConfigValue>) -> bool {
        true
    }
}

/// The aliases that a list key names, each once, in the order in which they are written.
pub(crate) fn aliases(config: &ConfigMap, list: &str) -> Vec<String> {
    let mut aliases: Vec<String> = Vec::new();
    let written = config.get(list).map_or("", String::as_str);
    for alias in written.split(',').map(str::trim) {
        if !alias.is_empty() && !aliases.iter().any(|known| known == alias) {
            aliases.push(alias.to_owned());
        }
    }
    aliases
}

/// The keys below `key` and a dot, that prefix off.
pub(crate) fn below(config: &ConfigMap, key: &str) -> ConfigMap {
    let cut = |(name, value): (&String, &String)| {
        let own = name.strip_prefix(key)?.strip_prefix('.')?;
        (!own.is_empty()).then(|| (own.to_owned(), value.clone()))
    };
    config.iter().filter_map(cut).collect()
}
