//! `EventRouter`: rows of an outbox table become messages of their own.
//!
//! Not there: the tracing that Debezium adds where OpenTelemetry is on its class path (its keys are taken), and the upper-case
//! names of columns that its Oracle connector brings as defaults.

mod json;
mod placement;
mod row;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use dray_connect::backing::Backing;
use dray_connect::config::{ConfigDef, ConfigKey, ConfigType, Importance, ParsedConfig, Width};
use dray_connect::datum::{Datum, Field as Value};
use dray_connect::schema::{Schema, SchemaBuilder, SchemaRef};
use dray_connect::{Error, Result};

use self::json::Expansion;
use self::placement::{Placed, Placement, placements};
use self::row::{Column, Row};
use super::{OP, chosen, compile, is_envelope, key, one_of, raw};
use crate::java::trim;
use crate::plans::Plans;
use crate::registry::TransformationKind;
use crate::transformations::regex_router::RegexRouter;
use crate::{Applied, ConnectRecord, Origin, Side, Transformation};

pub(super) const KIND: TransformationKind = TransformationKind {
    name: "EventRouter",
    sided: false,
    definition,
    make: |_, config| Ok(Box::new(EventRouter::new(config)?)),
};

const PAYLOAD: &str = "payload";
const INVALID: &[&str] = &["warn", "error", "fatal"];
const MISSING: &[&str] = &["error", "ignore"];
const NULLS: &[&str] = &["ignore", "optional_bytes"];
const EMPTY: &[&str] = &["ignore", "optional_string"];
const TOPIC_REGEX: &str = "route.topic.regex";

fn definition() -> ConfigDef {
    use ConfigType::{Boolean, List, String};
    use Importance::{High, Low, Medium};
    let medium = |importance| (Width::Medium, importance);
    let column = |name, display_name, default, importance, what: &str| {
        let column = key(
            (name, display_name),
            String,
            medium(importance),
            &format!("The column with {what}."),
        );
        match default {
            None => column,
            Some(default) => column.default_value(default),
        }
    };
    let word = |name, display_name, words: &'static [&'static str], doc| {
        let word = key((name, display_name), String, medium(Medium), doc);
        word.default_value(words[0]).validator(one_of(words))
    };
    let table = [
        column(
            "table.field.event.id",
            "Event ID Field",
            Some("id"),
            Low,
            "the id of the event",
        ),
        column(
            "table.field.event.key",
            "Event Key Field",
            Some("aggregateid"),
            Low,
            "the key of the message",
        ),
        column(
            "table.field.event.type",
            "Event Type Field",
            Some("type"),
            Low,
            "the type of the event",
        ),
        column(
            "table.field.event.payload",
            "Event Payload Field",
            Some(PAYLOAD),
            Low,
            "the value of the message",
        ),
        column(
            "table.field.event.timestamp",
            "Event Timestamp Field",
            None,
            Medium,
            "the timestamp of the message; without it, it is when Debezium saw the row",
        ),
        key(
            (
                "table.fields.additional.placement",
                "Settings for each additional column in the outbox table",
            ),
            List,
            medium(High),
            "More columns, each as column:header, column:envelope or column:partition, for the first two with another name \
             behind a colon.",
        ),
        word(
            "table.field.additional.missing",
            "Behavior when an additional field is missing in the change data",
            MISSING,
            "What to do where the table lacks such a column: error or ignore.",
        ),
        column(
            "table.field.event.schema.version",
            "Event Schema Version Field",
            None,
            Low,
            "the version of the schema of the message's value",
        ),
        word(
            "table.op.invalid.behavior",
            "Behavior when capturing an unexpected outbox event",
            INVALID,
            "What to do where a row is changed: drop it with a warning (warn) or an error (error) in the log, or fail (fatal).",
        ),
        key(
            (
                "table.expand.json.payload",
                "Expand Payload escaped string as real JSON",
            ),
            Boolean,
            medium(Medium),
            "Whether a value that is a text with JSON becomes what the text says, with a schema made for it.",
        )
        .default_value(false),
        word(
            "table.json.payload.null.behavior",
            "Behavior when json payload including null value",
            NULLS,
            "What becomes of null in such JSON: ignore leaves the field out, optional_bytes keeps it as optional bytes.",
        ),
        word(
            "table.json.payload.empty.array.behavior",
            "Behavior when json payload including empty array value",
            EMPTY,
            "What becomes of an empty array in such JSON: ignore leaves the field out, optional_string keeps it as an array of \
             optional strings.",
        ),
    ];
    let text = |name, display_name, default: &str, importance, doc| {
        key((name, display_name), String, medium(importance), doc).default_value(default)
    };
    let router = [
        text(
            "route.by.field",
            "Field to route events by",
            "aggregatetype",
            High,
            "The column from whose value the topic is made.",
        ),
        text(
            TOPIC_REGEX,
            "The name of the routed topic",
            "(?<routedByValue>.*)",
            Low,
            "A Java regular expression for the whole of that value.",
        ),
        text(
            "route.topic.replacement",
            "The name of the routed topic",
            "outbox.event.${routedByValue}",
            High,
            "The topic, where the expression matches; ${routedByValue} is the value.",
        ),
        key(
            (
                "route.tombstone.on.empty.payload",
                "Empty payloads cause a tombstone message",
            ),
            Boolean,
            medium(High),
            "Whether an event with an empty value becomes a tombstone.",
        )
        .default_value(false),
    ];
    let tracing = [
        text(
            "tracing.span.context.field",
            "Serialized tracing span context field",
            "tracingspancontext",
            High,
            "Taken for Debezium's sake; nothing is traced.",
        ),
        text(
            "tracing.operation.name",
            "Tracing operation name",
            "debezium-read",
            High,
            "Taken for Debezium's sake; nothing is traced.",
        ),
        key(
            (
                "tracing.with.context.field.only",
                "Trace only events with context field present",
            ),
            Boolean,
            medium(High),
            "Taken for Debezium's sake; nothing is traced.",
        )
        .default_value(false),
    ];
    let groups: [(&str, Vec<ConfigKey>); 3] = [
        ("Table", table.into()),
        ("Router", router.into()),
        ("Tracing", tracing.into()),
    ];
    let mut definition = ConfigDef::new();
    for (group, keys) in groups {
        for (order, key) in (1..).zip(keys) {
            definition = definition.define(key.group(group, order));
        }
    }
    definition
}

