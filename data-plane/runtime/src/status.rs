//! What connectors and tasks are doing: written by them, watched by whoever asks.

use crate::metrics::{Room, TaskMetrics};
use dray_model::{ConnectorName, ConnectorState, Generation, TaskId, TaskState};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;
use tokio::time::Instant;

/// A state, with the reason when it is FAILED.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<S> {
    /// The state.
    pub state: S,
    /// The error with its causes, when FAILED; what a task waits for, while it retries.
    pub trace: Option<String>,
    /// How often it was started again after it failed.
    pub restarts: u32,
    /// It is a task that FAILED because its breaker tripped.
    pub tripped: bool,
}

/// All states at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statuses {
    /// Connector instances.
    pub connectors: BTreeMap<ConnectorName, Entry<ConnectorState>>,
    /// Tasks.
    pub tasks: BTreeMap<TaskId, Entry<TaskState>>,
}

/// What a state is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A connector instance.
    Connector(ConnectorName),
    /// A task.
    Task(TaskId),
}

impl Subject {
    /// The connector, itself or of the task.
    #[must_use]
    pub fn connector(&self) -> &ConnectorName {
        match self {
            Self::Connector(name) => name,
            Self::Task(id) => &id.connector,
        }
    }

    /// The number of the task, if it is one.
    #[must_use]
    pub fn task(&self) -> Option<u32> {
        match self {
            Self::Connector(_) => None,
            Self::Task(id) => Some(id.number),
        }
    }
}

/// The shared board. Cheap to clone.
#[derive(Clone, Debug)]
pub struct StatusBoard(Arc<Board>);

#[derive(Debug)]
struct Board {
    statuses: watch::Sender<Statuses>,
    notes: Mutex<Notes>,
    room: Room,
}

/// At most one entry of each for each connector and task.
#[derive(Debug, Default)]
struct Notes {
    /// What nobody has passed on yet.
    changed: BTreeSet<Subject>,
    /// Since when it runs, for whoever counts its failures.
    running: HashMap<Subject, Instant>,
}

impl Default for StatusBoard {
    fn default() -> Self {
        Self(Arc::new(Board {
            statuses: watch::Sender::new(Statuses::default()),
            notes: Mutex::default(),
            room: Room::default(),
        }))
    }
}

impl StatusBoard {
    /// Wakes on every change; read the whole value then.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Statuses> {
        self.0.statuses.subscribe()
    }

    /// What has changed since this was last asked; for the one reader that passes changes on.
    #[must_use]
    pub fn take_changed(&self) -> BTreeSet<Subject> {
        std::mem::take(&mut self.notes().changed)
    }

    /// When it was first shown as RUNNING since this was last asked. It is asked for when something has failed, and not waited for: a task
    /// that waits for its own state would be woken by everybody else's.
    pub(crate) fn take_running(&self, subject: &Subject) -> Option<Instant> {
        self.notes().running.remove(subject)
    }

    /// What connectors and tasks measure.
    pub(crate) fn room(&self) -> &Room {
        &self.0.room
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        // Held for a few lines that cannot panic.
        self.0.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connector's new state.
    pub fn connector(&self, name: &ConnectorName, state: ConnectorState, trace: Option<String>) {
        let runs = state == ConnectorState::Running;
        self.change(Subject::Connector(name.clone()), runs, |statuses| {
            let restarts = statuses.connectors.get(name).map_or(0, |entry| entry.restarts);
            statuses.connectors.insert(name.clone(), entry(state, trace, restarts));
        });
    }

    /// A task's new state.
    pub fn task(&self, id: &TaskId, state: TaskState, trace: Option<String>) {
        self.task_entry(id, state, trace, false);
    }

    /// A task FAILED because its breaker tripped.
    pub(crate) fn tripped(&self, id: &TaskId, trace: String) {
        self.task_entry(id, TaskState::Failed, Some(trace), true);
    }

    fn task_entry(&self, id: &TaskId, state: TaskState, trace: Option<String>, tripped: bool) {
        let runs = state == TaskState::Running;
        self.room().task_state(id, state);
        self.change(Subject::Task(id.clone()), runs, |statuses| {
            let restarts = statuses.tasks.get(id).map_or(0, |entry| entry.restarts);
            let entry = Entry {
                tripped,
                ..entry(state, trace, restarts)
            };
            statuses.tasks.insert(id.clone(), entry);
        });
    }

    /// A connector or task that failed is started again after a while: for the `restarts`th time, for this reason.
    pub fn restarting(&self, subject: &Subject, restarts: u32, reason: String) {
        if let Subject::Task(id) = subject {
            self.room().task_state(id, TaskState::Restarting);
        }
        let trace = Some(reason);
        self.change(subject.clone(), false, |statuses| match subject {
            Subject::Connector(name) => {
                let state = ConnectorState::Restarting;
                statuses.connectors.insert(name.clone(), entry(state, trace, restarts));
            }
            Subject::Task(id) => {
                let state = TaskState::Restarting;
                statuses.tasks.insert(id.clone(), entry(state, trace, restarts));
            }
        });
    }

    /// A connector or task that no longer exists here.
    pub fn remove(&self, subject: &Subject) {
        self.0.statuses.send_modify(|statuses| match subject {
            Subject::Connector(name) => drop(statuses.connectors.remove(name)),
            Subject::Task(id) => drop(statuses.tasks.remove(id)),
        });
        self.notes().running.remove(subject);
        self.room().remove(subject);
    }

    /// Nothing is here any more: another session begins.
    pub fn clear(&self) {
        let all = {
            let statuses = self.0.statuses.borrow();
            let connectors = statuses.connectors.keys().cloned().map(Subject::Connector);
            let tasks = statuses.tasks.keys().cloned().map(Subject::Task);
            connectors.chain(tasks).collect::<Vec<_>>()
        };
        for subject in all {
            self.remove(&subject);
        }
        self.notes().changed.clear();
    }

    fn change(&self, subject: Subject, runs: bool, change: impl FnOnce(&mut Statuses)) {
        if runs {
            self.room().runs(&subject);
        }
        self.0.statuses.send_modify(|statuses| {
            change(statuses);
            // Under the same lock: whoever finds the note reads the new state, and whoever read the old one is woken.
            let mut notes = self.notes();
            if runs && !notes.running.contains_key(&subject) {
                notes.running.insert(subject.clone(), Instant::now());
            }
            notes.changed.insert(subject);
        });
    }
}

fn entry<S>(state: S, trace: Option<String>, restarts: u32) -> Entry<S> {
    Entry {
        state,
        trace,
        restarts,
        tripped: false,
    }
}

/// What every task knows about itself.
#[derive(Clone, Debug)]
pub struct TaskSelf {
    /// Which task.
    pub id: TaskId,
    /// Under which ownership.
    pub generation: Generation,
    /// Where its state is shown.
    pub board: StatusBoard,
    /// What it measures.
    pub metrics: TaskMetrics,
}

impl TaskSelf {
    /// Shows a state.
    pub fn report(&self, state: TaskState, trace: Option<String>) {
        self.board.task(&self.id, state, trace);
    }
}
