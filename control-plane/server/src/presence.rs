//! The replica's own key, which goes when the replica does: for discovery.

use crate::codec;
use dray_model::record::ReplicaRecord;
use dray_process::chain;
use dray_store::keys::{Keys, Name};
use dray_store::{LeaseKind, MetadataStore, Txn};
use std::time::Duration;

/// How long the key outlives the replica.
const TTL: Duration = Duration::from_secs(15);
/// How often the lease is kept alive, and tried again.
const EVERY: Duration = Duration::from_secs(5);

/// Keeps the key. Never returns; `end` takes the key away.
pub(crate) async fn keep(store: &dyn MetadataStore, keys: &Keys, replica: &str, record: &ReplicaRecord) {
    let key = keys.key(&Name::Replica(replica.into()));
    loop {
        if let Err(error) = announce(store, &key, record).await {
            tracing::warn!(error = %chain(error.as_ref()), "could not keep this replica's key");
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Until the lease is lost.
async fn announce(
    store: &dyn MetadataStore,
    key: &dray_store::Key,
    record: &ReplicaRecord,
) -> Result<(), dray_store::BoxError> {
    let value = codec::encode_replica(record)?;
    let lease = store.grant(TTL, LeaseKind::Process).await?;
    store.txn(Txn::new().put_leased(key, value, lease.id)).await?;
    loop {
        tokio::time::sleep(EVERY).await;
        match store.keep_alive(lease.id).await {
            Ok(()) => {}
            Err(error) if error.is_retryable() => {
                tracing::warn!(error = %chain(&error), "this replica's lease was not kept alive")
            }
            Err(error) => return Err(error.into()),
        }
    }
}