struct EventRouter {
    columns: Columns,
    placements: Vec<Placement>,
    /// What to do where a row is changed.
    invalid: &'static str,
    /// Whether a column that the table lacks is passed over.
    ignore_missing: bool,
    tombstones: bool,
    expansion: Option<Expansion>,
    router: RegexRouter,
    plans: Plans<Outbox>,
}

/// The names of columns that mean something.
struct Columns {
    id: String,
    key: String,
    payload: String,
    timestamp: Option<String>,
    version: Option<String>,
    route: String,
}

/// What is known about events of one schema.
#[derive(Default)]
struct Outbox {
    values: Vec<Envelope>,
}

/// A schema of values that have an envelope, and what it was made for.
struct Envelope {
    payload: SchemaRef,
    topic: Arc<str>,
    version: Option<i32>,
    schema: SchemaRef,
}

/// Schemas of values that are known for one outbox; at the limit it starts anew.
const VALUES: usize = 64;

impl EventRouter {
    fn new(config: &ParsedConfig) -> Result<Self> {
        let text = |key| raw(config, key).unwrap_or_default();
        let (regex, replacement) = (text(TOPIC_REGEX), text("route.topic.replacement"));
        compile(TOPIC_REGEX, regex)?;
        let expansion = Expansion {
            keep_null: chosen(NULLS, config, "table.json.payload.null.behavior") == "optional_bytes",
            keep_empty: chosen(EMPTY, config, "table.json.payload.empty.array.behavior") == "optional_string",
        };
        Ok(Self {
            columns: Columns {
                id: text("table.field.event.id").to_owned(),
                key: text("table.field.event.key").to_owned(),
                payload: text("table.field.event.payload").to_owned(),
                timestamp: raw(config, "table.field.event.timestamp").map(str::to_owned),
                version: raw(config, "table.field.event.schema.version").map(str::to_owned),
                route: text("route.by.field").to_owned(),
            },
            placements: placements(config)?,
            invalid: chosen(INVALID, config, "table.op.invalid.behavior"),
            ignore_missing: chosen(MISSING, config, "table.field.additional.missing") == "ignore",
            tombstones: config.boolean("route.tombstone.on.empty.payload")?,
            expansion: config.boolean("table.expand.json.payload")?.then_some(expansion),
            router: RegexRouter::new(regex.trim(), replacement.trim())?,
            plans: Plans::default(),
        })
    }

