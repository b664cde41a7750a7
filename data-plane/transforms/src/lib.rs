//! Single message transforms and predicates, to the letter of Kafka Connect's own.
//!
//! A [`Chain`] is read from a connector's configuration and run by the runtime on one record after the other: between a
//! source connector and its converters, or between the converters and a sink. [`Transformation`] and [`Predicate`] are what
//! a new one implements; `registry` lists those that there are, by class name.

pub mod chain;
pub mod config;
pub mod field_path;
mod java;
mod plans;
mod predicates;
pub mod record;
mod registry;
pub mod simple_date_format;
#[cfg(test)]
mod testing;
mod topics;
mod transformations;

use dray_connect::Result;

pub use self::chain::Chain;
pub use self::record::{ConnectRecord, Input, Origin, Output, Side};

/// What a transformation did with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// The record goes on, changed or not.
    Kept,
    /// The record ends here. In Java the transformation returns null.
    Dropped,
}

/// Changes records, one at a time. Obligations:
/// - It keeps caches and no other state: the same record gives the same result whatever came before.
/// - A record may come again after an error, as it was before the chain; nothing that was done to it then is seen.
pub trait Transformation: Send {
    /// Changes a record or drops it.
    fn apply(&mut self, record: &mut ConnectRecord<'_>) -> Result<Applied>;
}

/// Says whether a transformation is for a record.
pub trait Predicate: Send {
    /// Whether the record is one of those that the predicate is about.
    fn test(&mut self, record: &ConnectRecord<'_>) -> Result<bool>;
}
