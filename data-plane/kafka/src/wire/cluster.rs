//! One cluster, as one way to connect leads to it: its metadata and its connections, shared by all tasks of the process. Per broker there
//! is one connection for each purpose. Nothing connects before somebody asks.

use super::connection::{Connection, Limits};
use super::dial::Line;
use super::metadata::{self, Metadata, Partition, TopicId};
use super::oauth::Sources;
use super::security::Security;
use super::timing::Timing;
use crate::codes::{check, local};
use crate::error::{Class, Result};
use crate::lock::lock;
use crate::port::ClientConfig;
use crate::rd::client::translated;
use crate::rd::config::Role;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{FindCoordinatorRequest, MetadataRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::Future;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Of thousands of members the heartbeats are answered one by one, and each answer wakes up who reads it: nobody waits for them.
const GATHER: Duration = Duration::from_millis(5);

/// What a connection is for. What may take long stands in front of nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Purpose {
    Produce,
    /// Whatever is answered at once.
    Short,
    /// One fetch session each.
    Fetch(u32),
    /// Reading topics to their ends: answers may be large, and wait for transactions.
    Tail,
    /// A share of the groups that the broker coordinates: it writes down what they say, and takes the next request of a connection
    /// only when that is done.
    Group(u32),
}

/// What the coordinator is one of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Of {
    Group,
    Transaction,
}

/// Which topics are asked for.
#[derive(Clone, Debug, Default)]
struct Wanted {
    names: BTreeSet<Arc<str>>,
    ids: BTreeSet<TopicId>,
    /// A broker that does so may create what is missing (`auto.create.topics.enable`).
    create: bool,
}

impl Wanted {
    fn join(&mut self, other: &Self) {
        self.names.extend(other.names.iter().cloned());
        self.ids.extend(other.ids.iter().copied());
        self.create |= other.create;
    }
}

/// What was asked for and not yet begun, and which question that will be.
#[derive(Debug, Default)]
struct Next {
    wanted: Wanted,
    number: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Target {
    Broker(i32),
    /// By its place in `bootstrap.servers`.
    Bootstrap(usize),
}

/// The connection to one broker for one purpose.
#[derive(Debug, Default)]
struct Slot {
    connection: Option<Arc<Connection>>,
    failures: u32,
    not_before: Option<Instant>,
}

/// Who dials holds its slot.
type Slots = HashMap<(Target, Purpose), Arc<tokio::sync::Mutex<Slot>>>;

/// One cluster.
pub(crate) struct Cluster {
    servers: Vec<Arc<str>>,
    security: Arc<Security>,
    client: StrBytes,
    timing: Timing,
    runtime: Handle,
    metadata: watch::Sender<Arc<Metadata>>,
    next: Mutex<Next>,
    /// The number of the last question about metadata that was answered.
    answered: tokio::sync::Mutex<u64>,
    slots: Mutex<Slots>,
    /// Forgotten when they turn out to be wrong; as many as groups and transactional ids.
    coordinators: Mutex<HashMap<(Of, String), i32>>,
    tasks: Mutex<JoinSet<()>>,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Settings hold secrets.
        f.debug_struct("Cluster")
            .field("servers", &self.servers)
            .finish_non_exhaustive()
    }
}

/// The clusters of a process, by the way to connect.
pub(crate) struct Clusters {
    clusters: Mutex<HashMap<BTreeMap<String, String>, Arc<Cluster>>>,
    /// Runs all I/O: who asks for a client may do so on a thread that connectors block.
    runtime: OnceLock<Handle>,
    sources: Arc<Sources>,
}

impl std::fmt::Debug for Clusters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Settings hold secrets.
        f.debug_struct("Clusters").finish_non_exhaustive()
    }
}

impl Default for Clusters {
    /// On the current tokio runtime, or that in which the first client is asked for.
    fn default() -> Self {
        Self {
            clusters: Mutex::default(),
            runtime: Handle::try_current().map_or_else(|_| OnceLock::new(), OnceLock::from),
            sources: Arc::default(),
        }
    }
}

impl Clusters {
    /// The same, with the tokens that all clients share.
    pub(crate) fn with(self, sources: Arc<Sources>) -> Self {
        Self { sources, ..self }
    }

