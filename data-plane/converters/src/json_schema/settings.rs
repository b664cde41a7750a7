//! How Connect's schemas and JSON Schemas go over into each other: the keys of `JsonSchemaDataConfig`.

use dray_connect::{ConfigMap, Error, Result};

use crate::json::write::DecimalFormat;
use crate::settings;

/// What the mapping of schemas and values depends on.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// `generalized.sum.type.support`: unions and enums in the form that all of Confluent's converters share.
    pub(super) sum_types: bool,
    /// `ignore.default.for.nullables`: null stays null where there is a default, when it is written.
    pub(super) ignore_defaults: bool,
    /// `object.additional.properties`: whether objects may have members that their schema does not name.
    pub(super) additional_properties: bool,
    /// `use.optional.for.nonrequired`: what need not be there may be null.
    pub(super) optional_for_nonrequired: bool,
    /// `ignore.modern.dialects`: schemas of 2019-09 and 2020-12 are read as draft 7 is.
    pub(super) ignore_modern: bool,
    /// `flatten.singleton.unions`: a union of one type is that type.
    pub(super) flatten_singletons: bool,
    /// `json.fail.invalid.schema`: values are compared with their JSON Schema.
    pub(super) fail_invalid: bool,
    /// `decimal.format`.
    pub(super) decimal_format: DecimalFormat,
    /// `schemas.cache.config`.
    pub(super) cache: usize,
}

impl Settings {
    pub(super) fn read(config: &ConfigMap) -> Result<Self> {
        let flag = |key: &str, default: bool| settings::boolean(config, key, default);
        for (key, what) in REFUSED {
            if flag(key, false)? {
                return Err(Error::config(format!("Invalid configuration {key}: {what}")));
            }
        }
        if let Some(rules) = config.get(RULES).filter(|rules| !is_off(rules)) {
            let problem = "Rules of data contracts are not executed here, so that only DISABLED is true";
            return Err(Error::invalid_config(RULES, Some(rules), Some(problem)));
        }
        Ok(Self {
            sum_types: flag("generalized.sum.type.support", false)?,
            ignore_defaults: flag("ignore.default.for.nullables", false)?,
            additional_properties: flag("object.additional.properties", true)?,
            optional_for_nonrequired: flag("use.optional.for.nonrequired", false)?,
            ignore_modern: flag("ignore.modern.dialects", false)?,
            flatten_singletons: flag("flatten.singleton.unions", true)?,
            fail_invalid: flag(FAIL_INVALID, false)?,
            decimal_format: DecimalFormat::read(config)?,
            // What a converter works with just now it keeps in any case.
            cache: settings::size(config, "schemas.cache.config", 1000)?.max(1),
        })
    }

    /// The parameter that makes a string an enum, and behind a dot each symbol's.
    pub(super) fn enum_parameter(&self) -> &'static str {
        if self.sum_types { SUM_ENUM } else { ENUM }
    }

    /// What the names of a union's fields begin with.
    pub(super) fn union_field(&self) -> &'static str {
        if self.sum_types { SUM_UNION_FIELD } else { UNION_FIELD }
    }
}

/// Keys whose `true` would change what is read or written, and why there is none.
pub(super) const REFUSED: [(&str, &str); 2] = [
    (
        "preserve.additional.properties",
        "members that the schema does not name are left out here, as without the key",
    ),
    ("schema.backup.enabled", "schemas are not kept beside values here"),
];
pub(super) const FAIL_INVALID: &str = "json.fail.invalid.schema";
pub(super) const RULES: &str = "validation.rules.execution";

fn is_off(rules: &str) -> bool {
    rules.trim().eq_ignore_ascii_case("DISABLED")
}

pub(super) const NAMESPACE: &str = "io.confluent.connect.json";
pub(super) const ENUM: &str = "io.confluent.connect.json.Enum";
pub(super) const UNION: &str = "io.confluent.connect.json.OneOf";
const UNION_FIELD: &str = "io.confluent.connect.json.OneOf.field.";
pub(super) const SUM_ENUM: &str = "org.apache.kafka.connect.data.Enum";
pub(super) const SUM_UNION: &str = "org.apache.kafka.connect.data.Union";
pub(super) const SUM_UNION_NAME: &str = "connect_union_";
const SUM_UNION_FIELD: &str = "connect_union_field_";
/// In the place of null among the symbols of an enum.
pub(super) const NULL_SYMBOL: &str = "<NULL>";
pub(super) const CONNECT_TYPE: &str = "connect.type";
pub(super) const CONNECT_VERSION: &str = "connect.version";
pub(super) const CONNECT_PARAMETERS: &str = "connect.parameters";
pub(super) const CONNECT_INDEX: &str = "connect.index";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_refused() {
        let read = |key: &str, value: &str| Settings::read(&[(key.to_owned(), value.to_owned())].into());
        for (key, _) in REFUSED {
            assert!(read(key, "true").unwrap_err().to_string().contains(key));
            assert!(read(key, "false").is_ok());
        }
        assert!(read(RULES, "AFTER_DOMAIN_RULES").is_err());
        assert!(read(RULES, "disabled").is_ok());
        assert!(read("decimal.format", "TEXT").is_err());
        assert_eq!(
            read("decimal.format", "numeric").unwrap().decimal_format,
            DecimalFormat::Numeric
        );
    }
}
