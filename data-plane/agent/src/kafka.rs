//! The Kafka clusters that connectors touch, and this session's writer on each: what makes tasks of the fenced class safe.
//!
//! Before a task has any effect, the writer of its cluster is initialised and the leader has confirmed it (rule F2 in ARCHITECTURE,
//! *Fencing*). Offsets of sources go through it. Whoever takes a task over from a dead session fences that session's writer first.

use crate::used;
use async_trait::async_trait;
use dray_connect::Result;
use dray_connect::offset::{OffsetMap, SourcePartition};
use dray_kafka::port::{ClientConfig, KafkaPort};
use dray_kafka::session::SessionWriter;
use dray_model::message::{AssignedConnector, DeadSession, Owned};
use dray_model::{AgentSession, KafkaCluster};
use dray_providers::Look;
use dray_runtime::client_config;
use dray_runtime::config::WorkerConfig;
use dray_runtime::expel::{before_joining, expel, marker};
use dray_runtime::guard::trace;
use dray_runtime::offsets::topic::TopicOffsets;
use dray_runtime::offsets::{OffsetEntry, OffsetStore};
use dray_session::Event;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OnceCell, mpsc, watch};
use tokio::time::sleep;

/// How long Kafka may take to answer one question; then it is asked again.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two tries: short beside what a restart of a broker takes.
const RETRY: Duration = Duration::from_millis(500);

/// Clusters and writers of one session.
pub(crate) struct Clusters {
    pub(crate) port: Arc<dyn KafkaPort>,
    pub(crate) worker: WorkerConfig,
    /// None in standalone: one process, whose lock is the proof that there is no other.
    session: Option<Session>,
}

struct Session {
    /// The id of the Dray cluster.
    dray: String,
    me: AgentSession,
    events: mpsc::Sender<Event>,
    state: Mutex<State>,
    usable: watch::Sender<BTreeSet<KafkaCluster>>,
    offsets: watch::Sender<Option<Arc<dyn OffsetStore>>>,
}

#[derive(Default)]
struct State {
    ids: HashMap<ClientConfig, KafkaCluster>,
    /// The settings by which each cluster was reached first.
    settings: BTreeMap<KafkaCluster, ClientConfig>,
    writers: BTreeMap<KafkaCluster, Arc<SessionWriter>>,
    /// One InitProducerId for each dead session and cluster, however many tasks ask for it.
    fenced: BTreeMap<(AgentSession, KafkaCluster), Arc<OnceCell<()>>>,
}

impl Clusters {
    /// Without sessions: nothing is fenced, and nothing needs to be.
    pub(crate) fn alone(port: Arc<dyn KafkaPort>, worker: WorkerConfig) -> Self {
        let session = None;
        Self { port, worker, session }
    }

    /// Of a session that begins.
    pub(crate) fn of_session(
        port: Arc<dyn KafkaPort>,
        worker: WorkerConfig,
        dray: String,
        me: AgentSession,
        events: mpsc::Sender<Event>,
    ) -> Self {
        let session = Some(Session {
            dray,
            me,
            events,
            state: Mutex::default(),
            usable: watch::Sender::default(),
            offsets: watch::Sender::new(None),
        });
        Self { port, worker, session }
    }

    /// The settings that a connector's records and offsets are protected by: where a sink has its group, where a source's offsets are.
    fn settings(&self, connector: &AssignedConnector, source: bool) -> ClientConfig {
        let worker = self.worker.originals();
        if source {
            client_config::internal(worker, "dray-session")
        } else {
            client_config::admin(worker, &connector.config)
        }
    }

    /// Waits until tasks of this connector may have effects. `waits` is told what for.
    pub(crate) async fn ready(
        &self,
        connector: &AssignedConnector,
        source: bool,
        waits: impl Fn(String),
    ) -> Result<(), String> {
        let Some(session) = &self.session else { return Ok(()) };
        let settings = self.settings(connector, source);
        let cluster = self.cluster(session, &settings, &waits).await;
        if !session.usable.borrow().contains(&cluster) {
            waits(format!(
                "waits for this agent's transactional writer on Kafka cluster {cluster}"
            ));
            session.want(cluster.clone(), settings).await;
        }
        // The sender lives as long as we do.
        drop(
            session
                .usable
                .subscribe()
                .wait_for(|usable| usable.contains(&cluster))
                .await,
        );
        Ok(())
    }

    /// Has the writer of the worker's own cluster opened: the one that every agent needs.
    pub(crate) async fn open_own(&self) {
        let Some(session) = &self.session else { return };
        let settings = client_config::internal(self.worker.originals(), "dray-session");
        let cluster = self.cluster(session, &settings, &|text| tracing::info!("{text}")).await;
        session.want(cluster, settings).await;
    }

