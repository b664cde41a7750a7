//! Deliberately broken variants: each must be caught, or the simulation proves nothing about the rule that it breaks. All of them lie
//! between the machines and the world – about time, timing, messages or effects – so that the machines stay as they are.

/// What is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// A new leader does not wait for what the old one may have acknowledged: its clock jumps right after it was elected.
    ForgetGrants,
    /// The agent counts its lease from the receipt of an acknowledgement.
    LeaseFromReceipt,
    /// Strict tasks are given away before the lease has ended.
    ShortReassign,
    /// Clocks run up to 30 % wrong.
    Drift,
    /// What is killed when a session ends counts as dead at once, so the next session begins too early.
    SessionBeforeDead,
    /// A revoked task is reported as stopped when its stop begins.
    StoppedEarly,
    /// The store takes the writes of leaders of earlier terms, and agents take what they say.
    IgnoreTerm,
    /// Generations are numbered from the same term by every leader.
    ReuseGeneration,
    /// F1: a new leader does not know which sessions were declared dead.
    ForgetF1,
    /// F1 again: assignments do not say what is to be fenced.
    DropFenceFirst,
    /// F2: a writer is used before the leader has confirmed it.
    ForgetF2,
    /// F3: a writer that was fenced is initialised again and used.
    ForgetF3,
    /// F4: a sink that was thrown out of its group rejoins without asking.
    ForgetF4,
    /// F5: offsets are read up to the last stable offset only.
    ForgetF5,
    /// Hello leaves out what is still stopping.
    HeldForgotten,
    /// The agent starts the successor of a dead session's task without fencing it.
    SkipFence,
    /// F6: the tasks of a silent owner are reconfigured as soon as it is declared dead, and nobody fences it.
    ForgetF6,
    /// F7: a connector is reported as stopped although nobody has fenced the silent owner of its tasks.
    ForgetF7,
    /// What an agent says of a task counts for the present generation of it, whichever it was said of.
    AnyGenerationIsCurrent,
    /// Hello does not say how many restarts had been asked for.
    ForgetRestarts,
    /// Offsets are set without a mark in what is wanted of the connector.
    NoMark,
}

impl Mutation {
    /// How the failure that catches it begins: what it breaks, and not something else that it disturbs.
    #[must_use]
    pub fn breaks(self) -> &'static [&'static str] {
        match self {
            Self::ForgetGrants
            | Self::LeaseFromReceipt
            | Self::ShortReassign
            | Self::Drift
            | Self::SessionBeforeDead
            | Self::HeldForgotten => &["I1"],
            Self::StoppedEarly | Self::ForgetF1 | Self::AnyGenerationIsCurrent => &["I1", "I2"],
            Self::IgnoreTerm => &["I3"],
            Self::ReuseGeneration => &["I4"],
            Self::DropFenceFirst | Self::ForgetF2 | Self::ForgetF3 | Self::ForgetF5 | Self::SkipFence => &["I2"],
            Self::ForgetF4 => &["F4", "I2"],
            Self::ForgetF6 | Self::ForgetF7 => &["I2"],
            Self::ForgetRestarts => &["I6"],
            Self::NoMark => &["offsets", "I2"],
        }
    }

    /// All of them.
    pub const ALL: [Self; 21] = [
        Self::ForgetGrants,
        Self::LeaseFromReceipt,
        Self::ShortReassign,
        Self::Drift,
        Self::SessionBeforeDead,
        Self::StoppedEarly,
        Self::IgnoreTerm,
        Self::ReuseGeneration,
        Self::ForgetF1,
        Self::DropFenceFirst,
        Self::ForgetF2,
        Self::ForgetF3,
        Self::ForgetF4,
        Self::ForgetF5,
        Self::HeldForgotten,
        Self::SkipFence,
        Self::ForgetF6,
        Self::ForgetF7,
        Self::AnyGenerationIsCurrent,
        Self::ForgetRestarts,
        Self::NoMark,
    ];
}
