//! The transformations, a file each: Apache's here, those of others in a folder each.

mod cast;
mod confluent;
mod debezium;
mod dray;
mod drop_headers;
mod extract_field;
mod filter;
mod flatten;
mod header_from;
mod hoist_field;
mod insert_field;
mod insert_header;
mod mask_field;
mod regex_router;
mod replace_field;
mod set_schema_metadata;
mod timestamp_converter;
mod timestamp_router;
mod value_to_key;

#[cfg(test)]
mod recursive;

use std::time::{SystemTime, UNIX_EPOCH};

use dray_connect::config::{ConfigKey, ConfigType, Importance};

use crate::registry::TransformationKind;

/// All of them, by the package that they are in.
pub(crate) const PACKAGES: &[(&str, &[TransformationKind])] = &[
    (
        "org.apache.kafka.connect.transforms.",
        &[
            cast::KIND,
            drop_headers::KIND,
            extract_field::KIND,
            filter::KIND,
            flatten::KIND,
            header_from::KIND,
            hoist_field::KIND,
            insert_field::KIND,
            insert_header::KIND,
            mask_field::KIND,
            regex_router::KIND,
            replace_field::KIND,
            set_schema_metadata::KIND,
            timestamp_converter::KIND,
            timestamp_router::KIND,
            value_to_key::KIND,
        ],
    ),
    ("io.confluent.connect.transforms.", confluent::KINDS),
    ("io.debezium.transforms.", debezium::KINDS),
    ("io.debezium.transforms.outbox.", debezium::OUTBOX),
    ("io.dray.connect.transforms.", dray::KINDS),
];

/// The key that many of them have.
const REPLACE_NULL: &str = "replace.null.with.default";

fn replace_null() -> ConfigKey {
    ConfigKey::new(REPLACE_NULL, ConfigType::Boolean)
        .default_value(true)
        .importance(Importance::Medium)
        .doc("Whether a field that is null and has a default is read as that default, or stays null.")
}

/// When a date format is made: years of two digits are read as those around it.
fn now_millis() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok();
    now.and_then(|now| i64::try_from(now.as_millis()).ok())
        .unwrap_or_default()
}
