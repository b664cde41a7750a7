//! A cluster by Dray's own admin services. Loggers, which those do not have, are asked over REST, which every replica serves on the same port.

mod letters;
mod preview;
mod shape;

use super::http::Access;
use super::rest::Rest;
use super::{
    About, Agent, Ask, Cluster, Config, Connector, Error, ErrorKind, Event, Key, KeyErrors, Leader, LetterBounds,
    LetterPlace, Letters, Level, Member, New, Offset, Plugin, Policy, Preview, Replay, Replayed, Restarted, Scope,
    Target, Validation,
};
use dray_wire::admin::v1;
use dray_wire::admin::v1::agent_service_client::AgentServiceClient;
use dray_wire::admin::v1::cluster_service_client::ClusterServiceClient;
use dray_wire::admin::v1::connector_service_client::ConnectorServiceClient;
use dray_wire::admin::v1::letter_service_client::LetterServiceClient;
use dray_wire::admin::v1::offset_service_client::OffsetServiceClient;
use dray_wire::admin::v1::plugin_service_client::PluginServiceClient;
use dray_wire::admin::v1::preview_service_client::PreviewServiceClient;
use dray_wire::admin::v1::status_service_client::StatusServiceClient;
use dray_wire::plugin::v1 as plugin;
use serde_json::Value;
use shape::{agent, change, connector, done, json, key, named, stale, word};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::sync::mpsc;
use tonic::Request;
use tonic::transport::{Channel, Endpoint};

/// How long one replica may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a call may take: reads may wait 10 s for a replica that is behind, agents may take a minute to validate.
const CALL: Duration = Duration::from_secs(95);
/// Before a watch that broke is begun again.
const AGAIN: Duration = Duration::from_secs(1);

/// A control plane, by the replica that answered first.
pub(crate) struct Grpc {
    replicas: Vec<String>,
    channel: Channel,
    at: String,
    rest: Rest,
}

/// A call with its deadline.
fn call<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(CALL);
    request
}

fn page(token: String) -> Option<v1::Page> {
    Some(v1::Page { size: 0, token })
}

/// All pages of a list: `$call` answers one, `$entries` names its field.
macro_rules! pages {
    ($token:ident, $call:expr, $entries:ident) => {{
        let mut $token = String::new();
        let mut all = Vec::new();
        loop {
            let answer = $call.await?.into_inner();
            all.extend(answer.$entries.iter().cloned());
            $token = answer.next_page_token.clone();
            if $token.is_empty() {
                break (answer, all);
            }
        }
    }};
}

impl Grpc {
    /// Connects to the first replica that answers.
    pub(super) async fn connect(replicas: Vec<String>) -> Result<Self, Error> {
        let (channel, at) = dial(&replicas).await?;
        let rest = Rest::new(&at, &Access::default())?;
        let at = at.trim_start_matches("http://").to_owned();
        Ok(Self {
            replicas,
            channel,
            at,
            rest,
        })
    }

    fn connectors_client(&self) -> ConnectorServiceClient<Channel> {
        ConnectorServiceClient::new(self.channel.clone())
    }

    fn statuses_client(&self) -> StatusServiceClient<Channel> {
        StatusServiceClient::new(self.channel.clone())
    }

    fn plugins_client(&self) -> PluginServiceClient<Channel> {
        PluginServiceClient::new(self.channel.clone())
    }

    fn offsets_client(&self) -> OffsetServiceClient<Channel> {
        OffsetServiceClient::new(self.channel.clone())
    }

    fn letters_client(&self) -> LetterServiceClient<Channel> {
        LetterServiceClient::new(self.channel.clone()).max_decoding_message_size(dray_wire::MAX_MESSAGE)
    }

    fn agents_client(&self) -> AgentServiceClient<Channel> {
        AgentServiceClient::new(self.channel.clone())
    }

