//! `topics.regex`: matched here and subscribed as a list, because librdkafka's patterns are not Java's.

use dray_connect::pattern::Pattern;
use dray_kafka::Result;
use dray_kafka::port::Admin;
use std::sync::Arc;
use std::time::Duration;

/// How often the topics of the cluster are matched again. A Java consumer does it every 5 minutes; users wait for a new
/// topic, and one listing every 10 s is cheap.
pub(crate) const PATTERN_INTERVAL: Duration = Duration::from_secs(10);
/// How long one listing may take.
const LISTING_TIMEOUT: Duration = Duration::from_secs(5);

/// A `topics.regex`, and the topics that it has led to.
pub struct TopicPattern {
    pattern: Pattern,
    admin: Arc<dyn Admin>,
    subscribed: Vec<String>,
}

impl TopicPattern {
    /// A pattern that matches whole names.
    #[must_use]
    pub fn new(pattern: Pattern, admin: Arc<dyn Admin>) -> Self {
        Self {
            pattern,
            admin,
            subscribed: Vec::new(),
        }
    }

    /// The topics that match now, when they are others than those that were subscribed last, and any at all.
    pub(crate) async fn matching(&self) -> Result<Option<Vec<String>>> {
        let topics = self.admin.topics(LISTING_TIMEOUT).await?;
        let names: Vec<String> = topics.into_keys().filter(|name| self.takes(name)).collect();
        Ok((names != self.subscribed && !names.is_empty()).then_some(names))
    }

    /// These are subscribed now.
    pub(crate) fn subscribed(&mut self, topics: Vec<String>) {
        self.subscribed = topics;
    }

    /// Whether a task reads that topic. One that cannot be decided stays as it was.
    fn takes(&self, topic: &String) -> bool {
        self.pattern.matches(topic).unwrap_or_else(|error| {
            tracing::warn!(topic, error = %error, "topics.regex could not be matched; the topic stays as it was");
            self.subscribed.contains(topic)
        })
    }
}