    /// The id of the cluster that these settings lead to; asks until it answers.
    async fn cluster(&self, session: &Session, settings: &ClientConfig, waits: &impl Fn(String)) -> KafkaCluster {
        loop {
            if let Some(known) = session.state().ids.get(settings) {
                return known.clone();
            }
            let problem = match self.port.cluster_id(settings, PATIENCE).await {
                Ok(id) => match KafkaCluster::try_from(id) {
                    Ok(id) => {
                        session.state().ids.insert(settings.clone(), id);
                        continue;
                    }
                    Err(error) => error.to_string(),
                },
                Err(error) => error.to_string(),
            };
            waits(format!("waits for Kafka at {}: {problem}", servers(settings)));
            sleep(RETRY).await;
        }
    }

    /// Initialises the writer of this session on a cluster, until Kafka says yes or no.
    pub(crate) async fn open_writer(&self, cluster: KafkaCluster) {
        let Some(session) = &self.session else { return };
        let Some(settings) = session.state().settings.get(&cluster).cloned() else {
            return;
        };
        let id = session.me.session.writer_id(&session.dray, session.me.agent);
        let refused = loop {
            match self.port.transactional_producer(&settings, &id, PATIENCE).await {
                Ok(producer) => {
                    let clock = Arc::new(dray_runtime::gate::boottime);
                    let writer = Arc::new(SessionWriter::start(producer, &id, clock));
                    session.state().writers.insert(cluster.clone(), writer);
                    break None;
                }
                Err(error) if error.is_retriable() => {
                    tracing::warn!(kafka.cluster = %cluster, %error, "the session's writer cannot be opened yet");
                    sleep(RETRY).await;
                }
                Err(error) => {
                    tracing::warn!(kafka.cluster = %cluster, %error,
                        "this agent has no transactional writer there: its tasks on that cluster recover as `strict`");
                    break Some(error.to_string());
                }
            }
        };
        session
            .tell(Event::WriterOpened {
                session: session.me.session,
                cluster,
                refused,
            })
            .await;
    }

    /// The leader knows of the writer: it may be used.
    ///
    /// # Errors
    /// When the offsets topic cannot be opened.
    pub(crate) async fn use_writer(&self, cluster: KafkaCluster) -> Result<()> {
        let Some(session) = &self.session else { return Ok(()) };
        let (writer, own) = {
            let state = session.state();
            let internal = client_config::internal(self.worker.originals(), "dray-session");
            (
                state.writers.get(&cluster).cloned(),
                state.ids.get(&internal) == Some(&cluster),
            )
        };
        if own && let Some(topic) = &self.worker.offsets_topic {
            let port = self.port.as_ref();
            let store = match writer {
                Some(writer) => TopicOffsets::with_session_writer(topic.clone(), &self.worker, port, writer)?,
                None => TopicOffsets::open(topic.clone(), &self.worker, port)?,
            };
            session.offsets.send_replace(Some(Arc::new(store)));
        }
        session.usable.send_modify(|usable| {
            usable.insert(cluster);
        });
        Ok(())
    }

    /// Passes on what becomes of a writer, until it is broken or fenced.
    pub(crate) async fn watch_writer(&self, cluster: KafkaCluster) {
        let Some(session) = &self.session else { return };
        let Some(writer) = session.state().writers.get(&cluster).cloned() else {
            return;
        };
        let mut states = writer.watch();
        drop(writer);
        let mut last = None;
        loop {
            let now = states.borrow_and_update().clone();
            if let Some(sent) = now.committed.filter(|sent| last != Some(*sent)) {
                last = Some(sent);
                let cluster = cluster.clone();
                let session_id = session.me.session;
                session
                    .tell(Event::WriterCommitted {
                        session: session_id,
                        cluster,
                        sent,
                    })
                    .await;
            }
            if let Some(reason) = now.fenced.as_ref().or(now.broken.as_ref()) {
                tracing::warn!(kafka.cluster = %cluster, reason, "this session's writer was fenced");
                let session_id = session.me.session;
                session
                    .tell(Event::WriterFenced {
                        session: session_id,
                        cluster,
                    })
                    .await;
                return;
            }
            if states.changed().await.is_err() {
                return; // another one stands in its place
            }
        }
    }

    /// Has the writers commit a heartbeat every 2 s, while nobody else can tell that this session is alive; or ends that.
    pub(crate) fn keep_alive(&self, alone: bool) {
        let Some(session) = &self.session else { return };
        let topic = self.worker.originals().get("offset.storage.topic").filter(|_| alone);
        let topic: Option<Arc<str>> = topic.map(|topic| topic.as_str().into());
        for writer in session.state().writers.values() {
            writer.keep_alive(topic.clone());
        }
    }

    /// No transaction of this session that is open now is open when this returns.
    pub(crate) async fn settled(&self) {
        let Some(session) = &self.session else { return };
        let writers: Vec<_> = session.state().writers.values().cloned().collect();
        for writer in writers {
            writer.settled().await;
        }
    }

    /// The connector with the values that it refers to; looks until they can be had.
    pub(crate) async fn resolved(&self, connector: Arc<AssignedConnector>) -> Arc<AssignedConnector> {
        loop {
            match used::resolve(&self.worker, Look::Start, &connector).await {
                Ok((connector, _)) => return connector,
                Err(error) => {
                    tracing::warn!(connector = %connector.name, error = %trace(&error),
                        "what it needs to fence a dead session cannot be read");
                    sleep(RETRY).await;
                }
            }
        }
    }

