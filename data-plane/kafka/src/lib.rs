//! The Kafka port and its implementations. The only crate that names rdkafka.

mod codes;
mod composite;
pub mod error;
pub mod fake;
#[cfg(fuzzing)]
pub mod fuzzing;
mod lock;
pub mod murmur2;
pub mod port;
mod rd;
pub mod session;
#[allow(dead_code, reason = "joined by what uses it")]
mod wire;

pub use composite::{CLIENT, Kafka};
pub use error::{Class, Error, Result};
pub use rd::RdKafka;
