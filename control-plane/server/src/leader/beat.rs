//! The leader's beat: a committed write on its own key every second. Only that proves that it leads; a lease that is kept alive does
//! not, as a member of etcd that was deposed may still answer.

use crate::clock;
use crate::codec;
use dray_model::Millis;
use dray_model::record::LeaderRecord;
use dray_process::chain;
use dray_store::{Error, Key, LeaseId, MetadataStore, Revision, Txn, TxnOutcome};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

/// How often.
const EVERY: Duration = Duration::from_secs(1);
/// How long a leader trusts itself after sending a beat that succeeded: T_leader of design (c).
const TRUST_MS: u64 = 4_000;
/// How long to wait after a beat that failed.
const RETRY: Duration = Duration::from_millis(200);

pub(super) struct Beat<'a> {
    pub(super) store: &'a dyn MetadataStore,
    pub(super) key: Key,
    pub(super) term: Revision,
    pub(super) lease: LeaseId,
    pub(super) record: LeaderRecord,
}

impl Beat<'_> {
    /// Until when the leader may act.
    pub(super) fn channel() -> (watch::Sender<Millis>, watch::Receiver<Millis>) {
        watch::channel(Millis(0))
    }

    /// Beats until the term is lost.
    pub(super) async fn run(&self, valid: watch::Sender<Millis>) {
        let mut every = tokio::time::interval(EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut record = self.record.clone();
        loop {
            every.tick().await;
            record.beats += 1;
            let value = match codec::encode_leader(&record) {
                Ok(value) => value,
                Err(error) => return tracing::error!(error = %chain(&error), "cannot write the leader's beat"),
            };
            loop {
                let txn = Txn::new()
                    .if_created(&self.key, self.term)
                    .put_leased(&self.key, value.clone(), self.lease);
                let sent = clock::now();
                match self.store.txn(txn).await {
                    Ok(TxnOutcome::Committed(_)) => {
                        valid.send_replace(sent.plus(TRUST_MS));
                        break;
                    }
                    Ok(TxnOutcome::Conflict { .. }) | Err(Error::LeaseNotFound { .. }) => return,
                    // The same beat twice is one beat.
                    Err(error) => {
                        tracing::warn!(term = %self.term, error = %chain(&error), "could not write the leader's beat");
                        tokio::time::sleep(RETRY).await;
                    }
                }
            }
        }
    }
}
