//! The validators that come with a configuration definition.

use std::collections::HashSet;
use std::fmt;

use super::value::ConfigValue;
use crate::error::{Error, Result};
use crate::pattern::Pattern;

/// Checks one value of a configuration.
pub trait Validator: fmt::Debug + Send + Sync {
    /// Fails with a configuration error when the value is wrong. It is called with null too: when that is the default,
    /// and in validation after the value could not be read.
    fn ensure_valid(&self, name: &str, value: &ConfigValue) -> Result<()>;

    /// The values that pass, in words for documentation.
    fn describe(&self) -> String;

    /// Whether `parse` takes repetition out of a list before it asks this validator. `validate_all` leaves it in, so that
    /// the validator reports it.
    fn removes_repetition(&self) -> bool {
        false
    }
}

/// Refuses the value.
fn refuse(name: &str, value: &ConfigValue, problem: &str) -> Result<()> {
    Err(Error::invalid_config(
        name,
        Some(&value.java_to_string()),
        Some(problem),
    ))
}

/// The text of a value. Null is none; a value of another type is a mistake in the definition.
fn text<'a>(name: &str, value: &'a ConfigValue) -> Result<Option<&'a str>> {
    match value {
        ConfigValue::Null => Ok(None),
        ConfigValue::String(text) => Ok(Some(text)),
        ConfigValue::Boolean(_)
        | ConfigValue::Int(_)
        | ConfigValue::Short(_)
        | ConfigValue::Long(_)
        | ConfigValue::Double(_)
        | ConfigValue::List(_)
        | ConfigValue::Class(_)
        | ConfigValue::Password(_) => Err(Error::connect(format!("the validator of {name} is one of strings"))),
    }
}

/// The elements of a list; null counts as empty.
fn elements<'a>(name: &str, value: &'a ConfigValue) -> Result<&'a [String]> {
    match value {
        ConfigValue::Null => Ok(&[]),
        ConfigValue::List(values) => Ok(values),
        ConfigValue::Boolean(_)
        | ConfigValue::String(_)
        | ConfigValue::Int(_)
        | ConfigValue::Short(_)
        | ConfigValue::Long(_)
        | ConfigValue::Double(_)
        | ConfigValue::Class(_)
        | ConfigValue::Password(_) => Err(Error::connect(format!("the validator of {name} is one of lists"))),
    }
}

/// A number between bounds, which belong to the range. Null fails.
#[derive(Clone, Debug)]
pub struct Range {
    min: Option<ConfigValue>,
    max: Option<ConfigValue>,
}

impl Range {
    /// No less than `min`.
    #[must_use]
    pub fn at_least(min: impl Into<ConfigValue>) -> Self {
        Self {
            min: Some(min.into()),
            max: None,
        }
    }

    /// No less than `min` and no more than `max`.
    #[must_use]
    pub fn between(min: impl Into<ConfigValue>, max: impl Into<ConfigValue>) -> Self {
        Self {
            min: Some(min.into()),
            max: Some(max.into()),
        }
    }
}

/// A number as the double Kafka compares.
fn number(value: &ConfigValue) -> Option<f64> {
    match value {
        ConfigValue::Int(v) => Some(f64::from(*v)),
        ConfigValue::Short(v) => Some(f64::from(*v)),
        // Java rounds here as well.
        ConfigValue::Long(v) => Some(*v as f64),
        ConfigValue::Double(v) => Some(*v),
        ConfigValue::Null
        | ConfigValue::Boolean(_)
        | ConfigValue::String(_)
        | ConfigValue::List(_)
        | ConfigValue::Class(_)
        | ConfigValue::Password(_) => None,
    }
}

impl Validator for Range {
    fn ensure_valid(&self, name: &str, value: &ConfigValue) -> Result<()> {
        if value.is_null() {
            return refuse(name, value, "Value must be non-null");
        }
        let Some(found) = number(value) else {
            return Err(Error::connect(format!("the validator of {name} is one of numbers")));
        };
        if let Some(min) = &self.min
            && number(min).is_some_and(|min| found < min)
        {
            return refuse(name, value, &format!("Value must be at least {}", min.java_to_string()));
        }
        if let Some(max) = &self.max
            && number(max).is_some_and(|max| found > max)
        {
            return refuse(
                name,
                value,
                &format!("Value must be no more than {}", max.java_to_string()),
            );
        }
        Ok(())
    }

    fn describe(&self) -> String {
        let bound = |bound: &Option<ConfigValue>| bound.as_ref().map(ConfigValue::java_to_string);
        match (bound(&self.min), bound(&self.max)) {
            (None, None) => "[...]".to_owned(),
            (None, Some(max)) => format!("[...,{max}]"),
            (Some(min), None) => format!("[{min},...]"),
            (Some(min), Some(max)) => format!("[{min},...,{max}]"),
        }
    }
}

fn owned<S: Into<String>>(texts: impl IntoIterator<Item = S>) -> Vec<String> {
    texts.into_iter().map(Into::into).collect()
}

