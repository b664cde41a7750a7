//! The control plane: it holds what is wanted, decides who runs it, and talks to agents and people.
//!
//! A replica follows the store ([`cache`]), serves reads and configuration writes, and campaigns to lead.

pub mod cache;
mod codec;
#[cfg(test)]
mod fixture;
mod writes;
