//! Runs the written obligations of source and sink tasks against any connector, with fakes in memory.

use crate::config::ConfigMap;
use crate::connector::{SinkOffsets, SinkTask, SourceTask};
use crate::context::{Loan, OffsetReader, SinkTaskContext, SourceTaskContext};
use crate::error::Result;
use crate::offset::{OffsetMap, SourcePartition};
use crate::sink_batch::{SinkBatch, TopicPartition};
use crate::source_batch::{Body, SourceBatch};
use async_trait::async_trait;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How long a task may take for the records that a check expects.
const PATIENCE: Duration = Duration::from_secs(30);
/// Restarts that a check makes at most, spread over the records.
const RESTARTS: usize = 20;

/// Stored offsets in memory: what a task finds at `start`.
#[derive(Debug, Default)]
pub struct StoredOffsets(pub Vec<(SourcePartition, OffsetMap)>);

#[async_trait]
impl OffsetReader for StoredOffsets {
    async fn offsets(&self, partitions: &[SourcePartition]) -> Result<Vec<Option<OffsetMap>>> {
        let stored = |wanted: &SourcePartition| {
            let found = self.0.iter().rev().find(|(partition, _)| partition == wanted);
            found.map(|(_, offset)| offset.clone())
        };
        Ok(partitions.iter().map(stored).collect())
    }
}

/// A record as a check compares it: topic, key and value in debug form, and its place.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    what: String,
    partition: SourcePartition,
    offset: OffsetMap,
}

/// Checks a source task that has exactly `expected` records to give from its beginning:
/// - read again, and read with `poll` dropped at any moment, it gives the same records in the same order;
/// - started at the offset of any record, it gives exactly the records after it;
/// - `stop` succeeds after reading, and without a `start`.
///
/// # Errors
/// Names the obligation that does not hold.
pub async fn check_source(
    make: impl Fn() -> Box<dyn SourceTask>,
    config: &ConfigMap,
    expected: usize,
) -> Result<(), String> {
    check_source_lent(make, config, expected, None).await
}

/// The same for a task that is lent something.
///
/// # Errors
/// Names the obligation that does not hold.
pub async fn check_source_lent(
    make: impl Fn() -> Box<dyn SourceTask>,
    config: &ConfigMap,
    expected: usize,
    loan: Option<Loan>,
) -> Result<(), String> {
    make()
        .stop()
        .await
        .map_err(|error| format!("stop without start failed: {error}"))?;
    let first = read(make(), (config, &loan), Vec::new(), expected, PATIENCE).await?;
    let cancelled = read(
        make(),
        (config, &loan),
        Vec::new(),
        expected,
        Duration::from_micros(200),
    )
    .await?;
    if let Some(place) = (0..expected).find(|&place| first[place] != cancelled[place]) {
        return Err(format!(
            "poll is not cancel-safe: record {place} is {:?} and then {:?}",
            first[place], cancelled[place]
        ));
    }
    for place in (0..expected).step_by((expected / RESTARTS).max(1)) {
        // Of every source partition the last offset up to here, as the runtime would have committed it.
        let stored = first[..=place]
            .iter()
            .map(|seen| (seen.partition.clone(), seen.offset.clone()))
            .collect();
        let rest = read(make(), (config, &loan), stored, expected - place - 1, PATIENCE).await?;
        if rest != first[place + 1..] {
            return Err(format!(
                "a start at {} does not go on after record {place}",
                first[place].offset.to_json()
            ));
        }
    }
    Ok(())
}

/// Reads `expected` records; each `poll` is dropped after `patience`, and called again while time is left.
async fn read(
    mut task: Box<dyn SourceTask>,
    (config, loan): (&ConfigMap, &Option<Loan>),
    stored: Vec<(SourcePartition, OffsetMap)>,
    expected: usize,
    patience: Duration,
) -> Result<Vec<Seen>, String> {
    let context = SourceTaskContext::new(Arc::new(StoredOffsets(stored))).lending(loan.clone());
    task.start(context, config)
        .await
        .map_err(|error| format!("start failed: {error}"))?;
    let deadline = Instant::now() + PATIENCE;
    let mut seen = Vec::new();
    let mut batch = SourceBatch::new();
    while seen.len() < expected {
        if Instant::now() > deadline {
            return Err(format!(
                "only {} of {expected} records came within {PATIENCE:?}",
                seen.len()
            ));
        }
        batch.clear();
        // A time-out drops the call in the middle; what it had pushed by then stays in the batch.
        if let Ok(Err(error)) = timeout_at(Instant::now() + patience, task.poll(&mut batch)).await {
            return Err(format!("poll failed: {error}"));
        }
        seen.extend(batch.records().iter().map(|record| {
            let what = match &record.body {
                Body::Data { key, value, .. } => format!("{:?} {:?}", batch.view(key).1, batch.view(value).1),
                Body::Encoded { key, value, .. } => {
                    let bytes = |span: &Option<_>| span.map(|span| batch.backing().bytes(span).to_vec());
                    format!("{:?} {:?}", bytes(key), bytes(value))
                }
                Body::Dropped => "dropped".to_owned(),
                Body::Passed(id) => format!("{:?}", batch.whole(*id)),
            };
            Seen {
                what: format!("{} {what}", batch.topic_name(record.topic)),
                partition: batch.source_partitions()[record.source_partition.index()].clone(),
                offset: record.source_offset.to_map(),
            }
        }));
    }
    task.stop().await.map_err(|error| format!("stop failed: {error}"))?;
    if seen.len() > expected {
        return Err(format!("{} records came, {expected} were expected", seen.len()));
    }
    Ok(seen)
}

/// Checks a sink task with a batch of records of one partition:
/// - it takes an empty batch, and records;
/// - `pre_commit` answers only partitions that it was asked for, and never beyond what was put;
/// - `close` and `stop` succeed, and so does `stop` without a `start`.
///
/// # Errors
/// Names the obligation that does not hold.
pub async fn check_sink(
    make: impl Fn() -> Box<dyn SinkTask>,
    config: &ConfigMap,
    batch: &SinkBatch,
) -> Result<(), String> {
    make()
        .stop()
        .await
        .map_err(|error| format!("stop without start failed: {error}"))?;
    let mut task = make();
    task.start(SinkTaskContext::new(true), config)
        .await
        .map_err(|error| format!("start failed: {error}"))?;
    let next = |record: crate::sink_batch::SinkRecord<'_>| {
        let partition = TopicPartition {
            topic: record.topic().clone(),
            partition: record.partition(),
        };
        (partition, record.offset() + 1)
    };
    let offsets: SinkOffsets = batch.iter().map(next).collect();
    let partitions: Vec<TopicPartition> = offsets.keys().cloned().collect();
    task.open(&partitions)
        .await
        .map_err(|error| format!("open failed: {error}"))?;
    task.put(&SinkBatch::default())
        .await
        .map_err(|error| format!("put of an empty batch failed: {error}"))?;
    task.put(batch).await.map_err(|error| format!("put failed: {error}"))?;
    let safe = task
        .pre_commit(&offsets)
        .await
        .map_err(|error| format!("pre_commit failed: {error}"))?;
    if let Some((partition, offset)) = safe
        .iter()
        .find(|(partition, offset)| offsets.get(partition).is_none_or(|put| *offset > put))
    {
        return Err(format!(
            "pre_commit answered {offset} for {partition}, beyond what was put"
        ));
    }
    task.close(&partitions)
        .await
        .map_err(|error| format!("close failed: {error}"))?;
    task.stop().await.map_err(|error| format!("stop failed: {error}"))
}
