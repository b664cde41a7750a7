//! The fake's admin client and topic reader.

use super::{Shared, unknown_topic};
use crate::error::Result;
use crate::port::{Admin, NewTopic, TailRecord, TopicCreation, TopicTail};
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

pub(super) struct FakeAdmin(pub(super) Arc<Shared>);

#[async_trait]
impl Admin for FakeAdmin {
    async fn topics(&self, _timeout: Duration) -> Result<BTreeMap<String, usize>> {
        let cluster = self.0.lock();
        Ok(cluster
            .topics
            .iter()
            .map(|(name, topic)| (name.clone(), topic.partitions.len()))
            .collect())
    }

    async fn partitions(&self, topic: &str, _timeout: Duration) -> Result<Option<usize>> {
        Ok(self.0.lock().topics.get(topic).map(|topic| topic.partitions.len()))
    }

    async fn create_topic(&self, topic: &NewTopic, _timeout: Duration) -> Result<TopicCreation> {
        let partitions = usize::try_from(topic.partitions).unwrap_or(1);
        let created = self
            .0
            .change(|cluster| cluster.create(&topic.name, partitions, topic.configs.clone()));
        Ok(if created {
            TopicCreation::Created
        } else {
            TopicCreation::Exists
        })
    }

    async fn create_partitions(&self, topic: &str, partitions: usize, _timeout: Duration) -> Result<()> {
        self.0.change(|cluster| {
            let found = cluster
                .topics
                .get_mut(topic)
                .ok_or_else(|| unknown_topic("creating partitions", topic))?;
            let more = partitions.max(found.partitions.len());
            found.partitions.resize(more, Vec::new());
            Ok(())
        })
    }

    async fn spans(&self, topic: &str, partitions: usize, _timeout: Duration) -> Result<Vec<Range<i64>>> {
        let cluster = self.0.lock();
        let found = cluster
            .topics
            .get(topic)
            .ok_or_else(|| unknown_topic("asking for offsets", topic))?;
        let logs = found.partitions.iter().zip(0..).take(partitions);
        let span = |(log, partition): (&Vec<_>, i32)| {
            let first = found.deleted.get(&partition).copied().unwrap_or_default();
            first..i64::try_from(log.len()).unwrap_or(i64::MAX)
        };
        Ok(logs.map(span).collect())
    }

    async fn topic_config(&self, topic: &str, _timeout: Duration) -> Result<BTreeMap<String, String>> {
        let cluster = self.0.lock();
        let found = cluster
            .topics
            .get(topic)
            .ok_or_else(|| unknown_topic("describing settings", topic))?;
        let mut configs = BTreeMap::from([("cleanup.policy".to_owned(), "delete".to_owned())]);
        configs.extend(found.configs.clone());
        Ok(configs)
    }

    async fn delete_records(&self, topic: &str, before: &BTreeMap<i32, i64>, _timeout: Duration) -> Result<()> {
        self.0.change(|cluster| {
            let found = cluster
                .topics
                .get_mut(topic)
                .ok_or_else(|| unknown_topic("deleting records", topic))?;
            found.deleted.extend(before);
            Ok(())
        })
    }

    async fn cluster_id(&self, _timeout: Duration) -> Result<String> {
        Ok("fake".to_owned())
    }
}

pub(super) struct FakeTail {
    shared: Arc<Shared>,
    topic: String,
    next: BTreeMap<usize, usize>,
}

impl FakeTail {
    pub(super) fn new(shared: Arc<Shared>, topic: &str) -> Self {
        Self {
            shared,
            topic: topic.to_owned(),
            next: BTreeMap::new(),
        }
    }
}

#[async_trait]
impl TopicTail for FakeTail {
    async fn read_to_end(
        &mut self,
        _timeout: Duration,
        visit: &mut (dyn for<'a> FnMut(TailRecord<'a>) + Send),
    ) -> Result<()> {
        let cluster = self.shared.lock();
        let found = cluster
            .topics
            .get(&self.topic)
            .ok_or_else(|| unknown_topic("reading a topic", &self.topic))?;
        for (index, log) in found.partitions.iter().enumerate() {
            let next = self.next.entry(index).or_default();
            for record in &log[*next..] {
                visit(TailRecord {
                    partition: record.partition,
                    offset: record.offset,
                    key: record.key.as_deref(),
                    value: record.value.as_deref(),
                });
            }
            *next = log.len();
        }
        Ok(())
    }
}
