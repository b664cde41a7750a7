//! `JsonSchemaConverter`: JSON in Confluent's form, with its JSON Schemas in a registry.
//!
//! A schema that comes or goes again and again is looked at once: what its values look like is kept as a plan (`read`, `write`). Schemas go
//! over into each other as in Confluent's `JsonSchemaData` (`to_connect`, `from_connect`); `form` and `document` say what a JSON Schema
//! means. Scanning and parsing are those of [`crate::json`].

mod compatible;
mod default;
mod definition;
mod document;
mod form;
mod from_connect;
mod hash_order;
mod nodes;
mod read;
mod settings;
mod to_connect;
mod write;

use std::borrow::Cow;
use std::sync::Arc;

use dray_connect::backing::Backing;
use dray_connect::datum::{Field, ValueRef};
use dray_connect::schema::SchemaRef;
use dray_connect::{ConfigMap, Error, Result};
use tokio::time::Instant;

pub(crate) use self::definition::definition;
use self::document::Documents;
use self::read::{Expected, Reading};
use self::settings::Settings;
use self::write::Write;
use crate::json::encoding;
use crate::schema_registry::{self as registry, Asker, Config, Found, PREFIX, Plans, Question, Registering, Usage};
use crate::{Converter, Input, Lookup, Written};

pub(crate) const CLASS: &str = "io.confluent.connect.json.JsonSchemaConverter";

/// What a registry calls such schemas.
const KIND: &str = "JSON";

/// How the messages of one schema are read.
struct Reader {
    topic: Box<str>,
    id: i32,
    plan: Expected,
}

/// How the values of one schema are written.
struct Writer {
    topic: Box<str>,
    /// Kept, so that its address stays its own.
    schema: Option<SchemaRef>,
    id: i32,
    plan: Write,
    /// When the schema that is written with has to be asked for again.
    until: Option<Instant>,
}

/// Writes and reads JSON.
pub struct JsonSchemaConverter {
    asker: Asker,
    usage: Usage,
    settings: Settings,
    is_key: bool,
    /// By the schema's id.
    readers: Plans<i32, Reader>,
    /// By the address of the schema.
    writers: Plans<usize, Writer>,
    reading: Reading,
}

impl JsonSchemaConverter {
    /// A converter with the keys of Confluent's.
    pub fn new(config: &ConfigMap, is_key: bool) -> Result<Self> {
        let settings = Settings::read(config)?;
        Ok(Self {
            asker: Asker::new(Config::read(config)?)?,
            usage: Usage::read(config, is_key)?,
            is_key,
            readers: Plans::new(settings.cache),
            writers: Plans::new(settings.cache),
            reading: Reading::default(),
            settings,
        })
    }

    /// How messages with that id are read.
    #[inline]
    fn reader(&mut self, topic: &str, id: i32) -> Result<Arc<Reader>> {
        let is_it = |reader: &Reader| reader.id == id && *reader.topic == *topic;
        match self.readers.last(is_it) {
            Some(last) => Ok(last),
            None => self.other_reader(topic, id),
        }
    }

    #[inline(never)]
    fn other_reader(&mut self, topic: &str, id: i32) -> Result<Arc<Reader>> {
        let of_topic = |reader: &Reader| *reader.topic == *topic;
        if let Some(known) = self.readers.find(&id, of_topic) {
            return Ok(known);
        }
        let found = self.asker.answer(Question::ById { id }, None)?;
        let reader = self.new_reader(topic, &found)?;
        Ok(self.readers.keep(id, reader, of_topic))
    }

    fn new_reader(&self, topic: &str, found: &Found) -> Result<Reader> {
        let documents = self.parsed(found)?;
        let subject = self.usage.strategy.subject(topic, self.is_key, documents.title());
        let version = subject.ok().and_then(|subject| {
            let is_its = |(of, _): &&(String, i32)| *of == subject;
            found.versions.iter().find(is_its).map(|(_, version)| *version)
        });
        let id = found.id;
        let cannot = |error: Error| Error::data(format!("schema {id} of topic {topic}: {error}"));
        let schema = to_connect::to_connect(&documents, version, &self.settings).map_err(cannot)?;
        Ok(Reader {
            topic: topic.into(),
            id,
            plan: Expected::of(&schema).map_err(cannot)?,
        })
    }

