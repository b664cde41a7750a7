//! `JsonConverter`: JSON, with the schema beside each value or without schemas.
//!
//! A schema that comes or goes again and again is neither parsed nor rendered again. `scan`, `parser` and `node` are
//! Jackson's part, `read` and `write` Connect's. Two short cuts lead past `node` and `read`: a text without a schema is
//! parsed straight into the batch (`out`), and a payload that looks as its schema lets expect too (`expected`).

pub(crate) mod base64;
pub(crate) mod encoding;
pub(crate) mod escape;
mod expected;
pub(crate) mod node;
pub(crate) mod out;
mod outline;
pub(crate) mod parser;
pub(crate) mod read;
pub(crate) mod scan;
mod schema_read;
mod schema_write;
pub(crate) mod write;

use std::borrow::Cow;
use std::sync::Arc;

use dray_connect::backing::{Backing, Span};
use dray_connect::datum::{Datum, Field, ValueRef};
use dray_connect::schema::SchemaRef;
use dray_connect::{ConfigMap, Error, Result};

use self::expected::Plan;
use self::node::{Cell, Node, Tape};
use self::out::{Out, Schemaless};
use self::parser::Scratch;
use self::read::Reader;
use self::scan::Scanner;
use self::write::{DecimalFormat, Writer};
use crate::lru::Lru;
use crate::{Converter, Input, Written, settings};

pub(crate) const CLASS: &str = "org.apache.kafka.connect.json.JsonConverter";
const SCHEMAS_ENABLE: &str = "schemas.enable";
const SCHEMAS_CACHE_SIZE: &str = "schemas.cache.size";
const REPLACE_NULL: &str = "replace.null.with.default";
const SCHEMA_CONTENT: &str = "schema.content";

/// A schema and its JSON.
#[derive(Clone, Debug)]
struct Rendered {
    schema: SchemaRef,
    json: Arc<[u8]>,
    /// What to expect of its payloads.
    plan: Option<Plan>,
}

