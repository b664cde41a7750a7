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
                "the store is at revision {revision}, and this replica has seen {known}: it was restored from a backup, or is another \
                 one. Restore with raised revisions, or raise the cluster's epoch"
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