    /// The cluster that these settings lead to; none when they ask for a way to connect that is librdkafka's alone.
    ///
    /// # Errors
    /// When the settings are not what they should be.
    pub(crate) fn of(&self, config: &ClientConfig) -> Result<Option<Arc<Cluster>>> {
        let mut settings = translated(config, Role::Admin)?.settings;
        let client = settings.remove("client.id").unwrap_or_default();
        let timing = Timing::read(&settings)?;
        settings.retain(|key, _| {
            let decides = ["bootstrap.", "security.", "sasl.", "ssl.", "reconnect.", "connections."];
            decides.iter().any(|prefix| key.starts_with(prefix))
        });
        let mut clusters = lock(&self.clusters);
        // Without users, its last connections closed for idleness.
        clusters.retain(|_, cluster| Arc::strong_count(cluster) > 1 || cluster.is_connected());
        if let Some(cluster) = clusters.get(&settings) {
            return Ok(Some(Arc::clone(cluster)));
        }
        let Some(security) = Security::read(&settings, &self.sources)? else {
            return Ok(None);
        };
        let runtime = self.runtime.get_or_init(Handle::current).clone();
        let cluster = Arc::new(Cluster::new(&settings, security, client, timing, runtime)?);
        clusters.insert(settings, Arc::clone(&cluster));
        Ok(Some(cluster))
    }
}

impl Cluster {
    fn new(
        settings: &BTreeMap<String, String>,
        security: Security,
        client: String,
        timing: Timing,
        runtime: Handle,
    ) -> Result<Self> {
        let servers = settings.get("bootstrap.servers").map_or("", String::as_str).split(',');
        let servers: Vec<Arc<str>> = servers
            .map(str::trim)
            .filter(|server| !server.is_empty())
            .map(Arc::from)
            .collect();
        if servers.is_empty() {
            return Err(local(
                "connecting",
                "INVALID_CONFIG",
                "`bootstrap.servers` is missing",
                Class::Fatal,
            ));
        }
        Ok(Self {
            servers,
            security: Arc::new(security),
            client: StrBytes::from_string(client),
            timing,
            runtime,
            metadata: watch::Sender::default(),
            next: Mutex::default(),
            answered: tokio::sync::Mutex::default(),
            slots: Mutex::default(),
            coordinators: Mutex::default(),
            tasks: Mutex::default(),
        })
    }

