//! FileStreamSource and FileStreamSink: lines of a file to Kafka and back, with Connect's configuration and offsets.
//!
//! [`source`] is the source (`input` follows the file, `lines` cuts it, `watch` hears of changes, `stdin` reads standard
//! input), [`sink`] the sink (`output` owns its file, `turn` its lock), `config` the keys of both.

mod config;
mod input;
mod lent;
mod lines;
mod output;
pub mod sink;
pub mod source;
mod stdin;
mod turn;
mod watch;

#[cfg(test)]
mod tests;

use dray_connect::connector::{ConnectorPlugin, Make};
pub use sink::FileStreamSinkConnector;
pub use source::FileStreamSourceConnector;

/// The connector classes of this crate.
pub const PLUGINS: [ConnectorPlugin; 2] = [
    ConnectorPlugin {
        class: "org.apache.kafka.connect.file.FileStreamSourceConnector",
        aliases: &["FileStreamSourceConnector", "FileStreamSource"],
        task_class: "org.apache.kafka.connect.file.FileStreamSourceTask",
        version: env!("CARGO_PKG_VERSION"),
        make: Make::Source(|| Box::new(FileStreamSourceConnector::new())),
    },
    ConnectorPlugin {
        class: "org.apache.kafka.connect.file.FileStreamSinkConnector",
        aliases: &["FileStreamSinkConnector", "FileStreamSink"],
        task_class: "org.apache.kafka.connect.file.FileStreamSinkTask",
        version: env!("CARGO_PKG_VERSION"),
        make: Make::Sink(|| Box::new(FileStreamSinkConnector::new())),
    },
];
