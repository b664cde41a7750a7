//! `ReplaceField$Key` and `ReplaceField$Value`: leaves fields out and renames others.

use std::sync::Arc;

use dray_connect::config::{
    ConfigDef, ConfigKey, ConfigType, ConfigValue, Importance, Lambda, ParsedConfig, ValidList,
};
use dray_connect::datum::Datum;
use dray_connect::schema::{SchemaBuilder, SchemaRef, validate_field};
use dray_connect::{Error, Result};

use super::{REPLACE_NULL, replace_null};
use crate::java::{hash_order, split_at_colons};
use crate::plans::{Defaults, Plans, copy_schema_basics};
use crate::record::{Lengths, MapMut, Name, Shape, same_name};
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
    let names = |name, doc| list(name, doc).validator(ValidList::any_or_none());
    ConfigDef::new()
        .define(names(
            "exclude",
            "Fields to leave out. This has precedence over those to include.",
        ))
        .define(names("include", "Fields to keep; all when empty."))
        .define(
            list("renames", "New names of fields, as old:new.").validator(Lambda::new(
                "list of colon-delimited pairs, e.g. <code>foo:bar,abc:xyz</code>",
                |_, value| {
                    if let ConfigValue::List(elements) = value {
                        renames(elements)?;
                    }
                    Ok(())
                },
            )),
        )
        .define(replace_null())
}

/// Old and new names, in the order of the hash map that Java keeps them in.
fn renames(elements: &[String]) -> Result<Vec<(String, Arc<str>)>> {
    let pair = |element: &String| match split_at_colons(element)[..] {
        [old, new] => Ok((old.to_owned(), new.into())),
        _ => Err(Error::invalid_config(
            "renames",
            Some(&format!("[{}]", elements.join(", "))),
            Some(&format!("Invalid rename mapping: {element}")),
        )),
    };
    let pairs = elements.iter().map(pair).collect::<Result<Vec<_>>>()?;
    Ok(hash_order(pairs))
}

/// Those of the names to which anything happens.
fn lengths(exclude: &[String], include: &[String], renames: &[(String, Arc<str>)]) -> Lengths {
    if !include.is_empty() {
        return Lengths::ALL; // what is not listed goes
    }
    let renamed = renames.iter().flat_map(|(old, new)| [old.as_str(), new]);
    Lengths::of(exclude.iter().map(String::as_str).chain(renamed))
}

struct ReplaceField {
    side: Side,
    names: Names,
    plans: Plans<Plan>,
    /// Of a map's entries those that come out: their names, and the place of their values before.
    entries: Shape<Vec<(Datum, usize)>>,
    /// Kept from record to record for its allocation.
    row: Vec<Datum>,
}

/// What becomes of which name.
struct Names {
    exclude: Vec<String>,
    include: Vec<String>,
    renames: Vec<(String, Arc<str>)>,
    /// Those of all names to which anything happens.
    lengths: Lengths,
    replace_null: bool,
}

/// The schema that comes out, and for each of its fields the place of its value before.
struct Plan {
    schema: SchemaRef,
    sources: Vec<usize>,
    defaults: Defaults,
    /// A field gets the value of one with another schema.
    crossed: bool,
}

impl ReplaceField {
    fn new(side: Side, config: &ParsedConfig) -> Result<Self> {
        let list = |key| config.list(key).unwrap_or_default().to_vec();
        let (exclude, include, renames) = (list("exclude"), list("include"), renames(&list("renames"))?);
        let lengths = lengths(&exclude, &include, &renames);
        Ok(Self {
            side,
            names: Names {
                exclude,
                include,
                renames,
                lengths,
                replace_null: config.boolean(REPLACE_NULL)?,
            },
            plans: Plans::default(),
            entries: Shape::default(),
            row: Vec::new(),
        })
    }
}

