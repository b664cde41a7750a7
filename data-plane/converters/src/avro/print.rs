//! The text of an Avro schema, with its members in the order in which Java's Avro prints them: registries that compare texts find the same one.

use std::collections::HashSet;

use serde_json::{Map, Value as Json};

use super::schema::{Kind, Name, Schema, TypeId};

/// The text of a schema. A named type is written where it is first met, and by name from then on.
pub(super) fn print(schema: &Schema) -> String {
    let mut seen = HashSet::new();
    json(schema, schema.root(), "", &mut seen).to_string()
}

fn json(schema: &Schema, id: TypeId, namespace: &str, seen: &mut HashSet<TypeId>) -> Json {
    let of = schema.at(id);
    if let Some(name) = of.kind.name()
        && !seen.insert(id)
    {
        return Json::String(if *name.namespace == *namespace {
            name.simple.to_string()
        } else {
            name.full()
        });
    }
    let mut object = Map::new();
    let mut put = |name: &str, value: Json| object.insert(name.to_owned(), value);
    put("type", of.kind.word().into());
    let named = |name: &Name, put: &mut dyn FnMut(&str, Json) -> Option<Json>| {
        put("name", (*name.simple).into());
        if *name.namespace != *namespace {
            put("namespace", (*name.namespace).into());
        }
        if let Some(doc) = of.kind.doc() {
            put("doc", doc.into());
        }
    };
    match &of.kind {
        Kind::Union(branches) => {
            let branches = branches.iter().map(|id| json(schema, *id, namespace, seen));
            return Json::Array(branches.collect());
        }
        Kind::Array(items) => drop(put("items", json(schema, *items, namespace, seen))),
        Kind::Map(values) => drop(put("values", json(schema, *values, namespace, seen))),
        Kind::Enum(of) => {
            named(&of.name, &mut put);
            put(
                "symbols",
                of.symbols.iter().map(|symbol| Json::from(&**symbol)).collect(),
            );
            if let Some(default) = &of.default {
                put("default", default.as_str().into());
            }
        }
        Kind::Fixed(of) => {
            named(&of.name, &mut put);
            put("size", of.size.into());
        }
        Kind::Record(of) => {
            named(&of.name, &mut put);
            let mut fields = Vec::with_capacity(of.fields.len());
            for field in &of.fields {
                let mut object = Map::new();
                object.insert("name".to_owned(), (*field.name).into());
                object.insert("type".to_owned(), json(schema, field.of, &of.name.namespace, seen));
                if let Some(doc) = &field.doc {
                    object.insert("doc".to_owned(), doc.as_str().into());
                }
                if let Some(default) = &field.default {
                    object.insert("default".to_owned(), default.clone());
                }
                object.extend(field.attributes.clone());
                fields.push(Json::Object(object));
            }
            put("fields", Json::Array(fields));
        }
        Kind::Null
        | Kind::Boolean
        | Kind::Int
        | Kind::Long
        | Kind::Float
        | Kind::Double
        | Kind::Bytes
        | Kind::String => {
            if of.attributes.is_empty() {
                return of.kind.word().into();
            }
        }
    }
    object.extend(of.attributes.clone());
    Json::Object(object)
}
