//! `InsertHeader`: appends the same header to every record.

use std::sync::Arc;

use dray_connect::Result;
use dray_connect::config::{ConfigDef, ConfigKey, ConfigType, Importance, NonNull};
use dray_connect::value::SchemaAndValue;
use dray_connect::values::parse_string;

use crate::registry::TransformationKind;
use crate::{Applied, ConnectRecord, Transformation};

pub(super) const KIND: TransformationKind = TransformationKind {
    name: "InsertHeader",
    sided: false,
    definition,
    make: |_, config| {
        Ok(Box::new(InsertHeader {
            key: config.string("header").unwrap_or_default().into(),
            value: parse_string(config.string("value.literal").unwrap_or_default()),
        }))
    },
};

fn definition() -> ConfigDef {
    let text = |name: &str, doc: &str| {
        ConfigKey::new(name, ConfigType::String)
            .validator(NonNull)
            .importance(Importance::High)
            .doc(doc)
    };
    ConfigDef::new()
        .define(text("header", "The key of the header."))
        .define(text(
            "value.literal",
            "The value of the header on every record. Numbers, booleans, dates, arrays and maps are recognised.",
        ))
}

struct InsertHeader {
    key: Arc<str>,
    value: SchemaAndValue,
}

impl Transformation for InsertHeader {
    fn apply(&mut self, record: &mut ConnectRecord<'_>) -> Result<Applied> {
        record.headers_mut().add(Arc::clone(&self.key), self.value.clone())?;
        Ok(Applied::Kept)
    }
}

#[cfg(test)]
mod tests {
    use dray_connect::value::SchemaAndValue;

    use crate::testing::{apply, record, refused};

    #[test]
    fn a_literal_has_the_type_that_it_looks_like() {
        let mut given = record(SchemaAndValue::NULL);
        given.headers.add_string("h", Some("before"));
        for (literal, expected) in [
            ("1", "Some(Int8) 1"),
            (" true ", "Some(Boolean) true"),
            ("[1,2]", "Some(Array) [1, 2]"),
            ("null", "None null"),
            ("", "Some(String) "),
            ("text", "Some(String) text"),
        ] {
            let result = apply("InsertHeader", &[("header", "h"), ("value.literal", literal)], &given).unwrap();
            let added = result.headers.last_with_name("h").unwrap();
            let kind = added.value.schema.as_ref().map(|schema| schema.type_());
            assert_eq!(format!("{kind:?} {}", added.value.value), expected);
            assert_eq!(result.headers.len(), 2, "it is appended and replaces nothing");
        }
    }

    #[test]
    fn both_keys_must_be_set() {
        assert_eq!(
            refused("InsertHeader", &[("header", "h")]),
            "Missing required configuration \"value.literal\" which has no default value."
        );
    }
}
