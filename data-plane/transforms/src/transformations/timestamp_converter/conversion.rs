//! From one kind of timestamp to another, by way of milliseconds since the epoch.

use std::sync::Arc;

use dray_connect::backing::Backing;
use dray_connect::datum::{Datum, ValueRef};
use dray_connect::logical::{self, Logical, MILLIS_PER_DAY};
use dray_connect::schema::{Schema, SchemaBuilder, SchemaRef, Type};
use dray_connect::{Error, Result};

use crate::simple_date_format::SimpleDateFormat;

/// What a timestamp is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A string.
    Text,
    /// A number since the epoch.
    Unix,
    /// The logical type Date.
    Date,
    /// The logical type Time.
    Time,
    /// The logical type Timestamp.
    Timestamp,
}

impl Kind {
    /// The names that the configuration has for them.
    pub(super) const NAMES: [&'static str; 5] = ["string", "unix", "Date", "Time", "Timestamp"];

    pub(super) fn of_name(name: &str) -> Option<Self> {
        let kinds = [Self::Text, Self::Unix, Self::Date, Self::Time, Self::Timestamp];
        let place = Self::NAMES.iter().position(|known| *known == name)?;
        Some(kinds[place])
    }

    /// The kind of the values of a schema; a message where they are no timestamps.
    pub(super) fn of_schema(schema: &Schema) -> Result<Self, String> {
        match (Logical::of(schema), schema.type_()) {
            (Some(Logical::Timestamp), _) => Ok(Self::Timestamp),
            (Some(Logical::Date), _) => Ok(Self::Date),
            (Some(Logical::Time), _) => Ok(Self::Time),
            (_, Type::String) => Ok(Self::Text),
            (_, Type::Int64) => Ok(Self::Unix),
            (_, _) => Err(format!(
                "Schema {schema} does not correspond to a known timestamp type format"
            )),
        }
    }
}

/// What a timestamp that is a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Precision {
    Nanoseconds,
    Microseconds,
    Milliseconds,
    Seconds,
}

impl Precision {
    /// The names that the configuration has for them.
    pub(super) const NAMES: [&'static str; 4] = ["nanoseconds", "microseconds", "milliseconds", "seconds"];

    pub(super) fn of_name(name: &str) -> Option<Self> {
        let all = [Self::Nanoseconds, Self::Microseconds, Self::Milliseconds, Self::Seconds];
        let place = Self::NAMES.iter().position(|known| *known == name)?;
        Some(all[place])
    }

    // As `TimeUnit` does it: too much stays at the end of the range, and division cuts towards zero.

    fn to_millis(self, number: i64) -> i64 {
        match self {
            Self::Nanoseconds => number / 1_000_000,
            Self::Microseconds => number / 1000,
            Self::Milliseconds => number,
            Self::Seconds => number.saturating_mul(1000),
        }
    }

    fn of_millis(self, millis: i64) -> i64 {
        match self {
            Self::Nanoseconds => millis.saturating_mul(1_000_000),
            Self::Microseconds => millis.saturating_mul(1000),
            Self::Milliseconds => millis,
            Self::Seconds => millis / 1000,
        }
    }
}

pub(super) struct Conversion {
    target: Kind,
    /// How strings are read and written.
    format: Option<SimpleDateFormat>,
    precision: Precision,
    /// The schemas of what comes out.
    required: SchemaRef,
    optional: SchemaRef,
    /// The string being written.
    text: String,
}

impl Conversion {
    pub(super) fn new(target: Kind, format: Option<SimpleDateFormat>, precision: Precision) -> Self {
        let required = match target {
            Kind::Text => Schema::string(),
            Kind::Unix => Schema::int64(),
            Kind::Date => logical::date_schema(),
            Kind::Time => logical::time_schema(),
            Kind::Timestamp => logical::timestamp_schema(),
        };
        let optional = |builder: SchemaBuilder| {
            let built = builder.optional().build();
            built.expect("these schemas can be optional")
        };
        let optional = match target {
            Kind::Text => Schema::optional_string(),
            Kind::Unix => Schema::optional_int64(),
            Kind::Date => optional(logical::date_builder()),
            Kind::Time => optional(logical::time_builder()),
            Kind::Timestamp => optional(logical::timestamp_builder()),
        };
        Self {
            target,
            format,
            precision,
            required,
            optional,
            text: String::new(),
        }
    }

