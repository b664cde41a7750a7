//! The configuration of the datagen source.

use dray_connect::config::{
    ConfigDef, ConfigKey, ConfigMap, ConfigType, ConfigValue, Importance, NonEmptyString, Range, ValidString,
};
use dray_connect::{Error, Result};
use std::num::NonZeroU64;
use std::sync::Arc;

/// The longest text: beyond what any broker takes by default, so that refused records can be tried out.
const MAX_VALUE_BYTES: i32 = 16 << 20;

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A STRING.
    Text,
    /// A STRUCT with fields of several types.
    Struct,
}

/// What a key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// There is none.
    None,
    /// The record's number as a STRING.
    Sequence,
}

/// What the source generates.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) topic: Arc<str>,
    /// Records a second; none is as fast as they are taken.
    pub(crate) rate: Option<NonZeroU64>,
    /// Records in all, over all restarts; none is without end.
    pub(crate) count: Option<NonZeroU64>,
    pub(crate) value_bytes: usize,
    pub(crate) shape: Shape,
    pub(crate) seed: u64,
    pub(crate) key: Key,
    /// Which of the connector's tasks this is: each has records of its own.
    pub(crate) task: u32,
}

/// Set by the connector, where it has several tasks.
pub(crate) const TASK: &str = "task.id";

/// The keys.
pub(crate) fn definition() -> ConfigDef {
    let at_least_zero = || Range::at_least(ConfigValue::Long(0));
    ConfigDef::new()
        .define(
            ConfigKey::new("topic", ConfigType::String)
                .validator(NonEmptyString)
                .importance(Importance::High)
                .doc("The topic to publish records to"),
        )
        .define(
            ConfigKey::new("rate", ConfigType::Long)
                .default_value(100_i64)
                .validator(at_least_zero())
                .importance(Importance::High)
                .doc("Records a second; 0 means as fast as they are taken"),
        )
        .define(
            ConfigKey::new("count", ConfigType::Long)
                .default_value(0_i64)
                .validator(at_least_zero())
                .importance(Importance::High)
                .doc("Records in all, over all restarts; 0 means without end"),
        )
        .define(
            ConfigKey::new("value.bytes", ConfigType::Int)
                .default_value(100)
                .validator(Range::between(ConfigValue::Int(0), ConfigValue::Int(MAX_VALUE_BYTES)))
                .importance(Importance::Medium)
                .doc("Size of the text of a value in bytes"),
        )
        .define(
            ConfigKey::new("schema", ConfigType::String)
                .default_value("text")
                .validator(ValidString::of(["text", "struct"]))
                .importance(Importance::Medium)
                .doc("What a value is: a text, or a struct with fields of several types"),
        )
        .define(
            ConfigKey::new("key", ConfigType::String)
                .default_value("none")
                .validator(ValidString::of(["none", "sequence"]))
                .importance(Importance::Medium)
                .doc("What a key is: none, or the number of the record as text"),
        )
        .define(
            ConfigKey::new("tasks", ConfigType::Int)
                .default_value(1)
                .validator(Range::at_least(ConfigValue::Int(1)))
                .importance(Importance::Medium)
                .doc("How many tasks generate records, each at the rate and up to the count; tasks.max is the limit"),
        )
        .define(
            ConfigKey::new("seed", ConfigType::Long)
                .default_value(0_i64)
                .importance(Importance::Low)
                .doc("Records are a function of this number and of their own number"),
        )
}

impl Plan {
    pub(crate) fn new(config: &ConfigMap) -> Result<Self> {
        let parsed = definition().parse(config)?;
        let unsigned = |key: &str| {
            parsed
                .long(key)
                .map(|number| NonZeroU64::new(number.try_into().unwrap_or(0)))
        };
        Ok(Self {
            topic: parsed
                .string("topic")
                .ok_or_else(|| Error::config("topic has no value"))?
                .into(),
            rate: unsigned("rate")?,
            count: unsigned("count")?,
            value_bytes: usize::try_from(parsed.int("value.bytes")?).unwrap_or(0),
            shape: if parsed.string("schema") == Some("struct") {
                Shape::Struct
            } else {
                Shape::Text
            },
            seed: parsed.long("seed")?.cast_unsigned(),
            key: if parsed.string("key") == Some("sequence") {
                Key::Sequence
            } else {
                Key::None
            },
            task: match config.get(TASK) {
                Some(task) => task
                    .parse()
                    .map_err(|_| Error::config(format!("{TASK} is set by the connector, and cannot be {task}")))?,
                None => 0,
            },
        })
    }
}
