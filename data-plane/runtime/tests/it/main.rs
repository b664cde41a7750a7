//! Connectors and tasks on a Kafka in memory and on paused time.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, wherever the call stands")]

mod blocking;
mod errors;
mod faults;
mod gate;
mod harness;
mod letters;
mod metrics;
mod preview;

mod registry;
mod rejoin;
mod restart;
mod retry;
mod sink;
mod source;
mod transforms;
