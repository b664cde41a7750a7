//! The port that agents use: records go to and come from Kafka in its own wire format, and librdkafka does the rest. It also does the
//! whole where settings ask for a way to connect that is its alone (Kerberos, PKCS12 key stores, ...), or say so:
//! `dray.kafka.client=librdkafka`.

use crate::codes::local;
use crate::error::{Class, Result};
use crate::port::{
    Admin, ClientConfig, Consumer, GroupMember, GroupOffsets, KafkaPort, ProducerLane, TopicTail, TransactionalProducer,
};
use crate::rd::RdKafka;
use crate::wire::cluster::{Cluster, Clusters};
use crate::wire::group::fallback::Consumers;
use crate::wire::produce::Producers;
use async_trait::async_trait;
use dray_connect::sink_batch::TopicPartition;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Which client serves these settings: `wire` (the default) or `librdkafka`.
pub const CLIENT: &str = "dray.kafka.client";

/// Clients of a real Kafka. One per process: connections and clients are shared between all that ask.
#[derive(Debug, Default)]
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

    /// The cluster that these settings lead to; none when librdkafka is to serve them.
    fn spoken(&self, config: &ClientConfig) -> Result<Option<Arc<Cluster>>> {
        match config.get(CLIENT).map_or("wire", |client| client.trim()) {
            "wire" => self.clusters.of(config),
            "librdkafka" => Ok(None),
            other => Err(local(
                format!("client setting `{CLIENT}`"),
                "INVALID_CONFIG",
                format!("`{other}` is neither `wire` nor `librdkafka`"),
                Class::Fatal,
            )),
        }
    }
}

#[async_trait]
impl KafkaPort for Kafka {
    fn producer_lane(&self, config: &ClientConfig, quota: usize, owner: Option<&str>) -> Result<Box<dyn ProducerLane>> {
        match self.spoken(config)? {
            Some(cluster) => Ok(Box::new(self.producers.lane(config, cluster, quota, owner)?)),
            None => self.rd.producer_lane(config, quota, owner),
        }
    }

    fn consumer(&self, given: &ClientConfig, topics: &[String], prefetch: usize) -> Result<Box<dyn Consumer>> {
        let mut config = given.clone();
        if config.remove(CLIENT).is_some() && self.spoken(given)?.is_none() {
            return self.rd.consumer(&config, topics, prefetch);
        }
        let (rd, mut classic) = (Arc::clone(&self.rd), config.clone());
        classic.insert("group.protocol".to_owned(), "classic".to_owned());
        let classic = Box::new(move |topics: &[String]| rd.consumer(&classic, topics, prefetch));
        let consumer = self
            .consumers
            .consumer(&self.clusters, &config, topics, prefetch, classic)?;
        consumer.map_or_else(|| self.rd.consumer(&config, topics, prefetch), Ok)
    }

    fn admin(&self, config: &ClientConfig) -> Result<Arc<dyn Admin>> {
        self.rd.admin(config)
    }

    fn tail(&self, config: &ClientConfig, topic: &str) -> Result<Box<dyn TopicTail>> {
        self.rd.tail(config, topic)
    }

    async fn transactional_producer(
        &self,
        config: &ClientConfig,
        transactional_id: &str,
        timeout: Duration,
    ) -> Result<Box<dyn TransactionalProducer>> {
        self.rd.transactional_producer(config, transactional_id, timeout).await
    }

    async fn fence(&self, config: &ClientConfig, transactional_id: &str, timeout: Duration) -> Result<()> {
        self.rd.fence(config, transactional_id, timeout).await
    }

    async fn group_members(&self, config: &ClientConfig, group: &str, timeout: Duration) -> Result<Vec<GroupMember>> {
        self.rd.group_members(config, group, timeout).await
    }

    async fn leave_on_behalf(
        &self,
        config: &ClientConfig,
        group: &str,
        members: &[GroupMember],
        timeout: Duration,
    ) -> Result<()> {
        self.rd.leave_on_behalf(config, group, members, timeout).await
    }

    async fn group_offsets(&self, config: &ClientConfig, group: &str, timeout: Duration) -> Result<GroupOffsets> {
        self.rd.group_offsets(config, group, timeout).await
    }

    async fn alter_group_offsets(
        &self,
        config: &ClientConfig,
        group: &str,
        offsets: &BTreeMap<TopicPartition, Option<i64>>,
        timeout: Duration,
    ) -> Result<()> {
        self.rd.alter_group_offsets(config, group, offsets, timeout).await
    }

    async fn delete_group(&self, config: &ClientConfig, group: &str, timeout: Duration) -> Result<()> {
        self.rd.delete_group(config, group, timeout).await
    }
}
