//! `SetSchemaMetadata$Key` and `SetSchemaMetadata$Value`: names a struct's schema and numbers it.

use dray_connect::config::{ConfigDef, ConfigKey, ConfigType, Importance, ParsedConfig};
use dray_connect::datum::Field;
use dray_connect::schema::SchemaRef;
use dray_connect::{Error, Result};

use super::{REPLACE_NULL, replace_null};
use crate::plans::{Defaults, Plans};
use crate::registry::TransformationKind;
use crate::{Applied, ConnectRecord, Side, Transformation};

pub(super) const KIND: TransformationKind = TransformationKind {
    name: "SetSchemaMetadata",
    sided: true,
    definition,
    make: |side, config| Ok(Box::new(SetSchemaMetadata::new(side, config)?)),
};

const PURPOSE: &str = "updating schema metadata";

fn definition() -> ConfigDef {
    let key = |name: &str, kind, doc: &str| {
        ConfigKey::new(name, kind)
            .default_null()
            .importance(Importance::High)
            .doc(doc)
    };
    ConfigDef::new()
        .define(key("schema.name", ConfigType::String, "The name that the schema gets."))
        .define(key(
            "schema.version",
            ConfigType::Int,
            "The version that the schema gets.",
        ))
        .define(replace_null())
}

struct SetSchemaMetadata {
    side: Side,
    metadata: Metadata,
    plans: Plans<Plan>,
}

struct Metadata {
    name: Option<String>,
    version: Option<i32>,
    replace_null: bool,
}

struct Plan {
    schema: SchemaRef,
    defaults: Defaults,
}

impl SetSchemaMetadata {
    fn new(side: Side, config: &ParsedConfig) -> Result<Self> {
        let metadata = Metadata {
            name: config.string("schema.name").map(ToOwned::to_owned),
            version: config.optional_int("schema.version"),
            replace_null: config.boolean(REPLACE_NULL)?,
        };
        if metadata.name.is_none() && metadata.version.is_none() {
            return Err(Error::config("Neither schema name nor version configured"));
        }
        Ok(Self {
            side,
            metadata,
            plans: Plans::default(),
        })
    }
}

impl Metadata {
    fn plan(&self, schema: &SchemaRef) -> Result<Plan> {
        Ok(Plan {
            // Connect asks any schema for its fields, so only those of structs can be changed.
            defaults: Defaults::of(schema, self.replace_null)?,
            schema: schema.with_metadata(self.name.as_deref(), self.version),
        })
    }
}

impl Transformation for SetSchemaMetadata {
    fn apply(&mut self, record: &mut ConnectRecord<'_>) -> Result<Applied> {
        let Some(schema) = record.schema(self.side) else {
            return if record.is_null(self.side) {
                Ok(Applied::Kept)
            } else {
                Err(Error::data(format!("Schema required for [{PURPOSE}]")))
            };
        };
        let make = |schema: &SchemaRef| self.metadata.plan(schema);
        if record.fields(self.side, PURPOSE).is_err() {
            let plan = self.plans.get(schema, make)?;
            let datum = record.field(self.side).datum;
            let schema = Some(record.backing_mut().schema(&plan.schema));
            record.set(self.side, Field { schema, datum });
            return Ok(Applied::Kept);
        }
        let mut fields = record.record(self.side, PURPOSE)?;
        let plan = self.plans.get(fields.schema(), make)?;
        fields.reshape(&plan.schema, |values, backing| plan.defaults.fill(values, backing));
        fields.refuse_null()?;
        Ok(Applied::Kept)
    }
}

#[cfg(test)]
mod tests {
    use dray_connect::schema::{Schema, SchemaBuilder};
    use dray_connect::value::{SchemaAndValue, Value};

    use super::*;
    use crate::testing::{map, refused, structure, value};

    const CLASS: &str = "SetSchemaMetadata$Value";

    fn set(keys: &[(&str, &str)], of: SchemaAndValue) -> Result<SchemaAndValue, String> {
        value(CLASS, keys, of)
    }

    fn builder() -> SchemaBuilder {
        let seven = SchemaBuilder::int32().default_value(7.into()).build().unwrap();
        SchemaBuilder::struct_().doc("doc").optional().field("n", seven)
    }

    #[test]
    fn a_struct_gets_name_and_version() {
        let before = builder().name("old").version(1).build().unwrap();
        let of = || structure(&before, [3.into()]);
        for (keys, name, version) in [
            (&[("schema.name", "new"), ("schema.version", "4")][..], "new", 4),
            (&[("schema.name", "new")], "new", 1),
            (&[("schema.version", "-4")], "old", -4),
        ] {
            let after = builder().name(name).version(version).build().unwrap();
            assert_eq!(set(keys, of()), Ok(structure(&after, [3.into()])));
            let null = |schema: &SchemaRef| SchemaAndValue::new(SchemaRef::clone(schema), Value::Null);
            assert_eq!(set(keys, null(&before)), Ok(null(&after)));
        }
    }

    #[test]
    fn its_default_stays() {
        let default = structure(&builder().build().unwrap(), [3.into()]);
        let before = builder().default_value(default.value.clone()).build().unwrap();
        let after = set(&[("schema.name", "new")], SchemaAndValue::new(before, Value::Null));
        assert_eq!(after.unwrap().schema.unwrap().default(), Some(&default.value));
    }

    #[test]
    fn defaults_stand_for_null_or_null_is_refused() {
        let before = builder().build().unwrap();
        let after = builder().name("new").build().unwrap();
        let of = || structure(&before, [Value::Null]);
        let name = ("schema.name", "new");
        assert_eq!(set(&[name], of()), Ok(structure(&after, [7.into()])));
        assert_eq!(
            set(&[name, (REPLACE_NULL, "false")], of()),
            Err("Invalid value: null used for required field: \"n\", schema type: INT32".to_owned())
        );
    }

    #[test]
    fn only_structs_can_be_named() {
        let name = [("schema.name", "new")];
        let no_fields = Err("Cannot list fields on non-struct type".to_owned());
        assert_eq!(set(&name, SchemaAndValue::new(Schema::int32(), 1)), no_fields);
        assert_eq!(set(&name, SchemaAndValue::NULL), Ok(SchemaAndValue::NULL));
        assert_eq!(
            set(&name, map([])),
            Err("Schema required for [updating schema metadata]".to_owned())
        );
        assert_eq!(refused(CLASS, &[]), "Neither schema name nor version configured");
    }
}
