//! The record that transforms and predicates work on, on its way between a connector and its converters.
//!
//! A chain copies the fields of a map or struct out of the batch once, when a transform first asks for them; the
//! transforms of the chain change that copy in place, and it is written back once, at the end of the chain or when somebody
//! needs the value as a whole. Rows of the batch never change, so a chain can be run again on the record it was given.

mod edit;
mod shape;

use std::sync::Arc;

use dray_connect::backing::{Backing, SchemaId, TopicId};
use dray_connect::datum::{Datum, Field};
use dray_connect::header::Headers;
use dray_connect::schema::SchemaRef;
use dray_connect::{Error, Result};

pub use self::edit::{Lengths, MapMut, Name, StructMut, find_entry};
pub(crate) use self::edit::{not_a_name, same_name};
pub(crate) use self::shape::Shape;

/// Which of a record's two values a transform works on: what `$Key` and `$Value` say at the end of its class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The key.
    Key,
    /// The value.
    Value,
}

/// Where a record comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A source connector.
    Source,
    /// A topic, at this offset.
    Sink {
        /// The offset in the partition that it was consumed from.
        offset: i64,
    },
}

impl Origin {
    /// The Java class of such a record, as messages name it.
    #[must_use]
    pub fn java_class(self) -> &'static str {
        match self {
            Self::Source => "org.apache.kafka.connect.source.SourceRecord",
            Self::Sink { .. } => "org.apache.kafka.connect.sink.SinkRecord",
        }
    }
}

/// A record as a chain takes it. Key and value are fields of the batch that is given with it.
#[derive(Clone, Copy, Debug)]
pub struct Input<'r> {
    /// The topic, in the table of the batch.
    pub topic: TopicId,
    /// The partition, where one is set.
    pub kafka_partition: Option<i32>,
    /// Milliseconds since the epoch.
    pub timestamp: Option<i64>,
    /// The key.
    pub key: Field,
    /// The value.
    pub value: Field,
    /// The headers; none when there are none.
    pub headers: Option<&'r Headers>,
    /// Where it comes from.
    pub origin: Origin,
}

/// What a chain made of a record.
#[derive(Clone, Debug)]
pub struct Output {
    /// The topic, in the table of the batch.
    pub topic: TopicId,
    /// The partition, where one is set.
    pub kafka_partition: Option<i32>,
    /// Milliseconds since the epoch.
    pub timestamp: Option<i64>,
    /// The key.
    pub key: Field,
    /// The value.
    pub value: Field,
    /// The headers where the chain changed them; none leaves them as they were.
    pub headers: Option<Box<Headers>>,
}

/// The copies of fields that a chain works on. Kept from record to record for its allocations.
#[derive(Debug, Default)]
pub(crate) struct Workspace {
    key: Operand,
    value: Operand,
}

/// A key or value and, while it is being changed, the copy of its fields.
#[derive(Debug, Default)]
struct Operand {
    schema: Option<SchemaId>,
    content: Content,
    row: Vec<Datum>,
}

#[derive(Clone, Copy, Debug)]
enum Content {
    /// As it lies in the batch.
    Whole(Datum),
    /// A map; keys and values by turns are in the row.
    Map,
    /// A struct; its fields are in the row.
    Struct(SchemaId),
}

impl Default for Content {
    fn default() -> Self {
        Self::Whole(Datum::Null)
    }
}

impl Operand {
    fn load(&mut self, field: Field) {
        self.schema = field.schema;
        self.content = Content::Whole(field.datum);
    }

    /// Writes the copy back, if there is one.
    fn close(&mut self, backing: &mut Backing) -> Datum {
        let datum = match self.content {
            Content::Whole(datum) => return datum,
            Content::Map => backing.map_of_parts(&self.row),
            Content::Struct(schema) => backing.record_not_validated(schema, &self.row),
        };
        self.content = Content::Whole(datum);
        datum
    }

    fn java_class(&self, backing: &Backing) -> &'static str {
        match self.content {
            Content::Whole(datum) => datum.view(backing).java_class(),
            Content::Map => "java.util.HashMap",
            Content::Struct(_) => "org.apache.kafka.connect.data.Struct",
        }
    }
}

/// Headers that are copied when they are first changed.
enum HeadersOf<'r> {
    Given(Option<&'r Headers>),
    Changed(Box<Headers>),
}

/// One record in a chain.
pub struct ConnectRecord<'r> {
    backing: &'r mut Backing,
    workspace: &'r mut Workspace,
    topic: TopicId,
    /// The partition, where one is set.
    pub kafka_partition: Option<i32>,
    /// Milliseconds since the epoch.
    pub timestamp: Option<i64>,
    headers: HeadersOf<'r>,
    origin: Origin,
}

impl<'r> ConnectRecord<'r> {
    pub(crate) fn new(input: Input<'r>, backing: &'r mut Backing, workspace: &'r mut Workspace) -> Self {
        workspace.key.load(input.key);
        workspace.value.load(input.value);
        Self {
            backing,
            workspace,
            topic: input.topic,
            kafka_partition: input.kafka_partition,
            timestamp: input.timestamp,
            headers: HeadersOf::Given(input.headers),
            origin: input.origin,
        }
    }

