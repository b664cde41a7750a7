//! The agent's side of its session with the control plane: when it may act, what it runs, what it says. Pure: no runtime, network or clock.

mod event;

pub use event::{ConnectionId, Effect, Event, Gate};
