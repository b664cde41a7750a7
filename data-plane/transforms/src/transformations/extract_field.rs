//! `ExtractField$Key` and `ExtractField$Value`: one field takes the place of the whole.

use dray_connect::config::{CaseInsensitiveValidString, ConfigDef, ConfigKey, ConfigType, Importance, ParsedConfig};
use dray_connect::datum::{Datum, Field};
use dray_connect::schema::{Schema, SchemaRef};
use dray_connect::value::Value;
use dray_connect::{Error, Result};

use super::{REPLACE_NULL, replace_null};
use crate::field_path::{FieldPath, Syntax};
use crate::plans::Plans;
use crate::record::{find_entry, not_a_map, not_a_struct};
use crate::registry::TransformationKind;
use crate::{Applied, ConnectRecord, Side, Transformation};

pub(super) const KIND: TransformationKind = TransformationKind {
    name: "ExtractField",
    sided: true,
    definition,
    make: |side, config| Ok(Box::new(ExtractField::new(side, config)?)),
};

const PURPOSE: &str = "field extraction";
/// What is said of a value on the way to the field.
const ON_THE_WAY: &str = "nested field access";

const SYNTAX: &str = "field.syntax.version";

fn definition() -> ConfigDef {
    ConfigDef::new()
        .define(
            ConfigKey::new("field", ConfigType::String)
                .importance(Importance::Medium)
                .doc("The field to extract."),
        )
        .define(replace_null())
        .define(
            ConfigKey::new(SYNTAX, ConfigType::String)
                .default_value("V1")
                .validator(CaseInsensitiveValidString::of(["V1", "V2"]))
                .importance(Importance::High)
                .doc(
                    "How the field is written. V1: the name of a field at the top. V2: a path with dots between its \
                     names, such as a.b; a name that has dots itself stands between backticks.",
                ),
        )
}

struct ExtractField {
    side: Side,
    /// As it was written.
    field: String,
    path: FieldPath,
    replace_null: bool,
    plans: Plans<Plan>,
}

/// The way to the field in structs of one schema.
struct Plan {
    /// At least one.
    steps: Vec<Step>,
    schema: SchemaRef,
}

struct Step {
    index: usize,
    /// What stands for null.
    default: Option<Value>,
}

impl Step {
    /// The value of the field in a struct with these values; the default where that stands for it.
    fn read(&self, values: &[Datum]) -> Result<Datum, &Value> {
        let datum = values.get(self.index).copied().unwrap_or_default();
        match (datum, &self.default) {
            (Datum::Null, Some(default)) => Err(default),
            (datum, _) => Ok(datum),
        }
    }
}

impl ExtractField {
    fn new(side: Side, config: &ParsedConfig) -> Result<Self> {
        let field = config.string("field").unwrap_or_default().to_owned();
        let syntax = match config.string(SYNTAX) {
            Some(version) if version.eq_ignore_ascii_case("V2") => Syntax::V2,
            Some(_) | None => Syntax::V1,
        };
        Ok(Self {
            side,
            path: FieldPath::parse(&field, syntax)?,
            field,
            replace_null: config.boolean(REPLACE_NULL)?,
            plans: Plans::default(),
        })
    }

    fn schemaless(&self, record: &ConnectRecord<'_>) -> Result<Datum> {
        let mut parts = record.entries(self.side, PURPOSE)?;
        let backing = record.backing();
        let (last, steps) = self.path.steps().split_last().ok_or_else(no_steps)?;
        let value =
            |parts: &[Datum], name| find_entry(backing, parts, name).map_or(Datum::Null, |at| parts[2 * at + 1]);
        for step in steps {
            let datum = value(parts, step);
            if datum == Datum::Null {
                return Ok(Datum::Null);
            }
            let Datum::Map(_) = datum else {
                return Err(not_a_map(ON_THE_WAY, datum.view(backing).java_class()));
            };
            parts = datum.parts(backing);
        }
        Ok(value(parts, last))
    }
}

/// What Java says when it looks for the last of no steps.
fn no_steps() -> Error {
    Error::IllegalArgument("fromIndex(0) > toIndex(-1)".to_owned())
}

