//! Source offsets in a file, as standalone Kafka Connect keeps them (`offset.storage.file.filename`), in its format.

use super::java_map::{self, Map};
use super::{OffsetEntry, OffsetStore, key_json, of_connector, parse_offset};
use async_trait::async_trait;
use dray_connect::offset::{OffsetMap, SourcePartition};
use dray_connect::{Error, Result};
use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The store. Concurrent commits share one write: whoever holds the writer's lock writes what all have put.
pub struct FileOffsets {
    path: PathBuf,
    state: Arc<Mutex<State>>,
    writer: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    map: Map,
    /// Counts changes of the map.
    version: u64,
    /// The version that the file holds.
    written: u64,
}

impl FileOffsets {
    /// Opens the file; a missing or empty one is an empty store, as in Connect.
    ///
    /// # Errors
    /// When it cannot be read or is no offset file.
    pub fn open(path: &Path) -> Result<Self> {
        let map = match std::fs::read(path) {
            Ok(bytes) => java_map::read(&bytes)
                .map_err(|problem| Error::connect(format!("{} is not an offset file: {problem}", path.display())))?,
            Err(error) if error.kind() == ErrorKind::NotFound => Map::new(),
            Err(error) => {
                return Err(Error::connect(format!(
                    "cannot read offset file {}: {error}",
                    path.display()
                )));
            }
        };
        let state = State {
            map,
            ..State::default()
        };
        Ok(Self {
            path: path.to_owned(),
            state: Arc::new(Mutex::new(state)),
            writer: tokio::sync::Mutex::new(()),
        })
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl OffsetStore for FileOffsets {
    async fn read(&self, connector: &str, partitions: &[SourcePartition]) -> Result<Vec<Option<OffsetMap>>> {
        let state = lock(&self.state);
        let stored = |partition: &SourcePartition| state.map.get(key_json(connector, partition).as_bytes());
        partitions
            .iter()
            .map(|partition| {
                stored(partition)
                    .and_then(Option::as_deref)
                    .map(parse_offset)
                    .transpose()
            })
            .collect()
    }

    async fn list(&self, connector: &str) -> Result<Vec<(OffsetMap, OffsetMap)>> {
        let state = lock(&self.state);
        let stored = state.map.iter();
        of_connector(
            connector,
            stored.filter_map(|(key, value)| Some((key.as_slice(), value.as_deref()?))),
        )
    }

    async fn commit(&self, entries: Vec<OffsetEntry>) -> Result<()> {
        let version = {
            let mut state = lock(&self.state);
            for entry in entries {
                let key = key_json(entry.task.connector.as_str(), &entry.partition).into_bytes();
                match entry.offset {
                    Some(offset) => state.map.insert(key, Some(offset.to_json().into_bytes())),
                    None => state.map.remove(&key),
                };
            }
            state.version += 1;
            state.version
        };
        let _writer = self.writer.lock().await;
        let (bytes, now) = {
            let state = lock(&self.state);
            if state.written >= version {
                return Ok(()); // somebody wrote it while we waited for the lock
            }
            (java_map::write(&state.map), state.version)
        };
        let path = self.path.clone();
        tokio::task::spawn_blocking(move || replace(&path, &bytes))
            .await
            .map_err(|error| Error::retriable(format!("offset writer ended early: {error}")))??;
        lock(&self.state).written = now;
        Ok(())
    }
}

/// Replaces the file in one step: a crash leaves either the old or the new content.
fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let beside = path.with_extension("tmp");
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)?;
        let folder = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()
    };
    write().map_err(|error| Error::retriable(format!("cannot write offset file {}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dray_connect::offset::Primitive;
    use dray_model::{ConnectorName, Generation, TaskId};

    fn entry(name: &str, position: Option<i64>) -> OffsetEntry {
        OffsetEntry {
            task: TaskId {
                connector: ConnectorName::try_from("c").unwrap(),
                number: 0,
            },
            generation: Generation::INITIAL,
            partition: Arc::new(OffsetMap::new().with("filename", Primitive::String(name.into()))),
            offset: position.map(|position| OffsetMap::new().with("position", Primitive::Long(position))),
        }
    }

    #[tokio::test]
    async fn offsets_survive_reopening() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("connect.offsets");
        let store = FileOffsets::open(&path).unwrap();
        store
            .commit(vec![entry("a", Some(1)), entry("b", Some(2))])
            .await
            .unwrap();
        store.commit(vec![entry("a", Some(3)), entry("b", None)]).await.unwrap();
        let store = FileOffsets::open(&path).unwrap();
        let partitions = [entry("a", None).partition, entry("b", None).partition];
        let read = store.read("c", &partitions).await.unwrap();
        assert_eq!(read[0].as_ref().and_then(|offset| offset.long("position")), Some(3));
        assert_eq!(read[1], None);
        assert_eq!(store.read("other", &partitions).await.unwrap(), vec![None, None]);
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_written_is_a_retriable_error() {
        let folder = tempfile::tempdir().unwrap();
        let store = FileOffsets::open(&folder.path().join("gone/offsets")).unwrap();
        let error = store.commit(vec![entry("a", Some(1))]).await.unwrap_err();
        assert!(matches!(error, Error::Retriable { .. }), "{error}");
    }
}
