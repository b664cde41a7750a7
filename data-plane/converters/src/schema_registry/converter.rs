//! What the converters of all formats do alike: they find the schema of a message or a value, keep what they have made of it, and write and
//! read its id, before the value or in a header. What a schema and its values are is each [`Format`]'s own.

use std::borrow::Cow;
use std::sync::Arc;

use dray_connect::backing::Backing;
use dray_connect::datum::{Field, ValueRef};
use dray_connect::schema::SchemaRef;
use dray_connect::{ConfigMap, Error, Result};
use tokio::time::Instant;

use super::{Asker, Config, Found, IdReading, IdWriting, Latest, Plans, Question, Registering, SchemaId, Usage};
use crate::{Converter, Input, Lookup, ReadHeaders, Written, WrittenHeaders};

/// A format of messages whose schemas are in a registry. What it makes of a schema is kept, so that only `read` and `write` are called for
/// each record.
pub(crate) trait Format: Sized + Send {
    /// The Java class of its converter.
    const CLASS: &'static str;
    /// What a registry calls its schemas.
    const KIND: &'static str;
    /// What errors call them.
    const NAME: &'static str;
    /// What `latest.compatibility.strict=false` and `id.compatibility.strict=false` do, as errors advise it.
    const LENIENT: &'static str;

    /// A schema of the format.
    type Schema;
    /// What is made of one of Connect's, to be registered.
    type Own;
    /// How the messages of one schema are read.
    type Read: Send + Sync;
    /// How the values of one schema are written.
    type Write: Send + Sync;

    /// With the keys of Confluent's.
    fn configured(config: &ConfigMap) -> Result<Self>;

    /// For how many schemas plans are kept.
    fn cache(&self) -> usize;

    /// What Connect says when a message or a value of a topic fails.
    fn cannot_read(topic: &str) -> String;
    fn cannot_write(topic: &str) -> String;

    /// How many bytes behind the id of a schema say which part of it a message is.
    fn part_length(_bytes: &[u8]) -> Result<usize> {
        Ok(0)
    }

    /// The bytes that say so; `indexes` are Protobuf's.
    fn part(_indexes: &[usize]) -> Vec<u8> {
        Vec::new()
    }

    /// The schema that a registry gave.
    fn parsed(&self, found: &Found) -> Result<Self::Schema>;

    /// The name of the record that messages of that part of a schema are, if it has one.
    fn record_name(schema: &Self::Schema, part: &[u8]) -> Result<Option<String>>;

    /// How messages are read that say that part of a schema.
    fn reader(&self, with: ReadWith<Self::Schema>, part: &[u8]) -> Result<Self::Read>;

