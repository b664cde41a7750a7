//! What a connector's records go through: its converters, and the worker's where it names none; its transforms.

use crate::config::{ConnectorConfig, PluginConfig, WorkerConfig};
use crate::encode::Converters;
use dray_connect::Result;
use dray_transforms::Chain;

/// The converters for key, value and headers.
pub(crate) fn plugins<'a>(worker: &'a WorkerConfig, connector: &'a ConnectorConfig) -> [&'a PluginConfig; 3] {
    [
        connector.key_converter.as_ref().unwrap_or(&worker.key_converter),
        connector.value_converter.as_ref().unwrap_or(&worker.value_converter),
        connector.header_converter.as_ref().unwrap_or(&worker.header_converter),
    ]
}

/// Makes these.
///
/// # Errors
/// When one cannot be made.
pub(crate) fn converters([key, value, header]: [&PluginConfig; 3]) -> Result<Converters> {
    Ok(Converters {
        key: dray_converters::converter(&key.class, &key.settings, true)?,
        value: dray_converters::converter(&value.class, &value.settings, false)?,
        header: dray_converters::header_converter(&header.class, &header.settings)?,
    })
}

/// New ones of all.
///
/// # Errors
/// When one cannot be made.
pub(crate) fn conversion(worker: &WorkerConfig, connector: &ConnectorConfig) -> Result<(Converters, Chain)> {
    Ok((
        converters(plugins(worker, connector))?,
        Chain::read(connector.originals())?,
    ))
}
