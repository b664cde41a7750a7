//! `Drop$Key` and `Drop$Value`: the key or value becomes null.

use dray_connect::config::{ConfigDef, ConfigKey, ConfigType, Importance, ParsedConfig, ValidString};
use dray_connect::datum::{Datum, Field};
use dray_connect::schema::SchemaRef;
use dray_connect::{Error, Result};

use crate::plans::Plans;
use crate::registry::TransformationKind;
use crate::{Applied, ConnectRecord, Side, Transformation};

pub(super) const KIND: TransformationKind = TransformationKind {
    name: "Drop",
    sided: true,
    definition,
    make: |side, config| Ok(Box::new(Drop::new(side, config))),
};

const BEHAVIOR: &str = "schema.behavior";

fn definition() -> ConfigDef {
    ConfigDef::new().define(
        ConfigKey::new(BEHAVIOR, ConfigType::String)
            .default_value("nullify")
            .validator(ValidString::of(["nullify", "retain", "validate", "force_optional"]))
            .importance(Importance::Medium)
            .doc(
                "What becomes of the schema. nullify: it becomes null, too. retain: it stays. validate: it stays, and must be \
                 optional. force_optional: it becomes optional.",
            ),
    )
}

#[derive(Clone, Copy)]
enum Behavior {
    Nullify,
    Retain,
    Validate,
    ForceOptional,
}

struct Drop {
    side: Side,
    behavior: Behavior,
    plans: Plans<SchemaRef>,
}

impl Drop {
    fn new(side: Side, config: &ParsedConfig) -> Self {
        let behavior = match config.string(BEHAVIOR) {
            Some("retain") => Behavior::Retain,
            Some("validate") => Behavior::Validate,
            Some("force_optional") => Behavior::ForceOptional,
            Some(_) | None => Behavior::Nullify,
        };
        Self {
            side,
            behavior,
            plans: Plans::default(),
        }
    }
}

impl Transformation for Drop {
    fn apply(&mut self, record: &mut ConnectRecord<'_>) -> Result<Applied> {
        let schema = match (self.behavior, record.schema(self.side).cloned()) {
            (Behavior::Nullify, _) | (_, None) => None,
            (Behavior::Retain, Some(schema)) => Some(schema),
            (Behavior::Validate, Some(schema)) if schema.optional() => Some(schema),
            (Behavior::Validate, Some(schema)) => {
                return Err(Error::data(format!(
                    "the {} cannot be dropped: its schema {schema} is not optional, and {BEHAVIOR} is validate",
                    if self.side == Side::Key { "key" } else { "value" }
                )));
            }
            (Behavior::ForceOptional, Some(schema)) => {
                let forced = self
                    .plans
                    .get(&schema, |schema| schema.to_builder().optional().build())?;
                Some(SchemaRef::clone(forced))
            }
        };
        let schema = schema.map(|schema| record.backing_mut().schema(&schema));
        record.set(
            self.side,
            Field {
                schema,
                datum: Datum::Null,
            },
        );
        Ok(Applied::Kept)
    }
}

#[cfg(test)]
mod tests {
    use dray_connect::schema::Schema;
    use dray_connect::value::{SchemaAndValue, Value};

    use crate::testing::{Record, apply, record, refused};

    const DROP: &str = "io.confluent.connect.transforms.Drop$Key";

    fn key(behavior: &[(&str, &str)], key: SchemaAndValue) -> Result<SchemaAndValue, String> {
        let given = Record {
            key,
            ..record(SchemaAndValue::schemaless("stays"))
        };
        let result = apply(DROP, behavior, &given)?;
        assert_eq!(result.value, given.value);
        Ok(result.key)
    }

    /// Confluent's examples: the key 24 with an integer schema.
    #[test]
    fn the_documented_examples() {
        let given = || SchemaAndValue::new(Schema::int32(), 24);
        let behavior = |behavior| key(&[("schema.behavior", behavior)], given());
        assert_eq!(key(&[], given()).unwrap(), SchemaAndValue::NULL);
        assert_eq!(behavior("nullify").unwrap(), SchemaAndValue::NULL);
        assert_eq!(
            behavior("retain").unwrap(),
            SchemaAndValue::new(Schema::int32(), Value::Null)
        );
        assert_eq!(
            behavior("force_optional").unwrap(),
            SchemaAndValue::new(Schema::optional_int32(), Value::Null)
        );
        assert_eq!(
            behavior("validate").unwrap_err(),
            "the key cannot be dropped: its schema Schema{INT32} is not optional, and schema.behavior is validate"
        );
        let optional = SchemaAndValue::new(Schema::optional_int32(), 24);
        assert_eq!(
            key(&[("schema.behavior", "validate")], optional).unwrap(),
            SchemaAndValue::new(Schema::optional_int32(), Value::Null)
        );
    }

    #[test]
    fn without_a_schema_there_is_nothing_to_keep() {
        for behavior in ["nullify", "retain", "validate", "force_optional"] {
            let given = SchemaAndValue::schemaless(24);
            assert_eq!(
                key(&[("schema.behavior", behavior)], given).unwrap(),
                SchemaAndValue::NULL
            );
        }
        assert_eq!(
            refused(DROP, &[("schema.behavior", "keep")]),
            "Invalid value keep for configuration schema.behavior: String must be one of: nullify, retain, validate, \
             force_optional"
        );
    }
}