    /// Fences dead sessions on the connector's cluster, where they have a writer; asks Kafka until it is done.
    pub(crate) async fn fence(&self, dead: &[DeadSession], connector: &AssignedConnector, source: bool) {
        let Some(session) = &self.session else { return };
        let settings = self.settings(connector, source);
        let say = |text: String| tracing::warn!(connector = %connector.name, "{text}");
        let cluster = self.cluster(session, &settings, &say).await;
        for dead in dead.iter().filter(|dead| dead.clusters.contains(&cluster)) {
            let id = dead.session.session.writer_id(&session.dray, dead.session.agent);
            let cell = session
                .state()
                .fenced
                .entry((dead.session, cluster.clone()))
                .or_default()
                .clone();
            cell.get_or_init(|| async {
                while let Err(error) = self.port.fence(&settings, &id, PATIENCE).await {
                    say(format!("could not fence {id} on Kafka cluster {cluster}: {error}"));
                    sleep(RETRY).await;
                }
                tracing::info!(kafka.cluster = %cluster, writer = id, "fenced a dead session");
            })
            .await;
            let cluster = cluster.clone();
            session
                .tell(Event::SessionFenced {
                    dead: dead.session,
                    cluster,
                })
                .await;
        }
    }

    /// Does it for a task that waits for it; where that is a sink, the dead members leave its group as well, as far as that is wanted
    /// before the successor joins.
    pub(crate) async fn fence_first(
        &self,
        owned: Owned,
        dead: Vec<DeadSession>,
        connector: &AssignedConnector,
        source: bool,
    ) {
        self.fence(&dead, connector, source).await;
        let Some(session) = &self.session else { return };
        if !source && !owned.task.is_instance() {
            let (config, group) = self.group(connector);
            for dead in &dead {
                let left = before_joining(self.port.as_ref(), &config, &group, &marker(dead.session)).await;
                if let Err(error) = left {
                    tracing::warn!(connector = %connector.name, group, error = %trace(&error),
                        "members of a dead agent could not be made to leave yet; it is tried again when the task has started");
                }
            }
        }
        session.tell(Event::FenceDone(owned)).await;
    }

    /// Has the members of dead sessions leave a sink's group on their behalf, and sees to it that they stay out.
    pub(crate) async fn expel(&self, dead: &[DeadSession], connector: &AssignedConnector) {
        let Some(session) = &self.session else { return };
        let (config, group) = self.group(connector);
        let own = marker(session.me);
        let all = dead.iter().map(|dead| {
            let dead = marker(dead.session);
            let (config, group, own) = (&config, &group, &own);
            async move { expel(self.port.as_ref(), config, group, &dead, own).await }
        });
        futures::future::join_all(all).await;
    }

    /// The settings of a client for a sink's group, and the group.
    fn group(&self, connector: &AssignedConnector) -> (ClientConfig, String) {
        let config = client_config::consumer(
            self.worker.originals(),
            &connector.config,
            connector.name.as_str(),
            0,
            None,
        );
        let group = config.get("group.id").cloned().unwrap_or_default();
        (config, group)
    }

    /// Where source offsets are, from when the writer may be used.
    pub(crate) fn offsets(self: &Arc<Self>) -> Arc<dyn OffsetStore> {
        Arc::new(SessionOffsets(self.clone()))
    }

    async fn store(&self) -> Result<Arc<dyn OffsetStore>> {
        let Some(session) = &self.session else {
            return Err(dray_connect::Error::connect("there is no store of offsets"));
        };
        let mut offsets = session.offsets.subscribe();
        let store = offsets
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|store| store.clone());
        store.ok_or(dray_connect::Error::Cancelled)
    }
}

impl Session {
    fn state(&self) -> MutexGuard<'_, State> {
        // Held for a few lines that cannot panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn want(&self, cluster: KafkaCluster, settings: ClientConfig) {
        self.state().settings.entry(cluster.clone()).or_insert(settings);
        self.tell(Event::WriterWanted(cluster)).await;
    }

    async fn tell(&self, event: Event) {
        // A closed queue is an agent that has ended.
        drop(self.events.send(event).await);
    }
}

fn servers(settings: &ClientConfig) -> &str {
    settings.get("bootstrap.servers").map_or("", String::as_str)
}

/// The offsets of a session: whoever asks waits until its writer may be used.
struct SessionOffsets(Arc<Clusters>);

#[async_trait]
impl OffsetStore for SessionOffsets {
    async fn read(&self, connector: &str, partitions: &[SourcePartition]) -> Result<Vec<Option<OffsetMap>>> {
        self.0.store().await?.read(connector, partitions).await
    }

    async fn list(&self, connector: &str) -> Result<Vec<(OffsetMap, OffsetMap)>> {
        self.0.store().await?.list(connector).await
    }

    async fn commit(&self, entries: Vec<OffsetEntry>) -> Result<()> {
        self.0.store().await?.commit(entries).await
    }

    async fn commit_at_once(&self, entries: Vec<OffsetEntry>) -> Result<()> {
        self.0.store().await?.commit_at_once(entries).await
    }
}
