//! `ReplaceField$Key` and `ReplaceField$Value`: leaves fields out and renames others.

use std::collections::HashMap;
use std::sync::Arc;

use dray_connect::config::{ConfigDef, ConfigKey, ConfigType, ConfigValue, Importance, Lambda, ParsedConfig};
use dray_connect::schema::{SchemaBuilder, SchemaRef};
use dray_connect::{Error, Result};

use super::{REPLACE_NULL, replace_null};
use crate::plans::{Defaults, Plans, copy_schema_basics};
use crate::record::Name;
use crate::registry::TransformationKind;
use crate::{Applied, ConnectRecord, Side, Transformation};

pub(super) const KIND: TransformationKind = TransformationKind {
    name: "ReplaceField",
    sided: true,
    definition,
    make: |side, config| Ok(Box::new(ReplaceField::new(side, config)?)),
};

const PURPOSE: &str = "field replacement";

fn definition() -> ConfigDef {
    let list = |name: &str, doc: &str| {
        ConfigKey::new(name, ConfigType::List)
            .default_value("")
            .importance(Importance::Medium)
            .doc(doc)
    };
    ConfigDef::new()
        .define(list(
            "exclude",
            "Fields to leave out. This has precedence over those to include.",
        ))
        .define(list("include", "Fields to keep; all when empty."))
        .define(
            list("renames", "New names of fields, as old:new.").validator(Lambda::new(
                "list of colon-delimited pairs, e.g. foo:bar,abc:xyz",
                |_, value| {
                    if let ConfigValue::List(elements) = value {
                        elements.iter().try_for_each(|element| rename(element).map(drop))?;
                    }
                    Ok(())
                },
            )),
        )
        .define(replace_null())
}

fn rename(element: &str) -> Result<(&str, &str)> {
    match element.split_once(':') {
        Some((old, new)) if !new.contains(':') && !new.is_empty() => Ok((old, new)),
        Some(_) | None => Err(Error::invalid_config(
            "renames",
            Some(element),
            Some(&format!("Invalid rename mapping: {element}")),
        )),
    }
}

struct ReplaceField {
    side: Side,
    names: Names,
    plans: Plans<Plan>,
}

/// What becomes of which name.
struct Names {
    exclude: Vec<String>,
    include: Vec<String>,
    renames: HashMap<String, Arc<str>>,
    replace_null: bool,
}

/// The schema that comes out, and for each of its fields the place of its value before.
struct Plan {
    schema: SchemaRef,
    sources: Vec<usize>,
    defaults: Defaults,
}

impl ReplaceField {
    fn new(side: Side, config: &ParsedConfig) -> Result<Self> {
        let list = |key| config.list(key).unwrap_or_default().to_vec();
        let renames = list("renames")
            .iter()
            .map(|element| {
                let (old, new) = rename(element)?;
                Ok((old.to_owned(), new.into()))
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            side,
            names: Names {
                exclude: list("exclude"),
                include: list("include"),
                renames,
                replace_null: config.boolean(REPLACE_NULL)?,
            },
            plans: Plans::default(),
        })
    }
}

impl Names {
    fn becomes(&self, name: &[u8]) -> Name {
        let is = |listed: &String| listed.as_bytes() == name;
        if self.exclude.iter().any(is) || !(self.include.is_empty() || self.include.iter().any(is)) {
            return Name::Removed;
        }
        // Most chains rename nothing, and a map asked for every field of every record costs more than it looks.
        let new = (!self.renames.is_empty())
            .then(|| std::str::from_utf8(name).ok().and_then(|name| self.renames.get(name)))
            .flatten();
        new.map_or(Name::Same, |new| Name::New(Arc::clone(new)))
    }

    fn plan(&self, schema: &SchemaRef) -> Result<Plan> {
        let mut builder = copy_schema_basics(schema, SchemaBuilder::struct_());
        let mut sources = Vec::new();
        for field in schema.fields()? {
            let name = match self.becomes(field.name.as_bytes()) {
                Name::Removed => continue,
                Name::Same => Arc::clone(&field.name),
                Name::New(name) => name,
            };
            builder = builder.field(name, Arc::clone(&field.schema));
            sources.push(field.index);
        }
        Ok(Plan {
            schema: builder.build()?,
            sources,
            defaults: Defaults::of(schema, self.replace_null)?,
        })
    }
}

impl Transformation for ReplaceField {
    fn apply(&mut self, record: &mut ConnectRecord<'_>) -> Result<Applied> {
        if record.is_null(self.side) {
            return Ok(Applied::Kept);
        }
        if record.schema(self.side).is_none() {
            let mut map = record.map(self.side, PURPOSE)?;
            map.rename_each(|name| self.names.becomes(name));
            if !self.names.renames.is_empty() {
                map.keep_last_of_each_name();
            }
            return Ok(Applied::Kept);
        }
        let mut fields = record.record(self.side, PURPOSE)?;
        let plan = self.plans.get(fields.schema(), |schema| self.names.plan(schema))?;
        fields.reshape(&plan.schema, |values, backing| {
            plan.defaults.fill(values, backing);
            // Fields keep their order, so none is overwritten before it is read.
            for (to, from) in plan.sources.iter().enumerate() {
                values[to] = values[*from];
            }
            values.truncate(plan.sources.len());
        });
        Ok(Applied::Kept)
    }
}
