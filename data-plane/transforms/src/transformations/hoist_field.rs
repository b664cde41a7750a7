//! `HoistField$Key` and `HoistField$Value`: the whole becomes the one field of a map or struct.

use std::sync::Arc;

use dray_connect::Result;
use dray_connect::config::{ConfigDef, ConfigKey, ConfigType, Importance};
use dray_connect::datum::Field;
use dray_connect::schema::{SchemaBuilder, SchemaRef, validate_field};

use crate::plans::Plans;
use crate::registry::TransformationKind;
use crate::{Applied, ConnectRecord, Side, Transformation};

pub(super) const KIND: TransformationKind = TransformationKind {
    name: "HoistField",
    sided: true,
    definition: || {
        ConfigDef::new().define(
            ConfigKey::new("field", ConfigType::String)
                .importance(Importance::Medium)
                .doc("The name of the field that is made."),
        )
    },
    make: |side, config| {
        Ok(Box::new(HoistField {
            side,
            name: config.string("field").unwrap_or_default().into(),
            plans: Plans::default(),
        }))
    },
};

struct HoistField {
    side: Side,
    name: Arc<str>,
    plans: Plans<SchemaRef>,
}

impl Transformation for HoistField {
    fn apply(&mut self, record: &mut ConnectRecord<'_>) -> Result<Applied> {
        let whole = record.field(self.side);
        let backing = record.backing_mut();
        let hoisted = match whole.view(backing) {
            (None, _) => {
                let name = backing.text(&self.name);
                Field::schemaless(backing.map([(name, whole.datum)]))
            }
            (Some(schema), value) => {
                let name = &self.name;
                let plan = self.plans.get(schema, |schema| {
                    SchemaBuilder::struct_()
                        .field(Arc::clone(name), Arc::clone(schema))
                        .build()
                })?;
                // All of it: what a connector or a chain hands on has not been looked at as a whole before.
                validate_field(name, schema, value)?;
                let id = backing.schema(plan);
                Field {
                    schema: Some(id),
                    datum: backing.record_not_validated(id, &[whole.datum]),
                }
            }
        };
        record.set(self.side, hoisted);
        Ok(Applied::Kept)
    }
}

#[cfg(test)]
mod tests {
    use dray_connect::schema::Schema;
    use dray_connect::value::{SchemaAndValue, Value};

    use super::*;
    use crate::testing::{map, structure, value};

    fn hoist(name: &str, of: SchemaAndValue) -> Result<SchemaAndValue, String> {
        value("HoistField$Value", &[("field", name)], of)
    }

    #[test]
    fn without_a_schema() {
        assert_eq!(hoist("f", SchemaAndValue::schemaless(1)), Ok(map([("f", 1.into())])));
        assert_eq!(hoist("", SchemaAndValue::NULL), Ok(map([("", Value::Null)])));
    }

    #[test]
    fn with_a_schema() {
        let number = SchemaBuilder::struct_().field("f", Schema::int32()).build().unwrap();
        let hoisted = hoist("f", SchemaAndValue::new(Schema::int32(), 1));
        assert_eq!(hoisted, Ok(structure(&number, [1.into()])));
        let optional = SchemaBuilder::struct_()
            .field("f", Schema::optional_int32())
            .build()
            .unwrap();
        let hoisted = hoist("f", SchemaAndValue::new(Schema::optional_int32(), Value::Null));
        assert_eq!(hoisted, Ok(structure(&optional, [Value::Null])));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let of_text = SchemaBuilder::struct_().field("t", Schema::string()).build().unwrap();
        for (name, of, problem) in [
            (
                "f",
                SchemaAndValue::new(Schema::int32(), Value::Null),
                "Invalid value: null used for required field: \"f\", schema type: INT32",
            ),
            (
                "f",
                SchemaAndValue::new(Schema::int32(), "x"),
                "Invalid Java object for schema with type INT32: class java.lang.String for field: \"f\"",
            ),
            (
                "f",
                structure(&of_text, [Value::Null]),
                "Invalid value: null used for required field: \"t\", schema type: STRING",
            ),
            ("", SchemaAndValue::new(Schema::int32(), 1), "fieldName cannot be null."),
        ] {
            assert_eq!(hoist(name, of), Err(problem.to_owned()));
        }
    }
}
