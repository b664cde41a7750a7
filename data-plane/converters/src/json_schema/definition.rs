//! The keys of `JsonSchemaConverter`, as validation shows them.

use dray_connect::Error;
use dray_connect::config::{
    CaseInsensitiveValidString, ConfigDef, ConfigKey, ConfigType, ConfigValue, Importance, Lambda,
};

use super::settings::{FAIL_INVALID, REFUSED, RULES};
use crate::schema_registry;

/// The keys of the registry, then those of the mapping in the order in which Confluent's converter defines them, then those that are refused.
pub(crate) fn definition(of: ConfigDef) -> ConfigDef {
    use ConfigType::{Boolean, Int, String as Text};
    use Importance::{Low, Medium};
    let flag = |name: &str, importance: Importance, default: bool, doc: &str| {
        ConfigKey::new(name, Boolean)
            .importance(importance)
            .doc(doc)
            .default_value(default)
    };
    let mut of = schema_registry::definition(of)
        .define(flag(
            "generalized.sum.type.support",
            Medium,
            false,
            "Unions and enums as other formats have them too.",
        ))
        .define(flag(
            "ignore.default.for.nullables",
            Medium,
            false,
            "Whether null is written as null where there is a default.",
        ))
        .define(
            ConfigKey::new("schemas.cache.config", Int)
                .importance(Low)
                .doc("How many schemas are remembered.")
                .default_value(1000),
        )
        .define(flag(
            "object.additional.properties",
            Medium,
            true,
            "Whether the schemas of objects allow members that they do not name.",
        ))
        .define(flag(
            "use.optional.for.nonrequired",
            Medium,
            false,
            "Whether properties that are not required may be null.",
        ))
        .define(flag(
            "ignore.modern.dialects",
            Low,
            false,
            "Whether schemas of 2019-09 and 2020-12 are read as those of draft 7 are.",
        ))
        .define(
            ConfigKey::new("decimal.format", Text)
                .importance(Low)
                .doc("How decimals are written: BASE64 or NUMERIC.")
                .default_value("BASE64")
                .validator(CaseInsensitiveValidString::of(["BASE64", "NUMERIC"])),
        )
        .define(flag(
            "flatten.singleton.unions",
            Low,
            true,
            "Whether a union of one type is that type.",
        ))
        .define(flag(
            FAIL_INVALID,
            Medium,
            false,
            "Whether a value that its JSON Schema does not allow fails, when it is written and when it is read.",
        ));
    for (name, problem) in REFUSED {
        let refused = Lambda::new("false", move |name, value| {
            if let ConfigValue::Boolean(true) = value {
                return Err(Error::invalid_config(name, Some("true"), Some(problem)));
            }
            Ok(())
        });
        let key = flag(name, Low, false, "Only false is there.");
        of = of.define(key.validator(refused));
    }
    of.define(
        ConfigKey::new(RULES, Text)
            .importance(Low)
            .doc("When rules of data contracts are executed: DISABLED.")
            .default_value("DISABLED")
            .validator(CaseInsensitiveValidString::of(["DISABLED"])),
    )
}
