//! The `dray` binary as its user runs it, on a real Kafka broker (`make test` starts one).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, wherever the call stands")]

mod adversity;
mod breaker;
mod broker;
mod clusters;
mod control;
mod crash;
mod dlq;
mod files;
mod fleet;
mod harness;
mod help;
mod preview;
mod transform;
