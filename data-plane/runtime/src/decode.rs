//! The way of fetched bytes to a sink batch: converters, in Connect's order (key, value, headers), then transforms. No bytes are copied:
//! the sink batch takes the fetched buffer over.

use crate::encode::Converters;
use crate::policy::{ErrorPolicy, Failure, Stage, Tries};
use crate::transform::transform_sink;
use dray_connect::backing::{Backing, SchemaId, Span, TopicId};
use dray_connect::datum::{Datum, Field, Utf8Span};
use dray_connect::header::Headers;
use dray_connect::sink_batch::{SinkBatch, SinkRecordData};
use dray_connect::{Error, Result};
use dray_converters::{Converter, Input, ReadHeaders};
use dray_kafka::port::{FetchBatch, FetchedRecord, Slice};
use dray_transforms::Chain;
use tokio_util::sync::CancellationToken;

/// Converts and transforms a fetch, into an empty batch. A record that fails retriably is tried again; one that fails for good
/// is handed to `failed` with its place in the fetch. Waits between tries, and for what a converter lacks.
///
/// # Errors
/// Whatever `failed` answers, or [`dray_connect::Error::Cancelled`] when `stop` ends a wait.
pub async fn decode(
    fetch: &FetchBatch,
    mut batch: SinkBatch,
    converters: &mut Converters,
    chain: &mut Chain,
    policy: &ErrorPolicy,
    failed: &mut (dyn FnMut(usize, Failure) -> Result<()> + Send),
    stop: &CancellationToken,
) -> Result<SinkBatch> {
    let backing = batch.backing_mut();
    let block = backing.adopt(fetch.data.clone());
    let topics: Vec<TopicId> = fetch.topics.iter().map(|topic| backing.topic(topic)).collect();
    let plain = Plain::of(converters, chain, backing);
    batch.reserve(fetch.records.len());
    for (place, record) in fetch.records.iter().enumerate() {
        if let Some(plain) = &plain
            && let Some((key, value)) = plain.read(record, block, batch.backing())
        {
            batch.push(consumed(record, place, topics[record.topic as usize], key, value, None));
            continue;
        }
        let mut tries = Tries::default();
        loop {
            let topic = topics[record.topic as usize];
            let decoded = decode_one(fetch, place, topic, block, converters, batch.backing_mut());
            match decoded.and_then(|data| transform_sink(data, chain, batch.backing_mut())) {
                Ok(Some(data)) => batch.push(data),
                Ok(None) => {}
                Err(failure) => {
                    // No try of the record's: it could not even be looked at.
                    if let Some(lookup) = converters.lookup(failure.stage) {
                        stop.run_until_cancelled(lookup).await.ok_or(Error::Cancelled)?;
                        continue;
                    }
                    if tries.again(failure.stage, &failure.error, policy, stop).await? {
                        continue;
                    }
                    failed(place, failure)?;
                }
            }
            break;
        }
    }
    Ok(batch)
}

/// Converts one record; with `topic` its topic in the batch, and `block` the fetch's bytes there.
pub(crate) fn decode_one(
    fetch: &FetchBatch,
    place: usize,
    topic: TopicId,
    block: Span,
    converters: &mut Converters,
    backing: &mut Backing,
) -> Result<SinkRecordData, Failure> {
    let record = &fetch.records[place];
    let name: &str = &fetch.topics[record.topic as usize];
    let places = &fetch.headers[record.headers.start as usize..record.headers.end as usize];
    let stored = ReadHeaders::new(&fetch.data, places);
    let mut part = |converter: &mut dyn Converter, slice: &Option<Slice>, stage: Stage| {
        let input = slice.as_ref().map(|slice| Input {
            bytes: fetch.bytes(slice),
            span: block.slice(slice.start as usize, slice.end as usize),
        });
        converter
            .to_connect_with_headers(name, stored, input, backing)
            .map_err(|error| Failure {
                stage,
                class: converter.class().into(),
                error,
            })
    };
    let key = part(converters.key.as_mut(), &record.key, Stage::KeyConverter)?;
    let value = part(converters.value.as_mut(), &record.value, Stage::ValueConverter)?;
    let class = converters.header.class();
    let failure = |error| Failure {
        stage: Stage::HeaderConverter,
        class: class.into(),
        error,
    };
    let mut headers: Option<Box<Headers>> = None;
    for (header, value) in places {
        let header = String::from_utf8_lossy(fetch.bytes(header)).into_owned();
        let bytes = value.as_ref().map(|slice| fetch.bytes(slice));
        let value = converters
            .header
            .to_connect_header(name, &header, bytes)
            .map_err(failure)?;
        headers.get_or_insert_default().add(header, value).map_err(failure)?;
    }
    Ok(consumed(record, place, topic, key, value, headers))
}

#[inline(always)]
fn consumed(
    record: &FetchedRecord,
    place: usize,
    topic: TopicId,
    key: Field,
    value: Field,
    headers: Option<Box<Headers>>,
) -> SinkRecordData {
    SinkRecordData {
        topic,
        partition: record.partition,
        offset: record.offset,
        timestamp: record.timestamp,
        timestamp_type: record.timestamp_type,
        key,
        value,
        headers,
        fetched: place as u32,
    }
}

/// A converter that leaves what it reads as it is.
#[derive(Clone, Copy)]
enum Kept {
    Text(SchemaId),
    Bytes(SchemaId),
}

impl Kept {
    fn of(converter: &dyn Converter, backing: &mut Backing) -> Option<Self> {
        let text = converter.keeps_text().map(|schema| Self::Text(backing.schema(schema)));
        text.or_else(|| {
            converter
                .keeps_bytes()
                .map(|schema| Self::Bytes(backing.schema(schema)))
        })
    }

    /// None for a text that is not UTF-8.
    #[inline(always)]
    fn read(self, slice: &Option<Slice>, block: Span, backing: &Backing) -> Option<Field> {
        let span = slice
            .as_ref()
            .map(|slice| block.slice(slice.start as usize, slice.end as usize));
        let (schema, datum) = match (self, span) {
            (Self::Text(schema) | Self::Bytes(schema), None) => (schema, Datum::Null),
            (Self::Text(schema), Some(span)) => (schema, Datum::Str(Utf8Span::new(backing, span)?)),
            (Self::Bytes(schema), Some(span)) => (schema, Datum::Bytes(span)),
        };
        Some(Field {
            schema: Some(schema),
            datum,
        })
    }
}

/// Keys and values that both stay as they are: nobody has to look at each record.
struct Plain {
    key: Kept,
    value: Kept,
}

impl Plain {
    fn of(converters: &Converters, chain: &Chain, backing: &mut Backing) -> Option<Self> {
        chain.is_empty().then_some(())?;
        Some(Self {
            key: Kept::of(converters.key.as_ref(), backing)?,
            value: Kept::of(converters.value.as_ref(), backing)?,
        })
    }

    /// Key and value of a record; none when it has headers, or a text that is not UTF-8.
    #[inline(always)]
    fn read(&self, record: &FetchedRecord, block: Span, backing: &Backing) -> Option<(Field, Field)> {
        if !record.headers.is_empty() {
            return None;
        }
        let read = |kept: Kept, slice: &Option<Slice>| kept.read(slice, block, backing);
        Some((read(self.key, &record.key)?, read(self.value, &record.value)?))
    }
}
