//! A configuration whose references have their values, and the way back.

use crate::variable::variables;
use dray_connect::{ConfigMap, Error, Result};
use dray_process::hidden::SHORTEST;
use std::collections::BTreeMap;

/// What a reference stands for.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Value {
    pub(crate) reference: String,
    pub(crate) value: String,
}

/// A configuration with its values. Two are equal when all values are.
#[derive(Clone, PartialEq, Eq)]
pub struct Resolved {
    config: ConfigMap,
    /// What was written where something was put in.
    written: ConfigMap,
    /// The longest first: it may contain another.
    values: Vec<Value>,
}

impl Resolved {
    pub(crate) fn new(config: &ConfigMap, mut values: Vec<Value>) -> Self {
        values.sort_by_key(|value| std::cmp::Reverse(value.value.len()));
        let by_reference: BTreeMap<&str, &str> = values
            .iter()
            .map(|value| (value.reference.as_str(), value.value.as_str()))
            .collect();
        let (mut resolved, mut written) = (ConfigMap::new(), ConfigMap::new());
        for (key, text) in config {
            let value = put_in(text, &by_reference);
            if value != *text {
                written.insert(key.clone(), text.clone());
            }
            resolved.insert(key.clone(), value);
        }
        Self {
            config: resolved,
            written,
            values,
        }
    }

    /// A configuration that refers to nothing.
    #[must_use]
    pub fn plain(config: &ConfigMap) -> Self {
        Self::new(config, Vec::new())
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &ConfigMap {
        &self.config
    }

    /// What was written for a key, if that was another text.
    #[must_use]
    pub fn written(&self, key: &str) -> Option<&str> {
        self.written.get(key).map(String::as_str)
    }

    /// Puts references back into a configuration that a connector has made of this one, so that no value leaves this process. As in
    /// Connect, a key that holds what it held here gets what was written there; and values get their references back wherever else they are.
    ///
    /// # Errors
    /// When the values could not be put in again as they were.
    pub fn put_back(&self, config: &mut ConfigMap) -> Result<()> {
        let by_reference: BTreeMap<&str, &str> = self
            .values
            .iter()
            .map(|value| (value.reference.as_str(), value.value.as_str()))
            .collect();
        for (key, text) in config {
            if let Some(written) = self.written.get(key)
                && self.config.get(key) == Some(text)
            {
                text.clone_from(written);
                continue;
            }
            let mut back = text.clone();
            for Value { reference, value } in &self.values {
                if value.len() >= SHORTEST {
                    back = back.replace(value, reference);
                }
            }
            if back == *text {
                continue;
            }
            if put_in(&back, &by_reference) != *text {
                return Err(Error::connect(format!(
                    "{key} of a task's configuration has a value of a config provider in it that cannot be told from what is around it"
                )));
            }
            *text = back;
        }
        Ok(())
    }
}

/// Values where their references are; what has no value stays.
fn put_in(text: &str, values: &BTreeMap<&str, &str>) -> String {
    let (mut resolved, mut end) = (String::with_capacity(text.len()), 0);
    for (range, variable) in variables(text) {
        resolved.push_str(&text[end..range.start]);
        resolved.push_str(values.get(variable.text).unwrap_or(&variable.text));
        end = range.end;
    }
    resolved + &text[end..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> ConfigMap {
        let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        pairs.iter().map(own).collect()
    }

    fn resolved() -> Resolved {
        let value = |reference: &str, value: &str| Value {
            reference: reference.into(),
            value: value.into(),
        };
        Resolved::new(
            &map(&[
                ("user", "${f:/x:user}"),
                ("password", "${f:/x:password}"),
                ("url", "jdbc://${f:/x:user}:${f:/x:password}@db"),
                ("max", "${f:/x:max}"),
                ("other", "${g:/x:y}"),
                ("plain", "text"),
            ]),
            vec![
                value("${f:/x:user}", "admin"),
                value("${f:/x:password}", "admin-sesame"),
                value("${f:/x:max}", "1"),
            ],
        )
    }

    #[test]
    fn values_are_put_in() {
        let resolved = resolved();
        assert_eq!(
            *resolved.config(),
            map(&[
                ("user", "admin"),
                ("password", "admin-sesame"),
                ("url", "jdbc://admin:admin-sesame@db"),
                ("max", "1"),
                ("other", "${g:/x:y}"),
                ("plain", "text"),
            ])
        );
        assert_eq!(resolved.written("password"), Some("${f:/x:password}"));
        assert_eq!((resolved.written("plain"), resolved.written("other")), (None, None));
    }

    #[test]
    fn and_back_wherever_the_connector_has_put_them() {
        let resolved = resolved();
        let mut task = resolved.config().clone();
        task.extend(map(&[
            ("task.url", "x?p=admin-sesame&u=admin&p2=admin-sesame"),
            ("number", "1"),
            ("max", "1"),
        ]));
        resolved.put_back(&mut task).unwrap();
        assert_eq!(
            task,
            map(&[
                ("user", "${f:/x:user}"),
                ("password", "${f:/x:password}"),
                ("url", "jdbc://${f:/x:user}:${f:/x:password}@db"),
                ("max", "${f:/x:max}"),
                ("other", "${g:/x:y}"),
                ("plain", "text"),
                ("task.url", "x?p=${f:/x:password}&u=${f:/x:user}&p2=${f:/x:password}"),
                ("number", "1"),
            ])
        );
    }

    #[test]
    fn what_a_connector_has_changed_itself_stays_changed() {
        let resolved = resolved();
        let mut task = map(&[("max", "2"), ("user", "nobody")]);
        resolved.put_back(&mut task).unwrap();
        assert_eq!(task, map(&[("max", "2"), ("user", "nobody")]));
    }

    #[test]
    fn a_value_that_would_come_back_as_another_is_refused() {
        let resolved = resolved();
        let mut task = map(&[("odd", "${f:/x:user} and admin")]);
        let error = resolved.put_back(&mut task).unwrap_err().to_string();
        assert!(error.starts_with("odd of a task's configuration"), "{error}");
    }
}
