//! What a seed chooses before its run begins: times, clocks, which faults there are and how often.

use crate::mutation::Mutation;
use crate::random::Random;
use crate::{AGENT_SLOTS, REPLICAS, Time};
use dray_machine::cluster::Timing;
use dray_model::LeasePolicy;

/// What can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    AgentCrash,
    AgentWiped,
    AgentPause,
    AgentTwice,
    AgentLeave,
    AgentCut,
    AgentCutOneWay,
    AllCut,
    KafkaCut,
    StreamReset,
    AllStreamsReset,
    HalfOpen,
    SlowNetwork,
    LeaderCrash,
    LeaderPause,
    LeaderResign,
    ReplicaCrash,
    StoreCut,
    StoreDown,
    StoreFull,
    LeaseRevoked,
    WatchDropped,
    RepliesLost,
}

impl Fault {
    const ALL: [Self; 23] = [
        Self::AgentCrash,
        Self::AgentWiped,
        Self::AgentPause,
        Self::AgentTwice,
        Self::AgentLeave,
        Self::AgentCut,
        Self::AgentCutOneWay,
        Self::AllCut,
        Self::KafkaCut,
        Self::StreamReset,
        Self::AllStreamsReset,
        Self::HalfOpen,
        Self::SlowNetwork,
        Self::LeaderCrash,
        Self::LeaderPause,
        Self::LeaderResign,
        Self::ReplicaCrash,
        Self::StoreCut,
        Self::StoreDown,
        Self::StoreFull,
        Self::LeaseRevoked,
        Self::WatchDropped,
        Self::RepliesLost,
    ];
}

pub(crate) struct Profile {
    pub(crate) timing: Timing,
    /// How long faults and users are at it.
    pub(crate) faults_ms: Time,
    pub(crate) faults: Vec<Fault>,
    /// The mean time between two faults, and between two acts of a user.
    pub(crate) fault_gap_ms: Time,
    pub(crate) user_gap_ms: Time,
    pub(crate) connectors: u64,
    /// Parts per million by which each process's clock runs fast or slow: replicas, then agents.
    pub(crate) clocks: Vec<i64>,
    pub(crate) id_expiry: Option<Time>,
    /// Agents (by slot) that may not have a writer.
    pub(crate) forbidden: Vec<bool>,
    /// How long everything must be silent at the end.
    pub(crate) silence_ms: Time,
    /// By when, after the faults, everything must be as it should.
    pub(crate) converged_ms: Time,
}

impl Profile {
    pub(crate) fn new(random: &mut Random, mutation: Option<Mutation>) -> Self {
        let quick = random.permille(700);
        let mut timing = Timing::default();
        if quick {
            // 15 >= (10 + 2) * 1.05 / 0.95: legal, and three times as much happens in a run.
            timing.lease = LeasePolicy {
                suspect_ms: 7_000,
                lease_ms: 10_000,
                stop_ms: 2_000,
                ..timing.lease
            };
            timing.reassign_ms = 15_000;
            timing.graceful_ms = 3_000;
        }
        if mutation == Some(Mutation::ForgetF6) {
            timing.reassign_ms = 0;
        }
        if mutation == Some(Mutation::ShortReassign) {
            timing.reassign_ms = u64::from(timing.lease.lease_ms) * 8 / 10;
        }
        let drift: i64 = match mutation {
            Some(Mutation::Drift) => 300_000,
            _ => random.pick(&[0, 10_000, 50_000, 50_000]),
        };
        let clocks = (0..REPLICAS + AGENT_SLOTS)
            .map(|_| match random.below(3) {
                0 => drift,
                1 => -drift,
                _ => i64::try_from(random.range(0, 2 * drift.unsigned_abs())).expect("small") - drift,
            })
            .collect();
        // A few kinds of faults a run: what all of them hide together, two of them show.
        let share = random.pick(&[150, 300, 300, 600]);
        let mut faults: Vec<Fault> = Fault::ALL.into_iter().filter(|_| random.permille(share)).collect();
        // A mutation is looked for where it can show.
        for fault in mutation.map_or(&[][..], ground) {
            faults.push(*fault);
        }
        if faults.is_empty() {
            faults.push(random.pick(&Fault::ALL));
        }
        let some_forbidden = random.permille(150);
        Self {
            timing,
            faults_ms: random.range(40, if quick { 110 } else { 180 }) * 1_000,
            faults,
            fault_gap_ms: random.pick(&[1_500, 4_000, 8_000, 15_000]),
            user_gap_ms: match mutation {
                Some(Mutation::ForgetF7) => 2_000,
                _ => random.pick(&[3_000, 8_000, 20_000]),
            },
            // With others beside it, the successors of their tasks fence the session as well.
            connectors: match mutation {
                Some(Mutation::ForgetF7) => 1,
                _ => random.range(2, 5),
            },
            clocks,
            id_expiry: random.permille(200).then_some(20_000),
            forbidden: (0..AGENT_SLOTS)
                .map(|_| some_forbidden && mutation != Some(Mutation::ForgetF6) && random.permille(300))
                .collect(),
            silence_ms: if random.permille(250) { 80_000 } else { 15_000 },
            converged_ms: if quick { 200_000 } else { 400_000 },
        }
    }
}

/// The faults in which a mutation shows, where it needs particular ones.
fn ground(mutation: Mutation) -> &'static [Fault] {
    match mutation {
        Mutation::LeaseFromReceipt => &[Fault::AgentCutOneWay; 6],
        Mutation::Drift | Mutation::SessionBeforeDead => &[Fault::AgentCut],
        Mutation::HeldForgotten => &[Fault::AllStreamsReset, Fault::StreamReset],
        Mutation::ForgetF1 => &[Fault::AgentPause, Fault::LeaderCrash, Fault::LeaderResign],
        Mutation::ForgetF2 => &[
            Fault::AgentCrash,
            Fault::KafkaCut,
            Fault::KafkaCut,
            Fault::AgentCut,
            Fault::AgentCut,
        ],
        Mutation::ForgetF4 => &[Fault::AgentCut],
        Mutation::ForgetF5 => &[Fault::KafkaCut],
        Mutation::ForgetGrants
        | Mutation::ShortReassign
        | Mutation::StoppedEarly
        | Mutation::IgnoreTerm
        | Mutation::ReuseGeneration
        | Mutation::DropFenceFirst
        | Mutation::ForgetF3
        | Mutation::SkipFence
        | Mutation::NoMark => &[],
        Mutation::ForgetF6 | Mutation::ForgetF7 => &[Fault::AgentCut, Fault::AgentCut, Fault::AgentPause],
        Mutation::AnyGenerationIsCurrent => &[Fault::SlowNetwork, Fault::SlowNetwork, Fault::AgentLeave],
        Mutation::ForgetRestarts => &[Fault::LeaderCrash, Fault::LeaderResign, Fault::AllStreamsReset],
    }
}
