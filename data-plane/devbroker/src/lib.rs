//! One node of Kafka in the process, for quickstart and for tests with scripted faults.
//!
//! It is not a product: no replication, no disk, no transactions. Records live in memory under a byte cap, and at the
//! cap a produce is refused; nothing is trimmed silently. It listens on loopback unless told otherwise.
//! `tests/it` holds the conformance cases that run on it and on a real broker.

mod batch;
mod broker;
mod coordinator;
mod error_response;
mod faults;
mod group;
mod handlers;
mod log;
mod offsets;
mod server;
mod stale;
mod sync;
mod topic_config;
mod topics;
mod versions;
mod wire;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

pub use faults::{Fault, Faults};
pub use kafka_protocol::ResponseError;
pub use kafka_protocol::messages::ApiKey;

use broker::Broker;
use server::Server;

/// How to run a [`DevBroker`].
#[derive(Clone, Debug)]
pub struct Config {
    /// The TCP port; 0 (the default) takes any free one.
    pub port: u16,
    /// The address to listen on. Default 127.0.0.1: the broker has no authentication, so think before opening it.
    pub host: IpAddr,
    /// The partitions of a topic that is created without a count. Default 1.
    pub default_partitions: i32,
    /// Whether asking for the metadata of an unknown topic creates it. Default true, as in Kafka.
    pub auto_create_topics: bool,
    /// The most bytes of record batches kept, over all topics. Default 256 MiB; at the limit a produce is answered
    /// with `KAFKA_STORAGE_ERROR` until records or topics are deleted.
    pub max_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            port: 0,
            host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            default_partitions: 1,
            auto_create_topics: true,
            max_bytes: 256 << 20,
        }
    }
}

/// Why the broker did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration asks for something impossible.
    #[error("`default_partitions` is {0}; set it to 1 or more")]
    DefaultPartitions(i32),
    /// The address could not be bound.
    #[error("could not listen on {address}; choose another port, or port 0 for any free one")]
    Listen {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// A running broker. Dropping it stops its tasks without waiting for them; [`DevBroker::shutdown`] waits.
#[derive(Debug)]
pub struct DevBroker {
    address: SocketAddr,
    broker: Arc<Broker>,
    server: Server,
}

impl DevBroker {
    /// Binds the port and serves. When this returns, clients can connect.
    ///
    /// # Errors
    /// The address cannot be bound, or the configuration is impossible.
    pub async fn start(config: Config) -> Result<DevBroker, Error> {
        if config.default_partitions < 1 {
            return Err(Error::DefaultPartitions(config.default_partitions));
        }
        let asked = SocketAddr::new(config.host, config.port);
        let listen_error = |source| Error::Listen { address: asked, source };
        let listener = tokio::net::TcpListener::bind(asked).await.map_err(listen_error)?;
        let address = listener.local_addr().map_err(listen_error)?;
        let broker = Arc::new(Broker::new(&config));
        let server = Server::start(listener, Arc::clone(&broker));
        tracing::info!(%address, "dev broker listens");
        Ok(Self {
            address,
            broker,
            server,
        })
    }

    /// What a client takes as `bootstrap.servers`.
    #[must_use]
    pub fn bootstrap_servers(&self) -> String {
        if self.address.ip().is_unspecified() {
            return SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), self.address.port()).to_string();
        }
        self.address.to_string()
    }

    /// Where faults are scripted.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.broker.faults
    }

    /// Closes the listener and every connection, and waits for all tasks. What was stored is gone.
    pub async fn shutdown(self) {
        self.server.shutdown().await;
    }
}
