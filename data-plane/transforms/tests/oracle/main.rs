//! Compares this crate with the real Kafka Connect and its Java: both sides answer the same questions.
//!
//! `DRAY_TEST_ORACLE` names the script that starts the Java side. What we choose to do differently is explained in the
//! `differences.md` of each module.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::wildcard_enum_match_arm,
    reason = "helpers of a test, which clippy does not take for tests"
)]

mod ask;
mod dates;
mod transforms;
