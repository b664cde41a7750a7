//! Apache's transformations, a file each.

mod drop_headers;
mod filter;
mod header_from;
mod insert_field;
mod insert_header;
mod mask_field;
mod replace_field;

use dray_connect::config::{ConfigKey, ConfigType, Importance};

use crate::registry::TransformationKind;

/// All of them.
pub(crate) const ALL: &[TransformationKind] = &[
    drop_headers::KIND,
    filter::KIND,
    header_from::KIND,
    insert_field::KIND,
    insert_header::KIND,
    mask_field::KIND,
    replace_field::KIND,
];

/// The key that many of them have.
const REPLACE_NULL: &str = "replace.null.with.default";

fn replace_null() -> ConfigKey {
    ConfigKey::new(REPLACE_NULL, ConfigType::Boolean)
        .default_value(true)
        .importance(Importance::Medium)
        .doc("Whether a field that is null and has a default is read as that default, or stays null.")
}
