//! Converters: between Kafka's bytes and Connect's values, to the letter of Kafka Connect's own.
//!
//! [`converter`] and [`header_converter`] make one by its Java class name. A converter is owned by one task and called for
//! one record at a time; it keeps caches and no other state. What happens to a record whose conversion fails is decided
//! by the runtime.

mod again;
#[cfg(test)]
mod arbitrary;
mod avro;
mod binary;
mod boolean;
mod charset;
mod cycles;
mod definition;
mod header;
mod json;
mod json_schema;
mod lru;
mod number;
mod percent;
mod protobuf;
mod record_headers;
mod registry;
mod schema_registry;
mod settings;
mod size;
mod string;
mod unique;

use std::ops::Range;
use std::pin::Pin;

use dray_connect::Result;
use dray_connect::backing::{Backing, Span};
use dray_connect::datum::{Field, ValueRef};
use dray_connect::schema::SchemaRef;
use dray_connect::value::SchemaAndValue;

pub use self::binary::ByteArrayConverter;
pub use self::boolean::BooleanConverter;
pub use self::definition::definition;
pub use self::header::{AsHeaderConverter, SimpleHeaderConverter};
pub use self::json::JsonConverter;
pub use self::number::{Number, NumberConverter};
pub use self::record_headers::{ReadHeaders, WrittenHeaders};
pub use self::registry::{CLASSES, HEADER_CLASSES, WITH_REGISTRY, class_name, converter, header_converter};
pub use self::string::StringConverter;

/// Bytes to convert, and where they lie in the batch, so that what is found in them can stay there.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The bytes.
    pub bytes: &'a [u8],
    /// The same bytes in the batch that the value is for.
    pub span: Span,
}

/// What a converter made of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written<'a> {
    /// No bytes: a tombstone.
    Null,
    /// The value's own bytes; nothing was copied.
    Same(&'a [u8]),
    /// This range of the scratch buffer given to the call. Ranges of earlier calls stay as they are.
    Scratch(Range<usize>),
}

impl<'a> Written<'a> {
    /// The bytes, of which some are in the buffer that was given to the call.
    #[inline]
    #[must_use]
    pub fn bytes<'b>(&self, scratch: &'b [u8]) -> Option<&'b [u8]>
    where
        'a: 'b,
    {
        match self {
            Self::Null => None,
            Self::Same(bytes) => Some(bytes),
            Self::Scratch(range) => Some(&scratch[range.clone()]),
        }
    }
}

/// Finds what a converter lacks. It may be dropped at any time; whoever asks again then starts anew.
pub type Lookup = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Goes between the bytes of a record's key or value and what connectors see. Obligations:
/// - It never waits. What it lacks, such as a schema that a server has, it offers as a [`Converter::lookup`].
/// - Bytes are only appended to `scratch`; after an error it is as long as before, and no header was added.
/// - The same input gives the same output whatever came before: caches never show.
/// - Any bytes may come in. What cannot be converted is an error of class `DataException`, never a panic.
pub trait Converter: Send {
    /// The bytes of a value.
    #[allow(clippy::wrong_self_convention, reason = "the name is Connect's `fromConnectData`")]
    fn from_connect<'a>(
        &mut self,
        topic: &str,
        schema: Option<&SchemaRef>,
        value: ValueRef<'a>,
        scratch: &mut Vec<u8>,
    ) -> Result<Written<'a>>;

    /// The same with the headers of the record, to which a converter may add some of its own. By default it does not look at them.
    #[allow(clippy::wrong_self_convention, reason = "the name is Connect's `fromConnectData`")]
    #[inline]
    fn from_connect_with_headers<'a>(
        &mut self,
        topic: &str,
        _headers: &mut WrittenHeaders<'_>,
        schema: Option<&SchemaRef>,
        value: ValueRef<'a>,
        scratch: &mut Vec<u8>,
    ) -> Result<Written<'a>> {
        self.from_connect(topic, schema, value, scratch)
    }

    /// The schema and value of bytes, put into the batch; `None` are the bytes of a tombstone. After an error the batch
    /// may hold parts that nothing points to.
    fn to_connect(&mut self, topic: &str, input: Option<Input<'_>>, batch: &mut Backing) -> Result<Field>;

    /// The same for bytes that say something of themselves in the headers of the record. By default it does not look at them.
    #[inline]
    fn to_connect_with_headers(
        &mut self,
        topic: &str,
        _headers: ReadHeaders<'_>,
        input: Option<Input<'_>>,
        batch: &mut Backing,
    ) -> Result<Field> {
        self.to_connect(topic, input, batch)
    }

    /// What the last call lacked, if that is why it failed. Once this is done the same call again finds it, or fails with the reason.
    fn lookup(&mut self) -> Option<Lookup> {
        None
    }

    /// The schema of all that [`Converter::to_connect`] reads, if it takes whatever is UTF-8 for a text as it is and a tombstone for null,
    /// and [`Converter::from_connect`] does the same the other way round, whatever the topic and the schema. Who has many records need
    /// not ask for each of them then.
    fn keeps_text(&self) -> Option<&SchemaRef> {
        None
    }

    /// The schema of all that [`Converter::to_connect`] reads, if it takes whatever there is for bytes as they are and a tombstone for
    /// null, whatever the topic.
    fn keeps_bytes(&self) -> Option<&SchemaRef> {
        None
    }

    /// The Java class that this one stands for.
    fn class(&self) -> &'static str;
}

/// Goes between the bytes of a record's header and what connectors see, with the obligations of [`Converter`].
pub trait HeaderConverter: Send {
    /// Appends the bytes of a header's value to `out` and says where they are; `None` is a header without bytes.
    #[allow(clippy::wrong_self_convention, reason = "the name is Connect's `fromConnectHeader`")]
    fn from_connect_header(
        &mut self,
        topic: &str,
        name: &str,
        value: &SchemaAndValue,
        out: &mut Vec<u8>,
    ) -> Result<Option<Range<usize>>>;

    /// The schema and value of a header's bytes.
    fn to_connect_header(&mut self, topic: &str, name: &str, bytes: Option<&[u8]>) -> Result<SchemaAndValue>;

    /// The Java class that this one stands for.
    fn class(&self) -> &'static str;
}

/// What a converter makes of bytes, as owned values: for headers, which are few, and for tests. `batch` is only lent; what
/// it held is gone.
pub fn to_connect_owned(
    converter: &mut dyn Converter,
    topic: &str,
    bytes: Option<&[u8]>,
    batch: &mut Backing,
) -> Result<SchemaAndValue> {
    batch.clear();
    let input = bytes.map(|bytes| Input {
        bytes,
        span: batch.copy(bytes),
    });
    let field = converter.to_connect(topic, input, batch)?;
    let (schema, value) = field.view(batch);
    Ok(SchemaAndValue {
        schema: schema.cloned(),
        value: value.to_value(),
    })
}

/// The Java class of a value, as Connect's messages print it: `class java.lang.Long`.
fn java_class(value: ValueRef<'_>) -> String {
    format!("class {}", value.java_class())
}

#[cfg(test)]
mod tests;
