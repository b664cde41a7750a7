//! Who leads: the candidate that put the leader's key while there was none, for as long as its lease lives.

use crate::error::Error;
use crate::key::Key;
use crate::store::{Lease, LeaseKind, MetadataStore};
use crate::txn::{Txn, TxnOutcome};
use crate::types::{LeaseId, Read, Revision, Value};
use crate::watch::WatchEvent;
use futures::future::BoxFuture;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long a candidate waits after a store that does not answer. Short beside the 5 s of a leader's lease.
const RETRY: Duration = Duration::from_millis(200);
/// Keep-alives in a time to live. With 5 s and attempts of 1 s, a store that answers nobody for 3 s costs no leadership.
const RENEWALS: u32 = 5;

/// The proof of having been elected. It says when the lease was lost; that nobody else leads at this moment, only a transaction with
/// the compare [`Txn::if_created`] of the key at the term can say.
pub struct Leadership {
    store: Arc<dyn MetadataStore>,
    key: Key,
    term: Revision,
    lease: Lease,
    /// When the last keep-alive that succeeded was sent.
    renewed: Instant,
    /// When the one on its way was sent. Kept here, so that `lost` can be dropped and called again.
    renewing: Option<(Instant, BoxFuture<'static, Result<(), Error>>)>,
}

/// Waits until no key is there, puts it with a lease, and leads. Dropping the future gives up; a lease that it left behind ends by
/// itself. Fails only with what waiting does not cure.
pub async fn campaign(
    store: &Arc<dyn MetadataStore>,
    key: &Key,
    value: Value,
    ttl: Duration,
) -> Result<Leadership, Error> {
    loop {
        match attempt(store, key, &value, ttl).await {
            Ok(Some(leadership)) => return Ok(leadership),
            // Its lease ran out while we waited for an answer: with a new one.
            Ok(None) | Err(Error::LeaseNotFound { .. } | Error::Compacted { .. }) => {}
            Err(error) if error.is_retryable() || error.is_unknown() => tokio::time::sleep(RETRY).await,
            Err(error) => return Err(error),
        }
    }
}

/// Waits for the key to go, then tries once. `None` when somebody else was faster.
async fn attempt(
    store: &Arc<dyn MetadataStore>,
    key: &Key,
    value: &Value,
    ttl: Duration,
) -> Result<Option<Leadership>, Error> {
    wait_until_absent(store, key).await?;
    // The lease's time runs at the store from some moment after this one.
    let renewed = Instant::now();
    let lease = store.grant(ttl, LeaseKind::Process).await?;
    let elected = match store
        .txn(Txn::new().if_absent(key).put_leased(key, value.clone(), lease.id))
        .await
    {
        Ok(TxnOutcome::Committed(revision)) => Some(revision),
        // Unknown is not elected, either: the revocation takes the key away, or the transaction's lease, should it still be on its way.
        Ok(TxnOutcome::Conflict { .. }) | Err(Error::Unknown { .. }) => None,
        Err(error) => return Err(error),
    };
    let Some(term) = elected else {
        store.revoke(lease.id).await?;
        return Ok(None);
    };
    Ok(Some(Leadership {
        store: store.clone(),
        key: key.clone(),
        term,
        lease,
        renewed,
        renewing: None,
    }))
}

async fn wait_until_absent(store: &Arc<dyn MetadataStore>, key: &Key) -> Result<(), Error> {
    loop {
        let found = store.get(key, Read::Linearizable).await?;
        if found.value.is_none() {
            return Ok(());
        }
        let mut watch = store.watch(&key.only(), found.revision).await?;
        while let Some(event) = watch.next().await {
            match event? {
                // Beats of the leader too. The value is read again in any case: cheap, once a second.
                WatchEvent::Batch { .. } | WatchEvent::Compacted { .. } => break,
                WatchEvent::Progress { .. } => {}
            }
        }
    }
}

impl Leadership {
    /// The create_revision of the leader's key: every write of this leader compares with it. Later leaders have larger ones.
    #[must_use]
    pub fn term(&self) -> Revision {
        self.term
    }

    /// The lease, which has to hang on the key whenever the leader puts it again.
    #[must_use]
    pub fn lease(&self) -> LeaseId {
        self.lease.id
    }

    /// Keeps the lease alive **while it is awaited**, and returns when the lease is lost: when the store says so, or when no keep-alive
    /// succeeded for a whole time to live. Whoever does not await it loses the lease, and that is meant. It may be dropped and
    /// called again.
    ///
    /// The clock is tokio's, which may stand still while the machine sleeps. It is not the answer to "may I act now?": that is the
    /// leader's own beat, counted from when it was sent.
    pub async fn lost(&mut self) {
        let every = self.lease.ttl / RENEWALS;
        loop {
            let end = self.renewed + self.lease.ttl;
            if Instant::now() >= end {
                return;
            }
            if let Some((sent, renewing)) = &mut self.renewing {
                let sent = *sent;
                let Ok(answer) = tokio::time::timeout_at(end, renewing).await else {
                    return;
                };
                self.renewing = None;
                match answer {
                    Ok(()) => self.renewed = sent,
                    Err(Error::LeaseNotFound { .. }) => return,
                    Err(error) => {
                        tracing::warn!(key = %self.key, %error, "could not keep the leader's lease alive");
                        tokio::time::sleep_until(end.min(Instant::now() + RETRY)).await;
                        self.renew();
                    }
                }
                continue;
            }
            tokio::time::sleep_until(self.renewed + every).await;
            self.renew();
        }
    }

    fn renew(&mut self) {
        let (store, lease) = (self.store.clone(), self.lease.id);
        self.renewing = Some((Instant::now(), Box::pin(async move { store.keep_alive(lease).await })));
    }

    /// Gives the leadership up at once: the lease ends, and the key goes with it.
    pub async fn resign(self) -> Result<(), Error> {
        self.store.revoke(self.lease.id).await
    }
}

impl fmt::Debug for Leadership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leadership")
            .field("term", &self.term)
            .field("lease", &self.lease)
            .finish_non_exhaustive()
    }
}
