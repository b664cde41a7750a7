//! `json.fail.invalid.schema`: whether values are what their JSON Schema allows. Crate `jsonschema` knows all drafts of it and decides; here is
//! which draft counts, where references lead, and what is said of a value that fails.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use dray_connect::{Error, Result};
use jsonschema::error::ValidationErrorKind as Kind;
use jsonschema::{Draft, Retrieve, Uri, ValidationError, options};
use serde_json::{Deserializer, Value as Json};

use super::document::{Dialect, Documents, Place, Resolver};
use crate::schema_registry::clipped;

/// Schemas that one is made of, each of them counted wherever it stands: a value is compared with all of them, and a short text can stand for
/// very many.
const MAX_SCHEMAS: usize = 50_000;
/// Schemas within each other, also by way of references.
const MAX_LEVELS: usize = 1_000;

/// A schema that values are compared with.
#[derive(Debug)]
pub(super) struct Validator(jsonschema::Validator);

impl Validator {
    /// What it refers to is in its documents; nothing is fetched.
    pub(super) fn of(documents: Documents) -> Result<Self> {
        let problem = |problem: &str| {
            Error::data(format!(
                "values cannot be compared with their schema (json.fail.invalid.schema): {problem}"
            ))
        };
        let mut size = Size {
            resolver: Resolver::new(&documents),
            known: HashMap::new(),
        };
        match size.of(documents.root(), 1) {
            None => return Err(problem(&format!("it nests deeper than {MAX_LEVELS} levels"))),
            Some(size) if size > MAX_SCHEMAS => {
                return Err(problem(&format!("it is made of more than {MAX_SCHEMAS} others")));
            }
            Some(_) => {}
        }
        let documents = Arc::new(documents);
        let made = options()
            .with_draft(draft(&documents))
            .with_retriever(References(Arc::clone(&documents)))
            .build(documents.root().json);
        made.map(Self).map_err(|cause| {
            // It is about a schema, and so has no values in it.
            let said = format!("{} {cause}", cause.instance_path().as_str());
            problem(&clipped(said.trim_start()))
        })
    }

    /// Says what of a JSON text is not as it should be. What follows the value does not count.
    pub(super) fn check(&self, text: &[u8]) -> Result<()> {
        let Some(value) = Deserializer::from_slice(text).into_iter::<Json>().next() else {
            return Err(Error::data("malformed JSON: it ends where a value should be"));
        };
        let value = value.map_err(|cause| Error::data(format!("malformed JSON: {cause}")))?;
        self.0.validate(&value).map_err(|error| invalid(most_telling(&error)))
    }
}

/// The draft that a schema states, or 7, as in Confluent's converter.
fn draft(documents: &Documents) -> Draft {
    let stated = documents.stated_draft();
    match documents.dialect {
        Dialect::Draft4 => Draft::Draft4,
        Dialect::Draft7 if stated.contains("json-schema.org/draft-06/") => Draft::Draft6,
        Dialect::Draft7 => Draft::Draft7,
        Dialect::Modern if stated.contains("/2019-09/") => Draft::Draft201909,
        Dialect::Modern => Draft::Draft202012,
    }
}

/// Counts the schemas that one is made of.
struct Size<'a> {
    resolver: Resolver<'a>,
    /// By the address of a schema; nothing while it is being counted: within itself it is as often as a value says.
    known: HashMap<usize, usize>,
}

impl<'a> Size<'a> {
    /// None where it nests too deep.
    fn of(&mut self, place: Place<'a>, level: usize) -> Option<usize> {
        if level > MAX_LEVELS {
            return None;
        }
        if let Some(known) = self.known.get(&place.address()) {
            return Some(*known);
        }
        let mut size = 1_usize;
        self.known.insert(place.address(), 0);
        match place.json {
            Json::Object(members) => {
                let reference = members.get("$ref").and_then(Json::as_str);
                // One that leads nowhere is said when the validator is made.
                if let Some(target) = reference.and_then(|reference| self.resolver.resolve(place, reference).ok()) {
                    size = size.saturating_add(self.of(target, level + 1)?);
                }
                for json in members.values() {
                    size = size.saturating_add(self.of(place.within(json), level + 1)?);
                }
            }
            Json::Array(elements) => {
                for json in elements {
                    size = size.saturating_add(self.of(place.within(json), level + 1)?);
                }
            }
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => return Some(0),
        }
        self.known.insert(place.address(), size);
        Some(size)
    }
}

/// The schemas that another one refers to.
struct References(Arc<Documents>);

impl Retrieve for References {
    fn retrieve(&self, uri: &Uri<String>) -> Result<Json, Box<dyn std::error::Error + Send + Sync>> {
        let found = self.0.by_uri(uri.as_str()).cloned();
        found.ok_or_else(|| "it is not among the references of the schema, and nothing is fetched".into())
    }
}

