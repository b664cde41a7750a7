//! `TimezoneConverter`: moves the times of an event's rows into another time zone.

mod rules;
#[cfg(test)]
mod tests;
mod zone;

use std::sync::Arc;

use dray_connect::config::{ConfigDef, ConfigType, Importance, ParsedConfig, Width};
use dray_connect::datum::{Datum, ValueRef};
use dray_connect::logical;
use dray_connect::schema::{SchemaRef, Type};
use dray_connect::{Error, Result};

use self::rules::{Choice, Rules};
use self::zone::Zone;
use super::{AFTER, BEFORE, SOURCE, is_envelope, key, raw, wrong_class};
use crate::plans::Plans;
use crate::registry::TransformationKind;
use crate::{Applied, ConnectRecord, Side, Transformation};

pub(super) const KIND: TransformationKind = TransformationKind {
    name: "TimezoneConverter",
    sided: false,
    definition,
    make: |_, config| {
        Ok(Box::new(TimezoneConverter {
            zone: Zone::read("converted.timezone", raw(config, "converted.timezone"))?,
            rules: rules(config)?,
            plans: Plans::default(),
            row: Vec::new(),
            inner: Vec::new(),
        }))
    },
};

fn definition() -> ConfigDef {
    let high = (Width::Medium, Importance::High);
    let list = |name, display_name, what: &str| {
        let doc = format!(
            "What is {what}, as source:table, source:table:field, topic:topic, topic:topic:field or name:field, where the name \
             is that of a topic or a table."
        );
        key((name, display_name), ConfigType::List, high, &doc)
    };
    ConfigDef::new()
        .define(key(
            ("converted.timezone", "Converted Timezone"),
            ConfigType::String,
            high,
            "The time zone: America/Los_Angeles, or an offset such as +08:00.",
        ))
        .define(list("include.list", "Include List", "converted"))
        .define(list("exclude.list", "Exclude List", "not converted"))
}

fn rules(config: &ParsedConfig) -> Result<Rules> {
    Rules::read(raw(config, "include.list"), raw(config, "exclude.list"))
}

struct TimezoneConverter {
    zone: Zone,
    rules: Rules,
    plans: Plans<Event>,
    row: Vec<Datum>,
    inner: Vec<Datum>,
}

/// What is known about events of one schema.
struct Event {
    rows: Vec<Row>,
    source: Option<usize>,
    /// The table's name within the source.
    table: Option<usize>,
}

/// A struct of an event that has times.
struct Row {
    name: &'static str,
    index: usize,
    schema: SchemaRef,
    times: Vec<(usize, Time)>,
}

/// What a field's number or text means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Time {
    /// Milliseconds since the epoch.
    Millis,
    Micros,
    Nanos,
    /// Connect's own timestamp.
    Date,
    /// ISO 8601 with an offset.
    Zoned,
    /// The time of day with an offset.
    Clock,
    /// Milliseconds, microseconds or nanoseconds in a source; so many of them make a second.
    Epoch(i64),
}

impl Time {
    /// What a field of a row is, by the name of its schema; a source's `ts_ms` and its like have none.
    fn of(row: &str, name: &str, schema: &SchemaRef) -> Option<Self> {
        match schema.name() {
            Some("io.debezium.time.Timestamp") => Some(Self::Millis),
            Some("io.debezium.time.MicroTimestamp") => Some(Self::Micros),
            Some("io.debezium.time.NanoTimestamp") => Some(Self::Nanos),
            Some("io.debezium.time.ZonedTimestamp") => Some(Self::Zoned),
            Some("io.debezium.time.ZonedTime") => Some(Self::Clock),
            Some(logical::TIMESTAMP) => Some(Self::Date),
            Some(_) => None,
            None if row != SOURCE => None,
            None => match name {
                "ts_ms" => Some(Self::Epoch(1_000)),
                "ts_us" => Some(Self::Epoch(1_000_000)),
                "ts_ns" => Some(Self::Epoch(1_000_000_000)),
                _ => None,
            },
        }
    }
}

impl Event {
    fn of(schema: &SchemaRef) -> Result<Self> {
        let struct_of = |name| schema.field(name).filter(|field| field.schema.type_() == Type::Struct);
        let mut rows = Vec::new();
        for name in [BEFORE, AFTER, SOURCE] {
            let Some(field) = struct_of(name) else { continue };
            let fields = field.schema.fields()?.iter();
            let times = fields.filter_map(|inner| Some((inner.index, Time::of(name, &inner.name, &inner.schema)?)));
            rows.push(Row {
                name,
                index: field.index,
                schema: Arc::clone(&field.schema),
                times: times.collect(),
            });
        }
        let source = struct_of(SOURCE);
        let table = source.and_then(|source| source.schema.field("table"));
        Ok(Self {
            rows,
            source: source.map(|field| field.index),
            table: table
                .filter(|field| field.schema.type_() == Type::String)
                .map(|field| field.index),
        })
    }

