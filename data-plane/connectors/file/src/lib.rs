//! FileStreamSource and FileStreamSink: lines of a file to Kafka and back, with Connect's configuration and offsets.
//!
//! [`source`] is the source (`input` follows the file, `lines` cuts it, `watch` hears of changes, `stdin` reads standard
//! input), [`sink`] the sink (`output` owns its file), `config` the keys of both.

mod config;
mod input;
mod lent;
mod lines;
mod output;
pub mod sink;
pub mod source;
mod stdin;
mod watch;

#[cfg(test)]
mod tests;

use dray_connect::connector::{Connector, ConnectorPlugin};
pub use sink::FileStreamSinkConnector;
pub use source::FileStreamSourceConnector;

/// The connector classes of this crate.
pub const PLUGINS: [ConnectorPlugin; 2] = [
    ConnectorPlugin {
        class: "org.apache.kafka.connect.file.FileStreamSourceConnector",
        aliases: &["FileStreamSourceConnector", "FileStreamSource"],
        version: env!("CARGO_PKG_VERSION"),
        make: || Connector::Source(Box::new(FileStreamSourceConnector::new())),
    },
    ConnectorPlugin {
        class: "org.apache.kafka.connect.file.FileStreamSinkConnector",
        aliases: &["FileStreamSinkConnector", "FileStreamSink"],
        version: env!("CARGO_PKG_VERSION"),
        make: || Connector::Sink(Box::new(FileStreamSinkConnector::new())),
    },
];
