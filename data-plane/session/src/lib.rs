//! The agent's side of its session with the control plane: when it may act, what it runs, what it says. Pure: no runtime, network or clock.
//!
//! [`Session`] is told [`Event`]s and answers with [`Effect`]s, which are carried out in their order.

mod connection;
mod event;
mod identity;
mod lease;
mod leave;
mod orders;
mod session;
mod task;
mod writer;

pub use event::{ConnectionId, Effect, Event, Gate};
pub use identity::Identity;
pub use session::Session;