impl Names {
    #[inline]
    fn becomes(&self, name: Option<&[u8]>) -> Name<'_> {
        let is = |listed: &str| name.is_some_and(|name| same_name(name, listed.as_bytes()));
        let listed = |list: &[String]| list.iter().any(|listed| is(listed));
        if listed(&self.exclude) || !(self.include.is_empty() || listed(&self.include)) {
            return Name::Removed;
        }
        for (old, new) in &self.renames {
            if is(old) {
                return Name::New(new);
            }
        }
        let taken = self.renames.iter().find(|(_, new)| is(new));
        taken.map_or(Name::Same, |(_, new)| Name::Taken(new))
    }

    /// What becomes of the entries of such a map: a map of their places goes through it.
    fn entries(&self, map: &mut MapMut<'_>) -> Option<Vec<(Datum, usize)>> {
        let before = map.parts().to_vec();
        let (entries, _) = before.as_chunks::<2>();
        let places: Vec<Datum> = (0..)
            .zip(entries)
            .flat_map(|(at, [key, _])| [*key, Datum::Int32(at)])
            .collect();
        map.replace(&places);
        let renamed = map.rename_each(self.lengths, |name| self.becomes(name));
        let after = map.parts().as_chunks::<2>().0.iter().map(|[key, place]| {
            let Datum::Int32(at) = place else { return None };
            Some((*key, usize::try_from(*at).ok()?))
        });
        let after = after.collect();
        map.replace(&before);
        renamed.ok().and(after)
    }

    /// The field that Java reads for a field that comes out. It asks for the old name of whatever has a new name, even
    /// where this field had that name before; of several old names the last one in its hash map counts.
    fn source<'n>(&'n self, name: &'n str) -> &'n str {
        let renamed = self.renames.iter().rfind(|(_, new)| **new == *name);
        renamed.map_or(name, |(old, _)| old)
    }

    fn plan(&self, before: &SchemaRef) -> Result<Plan> {
        let mut builder = copy_schema_basics(before, SchemaBuilder::struct_());
        for field in before.fields()? {
            let name = match self.becomes(Some(field.name.as_bytes())) {
                Name::Removed => continue,
                Name::Same | Name::Taken(_) => Arc::clone(&field.name),
                Name::New(name) => Arc::clone(name),
            };
            builder = builder.field(name, Arc::clone(&field.schema));
        }
        let schema = builder.build()?;
        let mut sources = Vec::new();
        for field in schema.fields()? {
            let name = self.source(&field.name);
            let source = before.lookup_field(name)?;
            sources.push(source.ok_or_else(|| Error::data(format!("{name} is not a valid field name")))?);
        }
        let replaced = sources.iter().enumerate().filter(|_| self.replace_null);
        let pairs = schema.fields()?.iter().zip(&sources);
        Ok(Plan {
            defaults: Defaults::at(replaced.map(|(to, source)| (to, &source.schema))),
            crossed: pairs.into_iter().any(|(field, source)| field.schema != source.schema),
            sources: sources.iter().map(|source| source.index).collect(),
            schema,
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
            let Some(entries) = self.entries.plan(&mut map, |map| self.names.entries(map)) else {
                map.rename_each(self.names.lengths, |name| self.names.becomes(name))?;
                return Ok(Applied::Kept);
            };
            self.row.clear();
            for (key, source) in entries {
                self.row.extend_from_slice(&[*key, map.value(*source)]);
            }
            map.swap(&mut self.row);
            return Ok(Applied::Kept);
        }
        let mut fields = record.record(self.side, PURPOSE)?;
        let plan = self.plans.get(fields.schema(), |schema| self.names.plan(schema))?;
        fields.reshape(&plan.schema, |values, backing| {
            self.row.clear();
            self.row.extend(plan.sources.iter().map(|source| values[*source]));
            plan.defaults.fill(&mut self.row, backing);
            std::mem::swap(values, &mut self.row);
        });
        if plan.crossed {
            for (field, value) in plan.schema.fields()?.iter().zip(fields.values()) {
                validate_field(&field.name, &field.schema, value.view(fields.backing()))?;
            }
        }
        fields.refuse_null()?;
        Ok(Applied::Kept)
    }
}

#[cfg(test)]
mod tests {
    use dray_connect::schema::Schema;
    use dray_connect::value::{SchemaAndValue, Value};

    use super::*;
    use crate::testing::{map, refused, structure, value};

    const CLASS: &str = "ReplaceField$Value";

    fn replace(keys: &[(&str, &str)], of: SchemaAndValue) -> Result<SchemaAndValue, String> {
        value(CLASS, keys, of)
    }

