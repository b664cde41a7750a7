//! `HeaderFrom$Key` and `HeaderFrom$Value`: copies or moves fields to headers.

use std::sync::Arc;

use dray_connect::config::{
    ConfigDef, ConfigKey, ConfigType, ConfigValue, Importance, Lambda, ParsedConfig, ValidString,
};
use dray_connect::datum::Datum;
use dray_connect::header::Headers;
use dray_connect::schema::{Schema, SchemaBuilder, SchemaRef};
use dray_connect::value::{SchemaAndValue, Value};
use dray_connect::{Error, Result};

use super::{REPLACE_NULL, replace_null};
use crate::plans::{Defaults, Plans, copy_schema_basics};
use crate::registry::TransformationKind;
use crate::{Applied, ConnectRecord, Side, Transformation};

pub(super) const KIND: TransformationKind = TransformationKind {
    name: "HeaderFrom",
    sided: true,
    definition,
    make: |side, config| Ok(Box::new(HeaderFrom::new(side, config)?)),
};

fn definition() -> ConfigDef {
    let list = |name: &str, doc: &str| {
        let not_empty = Lambda::new("non-empty list", |name, value| {
            if matches!(value, ConfigValue::List(elements) if !elements.is_empty()) {
                return Ok(());
            }
            let shown = value.java_to_string();
            Err(Error::invalid_config(name, Some(&shown), Some("Empty list")))
        });
        ConfigKey::new(name, ConfigType::List)
            .validator(not_empty)
            .importance(Importance::High)
            .doc(doc)
    };
    ConfigDef::new()
        .define(list("fields", "Fields whose values become headers."))
        .define(list(
            "headers",
            "The keys of those headers, in the order of the fields.",
        ))
        .define(
            ConfigKey::new("operation", ConfigType::String)
                .validator(ValidString::of(["move", "copy"]))
                .importance(Importance::High)
                .doc("Whether the fields are removed from the key or value (move) or stay there (copy)."),
        )
        .define(replace_null())
}

struct HeaderFrom {
    side: Side,
    /// Each field with its header.
    pairs: Vec<(String, Arc<str>)>,
    operation: Operation,
    replace_null: bool,
    plans: Plans<Plan>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Move,
    Copy,
}

impl Operation {
    fn purpose(self) -> &'static str {
        match self {
            Self::Move => "header move",
            Self::Copy => "header copy",
        }
    }
}

struct Plan {
    /// The schema itself.
    given: SchemaRef,
    /// The place and the schema of the field of each pair; none where the schema has no such field.
    sources: Vec<Option<(usize, SchemaRef)>>,
    /// The schema without the fields that are moved, and the places of those that stay.
    rest: Option<(SchemaRef, Vec<usize>)>,
    defaults: Defaults,
}

impl HeaderFrom {
    fn new(side: Side, config: &ParsedConfig) -> Result<Self> {
        let list = |key| config.list(key).unwrap_or_default();
        let (fields, headers) = (list("fields"), list("headers"));
        if fields.len() != headers.len() {
            return Err(Error::config(
                "'fields' config must have the same number of elements as 'headers' config.",
            ));
        }
        let pairs = fields.iter().zip(headers);
        Ok(Self {
            side,
            pairs: pairs
                .map(|(field, header)| (field.clone(), header.as_str().into()))
                .collect(),
            operation: if config.string("operation") == Some("move") {
                Operation::Move
            } else {
                Operation::Copy
            },
            replace_null: config.boolean(REPLACE_NULL)?,
            plans: Plans::default(),
        })
    }

    fn apply_schemaless(&self, record: &mut ConnectRecord<'_>) -> Result<()> {
        let mut map = record.map(self.side, self.operation.purpose())?;
        // All are read before any is removed: a field may become two headers.
        let added = self.pairs.iter().map(|(field, header)| {
            let value = map
                .get(field)
                .map_or(Value::Null, |value| value.view(map.backing()).to_value());
            (Arc::clone(header), SchemaAndValue { schema: None, value })
        });
        let added = added.collect();
        if self.operation == Operation::Move {
            for (field, _) in &self.pairs {
                map.remove(field);
            }
        }
        append(record.headers_mut(), added)
    }

