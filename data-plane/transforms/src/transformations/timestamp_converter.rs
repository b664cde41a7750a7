//! `TimestampConverter$Key` and `TimestampConverter$Value`: turns timestamps of one kind into another.

mod conversion;

use std::sync::Arc;

use dray_connect::backing::Backing;
use dray_connect::config::{ConfigDef, ConfigKey, ConfigType, Importance, ParsedConfig, ValidString};
use dray_connect::datum::{Datum, Field};
use dray_connect::schema::{SchemaBuilder, SchemaRef};
use dray_connect::structs::Struct;
use dray_connect::value::Value;
use dray_connect::{Error, Result};

use self::conversion::{Conversion, Kind, Precision};
use super::{REPLACE_NULL, now_millis, replace_null};
use crate::plans::{Defaults, Plans, copy_schema_basics};
use crate::registry::TransformationKind;
use crate::simple_date_format::SimpleDateFormat;
use crate::{Applied, ConnectRecord, Side, Transformation};

pub(super) const KIND: TransformationKind = TransformationKind {
    name: "TimestampConverter",
    sided: true,
    definition,
    make: |side, config| Ok(Box::new(TimestampConverter::new(side, config)?)),
};

const PURPOSE: &str = "converting timestamp formats";

fn definition() -> ConfigDef {
    ConfigDef::new()
        .define(
            ConfigKey::new("field", ConfigType::String)
                .default_value("")
                .importance(Importance::High)
                .doc("The field with the timestamp; empty when the whole key or value is one."),
        )
        .define(
            ConfigKey::new("target.type", ConfigType::String)
                .validator(ValidString::of(Kind::NAMES))
                .importance(Importance::High)
                .doc("What the timestamp is turned into."),
        )
        .define(
            ConfigKey::new("format", ConfigType::String)
                .default_value("")
                .importance(Importance::Medium)
                .doc(
                    "How timestamps are read from strings and written to strings, in UTC: \
                     a pattern of Java's SimpleDateFormat.",
                ),
        )
        .define(
            ConfigKey::new("unix.precision", ConfigType::String)
                .default_value("milliseconds")
                .validator(ValidString::of(Precision::NAMES))
                .importance(Importance::Low)
                .doc("What a timestamp that is a number counts. Between, milliseconds are all that is kept."),
        )
        .define(replace_null())
}

struct TimestampConverter {
    side: Side,
    /// Empty for the whole value.
    field: Arc<str>,
    replace_null: bool,
    conversion: Conversion,
    plans: Plans<Plan>,
}

/// What becomes of a schema.
struct Plan {
    schema: SchemaRef,
    /// Where the timestamp is in a struct; none when it is the whole value, or the struct has no such field.
    index: Option<usize>,
    /// What it is; the message where it is no timestamp, which is an error only when there is a value.
    kind: std::result::Result<Kind, String>,
    defaults: Defaults,
}

impl TimestampConverter {
    fn new(side: Side, config: &ParsedConfig) -> Result<Self> {
        let text = |key| config.string(key).unwrap_or_default();
        // Both are checked by the definition.
        let target = Kind::of_name(text("target.type")).unwrap_or(Kind::Timestamp);
        let precision = Precision::of_name(text("unix.precision")).unwrap_or(Precision::Milliseconds);
        let pattern = text("format");
        if target == Kind::Text && pattern.is_empty() {
            return Err(Error::config(
                "TimestampConverter requires format option to be specified when using string timestamps",
            ));
        }
        let format = if pattern.is_empty() {
            None
        } else {
            let format = SimpleDateFormat::compile(pattern, now_millis());
            Some(format.map_err(|error| {
                // Connect puts the message where the name of the key belongs, and the cause in place of the value.
                let key = format!(
                    "TimestampConverter requires a SimpleDateFormat-compatible pattern for string timestamps: {pattern}"
                );
                let value = format!("java.lang.IllegalArgumentException: {error}");
                Error::invalid_config(&key, Some(&value), None)
            })?)
        };
        Ok(Self {
            side,
            field: text("field").into(),
            replace_null: config.boolean(REPLACE_NULL)?,
            conversion: Conversion::new(target, format, precision),
            plans: Plans::default(),
        })
    }

    fn apply_schemaless(&mut self, record: &mut ConnectRecord<'_>) -> Result<()> {
        if self.field.is_empty() || record.is_null(self.side) {
            let datum = record.field(self.side).datum;
            let datum = self.conversion.convert_any(datum, record.backing_mut())?;
            record.set(self.side, Field::schemaless(datum));
            return Ok(());
        }
        let mut map = record.map(self.side, PURPOSE)?;
        match map.find(&self.field) {
            Some(index) => {
                let value = self.conversion.convert_any(map.value(index), map.backing_mut())?;
                map.set(index, value);
            }
            // Java's copy of the map gets what it found: null.
            None => map.put(&self.field, Datum::Null),
        }
        Ok(())
    }

