//! What both planes agree on: ids, states and the legal changes of state.
//!
//! [`id`] names connectors, tasks and workers, [`generation`] fences their owners, [`state`] has the one table of legal
//! changes, [`status`] what was seen. Wire types stop before this crate; it knows no runtime and no transport.

pub mod generation;
pub mod id;
pub mod state;
pub mod status;

pub use generation::Generation;
pub use id::{ConnectorName, InvalidConnectorName, InvalidTaskId, TaskId, WorkerId};
pub use state::{ConnectorState, IllegalTransition, TargetState, TaskState};
pub use status::{ConnectorStatus, Status, TaskStatus};
