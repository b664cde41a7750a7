//! Finds the value a text stands for.

use super::convert::convert_to;
use super::merge::SchemaMerger;
use super::number::parse_number;
use super::temporal::parse_temporal;
use super::tokens::{Tokens, is_blank, trim};
use crate::error::{Error, Result};
use crate::schema::{Schema, SchemaBuilder, SchemaRef, Type};
use crate::value::{SchemaAndValue, Value};

/// Arrays and maps nested deeper than this are taken as a string. Java's limit is its stack.
const MAX_DEPTH: usize = 256;

/// The value of a text and its schema.
///
/// Numbers, booleans, dates, times and, in JSON-like notation, arrays and maps are recognised; all else is a string. The
/// text `null` is null without a schema. A number or date at the start wins whatever follows: `1,2` is 1.
#[must_use]
pub fn parse_string(text: &str) -> SchemaAndValue {
    if text.is_empty() {
        return string(text);
    }
    let mut parser = Parser {
        tokens: Tokens::new(text),
        depth: 0,
    };
    match parser.parse(false) {
        Ok(Some(found)) => found,
        Ok(None) => SchemaAndValue::NULL,
        // Not reached: outside arrays and maps the parser falls back to a string by itself.
        Err(_) => string(text),
    }
}

fn string(text: &str) -> SchemaAndValue {
    SchemaAndValue::new(Schema::string(), text)
}

struct Parser<'a> {
    tokens: Tokens<'a>,
    depth: usize,
}

impl Parser<'_> {
    /// The next value; none for null. An error says that the text is no value, and what surrounds it is a string then.
    fn parse(&mut self, embedded: bool) -> Result<Option<SchemaAndValue>> {
        if !self.tokens.has_next() {
            return Ok(None);
        }
        if embedded && self.tokens.consume("\"") {
            return Ok(Some(self.quoted_string()));
        }
        if self.literal(embedded, "null") {
            return Ok(None);
        }
        for (text, value) in [("true", true), ("false", false)] {
            if self.literal(embedded, text) {
                return Ok(Some(SchemaAndValue::new(Schema::boolean(), value)));
            }
        }
        let start = self.tokens.mark();
        if self.depth < MAX_DEPTH {
            self.depth += 1;
            let container = self.container();
            self.depth -= 1;
            match container {
                Ok(Some(found)) => return Ok(Some(found)),
                Ok(None) => {}
                Err(_) => self.tokens.rewind(start),
            }
        }
        let token = self.tokens.next();
        if is_blank(token) {
            return Ok(Some(string(token)));
        }
        self.scalar(embedded, trim(token)).map(Some)
    }

    /// An array or a map, if one starts here.
    fn container(&mut self) -> Result<Option<SchemaAndValue>> {
        if self.tokens.consume("[") {
            return self.array().map(Some);
        }
        if self.tokens.consume("{") {
            return self.map().map(Some);
        }
        Ok(None)
    }

    /// Takes `null`, `true` or `false`. Outside of arrays and maps it must end the text: `true}` is a string.
    fn literal(&mut self, embedded: bool, literal: &str) -> bool {
        let start = self.tokens.mark();
        if self.tokens.consume(literal) && (embedded || !self.tokens.has_next()) {
            return true;
        }
        self.tokens.rewind(start);
        false
    }

    fn scalar(&mut self, embedded: bool, token: &str) -> Result<SchemaAndValue> {
        let starts_with_digit = token.starts_with(|c: char| c.is_ascii_digit());
        if starts_with_digit && let Some(temporal) = self.temporal(token) {
            return Ok(temporal);
        }
        if (starts_with_digit || token.starts_with(['+', '-']))
            && let Some(number) = parse_number(token)
        {
            return Ok(number);
        }
        if embedded {
            return Err(Error::data("Failed to parse embedded value"));
        }
        Ok(string(self.tokens.original()))
    }

    /// A temporal value that starts with `token`. The colons of a time make five tokens of it.
    fn temporal(&mut self, token: &str) -> Option<SchemaAndValue> {
        let position = self.tokens.mark();
        if let Some(rest) = self.tokens.next_joined(4)
            && let Some(found) = parse_temporal(&format!("{token}{rest}"))
        {
            return Some(found);
        }
        self.tokens.rewind(position);
        parse_temporal(token)
    }

    /// The text up to the next quote or the end. Escapes stay as they are; a date or time inside is one.
    fn quoted_string(&mut self) -> SchemaAndValue {
        let mut content = String::new();
        while self.tokens.has_next() {
            if self.tokens.consume("\"") {
                break;
            }
            content.push_str(self.tokens.next());
        }
        parse_temporal(&content).unwrap_or_else(|| string(&content))
    }

    fn array(&mut self) -> Result<SchemaAndValue> {
        let mut elements = Vec::new();
        let mut schemas = SchemaMerger::default();
        while self.tokens.has_next() {
            if self.tokens.consume("]") {
                return array_of(&schemas, elements);
            }
            if self.tokens.consume(",") {
                return Err(self.error("Unable to parse an empty array element: "));
            }
            elements.push(merged(&mut schemas, self.parse(true)?));
            let position = self.tokens.mark();
            if self.tokens.consume("]") {
                self.tokens.rewind(position);
            } else if !self.tokens.consume(",") {
                return Err(Error::data("Array elements missing ',' delimiter"));
            }
        }
        Err(self.error("Array is missing terminating ']': "))
    }

    fn map(&mut self) -> Result<SchemaAndValue> {
        let mut entries = Vec::new();
        let mut keys = SchemaMerger::default();
        let mut values = SchemaMerger::default();
        while self.tokens.has_next() {
            if self.tokens.consume("}") {
                return map_of(&keys, &values, entries);
            }
            if self.tokens.consume(",") {
                return Err(self.error("Unable to parse a map entry with no key or value: "));
            }
            let Some(key) = self.parse(true)? else {
                return Err(self.error("Map entry may not have a null key: "));
            };
            if !self.tokens.consume(":") {
                let at = self.tokens.position();
                return Err(self.error(&format!("Map entry is missing ':' at {at} in ")));
            }
            let value = self.parse(true)?;
            self.tokens.consume(",");
            entries.push((merged(&mut keys, Some(key)), merged(&mut values, value)));
        }
        Err(self.error("Map is missing terminating '}': "))
    }

    fn error(&self, what: &str) -> Error {
        Error::data(format!("{what}{}", self.tokens.original()))
    }
}

