//! Creation of topics that a source writes to (KIP-158): groups of patterns with their settings.

use crate::config::TopicGroup;
use dray_connect::source_batch::{Body, SourceBatch};
use dray_connect::{Error, Result};
use dray_kafka::port::{Admin, NewTopic};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long one describe or create request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Creates the topics of one source task, if its connector has `topic.creation.` keys.
pub struct TopicCreator {
    admin: Option<Arc<dyn Admin>>,
    groups: Vec<TopicGroup>,
    known: HashSet<Arc<str>>,
}

impl TopicCreator {
    /// Creates topics as the groups say. `admin` is made only where topics are to be created: it costs threads.
    ///
    /// # Errors
    /// When no admin client can be made.
    pub fn new(groups: Vec<TopicGroup>, admin: impl FnOnce() -> Result<Arc<dyn Admin>>) -> Result<Self> {
        Ok(Self {
            admin: if groups.is_empty() { None } else { Some(admin()?) },
            groups,
            known: HashSet::new(),
        })
    }

    /// Makes sure that the topics of a batch exist. Waits while the broker is away.
    ///
    /// # Errors
    /// When a topic can never be created.
    pub async fn ensure(&mut self, batch: &SourceBatch, stop: &CancellationToken) -> Result<()> {
        let Some(admin) = &self.admin else { return Ok(()) };
        for record in batch.records() {
            if let Body::Dropped = record.body {
                continue;
            }
            let topic = batch.topic_name(record.topic);
            let name: &str = topic;
            if self.known.contains(topic) {
                continue;
            }
            let group = self.group(name)?;
            let new = NewTopic {
                name: topic.to_string(),
                partitions: group.partitions,
                replication_factor: group.replication_factor,
                configs: group.configs.clone(),
            };
            while let Err(error) = create(admin.as_ref(), &new).await {
                if !error.is_retriable() {
                    let text = format!(
                        "Task failed to create new topic {}. Ensure that the task is authorized to create topics or that the topic exists and restart the task",
                        new.name
                    );
                    return Err(Error::connect(text).with_source(error));
                }
                tracing::warn!(topic = new.name, error = %error, "topic could not be created; tried again");
                if stop
                    .run_until_cancelled(tokio::time::sleep(Duration::from_secs(1)))
                    .await
                    .is_none()
                {
                    return Ok(());
                }
            }
            self.known.insert(topic.clone());
        }
        Ok(())
    }

    /// The group that a topic belongs to. A pattern that gives no answer is an error: a topic with the wrong settings is
    /// hard to undo.
    fn group(&self, topic: &str) -> Result<&TopicGroup> {
        for group in &self.groups {
            match group.takes(topic) {
                Ok(true) => return Ok(group),
                Ok(false) => {}
                Err(error) => {
                    let text = format!("Task failed to find the topic creation group of topic {topic}");
                    return Err(Error::connect(text).with_source(error));
                }
            }
        }
        // The default group takes all names that a topic can have, but nothing with a line feed.
        Err(Error::connect(format!("Topic {topic:?} is in no topic creation group")))
    }
}

/// Creates a topic unless it exists.
pub(crate) async fn create(admin: &dyn Admin, new: &NewTopic) -> dray_kafka::Result<()> {
    if admin.partitions(&new.name, REQUEST_TIMEOUT).await?.is_none() {
        let created = admin.create_topic(new, REQUEST_TIMEOUT).await?;
        tracing::info!(topic = new.name, partitions = new.partitions, outcome = ?created, "topic is there");
    }
    Ok(())
}
