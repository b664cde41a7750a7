//! What is wrong with a configuration: as an answer of its own, and before anything is stored.

use crate::answer::{Answer, ok};
use crate::body::{self, Entries};
use crate::error::Error;
use crate::gateway::Rest;
use crate::shape::{ConfigInfo, ConfigInfos, KeyInfo, ValueInfo};
use dray_wire::admin::v1;
use dray_wire::plugin::v1 as plugin;
use tonic::{Code, Request};

impl Rest {
    pub(crate) async fn validate(&self, plugin: &str, bytes: &[u8]) -> Answer {
        let nothing = || body::nothing("java.util.Map.get(Object)", "connectorConfig");
        let config = body::entries(body::json(bytes)?.ok_or_else(nothing)?)?;
        let class = config.iter().find(|(key, _)| key == "connector.class");
        if let Some((_, Some(class))) = class
            && !short(class).ends_with(short(plugin))
        {
            return Err(Error::bad_request(format!(
                "Included connector type {class} does not match request type {plugin}"
            )));
        }
        let found = self.services.plugins.validate_config(request(&config)).await;
        let found = found.map_err(|status| Error::thrown(&status))?.into_inner();
        let infos = found.infos.unwrap_or_default();
        ok(&ConfigInfos {
            name: infos.name,
            error_count: infos.error_count,
            groups: infos.groups,
            configs: infos.configs.into_iter().map(info).collect(),
        })
    }

    /// Refuses what its connector would not take. When no agent answers it is not refused: configurations can be changed while there is no
    /// leader, and the agent that is to run the connector checks it all the same. Returns whether one has answered.
    pub(crate) async fn check(&self, config: &Entries) -> Result<bool, Error> {
        let found = match self.services.plugins.validate_config(request(config)).await {
            Ok(found) => found.into_inner().infos.unwrap_or_default(),
            Err(status) if matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded) => {
                tracing::warn!(
                    error = status.message(),
                    "nobody could validate a configuration; it is stored unchecked"
                );
                return Ok(false);
            }
            // A class that nobody has is a fault of who asks, as since Connect 4.1.
            Err(status) if status.code() == Code::FailedPrecondition => {
                return Err(Error::bad_request(status.message()));
            }
            Err(status) => return Err(status.into()),
        };
        if found.error_count == 0 {
            return Ok(true);
        }
        let errors = found
            .configs
            .into_iter()
            .filter_map(|info| info.value)
            .flat_map(|value| value.errors);
        Err(invalid(found.error_count, errors))
    }
}

/// A configuration that its connector would not take.
pub(crate) fn invalid(count: u32, errors: impl IntoIterator<Item = String>) -> Error {
    let list: String = errors.into_iter().map(|error| format!("\n{error}")).collect();
    Error::bad_request(format!(
        "Connector configuration is invalid and contains the following {count} error(s):{list}\nYou can also find the above list of \
         errors at the endpoint `/connector-plugins/{{connectorType}}/config/validate`"
    ))
}

fn request(config: &Entries) -> Request<v1::ValidateConfigRequest> {
    let config = config.iter().map(|(name, value)| plugin::ConfigEntry {
        name: name.clone(),
        value: value.clone(),
    });
    Request::new(v1::ValidateConfigRequest {
        config: config.collect(),
    })
}

/// The name of a class as people shorten it.
fn short(class: &str) -> &str {
    match class.strip_suffix("Connector") {
        Some("") | None => class,
        Some(short) => short,
    }
}

fn info(info: plugin::ConfigInfo) -> ConfigInfo {
    ConfigInfo {
        definition: info.definition.map(key),
        value: info.value.map(|value| ValueInfo {
            name: value.name,
            value: value.value,
            recommended_values: value.recommended_values,
            errors: value.errors,
            visible: value.visible,
        }),
    }
}

pub(crate) fn key(key: plugin::ConfigKey) -> KeyInfo {
    let word = |name: &'static str, prefix: &str| name.strip_prefix(prefix).unwrap_or(name);
    KeyInfo {
        kind: word(key.r#type().as_str_name(), "CONFIG_TYPE_"),
        importance: word(key.importance().as_str_name(), "IMPORTANCE_"),
        width: word(key.width().as_str_name(), "WIDTH_"),
        name: key.name,
        required: key.required,
        default_value: key.default_value,
        documentation: key.documentation,
        group: key.group,
        display_name: key.display_name,
        dependents: key.dependents,
        order: key.order,
    }
}
