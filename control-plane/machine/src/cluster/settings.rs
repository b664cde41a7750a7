//! What a connector's configuration says to the control plane: our own keys, all of which begin with `dray.`, and the classes that its
//! agents must have.

use crate::scheduler::Needs;
use dray_model::message::Recovery;
use dray_model::{ConfigMap, Cost, PluginClass, Region, VersionRange};

/// `fenced` (default) or `strict`: see [`Recovery`].
pub(super) const RECOVERY: &str = "dray.recovery";
/// A selector over the labels of agents, such as `disk=ssd,!spot`.
pub(super) const LABELS: &str = "dray.placement.labels";
/// The regions in which it may run, with commas between them; none: every region.
pub(super) const REGIONS: &str = "dray.placement.regions";
/// What each of its tasks costs; 1,000 is an ordinary task.
pub(super) const COST: &str = "dray.task.cost";

/// What was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) recovery: Recovery,
    pub(super) needs: Needs,
    pub(super) cost: Cost,
}

impl Settings {
    /// Reads a configuration. The error says which key is wrong and what is allowed.
    pub(super) fn read(config: &ConfigMap) -> Result<Self, String> {
        let recovery = match given(config, RECOVERY) {
            None | Some("fenced") => Recovery::Fenced,
            Some("strict") => Recovery::Strict,
            Some(other) => return Err(format!("{RECOVERY} is `{other}`, but may be `fenced` or `strict`")),
        };
        let selector = given(config, LABELS)
            .unwrap_or_default()
            .parse()
            .map_err(|error| format!("{LABELS}: {error}"))?;
        let regions = given(config, REGIONS).map_or(Ok(Vec::new()), |text| {
            let names = text.split(',').map(str::trim);
            let regions: Result<Vec<_>, _> = names.map(Region::try_from).collect();
            regions.map_err(|error| format!("{REGIONS}: {error}"))
        })?;
        let cost = match given(config, COST) {
            None => Cost::DEFAULT,
            Some(text) => text
                .parse::<u32>()
                .ok()
                .and_then(|units| Cost::try_from(units).ok())
                .ok_or_else(|| format!("{COST} is `{text}`, but must be a whole number from 1 to {}", u32::MAX))?,
        };
        let needs = Needs {
            plugins: plugins(config)?,
            regions,
            selector,
        };
        Ok(Self { recovery, needs, cost })
    }
}

/// Whether the control plane can use a configuration: what is wrong with our own keys of it, if anything is.
///
/// # Errors
/// Says which key is wrong and what is allowed.
pub fn check(config: &ConfigMap) -> Result<(), String> {
    Settings::read(config).map(drop)
}

/// The value of a key, unless it is blank.
fn given<'a>(config: &'a ConfigMap, key: &str) -> Option<&'a str> {
    config
        .get(key)
        .map(|value| value.trim())
        .filter(|value| !value.is_empty())
}

/// The classes that the configuration names, and the versions that it asks for. Those of the worker configuration are every agent's.
fn plugins(config: &ConfigMap) -> Result<Vec<(PluginClass, Option<VersionRange>)>, String> {
    let mut keys = vec![("connector.class".to_owned(), "connector.plugin.version".to_owned())];
    for converter in ["key.converter", "value.converter", "header.converter"] {
        keys.push((converter.into(), format!("{converter}.plugin.version")));
    }
    for list in ["transforms", "predicates"] {
        for name in given(config, list).unwrap_or_default().split(',').map(str::trim) {
            keys.push((format!("{list}.{name}.type"), format!("{list}.{name}.plugin.version")));
        }
    }
    let mut plugins = Vec::new();
    for (key, version) in keys {
        let Some(class) = given(config, &key) else { continue };
        let class = PluginClass::try_from(class).map_err(|error| format!("{key}: {error}"))?;
        let range = given(config, &version).map(str::parse::<VersionRange>).transpose();
        plugins.push((class, range.map_err(|error| format!("{version}: {error}"))?));
    }
    // In one order, so that connectors that need the same share the work of finding agents.
    plugins.sort();
    plugins.dedup();
    Ok(plugins)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(pairs: &[(&str, &str)]) -> ConfigMap {
        pairs
            .iter()
            .map(|(key, value)| ((*key).into(), (*value).into()))
            .collect()
    }

    #[test]
    fn our_keys_and_all_classes_are_read() {
        let settings = Settings::read(&config(&[
            ("connector.class", "Sink"),
            ("connector.plugin.version", "[1.0,2.0)"),
            ("value.converter", "Json"),
            ("transforms", "a, b"),
            ("transforms.a.type", "Insert$Value"),
            ("transforms.b.type", "Cast$Key"),
            ("transforms.c.type", "NotListed"),
            ("predicates", "p"),
            ("predicates.p.type", "HasHeaderKey"),
            ("dray.recovery", "strict"),
            ("dray.placement.labels", "disk=ssd"),
            ("dray.placement.regions", "eu-1, eu-2"),
            ("dray.task.cost", "250"),
        ]))
        .unwrap();
        let classes: Vec<_> = settings.needs.plugins.iter().map(|(class, _)| class.as_str()).collect();
        assert_eq!(classes, ["Cast$Key", "HasHeaderKey", "Insert$Value", "Json", "Sink"]);
        assert_eq!(settings.needs.plugins[4].1.as_ref().unwrap().to_string(), "[1.0,2.0)");
        assert_eq!(settings.recovery, Recovery::Strict);
        assert_eq!(settings.needs.selector.to_string(), "disk=ssd");
        assert_eq!(settings.needs.regions.len(), 2);
        assert_eq!(settings.cost.units(), 250);
    }

    #[test]
    fn nothing_is_needed_by_default() {
        let settings = Settings::read(&config(&[("dray.recovery", " ")])).unwrap();
        assert_eq!((settings.recovery, settings.cost), (Recovery::Fenced, Cost::DEFAULT));
        assert_eq!(settings.needs, Needs::default());
    }

    #[test]
    fn wrong_values_name_their_key() {
        for (key, value) in [
            ("dray.recovery", "soft"),
            ("dray.placement.labels", "a="),
            ("dray.placement.regions", "a,,b"),
            ("dray.task.cost", "0"),
            ("dray.task.cost", "-1"),
            ("connector.class", "a\u{7}b"),
        ] {
            let error = Settings::read(&config(&[(key, value)])).unwrap_err();
            assert!(error.starts_with(key), "{error}");
        }
    }
}
