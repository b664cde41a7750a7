//! Agents as the control plane counts them: [`AgentNumber`], and what an operator decided about one: [`AgentPolicy`].

use serde::{Deserialize, Serialize};
use std::fmt;
use std::num::NonZeroU32;

/// The number of an agent in its cluster, given at its first Hello and never again to another. 0 stands for "no owner" in the
/// store, so it is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AgentNumber(NonZeroU32);

/// 0 is not the number of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("agents are numbered from 1")]
pub struct InvalidAgentNumber;

impl AgentNumber {
    /// The number.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0.get()
    }
}

impl TryFrom<u32> for AgentNumber {
    type Error = InvalidAgentNumber;

    fn try_from(number: u32) -> Result<Self, Self::Error> {
        NonZeroU32::new(number).map(Self).ok_or(InvalidAgentNumber)
    }
}

impl fmt::Display for AgentNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What an operator decided about an agent. Independent of whether it is connected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum AgentPolicy {
    /// It is given tasks.
    #[default]
    Active,
    /// It is given no more tasks and keeps those that it has.
    Cordoned,
    /// Its tasks go elsewhere, a few at a time.
    Draining,
    /// It comes back soon; its tasks are held for it.
    Restarting,
    /// It does not come back; its tasks go elsewhere at once.
    Removed,
}

impl fmt::Display for AgentPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Active => "ACTIVE",
            Self::Cordoned => "CORDONED",
            Self::Draining => "DRAINING",
            Self::Restarting => "RESTARTING",
            Self::Removed => "REMOVED",
        })
    }
}
