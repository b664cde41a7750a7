//! How Connect's schemas and Protobuf's go over into each other: the keys of `ProtobufDataConfig`.

use std::borrow::Cow;

use dray_connect::{ConfigMap, Error, Result};

use crate::settings;

/// What the mapping of schemas depends on.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// `generalized.sum.type.support`: unions and enums in the form that all of Confluent's converters share.
    pub(super) sum_types: bool,
    /// `ignore.default.for.nullables`: null stays null where there is a default.
    pub(super) ignore_defaults: bool,
    /// `enhanced.protobuf.schema.support`: names keep their package.
    pub(super) enhanced: bool,
    /// `scrub.invalid.names`.
    pub(super) scrub: bool,
    /// `int.for.enums`: enums are their numbers.
    pub(super) int_enums: bool,
    /// `optional.for.nullables`: what may be null is `optional`, and nothing else.
    pub(super) optionals: bool,
    /// `optional.for.proto2`: an `optional` of proto2 that is not there is null, and not its default.
    pub(super) optionals_of_proto2: bool,
    /// `wrapper.for.nullables`: what may be null is a message with one field, such as `google.protobuf.StringValue`.
    pub(super) wrappers: bool,
    /// `wrapper.for.raw.primitives`: such a message by itself is its value.
    pub(super) wrapped_roots: bool,
    /// `generate.struct.for.nulls`: a message that is not there has the defaults of its fields.
    pub(super) generate: bool,
    /// `generate.index.for.unions`: the field of a `oneof` ends with its place.
    pub(super) index_unions: bool,
    /// `flatten.unions`: the fields of a `oneof` are fields like others.
    pub(super) flatten_unions: bool,
    /// `schemas.cache.config`.
    pub(super) cache: usize,
}

impl Settings {
    pub(super) fn read(config: &ConfigMap) -> Result<Self> {
        let flag = |key: &str, default: bool| settings::boolean(config, key, default);
        for key in ["schema.backup.enabled", "skip.known.types"] {
            let default = key == "skip.known.types";
            if flag(key, default)? != default {
                let problem = if default {
                    "Files that Protobuf and Confluent bring along are never registered here"
                } else {
                    "There are no backups of schemas here"
                };
                return Err(Error::invalid_config(
                    key,
                    config.get(key).map(String::as_str),
                    Some(problem),
                ));
            }
        }
        let rules = config.get("validation.rules.execution").map(|value| value.trim());
        if rules.is_some_and(|value| !value.is_empty() && !value.eq_ignore_ascii_case("DISABLED")) {
            let problem = "Rules within schemas are not executed here";
            return Err(Error::invalid_config(
                "validation.rules.execution",
                rules,
                Some(problem),
            ));
        }
        Ok(Self {
            sum_types: flag("generalized.sum.type.support", false)?,
            ignore_defaults: flag("ignore.default.for.nullables", false)?,
            enhanced: flag("enhanced.protobuf.schema.support", false)?,
            scrub: flag("scrub.invalid.names", false)?,
            int_enums: flag("int.for.enums", false)?,
            optionals: flag("optional.for.nullables", false)?,
            optionals_of_proto2: flag("optional.for.proto2", true)?,
            wrappers: flag("wrapper.for.nullables", false)?,
            wrapped_roots: flag("wrapper.for.raw.primitives", true)?,
            generate: flag("generate.struct.for.nulls", false)?,
            index_unions: flag("generate.index.for.unions", true)?,
            flatten_unions: flag("flatten.unions", false)?,
            // What a converter works with just now it keeps in any case.
            cache: settings::size(config, "schemas.cache.config", 1000)?.max(1),
        })
    }

    /// The parameter that makes a text or a number an enum, and behind a dot each symbol's.
    pub(super) fn enum_parameter(&self) -> &'static str {
        if self.sum_types { SUM_ENUM } else { ENUM }
    }

    /// A simple name as Protobuf allows it, where names are scrubbed.
    pub(super) fn scrubbed<'a>(&self, name: &'a str) -> Cow<'a, str> {
        if self.scrub { scrub(name) } else { name.into() }
    }
}