    /// How values of that schema are written.
    #[inline]
    fn writer(&mut self, topic: &str, schema: Option<&SchemaRef>) -> Result<Arc<Writer>> {
        match self.writers.last(|writer| writer.is_of(topic, schema)) {
            Some(last) => Ok(last),
            None => self.other_writer(topic, schema),
        }
    }

    #[inline(never)]
    fn other_writer(&mut self, topic: &str, schema: Option<&SchemaRef>) -> Result<Arc<Writer>> {
        let address = schema.map_or(0, |schema| Arc::as_ptr(schema).addr());
        if let Some(known) = self.writers.find(&address, |writer| writer.is_of(topic, schema)) {
            return Ok(known);
        }
        let writer = self.new_writer(topic, schema)?;
        let of_topic = |writer: &Writer| *writer.topic == *topic;
        Ok(self.writers.keep(address, writer, of_topic))
    }

    fn new_writer(&mut self, topic: &str, schema: Option<&SchemaRef>) -> Result<Writer> {
        let own = schema.map(|schema| from_connect::from_connect(schema, &self.settings));
        let own: Option<Arc<str>> = own.transpose()?.map(Into::into);
        let parsed = own.as_ref().map(|text| Documents::parse(text, &[], &[], false));
        let parsed = parsed.transpose()?;
        let title = parsed.as_ref().and_then(Documents::title);
        let subject = Arc::from(self.usage.strategy.subject(topic, self.is_key, title)?);
        let normalize = self.usage.normalize;
        let mut until = None;
        let (question, strict) = match (self.usage.registering, own) {
            (Registering::Register, Some(text)) => {
                let question = Question::Register {
                    subject,
                    kind: KIND,
                    text,
                    normalize,
                };
                (question, None)
            }
            (Registering::Find, Some(text)) => {
                let question = Question::Find {
                    subject,
                    kind: KIND,
                    text,
                    normalize,
                };
                (question, None)
            }
            (Registering::Register | Registering::Find, None) => {
                return Err(Error::data(format!(
                    "a value without a schema has none to register under subject {subject}; use.latest.version or use.schema.id \
                     write it with one that is there"
                )));
            }
            (Registering::Latest { strict }, _) => {
                until = self.usage.latest_ttl.map(|ttl| Instant::now() + ttl);
                let key = strict.then_some("latest.compatibility.strict");
                (Question::Latest { subject }, key)
            }
            (Registering::Id { id, strict }, _) => (Question::ById { id }, strict.then_some("id.compatibility.strict")),
        };
        let found = self.asker.answer(question, self.usage.latest_ttl)?;
        // It says what is written; values are written by their own schema in any case.
        if let Some(key) = strict {
            let fits = match &parsed {
                Some(own) => compatible::check(own, &self.parsed(&found)?),
                None => Err(Error::data("the value has no schema that could be compared")),
            };
            fits.map_err(|error| {
                let (id, side) = (found.id, if self.is_key { "key" } else { "value" });
                Error::data(format!(
                    "Incompatible schema: the {side} of topic {topic} cannot be written with schema {id}: {error}; {key}=false \
                     writes it all the same"
                ))
            })?;
        }
        Ok(Writer {
            topic: topic.into(),
            schema: schema.cloned(),
            id: found.id,
            plan: Write::of(schema, &self.settings)?,
            until,
        })
    }

    /// Whether null is written as something: as itself, or as a default. If not it is a tombstone, as in Java.
    fn has_null(&self, schema: Option<&SchemaRef>) -> bool {
        let has_default = |schema: &SchemaRef| schema.default().is_some() && !self.settings.ignore_defaults;
        schema.is_some_and(|schema| schema.optional() || has_default(schema))
    }

