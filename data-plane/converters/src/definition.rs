//! The keys that converters define, as validation shows them.

use crate::header::SIMPLE_CLASS;
use crate::{avro, json, json_schema, protobuf, string};
use dray_connect::config::{
    CaseInsensitiveValidString, ConfigDef, ConfigKey, ConfigType, Importance, ValidString, Width,
};

use ConfigType::{Boolean, Int, String as Text};
use Importance::{High, Low};

/// The keys of a converter or header converter, by its full class name.
#[must_use]
pub fn definition(class: &str) -> ConfigDef {
    match class {
        SIMPLE_CLASS => ConfigDef::new(),
        avro::CLASS => avro::definition(with_type()),
        json::CLASS => of_json(),
        json_schema::CLASS => json_schema::definition(with_type()),
        protobuf::CLASS => protobuf::definition(with_type()),
        string::CLASS => with_type().define(
            key("converter.encoding", Text, High, "Which characters the bytes are.")
                .default_value("UTF-8")
                .width(Width::Medium)
                .display_name("Encoding"),
        ),
        _ => with_type(),
    }
}

fn key(name: &str, kind: ConfigType, importance: Importance, doc: &str) -> ConfigKey {
    ConfigKey::new(name, kind).importance(importance).doc(doc)
}

/// What every converter has that is a header converter as well.
fn with_type() -> ConfigDef {
    ConfigDef::new().define(
        key("converter.type", Text, Low, "What it converts; the framework sets it.")
            .validator(ValidString::of(["key", "value", "header"])),
    )
}

fn of_json() -> ConfigDef {
    with_type()
        .define(
            key(
                "schemas.enable",
                Boolean,
                High,
                "Whether each message has its schema beside it.",
            )
            .default_value(true)
            .group("Schemas", 0)
            .width(Width::Medium)
            .display_name("Enable Schemas"),
        )
        .define(
            key("schemas.cache.size", Int, High, "How many schemas are remembered.")
                .default_value(1_000)
                .group("Schemas", 1)
                .width(Width::Medium)
                .display_name("Schema Cache Size"),
        )
        .define(
            key(
                "schema.content",
                Text,
                High,
                "The one schema of all messages, which then come without.",
            )
            .default_null()
            .group("Schemas", 2)
            .width(Width::Medium)
            .display_name("Schema Content"),
        )
        .define(
            key(
                "decimal.format",
                Text,
                Low,
                "How decimals are written: BASE64 or NUMERIC.",
            )
            .default_value("BASE64")
            .validator(CaseInsensitiveValidString::of(["BASE64", "NUMERIC"]))
            .group("Serialization", 0)
            .width(Width::Medium)
            .display_name("Decimal Format"),
        )
        .define(
            key(
                "replace.null.with.default",
                Boolean,
                Low,
                "Whether a null becomes the default of its schema.",
            )
            .default_value(true)
            .group("Serialization", 1)
            .width(Width::Medium)
            .display_name("Replace null with default"),
        )
}
