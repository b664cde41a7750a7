//! Reads a converter's own keys out of the configuration it is given.
//!
//! Only the kinds of value that converters have; messages as Connect's `ConfigDef` prints them.

use dray_connect::{ConfigMap, Error, Result};

/// A boolean: `true` or `false`, in any case.
pub(crate) fn boolean(config: &ConfigMap, key: &str, default: bool) -> Result<bool> {
    let Some(text) = config.get(key) else {
        return Ok(default);
    };
    match text.trim().to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Error::invalid_config(
            key,
            Some(text),
            Some("Expected value to be either true or false"),
        )),
    }
}

/// A number of things that may be kept. Connect takes negative numbers too; they keep nothing.
pub(crate) fn size(config: &ConfigMap, key: &str, default: usize) -> Result<usize> {
    let Some(text) = config.get(key) else {
        return Ok(default);
    };
    match text.trim().parse::<i32>() {
        Ok(number) => Ok(usize::try_from(number).unwrap_or(0)),
        Err(_) => Err(Error::invalid_config(key, Some(text), Some("Not a number of type INT"))),
    }
}
