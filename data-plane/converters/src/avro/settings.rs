//! How Connect's schemas and Avro's go over into each other: the keys of `AvroDataConfig`.

use std::borrow::Cow;

use dray_connect::{ConfigMap, Result};

use crate::settings;

/// What the mapping of schemas depends on.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// `connect.meta.data`: what Avro has no word for goes along as attributes.
    pub(super) meta_data: bool,
    /// `enhanced.avro.schema.support`: enums stay enums, and names in unions are whole.
    pub(super) enhanced: bool,
    /// `generalized.sum.type.support`: unions and enums in the form that all of Confluent's converters share.
    pub(super) sum_types: bool,
    /// `scrub.invalid.names`.
    pub(super) scrub: bool,
    /// `discard.type.doc.default`: docs and defaults of fields alone.
    pub(super) discard_type_docs: bool,
    /// `allow.optional.map.keys`: such a map is a map all the same.
    pub(super) optional_map_keys: bool,
    /// `flatten.singleton.unions`: a union of one type is that type.
    pub(super) flatten_singletons: bool,
    /// `ignore.default.for.nullables`: null stays null where there is a default.
    pub(super) ignore_defaults: bool,
    /// `schemas.cache.config`.
    pub(super) cache: usize,
}

impl Settings {
    pub(super) fn read(config: &ConfigMap) -> Result<Self> {
        let flag = |key: &str, default: bool| settings::boolean(config, key, default);
        Ok(Self {
            meta_data: flag("connect.meta.data", true)?,
            enhanced: flag("enhanced.avro.schema.support", false)?,
            sum_types: flag("generalized.sum.type.support", false)?,
            scrub: flag("scrub.invalid.names", false)?,
            discard_type_docs: flag("discard.type.doc.default", false)?,
            optional_map_keys: flag("allow.optional.map.keys", false)?,
            flatten_singletons: flag("flatten.singleton.unions", true)?,
            ignore_defaults: flag("ignore.default.for.nullables", false)?,
            // What a converter works with just now it keeps in any case.
            cache: settings::size(config, "schemas.cache.config", 1000)?.max(1),
        })
    }

    /// The parameter that makes a string an enum, and behind a dot each symbol's.
    pub(super) fn enum_parameter(&self) -> &'static str {
        if self.sum_types { SUM_ENUM } else { ENUM }
    }

    /// A simple name as Avro allows it, where names are scrubbed.
    pub(super) fn scrubbed<'a>(&self, name: &'a str) -> Cow<'a, str> {
        if self.scrub { scrub(name) } else { name.into() }
    }

    /// The same for each part of a full name.
    pub(super) fn scrubbed_full(&self, name: &str) -> String {
        let parts: Vec<_> = name.split('.').map(|part| self.scrubbed(part)).collect();
        parts.join(".")
    }
}

pub(super) const NAMESPACE: &str = "io.confluent.connect.avro";
pub(super) const DEFAULT_NAME: &str = "ConnectDefault";
pub(super) const MAP_ENTRY: &str = "MapEntry";
pub(super) const UNION: &str = "io.confluent.connect.avro.Union";
pub(super) const ENUM: &str = "io.confluent.connect.avro.Enum";
pub(super) const ANYTHING: &str = "io.confluent.connect.avro.Anything";
pub(super) const SUM_ENUM: &str = "org.apache.kafka.connect.data.Enum";
pub(super) const SUM_UNION: &str = "org.apache.kafka.connect.data.Union";
pub(super) const RECORD_DOC: &str = "io.confluent.connect.avro.record.doc";
pub(super) const ENUM_DOC: &str = "io.confluent.connect.avro.enum.doc.";
pub(super) const ENUM_DEFAULT: &str = "io.confluent.connect.avro.enum.default.";
pub(super) const FIELD_DOC: &str = "io.confluent.connect.avro.field.doc.";
pub(super) const FIELD_DEFAULT: &str = "io.confluent.connect.avro.field.default";
pub(super) const FIXED_SIZE: &str = "connect.fixed.size";
pub(super) const PRECISION: &str = "connect.decimal.precision";
/// The precision of a decimal that says none.
pub(super) const PRECISION_DEFAULT: i64 = 64;

/// A name as Avro allows it: what it does not allow is written as in a URL, with `_` for `%`; a digit in front gets an `x`.
fn scrub(name: &str) -> Cow<'_, str> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let starts_with_digit = name.as_bytes().first().is_some_and(u8::is_ascii_digit);
    if !starts_with_digit && name.bytes().all(allowed) {
        return name.into();
    }
    let mut out = String::with_capacity(name.len() + 1);
    if starts_with_digit {
        out.push('x');
    }
    for byte in name.bytes() {
        match byte {
            byte if allowed(byte) => out.push(byte.into()),
            // What stands for itself in a URL, and the space, which becomes a plus.
            b'-' | b'.' | b'*' | b' ' => out.push('_'),
            byte => out.push_str(&format!("_{byte:02X}")),
        }
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_scrubbed_as_urls_are_written() {
        for (name, expected) in [
            ("plain_1", "plain_1"),
            ("a-b", "a_b"),
            ("1a", "x1a"),
            ("a b", "a_b"),
            ("a$b", "a_24b"),
            ("ü", "_C3_BC"),
            ("", ""),
        ] {
            assert_eq!(scrub(name), expected);
        }
    }
}
