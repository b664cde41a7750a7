//! `Cast$Key` and `Cast$Value`: fields, or the whole, become values of another primitive type.

mod value;

use std::sync::Arc;

use dray_connect::backing::Backing;
use dray_connect::config::{ConfigDef, ConfigKey, ConfigType, ConfigValue, Importance, Lambda, ParsedConfig};
use dray_connect::datum::{Datum, Field, ValueRef};
use dray_connect::schema::{Schema, SchemaBuilder, SchemaRef, validate_field};
use dray_connect::value::Value;
use dray_connect::{Error, Result};

use self::value::{Target, cast, refuse_input};
use super::{REPLACE_NULL, replace_null};
use crate::java::{hash_order, split_at_colons, trim};
use crate::plans::{Plans, copy_schema_basics};
use crate::registry::TransformationKind;
use crate::{Applied, ConnectRecord, Side, Transformation};

pub(super) const KIND: TransformationKind = TransformationKind {
    name: "Cast",
    sided: true,
    definition,
    make: |side, config| Ok(Box::new(Cast::new(side, config)?)),
};

const PURPOSE: &str = "cast types";

fn definition() -> ConfigDef {
    let valid = Lambda::new(
        "list of colon-delimited pairs, e.g. <code>foo:bar,abc:xyz</code>",
        |_, value| {
            if let ConfigValue::List(elements) = value
                && !elements.is_empty()
            {
                return Spec::read(elements).map(drop);
            }
            Err(Error::config("Must specify at least one field to cast."))
        },
    );
    ConfigDef::new()
        .define(
            ConfigKey::new("spec", ConfigType::List)
                .validator(valid)
                .importance(Importance::High)
                .doc(
                    "Fields and the types that they become, as field:type; or one type alone, which the whole becomes. \
                     Types are int8, int16, int32, int64, float32, float64, boolean and string.",
                ),
        )
        .define(replace_null())
}

/// What is cast.
enum Spec {
    Whole(Target),
    /// In the order of the hash map that Java keeps them in.
    Fields(Vec<(Arc<str>, Target)>),
}

impl Spec {
    fn read(elements: &[String]) -> Result<Self> {
        let invalid = |key, problem: String| {
            let list = format!("[{}]", elements.join(", "));
            Err(Error::invalid_config(key, Some(&list), Some(&problem)))
        };
        let mut whole = None;
        let mut fields = Vec::new();
        for element in elements {
            match split_at_colons(element)[..] {
                // Java ends with an ArrayIndexOutOfBoundsException.
                [] => {
                    return invalid(
                        "spec",
                        format!("A field and its type, or a type, is missing: {element}"),
                    );
                }
                [kind] => whole = Some(Target::read(trim(kind))?),
                [field, kind] => fields.push((trim(field).to_owned(), Target::read(trim(kind))?)),
                // The key is the one that Java names.
                [_, _, _, ..] => return invalid("renames", format!("Invalid rename mapping: {element}")),
            }
        }
        match whole {
            Some(_) if elements.len() > 1 => Err(Error::config(
                "Cast transformations that specify a type to cast the entire value to may only specify a single cast in their spec",
            )),
            Some(target) => Ok(Self::Whole(target)),
            None => {
                let fields = hash_order(fields).into_iter();
                Ok(Self::Fields(
                    fields.map(|(name, target)| (name.into(), target)).collect(),
                ))
            }
        }
    }

    fn plan(&self, schema: &SchemaRef, replace_null: bool) -> Result<Plan> {
        let fields = match self {
            Self::Whole(target) => return whole_plan(schema, *target),
            Self::Fields(fields) => fields,
        };
        let mut builder = copy_schema_basics(schema, SchemaBuilder::struct_());
        let mut steps = Vec::new();
        for field in schema.fields()? {
            let target = fields.iter().find(|(name, _)| **name == *field.name);
            let after = match target {
                Some((_, target)) => {
                    let bare = SchemaBuilder::of(target.schema_type());
                    with_optional_and_default(bare, &field.schema, *target)?.build()?
                }
                None => SchemaRef::clone(&field.schema),
            };
            steps.push(Step {
                index: field.index,
                cast: target.map(|(_, target)| (SchemaRef::clone(&field.schema), *target)),
                default: after.default().filter(|_| replace_null).cloned(),
                required: !after.optional(),
            });
            builder = builder.field(Arc::clone(&field.name), after);
        }
        if schema.default().is_some() {
            return Err(refuse_input(schema.type_()));
        }
        if schema.optional() {
            builder = builder.optional();
        }
        steps.retain(|step| step.cast.is_some() || step.default.is_some() || step.required);
        Ok(Plan {
            schema: builder.build()?,
            steps,
        })
    }
}

