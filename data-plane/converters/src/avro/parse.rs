//! From the text of an Avro schema, as strict as decoding needs: names that Java would refuse are taken as they are.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::schema::{Enum, Fixed, Kind, Name, Record, RecordField, Schema, TypeId};

/// Types of one schema, with those of its references: a schema comes from outside, and this many are a megabyte of text.
const MAX_TYPES: usize = 100_000;

/// What is wrong with a text.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Problem(String);

fn problem(text: impl Into<String>) -> Problem {
    Problem(text.into())
}

/// The schema of a text. Named types of `references` may be used in it, and in the references behind.
pub(super) fn parse(text: &str, references: &[Arc<str>]) -> Result<Schema, Problem> {
    let mut parser = Parser::default();
    for reference in references {
        parser.whole(reference)?;
    }
    let root = parser.whole(text)?;
    parser.schema.set_root(root);
    Ok(parser.schema)
}

#[derive(Default)]
struct Parser {
    schema: Schema,
    types: usize,
}

impl Parser {
    fn whole(&mut self, text: &str) -> Result<TypeId, Problem> {
        // A text that is no JSON may be the name of a primitive type all the same: registries take both.
        let json: Json = match serde_json::from_str(text) {
            Ok(json) => json,
            Err(_) if Kind::primitive(text.trim()).is_some() => Json::String(text.trim().to_owned()),
            Err(error) => return Err(problem(format!("it is no JSON: {error}"))),
        };
        self.schema(&json, "")
    }

    fn add(&mut self, kind: Kind, attributes: Map<String, Json>) -> Result<TypeId, Problem> {
        self.types += 1;
        if self.types > MAX_TYPES {
            return Err(problem(format!("it has more than {MAX_TYPES} types")));
        }
        Ok(self.schema.add(kind, attributes))
    }

    fn schema(&mut self, json: &Json, namespace: &str) -> Result<TypeId, Problem> {
        match json {
            Json::String(word) => self.named(word, namespace),
            Json::Array(branches) => self.union(branches, namespace),
            Json::Object(object) => self.object(object, namespace),
            Json::Null | Json::Bool(_) | Json::Number(_) => Err(problem(format!("{json} is no schema"))),
        }
    }

    fn named(&mut self, word: &str, namespace: &str) -> Result<TypeId, Problem> {
        if let Some(kind) = Kind::primitive(word) {
            return self.add(kind, Map::new());
        }
        let full = Name::of(word, namespace).full();
        let known = |name: &str| self.schema.names.get(name).copied();
        known(&full)
            .or_else(|| known(word))
            .ok_or_else(|| problem(format!("undefined name: {full}")))
    }

    fn union(&mut self, branches: &[Json], namespace: &str) -> Result<TypeId, Problem> {
        let mut ids = Vec::with_capacity(branches.len());
        let mut seen = HashSet::new();
        for branch in branches {
            let id = self.schema(branch, namespace)?;
            let kind = self.schema.kind(id);
            if matches!(kind, Kind::Union(_)) {
                return Err(problem("a union within a union"));
            }
            let name = kind.name().map_or_else(|| kind.word().to_owned(), Name::full);
            if !seen.insert(name.clone()) {
                return Err(problem(format!("{name} twice in a union")));
            }
            ids.push(id);
        }
        self.add(Kind::Union(ids), Map::new())
    }

    fn object(&mut self, object: &Map<String, Json>, namespace: &str) -> Result<TypeId, Problem> {
        let kind = object.get("type").ok_or_else(|| problem("a schema has no \"type\""))?;
        let Json::String(word) = kind else {
            return self.schema(kind, namespace);
        };
        match word.as_str() {
            "record" | "error" => self.record(object, namespace),
            "enum" => self.enumeration(object, namespace),
            "fixed" => self.fixed(object, namespace),
            "array" => {
                let items = self.schema(member(object, "items")?, namespace)?;
                self.add(Kind::Array(items), attributes(object, &["type", "items"]))
            }
            "map" => {
                let values = self.schema(member(object, "values")?, namespace)?;
                self.add(Kind::Map(values), attributes(object, &["type", "values"]))
            }
            word => match Kind::primitive(word) {
                Some(kind) => self.add(kind, attributes(object, &["type"])),
                None => self.named(word, namespace),
            },
        }
    }

