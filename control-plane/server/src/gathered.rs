//! What the leader gathers from agents and keeps for all replicas: the topics that connectors have used (KIP-558), and which Kafka cluster the
//! workers are at. It is asked for over the stream of calls, so that an older agent only says that it does not know the question.

use crate::cache::Cache;
use crate::switchboard::{NoAnswer, Switchboard};
use dray_model::record::{ActiveTopics, KafkaRecord};
use dray_model::{AgentId, ConnectorName};
use dray_process::chain;
use dray_store::keys::Name;
use dray_store::{BoxError, MetadataStore, Read, Revision, Txn, TxnOutcome};
use dray_wire::agent::v1::call_answer::Result as Answered;
use dray_wire::agent::v1::calls_response::Call;
use dray_wire::agent::v1::{ActiveTopicsCall, ConnectorTopics, KafkaClusterCall};
use dray_wire::store::{Rest, decode, encode};
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// How long an agent may take to ask Kafka for its id.
const KAFKA: Duration = Duration::from_secs(30);
/// After each try to learn it.
const KAFKA_PAUSES: [Duration; 4] = [
    Duration::from_millis(200),
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(30),
];
/// How long an agent waits for news before it says that there are none.
const NEWS: Duration = Duration::from_secs(30);
/// After a question that was not answered, and after a write that failed.
const PAUSE: Duration = Duration::from_secs(5);
/// An agent that does not know a question may be replaced by one that does only with a new stream, but its worker configuration may come.
const PATIENCE: Duration = Duration::from_secs(60);
/// Topics that are kept of one connector: with the longest names there are, 249 bytes, they fit into one value.
const MAX_TOPICS: usize = 4_000;

/// Gathers for as long as this replica has streams of agents, which is while it leads.
pub(crate) struct Gathering {
    store: Arc<dyn MetadataStore>,
    cache: Arc<Cache>,
    switchboard: Arc<Switchboard>,
}

impl Gathering {
    pub(crate) fn new(store: Arc<dyn MetadataStore>, cache: Arc<Cache>, switchboard: Arc<Switchboard>) -> Self {
        Self {
            store,
            cache,
            switchboard,
        }
    }

    /// Asks this agent, again and again, until the future is dropped with its stream.
    pub(crate) async fn from(&self, agent: &AgentId, number: usize) -> Infallible {
        let ((), never) = tokio::join!(self.kafka(agent, number), self.topics(agent, number));
        never
    }

    async fn topics(&self, agent: &AgentId, number: usize) -> Infallible {
        let mut stored = 0;
        loop {
            let call = Call::ActiveTopics(ActiveTopicsCall { stored });
            match self.switchboard.ask_one(agent, number, call, NEWS).await {
                Ok(Answered::ActiveTopics(news)) => match self.keep_all(&news.connectors).await {
                    Ok(()) => stored = news.number,
                    Err(error) => {
                        tracing::warn!(%agent, error = %chain(error.as_ref()), "could not store the topics of connectors; asks again");
                        sleep(PAUSE).await;
                    }
                },
                Ok(_) | Err(NoAnswer::Nobody(_)) => sleep(PATIENCE).await,
                Err(NoAnswer::Unknown(_)) => sleep(PAUSE).await,
            }
        }
    }

    async fn kafka(&self, agent: &AgentId, number: usize) {
        // Once for each stream: an agent that says something else than is stored has another worker configuration, and is newer. Just after
        // its welcome it may not have made its clients yet.
        for pause in KAFKA_PAUSES {
            let call = Call::KafkaCluster(KafkaClusterCall {});
            match self.switchboard.ask_one(agent, number, call, KAFKA).await {
                Ok(Answered::KafkaCluster(found)) => match self.keep_kafka(&found.id).await {
                    Ok(()) => return,
                    Err(error) => {
                        tracing::warn!(%agent, error = %chain(error.as_ref()), "could not store the id of the Kafka cluster");
                    }
                },
                Ok(_) => return,
                Err(NoAnswer::Nobody(why) | NoAnswer::Unknown(why)) => {
                    tracing::debug!(%agent, why, "no id of the Kafka cluster");
                }
            }
            sleep(pause).await;
        }
    }

    async fn keep_kafka(&self, id: &str) -> Result<(), BoxError> {
        let record = KafkaRecord {
            cluster: id.to_owned().try_into()?,
        };
        if self.cache.now().kafka.as_ref().is_some_and(|kept| kept.1 == record) {
            return Ok(());
        }
        let key = self.cache.keys().key(&Name::Kafka);
        let found = self.store.get(&key, Read::Linearizable).await?.value;
        let (rest, modified) = match &found {
            None => (Rest::default(), Revision::NEVER),
            Some(entry) => {
                let (kept, rest) = decode::<KafkaRecord>(&entry.value)?;
                if kept == record {
                    return Ok(());
                }
                tracing::warn!(before = %kept.cluster.as_str(), now = %record.cluster.as_str(), "the workers are at another Kafka cluster");
                (rest, entry.mod_revision)
            }
        };
        let txn = Txn::new()
            .if_modified(&key, modified)
            .put(&key, encode(&record, &rest)?);
        // In a conflict somebody else has just written it; an unknown outcome is looked at with the next stream.
        self.store.txn(txn).await?;
        Ok(())
    }