fn plan(schema: &SchemaRef, path: &FieldPath, written: &str, replace_null: bool) -> Result<Plan> {
    let (last, names) = path.steps().split_last().ok_or_else(no_steps)?;
    let unknown = || Error::IllegalArgument(format!("Unknown field: {written}"));
    let mut schema = SchemaRef::clone(schema);
    let mut steps = Vec::with_capacity(names.len());
    for name in names {
        let field = schema.lookup_field(name)?.ok_or_else(unknown)?;
        steps.push(Step {
            index: field.index,
            // Defaults on the way always stand for null.
            default: field.schema.default().cloned(),
        });
        schema = Schema::resolved(&field.schema);
    }
    let field = schema.lookup_field(last)?.ok_or_else(unknown)?;
    steps.push(Step {
        index: field.index,
        default: field.schema.default().filter(|_| replace_null).cloned(),
    });
    Ok(Plan {
        steps,
        // That of a struct that comes out.
        schema: Schema::resolved(&field.schema),
    })
}

fn read(plan: &Plan, side: Side, record: &mut ConnectRecord<'_>) -> Result<Datum> {
    let mut datum = Datum::Null;
    for (depth, step) in plan.steps.iter().enumerate() {
        let values = if depth == 0 {
            record.fields(side, PURPOSE)?.1
        } else if let Datum::Struct(_) = datum {
            datum.parts(record.backing())
        } else if datum == Datum::Null {
            return Ok(Datum::Null);
        } else {
            return Err(not_a_struct(ON_THE_WAY, datum.view(record.backing()).java_class()));
        };
        datum = match step.read(values) {
            Ok(found) => found,
            Err(default) => record.backing_mut().value(default),
        };
    }
    Ok(datum)
}

impl Transformation for ExtractField {
    fn apply(&mut self, record: &mut ConnectRecord<'_>) -> Result<Applied> {
        let side = self.side;
        let is_null = record.is_null(side);
        let field = match record.schema(side) {
            None if is_null => Field::default(),
            None => Field::schemaless(self.schemaless(record)?),
            Some(schema) => {
                if !is_null {
                    record.fields(side, PURPOSE)?;
                }
                let (path, field, replace_null) = (&self.path, &self.field, self.replace_null);
                let plan = self
                    .plans
                    .get(schema, |schema| plan(schema, path, field, replace_null))?;
                let datum = if is_null {
                    Datum::Null
                } else {
                    read(plan, side, record)?
                };
                Field {
                    schema: Some(record.backing_mut().schema(&plan.schema)),
                    datum,
                }
            }
        };
        record.set(side, field);
        Ok(Applied::Kept)
    }
}

#[cfg(test)]
mod tests {
    use dray_connect::schema::{Schema, SchemaBuilder};
    use dray_connect::structs::Struct;
    use dray_connect::value::SchemaAndValue;

    use super::*;
    use crate::testing::{map, refused, structure, value};

    const CLASS: &str = "ExtractField$Value";

    fn extract(path: &str, of: SchemaAndValue) -> Result<SchemaAndValue, String> {
        value(CLASS, &[("field", path), ("field.syntax.version", "v2")], of)
    }

    #[test]
    fn from_a_map() {
        let nested = || {
            map([
                ("a.b", 1.into()),
                ("a", map([("b", 2.into()), ("n", Value::Null)]).value),
            ])
        };
        assert_eq!(
            value(CLASS, &[("field", "a.b")], nested()),
            Ok(SchemaAndValue::schemaless(1))
        );
        for (path, expected) in [
            ("`a.b`", Value::from(1)),
            ("a.b", 2.into()),
            ("a.c", Value::Null),
            ("a.n.c", Value::Null),
            ("c.d", Value::Null),
        ] {
            assert_eq!(
                extract(path, nested()),
                Ok(SchemaAndValue::schemaless(expected)),
                "{path}"
            );
            assert_eq!(extract(path, SchemaAndValue::NULL), Ok(SchemaAndValue::NULL));
        }
        let no_map = "Only Map objects supported in absence of schema for";
        for (path, of, problem) in [
            (
                "a.b.c",
                nested(),
                format!("{no_map} [nested field access], found: java.lang.Integer"),
            ),
            (
                "a",
                SchemaAndValue::schemaless(1),
                format!("{no_map} [field extraction], found: java.lang.Integer"),
            ),
            ("", nested(), "fromIndex(0) > toIndex(-1)".to_owned()),
        ] {
            assert_eq!(extract(path, of), Err(problem));
        }
    }

