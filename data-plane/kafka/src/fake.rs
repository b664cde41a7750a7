//! A Kafka in memory, for tests of what stands on the port. Deterministic: no threads and no clock, so it works on paused
//! time; acknowledgements, failures and rebalances come when the test says so.

mod consumer;
mod producer;
mod reader;
mod topics;
mod transactions;

use crate::error::{Class, Error, Result};
use crate::murmur2;
use crate::port::{
    Ack, Admin, Assignment, ClientConfig, Consumer, Delivered, GroupMember, GroupOffsets, KafkaPort, ProduceRecord,
    ProducerLane, Reader, TopicTail, TransactionalProducer,
};
use async_trait::async_trait;
use dray_connect::sink_batch::TopicPartition;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// A record as the fake keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FakeRecord {
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
    /// As produced; its offset when the producer left it open.
    pub timestamp: i64,
    /// Key bytes.
    pub key: Option<Vec<u8>>,
    /// Value bytes.
    pub value: Option<Vec<u8>>,
    /// Headers in order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

/// The fake. Clones are the same Kafka.
#[derive(Clone, Debug, Default)]
pub struct FakeKafka {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    cluster: Mutex<Cluster>,
    changed: Notify,
}

#[derive(Debug)]
struct Cluster {
    topics: BTreeMap<String, Topic>,
    auto_create: Option<i32>,
    max_request_size: usize,
    held: bool,
    /// Acknowledgements not yet given to their lanes, oldest first.
    waiting: VecDeque<(u64, Ack)>,
    lanes: HashMap<u64, VecDeque<Ack>>,
    next_id: u64,
    next_partition: usize,
    produce_failures: VecDeque<Class>,
    commit_failures: VecDeque<Class>,
    groups: BTreeMap<String, Group>,
    transactions: transactions::Transactions,
}

#[derive(Debug, Default)]
struct Topic {
    partitions: Vec<Vec<FakeRecord>>,
    /// What is deleted of partitions, up to these offsets.
    deleted: BTreeMap<i32, i64>,
    configs: BTreeMap<String, String>,
}

#[derive(Debug, Default)]
struct Group {
    committed: BTreeMap<TopicPartition, i64>,
    /// The one member that has all partitions: the newest.
    member: Option<consumer::Membership>,
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            topics: BTreeMap::new(),
            auto_create: Some(1),
            max_request_size: 1_048_576,
            held: false,
            waiting: VecDeque::new(),
            lanes: HashMap::new(),
            next_id: 0,
            next_partition: 0,
            produce_failures: VecDeque::new(),
            commit_failures: VecDeque::new(),
            groups: BTreeMap::new(),
            transactions: transactions::Transactions::default(),
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Cluster> {
        self.cluster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the cluster and wakes all that wait for a change.
    fn change<T>(&self, change: impl FnOnce(&mut Cluster) -> T) -> T {
        let result = change(&mut self.lock());
        self.changed.notify_waiters();
        result
    }

    /// Waits until `look` finds something.
    async fn wait<T>(&self, mut look: impl FnMut(&mut Cluster) -> Option<T>) -> T {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Before looking, so that a change between the look and the wait is not missed.
            changed.as_mut().enable();
            if let Some(found) = look(&mut self.lock()) {
                return found;
            }
            changed.await;
        }
    }
}

impl FakeKafka {
    /// A Kafka without topics that creates a topic with one partition for whoever produces to it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates a topic, or does nothing when it is there.
    pub fn create_topic(&self, name: &str, partitions: usize) {
        self.shared
            .change(|cluster| cluster.create(name, partitions, BTreeMap::new()));
    }

    /// Partitions of topics that are created by producing to them; none refuses, as a broker without
    /// `auto.create.topics.enable` does.
    pub fn auto_create(&self, partitions: Option<i32>) {
        self.shared.lock().auto_create = partitions;
    }

    /// The size from which on a record is refused.
    pub fn max_request_size(&self, bytes: usize) {
        self.shared.lock().max_request_size = bytes;
    }

    /// From now on records are stored, but acknowledged only by `release`.
    pub fn hold_acks(&self) {
        self.shared.lock().held = true;
    }

