//! Whole clusters as their users run them: `dray-control` and `dray-agent` as processes of their own, on a real etcd and a real broker
//! (`make test` starts those and builds these).
//!
//! Tests that measure times run alone, the others two at a time: see [`turn`].

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, wherever the call stands")]

mod admin;
mod audit;
mod cluster;
mod kafka;
mod process;
mod proxy;
mod servers;
mod traffic;
mod turn;

mod chaos;
mod crash;
mod leader;
mod leave;
mod main_path;
mod operator;
mod secrets;
mod store;
mod wrong;
