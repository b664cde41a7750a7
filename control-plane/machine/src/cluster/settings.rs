//! What a connector's configuration says to the control plane: our own keys, all of which begin with `dray.`, and the classes that its
//! agents must have.

use crate::scheduler::Needs;
use dray_model::message::Recovery;
use dray_model::{ConfigMap, Cost, PluginClass, Region, VersionRange, Zone};
use std::borrow::Cow;
use std::num::{NonZeroU32, ParseIntError};

/// `fenced` (default) or `strict`: see [`Recovery`].
pub(super) const RECOVERY: &str = "dray.recovery";
/// A selector over the labels of agents, such as `disk=ssd,!spot`.
pub(super) const LABELS: &str = "dray.placement.labels";
/// The regions in which it may run, with commas between them; none: every region.
pub(super) const REGIONS: &str = "dray.placement.regions";
/// What each of its tasks costs; 1,000 is an ordinary task.
pub(super) const COST: &str = "dray.task.cost";

/// The zone where its tasks had better run, as far as they are spread evenly there.
pub(super) const ZONE: &str = "dray.placement.zone";
/// So many of its tasks start in a second at most: new ones, moved ones, those of lost agents.
pub(super) const STARTS: &str = "dray.task.starts.per.second";

/// The classes that a connector has one of each, and their versions.
const SINGLE: [(&str, &str); 4] = [
    ("connector.class", "connector.plugin.version"),
    ("key.converter", "key.converter.plugin.version"),
    ("value.converter", "value.converter.plugin.version"),
    ("header.converter", "header.converter.plugin.version"),
];

/// What was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) recovery: Recovery,
    pub(super) needs: Needs,
    pub(super) cost: Cost,
    pub(super) zone: Option<Zone>,
    pub(super) starts_a_second: Option<NonZeroU32>,
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
        let zone = given(config, ZONE).map(Zone::try_from).transpose();
        let zone = zone.map_err(|error| format!("{ZONE}: {error}"))?;
        let starts_a_second = given(config, STARTS)
            .map(|text| {
                let wrong = |_: ParseIntError| {
                    format!(
                        "{STARTS} is `{text}`, but must be a whole number from 1 to {}",
                        u32::MAX
                    )
                };
                text.parse().map_err(wrong)
            })
            .transpose()?;
        Ok(Self {
            recovery,
            needs,
            cost,
            zone,
            starts_a_second,
        })
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
    let mut keys: Vec<(Cow<'_, str>, Cow<'_, str>)> =
        SINGLE.map(|(class, version)| (class.into(), version.into())).into();
    for list in ["transforms", "predicates"] {
        let names = given(config, list).unwrap_or_default().split(',').map(str::trim);
        for name in names.filter(|name| !name.is_empty()) {
            let (class, version) = (format!("{list}.{name}.type"), format!("{list}.{name}.plugin.version"));
            keys.push((class.into(), version.into()));
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
            ("dray.placement.zone", "b"),
            ("dray.task.starts.per.second", "5"),
        ]))
        .unwrap();
        let classes: Vec<_> = settings.needs.plugins.iter().map(|(class, _)| class.as_str()).collect();
        assert_eq!(classes, ["Cast$Key", "HasHeaderKey", "Insert$Value", "Json", "Sink"]);
        assert_eq!(settings.needs.plugins[4].1.as_ref().unwrap().to_string(), "[1.0,2.0)");
        assert_eq!(settings.recovery, Recovery::Strict);
        assert_eq!(settings.needs.selector.to_string(), "disk=ssd");
        assert_eq!(settings.needs.regions.len(), 2);
        assert_eq!(settings.cost.units(), 250);
        assert_eq!(settings.zone.as_ref().map(Zone::as_str), Some("b"));
        assert_eq!(settings.starts_a_second, NonZeroU32::new(5));
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
            ("dray.placement.zone", "a\u{7}b"),
            ("dray.task.starts.per.second", "0"),
            ("connector.class", "a\u{7}b"),
        ] {
            let error = Settings::read(&config(&[(key, value)])).unwrap_err();
            assert!(error.starts_with(key), "{error}");
        }
    }
}