/// Of a value that is none of several schemas what is wrong with it for the one that it comes closest to: one beside null, or the one that it
/// fails only further inside.
fn most_telling<'e>(error: &'e ValidationError<'e>) -> &'e ValidationError<'e> {
    let (Kind::AnyOf { context } | Kind::OneOfNotValid { context }) = error.kind() else {
        return error;
    };
    let path = error.instance_path().as_str();
    let is_close = |other: &&ValidationError<'_>| {
        !matches!(other.kind(), Kind::Type { .. }) || other.instance_path().as_str().len() > path.len()
    };
    let firsts = context.iter().filter_map(|errors| errors.first());
    let mut close = firsts.map(most_telling).filter(is_close);
    match (close.next(), close.next()) {
        (Some(only), None) => only,
        (_, _) => error,
    }
}

/// Which member fails by what. Its value stays out of it: errors are logged, and shown to more people than may see the record.
#[cold]
fn invalid(error: &ValidationError<'_>) -> Error {
    let mut text = String::from("the value is not valid by its schema (json.fail.invalid.schema): ");
    let (path, keyword) = (error.instance_path().as_str(), error.kind().keyword());
    let place = if path.is_empty() { "all of it" } else { path };
    write!(text, "{place} fails {keyword}: {}", error.masked()).expect("a text takes more text");
    Error::data(clipped(&text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema_registry::Reference;

    fn validator(schema: &str, references: &[(&str, &str)]) -> Result<Validator> {
        let references = references.iter().map(|(name, text)| Reference {
            name: (*name).to_owned(),
            text: (*text).into(),
        });
        let references: Vec<_> = references.collect();
        let aliases: &[(String, usize)] = if references.is_empty() {
            &[]
        } else {
            &[("alias.json".to_owned(), 0)]
        };
        Validator::of(Documents::parse(schema, &references, aliases, false).unwrap())
    }

    fn check(schema: &str, value: &str, expected: &str) {
        let found = validator(schema, &[]).and_then(|validator| validator.check(value.as_bytes()));
        let found = found.map_or_else(|error| error.to_string(), |()| "valid".to_owned());
        let said = found
            .strip_prefix("the value is not valid by its schema (json.fail.invalid.schema): ")
            .unwrap_or(&found);
        assert_eq!(said, expected, "{value} in {schema}");
    }

    #[test]
    fn members_and_keywords_are_named_and_values_are_not() {
        let order = r#"{"type":"object","properties":{"card":{"type":"string","pattern":"^[0-9]+$","maxLength":4},
            "items":{"type":"array","items":{"type":"object","properties":{"n":{"type":"integer","minimum":1}},"required":["n"]}},
            "state":{"enum":["NEW","SENT"]}},"required":["card"],"additionalProperties":false}"#;
        check(order, r#"{"card":"1234","items":[{"n":1}],"state":"NEW"}"#, "valid");
        for (value, expected) in [
            (
                r#"{"card":"top"}"#,
                "/card fails pattern: value does not match \"^[0-9]+$\"",
            ),
            (
                r#"{"card":"4929111122223333"}"#,
                "/card fails maxLength: value is longer than 4 characters",
            ),
            (
                r#"{"card":"1","items":[{"n":1},{"n":0}]}"#,
                "/items/1/n fails minimum: value is less than the minimum of 1",
            ),
            (
                r#"{"card":"1","items":[{}]}"#,
                "/items/0 fails required: \"n\" is a required property",
            ),
            (
                r#"{"card":"1","state":"LOST"}"#,
                "/state fails enum: value is not one of \"NEW\" or \"SENT\"",
            ),
            (
                r#"{"card":"1","more":"secret"}"#,
                "all of it fails additionalProperties: Additional properties are not allowed ('more' was unexpected)",
            ),
            ("5", "all of it fails type: value is not of type \"object\""),
            ("{", "malformed JSON: EOF while parsing an object at line 1 column 1"),
            ("", "malformed JSON: it ends where a value should be"),
        ] {
            check(order, value, expected);
        }
    }

    #[test]
    fn of_an_optional_value_it_is_said_what_is_wrong_with_it() {
        let optional = r#"{"oneOf":[{"type":"null"},{"type":"integer","minimum":1}]}"#;
        check(optional, "null", "valid");
        check(
            optional,
            "0",
            "all of it fails minimum: value is less than the minimum of 1",
        );
        check(
            optional,
            "\"secret\"",
            "all of it fails oneOf: value is not valid under any of the schemas listed in the 'oneOf' keyword",
        );
        let inside = r#"{"properties":{"a":{"anyOf":[{"type":"null"},{"type":"object","properties":{"b":{"type":"string"}}}]}}}"#;
        check(
            inside,
            r#"{"a":{"b":7}}"#,
            "/a/b fails type: value is not of type \"string\"",
        );
    }

    #[test]
    fn each_draft_has_its_own_words() {
        let of = |draft: &str, rest: &str| format!(r#"{{"$schema":"{draft}",{rest}}}"#);
        let four = "http://json-schema.org/draft-04/schema#";
        let six = "http://json-schema.org/draft-06/schema#";
        let seven = "http://json-schema.org/draft-07/schema#";
        let modern = "https://json-schema.org/draft/2020-12/schema";
        let exclusive = r#""minimum":1,"exclusiveMinimum":true"#;
        check(
            &of(four, exclusive),
            "1",
            "all of it fails exclusiveMinimum: value is less than or equal to the minimum of 1",
        );
        let of_draft_six = r#""exclusiveMinimum":1,"if":{"const":2},"then":false"#;
        check(&of(six, of_draft_six), "2", "valid");
        for draft in [seven, modern, "https://example.com/own"] {
            check(
                &of(draft, of_draft_six),
                "2",
                "all of it fails falseSchema: False schema does not allow value",
            );
        }
        let tuple = r#""prefixItems":[{"type":"integer"}]"#;
        check(&of(seven, tuple), r#"["a"]"#, "valid");
        check(
            &of(modern, tuple),
            r#"["a"]"#,
            "/0 fails type: value is not of type \"integer\"",
        );
        let text = of(modern, tuple);
        let documents = Documents::parse(&text, &[], &[], true).unwrap();
        assert!(Validator::of(documents).unwrap().check(br#"["a"]"#).is_ok());
        let format = r#""format":"ipv4""#;
        check(
            &of(seven, format),
            "\"x\"",
            "all of it fails format: value is not a \"ipv4\"",
        );
        check(&of(modern, format), "\"x\"", "valid");
        // Numbers are compared as they stand, however large.
        check(
            r#"{"maximum":9007199254740992}"#,
            "9007199254740993",
            "all of it fails maximum: value is greater than the maximum of 9007199254740992",
        );
        check(
            r#"{"maximum":1e300}"#,
            "1e400",
            "all of it fails maximum: value is greater than the maximum of 1e+300",
        );
    }

    #[test]
    fn references_are_those_of_the_registry_and_no_others() {
        let others = [
            (
                "c.json",
                r##"{"definitions":{"d":{"type":"integer"},"e":{"$ref":"#/definitions/d"}}}"##,
            ),
            (
                "http://h/e.json",
                r#"{"properties":{"x":{"$ref":"c.json#/definitions/e"}}}"#,
            ),
        ];
        for (reference, value, is_valid) in [
            ("c.json#/definitions/d", "1", true),
            ("c.json#/definitions/e", "\"x\"", false),
            ("./c.json#/definitions/d", "\"x\"", false),
            ("alias.json#/definitions/d", "\"x\"", false),
            ("http://h/e.json", r#"{"x":"y"}"#, false),
            ("http://h/e.json", r#"{"x":1}"#, true),
            ("#/definitions/own", "\"x\"", false),
        ] {
            for id in ["", r#""$id":"http://h/a/b.json","#, r#""$id":"b.json","#] {
                let schema = format!(
                    r#"{{{id}"allOf":[{{"$ref":"{reference}"}}],"definitions":{{"own":{{"type":"integer"}}}}}}"#
                );
                let validator = validator(&schema, &others).unwrap();
                assert_eq!(validator.check(value.as_bytes()).is_ok(), is_valid, "{schema}: {value}");
            }
        }
        for reference in [
            "none.json",
            "http://127.0.0.1:1/x.json",
            "file:///etc/hostname",
            "#/definitions/none",
        ] {
            let error = validator(&format!(r#"{{"$ref":"{reference}"}}"#), &others).unwrap_err();
            let text = error.to_string();
            assert!(
                text.starts_with("values cannot be compared with their schema"),
                "{text}"
            );
        }
    }

    #[test]
    fn what_does_not_end_ends() {
        check(r##"{"$ref":"#"}"##, "1", "valid");
        check(r##"{"anyOf":[{"$ref":"#"},{"type":"string"}]}"##, "\"x\"", "valid");
        let list = r##"{"type":"object","properties":{"next":{"$ref":"#"},"v":{"type":"integer"}}}"##;
        let depth = 120;
        let nested = |last: &str| format!("{}{last}{}", r#"{"next":"#.repeat(depth), "}".repeat(depth));
        check(list, &nested(r#"{"v":1}"#), "valid");
        assert!(
            validator(list, &[])
                .unwrap()
                .check(nested(r#"{"v":"x"}"#).as_bytes())
                .is_err()
        );
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(validator("{}", &[]).unwrap().check(deep.as_bytes()).is_err());
        // Each name stands for two of the next one, forty times.
        let twice = |n: usize| {
            let reference = format!(r##"{{"$ref":"#/definitions/a{}"}}"##, n + 1);
            format!(r#""a{n}":{{"allOf":[{reference},{reference}]}}"#)
        };
        let schema = |names: usize| {
            let mut definitions: Vec<_> = (0..names).map(twice).collect();
            definitions.push(format!(r#""a{names}":{{"type":"integer"}}"#));
            format!(
                r##"{{"$ref":"#/definitions/a0","definitions":{{{}}}}}"##,
                definitions.join(",")
            )
        };
        check(&schema(10), "1", "valid");
        let error = validator(&schema(40), &[]).unwrap_err().to_string();
        assert!(error.ends_with("it is made of more than 50000 others"), "{error}");
        // A pattern that tries all ways to part a text.
        let schema = r#"{"pattern":"^(?=(a+)+$)(a|a)*b$"}"#;
        let value = format!("\"{}c\"", "a".repeat(60));
        assert!(validator(schema, &[]).unwrap().check(value.as_bytes()).is_err());
    }
}