    fn apply_whole(&mut self, record: &mut ConnectRecord<'_>) -> Result<()> {
        let Some(schema) = record.schema(self.side) else {
            return self.apply_schemaless(record);
        };
        let conversion = &self.conversion;
        let plan = self.plans.get(schema, |schema| {
            Ok(Plan {
                schema: conversion.schema(schema.optional()),
                index: None,
                kind: Kind::of_schema(schema),
                defaults: Defaults::default(),
            })
        })?;
        let kind = known(&plan.kind)?;
        let datum = record.field(self.side).datum;
        let datum = self.conversion.convert(kind, datum, record.backing_mut())?;
        let schema = Some(record.backing_mut().schema(&plan.schema));
        record.set(self.side, Field { schema, datum });
        Ok(())
    }

    fn apply_field(&mut self, record: &mut ConnectRecord<'_>) -> Result<()> {
        let Some(schema) = record.schema(self.side) else {
            return self.apply_schemaless(record);
        };
        let Self {
            field,
            replace_null,
            conversion,
            plans,
            ..
        } = self;
        if record.is_null(self.side) {
            let plan = plans.get(schema, |schema| plan(schema, field, *replace_null, conversion))?;
            let schema = Some(record.backing_mut().schema(&plan.schema));
            let datum = Datum::Null;
            record.set(self.side, Field { schema, datum });
            return Ok(());
        }
        let mut fields = record.record(self.side, PURPOSE)?;
        let plan = plans.get(fields.schema(), |schema| plan(schema, field, *replace_null, conversion))?;
        fields.change(|values, backing| plan.defaults.fill(values, backing));
        if let Some(index) = plan.index {
            let convert = |values: &mut [Datum], backing: &mut Backing| {
                values[index] = conversion.convert(known(&plan.kind)?, values[index], backing)?;
                Ok(())
            };
            let converted = fields.change(convert);
            converted.map_err(|error| fields.first_error(index, error))?;
        }
        fields.reshape(&plan.schema, |_, _| {});
        fields.refuse_null()
    }
}

fn known(kind: &std::result::Result<Kind, String>) -> Result<Kind> {
    kind.as_ref()
        .map_err(|problem| Error::connect(problem.clone()))
        .copied()
}

fn plan(schema: &SchemaRef, name: &str, replace_null: bool, conversion: &mut Conversion) -> Result<Plan> {
    let mut builder = copy_schema_basics(schema, SchemaBuilder::struct_());
    let mut found = None;
    for field in schema.fields()? {
        let schema = if *field.name == *name {
            found = Some((field.index, Kind::of_schema(&field.schema)));
            conversion.schema(field.schema.optional())
        } else {
            Arc::clone(&field.schema)
        };
        builder = builder.field(Arc::clone(&field.name), schema);
    }
    if schema.optional() {
        builder = builder.optional();
    }
    let mut converted = builder.build()?;
    if let Some(Value::Struct(default)) = schema.default() {
        let default = convert_struct(default, &converted, name, replace_null, conversion)?;
        converted = converted.to_builder().default_value(default.into()).build()?;
    }
    let (index, kind) = match found {
        Some((index, kind)) => (Some(index), kind),
        None => (None, Ok(Kind::Timestamp)),
    };
    Ok(Plan {
        schema: converted,
        index,
        kind,
        defaults: Defaults::of(schema, replace_null)?,
    })
}

/// The default of a struct schema, of the new schema.
fn convert_struct(
    default: &Struct,
    schema: &SchemaRef,
    name: &str,
    replace_null: bool,
    conversion: &mut Conversion,
) -> Result<Struct> {
    let mut converted = Struct::new(Arc::clone(schema))?;
    let mut backing = Backing::default();
    for (field, value) in default.iter() {
        let value = if replace_null {
            default.value_or_default(field)
        } else {
            value
        };
        if *field.name == *name {
            let datum = backing.value(value);
            let datum = conversion.convert(known(&Kind::of_schema(&field.schema))?, datum, &mut backing)?;
            converted.put_at(field.index, datum.view(&backing).to_value())?;
        } else {
            converted.put_at(field.index, value.clone())?;
        }
    }
    Ok(converted)
}

impl Transformation for TimestampConverter {
    fn apply(&mut self, record: &mut ConnectRecord<'_>) -> Result<Applied> {
        if self.field.is_empty() {
            self.apply_whole(record)?;
        } else {
            self.apply_field(record)?;
        }
        Ok(Applied::Kept)
    }
}

#[cfg(test)]
mod tests;