    async fn keep_all(&self, connectors: &[ConnectorTopics]) -> Result<(), BoxError> {
        for used in connectors {
            // A name that no connector can have is one that we never gave it.
            if let Ok(name) = ConnectorName::try_from(used.connector.as_str()) {
                self.keep(&name, used).await?;
            }
        }
        Ok(())
    }

    /// Adds to the topics of a connector, as long as it is the one that the agent means.
    async fn keep(&self, name: &ConnectorName, used: &ConnectorTopics) -> Result<(), BoxError> {
        let is_kept = |kept: &ActiveTopics| used.topics.iter().all(|topic| kept.topics.contains(topic));
        let state = self.cache.now();
        if state.topics(name).is_some_and(|(_, kept)| is_kept(kept)) {
            return Ok(());
        }
        let (spec, key) = (Name::Spec(name.clone()), Name::Topics(name.clone()));
        let (spec, key) = (self.cache.keys().key(&spec), self.cache.keys().key(&key));
        loop {
            let found = self.store.get(&key, Read::Linearizable).await?.value;
            let (mut kept, rest, modified) = match &found {
                None => (ActiveTopics::default(), Rest::default(), Revision::NEVER),
                Some(entry) => {
                    let (kept, rest) = decode::<ActiveTopics>(&entry.value)?;
                    (kept, rest, entry.mod_revision)
                }
            };
            if !add(&mut kept.topics, &used.topics) {
                return Ok(());
            }
            let txn = Txn::new()
                .if_created(&spec, Revision::new(used.uid))
                .if_modified(&key, modified)
                .put(&key, encode(&kept, &rest)?);
            match self.store.txn(txn).await? {
                TxnOutcome::Committed(_) => return Ok(()),
                TxnOutcome::Conflict { current, .. } => {
                    let there = current.first().and_then(Option::as_ref);
                    if there.is_none_or(|there| there.create_revision.get() != used.uid) {
                        // The connector is gone, and its topics with it.
                        return Ok(());
                    }
                }
            }
        }
    }
}

/// Whether anything was added. What is too much is left out, and said.
fn add(kept: &mut BTreeSet<String>, used: &[String]) -> bool {
    let mut added = false;
    for topic in used {
        if kept.contains(topic) {
            continue;
        }
        if kept.len() >= MAX_TOPICS {
            tracing::warn!(
                topic,
                "a connector has used {MAX_TOPICS} topics; no more are remembered"
            );
            break;
        }
        added |= kept.insert(topic.clone());
    }
    added
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{keys, name, put, spec};
    use dray_machine::cluster::{Name as Machine, Record};
    use dray_store::mem::MemStore;

    fn used(uid: u64, topics: &[&str]) -> ConnectorTopics {
        ConnectorTopics {
            connector: "c".into(),
            uid,
            topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
        }
    }

    async fn kept(store: &MemStore) -> Option<Vec<String>> {
        let key = keys().key(&Name::Topics(name("c")));
        let entry = store.get(&key, Read::Linearizable).await.unwrap().value?;
        let (kept, _) = decode::<ActiveTopics>(&entry.value).unwrap();
        Some(kept.topics.into_iter().collect())
    }

    #[tokio::test]
    async fn topics_are_added_to_the_connector_that_used_them() {
        let store = MemStore::default();
        let uid = put(&store, &Machine::Spec(name("c")), &Record::Spec(spec(&[]))).await;
        let cache = Cache::seed(Arc::new(store.client()), keys()).await.unwrap();
        let gathering = Gathering::new(Arc::new(store.client()), cache, Arc::default());
        gathering.keep_all(&[used(uid, &["b"])]).await.unwrap();
        gathering.keep_all(&[used(uid, &["b", "a"])]).await.unwrap();
        assert_eq!(kept(&store).await.unwrap(), ["a", "b"]);
        // Of a connector that had the name before.
        gathering.keep_all(&[used(uid - 1, &["old"])]).await.unwrap();
        assert_eq!(kept(&store).await.unwrap(), ["a", "b"]);
        // Of none.
        let other = ConnectorTopics {
            connector: "other".into(),
            ..used(uid, &["x"])
        };
        gathering.keep_all(&[other]).await.unwrap();
        let key = keys().key(&Name::Topics(name("other")));
        assert_eq!(store.get(&key, Read::Linearizable).await.unwrap().value, None);
    }

    #[test]
    fn there_is_an_end_to_topics() {
        let many: Vec<String> = (0..MAX_TOPICS + 5).map(|number| format!("t{number}")).collect();
        let mut kept = BTreeSet::new();
        assert!(add(&mut kept, &many));
        assert_eq!(kept.len(), MAX_TOPICS);
        assert!(!add(&mut kept, &many));
    }

    #[tokio::test]
    async fn the_kafka_cluster_is_kept() {
        let store = MemStore::default();
        let cache = Cache::seed(Arc::new(store.client()), keys()).await.unwrap();
        let gathering = Gathering::new(Arc::new(store.client()), cache, Arc::default());
        for id in ["one", "one", "two"] {
            gathering.keep_kafka(id).await.unwrap();
            let key = keys().key(&Name::Kafka);
            let entry = store.get(&key, Read::Linearizable).await.unwrap().value.unwrap();
            let (record, _) = decode::<KafkaRecord>(&entry.value).unwrap();
            assert_eq!(record.cluster.as_str(), id);
        }
    }
}
