//! One cluster as its leader sees it: connectors, tasks, agents and their sessions, moves and recovery.
//!
//! The scheduler says where tasks go; this says what has to be true before they go there.

mod event;

pub use event::{
    Change, ConnectionId, Effect, Event, LinkState, Name, Outcome, Record, Revision, Shown, ShownAgent, ShownStatus,
    Snapshot, Stored, Timing, Write, WriteId,
};
