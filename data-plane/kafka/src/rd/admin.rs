//! Topics: listing, describing, creating, deleting records. Blocking calls run on tokio's blocking threads, a few at a time.

use super::client::{Quiet, native, translated};
use super::config::Role;
use super::errors::{from_code, from_kafka, local};
use super::oauth::Tokens;
use crate::error::{Class, Error, Result};
use crate::port::{Admin, ClientConfig, NewTopic, TopicCreation};
use crate::wire::oauth::Sources;
use async_trait::async_trait;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, ResourceSpecifier, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code};
use rdkafka::metadata::Metadata;
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// Blocking calls at a time per client: they are rare, and a broker that is away must not take tokio's threads.
const BLOCKING: usize = 4;

/// An admin client.
pub(super) struct RdAdmin {
    admin: Arc<AdminClient<Quiet>>,
    /// Metadata is asked through a consumer: a producer's request for a topic would create it.
    metadata: Arc<BaseConsumer<Quiet>>,
    permits: Arc<Semaphore>,
}

impl RdAdmin {
    pub(super) fn new(config: &ClientConfig, sources: &Sources) -> Result<Self> {
        let mut settings = translated(config, Role::Admin)?;
        let client = settings.settings.get("client.id").cloned().unwrap_or_default();
        let what = format!("making the admin client `{client}`");
        // Worker settings come here too, and a worker's group is none of this client's.
        settings.settings.retain(|key, _| !key.starts_with("group."));
        let quiet = || -> Result<Quiet> {
            Ok(Quiet {
                client: client.clone(),
                tokens: Tokens::read(&settings, sources)?,
            })
        };
        let make = native(&settings);
        let admin: AdminClient<Quiet> = make
            .create_with_context(quiet()?)
            .map_err(|error| from_kafka(what.as_str(), &error))?;
        let mut make = make.clone();
        make.set("allow.auto.create.topics", "false");
        // Otherwise partitions end before the first open transaction.
        make.set("isolation.level", "read_uncommitted");
        let metadata: BaseConsumer<Quiet> = make
            .create_with_context(quiet()?)
            .map_err(|error| from_kafka(what.as_str(), &error))?;
        Ok(Self {
            admin: Arc::new(admin),
            metadata: Arc::new(metadata),
            permits: Arc::new(Semaphore::new(BLOCKING)),
        })
    }

    /// Asks for metadata on a blocking thread. A caller that goes away does not stop the request; its time-out does.
    async fn ask<T: Send + 'static>(
        &self,
        what: String,
        topic: Option<String>,
        timeout: Duration,
        read: impl FnOnce(&Metadata) -> T + Send + 'static,
    ) -> Result<T> {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let metadata = Arc::clone(&self.metadata);
        let answer: Result<KafkaResult<T>> = tokio::task::spawn_blocking(move || {
            metadata.context().tokens.renew(metadata.client())?;
            let answer = metadata
                .fetch_metadata(topic.as_deref(), timeout)
                .map(|metadata| read(&metadata));
            // Serves this client's log and error events, which wait for a poll.
            while metadata.poll(Duration::ZERO).is_some() {}
            drop(permit);
            Ok(answer)
        })
        .await
        .map_err(|error| local(what.as_str(), "THREAD", error.to_string(), Class::Fatal))?;
        answer?.map_err(|error| from_kafka(what, &error))
    }

    /// librdkafka looks partitions up before it asks for anything of them, and says of one that it does not find no more than that: the topic
    /// may be hidden from this client.
    async fn explained(&self, what: String, topic: &str, error: &KafkaError, timeout: Duration) -> Error {
        let not_found = *error == KafkaError::AdminOp(Code::NoEnt)
            || matches!(
                error.rdkafka_error_code(),
                Some(Code::UnknownPartition | Code::UnknownTopic)
            );
        if not_found && let Err(refused) = self.partitions(topic, timeout).await {
            return refused;
        }
        from_kafka(what, error)
    }

    /// The admin client, with a token that is good where it logs in by one.
    async fn admin(&self, what: &str) -> Result<&AdminClient<Quiet>> {
        if self.admin.inner().context().tokens.are_wanted() {
            let permit = Arc::clone(&self.permits).acquire_owned().await;
            let admin = Arc::clone(&self.admin);
            let renewed = tokio::task::spawn_blocking(move || {
                let renewed = admin.inner().context().tokens.renew(admin.inner());
                drop(permit);
                renewed
            });
            renewed
                .await
                .map_err(|error| local(what, "THREAD", error.to_string(), Class::Fatal))??;
        }
        Ok(&self.admin)
    }
}

fn options(timeout: Duration) -> AdminOptions {
    AdminOptions::new()
        .request_timeout(Some(timeout))
        .operation_timeout(Some(timeout))
}

/// The answer to a request for one thing holds one result.
fn only<T>(what: &str, answer: KafkaResult<Vec<T>>) -> Result<T> {
    let missing = || local(what, "client", "the answer is empty", Class::Retriable);
    answer
        .map_err(|error| from_kafka(what, &error))?
        .into_iter()
        .next()
        .ok_or_else(missing)
}

#[async_trait]
impl Admin for RdAdmin {
    async fn topics(&self, timeout: Duration) -> Result<BTreeMap<String, usize>> {
        self.ask("listing topics".to_owned(), None, timeout, |metadata| {
            let known = metadata.topics().iter().filter(|topic| topic.error().is_none());
            known
                .map(|topic| (topic.name().to_owned(), topic.partitions().len()))
                .collect()
        })
        .await
    }

