//! What only a cluster of several brokers shows: leaders that move, brokers that die, replicas that are read instead of leaders. All
//! tests here share one cluster of three real brokers, one after the other.

mod moves;
mod nodes;
mod quotas;
mod racks;
mod relay;
mod traffic;

pub(crate) use nodes::ask;
