//! The topics: created, grown, configured and deleted. A partition is handed out as an `Arc`, so that nothing here is
//! locked while records move.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use kafka_protocol::ResponseError;
use kafka_protocol::messages::TopicName;
use kafka_protocol::protocol::StrBytes;

use crate::log::{Memory, Partition};
use crate::sync::lock;
use crate::topic_config::TopicConfig;

/// Kafka's own limit of a topic name.
const MAX_NAME_LENGTH: usize = 249;
/// The most partitions of one topic: far above what one process is good for, and small enough to allocate.
const MAX_PARTITIONS: i32 = 10_000;

/// All topics by name.
#[derive(Debug)]
pub(crate) struct Topics {
    topics: Mutex<BTreeMap<TopicName, Topic>>,
    memory: Arc<Memory>,
}

/// One topic. A clone shares its partitions.
#[derive(Clone, Debug)]
pub(crate) struct Topic {
    pub(crate) partitions: Vec<Arc<Partition>>,
    pub(crate) config: TopicConfig,
}

impl Topics {
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self {
            topics: Mutex::default(),
            memory: Arc::new(Memory::new(max_bytes)),
        }
    }

    /// Every topic with its number of partitions.
    pub(crate) fn list(&self) -> Vec<(TopicName, usize)> {
        lock(&self.topics)
            .iter()
            .map(|(name, topic)| (name.clone(), topic.partitions.len()))
            .collect()
    }

    pub(crate) fn partition_count(&self, name: &TopicName) -> Option<usize> {
        lock(&self.topics).get(name).map(|topic| topic.partitions.len())
    }

    pub(crate) fn get(&self, name: &TopicName) -> Option<Topic> {
        lock(&self.topics).get(name).cloned()
    }

    /// One partition, with the greatest batch that its topic takes.
    pub(crate) fn partition(&self, name: &TopicName, index: i32) -> Result<(Arc<Partition>, usize), ResponseError> {
        let topics = lock(&self.topics);
        let topic = topics.get(name).ok_or(ResponseError::UnknownTopicOrPartition)?;
        let index = usize::try_from(index).map_err(|_| ResponseError::UnknownTopicOrPartition)?;
        let partition = topic
            .partitions
            .get(index)
            .ok_or(ResponseError::UnknownTopicOrPartition)?;
        Ok((Arc::clone(partition), topic.config.max_message_bytes()))
    }

    /// Creates a topic, or only says whether it could be created.
    pub(crate) fn create(
        &self,
        name: &TopicName,
        partitions: i32,
        config: TopicConfig,
        validate_only: bool,
    ) -> Result<(), ResponseError> {
        if !is_valid_name(name) {
            return Err(ResponseError::InvalidTopicException);
        }
        if !(1..=MAX_PARTITIONS).contains(&partitions) {
            return Err(ResponseError::InvalidPartitions);
        }
        let mut topics = lock(&self.topics);
        if topics.contains_key(name) {
            return Err(ResponseError::TopicAlreadyExists);
        }
        if !validate_only {
            let partitions = (0..partitions).map(|_| self.new_partition()).collect();
            // The name is copied: a slice of the request would keep the request alive as long as the topic.
            let name = TopicName(StrBytes::from_string(name.to_string()));
            topics.insert(name, Topic { partitions, config });
        }
        Ok(())
    }

    /// Deletes a topic with its records, and wakes the fetches that wait for it.
    pub(crate) fn delete(&self, name: &TopicName) -> Result<(), ResponseError> {
        let topic = lock(&self.topics)
            .remove(name)
            .ok_or(ResponseError::UnknownTopicOrPartition)?;
        for partition in &topic.partitions {
            partition.wake();
        }
        Ok(())
    }

    /// Adds partitions until there are `count`.
    pub(crate) fn grow(&self, name: &TopicName, count: i32, validate_only: bool) -> Result<(), ResponseError> {
        let mut topics = lock(&self.topics);
        let topic = topics.get_mut(name).ok_or(ResponseError::UnknownTopicOrPartition)?;
        let wanted = usize::try_from(count).map_err(|_| ResponseError::InvalidPartitions)?;
        if wanted <= topic.partitions.len() || count > MAX_PARTITIONS {
            return Err(ResponseError::InvalidPartitions);
        }
        if !validate_only {
            topic.partitions.resize_with(wanted, || self.new_partition());
        }
        Ok(())
    }

    /// Changes the configuration: all of `change` or nothing.
    pub(crate) fn configure(
        &self,
        name: &TopicName,
        validate_only: bool,
        change: impl FnOnce(&mut TopicConfig) -> Result<(), ResponseError>,
    ) -> Result<(), ResponseError> {
        let mut topics = lock(&self.topics);
        let topic = topics.get_mut(name).ok_or(ResponseError::UnknownTopicOrPartition)?;
        let mut changed = topic.config.clone();
        change(&mut changed)?;
        if !validate_only {
            topic.config = changed;
        }
        Ok(())
    }

    fn new_partition(&self) -> Arc<Partition> {
        Arc::new(Partition::new(Arc::clone(&self.memory)))
    }
}

fn is_valid_name(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    !name.is_empty() && name.len() <= MAX_NAME_LENGTH && name != "." && name != ".." && name.bytes().all(legal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kafkas() {
        assert!(is_valid_name("orders.v1_x-2"));
        for bad in ["", ".", "..", "a b", "ä", &"x".repeat(250)] {
            assert!(!is_valid_name(bad), "{bad}");
        }
    }
}
