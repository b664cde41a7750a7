//! A Kafka that can be read and not changed: what a connector's code is lent in a preview. Topics that it would create are created only in
//! its eyes; whatever else would leave something behind is refused.

use async_trait::async_trait;
use dray_connect::sink_batch::TopicPartition;
use dray_kafka::port::{
    Admin, Assignment, ClientConfig, Consumer, GroupMember, GroupOffsets, KafkaPort, NewTopic, ProducerLane, Reader,
    TopicCreation, TopicTail, TransactionalProducer,
};
use dray_kafka::{Class, Error, Result};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

pub(super) struct ReadOnly(pub(super) Arc<dyn KafkaPort>);

struct ReadOnlyAdmin(Arc<dyn Admin>);

fn refused<T>(what: &str) -> Result<T> {
    Err(Error {
        what: what.to_owned(),
        code: "PREVIEW".to_owned(),
        message: "a preview changes nothing".to_owned(),
        class: Class::Fatal,
    })
}

#[async_trait]
impl KafkaPort for ReadOnly {
    fn producer_lane(&self, _: &ClientConfig, _: usize, _: Option<&str>) -> Result<Box<dyn ProducerLane>> {
        refused("making a producer")
    }

    fn consumer(&self, _: &ClientConfig, _: &[String], _: usize) -> Result<Box<dyn Consumer>> {
        refused("joining a group")
    }

    fn admin(&self, config: &ClientConfig) -> Result<Arc<dyn Admin>> {
        Ok(Arc::new(ReadOnlyAdmin(self.0.admin(config)?)))
    }

    fn tail(&self, config: &ClientConfig, topic: &str) -> Result<Box<dyn TopicTail>> {
        self.0.tail(config, topic)
    }

    fn reader(&self, config: &ClientConfig, assignment: Assignment) -> Result<Box<dyn Reader>> {
        self.0.reader(config, assignment)
    }

    async fn cluster_id(&self, config: &ClientConfig, timeout: Duration) -> Result<String> {
        self.0.cluster_id(config, timeout).await
    }

    async fn transactional_producer(
        &self,
        _: &ClientConfig,
        _: &str,
        _: Duration,
    ) -> Result<Box<dyn TransactionalProducer>> {
        refused("making a transactional producer")
    }

    async fn fence(&self, _: &ClientConfig, _: &str, _: Duration) -> Result<()> {
        refused("fencing a transactional id")
    }

    async fn group_members(&self, config: &ClientConfig, group: &str, timeout: Duration) -> Result<Vec<GroupMember>> {
        self.0.group_members(config, group, timeout).await
    }

    async fn leave_on_behalf(&self, _: &ClientConfig, _: &str, _: &[GroupMember], _: Duration) -> Result<()> {
        refused("making members leave a group")
    }

    async fn group_offsets(&self, config: &ClientConfig, group: &str, timeout: Duration) -> Result<GroupOffsets> {
        self.0.group_offsets(config, group, timeout).await
    }

    async fn alter_group_offsets(
        &self,
        _: &ClientConfig,
        _: &str,
        _: &BTreeMap<TopicPartition, Option<i64>>,
        _: Duration,
    ) -> Result<()> {
        refused("setting the offsets of a group")
    }

    async fn delete_group(&self, _: &ClientConfig, _: &str, _: Duration) -> Result<()> {
        refused("deleting a group")
    }
}

#[async_trait]
impl Admin for ReadOnlyAdmin {
    async fn topics(&self, timeout: Duration) -> Result<BTreeMap<String, usize>> {
        self.0.topics(timeout).await
    }

    async fn partitions(&self, topic: &str, timeout: Duration) -> Result<Option<usize>> {
        self.0.partitions(topic, timeout).await
    }

    async fn create_topic(&self, topic: &NewTopic, _: Duration) -> Result<TopicCreation> {
        tracing::debug!(topic = topic.name, "a preview creates no topic");
        Ok(TopicCreation::Created)
    }

    async fn create_partitions(&self, topic: &str, partitions: usize, _: Duration) -> Result<()> {
        tracing::debug!(topic, partitions, "a preview creates no partitions");
        Ok(())
    }

    async fn spans(&self, topic: &str, partitions: usize, timeout: Duration) -> Result<Vec<Range<i64>>> {
        self.0.spans(topic, partitions, timeout).await
    }

    async fn delete_records(&self, _: &str, _: &BTreeMap<i32, i64>, _: Duration) -> Result<()> {
        refused("deleting records")
    }

    async fn topic_config(&self, topic: &str, timeout: Duration) -> Result<BTreeMap<String, String>> {
        self.0.topic_config(topic, timeout).await
    }

    async fn cluster_id(&self, timeout: Duration) -> Result<String> {
        self.0.cluster_id(timeout).await
    }
}
