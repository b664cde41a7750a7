//! `ByLogicalTableRouter`, and `ToLogicalTopicRouter` as Debezium calls it by now: several physical tables share one topic, and
//! the key says which one a row is of.

mod adjust;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use dray_connect::config::{ConfigDef, ConfigType, Importance, ParsedConfig, Width};
use dray_connect::datum::Datum;
use dray_connect::pattern::{Error as PatternError, Pattern, Replacement};
use dray_connect::schema::{Schema, SchemaBuilder, SchemaRef};
use dray_connect::{Error, Result};

use self::adjust::Adjustment;
use super::{AFTER, BEFORE, compile, is_blank, is_envelope, key, raw, refuse_null};
use crate::plans::Plans;
use crate::record::not_a_struct;
use crate::registry::TransformationKind;
use crate::topics::Topics;
use crate::{Applied, ConnectRecord, Side, Transformation};

pub(super) const KIND: TransformationKind = TransformationKind {
    name: "ByLogicalTableRouter",
    sided: false,
    definition,
    make: |_, config| Ok(Box::new(Router::new(config, "__dbz__physicalTableIdentifier")?)),
};

pub(super) const TO_LOGICAL_TOPIC: TransformationKind = TransformationKind {
    name: "ToLogicalTopicRouter",
    sided: false,
    definition,
    make: |_, config| Ok(Box::new(Router::new(config, "__dbz__sourceIdentifier")?)),
};

const PURPOSE: &str = "Updating schema";
const TOPIC_REGEX: &str = "topic.regex";
const TOPIC_REPLACEMENT: &str = "topic.replacement";
const KEY_REGEX: &str = "key.field.regex";
const KEY_REPLACEMENT: &str = "key.field.replacement";
/// Debezium reads this key and the one below, but does not define them, so that validation does not show them.
const KEY_NAME: &str = "key.field.name";
const ADJUSTMENT: &str = "schema.name.adjustment.mode";

fn definition() -> ConfigDef {
    use ConfigType::{Boolean, Int, String};
    let low = (Width::Long, Importance::Low);
    ConfigDef::new()
        .define(key(
            (TOPIC_REGEX, "Topic regex"),
            String,
            low,
            "A Java regular expression for the whole topic of a table.",
        ))
        .define(key(
            (TOPIC_REPLACEMENT, "Topic replacement"),
            String,
            low,
            "What the topic becomes; $1 and ${name} are what groups have matched.",
        ))
        .define(
            key(
                ("key.enforce.uniqueness", "Add source topic name into key"),
                Boolean,
                (Width::Short, Importance::Low),
                "Whether the key gets a field that tells the tables apart.",
            )
            .default_value(true),
        )
        .define(key(
            (KEY_REGEX, "Key field regex"),
            String,
            low,
            "A Java regular expression for the whole topic of a table, by which the value of that field is made.",
        ))
        .define(key(
            (KEY_REPLACEMENT, "Key field replacement"),
            String,
            low,
            "That value, where the expression matches; otherwise, or without one, it is the topic.",
        ))
        .define(
            key(
                ("logical.destination.cache.size", "Logical destination cache size"),
                Int,
                low,
                "Taken for Debezium's sake: Dray knows 16 schemas and 1000 topics at a time.",
            )
            .default_value(16),
        )
}

struct Router {
    topics: Rewrite,
    /// The field that tells tables apart, where the key gets one.
    table: Option<Table>,
    adjustment: Adjustment,
    routes: Topics<Option<Route>>,
    row: Vec<Datum>,
}

struct Table {
    field: Arc<str>,
    rewrite: Option<Rewrite>,
}

/// A pattern and what stands in its place.
struct Rewrite {
    pattern: Pattern,
    replacement: Replacement,
}

/// Where records of a topic go.
struct Route {
    topic: Arc<str>,
    /// The value of the field that tells tables apart.
    table: Arc<str>,
    keys: Plans<SchemaRef>,
    events: Plans<Event>,
}

/// An event's schema under its new name; the places of its rows and their schema, where it has such fields.
struct Event {
    schema: SchemaRef,
    row: Option<SchemaRef>,
    places: Vec<usize>,
}

