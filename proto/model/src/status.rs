//! What was last seen of a connector or task.

use crate::generation::Generation;
use crate::id::WorkerId;
use crate::state::{ConnectorState, TaskState};
use serde::{Deserialize, Serialize};

/// What was last seen of a connector or task, and by whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status<S> {
    /// The state.
    pub state: S,
    /// Why it failed: the error with its causes.
    pub trace: Option<String>,
    /// The worker that reports.
    pub worker_id: WorkerId,
    /// The ownership that the report belongs to; an older one never overwrites a newer one.
    pub generation: Generation,
}

/// What was last seen of a connector.
pub type ConnectorStatus = Status<ConnectorState>;

/// What was last seen of a task.
pub type TaskStatus = Status<TaskState>;

impl<S> Status<S> {
    /// A status without a trace.
    #[must_use]
    pub fn new(state: S, worker_id: WorkerId, generation: Generation) -> Self {
        Self {
            state,
            trace: None,
            worker_id,
            generation,
        }
    }

    /// The status with a trace.
    #[must_use]
    pub fn with_trace(self, trace: impl Into<String>) -> Self {
        Self {
            trace: Some(trace.into()),
            ..self
        }
    }
}
