//! The datagen source and the blackhole sink: records out of nothing and into nothing, for demos and benchmarks.

mod blackhole;
mod config;
mod datagen;
mod generator;

pub use blackhole::{BlackholeSinkConnector, BlackholeSinkTask};
pub use datagen::{DatagenSourceConnector, DatagenSourceTask};
use dray_connect::connector::{ConnectorPlugin, Make};

/// The connector classes of this crate.
pub const PLUGINS: [ConnectorPlugin; 2] = [
    ConnectorPlugin {
        class: "io.dray.connect.datagen.DatagenSourceConnector",
        aliases: &["DatagenSourceConnector", "DatagenSource"],
        task_class: "io.dray.connect.datagen.DatagenSourceTask",
        version: env!("CARGO_PKG_VERSION"),
        make: Make::Source(|| Box::new(DatagenSourceConnector::new())),
    },
    ConnectorPlugin {
        class: "io.dray.connect.blackhole.BlackholeSinkConnector",
        aliases: &["BlackholeSinkConnector", "BlackholeSink"],
        task_class: "io.dray.connect.blackhole.BlackholeSinkTask",
        version: env!("CARGO_PKG_VERSION"),
        make: Make::Sink(|| Box::new(BlackholeSinkConnector::new())),
    },
];
