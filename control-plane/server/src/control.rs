//! A replica of the control plane, put together: what it consists of, how it starts and how it stops.

use crate::agents::Agents;
use crate::board::Board;
use crate::cache::Cache;
use crate::calls::Calls;
use crate::clock;
use crate::desk::Desk;
use crate::feed;
use crate::gathered::Gathering;
use crate::leader::Candidate;
use crate::listeners::Listeners;
use crate::logging;
use crate::meta::{self, MetaError};
use crate::metrics::ControlCollector;
use crate::presence;
use crate::services::Services;
use crate::state_file::StateFile;
use crate::switchboard::Switchboard;
use crate::tls::Tls;
use dray_machine::cluster::Timing;
use dray_model::ConfigMap;
use dray_model::record::{LeaderRecord, ReplicaRecord};
use dray_process::{Telemetry, chain};
use dray_rest::Part;
use dray_store::MetadataStore;
use dray_store::keys::Keys;
use dray_wire::MAX_MESSAGE;
use dray_wire::agent::v1::agent_call_service_server::AgentCallServiceServer;
use dray_wire::agent::v1::agent_control_service_server::AgentControlServiceServer;
use futures::stream::poll_fn;
use futures::{Stream, StreamExt as _};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::{Connected, TcpIncoming};

/// How long streams and calls may take to end when the process stops.
const GRACE: Duration = Duration::from_secs(3);
/// HTTP/2 pings find connections that are dead; they are never a lease.
const PING: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(5));
/// The buffer of a connection inside the process, each way.
const DUPLEX: usize = 256 << 10;
/// Connections inside the process that were not yet accepted.
const ACCEPT: usize = 16;

/// What a replica is told.
#[derive(Clone, Debug)]
pub struct Config {
    /// The cluster's id (`group.id`).
    pub cluster: String,
    /// This replica's id: another one for each process of a cluster. `None`: host and port of its first endpoint.
    pub replica: Option<String>,
    /// Where to listen; port 0 takes a free one. Empty: only inside the process.
    pub listen: Vec<SocketAddr>,
    /// Where REST and gRPC are served besides, and what is added to the answers of REST.
    pub listeners: Listeners,
    /// Where agents and clients find this replica, as `http://host:port`; empty: where it listens.
    pub advertise: Vec<String>,
    /// The worker configuration of the cluster; `None`: as it is stored.
    pub worker: Option<ConfigMap>,
    /// Where this replica remembers what it has seen of the store; `None`: nowhere.
    pub data_dir: Option<PathBuf>,
    /// How long a leader waits for what.
    pub timing: Timing,
    /// Where what it measures is added, and the levels of its logs.
    pub telemetry: Telemetry,
}