    async fn partitions(&self, topic: &str, timeout: Duration) -> Result<Option<usize>> {
        let what = format!("describing topic `{topic}`");
        let name = topic.to_owned();
        let found = self
            .ask(what.clone(), Some(name.clone()), timeout, move |metadata| {
                let topic = metadata.topics().iter().find(|topic| topic.name() == name)?;
                Some((topic.error().map(Code::from), topic.partitions().len()))
            })
            .await?;
        match found {
            None | Some((Some(Code::UnknownTopicOrPartition | Code::UnknownTopic), _)) => Ok(None),
            Some((None, partitions)) => Ok(Some(partitions)),
            Some((Some(code), _)) => Err(from_code(what, code)),
        }
    }

    async fn create_topic(&self, topic: &NewTopic, timeout: Duration) -> Result<TopicCreation> {
        let what = format!("creating topic `{}`", topic.name);
        let replication = TopicReplication::Fixed(i32::from(topic.replication_factor));
        let mut new = rdkafka::admin::NewTopic::new(&topic.name, topic.partitions, replication);
        for (key, value) in &topic.configs {
            new = new.set(key, value);
        }
        let admin = self.admin(&what).await?;
        match only(&what, admin.create_topics([&new], &options(timeout)).await)? {
            Ok(_) => Ok(TopicCreation::Created),
            Err((_, Code::TopicAlreadyExists)) => Ok(TopicCreation::Exists),
            Err((_, code)) => Err(from_code(what, code)),
        }
    }

    async fn create_partitions(&self, topic: &str, partitions: usize, timeout: Duration) -> Result<()> {
        let what = format!("raising topic `{topic}` to {partitions} partitions");
        let more = NewPartitions::new(topic, partitions);
        let admin = self.admin(&what).await?;
        match only(&what, admin.create_partitions([&more], &options(timeout)).await)? {
            Ok(_) => Ok(()),
            Err((_, code)) => Err(from_code(what, code)),
        }
    }

    async fn spans(&self, topic: &str, partitions: usize, timeout: Duration) -> Result<Vec<Range<i64>>> {
        let what = format!("asking for the offsets of topic `{topic}`");
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let (client, name, deadline) = (Arc::clone(&self.metadata), topic.to_owned(), Instant::now() + timeout);
        let answer: Result<KafkaResult<Vec<Range<i64>>>> = tokio::task::spawn_blocking(move || {
            client.context().tokens.renew(client.client())?;
            let span = |partition| {
                let left = deadline.saturating_duration_since(Instant::now());
                let (first, end) = client.fetch_watermarks(&name, partition, left)?;
                Ok(first..end)
            };
            let answer = (0..i32::try_from(partitions).unwrap_or(i32::MAX)).map(span).collect();
            while client.poll(Duration::ZERO).is_some() {}
            drop(permit);
            Ok(answer)
        })
        .await
        .map_err(|error| local(what.as_str(), "THREAD", error.to_string(), Class::Fatal))?;
        match answer? {
            Ok(spans) => Ok(spans),
            Err(error) => Err(self.explained(what, topic, &error, timeout).await),
        }
    }

    async fn topic_config(&self, topic: &str, timeout: Duration) -> Result<BTreeMap<String, String>> {
        let what = format!("describing the settings of topic `{topic}`");
        let specifier = ResourceSpecifier::Topic(topic);
        let admin = self.admin(&what).await?;
        let resource = only(&what, admin.describe_configs([&specifier], &options(timeout)).await)?
            .map_err(|code| -> Error { from_code(what.as_str(), code) })?;
        if resource.entries.is_empty() {
            // rdkafka keeps the error of a topic to itself. One without settings there is not, but for a moment when it is created.
            return Err(match self.partitions(topic, timeout).await? {
                None => from_code(what, Code::UnknownTopicOrPartition),
                Some(_) => {
                    let message =
                        "nothing of it is shown; allow the principal of this client DESCRIBE_CONFIGS on the topic";
                    local(what, "TopicAuthorizationFailed", message, Class::Fatal)
                }
            });
        }
        Ok(resource
            .entries
            .into_iter()
            .filter_map(|entry| Some((entry.name, entry.value?)))
            .collect())
    }

    async fn delete_records(&self, topic: &str, before: &BTreeMap<i32, i64>, timeout: Duration) -> Result<()> {
        let what = format!("deleting records of topic `{topic}`");
        let mut offsets = TopicPartitionList::new();
        for (partition, offset) in before {
            let added = offsets.add_partition_offset(topic, *partition, Offset::Offset(*offset));
            added.map_err(|error| from_kafka(what.as_str(), &error))?;
        }
        let admin = self.admin(&what).await?;
        let deleted = admin.delete_records(&offsets, &options(timeout)).await;
        let failed = match deleted {
            Ok(deleted) => deleted.elements().into_iter().find_map(|element| element.error().err()),
            Err(error) => Some(error),
        };
        match failed {
            None => Ok(()),
            Some(error) => Err(self.explained(what, topic, &error, timeout).await),
        }
    }

    async fn cluster_id(&self, timeout: Duration) -> Result<String> {
        let what = "asking for the cluster's id";
        // An answer first, so that a broker that is away, or refuses us, is an error of its own.
        self.ask(what.to_owned(), Some(String::new()), timeout, |_| ()).await?;
        let metadata = Arc::clone(&self.metadata);
        let id = tokio::task::spawn_blocking(move || metadata.client().fetch_cluster_id(timeout));
        let id = id
            .await
            .map_err(|error| local(what, "THREAD", error.to_string(), Class::Fatal))?;
        id.ok_or_else(|| from_code(what, Code::OperationTimedOut))
    }
}
