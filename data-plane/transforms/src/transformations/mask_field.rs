//! `MaskField$Key` and `MaskField$Value`: puts a value that says nothing, or one that is configured, in place of fields.

use std::sync::Arc;

use dray_connect::backing::Backing;
use dray_connect::config::{ConfigDef, ConfigKey, ConfigType, Importance, NonEmptyString, ParsedConfig, ValidList};
use dray_connect::datum::Datum;
use dray_connect::schema::SchemaRef;
use dray_connect::value::Value;
use dray_connect::values::{convert_to_double, convert_to_long, parse_decimal};
use dray_connect::{Error, Result};

use super::{REPLACE_NULL, replace_null};
use crate::java::hash_order;
use crate::plans::{Defaults, Plans};
use crate::registry::TransformationKind;
use crate::{Applied, ConnectRecord, Side, Transformation};

pub(super) const KIND: TransformationKind = TransformationKind {
    name: "MaskField",
    sided: true,
    definition,
    make: |side, config| Ok(Box::new(MaskField::new(side, config)?)),
};

const PURPOSE: &str = "mask fields";

fn definition() -> ConfigDef {
    ConfigDef::new()
        .define(
            ConfigKey::new("fields", ConfigType::List)
                .validator(ValidList::any())
                .importance(Importance::High)
                .doc("Fields to mask."),
        )
        .define(
            ConfigKey::new("replacement", ConfigType::String)
                .default_null()
                .validator(NonEmptyString)
                .importance(Importance::Low)
                .doc(
                    "What stands in place of numbers and strings; \
                     when not set it is 0, an empty string, or what is like it for other types.",
                ),
        )
        .define(replace_null())
}

struct MaskField {
    side: Side,
    fields: Vec<Arc<str>>,
    replace_null: bool,
    mask: Mask,
    plans: Plans<Plan>,
}

/// The places of the fields to mask.
struct Plan {
    masked: Vec<usize>,
    defaults: Defaults,
}

/// What is put in place of a value.
enum Mask {
    /// A value of its class that says nothing.
    Nothing,
    /// What was configured.
    Replacement(Replacement),
}

/// A replacement, read as each class that it may stand for. What cannot be read is an error only when such a value comes.
struct Replacement {
    text: String,
    integer: Result<i64, String>,
    float: Result<f64, String>,
    /// None when it is no number.
    decimal: Option<Value>,
}

impl MaskField {
    fn new(side: Side, config: &ParsedConfig) -> Result<Self> {
        let fields = config.list("fields").unwrap_or_default().iter();
        // Java goes through a set of them: of two fields that cannot be masked its first one is told.
        let fields = hash_order(fields.map(|name| (name.clone(), ())));
        Ok(Self {
            side,
            fields: fields.into_iter().map(|(name, ())| name.into()).collect(),
            replace_null: config.boolean(REPLACE_NULL)?,
            mask: config
                .string("replacement")
                .map_or(Mask::Nothing, |text| Mask::Replacement(Replacement::new(text))),
            plans: Plans::default(),
        })
    }
}

impl Replacement {
    fn new(text: &str) -> Self {
        let value = Value::from(text);
        Self {
            text: text.to_owned(),
            // None stands for null, which a text never is.
            integer: convert_to_long(None, &value)
                .map(Option::unwrap_or_default)
                .map_err(|error| error.to_string()),
            float: convert_to_double(None, &value)
                .map(Option::unwrap_or_default)
                .map_err(|error| error.to_string()),
            decimal: parse_decimal(text).map(Value::Decimal),
        }
    }

    fn integer(&self) -> Result<i64> {
        self.integer.clone().map_err(Error::data)
    }

    fn float(&self) -> Result<f64> {
        self.float.clone().map_err(Error::data)
    }

