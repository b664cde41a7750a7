//! Config providers (KIP-297): values of configurations that stand elsewhere, as in `${file:/etc/secrets/db.properties:password}`. The control
//! plane, its store and every API only ever see the reference; agents resolve it when they start a connector or task.
//!
//! Two things are stricter than in Kafka Connect, which leaves a reference as it is when there is no value for it: here that is an error, if
//! the provider is there. And connectors may use a provider only where the worker's configuration says so (`allowed.paths`,
//! `allowlist.pattern`): whoever may create a connector could read any file of the machine otherwise.

mod allowed;
mod directory;
mod env;
mod file;
mod providers;
mod resolved;
mod variable;

pub use providers::{CLASSES, Providers, Whose};
pub use resolved::Resolved;

use dray_connect::Result;
use std::collections::{BTreeMap, BTreeSet};

/// Where values come from. Called on a thread that may block.
trait ConfigProvider: Send + Sync {
    /// Whether `whose` configuration may use this path and these keys.
    ///
    /// # Errors
    /// Why not, and what to do about it.
    fn check(&self, whose: Whose, path: &str, keys: &BTreeSet<&str>) -> Result<()>;

    /// The values of keys at a path. Those that are not there are left out.
    fn get(&self, path: &str, keys: &BTreeSet<&str>) -> Result<BTreeMap<String, String>>;
}