    /// The table that the event is about; none where its source does not say.
    fn table<'r>(&self, record: &'r ConnectRecord<'_>, values: &[Datum]) -> Result<Option<&'r str>> {
        let Some(source) = self.source else { return Ok(None) };
        let source = values.get(source).copied().unwrap_or_default();
        if source == Datum::Null {
            return Err(Error::data(
                "TimezoneConverter needs to know the table of an event, whose source is null. Keep such events from it with a \
                 predicate.",
            ));
        }
        let Some(table) = self.table else { return Ok(None) };
        let table = source.parts(record.backing()).get(table).copied().unwrap_or_default();
        Ok(table.view(record.backing()).as_str())
    }
}

impl Transformation for TimezoneConverter {
    fn apply(&mut self, record: &mut ConnectRecord<'_>) -> Result<Applied> {
        if record.is_null(Side::Value) || !is_envelope(record) {
            return Ok(Applied::Kept);
        }
        let (schema, values) = record.fields(Side::Value, "time zone conversion")?;
        let event = self.plans.get(schema, Event::of)?;
        let choice = self.rules.choice(record.topic(), event.table(record, values)?);
        self.row.clear();
        self.row.extend_from_slice(values);
        let mut changed = false;
        for row in &event.rows {
            let old = self.row[row.index];
            if old == Datum::Null || row.times.is_empty() || !choice.is_about(row.name) {
                continue;
            }
            self.inner.clear();
            self.inner.extend_from_slice(old.parts(record.backing()));
            if convert(record, row, &choice, &self.zone, &mut self.inner)? {
                let backing = record.backing_mut();
                let schema = backing.schema(&row.schema);
                self.row[row.index] = backing.record_not_validated(schema, &self.inner);
                changed = true;
            }
        }
        if changed {
            let row = &self.row;
            let mut fields = record.record(Side::Value, "time zone conversion")?;
            fields.change(|values, _| values.copy_from_slice(row));
        }
        Ok(Applied::Kept)
    }
}

/// Converts the times of a row; whether there was one.
fn convert(
    record: &mut ConnectRecord<'_>,
    row: &Row,
    choice: &Choice<'_>,
    zone: &Zone,
    values: &mut [Datum],
) -> Result<bool> {
    let mut changed = false;
    for (index, time) in &row.times {
        let field = &row.schema.fields()?[*index];
        if !choice.takes(row.name, &field.name) {
            continue;
        }
        let mut value = values[*index];
        if let (Datum::Null, Some(default)) = (value, field.schema.default()) {
            value = record.backing_mut().value(default);
        }
        if value == Datum::Null {
            continue;
        }
        values[*index] = converted(record, *time, zone, value, &field.name)?;
        changed = true;
    }
    Ok(changed)
}

fn converted(record: &mut ConnectRecord<'_>, time: Time, zone: &Zone, value: Datum, name: &str) -> Result<Datum> {
    let moved = |value: i64, per_second: i64| {
        let offset = zone.offset_of_local(value.div_euclid(per_second));
        value.wrapping_sub(i64::from(offset).wrapping_mul(per_second))
    };
    let backing = record.backing_mut();
    let text = match (time, value) {
        (Time::Millis, Datum::Int64(value)) => return Ok(Datum::Int64(moved(value, 1_000))),
        (Time::Micros, Datum::Int64(value)) => return Ok(Datum::Int64(moved(value, 1_000_000))),
        (Time::Nanos, Datum::Int64(value)) => return Ok(Datum::Int64(moved(value, 1_000_000_000))),
        (Time::Date, Datum::Date(value)) => return Ok(Datum::Date(moved(value, 1_000))),
        (Time::Epoch(per_second), Datum::Int64(value)) => {
            let offset = zone.offset_of_instant(value.div_euclid(per_second));
            return Ok(Datum::Int64(
                value.wrapping_add(i64::from(offset).wrapping_mul(per_second)),
            ));
        }
        (Time::Zoned | Time::Clock, Datum::Str(_)) => {
            let text = value.view(backing).as_str().unwrap_or_default();
            if time == Time::Zoned {
                zone.date_time(text)?
            } else {
                zone.time(text)?
            }
        }
        _ => {
            let expected = match time {
                Time::Date => "java.util.Date",
                Time::Zoned | Time::Clock => "java.lang.String",
                Time::Epoch(_) | Time::Millis | Time::Micros | Time::Nanos => "java.lang.Long",
            };
            let found: ValueRef<'_> = value.view(backing);
            return Err(wrong_class(name, found, expected));
        }
    };
    Ok(backing.text(&text))
}