    /// The schema that a registry gave.
    fn parsed(&self, found: &Found) -> Result<Documents> {
        let id = found.id;
        if found.kind != KIND {
            let text = format!("schema {id} of the registry is of type {}, and not {KIND}", found.kind);
            return Err(Error::data(text));
        }
        let ignore_modern = self.settings.ignore_modern;
        Documents::parse(&found.text, &found.references, &found.aliases, ignore_modern)
            .map_err(|cause| Error::data(format!("schema {id} of the registry is no JSON Schema: {cause}")))
    }
}

impl Writer {
    #[inline]
    fn is_of(&self, topic: &str, schema: Option<&SchemaRef>) -> bool {
        let is_same = match (&self.schema, schema) {
            (Some(own), Some(schema)) => Arc::ptr_eq(own, schema),
            (own, schema) => own.is_none() && schema.is_none(),
        };
        is_same && *self.topic == *topic && self.until.is_none_or(|until| Instant::now() < until)
    }
}

impl Reader {
    fn read(&self, input: Input<'_>, batch: &mut Backing, reading: &mut Reading) -> Result<Field> {
        let bytes = input.bytes.get(PREFIX..).unwrap_or_default();
        let text = encoding::to_utf8(bytes).ok_or_else(|| Error::data("the text is in no encoding of Unicode"))?;
        // A mark may have been cut off.
        let span = match &text {
            Cow::Borrowed(text) => Some(input.span.slice(input.span.len() - text.len(), input.span.len())),
            Cow::Owned(_) => None,
        };
        let (datum, end) = self.plan.read(&text, span, batch, reading)?;
        // What follows the value is ignored, as Jackson does, but a number has to end.
        let is_cut = end > 0 && text[end - 1].is_ascii_digit();
        if is_cut && !matches!(text.get(end), None | Some(b' ' | b'\t' | b'\r' | b'\n')) {
            return Err(Error::data(format!(
                "malformed JSON: expected a blank after a number at the root at byte {end}"
            )));
        }
        Ok(Field {
            schema: Some(batch.schema(&self.plan.schema)),
            datum,
        })
    }
}

impl Converter for JsonSchemaConverter {
    fn from_connect<'a>(
        &mut self,
        topic: &str,
        schema: Option<&SchemaRef>,
        value: ValueRef<'a>,
        scratch: &mut Vec<u8>,
    ) -> Result<Written<'a>> {
        if value.is_null() && !self.has_null(schema) {
            return Ok(Written::Null);
        }
        let writer = self.writer(topic, schema)?;
        let start = scratch.len();
        registry::write_prefix(writer.id, scratch);
        match writer.plan.write(value, scratch) {
            Ok(true) => Ok(Written::Scratch(start..scratch.len())),
            Ok(false) => {
                scratch.truncate(start);
                Ok(Written::Null)
            }
            Err(error) => {
                self.asker.lacks_nothing();
                scratch.truncate(start);
                Err(Error::data(format!(
                    "Converting Kafka Connect data to byte[] failed due to serialization error of topic {topic}: {error}"
                )))
            }
        }
    }

    fn to_connect(&mut self, topic: &str, input: Option<Input<'_>>, batch: &mut Backing) -> Result<Field> {
        let Some(input) = input else {
            return Ok(Field::default());
        };
        let id = registry::read_prefix(input.bytes).inspect_err(|_| self.asker.lacks_nothing())?;
        let reader = self.reader(topic, id)?;
        reader.read(input, batch, &mut self.reading).map_err(|error| {
            self.asker.lacks_nothing();
            Error::data(format!(
                "Converting byte[] to Kafka Connect data failed due to serialization error of topic {topic}, with schema {id}: \
                 {error}"
            ))
        })
    }

    fn lookup(&mut self) -> Option<Lookup> {
        self.asker.lookup()
    }

    fn class(&self) -> &'static str {
        CLASS
    }
}

#[cfg(test)]
mod tests;
