//! The dev broker as clients see it. `cases` also runs against a real broker, which keeps the dev broker honest.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests are tests too")]

mod cases;
mod client;
mod conformance;
mod faults;
mod malformed;
mod throughput;
