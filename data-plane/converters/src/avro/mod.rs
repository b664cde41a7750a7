//! `AvroConverter`: Avro in Confluent's form, with its schemas in a registry.
//!
//! A schema that comes or goes again and again is looked at once: what its bytes mean is kept as a plan (`read`, `write`). Schemas go
//! over into each other as in Confluent's `AvroData` (`to_connect`, `from_connect`).

mod anything;
mod default;
mod definition;
mod from_connect;
mod parse;
mod print;
mod read;
mod schema;
mod settings;
mod to_connect;
mod wire;
mod write;

use std::sync::Arc;

use dray_connect::backing::Backing;
use dray_connect::datum::{Datum, Field, ValueRef};
use dray_connect::schema::SchemaRef;
use dray_connect::{ConfigMap, Error, Result};
use tokio::time::Instant;

pub(crate) use self::definition::definition;
use self::read::{Out, Read};
use self::schema::{Kind, Schema};
use self::settings::Settings;
use self::wire::Bytes;
use self::write::{Planner, Write};
use crate::lru::Lru;
use crate::schema_registry::{self as registry, Asker, Config, Found, PREFIX, Question, Registering, Usage};
use crate::{Converter, Input, Lookup, Written};

pub(crate) const CLASS: &str = "io.confluent.connect.avro.AvroConverter";
/// The same in Apicurio's words.
pub(crate) const APICURIO_CLASS: &str = "io.apicurio.registry.utils.converter.AvroConverter";
/// What a registry calls such schemas.
const KIND: &str = "AVRO";

/// Topics that one schema is kept for. A converter has few, and one with many makes some plans again.
const TOPICS: usize = 16;

/// How the messages of one schema are read.
struct Reader {
    topic: Box<str>,
    id: i32,
    schema: Option<SchemaRef>,
    plan: Read,
    /// Whether all of a message is one value of `bytes`.
    is_bare: bool,
}

/// How the values of one schema are written.
struct Writer {
    topic: Box<str>,
    /// Kept, so that its address stays its own.
    schema: Option<SchemaRef>,
    id: i32,
    plan: Write,
    is_bare: bool,
    /// When the schema that is written with has to be asked for again.
    until: Option<Instant>,
}

/// Writes and reads Avro.
pub struct AvroConverter {
    asker: Asker,
    usage: Usage,
    settings: Settings,
    is_key: bool,
    /// By the schema's id, for each topic.
    readers: Lru<i32, Vec<Arc<Reader>>>,
    last_reader: Option<Arc<Reader>>,
    /// By the address of the schema, for each topic.
    writers: Lru<usize, Vec<Arc<Writer>>>,
    last_writer: Option<Arc<Writer>>,
    stack: Vec<Datum>,
}

impl AvroConverter {
    /// A converter with the keys of Confluent's.
    pub fn new(config: &ConfigMap, is_key: bool) -> Result<Self> {
        let settings = Settings::read(config)?;
        Ok(Self {
            asker: Asker::new(Config::read(config)?)?,
            usage: Usage::read(config, is_key)?,
            is_key,
            readers: Lru::new(settings.cache),
            last_reader: None,
            writers: Lru::new(settings.cache),
            last_writer: None,
            stack: Vec::new(),
            settings,
        })
    }

    /// How messages with that id are read.
    #[inline]
    fn reader(&mut self, topic: &str, id: i32) -> Result<Arc<Reader>> {
        if let Some(last) = &self.last_reader
            && last.id == id
            && *last.topic == *topic
        {
            return Ok(Arc::clone(last));
        }
        self.other_reader(topic, id)
    }

    #[inline(never)]
    fn other_reader(&mut self, topic: &str, id: i32) -> Result<Arc<Reader>> {
        let known = self
            .readers
            .get(&id)
            .and_then(|all| all.iter().find(|reader| *reader.topic == *topic));
        if let Some(known) = known.cloned() {
            self.last_reader = Some(Arc::clone(&known));
            return Ok(known);
        }
        let found = self.asker.answer(Question::ById { id }, None)?;
        let reader = Arc::new(self.new_reader(topic, &found)?);
        let mut all = self.readers.get(&id).cloned().unwrap_or_default();
        if all.len() >= TOPICS {
            all.remove(0);
        }
        all.push(Arc::clone(&reader));
        self.readers.insert(id, all);
        self.last_reader = Some(Arc::clone(&reader));
        Ok(reader)
    }

    fn new_reader(&self, topic: &str, found: &Found) -> Result<Reader> {
        let avro = parsed(found)?;
        let record = avro.record_name();
        let subject = self.usage.strategy.subject(topic, self.is_key, record.as_deref());
        let version = subject.ok().and_then(|subject| {
            let is_its = |(of, _): &&(String, i32)| *of == subject;
            found.versions.iter().find(is_its).map(|(_, version)| *version)
        });
        let id = found.id;
        let cannot = |error: Error| Error::data(format!("schema {id} of topic {topic}: {error}"));
        let schema = if anything::is_anything(&avro, avro.root()) {
            None
        } else {
            Some(to_connect::to_connect(&avro, version, &self.settings).map_err(cannot)?)
        };
        Ok(Reader {
            topic: topic.into(),
            id,
            plan: Read::of(&avro, avro.root(), schema.as_ref()).map_err(cannot)?,
            schema,
            is_bare: is_bare(&avro),
        })
    }

    /// How values of that schema are written.
    #[inline]
    fn writer(&mut self, topic: &str, schema: Option<&SchemaRef>) -> Result<Arc<Writer>> {
        if let Some(last) = &self.last_writer
            && last.is_of(topic, schema)
        {
            return Ok(Arc::clone(last));
        }
        self.other_writer(topic, schema)
    }