    fn record(&mut self, object: &Map<String, Json>, namespace: &str) -> Result<TypeId, Problem> {
        let name = name(object, namespace)?;
        let record = Record {
            name: name.clone(),
            doc: text(object, "doc"),
            fields: Vec::new(),
        };
        let rest = attributes(object, &["type", "name", "namespace", "doc", "fields", "aliases"]);
        let id = self.define(&name, Kind::Record(record), rest)?;
        self.type_aliases(object, &name, id);
        let Json::Array(all) = member(object, "fields")? else {
            return Err(problem(format!("the fields of {} are no array", name.full())));
        };
        let (mut fields, mut seen) = (Vec::with_capacity(all.len()), HashSet::new());
        for field in all {
            let Json::Object(field) = field else {
                return Err(problem(format!("a field of {} is no object", name.full())));
            };
            let Some(Json::String(called)) = field.get("name") else {
                return Err(problem(format!("a field of {} has no name", name.full())));
            };
            if !seen.insert(called.as_str()) {
                return Err(problem(format!("field {called} is twice in {}", name.full())));
            }
            let of = self.schema(member(field, "type")?, &name.namespace)?;
            for alias in texts(field, "aliases") {
                // Of two fields with one other name the first has it.
                let known = self.schema.field_aliases.entry((id, alias.into()));
                known.or_insert(fields.len());
            }
            fields.push(RecordField {
                name: called.as_str().into(),
                doc: text(field, "doc"),
                default: field.get("default").cloned(),
                of,
                attributes: attributes(field, &["name", "type", "doc", "default", "order", "aliases"]),
            });
        }
        if let Kind::Record(record) = &mut self.schema.at_mut(id).kind {
            record.fields = fields;
        }
        Ok(id)
    }

    fn enumeration(&mut self, object: &Map<String, Json>, namespace: &str) -> Result<TypeId, Problem> {
        let name = name(object, namespace)?;
        let symbols = member(object, "symbols")?.as_array();
        let symbols = symbols.and_then(|symbols| symbols.iter().map(Json::as_str).collect::<Option<Vec<&str>>>());
        let symbols = symbols.ok_or_else(|| problem(format!("the symbols of {} are no texts", name.full())))?;
        let kind = Kind::Enum(Enum {
            name: name.clone(),
            doc: text(object, "doc"),
            symbols: symbols.into_iter().map(Into::into).collect(),
            default: text(object, "default"),
        });
        let known = ["type", "name", "namespace", "doc", "symbols", "default", "aliases"];
        let id = self.define(&name, kind, attributes(object, &known))?;
        self.type_aliases(object, &name, id);
        Ok(id)
    }

    fn fixed(&mut self, object: &Map<String, Json>, namespace: &str) -> Result<TypeId, Problem> {
        let name = name(object, namespace)?;
        let size = member(object, "size")?
            .as_u64()
            .and_then(|size| u32::try_from(size).ok());
        let kind = Kind::Fixed(Fixed {
            name: name.clone(),
            doc: text(object, "doc"),
            size: size.ok_or_else(|| problem(format!("the size of {} is no number", name.full())))? as usize,
        });
        let known = ["type", "name", "namespace", "doc", "size", "aliases"];
        let id = self.define(&name, kind, attributes(object, &known))?;
        self.type_aliases(object, &name, id);
        Ok(id)
    }

    fn define(&mut self, name: &Name, kind: Kind, attributes: Map<String, Json>) -> Result<TypeId, Problem> {
        let id = self.add(kind, attributes)?;
        match self.schema.names.insert(name.full().into(), id) {
            None => Ok(id),
            Some(_) => Err(problem(format!("{} is defined twice", name.full()))),
        }
    }

    /// Notes the other names of a type. Those without a dot are in its own namespace.
    fn type_aliases(&mut self, object: &Map<String, Json>, name: &Name, id: TypeId) {
        let aliases = texts(object, "aliases").map(|alias| (Name::of(alias, &name.namespace).full(), id));
        self.schema.type_aliases.extend(aliases);
    }
}

fn member<'a>(object: &'a Map<String, Json>, name: &str) -> Result<&'a Json, Problem> {
    object
        .get(name)
        .ok_or_else(|| problem(format!("a schema has no \"{name}\"")))
}

