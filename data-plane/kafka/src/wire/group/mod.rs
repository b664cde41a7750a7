//! Members of consumer groups under KIP-848: one connection to each coordinator serves all of the process.

pub(crate) mod consumer;
mod machine;
mod member;
mod requests;