/// Why a replica does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("could not listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The folder cannot be used.
    #[error("could not read what this replica has seen")]
    StateFile(#[source] io::Error),
    /// The store cannot be read.
    #[error("could not read the cluster from the metadata store")]
    Store(#[source] dray_store::Error),
    /// The record of the cluster is not as it should be.
    #[error("could not join the cluster")]
    Meta(#[source] dray_store::BoxError),
    /// A service cannot be built.
    #[error("could not describe the services")]
    Reflection(#[source] dray_store::BoxError),
}

/// A replica that runs. It is stopped with [`stop`](Self::stop); dropping it ends it without order.
pub struct Control {
    /// Where it listens for everything: what it was told by [`Config::listen`], then the main ones of [`Config::listeners`].
    pub addresses: Vec<SocketAddr>,
    replica: String,
    cache: Arc<Cache>,
    board: Arc<Board>,
    /// Ends leading, and what follows the store.
    stop: CancellationToken,
    /// Ends serving.
    close: CancellationToken,
    streams: TaskTracker,
    candidate: JoinSet<()>,
    background: JoinSet<()>,
    servers: JoinSet<()>,
    inside: mpsc::Sender<DuplexStream>,
}

impl Control {
    /// Binds, reads the cluster, then starts everything.
    pub async fn start(store: Arc<dyn MetadataStore>, config: Config) -> Result<Self, StartError> {
        let main = match &config.listeners.admin {
            None => Part::All,
            Some(_) => Part::WithoutAdmin,
        };
        let mut listeners = Vec::new();
        for address in &config.listen {
            listeners.push(bind(*address, None, main).await?);
        }
        for listener in &config.listeners.main {
            listeners.push(bind(listener.address, listener.tls.clone(), main).await?);
        }
        let addresses: Vec<SocketAddr> = listeners.iter().map(|bound| bound.address).collect();
        for listener in config.listeners.admin.iter().flatten() {
            listeners.push(bind(listener.address, listener.tls.clone(), Part::Admin).await?);
        }
        let endpoints = match config.advertise.is_empty() {
            true => listeners
                .iter()
                .filter(|bound| bound.part != Part::Admin && bound.tls.is_none())
                .map(|bound| format!("http://{}", bound.address))
                .collect(),
            false => config.advertise.clone(),
        };
        let first = endpoints
            .first()
            .map(|endpoint| endpoint.split("://").last().unwrap_or(endpoint));
        let replica = config
            .replica
            .clone()
            .unwrap_or_else(|| first.unwrap_or("inside").into());
        let state_file = Arc::new(StateFile::open(config.data_dir.as_deref()).map_err(StartError::StateFile)?);
        let keys = Keys::new(&config.cluster);
        meta::ensure(store.as_ref(), &keys, &config.cluster, config.worker.as_ref())
            .await
            .map_err(|error| match error {
                MetaError::Store(error) => StartError::Store(error),
                MetaError::Record(_) | MetaError::OtherCluster { .. } => StartError::Meta(error.into()),
            })?;
        let cache = Cache::seed(store.clone(), keys.clone())
            .await
            .map_err(StartError::Store)?;

        let (stop, close) = (CancellationToken::new(), CancellationToken::new());
        let (desk, board, streams) = (Desk::new(), Arc::new(Board::new(clock::now())), TaskTracker::new());
        let agents = Agents::new(desk.clone(), cache.clone(), &replica, streams.clone(), close.clone());
        let (health, health_service) = tonic_health::server::health_reporter();
        health
            .set_service_status("", tonic_health::ServingStatus::Serving)
            .await;
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(dray_wire::DESCRIPTORS)
            .build_v1()
            .map_err(|error| StartError::Reflection(error.into()))?;
        let agents = AgentControlServiceServer::new(agents).max_decoding_message_size(MAX_MESSAGE);
        let switchboard = Arc::new(Switchboard::default());
        let gathering = Arc::new(Gathering::new(store.clone(), cache.clone(), switchboard.clone()));
        let calls = Calls::new(
            switchboard.clone(),
            gathering,
            desk.clone(),
            cache.clone(),
            streams.clone(),
            close.clone(),
        );
        let calls = AgentCallServiceServer::new(calls).max_decoding_message_size(MAX_MESSAGE);
        let services = Services::new(
            store.clone(),
            cache.clone(),
            board.clone(),
            (desk.clone(), switchboard.clone()),
            &replica,
            config.telemetry.levels.clone(),
            close.clone(),
        );
        config.telemetry.metrics.add(Box::new(ControlCollector {
            cache: cache.clone(),
            board: board.clone(),
            desk: desk.clone(),
            switchboard,
        }));
        let rest = services.rest();
        let grpc = services
            .add_to(Routes::new(agents).add_service(calls))
            .add_service(health_service)
            .add_service(reflection)
            .into_axum_router()
            .merge(config.telemetry.metrics.router());
        let routes = |secure: bool, part: Part| {
            let rest = dray_rest::router(rest.clone(), config.listeners.options.on(secure, part));
            match part {
                Part::All | Part::WithoutAdmin => Routes::from(grpc.clone().fallback_service(rest)).prepare(),
                Part::Admin => Routes::from(rest).prepare(),
            }
        };

        let mut background = JoinSet::new();
        let follower = cache.clone();
        background.spawn(async move { follower.follow().await });
        let (seen, file) = (cache.clone(), state_file.clone());
        background.spawn(async move { file.follow(&seen).await });
        let record = ReplicaRecord {
            endpoints: endpoints.clone(),
            software_version: env!("CARGO_PKG_VERSION").into(),
        };
        let (present, id) = (store.clone(), replica.clone());
        background.spawn(async move { presence::keep(present.as_ref(), &keys, &id, &record).await });

        let (seen, levels) = (cache.clone(), config.telemetry.levels.clone());
        background.spawn(async move { logging::follow(&seen, &levels).await });

        let (known, wall, id) = (cache.clone(), board.clone(), replica.clone());
        background.spawn(async move { feed::follow(&known, &wall, &id).await });

        let mut servers = JoinSet::new();
        let (inside, mut accepted) = mpsc::channel(ACCEPT);
        let connections = poll_fn(move |context| accepted.poll_recv(context)).map(Ok::<_, io::Error>);
        servers.spawn(serve(routes(false, Part::All), connections, close.clone()));
        for bound in listeners {
            let routes = routes(bound.tls.is_some(), bound.part);
            tracing::info!(address = %bound.address, https = bound.tls.is_some(), "listening");
            let Some(tls) = bound.tls else {
                let connections = TcpIncoming::from(bound.listener).with_nodelay(Some(true));
                servers.spawn(serve(routes, connections, close.clone()));
                continue;
            };
            let (ready, mut protected) = mpsc::channel(ACCEPT);
            let connections = poll_fn(move |context| protected.poll_recv(context)).map(Ok::<_, io::Error>);
            let close = close.clone();
            servers.spawn(async move {
                // It ends once nobody takes connections any more.
                tokio::join!(tls.accept(bound.listener, ready), serve(routes, connections, close));
            });
        }

        let candidate = Candidate {
            store,
            cache: cache.clone(),
            desk,
            board: board.clone(),
            state_file,
            record: LeaderRecord {
                replica: replica.clone(),
                endpoints,
                beats: 0,
                software_version: env!("CARGO_PKG_VERSION").into(),
            },
            timing: config.timing,
        };
        let stopped = stop.clone();
        let mut leading = JoinSet::new();
        leading.spawn(async move { candidate.run(stopped).await });
        Ok(Self {
            addresses,
            replica,
            cache,
            board,
            stop,
            close,
            streams,
            candidate: leading,
            background,
            servers,
            inside,
        })
    }

    /// This replica's id.
    #[must_use]
    pub fn replica(&self) -> &str {
        &self.replica
    }

    /// What this replica knows of the store.
    #[must_use]
    pub fn cache(&self) -> &Arc<Cache> {
        &self.cache
    }

    /// What is seen of connectors, tasks and agents.
    #[must_use]
    pub fn board(&self) -> &Arc<Board> {
        &self.board
    }

    /// A connection to this replica that never leaves the process; `None` once it stops.
    pub async fn connect(&self) -> Option<DuplexStream> {
        let (mine, theirs) = tokio::io::duplex(DUPLEX);
        self.inside.send(theirs).await.ok().map(|()| mine)
    }

    /// Gives up leading, says so to agents, ends what is served, and joins everything.
    pub async fn stop(mut self) {
        self.stop.cancel();
        join(&mut self.candidate).await;
        self.close.cancel();
        self.streams.close();
        let ended = async {
            self.streams.wait().await;
            join(&mut self.servers).await;
        };
        if timeout(GRACE, ended).await.is_err() {
            tracing::warn!("some streams or calls did not end in time");
            self.servers.shutdown().await;
        }
        self.background.shutdown().await;
    }
}

/// An address that is listened on.
struct Bound {
    address: SocketAddr,
    listener: TcpListener,
    tls: Option<Tls>,
    part: Part,
}

async fn bind(address: SocketAddr, tls: Option<Tls>, part: Part) -> Result<Bound, StartError> {
    let listen = |source| StartError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(listen)?;
    Ok(Bound {
        address: listener.local_addr().map_err(listen)?,
        listener,
        tls,
        part,
    })
}

async fn join(tasks: &mut JoinSet<()>) {
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a task of the control plane panicked");
        }
    }
}

async fn serve<I, IO>(routes: Routes, connections: I, close: CancellationToken)
where
    I: Stream<Item = io::Result<IO>>,
    IO: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
{
    // REST comes as HTTP/1.1 from most clients.
    let served = Server::builder()
        .accept_http1(true)
        .http2_keepalive_interval(Some(PING.0))
        .http2_keepalive_timeout(Some(PING.1))
        .add_routes(routes)
        .serve_with_incoming_shutdown(connections, close.cancelled_owned())
        .await;
    if let Err(error) = served {
        tracing::error!(error = %chain(&error), "a server ended");
    }
}
