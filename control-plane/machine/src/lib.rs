//! What the control plane decides, and nothing else: no runtime, no network, no store and no clock. Events and the time come in
//! as arguments, decisions go out as values, and equal inputs in equal order give equal outputs.
//!
//! [`scheduler`] says which agent runs which task, [`cluster`] what has to be true before it does: it is the leader, without its I/O.

pub mod cluster;
pub mod scheduler;
#[cfg(test)]
mod seeds;
