//! The plugins that an agent has, the files that `dray standalone` reads, and the thin driver that runs them.

pub mod files;
pub mod plugins;
pub mod standalone;
pub mod transform_test;
