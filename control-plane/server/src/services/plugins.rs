//! `PluginService`: what agents say of their plugins.

use super::Services;
use crate::status;
use crate::switchboard::NoAnswer;
use dray_model::ConfigMap;
use dray_model::message::{Plugin, PluginKind};
use dray_wire::admin::v1;
use dray_wire::admin::v1::plugin_service_client::PluginServiceClient;
use dray_wire::admin::v1::plugin_service_server::PluginService;
use dray_wire::agent::v1::call_answer::Result as Answered;
use dray_wire::agent::v1::calls_response::Call;
use dray_wire::agent::v1::{PluginConfigCall, ValidateCall};
use dray_wire::plugin::v1::ConfigEntry;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tonic::{Code, Request, Response, Status};

/// How long an agent may take to say which keys a plugin has.
const DESCRIBE: Duration = Duration::from_secs(10);
/// How long an agent may take to validate: a connector may ask the system that it is for.
const VALIDATE: Duration = Duration::from_secs(60);
/// The most definitions that are remembered: all plugins by all of their names, many times over.
const REMEMBERED: usize = 1_000;

/// The keys of plugins, as long as agents have the same plugins.
#[derive(Default)]
pub(super) struct Definitions(Mutex<(Vec<Plugin>, HashMap<String, v1::GetPluginConfigResponse>)>);

impl Definitions {
    fn get(&self, plugins: &[Plugin], plugin: &str) -> Option<v1::GetPluginConfigResponse> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (known.0 == plugins).then(|| known.1.get(plugin).cloned()).flatten()
    }

    fn put(&self, plugins: Vec<Plugin>, plugin: String, keys: v1::GetPluginConfigResponse) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.0 != plugins || known.1.len() >= REMEMBERED {
            *known = (plugins, HashMap::new());
        }
        known.1.insert(plugin, keys);
    }
}

#[tonic::async_trait]
impl PluginService for Services {
    async fn list_plugins(
        &self,
        mut request: Request<v1::ListPluginsRequest>,
    ) -> Result<Response<v1::ListPluginsResponse>, Status> {
        if let Some(leader) = self.leader.elsewhere(&mut request).await? {
            return PluginServiceClient::new(leader).list_plugins(request).await;
        }
        self.agents_are_there().await;
        let mut plugins: Vec<v1::Plugin> = self.switchboard.plugins().into_iter().map(plugin).collect();
        plugins.sort_by(|a, b| (a.r#type, &a.class, &a.version).cmp(&(b.r#type, &b.class, &b.version)));
        Ok(Response::new(v1::ListPluginsResponse { plugins }))
    }

    async fn get_plugin_config(
        &self,
        mut request: Request<v1::GetPluginConfigRequest>,
    ) -> Result<Response<v1::GetPluginConfigResponse>, Status> {
        if let Some(leader) = self.leader.elsewhere(&mut request).await? {
            return PluginServiceClient::new(leader).get_plugin_config(request).await;
        }
        self.agents_are_there().await;
        let plugin = request.into_inner().plugin;
        let plugins = self.switchboard.plugins();
        if let Some(known) = self.definitions.get(&plugins, &plugin) {
            return Ok(Response::new(known));
        }
        let call = Call::PluginConfig(PluginConfigCall { plugin: plugin.clone() });
        match self.switchboard.ask(&plugin, &call, DESCRIBE).await {
            Ok(Answered::PluginConfig(found)) => {
                let keys = v1::GetPluginConfigResponse { keys: found.keys };
                self.definitions.put(plugins, plugin, keys.clone());
                Ok(Response::new(keys))
            }
            other => Err(refused(other)),
        }
    }

    async fn validate_config(
        &self,
        mut request: Request<v1::ValidateConfigRequest>,
    ) -> Result<Response<v1::ValidateConfigResponse>, Status> {
        if let Some(leader) = self.leader.elsewhere(&mut request).await? {
            return PluginServiceClient::new(leader).validate_config(request).await;
        }
        self.agents_are_there().await;
        let config = request.into_inner().config;
        let class = config.iter().find(|entry| entry.name == "connector.class");
        let class = class.and_then(|entry| entry.value.clone()).unwrap_or_default();
        let call = Call::Validate(ValidateCall { config });
        match self.switchboard.ask(class.trim(), &call, VALIDATE).await {
            Ok(Answered::Validated(infos)) => Ok(Response::new(v1::ValidateConfigResponse { infos: Some(infos) })),
            other => Err(refused(other)),
        }
    }
}

impl Services {
    /// Refuses what the connector would not take. When no agent answers it is not refused: configurations can be changed while there is no
    /// leader, and the agent that is to run the connector checks all the same.
    pub(super) async fn valid(&self, config: &ConfigMap) -> Result<(), Status> {
        let config = config.iter().map(|(name, value)| ConfigEntry {
            name: name.clone(),
            value: Some(value.clone()),
        });
        let request = v1::ValidateConfigRequest {
            config: config.collect(),
        };
        match self.validate_config(Request::new(request)).await {
            Ok(found) => {
                let infos = found.into_inner().infos.unwrap_or_default();
                if infos.error_count == 0 {
                    return Ok(());
                }
                let values = infos.configs.into_iter().filter_map(|info| info.value);
                let errors = values.flat_map(|value| {
                    let name = value.name;
                    value.errors.into_iter().map(move |error| (name.clone(), error))
                });
                Err(status::invalid_config(infos.error_count, errors.collect()))
            }
            Err(status) if matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded) => {
                let error = status.message();
                tracing::warn!(error, "nobody could validate a configuration; it is stored unchecked");
                Ok(())
            }
            Err(status) => Err(status),
        }
    }
}

/// Why there is no answer of the kind that was asked for.
pub(super) fn refused(answer: Result<Answered, NoAnswer>) -> Status {
    match answer {
        Ok(Answered::Error(error)) => status::call(&error),
        Ok(other) => {
            tracing::error!(?other, "an agent answered something else than was asked");
            status::no_answer("an agent answered something else than was asked: is it of another version?")
        }
        Err(NoAnswer::Nobody(why)) => status::no_answer(why),
        Err(NoAnswer::Unknown(why)) => status::no_word(why),
    }
}

fn plugin(plugin: Plugin) -> v1::Plugin {
    let kind = match plugin.kind {
        PluginKind::Sink => v1::PluginType::Sink,
        PluginKind::Source => v1::PluginType::Source,
        PluginKind::Transformation => v1::PluginType::Transformation,
        PluginKind::Predicate => v1::PluginType::Predicate,
        PluginKind::Converter => v1::PluginType::Converter,
        PluginKind::HeaderConverter => v1::PluginType::HeaderConverter,
        PluginKind::ConfigProvider => v1::PluginType::ConfigProvider,
    };
    v1::Plugin {
        class: plugin.class.into(),
        r#type: kind.into(),
        version: plugin.version.into(),
    }
}
