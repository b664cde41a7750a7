//! Direct connections that nobody uses just now: after an agent's death a hundred groups are asked within a second, and then each of them
//! once a second, and a connection costs the broker more than the question.

use super::client::lock;
use super::direct::Connection;
use crate::wire::oauth::Sources;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What decides where a connection leads, and as whom: librdkafka's settings without those of groups and clients.
pub(super) type Way = BTreeMap<String, String>;

/// Connections that are kept for each way; more than that ask at once only in the first moment.
const MOST: usize = 8;
/// One that nobody used for so long is closed when somebody looks; brokers close them after some minutes.
const AGE: Duration = Duration::from_secs(60);

/// The connections, newest last, and the tokens that new ones log in with.
#[derive(Default)]
pub(super) struct Idle {
    connections: Mutex<HashMap<Way, Vec<(Instant, Connection)>>>,
    pub(super) sources: Arc<Sources>,
}

impl Idle {
    pub(super) fn with(sources: &Arc<Sources>) -> Self {
        Self {
            sources: Arc::clone(sources),
            ..Self::default()
        }
    }

    /// One to this address, or to any of the cluster's brokers.
    pub(super) fn take(&self, way: &Way, address: Option<&str>) -> Option<Connection> {
        let mut all = lock(&self.connections);
        all.retain(|_, connections| {
            connections.retain(|(since, connection)| since.elapsed() < AGE && !connection.has_expired());
            !connections.is_empty()
        });
        let connections = all.get_mut(way)?;
        let fits = |(_, connection): &(Instant, Connection)| address.is_none_or(|address| connection.leads_to(address));
        let place = connections.iter().rposition(fits)?;
        Some(connections.remove(place).1)
    }

    /// Keeps one whose last question was answered.
    pub(super) fn keep(&self, way: &Way, connection: Connection) {
        let mut all = lock(&self.connections);
        let connections = all.entry(way.clone()).or_default();
        if connections.len() < MOST {
            connections.push((Instant::now(), connection));
        }
    }

    /// Closes all of a way: where one is broken the others mostly are.
    pub(super) fn forget(&self, way: &Way) {
        lock(&self.connections).remove(way);
    }
}