pub(super) const DEFAULT_NAME: &str = "ConnectDefault";
pub(super) const ENUM: &str = "io.confluent.connect.protobuf.Enum";
pub(super) const UNION: &str = "io.confluent.connect.protobuf.Union";
pub(super) const TAG: &str = "io.confluent.connect.protobuf.Tag";
pub(super) const TYPE: &str = "io.confluent.connect.protobuf.Type";
pub(super) const WRAPPER: &str = "io.confluent.connect.protobuf.Wrapper";
pub(super) const SUM_ENUM: &str = "org.apache.kafka.connect.data.Enum";
pub(super) const SUM_UNION: &str = "org.apache.kafka.connect.data.Union";
pub(super) const VARIANT: &str = "org.apache.kafka.connect.data.Variant";
pub(super) const DECIMAL_PRECISION: &str = "connect.decimal.precision";

/// A name as Protobuf allows it: what it does not allow is written as in a URL, with `_` for `%`; a digit or `_` in front gets an `x`.
fn scrub(name: &str) -> Cow<'_, str> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let needs_x = name.starts_with(|c: char| c.is_ascii_digit() || c == '_');
    if !needs_x && name.bytes().all(allowed) {
        return name.into();
    }
    let mut out = String::with_capacity(name.len() + 1);
    if needs_x {
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

/// The name of the message of a map's entries, after the map's.
pub(super) fn entry_of_map(name: &str) -> String {
    if !name.contains('_') {
        return format!("{name}Entry");
    }
    let mut out = String::with_capacity(name.len() + 5);
    for word in name.split('_') {
        let mut rest = word.chars();
        out.extend(rest.next().map(|first| first.to_ascii_uppercase()));
        out.extend(rest.map(|c| c.to_ascii_lowercase()));
    }
    out + "Entry"
}

/// The name of a map, after that of the message of its entries.
pub(super) fn map_of_entry(name: &str) -> String {
    let (package, last) = name
        .rsplit_once('.')
        .map_or(("", name), |(package, last)| (package, last));
    let Some(stem) = last.strip_suffix("Entry") else {
        return name.to_owned();
    };
    let mut out = String::with_capacity(name.len());
    if !package.is_empty() {
        out.push_str(package);
        out.push('.');
    }
    for (place, c) in stem.chars().enumerate() {
        if place > 0 && c.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
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
            ("_a", "x_a"),
            ("a b", "a_b"),
            ("a$b", "a_24b"),
            ("ü", "_C3_BC"),
            ("", ""),
        ] {
            assert_eq!(scrub(name), expected);
        }
    }

    #[test]
    fn maps_and_their_entries() {
        for (map, entry) in [
            ("map_type", "MapTypeEntry"),
            ("shoes", "shoesEntry"),
            ("ConnectDefault2", "ConnectDefault2Entry"),
        ] {
            assert_eq!(entry_of_map(map), entry);
        }
        for (entry, map) in [
            ("MapTypeEntry", "map_type"),
            ("shop.Order.ShoesEntry", "shop.Order.shoes"),
            ("Other", "Other"),
            ("ConnectDefault2Entry", "connect_default2"),
        ] {
            assert_eq!(map_of_entry(entry), map);
        }
    }

    #[test]
    fn what_is_not_there_is_refused() {
        let of = |key: &str, value: &str| Settings::read(&ConfigMap::from([(key.to_owned(), value.to_owned())]));
        for (key, value) in [
            ("skip.known.types", "false"),
            ("schema.backup.enabled", "true"),
            ("validation.rules.execution", "BEFORE_DOMAIN_RULES"),
            ("flatten.unions", "maybe"),
        ] {
            let text = of(key, value).err().map(|error| error.to_string());
            assert!(text.is_some_and(|text| text.contains(key)), "{key}");
        }
        assert!(of("skip.known.types", "true").is_ok());
        assert!(of("validation.rules.execution", "DISABLED").is_ok());
    }
}
