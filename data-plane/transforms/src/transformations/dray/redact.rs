//! `Redact$Key` and `Redact$Value`: takes out what must not be passed on: the values of fields, or what a regular expression finds
//! in texts.

use dray_connect::backing::Backing;
use dray_connect::config::{ConfigDef, ConfigKey, ConfigType, ConfigValue, Importance, Lambda, ParsedConfig};
use dray_connect::datum::{Datum, Field};
use dray_connect::schema::{SchemaRef, Type};
use dray_connect::{Error, Result};
use regex::Regex;

use super::nested;
use crate::field_path::{FieldPath, Syntax};
use crate::registry::TransformationKind;
use crate::{Applied, ConnectRecord, Side, Transformation};

pub(super) const KIND: TransformationKind = TransformationKind {
    name: "Redact",
    sided: true,
    definition,
    make: |side, config| Ok(Box::new(Redact::new(side, config)?)),
};

const FIELDS: &str = "fields";
const PATTERN: &str = "pattern";
const REPLACEMENT: &str = "replacement";

fn definition() -> ConfigDef {
    ConfigDef::new()
        .define(
            ConfigKey::new(FIELDS, ConfigType::List)
                .default_value("")
                .importance(Importance::High)
                .doc(
                    "Fields whose values are taken out, as paths: a.b; a name that has dots itself stands between backticks, and a \
                     path through an array is that of each element. A text becomes the replacement; what else there is becomes \
                     null where that is allowed, and 0, false or empty otherwise.",
                ),
        )
        .define(
            ConfigKey::new(PATTERN, ConfigType::String)
                .default_null()
                .validator(Lambda::new("a regular expression of the crate regex", |name, value| {
                    if let ConfigValue::String(text) = value {
                        compile(name, text)?;
                    }
                    Ok(())
                }))
                .importance(Importance::High)
                .doc(
                    "A regular expression; what it finds in any text is replaced. Its time grows with the text alone, so it has no \
                     look-around and no back references.",
                ),
        )
        .define(
            ConfigKey::new(REPLACEMENT, ConfigType::String)
                .default_value("***")
                .importance(Importance::Medium)
                .doc("What stands in the place of a text. It is taken as it is: $1 means nothing."),
        )
}

fn compile(key: &str, text: &str) -> Result<Regex> {
    Regex::new(text).map_err(|error| Error::invalid_config(key, Some(text), Some(&error.to_string())))
}

struct Redact {
    side: Side,
    fields: Vec<FieldPath>,
    pattern: Option<Regex>,
    replacement: String,
}

/// The paths that a key lists.
pub(super) fn paths(config: &ParsedConfig, key: &str) -> Result<Vec<FieldPath>> {
    let listed = config.list(key).unwrap_or_default();
    listed.iter().map(|path| FieldPath::parse(path, Syntax::V2)).collect()
}

impl Redact {
    fn new(side: Side, config: &ParsedConfig) -> Result<Self> {
        let fields = paths(config, FIELDS)?;
        let pattern = config.string(PATTERN).map(|text| compile(PATTERN, text)).transpose()?;
        if fields.is_empty() && pattern.is_none() {
            let problem = format!("Redact has nothing to do: set {FIELDS}, {PATTERN} or both");
            return Err(Error::config(problem));
        }
        Ok(Self {
            side,
            fields,
            pattern,
            replacement: config.string(REPLACEMENT).unwrap_or_default().to_owned(),
        })
    }
}

/// What stands in the place of a value.
fn nothing(backing: &mut Backing, schema: Option<&SchemaRef>, value: Datum, replacement: &str) -> Datum {
    match (value, schema) {
        (Datum::Null, _) => Datum::Null,
        (Datum::Str(_), _) => backing.text(replacement),
        (_, None) => Datum::Null,
        (_, Some(schema)) if schema.optional() => Datum::Null,
        (Datum::Decimal(_), Some(schema)) => {
            let scale = dray_connect::logical::decimal_scale(schema).unwrap_or_default();
            backing.decimal(&bigdecimal::BigDecimal::new(0.into(), scale.into()))
        }
        (Datum::Date(_), Some(_)) => Datum::Date(0),
        (Datum::Struct(row), Some(_)) => {
            let schema = SchemaRef::clone(backing.schema_of(row.schema()));
            let parts = value.parts(backing).to_vec();
            let fields = schema.fields().unwrap_or_default().iter();
            let parts: Vec<Datum> = fields
                .zip(parts)
                .map(|(field, part)| nothing(backing, Some(&field.schema), part, replacement))
                .collect();
            backing.record_not_validated(row.schema(), &parts)
        }
        (_, Some(schema)) => match schema.type_() {
            Type::Int8 => Datum::Int8(0),
            Type::Int16 => Datum::Int16(0),
            Type::Int32 => Datum::Int32(0),
            Type::Int64 => Datum::Int64(0),
            Type::Float32 => Datum::Float32(0.0),
            Type::Float64 => Datum::Float64(0.0),
            Type::Boolean => Datum::Boolean(false),
            Type::String => backing.text(replacement),
            Type::Bytes => Datum::Bytes(backing.copy(&[])),
            Type::Array => backing.array(&[]),
            Type::Map => backing.map_of_parts(&[]),
            Type::Struct => Datum::Null,
        },
    }
}