/// What parsing needs from call to call, so that it does not allocate.
#[derive(Debug, Default)]
struct Buffers {
    tape: Tape,
    cells: Scratch<Cell>,
    data: Scratch<Datum>,
    stack: Vec<Datum>,
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
    parsed: Lru<Arc<[u8]>, Rendered>,
    last_parsed: Option<Rendered>,
    buffers: Buffers,
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
        Ok(Self {
            schemas_enabled: settings::boolean(config, SCHEMAS_ENABLE, true)?,
            fixed: fixed_schema(config, reader)?,
            writer: Writer {
                decimal_format: DecimalFormat::read(config)?,
                replace_null_with_default,
            },
            reader,
            rendered: Lru::new(cache_size),
            last_rendered: None,
            parsed: Lru::new(cache_size),
            last_parsed: None,
            buffers: Buffers::default(),
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
                        plan: None,
                    };
                    self.rendered.insert(address, rendered.clone());
                    rendered
                }
            };
            self.last_rendered = Some(rendered);
        }
        Ok(self.last_rendered.as_ref().map(|last| &*last.json).unwrap_or_default())
    }

    fn read(&mut self, input: Input<'_>, batch: &mut Backing) -> Result<Field> {
        let text = encoding::to_utf8(input.bytes).ok_or_else(|| malformed("the text is in no encoding of Unicode"))?;
        // A mark may have been cut off.
        let span = match &text {
            Cow::Borrowed(text) => Some(input.span.slice(input.span.len() - text.len(), input.span.len())),
            Cow::Owned(_) => None,
        };
        let text: &[u8] = &text;
        self.buffers.stack.clear();
        let mut out = Out {
            batch,
            span,
            stack: &mut self.buffers.stack,
            levels: 0,
        };
        if !self.schemas_enabled {
            let mut sink = Schemaless { out, input: text };
            parser::parse(text, None, &mut sink, &mut self.buffers.data).map_err(malformed)?;
            return Ok(Field::schemaless(self.buffers.data.root().unwrap_or_default()));
        }
        let last = self.last_parsed.as_ref().filter(|_| self.fixed.is_none());
        if let Some(last) = last
            && let Some(datum) = expected_envelope(last, text, &mut out)
        {
            let schema = Some(batch.schema(&last.schema));
            return Ok(Field { schema, datum });
        }
        // Taken out for the call, in which the converter's other parts are needed.
        let mut buffers = std::mem::take(&mut self.buffers);
        let field = self.read_all(text, span, batch, &mut buffers);
        self.buffers = buffers;
        field
    }

    /// As [`JsonConverter::read`] where schemas are enabled, whatever comes.
    fn read_all(
        &mut self,
        text: &[u8],
        span: Option<Span>,
        batch: &mut Backing,
        buffers: &mut Buffers,
    ) -> Result<Field> {
        let last = self.last_parsed.as_ref().filter(|_| self.fixed.is_none());
        let known = last.map(|last| &*last.json);
        let Buffers { tape, cells, stack, .. } = buffers;
        tape.clear();
        stack.clear();
        let document = parser::parse(text, known, tape, cells).map_err(malformed)?;
        let root = tape.node(text, cells.root());
        let levels = 0;
        let mut out = Out {
            batch,
            span,
            stack,
            levels,
        };
        let (schema, payload) = match &self.fixed {
            Some(schema) => (Some(Arc::clone(schema)), root),
            None => {
                let (schema, payload) = envelope(root)?;
                let json = document.schema.and_then(|range| text.get(range));
                (self.schema(schema, json)?, payload)
            }
        };
        let datum = self.reader.value(schema.as_ref(), Some(payload), &mut out)?;
        let schema = schema.map(|schema| batch.schema(&schema));
        Ok(Field { schema, datum })
    }

    /// The schema of an envelope, whose JSON is `json` unless it is the one known from the last message.
    fn schema(&mut self, node: Node<'_>, json: Option<&[u8]>) -> Result<Option<SchemaRef>> {
        if node.is_known_schema() {
            return Ok(self.last_parsed.as_ref().map(|last| Arc::clone(&last.schema)));
        }
        let Some(json) = json else {
            return self.reader.schema(node);
        };
        if let Some(known) = self.parsed.get(json).cloned() {
            let schema = Arc::clone(&known.schema);
            self.last_parsed = Some(known);
            return Ok(Some(schema));
        }
        let schema = self.reader.schema(node)?;
        if let Some(schema) = &schema {
            let read = Rendered {
                schema: Arc::clone(schema),
                json: json.into(),
                plan: Plan::of(schema),
            };
            self.parsed.insert(Arc::clone(&read.json), read.clone());
            self.last_parsed = Some(read);
        }
        Ok(schema)
    }
}

/// The payload of an envelope that starts with the same schema as the last one, where all of it is as expected.
fn expected_envelope(last: &Rendered, text: &[u8], out: &mut Out<'_>) -> Option<Datum> {
    let plan = last.plan.as_ref()?;
    let mut scanner = Scanner::new(text, 0);
    let is_same = scanner.eat(b"{\"schema\":") && scanner.eat(&last.json) && scanner.eat(b",\"payload\":");
    if !is_same {
        return None;
    }
    let (datum, end) = plan.read(text, scanner.at, out)?;
    (text.get(end) == Some(&b'}')).then_some(datum)
}

/// The two members of an envelope, which must be all it has.
fn envelope(root: Node<'_>) -> Result<(Node<'_>, Node<'_>)> {
    if let Some(mut members) = root.members()
        && let (Some(first), Some(second), None) = (members.next(), members.next(), members.next())
    {
        match (first.0.text(), second.0.text()) {
            (Some("schema"), Some("payload")) => return Ok((first.1, second.1)),
            (Some("payload"), Some("schema")) => return Ok((second.1, first.1)),
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
    let mut tape = Tape::default();
    let mut cells = Scratch::default();
    parser::parse(text.as_bytes(), None, &mut tape, &mut cells).map_err(|cause| {
        Error::data("Failed to parse schema in converter config due to serialization error: ").with_source(cause)
    })?;
    reader.schema(tape.node(text.as_bytes(), cells.root()))
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

    fn to_connect(&mut self, _topic: &str, input: Option<Input<'_>>, batch: &mut Backing) -> Result<Field> {
        match input {
            Some(input) => self.read(input, batch),
            None => Ok(Field::default()),
        }
    }

    fn class(&self) -> &'static str {
        CLASS
    }
}

#[cfg(test)]
mod tests;