    fn apply_with_schema(&mut self, record: &mut ConnectRecord<'_>) -> Result<()> {
        let mut fields = record.record(self.side, self.operation.purpose())?;
        let (pairs, operation, replace_null) = (&self.pairs, self.operation, self.replace_null);
        let plan = self
            .plans
            .get(fields.schema(), |schema| plan(schema, pairs, operation, replace_null))?;
        let found = plan.sources.iter();
        let found: Vec<Option<Datum>> = found
            .map(|source| source.as_ref().map(|(index, _)| fields.values()[*index]))
            .collect();
        if let Some((schema, kept)) = &plan.rest {
            fields.reshape(schema, |values, backing| {
                plan.defaults.fill(values, backing);
                // Fields keep their order, so none is overwritten before it is read.
                for (to, from) in kept.iter().enumerate() {
                    values[to] = values[*from];
                }
                values.truncate(kept.len());
            });
            fields.refuse_null()?;
        }
        let mut added = Vec::with_capacity(pairs.len());
        for (((field, header), source), value) in pairs.iter().zip(&plan.sources).zip(found) {
            let (Some((_, schema)), Some(value)) = (source, value) else {
                // What is wrong with a header before this one comes first.
                append(record.headers_mut(), added)?;
                return Err(Error::data(format!(
                    "HeaderFrom has no field {field} to make the header {header} of: {} has none of that name. \
                     Take it out of fields and headers.",
                    plan.given
                )));
            };
            let value = match (value.view(fields.backing()).to_value(), schema.default()) {
                (Value::Null, Some(default)) if replace_null => default.clone(),
                (value, _) => value,
            };
            added.push((Arc::clone(header), SchemaAndValue::new(Arc::clone(schema), value)));
        }
        append(record.headers_mut(), added)
    }
}

fn append(headers: &mut Headers, added: Vec<(Arc<str>, SchemaAndValue)>) -> Result<()> {
    added.into_iter().try_for_each(|(key, value)| headers.add(key, value))
}

fn plan(schema: &SchemaRef, pairs: &[(String, Arc<str>)], operation: Operation, replace_null: bool) -> Result<Plan> {
    let source = |(name, _): &(String, _)| {
        let field = schema.field(name)?;
        Some((field.index, Schema::resolved(&field.schema)))
    };
    let rest = match operation {
        Operation::Copy => None,
        Operation::Move => {
            let mut builder = copy_schema_basics(schema, SchemaBuilder::struct_());
            let mut kept = Vec::new();
            for field in schema.fields()? {
                if pairs.iter().all(|(moved, _)| **moved != *field.name) {
                    builder = builder.field(Arc::clone(&field.name), Arc::clone(&field.schema));
                    kept.push(field.index);
                }
            }
            Some((builder.build()?, kept))
        }
    };
    Ok(Plan {
        given: Arc::clone(schema),
        sources: pairs.iter().map(source).collect(),
        rest,
        defaults: Defaults::of(schema, replace_null)?,
    })
}

impl Transformation for HeaderFrom {
    fn apply(&mut self, record: &mut ConnectRecord<'_>) -> Result<Applied> {
        if record.schema(self.side).is_none() {
            self.apply_schemaless(record)?;
        } else {
            self.apply_with_schema(record)?;
        }
        Ok(Applied::Kept)
    }
}

#[cfg(test)]
mod tests {
    use dray_connect::schema::Schema;

    use super::*;
    use crate::testing::{Record, apply, map, record, refused, structure};

    const FROM: &str = "HeaderFrom$Value";

