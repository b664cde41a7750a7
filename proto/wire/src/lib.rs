//! The protos as Rust. [`agent`], [`store`] and [`admin`] have the generated types (`v1`) and the way between them and the model, which
//! is what everybody else thinks in.
//!
//! Into the wire everything goes; out of it, what is not legal is an [`Invalid`] that names the field. Texts for people are cut when they
//! are sent. Nothing here waits, listens or reads a clock.

pub mod admin;
pub mod agent;
mod error;
/// How plugins describe their configuration: `dray.plugin.v1`, which agents make out of their own words.
pub mod plugin {
    /// As it is on the wire.
    #[allow(missing_docs, clippy::all, unreachable_pub)]
    pub mod v1 {
        tonic::include_proto!("dray.plugin.v1");
    }
}
mod read;
pub mod store;

pub use error::{Error, Invalid, NotGiven};
pub use prost_types::Timestamp;

/// The largest message that either side of a session may send: 16,384 task configurations of 2 KB. For tonic's limits, which are 4 MiB
/// unless set.
pub const MAX_MESSAGE: usize = 32 << 20;

/// All protos as a `FileDescriptorSet`, for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/dray.binpb"));
