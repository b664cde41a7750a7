//! The way of a source batch to Kafka's bytes: converters, in Connect's order (header, key, value).

use crate::ledger::{Ledger, PartitionNumber, Sequence};
use crate::policy::{ErrorPolicy, Stage, Tries};
use dray_connect::offset::SourcePartition;
use dray_connect::source_batch::{Body, Field, SourceBatch, SourceRecord};
use dray_connect::{Error, Result};
use dray_converters::{Converter, HeaderConverter, Written};
use dray_kafka::port::{HeaderRef, ProduceRecord};
use std::ops::Range;
use tokio_util::sync::CancellationToken;

/// The converters of one task.
pub struct Converters {
    /// For keys.
    pub key: Box<dyn Converter>,
    /// For values.
    pub value: Box<dyn Converter>,
    /// For headers.
    pub header: Box<dyn HeaderConverter>,
}

/// The bytes of a key or value before the scratch buffer stands still.
#[derive(Clone)]
enum Part<'a> {
    Null,
    Borrowed(&'a [u8]),
    Scratch(Range<usize>),
}

impl<'a> From<Written<'a>> for Part<'a> {
    fn from(written: Written<'a>) -> Self {
        match written {
            Written::Null => Self::Null,
            Written::Same(bytes) => Self::Borrowed(bytes),
            Written::Scratch(range) => Self::Scratch(range),
        }
    }
}

impl<'a> Part<'a> {
    fn bytes(&self, scratch: &'a [u8]) -> Option<&'a [u8]> {
        match self {
            Self::Null => None,
            Self::Borrowed(bytes) => Some(bytes),
            Self::Scratch(range) => Some(&scratch[range.clone()]),
        }
    }
}

struct Encoded<'a> {
    record: &'a SourceRecord,
    sequence: Sequence,
    key: Part<'a>,
    value: Part<'a>,
    headers: Range<usize>,
}

/// A batch in bytes. Borrows the batch; what the converters wrote lies in `scratch`.
pub struct EncodedBatch<'a> {
    batch: &'a SourceBatch,
    records: Vec<Encoded<'a>>,
    headers: Vec<(&'a str, Part<'a>)>,
    scratch: Vec<u8>,
}

/// A record that could not be encoded, for the log.
pub struct Failure {
    /// Where it failed.
    pub stage: Stage,
    /// Why.
    pub error: Error,
}

/// Encodes a batch and enters its records into the ledger. A record that fails retriably is tried again; one that fails for
/// good and is tolerated is entered as finished and reported through `failed`. Waits only between tries.
///
/// # Errors
/// The first failure that is not tolerated, or [`Error::Cancelled`] when `stop` ends a wait; the records before it are
/// entered and stay unfinished, so nothing beyond them is ever committed.
pub async fn encode<'a>(
    batch: &'a SourceBatch,
    converters: &mut Converters,
    ledger: &mut Ledger,
    policy: &ErrorPolicy,
    mut scratch: Vec<u8>,
    failed: &mut (dyn FnMut(&Failure) + Send),
    stop: &CancellationToken,
) -> Result<EncodedBatch<'a>> {
    scratch.clear();
    let numbers: Vec<PartitionNumber> = batch
        .source_partitions()
        .iter()
        .map(|key: &SourcePartition| ledger.partition(key))
        .collect();
    let mut encoded = EncodedBatch {
        batch,
        records: Vec::with_capacity(batch.len()),
        headers: Vec::new(),
        scratch,
    };
    for record in batch.records() {
        let number = numbers[record.source_partition.index()];
        let (headers, scratch) = (encoded.headers.len(), encoded.scratch.len());
        let mut tries = Tries::default();
        let parts = loop {
            match encoded.parts(record, converters) {
                Ok(parts) => break Ok(parts),
                Err(failure) => {
                    encoded.headers.truncate(headers);
                    encoded.scratch.truncate(scratch);
                    if !tries.again(failure.stage, &failure.error, policy, stop).await? {
                        break Err(failure);
                    }
                }
            }
        };
        match parts {
            Ok((key, value, headers)) => {
                let sequence = ledger.enter(number, record.source_offset.clone());
                encoded.records.push(Encoded {
                    record,
                    sequence,
                    key,
                    value,
                    headers,
                });
            }
            Err(failure) => {
                failed(&failure);
                policy.judge(failure.error)?;
                ledger.enter_finished(number, record.source_offset.clone());
            }
        }
    }
    Ok(encoded)
}