    /// Delivers the `count` oldest held acknowledgements; returns how many there were.
    pub fn release(&self, count: usize) -> usize {
        self.shared.change(|cluster| {
            let count = count.min(cluster.waiting.len());
            for (lane, ack) in cluster.waiting.drain(..count).collect::<Vec<_>>() {
                cluster.deliver(lane, ack);
            }
            count
        })
    }

    /// Delivers all held acknowledgements, and later ones at once.
    pub fn release_all(&self) {
        self.release(usize::MAX);
        self.shared.lock().held = false;
    }

    /// Acknowledgements that are held.
    #[must_use]
    pub fn held(&self) -> usize {
        self.shared.lock().waiting.len()
    }

    /// The next `count` records are not stored, and their acknowledgement is an error of this class.
    pub fn fail_next(&self, class: Class, count: usize) {
        self.shared
            .lock()
            .produce_failures
            .extend(std::iter::repeat_n(class, count));
    }

    /// The next `count` commits fail and commit nothing.
    pub fn fail_commits(&self, class: Class, count: usize) {
        self.shared
            .lock()
            .commit_failures
            .extend(std::iter::repeat_n(class, count));
    }

    /// Stores a record as any other client would; returns its offset.
    pub fn append(&self, topic: &str, partition: i32, key: Option<&[u8]>, value: Option<&[u8]>) -> i64 {
        let record = ProduceRecord {
            topic,
            partition: Some(partition),
            timestamp: None,
            key,
            value,
            headers: &[],
            sequence: 0,
        };
        self.shared.change(|cluster| match cluster.store(&record) {
            Ok(delivered) => delivered.offset,
            Err(error) => panic!("{error}"),
        })
    }

    /// All records of a topic, by partition and offset.
    #[must_use]
    pub fn records(&self, topic: &str) -> Vec<FakeRecord> {
        let cluster = self.shared.lock();
        cluster
            .topics
            .get(topic)
            .map(|topic| topic.partitions.concat())
            .unwrap_or_default()
    }

    /// What a group has committed.
    #[must_use]
    pub fn committed(&self, group: &str) -> BTreeMap<TopicPartition, i64> {
        self.shared
            .lock()
            .groups
            .get(group)
            .map(|group| group.committed.clone())
            .unwrap_or_default()
    }

    /// Commits for a group, as an operator would with Kafka's tools.
    pub fn set_committed(&self, group: &str, partition: TopicPartition, offset: i64) {
        self.shared
            .lock()
            .groups
            .entry(group.to_owned())
            .or_default()
            .committed
            .insert(partition, offset);
    }
}

impl Cluster {
    fn create(&mut self, name: &str, partitions: usize, configs: BTreeMap<String, String>) -> bool {
        if self.topics.contains_key(name) {
            return false;
        }
        let partitions = vec![Vec::new(); partitions.max(1)];
        let topic = Topic {
            partitions,
            configs,
            ..Topic::default()
        };
        self.topics.insert(name.to_owned(), topic);
        self.assign_new();
        true
    }

    fn store(&mut self, record: &ProduceRecord<'_>) -> Result<Delivered> {
        if let Some(class) = self.produce_failures.pop_front() {
            return Err(scripted("producing a record", class));
        }
        if !self.topics.contains_key(record.topic)
            && let Some(partitions) = self.auto_create
        {
            self.create(record.topic, usize::try_from(partitions).unwrap_or(1), BTreeMap::new());
        }
        let Some(topic) = self.topics.get_mut(record.topic) else {
            return Err(unknown_topic("producing a record", record.topic));
        };
        let count = topic.partitions.len();
        let partition = match (record.partition, record.key) {
            (Some(partition), _) => partition,
            (None, Some(key)) => murmur2::partition(key, i32::try_from(count).unwrap_or(i32::MAX)),
            (None, None) => {
                self.next_partition += 1;
                i32::try_from((self.next_partition - 1) % count).unwrap_or_default()
            }
        };
        let Some(log) = usize::try_from(partition)
            .ok()
            .and_then(|index| topic.partitions.get_mut(index))
        else {
            return Err(unknown_topic(
                "producing a record",
                &format!("{}-{partition}", record.topic),
            ));
        };
        let offset = log.len() as i64;
        log.push(FakeRecord {
            partition,
            offset,
            timestamp: record.timestamp.unwrap_or(offset),
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            headers: record
                .headers
                .iter()
                .map(|h| (h.key.to_owned(), h.value.map(<[u8]>::to_vec)))
                .collect(),
        });
        Ok(Delivered { partition, offset })
    }