    /// The value of the bytes from `start` on.
    fn read(&mut self, plan: &Self::Read, input: Input<'_>, start: usize, batch: &mut Backing) -> Result<Field>;

    /// Whether null is written as no bytes at all.
    fn is_tombstone(&self, schema: Option<&SchemaRef>) -> Result<bool>;

    fn own(&self, schema: Option<&SchemaRef>) -> Result<Self::Own>;

    /// The name of its record, if it has one.
    fn name(own: &Self::Own) -> Option<Cow<'_, str>>;

    /// What is registered of it; none where there is nothing.
    fn text(own: &Self::Own) -> Option<Arc<str>>;

    /// How values are written, and the bytes behind the id of the schema.
    fn writer(
        &self,
        schema: Option<&SchemaRef>,
        own: Self::Own,
        with: &WrittenWith<'_, Self::Schema>,
    ) -> Result<(Self::Write, Vec<u8>)>;

    /// Appends a value, and says whether there was anything to write. After an error what was appended of it is still there.
    fn write(plan: &Self::Write, value: ValueRef<'_>, out: &mut Vec<u8>) -> Result<bool>;
}

/// The schemas that messages are read with, each with the version that it has under its subject.
pub(crate) struct ReadWith<S> {
    /// The one that they were written with.
    pub(crate) writer: S,
    pub(crate) version: Option<i32>,
    /// Another one that their values are to have.
    pub(crate) reader: Option<(S, Option<i32>)>,
}

impl<S> ReadWith<S> {
    /// The schema whose values come out.
    pub(crate) fn result(self) -> (S, Option<i32>) {
        self.reader.unwrap_or((self.writer, self.version))
    }
}

/// The schema that values are written with.
pub(crate) struct WrittenWith<'a, S> {
    pub(crate) parsed: &'a dyn Fn() -> Result<S>,
    /// Whether it is their own, and no other that was chosen.
    pub(crate) is_own: bool,
    /// Whether all values must fit one that was chosen.
    pub(crate) strict: bool,
    /// Says of an error that values do not fit.
    pub(crate) misfit: &'a dyn Fn(Error) -> Error,
}

/// How the messages of one schema are read.
struct Reader<R> {
    topic: Box<str>,
    id: SchemaId,
    /// What its messages say of themselves: the bytes of the schema's id, and which part of it.
    said: Box<[u8]>,
    /// The schema that its values have instead, `use.latest.version`.
    latest: Option<SchemaId>,
    /// When that has to be asked for again.
    until: Option<Instant>,
    plan: Arc<R>,
}

/// How the values of one schema are written.
struct Writer<W> {
    topic: Box<str>,
    /// Kept, so that its address stays its own.
    schema: Option<SchemaRef>,
    /// What its messages say of themselves.
    said: Box<[u8]>,
    plan: W,
    /// When the schema that is written with has to be asked for again.
    until: Option<Instant>,
}

/// Writes and reads a format.
pub(crate) struct RegistryConverter<F: Format> {
    format: F,
    asker: Asker,
    usage: Usage,
    /// When it was made: what was the newest schema before need not be any more.
    since: Instant,
    is_key: bool,
    /// The one that ids are written and read in.
    header: &'static str,
    /// What all messages are taken to say of themselves, where that is configured.
    configured: Option<Arc<[u8]>>,
    /// By what messages say of themselves.
    readers: Plans<Box<[u8]>, Reader<F::Read>>,
    /// By the address of the schema.
    writers: Plans<usize, Writer<F::Write>>,
}

impl<F: Format> RegistryConverter<F> {
    /// A converter with the keys of Confluent's.
    pub(crate) fn new(config: &ConfigMap, is_key: bool) -> Result<Self> {
        let format = F::configured(config)?;
        let usage = Usage::read(config, is_key)?;
        let configured = match &usage.reading {
            IdReading::Dual | IdReading::Prefix => None,
            IdReading::Configured(id, indexes) => {
                let mut said = Vec::new();
                id.write(&mut said);
                said.extend(F::part(indexes));
                Some(said.into())
            }
        };
        Ok(Self {
            asker: Asker::new(Config::read(config)?)?,
            usage,
            since: Instant::now(),
            is_key,
            header: if is_key { "__key_schema_id" } else { "__value_schema_id" },
            configured,
            readers: Plans::new(format.cache()),
            writers: Plans::new(format.cache()),
            format,
        })
    }

    /// How messages are read that say so of themselves. What says so is told to errors.
    #[inline]
    fn reader(&mut self, topic: &str, said: &[u8], is_header: bool) -> Result<Arc<Reader<F::Read>>> {
        let is_it = |reader: &Reader<F::Read>| {
            said.starts_with(&reader.said) && *reader.topic == *topic && is_fresh(reader.until)
        };
        match self.readers.last(is_it) {
            Some(last) => Ok(last),
            None => self.other_reader(topic, said, is_header),
        }
    }

    #[inline(never)]
    fn other_reader(&mut self, topic: &str, said: &[u8], is_header: bool) -> Result<Arc<Reader<F::Read>>> {
        let what = if is_header { self.header } else { "The message" };
        let place = SchemaId::read(said, what).and_then(|(id, behind)| {
            let part = F::part_length(said.get(behind..).unwrap_or_default())?;
            Ok((id, behind, behind + part))
        });
        let (id, behind, end) = place.inspect_err(|_| self.asker.lacks_nothing())?;
        let said = said.get(..end).unwrap_or_default();
        let of_topic = |reader: &Reader<F::Read>| *reader.topic == *topic;
        let known = self.readers.find(said, of_topic);
        if let Some(known) = known.as_ref().filter(|known| is_fresh(known.until)) {
            return Ok(Arc::clone(known));
        }
        let part = said.get(behind..).unwrap_or_default();
        let reader = self.new_reader(topic, id, said, part, known.as_deref())?;
        Ok(self.readers.keep(said.into(), reader, of_topic))
    }

