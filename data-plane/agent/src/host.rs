//! The tasks and instances that run here, in one session: a keeper for each.

use crate::checks::Checks;
use crate::keeper::{End, Kept, Surroundings, Wanted};
use crate::status_topic::StatusTopic;
use dray_connect::ConfigMap;
use dray_model::message::{
    AssignedConnector, Assignment, Owned, Recovery, RevokedWhy, RunState, TaskConfigs, TaskReport,
};
use dray_model::{ConfigDiff, ConnectorName, ConnectorState, TaskKey, TaskState};
use dray_runtime::active_topics::ActiveTopics;
use dray_runtime::status::{StatusBoard, Subject};
use dray_runtime::worker::Worker;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};

/// What people may read of a failure: enough for the causes, small enough for a heartbeat with a hundred of them.
const LONGEST_TRACE: usize = 8 << 10;

/// Runs what it is told to. Dropping it aborts everything.
pub(crate) struct Host {
    around: Arc<Surroundings>,
    board: StatusBoard,
    keepers: BTreeMap<TaskKey, Keeper>,
    subjects: HashMap<Subject, Owned>,
    instances: HashMap<ConnectorName, Instance>,
    running: JoinSet<Dead>,
    statuses: Option<StatusTopic>,
    checks: Arc<Checks>,
    active: ActiveTopics,
}

struct Keeper {
    owned: Owned,
    recovery: Recovery,
    /// Its connector is being deleted.
    deleted: bool,
    wanted: watch::Sender<Wanted>,
}

/// What the task configurations of an instance are told about.
struct Instance {
    owned: Owned,
    connector: Arc<AssignedConnector>,
}

/// An ownership that came to its end.
pub(crate) struct Dead {
    pub(crate) owned: Owned,
    pub(crate) clean: bool,
    subject: Subject,
}

impl Host {
    pub(crate) fn new(
        around: Arc<Surroundings>,
        statuses: Option<StatusTopic>,
        checks: Arc<Checks>,
        active: ActiveTopics,
    ) -> Self {
        Self {
            board: around.worker.board().clone(),
            around,
            keepers: BTreeMap::new(),
            subjects: HashMap::new(),
            instances: HashMap::new(),
            running: JoinSet::new(),
            statuses,
            checks,
            active,
        }
    }

    /// Starts a task or instance; nothing of it runs here.
    pub(crate) fn start(&mut self, assignment: Assignment, connector: Arc<AssignedConnector>) {
        let wanted = watch::Sender::new(Wanted {
            paused: assignment.paused,
            end: None,
        });
        let kept = Kept { assignment, connector };
        let (owned, subject) = (kept.owned(), kept.subject());
        let (around, receiver) = (self.around.clone(), wanted.subscribe());
        self.checks.began(owned);
        self.active.connector(&kept.connector.name, owned.task.connector);
        self.subjects.insert(subject.clone(), owned);
        if let Subject::Connector(name) = &subject {
            let connector = kept.connector.clone();
            self.instances.insert(name.clone(), Instance { owned, connector });
        }
        let recovery = kept.connector.recovery;
        self.keepers.insert(
            owned.task,
            Keeper {
                owned,
                recovery,
                deleted: false,
                wanted,
            },
        );
        self.running.spawn(async move {
            let clean = kept.keep(&around, receiver).await;
            Dead { owned, clean, subject }
        });
    }

    pub(crate) fn set_paused(&self, owned: Owned, paused: bool) {
        self.want(owned, |wanted| wanted.paused = paused);
    }

    pub(crate) fn stop(&mut self, owned: Owned, graceful: Duration, why: RevokedWhy) {
        if let Some(keeper) = self.keepers.get_mut(&owned.task) {
            keeper.deleted |= why == RevokedWhy::Deleted;
        }
        self.want(owned, |wanted| {
            if wanted.end.is_none() {
                wanted.end = Some(End::Graceful(graceful));
            }
        });
    }

    pub(crate) fn kill(&self, owned: Owned) {
        self.want(owned, |wanted| wanted.end = Some(End::Kill));
    }

    fn want(&self, owned: Owned, change: impl FnOnce(&mut Wanted)) {
        if let Some(keeper) = self.keepers.get(&owned.task)
            && keeper.owned == owned
        {
            keeper.wanted.send_modify(change);
        }
    }

