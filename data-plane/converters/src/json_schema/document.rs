//! A JSON Schema with the schemas that it refers to, and what a `$ref` in one of them means. Nothing is ever fetched but by the registry's
//! references: a schema comes from outside, and could have any address asked for.

use std::collections::HashMap;

use dray_connect::{Error, Result};
use serde_json::{Map, Value as Json};

use crate::percent;
use crate::schema_registry::Reference;

/// Which words a schema is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Draft4,
    /// Draft 6 and 7, and what does not say.
    Draft7,
    /// 2019-09 and 2020-12.
    Modern,
}

/// The texts, parsed.
#[derive(Debug)]
pub(super) struct Documents {
    pub(super) dialect: Dialect,
    /// The schema itself, then the others.
    all: Vec<Json>,
    /// The names under which the others are referred to.
    names: Vec<(String, usize)>,
}

/// A schema within a document.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) json: &'a Json,
    document: usize,
}

impl<'a> Place<'a> {
    /// A part of this one.
    pub(super) fn within(self, json: &'a Json) -> Self {
        Self { json, ..self }
    }

    /// The same for the same schema, and for no other of its document.
    pub(super) fn address(self) -> usize {
        std::ptr::from_ref(self.json).addr()
    }
}

impl Documents {
    /// With what the schema refers to, and other names of that.
    pub(super) fn parse(
        text: &str,
        references: &[Reference],
        aliases: &[(String, usize)],
        ignore_modern: bool,
    ) -> Result<Self> {
        let parse = |text: &str, what: &str| -> Result<Json> {
            let malformed = |cause| Error::data(format!("{what} is no JSON")).with_source(cause);
            let json: Json = serde_json::from_str(text).map_err(malformed)?;
            match json {
                Json::Object(_) | Json::Bool(_) => Ok(json),
                Json::Null | Json::Number(_) | Json::String(_) | Json::Array(_) => {
                    Err(Error::data(format!("{what} is neither an object nor a boolean")))
                }
            }
        };
        let mut all = vec![parse(text, "it")?];
        for reference in references {
            all.push(parse(&reference.text, "a schema that it refers to")?);
        }
        let names = references
            .iter()
            .zip(1..)
            .map(|(reference, place)| (reference.name.clone(), place));
        let aliases = aliases.iter().map(|(name, place)| (name.clone(), place + 1));
        Ok(Self {
            dialect: dialect(&all[0], ignore_modern),
            names: names.chain(aliases).collect(),
            all,
        })
    }

    pub(super) fn root(&self) -> Place<'_> {
        Place {
            json: &self.all[0],
            document: 0,
        }
    }

    /// What it says of the draft that it is written in.
    pub(super) fn stated_draft(&self) -> &str {
        self.all[0].get("$schema").and_then(Json::as_str).unwrap_or_default()
    }

    /// The schema that it refers to by a URI, which was made of a `$ref` and the id of the schema that it stands in; without an id of `base`.
    pub(super) fn by_uri(&self, uri: &str) -> Option<&Json> {
        let first = id_of(&self.all[0]).unwrap_or_default();
        let is_named = |name: &str| {
            let name = plain(name);
            // Also where the $ref stood in a schema that has an id elsewhere.
            name == uri || join(first, &name) == uri || uri.strip_suffix(&*name).is_some_and(|base| base.ends_with('/'))
        };
        let named = self.names.iter().find(|(name, _)| is_named(name));
        let by_id = || (0..self.all.len()).find(|place| id_of(&self.all[*place]).is_some_and(|id| plain(id) == uri));
        let place = named.map(|(_, place)| *place).or_else(by_id)?;
        Some(&self.all[place])
    }

    /// The title of the schema, after which its subject may be named.
    pub(super) fn title(&self) -> Option<&str> {
        self.all[0].get("title")?.as_str()
    }
}

fn dialect(json: &Json, ignore_modern: bool) -> Dialect {
    let stated = json.get("$schema").and_then(Json::as_str).unwrap_or_default();
    let is = |version: &str| stated.contains(version);
    if is("json-schema.org/draft-04/") {
        Dialect::Draft4
    } else if (is("json-schema.org/draft/2019-09/") || is("json-schema.org/draft/2020-12/")) && !ignore_modern {
        Dialect::Modern
    } else {
        Dialect::Draft7
    }
}

