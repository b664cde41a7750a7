//! `JsonConverter`: JSON, with the schema beside each value or without schemas.
//!
//! A schema that comes or goes again and again is neither parsed nor rendered again. `parser` and `node` are Jackson's
//! part, `read` and `write` Connect's.

mod base64;
mod encoding;
mod escape;
mod lru;
mod node;
mod parser;
mod read;
mod schema_read;
mod schema_write;
mod write;

use std::sync::Arc;

use dray_connect::datum::ValueRef;
use dray_connect::schema::SchemaRef;
use dray_connect::value::Value;
use dray_connect::{ConfigMap, Error, Result};

use self::lru::Lru;
use self::node::Node;
use self::read::Reader;
use self::write::{DecimalFormat, Writer};
use crate::{Converter, Parsed, Written, settings};

pub(crate) const CLASS: &str = "org.apache.kafka.connect.json.JsonConverter";
const SCHEMAS_ENABLE: &str = "schemas.enable";
const SCHEMAS_CACHE_SIZE: &str = "schemas.cache.size";
const DECIMAL_FORMAT: &str = "decimal.format";
const REPLACE_NULL: &str = "replace.null.with.default";
const SCHEMA_CONTENT: &str = "schema.content";

/// A schema and its JSON.
#[derive(Clone, Debug)]
struct Rendered {
    schema: SchemaRef,
    json: Arc<[u8]>,
}

/// Writes and reads JSON.
#[derive(Debug)]
pub struct JsonConverter {
    schemas_enabled: bool,
    /// The schema of every message (`schema.content`); what messages say of theirs is then not looked at.
    fixed: Option<SchemaRef>,
    writer: Writer,
    reader: Reader,
    /// By the address of the schema, which the entry keeps alive.
    rendered: Lru<usize, Rendered>,
    last_rendered: Option<Rendered>,
    /// By the bytes of the JSON.
    parsed: Lru<Arc<[u8]>, SchemaRef>,
    last_parsed: Option<Rendered>,
}

impl JsonConverter {
    /// A converter with `schemas.enable`, `schemas.cache.size`, `decimal.format`, `replace.null.with.default` and
    /// `schema.content`.
    pub fn new(config: &ConfigMap) -> Result<Self> {
        let replace_null_with_default = settings::boolean(config, REPLACE_NULL, true)?;
        let cache_size = settings::size(config, SCHEMAS_CACHE_SIZE, 1000)?;
        let reader = Reader {
            replace_null_with_default,
        };
        let decimal_format = match config.get(DECIMAL_FORMAT) {
            None => DecimalFormat::Base64,
            Some(text) if text.eq_ignore_ascii_case("base64") => DecimalFormat::Base64,
            Some(text) if text.eq_ignore_ascii_case("numeric") => DecimalFormat::Numeric,
            Some(text) => {
                let problem = "String must be one of (case insensitive): BASE64, NUMERIC";
                return Err(Error::invalid_config(DECIMAL_FORMAT, Some(text), Some(problem)));
            }
        };
        Ok(Self {
            schemas_enabled: settings::boolean(config, SCHEMAS_ENABLE, true)?,
            fixed: fixed_schema(config, reader)?,
            writer: Writer {
                decimal_format,
                replace_null_with_default,
            },
            reader,
            rendered: Lru::new(cache_size),
            last_rendered: None,
            parsed: Lru::new(cache_size),
            last_parsed: None,
        })
    }