    fn keys<'a>(operation: &'a str, fields: &'a str, headers: &'a str) -> [(&'a str, &'a str); 3] {
        [("operation", operation), ("fields", fields), ("headers", headers)]
    }

    /// The value and the headers afterwards.
    fn shown(keys: &[(&str, &str)], given: &Record) -> Result<String, String> {
        let result = apply(FROM, keys, given)?;
        let headers = result.headers.iter().map(|header| {
            let kind = header.value.schema.as_ref().map(|schema| schema.type_().name());
            format!(" {}={}:{}", header.key, header.value.value, kind.unwrap_or("-"))
        });
        Ok(format!("{}{}", result.value.value, headers.collect::<String>()))
    }

    #[test]
    fn schemaless_fields_become_headers_without_a_schema() {
        let mut given = record(map([("a", 1.into()), ("b", "two".into())]));
        given.headers.add_string("x", Some("0"));
        let run = |operation, fields, headers| shown(&keys(operation, fields, headers), &given).unwrap();
        assert_eq!(run("copy", "a,b", "x,y"), "{a=1, b=two} x=0:string x=1:- y=two:-");
        assert_eq!(
            run("move", "a,a,none", "x,y,z"),
            "{b=two} x=0:string x=1:- y=1:- z=null:-"
        );
    }

    fn schema() -> SchemaRef {
        let with_default = SchemaBuilder::string().optional().default_value("d".into());
        SchemaBuilder::struct_()
            .name("n")
            .version(3)
            .optional()
            .field("a", Schema::int32())
            .field("b", with_default.build().unwrap())
            .field("c", Schema::optional_int64())
            .build()
            .unwrap()
    }

    #[test]
    fn fields_with_a_schema_keep_it_as_headers() {
        let schema = schema();
        let given = record(structure(&schema, [1.into(), Value::Null, Value::Null]));
        let run = |operation, fields, more: &[_]| {
            let keys = [&keys(operation, fields, "x,y")[..], more].concat();
            shown(&keys, &given).unwrap()
        };
        assert_eq!(run("copy", "a,b", &[]), "Struct{a=1} x=1:int32 y=d:string");
        assert_eq!(run("move", "a,c", &[]), "Struct{b=d} x=1:int32 y=null:int64");
        let keep_null = [("replace.null.with.default", "false")];
        assert_eq!(run("copy", "a,b", &keep_null), "Struct{a=1} x=1:int32 y=null:string");
        let moved = apply(FROM, &keys("move", "a", "x"), &given).unwrap().value;
        assert_eq!(moved.value.java_to_string(), "Struct{b=d}");
        let expected = SchemaBuilder::struct_().name("n").version(3);
        let expected = expected.field("b", Arc::clone(&schema.fields().unwrap()[1].schema));
        assert_eq!(
            moved.schema,
            Some(expected.field("c", Schema::optional_int64()).build().unwrap())
        );
    }

    #[test]
    fn what_cannot_become_a_header_is_refused() {
        let schema = schema();
        let given = record(structure(&schema, [Value::Null, Value::Null, Value::Null]));
        let failed = |operation, fields| shown(&keys(operation, fields, "x"), &given).unwrap_err();
        assert_eq!(
            failed("copy", "a"),
            "A null value requires an optional schema but was Schema{INT32}"
        );
        assert_eq!(
            failed("move", "b"),
            "Invalid value: null used for required field: \"a\", schema type: INT32"
        );
        assert_eq!(
            failed("copy", "none"),
            "HeaderFrom has no field none to make the header x of: Schema{n:STRUCT} has none of that name. \
             Take it out of fields and headers."
        );
        assert_eq!(
            failed("move", "none"),
            failed("move", "b"),
            "the copy of the fields comes first"
        );
        assert_eq!(
            shown(&keys("copy", "a,none", "x,y"), &given).unwrap_err(),
            failed("copy", "a")
        );
        let null = record(SchemaAndValue::NULL);
        assert_eq!(
            shown(&keys("copy", "a", "x"), &null),
            Err("Only Map objects supported in absence of schema for [header copy], found: null".to_owned())
        );
        let null = record(SchemaAndValue::new(schema, Value::Null));
        assert_eq!(
            shown(&keys("move", "a", "x"), &null),
            Err("Only Struct objects supported for [header move], found: null".to_owned())
        );
    }

    #[test]
    fn wrong_keys_are_refused() {
        for (keys, expected) in [
            (
                keys("copy", "a", "x,y"),
                "'fields' config must have the same number of elements as 'headers' config.",
            ),
            (
                keys("copy", "", "x"),
                "Invalid value [] for configuration fields: Empty list",
            ),
            (
                keys("Copy", "a", "x"),
                "Invalid value Copy for configuration operation: String must be one of: move, copy",
            ),
        ] {
            assert_eq!(refused(FROM, &keys), expected);
        }
    }
}
