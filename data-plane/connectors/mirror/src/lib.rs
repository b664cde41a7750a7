//! The mirror source: topics of a Kafka cluster into the one that the worker writes to, with partitions, keys, headers and timestamps as
//! they are.
//!
//! [`connector`] watches topics and creates those that are missing, [`task`] reads and hands on; `config` has the keys, `policy` says how
//! topics are called on the other side and which are copied, `clients` how each cluster is reached, `offsets` how far a partition is.
//!
//! Its keys, its names of topics and its offsets are those of MirrorMaker's source connector (Apache Kafka 4.3), so that it can go on where
//! that one has stopped. It does not answer to that one's class name: offset syncs, the copying of topic settings and of permissions,
//! checkpoints and heartbeats are not there yet, and a connector that silently left them out would be no replacement.
//!
//! Where the pipeline changes nothing (no transforms, ByteArrayConverter for keys, values and headers) batches are handed on whole; one
//! that cannot be stored as it is, alone, is decoded. The codec of a batch stays what it was at the source, unless the producer's
//! `compression.type` is set: then batches of other codecs are decoded, and compressed anew.

mod clients;
mod config;
pub mod connector;
mod offsets;
mod policy;
pub mod task;

#[cfg(test)]
mod tests;

pub use connector::MirrorSourceConnector;
use dray_connect::connector::{ConnectorPlugin, Make};
pub use task::MirrorSourceTask;

/// The connector classes of this crate.
pub const PLUGINS: [ConnectorPlugin; 1] = [ConnectorPlugin {
    class: "io.dray.connect.mirror.MirrorSourceConnector",
    aliases: &["MirrorSource"],
    task_class: "io.dray.connect.mirror.MirrorSourceTask",
    version: env!("CARGO_PKG_VERSION"),
    make: Make::Source(|| Box::new(MirrorSourceConnector::new())),
}];
