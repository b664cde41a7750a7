//! Runs a connector's transforms on records written as JSON, without Kafka, and tells what each stage made of them: what
//! `dray transform test` shows.

use crate::lines::Lines;
use crate::stages::{Show, Snapshot};
use dray_connect::ConfigMap;
use dray_process::hidden::Hidden;
use dray_runtime::config;
use dray_runtime::preview::transformed;
use dray_transforms::Chain;

/// A chain, and what records that say nothing else are given.
pub struct Tester {
    chain: Chain,
    lines: Lines,
    show: Show,
}

impl Tester {
    /// Reads the chain of a connector's configuration. A part of one will do.
    ///
    /// # Errors
    /// With Connect's text for the first key of a transform or predicate that is missing or has a value that is not allowed.
    pub fn new(config: &ConfigMap) -> dray_connect::Result<Self> {
        Ok(Self {
            chain: config::chain(config)?,
            lines: Lines::new(config)?,
            show: Show::new(Hidden::default())?,
        })
    }

    /// Runs the chain on the record of one line; the record as it came in is the first snapshot.
    ///
    /// # Errors
    /// When the line is not a record: with what is wrong and what is allowed.
    pub fn run(&mut self, line: &str) -> Result<Vec<Snapshot>, String> {
        let given = self.lines.read(line)?;
        Ok(self.show.snapshots(&transformed(&mut self.chain, &given)))
    }
}

#[cfg(test)]
mod tests;
