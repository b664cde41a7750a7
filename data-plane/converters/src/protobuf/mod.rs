//! `ProtobufConverter`: Protobuf in Confluent's form, with its schemas in a registry.
//!
//! A schema that comes or goes again and again is looked at once: what its bytes mean is kept as a plan (`read`, `write`). Schemas go
//! over into each other as in Confluent's `ProtobufData` (`to_connect`, `from_connect`). Descriptors are prost-reflect's, and are only looked at to
//! make plans.

mod again;
mod builtin;
mod definition;
mod draft;
mod from_connect;
mod plan;
mod print;
mod read;
mod read_plan;
mod scalar;
mod schema;
mod settings;
mod to_connect;
mod well_known;
mod wire;
mod write;

use std::borrow::Cow;
use std::sync::Arc;

use dray_connect::backing::Backing;
use dray_connect::datum::{Field, ValueRef};
use dray_connect::schema::SchemaRef;
use dray_connect::{ConfigMap, Error, Result};

pub(crate) use self::definition::definition;
use self::plan::{Plan, Planner};
use self::read::{Out, Scratch};
use self::schema::File;
use self::settings::Settings;
use crate::schema_registry::{Format, Found, ReadWith, RegistryConverter, WrittenWith};
use crate::{Converter, Input};

pub(crate) const CLASS: &str = "io.confluent.connect.protobuf.ProtobufConverter";

/// A converter with the keys of Confluent's.
pub(crate) fn converter(config: &ConfigMap, is_key: bool) -> Result<Box<dyn Converter>> {
    Ok(Box::new(RegistryConverter::<Protobuf>::new(config, is_key)?))
}

/// Protobuf as a registry has it.
struct Protobuf {
    settings: Settings,
    scratch: Scratch,
}

/// How messages are read.
struct Reader {
    schema: SchemaRef,
    plan: read_plan::Plan,
}

/// The text of a .proto file, and the full name of the message that values are.
struct Own {
    text: Arc<str>,
    name: String,
}

impl Format for Protobuf {
    const CLASS: &'static str = CLASS;
    const KIND: &'static str = "PROTOBUF";
    const NAME: &'static str = "Protobuf";
    const LENIENT: &'static str = "leaves out fields that it has not";

    type Schema = File;
    type Own = Own;
    type Read = Reader;
    type Write = Plan;

    fn configured(config: &ConfigMap) -> Result<Self> {
        Ok(Self {
            settings: Settings::read(config)?,
            scratch: Scratch::default(),
        })
    }

    fn cache(&self) -> usize {
        self.settings.cache
    }

    fn cannot_read(topic: &str) -> String {
        format!("Failed to deserialize data for topic {topic} to Protobuf")
    }

    fn cannot_write(topic: &str) -> String {
        format!("Failed to serialize Protobuf data from topic {topic}")
    }

    /// The message indexes.
    fn part_length(bytes: &[u8]) -> Result<usize> {
        wire::read_indexes(bytes).map(|(_, length)| length)
    }

    fn part(indexes: &[usize]) -> Vec<u8> {
        wire::write_indexes(indexes)
    }

    fn parsed(&self, found: &Found) -> Result<File> {
        File::parse(&found.text, &found.references)
    }

    fn record_name(file: &File, part: &[u8]) -> Result<Option<String>> {
        let (indexes, _) = wire::read_indexes(part)?;
        Ok(Some(file.message(&indexes)?.full_name().to_owned()))
    }

    /// Fields go by their numbers: only the message counts that values are to have, which is the one of the same name.
    fn reader(&self, with: ReadWith<File>, part: &[u8]) -> Result<Reader> {
        let (indexes, _) = wire::read_indexes(part)?;
        let message = with.writer.message(&indexes)?;
        let (message, version) = match with.reader {
            None => (message, with.version),
            Some((file, version)) => (file.named_or_first(message.full_name())?, version),
        };
        let schema = to_connect::to_connect(&message, version, &self.settings)?;
        let plan = read_plan::plan(&message, &schema, &self.settings)?;
        Ok(Reader { schema, plan })
    }

    #[inline]
    fn read(&mut self, reader: &Reader, input: Input<'_>, start: usize, batch: &mut Backing) -> Result<Field> {
        let mut out = Out {
            batch,
            span: input.span,
            bytes: input.bytes,
            scratch: &mut self.scratch,
        };
        let datum = reader.plan.root.read_all(start, &mut out)?;
        Ok(Field {
            schema: Some(batch.schema(&reader.schema)),
            datum,
        })
    }

    fn is_tombstone(&self, _schema: Option<&SchemaRef>) -> Result<bool> {
        Ok(true)
    }

    fn own(&self, schema: Option<&SchemaRef>) -> Result<Own> {
        let own = from_connect::from_connect(described(schema)?, &self.settings)?;
        Ok(Own {
            text: own.text.into(),
            name: own.name,
        })
    }

    fn name(own: &Own) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(&own.name))
    }

    fn text(own: &Own) -> Option<Arc<str>> {
        Some(Arc::clone(&own.text))
    }

    fn writer(&self, schema: Option<&SchemaRef>, own: Own, with: &WrittenWith<'_, File>) -> Result<(Plan, Vec<u8>)> {
        let (message, indexes) = (with.parsed)()?.find(&own.name)?;
        let planner = Planner::new(&self.settings, with.strict);
        let plan = planner.plan(described(schema)?, &message).map_err(with.misfit)?;
        Ok((plan, Self::part(&indexes)))
    }

    #[inline]
    fn write(plan: &Plan, value: ValueRef<'_>, out: &mut Vec<u8>) -> Result<bool> {
        plan.root.write(value, out)?;
        Ok(true)
    }
}

fn described(schema: Option<&SchemaRef>) -> Result<&SchemaRef> {
    schema.ok_or_else(|| Error::data("a value without a schema cannot be written as Protobuf"))
}

#[cfg(test)]
mod tests;