/// The value, after its schema was merged with those before it.
fn merged(schemas: &mut SchemaMerger, found: Option<SchemaAndValue>) -> Value {
    let Some(found) = found else { return Value::Null };
    if let Some(schema) = &found.schema {
        schemas.merge(schema);
    }
    found.value
}

/// The array with every element converted to the common schema; without one they stay as they are.
fn array_of(schemas: &SchemaMerger, elements: Vec<Value>) -> Result<SchemaAndValue> {
    let Some(element) = schemas.schema() else {
        return Ok(SchemaAndValue::new(SchemaBuilder::of(Type::Array).build()?, elements));
    };
    let aligned: Result<Vec<Value>> = elements.iter().map(|value| convert_to(element, None, value)).collect();
    Ok(SchemaAndValue::new(
        SchemaBuilder::array(element.clone()).build()?,
        aligned?,
    ))
}

fn map_of(keys: &SchemaMerger, values: &SchemaMerger, entries: Vec<(Value, Value)>) -> Result<SchemaAndValue> {
    let (key, value) = (keys.schema(), values.schema());
    let schema = match (key, value) {
        (Some(key), Some(value)) => SchemaBuilder::map(key.clone(), value.clone()).build()?,
        (_, _) => SchemaBuilder::map_of(key.cloned()).build()?,
    };
    // Equal keys are merged before they are converted, and may become equal again after.
    let Value::Map(entries) = Value::map(entries) else {
        return Ok(SchemaAndValue::NULL);
    };
    let mut aligned = Vec::with_capacity(entries.len());
    for (entry_key, entry_value) in entries {
        let entry_value = match (key, value) {
            (Some(_), Some(schema)) => convert_to(schema, None, &entry_value)?,
            (_, _) => entry_value,
        };
        aligned.push((align(key, entry_key)?, entry_value));
    }
    Ok(SchemaAndValue::new(schema, Value::map(aligned)))
}

fn align(schema: Option<&SchemaRef>, value: Value) -> Result<Value> {
    match schema {
        Some(schema) => convert_to(schema, None, &value),
        None => Ok(value),
    }
}
