//! From Connect's schemas to JSON Schemas, with their members in the order in which Confluent's converter prints them: registries that
//! compare texts find the same one.

use std::collections::VecDeque;

use dray_connect::Result;
use dray_connect::logical::Logical;
use dray_connect::schema::{Field, Schema as Connect, SchemaRef, Type};
use serde_json::{Map, Value as Json};

use super::default;
use super::hash_order;
use super::read::{is_name, is_union};
use super::settings::{
    CONNECT_INDEX, CONNECT_PARAMETERS, CONNECT_TYPE, CONNECT_VERSION, ENUM, NAMESPACE, NULL_SYMBOL, SUM_ENUM, Settings,
};
use super::write::Plan;
use crate::again::{has_same_fields, within};
use crate::json::write::DecimalFormat;
use crate::{percent, size};

/// The text of the JSON Schema of a Connect schema.
pub(super) fn from_connect(schema: &SchemaRef, settings: &Settings) -> Result<String> {
    size::check(schema)?;
    let mut mapping = Mapping {
        settings,
        made: Vec::new(),
        family: 0,
        wanted: VecDeque::new(),
        definitions: Map::new(),
    };
    let mut json = mapping.of(schema, None, "")?;
    mapping.define()?;
    if let Some(members) = json.as_object_mut().filter(|_| !mapping.definitions.is_empty()) {
        members.insert("definitions".to_owned(), mapping.definitions.into());
    }
    Ok(json.to_string())
}

struct Mapping<'a> {
    settings: &'a Settings,
    /// Structs that others may be within, each with the pointer to its place.
    made: Vec<(SchemaRef, String)>,
    /// Where of these the ones begin that the schemas referred to just now may be.
    family: usize,
    /// What is referred to and to be defined, with its name among the definitions.
    wanted: VecDeque<(SchemaRef, String)>,
    definitions: Map<String, Json>,
}

