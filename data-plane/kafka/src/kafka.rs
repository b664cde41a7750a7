//! The port that agents use: records go to and come from Kafka in its own wire format, and librdkafka does the rest. It also does the
//! whole where settings ask for a way to connect that is its alone (Kerberos, PKCS12 key stores, ...), or say so:
//! `dray.kafka.client=librdkafka`.

use crate::codes::local;
use crate::error::{Class, Result};
use crate::port::{
    Admin, Assignment, ClientConfig, Consumer, GroupMember, GroupOffsets, KafkaPort, ProducerLane, Reader, TopicTail,
    TransactionalProducer,
};
use crate::rd::RdKafka;
use crate::wire::cluster::Clusters;
use crate::wire::fetch::tail::WireTail;
use crate::wire::group::fallback::Consumers;
use crate::wire::oauth::Sources;
use crate::wire::produce::Producers;
use async_trait::async_trait;
use dray_connect::sink_batch::TopicPartition;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Chooses the client of producers and consumers: `wire`, the default, or `librdkafka`. A setting of the clients, so that a worker or a
/// connector can have it.
pub const CLIENT: &str = "dray.kafka.client";

/// Clients of a real Kafka. One per process: it shares what can be shared between all that ask.
#[derive(Default)]
pub struct Kafka {
    rd: Arc<RdKafka>,
    clusters: Clusters,
    producers: Producers,
    consumers: Consumers,
}

impl Kafka {
    /// A port without clients yet. Nothing connects before the first client is made. Its connections are served by the tokio runtime that
    /// this is called in, whoever asks for clients later: other runtimes may have their threads blocked.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets clients fetch tokens (SASL OAUTHBEARER) from where these options of a Java process allow it, as Kafka's own clients read it:
    /// `-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=https://..., ...` of `KAFKA_OPTS`. Without it, from nowhere. To be called before
    /// there are clients.
    #[must_use]
    pub fn with_java_options(self, options: &str) -> Self {
        let sources = Arc::new(Sources::allowed_by(options));
        Self {
            rd: Arc::new(RdKafka::with(&sources)),
            clusters: self.clusters.with(sources),
            ..self
        }
    }
}

impl std::fmt::Debug for Kafka {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Settings hold secrets.
        f.debug_struct("Kafka").finish_non_exhaustive()
    }
}

/// The settings without the choice, and whether the wire client is to be tried.
fn chosen(config: &ClientConfig) -> Result<(ClientConfig, bool)> {
    let mut config = config.clone();
    let wire = match config.remove(CLIENT).as_deref().map(str::trim) {
        None | Some("wire") => true,
        Some("librdkafka") => false,
        Some(other) => {
            let message = format!("`{other}` is none of `wire`, `librdkafka`");
            let what = format!("client setting `{CLIENT}`");
            return Err(local(what, "INVALID_CONFIG", message, Class::Fatal));
        }
    };
    Ok((config, wire))
}

#[async_trait]
impl KafkaPort for Kafka {
    fn producer_lane(&self, config: &ClientConfig, quota: usize, owner: Option<&str>) -> Result<Box<dyn ProducerLane>> {
        let (config, wire) = chosen(config)?;
        if wire && let Some(cluster) = self.clusters.of(&config)? {
            return Ok(Box::new(self.producers.lane(&config, cluster, quota, owner)?));
        }
        self.rd.producer_lane(&config, quota, owner)
    }

    fn consumer(&self, config: &ClientConfig, topics: &[String], prefetch: usize) -> Result<Box<dyn Consumer>> {
        let (config, wire) = chosen(config)?;
        if wire {
            let (rd, mut classic) = (Arc::clone(&self.rd), config.clone());
            classic.insert("group.protocol".to_owned(), "classic".to_owned());
            let classic = Box::new(move |topics: &[String]| rd.consumer(&classic, topics, prefetch));
            if let Some(consumer) = self
                .consumers
                .consumer(&self.clusters, &config, topics, prefetch, classic)?
            {
                return Ok(consumer);
            }
        }
        self.rd.consumer(&config, topics, prefetch)
    }

    fn admin(&self, config: &ClientConfig) -> Result<Arc<dyn Admin>> {
        self.rd.admin(&chosen(config)?.0)
    }

    fn tail(&self, config: &ClientConfig, topic: &str) -> Result<Box<dyn TopicTail>> {
        let (config, wire) = chosen(config)?;
        if wire && let Some(cluster) = self.clusters.of(&config)? {
            return Ok(Box::new(WireTail::new(cluster, topic, &config)?));
        }
        self.rd.tail(&config, topic)
    }

    fn reader(&self, config: &ClientConfig, assignment: Assignment) -> Result<Box<dyn Reader>> {
        let (config, wire) = chosen(config)?;
        if wire && let Some(reader) = self.consumers.reader(&self.clusters, &config, &assignment)? {
            return Ok(Box::new(reader));
        }
        self.rd.reader(&config, assignment)
    }

    async fn transactional_producer(
        &self,
        config: &ClientConfig,
        transactional_id: &str,
        timeout: Duration,
    ) -> Result<Box<dyn TransactionalProducer>> {
        let (config, _) = chosen(config)?;
        self.rd.transactional_producer(&config, transactional_id, timeout).await
    }

    async fn fence(&self, config: &ClientConfig, transactional_id: &str, timeout: Duration) -> Result<()> {
        self.rd.fence(&chosen(config)?.0, transactional_id, timeout).await
    }

    async fn group_members(&self, config: &ClientConfig, group: &str, timeout: Duration) -> Result<Vec<GroupMember>> {
        self.rd.group_members(&chosen(config)?.0, group, timeout).await
    }

    async fn leave_on_behalf(
        &self,
        config: &ClientConfig,
        group: &str,
        members: &[GroupMember],
        timeout: Duration,
    ) -> Result<()> {
        self.rd
            .leave_on_behalf(&chosen(config)?.0, group, members, timeout)
            .await
    }

    async fn group_offsets(&self, config: &ClientConfig, group: &str, timeout: Duration) -> Result<GroupOffsets> {
        self.rd.group_offsets(&chosen(config)?.0, group, timeout).await
    }

    async fn alter_group_offsets(
        &self,
        config: &ClientConfig,
        group: &str,
        offsets: &BTreeMap<TopicPartition, Option<i64>>,
        timeout: Duration,
    ) -> Result<()> {
        let (config, _) = chosen(config)?;
        self.rd.alter_group_offsets(&config, group, offsets, timeout).await
    }

    async fn delete_group(&self, config: &ClientConfig, group: &str, timeout: Duration) -> Result<()> {
        self.rd.delete_group(&chosen(config)?.0, group, timeout).await
    }
}
