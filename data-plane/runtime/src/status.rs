//! What connectors and tasks are doing: written by them, watched by whoever asks.

use dray_model::{ConnectorName, ConnectorState, Generation, TaskId, TaskState};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::watch;

/// A state, with the reason when it is FAILED.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<S> {
    /// The state.
    pub state: S,
    /// The error with its causes, when FAILED; what a task waits for, while it retries.
    pub trace: Option<String>,
}

/// All states at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statuses {
    /// Connector instances.
    pub connectors: BTreeMap<ConnectorName, Entry<ConnectorState>>,
    /// Tasks.
    pub tasks: BTreeMap<TaskId, Entry<TaskState>>,
}

/// The shared board. Cheap to clone.
#[derive(Clone, Debug)]
pub struct StatusBoard(Arc<watch::Sender<Statuses>>);

impl Default for StatusBoard {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Statuses::default())))
    }
}

impl StatusBoard {
    /// Wakes on every change; read the whole value then.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Statuses> {
        self.0.subscribe()
    }

    /// A connector's new state.
    pub fn connector(&self, name: &ConnectorName, state: ConnectorState, trace: Option<String>) {
        self.0.send_modify(|statuses| {
            statuses.connectors.insert(name.clone(), Entry { state, trace });
        });
    }

    /// A task's new state.
    pub fn task(&self, id: &TaskId, state: TaskState, trace: Option<String>) {
        self.0.send_modify(|statuses| {
            statuses.tasks.insert(id.clone(), Entry { state, trace });
        });
    }

    /// A task that no longer exists.
    pub fn remove_task(&self, id: &TaskId) {
        self.0.send_modify(|statuses| {
            statuses.tasks.remove(id);
        });
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
}

impl TaskSelf {
    /// Shows a state.
    pub fn report(&self, state: TaskState, trace: Option<String>) {
        self.board.task(&self.id, state, trace);
    }
}
