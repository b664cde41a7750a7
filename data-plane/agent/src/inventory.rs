//! What an agent tells the control plane about the plugins that it can load.

use dray_connect::connector::{ConnectorPlugin, Make};
use dray_model::message::{Plugin, PluginKind};
use dray_model::{InvalidName, PluginClass, PluginVersion};

/// These connectors, and every converter, transformation, predicate and config provider that is linked in.
///
/// # Errors
/// When a class has no legal name.
pub fn inventory(connectors: &[&'static ConnectorPlugin]) -> Result<Vec<Plugin>, InvalidName> {
    let ours = env!("CARGO_PKG_VERSION");
    let connectors = connectors.iter().map(|plugin| {
        let kind = match plugin.make {
            Make::Source(_) => PluginKind::Source,
            Make::Sink(_) => PluginKind::Sink,
        };
        (plugin.class.to_owned(), plugin.version, kind)
    });
    let named = |names: Vec<String>, kind| names.into_iter().map(move |name| (name, ours, kind));
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let converters = owned(dray_converters::CLASSES);
    // Every converter of these is a header converter too, as in Java; one with a schema registry is not.
    let mut header_converters = owned(dray_converters::HEADER_CLASSES);
    let with_registry = |class: &String| dray_converters::WITH_REGISTRY.contains(&class.as_str());
    header_converters.extend(converters.iter().filter(|class| !with_registry(class)).cloned());
    connectors
        .chain(named(converters, PluginKind::Converter))
        .chain(named(header_converters, PluginKind::HeaderConverter))
        .chain(named(
            dray_transforms::config::transformation_names(),
            PluginKind::Transformation,
        ))
        .chain(named(dray_transforms::config::predicate_names(), PluginKind::Predicate))
        .chain(named(owned(&dray_providers::CLASSES), PluginKind::ConfigProvider))
        .map(|(class, version, kind)| {
            Ok(Plugin {
                class: PluginClass::try_from(class)?,
                version: PluginVersion::from(version.to_owned()),
                kind,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_there_with_full_names() {
        let all = inventory(&crate::plugins::all()).unwrap();
        for (class, kind) in [
            (
                "org.apache.kafka.connect.file.FileStreamSourceConnector",
                PluginKind::Source,
            ),
            (
                "org.apache.kafka.connect.file.FileStreamSinkConnector",
                PluginKind::Sink,
            ),
            ("org.apache.kafka.connect.json.JsonConverter", PluginKind::Converter),
            (
                "org.apache.kafka.connect.storage.SimpleHeaderConverter",
                PluginKind::HeaderConverter,
            ),
            (
                "org.apache.kafka.connect.transforms.ReplaceField$Value",
                PluginKind::Transformation,
            ),
            (
                "org.apache.kafka.connect.transforms.predicates.HasHeaderKey",
                PluginKind::Predicate,
            ),
            (
                "org.apache.kafka.common.config.provider.FileConfigProvider",
                PluginKind::ConfigProvider,
            ),
        ] {
            let found = all
                .iter()
                .any(|plugin| plugin.class.as_str() == class && plugin.kind == kind);
            assert!(found, "{class}");
        }
        assert!(all.iter().all(|plugin| plugin.class.as_str().contains('.')));
    }
}
