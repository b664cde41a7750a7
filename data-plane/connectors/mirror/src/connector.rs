//! The connector: finds the topics that are copied, creates those that the target lacks, and shares their partitions out.

use crate::clients;
use crate::config::{Plan, definition, for_tasks, without_effect};
use crate::offsets;
use crate::task::MirrorSourceTask;
use dray_connect::config::{ConfigDef, ConfigMap};
use dray_connect::connector::{ExactlyOnceSupport, SourceConnector, SourceTask};
use dray_connect::context::ConnectorContext;
use dray_connect::offset::OffsetMap;
use dray_connect::sink_batch::TopicPartition;
use dray_connect::{Error, Result, async_trait};
use dray_kafka::port::{Admin, ClientConfig, Clients, KafkaPort, NewTopic};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::task::JoinSet;

/// Copies topics of one cluster.
pub struct MirrorSourceConnector {
    config_def: ConfigDef,
    config: ConfigMap,
    /// What is copied now, in order.
    partitions: Arc<Mutex<Vec<TopicPartition>>>,
    /// Looks for new topics; one at most.
    watching: JoinSet<()>,
}

impl MirrorSourceConnector {
    /// Not yet started.
    #[must_use]
    pub fn new() -> Self {
        Self {
            config_def: definition(),
            config: ConfigMap::new(),
            partitions: Arc::default(),
            watching: JoinSet::new(),
        }
    }
}

impl Default for MirrorSourceConnector {
    fn default() -> Self {
        Self::new()
    }
}

fn lock(partitions: &Mutex<Vec<TopicPartition>>) -> MutexGuard<'_, Vec<TopicPartition>> {
    // Held for a line that cannot panic.
    partitions.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl SourceConnector for MirrorSourceConnector {
    fn config_def(&self) -> &ConfigDef {
        &self.config_def
    }

    async fn start(&mut self, context: ConnectorContext, config: &ConfigMap) -> Result<()> {
        let plan = Plan::new(config)?;
        self.config = config.clone();
        for key in without_effect(config) {
            tracing::warn!(key, "this key of MirrorMaker has no effect here yet");
        }
        if !plan.enabled {
            return Ok(());
        }
        let clients: &Clients = context
            .lent()
            .ok_or_else(|| Error::connect("this worker lends no Kafka clients"))?;
        // Before anything is connected: its tasks would fail on it.
        clients::consumer(config, &plan)?;
        let flow = Flow {
            port: Arc::clone(&clients.port),
            source: clients::source_admin(config, &plan)?,
            target: clients::target_admin(config, &plan, &clients.admin),
            plan,
        };
        *lock(&self.partitions) = flow.refresh().await?;
        if flow.plan.refresh.is_some() {
            self.watching.spawn(watch(flow, context, Arc::clone(&self.partitions)));
        }
        Ok(())
    }

    fn task_configs(&self, max_tasks: usize) -> Result<Vec<ConfigMap>> {
        Ok(for_tasks(&self.config, &lock(&self.partitions), max_tasks))
    }

    fn task(&self) -> Box<dyn SourceTask> {
        Box::new(MirrorSourceTask::new())
    }

    fn exactly_once_support(&self, config: &ConfigMap) -> ExactlyOnceSupport {
        let level = Plan::new(config).and_then(|plan| clients::consumer(config, &plan));
        match level.ok().as_ref().and_then(|client| client.get("isolation.level")) {
            Some(level) if level == "read_committed" => ExactlyOnceSupport::Supported,
            Some(_) | None => ExactlyOnceSupport::Unsupported,
        }
    }

    fn reads_topic(&self, config: &ConfigMap, topic: &str) -> Result<Option<String>> {
        let plan = Plan::new(config)?;
        if !plan.enabled || !plan.selection.takes(topic, &plan.policy)? {
            return Ok(None);
        }
        Ok(clients::consumer(config, &plan)?.remove(clients::SERVERS))
    }

    fn alter_offsets(&self, _config: &ConfigMap, offsets: &[(Option<OffsetMap>, Option<OffsetMap>)]) -> Result<bool> {
        for (partition, offset) in offsets {
            offsets::check(partition.as_ref(), offset.as_ref())?;
        }
        Ok(true)
    }

    async fn stop(&mut self) -> Result<()> {
        self.watching.shutdown().await;
        Ok(())
    }
}

