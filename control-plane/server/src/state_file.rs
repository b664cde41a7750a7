//! What this replica has seen of the store, on its own disk: a store that was restored from an older backup is noticed, and nobody leads
//! on it before an operator has decided.

use crate::cache::{Cache, State};
use dray_process::chain;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often it is written, at most. What happened since then is not noticed when it is lost.
const EVERY: Duration = Duration::from_secs(10);

/// What an operator can do about a store that is older than what was seen of it.
const ADVICE: &str = "it was restored from a backup, or is another one. Restore it with raised revisions (`etcdutl snapshot restore \
                      --bump-revision 1000000000 --mark-compacted`), or stop all agents and replicas, remove seen.json from the data \
                      folder of each replica, and start them";

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    revision: u64,
    epoch: u32,
}

/// The state file of a replica; without a folder it knows nothing.
pub(crate) struct StateFile {
    path: Option<PathBuf>,
    /// What was in the file when this process started.
    before: Seen,
}

impl StateFile {
    /// Reads the file of a folder, which is made if it is not there.
    pub(crate) fn open(folder: Option<&Path>) -> io::Result<Self> {
        let Some(folder) = folder else {
            return Ok(Self {
                path: None,
                before: Seen::default(),
            });
        };
        std::fs::create_dir_all(folder)?;
        let path = folder.join("seen.json");
        let before = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|error| io::Error::other(format!("{} cannot be read: {error}", path.display())))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Seen::default(),
            Err(error) => return Err(error),
        };
        Ok(Self {
            path: Some(path),
            before,
        })
    }

    /// Whether the store is one that this replica may lead on.
    pub(crate) fn may_lead(&self, state: &State) -> Result<(), String> {
        if let Some(key) = state.unreadable.first() {
            return Err(format!(
                "the value of {key} cannot be read; was it written by a newer version?"
            ));
        }
        if let Some(current) = state.behind {
            return Err(format!(
                "the store has gone back to revision {current}, and this replica has seen {}: {ADVICE}",
                state.revision
            ));
        }
        let (revision, epoch) = (state.revision.get(), state.meta().map_or(0, |meta| meta.record.epoch));
        let Seen {
            revision: known,
            epoch: known_epoch,
        } = self.before;
        if epoch < known_epoch {
            return Err(format!(
                "the cluster's epoch is {epoch}, and this replica has seen {known_epoch}"
            ));
        }
        // A raised epoch is the operator's word for it.
        if revision < known && epoch == known_epoch {
            return Err(format!(
                "the store is at revision {revision}, and this replica has seen {known}: {ADVICE}"
            ));
        }
        Ok(())
    }

    /// Keeps the file up to date. Never returns.
    pub(crate) async fn follow(&self, cache: &Cache) {
        let Some(path) = &self.path else {
            return std::future::pending().await;
        };
        let mut states = cache.subscribe();
        let mut written = self.before;
        loop {
            let state = states.borrow_and_update().clone();
            let seen = Seen {
                revision: state.revision.get(),
                epoch: state.meta().map_or(0, |meta| meta.record.epoch),
            };
            if seen != written && self.may_lead(&state).is_ok() {
                let to = path.clone();
                match tokio::task::spawn_blocking(move || write(&to, seen)).await {
                    Ok(Ok(())) => written = seen,
                    Ok(Err(error)) => tracing::warn!(path = %path.display(), %error, "could not write the state file"),
                    Err(error) => tracing::error!(error = %chain(&error), "writing the state file panicked"),
                }
            }
            tokio::time::sleep(EVERY).await;
            // The cache lives as long as this borrows it.
            drop(states.changed().await);
        }
    }
}

fn write(path: &Path, seen: Seen) -> io::Result<()> {
    let new = path.with_extension("json.new");
    let file = std::fs::File::create(&new)?;
    serde_json::to_writer(&file, &seen)?;
    file.sync_all()?;
    std::fs::rename(new, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{keys, put};
    use dray_machine::cluster::{Name, Record};
    use dray_model::record::ClusterMeta;
    use dray_store::mem::MemStore;
    use std::sync::Arc;

    async fn store(epoch: u32, changes: usize) -> Arc<Cache> {
        let store = Arc::new(MemStore::default());
        let meta = ClusterMeta {
            cluster: "test".into(),
            epoch,
            next_agent: 1.try_into().unwrap(),
            worker: Arc::default(),
            written: None,
        };
        for _ in 0..changes {
            put(&store, &Name::Meta, &Record::Meta(meta.clone())).await;
        }
        Cache::seed(store, keys()).await.unwrap()
    }

    /// Another file of the same folder, as the next process reads it, once this one has written.
    async fn seen(folder: &Path, cache: &Cache) -> StateFile {
        let file = StateFile::open(Some(folder)).unwrap();
        let path = folder.join("seen.json");
        drop(std::fs::remove_file(&path));
        tokio::select! {
            () = file.follow(cache) => {}
            () = async { while !path.exists() { tokio::task::yield_now().await } } => {}
        }
        StateFile::open(Some(folder)).unwrap()
    }

    #[tokio::test]
    async fn a_restored_backup_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let file = seen(folder.path(), &*store(1, 9).await).await;
        assert_eq!(file.may_lead(&store(1, 9).await.now()), Ok(()));
        assert_eq!(file.may_lead(&store(1, 10).await.now()), Ok(()));
        let older = file.may_lead(&store(1, 8).await.now()).unwrap_err();
        assert!(
            older.starts_with("the store is at revision 9, and this replica has seen 10"),
            "{older}"
        );
        assert_eq!(
            file.may_lead(&store(2, 3).await.now()),
            Ok(()),
            "the operator has raised the epoch"
        );
        let older = file.may_lead(&store(0, 50).await.now()).unwrap_err();
        assert!(older.starts_with("the cluster's epoch is 0"), "{older}");
    }

    #[tokio::test]
    async fn without_a_folder_nothing_is_known() {
        let file = StateFile::open(None).unwrap();
        assert_eq!(file.may_lead(&store(0, 1).await.now()), Ok(()));
    }

    #[test]
    fn a_damaged_file_is_not_taken_for_nothing() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("seen.json"), "{").unwrap();
        let error = StateFile::open(Some(folder.path())).err().unwrap().to_string();
        assert!(error.contains("seen.json cannot be read"), "{error}");
    }
}
