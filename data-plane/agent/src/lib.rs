//! An agent: its session with the control plane and the tasks that run under it.

pub mod agent;
mod answers;
mod checks;
pub mod fence;
pub mod files;
pub mod folder;
mod host;
pub mod inventory;
mod kafka;
mod keeper;
pub mod lines;
pub mod link;
mod load;
mod metrics;
pub mod plugins;
pub mod settings;
pub mod stages;
mod status_topic;
mod topics;
pub mod transform_test;
mod used;
mod worker_config;