    fn write(&mut self, schema: Option<&SchemaRef>, value: ValueRef<'_>, out: &mut Vec<u8>) -> Result<()> {
        if !self.schemas_enabled {
            return self.writer.value(schema.map(|schema| &**schema), value, 0, out);
        }
        out.extend_from_slice(b"{\"schema\":");
        match schema {
            Some(schema) => out.extend_from_slice(self.render(schema)?),
            None => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(b",\"payload\":");
        self.writer.value(schema.map(|schema| &**schema), value, 1, out)?;
        out.push(b'}');
        Ok(())
    }

    /// The JSON of a schema.
    fn render(&mut self, schema: &SchemaRef) -> Result<&[u8]> {
        let is_last = self
            .last_rendered
            .as_ref()
            .is_some_and(|last| Arc::ptr_eq(&last.schema, schema));
        if !is_last {
            let address = Arc::as_ptr(schema).addr();
            let known = self.rendered.get(&address).cloned();
            let rendered = match known {
                Some(rendered) => rendered,
                None => {
                    let mut json = Vec::new();
                    self.writer.schema(Some(schema), None, &mut json)?;
                    let rendered = Rendered {
                        schema: Arc::clone(schema),
                        json: json.into(),
                    };
                    self.rendered.insert(address, rendered.clone());
                    rendered
                }
            };
            self.last_rendered = Some(rendered);
        }
        Ok(self.last_rendered.as_ref().map(|last| &*last.json).unwrap_or_default())
    }

    fn read(&mut self, bytes: &[u8]) -> Result<(Option<SchemaRef>, Value)> {
        let text = encoding::to_utf8(bytes).ok_or_else(|| malformed("the text is in no encoding of Unicode"))?;
        let takes_schema = self.schemas_enabled && self.fixed.is_none();
        let known = self
            .last_parsed
            .as_ref()
            .filter(|_| takes_schema)
            .map(|last| &*last.json);
        let document = parser::parse(&text, known).map_err(malformed)?;
        if let Some(schema) = self.fixed.as_ref().filter(|_| self.schemas_enabled) {
            let value = self.reader.value(Some(schema), Some(document.root))?;
            return Ok((Some(Arc::clone(schema)), value));
        }
        if !self.schemas_enabled {
            return Ok((None, self.reader.value(None, Some(document.root))?));
        }
        let (schema, payload) = envelope(document.root)?;
        let json = document.schema.and_then(|range| text.get(range));
        let schema = self.schema(&schema, json)?;
        let value = self.reader.value(schema.as_ref(), Some(payload))?;
        Ok((schema, value))
    }

    /// The schema of an envelope, whose JSON is `json` unless it is the one known from the last message.
    fn schema(&mut self, node: &Node<'_>, json: Option<&[u8]>) -> Result<Option<SchemaRef>> {
        if let Node::KnownSchema = node {
            return Ok(self.last_parsed.as_ref().map(|last| Arc::clone(&last.schema)));
        }
        let Some(json) = json else {
            return self.reader.schema(node);
        };
        if let Some(schema) = self.parsed.get(json).cloned() {
            self.last_parsed = Some(Rendered {
                schema: Arc::clone(&schema),
                json: json.into(),
            });
            return Ok(Some(schema));
        }
        let schema = self.reader.schema(node)?;
        if let Some(schema) = &schema {
            let json: Arc<[u8]> = json.into();
            self.parsed.insert(Arc::clone(&json), Arc::clone(schema));
            self.last_parsed = Some(Rendered {
                schema: Arc::clone(schema),
                json,
            });
        }
        Ok(schema)
    }
}

/// The two members of an envelope, which must be all it has.
fn envelope(root: Node<'_>) -> Result<(Node<'_>, Node<'_>)> {
    if let Node::Object(members) = root
        && let Ok([first, second]) = <[_; 2]>::try_from(members)
    {
        match (&*first.0, &*second.0) {
            ("schema", "payload") => return Ok((first.1, second.1)),
            ("payload", "schema") => return Ok((second.1, first.1)),
            _ => {}
        }
    }
    Err(Error::data(
        "JsonConverter with schemas.enable requires \"schema\" and \"payload\" fields and may not contain additional \
         fields. If you are trying to deserialize plain JSON data, set schemas.enable=false in your converter \
         configuration.",
    ))
}

fn fixed_schema(config: &ConfigMap, reader: Reader) -> Result<Option<SchemaRef>> {
    let Some(text) = config.get(SCHEMA_CONTENT).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let document = parser::parse(text.as_bytes(), None).map_err(|cause| {
        Error::data("Failed to parse schema in converter config due to serialization error: ").with_source(cause)
    })?;
    reader.schema(&document.root)
}

fn malformed(cause: impl Into<dray_connect::error::BoxError>) -> Error {
    Error::data("Converting byte[] to Kafka Connect data failed due to serialization error: ").with_source(cause)
}

impl Converter for JsonConverter {
    fn from_connect<'a>(
        &mut self,
        _topic: &str,
        schema: Option<&SchemaRef>,
        value: ValueRef<'a>,
        scratch: &mut Vec<u8>,
    ) -> Result<Written<'a>> {
        if schema.is_none() && matches!(value, ValueRef::Null) {
            return Ok(Written::Null);
        }
        let start = scratch.len();
        match self.write(schema, value, scratch) {
            Ok(()) => Ok(Written::Scratch(start..scratch.len())),
            Err(error) => {
                scratch.truncate(start);
                Err(error)
            }
        }
    }

    fn to_connect(&mut self, _topic: &str, bytes: Option<&[u8]>) -> Result<(Option<SchemaRef>, Parsed)> {
        let Some(bytes) = bytes else {
            return Ok((None, Parsed::Null));
        };
        let (schema, value) = self.read(bytes)?;
        let parsed = if value.is_null() {
            Parsed::Null
        } else {
            Parsed::Value(value)
        };
        Ok((schema, parsed))
    }

    fn class(&self) -> &'static str {
        CLASS
    }
}
