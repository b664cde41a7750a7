//! `StringConverter`: text, whatever the schema says.

use std::io::Write as _;

use dray_connect::backing::Backing;
use dray_connect::datum::{Datum, Field, Utf8Span, ValueRef};
use dray_connect::schema::{Schema, SchemaRef};
use dray_connect::{ConfigMap, Error, Result};

use crate::charset::Charset;
use crate::{Converter, Input, Written};

pub(crate) const CLASS: &str = "org.apache.kafka.connect.storage.StringConverter";
const ENCODING: &str = "converter.encoding";

/// Writes what `toString` prints; reads text.
#[derive(Debug)]
pub struct StringConverter {
    charset: Charset,
    schema: SchemaRef,
}

impl StringConverter {
    /// The Java class that this one stands for.
    pub const CLASS: &'static str = CLASS;

    /// A converter with `converter.encoding`, which is UTF-8 when unset.
    ///
    /// Java takes any charset it knows, and finds out about others at the first record. Here the Unicode and Latin ones
    /// are known, and others are refused now.
    pub fn new(config: &ConfigMap) -> Result<Self> {
        let charset = match config.get(ENCODING) {
            None => Charset::Utf8,
            Some(name) => Charset::of_name(name).ok_or_else(|| {
                let problem = "the encoding must be one of UTF-8, ISO-8859-1, US-ASCII, UTF-16, UTF-16BE, UTF-16LE";
                Error::invalid_config(ENCODING, Some(name), Some(problem))
            })?,
        };
        Ok(Self {
            charset,
            schema: Schema::optional_string(),
        })
    }
}

impl Converter for StringConverter {
    fn from_connect<'a>(
        &mut self,
        _topic: &str,
        _schema: Option<&SchemaRef>,
        value: ValueRef<'a>,
        scratch: &mut Vec<u8>,
    ) -> Result<Written<'a>> {
        let start = scratch.len();
        match (value, self.charset) {
            (ValueRef::Null, _) => return Ok(Written::Null),
            // The bytes of a text are UTF-8 already.
            (ValueRef::Str(text), Charset::Utf8) => return Ok(Written::Same(text)),
            (value, Charset::Utf8) => {
                write!(scratch, "{}", value.to_value())
                    .map_err(|cause| Error::data("Failed to serialize to a string: ").with_source(cause))?;
            }
            (value, charset) => charset.encode(&value.to_value().to_string(), scratch),
        }
        Ok(Written::Scratch(start..scratch.len()))
    }

    fn to_connect(&mut self, _topic: &str, input: Option<Input<'_>>, batch: &mut Backing) -> Result<Field> {
        let datum = match (input, self.charset) {
            (None, _) => Datum::Null,
            (Some(input), Charset::Utf8) => match Utf8Span::new(batch, input.span) {
                Some(text) => Datum::Str(text),
                None => batch.text(&Charset::Utf8.decode(input.bytes)),
            },
            (Some(input), charset) => batch.text(&charset.decode(input.bytes)),
        };
        let schema = Some(batch.schema(&self.schema));
        Ok(Field { schema, datum })
    }

    fn keeps_text(&self) -> Option<&SchemaRef> {
        (self.charset == Charset::Utf8).then_some(&self.schema)
    }

    fn class(&self) -> &'static str {
        CLASS
    }
}