    /// Says of each which kind it is. Where nobody runs anything, nobody can say it, and nobody is asked.
    async fn with_kinds(&self, mut connectors: Vec<Connector>) -> Vec<Connector> {
        if connectors.iter().any(|connector| !connector.seen.worker_id.is_empty())
            && let Ok(plugins) = self.plugins().await
        {
            let kinds = plugins
                .iter()
                .filter(|plugin| plugin.kind == "source" || plugin.kind == "sink");
            let kinds: Vec<&Plugin> = kinds.collect();
            for connector in &mut connectors {
                let class = connector.config.get("connector.class").map_or("", |class| class.trim());
                let is = |plugin: &&&Plugin| named(&plugin.class, class);
                connector.kind = kinds.iter().find(is).map(|plugin| plugin.kind.clone());
            }
        }
        connectors
    }

    /// Why a stream ended that had begun.
    async fn follow(&self, events: &mpsc::Sender<Event>, begun: &mut bool) -> Result<(), Error> {
        let (channel, _) = dial(&self.replicas).await?;
        let request = v1::WatchStatusRequest { consistency: None };
        let mut stream = StatusServiceClient::new(channel)
            .watch_status(request)
            .await?
            .into_inner();
        loop {
            let message = tokio::select! {
                message = stream.message() => message?,
                () = events.closed() => return Ok(()),
            };
            let Some(message) = message else {
                return Err(Error::new(ErrorKind::Unavailable, "the stream was closed"));
            };
            *begun = true;
            let changes = message.changes.into_iter().filter_map(|change| change.what);
            let event = Event {
                reset: message.reset,
                synced: message.synced,
                stale_s: stale(message.freshness.as_ref()),
                changes: changes.map(change).collect(),
            };
            if events.send(event).await.is_err() {
                return Ok(());
            }
        }
    }
}

async fn dial(replicas: &[String]) -> Result<(Channel, String), Error> {
    let mut failures = Vec::new();
    for replica in replicas {
        let uri = match replica.contains("://") {
            true => replica.clone(),
            false => format!("http://{replica}"),
        };
        let endpoint = Endpoint::from_shared(uri.clone()).map_err(|error| {
            let said = format!("`{replica}` is no address of a replica ({error}): HOST:PORT is wanted");
            Error::new(ErrorKind::Invalid, said)
        })?;
        let endpoint = endpoint
            .connect_timeout(CONNECT)
            .http2_keep_alive_interval(Duration::from_secs(10));
        match endpoint.connect().await {
            Ok(channel) => return Ok((channel, uri)),
            Err(error) => failures.push(format!("{replica}: {:#}", anyhow::Error::from(error))),
        }
    }
    let said = format!("no replica of the control plane answers: {}", failures.join("; "));
    Err(Error::new(ErrorKind::Unavailable, said))
}

#[async_trait::async_trait]
impl Cluster for Grpc {
    fn at(&self) -> &str {
        &self.at
    }

    async fn about(&self) -> Result<About, Error> {
        let request = v1::GetClusterRequest { consistency: None };
        let mut client = ClusterServiceClient::new(self.channel.clone());
        let found = client.get_cluster(call(request)).await?.into_inner();
        Ok(About {
            product: "Dray",
            version: found.software_version,
            kafka_cluster_id: Some(found.kafka_cluster_id).filter(|id| !id.is_empty()),
            cluster: Some(found.cluster),
            revision: Some(found.revision),
            leader: found.leader.map(|leader| Leader {
                replica: leader.replica,
                term: leader.term,
            }),
            has_leader: true,
            ..About::default()
        })
    }

    async fn connectors(&self) -> Result<Vec<Connector>, Error> {
        let mut client = self.connectors_client();
        let (_, wanted) = pages!(
            token,
            client.list_connectors(call(v1::ListConnectorsRequest {
                consistency: None,
                page: page(token),
                names_only: false,
            })),
            connectors
        );
        let mut client = self.statuses_client();
        let (last, statuses) = pages!(
            token,
            client.list_connector_statuses(call(v1::ListConnectorStatusesRequest {
                consistency: None,
                page: page(token),
            })),
            connectors
        );
        let stale = stale(last.freshness.as_ref());
        let mut statuses: BTreeMap<String, v1::ConnectorWithTasks> = statuses
            .into_iter()
            .map(|status| (status.name.clone(), status))
            .collect();
        let connectors = wanted.into_iter().map(|wanted| {
            let seen = statuses.remove(&wanted.name).unwrap_or_default();
            connector(wanted, seen, stale)
        });
        Ok(self.with_kinds(connectors.collect()).await)
    }