    #[inline(never)]
    fn other_writer(&mut self, topic: &str, schema: Option<&SchemaRef>) -> Result<Arc<Writer>> {
        let address = schema.map_or(0, |schema| Arc::as_ptr(schema).addr());
        let mut all = self.writers.get(&address).cloned().unwrap_or_default();
        if let Some(known) = all.iter().find(|writer| writer.is_of(topic, schema)) {
            self.last_writer = Some(Arc::clone(known));
            return Ok(Arc::clone(known));
        }
        let writer = Arc::new(self.new_writer(topic, schema)?);
        all.retain(|other| *other.topic != *topic);
        if all.len() >= TOPICS {
            all.remove(0);
        }
        all.push(Arc::clone(&writer));
        self.writers.insert(address, all);
        self.last_writer = Some(Arc::clone(&writer));
        Ok(writer)
    }

    fn new_writer(&mut self, topic: &str, schema: Option<&SchemaRef>) -> Result<Writer> {
        let own = from_connect::from_connect(schema, &self.settings)?;
        let subject = self
            .usage
            .strategy
            .subject(topic, self.is_key, own.record_name().as_deref());
        let (subject, normalize) = (Arc::from(subject?), self.usage.normalize);
        let mut until = None;
        let (question, strict) = match self.usage.registering {
            Registering::Register | Registering::Find => {
                let text = print::print(&own).into();
                let question = if self.usage.registering == Registering::Register {
                    Question::Register {
                        subject,
                        kind: KIND,
                        text,
                        normalize,
                    }
                } else {
                    Question::Find {
                        subject,
                        kind: KIND,
                        text,
                        normalize,
                    }
                };
                (question, false)
            }
            Registering::Latest { strict } => {
                until = self.usage.latest_ttl.map(|ttl| Instant::now() + ttl);
                (Question::Latest { subject }, strict)
            }
            Registering::Id { id, strict } => (Question::ById { id }, strict),
        };
        let found = self.asker.answer(question, self.usage.latest_ttl)?;
        let avro = match self.usage.registering {
            Registering::Register | Registering::Find => own,
            Registering::Latest { .. } | Registering::Id { .. } => parsed(&found)?,
        };
        let planner = Planner {
            schema: &avro,
            settings: &self.settings,
            strict,
        };
        let plan = planner.root(schema).map_err(|error| {
            let id = found.id;
            let is_chosen = matches!(self.usage.registering, Registering::Id { .. });
            let key = if is_chosen {
                "id.compatibility.strict"
            } else {
                "latest.compatibility.strict"
            };
            Error::data(format!(
                "Incompatible schema: the {} of topic {topic} cannot be written with schema {id}: {error}; {key}=false \
                 allows what may still fit in some values",
                if self.is_key { "key" } else { "value" }
            ))
        })?;
        Ok(Writer {
            topic: topic.into(),
            schema: schema.cloned(),
            id: found.id,
            plan,
            is_bare: is_bare(&avro),
            until,
        })
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

/// The schema that a registry gave.
fn parsed(found: &Found) -> Result<Schema> {
    if found.kind != KIND {
        let text = format!(
            "schema {} of the registry is of type {}, and not AVRO",
            found.id, found.kind
        );
        return Err(Error::data(text));
    }
    let references = found.references.iter().map(|reference| Arc::clone(&reference.text));
    parse::parse(&found.text, &references.collect::<Vec<_>>()).map_err(|cause| {
        Error::data(format!(
            "schema {} of the registry is no Avro schema: {cause}",
            found.id
        ))
    })
}

fn is_bare(schema: &Schema) -> bool {
    matches!(schema.kind(schema.root()), Kind::Bytes)
}

impl Converter for AvroConverter {
    fn from_connect<'a>(
        &mut self,
        topic: &str,
        schema: Option<&SchemaRef>,
        value: ValueRef<'a>,
        scratch: &mut Vec<u8>,
    ) -> Result<Written<'a>> {
        if value.is_null() {
            return match schema.filter(|schema| !schema.optional()) {
                None => Ok(Written::Null),
                Some(_) => Err(Error::data("Found null value for non-optional schema")),
            };
        }
        let writer = self.writer(topic, schema)?;
        let start = scratch.len();
        registry::write_prefix(writer.id, scratch);
        let written = if writer.is_bare {
            writer.plan.bare(value, scratch)
        } else {
            writer.plan.write(value, scratch)
        };
        match written {
            Ok(()) => Ok(Written::Scratch(start..scratch.len())),
            Err(error) => {
                self.asker.lacks_nothing();
                scratch.truncate(start);
                Err(Error::data(format!(
                    "Failed to serialize Avro data from topic {topic}: {error}"
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
        self.stack.clear();
        let mut out = Out {
            batch,
            span: input.span,
            stack: &mut self.stack,
        };
        let mut bytes = Bytes::new(input.bytes, PREFIX);
        let read = if reader.is_bare {
            reader.plan.bare(&mut bytes, input.bytes.len() - PREFIX, &mut out)
        } else {
            reader.plan.read(&mut bytes, &mut out)
        };
        match read {
            Ok(datum) => Ok(Field {
                schema: reader.schema.as_ref().map(|schema| batch.schema(schema)),
                datum,
            }),
            Err(error) => {
                self.asker.lacks_nothing();
                let text = format!("Failed to deserialize data for topic {topic} to Avro, with schema {id}: {error}");
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
