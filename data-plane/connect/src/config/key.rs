//! One key of a configuration definition.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::validators::Validator;
use super::value::{ConfigType, ConfigValue};
use crate::error::Result;

/// How much a key matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Importance {
    /// Set it.
    High,
    /// Look at it.
    Medium,
    /// Leave it.
    Low,
}

impl Importance {
    /// The name in upper case, as the REST API shows it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::High => "HIGH",
            Self::Medium => "MEDIUM",
            Self::Low => "LOW",
        }
    }
}

/// How wide a form should draw the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Width {
    /// Not said.
    None,
    /// Short.
    Short,
    /// Medium.
    Medium,
    /// Long.
    Long,
}

impl Width {
    /// The name in upper case, as the REST API shows it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Short => "SHORT",
            Self::Medium => "MEDIUM",
            Self::Long => "LONG",
        }
    }
}

/// Tells, from the rest of a configuration, which values a key can take and whether it applies at all.
pub trait Recommender: fmt::Debug + Send + Sync {
    /// The values that make sense. A configuration error is added to the key's errors.
    fn valid_values(&self, name: &str, parsed: &BTreeMap<String, ConfigValue>) -> Result<Vec<ConfigValue>>;

    /// Whether the key applies.
    fn visible(&self, name: &str, parsed: &BTreeMap<String, ConfigValue>) -> bool;
}

/// The definition of one key. A key without a default must be set.
#[derive(Clone, Debug)]
pub struct ConfigKey {
    pub(super) name: String,
    pub(super) kind: ConfigType,
    pub(super) doc: String,
    pub(super) default: Option<ConfigValue>,
    pub(super) validator: Option<Arc<dyn Validator>>,
    pub(super) importance: Importance,
    pub(super) group: Option<String>,
    pub(super) order: i32,
    pub(super) width: Width,
    pub(super) display_name: Option<String>,
    pub(super) dependents: Vec<String>,
    pub(super) recommender: Option<Arc<dyn Recommender>>,
    pub(super) internal: bool,
}

impl ConfigKey {
    /// A key that must be set, of medium importance, in no group.
    #[must_use]
    pub fn new(name: impl Into<String>, kind: ConfigType) -> Self {
        Self {
            name: name.into(),
            kind,
            doc: String::new(),
            default: None,
            validator: None,
            importance: Importance::Medium,
            group: None,
            order: -1,
            width: Width::None,
            display_name: None,
            dependents: Vec::new(),
            recommender: None,
            internal: false,
        }
    }

    /// The value when the key is not set. A text is parsed as the key's type.
    #[must_use]
    pub fn default_value(mut self, value: impl Into<ConfigValue>) -> Self {
        self.default = Some(value.into());
        self
    }

    /// The key need not be set and is null then.
    #[must_use]
    pub fn default_null(mut self) -> Self {
        self.default = Some(ConfigValue::Null);
        self
    }

    /// The check of its value; it sees null too.
    #[must_use]
    pub fn validator(mut self, validator: impl Validator + 'static) -> Self {
        self.validator = Some(Arc::new(validator));
        self
    }

    /// How much the key matters.
    #[must_use]
    pub fn importance(mut self, importance: Importance) -> Self {
        self.importance = importance;
        self
    }

    /// What the key is for.
    #[must_use]
    pub fn doc(mut self, doc: impl Into<String>) -> Self {
        self.doc = doc.into();
        self
    }

    /// The group the key is shown in, and its place there.
    #[must_use]
    pub fn group(mut self, group: impl Into<String>, order: i32) -> Self {
        self.group = Some(group.into());
        self.order = order;
        self
    }

    /// The place in the group; -1 when not said.
    #[must_use]
    pub fn order(mut self, order: i32) -> Self {
        self.order = order;
        self
    }

    /// How wide a form should draw the input.
    #[must_use]
    pub fn width(mut self, width: Width) -> Self {
        self.width = width;
        self
    }

    /// The name shown to people; the key's name when not said.
    #[must_use]
    pub fn display_name(mut self, name: impl Into<String>) -> Self {
        self.display_name = Some(name.into());
        self
    }

    /// The keys whose recommendations depend on this one.
    #[must_use]
    pub fn dependents<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.dependents = names.into_iter().map(Into::into).collect();
        self
    }

    /// What recommends values for this key.
    #[must_use]
    pub fn recommender(mut self, recommender: impl Recommender + 'static) -> Self {
        self.recommender = Some(Arc::new(recommender));
        self
    }

    /// The key is not shown in documentation; it is checked like any other.
    #[must_use]
    pub fn internal(mut self) -> Self {
        self.internal = true;
        self
    }
}

/// What was said about the key.
impl ConfigKey {
    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The type.
    #[must_use]
    pub fn type_(&self) -> ConfigType {
        self.kind
    }

    /// The documentation.
    #[must_use]
    pub fn get_doc(&self) -> &str {
        &self.doc
    }

    /// The default; null is a default as well, and none means that the key must be set.
    #[must_use]
    pub fn get_default(&self) -> Option<&ConfigValue> {
        self.default.as_ref()
    }

    /// Whether the key must be set.
    #[must_use]
    pub fn is_required(&self) -> bool {
        self.default.is_none()
    }

    /// The validator.
    #[must_use]
    pub fn get_validator(&self) -> Option<&dyn Validator> {
        self.validator.as_deref()
    }

    /// The importance.
    #[must_use]
    pub fn get_importance(&self) -> Importance {
        self.importance
    }

    /// The group.
    #[must_use]
    pub fn get_group(&self) -> Option<&str> {
        self.group.as_deref()
    }

    /// The place in the group.
    #[must_use]
    pub fn get_order(&self) -> i32 {
        self.order
    }

    /// The width.
    #[must_use]
    pub fn get_width(&self) -> Width {
        self.width
    }

    /// The name shown to people.
    #[must_use]
    pub fn get_display_name(&self) -> &str {
        self.display_name.as_deref().unwrap_or(&self.name)
    }

    /// The keys whose recommendations depend on this one.
    #[must_use]
    pub fn get_dependents(&self) -> &[String] {
        &self.dependents
    }

    /// Whether the key is internal.
    #[must_use]
    pub fn is_internal(&self) -> bool {
        self.internal
    }
}
