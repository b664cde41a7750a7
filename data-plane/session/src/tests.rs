//! Each rule as a scenario, and all of them against random leaders.
#![allow(clippy::wildcard_enum_match_arm, reason = "tests look at a few of many effects")]

mod random;
mod rig;
mod rules_leases;
mod rules_links;
mod rules_tasks;
mod rules_writers;
mod watch;