    fn put(&self, value: Datum, backing: &mut Backing) -> Result<Datum> {
        Ok(match value {
            Datum::Null => Datum::Null,
            // Java narrows as well: 300 is 44 as a byte.
            Datum::Int8(_) => Datum::Int8(self.integer()? as i8),
            Datum::Int16(_) => Datum::Int16(self.integer()? as i16),
            Datum::Int32(_) => Datum::Int32(self.integer()? as i32),
            Datum::Int64(_) => Datum::Int64(self.integer()?),
            Datum::Float32(_) => Datum::Float32(self.float()? as f32),
            Datum::Float64(_) => Datum::Float64(self.float()?),
            Datum::Str(_) => backing.text(&self.text),
            Datum::Decimal(_) => match &self.decimal {
                Some(decimal) => backing.value(decimal),
                None => {
                    let text = &self.text;
                    return Err(Error::data(format!(
                        "Unable to convert {text} (class java.lang.String) to number"
                    )));
                }
            },
            Datum::Boolean(_)
            | Datum::Bytes(_)
            | Datum::Date(_)
            | Datum::Array(_)
            | Datum::Map(_)
            | Datum::Struct(_) => {
                return Err(Error::data(format!(
                    "Cannot mask value of type class {} with custom replacement.",
                    value.view(backing).java_class()
                )));
            }
        })
    }
}

impl Mask {
    #[inline]
    fn put(&self, value: Datum, backing: &mut Backing) -> Result<Datum> {
        match self {
            Self::Nothing => nothing(value, backing),
            Self::Replacement(replacement) => replacement.put(value, backing),
        }
    }
}

fn nothing(value: Datum, backing: &mut Backing) -> Result<Datum> {
    Ok(match value {
        Datum::Null => Datum::Null,
        Datum::Boolean(_) => Datum::Boolean(false),
        Datum::Int8(_) => Datum::Int8(0),
        Datum::Int16(_) => Datum::Int16(0),
        Datum::Int32(_) => Datum::Int32(0),
        Datum::Int64(_) => Datum::Int64(0),
        Datum::Float32(_) => Datum::Float32(0.0),
        Datum::Float64(_) => Datum::Float64(0.0),
        Datum::Str(_) => backing.text(""),
        // Whatever the scale of the schema, as in Java.
        Datum::Decimal(_) => backing.decimal(&0.into()),
        Datum::Date(_) => Datum::Date(0),
        Datum::Array(_) => backing.array(&[]),
        Datum::Map(_) => backing.map([]),
        Datum::Bytes(_) | Datum::Struct(_) => {
            return Err(Error::data(format!(
                "Cannot mask value of type: class {}",
                value.view(backing).java_class()
            )));
        }
    })
}

fn plan(schema: &SchemaRef, fields: &[Arc<str>], replace_null: bool) -> Result<Plan> {
    let is_masked = |name: &str| fields.iter().any(|masked| **masked == *name);
    let fields = schema.fields()?.iter();
    Ok(Plan {
        masked: fields
            .filter(|field| is_masked(&field.name))
            .map(|field| field.index)
            .collect(),
        defaults: Defaults::of(schema, replace_null)?,
    })
}

impl Transformation for MaskField {
    fn apply(&mut self, record: &mut ConnectRecord<'_>) -> Result<Applied> {
        if record.schema(self.side).is_none() {
            let mut map = record.map(self.side, PURPOSE)?;
            for name in &self.fields {
                match map.find(name) {
                    Some(index) => {
                        let value = self.mask.put(map.value(index), map.backing_mut())?;
                        map.set(index, value);
                    }
                    // Java's copy of the map gets what it found: null.
                    None => map.put(name, Datum::Null),
                }
            }
            return Ok(Applied::Kept);
        }
        let mut fields = record.record(self.side, PURPOSE)?;
        let plan = self
            .plans
            .get(fields.schema(), |schema| plan(schema, &self.fields, self.replace_null))?;
        let masked = fields.change(|values, backing| {
            plan.defaults.fill(values, backing);
            for &index in &plan.masked {
                values[index] = self.mask.put(values[index], backing).map_err(|error| (index, error))?;
            }
            Ok(())
        });
        masked.map_err(|(index, error)| fields.first_error(index, error))?;
        fields.refuse_null()?;
        Ok(Applied::Kept)
    }
}

#[cfg(test)]
mod tests;