    /// A row that was changed, which an outbox's never should.
    fn changed(&self, record: &ConnectRecord<'_>) -> Result<Applied> {
        let topic = &**record.topic();
        match self.invalid {
            "fatal" => Err(Error::connect(format!(
                "Unexpected update message received of topic {topic}, fail. Rows of an outbox are inserted and deleted, never \
                 changed; table.op.invalid.behavior=warn drops such events."
            ))),
            "error" => {
                tracing::error!(topic, "unexpected update of an outbox row was dropped");
                Ok(Applied::Dropped)
            }
            _ => {
                tracing::warn!(topic, "unexpected update of an outbox row was dropped");
                Ok(Applied::Dropped)
            }
        }
    }

    fn route(&mut self, record: &mut ConnectRecord<'_>) -> Result<Applied> {
        let event = Row::of(record)?;
        match event.text(OP, record.backing())? {
            None => {
                let problem = format!("field {OP} of the event is null: nobody knows what happened to the row");
                return Err(Error::data(problem));
            }
            Some("d") => return Ok(Applied::Dropped),
            Some("u") => return self.changed(record),
            Some(_) => {}
        }
        let row = event.row(record)?;
        let message = self.message(&event, &row, record)?;
        let backing = record.backing_mut();
        let key = message.key.put(backing);
        let value = match message.value {
            None => Value::default(),
            Some(MessageValue::Payload(payload)) => payload.put(backing),
            Some(MessageValue::Envelope(schema, columns)) => {
                let values: Vec<Datum> = columns.into_iter().map(|column| column.put(backing).datum).collect();
                let schema = backing.schema(&schema);
                Value {
                    schema: Some(schema),
                    datum: backing.record(schema, &values)?,
                }
            }
        };
        let headers = message.headers.into_iter();
        let headers: Vec<_> = headers
            .map(|(name, column)| (name, Arc::clone(&column.schema), column.to_value(record.backing())))
            .collect();
        for (name, schema, value) in headers {
            record.headers_mut().add_value(name, value, schema)?;
        }
        record.set(Side::Key, key);
        record.set(Side::Value, value);
        // A record of a topic stays in its partition unless it is told one: in Java it would be an error.
        if record.origin() == Origin::Source || message.partition.is_some() {
            record.kafka_partition = message.partition;
        }
        record.timestamp = message.timestamp;
        let routed = self.router.route(&message.topic)?;
        record.set_topic(routed.unwrap_or(&message.topic));
        Ok(Applied::Kept)
    }

    /// What the message is made of. Mistakes are found in Debezium's order.
    fn message(&mut self, event: &Row, row: &Row, record: &ConnectRecord<'_>) -> Result<Message> {
        let (columns, backing) = (&self.columns, record.backing());
        if row.schema.field(&columns.payload).is_none() {
            let problem = format!("Unable to find payload field {} in event", columns.payload);
            return Err(Error::connect(problem));
        }
        let timestamp = timestamp(columns.timestamp.as_deref(), event, row, backing)?;
        let id = row.get(&columns.id)?;
        let mut payload = row.get(&columns.payload)?;
        if let Some(expanded) = self
            .expansion
            .as_ref()
            .and_then(|with| with.expand(&columns.payload, payload.view(backing)))
        {
            payload = expanded;
        }
        let route = row.text(&columns.route, backing);
        let enveloped = self
            .placements
            .iter()
            .any(|placement| placement.place == Placed::Envelope);
        let schema = if enveloped {
            let version = columns.version.as_deref().map(|version| row.int(version, backing));
            let version = version.transpose()?.flatten();
            let outbox = self.plans.get_mut(&row.schema, |_| Ok(Outbox::default()))?;
            let topic = match &route {
                Ok(topic) => topic.unwrap_or("null"),
                Err(_) => return Err(route.err().unwrap_or(Error::Cancelled)),
            };
            let placements = (&self.placements[..], self.ignore_missing);
            Some(outbox.envelope(&payload.schema, &row.schema, topic, version, placements)?)
        } else {
            None
        };
        let mut headers = vec![("id".into(), id)];
        let (mut partition, mut more) = (None, Vec::new());
        for placement in &self.placements {
            if self.ignore_missing && row.schema.field(&placement.column).is_none() {
                continue;
            }
            match placement.place {
                Placed::Envelope => more.push(row.get(&placement.column)?),
                Placed::Header => headers.push((Arc::clone(&placement.name), row.get(&placement.column)?)),
                Placed::Partition => partition = row.int(&placement.column, backing)?,
            }
        }
        let shown = payload.view(backing);
        let empty = shown.is_null() || shown.as_str().is_some_and(|text| trim(text).is_empty());
        let value = match schema {
            _ if empty && self.tombstones => None,
            None => Some(MessageValue::Payload(payload)),
            Some(schema) => Some(MessageValue::Envelope(schema, [vec![payload], more].concat())),
        };
        let key = row.get(&columns.key)?;
        let topic = route?.ok_or_else(|| {
            Error::data(format!(
                "field {} of the outbox row is null: there is no topic for this event. Give it a value, or set route.by.field.",
                columns.route
            ))
        })?;
        Ok(Message {
            topic: topic.into(),
            timestamp,
            partition,
            key,
            value,
            headers,
        })
    }
}

