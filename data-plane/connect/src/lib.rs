//! The connector API: all that the author of a connector reads.
//!
//! [`connector`] has the four traits, [`source_batch`] and [`sink_batch`] what moves through them, [`schema`],
//! [`value`] and [`structs`] Connect's data model, [`config`] its `ConfigDef`.

pub mod backing;
pub mod config;
pub mod connector;
pub mod context;
pub mod datum;
pub mod error;
pub mod header;
pub mod logical;
pub mod offset;
pub mod pattern;
pub mod projector;
pub mod schema;
pub mod sink_batch;
pub mod source_batch;
pub mod structs;
pub mod testkit;
pub mod value;
pub mod values;

pub use async_trait::async_trait;
pub use config::ConfigMap;
pub use error::{Error, Result};