    async fn connector(&self, name: &str) -> Result<Connector, Error> {
        let request = v1::GetConnectorRequest {
            consistency: None,
            name: name.into(),
        };
        let wanted = self
            .connectors_client()
            .get_connector(call(request))
            .await?
            .into_inner();
        let request = v1::GetConnectorStatusRequest {
            consistency: None,
            name: name.into(),
        };
        let seen = self
            .statuses_client()
            .get_connector_status(call(request))
            .await?
            .into_inner();
        let stale = stale(seen.freshness.as_ref());
        let found = connector(
            wanted.connector.unwrap_or_default(),
            seen.connector.unwrap_or_default(),
            stale,
        );
        let mut found = self.with_kinds(vec![found]).await;
        Ok(found.remove(0))
    }

    async fn create(&self, new: &New, checked: bool) -> Result<(), Error> {
        let target = match new.target {
            Target::Running => v1::TargetState::Started,
            Target::Paused => v1::TargetState::Paused,
            Target::Stopped => v1::TargetState::Stopped,
        };
        let request = v1::CreateConnectorRequest {
            name: new.name.clone(),
            config: new.config.clone(),
            target: target.into(),
            skip_validation: !checked,
        };
        self.connectors_client().create_connector(call(request)).await?;
        Ok(())
    }

    async fn configure(&self, name: &str, config: &Config, revision: Option<u64>, checked: bool) -> Result<(), Error> {
        let request = v1::UpdateConnectorConfigRequest {
            name: name.into(),
            config: config.clone(),
            expected_revision: revision.unwrap_or_default(),
            skip_validation: !checked,
        };
        self.connectors_client().update_connector_config(call(request)).await?;
        Ok(())
    }

    async fn delete(&self, name: &str) -> Result<(), Error> {
        let request = v1::DeleteConnectorRequest {
            name: name.into(),
            expected_revision: 0,
        };
        self.connectors_client().delete_connector(call(request)).await?;
        Ok(())
    }

    async fn set_target(&self, name: &str, target: Target) -> Result<(), Error> {
        let mut client = self.connectors_client();
        let name = name.to_owned();
        match target {
            Target::Running => {
                client
                    .resume_connector(call(v1::ResumeConnectorRequest { name }))
                    .await?;
            }
            Target::Paused => {
                client.pause_connector(call(v1::PauseConnectorRequest { name })).await?;
            }
            Target::Stopped => {
                client.stop_connector(call(v1::StopConnectorRequest { name })).await?;
            }
        }
        Ok(())
    }

    async fn restart(&self, name: &str, tasks: bool, only_failed: bool) -> Result<Restarted, Error> {
        let request = v1::RestartConnectorRequest {
            name: name.into(),
            include_tasks: tasks,
            only_failed,
        };
        let answer = self
            .connectors_client()
            .restart_connector(call(request))
            .await?
            .into_inner();
        Ok(Restarted {
            instance: Some(answer.instance),
            tasks: answer.tasks,
        })
    }

    async fn task_configs(&self, name: &str) -> Result<Vec<Config>, Error> {
        let mut client = self.connectors_client();
        let (_, tasks) = pages!(
            token,
            client.list_tasks(call(v1::ListTasksRequest {
                consistency: None,
                connector: name.into(),
                page: page(token),
            })),
            tasks
        );
        Ok(tasks.into_iter().map(|task| task.config).collect())
    }

    async fn restart_task(&self, name: &str, task: u32) -> Result<(), Error> {
        let request = v1::RestartTaskRequest {
            connector: name.into(),
            task,
        };
        self.connectors_client().restart_task(call(request)).await?;
        Ok(())
    }

    async fn offsets(&self, name: &str) -> Result<Vec<Offset>, Error> {
        let request = v1::GetOffsetsRequest { connector: name.into() };
        let found = self.offsets_client().get_offsets(call(request)).await?.into_inner();
        let offsets = found.offsets.into_iter().map(|found| {
            Ok(Offset {
                partition: json(found.partition)?,
                offset: json(found.offset)?,
            })
        });
        offsets.collect()
    }

