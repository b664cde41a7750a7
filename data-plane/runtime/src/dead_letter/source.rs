//! A source's dead letter queue, which Connect does not have. A record that failed before it was bytes is written as JSON with its schemas,
//! as JsonConverter writes it: key, value and headers as they were when the stage failed on them. One that Kafka refused is written as the
//! bytes that Kafka refused.

use super::{Writer, prepare, unwritable};
use crate::metrics::Failures;
use crate::policy::Failure;
use dray_connect::backing::Backing;
use dray_connect::offset::{SourceOffset, SourcePartition};
use dray_connect::source_batch::{Body, Field, SourceBatch};
use dray_connect::value::SchemaAndValue;
use dray_connect::{ConfigMap, Error, Result};
use dray_converters::{Converter as _, JsonConverter, Written, WrittenHeaders};
use dray_kafka::port::Admin;
use std::ops::Range;
use std::sync::Arc;

/// Whether key, value and headers of a letter are [`JSON`] or [`BYTES`].
const FORMAT: &str = "__dray.errors.format";
/// JSON with schemas.
const JSON: &str = "json";
/// What would have gone to Kafka.
const BYTES: &str = "bytes";

/// The queue of one task.
pub struct SourceLetters {
    /// Its topic.
    pub topic: String,
    /// Of the topic, when it has to be created.
    pub replication_factor: i16,
    /// Whose letters these are.
    pub writer: Writer,
    /// Looks for the topic and creates it.
    pub admin: Arc<dyn Admin>,
    /// Counts them.
    pub failures: Arc<Failures>,
}

/// What happened to which record.
pub struct Why<'a> {
    /// Why it failed.
    pub failure: &'a Failure,
    /// Where it was to go.
    pub topic: &'a str,
    /// The same.
    pub kafka_partition: Option<i32>,
    /// Where it comes from, and where there; none where nobody knows any more.
    pub source: Option<(&'a SourcePartition, &'a SourceOffset)>,
}

/// Key and value.
pub(crate) type LetterParts<'a> = (Written<'a>, Written<'a>);

impl SourceLetters {
    /// Makes sure that the topic exists, with one partition. Waits while the broker is away. Cancel-safe.
    ///
    /// # Errors
    /// When it does not exist and cannot be created.
    pub async fn prepare(&self) -> Result<()> {
        prepare(self.admin.as_ref(), &self.topic, self.replication_factor).await
    }

    /// Writes the letter of a record that was not bytes yet; its headers go behind those that are there.
    pub(crate) fn write<'a>(
        &self,
        batch: &'a SourceBatch,
        body: &'a Body,
        why: &Why<'_>,
        scratch: &mut Vec<u8>,
        headers: &mut WrittenHeaders<'a>,
    ) -> LetterParts<'a> {
        let backing = batch.backing();
        let (key, value, format) = match body {
            Body::Data {
                key,
                value,
                headers: own,
            } => {
                for header in own.iter().flat_map(|own| own.iter()) {
                    let value = json_owned(&header.value, scratch);
                    headers.push(&header.key, value);
                }
                (json(key, backing, scratch), json(value, backing, scratch), JSON)
            }
            Body::Encoded {
                key,
                value,
                headers: own,
            } => {
                let part = |span: &Option<_>| span.map_or(Written::Null, |span| Written::Same(backing.bytes(span)));
                for (name, value) in own {
                    // One whose name is no text cannot be written at all.
                    if let Ok(name) = std::str::from_utf8(backing.bytes(*name)) {
                        headers.push(name, part(value));
                    }
                }
                (part(key), part(value), BYTES)
            }
            Body::Dropped | Body::Passed(_) => (Written::Null, Written::Null, BYTES),
        };
        for (name, text) in self.context(why, format) {
            headers.push(name, Written::Scratch(append(text.as_bytes(), scratch)));
        }
        (key, value)
    }

    /// What the headers of a letter say.
    pub(crate) fn context(&self, why: &Why<'_>, format: &str) -> Vec<(&'static str, String)> {
        self.failures.letter();
        let mut texts = vec![("__connect.errors.topic", why.topic.to_owned())];
        if let Some(partition) = why.kafka_partition {
            texts.push(("__connect.errors.partition", partition.to_string()));
        }
        texts.extend(self.writer.reasons(why.failure));
        if let Some((partition, offset)) = why.source {
            texts.push(("__dray.errors.source.partition", partition.to_json()));
            texts.push(("__dray.errors.source.offset", offset.to_map().to_json()));
        }
        texts.push((FORMAT, format.to_owned()));
        texts
    }

    /// The same for a record that Kafka refused as it is.
    pub(crate) fn context_of_bytes(&self, why: &Why<'_>) -> Vec<(&'static str, String)> {
        self.context(why, BYTES)
    }

    /// The error of a task whose letter Kafka does not take.
    pub(crate) fn unwritable(&self, error: dray_kafka::Error) -> Error {
        self.failures.letter_failed();
        unwritable(&self.topic, error)
    }
}

fn append(bytes: &[u8], scratch: &mut Vec<u8>) -> Range<usize> {
    let start = scratch.len();
    scratch.extend_from_slice(bytes);
    start..scratch.len()
}

fn json<'a>(field: &Field, backing: &'a Backing, scratch: &mut Vec<u8>) -> Written<'a> {
    let (schema, value) = field.view(backing);
    let written = converter().from_connect("", schema, value, scratch);
    // What JSON has no form for, as a text: better than nothing.
    written.unwrap_or_else(|_| Written::Scratch(append(value.to_value().java_to_string().as_bytes(), scratch)))
}

fn json_owned<'a>(value: &SchemaAndValue, scratch: &mut Vec<u8>) -> Written<'a> {
    let mut backing = Backing::default();
    let field = Field {
        schema: value.schema.as_ref().map(|schema| backing.schema(schema)),
        datum: backing.value(&value.value),
    };
    match json(&field, &backing, scratch) {
        Written::Null => Written::Null,
        Written::Same(bytes) => Written::Scratch(append(bytes, scratch)),
        Written::Scratch(range) => Written::Scratch(range),
    }
}

/// Letters are rare: nothing is kept from one to the next.
fn converter() -> JsonConverter {
    let settings = ConfigMap::from([("schemas.enable".to_owned(), "true".to_owned())]);
    JsonConverter::new(&settings).expect("these settings are right")
}