    /// `before` is the one that there was before the newest schema had to be asked for again.
    fn new_reader(
        &mut self,
        topic: &str,
        id: SchemaId,
        said: &[u8],
        part: &[u8],
        before: Option<&Reader<F::Read>>,
    ) -> Result<Reader<F::Read>> {
        let found = self.asker.answer(Question::ById { id, under: None }, None)?;
        let written = self.written(topic, &found, part);
        let (mut with, subject) = written.inspect_err(|_| self.asker.lacks_nothing())?;
        if let (None, Ok(subject)) = (with.version, &subject) {
            with.version = self.later_version(id, subject)?;
        }
        let (latest, until) = match self.usage.latest.clone() {
            Some(latest) => {
                let subject = subject.inspect_err(|_| self.asker.lacks_nothing())?;
                (Some(self.latest(subject.into(), latest)?), self.until())
            }
            None => (None, None),
        };
        let latest = latest.filter(|latest| !latest.is_same(&found));
        let reader = |plan: Arc<F::Read>| Reader {
            topic: topic.into(),
            id,
            said: said.into(),
            latest: latest.as_ref().map(|latest| latest.id),
            until,
            plan,
        };
        if let Some(before) = before.filter(|before| before.latest == latest.as_ref().map(|latest| latest.id)) {
            return Ok(reader(Arc::clone(&before.plan)));
        }
        let plan = self.plan(with, latest.as_deref(), part);
        let plan = plan.map_err(|error| {
            self.asker.lacks_nothing();
            let schema = format!(
                "schema {}{}",
                found.id,
                self.read_as(latest.as_ref().map(|latest| latest.id))
            );
            Error::data(format!("{schema} of topic {topic}: {error}"))
        })?;
        Ok(reader(Arc::new(plan)))
    }

    /// The schema that messages were written with, and its subject: that there is none matters only to those who need it.
    fn written(&self, topic: &str, found: &Found, part: &[u8]) -> Result<(ReadWith<F::Schema>, Result<String>)> {
        has_kind::<F>(found)?;
        let writer = parsed(&self.format, found)?;
        let name = F::record_name(&writer, part)
            .map_err(|error| Error::data(format!("schema {} of topic {topic}: {error}", found.id)))?;
        let subject = self.usage.strategy.subject(topic, self.is_key, name.as_deref());
        let version = subject.as_ref().ok().and_then(|subject| found.version(subject));
        let with = ReadWith {
            writer,
            version,
            reader: None,
        };
        Ok((with, subject))
    }

    /// The version that a schema has got under a subject since it was first asked for: others of the process may have known it for long. It
    /// is asked for once by each converter that lacks it; without an answer about it there is none, unless nobody could say.
    fn later_version(&mut self, id: SchemaId, subject: &str) -> Result<Option<i32>> {
        let under = Some(subject.into());
        match self
            .asker
            .answer(Question::ById { id, under }, Some(self.since.elapsed()))
        {
            Ok(found) => Ok(found.version(subject)),
            Err(error) if error.is_retriable() => Err(error),
            Err(_) => Ok(None),
        }
    }

    fn plan(&self, with: ReadWith<F::Schema>, latest: Option<&Found>, part: &[u8]) -> Result<F::Read> {
        let reader = match latest {
            None => None,
            Some(latest) => {
                has_kind::<F>(latest)?;
                let version = latest.versions.first().map(|(_, version)| *version);
                Some((parsed(&self.format, latest)?, version))
            }
        };
        self.format.reader(ReadWith { reader, ..with }, part)
    }

    /// The newest schema of a subject: no older than it is allowed to be, or than this converter.
    fn latest(&mut self, subject: Arc<str>, latest: Latest) -> Result<Arc<Found>> {
        let ttl = self.usage.latest_ttl.unwrap_or_else(|| self.since.elapsed());
        self.asker.answer(Question::Latest { subject, latest }, Some(ttl))
    }

    /// What errors say of the schema that values have instead of the writer's.
    fn read_as(&self, latest: Option<SchemaId>) -> String {
        match (latest, &self.usage.latest) {
            (Some(id), Some(latest)) => format!(" read as schema {id} ({})", latest.key()),
            (_, _) => String::new(),
        }
    }

    /// When a newest schema that was found now has to be asked for again.
    fn until(&self) -> Option<Instant> {
        self.usage.latest_ttl.map(|ttl| Instant::now() + ttl)
    }

    #[cold]
    fn is_tombstone(&mut self, schema: Option<&SchemaRef>) -> Result<bool> {
        let is_tombstone = self.format.is_tombstone(schema);
        is_tombstone.inspect_err(|_| self.asker.lacks_nothing())
    }

    /// How values of that schema are written.
    #[inline]
    fn writer(&mut self, topic: &str, schema: Option<&SchemaRef>) -> Result<Arc<Writer<F::Write>>> {
        match self.writers.last(|writer| writer.is_of(topic, schema)) {
            Some(last) => Ok(last),
            None => self.other_writer(topic, schema),
        }
    }

