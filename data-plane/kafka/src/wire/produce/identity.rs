//! Producer ids (`InitProducerId`): one of the lane's own, or that of its owner's transactional id. Taking the latter fences whoever had
//! it before: from this lane's first batch to a partition on, the partition's leader refuses the older epoch. Batches are idempotent all
//! the same, not transactional.

use super::lane_state::LaneShared;
use super::settings::Settings;
use super::track::{Identity, Mode};
use crate::codes::check;
use crate::error::{Class, Error, Result};
use crate::wire::cluster::{Cluster, Of, Purpose};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{InitProducerIdRequest, TransactionalId};
use kafka_protocol::protocol::StrBytes;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Until the coordinator is asked again while it aborts what the name's former producer left open. That takes some milliseconds.
const CONCURRENT: Duration = Duration::from_millis(20);
/// The coordinator keeps it for a transaction of this producer, which there never is.
const TRANSACTION_TIMEOUT_MS: i32 = 10_000;
const WHAT: &str = "asking for a producer id";

/// Asks until there is an answer, or the lane is gone. None then.
pub(super) async fn ask(
    cluster: Arc<Cluster>,
    settings: Arc<Settings>,
    lane: Weak<LaneShared>,
    known: Option<Mode>,
) -> Option<Result<Mode>> {
    let mut owner = lane.upgrade()?.owner.clone();
    let mut failures = 0;
    loop {
        let error = match once(&cluster, &settings, owner.as_deref(), known).await {
            Ok(identity) if owner.is_some() => return Some(Ok(Mode::Named(identity))),
            Ok(identity) => return Some(Ok(Mode::Own(identity))),
            Err(error) => error,
        };
        lane.upgrade()?;
        if error.is_retriable() {
            let pause = if error.code == "ConcurrentTransactions" {
                CONCURRENT
            } else {
                failures += 1;
                tracing::debug!(client.id = settings.client.as_str(), %error, "asking for a producer id again");
                settings.retry(failures - 1)
            };
            tokio::time::sleep(pause).await;
            continue;
        }
        match (&owner, known) {
            // Only a name can be lost to another.
            (Some(_), _) if error.class == Class::Fenced => return Some(Err(error)),
            (Some(name), None) if is(&error, ResponseError::TransactionalIdAuthorizationFailed) => {
                tracing::warn!(
                    client.id = settings.client.as_str(), transactional.id = %name,
                    "not allowed to WRITE on this transactional id: an earlier owner of the task that was cut off may still write late \
                     records; allow it (kafka-acls --add --allow-principal User:... --operation Write --transactional-id ...)"
                );
                owner = None;
            }
            // An old broker, or one that does not let us: order is kept by sending one batch at a time.
            (None, None) if is_refused(&error) => {
                tracing::warn!(client.id = settings.client.as_str(), %error, "producing without idempotence");
                return Some(Ok(Mode::Plain));
            }
            _ => return Some(Err(error)),
        }
    }
}

fn is(error: &Error, code: ResponseError) -> bool {
    crate::codes::meaning(code.code()).is_some_and(|(name, _)| name == error.code)
}

fn is_refused(error: &Error) -> bool {
    is(error, ResponseError::ClusterAuthorizationFailed) || error.code == "UNSUPPORTED_VERSION"
}

async fn once(cluster: &Cluster, settings: &Settings, owner: Option<&str>, known: Option<Mode>) -> Result<Identity> {
    let connection = match owner {
        Some(name) => {
            let broker = cluster.coordinator(Of::Transaction, name).await?;
            let connected = cluster.connection(broker, Purpose::Short).await;
            if connected.is_err() {
                cluster.forget_coordinator(Of::Transaction, name);
            }
            connected?
        }
        None => cluster.any().await?,
    };
    // With the epoch that is known the coordinator raises it only if nobody else did (KIP-360); without it, whatever it is.
    let (known, wanted) = match (owner, known) {
        (Some(_), Some(Mode::Named(identity))) => (identity, 3..=4),
        _ => (Identity { id: -1, epoch: -1 }, 0..=4),
    };
    let request = InitProducerIdRequest::default()
        .with_transactional_id(owner.map(|name| TransactionalId(StrBytes::from_string(name.to_owned()))))
        .with_transaction_timeout_ms(TRANSACTION_TIMEOUT_MS)
        .with_producer_id(known.id.into())
        .with_producer_epoch(known.epoch);
    let answer = connection
        .ask(&settings.client, &request, wanted, cluster.timing().request)
        .await;
    if let (Err(_), Some(name)) = (&answer, owner) {
        cluster.forget_coordinator(Of::Transaction, name);
    }
    let answer = answer?;
    if let Err(error) = check(WHAT, answer.error_code, None) {
        if let Some(name) = owner.filter(|_| error.is_retriable() && error.code != "ConcurrentTransactions") {
            cluster.forget_coordinator(Of::Transaction, name);
        }
        return Err(error);
    }
    Ok(Identity {
        id: answer.producer_id.0,
        epoch: answer.producer_epoch,
    })
}
