//! The powers that the runtime lends to connectors and tasks.

use crate::error::{Error, Result};
use crate::offset::{OffsetMap, SourcePartition};
use crate::sink_batch::{SinkRecord, TopicPartition};
use crate::source_batch::ShortCuts;
use async_trait::async_trait;
use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::mpsc;

/// Reads stored source offsets.
#[async_trait]
pub trait OffsetReader: Send + Sync {
    /// The stored offset of each partition, in the order asked; none where nothing is stored.
    async fn offsets(&self, partitions: &[SourcePartition]) -> Result<Vec<Option<OffsetMap>>>;
}

/// What a runtime lends to connectors that know it, by type, beyond the words of this crate.
pub type Loan = Arc<dyn Any + Send + Sync>;

/// What a connector instance may ask of the runtime.
#[derive(Debug)]
pub enum ConnectorRequest {
    /// Ask for task configurations again: the external system has changed.
    Reconfigure,
    /// The connector cannot go on.
    Fail(Error),
}

/// Lent to a connector at `start`.
#[derive(Clone)]
pub struct ConnectorContext {
    requests: mpsc::Sender<ConnectorRequest>,
    offsets: Option<Arc<dyn OffsetReader>>,
    loan: Option<Loan>,
}

impl ConnectorContext {
    /// A context that sends into `requests`; sources also read offsets.
    #[must_use]
    pub fn new(requests: mpsc::Sender<ConnectorRequest>, offsets: Option<Arc<dyn OffsetReader>>) -> Self {
        Self {
            requests,
            offsets,
            loan: None,
        }
    }

    /// The same with a loan.
    #[must_use]
    pub fn lending(mut self, loan: Option<Loan>) -> Self {
        self.loan = loan;
        self
    }

    /// What the runtime lends, if it is a `T`.
    #[must_use]
    pub fn lent<T: Any>(&self) -> Option<&T> {
        self.loan.as_deref()?.downcast_ref()
    }

    /// Asks the runtime to call `task_configs` again. Requests that are not yet served are merged.
    pub fn request_task_reconfiguration(&self) {
        // A full queue already holds a request that will see the newest state.
        drop(self.requests.try_send(ConnectorRequest::Reconfigure));
    }

    /// Makes the connector FAILED with this error. Cancel-safe.
    pub async fn raise_error(&self, error: Error) {
        // A closed queue means that the connector is being shut down: its failure interests nobody.
        drop(self.requests.send(ConnectorRequest::Fail(error)).await);
    }

    /// Stored offsets; sources only.
    #[must_use]
    pub fn offset_reader(&self) -> Option<&Arc<dyn OffsetReader>> {
        self.offsets.as_ref()
    }
}

/// Lent to a source task at `start`.
#[derive(Clone)]
pub struct SourceTaskContext {
    offsets: Arc<dyn OffsetReader>,
    short_cuts: ShortCuts,
    loan: Option<Loan>,
}

impl SourceTaskContext {
    /// A context over an offset reader, without short cuts.
    #[must_use]
    pub fn new(offsets: Arc<dyn OffsetReader>) -> Self {
        Self {
            offsets,
            short_cuts: ShortCuts::default(),
            loan: None,
        }
    }

    /// The same with short cuts.
    #[must_use]
    pub fn allowing(mut self, short_cuts: ShortCuts) -> Self {
        self.short_cuts = short_cuts;
        self
    }

    /// The same with a loan.
    #[must_use]
    pub fn lending(mut self, loan: Option<Loan>) -> Self {
        self.loan = loan;
        self
    }

    /// What is the same for Kafka whichever way this task's records take. They hold until the task is stopped.
    #[must_use]
    pub fn short_cuts(&self) -> ShortCuts {
        self.short_cuts
    }

    /// What the runtime lends, if it is a `T`.
    #[must_use]
    pub fn lent<T: Any>(&self) -> Option<&T> {
        self.loan.as_deref()?.downcast_ref()
    }

    /// Stored offsets.
    #[must_use]
    pub fn offset_reader(&self) -> &Arc<dyn OffsetReader> {
        &self.offsets
    }
}

/// What a sink task has asked for since the runtime last looked.
#[derive(Debug, Default)]
pub struct SinkRequests {
    /// Partitions to read again from an offset.
    pub rewind: BTreeMap<TopicPartition, i64>,
    /// How long to wait before the next `put` of a batch that was refused as retriable.
    pub timeout: Option<Duration>,
    /// Commit soon.
    pub commit: bool,
    /// Partitions that the task has paused.
    pub paused: BTreeSet<TopicPartition>,
    /// Records of the current batch that the task could not write: place in the fetch and reason.
    pub errant: Vec<(usize, Error)>,
}

