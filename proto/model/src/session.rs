//! Sessions of agents, and what names and orders everything that a leader hands out.

use crate::agent::AgentNumber;
use crate::generation::Generation;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::num::NonZeroU64;

/// The term of a leader: the revision at which its key was created. A later leader has a larger one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Term(NonZeroU64);

/// How many numbers a leader can hand out.
const NUMBERS: u32 = 1 << 24;

impl Term {
    /// The revision.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0.get()
    }

    /// The `n`th number of this term, without a write: larger than all numbers of earlier terms. `None`: the term has no more, and its
    /// leader must resign. Terms above 2^40 have none either; at 1,000 writes a second that is 34 years away.
    #[must_use]
    pub fn number(self, n: u32) -> Option<NonZeroU64> {
        (n < NUMBERS && self.get() < 1 << 40)
            .then(|| self.0.get() << 24 | u64::from(n))
            .and_then(NonZeroU64::new)
    }

    /// The `n`th generation of this term; see [`number`](Self::number).
    #[must_use]
    pub fn generation(self, n: u32) -> Option<Generation> {
        self.number(n).map(Generation::from)
    }

    /// The `n`th session of this term; see [`number`](Self::number).
    #[must_use]
    pub fn session(self, n: u32) -> Option<SessionId> {
        self.number(n).map(SessionId)
    }
}

impl From<NonZeroU64> for Term {
    fn from(revision: NonZeroU64) -> Self {
        Self(revision)
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One session of an agent: from a Hello that was granted a new one until everything that ran in it is dead. Never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(NonZeroU64);

impl SessionId {
    /// The number.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0.get()
    }

    /// The transactional id of this session's writer on a Kafka cluster. `dray` is the id of the Dray cluster. Whoever runs
    /// InitProducerId on it has fenced the session there.
    #[must_use]
    pub fn writer_id(self, dray: &str, agent: AgentNumber) -> String {
        format!("{dray}-agent-{agent}-{self}")
    }
}

impl From<NonZeroU64> for SessionId {
    fn from(number: NonZeroU64) -> Self {
        Self(number)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One process of an agent: a random number made when it starts. An agent that quotes its predecessor's while it holds the exclusive
/// lock of the data folder proves that the predecessor is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Instance(pub u128);

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// A session, with the agent that had it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AgentSession {
    /// The agent.
    pub agent: AgentNumber,
    /// The session.
    pub session: SessionId,
}

/// The lease of an agent. All times are counted by the agent, on its own clock, **from the moment it sent** the heartbeat that was
/// acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeasePolicy {
    /// Milliseconds between two heartbeats.
    pub heartbeat_ms: u32,
    /// No acknowledgement for so many milliseconds: nothing new is begun.
    pub suspect_ms: u32,
    /// When the lease ends: strict tasks are stopped.
    pub lease_ms: u32,
    /// After the end of the lease, every strict task is dead within so many milliseconds.
    pub stop_ms: u32,
    /// Neither an acknowledgement nor a commit of the session's writer for so many milliseconds: tasks of the fenced class pause.
    pub quiet_ms: u32,
}

impl Default for LeasePolicy {
    /// The defaults whose inequalities were checked: see ARCHITECTURE, *Leases*.
    fn default() -> Self {
        Self {
            heartbeat_ms: 1_000,
            suspect_ms: 20_000,
            lease_ms: 30_000,
            stop_ms: 5_000,
            quiet_ms: 5_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn term(revision: u64) -> Term {
        NonZeroU64::new(revision).unwrap().into()
    }

    #[test]
    fn later_terms_have_larger_numbers() {
        assert!(term(7).generation(NUMBERS - 1).unwrap() < term(8).generation(0).unwrap());
        assert_eq!(term(7).generation(NUMBERS), None);
        assert_eq!(term(1 << 40).generation(0), None);
    }

    #[test]
    fn a_writer_is_named_after_its_session() {
        let session = term(1).session(2).unwrap();
        assert_eq!(
            session.writer_id("connect-cluster", 3.try_into().unwrap()),
            "connect-cluster-agent-3-16777218"
        );
    }
}
