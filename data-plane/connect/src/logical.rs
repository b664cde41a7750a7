//! The four logical types: Decimal, Date, Time and Timestamp.
//!
//! A schema is of a logical type by its name alone. The functions go between the value a connector sees and the base
//! value that is stored.

use std::sync::{Arc, LazyLock};

use bigdecimal::BigDecimal;
use num_bigint::BigInt;

use crate::error::{Error, Result};
use crate::schema::{Schema, SchemaBuilder, SchemaRef};

/// The schema name of Decimal.
pub const DECIMAL: &str = "org.apache.kafka.connect.data.Decimal";
/// The schema name of Date.
pub const DATE: &str = "org.apache.kafka.connect.data.Date";
/// The schema name of Time.
pub const TIME: &str = "org.apache.kafka.connect.data.Time";
/// The schema name of Timestamp.
pub const TIMESTAMP: &str = "org.apache.kafka.connect.data.Timestamp";
/// The schema parameter that holds the scale of a Decimal.
pub const SCALE: &str = "scale";
/// The milliseconds of a day; Connect's days have no leap seconds.
pub const MILLIS_PER_DAY: i64 = 86_400_000;

/// One of the logical types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logical {
    /// Bytes: an unscaled number, with the scale in the schema.
    Decimal,
    /// 32 bit integer: days since the epoch.
    Date,
    /// 32 bit integer: milliseconds after midnight.
    Time,
    /// 64 bit integer: milliseconds since the epoch.
    Timestamp,
}

impl Logical {
    /// The logical type that has this schema name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        match name {
            DECIMAL => Some(Self::Decimal),
            DATE => Some(Self::Date),
            TIME => Some(Self::Time),
            TIMESTAMP => Some(Self::Timestamp),
            _ => None,
        }
    }

    /// The logical type of a schema.
    #[must_use]
    pub fn of(schema: &Schema) -> Option<Self> {
        schema.name().and_then(Self::of_name)
    }
}

/// A builder of a Decimal schema.
#[must_use]
pub fn decimal_builder(scale: i32) -> SchemaBuilder {
    SchemaBuilder::bytes()
        .name(DECIMAL)
        .parameter(SCALE, scale.to_string())
        .version(1)
}

/// A builder of a Date schema.
#[must_use]
pub fn date_builder() -> SchemaBuilder {
    SchemaBuilder::int32().name(DATE).version(1)
}

/// A builder of a Time schema.
#[must_use]
pub fn time_builder() -> SchemaBuilder {
    SchemaBuilder::int32().name(TIME).version(1)
}

/// A builder of a Timestamp schema.
#[must_use]
pub fn timestamp_builder() -> SchemaBuilder {
    SchemaBuilder::int64().name(TIMESTAMP).version(1)
}

const SOUND: &str = "a name, a version and one parameter can always be set";

/// The schema of a required Decimal of that scale.
#[must_use]
pub fn decimal_schema(scale: i32) -> SchemaRef {
    decimal_builder(scale).build().expect(SOUND)
}

/// The shared schema of a required Date.
#[must_use]
pub fn date_schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| date_builder().build().expect(SOUND));
    Arc::clone(&SCHEMA)
}

/// The shared schema of a required Time.
#[must_use]
pub fn time_schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| time_builder().build().expect(SOUND));
    Arc::clone(&SCHEMA)
}

/// The shared schema of a required Timestamp.
#[must_use]
pub fn timestamp_schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| timestamp_builder().build().expect(SOUND));
    Arc::clone(&SCHEMA)
}

/// The scale a Decimal schema states.
pub fn decimal_scale(schema: &Schema) -> Result<i32> {
    let Some(text) = schema.parameters().and_then(|parameters| parameters.get(SCALE)) else {
        return Err(Error::data("Invalid Decimal schema: scale parameter not found."));
    };
    text.parse().map_err(|cause: std::num::ParseIntError| {
        Error::data("Invalid scale parameter found in Decimal schema: ").with_source(cause)
    })
}

/// The stored bytes of a decimal: its unscaled number, big-endian, as short as possible. Its scale must be the schema's.
pub fn decimal_to_bytes(schema: &Schema, value: &BigDecimal) -> Result<Vec<u8>> {
    let expected = decimal_scale(schema)?;
    let (unscaled, scale) = value.as_bigint_and_exponent();
    if scale != i64::from(expected) {
        return Err(Error::data(format!(
            "Decimal value has mismatching scale for given Decimal schema. Schema has scale {expected}, value has scale {scale}."
        )));
    }
    Ok(unscaled.to_signed_bytes_be())
}

/// The decimal of stored bytes, with the schema's scale.
pub fn decimal_from_bytes(schema: &Schema, bytes: &[u8]) -> Result<BigDecimal> {
    let scale = decimal_scale(schema)?;
    if bytes.is_empty() {
        return Err(Error::data("Zero length BigInteger"));
    }
    Ok(BigDecimal::new(BigInt::from_signed_bytes_be(bytes), i64::from(scale)))
}

/// The days of a Date, whose time of day in UTC must be zero.
pub fn date_to_days(schema: &Schema, millis: i64) -> Result<i32> {
    expect_name(schema, DATE, "Date")?;
    if millis.rem_euclid(MILLIS_PER_DAY) != 0 {
        return Err(Error::data(
            "Kafka Connect Date type should not have any time fields set to non-zero values.",
        ));
    }
    // Java narrows with a cast as well.
    Ok((millis / MILLIS_PER_DAY) as i32)
}

/// The milliseconds since the epoch of a Date.
pub fn date_from_days(schema: &Schema, days: i32) -> Result<i64> {
    expect_name(schema, DATE, "Date")?;
    Ok(i64::from(days) * MILLIS_PER_DAY)
}

/// The milliseconds after midnight of a Time; 24:00 is legal.
pub fn time_to_millis(schema: &Schema, millis: i64) -> Result<i32> {
    expect_name(schema, TIME, "Time")?;
    if !(0..=MILLIS_PER_DAY).contains(&millis) {
        return Err(Error::data(
            "Kafka Connect Time type should not have any date fields set to non-zero values.",
        ));
    }
    Ok(millis as i32)
}

/// The Time of milliseconds after midnight.
pub fn time_from_millis(schema: &Schema, millis: i32) -> Result<i64> {
    // Connect says "Date" here too.
    expect_name(schema, TIME, "Date")?;
    let millis = i64::from(millis);
    if !(0..=MILLIS_PER_DAY).contains(&millis) {
        return Err(Error::data(
            "Time values must use number of milliseconds greater than 0 and less than 86400000",
        ));
    }
    Ok(millis)
}

/// The milliseconds since the epoch of a Timestamp.
pub fn timestamp_to_millis(schema: &Schema, millis: i64) -> Result<i64> {
    expect_name(schema, TIMESTAMP, "Timestamp")?;
    Ok(millis)
}

/// The Timestamp of milliseconds since the epoch.
pub fn timestamp_from_millis(schema: &Schema, millis: i64) -> Result<i64> {
    expect_name(schema, TIMESTAMP, "Timestamp")?;
    Ok(millis)
}

fn expect_name(schema: &Schema, name: &str, what: &str) -> Result<()> {
    if schema.name() == Some(name) {
        Ok(())
    } else {
        Err(Error::data(format!(
            "Requested conversion of {what} object but the schema does not match."
        )))
    }
}

#[cfg(test)]
mod tests;
