//! Where source offsets are kept: the [`OffsetStore`] trait, the store in a file and the store in a Kafka topic.

pub mod file;
mod java_map;
pub mod topic;

use async_trait::async_trait;
use dray_connect::context::OffsetReader;
use dray_connect::offset::{OffsetMap, SourcePartition};
use dray_connect::{Error, Result};
use dray_model::{Generation, TaskId};
use std::sync::Arc;

/// One offset to store.
#[derive(Clone, Debug)]
pub struct OffsetEntry {
    /// Whose offset it is.
    pub task: TaskId,
    /// Under which ownership it was read.
    pub generation: Generation,
    /// The source partition.
    pub partition: SourcePartition,
    /// The offset; none erases the entry.
    pub offset: Option<OffsetMap>,
}

/// Stores source offsets. `commit` returns only when they would survive a crash of the process.
#[async_trait]
pub trait OffsetStore: Send + Sync {
    /// The stored offsets of a connector, in the order asked.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn read(&self, connector: &str, partitions: &[SourcePartition]) -> Result<Vec<Option<OffsetMap>>>;

    /// All offsets of a connector: the source partition, and how far it is.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn list(&self, connector: &str) -> Result<Vec<(OffsetMap, OffsetMap)>>;

    /// Stores these offsets.
    ///
    /// # Errors
    /// Retriable when a later try can succeed. It is then unknown whether they are stored; storing them again is safe.
    async fn commit(&self, entries: Vec<OffsetEntry>) -> Result<()>;

    /// The same for a task that stops: its successor waits. No entries at all hurry a commit of its own that is under way.
    ///
    /// # Errors
    /// As those of [`commit`](Self::commit).
    async fn commit_at_once(&self, entries: Vec<OffsetEntry>) -> Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        self.commit(entries).await
    }

    /// Waits until nothing of a commit whose future was dropped before this call can be stored any more. A task that was aborted
    /// is without effect only after it.
    async fn settled(&self) {}
}

/// The store as one connector sees it.
pub struct ConnectorOffsets {
    store: Arc<dyn OffsetStore>,
    connector: String,
}

impl ConnectorOffsets {
    /// The offsets of `connector` in `store`.
    #[must_use]
    pub fn new(store: Arc<dyn OffsetStore>, connector: &str) -> Self {
        Self {
            store,
            connector: connector.to_owned(),
        }
    }
}

#[async_trait]
impl OffsetReader for ConnectorOffsets {
    async fn offsets(&self, partitions: &[SourcePartition]) -> Result<Vec<Option<OffsetMap>>> {
        self.store.read(&self.connector, partitions).await
    }
}

/// The key under which Connect stores an offset: `["connector",{partition}]`, compact.
#[must_use]
pub fn key_json(connector: &str, partition: &OffsetMap) -> String {
    format!("[{},{}]", serde_json::Value::from(connector), partition.to_json())
}

/// Reads a stored offset.
///
/// # Errors
/// When the bytes are not a JSON object of primitives.
pub fn parse_offset(bytes: &[u8]) -> Result<OffsetMap> {
    let json: serde_json::Value =
        serde_json::from_slice(bytes).map_err(|error| Error::data(format!("stored offset is not JSON: {error}")))?;
    OffsetMap::from_json(&json)
}

/// The connector and the source partition that a key is of; none for one that is not of this format.
fn parse_key(bytes: &[u8]) -> Option<(String, OffsetMap)> {
    let json: serde_json::Value = serde_json::from_slice(bytes).ok()?;
    let [serde_json::Value::String(connector), partition] = json.as_array()?.as_slice() else {
        return None;
    };
    Some((connector.clone(), OffsetMap::from_json(partition).ok()?))
}

/// Those of the stored offsets that are a connector's.
fn of_connector<'a>(
    connector: &str,
    stored: impl Iterator<Item = (&'a [u8], &'a [u8])>,
) -> Result<Vec<(OffsetMap, OffsetMap)>> {
    let mut offsets = Vec::new();
    for (key, value) in stored {
        if let Some((whose, partition)) = parse_key(key)
            && whose == connector
        {
            offsets.push((partition, parse_offset(value)?));
        }
    }
    Ok(offsets)
}