impl Transformation for Redact {
    fn apply(&mut self, record: &mut ConnectRecord<'_>) -> Result<Applied> {
        let Field { schema: id, mut datum } = record.field(self.side);
        let schema = record.schema(self.side).cloned();
        let (replacement, backing) = (&self.replacement, record.backing_mut());
        for path in &self.fields {
            datum = nested::at(
                backing,
                schema.as_ref(),
                datum,
                path.steps(),
                &mut |backing, schema, value| Ok(nothing(backing, schema, value, replacement)),
            )?;
        }
        if let Some(pattern) = &self.pattern {
            datum = nested::everywhere(backing, schema.as_ref(), datum, &mut |backing, _, value| {
                let text = value.view(backing).as_str().unwrap_or_default();
                if !pattern.is_match(text) {
                    return Ok(value);
                }
                let redacted = pattern.replace_all(text, regex::NoExpand(replacement)).into_owned();
                Ok(backing.text(&redacted))
            })?;
        }
        record.set(self.side, Field { schema: id, datum });
        Ok(Applied::Kept)
    }
}

#[cfg(test)]
mod tests {
    use dray_connect::schema::{Schema, SchemaBuilder};
    use dray_connect::value::{SchemaAndValue, Value};

    use crate::testing::{map, refused, structure, value};

    const REDACT: &str = "io.dray.connect.transforms.Redact$Value";

    fn shown(keys: &[(&str, &str)], given: SchemaAndValue) -> String {
        let schema = given.schema.clone();
        let result = value(REDACT, keys, given).unwrap();
        assert_eq!(result.schema, schema, "the schema stays");
        result.value.java_to_string()
    }

    fn person() -> SchemaAndValue {
        let card = SchemaBuilder::struct_()
            .field("number", Schema::string())
            .field("year", Schema::int32());
        let card = card.build().unwrap();
        let cards = SchemaBuilder::array(card.clone()).build().unwrap();
        let schema = SchemaBuilder::struct_()
            .field("name", Schema::string())
            .field("age", Schema::optional_int32());
        let schema = schema.field("cards", cards).build().unwrap();
        let card = |number: &str| structure(&card, [number.into(), 2030.into()]).value;
        structure(
            &schema,
            [
                "Zoë".into(),
                40.into(),
                Value::Array(vec![card("4111-1"), card("4111-2")]),
            ],
        )
    }

    #[test]
    fn fields_with_a_schema_keep_their_types() {
        let keys = |fields| [("fields", fields)];
        assert_eq!(
            shown(&keys("name,age,cards.number,cards.year,nope.x"), person()),
            "Struct{name=***,cards=[Struct{number=***,year=0}, Struct{number=***,year=0}]}"
        );
        assert_eq!(shown(&keys("cards"), person()), "Struct{name=Zoë,age=40,cards=[]}");
    }

    #[test]
    fn texts_are_searched_wherever_they_are() {
        let keys = [("pattern", r"\d{4}-"), ("replacement", "$0")];
        assert_eq!(
            shown(&keys, person()),
            "Struct{name=Zoë,age=40,cards=[Struct{number=$01,year=2030}, Struct{number=$02,year=2030}]}"
        );
        let nested = map([
            ("a", Value::map([("b".into(), "x1234-y1234-".into())])),
            ("n", 1.into()),
        ]);
        assert_eq!(shown(&keys[..1], nested), "{a={b=x***y***}, n=1}");
        assert_eq!(shown(&keys[..1], SchemaAndValue::schemaless("1234-")), "***");
    }

    #[test]
    fn without_a_schema_what_is_no_text_becomes_null() {
        let given = map([("a", 1.into()), ("b.c", "x".into()), ("d", Value::Null)]);
        assert_eq!(shown(&[("fields", "a,`b.c`,d")], given), "{a=null, b.c=***, d=null}");
        assert_eq!(shown(&[("fields", "a")], SchemaAndValue::NULL), "null");
    }

    #[test]
    fn wrong_keys_are_refused() {
        assert_eq!(
            refused(REDACT, &[]),
            "Redact has nothing to do: set fields, pattern or both"
        );
        assert!(
            refused(REDACT, &[("pattern", "(")])
                .starts_with("Invalid value ( for configuration pattern: regex parse error")
        );
        assert!(refused(REDACT, &[("fields", "`a")]).starts_with("Incomplete backtick pair"));
    }
}