    async fn set_offsets(&self, name: &str, offsets: &[Offset]) -> Result<String, Error> {
        let text = |value: &Value| (!value.is_null()).then(|| value.to_string());
        let offsets = offsets.iter().map(|offset| v1::ConnectorOffset {
            partition: text(&offset.partition),
            offset: text(&offset.offset),
        });
        let request = v1::AlterOffsetsRequest {
            connector: name.into(),
            offsets: offsets.collect(),
        };
        let answer = self.offsets_client().alter_offsets(call(request)).await?.into_inner();
        Ok(done("The offsets have been set", answer.external))
    }

    async fn reset_offsets(&self, name: &str) -> Result<String, Error> {
        let request = v1::ResetOffsetsRequest { connector: name.into() };
        let answer = self.offsets_client().reset_offsets(call(request)).await?.into_inner();
        Ok(done("The offsets have been reset", answer.external))
    }

    async fn letters(&self, name: &str, count: u32, from: Option<LetterPlace>) -> Result<Letters, Error> {
        let request = v1::ListLettersRequest {
            connector: name.into(),
            count,
            from: from.map(letters::wire_place),
        };
        let found = self.letters_client().list_letters(call(request)).await?.into_inner();
        Ok(letters::letters(found))
    }

    async fn replay_letters(&self, name: &str, replay: &Replay) -> Result<Replayed, Error> {
        let request = v1::ReplayLettersRequest {
            connector: name.into(),
            from: Some(letters::wire_place(replay.from)),
            count: replay.count,
            to: replay.to.clone(),
        };
        let done = self.letters_client().replay_letters(call(request)).await?.into_inner();
        Ok(letters::replayed(done))
    }

    async fn drop_letters(&self, name: &str, before: &[LetterPlace]) -> Result<Vec<LetterBounds>, Error> {
        let request = v1::DropLettersRequest {
            connector: name.into(),
            before: before.iter().copied().map(letters::wire_place).collect(),
        };
        let left = self.letters_client().drop_letters(call(request)).await?.into_inner();
        Ok(left.bounds.into_iter().map(letters::bounds).collect())
    }

    async fn topics(&self, name: &str) -> Result<Vec<String>, Error> {
        let request = v1::GetActiveTopicsRequest {
            consistency: None,
            name: name.into(),
        };
        let found = self.connectors_client().get_active_topics(call(request)).await?;
        Ok(found.into_inner().topics)
    }

    async fn reset_topics(&self, name: &str) -> Result<(), Error> {
        let request = v1::ResetActiveTopicsRequest { name: name.into() };
        self.connectors_client().reset_active_topics(call(request)).await?;
        Ok(())
    }

