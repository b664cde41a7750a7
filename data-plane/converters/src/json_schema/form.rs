//! What a JSON Schema says, in one form: a schema of several keywords that each stand for a type is an `allOf` of those, and one of several
//! types an `anyOf`. Confluent's converter sees schemas so, and decides by these forms.

use dray_connect::{Error, Result};
use serde_json::{Map, Value as Json};

use super::document::{Dialect, Place, members};
use super::hash_order;

/// The members of a schema that is an object.
pub(super) type Members = Map<String, Json>;

/// A schema.
#[derive(Clone, Debug)]
pub(super) struct Schema<'a> {
    pub(super) form: Form<'a>,
    pub(super) place: Place<'a>,
    /// Where its title, description, default and the words of Connect stand: nowhere for a part of what was taken apart.
    pub(super) attributes: Option<&'a Members>,
}

/// What kind of values there are.
#[derive(Clone, Debug)]
pub(super) enum Form<'a> {
    Null,
    Boolean,
    Integer,
    Number,
    String,
    Array(&'a Members),
    Object(&'a Members),
    Constant(&'a Json),
    Enumeration(&'a [Json]),
    Reference(&'a str),
    All(Vec<Schema<'a>>),
    Any(Vec<Schema<'a>>),
    One(Vec<Schema<'a>>),
    /// Whatever there is.
    Anything,
    /// A keyword that says nothing about types.
    Other(&'static str),
}

const OF_NUMBERS: [&str; 5] = [
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
];
const OF_STRINGS: [&str; 4] = ["minLength", "maxLength", "pattern", "format"];
const OF_ARRAYS: [&str; 7] = [
    "items",
    "additionalItems",
    "prefixItems",
    "minItems",
    "maxItems",
    "uniqueItems",
    "contains",
];
const OF_OBJECTS: [&str; 8] = [
    "properties",
    "required",
    "minProperties",
    "maxProperties",
    "dependencies",
    "patternProperties",
    "additionalProperties",
    "propertyNames",
];

impl<'a> Schema<'a> {
    /// The form of what stands there.
    pub(super) fn of(place: Place<'a>, dialect: Dialect) -> Result<Self> {
        let Some(members) = members(place.json) else {
            let form = match place.json {
                Json::Bool(true) => Form::Anything,
                Json::Bool(false) => Form::Other("false"),
                Json::Null | Json::Number(_) | Json::String(_) | Json::Array(_) | Json::Object(_) => {
                    return Err(Error::data(format!("{} stands where a schema should", place.json)));
                }
            };
            return Ok(Self {
                form,
                place,
                attributes: None,
            });
        };
        let mut forms = Forms {
            place,
            members,
            dialect,
            found: Vec::new(),
        };
        forms.collect()?;
        let form = match forms.found.len() {
            0 => Form::Anything,
            1 => forms.found.remove(0),
            _ => Form::All(forms.found.into_iter().map(|form| part(form, place)).collect()),
        };
        Ok(Self {
            form,
            place,
            attributes: Some(members),
        })
    }

    /// A text among the attributes.
    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        self.attributes?.get(name)?.as_str()
    }
}

fn part<'a>(form: Form<'a>, place: Place<'a>) -> Schema<'a> {
    Schema {
        form,
        place,
        attributes: None,
    }
}

struct Forms<'a> {
    place: Place<'a>,
    members: &'a Members,
    dialect: Dialect,
    found: Vec<Form<'a>>,
}

impl<'a> Forms<'a> {
    fn collect(&mut self) -> Result<()> {
        if let Some(reference) = self.members.get("$ref") {
            let text = reference.as_str();
            let text = text.ok_or_else(|| Error::data(format!("the $ref {reference} is no text")))?;
            self.found.push(Form::Reference(text));
            // Up to draft 7 what stands beside it does not count.
            if self.dialect != Dialect::Modern {
                return Ok(());
            }
        }
        if self.dialect == Dialect::Modern {
            for word in ["$dynamicRef", "$recursiveRef"] {
                if self.members.contains_key(word) {
                    return Err(Error::data(format!(
                        "there is a {word}, which no schema of Connect can stand for"
                    )));
                }
            }
        }
        if let Some(values) = self.members.get("enum") {
            let values = values.as_array();
            let values = values.ok_or_else(|| Error::data("an enum is no array"))?;
            self.found.push(Form::Enumeration(values));
        }
        self.combined()?;
        if self.members.contains_key("not") {
            self.found.push(Form::Other("not"));
        }
        if let Some(constant) = self.members.get("const").filter(|_| self.dialect != Dialect::Draft4) {
            self.found.push(Form::Constant(constant));
        }
        let typed = self.types()?;
        self.untyped(&typed);
        Ok(())
    }

    fn combined(&mut self) -> Result<()> {
        let words: Vec<&str> = ["allOf", "anyOf", "oneOf"]
            .into_iter()
            .filter(|word| self.members.contains_key(*word))
            .collect();
        for place in hash_order::order(&words, 16) {
            let word = words[place];
            let all = self.members.get(word).and_then(Json::as_array);
            let all = all.ok_or_else(|| Error::data(format!("{word} is no array")))?;
            let all = all.iter().map(|json| Schema::of(self.place.within(json), self.dialect));
            let all = all.collect::<Result<Vec<_>>>()?;
            self.found.push(match word {
                "allOf" => Form::All(all),
                "anyOf" => Form::Any(all),
                _ => Form::One(all),
            });
        }
        Ok(())
    }

    /// What `type` says; returns the types.
    fn types(&mut self) -> Result<Vec<&'a str>> {
        let Some(stated) = self.members.get("type") else {
            return Ok(Vec::new());
        };
        let unknown = || Error::data(format!("{stated} is no type"));
        if let Some(word) = stated.as_str() {
            let form = self.typed(word).ok_or_else(unknown)?;
            self.found.push(form);
            return Ok(vec![word]);
        }
        let words = stated.as_array().ok_or_else(unknown)?.iter().map(Json::as_str);
        let words = words.collect::<Option<Vec<_>>>().ok_or_else(unknown)?;
        let forms = words.iter().map(|word| Some(part(self.typed(word)?, self.place)));
        let forms = forms.collect::<Option<Vec<_>>>().ok_or_else(unknown)?;
        self.found.push(Form::Any(forms));
        Ok(words)
    }

    fn typed(&self, word: &str) -> Option<Form<'a>> {
        Some(match word {
            "null" => Form::Null,
            "boolean" => Form::Boolean,
            "integer" => Form::Integer,
            "number" => Form::Number,
            "string" => Form::String,
            "array" => Form::Array(self.members),
            "object" => Form::Object(self.members),
            _ => return None,
        })
    }

    /// What keywords say by themselves, where `type` has not said it.
    fn untyped(&mut self, typed: &[&str]) {
        let has = |words: &[&str]| words.iter().any(|word| self.members.contains_key(*word));
        let is = |word: &str| typed.contains(&word);
        let members = self.members;
        let mut found = Vec::new();
        if has(&OF_ARRAYS) && !is("array") {
            found.push(Form::Array(members));
        }
        if has(&OF_OBJECTS) && !is("object") {
            found.push(Form::Object(members));
        }
        if has(&OF_NUMBERS) && !is("number") && !is("integer") {
            found.push(Form::Number);
        }
        // A format says nothing in modern dialects.
        let of_strings = if self.dialect == Dialect::Modern {
            &OF_STRINGS[..3]
        } else {
            &OF_STRINGS[..]
        };
        if has(of_strings) && !is("string") {
            found.push(Form::String);
        }
        if self.dialect != Dialect::Draft4 && has(&["if", "then", "else"]) {
            found.push(Form::Other("if"));
        }
        self.found.append(&mut found);
    }
}
