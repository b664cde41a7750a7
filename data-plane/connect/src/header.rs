//! Record headers: an ordered list in which a key may occur more than once.

use std::sync::Arc;

use bigdecimal::BigDecimal;

use crate::error::{Error, Result};
use crate::logical::{self, Logical};
use crate::schema::{Schema, SchemaRef, Type};
use crate::structs::Struct;
use crate::value::{SchemaAndValue, Value};

/// One header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The key; it need not be unique among the headers of a record.
    pub key: Arc<str>,
    /// The value and its schema.
    pub value: SchemaAndValue,
}

impl Header {
    /// The schema; a struct without one stands for its own.
    #[must_use]
    pub fn schema(&self) -> Option<&SchemaRef> {
        self.value
            .schema
            .as_ref()
            .or_else(|| self.value.value.as_struct().map(Struct::schema))
    }
}

/// The headers of a record in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<Header>);

macro_rules! add_typed {
    ($($name:ident, $schema:ident, $ty:ty, $text:literal;)*) => {
        $(
            #[doc = concat!("Appends a header with ", $text, ".")]
            pub fn $name(&mut self, key: impl Into<Arc<str>>, value: $ty) {
                self.push(key, Some(Schema::$schema()), value.into());
            }
        )*
    };
}

impl Headers {
    /// No headers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The headers in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Header> {
        self.0.iter()
    }

    /// Appends a header after checking that the value is of a class the schema takes. Without a schema nothing is checked.
    pub fn add(&mut self, key: impl Into<Arc<str>>, value: SchemaAndValue) -> Result<()> {
        check_schema_matches(&value)?;
        self.0.push(Header { key: key.into(), value });
        Ok(())
    }

    add_typed! {
        add_boolean, boolean, bool, "a boolean";
        add_byte, int8, i8, "an 8 bit integer";
        add_short, int16, i16, "a 16 bit integer";
        add_int, int32, i32, "a 32 bit integer";
        add_long, int64, i64, "a 64 bit integer";
        add_float, float32, f32, "a 32 bit float";
        add_double, float64, f64, "a 64 bit float";
    }

    /// Appends a header with a string; the schema is optional when there is none.
    pub fn add_string(&mut self, key: impl Into<Arc<str>>, value: Option<&str>) {
        let schema = if value.is_some() {
            Schema::string()
        } else {
            Schema::optional_string()
        };
        self.push(key, Some(schema), value.into());
    }

    /// Appends a header with bytes; the schema is optional when there are none.
    pub fn add_bytes(&mut self, key: impl Into<Arc<str>>, value: Option<&[u8]>) {
        let schema = if value.is_some() {
            Schema::bytes()
        } else {
            Schema::optional_bytes()
        };
        self.push(key, Some(schema), value.into());
    }

    /// Appends a header with a list, a map or null of that schema, checked as by [`Headers::add`].
    pub fn add_value(&mut self, key: impl Into<Arc<str>>, value: Value, schema: SchemaRef) -> Result<()> {
        self.add(
            key,
            SchemaAndValue {
                schema: Some(schema),
                value,
            },
        )
    }

    /// Appends a header with a struct and its schema.
    pub fn add_struct(&mut self, key: impl Into<Arc<str>>, value: Struct) {
        let schema = Arc::clone(value.schema());
        self.push(key, Some(schema), value.into());
    }

    /// Appends a header with a decimal; the schema gets the decimal's scale.
    pub fn add_decimal(&mut self, key: impl Into<Arc<str>>, value: BigDecimal) {
        // A scale past 32 bits does not exist in Java.
        let scale = i32::try_from(value.fractional_digit_count()).unwrap_or(i32::MAX);
        self.push(key, Some(logical::decimal_schema(scale)), value.into());
    }

    /// Appends a header with a Date; the milliseconds must fall on midnight UTC.
    pub fn add_date(&mut self, key: impl Into<Arc<str>>, millis: Option<i64>) -> Result<()> {
        let schema = logical::date_schema();
        if let Some(millis) = millis {
            logical::date_to_days(&schema, millis)?;
        }
        self.push(key, Some(schema), millis.map_or(Value::Null, Value::Date));
        Ok(())
    }

    /// Appends a header with a Time of milliseconds after midnight.
    pub fn add_time(&mut self, key: impl Into<Arc<str>>, millis: Option<i64>) -> Result<()> {
        let schema = logical::time_schema();
        if let Some(millis) = millis {
            logical::time_to_millis(&schema, millis)?;
        }
        self.push(key, Some(schema), millis.map_or(Value::Null, Value::Date));
        Ok(())
    }

    /// Appends a header with a Timestamp of milliseconds since the epoch.
    pub fn add_timestamp(&mut self, key: impl Into<Arc<str>>, millis: Option<i64>) {
        self.push(
            key,
            Some(logical::timestamp_schema()),
            millis.map_or(Value::Null, Value::Date),
        );
    }

    /// The last header with that key.
    #[must_use]
    pub fn last_with_name(&self, key: &str) -> Option<&Header> {
        self.0.iter().rev().find(|header| &*header.key == key)
    }

    /// All headers with that key, in order.
    pub fn all_with_name<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a Header> {
        self.0.iter().filter(move |header| &*header.key == key)
    }

    /// Removes all headers with that key.
    pub fn remove(&mut self, key: &str) {
        self.0.retain(|header| &*header.key != key);
    }

    /// Removes all headers.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Keeps of each key only the last header.
    pub fn retain_latest(&mut self) {
        let mut seen = std::collections::HashSet::new();
        let mut keep: Vec<bool> = self
            .0
            .iter()
            .rev()
            .map(|header| seen.insert(Arc::clone(&header.key)))
            .collect();
        keep.reverse();
        self.retain_where(&keep);
    }

    /// Keeps of the headers with that key only the last one.
    pub fn retain_latest_of(&mut self, key: &str) {
        let last = self.0.iter().rposition(|header| &*header.key == key);
        let keep: Vec<bool> = self
            .0
            .iter()
            .enumerate()
            .map(|(i, header)| &*header.key != key || Some(i) == last)
            .collect();
        self.retain_where(&keep);
    }

    fn retain_where(&mut self, keep: &[bool]) {
        let mut keep = keep.iter();
        self.0.retain(|_| keep.next().copied().unwrap_or(true));
    }

    /// Replaces each header in place by what `transform` makes of it, and removes those it returns none for. A replaced
    /// value is checked as by [`Headers::add`]; after an error the headers are as they were.
    pub fn apply(&mut self, mut transform: impl FnMut(Header) -> Option<Header>) -> Result<()> {
        let mut changed = Vec::with_capacity(self.0.len());
        for header in &self.0 {
            if let Some(header) = transform(header.clone()) {
                check_schema_matches(&header.value)?;
                changed.push(header);
            }
        }
        self.0 = changed;
        Ok(())
    }

    fn push(&mut self, key: impl Into<Arc<str>>, schema: Option<SchemaRef>, value: Value) {
        self.0.push(Header {
            key: key.into(),
            value: SchemaAndValue { schema, value },
        });
    }
}