    fn deliver(&mut self, lane: u64, ack: Ack) {
        // A lane that was dropped has nobody to tell.
        if let Some(acks) = self.lanes.get_mut(&lane) {
            acks.push_back(ack);
        }
    }

    fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }
}

fn scripted(what: &str, class: Class) -> Error {
    Error {
        what: what.to_owned(),
        code: "SCRIPTED".to_owned(),
        message: "the test asked for it".to_owned(),
        class,
    }
}

fn unknown_topic(what: &str, topic: &str) -> Error {
    Error {
        what: what.to_owned(),
        code: "UnknownTopicOrPartition".to_owned(),
        message: format!("`{topic}` does not exist"),
        class: Class::Retriable,
    }
}

#[async_trait]
impl KafkaPort for FakeKafka {
    fn producer_lane(&self, _: &ClientConfig, quota: usize, _: Option<&str>) -> Result<Box<dyn ProducerLane>> {
        Ok(Box::new(producer::FakeLane::new(Arc::clone(&self.shared), quota)))
    }

    fn consumer(&self, config: &ClientConfig, topics: &[String], _prefetch: usize) -> Result<Box<dyn Consumer>> {
        Ok(Box::new(consumer::FakeConsumer::join(
            Arc::clone(&self.shared),
            config,
            topics,
        )?))
    }

    fn admin(&self, _config: &ClientConfig) -> Result<Arc<dyn Admin>> {
        Ok(Arc::new(topics::FakeAdmin(Arc::clone(&self.shared))))
    }

    fn tail(&self, _config: &ClientConfig, topic: &str) -> Result<Box<dyn TopicTail>> {
        Ok(Box::new(topics::FakeTail::new(Arc::clone(&self.shared), topic)))
    }

    fn reader(&self, _config: &ClientConfig, assignment: Assignment) -> Result<Box<dyn Reader>> {
        Ok(Box::new(reader::FakeReader::new(Arc::clone(&self.shared), assignment)))
    }

    async fn transactional_producer(
        &self,
        _config: &ClientConfig,
        transactional_id: &str,
        _timeout: Duration,
    ) -> Result<Box<dyn TransactionalProducer>> {
        let epoch = self.shared.change(|cluster| cluster.raise_epoch(transactional_id));
        Ok(Box::new(transactions::FakeTransactional {
            shared: Arc::clone(&self.shared),
            id: transactional_id.to_owned(),
            epoch,
        }))
    }

    async fn fence(&self, _config: &ClientConfig, transactional_id: &str, _timeout: Duration) -> Result<()> {
        self.shared.change(|cluster| cluster.raise_epoch(transactional_id));
        Ok(())
    }

    async fn group_members(&self, _config: &ClientConfig, group: &str, _timeout: Duration) -> Result<Vec<GroupMember>> {
        Ok(self.shared.lock().members(group))
    }

    async fn leave_on_behalf(
        &self,
        _config: &ClientConfig,
        group: &str,
        members: &[GroupMember],
        _timeout: Duration,
    ) -> Result<()> {
        self.shared.change(|cluster| cluster.leave(group, members));
        Ok(())
    }

    async fn group_offsets(&self, _config: &ClientConfig, group: &str, _timeout: Duration) -> Result<GroupOffsets> {
        Ok(self.committed(group))
    }

    async fn alter_group_offsets(
        &self,
        _config: &ClientConfig,
        group: &str,
        offsets: &BTreeMap<TopicPartition, Option<i64>>,
        _timeout: Duration,
    ) -> Result<()> {
        self.shared.change(|cluster| {
            let group = cluster.groups.entry(group.to_owned()).or_default();
            for (partition, offset) in offsets {
                match offset {
                    Some(offset) => drop(group.committed.insert(partition.clone(), *offset)),
                    None => drop(group.committed.remove(partition)),
                }
            }
        });
        Ok(())
    }

    async fn delete_group(&self, _config: &ClientConfig, group: &str, _timeout: Duration) -> Result<()> {
        self.shared.change(|cluster| drop(cluster.groups.remove(group)));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