    pub(crate) fn finish(mut self) -> Output {
        let (key, value) = (self.field(Side::Key), self.field(Side::Value));
        Output {
            topic: self.topic,
            kafka_partition: self.kafka_partition,
            timestamp: self.timestamp,
            key,
            value,
            headers: match self.headers {
                HeadersOf::Given(_) => None,
                HeadersOf::Changed(headers) => Some(headers),
            },
        }
    }

    /// The topic.
    #[must_use]
    pub fn topic(&self) -> &Arc<str> {
        self.backing.topic_name(self.topic)
    }

    /// The topic's place in the table of the batch.
    #[must_use]
    pub fn topic_id(&self) -> TopicId {
        self.topic
    }

    /// Changes the topic.
    pub fn set_topic(&mut self, topic: &Arc<str>) {
        self.topic = self.backing.topic(topic);
    }

    /// Where the record comes from.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// The bytes and rows that key and value point into.
    #[must_use]
    pub fn backing(&self) -> &Backing {
        self.backing
    }

    /// The same, to add some.
    pub fn backing_mut(&mut self) -> &mut Backing {
        self.backing
    }

    /// The headers, if there are any.
    #[must_use]
    pub fn headers(&self) -> Option<&Headers> {
        match &self.headers {
            HeadersOf::Given(headers) => *headers,
            HeadersOf::Changed(headers) => Some(headers),
        }
    }

    /// The headers, to change them.
    pub fn headers_mut(&mut self) -> &mut Headers {
        if let HeadersOf::Given(headers) = self.headers {
            self.headers = HeadersOf::Changed(Box::new(headers.cloned().unwrap_or_default()));
        }
        match &mut self.headers {
            HeadersOf::Changed(headers) => headers,
            HeadersOf::Given(_) => unreachable!("they were changed above"),
        }
    }

    fn operand(&self, side: Side) -> &Operand {
        match side {
            Side::Key => &self.workspace.key,
            Side::Value => &self.workspace.value,
        }
    }

    fn parts_mut(&mut self, side: Side) -> (&mut Operand, &mut Backing) {
        let operand = match side {
            Side::Key => &mut self.workspace.key,
            Side::Value => &mut self.workspace.value,
        };
        (operand, self.backing)
    }

    /// The schema of the key or value; none means schemaless.
    #[must_use]
    pub fn schema(&self, side: Side) -> Option<&SchemaRef> {
        self.operand(side).schema.map(|id| self.backing.schema_of(id))
    }

    /// Whether the key or value is null.
    #[must_use]
    pub fn is_null(&self, side: Side) -> bool {
        matches!(self.operand(side).content, Content::Whole(Datum::Null))
    }

    /// The name of the Java class of the key or value, as messages print it; `null` for null.
    #[must_use]
    pub fn java_class(&self, side: Side) -> &'static str {
        self.operand(side).java_class(self.backing)
    }

    /// The key or value as a whole. What was changed of it is written to the batch first.
    pub fn field(&mut self, side: Side) -> Field {
        let (operand, backing) = self.parts_mut(side);
        Field {
            schema: operand.schema,
            datum: operand.close(backing),
        }
    }

    /// Replaces the key or value.
    pub fn set(&mut self, side: Side, field: Field) {
        self.parts_mut(side).0.load(field);
    }

    /// The entries of a map, to read and change them: Connect's `requireMap`. `purpose` stands in the message.
    ///
    /// # Errors
    /// When the key or value is no map.
    pub fn map(&mut self, side: Side, purpose: &str) -> Result<MapMut<'_>> {
        let (operand, backing) = self.parts_mut(side);
        match operand.content {
            Content::Map => {}
            Content::Whole(datum @ Datum::Map(_)) => {
                operand.row.clear();
                operand.row.extend_from_slice(datum.parts(backing));
                operand.content = Content::Map;
            }
            Content::Whole(_) | Content::Struct(_) => {
                return Err(not_a_map(purpose, operand.java_class(backing)));
            }
        }
        Ok(MapMut::new(&mut operand.row, backing))
    }

    /// The fields of a struct, to read and change them: Connect's `requireStruct`. `purpose` stands in the message.
    ///
    /// # Errors
    /// When the key or value is no struct.
    pub fn record(&mut self, side: Side, purpose: &str) -> Result<StructMut<'_>> {
        let (operand, backing) = self.parts_mut(side);
        let schema = match operand.content {
            Content::Struct(schema) => schema,
            Content::Whole(datum @ Datum::Struct(row)) => {
                operand.row.clear();
                operand.row.extend_from_slice(datum.parts(backing));
                operand.content = Content::Struct(row.schema());
                row.schema()
            }
            Content::Whole(_) | Content::Map => {
                return Err(not_a_struct(purpose, operand.java_class(backing)));
            }
        };
        Ok(StructMut::new(operand, schema, backing))
    }
}

/// The error of Connect's `requireMap`.
#[cold]
pub(crate) fn not_a_map(purpose: &str, class: &str) -> Error {
    Error::data(format!(
        "Only Map objects supported in absence of schema for [{purpose}], found: {class}"
    ))
}

/// The error of Connect's `requireStruct`.
#[cold]
pub(crate) fn not_a_struct(purpose: &str, class: &str) -> Error {
    Error::data(format!("Only Struct objects supported for [{purpose}], found: {class}"))
}
