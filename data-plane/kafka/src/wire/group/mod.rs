//! Members of consumer groups under KIP-848: one connection to each coordinator serves all of the process.

mod consumer;
pub(crate) mod fallback;
mod machine;
mod member;
mod requests;
mod settings;
