//! The keys of `ProtobufConverter`, as validation shows them.

use dray_connect::config::{ConfigDef, ConfigKey, ConfigType, Importance};

use crate::schema_registry;

/// The keys in the order in which Confluent's converter defines them: those of the registry, then those of the mapping.
pub(crate) fn definition(of: ConfigDef) -> ConfigDef {
    use ConfigType::{Boolean, Class, Int};
    use Importance::{Low, Medium};
    let flag = |name: &str, importance: Importance, default: bool, doc: &str| {
        ConfigKey::new(name, Boolean)
            .importance(importance)
            .doc(doc)
            .default_value(default)
    };
    schema_registry::definition(of)
        .define(flag(
            "reference.lookup.only",
            Medium,
            false,
            "No effect: schemas that are written refer to no others.",
        ))
        .define(flag(
            "skip.known.types",
            Low,
            true,
            "Always so: files that everybody has are not registered.",
        ))
        .define(
            ConfigKey::new("reference.subject.name.strategy", Class)
                .importance(Low)
                .doc("No effect: schemas that are written refer to no others.")
                .default_value("io.confluent.kafka.serializers.subject.DefaultReferenceSubjectNameStrategy"),
        )
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
            "enhanced.protobuf.schema.support",
            Medium,
            false,
            "Whether names keep their package.",
        ))
        .define(flag(
            "scrub.invalid.names",
            Medium,
            false,
            "Whether what Protobuf does not allow in names is replaced.",
        ))
        .define(flag(
            "int.for.enums",
            Medium,
            false,
            "Whether enums become their numbers instead of their symbols.",
        ))
        .define(flag(
            "optional.for.nullables",
            Medium,
            false,
            "Whether what may be null is `optional` in Protobuf, and nothing else.",
        ))
        .define(flag(
            "optional.for.proto2",
            Medium,
            true,
            "Whether an `optional` of proto2 that is not there is null.",
        ))
        .define(flag(
            "wrapper.for.nullables",
            Medium,
            false,
            "Whether what may be null is written as a wrapper such as StringValue.",
        ))
        .define(flag(
            "wrapper.for.raw.primitives",
            Medium,
            true,
            "Whether a wrapper by itself is the value that it holds.",
        ))
        .define(flag(
            "generate.struct.for.nulls",
            Medium,
            false,
            "Whether a message that is not there becomes one of defaults.",
        ))
        .define(flag(
            "generate.index.for.unions",
            Low,
            true,
            "Whether the field of a `oneof` ends with its number.",
        ))
        .define(flag(
            "flatten.unions",
            Low,
            false,
            "Whether the fields of a `oneof` are fields like others.",
        ))
}
