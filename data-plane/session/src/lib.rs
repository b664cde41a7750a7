//! The agent's side of its session with the control plane: when it may act, what it runs, what it says. Pure: no runtime, network or clock.
//!
//! [`Session`] is told [`Event`]s and answers with [`Effect`]s, which are carried out in their order.

mod connection;
mod event;
mod identity;
mod lease;
mod leave;
mod orders;
mod restart;
mod session;
mod task;
mod writer;

#[cfg(test)]
mod tests;

pub use event::{ConnectionId, Effect, Event, Gate};
pub use identity::Identity;
pub use restart::{FailureClass, Restart, RestartPolicy, Restarts, UnknownPolicy};
pub use session::Session;
