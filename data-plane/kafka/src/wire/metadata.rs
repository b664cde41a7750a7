//! What is known of a cluster: its brokers, and who leads which partition. Pure: answers in, a new state out.

use crate::codes::meaning;
use crate::error::Class;
use kafka_protocol::messages::MetadataResponse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// A topic's own id; nil where the broker knows none.
pub(crate) type TopicId = uuid::Uuid;

/// No leader, or none that is known.
pub(crate) const NO_LEADER: i32 = -1;
const UNKNOWN_TOPIC: i16 = 3;
const LEADER_NOT_AVAILABLE: i16 = 5;

/// What is known of a cluster at a moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metadata {
    /// `host:port` of each broker, by its id.
    pub(crate) brokers: BTreeMap<i32, Arc<str>>,
    pub(crate) topics: HashMap<Arc<str>, Arc<Topic>>,
    /// Names by id, of topics that have one.
    pub(crate) names: HashMap<TopicId, Arc<str>>,
    /// Why a topic that was asked for is not in `topics`.
    pub(crate) refused: HashMap<Arc<str>, Refusal>,
    /// Counts the answers.
    pub(crate) round: u64,
}

/// A topic.
#[derive(Clone, Debug)]
pub(crate) struct Topic {
    pub(crate) name: Arc<str>,
    pub(crate) id: TopicId,
    /// By number, without gaps.
    pub(crate) partitions: Vec<Partition>,
}

/// What a broker said about a topic instead of what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: i16,
    /// The answer that said so, by [`Metadata::round`].
    pub(crate) round: u64,
}

/// Who leads a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Partition {
    /// The leader's broker id, or [`NO_LEADER`].
    pub(crate) leader: i32,
    /// The leader's epoch; -1 where the broker does not say.
    pub(crate) epoch: i32,
}

impl Metadata {
    /// The leader of a partition; none when there is none, or it is not known.
    pub(crate) fn leader(&self, topic: &str, partition: i32) -> Option<i32> {
        let partition = self.partition(topic, partition)?;
        (partition.leader != NO_LEADER && self.brokers.contains_key(&partition.leader)).then_some(partition.leader)
    }

    /// What is known of a partition.
    pub(crate) fn partition(&self, topic: &str, partition: i32) -> Option<Partition> {
        let topic = self.topics.get(topic)?;
        topic.partitions.get(usize::try_from(partition).ok()?).copied()
    }

    /// The state after an answer to a question about some topics.
    pub(super) fn after(&self, answer: MetadataResponse) -> Self {
        let mut next = self.clone();
        next.round += 1;
        let round = next.round;
        let refusal = |code| Refusal { code, round };
        let brokers = answer.brokers.into_iter();
        next.brokers = brokers
            .map(|broker| (broker.node_id.0, address(&broker.host, broker.port)))
            .collect();
        for topic in answer.topics {
            let Some(name) = topic.name else {
                // Asked for by an id that nobody has any more.
                if let Some(name) = next.names.remove(&topic.topic_id) {
                    next.topics.remove(&name);
                }
                continue;
            };
            let name: Arc<str> = match self.topics.get_key_value(name.as_str()) {
                Some((known, _)) => Arc::clone(known),
                None => name.as_str().into(),
            };
            let known = self.topics.get(&name);
            if topic.error_code != 0 && topic.error_code != LEADER_NOT_AVAILABLE {
                // What passes by itself says nothing against what was known.
                let passes = meaning(topic.error_code).is_some_and(|(_, class)| class == Class::Retriable);
                if !passes || topic.error_code == UNKNOWN_TOPIC {
                    next.topics.remove(&name);
                }
                next.refused.insert(name, refusal(topic.error_code));
                continue;
            }
            let mut partitions = topic.partitions;
            partitions.sort_by_key(|partition| partition.partition_index);
            let found: Vec<Partition> = partitions
                .iter()
                .zip(0..)
                .take_while(|(partition, place)| partition.partition_index == *place)
                .map(|(partition, _)| Partition {
                    leader: partition.leader_id.0,
                    epoch: partition.leader_epoch,
                })
                .collect();
            if found.is_empty() {
                // Just created: nothing is known of it but its name.
                next.refused.insert(name, refusal(LEADER_NOT_AVAILABLE));
                continue;
            }
            let found = Topic {
                name: Arc::clone(&name),
                id: topic.topic_id,
                partitions: newest(found, known, topic.topic_id),
            };
            if let Some(known) = known.filter(|known| known.id != found.id) {
                next.names.remove(&known.id);
            }
            if !found.id.is_nil() {
                next.names.insert(found.id, Arc::clone(&name));
            }
            next.refused.remove(&name);
            next.topics.insert(name, Arc::new(found));
        }
        next
    }

