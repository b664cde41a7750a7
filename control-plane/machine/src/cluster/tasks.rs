//! One task, or one connector instance, as the leader sees it: who owns it, what is known of its life there, and where it shall go.

use crate::scheduler::Unplaced;
use dray_model::message::{Recovery, RevokedWhy, RunState};
use dray_model::record::Owner;
use dray_model::{AgentNumber, AgentSession, ConfigDigest, Generation, Millis, TaskState};
use std::collections::BTreeSet;

use super::event::ShownStatus;

/// What is known of a task's life. The owner is whom the store names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nobody owns it.
    Unowned,
    /// Its owner's session goes on and is to run it: it was told so, or will be.
    Assigned,
    /// Its owner's session goes on and is to stop it.
    Revoking,
    /// It has an owner, and surely nothing of it can act there: that was said, or its session is over and proved dead.
    Stopped,
    /// Its owner's session was declared dead, and may still act.
    Orphaned,
}

impl Stage {
    /// Which stages may follow: the one table of a task's life at the leader.
    const NEXT: [(Self, &'static [Self]); 5] = [
        // a write named an owner; a new leader found one
        (Self::Unowned, &[Self::Assigned]),
        (Self::Assigned, &[Self::Revoking, Self::Stopped, Self::Orphaned]),
        // called off before it was said, or said on a stream that broke
        (Self::Revoking, &[Self::Assigned, Self::Stopped, Self::Orphaned]),
        // the same owner under a new generation, or a write
        (Self::Stopped, &[Self::Assigned, Self::Unowned]),
        // fenced or waited for, and then a write; or its process proved that the session is dead
        (Self::Orphaned, &[Self::Assigned, Self::Unowned, Self::Stopped]),
    ];

    /// Whether `to` may follow. Staying is legal.
    pub(super) fn may_become(self, to: Self) -> bool {
        self == to
            || Self::NEXT
                .iter()
                .any(|(from, next)| *from == self && next.contains(&to))
    }
}

/// A change of the owner that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// This agent, in its present session, is to own it.
    Claim(AgentNumber),
    /// Nobody is to.
    Release,
}

/// Dead sessions that a task's next start has to fence first: they owned it and nobody said yet that they are fenced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fences {
    /// Who owned it before this leader is not known: every session that was dead at the election.
    pub(super) inherited: bool,
    /// … and these.
    pub(super) known: BTreeSet<AgentSession>,
}

/// What the owner says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Report {
    pub(super) state: RunState,
    pub(super) trace: Option<String>,
    pub(super) restarts: u32,
    /// It failed because its breaker tripped.
    pub(super) tripped: bool,
}

/// A task or an instance.
#[derive(Debug)]
pub(super) struct Task {
    stage: Stage,
    /// As the store says.
    pub(super) owner: Option<Owner>,
    /// In force under this owner: the store's, or a later one of this term.
    pub(super) generation: Option<Generation>,
    /// The largest generation that the owner's session may know. `None`: it surely has nothing of this task.
    pub(super) told: Option<Generation>,
    /// An older generation may run at the owner, too, until `told` is said to be stopped.
    pub(super) older: bool,
    /// It was to get a new generation while it was revoked.
    pub(super) anew: bool,
    /// Why it is revoked, and whether that was said.
    pub(super) revoked: (RevokedWhy, bool),
    /// Where the scheduler wants it, or why nowhere.
    pub(super) target: Option<AgentNumber>,
    pub(super) unplaced: Option<Unplaced>,
    /// The change of its owner that is wanted, and whether it is being written.
    pub(super) wanted: Option<Wanted>,
    pub(super) writing: bool,
    pub(super) fences: Fences,
    /// Not assigned again before this moment: it stopped without being asked.
    pub(super) rests_until: Millis,
    pub(super) report: Option<Report>,
    /// What it was assigned with, and how what runs is protected; `None`: by an earlier leader, or not yet.
    pub(super) digest: Option<ConfigDigest>,
    pub(super) recovery: Option<Recovery>,
    /// A restart was asked for.
    pub(super) restarting: bool,
    pub(super) shown: Option<ShownStatus<TaskState>>,
}

impl Task {
    /// A task that nobody owns yet. `inherited`: it may have had owners before this leader.
    pub(super) fn new(inherited: bool) -> Self {
        Self {
            stage: Stage::Unowned,
            owner: None,
            generation: None,
            told: None,
            older: false,
            anew: false,
            revoked: (RevokedWhy::Moved, false),
            target: None,
            unplaced: None,
            wanted: None,
            writing: false,
            fences: Fences {
                inherited,
                known: BTreeSet::new(),
            },
            rests_until: Millis(0),
            report: None,
            digest: None,
            recovery: None,
            restarting: false,
            shown: None,
        }
    }

    pub(super) fn stage(&self) -> Stage {
        self.stage
    }

    /// The only way from stage to stage.
    pub(super) fn enter(&mut self, stage: Stage) {
        debug_assert!(
            self.stage.may_become(stage),
            "a task cannot go from {:?} to {stage:?}",
            self.stage
        );
        self.stage = stage;
    }

    /// Nothing of it can act at its owner.
    pub(super) fn stopped(&mut self) {
        self.enter(Stage::Stopped);
        self.told = None;
        self.older = false;
        self.anew = false;
        self.report = None;
    }

    /// Whether nobody owns it and nobody is about to.
    pub(super) fn is_free(&self) -> bool {
        self.stage == Stage::Unowned && !self.writing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_is_left_and_reached() {
        for (stage, next) in Stage::NEXT {
            assert!(!next.is_empty() && !next.contains(&stage), "{stage:?}");
            assert!(Stage::NEXT.iter().any(|(_, next)| next.contains(&stage)), "{stage:?}");
        }
        // Nothing that may still act is ever taken for free without one of the ways that prove it.
        assert!(!Stage::Assigned.may_become(Stage::Unowned) && !Stage::Revoking.may_become(Stage::Unowned));
    }
}