/// One of some texts. Null fails.
#[derive(Clone, Debug)]
pub struct ValidString(Vec<String>);

impl ValidString {
    /// One of these.
    #[must_use]
    pub fn of<S: Into<String>>(texts: impl IntoIterator<Item = S>) -> Self {
        Self(owned(texts))
    }
}

impl Validator for ValidString {
    fn ensure_valid(&self, name: &str, value: &ConfigValue) -> Result<()> {
        let found = text(name, value)?;
        if found.is_some_and(|found| self.0.iter().any(|valid| valid == found)) {
            return Ok(());
        }
        refuse(name, value, &format!("String must be one of: {}", self.0.join(", ")))
    }

    fn describe(&self) -> String {
        format!("[{}]", self.0.join(", "))
    }
}

/// A list of texts that are not empty, each once (KIP-1161). Null fails.
#[derive(Clone, Debug)]
pub struct ValidList {
    /// What an element can be; anything when there is none.
    valid: ValidString,
    may_be_empty: bool,
}

impl ValidList {
    /// Elements out of these, or no element.
    #[must_use]
    pub fn of<S: Into<String>>(texts: impl IntoIterator<Item = S>) -> Self {
        Self {
            valid: ValidString::of(texts),
            may_be_empty: true,
        }
    }

    /// Any elements, but at least one.
    #[must_use]
    pub fn any() -> Self {
        Self {
            may_be_empty: false,
            ..Self::any_or_none()
        }
    }

    /// Any elements, or none.
    #[must_use]
    pub fn any_or_none() -> Self {
        Self::of(<[String; 0]>::default())
    }
}

impl Validator for ValidList {
    fn ensure_valid(&self, name: &str, value: &ConfigValue) -> Result<()> {
        let elements = elements(name, value)?;
        let refuse = |problem: &str| Err(Error::config(format!("Configuration '{name}' {problem}")));
        if value.is_null() {
            return refuse("values must not be null.");
        }
        if elements.is_empty() && !self.may_be_empty {
            return refuse("must not be empty. Valid values include: any non-empty value");
        }
        let mut seen = HashSet::new();
        if !elements.iter().all(|element| seen.insert(element)) {
            return refuse("values must not be duplicated.");
        }
        for element in elements {
            if element.is_empty() {
                return refuse("values must not be empty.");
            }
            if !self.valid.0.is_empty() {
                self.valid.ensure_valid(name, &ConfigValue::String(element.clone()))?;
            }
        }
        Ok(())
    }

    fn describe(&self) -> String {
        if self.valid.0.is_empty() {
            return String::new();
        }
        self.valid.describe()
    }

    fn removes_repetition(&self) -> bool {
        true
    }
}

/// One of some texts, in any case. Null fails.
#[derive(Clone, Debug)]
pub struct CaseInsensitiveValidString(Vec<String>);

impl CaseInsensitiveValidString {
    /// One of these.
    #[must_use]
    pub fn of<S: Into<String>>(texts: impl IntoIterator<Item = S>) -> Self {
        let mut upper: Vec<String> = texts.into_iter().map(|text| text.into().to_uppercase()).collect();
        order_as_java_set(&mut upper);
        Self(upper)
    }
}

/// Brings texts into the order in which a Java `HashSet` of them is walked: messages show it.
fn order_as_java_set(texts: &mut Vec<String>) {
    texts.dedup();
    let mut buckets = 16_u32;
    while texts.len() as f64 > f64::from(buckets) * 0.75 {
        buckets *= 2;
    }
    texts.sort_by_key(|text| {
        let hash = text
            .encode_utf16()
            .fold(0_u32, |hash, unit| hash.wrapping_mul(31).wrapping_add(unit.into()));
        (hash ^ (hash >> 16)) & (buckets - 1)
    });
}

impl Validator for CaseInsensitiveValidString {
    fn ensure_valid(&self, name: &str, value: &ConfigValue) -> Result<()> {
        let found = text(name, value)?.map(str::to_uppercase);
        if found.is_some_and(|found| self.0.contains(&found)) {
            return Ok(());
        }
        refuse(
            name,
            value,
            &format!("String must be one of (case insensitive): {}", self.0.join(", ")),
        )
    }

    fn describe(&self) -> String {
        format!("(case insensitive) [{}]", self.0.join(", "))
    }
}

/// Anything but null.
#[derive(Clone, Copy, Debug)]
pub struct NonNull;

impl Validator for NonNull {
    fn ensure_valid(&self, name: &str, value: &ConfigValue) -> Result<()> {
        if value.is_null() {
            refuse(name, value, "entry must be non null")
        } else {
            Ok(())
        }
    }

    fn describe(&self) -> String {
        "non-null string".to_owned()
    }
}

/// A text that is not empty. Null passes.
#[derive(Clone, Copy, Debug)]
pub struct NonEmptyString;

