//! A connector's transforms, between it and its converters.

use crate::breaker::because;
use crate::policy::{ErrorPolicy, Failure, Stage, Tries};
use dray_connect::Result;
use dray_connect::backing::Backing;
use dray_connect::sink_batch::SinkRecordData;
use dray_connect::source_batch::{Body, SourceBatch};
use dray_transforms::{Chain, Input, Origin, Output};
use tokio_util::sync::CancellationToken;

/// A record that a transform refused, and what it had then.
#[derive(Debug)]
pub struct Refused {
    /// Its place in the batch.
    pub place: usize,
    /// What of it would have gone to Kafka.
    pub body: Body,
    /// Why.
    pub failure: Failure,
}

/// Runs the chain on a source's records, in place; encoded ones pass by. A record that fails retriably is tried again; one
/// that fails for good and is tolerated is dropped, reported through `failed`, and put into `refused`. Waits only between tries.
///
/// # Errors
/// The first failure that is not tolerated, or [`dray_connect::Error::Cancelled`] when `stop` ends a wait. The batch then
/// ends before that record.
pub async fn transform_source(
    batch: &mut SourceBatch,
    chain: &mut Chain,
    policy: &ErrorPolicy,
    refused: &mut Vec<Refused>,
    failed: &mut (dyn FnMut(&Failure) + Send),
    stop: &CancellationToken,
) -> Result<()> {
    if chain.is_empty() {
        return Ok(());
    }
    for place in 0..batch.len() {
        let mut tries = Tries::default();
        while let Err(failure) = transform_one(batch, place, chain) {
            let verdict = match tries.again(failure.stage, &failure.error, policy, stop).await {
                Ok(true) => continue,
                Ok(false) => {
                    failed(&failure);
                    policy.tolerate()
                }
                Err(stopped) => {
                    batch.truncate(place);
                    return Err(stopped);
                }
            };
            if let Err(verdict) = verdict {
                batch.truncate(place);
                return Err(because(verdict, failure.error));
            }
            let body = std::mem::replace(&mut batch.records_mut().0[place].body, Body::Dropped);
            refused.push(Refused { place, body, failure });
            break;
        }
    }
    Ok(())
}

fn transform_one(batch: &mut SourceBatch, place: usize, chain: &mut Chain) -> Result<(), Failure> {
    source_record(batch, place, |input, backing| apply(chain, input, backing))
}

/// Has one of a source's records transformed, in place.
///
/// # Errors
/// As `transform`; the record is then as it was.
#[inline]
pub(crate) fn source_record<E>(
    batch: &mut SourceBatch,
    place: usize,
    transform: impl FnOnce(Input<'_>, &mut Backing) -> Result<Option<Output>, E>,
) -> Result<(), E> {
    let (records, backing) = batch.records_mut();
    let record = &mut records[place];
    let Body::Data { key, value, headers } = &mut record.body else {
        return Ok(());
    };
    let input = Input {
        topic: record.topic,
        kafka_partition: record.kafka_partition,
        timestamp: record.timestamp,
        key: *key,
        value: *value,
        headers: headers.as_deref(),
        origin: Origin::Source,
    };
    let Some(output) = transform(input, backing)? else {
        record.body = Body::Dropped;
        return Ok(());
    };
    (*key, *value) = (output.key, output.value);
    if output.headers.is_some() {
        *headers = output.headers;
    }
    record.topic = output.topic;
    record.kafka_partition = output.kafka_partition;
    record.timestamp = output.timestamp;
    Ok(())
}

/// Runs the chain on a sink's record; none when it was dropped.
pub fn transform_sink(
    record: SinkRecordData,
    chain: &mut Chain,
    backing: &mut Backing,
) -> Result<Option<SinkRecordData>, Failure> {
    if chain.is_empty() {
        return Ok(Some(record));
    }
    sink_record(record, backing, |input, backing| apply(chain, input, backing))
}

/// Has a sink's record transformed; none when it was dropped.
///
/// # Errors
/// As `transform`.
#[inline]
pub(crate) fn sink_record<E>(
    mut record: SinkRecordData,
    backing: &mut Backing,
    transform: impl FnOnce(Input<'_>, &mut Backing) -> Result<Option<Output>, E>,
) -> Result<Option<SinkRecordData>, E> {
    let input = Input {
        topic: record.topic,
        kafka_partition: Some(record.partition),
        timestamp: record.timestamp,
        key: record.key,
        value: record.value,
        headers: record.headers.as_deref(),
        origin: Origin::Sink { offset: record.offset },
    };
    let Some(output) = transform(input, backing)? else {
        return Ok(None);
    };
    record.topic = output.topic;
    record.partition = output.kafka_partition.unwrap_or(record.partition);
    record.timestamp = output.timestamp;
    (record.key, record.value) = (output.key, output.value);
    if output.headers.is_some() {
        record.headers = output.headers;
    }
    Ok(Some(record))
}

fn apply(chain: &mut Chain, input: Input<'_>, backing: &mut Backing) -> Result<Option<Output>, Failure> {
    chain.apply(input, backing).map_err(|failure| Failure {
        stage: Stage::Transformation,
        class: failure.stage.class.into(),
        error: failure.error,
    })
}
