//! One ownership of a task or connector instance, from its start until it is dead.

use crate::kafka::Clusters;
use crate::used::{Used, Values};
use dray_model::message::{AssignedConnector, Assignment, Owned};
use dray_model::{ConnectorState, TargetState, TaskId, TaskState};
use dray_runtime::guard::trace;
use dray_runtime::instance::TaskConfigs;
use dray_runtime::status::Subject;
use dray_runtime::worker::{Running, Worker};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout, timeout_at};

/// Aborted work that has not ended after this time blocks its thread: somebody should know.
const ALARM: Duration = Duration::from_secs(1);

/// What is wanted of an ownership; the latest word counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// It shall be paused.
    pub(crate) paused: bool,
    /// It shall end.
    pub(crate) end: Option<End>,
}

/// How an ownership ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// In good order, if that takes no longer than this.
    Graceful(Duration),
    /// At once: it may commit nothing any more.
    Kill,
}

/// What a keeper needs of its agent.
pub(crate) struct Surroundings {
    pub(crate) worker: Worker,
    pub(crate) clusters: Arc<Clusters>,
    /// Where instances send their task configurations.
    pub(crate) task_configs: mpsc::Sender<TaskConfigs>,
}

/// What is kept.
pub(crate) struct Kept {
    pub(crate) assignment: Assignment,
    pub(crate) connector: Arc<AssignedConnector>,
}

impl Kept {
    /// Whose state the runtime reports.
    pub(crate) fn subject(&self) -> Subject {
        let name = self.connector.name.clone();
        let task = self.assignment.owned.task;
        if task.is_instance() {
            Subject::Connector(name)
        } else {
            Subject::Task(TaskId::new(name, task.number))
        }
    }

    /// Runs it until it is told to end. Returns when it is dead: whether it ended by itself and in time.
    pub(crate) async fn keep(&self, around: &Surroundings, mut wanted: watch::Receiver<Wanted>) -> bool {
        let mut used = Used::new(around.worker.config(), self);
        // A sink's members of dead sessions are made to leave once ours has joined. That ends by itself, or with us.
        let mut expelled = self.is_source(around) || self.assignment.fence_first.is_empty();
        loop {
            let paused = wanted.borrow().paused; // what changes meanwhile is seen in the first round below
            let started = tokio::select! {
                started = self.start(around, &mut used, paused) => started,
                () = to_end(&mut wanted) => return true, // nothing of it had begun
            };
            let (connector, mut running) = match started {
                Ok(started) => started,
                Err(problem) => {
                    self.show_failed(around, problem);
                    tokio::select! {
                        () = used.changed() => continue,
                        () = to_end(&mut wanted) => return true,
                    }
                }
            };
            let expelling = around.clusters.expel(&self.assignment.fence_first, &connector);
            tokio::pin!(expelling);
            let mut ended = false;
            loop {
                let now = *wanted.borrow_and_update();
                if let Some(end) = now.end {
                    return ended || self.end(around, running, end, wanted).await;
                }
                running.set_target(target(now.paused));
                tokio::select! {
                    // A sender that is gone belongs to an agent that is gone.
                    changed = wanted.changed() => if changed.is_err() { return self.end(around, running, End::Kill, wanted).await },
                    () = running.ended(), if !ended => ended = true, // it failed, and keeps its owner
                    () = &mut expelling, if !expelled => expelled = true,
                    () = used.changed() => break,
                }
            }
            tracing::info!(connector = %self.connector.name, task = %self.assignment.owned.task,
                "values of config providers have changed: it restarts with the new ones");
            if !ended {
                let graceful = around.worker.config().graceful_timeout;
                self.end(around, running, End::Graceful(graceful), wanted.clone()).await;
            }
        }
    }

    /// Starts it, once what Kafka has to do for that is done; gives the connector as it was started, too.
    async fn start(
        &self,
        around: &Surroundings,
        used: &mut Used<'_>,
        paused: bool,
    ) -> Result<(Arc<AssignedConnector>, Running), String> {
        let say = |error: dray_connect::Error| trace(&error);
        let Values { connector, own } = used.now().await.map_err(say)?;
        let (worker, target) = (&around.worker, target(paused));
        let running = match &self.subject() {
            Subject::Connector(name) => worker.start_connector(name, &own, around.task_configs.clone(), target),
            Subject::Task(id) => {
                let source = worker.is_source(&connector.config).map_err(say)?;
                let waits = |text: String| worker.board().task(id, TaskState::Unassigned, Some(text));
                around.clusters.ready(&connector, source, waits).await?;
                let generation = self.assignment.owned.generation;
                worker.start_task(id, generation, &connector.config, own.config(), target)
            }
        };
        Ok((connector, running.map_err(say)?))
    }

    async fn end(
        &self,
        around: &Surroundings,
        mut running: Running,
        end: End,
        mut wanted: watch::Receiver<Wanted>,
    ) -> bool {
        let owned = self.assignment.owned;
        if let End::Graceful(time) = end {
            running.signal_stop();
            let killed = wanted.wait_for(|wanted| wanted.end == Some(End::Kill));
            let ended = tokio::select! {
                ended = timeout_at(Instant::now() + time, running.ended()) => ended.is_ok(),
                _ = killed => false,
            };
            if ended {
                return true;
            }
            tracing::warn!(connector = %self.connector.name, task = %owned.task, generation = %owned.generation,
                "did not stop in time and is aborted");
        }
        running.abort();
        if timeout(ALARM, running.ended()).await.is_err() {
            tracing::error!(connector = %self.connector.name, task = %owned.task, generation = %owned.generation,
                "connector code blocks its thread and cannot be ended; the task keeps its owner until it returns");
            running.ended().await;
        }
        // Its last commit may be in a transaction that is open.
        around.clusters.settled().await;
        false
    }

    /// Whether it is no sink task: an instance, or a source.
    fn is_source(&self, around: &Surroundings) -> bool {
        self.assignment.owned.task.is_instance()
            || !matches!(around.worker.is_source(&self.connector.config), Ok(false))
    }

    fn show_failed(&self, around: &Surroundings, problem: String) {
        tracing::error!(connector = %self.connector.name, task = %self.assignment.owned.task, error = problem, "could not start");
        let board = around.worker.board();
        match self.subject() {
            Subject::Connector(name) => board.connector(&name, ConnectorState::Failed, Some(problem)),
            Subject::Task(id) => board.task(&id, TaskState::Failed, Some(problem)),
        }
    }

    /// Which ownership.
    pub(crate) fn owned(&self) -> Owned {
        self.assignment.owned
    }
}

fn target(paused: bool) -> TargetState {
    if paused {
        TargetState::Paused
    } else {
        TargetState::Started
    }
}

/// Waits until it shall end, or nobody wants anything any more.
async fn to_end(wanted: &mut watch::Receiver<Wanted>) {
    // Either way there is nothing left to wait for.
    drop(wanted.wait_for(|wanted| wanted.end.is_some()).await);
}