impl Validator for NonEmptyString {
    fn ensure_valid(&self, name: &str, value: &ConfigValue) -> Result<()> {
        match text(name, value)? {
            Some("") => refuse(name, value, "String must be non-empty"),
            Some(_) | None => Ok(()),
        }
    }

    fn describe(&self) -> String {
        "non-empty string".to_owned()
    }
}

/// A text that is not empty and has no control characters: the name of a connector. Null passes.
#[derive(Clone, Copy, Debug)]
pub struct NonEmptyStringWithoutControlChars;

impl Validator for NonEmptyStringWithoutControlChars {
    fn ensure_valid(&self, name: &str, value: &ConfigValue) -> Result<()> {
        let Some(found) = text(name, value)? else { return Ok(()) };
        if found.is_empty() {
            return refuse(name, value, "String may not be empty");
        }
        let control: Vec<String> = found
            .chars()
            .filter(|c| c.is_control())
            .map(|c| u32::from(c).to_string())
            .collect();
        if control.is_empty() {
            return Ok(());
        }
        let codes = control.join(", ");
        refuse(
            name,
            value,
            &format!("String may not contain control sequences but had the following ASCII chars: {codes}"),
        )
    }

    fn describe(&self) -> String {
        "non-empty string without ISO control characters".to_owned()
    }
}

/// A list of at most so many elements.
#[derive(Clone, Copy, Debug)]
pub struct ListSize(usize);

impl ListSize {
    /// At most `size` elements.
    #[must_use]
    pub fn at_most(size: usize) -> Self {
        Self(size)
    }
}

impl Validator for ListSize {
    fn ensure_valid(&self, name: &str, value: &ConfigValue) -> Result<()> {
        if elements(name, value)?.len() > self.0 {
            return refuse(name, value, &format!("exceeds maximum list size of [{}].", self.0));
        }
        Ok(())
    }

    fn describe(&self) -> String {
        format!("List containing maximum of {} elements", self.0)
    }
}

/// A list in which nothing occurs twice, such as the aliases of transforms. Null fails.
#[derive(Clone, Debug)]
pub struct UniqueList {
    problem: String,
}

impl UniqueList {
    /// Refuses repetition with that text.
    #[must_use]
    pub fn new(problem: impl Into<String>) -> Self {
        Self {
            problem: problem.into(),
        }
    }
}

impl Validator for UniqueList {
    fn ensure_valid(&self, name: &str, value: &ConfigValue) -> Result<()> {
        if value.is_null() {
            return refuse(name, value, "entry must be non null");
        }
        let mut seen = HashSet::new();
        if elements(name, value)?.iter().all(|element| seen.insert(element)) {
            return Ok(());
        }
        refuse(name, value, &self.problem)
    }

    fn describe(&self) -> String {
        "non-null unique list".to_owned()
    }
}

/// A regular expression in Java's syntax. Null is none, with the text that Java's own exception has.
#[derive(Clone, Copy, Debug)]
pub struct Regex;

impl Validator for Regex {
    fn ensure_valid(&self, name: &str, value: &ConfigValue) -> Result<()> {
        let Some(pattern) = text(name, value)? else {
            let problem = "Invalid regex: Cannot invoke \"String.isEmpty()\" because \"this.pattern\" is null";
            return refuse(name, value, problem);
        };
        match Pattern::compile(pattern) {
            Ok(_) => Ok(()),
            Err(error) => refuse(name, value, &format!("Invalid regex: {error}")),
        }
    }

    fn describe(&self) -> String {
        "valid regex".to_owned()
    }
}

/// Some validators in order; the first failure counts.
#[derive(Debug)]
pub struct Composite(Vec<Box<dyn Validator>>);

impl Composite {
    /// All of these.
    #[must_use]
    pub fn of(validators: Vec<Box<dyn Validator>>) -> Self {
        Self(validators)
    }
}

impl Validator for Composite {
    fn ensure_valid(&self, name: &str, value: &ConfigValue) -> Result<()> {
        self.0
            .iter()
            .try_for_each(|validator| validator.ensure_valid(name, value))
    }

    fn describe(&self) -> String {
        let parts: Vec<String> = self.0.iter().map(|validator| validator.describe()).collect();
        parts.join(", ")
    }
}

/// Gets the key's name and its value.
type Check = dyn Fn(&str, &ConfigValue) -> Result<()> + Send + Sync;

/// A check written as a function, for what the others do not cover.
pub struct Lambda {
    check: Box<Check>,
    description: String,
}

impl Lambda {
    /// Runs `check` with the key's name and value.
    pub fn new(
        description: impl Into<String>,
        check: impl Fn(&str, &ConfigValue) -> Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self {
            check: Box::new(check),
            description: description.into(),
        }
    }
}

impl fmt::Debug for Lambda {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lambda").field(&self.description).finish()
    }
}

impl Validator for Lambda {
    fn ensure_valid(&self, name: &str, value: &ConfigValue) -> Result<()> {
        (self.check)(name, value)
    }

    fn describe(&self) -> String {
        self.description.clone()
    }
}
