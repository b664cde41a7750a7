//! The connectors linked into the agent.

use dray_connect::connector::ConnectorPlugin;

/// All of them.
#[must_use]
pub fn all() -> Vec<&'static ConnectorPlugin> {
    dray_connector_file::PLUGINS
        .iter()
        .chain(dray_connector_datagen::PLUGINS.iter())
        .chain(dray_connector_mirror::PLUGINS.iter())
        .collect()
}
