//! The port on librdkafka. The only place that names rdkafka.

mod admin;
mod batch;
pub(crate) mod client;
pub(crate) mod config;
mod consumer;
mod direct;
mod errors;
mod fence;
mod fetch;
mod group_offsets;
mod groups;
mod idle;
mod member;
mod membership;
mod oauth;
mod polling;
mod producer;
mod reader;
mod tail;
mod topic;
mod transactional;

use crate::error::Result;
use crate::port::{
    Admin, Assignment, ClientConfig, Consumer, GroupMember, GroupOffsets, KafkaPort, ProducerLane, Reader, TopicTail,
    TransactionalProducer,
};
use crate::wire::oauth::Sources;
use async_trait::async_trait;
use client::{Threads, lock};
use dray_connect::sink_batch::TopicPartition;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

/// Clients of a real Kafka. One per process: it shares producers and admin clients between all that ask.
#[derive(Default)]
pub struct RdKafka {
    producers: producer::Producers,
    admins: Mutex<HashMap<ClientConfig, Weak<admin::RdAdmin>>>,
    threads: Arc<Threads>,
    sources: Arc<Sources>,
    classic: Arc<membership::ClassicClusters>,
    idle: Arc<idle::Idle>,
}

impl RdKafka {
    /// A port without clients yet. Nothing connects before the first client is made.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One whose clients log in with these tokens.
    pub(crate) fn with(sources: &Arc<Sources>) -> Self {
        Self {
            sources: Arc::clone(sources),
            idle: Arc::new(idle::Idle::with(sources)),
            ..Self::default()
        }
    }
}

impl std::fmt::Debug for RdKafka {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Settings hold secrets.
        f.debug_struct("RdKafka").finish_non_exhaustive()
    }
}

#[async_trait]
impl KafkaPort for RdKafka {
    fn producer_lane(&self, config: &ClientConfig, quota: usize, _: Option<&str>) -> Result<Box<dyn ProducerLane>> {
        Ok(Box::new(self.producers.lane(
            config,
            quota,
            &self.threads,
            &self.sources,
        )?))
    }

    fn consumer(&self, config: &ClientConfig, topics: &[String], prefetch: usize) -> Result<Box<dyn Consumer>> {
        Ok(Box::new(consumer::RdConsumer::start(
            config,
            topics,
            prefetch,
            &self.threads,
            &self.classic,
            &self.sources,
        )?))
    }

    fn admin(&self, config: &ClientConfig) -> Result<Arc<dyn Admin>> {
        let mut admins = lock(&self.admins);
        admins.retain(|_, admin| admin.strong_count() > 0);
        if let Some(admin) = admins.get(config).and_then(Weak::upgrade) {
            return Ok(admin);
        }
        let admin = Arc::new(admin::RdAdmin::new(config, &self.sources)?);
        admins.insert(config.clone(), Arc::downgrade(&admin));
        Ok(admin)
    }

    fn tail(&self, config: &ClientConfig, topic: &str) -> Result<Box<dyn TopicTail>> {
        Ok(Box::new(tail::RdTail::new(config, topic, &self.sources)?))
    }

    fn reader(&self, config: &ClientConfig, assignment: Assignment) -> Result<Box<dyn Reader>> {
        let reader = reader::RdReader::start(config, &assignment, &self.threads, &self.sources)?;
        Ok(Box::new(reader))
    }

    async fn transactional_producer(
        &self,
        config: &ClientConfig,
        transactional_id: &str,
        timeout: Duration,
    ) -> Result<Box<dyn TransactionalProducer>> {
        let shared = (&self.threads, &self.sources);
        let opening = transactional::RdTransactional::open(config, transactional_id, timeout, shared);
        Ok(Box::new(opening.await?))
    }

    async fn fence(&self, config: &ClientConfig, transactional_id: &str, timeout: Duration) -> Result<()> {
        fence::fence(config, &self.idle, transactional_id, timeout).await
    }

    async fn group_members(&self, config: &ClientConfig, group: &str, timeout: Duration) -> Result<Vec<GroupMember>> {
        groups::members(config, &self.idle, group, timeout).await
    }

    async fn leave_on_behalf(
        &self,
        config: &ClientConfig,
        group: &str,
        members: &[GroupMember],
        timeout: Duration,
    ) -> Result<()> {
        groups::leave(config, &self.idle, group, members, timeout).await
    }

    async fn group_offsets(&self, config: &ClientConfig, group: &str, timeout: Duration) -> Result<GroupOffsets> {
        group_offsets::read((config, &self.idle), group, timeout).await
    }

    async fn alter_group_offsets(
        &self,
        config: &ClientConfig,
        group: &str,
        offsets: &BTreeMap<TopicPartition, Option<i64>>,
        timeout: Duration,
    ) -> Result<()> {
        group_offsets::alter((config, &self.idle), group, offsets, timeout).await
    }

    async fn delete_group(&self, config: &ClientConfig, group: &str, timeout: Duration) -> Result<()> {
        group_offsets::delete((config, &self.idle), group, timeout).await
    }
}
