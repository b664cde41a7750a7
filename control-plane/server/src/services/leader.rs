//! Calls that only the leader can answer, because agents' streams are there: any replica takes them, and hands them on.

use crate::cache::Cache;
use crate::desk::Desk;
use crate::status;
use dray_process::chain;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

/// How long a call waits for a leader: longer than an election.
const WITHIN: Duration = Duration::from_secs(10);
/// How long a connection may take to open.
const CONNECT: Duration = Duration::from_secs(2);
/// A call that was handed on is not handed on again: who has it and does not lead (any more) says so.
const HANDED_ON: &str = "dray-handed-on";

/// Finds the leader.
pub(super) struct Leader {
    pub(super) desk: Desk,
    pub(super) cache: Arc<Cache>,
    pub(super) replica: String,
}

impl Leader {
    /// The leader elsewhere; none: this replica leads. Waits while nobody does.
    pub(super) async fn elsewhere<T>(&self, request: &mut Request<T>) -> Result<Option<Channel>, Status> {
        let until = Instant::now() + WITHIN;
        let handed_on = request.metadata().contains_key(HANDED_ON);
        let mut states = self.cache.subscribe();
        let mut seat = self.desk.watch();
        loop {
            if seat.borrow_and_update().is_some() {
                return Ok(None);
            }
            let leader = states.borrow_and_update().leader.clone();
            if let Some(leader) = leader.filter(|leader| leader.record.replica != self.replica && !handed_on) {
                for endpoint in &leader.record.endpoints {
                    match connect(endpoint).await {
                        Ok(channel) => {
                            let yes = MetadataValue::from_static("1");
                            request.metadata_mut().insert(HANDED_ON, yes);
                            return Ok(Some(channel));
                        }
                        Err(error) => tracing::debug!(endpoint, error = %chain(&error), "the leader cannot be reached"),
                    }
                }
            }
            let changed = async {
                tokio::select! {
                    _ = states.changed() => {}
                    _ = seat.changed() => {}
                }
            };
            if timeout_at(until, changed).await.is_err() {
                return Err(status::no_leader("no leader can be reached: try again"));
            }
        }
    }
}

async fn connect(endpoint: &str) -> Result<Channel, tonic::transport::Error> {
    Endpoint::from_shared(endpoint.to_owned())?
        .connect_timeout(CONNECT)
        .connect()
        .await
}
