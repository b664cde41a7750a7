//! Runs connectors and tasks: life cycle, ack ledger, offsets, error handling. Knows Kafka only through the port.
//!
//! [`worker`] puts everything together; [`source_task`] and [`sink_task`] are the two loops; [`ledger`] decides what may
//! be committed.

pub mod active_topics;
mod attempt;
pub mod breaker;
pub mod client_config;
pub mod config;
pub mod connector_offsets;
mod conversion;
pub mod crew;
pub mod dead_letter;
pub mod decode;
pub mod encode;
pub mod expel;
pub mod gate;
pub mod guard;
pub mod instance;
pub mod ledger;
pub mod letter_queue;
pub mod metrics;
pub mod offsets;
mod owned_record;
pub mod policy;
pub mod preview;
pub mod rejoin;
pub mod sink_task;
pub mod source_task;
pub mod status;
mod supervise;
pub mod topic_pattern;
pub mod topics;
pub mod transform;
mod unsupported;
pub mod validate;
pub mod worker;
