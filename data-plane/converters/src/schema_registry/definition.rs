//! The keys of a registry, as validation shows them.

use dray_connect::config::{ConfigDef, ConfigKey, ConfigType, ConfigValue, Importance, Lambda, Validator};
use dray_connect::{ConfigMap, Result};

use super::config::{DESERIALIZER, GUID, SERIALIZER, URL};
use super::id::{IdReading, IdWriting, SchemaId};
use super::latest::{Latest, VERSION, WITH_METADATA};
use super::subject::SubjectStrategy;

use ConfigType::{Boolean, Class, Int, List, Password, String as Text};
use Importance::{High, Low, Medium};

/// The keys of a registry, in the order in which Confluent's converters define them.
pub(crate) fn definition(of: ConfigDef) -> ConfigDef {
    let key = |name: &str, kind: ConfigType, importance: Importance, doc: &str| {
        ConfigKey::new(name, kind).importance(importance).doc(doc)
    };
    let mut of = of
        .define(key(
            URL,
            List,
            High,
            "The servers of the schema registry; each is tried until one answers.",
        ))
        .define(
            key(
                "normalize.schemas",
                Boolean,
                Medium,
                "Whether the registry compares schemas in their normal form.",
            )
            .default_value(false),
        )
        .define(
            key(
                "auto.register.schemas",
                Boolean,
                Medium,
                "Whether a schema is registered when it is first written.",
            )
            .default_value(true),
        )
        .define(
            key(
                "use.schema.id",
                Int,
                Low,
                "The id of the schema that is written with, where schemas are not registered.",
            )
            .default_value(-1),
        )
        .define(key(GUID, Text, Low, "The same by its GUID.").default_null())
        .define(
            key(
                "id.compatibility.strict",
                Boolean,
                Low,
                "Whether all values must fit that schema.",
            )
            .default_value(true),
        )
        .define(
            key(
                VERSION,
                Boolean,
                Low,
                "Whether values are read as the newest schema of the subject has them, and written with it where schemas are not registered.",
            )
            .default_value(false),
        )
        .define(
            key(
                "latest.compatibility.strict",
                Boolean,
                Low,
                "Whether all values that are written must fit that newest schema.",
            )
            .default_value(true),
        )
        .define(
            key(
                "latest.cache.ttl.sec",
                Int,
                Low,
                "For how long a newest schema is taken for the newest; -1 for ever.",
            )
            .default_value(-1),
        )
        .define(
            key(
                WITH_METADATA,
                Text,
                Low,
                "As use.latest.version, with the newest of the versions whose metadata have these properties: name=value, ...",
            )
            .default_null()
            .validator(Lambda::new("name=value, ...", |name, value| {
                if let ConfigValue::String(text) = value
                    && !text.trim().is_empty()
                {
                    Latest::with_metadata(name, text)?;
                }
                Ok(())
            })),
        )
        .define(
            key(
                "basic.auth.credentials.source",
                Text,
                Medium,
                "Where user and password come from: URL or USER_INFO.",
            )
            .default_value("URL"),
        )
        .define(
            key(
                "bearer.auth.credentials.source",
                Text,
                Medium,
                "Where the token comes from: STATIC_TOKEN.",
            )
            .default_value("STATIC_TOKEN"),
        )
        .define(
            key(
                "schema.registry.basic.auth.user.info",
                Password,
                Medium,
                "The same as basic.auth.user.info.",
            )
            .default_value(""),
        )
        .define(key("basic.auth.user.info", Password, Medium, "`user:password`.").default_value(""))
        .define(key("bearer.auth.token", Password, Medium, "A token.").default_value(""));
    for side in ["key", "value"] {
        let name = |what: &str| format!("{side}.{what}");
        of = of
            .define(
                key(
                    &name("subject.name.strategy"),
                    Class,
                    Medium,
                    "How the subject of a schema is named.",
                )
                .default_value("io.confluent.kafka.serializers.subject.TopicNameStrategy")
                .validator(class_check(|name, class| {
                    SubjectStrategy::of_class(name, Some(class)).map(drop)
                })),
            )
            .define(
                key(
                    &name(SERIALIZER),
                    Class,
                    Medium,
                    "Where the id of a schema is written: before the value, or in a header (HeaderSchemaIdSerializer).",
                )
                .default_value("io.confluent.kafka.serializers.schema.id.PrefixSchemaIdSerializer")
                .validator(class_check(|name, class| {
                    IdWriting::of_class(name, Some(class)).map(drop)
                })),
            )
            .define(
                key(
                    &name(DESERIALIZER),
                    Class,
                    Medium,
                    "Where the id of a schema is read: in a header or else before the value.",
                )
                .default_value("io.confluent.kafka.serializers.schema.id.DualSchemaIdDeserializer")
                // Whether there is a schema for ConfigSchemaIdDeserializer the converter itself sees, which knows the other keys.
                .validator(class_check(|name, class| {
                    let any = Some(SchemaId::Number(0));
                    IdReading::of_class(name, Some(class), &ConfigMap::new(), any).map(drop)
                })),
            );
    }
    of = of
        .define(key("proxy.host", Text, Low, "A proxy on the way to the registry.").default_value(""))
        .define(key("proxy.port", Int, Low, "Its port.").default_value(-1))
        .define(key("http.connect.timeout.ms", Int, Low, "How long a connection may take.").default_value(60_000))
        .define(key("http.read.timeout.ms", Int, Low, "How long an answer may take.").default_value(60_000))
        .define(key("max.retries", Int, Low, "How often all servers are asked again.").default_value(3))
        .define(
            key(
                "retries.wait.ms",
                Int,
                Low,
                "The longest wait before they are asked again; it doubles.",
            )
            .default_value(1_000),
        )
        .define(key("retries.max.wait.ms", Int, Low, "The longest wait of all.").default_value(20_000));
    let ssl = |name: &str| format!("schema.registry.ssl.{name}");
    for (name, kind, doc) in [
        ("keystore.type", Text, "The form of the key store: PEM."),
        (
            "keystore.location",
            Text,
            "A file with the client's certificates and its key.",
        ),
        ("keystore.key", Password, "The client's key."),
        ("keystore.certificate.chain", Password, "The client's certificates."),
        ("truststore.type", Text, "The form of the trust store: PEM."),
        (
            "truststore.location",
            Text,
            "A file with the certificates that are trusted.",
        ),
        (
            "truststore.certificates",
            Password,
            "The certificates that are trusted.",
        ),
    ] {
        of = of.define(key(&ssl(name), kind, Medium, doc).default_null());
    }
    of
}

