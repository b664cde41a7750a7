//! Which topics tasks use (KIP-558): what a source has produced to, what a sink was given records of. Noted once a batch, and taken from here
//! by whoever tells it to people.

use dray_kafka::port::{Ack, ProduceRecord};
use dray_model::{ConnectorName, ConnectorUid};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Topics that are noted of one connector; more than are kept of it.
const MAX_TOPICS: usize = 10_000;
/// Topics that are handed out at once: with the longest names there are, half of what a message may have.
const MAX_TAKEN: usize = 50_000;

/// The topics that the tasks of a process use. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct ActiveTopics(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    connectors: Mutex<BTreeMap<ConnectorName, Connector>>,
    /// A topic was used that nobody had heard of.
    new: Notify,
}

#[derive(Debug)]
struct Connector {
    uid: ConnectorUid,
    topics: HashMap<Arc<str>, Arc<Used>>,
    /// Nothing of it runs here any more: it goes when what it used is taken.
    ended: bool,
}

/// Of one topic.
#[derive(Debug, Default)]
struct Used {
    /// Since it was last taken.
    lately: AtomicBool,
    /// At all.
    ever: AtomicBool,
}

/// Topics of one connector that were used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsedTopics {
    /// Its name.
    pub connector: ConnectorName,
    /// Which creation of it.
    pub uid: ConnectorUid,
    /// Their names.
    pub topics: Vec<Arc<str>>,
}

impl ActiveTopics {
    /// Tasks of this connector run here. What was used by one that had the name before is forgotten.
    pub fn connector(&self, name: &ConnectorName, uid: ConnectorUid) {
        let mut connectors = self.connectors();
        if connectors.get(name).is_none_or(|known| known.uid != uid) {
            let topics = HashMap::new();
            let ended = false;
            connectors.insert(name.clone(), Connector { uid, topics, ended });
        } else if let Some(known) = connectors.get_mut(name) {
            known.ended = false;
        }
    }

    /// Nothing of this connector runs here any more. It is forgotten once what it used is taken.
    pub fn ended(&self, name: &ConnectorName, uid: ConnectorUid) {
        if let Some(known) = self.connectors().get_mut(name).filter(|known| known.uid == uid) {
            known.ended = true;
        }
    }

    /// What was used since this was last called.
    #[must_use]
    pub fn take_used(&self) -> Vec<UsedTopics> {
        let (mut used, mut left) = (Vec::new(), MAX_TAKEN);
        self.connectors().retain(|name, connector| {
            let take = |(topic, flag): (&Arc<str>, &Arc<Used>)| {
                (left > 0 && flag.lately.swap(false, Ordering::Relaxed)).then(|| {
                    left -= 1;
                    topic.clone()
                })
            };
            let mut topics: Vec<Arc<str>> = connector.topics.iter().filter_map(take).collect();
            if !topics.is_empty() {
                topics.sort_unstable();
                used.push(UsedTopics {
                    connector: name.clone(),
                    uid: connector.uid,
                    topics,
                });
            }
            left == 0 || !connector.ended
        });
        used
    }

    /// Waits until a topic is used for the first time. Cancel-safe.
    pub async fn new_one(&self) {
        self.0.new.notified().await;
    }

    fn topic(&self, name: &ConnectorName, topic: &Arc<str>) -> Option<Arc<Used>> {
        let mut connectors = self.connectors();
        let topics = &mut connectors.get_mut(name)?.topics;
        if topics.len() >= MAX_TOPICS && !topics.contains_key(topic) {
            return None;
        }
        Some(topics.entry(topic.clone()).or_default().clone())
    }

    fn note(&self, used: &Used) {
        // A cache line that others read is written only where that says something.
        if !used.lately.load(Ordering::Relaxed) {
            used.lately.store(true, Ordering::Relaxed);
        }
        if !used.ever.load(Ordering::Relaxed) && !used.ever.swap(true, Ordering::Relaxed) {
            self.0.new.notify_one();
        }
    }

    fn connectors(&self) -> MutexGuard<'_, BTreeMap<ConnectorName, Connector>> {
        // Nothing that is done under it panics half-way.
        self.0.connectors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one task notes. Nothing, when there is nobody to tell.
#[derive(Debug, Default)]
pub struct TaskTopics {
    of: Option<(ActiveTopics, ConnectorName)>,
    known: HashMap<Arc<str>, Option<Arc<Used>>>,
    /// Produced, and not yet acknowledged: the first record of each topic that was not used lately.
    produced: Vec<(u64, Arc<Used>)>,
}

impl TaskTopics {
    /// Notes for a task of this connector.
    #[must_use]
    pub fn of(all: ActiveTopics, connector: ConnectorName) -> Self {
        Self {
            of: Some((all, connector)),
            ..Self::default()
        }
    }