    #[inline(never)]
    fn other_writer(&mut self, topic: &str, schema: Option<&SchemaRef>) -> Result<Arc<Writer<F::Write>>> {
        let address = schema.map_or(0, |schema| Arc::as_ptr(schema).addr());
        if let Some(known) = self.writers.find(&address, |writer| writer.is_of(topic, schema)) {
            return Ok(known);
        }
        let writer = self.new_writer(topic, schema)?;
        let of_topic = |writer: &Writer<F::Write>| *writer.topic == *topic;
        Ok(self.writers.keep(address, writer, of_topic))
    }

    fn new_writer(&mut self, topic: &str, schema: Option<&SchemaRef>) -> Result<Writer<F::Write>> {
        let own = self.format.own(schema).map_err(|error| {
            self.asker.lacks_nothing();
            Error::data(format!("{}: {error}", F::cannot_write(topic)))
        })?;
        let question = self.question(topic, &own).inspect_err(|_| self.asker.lacks_nothing())?;
        let (found, until) = match question {
            Question::Latest { subject, latest } => (self.latest(subject, latest)?, self.until()),
            Question::ById { .. } | Question::Find { .. } | Question::Register { .. } => {
                (self.asker.answer(question, None)?, None)
            }
        };
        has_kind::<F>(&found)?;
        let (is_own, strict, key) = match &self.usage.registering {
            Registering::Register | Registering::Find => (true, true, ""),
            Registering::Latest { strict, .. } => (false, *strict, "latest.compatibility.strict"),
            Registering::Id { strict, .. } => (false, *strict, "id.compatibility.strict"),
        };
        let misfit = |error: Error| {
            let (id, side) = (found.id, side(self.is_key));
            let advice = if strict && !is_own {
                format!("; {key}=false {}", F::LENIENT)
            } else {
                String::new()
            };
            Error::data(format!(
                "Incompatible schema: the {side} of topic {topic} cannot be written with schema {id}: {error}{advice}"
            ))
        };
        let with = WrittenWith {
            parsed: &|| parsed(&self.format, &found),
            is_own,
            strict,
            misfit: &misfit,
        };
        let (plan, part) = self.format.writer(schema, own, &with)?;
        let mut said = Vec::new();
        self.id_of(&found)?.write(&mut said);
        said.extend(part);
        Ok(Writer {
            topic: topic.into(),
            schema: schema.cloned(),
            said: said.into(),
            plan,
            until,
        })
    }

    /// The id that is written.
    fn id_of(&self, found: &Found) -> Result<SchemaId> {
        let (id, side) = (found.id, side(self.is_key));
        match self.usage.writing {
            IdWriting::Prefix => found.number.map(SchemaId::Number).ok_or_else(|| {
                Error::data(format!(
                    "the schema registry says no id of schema {id}, which stands before the {side}: \
                     {side}.schema.id.serializer=HeaderSchemaIdSerializer needs none"
                ))
            }),
            IdWriting::Header => found.guid.map(SchemaId::Guid).ok_or_else(|| {
                Error::data(format!(
                    "the schema registry says no GUID of schema {id}, which {side}.schema.id.serializer=HeaderSchemaIdSerializer \
                     writes: Confluent's has them from 8.0"
                ))
            }),
        }
    }