    async fn plugins(&self) -> Result<Vec<Plugin>, Error> {
        let found = self
            .plugins_client()
            .list_plugins(call(v1::ListPluginsRequest {}))
            .await?
            .into_inner();
        let plugins = found.plugins.into_iter().map(|plugin| Plugin {
            kind: word(plugin.r#type().as_str_name(), "PLUGIN_TYPE_").to_ascii_lowercase(),
            class: plugin.class,
            version: plugin.version,
        });
        Ok(plugins.collect())
    }

    async fn plugin_keys(&self, plugin: &str) -> Result<Vec<Key>, Error> {
        let request = v1::GetPluginConfigRequest { plugin: plugin.into() };
        let found = self
            .plugins_client()
            .get_plugin_config(call(request))
            .await?
            .into_inner();
        Ok(found.keys.into_iter().map(key).collect())
    }

    async fn validate(&self, config: &Config) -> Result<Validation, Error> {
        let entries = config.iter().map(|(name, value)| plugin::ConfigEntry {
            name: name.clone(),
            value: Some(value.clone()),
        });
        let request = v1::ValidateConfigRequest {
            config: entries.collect(),
        };
        let found = self.plugins_client().validate_config(call(request)).await?.into_inner();
        let infos = found.infos.unwrap_or_default();
        let defined = infos.configs.iter().filter_map(|info| info.definition.as_ref());
        let defined: BTreeSet<String> = defined.map(|definition| definition.name.clone()).collect();
        let values = infos.configs.into_iter().filter_map(|info| info.value);
        let errors = values.filter(|value| !value.errors.is_empty()).map(|value| KeyErrors {
            key: value.name,
            value: value.value,
            errors: value.errors,
            recommended: value.recommended_values,
        });
        Ok(Validation {
            error_count: infos.error_count,
            errors: errors.collect(),
            unknown: super::unknown_keys(config, &defined),
        })
    }

    async fn preview(&self, ask: &Ask) -> Result<Preview, Error> {
        let mut client = PreviewServiceClient::new(self.channel.clone());
        let seen = client.preview_connector(call(preview::request(ask))).await?;
        preview::preview(seen.into_inner())
    }

    async fn loggers(&self) -> Result<BTreeMap<String, Level>, Error> {
        self.rest.loggers().await
    }

    async fn logger(&self, logger: &str) -> Result<Level, Error> {
        self.rest.logger(logger).await
    }

    async fn set_level(&self, logger: &str, level: &str, scope: Scope) -> Result<Vec<String>, Error> {
        self.rest.set_level(logger, level, scope).await
    }

    async fn members(&self) -> Result<Vec<Member>, Error> {
        let request = v1::GetClusterRequest { consistency: None };
        let mut client = ClusterServiceClient::new(self.channel.clone());
        let cluster = client.get_cluster(call(request)).await?.into_inner();
        let leader = cluster.leader.map(|leader| leader.replica);
        let replicas = cluster.replicas.into_iter().map(|replica| Member {
            state: if leader.as_ref() == Some(&replica.id) {
                "LEADER"
            } else {
                "REPLICA"
            }
            .into(),
            id: replica.id,
            role: "control",
            address: replica.endpoints.join(","),
            version: replica.software_version,
            connectors: None,
            tasks: None,
        });
        let agents = self.agents().await?.into_iter().map(|agent| Member {
            id: agent.id,
            role: "agent",
            state: agent.link,
            address: agent.worker_id,
            version: agent.software_version,
            connectors: None,
            tasks: Some(agent.tasks as usize),
        });
        Ok(replicas.chain(agents).collect())
    }

    async fn agents(&self) -> Result<Vec<Agent>, Error> {
        let mut client = self.agents_client();
        let (last, agents) = pages!(
            token,
            client.list_agents(call(v1::ListAgentsRequest {
                consistency: None,
                page: page(token),
            })),
            agents
        );
        let stale = stale(last.freshness.as_ref());
        Ok(agents.into_iter().map(|found| agent(found, stale)).collect())
    }

    async fn agent(&self, id: &str) -> Result<Agent, Error> {
        let request = v1::GetAgentRequest {
            consistency: None,
            id: id.into(),
        };
        let answer = self.agents_client().get_agent(call(request)).await?.into_inner();
        let stale = stale(answer.freshness.as_ref());
        Ok(agent(answer.agent.unwrap_or_default(), stale))
    }

    async fn decide(&self, id: &str, policy: Policy) -> Result<(), Error> {
        let mut client = self.agents_client();
        let id = id.to_owned();
        match policy {
            Policy::Active => {
                client.uncordon_agent(call(v1::UncordonAgentRequest { id })).await?;
            }
            Policy::Cordoned => {
                client.cordon_agent(call(v1::CordonAgentRequest { id })).await?;
            }
            Policy::Draining => {
                client.drain_agent(call(v1::DrainAgentRequest { id })).await?;
            }
            Policy::Removed => {
                client.remove_agent(call(v1::RemoveAgentRequest { id })).await?;
            }
        }
        Ok(())
    }

    /// Goes on at another replica when one goes away: the snapshot there says everything again.
    async fn watch(&self, events: mpsc::Sender<Event>) -> Result<(), Error> {
        let mut begun = false;
        loop {
            match self.follow(&events, &mut begun).await {
                Ok(()) => return Ok(()),
                // The first attempt shows whether it can work at all.
                Err(error) if begun && matches!(error.kind, ErrorKind::Unavailable | ErrorKind::Failed) => {
                    eprintln!("dray: the watch ended ({error}); it begins again");
                    tokio::time::sleep(AGAIN).await;
                }
                Err(error) => return Err(error),
            }
        }
    }
}
