//! Reading partitions that are named, without a group: Java's `assign` and `seek`.

use super::{ClientConfig, FetchBatch};
use crate::metrics::ClientMetrics;
use async_trait::async_trait;
use dray_connect::sink_batch::TopicPartition;
use dray_connect::source_batch::{BatchLimits, WholeBatch};
use std::sync::Arc;

/// What is to be read, and how.
#[derive(Clone, Debug)]
pub struct Assignment {
    /// Partitions, with the first offset that is wanted. Without one, `auto.offset.reset` decides, as it does where the partition has
    /// not got that offset any more.
    pub partitions: Vec<(TopicPartition, Option<i64>)>,
    /// Bytes that are held ahead of the reader.
    pub prefetch: usize,
    /// Batches within these limits are wanted whole. A client that decodes every record (librdkafka) gives none.
    pub whole: Option<BatchLimits>,
}

/// What a reader has to say.
#[derive(Debug)]
pub enum ReaderEvent {
    /// Records, in offset order within a partition.
    Records(FetchBatch),
    /// A whole batch, in its place among the records of its partition: all of it is wanted, it is of no aborted transaction where those
    /// are left out, and what is stored of it elsewhere reads the same.
    Batch(FetchedWhole),
    /// Something went wrong. After a retriable error the reader goes on by itself; it is told again while it lasts, not each time.
    Error(crate::Error),
}

/// A whole batch and where it was.
#[derive(Debug)]
pub struct FetchedWhole {
    /// Topic.
    pub topic: Arc<str>,
    /// Partition.
    pub partition: i32,
    /// The offset of its last record.
    pub last_offset: i64,
    /// The batch.
    pub batch: WholeBatch,
}

/// Reads partitions. Dropping it ends that.
#[async_trait]
pub trait Reader: Send {
    /// The next event; waits for ever when nothing happens. Cancel-safe.
    async fn next(&mut self) -> ReaderEvent;

    /// The next event, if it is there.
    fn try_next(&mut self) -> Option<ReaderEvent>;

    /// What it measures; none of a client that does not tell (librdkafka).
    fn metrics(&self) -> Option<ClientMetrics> {
        None
    }
}

/// The Kafka clients that a runtime lends to connectors: how a connector that reads or writes a Kafka of its own reaches it.
#[derive(Clone)]
pub struct Clients {
    /// Makes clients of any cluster.
    pub port: Arc<dyn super::KafkaPort>,
    /// Settings of an admin client of the cluster that sources write to.
    pub admin: ClientConfig,
}
