//! Config providers (KIP-297): values of configurations that stand elsewhere, as in `${file:/etc/secrets/db.properties:password}`. The control
//! plane, its store and every API only ever see the reference; agents resolve it when they start a connector or task.
//!
//! Two things are stricter than in Kafka Connect, which leaves a reference as it is when there is no value for it: here that is an error, if
//! the provider is there. And connectors may use a provider only where the worker's configuration says so (`allowed.paths`,
//! `allowlist.pattern`, `allowed.names`): whoever may create a connector could read any file of the machine otherwise, or any secret that its
//! role may.

mod allowed;
mod aws;
mod directory;
mod env;
mod file;
mod providers;
mod resolved;
mod variable;

pub use providers::{CLASSES, Look, Providers, Whose};
pub use resolved::Resolved;

use async_trait::async_trait;
use dray_connect::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};

/// Where values come from.
#[async_trait]
trait ConfigProvider: Send + Sync {
    /// Whether `whose` configuration may use this path and these keys.
    ///
    /// # Errors
    /// Why not, and what to do about it.
    fn check(&self, whose: Whose, path: &str, keys: &BTreeSet<&str>) -> Result<()>;

    /// The values of keys at a path, and no others. Those that are not there are left out. Cancel-safe.
    async fn get(&self, path: &str, keys: &BTreeSet<&str>, look: Look) -> Result<BTreeMap<String, String>>;
}

/// Reads from a disk, which may hang, on a thread that may block.
async fn blocking<T: Send + 'static>(read: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(read).await {
        Ok(read) => read,
        Err(panicked) => Err(Error::connect("a config provider panicked").with_source(panicked)),
    }
}