    /// Records of these topics were given to the task.
    pub fn received(&mut self, topics: &[Arc<str>]) {
        for topic in topics {
            if let Some(used) = self.topic(topic)
                && let Some((all, _)) = &self.of
            {
                all.note(&used);
            }
        }
    }

    /// These records are on their way; `one`: all to the same topic. More than a batch it costs only where it has several topics.
    pub fn sent(&mut self, records: &[ProduceRecord<'_>], one: bool) {
        if self.of.is_none() {
            return;
        }
        let same = |a: &ProduceRecord<'_>, b: &ProduceRecord<'_>| std::ptr::eq(a.topic, b.topic) || a.topic == b.topic;
        let records = if one { &records[..records.len().min(1)] } else { records };
        for first in records.chunk_by(same).filter_map(<[_]>::first) {
            self.passed(first.topic, first.sequence);
        }
    }

    /// A record or a whole batch is on its way to this topic.
    pub fn passed(&mut self, topic: &str, sequence: u64) {
        if self.of.is_none() {
            return;
        }
        let known = self.known.get_key_value(topic);
        let topic: Arc<str> = known.map_or_else(|| topic.into(), |(topic, _)| topic.clone());
        if let Some(used) = self.topic(&topic)
            && !used.lately.load(Ordering::Relaxed)
            && !self.produced.iter().any(|(_, other)| Arc::ptr_eq(other, &used))
        {
            self.produced.push((sequence, used));
        }
    }

    /// These were acknowledged: a topic counts as used once a record is there.
    pub fn acknowledged(&mut self, acks: &[Ack]) {
        let Some((all, _)) = self.of.as_ref().filter(|_| !self.produced.is_empty()) else {
            return;
        };
        self.produced.retain(|(sequence, used)| {
            let ack = acks.iter().find(|ack| ack.sequences().contains(sequence));
            if ack.is_some_and(|ack| ack.outcome.is_ok()) {
                all.note(used);
            }
            // After a failure the next record that goes there may do better.
            ack.is_none()
        });
    }

    fn topic(&mut self, topic: &Arc<str>) -> Option<Arc<Used>> {
        let (all, name) = self.of.as_ref()?;
        if let Some(known) = self.known.get(topic) {
            return known.clone();
        }
        if self.known.len() >= MAX_TOPICS {
            return None;
        }
        let found = all.topic(name, topic);
        self.known.insert(topic.clone(), found.clone());
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dray_kafka::port::Delivered;

    fn name() -> ConnectorName {
        "c".try_into().unwrap()
    }

    fn record(topic: &str, sequence: u64) -> ProduceRecord<'_> {
        ProduceRecord {
            topic,
            partition: None,
            timestamp: None,
            key: None,
            value: None,
            headers: &[],
            sequence,
        }
    }

    fn stored(sequence: u64, count: usize) -> Ack {
        let outcome = Ok(Delivered {
            partition: 0,
            offset: 0,
        });
        Ack {
            sequence,
            count,
            outcome,
        }
    }

    fn taken(all: &ActiveTopics) -> Vec<String> {
        let used = all.take_used();
        used.iter()
            .flat_map(|used| used.topics.iter().map(|topic| topic.to_string()))
            .collect()
    }

    #[tokio::test]
    async fn a_topic_is_used_once_a_record_is_there() {
        let all = ActiveTopics::default();
        all.connector(&name(), ConnectorUid::FIRST);
        let mut task = TaskTopics::of(all.clone(), name());
        task.sent(&[record("a", 0), record("a", 1), record("b", 2), record("a", 3)], false);
        assert_eq!(taken(&all), [""; 0]);
        let failed = Ack {
            outcome: Err(Box::new(dray_kafka::Error {
                what: "produce".into(),
                code: "NO".into(),
                message: "no".into(),
                class: dray_kafka::Class::Fatal,
            })),
            ..stored(2, 1)
        };
        task.acknowledged(&[stored(0, 2), failed]);
        all.new_one().await;
        assert_eq!(taken(&all), ["a"]);
        assert_eq!(taken(&all), [""; 0], "it was not used since");
        task.sent(&[record("b", 4)], true);
        task.acknowledged(&[stored(3, 1)]);
        assert_eq!(taken(&all), [""; 0]);
        task.acknowledged(&[stored(4, 1)]);
        assert_eq!(taken(&all), ["b"]);
    }

    #[test]
    fn what_ended_is_told_once_more_and_forgotten() {
        let all = ActiveTopics::default();
        all.connector(&name(), ConnectorUid::FIRST);
        let mut task = TaskTopics::of(all.clone(), name());
        task.received(&["t".into()]);
        all.ended(&name(), ConnectorUid::FIRST);
        assert_eq!(taken(&all), ["t"]);
        assert!(all.connectors().is_empty());
        task.received(&["t".into()]);
        assert_eq!(taken(&all), [""; 0]);
    }
}
