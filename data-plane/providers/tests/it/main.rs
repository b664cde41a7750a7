//! Config providers of AWS on Moto, which answers as AWS does: `deploy/rig/with-moto.sh cargo test -p dray-providers --test it NAME`.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests are tests too")]

mod chain;
mod moto;
mod secrets;