    /// Runs a task that ends with the cluster, if not before. It must not keep the cluster alive.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = lock(&self.tasks);
        while let Some(ended) = tasks.try_join_next() {
            if let Err(error) = ended
                && error.is_panic()
            {
                tracing::error!(%error, "a task of a kafka cluster panicked");
            }
        }
        tasks.spawn_on(task, &self.runtime);
    }

    fn is_connected(&self) -> bool {
        let slots = lock(&self.slots);
        // Who holds the lock is dialling.
        slots
            .values()
            .any(|slot| slot.try_lock().map_or(true, |slot| slot.open().is_some()))
    }

    /// What is known of the cluster now.
    pub(crate) fn metadata(&self) -> Arc<Metadata> {
        Arc::clone(&self.metadata.borrow())
    }

    /// What is known of the cluster, and whenever that changes.
    pub(crate) fn changes(&self) -> watch::Receiver<Arc<Metadata>> {
        self.metadata.subscribe()
    }

    /// The connection to a broker for this purpose: the one that is there, or a new one, after the back-off that earlier failures ask
    /// for. Who asks at the same time waits for the same attempt.
    ///
    /// # Errors
    /// When the broker is not known, nobody answers in time, or the broker does not let us in.
    pub(crate) async fn connection(&self, broker: i32, purpose: Purpose) -> Result<Arc<Connection>> {
        let Some(address) = self.metadata.borrow().brokers.get(&broker).cloned() else {
            let what = format!("connecting to broker {broker}");
            return Err(local(
                what,
                "BROKER_NOT_AVAILABLE",
                "the cluster has no such broker",
                Class::Retriable,
            ));
        };
        self.dial((Target::Broker(broker), purpose), &address).await
    }

    /// Has the next one who asks connect anew: what is on its way is answered to nobody, and the connection closes behind it.
    pub(crate) fn leave(&self, broker: i32, purpose: Purpose) {
        lock(&self.slots).remove(&(Target::Broker(broker), purpose));
    }

    /// A connection for something short, to any broker: one that is there, or to the first that answers.
    ///
    /// # Errors
    /// That of the last server that was tried.
    pub(crate) async fn any(&self) -> Result<Arc<Connection>> {
        let brokers = self.metadata.borrow().brokers.clone();
        let brokers = brokers.into_iter().map(|(id, address)| (Target::Broker(id), address));
        let servers = self.servers.iter().cloned().enumerate();
        let servers = servers.map(|(place, address)| (Target::Bootstrap(place), address));
        let all: Vec<(Target, Arc<str>)> = brokers.chain(servers).collect();
        let open = |(target, address): &(Target, Arc<str>)| self.opened((*target, Purpose::Short), address);
        if let Some(connection) = all.iter().find_map(open) {
            return Ok(connection);
        }
        let mut last = None;
        for (target, address) in all {
            match self.dial((target, Purpose::Short), &address).await {
                Ok(connection) => return Ok(connection),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| local("connecting", "CONNECTION", "no server is known", Class::Retriable)))
    }

    fn opened(&self, key: (Target, Purpose), address: &str) -> Option<Arc<Connection>> {
        let slot = lock(&self.slots).get(&key).map(Arc::clone)?;
        let slot = slot.try_lock().ok()?;
        slot.open().filter(|connection| connection.address() == address)
    }

    async fn dial(&self, key: (Target, Purpose), address: &str) -> Result<Arc<Connection>> {
        let slot = Arc::clone(lock(&self.slots).entry(key).or_default());
        let mut slot = slot.lock().await;
        if let Some(connection) = slot.open().filter(|connection| connection.address() == address) {
            return Ok(connection);
        }
        slot.connection = None;
        if let Some(at) = slot.not_before {
            tokio::time::sleep_until(at).await;
        }
        match self.open(address).await {
            Ok(line) => {
                let limits = Limits {
                    idle: self.timing.idle,
                    max_frame: self.timing.max_frame,
                    gather: matches!(key.1, Purpose::Group(_)).then_some(GATHER),
                };
                let (connection, task) = Connection::new(line.into_opened(), limits);
                self.spawn(task);
                let connection = Arc::new(connection);
                *slot = Slot {
                    connection: Some(Arc::clone(&connection)),
                    ..Slot::default()
                };
                tracing::debug!(broker = address, purpose = ?key.1, "connected");
                Ok(connection)
            }
            Err(error) => {
                slot.not_before = Some(Instant::now() + self.timing.reconnect(slot.failures));
                slot.failures = slot.failures.saturating_add(1);
                // A broker that is away for long is not worth a line each time.
                if slot.failures.is_power_of_two() {
                    tracing::warn!(client.id = self.client.as_str(), broker = address, %error, failures = slot.failures,
                        "could not connect");
                }
                Err(error)
            }
        }
    }

    /// A new line to a server. Its socket belongs to our runtime, whoever waits for it.
    async fn open(&self, address: &str) -> Result<Line> {
        let (client, security, within) = (self.client.clone(), Arc::clone(&self.security), self.timing.setup);
        let to = address.to_owned();
        let mut dialling = JoinSet::new();
        dialling.spawn_on(
            async move { Line::open(&to, &client, &security, within).await },
            &self.runtime,
        );
        let opened = dialling.join_next().await;
        opened.and_then(std::result::Result::ok).unwrap_or_else(|| {
            let what = format!("connecting to {address}");
            Err(local(what, "CONNECTION", "the process is ending", Class::Retriable))
        })
    }

    /// Where all I/O runs.
    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Asks for these topics. Those that do not exist are missing in what comes back.
    ///
    /// # Errors
    /// When no broker answers.
    pub(crate) async fn refresh(&self, topics: &[Arc<str>]) -> Result<Arc<Metadata>> {
        self.learn(Wanted {
            names: topics.iter().cloned().collect(),
            ..Wanted::default()
        })
        .await
    }

    /// The same, and a broker that creates missing topics by itself may do so.
    pub(crate) async fn refresh_or_create(&self, topics: &[Arc<str>]) -> Result<Arc<Metadata>> {
        self.learn(Wanted {
            names: topics.iter().cloned().collect(),
            create: true,
            ..Wanted::default()
        })
        .await
    }

    /// Asks for topics by their ids.
    ///
    /// # Errors
    /// When no broker answers, or it knows no topic ids (before Kafka 3.1).
    pub(crate) async fn refresh_ids(&self, ids: &[TopicId]) -> Result<Arc<Metadata>> {
        self.learn(Wanted {
            ids: ids.iter().copied().collect(),
            ..Wanted::default()
        })
        .await
    }

    /// Asks one question for all that ask at the same time.
    async fn learn(&self, own: Wanted) -> Result<Arc<Metadata>> {
        let number = {
            let mut next = lock(&self.next);
            next.wanted.join(&own);
            next.number
        };
        let mut answered = self.answered.lock().await;
        if *answered > number {
            return Ok(self.metadata());
        }
        // If this future is dropped, whoever is next asks for its own all the same.
        let mut wanted = {
            let mut next = lock(&self.next);
            next.number += 1;
            std::mem::take(&mut next.wanted)
        };
        wanted.join(&own);
        let number = lock(&self.next).number;
        // Names and ids cannot be asked for at once.
        let ids = std::mem::take(&mut wanted.ids);
        if !wanted.names.is_empty() || ids.is_empty() {
            self.ask_for(&wanted).await?;
        }
        if !ids.is_empty() {
            let ids = Wanted {
                ids,
                ..Wanted::default()
            };
            self.ask_for(&ids).await?;
        }
        *answered = number;
        Ok(self.metadata())
    }

    async fn ask_for(&self, wanted: &Wanted) -> Result<()> {
        let named = |name: &Arc<str>| {
            let name = TopicName(StrBytes::from_string(name.to_string()));
            MetadataRequestTopic::default().with_name(Some(name))
        };
        let by_id = |id: &TopicId| MetadataRequestTopic::default().with_name(None).with_topic_id(*id);
        let topics = wanted.names.iter().map(named).chain(wanted.ids.iter().map(by_id));
        let request = MetadataRequest::default()
            .with_topics(Some(topics.collect()))
            .with_allow_auto_topic_creation(wanted.create);
        let oldest = if wanted.ids.is_empty() { 4 } else { 12 };
        let connection = self.any().await?;
        let answer = connection
            .ask(&self.client, &request, oldest..=12, self.timing.request)
            .await?;
        self.metadata
            .send_modify(|metadata| *metadata = Arc::new(metadata.after(answer)));
        Ok(())
    }

    /// Takes in what a broker said about a partition's leader (KIP-951), if that is news.
    pub(crate) fn learn_leader(
        &self,
        topic: &str,
        partition: i32,
        leader: Partition,
        endpoint: Option<(i32, Arc<str>)>,
    ) {
        self.metadata.send_if_modified(|metadata| {
            let told = metadata.told(topic, partition, leader, endpoint);
            let news = told.is_some();
            if let Some(told) = told {
                *metadata = Arc::new(told);
            }
            news
        });
    }

    /// The broker that coordinates a group or transactional id.
    ///
    /// # Errors
    /// Retriable while there is none; as the broker answers.
    pub(crate) async fn coordinator(&self, of: Of, key: &str) -> Result<i32> {
        let place = (of, key.to_owned());
        let known = lock(&self.coordinators).get(&place).copied();
        if let Some(broker) = known.filter(|broker| self.metadata.borrow().brokers.contains_key(broker)) {
            return Ok(broker);
        }
        let connection = self.any().await?;
        let key_type = match of {
            Of::Group => 0,
            Of::Transaction => 1,
        };
        // The versions with one key: questions of the same moment go out together all the same.
        let request = FindCoordinatorRequest::default()
            .with_key(StrBytes::from_string(key.to_owned()))
            .with_key_type(key_type);
        let found = connection
            .ask(&self.client, &request, 1..=3, self.timing.request)
            .await?;
        let what = || format!("finding the coordinator of `{key}`");
        check(what(), found.error_code, found.error_message.as_deref())?;
        let broker = found.node_id.0;
        self.metadata.send_if_modified(|metadata| {
            let news = !metadata.brokers.contains_key(&broker);
            if news {
                let address = metadata::address(&found.host, found.port);
                Arc::make_mut(metadata).brokers.insert(broker, address);
            }
            news
        });
        lock(&self.coordinators).insert(place, broker);
        Ok(broker)
    }

    /// The coordinator turned out to be none, or does not answer: it is looked for again.
    pub(crate) fn forget_coordinator(&self, of: Of, key: &str) {
        lock(&self.coordinators).remove(&(of, key.to_owned()));
    }

    /// How long is waited, for what.
    pub(crate) fn timing(&self) -> &Timing {
        &self.timing
    }
}

impl Slot {
    fn open(&self) -> Option<Arc<Connection>> {
        self.connection.clone().filter(|connection| connection.is_open())
    }
}

#[cfg(test)]
mod tests;