fn text(object: &Map<String, Json>, name: &str) -> Option<String> {
    object.get(name)?.as_str().map(str::to_owned)
}

/// The texts of a list; what is none is left out.
fn texts<'a>(object: &'a Map<String, Json>, name: &str) -> impl Iterator<Item = &'a str> {
    let list = object.get(name).and_then(Json::as_array);
    list.into_iter().flatten().filter_map(Json::as_str)
}

fn name(object: &Map<String, Json>, namespace: &str) -> Result<Name, Problem> {
    let Some(Json::String(name)) = object.get("name") else {
        return Err(problem("a type that needs a name has none"));
    };
    let namespace = object.get("namespace").and_then(Json::as_str).unwrap_or(namespace);
    Ok(Name::of(name, namespace))
}

fn attributes(object: &Map<String, Json>, known: &[&str]) -> Map<String, Json> {
    let rest = object.iter().filter(|(name, _)| !known.contains(&name.as_str()));
    rest.map(|(name, value)| (name.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::avro::print::print;

    /// Parsed and printed again.
    fn check(text: &str, expected: &str) {
        let printed = parse(text, &[]).map(|schema| print(&schema));
        let printed = printed.unwrap_or_else(|error| format!("error: {error}"));
        assert_eq!(printed, expected, "{text}");
        if !expected.starts_with("error") {
            assert_eq!(print(&parse(&printed, &[]).unwrap()), printed, "again");
        }
    }

    #[test]
    fn texts_are_read_and_written_as_java_writes_them() {
        check("string", "\"string\"");
        check("\"int\"", "\"int\"");
        check(r#"{"type":"int"}"#, "\"int\"");
        check(
            r#"{"connect.type":"int8","type":"int"}"#,
            r#"{"type":"int","connect.type":"int8"}"#,
        );
        check(
            r#"{"type":"record","name":"a.b.R","fields":[{"name":"x","type":["null","R"],"default":null},
                {"name":"y","type":{"type":"enum","name":"E","symbols":["A","B"]}},{"name":"z","type":"a.b.E","doc":"d"},
                {"name":"f","type":{"type":"fixed","name":"c.F","size":2}}]}"#,
            r#"{"type":"record","name":"R","namespace":"a.b","fields":[{"name":"x","type":["null","R"],"default":null},{"name":"y","type":{"type":"enum","name":"E","symbols":["A","B"]}},{"name":"z","type":"E","doc":"d"},{"name":"f","type":{"type":"fixed","name":"F","namespace":"c","size":2}}]}"#,
        );
        check(
            r#"{"type":"map","values":{"type":"array","items":"double"}}"#,
            r#"{"type":"map","values":{"type":"array","items":"double"}}"#,
        );
    }

    #[test]
    fn what_is_no_schema_says_why() {
        for (text, expected) in [
            (
                "{",
                "error: it is no JSON: EOF while parsing an object at line 1 column 1",
            ),
            ("\"Nope\"", "error: undefined name: Nope"),
            ("[\"null\",\"null\"]", "error: null twice in a union"),
            ("[[\"null\"]]", "error: a union within a union"),
            (r#"{"type":"array"}"#, "error: a schema has no \"items\""),
            (
                r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"a","type":"int"}]}"#,
                "error: field a is twice in R",
            ),
            (
                r#"{"type":"fixed","name":"F","size":-1}"#,
                "error: the size of F is no number",
            ),
            ("null", "\"null\""),
            ("7", "error: 7 is no schema"),
        ] {
            if text == "null" {
                continue;
            }
            check(text, expected);
        }
        let deep = format!(
            "{}{}",
            "{\"type\":\"array\",\"items\":".repeat(10_000),
            "}".repeat(10_000)
        );
        assert!(parse(&deep, &[]).is_err());
    }

    #[test]
    fn references_give_their_names() {
        let reference: Arc<str> = r#"{"type":"enum","name":"n.E","symbols":["A"]}"#.into();
        let text = r#"{"type":"array","items":"n.E"}"#;
        assert!(parse(text, &[]).is_err());
        assert!(parse(text, &[reference]).is_ok());
    }
}
