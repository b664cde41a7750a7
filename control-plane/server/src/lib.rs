//! The control plane: it holds what is wanted, decides who runs it, and talks to agents and people.
//!
//! A [`Control`] is one replica. It follows the store ([`cache`]), serves agents and clients, and campaigns to lead. The leader runs the
//! machine of `dray-machine`; what that shows of the cluster stands on the [`board`].

mod agents;
pub mod board;
pub mod cache;
mod calls;
mod clock;
mod codec;
mod control;
mod desk;
mod feed;
#[cfg(test)]
mod fixture;
mod gathered;
mod leader;
pub mod listeners;
mod logging;
mod meta;
mod metrics;
mod presence;
mod services;
mod state_file;
mod status;
mod switchboard;
mod tls;
mod worker;
mod writes;

pub use control::{Config, Control, StartError};
pub use tls::Tls;
pub use worker::{WorkerError, WorkerFile};
