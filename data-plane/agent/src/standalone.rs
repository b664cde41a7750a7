//! Drives a worker from connector files until it is told to stop. Thin: everything that decides lives in the runtime.

use crate::files::ConnectorFile;
use dray_connect::{ConfigMap, Result};
use dray_model::{ConnectorName, Generation, TargetState, TaskId, TaskState};
use dray_runtime::guard::trace;
use dray_runtime::instance::TaskConfigs;
use dray_runtime::status::Subject;
use dray_runtime::worker::{Running, Worker};
use std::collections::BTreeMap;
use std::future::Future;
use tokio::sync::mpsc;
use tokio::time::Instant;

struct Task {
    config: ConfigMap,
    running: Option<Running>,
}

struct Driver {
    worker: Worker,
    files: BTreeMap<ConnectorName, ConnectorFile>,
    connectors: BTreeMap<ConnectorName, Running>,
    tasks: BTreeMap<TaskId, Task>,
    generation: Generation,
}

/// Runs the connectors of `files` until `shutdown` resolves, then drains within the graceful time-out.
///
/// # Errors
/// When a connector's configuration is wrong; those that were started before it are stopped again.
pub async fn run(worker: Worker, files: Vec<ConnectorFile>, shutdown: impl Future<Output = ()>) -> Result<()> {
    let graceful = worker.config().graceful_timeout;
    // Each connector sends one message at a time and waits, so this bounds only how many wait outside.
    let (sender, mut receiver) = mpsc::channel(16);
    let mut driver = Driver {
        worker,
        files: files.into_iter().map(|file| (file.name.clone(), file)).collect(),
        connectors: BTreeMap::new(),
        tasks: BTreeMap::new(),
        generation: Generation::INITIAL,
    };
    if let Err(error) = driver.start(&sender) {
        driver.drain(Instant::now() + graceful).await;
        return Err(error);
    }
    tokio::pin!(shutdown);
    loop {
        let configs = tokio::select! {
            () = &mut shutdown => break,
            Some(configs) = receiver.recv() => configs,
        };
        driver.apply(configs, Instant::now() + graceful).await;
    }
    driver.drain(Instant::now() + graceful).await;
    Ok(())
}

impl Driver {
    fn start(&mut self, tasks: &mpsc::Sender<TaskConfigs>) -> Result<()> {
        for (name, file) in &self.files {
            if file.initial_state != TargetState::Stopped {
                let running = self.worker.start_connector(name, &file.config, tasks.clone())?;
                self.connectors.insert(name.clone(), running);
            }
        }
        Ok(())
    }

    /// Makes the running tasks of a connector those that it asks for; unchanged ones are left alone.
    async fn apply(&mut self, wanted: TaskConfigs, deadline: Instant) {
        let count = wanted.configs.len();
        let surplus: Vec<TaskId> = self
            .tasks
            .keys()
            .filter(|id| id.connector == wanted.connector && id.number as usize >= count)
            .cloned()
            .collect();
        for id in surplus {
            self.stop_task(&id, deadline).await;
        }
        for (number, config) in (0u32..).zip(wanted.configs) {
            let id = TaskId::new(wanted.connector.clone(), number);
            if self.tasks.get(&id).is_some_and(|task| task.config == config) {
                continue;
            }
            self.stop_task(&id, deadline).await;
            self.start_task(id, config);
        }
    }

    fn start_task(&mut self, id: TaskId, config: ConfigMap) {
        let Some(file) = self.files.get(&id.connector) else {
            return;
        };
        self.generation = self.generation.next();
        let started = self
            .worker
            .start_task(&id, self.generation, &file.config, &config, file.initial_state);
        let running = match started {
            Ok(running) => Some(running),
            Err(error) => {
                tracing::error!(connector = %id.connector, task = id.number, error = %trace(&error), "task failed to start");
                self.worker.board().task(&id, TaskState::Failed, Some(trace(&error)));
                None
            }
        };
        self.tasks.insert(id, Task { config, running });
    }

    async fn stop_task(&mut self, id: &TaskId, deadline: Instant) {
        if let Some(running) = self.tasks.remove(id).and_then(|task| task.running) {
            stop(&id.to_string(), running, deadline).await;
        }
        self.worker.board().remove(&Subject::Task(id.clone()));
    }

    async fn drain(self, deadline: Instant) {
        let tasks = self
            .tasks
            .into_iter()
            .filter_map(|(id, task)| Some((id.to_string(), task.running?)));
        let connectors = self
            .connectors
            .into_iter()
            .map(|(name, running)| (name.to_string(), running));
        let all: Vec<(String, Running)> = tasks.chain(connectors).collect();
        for (_, running) in &all {
            running.signal_stop();
        }
        for (name, running) in all {
            stop(&name, running, deadline).await;
        }
    }
}

async fn stop(name: &str, running: Running, deadline: Instant) {
    if !running.stop(deadline).await {
        tracing::warn!(
            name,
            "did not stop within task.shutdown.graceful.timeout.ms and was aborted"
        );
    }
}