/// Finds what a `$ref` refers to.
pub(super) struct Resolver<'a> {
    documents: &'a Documents,
    /// Schemas that have an id or an anchor, by it, in each document.
    ids: HashMap<(usize, String), &'a Json>,
}

impl<'a> Resolver<'a> {
    pub(super) fn new(documents: &'a Documents) -> Self {
        let mut ids = HashMap::new();
        for (document, json) in documents.all.iter().enumerate() {
            collect_ids(json, document, &mut ids);
        }
        Self { documents, ids }
    }

    pub(super) fn resolve(&self, from: Place<'a>, reference: &str) -> Result<Place<'a>> {
        let unknown = || {
            Error::data(format!(
                "{reference}, which a $ref names, is neither in the schema nor among its references"
            ))
        };
        let (target, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let base = if target.is_empty() {
            Place {
                json: &self.documents.all[from.document],
                ..from
            }
        } else {
            self.document(from, target).ok_or_else(unknown)?
        };
        if fragment.is_empty() {
            return Ok(base);
        }
        let fragment = percent::decoded(fragment);
        let found = if fragment.starts_with('/') {
            pointed(base.json, &fragment)
        } else {
            self.ids.get(&(base.document, format!("#{fragment}"))).copied()
        };
        Ok(base.within(found.ok_or_else(unknown)?))
    }

    /// The schema of that URI, which may be relative to the one that names it.
    fn document(&self, from: Place<'a>, target: &str) -> Option<Place<'a>> {
        let all = &self.documents.all;
        let place = |document: usize| Place {
            json: &all[document],
            document,
        };
        let named = |is_it: &dyn Fn(&str) -> bool| self.documents.names.iter().find(|(name, _)| is_it(name));
        if let Some((_, document)) = named(&|name| plain(name) == plain(target)) {
            return Some(place(*document));
        }
        // As a URI: after the id of the schema that names it, and names after that of the first one.
        let absolute = join(id_of(&all[from.document]).unwrap_or_default(), target);
        let first = id_of(&all[0]).unwrap_or_default();
        if let Some((_, document)) = named(&|name| join(first, &plain(name)) == absolute) {
            return Some(place(*document));
        }
        let by_id = (0..all.len()).find(|document| {
            let id = id_of(&all[*document]).map(|id| id.trim_end_matches('#'));
            id.is_some_and(|id| id == target || id == absolute)
        });
        if let Some(document) = by_id {
            return Some(place(document));
        }
        let id = |id: &str| self.ids.get(&(from.document, id.to_owned())).copied();
        id(target).or_else(|| id(&absolute)).map(|json| from.within(json))
    }
}

/// The name of a whole document.
fn plain(name: &str) -> String {
    name.strip_prefix("./").unwrap_or(name).trim_end_matches('#').to_owned()
}

fn id_of(json: &Json) -> Option<&str> {
    let id = json.get("$id").or_else(|| json.get("id"));
    id.and_then(Json::as_str)
}

fn collect_ids<'a>(json: &'a Json, document: usize, ids: &mut HashMap<(usize, String), &'a Json>) {
    // A text is parsed to some hundred levels only.
    if let Json::Object(members) = json {
        if let Some(id) = id_of(json) {
            ids.entry((document, id.to_owned())).or_insert(json);
        }
        if let Some(anchor) = members.get("$anchor").and_then(Json::as_str) {
            ids.entry((document, format!("#{anchor}"))).or_insert(json);
        }
        members.values().for_each(|json| collect_ids(json, document, ids));
    } else if let Json::Array(elements) = json {
        elements.iter().for_each(|json| collect_ids(json, document, ids));
    }
}

/// What a JSON pointer points to. Definitions are found under the new word where they stand under the old one, as with Confluent.
fn pointed<'a>(json: &'a Json, pointer: &str) -> Option<&'a Json> {
    json.pointer(pointer).or_else(|| {
        let name = pointer.strip_prefix("/$defs/")?;
        json.pointer(&format!("/definitions/{name}"))
    })
}