#[derive(Debug, Default)]
struct SinkShared {
    requests: SinkRequests,
    assignment: BTreeSet<TopicPartition>,
}

/// Lent to a sink task at `start`.
#[derive(Clone, Debug)]
pub struct SinkTaskContext {
    shared: Arc<Mutex<SinkShared>>,
    reports_errant_records: bool,
}

impl SinkTaskContext {
    /// A context; `reports_errant_records` says whether a dead letter queue or error log is configured (KIP-610).
    #[must_use]
    pub fn new(reports_errant_records: bool) -> Self {
        Self {
            shared: Arc::default(),
            reports_errant_records,
        }
    }

    /// Reads the partition again from `offset`.
    pub fn offset(&self, partition: TopicPartition, offset: i64) {
        self.lock().requests.rewind.insert(partition, offset);
    }

    /// Sets the wait before the next attempt of a refused batch.
    pub fn timeout(&self, wait: Duration) {
        self.lock().requests.timeout = Some(wait);
    }

    /// Asks for an offset commit soon.
    pub fn request_commit(&self) {
        self.lock().requests.commit = true;
    }

    /// The partitions of this task.
    #[must_use]
    pub fn assignment(&self) -> Vec<TopicPartition> {
        self.lock().assignment.iter().cloned().collect()
    }

    /// Stops delivery from partitions of this task.
    ///
    /// # Errors
    /// When one of them is not assigned to this task.
    pub fn pause(&self, partitions: &[TopicPartition]) -> Result<()> {
        let mut shared = self.lock();
        if !partitions.iter().all(|partition| shared.assignment.contains(partition)) {
            return Err(Error::connect(
                "SinkTasks may not pause partitions that are not currently assigned to them.",
            ));
        }
        shared.requests.paused.extend(partitions.iter().cloned());
        Ok(())
    }

    /// Goes on with delivery.
    ///
    /// # Errors
    /// When one of them is not assigned to this task.
    pub fn resume(&self, partitions: &[TopicPartition]) -> Result<()> {
        let mut shared = self.lock();
        if !partitions.iter().all(|partition| shared.assignment.contains(partition)) {
            return Err(Error::connect(
                "SinkTasks may not resume partitions that are not currently assigned to them.",
            ));
        }
        for partition in partitions {
            shared.requests.paused.remove(partition);
        }
        Ok(())
    }

    /// The errant record reporter (KIP-610); none when neither a dead letter queue nor the error log is configured.
    #[must_use]
    pub fn errant_record_reporter(&self) -> Option<ErrantRecordReporter<'_>> {
        self.reports_errant_records
            .then_some(ErrantRecordReporter { context: self })
    }

    /// For the runtime: what was asked since the last call. Paused partitions stay.
    #[must_use]
    pub fn take_requests(&self) -> SinkRequests {
        let mut shared = self.lock();
        let paused = shared.requests.paused.clone();
        std::mem::replace(
            &mut shared.requests,
            SinkRequests {
                paused,
                ..SinkRequests::default()
            },
        )
    }

    /// For the runtime: the partitions that the task itself keeps paused.
    #[must_use]
    pub fn paused(&self) -> BTreeSet<TopicPartition> {
        self.lock().requests.paused.clone()
    }

    /// For the runtime: the wait that the task asked for, if it did.
    #[must_use]
    pub fn take_timeout(&self) -> Option<Duration> {
        self.lock().requests.timeout.take()
    }

    /// For the runtime: the partitions that the task has now.
    pub fn set_assignment(&self, assignment: BTreeSet<TopicPartition>) {
        let mut shared = self.lock();
        shared
            .requests
            .paused
            .retain(|partition| assignment.contains(partition));
        shared.assignment = assignment;
    }

    fn lock(&self) -> MutexGuard<'_, SinkShared> {
        // Held for a few lines that cannot panic; a poisoned state is still whole.
        self.shared.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Reports records that the sink could not write; they become dead letters.
#[derive(Debug)]
pub struct ErrantRecordReporter<'a> {
    context: &'a SinkTaskContext,
}

impl ErrantRecordReporter<'_> {
    /// Reports a record of the batch being put. Its offset is committed only once its dead letter is acknowledged.
    pub fn report(&self, record: SinkRecord<'_>, error: Error) {
        self.context.lock().requests.errant.push((record.fetched(), error));
    }
}
