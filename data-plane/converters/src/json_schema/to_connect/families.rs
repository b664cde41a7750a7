//! Which structs of a JSON Schema contain themselves: by way of properties, arrays, maps, unions and `$ref`s.

use dray_connect::schema::{RecursiveBuilder, SchemaRef};
use dray_connect::{Error, Result};

use super::{Asked, Mapping, Members, in_order, is_null, telling};
use crate::cycles::{Cycles, Families, Met};
use crate::json_schema::document::Place;
use crate::json_schema::form::{Form, Schema};
use crate::json_schema::settings::CONNECT_TYPE;

impl<'a> Mapping<'a, '_> {
    /// Finds them, before anything is made.
    pub(super) fn find_families(&mut self) -> Result<()> {
        let mut within: Vec<Vec<usize>> = Vec::new();
        while let Some(place) = self.places.get(within.len()).copied() {
            let mut parts = Vec::new();
            // What is no schema is said where it is to become one.
            if let Ok(schema) = Schema::of(place, self.dialect) {
                self.parts(&schema, &mut parts)?;
            }
            let numbers = parts.into_iter().map(|part| {
                *self.numbers.entry(part.address()).or_insert_with(|| {
                    self.places.push(part);
                    self.places.len() - 1
                })
            });
            within.push(numbers.collect());
        }
        let mut structs = Vec::with_capacity(self.places.len());
        for place in self.places.clone() {
            structs.push(self.struct_at(place)?.is_some());
        }
        let cycles = Cycles::of(self.places.len(), |of| within[of].clone());
        let met = met_in_order(&within);
        // Titles first, then as the root leads to them: a schema that is written down anew may stand elsewhere.
        self.families = Families::new(cycles, |of| {
            let title = self.places[of].json.get("title").map(ToString::to_string);
            structs[of].then(|| (title, met[of]))
        });
        self.made = 0;
        Ok(())
    }

    /// The schemas that one is made of.
    fn parts(&mut self, schema: &Schema<'a>, out: &mut Vec<Place<'a>>) -> Result<()> {
        let place = schema.place;
        match &schema.form {
            Form::Array(members) => {
                let items = members.get("items").filter(|items| !items.is_array());
                match items {
                    Some(items) if schema.text(CONNECT_TYPE) == Some("map") => {
                        let parts = items.get("properties").and_then(|all| all.as_object());
                        out.extend(parts.into_iter().flatten().map(|(_, json)| place.within(json)));
                    }
                    items => out.extend(items.map(|items| place.within(items))),
                }
            }
            Form::Object(members) if is_map(schema) => {
                out.extend(members.get("additionalProperties").map(|values| place.within(values)));
            }
            Form::Object(members) => out.extend(properties(members).map(|json| place.within(json))),
            Form::Reference(reference) => out.extend(self.resolver.resolve(place, reference)),
            Form::All(parts) => match self.all_of(parts)? {
                All::Struct(properties) => out.extend(properties),
                All::Part(Some(part)) => self.part(place, part, out)?,
                All::Part(None) => {}
            },
            Form::Any(parts) | Form::One(parts) => {
                for part in parts.iter().filter(|part| !is_null(part)) {
                    self.part(place, part, out)?;
                }
            }
            Form::Null
            | Form::Boolean
            | Form::Integer
            | Form::Number
            | Form::String
            | Form::Constant(_)
            | Form::Enumeration(_)
            | Form::Anything
            | Form::Other(_) => {}
        }
        Ok(())
    }

    /// One of several, which may stand in the same place.
    fn part(&mut self, place: Place<'a>, part: &Schema<'a>, out: &mut Vec<Place<'a>>) -> Result<()> {
        if part.place.address() == place.address() {
            return self.parts(part, out);
        }
        out.push(part.place);
        Ok(())
    }

    /// What several that all hold come to.
    fn all_of<'s>(&mut self, parts: &'s [Schema<'a>]) -> Result<All<'a, 's>> {
        if let ([one], true) = (parts, self.settings.flatten_singletons) {
            return Ok(All::Part(Some(one)));
        }
        let collected = self.collected(parts, 1)?;
        if collected.properties.is_empty() {
            return Ok(All::Part(telling(parts)));
        }
        let properties = collected.properties.into_iter();
        Ok(All::Struct(properties.map(|(_, place, _)| place).collect()))
    }

    /// The schema in that place that becomes a struct: itself, or one of its types.
    fn struct_at(&mut self, place: Place<'a>) -> Result<Option<Schema<'a>>> {
        match Schema::of(place, self.dialect) {
            Ok(schema) => self.struct_of(schema),
            Err(_) => Ok(None),
        }
    }

    fn struct_of(&mut self, schema: Schema<'a>) -> Result<Option<Schema<'a>>> {
        let is_here = |part: &Schema<'a>| part.place.address() == schema.place.address();
        match &schema.form {
            Form::Object(_) => Ok(Some(schema).filter(|schema| !is_map(schema))),
            Form::All(parts) => match self.all_of(parts)? {
                All::Struct(_) => Ok(Some(schema)),
                All::Part(Some(part)) if is_here(part) => self.struct_of(part.clone()),
                All::Part(_) => Ok(None),
            },
            Form::Any(parts) | Form::One(parts) => {
                for part in parts.iter().filter(|part| is_here(part)) {
                    if let Some(found) = self.struct_of(part.clone())? {
                        return Ok(Some(found));
                    }
                }
                Ok(None)
            }
            Form::Null
            | Form::Boolean
            | Form::Integer
            | Form::Number
            | Form::String
            | Form::Array(_)
            | Form::Constant(_)
            | Form::Enumeration(_)
            | Form::Reference(_)
            | Form::Anything
            | Form::Other(_) => Ok(None),
        }
    }

    /// The schema of a struct that contains itself, made with all that it does so by way of.
    pub(super) fn member(&mut self, place: Place<'a>, level: usize) -> Result<Option<SchemaRef>> {
        let number = self.number(place);
        let making = match self.families.meet(number) {
            Met::Plain => return Ok(None),
            Met::Made(schema) => return Ok(Some(schema)),
            Met::New(making) => making,
        };
        let around = std::mem::take(&mut self.within);
        let mut builder = RecursiveBuilder::new(making.structs.len());
        for (number, member) in making.structs.iter().enumerate() {
            let found = self.struct_at(self.places[*member])?;
            let schema = found.ok_or_else(|| Error::data("what contains itself is no struct"))?;
            let asked = Asked {
                version: self.version.filter(|_| *member == 0),
                optional: false,
            };
            self.within.clear();
            builder.define(number, self.typed(&schema, asked, level + 1)?)?;
        }
        self.within = around;
        self.families.made(&making, builder, number).map(Some)
    }
}

/// What an `allOf` comes to.
enum All<'a, 's> {
    /// A struct of these properties.
    Struct(Vec<Place<'a>>),
    Part(Option<&'s Schema<'a>>),
}

fn is_map(schema: &Schema<'_>) -> bool {
    schema.text(CONNECT_TYPE) == Some("map")
}

fn properties(members: &Members) -> impl Iterator<Item = &serde_json::Value> {
    in_order(members).unwrap_or_default().into_iter().map(|(_, json)| json)
}

/// When each is first met on the way from the first, each before what is within it.
fn met_in_order(within: &[Vec<usize>]) -> Vec<usize> {
    let mut met = vec![usize::MAX; within.len()];
    let (mut todo, mut next) = (vec![0], 0);
    while let Some(of) = todo.pop() {
        if met[of] == usize::MAX {
            met[of] = next;
            next += 1;
            todo.extend(within[of].iter().rev());
        }
    }
    met
}
