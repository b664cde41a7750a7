//! What a sink task commits, and how far it is.

use super::Runner;
use crate::guard::{guarded, trace};
use dray_connect::connector::SinkOffsets;
use dray_connect::sink_batch::{SinkBatch, TopicPartition};
use dray_connect::{Error, Result};
use tokio::time::Instant;

impl Runner {
    /// Commits what the sink says is durable: of all partitions, or of some that are about to go.
    pub(super) async fn commit(&mut self, only: Option<&[TopicPartition]>) -> Result<()> {
        self.spare = SinkBatch::default();
        self.count_lag();
        let chosen = |partition: &TopicPartition| only.is_none_or(|only| only.contains(partition));
        let current: SinkOffsets = self
            .taken
            .iter()
            .filter(|(key, _)| chosen(key))
            .map(|(k, v)| (k.clone(), *v))
            .collect();
        if current.is_empty() || !self.gate.is_open() {
            return Ok(());
        }
        let safe = match guarded("preCommit", self.task.pre_commit(&current)).await {
            Ok(safe) => safe,
            Err(error) if only.is_some() => {
                tracing::warn!(error = %trace(&error), "flush failed while partitions were given up; their records come again");
                return Ok(());
            }
            Err(Error::Retriable { message, .. }) => {
                tracing::warn!(error = message, "flush failed; nothing is committed");
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let offsets: SinkOffsets = safe
            .into_iter()
            .filter(|(partition, offset)| current.get(partition).is_some_and(|taken| offset <= taken))
            .filter(|(partition, offset)| self.committed.get(partition) != Some(&Some(*offset)))
            .collect();
        if offsets.is_empty() || !self.gate.is_open() {
            return Ok(());
        }
        let begun = Instant::now();
        let answer = self.consumer.commit(&offsets).await;
        self.me.metrics.committed(begun.elapsed(), answer.is_ok());
        match answer {
            Ok(()) => {
                tracing::debug!(partitions = offsets.len(), "offsets are committed");
                self.committed
                    .extend(offsets.into_iter().map(|(partition, offset)| (partition, Some(offset))));
                self.count_uncommitted();
            }
            // As in Connect a failed commit does not fail the task: the next one covers it.
            Err(error) => {
                tracing::warn!(error = %error, "offsets could not be committed");
            }
        }
        Ok(())
    }

    /// Whether all that was taken is committed, and the ends of all partitions are known.
    pub(super) fn is_settled(&self) -> bool {
        let committed =
            |(partition, taken): (&TopicPartition, &i64)| self.committed.get(partition) == Some(&Some(*taken));
        self.taken.iter().all(committed) && self.consumer.ends().len() >= self.committed.len()
    }

    /// How far the ends of its partitions are. A partition of which nothing is known, of either, does not count.
    fn count_lag(&self) {
        let ends = self.consumer.ends();
        let behind = ends.iter().filter_map(|(partition, end)| {
            let reached = self.taken.get(partition).copied();
            let reached = reached.or_else(|| self.committed.get(partition).copied().flatten())?;
            Some((partition.clone(), u64::try_from(end - reached).unwrap_or(0)))
        });
        self.me.metrics.lags(behind.collect());
    }

    /// For each partition what was taken beyond what is committed; one without a committed offset counts once it has one.
    pub(super) fn count_uncommitted(&self) {
        let beyond = |(partition, taken): (&TopicPartition, &i64)| {
            let committed = self.committed.get(partition).copied().flatten()?;
            u64::try_from(taken - committed).ok()
        };
        self.me.metrics.uncommitted(self.taken.iter().filter_map(beyond).sum());
    }
}