    /// The schema of what comes out.
    pub(super) fn schema(&self, optional: bool) -> SchemaRef {
        Arc::clone(if optional { &self.optional } else { &self.required })
    }

    /// A value of a kind, converted; null stays null.
    #[inline]
    pub(super) fn convert(&mut self, kind: Kind, value: Datum, backing: &mut Backing) -> Result<Datum> {
        if value == Datum::Null {
            return Ok(value);
        }
        let millis = self.to_millis(kind, value.view(backing))?;
        Ok(match self.target {
            Kind::Text => match &mut self.format {
                Some(format) => {
                    self.text.clear();
                    format.format(millis, &mut self.text);
                    backing.text(&self.text)
                }
                // A format was asked for when the transform was made.
                None => Datum::Null,
            },
            Kind::Unix => Datum::Int64(self.precision.of_millis(millis)),
            // Wraps as Java's calendar does, 292 million years before the epoch.
            Kind::Date => Datum::Date(millis.wrapping_sub(millis.rem_euclid(MILLIS_PER_DAY))),
            Kind::Time => Datum::Date(millis.rem_euclid(MILLIS_PER_DAY)),
            Kind::Timestamp => Datum::Date(millis),
        })
    }

    /// A value whose kind is known by its class only.
    pub(super) fn convert_any(&mut self, value: Datum, backing: &mut Backing) -> Result<Datum> {
        let kind = match value.view(backing) {
            ValueRef::Null => return Ok(Datum::Null),
            ValueRef::Date(_) => Kind::Timestamp,
            ValueRef::Int64(_) => Kind::Unix,
            ValueRef::Str(_) => Kind::Text,
            other @ (ValueRef::Boolean(_)
            | ValueRef::Int8(_)
            | ValueRef::Int16(_)
            | ValueRef::Int32(_)
            | ValueRef::Float32(_)
            | ValueRef::Float64(_)
            | ValueRef::Bytes(_)
            | ValueRef::Decimal(_)
            | ValueRef::Array(_)
            | ValueRef::Map(_)
            | ValueRef::Struct(_)) => {
                let class = other.java_class();
                return Err(Error::data(format!(
                    "TimestampConverter does not support class {class} objects as timestamps"
                )));
            }
        };
        self.convert(kind, value, backing)
    }

    fn to_millis(&self, kind: Kind, value: ValueRef<'_>) -> Result<i64> {
        let expected = match (kind, value) {
            (Kind::Text, ValueRef::Str(_)) => return self.parse(value.as_str().unwrap_or_default()),
            (Kind::Unix, ValueRef::Int64(number)) => return Ok(self.precision.to_millis(number)),
            (Kind::Date | Kind::Time | Kind::Timestamp, ValueRef::Date(millis)) => return Ok(millis),
            (Kind::Text, _) => "string timestamp to be a String",
            (Kind::Unix, _) => "Unix timestamp to be a Long",
            (Kind::Date, _) => "Date to be a java.util.Date",
            (Kind::Time, _) => "Time to be a java.util.Date",
            (Kind::Timestamp, _) => "Timestamp to be a java.util.Date",
        };
        let class = value.java_class();
        Err(Error::data(format!("Expected {expected}, but found class {class}")))
    }

    fn parse(&self, text: &str) -> Result<i64> {
        let Some(format) = &self.format else {
            return Err(Error::data(
                "TimestampConverter found a string and has no format to read timestamps from strings: set format to a \
                 pattern of Java's SimpleDateFormat",
            ));
        };
        format.parse(text).map_err(|cause| {
            let pattern = format.pattern();
            let message = format!("Could not parse timestamp: value ({text}) does not match pattern ({pattern})");
            Error::data(message).with_source(cause)
        })
    }
}
