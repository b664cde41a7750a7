//! Debezium's transformations, under Debezium's names and with its keys, as of Debezium 3.7: what they have in common.
//!
//! They work on change events: structs with `before`, `after`, `source` and `op` whose schema's name ends in `.Envelope`.
//! Whatever else comes, heartbeats and schema changes for instance, passes as it is.

mod by_logical_table_router;
mod event_router;
mod extract_new_record_state;
mod timezone_converter;

use dray_connect::config::{ConfigKey, ConfigType, ConfigValue, Importance, Lambda, ParsedConfig, Width};
use dray_connect::datum::{Datum, ValueRef};
use dray_connect::pattern::Pattern;
use dray_connect::schema::{Field, SchemaRef, Type};
use dray_connect::{Error, Result};

use crate::registry::TransformationKind;
use crate::{ConnectRecord, Side};

/// Those of `io.debezium.transforms`.
pub(super) const KINDS: &[TransformationKind] = &[
    by_logical_table_router::KIND,
    by_logical_table_router::TO_LOGICAL_TOPIC,
    extract_new_record_state::KIND,
    timezone_converter::KIND,
];

/// Those of `io.debezium.transforms.outbox`.
pub(super) const OUTBOX: &[TransformationKind] = &[event_router::KIND];

/// Fields of a change event.
const BEFORE: &str = "before";
const AFTER: &str = "after";
const SOURCE: &str = "source";
const OP: &str = "op";

/// Whether the record's value is a change event, by the name of its schema.
fn is_envelope(record: &ConnectRecord<'_>) -> bool {
    let name = record.schema(Side::Value).and_then(|schema| schema.name());
    name.is_some_and(|name| name.ends_with(".Envelope"))
}

/// A key with all that Debezium says about one.
fn key(
    (name, display_name): (&str, &str),
    kind: ConfigType,
    (width, importance): (Width, Importance),
    doc: &str,
) -> ConfigKey {
    ConfigKey::new(name, kind)
        .default_null()
        .display_name(display_name)
        .width(width)
        .importance(importance)
        .order(1)
        .doc(doc)
}

/// A key's text as it was written, or its default: Debezium trims nothing.
fn raw<'c>(config: &'c ParsedConfig, key: &str) -> Option<&'c str> {
    let written = config.originals().get(key).map(String::as_str);
    written.or_else(|| config.string(key))
}

/// A validator of one of these words, in whatever case and with blanks around it.
fn one_of(words: &'static [&'static str]) -> Lambda {
    let list = words.join(", ");
    Lambda::new(format!("[{list}]"), move |name, value| {
        if let ConfigValue::String(text) = value
            && word(words, text).is_none()
        {
            let problem = format!("Value must be one of {}", words.join(", "));
            return Err(Error::invalid_config(name, Some(text), Some(&problem)));
        }
        Ok(())
    })
}

/// The word that the text is, in whatever case and with blanks around it.
fn word(words: &'static [&'static str], text: &str) -> Option<&'static str> {
    let text = text.trim();
    words.iter().copied().find(|word| word.eq_ignore_ascii_case(text))
}

/// The word that a key is set to; the validator has seen that it is one.
fn chosen(words: &'static [&'static str], config: &ParsedConfig, key: &str) -> &'static str {
    let text = config.string(key).unwrap_or_default();
    word(words, text).unwrap_or(words[0])
}

fn compile(key: &str, regex: &str) -> Result<Pattern> {
    Pattern::compile(regex).map_err(|error| {
        let problem = format!("The '{key}' value is invalid: A valid regular expressions is expected, but {error}");
        Error::invalid_config(key, Some(regex), Some(&problem))
    })
}

/// `Struct.lookupField`: the field of that name.
fn field<'s>(schema: &'s SchemaRef, name: &str) -> Result<&'s Field> {
    let field = schema.field(name);
    field.ok_or_else(|| Error::data(format!("{name} is not a valid field name")))
}

/// The field of that name, which must be of that type: what `Struct.getString` and its like ask for.
fn typed<'s>(schema: &'s SchemaRef, name: &str, kind: Type) -> Result<&'s Field> {
    let field = field(schema, name)?;
    if field.schema.type_() != kind {
        return Err(Error::data(format!("Field '{name}' is not of type {kind}")));
    }
    Ok(field)
}

/// The schema of a field of a change event that cannot be cast to what is asked for.
#[cold]
fn wrong_class(name: &str, value: ValueRef<'_>, expected: &str) -> Error {
    Error::data(format!(
        "field {name} holds {} where {expected} was expected",
        value.java_class()
    ))
}

/// Refuses null in a required field, as `Struct.put` does it while a transformation of Java copies field by field.
fn refuse_null(schema: &SchemaRef, values: &[Datum]) -> Result<()> {
    for (field, value) in schema.fields()?.iter().zip(values) {
        if matches!(value, Datum::Null) && !field.schema.optional() {
            return dray_connect::schema::validate_field(&field.name, &field.schema, ValueRef::Null);
        }
    }
    Ok(())
}

/// What is blank to Java: nothing but white space.
fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

/// `String.split` at one character: empty parts at the end are dropped, an empty text has one part.
fn split(text: &str, at: char) -> Vec<&str> {
    if text.is_empty() {
        return vec![text];
    }
    let mut parts: Vec<&str> = text.split(at).collect();
    while parts.last().is_some_and(|last| last.is_empty()) {
        parts.pop();
    }
    parts
}