    /// What says which schema values are written with.
    fn question(&self, topic: &str, own: &F::Own) -> Result<Question> {
        let strategy = self.usage.strategy;
        let subject: Arc<str> = strategy.subject(topic, self.is_key, F::name(own).as_deref())?.into();
        let (kind, normalize) = (F::KIND, self.usage.normalize);
        let text = || {
            F::text(own).ok_or_else(|| {
                Error::data(format!(
                    "a value without a schema has none to register under subject {subject}; use.latest.version or use.schema.id \
                     write it with one that is there"
                ))
            })
        };
        Ok(match &self.usage.registering {
            Registering::Register => Question::Register {
                text: text()?,
                subject,
                kind,
                normalize,
            },
            Registering::Find => Question::Find {
                text: text()?,
                subject,
                kind,
                normalize,
            },
            Registering::Latest { latest, .. } => Question::Latest {
                subject,
                latest: latest.clone(),
            },
            Registering::Id { id, .. } => Question::ById { id: *id, under: None },
        })
    }
}

impl<W> Writer<W> {
    #[inline]
    fn is_of(&self, topic: &str, schema: Option<&SchemaRef>) -> bool {
        let is_same = match (&self.schema, schema) {
            (Some(own), Some(schema)) => Arc::ptr_eq(own, schema),
            (own, schema) => own.is_none() && schema.is_none(),
        };
        is_same && *self.topic == *topic && is_fresh(self.until)
    }
}

impl<F: Format> Converter for RegistryConverter<F> {
    fn from_connect<'a>(
        &mut self,
        topic: &str,
        schema: Option<&SchemaRef>,
        value: ValueRef<'a>,
        scratch: &mut Vec<u8>,
    ) -> Result<Written<'a>> {
        let (start, mut headers) = (scratch.len(), WrittenHeaders::default());
        let written = self.from_connect_with_headers(topic, &mut headers, schema, value, scratch)?;
        if headers.all().is_empty() {
            return Ok(written);
        }
        scratch.truncate(start);
        Err(Error::data(format!(
            "Missing headers: {}.schema.id.serializer=HeaderSchemaIdSerializer needs a record with headers",
            side(self.is_key)
        )))
    }

    fn from_connect_with_headers<'a>(
        &mut self,
        topic: &str,
        headers: &mut WrittenHeaders<'_>,
        schema: Option<&SchemaRef>,
        value: ValueRef<'a>,
        scratch: &mut Vec<u8>,
    ) -> Result<Written<'a>> {
        if value.is_null() && self.is_tombstone(schema)? {
            return Ok(Written::Null);
        }
        let writer = self.writer(topic, schema)?;
        let start = scratch.len();
        if self.usage.writing == IdWriting::Prefix {
            scratch.extend_from_slice(&writer.said);
        }
        match F::write(&writer.plan, value, scratch) {
            Ok(true) => {
                let written = start..scratch.len();
                if self.usage.writing == IdWriting::Header {
                    headers.ensure(self.header, &writer.said, scratch);
                }
                Ok(Written::Scratch(written))
            }
            Ok(false) => {
                scratch.truncate(start);
                Ok(Written::Null)
            }
            Err(error) => {
                self.asker.lacks_nothing();
                scratch.truncate(start);
                Err(Error::data(format!("{}: {error}", F::cannot_write(topic))))
            }
        }
    }

    fn to_connect(&mut self, topic: &str, input: Option<Input<'_>>, batch: &mut Backing) -> Result<Field> {
        self.to_connect_with_headers(topic, ReadHeaders::default(), input, batch)
    }

    fn to_connect_with_headers(
        &mut self,
        topic: &str,
        headers: ReadHeaders<'_>,
        input: Option<Input<'_>>,
        batch: &mut Backing,
    ) -> Result<Field> {
        let Some(input) = input else {
            return Ok(Field::default());
        };
        let configured = self.configured.clone();
        // What stands elsewhere than before the value.
        let beside = match &self.usage.reading {
            IdReading::Dual => headers.last(self.header),
            IdReading::Prefix => None,
            IdReading::Configured(..) => configured.as_deref(),
        };
        let reader = self.reader(topic, beside.unwrap_or(input.bytes), beside.is_some())?;
        let start = if beside.is_some() { 0 } else { reader.said.len() };
        let read = self.format.read(&reader.plan, input, start, batch);
        read.map_err(|error| {
            self.asker.lacks_nothing();
            let (cannot, id) = (F::cannot_read(topic), reader.id);
            Error::data(format!(
                "{cannot}, with schema {id}{}: {error}",
                self.read_as(reader.latest)
            ))
        })
    }

    fn lookup(&mut self) -> Option<Lookup> {
        self.asker.lookup()
    }

    fn class(&self) -> &'static str {
        F::CLASS
    }
}

fn side(is_key: bool) -> &'static str {
    if is_key { "key" } else { "value" }
}

fn is_fresh(until: Option<Instant>) -> bool {
    until.is_none_or(|until| Instant::now() < until)
}

/// The schema that a registry gave.
fn parsed<F: Format>(format: &F, found: &Found) -> Result<F::Schema> {
    let (id, name) = (found.id, F::NAME);
    let parsed = format.parsed(found);
    parsed.map_err(|cause| Error::data(format!("schema {id} of the registry cannot be read as {name}: {cause}")))
}

/// Checks that a schema that a registry gave is of the format.
fn has_kind<F: Format>(found: &Found) -> Result<()> {
    if found.kind == F::KIND {
        return Ok(());
    }
    let (id, kind, own) = (found.id, &found.kind, F::KIND);
    Err(Error::data(format!(
        "schema {id} of the registry is of type {kind}, and not {own}"
    )))
}
