//! `ValueToKey`: fields of the value become the key.

use dray_connect::config::{ConfigDef, ConfigKey, ConfigType, Importance, ParsedConfig, ValidList};
use dray_connect::datum::{Datum, Field};
use dray_connect::schema::{SchemaBuilder, SchemaRef, validate_field};
use dray_connect::{Error, Result};

use super::{REPLACE_NULL, replace_null};
use crate::plans::{Defaults, Plans};
use crate::record::find_entry;
use crate::registry::TransformationKind;
use crate::{Applied, ConnectRecord, Side, Transformation};

pub(super) const KIND: TransformationKind = TransformationKind {
    name: "ValueToKey",
    sided: false,
    definition: || {
        ConfigDef::new()
            .define(
                ConfigKey::new("fields", ConfigType::List)
                    .validator(ValidList::any())
                    .importance(Importance::High)
                    .doc("The fields of the value that the key is made of."),
            )
            .define(replace_null())
    },
    make: |_, config| Ok(Box::new(ValueToKey::new(config)?)),
};

const PURPOSE: &str = "copying fields from value to key";

struct ValueToKey {
    fields: Vec<String>,
    replace_null: bool,
    plans: Plans<Plan>,
    /// The parts of the key. Kept from record to record for its allocation.
    row: Vec<Datum>,
}

/// The schema of the key, and for each of its fields the place in the value.
struct Plan {
    schema: SchemaRef,
    sources: Vec<usize>,
    defaults: Defaults,
}

impl ValueToKey {
    fn new(config: &ParsedConfig) -> Result<Self> {
        Ok(Self {
            fields: config.list("fields").unwrap_or_default().to_vec(),
            replace_null: config.boolean(REPLACE_NULL)?,
            plans: Plans::default(),
            row: Vec::new(),
        })
    }

    fn schemaless(&mut self, record: &mut ConnectRecord<'_>) -> Result<Field> {
        self.row.clear();
        for name in &self.fields {
            let parts = record.entries(Side::Value, PURPOSE)?;
            let found = find_entry(record.backing(), parts, name);
            let value = found.map_or(Datum::Null, |at| parts[2 * at + 1]);
            let name = record.backing_mut().text(name);
            self.row.extend([name, value]);
        }
        Ok(Field::schemaless(record.backing_mut().map_of_parts(&self.row)))
    }

    fn with_schema(&mut self, record: &mut ConnectRecord<'_>) -> Result<Field> {
        let (schema, values) = record.fields(Side::Value, PURPOSE)?;
        let (names, replace_null) = (&self.fields, self.replace_null);
        let plan = self.plans.get(schema, |schema| plan(schema, names, replace_null))?;
        self.row.clear();
        self.row.extend(plan.sources.iter().map(|source| values[*source]));
        let backing = record.backing_mut();
        plan.defaults.fill(&mut self.row, backing);
        if self.row.contains(&Datum::Null) {
            for (field, value) in plan.schema.fields()?.iter().zip(&self.row) {
                validate_field(&field.name, &field.schema, value.view(backing))?;
            }
        }
        let schema = backing.schema(&plan.schema);
        Ok(Field {
            schema: Some(schema),
            datum: backing.record_not_validated(schema, &self.row),
        })
    }
}

fn plan(schema: &SchemaRef, names: &[String], replace_null: bool) -> Result<Plan> {
    let mut builder = SchemaBuilder::struct_();
    let mut sources = Vec::with_capacity(names.len());
    for name in names {
        let field = schema
            .lookup_field(name)?
            .ok_or_else(|| Error::data(format!("Field does not exist: {name}")))?;
        builder = builder.field(name.as_str(), SchemaRef::clone(&field.schema));
        sources.push(field.index);
    }
    let schema = builder.build()?;
    Ok(Plan {
        defaults: Defaults::of(&schema, replace_null)?,
        schema,
        sources,
    })
}

impl Transformation for ValueToKey {
    fn apply(&mut self, record: &mut ConnectRecord<'_>) -> Result<Applied> {
        let key = if record.schema(Side::Value).is_none() {
            self.schemaless(record)?
        } else {
            self.with_schema(record)?
        };
        record.set(Side::Key, key);
        Ok(Applied::Kept)
    }
}

#[cfg(test)]
mod tests {
    use dray_connect::schema::Schema;
    use dray_connect::value::{SchemaAndValue, Value};

    use super::*;
    use crate::testing::{apply, map, record, refused, structure};

    fn key(keys: &[(&str, &str)], value: SchemaAndValue) -> Result<SchemaAndValue, String> {
        let before = record(value);
        let after = apply("ValueToKey", keys, &before)?;
        assert_eq!(after.value, before.value);
        Ok(after.key)
    }

    #[test]
    fn of_a_map() {
        let value = || map([("a", 1.into()), ("b", "x".into())]);
        let keys = [("fields", "b, none,b")];
        assert_eq!(key(&keys, value()), Ok(map([("b", "x".into()), ("none", Value::Null)])));
        assert_eq!(
            key(&keys, SchemaAndValue::NULL),
            Err(format!(
                "Only Map objects supported in absence of schema for [{PURPOSE}], found: null"
            ))
        );
    }

    #[test]
    fn of_a_struct() {
        let seven = SchemaBuilder::int32().default_value(7.into()).build().unwrap();
        let schema = SchemaBuilder::struct_()
            .name("value")
            .field("n", SchemaRef::clone(&seven))
            .field("t", Schema::string())
            .build()
            .unwrap();
        let of_key = SchemaBuilder::struct_()
            .field("t", Schema::string())
            .field("n", SchemaRef::clone(&seven))
            .build()
            .unwrap();
        let value = |n: Value| structure(&schema, [n, "x".into()]);
        let fields = ("fields", "t,n");
        assert_eq!(
            key(&[fields], value(3.into())),
            Ok(structure(&of_key, ["x".into(), 3.into()]))
        );
        assert_eq!(
            key(&[fields], value(Value::Null)),
            Ok(structure(&of_key, ["x".into(), 7.into()]))
        );
        for (keys, value, problem) in [
            (
                &[fields, (REPLACE_NULL, "false")][..],
                value(Value::Null),
                "Invalid value: null used for required field: \"n\", schema type: INT32",
            ),
            (&[("fields", "t,no")], value(3.into()), "Field does not exist: no"),
            (
                &[fields],
                SchemaAndValue::new(SchemaRef::clone(&schema), Value::Null),
                "Only Struct objects supported for [copying fields from value to key], found: null",
            ),
        ] {
            assert_eq!(key(keys, value), Err(problem.to_owned()));
        }
    }

    #[test]
    fn wrong_keys() {
        assert_eq!(
            refused("ValueToKey", &[("fields", "")]),
            "Configuration 'fields' must not be empty. Valid values include: any non-empty value"
        );
    }
}