/// A message before it is written.
struct Message {
    topic: Arc<str>,
    timestamp: Option<i64>,
    partition: Option<i32>,
    key: Column,
    /// None for a tombstone.
    value: Option<MessageValue>,
    headers: Vec<(Arc<str>, Column)>,
}

enum MessageValue {
    Payload(Column),
    /// The payload and what is placed beside it.
    Envelope(SchemaRef, Vec<Column>),
}

impl Transformation for EventRouter {
    fn apply(&mut self, record: &mut ConnectRecord<'_>) -> Result<Applied> {
        if record.is_null(Side::Value) {
            return Ok(Applied::Dropped);
        }
        if !is_envelope(record) {
            return Ok(Applied::Kept);
        }
        self.route(record)
    }
}

/// When the event was, in milliseconds: by its column, where one is named and it is not null, or when Debezium saw the row.
fn timestamp(column: Option<&str>, event: &Row, row: &Row, backing: &Backing) -> Result<Option<i64>> {
    let Some(column) = column else {
        return event.long("ts_ms", backing);
    };
    let Some(field) = row.schema.field(column) else {
        return Err(Error::connect(format!(
            "Unable to find timestamp field {column} in event"
        )));
    };
    let Some(time) = row.long(column, backing)? else {
        return event.long("ts_ms", backing);
    };
    match field.schema.name() {
        Some("io.debezium.time.Timestamp") => Ok(Some(time)),
        Some("io.debezium.time.MicroTimestamp") => Ok(Some(time / 1_000)),
        Some("io.debezium.time.NanoTimestamp") => Ok(Some(time / 1_000_000)),
        Some(name) => Err(Error::connect(format!(
            "Unsupported field type {name} for event timestamp"
        ))),
        None => Err(Error::connect(format!(
            "Unsupported field type {} (without logical schema name) for event timestamp",
            field.schema.type_()
        ))),
    }
}

impl Outbox {
    /// The schema of a value with an envelope.
    fn envelope(
        &mut self,
        payload: &SchemaRef,
        row: &SchemaRef,
        topic: &str,
        version: Option<i32>,
        (placements, ignore_missing): (&[Placement], bool),
    ) -> Result<SchemaRef> {
        let known = self
            .values
            .iter()
            .find(|known| &*known.topic == topic && known.version == version && Schema::same(&known.payload, payload));
        if let Some(known) = known {
            return Ok(Arc::clone(&known.schema));
        }
        // The topic stands before the last part of the table's name.
        let name = match row.name().map(|name| (name, name.rfind('.'))) {
            None => topic.to_owned(),
            Some((name, None)) => format!("{topic}.{name}"),
            Some((name, Some(dot))) => format!("{}{topic}.{}", &name[..=dot], &name[dot + 1..]),
        };
        let mut builder = SchemaBuilder::struct_().name(name).field(PAYLOAD, Arc::clone(payload));
        for placement in placements
            .iter()
            .filter(|placement| placement.place == Placed::Envelope)
        {
            match row.field(&placement.column) {
                Some(field) => builder = builder.field(Arc::clone(&placement.name), Arc::clone(&field.schema)),
                None if ignore_missing => {}
                None => {
                    let problem = format!("Unable to find field {} in event", placement.column);
                    return Err(Error::connect(problem));
                }
            }
        }
        if let Some(version) = version {
            builder = builder.version(version);
        }
        let schema = builder.build()?;
        if self.values.len() == VALUES {
            self.values.clear();
        }
        self.values.push(Envelope {
            payload: Arc::clone(payload),
            topic: topic.into(),
            version,
            schema: Arc::clone(&schema),
        });
        Ok(schema)
    }
}
