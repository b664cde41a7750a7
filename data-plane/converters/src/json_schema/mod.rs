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
mod validate;
mod write;

use std::borrow::Cow;
use std::sync::Arc;

use dray_connect::backing::Backing;
use dray_connect::datum::{Field, ValueRef};
use dray_connect::schema::SchemaRef;
use dray_connect::{ConfigMap, Error, Result};

pub(crate) use self::definition::definition;
use self::document::Documents;
use self::read::Reading;
use self::settings::Settings;
use self::validate::Validator;
use crate::json::encoding;
use crate::schema_registry::{Format, Found, ReadWith, RegistryConverter, WrittenWith};
use crate::{Converter, Input};

pub(crate) const CLASS: &str = "io.confluent.connect.json.JsonSchemaConverter";

/// A converter with the keys of Confluent's.
pub(crate) fn converter(config: &ConfigMap, is_key: bool) -> Result<Box<dyn Converter>> {
    Ok(Box::new(RegistryConverter::<JsonSchema>::new(config, is_key)?))
}

/// JSON with its schemas as a registry has them.
struct JsonSchema {
    settings: Settings,
    reading: Reading,
}

/// How messages are read, or values written, and what they have to be valid by, if that is asked for.
struct Checked<T> {
    plan: T,
    validator: Option<Validator>,
}

/// The text of a schema, and what it says.
type Own = Option<(Arc<str>, Documents)>;

impl Format for JsonSchema {
    const CLASS: &'static str = CLASS;
    const KIND: &'static str = "JSON";
    const NAME: &'static str = "JSON Schema";
    const LENIENT: &'static str = "writes it all the same";

    type Schema = Documents;
    type Own = Own;
    type Read = Checked<read::Plan>;
    type Write = Checked<write::Plan>;

    fn configured(config: &ConfigMap) -> Result<Self> {
        Ok(Self {
            settings: Settings::read(config)?,
            reading: Reading::default(),
        })
    }

    fn cache(&self) -> usize {
        self.settings.cache
    }

    fn cannot_read(topic: &str) -> String {
        format!("Converting byte[] to Kafka Connect data failed due to serialization error of topic {topic}")
    }

    fn cannot_write(topic: &str) -> String {
        format!("Converting Kafka Connect data to byte[] failed due to serialization error of topic {topic}")
    }

    fn parsed(&self, found: &Found) -> Result<Documents> {
        let ignore_modern = self.settings.ignore_modern;
        Documents::parse(&found.text, &found.references, &found.aliases, ignore_modern)
    }

    fn record_name(documents: &Documents, _part: &[u8]) -> Result<Option<String>> {
        Ok(documents.title().map(str::to_owned))
    }

    /// JSON says itself what it is: only the schema counts that values are to have.
    fn reader(&self, with: ReadWith<Documents>, _part: &[u8]) -> Result<Checked<read::Plan>> {
        let (documents, version) = with.result();
        let schema = to_connect::to_connect(&documents, version, &self.settings)?;
        Ok(Checked {
            plan: read::Plan::of(&schema)?,
            validator: self.validator(|| Ok(documents))?,
        })
    }

    #[inline]
    fn read(
        &mut self,
        with: &Checked<read::Plan>,
        input: Input<'_>,
        start: usize,
        batch: &mut Backing,
    ) -> Result<Field> {
        let plan = &with.plan;
        let bytes = input.bytes.get(start..).unwrap_or_default();
        let text = encoding::to_utf8(bytes).ok_or_else(|| Error::data("the text is in no encoding of Unicode"))?;
        if let Some(validator) = &with.validator {
            validator.check(&text)?;
        }
        // A mark may have been cut off.
        let span = match &text {
            Cow::Borrowed(text) => Some(input.span.slice(input.span.len() - text.len(), input.span.len())),
            Cow::Owned(_) => None,
        };
        let (datum, end) = plan.read(&text, span, batch, &mut self.reading)?;
        // What follows the value is ignored, as Jackson does, but a number has to end.
        let is_cut = end > 0 && text[end - 1].is_ascii_digit();
        if is_cut && !matches!(text.get(end), None | Some(b' ' | b'\t' | b'\r' | b'\n')) {
            return Err(Error::data(format!(
                "malformed JSON: expected a blank after a number at the root at byte {end}"
            )));
        }
        Ok(Field {
            schema: Some(batch.schema(plan.schema())),
            datum,
        })
    }

    /// Null is written where it may be: as itself, or as a default. Elsewhere it is a tombstone, as in Java.
    fn is_tombstone(&self, schema: Option<&SchemaRef>) -> Result<bool> {
        let has_default = |schema: &SchemaRef| schema.default().is_some() && !self.settings.ignore_defaults;
        let has_null = schema.is_some_and(|schema| schema.optional() || has_default(schema));
        Ok(!has_null)
    }

    fn own(&self, schema: Option<&SchemaRef>) -> Result<Own> {
        let Some(schema) = schema else {
            return Ok(None);
        };
        let text: Arc<str> = from_connect::from_connect(schema, &self.settings)?.into();
        let documents = Documents::parse(&text, &[], &[], false)?;
        Ok(Some((text, documents)))
    }

    fn name(own: &Own) -> Option<Cow<'_, str>> {
        let (_, documents) = own.as_ref()?;
        documents.title().map(Cow::Borrowed)
    }

    fn text(own: &Own) -> Option<Arc<str>> {
        own.as_ref().map(|(text, _)| Arc::clone(text))
    }

    /// Another schema says what is written; values are written by their own in any case.
    fn writer(
        &self,
        schema: Option<&SchemaRef>,
        own: Own,
        with: &WrittenWith<'_, Documents>,
    ) -> Result<(Checked<write::Plan>, Vec<u8>)> {
        if with.strict && !with.is_own {
            let fits = match &own {
                Some((_, own)) => compatible::check(own, &(with.parsed)()?),
                None => Err(Error::data("the value has no schema that could be compared")),
            };
            fits.map_err(with.misfit)?;
        }
        let of_value = own.filter(|_| with.is_own);
        let validator = self.validator(|| match of_value {
            Some((_, documents)) => Ok(documents),
            None => (with.parsed)(),
        })?;
        let plan = write::Plan::of(schema, &self.settings)?;
        Ok((Checked { plan, validator }, Vec::new()))
    }

    #[inline]
    fn write(with: &Checked<write::Plan>, value: ValueRef<'_>, out: &mut Vec<u8>) -> Result<bool> {
        let start = out.len();
        let is_written = with.plan.write(value, out)?;
        if let Some(validator) = with.validator.as_ref().filter(|_| is_written) {
            validator.check(&out[start..])?;
        }
        Ok(is_written)
    }
}

impl JsonSchema {
    /// What values of a schema have to be valid by.
    fn validator(&self, documents: impl FnOnce() -> Result<Documents>) -> Result<Option<Validator>> {
        let is_asked_for = self.settings.fail_invalid;
        is_asked_for.then(|| Validator::of(documents()?)).transpose()
    }
}

#[cfg(test)]
mod tests;