    #[test]
    fn in_a_map() {
        let abc = || map([("a", 1.into()), ("b", 2.into()), ("c", Value::Null)]);
        for (keys, expected) in [
            (&[("exclude", "b,no")][..], "{a=1, c=null}"),
            (&[("include", "b,a")], "{a=1, b=2}"),
            (&[("include", "b,a"), ("exclude", "a")], "{b=2}"),
            // Old names decide what is kept.
            (&[("include", "x"), ("renames", "a:x")], "{}"),
            (&[("renames", "a:x:,no:y,b:a")], "{x=1, a=2, c=null}"),
            (&[("renames", "b:a")], "{a=2, c=null}"),
        ] {
            assert_eq!(
                replace(keys, abc()).unwrap().value.java_to_string(),
                expected,
                "{keys:?}"
            );
        }
        let keyed = |key| SchemaAndValue::schemaless(Value::map([(key, 1.into())]));
        assert_eq!(
            replace(&[], keyed(5.into())),
            Err("a map with a key of class java.lang.Integer is no record: its keys must be strings".to_owned())
        );
        assert_eq!(
            replace(&[("exclude", "null")], keyed(Value::Null)),
            Ok(keyed(Value::Null))
        );
        assert_eq!(replace(&[("include", "null")], keyed(Value::Null)), Ok(map([])));
        assert_eq!(replace(&[], SchemaAndValue::NULL), Ok(SchemaAndValue::NULL));
    }

    #[test]
    fn many_names_are_told_apart() {
        let names: Vec<String> = (0..40).map(|number| format!("n{number}")).collect();
        let entries = || names.iter().map(|name| (Value::from(name.as_str()), Value::from(1)));
        let all = SchemaAndValue::schemaless(Value::map(entries()));
        let after = replace(&[("renames", "n39:n0")], all).unwrap();
        assert_eq!(after.value.as_map().unwrap().len(), 39);
    }

    fn seven() -> SchemaRef {
        SchemaBuilder::int32().default_value(7.into()).build().unwrap()
    }

    /// `{n: int32 = 7, t: text, u: text?}`
    fn schema() -> SchemaRef {
        let builder = SchemaBuilder::struct_().name("s").doc("doc").optional();
        builder
            .field("n", seven())
            .field("t", Schema::string())
            .field("u", Schema::optional_string())
            .build()
            .unwrap()
    }

    #[test]
    fn in_a_struct() {
        let of = |n: Value| structure(&schema(), [n, "t".into(), Value::Null]);
        let after = SchemaBuilder::struct_()
            .name("s")
            .doc("doc")
            .field("m", seven())
            .field("u", Schema::optional_string())
            .build()
            .unwrap();
        let keys = [("exclude", "t"), ("renames", "n:m")];
        assert_eq!(
            replace(&keys, of(3.into())),
            Ok(structure(&after, [3.into(), Value::Null]))
        );
        assert_eq!(
            replace(&keys, of(Value::Null)),
            Ok(structure(&after, [7.into(), Value::Null]))
        );
        for (keys, problem) in [
            (
                &[keys[0], keys[1], (REPLACE_NULL, "false")][..],
                "Invalid value: null used for required field: \"m\", schema type: INT32",
            ),
            (
                &[("renames", "n:t")],
                "Cannot create field because of field name duplication t",
            ),
        ] {
            assert_eq!(replace(keys, of(Value::Null)), Err(problem.to_owned()));
        }
    }

    #[test]
    fn java_reads_by_the_old_name_of_the_new_one() {
        let of = || structure(&schema(), [3.into(), "t".into(), "u".into()]);
        // The field t stays, and is read from u: another field that would have had its name.
        let after = SchemaBuilder::struct_()
            .name("s")
            .doc("doc")
            .field("t", Schema::string());
        let keys = [("include", "t"), ("renames", "u:t")];
        assert_eq!(
            replace(&keys, of()),
            Ok(structure(&after.build().unwrap(), ["u".into()]))
        );
        for (keys, problem) in [
            (
                [("include", "t"), ("renames", "n:t")],
                "Invalid Java object for schema with type STRING: class java.lang.Integer for field: \"t\"",
            ),
            ([("include", "t"), ("renames", "no:t")], "no is not a valid field name"),
            // Java's hash map has zeta before id.
            (
                [("include", "u"), ("renames", "id:x,zeta:x,u:x")],
                "id is not a valid field name",
            ),
        ] {
            assert_eq!(replace(&keys, of()), Err(problem.to_owned()));
        }
    }

    #[test]
    fn wrong_keys() {
        for (element, all) in [
            ("a", "a"),
            ("a:", "a:"),
            (":", "x:y, :"),
            ("a:b:c", "a:b:c"),
            ("", "a:b, "),
        ] {
            let written = all.replace(' ', "");
            assert_eq!(
                refused(CLASS, &[("renames", &written)]),
                format!("Invalid value [{all}] for configuration renames: Invalid rename mapping: {element}")
            );
        }
        assert_eq!(
            refused(CLASS, &[("include", "a,,b")]),
            "Configuration 'include' values must not be empty."
        );
    }
}