impl Rewrite {
    fn of(&self, topic: &str) -> Result<Option<String>> {
        if !self.pattern.matches(topic).map_err(PatternError::into_connect)? {
            return Ok(None);
        }
        let replaced = self.pattern.replace_first(topic, &self.replacement);
        Ok(Some(replaced.map_err(PatternError::into_connect)?.into_owned()))
    }
}

/// Refuses a key that is null or blank, and a wrong pattern: what Debezium says of such keys is only in its log.
fn needed<'c>(config: &'c ParsedConfig, key: &str) -> Result<&'c str> {
    let text = raw(config, key).filter(|text| !is_blank(text));
    text.ok_or_else(|| {
        let problem = format!("The '{key}' value is invalid: A value is required");
        Error::invalid_config(key, config.originals().get(key).map(String::as_str), Some(&problem))
    })
}

impl Router {
    fn new(config: &ParsedConfig, field: &str) -> Result<Self> {
        let topics = Rewrite {
            pattern: compile(TOPIC_REGEX, needed(config, TOPIC_REGEX)?)?,
            replacement: Replacement::new(needed(config, TOPIC_REPLACEMENT)?),
        };
        let rewrite = match raw(config, KEY_REGEX).filter(|regex| !is_blank(regex)) {
            None => None,
            Some(regex) => {
                let Some(replacement) = raw(config, KEY_REPLACEMENT).filter(|text| !is_blank(text)) else {
                    let problem = format!(
                        "The '{KEY_REPLACEMENT}' value is invalid: {KEY_REPLACEMENT} must be non-empty if {KEY_REGEX} is set."
                    );
                    return Err(Error::invalid_config(KEY_REPLACEMENT, None, Some(&problem)));
                };
                Some(Rewrite {
                    pattern: compile(KEY_REGEX, regex)?,
                    replacement: Replacement::new(replacement),
                })
            }
        };
        let unique = config.boolean("key.enforce.uniqueness")?;
        let field = raw(config, KEY_NAME).unwrap_or(field);
        Ok(Self {
            topics,
            table: unique.then(|| Table {
                field: field.into(),
                rewrite,
            }),
            adjustment: Adjustment::read(ADJUSTMENT, raw(config, ADJUSTMENT))?,
            routes: Topics::default(),
            row: Vec::new(),
        })
    }
}

impl Transformation for Router {
    fn apply(&mut self, record: &mut ConnectRecord<'_>) -> Result<Applied> {
        let (topics, table) = (&self.topics, &self.table);
        let route = self.routes.get(record.topic(), |topic| {
            let Some(new) = topics.of(topic)?.filter(|new| !new.is_empty()) else {
                return Ok(None);
            };
            let rewrite = table.as_ref().and_then(|table| table.rewrite.as_ref());
            let table = rewrite.map(|rewrite| rewrite.of(topic)).transpose()?.flatten();
            Ok(Some(Route {
                topic: new.into(),
                table: table.map_or_else(|| topic.into(), Into::into),
                keys: Plans::default(),
                events: Plans::default(),
            }))
        })?;
        let Some(route) = route else {
            return Ok(Applied::Kept);
        };
        if record.is_null(Side::Key) {
            record.set(Side::Key, dray_connect::datum::Field::default());
        } else {
            let (schema, values) = record.fields(Side::Key, PURPOSE)?;
            let new = route.keys.get(schema, |schema| {
                key_schema(schema, &route.topic, table.as_ref(), &self.adjustment)
            })?;
            refuse_null(schema, values)?;
            record.record(Side::Key, PURPOSE)?.reshape(new, |values, backing| {
                if table.is_some() {
                    values.push(backing.text(&route.table));
                }
            });
        }
        if !record.is_null(Side::Value) && is_envelope(record) {
            let (schema, values) = record.fields(Side::Value, PURPOSE)?;
            let event = route
                .events
                .get(schema, |schema| event(schema, &route.topic, &self.adjustment))?;
            self.row.clear();
            self.row.extend_from_slice(values);
            put_event(record, event, &mut self.row)?;
        }
        record.set_topic(&route.topic);
        Ok(Applied::Kept)
    }
}

