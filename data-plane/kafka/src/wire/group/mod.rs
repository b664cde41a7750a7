//! Members of consumer groups under KIP-848: a few connections to each coordinator serve all of the process.

mod by_id;
mod consumer;
pub(crate) mod fallback;
mod machine;
mod member;
mod requests;
mod settings;
