//! Reading partitions that are named, without a group: Java's `assign` and `seek`.

use super::{ClientConfig, FetchBatch, TopicId};
use crate::metrics::ClientMetrics;
use async_trait::async_trait;
use dray_connect::sink_batch::TopicPartition;
use dray_connect::source_batch::{BatchLimits, WholeBatch};
use std::sync::Arc;

/// What is to be read, and how.
#[derive(Clone, Debug)]
pub struct Assignment {
    /// Partitions, with where each begins. Without that, `auto.offset.reset` decides, as it does where the partition has not got that
    /// offset any more.
    pub partitions: Vec<(TopicPartition, Option<Start>)>,
    /// Bytes that are held ahead of the reader.
    pub prefetch: usize,
    /// Batches within these limits are wanted whole. A client that decodes every record (librdkafka) gives none.
    pub whole: Option<BatchLimits>,
}

/// Where a partition is read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// The first offset that is wanted.
    pub offset: i64,
    /// The topic that this offset was counted in, where that is known. When the topic has another id by now, it was deleted and created
    /// anew: the new one is read from its beginning. librdkafka does not tell ids and takes the offset for one of whichever topic has
    /// the name.
    pub topic_id: Option<TopicId>,
}

impl From<i64> for Start {
    /// An offset of whichever topic has the name.
    fn from(offset: i64) -> Self {
        Self { offset, topic_id: None }
    }
}

/// What a reader has to say.
#[derive(Debug)]
pub enum ReaderEvent {
    /// Records, in offset order within a partition.
    Records(FetchBatch),
    /// A whole batch, in its place among the records of its partition: all of it is wanted, it is of no aborted transaction where those
    /// are left out, and what is stored of it elsewhere reads the same.
    Batch(FetchedWhole),
    /// What follows of this partition is of the topic with this id; told before the first record of each. A second one for a partition
    /// says that its topic was deleted and created anew: it is read from its beginning (or it is an error, where `auto.offset.reset` is
    /// `none`), behind all that was read of the old one. Not told by librdkafka, nor by brokers that know no ids (before Kafka 3.1).
    Topic(TopicPartition, TopicId),
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