    /// The state after a broker said who leads a partition now (KIP-951); none when that is nothing new.
    pub(super) fn told(
        &self,
        topic: &str,
        partition: i32,
        leader: Partition,
        endpoint: Option<(i32, Arc<str>)>,
    ) -> Option<Self> {
        let known = self.partition(topic, partition)?;
        if leader.epoch <= known.epoch || leader.leader < 0 {
            return None;
        }
        let mut next = self.clone();
        if let Some((id, address)) = endpoint {
            next.brokers.insert(id, address);
        }
        let topic = next.topics.get_mut(topic)?;
        *Arc::make_mut(topic)
            .partitions
            .get_mut(usize::try_from(partition).ok()?)? = leader;
        Some(next)
    }
}

/// A broker that lags behind may still name an older leader of the same topic: the one with the newer epoch stays.
fn newest(mut found: Vec<Partition>, known: Option<&Arc<Topic>>, id: TopicId) -> Vec<Partition> {
    if let Some(known) = known.filter(|known| known.id == id && !id.is_nil()) {
        for (found, known) in found.iter_mut().zip(&known.partitions) {
            if found.epoch < known.epoch {
                *found = *known;
            }
        }
    }
    found
}

/// `host:port`, as a socket takes it.
pub(crate) fn address(host: &str, port: i32) -> Arc<str> {
    if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]:{port}").into()
    } else {
        format!("{host}:{port}").into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::messages::metadata_response::{
        MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
    };
    use kafka_protocol::messages::{BrokerId, TopicName};
    use kafka_protocol::protocol::StrBytes;

    fn topic(name: &'static str, id: u128, leaders: &[(i32, i32)]) -> MetadataResponseTopic {
        let partitions = leaders.iter().zip(0..).map(|((leader, epoch), index)| {
            MetadataResponsePartition::default()
                .with_partition_index(index)
                .with_leader_id(BrokerId(*leader))
                .with_leader_epoch(*epoch)
        });
        MetadataResponseTopic::default()
            .with_name(Some(TopicName(StrBytes::from_static_str(name))))
            .with_topic_id(TopicId::from_u128(id))
            .with_partitions(partitions.collect())
    }

    fn refusal(name: &'static str, code: i16) -> MetadataResponseTopic {
        topic(name, 0, &[]).with_error_code(code)
    }

    fn answer(topics: Vec<MetadataResponseTopic>) -> MetadataResponse {
        let broker = |id: i32| {
            MetadataResponseBroker::default()
                .with_node_id(BrokerId(id))
                .with_host(StrBytes::from_static_str("::1"))
                .with_port(9092 + id)
        };
        MetadataResponse::default()
            .with_brokers(vec![broker(1), broker(2)])
            .with_topics(topics)
    }

    #[test]
    fn an_older_epoch_of_the_same_topic_is_no_news() {
        let state = Metadata::default().after(answer(vec![topic("t", 7, &[(1, 5), (2, 5)])]));
        assert_eq!(&*state.brokers[&2], "[::1]:9094");
        let later = state.after(answer(vec![topic("t", 7, &[(2, 4), (1, 6)])]));
        assert_eq!((later.leader("t", 0), later.leader("t", 1)), (Some(1), Some(1)));
        let anew = later.after(answer(vec![topic("t", 8, &[(2, 0)])]));
        assert_eq!((anew.leader("t", 0), anew.leader("t", 1)), (Some(2), None));
        assert_eq!(anew.names.len(), 1);
    }

    #[test]
    fn a_passing_error_leaves_what_is_known_and_others_do_not() {
        let state = Metadata::default().after(answer(vec![topic("t", 7, &[(1, 5)])]));
        for (code, stays) in [(3, false), (29, false), (17, false), (7, true)] {
            let next = state.after(answer(vec![refusal("t", code)]));
            assert_eq!((next.leader("t", 0).is_some(), next.refused["t"].code), (stays, code));
        }
        let forming = Metadata::default().after(answer(vec![refusal("t", 5)]));
        assert_eq!((forming.topics.len(), forming.refused["t"].code), (0, 5));
    }

    #[test]
    fn a_hint_counts_when_it_is_newer() {
        let state = Metadata::default().after(answer(vec![topic("t", 7, &[(1, 5)])]));
        let leader = |leader, epoch| Partition { leader, epoch };
        assert!(state.told("t", 0, leader(2, 5), None).is_none());
        assert!(state.told("t", 1, leader(2, 6), None).is_none());
        let told = state.told("t", 0, leader(3, 6), Some((3, "c:1".into()))).expect("news");
        assert_eq!(told.leader("t", 0), Some(3));
        let unreachable = state.told("t", 0, leader(3, 6), None).expect("news");
        assert_eq!(unreachable.leader("t", 0), None);
    }
}