    /// The next ownership that is dead; waits for ever while nothing runs. Cancel-safe.
    ///
    /// # Errors
    /// When a keeper panicked: then nobody knows what still runs.
    pub(crate) async fn dead(&mut self) -> Result<Dead, JoinError> {
        match self.running.join_next().await {
            Some(dead) => dead,
            None => std::future::pending().await,
        }
    }

    /// Forgets what is dead.
    pub(crate) fn bury(&mut self, dead: &Dead) {
        self.checks.ended(dead.owned);
        let keeper = self.keepers.remove(&dead.owned.task);
        if let Some(statuses) = &self.statuses {
            let report = TaskReport {
                owned: dead.owned,
                state: RunState::Stopping,
                trace: None,
                restarts: 0,
                cost: None,
                tripped: false,
            };
            statuses.ended(&dead.subject, &report, keeper.is_some_and(|keeper| keeper.deleted));
        }
        if self.subjects.get(&dead.subject) == Some(&dead.owned) {
            self.subjects.remove(&dead.subject);
            self.board.remove(&dead.subject);
            if let Subject::Connector(name) = &dead.subject {
                self.instances.remove(name);
            }
        }
        let uid = dead.owned.task.connector;
        if !self.keepers.keys().any(|task| task.connector == uid) {
            self.active.ended(dead.subject.connector(), uid);
        }
    }

    /// What has changed since this was last asked. Wait on the board's watch first.
    pub(crate) fn reports(&self) -> Vec<TaskReport> {
        let changed = self.board.take_changed();
        let hidden = self.around.worker.config().providers().hidden();
        let watch = self.board.watch();
        let statuses = watch.borrow();
        changed
            .iter()
            .filter_map(|subject| {
                let owned = *self.subjects.get(subject)?;
                let (state, trace, restarts, tripped) = match subject {
                    Subject::Connector(name) => {
                        let entry = statuses.connectors.get(name)?;
                        (of_connector(entry.state), entry.trace.as_deref(), entry.restarts, false)
                    }
                    Subject::Task(id) => {
                        let entry = statuses.tasks.get(id)?;
                        (
                            of_task(entry.state),
                            entry.trace.as_deref(),
                            entry.restarts,
                            entry.tripped,
                        )
                    }
                };
                let report = TaskReport {
                    owned,
                    state,
                    // First hidden, then cut: half of a value is one too.
                    trace: trace.map(|trace| cut(&hidden.hide(trace)).to_owned()),
                    restarts,
                    cost: None,
                    tripped,
                };
                if let Some(statuses) = &self.statuses {
                    statuses.show(subject, &report);
                }
                Some(report)
            })
            .collect()
    }

    /// The task configurations of an instance, in the words of the protocol; `None` when the instance is another one by now.
    pub(crate) fn task_configs(&self, name: &ConnectorName, configs: &[ConfigMap]) -> Option<TaskConfigs> {
        let Instance { owned, connector } = self.instances.get(name)?;
        let differences = configs
            .iter()
            .map(|config| Arc::new(ConfigDiff::between(&connector.config, config)));
        Some(TaskConfigs {
            instance: *owned,
            config_version: connector.config_version,
            tasks: differences.collect(),
        })
    }

    /// What its tasks ask.
    pub(crate) fn checks(&self) -> &Checks {
        &self.checks
    }

    /// What runs them.
    pub(crate) fn worker(&self) -> &Worker {
        &self.around.worker
    }

    /// Whether anything here is protected by time alone.
    pub(crate) fn has_strict(&self) -> bool {
        self.keepers.values().any(|keeper| keeper.recovery == Recovery::Strict)
    }
}

fn of_task(state: TaskState) -> RunState {
    match state {
        TaskState::Unassigned => RunState::Starting,
        TaskState::Running => RunState::Running,
        TaskState::Paused => RunState::Paused,
        TaskState::Failed => RunState::Failed,
        TaskState::Restarting => RunState::Restarting,
        TaskState::Destroyed => RunState::Stopping,
    }
}

fn of_connector(state: ConnectorState) -> RunState {
    match state {
        ConnectorState::Unassigned => RunState::Starting,
        ConnectorState::Running => RunState::Running,
        ConnectorState::Paused => RunState::Paused,
        ConnectorState::Failed => RunState::Failed,
        ConnectorState::Restarting => RunState::Restarting,
        ConnectorState::Stopped | ConnectorState::Destroyed => RunState::Stopping,
    }
}

/// At most [`LONGEST_TRACE`] bytes, whole characters.
fn cut(trace: &str) -> &str {
    &trace[..trace.floor_char_boundary(LONGEST_TRACE)]
}
