//! What operators and programs ask of the control plane: `dray.admin.v1`. Here is only what the model has a word for; the services make
//! the rest out of their own state.

use crate::read::same_words;
use dray_model::{AgentPolicy, ConnectorState, TargetState, TaskState};

/// As it is on the wire.
#[allow(missing_docs, clippy::all, unreachable_pub)]
pub mod v1 {
    tonic::include_proto!("dray.admin.v1");
}

same_words!(v1::TargetState, TargetState: Started Paused Stopped);
same_words!(v1::ConnectorState, ConnectorState: Unassigned Running Paused Failed Restarting Stopped Destroyed);
same_words!(v1::TaskState, TaskState: Unassigned Running Paused Failed Restarting Destroyed);
same_words!(v1::AgentPolicy, AgentPolicy: Active Cordoned Draining Restarting Removed);
