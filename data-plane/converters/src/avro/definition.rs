//! The keys of `AvroConverter`, as validation shows them.

use dray_connect::config::{ConfigDef, ConfigKey, ConfigType, Importance};

use crate::schema_registry;

/// The keys in the order in which Confluent's converter defines them: those of the registry, then those of the mapping.
pub(crate) fn definition(of: ConfigDef) -> ConfigDef {
    use ConfigType::{Boolean, Int};
    use Importance::{Low, Medium};
    let flag = |name: &str, importance: Importance, default: bool, doc: &str| {
        ConfigKey::new(name, Boolean)
            .importance(importance)
            .doc(doc)
            .default_value(default)
    };
    schema_registry::definition(of)
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
            "Whether null stays null where there is a default.",
        ))
        .define(
            ConfigKey::new("schemas.cache.config", Int)
                .importance(Low)
                .doc("How many schemas are remembered.")
                .default_value(1000),
        )
        .define(flag(
            "enhanced.avro.schema.support",
            Medium,
            false,
            "Whether enums stay enums, and names keep their namespace.",
        ))
        .define(flag(
            "scrub.invalid.names",
            Medium,
            false,
            "Whether what Avro does not allow in names is replaced.",
        ))
        .define(flag(
            "connect.meta.data",
            Low,
            true,
            "Whether what Avro has no word for goes along as attributes.",
        ))
        .define(flag(
            "discard.type.doc.default",
            Low,
            false,
            "Whether docs and defaults of fields alone are kept.",
        ))
        .define(flag(
            "allow.optional.map.keys",
            Low,
            false,
            "Whether a map with keys that may be null is a map in Avro.",
        ))
        .define(flag(
            "flatten.singleton.unions",
            Low,
            true,
            "Whether a union of one type is that type.",
        ))
}
