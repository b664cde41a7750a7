//! Replicas and a scripted agent over real gRPC: on the store in memory, and on a real etcd (`make test` starts it; one test:
//! `deploy/rig/with-etcd.sh cargo test -p dray-control NAME`).

#![allow(clippy::unwrap_used)] // tests

mod admin;
mod agent;
mod altering;
mod binary;
mod calls;
mod etcd;
mod limits;
mod listeners;
mod loggers;
mod memory;
mod rest;
mod rig;
mod streams;
mod thousand;
