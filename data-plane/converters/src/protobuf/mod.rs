//! `ProtobufConverter`: Protobuf in Confluent's form, with its schemas in a registry.
//!
//! A schema that comes or goes again and again is looked at once: what its bytes mean is kept as a plan (`read`, `write`). Schemas go
//! over into each other as in Confluent's `ProtobufData` (`to_connect`, `from_connect`). Descriptors are prost-reflect's, and are only looked at to
//! make plans.

mod builtin;
mod definition;
mod draft;
mod from_connect;
mod plan;
mod print;
mod read;
mod scalar;
mod schema;
mod settings;
mod to_connect;
mod well_known;
mod wire;
mod write;

use std::sync::Arc;

use dray_connect::backing::Backing;
use dray_connect::datum::{Field, ValueRef};
use dray_connect::schema::SchemaRef;
use dray_connect::{ConfigMap, Error, Result};
use tokio::time::Instant;

pub(crate) use self::definition::definition;
use self::plan::Planner;
use self::read::{Composite, Out, Scratch};
use self::schema::File;
use self::settings::Settings;
use self::write::Write;
use crate::schema_registry::{self as registry, Asker, Config, Found, PREFIX, Plans, Question, Registering, Usage};
use crate::{Converter, Input, Lookup, Written};

pub(crate) const CLASS: &str = "io.confluent.connect.protobuf.ProtobufConverter";
/// What a registry calls such schemas.
const KIND: &str = "PROTOBUF";

/// How the messages of one type are read.
struct Reader {
    topic: Box<str>,
    id: i32,
    /// The bytes that say which message of the schema it is.
    indexes: Box<[u8]>,
    schema: SchemaRef,
    plan: Composite,
}

/// A schema's id, and which message of it.
type Place = (i32, Box<[u8]>);

/// How the values of one schema are written.
struct Writer {
    topic: Box<str>,
    /// Kept, so that its address stays its own.
    schema: SchemaRef,
    /// The schema's id, and which message of it.
    prefix: Box<[u8]>,
    plan: Write,
    /// When the schema that is written with has to be asked for again.
    until: Option<Instant>,
}

/// Writes and reads Protobuf.
pub struct ProtobufConverter {
    asker: Asker,
    usage: Usage,
    settings: Settings,
    is_key: bool,
    /// By the message's place.
    readers: Plans<Place, Reader>,
    /// By the address of the schema.
    writers: Plans<usize, Writer>,
    scratch: Scratch,
}

impl ProtobufConverter {
    /// A converter with the keys of Confluent's.
    pub fn new(config: &ConfigMap, is_key: bool) -> Result<Self> {
        let settings = Settings::read(config)?;
        Ok(Self {
            asker: Asker::new(Config::read(config)?)?,
            usage: Usage::read(config, is_key)?,
            is_key,
            readers: Plans::new(settings.cache),
            writers: Plans::new(settings.cache),
            scratch: Scratch::default(),
            settings,
        })
    }

    /// How messages with that id are read. `rest` begins with the message indexes.
    #[inline]
    fn reader(&mut self, topic: &str, id: i32, rest: &[u8]) -> Result<Arc<Reader>> {
        let is_it = |reader: &Reader| reader.id == id && rest.starts_with(&reader.indexes) && *reader.topic == *topic;
        match self.readers.last(is_it) {
            Some(last) => Ok(last),
            None => self.other_reader(topic, id, rest),
        }
    }

    #[inline(never)]
    fn other_reader(&mut self, topic: &str, id: i32, rest: &[u8]) -> Result<Arc<Reader>> {
        let (indexes, length) = wire::read_indexes(rest).inspect_err(|_| self.asker.lacks_nothing())?;
        let key: Place = (id, Box::from(rest.get(..length).unwrap_or_default()));
        let of_topic = |reader: &Reader| *reader.topic == *topic;
        if let Some(known) = self.readers.find(&key, of_topic) {
            return Ok(known);
        }
        let found = self.asker.answer(Question::ById { id }, None)?;
        let reader = self.new_reader(topic, &found, &indexes, &key.1)?;
        Ok(self.readers.keep(key, reader, of_topic))
    }

    fn new_reader(&self, topic: &str, found: &Found, indexes: &[usize], bytes: &[u8]) -> Result<Reader> {
        let id = found.id;
        let cannot = |error: Error| Error::data(format!("schema {id} of topic {topic}: {error}"));
        let message = parsed(found)?.message(indexes).map_err(cannot)?;
        let name = message.full_name();
        let subject = self.usage.strategy.subject(topic, self.is_key, Some(name));
        let version = subject.ok().and_then(|subject| {
            let is_its = |(of, _): &&(String, i32)| *of == subject;
            found.versions.iter().find(is_its).map(|(_, version)| *version)
        });
        let (schema, plan) = to_connect::to_connect(&message, version, &self.settings).map_err(cannot)?;
        Ok(Reader {
            topic: topic.into(),
            id,
            indexes: bytes.into(),
            schema,
            plan,
        })
    }

    /// How values of that schema are written.
    #[inline]
    fn writer(&mut self, topic: &str, schema: &SchemaRef) -> Result<Arc<Writer>> {
        match self.writers.last(|writer| writer.is_of(topic, schema)) {
            Some(last) => Ok(last),
            None => self.other_writer(topic, schema),
        }
    }