    /// `{inner: {x: int32 = 7, t: text} = {x: 5, t: null}, t: text}`
    fn schema() -> SchemaRef {
        let x = SchemaBuilder::int32()
            .optional()
            .default_value(7.into())
            .build()
            .unwrap();
        let inner = || {
            SchemaBuilder::struct_()
                .optional()
                .field("x", SchemaRef::clone(&x))
                .field("t", Schema::optional_string())
        };
        let mut default = Struct::new(inner().build().unwrap()).unwrap();
        default.put("x", 5).unwrap();
        SchemaBuilder::struct_()
            .field("inner", inner().default_value(default.into()).build().unwrap())
            .field("t", Schema::optional_string())
            .build()
            .unwrap()
    }

    #[test]
    fn from_a_struct() {
        let schema = schema();
        let inner = SchemaRef::clone(&schema.field("inner").unwrap().schema);
        let x = SchemaRef::clone(&inner.field("x").unwrap().schema);
        let with_null = structure(
            &schema,
            [structure(&inner, [Value::Null, "z".into()]).value, Value::Null],
        );
        let empty = structure(&schema, [Value::Null, "y".into()]);
        assert_eq!(
            extract("t", empty.clone()),
            Ok(SchemaAndValue::new(Schema::optional_string(), "y"))
        );
        assert_eq!(
            extract("inner.t", with_null.clone()),
            Ok(SchemaAndValue::new(Schema::optional_string(), "z"))
        );
        assert_eq!(
            extract("inner.x", with_null.clone()),
            Ok(SchemaAndValue::new(SchemaRef::clone(&x), 7))
        );
        // The default of what is on the way counts whatever is said about null, that of the field itself does not.
        let keep_null = |path, of| {
            let keys = [("field", path), ("field.syntax.version", "V2"), (REPLACE_NULL, "false")];
            value(CLASS, &keys, of)
        };
        assert_eq!(
            keep_null("inner.x", empty.clone()),
            Ok(SchemaAndValue::new(SchemaRef::clone(&x), 5))
        );
        let null = SchemaAndValue::new(SchemaRef::clone(&x), Value::Null);
        assert_eq!(keep_null("inner.x", with_null), Ok(null));
        assert_eq!(
            keep_null("inner", empty.clone()),
            Ok(SchemaAndValue::new(inner, Value::Null))
        );
    }

    #[test]
    fn from_null_and_from_what_is_no_struct() {
        let null = |schema: &SchemaRef| SchemaAndValue::new(SchemaRef::clone(schema), Value::Null);
        let schema = schema();
        assert_eq!(extract("t", null(&schema)), Ok(null(&Schema::optional_string())));
        for (path, of, problem) in [
            ("no", null(&schema), "Unknown field: no"),
            ("`no`.x", null(&schema), "Unknown field: `no`.x"),
            ("t.x", null(&schema), "Cannot look up fields on non-struct type"),
            (
                "t",
                null(&Schema::optional_string()),
                "Cannot look up fields on non-struct type",
            ),
            ("", null(&schema), "fromIndex(0) > toIndex(-1)"),
            (
                "t",
                SchemaAndValue::new(Schema::string(), "x"),
                "Only Struct objects supported for [field extraction], found: java.lang.String",
            ),
        ] {
            assert_eq!(extract(path, of), Err(problem.to_owned()), "{path}");
        }
    }

    #[test]
    fn wrong_keys() {
        assert_eq!(
            refused(CLASS, &[]),
            "Missing required configuration \"field\" which has no default value."
        );
        assert_eq!(
            refused(CLASS, &[("field", "a"), ("field.syntax.version", "V3")]),
            "Invalid value V3 for configuration field.syntax.version: String must be one of (case insensitive): V1, V2"
        );
    }
}
