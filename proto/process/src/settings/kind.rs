//! What a setting may be, as text (flags, environment) and in YAML.

use serde_json::{Map, Value};

/// What a setting may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text that is not empty.
    Text,
    /// A path of a file or folder; a text.
    File,
    /// A whole number from 0.
    Number,
    /// `true` or `false`.
    Flag,
    /// A time: `500ms`, `5s`, `10m`, `1h`. Read with [`mod@duration`].
    Duration,
    /// One of these.
    Choice(&'static [&'static str]),
    /// Texts; as one text: with commas.
    List,
    /// Keys with texts; as one text: `key=value,key=value`.
    Map,
}

/// For `#[serde(with = "dray_process::settings::duration")]`: a setting of [`Kind::Duration`].
pub mod duration {
    use serde::{Deserialize, Deserializer};
    use std::time::Duration;

    /// Reads it.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}

impl Kind {
    /// How the help shows a value.
    pub(super) fn placeholder(self) -> &'static str {
        match self {
            Self::Text => "TEXT",
            Self::File => "PATH",
            Self::Number => "NUMBER",
            Self::Flag => "BOOL",
            Self::Duration => "TIME",
            Self::Choice(_) => "WORD",
            Self::List => "TEXT,...",
            Self::Map => "KEY=VALUE,...",
        }
    }

    /// For messages and the help.
    pub(super) fn expected(self) -> String {
        match self {
            Self::Text => "a text that is not empty".into(),
            Self::File => "a path".into(),
            Self::Number => "a whole number from 0".into(),
            Self::Flag => "true or false".into(),
            Self::Duration => "a time such as 500ms, 5s, 10m or 1h".into(),
            Self::Choice(choices) => format!("one of {}", choices.join(", ")),
            Self::List => "a list of texts that are not empty".into(),
            Self::Map => "keys with texts (key=value,key=value)".into(),
        }
    }

    /// Reads a text; what was expected, when it is something else.
    pub(super) fn read(self, text: &str) -> Result<Value, String> {
        let expected = || self.expected();
        let parts = || text.split(',').map(str::trim).filter(|part| !part.is_empty());
        Ok(match self {
            Self::Text | Self::File if text.trim().is_empty() => return Err(expected()),
            Self::Text | Self::File => text.into(),
            Self::Number => text.parse::<u64>().map_err(|_| expected())?.into(),
            Self::Flag => text.parse::<bool>().map_err(|_| expected())?.into(),
            Self::Duration => milliseconds(text).ok_or_else(expected)?.into(),
            Self::Choice(choices) => match choices.iter().find(|choice| **choice == text) {
                Some(choice) => (*choice).into(),
                None => return Err(expected()),
            },
            Self::List => parts().map(Value::from).collect::<Vec<Value>>().into(),
            Self::Map => {
                let pair = |part: &str| {
                    let (key, value) = part.split_once('=')?;
                    Some((key.trim().to_owned(), Value::from(value.trim())))
                };
                Value::Object(parts().map(pair).collect::<Option<Map<_, _>>>().ok_or_else(expected)?)
            }
        })
    }

    /// Takes a value of YAML; what was expected, when it is something else.
    pub(super) fn take(self, value: Value) -> Result<Value, String> {
        let expected = || self.expected();
        match (self, value) {
            (_, Value::String(text)) => self.read(&text),
            (Self::Flag, value @ Value::Bool(_)) => Ok(value),
            (Self::Number, Value::Number(number)) => self.read(&number.to_string()),
            // A name may look like a number.
            (Self::Text | Self::File | Self::Choice(_), Value::Number(number)) => self.read(&number.to_string()),
            (Self::List, Value::Array(values)) => {
                let texts = values
                    .into_iter()
                    .map(|value| Self::Text.take(value).map_err(|_| expected()));
                Ok(Value::Array(texts.collect::<Result<_, _>>()?))
            }
            (Self::Map, Value::Object(values)) => {
                let texts = values.into_iter().map(|(key, value)| match value {
                    Value::String(_) => Ok((key, value)),
                    Value::Bool(_) | Value::Number(_) => Ok((key, Value::String(value.to_string()))),
                    Value::Null | Value::Array(_) | Value::Object(_) => Err(expected()),
                });
                Ok(Value::Object(texts.collect::<Result<_, _>>()?))
            }
            (
                Self::Text
                | Self::File
                | Self::Number
                | Self::Flag
                | Self::Duration
                | Self::Choice(_)
                | Self::List
                | Self::Map,
                _,
            ) => Err(expected()),
        }
    }
}

/// A value as a message shows it.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

fn milliseconds(text: &str) -> Option<u64> {
    let unit = text.find(|digit: char| !digit.is_ascii_digit())?;
    let (number, unit) = text.split_at(unit);
    let factor = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}
