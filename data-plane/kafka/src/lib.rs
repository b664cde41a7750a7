//! The Kafka port and its implementations. The only crate that names rdkafka.

mod codes;
pub mod error;
pub mod fake;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod kafka;
mod lock;
pub mod murmur2;
pub mod port;
mod rd;
pub mod session;
mod wire;

pub use error::{Class, Error, Result};
pub use kafka::{CLIENT, Kafka};
pub use rd::RdKafka;
