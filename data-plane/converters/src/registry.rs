//! Which converters there are, by class name and by Connect's aliases.

use dray_connect::{ConfigMap, Error, Result};

use crate::header::{AsHeaderConverter, SIMPLE_CLASS, SimpleHeaderConverter};
use crate::number::{Number, NumberConverter};
use crate::{BooleanConverter, ByteArrayConverter, Converter, HeaderConverter, JsonConverter, StringConverter};
use crate::{avro, binary, boolean, json, json_schema, protobuf, string};

/// The class names that [`converter`] knows; each but those of [`WITH_REGISTRY`] is a header converter as well.
pub const CLASSES: &[&str] = &[
    avro::CLASS,
    binary::CLASS,
    boolean::CLASS,
    json_schema::CLASS,
    "org.apache.kafka.connect.converters.DoubleConverter",
    "org.apache.kafka.connect.converters.FloatConverter",
    "org.apache.kafka.connect.converters.IntegerConverter",
    "org.apache.kafka.connect.converters.LongConverter",
    "org.apache.kafka.connect.converters.ShortConverter",
    json::CLASS,
    protobuf::CLASS,
    string::CLASS,
];

/// Those of [`CLASSES`] whose schemas are in a schema registry.
pub const WITH_REGISTRY: &[&str] = &[avro::CLASS, json_schema::CLASS, protobuf::CLASS];

/// The class names that only [`header_converter`] knows.
pub const HEADER_CLASSES: &[&str] = &[SIMPLE_CLASS];

/// The full name of a converter or header converter that is named by class or alias; none when there is none.
#[must_use]
pub fn class_name(class: &str) -> Option<&'static str> {
    if is_simple(class) {
        Some(SIMPLE_CLASS)
    } else {
        find(class)
    }
}

/// A converter by its class name or alias (`JsonConverter`, `Json`), configured with its own keys: the prefix
/// `key.converter.` or `value.converter.` is off.
pub fn converter(class: &str, config: &ConfigMap, is_key: bool) -> Result<Box<dyn Converter>> {
    let key = if is_key { "key.converter" } else { "value.converter" };
    match find(class) {
        Some(found) => build(found, config, is_key),
        None => Err(not_found(key, class)),
    }
}

/// A header converter by its class name or alias (`SimpleHeaderConverter`, `Simple`, or any of [`converter`] without a registry).
pub fn header_converter(class: &str, config: &ConfigMap) -> Result<Box<dyn HeaderConverter>> {
    if is_simple(class) {
        return Ok(Box::new(SimpleHeaderConverter));
    }
    match find(class) {
        Some(found) if WITH_REGISTRY.contains(&found) => Err(Error::invalid_config(
            "header.converter",
            Some(class),
            Some(&format!(
                "Class class {found} does not implement the HeaderConverter interface"
            )),
        )),
        Some(found) => Ok(Box::new(AsHeaderConverter::new(build(found, config, false)?))),
        None => Err(not_found("header.converter", class)),
    }
}

fn is_simple(class: &str) -> bool {
    [SIMPLE_CLASS, "SimpleHeaderConverter", "Simple"].contains(&class.trim())
}

/// The full name of a class that was given in full, by its simple name, by that without `Converter`, or as Apicurio calls it.
fn find(class: &str) -> Option<&'static str> {
    let class = class.trim();
    if class == avro::APICURIO_CLASS {
        return Some(avro::CLASS);
    }
    CLASSES.iter().copied().find(|full| {
        let simple = full.rsplit('.').next().unwrap_or(full);
        class == *full || class == simple || Some(class) == simple.strip_suffix("Converter")
    })
}

fn build(class: &'static str, config: &ConfigMap, is_key: bool) -> Result<Box<dyn Converter>> {
    let numbers = [
        Number::Short,
        Number::Integer,
        Number::Long,
        Number::Float,
        Number::Double,
    ];
    if let Some(kind) = numbers.into_iter().find(|kind| kind.class() == class) {
        return Ok(Box::new(NumberConverter::new(kind)));
    }
    Ok(match class {
        avro::CLASS => avro::converter(config, is_key)?,
        binary::CLASS => Box::new(ByteArrayConverter::default()),
        boolean::CLASS => Box::new(BooleanConverter::default()),
        json::CLASS => Box::new(JsonConverter::new(config)?),
        json_schema::CLASS => json_schema::converter(config, is_key)?,
        protobuf::CLASS => protobuf::converter(config, is_key)?,
        _ => Box::new(StringConverter::new(config)?),
    })
}

fn not_found(key: &str, class: &str) -> Error {
    Error::invalid_config(key, Some(class), Some(&format!("Class {class} could not be found.")))
}