fn class_check(check: fn(&str, &str) -> Result<()>) -> impl Validator {
    Lambda::new("A class that is there", move |name, value| {
        if let ConfigValue::Class(class) = value {
            check(name, class)
        } else {
            Ok(())
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn validation_shows_what_is_wrong() {
        let errors = |pairs: &[(&str, &str)]| -> Vec<String> {
            let given = pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), Some((*value).to_owned())))
                .collect();
            let values = definition(ConfigDef::new()).validate_all(&given);
            values.into_iter().flat_map(|value| value.errors).collect()
        };
        let url = (URL, "http://a");
        assert_eq!(errors(&[url]), Vec::<String>::new());
        assert_eq!(errors(&[]).len(), 1);
        assert_eq!(
            errors(&[url, ("value.subject.name.strategy", "RecordNameStrategy")]),
            Vec::<String>::new()
        );
        assert_eq!(errors(&[url, ("value.subject.name.strategy", "Own")]).len(), 1);
        assert_eq!(
            errors(&[url, (WITH_METADATA, "application.version=v1")]),
            Vec::<String>::new()
        );
        assert_eq!(errors(&[url, (WITH_METADATA, "v1")]).len(), 1);
        assert_eq!(
            errors(&[url, ("key.schema.id.serializer", "HeaderSchemaIdSerializer")]),
            Vec::<String>::new()
        );
        assert_eq!(errors(&[url, ("key.schema.id.serializer", "Own")]).len(), 1);
        assert_eq!(
            errors(&[url, ("key.schema.id.deserializer", "ConfigSchemaIdDeserializer")]),
            Vec::<String>::new()
        );
    }
}
