//! How often each fault and each interesting path happened: a simulation that never gets somewhere proves nothing about it.

use std::fmt;

macro_rules! seen {
    ($($name:ident = $text:literal,)*) => {
        /// What may happen in a run.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Seen {
            $(#[doc = $text] $name,)*
        }

        impl Seen {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// In words.
            #[must_use]
            pub fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

seen! {
    // Faults.
    AllCut = "all agents cut off at once",
    AgentCrash = "agent crashed, same host",
    AgentWiped = "agent crashed, without its data folder",
    AgentPaused = "agent paused",
    AgentLeft = "agent left in good order",
    AgentTwice = "second process with an agent's id",
    AgentCut = "agent cut off from the control plane",
    AgentCutOneWay = "agent cut off in one direction",
    KafkaCut = "agent cut off from Kafka",
    StreamReset = "stream reset",
    AllStreamsReset = "all streams reset at once",
    HalfOpen = "stream broken, noticed by one end",
    SlowNetwork = "messages delayed up to 20 s",
    LeaderCrash = "leader crashed",
    LeaderPaused = "leader paused",
    LeaderResigned = "leader resigned",
    ReplicaCrash = "replica crashed",
    StoreCut = "replica cut off from the store",
    StoreDown = "store down",
    StoreFull = "store full",
    LeaseRevoked = "leader's lease revoked early",
    WatchDropped = "watch dropped, listed again",
    RepliesLost = "replies of the store lost",
    NoWriterAllowed = "writer refused: no permission",
    IdExpired = "transactional id expired",
    // Paths.
    Election = "elections",
    Beat = "beats",
    BeatLate = "leader not valid for a while, and again",
    SteppedDown = "leaders that lost their key",
    ActWhileInvalid = "messages to a leader that is not valid",
    NotLeader = "Hello to one that does not lead",
    Welcome = "sessions welcomed",
    WelcomeBack = "sessions gone on with",
    HelloProof = "Hello with the proof of the process before",
    FencedDuplicate = "duplicate ids refused",
    FencedDead = "told to be declared dead",
    VerdictStop = "verdict stop for a held task",
    DeclaredDead = "sessions declared dead",
    DeadEntryGone = "dead sessions forgotten after their fence",
    FenceFirst = "assignments with fence_first",
    FenceCommand = "commands to fence sessions",
    WriterConfirmed = "writers confirmed",
    WriterFenced = "writers told that they are fenced",
    TransactionTimeout = "transactions timed out",
    CommitRefused = "commits of zombies refused",
    LateRecords = "records of zombies that landed late",
    OffsetsWaited = "offset reads that waited for an open transaction",
    MemberLost = "sink members thrown out",
    LeftOnBehalf = "members that left on behalf",
    RejoinDenied = "rejoins denied",
    RejoinAllowed = "rejoins allowed",
    EosCheck = "generation checks of exactly-once tasks",
    StrictMove = "strict tasks given away by time",
    StrictStopped = "strict tasks killed at the end of a lease",
    Move = "planned moves",
    Forced = "forced changes of owner",
    Start = "starts",
    Stop = "stops in good order",
    Kill = "kills",
    Hang = "stops that hung",
    Restart = "restarts by the user",
    RestartOwed = "restarts that a former leader owed",
    WrongConfig = "configurations that cannot be read",
    OffsetsSet = "offsets set by the user",
    MarkLeft = "marks of such a change left behind",
    TaskFailed = "tasks failed",
    Tripped = "connectors paused by their breaker",
    Refused = "assignments refused",
    TaskSet = "task sets stored",
    TaskSetChanged = "task sets that change a running one",
    ConnectorStopped = "connectors stopped",
    ConnectorDeleted = "connectors deleted",
    Paused = "tasks paused",
    Drained = "agents drained",
    PolicyChanged = "policies changed",
    Applied = "writes applied",
    Conflict = "writes with a conflict",
    WriteRefused = "writes refused",
    Unknown = "writes of unknown outcome",
    UnknownApplied = "of these, applied",
    UnknownAgain = "of these, sent again",
    Unassigned = "UNASSIGNED shown",
    OldConnection = "messages of an older connection",
    QuietGate = "fenced tasks held back by F9",
    Orphan = "commits of the writer without a leader",
}

/// Counters of all that may happen.
#[derive(Clone, Debug)]
pub struct Coverage(Vec<u64>);

impl Default for Coverage {
    fn default() -> Self {
        Self(vec![0; Seen::ALL.len()])
    }
}

impl Coverage {
    pub(crate) fn see(&mut self, what: Seen) {
        self.0[what as usize] += 1;
    }

    /// Adds those of another run.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            *mine += theirs;
        }
    }

    /// How often.
    #[must_use]
    pub fn of(&self, what: Seen) -> u64 {
        self.0[what as usize]
    }

    /// What never happened.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        Seen::ALL
            .iter()
            .filter(|seen| self.of(**seen) == 0)
            .map(|seen| seen.text())
            .collect()
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for seen in Seen::ALL {
            writeln!(f, "{:>12}  {}", self.of(*seen), seen.text())?;
        }
        Ok(())
    }
}
