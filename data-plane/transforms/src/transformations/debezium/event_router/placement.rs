//! `table.fields.additional.placement`: more columns of the outbox, and where they go.

use std::sync::Arc;

use dray_connect::config::ParsedConfig;
use dray_connect::{Error, Result};

use super::super::{raw, split};

const KEY: &str = "table.fields.additional.placement";

/// Where a column goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Placed {
    Header,
    /// A field of the value, beside the payload.
    Envelope,
    /// The partition of the message.
    Partition,
}

/// A column that goes somewhere, under this name.
pub(super) struct Placement {
    pub(super) column: String,
    pub(super) place: Placed,
    pub(super) name: Arc<str>,
}

pub(super) fn placements(config: &ParsedConfig) -> Result<Vec<Placement>> {
    let Some(listed) = raw(config, KEY) else {
        return Ok(Vec::new());
    };
    let elements = split(listed, ',');
    let parts: Vec<Vec<&str>> = elements.iter().map(|element| split(element, ':')).collect();
    if parts.iter().any(|parts| parts.len() != 2 && parts.len() != 3) {
        let problem = format!(
            "The '{KEY}' value is invalid: A comma-separated list of valid String pairs or trios is expected but got: [{}]",
            elements.join(", ")
        );
        return Err(Error::invalid_config(KEY, Some(listed), Some(&problem)));
    }
    let read = |parts: Vec<&str>| {
        let (column, place) = (parts[0].trim(), parts[1].trim());
        let place = match place.to_ascii_lowercase().as_str() {
            "header" => Placed::Header,
            "envelope" => Placed::Envelope,
            "partition" => Placed::Partition,
            _ => {
                let problem =
                    format!("`{place}` is no place for column {column}: it must be header, envelope or partition");
                return Err(Error::invalid_config(KEY, Some(listed), Some(&problem)));
            }
        };
        Ok(Placement {
            column: column.to_owned(),
            place,
            name: parts.get(2).map_or(column, |name| name.trim()).into(),
        })
    };
    parts.into_iter().map(read).collect()
}