fn whole_plan(schema: &SchemaRef, target: Target) -> Result<Plan> {
    // The name stays, even where it is that of a logical type that the new type cannot be.
    let bare = copy_schema_basics(schema, SchemaBuilder::of(target.schema_type()));
    Ok(Plan {
        schema: with_optional_and_default(bare, schema, target)?.build()?,
        steps: Vec::new(),
    })
}

fn with_optional_and_default(mut builder: SchemaBuilder, before: &Schema, target: Target) -> Result<SchemaBuilder> {
    if before.optional() {
        builder = builder.optional();
    }
    if let Some(default) = before.default() {
        let mut backing = Backing::default();
        let default = backing.value(default);
        let default = cast(Some(before), default, target, &mut backing)?;
        builder = builder.default_value(default.view(&backing).to_value());
    }
    Ok(builder)
}

struct Cast {
    side: Side,
    spec: Spec,
    replace_null: bool,
    plans: Plans<Plan>,
}

/// The schema that comes out, and what becomes of which field.
struct Plan {
    schema: SchemaRef,
    steps: Vec<Step>,
}

struct Step {
    index: usize,
    /// The schema before, and the type after.
    cast: Option<(SchemaRef, Target)>,
    /// What stands for null, cast already.
    default: Option<Value>,
    required: bool,
}

impl Cast {
    fn new(side: Side, config: &ParsedConfig) -> Result<Self> {
        Ok(Self {
            side,
            spec: Spec::read(config.list("spec").unwrap_or_default())?,
            replace_null: config.boolean(REPLACE_NULL)?,
            plans: Plans::default(),
        })
    }
}

impl Transformation for Cast {
    fn apply(&mut self, record: &mut ConnectRecord<'_>) -> Result<Applied> {
        let (side, spec, replace_null) = (self.side, &self.spec, self.replace_null);
        if record.is_null(side) {
            return Ok(Applied::Kept);
        }
        let plan = |schema: &SchemaRef| spec.plan(schema, replace_null);
        match (spec, record.schema(side)) {
            (Spec::Whole(target), None) => {
                let datum = record.field(side).datum;
                let datum = cast(None, datum, *target, record.backing_mut())?;
                record.set(side, Field::schemaless(datum));
            }
            (Spec::Whole(target), Some(schema)) => {
                let before = SchemaRef::clone(schema);
                let plan = self.plans.get(&before, plan)?;
                let datum = record.field(side).datum;
                let datum = cast(Some(&before), datum, *target, record.backing_mut())?;
                let schema = Some(record.backing_mut().schema(&plan.schema));
                record.set(side, Field { schema, datum });
            }
            (Spec::Fields(fields), None) => {
                let mut map = record.map(side, PURPOSE)?;
                for (name, target) in fields {
                    match map.find(name) {
                        Some(index) => {
                            let value = cast(None, map.value(index), *target, map.backing_mut())?;
                            map.set(index, value);
                        }
                        None => map.put(name, Datum::Null),
                    }
                }
            }
            (Spec::Fields(_), Some(schema)) => {
                if let Err(error) = record.fields(side, PURPOSE) {
                    // What is wrong with the schema comes first.
                    self.plans.get(schema, plan)?;
                    return Err(error);
                }
                let mut fields = record.record(side, PURPOSE)?;
                let plan = self.plans.get(fields.schema(), plan)?;
                fields.change(|values, backing| plan.apply(values, backing))?;
                fields.reshape(&plan.schema, |_, _| {});
            }
        }
        Ok(Applied::Kept)
    }
}

impl Plan {
    fn apply(&self, values: &mut [Datum], backing: &mut Backing) -> Result<()> {
        for step in &self.steps {
            let value = &mut values[step.index];
            if *value != Datum::Null {
                if let Some((schema, target)) = &step.cast {
                    *value = cast(Some(schema), *value, *target, backing)?;
                }
            } else if let Some(default) = &step.default {
                *value = backing.value(default);
            } else if step.required {
                let field = &self.schema.fields()?[step.index];
                return validate_field(&field.name, &field.schema, ValueRef::Null);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
