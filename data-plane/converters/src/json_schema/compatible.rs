//! Whether what is written as one JSON Schema can be read as another: `latest.compatibility.strict` and `id.compatibility.strict`. Types,
//! properties and enums are compared; what narrows the values of a type, such as `minimum` or `pattern`, is not.

use std::collections::HashSet;

use dray_connect::{Error, Result};
use serde_json::Value as Json;

use super::document::{Dialect, Documents, Place, Resolver};
use super::form::{Form, Members, Schema};
use crate::schema_registry::clipped;

/// References that are followed one behind the other, and schemas within each other.
const MAX_LEVELS: usize = 100;

/// Says why values of the schema `own` cannot all be read as `target`.
pub(super) fn check(own: &Documents, target: &Documents) -> Result<()> {
    let mut check = Check {
        own: Resolver::new(own),
        target: Resolver::new(target),
        objects: HashSet::new(),
        order: Vec::new(),
        dialects: (own.dialect, target.dialect),
    };
    let (own, target) = (
        Schema::of(own.root(), own.dialect)?,
        Schema::of(target.root(), target.dialect)?,
    );
    check.fits(&own, &target, 1)
}

struct Check<'o, 't> {
    own: Resolver<'o>,
    target: Resolver<'t>,
    /// Pairs of objects that fit, unless one that is still compared does not: each may lead back to itself.
    objects: HashSet<(usize, usize)>,
    /// The same in the order in which they were met.
    order: Vec<(usize, usize)>,
    /// Of the own schema and of the other.
    dialects: (Dialect, Dialect),
}

impl<'o, 't> Check<'o, 't> {
    fn fits(&mut self, own: &Schema<'o>, target: &Schema<'t>, level: usize) -> Result<()> {
        if level > MAX_LEVELS {
            return Err(Error::data(format!("Schema nests deeper than {MAX_LEVELS} levels")));
        }
        let level = level + 1;
        match (&own.form, &target.form) {
            (_, Form::Anything | Form::Other(_)) => Ok(()),
            (_, Form::Reference(reference)) => {
                let place = self.target.resolve(target.place, reference)?;
                self.fits(own, &Schema::of(place, self.dialects.1)?, level)
            }
            (Form::Reference(reference), _) => {
                let place = self.own.resolve(own.place, reference)?;
                self.fits(&Schema::of(place, self.dialects.0)?, target, level)
            }
            (Form::Any(parts) | Form::One(parts), _) => {
                parts.iter().try_for_each(|part| self.fits(part, target, level))
            }
            (_, Form::Any(parts) | Form::One(parts)) => {
                let mut why = None;
                for part in parts {
                    match self.fits(own, part, level) {
                        Ok(()) => return Ok(()),
                        Err(error) if why.is_none() || !matches!(part.form, Form::Null) => why = Some(error),
                        Err(_) => {}
                    }
                }
                Err(why.unwrap_or_else(|| does_not_fit(own, target)))
            }
            (_, Form::All(parts)) => parts.iter().try_for_each(|part| self.fits(own, part, level)),
            (Form::Null, Form::Null)
            | (Form::Boolean, Form::Boolean)
            | (Form::Integer, Form::Integer | Form::Number)
            | (Form::Number, Form::Number)
            | (Form::String, Form::String) => Ok(()),
            (Form::Enumeration(values), Form::String) if values.iter().all(Json::is_string) => Ok(()),
            (Form::Enumeration(values), Form::Enumeration(others)) if values.iter().all(|v| others.contains(v)) => {
                Ok(())
            }
            (Form::Enumeration([value]), Form::Constant(other)) if value == *other => Ok(()),
            (Form::Array(own_members), Form::Array(members)) => {
                let parts = (
                    self.part(own.place, own_members, "items", self.dialects.0)?,
                    self.part(target.place, members, "items", self.dialects.1)?,
                );
                if let (Some(own), Some(target)) = parts {
                    return self.fits(&own, &target, level);
                }
                Ok(())
            }
            (Form::Object(own_members), Form::Object(members)) => {
                let pair = (own.place.address(), target.place.address());
                if !self.objects.insert(pair) {
                    return Ok(());
                }
                let before = self.order.len();
                self.order.push(pair);
                let fits = self.object((own.place, own_members), (target.place, members), level);
                if fits.is_err() {
                    // Others may have been found to fit because of this one.
                    for pair in self.order.drain(before..) {
                        self.objects.remove(&pair);
                    }
                }
                fits
            }
            (
                Form::Null
                | Form::Boolean
                | Form::Integer
                | Form::Number
                | Form::String
                | Form::Array(_)
                | Form::Object(_)
                | Form::Constant(_)
                | Form::Enumeration(_)
                | Form::All(_)
                | Form::Anything
                | Form::Other(_),
                _,
            ) => Err(does_not_fit(own, target)),
        }
    }

    fn object(
        &mut self,
        (own_place, own): (Place<'o>, &'o Members),
        (place, target): (Place<'t>, &'t Members),
        level: usize,
    ) -> Result<()> {
        let more = self.part(place, target, "additionalProperties", self.dialects.1)?;
        let is_closed = target.get("additionalProperties") == Some(&Json::Bool(false));
        let named = |members: &'t Members, name: &str| members.get("properties").and_then(|all| all.get(name));
        let own_properties = own.get("properties").and_then(Json::as_object);
        for (name, json) in own_properties.into_iter().flatten() {
            let part = Schema::of(own_place.within(json), self.dialects.0)?;
            let fits = match (named(target, name), &more) {
                (Some(json), _) => self.fits(&part, &Schema::of(place.within(json), self.dialects.1)?, level),
                (None, _) if is_closed => Err(Error::data(
                    "the schema it is written with has no such property, and allows no others",
                )),
                (None, Some(more)) => self.fits(&part, more, level),
                (None, None) => Ok(()),
            };
            fits.map_err(|error| Error::data(format!("{name}: {error}")))?;
        }
        // A map, whose members have any name.
        if let Some(values) = self.part(own_place, own, "additionalProperties", self.dialects.0)? {
            if is_closed {
                return Err(Error::data(
                    "it is a map, and the schema it is written with allows no other properties",
                ));
            }
            if let Some(more) = &more {
                self.fits(&values, more, level)?;
            }
        }
        let required = target.get("required").and_then(Json::as_array);
        for name in required.into_iter().flatten().filter_map(Json::as_str) {
            if own_properties.is_none_or(|all| !all.contains_key(name)) {
                return Err(Error::data(format!(
                    "{name}: the schema it is written with requires it, and there is no such field"
                )));
            }
        }
        Ok(())
    }

