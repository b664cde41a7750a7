//! From JSON Schemas to Connect's.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use dray_connect::schema::{Schema as Connect, SchemaBuilder, SchemaRef};
use dray_connect::{Error, Result};
use serde_json::Value as Json;

use super::default;
use super::document::{Dialect, Documents, Place, Resolver};
use super::form::{Form, Members, Schema};
use super::hash_order;
use super::settings::{
    CONNECT_INDEX, CONNECT_PARAMETERS, CONNECT_TYPE, CONNECT_VERSION, NULL_SYMBOL, SUM_UNION, SUM_UNION_NAME, Settings,
    UNION,
};
use crate::again::within;
use crate::cycles::Families;

mod families;

/// Schemas within each other: all that is done with a schema recurses, and a schema comes from outside.
const MAX_LEVELS: usize = 100;
/// Schemas that one is made of. Connect's have no names for what is used twice, so that a short text can stand for very many.
const MAX_SCHEMAS: usize = 50_000;

/// The Connect schema of a document, with the version it has under its subject.
pub(super) fn to_connect(documents: &Documents, version: Option<i32>, settings: &Settings) -> Result<SchemaRef> {
    let mut mapping = Mapping {
        resolver: Resolver::new(documents),
        dialect: documents.dialect,
        settings,
        places: vec![documents.root()],
        numbers: HashMap::from([(documents.root().address(), 0)]),
        families: Families::default(),
        version,
        within: HashSet::new(),
        known: HashMap::new(),
        made: 0,
        unions: 0,
    };
    mapping.find_families()?;
    let root = Schema::of(documents.root(), documents.dialect)?;
    let asked = Asked {
        version,
        optional: false,
    };
    // A schema may refer to its own root.
    mapping.within.insert(documents.root().address());
    mapping.of(&root, asked, 1)
}

/// What the place of a schema says about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Asked {
    optional: bool,
    version: Option<i32>,
}

struct Mapping<'a, 's> {
    resolver: Resolver<'a>,
    dialect: Dialect,
    settings: &'s Settings,
    /// All schemas that the root leads to, from that on.
    places: Vec<Place<'a>>,
    /// Which one each is, by its address.
    numbers: HashMap<usize, usize>,
    /// The structs that contain themselves.
    families: Families,
    /// Of the root.
    version: Option<i32>,
    /// What is referred to around the schema that is being made.
    within: HashSet<usize>,
    /// What was referred to already.
    known: HashMap<(usize, Asked), SchemaRef>,
    made: usize,
    unions: usize,
}

