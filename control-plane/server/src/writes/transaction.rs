//! One transaction, until its outcome is known.

use super::{Pending, put_value};
use crate::codec;
use bytes::Bytes;
use dray_machine::cluster::{Name, Revision as Modified};
use dray_store::keys::{self, Keys};
use dray_store::{BoxError, Check, Entry, Key, MAX_OPS, MAX_TXN_BYTES, MetadataStore, Op, Revision, Txn, TxnOutcome};
use std::sync::Arc;
use std::time::Duration;

/// The pause after the first attempt that failed, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

/// What has become of a transaction.
#[derive(Debug)]
pub(super) enum Fate {
    /// At this revision, or before it and after all that its compares say.
    Applied(Revision),
    /// Never: some of these were not as expected.
    Conflict {
        revision: Revision,
        found: Vec<(Name, Modified)>,
    },
    /// Never, for another reason.
    Refused(BoxError),
    /// The term is over.
    NotLeader,
}

pub(super) struct Transaction {
    pub(super) store: Arc<dyn MetadataStore>,
    pub(super) keys: Keys,
    pub(super) term: Revision,
    pub(super) txn: Txn,
}

/// What came back in the end.
enum Answer {
    Committed(Revision),
    /// The leader's key is as it should be; the others in the order of the compares.
    Conflict(Revision, Vec<Option<Entry>>),
}

impl Transaction {
    pub(super) async fn carry_out(&self, batch: &[Pending]) -> Fate {
        self.try_to(batch).await.unwrap_or_else(|fate| fate)
    }

    async fn try_to(&self, batch: &[Pending]) -> Result<Fate, Fate> {
        for pending in batch {
            if let Some(error) = &pending.unfit {
                return Err(Fate::Refused(error.clone().into()));
            }
            self.write_parts(&pending.parts).await?;
        }
        let mut guarded = self.guard();
        guarded.compares.extend(self.txn.compares.iter().cloned());
        guarded.ops.clone_from(&self.txn.ops);
        let (answer, doubtful) = self.until_known(guarded).await?;
        Ok(match answer {
            Answer::Committed(revision) => Fate::Applied(revision),
            Answer::Conflict(revision, current) => match self.applied_before(batch, revision, &current) {
                Some(applied) if doubtful => Fate::Applied(applied),
                _ => Fate::Conflict {
                    revision,
                    found: found(batch, &self.txn, &current),
                },
            },
        })
    }

    /// The parts of a large task set. They are named after what they hold: written twice, they are the same.
    async fn write_parts(&self, parts: &[(Key, Bytes)]) -> Result<(), Fate> {
        let mut rest = parts;
        while !rest.is_empty() {
            let mut txn = self.guard();
            while let Some(((key, bytes), after)) = rest.split_first() {
                let more = txn.clone().put(key, bytes.clone());
                if !txn.ops.is_empty() && (more.ops.len() > MAX_OPS || more.bytes() > MAX_TXN_BYTES) {
                    break;
                }
                txn = more;
                rest = after;
            }
            self.until_known(txn).await?;
        }
        Ok(())
    }

    /// Only under the leader's term.
    fn guard(&self) -> Txn {
        Txn::new().if_created(&self.keys.key(&keys::Name::Leader), self.term)
    }

    /// Sends the same until something comes back; and whether there was an attempt whose outcome nobody knows.
    async fn until_known(&self, txn: Txn) -> Result<(Answer, bool), Fate> {
        let mut pause = PAUSES.0;
        let mut doubtful = false;
        loop {
            match self.store.txn(txn.clone()).await {
                Ok(TxnOutcome::Committed(revision)) => return Ok((Answer::Committed(revision), doubtful)),
                Ok(TxnOutcome::Conflict { revision, mut current }) => {
                    let leader = (!current.is_empty()).then(|| current.remove(0)).flatten();
                    if leader.is_none_or(|leader| leader.create_revision != self.term) {
                        return Err(Fate::NotLeader);
                    }
                    return Ok((Answer::Conflict(revision, current), doubtful));
                }
                Err(error) if error.is_unknown() => {
                    doubtful = true;
                    tracing::warn!(%error, "sending a write of the leader again");
                }
                Err(error) if error.is_retryable() => tracing::warn!(%error, "sending a write of the leader again"),
                Err(error) => return Err(Fate::Refused(error.into())),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    /// Whether an earlier attempt was applied, and when: it stands in one of the records, or what it removes is gone, as within the term
    /// nobody else removes anything.
    fn applied_before(&self, batch: &[Pending], now: Revision, current: &[Option<Entry>]) -> Option<Revision> {
        let mut overwritten = None;
        for (compare, entry) in self.txn.compares.iter().zip(current) {
            let put = put_value(batch, &compare.key);
            match (put, entry) {
                (Some((_, value)), Some(entry)) if entry.value == value => return Some(entry.mod_revision),
                // Somebody has changed what we wrote, and left it as ours: an operator's decision about an agent.
                (Some((write, _)), Some(entry))
                    if codec::written_by(&self.keys, entry) == Some((self.term, write.id)) =>
                {
                    let before = Revision::new(entry.mod_revision.get().saturating_sub(1));
                    overwritten = overwritten.max(Some(before));
                }
                (None, None) if self.deletes(&compare.key) && compare.check != Check::Modified(Revision::NEVER) => {
                    overwritten = overwritten.max(Some(now));
                }
                _ => {}
            }
        }
        overwritten
    }

    fn deletes(&self, key: &Key) -> bool {
        self.txn
            .ops
            .iter()
            .any(|op| matches!(op, Op::Delete(range) if range.contains(key)))
    }
}

/// What the compared records are, by name.
fn found(batch: &[Pending], txn: &Txn, current: &[Option<Entry>]) -> Vec<(Name, Modified)> {
    let name = |key: &Key| {
        batch.iter().find_map(|pending| {
            let at = pending.txn.compares.iter().position(|compare| compare.key == *key)?;
            Some(pending.write.compares.get(at)?.0.clone())
        })
    };
    let revision = |entry: &Option<Entry>| entry.as_ref().map_or(0, |entry| entry.mod_revision.get());
    txn.compares
        .iter()
        .zip(current)
        .filter_map(|(compare, entry)| Some((name(&compare.key)?, Modified(revision(entry)))))
        .collect()
}