    fn part<'p>(
        &self,
        place: Place<'p>,
        members: &'p Members,
        name: &str,
        dialect: Dialect,
    ) -> Result<Option<Schema<'p>>> {
        let json = members.get(name).filter(|json| json.is_object());
        json.map(|json| Schema::of(place.within(json), dialect)).transpose()
    }
}

fn does_not_fit(own: &Schema<'_>, target: &Schema<'_>) -> Error {
    if let Form::Null = own.form {
        return Error::data("it allows null, and the schema it is written with does not");
    }
    Error::data(format!(
        "{} does not fit {}",
        clipped(&own.place.json.to_string()),
        clipped(&target.place.json.to_string())
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(own: &str, target: &str, expected: &str) {
        let parse = |text: &str| Documents::parse(text, &[], &[], false).unwrap();
        let found = super::check(&parse(own), &parse(target));
        let found = found.map_or_else(|error| error.to_string(), |()| "fits".to_owned());
        assert_eq!(found, expected, "{own} in {target}");
    }

    #[test]
    fn what_fits() {
        let (text, number) = (r#"{"type":"string"}"#, r#"{"type":"number"}"#);
        check(text, text, "fits");
        check(r#"{"type":"integer"}"#, number, "fits");
        check(
            number,
            r#"{"type":"integer"}"#,
            r#"{"type":"number"} does not fit {"type":"integer"}"#,
        );
        check(text, r#"{"type":["null","string"]}"#, "fits");
        check(
            text,
            r##"{"$ref":"#/$defs/t","$defs":{"t":{"type":"string"}}}"##,
            "fits",
        );
        check(
            r#"{"oneOf":[{"type":"null"},{"type":"string"}]}"#,
            text,
            "it allows null, and the schema it is written with does not",
        );
        check(r#"{"enum":["a"]}"#, r#"{"enum":["a","b"]}"#, "fits");
        check(r#"{"enum":["a"]}"#, text, "fits");
        check(
            text,
            r#"{"enum":["a"]}"#,
            r#"{"type":"string"} does not fit {"enum":["a"]}"#,
        );
        check(
            r#"{"type":"array","items":{"type":"integer"}}"#,
            r#"{"type":"array","items":{"type":"number"}}"#,
            "fits",
        );
        check(text, r##"{"$ref":"#"}"##, "Schema nests deeper than 100 levels");
    }

    #[test]
    fn what_contains_itself() {
        let list = |value: &str, more: &str| {
            format!(
                r##"{{"type":"object","properties":{{"value":{{"type":"{value}"}},"next":{{"oneOf":[{{"type":"null"}},{{"$ref":"#"}}]}}}}{more}}}"##
            )
        };
        check(&list("integer", ""), &list("number", ""), "fits");
        let problem = r#"value: {"type":"number"} does not fit {"type":"integer"}"#;
        check(&list("number", ""), &list("integer", ""), problem);
        // Twice unrolled, where the second one is narrower.
        let narrow = list("integer", "").replace("\"#\"", "\"#/properties/next/oneOf/1\"");
        let unrolled = |inner: &str| list("number", "").replace(r##"{"$ref":"#"}"##, inner);
        check(&unrolled(&narrow), &list("number", ""), "fits");
        check(&list("number", ""), &unrolled(&narrow), &format!("next: {problem}"));
        // What did not fit once does not fit when it comes again.
        let either = r##"{"oneOf":[{"$ref":"#/definitions/y"},{"$ref":"#/definitions/y"}],
            "definitions":{"y":{"type":"object","properties":{"value":{"type":"integer"}}}}}"##;
        check(&list("number", ""), either, problem);
        check(
            &list("integer", ""),
            &list("integer", r#","required":["more"]"#),
            "more: the schema it is written with requires it, and there is no such field",
        );
    }

    #[test]
    fn objects_go_by_name() {
        let own = r#"{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"string"}}}"#;
        check(
            own,
            r#"{"type":"object","properties":{"a":{"type":"number"}},"required":["a"]}"#,
            "fits",
        );
        check(
            own,
            r#"{"type":"object","properties":{"a":{"type":"number"}},"additionalProperties":false}"#,
            "b: the schema it is written with has no such property, and allows no others",
        );
        check(
            own,
            r#"{"type":"object","required":["c"]}"#,
            "c: the schema it is written with requires it, and there is no such field",
        );
        check(
            own,
            r#"{"type":"object","properties":{"b":{"type":"integer"}}}"#,
            r#"b: {"type":"string"} does not fit {"type":"integer"}"#,
        );
        let map = r#"{"type":"object","additionalProperties":{"type":"integer"}}"#;
        check(
            map,
            r#"{"type":"object","additionalProperties":{"type":"number"}}"#,
            "fits",
        );
        check(
            map,
            r#"{"type":"object","additionalProperties":false}"#,
            "it is a map, and the schema it is written with allows no other properties",
        );
    }
}
