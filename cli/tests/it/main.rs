//! The `dray` binary as its user runs it, on a real Kafka broker (`make test` starts one).

mod broker;
mod crash;
mod files;
mod fleet;
mod harness;
