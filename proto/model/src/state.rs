//! The states of connectors and tasks and the one table of legal changes between them.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What the user wants of a connector and its tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum TargetState {
    /// They run.
    Started,
    /// They keep what they hold and move no records.
    Paused,
    /// They are shut down; the connector's configuration and offsets stay.
    Stopped,
}

/// What is seen of a connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ConnectorState {
    /// No worker runs it: the state in which everything begins.
    Unassigned,
    /// It was started.
    Running,
    /// Paused by the user.
    Paused,
    /// It ended with an error; its status has the trace.
    Failed,
    /// A restart was asked for and is under way.
    Restarting,
    /// Shut down by the user.
    Stopped,
    /// Deleted. Nothing follows: a connector of the same name begins anew.
    Destroyed,
}

/// What is seen of a task. A task is never STOPPED: when its connector is, the task is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum TaskState {
    /// No worker runs it: the state in which everything begins.
    Unassigned,
    /// It was started.
    Running,
    /// Paused by the user.
    Paused,
    /// It ended with an error; its status has the trace.
    Failed,
    /// A restart was asked for and is under way.
    Restarting,
    /// Deleted, with its connector or because there are fewer tasks now.
    Destroyed,
}

/// A change of state that the table does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("state cannot change from {from} to {to}")]
pub struct IllegalTransition {
    /// The state before.
    pub from: ConnectorState,
    /// The state that was asked for.
    pub to: ConnectorState,
}

use ConnectorState::{Destroyed, Failed, Paused, Restarting, Running, Stopped, Unassigned};

/// What may follow each state. Tasks obey the same table without its STOPPED. A failure never heals by itself: FAILED
/// becomes RUNNING only over a restart or a new assignment. Staying in a state is legal everywhere and not listed:
/// reports may be repeated.
const TRANSITIONS: [(ConnectorState, &[ConnectorState]); 7] = [
    (Unassigned, &[Running, Paused, Stopped, Failed, Restarting, Destroyed]),
    (Running, &[Unassigned, Paused, Stopped, Failed, Restarting, Destroyed]),
    (Paused, &[Unassigned, Running, Stopped, Failed, Restarting, Destroyed]),
    (Failed, &[Unassigned, Stopped, Restarting, Destroyed]),
    (Restarting, &[Unassigned, Running, Paused, Stopped, Failed, Destroyed]),
    (Stopped, &[Unassigned, Running, Paused, Failed, Restarting, Destroyed]),
    (Destroyed, &[]),
];

impl ConnectorState {
    /// The state after a change to `to`.
    ///
    /// # Errors
    /// When the table does not allow the change.
    pub fn next(self, to: Self) -> Result<Self, IllegalTransition> {
        let listed = TRANSITIONS
            .iter()
            .any(|(from, allowed)| *from == self && allowed.contains(&to));
        if self == to || listed {
            Ok(to)
        } else {
            Err(IllegalTransition { from: self, to })
        }
    }
}

impl TaskState {
    /// The state after a change to `to`.
    ///
    /// # Errors
    /// When the table does not allow the change.
    pub fn next(self, to: Self) -> Result<Self, IllegalTransition> {
        ConnectorState::from(self).next(to.into()).map(|_| to)
    }
}

impl From<TaskState> for ConnectorState {
    fn from(state: TaskState) -> Self {
        match state {
            TaskState::Unassigned => Self::Unassigned,
            TaskState::Running => Self::Running,
            TaskState::Paused => Self::Paused,
            TaskState::Failed => Self::Failed,
            TaskState::Restarting => Self::Restarting,
            TaskState::Destroyed => Self::Destroyed,
        }
    }
}

impl fmt::Display for TargetState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Started => "STARTED",
            Self::Paused => "PAUSED",
            Self::Stopped => "STOPPED",
        })
    }
}

impl fmt::Display for ConnectorState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Unassigned => "UNASSIGNED",
            Self::Running => "RUNNING",
            Self::Paused => "PAUSED",
            Self::Failed => "FAILED",
            Self::Restarting => "RESTARTING",
            Self::Stopped => "STOPPED",
            Self::Destroyed => "DESTROYED",
        })
    }
}

impl fmt::Display for TaskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        ConnectorState::from(*self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TASK_STATES: [TaskState; 6] = [
        TaskState::Unassigned,
        TaskState::Running,
        TaskState::Paused,
        TaskState::Failed,
        TaskState::Restarting,
        TaskState::Destroyed,
    ];

    #[test]
    fn the_table_is_closed() {
        let rows: Vec<_> = TRANSITIONS.iter().map(|(from, _)| *from).collect();
        for (index, (from, allowed)) in TRANSITIONS.iter().enumerate() {
            assert!(!rows[..index].contains(from), "{from} has two rows");
            for to in *allowed {
                assert!(rows.contains(to), "{from} leads to {to}, which has no row");
                assert_ne!(from, to, "staying is not listed");
            }
        }
    }

    #[test]
    fn every_state_is_reachable_from_unassigned() {
        let mut reached = vec![Unassigned];
        let mut at = 0;
        while let Some(from) = reached.get(at).copied() {
            for (to, _) in &TRANSITIONS {
                if from.next(*to).is_ok() && !reached.contains(to) {
                    reached.push(*to);
                }
            }
            at += 1;
        }
        assert_eq!(reached.len(), TRANSITIONS.len());
        for state in TASK_STATES {
            assert!(TaskState::Unassigned.next(state).is_ok(), "{state}");
        }
    }

    #[test]
    fn a_failure_does_not_heal_by_itself() {
        assert_eq!(
            Failed.next(Running),
            Err(IllegalTransition {
                from: Failed,
                to: Running
            })
        );
        assert_eq!(TaskState::Failed.next(TaskState::Restarting), Ok(TaskState::Restarting));
        assert_eq!(
            TaskState::Failed.next(TaskState::Paused).unwrap_err().to_string(),
            "state cannot change from FAILED to PAUSED"
        );
    }

    #[test]
    fn nothing_follows_destroyed_and_staying_is_legal() {
        for (state, _) in &TRANSITIONS {
            assert_eq!(state.next(*state), Ok(*state));
            assert_eq!(Destroyed.next(*state).is_ok(), *state == Destroyed);
        }
    }
}
