//! One connector instance: start it, ask it for task configurations, serve its requests, stop it.

use crate::config::ConnectorConfig;
use crate::guard::{guarded, guarded_now, trace};
use crate::offsets::{ConnectorOffsets, OffsetStore};
use crate::status::StatusBoard;
use dray_connect::connector::Connector;
use dray_connect::context::{ConnectorContext, ConnectorRequest, OffsetReader};
use dray_connect::{ConfigMap, Error, Result};
use dray_model::{ConnectorName, ConnectorState};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Everything that a connector instance is made of.
pub struct InstanceParts {
    /// Its name.
    pub name: ConnectorName,
    /// Connector code.
    pub connector: Connector,
    /// The connector's configuration.
    pub config: ConnectorConfig,
    /// Where offsets are stored.
    pub offsets: Arc<dyn OffsetStore>,
    /// Where its state is shown.
    pub board: StatusBoard,
    /// Where its task configurations go.
    pub tasks: mpsc::Sender<TaskConfigs>,
    /// Cancelled when the instance is to end.
    pub stop: CancellationToken,
}

/// The task configurations of a connector, new or again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskConfigs {
    /// Whose they are.
    pub connector: ConnectorName,
    /// One a task, in the order of task numbers.
    pub configs: Vec<ConfigMap>,
}

/// Runs the instance until it is stopped or fails.
pub async fn run(mut parts: InstanceParts) {
    let name = parts.name.clone();
    let board = parts.board.clone();
    let stop = parts.stop.clone();
    let result = work(&mut parts).await;
    if let Err(error) = &result {
        tracing::error!(connector = %name, error = %trace(error), "connector failed");
        board.connector(&name, ConnectorState::Failed, Some(trace(error)));
        // Its tasks go on, as in Connect; the instance stays FAILED until somebody restarts or stops it.
        stop.cancelled().await;
    }
    let stopped = match &mut parts.connector {
        Connector::Source(connector) => guarded("stop", connector.stop()).await,
        Connector::Sink(connector) => guarded("stop", connector.stop()).await,
    };
    if let Err(error) = stopped {
        tracing::warn!(connector = %name, error = %trace(&error), "stop() of the connector failed");
    }
    board.connector(&name, ConnectorState::Unassigned, None);
}

async fn work(parts: &mut InstanceParts) -> Result<()> {
    // Reconfiguration requests are merged when this queue is full, so a few places are plenty.
    let (sender, mut requests) = mpsc::channel(4);
    let reader =
        || -> Arc<dyn OffsetReader> { Arc::new(ConnectorOffsets::new(parts.offsets.clone(), parts.name.as_str())) };
    let started = match &mut parts.connector {
        Connector::Source(connector) => {
            let context = ConnectorContext::new(sender, Some(reader()));
            parts
                .stop
                .run_until_cancelled(guarded("start", connector.start(context, parts.config.originals())))
                .await
        }
        Connector::Sink(connector) => {
            let context = ConnectorContext::new(sender, None);
            parts
                .stop
                .run_until_cancelled(guarded("start", connector.start(context, parts.config.originals())))
                .await
        }
    };
    match started {
        None => return Ok(()),
        Some(result) => result?,
    }
    parts.board.connector(&parts.name, ConnectorState::Running, None);
    loop {
        let max = parts.config.tasks_max;
        let configs = match &parts.connector {
            Connector::Source(connector) => guarded_now("taskConfigs", || connector.task_configs(max))?,
            Connector::Sink(connector) => guarded_now("taskConfigs", || connector.task_configs(max))?,
        };
        if configs.len() > max {
            let text = too_many(&parts.name, configs.len(), max);
            if parts.config.enforce_tasks_max {
                return Err(Error::connect(text));
            }
            tracing::warn!(connector = %parts.name, "{text}");
        }
        let message = TaskConfigs {
            connector: parts.name.clone(),
            configs,
        };
        if parts.tasks.send(message).await.is_err() {
            return Ok(()); // nobody runs tasks any more: the worker is shutting down
        }
        let request = tokio::select! {
            () = parts.stop.cancelled() => return Ok(()),
            request = requests.recv() => request,
        };
        match request {
            Some(ConnectorRequest::Reconfigure) => {}
            Some(ConnectorRequest::Fail(error)) => return Err(error),
            None => {
                parts.stop.cancelled().await; // the connector dropped its context: it will never ask for anything
                return Ok(());
            }
        }
    }
}

fn too_many(name: &ConnectorName, generated: usize, max: usize) -> String {
    format!(
        "The connector {name} has generated {generated} tasks, which is greater than {max}, the maximum number of \
         tasks it is configured to create. This behaviour should be considered a bug and is disallowed. If necessary, \
         it can be permitted by reconfiguring the connector with 'tasks.max.enforce' set to false; however, this \
         option will be removed in a future release of Kafka Connect."
    )
}
