//! A configuration that was read and found right.

use std::collections::BTreeMap;

use super::ConfigMap;
use super::value::{ConfigValue, Password};
use crate::error::{Error, Result};

/// The values of a configuration, as Kafka's `AbstractConfig` gives them.
///
/// Numbers and booleans are returned as they are and null is an error; ask with `optional_…` where null is the default.
/// Everything else is none when it is null.
#[derive(Clone, Debug, PartialEq)]
pub struct ParsedConfig {
    values: BTreeMap<String, ConfigValue>,
    originals: ConfigMap,
}

macro_rules! numbers {
    ($($name:ident, $optional:ident, $variant:ident, $ty:ty, $text:literal;)*) => {
        $(
            #[doc = concat!("The ", $text, " of a key; the error is for a key that is not defined so, or null.")]
            pub fn $name(&self, key: &str) -> Result<$ty> {
                match self.get(key)? {
                    ConfigValue::$variant(value) => Ok(*value),
                    other => Err(wrong_kind(key, other, $text)),
                }
            }

            #[doc = concat!("The ", $text, " of a key; none when it is null or not defined so.")]
            #[must_use]
            pub fn $optional(&self, key: &str) -> Option<$ty> {
                if let Some(ConfigValue::$variant(value)) = self.values.get(key) { Some(*value) } else { None }
            }
        )*
    };
}

impl ParsedConfig {
    pub(super) fn new(values: BTreeMap<String, ConfigValue>, originals: ConfigMap) -> Self {
        Self { values, originals }
    }

    /// The value of a defined key.
    pub fn get(&self, key: &str) -> Result<&ConfigValue> {
        self.values
            .get(key)
            .ok_or_else(|| Error::config(format!("Unknown configuration '{key}'")))
    }

    numbers! {
        boolean, optional_boolean, Boolean, bool, "boolean";
        int, optional_int, Int, i32, "32 bit integer";
        short, optional_short, Short, i16, "16 bit integer";
        long, optional_long, Long, i64, "64 bit integer";
        double, optional_double, Double, f64, "64 bit float";
    }

    /// The text of a key; none when it is null.
    #[must_use]
    pub fn string(&self, key: &str) -> Option<&str> {
        if let Some(ConfigValue::String(value)) = self.values.get(key) {
            Some(value)
        } else {
            None
        }
    }

    /// The elements of a list; none when it is null.
    #[must_use]
    pub fn list(&self, key: &str) -> Option<&[String]> {
        if let Some(ConfigValue::List(values)) = self.values.get(key) {
            Some(values)
        } else {
            None
        }
    }

    /// The full name of a class; none when it is null.
    #[must_use]
    pub fn class(&self, key: &str) -> Option<&str> {
        if let Some(ConfigValue::Class(name)) = self.values.get(key) {
            Some(name)
        } else {
            None
        }
    }

    /// The secret of a key; none when it is null.
    #[must_use]
    pub fn password(&self, key: &str) -> Option<&Password> {
        if let Some(ConfigValue::Password(secret)) = self.values.get(key) {
            Some(secret)
        } else {
            None
        }
    }

    /// All values by key.
    #[must_use]
    pub fn values(&self) -> &BTreeMap<String, ConfigValue> {
        &self.values
    }

    /// The configuration as the user wrote it, unknown keys included.
    #[must_use]
    pub fn originals(&self) -> &ConfigMap {
        &self.originals
    }

    /// The entries whose key has the prefix and more, without the prefix.
    #[must_use]
    pub fn originals_with_prefix(&self, prefix: &str) -> ConfigMap {
        let cut = |(key, value): (&String, &String)| {
            let rest = key.strip_prefix(prefix)?;
            (!rest.is_empty()).then(|| (rest.to_owned(), value.clone()))
        };
        self.originals.iter().filter_map(cut).collect()
    }
}

fn wrong_kind(key: &str, value: &ConfigValue, expected: &str) -> Error {
    Error::config(format!(
        "configuration '{key}' is {} where a {expected} was expected",
        value.java_to_string()
    ))
}