impl<'a> Mapping<'a, '_> {
    /// The schema of what stands there.
    fn at(&mut self, place: Place<'a>, asked: Asked, level: usize) -> Result<SchemaRef> {
        let schema = Schema::of(place, self.dialect)?;
        self.of(&schema, asked, level)
    }

    fn of(&mut self, schema: &Schema<'a>, asked: Asked, level: usize) -> Result<SchemaRef> {
        match self.families.reference(self.number(schema.place)) {
            Some(reference) if is_struct(&schema.form) => {
                // All else is the struct's own.
                let reference = if asked.optional {
                    reference.optional()
                } else {
                    reference
                };
                reference.build()
            }
            Some(_) | None => self.typed(schema, asked, level),
        }
    }

    fn number(&self, place: Place<'a>) -> usize {
        self.numbers.get(&place.address()).copied().unwrap_or(usize::MAX)
    }

    /// Anything but a struct within itself.
    fn typed(&mut self, schema: &Schema<'a>, asked: Asked, level: usize) -> Result<SchemaRef> {
        self.count(level)?;
        let builder = match &schema.form {
            Form::Boolean => SchemaBuilder::boolean(),
            Form::Integer => number(schema, SchemaBuilder::int64)?,
            Form::Number => number(schema, SchemaBuilder::float64)?,
            Form::String if schema.text(CONNECT_TYPE) == Some("bytes") => SchemaBuilder::bytes(),
            Form::String => SchemaBuilder::string(),
            Form::Constant(value) => self.enumeration(std::slice::from_ref(*value)),
            Form::Enumeration(values) => self.enumeration(values),
            Form::Array(members) => self.array(schema, members, level)?,
            Form::Object(members) if schema.text(CONNECT_TYPE) == Some("map") => {
                let values = members
                    .get("additionalProperties")
                    .filter(|values| !values.is_boolean());
                let values = values.ok_or_else(|| Error::data("a map does not say what its values are"))?;
                let values = self.at(schema.place.within(values), Asked::default(), level + 1)?;
                SchemaBuilder::map(Connect::string(), values)
            }
            Form::Object(members) => self.object(schema.place, members, level)?,
            Form::Reference(reference) => return self.reference(schema.place, reference, asked, level),
            Form::All(parts) => return self.all(schema, parts, asked, level),
            Form::Any(parts) | Form::One(parts) => {
                if let ([one], true) = (&parts[..], self.settings.flatten_singletons) {
                    return self.of(one, asked, level + 1);
                }
                // Java counts those that only make a type optional, too.
                let number = self.unions;
                self.unions += 1;
                match &parts[..] {
                    [null, one] | [one, null] if is_null(null) && !is_null(one) => {
                        let asked = Asked {
                            optional: true,
                            ..asked
                        };
                        return self.of(one, asked, level + 1);
                    }
                    parts => self.union(parts, number, level)?,
                }
            }
            Form::Null => return Err(Error::data("null alone is no schema of Connect")),
            Form::Anything => {
                return Err(Error::data(
                    "it does not say what type there is, so that no schema of Connect can stand for it",
                ));
            }
            Form::Other(word) => {
                return Err(Error::data(format!("{word} alone does not say what type there is")));
            }
        };
        self.finish(schema, builder, asked)
    }

    /// Counts a schema that is looked at.
    fn count(&mut self, level: usize) -> Result<()> {
        self.made += 1;
        if level > MAX_LEVELS {
            return Err(Error::data(format!("Schema nests deeper than {MAX_LEVELS} levels")));
        }
        if self.made > MAX_SCHEMAS {
            return Err(Error::data(format!("Schema is made of more than {MAX_SCHEMAS} others")));
        }
        Ok(())
    }

    fn enumeration(&self, values: &[Json]) -> SchemaBuilder {
        let parameter = self.settings.enum_parameter();
        // Enums of JSON have no name.
        let mut builder = SchemaBuilder::string().parameter(parameter, "");
        for (index, value) in values.iter().enumerate() {
            let symbol = match value {
                Json::Null => NULL_SYMBOL.to_owned(),
                Json::String(text) => text.clone(),
                Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_) => value.to_string(),
            };
            let value = if self.settings.sum_types {
                index.to_string()
            } else {
                symbol.clone()
            };
            builder = builder.parameter(format!("{parameter}.{symbol}"), value);
        }
        builder
    }

    fn array(&mut self, schema: &Schema<'a>, members: &'a Members, level: usize) -> Result<SchemaBuilder> {
        let items = members.get("items").filter(|items| !items.is_array());
        let items = items.ok_or_else(|| Error::data("Array schema did not specify the items type"))?;
        let items = Schema::of(schema.place.within(items), self.dialect)?;
        if let Form::Object(entry) = items.form
            && schema.text(CONNECT_TYPE) == Some("map")
        {
            let part = |name: &str| {
                let part = entry.get("properties").and_then(|all| all.get(name));
                let part = part.map(|part| items.place.within(part));
                part.ok_or_else(|| Error::data(format!("the entries of a map do not say what their {name} is")))
            };
            let key = self.at(part("key")?, Asked::default(), level + 1)?;
            let value = self.at(part("value")?, Asked::default(), level + 1)?;
            return Ok(SchemaBuilder::map(key, value));
        }
        Ok(SchemaBuilder::array(self.of(&items, Asked::default(), level + 1)?))
    }

    fn object(&mut self, place: Place<'a>, members: &'a Members, level: usize) -> Result<SchemaBuilder> {
        if let Some(known) = self.member(place, level)? {
            return fields_of(&known);
        }
        let mut builder = SchemaBuilder::struct_();
        for (name, json) in in_order(members)? {
            let asked = Asked {
                optional: self.settings.optional_for_nonrequired && !is_required(members, name),
                version: None,
            };
            let of = self.at(place.within(json), asked, level + 1);
            builder = builder.field(name, of.map_err(|error| within(name, &error))?);
        }
        Ok(builder)
    }

    fn reference(&mut self, from: Place<'a>, reference: &str, asked: Asked, level: usize) -> Result<SchemaRef> {
        let place = self.resolver.resolve(from, reference)?;
        let address = place.address();
        if let Some(known) = self.known.get(&(address, asked)) {
            return Ok(SchemaRef::clone(known));
        }
        if !self.within.insert(address) {
            return Err(Error::data(format!(
                "it contains itself by the $ref {reference} with no object between, for which Connect has no schema; read the \
                 bytes with ByteArrayConverter"
            )));
        }
        let made = self.at(place, asked, level + 1)?;
        self.within.remove(&address);
        // With names that count, each has its own. And one within itself is nothing without what it refers to.
        let is_inside = self.families.is_inside(self.number(place));
        if !self.settings.sum_types && !is_inside {
            self.known.insert((address, asked), SchemaRef::clone(&made));
        }
        Ok(made)
    }

    /// Several at once: a struct of all their properties, or the one that says most about the type.
    fn all(&mut self, schema: &Schema<'a>, parts: &[Schema<'a>], asked: Asked, level: usize) -> Result<SchemaRef> {
        if let ([one], true) = (parts, self.settings.flatten_singletons) {
            return self.of(one, asked, level + 1);
        }
        let collected = self.collected(parts, level)?;
        if !collected.properties.is_empty() {
            if let Some(known) = self.member(schema.place, level)? {
                let builder = fields_of(&known)?;
                return if asked.optional { builder.optional() } else { builder }.build();
            }
            let mut builder = SchemaBuilder::struct_();
            for (name, place, required) in &collected.properties {
                let asked = Asked {
                    optional: self.settings.optional_for_nonrequired && !required,
                    version: None,
                };
                let of = self.at(*place, asked, level + 1);
                builder = builder.field(*name, of.map_err(|error| within(name, &error))?);
            }
            if asked.optional {
                builder = builder.optional();
            }
            return builder.build();
        }
        match telling(parts) {
            Some(part) => self.of(part, asked, level + 1),
            None => Err(Error::data(format!(
                "{} is an allOf of what does not go together in one type",
                clipped(schema.place.json)
            ))),
        }
    }

    fn collected(&mut self, parts: &[Schema<'a>], level: usize) -> Result<Collected<'a>> {
        let mut collected = Collected::default();
        for part in parts {
            self.collect(part, &mut collected, level + 1)?;
        }
        Ok(collected)
    }

    fn collect(&mut self, schema: &Schema<'a>, out: &mut Collected<'a>, level: usize) -> Result<()> {
        self.count(level)?;
        match &schema.form {
            Form::All(parts) => parts.iter().try_for_each(|part| self.collect(part, out, level + 1)),
            Form::Object(members) => {
                for (_, name, json) in properties(members)? {
                    let (place, required) = (schema.place.within(json), is_required(members, name));
                    match out.places.get(name) {
                        Some(known) => out.properties[*known] = (name, place, required),
                        None => {
                            out.places.insert(name, out.properties.len());
                            out.properties.push((name, place, required));
                        }
                    }
                }
                Ok(())
            }
            Form::Reference(reference) => {
                let place = self.resolver.resolve(schema.place, reference)?;
                if !out.visited.insert(place.address()) {
                    return Ok(());
                }
                self.collect(&Schema::of(place, self.dialect)?, out, level + 1)
            }
            Form::Null
            | Form::Boolean
            | Form::Integer
            | Form::Number
            | Form::String
            | Form::Array(_)
            | Form::Constant(_)
            | Form::Enumeration(_)
            | Form::Any(_)
            | Form::One(_)
            | Form::Anything
            | Form::Other(_) => Ok(()),
        }
    }

    /// A struct with a field for each, of which one has a value.
    fn union(&mut self, parts: &[Schema<'a>], number: usize, level: usize) -> Result<SchemaBuilder> {
        let mut builder = SchemaBuilder::struct_();
        if self.settings.sum_types {
            let name = format!("{SUM_UNION_NAME}{number}");
            builder = builder.name(name.as_str()).parameter(SUM_UNION, name);
        } else {
            builder = builder.name(UNION);
        }
        let asked = Asked {
            optional: true,
            version: None,
        };
        let branches = parts.iter().filter(|part| !is_null(part));
        for (index, part) in branches.enumerate() {
            let name = format!("{}{index}", self.settings.union_field());
            let of = self.of(part, asked, level + 1);
            builder = builder.field(name.as_str(), of.map_err(|error| within(&name, &error))?);
        }
        if parts.iter().any(is_null) {
            builder = builder.optional();
        }
        Ok(builder)
    }

    /// What all types have in common.
    fn finish(&self, schema: &Schema<'a>, mut builder: SchemaBuilder, asked: Asked) -> Result<SchemaRef> {
        let is_union = matches!(schema.form, Form::Any(_) | Form::One(_));
        let attribute = |name: &str| schema.attributes.and_then(|all| all.get(name));
        if let Some(title) = schema.text("title").filter(|_| !is_union) {
            builder = builder.name(title);
        }
        let stated = attribute(CONNECT_VERSION).map(|version| {
            let number = version.as_i64().and_then(|version| i32::try_from(version).ok());
            number.ok_or_else(|| Error::data(format!("Invalid Connect version found: {version}")))
        });
        if let Some(version) = stated.transpose()?.or(asked.version) {
            builder = builder.version(version);
        }
        if let Some(doc) = schema.text("description") {
            builder = builder.doc(doc);
        }
        match attribute(CONNECT_PARAMETERS) {
            None => {}
            Some(Json::Object(parameters)) => {
                for (name, value) in parameters {
                    let value = value.as_str().ok_or_else(|| {
                        Error::data(format!(
                            "Expected schema parameter values to be strings but found: {value}"
                        ))
                    })?;
                    builder = builder.parameter(name, value);
                }
            }
            Some(other) => {
                return Err(Error::data(format!(
                    "Expected JSON object for schema parameters but found: {other}"
                )));
            }
        }
        // A null of the union makes it optional as well, and saying so twice is allowed.
        if asked.optional {
            builder = builder.optional();
        }
        let made = builder.build()?;
        // One that does not fit is left out.
        let value = attribute("default").and_then(|json| default::read(&made, json));
        let with = value.and_then(|value| made.to_builder().default_value(value).build().ok());
        Ok(with.unwrap_or(made))
    }
}

/// The properties of several schemas, each name once: the last that says what it is counts.
#[derive(Default)]
struct Collected<'a> {
    properties: Vec<(&'a str, Place<'a>, bool)>,
    places: HashMap<&'a str, usize>,
    visited: HashSet<usize>,
}

/// Of schemas that all hold, the one that says what type there is, in the order in which Confluent's converter looks for it.
fn telling<'a, 's>(parts: &'s [Schema<'a>]) -> Option<&'s Schema<'a>> {
    let last = |is_it: fn(&Form<'a>) -> bool| parts.iter().rev().find(|part| is_it(&part.form));
    let combined = last(|form| matches!(form, Form::All(_) | Form::Any(_) | Form::One(_)));
    let (constant, enumeration) = (
        last(|form| matches!(form, Form::Constant(_))),
        last(|form| matches!(form, Form::Enumeration(_))),
    );
    let text = last(|form| matches!(form, Form::String));
    let number = last(|form| matches!(form, Form::Integer | Form::Number));
    let reference = last(|form| matches!(form, Form::Reference(_)));
    // What Java refuses: a type beside words that say nothing about it.
    let other = || last(|form| matches!(form, Form::Boolean | Form::Array(_) | Form::Object(_)));
    let found = match (combined, constant, enumeration) {
        (Some(combined), _, _) => Some(combined),
        (None, Some(_), _) => text.or(number),
        (None, None, Some(_)) if text.is_some() => enumeration,
        (None, None, Some(_)) => number,
        (None, None, None) if text.is_some() => number.or(text),
        (None, None, None) => reference.or(number),
    };
    found.or_else(other)
}

/// The properties of an object in the order of Java's converter, each with its place.
fn properties(members: &Members) -> Result<Vec<(i64, &str, &Json)>> {
    let Some(stated) = members.get("properties") else {
        return Ok(Vec::new());
    };
    let all = stated.as_object();
    let all = all.ok_or_else(|| Error::data("properties is no object"))?;
    let pairs: Vec<(&str, &Json)> = all.iter().map(|(name, json)| (name.as_str(), json)).collect();
    let names: Vec<&str> = pairs.iter().map(|(name, _)| *name).collect();
    let order = hash_order::order(&names, 16).into_iter().enumerate();
    Ok(order
        .map(|(at, place)| (at as i64, pairs[place].0, pairs[place].1))
        .collect())
}

/// The same in the order of the fields: a place that is given counts before one that only follows.
fn in_order(members: &Members) -> Result<Vec<(&str, &Json)>> {
    let mut all = properties(members)?;
    all.sort_by_key(|(at, _, json)| index(json).unwrap_or(*at));
    Ok(all.into_iter().map(|(_, name, json)| (name, json)).collect())
}

fn index(property: &Json) -> Option<i64> {
    property.get(CONNECT_INDEX)?.as_i64()
}

fn is_required(members: &Members, name: &str) -> bool {
    let required = members.get("required").and_then(Json::as_array);
    required.is_some_and(|all| all.iter().any(|required| required.as_str() == Some(name)))
}

/// Whether there is a struct for it, or may be.
fn is_struct(form: &Form<'_>) -> bool {
    matches!(form, Form::Object(_) | Form::All(_))
}

/// A struct with the fields of another one.
fn fields_of(known: &Connect) -> Result<SchemaBuilder> {
    let fields = known.fields()?.iter();
    Ok(fields.fold(SchemaBuilder::struct_(), |builder, field| {
        builder.field(Arc::clone(&field.name), SchemaRef::clone(&field.schema))
    }))
}

fn is_null(schema: &Schema<'_>) -> bool {
    matches!(schema.form, Form::Null)
}

/// A number of the type that Connect's own word says.
fn number(schema: &Schema<'_>, otherwise: fn() -> SchemaBuilder) -> Result<SchemaBuilder> {
    Ok(match schema.text(CONNECT_TYPE) {
        None => otherwise(),
        Some("int8") => SchemaBuilder::int8(),
        Some("int16") => SchemaBuilder::int16(),
        Some("int32") => SchemaBuilder::int32(),
        Some("int64") => SchemaBuilder::int64(),
        Some("float32") => SchemaBuilder::float32(),
        Some("float64") => SchemaBuilder::float64(),
        // Of a decimal.
        Some("bytes") => SchemaBuilder::bytes(),
        Some(other) => return Err(Error::data(format!("Unsupported type {other}"))),
    })
}

fn clipped(json: &Json) -> String {
    let mut text: String = json.to_string().chars().take(200).collect();
    if text.chars().count() == 200 {
        text.push_str("...");
    }
    text
}
