//! The providers that a worker's configuration names, and how configurations are resolved with them.

use crate::ConfigProvider;
use crate::aws::{self, ParameterStore, SecretsManager};
use crate::directory::Directory;
use crate::env::Env;
use crate::file::File;
use crate::resolved::{Resolved, Value};
use crate::variable::variables;
use dray_connect::{ConfigMap, Error, Result};
use dray_process::hidden::Hidden;
use futures::future::try_join_all;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The key of a worker's configuration that names them, and what their own keys begin with.
const NAMES: &str = "config.providers";

/// The classes that there are. Those of AWS are also called as others call theirs.
pub const CLASSES: [&str; 5] = [
    "io.dray.connect.aws.ParameterStoreConfigProvider",
    "io.dray.connect.aws.SecretsManagerConfigProvider",
    "org.apache.kafka.common.config.provider.DirectoryConfigProvider",
    "org.apache.kafka.common.config.provider.EnvVarConfigProvider",
    "org.apache.kafka.common.config.provider.FileConfigProvider",
];

/// Who has written a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Whoever runs the workers.
    Worker,
    /// Whoever may create connectors.
    Connector,
}

/// How new values have to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Something is started with them: as they are now, or were some seconds ago.
    Start,
    /// Something runs with them, and is to restart when they are others: as old as a provider may let them become that is not of this machine.
    Watch,
}

/// The providers of a worker, by name.
pub struct Providers {
    all: BTreeMap<String, Box<dyn ConfigProvider>>,
    /// Told of every value that is found.
    hidden: Hidden,
}

impl fmt::Debug for Providers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.all.keys()).finish()
    }
}

impl Providers {
    /// Reads a worker's configuration.
    ///
    /// # Errors
    /// For a class that is not there, and for parameters that a provider does not take.
    pub fn of_worker(config: &ConfigMap, hidden: Hidden) -> Result<Self> {
        let mut all = BTreeMap::new();
        let names = config.get(NAMES).map_or("", String::as_str);
        for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            let begin = format!("{NAMES}.{name}.param.");
            let params = config
                .range(begin.clone()..)
                .take_while(|(key, _)| key.starts_with(&begin));
            let params: ConfigMap = params
                .map(|(key, value)| (key[begin.len()..].to_owned(), value.clone()))
                .collect();
            let key = format!("{NAMES}.{name}.class");
            // As in Connect, a name without a class is no provider: what refers to it stays as it is.
            let Some(class) = config.get(&key) else {
                tracing::warn!("{key} is not set: references to the config provider {name} stay as they are");
                continue;
            };
            let known = CLASSES.into_iter().chain(aws::ALIASES);
            let known = known.into_iter().find(|known| is_called(known, class));
            let provider = match known.map(simple) {
                Some("DirectoryConfigProvider") => Directory::read(&begin, &params)?,
                Some("EnvVarConfigProvider") => Env::read(&begin, &params)?,
                Some("FileConfigProvider") => File::read(&begin, &params)?,
                Some("SecretsManagerConfigProvider") => SecretsManager::read(&begin, class, &params, &hidden)?,
                Some("ParameterStoreConfigProvider" | "SsmParamStoreConfigProvider") => {
                    ParameterStore::read(&begin, &params, &hidden)?
                }
                Some(_) | None => {
                    return Err(Error::connect(format!(
                        "Failed to find any class that implements ConfigProvider and which name matches {class}, available \
                         ConfigProviders are: {}",
                        CLASSES.join(", ")
                    )));
                }
            };
            all.insert(name.to_owned(), provider);
        }
        Ok(Self { all, hidden })
    }

    /// The values that were found so far, for whoever shows texts.
    #[must_use]
    pub fn hidden(&self) -> &Hidden {
        &self.hidden
    }

    /// Whether anything in a configuration refers to one of them.
    #[must_use]
    pub fn are_used_by(&self, config: &ConfigMap) -> bool {
        let known = |value: &String| variables(value).any(|(_, variable)| self.all.contains_key(variable.provider));
        !self.all.is_empty() && config.values().any(known)
    }

    /// A configuration with its values. Providers that are not there leave what refers to them as it is, because other texts look like that
    /// too. Cancel-safe; it may take as long as the slowest store does.
    ///
    /// # Errors
    /// When a provider cannot be read, may not be, or has no such key. The text names the reference, never a value.
    pub async fn resolve(&self, whose: Whose, look: Look, config: &ConfigMap) -> Result<Resolved> {
        let mut wanted: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
        let mut users: BTreeMap<&str, &str> = BTreeMap::new();
        for (user, text) in config {
            for (_, variable) in variables(text).filter(|(_, variable)| self.all.contains_key(variable.provider)) {
                let keys = wanted.entry((variable.provider, variable.path)).or_default();
                keys.insert(variable.key);
                users.entry(variable.text).or_insert(user);
            }
        }
        for ((provider, path), keys) in &wanted {
            self.all[*provider].check(whose, path, keys)?;
        }
        let found = wanted.iter().map(|((provider, path), keys)| async move {
            let values = self.all[*provider].get(path, keys, look).await?;
            Ok::<_, Error>(((*provider, *path), values))
        });
        let found: BTreeMap<_, _> = try_join_all(found).await?.into_iter().collect();
        let mut values = Vec::new();
        for (text, user) in users {
            let Some((_, variable)) = variables(text).next() else {
                continue;
            };
            let value = found[&(variable.provider, variable.path)].get(variable.key);
            let Some(value) = value else {
                return Err(Error::config(format!(
                    "{text} in {user} has no value: the config provider {} has no key {}{}",
                    variable.provider,
                    variable.key,
                    match variable.path {
                        "" => String::new(),
                        path => format!(" at {path}"),
                    }
                )));
            };
            self.hidden.add(value, text);
            values.push(Value {
                reference: text.to_owned(),
                value: value.clone(),
            });
        }
        Ok(Resolved::new(config, values))
    }

    /// The same for a caller that cannot wait otherwise: blocks.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve), and when the system gives no thread.
    pub fn resolve_blocking(&self, whose: Whose, config: &ConfigMap) -> Result<Resolved> {
        if !self.are_used_by(config) {
            return Ok(Resolved::plain(config));
        }
        // A thread of its own: whoever calls may be one of a runtime, which must not enter another.
        let resolve = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|cause| no_thread().with_source(cause))?;
            runtime.block_on(self.resolve(whose, Look::Start, config))
        };
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("config-providers".into());
            let thread = thread
                .spawn_scoped(scope, resolve)
                .map_err(|cause| no_thread().with_source(cause))?;
            thread
                .join()
                .unwrap_or_else(|_| Err(Error::connect("a config provider panicked")))
        })
    }
}

fn no_thread() -> Error {
    Error::connect("there is no thread to read config providers on")
}

fn simple(class: &str) -> &str {
    class.rsplit('.').next().unwrap_or(class)
}

/// By its full name, its simple name, or that without the suffix, as Connect's plugins are.
fn is_called(class: &str, name: &str) -> bool {
    let simple = simple(class);
    name == class || name == simple || simple.strip_suffix("ConfigProvider") == Some(name)
}

#[cfg(test)]
#[path = "providers/tests.rs"]
mod tests;
