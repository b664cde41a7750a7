//! What agents are to run, and what they say to that.

use super::v1;
use crate::Invalid;
use crate::read::{self, PROSE, choice, each, millis, name, names, number, prose, required, same_words, text};
use dray_model::message::{
    AssignedConnector, Assignment, AssignmentAck, AssignmentDelta, DeadSession, Recovery, RefusedTask, RefusedWhy,
    Revocation, RevokedWhy,
};
use dray_model::{AgentSession, ConfigDiff};
use std::sync::Arc;

same_words!(v1::Recovery, Recovery: Fenced Strict);
same_words!(v1::RevokedWhy, RevokedWhy: Moved Deleted Stopped Reconfigured NotOwned);
same_words!(v1::RefusedWhy, RefusedWhy: NoPlugin OverCapacity Connector Suspect);

impl From<AssignmentDelta> for v1::AssignmentDelta {
    fn from(delta: AssignmentDelta) -> Self {
        let connector = |connector: Arc<AssignedConnector>| Arc::unwrap_or_clone(connector).into();
        Self {
            nonce: delta.nonce,
            revocations: delta.revocations.into_iter().map(Into::into).collect(),
            connectors: delta.connectors.into_iter().map(connector).collect(),
            assignments: delta.assignments.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<v1::AssignmentDelta> for AssignmentDelta {
    type Error = Invalid;

    fn try_from(delta: v1::AssignmentDelta) -> Result<Self, Invalid> {
        let connectors: Vec<AssignedConnector> = each("connectors", delta.connectors)?;
        Ok(Self {
            nonce: delta.nonce,
            revocations: each("revocations", delta.revocations)?,
            connectors: connectors.into_iter().map(Arc::new).collect(),
            assignments: each("assignments", delta.assignments)?,
        })
    }
}

impl From<AssignedConnector> for v1::AssignedConnector {
    fn from(connector: AssignedConnector) -> Self {
        Self {
            uid: connector.uid.get(),
            name: connector.name.into(),
            config_version: connector.config_version,
            config: connector.config,
            recovery: v1::Recovery::from(connector.recovery).into(),
        }
    }
}

impl TryFrom<v1::AssignedConnector> for AssignedConnector {
    type Error = Invalid;

    fn try_from(connector: v1::AssignedConnector) -> Result<Self, Invalid> {
        Ok(Self {
            uid: number("uid", connector.uid)?,
            name: name("name", connector.name)?,
            config_version: connector.config_version,
            config: connector.config,
            recovery: choice::<v1::Recovery, _>("recovery", connector.recovery)?,
        })
    }
}

impl From<Assignment> for v1::Assignment {
    fn from(assignment: Assignment) -> Self {
        Self {
            owned: Some(assignment.owned.into()),
            config: Some(Arc::unwrap_or_clone(assignment.config).into()),
            digest: assignment.digest.as_bytes().into(),
            paused: assignment.paused,
            cost: assignment.cost.units(),
            fence_first: assignment.fence_first.into_iter().map(Into::into).collect(),
            asked_restarts: assignment.asked_restarts,
        }
    }
}

impl TryFrom<v1::Assignment> for Assignment {
    type Error = Invalid;

    fn try_from(assignment: v1::Assignment) -> Result<Self, Invalid> {
        Ok(Self {
            owned: required("owned", assignment.owned)?,
            config: Arc::new(assignment.config.unwrap_or_default().into()),
            digest: read::digest("digest", &assignment.digest)?,
            paused: assignment.paused,
            cost: read::cost("cost", assignment.cost)?,
            fence_first: each("fence_first", assignment.fence_first)?,
            asked_restarts: assignment.asked_restarts,
        })
    }
}

impl From<ConfigDiff> for v1::ConfigDiff {
    fn from(diff: ConfigDiff) -> Self {
        Self {
            set: diff.set,
            removed: diff.removed,
        }
    }
}

impl From<v1::ConfigDiff> for ConfigDiff {
    fn from(diff: v1::ConfigDiff) -> Self {
        Self {
            set: diff.set,
            removed: diff.removed,
        }
    }
}

impl From<DeadSession> for v1::DeadSession {
    fn from(dead: DeadSession) -> Self {
        Self {
            agent: dead.session.agent.get(),
            session: dead.session.session.get(),
            clusters: dead.clusters.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<v1::DeadSession> for DeadSession {
    type Error = Invalid;

    fn try_from(dead: v1::DeadSession) -> Result<Self, Invalid> {
        Ok(Self {
            session: AgentSession {
                agent: read::agent_number("agent", dead.agent)?,
                session: number("session", dead.session)?,
            },
            clusters: names("clusters", dead.clusters)?,
        })
    }
}

impl From<Revocation> for v1::Revocation {
    fn from(revocation: Revocation) -> Self {
        Self {
            owned: Some(revocation.owned.into()),
            graceful: Some(read::duration(revocation.graceful_ms)),
            why: v1::RevokedWhy::from(revocation.why).into(),
        }
    }
}

impl TryFrom<v1::Revocation> for Revocation {
    type Error = Invalid;

    fn try_from(revocation: v1::Revocation) -> Result<Self, Invalid> {
        Ok(Self {
            owned: required("owned", revocation.owned)?,
            graceful_ms: millis("graceful", revocation.graceful)?,
            why: choice::<v1::RevokedWhy, _>("why", revocation.why)?,
        })
    }
}

impl From<AssignmentAck> for v1::AssignmentAck {
    fn from(ack: AssignmentAck) -> Self {
        Self {
            nonce: ack.nonce,
            refused: ack.refused.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<v1::AssignmentAck> for AssignmentAck {
    type Error = Invalid;

    fn try_from(ack: v1::AssignmentAck) -> Result<Self, Invalid> {
        Ok(Self {
            nonce: ack.nonce,
            refused: each("refused", ack.refused)?,
        })
    }
}

impl From<RefusedTask> for v1::RefusedTask {
    fn from(refused: RefusedTask) -> Self {
        Self {
            owned: Some(refused.owned.into()),
            why: v1::RefusedWhy::from(refused.why).into(),
            message: prose(refused.message),
        }
    }
}

impl TryFrom<v1::RefusedTask> for RefusedTask {
    type Error = Invalid;

    fn try_from(refused: v1::RefusedTask) -> Result<Self, Invalid> {
        Ok(Self {
            owned: required("owned", refused.owned)?,
            why: choice::<v1::RefusedWhy, _>("why", refused.why)?,
            message: text("message", refused.message, PROSE)?,
        })
    }
}
