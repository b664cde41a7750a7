//! The record of the cluster itself: made by the first replica, and given the worker configuration of whoever has another one.

use crate::codec;
use dray_machine::cluster::Record;
use dray_model::record::ClusterMeta;
use dray_model::{AgentNumber, ConfigMap};
use dray_store::keys::{Keys, Name};
use dray_store::{Error, MetadataStore, Read, Txn, TxnOutcome};
use dray_wire::store::{Rest, decode};
use std::sync::Arc;

/// Why the cluster's record is not as it should be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MetaError {
    #[error("could not write the cluster's record")]
    Store(#[source] Error),
    #[error("the cluster's record cannot be read or written")]
    Record(#[source] codec::Error),
    #[error("the cluster's record says `{found}`, and this replica belongs to `{cluster}`")]
    OtherCluster { found: String, cluster: String },
}

/// Makes sure that the record is there and has this worker configuration, if there is one.
pub(crate) async fn ensure(
    store: &dyn MetadataStore,
    keys: &Keys,
    cluster: &str,
    worker: Option<&ConfigMap>,
) -> Result<(), MetaError> {
    let key = keys.key(&Name::Meta);
    loop {
        let found = store.get(&key, Read::Linearizable).await.map_err(MetaError::Store)?;
        let (meta, rest, seen) = match found.value {
            Some(entry) => {
                let (mut meta, rest) = decode::<ClusterMeta>(&entry.value).map_err(MetaError::Record)?;
                if meta.cluster != cluster {
                    let (found, cluster) = (meta.cluster, cluster.into());
                    return Err(MetaError::OtherCluster { found, cluster });
                }
                match worker {
                    Some(worker) if *worker != *meta.worker => meta.worker = Arc::new(worker.clone()),
                    Some(_) | None => return Ok(()),
                }
                (meta, rest, entry.mod_revision)
            }
            None => {
                let meta = ClusterMeta {
                    cluster: cluster.into(),
                    epoch: 0,
                    next_agent: AgentNumber::try_from(1).expect("1 is not 0"),
                    worker: Arc::new(worker.cloned().unwrap_or_default()),
                    written: None,
                };
                (meta, Rest::default(), dray_store::Revision::NEVER)
            }
        };
        let encoded = codec::encode(&Record::Meta(meta), &rest).map_err(MetaError::Record)?;
        match store
            .txn(Txn::new().if_modified(&key, seen).put(&key, encoded.value))
            .await
        {
            Ok(TxnOutcome::Committed(revision)) => {
                tracing::info!(%revision, "the cluster's record is written");
                return Ok(());
            }
            // Somebody else was faster, or nobody knows: look again.
            Ok(TxnOutcome::Conflict { .. }) => {}
            Err(error) if error.is_unknown() => {}
            Err(error) => return Err(MetaError::Store(error)),
        }
    }
}
