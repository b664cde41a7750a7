//! A record as it is behind each stage of its way.

use crate::encode::EncodedRecord;
use crate::guard::trace;
use crate::policy::{Failure, Stage};
use dray_connect::backing::{Backing, Span};
use dray_connect::datum::Field;
use dray_connect::header::Headers;
use dray_connect::offset::OffsetMap;
use dray_connect::sink_batch::SinkRecordData;
use dray_connect::source_batch::{Body, SourceBatch};
use dray_connect::value::SchemaAndValue;
use dray_kafka::port::{FetchBatch, Slice};
use dray_transforms::chain::Step;
use dray_transforms::{Chain, ConnectRecord, Input, Output, Side};
use std::sync::Arc;

/// What came of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The record as it came in: the first.
    Input,
    /// The stage was applied.
    Applied,
    /// A predicate left the record out.
    Skipped,
    /// The record goes no further.
    Dropped,
    /// It failed, and the record goes no further.
    Failed,
    /// The record as it goes out: the last.
    Output,
}

/// A key, value or header.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// As connectors see it.
    Data(SchemaAndValue),
    /// As Kafka stores it; none is null.
    Bytes(Option<Vec<u8>>),
}

/// Why a stage failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// Connect's name of the stage, as in the headers of dead letters.
    pub stage: &'static str,
    /// The Java class of the exception.
    pub class: String,
    /// Its message, with its causes.
    pub message: String,
}

/// A record behind one stage.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// The stage: `raw`, `polled` or `input`; `converted`; the alias of a transform; `sink` or `encoded`.
    pub stage: String,
    /// The class that did it: a transformation, or of a failure a converter.
    pub class: Option<String>,
    /// What came of it.
    pub outcome: Outcome,
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: Option<i32>,
    /// The offset that a sink's record was read at.
    pub offset: Option<i64>,
    /// Milliseconds since the epoch.
    pub timestamp: Option<i64>,
    /// Where a source has read it, and what would be committed for it: with its first stage only.
    pub source: Option<(OffsetMap, OffsetMap)>,
    /// The key.
    pub key: Part,
    /// The value.
    pub value: Part,
    /// The headers in order.
    pub headers: Vec<(String, Part)>,
    /// Why it failed, if it did. The rest is then as it was before.
    pub error: Option<Failed>,
}

/// A failure that stands among the stages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told;

impl Failed {
    pub(super) fn of(stage: Stage, error: &dray_connect::Error) -> Self {
        Self {
            stage: stage.name(),
            class: error.java_class().to_owned(),
            message: trace(error),
        }
    }
}

impl Part {
    pub(super) fn of(field: Field, backing: &Backing) -> Self {
        let (schema, value) = field.view(backing);
        Self::Data(SchemaAndValue {
            schema: schema.cloned(),
            value: value.to_value(),
        })
    }

    pub(super) fn of_headers(headers: Option<&Headers>) -> Vec<(String, Self)> {
        let headers = headers.into_iter().flat_map(Headers::iter);
        headers
            .map(|header| (header.key.to_string(), Self::Data(header.value.clone())))
            .collect()
    }
}

impl Seen {
    /// The only record of a fetch, as Kafka has it.
    pub(super) fn raw(fetch: &FetchBatch) -> Self {
        let record = &fetch.records[0];
        let bytes = |slice: &Option<Slice>| Part::Bytes(slice.as_ref().map(|slice| fetch.bytes(slice).to_vec()));
        let headers = &fetch.headers[record.headers.start as usize..record.headers.end as usize];
        Self {
            stage: "raw".to_owned(),
            class: None,
            outcome: Outcome::Input,
            topic: fetch.topics[record.topic as usize].clone(),
            partition: Some(record.partition),
            offset: Some(record.offset),
            timestamp: record.timestamp,
            source: None,
            key: bytes(&record.key),
            value: bytes(&record.value),
            headers: headers
                .iter()
                .map(|(name, value)| (String::from_utf8_lossy(fetch.bytes(name)).into_owned(), bytes(value)))
                .collect(),
            error: None,
        }
    }

    /// A record of a sink behind its converters.
    pub(super) fn of_sink(stage: &str, outcome: Outcome, record: &SinkRecordData, backing: &Backing) -> Self {
        Self {
            stage: stage.to_owned(),
            class: None,
            outcome,
            topic: backing.topic_name(record.topic).clone(),
            partition: Some(record.partition),
            offset: Some(record.offset),
            timestamp: record.timestamp,
            source: None,
            key: Part::of(record.key, backing),
            value: Part::of(record.value, backing),
            headers: Part::of_headers(record.headers.as_deref()),
            error: None,
        }
    }

