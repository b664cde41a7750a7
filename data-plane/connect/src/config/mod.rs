//! What a plugin says about its configuration, and how a configuration is checked against it.
//!
//! [`ConfigDef`] is a list of [`ConfigKey`]s. `parse` is strict and yields a [`ParsedConfig`]; `validate_all` finds every
//! problem and feeds the REST API. The rules and texts are those of Kafka's `ConfigDef`.

mod definition;
mod embedded;
mod key;
mod parsed;
mod validators;
mod value;

/// A configuration as the user wrote it. Unknown keys are legal.
pub type ConfigMap = std::collections::BTreeMap<String, String>;

pub use self::definition::{ClassResolver, ConfigDef, ConfigInfoValue};
pub use self::key::{ConfigKey, Importance, Recommender, Width};
pub use self::parsed::ParsedConfig;
pub use self::validators::{
    CaseInsensitiveValidString, Composite, Lambda, ListSize, NonEmptyString, NonEmptyStringWithoutControlChars,
    NonNull, Range, Regex, UniqueList, ValidList, ValidString, Validator,
};
pub use self::value::{ConfigType, ConfigValue, Password};

#[cfg(test)]
mod tests;
