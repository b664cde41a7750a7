//! What is wrong with bytes or messages.

use dray_model::record::MAX_TASKS;
use prost::DecodeError;
use std::fmt::Display;

/// A message that cannot be what it says, with the field that is wrong: `hello.agent: the id of an agent may not be empty …`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct Invalid {
    /// The field, from the outermost message on: `heartbeat.changed[3].owned.generation`.
    pub field: String,
    /// What is wrong with it.
    pub problem: String,
}

impl Invalid {
    pub(crate) fn new(field: impl Into<String>, problem: impl Display) -> Self {
        Self {
            field: field.into(),
            problem: problem.to_string(),
        }
    }

    /// The same, seen from the message that holds it.
    #[must_use]
    pub(crate) fn within(self, parent: impl Display) -> Self {
        Self {
            field: format!("{parent}.{}", self.field),
            problem: self.problem,
        }
    }
}

/// An enum on the wire says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not given")]
pub struct NotGiven;

/// Why a record of the store cannot be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bytes are no message.
    #[error("the bytes are no {what}")]
    Bytes {
        /// What they should be.
        what: &'static str,
        /// Why they are not.
        #[source]
        source: DecodeError,
    },
    /// A field is wrong.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// A part of a task set is not there.
    #[error("part {digest} of the task set is missing")]
    PartMissing {
        /// Its digest.
        digest: String,
    },
    /// A part of a task set is not what its digest says.
    #[error("part {digest} of the task set is damaged: {problem}")]
    PartDamaged {
        /// Its digest.
        digest: String,
        /// How that shows.
        problem: String,
    },
    /// A task set has more tasks than may be.
    #[error("a task set has {count} tasks, and {MAX_TASKS} is the most")]
    TooManyTasks {
        /// How many.
        count: usize,
    },
    /// The configuration of one task is too large to be stored.
    #[error("the configuration of task {task} is {bytes} bytes more than its connector's, and {limit} is the most")]
    TaskTooLarge {
        /// Which task.
        task: usize,
        /// How large its difference from the connector's configuration is.
        bytes: usize,
        /// What is allowed.
        limit: usize,
    },
}