    /// A record as a source has polled it.
    pub(super) fn polled(batch: &SourceBatch, place: usize) -> Self {
        let record = &batch.records()[place];
        let bytes = |span: &Option<Span>| Part::Bytes(span.map(|span| batch.backing().bytes(span).to_vec()));
        let null = || Part::Data(SchemaAndValue::NULL);
        let (key, value, headers) = match &record.body {
            Body::Data { key, value, headers } => (
                Part::of(*key, batch.backing()),
                Part::of(*value, batch.backing()),
                Part::of_headers(headers.as_deref()),
            ),
            Body::Encoded { key, value, headers } => {
                let name = |name| String::from_utf8_lossy(batch.backing().bytes(name)).into_owned();
                let headers = headers.iter().map(|(header, value)| (name(*header), bytes(value)));
                (bytes(key), bytes(value), headers.collect())
            }
            Body::Dropped | Body::Passed(_) => (null(), null(), Vec::new()),
        };
        let goes_on = matches!(record.body, Body::Data { .. } | Body::Encoded { .. });
        Self {
            stage: "polled".to_owned(),
            class: None,
            outcome: if goes_on { Outcome::Input } else { Outcome::Dropped },
            topic: batch.topic_name(record.topic).clone(),
            partition: record.kafka_partition,
            offset: None,
            timestamp: record.timestamp,
            source: Some((
                OffsetMap::clone(&batch.source_partitions()[record.source_partition.index()]),
                record.source_offset.to_map(),
            )),
            key,
            value,
            headers,
            error: None,
        }
    }

    /// A record of a source as it goes to Kafka; `self` is the stage before.
    pub(super) fn encoded(&self, bytes: EncodedRecord) -> Self {
        let headers = bytes.headers.into_iter();
        Self {
            stage: "encoded".to_owned(),
            class: None,
            outcome: Outcome::Output,
            source: None,
            key: Part::Bytes(bytes.key),
            value: Part::Bytes(bytes.value),
            headers: headers.map(|(name, value)| (name, Part::Bytes(value))).collect(),
            ..self.clone()
        }
    }

    /// The same record, which failed at the next stage.
    pub(super) fn failed(&self, stage: &str, class: &str, error: Failed) -> Self {
        Self {
            stage: stage.to_owned(),
            class: Some(class.to_owned()),
            outcome: Outcome::Failed,
            source: None,
            error: Some(error),
            ..self.clone()
        }
    }

    /// A converter's failure.
    pub(super) fn not_converted(&self, stage: &str, failure: &Failure) -> Self {
        self.failed(stage, &failure.class, Failed::of(failure.stage, &failure.error))
    }
}

/// Runs a chain as [`Chain::apply`] does, and tells what each stage made of the record. The stage before is among those that are there.
pub(super) fn observed(
    chain: &mut Chain,
    input: Input<'_>,
    backing: &mut Backing,
    seen: &mut Vec<Seen>,
) -> Result<Option<Output>, Told> {
    let before = seen
        .last()
        .expect("a record has come in before it is transformed")
        .clone();
    let behind = |record: &mut ConnectRecord<'_>| {
        let (key, value) = (record.field(Side::Key), record.field(Side::Value));
        Seen {
            topic: record.topic().clone(),
            partition: record.kafka_partition,
            timestamp: record.timestamp,
            source: None,
            key: Part::of(key, record.backing()),
            value: Part::of(value, record.backing()),
            headers: Part::of_headers(record.headers()),
            ..before.clone()
        }
    };
    let ran = chain.apply_observed(input, backing, |stage, step, record| {
        seen.push(Seen {
            stage: stage.alias.clone(),
            class: Some(stage.class.clone()),
            outcome: match step {
                Step::Kept => Outcome::Applied,
                Step::Skipped => Outcome::Skipped,
                Step::Dropped => Outcome::Dropped,
            },
            ..behind(record)
        });
    });
    ran.map_err(|failure| {
        let error = Failed::of(Stage::Transformation, &failure.error);
        let last = seen.last().unwrap_or(&before);
        let failed = last.failed(&failure.stage.alias, &failure.stage.class, error);
        seen.push(failed);
        Told
    })
}
