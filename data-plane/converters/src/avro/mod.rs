//! `AvroConverter`: Avro in Confluent's form, with its schemas in a registry.
//!
//! A schema that comes or goes again and again is looked at once: what its bytes mean is kept as a plan (`read`, `write`). Schemas go
//! over into each other as in Confluent's `AvroData` (`to_connect`, `from_connect`).

mod again;
mod aliases;
mod anything;
mod default;
mod definition;
mod fill;
mod from_connect;
mod parse;
mod print;
mod read;
mod resolve;
mod resolved;
mod schema;
mod settings;
mod skip;
mod to_connect;
mod wire;
mod write;

use std::borrow::Cow;
use std::cell::Cell;
use std::sync::Arc;

use dray_connect::backing::Backing;
use dray_connect::datum::{Datum, Field, ValueRef};
use dray_connect::schema::SchemaRef;
use dray_connect::{ConfigMap, Error, Result};

use self::again::{ReadCells, WriteCells};
pub(crate) use self::definition::definition;
use self::read::{Out, Read};
use self::schema::{Kind, Schema};
use self::settings::Settings;
use self::wire::Bytes;
use self::write::{Plan, Planner};
use crate::again::MAX_LEVELS;
use crate::schema_registry::{Format, Found, ReadWith, RegistryConverter, WrittenWith};
use crate::{Converter, Input};

pub(crate) const CLASS: &str = "io.confluent.connect.avro.AvroConverter";
/// The same in Apicurio's words.
pub(crate) const APICURIO_CLASS: &str = "io.apicurio.registry.utils.converter.AvroConverter";

/// A converter with the keys of Confluent's.
pub(crate) fn converter(config: &ConfigMap, is_key: bool) -> Result<Box<dyn Converter>> {
    Ok(Box::new(RegistryConverter::<Avro>::new(config, is_key)?))
}

/// Avro as a registry has it.
struct Avro {
    settings: Settings,
    stack: Vec<Datum>,
}

/// How messages are read.
struct Reader {
    schema: Option<SchemaRef>,
    plan: Read,
    /// What the plan refers to.
    _cells: ReadCells,
    /// Whether all of a message is one value of `bytes`.
    is_bare: bool,
}

/// How values are written.
struct Writer {
    plan: Plan,
    is_bare: bool,
}

impl Format for Avro {
    const CLASS: &'static str = CLASS;
    const KIND: &'static str = "AVRO";
    const NAME: &'static str = "Avro";
    const LENIENT: &'static str = "allows what may still fit in some values";

    type Schema = Schema;
    type Own = Schema;
    type Read = Reader;
    type Write = Writer;

    fn configured(config: &ConfigMap) -> Result<Self> {
        Ok(Self {
            settings: Settings::read(config)?,
            stack: Vec::new(),
        })
    }

    fn cache(&self) -> usize {
        self.settings.cache
    }

    fn cannot_read(topic: &str) -> String {
        format!("Failed to deserialize data for topic {topic} to Avro")
    }

    fn cannot_write(topic: &str) -> String {
        format!("Failed to serialize Avro data from topic {topic}")
    }

    fn parsed(&self, found: &Found) -> Result<Schema> {
        let references = found.references.iter().map(|reference| Arc::clone(&reference.text));
        let parsed = parse::parse(&found.text, &references.collect::<Vec<_>>());
        parsed.map_err(|problem| Error::data(problem.to_string()))
    }

    fn record_name(schema: &Schema, _part: &[u8]) -> Result<Option<String>> {
        Ok(schema.record_name())
    }

    fn reader(&self, with: ReadWith<Schema>, _part: &[u8]) -> Result<Reader> {
        // As in Java: the version of the schema that the message was written with, also where values have another schema.
        let (version, writer) = (with.version, with.writer);
        writer.check_empty()?;
        let result = with.reader.as_ref().map_or(&writer, |(reader, _)| reader);
        let schema = if anything::is_anything(result, result.root()) {
            None
        } else {
            Some(to_connect::to_connect(result, version, &self.settings)?)
        };
        let is_bare = is_bare(&writer);
        let (plan, cells) = match &with.reader {
            None => again::plan(&writer, writer.root(), schema.as_ref())?,
            Some((reader, _)) => resolve::resolve(&Arc::new(writer), reader, schema.as_ref())?,
        };
        Ok(Reader {
            schema,
            plan,
            _cells: cells,
            is_bare,
        })
    }

    #[inline]
    fn read(&mut self, reader: &Reader, input: Input<'_>, start: usize, batch: &mut Backing) -> Result<Field> {
        self.stack.clear();
        let mut out = Out {
            batch,
            span: input.span,
            stack: &mut self.stack,
            levels: MAX_LEVELS,
        };
        let mut bytes = Bytes::new(input.bytes, start);
        let datum = if reader.is_bare {
            reader.plan.bare(&mut bytes, input.bytes.len() - start, &mut out)?
        } else {
            reader.plan.read(&mut bytes, &mut out)?
        };
        Ok(Field {
            schema: reader.schema.as_ref().map(|schema| batch.schema(schema)),
            datum,
        })
    }

    fn is_tombstone(&self, schema: Option<&SchemaRef>) -> Result<bool> {
        match schema.filter(|schema| !schema.optional()) {
            None => Ok(true),
            Some(_) => Err(Error::data("Found null value for non-optional schema")),
        }
    }

    fn own(&self, schema: Option<&SchemaRef>) -> Result<Schema> {
        from_connect::from_connect(schema, &self.settings)
    }

    fn name(own: &Schema) -> Option<Cow<'_, str>> {
        own.record_name().map(Cow::Owned)
    }

    fn text(own: &Schema) -> Option<Arc<str>> {
        Some(print::print(own).into())
    }

    fn writer(
        &self,
        schema: Option<&SchemaRef>,
        own: Schema,
        with: &WrittenWith<'_, Schema>,
    ) -> Result<(Writer, Vec<u8>)> {
        let avro = if with.is_own { own } else { (with.parsed)()? };
        let planner = Planner {
            schema: &avro,
            settings: &self.settings,
            strict: with.strict && !with.is_own,
            again: WriteCells::default(),
            planned: Cell::new(0),
            known: again::KnownRecords::default(),
        };
        let writer = Writer {
            plan: planner.root(schema).map_err(with.misfit)?,
            is_bare: is_bare(&avro),
        };
        Ok((writer, Vec::new()))
    }

    #[inline]
    fn write(writer: &Writer, value: ValueRef<'_>, out: &mut Vec<u8>) -> Result<bool> {
        if writer.is_bare {
            writer.plan.root.bare(value, out)?;
        } else {
            writer.plan.root.write(value, out)?;
        }
        Ok(true)
    }
}

fn is_bare(schema: &Schema) -> bool {
    matches!(schema.kind(schema.root()), Kind::Bytes)
}

#[cfg(test)]
mod tests;
