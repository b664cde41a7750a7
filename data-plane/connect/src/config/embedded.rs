//! A definition inside another one: names get a prefix, and what was written for the bare names keeps seeing those.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::key::{ConfigKey, Recommender};
use super::validators::Validator;
use super::value::ConfigValue;
use crate::error::Result;

/// The key as part of another definition. Messages of its validator name it without the prefix, as Connect's do.
pub(super) fn embed(key: &ConfigKey, prefix: &str, group: &str, order: i32) -> ConfigKey {
    let mut key = key.clone();
    let prefix: Arc<str> = prefix.into();
    key.display_name = Some(key.get_display_name().to_owned());
    key.name = format!("{prefix}{}", key.name);
    key.group = Some(match &key.group {
        Some(own) => format!("{group}: {own}"),
        None => group.to_owned(),
    });
    key.order = order;
    key.dependents = key.dependents.iter().map(|name| format!("{prefix}{name}")).collect();
    key.validator = key.validator.map(|inner| -> Arc<dyn Validator> {
        Arc::new(Unprefixed {
            prefix: Arc::clone(&prefix),
            inner,
        })
    });
    key.recommender = key.recommender.map(|inner| -> Arc<dyn Recommender> {
        Arc::new(Unprefixed {
            prefix: Arc::clone(&prefix),
            inner,
        })
    });
    key
}

/// Cuts the prefix off every name before `inner` sees it.
#[derive(Debug)]
struct Unprefixed<T: ?Sized> {
    prefix: Arc<str>,
    inner: Arc<T>,
}

impl<T: ?Sized> Unprefixed<T> {
    fn cut<'a>(&self, name: &'a str) -> &'a str {
        name.strip_prefix(&*self.prefix).unwrap_or(name)
    }

    fn own(&self, parsed: &BTreeMap<String, ConfigValue>) -> BTreeMap<String, ConfigValue> {
        let cut = |(name, value): (&String, &ConfigValue)| {
            name.strip_prefix(&*self.prefix)
                .map(|name| (name.to_owned(), value.clone()))
        };
        parsed.iter().filter_map(cut).collect()
    }
}

impl Validator for Unprefixed<dyn Validator> {
    fn ensure_valid(&self, name: &str, value: &ConfigValue) -> Result<()> {
        self.inner.ensure_valid(self.cut(name), value)
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }
}

impl Recommender for Unprefixed<dyn Recommender> {
    fn valid_values(&self, name: &str, parsed: &BTreeMap<String, ConfigValue>) -> Result<Vec<ConfigValue>> {
        self.inner.valid_values(self.cut(name), &self.own(parsed))
    }

    fn visible(&self, name: &str, parsed: &BTreeMap<String, ConfigValue>) -> bool {
        self.inner.visible(self.cut(name), &self.own(parsed))
    }
}
