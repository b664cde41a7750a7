//! What a task or instance uses of the config providers: its configuration with their values, and when those are other ones.

use crate::keeper::Kept;
use dray_connect::{ConfigMap, Result};
use dray_model::message::AssignedConnector;
use dray_providers::{Look, Resolved};
use dray_runtime::config::WorkerConfig;
use dray_runtime::guard::trace;
use std::sync::Arc;
use tokio::time::sleep;

/// With `none` a connector goes on with the values that it began with.
const RELOAD: &str = "config.action.reload";

/// Looks values up for one ownership.
pub(crate) struct Used<'a> {
    worker: &'a WorkerConfig,
    kept: &'a Kept,
    /// Whether another value is to restart it; if not, nothing is remembered here.
    reloads: bool,
    last: Option<Values>,
}

/// What is started.
#[derive(Clone)]
pub(crate) struct Values {
    /// The connector.
    pub(crate) connector: Arc<AssignedConnector>,
    /// Its own configuration: a task's, or the connector's again.
    pub(crate) own: Resolved,
}

impl<'a> Used<'a> {
    pub(crate) fn new(worker: &'a WorkerConfig, kept: &'a Kept) -> Self {
        let connector = &kept.connector.config;
        let wants = connector
            .get(RELOAD)
            .is_none_or(|action| !action.trim().eq_ignore_ascii_case("none"));
        let providers = worker.providers();
        let refers = || providers.are_used_by(connector) || providers.are_used_by(&kept.config());
        Self {
            worker,
            kept,
            reloads: wants && refers(),
            last: None,
        }
    }

    /// The values of now.
    ///
    /// # Errors
    /// When one cannot be had.
    pub(crate) async fn now(&mut self) -> Result<Values> {
        self.last = None;
        let values = self.look(Look::Start).await?;
        self.last = self.reloads.then(|| values.clone());
        Ok(values)
    }

    async fn look(&self, look: Look) -> Result<Values> {
        let kept = self.kept;
        let (connector, resolved) = resolve(self.worker, look, &kept.connector).await?;
        let own = match kept.assignment.owned.task.is_instance() {
            true => resolved,
            false => self.worker.resolve_connector(look, &kept.config()).await?,
        };
        Ok(Values { connector, own })
    }

    /// Waits until there are other values than those of the last [`now`](Self::now), or any if there were none. Values that cannot be read
    /// are no other ones: a file may be half written. Cancel-safe.
    pub(crate) async fn changed(&self) {
        if !self.reloads {
            std::future::pending::<()>().await;
        }
        let mut said = String::new();
        loop {
            sleep(self.worker.providers_poll).await;
            match self.look(Look::Watch).await {
                Ok(values) if self.last.as_ref().is_none_or(|last| values.differ_from(last)) => return,
                Ok(_) => said.clear(),
                Err(error) => {
                    let why = trace(&error);
                    if self.last.is_some() && why != said {
                        tracing::warn!(connector = %self.kept.connector.name, task = %self.kept.owned().task, error = why,
                            "values of config providers cannot be read again: it goes on with those that it has");
                    }
                    said = why;
                }
            }
        }
    }
}

/// The connector with the values that it refers to, and those beside what is written.
///
/// # Errors
/// When one cannot be had.
pub(crate) async fn resolve(
    worker: &WorkerConfig,
    look: Look,
    connector: &Arc<AssignedConnector>,
) -> Result<(Arc<AssignedConnector>, Resolved)> {
    let resolved = worker.resolve_connector(look, &connector.config).await?;
    if *resolved.config() == connector.config {
        return Ok((connector.clone(), resolved));
    }
    let config = resolved.config().clone();
    let mut connector = AssignedConnector::clone(connector);
    connector.config = config;
    Ok((Arc::new(connector), resolved))
}

impl Values {
    fn differ_from(&self, other: &Self) -> bool {
        self.own != other.own || self.connector.config != other.connector.config
    }
}

impl Kept {
    /// Its own configuration, as it is written.
    fn config(&self) -> ConfigMap {
        match self.assignment.owned.task.is_instance() {
            true => self.connector.config.clone(),
            false => self.assignment.config.apply(&self.connector.config),
        }
    }
}
