//! Values of a configuration: their types, how text becomes one, and how one is shown.

use std::fmt;

use crate::error::{Error, Result};
use crate::value::double_to_string;

/// The type of a configuration key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConfigType {
    /// `true` or `false` in any case.
    Boolean,
    /// Text, trimmed.
    String,
    /// 32 bit integer.
    Int,
    /// 16 bit integer.
    Short,
    /// 64 bit integer.
    Long,
    /// 64 bit float.
    Double,
    /// Texts divided by commas.
    List,
    /// The name or alias of a plugin class.
    Class,
    /// Text that is never shown.
    Password,
}

impl ConfigType {
    /// The name in upper case: `INT`, as messages and the REST API show it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Boolean => "BOOLEAN",
            Self::String => "STRING",
            Self::Int => "INT",
            Self::Short => "SHORT",
            Self::Long => "LONG",
            Self::Double => "DOUBLE",
            Self::List => "LIST",
            Self::Class => "CLASS",
            Self::Password => "PASSWORD",
        }
    }
}

impl fmt::Display for ConfigType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A secret. It prints as `[hidden]`; only [`Password::reveal`] shows it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Password(Box<str>);

impl Password {
    /// Hides a text.
    pub fn new(secret: impl Into<Box<str>>) -> Self {
        Self(secret.into())
    }

    /// The secret itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

impl fmt::Display for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

/// A parsed value of a configuration.
#[derive(Clone, Debug, PartialEq)]
pub enum ConfigValue {
    /// No value.
    Null,
    /// A boolean.
    Boolean(bool),
    /// A text.
    String(String),
    /// A 32 bit integer.
    Int(i32),
    /// A 16 bit integer.
    Short(i16),
    /// A 64 bit integer.
    Long(i64),
    /// A 64 bit float.
    Double(f64),
    /// Texts.
    List(Vec<String>),
    /// The full name of a class.
    Class(String),
    /// A secret.
    Password(Password),
}

impl ConfigValue {
    /// Reads a text as a value of a type. Class names are taken as they are; a `ConfigDef` with a resolver looks them up.
    pub fn parse(name: &str, text: &str, kind: ConfigType) -> Result<Self> {
        let trimmed = java_trim(text);
        let not_a_number = || Error::invalid_config(name, Some(text), Some(&format!("Not a number of type {kind}")));
        match kind {
            ConfigType::Boolean if trimmed.eq_ignore_ascii_case("true") => Ok(Self::Boolean(true)),
            ConfigType::Boolean if trimmed.eq_ignore_ascii_case("false") => Ok(Self::Boolean(false)),
            ConfigType::Boolean => Err(Error::invalid_config(
                name,
                Some(text),
                Some("Expected value to be either true or false"),
            )),
            ConfigType::String => Ok(Self::String(trimmed.to_owned())),
            ConfigType::Int => trimmed.parse().map(Self::Int).map_err(|_| not_a_number()),
            ConfigType::Short => trimmed.parse().map(Self::Short).map_err(|_| not_a_number()),
            ConfigType::Long => trimmed.parse().map(Self::Long).map_err(|_| not_a_number()),
            ConfigType::Double => parse_double(trimmed).map(Self::Double).ok_or_else(not_a_number),
            ConfigType::List => Ok(Self::List(split_list(trimmed))),
            ConfigType::Class => Ok(Self::Class(trimmed.to_owned())),
            ConfigType::Password => Ok(Self::Password(Password::new(trimmed))),
        }
    }

    /// The value as a definition of that type holds it: a text is parsed, an integer takes the width of the type.
    pub(super) fn coerce(self, name: &str, kind: ConfigType) -> Result<Self> {
        match (self, kind) {
            (Self::String(text), _) => Self::parse(name, &text, kind),
            (Self::Int(number), ConfigType::Long) => Ok(Self::Long(number.into())),
            (Self::Int(number), ConfigType::Double) => Ok(Self::Double(number.into())),
            (Self::Int(number), ConfigType::Short) => i16::try_from(number).map(Self::Short).map_err(|_| {
                let problem = "Expected value to be a 16-bit integer (short), but it was a java.lang.Integer";
                Error::invalid_config(name, Some(&number.to_string()), Some(problem))
            }),
            (value, _) => Ok(value),
        }
    }

    /// Whether this is null.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The value as the REST API shows it: a list joined by commas, a secret hidden, none for null.
    #[must_use]
    pub fn render(&self) -> Option<String> {
        match self {
            Self::Null => None,
            Self::Boolean(value) => Some(value.to_string()),
            Self::String(value) | Self::Class(value) => Some(value.clone()),
            Self::Int(value) => Some(value.to_string()),
            Self::Short(value) => Some(value.to_string()),
            Self::Long(value) => Some(value.to_string()),
            Self::Double(value) => Some(double_to_string(*value)),
            Self::List(values) => Some(values.join(",")),
            Self::Password(value) => Some(value.to_string()),
        }
    }

    /// The value as Java's `toString` puts it into a validator's message: a list is `[a, b]`, null is `null`.
    #[must_use]
    pub fn java_to_string(&self) -> String {
        match self {
            Self::List(values) => format!("[{}]", values.join(", ")),
            Self::Class(name) => format!("class {name}"),
            Self::Null
            | Self::Boolean(_)
            | Self::String(_)
            | Self::Int(_)
            | Self::Short(_)
            | Self::Long(_)
            | Self::Double(_)
            | Self::Password(_) => self.render().unwrap_or_else(|| "null".to_owned()),
        }
    }
}

/// Java's `String.trim`: everything up to the space is cut, other white space is not.
fn java_trim(text: &str) -> &str {
    text.trim_matches(|c: char| c <= ' ')
}

/// Splits at commas with the white space around them; an empty text is an empty list, empty elements stay.
fn split_list(trimmed: &str) -> Vec<String> {
    if trimmed.is_empty() {
        return Vec::new();
    }
    // The white space of a Java regular expression.
    let is_space = |c: char| matches!(c, ' ' | '\t' | '\n' | '\x0b' | '\x0c' | '\r');
    let parts: Vec<&str> = trimmed.split(',').collect();
    let last = parts.len() - 1;
    let mut elements = Vec::with_capacity(parts.len());
    for (i, mut part) in parts.into_iter().enumerate() {
        if i > 0 {
            part = part.trim_start_matches(is_space);
        }
        if i < last {
            part = part.trim_end_matches(is_space);
        }
        elements.push(part.to_owned());
    }
    elements
}

/// Java's `Double.parseDouble` without its hexadecimal form: a suffix d or f is legal, `NaN` and `Infinity` are
/// spelled so and not otherwise.
fn parse_double(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let negative = text.starts_with('-');
    let value = match unsigned {
        "NaN" => f64::NAN,
        "Infinity" => f64::INFINITY,
        _ => {
            let digits = unsigned.strip_suffix(['d', 'D', 'f', 'F']).unwrap_or(unsigned);
            if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
                return None;
            }
            digits.parse().ok()?
        }
    };
    Some(if negative { -value } else { value })
}

macro_rules! from {
    ($($ty:ty, $value:ident => $out:expr;)*) => {
        $(
            impl From<$ty> for ConfigValue {
                fn from($value: $ty) -> Self {
                    $out
                }
            }
        )*
    };
}

from! {
    bool, v => Self::Boolean(v);
    i16, v => Self::Short(v);
    i32, v => Self::Int(v);
    i64, v => Self::Long(v);
    f64, v => Self::Double(v);
    &str, v => Self::String(v.to_owned());
    String, v => Self::String(v);
    Vec<String>, v => Self::List(v);
    Password, v => Self::Password(v);
}