type Parts<'a> = (Part<'a>, Part<'a>, Range<usize>);

impl<'a> EncodedBatch<'a> {
    #[inline(always)]
    fn parts(&mut self, record: &'a SourceRecord, converters: &mut Converters) -> Result<Parts<'a>, Failure> {
        let topic: &str = self.batch.topic_name(record.topic);
        let start = self.headers.len();
        match &record.body {
            Body::Data { key, value, headers } => {
                for header in headers.iter().flat_map(|headers| headers.iter()) {
                    let written = converters
                        .header
                        .from_connect_header(topic, &header.key, &header.value, &mut self.scratch)
                        .map_err(|error| Failure {
                            stage: Stage::HeaderConverter,
                            error,
                        })?;
                    self.headers
                        .push((&header.key, written.map_or(Part::Null, Part::Scratch)));
                }
                let key = self
                    .field(topic, key, converters.key.as_mut())
                    .map_err(|error| Failure {
                        stage: Stage::KeyConverter,
                        error,
                    })?;
                let value = self
                    .field(topic, value, converters.value.as_mut())
                    .map_err(|error| Failure {
                        stage: Stage::ValueConverter,
                        error,
                    })?;
                Ok((key, value, start..self.headers.len()))
            }
            Body::Encoded { key, value, headers } => {
                let backing = self.batch.backing();
                let part = |span: &Option<_>| span.map_or(Part::Null, |span| Part::Borrowed(backing.bytes(span)));
                for (name, value) in headers {
                    let name = std::str::from_utf8(backing.bytes(*name)).map_err(|_| Failure {
                        stage: Stage::HeaderConverter,
                        error: Error::data("a header's name is not UTF-8"),
                    })?;
                    self.headers.push((name, part(value)));
                }
                Ok((part(key), part(value), start..self.headers.len()))
            }
        }
    }

    #[inline(always)]
    fn field(&mut self, topic: &str, field: &'a Field, converter: &mut dyn Converter) -> Result<Part<'a>> {
        let (schema, value) = self.batch.view(field);
        Ok(converter.from_connect(topic, schema, value, &mut self.scratch)?.into())
    }

    /// The headers of all records, one after the other: what [`EncodedBatch::records`] borrows from.
    #[must_use]
    pub fn headers(&self) -> Vec<HeaderRef<'_>> {
        self.headers
            .iter()
            .map(|(key, part)| HeaderRef {
                key,
                value: part.bytes(&self.scratch),
            })
            .collect()
    }

    /// The records as the port takes them.
    #[must_use]
    pub fn records<'b>(&'b self, headers: &'b [HeaderRef<'b>]) -> Vec<ProduceRecord<'b>> {
        let record = |encoded: &'b Encoded<'a>| ProduceRecord {
            topic: self.batch.topic_name(encoded.record.topic),
            partition: encoded.record.kafka_partition,
            timestamp: encoded.record.timestamp,
            key: encoded.key.bytes(&self.scratch),
            value: encoded.value.bytes(&self.scratch),
            headers: &headers[encoded.headers.clone()],
            sequence: encoded.sequence.to_u64(),
        };
        self.records.iter().map(record).collect()
    }

    /// Gives the scratch buffer back for the next batch.
    #[must_use]
    pub fn into_scratch(self) -> Vec<u8> {
        self.scratch
    }
}
