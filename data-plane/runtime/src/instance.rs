//! One connector instance: start it, ask it for task configurations, serve its requests, stop it.

use crate::config::{ConnectorConfig, connector_config};
use crate::guard::{guarded, guarded_now, trace};
use crate::offsets::{ConnectorOffsets, OffsetStore};
use crate::status::{StatusBoard, Subject};
use crate::supervise::supervise;
use dray_connect::connector::{Connector, ConnectorPlugin};
use dray_connect::context::{ConnectorContext, ConnectorRequest, Loan, OffsetReader};
use dray_connect::{ConfigMap, Error, Result};
use dray_model::record::MAX_TASKS;
use dray_model::{ConnectorName, ConnectorState, TargetState};
use dray_providers::Resolved;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// Everything that a connector instance is made of.
pub struct InstanceParts {
    /// Its name.
    pub name: ConnectorName,
    /// Its class.
    pub plugin: &'static ConnectorPlugin,
    /// The connector's configuration.
    pub config: ConnectorConfig,
    /// The same with what was written where it has values of config providers.
    pub resolved: Resolved,
    /// Where offsets are stored.
    pub offsets: Arc<dyn OffsetStore>,
    /// What is lent to a source's code.
    pub loan: Loan,
    /// Where its state is shown.
    pub board: StatusBoard,
    /// Where its task configurations go.
    pub tasks: mpsc::Sender<TaskConfigs>,
    /// What the user wants of it.
    pub target: watch::Receiver<TargetState>,
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

/// The most that the configurations of all tasks may be beyond their connector's: half of what one message may be.
const DIFFERENCES_BYTES: usize = 16 << 20;
/// How long `stop` of an instance that failed may take, before it is left to itself: another one may have to be started.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// Runs the instance until it is stopped; when it fails, as often as its restart policy says.
pub async fn run(parts: InstanceParts) {
    let subject = Subject::Connector(parts.name.clone());
    let policy = connector_config::restart_policy(parts.config.originals());
    let failed = supervise(&subject, &parts.board, policy, &parts.stop, || attempt(&parts)).await;
    if failed {
        // Its tasks go on, as in Connect; the instance stays FAILED until somebody restarts or stops it.
        parts.stop.cancelled().await;
    }
    parts.board.connector(&parts.name, ConnectorState::Unassigned, None);
}

/// From one failure to the next. While it is paused, there is no connector, as in Connect.
async fn attempt(parts: &InstanceParts) -> Result<()> {
    while !parts.stop.is_cancelled() {
        if is_paused(parts) {
            parts.board.connector(&parts.name, ConnectorState::Paused, None);
            parts.stop.run_until_cancelled(until_paused(parts, false)).await;
        } else {
            started(parts).await?;
        }
    }
    Ok(())
}

fn is_paused(parts: &InstanceParts) -> bool {
    *parts.target.borrow() == TargetState::Paused
}

/// Waits until it is paused, or no more. Cancel-safe.
async fn until_paused(parts: &InstanceParts, paused: bool) {
    let mut target = parts.target.clone();
    let gone = target
        .wait_for(|target| (*target == TargetState::Paused) == paused)
        .await
        .is_err();
    if gone {
        std::future::pending::<()>().await; // nobody wants anything any more, and whoever did will say stop
    }
}

/// From one start to the end, by a failure or because it is stopped or paused.
async fn started(parts: &InstanceParts) -> Result<()> {
    let mut connector = None;
    let result = work(parts, &mut connector).await;
    let stop = async {
        match &mut connector {
            None => Ok(()),
            Some(Connector::Source(connector)) => guarded("stop", connector.stop()).await,
            Some(Connector::Sink(connector)) => guarded("stop", connector.stop()).await,
        }
    };
    let stopped = if result.is_ok() {
        stop.await // whoever asked for it has a deadline
    } else {
        let late = |_| {
            Err(Error::connect(format!(
                "it takes longer than {STOP_TIMEOUT:?}, and is left to itself"
            )))
        };
        tokio::time::timeout(STOP_TIMEOUT, stop).await.unwrap_or_else(late)
    };
    if let Err(error) = stopped {
        tracing::warn!(error = %trace(&error), "stop() of the connector failed");
    }
    result
}

async fn work(parts: &InstanceParts, made: &mut Option<Connector>) -> Result<()> {
    let connector = made.insert(guarded_now("the constructor", || Ok(parts.plugin.make()))?);
    // Reconfiguration requests are merged when this queue is full, so a few places are plenty.
    let (sender, mut requests) = mpsc::channel(4);
    let reader =
        || -> Arc<dyn OffsetReader> { Arc::new(ConnectorOffsets::new(parts.offsets.clone(), parts.name.as_str())) };
    let config = parts.config.originals();
    let started = match connector {
        Connector::Source(connector) => {
            let context = ConnectorContext::new(sender, Some(reader())).lending(Some(parts.loan.clone()));
            let start = guarded("start", connector.start(context, config));
            parts.stop.run_until_cancelled(start).await
        }
        Connector::Sink(connector) => {
            let context = ConnectorContext::new(sender, None);
            let start = guarded("start", connector.start(context, config));
            parts.stop.run_until_cancelled(start).await
        }
    };
    match started {
        None => return Ok(()),
        Some(result) => result?,
    }
    parts.board.connector(&parts.name, ConnectorState::Running, None);
    loop {
        let configs = task_configs(parts, connector)?;
        let message = TaskConfigs {
            connector: parts.name.clone(),
            configs,
        };
        if parts.tasks.send(message).await.is_err() {
            return Ok(()); // nobody runs tasks any more: the worker is shutting down
        }
        let request = tokio::select! {
            () = parts.stop.cancelled() => return Ok(()),
            () = until_paused(parts, true) => return Ok(()),
            request = requests.recv() => request,
        };
        match request {
            Some(ConnectorRequest::Reconfigure) => {}
            Some(ConnectorRequest::Fail(error)) => return Err(error),
            None => {
                // The connector dropped its context: it will never ask for anything.
                parts.stop.run_until_cancelled(until_paused(parts, true)).await;
                return Ok(());
            }
        }
    }
}

/// The configurations of the connector's tasks, with what the framework adds to each: the class of the task, and the topics
/// that the connector's own configuration names.
fn task_configs(parts: &InstanceParts, connector: &Connector) -> Result<Vec<ConfigMap>> {
    let max = parts.config.tasks_max;
    let configs = match connector {
        Connector::Source(connector) => guarded_now("taskConfigs", || connector.task_configs(max))?,
        Connector::Sink(connector) => guarded_now("taskConfigs", || connector.task_configs(max))?,
    };
    let mut configs = completed(&parts.name, parts.plugin, &parts.config, configs)?;
    for config in &mut configs {
        parts.resolved.put_back(config)?;
    }
    within_limits(parts, &configs)?;
    Ok(configs)
}

/// What a connector has made for its tasks, with what the framework adds.
pub(crate) fn completed(
    name: &ConnectorName,
    plugin: &ConnectorPlugin,
    connector: &ConnectorConfig,
    mut configs: Vec<ConfigMap>,
) -> Result<Vec<ConfigMap>> {
    let max = connector.tasks_max;
    if configs.len() > max {
        let text = too_many(name, configs.len(), max);
        if connector.enforce_tasks_max {
            return Err(Error::connect(text));
        }
        tracing::warn!("{text}");
    }
    for config in &mut configs {
        config.insert("task.class".to_owned(), plugin.task_class.to_owned());
        config.extend(connector.topic_keys());
    }
    Ok(configs)
}

/// What cannot be stored or said fails its connector here. At the leader's door it would cost the agent its stream, again and again.
fn within_limits(parts: &InstanceParts, configs: &[ConfigMap]) -> Result<()> {
    let (name, count) = (&parts.name, configs.len());
    if count > MAX_TASKS as usize {
        return Err(Error::connect(format!(
            "The connector {name} has generated {count} tasks, and a connector may have {MAX_TASKS}: lower tasks.max"
        )));
    }
    let own = parts.config.originals();
    let differs = |(key, value): &(&String, &String)| {
        own.get(*key) != Some(*value) && parts.resolved.written(key) != Some(value.as_str())
    };
    let entries = configs.iter().flat_map(|config| config.iter().filter(differs));
    let bytes: usize = entries.map(|(key, value)| key.len() + value.len()).sum();
    if bytes > DIFFERENCES_BYTES {
        return Err(Error::connect(format!(
            "The connector {name} has generated {count} tasks whose configurations are {bytes} bytes more than its own, and \
             {DIFFERENCES_BYTES} are the most: lower tasks.max"
        )));
    }
    Ok(())
}

fn too_many(name: &ConnectorName, generated: usize, max: usize) -> String {
    format!(
        "The connector {name} has generated {generated} tasks, which is greater than {max}, the maximum number of \
         tasks it is configured to create. This behaviour should be considered a bug and is disallowed. If necessary, \
         it can be permitted by reconfiguring the connector with 'tasks.max.enforce' set to false; however, this \
         option will be removed in a future release of Kafka Connect."
    )
}