/// Looks for new topics and partitions from time to time, until it is dropped.
async fn watch(flow: Flow, context: ConnectorContext, known: Arc<Mutex<Vec<TopicPartition>>>) {
    let Some(interval) = flow.plan.refresh else {
        return;
    };
    loop {
        tokio::time::sleep(interval).await;
        match flow.refresh().await {
            Ok(found) => {
                let news = found != *lock(&known);
                if news {
                    tracing::info!(partitions = found.len(), "the partitions to copy have changed");
                    *lock(&known) = found;
                    context.request_task_reconfiguration();
                }
            }
            Err(error @ Error::Retriable { .. }) => {
                tracing::warn!(error = %chain(&error), "could not look for new topics; tried again later");
            }
            Err(error) => return context.raise_error(error).await,
        }
    }
}

/// From one cluster to the other.
struct Flow {
    port: Arc<dyn KafkaPort>,
    source: ClientConfig,
    target: ClientConfig,
    plan: Plan,
}

impl Flow {
    /// The partitions to copy, in order; what the target lacks of them is created.
    async fn refresh(&self) -> Result<Vec<TopicPartition>> {
        let Plan { policy, selection, .. } = &self.plan;
        let there = self.list(&self.source, &policy.source).await?;
        let mut topics = BTreeMap::new();
        for (topic, partitions) in there {
            if selection.takes(&topic, policy)? {
                topics.insert(topic, partitions);
            }
        }
        if !topics.is_empty() {
            let here = self.list(&self.target, &selection.target).await?;
            for (topic, partitions) in &topics {
                self.provide(&policy.remote(topic), *partitions, &here).await?;
            }
        }
        let all = topics.into_iter().flat_map(|(topic, count)| {
            let topic: Arc<str> = topic.into();
            (0..count).map(move |partition| TopicPartition {
                topic: Arc::clone(&topic),
                partition: i32::try_from(partition).unwrap_or(i32::MAX),
            })
        });
        Ok(all.collect())
    }

    /// An admin client for the moment: it costs threads, and is needed every ten minutes.
    fn admin(&self, client: &ClientConfig, alias: &str) -> Result<Arc<dyn Admin>> {
        let failed = |error| failed(format!("A client of cluster {alias} cannot be made"), error);
        self.port.admin(client).map_err(failed)
    }

    async fn list(&self, client: &ClientConfig, alias: &str) -> Result<BTreeMap<String, usize>> {
        let listed = self.admin(client, alias)?.topics(self.plan.admin).await;
        listed.map_err(|error| failed(format!("The topics of cluster {alias} cannot be listed"), error))
    }

    /// Sees to it that the target has a topic with so many partitions at least.
    async fn provide(&self, topic: &str, partitions: usize, here: &BTreeMap<String, usize>) -> Result<()> {
        let (alias, within) = (&self.plan.selection.target, self.plan.admin);
        match here.get(topic) {
            Some(known) if *known >= partitions => Ok(()),
            Some(known) => {
                let admin = self.admin(&self.target, alias)?;
                match admin.create_partitions(topic, partitions, within).await {
                    // Somebody else was faster.
                    Err(error) if error.code == "InvalidPartitions" => Ok(()),
                    Err(error) => Err(failed(
                        format!("Topic {topic} of cluster {alias} cannot be given {partitions} partitions"),
                        error,
                    )),
                    Ok(()) => {
                        tracing::info!(topic, partitions, before = known, "the topic has more partitions");
                        Ok(())
                    }
                }
            }
            None => {
                let new = NewTopic {
                    name: topic.to_owned(),
                    partitions: i32::try_from(partitions).unwrap_or(i32::MAX),
                    replication_factor: self.plan.replication_factor,
                    configs: BTreeMap::new(),
                };
                let created = self.admin(&self.target, alias)?.create_topic(&new, within).await;
                let created = created.map_err(|error| {
                    let hint = "see replication.factor, and whether the client may create topics";
                    failed(
                        format!("Topic {topic} cannot be created on cluster {alias} ({hint})"),
                        error,
                    )
                })?;
                tracing::info!(topic, partitions, outcome = ?created, "topic is there");
                Ok(())
            }
        }
    }
}

/// A failure of a client, in the words of connectors.
pub(crate) fn failed(what: String, error: dray_kafka::Error) -> Error {
    if error.is_retriable() {
        Error::retriable(what).with_source(error)
    } else {
        Error::connect(what).with_source(error)
    }
}

/// An error with its cause, in one line.
fn chain(error: &Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