    #[inline(never)]
    fn other_writer(&mut self, topic: &str, schema: &SchemaRef) -> Result<Arc<Writer>> {
        let address = Arc::as_ptr(schema).addr();
        if let Some(known) = self.writers.find(&address, |writer| writer.is_of(topic, schema)) {
            return Ok(known);
        }
        let writer = self.new_writer(topic, schema)?;
        let of_topic = |writer: &Writer| *writer.topic == *topic;
        Ok(self.writers.keep(address, writer, of_topic))
    }

    fn new_writer(&mut self, topic: &str, schema: &SchemaRef) -> Result<Writer> {
        let own = from_connect::from_connect(schema, &self.settings).inspect_err(|_| self.asker.lacks_nothing())?;
        let subject = self.usage.strategy.subject(topic, self.is_key, Some(&own.name));
        let (subject, normalize) = (Arc::from(subject?), self.usage.normalize);
        let text = Arc::from(own.text);
        let mut until = None;
        let (question, is_strict) = match self.usage.registering {
            Registering::Register => (
                Question::Register {
                    subject,
                    kind: KIND,
                    text,
                    normalize,
                },
                true,
            ),
            Registering::Find => (
                Question::Find {
                    subject,
                    kind: KIND,
                    text,
                    normalize,
                },
                true,
            ),
            Registering::Latest { strict } => {
                until = self.usage.latest_ttl.map(|ttl| Instant::now() + ttl);
                (Question::Latest { subject }, strict)
            }
            Registering::Id { id, strict } => (Question::ById { id }, strict),
        };
        let found = self.asker.answer(question, self.usage.latest_ttl)?;
        let (message, indexes) = parsed(&found)?.find(&own.name)?;
        let mut planner = Planner::new(&self.settings, is_strict);
        let plan = planner.message(schema, &message).map_err(|error| {
            let id = found.id;
            let side = if self.is_key { "key" } else { "value" };
            let advice = match self.usage.registering {
                Registering::Register | Registering::Find => "",
                Registering::Latest { .. } => "; latest.compatibility.strict=false leaves out fields that it has not",
                Registering::Id { .. } => "; id.compatibility.strict=false leaves out fields that it has not",
            };
            Error::data(format!(
                "Incompatible schema: the {side} of topic {topic} cannot be written with schema {id}: {error}{advice}"
            ))
        })?;
        let mut prefix = Vec::new();
        registry::write_prefix(found.id, &mut prefix);
        prefix.extend(wire::write_indexes(&indexes));
        Ok(Writer {
            topic: topic.into(),
            schema: SchemaRef::clone(schema),
            prefix: prefix.into(),
            plan,
            until,
        })
    }
}

impl Writer {
    #[inline]
    fn is_of(&self, topic: &str, schema: &SchemaRef) -> bool {
        Arc::ptr_eq(&self.schema, schema)
            && *self.topic == *topic
            && self.until.is_none_or(|until| Instant::now() < until)
    }
}

/// The schema that a registry gave.
fn parsed(found: &Found) -> Result<File> {
    if found.kind != KIND {
        let text = format!(
            "schema {} of the registry is of type {}, and not {KIND}",
            found.id, found.kind
        );
        return Err(Error::data(text));
    }
    File::parse(&found.text, &found.references).map_err(|cause| {
        Error::data(format!(
            "schema {} of the registry cannot be read as Protobuf: {cause}",
            found.id
        ))
    })
}

impl Converter for ProtobufConverter {
    fn from_connect<'a>(
        &mut self,
        topic: &str,
        schema: Option<&SchemaRef>,
        value: ValueRef<'a>,
        scratch: &mut Vec<u8>,
    ) -> Result<Written<'a>> {
        if value.is_null() {
            return Ok(Written::Null);
        }
        let Some(schema) = schema else {
            self.asker.lacks_nothing();
            return Err(Error::data(format!(
                "Failed to serialize Protobuf data from topic {topic}: a value without a schema cannot be written as Protobuf"
            )));
        };
        let writer = self.writer(topic, schema)?;
        let start = scratch.len();
        scratch.extend_from_slice(&writer.prefix);
        match writer.plan.write(value, scratch) {
            Ok(()) => Ok(Written::Scratch(start..scratch.len())),
            Err(error) => {
                self.asker.lacks_nothing();
                scratch.truncate(start);
                Err(Error::data(format!(
                    "Failed to serialize Protobuf data from topic {topic}: {error}"
                )))
            }
        }
    }

    fn to_connect(&mut self, topic: &str, input: Option<Input<'_>>, batch: &mut Backing) -> Result<Field> {
        let Some(input) = input else {
            return Ok(Field::default());
        };
        let id = registry::read_prefix(input.bytes).inspect_err(|_| self.asker.lacks_nothing())?;
        let reader = self.reader(topic, id, input.bytes.get(PREFIX..).unwrap_or_default())?;
        let mut out = Out {
            batch,
            span: input.span,
            bytes: input.bytes,
            scratch: &mut self.scratch,
        };
        match reader.plan.read_all(PREFIX + reader.indexes.len(), &mut out) {
            Ok(datum) => Ok(Field {
                schema: Some(batch.schema(&reader.schema)),
                datum,
            }),
            Err(error) => {
                self.asker.lacks_nothing();
                let text =
                    format!("Failed to deserialize data for topic {topic} to Protobuf, with schema {id}: {error}");
                Err(Error::data(text))
            }
        }
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
