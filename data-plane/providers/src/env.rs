//! `EnvVarConfigProvider`: variables of the agent's environment (KIP-887).

use crate::{ConfigProvider, Look, Whose};
use async_trait::async_trait;
use dray_connect::pattern::Pattern;
use dray_connect::{ConfigMap, Error, Result};
use std::collections::{BTreeMap, BTreeSet};

const KEY: &str = "allowlist.pattern";

pub(crate) struct Env {
    /// What the worker's configuration calls the pattern.
    key: String,
    /// Which names may be read, whole; none: nobody has said so.
    allowed: Option<Pattern>,
}

impl Env {
    pub(crate) fn read(prefix: &str, params: &ConfigMap) -> Result<Box<dyn ConfigProvider>> {
        let key = format!("{prefix}{KEY}");
        let compile = |pattern: &String| {
            Pattern::compile(pattern).map_err(|why| Error::invalid_config(&key, Some(pattern), Some(&why.to_string())))
        };
        let allowed = params.get(KEY).map(compile).transpose()?;
        Ok(Box::new(Self { key, allowed }))
    }
}

#[async_trait]
impl ConfigProvider for Env {
    fn check(&self, whose: Whose, path: &str, keys: &BTreeSet<&str>) -> Result<()> {
        if !path.is_empty() {
            return Err(Error::config(format!(
                "Path is not supported for EnvVarConfigProvider, invalid value '{path}'"
            )));
        }
        let key = &self.key;
        for name in keys {
            let may = match (&self.allowed, whose) {
                (None, Whose::Worker) => true,
                (None, Whose::Connector) => {
                    return Err(Error::config(format!(
                        "Variable {name} may not be read: {key} is not set in the worker's configuration. Set it to a pattern of \
                         the names that connectors may read, or to .* for all"
                    )));
                }
                (Some(allowed), Whose::Worker | Whose::Connector) => allowed
                    .matches(name)
                    .map_err(|why| Error::config(format!("{key}: {why}")))?,
            };
            if !may {
                return Err(Error::config(format!(
                    "Variable {name} may not be read: {key} does not match it"
                )));
            }
        }
        Ok(())
    }

    async fn get(&self, _: &str, keys: &BTreeSet<&str>, _: Look) -> Result<BTreeMap<String, String>> {
        let mut values = BTreeMap::new();
        for name in keys {
            // The standard library panics at names that no variable can have.
            if name.is_empty() || name.contains(['=', '\0']) {
                continue;
            }
            match std::env::var(name) {
                Ok(value) => drop(values.insert((*name).to_owned(), value)),
                Err(std::env::VarError::NotPresent) => {}
                Err(why @ std::env::VarError::NotUnicode(_)) => {
                    // Its message would show the value.
                    drop(why);
                    return Err(Error::config(format!("Variable {name} is not UTF-8")));
                }
            }
        }
        Ok(values)
    }
}