impl<'a> IntoIterator for &'a Headers {
    type Item = &'a Header;
    type IntoIter = std::slice::Iter<'a, Header>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl IntoIterator for Headers {
    type Item = Header;
    type IntoIter = std::vec::IntoIter<Header>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// Unlike `validate_value` this does not look inside, and a logical schema also takes its base representation.
fn check_schema_matches(value: &SchemaAndValue) -> Result<()> {
    let Some(schema) = &value.schema else { return Ok(()) };
    if value.value.is_null() {
        if schema.optional() {
            return Ok(());
        }
        return Err(Error::data(format!(
            "A null value requires an optional schema but was {schema}"
        )));
    }
    let logical_fits = match (Logical::of(schema), schema.type_(), &value.value) {
        (Some(Logical::Decimal), Type::Bytes, Value::Decimal(_)) => true,
        (Some(Logical::Date | Logical::Time), Type::Int32, Value::Date(_)) => true,
        (Some(Logical::Timestamp), Type::Int64, Value::Date(_)) => true,
        (_, _, _) => false,
    };
    if logical_fits || value.value.schema_type() == Some(schema.type_()) {
        return Ok(());
    }
    Err(Error::data(format!(
        "The value {} is not compatible with the schema {schema}",
        value.value
    )))
}

#[cfg(test)]
mod tests;