impl Mapping<'_> {
    /// A schema at that place of a struct, with null where that is allowed. `at` points to it.
    fn of(&mut self, schema: &SchemaRef, index: Option<usize>, at: &str) -> Result<Json> {
        if is_union(schema) && !schema.is_reference() {
            return self.union(schema, schema.optional(), index, at);
        }
        if schema.optional() {
            let some = self.plain(schema, None, &format!("{at}/oneOf/1"))?;
            return Ok(one_of(vec![null(), some], index));
        }
        self.plain(schema, index, at)
    }

    fn union(&mut self, schema: &SchemaRef, optional: bool, index: Option<usize>, at: &str) -> Result<Json> {
        let mut branches = Vec::new();
        if optional {
            branches.push(null());
        }
        for field in schema.fields()? {
            let index = Some(field.index);
            let at = format!("{at}/oneOf/{}", branches.len());
            // Null is one of the union, and of none of its branches.
            branches.push(if is_union(&field.schema) && !field.schema.is_reference() {
                self.union(&field.schema, false, index, &at)?
            } else {
                self.plain(&field.schema, index, &at)?
            });
        }
        Ok(one_of(branches, index))
    }

    /// A schema as if null were not allowed.
    fn plain(&mut self, schema: &SchemaRef, index: Option<usize>, at: &str) -> Result<Json> {
        let settings = self.settings;
        let mut out = Map::new();
        let mut put = |name: &str, value: Json| out.insert(name.to_owned(), value);
        let attributes =
            |out: &mut Map<String, Json>, word: Option<&str>| attributes(schema, word, index, settings, out);
        match schema.type_() {
            Type::Int8 | Type::Int16 | Type::Int32 | Type::Int64 => {
                put("type", "integer".into());
                attributes(&mut out, Some(schema.type_().name()))?;
            }
            Type::Float32 | Type::Float64 => {
                put("type", "number".into());
                attributes(&mut out, Some(schema.type_().name()))?;
            }
            Type::Boolean => {
                attributes(&mut out, None)?;
                out.insert("type".to_owned(), "boolean".into());
            }
            Type::String => {
                match symbols(schema, settings) {
                    Some(symbols) => drop(put("enum", symbols)),
                    None => drop(put("type", "string".into())),
                }
                attributes(&mut out, None)?;
            }
            Type::Bytes => {
                let is_number =
                    Logical::of(schema) == Some(Logical::Decimal) && settings.decimal_format == DecimalFormat::Numeric;
                put("type", if is_number { "number" } else { "string" }.into());
                attributes(&mut out, Some("bytes"))?;
            }
            Type::Array => {
                put("type", "array".into());
                attributes(&mut out, None)?;
                let items = self.of(schema.value_schema()?, None, &format!("{at}/items"))?;
                out.insert("items".to_owned(), items);
            }
            Type::Map if is_name(schema.key_schema()?) => {
                put("type", "object".into());
                attributes(&mut out, Some("map"))?;
                let values = self.of(schema.value_schema()?, None, &format!("{at}/additionalProperties"))?;
                out.insert("additionalProperties".to_owned(), values);
            }
            Type::Map => {
                put("type", "array".into());
                attributes(&mut out, Some("map"))?;
                let part = |name: &str, index: usize, schema: &SchemaRef| Field {
                    name: name.into(),
                    index,
                    schema: SchemaRef::clone(schema),
                };
                let parts = [
                    part("key", 0, schema.key_schema()?),
                    part("value", 1, schema.value_schema()?),
                ];
                let mut entry = Map::new();
                entry.insert("type".to_owned(), "object".into());
                entry.insert(
                    "properties".to_owned(),
                    self.properties(&parts, &format!("{at}/items"))?,
                );
                out.insert("items".to_owned(), Json::Object(entry));
            }
            Type::Struct => return self.structure(schema, index, at),
        }
        Ok(Json::Object(out))
    }

    /// A struct, or where it stands if it is within itself.
    fn structure(&mut self, schema: &SchemaRef, index: Option<usize>, at: &str) -> Result<Json> {
        if schema.is_reference() {
            return Ok(self.reference(schema, index));
        }
        // Others know nothing of what is referred to within this one.
        let (family, wanted) = (self.family, std::mem::take(&mut self.wanted));
        self.family = self.made.len();
        self.made.push((SchemaRef::clone(schema), at.to_owned()));
        let json = self.object(schema, index, at)?;
        self.define()?;
        self.made.truncate(self.family);
        (self.family, self.wanted) = (family, wanted);
        Ok(json)
    }

    fn reference(&mut self, schema: &SchemaRef, index: Option<usize>) -> Json {
        let is_it = |(made, _): &&(SchemaRef, String)| made.name() == schema.name() && has_same_fields(made, schema);
        let made = self.made.get(self.family..).unwrap_or_default();
        let known = made.iter().rev().find(is_it).map(|(_, pointer)| pointer.clone());
        let pointer = known.unwrap_or_else(|| {
            // Flat, as those that lead to each other in a long chain would nest too deep to be parsed.
            let first = schema.name().unwrap_or("Struct");
            let is_free = |name: &String| !self.definitions.contains_key(name);
            let mut names = std::iter::once(first.to_owned()).chain((2..).map(|number| format!("{first}{number}")));
            let name = names.find(is_free).unwrap_or_default();
            self.definitions.insert(name.clone(), Json::Null);
            let pointer = format!("/definitions/{}", step(&name));
            self.made.push((SchemaRef::clone(schema), pointer.clone()));
            self.wanted.push_back((SchemaRef::clone(schema), name));
            pointer
        });
        let mut out = Map::new();
        if let Some(index) = index {
            out.insert(CONNECT_INDEX.to_owned(), index.into());
        }
        out.insert("$ref".to_owned(), format!("#{pointer}").into());
        Json::Object(out)
    }

    /// Defines all that is referred to, which may refer to more.
    fn define(&mut self) -> Result<()> {
        while let Some((schema, name)) = self.wanted.pop_front() {
            size::check(&Connect::resolved(&schema))?;
            let json = self.object(&schema, None, &format!("/definitions/{}", step(&name)))?;
            self.definitions.insert(name, json);
        }
        Ok(())
    }

    fn object(&mut self, schema: &SchemaRef, index: Option<usize>, at: &str) -> Result<Json> {
        let resolved = Connect::resolved(schema);
        if is_union(&resolved) {
            return self.union(&resolved, false, index, at);
        }
        let mut out = Map::new();
        out.insert("type".to_owned(), "object".into());
        if !self.settings.additional_properties {
            out.insert("additionalProperties".to_owned(), false.into());
        }
        attributes(schema, None, index, self.settings, &mut out)?;
        let fields = resolved.fields()?;
        if !fields.is_empty() {
            out.insert("properties".to_owned(), self.properties(fields, at)?);
        }
        Ok(Json::Object(out))
    }

    fn properties(&mut self, fields: &[Field], at: &str) -> Result<Json> {
        let names: Vec<&str> = fields.iter().map(|field| &*field.name).collect();
        let mut out = Map::new();
        for place in hash_order::order(&names, 16) {
            let field = &fields[place];
            let at = format!("{at}/properties/{}", step(&field.name));
            let json = self.of(&field.schema, Some(field.index), &at);
            out.insert(
                field.name.to_string(),
                json.map_err(|error| within(&field.name, &error))?,
            );
        }
        Ok(Json::Object(out))
    }
}