/// All of a schema but its name, its default and its fields.
fn without_name(schema: &Schema) -> SchemaBuilder {
    let mut builder = SchemaBuilder::struct_();
    if let Some(version) = schema.version() {
        builder = builder.version(version);
    }
    if let Some(doc) = schema.doc() {
        builder = builder.doc(doc);
    }
    if let Some(parameters) = schema.parameters() {
        builder = builder.parameters(parameters.clone());
    }
    if schema.optional() { builder.optional() } else { builder }
}

fn with_fields(schema: &Schema, mut builder: SchemaBuilder) -> Result<SchemaBuilder> {
    for field in schema.fields()? {
        builder = builder.field(Arc::clone(&field.name), Arc::clone(&field.schema));
    }
    Ok(builder)
}

fn key_schema(schema: &SchemaRef, topic: &str, table: Option<&Table>, adjustment: &Adjustment) -> Result<SchemaRef> {
    let mut builder = with_fields(schema, without_name(schema))?.name(adjustment.adjust(&format!("{topic}.Key")));
    if let Some(table) = table {
        builder = builder.field(Arc::clone(&table.field), Schema::string());
    }
    builder.build()
}

fn event(schema: &SchemaRef, topic: &str, adjustment: &Adjustment) -> Result<Event> {
    let is_row = |name: &str| name == BEFORE || name == AFTER;
    let row = match schema.lookup_field(BEFORE)?.or(schema.field(AFTER)) {
        None => None,
        Some(field) => {
            let builder = with_fields(&field.schema, without_name(&field.schema))?;
            Some(builder.name(adjustment.adjust(&format!("{topic}.Value"))).build()?)
        }
    };
    let (mut builder, mut places) = (without_name(schema), Vec::new());
    for field in schema.fields()? {
        let new = match &row {
            Some(row) if is_row(&field.name) => {
                places.push(field.index);
                row
            }
            Some(_) | None => &field.schema,
        };
        builder = builder.field(Arc::clone(&field.name), Arc::clone(new));
    }
    let name = adjustment.adjust(&format!("{topic}.Envelope"));
    Ok(Event {
        schema: builder.name(name).build()?,
        row,
        places,
    })
}

/// Puts the event under its new schema: its rows as well, whose fields are found by their names.
fn put_event(record: &mut ConnectRecord<'_>, event: &Event, row: &mut [Datum]) -> Result<()> {
    for place in &event.places {
        let Some(schema) = &event.row else { break };
        let old = row[*place];
        if old == Datum::Null {
            continue;
        }
        let Datum::Struct(old_row) = old else {
            return Err(not_a_struct(PURPOSE, old.view(record.backing()).java_class()));
        };
        let old_schema = record.backing().schema_of(old_row.schema());
        let values = moved(old_schema, schema, old.parts(record.backing()))?;
        refuse_null(schema, &values)?;
        let backing = record.backing_mut();
        let schema = backing.schema(schema);
        row[*place] = backing.record_not_validated(schema, &values);
    }
    let defaults = record.fields(Side::Value, PURPOSE)?.0.fields()?;
    let defaults: Vec<_> = defaults.iter().map(|field| field.schema.default().cloned()).collect();
    let mut fields = record.record(Side::Value, PURPOSE)?;
    fields.reshape(&event.schema, |values, backing| {
        for ((value, new), default) in values.iter_mut().zip(row.iter()).zip(&defaults) {
            *value = match (new, default) {
                (Datum::Null, Some(default)) => backing.value(default),
                (new, _) => *new,
            };
        }
    });
    fields.refuse_null()
}

/// The values of a row in the order of the new schema, which is that of the first row.
fn moved(from: &SchemaRef, to: &SchemaRef, values: &[Datum]) -> Result<Vec<Datum>> {
    let mut row = vec![Datum::Null; to.fields()?.len()];
    for (field, value) in from.fields()?.iter().zip(values) {
        row[super::field(to, &field.name)?.index] = *value;
    }
    Ok(row)
}