/// A URI after the one of a document.
fn join(base: &str, uri: &str) -> String {
    if base.is_empty() || uri.contains("://") || uri.starts_with("urn:") {
        return uri.to_owned();
    }
    let base = base.split('#').next().unwrap_or_default();
    let host_end = base.find("://").map_or(0, |scheme| {
        let host = scheme + 3;
        base[host..].find('/').map_or(base.len(), |slash| host + slash)
    });
    if uri.starts_with('/') {
        return format!("{}{uri}", &base[..host_end]);
    }
    match base.rfind('/').filter(|slash| *slash >= host_end) {
        Some(slash) => format!("{}{uri}", &base[..=slash]),
        None if host_end == base.len() && host_end > 0 => format!("{base}/{uri}"),
        None => uri.to_owned(),
    }
}

/// The members of a schema that is an object.
pub(super) fn members(json: &Json) -> Option<&Map<String, Json>> {
    json.as_object()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, others: &[(&str, &str)], reference: &str, expected: &str) {
        let others = others.iter().map(|(name, text)| Reference {
            name: (*name).to_owned(),
            text: (*text).into(),
        });
        let aliases = [("alias.json".to_owned(), 0)];
        let documents = Documents::parse(text, &others.collect::<Vec<_>>(), &aliases, false).unwrap();
        let found = Resolver::new(&documents).resolve(documents.root(), reference);
        let found = found.map(|place| place.json.to_string());
        assert_eq!(found.unwrap_or_else(|error| error.to_string()), expected, "{reference}");
    }

    #[test]
    fn references() {
        let text = r##"{"$id":"http://h/a/b.json","definitions":{"x":{"type":"null"},"a/b c":1},"$defs":{"y":{"$anchor":"why"},"z":{"$id":"#zed"},"own":{"$id":"own.json","title":"own"}}}"##;
        let others = [
            ("c.json", r#"{"title":"c","definitions":{"d":2}}"#),
            ("http://h/e.json", "true"),
        ];
        for (reference, expected) in [
            ("#/definitions/x", r#"{"type":"null"}"#),
            ("#/$defs/x", r#"{"type":"null"}"#),
            ("#/definitions/a~1b%20c", "1"),
            ("#why", r#"{"$anchor":"why"}"#),
            ("#zed", r##"{"$id":"#zed"}"##),
            ("own.json", r#"{"$id":"own.json","title":"own"}"#),
            ("c.json#/definitions/d", "2"),
            ("./c.json#/definitions/d", "2"),
            ("http://h/a/c.json#/$defs/d", "2"),
            ("alias.json#/$defs/d", "2"),
            ("/e.json", "true"),
            ("http://h/e.json#", "true"),
        ] {
            check(text, &others, reference, expected);
        }
        for reference in [
            "#/definitions/none",
            "none.json",
            "#none",
            "http://json-schema.org/draft-07/schema#",
        ] {
            let expected =
                format!("{reference}, which a $ref names, is neither in the schema nor among its references");
            check(text, &others, reference, &expected);
        }
    }

    #[test]
    fn what_is_no_schema() {
        for text in ["", "[]", "5", "null", "{", "{\"a\":}"] {
            assert!(Documents::parse(text, &[], &[], false).is_err(), "{text}");
        }
        let deep = "{\"not\":".repeat(10_000);
        assert!(Documents::parse(&deep, &[], &[], false).is_err());
    }

    #[test]
    fn dialects() {
        let of = |text: &str, ignore| Documents::parse(text, &[], &[], ignore).unwrap().dialect;
        assert_eq!(of("{}", false), Dialect::Draft7);
        assert_eq!(
            of(r#"{"$schema":"http://json-schema.org/draft-04/schema#"}"#, false),
            Dialect::Draft4
        );
        let modern = r#"{"$schema":"https://json-schema.org/draft/2020-12/schema"}"#;
        assert_eq!(
            (of(modern, false), of(modern, true)),
            (Dialect::Modern, Dialect::Draft7)
        );
    }
}