/// A name in a pointer.
fn step(name: &str) -> String {
    percent::encoded(&name.replace('~', "~0").replace('/', "~1"))
}

fn null() -> Json {
    let mut members = Map::new();
    members.insert("type".to_owned(), "null".into());
    Json::Object(members)
}

fn one_of(branches: Vec<Json>, index: Option<usize>) -> Json {
    let mut members = Map::new();
    if let Some(index) = index {
        members.insert(CONNECT_INDEX.to_owned(), index.into());
    }
    members.insert("oneOf".to_owned(), Json::Array(branches));
    Json::Object(members)
}

/// What all types have in common. Connect's own words come in the order of their hashes.
fn attributes(
    schema: &SchemaRef,
    word: Option<&str>,
    index: Option<usize>,
    settings: &Settings,
    out: &mut Map<String, Json>,
) -> Result<()> {
    let mut put = |name: &str, value: Json| out.insert(name.to_owned(), value);
    if let Some(name) = schema.name() {
        put("title", name.into());
    }
    if let Some(doc) = schema.doc() {
        put("description", doc.into());
    }
    if let Some(value) = schema.default()
        && let Some(json) = default::write(&Plan::of(Some(schema), settings)?, value)
    {
        put("default", json);
    }
    if let Some(index) = index {
        put(CONNECT_INDEX, index.into());
    }
    if let Some(version) = schema.version() {
        put(CONNECT_VERSION, version.into());
    }
    if let Some(word) = word {
        put(CONNECT_TYPE, word.into());
    }
    let parameters = schema.parameters().into_iter().flatten();
    let mut parameters: Vec<(&String, &String)> = parameters.filter(|(name, _)| !name.starts_with(NAMESPACE)).collect();
    if !parameters.is_empty() {
        // From one table they go into another, which is as large as it has to be.
        for least in [16, parameters.len()] {
            let names: Vec<&String> = parameters.iter().map(|(name, _)| *name).collect();
            let places = hash_order::order(&names, least);
            parameters = places.into_iter().map(|place| parameters[place]).collect();
        }
        let members = parameters
            .into_iter()
            .map(|(name, value)| (name.clone(), Json::from(value.as_str())));
        put(CONNECT_PARAMETERS, Json::Object(members.collect()));
    }
    Ok(())
}

/// The values of the enum that the parameters of a string describe.
fn symbols(schema: &Connect, settings: &Settings) -> Option<Json> {
    let parameters = schema.parameters()?;
    if !parameters.contains_key(ENUM) && !parameters.contains_key(SUM_ENUM) {
        return None;
    }
    let prefix = format!("{}.", settings.enum_parameter());
    let symbols: Vec<&str> = parameters
        .keys()
        .filter_map(|name| name.strip_prefix(&prefix))
        .collect();
    // The hash of null is that of the empty text.
    let hashed: Vec<&str> = symbols
        .iter()
        .map(|symbol| if *symbol == NULL_SYMBOL { "" } else { symbol })
        .collect();
    let places = hash_order::order(&hashed, 16).into_iter();
    let symbols = places.map(|place| match symbols[place] {
        NULL_SYMBOL => Json::Null,
        symbol => symbol.into(),
    });
    Some(symbols.collect())
}
